"""A journal's writer on a real server, what it delivered, and a TCP proxy that can fall silent or be cut."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Self

from nats.aio.client import Client

from adapters import bus, journal
from adapters.embedded import HOST, NatsServer
from adapters.journal import Journal, Stored
from config.settings import Role, Settings, load
from core.messages.events import CustomerOpened

DEADLINE_S = 20.0
QUICK: Mapping[str, object] = {
    "journal.append_timeout_ms": 200,
    "journal.retry_wait_ms": 10,
    "journal.fence_check_ms": 50,
    "nats.reconnect_wait_ms": 20,
}
"""What a test does not want to wait for."""


async def until(condition: Callable[[], bool | Awaitable[bool]], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while True:
        holds = condition()
        if holds if isinstance(holds, bool) else await holds:
            return
        assert time.monotonic() < deadline, f"not within {DEADLINE_S} s: {what}"
        await asyncio.sleep(0.005)


def settings_of(server: NatsServer, overrides: Mapping[str, object] = {}) -> Settings:
    return load(environ=server.environ, overrides={**QUICK, **overrides})


class Writer:
    """A writer whose every answer says by its number which event it stands on."""

    def __init__(self, client: Client, settings: Settings, event_no: int, name: str) -> None:
        self.js = client.jetstream()
        self.settings = settings
        self.delivered: list[int] = []
        self.delivered_at: list[int] = []
        """The last message stored at that time."""
        self.last = event_no
        self.name = name
        self.journal: Journal

    @classmethod
    async def open(cls, settings: Settings, *, name: str = "w", client: Client | None = None) -> Self:
        """Behind what is in the stream, which is made where there is none."""
        of_journal = client or await bus.connect(settings, Role.ENGINE)
        asking = await bus.connect(settings, Role.ENGINE) if client is None else client
        await journal.create(asking.jetstream(), settings.journal)
        source = journal.Source(asking.jetstream(), settings.journal.stream)
        sequence, event_no = await source.end()
        writer = cls(asking, settings, event_no, name)
        writer.journal = await Journal.open(of_journal, settings, writer.deliver, sequence=sequence, event_no=event_no)
        writer.clients = {of_journal, asking}
        return writer

    clients: set[Client]

    async def close(self) -> None:
        self.journal.close()
        for client in self.clients:
            await bus.close(client)

    def deliver(self, outbox: list[tuple[str, bytes]]) -> None:
        self.delivered += [int(payload) for _, payload in outbox]
        self.delivered_at.append(self.journal.sequence)

    def add(self, count: int = 1) -> None:
        """So many events, and one answer that stands on them."""
        for _ in range(count):
            self.last += 1
            self.journal.events.append(CustomerOpened(1, f"{self.name}-{self.last}", 1, f"c{self.last}", "EUR"))
        self.journal.outbox.append(("answer", b"%d" % self.last))

    async def stored(self) -> list[Stored]:
        """All of the journal; reading checks that event numbers are contiguous."""
        return [each async for each in journal.read(self.js, self.settings.journal.stream, 0)]

    async def check(self, first: int = 1) -> None:
        """Every answer that went out stands on stored events, no event is there twice, and answers came in order."""
        ids = [event.id for each in await self.stored() for event in each.batch.events if type(event) is CustomerOpened]
        assert ids == [f"{self.name}-{number}" for number in range(first, first + len(ids))]
        assert all(before < after for before, after in pairwise(self.delivered))
        assert max(self.delivered, default=0) <= len(ids)


@asynccontextmanager
async def writing(settings: Settings, *, name: str = "w") -> AsyncIterator[Writer]:
    writer = await Writer.open(settings, name=name)
    try:
        yield writer
    finally:
        await writer.close()


class Proxy:
    """Stands between a client and the server; swallows what goes up or comes down, and cuts."""

    def __init__(self, port: int) -> None:
        self.swallow_up = False
        self.swallow_down = False
        self.address = ""
        self.swallowed = 0
        self._port = port
        self._server: asyncio.Server
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, HOST, 0)
        self.address = "nats://{}:{}".format(*self._server.sockets[0].getsockname())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(HOST, self._port)
        self._writers |= {writer, up_writer}
        for source, target, up in ((reader, up_writer, True), (up_reader, writer, False)):
            task = asyncio.create_task(self._pump(source, target, up=up))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, up: bool) -> None:
        try:
            while data := await source.read(65536):
                if self.swallow_up if up else self.swallow_down:
                    self.swallowed += len(data)
                else:
                    target.write(data)
        except OSError:
            pass
        finally:
            target.transport.abort()
