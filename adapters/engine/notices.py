"""What is told without a question: customers of their bets on `bets.<customer>`, the desk of those that wait for it.

Of orders adapters/engine/trading.py tells. The desk and the log are also told of each customer whom a resettlement
has taken below zero (DESIGN promise 5).

A customer is told what has become of a bet since it was answered: one that was pending is accepted or rejected (the
very answer that its id gets from now on) or has a trader's offer; it is settled, or settled otherwise; it was sold. The
first event of a command is what its answer says; so of a command only what follows is told, of passing time all.

A bet that waits for a trader is told on `desk-referrals`, and again every few seconds until it does not, each time with
the live prices: a desk that comes late needs no more, nor does one whose engine was started again. Everything goes
through the journal's outbox, so nothing is said that is not stored (DESIGN promise 1).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Final

import structlog
from msgspec import Struct

from adapters import subjects
from adapters.codec import JSON
from adapters.engine.trading import Trading
from adapters.metrics import Metrics
from core import ledger, markets
from core.betting import placing
from core.book import PendingBet
from core.engine import Engine
from core.messages import events as ev
from core.messages.answers import (
    Accepted,
    BalanceBelowZero,
    CashedOutNotice,
    OfferNotice,
    OrderNotice,
    PositionNotice,
    Referral,
    ReferralEnded,
    ReferredLeg,
    Rejected,
    SettledNotice,
)
from core.messages.commands import Leg
from core.queries import STATUS_NAMES
from core.refusals import REASON_NAMES, Refusal

log = structlog.get_logger(__name__)
Outbox = list[tuple[str, bytes]]
_REPEAT_MS: Final = 5_000
"""A referral is told again after this: a desk that comes late still has most of the minute that a bet usually waits."""
_REPEATS_MAX: Final = 20
"""Of them in one turn of the loop: about 0.5 ms."""


OF_CUSTOMERS: Final = (Accepted, Rejected, OfferNotice, SettledNotice, CashedOutNotice)
OF_ORDERS: Final = (OrderNotice, PositionNotice)
OF_THE_DESK: Final = (Referral, ReferralEnded)
OF_BALANCES: Final = (BalanceBelowZero,)
_NAMED_MAX: Final = 5
"""Customers in a line of the log: a correction of a market takes many of them below zero at once."""


class Notices:
    """Turns events into notices, and knows which bets the desk has."""

    def __init__(self, engine: Engine, metrics: Metrics) -> None:
        """On the engine's book as it is now: what waits in it for a trader is told soon."""
        self._engine = engine
        self._metrics = metrics
        self._waiting: OrderedDict[str, int] = OrderedDict()
        """Bets that wait for a trader -> when they are told again, in that order; as many as the engine has pending."""
        self._offered: dict[str, None] = {}
        """Those that have a trader's offer."""
        for pending in engine.book.pending.values():
            if pending.stage == ev.Stage.REFERRED:
                self._waiting[pending.id] = 0
            elif pending.stage == ev.Stage.OFFERED:
                self._offered[pending.id] = None
        self._tellers: dict[type, Callable[[Any, Outbox], None]] = {
            ev.BetOffered: self._offer,
            ev.BetAccepted: self._accepted,
            ev.BetRejected: self._rejected,
            ev.BetSettled: self._settled,
        }
        self.trading = Trading(engine, metrics)

    def of_command(self, events: Sequence[ev.Event], outbox: Outbox) -> None:
        """Tell what its answer does not say."""
        first = events[0]
        if type(first) is ev.BetAccepted:
            self._metrics.count_bet(first)
        elif type(first) is ev.BetPending:
            self._pending(first, outbox)
        elif type(first) is ev.BetCashedOut:
            self._cashed_out(first, outbox)
        else:
            self.trading.hear(first)
        if len(events) > 1:
            self.tell(events[1:], outbox)

    def tell(self, events: Sequence[ev.Event], outbox: Outbox) -> None:
        """Tell of all bets among the events that nobody has asked for; of orders at the end of the turn."""
        below: list[str] = []
        for event in events:
            if isinstance(event, ev.BetSettled | ev.PositionSettled) and self._below_zero(event, outbox):
                below.append(event.customer)
            teller = self._tellers.get(type(event))
            if teller is not None:
                teller(event, outbox)
            else:
                self.trading.hear(event)
        if below:
            owed = self._engine.book.owed
            log.warning(
                "balances below zero",
                by_this=len(below),
                customers=below[:_NAMED_MAX],
                customers_below_zero=owed.customers,
                sums_m=dict(owed.sums_m),
            )

    def repeat(self, outbox: Outbox, now_ms: int) -> None:
        """Once a turn: the referrals that are due to be told again."""
        waiting = self._waiting
        for _ in range(min(_REPEATS_MAX, len(waiting))):
            bet, due_ms = next(iter(waiting.items()))
            if due_ms > now_ms:
                return
            waiting[bet] = now_ms + _REPEAT_MS
            waiting.move_to_end(bet)
            self._refer(self._engine.book.pending[bet], outbox, now_ms)

    # Customers.

    def _accepted(self, event: ev.BetAccepted, outbox: Outbox) -> None:
        """A bet that was pending."""
        self._metrics.count_bet(event)
        self._to_customer(event.customer, placing.accepted_answer(self._engine.book.bets[event.id]), outbox)
        self._end(event.id, ReferralEnded(event.id, event.ts_ms, "accepted", event.stake_m), outbox)

    def _rejected(self, event: ev.BetRejected, outbox: Outbox) -> None:
        """A bet that was pending."""
        answer = self._engine.book.answers[event.id].answer
        self._to_customer(event.customer, answer, outbox)
        ended = ReferralEnded(event.id, event.ts_ms, "rejected", reason=REASON_NAMES[event.reason])
        self._end(event.id, ended, outbox)

    def _offer(self, event: ev.BetOffered, outbox: Outbox) -> None:
        bet = event.bet
        prices = tuple(leg.price for leg in bet.legs)
        offer = OfferNotice(bet.id, event.ts_ms, bet.stake_m, bet.payout_m, prices, event.until_ms)
        self._to_customer(event.customer, offer, outbox)
        self._end(bet.id, ReferralEnded(bet.id, event.ts_ms, "offered", bet.stake_m), outbox)
        self._offered[bet.id] = None

    def _settled(self, event: ev.BetSettled, outbox: Outbox) -> None:
        notice = SettledNotice(event.bet, event.ts_ms, STATUS_NAMES[event.status], event.paid_m)
        self._to_customer(event.customer, notice, outbox)

    def _cashed_out(self, event: ev.BetCashedOut, outbox: Outbox) -> None:
        self._metrics.cash_outs += 1
        status = STATUS_NAMES[self._engine.book.bets[event.bet].status]
        notice = CashedOutNotice(event.bet, event.ts_ms, status, event.stake_m, event.paid_m)
        self._to_customer(event.customer, notice, outbox)

    def _to_customer(self, customer: str, notice: Struct, outbox: Outbox) -> None:
        outbox.append((subjects.notices(customer), JSON.encode(notice)))
        self._metrics.odds["notice"] += 1

    # The desk.

    def _pending(self, event: ev.BetPending, outbox: Outbox) -> None:
        if event.stage == ev.Stage.REFERRED:
            self._waiting[event.id] = event.ts_ms + _REPEAT_MS
            self._refer(self._engine.book.pending[event.id], outbox, event.ts_ms)

    def _refer(self, pending: PendingBet, outbox: Outbox, now_ms: int) -> None:
        asked, command = pending.asked, pending.command
        referral = Referral(
            pending.id,
            pending.asked.ts_ms,
            pending.customer.id,
            pending.customer.currency,
            pending.reserved_m,
            tuple(self._leg(leg, now_ms) for leg in command.legs),
            command.kind,
            command.folds,
            command.each_way,
            REASON_NAMES[asked.reason],
            asked.leg,
            asked.limit,
            asked.stake_accepted_m,
            asked.detail,
            pending.until_ms,
        )
        self._to_desk(referral, outbox)

    def _leg(self, leg: Leg, now_ms: int) -> ReferredLeg:
        engine = self._engine
        price, status = 0, "closed"
        market = markets.find(engine.book, leg.fixture, leg.market)
        if not isinstance(market, Refusal):
            price = market.selections[leg.selection].price
            status = markets.offered_status(market, engine.limits, now_ms)
        ids = leg.fixture, leg.market, leg.selection
        return ReferredLeg(*ids, leg.price, price, status, leg.banker, leg.starting_price)

    def _end(self, bet: str, ended: ReferralEnded, outbox: Outbox) -> None:
        """The desk is done with the bet, if it had it."""
        if self._waiting.pop(bet, None) is not None or bet in self._offered:
            self._offered.pop(bet, None)
            self._to_desk(ended, outbox)

    def _below_zero(self, event: ev.BetSettled | ev.PositionSettled, outbox: Outbox) -> bool:
        """Whether it took cash from somebody who has none now; the desk is told."""
        customer = self._engine.book.customers[event.customer]
        taken_m = -ledger.cash_change(event) if customer.cash_m < 0 else 0
        if taken_m <= 0:
            return False
        head = event.ts_ms, customer.id, customer.currency, customer.cash_m, taken_m
        if isinstance(event, ev.BetSettled):
            notice = BalanceBelowZero(*head, event.bet)
        else:
            notice = BalanceBelowZero(*head, "", event.fixture, event.market)
        outbox.append((subjects.BALANCES, JSON.encode(notice)))
        self._metrics.odds["balance"] += 1
        return True

    def _to_desk(self, message: Struct, outbox: Outbox) -> None:
        outbox.append((subjects.REFERRALS, JSON.encode(message)))
        self._metrics.odds["referral"] += 1
