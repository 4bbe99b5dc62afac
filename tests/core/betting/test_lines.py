"""The lines of a bet against a plain enumeration with exact fractions, and against the published counts."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations
from math import comb, floor, prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.betting.lines import KINDS, Ratio, Shape, Tally, count, holding, others, payout, total

Line = tuple[int, ...]


def lines_of(shape: Shape) -> list[Line]:
    """Every line as its legs: any of the legs together that obey the rules as they are written (RULEBOOK 2)."""
    legs = range(len(shape.groups))
    return [
        line
        for size in range(1, len(legs) + 1)
        for line in combinations(legs, size)
        if len({shape.groups[leg] for leg in line}) == size
        and {shape.groups[leg] for leg in line if shape.bankers[leg]}
        == {shape.groups[leg] for leg in legs if shape.bankers[leg]}
        and sum(not shape.bankers[leg] for leg in line) in shape.folds
    ]


def product(weights: Sequence[Ratio], line: Sequence[int]) -> Fraction:
    return prod((Fraction(*weights[leg]) for leg in line), start=Fraction(1))


def pays(shape: Shape, stake_m: int, below: int, multipliers: Sequence[Ratio], *, returned: bool) -> int:
    """Each line rounded down on its own; a free bet's stake does not come back (RULEBOOK 1, 2)."""
    stake = Fraction(stake_m, below)
    return sum(
        max(0, floor(stake * product(multipliers, line) - (0 if returned else stake))) for line in lines_of(shape)
    )


def plain(fixtures: int, folds: Sequence[int]) -> Shape:
    return Shape(tuple(folds), tuple(range(fixtures)), (False,) * fixtures)


def shape_of(folds: Sequence[int], legs: str) -> Shape:
    """Legs as a word: a letter a fixture, capital for a banker."""
    order = list(dict.fromkeys(legs.lower()))
    return Shape(tuple(folds), tuple(order.index(leg) for leg in legs.lower()), tuple(leg.isupper() for leg in legs))


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    drawn = draw(st.lists(st.integers(0, 5), min_size=1, max_size=8))
    order = list(dict.fromkeys(drawn))
    bankers = draw(st.lists(st.sampled_from((False, False, False, True)), min_size=len(drawn), max_size=len(drawn)))
    folds = draw(st.lists(st.integers(0, 6), min_size=1, max_size=4, unique=True).map(sorted))
    return Shape(tuple(folds), tuple(map(order.index, drawn)), tuple(bankers))


RATIOS = st.one_of(
    st.tuples(st.integers(10_001, 200_000), st.just(10_000)),  # won, or a price
    st.tuples(st.integers(0, 40), st.integers(1, 30)),  # dead heats, halves; a zero now and then
    st.sampled_from([(0, 1), (0, 10_000), (1, 1), (10_000, 10_000)]),  # lost, void
)


@st.composite
def weighted(draw: st.DrawFn) -> tuple[Shape, list[Ratio]]:
    shape = draw(shapes())
    return shape, draw(st.lists(RATIOS, min_size=len(shape.groups), max_size=len(shape.groups)))


STAKES = st.one_of(st.integers(1, 50), st.integers(1, 10**15))


