"""State from a snapshot and the journal behind it is the state that was; a damaged snapshot costs time, not state."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import cache
from random import Random

import asyncpg
import pytest
from nats.js import JetStreamContext

from adapters import bus, journal, postgres
from adapters.embedded import NatsServer
from adapters.journal import JournalError, JournalShortenedError, snapshots
from adapters.journal.snapshots import SnapshotError
from config.settings import Role, Settings
from core import snapshot
from core.book import Book
from core.messages.events import Batch, BetAccepted, BetSettled, BetStatus, Event
from tests.adapters.journalling import Writer, settings_of, writing
from tests.simulation.play import play

STREAM = "JOURNAL"
SEED = 7


@cache
def life() -> list[Event]:
    """Everything that can happen to a small book."""
    return play(SEED, 600).events


def hash_after(events: list[Event]) -> str:
    book = Book()
    snapshots.replay(book, journal.Stored(1, Batch(1, 1, events), 0, b""))
    return snapshot.state_hash(book)


async def write(w: Writer, events: list[Event], chance: Random) -> None:
    """In batches as they come."""
    at = 0
    while at < len(events):
        end = at + chance.randrange(1, 60)
        w.journal.events.extend(events[at:end])
        await w.journal.settled()
        at = end


@pytest.fixture
def settings(fresh_nats: NatsServer) -> Settings:
    return settings_of(fresh_nats)


@pytest.fixture
async def writer(settings: Settings) -> AsyncIterator[Writer]:
    async with writing(settings) as w:
        yield w


async def take(w: Writer) -> snapshots.Info:
    """A snapshot of the journal's end."""
    book, sequence = await snapshots.rebuild(w.js, w.settings)
    return await snapshots.save(w.js, w.settings, book, sequence)


