"""What does the order book of one selection cost: orders that rest, that are matched, that are cancelled?

    a seeded list of operations (memory) -> OrderBook -> trade tape (memory), its checksum

The list is drawn before the clock runs, by a book that grows to some 2 500 orders and hovers there: 60 % new orders
that rest, 1 to 14 ticks beyond the best price of the other side and thickest near it; 20 % that cross and make some
three fills on the average; 20 % cancels of a random live order. Each pass has its own seed. Every order goes through
`place`, which decides by looking and then changes the book by what was decided, as the engine does with an event in
between; `replay` is the second half alone: orders and fills that are known, as they come from a journal.

In the same run the same list goes through a book as it is written first, of dictionaries: it decides and changes as it
goes, keeps no sums, makes no records. Both trade tapes must have the same checksum, and the ratio (above 1: it is
slower than the core's) is what compares between machines. Times are of the processor, not of the clock.
Not in the number: messages, customers' money, events, the ladder (`rung_us`, once an order). Aim: 1.2 M operations a
second.

Then the same list once more through `Engine.execute`, as commands of a thousand customers: who may, the ladder,
matching, exposure, events, apply, answers. Its trade tape must have the same checksum too; decoding, the journal and
the network are not in that number. Aim: 200 k operations a second.

That market has orders on one selection. `across_k_per_s` is what orders cost where all three have some, so that each
is held against what the other two imply: 85 % rest, 15 % cross. Exposures and money are checked afterwards.

`behind_small_3_ms`, on 3 selections, and `behind_small_20_ms`, on 20, are what the worst single order that was found
takes: it meets more small orders than it may step over (core/exchange/matching.py), none of which can be matched with
it in whole minor units at any price that is tried.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Iterable, Sequence
from time import process_time
from typing import Literal, NamedTuple, Protocol
from zlib import crc32

from bench import common
from core import invariants, ledger
from core.book import Position
from core.engine import Engine
from core.exchange.ladder import CLASSIC, Side
from core.exchange.orderbook import UNMATCHED, Fill, Match, OrderBook
from core.limits import Limits
from core.messages.answers import Done
from core.messages.commands import (
    CancelOrder,
    Command,
    DefineFixture,
    DefineMarket,
    Deposit,
    NamedSelection,
    OpenCustomer,
    OpenMarket,
    PlaceOrder,
)
from core.messages.events import Event, OrderPlaced
from core.messages.terms import ExchangeTerms

BACK, LAY = Side.BACK, Side.LAY
MIDDLE = CLASSIC.prices[170]
"""Where the first orders rest: 4.1."""
TICKS = 14
CUSTOMERS = [f"customer-{number}" for number in range(1_000)]
Placing = tuple[str, str, Side, int, int]
Operation = Placing | str
"""An order: id, customer, side, price, stake; or the id of one to cancel."""
Change = tuple[tuple[Fill, ...], Operation | None]
"""An operation decided: its fills, and the order that comes to rest, or goes."""
Trade = tuple[str, str, int, int]
"""Maker, taker, price, stake."""


class Size(NamedTuple):
    """How many operations are drawn, and round how many live orders."""

    operations: int
    live: int


FULL = Size(operations=200_000, live=2_500)
SMALL = Size(operations=4_000, live=200)


class Book(Protocol):
    """What can play a list: the book of the core, its plain twin in the tests."""

    def place(self, order_id: str, customer: str, side: Side, price: int, stake_m: int, /) -> Match: ...
    def cancel(self, order_id: str, /) -> int: ...


class Drawn(NamedTuple):
    """A list of operations, and what comes before it."""

    before: list[Operation]
    measured: list[Operation]


class Draw:
    """Draws operations on a book of its own."""

    def __init__(self, size: Size, rng: random.Random) -> None:
        self.size, self.rng = size, rng
        self.book = OrderBook()
        self.number = 0
        self.live: list[str] = []
        """Ids of orders that rest, and of some that have gone since."""
        self.last = {BACK: MIDDLE, LAY: MIDDLE}
        """The last best prices."""

    def drawn(self) -> Drawn:
        before: list[Operation] = []
        while len(self.book) < self.size.live:
            before.append(self._done(self._resting()))
        measured: list[Operation] = []
        counted = range(self.size.operations)
        for kind in self.rng.choices("rcx", weights=(60, 20, 20), k=len(counted)):
            operation = self._resting() if kind == "r" else self._crossing() if kind == "c" else self._cancel()
            measured.append(self._done(operation))
            assert self.size.live // 2 < len(self.book) < 2 * self.size.live
        return Drawn(before, measured)

    def _done(self, operation: Operation) -> Operation:
        if isinstance(operation, str):
            self.book.cancel(operation)
            return operation
        self.book.place(*operation)
        if self.book.order(operation[0]) is not None:
            self.live.append(operation[0])
        for side in Side:
            self.last[side] = self.book.best(side) or self.last[side]
        return operation

    def _resting(self) -> Placing:
        side = self.rng.choice((BACK, LAY))
        return self._order(
            side, self._beyond(side, 1 + int(TICKS * self.rng.random() ** 2)), self.rng.randint(1, 1_000)
        )

    def _crossing(self) -> Placing:
        """Of a stake that holds the book at its size: about three fills on the average, more where it has grown."""
        side = self.rng.choice((BACK, LAY))
        stake_m = self.rng.randint(1, 2_000 * len(self.book) // self.size.live)
        return self._order(side, self._beyond(side, -TICKS), stake_m)

    def _cancel(self) -> str:
        while True:
            at = self.rng.randrange(len(self.live))
            self.live[at], self.live[-1] = self.live[-1], self.live[at]
            name = self.live.pop()
            if self.book.order(name) is not None:
                return "".join(list(name))  # a string of its own, as a message would bring

    def _beyond(self, side: Side, ticks: int) -> int:
        """So many ticks from the other side's best price, away from it; below 0: into it."""
        rung = CLASSIC.rung(self.last[LAY if side is BACK else BACK])
        assert isinstance(rung, int)
        rung += ticks if side is BACK else -ticks
        return CLASSIC.prices[min(max(rung, 0), len(CLASSIC.prices) - 1)]

    def _order(self, side: Side, price: int, stake_m: int) -> Placing:
        self.number += 1
        return f"order-{self.number:08}", self.rng.choice(CUSTOMERS), side, price, stake_m


