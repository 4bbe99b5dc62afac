"""Price ladders: which prices an order may have (RULEBOOK 6).

A price is decimal odds x 10 000, as everywhere (core/units.py); a rung is its number on the ladder, from 0. A ladder is
a few bands of equal steps, so that a price finds its rung by one division in its band: the cost is the same for the
350 prices of CLASSIC and the 99 900 of FINEST.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from enum import IntEnum
from fractions import Fraction
from itertools import accumulate, chain, pairwise
from math import ceil, floor
from typing import NamedTuple


class Side(IntEnum):
    """What an order wants: a back a price at or above its own, a lay one at or below."""

    BACK = 1
    LAY = 2


_BACK = Side.BACK


class OffLadder(NamedTuple):
    """The answer for a price that is on no rung."""

    price: int
    below: int
    """The nearest price below on the ladder; 0: it is below the first."""
    above: int
    """The nearest price above on the ladder; 0: it is above the last."""


class Ladder:
    """The prices from the first of the first band to the last of the last one."""

    __slots__ = ("_bands", "_firsts", "_starts", "known", "name", "prices")

    def __init__(self, name: str, *bands: range) -> None:
        """Bands follow each other: each begins where the one before would have had its next price."""
        assert all(lower.stop == upper.start for lower, upper in pairwise(bands)), bands
        self.name = name
        self.prices: Sequence[int] = bands[0] if len(bands) == 1 else tuple(chain(*bands))
        """Rung -> price."""
        self.known: range | frozenset[int] = bands[0] if len(bands) == 1 else frozenset(self.prices)
        """The same to ask `in` of: whether a price is on it, at the same cost for all."""
        self._bands = bands
        self._starts = [band.start for band in bands]
        self._firsts = list(accumulate((len(band) for band in bands), initial=0))

    def rung(self, price: int) -> int | OffLadder:
        """The rung of a price, or which prices are beside it."""
        rung = self._at_most(price)
        prices = self.prices
        if rung >= 0 and prices[rung] == price:
            return rung
        return OffLadder(price, prices[rung] if rung >= 0 else 0, prices[rung + 1] if rung + 1 < len(prices) else 0)

    def against_taker(self, side: Side, price: Fraction | int) -> int | None:
        """The nearest price on the ladder that is no better for who takes it: down for a back, up for a lay.

        None: the ladder ends before.
        """
        return self._down(price) if side is _BACK else self._up(price)

    def for_taker(self, side: Side, price: Fraction | int) -> int | None:
        """The nearest price on the ladder that is no worse for who takes it: up for a back, down for a lay.

        None: the ladder ends before.
        """
        return self._up(price) if side is _BACK else self._down(price)

    def _down(self, price: Fraction | int) -> int | None:
        rung = self._at_most(floor(price))
        return self.prices[rung] if rung >= 0 else None

    def _up(self, price: Fraction | int) -> int | None:
        rung = self._at_most(ceil(price) - 1) + 1
        return self.prices[rung] if rung < len(self.prices) else None

    def _at_most(self, price: int) -> int:
        """The highest rung whose price is not above this one; -1: all are."""
        band = bisect_right(self._starts, price) - 1
        if band < 0:
            return -1
        steps = self._bands[band]
        return min(self._firsts[band] + (price - steps.start) // steps.step, len(self.prices) - 1)


CLASSIC = Ladder(
    "CLASSIC",
    range(10_100, 20_000, 100),
    range(20_000, 30_000, 200),
    range(30_000, 40_000, 500),
    range(40_000, 60_000, 1_000),
    range(60_000, 100_000, 2_000),
    range(100_000, 200_000, 5_000),
    range(200_000, 300_000, 10_000),
    range(300_000, 500_000, 20_000),
    range(500_000, 1_000_000, 50_000),
    range(1_000_000, 10_000_001, 100_000),
)
"""350 prices from 1.01 to 1000."""
FINEST = Ladder("FINEST", range(10_100, 10_000_001, 100))
"""1.01 to 1000 by 0.01: handicaps and totals."""
LADDERS = {ladder.name: ladder for ladder in (CLASSIC, FINEST)}
