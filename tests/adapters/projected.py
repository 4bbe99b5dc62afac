"""A journal in memory, a world that uses every event, and a projector to run: for the tests around Postgres."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec

from adapters.journal.reader import Stored
from adapters.postgres.projector import Projector
from config.settings import Settings, load
from core.messages import commands as co
from core.messages.answers import Rejected
from core.messages.events import BATCH_FORMAT, Batch, Event
from tests.core.world import World, half_lost, void, won

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Batch).decode


class FakeJournal:
    """The journal that the projector follows, in memory; grows by `append`."""

    def __init__(self) -> None:
        self.stored: list[Stored] = []
        self.events = 0
        self.read = 0
        """Batches handed out, in all."""
        self._grown = asyncio.Event()

    def append(self, events: Sequence[Event]) -> None:
        data = _encode(Batch(BATCH_FORMAT, self.events + 1, list(events)))
        self.stored.append(Stored(len(self.stored) + 1, _decode(data), len(data), data))
        self.events += len(events)
        self._grown.set()

    def fill(self, events: Sequence[Event], batch_events: int = 7) -> None:
        """In batches of an odd size, so that what belongs together is torn apart."""
        for start in range(0, len(events), batch_events):
            self.append(events[start : start + batch_events])

    async def batches(self, after: int = 0) -> AsyncGenerator[Stored, None]:
        """Those that are there."""
        for stored in self.stored[after:]:
            self.read += 1
            yield stored

    async def follow(self, after: int) -> AsyncGenerator[Stored, None]:
        while True:
            self._grown.clear()
            async for stored in self.batches(after):
                yield stored
                after = stored.sequence
            await self._grown.wait()

    async def end(self) -> tuple[int, int]:
        return len(self.stored), self.events


def settings_of(url: str, **changed: object) -> Settings:
    """Settings with quick retries; `changed` are of the section projector."""
    overrides = {"postgres.url": url, "projector.retry_max_ms": 200, "postgres.connect_timeout_ms": 2000}
    return load(environ={}, overrides={**overrides, **{f"projector.{name}": value for name, value in changed.items()}})


@asynccontextmanager
async def running(settings: Settings, journal: FakeJournal) -> AsyncIterator[Projector]:
    """A projector at work, until the end of the block."""
    projector = Projector(settings, journal)
    task = asyncio.create_task(projector.run())
    try:
        yield projector
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def project(url: str, journal: FakeJournal, **changed: object) -> None:
    """Everything that the journal holds, within 20 s."""
    async with asyncio.timeout(20), running(settings_of(url, **changed), journal) as projector:
        await projector.catch_up(journal.events)


def busy_world() -> World:
    """A day on which everything happens that an event exists for."""
    world = World(cancel_window_ms=5_000, retention_ms=60_000, archive_after_ms=60_000, offer_max_ms=60_000)
    for name in ("ann", "bob", "cid"):
        world.customer(name, 100_000)
    _payments(world)
    for number in range(4):
        world.market(f"match{number}/winner", home=21_500, draw=33_000, away=34_000)
    world.fed_market("race/win", red=50_000, blue=15_000)
    _bets(world)
    _results(world)
    world.wait(61_000)
    world.run()
    world.done(co.SetCustomerStatus, customer="cid", suspended=True, reason="asked for it")
    world.check()
    return world


def _payments(world: World) -> None:
    world.done(co.Withdraw, customer="ann", amount_m=1_000, provider="bank")
    for number, hold_ms in enumerate((1_000, 3_600_000, 3_600_000, 3_600_000)):
        hold = world.now + hold_ms
        world.done(co.Reserve, id=f"r{number}", customer="bob", amount_m=500, provider="card", hold_until_ms=hold)
    world.done(co.PostReserve, customer="bob", reserve="r1", amount_m=300)
    world.done(co.VoidReserve, customer="bob", reserve="r2")
    world.wait(1_500)
    world.run()  # r0 runs out, r3 stays
    assert isinstance(world.command(co.PostReserve, customer="bob", reserve="r9", amount_m=1), Rejected)


def _bets(world: World) -> None:
    for number in range(4):
        path = f"match{number}/winner"
        for customer, selection, price in (("ann", "home", 21_500), ("bob", "draw", 33_000), ("cid", "away", 34_000)):
            world.bet(customer, 1_000 + number, (path, selection, price), id=f"single-{number}-{customer}")
    world.bet("ann", 700, ("match0/winner", "home", 21_500), ("match1/winner", "home", 21_500), id="double")
    world.bet("bob", 900, ("match2/winner", "draw", 33_000), ("race/win", "blue", 15_000), id="mixed")
    world.bet("cid", 400, ("race/win", "red", 50_000), id="feed")
    world.bet("ann", 200, ("match3/winner", "home", 21_500), id="taken-back")
    world.done(co.CancelBet, customer="ann", bet="taken-back")
    world.bet("bob", 250, ("match3/winner", "away", 34_000), id="palpable")
    world.done(co.VoidBet, bet="palpable", reason="wrong price")
    assert isinstance(world.place("ann", 5, ("match0/winner", "home", 21_500), id="too-small"), Rejected)
    assert isinstance(world.place("ann", 500, ("match0/winner", "home", 29_000), id="moved"), Rejected)
    assert isinstance(world.place("ann", 501, ("match1/winner", "home", 21_500), id="double"), Rejected)


def _results(world: World) -> None:
    world.wait(100)
    world.settle("match0/winner", won("home"))
    world.settle("match1/winner", won("home"))
    world.settle("match1/winner", half_lost("home"), void("away"))
    world.settle("match2/winner", won("home"))
    world.roll_back("match2/winner")
    world.cancel("match3/winner", to_ms=world.now + 1)
    world.roll_back("match3/winner", "cancel")
    world.cancel("match3/winner", from_ms=world.now - 10, to_ms=world.now)
    world.settle("match3/winner", won("away"))
    world.market("match9/winner", home=20_000, away=20_000)
    world.settle("match9/winner", won("home"))
    world.wait(61_000)
    world.run()
    # match9 was forgotten; the same ids begin anew.
    world.market("match9/winner", home=18_000, away=22_000)
    world.bet("ann", 300, ("match9/winner", "away", 22_000), id="second-life")
