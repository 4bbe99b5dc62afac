"""Requests are decided in turns, answered after the journal, and refused clearly where they cannot be taken.

The journal here is a twin in memory that stores when it is told to; the real one is in test_service.py.
"""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from adapters.codec import JSON, MSGPACK, Wire
from core.messages.answers import BetState, OrderState
from core.messages.events import BetAccepted, BetRejected, Event
from tests.adapters.engine.rigged import INBOX, LEG, NOW, Rig, Row, read, rig


@pytest.mark.parametrize("wire", [JSON, MSGPACK], ids=lambda wire: wire.name)
async def test_a_bet_is_answered_in_kind(wire: Wire) -> None:
    answer = await (await rig()).ask("bet.place", (await rig()).bet(), wire)
    assert answer == {
        "type": "accepted",
        "id": "c-8",
        "ts_ms": NOW,
        "stake_m": 1_000,
        "payout_m": 2_000,
        "legs": [LEG | {"requested": 20_000}],
    }


async def test_no_answer_before_the_journal() -> None:
    r = await rig()
    r.sent.clear()
    r.gateway.request("bet.place", INBOX, JSON.encode(r.bet()))
    r.gateway.request("account.get", INBOX, JSON.encode({"customer": "anna"}))
    r.gateway.request("odds.get", INBOX, JSON.encode({"fixture": "f", "market": "m"}))
    await r.turn()
    assert r.sent == []
    assert r.shown == []
    r.acknowledge()
    assert [to for to, _ in r.sent].count(INBOX) == 3
    assert isinstance(r.journal.stored[-1], BetAccepted)


async def test_messages_of_one_turn_are_one_batch() -> None:
    r = await rig()
    for _ in range(10):
        r.gateway.request("bet.place", INBOX, JSON.encode(r.bet()))
    await r.turn()
    assert [len(events) for events, _ in r.journal.under_way] == [10]


@pytest.mark.parametrize("wire", [JSON, MSGPACK], ids=lambda wire: wire.name)
async def test_each_bet_of_an_array_is_decided_on_its_own(wire: Wire) -> None:
    r = await rig()
    good, poor, good_too = r.bet(), r.bet(stake_m=999_999), r.bet()
    answers = await r.ask("bet.place", [good, poor, good_too], wire)
    assert [(answer["type"], answer["id"]) for answer in answers] == [
        ("accepted", good["id"]),
        ("rejected", poor["id"]),
        ("accepted", good_too["id"]),
    ]
    assert [type(event) for event in r.journal.stored[-3:]] == [BetAccepted, BetRejected, BetAccepted]


@pytest.mark.parametrize("wire", [JSON, MSGPACK], ids=lambda wire: wire.name)
async def test_a_malformed_bet_of_an_array_leaves_the_others_alone(wire: Wire) -> None:
    r = await rig()
    answers = await r.ask("bet.place", [r.bet(), r.bet(stake_m="x", id="bad"), 7, [r.bet()], r.bet()], wire)
    assert [answer["type"] for answer in answers] == ["accepted", "rejected", "rejected", "rejected", "accepted"]
    assert answers[1] == {
        "type": "rejected",
        "id": "bad",
        "reason": "MALFORMED",
        "detail": "Expected `int`, got `str` - at `$.stake_m`",
    }
    assert {answer["reason"] for answer in answers[1:4]} == {"MALFORMED"}


@pytest.mark.parametrize(
    ("subject", "payload", "named"),
    [
        ("bet.place", b"", "Expected a JSON or msgpack object, got an empty message"),
        ("bet.place", b"hello", "Expected a JSON or msgpack object"),
        ("bet.place", b'{"id":"x","stake_m":"1"}', "Expected `int`, got `str` - at `$.stake_m`"),
        ("bet.place", b'{"id":"x","stake_m":NaN}', "JSON is malformed: invalid character"),
        ("bet.place", b'{"id":"x","stake_m":1', "Input data was truncated"),
        ("bet.place", b"[]", "Expected 1 to 100 messages, got 0"),
        ("bet.place", b'{"id":"\\ud800\\ud800"}', "invalid utf-16 surrogate"),
        ("bet.place", b"[" * 100_000, "Expected `object`, got `array`"),
        ("bet.place", b"\x91" * 100_000, "Expected `object`, got `array`"),
        ("bet.place", b" " * 300_000 + b"{}", "Expected at most 262144 bytes, got 300002"),
        ("bet.plaice", b"{}", "There is no request bet.plaice"),
        ("order.nothing", b"{}", "There is no request order.nothing"),
        ("account.get", b"[]", "Expected `object`, got `array`"),
        ("odds.get", b'{"fixture":"f"}', "Object missing required field `market`"),
    ],
)
async def test_what_cannot_be_read_is_answered_without_a_trace(subject: str, payload: bytes, named: str) -> None:
    r = await rig()
    before = r.engine.book.event_no
    answer = read(await r.ask_raw(subject, payload))
    assert (answer["type"], answer["reason"]) == ("rejected", "MALFORMED")
    assert named in answer["detail"]
    assert r.engine.book.event_no == before
    assert (await r.ask("bet.place", r.bet()))["type"] == "accepted"


