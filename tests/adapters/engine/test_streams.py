"""Over real NATS: readers of order books and of their own orders hold what the engine has, and resume after a gap."""

from __future__ import annotations

import asyncio
import random

import msgspec
from nats.aio.msg import Msg
from redis.asyncio import Redis

from adapters.embedded import NatsServer, RedisServer
from adapters.engine.service import Service
from config.settings import Role
from tests.adapters.engine.following import BookFollower, Reader
from tests.adapters.engine.serving import DESK, Asker, Row, asker, now_ms, running, until
from tests.adapters.engine.test_books import CUSTOMERS, PRICES, engines
from tests.core.exchange.trading import NAMES

PLACE: Row = {"fixture": "match", "market": "winner"}
BOOK = "odds.match.winner.book"


async def prepare(desk: Asker) -> None:
    """An open exchange market, and customers with 10 000.00 each."""
    for customer in CUSTOMERS:
        await desk.done("account.open", customer=customer, currency="EUR")
        await desk.done("account.deposit", customer=customer, amount_m=1_000_000, provider="bank")
    names: Row = {"name": "A - B", "sport": "football", "competition": "Cup", "start_ms": 4_000_000_000_000}
    await desk.done("desk.fixture.define", **DESK | names | {"fixture": "match"})
    market: Row = {
        "market_type": "1x2",
        "name": "Result",
        "selections": [[name, name] for name in NAMES],
        "exchange": {},
    }
    await desk.done("desk.market.define", **PLACE | market)
    await desk.done("desk.market.open", **PLACE)


def order(client: Asker, chance: random.Random) -> Row:
    return client.command(
        **PLACE,
        customer=chance.choice(CUSTOMERS),
        selection=chance.choice(NAMES),
        side=chance.choice(("back", "lay")),
        price=chance.choice(PRICES),
        stake_m=chance.randrange(100, 3_000),
    )


async def trade(client: Asker, chance: random.Random, count: int) -> set[str]:
    """Orders, many at a time, a fifth of those that rest taken back again: these are returned."""
    taken_back = set()
    for _ in range(count // 50):
        orders = [order(client, chance) for _ in range(50)]
        answers = await asyncio.gather(*(client.ask("order.place", each) for each in orders))
        assert {answer["type"] for answer in answers} <= {"order", "rejected"}
        resting = [each for each, answer in zip(orders, answers, strict=True) if answer.get("status") == "resting"]
        for each in resting[:: chance.randrange(3, 7)]:
            await client.ask("order.cancel", client.command(customer=each["customer"], order=each["id"]))
            taken_back.add(each["id"])
    return taken_back


async def holds(follower: BookFollower, service: Service) -> bool:
    """Whether he has the engine's books: it is asked once nothing changes any more."""
    await follower.catch_up()
    return follower.reader.books == engines(service.engine, 30)


async def test_readers_hold_the_engines_books_whenever_they_came(fresh_nats: NatsServer) -> None:
    seed = 4
    chance = random.Random(seed)
    async with running(fresh_nats) as service, asker(fresh_nats) as desk, asker(fresh_nats, Role.GATEWAY) as gateway:
        await prepare(desk)
        async with asyncio.TaskGroup() as group:
            early, late = (BookFollower(gateway.client, *PLACE.values()) for _ in range(2))
            began_ms = now_ms()
            await early.follow()
            group.create_task(trade(gateway, chance, 2_000))
            await asyncio.sleep(0.2)
            await late.follow()
        for follower in (early, late):
            await until(lambda follower=follower: holds(follower, service))  # type: ignore[misc]
        assert early.gaps == late.gaps == 0, f"seed {seed}"
        intervals = (now_ms() - began_ms) // service.settings.publisher.books_interval_ms
        # one came at once, and one before the image that the late reader asked for
        assert len(early.heard) <= intervals + 2, "not conflated"


async def test_books_go_on_after_a_restart(fresh_nats: NatsServer) -> None:
    chance = random.Random(7)
    async with asyncio.timeout(60), asker(fresh_nats) as desk, asker(fresh_nats, Role.GATEWAY) as gateway:
        follower = BookFollower(gateway.client, *PLACE.values())
        async with running(fresh_nats):
            await prepare(desk)
            await follower.follow()
            await trade(gateway, chance, 300)
        async with running(fresh_nats) as service:
            await trade(gateway, chance, 100)
            await until(lambda: holds(follower, service))
            assert follower.reader.head["version"] >> 32 == 2


async def test_an_engine_that_begins_says_so_and_answers(fresh_nats: NatsServer) -> None:
    """Notices of the one before may be lost without a gap that anybody could see: so their readers ask anew."""
    async with asyncio.timeout(60), asker(fresh_nats, Role.GATEWAY) as gateway:
        begun = await gateway.client.subscribe("engine-started")
        await gateway.client.flush()
        for term in (1, 2):
            async with running(fresh_nats):
                said = msgspec.json.decode((await begun.next_msg(5)).data)
                assert (said["type"], said["term"]) == ("started", term)
                assert (await gateway.ask("order.list", PLACE | {"customer": "anna"}))["type"] == "rejected"


async def test_the_books_are_in_redis_for_those_who_come_late(
    fresh_nats: NatsServer, redis_server: RedisServer
) -> None:
    settings = {"redis__url": redis_server.url, "redis__interval_ms": 10}
    async with running(fresh_nats, **settings) as service, asker(fresh_nats) as desk:
        await prepare(desk)
        await trade(desk, random.Random(3), 200)
        redis = Redis.from_url(redis_server.url)

        async def written() -> bool:
            held = await redis.get(f"tictac:{BOOK}")
            reader = Reader()
            return (
                held is not None
                and reader.hear(msgspec.json.decode(held))
                and reader.books == engines(service.engine, 30)
            )

        await until(written)
        await redis.aclose()


async def test_customers_hear_of_each_match_of_theirs_and_of_no_others(fresh_nats: NatsServer) -> None:
    """Notices are numbered without a gap; where each order ends is what the last notice said."""
    told: dict[str, list[Row]] = {}

    async def hear(message: Msg) -> None:
        told.setdefault(message.subject, []).append(msgspec.json.decode(message.data))

    async with running(fresh_nats) as service, asker(fresh_nats) as desk, asker(fresh_nats, Role.GATEWAY) as gateway:
        await prepare(desk)
        await gateway.client.subscribe("orders.*", cb=hear)
        await gateway.client.flush()
        taken_back = await trade(gateway, random.Random(11), 1_000)
        await desk.done("desk.market.settle", **PLACE, results=[["home", 1], ["draw", 0], ["away", 0]])

        async def settled() -> bool:
            last = [notices[-1] for notices in told.values()]
            return len(last) == len(CUSTOMERS) and all(each["type"] == "position_notice" for each in last)

        await until(settled)
        for customer in CUSTOMERS:
            notices = told[f"orders.{customer}"]
            image = await gateway.ask("order.list", PLACE | {"customer": customer})
            assert [each["sequence"] for each in notices] == list(range((1 << 32) + 1, image["sequence"] + 1))
            assert (notices[-1]["net_m"], notices[-1]["commission_m"]) == (image["net_m"], image["commission_m"])
            last = {each["id"]: each for each in notices if each["type"] == "order_notice"}
            states = {each["id"]: each for each in image["orders"]}
            for order_id in last.keys() & states.keys():
                assert last[order_id]["status"] == "done" or order_id in taken_back
                assert last[order_id].get("matched_m", 0) == states[order_id].get("matched_m", 0)
            owners = {order_id: service.engine.book.orders[order_id].customer for order_id in states}
            assert set(owners.values()) == {customer}
