"""Programmes of simulated fixtures: repeatable, bounded, taken whole by the engine, and over a bus."""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from itertools import islice
from random import Random

import msgspec
import nats
import pytest
from msgspec.structs import replace
from nats.aio.msg import Msg

from adapters.embedded import NatsServer
from config.settings import Role, load
from core import invariants
from core.engine import Engine
from core.limits import Limits
from core.messages import commands as co
from core.messages import events as ev
from core.messages import feed
from core.messages.feed import FeedStatus
from feeds.bus import MemoryBus
from feeds.session import Session
from feeds.simulator.play import play, register
from feeds.simulator.programme import PRODUCER, PROVIDER, Programme
from tests.feeds.simulated import EVENTFUL, FOR_EVER, NOON, SETTINGS, Told, plan, programme

DEADLINE_S = 20.0


def test_a_programme_is_whole_in_order_and_fit_for_the_wire() -> None:
    messages = list(programme(fixtures=24).messages(FOR_EVER))
    kinds = {type(message) for message in messages}
    assert kinds >= {feed.FixtureChange, feed.MarketImage, feed.OddsChange, feed.Suspend}
    assert kinds >= {feed.Settlement, feed.FixtureScore, feed.Cancel, feed.Rollback}
    assert kinds >= {feed.Withdrawal, feed.StartingPrices}
    assert [message.ts_ms for message in messages] == sorted(message.ts_ms for message in messages)
    for message in messages:
        assert msgspec.json.decode(msgspec.json.encode(message), type=feed.AnyFeedMessage) == message
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(message), type=feed.AnyFeedMessage) == message
    fixtures = {message.fixture: message.sport for message in messages if isinstance(message, feed.FixtureChange)}
    assert len(fixtures) == 24
    assert set(fixtures.values()) == {"football", "horse_racing"}
    assert {message.outright_of for message in messages if isinstance(message, feed.FixtureChange)} == {
        "",
        "Simulated League",
    }


def test_so_many_fixtures_are_on_offer_without_end() -> None:
    endless = programme(fixtures=0, settings=replace(EVENTFUL, fixtures_at_once=2, spread_s=0))
    told = islice(endless.messages(FOR_EVER), 2_000)
    assert len({message.fixture for message in told if isinstance(message, feed.FixtureChange)}) > 5


def test_runs_of_one_seed_do_not_share_ids_or_stories() -> None:
    first, second = (list(programme(run=run, fixtures=4).image()) for run in ("a", "b"))
    names = [
        {message.fixture for message in told if isinstance(message, feed.FixtureChange)} for told in (first, second)
    ]
    assert not names[0] & names[1]
    assert [m.name for m in first if isinstance(m, feed.MarketImage)] != [
        m.name for m in second if isinstance(m, feed.MarketImage)
    ]


def test_steps_of_any_size_tell_the_same() -> None:
    whole = list(programme(fixtures=3).messages(FOR_EVER))
    stepped, random, now_ms = programme(fixtures=3), Random(4), NOON
    pieces: list[feed.AnyFeedMessage] = []
    while stepped.next_ms is not None:
        now_ms += random.randrange(1, 5_000)
        pieces.extend(stepped.messages(now_ms))
    assert pieces == whole


def test_a_programme_taken_up_again_ends_the_same() -> None:
    """Made anew from the same plan, it passes over what is past; its image has the results that were missed."""
    settings = replace(EVENTFUL, kept_ms=10**9)
    whole, again = Told(), Told()
    whole.hear(programme(settings=settings).messages(FOR_EVER))
    anew = programme(settings=settings)
    anew.pass_over(NOON + 110_000)
    again.hear(anew.image())
    assert FeedStatus.ACTIVE in again.status.values()
    again.hear(anew.messages(FOR_EVER))
    assert again.status == whole.status
    assert all(again.ended(key) for key in again.status)
    told_late = {key: results for key, results in again.results.items() if not again.cancels.get(key)}
    assert told_late.items() <= whole.results.items()
    assert len(told_late) > 50
    assert again.withdrawals == whole.withdrawals
    assert again.starting_prices == whole.starting_prices
    assert whole.withdrawals


def test_what_is_kept_of_past_fixtures_is_bounded() -> None:
    told = programme(fixtures=6, settings=replace(EVENTFUL, kept_max=2, kept_ms=1_000))

    def in_image() -> int:
        return len([message for message in told.image() if isinstance(message, feed.FixtureChange)])

    told.pass_over(FOR_EVER)
    assert in_image() == 2
    told.pass_over(FOR_EVER + 1_000)
    assert in_image() == 2
    told.pass_over(FOR_EVER + 1_001)
    assert in_image() == 0


