"""Queries: questions that change nothing and leave no trace. Their answers wait, like all others, for the journal."""

from __future__ import annotations

from msgspec import Struct

from core.units import Id


class GetBet(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """`bet.get`: the state of a bet the engine still holds; older ones are answered from Postgres."""

    bet: Id


class GetAccount(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """`account.get`: a customer's balances."""

    customer: Id


class GetOdds(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """`odds.get`: the image of one market, for those who come late."""

    fixture: Id
    market: Id
