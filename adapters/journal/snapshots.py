"""Snapshots of the state in a JetStream object store, and the state rebuilt from one and the journal behind it.

A snapshot is named by the number of its last event and says at which message of the journal it stands, so a restart
needs NATS only (DESIGN 5). `tictac snapshot` makes the next one from the last one in a process of its own, and then
lets the journal drop what nobody needs any more: what lies before the oldest snapshot kept, before Postgres' position,
and before the safety window.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import IO, Any, Final, NamedTuple, Self

import structlog
import uvloop
from nats.aio.client import Client
from nats.js import JetStreamContext, api
from nats.js.errors import BadObjectMetaError, BucketNotFoundError, DigestMismatchError, NotFoundError
from nats.js.object_store import ObjectStore

from adapters import bus, journal, logs, postgres
from adapters.journal import JournalError, Stored
from adapters.journal.stream import AWAY
from adapters.postgres import tables
from config.settings import Role, Settings
from core import invariants, snapshot
from core.book import Book
from core.engine import Engine
from core.limits import Limits

log = structlog.get_logger(__name__)
_UNREADABLE: Final = (ValueError, EOFError, TimeoutError, DigestMismatchError, BadObjectMetaError, NotFoundError)
"""What reading a damaged snapshot raises: not ours, cut off, of another release, chunks missing, a wrong checksum."""
_ORPHAN: Final = timedelta(hours=1)
"""Chunks of this age that belong to no snapshot were left by a writer that died."""
_EVENTS_PER_TURN: Final = 5_000
"""Replayed before the loop has its turn: some 10 ms, while nobody waits for an answer."""


class Info(NamedTuple):
    """A snapshot, without its content."""

    name: str
    event_no: int
    sequence: int
    """The journal's message that its last event stands in."""
    state_hash: str
    format: int
    size: int

    @classmethod
    def of(cls, info: api.ObjectInfo) -> Self:
        """Raises ValueError for an object that is no snapshot of ours."""
        try:
            number, sequence, of_state, form = (info.headers[name][0] for name in _HEADERS)  # type: ignore[index]
            return cls(info.name, int(number), int(sequence), of_state, int(form), info.size or 0)
        except (TypeError, KeyError, IndexError) as error:
            raise ValueError(f"{info.name} is no snapshot") from error


_HEADERS: Final = ("Tictac-Event", "Tictac-Sequence", "Tictac-State-Hash", "Tictac-Format")


class Rebuilt(NamedTuple):
    """A state and where it stands in the journal."""

    book: Book
    sequence: int


class SnapshotError(Exception):
    """A snapshot that is not to be written, or not what it says."""


async def rebuild(js: JetStreamContext, settings: Settings, *, until_sequence: int | None = None) -> Rebuilt:
    """The state at a message of the journal (None: its last): the newest snapshot before it, and what comes behind.

    Raises JournalError where the journal does not reach from the one to the other.
    """
    began = time.perf_counter()
    with _collector_off():
        loaded = await load(js, settings, until_sequence=until_sequence)
        book, sequence = loaded or Rebuilt(Book(), 0)
        from_event, fresh = book.event_no, 0
        batches = journal.read(js, settings.journal.stream, sequence, until=until_sequence)
        async with aclosing(batches):
            async for stored in batches:
                replay(book, stored)
                sequence = stored.sequence
                fresh += len(stored.batch.events)
                if fresh >= _EVENTS_PER_TURN:
                    fresh = 0
                    await asyncio.sleep(0)
    seconds = round(time.perf_counter() - began, 3)
    log.info("state rebuilt", event_no=book.event_no, snapshot=from_event, sequence=sequence, seconds=seconds)
    return Rebuilt(book, sequence)


def replay(book: Book, stored: Stored) -> None:
    """Apply a batch. Raises JournalError when it does not begin with the book's next event."""
    batch = stored.batch
    if batch.first != book.event_no + 1:
        raise JournalError(
            f"message {stored.sequence} begins with event {batch.first}, the state is at {book.event_no}"
        )
    apply = Engine(_NO_LIMITS, book).apply
    for event in batch.events:
        apply(event)


_NO_LIMITS: Final = Limits()
"""What has happened is applied whatever the limits are now."""


