"""The main job, as a user starts it: its own servers, real processes, real recordings where they can be had."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from adapters.bus import connect
from adapters.demo.kinds import NAMED
from adapters.embedded import NatsServer
from adapters.journal import snapshots
from config.settings import Role, load
from core.units import money_text

RECORDINGS = Path(__file__).parent.parent.parent / ".tictac" / "recordings"
KEYS = (
    *("bets", "accepted", "rejected", "settled", "staked_m", "paid_m", "ledger_sum_m", "journal_events"),
    *("projected_events", "state_hash", "rebuilt_state_hash", "recordings", "bets_per_s", "p50_ms", "p99_ms"),
    *("by_kind", "pending", "waited", "cash_outs", "exchange"),
)
START_S = 60.0
GONE_S = 15.0
"""In which the kernel has to have ended what was killed: at once on a quiet machine."""
T = TypeVar("T")


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "adapters.cli", "demo", *arguments]


def environ() -> dict[str, str]:
    return {**os.environ, "TICTAC_INGEST_RECORDINGS": str(RECORDINGS), "TICTAC_DEMO_CUSTOMERS": "60"}


class Demo:
    """A running demo, what it says, and all its processes."""

    def __init__(self, folder: Path, **given: str) -> None:
        self.said = folder / f"said-{time.monotonic_ns()}"
        self._out = self.said.open("w")
        self.process = subprocess.Popen(  # noqa: S603  (our own command)
            command("--data", str(folder / "data")),
            stdout=self._out,
            stderr=self._out,
            env=environ() | given,
            cwd=folder,
        )

    def wait_for(self, pattern: str, within_s: float = START_S) -> re.Match[str]:
        """Wait for what it says; fails with all it said."""

        def found() -> re.Match[str] | None:
            assert self.process.poll() is None, self.said.read_text()
            return re.search(pattern, self.said.read_text())

        return wait(found, within_s, lambda: f"never said {pattern!r}:\n{self.said.read_text()}")

    def processes(self) -> dict[int, str]:
        """It and all its descendants."""
        found, parents = {self.process.pid: "demo"}, processes()
        while more := {pid for pid, (parent, _) in parents.items() if parent in found} - found.keys():
            found.update({pid: parents[pid][1] for pid in more})
        return found

    def end(self, number: signal.Signals) -> tuple[int, float]:
        """Exit status, and how long it took."""
        began = time.monotonic()
        self.process.send_signal(number)
        status = self.process.wait(30)
        return status, time.monotonic() - began


def processes() -> dict[int, tuple[int, str]]:
    """Process id -> parent's id, name; those that have ended but were not waited for are left out."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, rest = stat.read_text().partition(" ")[2].rsplit(")", 1)
        except OSError:
            continue
        state, parent = rest.split()[:2]
        if state != "Z":
            found[int(stat.parent.name)] = int(parent), name.strip("( ")
    return found


def wait(look: Callable[[], T | None], within_s: float, complaint: Callable[[], str]) -> T:
    deadline = time.monotonic() + within_s
    while (found := look()) is None:
        assert time.monotonic() < deadline, complaint()
        time.sleep(0.05)
    return found


def engine_of(pids: dict[int, str]) -> int:
    return next(pid for pid in pids if b"adapters.cli\0engine" in command_line(pid))


