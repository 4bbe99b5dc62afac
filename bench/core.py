"""What does one decision cost in the core, and what does one bet weigh?

    prepared messages (memory) -> Engine.execute / tick -> answers and events (counted, then dropped)

Seeded: a feed's fixtures with markets of three selections and one of twenty; singles and 4-folds at the live price,
spread over customers and markets. A decision has everything: id, deadline, the ladder, limits, exposure, ledger, event,
apply, answer. In each pass the answers are counted, the ledger is summed and the invariants are checked before a speed
is printed. Times are of the processor, not of the clock, so that a busy machine measures the same.
Not in the number: decoding and encoding of messages, journal, network; the loop around the call (0.03 us) is. Memory is
the growth of a process of its own; a single's id and all that it refers to included, the journal's events not. An idle
customer is one whose commands' answers are forgotten. Budgets (DESIGN 11): single 5 us, price 1 us a selection, an open
single 1 kB, an idle customer 600 B.
"""

from __future__ import annotations

import gc
import random
import resource
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from time import process_time
from typing import Any, NamedTuple

from bench import common
from core import invariants, ledger, snapshot
from core.engine import Engine
from core.limits import Limits
from core.messages import commands as co
from core.messages import events as ev
from core.messages import feed as fe
from core.messages.answers import Accepted, Rejected
from core.messages.commands import Leg, PlaceBet
from core.messages.results import Result

NOW_MS = 1_780_000_000_000
WIDE = 20
"""Selections of the market whose price change is measured."""
LIMITS = Limits(
    liability_selection_max_m=10**14,
    liability_market_max_m=10**14,
    liability_fixture_max_m=10**14,
    liability_customer_max_m=10**14,
    liability_book_max_m=10**15,
    velocity_bets_max=10**9,
)


class Size(NamedTuple):
    """How much of everything a pass has."""

    customers: int
    fixtures: int
    bets: int
    weighed: int
    """Bets, and customers, whose memory is measured."""


FULL = Size(customers=2_000, fixtures=100, bets=20_000, weighed=200_000)
SMALL = Size(customers=50, fixtures=10, bets=300, weighed=5_000)


class Feed:
    """A producer that has recovered, and goes on."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.sequence = 0

    def message(self, kind: type[fe.FeedMessage], **fields: Any) -> Any:
        self.sequence += 1
        return kind(**{"provider": "acme", "producer": "live", "sequence": self.sequence, "ts_ms": NOW_MS, **fields})

    def send(self, kind: type[fe.FeedMessage], **fields: Any) -> None:
        refused, _ = self.engine.execute(self.message(kind, **fields), NOW_MS)
        assert refused is None, refused

    def market(self, fixture: str, market: str, prices: Sequence[int]) -> None:
        selections = tuple(fe.PricedSelection(f"s{index}", f"s{index}", price) for index, price in enumerate(prices))
        head = {"market_type": market, "name": market, "status": fe.FeedStatus.ACTIVE}
        self.send(fe.MarketImage, fixture=fixture, market=market, selections=selections, **head)


def prepared(size: Size, rng: random.Random) -> tuple[Engine, Feed]:
    """An engine with customers who have money and markets that are open."""
    engine = Engine(LIMITS)
    engine.start("bench", "0", NOW_MS)
    for number in range(size.customers):
        open_customer(engine, f"customer-{number}")
    feed = Feed(engine)
    feed.send(fe.RecoveryBegin)
    for number in range(size.fixtures):
        name = f"fixture-{number}"
        feed.send(
            fe.FixtureChange, fixture=name, name=name, sport="football", competition="cup", start_ms=NOW_MS + 3_600_000
        )
        for market in ("winner", "handicap", "half-time"):
            feed.market(name, market, [rng.randrange(12_000, 60_000) for _ in range(3)])
    feed.market("fixture-0", "scorer", [rng.randrange(12_000, 60_000) for _ in range(WIDE)])
    feed.send(fe.RecoveryEnd)
    return engine, feed


def open_customer(engine: Engine, name: str) -> None:
    """A customer with 10 million and no answers kept."""
    engine.apply(ev.CustomerOpened(NOW_MS, "", 0, name, "EUR"))
    engine.apply(ev.Deposited(NOW_MS, "", 0, name, "EUR", 10**9, "bank"))


def bets(
    engine: Engine, size: Size, rng: random.Random, count: int, *, name: str, legs: int = 1, worse: int = 0
) -> Iterator[PlaceBet]:
    """Bets at the live price, or asking for one that is better by `worse`."""
    fixtures = list(engine.book.fixtures.values())
    for number in range(count):
        chosen = []
        for fixture in rng.sample(fixtures, legs):
            market = fixture.markets[rng.choice(("winner", "handicap", "half-time"))]
            selection = rng.choice(list(market.selections.values()))
            chosen.append(Leg(fixture.id, market.id, selection.id, selection.price + worse))
        customer = f"customer-{rng.randrange(size.customers)}"
        yield PlaceBet(f"{name}-{number:08}", NOW_MS + 60_000, customer, 100, tuple(chosen))


def timed(work: Callable[[], int]) -> float:
    """Microseconds of the processor for each of what the work says it did."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)  # as the engine's process has it (adapters/engine/service.py)
    begun = process_time()
    done = work()
    return (process_time() - begun) * 1e6 / done


