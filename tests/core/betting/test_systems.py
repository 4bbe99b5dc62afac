"""Bets of many lines: which there are, what they cost, what they pay (RULEBOOK 1, 2 and 5)."""

from __future__ import annotations

from typing import Any

import pytest

from core.messages import commands as co
from core.messages import events as ev
from core.messages.answers import Accepted, Answer, Done, Rejected
from core.messages.commands import Leg
from core.messages.events import BetStatus
from core.messages.results import EachWay, Result
from core.results import settling
from tests.core.world import World, dead_heat, half_lost, leg, lost, void, won

OPEN, WON, LOST, VOID, _ = BetStatus
PRICES = (20_000, 30_000, 40_000, 50_000)
"""2, 3, 4 and 5: what four legs pay can be added up by hand."""


def stage(*prices: int, **changed: int) -> World:
    """Ann has 10 000.00; fixtures m1, m2, ... whose `yes` has these prices."""
    world = World(**changed)
    world.customer("ann", 1_000_000)
    for number, price in enumerate(prices, start=1):
        world.market(f"m{number}/winner", yes=price, no=20_000)
    return world


def yes(world: World, *numbers: int, bankers: tuple[int, ...] = ()) -> tuple[Leg, ...]:
    """The `yes` of these fixtures, at the live price."""
    return tuple(
        leg(f"m{number}/winner", "yes", world.at(f"m{number}/winner").selections["yes"].price, banker=number in bankers)
        for number in numbers
    )


def place(world: World, stake_m: int, legs: tuple[Leg, ...], **fields: Any) -> Answer | None:
    return world.command(co.PlaceBet, customer="ann", stake_m=stake_m, legs=legs, **fields)


def taken(world: World, stake_m: int, legs: tuple[Leg, ...], **fields: Any) -> Accepted:
    answer = place(world, stake_m, legs, **fields)
    assert isinstance(answer, Accepted), answer
    return answer


def reason(answer: Answer | None) -> tuple[str, int, int]:
    """Reason, leg and limit of a refusal."""
    assert isinstance(answer, Rejected), answer
    return answer.reason, answer.leg, answer.limit


# Which lines.


@pytest.mark.parametrize(
    ("kind", "legs", "lines"),
    [
        ("trixie", 3, 4),
        ("patent", 3, 7),
        ("yankee", 4, 11),
        ("lucky15", 4, 15),
        ("canadian", 5, 26),
        ("super_yankee", 5, 26),
        ("lucky31", 5, 31),
        ("heinz", 6, 57),
        ("lucky63", 6, 63),
        ("super_heinz", 7, 120),
        ("goliath", 8, 247),
    ],
)
def test_a_named_kind_has_the_lines_that_it_is_known_for(kind: str, legs: int, lines: int) -> None:
    world = stage(*[20_000] * 8)
    answer = taken(world, 100, yes(world, *range(1, legs + 1)), kind=kind, unit_stake=True, lines=lines)
    assert (answer.lines, answer.stake_m) == (lines, 100 * lines)
    assert reason(place(world, 1_000, yes(world, *range(1, legs)), kind=kind))[0] == "KIND_UNKNOWN"
    world.check()


@pytest.mark.parametrize(
    ("rule", "kind", "folds"),
    [
        ("no such kind", "grand_slam", ()),
        ("a kind and folds", "trixie", (2,)),
        ("more than there are fixtures", "", (4,)),
        ("one size twice", "", (2, 2)),
    ],
)
def test_what_is_no_kind_of_bet_is_refused(rule: str, kind: str, folds: tuple[int, ...]) -> None:
    world = stage(*PRICES[:3])
    assert reason(place(world, 1_000, yes(world, 1, 2, 3), kind=kind, folds=folds))[0] == "KIND_UNKNOWN", rule
    world.check()


