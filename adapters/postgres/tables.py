"""Writes a slice (slices.py) into Postgres, all of it or nothing: COPY for new rows, arrays for changed ones.

There is no statement per bet. A statement changes up to PIECE rows at once and COPY yields every YIELD rows
(writing/statements.py), so that the engine, which may share the event loop, never waits for more than about a
millisecond.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from adapters.postgres.slices import TAGS, Position, Row, Slice
from adapters.postgres.writing import bets, customers, exchange, markets
from adapters.postgres.writing.statements import TableError, columns, copy
from core.messages.events import BetStatus, Stage, Why
from core.messages.rejections import Rejection

if TYPE_CHECKING:
    from adapters.postgres.connection import Connection

__all__ = ["PositionMovedError", "TableError", "name_codes", "position", "write"]

_POSITION: Final = "SELECT sequence, event_no, hash FROM projection"


class PositionMovedError(Exception):
    """Somebody else has written to the tables since we last looked: another projector is at work."""


async def position(connection: Connection, *, lock: bool = False) -> Position:
    """Where the tables stand; `lock` holds off every other projector until the end of the transaction."""
    row = await connection.fetchrow(_POSITION + " FOR UPDATE" if lock else _POSITION)
    if row is None:
        raise TableError("the table projection has no row")
    return Position(row["sequence"], row["event_no"], row["hash"])


async def name_codes(connection: Connection) -> None:
    """The numbers that stand in the tables, with their names; a release may bring new ones."""
    names: dict[str, list[Row]] = {
        "event_types": [(tag, kind.__name__) for kind, tag in TAGS.items()],
        "rejections": [(member.value, member.name) for member in Rejection],
        "bet_statuses": [(member.value, member.name.lower()) for member in BetStatus],
        "order_ends": [(member.value, member.name.lower()) for member in Why],
        "pending_stages": [(member.value, member.name.lower()) for member in Stage],
    }
    for table, rows in names.items():
        await connection.execute(
            f"INSERT INTO {table} (code, name) SELECT * FROM unnest($1::smallint[], $2::text[]) "  # noqa: S608  (our names)
            "ON CONFLICT (code) DO UPDATE SET name = excluded.name",
            *columns(rows),
        )


async def write(connection: Connection, rows: Slice) -> None:
    """One transaction: all that the slice says, and the new position. Exactly once: `rows.before` must be the old one.

    Raises PositionMovedError, TableError, and whatever a Postgres that is away raises; then nothing of it was written,
    unless the connection broke on the commit itself: the position, read again, tells.
    """
    async with connection.transaction():
        found = await position(connection, lock=True)
        if found != rows.before:
            raise PositionMovedError(f"expected event {rows.before.event_no}, found {found.event_no}")
        for table in ("events", "engine_starts", "rate_changes", "command_rejections", "desk_actions"):
            await copy(connection, table, rows)
        await customers.write(connection, rows)
        await markets.write(connection, rows)
        await bets.write(connection, rows)
        await exchange.write(connection, rows)
        await connection.execute("UPDATE projection SET sequence = $1, event_no = $2, hash = $3", *rows.after)
