"""The projector against a real PostgreSQL: every event lands in its tables, once, whatever happens on the way."""

from __future__ import annotations

import asyncio
import gc
import random
import time
from typing import TYPE_CHECKING

import asyncpg
import pytest

from adapters import postgres
from adapters.embedded import PostgresServer
from adapters.postgres import projector as projecting
from adapters.postgres import tables
from adapters.postgres.folding.events import fold
from adapters.postgres.projector import Projector, State
from adapters.postgres.slices import INSERTS, Position, Slice
from core import queries
from core.engine import Engine
from core.messages import commands as co
from core.messages.answers import BetState, OrderReport, OrderState, Rejected
from core.messages.events import Event, MarketArchived
from tests.adapters.projected import FakeJournal, audited, busy_world, project, running, settings_of
from tests.core.world import World, won

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


async def differences(url: str, journal: FakeJournal) -> list[str]:
    """What `tictac audit` finds."""
    report = await audited(url, journal)
    assert report.events == journal.events
    return report.lines


async def until(condition: Callable[[], bool], what: str, seconds: float = 20) -> None:
    try:
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110  (several parties change it)
                await asyncio.sleep(0.01)
    except TimeoutError:
        pytest.fail(f"not within {seconds} s: {what}")


@pytest.fixture
def journal() -> FakeJournal:
    return FakeJournal()


def test_the_busy_world_uses_every_event() -> None:
    used = {type(event) for event in busy_world().events}
    assert {kind.__name__ for kind in set(Event.__args__) - used} == set()


@pytest.mark.parametrize("slice_events_max", [1, 13, 20_000])
async def test_the_tables_say_what_the_engine_knows(
    fresh_database: str, journal: FakeJournal, slice_events_max: int
) -> None:
    journal.fill(busy_world().events)
    await project(fresh_database, journal, slice_events_max=slice_events_max)
    assert await differences(fresh_database, journal) == []


async def test_every_table_is_written(fresh_database: str, journal: FakeJournal) -> None:
    journal.fill(busy_world().events)
    await project(fresh_database, journal)
    connection = await asyncpg.connect(fresh_database)
    empty = [
        table
        for table in (*INSERTS, "settlements", "fixtures", "markets", "selections", "house_accounts", "rejections")
        if not await connection.fetchval(f"SELECT EXISTS (SELECT FROM {table})")  # noqa: S608  (our own names)
    ]
    await connection.close()
    assert empty == []


async def test_balances_after_a_won_single(fresh_database: str, journal: FakeJournal) -> None:
    world = World()
    world.customer("ann", 10_000)
    world.market("match/winner", home=21_500, away=17_000)
    world.bet("ann", 1_000, ("match/winner", "home", 21_500), id="b1")
    journal.append(world.events)
    await project(fresh_database, journal)
    connection = await asyncpg.connect(fresh_database)
    accounts = "SELECT account, balance_m::bigint FROM accounts WHERE balance_m <> 0 ORDER BY 1"
    open_bets = [row["id"] for row in await connection.fetch("SELECT id FROM open_bets")]
    assert [tuple(row) for row in await connection.fetch(accounts)] == [
        ("cash", 9_000),
        ("clearing:bank", -10_000),
        ("open_stakes", 1_000),
    ]
    assert open_bets == ["b1"]

    before = len(world.events)
    world.settle("match/winner", won("home"))
    journal.append(world.events[before:])
    await project(fresh_database, journal)
    assert [tuple(row) for row in await connection.fetch(accounts)] == [
        ("cash", 11_150),
        ("clearing:bank", -10_000),
        ("house:betting", -1_150),
    ]
    moved = await connection.fetch("SELECT source, target, amount_m FROM ledger_entries ORDER BY event_no, line")
    assert [tuple(row) for row in moved] == [
        ("clearing:bank", "cash", 10_000),
        ("cash", "open_stakes", 1_000),
        ("open_stakes", "house:betting", 1_000),
        ("house:betting", "cash", 2_150),
    ]
    assert not await connection.fetch("SELECT FROM open_bets")
    await connection.close()


async def test_a_projector_cut_off_anywhere_goes_on_where_it_was(fresh_database: str, journal: FakeJournal) -> None:
    """Stopped at random moments, in the middle of transactions too: nothing twice, nothing missing."""
    seed = random.randrange(10**6)
    print(f"seed {seed}")  # noqa: T201  (shown when the test fails)
    chance = random.Random(seed)
    journal.fill(busy_world().events, batch_events=3)
    settings = settings_of(fresh_database, slice_events_max=5, poll_ms=1)
    for _ in range(15):
        async with running(settings, journal):
            await asyncio.sleep(chance.random() * 0.05)
    await project(fresh_database, journal)
    assert await differences(fresh_database, journal) == []


