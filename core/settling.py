"""Settlement: results, cancels and rollbacks of markets, and what they make of each bet (RULEBOOK 5).

A bet's status and payout are a pure function of the bet and of what is known of its markets (`outcome`). Whatever
changes there (results, a correction, a cancel, a rollback), the bets of the market are looked at again, in slices, and
where the function now says something else, a BetSettled posts the difference. So corrections need no code of their own
and the order of arrival cannot matter.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from core import ledger, liability, markets
from core.book import DESK, Bet, Book, Market
from core.limits import Limits
from core.messages import commands as co
from core.messages import events as ev
from core.messages.rejections import Rejection
from core.messages.results import Result, multiplier
from core.refusals import Refusal
from core.units import FACTOR_ONE, payout_down

CANCELS_MAX = 100
"""Windows a market may have: each is looked at for each of its bets; real markets have one or two."""
OPEN, WON, LOST, VOID = (status.value for status in ev.BetStatus)


class Origin(NamedTuple):
    """Who says it: the first fields of the three market events."""

    now_ms: int
    id: str
    digest: int
    source: str
    author: str
    sequence: int


def outcome(bet: Bet) -> tuple[int, int]:
    """A bet's status and what it pays in minor units, stake included, from what is known now.

    A lost leg loses the line at once; a void leg counts 1 (a treble becomes a double). All legs void: the stake.
    """
    if bet.voided:
        return VOID, bet.stake_m
    numerator, denominator, undecided, void = 1, 1, False, True
    for leg in bet.legs:
        result = liability.leg_result(bet, leg)
        if result is None:
            undecided = True
            continue
        above, below = multiplier(result, leg.price)
        if not above:
            return LOST, 0
        numerator, denominator = numerator * above, denominator * below
        void = void and result.void_factor == FACTOR_ONE
    if undecided:
        return OPEN, 0
    return (VOID if void else WON), payout_down(bet.stake_m, numerator, denominator)


def review(bet: Bet, now_ms: int) -> ev.BetSettled | ev.BetAdvanced | None:
    """What has to happen to a bet for it to agree with the results, if anything."""
    status, paid_m = outcome(bet)
    if status != bet.status or paid_m != bet.paid_m:
        customer = bet.customer
        return ev.BetSettled(
            now_ms, bet.id, customer.id, customer.currency, bet.stake_m, bet.status, bet.paid_m, status, paid_m
        )
    if status == OPEN and liability.running_stakes(bet) != [leg.running_m for leg in bet.legs]:
        return ev.BetAdvanced(now_ms, bet.id)
    return None


def apply_settled(book: Book, event: ev.BetSettled) -> None:
    """Status, money, and what the bet can still cost."""
    bet = book.bets[event.bet]
    opens = (event.status == OPEN) - (event.was == OPEN)
    bet.status, bet.paid_m = event.status, event.paid_m
    book.voided.pop(bet.id, None)
    ledger.post(book, bet.customer, event)
    liability.rerun(book, bet)
    if opens:
        book.open_bets += opens
        liability.count(bet.customer, bet, opens)
        for leg in bet.legs:
            leg.selection.market.open_bets += opens


def apply_advanced(book: Book, event: ev.BetAdvanced) -> None:
    """Only what runs on the other legs changes."""
    liability.rerun(book, book.bets[event.bet])


def results_event(
    market: Market, results: tuple[Result, ...], origin: Origin, reason: str
) -> ev.MarketSettled | Refusal:
    """Results of a market, if they are complete and new."""
    given = {result.selection: result for result in results}
    amiss = given.keys() ^ market.selections.keys()
    if amiss or len(given) != len(results):
        return Refusal(Rejection.RESULTS_INCOMPLETE, detail=min(amiss, default="a selection is named twice"))
    if all(market.selections[selection_id].result == result for selection_id, result in given.items()):
        return Refusal(Rejection.NOTHING_TO_CHANGE)
    return ev.MarketSettled(*origin, market.fixture.id, market.id, results, reason)


def cancel_event(market: Market, from_ms: int, to_ms: int, origin: Origin, reason: str) -> ev.MarketCancelled | Refusal:
    """A cancel of a market's bets, if it is new."""
    if (from_ms, to_ms) in market.cancels:
        return Refusal(Rejection.NOTHING_TO_CHANGE)
    if len(market.cancels) >= CANCELS_MAX:
        return Refusal(Rejection.TOO_MANY, limit=CANCELS_MAX, detail="cancels")
    return ev.MarketCancelled(*origin, market.fixture.id, market.id, from_ms, to_ms, reason)


