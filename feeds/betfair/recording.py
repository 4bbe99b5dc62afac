"""Recordings of the stream: one message a line; plain, bz2 or gz, told apart by their first bytes and not by name."""

from __future__ import annotations

import zlib
from bz2 import BZ2Decompressor
from collections.abc import Callable, Iterator
from gzip import GzipFile
from io import BufferedReader
from pathlib import Path

from feeds.betfair.stream import LineError, Message, Parser

CHUNK_BYTES = 1 << 16
"""Read at once: a few milliseconds of unpacking, so that a task that replays holds up nobody."""


class RecordingError(Exception):
    """A file that cannot be read, or not to its end; the message says which, where and why."""


def read(path: Path, line_bytes_max: int, on_bad: Callable[[LineError], None] | None = None) -> Iterator[Message]:
    """The messages of a recording. Raises RecordingError, after everything before the fault was delivered."""
    parser = Parser(line_bytes_max, on_bad)
    try:
        for data in _chunks(path):
            yield from parser.feed(data)
        yield from parser.end()
    except LineError as error:
        raise RecordingError(f"{path}: {error}") from error
    except EOFError as error:
        raise RecordingError(f"{path}: cut off in the middle, after line {parser.lines}") from error
    except (OSError, zlib.error) as error:
        raise RecordingError(f"{path}: after line {parser.lines}: {error}") from error


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        start = file.peek(3)
        if start.startswith(b"BZh"):
            yield from _unpack_bz2(file)
        elif start.startswith(b"\x1f\x8b"):
            with GzipFile(fileobj=file) as unpacked:
                yield from _pieces(unpacked)
        else:
            yield from _pieces(file)


def _pieces(file: BufferedReader | GzipFile) -> Iterator[bytes]:
    # read1: what is there, and not as much as was asked for, so that a fault loses nothing that was before it.
    while data := file.read1(CHUNK_BYTES):
        yield data


def _unpack_bz2(file: BufferedReader) -> Iterator[bytes]:
    """As BZ2File does; but that takes a second stream which is damaged for rubbish at the end, and passes over it."""
    unpacker = BZ2Decompressor()
    while True:
        data = b""
        if unpacker.eof:
            data = unpacker.unused_data or file.read(CHUNK_BYTES)
            if not data:
                return
            unpacker = BZ2Decompressor()
        elif unpacker.needs_input:
            data = file.read(CHUNK_BYTES)
            if not data:
                raise EOFError
        yield unpacker.decompress(data, CHUNK_BYTES)
