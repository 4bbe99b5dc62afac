"""Rows by their keys, from the state and from a table, and the difference between them in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import msgspec

if TYPE_CHECKING:
    from adapters.postgres.connection import Connection

Rows = dict[tuple[str, ...], tuple[Any, ...]]


class Differences(Protocol):
    """Where a difference is reported."""

    def add(self, line: str) -> None: ...


def differences(
    report: Differences, what: str, columns: str, expected: Rows, found: Rows, *, more_allowed: bool = False
) -> None:
    """Compare rows by their key; `more_allowed`: Postgres remembers what the engine has forgotten."""
    names = columns.split()
    for key, values in expected.items():
        there = found.get(key)
        if there is None:
            report.add(f"{what} {' '.join(key)}: missing in Postgres")
            continue
        for name, want, got in zip(names, values, there, strict=True):
            if want != got:
                report.add(f"{what} {' '.join(key)}: {name} is {_text(got)}, should be {_text(want)}")
    if not more_allowed:
        for key in found.keys() - expected.keys():
            report.add(f"{what} {' '.join(key)}: the engine does not know it")


def _text(value: Any) -> str:
    return "nothing" if value is None else str(value)


def as_json(value: Any) -> Any:
    """As it comes out of a JSON column."""
    return msgspec.json.decode(msgspec.json.encode(value))


async def keyed(connection: Connection, keys: int, query: str, *arguments: Any, json: tuple[int, ...] = ()) -> Rows:
    """What a query finds, by its first columns; `json`: which of the others are JSON, to be read."""
    found: Rows = {}
    for row in map(tuple, await connection.fetch(query, *arguments)):
        values = list(row[keys:])
        for place in json:
            values[place] = None if values[place] is None else msgspec.json.decode(values[place])
        found[row[:keys]] = tuple(values)
    return found
