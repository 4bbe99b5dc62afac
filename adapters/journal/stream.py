"""The journal's stream in JetStream, and the port through which the writer appends to it.

The port is small so that the writer can be tried against a JetStream that fails on command (tests/adapters).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.transport import TcpTransport
from nats.js import JetStreamContext, api
from nats.js.errors import NotFoundError

from adapters.bus import BusError
from adapters.engine.lane import Lane
from config.settings import Journal as JournalSettings

log = structlog.get_logger(__name__)
AWAY: Final = (nats.errors.Error, OSError, TimeoutError)
"""What a question to JetStream raises when nothing can be said about the answer. APIError is among them."""


async def create(js: JetStreamContext, settings: JournalSettings) -> None:
    """Make the stream, or bring an existing one to these settings."""
    config = api.StreamConfig(
        name=settings.stream,
        subjects=[f"journal.{settings.partition}"],
        storage=api.StorageType.FILE,
        num_replicas=settings.replicas,
        max_bytes=settings.bytes_max,
        max_age=0,
        # Full means refused: the journal loses nothing to make room.
        discard=api.DiscardPolicy.NEW,
        # One message cannot be taken out. The front may be cut off once a snapshot and Postgres have it, so purging
        # cannot be denied; who may purge is the server's business (config/nats/tictac.conf: engine and operator).
        deny_delete=True,
        deny_purge=False,
        # Message ids are there for the fence (writer.py). The server's memory of them, against duplicates,
        # has nothing to do: the expected sequence already lets nothing in twice. It cannot be off; so, short.
        duplicate_window=1,
        allow_direct=True,
    )
    try:
        await js.update_stream(config)
    except NotFoundError:
        await js.add_stream(config)


async def shorten(js: JetStreamContext, stream: str, keep_after_sequence: int) -> int:
    """Drop the messages up to and with a sequence; the last one always stays. Returns the first sequence left.

    Call it with the least of: the oldest snapshot that is kept, Postgres' position, the safety window's begin.
    """
    before = (await js.stream_info(stream)).state
    first = min(keep_after_sequence + 1, before.last_seq)
    if first <= before.first_seq:
        return before.first_seq
    await js.purge_stream(stream, seq=first)
    log.info("journal shortened", stream=stream, first=first, dropped=first - before.first_seq)
    return first


class Port(Protocol):
    """What the writer needs of JetStream."""

    @property
    def connection(self) -> int:
        """A number for each connection; 0 without one. A reply comes on the connection of its append or never."""

    @property
    def payload_max(self) -> int:
        """Bytes of one message."""

    def send(self, token: str, payload: bytes, expected: int, message_id: str, after_id: str) -> None:
        """Append if the last sequence is `expected`, and the last message's id `after_id` where one is given.

        The reply goes to the listener, with the token. Nothing is kept for later: without a connection nothing is sent.
        """

    async def last(self) -> int:
        """The last sequence, by the word of the stream's leader. Raises one of AWAY."""

    async def get(self, sequence: int) -> bytes | None:
        """A message's payload, None where there is none, by the word of the stream's leader. Raises one of AWAY."""


Listener = Callable[[str, bytes], None]
"""Takes the token of an append and JetStream's reply; an empty one means that nobody took the append."""


class StreamPort:
    """The port to a real stream, over a connection of its own: appends and replies wait behind no other traffic.

    A write goes to the socket at once: nats-py's way through a task and a queue takes two more turns of the loop, and
    under load each may be a millisecond (adapters/engine/lane.py says the same of the other direction).
    """

    def __init__(self, client: Client, lane: Lane, settings: JournalSettings) -> None:
        """See `open`."""
        self._client = client
        self._lane = lane
        self._js = client.jetstream(timeout=settings.append_timeout_ms / 1000)
        self._stream = settings.stream
        self._subject = f"journal.{settings.partition}"
        self._inbox = client.new_inbox()

    @classmethod
    async def open(
        cls, client: Client, settings: JournalSettings, listener: Listener, on_error: Callable[[BaseException], None]
    ) -> StreamPort:
        """`client` is for this port alone. `on_error` is told, once, what the listener raised."""
        if not isinstance(client._transport, TcpTransport):  # noqa: SLF001  # see the class
            raise BusError("the journal needs a nats:// or tls:// connection")
        lane = Lane(client, on_error, pending_bytes_max=0)
        port = cls(client, lane, settings)
        await lane.subscribe(f"{port._inbox}.*", lambda subject, _, reply: listener(subject.rpartition(".")[2], reply))
        await client.flush()  # an append is written at once, and must not overtake the subscription to its reply
        return port

    @property
    def connection(self) -> int:
        return 1 + int(self._client.stats["reconnects"]) if self._client.is_connected else 0

    @property
    def payload_max(self) -> int:
        return self._client.max_payload

    def send(self, token: str, payload: bytes, expected: int, message_id: str, after_id: str) -> None:
        head = (
            f"NATS/1.0\r\nNats-Expected-Stream: {self._stream}\r\nNats-Expected-Last-Sequence: {expected}\r\n"
            f"Nats-Msg-Id: {message_id}\r\n"
        )
        if after_id:
            head += f"Nats-Expected-Last-Msg-Id: {after_id}\r\n"
        head += "\r\n"
        line = f"HPUB {self._subject} {self._inbox}.{token} {len(head)} {len(head) + len(payload)}\r\n"
        transport = self._client._transport  # noqa: SLF001  # see the class
        if self._client.is_connected and transport is not None:
            transport.write(b"".join((line.encode(), head.encode(), payload, b"\r\n")))

    async def last(self) -> int:
        return (await self._js.stream_info(self._stream)).state.last_seq

    async def get(self, sequence: int) -> bytes | None:
        # Not "direct": that may be answered by a replica that is behind.
        try:
            message = await self._js.get_msg(self._stream, sequence)
        except NotFoundError:
            return None
        return message.data or b""
