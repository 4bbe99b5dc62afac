"""Bets that wait: for the end of the in-play delay, for a trader, for the customer's word on a trader's offer (RULEBOOK
3).

A waiting bet holds its stake (cash -> reserved), an offer its liability too. When its time is up, or somebody has
answered, it is decided in full, against the prices, statuses and limits of that moment. An answer is an event of its
own and what follows from it another: should an append part the two, the next tick finds the answer and goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush

from msgspec.structs import replace

from core import ledger, protection
from core.betting import placing
from core.book import Book, PendingBet, Selection
from core.limits import Limits
from core.markets import interrupted, obstacle
from core.messages import commands as co
from core.messages import events as ev
from core.messages.rejections import Rejection
from core.refusals import Refusal
from core.risk import liability, staking

_DELAYED, _REFERRED, _OFFERED = (stage.value for stage in ev.Stage)
_ENDED_TIMES_MAX = 1_000
"""Times of bets that wait no more stay in the heap until then; past this and half of it, they go."""


def apply_pending(book: Book, event: ev.BetPending) -> None:
    """The bet, beside the money."""
    customer = book.customers[event.customer]
    pending = book.pending[event.id] = PendingBet(
        event, customer, event.reserved_m, event.until_ms, event.stage, book.event_no
    )
    customer.pending += 1
    _note(book, pending)
    ledger.post(book, customer, event)


def _note(book: Book, pending: PendingBet) -> None:
    """Note when it is to be decided."""
    heappush(book.deciding, _turn(pending))
    if len(book.deciding) > 2 * len(book.pending) + _ENDED_TIMES_MAX:
        book.deciding = [_turn(waiting) for waiting in book.pending.values()]
        heapify(book.deciding)


def _turn(pending: PendingBet) -> tuple[int, int, str]:
    return _time(pending), pending.number, pending.id


def _time(pending: PendingBet) -> int:
    """When it is to be decided; at once, where somebody has answered."""
    return 0 if pending.verdict is not None or pending.taken is not None else pending.until_ms


def due(book: Book, limits: Limits, now_ms: int) -> Iterator[ev.Event]:
    """What becomes of the bets whose time has come, by time, then by arrival; each event applied before the next."""
    while book.deciding and book.deciding[0][0] <= now_ms:
        turn = heappop(book.deciding)
        pending = book.pending.get(turn[-1])
        # Of a bet that had other times before, an earlier turn may still be there: after a replay, which has no ticks.
        if pending is not None and turn == _turn(pending):
            yield decided(book, limits, pending, now_ms)


def decided(book: Book, limits: Limits, pending: PendingBet, now_ms: int) -> ev.Event:
    """What becomes of a bet whose time has come, or that somebody has answered."""
    if pending.taken is not None:
        if not pending.taken:
            return _end(limits, pending, Rejection.OFFER_DECLINED, now_ms)
        # It stood when the customer took it; but an append may have parted the two.
        if _decided(pending, now_ms):
            return _end(limits, pending, Rejection.OFFER_EXPIRED, now_ms)
        return _taken(pending, now_ms)
    if pending.verdict is not None:
        return _judged(book, limits, pending, pending.verdict, now_ms)
    if pending.stage == _OFFERED:
        return _end(limits, pending, Rejection.OFFER_EXPIRED, now_ms)
    if pending.stage == _REFERRED:
        return _end(limits, pending, Rejection.REFERRAL_EXPIRED, now_ms)
    return _delayed(book, limits, pending, now_ms)


def _delayed(book: Book, limits: Limits, pending: PendingBet, now_ms: int) -> ev.Event:
    """The delay is over: all is checked again, and a suspension meanwhile refuses it, lifted or not (RULEBOOK 3).

    So does the loss of a producer: nobody knows what it would have said.
    """
    event = placing.decide(book, limits, pending.command, pending.digest, now_ms, pending)
    reason = event.reason if type(event) is ev.BetRejected else Rejection.TOO_MANY
    if reason <= Rejection.MARKET_SUSPENDED:
        return event
    for index, leg in enumerate(pending.command.legs):
        market = book.fixtures[leg.fixture].markets[leg.market]
        refusal = interrupted(market, pending.asked.ts_ms)
        if refusal is not None and refusal.reason < reason:
            refusal = refusal._replace(leg=index, price=market.selections[leg.selection].price)
            return placing.rejected(limits, pending.command, pending.digest, now_ms, refusal, pending.customer, pending)
    return event


def _end(limits: Limits, pending: PendingBet, reason: Rejection, now_ms: int, detail: str = "") -> ev.BetRejected:
    refusal = Refusal(reason, detail=detail)
    return placing.rejected(limits, pending.command, pending.digest, now_ms, refusal, pending.customer, pending)


def _judged(book: Book, limits: Limits, pending: PendingBet, verdict: ev.ReferralAnswered, now_ms: int) -> ev.Event:
    """The trader's word, carried out."""
    if verdict.action == "decline":
        return _end(limits, pending, Rejection.REFERRAL_DECLINED, now_ms, verdict.reason)
    if verdict.action == "accept":
        return placing.decide(book, limits, pending.command, pending.digest, now_ms, pending)
    slip = _priced(book, limits, pending, verdict.stake_m, verdict.prices, now_ms)
    if isinstance(slip, Refusal):
        return placing.rejected(limits, pending.command, pending.digest, now_ms, slip, pending.customer, pending)
    stake_m = verdict.stake_m or pending.reserved_m
    until_ms = verdict.until_ms or now_ms + limits.offer_ms
    customer = pending.customer
    return ev.BetOffered(
        now_ms,
        verdict.author,
        customer.id,
        customer.currency,
        until_ms,
        pending.reserved_m - stake_m,
        placing.accepted(slip, pending.command, pending.digest, stake_m, now_ms, stake_m),
    )


