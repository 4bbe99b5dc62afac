"""Writes a slice (slices.py) into Postgres, all of it or nothing: COPY for new rows, arrays for changed ones.

There is no statement per bet. A statement changes up to PIECE rows at once and COPY yields every YIELD rows, so that
the engine, which may share the event loop, never waits for more than about a millisecond.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from adapters.postgres.slices import INSERTS, TAGS, Key, Position, Row, Slice
from core.messages.events import BetStatus
from core.messages.rejections import Rejection

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from adapters.postgres.connection import Connection

PIECE: Final = 1000
"""Rows of one set-based statement: encoding their arrays takes about half a millisecond."""
YIELD: Final = 500
"""Rows that COPY encodes before the loop has its turn: some 0.7 ms."""


_POSITION: Final = "SELECT sequence, event_no, hash FROM projection"


class PositionMovedError(Exception):
    """Somebody else has written to the tables since we last looked: another projector is at work."""


class TableError(Exception):
    """A row that an event speaks of is not there: the tables are not what the projector left behind."""


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
    }
    for table, rows in names.items():
        await connection.execute(
            f"INSERT INTO {table} (code, name) SELECT * FROM unnest($1::smallint[], $2::text[]) "  # noqa: S608  (our names)
            "ON CONFLICT (code) DO UPDATE SET name = excluded.name",
            *_columns(rows),
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
        for table in ("events", "engine_starts", "customers", "payments", "reserves", "ledger_entries"):
            await _copy(connection, table, rows)
        await _customers(connection, rows)
        await _markets(connection, rows)
        for table in ("bets", "bet_legs", "bet_rejections", "command_rejections", "desk_actions"):
            await _copy(connection, table, rows)
        await _bets(connection, rows)
        await connection.execute("UPDATE projection SET sequence = $1, event_no = $2, hash = $3", *rows.after)


_COLUMNS: Final = {table: columns.split() for table, columns in INSERTS.items()}


async def _copy(connection: Connection, table: str, rows: Slice) -> None:
    inserts = rows.inserts[table]
    if inserts:
        await connection.copy_records_to_table(table, records=_gently(inserts), columns=_COLUMNS[table])


async def _gently(rows: list[Row]) -> AsyncIterator[Row]:
    for start in range(0, len(rows), YIELD):
        await asyncio.sleep(0)
        for row in rows[start : start + YIELD]:
            yield row


def _columns(rows: Sequence[Row]) -> list[tuple[Any, ...]]:
    return list(zip(*rows, strict=True))


async def _change(connection: Connection, statement: str, rows: Sequence[Row], *, all_found: bool = False) -> None:
    """Run a statement over arrays, in pieces; with `all_found`, each row given must have changed one that was there."""
    for start in range(0, len(rows), PIECE):
        piece = rows[start : start + PIECE]
        done = await connection.execute(statement, *_columns(piece))
        changed = int(done.rpartition(" ")[2])
        if all_found and changed != len(piece):
            raise TableError(f"{changed} of {len(piece)} rows found by: {' '.join(statement.split())}")


# Sums of a slice may exceed 64 bits; as text they reach numeric unharmed, and faster than as Decimal.
_BALANCES: Final = """
    UPDATE customers c SET cash_m = c.cash_m + u.cash_m, open_stakes_m = c.open_stakes_m + u.open_stakes_m,
           reserved_m = c.reserved_m + u.reserved_m
    FROM unnest($1::text[], $2::text[]::numeric[], $3::text[]::numeric[], $4::text[]::numeric[])
             u (customer, cash_m, open_stakes_m, reserved_m)
    WHERE c.customer = u.customer
"""
_HOUSE: Final = """
    INSERT INTO house_accounts (account, currency, balance_m)
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[]::numeric[])
    ON CONFLICT (account, currency) DO UPDATE SET balance_m = house_accounts.balance_m + excluded.balance_m
"""
_SUSPENSIONS: Final = """
    UPDATE customers c SET suspended = u.suspended FROM unnest($1::text[], $2::boolean[]) u (customer, suspended)
    WHERE c.customer = u.customer