async def test_the_answer_to_a_malformed_message_has_its_id() -> None:
    r = await rig()
    assert (await r.ask("bet.place", r.bet(id="mine", stake_m=-1)))["id"] == "mine"


async def test_more_bets_than_allowed_in_a_message_are_refused_whole() -> None:
    r = await rig()
    answer = await r.ask("bet.place", [r.bet() for _ in range(101)])
    assert answer["detail"] == "Expected 1 to 100 messages, got 101"
    assert not any(isinstance(event, BetAccepted) for event in r.journal.stored)


async def test_ten_thousand_legs_are_a_clear_no() -> None:
    r = await rig(gateway__message_bytes_max=1_000_000)
    answer = await r.ask("bet.place", r.bet(legs=[LEG] * 10_000), MSGPACK)
    assert (answer["reason"], answer["limit"]) == ("TOO_MANY_LEGS", 20)


async def test_past_the_most_that_may_wait_everything_is_busy_and_undecided() -> None:
    r = await rig(gateway__pending_max=3, publisher__odds_interval_ms=10**9)
    r.sent.clear()
    bets = [r.bet() for _ in range(5)]
    for bet in bets:
        r.gateway.request("bet.place", INBOX, JSON.encode(bet))
    await r.turn()
    assert [msgspec.json.decode(payload) for _, payload in r.sent] == [
        {"type": "rejected", "id": bet["id"], "reason": "BUSY"} for bet in bets[3:]
    ]
    r.acknowledge()
    assert len(r.sent) == 5
    assert (await r.ask("bet.place", bets[4]))["type"] == "accepted"  # it was not decided, so it can be asked again


async def test_bets_of_an_array_count_one_by_one() -> None:
    r = await rig(gateway__pending_max=3, publisher__odds_interval_ms=10**9)
    answers = await r.ask("bet.place", [r.bet() for _ in range(5)])
    assert [answer.get("reason", "") for answer in answers] == ["", "", "", "BUSY", "BUSY"]


@pytest.mark.parametrize(
    ("subject", "message"),
    [
        ("bet.place", {"id": "b", "expires_ms": NOW, "customer": "anna", "stake_m": 1, "legs": [LEG]}),
        ("account.get", {"customer": "anna"}),
        ("bet.get", {"bet": "b"}),
        ("odds.get", {"fixture": "f", "market": "m"}),
    ],
)
async def test_while_the_journal_cannot_store_everything_is_busy(subject: str, message: Row) -> None:
    r = await rig()
    before = r.engine.book.event_no
    r.journal.blocked = True
    assert (await r.ask(subject, message))["reason"] == "BUSY"
    assert r.engine.book.event_no == before
    r.journal.blocked = False
    assert (await r.ask("bet.place", r.bet()))["type"] == "accepted"


@pytest.mark.parametrize("reply", ["", "journal.0", "odds.f.m", "$JS.API.STREAM.DELETE.JOURNAL", "bets.anna"])
async def test_nobody_makes_the_engine_write_elsewhere_than_to_an_inbox(reply: str) -> None:
    r = await rig()
    r.sent.clear()
    r.gateway.request("bet.place", reply, JSON.encode(r.bet()))
    r.gateway.request("bet.place", reply, b"rubbish")
    await r.turn()
    r.acknowledge()
    assert reply not in [to for to, _ in r.sent]
    assert r.metrics.unanswerable == 2
    assert not r.engine.book.bets


async def test_a_forgotten_bet_is_answered_from_postgres() -> None:
    r = await rig()
    r.older["old"] = BetState("old", "anna", 1, 100, 200, 200, "won", ())
    assert (await r.ask("bet.get", {"bet": "old"}))["status"] == "won"
    assert (await r.ask("bet.get", {"bet": "never"}))["reason"] == "BET_UNKNOWN"
    assert (await r.ask("bet.get", {"bet": "away"}))["reason"] == "BUSY"