def _priced(
    book: Book, limits: Limits, pending: PendingBet, stake_m: int, prices: tuple[int, ...], now_ms: int
) -> staking.Slip | Refusal:
    """What a trader offers, if its markets are open and the liability limits take it."""
    slip = placing.read(book, limits, pending.customer, pending.command, now_ms, prices)
    if isinstance(slip, Refusal):
        return slip
    stake_m = stake_m or pending.reserved_m
    least_m = staking.least(limits, slip)
    if stake_m < least_m:
        return Refusal(Rejection.STAKE_TOO_SMALL, limit=least_m)
    return staking.refusal(book, slip, stake_m, waived=True) or slip


def decide_answer(
    book: Book, limits: Limits, command: co.AnswerReferral, digest: int, now_ms: int
) -> ev.Event | Refusal:
    """A trader's word. One that cannot be carried out is refused, and the bet goes on waiting."""
    pending = book.pending.get(command.bet)
    if pending is None or pending.stage != _REFERRED or pending.verdict is not None:
        return Refusal(Rejection.BET_NOT_PENDING)
    stake_m, prices, until_ms = command.stake_m, command.prices, command.until_ms
    if command.action != "offer" and (stake_m or prices or until_ms):
        return Refusal(Rejection.OFFER_NOT_VALID, detail="stake, prices and time are those of an offer")
    if stake_m > pending.reserved_m:
        return Refusal(Rejection.OFFER_NOT_VALID, limit=pending.reserved_m, detail="the stake is above what was asked")
    if prices and len(prices) != len(pending.command.legs):
        return Refusal(Rejection.OFFER_NOT_VALID, limit=len(pending.command.legs), detail="one price for each leg")
    if any(price > limits.price_max for price in prices):
        return Refusal(Rejection.OFFER_NOT_VALID, limit=limits.price_max, detail="a price above the greatest there is")
    latest_ms = now_ms + limits.offer_max_ms
    if until_ms and not now_ms < until_ms <= latest_ms:
        return Refusal(Rejection.OFFER_NOT_VALID, limit=latest_ms, detail="until when it stands")
    if command.action == "offer":
        slip = _priced(book, limits, pending, stake_m, prices, now_ms)
        if isinstance(slip, Refusal):
            return slip
    return ev.ReferralAnswered(
        now_ms,
        command.id,
        digest,
        command.author,
        pending.id,
        pending.customer.id,
        command.action,
        stake_m,
        prices,
        until_ms,
        command.reason,
    )


