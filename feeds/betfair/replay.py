"""A recording as a live producer: the same messages, at the pace at which they came, or N times that, or at once.

Provider time stamps stay the recording's: the engine compares them with one another only. Start times would be long
past, so fixtures are shifted: the recording's time at the first message that is played is now, and from there on it
runs `speed` times as fast as the wall clock (with no pace: as fast).

With makers, markets are told as exchange markets, and the recorded depth becomes orders of simulated makers, accounts
`maker-1`, `maker-2`, ... (feeds/makers.py). They need a second connection, as a gateway: an ingestor places no orders.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import signal
import sys
import time
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import structlog
import uvloop
from msgspec import Struct

from config.settings import Role
from feeds.betfair.normalise import PROVIDER, Normaliser
from feeds.betfair.recording import RecordingError, read
from feeds.bus import NatsBus
from feeds.makers import Makers
from feeds.session import Session, now_ms

if TYPE_CHECKING:
    from config.settings import Settings
    from core.messages.feed import FeedMessage
    from feeds.betfair.stream import LineError, Message

_LEVELS_MAX = 10
"""Of a side of a selection that makers follow, the best ones. With 40 runners these are 800 orders, and a customer may
have a thousand (limits.orders_customer_max)."""
_LINES_PER_TURN = 50
"""Without a pace, lines between two turns of the loop: some 0.5 ms."""
_log = structlog.get_logger("feeds.betfair.replay")


class ReplayStats(Struct):
    """What became of one recording."""

    recording: str
    lines: int = 0
    bad_lines: int = 0
    messages: int = 0
    markets: int = 0
    settled: int = 0
    """Markets with results, or cancelled."""
    crossed: int = 0
    late_max_ms: int = 0
    """How far behind its pace it ever was."""
    seconds: float = 0.0
    stopped: bool = False
    """Before its end."""


class Pace:
    """When the recording's moments are due."""

    def __init__(self, speed: float | None, stop: asyncio.Event) -> None:
        self._speed = speed
        self._stop = stop
        self._first_ms: int | None = None
        self._began_ms = now_ms()
        self._began = time.monotonic()
        self.late_max_ms = 0

    def begin(self, ts_ms: int) -> None:
        """The recording's moment that is now."""
        self._first_ms, self._began_ms, self._began = ts_ms, now_ms(), time.monotonic()

    def to_local_ms(self, ts_ms: int) -> int:
        """The recording's time as the wall clock's."""
        if self._first_ms is None:
            return self._began_ms
        return self._began_ms + int((ts_ms - self._first_ms) / (self._speed or 1.0))

    async def reach(self, ts_ms: int) -> None:
        """Wait until that moment, or until told to stop."""
        if self._first_ms is None or self._speed is None:
            return
        due = self._began + (ts_ms - self._first_ms) / 1000 / self._speed
        wait_s = due - time.monotonic()
        if wait_s > 0.001:
            try:
                await asyncio.wait_for(self._stop.wait(), wait_s)
            except TimeoutError:
                return
        else:
            self.late_max_ms = max(self.late_max_ms, int(-wait_s * 1000))


async def replay(
    session: Session,
    path: Path,
    *,
    speed: float | None,
    stop: asyncio.Event,
    prefix: str = f"{PROVIDER}:",
    lead_ms: int | None = None,
    makers: Makers | None = None,
) -> ReplayStats:
    """Play a recording through a session until its end or `stop`; `speed` None: as fast as it is taken.

    With `lead_ms`, what lies longer before the first start is taken in at once and told as an image. Unreadable lines
    are reported and passed over. `makers` make its markets. Afterwards nothing of it is on offer any more; the session
    lives on, and is its owner's to end. Raises RecordingError for a file that cannot be read to its end, after what was
    before was told.
    """
    play = _Play(session, Pace(speed, stop), prefix, lead_ms, str(path), makers)
    stats, began = play.stats, time.monotonic()

    def report(error: LineError) -> None:
        stats.bad_lines += 1
        _log.warning("a line that cannot be read", recording=str(path), line=error.number, reason=error.reason)

    try:
        for message in read(path, session.settings.line_bytes_max, report):
            if stop.is_set():
                stats.stopped = True
                break
            await play.next(message)
    except RecordingError:
        await play.end()
        raise
    await play.end()
    stats.seconds = round(time.monotonic() - began, 3)
    return stats


