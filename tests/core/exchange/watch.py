"""What must hold of exchange markets after every command, kept from events alone, the plain way.

Nothing of core/exchange/positions.py or clearing.py is used: outcomes are enumerated, money is a Fraction until it is
rounded, and every order, match and result is what an event has said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import combinations
from math import ceil, floor
from typing import NamedTuple

from core import ledger
from core.book import Market, Persistence
from core.exchange.ladder import Side
from core.messages import events as ev
from core.messages.results import Result
from tests.core.world import World

BACK, LAY = Side.BACK, Side.LAY
Key = tuple[str, str]
"""(fixture, market)."""


@dataclass
class Placed:
    """An order, and where its stake has gone: it rests, was matched, or lapsed or was taken back."""

    customer: str
    key: Key
    selection: str
    side: int
    price: int
    asked_m: int
    resting_m: int = 0
    matched_m: int = 0
    gone_m: int = 0
    """Lapsed, taken back, or at the close: what then rested."""
    closed_m: int = 0
    """Matched at the starting price. Not less than that is in `gone_m`, but for a lay: there it is what it may lose."""
    persists: bool = False
    """At the turn in-play."""
    on_close: bool = False
    """It waits for the starting price; of a lay all but `matched_m` is what it may lose."""

    @property
    def risk_m(self) -> int:
        """What can be lost on what rests."""
        if self.side == BACK or self.on_close:
            return self.resting_m
        return self.resting_m * self.price // 10_000 - self.resting_m


class Part(NamedTuple):
    """One side of a match."""

    ts_ms: int
    number: int
    """Of the event."""
    customer: str
    selection: str
    side: int
    price: int
    stake_m: int
    across: bool
    """The house stood between, in a match across selections."""
    close: bool = False
    """Or at the starting price."""

    def payout_m(self, price: Fraction) -> int:
        """What a winning stake is paid, or costs its layer: rounded down, but up for layers at the starting price."""
        return (ceil if self.close and self.side == LAY else floor)(self.stake_m * price)


@dataclass
class Known:
    """What is known of a market."""

    winners: int
    selections: list[str]
    results: dict[str, Result] = field(default_factory=dict)
    cancels: list[tuple[int, int]] = field(default_factory=list)
    withdrawn: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Selection -> (when, reduction)."""
    parts: list[Part] = field(default_factory=list)
    lapsing: list[Placed] = field(default_factory=list)
    """What rested at the turn in-play and was not to persist."""


