"""The starting price: where backs and lays for the close meet, and who is matched there."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.exchange.ladder import Side
from core.exchange.starting import PRICE_LEAST, PRICE_MOST, Reconciled, Waiting, meeting_price, reconcile
from core.units import PRICE_ONE, payout_down, payout_up

BACK, LAY = Side.BACK, Side.LAY


def back(stake_m: int, limit: int = 0) -> Waiting:
    return Waiting(BACK, stake_m, limit)


def lay(liability_m: int, limit: int = 0) -> Waiting:
    return Waiting(LAY, liability_m, limit)


CASES = [
    # rule, orders, price, matched stakes
    ("100 backed and 300 at risk meet at 4.0", [back(100), lay(300)], 40_000, (100, 100)),
    ("1000 backed and 6000 at risk is 7.0 (Betfair)", [back(100_000), lay(600_000)], 70_000, (100_000, 100_000)),
    ("6000 backed and 1000 at risk is 1/6 (Betfair)", [back(600_000), lay(100_000)], 11_666, (600_000, 600_000)),
    (
        "at 5.0 a back from 4.0 is in, from 6.0 out (Betfair)",
        [back(100, 40_000), back(9, 60_000), lay(400)],
        50_000,
        (100, 0, 100),
    ),
    ("nobody lays", [back(100), back(50)], 0, (0, 0)),
    ("nobody backs", [lay(100)], 0, (0,)),
    ("nobody at all", [], 0, ()),
    ("liabilities add up", [back(90), lay(90), lay(180)], 40_000, (90, 30, 60)),
    ("what rounding takes lapses", [back(100), lay(100), lay(200)], 40_000, (99, 33, 66)),
    ("a back whose limit is above is left out", [back(100), back(100, 40_001), lay(300)], 40_000, (100, 0, 100)),
    ("a back whose limit is met is in", [back(100), back(100, 25_000), lay(300)], 25_000, (100, 100, 200)),
    ("a lay whose limit is below is left out", [back(100), lay(300), lay(900, 20_000)], 40_000, (100, 100, 0)),
    ("no back takes what the lays offer", [back(100, 50_000), lay(300, 20_000)], 0, (0, 0)),
    ("of prices that match the same the greatest", [back(100, 30_000), lay(10**6, 35_000)], 35_000, (100, 100)),
    ("limits that meet", [back(100, 30_000), lay(400, 50_000)], 50_000, (100, 100)),
    ("a limit is met at the limit, not above", [back(1_000, 30_000), lay(3)], 30_000, (1, 1)),
    ("limits that just meet", [back(100, 30_000), lay(900, 30_000)], 30_000, (100, 100)),
    ("who has no limit goes before who has one", [back(100, 40_000), back(100), lay(450)], 40_000, (50, 100, 150)),
    ("of equals the first goes first", [back(100, 40_000), back(100, 40_000), lay(300)], 40_000, (100, 0, 100)),
    ("much is backed, little laid", [back(10**9), lay(1)], PRICE_LEAST, (100, 100)),
    ("little is backed, much laid", [back(1), lay(10**9)], PRICE_MOST, (1, 1)),
]


@pytest.mark.parametrize(("rule", "orders", "price", "stakes_m"), CASES, ids=[case[0] for case in CASES])
def test_backs_and_lays_meet(rule: str, orders: list[Waiting], price: int, stakes_m: tuple[int, ...]) -> None:
    assert reconcile(orders) == Reconciled(price, stakes_m), rule


WAITING = st.lists(
    st.builds(
        Waiting,
        st.sampled_from(Side),
        st.integers(1, 100_000),
        st.one_of(st.just(0), st.integers(PRICE_LEAST, 200_000)),
    ),
    max_size=12,
)


def takes(order: Waiting, price: int) -> int:
    """The most it has at a price."""
    if order.side is BACK:
        return order.amount_m if price >= order.limit else 0
    return order.amount_m * PRICE_ONE // (price - PRICE_ONE) if not order.limit or price <= order.limit else 0


def volume(orders: list[Waiting], price: int) -> int:
    return min(sum(takes(order, price) for order in orders if order.side is side) for side in Side)


@settings(max_examples=300)
@given(WAITING)
def test_both_sides_have_the_same_and_nobody_more_than_he_wants(orders: list[Waiting]) -> None:
    price, stakes_m = reconcile(orders)
    sums = {side: sum(m for order, m in zip(orders, stakes_m, strict=True) if order.side is side) for side in Side}
    assert sums[BACK] == sums[LAY]
    if not price:
        assert not sums[BACK]
        return
    for order, stake_m in zip(orders, stakes_m, strict=True):
        assert 0 <= stake_m <= takes(order, price)
        if order.side is LAY:
            assert payout_up(stake_m, price, PRICE_ONE) - stake_m <= order.amount_m
    backs = [m for order, m in zip(orders, stakes_m, strict=True) if order.side is BACK]
    lays = [m for order, m in zip(orders, stakes_m, strict=True) if order.side is LAY]
    assert sum(payout_down(m, price, PRICE_ONE) for m in backs) <= sum(payout_up(m, price, PRICE_ONE) for m in lays)


@settings(max_examples=300)
@given(WAITING)
def test_no_other_price_matches_more(orders: list[Waiting]) -> None:
    """But for roundings, less than a minor unit an order. Every limit, and what is beside the price, is tried."""
    price = meeting_price(orders)
    most = volume(orders, price) if price else 0
    tried = {PRICE_LEAST, PRICE_MOST, *(order.limit for order in orders if order.limit)}
    tried |= {max(PRICE_LEAST, limit - 1) for limit in tried} | {min(PRICE_MOST, limit + 1) for limit in tried}
    if price:
        tried |= {min(PRICE_MOST, max(PRICE_LEAST, price + step)) for step in range(-50, 51)}
    assert all(volume(orders, each) <= most + len(orders) for each in tried)


@settings(max_examples=300)
@given(WAITING)
def test_a_plain_search_of_every_candidate_finds_no_more(orders: list[Waiting]) -> None:
    """The most is matched at a limit, or where the stakes and liabilities of those between two limits balance."""
    tried: set[int] = set()
    for limit in {PRICE_LEAST, PRICE_MOST, *(order.limit for order in orders if order.limit)}:
        for at in (limit - 1, limit, limit + 1):
            backed_m = sum(each.amount_m for each in orders if each.side is BACK and at >= each.limit)
            lays_m = (each.amount_m for each in orders if each.side is LAY and (not each.limit or at <= each.limit))
            balance = PRICE_ONE + sum(lays_m) * PRICE_ONE // backed_m if backed_m else at
            tried |= {at, balance, balance + 1}
    best_m = max(volume(orders, each) for each in tried if PRICE_LEAST <= each <= PRICE_MOST)
    price = meeting_price(orders)
    matched_m = volume(orders, price) if price else 0
    assert matched_m <= best_m + len(orders)
    assert best_m <= matched_m + len(orders)


@settings(max_examples=300)
@given(WAITING)
def test_one_side_has_all_it_takes_at_the_price(orders: list[Waiting]) -> None:
    price, stakes_m = reconcile(orders)
    if price:
        short = {order.side for order, m in zip(orders, stakes_m, strict=True) if m < takes(order, price)}
        assert len(short) <= 1


@settings(max_examples=300)
@given(WAITING)
def test_the_one_who_asks_less_goes_first(orders: list[Waiting]) -> None:
    price, stakes_m = reconcile(orders)
    both = list(zip(orders, stakes_m, strict=True))
    for first, mine in both:
        for other, theirs in both:
            if price and theirs and first.side is other.side and _asks_less(first, other):
                assert mine == takes(first, price)


def _asks_less(first: Waiting, other: Waiting) -> bool:
    if not first.limit or not other.limit:
        return not first.limit and bool(other.limit)
    return first.limit < other.limit if first.side is BACK else first.limit > other.limit


def plain_price(orders: list[Waiting]) -> int:
    """As it is written first: each step of the search looks at all orders."""
    low, high = PRICE_LEAST, PRICE_MOST
    while low < high:
        middle = (low + high) // 2
        backed_m = sum(each.amount_m for each in orders if each.side is BACK and middle >= each.limit)
        lays = [each for each in orders if each.side is LAY and (not each.limit or middle <= each.limit)]
        if backed_m * (middle - PRICE_ONE) >= sum(each.amount_m for each in lays) * PRICE_ONE:
            high = middle
        else:
            low = middle + 1
    below = max(PRICE_LEAST, low - 1)
    price = below if volume(orders, below) > volume(orders, low) else low
    return price if volume(orders, price) else 0


@settings(max_examples=1_000)
@given(WAITING)
def test_sums_by_limit_find_what_a_look_at_all_orders_finds(orders: list[Waiting]) -> None:
    assert meeting_price(orders) == plain_price(orders)
