"""The lines (combinations) of a bet: how many there are, what they are worth together, what each of them pays.

A bet of several legs is a set of lines, and a line wins when all its legs do: a Yankee is eleven lines over four legs.
The lines need not be written out to be counted or summed. Give each fixture the factor (1 + w x), w being the sum of
the weights of its legs: to multiply the factors out is to decide for each fixture whether a line leaves it (1) or takes
one of its legs (w), and the power of x counts those taken. So the coefficient of x^k, the k-th elementary symmetric
polynomial of the w, is the sum over all lines of k fixtures of the product of their legs' weights, at a cost of some
2 k multiplications a fixture. Legs of one fixture ("ways") are added, never multiplied, hence never share a line. The
factor of a banker is (w x): no line leaves it. With all weights one, the sum is the number of lines.

Only a payout asks for every line, because each is rounded on its own (RULEBOOK 1); `Tally` does it in pieces.

This module knows shapes and numbers only, nothing of the book. Weights and multipliers are (numerator, denominator),
numerator >= 0, denominator > 0. Source: RULEBOOK 1, 2 and 5.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice
from math import gcd, lcm, prod
from operator import mul

from msgspec import Struct

from core.units import payout_down

Ratio = tuple[int, int]
"""(numerator, denominator), exact, not always reduced."""

KINDS: dict[str, tuple[int, tuple[int, ...]]] = {
    "trixie": (3, (2, 3)),
    "patent": (3, (1, 2, 3)),
    "yankee": (4, (2, 3, 4)),
    "lucky15": (4, (1, 2, 3, 4)),
    "canadian": (5, (2, 3, 4, 5)),
    "super_yankee": (5, (2, 3, 4, 5)),
    "lucky31": (5, (1, 2, 3, 4, 5)),
    "heinz": (6, (2, 3, 4, 5, 6)),
    "lucky63": (6, (1, 2, 3, 4, 5, 6)),
    "super_heinz": (7, (2, 3, 4, 5, 6, 7)),
    "goliath": (8, (2, 3, 4, 5, 6, 7, 8)),
}
"""The named kinds of bets (RULEBOOK 2): number of fixtures, fold sizes."""

# Bets come in few shapes: the named kinds, n-folds, some with ways or bankers. An entry of 20 legs is some 3 kB.
_SHAPES_CACHED = 2048


class Shape(Struct, frozen=True, gc=False):
    """What a bet's lines look like, whatever its legs are. Who makes one has put it in order; it is asserted on use.

    A leg without the banker's mark in a fixture that has a banker stands in no line: `holding` is 0 for it.
    A fold size above the number of fixtures, and a line without any leg, count as no line.
    """

    folds: tuple[int, ...]
    """How many fixtures without a banker stand in a line; ascending, distinct, each >= 0."""
    groups: tuple[int, ...]
    """For each leg the number of its fixture: 0, 1, ... in order of first appearance."""
    bankers: tuple[bool, ...]
    """For each leg: it stands in every line; of several bankers in one fixture one does, each in its own lines."""


class _Fixture(Struct, frozen=True, gc=False):
    banker: bool
    legs: tuple[int, ...]
    """Its legs that can stand in a line."""


class _Plan(Struct, frozen=True, gc=False):
    sizes: tuple[int, ...]
    """How many fixtures stand in a line, bankers counted; ascending."""
    fixtures: tuple[_Fixture, ...]
    fixture_of: tuple[int, ...]
    """For each leg its fixture, or -1: it stands in no line."""


@lru_cache(maxsize=_SHAPES_CACHED)
def _plan(shape: Shape) -> _Plan:
    folds, groups, bankers = shape.folds, shape.groups, shape.bankers
    assert len(groups) == len(bankers)
    assert list(folds) == sorted(set(folds))
    assert all(fold >= 0 for fold in folds)
    assert list(dict.fromkeys(groups)) == list(range(len(set(groups))))
    held = {group for group, banker in zip(groups, bankers, strict=True) if banker}
    standing = [banker or group not in held for group, banker in zip(groups, bankers, strict=True)]
    fixtures = tuple(
        _Fixture(number in held, tuple(leg for leg, group in enumerate(groups) if group == number and standing[leg]))
        for number in range(len(set(groups)))
    )
    return _Plan(
        sizes=tuple(size for size in (fold + len(held) for fold in folds) if 0 < size <= len(fixtures)),
        fixtures=fixtures,
        fixture_of=tuple(group if stands else -1 for group, stands in zip(groups, standing, strict=True)),
    )


@lru_cache(maxsize=_SHAPES_CACHED)
def count(shape: Shape) -> int:
    """Number of lines; computed, never enumerated: 10 of 20 is 184 756 at once."""
    return total(shape, ((1, 1),) * len(shape.groups))[0]


@lru_cache(maxsize=_SHAPES_CACHED)
def holding(shape: Shape) -> tuple[int, ...]:
    """For each leg, how many lines hold it."""
    return tuple(lines for lines, _ in others(shape, ((1, 1),) * len(shape.groups)))


def total(shape: Shape, weights: Sequence[Ratio]) -> Ratio:
    """The sum over all lines of the product of their legs' weights, exact, not reduced; `weights` has one for each leg.

    With the prices of the legs it is the greatest payout of a bet with one unit on each line.
    """
    plan = _plan(shape)
    if not plan.sizes:
        return 0, 1
    factors = _factors(plan, weights)
    row = _prefixes(factors, plan.sizes[-1])[-1]
    return sum(row[size] for size in plan.sizes), prod(below for _, _, below in factors)


def others(shape: Shape, weights: Sequence[Ratio]) -> tuple[Ratio, ...]:
    """For each leg, the sum over the lines that hold it of the product of their *other* legs' weights, exact.

    It is what runs on the leg when one unit is on each line (RULEBOOK 4, running stake). A fixture's own weights have
    no part in what its legs are given. Forward, then backward: what the fixtures before it give when they put s of
    them into a line, times what those after it make of s + 1.
    """
    plan = _plan(shape)
    if not plan.sizes:
        return ((0, 1),) * len(shape.groups)
    factors = _factors(plan, weights)
    rows = _prefixes(factors, plan.sizes[-1])
    below_all = prod(below for _, _, below in factors)
    # after[s]: what the fixtures still to come add when s stand in the line already; 1 where the line is whole.
    after = [int(size in plan.sizes) for size in range(len(rows[-1]))]
    sums: list[Ratio] = [(0, 1)] * (len(factors) + 1)  # the last one is for legs of no fixture, -1
    for number in range(len(factors) - 1, -1, -1):
        leave, take, below = factors[number]
        before = rows[number]
        sums[number] = sum(map(mul, before, after[1:])), below_all // below
        after = [leave * now + take * then for now, then in zip(after[: number + 1], [*after[1:], 0], strict=False)]
    return tuple([sums[number] for number in plan.fixture_of])


def _factors(plan: _Plan, weights: Sequence[Ratio]) -> list[tuple[int, int, int]]:
    """The factor (leave + take x) / below of each fixture, in integers: 1 + w x, or w x for a banker."""
    assert len(weights) == len(plan.fixture_of)
    factors = []
    for fixture in plan.fixtures:
        take, below = weights[fixture.legs[0]]
        for leg in fixture.legs[1:]:
            numerator, denominator = weights[leg]
            common = lcm(below, denominator)
            take = take * (common // below) + numerator * (common // denominator)
            below = common
        divisor = gcd(take, below)  # 2.15 is 43/20: small numbers multiply faster
        below //= divisor
        factors.append((0 if fixture.banker else below, take // divisor, below))
    return factors


def _prefixes(factors: list[tuple[int, int, int]], size_max: int) -> list[list[int]]:
    """Coefficients up to x^size_max of the product of the first 0, 1, ... all factors' numerators."""
    row = [1]
    rows = [row]
    for leave, take, _ in factors:
        row = [leave * now + take * fewer for now, fewer in zip([*row, 0], [0, *row], strict=True)][: size_max + 1]
        rows.append(row)
    return rows


