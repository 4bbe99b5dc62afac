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
_ANY = PRICE_MOST + 1
"""The limit of a lay that names none: it goes before all that do."""


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
    if price:
        volume_m = left_m = sums.volume(price)
        backs, lays = sums.backs, sums.lays
        for at in sorted(range(len(backs.limits)), key=backs.limits.__getitem__):
            if not left_m or backs.limits[at] > price:
                break
            stakes_m[backs.places[at]] = taken_m = min(backs.amounts_m[at], left_m)
            left_m -= taken_m
        left_m = volume_m
        for at in sorted(range(len(lays.limits)), key=lays.limits.__getitem__, reverse=True):
            if not left_m or lays.limits[at] < price:
                break
            stakes_m[lays.places[at]] = taken_m = min(_laid(lays.amounts_m[at], price), left_m)
            left_m -= taken_m
    return Reconciled(price, tuple(stakes_m))


def meeting_price(orders: Sequence[Waiting]) -> int:
    """The price at which the most is matched. 0: one side has nothing, or nothing is matched.

    Of several it is the greatest, but for rounding: the backs that take them are the same and are all matched, and the
    lays' liabilities are used most there.
    """
    return _Sums(orders).meeting_price()


class _Half:
    """The orders of one side, each with its place among all, its limit and its amount."""

    __slots__ = ("amounts_m", "limits", "places")

    def __init__(self) -> None:
        self.places: list[int] = []
        self.limits: list[int] = []
        self.amounts_m: list[int] = []

    def add(self, place: int, limit: int, amount_m: int) -> None:
        self.places.append(place)
        self.limits.append(limit)
        self.amounts_m.append(amount_m)

    def sums_m(self) -> tuple[list[int], list[int]]:
        """The limits there are, and the amounts of so many of the least of them."""
        sums: dict[int, int] = {}
        for limit, amount_m in zip(self.limits, self.amounts_m, strict=True):
            sums[limit] = sums.get(limit, 0) + amount_m
        limits = sorted(sums)
        return limits, [0, *accumulate([sums[limit] for limit in limits])]


class _Sums:
    """What is backed and what is laid at any price, without a look at each order: sums of amounts, by limit."""

    def __init__(self, orders: Sequence[Waiting]) -> None:
        self.backs, self.lays = _Half(), _Half()
        back, lay = self.backs.add, self.lays.add
        for place, (side, amount_m, limit) in enumerate(orders):
            if side is Side.BACK:
                back(place, limit, amount_m)
            else:
                lay(place, limit or _ANY, amount_m)
        self._back_limits, self._backed_m = self.backs.sums_m()
        self._lay_limits, self._liabilities_m = self.lays.sums_m()

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
        """The stake that is matched at a price, in minor units; each lay's is rounded for itself."""
        backed_m, lays, winnings = self._backed(price), self.lays, price - PRICE_ONE
        if not backed_m:
            return 0
        pairs = zip(lays.limits, lays.amounts_m, strict=True)
        return min(backed_m, sum([amount_m * PRICE_ONE // winnings for limit, amount_m in pairs if price <= limit]))

    def _backed(self, price: int) -> int:
        """The stakes of those who back at a price."""
        return self._backed_m[bisect_right(self._back_limits, price)]

    def _liability(self, price: int) -> int:
        """The liabilities of those who lay."""
        return self._liabilities_m[-1] - self._liabilities_m[bisect_left(self._lay_limits, price)]


def _laid(liability_m: int, price: int) -> int:
    """The greatest stake whose loss at a price a liability covers."""
    return liability_m * PRICE_ONE // (price - PRICE_ONE)
