"""All that the engine knows. Nothing here decides: the verbs' files do, and only their `apply` functions write here.

Two kinds of fields stand side by side. Most follow from the journal alone: they are what a snapshot holds and what
`state_hash` covers. Those under "Live" follow from feed messages, which are not journalled: prices are never trusted
across a restart (DESIGN 6), so a rebuilt book starts without them.

State is kept in mutable Structs: built in C (60 ns against 300 ns for a slots class) and, with gc=False, unseen by the
cycle collector, which would otherwise walk a million bets.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from enum import IntEnum
from heapq import nlargest
from typing import Any

from msgspec import Struct, field

from core.betting.lines import Shape, Tally
from core.exchange.ladder import Ladder
from core.exchange.orderbook import Order as RestingOrder
from core.exchange.orderbook import OrderBook
from core.grading.scores import Score
from core.messages.answers import Answer, OrderReport
from core.messages.commands import NamedSelection, PlaceBet, Ramp
from core.messages.events import BetOffered, BetPending, BetStatus, OrderPending, ReferralAnswered
from core.messages.feed import FeedStatus
from core.messages.results import EachWay, Result
from core.messages.terms import ExchangeTerms
from core.risk.grid import Grid, Patterns
from core.units import RATE_ONE

UNLIMITED = 2**62
"""A limit that no sum reaches."""
PLACES_USUAL_MAX = 4
"""The most places that the usual each-way terms pay (RULEBOOK 5)."""
DESK = "desk"
"""The source of markets that are priced by hand."""


class OwnLimit(Struct, array_like=True, gc=False, eq=False):
    """A limit that a customer has set himself; core/protection.py."""

    kind: str
    period: str
    limit_m: int
    next_m: int = 0
    """What he wants it raised to; 0: taken away, where something waits."""
    confirm_from_ms: int = 0
    """From when `next_m` can be confirmed; 0: nothing waits."""


class Hour(Struct, array_like=True, gc=False, eq=False):
    """What a customer with limits of his own has done within one hour."""

    hour: int
    """Since 1970."""
    deposited_m: int = 0
    staked_m: int = 0
    """On bets taken then, those that are void not counted."""
    returned_m: int = 0
    """What settled bets and sold ones have paid him; below 0 where a correction took it back."""


class Protection(Struct, gc=False, eq=False):
    """A customer's own limits, and what counts against them since he set the first one."""

    since_ms: int
    limits: dict[tuple[str, str], OwnLimit] = field(default_factory=dict)
    """(kind, period) -> limit."""
    hours: deque[Hour] = field(default_factory=deque)
    """In order of time, as many as the longest period has; hours in which nothing happened are not there."""
    before: tuple[str, ...] = ()
    """Bets that were taken within the millisecond `since_ms`, but before the first limit."""
    # Live.
    totals: dict[str, Hour] = field(default_factory=dict)
    """Period -> the sum of its hours as of `hour`, while that is the present one."""


class FreeBet(Struct, array_like=True, gc=False, eq=False):
    """A token; core/betting/bonuses.py."""

    token: str
    stake_m: int
    ends_ms: int
    price_min: int
    bet: str = ""
    """The bet that it stakes; empty: none."""
    granted_ms: int = 0


class Bonus(Struct, array_like=True, gc=False, eq=False):
    """A deposit match under way; core/betting/bonuses.py."""

    bonus: str
    amount_m: int
    required_m: int
    ends_ms: int
    price_min: int
    granted_ms: int
    """Bets taken after that count."""
    staked_m: int = 0


class Owed(Struct, gc=False, eq=False):
    """What customers below zero owe: kept by core/ledger.py with each balance, so that nobody has to look at all."""

    customers: int = 0
    sums_m: dict[str, int] = field(default_factory=dict)
    """Currency -> by how much they are below zero together."""


