"""Answers: what the asker gets back, the same for ever. Told apart by `type`; fields that say nothing are left out."""

from __future__ import annotations

from msgspec import Struct

from core.messages.results import EachWay, PlaceTerms
from core.messages.terms import ExchangeTerms


class UsedLeg(Struct, frozen=True, gc=False, omit_defaults=True):
    """The price at which a leg was taken beside the one that was asked for."""

    fixture: str
    market: str
    selection: str
    price: int
    requested: int
    place: PlaceTerms | None = None
    """The terms of its place part, fixed now."""


class Accepted(Struct, frozen=True, gc=False, tag="accepted", tag_field="type", omit_defaults=True):
    """The bet stands. `payout_m` is what is paid if every leg wins, stake included."""

    id: str
    ts_ms: int
    stake_m: int
    payout_m: int
    legs: tuple[UsedLeg, ...]
    lines: int = 1
    """The place parts of an each-way bet counted too."""


class Pending(Struct, frozen=True, gc=False, tag="pending", tag_field="type"):
    """The bet waits; it is decided by `until_ms` at the latest, and told on `bets.<customer>`; `bet.get` says how it
    stands.

    `stage` is "delayed" (in play), "referred" (a trader looks at it) or "offered" (the customer has a trader's offer).
    """

    id: str
    ts_ms: int
    stage: str
    until_ms: int


class Rejected(Struct, frozen=True, gc=False, tag="rejected", tag_field="type", omit_defaults=True):
    """The command was refused; nothing of it was done. Fields that say nothing are left out."""

    id: str
    reason: str
    """The name of a core.messages.rejections.Rejection."""
    leg: int = -1
    """Index of the leg that was refused."""
    price: int = 0
    """That leg's live price."""
    limit: int = 0
    """The limit that was passed, in the unit the reason names."""
    stake_m: int = 0
    """The stake that would be accepted; it reserves nothing."""
    detail: str = ""


class Done(Struct, frozen=True, gc=False, tag="done", tag_field="type"):
    """The command was carried out."""

    id: str
    ts_ms: int


class BetLegState(Struct, frozen=True, gc=False, omit_defaults=True):
    """A leg of a bet as it stands; `result` is "open", "won", "lost", "void" or "part" (half results, dead heats)."""

    fixture: str
    market: str
    selection: str
    price: int
    requested: int
    result: str
    place: PlaceTerms | None = None
    """The terms of its place part; of a bet that waits, those that it asserts."""


class BetState(Struct, frozen=True, gc=False, tag="bet", tag_field="type", omit_defaults=True):
    """A bet as it stands.

    `status` is the name of a BetStatus in lower case, or of what a pending bet waits for: "delayed", "referred",
    "offered". `paid_m` is what was paid out by settlement, `cashed_out_m` what the customer got for what he sold.
    """

    id: str
    customer: str
    ts_ms: int
    stake_m: int
    payout_m: int
    paid_m: int
    status: str
    legs: tuple[BetLegState, ...]
    kind: str = ""
    lines: int = 1
    each_way: bool = False
    free_bet: bool = False
    cashed_out_m: int = 0
    cashed_out_stake_m: int = 0
    """The part of the stake that he sold."""
    capped_m: int = 0
    """What the payout maximum has cut off."""
    until_ms: int = 0
    """Of a pending bet: until when it waits at the latest. Offered: stake, payout and prices are those of the offer."""


class MaxStake(Struct, frozen=True, gc=False, tag="max_stake", tag_field="type", omit_defaults=True):
    """The greatest stake that would be accepted now, and why not more; 0: none. Nothing is reserved."""

    stake_m: int
    reason: str
    """The name of the Rejection that a stake of one minor unit more would get."""
    leg: int = -1
    price: int = 0
    limit: int = 0
    detail: str = ""
    lines: int = 1
    payout_m: int = 0


class CashOutQuote(Struct, frozen=True, gc=False, tag="cash_out", tag_field="type"):
    """What the customer gets for `share_bp` of what still runs of his bet, while its markets are open."""

    bet: str
    share_bp: int
    stake_m: int
    """The part of the stake that would run no more."""
    offer_m: int
    until_ms: int


