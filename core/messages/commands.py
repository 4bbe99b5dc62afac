"""Commands: what gateways, cashiers and the desk may ask of the engine, in the imperative.

Each has an `id` that makes it happen once, and a deadline `expires_ms` (at most the retention ahead; DESIGN promise 4).
Unknown fields are refused: a misspelt option must not silently become the default.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Literal

from msgspec import Meta, Struct

from core.grading.scores import Score
from core.messages.results import EachWay, PlaceTerms, Result
from core.messages.terms import ExchangeTerms
from core.units import (
    MONEY_MAX,
    Count,
    Currency,
    Id,
    Key,
    Millis,
    Money,
    Name,
    OfferedPrice,
    OptionalCurrency,
    OptionalId,
    OrderStake,
    Price,
)

Share = Annotated[int, Meta(ge=0, le=10_000, description="Hundredths of a per cent: 10 000 is the whole.")]
OptionalMoney = Annotated[int, Meta(ge=0, le=MONEY_MAX, description="Minor units; 0: none.")]
Delay = Annotated[int, Meta(ge=0, le=15_000, description="Milliseconds, up to 15 s.")]


class PricePolicy(Enum):
    """What the customer accepts when the live price differs from the one he was shown (RULEBOOK 3)."""

    NONE = "none"
    """Any difference refuses the bet."""
    BETTER = "better"
    """A better price is taken, and given; a worse one refuses."""
    ANY = "any"
    """Whatever the price is now."""
    TOLERANCE = "tolerance"
    """Better, or worse by at most `tolerance_bp` hundredths of a per cent of the requested price."""


class Command(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """What every command has."""

    id: Key
    expires_ms: Millis


class Leg(Struct, frozen=True, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    """One selection of a bet at the price the customer was shown."""

    # Defaults are not written, so that a bet's digest is still that of the first release, which had four fields.
    fixture: Key
    market: Key
    selection: Key
    price: Price
    banker: bool = False
    """Of a system: it stands in every line."""
    starting_price: bool = False
    """Paid at the price at the off; `price` is then what he was shown, and decides nothing."""
    place: PlaceTerms | None = None
    """The each-way terms that the customer was shown; at others the bet is refused. None: whatever they are."""


Folds = Annotated[tuple[Annotated[int, Meta(ge=1, le=100)], ...], Meta(max_length=100)]


class PlaceBet(Command, frozen=True, gc=False):
    """`bet.place`: a single, an n-fold or a system (RULEBOOK 2). The id is the bet's own from then on.

    Without `kind` and `folds` it is one line over all legs. A system names its fold sizes, of any set, counted without
    the bankers, or its `kind` ("trixie", "lucky15", ...: core/betting/lines.py has them all). Legs of one fixture
    ("ways") never share a line. Each-way doubles the lines: a win part and a place part.

    Answered by Accepted, Pending (in-play delay, referral) or Rejected.
    """

    customer: Key
    stake_m: Money
    """Of the whole bet; with `unit_stake` of each line."""
    legs: Annotated[tuple[Leg, ...], Meta(min_length=1)]
    policy: PricePolicy = PricePolicy.BETTER
    tolerance_bp: Share = 0
    currency: OptionalCurrency = ""
    """Where given, it must be the account's."""
    kind: OptionalId = ""
    folds: Folds = ()
    each_way: bool = False
    unit_stake: bool = False
    lines: Count = 0
    """The number of lines the asker counts on; 0: he does not say. A mismatch is refused."""
    partial: bool = False
    """A stake above a limit is reduced to what is accepted, and taken at once."""
    refer: bool = False
    """A bet above a limit goes to a trader."""
    free_bet: OptionalId = ""
    """The token that stakes it; its stake is not paid back (RULEBOOK 7)."""


