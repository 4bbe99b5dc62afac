"""Lines of a stream, made short: a market of two runners, and what changes in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from core.messages.feed import FeedMessage
from feeds.betfair.normalise import Normaliser
from feeds.betfair.stream import LineError, Message, Parser

LINE_BYTES_MAX = 1 << 20
MARKET = "1.5"


def definition(status: str = "OPEN", runners: str = "11 ACTIVE,22 ACTIVE", **more: Any) -> dict[str, Any]:
    """`runners`: "<id> <status>" or "<id>:<handicap> <status>", separated by commas."""
    defined = []
    for order, runner in enumerate(filter(None, runners.split(","))):
        key, _, runner_status = runner.partition(" ")
        number, _, handicap = key.partition(":")
        entry: dict[str, Any] = {"id": int(number), "status": runner_status, "sortPriority": order}
        defined.append(entry | ({"hc": float(handicap)} if handicap else {}) | {"name": f"Runner {key}"})
    return {
        "eventId": "7",
        "eventTypeId": "1",
        "eventName": "A v B",
        "marketType": "MATCH_ODDS",
        "bettingType": "ODDS",
        "marketTime": "2026-01-01T12:00:00.000Z",
        "numberOfWinners": 1,
        "inPlay": False,
        "status": status,
        "runners": defined,
    } | more


def line(*rc: dict[str, Any], pt: int = 1, top: dict[str, Any] | None = None, **change: Any) -> bytes:
    """One line with one market's change."""
    market = {"id": MARKET, "rc": list(rc), **change}
    return json.dumps({"op": "mcm", "pt": pt, "mc": [market], **(top or {})}).encode() + b"\n"


def parse(data: bytes, on_bad: Callable[[LineError], None] | None = None) -> list[Message]:
    parser = Parser(LINE_BYTES_MAX, on_bad)
    return [*parser.feed(data), *parser.end()]


class Reader:
    """A normaliser, and what it says to each line."""

    def __init__(self, *, exchange: bool = False) -> None:
        self.normaliser = Normaliser(markets_max=3, exchange=exchange)

    def __call__(self, *lines: bytes) -> list[FeedMessage]:
        return [ours for message in parse(b"".join(lines)) for ours in self.normaliser.read(message)]

    def opened(self, **more: Any) -> Reader:
        """The market is told, both runners at 2.0 and 3.0."""
        self(line({"id": 11, "atb": [[2.0, 5]]}, {"id": 22, "atb": [[3.0, 5]]}, marketDefinition=definition(**more)))
        return self
