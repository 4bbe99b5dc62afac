"""The stake of a slip against the limits: stake, payout, liability from the selection up to the book (RULEBOOK 3, 4).

Limits are in minor units of the book's currency, stakes in the account's; what is answered is in the account's.

Liabilities are first looked at by an upper bound that costs a few additions a leg: each leg on its own market, and the
sums above it. Only a slip that the bound refuses is tried in earnest: its legs are counted in, every level is looked at
exactly, and they are counted out again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from msgspec import Struct

from core import liability, lines, protection
from core.book import BetLeg, Book, Caps, Customer, Fixture, Market, Selection, System
from core.limits import Limits
from core.messages.answers import MaxStake
from core.messages.events import AcceptedLeg
from core.messages.rejections import Rejection
from core.refusals import Refusal
from core.units import MONEY_MAX, PRICE_ONE, RATE_ONE, account_down, account_up, base_up, payout_down, stake_down


class Slip(Struct, frozen=True, gc=False):
    """A bet as far as its stake does not matter."""

    customer: Customer
    chosen: list[Selection]
    legs: list[AcceptedLeg]
    caps: list[Caps]
    """For each leg the limits that hold for this customer now."""
    lowest: Caps
    """Of the whole bet: the lowest of its legs' for what is not counted leg by leg."""
    system: System | None
    numerator: int
    denominator: int
    """It pays stake x numerator / denominator if every leg wins that can."""
    delay_ms: int
    rate: int

    def payout(self, stake_m: int) -> int:
        """What is paid if every leg wins; each line's own rounding can only take from it."""
        return payout_down(stake_m, self.numerator, self.denominator)

    def running(self, base_m: int) -> list[int]:
        """What runs on each leg, and as much again on its place part, in the book's currency."""
        if self.system is None:
            return [base_m] * len(self.legs)
        count = self.system.lines
        return [payout_down(base_m, held, count) for held in lines.holding(self.system.shape)]


def most(system: System, legs: Sequence[AcceptedLeg | BetLeg]) -> tuple[int, int]:
    """What a system pays for a stake of one if every leg wins, as a fraction; by formula, not by enumeration."""
    numerator, denominator = lines.total(system.shape, [(leg.price, PRICE_ONE) for leg in legs])
    if not system.each_way:
        return numerator, denominator * system.lines
    above, below = lines.total(system.shape, [_placed(leg) for leg in legs])
    return numerator * below + above * denominator, denominator * below * system.lines


def _placed(leg: AcceptedLeg | BetLeg) -> tuple[int, int]:
    assert leg.place is not None
    below = PRICE_ONE * leg.place.denominator
    return below + (leg.price - PRICE_ONE) * leg.place.numerator, below


def least(limits: Limits, slip: Slip) -> int:
    """The least stake of a slip: the book's, and one minor unit a line."""
    stake_min_m = account_up(limits.stake_min_m, slip.rate)
    return stake_min_m if slip.system is None else max(stake_min_m, slip.system.lines)


def lowest(caps: list[Caps]) -> Caps:
    """The limits of a whole bet: for stake, payout and customer the lowest of its legs'."""
    first = caps[0]
    if len(caps) == 1 or all(each is first or each == first for each in caps):
        return first
    return first._replace(
        stake_max_m=min([each.stake_max_m for each in caps]),
        payout_max_m=min([each.payout_max_m for each in caps]),
        customer_m=min([each.customer_m for each in caps]),
    )


def refusal(book: Book, slip: Slip, stake_m: int, *, waived: bool = False) -> Refusal | None:
    """The first limit that does not take this stake; `waived`: a trader takes stake and payout as they are."""
    rate, caps = slip.rate, slip.lowest
    if not waived:
        base_m = stake_m if rate == RATE_ONE else base_up(stake_m, rate)
        if base_m > caps.stake_max_m:
            return Refusal(Rejection.STAKE_TOO_LARGE, limit=account_down(caps.stake_max_m, rate))
        # By the exact winnings: rounded down, one minor unit more than stake_down allows could slip in.
        if base_m * (slip.numerator - slip.denominator) > caps.payout_max_m * slip.denominator:
            return Refusal(Rejection.PAYOUT_TOO_LARGE, limit=account_down(caps.payout_max_m, rate))
    passed = _passed(book, slip, stake_m)
    if passed is None:
        return None
    found = passed.refusal
    return found._replace(limit=account_down(found.limit, rate))