async def test_two_projectors_apply_everything_once(fresh_database: str, journal: FakeJournal) -> None:
    settings = settings_of(fresh_database, slice_events_max=5)
    events = busy_world().events
    async with running(settings, journal) as one, running(settings, journal) as two:
        for start in range(0, len(events), 10):
            journal.append(events[start : start + 10])
            await asyncio.sleep(0)
        await until(lambda: journal.events in {one.position.event_no, two.position.event_no}, "all projected")
        await until(lambda: {one.state, two.state} == {State.FOLLOWING, State.STANDBY}, "one at work, one beside it")
    assert await differences(fresh_database, journal) == []


async def test_a_projector_whose_position_is_stale_writes_nothing(fresh_database: str, journal: FakeJournal) -> None:
    """The guard that makes it exactly once, without the courtesy lock before it."""
    journal.fill(busy_world().events)
    await project(fresh_database, journal)
    connection = await postgres.connect(settings_of(fresh_database).postgres)
    first = journal.stored[0]
    rows = Slice(Position())
    for event in first.batch.events:
        fold(rows, first.sequence, event, b"")
    with pytest.raises(tables.PositionMovedError):
        await tables.write(connection, rows)
    await connection.close()
    assert await differences(fresh_database, journal) == []


async def test_postgres_killed_and_back_is_caught_up(tmp_path: Path, journal: FakeJournal) -> None:
    """SIGKILL in the middle of the work; what the journal says meanwhile comes afterwards; the lag shows it."""
    events = busy_world().events
    half = len(events) // 2
    server = PostgresServer(tmp_path)
    await asyncio.to_thread(server.start)
    try:
        async with running(settings_of(server.url, slice_events_max=3, poll_ms=1), journal) as projector:
            journal.fill(events[:half])
            await until(lambda: projector.position.event_no > 5, "projecting")
            await asyncio.to_thread(server.kill)
            journal.fill(events[half:])
            await until(lambda: projector.state is State.AWAY, "noticed")
            await until(lambda: projector.lag_events > 0, "the lag is seen")
            assert projector.lag_ms > 0
            await asyncio.to_thread(server.start)
            async with asyncio.timeout(30):
                await projector.catch_up(journal.events)
            assert (projector.lag_events, projector.lag_ms, projector.state) == (0, 0, State.FOLLOWING)
        assert await differences(server.url, journal) == []
    finally:
        await asyncio.to_thread(server.stop)


async def test_a_state_is_logged_once(
    fresh_database: str, journal: FakeJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    log = "adapters.postgres.projector.log.warning"
    monkeypatch.setattr(log, lambda _, **facts: said.append(facts["state"]), raising=False)
    journal.fill(busy_world().events)
    nobody = fresh_database.rpartition("/")[0] + "/nobody_here"
    attempts = 0

    class Counting(Projector):
        async def _follow(self) -> None:
            nonlocal attempts
            attempts += 1
            await super()._follow()

    task = asyncio.create_task(Counting(settings_of(nobody), journal).run())
    await until(lambda: attempts > 3, "several attempts")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert said == ["refused"]


async def test_tables_ahead_of_the_journal_are_refused(fresh_database: str, journal: FakeJournal) -> None:
    journal.fill(busy_world().events)
    await project(fresh_database, journal)
    other = FakeJournal()
    other.append(World().events)
    async with running(settings_of(fresh_database), other) as projector:
        await until(lambda: projector.state is State.REFUSED, "the mismatch is seen")


async def test_a_gap_in_the_journal_is_refused(fresh_database: str, journal: FakeJournal) -> None:
    journal.fill(busy_world().events)
    del journal.stored[0]
    async with running(settings_of(fresh_database), journal) as projector:
        await until(lambda: projector.state is State.REFUSED, "the gap is seen")
    connection = await asyncpg.connect(fresh_database)
    assert await connection.fetchval("SELECT count(*) FROM events") == 0
    await connection.close()


async def test_the_loop_is_never_held_for_long(fresh_database: str, journal: FakeJournal) -> None:
    """Longest turn while thousands of events are projected: the engine shares this loop.

    In this thread's own time: what other processes have of the processor meanwhile is not the projector's.
    """
    world = World(velocity_bets_max=4_000)
    world.customer("ann", 10**9)
    world.market("match/winner", home=21_500, away=17_000)
    for number in range(4_000):
        world.bet("ann", 100, ("match/winner", "home", 21_500), id=f"bet-{number}")
    journal.fill(world.events, batch_events=500)
    longest = 0.0
    gc.freeze()  # as the engine does: nor is a walk over all that other tests have left
    async with running(settings_of(fresh_database), journal) as projector:
        await until(lambda: projector.state is State.FOLLOWING, "connected")
        while projector.position.event_no < journal.events:
            begun = time.thread_time()
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - begun)
    gc.unfreeze()
    assert longest < 0.1, f"{longest * 1000:.1f} ms"  # 20 times what is expected


