"""The projector: follows the journal into Postgres, in slices, exactly once (DESIGN 5).

    journal -> read, decode, fold into a slice -> [one slice waits] -> write: one transaction with the position

The two halves overlap: while Postgres works on a slice the next one is prepared. Both run in the event loop they are
started in, the engine's by default, and give it back about every half millisecond (a thread would not help: it would
hold the interpreter lock for longer than that). `tictac projector` runs the same code as a process of its own.

Whatever goes wrong, the position in Postgres tells where to go on: Postgres away, killed in the middle of a
transaction, another projector at work. So there is one way to recover: wait a little, connect, read the position,
follow from there.
"""

from __future__ import annotations

import asyncio
import signal
import time
from contextlib import aclosing, suppress
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

import asyncpg
import msgspec
import structlog
import uvloop

from adapters import bus, logs, postgres
from adapters.journal import reader as journal_reader
from adapters.journal import stream as journal_stream
from adapters.postgres import tables
from adapters.postgres.folding.events import fold
from adapters.postgres.slices import Position, Slice
from config.settings import Role, SettingsError

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncGenerator

    from adapters.journal.reader import Stored
    from adapters.postgres.connection import Connection
    from config.settings import Settings

log = structlog.get_logger(__name__)

FOLD_EVENTS: Final = 25
"""Events folded before the loop has its turn: 0.1 ms, less than COPY takes, so that Postgres is fed first."""
RETRY_MIN_S: Final = 0.1
MEASURE_S: Final = 1.0
"""How often the journal's end is looked up, for the lag."""
_LOCK: Final = 0x71C7AD
"""Held by the projector at work while its connection lives. A courtesy: the position is what makes it exactly once."""
_PASSING: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
)
"""What Postgres says when it is starting, stopping, full or busy."""
# asyncpg calls it its own error when a server is killed while it connects.
AWAY: Final = (*postgres.AWAY, *journal_stream.AWAY, asyncpg.InternalClientError)


class Source(Protocol):
    """The journal, as far as the projector needs it (adapters/journal/reader.py has the real one)."""

    def follow(self, after: int) -> AsyncGenerator[Stored, None]:
        """Batches behind a sequence, in order, without end."""

    async def end(self) -> tuple[int, int]:
        """Sequence of the last batch, and number of its last event; zeros where there is none."""


class State(StrEnum):
    """What the projector is at; logged when it changes, and a metric."""

    STARTING = "starting"
    FOLLOWING = "following"
    STANDBY = "standby"
    """Another projector is at work."""
    AWAY = "away"
    """Postgres or NATS cannot be reached."""
    REFUSED = "refused"
    """Postgres or the journal says something that time alone will not change: people have to look."""


class JournalMismatchError(Exception):
    """Journal and tables do not belong together, or the journal no longer has what the tables lack."""


class StandbyError(Exception):
    """Another projector is at work."""


class _Bodies(msgspec.Struct, array_like=True):
    """A Batch with its events left as they are: the bytes that are stored and hashed."""

    format: int
    first: int
    events: list[msgspec.Raw]


_bodies = msgspec.msgpack.Decoder(_Bodies).decode


def bodies_of(stored: Stored) -> list[msgspec.Raw]:
    """The events of a batch as the bytes that they are in the journal."""
    return _bodies(stored.data).events


