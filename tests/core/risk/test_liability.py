"""What the house can lose, kept with every bet (RULEBOOK 4). Stakes of 10.00 at 2.00 and 3.00."""

from __future__ import annotations

import pytest

from core import snapshot
from core.messages import commands as co
from core.messages import queries as qu
from core.messages.results import EachWay, Result
from tests.core.world import World, dead_heat, lost, replayed, void, won

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


# Systems, each-way, scores, offers, currencies.


def trio() -> World:
    world = World()
    world.customer("ann", 1_000_000)
    for number in (1, 2, 3):
        world.market(f"m{number}/winner", home=20_000, away=30_000)
    return world


THREE = tuple((f"m{number}/winner", "home", 20_000) for number in (1, 2, 3))


@pytest.mark.parametrize(
    ("result", "running_m"),
    [
        # Four lines of 1.00: two doubles and the treble hold each leg.
        (None, [300, 300, 300]),
        # Won at 2.00: of the legs left, a double with it has 2.00, the treble 2.00, their own double 1.00.
        (won("home"), [0, 500, 500]),
        (void("home"), [0, 300, 300]),
        (dead_heat("home", 4), [0, 200, 200]),  # 0.50, 0.50 and 1.00
        # Lost: only the double of the others is left.
        (lost("home"), [0, 100, 100]),
    ],
)
def test_a_leg_of_a_system_has_what_runs_of_all_its_lines(result: Result | None, running_m: list[int]) -> None:
    world = trio()
    bet = world.bet("ann", 400, *THREE, kind="trixie")
    if result is not None:
        world.settle("m1/winner", result)
    assert [leg.running_m for leg in bet.legs] == running_m
    assert [world.at(f"m{number}/winner").liability_m for number in (1, 2, 3)] == running_m
    assert world.of("ann").liability_m == 2_000 - 400  # three doubles at 4.00 and a treble at 8.00
    world.check()


def test_ways_of_a_fixture_count_at_one_market_each_with_its_own_lines() -> None:
    world = trio()
    bet = world.bet("ann", 200, THREE[0], ("m1/winner", "away", 30_000), THREE[1], folds=(2,))
    assert [leg.running_m for leg in bet.legs] == [100, 100, 200]
    # Home pays 2.00, away 3.00; 2.00 was taken.
    assert (world.at("m1/winner").liability_m, world.at("m2/winner").liability_m) == (100, 200)
    world.check()


def test_a_place_part_is_counted_beside_the_win_part() -> None:
    world = World()
    world.customer("ann", 1_000_000)
    world.race("derby/win", a=210_000, b=50_000, c=60_000, d=70_000, e=80_000)
    bet = world.bet("ann", 1_000, ("derby/win", "a", 210_000), each_way=True)
    # 5.00 at 21.00 wins 100.00; placed at 1 + 20/4 it wins 25.00.
    assert [(leg.running_m, leg.place_running_m) for leg in bet.legs] == [(500, 500)]
    assert world.at("derby/win").liability_m == 10_000 + 2_500
    assert world.of("ann").liability_m == 12_500
    world.check()


def test_place_parts_are_counted_at_the_places_at_which_they_were_taken() -> None:
    """Six places were paid when the bets were taken, three are now: all six can still be placed."""
    world = World()
    world.customer("ann", 1_000_000)
    prices = dict.fromkeys("abcdefgh", 60_000)
    world.race("derby/win", terms=EachWay(6, 1, 5), **prices)
    for name in "abcdef":
        world.bet("ann", 1_000, ("derby/win", name, 60_000), each_way=True)
    # Six place parts of 5.00 at 2.00, less their stakes; whoever wins is paid what was staked to win.
    assert world.at("derby/win").liability_m == 3_000
    for terms in (EachWay(3, 1, 5), None):
        world.defined("derby/win", prices, each_way=terms)
        assert world.at("derby/win").liability_m == 3_000
        world.check()
    world.settle("derby/win", Result("a", 1, position=1))
    assert world.at("derby/win").liability_m == 0
    world.check()


def test_a_market_with_place_parts_does_not_follow_from_the_score() -> None:
    world = World()
    world.customer("ann", 1_000_000)
    prices = {"1": 50_000, "x": 50_000, "2": 50_000}
    world.defined("match/result", prices, market_type="match_result", each_way=EachWay(1, 1, 1))
    world.bet("ann", 1_000, ("match/result", "1", 50_000), each_way=True)
    world.tick()
    assert world.at("match/result").liability_m == world.book.fixtures["match"].liability_m == 4_000
    # Nor where no more of them are taken.
    world.defined("match/result", prices, market_type="match_result")
    world.tick()
    for book in (world.book, replayed(world.events), snapshot.restore(snapshot.encode(world.book))):
        assert book.fixtures["match"].liability_m == book.liability_m == 4_000
    world.check()


