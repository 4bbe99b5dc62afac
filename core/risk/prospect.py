"""What a stake would add to the liabilities, as a function of the stake: nothing is counted in to see it.

A bet of twenty legs comes up against some eighty limits, and the greatest stake within them is sought. So what does not
depend on the stake is taken once: of each market its worst case without the legs, of each fixture the loss at its
scores, put into groups that end alike for the legs (core/risk/grid.py). What is left for a stake is a few additions for
each limit, and each limit is searched by itself (docs/adr/0011).

The figures are those that core/risk/liability.py would have if the bet were counted; tests/core/risk/test_prospect.py
counts it in and compares. All is in minor units of the book's currency.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from heapq import nlargest
from typing import NamedTuple

from core.book import PLACES_USUAL_MAX, UNLIMITED, Book, Caps, Fixture, Level, Market, Selection
from core.messages.events import AcceptedLeg
from core.messages.rejections import Rejection
from core.risk import grid, liability
from core.units import PRICE_ONE, payout_down


class Bound(NamedTuple):
    """A limit, and what the bet would make of the liability that it limits."""

    reason: Rejection
    leg: int
    limit_m: int
    worth: Callable[[int], int]
    """A stake in the book's currency -> the liability with it."""
    was: Callable[[], int] | None
    """Without it: what does not raise a liability is taken, though it is above its limit. None: this one, a
    selection's, holds whatever was."""
    shared: bool = False
    """With fixtures of other bets, whose liabilities may be loose."""

    @property
    def most_m(self) -> int:
        """The greatest liability that is taken."""
        return self.limit_m if self.was is None else max(self.limit_m, self.was())


class _Leg:
    """What runs on a leg, and what it is paid."""

    __slots__ = ("count", "held", "place", "places", "price", "selection")

    def __init__(self, selection: Selection, leg: AcceptedLeg, held: int, count: int) -> None:
        self.selection, self.price, self.held, self.count = selection, leg.price, held, count
        self.place: tuple[int, int] | None = None
        self.places = 0
        if leg.place is not None:
            below = PRICE_ONE * leg.place.denominator
            self.place = below + (leg.price - PRICE_ONE) * leg.place.numerator, below
            self.places = leg.place.places

    def rise(self, base_m: int) -> tuple[int, int]:
        """What runs on it, on each of its parts, and what the win part is paid."""
        running_m = base_m if self.held == self.count else payout_down(base_m, self.held, self.count)
        return running_m, payout_down(running_m, self.price, PRICE_ONE)


class _Market:
    """A market that legs of the bet are on."""

    __slots__ = ("_placed", "_places", "_top", "_win_m", "legs", "market")

    def __init__(self, market: Market) -> None:
        self.market = market
        self.legs: list[_Leg] = []
        self._placed: list[int] | None = None

    def read(self) -> None:
        """What the legs leave as it is: the worst case, of one winner, and the dearest of the other selections."""
        market, winners = self.market, self.market.winners
        touched = {leg.selection.id for leg in self.legs}
        alone = winners == 1 and not market.place_stakes_m
        others = [] if alone else [each for each in market.selections.values() if each.id not in touched]
        self._win_m = market.liability_m if alone else 0
        self._top = nlargest(winners, [each.payout_m for each in others])
        self._places = max(PLACES_USUAL_MAX, market.each_way.places if market.each_way else 0, *market.places, 0)
        if market.place_stakes_m or any(leg.place is not None for leg in self.legs):
            most = max(self._places, *(leg.places for leg in self.legs), 0)
            payouts = [each.place_payout_m for each in market.selections.values() if each.id not in touched]
            self._placed = nlargest(most, payouts)

    def loss(self, leg: _Leg, base_m: int) -> int:
        """What it loses if that leg's selection wins alone, place parts not counted."""
        staked_m = sum([each.rise(base_m)[0] for each in self.legs])
        return leg.selection.payout_m + leg.rise(base_m)[1] - self.market.stakes_m - staked_m

    def change(self, base_m: int) -> int:
        """What the bet adds to its liability."""
        return self.worst(base_m) - self.market.liability_m

    def was(self) -> int:
        """Without the bet."""
        return self.market.liability_m

    def worst(self, base_m: int) -> int:
        """Its liability."""
        market, winners = self.market, self.market.winners
        staked_m, payouts = 0, self._top.copy()
        for leg in self.legs:
            running_m, payout_m = leg.rise(base_m)
            staked_m += running_m
            payouts.append(leg.selection.payout_m + payout_m)
        top_m = max(payouts) if winners == 1 else sum(nlargest(winners, payouts))
        worst_m = max(0, self._win_m - staked_m, top_m - market.stakes_m - staked_m)
        return worst_m if self._placed is None else worst_m + self._worst_placed(self._placed, base_m)

    def _worst_placed(self, placed: Sequence[int], base_m: int) -> int:
        """What place parts lose at the worst: as many are paid as the widest terms have."""
        staked_m, places, payouts = self.market.place_stakes_m, self._places, list(placed)
        for leg in self.legs:
            payout_m, running_m = leg.selection.place_payout_m, leg.rise(base_m)[0]
            if leg.place is not None and running_m:
                payout_m += payout_down(running_m, *leg.place)
                staked_m += running_m
                places = max(places, leg.places)
            payouts.append(payout_m)
        return max(0, sum(nlargest(places, payouts)) - staked_m)


