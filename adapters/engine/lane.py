"""The short way in and out of a NATS connection: many small messages, handled synchronously, answered in one write.

nats-py spends 6.4 us on a message and its reply (regular expressions, a queue and a task per subscription, a flush
per publish); this way takes 1.3 us (bench/lane.py), where a durable bet takes some 10 us in all. Everything private
of nats-py that the project uses is in this file; tests/adapters/engine/test_lane.py fails when it changes.

What it is not: a client of its own. Connecting, logging in, reconnecting, re-subscribing, pings, JetStream and every
message that is not for a lane's subscription stay with nats-py. There is no queue between socket and handler, so
nothing is ever dropped as "slow consumer" on this side: the handler answers BUSY, and what it cannot take waits in TCP
and the server.

Nobody can stop the reading by what he sends: headers are not looked at, nor need subjects be text. nats-py would read
no more after either that is not UTF-8, and be deaf until the server's pings are missed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, cast

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.protocol.parser import AWAITING_CONTROL_LINE, Parser

from adapters.metrics import seldom

log = structlog.get_logger(__name__)
Handler = Callable[[str, str, bytes], None]
"""Takes subject, reply subject (may be empty) and payload. What it raises ends the service."""
_MESSAGE: Final = (b"MSG ", b"HMSG ")
_ASCII: Final = bytes(range(128)) + b"?" * 128
"""For a subject that is not UTF-8: it gets no longer, and becomes nobody's, since `?` is in no subject of ours."""


class Lane:
    """Puts itself between a connected client's socket and its parser."""

    def __init__(self, client: Client, on_error: Callable[[BaseException], None], pending_bytes_max: int) -> None:
        """`on_error` is called once, with what a handler raised; no message is handled after it.

        `pending_bytes_max` bounds what is kept for a server that is away.
        """
        self.lost = 0
        """Messages not sent: larger than the server takes, or above `pending_bytes_max` while it was away."""
        self._client = client
        self._subscriptions: list[Subscription] = []
        self._pending_bytes_max = pending_bytes_max
        self._parser = _Parser(client, on_error)
        old: Parser = client._ps  # noqa: SLF001
        assert old.state == AWAITING_CONTROL_LINE, "install the lane on a connection at rest"
        self._parser.tail = bytes(old.buf)
        client._ps = self._parser  # noqa: SLF001

    @property
    def taken(self) -> int:
        """Messages that went the short way."""
        return self._parser.taken

    async def subscribe(self, subject: str, handler: Handler) -> Subscription:
        """Call `handler` with each message of the subject from now on, in the loop's turn in which it is read."""
        # nats-py calls a future's set_result at once with each message it parsed itself: before the next lines.
        sink = cast("asyncio.Future[Msg]", _Sink(self._parser, handler))
        subscription = await self._client.subscribe(subject, future=sink)
        self._parser.handlers[str(subscription._id)] = handler  # noqa: SLF001
        self._subscriptions.append(subscription)
        return subscription

    async def unsubscribe(self) -> None:
        """Take nothing new; returns when what the server had sent until then has been handled."""
        while self._subscriptions:
            await self._subscriptions.pop().unsubscribe()
        await self.flush()

    async def flush(self) -> None:
        """Wait until the server has taken everything so far, subscriptions too.

        Twice: nats-py writes the first PING ahead of what it still has to write.
        """
        await self._client.flush()
        await self._client.flush()

    def publish(self, messages: Iterable[tuple[str, bytes]]) -> None:
        """Send (subject, payload) pairs in one write. Subjects must be valid: they are not looked at."""
        client = self._client
        count = len(messages := list(messages))
        written = b"".join([b"PUB %b %d\r\n%b\r\n" % (to.encode(), len(payload), payload) for to, payload in messages])
        if len(written) > client.max_payload and any(len(payload) > client.max_payload for _, payload in messages):
            # The server would cut the connection off.
            fitting = [message for message in messages if len(message[1]) <= client.max_payload]
            self._lose(count - len(fitting), "larger than the server takes")
            self.publish(fitting)
            return
        if client.pending_data_size + len(written) > self._pending_bytes_max and not client.is_connected:
            self._lose(count, "the server is away, and the buffer full")
            return
        client._pending.append(written)  # noqa: SLF001
        client._pending_data_size += len(written)  # noqa: SLF001
        flushes = client._flush_queue  # noqa: SLF001
        if client.is_connected and flushes is not None and flushes.empty():
            flushes.put_nowait(asyncio.get_running_loop().create_future())

    def _lose(self, count: int, why: str) -> None:
        if seldom(self.lost, self.lost + count):
            log.error("messages not sent", why=why, count=self.lost + count)
        self.lost += count

    def stop(self) -> None:
        """Handle no further message, whatever is in the buffers."""
        self._parser.stopped = True


