"""Prices and results of the simulator's markets: against published cases, and against plain arithmetic."""

from __future__ import annotations

import json
import re
from fractions import Fraction
from itertools import permutations, product
from math import isclose
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.messages.results import Result, multiplier
from feeds.simulator import football_markets as kinds
from feeds.simulator.football import markets_for
from feeds.simulator.pricing import PRICE_HIGHEST, PRICE_LOWEST, offer, step_at
from feeds.simulator.race import place_chances, places_for, race_results

VECTORS = Path(__file__).parents[3] / "shared" / "data" / "vectors" / "grading.json"
NAMES = {
    "WON": kinds.WON,
    "LOST": kinds.LOST,
    "VOID": kinds.VOID,
    "HALF_WON": kinds.HALF_WON,
    "HALF_LOST": kinds.HALF_LOST,
}
DOUBLE_CHANCE = {"Home or Draw": 0, "1X": 0, "Home or Away": 1, "12": 1, "Draw or Away": 2, "2X": 2}
SCORES = list(product(range(7), repeat=2))


def verdict_of(row: dict[str, Any]) -> kinds.Verdict | None:
    """Our verdict for a row of the vectors; None: a kind of market the simulator does not offer."""
    home, away = map(int, row["score"].split("-"))
    selection, side = row["selection"], row["side"]
    if row["market"] == "asian_handicap":
        line = round(4 * float(selection))
        home_line = line if side == "Home" else -line
        return kinds.asian_handicap(home_line).verdicts(home, away)[side == "Away"]
    if row["market"] == "goals_over_under":
        return kinds.total_goals(round(4 * float(selection))).verdicts(home, away)[side == "Under"]
    if row["market"] == "double_chance":
        return kinds.double_chance().verdicts(home, away)[DOUBLE_CHANCE[selection]]
    if row["market"] == "draw_no_bet":
        return kinds.draw_no_bet().verdicts(home, away)[selection == "Away"]
    if row["market"] == "both_teams_to_score":
        return kinds.both_to_score().verdicts(home, away)[selection == "No"]
    if row["market"] == "correct_score":
        # There the first number is that of the side named; a draw has none.
        wanted = selection if side != "Away" else "-".join(reversed(selection.split("-")))
        ids = [each for each, _ in kinds.correct_score().selections]
        return kinds.correct_score().verdicts(home, away)[ids.index(wanted)]
    return None


@pytest.mark.skipif(not VECTORS.exists(), reason="the shared vectors are not beside this checkout")
def test_verdicts_agree_with_the_published_cases() -> None:
    rows = json.loads(VECTORS.read_text(encoding="utf-8"))["rows"]
    ours = [(row, verdict_of(row)) for row in rows]
    checked = [(row, verdict) for row, verdict in ours if verdict is not None]
    assert len(checked) >= 460
    assert [row for row, verdict in checked if verdict != NAMES[row["expected"]]] == []


def half_stakes(ahead: Fraction) -> kinds.Verdict:
    """The rule in words: a quarter line is half the stake on each neighbour (RULEBOOK 5), with exact fractions."""
    quarter = Fraction(1, 4)
    halves = [ahead - quarter, ahead + quarter] if ahead % Fraction(1, 2) else [ahead, ahead]
    points = sum((half > 0) - (half < 0) for half in halves)
    return {2: kinds.WON, 1: kinds.HALF_WON, 0: kinds.VOID, -1: kinds.HALF_LOST, -2: kinds.LOST}[points]


@pytest.mark.parametrize("line", range(-12, 13))
def test_lines_are_half_a_stake_on_each_neighbour(line: int) -> None:
    for home, away in SCORES:
        lead = home - away + Fraction(line, 4)
        assert kinds.asian_handicap(line).verdicts(home, away) == (half_stakes(lead), half_stakes(-lead))
        over = home + away - Fraction(line, 4)
        assert kinds.total_goals(line).verdicts(home, away) == (half_stakes(over), half_stakes(-over))


def test_lines_read_as_people_write_them() -> None:
    assert [kinds.line_text(line) for line in (-3, -4, 0, 1, 10, 8)] == ["-0.75", "-1", "0", "0.25", "2.5", "2"]


@given(st.floats(0.1, 4), st.floats(0.1, 4), st.integers(0, 4), st.integers(0, 4))
def test_all_markets_are_priced_from_the_same_grid(home_rate: float, away_rate: float, home: int, away: int) -> None:
    grid = kinds.score_grid((home, away), (home_rate, away_rate))
    several = markets_for((home_rate, away_rate))
    found = dict(zip([kind.id for kind in several], kinds.Pricer(several).chances(grid), strict=True))
    one, draw, two = found["1x2"]
    assert isclose(grid.sum(), 1, abs_tol=1e-9)
    assert found["dc"] == pytest.approx([one + draw, one + two, draw + two])
    if one + two > 1e-6:
        assert found["dnb"] == pytest.approx([one / (one + two), two / (one + two)])
    over, under = found["total=2.5"]
    low = sum(float(grid[h, a]) for h in range(3) for a in range(3 - h))
    assert (over, under) == pytest.approx((1 - low, low))
    scores = dict(zip([each for each, _ in kinds.correct_score().selections], found["score"], strict=True))
    assert scores["2-1"] == pytest.approx(float(grid[2, 1]))
    for kind in several:
        sums = sum(found[kind.id])
        assert isclose(sums, kind.winners, abs_tol=1e-6) or sums == 0, kind.id


