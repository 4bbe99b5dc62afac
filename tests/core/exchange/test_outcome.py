"""What a matched back or lay wins or loses: published numbers (RULEBOOK 6), and nothing lost between the two."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.exchange.ladder import Side
from core.exchange.outcome import net_each_way_m, net_line_m, net_m

BACK, LAY = Side.BACK, Side.LAY
WON, LOST = Fraction(1), Fraction(0)
# betcode-org/flumine@5bda83a tests/test_simulatedorder.py (MIT), in minor units; the last two RULEBOOK 6.
NETS = (
    (BACK, 200, 100_000, WON, 1_800),
    (BACK, 200, 100_000, LOST, -200),
    (LAY, 200, 100_000, WON, -1_800),
    (LAY, 200, 100_000, LOST, 200),
    (BACK, 1_000, 40_000, Fraction(1, 2), 1_000),
    (BACK, 1_000, 40_000, LOST, -1_000),
    (LAY, 2_000, 50_000, Fraction(1, 2), -3_000),
    (LAY, 2_000, 50_000, LOST, 2_000),
    (BACK, 5_000, 110_000, Fraction(1, 4), 8_750),
    (LAY, 200, 18_700, WON, -174),
    (BACK, 30_000, 40_000, Fraction(1, 3), 10_000),
    (LAY, 30_000, 40_000, Fraction(1, 3), -10_000),
    # the payout is rounded down, and so is what the layer loses: 3.33 at 1.5
    (BACK, 333, 15_000, WON, 166),
    (LAY, 333, 15_000, WON, -166),
)
# The same source: price 10, divisor 5, unit 2.
EACH_WAY = (
    (BACK, True, True, 2_160),
    (BACK, False, True, 160),
    (BACK, False, False, -400),
    (LAY, True, True, -2_160),
    (LAY, False, True, -160),
    (LAY, False, False, 400),
)
# The same source: line 120.5, stake 2.
LINES = ((BACK, 120, 200), (BACK, 121, -200), (LAY, 121, 200), (LAY, 120, -200))


@pytest.mark.parametrize(("side", "stake_m", "price", "won", "net"), NETS)
def test_published_winnings_and_losses(side: Side, stake_m: int, price: int, won: Fraction, net: int) -> None:
    assert net_m(side, stake_m, price, won) == net


@pytest.mark.parametrize(("side", "won", "placed", "net"), EACH_WAY)
def test_published_each_way_orders(side: Side, won: bool, placed: bool, net: int) -> None:  # noqa: FBT001  (a table)
    assert net_each_way_m(side, 200, 100_000, 5, won=won, placed=placed) == net


@pytest.mark.parametrize(("side", "result", "net"), LINES)
def test_published_lines(side: Side, result: int, net: int) -> None:
    assert net_line_m(side, 200, Fraction(241, 2), result) == net


@pytest.mark.parametrize("side", list(Side))
def test_on_the_line_nobody_wins(side: Side) -> None:
    assert net_line_m(side, 200, Fraction(120), 120) == 0


@given(
    stake_m=st.integers(1, 10**12),
    price=st.integers(10_001, 10_000_000),
    won=st.fractions(min_value=0, max_value=1, max_denominator=40),
    divisor=st.integers(1, 8),
)
def test_what_one_wins_the_other_loses(stake_m: int, price: int, won: Fraction, divisor: int) -> None:
    assert net_m(BACK, stake_m, price, won) == -net_m(LAY, stake_m, price, won) >= -stake_m
    back, lay = (net_each_way_m(side, stake_m, price, divisor, won=won == 1, placed=won > 0) for side in Side)
    assert back == -lay >= -2 * stake_m