class _Fixture:
    """A fixture that legs of the bet are on."""

    __slots__ = ("_groups", "_last", "_legs", "_losses", "fixture", "markets")

    def __init__(self, fixture: Fixture) -> None:
        self.fixture = fixture
        self._last = -1, 0
        self.markets: list[_Market] = []

    def read(self, book: Book) -> None:
        """Its liability made exact, and its losses at the scores that the legs tell apart."""
        fixture = self.fixture
        self._legs = [leg for each in self.markets if each.market.patterns is not None for leg in each.legs]
        if fixture.id in book.loose or (self._legs and fixture.grid is None):
            liability.tighten(book, fixture)
        if not self._legs:
            return
        assert fixture.grid is not None
        self._groups = grid.groups(tuple(_ends(leg.selection) for leg in self._legs))
        self._losses = fixture.grid.grouped(self._groups)

    def change(self, base_m: int) -> int:
        """What the bet adds to its liability; asked again for the levels above."""
        stake_m, change_m = self._last
        if stake_m != base_m:
            change_m = self._changed(base_m)
            self._last = base_m, change_m
        return change_m

    def _changed(self, base_m: int) -> int:
        plain_m = 0
        for each in self.markets:
            if each.market.patterns is None:
                plain_m += each.worst(base_m) - each.market.liability_m
        if not self._legs:
            return plain_m
        scored_m = self._groups.worst(self._losses, [leg.rise(base_m) for leg in self._legs])
        return self.fixture.plain_m + plain_m + scored_m - self.fixture.liability_m

    def worst(self, base_m: int) -> int:
        """Its liability."""
        return self.fixture.liability_m + self.change(base_m)

    def was(self) -> int:
        """Without the bet."""
        return self.fixture.liability_m


def _ends(selection: Selection) -> tuple[bytes, bytes]:
    """How it ends at each score."""
    patterns = selection.market.patterns
    assert patterns is not None
    number = list(selection.market.selections).index(selection.id)
    return patterns.won[number].tobytes(), patterns.void[number].tobytes()