@pytest.mark.parametrize(
    ("rule", "fixtures", "folds", "bankers", "lines"),
    [
        ("2 of 4", (1, 2, 3, 4), (2,), (), 6),
        ("2 and 4 of 4", (1, 2, 3, 4), (2, 4), (), 7),
        ("in any order", (1, 2, 3, 4), (4, 2), (), 7),
        ("3 of 5, two of one fixture: 7 trebles [MTS 10.7]", (1, 1, 2, 3, 4), (3,), (), 7),
        ("2 of 3, two of one fixture: 2 doubles [MTS 10.11]", (1, 1, 2), (2,), (), 2),
        ("one banker and 2 of 3", (1, 2, 3, 4), (2,), (1,), 3),
        ("two bankers and 1 of 2", (1, 2, 3, 4), (1,), (1, 2), 2),
        ("a banker with two ways", (1, 1, 2, 3), (1,), (1,), 4),
    ],
)
def test_folds_ways_and_bankers(
    rule: str, fixtures: tuple[int, ...], folds: tuple[int, ...], bankers: tuple[int, ...], lines: int
) -> None:
    world = stage(*PRICES)
    seen: list[int] = []
    legs = []
    for number in fixtures:  # a fixture named again: its other selection
        (first,) = yes(world, number, bankers=bankers)
        again = Leg(first.fixture, first.market, "no", 20_000, number in bankers)
        legs.append(again if number in seen else first)
        seen.append(number)
    assert taken(world, 100 * lines, tuple(legs), folds=folds).lines == lines, rule
    assert reason(place(world, 1_000, tuple(legs), folds=folds, lines=lines + 1)) == ("LINES_MISMATCH", -1, lines)
    world.check()


def test_a_unit_stake_is_staked_on_each_line_and_a_total_stake_spread() -> None:
    world = stage(*PRICES)
    unit = taken(world, 100, yes(world, 1, 2, 3, 4), kind="yankee", unit_stake=True)
    total = taken(world, 1_100, yes(world, 1, 2, 3, 4), kind="yankee")
    assert (unit.stake_m, unit.payout_m) == (total.stake_m, total.payout_m) == (1_100, 34_500)
    assert world.cash("ann") == 1_000_000 - 2_200
    world.check()


def test_a_unit_stake_of_a_single_is_its_stake() -> None:
    world = stage(*PRICES)
    assert taken(world, 100, yes(world, 1), unit_stake=True).stake_m == 100


def test_each_line_needs_a_minor_unit() -> None:
    world = stage(*PRICES, stake_min_m=1)
    assert reason(place(world, 10, yes(world, 1, 2, 3, 4), kind="yankee")) == ("STAKE_TOO_SMALL", -1, 11)
    assert taken(world, 11, yes(world, 1, 2, 3, 4), kind="yankee").lines == 11


def test_lines_are_counted_by_formula_before_any_is_written_out() -> None:
    """10 of 20 are 184 756 lines: refused with the bound, and at once; so is what each-way makes too many."""
    world = stage(*[20_000] * 20)
    all_of_them = yes(world, *range(1, 21))
    assert reason(place(world, 10**6, all_of_them, folds=(10,))) == ("TOO_MANY_COMBINATIONS", -1, 20_000)
    assert reason(place(world, 10**6, all_of_them, folds=tuple(range(1, 21))))[0] == "TOO_MANY_COMBINATIONS"


@pytest.mark.parametrize(("lines_max", "refusal"), [(11, ""), (10, "TOO_MANY_COMBINATIONS")])
def test_the_bound_of_lines(lines_max: int, refusal: str) -> None:
    world = stage(*PRICES, lines_max=lines_max)
    answer = place(world, 1_100, yes(world, 1, 2, 3, 4), kind="yankee")
    assert getattr(answer, "reason", "") == refusal
    assert getattr(answer, "limit", 0) == (lines_max if refusal else 0)


# What does not go together.


