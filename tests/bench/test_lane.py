"""The benchmark of the lane runs, and answers every message both ways."""

from __future__ import annotations

import subprocess
import sys

import msgspec


def test_it_runs() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.lane", "--small", "--json"], capture_output=True, check=True, timeout=60
    )
    figures = msgspec.json.decode(done.stdout.splitlines()[-1])
    assert figures["lane_us"]["median"] > 0
    assert figures["nats_py_us"]["median"] > 0
