"""What the house can lose, kept with every bet (RULEBOOK 4). Stakes of 10.00 at 2.00 and 3.00."""

from __future__ import annotations

import pytest

from core.messages import commands as co
from tests.core.world import World, dead_heat, lost, void, won

A, B, C = (("race/winner", name, price) for name, price in (("a", 20_000), ("b", 30_000), ("c", 50_000)))


@pytest.fixture
def world() -> World:
    world = World(cancel_window_ms=10_000)
    world.customer("ann", 100_000)
    world.market("race/winner", a=20_000, b=30_000, c=50_000)
    world.market("race/places", winners=2, a=15_000, b=20_000, c=30_000)
    world.market("final/winner", red=20_000, blue=20_000)
    return world


@pytest.mark.parametrize(
    ("bets", "liability_m"),
    [
        ([], 0),
        ([A], 1_000),  # a wins: 20.00 - 10.00
        ([A, A], 2_000),
        ([A, B], 1_000),  # b wins: 30.00 - 20.00
        ([A, B, C], 2_000),  # c wins: 50.00 - 30.00
        ([A, A, B], 1_000),  # a wins: 40.00 - 30.00
        ([A, A, A, B], 2_000),
    ],
)
def test_a_markets_liability_is_its_dearest_winner_less_the_stakes(
    world: World, bets: list[tuple[str, str, int]], liability_m: int
) -> None:
    for bet in bets:
        world.bet("ann", 1_000, bet)
    assert world.at("race/winner").liability_m == liability_m
    assert world.book.fixtures["race"].liability_m == liability_m
    assert world.book.liability_m == liability_m
    world.check()


def test_a_liability_is_never_below_zero() -> None:
    world = World()
    world.customer("ann", 100_000)
    world.market("race/winner", a=15_000, b=15_000, c=15_000)
    for name in "abc":
        world.bet("ann", 1_000, ("race/winner", name, 15_000))
    assert world.at("race/winner").liability_m == 0
    world.check()


def test_a_place_market_pays_as_many_as_win(world: World) -> None:
    for name, price in (("a", 15_000), ("b", 20_000), ("c", 30_000)):
        world.bet("ann", 1_000, ("race/places", name, price))
    assert world.at("race/places").liability_m == 2_000  # b and c: 20.00 + 30.00 - 30.00
    world.check()


def test_a_fixture_and_the_book_are_the_sums_of_their_markets(world: World) -> None:
    world.bet("ann", 1_000, C)
    world.bet("ann", 1_000, ("race/places", "c", 30_000))
    world.bet("ann", 1_000, ("final/winner", "red", 20_000))
    assert [fixture.liability_m for fixture in world.book.fixtures.values()] == [6_000, 1_000]
    assert world.book.liability_m == 7_000
    world.check()


RED = ("final/winner", "red", 20_000)


def test_an_open_multiple_counts_at_each_leg_with_its_stake(world: World) -> None:
    world.bet("ann", 1_000, B, RED)
    assert (world.at("race/winner").liability_m, world.at("final/winner").liability_m) == (2_000, 1_000)
    assert world.of("ann").liability_m == 5_000  # 10.00 at 3.00 and 2.00 is 60.00
    world.check()


@pytest.mark.parametrize(
    ("rule", "result", "running_m"),
    [
        ("won at 3.00", won("b"), 3_000),
        ("void", void("b"), 1_000),
        ("dead heat of two", dead_heat("b", 2), 1_500),
        ("dead heat of four", dead_heat("b", 4), 750),
        ("lost", lost("b"), 0),
    ],
)
def test_the_stake_of_a_multiple_runs_on(world: World, rule: str, result: object, running_m: int) -> None:
    bet = world.bet("ann", 1_000, B, RED)
    world.settle("race/winner", result)  # type: ignore[arg-type]
    assert [leg.running_m for leg in bet.legs] == [0, running_m], rule
    assert world.at("race/winner").liability_m == 0
    assert world.at("final/winner").stakes_m == running_m
    assert world.at("final/winner").liability_m == running_m  # red at 2.00 wins as much again
    world.check()


def test_a_correction_changes_what_runs(world: World) -> None:
    world.bet("ann", 1_000, B, RED)
    world.settle("race/winner", won("b"))
    world.settle("race/winner", won("a"))
    assert world.at("final/winner").liability_m == 0
    world.settle("race/winner", void("b"))
    assert world.at("final/winner").liability_m == 1_000
    world.roll_back("race/winner")
    assert (world.at("race/winner").liability_m, world.at("final/winner").liability_m) == (2_000, 1_000)
    world.check()


def test_no_bet_is_refused_in_retrospect_but_the_next_is() -> None:
    """RULEBOOK 4: a leg that wins lifts the others past the limit; open bets stand, new ones do not fit."""
    world = World(liability_market_max_m=2_000)
    world.customer("ann", 100_000)
    world.market("race/winner", a=30_000)
    world.market("final/winner", red=20_000, blue=20_000)
    bet = world.bet("ann", 1_000, ("race/winner", "a", 30_000), RED)
    world.settle("race/winner", won("a"))
    assert world.at("final/winner").liability_m == 3_000
    assert bet.status == 0
    assert getattr(world.place("ann", 10, RED), "reason", "") == "LIABILITY_MARKET"
    world.bet("ann", 10, ("final/winner", "blue", 20_000))
    world.check()


def test_a_closed_bet_costs_nothing_more(world: World) -> None:
    first = world.bet("ann", 1_000, B, RED)
    second = world.bet("ann", 1_000, C)
    third = world.bet("ann", 1_000, A)
    world.done(co.VoidBet, bet=first.id, reason="palpable error")
    world.done(co.CancelBet, customer="ann", bet=third.id)
    assert world.at("race/winner").liability_m == 4_000
    assert world.of("ann").liability_m == 4_000
    world.settle("race/winner", won("c"))
    assert (world.book.liability_m, world.of("ann").liability_m, world.book.open_bets) == (0, 0, 0)
    assert (first.status, second.status, third.status) == (3, 1, 3)
    world.check()
