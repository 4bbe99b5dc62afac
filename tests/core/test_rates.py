"""What currencies are worth in the book's own."""

from __future__ import annotations

import pytest

from core import rates
from core.book import Book
from core.limits import Limits
from core.messages import commands as co
from core.messages.answers import Rejected
from tests.core.world import World, limits, won

HOME = ("match/winner", "home", 20_000)


@pytest.mark.parametrize(
    ("rule", "currency", "rate"),
    [
        ("the book's own is worth itself", "EUR", 1_000_000),
        ("as the desk has set it", "GBP", 1_170_000),
        ("the desk has set none", "USD", None),
    ],
)
def test_a_currency_is_worth_what_the_desk_says(rule: str, currency: str, rate: int | None) -> None:
    book = Book()
    book.rates["GBP"] = 1_170_000
    assert rates.rate_of(book, Limits(), currency) == rate, rule


def test_the_books_own_currency_cannot_have_a_rate() -> None:
    world = World()
    answer = world.command(co.SetRate, id="r1", currency="EUR", rate=2_000_000)
    assert answer == Rejected("r1", "DEFINITION_NOT_VALID", detail="EUR is the book's own currency")
    assert not world.book.rates
    world.check()


def test_a_bet_keeps_the_rate_at_which_it_was_taken() -> None:
    world = World()
    world.market("match/winner", home=20_000, away=20_000)
    world.done(co.SetRate, currency="JPY", rate=600_000)
    world.done(co.OpenCustomer, customer="yui", currency="JPY")
    world.done(co.Deposit, customer="yui", amount_m=100_000, provider="bank")
    first = world.bet("yui", 10_000, HOME)
    assert (first.rate, world.book.liability_m) == (600_000, 6_000)
    world.done(co.SetRate, currency="JPY", rate=500_000)
    assert world.book.liability_m == 6_000
    second = world.bet("yui", 10_000, HOME)
    assert (second.rate, world.book.liability_m) == (500_000, 11_000)
    world.check()
    world.settle("match/winner", won("home"))
    assert (world.book.liability_m, world.cash("yui")) == (0, 120_000)
    world.check()


def test_a_limit_is_answered_in_the_accounts_currency_and_never_passed() -> None:
    world = World(stake_max_m=1_000)
    world.market("match/winner", home=20_000, away=20_000)
    world.done(co.SetRate, currency="GBP", rate=1_170_000)
    world.done(co.OpenCustomer, customer="bob", currency="GBP")
    world.done(co.Deposit, customer="bob", amount_m=5_000, provider="bank")
    # 10.00 EUR are 8.547 GBP.
    answer = world.place("bob", 855, HOME, id="b1")
    assert answer == Rejected("b1", "STAKE_TOO_LARGE", limit=854, stake_m=854)
    world.bet("bob", 854, HOME)
    world.check()


@pytest.mark.parametrize(
    ("rule", "rate", "least_m"),
    [
        ("half as much where the currency is worth twice as much", 2_000_000, 5),
        ("rounded up where it does not come out even", 3_000_000, 4),
        ("more where it is worth less", 6_000, 1_667),
    ],
)
def test_the_least_stake_is_the_least_that_is_worth_the_books(rule: str, rate: int, least_m: int) -> None:
    world = World(stake_min_m=10)
    world.market("match/winner", home=20_000, away=20_000)
    world.done(co.SetRate, currency="GBP", rate=rate)
    world.done(co.OpenCustomer, customer="bob", currency="GBP")
    world.done(co.Deposit, customer="bob", amount_m=5_000, provider="bank")
    answer = world.place("bob", least_m - 1, HOME, id="b1")
    assert answer == Rejected("b1", "STAKE_TOO_SMALL", limit=least_m), rule
    world.bet("bob", least_m, HOME)
    world.check()


def test_a_currency_that_has_no_rate_any_more_is_told_before_the_legs_are_looked_at() -> None:
    """The book was given another currency of its own."""
    world = World()
    world.customer("ann", 10_000)
    world.engine.limits = limits(currency="GBP")
    answer = world.place("ann", 1_000, ("nowhere/winner", "home", 20_000), id="b1")
    assert answer == Rejected("b1", "CURRENCY_MISMATCH", detail="GBP")
