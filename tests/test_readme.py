"""README.md does what it says: its programs run in its order, against a real engine, and print what it shows."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from adapters.cli import COMMANDS, main
from config.settings import Role
from tests.e2e.checks import projected
from tests.e2e.harness import Stack, until

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
SHELL = [text for kind, text in BLOCKS if kind == "sh"]
SHOWN = [text for kind, text in BLOCKS if kind == "text"]
PROGRAMS = {text.split()[1]: text for kind, text in BLOCKS if kind == "python"}
DEADLINE_S = 30.0

# The `nats` tool is no wheel: this one takes its flags, as nats-io/natscli has them, and asks in its stead.
NATS_TOOL = """\
import argparse, asyncio, nats
parser = argparse.ArgumentParser(allow_abbrev=False)
for flag in ("--server", "--user", "--password", "--inbox-prefix"):
    parser.add_argument(flag)
request = parser.add_subparsers(required=True).add_parser("request", allow_abbrev=False)
request.add_argument("--raw", action="store_true", required=True)
request.add_argument("subject")
request.add_argument("body")
given = parser.parse_args()

async def ask():
    prefix = given.inbox_prefix
    client = await nats.connect(given.server, user=given.user, password=given.password, inbox_prefix=prefix)
    print((await client.request(given.subject, given.body.encode())).data.decode())
    await client.close()

asyncio.run(ask())
"""


class Reader:
    """Somebody at the root of a project whose demo runs, typing what README says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / ".venv").symlink_to(sys.prefix)
        for name, text in PROGRAMS.items():
            (folder / name).write_text(text)
        (folder / "bin").mkdir()
        tool = folder / "bin" / "nats"
        tool.write_text(f"#!{sys.executable}\n{NATS_TOOL}")
        tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
        self._environ = {name: value for name, value in os.environ.items() if not name.startswith("TICTAC_")}
        self._environ["PATH"] = f"{folder / 'bin'}:{os.environ['PATH']}"

    async def start(self, words: str) -> asyncio.subprocess.Process:
        """In a shell that has read the first block."""
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            *("sh", "-c", f"set -e\n{SHELL[0]}\n{words}"), cwd=self.folder, env=self._environ, stdout=pipe, stderr=pipe
        )

    async def run(self, words: str) -> str:
        """What it prints; it must end well."""
        process = await self.start(words)
        try:
            printed, said = await asyncio.wait_for(process.communicate(), DEADLINE_S)
        finally:
            _end(process)
        assert process.returncode == 0, said.decode()
        return printed.decode()

    @asynccontextmanager
    async def running(self, program: str) -> AsyncIterator[asyncio.StreamReader]:
        """A program that goes on until Ctrl-C; its output."""
        process = await self.start(f"exec python {program}")
        assert process.stdout is not None
        try:
            yield process.stdout
        finally:
            _end(process)
            await process.wait()


def _end(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()


def masked(text: str) -> str:
    """Times, versions and sequences differ from run to run; whatever else is shown must be printed."""
    return re.sub(r'("(?:ts_ms|version|sequence)":)\d+', r"\1...", text)


async def test_its_programs_print_what_it_shows(tmp_path: Path) -> None:
    assert shutil.which("sh")
    async with Stack(tmp_path / ".tictac") as stack:
        reader = Reader(tmp_path)
        gateway = await stack.connect(Role.GATEWAY)

        async def is_open() -> bool:
            reply = await gateway.request("odds.get", b'{"fixture": "acme:1", "market": "winner"}', timeout=5)
            return b'"status":"open"' in reply.data

        async with reader.running("push_odds.py"):
            await until(is_open, "the market that push_odds.py offers")
            answers, refusal, image, desk, each_way, traded = SHOWN
            first = await reader.run("python place_bet.py")
            assert masked(first) == masked(answers)
            assert await reader.run("python place_bet.py") == first, "the same ids get the same answers"
            assert masked(await reader.run(SHELL[1])) == masked(refusal)
            async with reader.running("read_odds.py") as odds:
                line = await asyncio.wait_for(odds.readline(), DEADLINE_S)
                assert masked(line.decode()) == masked(image)
                assert masked(await reader.run("python desk.py")) == masked(desk)
                while b'"status":"settled"' not in line:
                    line = await asyncio.wait_for(odds.readline(), DEADLINE_S)
                    assert line, "read_odds.py has ended"
        assert await reader.run("python each_way.py") == each_way
        assert masked(await reader.run("python trade.py")) == masked(traded)
        await projected(stack)
        assert re.search(r"^[1-9]\d* events audited, 0 differences$", await reader.run(SHELL[2]), re.MULTILINE)
        assert "1.197931750" in await reader.run(SHELL[3])
        page = (stack.engine.page("/metrics") or b"").decode()
        metrics = re.findall(r"`(tictac_\w+)`", README)
        assert len(metrics) > 10
        assert [metric for metric in metrics if f"# HELP {metric} " not in page] == []


CODE = "\n".join([*re.findall(r"`([^`\n]+)`", README), *SHELL])
COMMAND_LINES = re.findall(r"(?:^|[ /])tictac ([a-z][^#\n]*)", CODE, re.MULTILINE)


@pytest.mark.parametrize("line", sorted(set(COMMAND_LINES)))
def test_a_command_that_it_names_exists_with_its_flags(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    name, *words = line.split()
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    usage = capsys.readouterr().out
    assert [word for word in words if word.startswith("--") and word not in usage] == []


def test_it_names_every_command() -> None:
    assert {line.split()[0] for line in COMMAND_LINES} == set(COMMANDS)


def test_its_settings_exist() -> None:
    defaults = (Path(__file__).parent.parent / "config" / "default.toml").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:limits|snapshot|http|gateway)\.[a-z_]+)`", README))
    assert len(named) >= 4
    assert [name for name in named if f"\n{name.partition('.')[2]} " not in defaults] == []
