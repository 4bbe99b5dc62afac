"""Events: what has happened, in the past tense, for ever.

This is what the journal holds, and all it holds: `Book.apply` turns them into state, the projector into tables, and
nothing else is needed for either. Tags and field order are never changed; new fields go to the end with a default
(DESIGN 5). Each carries `ts_ms`, the engine's time of the decision; those that answer a command carry its `id` and the
`digest` of its content, so that a retry is known after a restart.
"""

from __future__ import annotations

from enum import IntEnum

from msgspec import Struct

from core.grading.scores import Score
from core.messages.commands import NamedPrice, NamedSelection, PlaceBet, PlaceOrder, Ramp
from core.messages.results import EachWay, Result
from core.messages.terms import ExchangeTerms
from core.units import RATE_ONE


class BetStatus(IntEnum):
    """Where a bet stands. Numbers are journalled."""

    OPEN = 0
    WON = 1
    """Something is paid that is not just the stake."""
    LOST = 2
    VOID = 3
    """Every leg is void, or the bet was: the stake comes back."""
    CASHED_OUT = 4
    """Sold back whole."""


class Stage(IntEnum):
    """What a pending bet waits for. Numbers are journalled."""

    DELAYED = 0
    """For the end of the in-play delay."""
    REFERRED = 1
    """For a trader."""
    OFFERED = 2
    """For the customer, who has a trader's offer."""


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
    banker: bool = False
    starting_price: bool = False
    """Paid at the starting price; `price` was the live one."""
    place: EachWay | None = None
    """The terms of its place part, fixed now: places by number."""


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
    outright_of: str = ""


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
    specifiers: dict[str, str] = {}
    each_way: EachWay | None = None
    delay_ms: int = 0
    parts: tuple[tuple[str, str], ...] = ()
    starting_price: bool = False
    exchange: ExchangeTerms | None = None


class MarketStatusSet(Struct, frozen=True, gc=False, array_like=True, tag=12):
    """The desk suspended a market, or lifted its suspension."""

    ts_ms: int
    id: str
    digest: int
    author: str
    fixture: str
    market: str
    suspended: bool
    lapse: bool = False
    """Orders that rest in it lapse."""


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
    """Results for all selections of a market; a second time, a correction, or the same confirmed. Its bets follow."""

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
    told_ms: int = 0
    """When its source said so; the desk, now."""
    certainty: int = 2
    """1 provisional, 2 confirmed (UOF)."""
    number: int = 0
    """Of the FixtureScored, or of the WordKept, that it follows from; 0: of none."""


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
    told_ms: int = 0


class MarketRolledBack(Struct, frozen=True, gc=False, array_like=True, tag=16):
    """The "results", the "cancel"s or the "withdrawals" of a market are taken back.

    What was said later, though it came before, follows at once: MarketSettled, MarketCancelled, SelectionWithdrawn.
    """

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
    told_ms: int = 0


class WordKept(Struct, frozen=True, gc=False, array_like=True, tag=19):
    """A feed's word on a market that came out of order: it matters when another comes, or is taken back.

    `what` is "results": provisional ones, newer than the confirmed ones that stand, or the same as those that stand; or
    a rollback that found nothing as old as itself to take back, "no results", "no cancel", "no withdrawals": nothing
    older may come.
    """

    ts_ms: int
    source: str
    sequence: int
    fixture: str
    market: str
    what: str
    told_ms: int
    results: tuple[Result, ...] = ()
    number: int = 0
    """Of the FixtureScored that it follows from; 0: of none."""


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
    positions: int = 0
    """Likewise of an exchange market's customers."""


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
    kind: str = ""
    """What its lines are called: empty of a single or an n-fold, the named kind, else "system"."""
    folds: tuple[int, ...] = ()
    """Empty: one line over all legs."""
    lines: int = 1
    """The place parts of an each-way bet counted too."""
    each_way: bool = False
    free_bet: str = ""
    """The token that stakes it: house:bonus -> open_stakes."""
    rate: int = RATE_ONE
    """What its currency was worth in the book's."""
    payout_max_m: int = 0
    """The most it may win beyond its stake; 0: no maximum was known (bets of the first release)."""
    reserved_m: int = 0
    """What it had reserved while it was pending: reserved -> open_stakes for the stake, -> cash for the rest."""


