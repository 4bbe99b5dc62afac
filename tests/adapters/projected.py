"""A journal in memory, a world that uses every event, and a projector to run: for the tests around Postgres."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from adapters import postgres
from adapters.journal.reader import Stored
from adapters.postgres import audit as auditing
from adapters.postgres.projector import Projector
from config.settings import Settings, load
from core.engine import Engine
from core.grading.scores import FootballScore
from core.limits import Limits
from core.messages import commands as co
from core.messages import feed as fe
from core.messages.answers import Accepted, Cancelled, CashOutQuote, Done, OrderReport, OrderReports, Rejected
from core.messages.events import BATCH_FORMAT, Batch, Event
from core.messages.queries import GetCashOut
from core.messages.results import EachWay, Result
from tests.core.exchange.trading import batch, exchange, placed
from tests.core.world import World, half_lost, leg, void, won

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence

    from core.book import Book

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Batch).decode


class FakeJournal:
    """The journal that the projector follows, in memory; grows by `append`."""

    def __init__(self) -> None:
        self.stored: list[Stored] = []
        self.events = 0
        self.read = 0
        """Batches handed out, in all."""
        self._grown = asyncio.Event()

    def append(self, events: Sequence[Event]) -> None:
        data = _encode(Batch(BATCH_FORMAT, self.events + 1, list(events)))
        self.stored.append(Stored(len(self.stored) + 1, _decode(data), len(data), data))
        self.events += len(events)
        self._grown.set()

    def fill(self, events: Sequence[Event], batch_events: int = 7) -> None:
        """In batches of an odd size, so that what belongs together is torn apart."""
        for start in range(0, len(events), batch_events):
            self.append(events[start : start + batch_events])

    async def batches(self, after: int = 0) -> AsyncGenerator[Stored, None]:
        """Those that are there."""
        for stored in self.stored[after:]:
            self.read += 1
            yield stored

    async def follow(self, after: int) -> AsyncGenerator[Stored, None]:
        while True:
            self._grown.clear()
            async for stored in self.batches(after):
                yield stored
                after = stored.sequence
            await self._grown.wait()

    async def end(self) -> tuple[int, int]:
        return len(self.stored), self.events


def settings_of(url: str, **changed: object) -> Settings:
    """Settings with quick retries; `changed` are of the section projector."""
    overrides = {"postgres.url": url, "projector.retry_max_ms": 200, "postgres.connect_timeout_ms": 2000}
    return load(environ={}, overrides={**overrides, **{f"projector.{name}": value for name, value in changed.items()}})


@asynccontextmanager
async def running(settings: Settings, journal: FakeJournal) -> AsyncIterator[Projector]:
    """A projector at work, until the end of the block."""
    projector = Projector(settings, journal)
    task = asyncio.create_task(projector.run())
    try:
        yield projector
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def project(url: str, journal: FakeJournal, **changed: object) -> None:
    """Everything that the journal holds, within 20 s."""
    async with asyncio.timeout(20), running(settings_of(url, **changed), journal) as projector:
        await projector.catch_up(journal.events)


async def audited(url: str, journal: FakeJournal, book: Book | None = None, after: int = 0) -> auditing.Report:
    """What `tictac audit` finds; `book`: a snapshot's, behind batch `after`."""
    connection = await postgres.connect(settings_of(url).postgres)
    report = auditing.Report()
    await auditing.audit(connection, Engine(Limits(), book), journal.batches(after), report)
    await connection.close()
    return report


def busy_world() -> World:
    """A day on which everything happens that an event exists for."""
    world = World(
        cancel_window_ms=5_000,
        retention_ms=60_000,
        archive_after_ms=60_000,
        offer_max_ms=60_000,
        own_limit_wait_ms=1_000,
        payout_max_m=100_000,
    )
    for name in ("ann", "bob", "cid", "dan", "eve"):
        world.customer(name, 100_000)
    _payments(world)
    for number in range(4):
        world.market(f"match{number}/winner", home=21_500, draw=33_000, away=34_000)
    world.fed_market("race/win", red=50_000, blue=15_000)
    world.feed(fe.Rollback, fixture="race", markets=("win",), what="cancel")
    _bets(world)
    _limits(world)
    _results(world)
    _protection(world)
    _waiting(world)
    _bonuses(world)
    _races(world)
    _sold(world)
    _trading(world)
    _scored(world)
    world.wait(61_000)
    world.run()
    world.done(co.SetCustomerStatus, customer="cid", suspended=True, reason="asked for it")
    _last_day(world)
    world.check()
    return world


