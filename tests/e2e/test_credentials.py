"""Wrong credentials: each command ends with a status that is not 0, and says in one line whose are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.embedded import NatsServer
from config.settings import Role
from tests.e2e.harness import Stack

COMMANDS = [
    (Role.ENGINE, ["engine"]),
    (Role.ENGINE, ["snapshot"]),
    (Role.AUDITOR, ["projector"]),
    (Role.AUDITOR, ["audit"]),
    (Role.INGESTOR, ["simulate"]),
]


@pytest.mark.parametrize("password", ["wrong", ""])
@pytest.mark.parametrize(("role", "command"), COMMANDS)
async def test_wrong_credentials_are_said_in_one_line(
    folder: Path, nats_server: NatsServer, role: Role, command: list[str], password: str
) -> None:
    environ = {"TICTAC_HTTP_PORT": "0", f"TICTAC_NATS_{role.name}_PASSWORD": password}
    stack = Stack(folder, environ, nats=nats_server, url="postgresql://nobody@127.0.0.1:1/none")
    status, output, said = await stack.tictac(*command, deadline_s=20)
    lines = [line for line in said.splitlines() if '"listening"' not in line]
    assert status not in {0, -9}, (status, output, said)
    assert len(lines) == 1, lines
    assert f"nats.{role.value}_password is {'wrong' if password else 'not set'}" in lines[0], lines
    assert nats_server.password(role) not in said
