"""Whatever comes in: an answer that names the field, nothing moved, and the engine alive."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import msgspec
import pytest
import pytest_asyncio
from nats.aio.client import Client

from adapters import journal
from adapters.embedded import HOST
from config.settings import Role
from core.messages.answers import AccountState
from core.messages.queries import GetAccount
from feeds.session import now_ms
from tests.e2e.checks import projected
from tests.e2e.harness import DEADLINE_S, Stack, until
from tests.e2e.load import EXPIRES_MS, Load, new_load
from tests.e2e.market import Feed, Markets

pytestmark = pytest.mark.asyncio(loop_scope="module")


class World(NamedTuple):
    """One engine for all of it: what one case broke, the next ones would notice."""

    stack: Stack
    feed: Feed
    load: Load
    gateway: Client
    desk: Client
    ingestor: Client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """Afterwards: Postgres has it all, the audit finds nothing, the engine ends cleanly."""
    async with Stack(tmp_path_factory.mktemp("world")) as stack, Feed(stack, Markets(1)) as feed:
        load = await new_load(stack, feed.markets, 1, customers=1)
        clients = [await stack.connect(role) for role in (Role.GATEWAY, Role.DESK, Role.INGESTOR)]
        yield World(stack, feed, load, *clients)
        await projected(stack)
        status, output, said = await stack.tictac("audit")
        assert status == 0, output + said
        assert await stack.engine.stop() == 0, stack.engine.words()


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def unmoved(world: World) -> AsyncIterator[None]:
    """The engine lives, answers, and nobody's money has moved."""
    before = await world.load.question("account.get", GetAccount("c0"), AccountState)
    yield
    assert world.stack.engine.running, world.stack.engine.words()
    assert await world.load.question("account.get", GetAccount("c0"), AccountState) == before


async def asked(client: Client, subject: str, payload: bytes) -> Any:
    """The answer, decoded by what it looks like."""
    data = (await client.request(subject, payload, timeout=DEADLINE_S)).data
    return json.loads(data) if data[:1] in {b"{", b"["} else msgspec.msgpack.decode(data)


_LEG = {"fixture": "F0", "market": "result", "selection": "home", "price": 20_000}
_NUMBER = iter(range(10**9))


Fields = dict[str, Any]


def bet(**fields: Any) -> Fields:
    """One that would be taken, but for the price; and what is to be wrong with it."""
    head = {"id": f"bad-{next(_NUMBER)}", "expires_ms": now_ms() + EXPIRES_MS}
    return {**head, "customer": "c0", "stake_m": 10_000, "policy": "none", "legs": [_LEG], **fields}


def leg(**fields: Any) -> Fields:
    """What is to be wrong with a bet: its leg."""
    return {"legs": [{**_LEG, **fields}]}


def text(**fields: str) -> bytes:
    """A bet as JSON in which a field is spelt as given, JSON or not."""
    spelt = {**{name: json.dumps(value) for name, value in bet().items()}, **fields}
    return ("{" + ",".join(f'"{name}":{value}' for name, value in spelt.items()) + "}").encode(errors="surrogatepass")


