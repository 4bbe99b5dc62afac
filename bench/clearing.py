"""What does it cost when something happens to a whole exchange market, and for how long does one slice hold up others?

    orders of many customers (memory) -> Engine.execute -> results, or the off -> Engine.tick until nothing is left

A slice is what the engine does between two looks at the clock (`Engine.advance`), so the longest one is what a bet on
another market may wait for. Times are of the processor, decided and applied; `replay_ms` is the greatest that one event
of the same settlement takes when the journal is read again. Not in the number: messages, the journal, notices, rows.

* `<positions>x<trades>`: a market of three selections is settled, the first wins. `1x...` is one market maker against
  a thousand others; else pairs of customers, each with so many trades.
* `close <orders>/<customers>`: the off, with so many orders for the starting price on one selection. Half are backs,
  half name limits, and each customer has something matched on the other two. `near_far_ms`: how long it takes just
  before to find the near and far price.

All is checked before a figure is printed: who was to win has won, no money is lost, nothing is set aside any more.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Iterator, Sequence
from time import process_time
from typing import Literal, NamedTuple

from bench import common
from core import invariants, ledger
from core.book import Exchange
from core.engine import Engine
from core.exchange.clearing import near_and_far
from core.exchange.ladder import CLASSIC, Side
from core.limits import Limits
from core.messages.answers import Done, OrderReport
from core.messages.commands import (
    Command,
    DefineFixture,
    DefineMarket,
    Deposit,
    NamedSelection,
    OpenCustomer,
    OpenMarket,
    PlaceOrder,
    SettleMarket,
    TurnInPlay,
)
from core.messages.events import Event, PositionSettled, StartingPriceMatched
from core.messages.results import Result
from core.messages.terms import ExchangeTerms

NOW, MINUTE = 1_700_000_000_000, 60_000
NAMES = ("home", "draw", "away")
PRICES = CLASSIC.prices[150:170]
MAKER = "maker"
Named = Literal["back", "lay"]


class Size(NamedTuple):
    """What is settled, (positions, trades of each), and what waits for the close, (orders, customers)."""

    settled: tuple[tuple[int, int], ...]
    closed: tuple[tuple[int, int], ...]


FULL = Size(
    ((1, 1_000), (1, 10_000), (1, 100_000), (10_000, 20)), ((200, 200), (2_000, 1), (2_000, 20), (2_000, 2_000))
)
SMALL = Size(((1, 3_000), (100, 20)), ((100, 10),))


class Floor:
    """An engine with one open exchange market, and short words for orders."""

    def __init__(self, customers: Sequence[str]) -> None:
        unbound = 10**9
        self.engine = Engine(Limits(order_stake_min_m=1, orders_customer_max=unbound))
        self.engine.start("bench", "bench", NOW)
        self.number = 0
        self.events: list[Event] = []
        head = NOW + MINUTE, "bench", "match"
        self.done(DefineFixture("fixture", *head, "Match", "football", "", NOW))
        selections = tuple(NamedSelection(name, name) for name in NAMES)
        terms = ExchangeTerms(cross=False, starting_price=True)
        self.done(DefineMarket("market", *head, "winner", "winner", "Winner", selections, exchange=terms))
        self.done(OpenMarket("open", *head, "winner"))
        for name in customers:
            self.done(OpenCustomer(f"open {name}", NOW + MINUTE, name, "EUR"))
            self.done(Deposit(f"deposit {name}", NOW + MINUTE, name, 10**13, "bank"))

    def done(self, command: Command) -> None:
        answer, events = self.engine.execute(command, NOW)
        assert isinstance(answer, Done), answer
        self.events.extend(events)

    def order(self, customer: str, name: str, side: Named, stake_m: int, price: int, *, close: bool = False) -> None:
        self.number += 1
        place = f"order-{self.number}", NOW + MINUTE, customer, "match", "winner", name
        kind: Literal["on_close", "limit"] = "on_close" if close else "limit"
        answer, events = self.engine.execute(PlaceOrder(*place, side, stake_m, price, kind), NOW)
        assert isinstance(answer, OrderReport), answer
        self.events.extend(events)

    @property
    def exchange(self) -> Exchange:
        exchange = self.engine.book.fixtures["match"].markets["winner"].exchange
        assert exchange is not None
        return exchange

    def slices(self) -> Iterator[float]:
        """Do what is left, and say what each slice took, seconds."""
        gc.collect()
        gc.freeze()
        gc.set_threshold(100_000, 50, 100)  # as the engine's process has it (adapters/engine/service.py)
        while True:
            begun = process_time()
            events = self.engine.tick(NOW)
            taken_s = process_time() - begun
            if not events:
                return
            self.events.extend(events)
            yield taken_s

    def replayed(self) -> float:
        """The longest event of all, applied once more from the beginning, seconds."""
        engine, longest_s = Engine(self.engine.limits), 0.0
        for event in self.events:
            begun = process_time()
            engine.apply(event)
            longest_s = max(longest_s, process_time() - begun)
        return longest_s

    def check(self) -> None:
        invariants.check(self.engine.book)
        assert ledger.sums(self.engine.book) == {"EUR": 0}


def settled(positions: int, trades: int, rng: random.Random) -> dict[str, float]:
    """A market's results."""
    takers = [f"taker-{number}" for number in range(max(1_000, positions) if positions == 1 else positions // 2)]
    makers = [MAKER] if positions == 1 else [f"maker-{number}" for number in range(positions // 2)]
    floor = Floor([*makers, *takers])
    for maker_number, maker in enumerate(makers):
        for number in range(trades):
            name, price, stake_m = NAMES[number % len(NAMES)], rng.choice(PRICES), rng.randint(100, 10_000)
            taker = takers[number % len(takers) if positions == 1 else maker_number]
            floor.order(maker, name, "lay" if number % 2 else "back", stake_m, price)
            floor.order(taker, name, "back" if number % 2 else "lay", stake_m, price)
    results = tuple(Result(name, 1 if name == NAMES[0] else 0) for name in NAMES)
    floor.done(SettleMarket("settle", NOW + MINUTE, "bench", "match", "winner", results, "played"))
    sides = sum(len(position.trades) for position in floor.exchange.positions.values())
    figures = _figures(list(floor.slices()), floor.replayed())
    floor.check()
    told = [event for event in floor.events if isinstance(event, PositionSettled)]
    assert len(told) == len(floor.exchange.positions)
    assert not sum(event.net_m for event in told)
    assert all(not position.exposure_m for position in floor.exchange.positions.values())
    return {**figures, "k_trades_per_s": sides / figures["total_ms"]}


def closed(orders: int, customers: int, rng: random.Random) -> dict[str, float]:
    """The off."""
    names = [f"customer-{number}" for number in range(customers)]
    floor = Floor([MAKER, *names])
    for number, customer in enumerate(names):
        floor.order(MAKER, NAMES[1 + number % 2], "lay", 500, PRICES[0])
        floor.order(customer, NAMES[1 + number % 2], "back", 500, PRICES[0])
    for number in range(orders):
        price = rng.choice((0, rng.choice(PRICES)))
        side: Named = "lay" if number // customers % 2 else "back"
        if customers == orders:
            side = "lay" if number % 2 else "back"
        floor.order(names[number % customers], NAMES[0], side, rng.randint(100, 10_000), price, close=True)
    near_far_s = []
    for _ in range(5):
        begun = process_time()
        near, far = near_and_far(floor.exchange, NAMES[0])
        near_far_s.append(process_time() - begun)
        assert near == far > 0  # nothing rests there
    floor.done(TurnInPlay("off", NOW + MINUTE, "bench", "match", "winner"))
    figures = _figures(list(floor.slices()), floor.replayed())
    floor.check()
    made = [each for event in floor.events if isinstance(event, StartingPriceMatched) for each in event.orders]
    assert len(made) == orders
    assert sum(each.stake_m if each.side == Side.BACK else -each.stake_m for each in made) == 0
    return {**figures, "near_far_ms": min(near_far_s) * 1e3}


def _figures(taken_s: Sequence[float], replay_s: float) -> dict[str, float]:
    return {
        "longest_ms": max(taken_s) * 1e3,
        "total_ms": sum(taken_s) * 1e3,
        "slices": float(len(taken_s)),
        "replay_ms": replay_s * 1e3,
    }


def one_pass(size: Size, seed: int) -> dict[str, float]:
    found: dict[str, float] = {}
    for positions, trades in size.settled:
        figures = settled(positions, trades, random.Random(seed))
        found |= {f"{positions}x{trades} {name}": figure for name, figure in figures.items()}
    for orders, customers in size.closed:
        figures = closed(orders, customers, random.Random(seed))
        found |= {f"close {orders}/{customers} {name}": figure for name, figure in figures.items()}
    return found


def main() -> None:
    options = common.arguments(__doc__)
    size = SMALL if options.small else FULL
    result: dict[str, object] = {"question": "clearing", "seed": options.seed, "header": common.header("msgspec")}
    passes = [one_pass(size, options.seed + number) for number in range(options.passes)]
    for name in passes[0]:
        result[name] = common.spread([figures[name] for figures in passes])
    common.finish(result, as_json=options.json)


if __name__ == "__main__":
    main()
