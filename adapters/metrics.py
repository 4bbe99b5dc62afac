"""What the engine process counts while it works: plain integers on the hot path, Prometheus' form only when asked."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from typing import Final

from core.messages.events import BetAccepted

LATENCY_BOUNDS_MS: Final = (0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 1000.0, 10_000.0)


class Latency:
    """A histogram that takes many observations of the same value at once."""

    def __init__(self) -> None:
        self.counts = [0] * (len(LATENCY_BOUNDS_MS) + 1)
        """One per bound, not cumulated; the last is for what is above all."""
        self.sum_ms = 0.0

    def add(self, value_ms: float, times: int) -> None:
        self.counts[bisect_left(LATENCY_BOUNDS_MS, value_ms)] += times
        self.sum_ms += value_ms * times

    def buckets(self) -> list[tuple[str, float]]:
        """Upper bound in seconds and cumulated count, as Prometheus wants it."""
        total, rows = 0, []
        for bound, count in zip((*LATENCY_BOUNDS_MS, float("inf")), self.counts, strict=True):
            total += count
            rows.append(("+Inf" if bound == float("inf") else str(bound / 1000), float(total)))
        return rows


class Metrics:
    """Counts since the start of the process."""

    def __init__(self) -> None:
        self.answers: Counter[str] = Counter()
        """By Rejection's name, or the answer's type."""
        self.feed: Counter[str] = Counter()
        """Feed messages taken, by type."""
        self.feed_refused: Counter[str] = Counter()
        """Feed messages that were not taken, by why: malformed, subject, clock, overload."""
        self.unanswerable = 0
        """Requests with no reply subject, or with one that is not an inbox."""
        self.odds: Counter[str] = Counter()
        """What was published: image, delta, book, book delta, notice, order notice, referral, balance."""
        self.bets: Counter[str] = Counter()
        """Bets accepted, by kind: single, multiple, system, or a system's own name."""
        self.orders: Counter[str] = Counter()
        """Orders of exchange markets: taken (one that waits, when its delay is over), matches."""
        self.cash_outs = 0
        self.requests = Latency()
        """From the turn in which a request was read until its answer was written."""

    def count_bet(self, bet: BetAccepted) -> None:
        self.bets[bet.kind or ("single" if len(bet.legs) == 1 else "multiple")] += 1


def seldom(before: int, after: int) -> bool:
    """Whether a count is worth a line of the log: the first, then at every doubling, so no sender can fill the disk."""
    return before.bit_length() != after.bit_length()
