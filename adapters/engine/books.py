"""What the world is told of order books: each exchange market's levels on `odds.<fixture>.<market>.book`.

As with prices (adapters/engine/publisher.py) an image comes first, then deltas, each naming the version it builds on,
all through the journal's outbox; `order.book` is answered with the very image that the next delta builds on. A reader
who finds a `base` that he does not hold asks for it. Versions only grow, over all markets of a term and over terms.

What an order costs here is a name in a dict: its selection has changed. Once an interval the best `book_depth_max`
levels of what has changed are compared with what readers hold, so neither many orders nor a deep book make a delta
dearer, and a busy market is conflated: nothing waits but names. A delta may hold a part of what has changed in its
market, never a part of one selection's book.

Near and far starting prices are another matter: they look at every order that waits for the close. So they follow
their books by up to `near_far_interval_ms`.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Final

from msgspec import Struct

from adapters import subjects
from adapters.codec import JSON
from adapters.metrics import Metrics
from config.settings import Publisher as PublisherSettings
from core import markets, queries
from core.book import Exchange, Market
from core.engine import Engine
from core.exchange import clearing
from core.exchange.ladder import Side
from core.messages.answers import Answer, BookDelta, BookImage, BookLevels, Level
from core.messages.queries import GetBook
from core.refusals import Refusal

Key = tuple[str, str]
"""Fixture and market."""
_OVER: Final = ("closed", "settled")
_NEAR_FAR_MAX: Final = 4
"""Selections whose near and far prices are found in one turn: under 0.5 ms each where thousands of orders rest."""


class _Shown(Struct, eq=False):
    """What readers hold of a market."""

    market: Market
    version: int
    market_version: int
    status: str
    in_play: bool
    projected: bool
    """It has near and far prices."""
    books: dict[str, BookLevels]

    def image(self, key: Key) -> BookImage:
        fixture, market = key
        books = tuple(self.books.values())
        return BookImage(fixture, market, self.version, self.market_version, self.status, self.in_play, books)


class Books:
    """Turns the engine's changed order books into messages."""

    def __init__(self, engine: Engine, settings: PublisherSettings, metrics: Metrics) -> None:
        self._engine = engine
        self._settings = settings
        self._published = metrics.odds
        self._version = 0
        self._waiting: dict[Key, Market] = {}
        """Markets to be looked at; which selections, their exchanges know."""
        self._shown: dict[Key, _Shown] = {}
        self._again: set[Key] = set()
        """Markets of which readers may hold what an engine before has told; not shown in this term yet."""
        self._stale: dict[Key, dict[str, None]] = {}
        """Selections whose near and far prices are older than their books."""
        self._due_ms = 0
        self._near_far_due_ms = 0
        self.images: list[BookImage] = []
        """What has been shown since the owner took the list."""

    def show_all(self, every: Iterable[Market]) -> None:
        """After a start: these are shown anew, even where they are over."""
        self.note(every)
        self._again.update(self._waiting)

    def note(self, touched: Iterable[Market]) -> None:
        """Markets that may have another status."""
        self._waiting.update({(each.fixture.id, each.id): each for each in touched if each.exchange is not None})

    def collect(self, outbox: list[tuple[str, bytes]], now_ms: int) -> None:
        """Once a turn: what has changed, at most once per interval and `books_per_turn_max` order books."""
        if self._stale and now_ms >= self._near_far_due_ms:
            self._show_near_and_far(outbox, now_ms)
        if now_ms < self._due_ms:
            return
        waiting, traded = self._waiting, self._engine.book.traded
        waiting.update(traded)
        traded.clear()
        room = self._settings.books_per_turn_max
        for key in list(islice(waiting, room)):
            if room <= 0:
                break
            market = waiting.pop(key)
            room -= self._show(key, market, outbox, now_ms, room)
            if market.exchange is not None and market.exchange.changed:
                waiting[key] = market  # behind the others
        if not waiting:
            self._due_ms = now_ms + self._settings.books_interval_ms

    def answer(self, query: GetBook, outbox: list[tuple[str, bytes]], now_ms: int) -> Answer:
        """The image asked for, as new as the engine itself: what has changed since is shown to all first."""
        market = markets.find(self._engine.book, query.fixture, query.market)
        if isinstance(market, Refusal) or market.exchange is None:
            refused, _ = self._engine.execute(query, now_ms)
            assert refused is not None
            return refused
        key = query.fixture, query.market
        self._waiting.pop(key, None)
        self._engine.book.traded.pop(key, None)
        self._show(key, market, outbox, now_ms, self._settings.books_per_turn_max)
        while market.exchange.changed and key in self._shown:  # no delta holds more than one of a turn's
            self._show(key, market, outbox, now_ms, self._settings.books_per_turn_max)
        shown = self._shown.get(key)
        if shown is None:  # it is over, and nobody is told of it any more
            shown = self._look_at_all(market, market.exchange, now_ms)
        return shown.image(key)

    def _show(self, key: Key, market: Market, outbox: list[tuple[str, bytes]], now_ms: int, room: int) -> int:
        """Show what has changed, of at most so many selections; returns how many were looked at, at least 1."""
        exchange = market.exchange
        assert exchange is not None
        shown = self._shown.get(key)
        if shown is None or shown.market is not market or len(shown.books) < len(market.selections):
            exchange.changed.clear()
            self._stale.pop(key, None)
            image = self._look_at_all(market, exchange, now_ms)
            if shown is None and key not in self._again and _is_done(image, exchange):
                return 1
            self._again.discard(key)
            self._shown[key] = image
            self._version = image.version = self._next_version()
            self._send(key, image, image.image(key), outbox)
            looked = 1 + len(image.books)
        else:
            projected = _is_projected(exchange)
            if shown.projected != projected:
                shown.projected = projected
                exchange.changed.update(dict.fromkeys(market.selections))
            names = list(islice(exchange.changed, room))
            levels = [self._look(key, exchange, name, shown.books[name]) for name in names]
            for name in names:
                del exchange.changed[name]
            self._send_delta(key, market, levels, outbox, now_ms)
            looked = 1 + len(names)
        self._forget_if_done(key, exchange)
        return looked

    def _forget_if_done(self, key: Key, exchange: Exchange) -> None:
        if _is_done(self._shown[key], exchange) and not exchange.changed:
            del self._shown[key]
            self._stale.pop(key, None)

    def _send_delta(
        self, key: Key, market: Market, levels: list[BookLevels], outbox: list[tuple[str, bytes]], now_ms: int
    ) -> None:
        """What differs from what readers hold, if anything does."""
        shown, exchange = self._shown[key], market.exchange
        assert exchange is not None
        changed = []
        for each in levels:
            held = shown.books[each.selection]
            if held != each:
                changed.append(difference(held, each))
                shown.books[each.selection] = each
        version, in_play = exchange.version, exchange.in_play
        status = queries.book_status(market, self._engine.limits, now_ms)
        if not changed and (version, status, in_play) == (shown.market_version, shown.status, shown.in_play):
            return
        base, shown.version = shown.version, self._next_version()
        self._version = shown.version
        shown.market_version, shown.status, shown.in_play = version, status, in_play
        delta = BookDelta(*key, base, shown.version, version, status, in_play, tuple(changed))
        self._send(key, shown, delta, outbox)

    def _send(self, key: Key, shown: _Shown, message: BookImage | BookDelta, outbox: list[tuple[str, bytes]]) -> None:
        outbox.append((subjects.book(*key), JSON.encode(message)))
        self._published["book" if isinstance(message, BookImage) else "book delta"] += 1
        self.images.append(message if isinstance(message, BookImage) else shown.image(key))

    def _next_version(self) -> int:
        return max(self._version, self._engine.book.term << 32) + 1

    def _look_at_all(self, market: Market, exchange: Exchange, now_ms: int) -> _Shown:
        key = market.fixture.id, market.id
        books = {name: self._look(key, exchange, name, BookLevels(name, (), ())) for name in market.selections}
        status = queries.book_status(market, self._engine.limits, now_ms)
        head = exchange.version, status, exchange.in_play
        return _Shown(market, self._version, *head, _is_projected(exchange), books)

    def _look(self, key: Key, exchange: Exchange, name: str, held: BookLevels) -> BookLevels:
        """A selection's levels; its near and far prices are those held, and are found later."""
        orders, depth = exchange.books.get(name), self._settings.book_depth_max
        backs: tuple[Level, ...] = ()
        lays: tuple[Level, ...] = ()
        if orders is not None:
            backs, lays = tuple(orders.levels(Side.BACK, depth)), tuple(orders.levels(Side.LAY, depth))
        if not _is_projected(exchange):
            return BookLevels(name, backs, lays)
        self._stale.setdefault(key, {})[name] = None
        return BookLevels(name, backs, lays, held.near, held.far)

    def _show_near_and_far(self, outbox: list[tuple[str, bytes]], now_ms: int) -> None:
        """Those of the next few selections of the market that has waited longest."""
        key = next(iter(self._stale))
        names, shown = self._stale.pop(key), self._shown.get(key)
        market = markets.find(self._engine.book, *key)
        if shown is not None and not isinstance(market, Refusal) and market.exchange is not None:
            levels = []
            for name in list(islice(names, _NEAR_FAR_MAX)):
                del names[name]
                held = shown.books[name]
                near_and_far = clearing.near_and_far(market.exchange, name)
                levels.append(BookLevels(name, held.backs, held.lays, *near_and_far))
            self._send_delta(key, market, levels, outbox, now_ms)
            if names:
                self._stale[key] = names
            self._forget_if_done(key, market.exchange)
        if not self._stale:
            self._near_far_due_ms = now_ms + self._settings.near_far_interval_ms


def _is_projected(exchange: Exchange) -> bool:
    """Whether it has near and far prices: until the off."""
    return exchange.terms.starting_price and not exchange.in_play


def _is_done(shown: _Shown, exchange: Exchange) -> bool:
    """Whether the market is over, and nothing rests in it any more: readers hold that, and need no more."""
    if shown.status not in _OVER or exchange.clearing or exchange.closing:
        return False
    return not any(each.backs or each.lays or each.near or each.far for each in shown.books.values())


def difference(held: BookLevels, now: BookLevels) -> BookLevels:
    """Of each side the levels that are others now; stake 0: the level is gone, or deeper than what is shown."""
    backs, lays = _changed(held.backs, now.backs), _changed(held.lays, now.lays)
    return BookLevels(now.selection, backs, lays, now.near, now.far)


def _changed(held: tuple[Level, ...], now: tuple[Level, ...]) -> tuple[Level, ...]:
    if held == now:
        return ()
    before, after = dict(held), dict(now)
    gone = [(price, 0) for price in before if price not in after]
    return (*gone, *[level for level in now if before.get(level[0]) != level[1]])
