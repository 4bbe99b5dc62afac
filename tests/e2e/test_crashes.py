"""kill -9 of each process at random moments under load: what was answered is there, once, and with that answer."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.e2e.checks import nothing_lost, settle
from tests.e2e.harness import Stack, moments
from tests.e2e.load import Load, new_load
from tests.e2e.market import Feed, Markets

Crash = Callable[[Stack, Load], Awaitable[None]]


async def kill_engine(stack: Stack, _: Load) -> None:
    await stack.engine.kill()
    await stack.restart_engine()


async def kill_nats(stack: Stack, _: Load) -> None:
    stack.nats.kill()
    await asyncio.to_thread(stack.nats.start)


async def kill_postgres(stack: Stack, load: Load) -> None:
    """Betting does not stop for it."""
    assert stack.postgres is not None
    await asyncio.to_thread(stack.postgres.kill)
    await load.more(100)
    await asyncio.to_thread(stack.postgres.start)


async def freeze_nats(stack: Stack, load: Load) -> None:
    """For longer than an append may take: its outcome is unknown until the server goes on."""
    os.kill(stack.nats.pid, signal.SIGSTOP)
    try:
        hung_s = 3 * stack.settings.journal.append_timeout_ms / 1000
        for _ in range(10):  # steps, so that all that came before is read, even if this process hangs in one of them
            await asyncio.sleep(hung_s / 30)
        answers = len(load.first_answers)
        await asyncio.sleep(hung_s * 2 / 3)
        assert len(load.first_answers) == answers, "an answer from a journal that stands still"
    finally:
        os.kill(stack.nats.pid, signal.SIGCONT)


async def any_of_them(stack: Stack, load: Load) -> None:
    crash = random.Random(len(load.asked)).choice((kill_engine, kill_nats, kill_postgres, freeze_nats))
    await crash(stack, load)


async def both_at_once(stack: Stack, _: Load) -> None:
    """NATS dies, and the engine before it can tell NATS again what was on its way."""
    stack.nats.kill()
    await stack.engine.kill()
    await asyncio.to_thread(stack.nats.start)
    await stack.restart_engine()


CRASHES_AT_REST = (kill_engine, kill_nats, both_at_once)
"""Those that need no load: they come once more while the exchange market is settled."""


@pytest.mark.parametrize(
    ("crash", "times"),
    [(kill_engine, 3), (kill_nats, 3), (kill_postgres, 2), (freeze_nats, 1), (both_at_once, 2), (any_of_them, 4)],
)
async def test_what_was_answered_survives(folder: Path, seed: int, crash: Crash, times: int) -> None:
    rng = random.Random(seed)
    async with Stack(folder) as stack, Feed(stack, Markets(seed)) as feed:
        load = await new_load(stack, feed.markets, seed)
        async with load.running():
            for number, answers in enumerate(moments(rng, times, 300)):
                await load.more(answers)
                began = time.monotonic()
                await asyncio.gather(crash(stack, load), load.floor.stir())
                await load.more(1)
                print(f"{crash.__name__}: nobody had an answer for {load.longest_pause(began):.3f} s")  # noqa: T201
                await settle(load, feed, rng.choice(feed.markets.open), by_desk=number % 2 == 0)
            await load.more(100)

        async def crash_again() -> None:
            if crash in CRASHES_AT_REST:
                await asyncio.sleep(rng.uniform(0, 0.1))
                await crash(stack, load)

        engine = await nothing_lost(stack, load, feed, meanwhile=crash_again)
        assert engine.book.term >= 1
        print(f"{crash.__name__}: {times} times, {load}, events {engine.book.event_no}")  # noqa: T201