def _payments(world: World) -> None:
    world.done(co.Withdraw, customer="ann", amount_m=1_000, provider="bank")
    for number, hold_ms in enumerate((1_000, 3_600_000, 3_600_000, 3_600_000)):
        hold = world.now + hold_ms
        world.done(co.Reserve, id=f"r{number}", customer="bob", amount_m=500, provider="card", hold_until_ms=hold)
    world.done(co.PostReserve, customer="bob", reserve="r1", amount_m=300)
    world.done(co.VoidReserve, customer="bob", reserve="r2")
    world.wait(1_500)
    world.run()  # r0 runs out, r3 stays
    assert isinstance(world.command(co.PostReserve, customer="bob", reserve="r9", amount_m=1), Rejected)


def _bets(world: World) -> None:
    for number in range(4):
        path = f"match{number}/winner"
        for customer, selection, price in (("ann", "home", 21_500), ("bob", "draw", 33_000), ("cid", "away", 34_000)):
            world.bet(customer, 1_000 + number, (path, selection, price), id=f"single-{number}-{customer}")
    world.bet("ann", 700, ("match0/winner", "home", 21_500), ("match1/winner", "home", 21_500), id="double")
    world.bet("bob", 900, ("match2/winner", "draw", 33_000), ("race/win", "blue", 15_000), id="mixed")
    world.bet("cid", 400, ("race/win", "red", 50_000), id="feed")
    world.bet("ann", 200, ("match3/winner", "home", 21_500), id="taken-back")
    world.done(co.CancelBet, customer="ann", bet="taken-back")
    world.bet("bob", 250, ("match3/winner", "away", 34_000), id="palpable")
    world.done(co.VoidBet, bet="palpable", reason="wrong price")
    assert isinstance(world.place("ann", 5, ("match0/winner", "home", 21_500), id="too-small"), Rejected)
    assert isinstance(world.place("ann", 500, ("match0/winner", "home", 29_000), id="moved"), Rejected)
    assert isinstance(world.place("ann", 501, ("match1/winner", "home", 21_500), id="double"), Rejected)


def _results(world: World) -> None:
    world.wait(100)
    world.settle("match0/winner", won("home"))
    world.settle("match1/winner", won("home"))
    world.settle("match1/winner", half_lost("home"), void("away"))
    world.settle("match2/winner", won("home"))
    world.roll_back("match2/winner")
    world.cancel("match3/winner", to_ms=world.now + 1)
    world.roll_back("match3/winner", "cancel")
    world.cancel("match3/winner", from_ms=world.now - 10, to_ms=world.now)
    world.settle("match3/winner", won("away"))
    world.market("match9/winner", home=20_000, away=20_000)
    world.settle("match9/winner", won("home"))
    world.wait(61_000)
    world.run()
    # match9 was forgotten; the same ids begin anew.
    world.market("match9/winner", home=18_000, away=22_000)
    world.bet("ann", 300, ("match9/winner", "away", 22_000), id="second-life")


def _limits(world: World) -> None:
    """Settings of every kind of node, some of them changed or taken back; match9's are forgotten with it."""
    world.market("match9/winner", home=20_000, away=20_000)
    nodes: tuple[dict[str, str], ...] = (
        {},
        {"sport": "football"},
        {"sport": "football", "competition": "cup"},
        {"sport": "football", "market_type": "winner"},
        {"fixture": "race"},
        {"fixture": "race", "market": "win"},
        {"fixture": "race", "market": "win", "selection": "red"},
        {"fixture": "match9"},
        {"fixture": "match9", "market": "winner", "selection": "home"},
    )
    for number, node in enumerate(nodes):
        world.done(co.SetLimit, **node, liability_max_m=1_000_000 + number)
    world.done(
        co.SetLimit, fixture="race", stake_max_m=90_000, ramp=(co.Ramp(3_600_000, 5_000), co.Ramp(60_000, 7_500))
    )
    world.done(co.SetLimit, sport="football", market_type="winner")
    for factor_bp in (5_000, 10_000):
        world.done(co.SetCustomerFactor, customer="bob", factor_bp=factor_bp, sport="tennis", phase="in_play")
    world.done(co.SetCustomerFactor, customer="bob", factor_bp=20_000)
    for rate in (1_100_000, 900_000):
        world.done(co.SetRate, currency="USD", rate=rate)
    world.done(co.OpenCustomer, customer="fay", currency="USD")
    world.done(co.Deposit, customer="fay", amount_m=50_000, provider="bank")
    world.market("abroad/winner", home=20_000, away=20_000)
    world.bet("fay", 700, ("abroad/winner", "home", 20_000), id="abroad")


