"""What the house can lose, added up plainly from the open bets, and the limits as RULEBOOK 3 and 4 say them.

It keeps no sums: every figure is made anew from all bets, every outcome of a market is tried, and every score of a
match with the graders. tests/core/test_properties.py holds the engine's limits against it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from itertools import combinations, product
from math import ceil, floor, prod
from typing import Any

from core.grading.markets import grade
from core.grading.scores import FootballScore
from tests.core import reference
from tests.core.reference import Path

Level = tuple[str, ...]
"""("book",), ("sport", s), ("competition", s, c), ("fixture", f), ("market_type", s, t), ("market", f, m),
("selection", f, m, selection), ("customer", name)."""
SCORES = tuple(product(range(13), range(13)))
PLACES_MAX = 4
"""The most places that the usual each-way terms pay."""


@dataclass(frozen=True)
class Market:
    fixture: str
    name: str
    sport: str
    competition: str
    market_type: str
    selections: tuple[str, ...]
    winners: int = 1
    line: str = ""
    each_way: bool = False
    scored: bool = False
    """It hangs on the final score."""

    @property
    def path(self) -> Path:
        return self.fixture, self.name

    def levels(self, selection: str) -> list[Level]:
        """From the book down, in the order in which the nearest setting is looked for."""
        return [
            ("book",),
            ("sport", self.sport),
            ("competition", self.sport, self.competition),
            ("fixture", self.fixture),
            ("market_type", self.sport, self.market_type),
            ("market", self.fixture, self.name),
            ("selection", self.fixture, self.name, selection),
        ]


@cache
def shares(market: Market) -> list[list[tuple[str, int, int]]]:
    """At each score, of each selection that is not lost, how many halves of its payouts and of its stakes are paid."""
    specifiers = {"line": market.line} if market.line else {}
    found = []
    for score in SCORES:
        results = grade(market.market_type, specifiers, market.selections, FootballScore(score))
        voids = {result.selection: result.void_factor // 5_000 for result in results}
        halves = [
            (each.selection, (2 - voids[each.selection]) * each.result, voids[each.selection]) for each in results
        ]
        found.append([each for each in halves if any(each[1:])])
    return found


@dataclass
class Counted:
    """An open bet, or an offer that is reserved."""

    customer: str
    bet: reference.Bet
    rate: Fraction = Fraction(1)

    def __post_init__(self) -> None:
        """The few numbers that all else needs."""
        lines = reference.lines(self.bet)
        count = len(lines) * (2 if self.bet.each_way else 1)
        self.base_m = ceil(self.bet.stake_m * self.rate)
        self.running_m = [
            floor(Fraction(self.base_m * sum(any(each is leg for each in line) for line in lines), count))
            for leg in self.bet.legs
        ]
        """What runs on each leg: the stake of all lines that hold it, in the book's currency; each-way, twice."""
        total = sum((prod((price(leg) for leg in line), start=Fraction(1)) for line in lines), start=Fraction(0))
        if self.bet.each_way:
            total += sum(prod((place_price(leg) for leg in line), start=Fraction(1)) for line in lines)
        self.multiplier = total / count
        """What it pays for a stake of one if every leg wins."""
        self.winnings_m = ceil((floor(self.bet.stake_m * self.multiplier) - self.bet.stake_m) * self.rate)


def price(leg: reference.Leg) -> Fraction:
    return Fraction(leg.price, 10_000)


def place_price(leg: reference.Leg) -> Fraction:
    assert leg.place is not None
    return 1 + (price(leg) - 1) * Fraction(leg.place.numerator, leg.place.denominator)


