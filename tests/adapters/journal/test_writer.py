"""The writer on a real JetStream: nothing is said before it is stored, and one writer is one writer."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import signal
from pathlib import Path

import pytest
from nats.js.api import StreamConfig

from adapters import bus, journal
from adapters.embedded import NatsServer
from adapters.journal import JournalStoppedError, Stop
from config.settings import Role
from tests.adapters.journalling import Proxy, Writer, settings_of, until, writing


async def test_an_answer_leaves_once_its_events_are_stored_and_not_before(fresh_nats: NatsServer) -> None:
    async with writing(settings_of(fresh_nats)) as w:
        w.add(3)
        w.journal.flush()
        assert (w.delivered, w.journal.waiting, w.journal.in_flight) == ([], 1, 1)
        await w.journal.settled()
        assert (w.delivered, w.journal.waiting, w.journal.in_flight) == ([3], 0, 0)
        assert [each.batch.first for each in await w.stored()] == [1]
        assert w.journal.sequence == 1
        assert (w.journal.metrics.batches, w.journal.metrics.events) == (1, 3)


async def test_what_comes_while_an_append_is_under_way_is_committed_together(fresh_nats: NatsServer) -> None:
    async with writing(settings_of(fresh_nats, {"journal.appends_in_flight_max": 1})) as w:
        for _ in range(50):
            w.add(2)
            w.journal.flush()
        await w.journal.settled()
        assert w.delivered == list(range(2, 101, 2))
        assert [len(each.batch.events) for each in await w.stored()] == [2, 98]


async def test_answers_without_events_wait_for_what_came_before_them(fresh_nats: NatsServer) -> None:
    async with writing(settings_of(fresh_nats)) as w:
        w.journal.outbox.append(("answer", b"0"))
        w.journal.flush()
        assert w.delivered == [0]
        w.add()
        w.journal.flush()
        w.journal.outbox.append(("answer", b"100"))
        w.journal.flush()
        assert (w.delivered, w.journal.waiting) == ([0], 2)
        await w.journal.settled()
        assert w.delivered == [0, 1, 100]


@pytest.mark.parametrize(
    "bounds", [{"journal.batch_bytes_max": 2048}, {"journal.batch_events_max": 17}], ids=["bytes", "events"]
)
async def test_a_large_batch_is_split_and_answered_after_its_last_part(
    fresh_nats: NatsServer, bounds: dict[str, object]
) -> None:
    settings = settings_of(fresh_nats, bounds)
    async with writing(settings) as w:
        w.add(500)
        w.journal.flush()
        w.add(3)
        await w.journal.settled()
        assert w.delivered == [500, 503]
        parts = await w.stored()
        assert len(parts) > 5
        ends = [each.sequence for each in parts if each.batch.first + len(each.batch.events) in {501, 504}]
        assert w.delivered_at == ends
        assert max(part.size for part in parts) <= settings.journal.batch_bytes_max
        assert max(len(part.batch.events) for part in parts) <= settings.journal.batch_events_max
        await w.check()


async def test_a_writer_whose_append_is_refused_delivers_nothing_more(fresh_nats: NatsServer) -> None:
    settings = settings_of(fresh_nats, {"journal.fence_check_ms": 10**6})
    async with writing(settings, name="old") as old:
        old.add()
        await old.journal.settled()
        async with writing(settings, name="new") as new:
            new.add()
            await new.journal.settled()
            old.add()
            old.journal.flush()
            assert (await old.journal.stopped).why is Stop.FENCED
            old.journal.outbox.append(("answer", b"99"))
            old.journal.flush()
            assert old.delivered == [1]
            assert old.journal.blocked
            with pytest.raises(JournalStoppedError, match="another writer"):
                await old.journal.settled()
            new.add()
            await new.journal.settled()
            ids = [event.id for each in await new.stored() for event in each.batch.events]  # type: ignore[union-attr]
            assert ids == ["old-1", "new-2", "new-3"]


async def test_a_second_append_under_way_does_not_get_in_behind_a_stranger(fresh_nats: NatsServer) -> None:
    """Its expected sequence is right then: only the first's message id keeps it out."""
    settings = settings_of(fresh_nats, {"journal.fence_check_ms": 10**6, "journal.appends_in_flight_max": 2})
    async with writing(settings, name="old") as old, writing(settings, name="new") as new:
        new.add()
        await new.journal.settled()
        for _ in range(2):
            old.add()
            old.journal.flush()
        assert old.journal.in_flight == 2
        assert (await old.journal.stopped).why is Stop.FENCED
        assert old.delivered == []
        assert await journal.last_sequence(new.js, settings.journal.stream) == 1


async def test_a_writer_with_nothing_to_store_notices_that_another_has_taken_over(fresh_nats: NatsServer) -> None:
    async with writing(settings_of(fresh_nats), name="old") as old, writing(settings_of(fresh_nats)) as new:
        new.add()
        await new.journal.settled()
        assert (await asyncio.wait_for(old.journal.stopped, 10)).why is Stop.FENCED


async def test_a_server_that_hangs_is_waited_for_and_nothing_is_stored_twice(tmp_path: Path) -> None:
    async with NatsServer(tmp_path / "nats") as server, writing(settings_of(server)) as w:
        w.add()
        await w.journal.settled()
        before = w.journal.metrics.settled
        os.kill(server.pid, signal.SIGSTOP)
        try:
            w.add(5)
            w.journal.flush()
            w.add(5)
            w.journal.flush()
            await until(lambda: w.journal.blocked, "the outcome is unknown")
            assert w.delivered == [1]
        finally:
            os.kill(server.pid, signal.SIGCONT)
        await w.journal.settled()
        assert not w.journal.blocked
        assert w.delivered == [1, 6, 11]
        await w.check()
        assert w.journal.metrics.settled == before + 1


