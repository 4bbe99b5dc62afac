"""The benchmark's small mode."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_small_mode_checks_its_answers_and_prints_them() -> None:
    program = [sys.executable, "-m", "bench.clearing", "--small", "--json"]
    ended = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)  # noqa: S603
    assert ended.returncode == 0, ended.stderr
    result = json.loads(ended.stdout.splitlines()[-1])
    assert result["header"]["python"]
    assert result["1x3000 k_trades_per_s"]["median"] > 0
    assert result["close 100/10 longest_ms"]["min"] > 0