def test_an_abandoned_programme_is_over_in_its_image_too() -> None:
    told, heard, late = programme(), Told(), Told()
    heard.hear(told.messages(NOON + 60_000))
    heard.hear(told.abandon())
    late.hear(told.image())
    assert told.next_ms is None
    assert len(heard.status) > 50
    assert late.status == heard.status
    assert all(heard.ended(key) and late.ended(key) for key in heard.status)


DIGEST = """
import hashlib, msgspec, sys
from config.settings import load
from feeds.simulator.programme import Plan, Programme
told = Programme(Plan(7, "t", 1_700_000_000_000, 60.0, 4), load(environ={}).simulator).messages(10**14)
print(hashlib.sha256(b"".join(map(msgspec.msgpack.encode, told))).hexdigest())
"""


def test_a_seed_tells_the_same_in_every_process() -> None:
    told = Programme(plan(7, fixtures=4), SETTINGS).messages(FOR_EVER)
    here = hashlib.sha256(b"".join(map(msgspec.msgpack.encode, told))).hexdigest()
    for hash_seed in ("0", "1", "4711"):
        done = subprocess.run(  # noqa: S603 - our own interpreter
            [sys.executable, "-c", DIGEST],
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert done.stdout.strip() == here, hash_seed


# With the engine, and over a bus.


class Betting:
    """An engine that hears a programme, and somebody who bets on it now and then."""

    def __init__(self, limits: Limits) -> None:
        self.engine, self.random = Engine(limits), Random(8)
        self.engine.start("test", "0", NOON)
        self.events = Counter[type]()
        self.sequence = 0
        self.now_ms = NOON
        self.execute(co.OpenCustomer("o1", NOON + 60_000, "ann", "EUR"))
        self.execute(co.Deposit("d1", NOON + 60_000, "ann", 10_000_000, "bank"))
        self.recover([])

    def execute(self, message: object) -> object:
        answer, events = self.engine.execute(message, self.now_ms)
        self.events.update(map(type, events))
        return answer

    def hear(self, messages: Iterable[feed.AnyFeedMessage]) -> None:
        for message in messages:
            self.sequence += 1
            self.now_ms = max(self.now_ms, message.ts_ms)
            passed_over = self.execute(replace(message, sequence=self.sequence))
            assert passed_over is None or "NOTHING_TO_CHANGE" in str(passed_over), (message, passed_over)
            self.settle()
            if isinstance(message, feed.OddsChange) and not self.sequence % 5:
                self.bet(message)

    def recover(self, image: Iterable[feed.AnyFeedMessage]) -> None:
        head = (PROVIDER, PRODUCER, 0, self.now_ms)
        self.hear([feed.RecoveryBegin(*head), *image, feed.RecoveryEnd(*head)])

    def settle(self) -> None:
        while events := self.engine.tick(self.now_ms):
            self.events.update(map(type, events))

    def bet(self, message: feed.OddsChange) -> None:
        """On anything that is offered; on races sometimes each-way, sometimes at the starting price."""
        change = self.random.choice(message.markets)
        offers = [offer for offer in change.prices if offer.price]
        if not offers:
            return
        offer, market = self.random.choice(offers), self.engine.book.fixtures[message.fixture].markets[change.market]
        starting_price = market.market_type in {"win", "place"} and not market.in_play and self.random.random() < 0.3
        leg = co.Leg(message.fixture, market.id, offer.selection, offer.price, starting_price=starting_price)
        each_way = market.each_way is not None and self.random.random() < 0.5
        bet = co.PlaceBet(f"b{self.sequence}", self.now_ms + 1_000, "ann", 100, (leg,), each_way=each_way)
        self.execute(bet)


@pytest.mark.parametrize("settle_provisional", [False, True])
def test_the_engine_takes_every_message_and_settles_every_bet(settle_provisional: bool) -> None:  # noqa: FBT001
    told = programme(seed=5, fixtures=40, settings=replace(EVENTFUL, kept_ms=10**9))
    betting = Betting(replace(Limits(), settle_provisional=settle_provisional))
    betting.hear(told.messages(FOR_EVER))
    betting.now_ms += 3_600_000
    betting.settle()
    book = betting.engine.book
    bets = list(book.bets.values())
    assert not book.pending
    assert book.open_bets == 0
    assert len({bet.status for bet in bets}) == 3
    legs = [(bet, bet.legs[0]) for bet in bets]
    kinds = Counter(leg.selection.market.market_type for _, leg in legs)
    assert kinds.keys() >= {"match_result", "total_goals", "bet_builder", "win", "place", "outright"}
    assert sum(leg.starting_price for _, leg in legs) > 10
    assert sum(bet.system is not None and bet.system.each_way for bet in bets) > 10
    assert any(leg.selection.withdrawn_ms for _, leg in legs)
    assert any(leg.selection.market.deductions for _, leg in legs)
    invariants.check(book)
    betting.events.clear()
    betting.recover(told.image())
    assert betting.events.keys() <= {ev.FixtureScored, ev.ScoringAdvanced, ev.WordKept}, (
        "a score is graded again, a rollback bars what is older, and neither is anything new"
    )


def test_an_engine_that_heard_only_the_image_comes_to_the_same_results() -> None:
    settings = replace(EVENTFUL, kept_ms=10**9)
    told, whole, late = programme(seed=6, settings=settings), Betting(Limits()), Betting(Limits())
    whole.hear(told.messages(FOR_EVER))
    late.recover(told.image())
    late.settle()

    def known(betting: Betting) -> dict[tuple[str, str, str], object]:
        return {
            (market.fixture.id, market.id, each.id): (
                each.result,
                each.withdrawn_ms,
                each.deduction_pc,
                each.starting_price,
                market.cancels,
            )
            for market in betting.engine.book.markets()
            for each in market.selections.values()
        }

    assert known(late) == known(whole)


async def test_a_listener_on_the_bus_hears_fixtures_between_recoveries() -> None:
    bus, stop, clock = MemoryBus(), asyncio.Event(), iter(range(NOON, FOR_EVER, 1_000))
    ingest = load(environ={}).ingest
    told = Programme(plan(2, fixtures=2, speed=600), SETTINGS)
    async with Session(bus, PROVIDER, PRODUCER, ingest, lambda: NOON) as session:
        await asyncio.wait_for(play(session, told, stop, clock_ms=lambda: next(clock)), DEADLINE_S)
        await session.recover()
    messages = [msgspec.msgpack.decode(payload, type=feed.AnyFeedMessage) for _, payload in bus.sent]
    sequences = [message.sequence for message in messages]
    assert sequences == list(range(sequences[0], sequences[0] + len(sequences)))
    heard = Told()
    heard.hear(messages)
    assert all(heard.ended(key) for key in heard.status)
    assert len({fixture for fixture, _ in heard.status}) == 2
    assert sum(isinstance(message, feed.RecoveryEnd) for message in messages) == 3


async def test_what_is_late_is_told_as_an_image_and_not_as_old_prices() -> None:
    bus, stop = MemoryBus(), asyncio.Event()
    times = iter([NOON, NOON + 10, NOON + 10, NOON + 10])
    told = Programme(plan(2, fixtures=2), SETTINGS)
    async with Session(bus, PROVIDER, PRODUCER, load(environ={}).ingest, lambda: NOON) as session:
        await asyncio.wait_for(play(session, told, stop, clock_ms=lambda: next(times, NOON + 10_000_000)), DEADLINE_S)
    messages = [msgspec.msgpack.decode(payload, type=feed.AnyFeedMessage) for _, payload in bus.sent]
    assert not any(isinstance(message, feed.Suspend) for message in messages)
    heard = Told()
    heard.hear(messages)
    assert all(heard.ended(key) for key in heard.status)


@pytest.mark.parametrize(
    ("option", "value"),
    [("--speed", "0"), ("--speed", "nan"), ("--speed", "x"), ("--seed", "-1"), ("--fixtures", "1e3"), ("--run", "a b")],
)
def test_a_wrong_option_of_the_command_is_named(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    register(parser.add_subparsers())
    with pytest.raises(SystemExit) as exit_:
        parser.parse_args(["simulate", f"{option}={value}"])
    assert exit_.value.code == 2
    assert f"argument {option}: " in capsys.readouterr().err


async def test_the_command_cancels_what_is_open_when_it_is_stopped(nats_server: NatsServer) -> None:
    heard, opened = Told(), asyncio.Event()
    engine = await nats.connect(nats_server.url(Role.ENGINE), inbox_prefix=Role.ENGINE.inbox_prefix.encode())

    async def hear(message: Msg) -> None:
        heard.hear([msgspec.msgpack.decode(message.data, type=feed.AnyFeedMessage)])
        if len({fixture for fixture, _ in heard.status}) == 3:
            opened.set()

    await engine.subscribe(f"feed.{PROVIDER}.{PRODUCER}", cb=hear)
    await engine.flush()
    command = ["-m", "adapters.cli", "simulate", "--seed", "9", "--fixtures", "3", "--speed", "1", "--run", "x"]
    process = await asyncio.create_subprocess_exec(sys.executable, *command, env=os.environ | dict(nats_server.environ))
    try:
        await asyncio.wait_for(opened.wait(), DEADLINE_S)
        assert not any(heard.ended(key) for key in heard.status)
        process.terminate()
        assert await asyncio.wait_for(process.wait(), DEADLINE_S) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    async with asyncio.timeout(DEADLINE_S):
        while not all(heard.ended(key) for key in heard.status):
            await engine.flush()
    await engine.close()
    assert {fixture for fixture, _ in heard.status} == {f"sim:9-x-{number}" for number in range(3)}
