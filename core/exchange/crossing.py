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
from math import gcd, lcm
from typing import NamedTuple

from core.exchange.ladder import Ladder, Side
from core.units import MONEY_MAX, PRICE_ONE, payout_down


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
_BACK = Side.BACK
_WHOLE = 1 << 96
"""What chances are parts of."""
_CERTAIN = PRICE_ONE * _WHOLE
"""Divided by a price, its chance."""
_TRIED = 64
"""Stakes that are tried, from the greatest down, times the offers: so nine in ten small orders of three are matched."""


def implied_price(prices: Sequence[int]) -> tuple[int, int] | None:
    """The price that is left for the last selection, exactly, as a fraction: 1 / (1 - sum of 1/p).

    None: the others' prices leave nothing, as their chances add up to one or more. In integers: payouts of equal
    stakes, not chances.
    """
    payout = lcm(*prices)
    left = payout - PRICE_ONE * sum([payout // price for price in prices])
    return (PRICE_ONE * payout, left) if left > 0 else None


def offered_price(ladder: Ladder, side: Side, prices: Sequence[int]) -> int | None:
    """The implied price for a taker of this side, rounded against him; None: there is none on the ladder.

    Every order in a market whose other selections have one comes here, and of 400 the payouts have thousands of digits.
    So chances are added up first, each rounded down: where both bounds of the price are rounded alike, that is it.
    """
    least, most = _left(prices)
    if least > 0:
        price = _whole(side, _CERTAIN, most)
        if price == _whole(side, _CERTAIN, least):
            return ladder.against_taker(side, price)
    implied = implied_price(prices)
    if implied is None:
        return None
    return ladder.against_taker(side, _whole(side, *implied))


def _left(prices: Sequence[int]) -> tuple[int, int]:
    """Between which bounds the chance is that is left for the last selection, as parts of `_WHOLE`."""
    most = _WHOLE - sum([_CERTAIN // price for price in prices])
    return most - len(prices), most


def _whole(side: Side, above: int, below: int) -> int:
    """A price rounded against its taker."""
    return above // below if side is _BACK else -(-above // below)


class Way:
    """A match across at one price of the taker's and one of each other selection, whatever the stakes are.

    The taker's price is no better for him than the implied one (`offered_price`). Kept while prices stay the same: an
    order may have to step over 200 that are too small, and looks at each at several stakes.
    """

    __slots__ = ("_exact", "_least_m", "_prices", "_tried", "price", "side")

    def __init__(self, side: Side, price: int, prices: Sequence[int]) -> None:
        least, most = _left(prices)
        assert price * least <= _CERTAIN if side is _BACK else price * most >= _CERTAIN, (price, prices)
        self.side, self.price, self._prices = side, price, prices
        self._exact = 1
        """A multiple of it needs no rounding; past MONEY_MAX there is none."""
        for other in prices:
            self._exact = lcm(self._exact, other // gcd(other, price))
            if self._exact > MONEY_MAX:
                break
        self._least_m = -(-max(prices) // price) if side is _BACK else 1
        """Below it one of the makers would have nothing."""
        self._tried = max(1, _TRIED // len(prices))

    def cross(self, stake_m: int, stakes_m: Sequence[int]) -> Crossing:
        """How much of a taker's stake is matched with one order on each other selection, of these stakes."""
        price, prices = self.price, self._prices
        most_m = min(stake_m, *[other_m * other // price for other_m, other in zip(stakes_m, prices, strict=True)])
        taken_m = self._greatest(most_m, max(self._least_m, most_m - self._tried + 1))
        if not taken_m:
            exact_m = most_m - most_m % self._exact
            taken_m = self._greatest(exact_m, max(self._least_m, exact_m))
        return Crossing(taken_m, _others(self.side, taken_m * price, prices)) if taken_m else NOTHING

    def _greatest(self, most_m: int, least_m: int) -> int:
        """The greatest stake in a range at which the book, which pays whoever wins, has not less than that from all
        (`house_least`): of backs the taker is paid most, of lays he pays least. 0: there is none.
        """
        price, prices = self.price, self._prices
        if self.side is _BACK:
            for taken_m in range(most_m, least_m - 1, -1):
                payout = taken_m * price
                if taken_m + sum([payout // other for other in prices]) >= payout // PRICE_ONE:
                    return taken_m
        else:
            for taken_m in range(most_m, least_m - 1, -1):
                less = -taken_m * price  # what is divided is below 0: the makers' stakes are rounded up
                if taken_m - sum([less // other for other in prices]) <= -less // PRICE_ONE:
                    return taken_m
        return 0


def cross(side: Side, stake_m: int, price: int, offers: Sequence[Offer]) -> Crossing:
    """How much of a taker's stake can be matched at this price with one order on each other selection, at its price.

    As much as the offers have, and whole minor units allow: if the makers' stakes, rounded for the book, do not cover
    the payouts, a few less, for which they do, or the greatest stake that needs no rounding. That may be none; at a
    rung that is worse for the taker less is needed.
    """
    way = Way(side, price, [offer.price for offer in offers])
    return way.cross(stake_m, [offer.stake_m for offer in offers])


def house_least(side: Side, taker: Offer, makers: Sequence[Offer]) -> int:
    """What the book is left with when the worst selection for it wins, in minor units; all have this side.

    A payout is rounded down, for a layer as for a backer. In a dead heat, or where a part is void, what is paid out is
    rounded once more, and in: so nothing is lost there either.
    """
    orders = (taker, *makers)
    stakes_m = sum(order.stake_m for order in orders)
    payouts_m = [payout_down(order.stake_m, order.price, PRICE_ONE) for order in orders]
    return stakes_m - max(payouts_m) if side is _BACK else min(payouts_m) - stakes_m


def _others(side: Side, payout: int, prices: Sequence[int]) -> tuple[int, ...]:
    """The makers' stakes for a payout x 10 000: of backs rounded down, as the book pays them; of lays up."""
    if side is _BACK:
        return tuple([payout // other for other in prices])
    return tuple([-(-payout // other) for other in prices])
