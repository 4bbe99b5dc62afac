"""The engine process end to end: real NATS, the public protocol, real failures."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NatsTimeoutError

from adapters import journal
from adapters.codec import JSON, MSGPACK, Wire
from adapters.embedded import NatsServer, PostgresServer, RedisServer
from adapters.engine import takeover
from adapters.engine.images import key
from adapters.engine.service import FENCED, Service
from adapters.journal import snapshots
from config.settings import Role
from core.messages.events import EngineStarted
from core.snapshot import state_hash
from tests.adapters.engine.serving import DESK, Row, asker, now_ms, rebuilt_hash, running, until


async def get(service: Service, path: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://{service.http_address}{path}") as response:
        return response.status, await response.text()


@pytest.mark.parametrize("wire", [JSON, MSGPACK], ids=lambda wire: wire.name)
async def test_a_bet_from_end_to_end(fresh_nats: NatsServer, wire: Wire) -> None:
    async with running(fresh_nats) as service, asker(fresh_nats) as desk, asker(fresh_nats, Role.GATEWAY) as gateway:
        notices = await gateway.client.subscribe("bets.anna")
        await gateway.client.flush()
        await desk.prepare()
        bet = gateway.bet(id="b-1")
        assert (await gateway.ask("bet.place", bet, wire))["payout_m"] == 2_000
        assert (await gateway.ask("bet.place", bet, wire))["type"] == "accepted"  # asked again: the same answer
        answers = await gateway.ask("bet.place", [gateway.bet(id="b-2"), gateway.bet(id="b-3", stake_m=0)], wire)
        assert [answer["type"] for answer in answers] == ["accepted", "rejected"]
        assert (await gateway.ask("account.get", {"customer": "anna"}, wire))["cash_m"] == 898_000
        results = [["home", 1], ["away", 0]]
        await desk.ask("desk.market.settle", desk.command(**DESK, market="m", results=results))
        told = [msgspec.json.decode((await notices.next_msg(5)).data) for _ in range(2)]
        assert sorted((notice["id"], notice["status"], notice["paid_m"]) for notice in told) == [
            ("b-1", "won", 2_000),
            ("b-2", "won", 2_000),
        ]
        assert (await gateway.ask("bet.get", {"bet": "b-1"}, wire))["status"] == "won"
        assert await rebuilt_hash(fresh_nats) == state_hash(service.engine.book)


@pytest.mark.parametrize(
    ("subject", "payload", "told"),
    [
        ("bet.place", b"", "empty message"),
        ("bet.place", b"\x00\x01", "JSON or msgpack"),
        ("bet.place", b'{"id":"x"', "truncated"),
        ("bet.place", b'{"id":"x","stake_m":1e999}', "$.stake_m"),
        ("bet.place", b" " * 400_000, "at most 262144 bytes"),
        ("bet.nonsense", b"{}", "no request bet.nonsense"),
        ("account.get", b'{"customer":5}', "$.customer"),
    ],
)
async def test_bad_input_is_answered_and_harms_nobody(
    fresh_nats: NatsServer, subject: str, payload: bytes, told: str
) -> None:
    async with running(fresh_nats) as service, asker(fresh_nats, Role.GATEWAY) as gateway:
        reply = await gateway.client.request(subject, payload, timeout=5)
        answer = msgspec.json.decode(reply.data)
        assert (answer["reason"], told in answer["detail"]) == ("MALFORMED", True), answer
        assert (await gateway.ask("account.get", {"customer": "nobody"}))["reason"] == "CUSTOMER_UNKNOWN"
        assert service.engine.book.event_no == 1


async def test_no_answer_while_the_server_does_not_acknowledge(tmp_path: Path) -> None:
    """The journal's server is stopped, as a hanging disk would: what was decided stays unsaid until it is stored."""
    with NatsServer(tmp_path) as server:
        async with running(server) as service, asker(server) as client:
            await client.prepare()
            sent: list[str] = []
            publish = service._lane.publish

            def spy(messages: Any) -> None:
                messages = list(messages)
                sent.extend(to for to, _ in messages if to.startswith("_INBOX"))
                publish(messages)

            assert service.status.journal is not None
            service._gateway._publish = spy
            before, payload = service.engine.book.event_no, JSON.encode(client.bet())
            os.kill(server.pid, signal.SIGSTOP)
            try:
                service._gateway.request("bet.place", "_INBOX_operator.test", payload)
                await asyncio.sleep(0.3)  # ample time for an answer that must not come
                assert service.engine.book.event_no == before + 1
                assert sent == []
            finally:
                os.kill(server.pid, signal.SIGCONT)

            async def answered() -> bool:
                return sent == ["_INBOX_operator.test"]

            await until(answered)


