"""Racing: win and places, dead heats sharing what is left, each-way terms."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.grading.markets import grade
from core.grading.racing import EachWayTerms, each_way_terms
from core.grading.scores import RaceScore
from core.messages.results import Result, multiplier

LOST, WON, VOID = (0, 0, 1, 1), (1, 0, 1, 1), (0, 10_000, 1, 1)


def finish(order: str) -> RaceScore:
    """As in "ab c", a dead heat of a and b before c; with p pulled up and n not starting."""
    return RaceScore(tuple(tuple(group) for group in order.split()), not_finished=("p",), withdrawn=("n",))


def placed(score: RaceScore, places: int, selections: str) -> dict[str, tuple[int, int, int, int]]:
    results = grade("place", {"places": str(places)}, list(selections), score)
    return {
        each.selection: (each.result, each.void_factor, each.dead_heat_places, each.dead_heat_sharing)
        for each in results
    }


@pytest.mark.parametrize(
    ("rule", "order", "positions"),
    [
        ("one after the other", "a b c", {"a": 1, "b": 2, "c": 3}),
        ("two for the win", "ab c", {"a": 1, "b": 1, "c": 3}),
        ("two for the second place", "a bc d", {"a": 1, "b": 2, "c": 2, "d": 4}),
        ("unplaced", "a", {"a": 1, "p": 0, "n": 0}),
    ],
)
@pytest.mark.parametrize(("market_type", "specifiers"), [("win", {}), ("place", {"places": "2"})])
def test_every_result_tells_the_position(
    market_type: str, specifiers: dict[str, str], rule: str, order: str, positions: dict[str, int]
) -> None:
    """Also of who has lost: the place part of an each-way bet may pay more places than the market has winners."""
    results = grade(market_type, specifiers, list(positions), finish(order))
    assert {each.selection: each.position for each in results} == positions, rule


def test_who_came_in_behind_those_named_has_no_position() -> None:
    results = grade("win", {}, ["a", "b", "c"], RaceScore((("a",),), behind=("b", "c")))
    assert [each.position for each in results] == [1, 0, 0]


@pytest.mark.parametrize(
    ("rule", "order", "places", "expected"),
    [
        ("first and second", "a b c", 2, {"a": WON, "b": WON, "c": LOST}),
        ("two for the win", "ab c", 1, {"a": (1, 0, 1, 2), "b": (1, 0, 1, 2), "c": LOST}),
        ("within the places nothing is shared", "ab c", 2, {"a": WON, "b": WON, "c": LOST}),
        ("two for the last place", "a b cd e", 3, {"b": WON, "c": (1, 0, 1, 2), "d": (1, 0, 1, 2), "e": LOST}),
        ("three for the last two", "a bcd e", 3, {"a": WON, "b": (1, 0, 2, 3), "d": (1, 0, 2, 3), "e": LOST}),
        ("behind the places", "a b cd", 2, {"a": WON, "b": WON, "c": LOST, "d": LOST}),
        ("fewer finish than there are places", "a b", 3, {"a": WON, "b": WON, "p": LOST}),
        ("withdrawn", "a b", 1, {"a": WON, "n": VOID, "p": LOST}),
    ],
)
def test_places(rule: str, order: str, places: int, expected: dict[str, tuple[int, int, int, int]]) -> None:
    assert placed(finish(order), places, "".join(expected)) == expected, rule


def test_who_came_in_behind_those_named_has_lost() -> None:
    score = RaceScore((("a",), ("b",)), behind=("c", "d"), withdrawn=("n",))
    results = grade("win", {}, ["a", "b", "c", "d", "n"], score)
    assert [(each.result, each.void_factor) for each in results] == [(1, 0), (0, 0), (0, 0), (0, 0), (0, 10_000)]


def test_a_race_from_which_all_are_withdrawn_is_void() -> None:
    assert grade("win", {}, ["a", "b"], RaceScore((), withdrawn=("b", "a"))) == (
        Result("a", 0, 10_000),
        Result("b", 0, 10_000),
    )


def test_a_dead_heat_of_two_pays_half() -> None:
    """RULEBOOK 5: 1.8 -> 0.9."""
    (first, _) = grade("win", {}, ["a", "b"], finish("ab c"))
    assert Fraction(*multiplier(first, 18_000)) == Fraction("0.9")


def test_a_dead_heat_of_three_for_the_win() -> None:
    """RULEBOOK 6: 300 backed at 4.0, three-way: back nets +100."""
    (first,) = grade("win", {}, ["a"], finish("abc d"))
    assert 300 * Fraction(*multiplier(first, 40_000)) - 300 == 100


@st.composite
def orders(draw: st.DrawFn) -> list[list[str]]:
    groups: list[list[str]] = []
    for number in range(draw(st.integers(1, 16))):
        if groups and draw(st.integers(0, 3)) == 0:
            groups[-1].append(str(number))
        else:
            groups.append([str(number)])
    return groups


@given(orders(), st.integers(1, 6))
def test_the_shares_of_a_dead_heat_sum_to_the_places(order: list[list[str]], places: int) -> None:
    finished = [each for group in order for each in group]
    results = grade("place", {"places": str(places)}, finished, RaceScore(tuple(map(tuple, order))))
    shares = [each.result * Fraction(each.dead_heat_places, each.dead_heat_sharing) for each in results]
    assert sum(shares) == min(places, len(finished))
    assert shares == sorted(shares, reverse=True)


@given(orders(), st.integers(1, 6))
def test_a_dead_heat_is_the_mean_of_all_its_orders(order: list[list[str]], places: int) -> None:
    """Second formulation: who shares positions p to q wins as often as those positions are paid."""
    score = RaceScore(tuple(map(tuple, order)))
    ahead = 0
    for group in order:
        expected = Fraction(sum(position < places for position in range(ahead, ahead + len(group))), len(group))
        for each in grade("place", {"places": str(places)}, group, score):
            assert each.result * Fraction(each.dead_heat_places, each.dead_heat_sharing) == expected
        ahead += len(group)


@pytest.mark.parametrize(
    ("starters", "level", "handicap"),
    [
        (1, None, None),
        (4, None, None),
        (5, (2, 1, 4), (2, 1, 4)),
        (7, (2, 1, 4), (2, 1, 4)),
        (8, (3, 1, 5), (3, 1, 5)),
        (11, (3, 1, 5), (3, 1, 5)),
        (12, (3, 1, 5), (3, 1, 4)),
        (15, (3, 1, 5), (3, 1, 4)),
        (16, (3, 1, 5), (4, 1, 4)),
        (40, (3, 1, 5), (4, 1, 4)),
    ],
)
def test_default_each_way_terms(
    starters: int, level: tuple[int, int, int] | None, handicap: tuple[int, int, int] | None
) -> None:
    """RULEBOOK 5's table."""
    assert each_way_terms(starters, is_handicap=False) == (EachWayTerms(*level) if level else None)
    assert each_way_terms(starters, is_handicap=True) == (EachWayTerms(*handicap) if handicap else None)


def test_no_terms_without_starters() -> None:
    with pytest.raises(ValueError, match="a race without starters: 0"):
        each_way_terms(0, is_handicap=False)


@pytest.mark.parametrize(
    ("rule", "order", "back_m"), [("won", "a b c", 13_000), ("placed", "b a c", 2_500), ("neither", "b c d a", 0)]
)
def test_each_way_is_a_win_and_a_place_bet(rule: str, order: str, back_m: int) -> None:
    """RULEBOOK 5: 5.00 each-way at 20/1, 1/5: won 130.00, placed 25.00."""
    terms = each_way_terms(8, is_handicap=False)
    assert terms is not None
    place_price = 10_000 + 200_000 * terms.numerator // terms.denominator
    (win_part,) = grade("win", {}, ["a"], finish(order))
    (place_part,) = grade("place", {"places": str(terms.places)}, ["a"], finish(order))
    parts = Fraction(*multiplier(win_part, 210_000)) + Fraction(*multiplier(place_part, place_price))
    assert 500 * parts == back_m, rule