class Customer(Struct, gc=False, eq=False):
    """A customer and the balances of his accounts, minor units of his currency (core/ledger.py names them)."""

    id: str
    currency: str
    suspended: bool = False
    cash_m: int = 0
    open_stakes_m: int = 0
    reserved_m: int = 0
    bonus_m: int = 0
    liability_m: int = 0
    """What his open bets win beyond their stakes if all of them win, in the book's currency, as all liability is."""
    verified: bool = False
    timed_out_until_ms: int = 0
    excluded_until_ms: int = 0
    factors: dict[tuple[str, bool], int] | None = None
    """(sport or "", in play) -> x 10 000."""
    protection: Protection | None = None
    free_bets: dict[str, FreeBet] | None = None
    bonuses: dict[str, Bonus] | None = None
    pending: int = 0
    """How many of his bets wait."""
    exposure_m: int = 0
    """Set aside for orders and positions in exchange markets."""
    positions: dict[tuple[str, str], Position] | None = None
    """(fixture, market) -> what he has there."""
    resting: int = 0
    """How many of his orders rest or wait."""
    # Live.
    pace_ms: int = 0
    """Until when his bets so far have used up his pace (core/risk/limiting.py, velocity)."""


class Setting(Struct, frozen=True, gc=False):
    """What the desk has set at a node of the limits tree; 0: not set there."""

    stake_max_m: int
    payout_max_m: int
    liability_max_m: int
    ramp: tuple[Ramp, ...]


class Caps(Struct, frozen=True, gc=False):
    """The limits of bets on a market, as the tree has them; liabilities of levels that have none are UNLIMITED.

    A selection's own setting, the ramp and the customer's factor are not counted in yet (core/risk/limiting.py).
    """

    stake_max_m: int
    payout_max_m: int
    selection_m: int
    market_m: int
    type_m: int
    fixture_m: int
    competition_m: int
    sport_m: int
    levels: bool
    """Whether any of the three above has one."""
    customer_m: int
    book_m: int
    ramp: tuple[Ramp, ...]


class Level(Struct, gc=False, eq=False):
    """A node of the limits tree that is no fixture and no market: a sport, a competition, a market type of a sport."""

    key: tuple[str, ...]
    """("sport", s), ("competition", s, c), ("market_type", s, t)."""
    setting: Setting | None = None
    liability_m: int = 0
    members: int = 0
    """Fixtures or markets within; with the last one, and without a setting, it is forgotten."""


class Reserve(Struct, gc=False, eq=False):
    """Cash set aside for a payment until posted, voided or the time limit."""

    id: str
    customer: Customer
    amount_m: int
    provider: str
    hold_until_ms: int


Terms = tuple[dict[str, str], EachWay | None, int, tuple[tuple[str, str], ...], bool, ExchangeTerms | None]
Told = tuple[int, int]
"""When something was said: by its source's clock, ms, and the number of its event, for what was said at one time."""


class Selection(Struct, gc=False, eq=False):
    """One thing that can be backed in a market."""

    id: str
    name: str
    market: Market
    result: Result | None = None
    override: int = 0
    """The desk's price; 0: the feed's holds."""
    withdrawn_ms: int = 0
    """When it was withdrawn; 0: it was not. Its bets are void."""
    deduction_pc: int = 0
    """What bets on the others taken before that lose of their winnings (Rule 4), per cent."""
    reduction_bp: int = 0
    """What matched prices of the others fall by in an exchange market, x 10 000."""
    withdrawn_price: int = 0
    """What it was offered at then."""
    withdrawn_told: Told = (0, 0)
    withdrawn_known_ms: int = 0
    """Since when the engine knows of it: in an exchange market no match is later, whatever time is said."""
    starting_price: int = 0
    """0: not known."""
    starting_told: Told = (0, 0)
    setting: Setting | None = None
    payout_m: int = 0
    """What the open bets on it are paid if it wins (running payouts of multiples; core/risk/liability.py)."""
    stakes_m: int = 0
    """Running stakes of the open bets on it, win parts only."""
    place_payout_m: int = 0
    """The same of place parts, if it is placed."""
    # Live.
    feed_price: int = 0
    price: int = 0
    """What is offered: the override, else the feed's; 0: none."""
    withdrawn_again: Told = (0, 0)
    """When the withdrawal that stands was last said again."""
    starting_again: Told = (0, 0)
    """The same of its starting price."""


