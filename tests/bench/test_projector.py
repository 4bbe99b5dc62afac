"""The small mode runs, checks itself with the audit, and ends with its figures as JSON."""

from __future__ import annotations

import subprocess
import sys

import msgspec


def test_the_small_mode_prints_its_figures() -> None:
    command = [sys.executable, "-m", "bench.projector", "--small", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)  # noqa: S603  (our own)
    assert done.returncode == 0, done.stderr
    figures = msgspec.json.decode(done.stdout.splitlines()[-1])
    assert figures["bets"] == 2_000
    assert figures["events"] > 2_000
    assert figures["bets_per_s"]["min"] > 0
