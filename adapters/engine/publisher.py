"""What the world is told of prices: each market's offer on `odds.<fixture>.<market>`.

An offer goes out as an image when it is new or its structure has changed, then as deltas, each naming the version it
builds on. A market that changes more often than the interval is conflated, never queued: what waits is a set of
markets. All goes through the journal's outbox, so nothing is shown that is not stored (DESIGN promise 1).

For a reader who comes late: subscribe, ask `odds.get`, drop deltas up to the image's version, apply those after it.
That works because the image he is given is the very one the next delta builds on.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from adapters import subjects
from adapters.codec import JSON
from adapters.engine.books import Books
from adapters.engine.notices import Outbox
from adapters.metrics import Metrics
from config.settings import Publisher as PublisherSettings
from core.book import Market
from core.engine import Engine
from core.messages.answers import Answer, BookImage, OddsDelta, OddsImage, Rejected
from core.messages.queries import GetBook, GetOdds

Key = tuple[str, str]
"""Fixture and market."""
_OVER: Final = ("closed", "settled")
"""A market that is over is shown once and then forgotten."""


class Publisher:
    """Turns the engine's touched markets into messages."""

    def __init__(self, engine: Engine, settings: PublisherSettings, metrics: Metrics) -> None:
        self._engine = engine
        self._settings = settings
        self._published = metrics.odds
        self._waiting: dict[Key, Market] = {}
        self._shown: dict[Key, OddsImage] = {}
        """What readers hold: the image that the next delta builds on."""
        self._due_ms = 0
        self._images: list[OddsImage] = []
        self._books = Books(engine, settings, metrics)

    def show_all(self, markets: Iterable[Market]) -> None:
        """After a start: every market is shown anew, as far as each turn allows.

        One that is over too: the engine before may have died before it could say so, and nothing more would be said.
        """
        every = list(markets)
        self._waiting.update({(market.fixture.id, market.id): market for market in every})
        self._books.show_all(every)

    def take_images(self) -> list[OddsImage | BookImage]:
        """What has been shown since they were last taken: for Redis, once it is stored."""
        images: list[OddsImage | BookImage] = [*self._images, *self._books.images]
        if images:
            self._images, self._books.images = [], []
        return images

    def collect(self, outbox: Outbox, now_ms: int) -> None:
        """Once a turn: what has changed, at most once per interval and `markets_per_turn_max` markets."""
        if now_ms >= self._due_ms:
            self._collect(outbox, now_ms)
        self._books.collect(outbox, now_ms)

    def _collect(self, outbox: Outbox, now_ms: int) -> None:
        self._take_touched()
        waiting = self._waiting
        for key in list(waiting)[: self._settings.markets_per_turn_max]:
            self._show(key, waiting.pop(key), outbox, now_ms)
        if not waiting:
            self._due_ms = now_ms + self._settings.odds_interval_ms

    def answer(self, query: GetOdds, outbox: Outbox, now_ms: int) -> OddsImage | Rejected:
        """The image asked for, as new as the engine itself: what has changed since is shown to all first."""
        self._take_touched()
        key = query.fixture, query.market
        market_waiting = self._waiting.pop(key, None)
        if market_waiting is not None:
            self._show(key, market_waiting, outbox, now_ms)
        shown = self._shown.get(key)
        if shown is not None:
            return shown
        answer, _ = self._engine.execute(query, now_ms)
        assert isinstance(answer, OddsImage | Rejected)
        if isinstance(answer, OddsImage) and answer.status not in _OVER:
            self._shown[key] = answer
        return answer

    def answer_book(self, query: GetBook, outbox: Outbox, now_ms: int) -> Answer:
        """The same of order books."""
        return self._books.answer(query, outbox, now_ms)

    def _take_touched(self) -> None:
        touched = self._engine.take_touched()
        self._waiting.update({(market.fixture.id, market.id): market for market in touched})
        self._books.note(touched)

    def _show(self, key: Key, market: Market, outbox: Outbox, now_ms: int) -> None:
        image = self._engine.image(market, now_ms)
        before = self._shown.get(key)
        message = image if before is None else difference(before, image)
        if message is None:
            return
        outbox.append((subjects.odds(*key), JSON.encode(message)))
        self._published["image" if message is image else "delta"] += 1
        self._images.append(image)
        if image.status in _OVER:
            self._shown.pop(key, None)
        else:
            self._shown[key] = image


def difference(before: OddsImage, after: OddsImage) -> OddsDelta | OddsImage | None:
    """The delta between two images; the new image itself where more than price and status changed; None: the same."""
    if before.version == after.version and before == after:
        return None
    if _structure(before) != _structure(after):
        return after
    changed = tuple(
        (new.selection, new.price)
        for old, new in zip(before.prices, after.prices, strict=True)
        if old.price != new.price
    )
    return OddsDelta(after.fixture, after.market, before.version, after.version, after.status, after.in_play, changed)


def _structure(image: OddsImage) -> tuple[object, ...]:
    """What a delta does not say."""
    return (
        image.fixture_name,
        image.market_name,
        image.market_type,
        image.sport,
        image.start_ms,
        image.specifiers,
        image.each_way,
        image.delay_ms,
        [(selection.selection, selection.name) for selection in image.prices],
    )
