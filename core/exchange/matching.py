"""Whom an incoming order is matched with: it looks, and changes nothing (RULEBOOK 6).

The taker gets, step by step, the better of the best direct order, at its price, and of what one order on each other
selection implies (core/exchange/crossing.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from core.book import Customer, Exchange, Market, Order, Position, Selection
from core.exchange import crossing, positions
from core.exchange.crossing import Crossing, Way
from core.exchange.ladder import Side
from core.exchange.orderbook import Order as RestingOrder
from core.exchange.orderbook import OrderBook
from core.exchange.positions import BACK, LAY, Change
from core.messages import commands as co
from core.messages import events as ev


class Asked(Struct, frozen=True, gc=False):
    """An order on its way to being decided; `gone`: what its customer has resting and gives up for it."""

    command: co.PlaceOrder
    customer: Customer
    market: Market
    exchange: Exchange
    selection: Selection
    side: Side
    gone: Order | None
    fills_max: int


class Matched(Struct, frozen=True, gc=False):
    """What happens to an incoming order: direct fills, crosses, how much of it was matched, why its rest lapses."""

    fills: list[tuple[RestingOrder, int, int]]
    """(maker, price, stake)."""
    crosses: list[tuple[int, int, list[tuple[RestingOrder, int]]]]
    """(the taker's price, his stake, [(maker, stake)])."""
    matched_m: int
    why: ev.Why | None


UNMATCHED = Matched([], [], 0, None)
_KILLED = Matched([], [], 0, ev.Why.KILLED)
FILLS_MAX = 1_000
"""Orders with which one is matched at the most; what is left of it lapses. An event of so many is 65 kB."""

_PASSED_MAX = 200
"""Orders too small to be matched across that one order steps over at the most: 3 to 4 ms, on 2 selections or 20."""
_LOOKED_MAX = 8_000
"""First orders of all selections that are looked at for that: on more than 40 selections fewer are stepped over."""
_PRICES_TRIED = 3
"""Prices at which a match across selections is tried."""
_THOROUGH_MAX = 40
"""So many small orders, and who stands behind them, are held against all of these prices, further ones against the
best alone: that is a third of the work, and whoever is not small is matched at it all the same."""


def match(asked: Asked) -> Matched:
    """Whom an order is matched with, and why its rest lapses, if it does."""
    found = _matched(asked)
    if len(found.fills) <= asked.fills_max:
        return found
    fills = found.fills[: asked.fills_max]
    matched_m = sum(stake_m for _, _, stake_m in fills)
    command = asked.command
    if command.fill_or_kill and matched_m < (command.fill_min_m or command.stake_m):
        return _KILLED
    return Matched(fills, [], matched_m, ev.Why.MANY)


def _matched(asked: Asked) -> Matched:
    """The plain way, unless orders on all other selections imply a price it takes."""
    command, exchange, side = asked.command, asked.exchange, asked.side
    books = exchange.books
    book = books.get(asked.selection.id)
    if exchange.terms.cross and len(books) >= exchange.outcomes - 1:
        others = _others(asked)
        implied = _implied(asked, [other.best(side) for other in others]) if others else None
        if implied is not None and (command.fill_or_kill or _takes(side, implied, command.price)):
            return _filled_enough(command, _across(asked, book, others))
    if book is None:
        return UNMATCHED if not command.fill_or_kill else _KILLED
    most = asked.fills_max + 1  # with one more than an event holds it is known that the rest lapses
    if command.fill_or_kill:
        least_m = command.fill_min_m or command.stake_m
        found = book.fill_or_kill(command.id, command.customer, side, command.price, command.stake_m, least_m, most)
    else:
        found = book.match(command.id, command.customer, side, command.price, command.stake_m, most)
    if not found.fills and found.lapse is None:
        return UNMATCHED
    fills = [(_resting(book, fill.maker), fill.price, fill.stake_m) for fill in found.fills]
    why = None if found.lapse is None else ev.Why(found.lapse)
    return Matched(fills, [], found.matched_m, why if found.matched_m < command.stake_m else None)


def _resting(book: OrderBook, order_id: str) -> RestingOrder:
    order = book.order(order_id)
    assert order is not None, order_id
    return order


def _others(asked: Asked) -> list[OrderBook]:
    """The books of all other selections that can win, if each has an order on this side; else none."""
    exchange, market = asked.exchange, asked.market
    if market.winners != 1:
        return []
    found, own = [], asked.selection
    for selection in market.selections.values():
        if selection is own or selection.withdrawn_ms:
            continue
        book = exchange.books.get(selection.id)
        if book is None or book.best(asked.side) is None:
            return []
        found.append(book)
    return found


def _implied(asked: Asked, prices: Sequence[int | None]) -> int | None:
    known = [price for price in prices if price is not None]
    if not known or len(known) < len(prices):
        return None
    return crossing.offered_price(asked.exchange.ladder, asked.side, known)


def _takes(side: Side, price: int, limit: int) -> bool:
    return price >= limit if side is BACK else price <= limit


def _better(side: Side, price: int, limit: int) -> int:
    """By how much a price is better for a taker than his limit."""
    return price - limit if side is BACK else limit - price


def _wanted(command: co.PlaceOrder, side: Side, price: int, left_m: int, room: int) -> int:
    """How much of an order takes a price. Of a fill-or-kill the limit is that of the average: it takes a worse one too,
    as far as better ones have made room for it (core/exchange/orderbook.py, `fill_or_kill`).
    """
    better = _better(side, price, command.price)
    if better >= 0:
        return left_m
    return min(left_m, room // -better) if command.fill_or_kill else 0


def _filled_enough(command: co.PlaceOrder, found: Matched) -> Matched:
    """A fill-or-kill of which too little would be matched is not matched at all; of another nothing rests."""
    if not command.fill_or_kill or found.matched_m == command.stake_m:
        return found
    why = found.why or ev.Why.KILLED
    if found.matched_m < (command.fill_min_m or command.stake_m):
        return Matched([], [], 0, why)
    return Matched(found.fills, found.crosses, found.matched_m, why)


class _Queue:
    """The orders of one side of a book as they would be matched, from the first one on; the book stays as it is."""

    def __init__(self, book: OrderBook | None, side: Side) -> None:
        self._orders: Iterator[RestingOrder] = iter(()) if book is None else book.resting(side)
        self.left_m = self.price = 0
        """Of the first one what is left, and the price; 0: there is none."""
        self.first: RestingOrder | None = None
        self.take(0)

    def take(self, stake_m: int) -> None:
        self.left_m -= stake_m
        if not self.left_m:
            self.first = next(self._orders, None)
            self.left_m, self.price = (0, 0) if self.first is None else (self.first.stake_m, self.first.price)

    def payout(self) -> int:
        """What its first order is paid if it wins, x 10 000."""
        return self.price * self.left_m


class _Ways:
    """In which ways an order is matched across: at the implied price, and where whole minor units allow none, a few
    prices worse for it. They follow from the prices of the first orders alone, so they are kept until one changes.
    """

    def __init__(self, asked: Asked, queues: list[_Queue]) -> None:
        self._asked, self._queues = asked, queues
        self._prices: tuple[int, ...] = ()
        self._ways: list[Way] = []
        self.implied: int | None = None
        """The price now; None: there is none."""

    def look(self) -> int | None:
        """The implied price as the queues are now."""
        prices = tuple([queue.price for queue in self._queues])
        if prices != self._prices:
            self._prices, self._ways = prices, []
            self.implied = _implied(self._asked, [price or None for price in prices])
        return self.implied

    def own(self) -> bool:
        """Whether one of the first orders is the same customer's."""
        customer = self._asked.command.customer
        return any(queue.first.customer == customer for queue in self._queues if queue.first is not None)

    def cross(self, left_m: int, direct: RestingOrder | None, prices_tried: int) -> tuple[int, Crossing]:
        """A match with the first order of each queue, and its price.

        No price is tried that the order does not take, or that the best direct order is better than.
        """
        asked, price = self._asked, self.implied
        assert price is not None
        stakes_m = [queue.left_m for queue in self._queues]
        for number in range(prices_tried):
            if number and (
                not _takes(asked.side, price, asked.command.price)
                or (direct is not None and _takes(asked.side, direct.price, price))
            ):
                break
            if number == len(self._ways):
                self._ways.append(Way(asked.side, price, self._prices))
            way = self._ways[number]
            found = way.cross(left_m, stakes_m)
            if found.stake_m:
                return price, found
            worse = asked.exchange.ladder.against_taker(asked.side, price - 1 if asked.side is BACK else price + 1)
            if worse is None:
                break
            price = worse
        return 0, crossing.NOTHING


def _across(asked: Asked, book: OrderBook | None, others: list[OrderBook]) -> Matched:
    """Step by step, each with the better of the best direct order and of one on each other selection."""
    command, side = asked.command, asked.side
    direct = _Queue(book, LAY if side is BACK else BACK)
    queues = [_Queue(other, side) for other in others]
    ways = _Ways(asked, queues)
    fills: list[tuple[RestingOrder, int, int]] = []
    crosses: list[tuple[int, int, list[tuple[RestingOrder, int]]]] = []
    left_m, room, passed, across = command.stake_m, 0, 0, True
    passed_max = min(_PASSED_MAX, _LOOKED_MAX // len(queues))
    while left_m:
        if len(fills) + len(crosses) * len(others) >= asked.fills_max:
            return Matched(fills, crosses, command.stake_m - left_m, ev.Why.MANY)
        implied = ways.look() if across else None
        maker = direct.first
        if implied is not None and (maker is None or not _takes(side, maker.price, implied)):
            wanted_m = _wanted(command, side, implied, left_m, room)
            if not wanted_m:
                break
            if ways.own():
                across = False
                continue
            price, found = ways.cross(wanted_m, maker, _PRICES_TRIED if passed <= _THOROUGH_MAX else 1)
            if found.stake_m:
                makers = [queue.first for queue in queues if queue.first is not None]
                crosses.append((price, found.stake_m, list(zip(makers, found.others_m, strict=True))))
                for queue, stake_m in zip(queues, found.others_m, strict=True):
                    queue.take(stake_m)
                left_m -= found.stake_m
                room += found.stake_m * _better(side, price, command.price)
            else:
                passed += 1
                across = passed <= passed_max and _pass_smallest(wanted_m * implied, queues)
            continue
        wanted_m = 0 if maker is None else _wanted(command, side, maker.price, left_m, room)
        if maker is None or not wanted_m:
            break
        if maker.customer == command.customer:
            return Matched(fills, crosses, command.stake_m - left_m, ev.Why.SELF_MATCH)
        stake_m = min(wanted_m, direct.left_m)
        fills.append((maker, maker.price, stake_m))
        direct.take(stake_m)
        left_m -= stake_m
        room += stake_m * _better(side, maker.price, command.price)
    return Matched(fills, crosses, command.stake_m - left_m, None)


def _pass_smallest(payout: int, queues: list[_Queue]) -> bool:
    """Step over the smallest of the first orders, which is too small to be matched across in whole minor units.

    Else whoever leaves a minor unit at the best price would stop all that stand behind him. False: it is not that, but
    what is left of the taker, which pays `payout` x 10 000.
    """
    smallest = min(queues, key=_Queue.payout)
    if payout <= smallest.payout():
        return False
    smallest.take(smallest.left_m)
    return True


def with_exposures(asked: Asked, found: Matched) -> tuple[tuple[ev.Fill, ...], tuple[ev.Cross, ...]]:
    """The matches as events say them: with the change of each maker's exposure, said once, with the first of his fills.

    So it costs a walk over his lines for each maker, and not for each of 1 000 fills.
    """
    parts = [(maker, stake_m) for maker, _, stake_m in found.fills]
    for _, _, of_cross in found.crosses:
        parts += of_cross
    changes_m = _changes(asked.exchange.positions, parts)
    fills = tuple([_fill(changes_m, maker, stake_m) for maker, _, stake_m in found.fills])
    crosses = tuple(
        [
            ev.Cross(price, stake_m, tuple([_fill(changes_m, *part) for part in of_cross]))
            for price, stake_m, of_cross in found.crosses
        ]
    )
    return fills, crosses


def _changes(positions_of: dict[str, Position], parts: list[tuple[RestingOrder, int]]) -> dict[str, int]:
    """By how much the fills of each maker change his exposure together."""
    changes: dict[str, dict[str, Change]] = {}
    left_m: dict[str, int] = {}
    for maker, stake_m in parts:
        assert isinstance(maker, Order)
        rested_m = left_m.get(maker.id, maker.stake_m)
        left_m[maker.id] = rested_m - stake_m
        change = positions.filled(maker, rested_m, stake_m)
        of_maker = changes.setdefault(maker.customer, {})
        before = of_maker.get(change[0])
        of_maker[change[0]] = change if before is None else positions.together((before, change))
    changes_m = {}
    for customer, of_maker in changes.items():
        position = positions_of[customer]
        changes_m[customer] = positions.exposure(position, tuple(of_maker.values())) - position.exposure_m
    return changes_m


def _fill(changes_m: dict[str, int], maker: RestingOrder, stake_m: int) -> ev.Fill:
    assert isinstance(maker, Order)
    change_m = changes_m.pop(maker.customer, 0)
    return ev.Fill(maker.id, maker.customer, maker.selection.id, maker.price, stake_m, change_m)