async def listed(js: JetStreamContext, settings: Settings) -> list[Info]:
    """The snapshots there are, the newest first."""
    try:
        store = await js.object_store(settings.snapshot.bucket)
        objects = await store.list(ignore_deletes=True)
    except (BucketNotFoundError, NotFoundError):
        return []
    found = []
    for info in objects:
        try:
            found.append(Info.of(info))
        except ValueError as error:
            log.warning("not a snapshot", name=info.name, error=str(error))
    return sorted(found, key=lambda info: info.event_no, reverse=True)


async def latest(js: JetStreamContext, settings: Settings) -> Info | None:
    """The newest; None: there is none."""
    return next(iter(await listed(js, settings)), None)


async def load(
    js: JetStreamContext, settings: Settings, *, until_sequence: int | None = None, check_hash: bool = False
) -> Rebuilt | None:
    """The newest snapshot that can be read, at or before a message of the journal; None: there is none.

    One that is damaged is passed over, with a warning: the one before and more of the journal give the same state.
    """
    for info in await listed(js, settings):
        if until_sequence is None or info.sequence <= until_sequence:
            try:
                return Rebuilt(await _read(js, settings, info, check_hash=check_hash), info.sequence)
            except _UNREADABLE as error:
                log.warning("snapshot cannot be read", name=info.name, error=str(error) or repr(error))
    return None


async def save(js: JetStreamContext, settings: Settings, book: Book, sequence: int) -> Info:
    """Write the state as of a message of the journal, unless it is there already; drop what is beyond `keep`.

    The book must not change meanwhile. Blocks the loop while it encodes: 0.5 s for a million bets.
    """
    name = f"{book.event_no:020}"
    before = [info for info in await listed(js, settings) if info.name == name]
    if before:
        return before[0]
    store = await _bucket(js, settings)
    values = str(book.event_no), str(sequence), snapshot.state_hash(book), str(snapshot.FORMAT)
    headers = {header: [value] for header, value in zip(_HEADERS, values, strict=True)}
    options = api.ObjectMetaOptions(max_chunk_size=settings.snapshot.chunk_bytes)
    with tempfile.TemporaryFile() as file:
        for chunk in snapshot.encode(book):
            file.write(len(chunk).to_bytes(4, "big") + chunk)
        file.seek(0)
        async with asyncio.timeout(settings.snapshot.timeout_ms / 1000):
            put = await store.put(name, file, api.ObjectMeta(headers=headers, options=options))
    info = Info.of(put)
    log.info("snapshot written", name=name, sequence=sequence, size=info.size)
    await _tidy(js, store, settings)
    return info


async def _read(js: JetStreamContext, settings: Settings, info: Info, *, check_hash: bool) -> Book:
    """Raises one of _UNREADABLE. By way of a file: nats-py collects a large object in memory in quadratic time."""
    store = await js.object_store(settings.snapshot.bucket)
    await _check_chunks(js, store, settings, info)
    with tempfile.TemporaryFile() as file:
        async with asyncio.timeout(settings.snapshot.timeout_ms / 1000):
            got = await store.get(info.name, writeinto=file)  # checks the SHA-256
        if file.tell() != got.info.size:
            raise EOFError(f"{file.tell()} bytes of {got.info.size}")
        file.seek(0)
        book = snapshot.restore(_chunks(file))
    if book.event_no != info.event_no:
        raise ValueError(f"it holds event {book.event_no}, and is named {info.event_no}")
    if check_hash and snapshot.state_hash(book) != info.state_hash:
        raise ValueError("its state has another hash than when it was written")
    return book


async def _check_chunks(js: JetStreamContext, store: ObjectStore, settings: Settings, info: Info) -> None:
    """All are there: for a missing one nats-py waits for ever. Raises EOFError."""
    whole = await store.get_info(info.name)
    subject = f"$O.{settings.snapshot.bucket}.C.{whole.nuid}"
    state = (await js.stream_info(f"OBJ_{settings.snapshot.bucket}", subjects_filter=subject)).state
    found = (state.subjects or {}).get(subject, 0)
    if found != whole.chunks:
        raise EOFError(f"{found} chunks of {whole.chunks}")


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    while head := file.read(4):
        chunk = file.read(int.from_bytes(head, "big"))
        if len(head) < 4 or len(chunk) < int.from_bytes(head, "big"):
            raise EOFError("a chunk is cut off")
        yield chunk


