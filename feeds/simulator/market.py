"""A simulated market, and what is told of how a fixture ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from msgspec import Struct

from core.grading.scores import Score
from core.messages.feed import Certainty, FeedStatus
from core.messages.results import EachWay, Result
from core.messages.terms import ExchangeTerms


class Market(Struct, eq=False):
    """A market: what it is, and what was last told about it."""

    id: str
    market_type: str
    name: str
    group: str
    selections: tuple[tuple[str, str], ...]
    """(id, name)"""
    winners: int = 1
    specifiers: dict[str, str] = {}
    each_way: EachWay | None = None
    starting_price: bool = False
    exchange: ExchangeTerms | None = None
    parts: tuple[tuple[str, str], ...] = ()
    """Of a bet builder: (market, selection). It has no results of its own, and stands behind its parts."""
    status: FeedStatus = FeedStatus.SUSPENDED
    prices: tuple[int, ...] = ()
    sent_ms: int = 0
    results: tuple[Result, ...] = ()
    by_score: bool = False
    """They were told by the fixture's score."""
    certainty: Certainty = 2
    cancels: tuple[tuple[int, int], ...] = ()
    """Windows (from, to) in which bets are void; (0, 0): all bets."""
    uncancelled: bool = False
    """A cancel was taken back."""

    @property
    def cancelled(self) -> bool:
        return (0, 0) in self.cancels

    @property
    def ended(self) -> bool:
        """Every bet on it can be settled; of a bet builder, its parts know."""
        return bool(self.results) or self.cancelled


class Finish(NamedTuple):
    """How a fixture ended."""

    results: Mapping[str, tuple[Result, ...]]
    """Of the markets that were open."""
    score: Score | None = None
    """From which they follow; None: there is no such score."""
