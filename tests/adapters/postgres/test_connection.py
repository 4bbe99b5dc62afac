"""Migrations: each file once, in order, whole or not at all; a changed one is refused by name."""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING

import asyncpg
import pytest

from adapters import postgres
from adapters.postgres import SCHEMA, MigrationError, migrate
from tests.adapters.projected import settings_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from adapters.postgres.connection import Connection

SHIPPED = sorted(file.name for file in SCHEMA.glob("*.sql"))


@pytest.fixture
async def connection(fresh_database: str) -> AsyncIterator[Connection]:
    connection = await postgres.connect(settings_of(fresh_database).postgres)
    yield connection
    await connection.close()


@pytest.fixture
def schema(tmp_path: Path) -> Path:
    """A copy of the shipped schema, to be changed."""
    return shutil.copytree(SCHEMA, tmp_path / "schema")


async def test_every_file_is_applied_once(connection: Connection) -> None:
    assert await migrate(connection) == SHIPPED
    assert await migrate(connection) == []


async def test_two_at_the_same_time_apply_each_file_once(fresh_database: str) -> None:
    connections = [await postgres.connect(settings_of(fresh_database).postgres) for _ in range(4)]
    applied = await asyncio.gather(*map(migrate, connections))
    assert sorted(name for names in applied for name in names) == SHIPPED
    for each in connections:
        await each.close()


async def test_orders_as_they_stand_are_found_by_indexes(connection: Connection) -> None:
    """All of them in a time that grows with their number; by a walk over all orders for each it was its square."""
    await migrate(connection)
    await connection.execute("SET enable_seqscan = off")  # these tables are empty
    plan = [row[0] for row in await connection.fetch("EXPLAIN SELECT * FROM order_states WHERE id = 'o1'")]
    assert not [line for line in plan if "Seq Scan" in line], plan
    assert [line for line in plan if "orders_replaces" in line], plan


async def test_what_the_first_release_wrote_is_kept(connection: Connection, schema: Path) -> None:
    for later in SHIPPED[2:]:
        (schema / later).unlink()
    await migrate(connection, schema)
    await connection.execute(
        """
        INSERT INTO customers (customer, currency, opened_ms, cash_m) VALUES ('ann', 'EUR', 1, 900);
        INSERT INTO bets (bet_no, id, ts_ms, customer, currency, stake_m, payout_m)
            VALUES (7, 'b', 2, 'ann', 'EUR', 100, 215);
        INSERT INTO bet_legs VALUES (7, 0, 'match', 'winner', 'home', 21500, 21500, 1, 'desk', 0, false);
        """
    )
    assert await migrate(connection) == SHIPPED[2:]
    for query, expected in (
        ("SELECT cash_m::bigint, bonus_m::bigint, verified FROM customers", (900, 0, False)),
        (
            "SELECT payout_m, kind, folds, lines, free_bet, rate, payout_max_m, cashed_out_m FROM bets",
            (215, "", None, 1, "", 1_000_000, 0, 0),
        ),
        ("SELECT price, banker, starting_price, places, voided FROM bet_legs", (21_500, False, False, None, False)),
    ):
        assert [tuple(row) for row in await connection.fetch(query)] == [expected]


async def test_a_changed_file_is_refused_by_name(connection: Connection, schema: Path) -> None:
    await migrate(connection, schema)
    with (schema / SHIPPED[1]).open("a") as file:
        file.write("-- a small change\n")
    with pytest.raises(MigrationError, match=f"{SHIPPED[1]} was changed after it was applied"):
        await migrate(connection, schema)


async def test_a_failing_file_leaves_nothing_behind(connection: Connection, schema: Path) -> None:
    bad = schema / f"{len(SHIPPED) + 1:04d}_bad.sql"
    bad.write_text("CREATE TABLE half (id int); SELECT 1 / 0;")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(connection, schema)
    assert await connection.fetchval("SELECT to_regclass('half')") is None
    bad.write_text("CREATE TABLE half (id int);")
    assert await migrate(connection, schema) == [bad.name]


@pytest.mark.parametrize("name", ["9999_gap.sql", "notes.sql", "00x1_odd.sql"])
async def test_a_file_out_of_order_is_refused(connection: Connection, schema: Path, name: str) -> None:
    (schema / name).write_text("SELECT 1;")
    with pytest.raises(MigrationError, match=name):
        await migrate(connection, schema)


async def test_a_database_that_is_newer_than_the_program_is_refused(connection: Connection, schema: Path) -> None:
    (schema / f"{len(SHIPPED) + 1:04d}_new.sql").write_text("SELECT 1;")
    await migrate(connection, schema)
    with pytest.raises(MigrationError, match=r"_new\.sql, which this program does not know"):
        await migrate(connection)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO ledger_entries VALUES (1, 0, 1, 'ann', 'cash', 'open_stakes', 0, 'EUR')",
        "INSERT INTO ledger_entries VALUES (1, 0, 1, 'ann', 'cash', 'cash', 5, 'EUR')",
        "INSERT INTO bets (bet_no, id, ts_ms, customer, currency, stake_m, payout_m) VALUES (1,'b',1,'a','EUR',0,5)",
        "INSERT INTO bets VALUES (1, 'b', 1, 'ann', 'EUR', 5, 5, 1)",
        "INSERT INTO customers (customer, currency, opened_ms) VALUES ('ann', 'eur', 1)",
        "UPDATE projection SET hash = ''",
        "INSERT INTO projection VALUES (false, 1, 1, sha256(''))",
    ],
)
async def test_what_cannot_be_is_refused_by_postgres_too(connection: Connection, statement: str) -> None:
    await migrate(connection)
    with pytest.raises(asyncpg.CheckViolationError):
        await connection.execute(statement)


async def test_a_missing_url_is_said(connection: Connection) -> None:
    await migrate(connection)
    with pytest.raises(AssertionError, match=r"postgres\.url is not set"):
        await postgres.connect(settings_of("").postgres)
