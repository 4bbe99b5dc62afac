"""Reading the journal: in order, complete, checked, over any number of reconnections.

A pull consumer, made for each reader, kept in the server's memory and forgotten by it after a minute: it both reads
what is there in bulk and waits for what comes. What is lost with a connection or a server, the consumer included, is
made anew behind the last message that was yielded.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Final, NamedTuple, Self

import msgspec
import structlog
from msgspec import Raw, Struct
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import ConnectionClosedError
from nats.js import JetStreamContext, api
from nats.js.errors import NotFoundError

from adapters.journal.stream import AWAY
from core.messages.events import BATCH_FORMAT, Batch

log = structlog.get_logger(__name__)
_PAGE_MESSAGES: Final = 500
"""Asked for at a time; at most two pages are in memory."""
_PAGE_BYTES: Final = 8_388_608
"""The same in bytes: some fifty full batches, and more than the largest message."""
_PAGE_S: Final = 5.0
"""How long the server waits for a page to fill while there is nothing new; then it is asked again."""
_LOOK_S: Final = 0.2
"""How often a waiting reader looks whether its connection is still the one on which it asked."""
_FORGET_S: Final = 60.0
"""After that the server drops the consumer of a reader that is gone."""
_GONE: Final = ("consumer", "server", "leadership")
"""How a 409 begins after which the consumer will not answer any more; the others only end a page."""


class JournalError(Exception):
    """The journal is not what it must be; the text says where."""


class JournalShortenedError(JournalError):
    """What is wanted was dropped from the front: a snapshot has it."""

    def __init__(self, stream: str, wanted: int, first: int) -> None:
        """Message `wanted` is asked for; `first` is the first that is left."""
        super().__init__(f"{stream} begins with message {first}; {wanted} is wanted, which is in a snapshot only")
        self.wanted = wanted
        self.first = first


class Stored(NamedTuple):
    """A batch as it stands in the journal."""

    sequence: int
    batch: Batch
    size: int
    data: bytes
    """The batch as it is stored: what is hashed."""


class _Head(Struct, array_like=True):
    format: int
    first: int
    events: Raw


class _LostError(Exception):
    """The consumer does not answer any more."""


_decode = msgspec.msgpack.Decoder(Batch).decode
_decode_head = msgspec.msgpack.Decoder(_Head).decode


async def last_sequence(js: JetStreamContext, stream: str) -> int:
    """Of the last message ever stored; 0 for none."""
    return (await js.stream_info(stream)).state.last_seq


async def read(
    js: JetStreamContext, stream: str, after: int, *, until: int | None = None
) -> AsyncGenerator[Stored, None]:
    """All batches behind sequence `after`, up to and with `until` (None: the last one at the moment of the call).

    Raises JournalShortenedError, or JournalError for what cannot be read or does not fit together.
    """
    last = await last_sequence(js, stream)
    until = last if until is None else until
    if max(after, until) > last:
        raise JournalError(f"{stream} ends with message {last}; {max(after, until)} is wanted")
    if after >= until:
        return
    async with aclosing(follow(js, stream, after)) as batches:
        async for stored in batches:
            yield stored
            if stored.sequence >= until:
                return


async def follow(js: JetStreamContext, stream: str, after: int) -> AsyncGenerator[Stored, None]:
    """The same without end: waits for new batches."""
    first = None
    async with aclosing(_messages(js, stream, after)) as messages:
        async for sequence, data in messages:
            batch = _batch(stream, sequence, data, first)
            first = batch.first + len(batch.events)
            yield Stored(sequence, batch, len(data), data)


class Source:
    """A journal to follow, as the projector wants it."""

    def __init__(self, js: JetStreamContext, stream: str) -> None:
        """`stream` exists."""
        self._js = js
        self._stream = stream

    def follow(self, after: int) -> AsyncGenerator[Stored, None]:
        """Batches behind a sequence, in order, without end."""
        return follow(self._js, self._stream, after)

    async def end(self) -> tuple[int, int]:
        """Sequence of the last batch, and number of its last event; zeros where there is none."""
        sequence = await last_sequence(self._js, self._stream)
        if not sequence:
            return 0, 0
        batch = _batch(self._stream, sequence, (await self._js.get_msg(self._stream, sequence)).data or b"", None)
        return sequence, batch.first + len(batch.events) - 1


def _batch(stream: str, sequence: int, data: bytes, first: int | None) -> Batch:
    """Decode and check: the format is known and the events are the next ones (`first`; None: any)."""
    where = f"message {sequence} of {stream}"
    try:
        batch = _decode(data)
    except msgspec.MsgspecError as error:
        with suppress(msgspec.MsgspecError):
            head = _decode_head(data)
            if head.format != BATCH_FORMAT:
                raise JournalError(f"{where} has format {head.format}, this release reads {BATCH_FORMAT}") from error
        raise JournalError(f"{where} is no batch that this release can read: {error}") from error
    if batch.format != BATCH_FORMAT:
        raise JournalError(f"{where} has format {batch.format}, this release reads {BATCH_FORMAT}")
    if first is not None and batch.first != first:
        raise JournalError(f"{where} begins with event {batch.first}, event {first} should come next")
    return batch


async def _messages(js: JetStreamContext, stream: str, after: int) -> AsyncGenerator[tuple[int, bytes], None]:
    opened = False
    while True:
        try:
            async with await _Consumer.open(js, stream, after + 1) as consumer:
                opened = True
                while True:
                    for sequence, data in await consumer.take():
                        if sequence != after + 1:
                            raise JournalError(f"{stream}: message {after + 1} is missing, {sequence} comes next")
                        after = sequence
                        yield sequence, data
        except (_LostError, *AWAY) as error:
            # At first a fault is told; later on a server that is away is waited for, as long as the client does.
            if not opened or isinstance(error, ConnectionClosedError | NotFoundError):
                raise
            log.info("reading the journal anew", stream=stream, after=after, reason=str(error) or repr(error))
            await asyncio.sleep(_LOOK_S)


class _Consumer:
    """One consumer on one connection."""

    def __init__(self, client: Client, stream: str, name: str) -> None:
        self._client = client
        self._stream = stream
        self._name = name
        self._inbox = client.new_inbox()
        self._connection = client.stats["reconnects"]
        self._subscription: Subscription | None = None
        self._arrived: list[tuple[int, bytes]] = []
        self._missing = 0
        """Messages asked for and not here yet; 0: the page is over."""
        self._lost = ""
        self._heard = asyncio.Event()
        self._due = 0.0

    @classmethod
    async def open(cls, js: JetStreamContext, stream: str, first: int) -> Self:
        state = (await js.stream_info(stream)).state
        if state.first_seq > first:
            raise JournalShortenedError(stream, first, state.first_seq)
        name = f"reader-{secrets.token_hex(8)}"
        config = api.ConsumerConfig(
            name=name,
            deliver_policy=api.DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=first,
            ack_policy=api.AckPolicy.NONE,
            inactive_threshold=_FORGET_S,
            num_replicas=1,
            mem_storage=True,
        )
        consumer = cls(js._nc, stream, name)  # noqa: SLF001  # the context does not give its client out
        await js.add_consumer(stream, config)
        consumer._subscription = await consumer._client.subscribe(consumer._inbox, cb=consumer._hear)
        return consumer

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        with suppress(*AWAY):
            if self._subscription is not None:
                await self._subscription.unsubscribe()
            await self._client.publish(f"$JS.API.CONSUMER.DELETE.{self._stream}.{self._name}")

    async def take(self) -> list[tuple[int, bytes]]:
        """What has arrived since; waits for at least one message. The next page is on its way meanwhile."""
        while not self._arrived:
            if self._client.is_closed:
                raise ConnectionClosedError
            if self._lost or self._connection != self._client.stats["reconnects"]:
                raise _LostError(self._lost or "connected again")
            if not self._missing:
                await self._ask()
            elif asyncio.get_running_loop().time() > self._due:
                raise _LostError("no answer")
            self._heard.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self._heard.wait()
        if not self._missing:
            await self._ask()
        arrived, self._arrived = self._arrived, []
        return arrived

    async def _ask(self) -> None:
        page = {"batch": _PAGE_MESSAGES, "max_bytes": _PAGE_BYTES, "expires": int(_PAGE_S * 1e9)}
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._name}"
        self._missing = _PAGE_MESSAGES
        self._due = asyncio.get_running_loop().time() + 2 * _PAGE_S
        await self._client.publish(subject, json.dumps(page).encode(), reply=self._inbox)

    async def _hear(self, message: Msg) -> None:
        self._heard.set()
        if message.reply.startswith("$JS.ACK."):
            self._missing -= 1
            self._arrived.append((_sequence(message.reply), message.data))
            return
        headers = message.headers or {}
        status, reason = headers.get("Status", ""), headers.get("Description", "")
        if status == "503" or (status == "409" and reason.lower().startswith(_GONE)):
            self._lost = f"{status} {reason}"
        elif status != "100":
            self._missing = 0


def _sequence(reply: str) -> int:
    """The stream's sequence in `$JS.ACK.<stream>.<consumer>.<delivered>.<sequence>...`, or the form with a domain."""
    tokens = reply.split(".")
    return int(tokens[5] if len(tokens) == 9 else tokens[7])
