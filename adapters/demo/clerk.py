"""How a front end asks: request and reply, asked again under the same id until there is an answer, and timed."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

import msgspec
from hdrh.histogram import HdrHistogram
from nats.aio.client import Client
from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NatsTimeoutError

from core.messages.answers import Answer, Rejected

_ASK_TIMEOUT_S: Final = 2.0
_TRIES_MAX: Final = 15
"""With the timeout half a minute, the deadline of a bet: by then a restarted engine is back."""
_BUSY_PAUSE_S: Final = 0.2
_WINDOW_S: Final = 10.0
"""Percentiles are of the last one to two windows: old enough to be steady, new enough to see a hiccup."""
_decode = msgspec.json.Decoder(Answer).decode


class Latency:
    """Percentiles of late, and since the start."""

    def __init__(self) -> None:
        self.whole = _histogram()
        self._windows = [_histogram(), _histogram()]
        self._turned_s = time.monotonic()

    def add(self, seconds: float) -> None:
        micros = max(1, int(seconds * 1e6))
        self.whole.record_value(micros)
        self._windows[-1].record_value(micros)

    def recent(self) -> tuple[HdrHistogram, float]:
        """The last windows together, and how many seconds they span."""
        now_s = time.monotonic()
        if now_s - self._turned_s > _WINDOW_S:
            self._windows = [self._windows[-1], _histogram()]
            self._turned_s = now_s
        both = _histogram()
        for window in self._windows:
            both.add(window)
        full = self._windows[0].get_total_count() > 0
        return both, now_s - self._turned_s + (_WINDOW_S if full else 0)


class Clerk:
    """Asks; counts what had to be asked again."""

    def __init__(self, client: Client) -> None:
        self.latency = Latency()
        """Of the bets."""
        self.busy = 0
        self.timeouts = 0
        self._client = client

    async def ask(self, subject: str, message: Any, *, timed: bool = False) -> Answer | None:
        """Request and answer. Silence and BUSY are asked again with the same id, which is safe; None: given up."""
        payload = msgspec.json.encode(message)
        answer = None
        for _ in range(_TRIES_MAX):
            began_s = time.perf_counter()
            try:
                reply = await self._client.request(subject, payload, timeout=_ASK_TIMEOUT_S)
            except NatsTimeoutError:
                self.timeouts += 1
                continue
            except NoRespondersError:
                await asyncio.sleep(_ASK_TIMEOUT_S)
                continue
            answer = _decode(reply.data)
            if timed:
                self.latency.add(time.perf_counter() - began_s)
            if reason(answer) != "BUSY":
                break
            self.busy += 1
            await asyncio.sleep(_BUSY_PAUSE_S)
        return answer


def percentiles(histogram: HdrHistogram, *shares: float) -> tuple[float, ...]:
    """In milliseconds."""
    return tuple(histogram.get_value_at_percentile(share) / 1000 for share in shares)


def reason(answer: Answer | None) -> str:
    """Why not; empty: no refusal."""
    return answer.reason if isinstance(answer, Rejected) else ""


def _histogram() -> HdrHistogram:
    return HdrHistogram(1, 60_000_000, 2)
