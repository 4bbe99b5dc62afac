"""Feed messages: what ingestors publish on `feed.<provider>.<producer>` (DESIGN 6). The schema is public.

Each names its producer and carries the producer's own sequence, one higher at every message, heartbeats too, so that a
loss is seen, and the provider's time stamp, so that older news never overwrites newer. A producer's life is
RecoveryBegin, an image of all it offers, RecoveryEnd, and then changes, with a heartbeat at least every 10 s. After a
gap or 20 s of silence its markets are closed until the next complete recovery, which the engine asks for on
`feed-control.<provider>.<producer>`.

Fixture and market ids are the engine's: an ingestor makes its provider's unique with a prefix ("betfair:1.170258213").
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Literal

from msgspec import Meta, Struct

from core.grading.scores import Score
from core.messages.commands import Delay, NamedPrice, Parts, Share, Specifiers
from core.messages.results import EachWay, Result
from core.messages.terms import ExchangeTerms
from core.units import Count, Id, Millis, Name, OfferedPrice, OptionalId


class FeedStatus(Enum):
    """A market's status as its producer has it. Whatever is absent or unknown there is SUSPENDED here."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    CLOSED = "closed"
    """No more bets; results or a cancel follow."""


class FeedMessage(Struct, frozen=True, gc=False, forbid_unknown_fields=True, tag_field="type"):
    """What every feed message has."""

    provider: Id
    producer: Id
    sequence: Count
    ts_ms: Millis
    """The provider's time stamp."""


class FixtureChange(FeedMessage, frozen=True, gc=False, tag="fixture"):
    """A fixture's data, new or changed; replaces what was known."""

    fixture: Id
    name: Name
    sport: Id
    competition: Name
    start_ms: Millis
    outright_of: Name = ""
    """The competition whose winner this is: not combinable with its matches."""


class PricedSelection(Struct, frozen=True, gc=False, array_like=True):
    """A selection of a market image: `[id, name, price]`; price 0 if it cannot be backed, e.g. a removed runner."""

    id: Id
    name: Name
    price: OfferedPrice


class MarketImage(FeedMessage, frozen=True, gc=False, tag="market"):
    """A market whole: definition, status and the prices of all its selections; replaces what was known.

    Selections are never taken away: one that is missing in a later image is unpriced until a result voids it.
    """

    fixture: Id
    market: Id
    market_type: Id
    name: Name
    status: FeedStatus
    selections: Annotated[tuple[PricedSelection, ...], Meta(min_length=1)]
    in_play: bool = False
    group: OptionalId = ""
    """The market group a Suspend may name."""
    winners: Annotated[int, Meta(ge=1, le=100)] = 1
    cut_off_ms: Millis = 0
    """When betting ends; 0: by status only."""
    specifiers: Specifiers = {}
    """What tells one market of its type from another, e.g. {"total": "2.5"} (core/grading/markets.py)."""
    each_way: EachWay | None = None
    """Offered each-way at these terms; its results then need positions."""
    delay_ms: Delay = 0
    """How long a bet in play waits."""
    parts: Parts = ()
    """Of a bet builder: the selections of this fixture that must all win, priced together by the provider. It has one
    selection, and its results follow from the parts'."""
    starting_price: bool = False
    """Bets at the starting price are taken: it will be told (StartingPrices)."""
    exchange: ExchangeTerms | None = None
    """Customers' orders are matched in it."""


class SelectionPrice(Struct, frozen=True, gc=False, array_like=True):
    """`[selection, price]`; price 0: none."""

    selection: Id
    price: OfferedPrice


class MarketPrices(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """One market's prices within an OddsChange: complete, so a selection that is not named is unpriced."""

    market: Id
    status: FeedStatus
    prices: tuple[SelectionPrice, ...]
    in_play: bool = False


class OddsChange(FeedMessage, frozen=True, gc=False, tag="odds_change"):
    """New prices and status: partial across a fixture's markets, complete within each (UOF's rule)."""

    fixture: Id
    markets: tuple[MarketPrices, ...]


class Suspend(FeedMessage, frozen=True, gc=False, tag="suspend"):
    """Bet stop: the active markets of a fixture, or of one group of it, are suspended until their next prices."""

    fixture: Id
    group: OptionalId = ""
    lapse: bool = False
    """Something material has happened: the orders that rest in its exchange markets lapse."""


Certainty = Literal[1, 2]
"""1: provisional, 2: confirmed (UOF). Whether a provisional result settles is the operator's choice; it never stands
above a confirmed one."""


class MarketResults(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """The results of all selections of one market."""

    market: Id
    results: tuple[Result, ...]


class Settlement(FeedMessage, frozen=True, gc=False, tag="settlement"):
    """Results of a fixture's markets; for a market that has some already, a correction, unless its `ts_ms` is older."""

    fixture: Id
    markets: tuple[MarketResults, ...]
    certainty: Certainty = 2


class FixtureScore(FeedMessage, frozen=True, gc=False, tag="score"):
    """A score: every market of this producer that it decides gets its results from it; of a new score, corrections."""

    fixture: Id
    score: Score
    certainty: Certainty = 2


class Withdrawal(FeedMessage, frozen=True, gc=False, tag="withdrawal"):
    """A runner is withdrawn: its bets are void, the others' taken before `at_ms` are reduced by Rule 4.

    Said again otherwise, a correction, unless its `ts_ms` is older.
    """

    fixture: Id
    market: Id
    selection: Id
    price: OfferedPrice
    """At which it was offered when it was withdrawn; 0: no deduction."""
    at_ms: Millis
    reduction_bp: Share = 0
    """Its reduction factor in exchange markets."""


class StartingPrices(FeedMessage, frozen=True, gc=False, tag="starting_prices"):
    """The prices at the off; said again otherwise, a correction, unless its `ts_ms` is older."""

    fixture: Id
    market: Id
    prices: tuple[NamedPrice, ...]


class Cancel(FeedMessage, frozen=True, gc=False, tag="cancel"):
    """Bets on the markets are void, all or those placed from `from_ms` until before `to_ms` (0: open-ended)."""

    fixture: Id
    markets: tuple[Id, ...]
    from_ms: Millis = 0
    to_ms: Millis = 0


class Rollback(FeedMessage, frozen=True, gc=False, tag="rollback"):
    """Takes back the results, the cancels or the withdrawals of the markets that were said until its `ts_ms`, whichever
    came first.
    """

    fixture: Id
    markets: tuple[Id, ...]
    what: Literal["results", "cancel", "withdrawals"]


class Heartbeat(FeedMessage, frozen=True, gc=False, tag="heartbeat"):
    """The producer lives; sent at least every 10 s, whatever else is sent."""


class RecoveryBegin(FeedMessage, frozen=True, gc=False, tag="recovery_begin"):
    """A complete image follows; the sequence may start anywhere."""


class RecoveryEnd(FeedMessage, frozen=True, gc=False, tag="recovery_end"):
    """The image is complete: what it named is offered again."""


AnyFeedMessage = (
    FixtureChange
    | MarketImage
    | OddsChange
    | Suspend
    | Settlement
    | FixtureScore
    | Withdrawal
    | StartingPrices
    | Cancel
    | Rollback
    | Heartbeat
    | RecoveryBegin
    | RecoveryEnd
)


class RecoverRequest(Struct, frozen=True, gc=False, tag="recover", tag_field="type"):
    """From the engine to an ingestor, on `feed-control.<provider>.<producer>`: please begin a recovery."""

    provider: Id
    producer: Id
