"""The part of `tictac audit` that holds the tables against the rebuilt engine, subject by subject."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from adapters.postgres.comparing import bets, customers, exchange, limits, markets

if TYPE_CHECKING:
    from adapters.postgres.comparing.rows import Differences
    from adapters.postgres.connection import Connection
    from core.book import Book

_SUBJECTS: Final = (customers.compare, limits.compare, markets.compare, bets.compare, exchange.compare)


async def compare(connection: Connection, book: Book, report: Differences) -> None:
    """Everything that the engine knows; each difference named."""
    for subject in _SUBJECTS:
        await subject(connection, book, report)
