"""A journal without room: a clear BUSY, nothing that was answered is lost, and on it goes when there is room again."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.embedded import NatsServer
from config.settings import Role
from tests.e2e.checks import nothing_lost
from tests.e2e.harness import Stack, until
from tests.e2e.load import new_load
from tests.e2e.market import Feed, Markets

FULL_BYTES = 200_000
ROOMY_BYTES = 1 << 30
SMALL = {"TICTAC_JOURNAL_BYTES_MAX": str(FULL_BYTES), "TICTAC_JOURNAL_APPEND_TIMEOUT_MS": "60000"}
"""BUSY says that there is no room then, not that a slow disk has kept an append waiting."""


@pytest.mark.parametrize("killed", [False, True])
async def test_a_full_journal_refuses_and_loses_nothing(folder: Path, seed: int, *, killed: bool) -> None:
    """Also where the engine is killed meanwhile: what waits for room is lost then, so nobody may know of it."""
    async with (
        Stack(folder, SMALL) as stack,
        Feed(stack, Markets(seed)) as feed,
    ):
        load = await new_load(stack, feed.markets, seed)
        async with load.running():
            await until(lambda: load.counts["busy"] > 50, lambda: f"BUSY; {load}")
            full_at = len(load.first_answers)
            assert stack.engine.page("/health"), "alive"
            assert stack.engine.page("/ready") is None, "and not ready"
            busy = load.counts["busy"]
            await until(lambda: load.counts["busy"] > busy + 100, lambda: f"more BUSY; {load}")
            assert len(load.first_answers) == full_at, "an answer without a place in the journal"
            if killed:
                await stack.engine.kill()
            await resize(stack, ROOMY_BYTES)
            if killed:
                stack.engine = await stack.new_engine(TICTAC_JOURNAL_BYTES_MAX=str(ROOMY_BYTES)).start()
            await load.more(200)
        await nothing_lost(stack, load, feed)
        print(f"full after {full_at} answers; {load}")  # noqa: T201


async def resize(stack: Stack, bytes_max: int) -> None:
    """As people would, beside the running engine."""
    js = (await stack.connect(Role.OPERATOR)).jetstream()
    config = (await js.stream_info(stack.settings.journal.stream)).config
    config.max_bytes = bytes_max
    await js.update_stream(config)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MB. Only root may mount one, and not everywhere."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount, unmount = shutil.which("mount"), shutil.which("umount")
    if os.geteuid() != 0 or mount is None or unmount is None:
        pytest.skip("only root may mount a small file system")
    command = [mount, "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)]
    mounted = subprocess.run(command, capture_output=True, check=False)  # noqa: S603  (our own command)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    yield disk
    subprocess.run([unmount, "-l", str(disk)], check=True)  # noqa: S603  (our own command)


async def test_a_full_disk_under_nats_loses_nothing(folder: Path, small_disk: Path, seed: int) -> None:
    """The server gives JetStream up when its disk is full: appends are answered by nobody until it is started again."""
    async with Stack(folder, nats=NatsServer(small_disk / "nats")) as stack, Feed(stack, Markets(seed)) as feed:
        load = await new_load(stack, feed.markets, seed)
        async with load.running():
            await load.more(200)
            filler = small_disk / "filler"
            await asyncio.to_thread(fill, filler)
            await until(lambda: load.counts["busy"] > 50, lambda: f"BUSY; {load}")
            filler.unlink()
            stack.nats.kill()
            await asyncio.to_thread(stack.nats.start)
            await load.more(200)
        await nothing_lost(stack, load, feed)
        print(load)  # noqa: T201


def fill(path: Path) -> None:
    """To the last byte."""
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(b"\0" * 4096):
                pass
        except OSError:
            return
