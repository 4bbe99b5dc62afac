"""The command line: `tictac <command>`. One line a fault, exit status 2 for what the caller can mend.

A module with a command has `register(commands)`, which adds its parser and sets `run` to a function of the arguments
and the settings that returns the exit status. Modules are imported when their command is called, so that each starts
quickly.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final

from config.settings import SettingsError, load

COMMANDS: Final = {
    "engine": "adapters.engine.service",
    "projector": "adapters.postgres.projector",
    "snapshot": "adapters.journal.snapshots",
    "audit": "adapters.postgres.audit",
    "replay": "feeds.betfair.replay",
    "recordings": "feeds.recordings",
    "simulate": "feeds.simulator.play",
    "demo": "adapters.demo.run",
    "asyncapi": "adapters.asyncapi",
    "config": "adapters.configuration",
}
"""Command -> the module that registers it."""
WRONG_USE: Final = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """The program. Returns the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    parsed = _parser(given).parse_args(given)
    try:
        settings = load(parsed.config)
        status: int = parsed.run(parsed, settings)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read has seen enough (`tictac config | head`); what is buffered has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (SettingsError, OSError) as error:
        print(f"tictac: {error}", file=sys.stderr)  # noqa: T201  # to the caller, not to the log
        return WRONG_USE
    except KeyboardInterrupt:
        return 130
    return status


def _parser(given: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tictac", description="An odds and bet matching core.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"tictac {version('tictac')}")
    parser.add_argument("--config", type=Path, default=None, help="a TOML file of settings, above config/default.toml")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    called = [name for name in given if name in COMMANDS][:1]
    for module in dict.fromkeys(COMMANDS[name] for name in called or COMMANDS):
        importlib.import_module(module).register(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
