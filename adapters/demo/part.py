"""A part of the demo that is a process of its own: started with a job, reports as it goes, ends when its input does.

One JSON value a line: the job goes in, reports come out. The end of the input is the word to stop, and it comes also
when the starter is killed: so no part can outlive the demo, on any system. Parts live in a session of their own: a
Ctrl-C at the terminal reaches the demo only, which stops everything in order.
"""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final, Generic, TypeVar

import msgspec
import uvloop
from msgspec import Struct

LINE_BYTES_MAX: Final = 4_000_000
STOP_TIMEOUT_S: Final = 3.0
"""A part that has not said goodbye by then ends without."""
_LOG_TAIL_BYTES: Final = 20_000
_LINE_TAIL: Final = 400
J = TypeVar("J", bound=Struct)
R = TypeVar("R", bound=Struct)


class Part(Generic[R]):
    """The starter's side."""

    def __init__(self, name: str, module: str, log: Path, report: type[R], heard: Callable[[R], None]) -> None:
        """`heard` is called with each report."""
        self.name = name
        self.log = log
        self._module = module
        self._heard = heard
        self._decode = msgspec.json.Decoder(report).decode
        self._process: Process | None = None
        self._reading: asyncio.Task[None]

    async def start(self, job: Struct, environ: Mapping[str, str]) -> None:
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", self._module),
                stdin=PIPE,
                stdout=PIPE,
                stderr=log,
                env={**os.environ, **environ},
                limit=LINE_BYTES_MAX,
                start_new_session=True,
            )
        self._reading = asyncio.create_task(self._read(), name=self.name)
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(job) + b"\n")

    async def ended(self) -> str:
        """Wait for its end, and say how: it has none of its own accord."""
        assert self._process is not None
        status = await self._process.wait()
        return f"{self.name} ended (status {status}): {tail(self.log)}"

    async def stop(self, within_s: float) -> bool:
        """End its input and wait; by force when it takes longer: False."""
        process = self._process
        if process is None:
            return True
        assert process.stdin is not None
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), within_s)
        except TimeoutError:
            process.kill()
            await process.wait()
            return False
        finally:
            self._reading.cancel()
        return True

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self._heard(self._decode(line))


class Starter:
    """The part's side: what its starter says, and the way to report."""

    def __init__(self, lines: asyncio.StreamReader) -> None:
        self.stop = asyncio.Event()
        """Set at the end of the input."""
        self._lines = lines

    @staticmethod
    def report(report: Struct) -> None:
        sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
        sys.stdout.buffer.flush()

    async def listen(self) -> None:
        await self._lines.read()
        self.stop.set()


def run(job_type: type[J], main: Callable[[J, Starter], Awaitable[None]]) -> None:
    """The part's process: `main` does the job until `starter.stop` is set."""
    uvloop.run(_run(job_type, main))


async def _run(job_type: type[J], main: Callable[[J, Starter], Awaitable[None]]) -> None:
    lines = asyncio.StreamReader(limit=LINE_BYTES_MAX)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    job = msgspec.json.decode(await lines.readline(), type=job_type)
    starter = Starter(lines)
    listening = asyncio.create_task(starter.listen())
    working = asyncio.ensure_future(main(job, starter))
    await asyncio.wait({working, listening}, return_when=asyncio.FIRST_COMPLETED)
    if not working.done():
        await asyncio.wait_for(working, STOP_TIMEOUT_S)
    listening.cancel()
    await working


def tail(log: Path) -> str:
    """The end of a log, for the message that says what went wrong."""
    try:
        lines = log.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace").strip().splitlines()
    except OSError:
        return "no log"
    return " | ".join(line[-_LINE_TAIL:] for line in lines[-3:]) or "no word in its log"
