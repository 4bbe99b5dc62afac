"""The exchange as properties: whatever is sent, no money, order or exposure is lost, and nobody gets a worse price."""

from __future__ import annotations

import os
from fractions import Fraction
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import snapshot
from core.book import Book
from core.engine import Engine
from core.exchange.ladder import LADDERS, Side
from core.messages import commands as co
from core.messages import events as ev
from core.messages.answers import Rejected
from core.messages.results import Result
from core.messages.terms import ExchangeTerms
from tests.core.exchange.plain import PlainBook
from tests.core.exchange.watch import Watch
from tests.core.world import World, journalled, replayed

BROUGHT_M = {"ann": 40_000, "bob": 40_000, "cid": 2_000, "dot": 5_000}
"""Two of them are often at the end of their money."""
CUSTOMERS = tuple(BROUGHT_M)
SELECTIONS = "abcdef"
PATH = "race/win"
PLACE = {"fixture": "race", "market": "win"}
LIMITS = {"order_stake_min_m": 1, "slice_max": 2, "orders_customer_max": 8}
EXAMPLES = int(os.environ.get("EXCHANGE_EXAMPLES", "200"))

STAKES = (1, 7, 60, 90, 100, 300, 999, 1_000, 2_700)
WEIGHTS = {
    "place": 60,
    "kill": 6,
    "place on close": 6,
    "cancel": 5,
    "cancel all": 1,
    "reduce": 5,
    "replace": 7,
    "batch": 8,
    "settle": 0.5,
    "void": 0.1,
    "cancel window": 0.3,
    "roll back": 5,
    "withdraw": 0.7,
    "turn": 1,
    "suspend": 1,
    "open": 4,
    "wait": 6,
    "run": 8,
    "rebuild": 2,
    "check": 2,
}


def wish(random: Random, name: str) -> tuple[Any, ...]:
    """What this action is about."""
    if name == "place":
        return name, random.choice(CUSTOMERS), _order(random, random.choice(STAKES))
    if name == "kill":
        return name, random.choice(CUSTOMERS), _order(random, random.randint(1, 60)), random.randint(0, 40)
    if name == "place on close":
        return name, random.choice(CUSTOMERS), _order(random, random.choice(STAKES)), random.random() < 0.5
    if name == "cancel all":
        return name, random.choice(CUSTOMERS)
    if name == "batch":
        kinds = random.choices(("place", "cancel", "reduce", "replace"), (6, 1, 1, 1), k=random.randint(1, 5))
        steps = [
            ("place", _order(random, random.choice(STAKES))) if kind == "place" else wish(random, kind)
            for kind in kinds
        ]
        return name, random.choice(CUSTOMERS), random.random() < 0.5, steps
    rest: dict[str, tuple[Any, ...]] = {
        "cancel": (random.randrange(60),),
        "reduce": (random.randrange(60), random.choice(STAKES)),
        "replace": (random.randrange(60), random.randrange(9)),
        "settle": (random.randrange(6), random.choice((1, 1, 2, 3, 4))),
        "cancel window": (random.randint(0, 40), random.choice((0, 1, 20, 40))),
        "roll back": (random.choice(("results", "results", "cancel")),),
        "withdraw": (random.randrange(6), random.choice((0, 200, 250, 2_500, 9_990))),
        "suspend": (random.random() < 0.5,),
        "wait": (random.randint(1, 30),),
    }
    return name, *rest.get(name, ())


def _order(random: Random, stake_m: int) -> tuple[Any, ...]:
    persistence = random.choice(("lapse", "persist", "on_close"))
    return random.randrange(6), random.choice(("back", "lay")), stake_m, random.randrange(9), persistence


def actions(seed: int, count: int) -> list[tuple[Any, ...]]:
    random = Random(seed)
    return [wish(random, name) for name in random.choices(list(WEIGHTS), list(WEIGHTS.values()), k=count)]


ACTIONS = st.builds(actions, st.integers(0, 2**32), st.integers(1, 150))
MARKETS = st.fixed_dictionaries(
    {
        "count": st.integers(2, 6),
        "winners": st.sampled_from((1, 1, 1, 2, 3)),
        "delay_ms": st.sampled_from((0, 0, 10)),
        "base": st.sampled_from((0, 0, 1)),
        "terms": st.builds(
            ExchangeTerms,
            ladder=st.sampled_from(("CLASSIC", "FINEST")),
            commission_bp=st.sampled_from((0, 200, 700)),
            cross=st.sampled_from((True, True, False)),
            passive_exempt=st.booleans(),
            starting_price=st.booleans(),
        ),
    }
)