async def test_past_its_bound_it_is_busy(fresh_nats: NatsServer) -> None:
    bounds = {"gateway__pending_max": 20, "limits__velocity_bets_max": 1_000}
    async with running(fresh_nats, **bounds) as service, asker(fresh_nats) as client:
        await client.prepare()
        bets = [client.bet() for _ in range(300)]
        answers = await asyncio.gather(*(client.ask("bet.place", bet) for bet in bets))
        reasons = {answer.get("reason", "") for answer in answers}
        assert reasons == {"", "BUSY"}
        undecided = next(bet for bet, answer in zip(bets, answers, strict=True) if answer.get("reason") == "BUSY")
        assert (await client.ask("bet.place", undecided))["type"] == "accepted"
        assert service.status.metrics.answers["BUSY"] > 0


async def test_who_comes_late_gets_the_image_and_follows(fresh_nats: NatsServer) -> None:
    async with running(fresh_nats) as _, asker(fresh_nats) as desk, asker(fresh_nats, Role.GATEWAY) as reader:
        await desk.prepare()
        deltas = await reader.client.subscribe("odds.f.m")
        await reader.client.flush()
        image = await reader.ask("odds.get", {"fixture": "f", "market": "m"})
        assert (image["type"], image["status"], image["prices"][0]) == ("image", "open", ["home", "A", 20_000])
        await desk.ask("desk.price.set", desk.command(**DESK, market="m", selection="home", price=25_000))
        held = image["version"]
        while True:
            message = msgspec.json.decode((await deltas.next_msg(5)).data)
            if message["version"] <= held:
                continue
            assert (message["type"], message["base"]) == ("delta", held)
            held = message["version"]
            if ["home", 25_000] in message["prices"]:
                break


async def test_prices_of_a_feed_go_through_to_bets_and_redis(fresh_nats: NatsServer, redis_server: RedisServer) -> None:
    def feed(kind: str, sequence: int, **fields: object) -> bytes:
        head = {"type": kind, "provider": "p", "producer": "1", "sequence": sequence, "ts_ms": now_ms()}
        return JSON.encode(head | fields)

    fixture: Row = {"name": "A - B", "sport": "s", "competition": "c", "start_ms": now_ms() + 10**6}
    market: Row = {"market_type": "w", "name": "Win", "status": "active", "selections": [["home", "A", 20_000]]}
    async with (
        running(fresh_nats, redis__url=redis_server.url, redis__interval_ms=10) as service,
        asker(fresh_nats) as client,
        asker(fresh_nats, Role.INGESTOR) as ingestor,
    ):
        await client.ask("account.open", client.command(customer="anna", currency="EUR"))
        await client.ask("account.deposit", client.command(customer="anna", amount_m=10_000, provider="bank"))
        for message in (
            feed("recovery_begin", 1),
            feed("fixture", 2, fixture="f", **fixture),
            feed("market", 3, fixture="f", market="m", **market),
            b"rubbish",
            feed("recovery_end", 4),
        ):
            await ingestor.client.publish("feed.p.1", message)
        await ingestor.client.flush()

        async def accepted() -> bool:
            return bool((await client.ask("bet.place", client.bet()))["type"] == "accepted")

        await until(accepted)
        images = service.status.images
        assert images is not None

        async def shown() -> bool:
            held = await images._redis.get(key("f", "m"))
            return held is not None and msgspec.json.decode(held)["status"] == "open"

        await until(shown)
        found = (await get(service, "/metrics"))[1]
        assert re.search(r'^tictac_feed_refused_total\{why="malformed"\} 1\.0$', found, re.MULTILINE)
        assert re.search(r'^tictac_producer_up\{producer="p\.1"\} 1\.0$', found, re.MULTILINE)
        assert (await client.client.jetstream().stream_info("FEED")).state.messages == 5


