"""Events: what has happened, in the past tense, for ever.

This is what the journal holds, and all it holds: `Book.apply` turns them into state, the projector into tables, and
nothing else is needed for either. Tags and field order are never changed; new fields go to the end with a default
(DESIGN 5). Each carries `ts_ms`, the engine's time of the decision; those that answer a command carry its `id` and the
`digest` of its content, so that a retry is known after a restart.
"""

from __future__ import annotations

from enum import IntEnum

from msgspec import Struct

from core.messages.commands import NamedSelection
from core.messages.results import Result


class BetStatus(IntEnum):
    """Where a bet stands. Numbers are journalled."""

    OPEN = 0
    WON = 1
    """Something is paid that is not just the stake."""
    LOST = 2
    VOID = 3
    """Every leg is void, or the bet was: the stake comes back."""


class AcceptedLeg(Struct, frozen=True, gc=False, array_like=True):
    """A leg of an accepted bet, with what it was decided on (DESIGN 6)."""

    fixture: str
    market: str
    selection: str
    price: int
    """The price used."""
    requested: int
    """The price the customer was shown."""
    version: int
    """The market's version at that moment."""
    producer: str
    """"<provider>.<producer>", or "desk"."""
    sequence: int
    """The producer's sequence of the market's last message."""
    in_play: bool


class RejectedLeg(Struct, frozen=True, gc=False, array_like=True):
    """A leg of a refused bet, as it was asked for."""

    fixture: str
    market: str
    selection: str
    requested: int


class EngineStarted(Struct, frozen=True, gc=False, array_like=True, tag=1):
    """An engine took the journal over; from here on every earlier one is fenced off (DESIGN promise 2)."""

    ts_ms: int
    term: int
    """One more than the term before: the count of starts."""
    instance: str
    release: str
    retention_ms: int
    """How long answers are kept from here on; journalled because what is forgotten is state (DESIGN promise 4)."""
    payment_retention_ms: int
    """The same for payments, whose ids are their providers' references."""


class CustomerOpened(Struct, frozen=True, gc=False, array_like=True, tag=2):
    """A customer with an empty account."""

    ts_ms: int
    id: str
    digest: int
    customer: str
    currency: str


class Deposited(Struct, frozen=True, gc=False, array_like=True, tag=3):
    """clearing:<provider> -> cash."""

    ts_ms: int
    id: str
    digest: int
    customer: str
    currency: str
    amount_m: int
    provider: str


class Withdrawn(Struct, frozen=True, gc=False, array_like=True, tag=4):
    """cash -> clearing:<provider>."""

    ts_ms: int
    id: str
    digest: int
    customer: str
    currency: str
    amount_m: int
    provider: str


class Reserved(Struct, frozen=True, gc=False, array_like=True, tag=5):
    """cash -> reserved. The command's id is the reserve's."""

    ts_ms: int
    id: str
    digest: int
    customer: str
    currency: str
    amount_m: int
    provider: str
    hold_until_ms: int


class ReservePosted(Struct, frozen=True, gc=False, array_like=True, tag=6):
    """reserved -> clearing:<provider> for `amount_m`, reserved -> cash for `returned_m`."""

    ts_ms: int
    id: str
    digest: int
    customer: str
    currency: str
    reserve: str
    provider: str
    amount_m: int
    returned_m: int


class ReserveVoided(Struct, frozen=True, gc=False, array_like=True, tag=7):
    """reserved -> cash. `id` is empty when the time limit ran out."""

    ts_ms: int
    id: str
    digest: int
    customer: str
    currency: str
    reserve: str
    amount_m: int


class CustomerStatusSet(Struct, frozen=True, gc=False, array_like=True, tag=8):
    """The desk suspended a customer, or lifted that."""

    ts_ms: int
    id: str
    digest: int
    author: str
    customer: str
    suspended: bool
    reason: str


class FixtureDefined(Struct, frozen=True, gc=False, array_like=True, tag=10):
    """A fixture, new or changed.

    `source` is the "<provider>.<producer>" that brought it, then `id` and `author` are empty, or "desk".
    """

    ts_ms: int
    id: str
    digest: int
    source: str
    author: str
    fixture: str
    name: str
    sport: str
    competition: str
    start_ms: int


class MarketDefined(Struct, frozen=True, gc=False, array_like=True, tag=11):
    """A market, new or changed; selections are added at the end and never taken away.

    `source` is the "<provider>.<producer>" that prices it, or "desk"; `author` who defined it by hand, else empty.
    """

    ts_ms: int
    id: str
    digest: int
    source: str
    author: str
    fixture: str
    market: str
    market_type: str
    name: str
    group: str
    winners: int
    cut_off_ms: int
    selections: tuple[NamedSelection, ...]


