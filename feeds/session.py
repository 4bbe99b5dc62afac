"""What every ingestor shares: one producer's life on the bus (DESIGN 6).

A session numbers its messages without a gap, is heard every few seconds, and tells everything anew (a recovery) at its
start, whenever the engine asks, and when NATS was away. Nothing of its own comes between the messages of a recovery.

    async with Session(bus, "acme", "live", settings.ingest) as session:
        session.add(source)             # source.image(): all that the producer offers now
        await session.publish(source.changes())

The first sequence is the clock's microsecond: a producer that is started again never uses a number twice, so a bet's
producer and sequence name one message in the FEED stream for ever.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol, Self

import msgspec
import structlog
from msgspec.structs import replace

from core.messages.feed import FeedMessage, Heartbeat, RecoverRequest, RecoveryBegin, RecoveryEnd

if TYPE_CHECKING:
    from types import TracebackType

    from config.settings import Ingest
    from feeds.bus import Bus

_NAME = re.compile(r"[A-Za-z0-9_:=|+-]{1,64}")
_encode = msgspec.msgpack.Encoder().encode
_log = structlog.get_logger("feeds.session")


def now_ms() -> int:
    """The wall clock."""
    return time.time_ns() // 1_000_000


class Source(Protocol):
    """Whoever knows what the producer offers."""

    def image(self) -> Iterable[FeedMessage]:
        """All of it as of now: fixtures, markets, and the results and cancels that stand.

        Called between two `publish`; it may be ahead of what was published, since saying a thing twice does no harm.
        """
        ...


class Session:
    """One producer. Messages may carry any provider, producer and sequence: the session puts in its own."""

    def __init__(
        self, bus: Bus, provider: str, producer: str, settings: Ingest, clock_ms: Callable[[], int] = now_ms
    ) -> None:
        for name in (provider, producer):
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} cannot be a provider or producer: it is not a token of a subject")
        self.provider, self.producer = provider, producer
        self.settings = settings
        self.sequence = clock_ms() * 1000
        self.dropped = 0
        """Messages that could not be sent because NATS was away."""
        self.recoveries = 0
        self._bus = bus
        self._subject = f"feed.{provider}.{producer}"
        self._control = f"feed-control.{provider}.{producer}"
        self._heartbeat_s = settings.heartbeat_ms / 1000
        self._flush_every = settings.flush_every
        self._clock_ms = clock_ms
        self._sources: list[Source] = []
        self._ended: deque[Source] = deque(maxlen=settings.ended_sources_max)
        self._turn = asyncio.Lock()
        self._recover = asyncio.Event()
        self._life: asyncio.Task[None] | None = None
        self._ending = False

    async def __aenter__(self) -> Self:
        """Begin with a recovery, so that the engine believes what follows."""
        await self._bus.listen(self._control, self._asked)
        self._bus.on_return(self._recover.set)
        await self.recover()
        self._life = asyncio.create_task(self._live(), name=f"session {self._subject}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Fall silent: 20 s later the engine closes what this producer prices."""
        assert self._life is not None
        self._ending = True
        self._life.cancel()
        await asyncio.gather(self._life, return_exceptions=True)
        await self._bus.flush()

    def add(self, source: Source) -> None:
        """From now on a recovery tells this source's image too."""
        self._sources.append(source)

    def end(self, source: Source) -> None:
        """A source that has no more to say: it stays in recoveries for a while, for the sake of its results."""
        self._sources.remove(source)
        self._ended.append(source)

    async def publish(self, messages: Iterable[FeedMessage]) -> None:
        """Number and send; returns when the server keeps up. Raises what ended the session, if anything did."""
        if self._life is not None and self._life.done():
            self._life.result()
        async with self._turn:
            await self._send(messages)

    async def recover(self) -> None:
        """Tell everything anew, with nothing else between."""
        async with self._turn:
            self._recover.clear()
            self.recoveries += 1
            header = (self.provider, self.producer, 0, self._clock_ms())
            await self._send([RecoveryBegin(*header)])
            # Whole before the first await: a source may go on meanwhile, and what it has to say then comes after.
            images = [message for source in (*self._ended, *self._sources) for message in source.image()]
            await self._send([*images, RecoveryEnd(*header)])

    async def _send(self, messages: Iterable[FeedMessage]) -> None:
        publish, subject = self._bus.publish, self._subject
        for message in messages:
            self.sequence = sequence = self.sequence + 1
            numbered = replace(message, provider=self.provider, producer=self.producer, sequence=sequence)
            if not await publish(subject, _encode(numbered)):
                self.dropped += 1
            if not sequence % self._flush_every:
                # Not faster than the server takes it; an engine that is slower yet says so by asking for a recovery.
                await self._bus.flush()

    async def _live(self) -> None:
        """Be heard, and recover when asked; one task, so that the two never cross.

        That it is cancelled is not enough for it to end: asyncio.wait_for, of which nats-py makes use, loses that where
        what it waits for comes at the same moment (Python 3.11).
        """
        while not self._ending:
            try:
                async with asyncio.timeout(self._heartbeat_s):
                    await self._recover.wait()
            except TimeoutError:
                await self.publish([Heartbeat(self.provider, self.producer, 0, self._clock_ms())])
            else:
                _log.info("recovering", subject=self._subject)
                await self.recover()

    def _asked(self, payload: bytes) -> None:
        decoder = msgspec.json if payload[:1] == b"{" else msgspec.msgpack
        try:
            request = decoder.decode(payload, type=RecoverRequest)
        except msgspec.DecodeError as error:
            _log.warning("a request that cannot be read", subject=self._control, error=str(error))
            return
        if (request.provider, request.producer) == (self.provider, self.producer):
            self._recover.set()
