"""Results, cancels, rollbacks and voids, in any order and in slices (RULEBOOK 5)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any

import msgspec
import pytest

from core import invariants, snapshot
from core.engine import Engine
from core.grading.scores import FootballScore
from core.messages import commands as co
from core.messages import events as ev
from core.messages import feed as fe
from core.messages import queries as qu
from core.messages.answers import Accepted, BetState, Done
from core.messages.events import BetStatus
from core.messages.results import Result
from tests.core.world import ANY, NOON, World, dead_heat, half_lost, half_won, lost, refused, replayed, void, won

HOME = ("match/winner", "home", 20_000)
RED = ("final/winner", "red", 30_000)
ONE = ("race/winner", "one", 50_000)
OPEN, WON, LOST, VOID, _ = BetStatus


def stage(**changed: int | str) -> World:
    """Ann has 100.00; three fixtures by hand."""
    world = World(**changed)
    world.customer("ann", 10_000)
    world.market("match/winner", home=20_000, draw=30_000, away=40_000)
    world.market("final/winner", red=30_000, blue=15_000)
    world.market("race/winner", one=50_000, two=18_000)
    return world


@pytest.fixture
def world() -> World:
    return stage()


@pytest.mark.parametrize(
    ("rule", "result", "status", "paid_m", "leg"),
    [
        ("lost", lost("home"), LOST, 0, "lost"),
        ("won", won("home"), WON, 2_000, "won"),
        ("void", void("home"), VOID, 1_000, "void"),
        ("half won", half_won("home"), WON, 1_500, "part"),
        ("half lost", half_lost("home"), WON, 500, "part"),
        ("dead heat of two", dead_heat("home", 2), WON, 1_000, "part"),
        ("dead heat of three", dead_heat("home", 3), WON, 666, "part"),
    ],
)
def test_a_single_is_paid_by_its_result(
    world: World, rule: str, result: Result, status: BetStatus, paid_m: int, leg: str
) -> None:
    bet = world.bet("ann", 1_000, HOME)
    world.settle("match/winner", result)
    assert (bet.status, bet.paid_m) == (status, paid_m), rule
    assert world.cash("ann") == 9_000 + paid_m
    assert world.of("ann").open_stakes_m == 0
    state = world.send(qu.GetBet(bet.id))
    assert isinstance(state, BetState)
    assert (state.status, state.paid_m, state.legs[0].result) == (status.name.lower(), paid_m, leg)
    world.check()


@pytest.mark.parametrize(
    ("rule", "results", "status", "paid_m"),
    [
        ("all won: 2 x 3 x 5", (won("home"), won("red"), won("one")), WON, 30_000),
        ("one void: a double", (won("home"), void("red"), won("one")), WON, 10_000),
        ("two void: a single", (void("home"), void("red"), won("one")), WON, 5_000),
        ("all void: the stake", (void("home"), void("red"), void("one")), VOID, 1_000),
        ("one lost", (won("home"), lost("red"), won("one")), LOST, 0),
        ("one half won: 2 x 2 x 5", (won("home"), half_won("red"), won("one")), WON, 20_000),
        ("one half lost: 2 x 1/2 x 5", (won("home"), half_lost("red"), won("one")), WON, 5_000),
        ("a dead heat of three: 2 x 3/3 x 5", (won("home"), dead_heat("red", 3), won("one")), WON, 10_000),
    ],
)
def test_a_treble_is_paid_by_the_product_in_whatever_order_its_legs_are_decided(
    rule: str, results: tuple[Result, Result, Result], status: BetStatus, paid_m: int
) -> None:
    legs = list(zip(("match/winner", "final/winner", "race/winner"), results, strict=True))
    for order in permutations(legs):
        world = stage()
        bet = world.bet("ann", 1_000, HOME, RED, ONE)
        for path, result in order:
            world.settle(path, result)
            world.check()
        assert (bet.status, bet.paid_m) == (status, paid_m), rule
        assert world.cash("ann") == 9_000 + paid_m


def test_a_lost_leg_loses_the_multiple_at_once(world: World) -> None:
    bet = world.bet("ann", 1_000, HOME, RED)
    world.settle("match/winner", lost("home"))
    assert bet.status == LOST
    assert world.of("ann").open_stakes_m == 0
    world.check()


@pytest.mark.parametrize(
    ("rule", "first", "second", "cash_m"),
    [
        ("lost was won", lost("home"), won("home"), 11_000),
        ("won was lost", won("home"), lost("home"), 9_000),
        ("won was void", won("home"), void("home"), 10_000),
        ("void was half won", void("home"), half_won("home"), 10_500),
        ("dead heat was won", dead_heat("home", 2), won("home"), 11_000),
    ],
)
def test_a_correction_posts_the_difference(world: World, rule: str, first: Result, second: Result, cash_m: int) -> None:
    world.bet("ann", 1_000, HOME)
    world.settle("match/winner", first)
    before = world.cash("ann")
    world.settle("match/winner", second)
    assert world.cash("ann") == cash_m, rule
    (event,) = (event for event in world.events[-2:] if isinstance(event, ev.BetSettled))
    assert event.paid_m - event.was_paid_m == cash_m - before
    world.check()


def test_the_same_results_again_change_nothing(world: World) -> None:
    world.bet("ann", 1_000, HOME)
    world.settle("match/winner", won("home"))
    before = len(world.events)
    same = (won("home"), lost("draw"), lost("away"))
    assert refused(world.desk(co.SettleMarket, "match/winner", results=same)) == "NOTHING_TO_CHANGE"
    assert [type(event) for event in world.events[before:]] == [ev.CommandRejected]


@pytest.mark.parametrize(
    ("results", "detail"),
    [
        ((), "away"),
        ((won("home"), lost("draw")), "away"),
        ((won("home"), lost("draw"), lost("away"), lost("nobody")), "nobody"),
        ((won("home"), lost("draw"), lost("away"), lost("away")), "a selection is named twice"),
    ],
)
def test_results_have_to_be_complete(world: World, results: tuple[Result, ...], detail: str) -> None:
    answer = world.desk(co.SettleMarket, "match/winner", results=results)
    assert (refused(answer), getattr(answer, "detail", "")) == ("RESULTS_INCOMPLETE", detail)
    assert not world.at("match/winner").settled


@pytest.mark.parametrize(
    ("from_ms", "to_ms", "void_bets"),
    [
        (0, 0, {"b0", "b1", "b2"}),
        (NOON + 100, 0, {"b1", "b2"}),
        (0, NOON + 100, {"b0"}),
        (NOON + 100, NOON + 200, {"b1"}),
        (NOON + 101, NOON + 200, set()),
        (NOON + 100, NOON + 201, {"b1", "b2"}),
    ],
)
@pytest.mark.parametrize("settled", [False, True])
def test_a_cancel_voids_the_bets_placed_in_its_window(
    world: World,
    from_ms: int,
    to_ms: int,
    void_bets: set[str],
    settled: bool,  # noqa: FBT001  (a case)
) -> None:
    for number in range(3):
        world.bet("ann", 1_000, HOME, id=f"b{number}")
        world.wait(100)
    if settled:
        world.settle("match/winner", won("home"))
    world.cancel("match/winner", from_ms, to_ms)
    bets = world.book.bets
    assert {bet.id for bet in bets.values() if bet.status == VOID} == void_bets
    assert {bet.status for bet in bets.values()} <= {VOID, WON if settled else OPEN}
    world.roll_back("match/winner", "cancel")
    assert {bet.status for bet in bets.values()} == {WON if settled else OPEN}
    world.check()


def test_after_the_window_of_a_cancel_bets_are_taken_again(world: World) -> None:
    world.cancel("match/winner", 0, NOON + 1_000)
    assert refused(world.place("ann", 1_000, HOME)) == "MARKET_CLOSED"
    world.wait(1_000)
    assert isinstance(world.place("ann", 1_000, HOME), Accepted)
    world.check()


def test_windows_are_bounded(world: World) -> None:
    for number in range(100):
        world.cancel("match/winner", number, number + 1)
    answer = world.desk(co.CancelMarket, "match/winner", reason="", from_ms=200, to_ms=201)
    assert (refused(answer), getattr(answer, "limit", 0)) == ("TOO_MANY", 100)


def test_a_rollback_opens_the_bets_and_takes_the_money_back(world: World) -> None:
    bet = world.bet("ann", 1_000, HOME)
    world.settle("match/winner", won("home"))
    world.roll_back("match/winner")
    assert (bet.status, bet.paid_m, world.cash("ann"), world.of("ann").open_stakes_m) == (OPEN, 0, 9_000, 1_000)
    assert world.of("ann").liability_m == 1_000
    world.settle("match/winner", won("away"))
    assert (bet.status, world.cash("ann")) == (LOST, 9_000)
    world.check()


@pytest.mark.parametrize("result", [None, won("home"), lost("home"), half_won("home")])
def test_a_bet_voided_by_the_desk_stays_void_whatever_comes(world: World, result: Result | None) -> None:
    bet = world.bet("ann", 1_000, HOME)
    if result:
        world.settle("match/winner", result)
    world.done(co.VoidBet, bet=bet.id, reason="palpable error")
    assert (bet.status, bet.paid_m, world.cash("ann")) == (VOID, 1_000, 10_000)
    world.settle("match/winner", won("home") if result != won("home") else void("home"))
    assert (bet.status, world.cash("ann")) == (VOID, 10_000)
    assert refused(world.command(co.VoidBet, bet=bet.id, reason="again")) == "BET_NOT_OPEN"
    world.check()


def test_a_void_whose_money_was_parted_from_it_by_a_crash_is_settled_by_the_next_engine(world: World) -> None:
    bet = world.bet("ann", 1_000, HOME)
    world.done(co.VoidBet, bet=bet.id, reason="palpable error")
    assert [type(event) for event in world.events[-2:]] == [ev.BetVoided, ev.BetSettled]
    after = Engine(world.engine.limits, replayed(world.events[:-1]))
    restored = Engine(world.engine.limits, snapshot.restore(snapshot.encode(after.book)))
    for engine in (after, restored):
        assert engine.book.customers["ann"].cash_m == 9_000
        settled = engine.tick(world.now)
        assert [type(event) for event in settled] == [ev.BetSettled]
        assert engine.book.customers["ann"].cash_m == 10_000
        assert not engine.tick(world.now)
        invariants.check(engine.book)
        assert snapshot.state_hash(engine.book) == snapshot.state_hash(world.book)


# One leg taken back.


@pytest.mark.parametrize(
    ("rule", "legs", "status", "paid_m"),
    [
        ("none: 2 x 3 x 5", (), WON, 30_000),
        ("the first: a double at 3 x 5", (0,), WON, 15_000),
        ("two: a single at 5", (0, 1), WON, 5_000),
        ("all: the stake", (0, 1, 2), VOID, 1_000),
    ],
)
@pytest.mark.parametrize("first", ["void", "results"])
def test_a_leg_voided_by_the_desk_counts_one(
    first: str, rule: str, legs: tuple[int, ...], status: BetStatus, paid_m: int
) -> None:
    world = stage()
    bet = world.bet("ann", 1_000, HOME, RED, ONE)
    for step in (first, "results" if first == "void" else "void"):
        if step == "void":
            for index in legs:
                world.done(co.VoidBet, bet=bet.id, reason="palpable error", leg=index)
                world.check()
        else:
            world.settle("match/winner", won("home"))
            world.settle("final/winner", won("red"))
            world.settle("race/winner", won("one"))
    assert (bet.status, bet.paid_m, world.cash("ann")) == (status, paid_m, 9_000 + paid_m), rule
    world.check()


def test_a_bet_that_was_lost_by_the_leg_taken_back_is_open_again(world: World) -> None:
    bet = world.bet("ann", 1_000, HOME, RED)
    world.settle("match/winner", lost("home"))
    assert bet.status == LOST
    world.done(co.VoidBet, bet=bet.id, reason="palpable error", leg=0)
    assert (bet.status, world.of("ann").open_stakes_m, bet.legs[1].running_m) == (OPEN, 1_000, 1_000)
    world.settle("match/winner", won("home"))
    world.settle("final/winner", won("red"))
    assert (bet.status, bet.paid_m) == (WON, 3_000)
    assert [each.result for each in world.state(bet.id).legs] == ["void", "won"]
    world.check()


def test_a_leg_is_taken_back_once_and_has_to_be_there(world: World) -> None:
    bet = world.bet("ann", 1_000, HOME, RED)
    world.done(co.VoidBet, bet=bet.id, reason="palpable error", leg=1)
    for index in (1, 2):
        answer = world.command(co.VoidBet, bet=bet.id, reason="again", leg=index)
        assert (refused(answer), getattr(answer, "limit", 0)) == ("NOTHING_TO_CHANGE", 2)
    world.done(co.VoidBet, bet=bet.id, reason="the rest of it")
    assert bet.status == VOID
    assert refused(world.command(co.VoidBet, bet=bet.id, reason="again", leg=0)) == "BET_NOT_OPEN"
    world.check()


@pytest.mark.parametrize(
    ("settled", "follows", "status", "paid_m"), [(True, ev.BetSettled, WON, 3_000), (False, ev.BetAdvanced, OPEN, 0)]
)
def test_a_leg_taken_back_just_before_a_crash_is_settled_by_the_next_engine(
    world: World,
    settled: bool,  # noqa: FBT001  (a case)
    follows: type,
    status: BetStatus,
    paid_m: int,
) -> None:
    bet = world.bet("ann", 1_000, HOME, RED)
    if settled:
        world.settle("final/winner", won("red"))
    world.done(co.VoidBet, bet=bet.id, reason="palpable error", leg=0)
    assert [type(event) for event in world.events[-2:]] == [ev.BetVoided, follows]
    del world.events[-1]
    world.restart()
    invariants.check(world.book)
    world.run()
    assert (world.book.bets[bet.id].status, world.book.bets[bet.id].paid_m) == (status, paid_m)
    world.check()


# The customer takes his bet back.


def test_without_a_window_nothing_can_be_cancelled(world: World) -> None:
    bet = world.bet("ann", 1_000, HOME)
    answer = world.command(co.CancelBet, customer="ann", bet=bet.id)
    assert (refused(answer), getattr(answer, "limit", 0)) == ("CANCEL_NOT_ALLOWED", NOON)
    world.check()


def test_a_bet_is_cancelled_by_its_owner_and_once() -> None:
    world = stage(cancel_window_ms=1_000)
    world.customer("bob")
    bet = world.bet("ann", 1_000, HOME)
    assert refused(world.command(co.CancelBet, customer="bob", bet=bet.id)) == "BET_UNKNOWN"
    command = co.CancelBet("x1", world.now + 1_000, "ann", bet.id)
    first = world.send(command)
    assert isinstance(first, Done)
    assert world.send(command) == first
    assert refused(world.command(co.CancelBet, customer="ann", bet=bet.id)) == "BET_NOT_OPEN"
    assert world.cash("ann") == 10_000
    world.settle("match/winner", won("home"))
    assert world.cash("ann") == 10_000
    world.check()


@pytest.mark.parametrize(
    ("rule", "happens"),
    [
        ("a result", lambda w, _: w.settle("final/winner", won("red"))),
        ("a cancel", lambda w, _: w.cancel("final/winner")),
        ("a leg taken back", lambda w, bet: w.done(co.VoidBet, bet=bet, reason="", leg=1)),
    ],
)
def test_a_bet_with_a_decided_leg_cannot_be_cancelled(rule: str, happens: Callable[[World, str], object]) -> None:
    world = stage(cancel_window_ms=1_000)
    bet = world.bet("ann", 1_000, HOME, RED)
    happens(world, bet.id)
    assert refused(world.command(co.CancelBet, customer="ann", bet=bet.id)) == "CANCEL_NOT_ALLOWED", rule
    world.check()


def test_a_customer_may_cancel_within_the_window_and_before_any_leg_is_decided() -> None:
    world = stage(cancel_window_ms=1_000)
    first = world.bet("ann", 1_000, HOME, RED)
    second = world.bet("ann", 1_000, RED)
    world.wait(999)
    world.settle("match/winner", won("home"))
    assert refused(world.command(co.CancelBet, customer="ann", bet=first.id)) == "CANCEL_NOT_ALLOWED"
    assert isinstance(world.command(co.CancelBet, customer="ann", bet=second.id), Done)
    assert (second.status, world.cash("ann")) == (VOID, 9_000)
    third = world.bet("ann", 1_000, RED)
    world.wait(1_000)
    assert refused(world.command(co.CancelBet, customer="ann", bet=third.id)) == "CANCEL_NOT_ALLOWED"
    world.check()


# Numbers that were published.


def test_a_dead_heat_may_pay_less_than_the_stake() -> None:
    """RULEBOOK 5: 1.8 in a dead heat of two is 0.9."""
    world = stage()
    bet = world.bet("ann", 1_000, ("race/winner", "two", 18_000))
    world.settle("race/winner", dead_heat("two", 2))
    assert (bet.status, bet.paid_m) == (WON, 900)
    world.check()


@pytest.mark.parametrize(
    ("line", "home", "away", "paid_m"),
    [
        ("0.75", 0, 1, 500),  # gets three quarters, loses by one: half lost
        ("0.75", 0, 0, 2_000),
        ("0.75", 0, 2, 0),
        ("-0.25", 1, 1, 500),
        ("0.25", 1, 1, 1_500),
        ("-0.75", 1, 0, 1_500),
        ("-1", 1, 0, 1_000),
        ("-1.25", 1, 0, 500),
    ],
)
def test_a_quarter_line_is_half_the_stake_on_each_neighbour(line: str, home: int, away: int, paid_m: int) -> None:
    world = stage()
    fields: dict[str, Any] = {"market_type": "asian_handicap", "specifiers": {"line": line}}
    world.defined("match/asian", {"1": 20_000, "2": 20_000}, **fields)
    bet = world.bet("ann", 1_000, ("match/asian", "1", 20_000))
    world.done(co.SettleFixture, fixture="match", score=FootballScore((home, away)))
    world.run()
    assert bet.paid_m == paid_m
    world.check()


@pytest.mark.parametrize(
    ("payout_max_m", "paid_m", "capped_m"),
    [(0, 30_000, 0), (29_000, 30_000, 0), (28_999, 29_999, 1), (10_000, 11_000, 19_000)],
)
def test_what_a_bet_wins_above_its_payout_maximum_is_cut_off(payout_max_m: int, paid_m: int, capped_m: int) -> None:
    """The maximum stands in the bet; a bet of the first release has none."""
    world = stage()
    world.bet("ann", 1_000, HOME, RED, ONE, id="b0")
    event = world.events.pop()
    assert isinstance(event, ev.BetAccepted)
    world.events.append(msgspec.structs.replace(event, payout_max_m=payout_max_m))
    world.restart()
    for path, name in (("match/winner", "home"), ("final/winner", "red"), ("race/winner", "one")):
        world.settle(path, won(name))
    settled = world.events[-2]
    assert isinstance(settled, ev.BetSettled)
    assert (settled.paid_m, settled.capped_m, world.state("b0").capped_m) == (paid_m, capped_m, capped_m)
    world.settle("race/winner", half_lost("one"))
    assert (world.book.bets["b0"].paid_m, world.book.bets["b0"].capped_m) == (3_000, 0)
    world.check()


@pytest.mark.parametrize(("settle_provisional", "status"), [(False, OPEN), (True, LOST)])
def test_a_provisional_result_settles_only_where_the_operator_wants_it(
    settle_provisional: bool,  # noqa: FBT001  (a case)
    status: BetStatus,
) -> None:
    """UOF certainty: 1 provisional, 2 confirmed."""
    world = World(settle_provisional=settle_provisional)
    world.customer("ann", 10_000)
    world.fed_market("match/winner", home=20_000, away=20_000)
    bet = world.bet("ann", 1_000, HOME)
    provisional = (fe.MarketResults("winner", (lost("home"), won("away"))),)
    world.feed(fe.Settlement, fixture="match", markets=provisional, certainty=1)
    world.run()
    assert (bet.status, world.at("match/winner").settled) == (status, settle_provisional)
    confirmed = (fe.MarketResults("winner", (won("home"), lost("away"))),)
    world.feed(fe.Settlement, fixture="match", markets=confirmed, certainty=2)
    world.run()
    assert (bet.status, world.cash("ann")) == (WON, 11_000)
    world.check()


# Order of arrival.

STEPS: dict[str, Callable[[World], object]] = {
    "match is settled": lambda world: world.results("match/winner", won("home")),
    "final is settled": lambda world: world.results("final/winner", won("red")),
    "the window is cancelled": lambda world: world.desk(
        co.CancelMarket, "match/winner", reason="", from_ms=NOON + 100, to_ms=NOON + 200
    ),
    "a bet is voided": lambda world: world.done(co.VoidBet, bet="b4", reason=""),
    "the race is cancelled": lambda world: world.desk(co.CancelMarket, "race/winner", reason=""),
}


def _related_bets(world: World) -> None:
    world.bet("ann", 1_000, HOME, id="b0")
    world.bet("ann", 1_000, HOME, RED, id="b1")
    world.wait(100)
    world.bet("ann", 1_000, HOME, RED, id="b2")
    world.bet("ann", 1_000, HOME, ONE, id="b3")
    world.wait(100)
    world.bet("ann", 1_000, HOME, RED, ONE, id="b4")
    world.bet("ann", 1_000, RED, ("race/winner", "two", 18_000), id="b5")
    world.wait(100)


# b0 won at 2; b1 at 2 x 3; b2 at 1 x 3; b3 wholly void; b4 voided; b5 at 3 x 1.
EXPECTED = {
    "b0": (WON, 2_000),
    "b1": (WON, 6_000),
    "b2": (WON, 3_000),
    "b3": (VOID, 1_000),
    "b4": (VOID, 1_000),
    "b5": (WON, 3_000),
}


@pytest.mark.parametrize("eager", [True, False], ids=["each at once", "slices later"])
def test_order_of_arrival_does_not_matter_to_the_end_state(eager: bool) -> None:  # noqa: FBT001  (a case)
    for order in permutations(STEPS):
        world = stage(slice_max=2)
        _related_bets(world)
        for step in order:
            STEPS[step](world)
            if eager:
                world.run()
            else:
                world.tick()
        world.run()
        world.check()
        assert {bet.id: (bet.status, bet.paid_m) for bet in world.book.bets.values()} == EXPECTED, order
        assert world.cash("ann") == 20_000, order


# Detours that end where they began: what is known last is what counts.
DETOURS: dict[str, Callable[[World], object]] = {
    "settled wrongly, then corrected": lambda world: (
        world.results("match/winner", won("away")),
        world.tick(),
        world.results("match/winner", won("home")),
    ),
    "settled, rolled back, settled": lambda world: (
        world.results("match/winner", won("draw")),
        world.tick(),
        world.desk(co.RollBackMarket, "match/winner", what="results", reason=""),
        world.tick(),
        world.results("match/winner", won("home")),
    ),
    "cancelled, rolled back, settled": lambda world: (
        world.desk(co.CancelMarket, "match/winner", reason=""),
        world.tick(),
        world.results("match/winner", won("home")),
        world.desk(co.RollBackMarket, "match/winner", what="cancel", reason=""),
    ),
    "rolled back before a bet was looked at": lambda world: (
        world.desk(co.CancelMarket, "match/winner", reason=""),
        world.desk(co.RollBackMarket, "match/winner", what="cancel", reason=""),
        world.results("match/winner", won("home")),
    ),
}


@pytest.mark.parametrize("detour", DETOURS)
def test_a_detour_ends_in_the_same_money(detour: str) -> None:
    others = [name for name in STEPS if name not in {"match is settled", "the window is cancelled"}]
    for order in permutations([detour, *others]):
        world = stage(slice_max=2)
        _related_bets(world)
        for step in order:
            (DETOURS.get(step) or STEPS[step])(world)
            world.tick()
        STEPS["the window is cancelled"](world)
        world.run()
        world.check()
        assert {bet.id: (bet.status, bet.paid_m) for bet in world.book.bets.values()} == EXPECTED, order


def test_results_of_a_feed_are_taken_like_the_desks() -> None:
    world = World()
    world.customer("ann", 10_000)
    world.fed_market("match/winner", home=20_000, away=20_000)
    bet = world.bet("ann", 1_000, HOME)
    results = (won("home"), lost("away"))
    for message, reason in (
        ((fe.MarketResults("winner", results),), ""),
        ((fe.MarketResults("winner", results),), "NOTHING_TO_CHANGE"),
        ((fe.MarketResults("winner", results[:1]),), "RESULTS_INCOMPLETE"),
        ((fe.MarketResults("corners", results),), "MARKET_UNKNOWN"),
    ):
        assert getattr(world.feed(fe.Settlement, fixture="match", markets=message), "reason", "") == reason
    world.run()
    assert bet.status == WON
    world.feed(fe.Cancel, fixture="match", markets=("winner", "corners"))
    world.run()
    assert bet.status == VOID
    world.feed(fe.Rollback, fixture="match", markets=("winner",), what="cancel")
    world.feed(fe.Rollback, fixture="match", markets=("winner",), what="results")
    world.run()
    assert bet.status == OPEN
    world.check()


# Slices.


def _crowd(**changed: int) -> World:
    world = World(slice_max=10, **changed)
    world.customer("ann", 1_000_000)
    world.market("match/winner", home=20_000, away=20_000)
    world.market("final/winner", red=30_000)
    for number in range(25):
        world.bet("ann", 100, HOME, id=f"b{number:02}")
    return world


def test_a_settlement_is_done_in_slices_and_others_bet_meanwhile() -> None:
    world = _crowd()
    world.results("match/winner", won("home"))
    settled = []
    while events := world.tick():
        assert len(events) <= 11
        settled.append([event.bet for event in events if isinstance(event, ev.BetSettled)])
        assert isinstance(world.place("ann", 100, RED), Accepted)
        world.check()
    assert [len(bets) for bets in settled] == [10, 10, 5]
    assert [name for bets in settled for name in bets] == [f"b{number:02}" for number in range(25)]


def test_a_market_with_many_bets_does_not_keep_another_waiting() -> None:
    world = _crowd()
    late = world.bet("ann", 100, RED)
    world.results("match/winner", won("home"))
    world.results("final/winner", won("red"))
    world.tick()
    world.tick()
    assert late.status == WON
    assert len(world.at("match/winner").due) == 15


def test_a_correction_amid_the_slices_begins_again() -> None:
    world = _crowd()
    world.results("match/winner", won("home"))
    world.tick()
    world.check()
    world.results("match/winner", won("away"))
    world.run()
    assert {bet.status for bet in world.book.bets.values()} == {LOST}
    assert world.cash("ann") == 1_000_000 - 2_500
    world.check()


def test_every_state_between_slices_survives_a_restart() -> None:
    world = _crowd()
    world.bet("ann", 100, HOME, RED)
    world.results("final/winner", won("red"))
    world.results("match/winner", won("home"))
    while world.tick():
        world.check()
    assert world.cash("ann") == 1_000_000 + 2_500 + 500


# Forgetting.

DAY = 86_400_000


def test_a_market_long_settled_is_forgotten_whole_and_in_slices() -> None:
    world = _crowd()
    world.bet("ann", 100, RED, id="other")
    world.settle("match/winner", won("home"))
    world.wait(DAY - 1)
    assert world.run() == []
    world.wait(1)
    events = world.run()
    assert [(event.bets, event.last) for event in events if isinstance(event, ev.MarketArchived)] == [
        (10, False),
        (10, False),
        (5, True),
    ]
    book = world.book
    assert (list(book.bets), list(book.fixtures), book.closed, book.settling) == (["other"], ["final"], {}, {})
    world.check()


def test_memory_is_flat_over_days_of_closed_markets() -> None:
    """DESIGN 11: all that remains after fifty days is the customer."""
    world = World(payment_retention_ms=600_000)
    world.customer("ann", 1_000_000)
    sizes = []
    day = 0
    for day in range(50):
        world.fed_market(f"m{day}/winner", home=20_000, away=20_000)
        world.image(f"m{day}/totals", home=20_000, away=20_000)
        single = (f"m{day}/winner", "home", 20_000)
        for number in range(5):
            world.bet("ann", 100, single, id=f"{day}-{number}")
            world.place("ann", 100, (f"m{day}/winner", "home", 30_000))
        world.market(f"n{day}/winner", home=20_000)
        world.bet("ann", 100, single, (f"n{day}/winner", "home", 20_000))
        world.settle(f"n{day}/winner", won("home"))
        if day:
            world.settle(f"m{day - 1}/winner", won("home"))
            world.settle(f"m{day - 1}/totals", won("away"))
        world.wait(DAY // 2 + 1)
        world.run()
        book = world.book
        sizes.append((len(book.bets), len(book.fixtures), len(book.closed), len(book.answers), len(book.holds)))
    assert max(sizes[10:]) == max(sizes[5:10])
    world.settle(f"m{day}/winner", won("home"))
    world.settle(f"m{day}/totals", won("home"))
    world.wait(DAY)
    world.run()
    book = world.book
    assert (book.bets, book.fixtures, book.closed, book.settling, book.open_bets) == ({}, {}, {}, {}, 0)
    assert len(book.answers) == sum(map(len, book.expiring)) < 20
    world.check()


def test_a_market_with_an_open_multiple_is_kept_until_that_is_decided() -> None:
    world = stage()
    bet = world.bet("ann", 1_000, HOME, RED)
    world.settle("match/winner", won("home"))
    world.wait(2 * DAY)
    assert world.run() == []
    world.settle("final/winner", won("red"))
    assert bet.status == WON
    world.wait(DAY)
    world.run()
    assert list(world.book.fixtures) == ["race"]
    assert not world.book.bets
    world.check()


def test_with_a_fixture_its_liability_is_forgotten_in_a_replay_too() -> None:
    """What hangs on the score is made exact by ticks; a replay has none, and kept the excess for ever."""
    world = World()
    world.customer("ann", 10_000)
    world.defined("match/result", {"1": 20_000, "x": 30_000, "2": 40_000}, market_type="match_result")
    for side in "1x2":
        world.bet("ann", 1_000, ("match/result", side, 30_000), policy=ANY)
    world.settle("match/result", won("1"))
    world.wait(DAY)
    world.run()
    again = replayed(world.events)
    assert (again.fixtures, again.liability_m, again.levels) == ({}, 0, {})
    invariants.check(again)
    world.check()


def test_a_rollback_saves_a_market_from_being_forgotten() -> None:
    world = stage()
    world.bet("ann", 1_000, HOME)
    for path, winner in (("match/winner", "home"), ("final/winner", "red")):
        world.settle(path, won(winner))
        world.wait(1_000)
        world.roll_back(path)
    world.wait(2 * DAY)
    assert world.run() == []
    assert list(world.book.fixtures) == ["match", "final", "race"]
    world.check()
