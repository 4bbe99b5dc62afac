"""Events of bets, those that wait among them, as rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from core.messages import events as ev
from core.messages.rejections import Rejection
from core.units import RATE_ONE

if TYPE_CHECKING:
    from collections.abc import Callable

    from adapters.postgres.slices import Slice


_json = msgspec.json.Encoder().encode


def _bet_pending(rows: Slice, number: int, event: ev.BetPending) -> None:
    rows.inserts["pending_bets"].append(
        (
            number,
            event.id,
            event.ts_ms,
            event.customer,
            event.currency,
            event.stage,
            event.until_ms,
            event.reserved_m,
            _json(event.command).decode(),
            event.reason or None,
            event.leg,
            event.limit,
            event.stake_accepted_m,
            event.detail,
        )
    )
    rows.move(number, event)


def _referral_answered(rows: Slice, number: int, event: ev.ReferralAnswered) -> None:
    rows.answered.append((number, event.bet, _json(answer_facts(event)).decode()))
    rows.act(number, event, (event.bet,), f"{event.action}: {event.reason}".removesuffix(": "))


def answer_facts(event: ev.ReferralAnswered) -> dict[str, Any]:
    """A trader's answer as it stands in `pending_bets`."""
    names = "author", "action", "stake_m", "prices", "until_ms", "reason"
    return {name: getattr(event, name) for name in names}


def _bet_offered(rows: Slice, number: int, event: ev.BetOffered) -> None:
    rows.offered.append((number, event.bet.id, event.until_ms, event.returned_m, _json(offer_facts(event)).decode()))
    rows.move(number, event)
    rows.act(number, event, (event.bet.id,))


def offer_facts(event: ev.BetOffered) -> dict[str, Any]:
    """The bet that a trader offers as it stands in `pending_bets`, its fields by name."""
    return msgspec.structs.asdict(event.bet)


def _offer_answered(rows: Slice, number: int, event: ev.OfferAnswered) -> None:
    rows.taken.append((number, event.bet, event.taken))


_BANKER, _PLACE = map(ev.AcceptedLeg.__struct_fields__.index, ("banker", "place"))


def _bet_accepted(rows: Slice, number: int, event: ev.BetAccepted) -> None:
    ts_ms, customer = event.ts_ms, event.customer
    bet = (number, event.id, ts_ms, customer, event.currency, event.stake_m, event.payout_m, event.payout_max_m)
    if event.folds or event.free_bet or event.rate != RATE_ONE:
        lines = event.kind, event.folds or None, event.lines, event.each_way
        rows.inserts["bets"].append((*bet, *lines, event.free_bet, event.rate))
    else:
        rows.plain["bets"].append(bet)
    for index, leg in enumerate(event.legs):
        values = msgspec.structs.astuple(leg)
        if leg.place is None and not leg.banker and not leg.starting_price:
            rows.plain["bet_legs"].append((number, index, *values[:_BANKER]))
        else:
            terms = (None, None, None) if leg.place is None else msgspec.structs.astuple(leg.place)[:3]
            rows.inserts["bet_legs"].append((number, index, *values[:_PLACE], *terms))
    rows.move(number, event)
    # One that has waited had its stake reserved, or a free bet to pay for it.
    if event.reserved_m or event.free_bet:
        rows.decided.append((number, event.id, "accepted"))


def _bet_rejected(rows: Slice, number: int, event: ev.BetRejected) -> None:
    if event.reserved_m:
        rows.move(number, event)
    if event.reason != Rejection.DUPLICATE_ID:
        rows.decided.append((number, event.id, "rejected"))
    rows.inserts["bet_rejections"].append(
        (
            number,
            event.id,
            event.ts_ms,
            event.customer,
            event.stake_m,
            _json(event.legs).decode(),
            event.reason,
            event.leg,
            event.price,
            event.limit,
            event.stake_accepted_m,
            event.detail,
        )
    )


def _bet_settled(rows: Slice, number: int, event: ev.BetSettled) -> None:
    change = (event.was, event.was_paid_m, event.status, event.paid_m)
    rows.settlements.append((number, event.bet, event.ts_ms, *change, event.capped_m))
    rows.move(number, event)


def _bet_cashed_out(rows: Slice, number: int, event: ev.BetCashedOut) -> None:
    rows.cash_outs.append((number, event.bet, event.ts_ms, event.id, event.stake_m, event.paid_m))
    rows.move(number, event)


def _bet_voided(rows: Slice, number: int, event: ev.BetVoided) -> None:
    if event.leg < 0:
        rows.voided.append((number, event.bet))
        rows.act(number, event, (event.bet,), event.reason)
    else:
        rows.legs_voided.append((number, event.bet, event.leg))
        rows.act(number, event, (event.bet, f"leg {event.leg}"), event.reason)


HANDLERS: Final[dict[type, Callable[[Slice, int, Any], None]]] = {
    ev.BetPending: _bet_pending,
    ev.ReferralAnswered: _referral_answered,
    ev.BetOffered: _bet_offered,
    ev.OfferAnswered: _offer_answered,
    ev.BetAccepted: _bet_accepted,
    ev.BetRejected: _bet_rejected,
    ev.BetSettled: _bet_settled,
    ev.BetCashedOut: _bet_cashed_out,
    ev.BetVoided: _bet_voided,
}
