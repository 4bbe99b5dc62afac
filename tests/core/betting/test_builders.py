"""Bet builders: several markets of one fixture at a provider's combined price (RULEBOOK 2 and 5)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any

import pytest

from core.grading.scores import FootballScore
from core.messages import commands as co
from core.messages import events as ev
from core.messages import feed as fe
from core.messages.answers import Accepted, Rejected
from core.messages.events import BetStatus
from core.messages.results import EachWay, Result
from tests.core.world import NOON, World, dead_heat, half_lost, half_won, lost, refused, void, won

OPEN, WON, LOST, VOID, _ = BetStatus
BUILT = ("match/built", "yes", 60_000)
PARTS = (("result", "1"), ("totals", "over"), ("both", "yes"))
PATHS = ("match/result", "match/totals", "match/both")
NAMES = {"match/result": "1", "match/totals": "over", "match/both": "yes"}


def stage(**changed: int) -> World:
    """Ann has 1 000.00; home win, over and both to score together at 6.0."""
    world = World(**changed)
    world.customer("ann", 100_000)
    world.market("match/result", **{"1": 20_000, "x": 30_000, "2": 40_000})
    world.market("match/totals", over=20_000, under=20_000)
    world.market("match/both", yes=20_000, no=20_000)
    world.defined("match/built", {"yes": 60_000}, parts=PARTS)
    world.market("final/winner", red=20_000, blue=20_000)
    return world


def decide(world: World, path: str, result: Callable[[str], Result]) -> None:
    """The part's own selection comes to this."""
    world.settle(path, result(NAMES[path]))
    world.check()


@pytest.mark.parametrize(
    ("rule", "results", "status", "paid_m"),
    [
        ("all won", (won, won, won), WON, 6_000),
        ("one lost", (won, lost, won), LOST, 0),
        ("all lost", (lost, lost, lost), LOST, 0),
        ("one void: the whole leg", (won, void, won), VOID, 1_000),
        ("one void and one lost", (void, lost, won), LOST, 0),
        ("half won is not won", (won, half_won, won), VOID, 1_000),
        ("half lost is not lost", (won, half_lost, won), VOID, 1_000),
        ("nor is a dead heat a win", (won, won, lambda name: dead_heat(name, 2)), VOID, 1_000),
    ],
)
def test_it_wins_with_all_its_parts_in_whatever_order_they_are_decided(
    rule: str, results: tuple[Callable[[str], Result], ...], status: BetStatus, paid_m: int
) -> None:
    for order in permutations(zip(PATHS, results, strict=True)):
        world = stage()
        bet = world.bet("ann", 1_000, BUILT)
        for path, result in order:
            decide(world, path, result)
        assert (bet.status, bet.paid_m) == (status, paid_m), rule
        assert world.cash("ann") == 99_000 + paid_m


def test_its_first_lost_part_loses_it_at_once() -> None:
    world = stage()
    bet = world.bet("ann", 1_000, BUILT)
    decide(world, "match/totals", lost)
    assert (bet.status, world.of("ann").open_stakes_m) == (LOST, 0)


def test_until_all_parts_are_decided_it_is_open() -> None:
    world = stage()
    bet = world.bet("ann", 1_000, BUILT)
    decide(world, "match/totals", won)
    decide(world, "match/both", void)
    assert bet.status == OPEN
    assert world.state(bet.id).legs[0].result == "open"


def test_in_a_multiple_it_is_a_leg_like_any_other() -> None:
    world = stage()
    bet = world.bet("ann", 1_000, BUILT, ("final/winner", "red", 20_000))
    for path in PATHS:
        decide(world, path, won)
    assert bet.legs[1].running_m == 6_000
    world.settle("final/winner", won("red"))
    assert bet.paid_m == 12_000
    decide(world, "match/both", void)
    assert bet.paid_m == 2_000
    world.check()


def test_it_does_not_go_with_another_market_of_its_fixture() -> None:
    world = stage()
    answer = world.place("ann", 1_000, BUILT, ("match/result", "1", 20_000))
    assert isinstance(answer, Rejected)
    assert (answer.reason, answer.leg) == ("LEGS_NOT_COMBINABLE", 1)