class Losses:
    """What can be lost at each level, of so many bets."""

    def __init__(self, markets: Iterable[Market], bets: Iterable[Counted]) -> None:
        self.markets = {market.path: market for market in markets}
        self.payouts = {path: dict.fromkeys(market.selections, 0) for path, market in self.markets.items()}
        self.stakes = {path: dict.fromkeys(market.selections, 0) for path, market in self.markets.items()}
        self.placed = {path: dict.fromkeys(market.selections, 0) for path, market in self.markets.items()}
        self.place_stakes: Counter[Path] = Counter()
        self.at: Counter[Level] = Counter()
        for each in bets:
            self._take(each)
        self._add_up()

    def _take(self, counted: Counted) -> None:
        self.at["customer", counted.customer] += counted.winnings_m
        for leg, running_m in zip(counted.bet.legs, counted.running_m, strict=True):
            self.payouts[leg.path][leg.selection] += floor(running_m * price(leg))
            self.stakes[leg.path][leg.selection] += running_m
            if leg.place is not None:
                self.placed[leg.path][leg.selection] += floor(running_m * place_price(leg))
                self.place_stakes[leg.path] += running_m

    def _add_up(self) -> None:
        fixtures: dict[str, list[Market]] = {}
        for path, market in self.markets.items():
            fixtures.setdefault(market.fixture, []).append(market)
            taken_m = sum(self.stakes[path].values())
            for selection in market.selections:
                self.at["selection", *path, selection] = self.payouts[path][selection] - taken_m
            self.at["market", *path] = self._worst(market)
            self.at["market_type", market.sport, market.market_type] += self.at["market", *path]
        for fixture, markets in fixtures.items():
            alone_m = sum(self.at["market", *market.path] for market in markets if not market.scored)
            worst_m = alone_m + self._worst_score([market for market in markets if market.scored])
            first = markets[0]
            self.at["fixture", fixture] = worst_m
            self.at["competition", first.sport, first.competition] += worst_m
            self.at["sport", first.sport] += worst_m
            self.at["book",] += worst_m

    def _worst(self, market: Market) -> int:
        """Every way in which as many selections win, or are placed, as can."""
        path = market.path
        payouts, placed = self.payouts[path].values(), self.placed[path].values()
        worst_m = max(map(sum, combinations(payouts, market.winners))) - sum(self.stakes[path].values())
        place_m = max(map(sum, combinations(placed, min(PLACES_MAX, len(placed))))) - self.place_stakes[path]
        return max(0, worst_m) + max(0, place_m)

    def _worst_score(self, markets: list[Market]) -> int:
        """Every final score; half a minor unit is a whole one."""
        backed = [market for market in markets if any(self.stakes[market.path].values())]
        taken_m = sum(sum(self.stakes[market.path].values()) for market in backed)
        halves = [0] * len(SCORES)
        for market in backed:
            payouts, stakes = self.payouts[market.path], self.stakes[market.path]
            for score, ends in enumerate(shares(market)):
                halves[score] += sum(won * payouts[name] + back * stakes[name] for name, won, back in ends)
        return max(0, ceil(Fraction(max(halves), 2)) - taken_m)


@dataclass
class Setting:
    """What the desk has set at a level; 0 and () are not set there."""

    stake_m: int = 0
    payout_m: int = 0
    liability_m: int = 0
    ramp: tuple[tuple[int, int], ...] = ()


@dataclass
class Tree:
    """The limits: the engine's own, what the desk has set, what customers are trusted with."""

    stake_m: int
    payout_m: int
    liability: dict[str, int]
    """By the name of the level; without one there is none."""
    starts: dict[str, int]
    """Fixture -> ms."""
    settings: dict[Level, Setting] = field(default_factory=dict)
    factors: dict[tuple[str, str], int] = field(default_factory=dict)
    """(customer, sport) -> x 10 000; sport "": all."""

    def nearest(self, market: Market, selection: str, what: str, default: Any) -> Any:
        found = [getattr(self.settings[level], what) for level in market.levels(selection) if level in self.settings]
        return next((each for each in reversed(found) if each), default)

    def share(self, market: Market, selection: str, now: int) -> Fraction:
        ramp = self.nearest(market, selection, "ramp", ())
        return min((Fraction(bp, 10_000) for ms, bp in ramp if self.starts[market.fixture] - now > ms), default=ONE)

    def factor(self, customer: str, market: Market) -> Fraction:
        found = self.factors.get((customer, market.sport), self.factors.get((customer, ""), 10_000))
        return Fraction(found, 10_000)

    def most(self, customer: str, market: Market, selection: str, now: int) -> dict[Level, int]:
        """Of a bet's leg: the liability limits of all levels, and of stake and payout as ("stake",), ("payout",)."""
        share, factor = self.share(market, selection, now), self.factor(customer, market)
        limits: dict[Level, int] = {}
        for level in market.levels(selection):
            setting = self.settings.get(level, Setting())
            most_m = setting.liability_m or self.liability.get(level[0], 0)
            if most_m:
                limits[level] = floor(most_m * (share if level[0] in {"selection", "market", "fixture"} else 1))
        limits["customer", customer] = floor(self.liability["customer"] * factor)
        limits["stake",] = floor(self.nearest(market, selection, "stake_m", self.stake_m) * share * factor)
        limits["payout",] = floor(self.nearest(market, selection, "payout_m", self.payout_m) * share * factor)
        return limits


ONE = Fraction(1)