def executed(engine: Engine, messages: Sequence[Any], expected: type | str) -> float:
    """Microseconds a message; each answer has to be of the type, or a refusal for the reason."""
    answers: list[Any] = [None] * len(messages)

    def work() -> int:
        execute = engine.execute
        for index, message in enumerate(messages):
            answers[index], _ = execute(message, NOW_MS)
        return len(messages)

    each_us = timed(work)
    for answer in answers:
        found = answer.reason if isinstance(answer, Rejected) else type(answer)
        assert found == expected, answer
    return each_us


def one_pass(size: Size, seed: int) -> dict[str, float]:
    """Every cost once, on an engine of its own."""
    rng = random.Random(seed)
    engine, feed = prepared(size, rng)
    book = engine.book
    singles = list(bets(engine, size, rng, size.bets, name="single"))
    fourfolds = list(bets(engine, size, rng, size.bets // 4, name="fourfold", legs=4))
    refused = list(bets(engine, size, rng, size.bets // 2, name="refused", worse=1_000))
    figures = {
        "single_us": executed(engine, singles, Accepted),
        "fourfold_us": executed(engine, fourfolds, Accepted),
        "price_changed_us": executed(engine, refused, "PRICE_CHANGED"),
        "retry_us": executed(engine, singles[: size.bets // 2], Accepted),
    }
    changes = [_odds_change(feed, rng) for _ in range(size.bets // 10)]
    figures["price_us_per_selection"] = executed(engine, changes, type(None)) / WIDE
    last = {offer.selection: offer.price for offer in changes[-1].markets[0].prices}
    offered = book.fixtures["fixture-0"].markets["scorer"].selections
    assert last == {selection.id: selection.price for selection in offered.values()}
    figures["idle_tick_us"] = timed(lambda: sum(not engine.tick(NOW_MS) for _ in range(size.bets)))
    assert book.open_bets == len(singles) + len(fourfolds)
    assert sum(customer.open_stakes_m for customer in book.customers.values()) == 100 * book.open_bets
    _check(engine)
    figures["settlement_us_per_bet"] = _settle_all(engine)
    _check(engine)
    return figures


def _odds_change(feed: Feed, rng: random.Random) -> Any:
    prices = tuple(fe.SelectionPrice(f"s{index}", rng.randrange(12_000, 60_000)) for index in range(WIDE))
    change = fe.MarketPrices("scorer", fe.FeedStatus.ACTIVE, prices)
    return feed.message(fe.OddsChange, fixture="fixture-0", markets=(change,))


def _settle_all(engine: Engine) -> float:
    """Results of all markets, and ticks until nothing is left; for each bet that is settled."""
    book = engine.book
    count = book.open_bets
    for number, market in enumerate(list(book.markets())):
        results = tuple(Result(name, 1 if index == number % 3 else 0) for index, name in enumerate(market.selections))
        command = co.SettleMarket(
            id=f"settle-{number}",
            expires_ms=NOW_MS,
            author="bench",
            fixture=market.fixture.id,
            market=market.id,
            results=results,
        )
        engine.execute(command, NOW_MS)

    def work() -> int:
        while engine.tick(NOW_MS):
            pass
        return count

    each_us = timed(work)
    assert book.open_bets == 0
    assert all(bet.status != ev.BetStatus.OPEN for bet in book.bets.values())
    return each_us


def _check(engine: Engine) -> None:
    invariants.check(engine.book)
    assert ledger.sums(engine.book) == {"EUR": 0}


def _resident_bytes() -> int:
    """What this process holds now; 0 where the system has no /proc, and so the figures of memory."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return 0
    return int(pages) * resource.getpagesize()


def weigh_customers(size: Size) -> dict[str, float]:
    """Bytes of an idle customer. In a process of its own."""
    engine = Engine(LIMITS)
    engine.start("bench", "0", NOW_MS)
    before = _resident_bytes()
    for number in range(size.weighed):
        open_customer(engine, f"customer-{number:09}")
    assert len(engine.book.customers) == size.weighed
    return {"idle_customer_bytes": (_resident_bytes() - before) / size.weighed}


def weigh_bets(size: Size, seed: int) -> dict[str, float]:
    """Bytes of an open single, and what a snapshot of so many costs. In a process of its own."""
    rng = random.Random(seed)
    engine, _ = prepared(size, rng)
    gc.collect()
    before = _resident_bytes()
    for bet in bets(engine, size, rng, size.weighed, name="single"):
        engine.execute(bet, NOW_MS)
    assert engine.book.open_bets == size.weighed
    figures = {"open_single_bytes": (_resident_bytes() - before) / size.weighed}
    begun = process_time()
    chunks = list(snapshot.encode(engine.book))
    encoded = process_time()
    restored = snapshot.restore(chunks)
    figures["encode_us_per_bet"] = (encoded - begun) * 1e6 / size.weighed
    figures["restore_us_per_bet"] = (process_time() - encoded) * 1e6 / size.weighed
    figures["snapshot_bytes_per_bet"] = sum(map(len, chunks)) / size.weighed
    assert snapshot.state_hash(restored) == snapshot.state_hash(engine.book)
    return figures


def main() -> None:
    options = common.arguments(__doc__)
    size = SMALL if options.small else FULL
    result: dict[str, object] = {"question": "core", "seed": options.seed, "header": common.header("msgspec")}
    passes = [one_pass(size, options.seed + number) for number in range(options.passes)]
    for name in passes[0]:
        result[name] = common.spread([figures[name] for figures in passes])
    for work in ((weigh_customers, size), (weigh_bets, size, options.seed)):
        with ProcessPoolExecutor(1, get_context("spawn")) as process:
            figures = process.submit(*work).result()
        result.update({name: round(figure, 3) for name, figure in figures.items()})
    common.finish(result, as_json=options.json)


if __name__ == "__main__":
    main()
