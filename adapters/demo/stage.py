"""One run of the demo: its servers, customers and feeds, up and down in order, and what is known of them."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from adapters import bus
from adapters.demo import crowd, desk, programme, report
from adapters.demo.board import Board
from adapters.demo.part import Part, tail
from adapters.demo.proof import LiveState
from adapters.demo.servers import Servers
from adapters.demo.watch import Watch
from config.settings import Role, Settings
from core.messages.answers import Answer, BookImage, OddsImage, Rejected
from core.messages.commands import CancelMarket
from core.messages.queries import GetBook, GetOdds
from core.units import money_text
from feeds import recordings

_MEASURE_S: Final = 0.5
_REPORT_MS: Final = 250
_ASK_S: Final = 2.0
_READY_S: Final = 20.0
"""The desk has a dozen commands to give before customers come."""
_THINK_S: Final = 1.5
"""How long the trader looks at a bet; in a bounded run he is as quick as everything is there."""
_GRANTS_S: Final = 120.0
_ORDERS_PER_S: Final = 30.0
"""On the exchange, at least; where more is bet, a share of it."""
_ORDERS_SHARE: Final = 0.15
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
        self.crowd = Part("customers", "adapters.demo.crowd", logs / "customers.log", report.Report, self._take_crowd)
        self.desk = Part("desk", "adapters.demo.desk", logs / "desk.log", desk.Report, self._take_desk)
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
        parts = {asyncio.create_task(part.ended()) for part in self._parts}
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
                await self._look()
                await self._void_leftovers()
        finally:
            for task in (*parts, stopping):
                task.cancel()

    @property
    def played(self) -> bool:
        """Whether a bounded programme is over: the fixtures and the bets."""
        return self.watch.feeds.done and self.watch.crowd.bets >= self.plan.bets

    @property
    def _parts(self) -> tuple[Part[report.Report], Part[programme.Report], Part[desk.Report]]:
        return self.crowd, self.feeds, self.desk

    async def end_parts(self, within_s: float) -> None:
        """No more prices, no more bets."""
        await asyncio.gather(*(part.stop(within_s) for part in self._parts))

    async def live_state(self, within_s: float) -> LiveState:
        """What the engine itself says of its state. Raises DemoError."""
        try:
            page = await asyncio.to_thread(self.servers.engine.get, "/state", within_s)
        except OSError as error:
            raise DemoError(f"the engine does not tell its state: {error}") from error
        return msgspec.json.decode(page, type=LiveState)

    async def _start(self) -> None:
        self.say("starting NATS and PostgreSQL ...")
        await self.servers.start_stores()
        settings = self.servers.settings()
        self._gateway = await bus.connect(settings, Role.GATEWAY, name="demo view")
        self._desk = await bus.connect(settings, Role.DESK, name="demo desk")
        # Before the engine: at its start it tells every market, those of an earlier run too.
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
        feeds = programme.Job(plan.seed, self.run, self._recordings, demo.lead_s, demo.speed, seconds)
        lead_ms = int(1000 * self.settings.simulator.lead_s / programme.pace(feeds, self.settings.simulator))
        hurry = programme.pace(feeds, self.settings.simulator) / demo.speed
        thinking = lead_ms, _THINK_S / min(hurry, 30.0), _GRANTS_S / min(hurry, 60.0)
        await self.desk.start(desk.Job(demo.customers, plan.seed, self.run, *thinking), environ)
        await self._desk_ready()
        await self.feeds.start(feeds, environ)
        orders = max(_ORDERS_PER_S, rate * _ORDERS_SHARE)
        betting = crowd.Job(demo.customers, plan.seed, self.run, plan.bets, rate, _REPORT_MS, orders)
        await self.crowd.start(betting, environ)

    async def _desk_ready(self) -> None:
        """Before its rates are set, nobody can open an account in another currency."""
        deadline = time.monotonic() + _READY_S
        while not self.watch.desk.ready and not self.stop.is_set():
            if time.monotonic() > deadline:
                raise DemoError(f"the desk is not ready: {tail(self.desk.log)}")
            await asyncio.sleep(_REPORT_MS / 1000)

    async def _stop(self) -> None:
        began_s = time.monotonic()
        within_s = self.settings.demo.stop_ms / 1000
        await self.end_parts(within_s / 4)
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

    async def _look(self) -> None:
        """The book of the exchange market that is shown."""
        key = self.watch.traded_market()
        if key is None:
            return
        try:
            reply = await self._gateway.request("order.book", msgspec.json.encode(GetBook(*key)), timeout=_ASK_S)
        except NatsError:
            return
        answer = msgspec.json.decode(reply.data, type=Answer)
        if isinstance(answer, BookImage):
            self.watch.take_book(answer)

    async def _void_leftovers(self) -> None:
        """What an earlier run left open will never be played to its end: its bets are void, as the desk would do it.

        When all customers have come in: each was told what he has, and a void bet may pay what its other legs have won.
        """
        if not self.watch.crowd.here:
            return
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

    def _take_crowd(self, seen: report.Report) -> None:
        if seen.here and not self.watch.crowd.here and seen.returning:
            had = ", ".join(money_text(amount_m, currency) for currency, amount_m in sorted(seen.returning_m.items()))
            self.say(f"{seen.returning} customers are back; together they have {had}")
        self.watch.take_crowd(seen)

    def _take_desk(self, seen: desk.Report) -> None:
        self.watch.take_desk(seen)

    def _take_feeds(self, report: programme.Report) -> None:
        self.watch.take_feeds(report)


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


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
