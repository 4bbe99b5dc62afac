"""Thousands of customers in exchange markets, beside a plain account book; EXCHANGE_STEPS=100000 plays a longer one."""

from __future__ import annotations

import os

import pytest

from core.messages import events as ev
from tests.simulation.exchange import BROUGHT_M, played

STEPS = int(os.environ.get("EXCHANGE_STEPS", "4000"))
CUSTOMERS = 2_000


@pytest.mark.parametrize("seed", range(2))
def test_when_all_is_settled_each_balance_is_what_the_account_book_says(seed: int) -> None:
    """The account book is held against every position and balance on the way; here: the sums, and that it was busy."""
    floor = played(seed, STEPS, CUSTOMERS)
    cash_m, left_m, commission_m = floor.sums()
    assert cash_m + left_m + commission_m == BROUGHT_M * CUSTOMERS, floor.where
    assert commission_m > 0, floor.where
    assert 0 <= left_m <= 20 * (floor.watch.crosses + floor.watch.closes), floor.where
    matched = sum(len(event.fills) for event in floor.world.events if isinstance(event, ev.OrderPlaced))
    assert matched > STEPS // 10, floor.where
    assert min(floor.watch.crosses, floor.watch.closes) > STEPS // 200, floor.where
    assert floor.said["Cancelled"] > STEPS // 50, floor.where
