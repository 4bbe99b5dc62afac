"""The command `tictac demo`: starts all of it, shows it, and stops all of it, whatever happens.

Without end until Ctrl-C; or, with --once, a programme of so many bets and then the proof that nothing was lost.
Whatever part dies, the demo says which one and why, stops the others and ends with status 1.

The seed fixes the customers, their habits and the simulated fixtures; what price a bet meets is a matter of
milliseconds, so counts differ a little from one run to the next, and what must add up adds up in each.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import uvloop
from msgspec.structs import replace
from rich.console import Console
from rich.live import Live

from adapters import bus, logs
from adapters.demo import proof, view
from adapters.demo.servers import EmbeddedError
from adapters.demo.stage import Demo, DemoError, Plan
from config.settings import Settings

_FRAME_S: Final = 0.25
"""Four frames a second: prices can be read, and drawing takes a few per cent of a core."""
_LINE_S: Final = 5.0
_QUICK_S: Final = 0.7
"""For each of the two steps between a Ctrl-C and the stop of the servers, which has demo.stop_ms."""
_SETTLE_S: Final = 30.0
"""After the last bet: results come, the projector catches up. It takes a second or two."""


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
        tasks = {asyncio.create_task(_show(demo)), asyncio.create_task(demo.watching())}
        done, left = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        for task in done:
            task.result()
        demo.say("stopping ...")
        if demo.run:
            await demo.end_parts(_QUICK_S)
            state = await demo.live_state(_QUICK_S)
            demo.say(f"the state after event {state.event_no:,} has the hash {state.state_hash}")
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
            await _until(watching, lambda: demo.watch.quiet, _SETTLE_S)
        finally:
            watching.cancel()
        await demo.end_parts(_SETTLE_S)
        live = await demo.live_state(_SETTLE_S)
        await demo.servers.stop_engine(_SETTLE_S)
        demo.say("rebuilding the state from the journal, comparing Postgres with it ...")
        return await proof.prove(demo.servers.settings(), demo.run, live, demo.watch)


async def _until(watching: asyncio.Task[None], reached: Callable[[], bool], within_s: float | None) -> None:
    """Wait for a condition; a Ctrl-C or a dead part ends it with DemoError, and after its time the proof tells."""
    deadline = time.monotonic() + within_s if within_s else float("inf")
    while not reached() and time.monotonic() < deadline:
        await asyncio.wait({watching}, timeout=_FRAME_S)
        if watching.done():
            watching.result()
            raise DemoError("stopped before its end")


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
    command.add_argument("--bets", type=_number, default=20_000, help="of the bounded programme (default 20000)")
    command.add_argument("--json", action="store_true", help="the outcome of --once as one line of JSON")
    command.set_defaults(run=run)


def _number(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 1 up, got {text!r}")
    return int(text)


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
