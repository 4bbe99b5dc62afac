"""Recordings, fetched as a user fetches them, and kept between runs."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from feeds.recordings import FetchError, fetch

KEPT = Path(__file__).parent.parent.parent / ".tictac" / "recordings"


@cache
def _fetch(name: str) -> Path | str:
    try:
        return fetch([name], KEPT)[name]
    except FetchError as error:
        return str(error)


@pytest.fixture(scope="session")
def recording() -> Callable[[str], Path]:
    """A recording by name; skips, with the reason, where it cannot be had."""

    def path(name: str) -> Path:
        found = _fetch(name)
        if isinstance(found, str):
            pytest.skip(found)
        return found

    return path
