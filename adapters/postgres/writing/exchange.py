"""Orders, matches and positions: rows that are only added."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from adapters.postgres.writing.statements import copy

if TYPE_CHECKING:
    from adapters.postgres.connection import Connection
    from adapters.postgres.slices import Slice

_TABLES: Final = (
    "orders",
    "order_waits",
    "order_changes",
    "order_refusals",
    "trades",
    "position_settlements",
    "exchange_clearings",
    "exchange_starting_prices",
    "market_archivings",
)


async def write(connection: Connection, rows: Slice) -> None:
    """All that the slice says of exchange markets."""
    for table in _TABLES:
        await copy(connection, table, rows)