def _protection(world: World) -> None:
    world.done(co.VerifyCustomer, customer="dan", verified=True, reason="passport")
    world.done(co.VerifyCustomer, customer="eve", verified=True, reason="passport")
    world.done(co.VerifyCustomer, customer="eve", verified=False, reason="forged")
    own: dict[str, Any] = {"customer": "dan", "kind": "deposit", "period": "week"}
    world.done(co.SetOwnLimit, **own, limit_m=50_000)
    world.done(co.SetOwnLimit, **own, limit_m=60_000)
    world.wait(1_000)
    world.done(co.ConfirmOwnLimit, **own)
    for limit_m in (9_000, 0):
        world.done(co.SetOwnLimit, customer="dan", kind="loss", period="month", limit_m=limit_m)
    world.wait(1_000)
    world.done(co.ConfirmOwnLimit, customer="dan", kind="loss", period="month")
    for limit_m in (5_000, 8_000):
        world.done(co.SetOwnLimit, customer="dan", kind="stake", period="day", limit_m=limit_m)
    world.done(co.ExcludeCustomer, customer="eve", kind="time_out", until_ms=world.now + 10)
    world.done(co.ExcludeCustomer, customer="eve", kind="self_exclusion", until_ms=world.now + 10**9)


def _waiting(world: World) -> None:
    """Every way in which a bet can wait, and end."""
    world.defined("slow/winner", {"home": 21_500, "away": 17_000}, delay_ms=5_000)
    slow = ("slow/winner", "home", 21_500)
    world.waiting("ann", 300, slow, id="delayed-taken")
    world.wait(5_000)
    world.run()
    world.waiting("ann", 300, slow, id="delayed-refused")
    world.price("slow/winner", "home", 20_000)
    world.wait(5_000)
    world.run()
    world.defined("high/winner", {"home": 20_000, "away": 20_000})
    world.done(co.SetLimit, fixture="high", market="winner", stake_max_m=100)
    high = ("high/winner", "home", 20_000)
    for name in ("accepted", "declined", "withdrawn", "expired", "offer-taken", "offer-declined", "offer-expired"):
        world.waiting("bob", 400, high, id=name, refer=True)
    assert isinstance(world.place("bob", 500, high, id="expired"), Rejected)  # the id of a bet that waits
    assert isinstance(world.judge("accepted", "accept", reason="known to us"), Done)
    assert isinstance(world.judge("declined", "decline", reason="too much"), Done)
    assert isinstance(world.decline("bob", "withdrawn"), Done)
    for name in ("offer-taken", "offer-declined", "offer-expired"):
        assert isinstance(world.judge(name, "offer", stake_m=150, prices=(19_000,)), Done)
    assert isinstance(world.take("bob", "offer-taken"), Done)
    assert isinstance(world.decline("bob", "offer-declined"), Done)
    world.wait(60_000)
    world.run()
    assert not world.book.pending


def _bonuses(world: World) -> None:
    """Tokens that are staked, given back, run out and are taken back; bonuses likewise."""
    world.market("cup/winner", home=20_000, away=20_000)
    world.market("cup/void", home=20_000, away=20_000)
    for token, for_ms in (("used", 10**9), ("back", 10**9), ("lapses", 500), ("cancelled", 10**9), ("waits", 10**9)):
        ends_ms = world.now + for_ms
        world.done(co.GrantFreeBet, customer="cid", token=token, stake_m=200, ends_ms=ends_ms, price_min=15_000)
    world.bet("cid", 200, ("cup/winner", "home", 20_000), free_bet="used", id="free")
    world.bet("cid", 200, ("cup/void", "home", 20_000), free_bet="back", id="free-void")
    world.defined("later/winner", {"home": 20_000, "away": 20_000}, delay_ms=100)
    world.waiting("cid", 200, ("later/winner", "home", 20_000), free_bet="waits", id="free-delayed")
    world.wait(100)
    world.run()
    for bonus, for_ms, times in (("paid", 10**9, 1), ("lapsed", 600, 9), ("withheld", 10**9, 9), ("runs", 10**9, 9)):
        world.done(
            co.GrantBonus,
            customer="ann",
            bonus=bonus,
            deposit_m=500,
            bonus_m=75,
            times=times,
            ends_ms=world.now + for_ms,
            price_min=18_000,
        )
    world.wait(1)
    world.bet("ann", 600, ("cup/winner", "away", 20_000), id="wagered")
    world.wait(10)
    for name, customer in (("cancelled", "cid"), ("withheld", "ann")):
        world.done(co.CancelBonus, customer=customer, bonus=name, reason="misused")
    world.settle("cup/winner", won("home"))
    world.cancel("cup/void")
    world.wait(1_000)
    world.run()


