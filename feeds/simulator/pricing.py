"""The border between the model's chances (floats) and the prices that are offered (integers x 10 000).

Margin is put on by the power method (RULEBOOK 8): chance ** k, with k such that the book sums to the wanted overround.
Unlike a flat percentage it can never ask more than certainty of a favourite, and it takes more from the long shots, as
bookmakers do.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log

CHANCE_MIN = 0.001
"""Less probable selections are not offered: their price would be the model's error."""
PRICE_LOWEST = 10_010
"""A market whose favourite would be shorter (1.001) is decided for all practical purposes: it is not offered."""
PRICE_HIGHEST = 10_000_000
_STEPS = ((11_000, 10), (50_000, 100), (200_000, 1_000), (1_000_000, 5_000))
_STEP_ABOVE = 10_000
_ITERATIONS_MAX = 30
_CLOSE_ENOUGH = 1e-9


def step_at(price: int) -> int:
    """The distance between two offered prices around this one: people write 2.15 and 34, not 2.1479 and 34.2816."""
    return next((step for below, step in _STEPS if price < below), _STEP_ABOVE)


def offer(chances: Sequence[float], overround: float) -> tuple[int, ...]:
    """Prices for the chances of a market's selections, so that the book sums to (1 + overround) x the sum of chances.

    The chances sum to the number of winners. Each price is rounded down to its step, in the house's favour. 0: not
    offered; all are 0 where no such book exists, because the market is as good as decided.
    """
    logs = [log(min(chance, 1.0)) if chance >= CHANCE_MIN else None for chance in chances]
    offered = [value for value in logs if value is not None]
    target = (1 + overround) * sum(map(exp, offered))
    if target >= len(offered):
        return (0,) * len(chances)
    power = _power(offered, target)
    prices = tuple(0 if value is None else _rounded(exp(-power * value)) for value in logs)
    if any(price < PRICE_LOWEST for price, value in zip(prices, logs, strict=True) if value is not None):
        return (0,) * len(chances)
    return prices


def starting_prices(chances: Sequence[float], overround: float) -> tuple[int, ...]:
    """As `offer`, but whoever starts has one: where nothing is offered, the fair price within bounds. 0: chance 0."""
    fair = (_rounded(1 / max(chance, CHANCE_MIN)) if chance else 0 for chance in chances)
    offered = offer(chances, overround)
    return tuple(price or (least and max(least, PRICE_LOWEST)) for price, least in zip(offered, fair, strict=True))


def _power(logs: Sequence[float], target: float) -> float:
    """The k in [0, 1] at which the powers sum to the target, by Newton: the sum falls with k and is convex in it."""
    power = 1.0
    for _ in range(_ITERATIONS_MAX):
        terms = [exp(power * value) for value in logs]
        excess = sum(terms) - target
        if abs(excess) < _CLOSE_ENOUGH:
            break
        slope = sum(term * value for term, value in zip(terms, logs, strict=True))
        power = max(0.0, power - excess / slope)
    return power


def _rounded(decimal: float) -> int:
    """The integer price of decimal odds, rounded down to its step."""
    price = min(int(decimal * 10_000), PRICE_HIGHEST)
    return price - price % step_at(price)
