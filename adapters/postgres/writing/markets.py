"""Fixtures, markets, selections, and what has been said of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from adapters.postgres.writing.statements import change, columns, copy

if TYPE_CHECKING:
    from adapters.postgres.connection import Connection
    from adapters.postgres.slices import Key, Slice

_FIXTURES: Final = """
    INSERT INTO fixtures (fixture, source, name, sport, competition, start_ms, outright_of)
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[])
    ON CONFLICT (fixture) DO UPDATE SET source = excluded.source, name = excluded.name, sport = excluded.sport,
        competition = excluded.competition, start_ms = excluded.start_ms, outright_of = excluded.outright_of
"""
_ARCHIVED: Final = """
    SELECT m.fixture, m.market FROM unnest($1::text[], $2::text[]) u (fixture, market)
    JOIN markets m USING (fixture, market) WHERE m.archived
"""
_MARKETS: Final = """
    INSERT INTO markets (fixture, market, source, market_type, name, market_group, winners, cut_off_ms, specifiers,
                         each_way_places, each_way_numerator, each_way_denominator, each_way_handicap, delay_ms,
                         starting_price, exchange, parts, suspended)
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::integer[],
                         $8::bigint[], $9::jsonb[], $10::smallint[], $11::smallint[], $12::smallint[], $13::boolean[],
                         $14::integer[], $15::boolean[], $16::jsonb[], $17::jsonb[], $18::boolean[])
    ON CONFLICT (fixture, market) DO UPDATE SET market_type = excluded.market_type, name = excluded.name,
        market_group = excluded.market_group, winners = excluded.winners, cut_off_ms = excluded.cut_off_ms,
        specifiers = excluded.specifiers, each_way_places = excluded.each_way_places,
        each_way_numerator = excluded.each_way_numerator, each_way_denominator = excluded.each_way_denominator,
        each_way_handicap = excluded.each_way_handicap, delay_ms = excluded.delay_ms,
        starting_price = excluded.starting_price, exchange = excluded.exchange
"""
_RENEWED: Final = """
    UPDATE markets m SET source = u.source, parts = u.parts, suspended = u.suspended, settled = false, archived = false
    FROM unnest($1::text[], $2::text[], $3::text[], $4::jsonb[], $5::boolean[])
             u (fixture, market, source, parts, suspended)
    WHERE (m.fixture, m.market) = (u.fixture, u.market)
"""
_PRICES_CLEARED: Final = """
    UPDATE selections s SET price = 0, starting_price = 0 FROM unnest($1::text[], $2::text[]) u (fixture, market)
    WHERE (s.fixture, s.market) = (u.fixture, u.market)
"""
_SELECTIONS: Final = """
    INSERT INTO selections (fixture, market, selection, place, name)
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::integer[], $5::text[])
    ON CONFLICT (fixture, market, selection) DO UPDATE SET place = excluded.place, name = excluded.name
"""
_FLAG: Final = """
    UPDATE markets m SET {flag} = u.flag FROM unnest($1::text[], $2::text[], $3::boolean[]) u (fixture, market, flag)
    WHERE (m.fixture, m.market) = (u.fixture, u.market)
"""
_PRICES: Final = """
    UPDATE selections s SET {column} = u.price
    FROM unnest($1::text[], $2::text[], $3::text[], $4::integer[]) u (fixture, market, selection, price)
    WHERE (s.fixture, s.market, s.selection) = (u.fixture, u.market, u.selection)
"""
_RESULTS_CLEARED: Final = """
    UPDATE selections s SET result = NULL, void_factor = NULL, dead_heat_places = NULL, dead_heat_sharing = NULL,
           position = 0
    FROM unnest($1::text[], $2::text[]) u (fixture, market) WHERE (s.fixture, s.market) = (u.fixture, u.market)
"""
_RESULTS: Final = """
    UPDATE selections s SET result = u.result, void_factor = u.void_factor, dead_heat_places = u.places,
           dead_heat_sharing = u.sharing, position = u.position
    FROM unnest($1::text[], $2::text[], $3::text[], $4::smallint[], $5::integer[], $6::smallint[], $7::smallint[],
                $8::smallint[]) u (fixture, market, selection, result, void_factor, places, sharing, position)
    WHERE (s.fixture, s.market, s.selection) = (u.fixture, u.market, u.selection)
"""
_WITHDRAWALS_CLEARED: Final = """
    UPDATE selections s SET withdrawn_ms = 0, deduction_pc = 0, reduction_bp = 0
    FROM unnest($1::text[], $2::text[]) u (fixture, market)
    WHERE (s.fixture, s.market) = (u.fixture, u.market)
"""
_WITHDRAWALS: Final = """
    UPDATE selections s SET withdrawn_ms = u.withdrawn_ms, deduction_pc = u.deduction_pc, reduction_bp = u.reduction_bp
    FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::smallint[], $6::smallint[])
             u (fixture, market, selection, withdrawn_ms, deduction_pc, reduction_bp)
    WHERE (s.fixture, s.market, s.selection) = (u.fixture, u.market, u.selection)
