"""The journal: events go to a JetStream stream, fenced and many at a time, before anything is said about them.

The writer. Events and answers of one or more turns join the open batch; as soon as fewer than `appends_in_flight_max`
are under way the batch goes to the stream as one message that carries the expected last sequence. Its answers leave on
the acknowledgement, in order. Three things can happen instead:

* the sequence is refused, and what stands there is not ours: another engine has taken over. We stop, and say nothing
  more (DESIGN promise 2);
* no answer, or a lost connection: the outcome is unknown. The stream is read: what stands at our sequence is ours,
  another's, or nothing yet. Ours was stored; nothing yet is sent again with the same expectation, which is safe however
  often, since the server takes a sequence once;
* a storage error: a definite no. The same batch is tried again for a while, and commands are answered BUSY meanwhile
  (`blocked`), undecided: what has been decided already waits, unseen.

The readers (`read`, `follow`) hand out batches in order, and check that no event is missing.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any, Final, NamedTuple

import msgspec
import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import NotFoundError

from config.settings import Journal as JournalSettings
from core.messages.events import BATCH_FORMAT, Batch, Event

log = structlog.get_logger(__name__)
Outbox = list[tuple[str, bytes]]
"""Subject and payload of what may leave once all events joined before it are stored."""

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Batch).decode
_EXPECTED: Final = "Nats-Expected-Last-Sequence"
_WRONG_SEQUENCE: Final = 10071
_RETRY_PAUSE_S: Final = 0.1
_FETCH_BATCHES: Final = 64
"""Batches asked for at a time when reading: 16 MB at the most."""
_FETCH_WAIT_S: Final = 1.0


class JournalError(Exception):
    """The journal cannot be read, or cannot be written any more; the text says why."""


class ShortenedError(JournalError):
    """What was asked for lies before the first message that the stream still has."""


class FencedError(JournalError):
    """Another engine writes the journal now."""


class Stored(NamedTuple):
    """A batch as it stands in the stream."""

    sequence: int
    batch: Batch
    size: int


async def ensure_stream(client: Client, settings: JournalSettings) -> int:
    """Create the stream where it is missing; returns its last sequence.

    Nothing in it ever expires: it is shortened only behind a snapshot. Full means refused appends (`discard` new).
    """
    stream = client.jetstream()
    try:
        info = await stream.stream_info(settings.stream)
    except NotFoundError:
        config = StreamConfig(
            name=settings.stream,
            subjects=["journal.>"],
            retention=RetentionPolicy.LIMITS,
            storage=StorageType.FILE,
            discard=DiscardPolicy.NEW,
            max_bytes=settings.bytes_max,
            num_replicas=settings.replicas,
            allow_direct=True,
        )
        info = await stream.add_stream(config)
    return info.state.last_seq


async def last_sequence(js: JetStreamContext, stream: str) -> int:
    """The sequence of the stream's newest message; 0 before the first."""
    info = await js.stream_info(stream)
    return info.state.last_seq


async def shorten(js: JetStreamContext, stream: str, keep_after: int) -> None:
    """Forget what lies up to and including sequence `keep_after`."""
    await js.purge_stream(stream, seq=keep_after + 1)


async def read(js: JetStreamContext, stream: str, after: int, *, until: int | None = None) -> AsyncIterator[Stored]:
    """The batches behind sequence `after`, up to and including `until` or what was last when asked.

    Raises ShortenedError, or JournalError for a format that is unknown or an event that is missing.
    """
    last = await last_sequence(js, stream) if until is None else until
    if after >= last:
        return
    async for stored in follow(js, stream, after):
        yield stored
        if stored.sequence >= last:
            return


async def follow(js: JetStreamContext, stream: str, after: int) -> AsyncIterator[Stored]:
    """The batches behind sequence `after`, and every later one as it comes; survives reconnects."""
    next_event: int | None = None
    while True:
        await _check_first(js, stream, after)
        try:
            async for stored in _fetch(js, stream, after):
                batch = stored.batch
                if batch.format != BATCH_FORMAT:
                    raise JournalError(f"{stream} {stored.sequence}: format {batch.format}, we know {BATCH_FORMAT}")
                if next_event is not None and batch.first != next_event:
                    raise JournalError(f"{stream} {stored.sequence}: event {batch.first} where {next_event} should be")
                next_event = batch.first + len(batch.events)
                after = stored.sequence
                yield stored
        except (NatsError, OSError) as error:
            log.warning("journal reader starts again", after=after, error=str(error) or type(error).__name__)
            await asyncio.sleep(_RETRY_PAUSE_S)


