"""The engine: a message and a time go in, an answer and events come out. It has no clock and no ear of its own.

`execute` decides and applies; `tick` lets time pass; `apply` alone, fed from the journal, rebuilds the same state. The
tables at the end are the whole of what the engine can do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, TypeVar
from zlib import crc32

import msgspec

from core import accounts, feeding, ledger, markets, protection, queries, rates
from core.betting import bonuses, cashing, pending, placing
from core.book import Answered, Bet, Book, Market, Order, PendingBet
from core.exchange import batches, cancelling, clearing, hybrid, orders
from core.limits import Limits
from core.messages import answers as an
from core.messages import commands as co
from core.messages import events as ev
from core.messages import feed as fe
from core.messages import queries as qu
from core.messages.rejections import Rejection
from core.refusals import REASON_NAMES, Refusal
from core.results import runners, scoring, settling, standing
from core.risk import liability, limiting

E = TypeVar("E", bound=ev.Event)
Known = Bet | PendingBet | Order | Answered
Decided = tuple[an.Answer | None, Sequence[ev.Event]]
_NOTHING: tuple[ev.Event, ...] = ()
_encode = msgspec.msgpack.Encoder().encode
_KNOWN = Rejection.NOTHING_TO_CHANGE
_RECOVERY_PAUSE_MS = 5_000
"""A producer that does not recover is asked again after this: half the interval of its heartbeats."""
_TIGHTENED_MAX = 20
"""Fixtures whose liability is made exact in one tick: about 0.5 ms."""


def digest(command: co.Command) -> int:
    """What tells one content from another under the same id: a checksum of all fields but the id and the deadline.

    A retry may carry a new deadline. Whoever makes two contents collide only gets the first one's answer. A bet is
    known by it for as long as it is open, across releases: of the fields that later ones added, those at the end that
    have their defaults do not count.
    """
    kind = type(command)
    fields = msgspec.structs.astuple(command)[2:]
    first, silent = _ADDED.get(kind, _NOT_ADDED)
    if fields[first:] != silent:
        first = len(fields)
        while fields[first - 1] == silent[first - 1 - len(fields)]:
            first -= 1
    return crc32(_encode(fields[:first]), _SEEDS[kind])


class Engine:
    """One book and the limits within which it decides. Times are milliseconds since 1970-01-01 UTC."""

    def __init__(self, limits: Limits, book: Book | None = None) -> None:
        """An engine on a rebuilt book, or on an empty one."""
        self.limits = limits
        self.book = book or Book()

    def start(self, instance: str, release: str, now_ms: int) -> ev.EngineStarted:
        """Begin a term. The event is applied; nothing else may be answered before it is stored (DESIGN promise 2)."""
        limits, book = self.limits, self.book
        event = ev.EngineStarted(
            max(now_ms, book.now_ms),
            book.term + 1,
            instance,
            release,
            limits.retention_ms,
            limits.payment_retention_ms,
        )
        self.apply(event)
        for market in book.markets():
            market.version = book.term << 32
            if market.exchange is not None and market.exchange.terms.house:
                book.quoting[market.fixture.id, market.id] = market
        return event

    def execute(self, message: Any, now_ms: int) -> Decided:
        """Decide on a command, a query or a feed message.

        The answer (None for a feed message that was taken) may leave once the events, applied already, are stored.
        """
        book = self.book
        now_ms = max(now_ms, book.now_ms)
        decider = DECIDERS.get(type(message))
        if decider is not None:
            return self._command(message, decider, now_ms)
        query = QUERIES.get(type(message))
        if query is not None:
            return query(book, self.limits, message, now_ms), _NOTHING
        return self._feed(message, now_ms)

    def _command(self, command: Any, decider: Callable[..., Any], now_ms: int) -> Decided:
        book = self.book
        if not (command.id.isascii() and command.id.isprintable()):
            return Refusal(Rejection.MALFORMED, detail="Expected printable ASCII - at `$.id`").answer(""), _NOTHING
        content = digest(command)
        known: Known | None = (
            book.bets.get(command.id)
            or book.pending.get(command.id)
            or book.orders.get(command.id)
            or book.answers.get(command.id)  # last: it may be past, of an earlier use of the id
        )
        if known is not None and (type(known) is not Answered or known.expires_ms > now_ms):
            if known.digest != content:
                return self._refuse(command, content, Refusal(Rejection.DUPLICATE_ID), now_ms)
            return _answer_again(known), _NOTHING
        if command.expires_ms < now_ms:
            return self._refuse(command, content, Refusal(Rejection.EXPIRED), now_ms)
        if command.expires_ms - now_ms > book.retention_ms:
            latest_ms = now_ms + book.retention_ms
            return self._refuse(command, content, Refusal(Rejection.DEADLINE_TOO_FAR, limit=latest_ms), now_ms)
        limits = self.limits
        if (
            book.answers_held >= limits.answers_max
            or len(book.bets) >= limits.bets_max
            or len(book.pending) >= limits.pending_max
        ):
            full = self._full(command, now_ms)
            if full:
                return full.answer(command.id), _NOTHING
        if type(command) in _OF_CUSTOMERS and command.customer not in book.customers:
            return Refusal(Rejection.CUSTOMER_UNKNOWN).answer(command.id), _NOTHING
        event = decider(book, self.limits, command, content, now_ms)
        kind = type(event)
        if kind is Refusal:
            return self._refuse(command, content, event, now_ms)
        if kind is list:
            for each in event:
                self.apply(each)
            return book.answers[command.id].answer, event
        if kind is ev.OrderBatch:
            book.event_no += 1
            book.now_ms = event.ts_ms
            batches.note(book, event)
            return book.answers[command.id].answer, (event,)
        self.apply(event)
        if kind is ev.OrderPlaced or kind is ev.OrderPending:
            return orders.report(book, event.id), (event,)
        if kind is ev.BetAccepted:
            return placing.accepted_answer(book.bets[event.id]), (event,)
        if kind is ev.BetPending:
            return placing.pending_answer(book.pending[event.id]), (event,)
        answer = book.answers[event.id].answer
        if kind is ev.BetVoided:
            return answer, (event, *self._review_voided(book.bets[event.bet], now_ms))
        if kind is ev.ReferralAnswered or kind is ev.OfferAnswered:
            follows = pending.decided(book, self.limits, book.pending[event.bet], now_ms)
            return answer, (event, self.apply(follows))
        return answer, (event,)

    def _full(self, command: Any, now_ms: int) -> Refusal | None:
        """Whether a bound of memory is reached; not where this command's answer takes the place of one that is past."""
        book, limits = self.book, self.limits
        if book.answers_held >= limits.answers_max and not book.forgettable(now_ms):
            return Refusal(Rejection.BUSY, limit=limits.answers_max, detail="answers kept")
        if type(command) is co.PlaceBet:
            if len(book.bets) >= limits.bets_max:
                return Refusal(Rejection.BUSY, limit=limits.bets_max, detail="bets held")
            if len(book.pending) >= limits.pending_max:
                return Refusal(Rejection.BUSY, limit=limits.pending_max, detail="bets that wait")
        return None

    def _customer_known(self, command: Any) -> bool:
        return type(command) not in _OF_CUSTOMERS or command.customer in self.book.customers

    def _refuse(self, command: Any, content: int, refusal: Refusal, now_ms: int) -> Decided:
        """The refusal as an event, for whoever is known; the rest, and BUSY, leaves no trace (DESIGN promise 1)."""
        answer = refusal.answer(command.id)
        if refusal.reason is Rejection.BUSY or not self._customer_known(command):
            return answer, _NOTHING
        event: ev.Event
        if type(command) is co.PlaceBet:
            customer = self.book.customers[command.customer]
            event = placing.rejected(self.limits, command, content, now_ms, refusal, customer)
        else:
            event = ev.CommandRejected(
                now_ms,
                command.id,
                content,
                type(command).__name__,
                getattr(command, "customer", ""),
                getattr(command, "author", ""),
                refusal.reason.value,
                refusal.limit,
                refusal.detail,
                refusal.leg,
                refusal.price,
                refusal.stake_m,
            )
        self.apply(event)
        return answer, (event,)

    def _review_voided(self, bet: Bet, now_ms: int) -> list[ev.Event]:
        return [self.apply(event) for event in settling.review_voided(self.book, self.limits, bet, now_ms)]

    def _feed(self, message: fe.FeedMessage, now_ms: int) -> Decided:
        """A feed message; the answer, for log and metrics, is the first thing in it that was passed over, of what was
        known already only if there is nothing else.
        """
        book, limits = self.book, self.limits
        producer = feeding.hear(book, limits, message, now_ms)
        if producer is None:
            return None, _NOTHING
        if isinstance(producer, Refusal):
            return producer.answer(""), _NOTHING
        events: list[ev.Event] = []
        refused = None
        for taken in feeding.TAKERS[type(message)](book, limits, producer, message, now_ms):
            if isinstance(taken, Refusal):
                if refused is None or refused.reason is _KNOWN:
                    refused = taken
            else:
                self.apply(taken)
                events.append(taken)
        return refused.answer("") if refused else None, events

    def tick(self, now_ms: int, *, slices: bool = True) -> Sequence[ev.Event]:
        """Let time pass: reserves run out, due bets are decided, and, with `slices`, the next one of `advance` is done.

        While it returns something there may be more to do: call it again in the next turn.
        """
        book, limits = self.book, self.limits
        now_ms = max(now_ms, book.now_ms)
        events: list[ev.Event] = []
        while len(events) < limits.slice_max and (run_out := accounts.run_out(book, now_ms)):
            events.append(self.apply(run_out))
        events.extend(self.apply(event) for event in islice(pending.due(book, limits, now_ms), limits.slice_max))
        events.extend(self.apply(event) for event in islice(orders.due(book, limits, now_ms), limits.slice_max))
        while len(events) < limits.slice_max and (ended := bonuses.due(book, now_ms)):
            events.append(self.apply(ended))
        for bet in list(islice(book.voided.values(), limits.slice_max)):
            events.extend(self._review_voided(bet, now_ms))
            if settling.is_large(limits, bet):
                break
        if book.quoting:
            events.extend(self.apply(event) for event in hybrid.lay(book, limits, now_ms))
        if slices:
            events.extend(self.advance(now_ms))
        for fixture in list(islice(book.loose.values(), _TIGHTENED_MAX)):
            liability.tighten(book, fixture)
        feeding.lose_silent(book, limits, now_ms)
        markets.cut_off(book, now_ms)
        return events

    def advance(self, now_ms: int) -> Sequence[ev.Event]:
        """The next slice of what may be long: fixtures are graded, bets settled, old markets forgotten.

        Empty: nothing is left to do for now. When the next slice comes is the caller's to say: nothing waits for it.
        """
        book, limits = self.book, self.limits
        now_ms = max(now_ms, book.now_ms)
        events: list[ev.Event] = []
        if book.scoring:
            events.extend(self.apply(event) for event in scoring.advance(book, now_ms))
        if book.clearing:
            events.extend(self.apply(event) for event in clearing.advance(book, limits, now_ms))
        if book.settling:
            events.extend(self.apply(event) for event in settling.advance(book, limits, now_ms))
        elif book.closed and (archived := settling.archive(book, limits, now_ms)):
            events.append(self.apply(archived))
        return events

    def apply(self, event: E) -> E:
        """Change the state as the event says. Cannot fail; replaying the journal calls this and nothing else."""
        book = self.book
        book.event_no += 1
        book.now_ms = event.ts_ms
        APPLIERS[type(event)](book, event)
        return event

    def take_touched(self) -> list[Market]:
        """The markets whose offer changed since the last call, in the order of their first change."""
        touched = list(self.book.touched.values())
        self.book.touched.clear()
        return touched

    def image(self, market: Market, now_ms: int) -> an.OddsImage:
        """A market as it is offered at that time."""
        return queries.image(market, self.limits, now_ms)

    def recoveries_due(self, now_ms: int) -> Sequence[fe.RecoverRequest]:
        """Producers to be asked to recover, now."""
        return feeding.recoveries_due(self.book, now_ms, _RECOVERY_PAUSE_MS)


