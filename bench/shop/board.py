"""What is on offer, as a front end knows it: images and deltas of `odds.>`, and `odds.get` for what was missed.

Nobody lists the markets. One that is new is told as an image; of one that was there before, the first delta that is
heard, of its prices or of its order book, gives its name away, and its image is asked for. So who has just come knows
after some seconds what moves; a market that never moves he does not know.
"""

from __future__ import annotations

from collections.abc import Callable

import gevent
import msgspec
from gevent.event import Event
from msgspec import Struct

from core.messages.answers import BookDelta, BookImage, OddsDelta, OddsImage

Key = tuple[str, str]
"""Fixture and market."""
_decode = msgspec.json.Decoder(OddsImage | OddsDelta | BookImage | BookDelta).decode


class Offer(Struct):
    """A market on which bets, or orders, are taken."""

    fixture: str
    market: str
    version: int
    prices: dict[str, int]
    """By selection; 0: none."""
    ladder: str
    """Of an exchange market; empty: it is none."""


class Board:
    """All open markets. `hear` is to be called with each message of `odds.>`."""

    def __init__(self, ask: Callable[[str, str], OddsImage | None]) -> None:
        """`ask` asks `odds.get`."""
        self.bets: dict[Key, Offer] = {}
        self.orders: dict[Key, Offer] = {}
        """The exchange markets."""
        self._ask = ask
        self._shut: dict[Key, Offer] = {}
        """Suspended; the next delta may open them."""
        self._over: set[Key] = set()
        self._wanted: dict[Key, None] = {}
        self._to_ask = Event()
        gevent.spawn(self._ask_all)

    def hear(self, payload: bytes) -> None:
        """An image or a delta; of those of order books, only whose they are."""
        message = _decode(payload)
        key = message.fixture, message.market
        held = self.bets.get(key) or self.orders.get(key) or self._shut.get(key)
        if isinstance(message, OddsImage):
            self._put(key, message)
        elif held is None or (isinstance(message, OddsDelta) and message.base > held.version):
            if key not in self._over:
                self._wanted[key] = None
                self._to_ask.set()
        elif isinstance(message, OddsDelta) and message.version > held.version:
            held.version = message.version
            held.prices.update(message.prices)
            self._sort(key, held, message.status)

    def _put(self, key: Key, image: OddsImage) -> None:
        prices = {each.selection: each.price for each in image.prices}
        ladder = image.exchange.ladder if image.exchange is not None else ""
        self._sort(key, Offer(*key, image.version, prices, ladder), image.status)

    def _sort(self, key: Key, offer: Offer, status: str) -> None:
        for shelf in (self.bets, self.orders, self._shut):
            shelf.pop(key, None)
        if status == "open":
            (self.orders if offer.ladder else self.bets)[key] = offer
        elif status == "suspended":
            self._shut[key] = offer
        else:
            self._over.add(key)

    def _ask_all(self) -> None:
        """One after the other: what is asked for is a market for each of them, once."""
        while self._to_ask.wait():
            self._to_ask.clear()
            while self._wanted:
                key = next(iter(self._wanted))
                del self._wanted[key]  # before: what is heard from now on may build on an image that is newer than ours
                image = self._ask(*key)
                if image is not None:
                    self._put(key, image)
