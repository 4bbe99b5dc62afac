"""What must hold at any time, written down a second time and slowly: tests, replay and now and then the engine run it.

A failure is a bug of ours, so it is an AssertionError (STYLE 15).
"""

from __future__ import annotations

from core import ledger, liability
from core.book import Book, Customer, Market
from core.messages.events import BetStatus
from core.units import PRICE_ONE, payout_down


def check(book: Book) -> None:
    """Assert every invariant of the book. O(everything)."""
    _check_money(book)
    _check_customers(book)
    for market in book.markets():
        _check_market(market)
    for fixture in book.fixtures.values():
        assert fixture.liability_m == sum(market.liability_m for market in fixture.markets.values()), fixture.id
    assert book.liability_m == sum(fixture.liability_m for fixture in book.fixtures.values())
    for key, market in book.settling.items():
        assert market.due, key
    assert len(book.answers) == sum(len(queue) for queue in book.expiring)


def _check_money(book: Book) -> None:
    for currency, total_m in ledger.sums(book).items():
        assert total_m == 0, f"the accounts in {currency} sum to {total_m}"
    stakes_m = sum(bet.stake_m for bet in book.bets.values() if bet.status == BetStatus.OPEN)
    assert stakes_m == sum(customer.open_stakes_m for customer in book.customers.values())
    reserved_m = sum(reserve.amount_m for reserve in book.reserves.values())
    assert reserved_m == sum(customer.reserved_m for customer in book.customers.values())


def _check_customers(book: Book) -> None:
    open_stakes: dict[str, int] = {}
    winnings: dict[str, int] = {}
    count = 0
    for bet in book.bets.values():
        assert bet.status != BetStatus.OPEN or bet.paid_m == 0, bet.id
        # While a slice is under way a bet may lag behind its market's results.
        if not any(leg.selection.market.due for leg in bet.legs):
            assert [leg.running_m for leg in bet.legs] == liability.running_stakes(bet), bet.id
        if bet.status == BetStatus.OPEN:
            count += 1
            owner = bet.customer.id
            open_stakes[owner] = open_stakes.get(owner, 0) + bet.stake_m
            winnings[owner] = winnings.get(owner, 0) + bet.payout_m - bet.stake_m
    assert count == book.open_bets
    for customer in book.customers.values():
        _check_customer(customer, open_stakes.get(customer.id, 0), winnings.get(customer.id, 0))


def _check_customer(customer: Customer, open_stakes_m: int, winnings_m: int) -> None:
    assert customer.open_stakes_m == open_stakes_m, customer.id
    assert customer.liability_m == winnings_m, customer.id
    assert customer.reserved_m >= 0, customer.id


def _check_market(market: Market) -> None:
    stakes_m = 0
    payouts = dict.fromkeys(market.selections, 0)
    open_bets = 0
    for bet in market.bets.values():
        open_bets += bet.status == BetStatus.OPEN
        for leg in bet.legs:
            if leg.selection.market is market:
                stakes_m += leg.running_m
                payouts[leg.selection.id] += payout_down(leg.running_m, leg.price, PRICE_ONE)
    name = market.fixture.id, market.id
    assert market.open_bets == open_bets, name
    assert market.stakes_m == stakes_m, name
    assert payouts == {selection.id: selection.payout_m for selection in market.selections.values()}, name
    assert market.liability_m == max(0, market.top_payout() - stakes_m), name
    assert market.settled == any(selection.result is not None for selection in market.selections.values()), name
