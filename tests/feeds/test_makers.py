"""Simulated makers: what they send for what is wanted, and what then rests in an engine's book."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.settings import load
from core.exchange.ladder import CLASSIC
from core.messages import answers as an
from core.messages import commands as co
from core.messages import queries as qu
from core.messages.feed import AnyFeedMessage
from core.messages.terms import ExchangeTerms
from feeds.betfair.replay import replay
from feeds.bus import MemoryBus
from feeds.makers import Depth, Levels, Maker, Makers, Resting, Side, Terms, differences
from feeds.session import Session, now_ms
from tests.core.world import World
from tests.feeds.betfair.lines import definition, line

TERMS = Terms("CLASSIC", 100, 1_000)
Book = dict[tuple[str, Side], dict[int, int]]
CASH_M = 10**12


def changes(book: Book, wanted: Depth, own: dict[str, Resting]) -> list[str]:
    """The instructions in short: "place a back 500 @ 2.2"."""
    numbers = count(1)
    told = []
    for each in differences(book, wanted, own, TERMS, lambda: f"n{next(numbers)}"):
        if isinstance(each, co.Place):
            told.append(f"place {each.selection} {each.side} {each.stake_m} @ {each.price / 10_000}")
        elif isinstance(each, co.Cancel):
            told.append(f"cancel {each.order}")
        elif isinstance(each, co.Reduce):
            told.append(f"reduce {each.order} by {each.by_m}")
    return told


HELD = {"o1": Resting("a", "back", 22_000, 500), "o2": Resting("a", "back", 22_000, 300)}


@pytest.mark.parametrize(
    ("there", "wanted", "own", "expected"),
    [
        ({}, {22_000: 500}, {}, ["place a back 500 @ 2.2"]),
        ({}, {24_000: 500, 22_000: 500}, {}, ["place a back 500 @ 2.2", "place a back 500 @ 2.4"]),
        ({22_000: 500}, {22_000: 500}, {}, []),
        ({22_000: 800}, {22_000: 1_000}, HELD, ["place a back 200 @ 2.2"]),
        ({22_000: 800}, {22_000: 600}, HELD, ["reduce o2 by 200"]),
        ({22_000: 800}, {22_000: 500}, HELD, ["cancel o2"]),
        ({22_000: 800}, {22_000: 400}, HELD, ["cancel o2", "reduce o1 by 100"]),
        ({22_000: 800}, {}, HELD, ["cancel o2", "cancel o1"]),
        ({22_000: 800}, {21_000: 700}, HELD, ["cancel o2", "cancel o1", "place a back 700 @ 2.1"]),
        ({22_000: 900}, {22_000: 800}, {}, []),  # a customer's, which is his to take back
        ({22_000: 200}, {22_000: 800}, HELD, ["place a back 600 @ 2.2"]),  # customers took 600 of it
        ({}, {}, HELD, ["cancel o1", "cancel o2"]),  # they took all: the answer will say that nothing is left
        ({}, {22_000: 99}, {}, []),  # too small for an order
        ({}, {1_000_000: 10}, {}, ["place a back 10 @ 100.0"]),  # small, but it would be paid 10.00
        ({}, {22_100: 500}, {}, []),  # not on the ladder
    ],
)
def test_what_is_missing_is_placed_and_what_is_too_much_taken_away(
    there: dict[int, int], wanted: dict[int, int], own: dict[str, Resting], expected: list[str]
) -> None:
    assert changes({("a", "back"): there}, {"a": Levels(wanted, {})}, own) == expected


def test_what_is_taken_away_comes_before_what_is_added_and_the_best_prices_first() -> None:
    wanted = {"a": Levels({21_000: 500}, {20_000: 100, 19_000: 100}), "b": Levels({}, {})}
    own = {"o3": Resting("b", "lay", 30_000, 500)}
    assert changes({("b", "lay"): {30_000: 500}}, wanted, own) == [
        "cancel o3",
        "place a lay 100 @ 2.0",
        "place a lay 100 @ 1.9",
        "place a back 500 @ 2.1",
    ]


def test_a_selection_that_is_not_named_stays_as_it_is() -> None:
    assert changes({("a", "back"): {22_000: 800}}, {}, HELD) == []


# Against an engine.


class Exchange:
    """An engine with an exchange market, asked as over the bus."""

    def __init__(self, **terms: Any) -> None:
        self.world = World()
        self.world.defined("f/m", {"a": 20_000, "b": 30_000}, exchange=ExchangeTerms(cross=False, **terms))
        self.place = "f", "m"
        self.silent = 0
        """Requests that get no answer though they are carried out."""
        self.busy = 0

    async def request(self, subject: str, payload: bytes, timeout_s: float) -> bytes | None:  # noqa: ARG002
        if self.busy:
            self.busy -= 1
            return msgspec.msgpack.encode(an.Rejected("", "BUSY"))
        message = msgspec.msgpack.decode(payload, type=KINDS[subject])
        if isinstance(message, co.Command):
            message = msgspec.structs.replace(message, expires_ms=self.world.now + 1_000)
        answer = self.world.send(message)
        self.world.run()
        if self.silent:
            self.silent -= 1
            return None
        return msgspec.msgpack.encode(answer)

    def levels(self) -> dict[str, Levels]:
        image = self.world.send(qu.GetBook(*self.place))
        assert isinstance(image, an.BookImage)
        return {each.selection: Levels(dict(each.backs), dict(each.lays)) for each in image.books}

    def order(self, side: Side, stake_m: int, price: int, selection: str = "a") -> an.Answer | None:
        return self.world.command(
            co.PlaceOrder,
            customer="joe",
            fixture="f",
            market="m",
            selection=selection,
            side=side,
            stake_m=stake_m,
            price=price,
        )


KINDS: dict[str, Any] = {
    "account.open": co.OpenCustomer,
    "account.deposit": co.Deposit,
    "order.batch": co.BatchOrders,
    "order.cancel-all": co.CancelOrders,
    "order.book": qu.GetBook,
}


class Life:
    """A maker at work, round by round."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.wanted: dict[str, Levels] = {}
        self.maker = Maker(exchange, "maker-1", ("f", "m"), lambda: self.wanted, TERMS, "EUR")

    async def round(self, **wanted: tuple[Mapping[int, int], Mapping[int, int]]) -> dict[str, Levels]:
        self.wanted |= {name: Levels(*levels) for name, levels in wanted.items()}
        await self.maker._round(self.wanted)
        return self.exchange.levels()


