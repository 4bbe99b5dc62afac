"""Which event moves which money: double entry, the one place that says so (RULEBOOK 7, DESIGN promise 5).

`Book.apply` moves balances by it and the projector writes the ledger table from it, so the two cannot disagree. Every
transfer takes from one account what it gives to another, so every currency sums to zero at any time.

A customer has three accounts: cash, open_stakes (stakes of open bets) and reserved (payments under way). The house has
house:betting (what bets have won and lost it) and one clearing:<provider> for each payment provider.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from core.book import Book, Customer
from core.messages import events as ev

CASH: Final = "cash"
OPEN_STAKES: Final = "open_stakes"
RESERVED: Final = "reserved"
HOUSE_BETTING: Final = "house:betting"
CUSTOMER_ACCOUNTS: Final = (CASH, OPEN_STAKES, RESERVED)

Transfer = tuple[str, str, int]
"""(source, target, amount_m): `amount_m` (> 0, minor units) goes from account `source` to account `target`."""


def clearing(provider: str) -> str:
    """The house's account with a payment provider."""
    return f"clearing:{provider}"


def _settled(event: ev.BetSettled) -> list[Transfer]:
    """A bet's way from one status to another, as the difference between the two.

    An open bet's stake is the house's once it is settled, and what is paid, stake included, comes from the house; a
    correction pays the difference, in either direction; a rollback takes all of it back.
    """
    stake, delta = event.stake_m, event.paid_m - event.was_paid_m
    moves: list[Transfer] = []
    if event.was == ev.BetStatus.OPEN != event.status:
        moves.append((OPEN_STAKES, HOUSE_BETTING, stake))
    elif event.status == ev.BetStatus.OPEN != event.was:
        moves.append((HOUSE_BETTING, OPEN_STAKES, stake))
    if delta > 0:
        moves.append((HOUSE_BETTING, CASH, delta))
    elif delta < 0:
        moves.append((CASH, HOUSE_BETTING, -delta))
    return moves


def _reserve_posted(event: ev.ReservePosted) -> list[Transfer]:
    moves = [(RESERVED, clearing(event.provider), event.amount_m)]
    if event.returned_m:
        moves.append((RESERVED, CASH, event.returned_m))
    return moves


_RULES: Final[dict[type, Callable[[Any], list[Transfer]]]] = {
    ev.Deposited: lambda event: [(clearing(event.provider), CASH, event.amount_m)],
    ev.Withdrawn: lambda event: [(CASH, clearing(event.provider), event.amount_m)],
    ev.Reserved: lambda event: [(CASH, RESERVED, event.amount_m)],
    ev.ReservePosted: _reserve_posted,
    ev.ReserveVoided: lambda event: [(RESERVED, CASH, event.amount_m)],
    ev.BetAccepted: lambda event: [(CASH, OPEN_STAKES, event.stake_m)],
    ev.BetSettled: _settled,
}


def transfers(event: ev.Event) -> list[Transfer]:
    """The money an event moves, for its `customer` in its `currency`; empty for most events."""
    rule = _RULES.get(type(event))
    return rule(event) if rule else []


def post(book: Book, customer: Customer, event: ev.Event) -> None:
    """Move the money of an event between the balances."""
    for source, target, amount_m in transfers(event):
        _add(book, customer, source, -amount_m)
        _add(book, customer, target, amount_m)


def _add(book: Book, customer: Customer, account: str, amount_m: int) -> None:
    if account == CASH:
        customer.cash_m += amount_m
    elif account == OPEN_STAKES:
        customer.open_stakes_m += amount_m
    elif account == RESERVED:
        customer.reserved_m += amount_m
    else:
        key = account, customer.currency
        book.house[key] = book.house.get(key, 0) + amount_m


def sums(book: Book) -> dict[str, int]:
    """The sum of all accounts of each currency: zero, or something is wrong with us."""
    total: dict[str, int] = {}
    for (_, currency), balance_m in book.house.items():
        total[currency] = total.get(currency, 0) + balance_m
    for customer in book.customers.values():
        balance_m = customer.cash_m + customer.open_stakes_m + customer.reserved_m
        total[customer.currency] = total.get(customer.currency, 0) + balance_m
    return total
