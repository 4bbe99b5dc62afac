"""The invariants find what is planted."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from core import invariants
from core.book import Book
from tests.core.world import NOON, World


@pytest.fixture
def book() -> Book:
    world = World(stake_max_m=1_000)
    world.customer("ann", 10_000)
    world.customer("bob", 10_000)
    world.market("match/winner", home=20_000, away=18_000)
    world.bet("ann", 1_000, ("match/winner", "home", 20_000), id="b1")
    world.waiting("bob", 1_500, ("match/winner", "away", 18_000), id="offered", refer=True)
    world.judge("offered", "offer", stake_m=1_200)
    world.waiting("bob", 2_000, ("match/winner", "away", 18_000), id="referred", refer=True)
    world.check()
    return world.book


def _market(book: Book, **changed: int) -> None:
    for name, value in changed.items():
        setattr(book.fixtures["match"].markets["winner"], name, value)


def _customer(book: Book, **changed: int) -> None:
    for name, value in changed.items():
        setattr(book.customers["ann"], name, value)


def _bet(book: Book, **changed: int) -> None:
    for name, value in changed.items():
        setattr(book.bets["b1"], name, value)


def _waiting(book: Book, name: str, **changed: object) -> None:
    for field, value in changed.items():
        setattr(book.pending[name], field, value)


@pytest.mark.parametrize(
    ("rule", "plant"),
    [
        ("money from nowhere", lambda book: _customer(book, cash_m=9_001)),
        ("money that went nowhere", lambda book: book.house.update({("house:betting", "EUR"): -1})),
        ("stakes that are no bet's", lambda book: _customer(book, cash_m=8_999, open_stakes_m=1_001)),
        ("a reserve that is gone", lambda book: _customer(book, cash_m=8_999, reserved_m=1)),
        ("a customer's liability", lambda book: _customer(book, liability_m=1)),
        ("a market's stakes", lambda book: _market(book, stakes_m=999)),
        ("a market's liability", lambda book: _market(book, liability_m=999)),
        ("a market's open bets", lambda book: _market(book, open_bets=0)),
        ("a result that is none", lambda book: _market(book, settled=1)),
        ("a fixture's liability", lambda book: setattr(book.fixtures["match"], "liability_m", 1)),
        ("the book's liability", lambda book: setattr(book, "liability_m", 1)),
        ("the count of open bets", lambda book: setattr(book, "open_bets", 2)),
        ("an open bet that is paid", lambda book: _bet(book, paid_m=1)),
        ("a bet that is lost without a result", lambda book: _bet(book, status=2)),
        ("what runs on a leg", lambda book: setattr(book.bets["b1"].legs[0], "running_m", 999)),
        (
            "a market that waits for nothing",
            lambda book: book.settling.update({("match", "winner"): book.fixtures["match"].markets["winner"]}),
        ),
        ("an answer out of its queue", lambda book: book.expiring[False].pop()),
        ("a bet that waits without a turn", lambda book: book.deciding.pop()),
        ("a bet that waits for another time", lambda book: _waiting(book, "referred", until_ms=NOON)),
        ("a reserve of another bet that waits", lambda book: _waiting(book, "referred", reserved_m=2_001)),
        ("an offer of another stake", lambda book: _waiting(book, "offered", reserved_m=1_201)),
        ("an offer before its stage", lambda book: _waiting(book, "offered", stage=1)),
        ("an offer that is not counted", lambda book: _waiting(book, "offered", offered=None)),
        ("an offer that was taken before it was made", lambda book: _waiting(book, "referred", taken=True, stage=0)),
        ("a bet that waits and is taken", lambda book: book.bets.update(referred=book.bets["b1"])),
        ("the count of bets that wait", lambda book: _customer(book, pending=1)),
    ],
)
def test_a_planted_fault_is_found(book: Book, rule: str, plant: Callable[[Book], object]) -> None:
    plant(book)
    with pytest.raises(AssertionError):
        invariants.check(book)
    assert rule
