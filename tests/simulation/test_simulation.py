"""Seeded lives of a small book, played to the engine and to a plain model; crashes and replays that change nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from core import snapshot
from core.messages.rejections import Rejection
from tests.simulation.play import play, replayed

ROOT = Path(__file__).parents[2]
SEEDS = range(6)
STEPS = 2_000
NOT_PLAYED = {"MALFORMED", "BUSY", "TOO_MANY"}
"""Bounds of the border and of memory: tests/core has them."""


def test_engine_and_model_agree_and_every_reason_comes_up() -> None:
    reasons: Counter[str] = Counter()
    for seed in SEEDS:
        reasons += play(seed, STEPS).reasons
    assert {reason.name for reason in Rejection} - set(reasons) - NOT_PLAYED == set()
    assert reasons["Accepted"] > 1_000


@pytest.mark.parametrize("seed", [11, 12])
def test_a_crash_at_any_event_changes_nothing(seed: int) -> None:
    """DESIGN promise 3: snapshot + journal after it = the state that died."""
    run = play(seed, STEPS)
    live = snapshot.state_hash(run.engine.book)
    for snapshot_at in (0, *Random(seed).sample(range(len(run.events)), 6), len(run.events) - 1):
        assert replayed(run.events, snapshot_at) == live, f"seed {seed}, snapshot after event {snapshot_at}"


def test_events_and_states_are_the_same_in_every_process() -> None:
    """STYLE 1: string hashing differs per process, so nothing may depend on it."""
    command = [sys.executable, "-m", "tests.simulation.play", "21", "1500"]
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