class Resting:
    """An order of the dictionary book."""

    __slots__ = ("customer", "half", "name", "price", "stake_m")

    def __init__(self, name: str, customer: str, price: int, stake_m: int, half: Half) -> None:
        self.name, self.customer, self.price, self.stake_m, self.half = name, customer, price, stake_m, half


class Half:
    """A side of it: price -> id -> order. The best price is known until its level is used up, then it is looked for."""

    def __init__(self, better: Callable[[Iterable[int]], int]) -> None:
        self.levels: dict[int, dict[str, Resting]] = {}
        self.better = better
        self.best: int | None = None

    def forget(self, price: int) -> None:
        del self.levels[price]
        if price == self.best:
            self.best = self.better(self.levels) if self.levels else None


class DictionaryBook:
    """The book that is written first, the measure of the other one."""

    def __init__(self) -> None:
        self.orders: dict[str, Resting] = {}
        self.backs, self.lays = Half(min), Half(max)
        self.trades: list[Trade] = []

    def place(self, name: str, customer: str, side: Side, price: int, stake_m: int) -> None:
        half, other = (self.backs, self.lays) if side is BACK else (self.lays, self.backs)
        while (best := other.best) is not None and (best >= price if side is BACK else best <= price):
            makers = other.levels[best]
            maker = next(iter(makers.values()))
            if maker.customer == customer:
                return
            taken_m = min(maker.stake_m, stake_m)
            self.trades.append((maker.name, name, best, taken_m))
            maker.stake_m -= taken_m
            stake_m -= taken_m
            if not maker.stake_m:
                del makers[maker.name], self.orders[maker.name]
                if not makers:
                    other.forget(best)
            if not stake_m:
                return
        order = self.orders[name] = Resting(name, customer, price, stake_m, half)
        if price not in half.levels:
            half.levels[price] = {}
            if half.best is None or half.better((price, half.best)) == price:
                half.best = price
        half.levels[price][name] = order

    def cancel(self, name: str) -> None:
        order = self.orders.pop(name, None)
        if order is None:
            return
        makers = order.half.levels[order.price]
        del makers[name]
        if not makers:
            order.half.forget(order.price)


def play(book: Book, operations: Sequence[Operation]) -> list[Trade]:
    """The trade tape of a list."""
    return trades(matched(book, operations))


def matched(book: Book, operations: Sequence[Operation]) -> list[Match]:
    """What has been matched, in order."""
    place, cancel, matches = book.place, book.cancel, []
    for operation in operations:
        if type(operation) is str:
            cancel(operation)
        else:
            match = place(*operation)
            if match is not UNMATCHED:
                matches.append(match)
    return matches


def trades(matches: Sequence[Match]) -> list[Trade]:
    return [(fill.maker, fill.taker, fill.price, fill.stake_m) for match in matches for fill in match.fills]


def checksum(tape: Sequence[Trade]) -> int:
    return crc32("\n".join(map(str, tape)).encode())


