"""Short words for orders in exchange markets, for any world of these tests (tests/core/world.py)."""

from __future__ import annotations

from typing import Any

from core.book import Market, Order, Position
from core.messages import commands as co
from core.messages.answers import Answer, BookImage, OrderReport
from core.messages.queries import GetBook
from core.messages.terms import ExchangeTerms
from tests.core.world import World

MATCH = "match/winner"
NAMES = ("home", "draw", "away")
CASH_M = 100_000


def exchange(world: World, path: str = MATCH, names: tuple[str, ...] = NAMES, **fields: Any) -> Market:
    """An open exchange market of the desk. Fields of its terms, or else of DefineMarket."""
    terms = {name: fields.pop(name) for name in ExchangeTerms.__struct_fields__ & fields.keys()}
    return world.defined(path, dict.fromkeys(names, 0), exchange=ExchangeTerms(**terms), **fields)


def floor(*customers: str, path: str = MATCH, names: tuple[str, ...] = NAMES, **fields: Any) -> World:
    """A world of customers with 1 000.00 each, and one exchange market without cross matching."""
    world = World()
    for name in customers:
        world.customer(name, CASH_M)
    exchange(world, path, names, **{"cross": False, **fields})
    return world


def order(
    world: World, customer: str, selection: str, side: str, price: int, stake_m: int, path: str = MATCH, **fields: Any
) -> Answer | None:
    """The answer to an order."""
    fixture, market = path.split("/")
    place = {"fixture": fixture, "market": market, "selection": selection}
    asked = {"customer": customer, "side": side, "price": price, "stake_m": stake_m}
    return world.command(co.PlaceOrder, **{**place, **asked, **fields})


def placed(
    world: World, customer: str, selection: str, side: str, price: int, stake_m: int, path: str = MATCH, **fields: Any
) -> OrderReport:
    """The report of an order that has to be taken."""
    answer = order(world, customer, selection, side, price, stake_m, path, **fields)
    assert isinstance(answer, OrderReport), answer
    return answer


def held(world: World, order_id: str) -> Order:
    """An order as the engine has it."""
    return world.book.orders[order_id]


def position(world: World, customer: str, path: str = MATCH) -> Position:
    """What a customer has in a market; he has to have something."""
    exchange = world.at(path).exchange
    assert exchange is not None
    return exchange.positions[customer]


def levels(world: World, selection: str = "home", path: str = MATCH) -> tuple[Any, Any]:
    """What rests on a selection, (backs, lays), each as (price, stake), best first."""
    fixture, market = path.split("/")
    image = world.send(GetBook(fixture, market))
    assert isinstance(image, BookImage), image
    book = next(each for each in image.books if each.selection == selection)
    return book.backs, book.lays


def batch(
    world: World, customer: str, *instructions: co.Instruction, path: str = MATCH, **fields: Any
) -> Answer | None:
    """The answer to a batch."""
    fixture, market = path.split("/")
    place = {"fixture": fixture, "market": market}
    return world.command(co.BatchOrders, customer=customer, instructions=instructions, **{**place, **fields})
