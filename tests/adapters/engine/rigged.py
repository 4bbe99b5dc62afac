"""A gateway without NATS: messages go in by hand; the journal is a twin in memory that stores when it is told to."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from adapters import codec
from adapters.codec import JSON, Wire
from adapters.engine.gateway import Gateway
from adapters.engine.publisher import Publisher
from adapters.metrics import Metrics
from config.settings import load
from core.engine import Engine
from core.messages.answers import BetState, BookImage, OddsImage, OrderState, Rejected
from core.messages.events import Event

NOW = 1_800_000_000_000
INBOX = "_INBOX_gateway.x"
Row = dict[str, Any]
LEG: Row = {"fixture": "f", "market": "m", "selection": "home", "price": 20_000}


def read(answer: bytes) -> Any:
    return (msgspec.json if codec.wire_of(answer) is JSON else msgspec.msgpack).decode(answer)


class JournalInMemory:
    """Stores a batch when `acknowledge` is called."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.outbox: list[tuple[str, bytes]] = []
        self.blocked = False
        self.under_way: list[tuple[list[Event], list[tuple[str, bytes]]]] = []
        self.stored: list[Event] = []

    @property
    def waiting(self) -> int:
        return len(self.outbox) + sum(len(outbox) for _, outbox in self.under_way)

    def flush(self) -> None:
        if self.events or self.outbox:
            self.under_way.append((self.events, self.outbox))
            self.events, self.outbox = [], []


class Rig:
    """An engine with a customer and an open market, and what its gateway sends."""

    def __init__(self, **overrides: object) -> None:
        settings = load(environ={}, overrides={key.replace("__", "."): value for key, value in overrides.items()})
        self.now_ms = NOW
        self.engine = Engine(settings.limits)
        self.engine.start("test", "0", NOW)
        self.journal = JournalInMemory()
        self.sent: list[tuple[str, bytes]] = []
        self.shown: list[OddsImage | BookImage] = []
        self.failures: list[BaseException] = []
        self.older: dict[str, BetState | OrderState | Rejected | None] = {}
        self.metrics = Metrics()
        self.gateway = Gateway(
            self.engine,
            self.journal,
            self.sent.extend,
            Publisher(self.engine, settings.publisher, self.metrics),
            settings,
            self.metrics,
            fail=self.failures.append,
            older={"BET_UNKNOWN": self.find_older, "ORDER_UNKNOWN": self.find_older},
            show=self.shown.extend,
            clock_ms=lambda: self.now_ms,
        )
        self.count = 0

    async def find_older(self, name: str) -> BetState | OrderState | Rejected | None:
        await asyncio.sleep(0)
        if name == "away":
            raise OSError("Postgres is away")
        return self.older.get(name)

    async def turn(self) -> None:
        """Until what was handed in is decided."""
        for _ in range(5):
            await asyncio.sleep(0)

    def acknowledge(self) -> None:
        """Everything under way is stored."""
        while self.journal.under_way:
            events, outbox = self.journal.under_way.pop(0)
            self.journal.stored += events
            self.gateway.deliver(outbox)

    def command(self, **fields: object) -> Row:
        self.count += 1
        return {"id": f"c-{self.count}", "expires_ms": self.now_ms + 60_000} | fields

    def bet(self, **fields: object) -> Row:
        return self.command(customer="anna", stake_m=1_000, legs=[LEG]) | fields

    async def ask_raw(self, subject: str, payload: bytes) -> bytes:
        """The answer to a message, with the journal storing at once."""
        before = len(self.sent)
        self.gateway.request(subject, INBOX, payload)
        await self.turn()
        self.acknowledge()
        (answer,) = [payload for to, payload in self.sent[before:] if to == INBOX]
        return answer

    async def ask(self, subject: str, message: object, wire: Wire = JSON) -> Any:
        answer = await self.ask_raw(subject, wire.encode(message))
        assert codec.wire_of(answer) is wire
        return read(answer)


async def rig(**overrides: object) -> Rig:
    made = Rig(**overrides)
    desk: Row = {"author": "tom", "fixture": "f"}
    names: Row = {"name": "A - B", "sport": "football", "competition": "Cup", "start_ms": NOW + 10**7}
    market: Row = {"market_type": "1x2", "name": "Result", "selections": [["home", "A"], ["away", "B"]]}
    for subject, fields in (
        ("account.open", {"customer": "anna", "currency": "EUR"}),
        ("account.deposit", {"customer": "anna", "amount_m": 100_000, "provider": "bank"}),
        ("desk.fixture.define", desk | names),
        ("desk.market.define", desk | {"market": "m"} | market),
        ("desk.price.set", desk | {"market": "m", "selection": "home", "price": 20_000}),
        ("desk.price.set", desk | {"market": "m", "selection": "away", "price": 18_000}),
        ("desk.market.open", desk | {"market": "m"}),
    ):
        answer = await made.ask(subject, made.command(**fields))
        assert answer["type"] == "done", answer
    return made
