"""Answers to questions: a bet, an account, a market's offer, as they stand."""

from __future__ import annotations

from msgspec.structs import replace

from core import markets
from core.betting import placing
from core.book import Bet, BetLeg, Book, Exchange, Market, Order, PendingBet, Position, System
from core.exchange import clearing, orders
from core.exchange.ladder import Side
from core.limits import Limits
from core.messages import answers as an
from core.messages import queries as qu
from core.messages.events import BetStatus, Stage
from core.messages.rejections import Rejection
from core.messages.results import place_terms
from core.refusals import Refusal
from core.risk.liability import leg_result
from core.units import FACTOR_ONE

STATUS_NAMES = {status.value: status.name.lower() for status in BetStatus}


def get_bet(book: Book, limits: Limits, query: qu.GetBet, __: int) -> an.Answer:
    """A bet the engine holds; a refused one is answered by its refusal, for as long as that is kept."""
    bet = book.bets.get(query.bet)
    if bet is not None:
        return bet_state(bet)
    pending = book.pending.get(query.bet)
    if pending is not None:
        return _pending_state(pending, limits)
    answered = book.answers.get(query.bet)
    if answered is not None and isinstance(answered.answer, an.Rejected):
        return answered.answer
    return Refusal(Rejection.BET_UNKNOWN).answer(query.bet)


def bet_state(bet: Bet) -> an.BetState:
    """A bet as it stands."""
    return an.BetState(
        bet.id,
        bet.customer.id,
        bet.ts_ms,
        bet.stake_m,
        bet.payout_m,
        bet.paid_m,
        STATUS_NAMES[bet.status],
        tuple(_leg_state(bet, leg) for leg in bet.legs),
        bet.system.kind if bet.system is not None else "",
        bet.system.lines if bet.system is not None else 1,
        bet.system is not None and bet.system.each_way,
        bool(bet.free_bet),
        bet.cashed_out_m,
        bet.cashed_out_stake_m,
        bet.capped_m,
    )


def _pending_state(pending: PendingBet, limits: Limits) -> an.BetState:
    """A bet that waits: as it was asked for, or as it was offered."""
    status = Stage(pending.stage).name.lower()
    if pending.offered is not None:
        offered = bet_state(pending.offered)
        return replace(offered, ts_ms=pending.asked.ts_ms, status=status, until_ms=pending.until_ms)
    command = pending.command
    system = placing.system_of(limits, command)
    kind, count = (system.kind, system.lines) if isinstance(system, System) else (command.kind, 1)
    legs = tuple(
        an.BetLegState(leg.fixture, leg.market, leg.selection, leg.price, leg.price, "open", leg.place)
        for leg in command.legs
    )
    return an.BetState(
        pending.id,
        pending.customer.id,
        pending.asked.ts_ms,
        pending.reserved_m or command.stake_m * (count if command.unit_stake else 1),
        0,
        0,
        status,
        legs,
        kind,
        count,
        command.each_way,
        free_bet=bool(command.free_bet),
        until_ms=pending.until_ms,
    )


def _leg_state(bet: Bet, leg: BetLeg) -> an.BetLegState:
    selection = leg.selection
    market = selection.market
    ids = market.fixture.id, market.id, selection.id
    result = _leg_result_name(bet, leg)
    return an.BetLegState(*ids, leg.price, leg.requested, result, place_terms(leg.place))


def _leg_result_name(bet: Bet, leg: BetLeg) -> str:
    result = leg_result(bet, leg)
    if bet.voided or (result is not None and result.void_factor == FACTOR_ONE):
        return "void"
    if result is None:
        return "open"
    if result.void_factor or (result.result and result.dead_heat_places != result.dead_heat_sharing):
        return "part"
    return "won" if result.result else "lost"


def get_account(book: Book, _: Limits, query: qu.GetAccount, __: int) -> an.Answer:
    """A customer's balances."""
    customer = book.customers.get(query.customer)
    if customer is None:
        return Refusal(Rejection.CUSTOMER_UNKNOWN).answer("")
    return an.AccountState(
        customer.id,
        customer.currency,
        customer.suspended,
        customer.cash_m,
        customer.open_stakes_m,
        customer.reserved_m,
        customer.liability_m,
        customer.bonus_m,
        customer.exposure_m,
    )


def get_order(book: Book, _: Limits, query: qu.GetOrder, __: int) -> an.Answer:
    """An order the engine holds; one that was refused, or of which nothing is left, by its answer.

    What came in to rest or to wait does neither any more, and nothing of it was matched, or it would be held.
    """
    order = book.orders.get(query.order)
    if order is not None:
        return order_state(order)
    answered = book.answers.get(query.order)
    if answered is not None and isinstance(answered.answer, an.Rejected):
        return answered.answer
    if answered is not None and isinstance(answered.answer, an.OrderReport):
        report = answered.answer
        return report if report.status == "lapsed" else replace(report, status="done", until_ms=0)
    return Refusal(Rejection.ORDER_UNKNOWN).answer(query.order)


