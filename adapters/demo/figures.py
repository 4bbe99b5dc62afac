"""What the view shows, as plain numbers: gathered by the composition, drawn by the view, easy to write down."""

from __future__ import annotations

from msgspec import Struct, field

from adapters.demo.desk import Report as Desk
from adapters.demo.report import Line, Report
from core.messages.answers import Level
from feeds.makers import Counts

FLASH_S = 4.0
"""So long a price shows that it moved: an eye that was elsewhere still sees it."""


class Price(Struct):
    """One selection of a shown market; `move` 1 up, -1 down, 0 not of late."""

    name: str
    price: int
    move: int = 0


class Hot(Struct):
    """A market that is worth a line."""

    fixture: str
    market: str
    status: str
    in_play: bool
    prices: list[Price]
    """Shortest first."""
    liability_m: int


class Runner(Struct):
    """One selection of the exchange market that is shown."""

    name: str
    to_back: list[Level]
    """`[price, stake_m]`, best first: what can be backed, others having laid it."""
    to_lay: list[Level]
    matched_m: int


class Exchange(Struct):
    """The liveliest exchange market."""

    fixture: str
    market: str
    status: str
    in_play: bool
    runners: list[Runner]
    """Favourites first."""
    matched_m: int


class Worst(Struct):
    """Where the house can lose most."""

    name: str
    liability_m: int
    limit_m: int


class Producer(Struct):
    """One producer of a feed, as the engine sees it."""

    name: str
    up: bool


class Figures(Struct):
    """All of it at one moment."""

    now_ms: int
    up_s: float
    currency: str
    crowd: Report = field(default_factory=Report)
    term: int = 0
    event_no: int = 0
    events_per_s: float = 0.0
    answers_per_s: float = 0.0
    """Of the engine, to everybody."""
    open_bets: int = 0
    fixtures: int = 0
    book_liability_m: int = 0
    book_limit_m: int = 1
    hot: list[Hot] = field(default_factory=list)
    worst: list[Worst] = field(default_factory=list)
    appends_per_s: float = 0.0
    append_ms: float = 0.0
    """From an append until its acknowledgement, on average of late."""
    journal_waiting: int = 0
    """Answers that wait for the journal."""
    projector_lag: int = 0
    """Events that are not in Postgres yet."""
    feed_per_s: float = 0.0
    producers: list[Producer] = field(default_factory=list)
    playing: str = ""
    """What the feeds play, in words."""
    postgres: str = "off"
    redis: str = "off"
    waiting: dict[str, int] = field(default_factory=dict)
    """Bets that wait now, by stage: delayed, referred, offered."""
    desk: Desk = field(default_factory=Desk)
    exchange: Exchange | None = None
    makers: Counts = field(default_factory=Counts)
    lines: list[Line] = field(default_factory=list)
    """Bets and settlements, the newest last."""
    slow: list[Line] = field(default_factory=list)
    """What traders do, and bets that are sold back, the newest last."""