@pytest.mark.parametrize(
    ("rule", "legs", "fields", "refused_leg"),
    [
        ("two selections of a market", ("m1/winner yes", "m1/winner no"), {}, 1),
        ("two markets of a fixture", ("m1/winner yes", "m2/winner yes", "m1/goals yes"), {}, 2),
        ("they are ways in a system", ("m1/winner yes", "m2/winner yes", "m1/goals yes"), {"folds": (2,)}, None),
        ("so are two of a market", ("m1/winner yes", "m2/winner yes", "m1/winner no"), {"folds": (2,)}, None),
        ("the same selection twice", ("m1/winner yes", "m2/winner yes", "m1/winner yes"), {"folds": (2,)}, 2),
        (
            "a banker and another of one fixture",
            ("m1/winner yes*", "m2/winner yes", "m1/goals yes"),
            {"folds": (1,)},
            2,
        ),
        ("a match and its competition's outright", ("m1/winner yes", "cup/outright red"), {}, 1),
        ("the other way round", ("cup/outright red", "m1/winner yes"), {}, 1),
        ("nor in a system", ("cup/outright red", "m1/winner yes"), {"folds": (1,)}, 1),
        ("another competition's outright", ("m1/winner yes", "league/outright red"), {}, None),
        ("two outrights", ("cup/outright red", "league/outright red"), {}, None),
        ("an outright that stands in its own competition", ("m1/winner yes", "masters/outright red"), {}, None),
        ("its selections are ways", ("masters/outright red", "masters/outright blue"), {"folds": (1,)}, None),
    ],
)
def test_legs_that_do_not_go_together(
    rule: str, legs: tuple[str, ...], fields: dict[str, Any], refused_leg: int | None
) -> None:
    world = stage(*PRICES)
    world.market("m1/goals", yes=20_000, no=20_000)
    for competition in ("cup", "league"):
        world.fixture(competition, competition="seasons", outright_of=competition)
        world.market(f"{competition}/outright", red=20_000, blue=20_000)
    world.fixture("masters", competition="masters", outright_of="masters")
    world.market("masters/outright", red=20_000, blue=20_000)
    asked = []
    for each in legs:
        path, selection = each.rstrip("*").split()
        asked.append(leg(path, selection, world.at(path).selections[selection].price, banker=each.endswith("*")))
    answer = place(world, 1_000, tuple(asked), **fields)
    if refused_leg is None:
        assert isinstance(answer, Accepted), rule
    else:
        assert reason(answer)[:2] == ("LEGS_NOT_COMBINABLE", refused_leg), rule
    world.check()


# What they pay.

W, L, V, DH, HL = won("yes"), lost("yes"), void("yes"), dead_heat("yes", 2), half_lost("yes")


def settled(world: World, bet: str, *results: Result) -> tuple[BetStatus, int]:
    """What the bet has come to once these results, as far as they are new, are known in turn."""
    for number, result in enumerate(results, start=1):
        if world.at(f"m{number}/winner").selections["yes"].result != result:
            world.settle(f"m{number}/winner", result)
            world.check()
    state = world.book.bets[bet]
    return BetStatus(state.status), state.paid_m


@pytest.mark.parametrize(
    ("rule", "kind", "results", "status", "paid_m"),
    [
        # Doubles 6 + 8 + 10 + 12 + 15 + 20, trebles 24 + 30 + 40 + 60, and 120.
        ("all won", "yankee", (W, W, W, W), WON, 34_500),
        ("5.0 lost: 6 + 8 + 12 and 24", "yankee", (W, W, W, L), WON, 5_000),
        ("only one double", "yankee", (W, W, L, L), WON, 600),
        ("one winner is no double", "yankee", (L, L, W, L), LOST, 0),
        ("4.0 void: 6 + 2 + 10 + 3 + 15 + 5, 6 + 30 + 10 + 15, 30", "yankee", (W, W, V, W), WON, 13_200),
        ("4.0 a dead heat: 6 + 4 + 10 + 6 + 15 + 10, 12 + 30 + 20 + 30, 60", "yankee", (W, W, DH, W), WON, 20_300),
        ("5.0 half lost: 6 + 8 + 1 + 12 + 1.5 + 2, 24 + 3 + 4 + 6, 12", "yankee", (W, W, W, HL), WON, 7_950),
        ("2.0 won, the rest void: 2 x (3 + 3 + 1), 3 and 1", "yankee", (W, V, V, V), WON, 1_800),
        ("all void: the stake", "yankee", (V, V, V, V), VOID, 1_100),
        ("void and lost: one void double is left", "yankee", (V, V, L, L), WON, 100),
        ("all won, the singles too", "lucky15", (W, W, W, W), WON, 35_900),
        ("one single", "lucky15", (W, L, L, L), WON, 200),
        ("4.0 void", "lucky15", (W, W, V, W), WON, 14_300),
        ("all lost", "lucky15", (L, L, L, L), LOST, 0),
        ("all void: the stake", "lucky15", (V, V, V, V), VOID, 1_500),
    ],
)
def test_a_system_of_four_at_2_3_4_and_5(
    rule: str, kind: str, results: tuple[Result, ...], status: BetStatus, paid_m: int
) -> None:
    world = stage(*PRICES)
    bet = taken(world, 100, yes(world, 1, 2, 3, 4), kind=kind, unit_stake=True)
    assert settled(world, bet.id, *results) == (status, paid_m), rule
    assert world.cash("ann") == 1_000_000 - bet.stake_m + paid_m