def test_a_correction_or_a_rollback_of_a_part_recomputes_it() -> None:
    world = stage()
    bet = world.bet("ann", 1_000, BUILT)
    for path in PATHS:
        decide(world, path, won)
    assert bet.status == WON
    decide(world, "match/result", lost)
    assert (bet.status, world.cash("ann")) == (LOST, 99_000)
    world.roll_back("match/result")
    assert (bet.status, world.of("ann").open_stakes_m) == (OPEN, 1_000)
    decide(world, "match/result", won)
    assert (bet.status, world.cash("ann")) == (WON, 105_000)
    world.check()


def test_results_of_its_own_go_before_those_of_its_parts() -> None:
    """The provider's word on the combination, in whatever order."""
    for order in permutations(("match/built", *PATHS)):
        world = stage()
        bet = world.bet("ann", 1_000, BUILT)
        for path in order:
            world.settle(path, void("yes") if path == "match/built" else won(NAMES[path]))
            world.check()
        assert (bet.status, bet.paid_m) == (VOID, 1_000)
        world.roll_back("match/built")
        assert (bet.status, bet.paid_m) == (WON, 6_000)
        world.check()


@pytest.mark.parametrize(
    ("from_ms", "to_ms", "statuses"),
    [
        (0, 0, [VOID, VOID, VOID]),
        (0, NOON + 100, [VOID, WON, WON]),
        (NOON + 100, NOON + 200, [WON, VOID, WON]),
        (NOON + 100, 0, [WON, VOID, VOID]),
    ],
)
@pytest.mark.parametrize("cancelled", ["match/totals", "match/built"])
@pytest.mark.parametrize("first", ["cancel", "results"])
def test_a_cancel_of_a_part_or_of_itself_voids_the_bets_of_its_window(
    first: str, cancelled: str, from_ms: int, to_ms: int, statuses: list[BetStatus]
) -> None:
    world = stage()
    bets = []
    for _ in range(3):
        bets.append(world.bet("ann", 1_000, BUILT))
        world.wait(100)
    if first == "cancel":
        world.cancel(cancelled, from_ms, to_ms)
    for path in PATHS:
        decide(world, path, won)
    if first == "results":
        world.cancel(cancelled, from_ms, to_ms)
    assert [bet.status for bet in bets] == statuses
    world.roll_back(cancelled, "cancel")
    assert {bet.status for bet in bets} == {WON}
    world.check()


# When bets are taken.


@pytest.mark.parametrize(
    ("rule", "happens", "reason"),
    [
        ("nothing", lambda _: None, ""),
        ("a part is suspended", lambda w: w.desk(co.SuspendMarket, "match/both"), "MARKET_SUSPENDED"),
        ("it is suspended", lambda w: w.desk(co.SuspendMarket, "match/built"), "MARKET_SUSPENDED"),
        ("a part has results", lambda w: w.settle("match/both", won("yes")), "MARKET_CLOSED"),
        ("a part is cancelled", lambda w: w.cancel("match/both"), "MARKET_CLOSED"),
        ("a part is void for now", lambda w: w.cancel("match/both", 0, NOON + 1), "MARKET_CLOSED"),
        ("a part's time is up", lambda w: _cut_off(w, "match/both", NOON), "CUT_OFF_PASSED"),
        ("a part is not priced", lambda w: w.price("match/both", "yes", 0), ""),
        ("it is not priced", lambda w: w.price("match/built", "yes", 0), "SELECTION_UNPRICED"),
    ],
)
def test_a_part_that_takes_no_bets_stops_it(rule: str, happens: Callable[[World], object], reason: str) -> None:
    world = stage()
    happens(world)
    answer = world.place("ann", 1_000, BUILT)
    assert isinstance(answer, Rejected) == bool(reason), rule
    assert getattr(answer, "reason", "") == reason, rule
    world.check()


CLOSED, SUSPENDED, CUT_OFF = "MARKET_CLOSED", "MARKET_SUSPENDED", "CUT_OFF_PASSED"


