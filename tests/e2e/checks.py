"""What must hold after any crash, held against what the customers were told. Each check counts what it looked at."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
from msgspec.structs import replace

from adapters import journal
from adapters.journal import snapshots
from config.settings import Role
from core import invariants, ledger
from core.book import Book
from core.engine import Engine
from core.messages.answers import Accepted, AccountState, Answer, BetState, Done, Rejected
from core.messages.commands import Deposit, PlaceBet, SettleMarket, Withdraw
from core.messages.queries import GetAccount, GetBet
from core.snapshot import state_hash
from feeds.session import now_ms
from tests.e2e.harness import Stack, until
from tests.e2e.load import EXPIRES_MS, Asked, Load
from tests.e2e.market import Feed
from tests.e2e.order_checks import orders_are_as_answered, settled_as_answered


async def nothing_lost(
    stack: Stack,
    load: Load,
    feed: Feed,
    *,
    contents: int = 20,
    meanwhile: Callable[[], Awaitable[None]] | None = None,
) -> Engine:
    """All of it, once the load has stopped; returns the rebuilt engine. Ends the engine, cleanly.

    `meanwhile` happens while the exchange market is settled.
    """
    first = {command_id: asked.answer for command_id, asked in load.asked.items()}
    await _everything_asked_again(load)
    for command_id, answer in first.items():
        asked = load.asked[command_id]
        words = len(asked.decided), len(asked.answers)
        assert words in {(1, 1), (0, 1), (1, 2)}, f"{command_id} was answered differently: {asked.answers}"
        assert answer is None or asked.answer == answer
    await settle_all(load, feed)
    await _bets_are_as_answered(load, feed)
    cash = _cash_by_answers(load, feed)
    await projected(stack)  # of what has left nothing in the engine Postgres is asked
    await orders_are_as_answered(load)
    await _accounts_are_as_answered(load, cash)
    settling = asyncio.create_task(load.floor.settle(random.Random(load.seed)))
    if meanwhile is not None:
        await meanwhile()
    results = await settling
    await settled_as_answered(stack, load, cash, results)
    await load.floor.close()
    await _other_contents_are_refused(load, random.Random(load.seed), contents)
    await projected(stack)
    hashed = await live_hash(stack)
    engine = await stack.rebuilt()
    assert state_hash(engine.book) == hashed
    invariants.check(engine.book)
    assert set(ledger.sums(engine.book).values()) == {0}
    assert engine.book.bets.keys() == {each.command.id for each in load.bets() if each.accepted}
    await tables_agree(stack, engine.book)
    return engine


async def _everything_asked_again(load: Load) -> None:
    """A retried id gets its first answer; one that never had an answer gets one, and then always this one."""
    never = [each for each in load.asked.values() if not each.answers]
    for subject in sorted({each.subject for each in load.asked.values()}):
        await load.again([each for each in never if each.subject == subject])
        await load.again([each for each in load.asked.values() if each.subject == subject])


async def settle_all(load: Load, feed: Feed) -> None:
    """Results for whatever has none, by the desk and by the feed in turn; until no stake is open."""
    for number, key in enumerate(feed.markets.open):
        await settle(load, feed, key, by_desk=number % 2 == 0)
    for customer in load.customers:

        async def is_settled(customer: str = customer) -> bool:
            account = await load.question("account.get", GetAccount(customer), AccountState)
            return account.open_stakes_m == 0  # type: ignore[no-any-return]

        await until(is_settled, f"all bets of {customer} settled")


async def settle(load: Load, feed: Feed, key: tuple[str, str], *, by_desk: bool) -> None:
    """Results for a market; the desk asks until it has an answer, the feed tells it once and in each recovery."""
    results = feed.markets.decide(key)
    if not by_desk:
        await feed.settle(key)
        return
    command = SettleMarket(f"settle-{'-'.join(key)}", now_ms() + EXPIRES_MS, "anna", *key, results)
    asked = load.asked[command.id] = Asked("desk.market.settle", command)
    await load.ask([asked])
    assert asked.accepted, asked.answers


async def _bets_are_as_answered(load: Load, feed: Feed) -> None:
    """Each bet once more by its id: there with exactly its answer, and settled as the model says."""
    waiting = asyncio.Semaphore(100)

    async def one(asked: Asked) -> None:
        async with waiting:
            state = await load.question("bet.get", GetBet(asked.command.id))
        _as_answered(asked, state, feed)

    async with asyncio.TaskGroup() as group:
        for asked in load.bets():
            group.create_task(one(asked))


def _as_answered(asked: Asked, state: Answer, feed: Feed) -> None:
    answer, command = asked.answer, asked.command
    if isinstance(answer, Rejected):
        assert state == answer
        return
    assert isinstance(answer, Accepted)
    assert isinstance(command, PlaceBet)
    assert isinstance(state, BetState), (answer, state)
    told = answer.id, answer.ts_ms, answer.stake_m, answer.payout_m
    assert (state.id, state.ts_ms, state.stake_m, state.payout_m) == told
    assert (state.customer, state.stake_m) == (command.customer, command.stake_m)
    legs = [(leg.fixture, leg.market, leg.selection, leg.price) for leg in answer.legs]
    assert [(leg.fixture, leg.market, leg.selection, leg.price) for leg in state.legs] == legs
    assert (state.status, state.paid_m) == feed.markets.worth(answer.stake_m, legs), state


def _cash_by_answers(load: Load, feed: Feed) -> Counter[str]:
    """Deposits, less withdrawals, less stakes, plus payouts: by what was answered, and by nothing else."""
    cash: Counter[str] = Counter()
    for asked in load.asked.values():
        command, answer = asked.command, asked.answer
        if isinstance(answer, Done) and isinstance(command, Deposit | Withdraw):
            cash[command.customer] += command.amount_m if isinstance(command, Deposit) else -command.amount_m
        elif isinstance(answer, Accepted):
            assert isinstance(command, PlaceBet)
            legs = [(leg.fixture, leg.market, leg.selection, leg.price) for leg in answer.legs]
            cash[command.customer] += feed.markets.worth(answer.stake_m, legs)[1] - answer.stake_m
    return cash


async def _accounts_are_as_answered(load: Load, cash: Counter[str]) -> None:
    """What is set aside for orders is all that cash lacks."""
    for customer in load.customers:
        account = await load.question("account.get", GetAccount(customer), AccountState)
        held = account.cash_m + account.exposure_m, account.open_stakes_m, account.reserved_m
        assert held == (cash[customer], 0, 0), account


async def _other_contents_are_refused(load: Load, rng: random.Random, count: int) -> None:
    bets = load.bets()
    for asked in rng.sample(bets, min(count, len(bets))):
        assert isinstance(asked.command, PlaceBet)
        other = replace(asked.command, stake_m=asked.command.stake_m + 1)
        answer = await load.question("bet.place", other)
        assert isinstance(answer, Rejected), answer
        assert answer.reason == "DUPLICATE_ID", answer


async def live_hash(stack: Stack) -> str:
    """Of the running engine, which writes its state down at a clean stop."""
    assert await stack.engine.stop() == 0, stack.engine.words()
    client = await stack.connect(Role.AUDITOR)
    js, settings = client.jetstream(), stack.settings
    loaded = await snapshots.load(js, settings, check_hash=True)
    assert loaded is not None
    assert loaded.sequence == await journal.last_sequence(js, settings.journal.stream), stack.engine.words()
    return state_hash(loaded.book)


async def projected(stack: Stack) -> int:
    """Wait until Postgres has the journal's last event; its number."""
    client = await stack.connect(Role.AUDITOR)
    _, last = await journal.Source(client.jetstream(), stack.settings.journal.stream).end()

    async def has_it() -> bool:
        return bool(await _value(stack, "SELECT event_no FROM projection") == last)

    await until(has_it, f"event {last} in Postgres")
    return last


async def tables_agree(stack: Stack, book: Book) -> None:
    """The audit finds nothing, and no bet stands twice."""
    status, output, said = await stack.tictac("audit")
    assert status == 0, output + said
    assert await _value(stack, "SELECT event_no FROM projection") == book.event_no
    assert await _value(stack, "SELECT count(*) FROM bets") == len(book.bets)
    assert await _value(stack, "SELECT count(DISTINCT id) FROM bets") == len(book.bets)
    assert await _value(stack, "SELECT coalesce(sum(balance_m), 0) FROM accounts") == 0


async def _value(stack: Stack, query: str) -> Any:
    connection = await asyncpg.connect(stack.settings.postgres.url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()
