"""Which event moves which money: double entry, the one place that says so (RULEBOOK 7, DESIGN promise 5).

`Book.apply` moves balances by it and the projector writes the ledger table from it, so the two cannot disagree. Every
transfer takes from one account what it gives to another, so every currency sums to zero at any time.

A customer has five accounts: cash, open_stakes (stakes of open bets), reserved (payments under way, stakes of bets that
wait), exposure (what orders and positions in exchange markets can cost him) and bonus (deposit matches that are not
paid yet). The house has house:betting (what bets have won and lost it), house:bonus (what free bets and bonuses cost
it), house:exchange (through which customers pay each other; what stays there is roundings), house:commission and one
clearing:<provider> for each payment provider.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from core.book import Book, Customer, Owed
from core.messages import events as ev

CASH: Final = "cash"
OPEN_STAKES: Final = "open_stakes"
RESERVED: Final = "reserved"
BONUS: Final = "bonus"
EXPOSURE: Final = "exposure"
HOUSE_BETTING: Final = "house:betting"
HOUSE_BONUS: Final = "house:bonus"
HOUSE_EXCHANGE: Final = "house:exchange"
HOUSE_COMMISSION: Final = "house:commission"
CUSTOMER_ACCOUNTS: Final = (CASH, OPEN_STAKES, RESERVED, BONUS, EXPOSURE)

_OPEN, _VOID = ev.BetStatus.OPEN.value, ev.BetStatus.VOID.value
Transfer = tuple[str, str, int]
"""(source, target, amount_m): `amount_m` (> 0, minor units) goes from account `source` to account `target`."""


def clearing(provider: str) -> str:
    """The house's account with a payment provider."""
    return f"clearing:{provider}"


def _accepted(event: ev.BetAccepted) -> list[Transfer]:
    """The stake, from cash, from what it had reserved while it was pending, or from the house for a free bet."""
    if event.free_bet:
        return [(HOUSE_BONUS, OPEN_STAKES, event.stake_m)]
    if not event.reserved_m:
        return [(CASH, OPEN_STAKES, event.stake_m)]
    moves = [(RESERVED, OPEN_STAKES, event.stake_m)]
    if event.reserved_m > event.stake_m:
        moves.append((RESERVED, CASH, event.reserved_m - event.stake_m))
    return moves


def _stake_lies(event: ev.BetSettled, status: int) -> str:
    """Where a bet's stake is in a status; a void one's comes back as what is paid, but for a free bet."""
    if status == _OPEN:
        return OPEN_STAKES
    return HOUSE_BONUS if event.free_bet and status == _VOID else HOUSE_BETTING


def _settled(event: ev.BetSettled) -> list[Transfer]:
    """A bet's way from one status to another, as the difference between the two.

    An open bet's stake is the house's once it is settled, and what is paid, stake included, comes from the house; a
    correction pays the difference, in either direction; a rollback takes all of it back.
    """
    delta = event.paid_m - event.was_paid_m
    source, target = _stake_lies(event, event.was), _stake_lies(event, event.status)
    moves: list[Transfer] = []
    if source != target:
        moves.append((source, target, event.stake_m))
    if delta > 0:
        moves.append((HOUSE_BETTING, CASH, delta))
    elif delta < 0:
        moves.append((CASH, HOUSE_BETTING, -delta))
    return moves


def _cashed_out(event: ev.BetCashedOut) -> list[Transfer]:
    return [(OPEN_STAKES, HOUSE_BETTING, event.stake_m), (HOUSE_BETTING, CASH, event.paid_m)]


def _bonus_ended(event: ev.BonusEnded) -> list[Transfer]:
    return _some(BONUS, CASH if event.how == "paid" else HOUSE_BONUS, event.amount_m)


def _some(source: str, target: str, amount_m: int) -> list[Transfer]:
    """A transfer, or none of nothing."""
    return [(source, target, amount_m)] if amount_m else []


def _either(source: str, target: str, amount_m: int) -> list[Transfer]:
    """A transfer, below 0 one the other way."""
    return _some(source, target, amount_m) if amount_m >= 0 else [(target, source, -amount_m)]


def _exposed(change_m: int) -> list[Transfer]:
    """A customer's exposure grows, or falls."""
    return _either(CASH, EXPOSURE, change_m)


def _exposure_changed(event: ev.OrderPending | ev.OrdersCancelled | ev.OrderReduced | ev.OrderPlaced) -> list[Transfer]:
    return _exposed(event.exposure_m)


def _batch(event: ev.OrderBatch) -> list[Transfer]:
    return [move for step in event.steps for move in transfers(step)]


