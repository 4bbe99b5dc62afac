"""Cash-out: the customer sells his bet, or a share of it, back to the house before it is decided (RULEBOOK 5).

The offer is what the bet can be expected to pay: of each line its stake times what its decided legs have made of it
times, for each open leg, its price times the chance that it wins, which is one over the live price with the margin
removed in proportion; less the cash-out margin. Place parts likewise, by the place prices that the live ones make at
the bet's terms, with as many winners as places; at the starting price a leg counts at the live one until that is known.
No more is offered than settlement could pay: the payout maximum is the whole bet's, however it is paid.

A quote stands for a few seconds, whatever the price does, but not for a bet that pays less since a runner was
withdrawn, nor where betting on an open leg was stopped meanwhile: something has happened that it does not know. It is
kept live: after a restart there is none.
"""

from __future__ import annotations

from core import ledger, protection
from core.betting import lines
from core.book import Bet, BetLeg, Book, Market, Quote
from core.limits import Limits
from core.markets import interrupted, obstacle
from core.messages import answers as an
from core.messages import commands as co
from core.messages import events as ev
from core.messages import queries as qu
from core.messages.rejections import Rejection
from core.messages.results import EachWay, Result
from core.refusals import Refusal
from core.risk import liability
from core.risk.liability import Multiplier
from core.units import PRICE_ONE, payout_down

_OPEN, _CASHED_OUT = ev.BetStatus.OPEN.value, ev.BetStatus.CASHED_OUT.value
_WON = Result("", 1)
SHARE_ONE = 10_000
_SCALE = PRICE_ONE * 1_000_000
"""Of sums of chances, which are rounded."""


def quote(book: Book, limits: Limits, query: qu.GetCashOut, now_ms: int) -> an.Answer:
    """What the customer gets now; it replaces the quote before."""
    bet = _bet(book, query.customer, query.bet)
    if isinstance(bet, Refusal):
        return bet.answer(query.bet)
    worth = value(bet, limits, now_ms)
    if isinstance(worth, Refusal):
        return worth.answer(query.bet)
    stake_m = payout_down(bet.running_stake_m, query.share_bp, SHARE_ONE)
    numerator, denominator = worth
    offer_m = payout_down(stake_m, numerator * (SHARE_ONE - limits.cash_out_margin_bp), denominator * SHARE_ONE)
    offer_m = min(offer_m, payout_down(bet.paid_max_m, query.share_bp, SHARE_ONE))
    if not offer_m:
        return Refusal(Rejection.CASH_OUT_NOT_OFFERED, detail="it is worth nothing").answer(query.bet)
    until_ms = now_ms + limits.cash_out_quote_ms
    book.quotes.pop(bet.id, None)
    _drop_old(book, now_ms)
    book.quotes[bet.id] = Quote(query.share_bp, stake_m, offer_m, until_ms, _paid(bet), now_ms)
    return an.CashOutQuote(bet.id, query.share_bp, stake_m, offer_m, until_ms)


def _paid(bet: Bet) -> tuple[Multiplier | None, ...]:
    """What each leg pays if it wins, less Rule 4."""
    return tuple([liability.paid(bet, leg, _WON) for leg in bet.legs])


def _drop_old(book: Book, now_ms: int) -> None:
    """Quotes are kept in the order in which they run out; a few that have are forgotten with each new one."""
    for bet_id in [bet_id for bet_id, _ in zip(book.quotes, range(2), strict=False)]:
        if book.quotes[bet_id].until_ms < now_ms:
            del book.quotes[bet_id]


def _bet(book: Book, customer: str, bet_id: str) -> Bet | Refusal:
    """An open bet of the customer's that can be sold."""
    bet = book.bets.get(bet_id)
    if bet is None or bet.customer.id != customer:
        return Refusal(Rejection.BET_UNKNOWN)
    if bet.status != _OPEN or bet.voided:
        return Refusal(Rejection.BET_NOT_OPEN)
    if bet.free_bet:
        return Refusal(Rejection.CASH_OUT_NOT_OFFERED, detail="a free bet")
    return bet


def value(bet: Bet, limits: Limits, now_ms: int) -> Multiplier | Refusal:
    """What a stake of one on the whole bet can be expected to pay; refused at the first leg's obstacle."""
    for index, leg in enumerate(bet.legs):
        refusal = _obstacle(bet, leg, limits, now_ms)
        if refusal is not None:
            return refusal._replace(leg=index)
    wins = [_expected(bet, leg, liability.win_multiplier(bet, leg), None) for leg in bet.legs]
    system = bet.system
    if system is None:
        numerator, denominator = 1, 1
        for above, below in wins:
            numerator, denominator = numerator * above, denominator * below
        return numerator, denominator
    numerator, denominator = lines.total(system.shape, wins)
    if system.each_way:
        places = [_expected(bet, leg, liability.place_multiplier(bet, leg), leg.place) for leg in bet.legs]
        above, below = lines.total(system.shape, places)
        numerator, denominator = numerator * below + above * denominator, denominator * below
    return numerator, denominator * system.lines


