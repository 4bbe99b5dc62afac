"""`tictac audit`: is what people read in Postgres what happened, to the last row and the last penny?

    journal -> Engine.apply             -> the state at Postgres' position -> compared with customers, bets, markets ...
            -> Slice (as the projector) -> the rows it should have written -> compared with the tables of history
    Postgres' own events                -> the hash chain, recomputed
    Postgres' own ledger                -> sums and balances

What is read of Postgres is as of one moment, while the projector goes on. Each difference is one line; the lines are
bounded, their number is exact.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

import msgspec
import structlog
import uvloop

from adapters import bus, logs, postgres
from adapters.journal import snapshots
from adapters.journal import stream as journal_stream
from adapters.journal.reader import JournalError, read
from adapters.postgres import audit_state, tables
from adapters.postgres.folding.events import fold
from adapters.postgres.projector import bodies_of
from adapters.postgres.slices import INSERTS, Position, Slice
from config.settings import Role, SettingsError
from core.book import Book
from core.engine import Engine

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncIterator, Callable, Iterable

    from nats.js import JetStreamContext

    from adapters.journal.reader import Stored
    from adapters.postgres.connection import Connection
    from config.settings import Settings

log = structlog.get_logger(__name__)
SLICE_EVENTS: Final = 10_000
"""Events whose rows are compared at a time; what is held in memory beside the state."""
LINES_MAX: Final = 100


class Report:
    """Differences: the first LINES_MAX in words, all of them counted."""

    def __init__(self, lines_max: int = LINES_MAX) -> None:
        self.lines: list[str] = []
        self.count = 0
        self.events = 0
        self._lines_max = lines_max

    def add(self, line: str) -> None:
        self.count += 1
        if len(self.lines) < self._lines_max:
            self.lines.append(line)


async def audit(connection: Connection, engine: Engine, batches: AsyncIterator[Stored], report: Report) -> None:
    """Compare; `engine` is empty or restored from a snapshot, `batches` begin right behind it."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.execute("SET LOCAL statement_timeout = 0")
        position = await tables.position(connection)
        await _follow(connection, engine, batches, position, report)
        if engine.book.event_no != position.event_no:
            report.add(f"journal: ends at event {engine.book.event_no}, Postgres stands at {position.event_no}")
        else:
            await audit_state.compare(connection, engine.book, report)
        await _chain(connection, position, report)
        await _question(connection, report)
        report.events = position.event_no


async def _follow(
    connection: Connection, engine: Engine, batches: AsyncIterator[Stored], position: Position, report: Report
) -> None:
    """Rebuild the state, and hold the rows of each slice against the tables."""
    if engine.book.event_no >= position.event_no:
        return
    rows = Slice(await _before(connection, engine.book.event_no))
    async for stored in batches:
        for event, body in zip(stored.batch.events, bodies_of(stored), strict=True):
            engine.apply(event)
            fold(rows, stored.sequence, event, body)
        done = stored.sequence >= position.sequence
        if len(rows) >= SLICE_EVENTS or done:
            await _rows(connection, rows, report)
            rows = Slice(rows.after)
        if done:
            break


async def _before(connection: Connection, event_no: int) -> Position:
    """Where the first slice begins: its chain goes on from the hash that Postgres has there."""
    found = await connection.fetchval("SELECT hash FROM events WHERE event_no = $1", event_no)
    return Position(0, event_no, found or Position().hash)


# How a table's rows are found by the numbers of their events, which column of it is JSON, and which ones change.
_KEYS: Final = {
    "bets": "bet_no",
    "bet_legs": "bet_no",
    "reserves": "reserve_no",
    "bonuses": "granted_no",
    "pending_bets": "pending_no",
    "orders": "order_no",
}
_JSON: Final = {
    "pending_bets": "command",
    "bet_rejections": "legs",
    "market_results": "results",
    "starting_prices": "prices",
    "fixture_scores": "score",
    "limit_changes": "ramp",
    "order_waits": "command",
}
_CHANGING: Final = {"pending_bets": {"stage", "until_ms", "reserved_m"}}
_NO_NUMBER: Final = {"customers"}
_SETTLEMENTS: Final = """
    SELECT s.event_no, b.id, s.ts_ms, s.was, s.was_paid_m, s.status, s.paid_m, s.capped_m
    FROM settlements s JOIN bets b USING (bet_no) WHERE s.event_no BETWEEN $1 AND $2
"""
_CASH_OUTS: Final = """
    SELECT c.event_no, b.id, c.ts_ms, c.id, c.stake_m, c.paid_m
    FROM cash_outs c JOIN bets b USING (bet_no) WHERE c.event_no BETWEEN $1 AND $2
"""