class Projector:
    """Call `run()` in a task; cancel the task to stop, at any moment."""

    def __init__(self, settings: Settings, source: Source) -> None:
        self._postgres = settings.postgres
        self._settings = settings.projector
        self._source = source
        self.position = Position()
        self.state = State.STARTING
        self._end = 0
        self._ts_ms = 0
        self._moved = asyncio.Condition()

    @property
    def lag_events(self) -> int:
        """Events that stand in the journal and not in Postgres, as of the last look (at most a second ago)."""
        return max(0, self._end - self.position.event_no)

    @property
    def lag_ms(self) -> int:
        """How far behind Postgres is in time; 0 when nothing waits."""
        return max(0, time.time_ns() // 1_000_000 - self._ts_ms) if self.lag_events and self._ts_ms else 0

    async def catch_up(self, until_event: int) -> None:
        """Wait until the tables hold an event, and everything before it."""
        async with self._moved:
            await self._moved.wait_for(lambda: self.position.event_no >= until_event)

    async def run(self) -> None:
        """For ever: follow; on any failure wait, longer each time up to the configured bound, and begin again."""
        measuring = asyncio.create_task(self._measure())
        wait_s = RETRY_MIN_S
        try:
            while True:
                position = self.position
                try:
                    await self._follow()
                except Exception as error:  # noqa: BLE001  (the supervising loop: it classifies, logs and tries again)
                    self._change(*_classified(error))
                if self.position != position:
                    wait_s = RETRY_MIN_S
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, self._settings.retry_max_ms / 1000)
        finally:
            measuring.cancel()
            await asyncio.gather(measuring, return_exceptions=True)

    async def _follow(self) -> None:
        """Until something fails."""
        durable = "on" if self._settings.synchronous_commit else "off"
        connection = await postgres.connect(self._postgres, synchronous_commit=durable)
        try:
            await postgres.migrate(connection)
            if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
                raise StandbyError
            await tables.name_codes(connection)
            await self._at(await tables.position(connection))
            await self._check()
            self._change(State.FOLLOWING, "")
            await self._pump(connection)
        finally:
            # A polite good-bye would wait for a server that may be gone.
            connection.terminate()

    async def _check(self) -> None:
        """The journal must reach as far as the tables: it is the truth, they are its copy."""
        sequence, self._end = await self._source.end()
        if sequence < self.position.sequence or self._end < self.position.event_no:
            raise JournalMismatchError(
                f"the tables hold event {self.position.event_no}, the journal ends at event {self._end}"
            )

    async def _pump(self, connection: Connection) -> None:
        """Read, prepare, write: three tasks, each at most a queue ahead of the next; if one fails, all end."""
        batches: asyncio.Queue[Stored] = asyncio.Queue(self._settings.batches_max)
        slices: asyncio.Queue[Slice] = asyncio.Queue(1)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._read(batches))
            group.create_task(self._prepare(batches, slices))
            group.create_task(self._write(connection, slices))

    async def _read(self, batches: asyncio.Queue[Stored]) -> None:
        async with aclosing(self._source.follow(self.position.sequence)) as found:
            async for stored in found:
                await batches.put(stored)
        raise JournalMismatchError("the journal has ended")

    async def _prepare(self, batches: asyncio.Queue[Stored], slices: asyncio.Queue[Slice]) -> None:
        """Batches into slices: what came within `poll_ms`, or while Postgres was busy, up to the bound of a slice."""
        loop, poll_s = asyncio.get_running_loop(), self._settings.poll_ms / 1000
        rows = Slice(self.position)
        while True:
            await self._fold(rows, await batches.get())
            deadline = loop.time() + poll_s
            while len(rows) < self._settings.slice_events_max:
                try:
                    async with asyncio.timeout_at(deadline):
                        stored = await batches.get()
                except TimeoutError:
                    if not slices.full():
                        break
                    deadline = loop.time() + poll_s
                else:
                    await self._fold(rows, stored)
            await slices.put(rows)
            rows = Slice(rows.after)

    async def _fold(self, rows: Slice, stored: Stored) -> None:
        batch, sequence = stored.batch, stored.sequence
        if batch.first != rows.after.event_no + 1:
            raise JournalMismatchError(
                f"event {rows.after.event_no + 1} should come next, batch {sequence} begins with {batch.first}"
            )
        bodies = bodies_of(stored)
        self._end = max(self._end, batch.first + len(bodies) - 1)
        for start in range(0, len(bodies), FOLD_EVENTS):
            end = start + FOLD_EVENTS
            for event, body in zip(batch.events[start:end], bodies[start:end], strict=True):
                fold(rows, sequence, event, body)
            await asyncio.sleep(0)

    async def _write(self, connection: Connection, slices: asyncio.Queue[Slice]) -> None:
        while True:
            rows = await slices.get()
            await tables.write(connection, rows)
            self._ts_ms = rows.ts_ms
            await self._at(rows.after)

    async def _at(self, position: Position) -> None:
        async with self._moved:
            self.position = position
            self._moved.notify_all()

    async def _measure(self) -> None:
        """The journal's end, also while Postgres is away: the lag is what people look at then."""
        while True:
            with suppress(*AWAY):
                self._end = max(self._end, (await self._source.end())[1])
            await asyncio.sleep(MEASURE_S)

    def _change(self, state: State, reason: str) -> None:
        """Logged once per change of state, however often it is tried again."""
        if state is not self.state:
            at = {"event_no": self.position.event_no, "lag_events": self.lag_events}
            (log.warning if reason else log.info)("projector", state=state.value, reason=reason, **at)
        self.state = state


def _classified(error: BaseException) -> tuple[State, str]:
    """What a failure means for the state, and what to log of it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, StandbyError | tables.PositionMovedError):
        return State.STANDBY, "another projector is at work"
    reason = f"{type(error).__name__}: {error}"
    if isinstance(error, asyncpg.PostgresError) and not isinstance(error, _PASSING):
        # Only our own bug gets here, or a database that is not ours: say where to look, and try again.
        return State.REFUSED, f"{reason} ({error.detail or 'no detail'})"
    return (State.AWAY if isinstance(error, AWAY) else State.REFUSED), reason


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `tictac projector`."""
    parser = commands.add_parser("projector", help="follow the journal into Postgres, in a process of its own")
    parser.set_defaults(run=_run)


def _run(_: argparse.Namespace, settings: Settings) -> int:
    if not settings.postgres.url:
        raise SettingsError("postgres.url: is not set; the projector needs to know where to write")
    logs.set_up(settings.log)
    return uvloop.run(_serve(settings))


async def _serve(settings: Settings) -> int:
    """Until SIGINT or SIGTERM."""
    working = asyncio.create_task(_work(settings))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, working.cancel)
    await asyncio.wait({working})
    return 0 if working.cancelled() else working.result()


async def _work(settings: Settings) -> int:
    """NATS must be there at the start, within its configured patience; Postgres may come later."""
    try:
        client = await bus.connect(settings, Role.AUDITOR, name="tictac-projector")
    except bus.BusError as error:
        log.critical("cannot start", error=str(error))
        return 1
    try:
        await Projector(settings, journal_reader.Source(client.jetstream(), settings.journal.stream)).run()
    finally:
        await bus.close(client)
    return 0
