"""What the demo runs on: NATS, PostgreSQL, Redis where there is one, and the engine, each a real process of its own.

They start in the order in which they need each other and stop in the opposite one. The engine is `tictac engine`, told
by variables what it would be told anywhere. The projector stays inside the engine, the default: as a process of its own
it measured the same on two cores (bounded form, three runs each: rate, p50, p99 and lag within each other's spread),
and one process less is one less that can die.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import ClassVar
from urllib.error import URLError
from urllib.request import urlopen

from adapters.embedded import HOST, EmbeddedError, NatsServer, PostgresServer, RedisServer, _Server
from config.settings import Demo, Settings, load
from core.limits import Limits


class EngineServer(_Server):
    """`tictac engine`, ready when it says so on its own HTTP port."""

    name: ClassVar[str] = "engine"

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        super().__init__(folder)
        self._given = environ

    @property
    def environ(self) -> Mapping[str, str]:
        return {**self._given, "TICTAC_HTTP_HOST": HOST, "TICTAC_HTTP_PORT": str(self.port)}

    def get(self, path: str, timeout_s: float = 10.0) -> bytes:
        """One of its HTTP pages. Blocks; raises OSError when it cannot be had."""
        with urlopen(f"http://{HOST}:{self.port}{path}", timeout=timeout_s) as reply:
            content: bytes = reply.read()
        return content

    def _command(self) -> list[str]:
        return [sys.executable, "-m", "adapters.cli", "engine"]

    def _child_environ(self) -> dict[str, str]:
        return {**os.environ, **self.environ}

    def _ready(self) -> bool:
        with suppress(URLError, OSError):
            self.get("/ready", 1.0)
            return True
        return False


class Servers:
    """All of them, in one folder; what a run leaves there the next one takes up."""

    def __init__(self, folder: Path, demo: Demo) -> None:
        self.nats = NatsServer(folder / "nats")
        self.postgres = PostgresServer(folder / "postgres")
        self.redis = RedisServer(folder / "redis") if RedisServer.available() else None
        self.engine: EngineServer
        self._folder = folder
        self._demo = demo

    async def start_stores(self) -> None:
        """All but the engine. Raises EmbeddedError; what was started before stays up until `stop`."""
        needed = [self.nats, self.postgres, *([self.redis] if self.redis else [])]
        started = await asyncio.gather(*(asyncio.to_thread(server.start) for server in needed), return_exceptions=True)
        for outcome in started:
            if isinstance(outcome, BaseException):
                raise outcome

    async def start_engine(self) -> None:
        """Raises EmbeddedError."""
        self.engine = EngineServer(self._folder / "engine", self.environ)
        await asyncio.to_thread(self.engine.start)

    @property
    def environ(self) -> dict[str, str]:
        """For every process of the demo: its settings that are named as limits are, are limits.

        What the caller has set himself stands above them.
        """
        limits = {
            f"TICTAC_LIMITS_{name.upper()}": str(getattr(self._demo, name))
            for name in self._demo.__struct_fields__
            if name in Limits.__struct_fields__
        }
        own = {name: os.environ.get(name, value) for name, value in limits.items()}
        redis = self.redis.environ if self.redis else {}
        return {**own, "TICTAC_LOG_FORMAT": "json", **self.nats.environ, **self.postgres.environ, **redis}

    def settings(self) -> Settings:
        """As the demo's processes have them."""
        return load(environ={**os.environ, **self.environ})

    def ended(self) -> _Server | None:
        """One that runs no more though it should."""
        return next((server for server in self._all() if not server.running), None)

    async def stop_engine(self, within_s: float) -> None:
        await _stop(self.engine, within_s)

    async def stop(self, within_s: float) -> None:
        """The engine first, then what it stands on; each by force when its time is over."""
        deadline = time.monotonic() + within_s
        if hasattr(self, "engine"):
            await _stop(self.engine, within_s * 0.6)
        left_s = max(0.2, deadline - time.monotonic())
        await asyncio.gather(*(_stop(server, left_s) for server in self._all() if server.running))

    def _all(self) -> list[_Server]:
        engine = [self.engine] if hasattr(self, "engine") else []
        return [self.nats, self.postgres, *([self.redis] if self.redis else []), *engine]


async def _stop(server: _Server, within_s: float) -> None:
    """Cleanly, or by force. (server.stop() waits for longer than a Ctrl-C may take.)"""
    if not server.running:
        return
    pid = server.pid
    stopping = asyncio.create_task(asyncio.to_thread(server.stop))
    _, late = await asyncio.wait({stopping}, timeout=within_s)
    if late:
        with suppress(ProcessLookupError):
            os.kill(pid, 9)
        await stopping


__all__ = ["EmbeddedError", "EngineServer", "Servers"]
