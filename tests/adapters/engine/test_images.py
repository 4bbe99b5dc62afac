"""Redis has the latest images; while it is away nothing else notices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
import structlog
from redis.asyncio import Redis

from adapters.embedded import RedisServer
from adapters.engine.images import Images, key
from config.settings import Redis as Settings
from core.messages.answers import OddsImage, SelectionOdds
from core.messages.results import EachWay

if TYPE_CHECKING:
    from pathlib import Path


def settings(url: str, **changes: int) -> Settings:
    bounds = {"interval_ms": 10, "image_ttl_ms": 60_000, "pipeline_max": 100, "markets_max": 1_000} | changes
    return Settings(url=url, **bounds)


def image(market: str, version: int = 1, status: str = "open") -> OddsImage:
    prices = (SelectionOdds("home", "A", 20_000),)
    head = "A - B", "Result", "1x2", "football", 0, status
    return OddsImage("f", market, version, *head, False, prices, {"total": "2.5"}, EachWay(3, 1, 5), 5_000)


async def read(redis: Redis, market: str) -> OddsImage | None:
    held = await redis.get(key("f", market))
    return None if held is None else msgspec.json.decode(held, type=OddsImage)


@pytest.fixture
async def redis(redis_server: RedisServer) -> Redis:
    client = Redis.from_url(redis_server.url)
    await client.flushall()
    return client


async def test_the_latest_image_is_written_and_expires(redis_server: RedisServer, redis: Redis) -> None:
    images = Images(settings(redis_server.url))
    images.offer([image("m", 1), image("m", 2), image("n", 1)])
    await images.write()
    assert await read(redis, "m") == image("m", 2)
    assert await read(redis, "n") == image("n", 1)
    assert 0 < await redis.pttl(key("f", "m")) <= 60_000
    assert images.written == 2
    await images.close()
    await redis.aclose()


async def test_one_pipeline_takes_so_many_and_the_rest_follows(redis_server: RedisServer, redis: Redis) -> None:
    images = Images(settings(redis_server.url, pipeline_max=3))
    images.offer(image(f"m{number}") for number in range(7))
    sizes = []
    for _ in range(4):
        await images.write()
        sizes.append(await redis.dbsize())
    assert sizes == [3, 6, 7, 7]
    await images.close()
    await redis.aclose()


async def test_what_is_kept_is_bounded(redis_server: RedisServer, redis: Redis) -> None:
    images = Images(settings(redis_server.url, markets_max=5))
    images.offer(image(f"m{number}") for number in range(20))
    await images.close()
    assert sorted(await redis.keys()) == sorted(key("f", f"m{number}").encode() for number in range(15, 20))
    await redis.aclose()


async def test_redis_away_and_back_empty_gets_every_image_again(tmp_path: Path) -> None:
    if not RedisServer.available():
        pytest.skip("no redis-server on this machine")
    with RedisServer(tmp_path) as server:
        images = Images(settings(server.url))
        images.offer([image("old"), image("over", 1, "open")])
        await images.write()
        server.kill()
        images.offer([image("new"), image("over", 2, "settled")])
        with structlog.testing.capture_logs() as logs:
            for _ in range(3):
                await images.write()
        assert [entry["event"] for entry in logs] == ["Redis is away: no images for late comers"]
        server.start()
        await images.write()
        await images.write()
        redis = Redis.from_url(server.url)
        assert await read(redis, "old") == image("old")
        assert await read(redis, "new") == image("new")
        assert await read(redis, "over") == image("over", 2, "settled")
        await images.close()
        await redis.aclose()
