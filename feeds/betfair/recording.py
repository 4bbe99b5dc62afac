"""Recordings of the stream: one message a line; plain, bz2 or gz, told apart by their first bytes and not by name."""

from __future__ import annotations

import bz2
import gzip
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

from feeds.betfair.stream import LineError, Message, Parser

CHUNK_BYTES = 1 << 16
"""Read at once: a few milliseconds of unpacking, so that a task that replays holds up nobody."""


class RecordingError(Exception):
    """A file that cannot be read, or not to its end; the message says which, where and why."""


def read(path: Path, line_bytes_max: int, on_bad: Callable[[LineError], None] | None = None) -> Iterator[Message]:
    """The messages of a recording. Raises RecordingError, after everything before the fault was delivered."""
    parser = Parser(line_bytes_max, on_bad)
    try:
        with _open(path) as file:
            while data := file.read(CHUNK_BYTES):
                yield from parser.feed(data)
        yield from parser.end()
    except LineError as error:
        raise RecordingError(f"{path}: {error}") from error
    except EOFError as error:
        raise RecordingError(f"{path}: cut off in the middle, after line {parser.lines}") from error
    except (OSError, zlib.error) as error:
        raise RecordingError(f"{path}: after line {parser.lines}: {error}") from error


def _open(path: Path) -> BinaryIO:
    with path.open("rb") as file:
        start = file.read(3)
    if start == b"BZh":
        return cast("BinaryIO", bz2.open(path))
    if start[:2] == b"\x1f\x8b":
        return cast("BinaryIO", gzip.open(path))
    return path.open("rb", buffering=0)