@pytest.mark.parametrize(
    ("rule", "prices", "kind", "stake_m", "paid_m"),
    [
        # Doubles at 17.77, a treble at 23.70; the sum of all, rounded once, would be 77.
        ("each line is rounded down", (13_333, 13_333, 13_333), "trixie", 40, 17 * 3 + 23),
        # Each line stakes 142.857: singles 285.71, doubles 571.43, a treble 1142.86.
        (
            "a stake that does not divide by the lines",
            (20_000, 20_000, 20_000),
            "patent",
            1_000,
            285 * 3 + 571 * 3 + 1_142,
        ),
    ],
)
def test_every_line_is_rounded_down_by_itself(
    rule: str, prices: tuple[int, ...], kind: str, stake_m: int, paid_m: int
) -> None:
    world = stage(*prices)
    bet = taken(world, stake_m, yes(world, 1, 2, 3), kind=kind)
    assert settled(world, bet.id, W, W, W) == (WON, paid_m), rule


@pytest.mark.parametrize(
    ("rule", "results", "status", "paid_m"),
    [
        ("all won: 2 x (12 + 15 + 20)", (W, W, W, W), WON, 9_400),
        ("the banker is lost", (L, W, W, W), LOST, 0),
        ("the banker is void: 12 + 15 + 20", (V, W, W, W), WON, 4_700),
        ("one of the others is lost: 2 x 20", (W, L, W, W), WON, 4_000),
        ("one of the others is left", (W, L, L, W), LOST, 0),
    ],
)
def test_a_banker_stands_in_every_line(rule: str, results: tuple[Result, ...], status: BetStatus, paid_m: int) -> None:
    world = stage(*PRICES)
    bet = taken(world, 300, yes(world, 1, 2, 3, 4, bankers=(1,)), folds=(2,))
    assert settled(world, bet.id, *results) == (status, paid_m), rule


def test_a_lost_banker_loses_the_bet_at_once() -> None:
    world = stage(*PRICES)
    bet = taken(world, 300, yes(world, 1, 2, 3, 4, bankers=(1,)), folds=(2,))
    assert settled(world, bet.id, L) == (LOST, 0)
    assert world.of("ann").open_stakes_m == 0


def test_a_system_is_lost_as_soon_as_no_line_can_win() -> None:
    world = stage(*PRICES)
    bet = taken(world, 1_100, yes(world, 1, 2, 3, 4), kind="yankee")
    assert settled(world, bet.id, L, L) == (OPEN, 0)
    assert settled(world, bet.id, L, L, L)[0] == LOST


def test_of_two_ways_at_most_one_wins_and_no_line_holds_both() -> None:
    world = stage(*PRICES)
    world.market("m1/goals", over=25_000, under=15_000)
    legs = (*yes(world, 1, 2, 3), leg("m1/goals", "over", 25_000))
    bet = taken(world, 100, legs, folds=(2,), unit_stake=True, lines=5)
    world.settle("m1/winner", won("yes"))
    world.settle("m1/goals", won("over"))
    world.settle("m2/winner", won("yes"))
    world.settle("m3/winner", won("yes"))
    # 2 x 3, 2 x 4, 3 x 4, 3 x 2.5, 4 x 2.5.
    assert world.book.bets[bet.id].paid_m == 600 + 800 + 1_200 + 750 + 1_000
    world.check()


