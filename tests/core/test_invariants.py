"""The invariants find what is planted."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from core import invariants
from core.book import Book, Exchange, Order, Position
from tests.core.exchange.trading import MATCH, exchange, floor, placed
from tests.core.world import NOON, World


@pytest.fixture
def book() -> Book:
    world = World(stake_max_m=1_000)
    world.customer("ann", 10_000)
    world.customer("bob", 10_000)
    world.market("match/winner", home=20_000, away=18_000)
    world.bet("ann", 1_000, ("match/winner", "home", 20_000), id="b1")
    world.waiting("bob", 1_500, ("match/winner", "away", 18_000), id="offered", refer=True)
    world.judge("offered", "offer", stake_m=1_200)
    world.waiting("bob", 2_000, ("match/winner", "away", 18_000), id="referred", refer=True)
    world.check()
    return world.book


def _market(book: Book, **changed: int) -> None:
    for name, value in changed.items():
        setattr(book.fixtures["match"].markets["winner"], name, value)


def _customer(book: Book, **changed: int) -> None:
    for name, value in changed.items():
        setattr(book.customers["ann"], name, value)


def _bet(book: Book, **changed: int) -> None:
    for name, value in changed.items():
        setattr(book.bets["b1"], name, value)


def _waiting(book: Book, name: str, **changed: object) -> None:
    for field, value in changed.items():
        setattr(book.pending[name], field, value)


@pytest.mark.parametrize(
    ("rule", "plant"),
    [
        ("money from nowhere", lambda book: _customer(book, cash_m=9_001)),
        ("money that went nowhere", lambda book: book.house.update({("house:betting", "EUR"): -1})),
        ("stakes that are no bet's", lambda book: _customer(book, cash_m=8_999, open_stakes_m=1_001)),
        ("a reserve that is gone", lambda book: _customer(book, cash_m=8_999, reserved_m=1)),
        ("a customer's liability", lambda book: _customer(book, liability_m=1)),
        ("a market's stakes", lambda book: _market(book, stakes_m=999)),
        ("a market's liability", lambda book: _market(book, liability_m=999)),
        ("a market's open bets", lambda book: _market(book, open_bets=0)),
        ("a result that is none", lambda book: _market(book, settled=1)),
        ("a fixture's liability", lambda book: setattr(book.fixtures["match"], "liability_m", 1)),
        ("the book's liability", lambda book: setattr(book, "liability_m", 1)),
        ("the count of open bets", lambda book: setattr(book, "open_bets", 2)),
        ("an open bet that is paid", lambda book: _bet(book, paid_m=1)),
        ("a bet that is lost without a result", lambda book: _bet(book, status=2)),
        ("what runs on a leg", lambda book: setattr(book.bets["b1"].legs[0], "running_m", 999)),
        (
            "a market that waits for nothing",
            lambda book: book.settling.update({("match", "winner"): book.fixtures["match"].markets["winner"]}),
        ),
        ("an answer out of its queue", lambda book: book.expiring[False].pop()),
        ("a bet that waits without a turn", lambda book: book.deciding.pop()),
        ("a bet that waits for another time", lambda book: _waiting(book, "referred", until_ms=NOON)),
        ("a reserve of another bet that waits", lambda book: _waiting(book, "referred", reserved_m=2_001)),
        ("an offer of another stake", lambda book: _waiting(book, "offered", reserved_m=1_201)),
        ("an offer before its stage", lambda book: _waiting(book, "offered", stage=1)),
        ("an offer that is not counted", lambda book: _waiting(book, "offered", offered=None)),
        ("an offer that was taken before it was made", lambda book: _waiting(book, "referred", taken=True, stage=0)),
        ("a bet that waits and is taken", lambda book: book.bets.update(referred=book.bets["b1"])),
        ("the count of bets that wait", lambda book: _customer(book, pending=1)),
    ],
)
def test_a_planted_fault_is_found(book: Book, rule: str, plant: Callable[[Book], object]) -> None:
    plant(book)
    with pytest.raises(AssertionError):
        invariants.check(book)
    assert rule


@pytest.fixture
def traded() -> Book:
    """Ann has 2.00 matched and 3.00 resting; bob is her layer, and waits for the close."""
    world = floor("ann", "bob", starting_price=True)
    exchange(world, "final/winner")
    placed(world, "ann", "home", "back", 30_000, 500, id="rests")
    placed(world, "bob", "home", "lay", 30_000, 200, id="matched")
    placed(world, "bob", "draw", "lay", 30_000, 200, id="closes", kind="on_close")
    world.check()
    return world.book


def _exchange(book: Book) -> Exchange:
    fixture, market = MATCH.split("/")
    found = book.fixtures[fixture].markets[market].exchange
    assert found is not None
    return found


def _position(book: Book) -> Position:
    return _exchange(book).positions["ann"]


def _order(book: Book, name: str, **changed: object) -> Order:
    for field, value in changed.items():
        setattr(book.orders[name], field, value)
    return book.orders[name]


def _exposed(book: Book, amount_m: int) -> None:
    """Set aside where it has to be, but not what it has to be."""
    ann = book.customers["ann"]
    _position(book).exposure_m += amount_m
    ann.exposure_m += amount_m
    ann.cash_m -= amount_m


def _between(book: Book) -> None:
    """The house would pay ann's winnings."""
    for position in _exchange(book).positions.values():
        if position.customer.id == "ann":
            position.trades = [msgspec.structs.replace(trade, between=1) for trade in position.trades]


