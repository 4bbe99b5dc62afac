"""A listener of the simulator's tests, and what they play."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress

from msgspec.structs import replace

from config.settings import Simulator, load
from core.grading.markets import grade
from core.grading.scores import Score
from core.grading.verdicts import GradingError
from core.messages import feed
from core.messages.feed import FeedStatus
from core.messages.results import Result
from feeds.simulator.fixture import Frame
from feeds.simulator.programme import Plan, Programme

NOON = 1_700_000_000_000
FOR_EVER = 10**14
SETTINGS = load(environ={}).simulator
EVENTFUL = replace(
    SETTINGS,
    tick_s=60,
    correction_chance=0.5,
    cancel_chance=0.5,
    abandon_chance=0.2,
    non_runner_chance=0.5,
    dead_heat_chance=0.5,
    provisional_chance=0.3,
    outright_share=0.1,
    group_suspension_chance=0.1,
)


def frame(seed: int, speed: float = 60.0) -> Frame:
    return Frame(f"sim:{seed}-t-0", str(seed), NOON, 1800, speed)


def plan(seed: int = 1, run: str = "t", fixtures: int = 0, speed: float = 60.0) -> Plan:
    return Plan(seed, run, NOON, speed, fixtures)


def programme(seed: int = 1, fixtures: int = 8, settings: Simulator = EVENTFUL, run: str = "t") -> Programme:
    return Programme(plan(seed, run, fixtures), settings)


class Told:
    """What somebody who only listens knows of the markets, and who waits for confirmed results."""

    def __init__(self) -> None:
        self.images: dict[tuple[str, str], feed.MarketImage] = {}
        self.status: dict[tuple[str, str], FeedStatus] = {}
        self.group: dict[tuple[str, str], str] = {}
        self.prices: dict[tuple[str, str], dict[str, int]] = {}
        self.results: dict[tuple[str, str], tuple[Result, ...]] = {}
        self.cancels: dict[tuple[str, str], set[tuple[int, int]]] = {}
        self.scores: dict[str, Score] = {}
        self.withdrawals: dict[tuple[str, str], dict[str, tuple[int, int]]] = {}
        """(price, when) by runner."""
        self.starting_prices: dict[tuple[str, str], dict[str, int]] = {}

    def hear(self, messages: Iterable[feed.AnyFeedMessage]) -> None:
        for message in messages:
            match message:
                case feed.MarketImage():
                    key = message.fixture, message.market
                    self.images[key] = message
                    self.group[key] = message.group
                    self.status[key] = message.status
                    self.prices[key] = {each.id: each.price for each in message.selections}
                case feed.OddsChange():
                    for change in message.markets:
                        key = message.fixture, change.market
                        assert key in self.status, "prices before the market"
                        self.status[key] = change.status
                        self.prices[key] = dict.fromkeys(self.prices[key], 0) | dict(map(_pair, change.prices))
                case feed.Suspend():
                    for key, group in self.group.items():
                        active = self.status[key] is FeedStatus.ACTIVE
                        if active and key[0] == message.fixture and message.group in {"", group}:
                            self.status[key] = FeedStatus.SUSPENDED
                case feed.Settlement() if message.certainty == 2:
                    self.results.update({(message.fixture, each.market): each.results for each in message.markets})
                case feed.FixtureScore() if message.certainty == 2:
                    self.scores[message.fixture] = message.score
                    self.results.update(self.graded(message.fixture, message.score))
                case feed.Withdrawal():
                    key = message.fixture, message.market
                    assert message.selection in self.prices[key], "withdrawn before it was named"
                    self.withdrawals.setdefault(key, {})[message.selection] = message.price, message.at_ms
                case feed.StartingPrices():
                    key = message.fixture, message.market
                    self.starting_prices[key] = {each.selection: each.price for each in message.prices}
                case feed.Cancel():
                    for market in message.markets:
                        windows = self.cancels.setdefault((message.fixture, market), set())
                        windows.add((message.from_ms, message.to_ms))
                case feed.Rollback():
                    known = self.results if message.what == "results" else self.cancels
                    for market in message.markets:
                        known.pop((message.fixture, market), None)
                case _:
                    pass

    def graded(self, fixture: str, score: Score) -> Iterator[tuple[tuple[str, str], tuple[Result, ...]]]:
        """What a score decides: every market that the graders know."""
        for key, image in self.images.items():
            if key[0] == fixture and not image.parts:
                with suppress(GradingError):
                    selections = [each.id for each in image.selections]
                    yield key, grade(image.market_type, image.specifiers, selections, score)

    def ended(self, key: tuple[str, str]) -> bool:
        """Whether every bet on it can be settled; a bet builder's by its parts."""
        parts = self.images[key].parts
        if parts and all(self.ended((key[0], market)) for market, _ in parts):
            return True
        return key in self.results or (0, 0) in self.cancels.get(key, ())


def _pair(offer: feed.SelectionPrice) -> tuple[str, int]:
    return offer.selection, offer.price
