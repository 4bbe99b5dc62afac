"""A whole tictac of real processes that can be killed: NATS, PostgreSQL and `tictac engine`, in a folder of its own.

Every wait is for a condition and has a deadline; every process is ended by its pid, and ends with this one.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from inspect import isawaitable
from pathlib import Path
from typing import Self
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from nats.aio.client import Client

from adapters import bus, journal
from adapters.embedded import HOST, NatsServer, PostgresServer, _spawn, free_port
from config.settings import Role, Settings, load
from core.engine import Engine
from core.limits import Limits
from core.messages.events import Event

DEADLINE_S = 60.0
"""For anything that takes two seconds at most on a quiet machine."""
QUICK: Mapping[str, str] = {
    "TICTAC_LOG_FORMAT": "json",
    "TICTAC_JOURNAL_APPEND_TIMEOUT_MS": "500",
    "TICTAC_JOURNAL_RETRY_WAIT_MS": "50",
    "TICTAC_NATS_RECONNECT_WAIT_MS": "50",
    "TICTAC_PROJECTOR_RETRY_MAX_MS": "500",
    "TICTAC_INGEST_HEARTBEAT_MS": "500",
    "TICTAC_INGEST_FLUSH_EVERY": "50",
    "TICTAC_GATEWAY_CHECK_EVERY": "2000",
    "TICTAC_LIMITS_SLICE_MAX": "3",
    "TICTAC_GATEWAY_SLICES_MS": "0",
    "TICTAC_LIMITS_CURRENCY": "EUR",
}
"""What a test does not want to wait for; and the engine checks all its invariants every 2 000 commands, and
does what is long in many slices, so that it can die between two of them."""


def new_seed() -> int:
    """Printed, so that pytest shows it where a test fails; E2E_SEED=<it> plays the same dice again."""
    seed = int(os.environ.get("E2E_SEED", secrets.randbelow(10**6)))
    print(f"E2E_SEED={seed}")  # noqa: T201  # to whoever reads the failure
    return seed


async def until(condition: Callable[[], object], what: str | Callable[[], str], deadline_s: float = DEADLINE_S) -> None:
    """Wait until the condition, a function or a coroutine's, holds. Fails with what was waited for."""
    deadline = time.monotonic() + deadline_s
    while True:
        found = condition()
        if await found if isawaitable(found) else found:
            return
        said = what if isinstance(what, str) else what()
        assert time.monotonic() < deadline, f"not within {deadline_s} s: {said}"
        await asyncio.sleep(0.01)


class EngineProcess:
    """`tictac engine` as a process of its own; its exit status and its last words are kept."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.log = folder / f"engine-{self.port}.log"
        self.environ = {**os.environ, **environ, "TICTAC_HTTP_HOST": HOST, "TICTAC_HTTP_PORT": str(self.port)}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "the engine was not started"
        return self._process

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def spawn(self) -> Self:
        """Start, without waiting."""
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "adapters.cli", "engine"]
            self._process = _spawn(command, log, self.environ, signal.SIGKILL)
        return self

    async def start(self) -> Self:
        """Start, and wait until it says that it is ready."""
        self.spawn()
        await self.ready()
        return self

    async def ready(self, deadline_s: float = DEADLINE_S) -> None:
        async def is_ready() -> bool:
            assert self.running, f"the engine ended with {self.process.returncode}:\n{self.words()}"
            return await asyncio.to_thread(self.page, "/ready") is not None

        await until(is_ready, lambda: f"a ready engine:\n{self.words()}", deadline_s)

    def page(self, path: str) -> bytes | None:
        """A page over HTTP; None where there is none, or not now."""
        with suppress(URLError, HTTPError, OSError), urlopen(f"http://{HOST}:{self.port}{path}", timeout=5) as reply:
            content: bytes = reply.read()
            return content
        return None

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)

    async def kill(self) -> None:
        """As a crash would."""
        self.process.kill()
        await self.ended()

    async def stop(self) -> int:
        """As its supervisor would."""
        if self.running:
            self.signal(signal.SIGTERM)
        return await self.ended()

    async def ended(self, deadline_s: float = DEADLINE_S) -> int:
        """Wait for its end; its exit status."""
        await until(lambda: not self.running, lambda: f"the end of the engine:\n{self.words()}", deadline_s)
        return self.process.returncode

    def words(self) -> str:
        """The end of what it said."""
        return self.log.read_text(errors="replace")[-4000:]


class Stack:
    """All of them."""

    def __init__(
        self, folder: Path, environ: Mapping[str, str] = {}, *, nats: NatsServer | None = None, url: str = ""
    ) -> None:
        """With a database of its own, or that of `url`."""
        self.folder = folder
        self.nats = nats or NatsServer(folder / "nats")
        self.postgres = None if url else PostgresServer(folder / "postgres")
        self.engine: EngineProcess
        self._url = url
        self._environ = environ
        self._clients: list[Client] = []

    @property
    def environ(self) -> dict[str, str]:
        """For every process of this stack."""
        postgres = self.postgres.environ if self.postgres else {"TICTAC_POSTGRES_URL": self._url}
        return {**QUICK, **self.nats.environ, **postgres, **self._environ}

    @property
    def settings(self) -> Settings:
        return load(environ=self.environ)

    async def __aenter__(self) -> Self:
        servers = [server for server in (self.nats, self.postgres) if server is not None and not server.running]
        await asyncio.gather(*(asyncio.to_thread(server.start) for server in servers))
        self.engine = await self.new_engine().start()
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self._clients:
            await client.close()
        if self.engine.running:
            await self.engine.kill()
        if self.postgres is not None and self.postgres.running:
            self.postgres.kill()
        if self.nats.running:
            self.nats.kill()

    def new_engine(self, **environ: str) -> EngineProcess:
        """One more, not started."""
        return EngineProcess(self.folder, {**self.environ, **environ})

    async def restart_engine(self) -> float:
        """After its end; returns in how many seconds it was ready."""
        began = time.monotonic()
        self.engine = await self.new_engine().start()
        return time.monotonic() - began

    async def connect(self, role: Role) -> Client:
        """A connection that ends with the stack."""
        client = await bus.connect(self.settings, role, name=f"test-{role.value}")
        self._clients.append(client)
        return client

    @asynccontextmanager
    async def process(self, *arguments: str, **environ: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """A command while it runs; killed at the end."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "adapters.cli",
            *arguments,
            env={**os.environ, **self.environ, **environ},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()

    async def tictac(self, *arguments: str, deadline_s: float = 60.0, **environ: str) -> tuple[int, str, str]:
        """Run a command; its exit status, its output, what it said on stderr."""
        async with self.process(*arguments, **environ) as process:
            output, said = await asyncio.wait_for(process.communicate(), deadline_s)
            assert process.returncode is not None
            return process.returncode, output.decode(), said.decode()

    async def events(self) -> AsyncIterator[Event]:
        """All that the journal has."""
        client = await self.connect(Role.AUDITOR)
        async for stored in journal.read(client.jetstream(), self.settings.journal.stream, 0):
            for event in stored.batch.events:
                yield event

    async def rebuilt(self) -> Engine:
        """The state, from the whole journal alone."""
        engine = Engine(Limits())
        async for event in self.events():
            engine.apply(event)
        return engine


def moments(rng: random.Random, count: int, mean: int) -> Iterable[int]:
    """Random distances, in answers, between one crash and the next."""
    return [rng.randint(mean // 4, 2 * mean) for _ in range(count)]
