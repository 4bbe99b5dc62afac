"""Cross matching: published prices and stakes, and that the book between taker and makers never loses (RULEBOOK 6)."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import ceil, floor, gcd, lcm

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from core.exchange.crossing import (
    NOTHING,
    Crossing,
    Offer,
    cross,
    house_least,
    implied_price,
    offered_price,
)
from core.exchange.ladder import CLASSIC, FINEST, Ladder, Side

BACK, LAY = Side.BACK, Side.LAY

# MonacoProtocol/protocol@a98aaf9 (Apache-2.0): stake, price, the other price, the stake that pays the same there.
STAKES = (
    (100, 28_000, 35_000, 80),
    (100, 35_000, 28_000, 125),
    (100, 27_000, 30_000, 90),
    (100, 27_000, 33_750, 80),
    (90, 30_000, 27_000, 100),
    (90, 30_000, 33_750, 80),
    (80, 33_750, 27_000, 100),
    (80, 33_750, 30_000, 90),
)
# The same source: prices of the others, the implied one; None where it has more than three decimals.
PRICES: tuple[tuple[tuple[int, ...], int | None], ...] = (
    ((31_000,), None),
    ((20_000,), 20_000),
    ((30_000,) * 2, 30_000),
    ((40_000,) * 3, 40_000),
    ((50_000,) * 4, 50_000),
    ((60_000,) * 5, 60_000),
    ((70_000,) * 6, 70_000),
    ((80_000,) * 7, 80_000),
    ((27_000, 30_000), 33_750),
    ((28_000, 28_000), 35_000),
    ((36_000, 40_000, 72_000), 30_000),
)


@pytest.mark.parametrize(("stake_m", "price", "other", "needed_m"), STAKES)
def test_published_stakes_pay_the_same(stake_m: int, price: int, other: int, needed_m: int) -> None:
    third = implied([price, other])
    assert third is not None
    crossing = cross(BACK, stake_m, price, [Offer(other, 10**6), Offer(int(third), 10**6)])
    assert (crossing.stake_m, crossing.others_m[0]) == (stake_m, needed_m)


def implied(prices: Sequence[int]) -> Fraction | None:
    found = implied_price(prices)
    return None if found is None else Fraction(*found)


@pytest.mark.parametrize(("prices", "published"), PRICES)
def test_published_implied_prices(prices: tuple[int, ...], published: int | None) -> None:
    found = implied(prices)
    assert found is not None
    assert (found if found % 10 == 0 else None) == published


def test_an_implied_price_is_exact() -> None:
    assert implied((31_000,)) == Fraction(310_000, 21)


@pytest.mark.parametrize("prices", [(20_000, 20_000), (19_900, 20_000), (10_100, 30_000, 30_000)])
def test_where_the_others_leave_nothing_there_is_no_price(prices: tuple[int, ...]) -> None:
    assert implied_price(prices) is None
    assert offered_price(CLASSIC, BACK, prices) is None


@pytest.mark.parametrize(
    ("ladder", "side", "prices", "price"),
    [
        (CLASSIC, BACK, (27_000, 30_000), 33_500),
        (CLASSIC, LAY, (27_000, 30_000), 34_000),
        (FINEST, BACK, (27_000, 30_000), 33_700),
        (FINEST, LAY, (27_000, 30_000), 33_800),
        (CLASSIC, BACK, (28_000, 28_000), 35_000),
        (CLASSIC, LAY, (28_000, 28_000), 35_000),
        # the ladder ends: 1.001, and 2000
        (CLASSIC, BACK, (10_010_000,), None),
        (CLASSIC, LAY, (10_010_000,), 10_100),
        (CLASSIC, BACK, (20_010, 20_000), 10_000_000),
        (CLASSIC, LAY, (20_010, 20_000), None),
    ],
)
def test_an_implied_price_is_rounded_against_the_taker(
    ladder: Ladder, side: Side, prices: tuple[int, ...], price: int | None
) -> None:
    assert offered_price(ladder, side, prices) == price


@pytest.mark.parametrize(
    ("side", "stake_m", "price", "offers", "crossing"),
    [
        # exact: 100 at 2.7, 90 at 3.0, 80 at 3.375
        (BACK, 80, 33_750, ((27_000, 100), (30_000, 90)), Crossing(80, (100, 90))),
        (LAY, 80, 33_750, ((27_000, 100), (30_000, 90)), Crossing(80, (100, 90))),
        # as far as the offers reach
        (BACK, 1_000, 33_750, ((27_000, 100), (30_000, 95)), Crossing(80, (100, 90))),
        (BACK, 1_000, 33_750, ((27_000, 110), (30_000, 90)), Crossing(80, (100, 90))),
        # 81 at 3.5 pay 283, as all have staked; 82 would pay 287 and be staked 286
        (BACK, 81, 35_000, ((28_000, 1_000), (28_000, 1_000)), Crossing(81, (101, 101))),
        (BACK, 82, 35_000, ((28_000, 1_000), (28_000, 1_000)), Crossing(81, (101, 101))),
        (BACK, 3, 35_000, ((28_000, 1_000), (28_000, 1_000)), Crossing(1, (1, 1))),
        (LAY, 81, 35_000, ((28_000, 1_000), (28_000, 1_000)), Crossing(80, (100, 100))),
        # off the ladder, 3.375 becomes 3.35: 268 is paid, 99.26 and 89.33 are the makers'
        (BACK, 80, 33_500, ((27_000, 1_000), (30_000, 1_000)), Crossing(80, (99, 89))),
        # 3.4 for a layer: he loses 272, 100.74 and 90.67 are the makers'
        (LAY, 80, 34_000, ((27_000, 1_000), (30_000, 1_000)), Crossing(80, (101, 91))),
        # two selections: a back of the one is a lay of the other
        (BACK, 100, 20_000, ((20_000, 40),), Crossing(40, (40,))),
        (BACK, 100, 15_000, ((30_000, 40),), Crossing(80, (40,))),
        # nobody is matched with nothing: 1 at 1.5 pays 1, of which the other side would have none
        (BACK, 1, 15_000, ((30_000, 40),), NOTHING),
        # 150 to 147 would be paid a unit more than all have staked
        (BACK, 150, 29_600, ((26_000, 1_000), (36_000, 1_000)), Crossing(146, (166, 120))),
    ],
)
def test_stakes_are_matched_across(
    side: Side, stake_m: int, price: int, offers: tuple[tuple[int, int], ...], crossing: Crossing
) -> None:
    assert cross(side, stake_m, price, [Offer(*offer) for offer in offers]) == crossing


def test_a_price_better_than_the_implied_one_is_our_bug() -> None:
    with pytest.raises(AssertionError):
        cross(BACK, 80, 34_000, [Offer(27_000, 100), Offer(30_000, 90)])
    with pytest.raises(AssertionError):
        cross(LAY, 80, 33_500, [Offer(27_000, 100), Offer(30_000, 90)])


@settings(max_examples=500)
@given(st.sampled_from(Side), st.lists(st.sampled_from(FINEST.prices), min_size=1, max_size=40))
@example(BACK, [30_000] * 3)
@example(LAY, [1_500_000] * 99 + [34_000] * 1)
@example(BACK, [5_000_000] * 399)
@example(LAY, [5_000_000] * 399)
@example(BACK, [5_000_000] * 500)
@example(LAY, [5_000_000] * 398 + [50_000])
@example(BACK, list(FINEST.prices[50_000:50_400]))
def test_the_offered_price_is_the_exact_one_rounded_against_its_taker(side: Side, prices: list[int]) -> None:
    exact = implied(prices)
    expected = None if exact is None else FINEST.against_taker(side, exact)
    assert offered_price(FINEST, side, prices) == expected


OFFERS = st.lists(st.builds(Offer, st.sampled_from(CLASSIC.prices), st.integers(1, 10**7)), min_size=1, max_size=7)


@given(side=st.sampled_from(Side), stake_m=st.integers(1, 10**7), offers=OFFERS)
@example(side=BACK, stake_m=81, offers=[Offer(28_000, 1_000)] * 2)
@example(side=LAY, stake_m=1, offers=[Offer(30_000, 1)] * 2)
def test_the_book_between_taker_and_makers_never_loses(side: Side, stake_m: int, offers: list[Offer]) -> None:
    price = offered_price(CLASSIC, side, [offer.price for offer in offers])
    assume(price is not None)
    assert price is not None
    crossing = cross(side, stake_m, price, offers)
    if crossing is NOTHING:
        return
    makers = [Offer(offer.price, taken_m) for offer, taken_m in zip(offers, crossing.others_m, strict=True)]
    assert 0 < crossing.stake_m <= stake_m
    assert all(0 <= taken.stake_m <= offer.stake_m for taken, offer in zip(makers, offers, strict=True))
    least = house_least(side, Offer(price, crossing.stake_m), makers)
    assert least >= 0
    if price == implied([offer.price for offer in offers]):
        assert least == 0


@pytest.mark.parametrize("side", list(Side))
def test_off_the_ladder_all_but_small_stakes_are_matched_whole(side: Side) -> None:
    offers = [Offer(27_400, 10**6), Offer(36_000, 10**6), Offer(72_000, 10**6)]
    price = offered_price(CLASSIC, side, [offer.price for offer in offers])
    assert price is not None
    assert all(cross(side, stake_m, price, offers).stake_m == stake_m for stake_m in range(1_000, 1_100))


def plain(side: Side, stake_m: int, price: int, offers: Sequence[Offer]) -> Crossing:
    """As it is written first: every stake with all its payouts, whoever wins."""
    most_m = min(stake_m, *(offer.stake_m * offer.price // price for offer in offers))
    exact_m = most_m - most_m % lcm(*(offer.price // gcd(offer.price, price) for offer in offers))
    for taken_m in (*range(most_m, max(0, most_m - max(1, 64 // len(offers))), -1), exact_m):
        exact = [Fraction(taken_m * price, offer.price) for offer in offers]
        others_m = tuple(floor(each) if side is BACK else ceil(each) for each in exact)
        makers = [Offer(offer.price, other_m) for offer, other_m in zip(offers, others_m, strict=True)]
        if all(others_m) and house_least(side, Offer(price, taken_m), makers) >= 0:
            return Crossing(taken_m, others_m)
    return NOTHING


SMALL = st.lists(st.builds(Offer, st.sampled_from(CLASSIC.prices), st.integers(1, 300)), min_size=1, max_size=19)


@settings(max_examples=1_000)
@given(
    st.sampled_from(Side),
    st.integers(1, 500),
    st.one_of(OFFERS, SMALL),
    st.integers(0, 2),
    st.sampled_from((CLASSIC, FINEST)),
)
def test_the_stakes_are_those_of_the_plain_search(
    side: Side, stake_m: int, offers: list[Offer], worse: int, ladder: Ladder
) -> None:
    price = offered_price(ladder, side, [offer.price for offer in offers])
    for _ in range(worse):
        assume(price is not None)
        assert price is not None
        price = ladder.against_taker(side, price - 1 if side is BACK else price + 1)
    assume(price is not None)
    assert price is not None
    assert cross(side, stake_m, price, offers) == plain(side, stake_m, price, offers)
