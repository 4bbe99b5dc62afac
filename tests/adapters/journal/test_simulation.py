"""The writer against a JetStream that fails on command, in virtual time: seeded, so a failure can be played again.

Replies and appends are lost, late and out of order; the disk is full for a while; the connection goes; and another
writer may step in at any moment. The real server refuses what the model refuses (test_journal.py).
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from adapters.journal import Journal, Stop
from config.settings import load
from core.messages.events import BATCH_FORMAT, Batch, CustomerOpened
from tests.adapters.virtual import VirtualLoop

ENCODE = msgspec.msgpack.Encoder().encode
DECODE = msgspec.msgpack.Decoder(Batch).decode
SEEDS = range(150)


class Stream:
    """JetStream as far as the writer knows it; `messages` are payload and message id."""

    def __init__(self) -> None:
        self.messages: list[tuple[bytes, str]] = []
        self.full = False

    def append(self, payload: bytes, expected: int, message_id: str, after_id: str) -> dict[str, Any]:
        last = len(self.messages)
        if expected != last:
            return _refusal(400, 10071, f"wrong last sequence: {last}")
        if after_id and (not last or self.messages[-1][1] != after_id):
            return _refusal(400, 10070, "wrong last msg ID")
        if self.full:
            return _refusal(503, 10077, "maximum bytes exceeded")
        self.messages.append((payload, message_id))
        return {"stream": "JOURNAL", "seq": last + 1}


def _refusal(code: int, err_code: int, description: str) -> dict[str, Any]:
    return {"error": {"code": code, "err_code": err_code, "description": description}, "stream": "JOURNAL", "seq": 0}


class UnreliablePort:
    """Each append meets a fate; some reach the stream long after the writer has given up waiting."""

    payload_max = 1_000_000

    def __init__(self, stream: Stream, chance: random.Random, trouble: float) -> None:
        self.connection = 1
        self.journal: Journal
        self._stream = stream
        self._chance = chance
        self._trouble = trouble

    def calm(self) -> None:
        self._trouble = 0.0
        self.connection = self.connection or 99

    def send(self, token: str, payload: bytes, expected: int, message_id: str, after_id: str) -> None:
        if not self.connection:
            return
        chance = self._chance
        trouble = chance.random() < self._trouble
        there = chance.choice([0.001, 0.01, 0.5, 3.0]) if trouble else 0.001
        back = None if trouble and chance.random() < 0.4 else chance.choice([0.001, 0.05, 2.5]) if trouble else 0.001
        if trouble and chance.random() < 0.2:
            return
        loop = asyncio.get_running_loop()

        def arrive() -> None:
            reply = b"" if trouble and chance.random() < 0.1 else None
            if reply is None:
                reply = json.dumps(self._stream.append(payload, expected, message_id, after_id)).encode()
            if back is not None:
                loop.call_later(back, self.journal.answered, token, reply)

        loop.call_later(there, arrive)

    async def last(self) -> int:
        await self._ask()
        return len(self._stream.messages)

    async def get(self, sequence: int) -> bytes | None:
        await self._ask()
        return self._stream.messages[sequence - 1][0] if sequence <= len(self._stream.messages) else None

    async def _ask(self) -> None:
        await asyncio.sleep(self._chance.choice([0.001, 0.1]))
        if not self.connection or self._chance.random() < self._trouble:
            raise TimeoutError


class World:
    """A seed's stream, writer and faults."""

    def __init__(self, seed: int, replicas: int = 1) -> None:
        self.chance = chance = random.Random(seed)
        settings = load(
            environ={},
            overrides={
                "journal.appends_in_flight_max": chance.choice([1, 2, 2, 4]),
                "journal.batch_events_max": chance.choice([3, 2000]),
                "journal.append_timeout_ms": 1000,
                "journal.replicas": replicas,
                "journal.append_retry_max_ms": 10**7,
            },
        ).journal
        self.stream = Stream()
        self.port = UnreliablePort(self.stream, chance, chance.choice([0.02, 0.2, 0.5]))
        self.delivered: list[int] = []
        self.last = 0
        self.stranger_at = 0
        self.journal = self.port.journal = Journal(self.port, settings, self.deliver, sequence=0, event_no=0)

    def deliver(self, outbox: list[tuple[str, bytes]]) -> None:
        """Each answer says which event it stands on: that must be in the stream by now, and be ours."""
        assert not self.journal.stopped.done()
        stored = self.ours()
        for _, payload in outbox:
            assert int(payload) <= stored, "an answer before its events are stored"
            self.delivered.append(int(payload))

    def ours(self) -> int:
        """How many events of ours are stored; checks that they stand in order, once, and none behind a stranger's."""
        number = 0
        for sequence, (payload, message_id) in enumerate(self.stream.messages, 1):
            if self.stranger_at and sequence >= self.stranger_at:
                assert message_id == "stranger", f"message {sequence} of ours behind a stranger's"
                continue
            batch = DECODE(payload)
            assert batch.first == number + 1
            for event in batch.events:
                number += 1
                assert type(event) is CustomerOpened
                assert event.id == str(number)
        return number

    def work(self) -> None:
        for _ in range(self.chance.randrange(6)):
            self.last += 1
            self.journal.events.append(CustomerOpened(1, str(self.last), 1, "c", "EUR"))
        self.journal.outbox.append(("answer", b"%d" % self.last))
        self.journal.flush()

    def disturb(self) -> None:
        dice = self.chance.random()
        if dice < 0.02:
            self.stream.full = not self.stream.full
        elif dice < 0.04:
            self.port.connection = 0 if self.port.connection else self.chance.randrange(2, 98)

    def step_in(self) -> None:
        """Another writer takes over."""
        self.stranger_at = len(self.stream.messages) + 1
        stranger = Batch(BATCH_FORMAT, self.ours() + 1, [CustomerOpened(1, "stranger", 1, "c", "EUR")])
        self.stream.messages.append((ENCODE(stranger), "stranger"))

    async def play(self, turns: int) -> None:
        for _ in range(turns):
            self.work()
            self.disturb()
            await asyncio.sleep(self.chance.choice([0, 0, 0.001, 0.02]))

    def calm(self) -> None:
        self.stream.full = False
        self.port.calm()


