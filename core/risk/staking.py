"""The stake of a slip against the limits: stake, payout, liability from the selection up to the book (RULEBOOK 3, 4).

Limits are in minor units of the book's currency, stakes in the account's; what is answered is in the account's.

Liabilities are first looked at by an upper bound that costs a few additions a leg: each leg on its own market, and the
sums above it. Only of a slip that the bound refuses is every level looked at exactly (core/risk/prospect.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from core import protection
from core.betting import lines
from core.book import BetLeg, Book, Caps, Customer, Market, Selection, System
from core.limits import Limits
from core.messages.answers import MaxStake
from core.messages.events import AcceptedLeg
from core.messages.rejections import Rejection
from core.refusals import Refusal
from core.risk import liability, prospect
from core.risk.prospect import Bound, Prospect
from core.units import MONEY_MAX, PRICE_ONE, RATE_ONE, account_down, account_up, base_up, payout_down, stake_down


class Slip(Struct, gc=False):
    """A bet as far as its stake does not matter, at one moment."""

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
    bounds: list[Bound] | None = None
    """The limits of its liability, looked at when the bound refuses a stake."""
    event_no: int = 0
    """Then."""

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
    return replace(
        first,
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
    if _fits(book, slip, stake_m):
        return None
    for bound in _bounds(book, slip):
        if _over(book, bound, stake_m):
            price = slip.chosen[bound.leg].price if bound.leg >= 0 else 0
            return Refusal(bound.reason, bound.leg, price, account_down(bound.limit_m, rate))
    return None


def _fits(book: Book, slip: Slip, stake_m: int) -> bool:
    """Whether it passes no liability limit for certain."""
    base_m = stake_m
    winnings_m = payout_down(stake_m, slip.numerator, slip.denominator) - stake_m
    if slip.rate != RATE_ONE:
        # As the bet will count (core/risk/liability.py, `winnings`).
        base_m, winnings_m = base_up(stake_m, slip.rate), base_up(winnings_m, slip.rate)
    return _within(book, slip, base_m, winnings_m)


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


def _bounds(book: Book, slip: Slip) -> list[Bound]:
    """The limits of liability in the order of the ladder; of each the liability as a function of the slip's stake."""
    if slip.bounds is None:
        system, rate = slip.system, slip.rate
        lines_of = ([1] * len(slip.legs), 1) if system is None else (lines.holding(system.shape), system.lines)
        found = Prospect(book, slip.chosen, slip.legs, slip.caps, lines_of)
        bounds = [*found.bounds, found.of_book(slip.lowest.book_m)]
        if rate != RATE_ONE:
            bounds = [bound._replace(worth=partial(_in_base, bound.worth, rate)) for bound in bounds]
        owed = partial(_owed, slip.customer.liability_m, slip.numerator, slip.denominator, rate)
        bounds.insert(-1, Bound(Rejection.LIABILITY_CUSTOMER, -1, slip.lowest.customer_m, owed, None))
        slip.bounds, slip.event_no = bounds, book.event_no
    assert slip.event_no == book.event_no, "a slip is of one moment"
    return slip.bounds


def _in_base(worth: Callable[[int], int], rate: int, stake_m: int) -> int:
    return worth(base_up(stake_m, rate))


def _owed(liability_m: int, numerator: int, denominator: int, rate: int, stake_m: int) -> int:
    """What a customer's bets win beyond their stakes, with this one (core/risk/liability.py, `winnings`)."""
    return liability_m + base_up(payout_down(stake_m, numerator, denominator) - stake_m, rate)


def _over(book: Book, bound: Bound, stake_m: int) -> bool:
    """Whether a stake passes a limit; fixtures of other bets are made exact before it is refused for them."""
    if bound.worth(stake_m) <= bound.most_m:
        return False
    if not bound.shared or not book.loose:
        return True
    for fixture in list(book.loose.values()):
        liability.tighten(book, fixture)
    return bound.worth(stake_m) > bound.most_m


def accepted(book: Book, slip: Slip, stake_m: int, least_m: int) -> int:
    """The greatest stake up to this one that passes the limits of `refusal`, one minor unit more does not; 0: none.

    Where it is below `least_m`, no stake from there on passes them.

    Each limit that the stake passes lowers it to the greatest that this one takes. Legs are rounded, so that a smaller
    stake may pass a limit by a minor unit that a greater one kept: it is looked at again until none is passed.
    """
    caps = slip.lowest
    base_m = min(caps.stake_max_m, stake_down(caps.payout_max_m, slip.numerator, slip.denominator))
    high_m = min(stake_m, account_down(base_m, slip.rate))
    if high_m <= 0 or _fits(book, slip, high_m):
        return max(0, high_m)
    lowered = True
    while lowered and high_m > least_m:
        lowered = False
        for bound in _bounds(book, slip):
            if high_m > least_m and _over(book, bound, high_m):
                high_m, lowered = prospect.greatest(bound.worth, bound.most_m, least_m, high_m), True
    if high_m == least_m and any(_over(book, bound, high_m) for bound in _bounds(book, slip)):
        return 0
    return high_m


def acceptable(book: Book, limits: Limits, slip: Slip, stake_m: int, now_ms: int) -> int:
    """The greatest stake up to this one that would be accepted, the customer's own limits minded; 0 if none."""
    own_m = protection.room(slip.customer, now_ms)
    least_m = least(limits, slip)
    stake_m = accepted(book, slip, stake_m if own_m is None else min(stake_m, own_m), least_m)
    return stake_m if stake_m >= least_m else 0


def max_stake(book: Book, limits: Limits, slip: Slip, now_ms: int) -> MaxStake:
    """The greatest stake of a slip, and the reason that one minor unit more would get."""
    customer = slip.customer
    stake_m = acceptable(book, limits, slip, min(customer.cash_m, MONEY_MAX), now_ms)
    tried_m = max(stake_m + 1, least(limits, slip))
    why = protection.refusal(customer, tried_m, now_ms) or refusal(book, slip, tried_m)
    why = why or Refusal(Rejection.BALANCE_TOO_LOW, limit=customer.cash_m)
    count = slip.system.lines if slip.system is not None else 1
    return MaxStake(stake_m, why.reason.name, why.leg, why.price, why.limit, why.detail, count, slip.payout(stake_m))