async def take_several(w: Writer, count: int) -> list[snapshots.Info]:
    """A life with so many snapshots on its way, the oldest first."""
    events, taken = life(), []
    for index in range(count):
        await write(w, events[index * len(events) // count : (index + 1) * len(events) // count], Random(SEED))
        taken.append(await take(w))
    return taken


async def test_the_rebuilt_state_is_the_state_that_was_wherever_the_snapshot_stands(
    writer: Writer, settings: Settings
) -> None:
    seed = secrets.randbelow(10**6)
    print(f"seed {seed}")  # noqa: T201  # shown where it fails
    chance, events, at = Random(seed), life(), 0
    assert await snapshots.rebuild(writer.js, settings) is not None
    for _ in range(4):
        end = chance.randrange(at, len(events))
        await write(writer, events[at:end], chance)
        at = end
        book, sequence = await snapshots.rebuild(writer.js, settings)
        assert (book.event_no, sequence) == (at, writer.journal.sequence)
        assert snapshot.state_hash(book) == hash_after(events[:at]), f"seed {seed}"
        info = await snapshots.save(writer.js, settings, book, sequence)
        assert info == await snapshots.latest(writer.js, settings)
        assert (info.event_no, info.sequence, info.state_hash) == (at, sequence, snapshot.state_hash(book))


async def test_a_state_of_the_past_needs_a_snapshot_from_before_it(writer: Writer, settings: Settings) -> None:
    taken = await take_several(writer, 3)
    numbers = {each.sequence: each.batch.first + len(each.batch.events) - 1 for each in await writer.stored()}
    for sequence in (0, 1, taken[0].sequence, taken[0].sequence + 1, taken[2].sequence):
        book, at = await snapshots.rebuild(writer.js, settings, until_sequence=sequence)
        assert (at, book.event_no) == (sequence, numbers.get(sequence, 0))
        assert snapshot.state_hash(book) == hash_after(life()[: book.event_no])


async def test_nothing_at_all_is_an_empty_state(writer: Writer, settings: Settings) -> None:
    book, sequence = await snapshots.rebuild(writer.js, settings)
    assert (book.event_no, sequence) == (0, 0)
    assert await snapshots.latest(writer.js, settings) is None


async def test_the_same_state_is_written_once_and_the_newest_are_kept(writer: Writer, settings: Settings) -> None:
    taken = await take_several(writer, 5)
    assert await take(writer) == taken[-1]
    assert await snapshots.listed(writer.js, settings) == taken[:-4:-1]
    chunks = (await writer.js.stream_info("OBJ_SNAPSHOTS", subjects_filter="$O.SNAPSHOTS.C.>")).state.subjects
    assert chunks is not None
    assert len(chunks) == 3


async def damage(js: JetStreamContext, info: snapshots.Info, how: str) -> None:
    store = await js.object_store("SNAPSHOTS")
    whole = await store.get_info(info.name)
    subject = f"$O.SNAPSHOTS.C.{whole.nuid}"
    content = (await store.get(info.name)).data
    assert content is not None
    if how == "another object":
        await store.put(info.name, b"something else")
        return
    if how == "well-formed nonsense":
        meta = whole.meta
        await store.put(info.name, (3).to_bytes(4, "big") + b"\x93\x01\x02", meta)
        return
    if how == "another state":
        await store.put(info.name, snapshots_bytes(), whole.meta)
        return
    await js.purge_stream("OBJ_SNAPSHOTS", subject=subject)
    if how == "one bit":
        await js.publish(subject, bytes([content[0] ^ 1]) + content[1:])
    if how == "cut off":
        await js.publish(subject, content[:-1])


def snapshots_bytes() -> bytes:
    """A whole and sound snapshot, of the empty book."""
    return b"".join(len(chunk).to_bytes(4, "big") + chunk for chunk in snapshot.encode(Book()))


DAMAGES = ["one bit", "cut off", "no chunks", "another object", "well-formed nonsense", "another state"]


@pytest.mark.parametrize("how", DAMAGES)
async def test_a_damaged_snapshot_is_passed_over_for_the_one_before(
    writer: Writer, settings: Settings, how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = await take_several(writer, 2)
    await damage(writer.js, taken[-1], how)
    book, sequence = await snapshots.rebuild(writer.js, settings)
    assert sequence == taken[-1].sequence
    assert snapshot.state_hash(book) == hash_after(life())
    loaded = await snapshots.load(writer.js, settings)
    assert loaded is not None
    assert loaded.sequence == taken[0].sequence
    assert taken[-1].name in capsys.readouterr().out


async def test_when_all_are_damaged_the_whole_journal_will_do_while_it_is_there(
    writer: Writer, settings: Settings
) -> None:
    for info in await take_several(writer, 2):
        await damage(writer.js, info, "one bit")
    assert snapshot.state_hash((await snapshots.rebuild(writer.js, settings)).book) == hash_after(life())
    await journal.shorten(writer.js, STREAM, 1)
    with pytest.raises(JournalShortenedError):
        await snapshots.rebuild(writer.js, settings)


async def test_a_snapshot_of_another_journal_is_refused(writer: Writer, settings: Settings) -> None:
    await take_several(writer, 1)
    await writer.js.delete_stream(STREAM)
    await journal.create(writer.js, settings.journal)
    with pytest.raises(JournalError, match="JOURNAL ends with message 0"):
        await snapshots.rebuild(writer.js, settings)


async def test_chunks_of_a_writer_that_died_are_dropped(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    await take_several(writer, 1)
    await writer.js.publish("$O.SNAPSHOTS.C.orphan", b"half a snapshot")

    async def chunks() -> set[str]:
        found = (await writer.js.stream_info("OBJ_SNAPSHOTS", subjects_filter="$O.SNAPSHOTS.C.>")).state.subjects
        return set(found or {})

    await write(writer, [life()[0]], Random(SEED))
    await take(writer)
    assert "$O.SNAPSHOTS.C.orphan" in await chunks(), "it might still be at work"
    monkeypatch.setattr(snapshots, "_ORPHAN", timedelta(0))
    await write(writer, [life()[0]], Random(SEED))
    await take(writer)
    assert "$O.SNAPSHOTS.C.orphan" not in await chunks()
    assert len(await chunks()) == 3


async def test_the_auditor_may_rebuild(writer: Writer, settings: Settings) -> None:
    await take_several(writer, 2)
    await write(writer, [life()[0]], Random(SEED))
    auditor = await bus.connect(settings, Role.AUDITOR)
    book, sequence = await snapshots.rebuild(auditor.jetstream(), settings)
    assert (book.event_no, sequence) == (len(life()) + 1, writer.journal.sequence)
    await bus.close(auditor)


# The job.


async def projected(url: str, sequence: int) -> None:
    """Postgres says that it has the journal so far."""
    connection = await asyncpg.connect(url)
    await postgres.migrate(connection)
    await connection.execute("UPDATE projection SET sequence = $1", sequence)
    await connection.close()


async def first_left(w: Writer) -> int:
    return (await w.js.stream_info(STREAM)).state.first_seq


async def test_a_state_that_is_not_sound_is_not_written(writer: Writer, settings: Settings) -> None:
    events = life()
    bet = next(event for event in events if type(event) is BetAccepted)
    events = events[: events.index(bet) + 1]
    paid_too_early = BetSettled(bet.ts_ms, bet.id, bet.customer, "EUR", bet.stake_m, 0, 0, BetStatus.OPEN, 5)
    await write(writer, [*events, paid_too_early], Random(SEED))
    with pytest.raises(SnapshotError, match="not sound, nothing is written"):
        await snapshots.take(settings)
    assert await snapshots.latest(writer.js, settings) is None


@pytest.mark.parametrize(
    ("safety_ms", "in_postgres", "expected"),
    [
        (1, 10**6, "oldest snapshot"),
        (1, 2, 3),
        (1, 0, 1),
        (1, None, 1),
        (86_400_000, 10**6, 1),
    ],
    ids=["by-snapshot", "by-postgres", "nothing-projected", "no-postgres", "by-window"],
)
async def test_the_journal_drops_only_what_nobody_needs(
    fresh_nats: NatsServer, fresh_database: str, safety_ms: int, in_postgres: int | None, expected: int | str
) -> None:
    overrides: dict[str, object] = {"snapshot.journal_safety_ms": safety_ms, "snapshot.keep": 2}
    if in_postgres is not None:
        await projected(fresh_database, in_postgres)
        overrides["postgres.url"] = fresh_database
    settings = settings_of(fresh_nats, overrides)
    async with writing(settings) as w:
        taken = await take_several(w, 4)
        await write(w, [life()[0]], Random(SEED))
        await asyncio.sleep(0.005)  # the window has passed
        client = await bus.connect(settings, Role.ENGINE)
        left = await snapshots.shorten(client, settings)
        await bus.close(client)
        assert left == await first_left(w)
        assert left == (taken[-2].sequence + 1 if expected == "oldest snapshot" else expected)
        await damage(w.js, taken[-1], "one bit")
        assert (await snapshots.rebuild(w.js, settings)).book.event_no == len(life()) + 1


async def test_the_journal_is_whole_as_long_as_postgres_is_away(writer: Writer, fresh_nats: NatsServer) -> None:
    gone = {"postgres.url": "postgresql://nobody@127.0.0.1:1/none", "snapshot.journal_safety_ms": 1}
    await take_several(writer, 2)
    client = await bus.connect(writer.settings, Role.ENGINE)
    assert await snapshots.shorten(client, settings_of(fresh_nats, gone)) == 1
    await bus.close(client)


async def run_job(environ: dict[str, str]) -> tuple[int | None, str]:
    job = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "adapters.cli", "snapshot"),
        env={**os.environ, "TICTAC_LOG_FORMAT": "json", **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await job.communicate()
    return job.returncode, said.decode()


async def test_the_job_goes_on_from_the_last_snapshot(
    fresh_nats: NatsServer, fresh_database: str, writer: Writer
) -> None:
    events = life()
    half = len(events) // 2
    environ = {**fresh_nats.environ, "TICTAC_POSTGRES_URL": fresh_database, "TICTAC_SNAPSHOT_JOURNAL_SAFETY_MS": "1"}
    await projected(fresh_database, 10**6)
    await write(writer, events[:half], Random(SEED))
    assert (await run_job(environ))[0] == 0
    first = await snapshots.latest(writer.js, writer.settings)
    assert first is not None
    assert first.event_no == half
    assert await first_left(writer) == first.sequence, "the last message stays"
    await write(writer, events[half:], Random(SEED))
    status, said = await run_job(environ)
    assert status == 0, said
    second = await snapshots.latest(writer.js, writer.settings)
    assert second is not None
    assert (second.event_no, second.state_hash) == (len(events), hash_after(events))


async def test_the_job_says_in_one_line_what_is_in_its_way(fresh_nats: NatsServer) -> None:
    status, said = await run_job({**fresh_nats.environ, "TICTAC_NATS_ENGINE_PASSWORD": "pwrong"})
    assert status == 1
    assert "nats.engine_password is wrong" in said
    assert len(said.splitlines()) == 1
