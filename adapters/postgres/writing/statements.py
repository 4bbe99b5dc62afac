"""The two ways in which rows are written: COPY for new ones, a statement over arrays for changed ones."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from adapters.postgres.slices import DEFAULTS, INSERTS, Row, Slice

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from adapters.postgres.connection import Connection

PIECE: Final = 1000
"""Rows of one set-based statement: encoding their arrays takes about half a millisecond."""
YIELD: Final = 500
"""Rows that COPY encodes before the loop has its turn: some 0.7 ms."""

_COLUMNS: Final = {table: columns.split() for table, columns in INSERTS.items()}


class TableError(Exception):
    """A row that an event speaks of is not there: the tables are not what the projector left behind."""


async def copy(connection: Connection, table: str, rows: Slice) -> None:
    """Add the slice's rows of a table."""
    columns = _COLUMNS[table]
    if inserts := rows.inserts[table]:
        await connection.copy_records_to_table(table, records=_gently(inserts), columns=columns)
    if plain := rows.plain.get(table):
        columns = columns[: -len(DEFAULTS[table])]
        await connection.copy_records_to_table(table, records=_gently(plain), columns=columns)


async def _gently(rows: list[Row]) -> AsyncIterator[Row]:
    for start in range(0, len(rows), YIELD):
        await asyncio.sleep(0)
        for row in rows[start : start + YIELD]:
            yield row


def columns(rows: Sequence[Row]) -> list[tuple[Any, ...]]:
    """Rows of equal length as the arrays of a statement."""
    return list(zip(*rows, strict=True))


async def change(connection: Connection, statement: str, rows: Sequence[Row], *, all_found: bool = False) -> None:
    """Run a statement over arrays, in pieces; with `all_found`, each row given must have changed one that was there."""
    for start in range(0, len(rows), PIECE):
        piece = rows[start : start + PIECE]
        done = await connection.execute(statement, *columns(piece))
        changed = int(done.rpartition(" ")[2])
        if all_found and changed != len(piece):
            raise TableError(f"{changed} of {len(piece)} rows found by: {' '.join(statement.split())}")
