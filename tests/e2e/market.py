"""A small bookmaker's feed, seeded, and what bets on it are worth: an independent model of a dozen lines.

Eight fixtures with two markets of three selections each; prices walk; markets are settled one after another, by the
feed and by the desk in turn. What is settled stays in the image, as a real ingestor keeps it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Iterator
from fractions import Fraction
from math import floor
from typing import Self

from core.messages.commands import Leg
from core.messages.feed import (
    FeedMessage,
    FeedStatus,
    FixtureChange,
    MarketImage,
    MarketPrices,
    MarketResults,
    OddsChange,
    PricedSelection,
    SelectionPrice,
    Settlement,
)
from core.messages.results import Result
from core.units import PRICE_ONE
from feeds.bus import NatsBus
from feeds.session import Session, now_ms
from tests.e2e.harness import Stack

PROVIDER, PRODUCER = "tiny", "live"
_HEAD = PROVIDER, PRODUCER, 0
_SELECTIONS = ("home", "draw", "away")
Key = tuple[str, str]
"""Fixture and market."""


class Markets:
    """What is on offer. A Source of a feed session."""

    def __init__(self, seed: int, fixtures: int = 8) -> None:
        self._rng = random.Random(seed)
        self.prices: dict[Key, dict[str, int]] = {
            (f"F{number}", market): {each: self._rng.randrange(11_000, 60_000, 100) for each in _SELECTIONS}
            for number in range(fixtures)
            for market in ("result", "half")
        }
        self.results: dict[Key, tuple[Result, ...]] = {}
        self.told: set[Key] = set()
        """Those whose results the feed tells; the others are for the desk."""

    @property
    def open(self) -> list[Key]:
        return [key for key in self.prices if key not in self.results]

    def image(self) -> Iterable[FeedMessage]:
        for fixture in {fixture: None for fixture, _ in self.prices}:
            yield FixtureChange(*_HEAD, now_ms(), fixture, f"Fixture {fixture}", "football", "League", 0)
        for (fixture, market), prices in self.prices.items():
            status = FeedStatus.CLOSED if (fixture, market) in self.results else FeedStatus.ACTIVE
            offers = tuple(PricedSelection(each, each, price) for each, price in prices.items())
            yield MarketImage(*_HEAD, now_ms(), fixture, market, "1x2", market, status, offers)
        for key in self.told:
            yield self.settlement(key)

    def step(self) -> Iterator[FeedMessage]:
        """A price moves."""
        fixture, market = self._rng.choice(self.open)
        prices = self.prices[fixture, market]
        selection = self._rng.choice(_SELECTIONS)
        prices[selection] = max(10_500, min(90_000, prices[selection] + self._rng.choice((-300, -100, 100, 300))))
        offers = tuple(SelectionPrice(each, price) for each, price in prices.items())
        yield OddsChange(*_HEAD, now_ms(), fixture, (MarketPrices(market, FeedStatus.ACTIVE, offers),))

    def legs(self, rng: random.Random, count: int) -> tuple[Leg, ...]:
        """Legs that can be combined, at the prices of now or, seldom, at an older one."""
        fixtures = sorted({fixture for fixture, _ in self.open})
        chosen = []
        for fixture in rng.sample(fixtures, min(count, len(fixtures))):
            market = rng.choice([market for each, market in self.open if each == fixture])
            selection = rng.choice(_SELECTIONS)
            old = rng.choice((-100, 100)) if rng.random() < 0.1 else 0
            chosen.append(Leg(fixture, market, selection, self.prices[fixture, market][selection] + old))
        return tuple(chosen)

    def decide(self, key: Key) -> tuple[Result, ...]:
        """Its results, from now on: one selection wins; or, seldom, one is void."""
        winner = self._rng.choice(_SELECTIONS)
        void = self._rng.choice(_SELECTIONS) if self._rng.random() < 0.2 else ""
        results = tuple(Result(each, 1 if each == winner else 0, 10_000 if each == void else 0) for each in _SELECTIONS)
        self.results[key] = results
        return results

    def settlement(self, key: Key) -> Settlement:
        return Settlement(*_HEAD, now_ms(), key[0], (MarketResults(key[1], self.results[key]),))

    def worth(self, stake_m: int, legs: Iterable[tuple[str, str, str, int]]) -> tuple[str, int]:
        """What a bet (fixture, market, selection, price of each leg) has come to: its status and what it pays."""
        product, undecided, void = Fraction(1), False, True
        for fixture, market, selection, price in legs:
            results = {result.selection: result for result in self.results.get((fixture, market), ())}
            if not results:
                undecided = True
            elif results[selection].void_factor:
                continue
            elif not results[selection].result:
                return "lost", 0
            else:
                product *= Fraction(price, PRICE_ONE)
                void = False
        if undecided:
            return "open", 0
        return ("void" if void else "won"), floor(stake_m * product)


class Feed:
    """Tells the engine of the markets, as any ingestor would."""

    def __init__(self, stack: Stack, markets: Markets) -> None:
        self._stack = stack
        self.markets = markets
        self.session: Session
        self._bus: NatsBus
        self._walk: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        settings = self._stack.settings
        self._bus = await NatsBus.connect(settings.nats)
        self.session = Session(self._bus, PROVIDER, PRODUCER, settings.ingest)
        self.session.add(self.markets)
        await self.session.__aenter__()
        self._walk = asyncio.create_task(self._walking())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._walk.cancel()
        await asyncio.gather(self._walk, return_exceptions=True)
        await self.session.__aexit__(None, None, None)
        await self._bus.close()

    async def settle(self, key: Key) -> None:
        """Tell its results."""
        self.markets.told.add(key)
        await self.session.publish([self.markets.settlement(key)])

    async def _walking(self) -> None:
        while self.markets.open:
            await self.session.publish(self.markets.step())
            await asyncio.sleep(0.02)
