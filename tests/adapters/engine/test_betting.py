"""All that can be asked of the engine, over real NATS, by the role that may: answers, notices, the desk's board."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from nats.aio.subscription import Subscription

from adapters.codec import JSON, MSGPACK, REQUESTS, Wire
from adapters.embedded import NatsServer
from adapters.engine.service import FENCED, Service
from adapters.subjects import REFERRALS
from config.settings import Role
from core import invariants
from core.snapshot import state_hash
from tests.adapters.engine.serving import LEG, Asker, Row, asker, now_ms, pass_time, rebuilt_hash, running, until

DELAY_MS = 15_000
"""Longer than anything takes on a slow machine: it ends where a test says so."""
WIRES = pytest.mark.parametrize("wire", [JSON, MSGPACK], ids=lambda wire: wire.name)
HOME_AND_AWAY: Row = {"market_type": "1x2", "name": "Result", "selections": [["home", "A"], ["away", "B"]]}


class Stage:
    """Who bets, who decides, and what both are told; anna has 9 000.00."""

    def __init__(self, gateway: Asker, desk: Asker, notices: Subscription, referrals: Subscription) -> None:
        self.gateway = gateway
        self.desk = desk
        self._notices = notices
        self._referrals = referrals

    async def market(self, fixture: str, delay_ms: int = 0) -> Row:
        """An open market at 2.00 against 1.80; its home leg."""
        where: Row = {"fixture": fixture, "market": "m"}
        names: Row = {"name": fixture, "sport": "football", "competition": "Cup", "start_ms": now_ms() + 10**7}
        await self.desk.done("desk.fixture.define", fixture=fixture, **names)
        await self.desk.done("desk.market.define", **where, **HOME_AND_AWAY, delay_ms=delay_ms)
        await self.desk.done("desk.price.set", **where, selection="home", price=20_000)
        await self.desk.done("desk.price.set", **where, selection="away", price=18_000)
        await self.desk.done("desk.market.open", **where)
        return LEG | where

    async def place(self, bet: Row, wire: Wire = JSON) -> Any:
        return await self.gateway.ask("bet.place", bet, wire)

    async def status(self, bet: Row) -> Any:
        return (await self.gateway.ask("bet.get", {"bet": bet["id"]}))["status"]

    async def told(self) -> Any:
        """The next of anna's notices."""
        return msgspec.json.decode((await self._notices.next_msg(10)).data)

    async def referred(self) -> Any:
        """The next on the desk's board."""
        return msgspec.json.decode((await self._referrals.next_msg(10)).data)


@asynccontextmanager
async def staged(server: NatsServer) -> AsyncIterator[Stage]:
    async with asker(server, Role.GATEWAY) as gateway, asker(server, Role.DESK) as desk:
        stage = Stage(
            gateway, desk, await gateway.client.subscribe("bets.anna"), await desk.client.subscribe(REFERRALS)
        )
        await gateway.client.flush()
        await desk.client.flush()
        await gateway.done("account.open", customer="anna", currency="EUR")
        await gateway.done("account.deposit", customer="anna", amount_m=900_000, provider="bank")
        yield stage


async def check(server: NatsServer, service: Service) -> None:
    """The state holds together, and the journal alone makes the same."""
    book = service.engine.book
    invariants.check(book)
    assert await rebuilt_hash(server) == state_hash(book)