def apply_answer(book: Book, event: ev.ReferralAnswered) -> None:
    """What follows comes next."""
    pending = book.pending[event.bet]
    pending.verdict = event
    _note(book, pending)


def apply_offered(book: Book, event: ev.BetOffered) -> None:
    """The offer stands: it is reserved as if it were a bet."""
    pending = book.pending[event.bet.id]
    customer = pending.customer
    pending.verdict, pending.stage, pending.until_ms = None, _OFFERED, event.until_ms
    pending.reserved_m -= event.returned_m
    _reserve(book, pending, event)
    _note(book, pending)
    ledger.post(book, customer, event)


def _reserve(book: Book, pending: PendingBet, offer: ev.BetOffered) -> None:
    """Count an offer as if it were a bet."""
    pending.offer, pending.offered = offer, placing.made(book, offer.bet)
    liability.count(pending.customer, pending.offered, 1)
    for leg in pending.offered.legs:
        liability.add(book, leg, 1)


def restored(book: Book, pending: PendingBet, offer: ev.BetOffered | None) -> None:
    """A waiting bet out of a snapshot; its time is put in no order yet."""
    pending.number = len(book.pending)
    book.pending[pending.id] = pending
    pending.customer.pending += 1
    if offer is not None:
        _reserve(book, pending, offer)
    book.deciding.append(_turn(pending))


def decide_take(book: Book, limits: Limits, command: co.TakeOffer, digest: int, now_ms: int) -> ev.Event | Refusal:
    """The customer takes an offer, while its markets are open and he may stake that much."""
    pending = book.pending.get(command.bet)
    if (
        pending is None
        or pending.customer.id != command.customer
        or pending.offered is None
        or pending.taken is not None
    ):
        return Refusal(Rejection.BET_NOT_PENDING)
    customer, stake_m = pending.customer, pending.offered.stake_m
    barred = protection.obstacle(customer, limits, now_ms) or protection.refusal(customer, stake_m, now_ms)
    if barred is not None:
        return barred
    for index, leg in enumerate(pending.offered.legs):
        selection = leg.selection
        refusal = obstacle(selection.market, limits, now_ms) or _overtaken(selection, pending.offered.ts_ms)
        if refusal is not None:
            return refusal._replace(leg=index, price=selection.price)
    return ev.OfferAnswered(now_ms, command.id, digest, customer.id, pending.id, taken=True)


def _overtaken(selection: Selection, offered_ms: int) -> Refusal | None:
    """A runner is out since the offer was made: no bet is taken on him, and no price at which he was to run."""
    if selection.withdrawn_ms:
        return Refusal(Rejection.SELECTION_UNPRICED)
    if any(each.withdrawn_ms > offered_ms for each in selection.market.selections.values()):
        return Refusal(Rejection.PRICE_CHANGED)
    return None


def decide_decline(book: Book, _: Limits, command: co.DeclineOffer, digest: int, now_ms: int) -> ev.Event | Refusal:
    """The customer does not want the offer, nor the bet."""
    pending = book.pending.get(command.bet)
    if (
        pending is None
        or pending.customer.id != command.customer
        or pending.stage == _DELAYED
        or pending.taken is not None
        or pending.verdict is not None
    ):
        return Refusal(Rejection.BET_NOT_PENDING)
    return ev.OfferAnswered(now_ms, command.id, digest, pending.customer.id, pending.id, taken=False)


def apply_offer_answered(book: Book, event: ev.OfferAnswered) -> None:
    """What follows comes next."""
    pending = book.pending[event.bet]
    pending.taken = event.taken
    _note(book, pending)


def _decided(pending: PendingBet, now_ms: int) -> bool:
    """Whether something is known of an offer's legs that makes it too late for a bet on them."""
    assert pending.offered is not None
    for leg in pending.offered.legs:
        market = leg.selection.market
        if market.closed_ms or market.due or market.cancels_at(now_ms) or leg.selection.withdrawn_ms:
            return True
    return False


def _taken(pending: PendingBet, now_ms: int) -> ev.BetAccepted:
    """The offer as it was made; its liability is reserved, so nothing is checked again."""
    assert pending.offer is not None
    return replace(pending.offer.bet, ts_ms=now_ms, reserved_m=pending.reserved_m)