NO_BET = [
    # Not a message at all.
    (b"", "empty"),
    (b"   ", "truncated"),
    (b"null", "JSON or msgpack"),
    (b"17", "JSON or msgpack"),
    (b"\xef\xbb\xbf{}", "JSON or msgpack"),
    (b"\xc1\xc1\xc1", "JSON or msgpack"),
    (b"\x00" * 1000, "JSON or msgpack"),
    (b"\x81\xc1\xff", "Expected"),
    (b"\xdf\xff\xff\xff\xff", "truncated"),
    (b"\xdd\xff\xff\xff\xff", "truncated"),
    (b"{}", "id"),
    (b"{" * 1000, "malformed"),
    (text()[:-20], "truncated"),
    (text() + b"}", "trailing"),
    (msgspec.msgpack.encode(bet())[:-5], "truncated"),
    # Deep.
    (b"[" * 100_000, "Expected `object`"),
    (b'{"id":' * 40_000, "object|str"),
    (b'{"x":' * 40_000, "deep|x"),
    (b"\x91" * 200_000, "Expected `object`"),
    (b'{"legs":' + b"[" * 100_000, "deep|object"),
    # Large.
    (text(id=f'"{"x" * 300_000}"'), "at most 262144 bytes"),
    (msgspec.json.encode(bet(legs=[_LEG] * 10_000)), "at most 262144 bytes"),
    # No text.
    (text(id='"\\ud800"'), "surrogate"),
    (text(id='"\\udfff\\ud800"'), "surrogate"),
    (text(customer='"\ud800"'), "UTF-8"),
    (text(id='"').replace(b'"id":"', b'"id":"\xff\xfe"'), "UTF-8"),
    (msgspec.msgpack.encode(bet(id="SURROGATE")).replace(b"SURROGATE", b"\xed\xa0\x80\xed\xa0\x80abc"), "UTF-8"),
    (text(id='"\\x41"'), "escape"),
    (text(id='"a\nb"'), "character|control"),
    # No number.
    (text(stake_m="NaN"), "malformed|invalid"),
    (text(stake_m="Infinity"), "malformed|invalid"),
    (text(stake_m="-Infinity"), "malformed|invalid|number"),
    (text(stake_m="1e400"), "stake_m|range|number"),
    (text(stake_m="007"), "malformed|invalid|number"),
]
WRONG_FIELD = [
    ({"id": 5}, "id"),
    ({"id": ""}, "id"),
    ({"id": "x" * 65}, "id"),
    ({"id": "a\0b"}, "id"),
    ({"id": "a\nb"}, "id"),
    ({"id": "ä"}, "id"),
    ({"expires_ms": "soon"}, "expires_ms"),
    ({"expires_ms": -1}, "expires_ms"),
    ({"expires_ms": 2**63}, "expires_ms"),
    ({"expires_ms": None}, "expires_ms"),
    ({"customer": None}, "customer"),
    ({"customer": ["c0"]}, "customer"),
    ({"stake_m": 0}, "stake_m"),
    ({"stake_m": -1}, "stake_m"),
    ({"stake_m": 0.5}, "stake_m"),
    ({"stake_m": "10"}, "stake_m"),
    ({"stake_m": True}, "stake_m"),
    ({"stake_m": 10**15 + 1}, "stake_m"),
    ({"stake_m": 2**64 - 1}, "stake_m"),
    ({"legs": []}, "legs"),
    ({"legs": {}}, "legs"),
    ({"legs": None}, "legs"),
    ({"legs": ["F0"]}, "legs"),
    ({"legs": [[_LEG]]}, "legs"),
    ({"policy": "maybe"}, "policy"),
    ({"tolerance_bp": 10_001}, "tolerance_bp"),
    ({"currency": "eur"}, "currency"),
    ({"stake": 10}, "stake"),
    (leg(price=0), "price"),
    (leg(price=1), "price"),
    (leg(price=10_000), "price"),
    (leg(price=-20_000), "price"),
    (leg(price=100_000_001), "price"),
    (leg(price=2.15), "price"),
    (leg(price="2.15"), "price"),
    (leg(fixture=""), "fixture"),
    (leg(fixture="x" * 65), "fixture"),
    (leg(selection=None), "selection"),
    (leg(odds=20_000), "odds"),
]
REFUSED = [
    ({"customer": "nobody"}, "CUSTOMER_UNKNOWN"),
    ({"customer": "c0\0"}, "CUSTOMER_UNKNOWN"),
    (leg(fixture="nowhere"), "FIXTURE_UNKNOWN"),
    (leg(fixture="F\0\x7f"), "FIXTURE_UNKNOWN"),
    (leg(fixture="\U0001f40e"), "FIXTURE_UNKNOWN"),
    (leg(market="nothing"), "MARKET_UNKNOWN"),
    (leg(selection="nobody"), "SELECTION_UNKNOWN"),
    ({"legs": [_LEG, _LEG]}, "LEGS_NOT_COMBINABLE"),
    ({"legs": [_LEG] * 3_000}, "TOO_MANY_LEGS"),
    ({"expires_ms": 0}, "EXPIRED"),
    ({"expires_ms": 10**14}, "DEADLINE_TOO_FAR"),
    ({"currency": "USD"}, "CURRENCY_MISMATCH"),
    (leg(price=10_001), "PRICE_CHANGED"),
    (leg(price=100_000_000), "PRICE_CHANGED"),
]


@pytest.mark.parametrize(("payload", "names"), NO_BET)
async def test_what_is_no_message_is_answered_as_malformed(world: World, payload: bytes, names: str) -> None:
    answer = await asked(world.gateway, "bet.place", payload)
    assert answer["reason"] == "MALFORMED", answer
    assert re.search(names, answer["detail"]), answer


