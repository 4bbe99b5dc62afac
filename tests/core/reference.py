"""What bets come to, the slow and plain way: every line is written out, every number is a Fraction (RULEBOOK 1, 2, 5).

It shares nothing with core/ but the messages' Result and EachWay; tests/core/test_reference.py holds the engine's
settlement against it. All it knows is the last word on each subject; it has no events and no time but a bet's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import combinations, product
from math import floor, prod

from core.messages.results import EachWay, Result

Path = tuple[str, str]
"""Fixture and market."""

ZERO, ONE = Fraction(0), Fraction(1)
NAMED = {
    "trixie": "2 3",
    "patent": "1 2 3",
    "yankee": "2 3 4",
    "lucky15": "1 2 3 4",
    "canadian": "2 3 4 5",
    "super_yankee": "2 3 4 5",
    "lucky31": "1 2 3 4 5",
    "heinz": "2 3 4 5 6",
    "lucky63": "1 2 3 4 5 6",
    "super_heinz": "2 3 4 5 6 7",
    "goliath": "2 3 4 5 6 7 8",
}
"""Kind -> its folds, of as many fixtures as the greatest of them."""


@dataclass
class Market:
    """What is known of a market now."""

    results: dict[str, Result] = field(default_factory=dict)
    cancels: list[tuple[int, int]] = field(default_factory=list)
    """Windows of placement; an end of 0 is open."""
    withdrawn: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Selection -> when, and the price it had (0: none)."""
    starting_prices: dict[str, int] = field(default_factory=dict)
    parts: tuple[tuple[Path, str], ...] = ()
    """Of a bet builder."""


@dataclass
class Leg:
    path: Path
    selection: str
    price: int
    """x 10 000."""
    banker: bool = False
    starting_price: bool = False
    place: EachWay | None = None
    voided: bool = False


@dataclass
class Bet:
    legs: list[Leg]
    stake_m: int
    """Of the whole bet."""
    placed_ms: int
    kind: str = ""
    folds: tuple[int, ...] = ()
    each_way: bool = False
    free: bool = False
    payout_max_m: int = 10**15
    """The most it may win beyond its stake."""
    voided: bool = False
    sold_m: int = 0
    """The part of the stake that was cashed out."""


def lines(bet: Bet) -> list[tuple[Leg, ...]]:
    """All its lines, those of an each-way bet once: of each chosen fixture, and of each that has a banker, one leg."""
    fixtures: dict[str, list[Leg]] = {}
    for leg in bet.legs:
        fixtures.setdefault(leg.path[0], []).append(leg)
    system = bool(bet.kind or bet.folds)
    held = [ways for ways in fixtures.values() if system and ways[0].banker]
    free = [ways for ways in fixtures.values() if not (system and ways[0].banker)]
    folds = tuple(map(int, NAMED[bet.kind].split())) if bet.kind else bet.folds or (len(free),)
    return [line for size in sorted(folds) for chosen in combinations(free, size) for line in product(*held, *chosen)]


def number_of_lines(bet: Bet) -> int:
    return len(lines(bet)) * (2 if bet.each_way else 1)


def rule_4(price: int) -> int:
    """Pence in the pound for a withdrawn runner's price, from the table of RULEBOOK 5."""
    table = (
        "1/9 90, 2/11 85, 1/4 80, 3/10 75, 2/5 70, 8/15 65, 8/13 60, 4/5 55, 20/21 50, 6/5 45, 6/4 40, 7/4 35, 9/4 30, "
        "3/1 25, 4/1 20, 11/2 15, 9/1 10, 14/1 5"
    )
    for row in table.split(", "):
        odds, pence = row.split()
        # Prices have four places: 20/21 is 1.9524.
        if price and price <= floor((1 + Fraction(odds)) * 10_000 + Fraction(1, 2)):
            return int(pence)
    return 0


def usual_terms(runners: int, *, handicap: bool) -> EachWay | None:
    """Each-way terms by the number of runners; None: win only (RULEBOOK 5)."""
    if runners < 5:
        return None
    if handicap and runners >= 12:
        return EachWay(3 if runners <= 15 else 4, 1, 4, handicap)
    return EachWay(2, 1, 4, handicap) if runners <= 7 else EachWay(3, 1, 5, handicap)


Live = tuple[int, list[int]]
"""A leg's live price, and those of all in its market that are priced and not withdrawn."""