class PlaceOrder(Command, frozen=True, gc=False):
    """`order.place`: a back or a lay in an exchange market (RULEBOOK 6). The id is the order's own from then on.

    Answered by OrderReport. What is not matched at once rests, unless it is a fill-or-kill.
    """

    customer: Key
    fixture: Key
    market: Key
    selection: Key
    side: Literal["back", "lay"]
    stake_m: OrderStake
    """The backer's; of a lay at the starting price what the layer may lose."""
    price: OfferedPrice = 0
    """On the market's ladder. A back takes it or a higher one, a lay it or a lower one; 0: on close at any price."""
    kind: Literal["limit", "on_close"] = "limit"
    """`on_close`: matched at the starting price, `price` the limit."""
    persistence: Literal["lapse", "persist", "on_close"] = "lapse"
    """What becomes of what rests at the turn in-play; `on_close`: it takes the starting price."""
    fill_or_kill: bool = False
    """Matched at once or not at all; the price is then the limit of the average."""
    fill_min_m: OptionalMoney = 0
    """Of a fill-or-kill: the least stake to be matched; 0: the whole."""
    version: Count = 0
    """The market version on which it relies: if the market's is newer, the order is refused; 0: on none."""
    currency: OptionalCurrency = ""
    """Where given, it must be the account's."""


class CancelOrder(Command, frozen=True, gc=False):
    """`order.cancel`: what rests of an order is taken back."""

    customer: Id
    order: Id


class ReduceOrder(Command, frozen=True, gc=False):
    """`order.reduce`: less of an order rests; it keeps its place in the queue."""

    customer: Id
    order: Id
    by_m: Money


class ReplaceOrder(Command, frozen=True, gc=False):
    """`order.replace`: what rests of an order takes another price, at the end of its queue, under this command's id."""

    customer: Id
    order: Id
    price: Price


class CancelOrders(Command, frozen=True, gc=False):
    """`order.cancel-all`: what rests of all orders of a customer: everywhere, in a fixture or in a market."""

    customer: Id
    fixture: OptionalId = ""
    market: OptionalId = ""


class Place(Struct, frozen=True, gc=False, forbid_unknown_fields=True, tag="place", tag_field="do", omit_defaults=True):
    """In a batch: an order; fields as in PlaceOrder."""

    id: Key
    selection: Key
    side: Literal["back", "lay"]
    stake_m: OrderStake
    price: OfferedPrice = 0
    kind: Literal["limit", "on_close"] = "limit"
    persistence: Literal["lapse", "persist", "on_close"] = "lapse"
    fill_or_kill: bool = False
    fill_min_m: OptionalMoney = 0


class Cancel(Struct, frozen=True, gc=False, forbid_unknown_fields=True, tag="cancel", tag_field="do"):
    """In a batch: an order is taken back."""

    order: Id


class Reduce(Struct, frozen=True, gc=False, forbid_unknown_fields=True, tag="reduce", tag_field="do"):
    """In a batch: less of an order rests."""

    order: Id
    by_m: Money


class Replace(Struct, frozen=True, gc=False, forbid_unknown_fields=True, tag="replace", tag_field="do"):
    """In a batch: an order takes another price, under this id."""

    id: Key
    order: Id
    price: Price


Instruction = Place | Cancel | Reduce | Replace


class BatchOrders(Command, frozen=True, gc=False):
    """`order.batch`: instructions in one market, carried out in their order (RULEBOOK 6). Answered by OrderReports.

    `atomic`: all of them or none: the first that is refused refuses the batch, its index as `leg`. Otherwise each is
    taken or refused for itself. An atomic batch must be covered as if none of its orders were matched.
    """

    customer: Key
    fixture: Key
    market: Key
    instructions: Annotated[tuple[Instruction, ...], Meta(min_length=1, max_length=200)]
    atomic: bool = False
    version: Count = 0
    """As in PlaceOrder, for all of them."""


class TakeOffer(Command, frozen=True, gc=False):
    """`bet.offer.take`: the customer takes what a trader has offered for his bet."""

    customer: Id
    bet: Id


class DeclineOffer(Command, frozen=True, gc=False):
    """`bet.offer.decline`: the customer wants neither offer nor bet; also takes back a bet that waits for a trader."""

    customer: Id
    bet: Id


class CashOut(Command, frozen=True, gc=False):
    """`bet.cash-out.take`: the customer sells his bet, or a share of it, at the offer he was quoted."""

    customer: Id
    bet: Id
    offer_m: Money
    """The quote's."""


