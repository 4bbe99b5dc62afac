"""Football's markets: their rules in cases, lines against a second formulation, opposite sides against each other."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.grading.lines import half_each, handicap, line_text, line_verdict, neighbours, total
from core.grading.markets import grade
from core.grading.scores import FootballScore
from core.grading.verdicts import HALF_LOST, HALF_WON, LOST, VOID, WON, Verdict
from core.messages.results import Result, multiplier
from core.units import PRICE_MAX, PRICE_MIN, PRICE_ONE

SCORES = [(home, away) for home in range(7) for away in range(7)]
LINES = range(-14, 15)
MARKS = {WON: "w", HALF_WON: "hw", VOID: "v", HALF_LOST: "hl", LOST: "l"}


def marks(results: tuple[Result, ...]) -> str:
    return " ".join(MARKS[Verdict(each.result, each.void_factor)] for each in results)


@pytest.mark.parametrize(
    ("market", "selections", "final", "expected"),
    [
        ("match_result", "1 x 2", (2, 1), "w l l"),
        ("match_result", "1 x 2", (1, 1), "l w l"),
        ("match_result", "1 x 2", (0, 1), "l l w"),
        ("double_chance", "1x 12 x2", (2, 1), "w w l"),
        ("double_chance", "1x 12 x2", (0, 0), "w l w"),
        ("draw_no_bet", "1 2", (0, 0), "v v"),
        ("draw_no_bet", "1 2", (0, 3), "l w"),
        ("european_handicap line=-1", "1 x 2", (2, 1), "l w l"),
        ("european_handicap line=-1", "1 x 2", (3, 1), "w l l"),
        ("european_handicap line=2", "1 x 2", (0, 3), "l l w"),
        ("asian_handicap line=+0.75", "1 2", (0, 1), "hl hw"),  # RULEBOOK 5: loses by one
        ("asian_handicap line=-0.25", "1 2", (1, 1), "hl hw"),
        ("asian_handicap line=-0.75", "1 2", (2, 1), "hw hl"),
        ("asian_handicap line=-1", "1 2", (2, 1), "v v"),
        ("asian_handicap line=-1.25", "1 2", (2, 1), "hl hw"),
        ("asian_handicap line=-1.5", "1 2", (2, 1), "l w"),
        ("total_goals line=2.5", "over under", (2, 1), "w l"),
        ("total_goals line=3", "over under", (2, 1), "v v"),
        ("total_goals line=2.75", "over under", (2, 1), "hw hl"),
        ("total_goals line=3.25", "over under", (2, 1), "hl hw"),
        ("team_total_goals team=1 line=1.5", "over under", (2, 3), "w l"),
        ("team_total_goals team=2 line=3", "over under", (2, 3), "v v"),
        ("both_teams_to_score", "yes no", (2, 1), "w l"),
        ("both_teams_to_score", "yes no", (2, 0), "l w"),
        ("odd_even", "odd even", (0, 0), "l w"),
        ("odd_even", "odd even", (2, 1), "w l"),
        ("correct_score", "2-1 1-2 other", (2, 1), "w l l"),
        ("correct_score", "2-1 1-2 other", (1, 1), "l l w"),
        ("correct_score", "10-0 other", (10, 0), "w l"),
        ("correct_score", "1-0 0-0 other_1 other_x other_2", (3, 1), "l l w l l"),
        ("correct_score", "1-0 0-0 other_1 other_x other_2", (0, 0), "l w l l l"),
        ("correct_score", "1-0 0-0 other_1 other_x other_2", (0, 1), "l l l l w"),
        ("winning_margin", "1:1 1:2 1:3+ x 2:1 2:2+", (4, 1), "l l w l l l"),
        ("winning_margin", "1:1 1:2 1:3+ x 2:1 2:2+", (1, 2), "l l l l w l"),
        ("winning_margin", "1:1 x score_draw no_goal", (0, 0), "l w l w"),
        ("winning_margin", "1:1 x score_draw no_goal", (2, 2), "l w w l"),
    ],
)
def test_the_rules_in_cases(market: str, selections: str, final: tuple[int, int], expected: str) -> None:
    market_type, *specifiers = market.split()
    given_as = dict(each.split("=") for each in specifiers)
    assert marks(grade(market_type, given_as, selections.split(), FootballScore(final))) == expected


@pytest.mark.parametrize(
    ("score", "period", "expected"),
    [
        (FootballScore(halves=((1, 0),)), "1", "w l l"),
        (FootballScore((1, 1), ((1, 0),)), "2", "l l w"),
        (FootballScore((1, 1), ((1, 0), (0, 1))), "2", "l l w"),
        (FootballScore(halves=((1, 0), (0, 1))), None, "l w l"),
    ],
)
def test_a_half_counts_only_what_is_scored_in_it(score: FootballScore, period: str | None, expected: str) -> None:
    specifiers = {"period": period} if period else {}
    assert marks(grade("match_result", specifiers, ["1", "x", "2"], score)) == expected


@pytest.mark.parametrize(
    ("first", "second", "won"), [((1, 0), (0, 2), "1/2"), ((0, 0), (0, 0), "x/x"), ((0, 2), (2, 0), "2/x")]
)
def test_half_time_and_full_time(first: tuple[int, int], second: tuple[int, int], won: str) -> None:
    selections = [f"{half}/{full}" for half in "1x2" for full in "1x2"]
    results = grade("half_time_full_time", {}, selections, FootballScore(halves=(first, second)))
    assert [each.selection for each in results if each.result] == [won]


@pytest.mark.parametrize(
    ("market_type", "selections"),
    [
        ("match_result", ["1", "x", "2"]),
        ("odd_even", ["odd", "even"]),
        ("both_teams_to_score", ["yes", "no"]),
        ("correct_score", ["0-0", "1-0", "2-2", "other"]),
        ("correct_score", ["0-0", "1-0", "2-2", "other_1", "other_x", "other_2"]),
        ("winning_margin", ["1:1", "1:2+", "2:1", "2:2", "2:3+", "x"]),
        ("winning_margin", ["1:1+", "2:1+", "score_draw", "no_goal"]),
    ],
)
def test_one_selection_of_a_complete_market_wins(market_type: str, selections: list[str]) -> None:
    for final in SCORES:
        results = grade(market_type, {}, selections, FootballScore(final))
        assert sum(each.result for each in results) == 1, final


def pays(verdict: Verdict, price: int) -> Fraction:
    return Fraction(*multiplier(Result("a", *verdict), price))


@given(st.integers(-60, 60), st.integers(-60, 60), st.integers(PRICE_MIN, PRICE_MAX))
def test_a_quarter_line_pays_the_average_of_its_neighbours(lead: int, line: int, price: int) -> None:
    """RULEBOOK 5, with the neighbours graded by plain comparison: half the stake on each."""

    def plain(half_line: Fraction) -> Fraction:
        ahead = lead + half_line
        return Fraction(price, PRICE_ONE) if ahead > 0 else Fraction(ahead == 0)

    quarter = Fraction(line % 2, 4)
    expected = (plain(Fraction(line, 4) - quarter) + plain(Fraction(line, 4) + quarter)) / 2
    assert pays(handicap(lead, line)["1"], price) == expected
    assert pays(total(lead, -line)["over"], price) == expected


@pytest.mark.parametrize("line", LINES)
def test_half_on_each_neighbour_is_the_line(line: int) -> None:
    lower, upper = neighbours(line)
    assert lower % 2 == upper % 2 == 0
    assert lower + upper == 2 * line
    for lead in range(-6, 7):
        halves = line_verdict(4 * lead + lower), line_verdict(4 * lead + upper)
        assert half_each(*halves) == line_verdict(4 * lead + line)


@given(st.sampled_from(SCORES), st.sampled_from(LINES), st.integers(10_100, 500_000), st.sampled_from(("", "1", "2")))
def test_both_sides_of_a_line_at_fair_prices_give_the_stakes_back(
    final: tuple[int, int], line: int, price: int, team: str
) -> None:
    """A stake of 1 / price on each side, at two prices whose reciprocals sum to one: always one comes back."""
    shares = Fraction(PRICE_ONE, price), 1 - Fraction(PRICE_ONE, price)
    totals = {"line": line_text(abs(line))}
    markets = [
        ("asian_handicap", {"line": line_text(line)}, ["1", "2"]),
        ("total_goals", totals, ["over", "under"]),
        *([("team_total_goals", {**totals, "team": team}, ["over", "under"])] if team else []),
    ]
    for market_type, specifiers, sides in markets:
        back = Fraction(0)
        for result, share in zip(grade(market_type, specifiers, sides, FootballScore(final)), shares, strict=True):
            void = Fraction(result.void_factor, 10_000)
            back += share * (void + (1 - void) * result.result / share)
        assert back == 1, market_type


@given(st.sampled_from(SCORES), st.sampled_from(SCORES))
def test_a_half_is_graded_as_a_match_of_its_own(first: tuple[int, int], second: tuple[int, int]) -> None:
    score = FootballScore(halves=(first, second))
    for market_type, specifiers, selections in (
        ("match_result", {}, ["1", "x", "2"]),
        ("asian_handicap", {"line": "-0.75"}, ["1", "2"]),
        ("total_goals", {"line": "1.25"}, ["over", "under"]),
        ("correct_score", {}, ["0-0", "1-0", "other"]),
        ("winning_margin", {}, ["1:1", "2:1+", "x"]),
    ):
        for period, goals in (("1", first), ("2", second)):
            of_half = grade(market_type, {**specifiers, "period": period}, selections, score)
            assert of_half == grade(market_type, specifiers, selections, FootballScore(goals))
