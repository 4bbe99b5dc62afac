"""Every way in which the engine says no: the command that provokes it, the whole answer, and which comes first."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any, NamedTuple

import msgspec
import pytest

from core.messages import commands as co
from core.messages import events as ev
from core.messages import feed as fe
from core.messages.answers import Answer, Rejected
from core.messages.commands import Leg, NamedSelection, PlaceBet
from core.messages.rejections import Rejection
from tests.core.world import NOON, World, limits, won

HOME = ("match/winner", "home", 21_500)
RED = ("final/winner", "red", 20_000)


def stage(**changed: int | str) -> World:
    """Ann has 100.00; two matches priced by hand, one by a feed; a draw that has no price."""
    world = World(**changed)
    world.customer("ann", 10_000)
    world.market("match/winner", home=21_500, draw=0, away=17_000)
    world.market("match/totals", over=20_000, under=18_000)
    world.market("final/winner", red=20_000, blue=18_000)
    world.fed_market("derby/winner", home=21_500, away=17_000)
    return world


def _ann(**fields: Any) -> Callable[[World], Answer | None]:
    """Ann's bet of 10.00 at home, but for some fields."""
    legs = fields.pop("legs", (HOME,))
    return lambda world: world.place("ann", fields.get("stake_m", 1_000), *legs, **_without(fields, "stake_m"))


def _without(fields: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if key != name}


def _after(*steps: Callable[[World], object]) -> Callable[[World], Answer | None]:
    """Several steps; the last one's answer counts."""

    def play(world: World) -> Answer | None:
        answer: Any = None
        for step in steps:
            answer = step(world)
        return answer  # type: ignore[no-any-return]

    return play


def _send(kind: type[co.Command], **fields: Any) -> Callable[[World], Answer | None]:
    return lambda world: world.command(kind, **fields)


def _market(kind: type[co.DeskCommand], **fields: Any) -> Callable[[World], Answer | None]:
    return lambda world: world.desk(kind, "match/winner", **fields)


def _wait(ms: int) -> Callable[[World], None]:
    return lambda world: world.wait(ms)


class Case(NamedTuple):
    """A reason, what provokes it, the rest of the answer, and the bound that has to be low for it."""

    reason: Rejection
    play: Callable[[World], Answer | None]
    answer: dict[str, Any]
    limits: dict[str, int] = {}  # noqa: RUF012  (never written)


