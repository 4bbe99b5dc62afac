"""Request and reply over NATS for locust's users: one raw socket that all users of a process share.

locust runs its users in gevent's greenlets. nats-py lives in an event loop of asyncio's, which would need a thread of
its own and a hand-over between threads in each direction of each request. As much of NATS' protocol as users need is a
few dozen lines (bench/wire.py does the same), and what they ask in the same moment leaves in one write.

What it is not: a client for anything else. No TLS, no headers, and nothing is kept for a server that is away: who asked
then has no answer by his deadline, which is what is to be measured, and asks again.
"""

from __future__ import annotations

import itertools
import logging
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import gevent
import msgspec
from gevent import socket
from gevent.event import AsyncResult, Event

from config.settings import Nats, Role

_CHUNK = 1 << 18
_INBOX, _NEWS = b"1", b"2"
"""The two subscriptions."""
_log = logging.getLogger(__name__)


class Reply(NamedTuple):
    """What came back, and how many seconds after the request had been handed over; None: nothing in time."""

    payload: bytes | None
    seconds: float


class Bus:
    """A connection in the gateway's role; when it is cut it comes back by itself."""

    def __init__(self, settings: Nats, subject: str, hear: Callable[[bytes], None]) -> None:
        """Connect, and call `hear` with each message on `subject`. Raises OSError, with the server's word."""
        self._settings = settings
        self._hear = hear
        inbox = f"{Role.GATEWAY.inbox_prefix}.{secrets.token_hex(8)}".encode()
        self._subscribe = b"SUB %b.* %b\r\nSUB %b %b\r\n" % (inbox, _INBOX, subject.encode(), _NEWS)
        self._inbox = inbox
        self._numbers = itertools.count()
        self._asked: dict[bytes, Any] = {}
        """By the subject of its answer, each request that has none yet."""
        self._unsent: list[bytes] = []
        self._to_send = Event()
        self._urls = itertools.cycle(settings.urls)
        self._socket = self._connect()
        gevent.spawn(self._read)
        gevent.spawn(self._write)

    def ask(self, subject: str, payload: bytes, deadline_s: float) -> Reply:
        """Send a request and wait for its answer; one that comes later is dropped."""
        inbox = b"%b.%d" % (self._inbox, next(self._numbers))
        answer = self._asked[inbox] = AsyncResult()
        sent_s = time.perf_counter()
        self._send(b"PUB %b %b %d\r\n%b\r\n" % (subject.encode(), inbox, len(payload), payload))
        try:
            received, received_s = answer.get(timeout=deadline_s)
        except gevent.Timeout:
            received, received_s = None, time.perf_counter()
        finally:
            del self._asked[inbox]
        return Reply(received, received_s - sent_s)

    def _send(self, frame: bytes) -> None:
        self._unsent.append(frame)
        self._to_send.set()

    def _write(self) -> None:
        """The only greenlet that writes: a user may be ended at any moment, and half a message would be the last."""
        while self._to_send.wait():
            self._to_send.clear()
            frames, self._unsent = self._unsent, []
            try:
                self._socket.sendall(b"".join(frames))
            except OSError:
                gevent.sleep(self._settings.reconnect_wait_ms / 1000)  # the reader has seen it too, and connects again

    def _read(self) -> None:
        tail = b""
        while True:
            try:
                data = self._socket.recv(_CHUNK)
                if not data:
                    raise ConnectionError("the server hung up")
                tail = self._take(tail + data)
            except OSError as error:
                _log.warning("NATS: %s", error)
                self._reconnect()
                tail = b""

    def _take(self, data: bytes) -> bytes:
        """Handle all whole messages; returns the rest."""
        now_s, at = time.perf_counter(), 0
        while (line_end := data.find(b"\r\n", at)) >= 0:
            words, begin = data[at:line_end].split(b" "), line_end + 2
            if words[0] == b"MSG":  # subject, subscription, size
                end = begin + int(words[3])
                if len(data) < end + 2:
                    break
                self._deliver(words[1], words[2], data[begin:end], now_s)
                begin = end + 2
            elif words[0] == b"PING":
                self._send(b"PONG\r\n")
            elif words[0] == b"-ERR":
                _log.error("NATS: %s", data[at:line_end].decode(errors="replace"))
            at = begin
        return data[at:]

    def _deliver(self, subject: bytes, subscription: bytes, payload: bytes, now_s: float) -> None:
        if subscription == _NEWS:
            self._hear(payload)
        elif (answer := self._asked.get(subject)) is not None:
            answer.set((payload, now_s))

    def _connect(self) -> socket.socket:
        """Log in at the next server and listen."""
        nats, url = self._settings, urlsplit(next(self._urls))
        connection = socket.create_connection((url.hostname, url.port or 4222), nats.connect_timeout_ms / 1000)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        login = {"verbose": False, "pedantic": False, "lang": "locust", "name": "tictac-locust"}
        if password := nats.password(Role.GATEWAY):
            login |= {"user": Role.GATEWAY.value, "pass": password}
        connection.sendall(b"CONNECT %b\r\nPING\r\n" % msgspec.json.encode(login))
        said = b""
        while not said.endswith(b"PONG\r\n"):
            data = connection.recv(_CHUNK)
            said += data
            if not data or b"-ERR" in said:
                connection.close()
                raise ConnectionError(said.decode(errors="replace").strip().rpartition("\r\n")[2] or "no answer")
        connection.sendall(self._subscribe)
        connection.settimeout(None)
        return connection

    def _reconnect(self) -> None:
        self._socket.close()
        while True:
            gevent.sleep(self._settings.reconnect_wait_ms / 1000)
            with suppress(OSError):
                self._socket = self._connect()
                _log.warning("NATS: connected again")
                return
