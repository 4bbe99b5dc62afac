"""Each role of config/nats/tictac.conf may what it must, and the server itself refuses what it must not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import nats
import pytest
from nats.aio.client import Client
from nats.errors import Error
from nats.js.api import StreamConfig

from adapters.codec import REQUESTS
from adapters.embedded import NatsServer
from config.settings import Role

DEADLINE_S = 10.0


async def arrived(client: Client) -> None:
    """The server has all we said: nats-py writes the first PING ahead of what is pending, the second after it."""
    await client.flush()
    await client.flush()


class Watched:
    """A client and what the server said against it."""

    def __init__(self, client: Client, complaints: asyncio.Queue[str]) -> None:
        self.client = client
        self._complaints = complaints

    async def complaint(self) -> str:
        return await asyncio.wait_for(self._complaints.get(), DEADLINE_S)

    async def complaints(self) -> list[str]:
        """All so far. The server answers in order: after its PONG, what it had against earlier words has arrived."""
        await arrived(self.client)
        return [self._complaints.get_nowait() for _ in range(self._complaints.qsize())]


@asynccontextmanager
async def connected(server: NatsServer, role: Role) -> AsyncIterator[Watched]:
    complaints: asyncio.Queue[str] = asyncio.Queue()

    async def complain(error: Exception) -> None:
        complaints.put_nowait(str(error))

    client = await nats.connect(server.url(role), inbox_prefix=role.inbox_prefix.encode(), error_cb=complain)
    try:
        yield Watched(client, complaints)
    finally:
        await client.close()


QUESTIONS = (
    *("bet.get", "bet.max-stake", "account.get", "account.limits", "account.bonuses", "odds.get"),
    *("order.get", "order.list", "order.book"),
)
"""What the desk may ask beside its own commands: it changes nothing."""
MAY_PUBLISH = [
    (Role.GATEWAY, [*(subject for subject in REQUESTS if not subject.startswith("desk.")), "order.place"]),
    (Role.INGESTOR, ["feed.betfair.f1"]),
    (Role.DESK, [subject for subject in REQUESTS if subject.startswith("desk.") or subject in QUESTIONS]),
    (
        Role.ENGINE,
        [
            "odds.f1.m1",
            "odds.f1.m1.book",
            "bets.c1",
            "orders.c1",
            "desk-referrals",
            "engine-started",
            "desk-balances",
            "feed-control.betfair",
            "journal.0",
            "_INBOX_gateway.x",
            "$O.SNAPSHOTS.M.a",
        ],
    ),
    (Role.AUDITOR, ["$JS.API.STREAM.INFO.JOURNAL", "$JS.API.STREAM.INFO.FEED", "$JS.API.STREAM.INFO.OBJ_SNAPSHOTS"]),
    (Role.OPERATOR, ["bet.place", "feed.betfair.f1", "journal.0"]),
]
MUST_NOT_PUBLISH = [
    (
        Role.GATEWAY,
        [
            *(subject for subject in REQUESTS if subject.startswith("desk.")),
            *(
                "feed.betfair.f1",
                "odds.f1.m1",
                "odds.f1.m1.book",
                "bets.c1",
                "orders.c1",
                "desk-referrals",
                "desk-balances",
            ),
            *("engine-started", "journal.0", "$JS.API.INFO", "_INBOX_desk.x", "_INBOX_gateway.x"),
        ],
    ),
    (
        Role.INGESTOR,
        [
            *REQUESTS,
            "odds.f1.m1",
            "odds.f1.m1.book",
            "orders.c1",
            "engine-started",
            "desk-referrals",
            "desk-balances",
            "journal.0",
        ],
    ),
    (Role.INGESTOR, ["$JS.API.STREAM.DELETE.FEED"]),
    (
        Role.DESK,
        [
            *(subject for subject in REQUESTS if not subject.startswith("desk.") and subject not in QUESTIONS),
            *(
                "feed.betfair.f1",
                "desk-referrals",
                "desk-balances",
                "bets.c1",
                "orders.c1",
                "journal.0",
                "$JS.API.INFO",
            ),
            *("odds.f1.m1", "odds.f1.m1.book", "engine-started", "_INBOX_gateway.x"),
        ],
    ),
    (Role.ENGINE, ["bet.place", "feed.betfair.f1", "desk.suspend"]),
    (
        Role.AUDITOR,
        [
            "journal.0",
            "bet.place",
            "$O.SNAPSHOTS.M.a",
            "$JS.API.STREAM.CREATE.X",
            "$JS.API.STREAM.UPDATE.JOURNAL",
            "$JS.API.STREAM.DELETE.JOURNAL",
            "$JS.API.STREAM.PURGE.JOURNAL",
            "$JS.API.STREAM.MSG.DELETE.JOURNAL",
        ],
    ),
]
MAY_SUBSCRIBE = [
    (
        Role.GATEWAY,
        [
            *("odds.>", "odds.f1.m1", "odds.f1.m1.book", "bets.c1", "orders.c1", "engine-started"),
            "_INBOX_gateway.>",
        ],
    ),
    (Role.INGESTOR, ["feed-control.betfair", "_INBOX_ingestor.>"]),
    (Role.DESK, ["odds.>", "bets.>", "orders.>", "desk-referrals", "desk-balances", "engine-started", "_INBOX_desk.>"]),
    (Role.ENGINE, ["bet.>", "order.>", "account.>", "desk.>", "feed.>", "odds.get"]),
    (Role.AUDITOR, ["_INBOX_auditor.>"]),
    (Role.OPERATOR, [">"]),
]
MUST_NOT_SUBSCRIBE = [
    (
        Role.GATEWAY,
        [
            ">",
            "bet.>",
            "order.>",
            "feed.>",
            "journal.>",
            "odds.get",
            "desk-referrals",
            "desk-balances",
            "_INBOX_desk.>",
        ],
    ),
    (
        Role.INGESTOR,
        [
            ">",
            "bet.>",
            "order.>",
            "feed.>",
            "bets.>",
            "orders.>",
            "orders.c1",
            "odds.f1.m1.book",
            "desk-referrals",
            "desk-balances",
            "_INBOX_gateway.>",
        ],
    ),
    (Role.DESK, [">", "bet.>", "journal.>", "_INBOX_gateway.>"]),
    (Role.ENGINE, [">", "_INBOX_gateway.>"]),
    (
        Role.AUDITOR,
        [
            ">",
            "bet.>",
            "bets.>",
            "orders.>",
            "orders.c1",
            "desk-referrals",
            "desk-balances",
            "journal.>",
            "_INBOX_engine.>",
        ],
    ),
]


@pytest.mark.parametrize(("role", "subjects"), MAY_PUBLISH)
async def test_a_role_may_publish_what_it_must(fresh_nats: NatsServer, role: Role, subjects: list[str]) -> None:
    async with connected(fresh_nats, role) as watched:
        for subject in subjects:
            await watched.client.publish(subject, b"")
        assert await watched.complaints() == []


@pytest.mark.parametrize(("role", "subjects"), MUST_NOT_PUBLISH)
async def test_the_server_refuses_other_subjects(fresh_nats: NatsServer, role: Role, subjects: list[str]) -> None:
    async with connected(fresh_nats, role) as watched:
        for subject in subjects:
            await watched.client.publish(subject, b"")
            said = await watched.complaint()
            assert "permissions violation for publish" in said.lower()
            assert subject.lower() in said.lower()


@pytest.mark.parametrize(("role", "subjects"), MAY_SUBSCRIBE)
async def test_a_role_may_hear_what_it_must(fresh_nats: NatsServer, role: Role, subjects: list[str]) -> None:
    async with connected(fresh_nats, role) as watched:
        for subject in subjects:
            await watched.client.subscribe(subject)
        assert await watched.complaints() == []


@pytest.mark.parametrize(("role", "subjects"), MUST_NOT_SUBSCRIBE)
async def test_the_server_lets_nobody_listen_elsewhere(fresh_nats: NatsServer, role: Role, subjects: list[str]) -> None:
    async with connected(fresh_nats, role) as watched:
        for subject in subjects:
            await watched.client.subscribe(subject)
            assert "permissions violation for subscription" in (await watched.complaint()).lower()


async def test_a_gateway_gets_the_engines_answer(fresh_nats: NatsServer) -> None:
    async with connected(fresh_nats, Role.ENGINE) as engine, connected(fresh_nats, Role.GATEWAY) as gateway:
        requests = await engine.client.subscribe("bet.>")
        await arrived(engine.client)
        asking = asyncio.create_task(gateway.client.request("bet.place", b"bet", timeout=DEADLINE_S))
        request = await requests.next_msg(DEADLINE_S)
        await request.respond(b"answer")
        assert (await asking).data == b"answer"


async def test_a_gateway_on_odds_does_not_hear_who_asks_for_images(fresh_nats: NatsServer) -> None:
    async with (
        connected(fresh_nats, Role.DESK) as desk,
        connected(fresh_nats, Role.ENGINE) as engine,
        connected(fresh_nats, Role.GATEWAY) as gateway,
    ):
        odds = await gateway.client.subscribe("odds.>")
        await arrived(gateway.client)
        await desk.client.publish("odds.get", b"")
        await arrived(desk.client)
        await engine.client.publish("odds.f1.m1", b"price")
        assert (await odds.next_msg(DEADLINE_S)).subject == "odds.f1.m1"


async def test_an_auditor_reads_the_journal_and_the_snapshots(fresh_nats: NatsServer) -> None:
    async with connected(fresh_nats, Role.ENGINE) as engine, connected(fresh_nats, Role.AUDITOR) as auditor:
        jetstream = engine.client.jetstream()
        await jetstream.add_stream(StreamConfig(name="JOURNAL", subjects=["journal.>"]))
        await jetstream.publish("journal.0", b"events")
        store = await jetstream.create_object_store("SNAPSHOTS")
        await store.put("state", b"x" * 300_000)
        reader = auditor.client.jetstream()
        pulled = await reader.pull_subscribe("journal.>", durable="projector", stream="JOURNAL")
        (message,) = await pulled.fetch(1, timeout=DEADLINE_S)
        assert message.data == b"events"
        await message.ack()
        ordered = await reader.subscribe("journal.>", ordered_consumer=True)
        assert (await ordered.next_msg(DEADLINE_S)).data == b"events"
        assert (await reader.get_last_msg("JOURNAL", "journal.0")).data == b"events"
        state = await (await reader.object_store("SNAPSHOTS")).get("state")
        assert state.data == b"x" * 300_000
        assert await auditor.complaints() == []


@pytest.mark.parametrize(
    "login", [{}, {"user": "gateway", "password": "guess"}, {"user": "nobody", "password": "guess"}]
)
async def test_wrong_credentials_are_refused_and_said(nats_server: NatsServer, login: dict[str, str]) -> None:
    with pytest.raises(Error, match=r"(?i)authorization violation"):
        await nats.connect(
            f"nats://127.0.0.1:{nats_server.port}", allow_reconnect=False, max_reconnect_attempts=0, **login
        )