class Words(Struct, frozen=True, gc=False, array_like=True):
    """When what stands of a market was said, and what would stand if that were taken back; core/results/standing.py."""

    results: tuple[int, int, int] = (0, 0, 0)
    """Of its results: (certainty, ms, number); 0: it has none, or they are of a journal that did not tell."""
    kept: Told = (0, 0)
    """Of provisional results that are newer than the confirmed ones that stand."""
    kept_results: tuple[Result, ...] = ()
    rolled_back: Told = (0, 0)
    """Until when its results are taken back."""
    cancels: tuple[Told, ...] = ()
    """Of its last windows, in their order."""
    cancels_rolled_back: Told = (0, 0)
    withdrawals_rolled_back: Told = (0, 0)


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
    specifiers: dict[str, str] = field(default_factory=dict)
    each_way: EachWay | None = None
    was_each_way: bool = False
    """It is offered each-way, or was before: place parts may run on it."""
    delay_ms: int = 0
    parts: tuple[Selection, ...] = ()
    """Of a bet builder: what must win for its one selection to win."""
    starting_price: bool = False
    """Its prices at the off will be told."""
    combinations: list[Market] = field(default_factory=list)
    """The bet builders of which one of its selections is a part."""
    setting: Setting | None = None
    selections: dict[str, Selection] = field(default_factory=dict)
    desk_suspended: bool = False
    desk_suspended_ms: int = 0
    """When the desk last suspended it, or said so; 0: never."""
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
    place_stakes_m: int = 0
    """Those of their place parts."""
    places: dict[int, int] = field(default_factory=dict)
    """Places of the terms -> how many place parts run at them."""
    places_taken: int = 0
    """The most places at which a bet on it has a place part, running or not; 0: none has."""
    deductions: tuple[tuple[int, int], ...] = ()
    """(at_ms, per cent) of its withdrawn selections, by Rule 4."""
    liability_m: int = 0
    """The house's worst case, at least 0."""
    type_level: Level | None = None
    patterns: Patterns | None = None
    """How it ends at each final score of its fixture, if it hangs on that alone (core/risk/grid.py)."""
    gridded: bool = False
    """It stands in its fixture's grid."""
    exchange: Exchange | None = None
    words: Words = Words()
    # Live.
    retold: tuple[int, int, int] = (0, 0, 0)
    """As `words.results`: when the results that stand were last said again."""
    recancelled: dict[tuple[int, int], Told] | None = None
    """The same of its windows."""
    caps: Caps | None = None
    """As of `caps_version`; core/risk/limiting.py."""
    caps_version: int = -1
    status: FeedStatus = FeedStatus.SUSPENDED
    in_play: bool = False
    suspended_ms: int = 0
    """The same of its feed."""
    version: int = 0
    price_ms: int = 0
    """When the engine last heard its prices."""
    provider_ts_ms: int = 0
    sequence: int = 0
    epoch: int = 0
    """The recovery of its producer in which it was last heard of."""
    producer: Producer | None = None

    @property
    def by_hand(self) -> bool:
        """Whether the desk prices it, not a feed."""
        return self.source == DESK

    def cancels_at(self, placed_ms: int) -> bool:
        """Whether a bet placed at that time is void on this market."""
        return any(start <= placed_ms and (not end or placed_ms < end) for start, end in self.cancels)

    def worst_case(self) -> int:
        """What it loses at the worst, at least 0: the greatest payouts, of as many as win, less the stakes."""
        payouts = [selection.payout_m for selection in self.selections.values()]
        top_m = max(payouts) if self.winners == 1 else sum(nlargest(self.winners, payouts))
        worst_m = max(0, top_m - self.stakes_m)
        if not self.place_stakes_m:
            return worst_m
        places = max(PLACES_USUAL_MAX, self.each_way.places if self.each_way else 0, *self.places)
        top_m = sum(nlargest(places, [selection.place_payout_m for selection in self.selections.values()]))
        return worst_m + max(0, top_m - self.place_stakes_m)

    def definition(self) -> tuple[str, str, str, int, int, tuple[NamedSelection, ...]]:
        """What a MarketDefined event can change."""
        named = tuple(NamedSelection(selection.id, selection.name) for selection in self.selections.values())
        return self.market_type, self.name, self.group, self.winners, self.cut_off_ms, named

    def terms(self) -> Terms:
        """The rest: specifiers, each-way terms, delay, parts, whether it has a starting price, exchange terms."""
        parts = tuple((part.market.id, part.id) for part in self.parts)
        exchange = None if self.exchange is None else self.exchange.terms
        return self.specifiers, self.each_way, self.delay_ms, parts, self.starting_price, exchange