@pytest.fixture
async def life() -> Life:
    life = Life(Exchange())
    assert await life.maker.come_in(asyncio.Event())
    life.exchange.world.customer("joe", CASH_M)
    return life


async def test_the_book_shows_what_is_wanted_and_what_customers_take_is_put_back(life: Life) -> None:
    wanted = {22_000: 50_000, 24_000: 10_000}, {20_000: 40_000}
    assert (await life.round(a=wanted))["a"] == wanted
    life.exchange.order("lay", 60_000, 24_000)
    assert life.exchange.levels()["a"].backs == {}
    assert (await life.round())["a"] == wanted
    life.exchange.order("back", 5_000, 20_000)
    assert life.exchange.levels()["a"].lays == {20_000: 35_000}
    assert (await life.round())["a"] == wanted
    moved = {21_000: 50_000}, {20_000: 10_000, 19_000: 1_000}
    await life.round(a=moved)
    assert (await life.round())["a"] == moved
    life.exchange.world.check()


async def test_a_customers_order_in_the_way_is_matched(life: Life) -> None:
    await life.round(a=({22_000: 1_000}, {20_000: 1_000}))
    life.exchange.order("back", 700, 21_000)
    await life.round(a=({22_000: 1_000}, {21_000: 1_000}))
    assert life.maker.counts.matched_m == 700
    assert (await life.round())["a"] == ({22_000: 1_000}, {21_000: 1_000})


@pytest.mark.parametrize("trouble", ["silent", "busy"])
async def test_without_an_answer_the_book_is_right_a_few_rounds_later(life: Life, trouble: str) -> None:
    await life.round(a=({22_000: 1_000}, {}))
    setattr(life.exchange, trouble, 4)
    wanted = {24_000: 2_000}, {23_000: 500}
    for _ in range(4):
        await life.round(a=wanted)
    assert life.exchange.levels()["a"] == wanted


async def test_what_lapses_at_the_off_is_placed_anew(life: Life) -> None:
    wanted = {22_000: 1_000}, {20_000: 1_000}
    await life.round(a=wanted)
    world = life.exchange.world
    world.desk(co.TurnInPlay, "f/m")
    world.run()
    assert life.exchange.levels()["a"] == ({}, {})
    assert (await life.round())["a"] == wanted


async def test_a_suspended_market_gets_no_new_orders_and_loses_what_is_too_much(life: Life) -> None:
    await life.round(a=({22_000: 1_000}, {20_000: 1_000}))
    life.exchange.world.desk(co.SuspendMarket, "f/m")
    assert (await life.round(a=({22_000: 400}, {20_000: 5_000})))["a"] == ({22_000: 400}, {20_000: 1_000})
    assert life.maker.counts.refused == 0
    life.exchange.world.desk(co.OpenMarket, "f/m")
    assert (await life.round())["a"] == ({22_000: 400}, {20_000: 5_000})


