"""Redis holds the latest image of each market, for those who come late and for pages that only look.

A convenience, never a truth: betting goes on without it. What has changed is written in one pipeline a few times a
second; while Redis is away changes are conflated, and afterwards every image is written again, because it may have
come back empty.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from itertools import islice

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from adapters import subjects
from adapters.codec import JSON
from config.settings import Redis as RedisSettings
from core.messages.answers import BookImage, OddsImage

log = structlog.get_logger(__name__)
_AWAY = (RedisError, OSError, TimeoutError)
_ANSWER_WITHIN_S = 2.0
"""A pipeline takes some milliseconds; a Redis that takes seconds counts as away."""


def key(fixture: str, market: str) -> str:
    """`tictac:odds.<fixture>.<market>`: JSON of an OddsImage."""
    return f"tictac:{subjects.odds(fixture, market)}"


def book_key(fixture: str, market: str) -> str:
    """`tictac:odds.<fixture>.<market>.book`: JSON of a BookImage."""
    return f"tictac:{subjects.book(fixture, market)}"


class Images:
    """Keeps Redis up to date; `offer` is synchronous and cheap, `run` does the writing."""

    def __init__(self, settings: RedisSettings) -> None:
        self._settings = settings
        self._redis = Redis.from_url(
            settings.url, socket_timeout=_ANSWER_WITHIN_S, socket_connect_timeout=_ANSWER_WITHIN_S
        )
        self._latest: dict[str, OddsImage | BookImage] = {}
        """All that is current, the longest unchanged first; at most `markets_max`."""
        self._changed: dict[str, OddsImage | BookImage] = {}
        self.up = True
        self.written = 0

    def offer(self, images: Iterable[OddsImage | BookImage]) -> None:
        """Take images that may be shown."""
        latest = self._latest
        for image in images:
            name = (book_key if type(image) is BookImage else key)(image.fixture, image.market)
            latest.pop(name, None)
            if image.status != "settled":
                latest[name] = image
            self._changed[name] = image
        for held in (latest, self._changed):
            for name in list(islice(held, max(0, len(held) - self._settings.markets_max))):
                del held[name]

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await asyncio.sleep(self._settings.interval_ms / 1000)
            await self.write()

    async def write(self) -> None:
        """Write what has changed, at most `pipeline_max` markets; whatever fails is left for the next time."""
        names = list(islice(self._changed, self._settings.pipeline_max))
        if not names and self.up:
            return
        images = {name: self._changed.pop(name) for name in names}
        try:
            async with self._redis.pipeline(transaction=False) as pipeline:
                pipeline.ping()
                for name, image in images.items():
                    pipeline.set(name, JSON.encode(image), px=self._settings.image_ttl_ms)
                await pipeline.execute()
        except _AWAY as error:
            self._changed = images | self._changed
            if self.up:
                log.warning("Redis is away: no images for late comers", error=str(error))
            self.up = False
            return
        self.written += len(images)
        if not self.up:
            self.up = True
            log.info("Redis is back", images=len(self._latest))
            self._changed = self._latest | self._changed

    async def close(self) -> None:
        """Write what is left and let go of the connections."""
        if self.up:
            await self.write()
        await self._redis.aclose()
