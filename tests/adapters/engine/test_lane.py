"""The lane rests on parts of nats-py that are private: these tests fail when a new version moves them."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import nats
import pytest
from nats.aio.client import Client

from adapters.embedded import NatsServer
from adapters.engine.lane import Lane
from config.settings import Role

if TYPE_CHECKING:
    from pathlib import Path

Taken = list[tuple[str, str, bytes]]
PENDING = 1 << 20


async def connected(server: NatsServer, role: Role = Role.OPERATOR) -> Client:
    return await nats.connect(
        server.url(role), inbox_prefix=role.inbox_prefix.encode(), reconnect_time_wait=0.05, max_reconnect_attempts=200
    )


@pytest.fixture
async def client(nats_server: NatsServer) -> AsyncIterator[Client]:
    client = await connected(nats_server)
    yield client
    await client.close()


@pytest.fixture
async def other(nats_server: NatsServer) -> AsyncIterator[Client]:
    client = await connected(nats_server)
    yield client
    await client.close()


def fail(error: BaseException) -> None:
    raise AssertionError("no handler should fail here") from error


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  # other processes make it true
            await asyncio.sleep(0.005)


async def test_messages_go_the_short_way_in_their_order(client: Client, other: Client) -> None:
    lane, taken, subject = Lane(client, fail, PENDING), Taken(), secrets.token_hex(4)
    await lane.subscribe(f"{subject}.>", lambda *message: taken.append(message))
    await lane.flush()
    for number in range(500):
        await other.publish(f"{subject}.{number}", b"x" * number, reply="_INBOX_operator.r" if number % 2 else "")
    await until(lambda: len(taken) >= 500)
    assert taken == [(f"{subject}.{n}", "_INBOX_operator.r" if n % 2 else "", b"x" * n) for n in range(500)]
    assert lane.taken == 500


async def test_a_message_with_headers_arrives_too(client: Client, other: Client) -> None:
    lane, taken, subject = Lane(client, fail, PENDING), Taken(), secrets.token_hex(4)
    await lane.subscribe(subject, lambda *message: taken.append(message))
    await lane.flush()
    await other.publish(subject, b"one")
    await other.publish(subject, b"two", reply="r", headers={"trace": "1"})
    await other.publish(subject, b"three")
    await until(lambda: len(taken) >= 3)
    assert taken == [(subject, "", b"one"), (subject, "r", b"two"), (subject, "", b"three")]
    assert lane.taken == 3


async def test_whatever_its_headers_and_subjects_are_a_message_is_handled_and_the_next_one_too(client: Client) -> None:
    lane, taken = Lane(client, fail, PENDING), Taken()
    number = (await lane.subscribe("odd.>", lambda *message: taken.append(message)))._id
    await client._ps.parse(
        b"HMSG odd.a %d r 16 17\r\nNATS/1.0 \xff\xff \r\n\r\n1\r\n" % number
        + b"HMSG odd.b %d 10 11\r\nno headers2\r\n" % number
        + b"HMSG odd.\xff %d 2 3\r\n\r\n3\r\n" % number
        + b"MSG odd.\xff\xfe %d r.\xff 1\r\n4\r\n" % number
        + "MSG odd.ä %d 1\r\n5\r\n".encode() % number
    )
    assert taken == [
        ("odd.a", "r", b"1"),
        ("odd.b", "", b"2"),
        ("odd.?", "", b"3"),
        ("odd.??", "r.?", b"4"),
        ("odd.ä", "", b"5"),
    ]


async def test_the_rest_of_the_client_works_as_before(client: Client, other: Client) -> None:
    lane, taken, subject = Lane(client, fail, PENDING), Taken(), secrets.token_hex(4)
    await lane.subscribe(subject, lambda *message: taken.append(message))
    ordinary = await client.subscribe(f"{subject}.ordinary")
    await lane.flush()
    await other.publish(subject, b"ours")
    await other.publish(f"{subject}.ordinary", b"theirs")
    await other.publish(subject, b"ours again")
    assert (await ordinary.next_msg(5)).data == b"theirs"
    await until(lambda: len(taken) >= 2)
    assert (await client.jetstream().account_info()).api is not None
    assert await client.rtt() < 5


async def test_answers_leave_in_one_write(client: Client, other: Client) -> None:
    lane, subject = Lane(client, fail, PENDING), secrets.token_hex(4)
    heard = await other.subscribe(f"{subject}.*")
    await other.flush()
    await other.flush()  # see Lane.flush
    lane.publish([(f"{subject}.{number}", b"y" * number) for number in range(300)])
    messages = [await heard.next_msg(5) for _ in range(300)]
    assert [(m.subject, m.data) for m in messages] == [(f"{subject}.{n}", b"y" * n) for n in range(300)]


async def test_what_the_server_would_not_take_is_left_out_and_counted(client: Client, other: Client) -> None:
    lane, subject = Lane(client, fail, PENDING), secrets.token_hex(4)
    heard = await other.subscribe(subject)
    await other.flush()
    await other.flush()  # see Lane.flush
    lane.publish([(subject, b"before"), (subject, bytes(client.max_payload + 1)), (subject, b"after")])
    assert [(await heard.next_msg(5)).data for _ in range(2)] == [b"before", b"after"]
    assert lane.lost == 1
    assert client.is_connected


async def test_a_handler_that_fails_is_the_last_one_called(client: Client, other: Client) -> None:
    failed: asyncio.Queue[BaseException] = asyncio.Queue()
    lane, taken, subject = Lane(client, failed.put_nowait, PENDING), Taken(), secrets.token_hex(4)

    def handle(subject: str, reply: str, payload: bytes) -> None:
        taken.append((subject, reply, payload))
        if payload == b"bad":
            raise RuntimeError("a bug")

    await lane.subscribe(subject, handle)
    await lane.flush()
    for payload in (b"good", b"bad", b"never"):
        await other.publish(subject, payload)
    assert str(await asyncio.wait_for(failed.get(), 5)) == "a bug"
    await other.flush()
    assert await client.rtt() < 5  # reads on: JetStream's acknowledgements must still arrive
    assert [payload for *_, payload in taken] == [b"good", b"bad"]


@pytest.mark.parametrize("size", [1, 2, 7, 64])
async def test_messages_may_come_in_pieces(client: Client, size: int) -> None:
    lane, taken = Lane(client, fail, PENDING), Taken()
    subscription = await lane.subscribe("pieces.>", lambda *message: taken.append(message))
    ordinary = await client.subscribe("ordinary")
    number, other_number = subscription._id, ordinary._id
    stream = (
        b"MSG pieces.a %d 5\r\nab\r\nc\r\n" % number
        + b"PING\r\n"
        + b"MSG ordinary %d 4\r\nMSG \r\n" % other_number
        + b"MSG pieces.b %d _INBOX.r 0\r\n\r\n" % number
        + b"HMSG pieces.c %d 22 25\r\nNATS/1.0\r\ntrace: 1\r\n\r\nxyz\r\n" % number
        + b"MSG pieces.d %d 1\r\nd\r\n" % number
    )
    for at in range(0, len(stream), size):
        await client._ps.parse(stream[at : at + size])
    assert [(subject, payload) for subject, _, payload in taken] == [
        ("pieces.a", b"ab\r\nc"),
        ("pieces.b", b""),
        ("pieces.c", b"xyz"),
        ("pieces.d", b"d"),
    ]
    assert (await ordinary.next_msg(5)).data == b"MSG "


async def test_after_a_reconnection_it_goes_on(tmp_path: Path) -> None:
    with NatsServer(tmp_path) as server:
        client, taken = await connected(server), Taken()
        lane = Lane(client, fail, PENDING)
        await lane.subscribe("again", lambda *message: taken.append(message))
        server.kill()
        await until(lambda: not client.is_connected)
        lane.publish([("nowhere", bytes(PENDING // 2)), ("nowhere", bytes(PENDING // 2))])
        assert lane.lost == 2
        lane.publish([("again", b"kept for the server that is away")])
        server.start()
        await until(lambda: len(taken) >= 1)
        other = await connected(server)
        await other.publish("again", b"new")
        await until(lambda: len(taken) >= 2)
        assert [payload for *_, payload in taken] == [b"kept for the server that is away", b"new"]
        for each in (client, other):
            with suppress(nats.errors.Error):
                await each.close()