def test_legs_of_one_market_are_one_bet_of_it() -> None:
    """It is settled once, and forgotten once."""
    world = stage(*PRICES)
    legs = (*yes(world, 1, 2), Leg("m1", "winner", "no", 20_000))
    bet = taken(world, 200, legs, folds=(2,), lines=2)
    assert world.at("m1/winner").open_bets == len(world.at("m1/winner").bets) == 1
    world.check()
    assert settled(world, bet.id, W, W) == (WON, 600)
    world.wait(86_400_000)
    world.run()
    assert not world.book.bets
    world.check()


@pytest.mark.parametrize("fields", [{"kind": "patent"}, {"folds": (1, 2, 3)}])
def test_a_correction_a_void_and_a_rollback_recompute_a_system(fields: dict[str, Any]) -> None:
    world = stage(*PRICES)
    bet = taken(world, 700, yes(world, 1, 2, 3), **fields)
    # 2 + 3 + 4, 6 + 8 + 12, 24.
    assert settled(world, bet.id, W, W, W) == (WON, 5_900)
    assert settled(world, bet.id, W, W, L) == (WON, 1_100)
    world.done(co.VoidBet, bet=bet.id, reason="palpable error", leg=1)
    # 2 + 1 and 2.
    assert (world.book.bets[bet.id].status, world.book.bets[bet.id].paid_m) == (WON, 500)
    world.roll_back("m3/winner")
    assert (world.book.bets[bet.id].status, world.cash("ann")) == (OPEN, 1_000_000 - 700)
    world.check()


def test_what_runs_on_the_legs_of_a_system_follows_its_lines() -> None:
    """RULEBOOK 4: each line counts at its leg with its stake times what its decided legs have made of it."""
    world = stage(*PRICES)
    bet = taken(world, 300, yes(world, 1, 2, 3), folds=(2,))
    assert [each.running_m for each in world.book.bets[bet.id].legs] == [200, 200, 200]
    world.settle("m1/winner", W)
    assert [each.running_m for each in world.book.bets[bet.id].legs] == [0, 300, 300]
    world.settle("m2/winner", L)
    assert [each.running_m for each in world.book.bets[bet.id].legs] == [0, 0, 200]
    world.check()


@pytest.mark.parametrize("bankers", [(), (1,), (1, 2)])
def test_an_n_fold_may_name_bankers(bankers: tuple[int, ...]) -> None:
    """Every leg of it stands in its line anyway; also each-way."""
    world = stage(*PRICES)
    for number in (1, 2):
        world.race(f"r{number}/win", terms=EachWay(2, 1, 4), a=50_000, b=50_000)
    plain = taken(world, 100, yes(world, 1, 2, bankers=bankers))
    legs = tuple(leg(f"r{number}/win", "a", 50_000, banker=number in bankers) for number in (1, 2))
    each_way = taken(world, 200, legs, each_way=True)
    assert (plain.payout_m, each_way.payout_m) == (600, 2_500 + 400)
    for number in (1, 2):
        world.settle(f"r{number}/win", Result("a", 1, position=1), Result("b", 0, position=2))
    assert world.book.bets[each_way.id].paid_m == 2_900
    world.check()


# Large ones.

RACES = 18
FOLDS = (1, 2, 3, 5)
"""Of 18: 18 + 153 + 816 + 8 568 lines, each-way twice as many."""
LINES = 19_110
FIRST = (Result("a", 1, position=1), Result("b", 0, position=2))
# At 1.5, and 1.1 for a place; each line stakes 10.
WIN_M = 15 * 18 + 22 * 153 + 33 * 816 + 75 * 8_568
PLACE_M = 11 * 18 + 12 * 153 + 13 * 816 + 16 * 8_568


def meeting() -> World:
    """Ann has a system of 19 110 lines over the first 18 of 19 races; the races up to the 17th are run, and won."""
    world = stage(20_000, stake_max_m=10**9, slice_max=10, slice_lines_max=2_000)
    for number in range(1, RACES + 2):
        world.race(f"r{number}/win", terms=EachWay(2, 1, 5), a=15_000, b=30_000)
    big(world, "big", *range(1, RACES + 1))
    return world