class Order(RestingOrder, gc=False, eq=False):
    """A customer's order in an exchange market: what rests of it (`stake_m`), or has been matched.

    It is held until its market is forgotten, or until nothing of it rests and nothing was matched.
    """

    ts_ms: int
    digest: int
    owner: Customer
    selection: Selection
    asked_m: int
    persistence: int
    """A Persistence."""
    on_close: bool
    """It waits for the starting price; of a lay `stake_m` is then what it may lose."""
    report: OrderReport
    """The answer that its command got."""
    matched_m: int = 0
    paid: int = 0
    """Matched stakes x prices, added up."""
    waits: OrderPending | None = None
    """In play: it is decided when its delay is over."""
    carried: tuple[int, int] | None = None
    """Of a lay of the house's account: its part of Position.carried, (payout, stake)."""


class Persistence(IntEnum):
    """What becomes of an order that rests at the turn in-play. Numbers are journalled."""

    LAPSE = 0
    PERSIST = 1
    ON_CLOSE = 2
    """It takes the starting price."""


class Between(IntEnum):
    """Who stood between backer and layer. Numbers stand in snapshots."""

    NOBODY = 0
    ACROSS = 1
    """The house, in a match across selections."""
    CLOSE = 2
    """The house, at the starting price."""


class Trade(Struct, frozen=True, gc=False, array_like=True):
    """One side of a match."""

    ts_ms: int
    order: str
    selection: str
    side: int
    price: int
    stake_m: int
    between: int = 0
    """A Between."""
    across: tuple[str, ...] = ()
    """The selections it was matched across: all that could win, in the market's order. Void when others can."""


class Line(Struct, gc=False, eq=False):
    """What a customer has on one selection: unmatched, what he loses if it loses and if it wins; matched, what he is
    paid if it wins, stakes included, lays below 0.
    """

    back_m: int = 0
    lay_m: int = 0
    win_m: int = 0


class Carried(Struct, gc=False, eq=False):
    """What lays on a selection, bets of the house's, come to as a payout and in stakes, and what of it counts now."""

    payout_m: int = 0
    stake_m: int = 0
    counted_payout_m: int = 0
    counted_stake_m: int = 0


class Position(Struct, gc=False, eq=False):
    """What a customer has in an exchange market; core/exchange/positions.py."""

    customer: Customer
    market: Market
    orders: dict[str, Order] = field(default_factory=dict)
    """Those that the engine holds."""
    resting: dict[str, Order] = field(default_factory=dict)
    """Those of them that rest or wait: a market maker has 100 000 others."""
    trades: list[Trade] = field(default_factory=list)
    exposure_m: int = 0
    """Set aside: what its worst outcome costs; 0 once it is settled."""
    settled: bool = False
    net_m: int = 0
    """What settlement has brought him, commission not counted."""
    commission_m: int = 0
    # These follow from orders and trades.
    lines: dict[str, Line] = field(default_factory=dict)
    back_m: int = 0
    """The sum of its lines'."""
    staked_m: int = 0
    """What matched lays have in stakes less what matched backs have: what it wins if none of its selections does."""
    carried: dict[str, Carried] | None = None
    """Of the house's account: selection -> what its lays count for in the market's liability."""


Stands = tuple[int, int, int, int, int, int, int]
"""How trades that are alike stand (core/exchange/counting.py): of a stake, what is added to `staked_m`; its payout's
sign, and factor x 10 000; what is added to what was won; that payout's sign, numerator, and denominator, 0: not known
yet."""


class Count(Struct, gc=False, eq=False):
    """How far the trades of a position have been counted, and what they come to."""

    done: int = 0
    """How many."""
    wins_m: dict[str, int] = field(default_factory=dict)
    """By selection, as in Line.win_m."""
    staked_m: int = 0
    net_m: int = 0
    """What they have brought him, commission not counted."""
    undecided: bool = False
    """One of them is on a selection without a result."""
    made: bool = False
    """The position's lines agree with it."""


