"""Reading is complete, in order and checked, or says what is wrong."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

import msgspec
import pytest

from adapters import bus, journal
from adapters.embedded import NatsServer
from adapters.journal import JournalError, JournalShortenedError
from config.settings import Role
from core.messages.events import BATCH_FORMAT, Batch, CustomerOpened
from tests.adapters.journalling import Writer, settings_of, until, writing

STREAM = "JOURNAL"


async def fill(w: Writer, batches: int, events: int = 3) -> None:
    for _ in range(batches):
        w.add(events)
        await w.journal.settled()


async def sequences(w: Writer, after: int, until_sequence: int | None = None) -> list[int]:
    return [each.sequence async for each in journal.read(w.js, STREAM, after, until=until_sequence)]


@pytest.mark.parametrize(
    ("after", "until_sequence", "expected"),
    [(0, None, range(1, 8)), (3, None, range(4, 8)), (0, 5, range(1, 6)), (3, 3, []), (7, None, []), (5, 2, [])],
)
async def test_batches_behind_a_sequence_up_to_another(
    fresh_nats: NatsServer, after: int, until_sequence: int | None, expected: list[int]
) -> None:
    async with writing(settings_of(fresh_nats)) as w:
        await fill(w, 7)
        assert await sequences(w, after, until_sequence) == list(expected)


async def test_a_batch_comes_with_its_bytes(fresh_nats: NatsServer) -> None:
    async with writing(settings_of(fresh_nats)) as w:
        await fill(w, 1)
        (stored,) = await w.stored()
        assert (stored.batch.format, stored.batch.first, len(stored.batch.events)) == (BATCH_FORMAT, 1, 3)
        assert stored.size == len(stored.data)
        assert msgspec.msgpack.decode(stored.data, type=Batch) == stored.batch


async def test_more_than_a_page_is_read_whole(fresh_nats: NatsServer) -> None:
    async with writing(settings_of(fresh_nats, {"journal.batch_events_max": 1})) as w:
        await fill(w, 1, 1700)
        assert await sequences(w, 0) == list(range(1, 1701))


async def test_an_empty_journal_reads_as_nothing(fresh_nats: NatsServer) -> None:
    async with writing(settings_of(fresh_nats)) as w:
        assert await sequences(w, 0) == []
        assert await journal.last_sequence(w.js, STREAM) == 0
        assert await journal.Source(w.js, STREAM).end() == (0, 0)
        await fill(w, 2)
        assert await journal.last_sequence(w.js, STREAM) == 2
        assert await journal.Source(w.js, STREAM).end() == (2, 6)


async def test_following_waits_for_what_comes_and_survives_the_server(tmp_path: Path) -> None:
    async with NatsServer(tmp_path / "nats") as server, writing(settings_of(server)) as w:
        auditor = await bus.connect(settings_of(server), Role.AUDITOR)
        await fill(w, 2)
        seen: list[int] = []

        async def follow() -> None:
            async with aclosing(journal.follow(auditor.jetstream(), STREAM, 1)) as batches:
                async for stored in batches:
                    seen.append(stored.sequence)  # noqa: PERF401  # it has no end

        following = asyncio.create_task(follow())
        await until(lambda: seen == [2], "what is there")
        await fill(w, 2)
        await until(lambda: seen == [2, 3, 4], "what is new")
        for more in (5, 7):
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
            await fill(w, 2)
            await until(lambda more=more: seen == list(range(2, more + 2)), "what came after a restart")  # type: ignore[misc]
        assert not following.done()
        following.cancel()
        await bus.close(auditor)


async def test_readers_leave_no_consumer_behind(fresh_nats: NatsServer) -> None:
    async with writing(settings_of(fresh_nats)) as w:
        await fill(w, 3)
        async with aclosing(journal.follow(w.js, STREAM, 0)) as batches:
            async for _ in batches:
                break

        async def gone() -> bool:
            return (await w.js.stream_info(STREAM)).state.consumer_count == 0

        await until(gone, "the consumer is deleted")


async def test_a_shortened_journal_says_what_is_no_longer_there(fresh_nats: NatsServer) -> None:
    async with writing(settings_of(fresh_nats)) as w:
        await fill(w, 5)
        assert await journal.shorten(w.js, STREAM, 3) == 4
        assert await journal.shorten(w.js, STREAM, 2) == 4
        assert await sequences(w, 3) == [4, 5]
        with pytest.raises(JournalShortenedError, match="begins with message 4; 3 is wanted") as caught:
            await sequences(w, 2)
        assert (caught.value.wanted, caught.value.first) == (3, 4)


async def test_the_last_message_always_stays(fresh_nats: NatsServer) -> None:
    async with writing(settings_of(fresh_nats)) as w:
        await fill(w, 5)
        assert await journal.shorten(w.js, STREAM, 99) == 5
        assert await journal.Source(w.js, STREAM).end() == (5, 15)
        await fill(w, 1)
        assert await sequences(w, 4) == [5, 6]
    async with writing(settings_of(fresh_nats)) as w:
        assert await journal.shorten(w.js, STREAM, 0) == 5


async def test_what_lies_behind_the_end_is_an_error(fresh_nats: NatsServer) -> None:
    async with writing(settings_of(fresh_nats)) as w:
        await fill(w, 2)
        for after, until_sequence in ((3, None), (0, 3)):
            with pytest.raises(JournalError, match="ends with message 2; 3 is wanted"):
                await sequences(w, after, until_sequence)


EVENT = CustomerOpened(1, "x", 1, "c", "EUR")
ENCODE = msgspec.msgpack.Encoder().encode


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "message 3 of JOURNAL is no batch"),
        (b"\xc1garbage", "message 3 of JOURNAL is no batch"),
        (ENCODE(Batch(BATCH_FORMAT, 8, [EVENT])), "begins with event 8, event 7 should come next"),
        (ENCODE(Batch(BATCH_FORMAT, 6, [EVENT])), "begins with event 6, event 7 should come next"),
        (ENCODE(Batch(2, 7, [EVENT])), "has format 2, this release reads 1"),
        (ENCODE((2, 7, [(999, "of the future")])), "has format 2, this release reads 1"),
        (ENCODE((1, 7, [(999, "unknown tag")])), "message 3 of JOURNAL is no batch"),
    ],
    ids=["empty", "garbage", "gap", "overlap", "format", "format-and-events", "events"],
)
async def test_what_cannot_be_right_is_named(fresh_nats: NatsServer, data: bytes, said: str) -> None:
    async with writing(settings_of(fresh_nats, {"journal.fence_check_ms": 10**6})) as w:
        await fill(w, 2)
        await w.js.publish("journal.0", data)
        with pytest.raises(JournalError, match=said):
            await w.stored()


async def test_a_journal_with_a_hole_is_not_read_over(fresh_nats: NatsServer) -> None:
    async with writing(settings_of(fresh_nats)) as w:
        config = (await w.js.stream_info(STREAM)).config
        await w.js.delete_stream(STREAM)
        config.deny_delete = False
        await w.js.add_stream(config)
        await fill(w, 4)
        await w.js.delete_msg(STREAM, 3)
        with pytest.raises(JournalError, match="message 3 is missing, 4 comes next"):
            await sequences(w, 0)