def _done_at(world: World, path: str, kind: type[co.DeskCommand], **fields: Any) -> None:
    assert isinstance(world.desk(kind, path, **fields), Done)


def _races(world: World) -> None:
    """Each-way, withdrawals with Rule 4, a price at the off, a leg that is taken back, a payout above the most."""
    runners = {f"r{number}": 50_000 for number in range(8)}
    for name in ("ascot", "epsom"):
        world.race(f"{name}/win", terms=EachWay(), **runners)
    legs = (("ascot/win", "r0", 50_000), ("epsom/win", "r0", 50_000))
    world.bet("ann", 400, *legs, each_way=True, id="each-way")
    mixed = (leg(*legs[0]), leg(*legs[1], starting_price=True))
    assert isinstance(world.command(co.PlaceBet, customer="ann", stake_m=300, legs=mixed, id="at-the-off"), Accepted)
    off = (leg("epsom/win", "r0", 50_000, starting_price=True),)
    assert isinstance(world.command(co.PlaceBet, customer="cid", stake_m=20_000, legs=off, id="capped"), Accepted)
    world.bet("bob", 100, *legs, id="leg-void")
    world.done(co.VoidBet, bet="leg-void", reason="wrong terms", leg=1)
    world.wait(10)
    for runner, price in (("r5", 20_000), ("r6", 30_000)):
        _done_at(world, "ascot/win", co.WithdrawSelection, selection=runner, price=price, at_ms=world.now)
    world.run()
    world.roll_back("ascot/win", "withdrawals")
    _done_at(world, "ascot/win", co.WithdrawSelection, selection="r7", price=40_000, at_ms=world.now)
    world.run()
    for price in (45_000, 80_000):
        _done_at(world, "epsom/win", co.SetStartingPrices, prices=(co.NamedPrice("r0", price),))
    for path in ("ascot/win", "epsom/win"):
        world.settle(path, Result("r0", 1, position=1), Result("r1", 0, position=2), void("r7"))


def _sold(world: World) -> None:
    """A bet that is sold by halves, one that is sold in part and then settled, and systems."""
    for number in range(4):
        world.market(f"day{number}/winner", home=20_000, away=20_000)
    for name in ("sold", "half-sold"):
        world.bet("dan", 1_000, ("day0/winner", "home", 20_000), id=name)
        _sell(world, "dan", name, 5_000)
    _sell(world, "dan", "sold", 10_000)
    legs = tuple((f"day{number}/winner", "home", 20_000) for number in range(4))
    world.bet("dan", 1_100, *legs, kind="yankee", id="yankee")
    ways = tuple(leg(*each, banker=each is legs[0]) for each in legs)
    system = world.command(co.PlaceBet, customer="dan", stake_m=600, legs=ways, folds=(1, 2), id="banker")
    assert isinstance(system, Accepted)
    world.settle("day0/winner", won("home"))
    world.settle("day1/winner", won("away"))


def _sell(world: World, customer: str, bet: str, share_bp: int) -> None:
    quote = world.send(GetCashOut(customer, bet, share_bp))
    assert isinstance(quote, CashOutQuote), quote
    world.done(co.CashOut, customer=customer, bet=bet, offer_m=quote.offer_m)


