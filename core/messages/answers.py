"""Answers: what the asker gets back, the same for ever. Told apart by `type`."""

from __future__ import annotations

from msgspec import Struct


class UsedLeg(Struct, frozen=True, gc=False):
    """The price at which a leg was taken beside the one that was asked for."""

    fixture: str
    market: str
    selection: str
    price: int
    requested: int


class Accepted(Struct, frozen=True, gc=False, tag="accepted", tag_field="type"):
    """The bet stands. `payout_m` is what is paid if every leg wins, stake included."""

    id: str
    ts_ms: int
    stake_m: int
    payout_m: int
    legs: tuple[UsedLeg, ...]


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


class BetLegState(Struct, frozen=True, gc=False):
    """A leg of a bet as it stands; `result` is "open", "won", "lost", "void" or "part" (half results, dead heats)."""

    fixture: str
    market: str
    selection: str
    price: int
    requested: int
    result: str


class BetState(Struct, frozen=True, gc=False, tag="bet", tag_field="type"):
    """A bet as it stands. `status` is the name of a BetStatus in lower case; `paid_m` what was paid out."""

    id: str
    customer: str
    ts_ms: int
    stake_m: int
    payout_m: int
    paid_m: int
    status: str
    legs: tuple[BetLegState, ...]


class AccountState(Struct, frozen=True, gc=False, tag="account", tag_field="type"):
    """A customer's balances in minor units of `currency`."""

    customer: str
    currency: str
    suspended: bool
    cash_m: int
    open_stakes_m: int
    reserved_m: int
    liability_m: int
    """What his open bets can win beyond their stakes."""


class SelectionOdds(Struct, frozen=True, gc=False, array_like=True):
    """`[selection, name, price]`; price 0: none."""

    selection: str
    name: str
    price: int


class OddsImage(Struct, frozen=True, gc=False, tag="image", tag_field="type"):
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


class SettledNotice(Struct, frozen=True, gc=False, tag="settled", tag_field="type"):
    """On `bets.<customer>`: a bet's status or payout changed."""

    id: str
    ts_ms: int
    status: str
    paid_m: int


Answer = Accepted | Rejected | Done | BetState | AccountState | OddsImage