class OwnLimit(Struct, frozen=True, gc=False):
    """A limit the customer has set himself: `used_m` within the period; a raised one waits in `next_m` (0: none)."""

    kind: str
    period: str
    limit_m: int
    used_m: int
    next_m: int
    confirm_from_ms: int
    """From when the raised one can be confirmed; 0: nothing waits."""


class OwnLimits(Struct, frozen=True, gc=False, tag="own_limits", tag_field="type"):
    """A customer's own limits and exclusions; times in ms, 0: none."""

    customer: str
    limits: tuple[OwnLimit, ...]
    timed_out_until_ms: int
    excluded_until_ms: int


class FreeBetState(Struct, frozen=True, gc=False):
    """A token that can stake a bet."""

    token: str
    stake_m: int
    ends_ms: int
    price_min: int


class BonusState(Struct, frozen=True, gc=False):
    """A deposit match under way: `staked_m` of `required_m`."""

    bonus: str
    amount_m: int
    required_m: int
    staked_m: int
    ends_ms: int
    price_min: int


class Bonuses(Struct, frozen=True, gc=False, tag="bonuses", tag_field="type"):
    """A customer's free bets and bonuses."""

    customer: str
    free_bets: tuple[FreeBetState, ...]
    bonuses: tuple[BonusState, ...]


class OrderReport(Struct, frozen=True, gc=False, tag="order", tag_field="type", omit_defaults=True):
    """What became of an order when it came in. `status`: "resting", "matched", "lapsed" or "waiting" (in play).

    What is neither matched nor lapsed rests, or waits: for the in-play delay until `until_ms`, or for the close.
    `order.get` says "done" of one of which nothing was matched and nothing rests any more.
    """

    id: str
    ts_ms: int
    status: str
    matched_m: int = 0
    price: int = 0
    """The average at which it was matched, weighted by stake; rounded down."""
    lapsed_m: int = 0
    why: str = ""
    """Why it lapsed: the name of a core.messages.events.Why in lower case."""
    until_ms: int = 0


class Cancelled(Struct, frozen=True, gc=False, tag="cancelled", tag_field="type"):
    """So many orders rest no more, or less of one; `stake_m` was not matched."""

    id: str
    ts_ms: int
    orders: int
    stake_m: int


class OrderReports(Struct, frozen=True, gc=False, tag="orders", tag_field="type"):
    """What became of a batch, a report for each instruction."""

    id: str
    ts_ms: int
    reports: tuple[OrderReport | Cancelled | Rejected, ...]


class OrderState(Struct, frozen=True, gc=False, tag="order_state", tag_field="type", omit_defaults=True):
    """An order as it stands. `status`: "resting", "waiting" (in-play delay), "on_close", or "done": nothing rests."""

    id: str
    customer: str
    fixture: str
    market: str
    selection: str
    side: str
    ts_ms: int
    status: str
    price: int = 0
    """Its limit; 0: none."""
    stake_m: int = 0
    """As it was asked for."""
    resting_m: int = 0
    matched_m: int = 0
    price_matched: int = 0
    """The average, rounded down."""
    persistence: str = "lapse"


class Orders(Struct, frozen=True, gc=False, tag="order_states", tag_field="type"):
    """A customer's orders in a market, in the order in which they came: all that rest or wait, the latest others."""

    customer: str
    orders: tuple[OrderState, ...]
    exposure_m: int
    """What is set aside for them and for what was matched."""
    net_m: int
    commission_m: int
    """What the market, if it is settled, has brought him, and the commission on it."""
    sequence: int = 0
    """Of the last notice to him on `orders.<customer>`: what later ones say is newer than this."""
    older_orders: int = 0
    """How many he has had matched there that are not in the list; `order.get` tells each."""


Level = tuple[int, int]
"""`[price, stake_m]`."""


class BookLevels(Struct, frozen=True, gc=False, array_like=True):
    """`[selection, backs, lays, near, far]`: what rests on each side, best price first, and the starting price to be.

    `backs` can be laid and `lays` backed. `near` counts orders for the close and what rests, `far` only the former; 0:
    there is none, or the market has no starting price.
    """

    selection: str
    backs: tuple[Level, ...]
    lays: tuple[Level, ...]
    near: int = 0
    far: int = 0