async def _check_first(js: JetStreamContext, stream: str, after: int) -> None:
    first = None
    while first is None:
        try:
            first = (await js.stream_info(stream)).state.first_seq
        except (NatsError, OSError):
            await asyncio.sleep(_RETRY_PAUSE_S)
    if after + 1 < first:
        raise ShortenedError(f"{stream} begins at {first}; what follows {after} is gone")


async def _fetch(js: JetStreamContext, stream: str, after: int) -> AsyncIterator[Stored]:
    """Through an ephemeral pull consumer: the reader sets the pace. Ends at the first gap in the sequence."""
    config = ConsumerConfig(
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=after + 1,
        ack_policy=AckPolicy.NONE,
        inactive_threshold=60.0,
        mem_storage=True,
    )
    subscription = await js.pull_subscribe("", stream=stream, config=config)
    try:
        while True:
            try:
                messages = await subscription.fetch(_FETCH_BATCHES, timeout=_FETCH_WAIT_S)
            except NatsTimeoutError:
                await subscription.consumer_info()  # raises where the consumer is gone with its server
                continue
            for message in messages:
                sequence = message.metadata.sequence.stream
                if sequence != after + 1:
                    return
                after = sequence
                yield Stored(sequence, _decode(message.data), len(message.data))
    finally:
        with contextlib.suppress(NatsError):
            await subscription.unsubscribe()


class _Append:
    """A batch on its way, and the sequence it expects to be last before it."""

    __slots__ = ("answer", "events", "expected", "outbox", "payload", "sent")

    def __init__(self, payload: bytes, events: int, outbox: Outbox, expected: int) -> None:
        self.payload = payload
        self.events = events
        self.outbox = outbox
        self.expected = expected
        self.sent = 0.0
        self.answer: asyncio.Task[int] | None = None


