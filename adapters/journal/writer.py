"""The journal's writer: group commit, one writer, and no answer before its events are stored (DESIGN promises 1 and 2).

The open batch is two plain lists that the owner appends to; `flush()` at the end of a turn sends it as one JetStream
message. Its answers are delivered when JetStream has acknowledged it; what came together meanwhile goes out next.

**One writer.** Each append expects the sequence that the last one of ours got. A second one sent before the first is
acknowledged expects that the first *of ours* lies before it, by its message id too: the sequence alone would let it in
behind a stranger's append that took the first one's place. On a replicated stream there is no second one: there
nats-server 2.15 takes a wrong message id, found when the message is applied, for a fault of the disk and gives up the
whole stream.

**Outcomes.** Only an acknowledgement of the expected sequence is taken at its word. At anything else (no answer in
time, a lost connection, a refusal, a full disk) the writer sends nothing new and settles what is under way one by one,
in order, by what the stream says: ours is there, byte for byte: stored; nothing is there: the very same bytes again,
with the same expectation, so that a copy that is still on its way can be stored instead but never besides; something
else is there: fenced. What cannot be settled in its time ends the writer; nothing of it was answered, so a restart is
safe.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final, NamedTuple, Self

import msgspec
import structlog
from msgspec import Struct
from nats.aio.client import Client

from adapters.journal.stream import AWAY, Port, StreamPort
from adapters.metrics import Latency
from config.settings import Journal as JournalSettings
from config.settings import Settings
from core.messages.events import BATCH_FORMAT, Batch, Event

log = structlog.get_logger(__name__)
Outbox = list[tuple[str, bytes]]
"""(subject, payload): what may leave once all events joined so far are stored."""
_WATCH_S: Final = 0.05
"""How often the writer looks whether an answer is overdue: a part of `append_timeout_ms` that costs nothing."""
_REFUSED: Final = (10070, 10071, 10164)
"""JetStream's codes for a wrong last message id and a wrong last sequence."""
_encode = msgspec.msgpack.Encoder().encode


class _Error(Struct):
    description: str = ""
    err_code: int = 0


class _Reply(Struct):
    """JetStream's word on an append."""

    seq: int = 0
    error: _Error | None = None


_decode_reply = msgspec.json.Decoder(_Reply).decode
_NOBODY: Final = _Reply(error=_Error("nobody takes appends: JetStream is off or the stream is missing"))


class Stop(StrEnum):
    """Why a writer has stopped."""

    FENCED = "fenced"
    """Another engine has taken over."""
    FAILED = "failed"
    """An append could not be settled in its time, or a bug of ours."""
    CLOSED = "closed"
    """By its owner."""


class Stopped(NamedTuple):
    """How it ended."""

    why: Stop
    detail: str


class JournalStoppedError(Exception):
    """What was to be stored will not be: the writer has stopped."""


class _GivenUpError(Exception):
    """An append cannot be settled."""

    def __init__(self, why: Stop, detail: str) -> None:
        super().__init__(detail)
        self.why = why


class _Append(Struct, eq=False):
    """One message of the journal, from encoding to its storage."""

    payload: bytes
    events: int
    message_id: str
    outbox: Outbox = msgspec.field(default_factory=list)
    expected: int = -1
    """The last sequence before it."""
    sent: float = 0.0
    connection: int = 0
    reply: asyncio.Future[_Reply] | None = None
    """For whom waits for it while what is under way is settled."""


class Metrics:
    """Counts since the start."""

    def __init__(self) -> None:
        self.batches = 0
        """Appends that are stored."""
        self.events = 0
        self.bytes = 0
        self.settled = 0
        """How often outcomes were unknown, or no, and had to be read from the stream."""
        self.latency = Latency()
        """From sending an append until it is known to be stored."""