@pytest.mark.parametrize(
    ("kind", "fixtures", "lines"),
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
def test_a_named_kind_has_its_published_number_of_lines(kind: str, fixtures: int, lines: int) -> None:
    assert KINDS[kind][0] == fixtures
    assert count(plain(*KINDS[kind])) == lines


def test_no_kind_is_without_its_published_number() -> None:
    assert len(KINDS) == 11


@pytest.mark.parametrize(
    ("folds", "legs", "lines", "held"),
    [
        pytest.param([1], "a", 1, (1,), id="a single"),
        pytest.param([3], "abc", 1, (1, 1, 1), id="a treble"),
        pytest.param([3], "aabcd", 7, (3, 3, 5, 5, 5), id="3 of 5, two legs of one fixture: 7 trebles"),
        pytest.param([2], "aab", 2, (1, 1, 2), id="2 of 3, two legs of one fixture: 2 doubles"),
        pytest.param([2], "aabb", 4, (2, 2, 2, 2), id="ways in both fixtures of a double"),
        pytest.param([1, 2], "aa", 2, (1, 1), id="one fixture alone makes singles, no double"),
        pytest.param([2], "Abcd", 3, (3, 2, 2, 2), id="a banker with 2 of 3"),
        pytest.param([2, 3], "ABcde", 4, (4, 4, 3, 3, 3), id="two bankers with a trixie"),
        pytest.param([2], "AAbcd", 6, (3, 3, 4, 4, 4), id="bankers in ways: one of them, each in its own lines"),
        pytest.param([1], "AABBcd", 8, (4, 4, 4, 4, 4, 4), id="ways among two bankers"),
        pytest.param([0], "AB", 1, (1, 1), id="bankers alone"),
        pytest.param([0, 1], "Ab", 2, (2, 1), id="a banker alone and with another"),
        pytest.param([1], "Aab", 1, (1, 0, 1), id="a banker's fixture has no room for a leg that is none"),
        pytest.param([4], "abc", 0, (0, 0, 0), id="more folds than fixtures"),
        pytest.param([0], "ab", 0, (0, 0), id="nothing is no line"),
        pytest.param([], "ab", 0, (0, 0), id="no folds"),
    ],
)
def test_ways_never_share_a_line_and_bankers_stand_in_all(
    folds: list[int], legs: str, lines: int, held: tuple[int, ...]
) -> None:
    shape = shape_of(folds, legs)
    assert len(lines_of(shape)) == lines  # the plain enumeration knows the published numbers too
    assert count(shape) == lines
    assert holding(shape) == held


def test_lines_are_counted_without_being_enumerated() -> None:
    assert count(plain(20, [10])) == 184_756
    assert holding(plain(20, [10])) == (92_378,) * 20
    assert count(plain(200, [100])) == comb(200, 100)  # more than anybody could write out
    assert count(plain(200, range(1, 201))) == 2**200 - 1


@given(shapes())
def test_count_and_holding_are_those_of_the_enumeration(shape: Shape) -> None:
    lines = lines_of(shape)
    assert count(shape) == len(lines)
    assert holding(shape) == tuple(sum(leg in line for line in lines) for leg in range(len(shape.groups)))


@given(weighted())
def test_the_total_is_the_sum_of_all_lines_products(case: tuple[Shape, list[Ratio]]) -> None:
    shape, weights = case
    assert Fraction(*total(shape, weights)) == sum(product(weights, line) for line in lines_of(shape))


@given(weighted())
def test_on_each_leg_runs_the_product_of_its_lines_other_legs(case: tuple[Shape, list[Ratio]]) -> None:
    shape, weights = case
    lines = lines_of(shape)
    running = [
        sum((product(weights, [other for other in line if other != leg]) for line in lines if leg in line), Fraction(0))
        for leg in range(len(weights))
    ]
    assert [Fraction(*ratio) for ratio in others(shape, weights)] == running


@given(weighted(), STAKES, st.integers(1, 300), st.booleans())
def test_the_payout_is_the_sum_of_the_lines_each_rounded_down(
    case: tuple[Shape, list[Ratio]],
    stake_m: int,
    below: int,
    returned: bool,  # noqa: FBT001  (drawn)
) -> None:
    shape, multipliers = case
    assert payout(shape, stake_m, below, multipliers, returned) == pays(
        shape, stake_m, below, multipliers, returned=returned
    )


@given(weighted(), STAKES, st.booleans(), st.integers(1, 40))
def test_a_tally_in_pieces_of_any_size_pays_the_same(
    case: tuple[Shape, list[Ratio]],
    stake_m: int,
    returned: bool,  # noqa: FBT001  (drawn)
    lines_max: int,
) -> None:
    shape, multipliers = case
    surviving = sum(product(multipliers, line) > 0 for line in lines_of(shape))
    tally = Tally(shape, stake_m, count(shape) + 1, multipliers, returned)
    for done in range(0, surviving, lines_max):
        assert tally.lines_left == surviving - done
        assert tally.advance(lines_max) == (done + lines_max >= surviving)
    assert tally.lines_left == 0
    assert tally.advance(lines_max)  # done stays done
    assert tally.paid_m == pays(shape, stake_m, count(shape) + 1, multipliers, returned=returned)


@pytest.mark.parametrize(
    ("kind", "stake_m", "multipliers", "returned", "paid_m"),
    [
        # 1.00 on each of four lines: doubles 2 x 3, 2 x 4, 3 x 4 and the treble 24.
        pytest.param("trixie", 4_00, [(2, 1), (3, 1), (4, 1)], True, 50_00, id="all won"),
        pytest.param("trixie", 4_00, [(2, 1), (3, 1), (4, 1)], False, 46_00, id="all won, a free bet"),
        pytest.param("trixie", 4_00, [(2, 1), (3, 1), (0, 1)], True, 6_00, id="one lost"),
        pytest.param("trixie", 4_00, [(2, 1), (3, 1), (1, 1)], True, 17_00, id="one void: 6 + 2 + 3 + 6"),
        pytest.param("trixie", 4_00, [(0, 1), (0, 1), (1, 1)], True, 0, id="too few left for any line"),
        # 0.25 a line: 1/4 of 1.5 is 0.375 a double, 0.5625 a treble: 37 + 37 + 37 + 56 and not 168.
        pytest.param("trixie", 1_00, [(5, 4), (6, 5), (1, 1)], True, 37 + 31 + 30 + 37, id="down, line by line"),
        # 10 over 7 lines is no whole number: 1.42857 x 2 is 2 on each single, x 4 is 5 on a double, x 8 is 11.
        pytest.param("patent", 10, [(2, 1), (2, 1), (2, 1)], True, 3 * 2 + 3 * 5 + 11, id="the stake is not rounded"),
        # beyond its stake: 1.42857 is 1, x 3 is 4, x 7 is 10
        pytest.param("patent", 10, [(2, 1), (2, 1), (2, 1)], False, 3 * 1 + 3 * 4 + 10, id="a free bet rounds once"),
        # A dead heat below one takes from the free bet's line, never below nothing: singles 0, 10, 10; 8, 8, 30; 26.
        pytest.param(
            "patent", 70, [(9, 10), (2, 1), (2, 1)], False, 10 + 10 + 8 + 8 + 30 + 26, id="a free bet is never negative"
        ),
    ],
)
def test_a_named_bet_pays_line_by_line(
    kind: str,
    stake_m: int,
    multipliers: list[Ratio],
    returned: bool,  # noqa: FBT001  (a case)
    paid_m: int,
) -> None:
    shape = plain(*KINDS[kind])
    assert payout(shape, stake_m, count(shape), multipliers, returned) == paid_m


def test_ways_that_both_win_pay_on_their_own_lines() -> None:
    """A double with two goalscorers of the first match, both of whom score: two lines, no product of the two."""
    assert payout(shape_of([2], "aab"), 2_00, 2, [(3, 1), (5, 1), (2, 1)], returned=True) == 6_00 + 10_00


def test_lost_legs_take_their_lines_without_touching_them() -> None:
    shape = plain(60, [30])  # 118 264 581 564 861 424 lines
    multipliers = [(0, 1)] * 28 + [(2, 1)] * 32
    tally = Tally(shape, 10**15, 10**15, multipliers, returned=True)
    assert tally.lines_left == comb(32, 30)
    assert tally.advance(1_000)
    assert tally.paid_m == comb(32, 30) * 2**30


def test_a_lost_banker_loses_everything_at_once() -> None:
    shape = Shape((15,), tuple(range(31)), (True,) + (False,) * 30)
    tally = Tally(shape, 1_00, count(shape), [(0, 1)] + [(2, 1)] * 30, returned=True)
    assert tally.lines_left == 0
    assert tally.advance(0)
    assert tally.paid_m == 0


@pytest.mark.parametrize(
    ("folds", "legs", "lost", "lines"),
    [
        pytest.param(32, "a" * 34, 0, comb(34, 32), id="nearly all"),
        pytest.param(2, "a" * 34, 0, comb(34, 2), id="few"),
        pytest.param(17, "A" + "a" * 34, 1, 0, id="a lost banker"),
        pytest.param(2, "a" * 14 + "A" * 3 + "a" * 14 + "A" * 3, 0, comb(28, 2), id="bankers at the end"),
    ],
)
def test_a_tally_starts_with_no_more_than_its_lines_need(folds: int, legs: str, lost: int, lines: int) -> None:
    """Each case would hold a megabyte to some tens of them, were the halves written out without regard to the folds."""
    shape = Shape((folds,), tuple(range(len(legs))), tuple(leg.isupper() for leg in legs))
    multipliers = [(0, 1)] * lost + [(2, 1)] * (len(legs) - lost)
    count(shape)
    tracemalloc.start()
    try:
        tally = Tally(shape, 1_00, 1, multipliers, returned=True)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert tally.lines_left == lines
    assert peak < 200_000


def test_a_bet_of_twenty_thousand_lines_pays_what_the_polynomial_says() -> None:
    """Where nothing is left to round the sum over 15 504 lines is the total."""
    shape = plain(20, [5])
    multipliers = [(price, 10_000) for price in range(11_000, 31_000, 1_000)]
    above, under = total(shape, multipliers)
    assert 10**20 * above % under == 0
    assert payout(shape, 10**20, 1, multipliers, returned=True) == 10**20 * above // under


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param(Shape((2, 1), (0, 1), (False, False)), id="folds out of order"),
        pytest.param(Shape((1, 1), (0, 1), (False, False)), id="a fold twice"),
        pytest.param(Shape((-1, 1), (0, 1), (False, False)), id="a fold below nothing"),
        pytest.param(Shape((1,), (1, 0), (False, False)), id="fixtures not in order of appearance"),
        pytest.param(Shape((1,), (0, 2), (False, False)), id="a fixture without legs"),
        pytest.param(Shape((1,), (0, 1), (False,)), id="a leg without its banker's mark"),
    ],
)
def test_a_shape_that_is_not_in_order_is_our_bug(shape: Shape) -> None:
    with pytest.raises(AssertionError):
        count(shape)


def test_weights_must_be_one_for_each_leg() -> None:
    for of in (total, others):
        with pytest.raises(AssertionError):
            of(plain(2, [2]), [(2, 1)])
    with pytest.raises(AssertionError):
        Tally(plain(3, [2]), 1_00, 3, [(2, 1)], returned=True)
