"""What makes a market an exchange market, as desk and feeds define it (RULEBOOK 6)."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from core.units import ORDER_STAKE_MAX, OptionalId


class ExchangeTerms(Struct, frozen=True, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    """How customers' orders are matched in a market. In the book's currency, for accounts in that currency."""

    ladder: Literal["CLASSIC", "FINEST"] = "CLASSIC"
    commission_bp: Annotated[int, Meta(ge=0, le=5_000)] = 200
    """Of a customer's net winnings in the market, hundredths of a per cent."""
    cross: bool = True
    """Orders on all other selections are matched with those on one, where together they imply it."""
    passive_exempt: bool = False
    """In play, an order that would only add to the book does not wait for the market's delay."""
    starting_price: bool = False
    """Orders at the starting price are taken; they are matched with each other at the turn in-play."""
    house: OptionalId = ""
    """The customer's account for which the market's own prices are laid into the book; empty: they are not."""
    house_stake_m: Annotated[int, Meta(ge=0, le=ORDER_STAKE_MAX)] = 0
    """The most that is laid of a selection at a time, backer's stake."""
