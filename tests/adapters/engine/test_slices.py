"""What is long is done in slices that keep out of the way of requests, and comes to an end without anybody's asking."""

from __future__ import annotations

import asyncio
import time
from itertools import count

import pytest

from adapters.codec import JSON
from core.messages.events import BetAccepted, BetSettled, MarketSettled, SettlementAdvanced
from tests.adapters.engine.rigged import INBOX, LEG, Rig, Row, rig
from tests.adapters.virtual import in_virtual_time

BETS = 4
ONE_BY_ONE = {"limits__slice_max": 1, "gateway__slices_ms": 0, "gateway__slices_pause_ms": 100}
SLICE = [BetSettled, SettlementAdvanced]
PAUSE_S = 0.101
"""The pause and a little more, in virtual time."""


async def with_results(**overrides: object) -> Rig:
    """Four bets on a market whose results have just come; another market is open."""
    r = await rig(**overrides)
    other: Row = {"author": "tom", "fixture": "f", "market": "n"}
    market: Row = {"market_type": "1x2", "name": "Result", "selections": [["home", "A"], ["away", "B"]]}
    for subject, fields in (
        ("desk.market.define", market),
        ("desk.price.set", {"selection": "home", "price": 20_000}),
        ("desk.market.open", {}),
    ):
        assert (await r.ask(subject, r.command(**other | fields)))["type"] == "done"
    for _ in range(BETS):
        assert (await r.ask("bet.place", r.bet()))["type"] == "accepted"
    r.journal.stored.clear()
    results = [["home", 1], ["away", 0]]
    settle = r.command(author="tom", fixture="f", market="m", results=results)
    r.gateway.request("desk.market.settle", INBOX, JSON.encode(settle))
    await r.turn()
    return r


def kinds(r: Rig) -> list[type]:
    """What the journal has stored since."""
    r.acknowledge()
    return [type(event) for event in r.journal.stored]


@in_virtual_time
async def test_a_bet_on_another_market_waits_for_one_turns_slices_only() -> None:
    r = await with_results(**ONE_BY_ONE)
    assert kinds(r) == [MarketSettled, *SLICE]
    r.journal.stored.clear()
    for _ in range(3):
        assert (await r.ask("bet.place", r.bet(legs=[LEG | {"market": "n"}])))["type"] == "accepted"
    assert kinds(r) == [BetAccepted] * 3


@in_virtual_time
async def test_after_each_pause_comes_the_next_slice_until_all_is_settled_and_told() -> None:
    r = await with_results(**ONE_BY_ONE)
    r.sent.clear()
    for done in range(1, BETS + 1):
        assert kinds(r) == [MarketSettled, *SLICE * done]
        await asyncio.sleep(PAUSE_S)
    assert r.engine.book.open_bets == 0
    assert [to for to, _ in r.sent].count("bets.anna") == BETS


@in_virtual_time
async def test_a_turn_has_slices_until_its_time_for_them_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = count()
    monkeypatch.setattr(time, "perf_counter", lambda: next(looks) * 0.04)
    r = await with_results(**ONE_BY_ONE | {"gateway__slices_ms": 100})
    assert kinds(r) == [MarketSettled, *SLICE * 3]  # after 40, 80 and 120 ms
    await asyncio.sleep(PAUSE_S)
    assert kinds(r) == [MarketSettled, *SLICE * BETS]


@in_virtual_time
async def test_a_batch_has_the_slices_of_one_turn_however_long_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    r = await with_results(**ONE_BY_ONE)
    flush = r.journal.flush
    monkeypatch.setattr(r.journal, "flush", lambda: None)
    await asyncio.sleep(PAUSE_S * 3)
    assert [type(event) for event in r.journal.events] == SLICE
    monkeypatch.setattr(r.journal, "flush", flush)
    for _ in range(BETS):
        await asyncio.sleep(PAUSE_S)
    assert kinds(r) == [MarketSettled, *SLICE * BETS]


@in_virtual_time
async def test_a_gateway_that_has_stopped_settles_nothing_more() -> None:
    r = await with_results(**ONE_BY_ONE)
    r.gateway.stop()
    await asyncio.sleep(PAUSE_S)
    assert kinds(r) == [MarketSettled, *SLICE]