class Record:
    """What events have said of exchange markets."""

    def __init__(self) -> None:
        self.read = 0
        """Events so far."""
        self.orders: dict[str, Placed] = {}
        self.markets: dict[Key, Known] = {}
        self.brought: Counter[str] = Counter()
        """Customer -> what he has paid in less what he was paid out."""
        self.paid_back: Counter[str] = Counter()
        """Customer -> by how much settlement may have lowered his cash since the last look."""
        self.crosses = 0
        self.closes = 0
        self.made: dict[tuple[str, str, str], tuple[tuple[int, int], dict[str, int], dict[Side, int]]] = {}
        """Starting prices that not all orders have taken yet: (price, time), what the rest gets, what was matched."""

    def take(self, event: ev.Event) -> None:
        """The next event."""
        self.read += 1
        self._read(event)

    def _read(self, event: ev.Event | ev.OrderRefused) -> None:
        if isinstance(event, ev.OrderBatch):
            for step in event.steps:
                self._read(step)
        elif isinstance(event, ev.Deposited):
            self.brought[event.customer] += event.amount_m
        elif isinstance(event, ev.OrderPlaced):
            self._placed(event)
        elif isinstance(event, ev.OrderPending):
            asked = event.command
            side = BACK if asked.side == "back" else LAY
            self._new(event.id, event, asked.selection, side, asked.price, asked.stake_m).resting_m = asked.stake_m
        elif isinstance(event, ev.OrdersCancelled):
            known = [self.orders[name] for name in event.orders]
            assert {(order.customer, order.key) for order in known} == {
                (event.customer, (event.fixture, event.market))
            }, event
            assert event.why != ev.Why.TURNED or not any(order.persists for order in known), event
            assert sum(map(take_back, known)) == event.stake_m > 0, event
        elif isinstance(event, ev.OrderReduced):
            order = self.orders[event.order]
            order.resting_m -= event.by_m
            order.gone_m += event.by_m
            assert order.resting_m > 0, event
        elif isinstance(event, ev.StartingPriceMatched):
            self._closed(event)
        else:
            self._market(event)

    def _market(self, event: ev.Event | ev.OrderRefused) -> None:
        if isinstance(event, ev.MarketDefined):
            names = [each.id for each in event.selections]
            self.markets[event.fixture, event.market] = Known(event.winners, names)
        elif isinstance(event, ev.MarketSettled):
            known = self.markets[event.fixture, event.market]
            known.results = {result.selection: result for result in event.results}
        elif isinstance(event, ev.MarketCancelled):
            self.markets[event.fixture, event.market].cancels.append((event.from_ms, event.to_ms))
        elif isinstance(event, ev.SelectionWithdrawn):
            said = event.at_ms, event.reduction_bp
            self.markets[event.fixture, event.market].withdrawn[event.selection] = said
        elif isinstance(event, ev.MarketRolledBack):
            known = self.markets[event.fixture, event.market]
            told: dict[str, dict[str, Result] | list[tuple[int, int]] | dict[str, tuple[int, int]]]
            told = {"results": known.results, "cancel": known.cancels, "withdrawals": known.withdrawn}
            told[event.what].clear()
        elif isinstance(event, ev.ExchangeCleared) and event.why == ev.Why.TURNED:
            key = event.fixture, event.market
            rests = [order for order in self.orders.values() if order.key == key and order.resting_m]
            self.markets[key].lapsing = [order for order in rests if not order.persists]
        elif isinstance(event, ev.PositionSettled):
            was_m, now_m = event.was_net_m - event.was_commission_m, event.net_m - event.commission_m
            self.paid_back[event.customer] += max(0, was_m - now_m) + max(0, event.exposure_m)

    def _new(
        self, name: str, event: ev.OrderPlaced | ev.OrderPending, selection: str, side: int, price: int, stake_m: int
    ) -> Placed:
        assert name not in self.orders, name
        key = event.fixture, event.market
        order = self.orders[name] = Placed(event.customer, key, selection, side, price, stake_m)
        return order

    def _placed(self, event: ev.OrderPlaced) -> None:
        if event.replaces:
            assert take_back(self.orders[event.replaces]) == event.stake_m, event
        if event.waited:
            order = self.orders[event.id]
            assert (order.resting_m, order.price, order.side) == (event.stake_m, event.price, event.side), event
        else:
            order = self._new(event.id, event, event.selection, event.side, event.price, event.stake_m)
        for fill in event.fills:
            self._matched(event, event.selection, fill.price, fill.stake_m, (fill,))
        for cross in event.crosses:
            self._cross(event, cross)
        order.on_close, order.persists = event.on_close, event.persistence == Persistence.PERSIST
        order.matched_m = sum(fill.stake_m for fill in event.fills) + sum(cross.stake_m for cross in event.crosses)
        order.gone_m = event.lapsed_m
        order.resting_m = event.stake_m - order.matched_m - order.gone_m
        assert order.resting_m >= 0, event

    def _matched(
        self, event: ev.OrderPlaced, selection: str, price: int, stake_m: int, makers: tuple[ev.Fill, ...]
    ) -> None:
        known = self.markets[event.fixture, event.market]
        head, across = (event.ts_ms, self.read), makers[0].selection != selection
        known.parts.append(Part(*head, event.customer, selection, event.side, price, stake_m, across))
        for fill in makers:
            maker = self.orders[fill.maker]
            assert (maker.customer, maker.selection, maker.price) == (fill.customer, fill.selection, fill.price), event
            assert maker.customer != event.customer, "a match with himself"
            assert (maker.side == event.side) == across, event
            assert 0 < fill.stake_m <= maker.resting_m, event
            assert fill.exposure_m <= 0, "a match costs a maker no more than what rested"
            maker.resting_m -= fill.stake_m
            maker.matched_m += fill.stake_m
            known.parts.append(
                Part(*head, maker.customer, maker.selection, maker.side, maker.price, fill.stake_m, across)
            )

    def _cross(self, event: ev.OrderPlaced, cross: ev.Cross) -> None:
        """The house stands between: whoever wins, it is left with nothing or with what rounding has left it."""
        self.crosses += 1
        known = self.markets[event.fixture, event.market]
        running = [name for name in known.selections if name not in known.withdrawn]
        assert sorted([event.selection, *(fill.selection for fill in cross.makers)]) == sorted(running), event
        self._matched(event, event.selection, cross.price, cross.stake_m, cross.makers)
        orders = [(cross.price, cross.stake_m), *((fill.price, fill.stake_m) for fill in cross.makers)]
        sign = 1 if event.side == BACK else -1
        stakes_m = sum(stake_m for _, stake_m in orders)
        for price, stake_m in orders:
            assert sign * (stakes_m - stake_m * price // 10_000) >= 0, event
        exact = {Fraction(stake_m * price, 10_000) for price, stake_m in orders}
        if len(exact) == 1 and sum(Fraction(10_000, price) for price, _ in orders) == 1:
            assert exact == {stakes_m}, event

    def _closed(self, event: ev.StartingPriceMatched) -> None:
        """One price, the same stakes on both sides, nobody above his limit or what he may lose."""
        known = self.markets[event.fixture, event.market]
        place = event.fixture, event.market, event.selection
        if event.made_ms:
            price, rest, stakes_m = self.made.pop(place)
            assert price == (event.price, event.made_ms), event
        else:
            price, rest, stakes_m = (event.price, event.ts_ms), dict(event.rest), dict.fromkeys(Side, 0)
        for closed in event.orders:
            assert not event.made_ms or rest.pop(closed.order) == closed.stake_m, event
            order = self.orders[closed.order]
            assert order.selection == event.selection, event
            if closed.stake_m:
                self.closes += 1
                stakes_m[Side(order.side)] += closed.stake_m
                head = price[1], self.read, order.customer, event.selection, order.side
                part = Part(*head, event.price, closed.stake_m, across=False, close=True)
                known.parts.append(part)
                loss_m = (
                    closed.stake_m
                    if order.side == BACK
                    else part.payout_m(Fraction(event.price, 10_000)) - closed.stake_m
                )
                assert loss_m <= order.risk_m, event
                if order.on_close and order.price:
                    assert event.price >= order.price if order.side == BACK else event.price <= order.price, event
            order.closed_m += closed.stake_m
            take_back(order)
        if rest:
            self.made[place] = price, rest, stakes_m
            return
        assert stakes_m[BACK] == stakes_m[LAY], event
        waiting = {
            name
            for name, order in self.orders.items()
            if order.on_close
            and order.resting_m
            and order.selection == event.selection
            and order.key == (event.fixture, event.market)
        }
        assert not waiting, "all of them are looked at"


class Watch(Record):
    """A world's exchange markets, followed event by event."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world

    def follow(self) -> None:
        """Read what has happened, and hold the world against it."""
        self.paid_back.clear()
        self.read_on()
        self.check()

    def read_on(self) -> None:
        """Read what has happened."""
        while self.read < len(self.world.events):
            self.take(self.world.events[self.read])

    # What must hold.

    def check(self) -> None:
        world = self.world
        assert set(ledger.sums(world.book).values()) <= {0}
        for key in self.markets:
            market = world.at("/".join(key))
            if market.exchange is not None:
                self._check_market(key, market)
        self._check_orders()
        for name, brought_m in self.brought.items():
            customer = world.of(name)
            held = list((customer.positions or {}).values())
            assert customer.exposure_m == sum(position.exposure_m for position in held), name
            assert customer.resting == sum(len(position.resting) for position in held), name
            won_m = sum(position.net_m - position.commission_m for position in held)
            assert customer.cash_m + customer.exposure_m == brought_m + won_m, name

    def _check_orders(self) -> None:
        book = self.world.book
        for name, order in self.orders.items():
            assert order.asked_m == order.resting_m + order.matched_m + order.gone_m, name
            held = book.orders.get(name)
            if held is None:
                assert not order.resting_m, name
                assert not order.matched_m + order.closed_m, name
            else:
                said = held.stake_m, held.matched_m, held.price, held.asked_m, held.customer
                assert said == (
                    order.resting_m,
                    order.matched_m + order.closed_m,
                    order.price,
                    order.asked_m,
                    order.customer,
                ), name
        assert book.orders.keys() <= self.orders.keys()
        parts = sum(len(known.parts) for known in self.markets.values())
        assert book.trades == parts

    def _check_market(self, key: Key, market: Market) -> None:
        exchange = market.exchange
        assert exchange is not None
        for book in exchange.books.values():
            book.check_invariants()
        listed = {order.id for book in exchange.books.values() for side in Side for order in book.resting(side)}
        listed |= {name for orders in exchange.on_close.values() for name in orders}
        mine = {name: order for name, order in self.orders.items() if order.key == key and order.resting_m}
        waiting = {name for name in mine if self.world.book.orders[name].waits is not None}
        assert listed == mine.keys() - waiting
        if exchange.clearing or exchange.closing or exchange.due:
            return
        assert not any(order.resting_m for order in self.markets[key].lapsing), "the turn in-play is done"
        by_customer: dict[str, list[Part]] = {}
        for part in self.markets[key].parts:
            by_customer.setdefault(part.customer, []).append(part)
        resting: dict[str, list[Placed]] = {}
        for order in mine.values():
            resting.setdefault(order.customer, []).append(order)
        assert by_customer.keys() | resting.keys() <= exchange.positions.keys()
        for name, position in exchange.positions.items():
            found = self.comes_to(key, by_customer.get(name, []), resting.get(name, []))
            commission_m = max(0, found[1]) * exchange.terms.commission_bp // 10_000
            assert (position.settled, position.net_m, position.exposure_m) == found, name
            assert position.commission_m == commission_m, name

    # What a position comes to, the plain way.

    def comes_to(self, key: Key, parts: list[Part], resting: list[Placed]) -> tuple[bool, int, int]:
        """(settled, net, exposure) of matches and of what rests."""
        known = self.markets[key]
        standing = [(part, price) for part in parts if (price := stands_at(known, part)) is not None]
        closed = known.results or any(not end for _, end in known.cancels)
        if closed and not parts:
            assert not resting, "no order outlives its market"
            return False, 0, 0
        if closed and (known.results or not standing):
            assert not resting, "no order outlives its market"
            return True, sum(net_m(known.results[part.selection], part, price) for part, price in standing), 0
        return False, 0, max(losses(known, standing, resting), default=0)


def take_back(order: Placed) -> int:
    """What rests of an order goes."""
    stake_m, order.resting_m = order.resting_m, 0
    order.gone_m += stake_m
    return stake_m


def losses(known: Known, standing: list[tuple[Part, int]], resting: list[Placed]) -> Iterator[int]:
    """What each outcome costs: unmatched + max(0, -matched) (RULEBOOK 4)."""
    running = [name for name in known.selections if name not in known.withdrawn]
    for winners in combinations(running, min(known.winners, len(running))):
        unmatched_m = matched_m = 0
        for order in resting:
            if (order.side == LAY) == (order.selection in winners):
                unmatched_m += order.risk_m
        for part, price in standing:
            paid_m = part.payout_m(Fraction(price, 10_000)) if part.selection in winners else 0
            matched_m += paid_m - part.stake_m if part.side == BACK else part.stake_m - paid_m
        yield unmatched_m + max(0, -matched_m)


def stands_at(known: Known, part: Part) -> int | None:
    """The price of a match by what is known (RULEBOOK 6, removed runner); None: it is void."""
    if any(start <= part.ts_ms and (not end or part.ts_ms < end) for start, end in known.cancels):
        return None
    price = part.price
    for name in known.selections:
        at_ms, reduction_bp = known.withdrawn.get(name, (0, 0))
        if at_ms and (name == part.selection or (part.across and part.ts_ms < at_ms)):
            return None
        if part.ts_ms < at_ms and (reduction_bp >= 250 or known.winners > 1):
            price = max(10_100, floor(price * Fraction(10_000 - reduction_bp, 10_000)))
    return price


def net_m(result: Result, part: Part, price: int) -> int:
    """What one side of a match has won; a payout is rounded down, one between the house and a layer up if parted."""
    void = Fraction(result.void_factor, 10_000)
    share = Fraction(result.dead_heat_places, result.dead_heat_sharing)
    payout = part.stake_m * (void + (1 - void) * result.result * share * Fraction(price, 10_000))
    if part.side == BACK:
        return floor(payout) - part.stake_m
    parted = part.close or (part.across and (result.void_factor or share != 1))
    return part.stake_m - (ceil(payout) if parted else floor(payout))
