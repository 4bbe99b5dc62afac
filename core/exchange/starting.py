"""The starting price of one selection: one price at which backs and lays that waited for it are matched (RULEBOOK 6).

Who backs names a stake, who lays what he may lose, his liability; at a price p a liability of L lays a stake of
L / (p - 1). Either may name a limit: a back the least price he takes, a lay the greatest. The higher the price, the
more is backed and the less is laid: so there is one price where the two meet, and the most is matched there. It is a
ten-thousandth from 1.01 to 1000, on no ladder.

The far price is where orders for the close would meet now; the near price counts what rests in the order book too, a
level as an order with a limit (as Betfair shows both). The off itself matches orders for the close only; at Betfair it
matches what rests as well, so that there the near price is what the off would give (betfair.com.au/hub, "Betfair
Starting Price FAQs"). An order that rests and takes the starting price is given without a limit: at Betfair it is
converted to a bet at the starting price (support.betfair.com, answer 402), and no source found keeps its price as one.

Rounding: stakes are whole minor units, the same sum on both sides; no lay's loss at the price, rounded up, passes its
liability.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from core.exchange.ladder import Side
from core.units import PRICE_ONE

PRICE_LEAST, PRICE_MOST = 10_100, 10_000_000


class Waiting(NamedTuple):
    """An order for the close; of equals the first comes first."""

    side: Side
    amount_m: int
    """A back's stake, a lay's liability."""
    limit: int = 0
    """0: any price."""


class Reconciled(NamedTuple):
    """The starting price, and the stake that each order has matched at it, in their order."""

    price: int
    """0: there is none, since one side has nothing."""
    stakes_m: tuple[int, ...]


def reconcile(orders: Sequence[Waiting]) -> Reconciled:
    """The off. Who named no limit goes first, then the one whose limit asks least of the other side, then who came.

    So at the price that is their limit some may go without, in the order of arrival (support.betfair.se, answer 2125).
    """
    sums = _Sums(orders)
    price = sums.meeting_price()
    stakes_m = [0] * len(orders)
    if not price:
        return Reconciled(0, tuple(stakes_m))
    most_m = sums.volume(price)
    for side in Side:
        left_m = most_m
        for _, index in sorted([(_turn(order), index) for index, order in enumerate(orders) if order.side is side]):
            stakes_m[index] = min(_stake_at(orders[index], price), left_m)
            left_m -= stakes_m[index]
    return Reconciled(price, tuple(stakes_m))


def _turn(order: Waiting) -> int:
    """Of one side the lowest goes first: of backs the least limit, of lays none, then the greatest."""
    if order.side is Side.BACK:
        return order.limit
    return -order.limit if order.limit else -PRICE_MOST - 1


def meeting_price(orders: Sequence[Waiting]) -> int:
    """The price at which the most is matched. 0: one side has nothing, or nothing is matched.

    Of several it is the greatest, but for rounding: the backs that take them are the same and are all matched, and the
    lays' liabilities are used most there.
    """
    return _Sums(orders).meeting_price()


class _Sums:
    """What is backed and what is laid at any price, without a look at each order: sums of amounts, by limit."""

    def __init__(self, orders: Sequence[Waiting]) -> None:
        self.lays: list[tuple[int, int]] = []
        """(limit, liability): each is rounded for itself."""
        backed: dict[int, int] = {}
        laid: dict[int, int] = {}
        for side, amount_m, limit in orders:
            if side is Side.BACK:
                backed[limit] = backed.get(limit, 0) + amount_m
            else:
                most = limit or PRICE_MOST
                self.lays.append((most, amount_m))
                laid[most] = laid.get(most, 0) + amount_m
        self.back_limits, self.lay_limits = sorted(backed), sorted(laid)
        self.backed_m = [0, *accumulate(backed[limit] for limit in self.back_limits)]
        """The stakes of so many of the least limits."""
        self.liabilities_m = [0, *accumulate(laid[limit] for limit in self.lay_limits)]

    def meeting_price(self) -> int:
        """The least at which as much is backed as is laid, or more, or the one below it: above, less is laid; further
        below, less is backed. What rounding takes, less than a minor unit an order, does not count.
        """
        low, high = PRICE_LEAST, PRICE_MOST
        while low < high:
            middle = (low + high) // 2
            if self._backed(middle) * (middle - PRICE_ONE) >= self._liability(middle) * PRICE_ONE:
                high = middle
            else:
                low = middle + 1
        below = max(PRICE_LEAST, low - 1)
        below_m, low_m = self.volume(below), self.volume(low)
        if below_m > low_m:
            return below
        return low if low_m else 0

    def volume(self, price: int) -> int:
        """The stake that is matched at a price, in minor units."""
        backed_m = self._backed(price)
        if not backed_m:
            return 0
        winnings = price - PRICE_ONE
        laid_m = sum([amount_m * PRICE_ONE // winnings for limit, amount_m in self.lays if price <= limit])
        return min(backed_m, laid_m)

    def _backed(self, price: int) -> int:
        """The stakes of those who back at a price."""
        return self.backed_m[bisect_right(self.back_limits, price)]

    def _liability(self, price: int) -> int:
        """The liabilities of those who lay."""
        return self.liabilities_m[-1] - self.liabilities_m[bisect_left(self.lay_limits, price)]


def _stake_at(order: Waiting, price: int) -> int:
    """The most that an order has matched at a price: of a lay the greatest stake whose loss its liability covers."""
    limit = order.limit
    if order.side is Side.BACK:
        return order.amount_m if price >= limit else 0
    return order.amount_m * PRICE_ONE // (price - PRICE_ONE) if price <= limit or not limit else 0
