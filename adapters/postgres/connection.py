"""Postgres: connections, schema migrations, and answers about bets that the engine has forgotten.

Postgres is the system of record for people; the journal is the truth. Nothing that a gateway waits for needs it, except
a question about an old bet (DESIGN promise 4).
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import asyncpg

from core.messages.answers import BetLegState, BetState, Rejected
from core.messages.events import BetStatus
from core.messages.rejections import Rejection
from core.messages.results import PlaceTerms
from core.units import FACTOR_ONE

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    from config.settings import Postgres

    Connection = asyncpg.Connection[asyncpg.Record]
    AnyConnection = Connection | PoolConnectionProxy[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]

SCHEMA: Final = Path(__file__).parents[2] / "config" / "schema"
_LOCK: Final = 0x71C7AC  # of the migrations; any number that is always the same
_NUMBERED: Final = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")

AWAY: Final = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)
"""What a Postgres that is away, or says no, raises (OSError: refused connections and time-outs too)."""


class MigrationError(Exception):
    """The schema files and the database do not fit each other; the message names the file."""


async def connect(settings: Postgres, **parameters: str) -> Connection:
    """One connection, within the configured times; `parameters` are Postgres' own settings for the session."""
    assert settings.url, "postgres.url is not set"
    return await asyncpg.connect(
        settings.url,
        timeout=settings.connect_timeout_ms / 1000,
        server_settings=_session(settings, parameters),
    )


def pool(settings: Postgres) -> Pool:
    """Connections for queries, made when they are first needed: `await` it, or use `async with`."""
    return asyncpg.create_pool(
        settings.url,
        min_size=0,
        max_size=settings.pool_max,
        timeout=settings.connect_timeout_ms / 1000,
        command_timeout=settings.statement_timeout_ms / 1000,
        server_settings=_session(settings, {}),
    )


def _session(settings: Postgres, parameters: dict[str, str]) -> dict[str, str]:
    """Compiling a statement pays for questions over millions of rows, not for ours: jit off."""
    return {
        "application_name": "tictac",
        "statement_timeout": str(settings.statement_timeout_ms),
        "jit": "off",
        **parameters,
    }


async def migrate(connection: AnyConnection, folder: Path = SCHEMA) -> list[str]:
    """Bring the schema up to date; the names of the files that were applied now.

    Each file is one transaction. Whoever comes second waits for the lock and finds the work done. Raises MigrationError
    for a file that was changed after it was applied, and for a database that is newer than this program.
    """
    applied = []
    files = _files(folder)
    for file in files:
        async with connection.transaction():
            known = await _known(connection)
            newer = known.keys() - {each.name for each in files}
            if newer:
                raise MigrationError(f"the database has {max(newer)}, which this program does not know: it is too old")
            content = file.read_bytes()
            if file.name not in known:
                await connection.execute(content.decode())
                await connection.execute(
                    "INSERT INTO schema_migrations (file, sha256) VALUES ($1, $2)", file.name, _sha256(content)
                )
                applied.append(file.name)
            elif known[file.name] != _sha256(content):
                raise MigrationError(f"{file.name} was changed after it was applied; put it back and add a new file")
    return applied


async def _known(connection: AnyConnection) -> dict[str, bytes]:
    """Under the lock: the files that were applied, with their checksums."""
    await connection.execute(f"SET LOCAL statement_timeout = 0; SELECT pg_advisory_xact_lock({_LOCK})")
    await connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_migrations "
        "(file text PRIMARY KEY, sha256 bytea NOT NULL, applied timestamptz NOT NULL DEFAULT now())"
    )
    return {row["file"]: row["sha256"] for row in await connection.fetch("SELECT file, sha256 FROM schema_migrations")}


def _files(folder: Path) -> list[Path]:
    files = sorted(folder.glob("*.sql"))
    for number, file in enumerate(files, 1):
        named = _NUMBERED.fullmatch(file.name)
        if named is None or int(named[1]) != number:
            raise MigrationError(f"{file.name}: expected {number:04d}_<name>.sql")
    return files