@WIRES
async def test_a_bet_in_play_waits_and_is_told_what_has_become_of_it(fresh_nats: NatsServer, wire: Wire) -> None:
    def feed(kind: str, sequence: int, **fields: object) -> bytes:
        head = {"type": kind, "provider": "p", "producer": "1", "sequence": sequence, "ts_ms": now_ms()}
        return wire.encode(head | fields)

    fixture: Row = {"name": "A - B", "sport": "football", "competition": "Cup", "start_ms": now_ms() - 10**6}
    prices: Row = {"selections": [["home", "A", 20_000], ["away", "B", 18_000]], "status": "active"}
    market = HOME_AND_AWAY | prices | {"fixture": "f", "market": "m", "in_play": True, "delay_ms": DELAY_MS}
    async with (
        running(fresh_nats, limits__producer_silence_max_ms=10 * DELAY_MS) as service,
        staged(fresh_nats) as stage,
        asker(fresh_nats, Role.INGESTOR) as ingestor,
    ):
        for message in (
            feed("recovery_begin", 1),
            feed("fixture", 2, fixture="f", **fixture),
            feed("market", 3, **market),
            feed("recovery_end", 4),
        ):
            await ingestor.client.publish("feed.p.1", message)
        await ingestor.client.flush()

        async def offered() -> bool:
            image = await stage.gateway.ask("odds.get", {"fixture": "f", "market": "m"})
            return bool(image.get("status") == "open" and image["delay_ms"] == DELAY_MS)

        await until(offered)
        bet = stage.gateway.bet()
        pending = await stage.place(bet, wire)
        assert (pending["type"], pending["stage"]) == ("pending", "delayed")
        assert pending["until_ms"] == pending["ts_ms"] + DELAY_MS
        assert await stage.status(bet) == "delayed"
        assert await stage.place(bet, wire) == pending
        assert (await stage.gateway.ask("account.get", {"customer": "anna"}))["reserved_m"] == 1_000
        pass_time(service, DELAY_MS)
        notice = await stage.told()
        assert (notice["type"], notice["id"], notice["payout_m"]) == ("accepted", bet["id"], 2_000)
        assert notice["ts_ms"] >= pending["until_ms"]
        assert await stage.status(bet) == "open"
        assert await stage.place(bet, wire) == notice

        # A goal: the next one is refused at the end of its delay.
        refused = stage.gateway.bet()
        assert (await stage.place(refused, wire))["type"] == "pending"
        await ingestor.client.publish("feed.p.1", feed("suspend", 5, fixture="f"))

        async def suspended() -> bool:
            return bool((await stage.gateway.ask("odds.get", {"fixture": "f", "market": "m"}))["status"] == "suspended")

        await until(suspended)
        pass_time(service, DELAY_MS)
        notice = await stage.told()
        assert (notice["type"], notice["id"], notice["reason"]) == ("rejected", refused["id"], "MARKET_SUSPENDED")
        assert await stage.place(refused, wire) == notice
        assert (await stage.gateway.ask("account.get", {"customer": "anna"}))["cash_m"] == 899_000
        await check(fresh_nats, service)


async def test_a_bet_above_the_limit_goes_to_the_desk_and_comes_back_as_an_offer(fresh_nats: NatsServer) -> None:
    async with running(fresh_nats, limits__stake_max_m=50_000) as service, staged(fresh_nats) as stage:
        bet = stage.gateway.bet(legs=[await stage.market("f")], stake_m=80_000, refer=True)
        assert (await stage.place(bet))["stage"] == "referred"
        referral = await stage.referred()
        assert (referral["id"], referral["stake_m"], referral["reason"]) == (bet["id"], 80_000, "STAKE_TOO_LARGE")
        assert (referral["limit"], referral["stake_accepted_m"]) == (50_000, 50_000)
        assert [(leg["requested"], leg["price"]) for leg in referral["legs"]] == [(20_000, 20_000)]
        await stage.desk.done("desk.bet.answer", bet=bet["id"], action="offer", stake_m=70_000, prices=[19_000])
        assert (await stage.referred())["outcome"] == "offered"
        offer = await stage.told()
        assert (offer["type"], offer["stake_m"], offer["payout_m"]) == ("offer", 70_000, 133_000)
        assert (await stage.place(bet))["stage"] == "offered"
        assert await stage.status(bet) == "offered"
        await stage.gateway.done("bet.offer.take", customer="anna", bet=bet["id"])
        notice = await stage.told()
        assert (notice["type"], notice["stake_m"], notice["legs"][0]["price"]) == ("accepted", 70_000, 19_000)
        assert (await stage.referred())["outcome"] == "accepted"
        assert await stage.place(bet) == notice
        assert (await stage.gateway.ask("account.get", {"customer": "anna"}))["open_stakes_m"] == 70_000
        await check(fresh_nats, service)