async def test_money_runs_out_and_more_is_put_in(life: Life) -> None:
    wanted: tuple[dict[int, int], dict[int, int]] = {}, {CLASSIC.prices[-1]: 2_000_000}
    for _ in range(4):
        await life.round(a=wanted)
    assert life.exchange.levels()["a"] == wanted


async def test_a_maker_that_stops_leaves_nothing_behind(life: Life) -> None:
    stop = asyncio.Event()
    life.wanted = {"a": Levels({22_000: 1_000}, {20_000: 1_000})}
    following = asyncio.create_task(life.maker.follow(stop))
    while not life.exchange.levels()["a"].backs:  # noqa: ASYNC110  (it does not say so)
        await asyncio.sleep(0.01)
    stop.set()
    await following
    assert life.exchange.levels()["a"] == ({}, {})
    assert life.exchange.world.of("maker-1").exposure_m == 0


RUNGS = st.integers(60, 90)
SIZES = st.integers(100, 9_999)


@st.composite
def books(draw: st.DrawFn) -> Levels:
    """Levels that are not crossed: every back above every lay."""
    between = draw(RUNGS)
    backs = draw(st.dictionaries(st.integers(between, 100), SIZES, max_size=5))
    lays = draw(st.dictionaries(st.integers(50, between - 1), SIZES, max_size=5))
    return Levels(*({CLASSIC.prices[rung]: stake_m for rung, stake_m in side.items()} for side in (backs, lays)))


@settings(max_examples=60)
@given(st.lists(st.tuples(books(), books(), st.sampled_from(["", "back", "lay"]), SIZES), min_size=1, max_size=5))
def test_whatever_was_before_and_whatever_is_taken_the_book_comes_to_be_what_is_wanted(
    steps: list[tuple[Levels, Levels, str, int]],
) -> None:
    """But for what is too small to be an order: here 1.00."""

    async def follow() -> None:
        life = Life(Exchange())
        await life.maker.come_in(asyncio.Event())
        life.exchange.world.customer("joe", CASH_M)
        for first, second, taking, stake_m in steps:
            if taking:
                side: Side = "back" if taking == "back" else "lay"
                life.exchange.order(side, stake_m, CLASSIC.prices[0 if side == "back" else -1])
                life.exchange.world.command(co.CancelOrders, customer="joe")
            for _ in range(3):  # what was matched in the meantime is found out in the second round
                await life.round(a=first, b=second)
            found = life.exchange.levels()
            for name, wanted in (("a", first), ("b", second)):
                for have, want in zip(found[name], wanted, strict=True):
                    assert have.keys() <= want.keys()
                    assert all(0 <= want[price] - have.get(price, 0) < 100 for price in want), (have, want)
        life.exchange.world.check()

    asyncio.run(follow())


# A recording.


class EngineBus(MemoryBus):
    """What is published is taken by the engine."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world

    async def publish(self, subject: str, payload: bytes) -> bool:
        self.world.now = now_ms()
        self.world.send(msgspec.msgpack.decode(payload, type=AnyFeedMessage))
        self.world.run()
        return await super().publish(subject, payload)


async def test_the_engines_book_shows_a_recordings_depth(tmp_path: Path) -> None:
    exchange = Exchange()
    exchange.place = "betfair:7", "betfair:1.5"
    lines = [
        line(
            {"id": 11, "atb": [[2.0, 5], [1.99, 7.5]], "atl": [[2.2, 4]]},
            {"id": 22, "atb": [[3.0, 50]], "atl": [[2.9, 50]]},  # crossed: it cannot be, and is not sent
            pt=1_000,
            marketDefinition=definition(marketBaseRate=5),
        ),
        line({"id": 11, "atb": [[2.0, 0]], "atl": [[2.02, 3]]}, pt=61_000),
    ]
    (path := tmp_path / "recording").write_bytes(b"".join(lines))
    stop = asyncio.Event()
    world = exchange.world
    async with (
        Makers(exchange, world.engine.limits) as makers,
        Session(EngineBus(world), "betfair", "replay", load(environ={}).ingest) as session,
    ):
        playing = asyncio.create_task(replay(session, path, speed=1.0, stop=stop, makers=makers))
        wanted = {"11": ({22_000: 400}, {20_000: 500, 19_900: 750}), "22": ({}, {})}
        async with asyncio.timeout(10):
            while not makers.counts.placed:  # noqa: ASYNC110  (it does not say so)
                await asyncio.sleep(0.01)
        assert exchange.levels() == wanted
        market = world.book.fixtures["betfair:7"].markets["betfair:1.5"]
        assert market.exchange is not None
        assert market.exchange.terms.commission_bp == 500
        stop.set()
        await playing
    assert exchange.levels() == {"11": ({}, {}), "22": ({}, {})}
    world.check()
