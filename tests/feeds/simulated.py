"""A listener of the simulator's tests, and what they play."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from config.settings import Simulator, load
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
    group_suspension_chance=0.1,
)


def frame(seed: int, speed: float = 60.0) -> Frame:
    return Frame(f"sim:{seed}-t-0", str(seed), NOON, 1800, speed)


def plan(seed: int = 1, run: str = "t", fixtures: int = 0, speed: float = 60.0) -> Plan:
    return Plan(seed, run, NOON, speed, fixtures)


def programme(seed: int = 1, fixtures: int = 8, settings: Simulator = EVENTFUL, run: str = "t") -> Programme:
    return Programme(plan(seed, run, fixtures), settings)


class Told:
    """What somebody who only listens knows of the markets."""

    def __init__(self) -> None:
        self.status: dict[tuple[str, str], FeedStatus] = {}
        self.group: dict[tuple[str, str], str] = {}
        self.prices: dict[tuple[str, str], dict[str, int]] = {}
        self.results: dict[tuple[str, str], tuple[Result, ...]] = {}
        self.cancels: dict[tuple[str, str], set[tuple[int, int]]] = {}

    def hear(self, messages: Iterable[feed.AnyFeedMessage]) -> None:
        for message in messages:
            match message:
                case feed.MarketImage():
                    key = message.fixture, message.market
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
                case feed.Settlement():
                    self.results.update({(message.fixture, each.market): each.results for each in message.markets})
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

    def ended(self, key: tuple[str, str]) -> bool:
        return key in self.results or (0, 0) in self.cancels.get(key, ())


def _pair(offer: feed.SelectionPrice) -> tuple[str, int]:
    return offer.selection, offer.price