class Journal:
    """The writer. Read `events` and `outbox` anew each time: sending replaces the lists."""

    def __init__(
        self,
        port: Port,
        settings: JournalSettings,
        deliver: Callable[[Outbox], None],
        *,
        sequence: int,
        event_no: int,
    ) -> None:
        """Goes on behind the journal's message `sequence`, whose last event is `event_no` (0, 0: an empty journal).

        `deliver` gets the outbox of each batch that is stored, in order.
        """
        loop = asyncio.get_running_loop()
        self.events: list[Event] = []
        self.outbox: Outbox = []
        self.metrics = Metrics()
        self.stopped: asyncio.Future[Stopped] = loop.create_future()
        """Resolves when the writer has stopped, by itself or by `close`; nothing is delivered after that."""
        self.sequence = sequence
        """Of the last message that is stored."""
        self._port = port
        self._settings = settings
        self._deliver = deliver
        self._event_no = event_no
        self._in_flight_max = settings.appends_in_flight_max if settings.replicas == 1 else 1
        self._sealed: deque[_Append] = deque()
        """Encoded and not yet sent: what a large open batch was split into."""
        self._in_flight: deque[_Append] = deque()
        self._undelivered = 0
        """Entries in the outboxes of both."""
        self._asked: dict[str, _Append] = {}
        """Appends whose replies are waited for, by token."""
        self._tokens = 0
        self._name = secrets.token_hex(8)
        self._settling: asyncio.Task[None] | None = None
        self._checking: asyncio.Task[None] | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._now = loop.time
        self._idle_since = self._now()
        self._watch = loop.call_later(_WATCH_S, self._on_watch)

    @classmethod
    async def open(
        cls, client: Client, settings: Settings, deliver: Callable[[Outbox], None], *, sequence: int, event_no: int
    ) -> Self:
        """On a stream that exists, over a client that is for this writer alone (adapters/bus.py, role engine)."""
        journal: Self

        def listen(token: str, reply: bytes) -> None:
            journal.answered(token, reply)

        def fail(error: BaseException) -> None:
            journal.fail(error)

        port = await StreamPort.open(client, settings.journal, listen, fail)
        journal = cls(port, settings.journal, deliver, sequence=sequence, event_no=event_no)
        return journal

    @property
    def blocked(self) -> bool:
        """It cannot store for now, or ever: commands are to be answered BUSY, undecided."""
        return self._settling is not None or self.stopped.done()

    @property
    def waiting(self) -> int:
        """Entries of outboxes that are not delivered yet."""
        return len(self.outbox) + self._undelivered

    @property
    def in_flight(self) -> int:
        """Appends under way."""
        return len(self._in_flight)

    def flush(self) -> None:
        """At the end of each turn: send the open batch, if fewer than `appends_in_flight_max` are under way. Cheap."""
        if self.stopped.done():
            return
        if self.events:
            self._send()
        elif self.outbox:
            self._release()

    async def settled(self) -> None:
        """Wait until everything joined so far is stored and delivered. Raises JournalStoppedError."""
        self.flush()
        idle: asyncio.Future[Any] = asyncio.ensure_future(self._idle.wait())
        try:
            await asyncio.wait([idle, self.stopped], return_when=asyncio.FIRST_COMPLETED)
        finally:
            idle.cancel()
        if self.stopped.done():
            raise JournalStoppedError(self.stopped.result().detail)

    def close(self) -> None:
        """Stop, whatever is under way: first wait for `settled()` where that matters."""
        self._stop(Stop.CLOSED, "closed")

    def fail(self, error: BaseException) -> None:
        """A bug of ours, or the end of the loop, wherever: nothing more is stored or delivered."""
        self._stop(Stop.FAILED, repr(error))

    # The way of a batch.

    def _send(self) -> None:
        """Fill the free places under way."""
        if self._settling is not None:
            return
        free = self._in_flight_max - len(self._in_flight)
        if free > 0 and self.events and not self._sealed:
            self._seal()
        for append in [self._sealed.popleft() for _ in range(min(free, len(self._sealed)))]:
            after_id = self._in_flight[-1].message_id if self._in_flight else ""
            append.expected = self.sequence + len(self._in_flight)
            self._in_flight.append(append)
            self._post(append, after_id)

    def _seal(self) -> None:
        """Encode the open batch. Its answers stand on all of it: they leave with the last message it is split into."""
        events, self.events = self.events, []
        outbox, self.outbox = self.outbox, []
        self._idle.clear()
        most = self._settings.batch_events_max
        for start in range(0, len(events), most):
            self._encode(events[start : start + most])
        self._sealed[-1].outbox = outbox
        self._undelivered += len(outbox)

    def _encode(self, events: list[Event]) -> None:
        payload = _encode(Batch(BATCH_FORMAT, self._event_no + 1, events))
        if len(payload) > self._settings.batch_bytes_max and len(events) > 1:
            half = len(events) // 2
            self._encode(events[:half])
            self._encode(events[half:])
            return
        assert len(payload) <= self._port.payload_max, f"an event of {len(payload)} bytes: {events[0]!r:.200}"
        self._event_no += len(events)
        self._sealed.append(_Append(payload, len(events), f"{self._name}.{self._event_no}"))

    def _post(self, append: _Append, after_id: str = "") -> None:
        self._tokens += 1
        token = str(self._tokens)
        self._asked[token] = append
        append.sent, append.connection = self._now(), self._port.connection
        self._port.send(token, append.payload, append.expected, append.message_id, after_id)

    def answered(self, token: str, reply: bytes) -> None:
        """JetStream's reply to an append."""
        append = self._asked.pop(token, None)
        if append is None or self.stopped.done():
            return  # too late: what became of the append has been read from the stream
        word = _decode_reply(reply) if reply else _NOBODY
        if append.reply is not None:
            if not append.reply.done():
                append.reply.set_result(word)
        elif word.error is None and append is self._in_flight[0] and word.seq == append.expected + 1:
            self._stored(append)
        else:
            self._settle(f"an append is answered with {word.error.description if word.error else word.seq}")

    def _stored(self, append: _Append) -> None:
        """The head is stored: the next goes out first, so that the disk works while we deliver."""
        self._in_flight.popleft()
        self.sequence += 1
        metrics = self.metrics
        metrics.batches += 1
        metrics.events += append.events
        metrics.bytes += len(append.payload)
        metrics.latency.add((self._now() - append.sent) * 1000, 1)
        if self.events or self._sealed:
            self._send()
        self._undelivered -= len(append.outbox)
        if append.outbox:
            self._deliver(append.outbox)
        if self.outbox and not self.events:
            self._release()
        if not (self._in_flight or self._sealed or self.events):
            self._idle_since = self._now()
            self._idle.set()

    def _release(self) -> None:
        """An outbox without events waits for what came before it, if anything is under way."""
        outbox, self.outbox = self.outbox, []
        under_way = self._sealed or self._in_flight
        if under_way:
            under_way[-1].outbox += outbox
            self._undelivered += len(outbox)
        else:
            self._deliver(outbox)

    def _stop(self, why: Stop, detail: str) -> None:
        self._watch.cancel()
        if self.stopped.done():
            return
        self.stopped.set_result(Stopped(why, detail))
        self._asked.clear()
        for task in (self._settling, self._checking):
            if task is not None and task is not asyncio.current_task():
                task.cancel()
        if why is not Stop.CLOSED:
            log.error("journal stopped", why=why.value, detail=detail, sequence=self.sequence)

    # When something is not as it should be.

    def _on_watch(self) -> None:
        self._watch = asyncio.get_running_loop().call_later(_WATCH_S, self._on_watch)
        now = self._now()
        if self._settling is not None:
            return
        if self._in_flight:
            head = self._in_flight[0]
            if head.connection != self._port.connection:
                self._settle("the connection was lost")
            elif now - head.sent > self._settings.append_timeout_ms / 1000:
                self._settle("an append is not answered in time")
        elif self._checking is None and now - self._idle_since > self._settings.fence_check_ms / 1000:
            self._checking = asyncio.get_running_loop().create_task(self._check_fence())

    async def _check_fence(self) -> None:
        """An idle engine would learn late that it has been replaced, and answer queries from an old state meanwhile."""
        try:
            last = await self._port.last()
            if last > self.sequence + len(self._in_flight):
                self._stop(Stop.FENCED, f"the journal is at {last}, this writer at {self.sequence}")
        except AWAY:
            pass
        finally:
            self._checking = None
            self._idle_since = self._now()

    def _settle(self, reason: str) -> None:
        log.warning("journal: an outcome is not known", reason=reason, sequence=self.sequence, under_way=self.in_flight)
        self.metrics.settled += 1
        self._asked.clear()
        self._settling = asyncio.get_running_loop().create_task(self._settle_all())

    async def _settle_all(self) -> None:
        """One by one, in order; then go on."""
        try:
            while self._settling is not None:
                head = self._in_flight[0]
                await self._settle_one(head)
                if len(self._in_flight) == 1:
                    self._settling = None
                self._stored(head)
        except _GivenUpError as error:
            self._stop(error.why, str(error))
        except Exception as error:  # noqa: BLE001  # our bug; the owner must know
            self.fail(error)

    async def _settle_one(self, append: _Append) -> None:
        """Until it is stored. Raises _GivenUpError."""
        began = self._now()
        patience_ms, said = self._settings.append_retry_max_ms, "no answer"
        while True:
            try:
                if await self._is_stored(append):
                    return
                word = await self._ask(append)
                if word.error is None and word.seq == append.expected + 1:
                    return
                if word.error is not None:
                    said = word.error.description
                    if word.error.err_code not in _REFUSED:
                        patience_ms = self._settings.blocked_max_ms
            except AWAY as error:
                said = str(error) or repr(error)
            if (self._now() - began) * 1000 > patience_ms:
                raise _GivenUpError(Stop.FAILED, f"append {append.expected + 1} could not be stored: {said}")
            await asyncio.sleep(self._settings.retry_wait_ms / 1000)

    async def _is_stored(self, append: _Append) -> bool:
        """What the stream says. Raises one of AWAY, or _GivenUpError where something else has its place."""
        if not self._port.connection:
            raise ConnectionError("no connection")
        last = await self._port.last()
        if last < append.expected:
            raise ConnectionError(f"the journal ends at {last}, and {append.expected} was stored")
        if last == append.expected:
            return False
        if await self._port.get(append.expected + 1) == append.payload:
            return True
        raise _GivenUpError(Stop.FENCED, f"message {append.expected + 1} of the journal is of another writer")

    async def _ask(self, append: _Append) -> _Reply:
        """Append again, the same bytes at the same place, alone. Raises TimeoutError."""
        append.reply = asyncio.get_running_loop().create_future()
        self._post(append)
        async with asyncio.timeout(self._settings.append_timeout_ms / 1000):
            return await append.reply