"""
_RESERVES: Final = """
    UPDATE reserves r SET status = u.status, posted_m = u.posted_m, closed_no = u.event_no
    FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[]) u (event_no, id, status, posted_m),
         LATERAL (SELECT max(p.event_no) AS reserve_no FROM payments p
                  WHERE p.id = u.id AND p.kind = 'reserve' AND p.event_no < u.event_no) latest
    WHERE r.reserve_no = latest.reserve_no
"""


async def _customers(connection: Connection, rows: Slice) -> None:
    # In the order of their names: so two transactions could never wait for each other in a circle.
    balances = [(customer, *map(str, changes)) for customer, changes in sorted(rows.balances.items()) if any(changes)]
    await _change(connection, _BALANCES, balances, all_found=True)
    await _change(connection, _HOUSE, [(*key, str(change_m)) for key, change_m in sorted(rows.house.items())])
    await _change(connection, _SUSPENSIONS, list(rows.suspensions.items()), all_found=True)
    await _change(connection, _RESERVES, rows.reserves_closed, all_found=True)


# An id may have been used for a bet before, which is long settled: the latest before the event is meant. History and
# present in one statement, since finding the bet is what costs. Of several changes of one bet the last one stands.
_SETTLEMENTS: Final = """
    WITH found AS (
        SELECT u.*, (SELECT b.bet_no FROM bets b WHERE b.id = u.id AND b.bet_no < u.event_no
                     ORDER BY b.bet_no DESC LIMIT 1) AS bet_no
        FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::smallint[], $5::bigint[], $6::smallint[], $7::bigint[])
                 u (event_no, id, ts_ms, was, was_paid_m, status, paid_m)
    ), history AS (
        INSERT INTO settlements (event_no, bet_no, ts_ms, was, was_paid_m, status, paid_m)
        SELECT event_no, bet_no, ts_ms, was, was_paid_m, status, paid_m FROM found
    )
    UPDATE bets b SET status = last.status, paid_m = last.paid_m,
           settled_ms = CASE WHEN last.status <> 0 THEN last.ts_ms END
    FROM (SELECT DISTINCT ON (bet_no) bet_no, status, paid_m, ts_ms FROM found ORDER BY bet_no, event_no DESC) last
    WHERE b.bet_no = last.bet_no
"""
_VOIDED: Final = """
    UPDATE bets b SET voided = true FROM unnest($1::bigint[], $2::text[]) u (event_no, id)
    WHERE b.bet_no = (SELECT max(x.bet_no) FROM bets x WHERE x.id = u.id AND x.bet_no < u.event_no)
"""


async def _bets(connection: Connection, rows: Slice) -> None:
    """A bet that is not there breaks NOT NULL in settlements."""
    await _change(connection, _SETTLEMENTS, rows.settlements)
    await _change(connection, _VOIDED, rows.voided)


_FIXTURES: Final = """
    INSERT INTO fixtures (fixture, source, name, sport, competition, start_ms)
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[])
    ON CONFLICT (fixture) DO UPDATE SET source = excluded.source, name = excluded.name, sport = excluded.sport,
        competition = excluded.competition, start_ms = excluded.start_ms
"""
_FORGOTTEN: Final = """
    SELECT m.fixture, m.market FROM unnest($1::text[], $2::text[]) u (fixture, market)
    JOIN markets m USING (fixture, market) WHERE m.archived
"""
_MARKETS: Final = """
    INSERT INTO markets (fixture, market, source, market_type, name, market_group, winners, cut_off_ms, suspended)
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::integer[],
                         $8::bigint[], $9::boolean[])
    ON CONFLICT (fixture, market) DO UPDATE SET market_type = excluded.market_type, name = excluded.name,
        market_group = excluded.market_group, winners = excluded.winners, cut_off_ms = excluded.cut_off_ms
"""
_RENEWED: Final = """
    UPDATE markets m SET source = u.source, suspended = u.suspended, settled = false, archived = false
    FROM unnest($1::text[], $2::text[], $3::text[], $4::boolean[]) u (fixture, market, source, suspended)
    WHERE (m.fixture, m.market) = (u.fixture, u.market)