def _answer_again(known: Known) -> an.Answer:
    if type(known) is Bet:
        return placing.accepted_answer(known)
    if type(known) is PendingBet:
        return placing.pending_answer(known)
    if type(known) is Order:
        return known.report
    assert type(known) is Answered
    return known.answer


def _done(apply: Callable[[Book, Any], None], *, payment: bool = False) -> Callable[[Book, Any], None]:
    """An applier that also keeps the answer of the command behind the event."""

    def applier(book: Book, event: Any) -> None:
        apply(book, event)
        book.remember(event.id, event.digest, event.ts_ms, an.Done(event.id, event.ts_ms), payment=payment)

    return applier


def _apply_started(book: Book, event: ev.EngineStarted) -> None:
    book.term = event.term
    book.retention_ms, book.payment_retention_ms = event.retention_ms, event.payment_retention_ms


def _apply_rejected(book: Book, event: ev.BetRejected | ev.CommandRejected) -> None:
    """Keep the refusal; a duplicate's, though, must not take the place of the first answer."""
    if event.reason == Rejection.DUPLICATE_ID:
        return
    if type(event) is ev.BetRejected and event.id in book.pending:
        ledger.post(book, book.customers[event.customer], event)
        placing.forget_pending(book, event.id)
    reason = REASON_NAMES[event.reason]
    answer = an.Rejected(event.id, reason, event.leg, event.price, event.limit, event.stake_accepted_m, event.detail)
    book.remember(event.id, event.digest, event.ts_ms, answer)