@pytest.mark.parametrize("statement", ["UPDATE events SET type = 1", "DELETE FROM events", "TRUNCATE events CASCADE"])
async def test_events_are_append_only(fresh_database: str, journal: FakeJournal, statement: str) -> None:
    journal.append(World().events)
    await project(fresh_database, journal)
    connection = await asyncpg.connect(fresh_database)
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="events is append-only"):
        await connection.execute(statement)
    await connection.close()


async def test_a_forgotten_bet_is_answered_as_the_engine_would(fresh_database: str, journal: FakeJournal) -> None:
    world = busy_world()
    journal.fill(world.events)
    await project(fresh_database, journal)
    forgotten = _forgotten(world.events)
    async with postgres.pool(settings_of(fresh_database).postgres) as pool:
        assert min(len(forgotten), len(world.book.bets)) > 10
        for bet_id, state in forgotten.items():
            assert await postgres.bet(pool, bet_id) == state
        for bet in world.book.bets.values():
            assert await postgres.bet(pool, bet.id) == queries.bet_state(bet)
        for refused in ("too-small-today", "moved-today"):
            answer = world.book.answers[refused].answer
            assert isinstance(answer, Rejected)
            assert await postgres.bet(pool, refused) == answer
        assert await postgres.bet(pool, "never-seen") is None


async def test_a_forgotten_order_is_answered_as_the_engine_would(fresh_database: str, journal: FakeJournal) -> None:
    world = busy_world()
    journal.fill(world.events)
    await project(fresh_database, journal)
    async with postgres.pool(settings_of(fresh_database).postgres) as pool:
        held = [order for order in world.book.orders.values() if order.waits is None]
        assert len(held) > 5
        for order in held:
            assert await postgres.order(pool, order.id) == queries.order_state(order)
        lapsed = [name for name, kept in world.book.answers.items() if isinstance(kept.answer, OrderReport)]
        assert lapsed
        for name in lapsed:
            state = await postgres.order(pool, name)
            assert isinstance(state, OrderState)
            assert (state.status, state.matched_m) == ("done", 0)
        assert await postgres.order(pool, "never-seen") is None


def _forgotten(events: Sequence[Event]) -> dict[str, BetState]:
    """The bets that the engine has forgotten on the way, as it knew them last."""
    engine, forgotten = Engine(World().engine.limits), {}
    for event in events:
        if isinstance(event, MarketArchived):
            market = engine.book.fixtures[event.fixture].markets[event.market]
            for bet in list(market.bets.values())[: event.bets]:
                forgotten[bet.id] = queries.bet_state(bet)
        engine.apply(event)
    return forgotten


async def test_sums_beyond_64_bits_stop_nothing(fresh_database: str, journal: FakeJournal) -> None:
    """Ten thousand of the largest deposits: each is accepted, so Postgres has to hold their sum."""
    world = World(payment_retention_ms=1_000)
    world.customer("ann")
    for number in range(10_000):
        world.done(co.Deposit, customer="ann", amount_m=10**15, provider="bank", id=f"d{number}")
    journal.fill(world.events, batch_events=1_000)
    await project(fresh_database, journal)
    assert world.cash("ann") == 10**19
    assert await differences(fresh_database, journal) == []


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (ConnectionRefusedError("no server"), State.AWAY),
        (asyncpg.InternalClientError("got result for unknown protocol state 0"), State.AWAY),
        (asyncpg.CannotConnectNowError("starting up"), State.AWAY),
        (asyncpg.UndefinedTableError("events"), State.REFUSED),
        (ExceptionGroup("of the pump", [ConnectionResetError("cut")]), State.AWAY),
    ],
)
def test_a_failure_says_whether_time_will_mend_it(error: Exception, state: State) -> None:
    assert projecting._classified(error)[0] is state
