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
from core.messages.answers import Accepted, Answer, Rejected
from core.messages.commands import Leg, NamedSelection, PlaceBet
from core.messages.rejections import Rejection
from core.messages.results import PlaceTerms
from tests.core.exchange.trading import exchange, order
from tests.core.world import NOON, World, leg, limits, refused, won

HOME = ("match/winner", "home", 21_500)
RED = ("final/winner", "red", 20_000)
PLACED = leg("match/winner", "home", 21_500, place=PlaceTerms(3, 1, 5))
AT_THE_OFF = leg("plate/winner", "silver", 20_000, starting_price=True)


DAY = 86_400_000


class Stage(World):
    """A world that can repeat what was said last."""

    last: Any

    def send(self, message: Any) -> Answer | None:
        self.last = message
        return super().send(message)


def stage(**changed: int | str) -> Stage:
    """Ann has 100.00; two matches priced by hand, one by a feed; a draw that has no price; a cup whose bets wait."""
    world = Stage(**changed)
    world.customer("ann", 10_000)
    world.market("match/winner", home=21_500, draw=0, away=17_000)
    world.market("match/totals", over=20_000, under=18_000)
    world.market("final/winner", red=20_000, blue=18_000)
    world.defined("cup/winner", {"gold": 20_000}, delay_ms=5_000)
    world.defined("plate/winner", {"silver": 20_000}, starting_price=False)
    world.fed_market("derby/winner", message={"starting_price": False}, home=21_500, away=17_000)
    exchange(world, "match/exchange", ("home", "away"))
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


def _send(kind: type[co.Command], /, **fields: Any) -> Callable[[World], Answer | None]:
    return lambda world: world.command(kind, **fields)


def _market(kind: type[co.DeskCommand], **fields: Any) -> Callable[[World], Answer | None]:
    return lambda world: world.desk(kind, "match/winner", **fields)


def _back(price: int, path: str = "match/exchange", **fields: Any) -> Callable[[World], Answer | None]:
    """Ann's order to back home for 10.00."""
    return lambda world: order(world, "ann", "home", "back", price, 1_000, path, **fields)


def _wait(ms: int) -> Callable[[World], None]:
    return lambda world: world.wait(ms)


def _judge(action: str, **fields: Any) -> Callable[[World], Answer | None]:
    return lambda world: world.judge("b1", action, **fields)


def _tick(world: World) -> None:
    world.tick()


def _own(kind: str, limit_m: int) -> Callable[[World], Answer | None]:
    return _send(co.SetOwnLimit, customer="ann", kind=kind, period="day", limit_m=limit_m)


def _exclude(kind: str, until_ms: int) -> Callable[[World], Answer | None]:
    return _send(co.ExcludeCustomer, customer="ann", kind=kind, until_ms=until_ms)


def _level(**fields: Any) -> Callable[[World], Answer | None]:
    return _send(co.SetLimit, sport="football", **fields)


class Case(NamedTuple):
    """A reason, what provokes it, the rest of the answer, and the bound that has to be low for it."""

    reason: Rejection
    play: Callable[[World], Answer | None]
    answer: dict[str, Any]
    limits: dict[str, int] = {}  # noqa: RUF012  (never written)