def score_markets() -> World:
    world = World()
    world.customer("ann", 1_000_000)
    for path, market_type, line, prices in (
        ("match/result", "match_result", "", {"1": 20_000, "x": 30_000, "2": 40_000}),
        ("match/goals", "total_goals", "2.5", {"over": 20_000, "under": 20_000}),
        ("match/both", "both_teams_to_score", "", {"yes": 20_000, "no": 20_000}),
    ):
        world.defined(path, prices, market_type=market_type, specifiers={"line": line} if line else {})
    return world


def test_markets_that_hang_on_one_score_are_one_number() -> None:
    """RULEBOOK 4: a 2-1 that wins in several markets at once costs their sum; what cannot come together does not."""
    world = score_markets()
    for path, selection in (("match/result", "1"), ("match/goals", "over"), ("match/both", "yes")):
        world.bet("ann", 1_000, (path, selection, 20_000))
    world.tick()
    assert world.book.fixtures["match"].liability_m == 3_000
    world.bet("ann", 2_000, ("match/goals", "under", 20_000))
    world.tick()
    # 2-1 costs 10 + 10 - 20 + 10; 1-0: 10 + 20 - 10 - 10; 1-1: -10 + 20 - 10 + 10.
    assert world.book.fixtures["match"].liability_m == 1_000
    assert [world.at(f"match/{name}").liability_m for name in ("result", "goals", "both")] == [1_000, 1_000, 1_000]
    world.check()


def test_a_refusal_knows_the_score_though_acceptances_take_the_bound() -> None:
    world = score_markets()
    world.done(co.SetLimit, fixture="match", liability_max_m=1_500)
    world.bet("ann", 1_000, ("match/goals", "over", 20_000))
    world.bet("ann", 400, ("match/goals", "under", 20_000))
    # By the bound 14.00, in truth 6.00.
    assert world.book.fixtures["match"].liability_m == 1_400
    world.bet("ann", 900, ("match/both", "yes", 20_000))
    assert world.book.fixtures["match"].liability_m == 1_500
    assert getattr(world.place("ann", 10, ("match/both", "yes", 20_000)), "reason", "") == "LIABILITY_FIXTURE"
    world.check()


def test_a_market_may_be_defined_anew_when_its_bets_are_gone_from_the_score_grid() -> None:
    world = score_markets()
    gone = world.bet("ann", 1_000, ("match/result", "1", 20_000))
    world.bet("ann", 1_000, ("match/goals", "over", 20_000))
    world.tick()
    world.done(co.VoidBet, bet=gone.id, reason="palpable")
    prices = {"1": 20_000, "x": 30_000, "2": 40_000}
    for more in ({}, {"other": 50_000}):
        world.defined("match/result", prices | more, market_type="match_result")
        world.bet("ann", 500, ("match/goals", "over", 20_000))
        world.tick()
    assert world.book.fixtures["match"].liability_m == 2_000
    world.check()


def test_an_offer_counts_until_it_is_taken_or_not() -> None:
    world = World(stake_max_m=1_000)
    world.customer("ann", 100_000)
    world.market("race/winner", a=20_000, b=30_000)
    ends = (world.decline, 0), (world.take, 5_000)
    for end, left_m in ends:
        waiting = world.waiting("ann", 5_000, ("race/winner", "a", 20_000), refer=True)
        assert world.at("race/winner").liability_m == 0
        world.judge(waiting.id, "offer", stake_m=2_500, prices=(30_000,))
        assert (world.at("race/winner").liability_m, world.of("ann").liability_m) == (5_000, 5_000)
        world.check()
        end("ann", waiting.id)
        assert (world.at("race/winner").liability_m, world.of("ann").liability_m) == (left_m, left_m)
        world.check()


def test_liability_is_in_the_books_currency_at_the_rate_of_the_bet() -> None:
    world = World()
    world.market("race/winner", a=20_000, b=30_000)
    world.done(co.SetRate, currency="GBP", rate=1_170_000)
    world.done(co.OpenCustomer, customer="bob", currency="GBP")
    world.done(co.Deposit, customer="bob", amount_m=10_000, provider="bank")
    world.bet("bob", 1_001, ("race/winner", "a", 20_000))
    # 10.01 GBP are 11.7117 EUR, taken as 11.72.
    assert (world.at("race/winner").liability_m, world.of("bob").liability_m) == (1_172, 1_172)
    world.done(co.SetRate, currency="GBP", rate=2_000_000)
    assert world.at("race/winner").liability_m == 1_172
    world.check()
    world.settle("race/winner", won("b"))
    assert world.book.liability_m == 0
    world.check()


def test_what_was_sold_runs_no_more() -> None:
    world = World()
    world.customer("ann", 100_000)
    world.market("race/winner", a=20_000, b=20_000)
    bet = world.bet("ann", 1_000, ("race/winner", "a", 20_000))
    quote = world.send(qu.GetCashOut("ann", bet.id, 2_500))
    world.done(co.CashOut, customer="ann", bet=bet.id, offer_m=quote.offer_m)  # type: ignore[union-attr]
    assert [leg.running_m for leg in bet.legs] == [750]
    assert (world.at("race/winner").liability_m, world.of("ann").liability_m) == (750, 750)
    world.check()
