"""Fixtures, markets and selections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from adapters.postgres.comparing.rows import Differences, Rows, as_json, differences, keyed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adapters.postgres.connection import Connection
    from core.book import Book, Market, Selection
    from core.messages.results import Result


async def compare(connection: Connection, book: Book, report: Differences) -> None:
    """Fixtures with their scores, markets, selections."""
    markets = {(market.fixture.id, market.id): market for market in book.markets()}
    await _fixtures(connection, book, report)
    await _scores(connection, book, report)
    await _markets(connection, markets, report)
    await _selections(connection, markets, report)


async def _fixtures(connection: Connection, book: Book, report: Differences) -> None:
    columns = "name sport competition start_ms outright_of"
    query = "SELECT fixture, name, sport, competition, start_ms, outright_of FROM fixtures"
    expected: Rows = {(fixture.id,): fixture.definition() for fixture in book.fixtures.values()}
    differences(report, "fixture", columns, expected, await keyed(connection, 1, query), more_allowed=True)


async def _scores(connection: Connection, book: Book, report: Differences) -> None:
    """One that a fixture had before the engine forgot it is in Postgres alone."""
    query = """
        SELECT DISTINCT ON (fixture) fixture, score, source FROM fixture_scores
        WHERE fixture = ANY($1) ORDER BY fixture, event_no DESC
    """
    expected: Rows = {
        (fixture.id,): (as_json(fixture.score), fixture.score_source)
        for fixture in book.fixtures.values()
        if fixture.score is not None
    }
    found = await keyed(connection, 1, query, [fixture for (fixture,) in expected], json=(0,))
    differences(report, "score", "score source", expected, found)


async def _markets(connection: Connection, markets: Mapping[tuple[str, str], Market], report: Differences) -> None:
    columns = (
        "source market_type name market_group winners cut_off_ms specifiers each_way delay_ms starting_price parts "
        "exchange suspended settled cancels"
    )
    query = """
        SELECT fixture, market, source, market_type, name, market_group, winners, cut_off_ms, specifiers,
               CASE WHEN each_way_places IS NOT NULL THEN
                    ARRAY[each_way_places, each_way_numerator, each_way_denominator, each_way_handicap::integer] END,
               delay_ms, starting_price, parts, exchange, suspended, settled,
               ARRAY(SELECT format('%s-%s', c.from_ms, c.to_ms) FROM market_cancels c
                     WHERE (c.fixture, c.market) = (m.fixture, m.market) AND c.rolled_back_no IS NULL
                     ORDER BY c.event_no)
        FROM markets m WHERE NOT archived
    """
    expected: Rows = {key: _market(market) for key, market in markets.items()}
    differences(report, "market", columns, expected, await keyed(connection, 2, query, json=(6, 10, 11)))


async def _selections(connection: Connection, markets: Mapping[tuple[str, str], Market], report: Differences) -> None:
    query = """
        SELECT s.fixture, s.market, s.selection, s.name, s.price, s.withdrawn_ms, s.deduction_pc, s.reduction_bp,
               s.starting_price, s.result, s.void_factor, s.dead_heat_places, s.dead_heat_sharing, s.position
        FROM selections s JOIN markets m USING (fixture, market) WHERE NOT m.archived
    """
    selections: Rows = {
        (*key, selection.id): _selection(selection)
        for key, market in markets.items()
        for selection in market.selections.values()
    }
    columns = (
        "name price withdrawn_ms deduction_pc reduction_bp starting_price "
        "result void_factor dead_heat_places dead_heat_sharing position"
    )
    found = await keyed(connection, 3, query)
    differences(report, "selection", columns, selections, found, more_allowed=True)


def _market(market: Market) -> tuple[Any, ...]:
    cancels = [f"{from_ms}-{to_ms}" for from_ms, to_ms in market.cancels]
    *definition, _ = market.definition()
    specifiers, each_way, delay_ms, parts, starting_price, exchange = market.terms()
    terms = None if each_way is None else [int(value) for value in msgspec.structs.astuple(each_way)]
    traded = None if exchange is None else as_json(exchange)
    described = specifiers, terms, delay_ms, starting_price, [list(part) for part in parts], traded
    return (market.source, *definition, *described, market.desk_suspended, market.settled, cancels)


def _selection(selection: Selection) -> tuple[Any, ...]:
    withdrawn = selection.withdrawn_ms, selection.deduction_pc, selection.reduction_bp
    said = selection.override, *withdrawn, selection.starting_price
    return (selection.name, *said, *_result(selection.result))


def _result(result: Result | None) -> tuple[int | None, ...]:
    if result is None:
        return None, None, None, None, 0
    return result.result, result.void_factor, result.dead_heat_places, result.dead_heat_sharing, result.position