class BookImage(Struct, frozen=True, gc=False, tag="book", tag_field="type"):
    """An exchange market's order books as they are."""

    fixture: str
    market: str
    version: int
    """Of this stream: a delta names the one it builds on."""
    market_version: int
    """What an order may rely on (PlaceOrder.version): it changes when something material happens."""
    status: str
    in_play: bool
    books: tuple[BookLevels, ...]


class BookDelta(Struct, frozen=True, gc=False, tag="book_delta", tag_field="type"):
    """What changed since version `base`: of each selection named, the levels that changed; stake 0: the level is gone.

    `near` and `far` are always those of now.
    """

    fixture: str
    market: str
    base: int
    version: int
    market_version: int
    status: str
    in_play: bool
    books: tuple[BookLevels, ...]


class AccountState(Struct, frozen=True, gc=False, tag="account", tag_field="type", omit_defaults=True):
    """A customer's balances in minor units of `currency`."""

    customer: str
    currency: str
    suspended: bool
    cash_m: int
    open_stakes_m: int
    reserved_m: int
    liability_m: int
    """What his open bets can win beyond their stakes, in the book's currency."""
    bonus_m: int = 0
    """Bonuses that are not paid yet."""
    exposure_m: int = 0
    """Set aside for orders and positions in exchange markets."""


class SelectionOdds(Struct, frozen=True, gc=False, array_like=True):
    """`[selection, name, price]`; price 0: none."""

    selection: str
    name: str
    price: int


class OddsImage(Struct, frozen=True, gc=False, tag="image", tag_field="type", omit_defaults=True):
    """A market as it is offered. `status` is "open", "suspended", "closed" or "settled"."""

    fixture: str
    market: str
    version: int
    fixture_name: str
    market_name: str
    market_type: str
    sport: str
    start_ms: int
    status: str
    in_play: bool
    prices: tuple[SelectionOdds, ...]
    specifiers: dict[str, str] = {}
    each_way: EachWay | None = None
    delay_ms: int = 0
    starting_price: bool = False
    exchange: ExchangeTerms | None = None


class OddsDelta(Struct, frozen=True, gc=False, tag="delta", tag_field="type"):
    """What changed since version `base`; who does not hold `base` asks for the image."""

    fixture: str
    market: str
    base: int
    version: int
    status: str
    in_play: bool
    prices: tuple[tuple[str, int], ...]
    """`[[selection, price], ...]`, those that changed."""


class OfferNotice(Struct, frozen=True, gc=False, tag="offer", tag_field="type"):
    """On `bets.<customer>`: a trader's offer for a pending bet, to be taken with `bet.offer.take` until `until_ms`."""

    id: str
    ts_ms: int
    stake_m: int
    payout_m: int
    prices: tuple[int, ...]
    until_ms: int


class SettledNotice(Struct, frozen=True, gc=False, tag="settled", tag_field="type"):
    """On `bets.<customer>`: a bet's status or payout changed."""

    id: str
    ts_ms: int
    status: str
    paid_m: int


class CashedOutNotice(Struct, frozen=True, gc=False, tag="cashed_out", tag_field="type"):
    """On `bets.<customer>`: a bet, or a share of it, was sold: for `stake_m` of its stake the customer got `paid_m`."""

    id: str
    ts_ms: int
    status: str
    """What it is now: "cashed_out", or "open" where a share of it still runs."""
    stake_m: int
    paid_m: int


