from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import asyncpg
import nats
import pytest
from nats.js.api import StreamConfig
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from adapters.embedded import HOST, EmbeddedError, NatsServer, PostgresServer, RedisServer, free_port
from config.settings import Role, load

DEADLINE_S = 30.0


def is_alive(pid: int) -> bool:
    """Whether it runs; a zombie that its new parent has not collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_nats_keeps_what_it_acknowledged_when_it_is_killed(tmp_path: Path) -> None:
    async with NatsServer(tmp_path / "nats") as server:
        client = await nats.connect(server.url(), inbox_prefix=b"_INBOX_operator")
        await client.jetstream().add_stream(StreamConfig(name="KEPT", subjects=["kept"]))
        await client.jetstream().publish("kept", b"word")
        await client.close()
        port, first = server.port, server.pid
        server.kill()
        assert not is_alive(first)
        server.start()
        assert server.port == port
        client = await nats.connect(server.url(), inbox_prefix=b"_INBOX_operator")
        message = await client.jetstream().get_msg("KEPT", 1)
        assert message.data == b"word"
        await client.close()


async def test_nats_syncs_before_it_acknowledges(nats_server: NatsServer) -> None:
    configuration = (Path(__file__).parents[2] / "config" / "nats" / "tictac.conf").read_text(encoding="utf-8")
    assert "\n    sync_interval: always\n" in configuration
    assert (nats_server.folder / "jetstream" / "jetstream").is_dir()


async def test_postgres_keeps_what_it_committed_when_it_is_killed(tmp_path: Path) -> None:
    async with PostgresServer(tmp_path / "postgres") as server:
        connection = await asyncpg.connect(server.url)
        await connection.execute("create table kept (word text)")
        await connection.execute("insert into kept values ('word')")
        port = server.port
        server.kill()
        connection.terminate()
        server.start()
        assert server.port == port
        connection = await asyncpg.connect(server.url)
        assert await connection.fetchval("select word from kept") == "word"
        assert await connection.fetchval("show fsync") == "on"
        await connection.close()


async def test_postgres_wants_its_password(postgres_server: PostgresServer) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(user="tictac", password="guess", host=HOST, port=postgres_server.port, database="tictac")


def test_postgres_takes_a_pid_file_of_somebody_else_for_stale(tmp_path: Path) -> None:
    server = PostgresServer(tmp_path / "postgres")
    server.start()
    server.kill()
    pid_file = tmp_path / "postgres" / "data" / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]))
    server.start()
    server.stop()
    assert not pid_file.exists()


async def test_redis_answers_with_its_password_only(redis_server: RedisServer) -> None:
    client = Redis.from_url(redis_server.url)
    assert await client.set("image", b"1")
    await client.aclose()
    stranger = Redis(host=HOST, port=redis_server.port, protocol=2, retry=Retry(NoBackoff(), 0))
    with pytest.raises(Exception, match="Authentication required"):
        await stranger.get("image")
    await stranger.aclose()


def test_the_servers_hand_out_valid_settings(nats_server: NatsServer, postgres_server: PostgresServer) -> None:
    settings = load(environ={**nats_server.environ, **postgres_server.environ})
    assert settings.nats.urls == (f"nats://127.0.0.1:{nats_server.port}",)
    assert settings.nats.engine_password == nats_server.password(Role.ENGINE)
    assert settings.postgres.url == postgres_server.url


def test_of_a_postgres_that_is_killed_nothing_is_left(tmp_path: Path) -> None:
    """Its sessions are processes of their own, and went on for as long as they did not wait for the next command."""
    server = PostgresServer(tmp_path).start()
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children")
    if not children.exists():
        server.stop()
        pytest.skip("this system does not tell which processes a process has started")
    pids = [int(pid) for pid in children.read_text(encoding="ascii").split()]
    assert len(pids) > 3
    server.kill()
    deadline = time.monotonic() + DEADLINE_S
    while any(is_alive(pid) for pid in pids):
        assert time.monotonic() < deadline, f"left running: {pids}"
        time.sleep(0.01)


def test_passwords_are_the_owners_alone_and_stay(tmp_path: Path) -> None:
    with NatsServer(tmp_path / "nats") as server:
        first = dict(server.environ)
    with NatsServer(tmp_path / "nats") as server:
        assert dict(server.environ) == first
    files = list((tmp_path / "nats").glob("*.password"))
    assert len(files) == 6
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    broken = tmp_path / "nats"
    broken.mkdir()
    (broken / "jetstream").write_text("in the way", encoding="utf-8")
    with pytest.raises(EmbeddedError, match=r"(?s)does not start in .*storage directory"):
        NatsServer(broken, start_timeout_s=5).start()


def test_a_port_that_a_stranger_took_is_named(tmp_path: Path, nats_server: NatsServer) -> None:
    with pytest.raises(EmbeddedError, match="in use"):
        RedisServer(tmp_path / "redis", nats_server.port, start_timeout_s=0.5).start()


def test_free_ports_lie_below_those_of_outgoing_connections() -> None:
    assert all(free_port() < 32_768 for _ in range(20))


CHILD = """
import sys, time
from pathlib import Path
from adapters.embedded import NatsServer, PostgresServer
servers = [kind(Path(sys.argv[1]) / kind.name).start() for kind in (NatsServer, PostgresServer)]
print(*(server.pid for server in servers), flush=True)
time.sleep(60)
"""


def test_servers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path)], stdout=subprocess.PIPE) as parent:  # noqa: S603
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        assert all(is_alive(pid) for pid in pids)
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + DEADLINE_S
    while any(is_alive(pid) for pid in pids):
        assert time.monotonic() < deadline, f"left running: {pids}"
        time.sleep(0.01)
    with PostgresServer(tmp_path / "postgres") as server:
        assert server.running
