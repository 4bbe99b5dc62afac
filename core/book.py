"""All that the engine knows. Nothing here decides: the verbs' files do, and only their `apply` functions write here.

Two kinds of fields stand side by side. Most follow from the journal alone: they are what a snapshot holds and what
`state_hash` covers. Those under "Live" follow from feed messages, which are not journalled: prices are never trusted
across a restart (DESIGN 6), so a rebuilt book starts without them.

State is kept in mutable Structs: built in C (60 ns against 300 ns for a slots class) and, with gc=False, unseen by the
cycle collector, which would otherwise walk a million bets.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from heapq import nlargest

from msgspec import Struct, field

from core.messages.answers import Answer
from core.messages.commands import NamedSelection
from core.messages.events import BetStatus
from core.messages.feed import FeedStatus
from core.messages.results import Result

DESK = "desk"
"""The source of markets that are priced by hand."""


class Customer(Struct, gc=False, eq=False):
    """A customer and the balances of his accounts, minor units of his currency (core/ledger.py names them)."""

    id: str
    currency: str
    suspended: bool = False
    cash_m: int = 0
    open_stakes_m: int = 0
    reserved_m: int = 0
    liability_m: int = 0
    """What his open bets win beyond their stakes if all of them win."""


class Reserve(Struct, gc=False, eq=False):
    """Cash set aside for a payment until posted, voided or the time limit."""

    id: str
    customer: Customer
    amount_m: int
    provider: str
    hold_until_ms: int


class Selection(Struct, gc=False, eq=False):
    """One thing that can be backed in a market."""

    id: str
    name: str
    market: Market
    result: Result | None = None
    override: int = 0
    """The desk's price; 0: the feed's holds."""
    payout_m: int = 0
    """What the open bets on it are paid if it wins (running payouts of multiples; core/liability.py)."""
    # Live.
    feed_price: int = 0
    price: int = 0
    """What is offered: the override, else the feed's; 0: none."""


class Market(Struct, gc=False, eq=False):
    """A market: definition, results, the bets on it and what they can cost."""

    fixture: Fixture
    id: str
    source: str
    market_type: str
    name: str
    group: str
    winners: int
    cut_off_ms: int
    selections: dict[str, Selection] = field(default_factory=dict)
    desk_suspended: bool = False
    settled: bool = False
    """It has results."""
    cancels: tuple[tuple[int, int], ...] = ()
    """Windows (from, to) of time of placement in which bets are void; to = 0: open-ended."""
    closed_ms: int = 0
    """When results or an open-ended cancel came last; 0: neither stands, bets may be taken."""
    bets: dict[str, Bet] = field(default_factory=dict)
    open_bets: int = 0
    due: list[Bet] = field(default_factory=list)
    """Bets still to be looked at after results, a cancel or a rollback: the latest first, so that slices pop()."""
    stakes_m: int = 0
    """Running stakes of the open bets on it."""
    liability_m: int = 0
    """The house's worst case, at least 0."""
    # Live.
    status: FeedStatus = FeedStatus.SUSPENDED
    in_play: bool = False
    version: int = 0
    price_ms: int = 0
    """When the engine last heard its prices."""
    provider_ts_ms: int = 0
    sequence: int = 0
    epoch: int = 0
    """The recovery of its producer in which it was last heard of."""
    producer: Producer | None = None

    def cancels_at(self, placed_ms: int) -> bool:
        """Whether a bet placed at that time is void on this market."""
        return any(start <= placed_ms and (not end or placed_ms < end) for start, end in self.cancels)

    def top_payout(self) -> int:
        """The most that is paid out: the greatest payouts of as many selections as win."""
        payouts = [selection.payout_m for selection in self.selections.values()]
        return max(payouts) if self.winners == 1 else sum(nlargest(self.winners, payouts))

    def definition(self) -> tuple[str, str, str, int, int, tuple[NamedSelection, ...]]:
        """What a MarketDefined event can change."""
        named = tuple(NamedSelection(selection.id, selection.name) for selection in self.selections.values())
        return self.market_type, self.name, self.group, self.winners, self.cut_off_ms, named


