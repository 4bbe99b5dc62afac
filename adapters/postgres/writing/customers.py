"""Customers, their balances and limits, and what was granted to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from adapters.postgres.writing.statements import change, copy

if TYPE_CHECKING:
    from adapters.postgres.connection import Connection
    from adapters.postgres.slices import Slice

_TABLES: Final = (
    "customers",
    "payments",
    "reserves",
    "ledger_entries",
    "exclusions",
    "own_limit_changes",
    "customer_factor_changes",
    "bonuses",
)
# Sums of a slice may exceed 64 bits; as text they reach numeric unharmed, and faster than as Decimal.
_BALANCES: Final = """
    UPDATE customers c SET cash_m = c.cash_m + u.cash_m, open_stakes_m = c.open_stakes_m + u.open_stakes_m,
           reserved_m = c.reserved_m + u.reserved_m, bonus_m = c.bonus_m + u.bonus_m,
           exposure_m = c.exposure_m + u.exposure_m
    FROM unnest($1::text[], $2::text[]::numeric[], $3::text[]::numeric[], $4::text[]::numeric[], $5::text[]::numeric[],
                $6::text[]::numeric[]) u (customer, cash_m, open_stakes_m, reserved_m, bonus_m, exposure_m)
    WHERE c.customer = u.customer
"""
_HOUSE: Final = """
    INSERT INTO house_accounts (account, currency, balance_m)
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[]::numeric[])
    ON CONFLICT (account, currency) DO UPDATE SET balance_m = house_accounts.balance_m + excluded.balance_m
"""
_SAID: Final = """
    UPDATE customers c SET {column} = u.said FROM unnest($1::text[], $2::{kind}[]) u (customer, said)
    WHERE c.customer = u.customer
"""
_RESERVES: Final = """
    UPDATE reserves r SET status = u.status, posted_m = u.posted_m, closed_no = u.event_no
    FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[]) u (event_no, id, status, posted_m),
         LATERAL (SELECT max(p.event_no) AS reserve_no FROM payments p
                  WHERE p.id = u.id AND p.kind = 'reserve' AND p.event_no < u.event_no) latest
    WHERE r.reserve_no = latest.reserve_no
"""
# A token's name may be granted again once its bet is forgotten: the latest grant before the event is meant.
_BONUSES_ENDED: Final = """
    UPDATE bonuses b SET ended_no = u.event_no, how = u.how
    FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[]) u (event_no, customer, bonus, how)
    WHERE b.granted_no = (SELECT max(g.granted_no) FROM bonuses g
                          WHERE (g.customer, g.bonus) = (u.customer, u.bonus) AND g.granted_no < u.event_no)
"""


async def write(connection: Connection, rows: Slice) -> None:
    """All that the slice says of customers, and of the house's accounts."""
    for table in _TABLES:
        await copy(connection, table, rows)
    # In the order of their names: so two transactions could never wait for each other in a circle.
    balances = [(customer, *map(str, changes)) for customer, changes in sorted(rows.balances.items()) if any(changes)]
    await change(connection, _BALANCES, balances, all_found=True)
    await change(connection, _HOUSE, [(*key, str(change_m)) for key, change_m in sorted(rows.house.items())])
    for column, kind, said in (
        ("suspended", "boolean", rows.suspensions),
        ("verified", "boolean", rows.verified),
        ("timed_out_until_ms", "bigint", rows.timed_out),
        ("excluded_until_ms", "bigint", rows.excluded),
    ):
        await change(connection, _SAID.format(column=column, kind=kind), list(said.items()), all_found=True)
    await change(connection, _RESERVES, rows.reserves_closed, all_found=True)
    await change(connection, _BONUSES_ENDED, rows.bonuses_ended, all_found=True)
