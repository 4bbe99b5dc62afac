"""One selection's order book: backs and lays that rest, and who is matched with whom (RULEBOOK 6).

A back wants its price or a higher one, a lay its price or a lower one. Who comes in is matched with the best price of
the other side first, at the maker's price; at one price with the order that has rested longest.

Deciding and changing are apart, as everywhere in the engine (core/engine.py):

* `match` and `fill_or_kill` only look. What they return, fills and all, is what an event has to say.
* `take`, `rest`, `cancel` and `reduce` change the book. They decide nothing and follow from what was decided alone, so
  that the same calls on an empty book, in the same order, give the same book: that is replay.
* `place`, `place_or_kill` and `reprice` do both, for whoever keeps no journal: seeding, tests, benchmarks.

A snapshot is `resting(side)` of both sides; `rest` for each of them, in that order, restores the book.

Prices are decimal odds x 10 000 and on the market's ladder, which the engine asks before it asks the book
(core/exchange/ladder.py). Stakes are the backer's, in minor units of the market's currency, above zero.

What it costs: an order is found by its id in a dict, a level by its price in another; a level is a queue, and what is
cancelled in the middle of it stays there, without stake, until it comes to the front or there are as many such as
others. The prices in use are a sorted list, best last: touched when a level comes or goes, and then by moving 350
pointers at most on CLASSIC. So no cost grows with the number of orders, but for `orders_of` and what lists them.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterator, Sequence
from enum import IntEnum
from itertools import islice
from typing import Protocol

from msgspec import Struct

from core.exchange.ladder import Side

_BACK, _LAY = Side.BACK, Side.LAY
_NEVER = -(2**62)
"""A rank below that of any price."""
UNBOUNDED = 2**62
"""Fills that nobody has: whoever decides on an event names what it can hold, and no more orders are looked at."""
_GONE_MIN = 16
"""So few cancelled orders are left where they are: it is not worth the walk."""


class Order(Struct, gc=False, eq=False):
    """An order that rests."""

    id: str
    customer: str
    side: Side
    price: int
    stake_m: int
    """What is not matched yet."""


class Fill(Struct, frozen=True, gc=False, array_like=True):
    """A part of the taker's stake is matched with a maker's order, at the maker's price."""

    maker: str
    taker: str
    price: int
    stake_m: int


class Taken(Protocol):
    """What `take` needs to know of a fill."""

    @property
    def maker(self) -> str: ...
    @property
    def stake_m(self) -> int: ...


class Lapse(IntEnum):
    """Why what is left of an incoming order does not rest. Numbers as in core/messages/events.py::Why."""

    SELF_MATCH = 1  # the next order that it would have been matched with is the same customer's
    KILLED = 2  # fill or kill: this part could not be matched at once


class Match(Struct, frozen=True, gc=False):
    """What happens to an incoming order. What is neither matched nor lapses is to rest."""

    fills: tuple[Fill, ...] = ()
    matched_m: int = 0
    """The sum of the fills."""
    lapse: Lapse | None = None
    """Why the rest lapses; None: it rests, or there is none."""


UNMATCHED = Match()
_ALL_KILLED = Match(lapse=Lapse.KILLED)


class _Level:
    """The orders at one price, oldest first, and the sum of their stakes."""

    __slots__ = ("gone", "queue", "stake_m")

    def __init__(self) -> None:
        self.queue: deque[Order] = deque()
        """The first one has a stake; behind it there may be orders that have none: cancelled."""
        self.gone = 0
        """How many those are."""
        self.stake_m = 0

    def orders(self) -> Iterator[Order]:
        """Those that rest."""
        return (order for order in self.queue if order.stake_m)

    def forget(self, order: Order) -> None:
        """An order of a level that keeps others has no stake any more."""
        queue = self.queue
        if queue[0] is order:
            queue.popleft()
            while not queue[0].stake_m:
                queue.popleft()
                self.gone -= 1
            return
        self.gone += 1
        if self.gone > _GONE_MIN and 2 * self.gone > len(queue):
            self.queue = deque(self.orders())
            self.gone = 0


class _Half:
    """One side. A rank is the price as the other side likes it, the greater the better: lays price, backs -price."""

    __slots__ = ("levels", "ranks")

    def __init__(self) -> None:
        self.levels: dict[int, _Level] = {}
        """Rank -> level; none is empty."""
        self.ranks = [_NEVER]
        """The ranks in use, best last, above a first one that stands for none."""

    def drop(self, rank: int) -> None:
        """Forget a level that has become empty."""
        del self.levels[rank]
        ranks = self.ranks
        if ranks[-1] == rank:
            ranks.pop()
        else:
            del ranks[bisect_left(ranks, rank)]