class BetRejected(Struct, frozen=True, gc=False, array_like=True, tag=21):
    """A bet of a known customer was refused, at once or at the end of its waiting.

    Fields behind `reason`: see the Rejected answer.
    """

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
    currency: str = ""
    reserved_m: int = 0
    """What it had reserved while it was pending: reserved -> cash."""


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
    capped_m: int = 0
    """What the payout maximum has cut off."""
    free_bet: bool = False
    """A free bet: its stake comes from and, void, goes back to house:bonus."""


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
    leg: int = -1
    """The leg that is void; -1: the whole bet."""


class BetPending(Struct, frozen=True, gc=False, array_like=True, tag=25):
    """A bet waits, and is decided again in full at `until_ms` (RULEBOOK 3): cash -> reserved for its stake."""

    ts_ms: int
    id: str
    digest: int
    customer: str
    currency: str
    reserved_m: int
    """0 of a free bet."""
    until_ms: int
    stage: int
    command: PlaceBet
    reason: int = 0
    """Of a referral: the Rejection for which it was referred, and what goes with it."""
    leg: int = -1
    limit: int = 0
    stake_accepted_m: int = 0
    detail: str = ""


class ReferralAnswered(Struct, frozen=True, gc=False, array_like=True, tag=26):
    """The trader has answered; BetAccepted, BetRejected or BetOffered follows at once."""

    ts_ms: int
    id: str
    digest: int
    author: str
    bet: str
    customer: str
    action: str
    stake_m: int
    prices: tuple[int, ...]
    until_ms: int
    reason: str


class BetOffered(Struct, frozen=True, gc=False, array_like=True, tag=27):
    """A trader's offer, reserved until `until_ms`: its liability counts. reserved -> cash for what it takes less."""

    ts_ms: int
    author: str
    customer: str
    currency: str
    until_ms: int
    returned_m: int
    bet: BetAccepted
    """What it becomes if it is taken."""


class OfferAnswered(Struct, frozen=True, gc=False, array_like=True, tag=28):
    """The customer has answered an offer; BetAccepted or BetRejected follows at once."""

    ts_ms: int
    id: str
    digest: int
    customer: str
    bet: str
    taken: bool


class BetCashedOut(Struct, frozen=True, gc=False, array_like=True, tag=29):
    """A share of a bet was sold: open_stakes -> house:betting for `stake_m`, house:betting -> cash for `paid_m`."""

    ts_ms: int
    id: str
    digest: int
    customer: str
    currency: str
    bet: str
    stake_m: int
    """The part of the stake that runs no more."""
    paid_m: int


class FixtureScored(Struct, frozen=True, gc=False, array_like=True, tag=40):
    """A score. The markets that it decides follow in slices, those of `source`, or all where that is the desk."""

    ts_ms: int
    id: str
    digest: int
    source: str
    author: str
    sequence: int
    fixture: str
    score: Score
    reason: str
    told_ms: int = 0
    """When its source said so; 0: of a journal that did not tell, in which a score took the place of those before."""
    certainty: int = 2


class ScoringAdvanced(Struct, frozen=True, gc=False, array_like=True, tag=41):
    """The next `markets` markets of a scored fixture were graded by its highest score; that stands before this."""

    ts_ms: int
    fixture: str
    markets: int


class SelectionWithdrawn(Struct, frozen=True, gc=False, array_like=True, tag=42):
    """A runner did not start: its bets are void; the others' taken before `at_ms` lose `deduction_pc` of winnings."""

    ts_ms: int
    id: str
    digest: int
    source: str
    author: str
    sequence: int
    fixture: str
    market: str
    selection: str
    price: int
    at_ms: int
    deduction_pc: int
    """By Rule 4, per cent (pence in the pound)."""
    reduction_bp: int = 0
    """In exchange markets, x 10 000."""
    told_ms: int = 0