class Counting(Struct, gc=False, eq=False):
    """What is being counted in an exchange market, by what is known of it now."""

    turns: list[int]
    """Times from which on a trade may stand otherwise than before."""
    one_wins: bool
    """The results are such as a match across selections was priced for."""
    terms: dict[tuple[str, int, int, int, int, tuple[str, ...]], Stands] = field(default_factory=dict)
    """Selection, side, price, between, turn, across -> how such a trade stands."""
    counts: dict[str, Count] = field(default_factory=dict)
    """By customer."""


class Made(Struct, gc=False, array_like=True):
    """A starting price that is made, and the orders that are still to take it: nobody can take them back any more."""

    selection: str
    price: int
    ts_ms: int
    stakes_m: dict[str, int]
    """Order -> what it has matched, in order of arrival."""


class Exchange(Struct, gc=False, eq=False):
    """What makes a market an exchange: order books, positions, and the work that is still to be done on them."""

    terms: ExchangeTerms
    ladder: Ladder
    make_book: Callable[[], OrderBook]
    books: dict[str, OrderBook] = field(default_factory=dict)
    """By selection; made with the first order."""
    on_close: dict[str, dict[str, Order]] = field(default_factory=dict)
    """Selection -> orders that wait for the starting price, in order of arrival."""
    until_close: dict[str, dict[str, Order]] = field(default_factory=dict)
    """Selection -> orders in its book that take the starting price if they still rest then, in order of arrival."""
    positions: dict[str, Position] = field(default_factory=dict)
    """By customer."""
    version: int = 1
    """Raised by whatever is material to an order (RULEBOOK 6, market version)."""
    in_play: bool = False
    """It has turned in play, and whatever that brings for orders has been set going."""
    why: int = 0
    """Why orders are being looked at (events.Why), while `clearing` or `closing` is not empty."""
    closing: list[str] = field(default_factory=list)
    """Selections whose starting price is still to be made, the next one last."""
    made: Made | None = None
    """That of the next one, if not all of its orders have taken it yet."""
    clearing: list[Position] = field(default_factory=list)
    """Positions whose resting orders are still to be looked at, the next one last."""
    due: list[Position] = field(default_factory=list)
    """Positions still to be settled, or to be looked at again, the next one last."""
    outcomes: int = 0
    """How many selections can win: those that are not withdrawn."""
    # Live.
    changed: dict[str, None] = field(default_factory=dict)
    """Selections whose book has changed since the publisher last looked."""
    counting: Counting | None = None
    """Positions of which some trades, or all, have been counted; it follows from the state."""


class Scored(Struct, gc=False, eq=False, array_like=True):
    """A score by which markets are being graded, and what ranks it (core/results/standing.py)."""

    score: Score
    source: str
    author: str
    told_ms: int = 0
    certainty: int = 2
    number: int = 0
    graded: int = 0
    """How many of its fixture's markets, the first ones, were graded by it."""
    markets: int = -1
    """How many there were when it came: one that is defined later is none of its business, however soon it is graded.
    -1: a snapshot that did not tell; all.
    """

    @property
    def rank(self) -> tuple[int, int, int]:
        """The highest is graded first."""
        return self.certainty, self.told_ms, self.number


class Fixture(Struct, gc=False, eq=False):
    """A match, a race: what markets belong to."""

    id: str
    source: str
    name: str
    sport: str
    competition: str
    start_ms: int
    outright_of: str = ""
    """The competition whose winner this is."""
    setting: Setting | None = None
    markets: dict[str, Market] = field(default_factory=dict)
    score: Score | None = None
    """The last one that came."""
    score_source: str = ""
    scores: list[Scored] = field(default_factory=list)
    """Those by which its markets are still being graded, the highest first."""
    plain_m: int = 0
    """The sum of the worst cases of its markets that do not hang on its score."""
    liability_m: int = 0
    """Not less than its worst case; equal to it unless it is in `Book.loose` (core/risk/liability.py)."""
    grid: Grid | None = None
    """Of those of its markets that hang on its score and have bets; None: to be made anew."""
    sport_level: Level | None = None
    competition_level: Level | None = None
    # Live.
    provider_ts_ms: int = 0

    def definition(self) -> tuple[str, str, str, int, str]:
        """What a FixtureDefined event can change."""
        return self.name, self.sport, self.competition, self.start_ms, self.outright_of


