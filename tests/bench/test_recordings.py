"""The benchmark's small mode: it checks its answer and prints it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


def test_small_mode_checks_its_answer_and_prints_it() -> None:
    environ = os.environ | {"TICTAC_INGEST_RECORDINGS": str(ROOT / ".tictac" / "recordings")}
    program = [sys.executable, "-m", "bench.recordings", "--small", "--json"]
    ended = subprocess.run(  # noqa: S603
        program, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=120, check=False
    )
    if "bench.recordings: cannot" in ended.stderr or "package index" in ended.stderr:
        pytest.skip(ended.stderr.splitlines()[-1])
    assert ended.returncode == 0, ended.stderr
    result = json.loads(ended.stdout.splitlines()[-1])
    assert result["BASIC-1.132153978"]["messages"] == 482
    assert result["header"]["python"]
