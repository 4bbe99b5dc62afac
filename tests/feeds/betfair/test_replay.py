"""Recordings as a live feed: in order, at a pace, to the end, cut off, stopped; and the command over NATS."""

from __future__ import annotations

import asyncio
import bz2
import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
import nats
import pytest

from adapters.embedded import NatsServer
from config.settings import Role, load
from core.messages.feed import (
    AnyFeedMessage,
    FeedMessage,
    FixtureChange,
    MarketImage,
    OddsChange,
    Settlement,
    Suspend,
)
from feeds.betfair.recording import RecordingError
from feeds.betfair.replay import ReplayStats, replay
from feeds.bus import MemoryBus
from feeds.session import Session, now_ms
from tests.feeds.betfair.lines import definition, line

INGEST = load(environ={}).ingest
START_MS = 1_767_268_800_000
_decode = msgspec.msgpack.Decoder(AnyFeedMessage).decode
LINES = [
    line(
        {"id": 11, "atb": [[2.0, 5]]},
        {"id": 22, "atb": [[3.0, 5]]},
        pt=START_MS - 60_000,
        marketDefinition=definition(),
    ),
    line({"id": 11, "atb": [[2.1, 5]]}, pt=START_MS - 30_000),
    line({"id": 11, "atb": [[2.2, 5]]}, pt=START_MS - 1_000),
    line(pt=START_MS, marketDefinition=definition("SUSPENDED")),
    line(pt=START_MS + 1_000, marketDefinition=definition("CLOSED", "11 WINNER,22 LOSER")),
]


def kinds(bus: MemoryBus) -> list[str]:
    return [type(message).__name__ for message in said(bus)]


def said(bus: MemoryBus) -> list[FeedMessage]:
    return [_decode(payload) for _, payload in bus.sent]


async def play(path: Path, bus: MemoryBus, *, speed: float | None = None, lead_ms: int | None = None) -> ReplayStats:
    async with Session(bus, "betfair", "replay", INGEST) as session:
        return await replay(session, path, speed=speed, stop=asyncio.Event(), lead_ms=lead_ms)