class BetLeg(Struct, gc=False, eq=False):
    """One leg of a bet."""

    selection: Selection
    price: int
    requested: int
    running_m: int = 0
    """The stake that runs on it: the bet's times what its decided legs made of it; 0 once leg or bet is decided."""
    place_running_m: int = 0
    """The same of its place part."""
    place: EachWay | None = None
    """The terms of its place part."""
    starting_price: bool = False
    """Paid at the starting price; `price` was the live one."""
    voided: bool = False
    """Taken back by the operator, this leg alone."""


class System(Struct, frozen=True, gc=False):
    """The lines of a bet that is more than one line over all its legs."""

    kind: str
    shape: Shape
    lines: int
    """The place parts of an each-way bet counted too."""
    each_way: bool


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
    system: System | None = None
    """None: one line over all legs."""
    free_bet: str = ""
    rate: int = RATE_ONE
    payout_max_m: int = 0
    """The most it may win beyond its stake; 0: no maximum."""
    cashed_out_stake_m: int = 0
    """The part of the stake that was sold."""
    cashed_out_m: int = 0
    capped_m: int = 0

    @property
    def running_stake_m(self) -> int:
        """The part of the stake that was not sold."""
        return self.stake_m - self.cashed_out_stake_m

    @property
    def paid_max_m(self) -> int:
        """The most that may be paid for what runs of it, its stake included: a maximum is the whole bet's, and what was
        won by selling counts.
        """
        if not self.payout_max_m:
            return UNLIMITED
        won_m = max(0, self.payout_max_m - max(0, self.cashed_out_m - self.cashed_out_stake_m))
        return won_m if self.free_bet else won_m + self.running_stake_m

    def markets(self) -> list[Market]:
        """The markets of its legs, each once: ways of a system may share one."""
        if self.system is None:
            return [leg.selection.market for leg in self.legs]
        return list({id(leg.selection.market): leg.selection.market for leg in self.legs}.values())


class PendingBet(Struct, gc=False, eq=False):
    """A bet that waits to be decided; core/betting/pending.py."""

    asked: BetPending
    customer: Customer
    reserved_m: int
    until_ms: int
    stage: int
    number: int = 0
    """In order of arrival; the first of those that are due at the same time goes first."""
    offer: BetOffered | None = None
    offered: Bet | None = None
    """The bet that the offer would be, its liability counted; in no market and not among the bets."""
    verdict: ReferralAnswered | None = None
    """The trader's word, while what follows from it is still to come."""
    taken: bool | None = None
    """The customer's word on the offer, likewise."""

    @property
    def id(self) -> str:
        """The bet's."""
        return self.asked.id

    @property
    def digest(self) -> int:
        """Of its command's content."""
        return self.asked.digest

    @property
    def command(self) -> PlaceBet:
        """As it came in."""
        return self.asked.command


