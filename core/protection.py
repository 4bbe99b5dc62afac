"""Responsible gambling: who may bet at all, and the limits that customers set themselves (RULEBOOK 7, UK RTS 12).

A limit is on deposits, on stakes or on the loss (stakes minus winnings), each within the last 24 hours, 7 days or 30
days; of those that are set the lowest binds. What counts is added up by the hour, so that memory is bounded and one bet
costs one addition; an hour that lies only partly in the period still counts whole, so a sum is never too low.

What is counted, and when:

* deposits, without regard to what was withdrawn;
* the stake of a bet when it is taken. A void bet was none: its stake is taken off the hour in which it was placed;
* what a bet or a part of it pays, when it is paid; a correction, when it comes. An open bet is a loss until then;
* nothing of bets from before his first limit, and nothing of free bets: a limit is on his own money, and what the
  house's money wins must not let him lose more of it.

The history of a customer's limits is the journal's events.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import takewhile
from typing import Final

from core.book import UNLIMITED, Book, Customer, Hour, OwnLimit, Protection
from core.limits import Limits
from core.messages import answers as an
from core.messages import commands as co
from core.messages import events as ev
from core.messages.queries import GetOwnLimits
from core.messages.rejections import Rejection
from core.refusals import Refusal

HOUR_MS: Final = 3_600_000
PERIODS: Final = {"day": 24, "week": 7 * 24, "month": 30 * 24}
"""In hours before the present one."""
_LONGEST: Final = max(PERIODS.values())
_COUNTED: Final[dict[str, Callable[[Hour], int]]] = {
    "deposit": lambda hour: hour.deposited_m,
    "stake": lambda hour: hour.staked_m,
    "loss": lambda hour: hour.staked_m - hour.returned_m,
}
_OF_BETS: Final = {"stake": Rejection.OWN_STAKE_LIMIT, "loss": Rejection.OWN_LOSS_LIMIT}
_OF_DEPOSITS: Final = {"deposit": Rejection.OWN_DEPOSIT_LIMIT}
_VOID: Final = ev.BetStatus.VOID.value


def obstacle(customer: Customer, limits: Limits, now_ms: int) -> Refusal | None:
    """Why the customer may not bet at all now, in the order of the ladder (RULEBOOK 3); None: he may."""
    if limits.verified_only and not customer.verified:
        return Refusal(Rejection.CUSTOMER_NOT_VERIFIED)
    if customer.suspended:
        return Refusal(Rejection.CUSTOMER_SUSPENDED)
    if customer.excluded_until_ms > now_ms or customer.timed_out_until_ms > now_ms:
        return _excluded(customer, now_ms)
    return None


def _excluded(customer: Customer, now_ms: int) -> Refusal | None:
    if customer.excluded_until_ms > now_ms:
        return Refusal(Rejection.SELF_EXCLUDED, limit=customer.excluded_until_ms)
    if customer.timed_out_until_ms > now_ms:
        return Refusal(Rejection.TIMED_OUT, limit=customer.timed_out_until_ms)
    return None


def refusal(customer: Customer, stake_m: int, now_ms: int) -> Refusal | None:
    """The customer's own limit that does not take this stake, the lowest first; a bet may lose its whole stake."""
    lowest = _lowest(customer, _OF_BETS, now_ms)
    if lowest is None or stake_m <= lowest[0]:
        return None
    room_m, reason = lowest
    return Refusal(reason, limit=room_m)


def room(customer: Customer, now_ms: int) -> int | None:
    """The most that the customer's own limits let him stake now; None: they do not limit it."""
    lowest = _lowest(customer, _OF_BETS, now_ms)
    return None if lowest is None else lowest[0]


def deposit_refusal(customer: Customer, amount_m: int, now_ms: int) -> Refusal | None:
    """Why the customer may not deposit this now: excluded, or a limit of his own."""
    excluded = _excluded(customer, now_ms)
    if excluded is not None:
        return excluded
    lowest = _lowest(customer, _OF_DEPOSITS, now_ms)
    if lowest is None or amount_m <= lowest[0]:
        return None
    room_m, reason = lowest
    return Refusal(reason, limit=room_m)


def _lowest(customer: Customer, reasons: dict[str, Rejection], now_ms: int) -> tuple[int, Rejection] | None:
    """What the lowest limit of these kinds leaves, at least 0, and its reason; None: there is none."""
    protection = customer.protection
    if protection is None:
        return None
    return min(
        (
            (max(0, own.limit_m - used(protection, own.kind, own.period, now_ms)), reasons[own.kind])
            for own in protection.limits.values()
            if own.kind in reasons
        ),
        default=None,
    )