@pytest.mark.parametrize("encode", [msgspec.json.encode, msgspec.msgpack.encode])
@pytest.mark.parametrize(("wrong", "names"), WRONG_FIELD)
async def test_a_wrong_field_is_named(world: World, wrong: Fields, names: str, encode: Any) -> None:
    answer = await asked(world.gateway, "bet.place", encode(bet(**wrong)))
    assert answer["reason"] == "MALFORMED", answer
    assert re.search(names, answer["detail"]), answer


@pytest.mark.parametrize("number", [10**30, -(10**30), 2**64, 10**4000])
@pytest.mark.parametrize("name", ["stake_m", "expires_ms", "tolerance_bp"])
async def test_a_huge_number_is_refused_by_name(world: World, name: str, number: int) -> None:
    answer = await asked(
        world.gateway, "bet.place", text(**{name: f"1{'0' * 4000}" if number > 10**100 else str(number)})
    )
    assert answer["reason"] == "MALFORMED", answer
    assert re.search(f"{name}|range|number", answer["detail"]), answer


@pytest.mark.parametrize("encode", [msgspec.json.encode, msgspec.msgpack.encode])
@pytest.mark.parametrize(("wrong", "reason"), REFUSED)
async def test_what_is_well_formed_and_wrong_is_refused(world: World, wrong: Fields, reason: str, encode: Any) -> None:
    message = bet(**wrong)
    answer = await asked(world.gateway, "bet.place", encode(message))
    assert (answer["id"], answer["reason"]) == (message["id"], reason)


@pytest.mark.parametrize("encode", [msgspec.json.encode, msgspec.msgpack.encode])
async def test_one_bad_bet_does_not_spoil_the_others(world: World, encode: Any) -> None:
    unknown = [bet(**leg(fixture="nowhere")) for _ in range(2)]
    bets: list[Any] = [unknown[0], bet(stake_m="x"), None, [bet()], 5, {}, unknown[1]]
    answers = await asked(world.gateway, "bet.place", encode(bets))
    assert [answer["reason"] for answer in answers] == ["FIXTURE_UNKNOWN", *["MALFORMED"] * 5, "FIXTURE_UNKNOWN"]
    assert [answers[0]["id"], answers[-1]["id"]] == [each["id"] for each in unknown]
    assert answers[1]["id"] == bets[1]["id"]


@pytest.mark.parametrize("count", [0, 101])
async def test_too_few_and_too_many_bets_in_a_message(world: World, count: int) -> None:
    answer = await asked(world.gateway, "bet.place", msgspec.json.encode([bet() for _ in range(count)]))
    assert (answer["reason"], answer["detail"]) == ("MALFORMED", f"Expected 1 to 100 messages, got {count}")


_HEAD = {"id": "x", "expires_ms": 1}
_DESK = {**_HEAD, "author": "anna", "fixture": "F0", "market": "result"}
_PAYMENT = {**_HEAD, "customer": "c0", "amount_m": 2**62, "provider": "p"}


@pytest.mark.parametrize(
    ("subject", "message", "reason"),
    [
        ("bet.foo", {}, "MALFORMED"),
        ("bet.place.now", {}, "MALFORMED"),
        ("order.place", {}, "MALFORMED"),
        ("bet.get", {"bet": "no-such-bet"}, "BET_UNKNOWN"),
        ("bet.get", {"bet": "a\0b"}, "MALFORMED"),
        ("bet.get", {"bets": []}, "MALFORMED"),
        ("account.get", {"customer": "nobody"}, "CUSTOMER_UNKNOWN"),
        ("account.get", [{"customer": "c0"}], "MALFORMED"),
        ("account.open", {**_HEAD, "customer": "a.b", "currency": "EUR"}, "MALFORMED"),
        ("account.deposit", _PAYMENT, "MALFORMED"),
        ("odds.get", {"fixture": "F0", "market": "none"}, "MARKET_UNKNOWN"),
        ("desk.nothing", {}, "MALFORMED"),
        ("desk.price.set", {**_DESK, "selection": "home", "price": -1}, "MALFORMED"),
        ("desk.market.settle", {**_DESK, "results": [["home", 2]]}, "MALFORMED"),
        ("desk.market.settle", {**_DESK, "results": [["home", 1, 3]]}, "MALFORMED"),
        ("desk.market.void", {**_DESK, "reason": "\0"}, "MALFORMED"),
    ],
)
async def test_other_requests_too(world: World, subject: str, message: Any, reason: str) -> None:
    client = world.desk if subject.startswith("desk.") else world.gateway
    answer = await asked(client, subject, msgspec.json.encode(message))
    assert answer["reason"] == reason, answer


