"""A reader of `odds.>`: the offer as any front end sees it, kept up to date from images and deltas.

A delta that does not build on what is held, or on anything, makes the reader ask `odds.get`; meanwhile the market is
not shown. So it does not matter when a reader comes, or what he missed (engine/publisher.py has the other half).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from msgspec import Struct

from adapters.demo.kinds import BUILDER
from core.messages.answers import BookDelta, BookImage, OddsDelta, OddsImage, Rejected

Key = tuple[str, str]
"""Fixture and market."""
AskImage = Callable[[str, str], Awaitable[OddsImage | Rejected | None]]
"""Asks `odds.get`; None: no answer in time."""
ASKED_MAX: Final = 32
"""Images asked for at the same time: after a pause there may be thousands to ask for, and betting comes first."""
OPEN: Final = "open"
RACES, BUILDERS, OTHERS = "races", "builders", "others"
"""The shelves that customers look at: markets with each-way terms, bet builders, and the rest."""
OVER: Final = ("closed", "settled")
_decode = msgspec.json.Decoder(OddsImage | OddsDelta | BookImage | BookDelta).decode


class Quote(Struct):
    """A selection's price, and the one before it; 0: none."""

    name: str
    price: int
    before: int = 0
    changed_s: float = 0.0
    """When it changed, the reader's clock."""


class Offer(Struct):
    """A market as it is offered."""

    fixture: str
    market: str
    version: int
    fixture_name: str
    market_name: str
    market_type: str
    sport: str
    start_ms: int
    status: str
    in_play: bool
    quotes: dict[str, Quote]
    changed_s: float = 0.0
    moves: float = 0.0
    """Price changes, those of long ago counting less: what is hot."""
    each_way: bool = False
    starting_price: bool = False
    """Bets can be taken at the price at the off."""
    ladder: str = ""
    """Of an exchange market; empty: it is none."""
    ladder_starting_price: bool = False
    """Orders can be for the close."""

    @property
    def shelf(self) -> str:
        """Where customers look for it."""
        if self.each_way:
            return RACES
        return BUILDERS if self.market_type == BUILDER else OTHERS

    @property
    def priced(self) -> list[str]:
        """The selections that can be backed."""
        return [selection for selection, quote in self.quotes.items() if quote.price]


class Board:
    """All markets on offer. `take` is to be called with each message of `odds.>`."""

    def __init__(self, ask: AskImage, clock_s: Callable[[], float], over_max: int = 500) -> None:
        """`over_max` markets that are over are remembered: some customers are too slow to see it."""
        self.offers: dict[Key, Offer] = {}
        self.open: dict[Key, Offer] = {}
        """Those of the offers on which bets are taken."""
        self.shelves: dict[str, dict[Key, Offer]] = {RACES: {}, BUILDERS: {}, OTHERS: {}}
        """The open ones again, by shelf."""
        self.over: dict[Key, Offer] = {}
        self.settled = 0
        """Markets that were seen to be settled."""
        self._ask = ask
        self._clock_s = clock_s
        self._over_max = over_max
        self._wanted: dict[Key, None] = {}
        self._asking: set[asyncio.Task[None]] = set()

    def take(self, payload: bytes) -> None:
        """An image or a delta; those of order books are for others."""
        message = _decode(payload)
        if isinstance(message, OddsImage):
            self._image(message)
        elif isinstance(message, OddsDelta):
            self._delta(message)

    def _image(self, image: OddsImage) -> None:
        key = image.fixture, image.market
        held = self.offers.get(key)
        if held is not None and held.version >= image.version:
            return
        now_s = self._clock_s()
        before = held.quotes if held is not None else {}
        quotes = {
            selection.selection: _moved(before.get(selection.selection), selection.name, selection.price, now_s)
            for selection in image.prices
        }
        offer = Offer(
            image.fixture,
            image.market,
            image.version,
            image.fixture_name,
            image.market_name,
            image.market_type,
            image.sport,
            image.start_ms,
            image.status,
            image.in_play,
            quotes,
            now_s,
            held.moves if held is not None else 0.0,
            image.each_way is not None,
            image.starting_price,
            image.exchange.ladder if image.exchange is not None else "",
            image.exchange is not None and image.exchange.starting_price,
        )
        self.put(offer)

    def put(self, offer: Offer) -> None:
        """A market that is new, or is known anew."""
        key = offer.fixture, offer.market
        self._take_down(key)
        self.offers[key] = offer
        self._sort(key, offer)

    def _delta(self, delta: OddsDelta) -> None:
        key = delta.fixture, delta.market
        held = self.offers.get(key)
        if held is None or held.version < delta.base:
            if key not in self.over:
                self._want(key)
            return
        if held.version >= delta.version:
            return
        now_s = self._clock_s()
        for selection, price in delta.prices:
            quote = held.quotes[selection]
            held.quotes[selection] = _moved(quote, quote.name, price, now_s)
        if delta.prices:
            held.moves = held.moves * 0.5 ** ((now_s - held.changed_s) / 10) + 1
            held.changed_s = now_s
        held.version, held.status, held.in_play = delta.version, delta.status, delta.in_play
        self._sort(key, held)

    def _sort(self, key: Key, offer: Offer) -> None:
        """Among the open ones, the others, or those that are over."""
        if offer.status == OPEN:
            self.open[key] = self.shelves[offer.shelf][key] = offer
            self.over.pop(key, None)
            return
        self._take_down(key)
        if offer.status in OVER:
            self.settled += offer.status == "settled"
            self.offers.pop(key, None)
            self.over[key] = offer
            while len(self.over) > self._over_max:
                del self.over[next(iter(self.over))]

    def _take_down(self, key: Key) -> None:
        """No bets are taken on it."""
        held = self.open.pop(key, None)
        if held is not None:
            self.shelves[held.shelf].pop(key, None)

    def _want(self, key: Key) -> None:
        """Bounded by the markets there are, and by those asked for at once."""
        self.offers.pop(key, None)
        self._take_down(key)
        self._wanted[key] = None
        if len(self._asking) < ASKED_MAX:
            task = asyncio.get_running_loop().create_task(self._ask_all())
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)

    async def _ask_all(self) -> None:
        while self._wanted:
            key = next(iter(self._wanted))
            del self._wanted[key]
            answer = await self._ask(*key)
            if isinstance(answer, OddsImage):
                self._image(answer)


def _moved(quote: Quote | None, name: str, price: int, now_s: float) -> Quote:
    """The quote after a message: unchanged, or with a new price and the old one beside it."""
    if quote is None:
        return Quote(name, price)
    if quote.price == price:
        return quote
    return Quote(name, price, quote.price or quote.before, now_s)
