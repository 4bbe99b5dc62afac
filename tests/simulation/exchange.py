"""A seeded exchange: makers round a moving fair price, takers, cancellers and traders of batches, until all is settled.

Beside it stands a plain account book (tests/core/exchange/watch.py): from what was said of orders and results alone it
knows what each position comes to. `python -m tests.simulation.exchange SEED STEPS CUSTOMERS` plays a larger one.
"""

from __future__ import annotations

import sys
from collections import Counter
from random import Random
from typing import Any

from core import snapshot
from core.exchange.ladder import LADDERS
from core.messages import commands as co
from core.messages import events as ev
from core.messages.answers import Answer, Cancelled, OrderReport, OrderReports, Rejected
from core.messages.results import Result
from core.messages.terms import ExchangeTerms
from tests.core.exchange.watch import Watch
from tests.core.world import World

BROUGHT_M = 100_000
LIMITS = {"order_stake_min_m": 10, "slice_max": 500}
MARKETS: dict[str, tuple[int, int, int, ExchangeTerms]] = {
    "match/winner": (3, 1, 0, ExchangeTerms(commission_bp=200)),
    "match/goals": (2, 1, 5, ExchangeTerms("FINEST", commission_bp=500, passive_exempt=True)),
    "race/win": (6, 1, 0, ExchangeTerms(commission_bp=700, starting_price=True)),
    "race/places": (6, 3, 5, ExchangeTerms(commission_bp=250, cross=False)),
}
"""Path -> selections, winners, delay, terms."""


