"""Responsible gambling: verification, exclusion, and the limits that customers set themselves (RULEBOOK 7)."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from core import protection, snapshot
from core.messages import commands as co
from core.messages import events as ev
from core.messages import queries as qu
from core.messages.answers import Answer, OwnLimit, OwnLimits, Rejected
from tests.core.world import NOON, World, lost, refused, void, won

HOUR = 3_600_000
DAY = 24 * HOUR
BEGUN = NOON - NOON % HOUR
"""The hour in which each world begins."""
HOME = ("match/winner", "home", 20_000)
KINDS = ("deposit", "loss", "stake")
PERIODS = ("day", "week", "month")


@pytest.fixture
def world() -> World:
    """Ann has 1 000.00; a match that pays twice the stake."""
    world = World()
    world.customer("ann", 100_000)
    world.market("match/winner", home=20_000, away=20_000)
    return world


def _set(world: World, kind: str, limit_m: int, period: str = "day") -> Answer | None:
    return world.command(co.SetOwnLimit, customer="ann", kind=kind, period=period, limit_m=limit_m)


def _limit(world: World, kind: str, limit_m: int, period: str = "day") -> None:
    world.done(co.SetOwnLimit, customer="ann", kind=kind, period=period, limit_m=limit_m)


def _confirm(world: World, kind: str = "stake", period: str = "day") -> Answer | None:
    return world.command(co.ConfirmOwnLimit, customer="ann", kind=kind, period=period)


def _exclude(world: World, kind: str, until_ms: int, **fields: Any) -> Answer | None:
    return world.command(co.ExcludeCustomer, customer="ann", kind=kind, until_ms=until_ms, **fields)


def _deposit(world: World, amount_m: int, **fields: Any) -> Answer | None:
    return world.command(co.Deposit, customer="ann", amount_m=amount_m, provider="bank", **fields)


def _used(world: World, kind: str, period: str = "day") -> int:
    state = world.of("ann").protection
    assert state is not None
    return protection.used(state, kind, period, world.now)


def _stated(world: World) -> OwnLimits:
    answer = world.send(qu.GetOwnLimits("ann"))
    assert isinstance(answer, OwnLimits)
    return answer


# Who may bet at all.

OBSTACLES: list[tuple[str, Callable[[World], object]]] = [
    ("CUSTOMER_NOT_VERIFIED", lambda world: world.done(co.VerifyCustomer, customer="ann", verified=False, reason="")),
    (
        "CUSTOMER_SUSPENDED",
        lambda world: world.done(co.SetCustomerStatus, customer="ann", suspended=True, reason="asked"),
    ),
    ("SELF_EXCLUDED", lambda world: _exclude(world, "self_exclusion", NOON + 2 * DAY)),
    ("TIMED_OUT", lambda world: _exclude(world, "time_out", NOON + DAY)),
]


@pytest.mark.parametrize("missing", range(len(OBSTACLES) + 1))
def test_of_several_obstacles_the_first_of_the_ladder_is_the_answer(missing: int) -> None:
    world = World(verified_only=True)
    world.customer("ann", 10_000)
    world.market("match/winner", home=20_000, away=20_000)
    world.done(co.VerifyCustomer, customer="ann", verified=True, reason="passport")
    for _, raise_it in OBSTACLES[missing:]:
        raise_it(world)
    answer = world.place("ann", 1_000, HOME)
    if missing == len(OBSTACLES):
        assert not isinstance(answer, Rejected)
    else:
        assert refused(answer) == OBSTACLES[missing][0]
    world.check()


def test_who_is_not_verified_may_bet_where_the_licence_does_not_ask_for_it(world: World) -> None:
    world.bet("ann", 1_000, HOME)
    world.check()


@pytest.mark.parametrize(("kind", "reason"), [("time_out", "TIMED_OUT"), ("self_exclusion", "SELF_EXCLUDED")])
def test_who_is_excluded_neither_bets_nor_deposits_but_withdraws(world: World, kind: str, reason: str) -> None:
    bet = world.bet("ann", 1_000, HOME)
    until_ms = world.now + DAY
    _exclude(world, kind, until_ms)
    for moment in (world.now, until_ms - 1):
        world.now = moment
        assert world.place("ann", 1_000, HOME, id=f"b{moment}") == Rejected(f"b{moment}", reason, limit=until_ms)
        assert _deposit(world, 1_000, id=f"d{moment}") == Rejected(f"d{moment}", reason, limit=until_ms)
        assert world.send(qu.GetMaxStake("ann", (co.Leg("match", "winner", "home", 20_000),))) == Rejected(
            "", reason, limit=until_ms
        )
        world.done(co.Withdraw, customer="ann", amount_m=1_000, provider="bank")
    world.now = until_ms
    world.bet("ann", 1_000, HOME)
    world.done(co.Deposit, customer="ann", amount_m=1_000, provider="bank")
    world.settle("match/winner", won("home"))
    assert bet.paid_m == 2_000
    world.check()


@pytest.mark.parametrize(
    ("kind", "fields", "reason"),
    [
        (co.ExcludeCustomer, {"kind": "self_exclusion", "until_ms": NOON + DAY}, "SELF_EXCLUDED"),
        (co.ExcludeCustomer, {"kind": "time_out", "until_ms": NOON + DAY}, "TIMED_OUT"),
        (co.SetOwnLimit, {"kind": "stake", "period": "day", "limit_m": 1_999}, "OWN_STAKE_LIMIT"),
        (co.SetOwnLimit, {"kind": "loss", "period": "month", "limit_m": 1_999}, "OWN_LOSS_LIMIT"),
        (co.SetOwnLimit, {"kind": "stake", "period": "day", "limit_m": 2_000}, ""),
    ],
)
@pytest.mark.parametrize("stage", ["delayed", "accepted", "offered"])
def test_a_bet_that_has_waited_is_taken_only_from_who_may_bet_by_then(
    stage: str, kind: type[co.Command], fields: dict[str, Any], reason: str
) -> None:
    """What he does while the bet of 20.00 waits holds for it too."""
    world = World(stake_max_m=2_500 if stage == "delayed" else 1_000)
    world.customer("ann", 100_000)
    world.market("match/winner", home=20_000)
    if stage == "delayed":
        home = (co.NamedSelection("home", "Home"),)
        named = {"market_type": "winner", "name": "winner", "selections": home, "delay_ms": 5_000}
        world.desk(co.DefineMarket, "match/winner", **named)
    world.place("ann", 2_000, HOME, id="b1", refer=True)
    assert list(world.book.pending) == ["b1"]
    if stage == "offered":
        world.done(co.AnswerReferral, bet="b1", action="offer", stake_m=2_000)
        world.run()
    world.done(kind, customer="ann", **fields)
    if stage == "delayed":
        world.wait(5_000)
    elif stage == "accepted":
        world.done(co.AnswerReferral, bet="b1", action="accept")
    else:
        answer = world.command(co.TakeOffer, customer="ann", bet="b1")
        assert (refused(answer) if isinstance(answer, Rejected) else "") == reason
        world.wait(30_000)
    world.run()
    assert (len(world.book.bets), len(world.book.pending), world.of("ann").reserved_m) == (not reason, 0, 0)
    if reason and stage != "offered":
        answer = world.send(qu.GetBet("b1"))
        assert refused(answer) == reason
    world.check()


@pytest.mark.parametrize(
    ("rule", "first_ms", "second_ms", "answer"),
    [
        ("longer", 1_000, 1_001, None),
        ("the same", 1_000, 1_000, Rejected("e2", "EXCLUSION_STANDS", limit=NOON + 1_000)),
        ("shorter", 1_000, 999, Rejected("e2", "EXCLUSION_STANDS", limit=NOON + 1_000)),
        ("lifted", 1_000, 0, Rejected("e2", "EXCLUSION_STANDS", limit=NOON + 1_000)),
        ("the past", 0, 0, Rejected("e2", "NOTHING_TO_CHANGE", detail="until_ms is past")),
        ("after its end, as one likes", 100, 101, None),
        ("after its end, but past", 100, 99, Rejected("e2", "NOTHING_TO_CHANGE", detail="until_ms is past")),
    ],
)
@pytest.mark.parametrize("kind", ["time_out", "self_exclusion"])
def test_an_exclusion_is_only_made_longer(
    world: World, kind: str, rule: str, first_ms: int, second_ms: int, answer: Rejected | None
) -> None:
    if first_ms:
        assert not isinstance(_exclude(world, kind, NOON + first_ms), Rejected)
    if first_ms == 100:
        world.wait(100)
    second = _exclude(world, kind, NOON + second_ms, id="e2")
    assert (second if isinstance(second, Rejected) else None) == answer, rule
    world.check()


def test_a_time_out_and_a_self_exclusion_run_side_by_side(world: World) -> None:
    assert not isinstance(_exclude(world, "self_exclusion", NOON + 2_000), Rejected)
    assert not isinstance(_exclude(world, "time_out", NOON + 1_000), Rejected)
    assert not isinstance(_exclude(world, "time_out", NOON + 3_000), Rejected)
    assert _stated(world) == OwnLimits("ann", (), NOON + 3_000, NOON + 2_000)
    world.wait(2_000)
    assert refused(world.place("ann", 1_000, HOME)) == "TIMED_OUT"
    assert _stated(world) == OwnLimits("ann", (), NOON + 3_000, 0)
    world.wait(1_000)
    assert _stated(world) == OwnLimits("ann", (), 0, 0)
    world.bet("ann", 1_000, HOME)
    world.check()


# What a limit takes.


@pytest.mark.parametrize("period", PERIODS)
@pytest.mark.parametrize("kind", ["stake", "loss"])
def test_of_all_limits_on_bets_the_lowest_binds(world: World, kind: str, period: str) -> None:
    for number, (other, another) in enumerate((kind, period) for kind in KINDS for period in PERIODS):
        _limit(world, other, 1_000 if (other, another) == (kind, period) else 5_000 + number, another)
    reason = {"stake": "OWN_STAKE_LIMIT", "loss": "OWN_LOSS_LIMIT"}[kind]
    assert world.place("ann", 1_001, HOME, id="b1") == Rejected("b1", reason, limit=1_000, stake_m=1_000)
    world.bet("ann", 400, HOME)
    assert world.place("ann", 601, HOME, id="b2") == Rejected("b2", reason, limit=600, stake_m=600)
    world.bet("ann", 600, HOME)
    assert world.place("ann", 10, HOME, id="b3") == Rejected("b3", reason)
    world.check()


@pytest.mark.parametrize("period", PERIODS)
def test_of_all_limits_on_deposits_the_lowest_binds(world: World, period: str) -> None:
    for number, (other, another) in enumerate((kind, period) for kind in KINDS for period in PERIODS):
        _limit(world, other, 1_000 if (other, another) == ("deposit", period) else 5_000 + number, another)
    assert _deposit(world, 1_001, id="d1") == Rejected("d1", "OWN_DEPOSIT_LIMIT", limit=1_000)
    assert not isinstance(_deposit(world, 400), Rejected)
    world.done(co.Withdraw, customer="ann", amount_m=400, provider="bank")
    assert _deposit(world, 601, id="d2") == Rejected("d2", "OWN_DEPOSIT_LIMIT", limit=600)
    assert not isinstance(_deposit(world, 600), Rejected)
    assert _deposit(world, 1, id="d3") == Rejected("d3", "OWN_DEPOSIT_LIMIT")
    world.check()


def test_of_two_that_are_equal_the_first_of_the_ladder_is_named(world: World) -> None:
    _limit(world, "loss", 1_000)
    _limit(world, "stake", 1_000)
    assert refused(world.place("ann", 1_001, HOME)) == "OWN_STAKE_LIMIT"


def test_the_greatest_stake_knows_the_customers_own_limits(world: World) -> None:
    question = qu.GetMaxStake("ann", (co.Leg("match", "winner", "home", 20_000),))
    _limit(world, "loss", 1_000)
    answer: Any = world.send(question)
    assert (answer.stake_m, answer.reason, answer.limit) == (1_000, "OWN_LOSS_LIMIT", 1_000)
    world.bet("ann", 1_000, HOME)
    answer = world.send(question)
    assert (answer.stake_m, answer.reason, answer.limit) == (0, "OWN_LOSS_LIMIT", 0)


@pytest.mark.parametrize(
    ("rule", "limits", "own_m", "accepted_m"),
    [
        ("what it leaves", {}, 800, 800),
        ("less where another limit is lower", {"stake_max_m": 500}, 800, 500),
        ("nothing where that is below the least stake", {"stake_min_m": 801}, 800, 0),
    ],
)
def test_the_stake_that_an_own_limit_names_is_accepted(
    rule: str, limits: dict[str, int], own_m: int, accepted_m: int
) -> None:
    world = World(**limits)
    world.customer("ann", 100_000)
    world.market("match/winner", home=20_000)
    _limit(world, "stake", own_m)
    answer = world.place("ann", 1_000, HOME, id="b1")
    assert answer == Rejected("b1", "OWN_STAKE_LIMIT", limit=own_m, stake_m=accepted_m), rule
    if accepted_m:
        world.bet("ann", accepted_m, HOME)
    world.check()


def test_a_lowered_limit_below_what_is_used_takes_nothing(world: World) -> None:
    _limit(world, "stake", 5_000)
    world.bet("ann", 3_000, HOME)
    _limit(world, "stake", 1_000)
    assert world.place("ann", 10, HOME, id="b2") == Rejected("b2", "OWN_STAKE_LIMIT")
    assert _stated(world).limits == (OwnLimit("stake", "day", 1_000, 3_000, 0, 0),)
    world.check()


# What counts.


def test_an_open_bet_is_a_loss_until_it_is_paid(world: World) -> None:
    _limit(world, "loss", 5_000)
    world.bet("ann", 5_000, HOME)
    assert refused(world.place("ann", 10, HOME)) == "OWN_LOSS_LIMIT"
    world.market("final/winner", home=20_000)
    world.settle("match/winner", won("home"))
    # 100.00 back for 50.00: he has won 50.00, and may lose them and 50.00 more.
    assert (_used(world, "loss"), protection.room(world.of("ann"), world.now)) == (-5_000, 10_000)
    assert refused(world.place("ann", 10_001, ("final/winner", "home", 20_000))) == "OWN_LOSS_LIMIT"
    world.bet("ann", 10_000, ("final/winner", "home", 20_000))
    world.check()


@pytest.mark.parametrize(
    ("rule", "steps", "stake_m", "loss_m"),
    [
        ("taken", [], 1_000, 1_000),
        ("lost", ["lost"], 1_000, 1_000),
        ("won: 20.00 back", ["won"], 1_000, -1_000),
        ("void: it was no bet", ["void"], 0, 0),
        ("cancelled", ["cancel"], 0, 0),
        ("won was lost", ["won", "lost"], 1_000, 1_000),
        ("lost was won", ["lost", "won"], 1_000, -1_000),
        ("won was void", ["won", "void"], 0, 0),
        ("void was won", ["void", "won"], 1_000, -1_000),
        ("won, taken back", ["won", "back"], 1_000, 1_000),
        ("void, taken back", ["void", "back"], 1_000, 1_000),
        ("void, taken back, void", ["void", "back", "void"], 0, 0),
        ("won, taken back, won", ["won", "back", "won"], 1_000, -1_000),
        ("taken back by the operator when it had won", ["won", "operator"], 0, 0),
    ],
)
def test_a_correction_counts_as_if_it_had_been_so_at_once(
    world: World, rule: str, steps: list[str], stake_m: int, loss_m: int
) -> None:
    _limit(world, "loss", 50_000)
    bet = world.bet("ann", 1_000, HOME)
    for step in steps:
        world.wait(HOUR)
        if step == "back":
            world.roll_back("match/winner")
        elif step == "cancel":
            world.cancel("match/winner")
        elif step == "operator":
            world.done(co.VoidBet, bet=bet.id, reason="palpable")
        else:
            world.settle("match/winner", {"won": won, "lost": lost, "void": void}[step]("home"))
    assert (_used(world, "stake"), _used(world, "loss")) == (stake_m, loss_m), rule
    world.check()


def test_a_void_bet_gives_its_stake_back_to_the_hour_in_which_it_was_placed(world: World) -> None:
    _limit(world, "stake", 5_000)
    world.bet("ann", 3_000, HOME)
    world.wait(23 * HOUR)
    world.settle("match/winner", void("home"), void("away"))
    world.market("final/winner", home=20_000)
    world.bet("ann", 5_000, ("final/winner", "home", 20_000))
    # The first bet is out of the 24 hours: were its stake taken off now, he could stake it once more.
    world.wait(2 * HOUR)
    assert (_used(world, "stake"), protection.room(world.of("ann"), world.now)) == (5_000, 0)
    world.check()


def test_a_void_bet_whose_hour_is_forgotten_changes_nothing(world: World) -> None:
    _limit(world, "stake", 5_000)
    world.bet("ann", 3_000, HOME)
    world.wait(31 * DAY)
    world.done(co.Deposit, customer="ann", amount_m=1, provider="bank")
    world.settle("match/winner", void("home"), void("away"))
    assert [_used(world, "stake", period) for period in PERIODS] == [0, 0, 0]
    assert [_used(world, "loss", period) for period in PERIODS] == [0, 0, 0]
    world.check()


def test_bets_from_before_the_first_limit_do_not_count_when_they_are_settled(world: World) -> None:
    world.bet("ann", 3_000, HOME)
    world.wait(1)
    _limit(world, "loss", 5_000)
    world.settle("match/winner", won("home"))
    assert (_used(world, "stake"), _used(world, "loss")) == (0, 0)
    world.check()


def test_nor_do_those_of_the_same_millisecond(world: World) -> None:
    """Messages of one turn share it."""
    first = world.bet("ann", 1_000, HOME)
    _limit(world, "loss", 5_000)
    second = world.bet("ann", 2_000, HOME)
    world.engine.book = snapshot.restore(snapshot.encode(world.book))
    world.done(co.VoidBet, bet=first.id, reason="palpable")
    assert (_used(world, "stake"), _used(world, "loss")) == (2_000, 2_000)
    world.settle("match/winner", won("home"))
    assert _used(world, "loss") == 2_000 - 4_000
    world.done(co.VoidBet, bet=second.id, reason="palpable")
    assert (_used(world, "stake"), _used(world, "loss")) == (0, 0)
    world.check()


def test_a_free_bet_is_not_his_money(world: World) -> None:
    _limit(world, "loss", 1_000)
    _limit(world, "stake", 1_000)
    world.done(co.GrantFreeBet, customer="ann", token="t1", stake_m=5_000, ends_ms=NOON + DAY)
    world.bet("ann", 5_000, HOME, free_bet="t1")
    assert (_used(world, "stake"), _used(world, "loss")) == (0, 0)
    # Nor does what it wins let him lose more.
    world.settle("match/winner", won("home"))
    assert (world.cash("ann"), _used(world, "loss")) == (105_000, 0)
    world.check()


def test_what_is_sold_is_paid(world: World) -> None:
    _limit(world, "loss", 50_000)
    bet = world.bet("ann", 1_000, HOME)
    quote: Any = world.send(qu.GetCashOut("ann", bet.id, 4_000))
    world.done(co.CashOut, customer="ann", bet=bet.id, offer_m=quote.offer_m)
    assert (_used(world, "stake"), _used(world, "loss")) == (1_000, 1_000 - quote.offer_m)
    world.settle("match/winner", void("home"), void("away"))
    # 4.00 of the stake stay sold; 6.00 were never staked.
    assert (_used(world, "stake"), _used(world, "loss")) == (400, 400 - quote.offer_m)
    world.check()


# How long it counts.


@pytest.mark.parametrize(("period", "length_ms"), [("day", DAY), ("week", 7 * DAY), ("month", 30 * DAY)])
@pytest.mark.parametrize(
    ("rule", "staked_ms", "asked_ms", "counts"),
    [
        ("within the period", BEGUN + HOUR, BEGUN + HOUR - 1, True),
        ("to the last", BEGUN + 2 * HOUR - 1, BEGUN + 2 * HOUR - 1, True),
        ("out of the period, but its hour is not yet", BEGUN + HOUR, BEGUN + 2 * HOUR - 1, True),
        ("out of the period with its whole hour", BEGUN + HOUR, BEGUN + 2 * HOUR, False),
        ("of an hour's end, at once", BEGUN + 2 * HOUR - 1, BEGUN + 2 * HOUR, False),
    ],
)
def test_a_stake_counts_for_the_period_and_up_to_the_end_of_its_hour(
    world: World, period: str, length_ms: int, rule: str, staked_ms: int, asked_ms: int, *, counts: bool
) -> None:
    _limit(world, "stake", 1_000, period)
    world.now = staked_ms
    world.bet("ann", 1_000, HOME)
    world.now = asked_ms + length_ms
    assert _used(world, "stake", period) == (1_000 if counts else 0), rule
    answer = world.place("ann", 10, HOME)
    assert isinstance(answer, Rejected) == counts, rule
    world.check()


def test_a_month_of_hours_is_all_that_is_kept(world: World) -> None:
    _limit(world, "stake", 90_000, "month")
    world.now = BEGUN + HOUR
    for _ in range(800):
        for _ in range(3):
            world.done(co.Deposit, customer="ann", amount_m=1, provider="bank")
        world.wait(HOUR)
    state = world.of("ann").protection
    assert state is not None
    assert len(state.hours) == 721
    assert _used(world, "deposit", "month") == 2_160
    world.wait(60 * DAY)
    world.done(co.Deposit, customer="ann", amount_m=1, provider="bank")
    assert len(state.hours) == 1


def test_an_hour_in_which_nothing_counts_is_not_kept(world: World) -> None:
    _limit(world, "stake", 90_000)
    world.bet("ann", 1_000, HOME)
    world.wait(HOUR)
    world.settle("match/winner", lost("home"))
    world.wait(HOUR)
    world.done(co.Withdraw, customer="ann", amount_m=1, provider="bank")
    state = world.of("ann").protection
    assert state is not None
    assert [hour.hour for hour in state.hours] == [NOON // HOUR]


# How a limit is changed.


def test_the_first_limit_and_a_lower_one_hold_at_once(world: World) -> None:
    for limit_m in (5_000, 4_999, 1):
        _limit(world, "stake", limit_m)
        assert _stated(world).limits == (OwnLimit("stake", "day", limit_m, 0, 0, 0),)
    world.check()


@pytest.mark.parametrize("raised_m", [5_001, 0])
def test_a_raise_waits_24_hours_and_for_its_confirmation(world: World, raised_m: int) -> None:
    _limit(world, "stake", 5_000)
    _limit(world, "stake", raised_m)
    due_ms = NOON + DAY
    assert _stated(world).limits == (OwnLimit("stake", "day", 5_000, 0, raised_m, due_ms),)
    assert refused(world.place("ann", 5_001, HOME)) == "OWN_STAKE_LIMIT"
    world.wait(DAY - 1)
    early = world.command(co.ConfirmOwnLimit, id="k1", customer="ann", kind="stake", period="day")
    assert early == Rejected("k1", "OWN_LIMIT_NOT_DUE", limit=due_ms)
    world.wait(1)
    # Its time alone raises nothing.
    assert refused(world.place("ann", 5_001, HOME)) == "OWN_STAKE_LIMIT"
    assert not isinstance(_confirm(world), Rejected)
    world.bet("ann", 5_001, HOME)
    assert _stated(world).limits == ((OwnLimit("stake", "day", 5_001, 5_001, 0, 0),) if raised_m else ())
    assert refused(_confirm(world)) == "OWN_LIMIT_NOT_DUE"
    world.check()


@pytest.mark.parametrize(
    ("rule", "wanted", "answer", "standing"),
    [
        ("nothing waits to be set", [0], "NOTHING_TO_CHANGE", None),
        ("the same as stands", [500, 500], "NOTHING_TO_CHANGE", (500, 0, 0)),
        ("the same as waits", [500, 800, 800], "NOTHING_TO_CHANGE", (500, 800, NOON + 1_000 + DAY)),
        ("the same removal as waits", [500, 0, 0], "NOTHING_TO_CHANGE", (500, 0, NOON + 1_000 + DAY)),
        ("a lower one drops the raise", [500, 800, 400], "done", (400, 0, 0)),
        ("a lower one drops the removal", [500, 0, 400], "done", (400, 0, 0)),
        ("as it stands drops the raise", [500, 800, 500], "done", (500, 0, 0)),
        ("a lower raise has waited already", [500, 800, 700], "done", (500, 700, NOON + 1_000 + DAY)),
        ("a raise in place of a removal too", [500, 0, 800], "done", (500, 800, NOON + 1_000 + DAY)),
        ("a higher raise waits anew", [500, 800, 900], "done", (500, 900, NOON + 2_000 + DAY)),
        ("a removal in place of a raise too", [500, 800, 0], "done", (500, 0, NOON + 2_000 + DAY)),
    ],
)
def test_what_a_wish_does_to_a_limit(
    world: World, rule: str, wanted: list[int], answer: str, standing: tuple[int, int, int] | None
) -> None:
    """The first at noon, the others a second apart; `standing`: limit, what waits, and when it can be confirmed."""
    given: Answer | None = None
    for limit_m in wanted:
        given = _set(world, "loss", limit_m)
        world.wait(1_000)
    assert (given.reason if isinstance(given, Rejected) else "done") == answer, rule
    expected = [OwnLimit("loss", "day", standing[0], 0, *standing[1:])] if standing else []
    assert list(_stated(world).limits) == expected, rule
    world.check()


def test_there_is_nothing_to_confirm_where_nothing_waits(world: World) -> None:
    assert world.command(co.ConfirmOwnLimit, id="k1", customer="ann", kind="stake", period="day") == Rejected(
        "k1", "OWN_LIMIT_NOT_DUE"
    )
    _limit(world, "stake", 500)
    assert refused(_confirm(world)) == "OWN_LIMIT_NOT_DUE"
    _limit(world, "stake", 800)
    world.wait(DAY)
    assert refused(_confirm(world, "loss")) == "OWN_LIMIT_NOT_DUE"
    assert refused(_confirm(world, "stake", "week")) == "OWN_LIMIT_NOT_DUE"


def test_what_was_staked_without_a_limit_counts_for_one_that_is_set_again(world: World) -> None:
    _limit(world, "stake", 5_000)
    _limit(world, "stake", 0)
    world.wait(DAY)
    assert not isinstance(_confirm(world), Rejected)
    assert _stated(world).limits == ()
    assert protection.room(world.of("ann"), world.now) is None
    world.bet("ann", 20_000, HOME)
    _limit(world, "stake", 21_000)
    assert refused(world.place("ann", 1_001, HOME)) == "OWN_STAKE_LIMIT"
    world.check()


def test_all_of_it_is_told_when_asked(world: World) -> None:
    assert _stated(world) == OwnLimits("ann", (), 0, 0)
    _limit(world, "deposit", 9_000, "month")
    _limit(world, "loss", 5_000)
    _limit(world, "deposit", 8_000)
    world.done(co.Deposit, customer="ann", amount_m=300, provider="bank")
    world.bet("ann", 700, HOME)
    assert _stated(world) == OwnLimits(
        "ann",
        (
            OwnLimit("deposit", "month", 9_000, 300, 0, 0),
            OwnLimit("loss", "day", 5_000, 700, 0, 0),
            OwnLimit("deposit", "day", 8_000, 300, 0, 0),
        ),
        0,
        0,
    )
    assert world.send(qu.GetOwnLimits("nobody")) == Rejected("", "CUSTOMER_UNKNOWN")


def test_the_history_of_a_limit_is_in_the_journal(world: World) -> None:
    _limit(world, "stake", 5_000)
    _limit(world, "stake", 6_000)
    world.wait(DAY)
    _confirm(world)
    history = [event for event in world.events if isinstance(event, ev.OwnLimitSet | ev.OwnLimitConfirmed)]
    assert [(type(event).__name__, event.ts_ms, event.limit_m) for event in history] == [
        ("OwnLimitSet", NOON, 5_000),
        ("OwnLimitSet", NOON, 6_000),
        ("OwnLimitConfirmed", NOON + DAY, 6_000),
    ]


@pytest.mark.parametrize("seed", range(20))
def test_the_hours_say_what_a_list_of_all_bets_says(seed: int) -> None:
    """Held against the plain twin: every stake and payment with its time, added up anew for each question.

    The engine is asked now and then only, so that what it keeps up to date is of hours long gone, too.
    """
    dice = random.Random(seed)
    world = World(velocity_bets_max=1_000_000, liability_customer_max_m=10**12)
    world.customer("ann", 10**9)
    _limit(world, "loss", 10**9)
    staked: list[list[int]] = []
    paid: list[tuple[int, int]] = []
    for number in range(60):
        world.wait(dice.choice((1, HOUR // 3, dice.randrange(40 * HOUR))))
        path = f"match{number}/winner"
        world.market(path, home=20_000, away=20_000)
        bet = world.bet("ann", dice.randrange(100, 1_000), (path, "home", 20_000))
        staked.append([world.now, bet.stake_m])
        world.wait(dice.choice((1, HOUR // 3, dice.randrange(5 * HOUR))))
        for result in dice.sample((won, lost, void), dice.randrange(4)):
            was_m = bet.paid_m if bet.status != ev.BetStatus.VOID else 0
            world.results(path, result("home"))
            world.run()
            voided = bet.status == ev.BetStatus.VOID
            staked[-1][1] = 0 if voided else bet.stake_m
            paid.append((world.now, (0 if voided else bet.paid_m) - was_m))
            world.wait(dice.choice((1, dice.randrange(2 * HOUR))))
        if dice.random() < 0.3:
            continue
        for period, length_ms in zip(PERIODS, (DAY, 7 * DAY, 30 * DAY), strict=True):
            since_ms = (world.now - length_ms) // HOUR * HOUR
            stake_m = sum(amount_m for ts_ms, amount_m in staked if ts_ms >= since_ms)
            loss_m = stake_m - sum(amount_m for ts_ms, amount_m in paid if ts_ms >= since_ms)
            assert (_used(world, "stake", period), _used(world, "loss", period)) == (stake_m, loss_m), (seed, number)
    world.check()