@pytest.mark.parametrize(
    ("own", "parts", "reason"),
    [
        (SUSPENDED, CUT_OFF, SUSPENDED),
        (CUT_OFF, SUSPENDED, SUSPENDED),
        (CUT_OFF, CLOSED, CLOSED),
        (CLOSED, SUSPENDED, CLOSED),
        (SUSPENDED, "SELECTION_UNPRICED", SUSPENDED),
    ],
)
def test_of_its_own_obstacles_and_its_parts_the_first_of_the_ladder_is_named(own: str, parts: str, reason: str) -> None:
    faults: dict[str, Callable[[World, str, dict[str, int]], object]] = {
        CLOSED: lambda w, path, _: w.cancel(path),
        SUSPENDED: lambda w, path, _: w.desk(co.SuspendMarket, path),
        CUT_OFF: lambda w, path, prices: w.defined(
            path, prices, cut_off_ms=NOON, parts=PARTS if "built" in path else ()
        ),
        "SELECTION_UNPRICED": lambda w, path, _: w.desk(
            co.WithdrawSelection, path, selection="yes", price=0, at_ms=NOON
        ),
    }
    world = stage()
    faults[parts](world, "match/both", {"yes": 20_000, "no": 20_000})
    world.run()
    faults[own](world, "match/built", {"yes": 60_000})
    assert refused(world.place("ann", 1_000, BUILT)) == reason
    world.check()


def _cut_off(world: World, path: str, at_ms: int) -> None:
    world.defined(path, {"yes": 20_000, "no": 20_000}, cut_off_ms=at_ms)


def test_a_part_that_opens_again_opens_it() -> None:
    world = stage()
    world.settle("match/both", won("yes"))
    world.roll_back("match/both")
    assert isinstance(world.place("ann", 1_000, BUILT), Accepted)
    world.desk(co.SuspendMarket, "match/both")
    world.desk(co.OpenMarket, "match/both")
    assert isinstance(world.place("ann", 1_000, BUILT), Accepted)
    world.check()


# Definitions.


@pytest.mark.parametrize(
    ("rule", "prices", "parts", "detail"),
    [
        ("two selections", {"yes": 20_000, "no": 20_000}, PARTS, "parts: one selection of two or more parts"),
        ("one part", {"yes": 20_000}, PARTS[:1], "parts: one selection of two or more parts"),
        ("two of one market", {"yes": 20_000}, (("result", "1"), ("result", "x")), "parts: one selection of two"),
        ("no such market", {"yes": 20_000}, (*PARTS, ("corners", "over")), "parts: corners over"),
        ("no such selection", {"yes": 20_000}, (("result", "1"), ("both", "maybe")), "parts: both maybe"),
        ("a builder of builders", {"yes": 20_000}, (("result", "1"), ("built", "yes")), "parts: built yes"),
    ],
)
def test_what_is_no_bet_builder_is_not_defined(
    rule: str, prices: dict[str, int], parts: tuple[tuple[str, str], ...], detail: str
) -> None:
    world = stage()
    selections = tuple(co.NamedSelection(name, name) for name in prices)
    fields: dict[str, Any] = {"market_type": "builder", "name": "", "selections": selections, "parts": parts}
    answer = world.desk(co.DefineMarket, "match/wrong", **fields)
    assert isinstance(answer, Rejected), rule
    assert answer.reason == "DEFINITION_NOT_VALID"
    assert answer.detail.startswith(detail)
    world.check()


def test_its_parts_are_for_ever() -> None:
    """A bet on it is one on these."""
    world = stage()
    fields: dict[str, Any] = {"market_type": "winner", "name": "", "selections": (co.NamedSelection("yes", "Yes"),)}
    for parts in (PARTS[:2], ()):
        answer = world.desk(co.DefineMarket, "match/built", parts=parts, **fields)
        assert isinstance(answer, Rejected)
        assert (answer.reason, answer.detail) == ("DEFINITION_NOT_VALID", "parts: they cannot be changed")
    world.defined("match/built", {"yes": 50_000}, parts=PARTS, delay_ms=1_000)
    assert world.at("match/built").delay_ms == 1_000
    assert len(world.at("match/both").combinations) == 1
    world.check()