"""
_PRICES_CLEARED: Final = """
    UPDATE selections s SET price = 0 FROM unnest($1::text[], $2::text[]) u (fixture, market)
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
    UPDATE selections s SET price = u.price
    FROM unnest($1::text[], $2::text[], $3::text[], $4::integer[]) u (fixture, market, selection, price)
    WHERE (s.fixture, s.market, s.selection) = (u.fixture, u.market, u.selection)
"""
_RESULTS_CLEARED: Final = """
    UPDATE selections s SET result = NULL, void_factor = NULL, dead_heat_places = NULL, dead_heat_sharing = NULL
    FROM unnest($1::text[], $2::text[]) u (fixture, market) WHERE (s.fixture, s.market) = (u.fixture, u.market)
"""
_RESULTS: Final = """
    UPDATE selections s SET result = u.result, void_factor = u.void_factor, dead_heat_places = u.places,
           dead_heat_sharing = u.sharing
    FROM unnest($1::text[], $2::text[], $3::text[], $4::smallint[], $5::integer[], $6::smallint[], $7::smallint[])
             u (fixture, market, selection, result, void_factor, places, sharing)
    WHERE (s.fixture, s.market, s.selection) = (u.fixture, u.market, u.selection)
"""
# The first event after each that takes it back; there may be several in a slice, for different rows of one market.
_TAKEN_BACK: Final = """
    UPDATE {table} t SET rolled_back_no = first.event_no
    FROM (SELECT r.event_no AS given_no, min(u.event_no) AS event_no
          FROM unnest($1::bigint[], $2::text[], $3::text[]) u (event_no, fixture, market)
          JOIN {table} r ON (r.fixture, r.market) = (u.fixture, u.market) AND r.event_no < u.event_no
          WHERE r.rolled_back_no IS NULL GROUP BY r.event_no) first
    WHERE t.event_no = first.given_no
"""


async def _markets(connection: Connection, rows: Slice) -> None:
    await _change(connection, _FIXTURES, [(fixture, *values) for fixture, values in rows.fixtures.items()])
    renewed = await _renewed(connection, rows)
    definitions = [(*key, *values[1:]) for key, values in rows.markets.items()]
    await _change(connection, _MARKETS, definitions)
    await _change(connection, _SELECTIONS, [(*key, *values) for key, values in rows.selections.items()])
    for table in ("market_results", "market_cancels"):
        await _copy(connection, table, rows)
    await _take_back(connection, rows, renewed)
    for flag, values in (
        ("suspended", rows.market_suspended.items()),
        ("settled", rows.market_settled.items()),
        ("archived", [(key, True) for key in rows.archived]),
    ):
        flags = [(*key, value) for key, value in values]
        await _change(connection, _FLAG.format(flag=flag), flags, all_found=True)
    await _change(connection, _PRICES, [(*key, price) for key, price in rows.prices.items()], all_found=True)
    results = [
        (*key, r.result, r.void_factor, r.dead_heat_places, r.dead_heat_sharing) for key, r in rows.results.items()
    ]
    await _change(connection, _RESULTS, results, all_found=True)


async def _renewed(connection: Connection, rows: Slice) -> dict[Key, int]:
    """Markets that begin anew in this slice, with the event's number: they were archived before it, or within it."""
    if not rows.markets:
        return {}
    forgotten = [tuple(row) for row in await connection.fetch(_FORGOTTEN, *_columns(list(rows.markets)))]
    return {key: rows.markets[key][0] for key in forgotten} | rows.renewed


async def _take_back(connection: Connection, rows: Slice, renewed: dict[Key, int]) -> None:
    """Rollbacks, and the fresh start of renewed markets."""
    begun = [(*key, rows.markets[key][1], rows.markets[key][-1]) for key in renewed]
    await _change(connection, _RENEWED, begun, all_found=True)
    await _change(connection, _PRICES_CLEARED, list(renewed))
    await _change(connection, _RESULTS_CLEARED, [*rows.results_cleared, *renewed])
    numbered = [(number, *key) for key, number in renewed.items()]
    for table, what in (("market_results", "results"), ("market_cancels", "cancel")):
        await _change(connection, _TAKEN_BACK.format(table=table), [*rows.rollbacks[what], *numbered])