def _scored(world: World) -> None:
    """A match that is settled by its score, corrected, with a bet builder over two of its markets."""
    named = {"1": 21_500, "x": 33_000, "2": 34_000}
    goals = {"market_type": "total_goals", "specifiers": {"line": "2.5"}}
    world.defined("derby/result", named, market_type="match_result")
    world.defined("derby/goals", {"over": 19_000, "under": 19_000}, **goals)
    parts = (("result", "1"), ("goals", "over"))
    world.defined("derby/builder", {"both": 40_000}, market_type="builder", parts=parts)
    world.defined("later/outright", {"home": 40_000, "away": 20_000})
    world.fixture("later", outright_of="cup")
    world.bet("dan", 300, ("derby/builder", "both", 40_000), id="built")
    world.bet("dan", 300, ("derby/goals", "over", 19_000), id="over")
    for final in ((1, 0), (2, 1)):
        world.done(co.SettleFixture, fixture="derby", score=FootballScore(final), reason="full time")
        world.run()


def _trading(world: World) -> None:
    """Exchange markets: one that is settled, corrected and forgotten, one with everything still in it."""
    for name in ("hal", "ivy", "jon"):
        world.customer(name, 1_000_000)
    for path in ("trade/past", "trade/live"):
        exchange(world, path, starting_price=True, commission_bp=500, delay_ms=10)
        placed(world, "hal", "home", "back", 30_000, 1_000, path, persistence="persist")
        placed(world, "ivy", "home", "lay", 30_000, 400, path)
        placed(world, "jon", "draw", "back", 27_000, 1_000, path)
        placed(world, "ivy", "away", "back", 27_000, 1_000, path)  # across
        placed(world, "hal", "home", "back", 0, 500, path, kind="on_close")
        placed(world, "jon", "home", "lay", 40_000, 1_500, path, kind="on_close")
        placed(world, "jon", "away", "lay", 20_000, 900, path, id=f"{path} rests")
        assert isinstance(world.command(co.ReduceOrder, customer="jon", order=f"{path} rests", by_m=100), Cancelled)
        replacing = {"id": f"{path} moved", "customer": "jon", "order": f"{path} rests", "price": 21_000}
        assert isinstance(world.command(co.ReplaceOrder, **replacing), OrderReport)
        steps = (
            co.Place(f"{path} in a batch", "draw", "back", 300, 60_000),
            co.Reduce(f"{path} moved", 100),
            co.Cancel("nothing"),
            co.Cancel(f"{path} moved"),
        )
        assert isinstance(batch(world, "jon", *steps, path=path), OrderReports)
        world.done(co.TurnInPlay, fixture="trade", market=path[6:])
        world.run()
        placed(world, "hal", "draw", "lay", 60_000, 200, path)
    world.wait(10)
    world.run()
    world.desk(co.WithdrawSelection, "trade/live", selection="away", price=0, at_ms=world.now, reduction_bp=1_000)
    world.run()
    world.settle("trade/past", won("home"))
    world.settle("trade/past", won("draw"))
    world.roll_back("trade/past")
    world.settle("trade/past", won("home"))


def _last_day(world: World) -> None:
    """What is still under way when the journal ends."""
    placed(world, "hal", "draw", "back", 60_000, 200, "trade/live", id="waits")
    world.defined("open/winner", {"home": 20_000, "away": 20_000}, delay_ms=15_000)
    world.defined("open/limited", {"home": 20_000, "away": 20_000})
    world.done(co.SetLimit, fixture="open", market="limited", stake_max_m=100)
    world.waiting("ann", 250, ("open/winner", "home", 20_000), id="still-delayed")
    for name in ("still-referred", "still-offered"):
        world.waiting("ann", 500, ("open/limited", "home", 20_000), id=name, refer=True)
    assert isinstance(world.judge("still-offered", "offer", stake_m=300, prices=(19_500,), reason="less"), Done)
    runners = {f"r{number}": 50_000 for number in range(8)}
    world.race("york/win", terms=EachWay(2, 1, 4, handicap=True), **runners)
    _done_at(world, "york/win", co.WithdrawSelection, selection="r7", price=90_000, at_ms=world.now)
    _done_at(world, "york/win", co.SetStartingPrices, prices=(co.NamedPrice("r1", 52_500),))
    world.bet("ann", 100, ("york/win", "r1", 50_000), id="running", each_way=True)
    world.bet("ann", 100, ("york/win", "r2", 50_000), ("abroad/winner", "away", 20_000), id="part-void")
    world.done(co.VoidBet, bet="part-void", reason="wrong terms", leg=0)
    assert isinstance(world.place("bob", 5, ("abroad/winner", "home", 20_000), id="too-small-today"), Rejected)
    assert isinstance(world.place("bob", 500, ("abroad/winner", "home", 29_000), id="moved-today"), Rejected)
