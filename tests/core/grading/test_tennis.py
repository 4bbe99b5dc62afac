"""Tennis: finished matches by plain arithmetic, retirements against all the ways in which they could have gone on."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.grading.lines import line_text
from core.grading.markets import grade
from core.grading.scores import TennisScore
from core.grading.verdicts import HALF_LOST, HALF_WON, LOST, VOID, WON, Verdict

Pair = tuple[int, int]
End = tuple[int, int, int, int]
"""Sets of both players, games in all, lead of player 1 in games."""

MARKS = {WON: "w", HALF_WON: "hw", VOID: "v", HALF_LOST: "hl", LOST: "l"}
BY_POINTS = {2: WON, 1: HALF_WON, 0: VOID, -1: HALF_LOST, -2: LOST}
SIDES = {
    "match_winner": ("1", "2"),
    "set_winner": ("1", "2"),
    "set_handicap": ("1", "2"),
    "game_handicap": ("1", "2"),
    "total_sets": ("over", "under"),
    "total_games": ("over", "under"),
    "set_betting": ("2-0", "2-1", "1-2", "0-2"),
}
LONGEST = 11
"""Games of the winner of a set without a tie-break, where the test stops."""


def marks(market: str, score: TennisScore) -> str:
    market_type, *specifiers = market.split()
    results = grade(market_type, dict(each.split("=") for each in specifiers), SIDES[market_type], score)
    return " ".join(MARKS[Verdict(each.result, each.void_factor)] for each in results)


WON_2_0 = TennisScore(((6, 4), (7, 6)))
WON_2_1 = TennisScore(((6, 4), (3, 6), (7, 5)))
TIE_BREAK = TennisScore(((6, 4), (3, 6), (0, 1)))
LEFT_AT_4_4 = TennisScore((), (4, 4), 3, "1")
LEFT_AFTER_A_SET = TennisScore(((6, 4),), (1, 0), 3, "2")
LEFT_AT_ONE_ALL = TennisScore(((6, 4), (4, 6)), (0, 0), 3, "2")
LEFT_AT_6_6 = TennisScore(((6, 4), (4, 6)), (6, 6), 3, "2")


@pytest.mark.parametrize(
    ("market", "score", "expected"),
    [
        ("match_winner", WON_2_0, "w l"),
        ("match_winner", TIE_BREAK, "l w"),
        ("match_winner retirement=one_set", WON_2_0, "w l"),
        ("set_winner set=2", WON_2_1, "l w"),
        ("set_winner set=3", WON_2_0, "v v"),
        ("set_betting", WON_2_1, "l w l l"),
        ("set_handicap line=-1.5", WON_2_0, "w l"),
        ("set_handicap line=-1.5", WON_2_1, "l w"),
        ("total_sets line=2.5", WON_2_1, "w l"),
        ("game_handicap line=-1", WON_2_1, "v v"),  # 16 games to 15
        ("game_handicap line=-3.25", WON_2_0, "hl hw"),  # 13 to 10
        ("total_games line=23", WON_2_0, "v v"),
        ("total_games line=19.5", TIE_BREAK, "w l"),  # the match tie-break is one game
        # retired: the winner by the rule of the house
        ("match_winner", LEFT_AFTER_A_SET, "v v"),
        ("match_winner retirement=void", LEFT_AFTER_A_SET, "v v"),
        ("match_winner retirement=one_set", LEFT_AFTER_A_SET, "w l"),
        ("match_winner retirement=one_set", LEFT_AT_4_4, "v v"),
        ("match_winner retirement=advance", LEFT_AT_4_4, "l w"),
        # retired: decided is what no natural end would change
        ("set_winner set=1", LEFT_AFTER_A_SET, "w l"),
        ("set_winner set=2", LEFT_AFTER_A_SET, "v v"),
        ("set_betting", LEFT_AFTER_A_SET, "v v v l"),
        ("set_betting", LEFT_AT_ONE_ALL, "l v v l"),
        ("total_sets line=2.5", LEFT_AT_ONE_ALL, "w l"),
        ("total_sets line=2.5", LEFT_AFTER_A_SET, "v v"),
        ("set_handicap line=-1.5", LEFT_AT_ONE_ALL, "l w"),
        ("set_handicap line=1.5", LEFT_AFTER_A_SET, "w l"),
        ("total_games line=15.5", LEFT_AT_4_4, "w l"),  # at least 6-4, 6-0
        ("total_games line=16", LEFT_AT_4_4, "v v"),
        ("total_games line=15.75", LEFT_AT_4_4, "hw hl"),  # one half decided, the other void
        ("total_games line=20.5", LEFT_AT_ONE_ALL, "w l"),  # a match tie-break is enough
        ("total_games line=21.5", LEFT_AT_ONE_ALL, "v v"),
        ("game_handicap line=13.5", TennisScore(((6, 0),), (5, 0), 3, "1"), "w l"),
        ("game_handicap line=-12.5", TennisScore(((6, 0),), (5, 1), 3, "1"), "l w"),
        ("game_handicap line=-1.5", TennisScore(((6, 0),), (5, 0), 3, "2"), "v v"),
        # a set without a tie-break: at 7-6 it takes 14 games at least; from 6-6 it may be won by two
        ("total_games line=19.5", TennisScore((), (7, 6), 3, "1"), "w l"),
        ("game_handicap line=1.5", LEFT_AT_6_6, "v v"),
        ("game_handicap line=2.5", LEFT_AT_6_6, "w l"),
    ],
)
def test_the_rules_in_cases(market: str, score: TennisScore, expected: str) -> None:
    assert marks(market, score) == expected


@cache
def set_scores(own: int, other: int) -> tuple[Pair, ...]:
    """Every way in which a set goes on from here, game by game, with a tie-break at 6-6 and without."""

    def played(first: int, second: int) -> Iterator[Pair]:
        most, least = max(first, second), min(first, second)
        if most >= 6 and most - least >= 2:
            yield first, second
            return
        if most == LONGEST:
            return
        if (most, least) == (7, 6) and (own, other) not in {(7, 6), (6, 7)}:
            yield first, second
        yield from played(first + 1, second)
        yield from played(first, second + 1)

    return tuple(dict.fromkeys(played(own, other)))


@cache
def ends(best_of: int, sets: Pair, games: Pair) -> tuple[End, ...]:
    """Every way in which the match goes on, with games and lead counted from here."""
    if max(sets) == best_of // 2 + 1:
        return ((*sets, 0, 0),)
    finals = list(set_scores(*games))
    if sum(sets) == best_of - 1 and games == (0, 0):
        finals += [(1, 0), (0, 1)]
    found: dict[End, None] = {}
    for first, second in finals:
        after = (sets[0] + (first > second), sets[1] + (second > first))
        for one, two, more, lead in ends(best_of, after, (0, 0)):
            found[one, two, first + second + more, first - second + lead] = None
    return tuple(found)


BEST_OF: st.SearchStrategy[Literal[3, 5]] = st.sampled_from((3, 5))
FINISHED_SETS = [(6, other) for other in range(5)] + [(7, 5), (7, 6), (10, 8)]


@st.composite
def retirements(draw: st.DrawFn) -> TennisScore:
    best_of = draw(BEST_OF)
    sets: list[Pair] = []
    while max(won(sets)) < best_of // 2 and draw(st.booleans()):
        final = draw(st.sampled_from(FINISHED_SETS))
        sets.append(final if draw(st.booleans()) else (final[1], final[0]))
    loser = draw(st.integers(0, 8))
    winner = draw(st.integers(loser, 5)) if loser < 5 else draw(st.integers(loser, loser + 1))
    games = (winner, loser) if draw(st.booleans()) else (loser, winner)
    return TennisScore(tuple(sets), games, best_of, draw(st.sampled_from(("1", "2"))))


def won(sets: list[Pair]) -> Pair:
    first = sum(one > two for one, two in sets)
    return first, len(sets) - first


def half(values: list[int]) -> int:
    """Quarters ahead of a half or whole line: 1 won, -1 lost in all ends; 0 void, level in all or not decided."""
    signs = sorted({(each > 0) - (each < 0) for each in values})
    return signs[0] if len(signs) == 1 else 0


@settings(max_examples=60)
@given(retirements(), st.data())
def test_a_retirement_settles_what_all_ways_to_go_on_agree_on(score: TennisScore, data: st.DataObject) -> None:
    """With every way enumerated game by game; a quarter line as two halves (RULEBOOK 5)."""
    games, lead = sum(map(sum, score.sets)), sum(first - second for first, second in score.sets)
    possible = ends(score.best_of, score.sets_won(), score.games)
    values = {
        "total_games": [games + more for _, _, more, _ in possible],
        "game_handicap": [lead + more for *_, more in possible],
        "total_sets": [one + two for one, two, _, _ in possible],
        "set_handicap": [one - two for one, two, _, _ in possible],
    }
    for market_type, ended in values.items():
        is_total = market_type.startswith("total")
        # The longest match that the test enumerates is not the longest there is.
        extremes = (min(ended),) if market_type == "total_games" else (min(ended), max(ended))
        against = 4 * data.draw(st.sampled_from(extremes)) + data.draw(st.integers(-6, 6))
        quarter = against % 2
        points = sum(half([4 * each - line for each in ended]) for line in (against - quarter, against + quarter))
        results = grade(market_type, {"line": line_text(against if is_total else -against)}, SIDES[market_type], score)
        found = tuple(Verdict(each.result, each.void_factor) for each in results)
        assert found == (BY_POINTS[points], BY_POINTS[-points]), (market_type, against)


@given(retirements(), st.integers(-40, 40))
def test_both_sides_of_a_line_are_opposite(score: TennisScore, line: int) -> None:
    opposite = {WON: LOST, LOST: WON, HALF_WON: HALF_LOST, HALF_LOST: HALF_WON, VOID: VOID}
    for market_type in ("total_games", "total_sets", "game_handicap", "set_handicap"):
        specifiers = {"line": line_text(abs(line) if market_type.startswith("total") else line)}
        one, two = (
            Verdict(each.result, each.void_factor) for each in grade(market_type, specifiers, SIDES[market_type], score)
        )
        assert opposite[one] == two