async def test_what_waits_is_decided_and_told_by_the_next_engine(fresh_nats: NatsServer) -> None:
    bounds = {"limits__stake_max_m": 50_000, "limits__referral_ms": DELAY_MS}
    async with running(fresh_nats, **bounds) as first, staged(fresh_nats) as stage:
        delayed = stage.gateway.bet(legs=[await stage.market("f", delay_ms=DELAY_MS)])
        referred = stage.gateway.bet(legs=[await stage.market("g")], stake_m=80_000, refer=True)
        assert (await stage.place(delayed))["stage"] == "delayed"
        assert (await stage.place(referred))["stage"] == "referred"
        assert (await stage.referred())["id"] == referred["id"]
        async with running(fresh_nats, **bounds) as second:
            assert await first.ended == FENCED
            again = await stage.referred()
            assert (again["type"], again["id"], again["stake_m"]) == ("referral", referred["id"], 80_000)
            pass_time(second, DELAY_MS)
            told = {notice["id"]: notice for notice in (await stage.told(), await stage.told())}
            assert told[delayed["id"]]["type"] == "accepted"
            assert told[referred["id"]]["reason"] == "REFERRAL_EXPIRED"
            assert (await stage.referred())["reason"] == "REFERRAL_EXPIRED"
            assert await stage.place(delayed) == told[delayed["id"]]
            assert await stage.place(referred) == told[referred["id"]]
            await check(fresh_nats, second)


async def test_a_bet_is_sold_back_in_two_parts(fresh_nats: NatsServer) -> None:
    async with running(fresh_nats) as service, staged(fresh_nats) as stage:
        bet = stage.gateway.bet(legs=[await stage.market("f")])
        await stage.place(bet)
        # Worth 2.00 x 0.4737, the margin removed, less 3 %: 0.9189 of the stake.
        for share_bp, stake_m, offer_m, status in ((4_000, 400, 367, "open"), (10_000, 600, 551, "cashed_out")):
            asked: Row = {"customer": "anna", "bet": bet["id"]}
            quote = await stage.gateway.ask("bet.cash-out.quote", asked | {"share_bp": share_bp})
            assert (quote["type"], quote["stake_m"], quote["offer_m"]) == ("cash_out", stake_m, offer_m)
            refused = await stage.gateway.ask("bet.cash-out.take", stage.gateway.command(**asked, offer_m=offer_m + 1))
            assert refused["reason"] == "CASH_OUT_CHANGED"
            await stage.gateway.done("bet.cash-out.take", **asked, offer_m=offer_m)
            notice = await stage.told()
            assert (notice["type"], notice["status"], notice["paid_m"]) == ("cashed_out", status, offer_m)
        state = await stage.gateway.ask("bet.get", {"bet": bet["id"]})
        assert (state["status"], state["cashed_out_m"], state["cashed_out_stake_m"]) == ("cashed_out", 918, 1_000)
        assert (await stage.gateway.ask("account.get", {"customer": "anna"}))["cash_m"] == 899_918
        await check(fresh_nats, service)