async def test_a_feed_message_whose_event_the_journal_could_not_take_is_passed_over(fresh_nats: NatsServer) -> None:
    """The server takes 1 MB; an event repeats nearly all of a market, and more stands around it."""
    market: Row = {"fixture": "f", "market": "m", "market_type": "w", "name": "Win", "status": "active"}
    markets: list[Row] = [
        market | {"selections": [["home", "A", 20_000]], "specifiers": {f"{n:064}": "x" * 64 for n in range(7_940)}},
        market | {"selections": [["home", "A", 20_000]] * 80_000},
    ]
    async with running(fresh_nats) as service, asker(fresh_nats, Role.INGESTOR) as ingestor:
        fixture: Row = {"name": "A - B", "sport": "s", "competition": "c", "start_ms": now_ms() + 10**6}
        messages: list[Row] = [
            {"type": "recovery_begin"},
            {"type": "fixture", "fixture": "f"} | fixture,
            *({"type": "market"} | each for each in markets),
        ]
        for sequence, message in enumerate(messages, 1):
            head = {"provider": "p", "producer": "1", "sequence": sequence, "ts_ms": now_ms()}
            payload = msgspec.msgpack.encode(head | message)
            assert len(payload) < 1_048_576
            await ingestor.client.publish("feed.p.1", payload)
        await ingestor.client.flush()

        async def refused() -> bool:
            assert not service.ended.done()
            return service.status.metrics.feed_refused["malformed"] == len(markets)

        await until(refused)


async def test_http_tells_health_readiness_and_figures(fresh_nats: NatsServer) -> None:
    async with running(fresh_nats) as service, asker(fresh_nats) as client:
        await client.prepare()
        await client.ask("bet.place", client.bet())
        assert await get(service, "/health") == (200, "alive\n")
        assert await get(service, "/ready") == (200, "ready\n")
        status, text = await get(service, "/metrics")
        assert status == 200
        for line in (
            'tictac_answers_total{answer="Accepted"} 1.0',
            "tictac_bets_open 1.0",
            "tictac_journal_events_total 8.0",
            "tictac_request_seconds_count 7.0",
        ):
            assert f"\n{line}\n" in text, line


async def test_a_clean_stop_keeps_the_state_in_a_snapshot(fresh_nats: NatsServer) -> None:
    async with asker(fresh_nats) as client:
        async with running(fresh_nats) as service:
            await client.prepare()
            await client.ask("bet.place", client.bet(id="b-1"))
            state = state_hash(service.engine.book)
        (snapshot,) = await snapshots.listed(client.client.jetstream(), service.settings)
        assert snapshot.state_hash == state
        with pytest.raises(NoRespondersError):
            await client.ask("account.get", {"customer": "anna"})
        async with running(fresh_nats) as again:
            assert (again.engine.book.term, again.engine.book.event_no) == (2, snapshot.event_no + 1)
            assert (await client.ask("bet.get", {"bet": "b-1"}))["status"] == "open"


async def test_a_second_engine_takes_over_and_the_first_says_nothing_more(fresh_nats: NatsServer) -> None:
    async with running(fresh_nats) as first, asker(fresh_nats) as client:
        await client.prepare()
        await client.ask("bet.place", client.bet(id="b-1"))
        async with running(fresh_nats) as second:
            assert await asyncio.wait_for(first.ended, 20) == FENCED
            assert first.status.not_ready() == "another engine takes over"
            assert second.engine.book.term == 2
            answered = sum(first.status.metrics.answers.values())
            assert (await client.ask("bet.place", client.bet(id="b-1")))["type"] == "accepted"
            assert (await client.ask("bet.place", client.bet(id="b-2")))["type"] == "accepted"
            assert sum(first.status.metrics.answers.values()) == answered
            assert await rebuilt_hash(fresh_nats) == state_hash(second.engine.book)


