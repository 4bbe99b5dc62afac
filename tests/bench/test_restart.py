"""The benchmark's small mode: a real engine is started again on real servers, and stands where it should."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_small_mode_checks_its_state_and_prints_its_figures() -> None:
    program = [sys.executable, "-m", "bench.restart", "--small", "--json", "--passes", "2"]
    ended = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)  # noqa: S603
    assert ended.returncode == 0, ended.stderr[-3000:]
    result = json.loads(ended.stdout.splitlines()[-1])
    assert result["ready_s"]["min"] > result["rebuilt_s"]["min"] > 0
    assert result["snapshot_bytes"] > 100_000