class CancelBet(Command, frozen=True, gc=False):
    """`bet.cancel`: the customer takes an open bet back, where and as long as the operator allows it."""

    customer: Id
    bet: Id


class OpenCustomer(Command, frozen=True, gc=False):
    """`account.open`: a new customer with an empty account."""

    customer: Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$(?!\n)")]
    """Also a token of NATS subjects (`bets.<customer>`), so letters, digits, `_` and `-` only."""
    currency: Currency


class Deposit(Command, frozen=True, gc=False):
    """`account.deposit`: money that a payment provider has confirmed. The id is the provider's reference."""

    customer: Id
    amount_m: Money
    provider: Id


class Withdraw(Command, frozen=True, gc=False):
    """`account.withdraw`: money that has been paid out already; where the payment can still fail, use Reserve."""

    customer: Id
    amount_m: Money
    provider: Id


class Reserve(Command, frozen=True, gc=False):
    """`account.reserve`: first phase of a payment out: cash is set aside until posted, voided or `hold_until_ms`."""

    customer: Id
    amount_m: Money
    provider: Id
    hold_until_ms: Millis


class PostReserve(Command, frozen=True, gc=False):
    """`account.post`: second phase: the reserved sum, or a part of it, is paid; the rest goes back to cash."""

    customer: Id
    reserve: Id
    amount_m: Money


class VoidReserve(Command, frozen=True, gc=False):
    """`account.void`: second phase: nothing is paid; the reserved sum goes back to cash."""

    customer: Id
    reserve: Id


class SetOwnLimit(Command, frozen=True, gc=False):
    """`account.limit.set`: the customer limits himself (RULEBOOK 7).

    Lowering holds at once. Raising, or taking a limit away, holds when it is confirmed 24 hours later
    (ConfirmOwnLimit).
    """

    customer: Id
    kind: Literal["deposit", "loss", "stake"]
    period: Literal["day", "week", "month"]
    """24 hours, 7 days, 30 days, each up to now."""
    limit_m: OptionalMoney
    """0: no limit."""


class ConfirmOwnLimit(Command, frozen=True, gc=False):
    """`account.limit.confirm`: the second confirmation of a raised limit, once its 24 hours have passed."""

    customer: Id
    kind: Literal["deposit", "loss", "stake"]
    period: Literal["day", "week", "month"]


class ExcludeCustomer(Command, frozen=True, gc=False):
    """`account.exclude`: a time-out or a self-exclusion: no bet, no deposit until then; it can only be made longer."""

    customer: Id
    kind: Literal["time_out", "self_exclusion"]
    until_ms: Millis


class DeskCommand(Command, frozen=True, gc=False):
    """What every command of the desk has: who gave it."""

    author: Id


class SetCustomerStatus(DeskCommand, frozen=True, gc=False):
    """`desk.customer.status`: a suspended customer places no bets; withdrawing stays possible."""

    customer: Id
    suspended: bool
    reason: Name


class VerifyCustomer(DeskCommand, frozen=True, gc=False):
    """`desk.customer.verify`: who he is was checked, or is no longer taken as checked."""

    customer: Id
    verified: bool
    reason: Name


class SetCustomerFactor(DeskCommand, frozen=True, gc=False):
    """`desk.customer.factor`: multiplies stake and liability limits for one customer (RULEBOOK 3).

    The factor of his sport goes before the one of all sports.
    """

    customer: Id
    factor_bp: Annotated[int, Meta(ge=0, le=1_000_000)]
    """x 10 000: 5 000 is half; 10 000 takes it back."""
    sport: OptionalId = ""
    """Empty: all sports."""
    phase: Literal["pre_match", "in_play"] = "pre_match"


class Ramp(Struct, frozen=True, gc=False, array_like=True):
    """`[before_ms, share]`: longer than that before the start, only this share of a limit applies."""

    before_ms: Millis
    share_bp: Share