async def test_a_forgotten_order_is_answered_from_postgres() -> None:
    r = await rig()
    r.older["old"] = OrderState("old", "anna", "f", "m", "home", "back", 1, "done", 20_000, 100)
    assert (await r.ask("order.get", {"order": "old"}))["status"] == "done"
    assert (await r.ask("order.get", {"order": "never"}))["reason"] == "ORDER_UNKNOWN"
    assert (await r.ask("order.get", {"order": "away"}))["reason"] == "BUSY"


async def test_questions_to_postgres_are_bounded() -> None:
    r = await rig(gateway__older_pending_max=2)
    for _ in range(3):
        r.gateway.request("bet.get", INBOX, JSON.encode({"bet": "never"}))
    await r.turn()
    assert sorted(msgspec.json.decode(payload)["reason"] for to, payload in r.sent[-3:]) == [
        "BET_UNKNOWN",
        "BET_UNKNOWN",
        "BUSY",
    ]


def feed(kind: str, sequence: int, **fields: object) -> bytes:
    return JSON.encode({"type": kind, "provider": "p", "producer": "1", "sequence": sequence, "ts_ms": NOW} | fields)


FIXTURE: Row = {"fixture": "g", "name": "C - D", "sport": "football", "competition": "Cup", "start_ms": NOW + 10**7}
MARKET: Row = {
    "fixture": "g",
    "market": "m",
    "market_type": "1x2",
    "name": "Result",
    "status": "active",
    "selections": [["home", "C", 30_000], ["away", "D", 15_000]],
}


async def recovered(r: Rig) -> None:
    for message in (
        feed("recovery_begin", 1),
        feed("fixture", 2, **FIXTURE),
        feed("market", 3, **MARKET),
        feed("recovery_end", 4),
    ):
        r.gateway.feed("feed.p.1", "", message)
    await r.turn()
    r.acknowledge()


async def test_a_price_from_the_feed_is_bet_on() -> None:
    r = await rig()
    await recovered(r)
    leg = LEG | {"fixture": "g", "price": 30_000}
    assert (await r.ask("bet.place", r.bet(legs=[leg])))["payout_m"] == 3_000
    assert r.metrics.feed == {"RecoveryBegin": 1, "FixtureChange": 1, "MarketImage": 1, "RecoveryEnd": 1}


async def test_what_is_known_already_is_no_refusal_and_hides_none() -> None:
    r = await rig()
    await recovered(r)
    won = {"market": "m", "results": [["home", 1], ["away", 0]]}
    settled = {"fixture": "g", "markets": [won], "ts_ms": NOW}
    r.gateway.feed("feed.p.1", "", feed("settlement", 5, **settled))
    r.gateway.feed("feed.p.1", "", feed("settlement", 6, **settled))
    await r.turn()
    assert r.metrics.feed_refused == {}
    unknown = {"market": "n", "results": []}
    r.gateway.feed("feed.p.1", "", feed("settlement", 7, **settled | {"markets": [won, unknown]}))
    assert r.metrics.feed_refused == {"MARKET_UNKNOWN": 1}


async def test_what_is_said_by_a_clock_that_is_hours_ahead_is_a_gap_and_not_news_for_hours() -> None:
    r = await rig()
    await recovered(r)
    hours_ahead = {"ts_ms": NOW + 5 * 3_600_000}
    change = {"market": "m", "status": "active", "in_play": True, "prices": [["a", 90_000]]}
    r.gateway.feed("feed.p.1", "", feed("odds_change", 5, fixture="g", markets=[change], **hours_ahead))
    r.gateway.feed("feed.p.1", "", feed("heartbeat", 6, ts_ms=NOW))
    await r.turn()
    assert r.metrics.feed_refused == {"clock": 1}
    leg = LEG | {"fixture": "g", "price": 90_000}
    assert (await r.ask("bet.place", r.bet(legs=[leg])))["reason"] == "PRODUCER_DOWN"  # until it has told all anew


@pytest.mark.parametrize(
    ("subject", "payload", "why"),
    [
        ("feed.p.1", b"", "malformed"),
        ("feed.p.1", b'{"type":"odds"}', "malformed"),
        ("feed.p.1", feed("heartbeat", -1), "malformed"),
        ("feed.p.1", b" " * 300_000, "malformed"),
        ("feed.p.1", b"[" * 300_000, "malformed"),
        ("feed.p.2", feed("heartbeat", 5), "subject"),
        ("feed.q.1", feed("heartbeat", 5), "subject"),
    ],
)
async def test_a_bad_feed_message_is_counted_and_harms_nobody(subject: str, payload: bytes, why: str) -> None:
    r = await rig()
    await recovered(r)
    r.gateway.feed(subject, "", payload)
    await r.turn()
    assert r.metrics.feed_refused == {why: 1}
    leg = LEG | {"fixture": "g", "price": 30_000}
    assert (await r.ask("bet.place", r.bet(legs=[leg])))["type"] == "accepted"