class OrderNotice(Struct, frozen=True, gc=False, tag="order_notice", tag_field="type", omit_defaults=True):
    """On `orders.<customer>`: an order as it stands, since it is new or something has happened to it.

    Placed, reduced, replaced or cancelled by him, matched with others, decided after its delay, or lapsed. What it says
    replaces all that earlier notices said. Of an order of which nothing was matched and nothing is left it says no more
    than that.
    """

    sequence: int
    """One more than that of the customer's last notice; anything else is a gap: ask `order.list`."""
    id: str
    ts_ms: int
    """When that happened."""
    fixture: str
    market: str
    status: str
    """In the words of OrderState; "done": nothing rests or waits."""
    resting_m: int = 0
    matched_m: int = 0
    price_matched: int = 0
    """The average, rounded down."""
    why: str = ""
    """Why what was not matched rests no more: the name of a core.messages.events.Why in lower case, or "replaced"."""
    reason: str = ""
    """Of one refused after its delay: the name of a Rejection."""
    selection: str = ""
    side: str = ""
    price: int = 0
    """Its limit; 0: none."""
    stake_m: int = 0
    """As it was asked for."""
    persistence: str = "lapse"


class PositionNotice(Struct, frozen=True, gc=False, tag="position_notice", tag_field="type"):
    """On `orders.<customer>`: what a market has brought him; again at each correction.

    `settled` false: what was settled is taken back, or what is set aside has changed.
    """

    sequence: int
    """As of OrderNotice, counted together with them."""
    ts_ms: int
    fixture: str
    market: str
    settled: bool
    net_m: int
    commission_m: int


class Started(Struct, frozen=True, gc=False, tag="started", tag_field="type"):
    """On `engine-started`: an engine takes requests from now on, in a new term.

    What the one before was about to say is stored, and may never have been said, nor will it be. So whoever follows
    `orders.<customer>` asks `order.list` now, and whoever follows `bets.<customer>` asks for the bets he waits for.
    """

    term: int
    ts_ms: int


class ReferredLeg(Struct, frozen=True, gc=False):
    """A leg of a bet that waits for a trader: the price asked for, and the live one."""

    fixture: str
    market: str
    selection: str
    requested: int
    price: int
    """0: none."""
    status: str
    """The market's, in the words of OddsImage."""
    banker: bool = False
    starting_price: bool = False


class Referral(Struct, frozen=True, gc=False, tag="referral", tag_field="type"):
    """On `desk-referrals`: a bet waits for a trader's word (`desk.bet.answer`), until `until_ms`; told again meanwhile.

    `reason` is the Rejection that it would have got, with that answer's `leg`, `limit` and `detail` and the stake that
    would have been accepted, `stake_accepted_m`; all as of when it was asked for. Money is in the customer's currency.
    """

    id: str
    ts_ms: int
    """When it was asked for."""
    customer: str
    currency: str
    stake_m: int
    legs: tuple[ReferredLeg, ...]
    kind: str
    folds: tuple[int, ...]
    each_way: bool
    reason: str
    leg: int
    limit: int
    stake_accepted_m: int
    detail: str
    until_ms: int


class ReferralEnded(Struct, frozen=True, gc=False, tag="referral_ended", tag_field="type"):
    """On `desk-referrals`: no trader need look at the bet any more.

    `outcome` is "accepted", "rejected" (by the trader, by the customer, by time, or by whatever it was refused for in
    the end: `reason`) or "offered"; once more, accepted or rejected, when the offer has found its end.
    """

    id: str
    ts_ms: int
    outcome: str
    stake_m: int = 0
    """What was accepted, or is offered."""
    reason: str = ""
    """The name of a Rejection."""


class BalanceBelowZero(Struct, frozen=True, gc=False, tag="balance_below_zero", tag_field="type"):
    """On `desk-balances`: a resettlement has taken a customer's cash below zero, or further below.

    Told once for each event that does so. Until he has paid, or won, it back he can place nothing and withdraw nothing.
    """

    ts_ms: int
    customer: str
    currency: str
    cash_m: int
    """What it is now: below 0."""
    taken_m: int
    """What was taken."""
    bet: str = ""
    """The bet that was settled otherwise."""
    fixture: str = ""
    market: str = ""
    """Or the exchange market that was."""


Answer = (
    Accepted
    | Pending
    | Rejected
    | Done
    | BetState
    | MaxStake
    | CashOutQuote
    | OwnLimits
    | Bonuses
    | AccountState
    | OddsImage
    | OrderReport
    | OrderReports
    | Cancelled
    | OrderState
    | Orders
    | BookImage
)