FED = ("derby/winner", "home", 21_500)
HOLD = {"customer": "ann", "amount_m": 500, "provider": "bank", "hold_until_ms": NOON + 60_000}
CASES = [
    Case(Rejection.MALFORMED, _ann(id="bé1"), {"id": "", "detail": "Expected printable ASCII - at `$.id`"}),
    Case(Rejection.DUPLICATE_ID, _after(_ann(id="b1"), _ann(id="b1", stake_m=999)), {"id": "b1"}),
    Case(Rejection.EXPIRED, _ann(expires_ms=NOON - 1), {}),
    Case(Rejection.DEADLINE_TOO_FAR, _ann(expires_ms=NOON + 600_001), {"limit": NOON + 600_000}),
    Case(Rejection.BUSY, _after(_ann(), _ann()), {"limit": 1, "detail": "bets held"}, {"bets_max": 1}),
    Case(Rejection.CUSTOMER_UNKNOWN, lambda world: world.place("nobody", 1_000, HOME), {}),
    Case(
        Rejection.CUSTOMER_SUSPENDED,
        _after(_send(co.SetCustomerStatus, customer="ann", suspended=True, reason="asked"), _ann()),
        {},
    ),
    Case(Rejection.TOO_MANY_LEGS, _ann(legs=(HOME, RED)), {"limit": 1}, {"legs_max": 1}),
    Case(Rejection.LEGS_NOT_COMBINABLE, _ann(legs=(HOME, RED, ("match/totals", "over", 20_000))), {"leg": 2}),
    Case(Rejection.CURRENCY_MISMATCH, _ann(currency="GBP"), {"detail": "EUR"}),
    Case(Rejection.FIXTURE_UNKNOWN, _ann(legs=(HOME, ("friendly/winner", "home", 21_500))), {"leg": 1}),
    Case(Rejection.MARKET_UNKNOWN, _ann(legs=(("match/corners", "home", 21_500),)), {"leg": 0}),
    Case(Rejection.SELECTION_UNKNOWN, _ann(legs=(("match/winner", "nobody", 21_500),)), {"leg": 0}),
    Case(
        Rejection.MARKET_CLOSED,
        _after(lambda world: world.settle("match/winner", won("home")), _ann(legs=(RED, HOME))),
        {"leg": 1, "price": 21_500},
    ),
    Case(Rejection.MARKET_SUSPENDED, _after(_market(co.SuspendMarket), _ann()), {"leg": 0, "price": 21_500}),
    Case(
        Rejection.CUT_OFF_PASSED,
        _after(
            lambda world: world.market("race/winner", cut_off_ms=NOON + 5, dobbin=30_000),
            _wait(5),
            _ann(legs=(("race/winner", "dobbin", 30_000),)),
        ),
        {"leg": 0, "price": 30_000, "limit": NOON + 5},
    ),
    Case(Rejection.PRODUCER_DOWN, _after(_wait(20_001), _ann(legs=(FED,))), {"leg": 0, "price": 21_500}),
    Case(
        Rejection.PRICE_STALE,
        _after(_wait(5_001), _ann(legs=(FED,))),
        {"leg": 0, "price": 21_500, "limit": 5_000},
        {"price_age_max_ms": 5_000},
    ),
    Case(Rejection.SELECTION_UNPRICED, _ann(legs=(("match/winner", "draw", 30_000),)), {"leg": 0}),
    Case(Rejection.PRICE_CHANGED, _ann(legs=(("match/winner", "home", 22_000),)), {"leg": 0, "price": 21_500}),
    Case(Rejection.STAKE_TOO_SMALL, _ann(stake_m=9), {"limit": 10}),
    Case(Rejection.STAKE_TOO_LARGE, _ann(), {"limit": 700, "stake_m": 700}, {"stake_max_m": 700}),
    # RULEBOOK 3, published: stake 100 at 2.36 with maximum payout 100 net -> offer 73.52.
    Case(
        Rejection.PAYOUT_TOO_LARGE,
        _after(
            lambda world: world.price("match/winner", "home", 23_600),
            _ann(stake_m=10_000, legs=(("match/winner", "home", 23_600),)),
        ),
        {"limit": 10_000, "stake_m": 7_352},
        {"payout_max_m": 10_000},
    ),
    # 8.70 at 2.15 pays 18.70 and loses the house 10.00; 8.71 pays 18.72, one more.
    Case(
        Rejection.LIABILITY_SELECTION,
        _ann(),
        {"leg": 0, "price": 21_500, "limit": 1_000, "stake_m": 870},
        {"liability_selection_max_m": 1_000},
    ),
    Case(
        Rejection.LIABILITY_MARKET,
        _ann(),
        {"leg": 0, "price": 21_500, "limit": 1_000, "stake_m": 870},
        {"liability_market_max_m": 1_000},
    ),
    Case(
        Rejection.LIABILITY_FIXTURE,
        _after(_ann(legs=(("match/totals", "over", 20_000),)), _ann()),
        {"leg": 0, "price": 21_500, "limit": 2_000, "stake_m": 870},
        {"liability_fixture_max_m": 2_000},
    ),
    Case(
        Rejection.LIABILITY_CUSTOMER,
        _after(_ann(legs=(RED,)), _ann()),
        {"limit": 2_000, "stake_m": 870},
        {"liability_customer_max_m": 2_000},
    ),
    Case(
        Rejection.LIABILITY_BOOK,
        _after(_ann(legs=(RED,)), _ann()),
        {"limit": 2_000, "stake_m": 870},
        {"liability_book_max_m": 2_000},
    ),
    Case(Rejection.BALANCE_TOO_LOW, _after(_ann(), _ann(stake_m=9_001)), {"limit": 9_000, "stake_m": 9_000}),
    Case(Rejection.CUSTOMER_EXISTS, _send(co.OpenCustomer, customer="ann", currency="EUR"), {}),
    Case(Rejection.RESERVE_UNKNOWN, _send(co.PostReserve, customer="ann", reserve="r1", amount_m=1), {}),
    Case(
        Rejection.RESERVE_EXCEEDED,
        _after(
            _send(co.Reserve, id="r1", **HOLD),
            _send(co.PostReserve, customer="ann", reserve="r1", amount_m=501),
        ),
        {"limit": 500},
    ),
    Case(Rejection.BET_UNKNOWN, _send(co.CancelBet, customer="ann", bet="b1"), {}),
    Case(
        Rejection.BET_NOT_OPEN,
        _after(
            _ann(id="b1"),
            lambda world: world.settle("match/winner", won("home")),
            _send(co.CancelBet, customer="ann", bet="b1"),
        ),
        {},
    ),
    Case(
        Rejection.CANCEL_NOT_ALLOWED,
        _after(_ann(id="b1"), _wait(1_000), _send(co.CancelBet, customer="ann", bet="b1")),
        {"limit": NOON + 1_000},
        {"cancel_window_ms": 1_000},
    ),
    Case(
        Rejection.PRICE_NOT_OURS,
        lambda world: world.desk(
            co.DefineMarket,
            "derby/winner",
            market_type="winner",
            name="Winner",
            selections=(NamedSelection("home", "Home"),),
        ),
        {"detail": "acme.live"},
    ),
    Case(Rejection.RESULTS_INCOMPLETE, _market(co.SettleMarket, results=(won("home"),)), {"detail": "away"}),
    Case(Rejection.NOTHING_TO_CHANGE, _market(co.RollBackMarket, what="results", reason="none"), {}),
    Case(
        Rejection.TOO_MANY,
        _send(co.OpenCustomer, customer="bob", currency="EUR"),
        {"limit": 1, "detail": "customers"},
        {"customers_max": 1},
    ),
]
TRACELESS = {Rejection.MALFORMED, Rejection.BUSY, Rejection.CUSTOMER_UNKNOWN}


