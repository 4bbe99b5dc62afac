"""A load generator that is not the bottleneck: bytes made beforehand, one raw socket, answers counted by pattern.

It speaks as much of NATS' protocol as a load needs (some 0.5 us a request). Request `n` is answered on
`<inbox>.<n>`, so a reply's subject says which request it belongs to.
"""

from __future__ import annotations

import re
import select
import socket
import time
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec
import numpy as np
from numpy.typing import NDArray

INBOX = "_INBOX_gateway.load"
_REPLY = re.compile(rb"MSG _INBOX_gateway\.load\.(\d+) 1 \d+\r\n")
_STALL_S = 30.0
_CHUNK = 1 << 20

Seconds = NDArray[np.float64]


class Load(NamedTuple):
    """What came of a load: how long it took and each request's latency, in seconds, in order of the requests."""

    seconds: float
    latency: Seconds
    marks: dict[bytes, int]
    """How often each pattern stood in the answers."""

    def percentile_ms(self, percent: float) -> float:
        """A percentile of the latency in milliseconds."""
        return round(float(np.percentile(self.latency, percent)) * 1000, 3)


def frame(subject: str, number: int, payload: bytes) -> bytes:
    """Request `number` as bytes on the wire."""
    return b"PUB %b %b.%d %d\r\n%b\r\n" % (subject.encode(), INBOX.encode(), number, len(payload), payload)


class Wire:
    """One connection to NATS, logged in and listening on the inbox."""

    def __init__(self, url: str) -> None:
        """Connect to nats://user:password@host:port. Raises ConnectionError with the server's word."""
        parts = urlsplit(url)
        self._socket = socket.create_connection((parts.hostname, parts.port or 4222))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.recv(_CHUNK)
        login = {"verbose": False, "user": parts.username, "pass": parts.password, "headers": True, "lang": "bench"}
        hello = b"CONNECT %b\r\nSUB %b.* 1\r\nPING\r\n" % (msgspec.json.encode(login), INBOX.encode())
        self._socket.sendall(hello)
        answer = self._socket.recv(_CHUNK)
        if not answer.startswith(b"PONG"):
            raise ConnectionError(answer.decode(errors="replace").strip())
        self._tail = b""

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def closed_loop(self, frames: Sequence[bytes], in_flight: int, marks: Sequence[bytes] = ()) -> Load:
        """Send all, at the most `in_flight` unanswered at a time; latency from when a request was handed over."""
        return self._run(frames, in_flight, None, marks)

    def open_loop(self, frames: Sequence[bytes], per_second: float, marks: Sequence[bytes] = ()) -> Load:
        """Send each at its planned time whatever the answers do; latency from that time (no coordinated omission)."""
        planned = np.arange(len(frames)) / per_second
        return self._run(frames, len(frames), planned, marks)

    def _run(self, frames: Sequence[bytes], in_flight: int, planned: Seconds | None, marks: Sequence[bytes]) -> Load:
        total, sent, received = len(frames), 0, 0
        sent_at, received_at = np.zeros(total), np.zeros(total)
        counts = dict.fromkeys(marks, 0)
        unsent = b""
        sock = self._socket
        sock.setblocking(False)
        start = last = time.perf_counter()
        while received < total:
            now = time.perf_counter()
            due = total if planned is None else int(np.searchsorted(planned, now - start, side="right"))
            upto = min(due, received + in_flight, sent + 512)
            if not unsent and upto > sent:
                unsent = b"".join(frames[sent:upto])
                sent_at[sent:upto] = now - start
                sent = upto
            pause = 0.0 if planned is not None and not unsent and sent < total else 0.05
            readable, writable, _ = select.select([sock], [sock] if unsent else [], [], min(pause, 0.05) or 0.0002)
            if writable:
                unsent = unsent[sock.send(unsent) :]
            if readable:
                numbers = self._receive(counts)
                now = time.perf_counter()
                if numbers:
                    received_at[numbers] = now - start
                    received += len(numbers)
                    last = now
            elif now - last > _STALL_S:
                raise TimeoutError(f"{total - received} of {total} requests are not answered")
        return Load(last - start, received_at - (sent_at if planned is None else planned), counts)

    def _receive(self, counts: dict[bytes, int]) -> list[int]:
        """The numbers of the requests whose answers have come, whole lines only."""
        data = self._socket.recv(_CHUNK)
        if not data:
            raise ConnectionError("the server hung up")
        whole, cut, self._tail = (self._tail + data).rpartition(b"\r\n")
        whole += cut
        if b"PING\r\n" in whole:
            self._socket.setblocking(True)
            self._socket.sendall(b"PONG\r\n")
            self._socket.setblocking(False)
        if b"-ERR" in whole:
            raise ConnectionError(whole[whole.index(b"-ERR") :][:200].decode(errors="replace"))
        for mark in counts:
            counts[mark] += whole.count(mark)
        return [int(number) for number in _REPLY.findall(whole)]
