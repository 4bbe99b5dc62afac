"""One producer's life, over NATS with the roles' own permissions and over the bus in memory: the same tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import nats
import pytest

from adapters.embedded import NatsServer
from config.settings import Ingest, Role, load
from core.messages import feed
from core.messages.feed import AnyFeedMessage, FixtureChange, Heartbeat, RecoverRequest, RecoveryBegin, RecoveryEnd
from feeds.bus import Bus, MemoryBus, NatsBus
from feeds.session import Session

if TYPE_CHECKING:
    from nats.aio.msg import Msg

SUBJECT, CONTROL = "feed.acme.live", "feed-control.acme.live"
DEADLINE_S = 20
_decode = msgspec.msgpack.Decoder(AnyFeedMessage).decode


class Engine:
    """The other side: what it heard, and a way to ask."""

    def __init__(self, ask: Callable[[bytes], Awaitable[None]]) -> None:
        self.heard: list[feed.FeedMessage] = []
        self.ask = ask

    def hear(self, payload: bytes) -> None:
        self.heard.append(_decode(payload))

    def kinds(self) -> list[str]:
        return [type(message).__name__ for message in self.heard]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not condition():  # noqa: ASYNC110  (what is waited for knows no events)
                await asyncio.sleep(0.005)


@pytest.fixture(params=["memory", "nats"])
async def ends(request: pytest.FixtureRequest, nats_server: NatsServer) -> AsyncIterator[tuple[Bus, Engine]]:
    if request.param == "memory":
        memory = MemoryBus()

        async def ask(payload: bytes) -> None:
            await memory.publish(CONTROL, payload)

        engine = Engine(ask)
        await memory.listen(SUBJECT, engine.hear)
        yield memory, engine
        return
    client = await nats.connect(nats_server.url(Role.ENGINE), inbox_prefix=Role.ENGINE.inbox_prefix.encode())

    async def ask_nats(payload: bytes) -> None:
        await client.publish(CONTROL, payload)

    engine = Engine(ask_nats)

    async def hear(message: Msg) -> None:
        engine.hear(message.data)

    await client.subscribe(SUBJECT, cb=hear)
    await client.flush()
    bus = await NatsBus.connect(load(environ=nats_server.environ).nats)
    yield bus, engine
    await bus.close()
    await client.close()


def ingest(heartbeat_ms: int = 10_000, flush_every: int = 2) -> Ingest:
    return msgspec.structs.replace(load(environ={}).ingest, heartbeat_ms=heartbeat_ms, flush_every=flush_every)


def fixture(name: str, ts_ms: int = 5) -> FixtureChange:
    return FixtureChange("x", "y", 99, ts_ms, "acme:1", name, "football", "", 0)


class Offer:
    """A source of one fixture."""

    def image(self) -> Iterator[feed.FeedMessage]:
        yield fixture("as it is now")


async def test_a_session_begins_with_a_recovery_and_numbers_without_a_gap(ends: tuple[Bus, Engine]) -> None:
    bus, engine = ends
    async with Session(bus, "acme", "live", ingest(), clock_ms=lambda: 1_000) as session:
        session.add(Offer())
        await session.publish([fixture("a"), fixture("b"), fixture("c")])
        await engine.until(lambda: len(engine.heard) == 5)
    assert engine.kinds() == ["RecoveryBegin", "RecoveryEnd", *["FixtureChange"] * 3]
    assert [message.sequence for message in engine.heard] == [1_000_001, 1_000_002, 1_000_003, 1_000_004, 1_000_005]
    assert {(message.provider, message.producer) for message in engine.heard} == {("acme", "live")}
    assert [message.ts_ms for message in engine.heard] == [1_000, 1_000, 5, 5, 5], "the provider's time stamps stay"


async def test_a_silent_session_is_heard_by_heartbeats(ends: tuple[Bus, Engine]) -> None:
    bus, engine = ends
    async with Session(bus, "acme", "live", ingest(heartbeat_ms=1)):
        await engine.until(lambda: engine.kinds().count("Heartbeat") >= 3)
    assert isinstance(engine.heard[2], Heartbeat)
    await engine.ask(b"after its end nobody listens to this")
    sequences = [message.sequence for message in engine.heard]
    assert sequences == list(range(sequences[0], sequences[0] + len(sequences)))


@pytest.mark.parametrize("encode", [msgspec.json.encode, msgspec.msgpack.encode])
async def test_a_recovery_is_told_on_request_whole(
    ends: tuple[Bus, Engine], encode: Callable[[RecoverRequest], bytes]
) -> None:
    bus, engine = ends
    async with Session(bus, "acme", "live", ingest()) as session:
        session.add(Offer())
        await engine.ask(encode(RecoverRequest("acme", "live")))
        publishing = [asyncio.create_task(session.publish([fixture("meanwhile")])) for _ in range(20)]
        await asyncio.gather(*publishing)
        await engine.until(lambda: len(engine.heard) == 2 + 20 + 3)
    kinds = engine.kinds()
    begin = kinds.index("RecoveryBegin", 1)
    assert kinds[begin : begin + 3] == ["RecoveryBegin", "FixtureChange", "RecoveryEnd"]
    assert session.recoveries == 2


@pytest.mark.parametrize(
    "payload",
    [b"", b"{", b"\xc1", msgspec.json.encode(RecoverRequest("acme", "other")), b'{"type":"recover"}', b"\x00" * 100],
)
async def test_what_is_not_a_request_to_this_producer_is_passed_over(ends: tuple[Bus, Engine], payload: bytes) -> None:
    bus, engine = ends
    async with Session(bus, "acme", "live", ingest()) as session:
        await engine.ask(payload)
        await engine.ask(msgspec.json.encode(RecoverRequest("acme", "live")))
        await engine.until(lambda: len(engine.heard) >= 4)
        assert session.recoveries == 2


async def test_an_ended_source_is_recovered_until_others_take_its_place() -> None:
    bus, sources = MemoryBus(), [Offer(), Offer(), Offer()]
    settings = msgspec.structs.replace(ingest(), ended_sources_max=2)
    async with Session(bus, "acme", "live", settings) as session:
        for source in sources:
            session.add(source)
            session.end(source)
        await session.recover()
    assert [type(_decode(payload)) for _, payload in bus.sent][2:] == [
        RecoveryBegin,
        FixtureChange,
        FixtureChange,
        RecoveryEnd,
    ]


async def test_while_the_bus_is_away_messages_are_dropped_and_recovered_after() -> None:
    bus = MemoryBus()
    async with Session(bus, "acme", "live", ingest()) as session:
        session.add(Offer())
        bus.away = True
        await session.publish([fixture("lost"), fixture("lost too")])
        assert session.dropped == 2
        bus.away = False
        async with asyncio.timeout(DEADLINE_S):
            while len(bus.sent) < 5:  # noqa: ASYNC110
                await asyncio.sleep(0)
    first, *_, begin, offer, end = [_decode(payload) for _, payload in bus.sent]
    assert (type(begin), offer.name, type(end)) == (RecoveryBegin, "as it is now", RecoveryEnd)
    assert begin.sequence == first.sequence + 4, "the lost ones leave a gap that can be seen"


async def test_after_a_killed_server_is_back_everything_is_told_anew(tmp_path: Path) -> None:
    with NatsServer(tmp_path) as server:
        bus = await NatsBus.connect(load(environ=server.environ, overrides={"nats.reconnect_wait_ms": 20}).nats)
        async with Session(bus, "acme", "live", ingest(heartbeat_ms=5)) as session:
            session.add(Offer())
            await asyncio.to_thread(server.kill)
            async with asyncio.timeout(DEADLINE_S):
                while not session.dropped:  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
            await asyncio.to_thread(server.start)
            async with asyncio.timeout(DEADLINE_S):
                while session.recoveries < 2:  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
            dropped = session.dropped
            await session.publish([fixture("again")])
            assert session.dropped == dropped
        await bus.close()


@pytest.mark.parametrize("name", ["", "a.b", "a b", "a*", ">", "x" * 65])
def test_a_name_that_is_no_token_of_a_subject_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not a token of a subject"):
        Session(MemoryBus(), "acme", name, ingest())


async def test_a_wrong_password_is_an_error_at_once(nats_server: NatsServer) -> None:
    settings = load(environ=nats_server.environ, overrides={"nats.ingestor_password": "wrong"})
    with pytest.raises(ConnectionError, match="Authorization"):
        await NatsBus.connect(settings.nats)