async def test_the_greatest_stake_is_named_with_what_limits_it_and_is_accepted(fresh_nats: NatsServer) -> None:
    async with running(fresh_nats, limits__liability_market_max_m=30_000) as service, staged(fresh_nats) as stage:
        legs = [await stage.market("f")]
        most = await stage.gateway.ask("bet.max-stake", {"customer": "anna", "legs": legs})
        assert (most["type"], most["stake_m"], most["reason"]) == ("max_stake", 30_000, "LIABILITY_MARKET")
        assert (await stage.place(stage.gateway.bet(legs=legs, stake_m=30_001)))["reason"] == "LIABILITY_MARKET"
        partly = stage.gateway.bet(legs=legs, stake_m=40_000, partial=True)
        assert (await stage.place(partly))["stake_m"] == 30_000
        assert (await stage.gateway.ask("bet.max-stake", {"customer": "anna", "legs": legs}))["stake_m"] == 0
        await check(fresh_nats, service)


@WIRES
async def test_a_system_is_taken_by_its_name_and_paid_by_its_lines(fresh_nats: NatsServer, wire: Wire) -> None:
    """Four at 2.00, each line 1.00, one loses: of a Lucky 15 the lines of the other three win: 3 x 2 + 3 x 4 + 8."""
    async with running(fresh_nats) as service, staged(fresh_nats) as stage:
        legs = [await stage.market(fixture) for fixture in "abcd"]
        bet = stage.gateway.bet(legs=legs, stake_m=100, unit_stake=True, kind="lucky15", lines=15)
        answer = await stage.place(bet, wire)
        assert (answer["type"], answer["lines"], answer["stake_m"]) == ("accepted", 15, 1_500)
        assert answer["payout_m"] == 8_000  # 3 ** 4 - 1 lines' worth
        for fixture, winner in zip("abcd", (1, 1, 1, 0), strict=True):
            results = [["home", winner], ["away", 1 - winner]]
            await stage.desk.done("desk.market.settle", fixture=fixture, market="m", results=results)
        notice = await stage.told()
        assert (notice["type"], notice["status"], notice["paid_m"]) == ("settled", "won", 2_600)
        state = await stage.gateway.ask("bet.get", {"bet": bet["id"]}, wire)
        assert (state["kind"], state["lines"], state["paid_m"]) == ("lucky15", 15, 2_600)
        await check(fresh_nats, service)


async def test_a_race_of_a_feed_is_settled_by_its_finish(fresh_nats: NatsServer) -> None:
    """Red wins at 6.00, its starting price 5.00; Grey is withdrawn at 5.00, after the bets: 20 pence in the pound."""
    count = 0

    def feed(kind: str, **fields: object) -> bytes:
        nonlocal count
        count += 1
        head = {"type": kind, "provider": "p", "producer": "1", "sequence": count, "ts_ms": now_ms()}
        return JSON.encode(head | fields)

    names = ["red", "blue", "green", "black", "white", "grey"]
    race: Row = {"name": "3.15", "sport": "racing", "competition": "Ascot", "start_ms": now_ms() + 10**6}
    where: Row = {"fixture": "race", "market": "win"}
    market: Row = {"market_type": "win", "name": "Winner", "status": "active", "each_way": [], "starting_price": True}
    prices: Row = {"selections": [[name, name.title(), 60_000] for name in names]}
    async with (
        running(fresh_nats) as service,
        staged(fresh_nats) as stage,
        asker(fresh_nats, Role.INGESTOR) as ingestor,
    ):

        async def publish(*messages: bytes) -> None:
            for message in messages:
                await ingestor.client.publish("feed.p.1", message)
            await ingestor.client.flush()

        def bet(selection: str, **fields: object) -> Row:
            leg = where | {"selection": selection, "price": 60_000, "starting_price": "starting" in fields}
            return stage.gateway.bet(legs=[leg], each_way="each_way" in fields)

        await publish(
            feed("recovery_begin"),
            feed("fixture", fixture="race", **race),
            feed("market", **where | market | prices),
            feed("recovery_end"),
        )

        async def offered() -> bool:
            return bool((await stage.gateway.ask("odds.get", where)).get("status") == "open")

        await until(offered)
        bets = {
            "win": bet("red"),
            "starting": bet("red", starting=True),
            "each way": bet("blue", each_way=True),
            "withdrawn": bet("grey"),
        }
        for each in bets.values():
            assert (await stage.place(each))["type"] == "accepted", each
        after_ms = now_ms() + 1_000
        await publish(
            feed("withdrawal", **where, selection="grey", price=50_000, at_ms=after_ms),
            feed("starting_prices", **where, prices=[["red", 50_000]]),
        )
        first = await stage.told()
        assert (first["id"], first["status"], first["paid_m"]) == (bets["withdrawn"]["id"], "void", 1_000)
        finish = [["red"], ["blue"], ["green"], ["black"], ["white"]]
        await publish(feed("score", fixture="race", score={"sport": "race", "order": finish, "withdrawn": ["grey"]}))
        told = [await stage.told() for _ in range(3)]
        assert {notice["id"]: (notice["status"], notice["paid_m"]) for notice in told} == {
            bets["win"]["id"]: ("won", 5_000),
            bets["starting"]["id"]: ("won", 5_000),
            bets["each way"]["id"]: ("won", 1_000),
        }
        await check(fresh_nats, service)