TRADED: list[tuple[str, Callable[[Book], object]]] = [
    ("an exposure too small", lambda book: _exposed(book, -1)),
    ("an exposure too great", lambda book: _exposed(book, 1)),
    ("an exposure that is no position's", lambda book: _position(book).__setattr__("exposure_m", 0)),
    ("an order of more than was asked", lambda book: _order(book, "rests", asked_m=499)),
    ("an order that rests nowhere", lambda book: _exchange(book).books["home"].cancel("rests")),
    ("an order that rests twice", lambda book: _exchange(book).books.update(away=_exchange(book).books["home"])),
    ("an order for the close that waits for none", lambda book: _exchange(book).on_close["draw"].clear()),
    ("an order that nobody knows", lambda book: book.orders.pop("rests")),
    ("an order that its customer does not know", lambda book: _position(book).orders.pop("rests")),
    ("an order of nothing", lambda book: _order(book, "matched", matched_m=0)),
    ("an order matched for less", lambda book: _order(book, "rests", matched_m=199)),
    ("an order matched at another price", lambda book: _order(book, "rests", paid=1)),
    ("a match that is forgotten", lambda book: _position(book).trades.pop()),
    ("the count of matches", lambda book: setattr(book, "trades", 1)),
    ("the count of a position's orders", lambda book: _position(book).resting.popitem()),
    ("the count of a customer's orders", lambda book: setattr(book.customers["ann"], "resting", 2)),
    ("a position that its customer does not know", lambda book: setattr(book.customers["ann"], "positions", None)),
    ("a customer with an empty list", lambda book: setattr(_closed(book), "positions", {})),
    ("a settled position that costs", lambda book: setattr(_position(book), "settled", True)),
    ("the count of outcomes", lambda book: setattr(_exchange(book), "outcomes", 2)),
    ("work that nobody does", lambda book: _exchange(book).due.append(_position(book))),
    (
        "work that is none",
        lambda book: book.clearing.update({("match", "winner"): book.fixtures["match"].markets["winner"]}),
    ),
    ("a house that stands to lose", _between),
]


def _closed(book: Book) -> object:
    """A customer without any position."""
    bob = book.customers["bob"]
    book.customers["cid"] = msgspec.structs.replace(bob, id="cid", cash_m=0, exposure_m=0, resting=0, positions=None)
    return book.customers["cid"]


@pytest.mark.parametrize(("rule", "plant"), TRADED, ids=[case[0] for case in TRADED])
def test_a_fault_planted_in_an_exchange_market_is_found(
    traded: Book, rule: str, plant: Callable[[Book], object]
) -> None:
    plant(traded)
    with pytest.raises(AssertionError):
        invariants.check(traded)
    assert rule