async def _rows(connection: Connection, rows: Slice, report: Report) -> None:
    between = rows.before.event_no + 1, rows.after.event_no
    for table, names in INSERTS.items():
        if table in _NO_NUMBER:
            continue
        key, changing = _KEYS.get(table, "event_no"), _CHANGING.get(table, set())
        columns = [name for name in names.split() if name not in changing]
        selected = ", ".join(f"{name}::text" if _JSON.get(table) == name else name for name in columns)
        query = f"SELECT {selected} FROM {table} WHERE {key} BETWEEN $1 AND $2"  # noqa: S608  (our own names)
        found = await connection.fetch(query, *between)
        json_at = columns.index(_JSON[table]) if table in _JSON else -1
        _differences(table, _lasting(rows, table), map(tuple, found), json_at, report)
    for table, query, expected in (
        ("settlements", _SETTLEMENTS, rows.settlements),
        ("cash_outs", _CASH_OUTS, rows.cash_outs),
    ):
        _differences(table, expected, map(tuple, await connection.fetch(query, *between)), -1, report)


def _lasting(rows: Slice, table: str) -> Iterable[tuple[Any, ...]]:
    """What the slice inserts, without the columns that change later."""
    inserted, changing = rows.inserted(table), _CHANGING.get(table)
    if not changing:
        return inserted
    places = [place for place, name in enumerate(INSERTS[table].split()) if name not in changing]
    return [tuple(row[place] for place in places) for row in inserted]


def _differences(
    table: str, expected: Iterable[tuple[Any, ...]], found: Iterable[tuple[Any, ...]], json_at: int, report: Report
) -> None:
    """Each row that only one side has; a changed row is one of each."""
    wanted = {_plain(row, json_at) for row in expected}
    there = {_plain(row, json_at) for row in found}
    for row in sorted(there - wanted, key=repr):
        report.add(f"{table}: not in the journal: {_show(row)}")
    for row in sorted(wanted - there, key=repr):
        report.add(f"{table}: missing in Postgres: {_show(row)}")


def _plain(row: tuple[Any, ...], json_at: int) -> tuple[Any, ...]:
    """Comparable: bytes as bytes, arrays as tuples, JSON in one spelling."""
    values = [_COMPARABLE.get(type(value), _same)(value) for value in row]
    if json_at >= 0:
        values[json_at] = _spelt(values[json_at])
    return tuple(values)


def _spelt(text: str) -> bytes:
    return msgspec.json.encode(msgspec.json.decode(text), order="sorted")


def _same(value: Any) -> Any:
    return value


_COMPARABLE: Final[dict[type, Callable[[Any], Any]]] = {msgspec.Raw: bytes, memoryview: bytes, list: tuple}


def _show(row: tuple[Any, ...]) -> str:
    return " ".join(value.hex() if isinstance(value, bytes) else str(value) for value in row)


_CHAIN: Final = """
    SELECT event_no, before_no, hash = sha256(coalesce(before_hash, $1) || body) AS chained
    FROM (SELECT event_no, body, hash, lag(event_no) OVER numbered AS before_no, lag(hash) OVER numbered AS before_hash
          FROM events WINDOW numbered AS (ORDER BY event_no)) linked
    WHERE coalesce(before_no, 0) <> event_no - 1 OR hash IS DISTINCT FROM sha256(coalesce(before_hash, $1) || body)
    ORDER BY event_no
"""


async def _chain(connection: Connection, position: Position, report: Report) -> None:
    """Every event follows from the one before; the last one is where the projector says it stands."""
    for row in await connection.fetch(_CHAIN, Position().hash):
        if (row["before_no"] or 0) != row["event_no"] - 1:
            report.add(f"events: {(row['before_no'] or 0) + 1} to {row['event_no'] - 1} are missing")
        if not row["chained"]:
            report.add(f"events: the hash of event {row['event_no']} does not follow from the one before and its body")
    last = await connection.fetchrow("SELECT event_no, hash FROM events ORDER BY event_no DESC LIMIT 1")
    if last is not None and tuple(last) != (position.event_no, position.hash):
        report.add(f"projection: stands at event {position.event_no}, the last one in events is {last['event_no']}")


