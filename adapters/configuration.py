"""`tictac config`: every setting as it holds, and where it comes from; what is secret is not shown."""

from __future__ import annotations

import argparse
import re
from typing import Any

import msgspec

from config.settings import DEFAULTS, Settings, sources

_HIDDEN = "***"


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `tictac config`."""
    parser = commands.add_parser("config", help="show the settings that hold and where each comes from")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace, settings: Settings) -> int:
    print("\n".join(lines(settings, sources(arguments.config))))  # noqa: T201  # that is what it is for
    return 0


def lines(settings: Settings, origins: dict[str, str]) -> list[str]:
    """As TOML: what is printed can be used as a file, but for the secrets."""
    written = []
    for section in msgspec.structs.fields(Settings):
        written += ["", f"[{section.name}]"]
        values: dict[str, Any] = msgspec.to_builtins(getattr(settings, section.name))
        for name, value in values.items():
            origin = origins.get(f"{section.name}.{name}", str(DEFAULTS))
            said = "" if origin == str(DEFAULTS) else f"  # {origin}"
            written.append(f"{name} = {_shown(name, value)}{said}")
    return written[1:]


def _shown(name: str, value: Any) -> str:
    if name.endswith("password") and value:
        value = _HIDDEN
    return msgspec.json.encode(_masked(value)).decode()


def _masked(value: Any) -> Any:
    """A URL without its password."""
    if isinstance(value, list | tuple):
        return [_masked(each) for each in value]
    return re.sub(r"(://[^:/@]*):.*@", rf"\1:{_HIDDEN}@", value) if isinstance(value, str) else value
