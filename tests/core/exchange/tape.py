"""Books driven as the engine will: a decision that only looks, the event, and the event applied."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from core.exchange.ladder import CLASSIC, Side
from core.exchange.orderbook import Fill, Match, Order, OrderBook
from tests.core.exchange.plain import PlainBook

AnyBook = OrderBook | PlainBook


class Placed(NamedTuple):
    """Cancelled first where it has another price now; `rests_m` 0: nothing is left, or it lapses."""

    order_id: str
    customer: str
    side: Side
    price: int
    fills: tuple[Fill, ...]
    rests_m: int
    repriced: bool = False


class Cancelled(NamedTuple):
    order_id: str


class Reduced(NamedTuple):
    order_id: str
    by_m: int


Event = Placed | Cancelled | Reduced


def apply(book: AnyBook, event: Event) -> None:
    if isinstance(event, Cancelled):
        assert book.cancel(event.order_id) > 0
    elif isinstance(event, Reduced):
        assert book.reduce(event.order_id, event.by_m) == event.by_m
    else:
        if event.repriced:
            book.cancel(event.order_id)
        book.take(event.fills)
        if event.rests_m:
            book.rest(event.order_id, event.customer, event.side, event.price, event.rests_m)


def state(book: AnyBook) -> list[tuple[str, str, Side, int, int]]:
    """All that a book knows: its orders as they would be matched."""
    orders = [order for side in Side for order in book.resting(side)]
    return [(order.id, order.customer, order.side, order.price, order.stake_m) for order in orders]


def restored(book: AnyBook) -> OrderBook:
    """A book made of what a snapshot would hold."""
    copy = OrderBook()
    for order in state(book):
        copy.rest(*order)
    return copy


def decided(book: AnyBook, number: int, rng: random.Random, prices: Sequence[int] = CLASSIC.prices[95:110]) -> Event:
    """Something that a customer wants, decided on a book that is only looked at."""
    before = state(book)
    event = _decided(book, number, rng, prices)
    assert state(book) == before, "deciding changes nothing"
    return event


def _decided(book: AnyBook, number: int, rng: random.Random, prices: Sequence[int]) -> Event:
    live = [order for side in Side for order in book.resting(side)]
    wish = rng.random()
    if live and wish < 0.15:
        return Cancelled(rng.choice(live).id)
    if live and wish < 0.25:
        order = rng.choice(live)
        return Reduced(order.id, rng.randint(1, order.stake_m))
    if live and wish < 0.35:
        order = rng.choice(live)
        price = rng.choice(prices)
        match = book.match(order.id, order.customer, order.side, price, order.stake_m)
        return _placed(order.id, order.customer, order.side, price, order.stake_m, match, repriced=True)
    name, customer, side = f"order-{number}", f"customer-{rng.randrange(8)}", rng.choice((Side.BACK, Side.LAY))
    price, stake_m = rng.choice(prices), rng.randint(1, 60)
    if wish < 0.45:
        match = book.fill_or_kill(name, customer, side, price, stake_m, rng.randint(1, stake_m))
        return Placed(name, customer, side, price, match.fills, 0)
    return _placed(name, customer, side, price, stake_m, book.match(name, customer, side, price, stake_m))


def _placed(
    name: str, customer: str, side: Side, price: int, stake_m: int, match: Match, *, repriced: bool = False
) -> Placed:
    rests_m = 0 if match.lapse else stake_m - match.matched_m
    return Placed(name, customer, side, price, match.fills, rests_m, repriced)


def live(seed: int, count: int, *books: AnyBook) -> Iterator[tuple[Event, ...]]:
    """What each book decides for the same wishes, one after the other, and applied to it."""
    generators = [random.Random(seed) for _ in books]
    for number in range(count):
        events = tuple(decided(book, number, rng) for book, rng in zip(books, generators, strict=True))
        for book, event in zip(books, events, strict=True):
            apply(book, event)
        yield events


def stake_of(orders: Sequence[Order]) -> int:
    return sum(order.stake_m for order in orders)