def command_line(pid: int) -> bytes:
    """Empty where the process has ended meanwhile: Postgres' come and go."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def assert_gone(pids: dict[int, str], within_s: float) -> None:
    def left() -> dict[int, str]:
        return {pid: name for pid, name in pids.items() if processes().get(pid, (0, ""))[1] == name}

    wait(lambda: True if not left() else None, within_s, lambda: f"still running: {left()}")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Demo]]:
    started: list[Demo] = []

    def begin(**given: str) -> Demo:
        started.append(Demo(tmp_path, **given))
        return started[-1]

    yield begin
    for demo in started:
        if demo.process.poll() is None:
            demo.process.kill()
            demo.process.wait()


def test_a_bounded_run_proves_itself(tmp_path: Path) -> None:
    arguments = ("--once", "--seed", "1", "--json", "--bets", "2000")
    ran = subprocess.run(  # noqa: S603  (our own command)
        command(*arguments), capture_output=True, text=True, timeout=110, env=environ(), cwd=tmp_path, check=False
    )
    assert ran.returncode == 0, ran.stderr
    figures = json.loads(ran.stdout.splitlines()[-1])
    assert tuple(figures) == KEYS
    assert figures["bets"] >= 2_000
    assert figures["accepted"] + sum(figures["rejected"].values()) + figures["pending"] == figures["bets"]
    assert figures["pending"] == 0
    assert sum(figures["by_kind"].values()) == figures["accepted"]
    assert figures["by_kind"]["single"] > figures["by_kind"]["double"] > 0
    assert figures["by_kind"].keys() & {"each_way_single", "each_way_double"}
    assert figures["by_kind"].keys() & {*NAMED, "system"}
    assert figures["waited"]["delayed"] > figures["waited"]["referred"] >= figures["waited"]["offered"]
    assert figures["waited"]["referred"] + figures["cash_outs"] > 0
    assert figures["accepted"] == figures["settled"] > figures["bets"] / 4
    assert len(figures["rejected"]) >= 4
    assert "DUPLICATE_ID" not in figures["rejected"]
    assert figures["ledger_sum_m"] == 0
    assert figures["journal_events"] == figures["projected_events"] > figures["bets"]
    assert figures["state_hash"] == figures["rebuilt_state_hash"]
    assert figures["staked_m"] > 0 < figures["paid_m"]
    exchange = figures["exchange"]
    assert exchange["orders"] > exchange["customers"] > 50, exchange
    assert 0 < exchange["matched"] * 100 <= exchange["matched_stake_m"], exchange
    assert min(exchange[name] for name in ("commission_m", "lapsed", "cancelled")) > 0, exchange
    assert exchange["crosses"] <= exchange["matched"]
    assert figures["bets_per_s"] > 0 < figures["p50_ms"] <= figures["p99_ms"]
    assert not list(tmp_path.glob("*")), "it works in a folder of its own"


async def left_in(folder: Path) -> str:
    """What the demo's customers have, by currency, rebuilt from NATS."""
    async with NatsServer(folder / "data" / "nats") as server:
        settings = load(environ=server.environ)
        client = await connect(settings, Role.OPERATOR)
        book, _ = await snapshots.rebuild(client.jetstream(), settings)
        await client.close()
    had = Counter[str]()
    for customer in book.customers.values():
        if not customer.id.startswith("demo-"):  # makers and the house, who play for all of them
            continue
        had[customer.currency] += customer.cash_m + customer.open_stakes_m + customer.reserved_m + customer.exposure_m
    return ", ".join(money_text(had_m, currency) for currency, had_m in sorted(had.items()))


async def test_ctrl_c_stops_everything_and_the_next_run_goes_on_from_there(
    start: Callable[..., Demo], tmp_path: Path
) -> None:
    demo = start()
    demo.wait_for(r"bets [1-9]")
    pids = demo.processes()
    assert {"demo", "nats-server", "postgres"} <= set(pids.values())
    status, took_s = demo.end(signal.SIGINT)
    assert status == 0, demo.said.read_text()
    assert took_s < 5
    assert_gone(pids, GONE_S)

    left = await left_in(tmp_path)
    assert re.fullmatch(r"[1-9][\d,.]+ EUR, [1-9][\d,.]+ GBP, [1-9][\d,.]+ SEK", left)
    demo = start()
    back = demo.wait_for(r"60 customers are back; together they have (.+)")
    assert back[1] == left
    demo.wait_for(r"bets [1-9]")

    pids = demo.processes()
    os.kill(engine_of(pids), signal.SIGKILL)
    assert demo.process.wait(15) == 1
    assert "engine ended" in demo.said.read_text()
    assert_gone(pids, GONE_S)


def test_data_has_one_demo_at_a_time_and_nothing_outlives_one_that_is_killed(
    start: Callable[..., Demo], tmp_path: Path
) -> None:
    """And this one has no network: it says so, and plays what it can."""
    nowhere = "http://127.0.0.1:9/simple"
    demo = start(TICTAC_INGEST_RECORDINGS=str(tmp_path / "none"), PIP_INDEX_URL=nowhere, PIP_EXTRA_INDEX_URL="")
    demo.wait_for("no recordings, the simulator only")
    demo.wait_for(r"bets [1-9]")
    second = start()
    assert second.process.wait(START_S) == 1
    assert "another demo runs" in second.said.read_text()
    pids = demo.processes()
    demo.end(signal.SIGKILL)
    assert_gone(pids, GONE_S)