def test_every_reason_has_its_line_in_the_order_of_the_enum() -> None:
    assert [case.reason for case in CASES] == list(Rejection)
    assert [reason.value for reason in Rejection] == sorted(Rejection)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason.name)
def test_a_refusal_is_answered_in_full(case: Case) -> None:
    world = stage(**case.limits)
    answer = case.play(world)
    assert isinstance(answer, Rejected), answer
    expected = {"id": answer.id, **case.answer}
    assert answer == Rejected(**{"reason": case.reason.name, **expected})
    world.check()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason.name)
def test_a_refusal_changes_nothing_but_is_journalled_where_it_is_known_whose_it_is(case: Case) -> None:
    """DESIGN promise 1: malformed, of nobody, or past a bound: no trace; any other refusal is an event."""
    world = stage(**case.limits)
    case.play(world)
    last = world.events[-1]
    if case.reason in TRACELESS:
        assert not isinstance(last, ev.BetRejected | ev.CommandRejected)
    else:
        assert isinstance(last, ev.BetRejected | ev.CommandRejected)
        assert last.reason == case.reason


# Which of two comes first: a double of ann's with two faults.


class Fault(NamedTuple):
    """What makes one check fail: bounds, fields of the bet and its first leg, more legs, and things that happened."""

    limits: dict[str, int] = {}  # noqa: RUF012  (never written)
    bet: dict[str, Any] = {}  # noqa: RUF012
    first: dict[str, Any] = {}  # noqa: RUF012
    more: tuple[Leg, ...] = ()
    before: Callable[[World], object] = lambda _: None


def _withdraw_all(world: World) -> None:
    world.done(co.Withdraw, customer="ann", amount_m=world.cash("ann"), provider="bank")


