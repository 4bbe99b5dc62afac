"""What the customers' process tells of itself: figures, and lines for the screen."""

from __future__ import annotations

from msgspec import Struct, field


class Line(Struct, frozen=True):
    """Something worth a line on the screen."""

    ts_ms: int
    kind: str
    """accepted, rejected; won, void; sold; traded (on the exchange); of what a trader looks at: referred, trader (his
    word), taken, lapsed."""
    customer: str
    what: str
    stake_m: int
    paid_m: int = 0
    why: str = ""
    currency: str = "EUR"


class Traded(Struct, frozen=True):
    """What customers have had matched in an exchange market when their orders came in, by selection."""

    fixture: str
    market: str
    stakes_m: dict[str, int]


class Exchange(Struct):
    """What the crowd has seen of exchange markets since its start; orders are this run's, sums in minor units."""

    orders: int = 0
    """That were taken."""
    answers: dict[str, int] = field(default_factory=dict)
    """The status of a report (core.messages.answers.OrderReport), or the reason: count."""
    takers: int = 0
    """Orders that were matched when they came in, or when their delay was over."""
    matched_m: int = 0
    """Of these; what rested and was matched later is not in it."""
    taken_back: int = 0
    """Cancels and reductions that were carried out."""
    replaced: int = 0
    traded: list[Traded] = field(default_factory=list)
    """The markets that are still on offer."""


class Report(Struct):
    """What the crowd has seen since its start. Bets are this run's, sums by currency in minor units."""

    customers: int = 0
    here: bool = False
    """Everybody has come in."""
    returning: int = 0
    """Customers the engine knew already."""
    returning_m: dict[str, int] = field(default_factory=dict)
    """What they had, cash, open stakes and reserved together, before anything else was done."""
    bets: int = 0
    """Bets with an answer, be it that they wait; retries are not counted again."""
    answers: dict[str, int] = field(default_factory=dict)
    """`accepted`, or the reason: count. Of a bet that waits not before its end."""
    by_kind: dict[str, int] = field(default_factory=dict)
    """Accepted bets, by adapters/demo/kinds.py."""
    pending: int = 0
    """Bets that wait now."""
    waited: dict[str, int] = field(default_factory=dict)
    """How many have waited so far: delayed, referred, and offered by a trader, those referred before."""
    offers_taken: int = 0
    offers_declined: int = 0
    free_bets: int = 0
    quotes: int = 0
    """Cash-outs quoted."""
    cash_outs: int = 0
    sold_m: dict[str, int] = field(default_factory=dict)
    """What they have brought."""
    retries: int = 0
    busy: int = 0
    timeouts: int = 0
    staked_m: dict[str, int] = field(default_factory=dict)
    settled: int = 0
    """Bets that have their result now."""
    paid_m: dict[str, int] = field(default_factory=dict)
    """By settlement, corrections counted."""
    bets_per_s: float = 0.0
    """Over the last window."""
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    p999_ms: float = 0.0
    whole_p50_ms: float = 0.0
    """Since the start."""
    whole_p99_ms: float = 0.0
    whole_bets_per_s: float = 0.0
    """From the first bet to the last."""
    markets: int = 0
    """Open ones, as the customers see them."""
    exchange: Exchange = field(default_factory=Exchange)
    faults: list[str] = field(default_factory=list)
    """What must not be: a retry that got another answer, a bet that is not what was asked for."""
    lines: list[Line] = field(default_factory=list)
