"""`tictac projector` and `tictac audit` as processes, with a real journal, in the auditor's role."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg
import pytest

from adapters import bus, journal
from adapters.journal import snapshots
from config.settings import Role, Settings, load
from core.book import Book
from core.engine import Engine
from core.limits import Limits
from tests.adapters.projected import FakeJournal, busy_world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from adapters.embedded import NatsServer
    from adapters.journal.reader import Stored


class Site:
    """The servers, a journal, and a way to run `tictac` with them."""

    def __init__(self, nats_server: NatsServer, database: str) -> None:
        servers = {**nats_server.environ, "TICTAC_POSTGRES_URL": database, "TICTAC_LOG_FORMAT": "json"}
        self.settings: Settings = load(environ=servers)
        self._environ = {**os.environ, **servers}
        self._database = database

    async def journal(self, batches: Sequence[Stored]) -> None:
        """Store some batches, as an engine would."""
        client = await bus.connect(self.settings, Role.ENGINE)
        await journal.create(client.jetstream(), self.settings.journal)
        for stored in batches:
            await client.jetstream().publish(f"journal.{self.settings.journal.partition}", stored.data)
        await bus.close(client)

    async def tictac(self, command: str) -> asyncio.subprocess.Process:
        arguments = [sys.executable, "-m", "adapters.cli", command]
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(*arguments, env=self._environ, stdout=pipe, stderr=pipe)

    async def audit(self) -> tuple[int | None, list[str]]:
        process = await self.tictac("audit")
        out, err = await asyncio.wait_for(process.communicate(), 60)
        return process.returncode, out.decode().splitlines() or err.decode().splitlines()

    @asynccontextmanager
    async def projector(self) -> AsyncIterator[asyncio.subprocess.Process]:
        process = await self.tictac("projector")
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()

    async def projected(self, event_no: int) -> None:
        """Wait until the tables hold at least this event."""
        connection = await asyncpg.connect(self._database)
        async with asyncio.timeout(60):
            while not await _reached(connection, event_no):  # noqa: ASYNC110  (another process changes it)
                await asyncio.sleep(0.02)
        await connection.close()

    async def execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self._database)
        await connection.execute(statement)
        await connection.close()


async def _reached(connection: asyncpg.Connection[asyncpg.Record], event_no: int) -> bool:
    if await connection.fetchval("SELECT to_regclass('projection') IS NULL"):
        return False
    return bool(await connection.fetchval("SELECT event_no >= $1 FROM projection", event_no))


@pytest.fixture
def site(fresh_nats: NatsServer, fresh_database: str) -> Site:
    return Site(fresh_nats, fresh_database)


@pytest.fixture
def batches() -> FakeJournal:
    journal = FakeJournal()
    journal.fill(busy_world().events)
    return journal


async def test_a_killed_projector_is_taken_over_and_the_audit_agrees(site: Site, batches: FakeJournal) -> None:
    half = batches.stored[: len(batches.stored) // 2]
    await site.journal(half)
    async with site.projector() as first:
        await site.projected(half[-1].batch.first)
        first.kill()
    await site.journal(batches.stored[len(half) :])
    async with site.projector() as second:
        await site.projected(batches.events)
        second.terminate()
        assert await asyncio.wait_for(second.wait(), 10) == 0
    assert await site.audit() == (0, [f"{batches.events} events audited, 0 differences"])

    await site.execute("UPDATE customers SET cash_m = cash_m - 1 WHERE customer = 'bob'")
    status, lines = await site.audit()
    assert status == 1
    assert lines[0].startswith("customer bob: cash_m is ")
    assert lines[-1] == f"{batches.events} events audited, 3 differences"


async def test_the_audit_starts_from_a_snapshot_where_the_journal_is_shortened(
    site: Site, batches: FakeJournal
) -> None:
    await site.journal(batches.stored)
    async with site.projector():
        await site.projected(batches.events)
    half = len(batches.stored) // 2
    engine = Engine(Limits(), Book())
    for stored in batches.stored[:half]:
        for event in stored.batch.events:
            engine.apply(event)
    client = await bus.connect(site.settings, Role.ENGINE)
    await snapshots.save(client.jetstream(), site.settings, engine.book, half)
    await journal.shorten(client.jetstream(), site.settings.journal.stream, half)
    await bus.close(client)
    assert await site.audit() == (0, [f"{batches.events} events audited, 0 differences"])


@pytest.mark.parametrize("command", ["projector", "audit"])
async def test_a_missing_url_is_named(site: Site, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.setitem(site._environ, "TICTAC_POSTGRES_URL", "")
    process = await site.tictac(command)
    _, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 2
    assert b"postgres.url: is not set" in err


async def test_an_audit_without_a_journal_says_so(site: Site) -> None:
    await site.execute("SELECT 1")
    status, lines = await site.audit()
    assert status == 1
    assert "cannot audit" in lines[-1]