class Prospect:
    """The limits of a bet's liabilities, from the selections up, leg by leg, in the order of the ladder.

    As of the moment at which it was made: nothing may be counted in or out while it is used. `holding`: how many of the
    bet's `count` lines hold each leg.
    """

    __slots__ = ("_book", "_fixtures", "_markets", "_seen", "bounds")

    def __init__(
        self,
        book: Book,
        chosen: Sequence[Selection],
        legs: Sequence[AcceptedLeg],
        caps: Sequence[Caps],
        lines: tuple[Sequence[int], int],
    ) -> None:
        self._book = book
        self._markets: dict[int, _Market] = {}
        self._fixtures: dict[str, _Fixture] = {}
        holding, count = lines
        on = [_Leg(selection, leg, held, count) for selection, leg, held in zip(chosen, legs, holding, strict=True)]
        for leg in on:
            self._add(leg)
        for market in self._markets.values():
            market.read()
        for fixture in self._fixtures.values():
            fixture.read(book)
        self.bounds: list[Bound] = []
        self._seen: dict[int, int] = {}
        for index, (leg, own) in enumerate(zip(on, caps, strict=True)):
            self._bound(index, leg, own)

    def _add(self, leg: _Leg) -> None:
        market = leg.selection.market
        fixture = self._fixtures.get(market.fixture.id)
        if fixture is None:
            fixture = self._fixtures[market.fixture.id] = _Fixture(market.fixture)
        known = self._markets.get(id(market))
        if known is None:
            known = self._markets[id(market)] = _Market(market)
            fixture.markets.append(known)
        known.legs.append(leg)

    def _bound(self, index: int, leg: _Leg, caps: Caps) -> None:
        market = leg.selection.market
        known, fixture = self._markets[id(market)], self._fixtures[market.fixture.id]
        self.bounds.append(
            Bound(Rejection.LIABILITY_SELECTION, index, caps.selection_m, partial(known.loss, leg), None)
        )
        if self._lower(known, caps.market_m):
            self.bounds.append(Bound(Rejection.LIABILITY_MARKET, index, caps.market_m, known.worst, known.was))
        if caps.levels:
            self._level(Rejection.LIABILITY_MARKET_TYPE, index, market.type_level, caps.type_m)
        if self._lower(fixture, caps.fixture_m):
            self.bounds.append(Bound(Rejection.LIABILITY_FIXTURE, index, caps.fixture_m, fixture.worst, fixture.was))
        if caps.levels:
            self._level(Rejection.LIABILITY_COMPETITION, index, market.fixture.competition_level, caps.competition_m)
            self._level(Rejection.LIABILITY_SPORT, index, market.fixture.sport_level, caps.sport_m)

    def _level(self, reason: Rejection, index: int, level: Level | None, limit_m: int) -> None:
        if level is None or not self._lower(level, limit_m):
            return
        below: list[_Market] | list[_Fixture]
        if reason is Rejection.LIABILITY_MARKET_TYPE:
            below = [each for each in self._markets.values() if each.market.type_level is level]
        else:
            fixtures = self._fixtures.values()
            below = [each for each in fixtures if level in (each.fixture.competition_level, each.fixture.sport_level)]
        sums = _Sum(level, below)
        shared = reason is not Rejection.LIABILITY_MARKET_TYPE
        self.bounds.append(Bound(reason, index, limit_m, sums.worst, sums.was, shared=shared))

    def _lower(self, whose: object, limit_m: int) -> bool:
        """Whether it is lower than that of a leg before: only then it can be the first that is passed."""
        if limit_m >= self._seen.get(id(whose), UNLIMITED):
            return False
        self._seen[id(whose)] = limit_m
        return True

    def of_book(self, limit_m: int) -> Bound:
        """The limit of the whole book, which comes last."""
        sums = _Sum(self._book, list(self._fixtures.values()))
        return Bound(Rejection.LIABILITY_BOOK, -1, limit_m, sums.worst, sums.was, shared=True)


class _Sum:
    """A liability above markets or fixtures."""

    __slots__ = ("_below", "_whose")

    def __init__(self, whose: Level | Book, below: Sequence[_Market] | Sequence[_Fixture]) -> None:
        self._whose, self._below = whose, below

    def worst(self, base_m: int) -> int:
        return self._whose.liability_m + sum([each.change(base_m) for each in self._below])

    def was(self) -> int:
        return self._whose.liability_m


def greatest(worth: Callable[[int], int], most_m: int, low_m: int, high_m: int) -> int:
    """The greatest stake below `high_m`, with which a liability is above `most_m`, with which it is not; 0: none.

    None is below `low_m`: of a few minor units the rounding of legs says more than the stake.

    A liability is convex in the stake, but for the rounding of legs: so the line from what is taken to what is not
    leads to a stake that is taken, and the line through two that are taken on to one that is not. Where both are on
    the last straight piece two steps are enough; every third halves what is left, whatever the market looks like.
    """
    low, high = worth(low_m), worth(high_m)
    if low > most_m:
        return 0
    before_m, before = low_m, low
    step = 0
    while high_m - low_m > 1:
        tried_m = (low_m + high_m) // 2
        if step % 3 == 0 and low < most_m:
            tried_m = low_m + (most_m - low) * (high_m - low_m) // (high - low)
        elif step % 3 == 1 and low > before:
            tried_m = low_m + 1 + (most_m - low) * (low_m - before_m) // (low - before)
        tried_m = min(max(tried_m, low_m + 1), high_m - 1)
        found = worth(tried_m)
        if found > most_m:
            high_m, high = tried_m, found
        else:
            before_m, before = low_m, low
            low_m, low = tried_m, found
        step += 1
    return low_m