FAULTS = {
    Rejection.MALFORMED: Fault(bet={"id": "é"}),
    Rejection.DUPLICATE_ID: Fault(before=lambda world: world.place("ann", 700, RED, id="the bet")),
    Rejection.EXPIRED: Fault(bet={"expires_ms": NOON - 1}),
    Rejection.DEADLINE_TOO_FAR: Fault(bet={"expires_ms": NOON + 10**9}),
    Rejection.BUSY: Fault(limits={"bets_max": 1}, before=lambda world: world.place("bob", 700, RED)),
    Rejection.CUSTOMER_UNKNOWN: Fault(bet={"customer": "nobody"}),
    Rejection.CUSTOMER_SUSPENDED: Fault(
        before=lambda world: world.done(co.SetCustomerStatus, customer="ann", suspended=True, reason="")
    ),
    Rejection.TOO_MANY_LEGS: Fault(limits={"legs_max": 1}),
    Rejection.LEGS_NOT_COMBINABLE: Fault(more=(Leg("final", "winner", "blue", 18_000),)),
    Rejection.CURRENCY_MISMATCH: Fault(bet={"currency": "GBP"}),
    Rejection.FIXTURE_UNKNOWN: Fault(first={"fixture": "nowhere"}),
    Rejection.MARKET_UNKNOWN: Fault(first={"market": "nothing"}),
    Rejection.SELECTION_UNKNOWN: Fault(first={"selection": "nobody"}),
    Rejection.MARKET_CLOSED: Fault(before=lambda world: world.settle("derby/winner", won("home"))),
    Rejection.MARKET_SUSPENDED: Fault(before=lambda world: world.desk(co.SuspendMarket, "derby/winner")),
    Rejection.CUT_OFF_PASSED: Fault(before=lambda world: world.wait(1_000)),
    Rejection.PRODUCER_DOWN: Fault(before=lambda world: world.feed(fe.Heartbeat, sequence=1_000)),
    Rejection.PRICE_STALE: Fault(limits={"price_age_max_ms": 10}, before=lambda world: world.wait(11)),
    Rejection.SELECTION_UNPRICED: Fault(first={"selection": "draw"}),
    Rejection.PRICE_CHANGED: Fault(first={"price": 30_000}),
    Rejection.STAKE_TOO_SMALL: Fault(limits={"stake_min_m": 2_000}),
    Rejection.STAKE_TOO_LARGE: Fault(limits={"stake_max_m": 900}),
    Rejection.PAYOUT_TOO_LARGE: Fault(limits={"payout_max_m": 100}),
    Rejection.LIABILITY_SELECTION: Fault(limits={"liability_selection_max_m": 100}),
    Rejection.LIABILITY_MARKET: Fault(limits={"liability_market_max_m": 100}),
    Rejection.LIABILITY_FIXTURE: Fault(limits={"liability_fixture_max_m": 100}),
    Rejection.LIABILITY_CUSTOMER: Fault(limits={"liability_customer_max_m": 100}),
    Rejection.LIABILITY_BOOK: Fault(limits={"liability_book_max_m": 100}),
    Rejection.BALANCE_TOO_LOW: Fault(before=_withdraw_all),
}


def _answer_to(faults: list[Fault]) -> Answer | None:
    """The answer to a bet with these faults; where two want the same field, the first has it."""
    world = World()
    world.customer("ann", 10_000)
    world.customer("bob", 10_000)
    world.market("final/winner", red=20_000, blue=18_000)
    message = {"cut_off_ms": NOON + 1_000}
    world.fed_market("derby/winner", message=message, home=20_000, draw=0, away=20_000)
    for fault in faults:
        fault.before(world)
    world.engine.limits = limits(**{name: value for fault in faults for name, value in fault.limits.items()})
    first = Leg("derby", "winner", "home", 20_000)
    more = tuple(leg for fault in faults for leg in fault.more)
    bet = PlaceBet("the bet", world.now + 1_000, "ann", 1_000, ())
    for fault in reversed(faults):
        first, bet = msgspec.structs.replace(first, **fault.first), msgspec.structs.replace(bet, **fault.bet)
    legs = first, Leg("final", "winner", "red", 20_000), *more
    return world.send(msgspec.structs.replace(bet, legs=legs))


def test_every_check_of_a_bet_has_its_fault_in_the_order_of_the_enum() -> None:
    assert list(FAULTS) == [reason for reason in Rejection if reason < Rejection.CUSTOMER_EXISTS]


@pytest.mark.parametrize("reason", FAULTS, ids=lambda reason: reason.name)
def test_a_bet_with_one_fault_is_refused_for_it(reason: Rejection) -> None:
    answer = _answer_to([FAULTS[reason]])
    assert isinstance(answer, Rejected)
    assert answer.reason == reason.name


def test_of_any_two_faults_the_first_in_the_order_of_the_enum_is_the_answer() -> None:
    """RULEBOOK 3: the first that fails is the answer."""
    found = {
        (first.name, second.name): getattr(_answer_to([FAULTS[first], FAULTS[second]]), "reason", "accepted")
        for first, second in combinations(FAULTS, 2)
    }
    assert {pair: reason for pair, reason in found.items() if reason != pair[0]} == {}