def _position_settled(event: ev.PositionSettled) -> list[Transfer]:
    """What was set aside comes back; what was won or lost, and the commission on it, is posted as a difference."""
    moves = _exposed(event.exposure_m)
    won_m = event.net_m - event.was_net_m
    moves += _some(HOUSE_EXCHANGE, CASH, won_m) if won_m >= 0 else [(CASH, HOUSE_EXCHANGE, -won_m)]
    commission_m = event.commission_m - event.was_commission_m
    moves += (
        _some(CASH, HOUSE_COMMISSION, commission_m) if commission_m >= 0 else [(HOUSE_COMMISSION, CASH, -commission_m)]
    )
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
    ev.BetAccepted: _accepted,
    ev.BetRejected: lambda event: _some(RESERVED, CASH, event.reserved_m),
    ev.BetPending: lambda event: _some(CASH, RESERVED, event.reserved_m),
    ev.BetOffered: lambda event: _some(RESERVED, CASH, event.returned_m),
    ev.BetCashedOut: _cashed_out,
    ev.BetSettled: _settled,
    ev.BonusGranted: lambda event: [(HOUSE_BONUS, BONUS, event.amount_m)],
    ev.BonusEnded: _bonus_ended,
    ev.OrderPlaced: _exposure_changed,
    ev.OrderPending: _exposure_changed,
    ev.OrdersCancelled: _exposure_changed,
    ev.OrderReduced: _exposure_changed,
    ev.OrderBatch: _batch,
    ev.PositionSettled: _position_settled,
}


def transfers(event: ev.Event | ev.OrderRefused) -> list[Transfer]:
    """The money an event moves, for its `customer` in its `currency`; empty for most events."""
    rule = _RULES.get(type(event))
    return rule(event) if rule else []


def others(event: ev.Event | ev.OrderRefused) -> list[tuple[str, list[Transfer]]]:
    """The money an event moves for further customers, (customer, transfers), in the same currency: those with whose
    orders one was matched; a customer may be named more than once.
    """
    if isinstance(event, ev.OrderBatch):
        return [move for step in event.steps for move in others(step)]
    if isinstance(event, ev.OrderPlaced):
        return [(fill.customer, _exposed(fill.exposure_m)) for fill in makers(event) if fill.exposure_m]
    if isinstance(event, ev.StartingPriceMatched):
        return [(order.customer, _exposed(order.exposure_m)) for order in event.orders if order.exposure_m]
    return []


def makers(event: ev.OrderPlaced) -> tuple[ev.Fill, ...]:
    """All fills of an order, in the order in which they came."""
    if not event.crosses:
        return event.fills
    return (*event.fills, *(fill for cross in event.crosses for fill in cross.makers))


def post(book: Book, customer: Customer, event: ev.Event) -> None:
    """Move the money of an event between its customer's balances."""
    _post(book, customer, transfers(event))


def stake(book: Book, customer: Customer, event: ev.BetAccepted) -> None:
    """As `post`, without a list for what most bets are: paid at once, from cash."""
    was_m = customer.cash_m
    if event.free_bet or event.reserved_m or was_m < event.stake_m:
        post(book, customer, event)
    else:
        customer.cash_m = was_m - event.stake_m
        customer.open_stakes_m += event.stake_m


def expose(book: Book, customer: Customer, change_m: int) -> None:
    """What `_exposed` says, without a list: each order and each fill comes here."""
    was_m = customer.cash_m
    now_m = customer.cash_m = was_m - change_m
    customer.exposure_m += change_m
    if was_m < 0 or now_m < 0:
        owe(book.owed, customer, was_m)


def _post(book: Book, customer: Customer, moves: list[Transfer]) -> None:
    for source, target, amount_m in moves:
        _add(book, customer, source, -amount_m)
        _add(book, customer, target, amount_m)


def _add(book: Book, customer: Customer, account: str, amount_m: int) -> None:
    if account == CASH:
        was_m = customer.cash_m
        customer.cash_m = was_m + amount_m
        if was_m < 0 or customer.cash_m < 0:
            owe(book.owed, customer, was_m)
    elif account == OPEN_STAKES:
        customer.open_stakes_m += amount_m
    elif account == RESERVED:
        customer.reserved_m += amount_m
    elif account == BONUS:
        customer.bonus_m += amount_m
    elif account == EXPOSURE:
        customer.exposure_m += amount_m
    else:
        key = account, customer.currency
        book.house[key] = book.house.get(key, 0) + amount_m


def owe(owed: Owed, customer: Customer, was_m: int) -> None:
    """A balance is, or was, below zero: only a resettlement leaves one so, and it is reported (DESIGN promise 5)."""
    now_m, currency = customer.cash_m, customer.currency
    owed.customers += (now_m < 0) - (was_m < 0)
    owed.sums_m[currency] = owed.sums_m.get(currency, 0) + max(0, -now_m) - max(0, -was_m)


def cash_change(event: ev.Event) -> int:
    """What an event adds to the cash of its customer."""
    return sum(
        (target == CASH) * amount_m - (source == CASH) * amount_m for source, target, amount_m in transfers(event)
    )


def sums(book: Book) -> dict[str, int]:
    """The sum of all accounts of each currency: zero, or something is wrong with us."""
    total: dict[str, int] = {}
    for (_, currency), balance_m in book.house.items():
        total[currency] = total.get(currency, 0) + balance_m
    for customer in book.customers.values():
        balance_m = (
            customer.cash_m + customer.open_stakes_m + customer.reserved_m + customer.bonus_m + customer.exposure_m
        )
        total[customer.currency] = total.get(customer.currency, 0) + balance_m
    return total