DECIDERS: dict[type, Callable[[Book, Limits, Any, int, int], ev.Event | list[ev.Event] | Refusal]] = {
    co.PlaceBet: placing.decide,
    co.TakeOffer: pending.decide_take,
    co.DeclineOffer: pending.decide_decline,
    co.CashOut: cashing.decide,
    co.CancelBet: settling.decide_cancel_bet,
    co.PlaceOrder: orders.decide_place,
    co.CancelOrder: cancelling.decide_cancel,
    co.ReduceOrder: cancelling.decide_reduce,
    co.ReplaceOrder: orders.decide_replace,
    co.CancelOrders: cancelling.decide_cancel_all,
    co.BatchOrders: batches.decide,
    co.OpenCustomer: accounts.decide_open,
    co.Deposit: accounts.decide_deposit,
    co.Withdraw: accounts.decide_withdraw,
    co.Reserve: accounts.decide_reserve,
    co.PostReserve: accounts.decide_post,
    co.VoidReserve: accounts.decide_void,
    co.SetOwnLimit: protection.decide_limit,
    co.ConfirmOwnLimit: protection.decide_confirm,
    co.ExcludeCustomer: cancelling.decide_exclude,
    co.SetCustomerStatus: cancelling.decide_status,
    co.VerifyCustomer: cancelling.decide_verify,
    co.SetCustomerFactor: limiting.decide_factor,
    co.SetLimit: limiting.decide_limit,
    co.SetRate: rates.decide,
    co.GrantFreeBet: bonuses.decide_free_bet,
    co.GrantBonus: bonuses.decide_bonus,
    co.CancelBonus: bonuses.decide_cancel,
    co.AnswerReferral: pending.decide_answer,
    co.DefineFixture: markets.decide_fixture,
    co.DefineMarket: markets.decide_market,
    co.OpenMarket: markets.decide_status,
    co.SuspendMarket: markets.decide_status,
    co.TurnInPlay: clearing.decide_turn,
    co.SetPrice: markets.decide_price,
    co.SettleMarket: settling.decide_settle,
    co.SettleFixture: scoring.decide_settle,
    co.WithdrawSelection: runners.decide_withdraw,
    co.SetStartingPrices: runners.decide_starting_prices,
    co.CancelMarket: settling.decide_cancel,
    co.RollBackMarket: settling.decide_rollback,
    co.VoidBet: settling.decide_void,
}
_SEEDS = {kind: crc32(kind.__name__.encode()) for kind in DECIDERS}
_ADDED: dict[type, tuple[int, tuple[Any, ...]]] = {
    kind: (fields, kind.__struct_defaults__[2 + fields - len(kind.__struct_fields__) :])
    for kind, fields in {co.PlaceBet: 6, co.DefineFixture: 6, co.VoidBet: 3}.items()
}
"""How many fields a command had in the first release, without id and deadline; the defaults of those added since."""
_NOT_ADDED: tuple[int, tuple[Any, ...]] = (100, ())
_OF_CUSTOMERS = frozenset(kind for kind in DECIDERS if hasattr(kind, "customer")) - {co.OpenCustomer}
"""The customer they name must be known."""