def _obstacle(bet: Bet, leg: BetLeg, limits: Limits, now_ms: int) -> Refusal | None:
    """Why nothing can be said of a leg now; that its market is being settled is one even if it is decided: the bet may
    be, and is looked at in a moment.
    """
    selection = leg.selection
    market = selection.market
    if _is_open(bet, leg):
        refusal = obstacle(market, limits, now_ms)
        if refusal is not None:
            return refusal._replace(price=selection.price)
        return None if selection.price else Refusal(Rejection.SELECTION_UNPRICED)
    return Refusal(Rejection.MARKET_CLOSED) if market.due else None


def _is_open(bet: Bet, leg: BetLeg) -> bool:
    is_open = liability.win_multiplier(bet, leg) is None
    return is_open or (leg.place is not None and liability.place_multiplier(bet, leg) is None)


def _expected(bet: Bet, leg: BetLeg, decided: Multiplier | None, place: EachWay | None) -> Multiplier:
    """What a leg, or its place part at these terms, has made of a stake, or can be expected to."""
    if decided is not None:
        return decided
    price = leg.selection.price
    terms = (1, 1) if place is None else (place.numerator, place.denominator)
    # A bet at the starting price has none yet: it would have the live one, and Rule 4 is none of its business.
    won = liability.paid(bet, leg, _WON, *terms) or _pays(price, place)
    above, below = chance(leg.selection.market, price, place)
    return won[0] * above, won[1] * below


def chance(market: Market, price: int, place: EachWay | None = None) -> Multiplier:
    """The chance of a selection, or of its place at these terms, at its live price, the margin removed in proportion,
    at most 1 (RULEBOOK 8).

    One over what it pays over the sum of all such, which stands for as many winners as the market has, or places; who
    is withdrawn takes no part. Where it is less than that there is no margin to remove.
    """
    running = [each.price for each in market.selections.values() if each.price and not each.withdrawn_ms]
    inverse = sum(_SCALE * below // above for above, below in (_pays(each, place) for each in running))
    whole = _SCALE * (market.winners if place is None else place.places)
    above, below = _pays(price, place)
    return (below, above) if inverse <= whole else (below * whole, above * inverse)


def _pays(price: int, place: EachWay | None) -> Multiplier:
    """What a stake of one is paid at a price, or its place part."""
    if place is None:
        return price, PRICE_ONE
    below = PRICE_ONE * place.denominator
    return below + (price - PRICE_ONE) * place.numerator, below


def decide(book: Book, limits: Limits, command: co.CashOut, digest: int, now_ms: int) -> ev.Event | Refusal:
    """The quote is taken, while it stands and the markets of its open legs are open."""
    bet = _bet(book, command.customer, command.bet)
    if isinstance(bet, Refusal):
        return bet
    quoted = book.quotes.get(bet.id)
    if quoted is None or quoted.until_ms < now_ms or quoted.offer_m != command.offer_m or quoted.paid != _paid(bet):
        return Refusal(Rejection.CASH_OUT_CHANGED)
    worth = value(bet, limits, now_ms)
    if isinstance(worth, Refusal):
        return worth
    if any(_is_open(bet, leg) and interrupted(leg.selection.market, quoted.made_ms) for leg in bet.legs):
        return Refusal(Rejection.CASH_OUT_CHANGED)
    customer = bet.customer
    return ev.BetCashedOut(
        now_ms, command.id, digest, customer.id, customer.currency, bet.id, quoted.stake_m, quoted.offer_m
    )


def apply(book: Book, event: ev.BetCashedOut) -> None:
    """The sold part of the stake runs no more; sold whole, the bet is done."""
    bet = book.bets[event.bet]
    customer = bet.customer
    liability.count(customer, bet, -1)
    bet.cashed_out_stake_m += event.stake_m
    bet.cashed_out_m += event.paid_m
    book.quotes.pop(bet.id, None)
    if bet.running_stake_m:
        liability.count(customer, bet, 1)
    else:
        bet.status = _CASHED_OUT
        book.open_bets -= 1
        for market in bet.markets():
            market.open_bets -= 1
    liability.rerun(book, bet)
    ledger.post(book, customer, event)
    if customer.protection is not None:
        protection.returned(customer, event, bet.ts_ms)