def rollback_event(market: Market, what: str, origin: Origin, reason: str) -> ev.MarketRolledBack | Refusal:
    """A rollback, if there is something to take back."""
    if not (market.settled if what == "results" else market.cancels):
        return Refusal(Rejection.NOTHING_TO_CHANGE)
    return ev.MarketRolledBack(*origin, market.fixture.id, market.id, what, reason)


def _by_desk(command: co.DeskCommand, digest: int, now_ms: int) -> Origin:
    return Origin(now_ms, command.id, digest, DESK, command.author, 0)


def decide_settle(book: Book, _: Limits, command: co.SettleMarket, digest: int, now_ms: int) -> ev.Event | Refusal:
    """Results by the desk."""
    market = markets.find(book, command.fixture, command.market)
    if isinstance(market, Refusal):
        return market
    return results_event(market, command.results, _by_desk(command, digest, now_ms), command.reason)


def decide_cancel(book: Book, _: Limits, command: co.CancelMarket, digest: int, now_ms: int) -> ev.Event | Refusal:
    """A cancel by the desk."""
    market = markets.find(book, command.fixture, command.market)
    if isinstance(market, Refusal):
        return market
    return cancel_event(market, command.from_ms, command.to_ms, _by_desk(command, digest, now_ms), command.reason)


def decide_rollback(book: Book, _: Limits, command: co.RollBackMarket, digest: int, now_ms: int) -> ev.Event | Refusal:
    """A rollback by the desk."""
    market = markets.find(book, command.fixture, command.market)
    if isinstance(market, Refusal):
        return market
    return rollback_event(market, command.what, _by_desk(command, digest, now_ms), command.reason)


def apply_market_settled(book: Book, event: ev.MarketSettled) -> None:
    """The results; the bets follow."""
    market = book.fixtures[event.fixture].markets[event.market]
    for result in event.results:
        market.selections[result.selection].result = result
    market.settled = True
    _reconsider(book, market, event.ts_ms)


def apply_market_cancelled(book: Book, event: ev.MarketCancelled) -> None:
    """The window; the bets follow."""
    market = book.fixtures[event.fixture].markets[event.market]
    market.cancels = (*market.cancels, (event.from_ms, event.to_ms))
    _reconsider(book, market, event.ts_ms)


def apply_market_rolled_back(book: Book, event: ev.MarketRolledBack) -> None:
    """As if the results, or the cancels, had never been; the bets follow."""
    market = book.fixtures[event.fixture].markets[event.market]
    if event.what == "results":
        market.settled = False
        for selection in market.selections.values():
            selection.result = None
    else:
        market.cancels = ()
    _reconsider(book, market, event.ts_ms)


def _reconsider(book: Book, market: Market, ts_ms: int) -> None:
    """All bets of the market are due to be looked at again; while any is, it takes no new ones."""
    key = market.fixture.id, market.id
    closed = market.settled or any(not to_ms for _, to_ms in market.cancels)
    market.closed_ms = ts_ms if closed else 0
    book.closed.pop(key, None)
    if closed:
        book.closed[key] = market
    market.due = list(reversed(market.bets.values()))
    book.settling.pop(key, None)
    if market.due:
        book.settling[key] = market
    book.touch(market)


