"""The published cases of grading; the way in: what is unknown is named, what is undecided is not guessed."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from core.grading.lines import line_text, parse_line
from core.grading.markets import MARKET_TYPES, grade
from core.grading.scores import FootballScore, RaceScore, Score, TennisScore
from core.grading.verdicts import HALF_LOST, HALF_WON, LOST, VOID, WON, GradingError, UndecidedError
from core.messages.results import Result

VECTORS = Path(__file__).parents[4] / "shared" / "data" / "vectors" / "grading.json"
EXPECTED = {"WON": WON, "LOST": LOST, "VOID": VOID, "HALF_WON": HALF_WON, "HALF_LOST": HALF_LOST}
SIDES = {"Home": "1", "Away": "2"}
DOUBLE_CHANCE = {"Home or Draw": "1x", "1X": "1x", "Home or Away": "12", "12": "12", "Draw or Away": "x2", "2X": "x2"}

Question = tuple[str, dict[str, str], str]
"""Market type, specifiers, selection."""


def asked(row: dict[str, Any]) -> Question:
    """A row of the vectors in our words."""
    selection, side = row["selection"], row["side"]
    match row["market"]:
        case "asian_handicap":  # there the line is that of the side
            line = parse_line(selection)
            return "asian_handicap", {"line": line_text(line if side == "Home" else -line)}, SIDES[side]
        case "goals_over_under":
            return "total_goals", {"line": selection}, side.lower()
        case "double_chance":
            return "double_chance", {}, DOUBLE_CHANCE[selection]
        case "draw_no_bet":
            return "draw_no_bet", {}, SIDES[selection]
        case "goals_odd_even":
            return "odd_even", {}, selection.lower()
        case "both_teams_to_score":
            return "both_teams_to_score", {}, selection.lower()
        case "correct_score":  # there the first number is that of the side named
            return "correct_score", {}, selection if side != "Away" else "-".join(reversed(selection.split("-")))
        case "winning_margin":  # without a side: 1 a score draw, 2 no goal
            draws = {"1": "score_draw", "2": "no_goal"}
            return "winning_margin", {}, f"{side}:{selection}" if side else draws[selection]
    pytest.fail(f"a market that is not mapped: {row}")


@pytest.mark.skipif(not VECTORS.exists(), reason="the shared vectors are not beside this checkout")
def test_all_published_cases_agree() -> None:
    rows = json.loads(VECTORS.read_text(encoding="utf-8"))["rows"]
    run: Counter[str] = Counter()
    for row in rows:
        home, away = map(int, row["score"].split("-"))
        market_type, specifiers, selection = asked(row)
        (result,) = grade(market_type, specifiers, [selection], FootballScore((home, away)))
        assert result == Result(selection, *EXPECTED[row["expected"]]), row
        run[market_type] += 1
    assert run.total() == len(rows) == 512
    assert run == {
        "asian_handicap": 396,
        "winning_margin": 35,
        "total_goals": 32,
        "odd_even": 12,
        "correct_score": 12,
        "double_chance": 10,
        "draw_no_bet": 9,
        "both_teams_to_score": 6,
    }


@pytest.mark.parametrize(
    ("text", "quarters"),
    [
        ("0", 0),
        ("0.0", 0),
        ("-0", 0),
        ("+0.25", 1),
        ("-0.75", -3),
        ("+1", 4),
        ("-1.50", -6),
        ("2.5", 10),
        ("10.00", 40),
        ("999.75", 3999),
    ],
)
def test_a_line_is_read_exactly(text: str, quarters: int) -> None:
    assert parse_line(text) == quarters
    assert parse_line(line_text(quarters)) == quarters


@pytest.mark.parametrize(
    "text", ["", "-", ".5", "1.", "1.1", "0.255", "01", "1,5", "1e1", " 1", "1\n", "--1", "1000", "nan", "½", "\u0661"]
)
def test_what_is_no_line_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="not a line in quarters") as caught:
        grade("total_goals", {"line": text}, ["over"], FootballScore((1, 0)))
    assert repr(text) in str(caught.value)


FINAL = FootballScore((2, 1))
SETS = TennisScore(((6, 4), (6, 3)))
RACE = RaceScore((("a",), ("b",)), withdrawn=("n",))


@pytest.mark.parametrize(
    ("market_type", "specifiers", "selections", "score", "named"),
    [
        ("next_goal", {}, ["1"], FINAL, "unknown market type: 'next_goal'"),
        ("match_result", {}, ["1", "draw"], FINAL, "unknown selection of match_result: 'draw'"),
        ("match_result", {}, ["1", "x", "1"], FINAL, "named twice"),
        ("match_result", {}, ["1"], SETS, "match_result is not graded from a TennisScore"),
        ("match_winner", {}, ["1"], FINAL, "match_winner is not graded from a FootballScore"),
        ("asian_handicap", {}, ["1"], FINAL, "asian_handicap needs the specifier 'line'"),
        ("match_result", {"line": "1"}, ["1"], FINAL, "match_result has no specifier 'line'"),
        ("match_result", {"period": "3"}, ["1"], FINAL, "unknown period: '3'"),
        ("total_goals", {"line": "-1.5"}, ["over"], FINAL, "below zero: '-1.5'"),
        ("team_total_goals", {"line": "1.5", "team": "x"}, ["over"], FINAL, "unknown team: 'x'"),
        ("european_handicap", {"line": "-0.5"}, ["1"], FINAL, "not a whole line: '-0.5'"),
        ("correct_score", {}, ["2-1", "02-1"], FINAL, "unknown selection of correct_score: '02-1'"),
        ("winning_margin", {}, ["1:0"], FINAL, "unknown selection of winning_margin: '1:0'"),
        ("match_winner", {"retirement": "no"}, ["1"], SETS, "unknown rule for a retirement: 'no'"),
        ("set_betting", {}, ["2-0", "2-2"], SETS, "not a final score of best of 3: '2-2'"),
        ("set_betting", {}, ["3-1"], SETS, "not a final score of best of 3: '3-1'"),
        ("set_betting", {}, ["6-4"], SETS, "not a final score of best of 3: '6-4'"),
        ("set_winner", {"set": "4"}, ["1"], SETS, "no set of a match of 3: '4'"),
        ("win", {}, ["a", "z"], RACE, "unknown selection of win: 'z'"),
        ("place", {"places": "0"}, ["a"], RACE, "not a number of places: '0'"),
        ("place", {"places": "²"}, ["a"], RACE, "not a number of places: '²'"),
        ("place", {"places": "101"}, ["a"], RACE, "not a number of places: '101'"),
        ("win", {}, ["a"], RaceScore((), not_finished=("a",)), "nobody finished"),
    ],
)
def test_what_is_wrong_with_a_question_is_named(
    market_type: str, specifiers: dict[str, str], selections: list[str], score: Score, named: str
) -> None:
    with pytest.raises(GradingError) as caught:
        grade(market_type, specifiers, selections, score)
    assert named in str(caught.value)
    assert not isinstance(caught.value, UndecidedError)


@pytest.mark.parametrize(
    ("market_type", "specifiers", "selection", "score"),
    [
        ("match_result", {}, "1", FootballScore()),
        ("total_goals", {"line": "0.5"}, "over", FootballScore(halves=((3, 0),))),
        ("match_result", {"period": "1"}, "1", FINAL),
        ("match_result", {"period": "2"}, "1", FINAL),
        ("match_result", {"period": "2"}, "1", FootballScore(halves=((3, 0),))),
        ("half_time_full_time", {}, "1/1", FINAL),
        ("half_time_full_time", {}, "1/1", FootballScore(halves=((3, 0),))),
        ("match_winner", {}, "1", TennisScore(((6, 0),))),
        ("match_winner", {"retirement": "advance"}, "1", TennisScore(((6, 0),))),
        ("total_games", {"line": "0.5"}, "over", TennisScore(((6, 0),))),
        ("set_winner", {"set": "2"}, "1", TennisScore(((6, 0),), games=(5, 0))),
        ("win", {}, "b", RaceScore((), behind=("a", "b"))),
        ("place", {"places": "2"}, "b", RaceScore((("a",),), behind=("b", "c"))),
    ],
)
def test_what_the_score_does_not_decide_is_not_guessed(
    market_type: str, specifiers: dict[str, str], selection: str, score: Score
) -> None:
    with pytest.raises(UndecidedError):
        grade(market_type, specifiers, [selection], score)


def test_results_stand_in_the_order_of_the_selections() -> None:
    for selections in (["1", "x", "2"], ["2", "1", "x"], ["x"], []):
        assert [each.selection for each in grade("match_result", {}, selections, FINAL)] == selections


def test_a_market_type_belongs_to_one_sport() -> None:
    names = {score.__name__: [each for each, (of, _) in MARKET_TYPES.items() if of is score] for score in SCORES}
    assert {name: len(types) for name, types in names.items()} == {
        "FootballScore": 12,
        "TennisScore": 7,
        "RaceScore": 2,
    }
    assert sum(map(len, names.values())) == len(MARKET_TYPES)


SCORES = (FootballScore, TennisScore, RaceScore)


@pytest.mark.parametrize(
    ("text", "score"),
    [
        (b'{"sport":"football","final":[2,1],"halves":[[1,1]]}', FootballScore((2, 1), ((1, 1),))),
        (b'{"sport":"tennis","sets":[[6,4]],"games":[2,0],"retired":"2"}', TennisScore(((6, 4),), (2, 0), 3, "2")),
        (
            b'{"sport":"race","order":[["a","b"],["c"]],"withdrawn":["n"]}',
            RaceScore((("a", "b"), ("c",)), (), (), ("n",)),
        ),
    ],
)
def test_a_score_is_read_from_the_wire(text: bytes, score: Score) -> None:
    assert msgspec.json.decode(text, type=Score) == score
    assert msgspec.json.decode(msgspec.json.encode(score), type=Score) == score


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"sport":"football","final":[0,0],"halves":[[1,0]]}', "contradict the final score"),
        ('{"sport":"football","final":[2,0],"halves":[[1,0],[0,0]]}', "contradict the final score"),
        ('{"sport":"football","final":[-1,0]}', "`\\$.final\\[0\\]`"),
        ('{"sport":"football","finale":[1,0]}', "finale"),
        ('{"sport":"tennis","sets":[[6,6]]}', "a finished set has a winner"),
        ('{"sport":"tennis","sets":[[6,0],[6,0],[6,0]]}', "a set after the match was won"),
        ('{"sport":"tennis","sets":[[6,0],[6,0]],"retired":"1"}', "the match was won already"),
        ('{"sport":"tennis","sets":[[6,0],[6,0]],"games":[1,0]}', "the match was won already"),
        ('{"sport":"tennis","games":[6,4],"retired":"1"}', "a set of \\(6, 4\\) is finished"),
        ('{"sport":"race","order":[["a"],["b","a"]]}', "named twice in the finish: \\['a'\\]"),
        ('{"sport":"race","order":[["a"]],"withdrawn":["a"]}', "named twice in the finish: \\['a'\\]"),
        ('{"sport":"race","order":[[]]}', "`\\$.order\\[0\\]`"),
    ],
)
def test_a_score_that_contradicts_itself_is_refused(text: str, why: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=why):
        msgspec.json.decode(text, type=Score)
