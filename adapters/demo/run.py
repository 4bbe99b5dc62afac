"""The command `tictac demo`: starts all of it, shows it, and stops all of it, whatever happens.

Without end until Ctrl-C; or, with --once, a programme of so many bets and then the proof that nothing was lost.
Whatever part dies, the demo says which one and why, stops the others and ends with status 1.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import os
import re
import signal
import sys
import tempfile
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

import msgspec
import uvloop
from msgspec import Struct
from msgspec.structs import replace
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from rich.console import Console
from rich.live import Live

from adapters import bus, logs
from adapters.demo import crowd, programme, proof, view
from adapters.demo.board import Board
from adapters.demo.part import Part, tail
from adapters.demo.servers import EmbeddedError, Servers
from adapters.demo.watch import Watch
from config.settings import Role, Settings
from core.messages.answers import Answer, OddsImage, Rejected
from core.messages.commands import CancelMarket
from core.messages.queries import GetOdds
from core.units import money_text
from feeds import recordings

_FRAME_S: Final = 0.25
"""Four frames a second: prices can be read, and drawing takes a few per cent of a core."""
_LINE_S: Final = 5.0
_MEASURE_S: Final = 0.5
_REPORT_MS: Final = 250
_SETTLE_S: Final = 30.0
"""After the last bet: results come, the projector catches up. It takes a second or two."""
_ASK_S: Final = 2.0
_RUN: Final = re.compile(r"(?:betfair:|sim:\d+-)(r\d+)-")
"""The run in the id of a fixture that a demo played: `betfair:r1-0-1:...`, `sim:1-r1-7`."""


class DemoError(Exception):
    """The demo cannot go on; the message says which part of it, and why."""


class Plan(Struct, frozen=True):
    """What was asked for."""

    folder: Path
    seed: int
    bets: int
    """0: without end."""


class Demo:
    """One run: servers, customers, feeds, and what is known of them."""

    def __init__(self, plan: Plan, settings: Settings, say: Callable[[str], None]) -> None:
        self.plan = plan
        self.settings = settings
        self.stop = asyncio.Event()
        self.say = say
        self.servers = Servers(plan.folder, settings.demo)
        self.board = Board(self._ask_image, time.monotonic)
        self.watch = Watch(settings.limits, self.board)
        self.run = ""
        """Tells this run's ids from those of earlier ones: the engine's term, which never comes twice."""
        self._recordings: list[str] = []
        self._voided: set[tuple[str, str]] = set()
        self._gateway: Client
        self._desk: Client
        logs = plan.folder / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        self.crowd = Part("customers", "adapters.demo.crowd", logs / "customers.log", crowd.Report, self._take_crowd)
        self.feeds = Part("feeds", "adapters.demo.programme", logs / "feeds.log", programme.Report, self._take_feeds)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """All of it up; afterwards all of it down within the promised time."""
        try:
            await self._start()
            yield
        finally:
            await self._stop()

    async def watching(self) -> None:
        """Until `stop` is set. Raises DemoError when a part has died."""
        if self.stop.is_set():
            return
        parts = {asyncio.create_task(part.ended()) for part in (self.crowd, self.feeds)}
        stopping = asyncio.create_task(self.stop.wait())
        try:
            while not stopping.done():
                done, _ = await asyncio.wait(
                    {*parts, stopping}, timeout=_MEASURE_S, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done & parts:
                    raise DemoError(task.result())
                self._check_servers()
                await self._measure()
                await self._void_leftovers()
        finally:
            for task in (*parts, stopping):
                task.cancel()

    @property
    def played(self) -> bool:
        """Whether a bounded programme is over: the fixtures and the bets."""
        return self.watch.feeds.done and self.watch.crowd.bets >= self.plan.bets

    async def end_parts(self) -> None:
        """No more prices, no more bets."""
        await asyncio.gather(self.crowd.stop(_ASK_S), self.feeds.stop(_ASK_S))

    async def live_state(self) -> proof.LiveState:
        """What the engine itself says of its state. Raises DemoError."""
        try:
            page = await asyncio.to_thread(self.servers.engine.get, "/state")
        except OSError as error:
            raise DemoError(f"the engine does not tell its state: {error}") from error
        return msgspec.json.decode(page, type=proof.LiveState)

    async def _start(self) -> None:
        self.say("starting NATS and PostgreSQL ...")
        await self.servers.start_stores()
        settings = self.servers.settings()
        self._gateway = await bus.connect(settings, Role.GATEWAY, name="demo view")
        self._desk = await bus.connect(settings, Role.DESK, name="demo desk")
        # Before the engine: at its start it tells every market that is not over, those of an earlier run too.
        await self._gateway.subscribe("odds.>", cb=self._odds)
        await self._gateway.flush()
        self.watch = Watch(settings.limits, self.board)
        self.watch.redis = self.servers.redis is not None
        self.say("fetching recordings, where they are not there yet ...")
        self._recordings, trouble = await _fetch(Path(self.settings.ingest.recordings), self.stop)
        if trouble:
            self.say(trouble)
        if self.stop.is_set():
            return
        self.say("starting the engine ...")
        await self.servers.start_engine()
        await self._measure()
        self.watch.trouble = trouble
        self.run = f"r{self.watch.figures().term}"
        await self._start_parts()

    async def _start_parts(self) -> None:
        plan, demo = self.plan, self.settings.demo
        seconds = max(demo.once_seconds_min, int(plan.bets / demo.once_bets_per_s)) if plan.bets else 0
        rate = plan.bets / seconds if plan.bets else demo.bets_per_s
        environ = self.servers.environ
        await self.feeds.start(
            programme.Job(plan.seed, self.run, self._recordings, demo.lead_s, demo.speed, seconds), environ
        )
        await self.crowd.start(crowd.Job(demo.customers, plan.seed, self.run, plan.bets, rate, _REPORT_MS), environ)

    async def _stop(self) -> None:
        began_s = time.monotonic()
        within_s = self.settings.demo.stop_ms / 1000
        await asyncio.gather(*(part.stop(within_s / 4) for part in (self.crowd, self.feeds)))
        for client in ("_gateway", "_desk"):
            if hasattr(self, client):
                await getattr(self, client).close()
        await self.servers.stop(within_s - (time.monotonic() - began_s))

    def _check_servers(self) -> None:
        ended = self.servers.ended()
        if ended is not None:
            raise DemoError(f"{ended.name} ended: {tail(ended.log)}")

    async def _measure(self) -> None:
        try:
            page = await asyncio.to_thread(self.servers.engine.get, "/metrics", _ASK_S)
        except OSError:
            return  # dead, and then the watch finds it, or busy for once
        self.watch.take_metrics(page.decode())

    async def _void_leftovers(self) -> None:
        """What an earlier run left open will never be played to its end: its bets are void, as the desk would do it."""
        for fixture, market in list(self.board.offers):
            of_run = _RUN.match(fixture)  # whoever has the passwords may offer markets beside the demo's
            if of_run is None or of_run[1] == self.run or (fixture, market) in self._voided:
                continue
            self._voided.add((fixture, market))
            head = f"{self.run}-leftover-{len(self._voided)}", _now_ms() + 30_000, "demo"
            command = CancelMarket(*head, fixture, market, "left over by an earlier run")
            try:
                await self._desk.request("desk.market.void", msgspec.json.encode(command), timeout=_ASK_S)
            except NatsError:
                self._voided.discard((fixture, market))
                return

    async def _ask_image(self, fixture: str, market: str) -> OddsImage | Rejected | None:
        query = msgspec.json.encode(GetOdds(fixture, market))
        try:
            reply = await self._gateway.request("odds.get", query, timeout=_ASK_S)
        except NatsError:
            return None
        answer = msgspec.json.decode(reply.data, type=Answer)
        return answer if isinstance(answer, OddsImage | Rejected) else None

    async def _odds(self, message: Msg) -> None:
        self.board.take(message.data)

    def _take_crowd(self, report: crowd.Report) -> None:
        if report.returning > self.watch.crowd.returning and report.returning == report.customers:
            had = money_text(report.returning_m, self.settings.limits.currency)
            self.say(f"{report.returning} customers are back; together they have {had}")
        self.watch.take_crowd(report)

    def _take_feeds(self, report: programme.Report) -> None:
        self.watch.take_feeds(report)


async def _show(demo: Demo) -> None:
    """The live view, or a line every few seconds where there is no terminal."""
    console = Console()
    if not console.is_terminal:
        while True:
            await asyncio.sleep(_LINE_S if demo.watch.crowd.bets else _FRAME_S)
            if demo.watch.crowd.bets:
                console.print(view.line(demo.watch.figures()), soft_wrap=True, highlight=False)
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            live.update(view.render(demo.watch.figures(), *console.size), refresh=True)
            await asyncio.sleep(_FRAME_S)


async def _endless(demo: Demo) -> int:
    async with demo.running():
        showing = asyncio.create_task(_show(demo))
        try:
            await demo.watching()
        finally:
            showing.cancel()
            await asyncio.gather(showing, return_exceptions=True)
        demo.say("stopping ...")
    seen = demo.watch.crowd
    demo.say(f"{seen.bets:,} bets, {seen.settled:,} settled; the next run goes on from the data in {demo.plan.folder}")
    return 0


async def _bounded(demo: Demo) -> proof.Outcome:
    """The programme, then the proof, while NATS and Postgres still run and the engine does not."""
    async with demo.running():
        watching = asyncio.create_task(demo.watching())
        try:
            demo.say(f"{demo.plan.bets:,} bets ...")
            await _until(watching, lambda: demo.played, None)
            demo.say("the last results, and Postgres catches up ...")
            await _until(watching, lambda: not demo.watch.open_bets and not demo.watch.projector_lag, _SETTLE_S)
        finally:
            watching.cancel()
        await demo.end_parts()
        live = await demo.live_state()
        await demo.servers.stop_engine(_SETTLE_S)
        demo.say("rebuilding the state from the journal, comparing Postgres with it ...")
        return await proof.prove(demo.servers.settings(), demo.run, live, demo.watch.crowd, demo.watch.feeds)


async def _until(watching: asyncio.Task[None], reached: Callable[[], bool], within_s: float | None) -> None:
    """Wait for a condition; a Ctrl-C or a dead part ends it with DemoError, and after its time the proof tells."""
    deadline = time.monotonic() + within_s if within_s else float("inf")
    while not reached() and time.monotonic() < deadline:
        await asyncio.wait({watching}, timeout=_FRAME_S)
        if watching.done():
            watching.result()
            raise DemoError("stopped before its end")


async def _fetch(folder: Path, stop: asyncio.Event) -> tuple[list[str], str]:
    """The recordings that can be had, and what is to be said if not all of them.

    By `tictac recordings` in a process of its own: an index that does not answer must not keep a Ctrl-C waiting.
    """
    program = [sys.executable, "-m", "adapters.cli", "recordings"]
    process = await asyncio.create_subprocess_exec(*program, stdout=PIPE, stderr=PIPE, start_new_session=True)
    fetching, stopping = asyncio.create_task(process.communicate()), asyncio.create_task(stop.wait())
    await asyncio.wait({fetching, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not fetching.done():
        os.killpg(process.pid, signal.SIGKILL)
    _, complaint = await fetching
    there = [str(path) for name in recordings.DEFAULT if (path := folder / name).is_file()]
    if not process.returncode:
        return there, ""
    left = f"{len(there)} recordings and the simulator" if there else "no recordings, the simulator only"
    return there, f"{left} ({complaint.decode(errors='replace').strip()})"


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Two runs on the same data would fence each other off: the second one is refused."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise DemoError(f"another demo runs on the data in {folder}") from error
        yield


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The command `demo`."""
    command = commands.add_parser("demo", help="play recordings with simulated customers, live", description=__doc__)
    command.add_argument("--seed", type=int, default=1, help="of customers and simulated fixtures (default 1)")
    command.add_argument("--data", type=Path, metavar="FOLDER", help="where the data lies (default: demo.folder)")
    command.add_argument("--once", action="store_true", help="a bounded programme and its proof, on fresh data")
    command.add_argument("--bets", type=int, default=20_000, help="of the bounded programme (default 20000)")
    command.add_argument("--json", action="store_true", help="the outcome of --once as one line of JSON")
    command.set_defaults(run=run)


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Exit status 0: stopped as told, or proven; 1: a part died, or something does not add up."""
    try:
        if not args.once:
            return _play(Plan(args.data or Path(settings.demo.folder), args.seed, 0), settings, _endless)
        with tempfile.TemporaryDirectory(prefix="tictac-", ignore_cleanup_errors=True) as fresh:
            return _play(Plan(args.data or Path(fresh), args.seed, args.bets), settings, _proven(as_json=args.json))
    except (DemoError, EmbeddedError, bus.BusError) as error:
        sys.stderr.write(f"tictac demo: {error}\n")
        return 1


def _play(plan: Plan, settings: Settings, play: Callable[[Demo], Awaitable[int]]) -> int:
    with _alone_in(plan.folder):
        return uvloop.run(_main(plan, settings, play))


async def _main(plan: Plan, settings: Settings, play: Callable[[Demo], Awaitable[int]]) -> int:
    logs.set_up(replace(settings.log, level="error"))  # the screen is the view's; the parts write logs of their own
    demo = Demo(plan, settings, _say)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, demo.stop.set)
    return await play(demo)


def _proven(*, as_json: bool) -> Callable[[Demo], Awaitable[int]]:
    async def play(demo: Demo) -> int:
        outcome = await _bounded(demo)
        for failure in outcome.failures:
            demo.say(f"FAILED: {failure}")
        sys.stdout.write(f"{outcome.json() if as_json else outcome.text()}\n")
        return 1 if outcome.failures else 0

    return play


def _say(text: str) -> None:
    sys.stderr.write(f"tictac demo: {text}\n")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