class StartingPricesSet(Struct, frozen=True, gc=False, array_like=True, tag=43):
    """The prices at the off, those that are new."""

    ts_ms: int
    id: str
    digest: int
    source: str
    author: str
    sequence: int
    fixture: str
    market: str
    prices: tuple[NamedPrice, ...]
    told_ms: int = 0


class LimitSet(Struct, frozen=True, gc=False, array_like=True, tag=44):
    """A node of the limits tree; 0: not set there."""

    ts_ms: int
    id: str
    digest: int
    author: str
    sport: str
    competition: str
    fixture: str
    market_type: str
    market: str
    selection: str
    stake_max_m: int
    payout_max_m: int
    liability_max_m: int
    ramp: tuple[Ramp, ...]


class CustomerFactorSet(Struct, frozen=True, gc=False, array_like=True, tag=45):
    """What multiplies a customer's limits; 10 000: nothing."""

    ts_ms: int
    id: str
    digest: int
    author: str
    customer: str
    factor_bp: int
    sport: str
    in_play: bool


class RateSet(Struct, frozen=True, gc=False, array_like=True, tag=46):
    """What a currency is worth: minor units of the book's for 1 000 000 of its own."""

    ts_ms: int
    id: str
    digest: int
    author: str
    currency: str
    rate: int


class CustomerVerified(Struct, frozen=True, gc=False, array_like=True, tag=47):
    """Who the customer is was checked, or is no longer taken as checked."""

    ts_ms: int
    id: str
    digest: int
    author: str
    customer: str
    verified: bool
    reason: str


class OwnLimitSet(Struct, frozen=True, gc=False, array_like=True, tag=48):
    """The customer's own limit. `confirm_from_ms` 0: it holds; else it is raised and waits for its confirmation."""

    ts_ms: int
    id: str
    digest: int
    customer: str
    kind: str
    period: str
    limit_m: int
    confirm_from_ms: int


class OwnLimitConfirmed(Struct, frozen=True, gc=False, array_like=True, tag=49):
    """The raised limit holds from now on."""

    ts_ms: int
    id: str
    digest: int
    customer: str
    kind: str
    period: str
    limit_m: int


class CustomerExcluded(Struct, frozen=True, gc=False, array_like=True, tag=50):
    """No bet and no deposit until then; `kind` is "time_out" or "self_exclusion"."""

    ts_ms: int
    id: str
    digest: int
    customer: str
    kind: str
    until_ms: int


class FreeBetGranted(Struct, frozen=True, gc=False, array_like=True, tag=51):
    """A token for one bet."""

    ts_ms: int
    id: str
    digest: int
    author: str
    customer: str
    token: str
    stake_m: int
    ends_ms: int
    price_min: int


class BonusGranted(Struct, frozen=True, gc=False, array_like=True, tag=52):
    """house:bonus -> bonus; paid out once `required_m` has been staked on settled bets."""

    ts_ms: int
    id: str
    digest: int
    author: str
    customer: str
    currency: str
    bonus: str
    amount_m: int
    required_m: int
    ends_ms: int
    price_min: int


class BonusEnded(Struct, frozen=True, gc=False, array_like=True, tag=53):
    """A bonus is paid (bonus -> cash), or it or a free bet has run out or was taken back (bonus -> house:bonus).

    `how` is "paid", "expired" or "cancelled"; `id`, `digest` and `author` are empty but for a cancel. `amount_m` is 0
    of a free bet.
    """

    ts_ms: int
    id: str
    digest: int
    author: str
    customer: str
    currency: str
    bonus: str
    how: str
    amount_m: int
    reason: str