def commands(operations: Sequence[Operation]) -> list[Command]:
    """The operations as their customers would send them."""
    asked: list[Command] = []
    for number, operation in enumerate(operations):
        if isinstance(operation, str):
            asked.append(CancelOrder(f"cancel-{number:08}", NOW + MINUTE, OWNER[operation], operation))
        else:
            name, customer, side, price, stake_m = operation
            OWNER[name] = customer
            place = name, NOW + MINUTE, customer, "match", "winner", "home"
            asked.append(PlaceOrder(*place, "back" if side is BACK else "lay", stake_m, price))
    return asked


NOW, MINUTE = 1_700_000_000_000, 60_000
OWNER: dict[str, str] = {}
"""Order -> its customer, for cancelling it."""


def opened(names: Sequence[str] = ("home", "away")) -> Engine:
    """An engine with a market of these selections, and customers who can pay for everything."""
    unbound = 10**9
    engine = Engine(Limits(order_stake_min_m=1, orders_customer_max=unbound))
    engine.start("bench", "bench", NOW)
    until_ms, author = NOW + MINUTE, "bench"
    selections = tuple(NamedSelection(name, name) for name in names)
    market = "winner", "winner", "Winner", selections
    setting_up: list[Command] = [
        DefineFixture("fixture", until_ms, author, "match", "Match", "football", "", NOW),
        DefineMarket("market", until_ms, author, "match", *market, exchange=ExchangeTerms()),
        OpenMarket("open", until_ms, author, "match", "winner"),
    ]
    for name in CUSTOMERS:
        setting_up.append(OpenCustomer(f"open {name}", NOW + MINUTE, name, "EUR"))
        setting_up.append(Deposit(f"deposit {name}", NOW + MINUTE, name, 10**12, "bank"))
    for command in setting_up:
        answer, _ = engine.execute(command, NOW)
        assert isinstance(answer, Done), answer
    return engine


