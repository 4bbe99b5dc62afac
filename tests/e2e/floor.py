"""An exchange market over the public protocol: its customers, and readers who follow its books and their orders.

The customers back and lay around a price that stays, so that all kinds of things happen at all times: matches, direct
and across selections, orders that rest, wait for their delay or for the starting price, batches that are taken in part.
They know of their orders what they were told, so they also ask for what has long been matched.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from nats.aio.client import Client

from core.exchange.ladder import LADDERS
from core.messages import commands as co
from core.messages.answers import OrderReport, OrderReports
from core.messages.results import Result
from core.messages.terms import ExchangeTerms
from tests.adapters.engine.following import BookFollower, OrderFollower

if TYPE_CHECKING:
    from tests.e2e.load import Asked, Load

FIXTURE, MARKET = PLACE = "race", "winner"
SELECTIONS: Final = ("red", "green", "blue")
TERMS: Final = ExchangeTerms(commission_bp=500, starting_price=True)
DELAY_MS = 100
"""Of orders in play: some are under way whenever something dies."""
_PRICES: Final = LADDERS[TERMS.ladder].prices
_FAIR: Final = _PRICES.index(30_000)
_KNOWN_MAX = 200
"""Orders that the customers remember; the oldest are forgotten, done or not."""
_RESTING = ("resting", "waiting")


@dataclass(frozen=True)
class Own:
    """An order that a customer believes is there."""

    id: str
    customer: str


class Floor:
    """One market, and all who trade in it."""

    def __init__(self, load: Load, client: Client) -> None:
        """`client` is the readers' own."""
        self.load = load
        self.book = BookFollower(client, *PLACE)
        self.orders = {customer: OrderFollower(client, customer, *PLACE) for customer in load.customers}
        self.asked: list[Asked] = []
        """All commands of this floor's customers."""
        self._known: deque[Own] = deque(maxlen=_KNOWN_MAX)
        self._heard = 0
        """So many of `asked` have been looked at."""
        self._turned = False
        self._keeping: list[asyncio.Task[None]] = []
        wishes: list[tuple[int, Callable[[random.Random], list[Asked]]]] = [
            (50, self._one),
            (10, self._several),
            (12, self._cancel),
            (6, self._reduce),
            (10, self._replace),
            (10, self._batch),
            (2, self._cancel_all),
        ]
        self._weights, self._wishes = zip(*wishes, strict=True)

    async def open(self) -> None:
        """The desk defines it; readers come."""
        names = tuple(co.NamedSelection(each, each) for each in SELECTIONS)
        fixture = co.DefineFixture(*self._head("fixture"), "anna", FIXTURE, "Race", "racing", "Cup", 4 * 10**12)
        await self._desk("desk.fixture.define", fixture)
        market = co.DefineMarket(
            *self._head("market"), "anna", *PLACE, "win", "Winner", names, delay_ms=DELAY_MS, exchange=TERMS
        )
        await self._desk("desk.market.define", market)
        await self._desk("desk.market.open", co.OpenMarket(*self._head("open"), "anna", *PLACE))
        for reader in self.readers:
            await reader.follow()
            self._keeping.append(asyncio.create_task(reader.keep()))

    @property
    def readers(self) -> list[BookFollower | OrderFollower]:
        return [self.book, *self.orders.values()]

    async def close(self) -> None:
        """The readers go."""
        for task in self._keeping:
            task.cancel()
        await asyncio.gather(*self._keeping, return_exceptions=True)

    async def stir(self) -> None:
        """Something happens to the whole market: its orders lapse at a suspension; the next time it turns in play."""
        if self._turned:
            return
        if any(asked.subject == "desk.market.suspend" for asked in self.load.asked.values()):
            self._turned = True
            await self._desk("desk.market.in-play", co.TurnInPlay(*self._head("turn"), "anna", *PLACE))
            return
        suspend = co.SuspendMarket(*self._head("suspend"), "anna", *PLACE, lapse=True)
        await self._desk("desk.market.suspend", suspend)
        await self._desk("desk.market.open", co.OpenMarket(*self._head("open"), "anna", *PLACE))

    async def settle(self, rng: random.Random) -> tuple[Result, ...]:
        """One selection wins."""
        winner = rng.choice(SELECTIONS)
        results = tuple(Result(each, 1 if each == winner else 0) for each in SELECTIONS)
        await self._desk("desk.market.settle", co.SettleMarket(*self._head("settle"), "anna", *PLACE, results))
        return results

    async def _desk(self, subject: str, command: co.Command) -> None:
        asked = self.load.new(subject, command)
        await self.load.ask([asked])
        assert asked.accepted, asked.answers

    # What customers want.

    def wish(self, rng: random.Random) -> list[Asked]:
        """The next commands of a customer, for one message."""
        self._look()
        (wish,) = rng.choices(self._wishes, self._weights)
        found: list[Asked] = wish(rng)
        self.asked += found
        return found

    def _look(self) -> None:
        """Remember what rests by the answers that have come."""
        while self._heard < len(self.asked) and self.asked[self._heard].answers:
            asked = self.asked[self._heard]
            self._heard += 1
            command: Any = asked.command
            reports = asked.answer.reports if isinstance(asked.answer, OrderReports) else (asked.answer,)
            for report in reports:
                if isinstance(report, OrderReport) and report.status in _RESTING:
                    self._known.append(Own(report.id, command.customer))

    def _one(self, rng: random.Random) -> list[Asked]:
        return [self._place(rng)]

    def _several(self, rng: random.Random) -> list[Asked]:
        return [self._place(rng) for _ in range(rng.randint(2, 5))]

    def _place(self, rng: random.Random) -> Asked:
        customer, head = rng.choice(self.load.customers), self._head("order")
        return self.load.new("order.place", co.PlaceOrder(*head, customer, *PLACE, **self._order(rng)))

    def _order(self, rng: random.Random) -> dict[str, Any]:
        """Mostly near the fair price; some for the close, all or nothing, too small or large, off the ladder."""
        side, dice = rng.choice(("back", "lay")), rng.random()
        away = rng.randint(-2, 6)
        wish: dict[str, Any] = {"selection": rng.choice(SELECTIONS), "side": side, "stake_m": rng.randint(100, 5_000)}
        wish["price"] = _PRICES[_FAIR + (away if side == "back" else -away)]
        wish["persistence"] = rng.choice(("lapse", "persist", "on_close"))
        if dice < 0.1:
            wish |= {"kind": "on_close", "price": rng.choice((0, wish["price"]))}
        elif dice < 0.2:
            wish |= {"fill_or_kill": True, "fill_min_m": rng.choice((0, 50))}
        elif dice < 0.23:
            wish["stake_m"] = 5
        elif dice < 0.26:
            wish["price"] += 1
        elif dice < 0.28:
            wish["stake_m"] = 10**10
        return wish

    def _own(self, rng: random.Random) -> Own:
        return rng.choice(self._known) if self._known else Own("none", rng.choice(self.load.customers))

    def _cancel(self, rng: random.Random) -> list[Asked]:
        own = self._own(rng)
        return [self.load.new("order.cancel", co.CancelOrder(*self._head("cancel"), own.customer, own.id))]

    def _reduce(self, rng: random.Random) -> list[Asked]:
        own, by_m = self._own(rng), rng.randint(1, 3_000)
        return [self.load.new("order.reduce", co.ReduceOrder(*self._head("reduce"), own.customer, own.id, by_m))]

    def _replace(self, rng: random.Random) -> list[Asked]:
        own, price = self._own(rng), _PRICES[_FAIR + rng.randint(-6, 6)]
        return [self.load.new("order.replace", co.ReplaceOrder(*self._head("replace"), own.customer, own.id, price))]

    def _cancel_all(self, rng: random.Random) -> list[Asked]:
        where = rng.choice(((), (FIXTURE,), PLACE))
        command = co.CancelOrders(*self._head("all"), rng.choice(self.load.customers), *where)
        return [self.load.new("order.cancel-all", command)]

    def _batch(self, rng: random.Random) -> list[Asked]:
        """Of one customer: mostly orders, and what becomes of those he has."""
        customer, head = rng.choice(self.load.customers), self._head("batch")
        instructions = tuple(self._instructions(rng, customer, head[0]))
        batch = co.BatchOrders(*head, customer, *PLACE, instructions, atomic=rng.random() < 0.3)
        return [self.load.new("order.batch", batch)]

    def _instructions(self, rng: random.Random, customer: str, batch: str) -> Iterator[co.Instruction]:
        for own in [own for own in self._known if own.customer == customer][-rng.randint(1, 3) :]:
            dice = rng.random()
            if dice < 0.4:
                yield co.Cancel(own.id)
            elif dice < 0.7:
                yield co.Reduce(own.id, rng.randint(1, 1_000))
            else:
                yield co.Replace(f"{batch}-{own.id}"[-64:], own.id, _PRICES[_FAIR + rng.randint(-6, 6)])
        for number in range(rng.randint(1, 5)):
            yield co.Place(f"{batch}-{number}", **self._order(rng))

    def _head(self, kind: str) -> tuple[str, int]:
        return self.load.head(kind)