class _Parser(Parser):
    """Cuts the bytes into whole protocol messages; handles ours, and gives nats-py's parser the others one by one."""

    def __init__(self, client: Client, on_error: Callable[[BaseException], None]) -> None:
        self._connections = 0
        self.tail = b""
        super().__init__(client)
        self.handlers: dict[str, Handler] = {}
        self.taken = 0
        self.stopped = False
        self._on_error = on_error

    def reset(self) -> None:
        """The connection is gone, and with it the rest of its bytes."""
        super().reset()
        self.tail = b""
        self._connections += 1

    async def parse(self, data: bytes = b"") -> None:
        data, at, connection = self.tail + data, 0, self._connections
        self.tail = b""
        while (at := self._handle_ours(data, at)) < len(data) and (end := _end(data, at)) > 0:
            await cast("Awaitable[None]", super().parse(data[at:end]))
            if connection != self._connections:
                return
            at = end
        self.tail = data[at:]

    def _handle_ours(self, data: bytes, at: int) -> int:
        """Handle the messages at the front that are for a lane's subscription; returns where another one begins."""
        handlers, size = self.handlers, len(data)
        while data.startswith(_MESSAGE, at):
            line_end = data.find(b"\r\n", at)
            if line_end < 0:
                break
            try:
                line = data[at:line_end].decode()
            except UnicodeDecodeError:
                line = data[at:line_end].translate(_ASCII).decode()
            words = line.split(" ")  # MSG, subject, subscription, [reply,] size; HMSG with the headers' size before it
            handler = handlers.get(words[2])
            if handler is None:
                break
            begin = line_end + 2
            end = begin + int(words[-1])
            if end + 2 > size:
                break
            at = end + 2
            self.taken += 1
            if words[0] == "HMSG":
                begin += int(words.pop(-2))
            self.call(handler, words[1], words[3] if len(words) == 5 else "", data[begin:end])
        return at

    def call(self, handler: Handler, subject: str, reply: str, payload: bytes) -> None:
        if self.stopped:
            return
        try:
            handler(subject, reply, payload)
        except BaseException as error:  # noqa: BLE001  # nats-py would log it and stop reading: the owner must know
            self.stopped = True
            self._on_error(error)


class _Sink:
    """As much of a Future as a subscription of nats-py calls."""

    def __init__(self, parser: _Parser, handler: Handler) -> None:
        self._parser = parser
        self._handler = handler

    def cancelled(self) -> bool:
        return False

    def set_result(self, message: Any) -> None:
        self._parser.call(self._handler, message.subject, message.reply, message.data)


def _end(data: bytes, at: int) -> int:
    """Where the protocol message that begins at `at` ends; -1: not all of it is here yet."""
    line_end = data.find(b"\r\n", at)
    if line_end < 0:
        return -1
    end = line_end + 2
    if data.startswith(_MESSAGE, at):
        end += int(data[at:line_end].rpartition(b" ")[2]) + 2
    return end if end <= len(data) else -1
