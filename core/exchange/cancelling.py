"""Orders are taken back, whole or in part: by their customer, or since he may not bet any more (RULEBOOK 6 and 7).

What rests of an order, or waits, goes out of wherever it stands, and what was set aside for it comes back to the minor
unit. An order without any match is forgotten, and so is a position that holds nothing.
"""

from __future__ import annotations

from msgspec.structs import replace

from core import accounts, ledger, protection
from core.book import Book, Customer, Exchange, Market, Order, Persistence, Position
from core.exchange import positions
from core.limits import Limits
from core.messages import answers as an
from core.messages import commands as co
from core.messages import events as ev
from core.messages.rejections import Rejection
from core.refusals import REASON_NAMES, Refusal

_ON_CLOSE = Persistence.ON_CLOSE.value


def cancelled(
    market: Market, orders: list[Order], why: ev.Why, now_ms: int, command_id: str = "", digest: int = 0
) -> ev.OrdersCancelled:
    """What rests of some orders of one customer in one market is taken back."""
    position = _position_of(market, orders[0].customer)
    back = [positions.rests(order.selection.id, order.side, -positions.at_risk(order)) for order in orders]
    return ev.OrdersCancelled(
        now_ms,
        command_id,
        digest,
        position.customer.id,
        position.customer.currency,
        market.fixture.id,
        market.id,
        tuple(order.id for order in orders),
        why.value,
        sum(order.stake_m for order in orders),
        positions.exposure(position, back) - position.exposure_m,
    )


def _position_of(market: Market, customer_id: str) -> Position:
    position = positions.of(market, customer_id)
    assert position is not None, customer_id
    return position


def take_back(
    book: Book, exchange: Exchange, position: Position, order: Order, ts_ms: int, *, again: bool = False
) -> None:
    """What rests of an order is taken out of wherever it rests. An order without any match is forgotten.

    `again`: it comes back at once under its id, and with another answer.
    """
    name = order.selection.id
    positions.make(position, positions.rests(name, order.side, -positions.at_risk(order)))
    del position.resting[order.id]
    position.customer.resting -= 1
    if order.waits is not None:
        order.waits = None
    elif order.on_close:
        del exchange.on_close[name][order.id]
    else:
        exchange.books[name].cancel(order.id)
        if order.persistence == _ON_CLOSE:
            del exchange.until_close[name][order.id]
    order.stake_m = 0
    if order.carried is not None:
        positions.carry(book, order)
    if not order.matched_m:
        del book.orders[order.id], position.orders[order.id]
        if not again:
            book.remember(order.id, order.digest, ts_ms, order.report)
    exchange.changed[name] = None


def own(book: Book, customer_id: str, order_id: str) -> Order | None:
    """A customer's order of which something rests, or that waits."""
    order = book.orders.get(order_id)
    mine = order is not None and order.customer == customer_id and order.stake_m and not is_matched(order)
    return order if mine else None


def is_matched(order: Order) -> bool:
    """Whether its starting price is made: it is matched, though the event that says so of it is still to come."""
    exchange = order.selection.market.exchange
    assert exchange is not None
    return exchange.made is not None and order.id in exchange.made.stakes_m


def decide_cancel(book: Book, _: Limits, command: co.CancelOrder, digest: int, now_ms: int) -> ev.Event | Refusal:
    """What rests of one order."""
    order = own(book, command.customer, command.order)
    if order is None:
        return Refusal(Rejection.ORDER_UNKNOWN)
    return cancelled(order.selection.market, [order], ev.Why.CUSTOMER, now_ms, command.id, digest)


def decide_cancel_all(
    book: Book, _: Limits, command: co.CancelOrders, digest: int, now_ms: int
) -> list[ev.Event] | Refusal:
    """What rests of all his orders, a market an event; the last one is the command's."""
    found = _resting(book.customers[command.customer], command.fixture, command.market)
    if not found:
        return Refusal(Rejection.ORDER_UNKNOWN)
    if command.market and not command.fixture:
        return Refusal(Rejection.DEFINITION_NOT_VALID, detail="market: only with its fixture")
    events = [cancelled(market, orders, ev.Why.CUSTOMER, now_ms) for market, orders in found[:-1]]
    count, stake_m = sum(len(event.orders) for event in events), sum(event.stake_m for event in events)
    last = cancelled(*found[-1], ev.Why.CUSTOMER, now_ms, command.id, digest)
    return [*events, replace(last, orders_before=count, stake_before_m=stake_m)]


def _resting(customer: Customer, fixture: str = "", market: str = "") -> list[tuple[Market, list[Order]]]:
    """A customer's orders that rest or wait, by market; everywhere, or where it is said."""
    found = [
        (position.market, [order for order in position.resting.values() if not is_matched(order)])
        for (of_fixture, of_market), position in (customer.positions or {}).items()
        if position.resting and fixture in ("", of_fixture) and market in ("", of_market)
    ]
    return [each for each in found if each[1]]


def decide_exclude(
    book: Book, limits: Limits, command: co.ExcludeCustomer, digest: int, now_ms: int
) -> list[ev.Event] | Refusal:
    """A time-out or a self-exclusion: a match is a bet, so nothing of his may rest any more (RULEBOOK 7)."""
    event = protection.decide_exclude(book, limits, command, digest, now_ms)
    return event if isinstance(event, Refusal) else _barred(book.customers[command.customer], event, now_ms)


