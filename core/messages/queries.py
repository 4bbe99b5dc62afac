"""Queries: questions that change nothing and leave no trace. Their answers wait, like all others, for the journal."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from core.messages.commands import Folds, Leg
from core.units import Id, Key, OptionalId


class GetBet(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """`bet.get`: the state of a bet the engine still holds; older ones are answered from Postgres."""

    bet: Id


class GetMaxStake(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """`bet.max-stake`: the stake that would be accepted now, and what limits it; fields as in PlaceBet."""

    customer: Key
    legs: Annotated[tuple[Leg, ...], Meta(min_length=1)]
    kind: OptionalId = ""
    folds: Folds = ()
    each_way: bool = False


class GetCashOut(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """`bet.cash-out.quote`: what he gets if he sells his bet, or a share of it, now; the last quote stands."""

    customer: Id
    bet: Id
    share_bp: Annotated[int, Meta(ge=1, le=10_000, description="Hundredths of a per cent.")] = 10_000


class GetOwnLimits(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """`account.limits`: what a customer has set himself, and how much of it is used."""

    customer: Id


class GetBonuses(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """`account.bonuses`: a customer's free bets and bonuses."""

    customer: Id


class GetAccount(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """`account.get`: a customer's balances."""

    customer: Id


class GetOdds(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """`odds.get`: the image of one market, for those who come late."""

    fixture: Id
    market: Id


class GetOrder(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """`order.get`: the state of an order the engine still holds; older ones are answered from Postgres."""

    order: Id


class GetOrders(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """`order.list`: a customer's orders in a market, and what he has in it."""

    customer: Id
    fixture: Id
    market: Id


class GetBook(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """`order.book`: the image of one market's order books, for those who come late."""

    fixture: Id
    market: Id
