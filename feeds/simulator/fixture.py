"""What every simulated fixture does, whatever its sport: time, markets, suspensions, results, mishaps, the image.

A fixture is a queue of things to happen, in its own time (milliseconds since it was announced); `speed` of it pass in
one of the caller's. A happening changes the state and emits messages at once, so the image always agrees with what was
told so far.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from heapq import heappop, heappush
from random import Random
from typing import NamedTuple

from config.settings import Simulator
from core.grading.scores import Score
from core.messages import feed
from core.messages.feed import Certainty, FeedStatus
from core.messages.results import Result
from core.messages.terms import ExchangeTerms
from feeds.simulator.market import Finish, Market
from feeds.simulator.pricing import offer

_CERTAINTIES: tuple[Certainty, ...] = (1, 2)


class Frame(NamedTuple):
    """What a fixture is given from outside: who it is, and when and how fast it plays."""

    id: str
    seed: str
    origin_ms: int
    """When it is announced, the caller's time."""
    lead_s: float
    """From the announcement to the start, in the fixture's time."""
    speed: float = 1.0
    provider: str = "simulator"
    producer: str = "1"
    exchange: ExchangeTerms | None = None
    """Its main market is an exchange market."""


class Fixture(ABC):
    """One fixture, from its announcement to its last message. `messages` is called with a time that never falls."""

    sport: str
    name: str
    competition: str
    overround: float
    outright_of: str = ""

    def __init__(self, frame: Frame, settings: Simulator) -> None:
        self.frame = frame
        self.settings = settings
        self.random = Random(frame.seed)  # noqa: S311 - a text seeds the same in every process
        self.markets: list[Market] = []
        self.in_play = False
        self.pricing = True
        """Whether prices are made: not between the end and the results."""
        self.passing_over = False
        """Nobody listens: happenings happen, but prices, nearly all of the work, are not made."""
        self.model_ms = 0
        self._resume_model_ms = 0
        self.delay_ms = self.random.randint(settings.delay_max_ms // 6, settings.delay_max_ms)
        """How long a bet in play waits, in the time of whoever bets: people are no faster when the play is."""
        self._right: Finish | None = None
        """What is still to be confirmed or put right."""
        self._score: tuple[Score, Certainty] | None = None
        """As told last."""
        self._ts_ms = frame.origin_ms
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._queued = 0
        self._out: list[feed.AnyFeedMessage] = []

    # What the caller uses.

    @property
    def next_ms(self) -> int | None:
        """When there is more to tell, the caller's time; None: never."""
        return self._caller_ms(self._queue[0][0]) if self._queue else None

    def messages(self, until_ms: int) -> Iterator[feed.AnyFeedMessage]:
        """What happens until then (included), in order; each stamped with its own time, sequence 0."""
        while self._queue and (due_ms := self._caller_ms(self._queue[0][0])) <= until_ms:
            self.model_ms, _, happen = heappop(self._queue)
            self._ts_ms = max(self._ts_ms, due_ms)
            happen()
            yield from self._drain()
        self._ts_ms = max(self._ts_ms, until_ms)

    def image(self) -> Iterator[feed.AnyFeedMessage]:
        """All that was told so far: what a producer sends between RecoveryBegin and RecoveryEnd."""
        yield self._definition()
        for market in self.markets:
            yield self._market_image(market)
        yield from self.facts()
        uncancelled = tuple(market.id for market in self.markets if market.uncancelled)
        if uncancelled:
            yield feed.Rollback(*self._head, self.frame.id, uncancelled, "cancel")
        if self._score is not None:
            yield feed.FixtureScore(*self._head, self.frame.id, *self._score)
        named = [market for market in self.markets if market.results and not market.by_score]
        for certainty in _CERTAINTIES:
            if settled := [market for market in named if market.certainty == certainty]:
                yield self._settlement(settled, certainty)
        for market in self.markets:
            for start, end in market.cancels:
                yield feed.Cancel(*self._head, self.frame.id, (market.id,), start, end)

    def abandon(self) -> Iterator[feed.AnyFeedMessage]:
        """The fixture ends here and now: what is decided stands, all else is cancelled."""
        self._end()
        yield from self._drain()

    def listen_again(self) -> None:
        """Prices as of now, after happenings were passed over; the image tells them."""
        self.passing_over = False
        self.move_prices(all_markets=True)
        self._out.clear()

    # What a sport says.

    @abstractmethod
    def chances(self) -> Sequence[Sequence[float]]:
        """For each market the chances of its selections, summing to the number of winners; nothing for decided ones."""

    @abstractmethod
    def decided(self) -> Mapping[str, tuple[Result, ...]]:
        """The results of open markets that nothing can change any more."""

    def facts(self) -> Iterator[feed.AnyFeedMessage]:
        """What else was told of the markets and has to be in an image."""
        yield from ()

    # What a sport uses.

    def at(self, delay_s: float, happen: Callable[[], None]) -> None:
        """Let it happen after so many seconds of the fixture's time."""
        self._queued += 1
        heappush(self._queue, (self.model_ms + int(delay_s * 1000), self._queued, happen))

    def after_tick(self, happen: Callable[[], None], tick_s: float = 0) -> None:
        """Let it happen at the next move of prices, which nobody could follow if the play is very fast."""
        fastest_s = self.settings.tick_min_ms / 1000 * self.frame.speed
        self.at(max(tick_s or self.settings.tick_s, fastest_s), happen)

    def announce(self) -> None:
        """The fixture's first messages: itself and its markets, priced; from now on prices move."""
        self._out.append(self._definition())
        if not self.passing_over:
            for market, chances in zip(self.markets, self.chances(), strict=True):
                self._reprice(market, chances)
        self._out.extend(map(self._market_image, self.markets))

    def move_prices(self, *, all_markets: bool = False) -> None:
        """Send what changed, and what was sent so long ago that it would go stale; nothing during a suspension."""
        if self.passing_over or not self.pricing or self.model_ms < self._resume_model_ms:
            return
        changes = []
        for market, chances in zip(self.markets, self.chances(), strict=True):
            if market.status is FeedStatus.CLOSED:
                continue
            old = market.sent_ms <= self._ts_ms - self.settings.refresh_ms
            if self._reprice(market, chances) or old or all_markets:
                market.sent_ms = self._ts_ms
                changes.append(self._market_prices(market))
        if changes:
            self._out.append(feed.OddsChange(*self._head, self.frame.id, tuple(changes)))

    def suspend(self, seconds: float, group: str = "") -> None:
        """Bet stop, and new prices after so many seconds, or later if there is another one meanwhile."""
        for stopped in self._stopped_with(group):
            # What stops all of a fixture is material: a goal, a penalty, a red card.
            self._out.append(feed.Suspend(*self._head, self.frame.id, stopped, lapse=not group))
            for market in self.markets:
                if market.status is FeedStatus.ACTIVE and stopped in {"", market.group}:
                    market.status = FeedStatus.SUSPENDED
        if not group:
            self._resume_model_ms = max(self._resume_model_ms, self.model_ms + int(seconds * 1000))
        self.at(seconds, partial(self.move_prices, all_markets=not group))

    def close(self, ids: Iterable[str]) -> None:
        """No more bets on these markets, nor on what they are a part of."""
        wanted = set(ids)
        closing = [
            market
            for market in self.markets
            if market.status is not FeedStatus.CLOSED
            and (market.id in wanted or any(part in wanted for part, _ in market.parts))
        ]
        for market in closing:
            market.status, market.prices = FeedStatus.CLOSED, ()
        if closing:
            changes = tuple(map(self._market_prices, closing))
            self._out.append(feed.OddsChange(*self._head, self.frame.id, changes))

    def finish(self, right: Finish, wrong: Finish) -> None:
        """The results: by the score, if there is one, or market by market.

        Sometimes they are provisional at first, and sometimes wrong; minutes later they are confirmed, or put right.
        """
        random, settings = self.random, self.settings
        if random.random() >= settings.by_score_chance:
            right, wrong = Finish(right.results), Finish(wrong.results)
        first = wrong if random.random() < settings.correction_chance else right
        certainty: Certainty = 1 if random.random() < settings.provisional_chance else 2
        self._settle(first, certainty)
        if first is wrong or certainty == 1:
            self._right = right
            self.at(random.uniform(60, 300), self._correct)

    def settle_decided(self) -> None:
        """Close and settle what nothing can change any more."""
        self._settle(Finish(self.decided()))

    def plan_mishaps(self, length_s: float) -> None:
        """Once in a while a market is cancelled or the whole fixture abandoned, at any time of its life."""
        if self.random.random() < self.settings.cancel_chance:
            self.at(self.random.uniform(60, length_s), self._cancel_one)
        if self.random.random() < self.settings.abandon_chance:
            self.at(self.random.uniform(60, length_s), self._end)

    # Its own.

    @property
    def _head(self) -> tuple[str, str, int, int]:
        return self.frame.provider, self.frame.producer, 0, self._ts_ms

    def _caller_ms(self, model_ms: float) -> int:
        return self.frame.origin_ms + int(model_ms / self.frame.speed)

    def _drain(self) -> Iterator[feed.AnyFeedMessage]:
        out, self._out = self._out, []
        yield from out

    def _named(self, ids: Iterable[str]) -> list[Market]:
        wanted = set(ids)
        return [market for market in self.markets if market.id in wanted]

    def _definition(self) -> feed.FixtureChange:
        start_ms = self._caller_ms(self.frame.lead_s * 1000)
        return feed.FixtureChange(
            *self._head,
            fixture=self.frame.id,
            name=self.name,
            sport=self.sport,
            competition=self.competition,
            start_ms=start_ms,
            outright_of=self.outright_of,
        )

    def _stopped_with(self, group: str) -> list[str]:
        """The groups that a bet stop of one of them stops: bet builders go with their parts."""
        ids = {market.id for market in self.markets if market.group == group}
        builders = (market.group for market in self.markets if any(part in ids for part, _ in market.parts))
        return list(dict.fromkeys([group, *builders]))

    def _market_image(self, market: Market) -> feed.MarketImage:
        market.sent_ms = self._ts_ms
        prices = market.prices or (0,) * len(market.selections)
        selections = tuple(
            feed.PricedSelection(selection, name, price)
            for (selection, name), price in zip(market.selections, prices, strict=True)
        )
        return feed.MarketImage(
            *self._head,
            fixture=self.frame.id,
            market=market.id,
            market_type=market.market_type,
            name=market.name,
            status=market.status,
            selections=selections,
            in_play=self.in_play,
            group=market.group,
            winners=market.winners,
            specifiers=market.specifiers,
            each_way=market.each_way,
            delay_ms=self.delay_ms,
            parts=market.parts,
            starting_price=market.starting_price,
            exchange=market.exchange,
        )

    def _market_prices(self, market: Market) -> feed.MarketPrices:
        prices = tuple(
            feed.SelectionPrice(selection, price)
            for (selection, _), price in zip(market.selections, market.prices, strict=bool(market.prices))
        )
        return feed.MarketPrices(market.id, market.status, prices, self.in_play)

    def _reprice(self, market: Market, chances: Sequence[float]) -> bool:
        """Whether price or status changed. A market without a book (nearly decided) is suspended."""
        before = market.prices, market.status
        market.prices = self._combined(market, chances) if market.parts else offer(chances, self.overround)
        market.status = FeedStatus.ACTIVE if any(market.prices) else FeedStatus.SUSPENDED
        return before != (market.prices, market.status)

    def _combined(self, market: Market, chances: Sequence[float]) -> tuple[int, ...]:
        """A bet builder's price, from the chance that all its parts win and with the margin of as many single bets.

        Never below the price of one of its parts, of which it cannot be likelier; none while one of them has none.
        """
        parts = [self._price_of(*part) for part in market.parts]
        (price,) = offer(chances, (1 + self.overround) ** len(parts) - 1)
        return (max(price, *parts) if price and all(parts) else 0,)

    def _price_of(self, market_id: str, selection_id: str) -> int:
        (market,) = self._named([market_id])
        prices = zip(market.selections, market.prices, strict=bool(market.prices))
        return next((price for (selection, _), price in prices if selection == selection_id), 0)

    def _settlement(self, markets: Iterable[Market], certainty: Certainty) -> feed.Settlement:
        told = tuple(feed.MarketResults(market.id, market.results) for market in markets)
        return feed.Settlement(*self._head, self.frame.id, told, certainty)

    def _settle(self, finish: Finish, certainty: Certainty = 2) -> None:
        """Results of markets, first or corrected ones; those of cancelled markets are kept, and not told by name."""
        self.close(finish.results)
        settling = self._named(finish.results)
        for market in settling:
            market.results, market.certainty = finish.results[market.id], certainty
            market.by_score = finish.score is not None
        told = [market for market in settling if not market.cancelled]
        if finish.score is not None:
            self._score = finish.score, certainty
            self._out.append(feed.FixtureScore(*self._head, self.frame.id, *self._score))
        elif told:
            self._out.append(self._settlement(told, certainty))

    def _correct(self) -> None:
        """Of wrong results providers do it in either way: the new ones at once, or first the old ones taken back."""
        right, self._right = self._right, None
        if right is None:
            return
        confirmed = (market for market in self._named(right.results) if market.certainty == 2)
        ids = tuple(market.id for market in confirmed if not market.cancelled)
        if ids and self.random.random() < 0.5:
            self._out.append(feed.Rollback(*self._head, self.frame.id, ids, "results"))
        self._settle(right)

    def _cancel(self, markets: Sequence[Market], start_ms: int = 0, end_ms: int = 0) -> None:
        if not markets:
            return
        if not end_ms:
            self.close(market.id for market in markets)
        for market in markets:
            market.cancels = (*market.cancels, (start_ms, end_ms))
        ids = tuple(market.id for market in markets)
        self._out.append(feed.Cancel(*self._head, self.frame.id, ids, start_ms, end_ms))

    def _cancel_one(self) -> None:
        """A palpable error: of an open market maybe the last two minutes only; of a settled one maybe taken back."""
        market = self.random.choice(self.markets)
        if market.cancelled:
            return
        if not market.results and self.random.random() < 0.5:
            start_ms = max(self.frame.origin_ms, self._caller_ms(self.model_ms - 120_000))
            self._cancel([market], start_ms, self._ts_ms + 1)
            return
        self._cancel([market])
        if market.results and self.random.random() < 0.5:
            self.at(120, partial(self._uncancel, market))

    def _uncancel(self, market: Market) -> None:
        market.cancels, market.uncancelled = (), True
        self._out.append(feed.Rollback(*self._head, self.frame.id, (market.id,), "cancel"))
        self._settle(Finish({market.id: market.results}), market.certainty)

    def _end(self) -> None:
        self._queue.clear()
        self.pricing = False
        self._settle(Finish(self.decided()))
        self._correct()
        self._cancel([market for market in self.markets if not market.ended and not market.parts])
