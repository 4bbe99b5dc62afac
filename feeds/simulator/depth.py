"""What simulated makers offer round a simulated price: a few levels on each side of the fair one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from core.exchange.ladder import Ladder, OffLadder
from core.units import PRICE_ONE
from feeds.makers import Levels

LEVELS: Final = 4
_BACK_SHARE, _LAY_SHARE = 0.985, 1.015
"""Of the fair price: so that the backs of all selections together imply no lay, nor the lays a back."""
_PAID_M: Final = 400_00
"""What the best level pays, more or less; the next ones more."""
_LEAST_M: Final = 2_00
_JITTER: Final = 61


def depth(prices: Mapping[str, int], ladder: Ladder) -> dict[str, Levels]:
    """Levels by selection from the bookmaker's prices (0: none), whose overround is taken out.

    The same prices give the same levels.
    """
    overround = sum(PRICE_ONE / price for price in prices.values() if price)
    return {name: _levels(price * overround, ladder) if price else Levels({}, {}) for name, price in prices.items()}


def _levels(fair: float, ladder: Ladder) -> Levels:
    rungs = ladder.prices
    lay, back = _rung(ladder, fair * _BACK_SHARE), _rung(ladder, fair * _LAY_SHARE) + 1
    return Levels(
        _sized(rungs[back : back + LEVELS]),
        _sized(rungs[each] for each in range(lay, max(lay - LEVELS, -1), -1)),
    )


def _rung(ladder: Ladder, price: float) -> int:
    """The highest rung at or below; -1: there is none."""
    found = ladder.rung(round(price))
    if not isinstance(found, OffLadder):
        return found
    below = ladder.rung(found.below) if found.below else -1
    return below if isinstance(below, int) else -1


def _sized(prices: Iterable[int]) -> dict[int, int]:
    """Whole units of money; less on long shots, more behind the best price."""
    sized = {}
    for level, price in enumerate(prices, start=1):
        paid_m = level * (_PAID_M + _PAID_M * (price // 100 % _JITTER) // _JITTER)
        sized[price] = max(_LEAST_M, paid_m * PRICE_ONE // price // 100 * 100)
    return sized