class Fixture(Struct, gc=False, eq=False):
    """A match, a race: what markets belong to."""

    id: str
    source: str
    name: str
    sport: str
    competition: str
    start_ms: int
    markets: dict[str, Market] = field(default_factory=dict)
    liability_m: int = 0
    """The sum of its markets' worst cases."""
    # Live.
    provider_ts_ms: int = 0

    def definition(self) -> tuple[str, str, str, int]:
        """What a FixtureDefined event can change."""
        return self.name, self.sport, self.competition, self.start_ms


class BetLeg(Struct, gc=False, eq=False):
    """One leg of a bet."""

    selection: Selection
    price: int
    requested: int
    running_m: int = 0
    """The stake that runs on it: the bet's times what its decided legs made of it; 0 once leg or bet is decided."""


class Bet(Struct, gc=False, eq=False):
    """An accepted bet; also the record by which its command is known again."""

    id: str
    ts_ms: int
    digest: int
    customer: Customer
    stake_m: int
    payout_m: int
    legs: tuple[BetLeg, ...]
    status: int = BetStatus.OPEN.value
    paid_m: int = 0
    voided: bool = False


class Answered(Struct, gc=False, eq=False):
    """The answer to a command that is not an accepted bet, kept for retries."""

    expires_ms: int
    digest: int
    answer: Answer
    payment: bool


class Producer(Struct, gc=False, eq=False):
    """Live: one producer of a feed, and whether it can be believed."""

    provider: str
    producer: str
    source: str
    sequence: int
    last_ms: int
    epoch: int = 0
    recovering: bool = False
    up: bool = False
    asked_ms: int = 0
    """When it was last asked to recover."""


class Book:
    """Everything, by id. Dicts keep the order of the journal, so that it is the same in every process."""

    def __init__(self) -> None:
        """An empty book, before the first event."""
        self.event_no = 0
        self.term = 0
        self.now_ms = 0
        self.retention_ms = 0
        self.payment_retention_ms = 0
        self.customers: dict[str, Customer] = {}
        self.house: dict[tuple[str, str], int] = {}
        self.reserves: dict[str, Reserve] = {}
        self.holds: list[tuple[int, str]] = []
        """Heap of the reserves' time limits; a reserve that has ended may stay in it until its time."""
        self.fixtures: dict[str, Fixture] = {}
        self.bets: dict[str, Bet] = {}
        self.open_bets = 0
        self.liability_m = 0
        self.answers: dict[str, Answered] = {}
        self.expiring: tuple[deque[str], deque[str]] = (deque(), deque())
        """Ids of `answers`, those of commands and those of payments, each in the order in which they are forgotten."""
        self.settling: dict[tuple[str, str], Market] = {}
        """Markets with bets due."""
        self.voided: dict[str, Bet] = {}
        """Bets that were voided and whose stake has not come back yet."""
        self.closed: dict[tuple[str, str], Market] = {}
        """Markets that are settled or cancelled, to be forgotten one day."""
        # Live.
        self.producers: dict[tuple[str, str], Producer] = {}
        self.cut_offs: list[tuple[int, str, str]] = []
        """Heap of (time, fixture, market): when markets close by the clock alone; some hold no more."""
        self.touched: dict[tuple[str, str], Market] = {}
        """Markets whose offer changed since the publisher last looked."""

    def touch(self, market: Market) -> None:
        """The market's offer has changed: a new version, to be published."""
        market.version += 1
        self.touched[market.fixture.id, market.id] = market

    def remember(self, command_id: str, digest: int, ts_ms: int, answer: Answer, *, payment: bool = False) -> None:
        """Keep an answer for its retention, and forget a few that are past theirs: so memory follows the load."""
        if not command_id:
            return
        past = self.answers.pop(command_id, None)
        if past is not None:
            self.expiring[past.payment].remove(command_id)
        for queue in self.expiring:
            for _ in range(2):
                if queue and self.answers[queue[0]].expires_ms <= ts_ms:
                    del self.answers[queue.popleft()]
        expires_ms = ts_ms + (self.payment_retention_ms if payment else self.retention_ms)
        self.expiring[payment].append(command_id)
        self.answers[command_id] = Answered(expires_ms, digest, answer, payment)

    def forgettable(self, now_ms: int) -> bool:
        """Whether there is an answer that the next `remember` will forget."""
        return any(queue and self.answers[queue[0]].expires_ms <= now_ms for queue in self.expiring)

    def markets(self) -> Iterator[Market]:
        """All markets, in the order of their definition within each fixture."""
        for fixture in self.fixtures.values():
            yield from fixture.markets.values()
