"""The command line as its callers meet it."""

from __future__ import annotations

import importlib
import subprocess
import sys
import tomllib
from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest

from adapters.cli import COMMANDS, main
from config.settings import DEFAULTS

if TYPE_CHECKING:
    from pathlib import Path


def test_it_says_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"tictac {version('tictac')}\n"


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert [command for command in COMMANDS if f"\n    {command} " not in shown] == []


@pytest.mark.parametrize("module", sorted(set(COMMANDS.values())))
def test_every_module_of_a_command_registers_one(module: str) -> None:
    assert callable(importlib.import_module(module).register)


@pytest.mark.parametrize("wrong", [[], ["bet"], ["config", "--loud"]])
def test_a_wrong_call_is_status_2(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(wrong)
    assert ended.value.code == 2
    assert "usage: tictac" in capsys.readouterr().err


def test_a_wrong_setting_is_one_line_and_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bad.toml").write_text("[journal]\nreplicas = 9\n")
    assert main(["--config", str(tmp_path / "bad.toml"), "config"]) == 2
    assert capsys.readouterr().err == (
        f"tictac: journal.replicas: Expected `int` <= 5, got 9 (from {tmp_path / 'bad.toml'})\n"
    )
    monkeypatch.setenv("TICTAC_GATEWAY_PENDIN_MAX", "5")
    assert main(["config"]) == 2
    assert "gateway.pendin_max" in capsys.readouterr().err
    assert main(["--config", str(tmp_path / "none.toml"), "config"]) == 2
    assert "none.toml" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_one_line_and_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["asyncapi", "--output", str(tmp_path / "none" / "a.json")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_reader_that_has_seen_enough_is_no_fault() -> None:
    command = f"{sys.executable} -m adapters.cli config | head -1"
    done = subprocess.run(  # noqa: S603  # our own command
        ["/bin/sh", "-c", command], capture_output=True, text=True, timeout=60, check=True
    )
    assert (done.stdout, done.stderr) == ("[nats]\n", "")


def test_the_settings_are_shown_with_their_origin(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.toml").write_text("[gateway]\npending_max = 77\n")
    monkeypatch.setenv("TICTAC_HTTP_PORT", "9999")
    assert main(["--config", str(tmp_path / "mine.toml"), "config"]) == 0
    shown = capsys.readouterr().out
    assert f"pending_max = 77  # {tmp_path / 'mine.toml'}\n" in shown
    assert "port = 9999  # TICTAC_HTTP_PORT\n" in shown
    defaults = tomllib.loads(DEFAULTS.read_text())
    assert tomllib.loads(shown)["journal"] == defaults["journal"]
    assert tomllib.loads(shown).keys() == defaults.keys()


def test_secrets_are_not_shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TICTAC_NATS_ENGINE_PASSWORD", "sesame")
    monkeypatch.setenv("TICTAC_NATS_URLS", "nats://me:sesame@host:4222,nats://other:4222")
    monkeypatch.setenv("TICTAC_POSTGRES_URL", "postgresql://me:ses/am@e@host/tictac")
    monkeypatch.setenv("TICTAC_REDIS_URL", "redis://:sesame@host:6379/0")
    assert main(["config"]) == 0
    shown = capsys.readouterr().out
    assert "sesame" not in shown
    assert "am@e" not in shown
    assert 'urls = ["nats://me:***@host:4222","nats://other:4222"]' in shown
    assert 'url = "redis://:***@host:6379/0"' in shown
