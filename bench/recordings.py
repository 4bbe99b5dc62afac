"""How many lines of Betfair's stream are parsed and normalised in a second, in one thread?

    bytes of a recording, 64 kB at a time ──> Parser ──> Normaliser ──> feed messages (counted)

Each recording is a row, with its lines' average size, since a line may hold one price or two hundred markets. `parsed`
is the parser alone, in the same run. The answer is checked in every pass: lines, messages, markets, results, crossed
books. The clock is the process's own (one thread, no waiting), so that a neighbour on the machine does not count.

Not in the number: reading and unpacking files, encoding the messages, NATS, the engine.
"""

from __future__ import annotations

import argparse
import bz2
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from bench import common
from config.settings import load
from feeds.betfair.normalise import Normaliser
from feeds.betfair.recording import CHUNK_BYTES
from feeds.betfair.stream import Message, Parser
from feeds.recordings import FetchError, fetch


class Expected(msgspec.Struct, frozen=True):
    """What a recording must come to."""

    lines: int
    messages: int
    markets: int
    settled: int
    crossed: int = 0


LARGE = {
    "PRO-1.170258213": Expected(22_367, 3_309, 1, 1),
    "SELF-1.181223994": Expected(44_687, 6_902, 1, 1),
    "SELF-1.181223995": Expected(21_922, 5_582, 1, 1),
    "1.200806927": Expected(18_529, 1_709, 1, 1),
    "1.127236622.bz2": Expected(16_096, 2_456, 1, 1),
    "1.242971311.bz2": Expected(1_736, 2_041, 200, 0, 102),
    "27312315.bz2": Expected(50_854, 6_121, 7, 7),
}
SMALL = {"BASIC-1.132153978": Expected(480, 482, 1, 1)}
TARGET_PER_S = 100_000


class Pass(msgspec.Struct):
    """One recording, once."""

    parsed_s: float
    whole_s: float


def messages(data: bytes, line_bytes_max: int) -> Iterator[Message]:
    """As a file or a socket would give it."""
    parser = Parser(line_bytes_max)
    for at in range(0, len(data), CHUNK_BYTES):
        yield from parser.feed(data[at : at + CHUNK_BYTES])
    yield from parser.end()


def play(data: bytes, expected: Expected) -> Pass:
    """Parse, then parse and normalise, and check what came of it."""
    ingest = load().ingest
    began = time.process_time()
    lines = sum(1 for _ in messages(data, ingest.line_bytes_max))
    parsed_s = time.process_time() - began
    normaliser, said = Normaliser(ingest.markets_max), 0
    began = time.process_time()
    for message in messages(data, ingest.line_bytes_max):
        said += len(normaliser.read(message))
    whole_s = time.process_time() - began
    found = Expected(lines, said, normaliser.count, normaliser.settled, normaliser.crossed)
    assert found == expected, f"{found}, expected {expected}"
    return Pass(parsed_s, whole_s)


def measure(path: Path, expected: Expected, passes: int) -> dict[str, object]:
    """The figures of one recording."""
    data = path.read_bytes()
    if data.startswith(b"BZh"):
        data = bz2.decompress(data)
    done = [play(data, expected) for _ in range(passes)]
    return {
        "lines": expected.lines,
        "line_bytes": len(data) // expected.lines,
        "messages": expected.messages,
        "lines_per_s": common.spread([expected.lines / each.whole_s for each in done]),
        "parsed_per_s": common.spread([expected.lines / each.parsed_s for each in done]),
        "mb_per_s": common.spread([len(data) / each.whole_s / 1e6 for each in done]),
    }


def run(options: argparse.Namespace) -> dict[str, object]:
    """All recordings, each fetched where it is not there yet."""
    wanted = SMALL if options.small else LARGE
    paths = fetch(wanted, Path(load().ingest.recordings))
    rows = {name: measure(paths[name], expected, options.passes) for name, expected in wanted.items()}
    return {"target_per_s": TARGET_PER_S, "passes": options.passes, **rows}


def main() -> int:
    """The program."""
    options = common.arguments(__doc__)
    facts = common.header("msgspec")
    try:
        result = run(options)
    except FetchError as error:
        print(f"bench.recordings: {error}", file=sys.stderr)
        return 1
    common.finish({"header": facts, **result}, as_json=options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