def _passed(book: Book, slip: Slip, stake_m: int) -> _Passed | None:
    """The first liability limit that a stake passes: by the bound, and where that refuses, in earnest."""
    rate = slip.rate
    base_m = stake_m
    winnings_m = payout_down(stake_m, slip.numerator, slip.denominator) - stake_m
    if rate != RATE_ONE:
        # As the bet will count (core/liability.py, `winnings`).
        base_m, winnings_m = base_up(stake_m, rate), base_up(winnings_m, rate)
    return None if _within(book, slip, base_m, winnings_m) else _tried(book, slip, base_m, winnings_m)


def _within(book: Book, slip: Slip, base_m: int, winnings_m: int) -> bool:
    """Whether it passes no liability limit for certain: legs add no more together than each by itself."""
    if slip.customer.liability_m + winnings_m > slip.lowest.customer_m:
        return False
    system = slip.system
    runs = None if system is None else slip.running(base_m)
    running_m = base_m
    total_m = 0
    for index, selection in enumerate(slip.chosen):
        leg, caps, market = slip.legs[index], slip.caps[index], selection.market
        if runs is not None:
            running_m = runs[index]
        rise_m = payout_down(running_m, leg.price, PRICE_ONE) - running_m
        loss_m = selection.payout_m + rise_m - market.stakes_m
        if loss_m > caps.selection_m:
            return False
        if leg.place is not None:
            rise_m += payout_down(running_m, *_placed(leg)) - running_m
        elif market.winners == 1 and market.patterns is None and not market.place_stakes_m:
            # The old worst case less the new stake, or the new one: no need to look at all selections.
            liability_m = market.liability_m
            rise_m = (max(liability_m - running_m, loss_m)) - liability_m
        if rise_m <= 0:
            continue
        total_m += rise_m
        if market.liability_m + (rise_m if system is None else total_m) > caps.market_m:
            return False
        if market.fixture.liability_m + total_m > caps.fixture_m or (
            caps.levels and _over_levels(market, caps, total_m)
        ):
            return False
    return not total_m or book.liability_m + total_m <= slip.lowest.book_m


def _over_levels(market: Market, caps: Caps, added_m: int) -> bool:
    """Whether a level that has a limit is passed."""
    fixture = market.fixture
    return any(
        level is not None and level.liability_m + added_m > most_m
        for level, most_m in (
            (market.type_level, caps.type_m),
            (fixture.competition_level, caps.competition_m),
            (fixture.sport_level, caps.sport_m),
        )
    )


class _Sums(NamedTuple):
    """The liabilities above a selection."""

    market_m: int
    type_m: int
    fixture_m: int
    competition_m: int
    sport_m: int

    @classmethod
    def of(cls, market: Market) -> _Sums:
        fixture = market.fixture
        levels = market.type_level, fixture.competition_level, fixture.sport_level
        kind, competition, sport = (level.liability_m if level is not None else 0 for level in levels)
        return cls(market.liability_m, kind, fixture.liability_m, competition, sport)


_ABOVE = (
    Rejection.LIABILITY_MARKET,
    Rejection.LIABILITY_MARKET_TYPE,
    Rejection.LIABILITY_FIXTURE,
    Rejection.LIABILITY_COMPETITION,
    Rejection.LIABILITY_SPORT,
)
"""In the order of _Sums."""
_WITHIN_FIXTURE = frozenset({Rejection.LIABILITY_SELECTION, Rejection.LIABILITY_MARKET, Rejection.LIABILITY_FIXTURE})


class _Passed(NamedTuple):
    """The first limit that is passed; by how much; and what the stake adds to that liability at the most."""

    refusal: Refusal
    excess_m: int
    added_m: int


def _tried(book: Book, slip: Slip, base_m: int, winnings_m: int) -> _Passed | None:
    """The first liability limit that it passes, exactly: its legs are counted in, looked at, and counted out."""
    for fixture in list(book.loose.values()):
        liability.tighten(book, fixture)
    before = [_Sums.of(selection.market) for selection in slip.chosen]
    book_m = book.liability_m
    fixtures = {selection.market.fixture.id: selection.market.fixture for selection in slip.chosen}
    exact_m = [fixture.liability_m for fixture in fixtures.values()]
    legs = [
        BetLeg(selection, leg.price, 0, running_m, running_m if leg.place else 0, leg.place)
        for selection, leg, running_m in zip(slip.chosen, slip.legs, slip.running(base_m), strict=True)
    ]
    for leg in legs:
        liability.add(book, leg, 1)
    for fixture in list(book.loose.values()):
        liability.tighten(book, fixture)
    found = _first(book, slip, before, book_m, winnings_m)
    for leg in legs:
        liability.add(book, leg, -1)
    for fixture, was_m in zip(fixtures.values(), exact_m, strict=True):
        liability.exactly(book, fixture, was_m)
    if found is None:
        return None
    refusal, excess_m = found
    if refusal.reason is Rejection.LIABILITY_CUSTOMER:
        return _Passed(refusal, excess_m, winnings_m)
    own = slip.chosen[refusal.leg].market.fixture if refusal.reason in _WITHIN_FIXTURE else None
    return _Passed(refusal, excess_m, _added(legs, own))