def across(size: Size, rng: random.Random) -> float:
    """Thousands of orders a second on three selections, each near evens of three."""
    names = ("home", "draw", "away")
    engine = opened(names)
    middle = CLASSIC.rung(30_000)
    assert isinstance(middle, int)
    asked: list[Command] = []
    for number in range(size.operations // 4 + size.live):
        above = rng.random() < 0.5
        rung = middle + (1 if above else -1) * (1 + int(TICKS * rng.random() ** 2))
        rests = rng.random() < 0.85
        place = f"order-{number}", NOW + MINUTE, rng.choice(CUSTOMERS), "match", "winner", rng.choice(names)
        side: Literal["back", "lay"] = "back" if above is rests else "lay"
        asked.append(PlaceOrder(*place, side, rng.randint(100, 5_000), CLASSIC.prices[rung]))
    executed(engine, asked[: size.live])
    taken_s = timed(lambda: executed(engine, asked[size.live :]))
    assert any(trade.across for each in positions_of(engine) for trade in each.trades)
    invariants.check(engine.book)
    assert ledger.sums(engine.book) == {"EUR": 0}
    return (len(asked) - size.live) / taken_s / 1e3


SMALL_ORDERS = 260
"""More than one order steps over."""
BEHIND: dict[int, tuple[tuple[int, ...], int]] = {
    3: ((41_000, 29_400), 11),
    20: (
        (
            220_000,
            165_000,
            270_000,
            270_000,
            210_000,
            220_000,
            250_000,
            210_000,
            210_000,
            230_000,
            220_000,
            230_000,
            185_000,
            185_000,
            200_000,
            230_000,
            170_000,
            240_000,
            165_000,
        ),
        5,
    ),
}
"""Selections -> the prices of lays on all but the last, and the stakes of the small ones, which are on the first."""


def behind_small(selections: int) -> float:
    """Milliseconds of an order that is held against one small order after the other, and is matched with none."""
    names = [f"selection-{number}" for number in range(selections)]
    prices, small_m = BEHIND[selections]
    engine = opened(names)
    resting = [(CUSTOMERS[number % 900], names[0], small_m, prices[0]) for number in range(SMALL_ORDERS)]
    resting += [(CUSTOMERS[-1], name, 10**7, price) for name, price in zip(names, prices, strict=False)]
    asked = [
        PlaceOrder(f"lay-{number}", NOW + MINUTE, customer, "match", "winner", name, "lay", stake_m, price)
        for number, (customer, name, stake_m, price) in enumerate(resting)
    ]
    executed(engine, asked)
    taker = "last", NOW + MINUTE, CUSTOMERS[-2], "match", "winner", names[-1]
    last = PlaceOrder(*taker, "lay", 10**6, CLASSIC.prices[-1])
    decided: list[Sequence[Event]] = []
    taken_s = timed(lambda: decided.extend(executed(engine, [last])))
    (placed,) = [event for event in decided[0] if isinstance(event, OrderPlaced)]
    assert not placed.fills
    assert not placed.crosses
    return taken_s * 1e3


def positions_of(engine: Engine) -> Iterable[Position]:
    exchange = engine.book.fixtures["match"].markets["winner"].exchange
    assert exchange is not None
    return exchange.positions.values()


def executed(engine: Engine, asked: Sequence[Command]) -> list[Sequence[Event]]:
    execute, events = engine.execute, []
    for command in asked:
        events.append(execute(command, NOW)[1])  # noqa: PERF401  (as a gateway has them, one by one)
    return events


def journalled(decided: Sequence[Sequence[Event]]) -> list[Trade]:
    """The trade tape of what the engine has decided."""
    placed = (event for events in decided for event in events if isinstance(event, OrderPlaced))
    return [(fill.maker, event.id, fill.price, fill.stake_m) for event in placed for fill in event.fills]


def timed(work: Callable[[], object]) -> float:
    """Seconds of the processor."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)  # as the engine's process has it (adapters/engine/service.py)
    begun = process_time()
    work()
    return process_time() - begun


def one_pass(size: Size, seed: int) -> tuple[dict[str, float], int]:
    """Millions of operations a second, and the checksum of the trade tape that all have come to."""
    before, measured = Draw(size, random.Random(seed)).drawn()
    book, plain, replayed = OrderBook(), DictionaryBook(), OrderBook()
    play(book, before)
    play(replayed, before)
    _play_plain(plain, before)
    plain.trades.clear()
    matches: list[Match] = []
    taken_s = timed(lambda: matches.extend(matched(book, measured)))
    plain_s = timed(lambda: _play_plain(plain, measured))
    tape = trades(matches)
    assert checksum(tape) == checksum(plain.trades), f"seed {seed}"
    decided = OrderBook()
    play(decided, before)
    changes = _changes(decided, measured)
    replay_s = timed(lambda: _replay(replayed, changes))
    assert _state(replayed) == _state(book), f"seed {seed}"
    book.check_invariants()
    engine = opened()
    executed(engine, commands(before))
    asked = commands(measured)
    decided_by: list[Sequence[Event]] = []
    engine_s = timed(lambda: decided_by.extend(executed(engine, asked)))
    assert checksum(journalled(decided_by)) == checksum(tape), f"seed {seed}"
    prices = [operation[3] for operation in measured if not isinstance(operation, str)]
    rung_s = timed(lambda: [CLASSIC.rung(price) for price in prices])
    figures = {
        "book_m_per_s": len(measured) / taken_s / 1e6,
        "dictionary_m_per_s": len(measured) / plain_s / 1e6,
        "ratio": plain_s / taken_s,
        "replay_m_per_s": len(measured) / replay_s / 1e6,
        "engine_k_per_s": len(measured) / engine_s / 1e3,
        "across_k_per_s": across(size, random.Random(seed)),
        **{f"behind_small_{selections}_ms": behind_small(selections) for selections in BEHIND},
        "rung_us": rung_s * 1e6 / len(prices),
        "trades": float(len(tape)),
        "live_orders": float(len(book)),
    }
    return figures, checksum(tape)


def _play_plain(book: DictionaryBook, operations: Sequence[Operation]) -> None:
    place, cancel = book.place, book.cancel
    for operation in operations:
        if type(operation) is str:
            cancel(operation)
        else:
            place(*operation)


def _changes(book: OrderBook, operations: Sequence[Operation]) -> list[Change]:
    """What a journal would say of each operation, decided by looking and applied to the book."""
    changes: list[Change] = []
    for operation in operations:
        if isinstance(operation, str):
            changes.append(((), operation))
        else:
            match = book.match(*operation)
            left_m = operation[4] - match.matched_m
            changes.append((match.fills, (*operation[:4], left_m) if left_m and match.lapse is None else None))
        _replay(book, changes[-1:])
    return changes


def _replay(book: OrderBook, changes: Sequence[Change]) -> None:
    take, rest, cancel = book.take, book.rest, book.cancel
    for fills, operation in changes:
        if fills:
            take(fills)
        if type(operation) is tuple:
            rest(*operation)
        elif type(operation) is str:
            cancel(operation)


def _state(book: OrderBook) -> list[tuple[str, int, int]]:
    return [(order.id, order.price, order.stake_m) for side in Side for order in book.resting(side)]


def main() -> None:
    options = common.arguments(__doc__)
    size = SMALL if options.small else FULL
    result: dict[str, object] = {"question": "orderbook", "seed": options.seed, "header": common.header("msgspec")}
    passes = [one_pass(size, options.seed + number) for number in range(options.passes)]
    for name in passes[0][0]:
        result[name] = common.spread([figures[name] for figures, _ in passes])
    result["checksums"] = [f"{found:08x}" for _, found in passes]
    common.finish(result, as_json=options.json)


if __name__ == "__main__":
    main()