def run(seed: int, play: Callable[[World], Awaitable[None]]) -> None:
    print(f"seed {seed}")  # noqa: T201  # shown where it fails
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:

        async def main() -> None:
            world = World(seed)
            await play(world)
            world.journal.close()

        runner.run(main())


@pytest.mark.parametrize("seed", SEEDS)
def test_all_is_stored_once_and_answered_whatever_happens_on_the_way(seed: int) -> None:
    async def play(world: World) -> None:
        await world.play(80)
        world.calm()
        await world.journal.settled()
        assert world.ours() == world.last
        assert len(world.delivered) == 80
        assert world.delivered == sorted(world.delivered)
        assert world.journal.sequence == len(world.stream.messages)

    run(seed, play)


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_of_ours_comes_behind_another_writer_and_it_stops_us(seed: int) -> None:
    async def play(world: World) -> None:
        await world.play(world.chance.randrange(40))
        world.step_in()
        await world.play(40)
        world.calm()
        assert (await asyncio.wait_for(world.journal.stopped, 10**5)).why is Stop.FENCED
        delivered = list(world.delivered)
        world.work()
        await asyncio.sleep(10)
        world.ours()
        assert world.delivered == delivered

    run(seed, play)


def test_on_a_replicated_stream_appends_go_one_by_one() -> None:
    """nats-server 2.15.1 gives such a stream up when the guard of a second one fails."""

    async def main() -> None:
        world = World(next(seed for seed in SEEDS if random.Random(seed).choice([1, 2, 2, 4]) == 4), replicas=3)
        world.port.calm()
        for _ in range(20):
            world.work()
            assert world.journal.in_flight <= 1
        await world.journal.settled()
        assert world.ours() == world.last
        world.journal.close()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())