class MarketStatusSet(Struct, frozen=True, gc=False, array_like=True, tag=12):
    """The desk suspended a market, or lifted its suspension."""

    ts_ms: int
    id: str
    digest: int
    author: str
    fixture: str
    market: str
    suspended: bool


class PriceSet(Struct, frozen=True, gc=False, array_like=True, tag=13):
    """The desk's price for a selection; 0 gives it back to the feed."""

    ts_ms: int
    id: str
    digest: int
    author: str
    fixture: str
    market: str
    selection: str
    price: int


class MarketSettled(Struct, frozen=True, gc=False, array_like=True, tag=14):
    """Results for all selections of a market; a second time, a correction. Its bets follow in slices."""

    ts_ms: int
    id: str
    digest: int
    source: str
    author: str
    sequence: int
    fixture: str
    market: str
    results: tuple[Result, ...]
    reason: str


class MarketCancelled(Struct, frozen=True, gc=False, array_like=True, tag=15):
    """Bets placed from `from_ms` until before `to_ms` (0: open-ended) are void on this market."""

    ts_ms: int
    id: str
    digest: int
    source: str
    author: str
    sequence: int
    fixture: str
    market: str
    from_ms: int
    to_ms: int
    reason: str


class MarketRolledBack(Struct, frozen=True, gc=False, array_like=True, tag=16):
    """The results ("results") or the cancels ("cancel") of a market are taken back."""

    ts_ms: int
    id: str
    digest: int
    source: str
    author: str
    sequence: int
    fixture: str
    market: str
    what: str
    reason: str


class SettlementAdvanced(Struct, frozen=True, gc=False, array_like=True, tag=17):
    """The next `bets` bets of a market, in order of acceptance, were looked at; what changed stands before this."""

    ts_ms: int
    fixture: str
    market: str
    bets: int


class MarketArchived(Struct, frozen=True, gc=False, array_like=True, tag=18):
    """The engine forgets the next `bets` bets of a market long settled; with the last of them, the market itself."""

    ts_ms: int
    fixture: str
    market: str
    bets: int
    last: bool


class BetAccepted(Struct, frozen=True, gc=False, array_like=True, tag=20):
    """cash -> open_stakes for the stake. The command's id is the bet's."""

    ts_ms: int
    id: str
    digest: int
    customer: str
    currency: str
    stake_m: int
    payout_m: int
    """What is paid if every leg wins."""
    legs: tuple[AcceptedLeg, ...]


class BetRejected(Struct, frozen=True, gc=False, array_like=True, tag=21):
    """A bet of a known customer was refused. Fields behind `reason`: see the Rejected answer."""

    ts_ms: int
    id: str
    digest: int
    customer: str
    stake_m: int
    legs: tuple[RejectedLeg, ...]
    reason: int
    leg: int
    price: int
    limit: int
    stake_accepted_m: int
    detail: str


class BetSettled(Struct, frozen=True, gc=False, array_like=True, tag=22):
    """A bet's status or payout changed: settled, corrected, or open again after a rollback.

    `was` and `was_paid_m` are those before, so that the postings follow from this event alone (core/ledger.py).
    """

    ts_ms: int
    bet: str
    customer: str
    currency: str
    stake_m: int
    was: int
    was_paid_m: int
    status: int
    paid_m: int


class BetAdvanced(Struct, frozen=True, gc=False, array_like=True, tag=23):
    """A leg of an open multiple has got (or lost) its result: the stake that runs on the others changes."""

    ts_ms: int
    bet: str


class BetVoided(Struct, frozen=True, gc=False, array_like=True, tag=24):
    """The operator (`author`), or the customer (`author` empty), took a bet back; BetSettled follows at once."""

    ts_ms: int
    id: str
    digest: int
    author: str
    bet: str
    customer: str
    reason: str


class CommandRejected(Struct, frozen=True, gc=False, array_like=True, tag=30):
    """A command other than a bet was refused. `command` is its type's name; `customer` or `author` may be empty."""

    ts_ms: int
    id: str
    digest: int
    command: str
    customer: str
    author: str
    reason: int
    limit: int
    detail: str


Event = (
    EngineStarted
    | CustomerOpened
    | Deposited
    | Withdrawn
    | Reserved
    | ReservePosted
    | ReserveVoided
    | CustomerStatusSet
    | FixtureDefined
    | MarketDefined
    | MarketStatusSet
    | PriceSet
    | MarketSettled
    | MarketCancelled
    | MarketRolledBack
    | SettlementAdvanced
    | MarketArchived
    | BetAccepted
    | BetRejected
    | BetSettled
    | BetAdvanced
    | BetVoided
    | CommandRejected
)


class Batch(Struct, frozen=True, array_like=True):
    """One message of the journal: events with their numbers `first`, `first + 1`, ... (the very first event is 1)."""

    format: int
    first: int
    events: list[Event]


BATCH_FORMAT = 1