def big(world: World, name: str, *races: int) -> None:
    legs = tuple(leg(f"r{number}/win", "a", 15_000) for number in races)
    fields: dict[str, Any] = {"folds": FOLDS, "each_way": True, "unit_stake": True, "lines": LINES}
    taken(world, 10, legs, id=name, **fields)


def test_a_large_system_is_counted_over_several_ticks_and_others_are_settled_meanwhile() -> None:
    world = meeting()
    for number in range(1, RACES):
        world.settle(f"r{number}/win", *FIRST)
    world.bet("ann", 100, ("m1/winner", "yes", 20_000), id="other")
    world.results(f"r{RACES}/win", *FIRST)
    world.tick()
    world.results("m1/winner", won("yes"))
    ticks = 1
    while world.book.settling:
        world.tick()
        ticks += 1
        if world.book.bets["big"].status == OPEN and ticks > 3:
            assert world.book.bets["other"].status == WON
    # Five slices of up to 2 000 lines for each of the two parts, and one for the other bet.
    assert ticks == 11
    assert (world.book.bets["big"].status, world.book.bets["big"].paid_m) == (WON, WIN_M + PLACE_M) == (WON, 822_894)
    assert not world.book.tallies
    world.check()


def test_two_large_systems_of_two_markets_do_not_undo_each_others_count() -> None:
    """With one count for all of them neither was ever finished."""
    world = meeting()
    big(world, "bigger", *range(1, RACES), RACES + 1)
    for number in range(1, RACES):
        world.settle(f"r{number}/win", *FIRST)
    world.results(f"r{RACES}/win", *FIRST)
    world.results(f"r{RACES + 1}/win", *FIRST)
    for _ in range(20):
        world.tick()
    assert not world.book.settling
    assert [world.book.bets[name].paid_m for name in ("big", "bigger")] == [822_894, 822_894]
    assert not world.book.tallies
    world.check()


def test_a_correction_amid_the_count_begins_it_again() -> None:
    world = meeting()
    for number in range(1, RACES):
        world.settle(f"r{number}/win", *FIRST)
    world.results(f"r{RACES}/win", *FIRST)
    for _ in range(3):
        world.tick()
    assert world.book.bets["big"].status == OPEN
    world.results(f"r{RACES}/win", Result("b", 1, position=1), Result("a", 0, position=2))
    world.run()
    # The win part is that of 17: 17 + 136 + 680 + 6 188 lines; the place part is as it was.
    win_m = 15 * 17 + 22 * 136 + 33 * 680 + 75 * 6_188
    assert world.book.bets["big"].paid_m == win_m + PLACE_M == 639_517
    world.check()


def test_a_void_amid_the_count_needs_no_lines() -> None:
    world = meeting()
    for number in range(1, RACES + 1):
        world.results(f"r{number}/win", *FIRST)
    for _ in range(RACES + 2):
        world.tick()
    assert world.book.bets["big"].status == OPEN
    world.done(co.VoidBet, bet="big", reason="palpable error")
    due = len(world.book.settling)
    for _ in range(due):
        world.tick()
    assert not world.book.settling
    assert (world.book.bets["big"].status, world.cash("ann")) == (VOID, 1_000_000)
    assert not world.book.tallies
    world.check()