class Why(IntEnum):
    """Why orders rest no more. Numbers are journalled."""

    CUSTOMER = 0
    """He took them back."""
    SELF_MATCH = 1
    """The next order that it would have been matched with is the same customer's."""
    KILLED = 2
    """Fill or kill: this part could not be matched at once."""
    TURNED = 3
    """The market went in play."""
    SUSPENDED = 4
    """It was suspended, and something material had happened."""
    WITHDRAWN = 5
    """A selection of the market was withdrawn."""
    CLOSED = 6
    """The market has results, or is void."""
    UNMATCHED = 7
    """At the starting price."""
    REFUSED = 8
    """When its delay was over."""
    HOUSE = 9
    """The house's own price has moved."""
    MANY = 10
    """It has been matched with as many orders as one event holds."""
    BARRED = 11
    """Its customer may not bet any more: not verified, suspended, in a time-out, self-excluded."""


class Fill(Struct, frozen=True, gc=False, array_like=True):
    """A maker's part in a match, at his price."""

    maker: str
    """His order."""
    customer: str
    selection: str
    price: int
    stake_m: int
    exposure_m: int
    """By how much the maker's exposure in the market changes: all his fills by one order together, with the first."""


class Cross(Struct, frozen=True, gc=False, array_like=True):
    """A match with one order on each other selection; the house stands between, without a risk."""

    price: int
    """The taker's."""
    stake_m: int
    makers: tuple[Fill, ...]


class OrderPlaced(Struct, frozen=True, gc=False, array_like=True, tag=60):
    """An order was taken; what of it was matched at once, and what lapsed. The rest of it rests.

    Exposures move between cash and exposure, the taker's and the makers'.
    """

    ts_ms: int
    id: str
    digest: int
    customer: str
    currency: str
    fixture: str
    market: str
    selection: str
    side: int
    price: int
    """Its limit; 0: on close, at any price."""
    stake_m: int
    on_close: bool
    persistence: int
    fills: tuple[Fill, ...]
    crosses: tuple[Cross, ...]
    lapsed_m: int
    why: int
    """Of what lapsed, a Why."""
    exposure_m: int
    """By how much the customer's exposure in the market changes."""
    replaces: str = ""
    """The order that it takes the place of."""
    waited: bool = False
    """It was an OrderPending."""


class OrderPending(Struct, frozen=True, gc=False, array_like=True, tag=61):
    """An order in play waits for the market's delay; it is decided in full then."""

    ts_ms: int
    id: str
    digest: int
    customer: str
    currency: str
    fixture: str
    market: str
    command: PlaceOrder
    until_ms: int
    exposure_m: int


class OrdersCancelled(Struct, frozen=True, gc=False, array_like=True, tag=62):
    """What rested of orders of one customer in one market rests no more."""

    ts_ms: int
    id: str
    digest: int
    customer: str
    currency: str
    fixture: str
    market: str
    orders: tuple[str, ...]
    why: int
    stake_m: int
    """What rested of them."""
    exposure_m: int
    reason: int = 0
    """Of an order refused after its delay: a Rejection."""
    orders_before: int = 0
    """Of the last event of a command that cancels in several markets: what the ones before it have cancelled."""
    stake_before_m: int = 0


class OrderReduced(Struct, frozen=True, gc=False, array_like=True, tag=63):
    """Less of an order rests, in its place."""

    ts_ms: int
    id: str
    digest: int
    customer: str
    currency: str
    fixture: str
    market: str
    order: str
    by_m: int
    exposure_m: int


class OrderRefused(Struct, frozen=True, gc=False, array_like=True, tag=64):
    """An instruction of a batch was refused. Fields: see the Rejected answer."""

    ts_ms: int
    id: str
    """The order's, of one to be placed."""
    reason: int
    limit: int
    detail: str
    price: int
    stake_accepted_m: int


class OrderBatch(Struct, frozen=True, gc=False, array_like=True, tag=65):
    """A batch, carried out: a step for each instruction, in its order. One event, so never stored in part."""

    ts_ms: int
    id: str
    digest: int
    customer: str
    currency: str
    fixture: str
    market: str
    steps: tuple[OrderPlaced | OrderPending | OrdersCancelled | OrderReduced | OrderRefused, ...]


