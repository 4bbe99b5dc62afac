"""What every benchmark prints: where it ran, and the least, the median and the greatest of several passes.

Machines differ and are shared, so figures are compared within one run only, as ratios (DESIGN 11).
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

import msgspec

PASSES = 5
_ROOT = Path(__file__).parent.parent


def arguments(
    description: str | None, more: Callable[[argparse.ArgumentParser], object] = lambda _: None
) -> argparse.Namespace:
    """The options that all have, and `more` of one's own.

    `--json` prints one JSON object as the last line, `--small` is for the tests.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--small", action="store_true", help="one short pass, to see that it works")
    parser.add_argument("--passes", type=int, default=0, help=f"how many passes (default {PASSES}, small 1)")
    parser.add_argument("--seed", type=int, default=1)
    more(parser)
    options = parser.parse_args()
    options.passes = options.passes or (1 if options.small else PASSES)
    return options


def header(*packages: str) -> dict[str, str]:
    """Machine, Python, commit and versions, printed and returned."""
    facts = {
        "machine": f"{platform.machine()}, {_processors()} processors, {_processor()}",
        "python": platform.python_version(),
        "commit": _commit(),
        **{package: version(package) for package in packages},
    }
    for name, value in facts.items():
        print(f"# {name}: {value}", file=sys.stderr)
    return facts


def spread(values: Sequence[float]) -> dict[str, float]:
    """Least, median and greatest."""
    return {
        "min": round(min(values), 3),
        "median": round(statistics.median(values), 3),
        "max": round(max(values), 3),
    }


def finish(result: dict[str, object], *, as_json: bool) -> None:
    """Print the figures, one a line; with `as_json` the whole as the last line."""
    for name, value in result.items():
        print(f"{name:32} {value}")
    if as_json:
        print(msgspec.json.encode(result).decode())


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "unknown processor")


def _commit() -> str:
    command = ["git", "-C", str(_ROOT), "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  (our own command)
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"