class _Choice(Struct, frozen=True, gc=False):
    """One fixture with what its surviving legs multiply a line by."""

    banker: bool
    ways: list[Ratio]


class Tally:
    """The payout of a settled bet, each line rounded down on its own (RULEBOOK 1), in pieces of any size.

    The stake of one line is exactly `stake_m / below`: the money still running over the number of lines of the whole
    bet, so a total stake that does not divide evenly is not rounded before the payout is. `multipliers` has one for
    each leg (RULEBOOK 5: lost 0, void 1, won its price ...). `returned` is False for a free bet: a line then pays only
    what it wins beyond its own stake, rounded down once, never below zero.

    Lines with a lost leg cost nothing. The fixtures are cut in two halves and the polynomial is multiplied out in
    each, with lists where the sum has numbers: all products of one fixture of the half, of two, and so on. A line is
    one product of the left half times one of the right, so ten thousands of lines come from two lists of hundreds.

    To start one writes out both halves at once, at 20 legs some hundreds of products. It lives in memory only and
    cannot be stored; a restart begins it anew.
    """

    __slots__ = ("_payouts", "lines_left", "paid_m")

    def __init__(self, shape: Shape, stake_m: int, below: int, multipliers: Sequence[Ratio], returned: bool) -> None:  # noqa: FBT001
        plan = _plan(shape)
        choices = _surviving(plan, multipliers)
        middle = len(choices) // 2
        left, right = choices[:middle], choices[middle:]
        # A banker's fixture that is lost leaves no line.
        sizes = () if any(choice.banker and not choice.ways for choice in choices) else plan.sizes
        heads = _products(left, _sizes_wanted(sizes, left, right))
        tails = _products(right, _sizes_wanted(sizes, right, left))
        pairs = [
            (heads[size], tails[whole - size])
            for whole in sizes
            for size in range(max(0, whole - len(right)), min(whole, len(left)) + 1)
        ]
        self.paid_m = 0
        """The payout of the lines done so far, in minor units."""
        self.lines_left = sum(len(some) * len(more) for some, more in pairs)
        """Surviving lines that are not done yet."""
        self._payouts = _payouts(pairs, stake_m, below, returned)

    def advance(self, lines_max: int) -> bool:
        """Works on at most `lines_max` more lines; whether none is left."""
        self.paid_m += sum(islice(self._payouts, lines_max))
        self.lines_left = max(0, self.lines_left - lines_max)
        return not self.lines_left


