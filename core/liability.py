"""What the house can lose: kept up to date with every bet, so that a limit is checked by looking at numbers.

A market's liability is the most it pays out (as many of its selections as win, the dearest) less the stakes taken on
it, at least 0 (RULEBOOK 4, market vector). A fixture's is the sum over its markets, the book's the sum over all: no
less than the true worst case, since markets of one fixture are taken to go wrong together.

A multiple counts at each of its legs with the stake that runs on it: its own stake times what the decided legs have
made of it; an undecided leg counts as 1, its expected value at the offered price. As legs win the running stake grows
on the others; no bet is refused in retrospect.
"""

from __future__ import annotations

from core.book import Bet, BetLeg, Book, Customer, Market
from core.messages.events import BetStatus
from core.messages.results import Result, multiplier
from core.units import PRICE_ONE, payout_down

_VOID = Result("", 0, 10_000)


def leg_result(bet: Bet, leg: BetLeg) -> Result | None:
    """What became of a bet's leg; None: nothing yet. A cancel goes before a result (RULEBOOK 5)."""
    selection = leg.selection
    market = selection.market
    if market.cancels and market.cancels_at(bet.ts_ms):
        return _VOID
    return selection.result


def add(book: Book, leg: BetLeg, sign: int) -> None:
    """Count a leg's running stake in (sign 1) or out (-1) of its market, fixture and the book."""
    running_m = leg.running_m
    if not running_m:
        return
    selection = leg.selection
    market = selection.market
    selection.payout_m += sign * payout_down(running_m, leg.price, PRICE_ONE)
    market.stakes_m += sign * running_m
    if sign > 0 and market.winners == 1:
        # The old worst case less the new stake, or the new one: no need to look at all selections.
        liability_m = max(0, market.liability_m - running_m, selection.payout_m - market.stakes_m)
    else:
        liability_m = max(0, market.top_payout() - market.stakes_m)
    _set(book, market, liability_m)


def reassess(book: Book, market: Market) -> None:
    """Look at the market's worst case afresh: its number of winners may be another."""
    _set(book, market, max(0, market.top_payout() - market.stakes_m))


def _set(book: Book, market: Market, liability_m: int) -> None:
    change_m = liability_m - market.liability_m
    if change_m:
        market.liability_m = liability_m
        market.fixture.liability_m += change_m
        book.liability_m += change_m


def running_stakes(bet: Bet) -> list[int]:
    """The stake that runs on each leg, in minor units, rounded down: 0 on decided legs and on those of a closed bet."""
    if bet.status != BetStatus.OPEN:
        return [0] * len(bet.legs)
    numerator, denominator, undecided = 1, 1, []
    for leg in bet.legs:
        result = leg_result(bet, leg)
        undecided.append(result is None)
        if result is not None:
            above, below = multiplier(result, leg.price)
            numerator, denominator = numerator * above, denominator * below
    running_m = payout_down(bet.stake_m, numerator, denominator)
    return [running_m if runs else 0 for runs in undecided]


def rerun(book: Book, bet: Bet) -> None:
    """Bring a bet's running stakes up to date with the results of its legs."""
    for leg, running_m in zip(bet.legs, running_stakes(bet), strict=True):
        if running_m != leg.running_m:
            add(book, leg, -1)
            leg.running_m = running_m
            add(book, leg, 1)


def count(customer: Customer, bet: Bet, sign: int) -> None:
    """Count an open bet in (sign 1) or out (-1) of its customer's liability."""
    customer.liability_m += sign * (bet.payout_m - bet.stake_m)
