"""Each test has servers of its own, to kill them: they start in a second."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.harness import new_seed


@pytest.fixture
def seed() -> int:
    """Of this test; shown where it fails."""
    return new_seed()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """For the servers of a stack."""
    return tmp_path