def payout(shape: Shape, stake_m: int, below: int, multipliers: Sequence[Ratio], returned: bool) -> int:  # noqa: FBT001
    """The payout of a small bet at once: what a `Tally` comes to."""
    if count(shape) == 1:  # singles and n-folds, by far the most bets, need no lists
        line = [ratio for ratio, lines in zip(multipliers, holding(shape), strict=True) if lines]
        return _pays(prod(up for up, _ in line), prod(down for _, down in line), stake_m, below, returned)
    tally = Tally(shape, stake_m, below, multipliers, returned)
    tally.advance(tally.lines_left)
    return tally.paid_m


def _surviving(plan: _Plan, multipliers: Sequence[Ratio]) -> list[_Choice]:
    """The fixtures without their lost legs, fractions reduced; one wholly lost is left out unless it is a banker's."""
    assert len(multipliers) == len(plan.fixture_of)
    choices = []
    for fixture in plan.fixtures:
        ways = []
        for leg in fixture.legs:
            numerator, denominator = multipliers[leg]
            if numerator:
                divisor = gcd(numerator, denominator)
                ways.append((numerator // divisor, denominator // divisor))
        if ways or fixture.banker:
            choices.append(_Choice(fixture.banker, ways))
    return choices


def _sizes_wanted(sizes: tuple[int, ...], half: list[_Choice], other: list[_Choice]) -> int:
    """The numbers of fixtures of this half that some line has, as bits: the other half can make the line whole."""
    least = sum(choice.banker for choice in other)
    return sum(
        1 << size for size in range(len(half) + 1) if any(least <= whole - size <= len(other) for whole in sizes)
    )


def _products(half: list[_Choice], wanted: int) -> list[list[Ratio]]:
    """All products of 0, 1, ... fixtures of the half, one leg of each, for the sizes whose bits are in `wanted`.

    What cannot grow to a wanted size is not written out, so that 19 of 20 does not cost a thousand products.
    """
    leading = [wanted]
    for choice in reversed(half):
        leading.append(leading[-1] >> 1 | (0 if choice.banker else leading[-1]))
    row: list[list[Ratio]] = [[(1, 1)] if leading.pop() & 1 else []]
    for choice in half:
        mask = leading.pop()
        left = [[] for _ in row] if choice.banker else row
        taken = [
            [(above * up, below * down) for above, below in products for up, down in choice.ways]
            if mask >> size & 1
            else []
            for size, products in enumerate(row, start=1)
        ]
        row = [fewer + more for fewer, more in zip([*left, []], [[], *taken], strict=True)]
    return row


def _payouts(
    pairs: list[tuple[list[Ratio], list[Ratio]]],
    stake_m: int,
    below: int,
    returned: bool,  # noqa: FBT001
) -> Iterator[int]:
    """The payout of each line in turn."""
    for heads, tails in pairs:
        for above, under in heads:
            for up, down in tails:
                yield _pays(above * up, under * down, stake_m, below, returned)


def _pays(numerator: int, denominator: int, stake_m: int, below: int, returned: bool) -> int:  # noqa: FBT001
    """What one line pays whose legs multiply its stake by numerator / denominator."""
    won = numerator if returned else max(0, numerator - denominator)
    return payout_down(stake_m, won, denominator * below)