class ExchangeCleared(Struct, frozen=True, gc=False, array_like=True, tag=66):
    """An exchange market turned in play, or was suspended for something material: its orders are looked at."""

    ts_ms: int
    id: str
    digest: int
    source: str
    author: str
    fixture: str
    market: str
    why: int
    """Why.TURNED or Why.SUSPENDED."""


class Closed(Struct, frozen=True, gc=False, array_like=True):
    """What an order got at the starting price."""

    order: str
    customer: str
    stake_m: int
    """The backer's; 0: nothing was matched."""
    exposure_m: int
    side: int


class StartingPriceMatched(Struct, frozen=True, gc=False, array_like=True, tag=67):
    """The orders on one selection that waited for the starting price, matched at it; what is not matched lapses."""

    ts_ms: int
    fixture: str
    market: str
    selection: str
    price: int
    """0: there is none, all lapse."""
    currency: str
    orders: tuple[Closed, ...]
    """All of them, or a slice, in order of arrival."""
    rest: tuple[tuple[str, int], ...] = ()
    """(order, stake) of those that take it in further events: their matches are decided with it."""
    made_ms: int = 0
    """When the price was made, if an event before has said so; all its matches are of that time."""


class PositionSettled(Struct, frozen=True, gc=False, array_like=True, tag=68):
    """What a customer has won or lost in an exchange market; again, at each correction.

    exposure -> cash; net winnings between cash and house:exchange; commission: cash -> house:commission.
    """

    ts_ms: int
    fixture: str
    market: str
    customer: str
    currency: str
    was_net_m: int
    was_commission_m: int
    settled: bool
    """Whether the market is; if not, what was settled is taken back, or the exposure has changed."""
    net_m: int
    commission_m: int
    exposure_m: int


class ExchangeAdvanced(Struct, frozen=True, gc=False, array_like=True, tag=69):
    """So many of the positions whose orders, or results, are looked at have been dealt with."""

    ts_ms: int
    fixture: str
    market: str
    cleared: int
    settled: int
    counted: int = 0
    """So many trades of the one that is settled next have been counted by now; it has more."""
    forgets: bool = False
    """Those of them that hold nothing any more are forgotten."""


class CommandRejected(Struct, frozen=True, gc=False, array_like=True, tag=30):
    """A command other than a bet was refused. `command` is its type's name; `customer` or `author` may be empty.

    Fields behind `reason`: see the Rejected answer.
    """

    ts_ms: int
    id: str
    digest: int
    command: str
    customer: str
    author: str
    reason: int
    limit: int
    detail: str
    leg: int = -1
    price: int = 0
    stake_accepted_m: int = 0


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
    | WordKept
    | SettlementAdvanced
    | MarketArchived
    | BetAccepted
    | BetRejected
    | BetSettled
    | BetAdvanced
    | BetVoided
    | BetPending
    | ReferralAnswered
    | BetOffered
    | OfferAnswered
    | BetCashedOut
    | CommandRejected
    | FixtureScored
    | ScoringAdvanced
    | SelectionWithdrawn
    | StartingPricesSet
    | LimitSet
    | CustomerFactorSet
    | RateSet
    | CustomerVerified
    | OwnLimitSet
    | OwnLimitConfirmed
    | CustomerExcluded
    | FreeBetGranted
    | BonusGranted
    | BonusEnded
    | OrderPlaced
    | OrderPending
    | OrdersCancelled
    | OrderReduced
    | OrderBatch
    | ExchangeCleared
    | StartingPriceMatched
    | PositionSettled
    | ExchangeAdvanced
)


class Batch(Struct, frozen=True, array_like=True):
    """One message of the journal: events with their numbers `first`, `first + 1`, ... (the very first event is 1)."""

    format: int
    first: int
    events: list[Event]


BATCH_FORMAT = 1
