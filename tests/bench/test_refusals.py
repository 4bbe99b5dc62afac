"""The benchmark's small mode: it checks its answers and prints them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_small_mode_checks_its_answers_and_prints_them() -> None:
    program = [sys.executable, "-m", "bench.refusals", "--small", "--json"]
    ended = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)  # noqa: S603
    assert ended.returncode == 0, ended.stderr
    result = json.loads(ended.stdout.splitlines()[-1])
    assert result["header"]["python"]
    assert result["system_20, grid: refused"]["median"] > 0
    assert result["single, book: greatest stake, at the most"]["median"] > 0
