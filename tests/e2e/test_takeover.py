"""Two engines beside each other: the fence lets one write, the other ends and answers nothing more."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from adapters import journal
from adapters.engine.service import FENCED
from config.settings import Role
from core.messages.answers import Accepted
from core.messages.events import BetAccepted, EngineStarted
from tests.e2e.checks import nothing_lost
from tests.e2e.harness import EngineProcess, Stack, moments, until
from tests.e2e.load import Load, new_load
from tests.e2e.market import Feed, Markets


@asynccontextmanager
async def playing(folder: Path, seed: int, environ: Mapping[str, str] = {}) -> AsyncIterator[tuple[Stack, Load]]:
    """A stack under load; afterwards nothing is lost, and every answer is the journal's."""
    async with Stack(folder, environ) as stack, Feed(stack, Markets(seed)) as feed:
        load = await new_load(stack, feed.markets, seed, pause_s=0.06)
        async with load.running():
            yield stack, load
            await load.more(200)
        await nothing_lost(stack, load, feed)
        await every_answer_is_the_journals(stack, load)


async def every_answer_is_the_journals(stack: Stack, load: Load) -> None:
    """What a fenced engine decided is in no journal: had it answered, its answer would stand beside another one."""
    client = await stack.connect(Role.AUDITOR)
    accepted, terms = {}, []
    async for stored in journal.read(client.jetstream(), stack.settings.journal.stream, 0):
        for event in stored.batch.events:
            if isinstance(event, BetAccepted):
                assert event.id not in accepted
                accepted[event.id] = event.ts_ms, event.payout_m
            elif isinstance(event, EngineStarted):
                terms.append(event.term)
    told = {each.command.id: answer for each in load.bets() for answer in each.answers if isinstance(answer, Accepted)}
    assert {bet_id: (answer.ts_ms, answer.payout_m) for bet_id, answer in told.items()} == accepted
    assert terms == list(range(1, len(terms) + 1))


async def take_over(stack: Stack) -> EngineProcess:
    """Start another one; returns the one that ran until now."""
    first, stack.engine = stack.engine, stack.new_engine()
    await stack.engine.start()
    return first


async def test_a_second_engine_takes_over_and_the_first_ends(folder: Path, seed: int) -> None:
    rng, pauses = random.Random(seed), []
    async with playing(folder, seed) as (stack, load):
        for answers in moments(rng, 3, 100):
            await load.more(answers)
            began = time.monotonic()
            first = await take_over(stack)
            assert await first.ended() == FENCED, first.words()
            await load.more(10)
            pauses.append(round(load.longest_pause(began) * 1000))
    print(f"takeovers: pauses of {pauses} ms; {load}")  # noqa: T201


async def test_an_engine_that_hung_finds_itself_replaced(folder: Path, seed: int) -> None:
    """It cannot be asked to leave, so only the fence stands between its late decisions and the customers.

    Neither clock may save it: an idle look at the fence, or the time-out of an append that was under way when it hung,
    would let it ask the stream, and answer BUSY, before it decides anything.
    """
    rng = random.Random(seed)
    no_look = {"TICTAC_JOURNAL_FENCE_CHECK_MS": "60000", "TICTAC_JOURNAL_APPEND_TIMEOUT_MS": "60000"}
    async with playing(folder, seed, no_look) as (stack, load):
        await load.more(rng.randint(50, 400))
        stack.engine.signal(signal.SIGSTOP)
        began = time.monotonic()
        first = await take_over(stack)
        await load.more(200)
        # It wakes up with all the requests it has not read yet, decides them, and must not get one of them stored.
        first.signal(signal.SIGCONT)
        assert await first.ended() == FENCED, first.words()
        assert "wrong last sequence" in first.words(), "it has decided nothing late: the fence was not tried"
    print(f"hung for {load.longest_pause(began):.3f} s; {load}")  # noqa: T201


async def test_of_engines_that_start_at_once_one_leads(folder: Path, seed: int) -> None:
    """After a crash two supervisors start one each; whichever comes second takes over or is shut out, and ends."""
    async with playing(folder, seed) as (stack, load):
        await load.more(50)
        await stack.engine.kill()
        engines = [stack.new_engine().spawn(), stack.new_engine().spawn()]
        await until(lambda: not all(each.running for each in engines), "the end of one of them")
        stack.engine, other = sorted(engines, key=lambda each: not each.running)
        await stack.engine.ready()
        assert await other.ended() == FENCED, other.words()
    print(load)  # noqa: T201