class Reference:
    """Markets by path, and what bets on them come to."""

    def __init__(self) -> None:
        self.markets: dict[Path, Market] = {}

    def outcome(self, bet: Bet) -> tuple[str, int, int]:
        """(status, paid in minor units, cut off by the payout maximum)."""
        stake_m = bet.stake_m - bet.sold_m
        back_m = 0 if bet.free else stake_m
        if not stake_m:
            return "cashed_out", 0, 0
        if bet.voided or all(self.is_void(bet, leg) for leg in bet.legs):
            return "void", back_m, 0
        alive = [
            multipliers
            for part in (False, True)[: 1 + bet.each_way]
            for multipliers in self.multipliers(bet, place=part)
            if 0 not in multipliers
        ]
        if any(None in multipliers for multipliers in alive):
            return "open", 0, 0
        unit = Fraction(stake_m, number_of_lines(bet))
        paid_m = 0
        for multipliers in alive:
            total = prod((each for each in multipliers if each is not None), start=Fraction(1))
            paid_m += floor(unit * (max(Fraction(0), total - 1) if bet.free else total))
        most_m = bet.payout_max_m + back_m
        return "won" if paid_m else "lost", min(paid_m, most_m), max(0, paid_m - most_m)

    def multipliers(self, bet: Bet, *, place: bool) -> Iterator[list[Fraction | None]]:
        """Of each line, what its legs multiply the stake by; None: not known yet."""
        for line in lines(bet):
            yield [self.multiplier(bet, leg, place=place) for leg in line]

    def is_void(self, bet: Bet, leg: Leg) -> bool:
        result = self.result(bet, leg)
        return result is not None and result.void_factor == 10_000

    def result(self, bet: Bet, leg: Leg) -> Result | None:
        return Result("", 0, 10_000) if leg.voided else self.result_of(bet.placed_ms, leg.path, leg.selection)

    def result_of(self, placed_ms: int, path: Path, selection: str) -> Result | None:
        """A cancel or a withdrawal goes before a result; a bet builder without results has those of its parts."""
        market = self.markets[path]
        cancelled = any(start <= placed_ms and (placed_ms < end or end == 0) for start, end in market.cancels)
        if cancelled or selection in market.withdrawn:
            return Result("", 0, 10_000)
        if selection in market.results or not market.parts:
            return market.results.get(selection)
        parts = [self.result_of(placed_ms, *part) for part in market.parts]
        if any(part is not None and (part.result, part.void_factor) == (0, 0) for part in parts):
            return Result("", 0)
        if None in parts:
            return None
        won = all(part is not None and part.result and not part.void_factor and not _shared(part) for part in parts)
        return Result("", 1) if won else Result("", 0, 10_000)

    def multiplier(self, bet: Bet, leg: Leg, *, place: bool) -> Fraction | None:
        """RULEBOOK 5: vf + (1 - vf) x result x price x dhf, Rule 4 from the winnings, a place part at its terms."""
        result = self.result(bet, leg)
        if result is None:
            return None
        void = Fraction(result.void_factor, 10_000)
        if void == 1:
            return Fraction(1)
        won, share = Fraction(result.result), Fraction(result.dead_heat_places, result.dead_heat_sharing)
        terms = Fraction(1)
        if place:
            assert leg.place is not None
            void, terms = Fraction(0), Fraction(leg.place.numerator, leg.place.denominator)
            won, share = self.placed(leg, result, leg.place.places)
        if not won:
            return void
        winnings = self.winnings(bet, leg)
        return None if winnings is None else void + (1 - void) * (1 + winnings * terms) * share

    def winnings(self, bet: Bet, leg: Leg) -> Fraction | None:
        """What a stake of one wins, less Rule 4, of which a bet at the starting price knows nothing."""
        if not leg.starting_price:
            return (Fraction(leg.price, 10_000) - 1) * (1 - self.deduction(bet, leg))
        starting_price = self.markets[leg.path].starting_prices.get(leg.selection)
        return None if starting_price is None else Fraction(starting_price, 10_000) - 1

    def cash_out(self, bet: Bet, live: Callable[[Leg], Live], sold_m: int, margin: Fraction) -> int:
        """The offer for a part of the stake: what its lines can be expected to pay, less the margin."""
        worth = ZERO
        for place in (False, True)[: 1 + bet.each_way]:
            expected = {id(leg): self.expected(bet, leg, live, place=place) for leg in bet.legs}
            worth += sum((prod((expected[id(leg)] for leg in line), start=ONE) for line in lines(bet)), start=ZERO)
        return floor(sold_m * worth / number_of_lines(bet) * (1 - margin))

    def expected(self, bet: Bet, leg: Leg, live: Callable[[Leg], Live], *, place: bool) -> Fraction:
        """What a leg pays if it wins, or is placed, times its chance: one over what it pays at the live price, over the
        sum of all such, where that is more than who can win.
        """
        decided = self.multiplier(bet, leg, place=place)
        if decided is not None:
            return decided
        price, prices = live(leg)
        winnings = self.winnings(bet, leg)
        share = Fraction(leg.place.numerator, leg.place.denominator) if place and leg.place else ONE
        winners = leg.place.places if place and leg.place else 1
        inverse = [1 / (1 + (Fraction(each, 10_000) - 1) * share) for each in (price, *prices)]
        chance = inverse[0] / max(ONE, sum(inverse[1:], start=ZERO) / winners)
        return (1 + (Fraction(price, 10_000) - 1 if winnings is None else winnings) * share) * chance

    def placed(self, leg: Leg, result: Result, places: int) -> tuple[Fraction, Fraction]:
        """Whether it is placed; and which share of a place it has, where several came in together."""
        if not 1 <= result.position <= places:
            return Fraction(0), Fraction(1)
        together = [each for each in self.markets[leg.path].results.values() if each.position == result.position]
        left = places - result.position + 1
        return Fraction(1), Fraction(min(left, len(together)), len(together))

    def deduction(self, bet: Bet, leg: Leg) -> Fraction:
        """Of the winnings, for withdrawals after the bet was struck; at most 90 pence in the pound."""
        withdrawn = self.markets[leg.path].withdrawn.values()
        return Fraction(min(90, sum(rule_4(price) for at_ms, price in withdrawn if bet.placed_ms < at_ms)), 100)


def _shared(result: Result) -> bool:
    return result.dead_heat_places != result.dead_heat_sharing