def advance(book: Book, now_ms: int, most: int) -> Iterator[ev.Event]:
    """The next slice of due bets of the market that has waited longest; each event applied before the next."""
    for market in islice(book.settling.values(), 1):
        bets = market.due[-most:]
        for bet in reversed(bets):
            event = review(bet, now_ms)
            if event is not None:
                yield event
        yield ev.SettlementAdvanced(now_ms, market.fixture.id, market.id, len(bets))


def apply_advance(book: Book, event: ev.SettlementAdvanced) -> None:
    """The slice is done; a market that has more waits behind the others."""
    key = event.fixture, event.market
    market = book.settling.pop(key)
    del market.due[len(market.due) - event.bets :]
    if market.due:
        book.settling[key] = market
    else:
        book.touch(market)


def archive(book: Book, limits: Limits, now_ms: int) -> ev.MarketArchived | None:
    """The next market, or part of one, that is closed for so long that it may be forgotten.

    Not while anything is being settled, so that no bet vanishes from under a slice. A market with an open bet (a
    multiple whose other legs are still to come) is kept, and looked at again after the others.
    """
    if book.settling or book.voided:
        return None
    for key, market in islice(book.closed.items(), 1):
        if now_ms - market.closed_ms < limits.archive_after_ms:
            return None
        if market.open_bets:
            book.closed[key] = book.closed.pop(key)
            return None
        bets = min(len(market.bets), limits.slice_max)
        return ev.MarketArchived(now_ms, *key, bets, bets == len(market.bets))
    return None


def apply_archived(book: Book, event: ev.MarketArchived) -> None:
    """Forget the market's next bets, everywhere; with the last of them the market, with its last market the fixture."""
    fixture = book.fixtures[event.fixture]
    market = fixture.markets[event.market]
    for bet in list(islice(market.bets.values(), event.bets)):
        del book.bets[bet.id]
        for leg in bet.legs:
            del leg.selection.market.bets[bet.id]
    if event.last:
        del fixture.markets[event.market]
        del book.closed[event.fixture, event.market]
        book.touched.pop((event.fixture, event.market), None)
        if not fixture.markets:
            del book.fixtures[event.fixture]


def decide_void(book: Book, _: Limits, command: co.VoidBet, digest: int, now_ms: int) -> ev.Event | Refusal:
    """The operator takes a bet back."""
    bet = book.bets.get(command.bet)
    if bet is None:
        return Refusal(Rejection.BET_UNKNOWN)
    if bet.voided:
        return Refusal(Rejection.BET_NOT_OPEN)
    return ev.BetVoided(now_ms, command.id, digest, command.author, bet.id, bet.customer.id, command.reason)


def decide_cancel_bet(
    book: Book, limits: Limits, command: co.CancelBet, digest: int, now_ms: int
) -> ev.Event | Refusal:
    """The customer takes a bet back: while it is open, within the window, and before any of its legs is decided."""
    bet = book.bets.get(command.bet)
    if bet is None or bet.customer.id != command.customer:
        return Refusal(Rejection.BET_UNKNOWN)
    if bet.status != OPEN:
        return Refusal(Rejection.BET_NOT_OPEN)
    until_ms = bet.ts_ms + limits.cancel_window_ms
    if now_ms >= until_ms or any(liability.leg_result(bet, leg) for leg in bet.legs):
        return Refusal(Rejection.CANCEL_NOT_ALLOWED, limit=until_ms)
    return ev.BetVoided(now_ms, command.id, digest, "", bet.id, bet.customer.id, "")


def apply_voided(book: Book, event: ev.BetVoided) -> None:
    """The bet is void; its BetSettled follows, at the next tick if not at once (an append may part the two)."""
    bet = book.bets[event.bet]
    bet.voided = True
    if (bet.status, bet.paid_m) != outcome(bet):
        book.voided[bet.id] = bet
