"""Commands: what gateways, cashiers and the desk may ask of the engine, in the imperative.

Each has an `id` that makes it happen once, and a deadline `expires_ms` (at most the retention ahead; DESIGN promise 4).
Unknown fields are refused: a misspelt option must not silently become the default.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Literal

from msgspec import Meta, Struct

from core.messages.results import Result
from core.units import Currency, Id, Key, Millis, Money, Name, OfferedPrice, OptionalCurrency, Price


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


class Leg(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """One selection of a bet at the price the customer was shown."""

    fixture: Key
    market: Key
    selection: Key
    price: Price


class PlaceBet(Command, frozen=True, gc=False):
    """`bet.place`: one line over all its legs, a single or an n-fold. The id is the bet's own from then on.

    Answered by Accepted or Rejected. `currency`, where given, must be the account's.
    """

    customer: Key
    stake_m: Money
    legs: Annotated[tuple[Leg, ...], Meta(min_length=1)]
    policy: PricePolicy = PricePolicy.BETTER
    tolerance_bp: Annotated[int, Meta(ge=0, le=10_000)] = 0
    currency: OptionalCurrency = ""


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


class DeskCommand(Command, frozen=True, gc=False):
    """What every command of the desk has: who gave it."""

    author: Id


class SetCustomerStatus(DeskCommand, frozen=True, gc=False):
    """`desk.customer.status`: a suspended customer places no bets; withdrawing stays possible."""

    customer: Id
    suspended: bool
    reason: Name


class DefineFixture(DeskCommand, frozen=True, gc=False):
    """`desk.fixture.define`: a fixture that no feed brings, or a correction of one."""

    fixture: Id
    name: Name
    sport: Id
    competition: Name
    start_ms: Millis


class NamedSelection(Struct, frozen=True, gc=False, array_like=True):
    """A selection of a market definition: `[id, name]`."""

    id: Id
    name: Name


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


class OpenMarket(DeskCommand, frozen=True, gc=False):
    """`desk.market.open`: lifts the desk's suspension; a feed's own suspension stays."""

    fixture: Id
    market: Id


class SuspendMarket(DeskCommand, frozen=True, gc=False):
    """`desk.market.suspend`: no bets until the desk opens the market again, whatever the feed says."""

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


class CancelMarket(DeskCommand, frozen=True, gc=False):
    """`desk.market.void`: all its bets, or those placed from `from_ms` until before `to_ms`, are void on this leg."""

    fixture: Id
    market: Id
    reason: Name
    from_ms: Millis = 0
    to_ms: Millis = 0
    """0: open-ended."""


class RollBackMarket(DeskCommand, frozen=True, gc=False):
    """`desk.market.rollback`: takes back the results or the cancels; bets are open again until new ones come."""

    fixture: Id
    market: Id
    what: Literal["results", "cancel"]
    reason: Name


class VoidBet(DeskCommand, frozen=True, gc=False):
    """`desk.bet.void`: the operator cancels a bet, open or settled (palpable error); the stake comes back."""

    bet: Id
    reason: Name