class Floor:
    """The markets, and all who trade in them."""

    def __init__(self, seed: int, customers: int) -> None:
        self.where = f"seed {seed}, {customers} customers"
        self.random = Random(seed)
        self.world = World(**LIMITS)
        self.watch = Watch(self.world)
        self.said: Counter[str] = Counter()
        self.customers = [f"customer-{number}" for number in range(customers)]
        for name in self.customers:
            self.world.customer(name, BROUGHT_M)
        self.names = {path: "abcdef"[:count] for path, (count, *_) in MARKETS.items()}
        self.fair: dict[tuple[str, str], int] = {}
        for path, (count, winners, delay_ms, terms) in MARKETS.items():
            more = {"winners": winners, "delay_ms": delay_ms, "exchange": terms}
            self.world.defined(path, dict.fromkeys(self.names[path], 20_000), **more)
            for name in self.names[path]:
                rung = LADDERS[terms.ladder].rung(10_000 * count // winners)
                assert isinstance(rung, int), path
                self.fair[path, name] = rung
        self.orders: list[tuple[str, str, str]] = []
        """(path, customer, order)."""

    def play(self, steps: int) -> None:
        """So many commands, time passing between them; two of the markets turn in play on the way."""
        for step in range(steps):
            kind = self.random.choices(("make", "take", "cancel", "batch", "kill"), (50, 25, 15, 5, 5))[0]
            getattr(self, f"_{kind}")()
            if self.random.random() < 0.2:
                self._move()
            if step in {steps // 3, steps // 2}:
                path = ("race/win", "match/goals")[step == steps // 2]
                assert not isinstance(self.world.desk(co.TurnInPlay, path), Rejected), self.where
            if step == steps // 2:
                self._withdraw("race/win", "f")
            if step % max(1, steps // 8) == 0:
                self.world.run()
                self.watch.follow()

    def close(self) -> None:
        """Results, a correction of one, a rollback of another; then every reservation has come back."""
        for path, (_, winners, _, _) in MARKETS.items():
            self._settle(path, self.random.sample(self.names[path][:5], winners))
        self._settle("match/winner", [self._other("match/winner")])
        self.world.roll_back("race/places")
        self.watch.follow()
        self._settle("race/places", self.random.sample(self.names["race/places"], 3))
        self.world.check()

    def _settle(self, path: str, winners: list[str]) -> None:
        self.world.settle(path, *(Result(name, 1) for name in winners))
        self.watch.follow()

    def _other(self, path: str) -> str:
        selections = self.world.at(path).selections
        return next(name for name in self.names[path] if not (result := selections[name].result) or not result.result)

    def _withdraw(self, path: str, selection: str) -> None:
        self.world.wait(1)
        fields = {"price": 0, "at_ms": self.world.now, "reduction_bp": 1_500}
        self.world.desk(co.WithdrawSelection, path, selection=selection, **fields)
        self.world.run()

    def _move(self) -> None:
        """Time passes, and a fair price moves."""
        self.world.wait(self.random.randint(1, 10))
        self.world.tick()
        key = self.random.choice(list(self.fair))
        self.fair[key] += self.random.choice((-1, 1))

    # Customers.

    def _make(self) -> None:
        """An order beside the fair price."""
        self._order(self.random.randint(1, 6))

    def _take(self) -> None:
        """An order beyond it."""
        self._order(-self.random.randint(0, 4))

    def _kill(self) -> None:
        self._order(-self.random.randint(0, 2), fill_or_kill=True, fill_min_m=10)

    def _order(self, away: int, **more: Any) -> None:
        path = self.random.choice(list(MARKETS))
        customer, place = self._wish(path, away)
        fixture, market = path.split("/")
        where = {"fixture": fixture, "market": market, "customer": customer}
        answer = self.world.command(co.PlaceOrder, **where, **place, **more)
        self._heard(answer, path, customer)

    def _wish(self, path: str, away: int) -> tuple[str, dict[str, Any]]:
        selection, side = self.random.choice(self.names[path]), self.random.choice(("back", "lay"))
        prices = LADDERS[MARKETS[path][3].ladder].prices
        price = prices[self.fair[path, selection] + (away if side == "back" else -away)]
        persistences = ["lapse", "persist", "persist"]
        exchange = self.world.at(path).exchange
        assert exchange is not None
        if exchange.terms.starting_price and not exchange.in_play:
            persistences.append("on_close")
        name = f"o{len(self.orders)}"
        wish: dict[str, Any] = {"id": name, "selection": selection, "side": side, "price": price}
        wish |= {"stake_m": self.random.choice((10, 77, 500, 1_000, 2_345, 9_999))}
        wish |= {"persistence": self.random.choice(persistences)}
        customer = self.random.choice(self.customers)
        self.orders.append((path, customer, name))
        return customer, wish

    def _cancel(self) -> None:
        if self.orders:
            path, customer, order = self.random.choice(self.orders[-200:])
            self._heard(self.world.command(co.CancelOrder, customer=customer, order=order), path, customer)

    def _batch(self) -> None:
        path = self.random.choice(list(MARKETS))
        wishes = [self._wish(path, self.random.randint(-2, 5)) for _ in range(self.random.randint(1, 10))]
        customer = wishes[0][0]
        for number in range(len(wishes)):
            self.orders[-1 - number] = path, customer, self.orders[-1 - number][2]
        mine = [order for where, owner, order in self.orders[: -len(wishes)] if (where, owner) == (path, customer)]
        places = [co.Place(**wish) for _, wish in wishes]
        cancels = [co.Cancel(order) for order in mine[-2:]]
        fixture, market = path.split("/")
        fields = {"fixture": fixture, "market": market, "atomic": self.random.random() < 0.5}
        answer = self.world.command(co.BatchOrders, customer=customer, instructions=(*cancels, *places), **fields)
        self._heard(answer, path, customer)

    def _heard(self, answer: Answer | None, path: str, customer: str) -> None:
        """What was answered, and that it is what the account book has read of it."""
        reports = answer.reports if isinstance(answer, OrderReports) else (answer,)
        for report in reports:
            self.said[report.reason if isinstance(report, Rejected) else type(report).__name__] += 1
        if not isinstance(answer, Rejected):
            self.watch.read_on()
        for report in reports if len(reports) == 1 else ():
            if isinstance(report, OrderReport):
                order = self.watch.orders[report.id]
                assert (report.matched_m, report.lapsed_m) == (order.matched_m, order.gone_m), (self.where, path)
                assert order.customer == customer, (self.where, path)
            elif isinstance(report, Cancelled):
                assert report.stake_m > 0, (self.where, path)

    def sums(self) -> tuple[int, int, int]:
        """What customers have, what is left with the house, and its commission."""
        house = self.world.book.house
        held = [self.world.of(name) for name in self.customers]
        assert {(each.exposure_m, each.resting) for each in held} == {(0, 0)}, self.where
        cash_m = sum(each.cash_m for each in held)
        return cash_m, house["house:exchange", "EUR"], house["house:commission", "EUR"]


def played(seed: int, steps: int, customers: int) -> Floor:
    floor = Floor(seed, customers)
    try:
        floor.play(steps)
        floor.close()
    except AssertionError as problem:
        problem.add_note(floor.where)
        raise
    return floor


def main() -> None:
    floor = played(*map(int, sys.argv[1:4]))
    events = floor.world.events
    fills = sum(len(event.fills) for event in events if isinstance(event, ev.OrderPlaced))
    matches = {"fills": fills, "crosses": floor.watch.crosses, "closes": floor.watch.closes}
    print(snapshot.state_hash(floor.world.book), len(events), matches, floor.sums(), dict(floor.said))  # noqa: T201


if __name__ == "__main__":
    main()
