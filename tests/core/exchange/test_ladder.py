"""Ladders: which prices there are, and which is the nearest to one that is not (RULEBOOK 6)."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.exchange.ladder import CLASSIC, FINEST, LADDERS, Ladder, OffLadder, Side

BOTH = pytest.mark.parametrize("ladder", [CLASSIC, FINEST], ids=lambda ladder: ladder.name)
ON_CLASSIC = (
    (10_100, 0),
    (10_200, 1),
    (19_900, 98),
    (20_000, 99),
    (20_200, 100),
    (29_800, 148),
    (30_000, 149),
    (30_500, 150),
    (40_000, 169),
    (60_000, 189),
    (100_000, 209),
    (200_000, 229),
    (300_000, 239),
    (500_000, 249),
    (1_000_000, 259),
    (10_000_000, 349),
)
OFF = (
    (CLASSIC, 20_100, 20_000, 20_200),
    (CLASSIC, 19_950, 19_900, 20_000),
    (CLASSIC, 29_900, 29_800, 30_000),
    (CLASSIC, 30_200, 30_000, 30_500),
    (CLASSIC, 59_500, 59_000, 60_000),
    (CLASSIC, 10_099, 0, 10_100),
    (CLASSIC, 0, 0, 10_100),
    (CLASSIC, 9_999_999, 9_900_000, 10_000_000),
    (CLASSIC, 10_000_001, 10_000_000, 0),
    (CLASSIC, 10_100_000, 10_000_000, 0),
    (FINEST, 20_150, 20_100, 20_200),
    (FINEST, 10_099, 0, 10_100),
    (FINEST, 10_000_100, 10_000_000, 0),
)
# ladder, price, the nearest below or at it, the nearest above or at it
ROUNDED: tuple[tuple[Ladder, Fraction | int, int | None, int | None], ...] = (
    (CLASSIC, 33_750, 33_500, 34_000),
    (CLASSIC, 33_500, 33_500, 33_500),
    (CLASSIC, Fraction(100_000, 3), 33_000, 33_500),
    (CLASSIC, Fraction(200_001, 10), 20_000, 20_200),
    (CLASSIC, Fraction(199_999, 10), 19_900, 20_000),
    (CLASSIC, Fraction(100_999, 10), None, 10_100),
    (CLASSIC, 1, None, 10_100),
    (CLASSIC, Fraction(100_000_001, 10), 10_000_000, None),
    (FINEST, 33_750, 33_700, 33_800),
    (FINEST, Fraction(100_000, 3), 33_300, 33_400),
    (FINEST, 20_000_000, 10_000_000, None),
)


def test_classic_has_350_prices_and_finest_every_hundredth() -> None:
    assert len(CLASSIC.prices) == 350
    assert list(FINEST.prices) == [hundredths * 100 for hundredths in range(101, 100_001)]
    assert sorted(LADDERS) == ["CLASSIC", "FINEST"]


def test_bands_follow_each_other() -> None:
    with pytest.raises(AssertionError):
        Ladder("GAP", range(10_100, 20_000, 100), range(20_100, 30_000, 200))


@pytest.mark.parametrize(("price", "rung"), ON_CLASSIC)
def test_a_price_on_the_ladder_has_its_rung(price: int, rung: int) -> None:
    assert CLASSIC.rung(price) == rung
    assert CLASSIC.prices[rung] == price


@BOTH
def test_every_rung_has_its_price_and_they_rise(ladder: Ladder) -> None:
    assert [ladder.rung(price) for price in ladder.prices] == list(range(len(ladder.prices)))
    assert list(ladder.prices) == sorted(set(ladder.prices))


@pytest.mark.parametrize(("ladder", "price", "below", "above"), OFF)
def test_a_price_off_the_ladder_is_refused_with_its_neighbours(
    ladder: Ladder, price: int, below: int, above: int
) -> None:
    assert ladder.rung(price) == OffLadder(price, below, above)


@pytest.mark.parametrize(("ladder", "price", "below", "above"), ROUNDED)
def test_a_taker_who_backs_is_rounded_against_downwards(
    ladder: Ladder, price: Fraction | int, below: int | None, above: int | None
) -> None:
    assert ladder.against_taker(Side.BACK, price) == ladder.for_taker(Side.LAY, price) == below
    assert ladder.against_taker(Side.LAY, price) == ladder.for_taker(Side.BACK, price) == above


@BOTH
@given(price=st.fractions(min_value=0, max_value=11_000_000, max_denominator=1_000))
def test_between_a_price_and_the_rounded_one_there_is_no_other(ladder: Ladder, price: Fraction) -> None:
    below, above = ladder.against_taker(Side.BACK, price), ladder.for_taker(Side.BACK, price)
    next_rung = 0 if below is None else ladder.prices.index(below) + 1
    assert below is None or below <= price
    assert next_rung == len(ladder.prices) or ladder.prices[next_rung] > price
    assert above == below if below == price else above == (*ladder.prices[next_rung : next_rung + 1], None)[0]