class OrderBook:
    """The orders of one selection."""

    __slots__ = ("_backs", "_lays", "_orders")

    def __init__(self) -> None:
        self._orders: dict[str, Order] = {}
        self._backs = _Half()
        self._lays = _Half()

    # What only looks.

    def __len__(self) -> int:
        """How many orders rest."""
        return len(self._orders)

    def order(self, order_id: str) -> Order | None:
        """The order of this id, if it rests."""
        return self._orders.get(order_id)

    def best(self, side: Side) -> int | None:
        """The price at which the other side would be matched first; None: nobody rests."""
        rank = self._half(side).ranks[-1]
        return None if rank == _NEVER else abs(rank)

    def levels(self, side: Side, depth: int | None = None) -> list[tuple[int, int]]:
        """(price, stake) of the best `depth` levels, or of all, best first."""
        half = self._half(side)
        return [(abs(rank), half.levels[rank].stake_m) for rank in islice(_best_first(half), depth)]

    def resting(self, side: Side) -> Iterator[Order]:
        """All orders of a side in the order in which they would be matched."""
        half = self._half(side)
        for rank in _best_first(half):
            yield from half.levels[rank].orders()

    def orders_of(self, customer: str) -> list[str]:
        """The ids of a customer's orders, for cancelling them all. It looks at every order of the book."""
        return [order.id for order in self._orders.values() if order.customer == customer]

    def match(
        self, order_id: str, customer: str, side: Side, price: int, stake_m: int, fills_max: int = UNBOUNDED
    ) -> Match:
        """How an order would be matched that comes in now, at its price or better."""
        if side is _BACK:
            half, worst = self._lays, price
        else:
            half, worst = self._backs, -price
        if half.ranks[-1] < worst:
            return UNMATCHED
        fills: list[Fill] = []
        left_m = stake_m
        for rank in reversed(half.ranks):
            if rank < worst:
                break
            offered = rank if rank > 0 else -rank
            for maker in half.levels[rank].queue:
                given_m = maker.stake_m
                if not given_m:
                    continue
                if maker.customer == customer:
                    return Match(tuple(fills), stake_m - left_m, Lapse.SELF_MATCH)
                if given_m >= left_m:
                    fills.append(Fill(maker.id, order_id, offered, left_m))
                    return Match(tuple(fills), stake_m)
                left_m -= given_m
                fills.append(Fill(maker.id, order_id, offered, given_m))
                if len(fills) >= fills_max:
                    return Match(tuple(fills), stake_m - left_m)
        return Match(tuple(fills), stake_m - left_m)

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
        """How an order would be matched of which nothing is to rest, and less than `fill_min_m` not to be matched.

        The price is a limit on the average of the fills, weighted by stake. So a level that is worse is taken too, as
        far as better ones have made room for it: the most that keeps the average, rounded down to the minor unit.
        """
        other, sign = (_LAY, 1) if side is _BACK else (_BACK, -1)
        fills: list[Fill] = []
        left_m, room, lapse = stake_m, 0, Lapse.KILLED
        for maker in self.resting(other):
            if maker.customer == customer:
                lapse = Lapse.SELF_MATCH
                break
            better = sign * (maker.price - price)
            wanted_m = min(maker.stake_m, left_m)
            taken_m = wanted_m if better >= 0 else min(wanted_m, room // -better)
            if taken_m:
                fills.append(Fill(maker.id, order_id, maker.price, taken_m))
            room += taken_m * better
            left_m -= taken_m
            if not left_m or taken_m < wanted_m or len(fills) >= fills_max:
                break
        if stake_m - left_m < fill_min_m:
            return _ALL_KILLED if lapse is Lapse.KILLED else Match(lapse=lapse)
        return Match(tuple(fills), stake_m - left_m, lapse if left_m else None)

    # What changes the book, and decides nothing.

    def take(self, fills: Sequence[Taken]) -> None:
        """Take from the makers what was matched with them."""
        orders = self._orders
        for fill in fills:
            maker = orders[fill.maker]
            half, rank = (self._backs, -maker.price) if maker.side is _BACK else (self._lays, maker.price)
            level = half.levels[rank]
            stake_m = fill.stake_m
            left_m = maker.stake_m - stake_m
            assert left_m >= 0, fill
            level.stake_m -= stake_m
            maker.stake_m = left_m
            if not left_m:
                del orders[fill.maker]
                if level.stake_m:
                    level.forget(maker)
                else:
                    half.drop(rank)

    def rest(self, order_id: str, customer: str, side: Side, price: int, stake_m: int) -> None:
        """An order comes to rest, behind all others of its price."""
        self.add(Order(order_id, customer, side, price, stake_m))

    def add(self, order: Order) -> None:
        """The same, of an order that somebody else holds too: its stake is kept up to date by the book."""
        order_id, price, stake_m = order.id, order.price, order.stake_m
        assert stake_m > 0, order
        known = self._orders.setdefault(order_id, order)
        assert known is order, order_id
        half, rank = (self._backs, -price) if order.side is _BACK else (self._lays, price)
        level = half.levels.get(rank)
        if level is None:
            level = half.levels[rank] = _Level()
            insort(half.ranks, rank)
        level.queue.append(order)
        level.stake_m += stake_m

    def cancel(self, order_id: str) -> int:
        """An order goes. Returns the stake that it still had; 0: there is none of this id."""
        order = self._orders.pop(order_id, None)
        if order is None:
            return 0
        half, rank = (self._backs, -order.price) if order.side is _BACK else (self._lays, order.price)
        level = half.levels[rank]
        stake_m, order.stake_m = order.stake_m, 0
        level.stake_m -= stake_m
        if level.stake_m:
            level.forget(order)
        else:
            half.drop(rank)
        return stake_m

    def reduce(self, order_id: str, by_m: int) -> int:
        """An order keeps its place and has less to be matched; what has nothing left goes.

        Returns by how much; less than `by_m` where less was left, 0 where there is no order of this id.
        """
        order = self._orders.get(order_id)
        if order is None or order.stake_m <= by_m:
            return self.cancel(order_id)
        assert by_m > 0, by_m
        order.stake_m -= by_m
        half, rank = (self._backs, -order.price) if order.side is _BACK else (self._lays, order.price)
        half.levels[rank].stake_m -= by_m
        return by_m

    # Both at once.

    def place(self, order_id: str, customer: str, side: Side, price: int, stake_m: int) -> Match:
        """An order comes in and is matched; what is left rests, or lapses before a match with the same customer."""
        match = self.match(order_id, customer, side, price, stake_m)
        if match is UNMATCHED:
            self.rest(order_id, customer, side, price, stake_m)
            return match
        self.take(match.fills)
        if match.lapse is None and match.matched_m < stake_m:
            self.rest(order_id, customer, side, price, stake_m - match.matched_m)
        return match

    def place_or_kill(
        self, order_id: str, customer: str, side: Side, price: int, stake_m: int, fill_min_m: int
    ) -> Match:
        """A fill-or-kill order comes in (`fill_or_kill`)."""
        match = self.fill_or_kill(order_id, customer, side, price, stake_m, fill_min_m)
        self.take(match.fills)
        return match

    def reprice(self, order_id: str, price: int) -> Match | None:
        """An order takes another price, as if it were cancelled and came in anew; None: there is none of this id."""
        order = self._orders.get(order_id)
        if order is None:
            return None
        stake_m = self.cancel(order_id)
        return self.place(order_id, order.customer, order.side, price, stake_m)

    def check_invariants(self) -> None:
        """What holds after every change; O(n), for tests, replay and now and then (STYLE 15)."""
        for half in (self._backs, self._lays):
            assert half.ranks == [_NEVER, *sorted(half.levels)]
        listed = [order for side in Side for order in self.resting(side)]
        assert {order.id: order for order in listed} == self._orders
        assert len(listed) == len(self._orders)
        assert all(order.stake_m > 0 for order in listed)
        back, lay = self.best(_BACK), self.best(_LAY)
        assert back is None or lay is None or lay < back, "crossed"
        for side in Side:
            for rank, level in self._half(side).levels.items():
                assert level.stake_m == sum(order.stake_m for order in level.queue) > 0
                assert level.queue[0].stake_m > 0
                assert level.gone == sum(not order.stake_m for order in level.queue)
                assert level.gone <= max(_GONE_MIN, len(level.queue) // 2)
                assert all(order.side is side and order.price == abs(rank) for order in level.queue)

    def _half(self, side: Side) -> _Half:
        return self._backs if side is _BACK else self._lays


def _best_first(half: _Half) -> Iterator[int]:
    return islice(reversed(half.ranks), len(half.levels))
