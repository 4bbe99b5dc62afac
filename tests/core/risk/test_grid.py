"""The score grid: each market as `grade` decides it, their sum as plain loops and fractions have it (RULEBOOK 4)."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import chain, product
from math import ceil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.grading import football
from core.grading.lines import line_text
from core.grading.markets import MARKET_TYPES, grade
from core.grading.scores import FootballScore
from core.messages.results import Result
from core.risk import grid
from core.risk.grid import CELLS, FAR, GOALS_MAX, SELECTIONS_MAX, Grid, Patterns, patterns
from core.units import MONEY_MAX

Question = tuple[str, dict[str, str], tuple[str, ...]]
"""A market: type, specifiers, selections."""
Goals = tuple[int, int]

SIDES, TWO, OVER_UNDER = ("1", "x", "2"), ("1", "2"), ("over", "under")
RESULT: Question = ("match_result", {}, SIDES)
BOTH: Question = ("both_teams_to_score", {}, ("yes", "no"))
TOTAL: Question = ("total_goals", {"line": "2.5"}, OVER_UNDER)
SCORE: Question = ("correct_score", {}, ("0-0", "1-0", "2-1", "other"))
MARGIN: Question = ("winning_margin", {}, ("1:1", "1:2+", "x", "2:1", "2:2+"))
QUARTER: Question = ("asian_handicap", {"line": "-0.75"}, TWO)
SCORES = tuple(f"{home}-{away}" for home, away in product(range(GOALS_MAX + 1), repeat=2))
ON_THE_GRID: tuple[Question, ...] = (
    RESULT,
    ("double_chance", {}, ("1x", "12", "x2")),
    ("draw_no_bet", {}, TWO),
    *(("european_handicap", {"line": line}, SIDES) for line in ("-5", "-1", "0", "2", "5")),
    QUARTER,
    *(("asian_handicap", {"line": line}, TWO) for line in ("-5.5", "-2.25", "-1", "0", "0.25", "0.5", "1.75", "5.5")),
    TOTAL,
    *(("total_goals", {"line": line}, OVER_UNDER) for line in ("0.5", "2", "2.25", "3.75", "9.75", "10.5")),
    *(
        ("team_total_goals", {"line": line, "team": team}, OVER_UNDER)
        for line, team in product(("0.5", "1", "1.25", "5.5"), TWO)
    ),
    BOTH,
    ("odd_even", {}, ("odd", "even")),
    SCORE,
    ("correct_score", {}, ("2-1", "other_1", "other_x", "other_2")),
    ("correct_score", {}, (*SCORES[:SELECTIONS_MAX:2], "10-10", "other_1", "other_x", "other_2")),
    ("correct_score", {}, SCORES[-SELECTIONS_MAX:]),
    MARGIN,
    ("winning_margin", {}, ("1:5", "1:6+", "2:5", "2:6+", "score_draw", "no_goal")),
)
OFF_THE_GRID: tuple[tuple[str, Question], ...] = (
    ("of another sport", ("match_winner", {}, TWO)),
    ("of another sport", ("win", {}, ("a", "b"))),
    ("of another sport", ("place", {"places": "2"}, ("a", "b"))),
    ("of no known type", ("next_goal", {}, TWO)),
    ("needs the score at half-time", ("half_time_full_time", {}, ("1/1", "x/1"))),
    ("needs the score at half-time", ("match_result", {"period": "1"}, SIDES)),
    ("needs the score at half-time", ("total_goals", {"line": "0.5", "period": "2"}, OVER_UNDER)),
    ("cannot be graded", ("match_result", {}, ("1", "draw"))),
    ("cannot be graded", ("match_result", {}, ("1", "1"))),
    ("cannot be graded", ("total_goals", {}, OVER_UNDER)),
    ("cannot be graded", ("total_goals", {"line": "1.1"}, OVER_UNDER)),
    ("a line among the far-out scores", ("asian_handicap", {"line": "-5.75"}, TWO)),
    ("a line among the far-out scores", ("asian_handicap", {"line": "999.75"}, TWO)),
    ("a line among the far-out scores", ("european_handicap", {"line": "-6"}, SIDES)),
    ("a line among the far-out scores", ("european_handicap", {"line": "-50"}, ("x",))),
    ("a line among the far-out scores", ("european_handicap", {"line": "995"}, ("x",))),
    ("a line among the far-out scores", ("total_goals", {"line": "10.75"}, OVER_UNDER)),
    ("a line among the far-out scores", ("total_goals", {"line": "999.75"}, ("over",))),
    ("a line among the far-out scores", ("total_goals", {"line": "999.75"}, ("under",))),
    ("a line among the far-out scores", ("asian_handicap", {"line": "-999.75"}, ("2",))),
    ("a line among the far-out scores", ("team_total_goals", {"line": "5.75", "team": "2"}, OVER_UNDER)),
    ("a score among the far-out ones", ("correct_score", {}, ("0-0", "11-0", "other"))),
    ("a score among the far-out ones", ("correct_score", {}, ("0-0", "99-98"))),
    ("a margin among the far-out ones", ("winning_margin", {}, ("1:6", "x"))),
    ("a margin among the far-out ones", ("winning_margin", {}, ("2:99", "x"))),
    ("a margin among the far-out ones", ("winning_margin", {}, ("1:7+", "x"))),
    ("too many selections", ("correct_score", {}, SCORES[: SELECTIONS_MAX + 1])),
)


def on_the_grid(question: Question) -> Patterns:
    found = patterns(*question)
    assert found is not None, question
    return found


def shares(result: Result) -> tuple[Fraction, Fraction]:
    """Of the payout and of the stakes, by RULEBOOK 5: vf + (1 - vf) x result x price x dhf."""
    void = Fraction(result.void_factor, 10_000)
    return (1 - void) * result.result * Fraction(result.dead_heat_places, result.dead_heat_sharing), void


def loss_at(score: Goals, markets: Sequence[Question], payouts_m: Sequence[int], stakes_m: Sequence[int]) -> Fraction:
    """What the house loses if the match ends so, the plain way."""
    results = chain.from_iterable(grade(*market, FootballScore(score)) for market in markets)
    paid_m = Fraction(0)
    for result, payout_m, stake_m in zip(results, payouts_m, stakes_m, strict=True):
        won, void = shares(result)
        paid_m += won * payout_m + void * stake_m
    return paid_m - sum(stakes_m)


def selections_of(markets: Sequence[Question]) -> int:
    return sum(len(selections) for _, _, selections in markets)


def grid_of(*markets: Question) -> Grid:
    return Grid([on_the_grid(each) for each in markets])


@pytest.mark.parametrize("question", ON_THE_GRID, ids=str)
def test_each_cell_is_what_the_grader_says(question: Question) -> None:
    won, void = on_the_grid(question)
    assert won.shape == void.shape == (len(question[2]), len(CELLS))
    for cell, score in enumerate(CELLS):
        for row, result in enumerate(grade(*question, FootballScore(score))):
            halves = Fraction(int(won[row, cell]), 2), Fraction(int(void[row, cell]), 2)
            assert halves == shares(result), (score, result)


@pytest.mark.parametrize(("why", "question"), OFF_THE_GRID, ids=str)
def test_what_the_final_score_does_not_decide_or_the_cells_do_not_tell_apart_is_off_the_grid(
    why: str, question: Question
) -> None:
    assert patterns(*question) is None, why


def test_every_type_of_football_was_tried() -> None:
    tried = {name for name, _, _ in ON_THE_GRID}
    assert tried | {"half_time_full_time"} == set(football.MARKET_TYPES)
    assert tried.isdisjoint(MARKET_TYPES.keys() - football.MARKET_TYPES.keys())


def ends(markets: Sequence[Question], score: Goals) -> tuple[tuple[int, int], ...]:
    """How all selections of all markets end, in a form that compares quickly."""
    results = chain.from_iterable(grade(*market, FootballScore(score)) for market in markets)
    return tuple((each.result, each.void_factor) for each in results)


ENDS_IN_CELLS = frozenset(ends(ON_THE_GRID, cell) for cell in CELLS)


@pytest.mark.parametrize("home", range(25))
def test_no_score_ends_in_a_way_that_no_cell_has(home: int) -> None:
    for away in range(25):
        assert ends(ON_THE_GRID, (home, away)) in ENDS_IN_CELLS, (home, away)


@given(st.integers(0, FAR), st.integers(0, FAR) | st.integers(0, 12), st.booleans())
def test_no_far_out_score_ends_in_a_way_that_no_cell_has(more: int, less: int, turned: bool) -> None:  # noqa: FBT001
    assert ends(ON_THE_GRID, (less, more) if turned else (more, less)) in ENDS_IN_CELLS


QUARTERS = [line_text(quarters) for quarters in range(-110, 111)]
HALVES = [line_text(quarters) for quarters in range(111)]


@pytest.mark.parametrize(
    ("tried", "taken"),
    [
        ([("asian_handicap", {"line": line}, TWO) for line in QUARTERS], 45),  # -5.5 to 5.5 by quarters
        ([("european_handicap", {"line": str(line)}, SIDES) for line in range(-30, 31)], 11),  # -5 to 5
        ([("total_goals", {"line": line}, OVER_UNDER) for line in HALVES], 43),  # 0 to 10.5
        ([("team_total_goals", {"line": line, "team": "1"}, OVER_UNDER) for line in HALVES], 23),  # 0 to 5.5
        ([("winning_margin", {}, (f"1:{margin}",)) for margin in range(1, 100)], 5),
        ([("winning_margin", {}, (f"2:{margin}+",)) for margin in range(1, 100)], 6),
        ([("correct_score", {}, (f"{home}-{away}",)) for home, away in product(range(14), repeat=2)], 121),
    ],
    ids=lambda value: value[0][0] if isinstance(value, list) else None,
)
def test_a_market_is_on_the_grid_where_the_cells_tell_all_its_scores_apart(tried: list[Question], taken: int) -> None:
    """Some of those taken are tried at all scores up to 24 goals, together with a few markets that tell much."""
    assert sum(patterns(*each) is not None for each in tried) == taken
    others: tuple[Question, ...] = (
        RESULT,
        BOTH,
        ("odd_even", {}, ("odd", "even")),
        ("team_total_goals", {"line": "5.5", "team": "2"}, ("over",)),
    )
    for each in tried[:: max(1, len(tried) // 40)]:
        if patterns(*each) is not None:
            together = (each, *others)
            found = {ends(together, cell) for cell in CELLS}
            assert all(ends(together, score) in found for score in product(range(25), range(25))), each


_markets = st.lists(st.sampled_from([each for each in ON_THE_GRID if len(each[2]) < 20]), max_size=6)
_sums = st.integers(0, 10_000) | st.integers(0, MONEY_MAX) | st.integers(0, 9_000 * MONEY_MAX)


@settings(max_examples=60)
@given(st.data(), _markets)
def test_the_losses_are_those_of_plain_fractions(data: st.DataObject, markets: list[Question]) -> None:
    count = selections_of(markets)
    payouts_m, stakes_m = (data.draw(st.lists(_sums, min_size=count, max_size=count)) for _ in range(2))
    expected = [ceil(loss_at(score, markets, payouts_m, stakes_m)) for score in CELLS]
    stacked = grid_of(*markets)
    assert stacked.losses(payouts_m, stakes_m) == expected
    assert stacked.worst(payouts_m, stakes_m) == max(0, *expected)


@settings(max_examples=60)
@given(st.data(), _markets, st.integers(0, 30) | st.integers(0, FAR), st.integers(0, 30) | st.integers(0, FAR))
def test_no_final_score_costs_more_than_the_worst(
    data: st.DataObject, markets: list[Question], home: int, away: int
) -> None:
    count = selections_of(markets)
    payouts_m, stakes_m = (data.draw(st.lists(st.integers(0, 999), min_size=count, max_size=count)) for _ in range(2))
    assert loss_at((home, away), markets, payouts_m, stakes_m) <= grid_of(*markets).worst(payouts_m, stakes_m)


FIVE = (RESULT, BOTH, TOTAL, SCORE, MARGIN)
# 100.00 on the home team at 2.00, 50.00 on both to score at 1.80, 50.00 on over 2.5 at 1.90, 10.00 on 2-1 at 9.00 and
# 20.00 on the home team by one at 4.00.
FIVE_PAYOUTS_M = [*(200_00, 0, 0), *(90_00, 0), *(95_00, 0), *(0, 0, 90_00, 0), *(80_00, 0, 0, 0, 0)]
FIVE_STAKES_M = [*(100_00, 0, 0), *(50_00, 0), *(50_00, 0), *(0, 0, 10_00, 0), *(20_00, 0, 0, 0, 0)]


@pytest.mark.parametrize(
    ("score", "loss_m"),
    [
        ((2, 1), 325_00),  # all five: 200 + 90 + 95 + 90 + 80 - 230
        ((3, 2), 235_00),  # all but the score
        ((3, 1), 155_00),  # home, both, over
        ((1, 0), 50_00),  # home, by one
        ((2, 0), -30_00),  # home
        ((1, 2), -45_00),  # both, over
        ((1, 1), -140_00),  # both
        ((0, 0), -230_00),
        ((FAR, FAR - 1), 235_00),
    ],
)
def test_a_2_1_that_wins_in_five_markets_at_once_is_one_number(score: Goals, loss_m: int) -> None:
    stacked = grid_of(*FIVE)
    assert stacked.losses(FIVE_PAYOUTS_M, FIVE_STAKES_M)[CELLS.index(score)] == loss_m
    assert stacked.worst(FIVE_PAYOUTS_M, FIVE_STAKES_M) == 325_00


def test_what_cannot_come_together_is_not_added() -> None:
    """100.00 on the home team at 2.00 and 100.00 on under 2.5 goals at 1.50 may both win; on no goals at 10.00 not."""
    assert grid_of(RESULT, TOTAL).worst([200_00, 0, 0, 0, 150_00], [100_00, 0, 0, 0, 100_00]) == 150_00
    assert grid_of(RESULT, SCORE).worst([200_00, 0, 0, 1000_00, 0, 0, 0], [100_00, 0, 0, 100_00, 0, 0, 0]) == 800_00


@pytest.mark.parametrize(
    ("line", "score", "home_loss_m", "away_loss_m"),
    [
        ("-0.75", (2, 0), 10_00, -10_00),  # won; lost
        ("-0.75", (1, 0), 5_00, -5_00),  # half won; half lost: RULEBOOK 5, "+0.75, loses by one"
        ("-0.75", (1, 1), -10_00, 10_00),
        ("-0.25", (1, 1), -5_00, 5_00),
        ("0.25", (0, 0), 5_00, -5_00),
        ("-1", (1, 0), 0, 0),  # void
    ],
)
def test_an_asian_quarter_is_half_the_stake_on_each_neighbour(
    line: str, score: Goals, home_loss_m: int, away_loss_m: int
) -> None:
    """10.00 at 2.00 on either side."""
    stacked, cell = grid_of(("asian_handicap", {"line": line}, TWO)), CELLS.index(score)
    assert stacked.losses([20_00, 0], [10_00, 0])[cell] == home_loss_m
    assert stacked.losses([0, 20_00], [0, 10_00])[cell] == away_loss_m


@pytest.mark.parametrize(
    ("payout_m", "half_won_m", "worst_m"), [(1_001, 1, 1), (1_003, 2, 3), (1_000, 0, 0), (999, 0, 0)]
)
def test_half_a_minor_unit_is_rounded_up(payout_m: int, half_won_m: int, worst_m: int) -> None:
    """10.00 on the home team -0.75: by one goal half of it is won, 0.5, 1.5, 0 and -0.5 minor units lost."""
    stacked = grid_of(QUARTER)
    assert stacked.losses([payout_m, 0], [1_000, 0])[CELLS.index((1, 0))] == half_won_m
    assert stacked.worst([payout_m, 0], [1_000, 0]) == worst_m


def test_a_house_that_cannot_lose_has_a_worst_case_of_0() -> None:
    assert grid_of(RESULT).worst([90, 80, 70], [100, 100, 100]) == 0
    assert grid_of(RESULT).worst([0, 0, 0], [0, 0, 0]) == 0
    assert Grid([]).worst([], []) == 0
    assert Grid([]).losses([], []) == [0] * len(CELLS)


@pytest.mark.parametrize("sum_m", [2**61 - 1, 2**61, 2**62, 2**63, 2**70])
def test_sums_beyond_64_bits_are_exact(sum_m: int) -> None:
    """On either side of the bound at which Python's integers take over."""
    assert grid_of(RESULT).worst([sum_m, 0, 0], [sum_m - 3, 0, 0]) == 3
    assert grid_of(RESULT).worst([sum_m, 0, 0], [0, 0, 0]) == sum_m
    assert grid_of(RESULT).losses([0, 0, 0], [0, sum_m, 0])[0] == -sum_m


def test_sums_in_another_number_than_the_selections_are_our_bug() -> None:
    for payouts_m, stakes_m in (([1, 2], [1, 2, 3]), ([1, 2, 3], [1, 2]), ([1] * 4, [1] * 4)):
        with pytest.raises(AssertionError):
            grid_of(RESULT).worst(payouts_m, stakes_m)


def test_patterns_are_made_once_and_cannot_be_written() -> None:
    first = on_the_grid(("team_total_goals", {"line": "1.5", "team": "1"}, OVER_UNDER))
    assert patterns("team_total_goals", {"team": "1", "line": "1.5"}, ["over", "under"]) is first
    for each in first:
        with pytest.raises(ValueError, match="read-only"):
            each[0, 0] = 1


def test_a_market_of_another_sport_takes_no_place_among_those_kept() -> None:
    before = grid._patterns.cache_info()
    assert patterns("match_winner", {}, TWO) is patterns("next_goal", {}, TWO) is None
    assert grid._patterns.cache_info() == before


def test_the_order_of_the_selections_is_that_of_the_rows() -> None:
    there, back = on_the_grid(RESULT), on_the_grid(("match_result", {}, SIDES[::-1]))
    assert np.array_equal(there.won, back.won[::-1])
