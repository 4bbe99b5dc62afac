"""The benchmark of durable bets runs, whole, on real servers; its figures are no concern of the tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[2]
NAMED = ("echo_per_s", "durable_per_s", "ratio", "p50_ms", "p99_ms", "accepted")


def test_the_small_mode_says_all_it_should() -> None:
    command = [sys.executable, "-m", "bench.durable", "--small", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=240)  # noqa: S603
    assert done.returncode == 0, done.stderr[-3000:]
    figures = msgspec.json.decode(done.stdout.splitlines()[-1])
    assert all(figures[name] > 0 for name in NAMED)
    assert figures["accepted"] >= 2_000