def test_a_void_of_a_leg_of_a_large_system_is_counted_over_several_ticks() -> None:
    """Its lines were counted in the very turn of the command, twice."""
    world = meeting()
    for number in range(1, RACES + 1):
        world.settle(f"r{number}/win", *FIRST)
    bet, before = world.book.bets["big"], len(world.events)
    assert bet.paid_m == WIN_M + PLACE_M
    world.done(co.VoidBet, bet="big", leg=0, reason="palpable error")
    assert [type(event) for event in world.events[before:]] == [ev.BetVoided]
    ticks = 0
    while world.book.voided:
        assert bet.paid_m == WIN_M + PLACE_M
        world.tick()
        ticks += 1
    # Of the two parts ten slices of up to 2 000 lines, of which the command has done the first.
    assert ticks == 9
    assert [type(event) for event in world.events[before:]] == [ev.BetVoided, ev.BetSettled]
    counted = world.cash("ann")
    assert not world.book.tallies
    world.check()
    straight = meeting()
    straight.done(co.VoidBet, bet="big", leg=0, reason="palpable error")
    for number in range(1, RACES + 1):
        straight.settle(f"r{number}/win", *FIRST)
    assert (straight.cash("ann"), straight.book.bets["big"].paid_m) == (counted, bet.paid_m)


def test_a_void_of_a_leg_that_is_void_already_leaves_no_count_behind_that_another_has_overtaken() -> None:
    """There is room for so many counts; with all of it taken for ever no large system was settled any more."""
    world = meeting()
    for number in range(1, RACES):
        world.settle(f"r{number}/win", *FIRST)
    assert isinstance(world.desk(co.CancelMarket, f"r{RACES}/win", reason="fog"), Done)
    for _ in range(3):
        world.tick()
    world.done(co.VoidBet, bet="big", leg=RACES - 1, reason="fog")
    world.run()
    assert world.book.bets["big"].status == WON
    assert not world.book.tallies
    world.check()


def test_a_correction_of_another_leg_amid_the_count_is_not_mixed_up_with_it() -> None:
    world = meeting()
    for number in range(1, RACES):
        world.settle(f"r{number}/win", *FIRST)
    world.results(f"r{RACES}/win", *FIRST)
    for _ in range(3):
        world.tick()
    world.results("r1/win", Result("b", 1, position=1), Result("a", 0, position=2))
    world.run()
    assert [event.paid_m for event in world.events if isinstance(event, ev.BetSettled)] == [639_517]
    world.check()


def test_a_slice_is_bounded_by_lines_as_well_as_by_bets() -> None:
    world = stage(*[15_000] * 6, slice_lines_max=100)
    for number in range(4):
        taken(world, 630, yes(world, *range(1, 7)), kind="lucky63", id=f"b{number}")
    for number in range(1, 6):
        world.settle(f"m{number}/winner", W)
    world.results("m6/winner", W)
    done = []
    while world.book.settling:
        done.append(sum(isinstance(event, ev.BetSettled) for event in world.tick()))
    assert done == [1, 1, 1, 1]
    world.check()


def test_a_crash_amid_the_count_ends_in_the_same_money() -> None:
    """The count is live; the next engine begins it anew."""
    world = meeting()
    for number in range(1, RACES):
        world.settle(f"r{number}/win", *FIRST)
    world.results(f"r{RACES}/win", *FIRST)
    for _ in range(4):
        world.tick()
    world.check()
    world.restart()
    world.run()
    assert world.book.bets["big"].paid_m == 822_894
    assert [event.paid_m for event in world.events if isinstance(event, ev.BetSettled)] == [822_894]
    world.check()


def test_no_more_large_systems_are_counted_at_once_than_the_bound_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each holds memory; the others wait for their turn, and all are paid."""
    monkeypatch.setattr(settling, "TALLIES_MAX", 1)
    world = meeting()
    big(world, "bigger", *range(1, RACES), RACES + 1)
    for number in range(1, RACES):
        world.settle(f"r{number}/win", *FIRST)
    world.results(f"r{RACES}/win", *FIRST)
    world.results(f"r{RACES + 1}/win", *FIRST)
    while world.book.settling:
        world.tick()
        assert len(world.book.tallies) <= 1
    assert [world.book.bets[name].paid_m for name in ("big", "bigger")] == [822_894, 822_894]
    world.check()


def test_a_large_system_that_cannot_win_is_not_counted() -> None:
    world = meeting()
    for number in range(1, RACES + 1):
        world.results(f"r{number}/win", Result("b", 1, position=1), lost("a"))
    ticks = 0
    while world.book.settling:
        world.tick()
        ticks += 1
    assert ticks == RACES
    assert world.book.bets["big"].status == LOST
    world.check()
