"""Prices and results of the simulator's markets: against plain arithmetic."""

from __future__ import annotations

import re
from itertools import permutations, product
from math import isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.messages.results import multiplier
from feeds.simulator import football_markets as kinds
from feeds.simulator.football import markets_for
from feeds.simulator.pricing import PRICE_HIGHEST, PRICE_LOWEST, offer, starting_prices, step_at
from feeds.simulator.race import place_chances, places_for


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


@given(st.floats(0.1, 4), st.floats(0.1, 4), st.integers(0, 3), st.integers(0, 3))
def test_a_bet_builders_chance_is_that_of_the_scores_at_which_all_its_parts_win(
    home_rate: float, away_rate: float, home: int, away: int
) -> None:
    grid = kinds.score_grid((home, away), (home_rate, away_rate))
    chances = [kinds.joint_chance(builder, grid) for builder in kinds.builders()]
    cells = [(h, a, float(grid[h, a])) for h in range(16) for a in range(16)]
    assert chances == pytest.approx(
        [
            sum(cell for h, a, cell in cells if h > a and h + a > 2),
            sum(cell for h, a, cell in cells if h < a and h + a > 2),
            sum(cell for h, a, cell in cells if h == a and h > 0),
            sum(cell for h, a, cell in cells if h >= a > 0 and h + a > 1),
        ]
    )
    for builder, chance in zip(kinds.builders(), chances, strict=True):
        parts = [_chance(kind, selection, grid) for kind, selection in builder.parts]
        assert max(0, sum(parts) - len(parts) + 1) - 1e-9 <= chance <= min(parts) + 1e-9, builder.id


def test_what_goes_together_is_not_priced_as_if_it_did_not() -> None:
    """Home win and over 2.5 of a strong home team: 0.51 together, 0.45 as a product."""
    grid = kinds.score_grid((0, 0), (2.4, 0.7))
    first = kinds.builders()[0]
    parts = [_chance(kind, selection, grid) for kind, selection in first.parts]
    assert kinds.joint_chance(first, grid) > 1.1 * parts[0] * parts[1]


def test_no_part_of_a_bet_builder_is_ever_void() -> None:
    """The engine would make all of it void."""
    for builder in kinds.builders():
        assert len({kind.id for kind, _ in builder.parts}) == len(builder.parts)
        for kind, selection in builder.parts:
            assert selection in dict(kind.selections)
            assert not kinds.payoffs(kind)[1].any()


def _chance(kind: kinds.Kind, selection: str, grid: kinds.Floats) -> float:
    index = [each for each, _ in kind.selections].index(selection)
    return float((kinds.payoffs(kind)[0][index] * grid).sum())


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


def test_whoever_starts_has_a_starting_price() -> None:
    assert starting_prices([0.5, 0.4995, 0.0005, 0.0], 0.0) == (20_000, 20_000, PRICE_HIGHEST, 0)
    assert starting_prices([0.96, 0.02, 0.02], 0.0) == offer([0.96, 0.02, 0.02], 0.0)
    assert starting_prices([0.998, 0.002], 0.15) == (10_020, 5_000_000), "no book: the fair prices"
    assert starting_prices([1.0, 0.0], 0.15) == (PRICE_LOWEST, 0)


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


def test_places_grow_with_the_field() -> None:
    assert [places_for(runners) for runners in (6, 7, 8, 11, 12, 14)] == [2, 2, 3, 3, 4, 4]


def test_ids_of_markets_are_fit_for_the_wire() -> None:
    for kind in markets_for((1.3, 2.1)):
        assert all(re.fullmatch("[!-~]{1,64}", each) for each in (kind.id, *dict(kind.selections)))
        assert len(dict(kind.selections)) == len(kind.selections)
    for builder in kinds.builders():
        assert re.fullmatch("[!-~]{1,64}", builder.id)