def _sha256(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


# An id may have been used again after the engine forgot it: the latest bet is meant.
_BET: Final = """
    SELECT bet_no, id, customer, ts_ms, stake_m, payout_m, paid_m, status, voided, kind, lines, each_way, free_bet,
           cashed_out_m, cashed_out_stake_m, capped_m
    FROM bets WHERE id = $1 ORDER BY bet_no DESC LIMIT 1
"""
# What has become of a selection, for a bet that was placed at $2.
_RESULT: Final = """
    s.result, s.void_factor, s.dead_heat_places, s.dead_heat_sharing,
    coalesce(s.withdrawn_ms <> 0, false)
    OR EXISTS (SELECT FROM market_cancels c WHERE (c.fixture, c.market) = (s.fixture, s.market)
               AND c.rolled_back_no IS NULL AND c.from_ms <= $2 AND (c.to_ms = 0 OR $2 < c.to_ms))
"""
_LEGS: Final = f"""
    SELECT l.leg, l.fixture, l.market, l.selection, l.price, l.requested, l.places, l.place_numerator,
           l.place_denominator, {_RESULT} OR l.voided AS void
    FROM bet_legs l LEFT JOIN selections s USING (fixture, market, selection)
    WHERE l.bet_no = $1 ORDER BY l.leg
"""  # noqa: S608  (our own words)
_PARTS: Final = f"""
    SELECT l.leg, {_RESULT} AS void
    FROM bet_legs l JOIN markets m USING (fixture, market), jsonb_array_elements(m.parts) part
    JOIN selections s ON (s.market, s.selection) = (part ->> 0, part ->> 1)
    WHERE l.bet_no = $1 AND s.fixture = l.fixture
"""  # noqa: S608  (our own words)
# The first answer holds; what came after it were retries: under another content, or past their deadline.
_REJECTED: Final = """
    SELECT reason, leg, price, passed_limit, stake_accepted_m, detail
    FROM bet_rejections WHERE id = $1 AND reason <> $2 ORDER BY event_no LIMIT 1
"""


async def bet(pool: Pool, bet_id: str) -> BetState | Rejected | None:
    """A bet, or the refusal of one, as the engine would have answered; None where there was neither."""
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        found = await connection.fetchrow(_BET, bet_id)
        if found is not None:
            placed = found["bet_no"], found["ts_ms"]
            return _bet_state(found, await connection.fetch(_LEGS, *placed), await connection.fetch(_PARTS, *placed))
        refused = await connection.fetchrow(_REJECTED, bet_id, Rejection.DUPLICATE_ID.value)
    return None if refused is None else _rejected(bet_id, refused)


def _bet_state(row: asyncpg.Record, legs: list[asyncpg.Record], parts: list[asyncpg.Record]) -> BetState:
    return BetState(
        row["id"],
        row["customer"],
        row["ts_ms"],
        row["stake_m"],
        row["payout_m"],
        row["paid_m"],
        BetStatus(row["status"]).name.lower(),
        tuple(
            _leg_state(leg, [part for part in parts if part["leg"] == leg["leg"]], bet_void=row["voided"])
            for leg in legs
        ),
        row["kind"],
        row["lines"],
        row["each_way"],
        bool(row["free_bet"]),
        row["cashed_out_m"],
        row["cashed_out_stake_m"],
        row["capped_m"],
    )


def _leg_state(leg: asyncpg.Record, parts: list[asyncpg.Record], *, bet_void: bool) -> BetLegState:
    ids = leg["fixture"], leg["market"], leg["selection"]
    result = "void" if bet_void else _result(leg)
    if result == "open" and parts:
        result = _combined([_result(part) for part in parts])
    place = None
    if leg["places"] is not None:
        place = PlaceTerms(leg["places"], leg["place_numerator"], leg["place_denominator"])
    return BetLegState(*ids, leg["price"], leg["requested"], result, place)


def _result(row: asyncpg.Record) -> str:
    """In the words of BetLegState; the twin of the engine's own (core/queries.py), over rows instead of objects."""
    if row["void"] or row["void_factor"] == FACTOR_ONE:
        return "void"
    if row["result"] is None:
        return "open"
    if row["void_factor"] or (row["result"] and row["dead_heat_places"] != row["dead_heat_sharing"]):
        return "part"
    return "won" if row["result"] else "lost"


def _combined(parts: list[str]) -> str:
    """A bet builder's, by its parts: core/risk/liability.py has the rule."""
    if "lost" in parts or "open" in parts:
        return "lost" if "lost" in parts else "open"
    return "won" if set(parts) == {"won"} else "void"


def _rejected(bet_id: str, row: asyncpg.Record) -> Rejected:
    return Rejected(
        bet_id,
        Rejection(row["reason"]).name,
        row["leg"],
        row["price"],
        row["passed_limit"],
        row["stake_accepted_m"],
        row["detail"],
    )