class _Play:
    """One recording on its way through a session."""

    def __init__(
        self,
        session: Session,
        pace: Pace,
        prefix: str,
        lead_ms: int | None,
        recording: str,
        makers: Makers | None,
    ) -> None:
        self.stats = ReplayStats(recording)
        self._session = session
        self._pace = pace
        self._lead_ms = lead_ms
        settings = session.settings
        self._makers = makers
        self._made: dict[str, None] = {}
        """Markets that have makers, by Betfair's id."""
        self._normaliser = Normaliser(
            settings.markets_max, prefix, pace.to_local_ms, settings.refresh_ms, exchange=makers is not None
        )
        self._playing = False

    async def next(self, message: Message) -> None:
        self.stats.lines += 1
        if not self.stats.lines % _LINES_PER_TURN:
            await asyncio.sleep(0)
        if not self._playing:
            if self._early(message):
                self._normaliser.read(message)
                return
            await self._begin(message.pt)
        await self._pace.reach(message.pt)
        await self._say(self._normaliser.read(message))

    async def end(self) -> None:
        if not self._playing:
            await self._begin(self._normaliser.ts_ms)
        await self._say(self._normaliser.stop())
        self._session.end(self._normaliser)
        stats, normaliser = self.stats, self._normaliser
        stats.markets, stats.settled, stats.crossed = normaliser.count, normaliser.settled, normaliser.crossed
        stats.late_max_ms = self._pace.late_max_ms

    def _early(self, message: Message) -> bool:
        """Whether a message is only to be taken in. The first one always, since it names the start."""
        if self._lead_ms is None:
            return False
        start_ms = self._normaliser.start_ms
        return start_ms is None or message.pt < start_ms - self._lead_ms

    async def _begin(self, ts_ms: int) -> None:
        self._playing = True
        self._pace.begin(ts_ms)
        self._session.add(self._normaliser)
        if self._lead_ms is not None:
            await self._session.recover()

    async def _say(self, messages: list[FeedMessage]) -> None:
        if messages:
            self.stats.messages += len(messages)
            await self._session.publish(messages)
        if self._makers is not None and len(self._normaliser.exchanges) != len(self._made):
            self._make(self._makers)

    def _make(self, makers: Makers) -> None:
        """Makers for the markets that have none yet."""
        normaliser, known = self._normaliser, self._made
        self._made = dict.fromkeys(normaliser.exchanges)
        for market_id in self._made:
            if market_id not in known:
                look = partial(normaliser.depth, market_id, _LEVELS_MAX)
                makers.follow(*normaliser.exchanges[market_id], look)


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """`tictac replay`."""
    command = commands.add_parser(
        "replay", help="play recordings of Betfair's stream as a live feed", description=__doc__
    )
    command.add_argument("files", nargs="+", type=Path, metavar="FILE", help="plain, bz2 or gz; all begin together")
    pace = command.add_mutually_exclusive_group()
    pace.add_argument("--speed", type=_speed, default=1.0, metavar="N", help="times the original pace (default 1)")
    pace.add_argument("--max", action="store_true", help="no pace: as fast as it is taken")
    command.add_argument(
        "--lead", type=float, metavar="S", help="begin S seconds before the first start, with an image"
    )
    command.add_argument(
        "--producer", type=_name, default="replay", metavar="NAME", help="the producer's name (default replay)"
    )
    command.add_argument(
        "--run",
        dest="run_name",
        type=_name,
        default=None,
        metavar="NAME",
        help="goes into all ids: a recording once settled can be played again",
    )
    command.add_argument(
        "--exchange",
        action="store_true",
        help="as exchange markets, whose recorded depth becomes orders of simulated makers; also connects as a gateway",
    )
    command.add_argument("--stay", action="store_true", help="go on being heard after the end, until Ctrl-C")
    command.set_defaults(run=run)


def run(args: argparse.Namespace, settings: Settings) -> int:
    """One line of JSON a recording; exit status 1 when one could not be read to its end, or NATS not reached."""
    try:
        return uvloop.run(_main(args, settings))
    except ConnectionError as error:
        sys.stderr.write(f"tictac replay: NATS at {', '.join(settings.nats.urls)}: {error}\n")
        return 1


async def _main(args: argparse.Namespace, settings: Settings) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    speed = None if args.max else args.speed
    prefix = f"{PROVIDER}:{args.run_name}:" if args.run_name else f"{PROVIDER}:"
    lead_ms = None if args.lead is None else int(args.lead * 1000)
    async with AsyncExitStack() as stack:
        bus = await NatsBus.connect(settings.nats, f"replay {args.producer}")
        stack.push_async_callback(bus.close)
        makers = None
        if args.exchange:
            gateway = await NatsBus.connect(settings.nats, f"makers {args.producer}", Role.GATEWAY)
            stack.push_async_callback(gateway.close)
            makers = await stack.enter_async_context(Makers(gateway, settings.limits))
        session = await stack.enter_async_context(Session(bus, PROVIDER, args.producer, settings.ingest))
        plays = [
            replay(session, path, speed=speed, stop=stop, prefix=prefix, lead_ms=lead_ms, makers=makers)
            for path in args.files
        ]
        status = max(map(_report, await asyncio.gather(*plays, return_exceptions=True)))
        if args.stay:
            await stop.wait()
    return status


def _report(ended: ReplayStats | BaseException) -> int:
    if isinstance(ended, ReplayStats):
        sys.stdout.write(msgspec.json.encode(ended).decode() + "\n")
        return 0
    if isinstance(ended, RecordingError):
        sys.stderr.write(f"tictac replay: {ended}\n")
        return 1
    raise ended


def _speed(text: str) -> float:
    speed = float(text)
    if not 0.001 <= speed <= 1_000_000:
        raise argparse.ArgumentTypeError("from 0.001 to 1000000")
    return speed


def _name(text: str) -> str:
    """A token of subjects and ids."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,20}", text):
        raise argparse.ArgumentTypeError("1 to 20 letters, digits, _ or -")
    return text