def test_fair_prices_give_every_stake_back_on_average() -> None:
    grid = kinds.score_grid((1, 0), (0.9, 0.7))
    for kind in markets_for((1.6, 1.1)):
        for index, chance in enumerate(kinds.Pricer([kind]).chances(grid)[0]):
            if chance < 1e-6:
                continue
            back = 0.0
            for (home, away), cell in (
                (tuple(divmod(at, 16)), cell) for at, cell in enumerate(grid.reshape(-1).tolist())
            ):
                above, below = multiplier(kind.results(home, away)[index], 10_000)
                void = kind.results(home, away)[index].void_factor / 10_000
                back += cell * (void + (above / below - void) / chance)
            assert isclose(back, 1, abs_tol=1e-6), (kind.id, index)


def test_a_market_is_decided_when_no_score_to_come_changes_it() -> None:
    for kind in markets_for((1.5, 1.2)):
        for home, away in product(range(6), repeat=2):
            now = kind.results(home, away)
            later = {kind.results(home + h, away + a) for h in range(8) for a in range(8)}
            assert kinds.is_decided(kind, home, away) == (later == {now}), (kind.id, home, away)


@given(st.lists(st.floats(0.001, 1), min_size=2, max_size=26), st.floats(0, 0.2))
def test_a_book_sums_to_its_overround_within_rounding(weights: list[float], overround: float) -> None:
    chances = [weight / sum(weights) for weight in weights]
    prices = offer(chances, overround)
    pairs = [(chance, price) for chance, price in zip(chances, prices, strict=True) if price]
    if not pairs:
        assert max(chances) > 0.95
        return
    assert all(PRICE_LOWEST <= price <= PRICE_HIGHEST for _, price in pairs)
    assert sorted(pairs, key=lambda pair: -pair[0]) == sorted(pairs, key=lambda pair: (pair[1], -pair[0]))
    target = (1 + overround) * sum(chance for chance, _ in pairs)
    asked = sum(10_000 / price for _, price in pairs)
    rounding = sum(10_000 / price - 10_000 / (price + step_at(price)) for _, price in pairs)
    assert target - 1e-6 <= asked <= target + rounding + 1e-6


@pytest.mark.parametrize(
    ("chances", "overround"),
    [
        ([1.0, 0.0], 0.06),
        ([0.9999, 0.0001], 0.06),
        ([0.0, 0.0], 0.06),
        ([1.0, 1.0, 0.0], 0.06),
        ([0.9985, 0.0015], 0.06),
    ],
)
def test_a_market_that_is_as_good_as_decided_is_not_offered(chances: list[float], overround: float) -> None:
    assert offer(chances, overround) == (0,) * len(chances)


def test_an_improbable_selection_is_not_offered_and_the_others_are() -> None:
    assert offer([0.5, 0.4995, 0.0005], 0.0) == (20_000, 20_000, 0)


@pytest.mark.parametrize("places", [1, 2, 3, 4])
def test_place_chances_are_the_sum_over_all_orders(places: int) -> None:
    win = [0.4, 0.25, 0.0, 0.15, 0.12, 0.08]
    expected = [0.0] * len(win)
    for order in permutations([number for number, chance in enumerate(win) if chance], places):
        chance, left = 1.0, 1.0
        for number in order:
            chance, left = chance * win[number] / left, left - win[number]
        for number in order:
            expected[number] += chance
    assert place_chances(win, places) == pytest.approx(expected)
    assert isclose(sum(expected), places)


@pytest.mark.parametrize(
    ("order", "places", "expected"),
    [
        # plain: first and second of a two-place market
        ("a b c", 2, {"a": (1, 1, 1), "b": (1, 1, 1), "c": (0, 1, 1)}),
        # dead heat for the win: one place for two
        ("ab c", 1, {"a": (1, 1, 2), "b": (1, 1, 2), "c": (0, 1, 1)}),
        # dead heat within the places costs nothing
        ("ab c", 2, {"a": (1, 1, 1), "b": (1, 1, 1), "c": (0, 1, 1)}),
        # three for the last two places
        ("a bcd e", 3, {"a": (1, 1, 1), "b": (1, 2, 3), "c": (1, 2, 3), "d": (1, 2, 3), "e": (0, 1, 1)}),
    ],
)
def test_a_dead_heat_shares_the_places_left(order: str, places: int, expected: dict[str, tuple[int, int, int]]) -> None:
    results = race_results([list(group) for group in order.split()], ["n"], places)
    found = {each.selection: (each.result, each.dead_heat_places, each.dead_heat_sharing) for each in results[1:]}
    assert found == expected
    assert results[0] == Result("n", 0, 10_000)


def test_places_grow_with_the_field() -> None:
    assert [places_for(runners) for runners in (6, 7, 8, 11, 12, 14)] == [2, 2, 3, 3, 4, 4]


def test_ids_of_markets_are_fit_for_the_wire() -> None:
    for kind in markets_for((1.3, 2.1)):
        assert all(re.fullmatch("[!-~]{1,64}", each) for each in (kind.id, *dict(kind.selections)))
        assert len(dict(kind.selections)) == len(kind.selections)
