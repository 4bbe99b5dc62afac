"""Customers, what they hold and what they have set themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adapters.postgres.comparing.rows import Differences, Rows, differences, keyed

if TYPE_CHECKING:
    from adapters.postgres.connection import Connection
    from core.book import Book, Customer


async def compare(connection: Connection, book: Book, report: Differences) -> None:
    """All that is a customer's, and the house's accounts."""
    await _customers(connection, book, report)
    await _reserves(connection, book, report)
    await _own_limits(connection, book, report)
    await _bonuses(connection, book, report)
    await _free_bets(connection, book, report)


async def _customers(connection: Connection, book: Book, report: Differences) -> None:
    columns = (
        "currency suspended cash_m open_stakes_m reserved_m bonus_m exposure_m "
        "verified timed_out_until_ms excluded_until_ms"
    )
    found = await keyed(connection, 1, f"SELECT customer, {', '.join(columns.split())} FROM customers")  # noqa: S608
    expected: Rows = {(customer.id,): _customer(customer) for customer in book.customers.values()}
    differences(report, "customer", columns, expected, found)
    house = await keyed(connection, 2, "SELECT account, currency, balance_m FROM house_accounts WHERE balance_m <> 0")
    balances: Rows = {key: (balance_m,) for key, balance_m in book.house.items() if balance_m}
    differences(report, "house account", "balance_m", balances, house)


def _customer(customer: Customer) -> tuple[Any, ...]:
    return (
        customer.currency,
        customer.suspended,
        customer.cash_m,
        customer.open_stakes_m,
        customer.reserved_m,
        customer.bonus_m,
        customer.exposure_m,
        customer.verified,
        customer.timed_out_until_ms,
        customer.excluded_until_ms,
    )


async def _reserves(connection: Connection, book: Book, report: Differences) -> None:
    query = """
        SELECT p.id, p.customer, p.amount_m, p.provider, r.hold_until_ms
        FROM reserves r JOIN payments p ON p.event_no = r.reserve_no WHERE r.status = 'held'
    """
    expected: Rows = {(r.id,): (r.customer.id, r.amount_m, r.provider, r.hold_until_ms) for r in book.reserves.values()}
    found = await keyed(connection, 1, query)
    differences(report, "reserve", "customer amount_m provider hold_until_ms", expected, found)


async def _own_limits(connection: Connection, book: Book, report: Differences) -> None:
    columns = "limit_m next_m confirm_from_ms"
    query = "SELECT customer, kind, period, limit_m, next_m, confirm_from_ms FROM own_limits"
    expected: Rows = {
        (customer.id, own.kind, own.period): (own.limit_m, own.next_m, own.confirm_from_ms)
        for customer in book.customers.values()
        if customer.protection is not None
        for own in customer.protection.limits.values()
    }
    differences(report, "own limit", columns, expected, await keyed(connection, 3, query))


async def _bonuses(connection: Connection, book: Book, report: Differences) -> None:
    columns = "amount_m required_m ends_ms price_min staked_m"
    query = "SELECT customer, bonus, amount_m, required_m, ends_ms, price_min, staked_m FROM running_bonuses"
    expected: Rows = {
        (customer.id, b.bonus): (b.amount_m, b.required_m, b.ends_ms, b.price_min, b.staked_m)
        for customer in book.customers.values()
        for b in (customer.bonuses or {}).values()
    }
    differences(report, "bonus", columns, expected, await keyed(connection, 2, query))


async def _free_bets(connection: Connection, book: Book, report: Differences) -> None:
    """One that was used is forgotten with its bet and has no end of its own: Postgres may know more of those."""
    query = """
        SELECT customer, bonus, amount_m, ends_ms, price_min,
               EXISTS (SELECT FROM bets b WHERE b.customer = g.customer AND b.ts_ms >= g.ts_ms
                       AND b.free_bet = g.bonus AND b.bet_no > g.granted_no) AS used
        FROM bonuses g WHERE kind = 'free_bet' AND ended_no IS NULL ORDER BY granted_no
    """
    expected: Rows = {
        (customer.id, token.token): (token.stake_m, token.ends_ms, token.price_min)
        for customer in book.customers.values()
        for token in (customer.free_bets or {}).values()
    }
    rows = await keyed(connection, 2, query)
    found = {key: values for key, (*values, used) in rows.items() if key in expected or not used}
    differences(report, "free bet", "stake_m ends_ms price_min", expected, {k: tuple(v) for k, v in found.items()})
