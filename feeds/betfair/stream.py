"""Betfair's stream messages: bytes in any pieces in, typed messages out (Exchange Stream API, "ESA" schema).

Only what we use is named; the rest is read over. A message is decoded and checked whole before anything of it is
applied, so a bad line changes nothing. Words for numbers ("NaN", "Infinity") occur and mean: none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

Words = Literal["NaN", "Infinity", "-Infinity"]
_Word = Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{0,64}$")]
_Number = Annotated[str, Meta(pattern="^[0-9]{1,20}$")]
_Millis = Annotated[int, Meta(ge=0, le=10**14)]
_SelectionId = Annotated[int, Meta(ge=0, le=2**53)]
_Handicap = Annotated[float, Meta(ge=-10_000, le=10_000)]
_Percent = Annotated[float, Meta(ge=0, le=100)]
_Time = Annotated[datetime, Meta(tz=True)]
_Count = Annotated[int, Meta(ge=0, le=100_000)]
MarketId = Annotated[str, Meta(pattern="^[0-9]{1,4}[.][0-9]{1,20}$")]


class RunnerDefinition(Struct, frozen=True, gc=False, rename="camel"):
    """A runner as the market definition has it; `hc` is its handicap."""

    id: _SelectionId
    status: str = ""
    sort_priority: int = 0
    hc: _Handicap = 0.0
    name: str = ""
    adjustment_factor: float | Words | None = None
    """Reduction factor in per cent, of horses."""
    removal_date: _Time | None = None
    bsp: float | Words | None = None
    """Starting price."""


class PriceLadder(Struct, frozen=True, gc=False):
    """Which prices orders may have: "CLASSIC", "FINEST", "LINE_RANGE"."""

    type: _Word = ""


class MarketDefinition(Struct, frozen=True, gc=False, rename="camel"):
    """What a market is; a later one replaces it whole."""

    event_id: _Number
    runners: tuple[RunnerDefinition, ...] = ()
    status: str = ""
    in_play: bool = False
    event_type_id: _Number = "0"
    event_name: str = ""
    market_type: _Word = ""
    name: str = ""
    betting_type: str = ""
    number_of_winners: _Count = 1
    number_of_active_runners: _Count = 0
    market_time: _Time | None = None
    venue: str = ""
    country_code: str = ""
    bet_delay: _Count = 0
    complete: bool = False
    runners_voidable: bool = False
    bsp_market: bool = False
    bsp_reconciled: bool = False
    cross_matching: bool = False
    version: int = 0
    market_base_rate: _Percent | Words | None = None
    """Commission on net winnings."""
    price_ladder_definition: PriceLadder | None = None
    """Absent in older recordings: CLASSIC."""


DepthChanges = tuple[tuple[float, float], ...]
"""(price, size): size 0 deletes the price."""
LevelChanges = tuple[tuple[_Count, float, float], ...]
"""(level, price, size): size 0 deletes the level; level 0 is the best."""


class RunnerChange(Struct, frozen=True, gc=False):
    """What changed in one runner's book. The key is id and handicap. None: not named; () occurs too."""

    id: _SelectionId
    hc: _Handicap = 0.0
    atb: DepthChanges | None = None
    """Available to back, all prices."""
    atl: DepthChanges | None = None
    batb: LevelChanges | None = None
    """Best available to back."""
    batl: LevelChanges | None = None
    bdatb: LevelChanges | None = None
    """Best displayed available to back: with what cross matching implies."""
    bdatl: LevelChanges | None = None
    ltp: float | Words | None = None
    """Last traded price."""


class MarketChange(Struct, frozen=True, gc=False, rename="camel"):
    """What changed in one market; `img`: forget what was known of it."""

    id: MarketId
    img: bool | None = False
    con: bool | None = False
    """Several changes in one, because the reader or the exchange was slow."""
    market_definition: MarketDefinition | None = None
    rc: tuple[RunnerChange, ...] | None = ()


class Message(Struct, frozen=True, gc=False, rename="camel"):
    """One line of the stream. Only those with `op` "mcm" have market changes (others: connection, status, orders)."""

    op: str
    pt: _Millis = 0
    """When it was published, by Betfair's clock."""
    mc: tuple[MarketChange, ...] | None = ()
    status: int | None = None
    """503: Betfair itself has late data."""
    segment_type: Literal["SEG_START", "SEG", "SEG_END"] | None = None
    """A large message comes in parts; it is whole at SEG_END."""

    @property
    def whole(self) -> bool:
        return self.segment_type is None or self.segment_type == "SEG_END"


class LineError(Exception):
    """A line that cannot be read: its number, from 1, and what is wrong with it."""

    def __init__(self, number: int, reason: str) -> None:
        super().__init__(f"line {number}: {reason}")
        self.number = number
        self.reason = reason


_decode = msgspec.json.Decoder(Message).decode
# RecursionError: brackets without end in a field that is read over.
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Parser:
    r"""Cuts bytes into lines and lines into messages, however the bytes come.

    A line that cannot be read raises LineError; with `on_bad`, that is called instead and the line passed over (until
    its market's next image the book may then lack a change). Line ends are \n or \r\n; empty lines are nothing.
    """

    def __init__(self, line_bytes_max: int, on_bad: Callable[[LineError], None] | None = None) -> None:
        """`line_bytes_max` bounds what is kept of a line without an end; a longer one always raises."""
        self.lines = 0
        self._line_bytes_max = line_bytes_max
        self._on_bad = on_bad
        self._pieces: list[bytes] = []
        """Of the line that has no end yet."""
        self._kept = 0

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages that are whole with these bytes."""
        *lines, tail = data.split(b"\n")
        if lines:
            lines[0] = self._take() + lines[0]
        for line in lines:
            self.lines += 1
            try:
                message = _decode(line)
            except _UNREADABLE as error:
                if line and not line.isspace():
                    self._bad(LineError(self.lines, str(error) or type(error).__name__))
                continue
            yield message
        self._pieces.append(tail)
        self._kept += len(tail)
        if self._kept > self._line_bytes_max:
            raise LineError(self.lines + 1, f"longer than {self._line_bytes_max} bytes")

    def end(self) -> Iterator[Message]:
        """The bytes are over: a last line without an end is a message, or was cut off in the middle (LineError)."""
        line = self._take()
        if not line or line.isspace():
            return
        self.lines += 1
        try:
            message = _decode(line)
        except _UNREADABLE as error:
            raise LineError(self.lines, f"cut off in the middle, {len(line)} bytes of it are there") from error
        yield message

    def _take(self) -> bytes:
        line = b"".join(self._pieces)
        self._pieces.clear()
        self._kept = 0
        return line

    def _bad(self, error: LineError) -> None:
        if self._on_bad is None:
            raise error
        self._on_bad(error)
