"""Seeded lives of a small book, played to the engine and to a plain model; crashes and replays that change nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random
from typing import get_args

import pytest

from core import invariants, snapshot
from core.engine import Engine
from core.messages import events as ev
from core.messages.rejections import Rejection
from core.units import RATE_ONE
from tests.core.world import limits
from tests.simulation.play import play, replayed
from tests.simulation.rulebook import LIMITS, Life

ROOT = Path(__file__).parents[2]
SEEDS = range(6)
STEPS = 2_000
LIFE = 2_500
NOT_PLAYED = {"MALFORMED", "BUSY", "TOO_MANY", "PLACE_TERMS_CHANGED"}
"""Bounds of the border and of memory, and an assertion that the lives' bets do not make: tests/core has them."""
OF_ORDERS = {"EXCHANGE_NOT_OFFERED", "MARKET_VERSION_CHANGED", "PRICE_NOT_ON_LADDER", "ORDER_UNKNOWN"}
"""Exchange markets have properties of their own (tests/core/exchange/test_properties.py)."""


@pytest.fixture(scope="module")
def lives() -> list[Life]:
    """Of each seed a life with the whole rulebook."""
    lives = []
    for seed in SEEDS:
        life = Life(seed)
        life.play(LIFE)
        lives.append(life)
    return lives


def test_engine_and_model_agree_and_every_reason_comes_up(lives: list[Life]) -> None:
    reasons: Counter[str] = Counter()
    for seed in SEEDS:
        reasons += play(seed, STEPS).reasons
    assert reasons["Accepted"] > 1_000
    for life in lives:
        reasons += life.said
    assert {reason.name for reason in Rejection} - set(reasons) - NOT_PLAYED - OF_ORDERS == set()


def test_a_life_with_the_whole_rulebook_has_all_of_it(lives: list[Life]) -> None:
    """Its bets, money and what runs agree step by step (tests/simulation/rulebook.py); here: that it was not idle."""
    said: Counter[str] = Counter()
    for life in lives:
        said += life.said
        life.world.check()
    done = {"CashOut: Done", "TakeOffer: Done", "AnswerReferral: Done", "GrantFreeBet: Done", "SettleFixture: Done"}
    done |= {"SetStartingPrices: Done", "WithdrawSelection: Done", "RollBackMarket: Done", "SetOwnLimit: Done"}
    assert {name for name in done if said[name] < 5} == set()
    assert said["PlaceBet: Accepted"] > 500
    assert said["PlaceBet: Pending"] > 200
    events = [event for life in lives for event in life.world.events]
    happened = Counter(type(event) for event in events)
    of_betting = [
        kind for kind in get_args(ev.Event) if kind.__struct_config__.tag < ev.OrderPlaced.__struct_config__.tag
    ]
    # Words come out of order from feeds alone: tests/core/results/test_arrival.py.
    assert {kind.__name__ for kind in of_betting if not happened[kind]} == {"WordKept"}
    taken = [event for event in events if isinstance(event, ev.BetAccepted)]
    for what in ("kind", "folds", "each_way", "free_bet", "reserved_m"):
        assert sum(bool(getattr(event, what)) for event in taken) > 10, what
    assert {event.rate for event in taken if event.currency != "EUR"} - {RATE_ONE}


@pytest.mark.parametrize("number", range(3))
def test_a_crash_in_such_a_life_changes_nothing(lives: list[Life], number: int) -> None:
    """DESIGN promise 3, with bets that wait, offers, sales and slices under way."""
    life = lives[number]
    events, live = life.world.events, snapshot.state_hash(life.world.book)
    for snapshot_at in (0, *Random(number).sample(range(len(events)), 8), len(events) - 1):
        assert replayed(events, snapshot_at) == live, f"{life.where}, snapshot after event {snapshot_at}"


@pytest.mark.parametrize("number", range(3, 6))
def test_whoever_takes_over_at_any_event_goes_on_from_there(lives: list[Life], number: int) -> None:
    """Killed after any event, also between an answer and what follows from it: what the next engine adds is enough."""
    events = lives[number].world.events[:1_500]
    # Without forgetting, which looks at one market a turn, whatever turns there were.
    bounds = limits(**{**LIMITS, "archive_after_ms": 10**10})
    for at in Random(number).sample(range(100, len(events)), 12):
        dead = Engine(bounds)
        for event in events[:at]:
            dead.apply(event)
        heirs = [Engine(bounds, snapshot.restore(snapshot.encode(dead.book))) for _ in range(2)]
        added: list[ev.Event] = [heirs[0].start("next", "0", dead.book.now_ms)]
        for wait_ms in (0, 2_000, 40_000, 70_000):
            now = heirs[0].book.now_ms + wait_ms
            while more := heirs[0].tick(now):
                added.extend(more)
        for event in added:
            heirs[1].apply(event)
        assert not heirs[1].tick(heirs[1].book.now_ms), f"{lives[number].where}, event {at}"
        hashes = {snapshot.state_hash(heir.book) for heir in heirs}
        assert len(hashes) == 1, f"{lives[number].where}, event {at}"
        for heir in heirs:
            invariants.check(heir.book)


@pytest.mark.parametrize("seed", [11, 12])
def test_a_crash_at_any_event_changes_nothing(seed: int) -> None:
    """DESIGN promise 3: snapshot + journal after it = the state that died."""
    run = play(seed, STEPS)
    live = snapshot.state_hash(run.engine.book)
    for snapshot_at in (0, *Random(seed).sample(range(len(run.events)), 6), len(run.events) - 1):
        assert replayed(run.events, snapshot_at) == live, f"seed {seed}, snapshot after event {snapshot_at}"


@pytest.mark.parametrize("module", ["play", "rulebook"])
def test_events_and_states_are_the_same_in_every_process(module: str) -> None:
    """STYLE 1: string hashing differs per process, so nothing may depend on it."""
    command = [sys.executable, "-m", f"tests.simulation.{module}", "21", "1500"]
    printed = {
        hash_seed: subprocess.run(  # noqa: S603  (our own module)
            command,
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        ).stdout.split()
        for hash_seed in ("0", "1", "4242")
    }
    journal, live, rebuilt = printed["0"]
    assert live == rebuilt
    assert set(map(tuple, printed.values())) == {(journal, live, rebuilt)}