def decide_status(
    book: Book, limits: Limits, command: co.SetCustomerStatus, digest: int, now_ms: int
) -> list[ev.Event] | Refusal:
    """A customer is suspended, his orders with him, or no longer."""
    event = accounts.decide_status(book, limits, command, digest, now_ms)
    if isinstance(event, Refusal):
        return event
    return _barred(book.customers[command.customer], event, now_ms) if command.suspended else [event]


def decide_verify(
    book: Book, limits: Limits, command: co.VerifyCustomer, digest: int, now_ms: int
) -> list[ev.Event] | Refusal:
    """Who a customer is was checked, or is not any more, and only those who are known may bet."""
    event = protection.decide_verify(book, limits, command, digest, now_ms)
    if isinstance(event, Refusal):
        return event
    unknown = limits.verified_only and not command.verified
    return _barred(book.customers[command.customer], event, now_ms) if unknown else [event]


def _barred(customer: Customer, event: ev.Event, now_ms: int) -> list[ev.Event]:
    """His orders first: should an append part them, the command is still to be answered, and asked again."""
    return [*(cancelled(market, each, ev.Why.BARRED, now_ms) for market, each in _resting(customer)), event]


def apply_cancelled(book: Book, event: ev.OrdersCancelled) -> None:
    """They rest no more."""
    market = book.fixtures[event.fixture].markets[event.market]
    exchange = market.exchange
    assert exchange is not None
    position = exchange.positions[event.customer]
    for order_id in event.orders:
        order = position.orders[order_id]
        take_back(book, exchange, position, order, event.ts_ms)
        if event.reason:  # it had only been told that it waits
            refused = an.Rejected(order.id, REASON_NAMES[event.reason])
            book.remember(order.id, order.digest, event.ts_ms, refused)
    _settle_up(book, exchange, position, event)
    if event.id:
        count = event.orders_before + len(event.orders)
        done = an.Cancelled(event.id, event.ts_ms, count, event.stake_before_m + event.stake_m)
        book.remember(event.id, event.digest, event.ts_ms, done)


def _settle_up(book: Book, exchange: Exchange, position: Position, event: ev.OrdersCancelled | ev.OrderReduced) -> None:
    """The exposure that goes with it; and a position that holds nothing is forgotten."""
    position.exposure_m += event.exposure_m
    ledger.expose(book, position.customer, event.exposure_m)
    book.traded[event.fixture, event.market] = position.market
    leave(exchange, position)


def decide_reduce(book: Book, _: Limits, command: co.ReduceOrder, digest: int, now_ms: int) -> ev.Event | Refusal:
    """Less of an order rests."""
    order = own(book, command.customer, command.order)
    if order is None or order.waits is not None:
        return Refusal(Rejection.ORDER_UNKNOWN)
    if command.by_m >= order.stake_m:
        return cancelled(order.selection.market, [order], ev.Why.CUSTOMER, now_ms, command.id, digest)
    market, customer = order.selection.market, order.owner
    position = _position_of(market, customer.id)
    less_m = at_risk_of(order, order.stake_m - command.by_m) - positions.at_risk(order)
    change_m = positions.exposure(position, [positions.rests(order.selection.id, order.side, less_m)])
    return ev.OrderReduced(
        now_ms,
        command.id,
        digest,
        customer.id,
        customer.currency,
        market.fixture.id,
        market.id,
        order.id,
        command.by_m,
        change_m - position.exposure_m,
    )


def at_risk_of(order: Order, stake_m: int) -> int:
    return positions.open_m(order.side, order.price, stake_m, on_close=order.on_close)


def apply_reduced(book: Book, event: ev.OrderReduced) -> None:
    """It keeps its place."""
    order = book.orders[event.order]
    market = order.selection.market
    exchange = market.exchange
    assert exchange is not None
    position = exchange.positions[event.customer]
    less_m = at_risk_of(order, order.stake_m - event.by_m) - positions.at_risk(order)
    positions.make(position, positions.rests(order.selection.id, order.side, less_m))
    if order.on_close:
        order.stake_m -= event.by_m
    else:
        exchange.books[order.selection.id].reduce(order.id, event.by_m)
    if order.carried is not None:
        positions.carry(book, order)
    exchange.changed[order.selection.id] = None
    _settle_up(book, exchange, position, event)
    if event.id:
        book.remember(event.id, event.digest, event.ts_ms, an.Cancelled(event.id, event.ts_ms, 0, event.by_m))


def leave(exchange: Exchange, position: Position) -> None:
    """A customer's last order is gone. Not while positions are looked at: they are counted, and then forgotten."""
    if not (exchange.clearing or exchange.due):
        forget(exchange, position)


def forget(exchange: Exchange, position: Position) -> None:
    """A customer has nothing in the market any more, and has had nothing matched: so he has no position."""
    if position.orders or position.trades or position.exposure_m or position.settled:
        return
    customer, market = position.customer, position.market
    if exchange.positions.pop(customer.id, None) is not None and customer.positions is not None:
        del customer.positions[market.fixture.id, market.id]
        if not customer.positions:
            customer.positions = None