def order_state(order: Order) -> an.OrderState:
    """An order as it stands."""
    market = order.selection.market
    status = "waiting" if order.waits is not None else "on_close" if order.on_close else "resting"
    return an.OrderState(
        order.id,
        order.customer,
        market.fixture.id,
        market.id,
        order.selection.id,
        orders.SIDE_NAMES[order.side],
        order.ts_ms,
        status if order.stake_m else "done",
        order.price,
        order.asked_m,
        order.stake_m,
        order.matched_m,
        order.paid // order.matched_m if order.matched_m else 0,
        orders.PERSISTENCE_NAMES[order.persistence],
    )


def get_orders(book: Book, limits: Limits, query: qu.GetOrders, _: int) -> an.Answer:
    """A customer's orders in a market: those that rest, and of the others the latest."""
    customer = book.customers.get(query.customer)
    if customer is None:
        return Refusal(Rejection.CUSTOMER_UNKNOWN).answer("")
    market = markets.find(book, query.fixture, query.market)
    if isinstance(market, Refusal):
        return market.answer("")
    position = (customer.positions or {}).get((query.fixture, query.market))
    if position is None:
        return an.Orders(customer.id, (), 0, 0, 0)
    states = tuple(order_state(order) for order in _listed(position, limits.orders_listed_max))
    older = len(position.orders) - len(states)
    return an.Orders(
        customer.id, states, position.exposure_m, position.net_m, position.commission_m, older_orders=older
    )


def _listed(position: Position, most: int) -> list[Order]:
    """As many of a customer's orders as one answer holds, in the order in which they came.

    No further back than that needs: a market maker's oldest order may rest still, behind 100 000 that are matched.
    """
    resting = list(position.resting.values())[-most:]
    done, found = most - len(resting), []
    for order in reversed(position.orders.values()) if done else ():
        if order.stake_m:
            found.append(resting.pop())
        else:
            found.append(order)
            done -= 1
        if not done:
            break
    return resting + found[::-1]


def get_book(book: Book, limits: Limits, query: qu.GetBook, now_ms: int) -> an.Answer:
    """An exchange market's order books."""
    market = markets.find(book, query.fixture, query.market)
    if isinstance(market, Refusal):
        return market.answer("")
    if market.exchange is None:
        return Refusal(Rejection.EXCHANGE_NOT_OFFERED).answer("")
    return book_image(market, limits, now_ms)


def book_image(market: Market, limits: Limits, now_ms: int) -> an.BookImage:
    """All levels of all selections; `version` is the stream's, put in by the publisher."""
    exchange = market.exchange
    assert exchange is not None
    return an.BookImage(
        market.fixture.id,
        market.id,
        0,
        exchange.version,
        book_status(market, limits, now_ms),
        exchange.in_play,
        tuple(book_levels(exchange, name) for name in market.selections),
    )


def book_status(market: Market, limits: Limits, now_ms: int) -> str:
    """Whether orders are taken, in the words of the odds stream: no price of the market's own has to be there."""
    if not market.closed_ms and orders.market_obstacle(market, limits, now_ms) is None:
        return "open"
    status = markets.offered_status(market, limits, now_ms)
    return "suspended" if status == "open" else status


def book_levels(exchange: Exchange, selection: str) -> an.BookLevels:
    """One selection's order book."""
    resting = exchange.books.get(selection)
    backs, lays = ((), ()) if resting is None else (tuple(resting.levels(side)) for side in Side)
    return an.BookLevels(selection, backs, lays, *clearing.near_and_far(exchange, selection))


def get_odds(book: Book, limits: Limits, query: qu.GetOdds, now_ms: int) -> an.Answer:
    """A market's image."""
    market = markets.find(book, query.fixture, query.market)
    return market.answer("") if isinstance(market, Refusal) else image(market, limits, now_ms)


def image(market: Market, limits: Limits, now_ms: int) -> an.OddsImage:
    """A market as it is offered."""
    fixture = market.fixture
    return an.OddsImage(
        fixture.id,
        market.id,
        market.version,
        fixture.name,
        market.name,
        market.market_type,
        fixture.sport,
        fixture.start_ms,
        markets.offered_status(market, limits, now_ms),
        market.in_play,
        tuple(
            an.SelectionOdds(selection.id, selection.name, selection.price) for selection in market.selections.values()
        ),
        market.specifiers,
        market.each_way,
        market.delay_ms,
        market.starting_price,
        None if market.exchange is None else market.exchange.terms,
    )