def used(protection: Protection, kind: str, period: str, now_ms: int) -> int:
    """What counts against a limit of this kind and period; of a loss below 0: he has won."""
    return _COUNTED[kind](_total(protection, period, now_ms // HOUR_MS))


def _total(protection: Protection, period: str, number: int) -> Hour:
    """The sum of a period's hours up to this one; added up once an hour, then kept up to date."""
    total = protection.totals.get(period)
    if total is None or total.hour != number:
        total = protection.totals[period] = Hour(number)
        for hour in reversed(protection.hours):
            if hour.hour < number - PERIODS[period]:
                break
            _add(total, hour)
    return total


def _add(total: Hour, hour: Hour) -> None:
    total.deposited_m += hour.deposited_m
    total.staked_m += hour.staked_m
    total.returned_m += hour.returned_m


def deposited(customer: Customer, event: ev.Deposited) -> None:
    """A deposit of a customer who has protection."""
    _count(customer, Hour(event.ts_ms // HOUR_MS, deposited_m=event.amount_m))


def staked(customer: Customer, event: ev.BetAccepted) -> None:
    """A bet of a customer who has protection was taken."""
    if not event.free_bet:
        _count(customer, Hour(event.ts_ms // HOUR_MS, staked_m=event.stake_m))


def returned(customer: Customer, event: ev.BetSettled | ev.BetCashedOut, placed_ms: int) -> None:
    """A bet that was taken at `placed_ms`, of a customer who has protection, was settled, corrected or sold."""
    protection = customer.protection
    assert protection is not None
    if placed_ms < protection.since_ms or event.bet in protection.before:
        return
    if type(event) is ev.BetCashedOut:
        _count(customer, Hour(event.ts_ms // HOUR_MS, returned_m=event.paid_m))
        return
    assert type(event) is ev.BetSettled
    if event.free_bet:
        return
    paid_m = _paid(event.status, event.paid_m) - _paid(event.was, event.was_paid_m)
    if paid_m:
        _count(customer, Hour(event.ts_ms // HOUR_MS, returned_m=paid_m))
    voided = (event.status == _VOID) - (event.was == _VOID)
    if voided:
        _unstake(protection, placed_ms // HOUR_MS, voided * event.stake_m)


def traded(customer: Customer, event: ev.PositionSettled) -> None:
    """What an exchange market has brought a customer who has protection; a loss is a stake that nothing paid back."""
    won_m = (event.net_m - event.commission_m) - (event.was_net_m - event.was_commission_m)
    if won_m:
        _count(customer, Hour(event.ts_ms // HOUR_MS, staked_m=max(0, -won_m), returned_m=max(0, won_m)))


def _unstake(protection: Protection, placed: int, stake_m: int) -> None:
    """Take a stake off the hour in which it was staked, if a period still reaches it."""
    for hour in reversed(protection.hours):
        if hour.hour == placed:
            hour.staked_m -= stake_m
            protection.totals.clear()
            return


def _paid(status: int, paid_m: int) -> int:
    """What counts as paid in a status: a void bet's stake is no payment, it was never staked."""
    return 0 if status == _VOID else paid_m


def _count(customer: Customer, happened: Hour) -> None:
    """Add what has happened in the present hour; hours that no period reaches any more are dropped."""
    protection = customer.protection
    assert protection is not None
    hours, number = protection.hours, happened.hour
    if not hours or hours[-1].hour != number:
        hours.append(Hour(number))
        while hours[0].hour < number - _LONGEST:
            hours.popleft()
    for total in (hours[-1], *protection.totals.values()):
        _add(total, happened)


def decide_limit(book: Book, limits: Limits, command: co.SetOwnLimit, digest: int, now_ms: int) -> ev.Event | Refusal:
    """A customer limits himself: at once where that is lower, else with a confirmation to come."""
    own = _own(book.customers[command.customer], command.kind, command.period)
    if own is None:
        confirm_from_ms = 0 if command.limit_m else None
    else:
        confirm_from_ms = _confirm_from(own, command.limit_m, now_ms, limits.own_limit_wait_ms)
    if confirm_from_ms is None:
        return Refusal(Rejection.NOTHING_TO_CHANGE)
    return ev.OwnLimitSet(
        now_ms,
        command.id,
        digest,
        command.customer,
        command.kind,
        command.period,
        command.limit_m,
        confirm_from_ms,
    )


def _own(customer: Customer, kind: str, period: str) -> OwnLimit | None:
    return None if customer.protection is None else customer.protection.limits.get((kind, period))


def _confirm_from(own: OwnLimit, limit_m: int, now_ms: int, wait_ms: int) -> int | None:
    """When a new limit in place of this one can be confirmed; 0: it holds at once; None: it changes nothing.

    Asking for the limit that stands takes a waiting raise back. A raise that is lower than the one that waits needs no
    time of its own: the customer has had it.
    """
    asked_m = limit_m or UNLIMITED
    waiting_m = (own.next_m or UNLIMITED) if own.confirm_from_ms else own.limit_m
    if asked_m == waiting_m:
        return None
    if asked_m <= own.limit_m:
        return 0
    return own.confirm_from_ms if asked_m < waiting_m else now_ms + wait_ms


def apply_limit(book: Book, event: ev.OwnLimitSet) -> None:
    """The limit, or the raise that waits; with the first one everything begins to count."""
    customer = book.customers[event.customer]
    if customer.protection is None:
        customer.protection = Protection(event.ts_ms, before=_just_taken(book, customer, event.ts_ms))
    limits = customer.protection.limits
    if event.confirm_from_ms:
        own = limits[event.kind, event.period]
        own.next_m, own.confirm_from_ms = event.limit_m, event.confirm_from_ms
    else:
        limits[event.kind, event.period] = OwnLimit(event.kind, event.period, event.limit_m)


def _just_taken(book: Book, customer: Customer, now_ms: int) -> tuple[str, ...]:
    """The customer's bets of this very millisecond: those of a turn share one."""
    taken = takewhile(lambda bet: bet.ts_ms == now_ms, reversed(book.bets.values()))
    return tuple([bet.id for bet in taken if bet.customer is customer])


def decide_confirm(book: Book, _: Limits, command: co.ConfirmOwnLimit, digest: int, now_ms: int) -> ev.Event | Refusal:
    """The second confirmation of a raise, once its time has come."""
    own = _own(book.customers[command.customer], command.kind, command.period)
    if own is None or not own.confirm_from_ms:
        return Refusal(Rejection.OWN_LIMIT_NOT_DUE)
    if now_ms < own.confirm_from_ms:
        return Refusal(Rejection.OWN_LIMIT_NOT_DUE, limit=own.confirm_from_ms)
    return ev.OwnLimitConfirmed(now_ms, command.id, digest, command.customer, command.kind, command.period, own.next_m)


def apply_confirmed(book: Book, event: ev.OwnLimitConfirmed) -> None:
    """The raised limit, or none; the hours go on being counted, for a limit that he may set again."""
    protection = book.customers[event.customer].protection
    assert protection is not None
    if event.limit_m:
        protection.limits[event.kind, event.period] = OwnLimit(event.kind, event.period, event.limit_m)
    else:
        del protection.limits[event.kind, event.period]


def decide_exclude(book: Book, _: Limits, command: co.ExcludeCustomer, digest: int, now_ms: int) -> ev.Event | Refusal:
    """A time-out or a self-exclusion; one that stands can only be made longer."""
    customer = book.customers[command.customer]
    whole = command.kind == "self_exclusion"
    standing_ms = customer.excluded_until_ms if whole else customer.timed_out_until_ms
    if standing_ms > now_ms and command.until_ms <= standing_ms:
        return Refusal(Rejection.EXCLUSION_STANDS, limit=standing_ms)
    if command.until_ms <= now_ms:
        return Refusal(Rejection.NOTHING_TO_CHANGE, detail="until_ms is past")
    return ev.CustomerExcluded(now_ms, command.id, digest, customer.id, command.kind, command.until_ms)


def apply_excluded(book: Book, event: ev.CustomerExcluded) -> None:
    """No bet and no deposit until then; bets that run, run on.

    Orders that rest would be bets (core/exchange/cancelling.py).
    """
    customer = book.customers[event.customer]
    if event.kind == "self_exclusion":
        customer.excluded_until_ms = event.until_ms
    else:
        customer.timed_out_until_ms = event.until_ms


def decide_verify(book: Book, _: Limits, command: co.VerifyCustomer, digest: int, now_ms: int) -> ev.Event | Refusal:
    """The desk has checked who a customer is, or takes that back."""
    customer = book.customers[command.customer]
    return ev.CustomerVerified(
        now_ms, command.id, digest, command.author, customer.id, command.verified, command.reason
    )


def apply_verified(book: Book, event: ev.CustomerVerified) -> None:
    """From now on he is taken as known, or not."""
    book.customers[event.customer].verified = event.verified


def limits_of(book: Book, _: Limits, query: GetOwnLimits, now_ms: int) -> an.OwnLimits | an.Rejected:
    """A customer's own limits with what of each is used, and until when he is excluded."""
    customer = book.customers.get(query.customer)
    if customer is None:
        return Refusal(Rejection.CUSTOMER_UNKNOWN).answer("")
    return an.OwnLimits(
        customer.id,
        tuple(_stated(customer, now_ms)),
        customer.timed_out_until_ms if customer.timed_out_until_ms > now_ms else 0,
        customer.excluded_until_ms if customer.excluded_until_ms > now_ms else 0,
    )


def _stated(customer: Customer, now_ms: int) -> list[an.OwnLimit]:
    if customer.protection is None:
        return []
    return [
        an.OwnLimit(
            own.kind,
            own.period,
            own.limit_m,
            used(customer.protection, own.kind, own.period, now_ms),
            own.next_m,
            own.confirm_from_ms,
        )
        for own in customer.protection.limits.values()
    ]
