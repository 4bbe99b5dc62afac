"""Events of customers, their payments, their own limits and their bonuses, as rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from core.messages import events as ev

if TYPE_CHECKING:
    from collections.abc import Callable

    from adapters.postgres.slices import Slice


def _customer_opened(rows: Slice, _: int, event: ev.CustomerOpened) -> None:
    rows.inserts["customers"].append((event.customer, event.currency, event.ts_ms))


def _customer_status(rows: Slice, number: int, event: ev.CustomerStatusSet) -> None:
    rows.suspensions[event.customer] = event.suspended
    rows.act(number, event, (event.customer,), event.reason)


def _customer_verified(rows: Slice, number: int, event: ev.CustomerVerified) -> None:
    rows.verified[event.customer] = event.verified
    rows.act(number, event, (event.customer,), f"{'' if event.verified else 'not '}verified: {event.reason}")


def _customer_excluded(rows: Slice, number: int, event: ev.CustomerExcluded) -> None:
    until = rows.excluded if event.kind == "self_exclusion" else rows.timed_out
    until[event.customer] = event.until_ms
    row = (number, event.ts_ms, event.id, event.customer, event.kind, event.until_ms)
    rows.inserts["exclusions"].append(row)


def _own_limit_set(rows: Slice, number: int, event: ev.OwnLimitSet) -> None:
    _own_limit(rows, number, event, "asked" if event.confirm_from_ms else "set", event.confirm_from_ms)


def _own_limit_confirmed(rows: Slice, number: int, event: ev.OwnLimitConfirmed) -> None:
    _own_limit(rows, number, event, "confirmed", 0)


def _own_limit(
    rows: Slice, number: int, event: ev.OwnLimitSet | ev.OwnLimitConfirmed, step: str, confirm_from_ms: int
) -> None:
    limit = event.customer, event.kind, event.period, step, event.limit_m, confirm_from_ms
    rows.inserts["own_limit_changes"].append((number, event.ts_ms, event.id, *limit))


def _customer_factor(rows: Slice, number: int, event: ev.CustomerFactorSet) -> None:
    row = (number, event.ts_ms, event.customer, event.sport, event.in_play, event.factor_bp)
    rows.inserts["customer_factor_changes"].append(row)
    phase = "in play" if event.in_play else "pre-match"
    rows.act(number, event, (event.customer,), f"{event.sport or 'all sports'}, {phase}: factor {event.factor_bp}")


def _free_bet_granted(rows: Slice, number: int, event: ev.FreeBetGranted) -> None:
    token = event.token, "free_bet", event.stake_m, 0, event.ends_ms, event.price_min
    rows.inserts["bonuses"].append((number, event.ts_ms, event.customer, *token))
    rows.act(number, event, (event.customer, event.token))


def _bonus_granted(rows: Slice, number: int, event: ev.BonusGranted) -> None:
    bonus = event.bonus, "match", event.amount_m, event.required_m, event.ends_ms, event.price_min
    rows.inserts["bonuses"].append((number, event.ts_ms, event.customer, *bonus))
    rows.move(number, event)
    rows.act(number, event, (event.customer, event.bonus))


def _bonus_ended(rows: Slice, number: int, event: ev.BonusEnded) -> None:
    rows.bonuses_ended.append((number, event.customer, event.bonus, event.how))
    rows.move(number, event)
    rows.act(number, event, (event.customer, event.bonus), event.reason)


_PAYMENTS: Final = {ev.Deposited: "deposit", ev.Withdrawn: "withdrawal", ev.Reserved: "reserve"}


def _payment(rows: Slice, number: int, event: ev.Deposited | ev.Withdrawn | ev.Reserved) -> None:
    kind, customer = _PAYMENTS[type(event)], event.customer
    row = (number, event.ts_ms, event.id, kind, customer, event.currency, event.amount_m, event.provider)
    rows.inserts["payments"].append(row)
    rows.move(number, event)


def _reserved(rows: Slice, number: int, event: ev.Reserved) -> None:
    _payment(rows, number, event)
    rows.inserts["reserves"].append((number, event.hold_until_ms))


def _reserve_posted(rows: Slice, number: int, event: ev.ReservePosted) -> None:
    rows.reserves_closed.append((number, event.reserve, "posted", event.amount_m))
    rows.move(number, event)


def _reserve_voided(rows: Slice, number: int, event: ev.ReserveVoided) -> None:
    rows.reserves_closed.append((number, event.reserve, "voided", 0))
    rows.move(number, event)


HANDLERS: Final[dict[type, Callable[[Slice, int, Any], None]]] = {
    ev.CustomerOpened: _customer_opened,
    ev.Deposited: _payment,
    ev.Withdrawn: _payment,
    ev.Reserved: _reserved,
    ev.ReservePosted: _reserve_posted,
    ev.ReserveVoided: _reserve_voided,
    ev.CustomerStatusSet: _customer_status,
    ev.CustomerVerified: _customer_verified,
    ev.CustomerExcluded: _customer_excluded,
    ev.OwnLimitSet: _own_limit_set,
    ev.OwnLimitConfirmed: _own_limit_confirmed,
    ev.CustomerFactorSet: _customer_factor,
    ev.FreeBetGranted: _free_bet_granted,
    ev.BonusGranted: _bonus_granted,
    ev.BonusEnded: _bonus_ended,
}