class Pit:
    """One exchange market, and what its customers and the desk do there; followed after every command."""

    def __init__(self, market: dict[str, Any], make_book: Any = None) -> None:
        self.world = World(**LIMITS)
        if make_book is not None:
            self.world.book.make_book = make_book
        self.watch = Watch(self.world)
        self.names = SELECTIONS[: market["count"]]
        self.winners = min(market["winners"], len(self.names))
        self.base = market["base"]
        self.closes = market["terms"].starting_price
        self.ladder = LADDERS[market["terms"].ladder]
        for name, brought_m in BROUGHT_M.items():
            self.world.customer(name, brought_m)
        self.world.defined(
            PATH,
            dict.fromkeys(self.names, 20_000),
            winners=self.winners,
            delay_ms=market["delay_ms"],
            exchange=market["terms"],
        )
        self.orders: list[tuple[str, str]] = []
        """(customer, order)."""
        self.watch.follow()

    def do(self, action: tuple[Any, ...]) -> None:
        """One action; whether it works is not the question, but what holds after it is."""
        name, *rest = action
        before = {each: self.world.cash(each) for each in CUSTOMERS}
        getattr(self, "_" + name.replace(" ", "_"))(*rest)
        self.watch.follow()
        for each, cash_m in before.items():
            # Only a settlement, its correction, and a match that is void or stands at another price may owe money.
            assert self.world.cash(each) >= min(0, cash_m) - self.watch.paid_back[each], each

    # Customers.

    def _price(self, rung: int) -> int:
        """Nine prices round what would be fair, so that orders meet, and imply each other."""
        fair = (len(self.names) + self.base) * 10_000 // self.winners
        first = self.ladder.rung(max(12_000, self.ladder.against_taker(Side.BACK, fair) or 0))
        assert isinstance(first, int)
        step = 1 if self.ladder.name == "CLASSIC" else 25
        return self.ladder.prices[first + (rung - 4) * step]

    def _named(self, number: int) -> str:
        return self.names[number % len(self.names)]

    def _own(self, number: int) -> tuple[str, str]:
        """A customer and an order of his, mostly a late one."""
        return self.orders[-1 - number % len(self.orders)] if self.orders else ("ann", "none")

    def _next(self, customer: str) -> str:
        name = f"o{len(self.orders)}"
        self.orders.append((customer, name))
        return name

    def _place(self, customer: str, placing: tuple[Any, ...], **more: Any) -> None:
        number, side, stake_m, rung, persistence = placing
        levels = self._levels(self._named(number), side)
        taken = {"selection": self._named(number), "side": side, "stake_m": stake_m, "price": self._price(rung)}
        if persistence == "on_close" and not self.closes:
            persistence = "lapse"
        taken |= {"persistence": persistence, **more}
        first = len(self.world.events)
        self.world.command(co.PlaceOrder, id=self._next(customer), customer=customer, **PLACE, **taken)
        for event in self.world.events[first:]:
            if isinstance(event, ev.OrderPlaced) and not event.on_close:
                self._check_price(event, levels, fill_or_kill="fill_or_kill" in more)

    def _kill(self, customer: str, placing: tuple[Any, ...], least_m: int) -> None:
        self._place(customer, placing, fill_or_kill=True, fill_min_m=min(least_m, placing[2]))

    def _place_on_close(self, customer: str, placing: tuple[Any, ...], limited: bool) -> None:  # noqa: FBT001
        if self.closes:
            more = {} if limited else {"price": 0}
            self._place(customer, placing, kind="on_close", **more)

    def _levels(self, selection: str, side: str) -> list[tuple[int, int]]:
        """What rests for a taker."""
        exchange = self.world.at(PATH).exchange
        assert exchange is not None
        book = exchange.books.get(selection)
        return [] if book is None else book.levels(Side.LAY if side == "back" else Side.BACK)

    @staticmethod
    def _check_price(event: ev.OrderPlaced, levels: list[tuple[int, int]], *, fill_or_kill: bool) -> None:
        """No worse than the limit, and not in any part worse than what the best direct orders would have given."""
        sign = 1 if event.side == Side.BACK else -1
        taken = [(fill.price, fill.stake_m) for fill in event.fills]
        taken.extend((cross.price, cross.stake_m) for cross in event.crosses)
        if fill_or_kill:
            assert event.lapsed_m + sum(stake_m for _, stake_m in taken) == event.stake_m, event
            if taken:
                average = Fraction(sum(price * m for price, m in taken), sum(m for _, m in taken))
                assert sign * (average - event.price) >= 0, event
            return
        assert all(sign * (price - event.price) >= 0 for price, _ in taken), event
        taken.sort(key=lambda each: sign * each[0], reverse=True)
        for price, stake_m in taken:
            left_m = stake_m
            while left_m and levels:
                offered, rests_m = levels[0]
                assert sign * (price - offered) >= 0, "a worse price than what rested"
                given_m = min(left_m, rests_m)
                left_m -= given_m
                levels = [(offered, rests_m - given_m), *levels[1:]] if given_m < rests_m else levels[1:]
        if not event.lapsed_m and levels and sum(m for _, m in taken) < event.stake_m:
            direct = [price for price, _ in levels if sign * (price - event.price) >= 0]
            assert not direct or event.crosses, "something would have been matched"

    def _cancel(self, number: int) -> None:
        customer, order = self._own(number)
        self.world.command(co.CancelOrder, customer=customer, order=order)

    def _cancel_all(self, customer: str) -> None:
        self.world.command(co.CancelOrders, customer=customer)
        assert not self.world.of(customer).resting

    def _reduce(self, number: int, by_m: int) -> None:
        customer, order = self._own(number)
        self.world.command(co.ReduceOrder, customer=customer, order=order, by_m=by_m)

    def _replace(self, number: int, rung: int) -> None:
        customer, order = self._own(number)
        self.world.command(
            co.ReplaceOrder, id=self._next(customer), customer=customer, order=order, price=self._price(rung)
        )

    def _batch(self, customer: str, atomic: bool, wanted: list[tuple[Any, ...]]) -> None:  # noqa: FBT001
        mine = [order for owner, order in self.orders if owner == customer] or ["none"]
        instructions = tuple(self._instruction(customer, mine, *each) for each in wanted)
        before, first = snapshot.state_hash(self.world.book), len(self.world.events)
        answer = self.world.command(
            co.BatchOrders, customer=customer, instructions=instructions, atomic=atomic, **PLACE
        )
        steps = [
            step for event in self.world.events[first:] if isinstance(event, ev.OrderBatch) for step in event.steps
        ]
        if isinstance(answer, Rejected):
            assert not steps
            assert snapshot.state_hash(self.world.book) != before, "the refusal itself is kept"
        else:
            assert len(steps) == len(instructions)
            assert not (atomic and any(isinstance(step, ev.OrderRefused) for step in steps))

    def _instruction(self, customer: str, mine: list[str], do: str, *rest: Any) -> co.Instruction:
        if do == "place":
            number, side, stake_m, rung, persistence = rest[0]
            if persistence == "on_close" and not self.closes:
                persistence = "persist"
            place = self._next(customer), self._named(number), side, stake_m, self._price(rung)
            return co.Place(*place, persistence=persistence)
        order = mine[-1 - rest[0] % len(mine)]
        if do == "cancel":
            return co.Cancel(order)
        if do == "reduce":
            return co.Reduce(order, rest[1])
        return co.Replace(self._next(customer), order, self._price(rest[1]))

    # The desk, and time.

    def _settle(self, first: int, sharing: int) -> None:
        """As many of those that run win as do, from one on; or more, and they share it."""
        running = self._running()
        least = min(self.winners, len(running))
        count = max(least, min(sharing, len(running)))
        shown = {running[(first + number) % len(running)] for number in range(count)}
        heat = (1, 1) if count == least else (least, count)
        results = tuple(Result(name, 1 if name in shown else 0, 0, *heat) for name in self.names)
        self.world.desk(co.SettleMarket, PATH, results=results)

    def _running(self) -> list[str]:
        selections = self.world.at(PATH).selections
        return [name for name in self.names if not selections[name].withdrawn_ms]

    def _void(self) -> None:
        self.world.desk(co.SettleMarket, PATH, results=tuple(Result(name, 0, 10_000) for name in self.names))

    def _cancel_window(self, ago_ms: int, for_ms: int) -> None:
        start = self.world.now - ago_ms
        self.world.desk(co.CancelMarket, PATH, reason="", from_ms=start, to_ms=for_ms and start + for_ms)

    def _roll_back(self, what: str) -> None:
        self.world.desk(co.RollBackMarket, PATH, what=what, reason="")

    def _withdraw(self, number: int, reduction_bp: int) -> None:
        """One of those that run, while two others do."""
        running = self._running()
        self.world.wait(1)
        if len(running) > max(2, self.winners):
            fields = {"price": 0, "at_ms": self.world.now, "reduction_bp": reduction_bp}
            self.world.desk(co.WithdrawSelection, PATH, selection=running[number % len(running)], **fields)

    def _turn(self) -> None:
        self.world.desk(co.TurnInPlay, PATH)

    def _suspend(self, lapse: bool) -> None:  # noqa: FBT001
        self.world.desk(co.SuspendMarket, PATH, lapse=lapse)

    def _open(self) -> None:
        self.world.desk(co.OpenMarket, PATH)

    def _wait(self, ms: int) -> None:
        self.world.wait(ms)
        self.world.tick()

    def _run(self) -> None:
        self.world.run()

    def _rebuild(self) -> None:
        """The engine dies; the next one has the journal, and the same kind of books."""
        engine = Engine(self.world.engine.limits)
        engine.book.make_book = self.world.book.make_book
        for event in journalled(self.world.events):
            engine.apply(event)
        assert snapshot.state_hash(engine.book) == snapshot.state_hash(self.world.book)
        self.world.engine = engine
        self.world.events.append(engine.start("next", "0.1.0", self.world.now))

    def _check(self) -> None:
        """What lives is what the journal makes, and what a snapshot says."""
        live = snapshot.state_hash(self.world.book)
        assert snapshot.state_hash(snapshot.restore(snapshot.encode(self.world.book))) == live
        assert snapshot.state_hash(replayed(self.world.events)) == live

    def end(self) -> None:
        """All is settled: every reservation has come back, and what was paid in is there."""
        if not self.world.at(PATH).settled:
            self.do(("settle", 0, 1))
        self.do(("run",))
        self.do(("check",))
        book = self.world.book
        customers = [self.world.of(name) for name in CUSTOMERS]
        assert {(each.exposure_m, each.resting) for each in customers} == {(0, 0)}
        house = {account: balance_m for (account, _), balance_m in book.house.items() if "clearing" not in account}
        assert house.keys() <= {"house:exchange", "house:commission"}
        assert sum(each.cash_m for each in customers) + sum(house.values()) == sum(BROUGHT_M.values())
        assert house.get("house:exchange", 0) >= 0
        assert house.get("house:commission", 0) >= 0
        if not (self.watch.crosses or self.watch.closes):
            assert not house.get("house:exchange", 0)