class Quote(Struct, gc=False, eq=False):
    """Live: what a customer was offered for his bet."""

    share_bp: int
    stake_m: int
    offer_m: int
    until_ms: int
    paid: tuple[tuple[int, int] | None, ...]
    """What each leg was to pay if it won: withdrawals change it (Rule 4)."""
    made_ms: int


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
    lost_ms: int = 0
    """When it was last believed no more; at first, when it was first heard of since the engine started."""


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
        self.owed = Owed()
        self.reserves: dict[str, Reserve] = {}
        self.holds: list[tuple[int, str]] = []
        """Heap of the reserves' time limits; a reserve that has ended may stay in it until its time."""
        self.fixtures: dict[str, Fixture] = {}
        self.bets: dict[str, Bet] = {}
        self.open_bets = 0
        self.pending: dict[str, PendingBet] = {}
        self.orders: dict[str, Order] = {}
        self.trades = 0
        """How many its positions hold."""
        self.waiting: list[tuple[int, int, str]] = []
        """Heap of (time, number, order): orders that wait for a delay; those that wait no more stay until then."""
        self.waited = 0
        """Counts them, to tell which came first."""
        self.clearing: dict[tuple[str, str], Market] = {}
        """Exchange markets whose orders or positions are being looked at."""
        self.deciding: list[tuple[int, int, str]] = []
        """Heap of the pending bets' (time, number, id); one that was decided before its time may stay until then."""
        self.liability_m = 0
        """The sum of its fixtures'."""
        self.levels: dict[tuple[str, ...], Level] = {}
        self.setting: Setting | None = None
        self.rates: dict[str, int] = {}
        """Currency -> minor units of the book's currency for 1 000 000 of its own."""
        self.endings: list[tuple[int, str, str]] = []
        """Heap of (time, customer, bonus or token): when they run out; those that ended before may stay until then."""
        self.granted = 0
        """How many free bets and bonuses its customers have."""
        self.earned: dict[tuple[str, str], Bonus] = {}
        """(customer, bonus) -> bonuses that are staked in full, to be paid."""
        self.scoring: dict[str, Fixture] = {}
        """Fixtures whose markets are being graded."""
        self.answers: dict[str, Answered] = {}
        self.expiring: tuple[deque[tuple[str, Answered]], deque[tuple[str, Answered]]] = (deque(), deque())
        """`answers`, those of commands and those of payments, each in the order in which they are forgotten. One whose
        id was used again, once it was past, stays until its turn."""
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
        self.cut_offs_max = 0
        """Past so many those that hold no more are looked for."""
        self.quotes: dict[str, Quote] = {}
        """Bet -> its last cash-out quote."""
        self.tallies: dict[tuple[str, str], tuple[tuple[Any, ...], list[Tally]]] = {}
        """Market with bets due -> the large system that is next there, its lines being counted over several slices: of
        what, and how far (core/results/settling.py)."""
        self.loose: dict[str, Fixture] = {}
        """Fixtures whose `liability_m` may be above their worst case."""
        self.caps_version = 0
        """Raised with every change of the limits tree: `Market.caps` made before are no more."""
        self.touched: dict[tuple[str, str], Market] = {}
        """Markets whose offer changed since the publisher last looked."""
        self.traded: dict[tuple[str, str], Market] = {}
        """Exchange markets whose order books changed since then."""
        self.quoting: dict[tuple[str, str], Market] = {}
        """Exchange markets whose house may have to move its own orders."""
        self.make_book: Callable[[], OrderBook] = OrderBook
        """Tests put a plain twin here."""

    def touch(self, market: Market) -> None:
        """The market's offer has changed: a new version, to be published."""
        market.version += 1
        self.touched[market.fixture.id, market.id] = market
        if market.exchange is not None and market.exchange.terms.house:
            self.quoting[market.fixture.id, market.id] = market

    def remember(self, command_id: str, digest: int, ts_ms: int, answer: Answer, *, payment: bool = False) -> None:
        """Keep an answer for its retention, and forget a few that are past theirs: so memory follows the load."""
        if not command_id:
            return
        answers = self.answers
        answers.pop(command_id, None)
        for queue in self.expiring:
            for _ in range(2):
                if queue and queue[0][1].expires_ms <= ts_ms:
                    past_id, past = queue.popleft()
                    if answers.get(past_id) is past:
                        del answers[past_id]
        expires_ms = ts_ms + (self.payment_retention_ms if payment else self.retention_ms)
        kept = answers[command_id] = Answered(expires_ms, digest, answer, payment)
        self.expiring[payment].append((command_id, kept))

    def forgettable(self, now_ms: int) -> bool:
        """Whether the next `remember` makes room for the answer that it keeps."""
        return any(queue and queue[0][1].expires_ms <= now_ms for queue in self.expiring)

    @property
    def answers_held(self) -> int:
        """How many answers take memory."""
        return sum(map(len, self.expiring))

    def markets(self) -> Iterator[Market]:
        """All markets, in the order of their definition within each fixture."""
        for fixture in self.fixtures.values():
            yield from fixture.markets.values()
