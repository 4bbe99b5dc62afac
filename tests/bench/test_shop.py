"""Customers under locust play with a real engine.

locust itself is never imported here: it would patch the sockets of all other tests.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from config.settings import Role
from core.messages import commands as co
from core.messages.results import Result
from core.messages.terms import ExchangeTerms
from feeds.session import now_ms
from tests.e2e.harness import Stack, until
from tests.e2e.market import Feed, Markets

ROOT = Path(__file__).parents[2]
SCENARIO = "bench/shop/locustfile.py"
USERS = 8
ONCE = ("account.open", "account.deposit")
"""What each customer asks when he comes; the others more often."""
OFTEN = (
    *("account.get", "odds.get", "bet.place", "bet.max-stake", "bet.get", "bet.cash-out.quote", "bet.cash-out.take"),
    *("order.book", "order.place", "order.cancel"),
)
RACE = "race", "winner"


class Ended(NamedTuple):
    """Of a locust."""

    status: int
    printed: bytes
    said: str

    def rows(self) -> dict[str, tuple[int, int]]:
        """Requests and failures by name."""
        rows = msgspec.json.decode(self.printed)
        return {row["name"]: (row["num_requests"], row["num_failures"]) for row in rows}

    def failures(self) -> dict[str, int]:
        return {name: failed for name, (_, failed) in self.rows().items() if failed}


class Crowd:
    """A locust, and what is heard of it on the bus."""

    def __init__(self, operator: Client) -> None:
        self.operator = operator
        self.asked: Counter[str] = Counter()
        """Requests by subject."""
        self.twice = False
        """A bet was asked for again."""
        self.customer = ""
        """The last who has paid in."""
        self.process: asyncio.subprocess.Process
        self._bets: set[str] = set()

    async def hear(self, message: Msg) -> None:
        self.asked[message.subject] += 1
        if message.subject == "account.deposit":
            self.customer = msgspec.json.decode(message.data)["customer"]
        if message.subject == "bet.place":
            bet = msgspec.json.decode(message.data)["id"]
            self.twice |= bet in self._bets
            self._bets.add(bet)

    async def until_asked(self, subjects: tuple[str, ...], times: int) -> None:
        await until(
            lambda: all(self.asked[subject] >= times for subject in subjects),
            lambda: f"{times} of each: {self.asked}",
            60,
        )

    async def do(self, subject: str, kind: type[co.Command], *fields: Any) -> None:
        """What others do meanwhile."""
        command = kind(f"{subject}-{now_ms()}", now_ms() + 60_000, *fields)
        reply = await self.operator.request(subject, msgspec.json.encode(command), timeout=10)
        assert b'"type":"done"' in reply.data, reply.data

    async def end(self) -> Ended:
        self.process.send_signal(signal.SIGTERM)
        printed, said = await asyncio.wait_for(self.process.communicate(), 60)
        assert self.process.returncode is not None
        return Ended(self.process.returncode, printed, said.decode())


@asynccontextmanager
async def playing(stack: Stack, *options: str) -> AsyncIterator[Crowd]:
    """A locust that goes on until it is ended."""
    crowd = Crowd(await stack.connect(Role.OPERATOR))
    for subject in ("account.>", "bet.>", "order.>", "odds.get"):
        await crowd.operator.subscribe(subject, cb=crowd.hear)
    await crowd.operator.flush()
    crowd.process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "locust", "--headless", "--json", "--only-summary"),
        *("-u", str(USERS), "-r", str(USERS), "--pause", "0.02", *options),
        cwd=ROOT,
        env={**os.environ, **stack.environ},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield crowd
    finally:
        if crowd.process.returncode is None:
            os.killpg(crowd.process.pid, signal.SIGKILL)
            await crowd.process.wait()  # not for its pipes: who waited for them before may have been cancelled


async def test_customers_do_all_they_can_and_their_money_adds_up(tmp_path: Path, fresh_database: str) -> None:
    async with (
        Stack(tmp_path, url=fresh_database) as stack,
        Feed(stack, Markets(seed=1)),
        playing(stack, "-f", SCENARIO, "--deadline", "30") as crowd,
    ):
        runners = tuple(co.NamedSelection(each, each) for each in ("red", "green", "blue"))
        await crowd.do("desk.fixture.define", co.DefineFixture, "anna", RACE[0], "Race", "racing", "Cup", 4 * 10**12)
        await crowd.do("desk.market.define", _ExchangeMarket, "anna", *RACE, "win", "Winner", runners)
        await crowd.until_asked(ONCE, USERS)  # they listen: who comes later hears of a market when something changes
        await crowd.do("desk.market.open", co.OpenMarket, "anna", *RACE)
        # who asks for the second time has had an answer, and of more than there are users one has asked twice
        await crowd.until_asked(OFTEN, USERS + 1)
        results = Result("red", 1), Result("green", 0), Result("blue", 0)
        await crowd.do("desk.market.settle", co.SettleMarket, "anna", *RACE, results)
        ended = await crowd.end()
    assert ended.status == 0, ended.said
    assert ended.failures() == {}
    rows = ended.rows()
    assert {*ONCE, *OFTEN} - {name.split()[0] for name in rows} == set()
    assert rows["account.open done"] == rows["account adds up"] == (USERS, 0)
    assert rows["bet.place accepted"][0] > 0
    assert f"{USERS} accounts with " in ended.said
    assert "Traceback" not in ended.said


class _ExchangeMarket(co.DefineMarket, frozen=True, gc=False):
    exchange: ExchangeTerms | None = ExchangeTerms()


TICKS = """
import json, types
from bench.shop.matchnight import MatchNight
night, goals, ticks = MatchNight(), [], []
options = types.SimpleNamespace(num_users=100, run_time=1000)
environment = types.SimpleNamespace(parsed_options=options)
for _ in range(2):
    for now in range(0, 1001, 10):
        told = lambda _: goals.append(now)
        night.runner = types.SimpleNamespace(environment=environment, send_message=told)
        night.get_run_time = lambda: now
        ticks.append(night.tick())
print(json.dumps([goals, ticks]))
"""


def test_a_night_has_its_goals_and_ends_and_the_next_one_too() -> None:
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", TICKS], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    goals, ticks = msgspec.json.decode(done.stdout)
    assert goals == [360, 810] * 2
    first, second = ticks[:101], ticks[101:]
    assert first == second
    assert first.index(None) == 100
    assert {users for users, _ in first[:100]} == {40, 50, 60, 90, 100}
    assert first[36] == [100, 20.0]
