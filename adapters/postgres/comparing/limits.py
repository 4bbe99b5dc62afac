"""The limits tree, what multiplies it for a customer, and what currencies are worth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from adapters.postgres.comparing.rows import Differences, Rows, differences, keyed
from adapters.postgres.folding.markets import node_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adapters.postgres.connection import Connection
    from core.book import Book, Setting


async def compare(connection: Connection, book: Book, report: Differences) -> None:
    """What the desk has set."""
    await _settings(connection, book, report)
    await _factors(connection, book, report)
    rates: Rows = {(currency,): (rate,) for currency, rate in book.rates.items()}
    differences(report, "rate", "rate", rates, await keyed(connection, 1, "SELECT currency, rate FROM rates"))


async def _settings(connection: Connection, book: Book, report: Differences) -> None:
    columns = "stake_max_m payout_max_m liability_max_m ramp"
    query = f"SELECT {', '.join(_NAMES)}, {', '.join(columns.split())} FROM limit_settings"  # noqa: S608  (our own names)
    expected: Rows = {
        node: (
            setting.stake_max_m,
            setting.payout_max_m,
            setting.liability_max_m,
            [[step.before_ms, step.share_bp] for step in setting.ramp],
        )
        for node, setting in _nodes(book)
    }
    rows = await keyed(connection, len(_NAMES), query, json=(3,))
    found = {node_words(dict(zip(_NAMES, ids, strict=True))): values for ids, values in rows.items()}
    differences(report, "limit", columns, expected, found)


_NAMES: Final = ("sport", "competition", "fixture", "market_type", "market", "selection")


def _nodes(book: Book) -> Iterator[tuple[tuple[str, ...], Setting]]:
    """Every node of the tree that has a setting, by its names."""
    for ids, setting in _set(book):
        if setting is not None:
            yield node_words(ids), setting


def _set(book: Book) -> Iterator[tuple[dict[str, str], Setting | None]]:
    yield {}, book.setting
    for level in book.levels.values():
        kind, sport, *named = level.key
        yield {"sport": sport, **dict.fromkeys([kind] * len(named), "".join(named))}, level.setting
    for fixture in book.fixtures.values():
        ids = {"fixture": fixture.id}
        yield ids, fixture.setting
        for market in fixture.markets.values():
            yield {**ids, "market": market.id}, market.setting
            for selection in market.selections.values():
                yield {**ids, "market": market.id, "selection": selection.id}, selection.setting


async def _factors(connection: Connection, book: Book, report: Differences) -> None:
    expected: Rows = {
        (customer.id, *_factor_words(sport, in_play=in_play)): (factor_bp,)
        for customer in book.customers.values()
        for (sport, in_play), factor_bp in (customer.factors or {}).items()
    }
    rows = await connection.fetch("SELECT customer, sport, in_play, factor_bp FROM customer_factors")
    found: Rows = {
        (customer, *_factor_words(sport, in_play=in_play)): (factor_bp,) for customer, sport, in_play, factor_bp in rows
    }
    differences(report, "factor", "factor_bp", expected, found)


def _factor_words(sport: str, *, in_play: bool) -> tuple[str, str]:
    return sport or "all sports", "in play" if in_play else "pre-match"