class SetLimit(DeskCommand, frozen=True, gc=False):
    """`desk.limit.set`: a node of the limits tree (RULEBOOK 3), in minor units of the book's currency; 0: not set here.

    The node is what is named: nothing (the book), `sport`, `sport` and `competition`, `fixture`, `sport` and
    `market_type`, `fixture` and `market`, or those and `selection`. The nearest setting wins for stake, payout and
    ramp; for liability every node binds.
    """

    sport: OptionalId = ""
    competition: Name = ""
    fixture: OptionalId = ""
    market_type: OptionalId = ""
    market: OptionalId = ""
    selection: OptionalId = ""
    stake_max_m: OptionalMoney = 0
    payout_max_m: OptionalMoney = 0
    liability_max_m: OptionalMoney = 0
    ramp: Annotated[tuple[Ramp, ...], Meta(max_length=10)] = ()


class SetRate(DeskCommand, frozen=True, gc=False):
    """`desk.rate.set`: what a currency is worth; bets keep the rate at which they were taken."""

    currency: Currency
    rate: Annotated[int, Meta(ge=1, le=10**12)]
    """Minor units of the book's currency for 1 000 000 minor units of this one."""


class GrantFreeBet(DeskCommand, frozen=True, gc=False):
    """`desk.bonus.free-bet`: a token for one bet of this stake, not paid back (RULEBOOK 7)."""

    customer: Id
    token: Id
    stake_m: Money
    ends_ms: Millis
    price_min: OfferedPrice = 0
    """Of the bet, all legs together; 0: any."""


class GrantBonus(DeskCommand, frozen=True, gc=False):
    """`desk.bonus.match`: a deposit match: `bonus_m` is paid once (deposit + bonus) x `times` has been staked."""

    customer: Id
    bonus: Id
    deposit_m: Money
    bonus_m: Money
    times: Annotated[int, Meta(ge=1, le=1000)]
    ends_ms: Millis
    price_min: OfferedPrice = 0
    """Bets below it do not count; 0: all do."""


class CancelBonus(DeskCommand, frozen=True, gc=False):
    """`desk.bonus.cancel`: takes a free bet that is not staked, or a bonus that is not paid, back."""

    customer: Id
    bonus: Id
    """Of the bonus, or the token."""
    reason: Name


class AnswerReferral(DeskCommand, frozen=True, gc=False):
    """`desk.bet.answer`: the trader's word on a bet that waits for him (RULEBOOK 3).

    "accept": as asked, stake and payout maximum waived, liability limits not. "offer": another stake or other prices,
    reserved for the customer until `until_ms`. "decline": no.
    """

    bet: Id
    action: Literal["accept", "offer", "decline"]
    stake_m: OptionalMoney = 0
    """Of an offer: the whole stake, at most what was asked; 0: as asked."""
    prices: tuple[Price, ...] = ()
    """Of an offer: one for each leg; empty: the live ones."""
    until_ms: Millis = 0
    """Of an offer; 0: as long as offers usually stand (limits.offer_ms)."""
    reason: Name = ""


class DefineFixture(DeskCommand, frozen=True, gc=False):
    """`desk.fixture.define`: a fixture that no feed brings, or a correction of one."""

    fixture: Id
    name: Name
    sport: Id
    competition: Name
    start_ms: Millis
    outright_of: Name = ""
    """The competition whose winner this is: not combinable with its matches (RULEBOOK 2)."""


class NamedSelection(Struct, frozen=True, gc=False, array_like=True):
    """A selection of a market definition: `[id, name]`."""

    id: Id
    name: Name


Parts = Annotated[tuple[tuple[Id, Id], ...], Meta(max_length=20, description="[[market, selection], ...]")]


MARKET_SPECIFIERS_MAX = 20
Specifiers = Annotated[dict[Id, Id], Meta(max_length=MARKET_SPECIFIERS_MAX)]
"""Of one market: providers have four at the most."""