async def test_results_for_other_selections_settle_nothing(world: World) -> None:
    head = {"id": f"bad-{next(_NUMBER)}", "expires_ms": now_ms() + EXPIRES_MS, "author": "anna"}
    message = {**head, "fixture": "F0", "market": "result", "results": [["home", 1], ["nobody", 0]]}
    answer = await asked(world.desk, "desk.market.settle", msgspec.json.encode(message))
    assert (answer["reason"], answer["detail"]) == ("RESULTS_INCOMPLETE", "away")


# What is not for the engine to answer.


async def metric(world: World, name: str) -> float:
    """Its value, 0 where it was never counted."""
    page = await asyncio.to_thread(world.stack.engine.page, "/metrics")
    assert page is not None
    found = re.search(rf"^{re.escape(name)} (\S+)$", page.decode(), re.MULTILINE)
    return float(found[1]) if found else 0.0


async def counted(world: World, name: str, before: float) -> None:
    async def more() -> bool:
        return await metric(world, name) > before

    await until(more, f"{name} above {before}")


@pytest.mark.parametrize(
    "reply", ["", "journal.0", "odds.F0.result", "feed.tiny.live", "bet.place", "_INBOX_engine.takeover.0"]
)
async def test_answers_go_to_inboxes_only(world: World, reply: str) -> None:
    js = (await world.stack.connect(Role.AUDITOR)).jetstream()
    stored = await journal.last_sequence(js, world.stack.settings.journal.stream)
    before = await metric(world, "tictac_unanswerable_total")
    await world.gateway.publish("bet.place", msgspec.json.encode(bet()), reply)
    await counted(world, "tictac_unanswerable_total", before)
    assert await journal.last_sequence(js, world.stack.settings.journal.stream) == stored


@pytest.mark.parametrize(
    "subject", ["feed.tiny.live", "desk.market.void", "desk.price.set", "journal.0", "odds.F0.result"]
)
async def test_a_gateway_is_not_heard_elsewhere(world: World, subject: str) -> None:
    said: asyncio.Queue[str] = asyncio.Queue()
    client = await world.stack.connect(Role.GATEWAY)

    async def hear(error: Exception) -> None:
        said.put_nowait(str(error).lower())

    client._error_cb = hear
    await client.publish(subject, b'{"id":"x"}', "_INBOX_gateway.x")
    assert "permissions violation for publish" in await asyncio.wait_for(said.get(), DEADLINE_S)


def raw(subject: bytes, reply: bytes, headers: bytes = b"") -> bytes:
    """A request in the server's own words, with whatever a client library would not send."""
    size = b"%d %d" % (len(headers), len(headers) + 2) if headers else b"2"
    return b"%bPUB %b %b %b\r\n%b{}\r\n" % (b"H" if headers else b"", subject, reply, size, headers)


@pytest.mark.parametrize(
    "request_bytes",
    [
        raw(b"bet.\xff\xfe", b"_INBOX_gateway.x"),
        raw(b"bet.get", b"_INBOX_gateway.\xff" + b"\xfe" * 3_900),
        raw(b"bet.get", "_INBOX_gateway.\u2028\x85\x0b\x00".encode()),
        raw(b"bet.get", b"_INBOX_gateway.>"),
        raw(b"bet.get", b"_INBOX_gateway..."),
        raw(b"bet.get", b"_INBOX_gateway.x", b"NATS/1.0 \xff\xff\r\n\r\n"),
        raw(b"bet.get", b"_INBOX_gateway.x", b"NATS/1.0 503\r\n\r\n"),
        raw(b"bet.get", b"_INBOX_gateway.x", b"no headers"),
        raw(b"bet.\xff\x0b", b"_INBOX_gateway.\x0c", b"NATS/1.0\r\n\xff: \xff\r\n\r\n"),
    ],
)
async def test_no_subject_and_no_header_makes_the_engine_deaf(world: World, request_bytes: bytes) -> None:
    lost = world.stack.engine.log.read_text().count("connection lost")
    reader, writer = await asyncio.open_connection(HOST, world.stack.nats.port)
    login = {"user": "gateway", "pass": world.stack.nats.password(Role.GATEWAY), "verbose": False, "headers": True}
    writer.write(b"CONNECT " + json.dumps(login).encode() + b"\r\n" + request_bytes + b"PING\r\n")
    async with asyncio.timeout(DEADLINE_S):
        await reader.readuntil(b"PONG\r\n")
    writer.close()
    assert (await asked(world.gateway, "bet.get", b'{"bet":"nowhere"}'))["reason"] == "BET_UNKNOWN"
    assert world.stack.engine.log.read_text().count("connection lost") == lost


