"""The engine process over real NATS, and clients of the public protocol."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import nats
from nats.aio.client import Client

from adapters import journal
from adapters.codec import JSON, Wire
from adapters.embedded import NatsServer
from adapters.engine.service import Service
from config.settings import Role, load
from core.engine import Engine
from core.snapshot import state_hash

Row = dict[str, Any]
DESK: Row = {"author": "tom", "fixture": "f"}
LEG: Row = {"fixture": "f", "market": "m", "selection": "home", "price": 20_000}
_DECODERS: dict[str, Callable[[bytes], Any]] = {"json": msgspec.json.decode, "msgpack": msgspec.msgpack.decode}


def now_ms() -> int:
    return time.time_ns() // 1_000_000


async def until(condition: Callable[[], Awaitable[object]], within_s: float = 20) -> None:
    async with asyncio.timeout(within_s):
        while not await condition():  # noqa: ASYNC110  # another process makes it true
            await asyncio.sleep(0.01)


class Asker:
    """A client of the public protocol; the ids of its commands begin with its name."""

    def __init__(self, client: Client, name: str) -> None:
        self.client = client
        self._name = name
        self._count = 0

    def command(self, **fields: object) -> Row:
        self._count += 1
        return {"id": f"{self._name}-{self._count}", "expires_ms": now_ms() + 60_000} | fields

    def bet(self, **fields: object) -> Row:
        return self.command(customer="anna", stake_m=1_000, legs=[LEG]) | fields

    async def ask(self, subject: str, message: object, wire: Wire = JSON, timeout_s: float = 10) -> Any:
        reply = await self.client.request(subject, wire.encode(message), timeout=timeout_s)
        return _DECODERS[wire.name](reply.data)

    async def done(self, subject: str, **fields: object) -> None:
        """A command that has to work; the desk's have an author."""
        author = {"author": "tom"} if subject.startswith("desk.") else {}
        answer = await self.ask(subject, self.command(**author | fields))
        assert answer["type"] == "done", answer

    async def prepare(self) -> None:
        """A customer with money, and an open market."""
        names: Row = {"name": "A - B", "sport": "football", "competition": "Cup", "start_ms": now_ms() + 10**7}
        market: Row = {"market_type": "1x2", "name": "Result", "selections": [["home", "A"], ["away", "B"]]}
        for subject, fields in (
            ("account.open", {"customer": "anna", "currency": "EUR"}),
            ("account.deposit", {"customer": "anna", "amount_m": 900_000, "provider": "bank"}),
            ("desk.fixture.define", DESK | names),
            ("desk.market.define", DESK | {"market": "m"} | market),
            ("desk.price.set", DESK | {"market": "m", "selection": "home", "price": 20_000}),
            ("desk.market.open", DESK | {"market": "m"}),
        ):
            answer = await self.ask(subject, self.command(**fields))
            assert answer["type"] == "done", answer


@asynccontextmanager
async def asker(server: NatsServer, role: Role = Role.OPERATOR) -> AsyncIterator[Asker]:
    client = await nats.connect(server.url(role), inbox_prefix=role.inbox_prefix.encode(), reconnect_time_wait=0.05)
    try:
        yield Asker(client, role.value)
    finally:
        await client.close()


@asynccontextmanager
async def running(server: NatsServer, **overrides: object) -> AsyncIterator[Service]:
    given = {"http.port": 0} | {name.replace("__", "."): value for name, value in overrides.items()}
    service = Service(load(environ=server.environ, overrides=given), environ=os.environ | dict(server.environ))
    await service.start()
    try:
        yield service
    finally:
        await service.stop()


def pass_time(service: Service, ms: int) -> None:
    """Its clock goes ahead: a test need not wait for a delay to end, nor fear that it ends too early."""
    gateway, clock_ms = service._gateway, service._gateway._clock_ms
    gateway._clock_ms = lambda: clock_ms() + ms


async def rebuilt_hash(server: NatsServer) -> str:
    """Of the state as the journal alone gives it."""
    async with asker(server) as reader:
        engine = Engine(load(environ={}).limits)
        async for stored in journal.read(reader.client.jetstream(), "JOURNAL", 0):
            for event in stored.batch.events:
                engine.apply(event)
    return state_hash(engine.book)
