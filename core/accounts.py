"""Customers and their money: opening, and payments in one phase or two (RULEBOOK 7; reserve, post, void: DESIGN 8)."""

from __future__ import annotations

from heapq import heapify, heappop, heappush

from core import ledger, protection, rates
from core.book import Book, Customer, Reserve
from core.limits import Limits
from core.messages import commands as co
from core.messages import events as ev
from core.messages.rejections import Rejection
from core.refusals import Refusal

_ENDED_HOLDS_MAX = 1_000
"""Time limits of reserves that have ended wait for their time, far off as it may be; past this and half, they go."""


def decide_open(book: Book, limits: Limits, command: co.OpenCustomer, digest: int, now_ms: int) -> ev.Event | Refusal:
    """Open an account in the book's currency, or in any that has a rate."""
    if command.customer in book.customers:
        return Refusal(Rejection.CUSTOMER_EXISTS)
    if rates.rate_of(book, limits, command.currency) is None:
        return Refusal(Rejection.CURRENCY_UNKNOWN, detail=command.currency)
    if len(book.customers) >= limits.customers_max:
        return Refusal(Rejection.TOO_MANY, limit=limits.customers_max, detail="customers")
    return ev.CustomerOpened(now_ms, command.id, digest, command.customer, command.currency)


def apply_opened(book: Book, event: ev.CustomerOpened) -> None:
    """A customer with nothing on his accounts."""
    book.customers[event.customer] = Customer(event.customer, event.currency)


def decide_deposit(book: Book, _: Limits, command: co.Deposit, digest: int, now_ms: int) -> ev.Event | Refusal:
    """Money has come in, unless the customer has excluded himself or a limit of his own stands against it."""
    customer = book.customers[command.customer]
    refusal = protection.deposit_refusal(customer, command.amount_m, now_ms)
    if refusal is not None:
        return refusal
    return ev.Deposited(now_ms, command.id, digest, customer.id, customer.currency, command.amount_m, command.provider)


def decide_withdraw(book: Book, _: Limits, command: co.Withdraw, digest: int, now_ms: int) -> ev.Event | Refusal:
    """Money has gone out; only what lies in cash can."""
    customer = book.customers[command.customer]
    if command.amount_m > customer.cash_m:
        return Refusal(Rejection.BALANCE_TOO_LOW, limit=customer.cash_m)
    return ev.Withdrawn(now_ms, command.id, digest, customer.id, customer.currency, command.amount_m, command.provider)


def decide_reserve(book: Book, limits: Limits, command: co.Reserve, digest: int, now_ms: int) -> ev.Event | Refusal:
    """Set cash aside for a payment that is under way; its id is taken for as long as it is."""
    if command.id in book.reserves:
        return Refusal(Rejection.DUPLICATE_ID)
    customer = book.customers[command.customer]
    if command.amount_m > customer.cash_m:
        return Refusal(Rejection.BALANCE_TOO_LOW, limit=customer.cash_m)
    if len(book.reserves) >= limits.reserves_max:
        return Refusal(Rejection.TOO_MANY, limit=limits.reserves_max, detail="reserves")
    return ev.Reserved(
        now_ms,
        command.id,
        digest,
        customer.id,
        customer.currency,
        command.amount_m,
        command.provider,
        command.hold_until_ms,
    )


def apply_reserved(book: Book, event: ev.Reserved) -> None:
    """The reserve, beside the money."""
    customer = book.customers[event.customer]
    book.reserves[event.id] = Reserve(event.id, customer, event.amount_m, event.provider, event.hold_until_ms)
    heappush(book.holds, (event.hold_until_ms, event.id))
    ledger.post(book, customer, event)


def decide_post(book: Book, _: Limits, command: co.PostReserve, digest: int, now_ms: int) -> ev.Event | Refusal:
    """Pay out of a reserve."""
    reserve = book.reserves.get(command.reserve)
    if reserve is None or reserve.customer.id != command.customer:
        return Refusal(Rejection.RESERVE_UNKNOWN)
    if command.amount_m > reserve.amount_m:
        return Refusal(Rejection.RESERVE_EXCEEDED, limit=reserve.amount_m)
    returned_m = reserve.amount_m - command.amount_m
    customer = reserve.customer
    return ev.ReservePosted(
        now_ms,
        command.id,
        digest,
        customer.id,
        customer.currency,
        reserve.id,
        reserve.provider,
        command.amount_m,
        returned_m,
    )


def decide_void(book: Book, _: Limits, command: co.VoidReserve, digest: int, now_ms: int) -> ev.Event | Refusal:
    """Give a reserve back."""
    reserve = book.reserves.get(command.reserve)
    if reserve is None or reserve.customer.id != command.customer:
        return Refusal(Rejection.RESERVE_UNKNOWN)
    return _voided(reserve, command.id, digest, now_ms)


def _voided(reserve: Reserve, command_id: str, digest: int, now_ms: int) -> ev.ReserveVoided:
    customer = reserve.customer
    return ev.ReserveVoided(now_ms, command_id, digest, customer.id, customer.currency, reserve.id, reserve.amount_m)


def run_out(book: Book, now_ms: int) -> ev.Event | None:
    """The reserve that is longest past its time limit, to be voided, if there is one."""
    while book.holds and book.holds[0][0] <= now_ms:
        reserve = book.reserves.get(book.holds[0][1])
        if reserve is not None and reserve.hold_until_ms <= now_ms:
            return _voided(reserve, "", 0, now_ms)
        heappop(book.holds)
    return None


def apply_reserve_ended(book: Book, event: ev.ReservePosted | ev.ReserveVoided) -> None:
    """The reserve is gone; the money went where the ledger says."""
    reserve = book.reserves.pop(event.reserve)
    if len(book.holds) > 2 * len(book.reserves) + _ENDED_HOLDS_MAX:
        book.holds = [(known.hold_until_ms, known.id) for known in book.reserves.values()]
        heapify(book.holds)
    ledger.post(book, reserve.customer, event)


def apply_payment(book: Book, event: ev.Deposited | ev.Withdrawn) -> None:
    """Money moves, and a deposit counts against the customer's own limits."""
    customer = book.customers[event.customer]
    ledger.post(book, customer, event)
    if customer.protection is not None and type(event) is ev.Deposited:
        protection.deposited(customer, event)


def decide_status(book: Book, _: Limits, command: co.SetCustomerStatus, digest: int, now_ms: int) -> ev.Event | Refusal:
    """Suspend a customer, or lift that."""
    customer = book.customers[command.customer]
    return ev.CustomerStatusSet(
        now_ms, command.id, digest, command.author, customer.id, command.suspended, command.reason
    )


def apply_status(book: Book, event: ev.CustomerStatusSet) -> None:
    """From now on he may bet, or not."""
    book.customers[event.customer].suspended = event.suspended
