"""The kinds of bets as the demo calls them, and their lines, written out: what customers count and check by hand.

A kind's name says its lines: "single", "double", "treble", "fourfold" and so on; a system has its own name ("yankee",
"lucky15"), or is a "system"; a single on a bet builder is a "bet_builder". An each-way bet has "each_way_" before it.
"""

from __future__ import annotations

from itertools import combinations, product
from math import prod
from typing import Final

from core.messages.commands import PlaceBet
from core.units import PRICE_ONE

NAMED: Final = {
    "trixie": (3, 2),
    "patent": (3, 1),
    "yankee": (4, 2),
    "lucky15": (4, 1),
    "canadian": (5, 2),
    "lucky31": (5, 1),
    "heinz": (6, 2),
    "lucky63": (6, 1),
}
"""Name -> how many fixtures, and the smallest fold; all larger ones belong to it."""
_FOLDS: Final = ("single", "double", "treble", "fourfold", "fivefold", "sixfold", "sevenfold", "eightfold")
BUILDER: Final = "bet_builder"
"""Also the type of the markets in which the provider has priced several selections together."""
EACH_WAY: Final = "each_way_"


def name(kind: str, legs: int, *, each_way: bool, builder: bool) -> str:
    """The kind of a bet: `kind` as in core.messages.commands.PlaceBet, or "system" for one of named folds.

    `builder`: a leg of it is a bet builder.
    """
    plain = kind or (BUILDER if builder and legs == 1 else _FOLDS[legs - 1] if legs <= len(_FOLDS) else f"{legs}-fold")
    return f"{EACH_WAY}{plain}" if each_way else plain


def family(named: str) -> str:
    """Singles, multiples or systems: for where there is no room for more."""
    plain = named.removeprefix(EACH_WAY)
    if plain in {_FOLDS[0], BUILDER}:
        return "singles"
    return "systems" if plain == "system" or plain in NAMED else "multiples"


def lines_of(bet: PlaceBet) -> list[tuple[int, ...]]:
    """Its lines, each as the indexes of its legs; the place parts of an each-way bet are as many again."""
    ways: dict[str, list[int]] = {}
    bankers = tuple(index for index, leg in enumerate(bet.legs) if leg.banker)
    for index, leg in enumerate(bet.legs):
        if not leg.banker:
            ways.setdefault(leg.fixture, []).append(index)
    folds: tuple[int, ...] = bet.folds or (len(ways),)
    if bet.kind in NAMED:
        size, smallest = NAMED[bet.kind]
        folds = tuple(range(smallest, size + 1))
    return [
        bankers + line
        for fold in folds
        for fixtures in combinations(ways.values(), fold)
        for line in product(*fixtures)
    ]


def count(bet: PlaceBet) -> int:
    """Its lines, the place parts counted too."""
    return len(lines_of(bet)) * (2 if bet.each_way else 1)


def stake_m(bet: PlaceBet) -> int:
    """The whole stake that is asked for."""
    return bet.stake_m * count(bet) if bet.unit_stake else bet.stake_m


def payout_m(bet: PlaceBet, prices: list[int], stake_m: int, place_parts: tuple[int, ...] = ()) -> int:
    """What is paid if every leg wins, rounded down; of a free bet the winnings alone.

    `place_parts`: of an each-way bet, for each leg the denominator of its place part (4: a quarter of the odds).
    """
    lines = lines_of(bet)
    above = _total(lines, prices, PRICE_ONE)
    below: int = PRICE_ONE ** _longest(lines) * len(lines)
    if place_parts:
        whole = PRICE_ONE * prod(set(place_parts))
        placed = [
            (price + PRICE_ONE * (part - 1)) * (whole // (PRICE_ONE * part))
            for price, part in zip(prices, place_parts, strict=True)
        ]
        base: int = whole ** _longest(lines) * len(lines)
        above, below = above * base + _total(lines, placed, whole) * below, 2 * below * base
    paid_m = stake_m * above // below
    return paid_m - stake_m if bet.free_bet else paid_m


def _total(lines: list[tuple[int, ...]], weights: list[int], base: int) -> int:
    """The sum over all lines of the product of their legs' weights / base, times base ** the longest."""
    longest = _longest(lines)
    return sum(prod([weights[leg] for leg in line], start=base ** (longest - len(line))) for line in lines)


def _longest(lines: list[tuple[int, ...]]) -> int:
    return max(map(len, lines))