async def test_an_engine_that_does_not_hear_is_stopped_by_the_fence(
    fresh_nats: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(fresh_nats, journal__fence_check_ms=10**6) as first, asker(fresh_nats) as client:
        await client.prepare()

        async def nobody_asks(*_: object) -> None:
            return

        monkeypatch.setattr(takeover, "ask", nobody_asks)
        async with running(fresh_nats) as second:
            assert not first.ended.done()
            first._gateway.request("bet.place", "_INBOX_operator.first", JSON.encode(client.bet(id="b-1")))
            assert await asyncio.wait_for(first.ended, 20) == FENCED
            assert "b-1" in first.engine.book.bets  # decided in memory, and never said
            assert "b-1" not in second.engine.book.bets
            events = [
                event
                async for stored in journal.read(client.client.jetstream(), "JOURNAL", 0)
                for event in stored.batch.events
            ]
            assert [type(event) for event in events].count(EngineStarted) == 2
            assert "b-1" not in {getattr(event, "id", "") for event in events}


async def test_a_bug_ends_it_and_nothing_unsure_is_said(
    fresh_nats: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(fresh_nats) as service, asker(fresh_nats) as client:
        await client.prepare()
        monkeypatch.setattr(service.engine, "execute", lambda *_: 1 // 0)
        with pytest.raises(NatsTimeoutError):
            await client.ask("bet.place", client.bet(), timeout_s=0.5)
        assert await service.ended == 1
        assert service.status.not_ready() == "failed"


async def test_snapshots_are_taken_by_a_process_of_its_own(fresh_nats: NatsServer) -> None:
    async with running(fresh_nats, snapshot__every_events=5) as service, asker(fresh_nats) as client:
        await client.prepare()

        async def there() -> bool:
            return bool(await snapshots.listed(client.client.jetstream(), service.settings))

        await until(there)


class Process:
    """`tictac engine`, as an operator starts it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    @classmethod
    async def start(cls, environ: dict[str, str]) -> Process:
        return cls(
            await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "adapters.cli", "engine"),
                env={**os.environ, "TICTAC_HTTP_PORT": "0", "TICTAC_LOG_FORMAT": "json", **environ},
                stderr=asyncio.subprocess.PIPE,
            )
        )

    async def log(self, event: str) -> Row:
        """The line of the log with that event."""
        assert self.process.stderr is not None
        async with asyncio.timeout(20):
            async for line in self.process.stderr:
                entry: Row = msgspec.json.decode(line)
                if entry["event"] == event:
                    return entry
        raise AssertionError(f"the log ended without {event!r}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_it_cleanly_within_five_seconds(fresh_nats: NatsServer, number: signal.Signals) -> None:
    engine = await Process.start(dict(fresh_nats.environ))
    assert (await engine.log("ready"))["term"] == 1
    began = time.monotonic()
    engine.process.send_signal(number)
    await engine.log("stopped")
    assert await asyncio.wait_for(engine.process.wait(), 5) == 0
    assert time.monotonic() - began < 5


async def test_killed_and_started_again_every_answer_stands(fresh_nats: NatsServer) -> None:
    environ = {**fresh_nats.environ, "TICTAC_LIMITS_VELOCITY_BETS_MAX": "1000"}
    async with asker(fresh_nats) as client:
        engine = await Process.start(environ)
        await engine.log("ready")
        await client.prepare()
        bets = [client.bet() for _ in range(200)]
        asked = [asyncio.ensure_future(client.ask("bet.place", bet)) for bet in bets]
        await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        engine.process.kill()
        await engine.process.wait()
        await client.client.flush()  # what it could say has come
        for each in asked:
            each.cancel()
        first = await asyncio.gather(*asked, return_exceptions=True)
        again = await Process.start(environ)
        await again.log("ready")
        second = [await client.ask("bet.place", bet) for bet in bets]
        kept = [(one, two) for one, two in zip(first, second, strict=True) if not isinstance(one, BaseException)]
        assert kept
        assert all(one == two for one, two in kept)
        assert (await client.ask("account.get", {"customer": "anna"}))["cash_m"] == 900_000 - 200 * 1_000
        again.process.terminate()
        assert await again.process.wait() == 0


async def test_wrong_credentials_are_one_clear_line(fresh_nats: NatsServer) -> None:
    engine = await Process.start({**fresh_nats.environ, "TICTAC_NATS_ENGINE_PASSWORD": "wrong"})
    entry = await engine.log("cannot start")
    assert "nats.engine_password is wrong" in entry["error"]
    assert await engine.process.wait() == 1


async def test_a_server_that_takes_too_small_messages_is_refused_at_the_start(fresh_nats: NatsServer) -> None:
    """Otherwise the first large event would end the engine, or the first large answer be lost."""
    engine = await Process.start({**fresh_nats.environ, "TICTAC_NATS_PAYLOAD_MIN_BYTES": "2000000"})
    entry = await engine.log("cannot start")
    assert "max_payload has to be 2000000" in entry["error"]
    assert await engine.process.wait() == 1


async def test_postgres_follows_and_answers_for_what_is_forgotten(
    fresh_nats: NatsServer, fresh_database: str, postgres_server: PostgresServer
) -> None:
    del postgres_server
    async with running(fresh_nats, postgres__url=fresh_database) as service, asker(fresh_nats) as client:
        await client.prepare()
        await client.ask("bet.place", client.bet(id="b-1"))
        projector = service.status.projector
        assert projector is not None
        await asyncio.wait_for(projector.catch_up(service.engine.book.event_no), 20)
        del service.engine.book.bets["b-1"]  # as if forgotten
        assert (await client.ask("bet.get", {"bet": "b-1"}))["stake_m"] == 1_000
        assert (await client.ask("bet.get", {"bet": "b-2"}))["reason"] == "BET_UNKNOWN"