async def test_a_gap_in_a_feed_closes_its_markets_and_asks_for_recovery() -> None:
    r = await rig()
    r.gateway.start()
    await recovered(r)
    r.gateway.feed("feed.p.1", "", feed("heartbeat", 6))
    leg = LEG | {"fixture": "g", "price": 30_000}
    assert (await r.ask("bet.place", r.bet(legs=[leg])))["reason"] == "PRODUCER_DOWN"
    async with asyncio.timeout(5):
        while not (asked := [payload for to, payload in r.sent if to == "feed-control.p.1"]):
            r.now_ms += 1_000
            await asyncio.sleep(0.02)
    assert msgspec.json.decode(asked[0]) == {"type": "recover", "provider": "p", "producer": "1"}
    r.gateway.stop()


async def test_past_the_most_events_that_may_wait_feed_messages_are_dropped() -> None:
    r = await rig(feed__pending_max=1)
    r.gateway.feed("feed.p.1", "", feed("recovery_begin", 1))
    r.gateway.feed("feed.p.1", "", feed("fixture", 2, **FIXTURE))
    r.gateway.feed("feed.p.1", "", feed("market", 3, **MARKET))
    assert r.metrics.feed_refused == {"overload": 1}
    await r.turn()
    r.gateway.feed("feed.p.1", "", feed("recovery_end", 4))
    await r.turn()
    assert not r.engine.book.producers["p", "1"].up  # the gap was seen


async def test_a_settled_bets_customer_is_told() -> None:
    r = await rig()
    bet = await r.ask("bet.place", r.bet())
    r.sent.clear()
    results = [["home", 1], ["away", 0]]
    await r.ask("desk.market.settle", r.command(author="tom", fixture="f", market="m", results=results))
    await r.turn()
    r.acknowledge()
    (notice,) = [payload for to, payload in r.sent if to == "bets.anna"]
    assert msgspec.json.decode(notice) == {
        "type": "settled",
        "id": bet["id"],
        "ts_ms": NOW,
        "status": "won",
        "paid_m": 2_000,
    }


async def test_a_cancelled_bets_customer_is_told() -> None:
    r = await rig()
    bet = await r.ask("bet.place", r.bet())
    await r.ask("desk.bet.void", r.command(author="tom", bet=bet["id"], reason="palpable error"))
    assert "bets.anna" in [to for to, _ in r.sent]


async def test_a_bug_in_the_engine_is_told_and_nothing_of_the_turn_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    r = await rig()
    r.sent.clear()

    def tick(now_ms: int, **_: bool) -> list[Event]:
        raise AssertionError(f"a bug at {now_ms}")

    monkeypatch.setattr(r.engine, "tick", tick)
    r.gateway.request("bet.place", INBOX, JSON.encode(r.bet()))
    await r.turn()
    assert [str(failure) for failure in r.failures] == [f"a bug at {NOW}"]
    assert r.journal.under_way == []
    assert r.sent == []


async def test_invariants_are_checked_as_often_as_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    r = await rig(gateway__check_every=5)
    checked: list[int] = []
    monkeypatch.setattr("core.invariants.check", lambda book: checked.append(book.event_no))
    for _ in range(10):
        await r.ask("bet.place", r.bet())
    assert len(checked) == 2


async def test_latency_counts_every_answer_once() -> None:
    r = await rig()
    before = sum(r.metrics.requests.counts)
    await r.ask("bet.place", r.bet())
    await r.ask("bet.place", [r.bet(), r.bet()])
    await r.ask("bet.place", r.bet(stake_m=0))  # malformed: not waited for
    assert sum(r.metrics.requests.counts) - before == 3
    assert r.metrics.requests.buckets()[-1] == ("+Inf", before + 3.0)
    assert r.metrics.answers["Accepted"] == 3
    assert r.metrics.answers["MALFORMED"] == 1


@effort(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(["bet.place", "account.get", "odds.get", "bet.x"]), st.binary(max_size=60))))
async def test_whatever_comes_is_answered_once(messages: list[tuple[str, bytes]]) -> None:
    r = await rig()
    for subject, payload in messages:
        await r.ask_raw(subject, payload)
        await r.ask_raw(subject, b"{" + payload)
        r.gateway.feed("feed.p.1", "", payload)
    assert (await r.ask("bet.place", r.bet()))["type"] == "accepted"
    assert not r.failures
