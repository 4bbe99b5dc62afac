"""Cross matching: what the orders on all other selections of a market imply for one (RULEBOOK 6).

Backs of all others imply a lay of the last one, lays of all others a back: where every stake times its price is the
same payout, whoever wins is paid by what all have staked. Backs at 2.7 and 3.0 imply that 3.375 can be backed; a payout
of 270 takes 100, 90 and 80.

A price is decimal odds x 10 000, a stake the backer's in minor units. Stakes are whole minor units, the taker's price
is on the ladder: both are rounded so that the book, which stands between taker and makers, never loses. What is
exact leaves it nothing, what is not leaves it a surplus, whoever wins.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import gcd, lcm, prod
from typing import NamedTuple

from core.exchange.ladder import Ladder, Side
from core.units import PRICE_ONE, payout_down


class Offer(NamedTuple):
    """The best price on another selection, and the stake that can be matched at it."""

    price: int
    stake_m: int


class Crossing(NamedTuple):
    """Stakes that are matched with each other, each at its own price."""

    stake_m: int
    """The taker's."""
    others_m: tuple[int, ...]
    """The makers', in the order of the offers."""


NOTHING = Crossing(0, ())
_TRIED = 64
"""Stakes that are tried, from the greatest down, times the offers: so nine in ten small orders of three are matched."""


def implied_price(prices: Sequence[int]) -> tuple[int, int] | None:
    """The price that is left for the last selection, exactly, as a fraction: 1 / (1 - sum of 1/p).

    None: the others' prices leave nothing, as their chances add up to one or more. Every order in a market whose other
    selections have one comes here, so it is counted in integers: payouts of equal stakes, not chances.
    """
    payout = prod(prices)
    left = payout - PRICE_ONE * sum([payout // price for price in prices])
    return (PRICE_ONE * payout, left) if left > 0 else None


def offered_price(ladder: Ladder, side: Side, prices: Sequence[int]) -> int | None:
    """The implied price for a taker of this side, rounded against him; None: there is none on the ladder."""
    implied = implied_price(prices)
    if implied is None:
        return None
    above, below = implied
    return ladder.against_taker(side, above // below if side == Side.BACK else -(-above // below))


def stake_across(stake_m: int, price: int, other: int) -> Fraction:
    """The stake at the other price that pays the same, exactly: 100 at 2.7 needs 90 at 3.0."""
    return Fraction(stake_m * price, other)


def cross(side: Side, stake_m: int, price: int, offers: Sequence[Offer]) -> Crossing:
    """How much of a taker's stake can be matched at this price with one order on each other selection, at its price.

    The price is no better for the taker than the implied one (`offered_price`). As much as the offers have, and whole
    minor units allow: if the makers' stakes, rounded for the book, do not cover the payouts, a few less, for which they
    do, or the greatest stake that needs no rounding. That may be none; at a rung that is worse for the taker less is
    needed.
    """
    implied = implied_price([offer.price for offer in offers])
    assert implied is not None, offers
    above, below = implied
    assert price * below <= above if side == Side.BACK else price * below >= above, (price, implied)
    most_m = min(stake_m, *(offer.stake_m * offer.price // price for offer in offers))
    exact_m = most_m - most_m % lcm(*(offer.price // gcd(offer.price, price) for offer in offers))
    tried = max(1, _TRIED // len(offers))
    for taken_m in (*range(most_m, max(0, most_m - tried), -1), exact_m):
        others_m = _others(side, taken_m * price, offers)
        if all(others_m) and house_least(side, Offer(price, taken_m), _matched(offers, others_m)) >= 0:
            return Crossing(taken_m, others_m)
    return NOTHING


def house_least(side: Side, taker: Offer, makers: Sequence[Offer]) -> int:
    """What the book is left with when the worst selection for it wins, in minor units; all have this side.

    A payout is rounded down, for a layer as for a backer. In a dead heat, or where a part is void, what is paid out is
    rounded once more, and in: so nothing is lost there either.
    """
    orders = (taker, *makers)
    stakes_m = sum(order.stake_m for order in orders)
    payouts_m = [payout_down(order.stake_m, order.price, PRICE_ONE) for order in orders]
    return stakes_m - max(payouts_m) if side == Side.BACK else min(payouts_m) - stakes_m


def _others(side: Side, payout: int, offers: Sequence[Offer]) -> tuple[int, ...]:
    """The makers' stakes for a payout x 10 000: of backs rounded down, as the book pays them; of lays up."""
    if side == Side.BACK:
        return tuple(payout // offer.price for offer in offers)
    return tuple(-(-payout // offer.price) for offer in offers)


def _matched(offers: Sequence[Offer], stakes_m: Sequence[int]) -> list[Offer]:
    return [Offer(offer.price, stake_m) for offer, stake_m in zip(offers, stakes_m, strict=True)]
