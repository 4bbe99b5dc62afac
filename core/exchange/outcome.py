"""What a matched back or lay wins or loses, in minor units (RULEBOOK 6).

What a layer wins his backer loses: rounding is the payout's, down, as for every bet (core/units.py).
"""

from __future__ import annotations

from fractions import Fraction

from core.exchange.ladder import Side
from core.units import PRICE_ONE, payout_down


def net_m(side: Side, stake_m: int, price: int, won: Fraction) -> int:
    """Winnings above zero, loss below it, where this share of the stake has won and the rest has lost.

    Won: 1, lost: 0, in a dead heat winners expected / winners. 300 backed at 4.0, one of three winners: +100.
    """
    backer_m = payout_down(stake_m, won.numerator * price, won.denominator * PRICE_ONE) - stake_m
    return backer_m if side == Side.BACK else -backer_m


def place_price(price: int, divisor: int) -> Fraction:
    """The exact price x 10 000 of an each-way order's place part: 1 + (price - 1) / divisor."""
    return PRICE_ONE + Fraction(price - PRICE_ONE, divisor)


def net_each_way_m(side: Side, unit_m: int, price: int, divisor: int, *, won: bool, placed: bool) -> int:
    """An each-way order: one unit to win and one to be placed, so that twice the unit is staked."""
    part = place_price(price, divisor)
    backer_m = -2 * unit_m
    if won:
        backer_m += payout_down(unit_m, price, PRICE_ONE)
    if placed:
        backer_m += payout_down(unit_m, part.numerator, part.denominator * PRICE_ONE)
    return backer_m if side == Side.BACK else -backer_m


def net_line_m(side: Side, stake_m: int, line: Fraction, result: int) -> int:
    """An order on a line, at evens: a back wins below it, a lay above; on it nobody does."""
    backer_m = stake_m if result < line else -stake_m if result > line else 0
    return backer_m if side == Side.BACK else -backer_m