async def _bucket(js: JetStreamContext, settings: Settings) -> ObjectStore:
    try:
        return await js.object_store(settings.snapshot.bucket)
    except BucketNotFoundError:
        config = api.ObjectStoreConfig(storage=api.StorageType.FILE, replicas=settings.journal.replicas)
        return await js.create_object_store(settings.snapshot.bucket, config)


async def _tidy(js: JetStreamContext, store: ObjectStore, settings: Settings) -> None:
    """Delete what is beyond `keep`, and chunks without a snapshot."""
    for info in (await listed(js, settings))[settings.snapshot.keep :]:
        await store.delete(info.name)
        log.info("snapshot dropped", name=info.name)
    stream, prefix = f"OBJ_{settings.snapshot.bucket}", f"$O.{settings.snapshot.bucket}.C."
    known = {prefix + str(info.nuid) for info in await store.list(ignore_deletes=True)}
    there = (await js.stream_info(stream, subjects_filter=f"{prefix}>")).state.subjects or {}
    for subject in there.keys() - known:
        written = (await js.get_last_msg(stream, subject)).time
        if written is not None and datetime.now(UTC) - written > _ORPHAN:
            await js.purge_stream(stream, subject=subject)
            log.warning("chunks without a snapshot dropped", subject=subject)


@contextmanager
def _collector_off() -> Iterator[None]:
    """A million objects come and none goes: the cycle collector would walk them again and again, and find nothing."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.freeze()


# The job.


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `tictac snapshot`."""
    parser = commands.add_parser("snapshot", help="write the next snapshot, shorten the journal")
    parser.set_defaults(run=_run)


def _run(_: argparse.Namespace, settings: Settings) -> int:
    logs.set_up(settings.log)
    os.nice(10)  # the engine goes first
    try:
        uvloop.run(take(settings))
    except (bus.BusError, JournalError, SnapshotError, *AWAY) as error:
        log.error("no snapshot", error=str(error) or repr(error))  # noqa: TRY400  # the line says it all
        return 1
    return 0


async def take(settings: Settings) -> Info:
    """The last snapshot and the journal behind it make the next one; then the journal is shortened."""
    client = await bus.connect(settings, Role.ENGINE, name="tictac-snapshot")
    try:
        js = client.jetstream()
        book, sequence = await rebuild(js, settings)
        try:
            invariants.check(book)
        except AssertionError as error:
            raise SnapshotError(
                f"the state at event {book.event_no} is not sound, nothing is written: {error}"
            ) from error
        info = await save(js, settings, book, sequence)
        await shorten(client, settings)
        return info
    finally:
        await bus.close(client)


async def shorten(client: Client, settings: Settings) -> int:
    """Drop the journal's front: what is old enough and stands in every snapshot kept and in Postgres.

    Returns the first message left. Without a word from Postgres nothing is dropped: it could never catch up.
    """
    js, stream = client.jetstream(), settings.journal.stream
    kept = await listed(js, settings)
    projected = await _projected(settings)
    old = await _before(client, stream, datetime.now(UTC) - timedelta(milliseconds=settings.snapshot.journal_safety_ms))
    return await journal.shorten(js, stream, min([old, projected, *(info.sequence for info in kept)] if kept else [0]))


async def _projected(settings: Settings) -> int:
    """Postgres' position in the journal; 0 where it does not say."""
    if not settings.postgres.url:
        log.info("the journal is not shortened: postgres.url is empty")
        return 0
    try:
        connection = await postgres.connect(settings.postgres)
        try:
            return (await tables.position(connection)).sequence
        finally:
            await connection.close()
    except (*postgres.AWAY, tables.TableError) as error:
        log.warning("the journal is not shortened: Postgres is away", error=str(error) or repr(error))
        return 0


async def _before(client: Client, stream: str, when: datetime) -> int:
    """The journal's last message from before a time."""
    wanted = {"start_time": when.isoformat(), "batch": 1}
    reply = await client.request(f"$JS.API.DIRECT.GET.{stream}", json.dumps(wanted).encode(), timeout=5)
    headers: dict[str, Any] = reply.headers or {}
    if headers.get("Status") == "404":
        return await journal.last_sequence(client.jetstream(), stream)
    return int(headers["Nats-Sequence"]) - 1