QUERIES: dict[type, Callable[[Book, Limits, Any, int], an.Answer]] = {
    qu.GetBet: queries.get_bet,
    qu.GetMaxStake: placing.max_stake,
    qu.GetCashOut: cashing.quote,
    qu.GetOwnLimits: protection.limits_of,
    qu.GetBonuses: bonuses.bonuses_of,
    qu.GetAccount: queries.get_account,
    qu.GetOdds: queries.get_odds,
    qu.GetOrder: queries.get_order,
    qu.GetOrders: queries.get_orders,
    qu.GetBook: queries.get_book,
}

APPLIERS: dict[type, Callable[[Book, Any], None]] = {
    ev.EngineStarted: _apply_started,
    ev.CustomerOpened: _done(accounts.apply_opened),
    ev.Deposited: _done(accounts.apply_payment, payment=True),
    ev.Withdrawn: _done(accounts.apply_payment, payment=True),
    ev.Reserved: _done(accounts.apply_reserved, payment=True),
    ev.ReservePosted: _done(accounts.apply_reserve_ended, payment=True),
    ev.ReserveVoided: _done(accounts.apply_reserve_ended, payment=True),
    ev.CustomerStatusSet: _done(accounts.apply_status),
    ev.FixtureDefined: _done(markets.apply_fixture),
    ev.MarketDefined: _done(clearing.apply_defined),
    ev.MarketStatusSet: _done(clearing.apply_status),
    ev.PriceSet: _done(markets.apply_price),
    ev.MarketSettled: _done(settling.apply_market_settled),
    ev.MarketCancelled: _done(settling.apply_market_cancelled),
    ev.MarketRolledBack: _done(settling.apply_market_rolled_back),
    ev.WordKept: standing.apply_kept,
    ev.SettlementAdvanced: settling.apply_advance,
    ev.MarketArchived: settling.apply_archived,
    ev.BetAccepted: placing.apply_accepted,
    ev.BetRejected: _apply_rejected,
    ev.BetSettled: settling.apply_settled,
    ev.BetAdvanced: settling.apply_advanced,
    ev.BetVoided: _done(settling.apply_voided),
    ev.BetPending: pending.apply_pending,
    ev.ReferralAnswered: _done(pending.apply_answer),
    ev.BetOffered: pending.apply_offered,
    ev.OfferAnswered: _done(pending.apply_offer_answered),
    ev.BetCashedOut: _done(cashing.apply),
    ev.FixtureScored: _done(scoring.apply_scored),
    ev.ScoringAdvanced: scoring.apply_advanced,
    ev.SelectionWithdrawn: _done(runners.apply_withdrawn),
    ev.StartingPricesSet: _done(runners.apply_starting_prices),
    ev.LimitSet: _done(limiting.apply_limit),
    ev.CustomerFactorSet: _done(limiting.apply_factor),
    ev.RateSet: _done(rates.apply),
    ev.CustomerVerified: _done(protection.apply_verified),
    ev.OwnLimitSet: _done(protection.apply_limit),
    ev.OwnLimitConfirmed: _done(protection.apply_confirmed),
    ev.CustomerExcluded: _done(protection.apply_excluded),
    ev.FreeBetGranted: _done(bonuses.apply_free_bet),
    ev.BonusGranted: _done(bonuses.apply_bonus),
    ev.BonusEnded: _done(bonuses.apply_ended),
    ev.CommandRejected: _apply_rejected,
    ev.OrderPlaced: orders.apply_placed,
    ev.OrderPending: orders.apply_pending,
    ev.OrdersCancelled: cancelling.apply_cancelled,
    ev.OrderReduced: cancelling.apply_reduced,
    ev.OrderBatch: batches.apply,
    ev.ExchangeCleared: _done(clearing.apply_cleared),
    ev.StartingPriceMatched: clearing.apply_starting_price,
    ev.PositionSettled: clearing.apply_settled,
    ev.ExchangeAdvanced: clearing.apply_advanced,
}
assert set(APPLIERS) == set(ev.Event.__args__), "an event that nothing applies"
