"""Gathers the view's figures: from the engine's `/metrics`, from `odds.>`, and from what customers and feeds report."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from adapters.demo import desk, programme, report
from adapters.demo.board import BUILDERS, OPEN, Board, Key, Offer
from adapters.demo.figures import FLASH_S, Exchange, Figures, Hot, Price, Producer, Runner, Worst
from core.limits import Limits
from core.messages.answers import BookImage

_LINES_MAX: Final = 50
_AWAY_S: Final = 5.0
"""A projector that is so far behind has no Postgres, or none that it likes (the engine's log says why)."""
_LINE_MS: Final = 800
"""Between two lines of the same kind, for those that come all the time."""
_PAUSE_MS: Final = {"referred": 0, "trader": 0, "taken": 0, "lapsed": 0, "sold": 3_000}
"""The same for those that are rare, and have a place of their own."""
_BUSY: Final = 1_000
"""Events a second below which a lag is not worth a word."""
_HOT_MAX: Final = 40
_BUILDER_QUOTES: Final = 10
_EXCHANGE_S: Final = 20.0
"""So long the same exchange market is shown, unless it is over."""
_LEVELS: Final = 3
_CHOOSE_S: Final = 3.0
"""So long the same markets are shown in the same places, or nobody could read them."""
_SHUT_S: Final = 20.0
"""A goal shuts a market for so long; one that is shut for longer makes room."""
Samples = dict[tuple[str, str], float]
"""Metrics by name and first label's value."""


class Watch:
    """What is known, and how fast it changes."""

    def __init__(self, limits: Limits, board: Board) -> None:
        self.board = board
        self.crowd = report.Report()
        self.desk = desk.Report()
        self.feeds = programme.Report()
        self.trouble = ""
        """What is not there to be played, and why."""
        self.redis = False
        """Whether there is one."""
        self._limits = limits
        self._lines: deque[report.Line] = deque(maxlen=_LINES_MAX)
        self._slow: deque[report.Line] = deque(maxlen=_LINES_MAX)
        self._began_s = time.monotonic()
        self._now: Samples = {}
        self._rates = _Rates()
        self._shown: list[Key] = []
        self._chosen_s = 0.0
        self._traded: Key | None = None
        self._traded_s = 0.0
        self._book: BookImage | None = None

    def take_crowd(self, seen: report.Report) -> None:
        self.crowd = seen
        self._take_lines(seen.lines)

    def take_desk(self, seen: desk.Report) -> None:
        self.desk = seen
        self._take_lines(seen.lines)

    def take_feeds(self, seen: programme.Report) -> None:
        self.feeds = seen

    def _take_lines(self, lines: Iterable[report.Line]) -> None:
        """What happens all the time is shown no faster than it can be read; what is rare, always."""
        for line in lines:
            shown = self._slow if line.kind in _PAUSE_MS else self._lines
            pause_ms = _PAUSE_MS.get(line.kind, _LINE_MS)
            if not any(other.kind == line.kind and line.ts_ms - other.ts_ms < pause_ms for other in shown):
                shown.append(line)

    def take_metrics(self, text: str) -> None:
        """A page of `/metrics`."""
        self._now = samples(text)
        self._rates.take(
            {
                "events": self._value("tictac_events"),
                "answers": self._sum("tictac_answers_total"),
                "feed": self._sum("tictac_feed_messages_total"),
                "appends": self._value("tictac_journal_append_seconds_count"),
                "append_s": self._value("tictac_journal_append_seconds_sum"),
            }
        )

    @property
    def open_bets(self) -> int:
        return int(self._value("tictac_bets_open"))

    @property
    def waiting(self) -> dict[str, int]:
        """Bets that wait now, by stage."""
        return {stage: int(count) for (name, stage), count in self._now.items() if name == "tictac_bets_pending"}

    @property
    def quiet(self) -> bool:
        """Nothing is open, nothing waits, and Postgres has all of it."""
        return not self.open_bets and not any(self.waiting.values()) and not self.projector_lag

    @property
    def projector_lag(self) -> int:
        """Events that are not in Postgres yet."""
        return int(self._value("tictac_projector_lag_events"))

    def figures(self) -> Figures:
        """All of it, now."""
        value, rates = self._value, self._rates
        return Figures(
            now_ms=time.time_ns() // 1_000_000,
            up_s=time.monotonic() - self._began_s,
            currency=self._limits.currency,
            crowd=self.crowd,
            desk=self.desk,
            waiting=self.waiting,
            term=int(value("tictac_term")),
            event_no=int(value("tictac_events")),
            events_per_s=rates.of("events"),
            answers_per_s=rates.of("answers"),
            open_bets=self.open_bets,
            fixtures=len({fixture for fixture, _ in self.board.open}),
            book_liability_m=int(value("tictac_liability_m")),
            book_limit_m=self._limits.liability_book_max_m,
            hot=self._hot(),
            worst=self._worst(),
            appends_per_s=rates.of("appends"),
            append_ms=1000 * rates.of("append_s") / max(rates.of("appends"), 1e-9),
            journal_waiting=int(value("tictac_journal_waiting")),
            projector_lag=self.projector_lag,
            feed_per_s=rates.of("feed"),
            producers=[
                Producer(name, up=bool(up))
                for (metric, name), up in self._now.items()
                if metric == "tictac_producer_up"
            ],
            playing=self._playing(),
            postgres="away" if self.projector_lag > _AWAY_S * max(_BUSY, rates.of("events")) else "up",
            redis=("up" if value("tictac_redis_up") else "away") if self.redis else "off",
            exchange=self._exchange(),
            makers=self.feeds.makers,
            lines=list(self._lines),
            slow=list(self._slow),
        )

    def _value(self, name: str, label: str = "") -> float:
        return self._now.get((name, label), 0.0)

    def _sum(self, name: str) -> float:
        return sum(value for (metric, _), value in self._now.items() if metric == name)

    def _playing(self) -> str:
        feeds = self.feeds
        recordings = f"{feeds.recordings} recordings play, {len(feeds.ended)} were played to their end"
        return "; ".join([*feeds.errors[-1:], self.trouble or recordings])

    def _hot(self) -> list[Hot]:
        """The liveliest, in play before the others, one market a fixture first; the same ones for a while."""
        now_s = time.monotonic()
        if now_s - self._chosen_s > _CHOOSE_S:
            self._chosen_s = now_s
            self._shown = list(_liveliest(self.board.offers.values(), set(self._shown), now_s))[:_HOT_MAX]
        offers = (self.board.offers.get(key) for key in self._shown)
        return [self._seen(offer, now_s) for offer in offers if offer is not None]

    def _seen(self, offer: Offer, now_s: float) -> Hot:
        quotes = sorted(offer.quotes.values(), key=lambda quote: quote.price or 10**12)[:3]
        return Hot(
            offer.fixture_name,
            offer.market_name,
            offer.status,
            offer.in_play,
            [
                Price(quote.name, quote.price, _move(quote.price, quote.before, now_s - quote.changed_s))
                for quote in quotes
            ],
            int(self._value("tictac_fixture_liability_m", offer.fixture)),
        )

    def traded_market(self) -> Key | None:
        """The exchange market that is worth looking at: in play before the others, then where most was matched."""
        now_s, offers = time.monotonic(), self.board.offers
        if self._traded is None or self._traded not in offers or now_s - self._traded_s > _EXCHANGE_S:
            matched = {(each.fixture, each.market): sum(each.stakes_m.values()) for each in self.crowd.exchange.traded}
            there = [offer for offer in offers.values() if offer.ladder]
            best = max(
                there,
                key=lambda offer: (
                    offer.status == OPEN,
                    offer.in_play,
                    matched.get((offer.fixture, offer.market), 0),
                ),
                default=None,
            )
            self._traded = None if best is None else (best.fixture, best.market)
            self._traded_s = now_s
        return self._traded

    def take_book(self, image: BookImage) -> None:
        """The book of that market."""
        self._book = image

    def _exchange(self) -> Exchange | None:
        image = self._book
        offer = self.board.offers.get((image.fixture, image.market)) if image is not None else None
        if image is None or offer is None:
            return None
        key = image.fixture, image.market
        matched = {(each.fixture, each.market): each.stakes_m for each in self.crowd.exchange.traded}.get(key, {})
        runners = [
            Runner(
                offer.quotes[book.selection].name,
                [*book.lays[:_LEVELS]],
                [*book.backs[:_LEVELS]],
                matched.get(book.selection, 0),
            )
            for book in image.books
            if book.lays or book.backs
        ]
        runners.sort(key=lambda runner: (runner.to_back or runner.to_lay)[0][0])
        total_m = sum(matched.values())
        return Exchange(offer.fixture_name, offer.market_name, image.status, image.in_play, runners, total_m)

    def _worst(self) -> list[Worst]:
        names = {offer.fixture: offer.fixture_name for offer in self.board.offers.values()}
        limit_m = self._limits.liability_fixture_max_m
        rows = [
            Worst(names.get(fixture, fixture), int(amount_m), limit_m)
            for (metric, fixture), amount_m in self._now.items()
            if metric == "tictac_fixture_liability_m" and amount_m
        ]
        return sorted(rows, key=lambda row: -row.liability_m)


class _Rates:
    """Counters to speeds, over some seconds."""

    def __init__(self) -> None:
        self._taken: deque[tuple[float, dict[str, float]]] = deque(maxlen=8)

    def take(self, counters: dict[str, float]) -> None:
        self._taken.append((time.monotonic(), counters))

    def of(self, name: str) -> float:
        if len(self._taken) < 2:
            return 0.0
        (then_s, then), (now_s, now) = self._taken[0], self._taken[-1]
        return max(0.0, (now[name] - then[name]) / (now_s - then_s))


def samples(text: str) -> Samples:
    """A page of metrics as numbers."""
    return {
        (sample.name, next(iter(sample.labels.values()), "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def _liveliest(offers: Iterable[Offer], shown: set[Key], now_s: float) -> Iterable[Key]:
    """Those that are shown already need a little less to stay. Moves count by selection: a correct score has 26.

    A bet builder has one, and stands behind the markets that it is made of.
    """

    def rank(offer: Offer) -> tuple[bool, float]:
        moves = offer.moves * 0.5 ** ((now_s - offer.changed_s) / 10)
        lively = offer.status == OPEN or now_s - offer.changed_s < _SHUT_S
        moves /= len(offer.quotes) if offer.shelf != BUILDERS else _BUILDER_QUOTES
        return offer.in_play and lively, moves * (1.5 if (offer.fixture, offer.market) in shown else 1.0)

    best: dict[str, list[Key]] = {}
    for offer in sorted(offers, key=rank, reverse=True):
        best.setdefault(offer.fixture, []).append((offer.fixture, offer.market))
    for place in range(_HOT_MAX):
        yield from (keys[place] for keys in best.values() if len(keys) > place)


def _move(price: int, before: int, ago_s: float) -> int:
    return (price > before) - (price < before) if before and ago_s < FLASH_S else 0