class Journal:
    """The writer. `deliver` gets the outboxes in order, each when everything before it is stored."""

    def __init__(
        self,
        client: Client,
        settings: JournalSettings,
        sequence: int,
        event_no: int,
        deliver: Callable[[Outbox], None],
    ) -> None:
        """Go on behind `sequence`, the last of the stream as it was rebuilt, whose last event is `event_no`."""
        self.events: list[Event] = []
        self.outbox: Outbox = []
        self.blocked = False
        """The stream takes nothing for now; what is decided waits, nothing more should be."""
        self.stopped: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        """Done, with the reason, when nothing more will be stored or delivered."""
        self.sequence = sequence
        """The last one known to be stored."""
        self.batches = self.events_stored = self.bytes_stored = 0
        self.ack_ms = 0.0
        """How long the last acknowledgement took."""
        self.ack_ms_max = 0.0
        self._client = client
        self._settings = settings
        self._subject = f"journal.{settings.partition}"
        self._deliver = deliver
        self._next_event = event_no + 1
        self._tail = sequence
        """The sequence that the last batch under way will have."""
        self._under_way: deque[_Append] = deque()
        self._waiting = 0
        self._driver: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()

    @property
    def waiting(self) -> int:
        """Entries of outboxes that are not delivered yet."""
        return self._waiting + len(self.outbox)

    @property
    def in_flight(self) -> int:
        """Batches under way."""
        return len(self._under_way)

    def flush(self) -> None:
        """Send the open batch, as far as the bound of batches under way allows. Cheap; call it at the end of a turn."""
        if self.stopped.done() or self.blocked:
            return
        while self.events and len(self._under_way) < self._settings.appends_in_flight_max:
            self._start(self._cut())
        if self.outbox and not self.events:
            outbox, self.outbox = self.outbox, []
            if self._under_way:
                self._under_way[-1].outbox.extend(outbox)
                self._waiting += len(outbox)
            else:
                self._deliver(outbox)

    async def settle(self) -> None:
        """Wait until everything joined so far is stored and delivered; returns early when the journal has stopped."""
        while (self.events or self.outbox or self._under_way) and not self.stopped.done():
            self.flush()
            if self._driver is not None:
                await asyncio.wait([self._driver])
            await asyncio.sleep(0)

    async def close(self) -> None:
        """Let go; what is under way may or may not be stored, and is not delivered."""
        self._stop(JournalError("closed"))
        if self._driver is not None:
            self._driver.cancel()
            await asyncio.gather(self._driver, return_exceptions=True)

    def _cut(self) -> _Append:
        """The next message: the open batch, or as much of it as one may hold; answers go with its last piece."""
        most = self._settings.batch_events_max
        events = self.events[:most]
        payload = _encode(Batch(BATCH_FORMAT, self._next_event, events))
        while len(payload) > self._settings.batch_bytes_max and len(events) > 1:
            most = max(1, len(events) // 2)
            events = events[:most]
            payload = _encode(Batch(BATCH_FORMAT, self._next_event, events))
        outbox: Outbox = []
        if len(events) == len(self.events):
            self.events.clear()
            outbox, self.outbox = self.outbox, outbox
        else:
            del self.events[: len(events)]
        self._next_event += len(events)
        return _Append(payload, len(events), outbox, self._tail)

    def _start(self, append: _Append) -> None:
        self._tail += 1
        self._waiting += len(append.outbox)
        self._under_way.append(append)
        self._send(append)
        if self._driver is None or self._driver.done():
            self._driver = asyncio.get_running_loop().create_task(self._drive(), name="journal")

    def _send(self, append: _Append) -> None:
        append.sent = time.perf_counter()
        append.answer = asyncio.get_running_loop().create_task(self._ask(append))

    async def _ask(self, append: _Append) -> int:
        """Publish one batch; the error code of the server's answer, 0 for stored. Raises where there is no answer."""
        message = await self._client.request(
            self._subject,
            append.payload,
            timeout=self._settings.append_timeout_ms / 1000,
            headers={_EXPECTED: str(append.expected)},
        )
        answer: dict[str, Any] = msgspec.json.decode(message.data)
        error = answer.get("error")
        if error is None:
            return 0
        log.warning("append refused", expected=append.expected, error=error)
        return int(error.get("err_code") or error.get("code") or -1)

    async def _drive(self) -> None:
        """Take the answers in order, until nothing is under way."""
        try:
            while self._under_way:
                if await self._answer(self._under_way[0]) != 0:
                    await self._resolve()
                    continue
                self._stored()
        except JournalError as error:
            self._stop(error)
        except BaseException as error:
            self._stop(error)
            raise

    async def _answer(self, append: _Append) -> int:
        """The server's answer to a batch; -1: unknown."""
        assert append.answer is not None
        try:
            return await append.answer
        except (NatsError, OSError, msgspec.DecodeError) as error:
            log.warning("append without an answer", expected=append.expected, error=str(error) or type(error).__name__)
            return -1

    def _stored(self) -> None:
        """The first batch under way stands in the stream: its answers leave, the next batch goes out."""
        append = self._under_way.popleft()
        self.sequence += 1
        assert self.sequence == append.expected + 1
        self.batches += 1
        self.events_stored += append.events
        self.bytes_stored += len(append.payload)
        self.ack_ms = (time.perf_counter() - append.sent) * 1000
        self.ack_ms_max = max(self.ack_ms_max, self.ack_ms)
        self._waiting -= len(append.outbox)
        if append.outbox:
            self._deliver(append.outbox)
        self.flush()

    async def _resolve(self) -> None:
        """Find out what became of the batches under way, and send again what is not in the stream.

        Raises FencedError, or JournalError when `append_retry_max_ms` is over.
        """
        deadline = time.monotonic() + self._settings.append_retry_max_ms / 1000
        waits = [append.answer for append in self._under_way if append.answer is not None]
        await asyncio.gather(*waits, return_exceptions=True)
        self.blocked = True
        try:
            while self._under_way:
                append = self._under_way[0]
                found = await self._found(append)
                if found is None:
                    self._send(append)
                    found = await self._answer(append) == 0 or None
                if found:
                    self._stored()
                elif time.monotonic() > deadline:
                    raise JournalError(f"what became of the append behind {append.expected} cannot be found out")
                else:
                    await asyncio.sleep(_RETRY_PAUSE_S)
        finally:
            self.blocked = False
        self.flush()

    async def _found(self, append: _Append) -> bool | None:
        """Whether the batch stands in the stream; None: nothing does at its place. Raises FencedError for another's."""
        js = self._client.jetstream(timeout=self._settings.append_timeout_ms / 1000)
        try:
            message = await js.get_msg(self._settings.stream, append.expected + 1)
        except NotFoundError:
            return None
        except (NatsError, OSError) as error:
            log.warning("journal cannot be read", error=str(error) or type(error).__name__)
            return False
        if message.data == append.payload:
            return True
        raise FencedError(f"another engine wrote message {append.expected + 1} of {self._settings.stream}")

    def _stop(self, reason: BaseException) -> None:
        if not self.stopped.done():
            self.stopped.set_result(reason)