@pytest.mark.parametrize("stored", [True, False], ids=["stored", "not-stored"])
async def test_an_append_cut_off_before_its_acknowledgement_is_stored_once(
    fresh_nats: NatsServer, *, stored: bool
) -> None:
    async with Proxy(fresh_nats.port) as proxy:
        client = await bus.connect(settings_of(fresh_nats, {"nats.urls": [proxy.address]}), Role.ENGINE)
        looking = await bus.connect(settings_of(fresh_nats), Role.ENGINE)
        w = await Writer.open(settings_of(fresh_nats), client=client)
        w.add()
        await w.journal.settled()
        before = w.journal.metrics.settled
        proxy.swallow_down, proxy.swallow_up = stored, not stored
        for _ in range(2):
            w.add()
            w.journal.flush()

        async def arrived() -> bool:
            return await journal.last_sequence(looking.jetstream(), "JOURNAL") == 3

        await until(arrived if stored else lambda: proxy.swallowed > 0, "the appends are on their way")
        assert w.delivered == [1]
        proxy.swallow_down = proxy.swallow_up = False
        proxy.cut()
        await w.journal.settled()
        assert w.delivered == [1, 2, 3]
        assert w.journal.metrics.settled == before + 1
        await w.check()
        await w.close()
        await bus.close(looking)


async def test_kill_9_of_the_server_loses_no_answered_event(tmp_path: Path) -> None:
    seed = secrets.randbelow(10**6)
    print(f"seed {seed}")  # noqa: T201  # shown where it fails
    chance = random.Random(seed)
    async with NatsServer(tmp_path / "nats") as server, writing(settings_of(server)) as w:

        async def load() -> None:
            while True:
                w.add(chance.randrange(1, 20))
                w.journal.flush()
                await asyncio.sleep(chance.random() * 0.001)

        loading = asyncio.create_task(load())
        for _ in range(4):
            goal = len(w.delivered) + chance.randrange(50, 200)
            await until(lambda goal=goal: len(w.delivered) >= goal, "answers")  # type: ignore[misc]
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
        loading.cancel()
        await w.journal.settled()
        assert w.delivered[-1] == w.last, f"seed {seed}"
        await w.check()
        assert sum(len(each.batch.events) for each in await w.stored()) == w.last, f"seed {seed}"


async def test_a_full_journal_blocks_and_goes_on_when_there_is_room(fresh_nats: NatsServer) -> None:
    small = settings_of(fresh_nats, {"journal.bytes_max": 2000})
    async with writing(small) as w:
        w.add(5)
        await w.journal.settled()
        w.add(100)
        w.journal.flush()
        w.add(1)
        w.journal.flush()
        await until(lambda: w.journal.blocked, "the journal is full")
        assert w.delivered == [5]
        await journal.create(w.js, settings_of(fresh_nats).journal)
        await w.journal.settled()
        assert w.delivered == [5, 105, 106]
        assert not w.journal.blocked
        await w.check()


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"journal.bytes_max": 1024, "journal.blocked_max_ms": 50}, "maximum bytes exceeded"),
        ({"journal.stream": "ELSEWHERE", "journal.blocked_max_ms": 50}, "stream"),
    ],
    ids=["full", "no-stream"],
)
async def test_patience_with_a_journal_that_cannot_store_ends(
    fresh_nats: NatsServer, overrides: dict[str, object], said: str
) -> None:
    async with writing(settings_of(fresh_nats, overrides)) as w:
        if said == "stream":
            await w.js.delete_stream("ELSEWHERE")
            await w.js.add_stream(StreamConfig(name="ELSEWHERE", subjects=["not.the.journal"]))
        w.add(100)
        w.journal.flush()
        stopped = await w.journal.stopped
        assert stopped.why is Stop.FAILED
        assert said in stopped.detail
        assert w.delivered == []


async def test_patience_with_a_server_that_is_away_ends(tmp_path: Path) -> None:
    server = NatsServer(tmp_path / "nats").start()
    async with writing(settings_of(server, {"journal.append_retry_max_ms": 100})) as w:
        server.kill()
        w.add()
        w.journal.flush()
        stopped = await w.journal.stopped
        assert (stopped.why, w.delivered) == (Stop.FAILED, [])
        assert "append 1 could not be stored" in stopped.detail


async def test_what_fails_in_delivering_stops_the_writer(fresh_nats: NatsServer) -> None:
    async with writing(settings_of(fresh_nats)) as w:
        w.journal.outbox.append(("answer", b"not a number"))
        w.journal.events.extend([])
        w.add()
        w.journal.flush()
        stopped = await w.journal.stopped
        assert stopped.why is Stop.FAILED
        assert "ValueError" in stopped.detail
        w.add()
        w.journal.flush()
        assert w.journal.in_flight == 0 or w.delivered == []


async def test_the_stream_keeps_everything_and_is_brought_to_the_settings(fresh_nats: NatsServer) -> None:
    client = await bus.connect(settings_of(fresh_nats), Role.ENGINE)
    js = client.jetstream()
    for bytes_max in (100_000, 200_000):
        await journal.create(js, settings_of(fresh_nats, {"journal.bytes_max": bytes_max}).journal)
        config = (await js.stream_info("JOURNAL")).config
        assert config.max_bytes == bytes_max
        assert (config.storage, config.discard, config.max_age, config.max_msgs) == ("file", "new", 0, -1)
        assert (config.subjects, config.deny_delete, config.retention) == (["journal.0"], True, "limits")
    await bus.close(client)
