from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from adapters import bus
from adapters.bus import BusError
from adapters.embedded import NatsServer, free_port
from config.settings import Role, load
from tests.adapters.journalling import settings_of, until


@pytest.mark.parametrize("role", list(Role))
async def test_each_role_connects_with_its_own_inbox(nats_server: NatsServer, role: Role) -> None:
    client = await bus.connect(settings_of(nats_server), role)
    assert client.new_inbox().startswith(role.inbox_prefix + ".")
    await bus.close(client)
    assert client.is_closed
    await bus.close(client)


async def test_a_connection_that_is_closed_says_nothing_of_its_end(nats_server: NatsServer) -> None:
    with capture_logs() as logged:
        client = await bus.connect(settings_of(nats_server), Role.AUDITOR)
        await bus.close(client)
    assert logged == []


async def test_a_client_whose_server_is_away_is_closed_at_once(tmp_path: Path) -> None:
    async with NatsServer(tmp_path / "nats") as server:
        settings = settings_of(server, {"nats.reconnect_wait_ms": 1})
        clients = [await bus.connect(settings, Role.ENGINE) for _ in range(20)]
        await asyncio.to_thread(server.kill)
        await until(lambda: all(client.is_reconnecting for client in clients), "the connections are gone")
        others = asyncio.all_tasks() - {asyncio.current_task()}
        async with asyncio.timeout(5):
            for client in clients:
                await bus.close(client)
            await asyncio.gather(*others, return_exceptions=True)


@pytest.mark.parametrize(("password", "is_what"), [("pguess", "wrong"), ("", "not set")])
async def test_wrong_credentials_are_one_line_that_names_role_and_server(
    nats_server: NatsServer, password: str, is_what: str
) -> None:
    url = f"nats://127.0.0.1:{nats_server.port}"
    settings = load(environ={}, overrides={"nats.urls": [url], "nats.gateway_password": password})
    with pytest.raises(BusError) as caught:
        await asyncio.wait_for(bus.connect(settings, Role.GATEWAY), 10)
    assert str(caught.value) == f"NATS at {url} does not let role gateway in: nats.gateway_password is {is_what}"


async def test_a_server_that_is_not_there_is_tried_so_often_and_named_without_its_password() -> None:
    port = free_port()
    urls = {"nats.urls": [f"nats://user:secret@127.0.0.1:{port}"]}
    settings = load(environ={}, overrides={**urls, "nats.connect_attempts_max": 2, "nats.reconnect_wait_ms": 10})
    with pytest.raises(BusError) as caught:
        await asyncio.wait_for(bus.connect(settings, Role.ENGINE), 10)
    assert f"no NATS at nats://127.0.0.1:{port} for role engine" in str(caught.value)
    assert "secret" not in str(caught.value)


async def test_a_server_that_is_just_starting_is_waited_for_and_a_restarted_one_is_found_again(tmp_path: Path) -> None:
    server = NatsServer(tmp_path / "nats", free_port())
    connecting = asyncio.create_task(bus.connect(settings_of(server), Role.ENGINE))
    async with server:
        client = await connecting
        await asyncio.to_thread(server.kill)
        await until(lambda: not client.is_connected, "the connection is gone")
        await asyncio.to_thread(server.start)
        await until(lambda: client.is_connected, "connected again")
        await bus.close(client)
