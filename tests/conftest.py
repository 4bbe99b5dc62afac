"""Real servers: one of each kind a session; for a test, a NATS without streams and an empty database."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import asyncpg
import nats
import pytest
from hypothesis import HealthCheck, settings

from adapters.embedded import NatsServer, PostgresServer, RedisServer
from config.settings import Role

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

# An example may take as long as the machine is busy, and so may finding it; a failure prints what plays it again.
settings.register_profile("tictac", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("tictac")


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """Shared: a test that kills its server starts one of its own."""
    with NatsServer(tmp_path_factory.mktemp("nats")) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """Shared: a test that kills its server starts one of its own."""
    with PostgresServer(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    if not RedisServer.available():
        pytest.skip("no redis-server on this machine")
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
async def fresh_nats(nats_server: NatsServer) -> NatsServer:
    """The shared server with no stream left, object stores included."""
    operator = await nats.connect(nats_server.url(), inbox_prefix=Role.OPERATOR.inbox_prefix.encode())
    jetstream = operator.jetstream()
    for stream in await jetstream.streams_info():
        await jetstream.delete_stream(str(stream.config.name))
    await operator.close()
    return nats_server


@pytest.fixture
async def fresh_database(postgres_server: PostgresServer) -> AsyncIterator[str]:
    """URL of an empty database, dropped afterwards with whatever is still connected to it."""
    name = f"test_{secrets.token_hex(8)}"
    admin = await asyncpg.connect(postgres_server.url)
    await admin.execute(f"create database {name}")
    yield postgres_server.url_of(name)
    await admin.execute(f"drop database {name} with (force)")
    await admin.close()
