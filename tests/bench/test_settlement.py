"""The benchmark of a settlement beside other bets runs, whole, on real servers; it checks every account itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

ROOT = Path(__file__).parents[2]
TIMED = ("settlement_s", "before_p50_ms", "before_p99_ms", "during_p99_ms", "during_max_ms", "after_p99_ms")


@pytest.mark.parametrize(("options", "bets", "lines"), [([], 2_000, 1), (["--systems"], 2, 15_504)])
def test_the_small_mode_says_all_it_should(options: list[str], bets: int, lines: int) -> None:
    command = [sys.executable, "-m", "bench.settlement", "--small", "--json", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=240)  # noqa: S603
    assert done.returncode == 0, done.stderr[-3000:]
    figures = msgspec.json.decode(done.stdout.splitlines()[-1])
    assert (figures["settled_bets"], figures["lines_a_bet"]) == (bets, lines)
    assert all(figures[name]["min"] > 0 for name in TIMED)