class DefineMarket(DeskCommand, frozen=True, gc=False):
    """`desk.market.define`: a market that the desk prices by hand. It starts suspended and without prices."""

    fixture: Id
    market: Id
    market_type: Id
    name: Name
    selections: Annotated[tuple[NamedSelection, ...], Meta(min_length=1)]
    winners: Annotated[int, Meta(ge=1, le=100)] = 1
    """How many selections win, e.g. 3 in a race's place market."""
    cut_off_ms: Millis = 0
    """When betting ends; 0: by suspension only."""
    specifiers: Specifiers = {}
    """What tells one market of its type from another, e.g. {"total": "2.5"} (core/grading/markets.py)."""
    each_way: EachWay | None = None
    delay_ms: Delay = 0
    """How long each bet on it waits (RULEBOOK 3, in-play delay)."""
    parts: Parts = ()
    """Of a bet builder: the selections of this fixture that must all win, priced together."""
    starting_price: bool = False
    """Bets at the starting price are taken: it will be told (SetStartingPrices)."""
    exchange: ExchangeTerms | None = None
    """Customers' orders are matched in it; whether, and on which ladder, cannot be changed."""


class OpenMarket(DeskCommand, frozen=True, gc=False):
    """`desk.market.open`: lifts the desk's suspension; a feed's own suspension stays."""

    fixture: Id
    market: Id


class SuspendMarket(DeskCommand, frozen=True, gc=False):
    """`desk.market.suspend`: no bets until the desk opens the market again, whatever the feed says."""

    fixture: Id
    market: Id
    lapse: bool = False
    """Something material has happened: the orders that rest in it lapse."""


class TurnInPlay(DeskCommand, frozen=True, gc=False):
    """`desk.market.in-play`: the off of an exchange market: starting prices are made, orders lapse or persist."""

    fixture: Id
    market: Id


class SetPrice(DeskCommand, frozen=True, gc=False):
    """`desk.price.set`: the desk's price for a selection, above any feed's; 0 gives it back to the feed."""

    fixture: Id
    market: Id
    selection: Id
    price: OfferedPrice


class SettleMarket(DeskCommand, frozen=True, gc=False):
    """`desk.market.settle`: results for all selections; given again, a correction: bets are recomputed."""

    fixture: Id
    market: Id
    results: tuple[Result, ...]
    reason: Name = ""


class SettleFixture(DeskCommand, frozen=True, gc=False):
    """`desk.fixture.settle`: a score; every market of the fixture that it decides gets its results from it."""

    fixture: Id
    score: Score
    reason: Name = ""


class WithdrawSelection(DeskCommand, frozen=True, gc=False):
    """`desk.selection.withdraw`: a runner is out: its bets are void, the others' before are reduced by Rule 4."""

    fixture: Id
    market: Id
    selection: Id
    price: OfferedPrice
    """At which it was offered when it was withdrawn; 0: no deduction."""
    at_ms: Millis
    """When it was withdrawn."""
    reduction_bp: Share = 0
    """Its reduction factor in exchange markets: the others' matched prices fall by it (RULEBOOK 6)."""


class NamedPrice(Struct, frozen=True, gc=False, array_like=True):
    """`[selection, price]`."""

    selection: Id
    price: Price


class SetStartingPrices(DeskCommand, frozen=True, gc=False):
    """`desk.market.starting-prices`: the prices at the off; given again, a correction."""

    fixture: Id
    market: Id
    prices: Annotated[tuple[NamedPrice, ...], Meta(min_length=1)]


class CancelMarket(DeskCommand, frozen=True, gc=False):
    """`desk.market.void`: all its bets, or those placed from `from_ms` until before `to_ms`, are void on this leg."""

    fixture: Id
    market: Id
    reason: Name
    from_ms: Millis = 0
    to_ms: Millis = 0
    """0: open-ended."""


class RollBackMarket(DeskCommand, frozen=True, gc=False):
    """`desk.market.rollback`: takes back results, cancels or withdrawals; bets stand as if they had not been."""

    fixture: Id
    market: Id
    what: Literal["results", "cancel", "withdrawals"]
    reason: Name


class VoidBet(DeskCommand, frozen=True, gc=False):
    """`desk.bet.void`: the operator cancels a bet, open or settled (palpable error), whole or one leg of it."""

    bet: Id
    reason: Name
    leg: Annotated[int, Meta(ge=-1, le=100)] = -1
    """Index of the leg; -1: the whole bet, whose stake comes back."""