"""
_TAKEN_BACK_BY: Final = {"results": "market_results", "cancel": "market_cancels", "withdrawals": "withdrawals"}
# The first event after each that takes it back; there may be several in a slice, for different rows of one market.
_TAKEN_BACK: Final = """
    UPDATE {table} t SET rolled_back_no = first.event_no
    FROM (SELECT r.event_no AS given_no, min(u.event_no) AS event_no
          FROM unnest($1::bigint[], $2::text[], $3::text[]) u (event_no, fixture, market)
          JOIN {table} r ON (r.fixture, r.market) = (u.fixture, u.market) AND r.event_no < u.event_no
          WHERE r.rolled_back_no IS NULL GROUP BY r.event_no) first
    WHERE t.event_no = first.given_no
"""
_LIVE: Final = "SELECT fixture, market FROM markets WHERE fixture = ANY($1::text[]) AND NOT archived"
_LIMITS_FORGOTTEN: Final = """
    UPDATE limit_changes l SET forgotten_no = first.event_no
    FROM (SELECT c.event_no AS set_no, min(u.event_no) AS event_no
          FROM unnest($1::bigint[], $2::text[], $3::text[]) u (event_no, fixture, market)
          JOIN limit_changes c ON (c.fixture, c.market) = (u.fixture, u.market) AND c.event_no < u.event_no
          WHERE c.forgotten_no IS NULL GROUP BY c.event_no) first
    WHERE l.event_no = first.set_no
"""


async def write(connection: Connection, rows: Slice) -> None:
    """All that the slice says of fixtures and markets."""
    await change(connection, _FIXTURES, [(fixture, *values) for fixture, values in rows.fixtures.items()])
    renewed = await _renewed(connection, rows)
    forgotten = await _forgotten(connection, rows)
    definitions = [(*key, *values[1:]) for key, values in rows.markets.items()]
    await change(connection, _MARKETS, definitions)
    await change(connection, _SELECTIONS, [(*key, *values) for key, values in rows.selections.items()])
    for table in (*_TAKEN_BACK_BY.values(), "starting_prices", "fixture_scores", "limit_changes"):
        await copy(connection, table, rows)
    await _take_back(connection, rows, renewed)
    await change(connection, _LIMITS_FORGOTTEN, forgotten)
    for flag, values in (
        ("suspended", rows.market_suspended.items()),
        ("settled", rows.market_settled.items()),
        ("archived", [(key, True) for key in rows.archived]),
    ):
        flags = [(*key, value) for key, value in values]
        await change(connection, _FLAG.format(flag=flag), flags, all_found=True)
    await _selections(connection, rows)


async def _selections(connection: Connection, rows: Slice) -> None:
    """The last word on each."""
    for column, said in (("price", rows.prices), ("starting_price", rows.starting_prices)):
        prices = [(*key, price) for key, price in said.items()]
        await change(connection, _PRICES.format(column=column), prices, all_found=True)
    results = [
        (*key, r.result, r.void_factor, r.dead_heat_places, r.dead_heat_sharing, r.position)
        for key, r in rows.results.items()
    ]
    await change(connection, _RESULTS, results, all_found=True)
    withdrawals = [(*key, *values) for key, values in rows.withdrawals.items()]
    await change(connection, _WITHDRAWALS, withdrawals, all_found=True)


async def _renewed(connection: Connection, rows: Slice) -> dict[Key, int]:
    """Markets that begin anew in this slice, with the event's number: they were archived before it, or within it."""
    if not rows.markets:
        return {}
    archived = [tuple(row) for row in await connection.fetch(_ARCHIVED, *columns(list(rows.markets)))]
    return {key: rows.markets[key][0] for key in archived} | rows.renewed


async def _forgotten(connection: Connection, rows: Slice) -> list[tuple[int, str, str]]:
    """Event, fixture and market of all that the engine forgets in this slice; without a market: the fixture itself.

    It goes with the last of its markets, so those that were there before the slice have to be known.
    """
    ending = {fixture for _, fixture, _, begins in rows.lives if not begins}
    if not ending:
        return []
    live: dict[str, set[str]] = {fixture: set() for fixture in ending}
    for fixture, market in await connection.fetch(_LIVE, sorted(ending)):
        live[fixture].add(market)
    forgotten = []
    for number, fixture, market, begins in rows.lives:
        if begins and fixture in live:
            live[fixture].add(market)
        elif not begins:
            forgotten.append((number, fixture, market))
            live[fixture].discard(market)
            if not live[fixture]:
                forgotten.append((number, fixture, ""))
    return forgotten


async def _take_back(connection: Connection, rows: Slice, renewed: dict[Key, int]) -> None:
    """Rollbacks, and the fresh start of renewed markets."""
    begun = [(*key, rows.markets[key][1], *rows.markets[key][-2:]) for key in renewed]
    await change(connection, _RENEWED, begun, all_found=True)
    await change(connection, _PRICES_CLEARED, list(renewed))
    await change(connection, _RESULTS_CLEARED, [*rows.results_cleared, *renewed])
    await change(connection, _WITHDRAWALS_CLEARED, [*rows.withdrawals_cleared, *renewed])
    numbered = [(number, *key) for key, number in renewed.items()]
    for what, table in _TAKEN_BACK_BY.items():
        await change(connection, _TAKEN_BACK.format(table=table), [*rows.rollbacks[what], *numbered])