@pytest.mark.parametrize("pack", [bytes, bz2.compress, gzip.compress])
async def test_a_recording_is_played_to_its_results(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    (path := tmp_path / "any name").write_bytes(pack(b"".join(LINES)))
    bus = MemoryBus()
    stats = await play(path, bus)
    assert kinds(bus) == [
        *("RecoveryBegin", "RecoveryEnd", "FixtureChange", "MarketImage"),
        *("OddsChange", "OddsChange", "Suspend", "OddsChange", "Settlement"),
    ]
    sequences = [message.sequence for message in said(bus)]
    assert sequences == list(range(sequences[0], sequences[0] + 9))
    assert (stats.lines, stats.messages, stats.markets, stats.settled, stats.stopped) == (5, 7, 1, 1, False)


async def test_time_stamps_stay_and_starts_are_shifted_to_now(tmp_path: Path) -> None:
    (path := tmp_path / "recording").write_bytes(b"".join(LINES))
    bus, before = MemoryBus(), now_ms()
    await play(path, bus)
    fixture = next(message for message in said(bus) if isinstance(message, FixtureChange))
    assert fixture.ts_ms == START_MS - 60_000
    assert before + 60_000 <= fixture.start_ms <= now_ms() + 60_000


async def test_a_faster_pace_brings_the_start_nearer(tmp_path: Path) -> None:
    (path := tmp_path / "recording").write_bytes(b"".join(LINES))
    bus, before = MemoryBus(), now_ms()
    stats = await play(path, bus, speed=300)
    fixture = next(message for message in said(bus) if isinstance(message, FixtureChange))
    assert before + 200 <= fixture.start_ms <= now_ms() + 200
    assert stats.seconds >= 0.2, "61 s at 300 times the pace"


async def test_with_a_lead_what_was_long_before_is_an_image(tmp_path: Path) -> None:
    (path := tmp_path / "recording").write_bytes(b"".join(LINES))
    bus = MemoryBus()
    stats = await play(path, bus, lead_ms=5_000)
    assert kinds(bus) == [
        *("RecoveryBegin", "RecoveryEnd", "RecoveryBegin", "FixtureChange", "MarketImage", "RecoveryEnd"),
        *("OddsChange", "Suspend", "OddsChange", "Settlement"),
    ]
    image = next(message for message in said(bus) if isinstance(message, MarketImage))
    assert image.selections[0].price == 21_000
    assert stats.lines == 5


async def test_told_to_stop_it_withdraws_what_is_on_offer(tmp_path: Path) -> None:
    (path := tmp_path / "recording").write_bytes(b"".join(LINES))
    bus, stop = MemoryBus(), asyncio.Event()
    async with Session(bus, "betfair", "replay", INGEST) as session:
        playing = asyncio.create_task(replay(session, path, speed=1.0, stop=stop))
        async with asyncio.timeout(20):
            while "MarketImage" not in kinds(bus):  # noqa: ASYNC110
                await asyncio.sleep(0)
        stop.set()
        stats = await asyncio.wait_for(playing, 20)
    assert stats.stopped
    assert isinstance(said(bus)[-1], Suspend)


def _damaged(packed: bytes) -> bytes:
    middle = len(packed) // 2
    return packed[:middle] + bytes(byte ^ 0xFF for byte in packed[middle : middle + 20]) + packed[middle + 20 :]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"".join(LINES)[:-100], "line 5: cut off in the middle, "),
        (bz2.compress(LINES[0]) + bz2.compress(b"".join(LINES[1:]))[:-200], "cut off in the middle, after line 1"),
        (gzip.compress(LINES[0]) + gzip.compress(b"".join(LINES[1:]))[:-10], "cut off in the middle, after line "),
        (bz2.compress(LINES[0]) + _damaged(bz2.compress(b"".join(LINES[1:]))), "after line 1: Invalid data stream"),
        (gzip.compress(LINES[0]) + _damaged(gzip.compress(b"".join(LINES[1:]))), "after line [1-4]: "),
    ],
)
async def test_a_recording_cut_in_the_middle_is_named_after_everything_before_it(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    (path := tmp_path / "recording").write_bytes(content)
    bus = MemoryBus()
    with pytest.raises(RecordingError, match=reason) as error:
        await play(path, bus)
    assert str(path) in str(error.value)
    assert kinds(bus)[2:4] == ["FixtureChange", "MarketImage"]
    assert kinds(bus)[-1] == "Suspend", "what is not told any more is not on offer"


async def test_unreadable_lines_are_counted_and_passed_over(tmp_path: Path) -> None:
    (path := tmp_path / "recording").write_bytes(LINES[0] + b"no json\n" + b"".join(LINES[1:]))
    stats = await play(path, MemoryBus())
    assert (stats.lines, stats.bad_lines, stats.settled) == (5, 1, 1)


async def test_a_file_that_is_not_there_is_a_recording_error(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="No such file"):
        await play(tmp_path / "nothing", MemoryBus())


async def test_a_recovery_in_the_middle_of_a_fast_replay_loses_nothing(tmp_path: Path) -> None:
    prices = [round(2 + number / 100, 2) for number in range(1, 400)]
    moves = [line({"id": 11, "atb": [[price, 5]]}, pt=START_MS - 900 + number) for number, price in enumerate(prices)]
    (path := tmp_path / "recording").write_bytes(b"".join([LINES[0], *moves, *LINES[3:]]))
    bus = MemoryBus()
    async with Session(bus, "betfair", "replay", INGEST) as session:
        asking = [asyncio.create_task(session.recover()) for _ in range(3)]
        await replay(session, path, speed=None, stop=asyncio.Event())
        await asyncio.gather(*asking)
    messages = said(bus)
    assert [message.sequence - messages[0].sequence for message in messages] == list(range(len(messages)))
    assert sum(isinstance(message, OddsChange) for message in messages) == 399 + 1
    assert isinstance(messages[-1], Settlement)


def tictac(environ: Mapping[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    program = "import sys; from adapters.cli import main; sys.exit(main())"
    return subprocess.run(  # noqa: S603
        [sys.executable, "-c", program, *words],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def test_the_command_plays_files_over_nats(nats_server: NatsServer, tmp_path: Path) -> None:
    (first := tmp_path / "first").write_bytes(b"".join(LINES))
    (second := tmp_path / "second.bz2").write_bytes(bz2.compress(b"".join(LINES[:3])[:-5]))
    client = await nats.connect(nats_server.url(Role.ENGINE), inbox_prefix=Role.ENGINE.inbox_prefix.encode())
    heard = await client.subscribe("feed.betfair.>")
    await client.flush()
    ended = await asyncio.to_thread(
        tictac, nats_server.environ, "replay", "--max", "--producer", "test", "--run", "r1", str(first), str(second)
    )
    assert ended.returncode == 1
    assert "tictac replay: " in ended.stderr
    assert "second.bz2: line 3: cut off in the middle" in ended.stderr
    assert json.loads(ended.stdout)["settled"] == 1
    messages: list[FeedMessage] = []
    async with asyncio.timeout(20):
        while not (messages and isinstance(messages[-1], Settlement)):
            messages.append(_decode((await heard.next_msg(20)).data))
    assert {message.producer for message in messages} == {"test"}
    assert {message.market for message in messages if isinstance(message, MarketImage)} == {"betfair:r1:1.5"}
    await client.close()


@pytest.mark.parametrize("variable", ["TICTAC_NATS_INGESTOR_PASSWORD=wrong", "TICTAC_NATS_URLS=nats://127.0.0.1:9"])
def test_the_command_says_when_it_cannot_reach_nats(nats_server: NatsServer, tmp_path: Path, variable: str) -> None:
    (path := tmp_path / "recording").write_bytes(b"".join(LINES))
    name, _, value = variable.partition("=")
    bounds = {"TICTAC_NATS_CONNECT_ATTEMPTS_MAX": "1", "TICTAC_NATS_RECONNECT_WAIT_MS": "1"}
    ended = tictac({**nats_server.environ, **bounds, name: value}, "replay", str(path))
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("tictac replay: NATS at nats://127.0.0.1:")
    assert "Traceback" not in ended.stderr