async def test_a_bet_that_is_forgotten_is_told_from_postgres_as_the_engine_told_it(
    fresh_nats: NatsServer, fresh_database: str
) -> None:
    async with running(fresh_nats, postgres__url=fresh_database) as service, staged(fresh_nats) as stage:
        legs = [await stage.market(fixture) for fixture in "abc"]
        sold = stage.gateway.bet(legs=legs[:1])
        system = stage.gateway.bet(legs=legs, stake_m=4_000, kind="trixie")
        waited = stage.gateway.bet(legs=[await stage.market("d", delay_ms=1)])
        for bet in (sold, system, waited):
            await stage.place(bet)
        assert (await stage.told())["id"] == waited["id"]
        asked: Row = {"customer": "anna", "bet": sold["id"]}
        quote = await stage.gateway.ask("bet.cash-out.quote", asked | {"share_bp": 5_000})
        await stage.gateway.done("bet.cash-out.take", **asked, offer_m=quote["offer_m"])
        for fixture in "ab":
            results = [["home", 1], ["away", 0]]
            await stage.desk.done("desk.market.settle", fixture=fixture, market="m", results=results)

        async def settled() -> bool:
            # the second market, on which only the system is, too
            return bool(await stage.status(sold) == "won" and not service.engine.book.settling)

        await until(settled)
        states = [await stage.gateway.ask("bet.get", {"bet": bet["id"]}) for bet in (sold, system, waited)]
        assert [(state["status"], state.get("cashed_out_stake_m", 0)) for state in states] == [
            ("won", 500),
            ("open", 0),
            ("open", 0),
        ]
        await check(fresh_nats, service)
        projector = service.status.projector
        assert projector is not None
        await asyncio.wait_for(projector.catch_up(service.engine.book.event_no), 20)
        for state in states:
            del service.engine.book.bets[state["id"]]  # as if forgotten
            assert await stage.gateway.ask("bet.get", {"bet": state["id"]}) == state


RACE: Row = {"fixture": "race", "market": "win"}
RUNNERS = [f"r{number}" for number in range(1, 9)]
RESULTS = [[name, int(name == "r1"), 0, 1, 1, place] for place, name in enumerate(RUNNERS, 1)]
ANNA: Row = {"customer": "anna"}
OWN: Row = ANNA | {"kind": "stake", "period": "day"}
BANK: Row = ANNA | {"amount_m": 10_000, "provider": "bank"}


def on(selection: str, **fields: object) -> Row:
    """A bet of 10.00 on a runner at 5.00."""
    return ANNA | {"stake_m": 1_000, "legs": [RACE | {"selection": selection, "price": 50_000}]} | fields


TRADED: Row = {"fixture": "race", "market": "exchange"}


def order(**fields: Any) -> Row:
    asked: Row = {"selection": "r1", "side": "back", "price": 20_000, "stake_m": 1_000}
    return ANNA | TRADED | asked | fields