async def test_more_than_the_server_takes_ends_the_connection_and_nothing_else(world: World) -> None:
    reader, writer = await asyncio.open_connection(HOST, world.stack.nats.port)
    login = {"user": "gateway", "pass": world.stack.nats.password(Role.GATEWAY), "verbose": False}
    writer.write(b"CONNECT " + json.dumps(login).encode() + b"\r\nPUB bet.place _INBOX_gateway.x 2000000\r\n")
    said = await asyncio.wait_for(reader.read(), DEADLINE_S)
    assert b"Maximum Payload Violation" in said
    writer.close()


def feed_message(**fields: Any) -> dict[str, Any]:
    head = {"type": "heartbeat", "provider": "rogue", "producer": "p", "sequence": next(_NUMBER), "ts_ms": now_ms()}
    return {**head, **fields}


_PRICES = {"fixture": "F0", "markets": [{"market": "result", "status": "active", "prices": [["home", 10_100]]}]}
_PLACE = {"fixture": "F0", "market": "result"}
_IMAGE = {
    **_PLACE,
    "market_type": "x",
    "name": "x",
    "status": "active",
    "selections": [["home", "x", 10_100]],
}


@pytest.mark.parametrize(
    ("subject", "payload", "why"),
    [
        ("feed.rogue.p", b"", "malformed"),
        ("feed.rogue.p", b"\xff" * 100, "malformed"),
        ("feed.rogue.p", b"[" * 100_000, "malformed"),
        ("feed.rogue.p", b"{" + b" " * 300_000 + b"}", "malformed"),
        ("feed.rogue.p", msgspec.json.encode(feed_message(type="goal")), "malformed"),
        ("feed.rogue.p", msgspec.json.encode(feed_message(sequence=-1)), "malformed"),
        ("feed.rogue.p", msgspec.json.encode(feed_message(sequence=2**70)), "malformed"),
        ("feed.rogue.p", msgspec.json.encode(feed_message(ts_ms="NaN")), "malformed"),
        ("feed.rogue.p", msgspec.json.encode(feed_message(type="market", **_IMAGE, winners=0)), "malformed"),
        ("feed.rogue.p", msgspec.json.encode(feed_message(provider="tiny", producer="live")), "subject"),
        ("feed.rogue", msgspec.json.encode(feed_message()), "subject"),
        ("feed.rogue.p", msgspec.json.encode(feed_message(type="odds_change", **_PRICES)), "PRICE_NOT_OURS"),
        ("feed.rogue.p", msgspec.msgpack.encode(feed_message(type="market", **_IMAGE)), "PRICE_NOT_OURS"),
        ("feed.rogue.p", msgspec.json.encode(feed_message(type="suspend", fixture="nowhere")), "FIXTURE_UNKNOWN"),
    ],
)
async def test_a_rogue_feed_is_passed_over(world: World, subject: str, payload: bytes, why: str) -> None:
    name = f'tictac_feed_refused_total{{why="{why}"}}'
    before = await metric(world, name)
    await world.ingestor.publish(subject, payload)
    await counted(world, name, before)
    image = await asked(world.gateway, "odds.get", b'{"fixture":"F0","market":"result"}')
    assert image["status"] == "open"
    assert all(price > 10_100 for _, _, price in image["prices"])


async def test_a_gap_in_a_feed_closes_its_markets_until_it_has_told_all_anew(world: World) -> None:
    recoveries = world.feed.session.recoveries
    world.feed.session.sequence += 5
    await until(lambda: world.feed.session.recoveries > recoveries, "the engine asks for a recovery")

    async def is_open() -> bool:
        image = await asked(world.gateway, "odds.get", b'{"fixture":"F0","market":"result"}')
        return bool(image["status"] == "open")

    await until(is_open, "an open market")
