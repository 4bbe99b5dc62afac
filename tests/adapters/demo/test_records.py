from __future__ import annotations

import itertools

import pytest
from msgspec.structs import replace

from adapters.demo.customers import Customer
from adapters.demo.records import Notice, Placed, Records
from adapters.demo.report import Line, Report
from core.messages.answers import (
    Accepted,
    Answer,
    CashedOutNotice,
    OfferNotice,
    Pending,
    Rejected,
    SettledNotice,
    UsedLeg,
)
from core.messages.commands import Leg, PlaceBet

BET = PlaceBet("b", 0, "demo-0001", 1_000, (Leg("f", "m", "h", 21_500),), currency="EUR")
ACCEPTED = Accepted("b", 0, 1_000, 2_150, (UsedLeg("f", "m", "h", 21_500, 21_500),))
OFFER = OfferNotice("b", 0, 400, 800, (20_000,), 0)
TAKEN = Accepted("b", 0, 400, 800, (UsedLeg("f", "m", "h", 20_000, 21_500),))
DELAYED, REFERRED = Pending("b", 0, "delayed", 0), Pending("b", 0, "referred", 0)
WON, LOST, OPEN = (SettledNotice("b", 0, *how) for how in (("won", 2_150), ("lost", 0), ("open", 0)))


class Front:
    """A customer with 10 000 and the records of his bets."""

    def __init__(self) -> None:
        self.customer = Customer(1, 7, "r1", "EUR")
        self.customer.cash_m = 10_000
        self.seen = Report()
        self.lines: list[Line] = []
        self.records = Records(self.seen, self.lines.append)

    def place(self, bet: PlaceBet = BET) -> Placed:
        return self.records.ask(self.customer, bet, "Home 2.15", builder=False)

    def hear(self, placed: Placed, *heard: Answer | Notice) -> Report:
        """The first answer, then notices."""
        self.records.answer(placed, heard[0])  # type: ignore[arg-type]
        for notice in heard[1:]:
            self.records.notice(notice)  # type: ignore[arg-type]
        self.records.report()
        return self.seen


@pytest.mark.parametrize(
    ("heard", "cash_m", "answers", "waited"),
    [
        ((ACCEPTED,), 9_000, {"accepted": 1}, {}),
        ((Rejected("b", "PRICE_CHANGED"),), 10_000, {"PRICE_CHANGED": 1}, {}),
        ((DELAYED,), 9_000, {}, {"delayed": 1}),
        ((DELAYED, ACCEPTED), 9_000, {"accepted": 1}, {"delayed": 1}),
        ((DELAYED, Rejected("b", "MARKET_SUSPENDED")), 10_000, {"MARKET_SUSPENDED": 1}, {"delayed": 1}),
        ((REFERRED, OFFER), 9_600, {}, {"referred": 1, "offered": 1}),
        ((REFERRED, OFFER, TAKEN), 9_600, {"accepted": 1}, {"referred": 1, "offered": 1}),
        (
            (REFERRED, OFFER, Rejected("b", "OFFER_EXPIRED")),
            10_000,
            {"OFFER_EXPIRED": 1},
            {"referred": 1, "offered": 1},
        ),
        ((ACCEPTED, WON), 11_150, {"accepted": 1}, {}),
        ((ACCEPTED, WON, LOST), 9_000, {"accepted": 1}, {}),
        ((ACCEPTED, WON, OPEN), 9_000, {"accepted": 1}, {}),
        ((ACCEPTED, CashedOutNotice("b", 0, "cashed_out", 1_000, 1_100)), 10_100, {"accepted": 1}, {}),
    ],
)
def test_every_step_is_counted_once(
    heard: tuple[Answer | Notice, ...], cash_m: int, answers: dict[str, int], waited: dict[str, int]
) -> None:
    front = Front()
    seen = front.hear(front.place(), *heard)
    assert front.customer.cash_m == cash_m
    assert seen.answers == answers
    assert seen.waited == waited
    assert seen.pending == (0 if answers else 1)
    assert sum(seen.answers.values()) + seen.pending == seen.bets == 1
    assert not seen.faults


@pytest.mark.parametrize(
    ("stories", "settled", "paid_m", "sold_m"),
    [
        ((WON,), 1, 2_150, 0),
        ((WON, LOST), 1, 0, 0),
        ((WON, OPEN), 0, 0, 0),
        ((WON, OPEN, WON), 1, 2_150, 0),
        ((CashedOutNotice("b", 0, "open", 400, 500), WON), 1, 2_150, 500),
        ((CashedOutNotice("b", 0, "cashed_out", 1_000, 1_200),), 1, 0, 1_200),
    ],
)
def test_what_is_paid_is_what_stands_at_the_end(
    stories: tuple[Notice, ...], settled: int, paid_m: int, sold_m: int
) -> None:
    front = Front()
    seen = front.hear(front.place(), ACCEPTED, *stories)
    assert (seen.settled, seen.paid_m.get("EUR", 0), seen.sold_m.get("EUR", 0)) == (settled, paid_m, sold_m)


def test_a_notice_that_overtakes_the_answer_is_counted_all_the_same() -> None:
    front = Front()
    placed = front.place()
    front.records.notice(ACCEPTED)
    seen = front.hear(placed, DELAYED)
    assert (seen.bets, seen.answers, seen.waited, seen.pending) == (1, {"accepted": 1}, {"delayed": 1}, 0)
    assert front.customer.cash_m == 9_000


@pytest.mark.parametrize("early", [(WON,), (LOST, WON), (WON, LOST, WON)])
def test_a_settlement_that_overtakes_the_answer_counts_after_it(early: tuple[Notice, ...]) -> None:
    front = Front()
    placed = front.place()
    for notice in early:
        front.records.notice(notice)
    seen = front.hear(placed, ACCEPTED)
    assert (seen.answers, seen.settled, seen.pending) == ({"accepted": 1}, 1, 0)
    assert (seen.staked_m, seen.paid_m) == ({"EUR": 1_000}, {"EUR": 2_150})
    assert front.customer.cash_m == 10_000 - 1_000 + 2_150


def test_a_free_bet_takes_no_cash() -> None:
    front = Front()
    free = replace(BET, free_bet="token")
    seen = front.hear(front.place(free), DELAYED, replace(ACCEPTED, payout_m=1_150))
    assert (front.customer.cash_m, seen.free_bets, seen.faults) == (10_000, 1, [])


def test_an_answer_that_is_wrong_is_a_fault() -> None:
    front = Front()
    seen = front.hear(front.place(), replace(ACCEPTED, payout_m=2_151))
    assert seen.faults == ["b: another payout than stake times prices"]


def test_bets_are_counted_by_kind() -> None:
    front = Front()
    numbers = itertools.count()
    for legs, count in ((1, 3), (2, 1)):
        for _ in range(count):
            asked = tuple(Leg(f"f{place}", "m", "h", 10_001) for place in range(legs))
            bet = replace(BET, id=f"b{next(numbers)}", legs=asked)
            used = tuple(UsedLeg(leg.fixture, "m", "h", 10_001, 10_001) for leg in asked)
            front.hear(front.place(bet), Accepted(bet.id, 0, 1_000, 1_000, used))
    assert front.seen.by_kind == {"single": 3, "double": 1}
    assert not front.seen.faults


def test_what_is_told_of_others_bets_changes_nothing() -> None:
    front = Front()
    assert front.records.notice(replace(WON, id="another")) is None
    assert not front.lines