@settings(max_examples=EXAMPLES)
@given(MARKETS, ACTIONS)
def test_whatever_is_done_all_is_conserved(market: dict[str, Any], wished: list[tuple[Any, ...]]) -> None:
    pit = Pit(market)
    for action in wished:
        pit.do(action)
    pit.end()


@settings(max_examples=EXAMPLES // 3)
@given(MARKETS, ACTIONS)
def test_the_plain_book_makes_the_same_events_and_the_same_state(
    market: dict[str, Any], wished: list[tuple[Any, ...]]
) -> None:
    fast, plain = Pit(market), Pit(market, PlainBook)
    for action in wished:
        fast.do(action)
        plain.do(action)
        assert fast.world.events == plain.world.events
    assert snapshot.state_hash(fast.world.book) == snapshot.state_hash(plain.world.book)


def test_a_rebuilt_book_keeps_its_kind() -> None:
    """Else the property above would compare the fast book with itself."""
    pit = Pit({"count": 2, "winners": 1, "delay_ms": 0, "base": 0, "terms": ExchangeTerms()}, PlainBook)
    for action in (("place", "ann", (0, "back", 100, 4, "persist")), ("rebuild",)):
        pit.do(action)
    exchange = pit.world.at(PATH).exchange
    assert exchange is not None
    assert isinstance(exchange.books["a"], PlainBook)
    assert isinstance(pit.world.book, Book)


# What these properties have found.

TWO = {"count": 3, "winners": 1, "delay_ms": 10, "base": 0, "terms": ExchangeTerms(starting_price=True)}


@pytest.mark.parametrize(
    "found",
    [
        # a starting price within the window of a cancel: its matches are void, so nothing is to be set aside for them
        (
            ("place", "ann", (0, "back", 90, 2, "on_close")),
            ("place on close", "bob", (0, "lay", 100, 3, "lapse"), True),
            ("cancel window", 6, 40),
            ("run",),
            ("turn",),
            ("run",),
        ),
        # an order that waits for its delay on a selection that is withdrawn: nothing can come of it
        (("turn",), ("run",), ("place", "dot", (2, "lay", 60, 6, "persist")), ("withdraw", 2, 0), ("run",)),
    ],
)
def test_nothing_is_set_aside_for_what_can_cost_nothing(found: tuple[tuple[Any, ...], ...]) -> None:
    pit = Pit(TWO)
    for action in found:
        pit.do(action)
    assert [pit.world.of(name).exposure_m for name in CUSTOMERS] == [0, 0, 0, 0]
    pit.end()


def test_an_atomic_batch_that_replaces_where_orders_wait_is_refused_whole() -> None:
    pit = Pit(TWO)
    for action in (
        ("place", "ann", (2, "lay", 2_700, 0, "persist")),
        ("turn",),
        ("run",),
        ("batch", "ann", True, [("place", (0, "back", 60, 4, "persist")), ("replace", 0, 7)]),
        ("batch", "ann", True, [("replace", 2, 7)]),
    ):
        pit.do(action)
    assert [order.id for order in pit.world.book.orders.values()] == ["o0"]
