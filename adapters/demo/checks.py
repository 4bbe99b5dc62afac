"""What a customer finds wrong with an accepted bet: he knows what he asked for, and counts it again by hand."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Final

from adapters.demo import kinds
from core.messages.answers import Accepted
from core.messages.commands import PlaceBet, PricePolicy

_PLACE_PARTS: Final = (4, 5)
"""Place parts are paid at a quarter or a fifth of the odds (RULEBOOK 5, usual terms)."""


def amiss(bet: PlaceBet, answer: Accepted, offered: Sequence[int] = (), stake_max_m: int = 0) -> str:
    """What is wrong with it; empty: nothing (RULEBOOK 1 to 3: legs, stake, lines, prices, payout).

    `offered` and `stake_max_m` are the prices and the stake of a trader's offer that he has taken.
    """
    asked = [(leg.fixture, leg.market, leg.selection, leg.price) for leg in bet.legs]
    if [(leg.fixture, leg.market, leg.selection, leg.requested) for leg in answer.legs] != asked:
        return "other legs"
    stake_m = stake_max_m or kinds.stake_m(bet)
    if answer.id != bet.id or answer.stake_m > stake_m or (answer.stake_m < stake_m and not bet.partial):
        return "another id or stake"
    if answer.lines != kinds.count(bet):
        return "another number of lines"
    prices = [leg.price for leg in answer.legs]
    if prices != list(offered) if offered else not all(map(_agreed, [bet] * len(prices), range(len(prices)), prices)):
        return "a price he had not agreed to"
    return "" if answer.payout_m in _payouts(bet, prices, answer.stake_m) else "another payout than stake times prices"


def _agreed(bet: PlaceBet, index: int, price: int) -> bool:
    """Whether a price is within his policy; whoever bets at the starting price agrees to any."""
    leg = bet.legs[index]
    if leg.starting_price or bet.policy is PricePolicy.ANY:
        return True
    if bet.policy is PricePolicy.NONE:
        return price == leg.price
    return (leg.price - price) * 10_000 <= bet.tolerance_bp * leg.price


def _payouts(bet: PlaceBet, prices: list[int], stake_m: int) -> set[int]:
    """What it may pay: the answer does not say at which of the usual terms a place part was taken."""
    if not bet.each_way:
        return {kinds.payout_m(bet, prices, stake_m)}
    return {kinds.payout_m(bet, prices, stake_m, parts) for parts in product(_PLACE_PARTS, repeat=len(prices))}
