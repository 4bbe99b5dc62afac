"""A programme over a session, in real time: as a library (`play`), and as a process of its own (`tictac simulate`)."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import re
import signal
from collections.abc import Callable
from functools import partial

import msgspec
import structlog
import uvloop

from config.settings import Settings
from feeds.bus import NatsBus
from feeds.makers import Makers
from feeds.session import Session, now_ms
from feeds.simulator.programme import PRODUCER, PROVIDER, Plan, Programme

_log = structlog.get_logger("feeds.simulator")


async def play(
    session: Session,
    programme: Programme,
    stop: asyncio.Event,
    *,
    abandon: bool = False,
    makers: Makers | None = None,
    clock_ms: Callable[[], int] = now_ms,
) -> None:
    """Tell the programme over an open session as its time comes, until it ends or `stop` is set.

    What is past when this begins, or when the process was held up for long, is told as one image: prices that come late
    are wrong prices. With `abandon` the fixtures are over with the stop: their open markets are cancelled. `makers`
    make the programme's exchange markets.
    """
    made: dict[tuple[str, str], None] = {}
    programme.pass_over(clock_ms())
    session.add(programme)
    await session.recover()
    while not stop.is_set() and (next_ms := programme.next_ms) is not None:
        if clock_ms() - next_ms > programme.settings.behind_max_ms:
            _log.warning("behind", ms=clock_ms() - next_ms)
            programme.pass_over(clock_ms())
            await session.recover()
            continue
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), max(0, next_ms - clock_ms()) / 1000)
        await session.publish(programme.messages(clock_ms()))
        if makers is not None:
            made = _make(makers, programme, made)
    if abandon:
        await session.publish(programme.abandon())


def _make(makers: Makers, programme: Programme, known: dict[tuple[str, str], None]) -> dict[tuple[str, str], None]:
    """Makers for the exchange markets that have none yet; returns those that are on offer."""
    there = dict.fromkeys(programme.exchanges)
    for place in there:
        if place not in known:
            makers.follow(*place, "CLASSIC", partial(programme.depth, *place))
    return there


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The command `simulate`."""
    parser = commands.add_parser("simulate", help="play simulated fixtures as a feed")
    parser.add_argument("--seed", type=_natural, default=1, help="same seed, run, start and speed: same fixtures")
    parser.add_argument("--fixtures", type=_natural, default=0, help="how many in all; 0: without end (the default)")
    parser.add_argument("--speed", type=_speed, default=60.0, help="60: a match takes 2 minutes")
    parser.add_argument("--run", dest="run_name", type=_run_name, default=None, help="part of ids, else its start")
    parser.add_argument(
        "--start-ms",
        type=_natural,
        default=0,
        help="take up the run that began then. It can be taken up again; other runs cancel what is open when stopped",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Play until the programme ends or the process is told to stop."""
    start_ms = args.start_ms or now_ms()
    plan = Plan(args.seed, args.run_name or str(start_ms), start_ms, args.speed, args.fixtures)
    uvloop.run(_serve(plan, settings, abandon=not args.start_ms))
    return 0


async def _serve(plan: Plan, settings: Settings, *, abandon: bool) -> None:
    stop = asyncio.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(each, stop.set)
    bus = await NatsBus.connect(settings.nats, "simulator")
    try:
        async with Session(bus, PROVIDER, PRODUCER, settings.ingest) as session:
            _log.info("playing", **msgspec.structs.asdict(plan))
            await play(session, Programme(plan, settings.simulator), stop, abandon=abandon)
            _log.info("played", recoveries=session.recoveries, dropped=session.dropped)
    finally:
        await bus.close()


def _natural(text: str) -> int:
    number = int(text)
    if not 0 <= number < 10**15:
        raise argparse.ArgumentTypeError("not from 0 to 10^15")
    return number


def _speed(text: str) -> float:
    number = float(text)
    if not 0.01 <= number <= 100_000:
        raise argparse.ArgumentTypeError("not from 0.01 to 100000")
    return number


def _run_name(text: str) -> str:
    """Fits into a fixture's id, which has 64 characters."""
    if not re.fullmatch("[A-Za-z0-9_-]{1,24}", text):
        raise argparse.ArgumentTypeError("not 1 to 24 letters, digits, - and _")
    return text
