"""Batches of orders: up to 200 instructions in one market, each for itself or all of them or none (RULEBOOK 6).

A batch is one event with a step for each instruction, so that it is stored whole or not at all. Each step is applied
before the next is decided: an order can be matched with what an earlier one has left.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from core import ledger, markets
from core.book import Book, Customer, Market, Order, Position
from core.exchange import cancelling, orders, positions
from core.exchange.orders import Step
from core.limits import Limits
from core.messages import answers as an
from core.messages import commands as co
from core.messages import events as ev
from core.messages.rejections import Rejection
from core.refusals import REASON_NAMES, Refusal

FILLS_MAX = 3_000
"""Orders with which those of a batch are matched at the most, each with its share: one event holds them. The last match
across selections may pass it, by a few hundred makers at the most: an event of 3 500 is 760 kB.
"""


def decide(book: Book, limits: Limits, command: co.BatchOrders, digest: int, now_ms: int) -> ev.OrderBatch | Refusal:
    """Instruction by instruction, each applied before the next is decided: what is left is to note the batch itself."""
    market = markets.find(book, command.fixture, command.market)
    if isinstance(market, Refusal):
        return market
    if market.exchange is None:
        return Refusal(Rejection.EXCHANGE_NOT_OFFERED)
    amiss = _repeated(command)
    if amiss is None and command.atomic:
        amiss = _uncovered(book, limits, market, command, now_ms)
    if amiss is not None:
        return amiss
    steps = []
    share, left = FILLS_MAX // len(command.instructions), FILLS_MAX
    for instruction in command.instructions:
        step = _step(book, limits, market, command, instruction, digest, now_ms, max(0, min(share, left)))
        _STEPS[type(step)](book, step)
        steps.append(step)
        left -= len(ledger.makers(step)) if isinstance(step, ev.OrderPlaced) else 0
    customer = book.customers[command.customer]
    return ev.OrderBatch(
        now_ms, command.id, digest, customer.id, customer.currency, market.fixture.id, market.id, tuple(steps)
    )


def _repeated(command: co.BatchOrders) -> Refusal | None:
    """Two orders of one id, or one of the batch's own, by which its answer is known."""
    seen = {command.id}
    for index, instruction in enumerate(command.instructions):
        if isinstance(instruction, co.Place | co.Replace):
            if instruction.id in seen:
                return Refusal(Rejection.DUPLICATE_ID, index)
            seen.add(instruction.id)
    return None


def _placing(command: co.BatchOrders, instruction: co.Place) -> co.PlaceOrder:
    return co.PlaceOrder(
        instruction.id,
        command.expires_ms,
        command.customer,
        command.fixture,
        command.market,
        instruction.selection,
        instruction.side,
        instruction.stake_m,
        instruction.price,
        instruction.kind,
        instruction.persistence,
        instruction.fill_or_kill,
        instruction.fill_min_m,
        command.version,
    )


def _step(
    book: Book,
    limits: Limits,
    market: Market,
    command: co.BatchOrders,
    instruction: co.Instruction,
    digest: int,
    now_ms: int,
    fills_max: int,
) -> Step:
    decided: Step | Refusal = _instructed(book, limits, market, command, instruction, digest, now_ms, fills_max)
    if not isinstance(decided, Refusal):
        return decided
    name = instruction.id if isinstance(instruction, co.Place | co.Replace) else ""
    return ev.OrderRefused(
        now_ms, name, decided.reason.value, decided.limit, decided.detail, decided.price, decided.stake_m
    )


def _instructed(
    book: Book,
    limits: Limits,
    market: Market,
    command: co.BatchOrders,
    instruction: co.Instruction,
    digest: int,
    now_ms: int,
    fills_max: int,
) -> Any:  # an event or a Refusal
    if isinstance(instruction, co.Place):
        refusal = _taken_id(book, instruction.id, now_ms)
        placing = _placing(command, instruction)
        return refusal or orders.decide_place(book, limits, placing, digest, now_ms, fills_max)
    order = cancelling.own(book, command.customer, instruction.order)
    if order is None or order.selection.market is not market:
        return Refusal(Rejection.ORDER_UNKNOWN)
    head = "", command.expires_ms, command.customer
    if isinstance(instruction, co.Cancel):
        return cancelling.decide_cancel(book, limits, co.CancelOrder(*head, order.id), 0, now_ms)
    if isinstance(instruction, co.Reduce):
        return cancelling.decide_reduce(book, limits, co.ReduceOrder(*head, order.id, instruction.by_m), 0, now_ms)
    refusal = _taken_id(book, instruction.id, now_ms) or _outdated(market, command)
    replacing = co.ReplaceOrder(instruction.id, command.expires_ms, command.customer, order.id, instruction.price)
    return refusal or orders.decide_replace(book, limits, replacing, digest, now_ms, fills_max)


def _taken_id(book: Book, order_id: str, now_ms: int) -> Refusal | None:
    """An id that something else has."""
    if not (order_id.isascii() and order_id.isprintable()):
        return Refusal(Rejection.MALFORMED, detail="id: printable ASCII")
    answered = book.answers.get(order_id)
    kept = answered is not None and answered.expires_ms > now_ms
    if kept or order_id in book.orders or order_id in book.bets or order_id in book.pending:
        return Refusal(Rejection.DUPLICATE_ID)
    return None