STORY: list[tuple[str, Row, str]] = [
    ("desk.rate.set", {"currency": "GBP", "rate": 1_150_000}, "done"),
    ("account.open", {"customer": "bob", "currency": "GBP"}, "done"),
    ("account.deposit", BANK, "done"),
    ("account.withdraw", BANK, "done"),
    ("account.reserve", BANK | {"id": "r-1", "hold_until_ms": 4 * 10**12}, "done"),
    ("account.post", ANNA | {"reserve": "r-1", "amount_m": 4_000}, "done"),
    ("account.reserve", BANK | {"id": "r-2", "hold_until_ms": 4 * 10**12}, "done"),
    ("account.void", ANNA | {"reserve": "r-2"}, "done"),
    ("account.limit.set", OWN | {"limit_m": 500_000}, "done"),
    ("account.limit.set", OWN | {"limit_m": 600_000}, "done"),
    ("account.limit.confirm", OWN, "OWN_LIMIT_NOT_DUE"),
    ("account.limits", ANNA, "own_limits"),
    ("desk.customer.verify", ANNA | {"verified": True, "reason": "passport"}, "done"),
    ("desk.customer.status", ANNA | {"suspended": False, "reason": "none"}, "done"),
    ("desk.customer.factor", ANNA | {"factor_bp": 5_000, "sport": "racing", "phase": "in_play"}, "done"),
    (
        "desk.fixture.define",
        {"fixture": "race", "name": "3.15", "sport": "racing", "competition": "Ascot", "start_ms": 4 * 10**12},
        "done",
    ),
    (
        "desk.market.define",
        RACE
        | {"market_type": "win", "name": "Winner", "each_way": []}
        | {"selections": [[name, name.title()] for name in RUNNERS]},
        "done",
    ),
    *(("desk.price.set", RACE | {"selection": name, "price": 50_000}, "done") for name in RUNNERS),
    ("desk.market.open", RACE, "done"),
    ("desk.limit.set", {"sport": "racing", "stake_max_m": 100_000, "ramp": [[86_400_000, 5_000]]}, "done"),
    ("odds.get", RACE, "image"),
    ("desk.bonus.free-bet", ANNA | {"token": "t-1", "stake_m": 500, "ends_ms": 4 * 10**12}, "done"),
    (
        "desk.bonus.match",
        ANNA | {"bonus": "b-1", "deposit_m": 50_000, "bonus_m": 7_500, "times": 4, "ends_ms": 4 * 10**12},
        "done",
    ),
    ("account.bonuses", ANNA, "bonuses"),
    ("desk.bonus.cancel", ANNA | {"bonus": "b-1", "reason": "asked for"}, "done"),
    ("bet.place", on("r1", id="bet-1"), "accepted"),
    ("bet.place", on("r2", id="bet-2", each_way=True, stake_m=500, unit_stake=True, lines=2), "accepted"),
    ("bet.place", on("r3", id="bet-3", stake_m=500, free_bet="t-1"), "accepted"),
    ("bet.place", on("r4", id="bet-4"), "accepted"),
    ("bet.place", on("r5", id="bet-5"), "accepted"),
    ("bet.place", on("r6", id="bet-6", stake_m=60_000), "STAKE_TOO_LARGE"),
    ("bet.place", on("r6", id="bet-7", stake_m=60_000, refer=True), "pending"),
    ("bet.place", on("r7", id="bet-8", stake_m=60_000, refer=True), "pending"),
    ("bet.max-stake", ANNA | {"legs": on("r1")["legs"]}, "max_stake"),
    ("bet.get", {"bet": "bet-7"}, "bet"),
    ("desk.bet.answer", {"bet": "bet-7", "action": "offer", "stake_m": 55_000}, "done"),
    ("bet.offer.take", ANNA | {"bet": "bet-7"}, "done"),
    ("bet.offer.decline", ANNA | {"bet": "bet-8"}, "done"),
    ("bet.cash-out.quote", ANNA | {"bet": "bet-4"}, "cash_out"),
    ("bet.cash-out.take", ANNA | {"bet": "bet-4", "offer_m": 1}, "CASH_OUT_CHANGED"),
    ("bet.cancel", ANNA | {"bet": "bet-4"}, "done"),
    ("desk.bet.void", {"bet": "bet-5", "reason": "palpable error"}, "done"),
    ("desk.market.starting-prices", RACE | {"prices": [["r1", 55_000]]}, "done"),
    ("desk.market.suspend", RACE, "done"),
    ("desk.selection.withdraw", RACE | {"selection": "r8", "price": 50_000, "at_ms": 4 * 10**12}, "done"),
    ("desk.market.settle", RACE | {"results": RESULTS}, "done"),
    ("desk.market.rollback", RACE | {"what": "results", "reason": "objection"}, "done"),
    ("desk.fixture.settle", {"fixture": "race", "score": {"sport": "race", "order": [[n] for n in RUNNERS]}}, "done"),
    ("desk.market.void", RACE | {"reason": "false start"}, "done"),
    (
        "desk.market.define",
        TRADED | {"market_type": "win", "name": "Winner", "exchange": {}, "selections": [["r1", "R1"], ["r2", "R2"]]},
        "done",
    ),
    ("desk.market.open", TRADED, "done"),
    ("order.place", order(id="order-1"), "order"),
    ("order.place", order(id="order-2", persistence="persist"), "order"),
    ("order.place", order(id="order-3", price=20_100), "PRICE_NOT_ON_LADDER"),
    ("order.reduce", ANNA | {"order": "order-1", "by_m": 100}, "cancelled"),
    ("order.replace", ANNA | {"id": "order-4", "order": "order-1", "price": 22_000}, "order"),
    ("order.cancel", ANNA | {"order": "order-4"}, "cancelled"),
    ("order.cancel", ANNA | {"order": "order-4"}, "ORDER_UNKNOWN"),
    ("order.batch", ANNA | TRADED | {"instructions": [{"do": "cancel", "order": "order-4"}]}, "orders"),
    ("order.get", {"order": "order-2"}, "order_state"),
    ("order.list", ANNA | TRADED, "order_states"),
    ("order.book", TRADED, "book"),
    ("desk.market.in-play", TRADED, "done"),
    ("order.cancel-all", ANNA | TRADED, "cancelled"),
    ("account.get", ANNA, "account"),
    ("account.exclude", ANNA | {"kind": "time_out", "until_ms": 4 * 10**12}, "done"),
    ("bet.place", on("r1"), "TIMED_OUT"),
]
"""Subject, fields, and the answer's type or reason."""


def test_the_story_asks_for_everything_there_is() -> None:
    assert {subject for subject, _, _ in STORY} == REQUESTS.keys()


@WIRES
async def test_everything_that_can_be_asked_is_answered(fresh_nats: NatsServer, wire: Wire) -> None:
    async with running(fresh_nats, limits__cancel_window_ms=60_000) as service, staged(fresh_nats) as stage:
        for subject, fields, answered in STORY:
            of_desk = subject.startswith("desk.")
            client = stage.desk if of_desk else stage.gateway
            command = "expires_ms" in REQUESTS[subject].message.__struct_fields__
            author: Row = {"author": "tom"} if of_desk else {}
            message = client.command(**author | fields) if command else fields
            answer = await client.ask(subject, message, wire)
            assert answered in (answer["type"], answer.get("reason")), (subject, answer)
            if command:
                assert await client.ask(subject, message, wire) == answer, subject
        await check(fresh_nats, service)
        account = await stage.gateway.ask("account.get", ANNA)
        assert (account["open_stakes_m"], account["reserved_m"], account["cash_m"]) == (0, 0, 896_000)
