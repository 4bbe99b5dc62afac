"""The order book as plain as can be: a list of all orders as they came to rest, sorted when asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from core.exchange.ladder import Side
from core.exchange.orderbook import UNBOUNDED, UNMATCHED, Fill, Lapse, Match, Order, Taken


class PlainBook:
    """The twin of core/exchange/orderbook.py::OrderBook."""

    def __init__(self) -> None:
        self.orders: list[Order] = []

    def __len__(self) -> int:
        return len(self.orders)

    def order(self, order_id: str) -> Order | None:
        return next((order for order in self.orders if order.id == order_id), None)

    def best(self, side: Side) -> int | None:
        return next((order.price for order in self.resting(side)), None)

    def levels(self, side: Side, depth: int | None = None) -> list[tuple[int, int]]:
        found: dict[int, int] = {}
        for order in self.resting(side):
            found[order.price] = found.get(order.price, 0) + order.stake_m
        return list(found.items())[:depth]

    def resting(self, side: Side) -> Iterator[Order]:
        mine = [order for order in self.orders if order.side == side]
        # Sorting leaves orders of one price as they came, reversed or not.
        return iter(sorted(mine, key=lambda order: order.price, reverse=side == Side.LAY))

    def orders_of(self, customer: str) -> list[str]:
        return [order.id for order in self.orders if order.customer == customer]

    def match(
        self, order_id: str, customer: str, side: Side, price: int, stake_m: int, fills_max: int = UNBOUNDED
    ) -> Match:
        fills: list[Fill] = []
        for maker in self._makers(side):
            left_m = stake_m - _sum(fills)
            if not left_m or not _accepts(side, price, maker.price) or len(fills) == fills_max:
                break
            if maker.customer == customer:
                return Match(tuple(fills), _sum(fills), Lapse.SELF_MATCH)
            fills.append(Fill(maker.id, order_id, maker.price, min(left_m, maker.stake_m)))
        return Match(tuple(fills), _sum(fills)) if fills else UNMATCHED

    def fill_or_kill(
        self,
        order_id: str,
        customer: str,
        side: Side,
        price: int,
        stake_m: int,
        fill_min_m: int,
        fills_max: int = UNBOUNDED,
    ) -> Match:
        """Minor unit by minor unit, for as long as the average keeps."""
        units: list[tuple[Order, int]] = []
        lapse = Lapse.KILLED
        for maker in self._makers(side):
            if maker.customer == customer and len(units) < stake_m:
                lapse = Lapse.SELF_MATCH
                break
            taken = 0
            while taken < maker.stake_m and len(units) < stake_m:
                average = Fraction(sum(price for _, price in units) + maker.price, len(units) + 1)
                if not _accepts(side, price, average):
                    break
                units.append((maker, maker.price))
                taken += 1
            if taken < maker.stake_m or len(dict.fromkeys(order.id for order, _ in units)) == fills_max:
                break
        if len(units) < fill_min_m:
            return Match(lapse=lapse)
        makers = list(dict.fromkeys(maker.id for maker, _ in units))
        fills = [
            Fill(name, order_id, next(price for maker, price in units if maker.id == name), count)
            for name in makers
            if (count := sum(maker.id == name for maker, _ in units))
        ]
        return Match(tuple(fills), len(units), lapse if len(units) < stake_m else None)

    def take(self, fills: Sequence[Taken]) -> None:
        for fill in fills:
            self.reduce(fill.maker, fill.stake_m)

    def rest(self, order_id: str, customer: str, side: Side, price: int, stake_m: int) -> None:
        self.add(Order(order_id, customer, side, price, stake_m))

    def add(self, order: Order) -> None:
        assert order.stake_m > 0, order
        assert self.order(order.id) is None, order
        self.orders.append(order)

    def cancel(self, order_id: str) -> int:
        order = self.order(order_id)
        if order is None:
            return 0
        self.orders.remove(order)
        stake_m, order.stake_m = order.stake_m, 0
        return stake_m

    def reduce(self, order_id: str, by_m: int) -> int:
        order = self.order(order_id)
        if order is None or order.stake_m <= by_m:
            return self.cancel(order_id)
        order.stake_m -= by_m
        return by_m

    def place(self, order_id: str, customer: str, side: Side, price: int, stake_m: int) -> Match:
        match = self.match(order_id, customer, side, price, stake_m)
        self.take(match.fills)
        if match.lapse is None and match.matched_m < stake_m:
            self.rest(order_id, customer, side, price, stake_m - match.matched_m)
        return match

    def place_or_kill(
        self, order_id: str, customer: str, side: Side, price: int, stake_m: int, fill_min_m: int
    ) -> Match:
        match = self.fill_or_kill(order_id, customer, side, price, stake_m, fill_min_m)
        self.take(match.fills)
        return match

    def reprice(self, order_id: str, price: int) -> Match | None:
        order = self.order(order_id)
        if order is None:
            return None
        stake_m = self.cancel(order_id)
        return self.place(order_id, order.customer, order.side, price, stake_m)

    def check_invariants(self) -> None:
        back, lay = self.best(Side.BACK), self.best(Side.LAY)
        assert back is None or lay is None or lay < back, "crossed"

    def _makers(self, taker: Side) -> list[Order]:
        return list(self.resting(Side.LAY if taker == Side.BACK else Side.BACK))


def _accepts(side: Side, limit: int, price: Fraction | int) -> bool:
    return price >= limit if side == Side.BACK else price <= limit


def _sum(fills: Sequence[Fill]) -> int:
    return sum(fill.stake_m for fill in fills)