def _added(legs: list[BetLeg], own: Fixture | None) -> int:
    """What legs, or those of one fixture, add at the most to any liability: their winnings."""
    added_m = 0
    for leg in legs:
        if own is None or leg.selection.market.fixture is own:
            added_m += payout_down(leg.running_m, leg.price, PRICE_ONE) - leg.running_m
            if leg.place is not None:
                added_m += liability.place_payout(leg) - leg.place_running_m
    return added_m


def _first(book: Book, slip: Slip, before: list[_Sums], book_m: int, winnings_m: int) -> tuple[Refusal, int] | None:
    """The first limit that is passed now, and by how much; a bet that lowers a liability is never refused for it."""
    for index, (selection, caps, sums) in enumerate(zip(slip.chosen, slip.caps, before, strict=True)):
        most_m = caps.selection_m
        loss_m = selection.payout_m - selection.market.stakes_m
        if loss_m > most_m:
            return Refusal(Rejection.LIABILITY_SELECTION, index, selection.price, most_m), loss_m - most_m
        limits = caps.market_m, caps.type_m, caps.fixture_m, caps.competition_m, caps.sport_m
        for reason, was_m, now_m, most_m in zip(_ABOVE, sums, _Sums.of(selection.market), limits, strict=True):
            if now_m > was_m and now_m > most_m:
                return Refusal(reason, index, selection.price, most_m), now_m - max(was_m, most_m)
    most_m = slip.lowest.customer_m
    excess_m = slip.customer.liability_m + winnings_m - most_m
    if excess_m > 0:
        return Refusal(Rejection.LIABILITY_CUSTOMER, limit=most_m), excess_m
    most_m = slip.lowest.book_m
    if book.liability_m > book_m and book.liability_m > most_m:
        return Refusal(Rejection.LIABILITY_BOOK, limit=most_m), book.liability_m - max(book_m, most_m)
    return None


def accepted(book: Book, slip: Slip, stake_m: int) -> int:
    """The greatest stake up to this one that passes the limits of `refusal`, one minor unit more does not; 0: none.

    Liability is convex in the stake, and rises no faster than by what the stake adds at the most: so the excess over
    a limit says how far down the greatest stake lies at least; of a single at its worst outcome it says it exactly, but
    for the rounding of the legs, to this side and to that. Every third step halves what is left, so that a stake is
    found in some steps whatever the market looks like.
    """
    caps, rounding_m = slip.lowest, 2 * len(slip.legs)
    base_m = min(caps.stake_max_m, stake_down(caps.payout_max_m, slip.numerator, slip.denominator))
    low_m, high_m = 0, min(stake_m, account_down(base_m, slip.rate))
    passed = _passed(book, slip, high_m) if high_m > 0 else None
    if passed is None:
        return max(0, high_m)
    step = 0
    while high_m - low_m > 1:
        slack_m = (-rounding_m, rounding_m, None)[step % 3]
        if slack_m is None:
            tried_m = (low_m + high_m) // 2
        else:
            tried_m = high_m - (passed.excess_m + slack_m) * high_m // max(1, passed.added_m)
        tried_m = min(max(tried_m, low_m + 1), high_m - 1)
        found = _passed(book, slip, tried_m)
        if found is None:
            low_m = tried_m
        else:
            high_m, passed = tried_m, found
        step += 1
    return low_m


def acceptable(book: Book, limits: Limits, slip: Slip, stake_m: int, now_ms: int) -> int:
    """The greatest stake up to this one that would be accepted, the customer's own limits minded; 0 if none."""
    own_m = protection.room(slip.customer, now_ms)
    stake_m = accepted(book, slip, stake_m if own_m is None else min(stake_m, own_m))
    return stake_m if stake_m >= least(limits, slip) else 0


def max_stake(book: Book, limits: Limits, slip: Slip, now_ms: int) -> MaxStake:
    """The greatest stake of a slip, and the reason that one minor unit more would get."""
    customer = slip.customer
    stake_m = acceptable(book, limits, slip, min(customer.cash_m, MONEY_MAX), now_ms)
    tried_m = max(stake_m + 1, least(limits, slip))
    why = protection.refusal(customer, tried_m, now_ms) or refusal(book, slip, tried_m)
    why = why or Refusal(Rejection.BALANCE_TOO_LOW, limit=customer.cash_m)
    count = slip.system.lines if slip.system is not None else 1
    return MaxStake(stake_m, why.reason.name, why.leg, why.price, why.limit, why.detail, count, slip.payout(stake_m))