# Questions to Postgres alone; every row of an answer is a difference, in words.
_QUESTIONS: Final = (
    """SELECT format('ledger: %s sums to %s', currency, sum(balance_m)) FROM accounts
       GROUP BY currency HAVING sum(balance_m) <> 0""",
    """SELECT format('ledger: %s %s: entries sum to %s, the balance is %s',
                     a.customer, a.account, coalesce(p.sum_m, 0), a.balance_m)
       FROM accounts a LEFT JOIN (SELECT customer, account, currency, sum(signed_m) AS sum_m FROM ledger_postings
                                  WHERE account NOT LIKE '%:%' GROUP BY 1, 2, 3) p USING (customer, account, currency)
       WHERE a.customer IS NOT NULL AND a.balance_m <> coalesce(p.sum_m, 0)""",
    """SELECT format('ledger: %s %s: entries sum to %s, the balance is %s',
                     account, currency, coalesce(p.sum_m, 0), coalesce(h.balance_m, 0))
       FROM house_accounts h FULL JOIN (SELECT account, currency, sum(signed_m) AS sum_m FROM ledger_postings
                                        WHERE account LIKE '%:%' GROUP BY 1, 2) p USING (account, currency)
       WHERE coalesce(h.balance_m, 0) <> coalesce(p.sum_m, 0)""",
    """SELECT format('bets: %s (%s) is %s, paid %s; its last settlement says %s, %s',
                     b.id, b.bet_no, b.status, b.paid_m, coalesce(s.status, 0), coalesce(s.paid_m, 0))
       FROM bets b LEFT JOIN LATERAL (SELECT status, paid_m FROM settlements s WHERE s.bet_no = b.bet_no
                                      ORDER BY event_no DESC LIMIT 1) s ON true
       WHERE (CASE b.status WHEN 4 THEN 0::smallint ELSE b.status END, b.paid_m)
             IS DISTINCT FROM (coalesce(s.status, 0::smallint), coalesce(s.paid_m, 0))""",
    """SELECT format('bets: %s (%s) is %s, %s of %s sold for %s; its cash-outs say %s for %s', b.id, b.bet_no, b.status,
                     b.cashed_out_stake_m, b.stake_m, b.cashed_out_m, coalesce(c.stake_m, 0), coalesce(c.paid_m, 0))
       FROM bets b LEFT JOIN (SELECT bet_no, sum(stake_m) AS stake_m, sum(paid_m) AS paid_m
                              FROM cash_outs GROUP BY bet_no) c USING (bet_no)
       WHERE (b.cashed_out_stake_m, b.cashed_out_m) IS DISTINCT FROM (coalesce(c.stake_m, 0), coalesce(c.paid_m, 0))
             OR (b.status = 4) <> (b.cashed_out_stake_m = b.stake_m)""",
    """SELECT format('pending_bets: %s (%s) was %s by event %s, which says nothing of it',
                     id, pending_no, ended, ended_no)
       FROM pending_bets p WHERE ended_no IS NOT NULL AND NOT EXISTS (
           SELECT FROM bets b WHERE p.ended = 'accepted' AND (b.bet_no, b.id) = (p.ended_no, p.id)
           UNION ALL
           SELECT FROM bet_rejections r WHERE p.ended = 'rejected' AND (r.event_no, r.id) = (p.ended_no, p.id))""",
    # What NOT ENFORCED foreign keys leave to us.
    """SELECT format('bets: %s (%s) is of an unknown customer', id, bet_no) FROM bets b
       WHERE NOT EXISTS (SELECT FROM customers c WHERE c.customer = b.customer)""",
    """SELECT format('bet_legs: leg %s of bet %s is on an unknown selection', leg, bet_no) FROM bet_legs l
       WHERE NOT EXISTS (SELECT FROM selections s
                         WHERE (s.fixture, s.market, s.selection) = (l.fixture, l.market, l.selection))""",
    """SELECT format('ledger: event %s moves money of an unknown customer', event_no) FROM ledger_entries l
       WHERE NOT EXISTS (SELECT FROM customers c WHERE c.customer = l.customer)""",
)


async def _question(connection: Connection, report: Report) -> None:
    for question in _QUESTIONS:
        async for row in connection.cursor(question):
            report.add(row[0])


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `tictac audit`."""
    parser = commands.add_parser(
        "audit", help="compare Postgres with the state rebuilt from the journal; exit status 1 on any difference"
    )
    parser.add_argument("--lines", type=int, default=LINES_MAX, help="differences shown at the most; all are counted")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace, settings: Settings) -> int:
    if not settings.postgres.url:
        raise SettingsError("postgres.url: is not set; there is nothing to audit")
    logs.set_up(settings.log)
    report = Report(arguments.lines)
    try:
        uvloop.run(_audit(settings, report))
    except (bus.BusError, JournalError, *postgres.AWAY, *journal_stream.AWAY) as error:
        log.critical("cannot audit", error=str(error) or repr(error))
        return 1
    for line in report.lines:
        print(line)  # noqa: T201  (that is what it is for)
    print(f"{report.events} events audited, {report.count} differences")  # noqa: T201
    return 1 if report.count else 0


async def _audit(settings: Settings, report: Report) -> None:
    client = await bus.connect(settings, Role.AUDITOR, name="tictac-audit")
    try:
        connection = await postgres.connect(settings.postgres)
        js = client.jetstream()
        book, after = await _start(js, settings, (await tables.position(connection)).sequence)
        async with aclosing(read(js, settings.journal.stream, after)) as batches:
            await audit(connection, Engine(settings.limits, book), batches, report)
        await connection.close()
    finally:
        await bus.close(client)


async def _start(js: JetStreamContext, settings: Settings, until_sequence: int) -> snapshots.Rebuilt:
    """Nothing, where the journal still has its beginning: all history is compared. Else the oldest snapshot's state."""
    info = await js.stream_info(settings.journal.stream)
    if info.state.first_seq > 1:
        for oldest in (await snapshots.listed(js, settings))[-1:]:
            until_sequence = min(until_sequence, oldest.sequence)
        loaded = await snapshots.load(js, settings, until_sequence=until_sequence)
        if loaded is not None:
            return loaded
    return snapshots.Rebuilt(Book(), 0)