def test_a_feed_brings_and_prices_it() -> None:
    world = World()
    world.customer("ann", 10_000)
    sides: dict[str, Any] = {"1": 20_000, "2": 20_000}
    world.fed_market("match/result", **sides)
    world.image("match/both", yes=20_000, no=20_000)
    message: dict[str, Any] = {"parts": (("result", "1"), ("both", "yes"))}
    assert refused(world.image("match/built", message={"parts": (("result", "1"),)}, yes=35_000))
    assert world.image("match/built", message=message, yes=35_000) is None
    before = len(world.events)
    assert world.image("match/built", message=message, yes=35_000) is None
    assert len(world.events) == before
    assert refused(world.image("match/built", yes=50_000)) == "DEFINITION_NOT_VALID"
    bet = world.bet("ann", 1_000, ("match/built", "yes", 35_000))
    results = (
        fe.MarketResults("result", (won("1"), lost("2"))),
        fe.MarketResults("both", (won("yes"), lost("no"))),
    )
    world.feed(fe.Settlement, fixture="match", markets=results)
    world.run()
    assert (bet.status, bet.paid_m) == (WON, 3_500)
    world.check()


def test_a_score_decides_it_through_its_parts() -> None:
    world = World()
    world.customer("ann", 10_000)
    world.defined("match/result", {"1": 20_000, "x": 20_000, "2": 20_000}, market_type="match_result")
    world.defined("match/both", {"yes": 20_000, "no": 20_000}, market_type="both_teams_to_score")
    parts = (("result", "1"), ("both", "yes"))
    world.defined("match/built", {"yes": 35_000}, market_type="both_teams_to_score", parts=parts)
    bet = world.bet("ann", 1_000, ("match/built", "yes", 35_000))
    for score, status in ((FootballScore((2, 1)), WON), (FootballScore((1, 1)), LOST)):
        world.done(co.SettleFixture, fixture="match", score=score)
        world.run()
        assert bet.status == status
        world.check()


def test_a_part_that_is_withdrawn_makes_it_void() -> None:
    world = World()
    world.customer("ann", 10_000)
    world.race("derby/win", terms=EachWay(2, 1, 4), a=20_000, b=30_000)
    world.market("derby/time", fast=20_000, slow=20_000)
    world.defined("derby/built", {"yes": 35_000}, parts=(("win", "a"), ("time", "fast")))
    bet = world.bet("ann", 1_000, ("derby/built", "yes", 35_000))
    world.desk(co.WithdrawSelection, "derby/win", selection="a", price=20_000, at_ms=NOON + 1)
    world.run()
    assert refused(world.place("ann", 1_000, ("derby/built", "yes", 35_000))) == "SELECTION_UNPRICED"
    world.settle("derby/time", won("fast"))
    assert (bet.status, bet.paid_m) == (VOID, 1_000)
    world.check()


# Forgetting.


def test_a_part_is_kept_while_its_combination_is() -> None:
    world = stage()
    bet = world.bet("ann", 1_000, BUILT)
    world.bet("ann", 1_000, BUILT, ("final/winner", "red", 20_000))
    for path in PATHS:
        decide(world, path, won)
    world.wait(86_400_000)
    for _ in range(20):
        world.tick()
    assert list(world.book.fixtures["match"].markets) == ["result", "totals", "both", "built"]
    assert bet.id in world.book.bets
    world.check()
    world.settle("final/winner", won("red"))
    world.wait(86_400_000)
    for _ in range(20):
        world.tick()
    archived = [event.market for event in world.events if isinstance(event, ev.MarketArchived)]
    assert archived.index("built") < min(archived.index(market) for market, _ in PARTS)
    assert (world.book.fixtures, world.book.bets) == ({}, {})
    world.check()


@pytest.mark.parametrize("what", ["cancel", "results"])
def test_it_stays_closed_with_its_parts_when_its_own_results_or_cancel_are_taken_back(what: str) -> None:
    """It was open for ever, and its fixture never forgotten."""
    world = stage()
    for path in PATHS:
        decide(world, path, won)
    if what == "cancel":
        world.cancel("match/built")
    else:
        world.settle("match/built", void("yes"))
    world.roll_back("match/built", what)
    assert world.at("match/built").closed_ms
    world.wait(86_400_000)
    for _ in range(20):
        world.tick()
    assert list(world.book.fixtures) == ["final"]
    world.check()