FED = ("derby/winner", "home", 21_500)
OVER = ("match/totals", "over", 20_000)
GOLD = ("cup/winner", "gold", 20_000)
REFERRED = _ann(id="b1", refer=True)
"""A bet of 10.00 for a trader, where a stake may be 7.00; sent again, it is answered by what became of it."""
SMALL = {"stake_max_m": 700}
FREE = {"customer": "ann", "token": "free", "stake_m": 700, "ends_ms": NOON + DAY, "price_min": 15_000}
HOLD = {"customer": "ann", "amount_m": 500, "provider": "bank", "hold_until_ms": NOON + 60_000}
CASES = [
    Case(Rejection.MALFORMED, _ann(id="bé1"), {"id": "", "detail": "Expected printable ASCII - at `$.id`"}),
    Case(Rejection.DUPLICATE_ID, _after(_ann(id="b1"), _ann(id="b1", stake_m=999)), {"id": "b1"}),
    Case(Rejection.EXPIRED, _ann(expires_ms=NOON - 1), {}),
    Case(Rejection.DEADLINE_TOO_FAR, _ann(expires_ms=NOON + 600_001), {"limit": NOON + 600_000}),
    Case(Rejection.BUSY, _after(_ann(), _ann()), {"limit": 1, "detail": "bets held"}, {"bets_max": 1}),
    Case(Rejection.CUSTOMER_UNKNOWN, lambda world: world.place("nobody", 1_000, HOME), {}),
    Case(Rejection.CUSTOMER_NOT_VERIFIED, _ann(), {}, {"verified_only": True}),
    Case(
        Rejection.CUSTOMER_SUSPENDED,
        _after(_send(co.SetCustomerStatus, customer="ann", suspended=True, reason="asked"), _ann()),
        {},
    ),
    Case(
        Rejection.SELF_EXCLUDED,
        _after(_exclude("self_exclusion", NOON + DAY), _ann()),
        {"limit": NOON + DAY},
    ),
    Case(Rejection.TIMED_OUT, _after(_exclude("time_out", NOON + DAY), _ann()), {"limit": NOON + DAY}),
    Case(Rejection.TOO_MANY_LEGS, _ann(legs=(HOME, RED)), {"limit": 1}, {"legs_max": 1}),
    Case(Rejection.LEGS_NOT_COMBINABLE, _ann(legs=(HOME, RED, OVER)), {"leg": 2}),
    Case(Rejection.KIND_UNKNOWN, _ann(legs=(HOME, RED), kind="trixie"), {"detail": "trixie of 2 fixtures"}),
    Case(
        Rejection.TOO_MANY_COMBINATIONS,
        _ann(legs=(HOME, RED, FED), folds=(1, 2)),
        {"limit": 5},
        {"lines_max": 5},
    ),
    Case(Rejection.LINES_MISMATCH, _ann(legs=(HOME, RED), folds=(1, 2), lines=4), {"limit": 3}),
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
    Case(Rejection.EACH_WAY_NOT_OFFERED, _ann(each_way=True), {"leg": 0, "price": 21_500}),
    Case(
        Rejection.STARTING_PRICE_NOT_OFFERED,
        lambda world: world.command(co.PlaceBet, customer="ann", stake_m=1_000, legs=(AT_THE_OFF,)),
        {"leg": 0, "price": 20_000},
    ),
    Case(Rejection.EXCHANGE_NOT_OFFERED, _back(20_000, "match/winner"), {}),
    Case(
        Rejection.MARKET_VERSION_CHANGED,
        _after(
            _back(20_000, version=1),
            lambda world: world.desk(co.TurnInPlay, "match/exchange"),
            lambda world: world.run(),
            _back(20_000, version=1),
        ),
        {"limit": 2},
    ),
    Case(Rejection.PRICE_NOT_ON_LADDER, _back(20_100), {"price": 20_000, "limit": 20_200}),
    Case(Rejection.PRICE_CHANGED, _ann(legs=(("match/winner", "home", 22_000),)), {"leg": 0, "price": 21_500}),
    Case(
        Rejection.PLACE_TERMS_CHANGED,
        lambda world: world.command(co.PlaceBet, customer="ann", stake_m=1_000, legs=(PLACED,)),
        {"leg": 0, "price": 21_500, "detail": "win only"},
    ),
    Case(Rejection.STAKE_TOO_SMALL, _ann(stake_m=9), {"limit": 10}),
    Case(Rejection.OWN_STAKE_LIMIT, _after(_own("stake", 700), _ann()), {"limit": 700, "stake_m": 700}),
    Case(Rejection.OWN_LOSS_LIMIT, _after(_own("loss", 700), _ann()), {"limit": 700, "stake_m": 700}),
    Case(Rejection.TOO_FAST, _after(_ann(), _ann()), {"limit": NOON + 10_000}, {"velocity_bets_max": 1}),
    Case(Rejection.STAKE_TOO_LARGE, _ann(), {"limit": 700, "stake_m": 700}, SMALL),
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
        Rejection.LIABILITY_MARKET_TYPE,
        _after(_level(market_type="winner", liability_max_m=2_000), _ann(legs=(RED,)), _ann()),
        {"leg": 0, "price": 21_500, "limit": 2_000, "stake_m": 870},
    ),
    Case(
        Rejection.LIABILITY_FIXTURE,
        _after(_ann(legs=(OVER,)), _ann()),
        {"leg": 0, "price": 21_500, "limit": 2_000, "stake_m": 870},
        {"liability_fixture_max_m": 2_000},
    ),
    Case(
        Rejection.LIABILITY_COMPETITION,
        _after(_level(competition="cup", liability_max_m=2_000), _ann(legs=(OVER,)), _ann()),
        {"leg": 0, "price": 21_500, "limit": 2_000, "stake_m": 870},
    ),
    Case(
        Rejection.LIABILITY_SPORT,
        _after(_level(liability_max_m=2_000), _ann(legs=(RED,)), _ann()),
        {"leg": 0, "price": 21_500, "limit": 2_000, "stake_m": 870},
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
    Case(Rejection.FREE_BET_UNKNOWN, _ann(free_bet="free"), {}),
    Case(
        Rejection.FREE_BET_MISMATCH,
        _after(_send(co.GrantFreeBet, **FREE), _ann(free_bet="free")),
        {"price": 15_000, "stake_m": 700},
    ),
    Case(
        Rejection.TOO_MANY_PENDING,
        _after(_ann(legs=(GOLD,)), _ann(legs=(HOME, GOLD))),
        {"limit": 1},
        {"pending_customer_max": 1},
    ),
    Case(
        Rejection.REFERRAL_DECLINED,
        _after(REFERRED, _judge("decline", reason="arbitrage"), REFERRED),
        {"id": "b1", "detail": "arbitrage"},
        SMALL,
    ),
    Case(Rejection.REFERRAL_EXPIRED, _after(REFERRED, _wait(60_000), _tick, REFERRED), {"id": "b1"}, SMALL),
    Case(
        Rejection.OFFER_DECLINED,
        _after(REFERRED, _judge("offer"), lambda world: world.decline("ann", "b1"), REFERRED),
        {"id": "b1"},
        SMALL,
    ),
    Case(
        Rejection.OFFER_EXPIRED,
        _after(REFERRED, _judge("offer"), _wait(30_000), _tick, REFERRED),
        {"id": "b1"},
        SMALL,
    ),
    Case(Rejection.CUSTOMER_EXISTS, _send(co.OpenCustomer, customer="ann", currency="EUR"), {}),
    Case(Rejection.CURRENCY_UNKNOWN, _send(co.OpenCustomer, customer="bob", currency="GBP"), {"detail": "GBP"}),
    Case(Rejection.RESERVE_UNKNOWN, _send(co.PostReserve, customer="ann", reserve="r1", amount_m=1), {}),
    Case(
        Rejection.RESERVE_EXCEEDED,
        _after(
            _send(co.Reserve, id="r1", **HOLD),
            _send(co.PostReserve, customer="ann", reserve="r1", amount_m=501),
        ),
        {"limit": 500},
    ),
    Case(
        Rejection.OWN_DEPOSIT_LIMIT,
        _after(_own("deposit", 500), _send(co.Deposit, customer="ann", amount_m=501, provider="bank")),
        {"limit": 500},
    ),
    Case(
        Rejection.OWN_LIMIT_NOT_DUE,
        _after(
            _own("stake", 500),
            _own("stake", 900),
            _send(co.ConfirmOwnLimit, customer="ann", kind="stake", period="day"),
        ),
        {"limit": NOON + DAY},
    ),
    Case(
        Rejection.EXCLUSION_STANDS,
        _after(_exclude("time_out", NOON + DAY), _exclude("time_out", NOON + DAY - 1)),
        {"limit": NOON + DAY},
    ),
    Case(Rejection.BONUS_EXISTS, _after(_send(co.GrantFreeBet, **FREE), _send(co.GrantFreeBet, **FREE)), {}),
    Case(Rejection.BONUS_UNKNOWN, _send(co.CancelBonus, customer="ann", bonus="free", reason="asked"), {}),
    Case(
        Rejection.ORDER_UNKNOWN,
        _after(
            _back(20_000, id="o1"),
            _send(co.CancelOrder, customer="ann", order="o1"),
            _send(co.CancelOrder, customer="ann", order="o1"),
        ),
        {},
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
    Case(Rejection.BET_NOT_PENDING, _judge("accept"), {}),
    Case(
        Rejection.OFFER_NOT_VALID,
        _after(REFERRED, _judge("offer", stake_m=1_001)),
        {"limit": 1_000, "detail": "the stake is above what was asked"},
        SMALL,
    ),
    Case(
        Rejection.CASH_OUT_NOT_OFFERED,
        _after(
            _send(co.GrantFreeBet, **FREE),
            _ann(id="b1", stake_m=700, free_bet="free"),
            _send(co.CashOut, customer="ann", bet="b1", offer_m=1),
        ),
        {"detail": "a free bet"},
    ),
    Case(
        Rejection.CASH_OUT_CHANGED,
        _after(_ann(id="b1"), _send(co.CashOut, customer="ann", bet="b1", offer_m=1)),
        {},
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
        Rejection.DEFINITION_NOT_VALID,
        _send(co.SetRate, currency="EUR", rate=1),
        {"detail": "EUR is the book's own currency"},
    ),
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


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason.name)
def test_a_refusal_is_the_same_when_it_is_asked_for_again(case: Case) -> None:
    """DESIGN promise 4, with all its fields; what left no trace is decided anew, and refused anew."""
    world = stage(**case.limits)
    assert case.play(world) == world.send(world.last)


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


def _bet(name: str, *legs: tuple[str, str, int], stake_m: int = 100) -> Callable[[World], object]:
    return lambda world: world.place(name, stake_m, *legs)


FAULTS = {
    Rejection.MALFORMED: Fault(bet={"id": "é"}),
    Rejection.DUPLICATE_ID: Fault(before=lambda world: world.place("ann", 700, RED, id="the bet")),
    Rejection.EXPIRED: Fault(bet={"expires_ms": NOON - 1}),
    Rejection.DEADLINE_TOO_FAR: Fault(bet={"expires_ms": NOON + 10**9}),
    Rejection.BUSY: Fault(limits={"bets_max": 1}, before=lambda world: world.place("bob", 700, RED)),
    Rejection.CUSTOMER_UNKNOWN: Fault(bet={"customer": "nobody"}),
    Rejection.CUSTOMER_NOT_VERIFIED: Fault(limits={"verified_only": True}),
    Rejection.CUSTOMER_SUSPENDED: Fault(
        before=lambda world: world.done(co.SetCustomerStatus, customer="ann", suspended=True, reason="")
    ),
    Rejection.SELF_EXCLUDED: Fault(before=_exclude("self_exclusion", NOON + DAY)),
    Rejection.TIMED_OUT: Fault(before=_exclude("time_out", NOON + DAY)),
    Rejection.TOO_MANY_LEGS: Fault(limits={"legs_max": 1}),
    # The same selection twice does not go together in a system either.
    Rejection.LEGS_NOT_COMBINABLE: Fault(more=(Leg("final", "winner", "red", 20_000),)),
    Rejection.KIND_UNKNOWN: Fault(bet={"kind": "quadrella"}),
    Rejection.TOO_MANY_COMBINATIONS: Fault(limits={"lines_max": 2}, bet={"folds": (1, 2)}),
    Rejection.LINES_MISMATCH: Fault(bet={"lines": 7}),
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
    Rejection.EACH_WAY_NOT_OFFERED: Fault(bet={"each_way": True}),
    Rejection.STARTING_PRICE_NOT_OFFERED: Fault(first={"starting_price": True}),
    Rejection.PRICE_CHANGED: Fault(first={"price": 30_000}),
    Rejection.PLACE_TERMS_CHANGED: Fault(first={"place": PlaceTerms(3, 1, 5)}),
    Rejection.STAKE_TOO_SMALL: Fault(limits={"stake_min_m": 2_000}),
    Rejection.OWN_STAKE_LIMIT: Fault(before=_own("stake", 900)),
    Rejection.OWN_LOSS_LIMIT: Fault(before=_own("loss", 900)),
    Rejection.TOO_FAST: Fault(limits={"velocity_bets_max": 1}, before=_bet("ann", RED)),
    Rejection.STAKE_TOO_LARGE: Fault(limits={"stake_max_m": 900}),
    Rejection.PAYOUT_TOO_LARGE: Fault(limits={"payout_max_m": 100}),
    Rejection.LIABILITY_SELECTION: Fault(limits={"liability_selection_max_m": 100}),
    Rejection.LIABILITY_MARKET: Fault(limits={"liability_market_max_m": 100}),
    Rejection.LIABILITY_MARKET_TYPE: Fault(before=_level(market_type="winner", liability_max_m=100)),
    Rejection.LIABILITY_FIXTURE: Fault(limits={"liability_fixture_max_m": 100}),
    Rejection.LIABILITY_COMPETITION: Fault(before=_level(competition="cup", liability_max_m=100)),
    Rejection.LIABILITY_SPORT: Fault(before=_level(liability_max_m=100)),
    Rejection.LIABILITY_CUSTOMER: Fault(limits={"liability_customer_max_m": 100}),
    Rejection.LIABILITY_BOOK: Fault(limits={"liability_book_max_m": 100}),
    Rejection.BALANCE_TOO_LOW: Fault(before=_withdraw_all),
    Rejection.FREE_BET_UNKNOWN: Fault(bet={"free_bet": "nothing"}),
    Rejection.FREE_BET_MISMATCH: Fault(bet={"free_bet": "free"}, before=_send(co.GrantFreeBet, **FREE)),
    Rejection.TOO_MANY_PENDING: Fault(
        limits={"pending_customer_max": 1}, more=(Leg("cup", "winner", "gold", 20_000),), before=_bet("ann", GOLD)
    ),
}
ENDS_OF_WAITING = (
    Rejection.REFERRAL_DECLINED,
    Rejection.REFERRAL_EXPIRED,
    Rejection.OFFER_DECLINED,
    Rejection.OFFER_EXPIRED,
)
"""No faults of a bet: somebody's word, or his silence, on one that waits (tests/core/betting/test_pending.py)."""
OF_ORDERS = (Rejection.EXCHANGE_NOT_OFFERED, Rejection.MARKET_VERSION_CHANGED, Rejection.PRICE_NOT_ON_LADDER)
"""No faults of a bet: those of an order stand in tests/core/exchange/test_orders.py."""
OWN_MONEY = (Rejection.OWN_STAKE_LIMIT, Rejection.OWN_LOSS_LIMIT, Rejection.BALANCE_TOO_LOW)
FREE_BETS = (Rejection.FREE_BET_UNKNOWN, Rejection.FREE_BET_MISMATCH)
APART = {(own, free) for own in OWN_MONEY for free in FREE_BETS}
"""A stake is cash or a free bet, never both (RULEBOOK 2): what concerns the one is no fault of the other."""


def _answer_to(faults: list[Fault]) -> Answer | None:
    """The answer to a bet with these faults; where two want the same field, the first has it."""
    world = World()
    world.customer("ann", 10_000)
    world.customer("bob", 10_000)
    world.market("final/winner", red=20_000, blue=18_000)
    world.defined("cup/winner", {"gold": 20_000}, delay_ms=5_000)
    message = {"cut_off_ms": NOON + 1_000, "starting_price": False}
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
    of_bets = [reason for reason in Rejection if reason < Rejection.CUSTOMER_EXISTS]
    assert [*FAULTS, *ENDS_OF_WAITING] == [reason for reason in of_bets if reason not in OF_ORDERS]


def test_without_a_fault_the_bet_is_accepted() -> None:
    assert isinstance(_answer_to([]), Accepted)


@pytest.mark.parametrize("reason", FAULTS, ids=lambda reason: reason.name)
def test_a_bet_with_one_fault_is_refused_for_it(reason: Rejection) -> None:
    assert refused(_answer_to([FAULTS[reason]])) == reason.name


def test_of_any_two_faults_the_first_in_the_order_of_the_enum_is_the_answer() -> None:
    """RULEBOOK 3: the first that fails is the answer."""
    found = {
        (first, second): getattr(_answer_to([FAULTS[first], FAULTS[second]]), "reason", "accepted")
        for first, second in combinations(FAULTS, 2)
    }
    wrong = {pair: reason for pair, reason in found.items() if reason != pair[0].name}
    assert wrong == {pair: pair[1].name for pair in APART}