def _outdated(market: Market, command: co.BatchOrders) -> Refusal | None:
    """Whether a replacement relies on the market as it was; orders that are placed are asked when they are read."""
    assert market.exchange is not None
    version = market.exchange.version
    if command.version and command.version < version:
        return Refusal(Rejection.MARKET_VERSION_CHANGED, limit=version)
    return None


def _uncovered(book: Book, limits: Limits, market: Market, command: co.BatchOrders, now_ms: int) -> Refusal | None:
    """Whether an instruction of an atomic batch would be refused, each seen for itself, and money as if none of its
    orders were matched: then it is covered whatever they are matched with.
    """
    customer = book.customers[command.customer]
    position = positions.of(market, customer.id) or Position(customer, market)
    planned = positions.after(position, ())
    gone: set[str] = set()
    placed: dict[str, int] = {}
    for index, instruction in enumerate(command.instructions):
        order = None
        if not isinstance(instruction, co.Place):
            order = cancelling.own(book, command.customer, instruction.order)
            if order is None or order.selection.market is not market or order.id in gone:
                return Refusal(Rejection.ORDER_UNKNOWN, index)
            if order.waits is not None and not isinstance(instruction, co.Cancel):
                return Refusal(Rejection.ORDER_UNKNOWN, index)
            less_m = instruction.by_m if isinstance(instruction, co.Reduce) else order.stake_m
            kept_m = cancelling.at_risk_of(order, order.stake_m - less_m) if less_m < order.stake_m else 0
            positions.make(planned, positions.rests(order.selection.id, order.side, kept_m - positions.at_risk(order)))
            gone.add(order.id)
        if isinstance(instruction, co.Place | co.Replace):
            placing = (
                _placing(command, instruction)
                if isinstance(instruction, co.Place)
                else _replaced_in(command, instruction, order)
            )
            asked = _taken_id(book, placing.id, now_ms) or orders.read(book, limits, placing, now_ms, order)
            if isinstance(asked, Refusal):
                return asked._replace(leg=index)
            if order is not None and orders.waits(asked):
                return orders.NOT_REPLACED._replace(leg=index)
            placed[placing.selection] = placed.get(placing.selection, 0) + 1
            full = _full(book, limits, market, customer, placing, placed)
            if full is not None:
                return full._replace(leg=index)
            risk_m = positions.open_m(asked.side, placing.price, placing.stake_m, on_close=placing.kind == "on_close")
            positions.make(planned, positions.rests(placing.selection, asked.side, risk_m))
        refusal = orders.cover(customer, positions.exposure(planned) - position.exposure_m, now_ms)
        if refusal is not None:
            return refusal._replace(leg=index)
    return None


def _full(
    book: Book, limits: Limits, market: Market, customer: Customer, placing: co.PlaceOrder, placed: dict[str, int]
) -> Refusal | None:
    """The bounds of memory, the orders before it counted in; `placed`: how many by selection."""
    assert market.exchange is not None
    count = sum(placed.values())
    if customer.resting + count > limits.orders_customer_max:
        return Refusal(Rejection.TOO_MANY, limit=limits.orders_customer_max, detail="orders")
    if len(book.orders) + count > limits.orders_max:
        return Refusal(Rejection.TOO_MANY, limit=limits.orders_max, detail="orders")
    closing = orders.closing(market.exchange, placing.selection) + placed[placing.selection]
    if "on_close" in {placing.kind, placing.persistence} and closing > limits.orders_on_close_max:
        return Refusal(Rejection.TOO_MANY, limit=limits.orders_on_close_max, detail="orders on close")
    return None


def _replaced_in(command: co.BatchOrders, instruction: co.Replace, order: Order | None) -> co.PlaceOrder:
    assert order is not None
    replacing = co.ReplaceOrder(instruction.id, command.expires_ms, command.customer, order.id, instruction.price)
    return replace(orders.replaced(order, replacing), version=command.version)


def apply(book: Book, event: ev.OrderBatch) -> None:
    """Each step, then the batch."""
    for step in event.steps:
        _STEPS[type(step)](book, step)
    note(book, event)


def note(book: Book, event: ev.OrderBatch) -> None:
    """The batch itself, its steps having been applied: the answer."""
    reports = tuple(_report(book, step) for step in event.steps)
    book.remember(event.id, event.digest, event.ts_ms, an.OrderReports(event.id, event.ts_ms, reports))


def _report(book: Book, step: Step) -> an.OrderReport | an.Cancelled | an.Rejected:
    if isinstance(step, ev.OrderRefused):
        return an.Rejected(
            step.id,
            REASON_NAMES[step.reason],
            price=step.price,
            limit=step.limit,
            stake_m=step.stake_accepted_m,
            detail=step.detail,
        )
    if isinstance(step, ev.OrdersCancelled):
        return an.Cancelled(step.orders[0], step.ts_ms, 1, step.stake_m)
    if isinstance(step, ev.OrderReduced):
        return an.Cancelled(step.order, step.ts_ms, 0, step.by_m)
    return orders.report(book, step.id)


def _apply_refused(book: Book, event: ev.OrderRefused) -> None:
    """Nothing of it was done."""


_STEPS: dict[type, Any] = {
    ev.OrderPlaced: orders.apply_placed,
    ev.OrderPending: orders.apply_pending,
    ev.OrdersCancelled: cancelling.apply_cancelled,
    ev.OrderReduced: cancelling.apply_reduced,
    ev.OrderRefused: _apply_refused,
}
