"""What the house loses at each final score of a football match: the markets that hang on the score, seen as one number.

RULEBOOK 4, fixture scenarios: a 2-1 that wins in five markets at once costs the sum of all five. Nothing is kept here
per bet: losses are linear in two sums that the book keeps for each selection, what it pays if it wins and the stakes
on it, so that they follow from those by one matrix product whenever they are asked for.

A result pays a share of the one sum and gives back a share of the other (won: 1, 0; void: 0, 1; half won: 1/2, 1/2;
half lost: 0, 1/2; RULEBOOK 5, Asian quarters). The shares are kept in halves, as integers; nothing is rounded but the
loss itself, up to the minor unit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain, product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.grading import football
from core.grading.markets import grade
from core.grading.scores import FootballScore
from core.grading.verdicts import GradingError, Pair
from core.messages.results import Result

GOALS_MAX = 10
"""Up to so many goals a side each score is a cell of its own."""
LEAD_MAX = 5
"""Beyond that leads are told apart up to this one; a greater one is as good as any."""
FAR = 1000
"""As many goals as a score can have, and more than the greatest line."""
SELECTIONS_MAX = 64
"""Of one market: its patterns take some 9 ms to make and 20 kB, the usual two or three selections 0.8 ms and 1 kB."""
PATTERNS_MAX = 2048
"""Markets kept, by type, specifiers and selections: a bookmaker's football has some hundreds that differ."""


def _far_out() -> Iterator[tuple[Pair, Pair]]:
    """Cells that stand for all scores beyond GOALS_MAX, each with the nearest score for which it stands.

    Either one side is far ahead: two cells, for an odd and an even sum, for each number of the other's goals, the last
    of them for all greater ones. Or both have many goals: one cell for each lead.
    """
    for goals, far in product(range(GOALS_MAX - LEAD_MAX + 2), (FAR - 1, FAR)):
        near = max(GOALS_MAX, goals + LEAD_MAX) + 1
        near += (far - near) % 2
        yield (far, goals), (near, goals)
        yield (goals, far), (goals, near)
    for lead in range(-LEAD_MAX, LEAD_MAX + 1):
        behind, ahead = max(0, -lead), max(0, lead)
        yield (FAR - behind, FAR - ahead), (GOALS_MAX + 1 - behind, GOALS_MAX + 1 - ahead)


_FAR_OUT = tuple(_far_out())
_GOALS = range(GOALS_MAX + 1)
CELLS: tuple[Pair, ...] = (*product(_GOALS, _GOALS), *(cell for cell, _ in _FAR_OUT))
"""The final scores that are looked at, home goals first: 121 one by one, and 39 for everything beyond.

They are all that the markets on the grid tell apart: whatever the final score, all of them are decided as at one of
these cells. See `patterns` for the markets that would tell more.
"""
_FIRST_FAR = len(CELLS) - len(_FAR_OUT)


class Patterns(NamedTuple):
    """How each selection of a market ends in each cell, in halves; read-only, of shape (selections, cells)."""

    won: NDArray[np.int8]
    """The share of its payout that is paid: 0, 1 or 2 halves."""
    void: NDArray[np.int8]
    """The share of its stakes that is given back: 0, 1 or 2 halves."""


def patterns(market_type: str, specifiers: Mapping[str, str], selections: Sequence[str]) -> Patterns | None:
    """A football market's place in the grid; None: it has none, and is to be counted by itself.

    That is a market of another sport or of no known type; one that needs more than the final score or that cannot be
    graded; and one that tells scores apart that share a cell: handicaps beyond 5.5, totals beyond 10.5, a team's beyond
    5.5, margins beyond 5 or 6+, correct scores beyond 10-10. So a liability is never understated. More selections
    than SELECTIONS_MAX are too long a work for one turn.

    `selections` are all of the market, as in `grade`. The same arrays are given for the same question.
    """
    if market_type not in football.MARKET_TYPES or len(selections) > SELECTIONS_MAX:
        return None
    return _patterns(market_type, tuple(sorted(specifiers.items())), tuple(selections))


@lru_cache(PATTERNS_MAX)
def _patterns(
    market_type: str, specifiers: tuple[tuple[str, str], ...], selections: tuple[str, ...]
) -> Patterns | None:
    named, scores = dict(specifiers), chain(CELLS, (nearest for _, nearest in _FAR_OUT))
    try:
        shares = [_shares(grade(market_type, named, selections, FootballScore(score))) for score in scores]
    except GradingError:
        return None
    won, void = np.array(shares, np.int8).transpose(1, 2, 0)
    if not all(map(_holds_beyond, won, void)):
        return None
    return Patterns(_read_only(won[:, : len(CELLS)]), _read_only(void[:, : len(CELLS)]))


def _shares(results: Sequence[Result]) -> tuple[list[int], list[int]]:
    """Won and void shares in halves, selection by selection; a football score knows no dead heat."""
    assert all(each.dead_heat_places == each.dead_heat_sharing for each in results)
    void = [each.void_factor // 5000 for each in results]
    return [(2 - share) * each.result for share, each in zip(void, results, strict=True)], void


def _holds_beyond(won: NDArray[np.int8], void: NDArray[np.int8]) -> bool:
    """Whether a selection's ends in the far-out cells are its ends at all scores for which they stand.

    A verdict follows a lead, a sum or a side's goals one way only, so that what is the same at the nearest score and at
    the farthest is the same between. What wins at one exact number between the two wins nowhere in the cells.
    """
    far, nearest = slice(_FIRST_FAR, len(CELLS)), slice(len(CELLS), None)
    same = (won[far] == won[nearest]).all() and (void[far] == void[nearest]).all()
    return bool(same and (won[: len(CELLS)].any() or void[: len(CELLS)].any()))


def _read_only(shares: NDArray[np.int8]) -> NDArray[np.int8]:
    kept = shares.copy()
    kept.setflags(write=False)
    return kept


class Groups(NamedTuple):
    """The cells, put together where some selections end alike; for a bet on them no others need be told apart."""

    order: NDArray[np.intp]
    """The cells, group by group."""
    starts: NDArray[np.intp]
    """Where in it each group begins."""
    shares: NDArray[np.int64]
    """For each group: of each selection the halves of its payout that are paid, then those of its stakes returned."""
    rows: list[tuple[int, int]]
    """The same of one selection; numpy takes longer to be called than these few take."""

    def worst(self, losses: Sequence[int], rises: Sequence[tuple[int, int]]) -> int:
        """The most that the house loses, at least 0, with so much more (staked, paid) on each of the selections.

        `losses`: without that (Grid.grouped).
        """
        if self.rows:
            ((staked_m, paid_m),) = rises
            cells = zip(losses, self.rows, strict=True)
            worst = max([loss + won * paid_m + void * staked_m for loss, (won, void) in cells])
            return max(0, _halved_up(worst - 2 * staked_m))
        staked_m = sum([stake_m for stake_m, _ in rises])
        sums_m = [payout_m for _, payout_m in rises]
        sums_m += [stake_m for stake_m, _ in rises]
        # As in Grid: no sum on the way is beyond this.
        fits = 2 * (sum(sums_m) + staked_m) + max(map(abs, losses)) < 2**63
        kind = np.int64 if fits else np.object_
        doubled: NDArray[Any] = self.shares.astype(kind, copy=False) @ np.array(sums_m, kind) + np.array(losses, kind)
        return max(0, _halved_up(int(doubled.max()) - 2 * staked_m))


@lru_cache(PATTERNS_MAX)
def groups(ends: tuple[tuple[bytes, bytes], ...]) -> Groups:
    """The groups of some selections, of each its rows of `Patterns.won` and `Patterns.void`, as bytes."""
    rows = [won for won, _ in ends] + [void for _, void in ends]
    shares = np.array([np.frombuffer(row, np.int8) for row in rows])
    distinct, of_cell = np.unique(shares, axis=1, return_inverse=True)
    order = np.argsort(of_cell, kind="stable")
    starts = np.searchsorted(of_cell[order], np.arange(distinct.shape[1]))
    alone = [(won, void) for won, void in distinct.T.tolist()] if len(ends) == 1 else []
    return Groups(order, starts, distinct.T.astype(np.int64, order="C"), alone)


class Grid:
    """The markets of one fixture that hang on its score, stacked. Made anew when a market joins or is defined anew."""

    __slots__ = ("_losses", "_refunded", "_selections", "_shares")

    def __init__(self, markets: Sequence[Patterns]) -> None:
        """Of the markets in the order in which their sums will be given."""
        none = np.zeros((0, len(CELLS)), np.int8)
        won = np.concatenate([none, *(each.won for each in markets)])
        void = np.concatenate([none, *(each.void for each in markets)])
        self._selections = len(won)
        # Most selections are never void: their stakes need no column.
        self._refunded: list[int] = np.flatnonzero(void.any(axis=1)).tolist()
        self._shares = np.concatenate([won, void[self._refunded]]).T.astype(np.int64, order="C")
        self._losses: NDArray[Any] = np.zeros(len(CELLS), np.int64)

    def worst(self, payouts_m: Sequence[int], stakes_m: Sequence[int]) -> int:
        """The most that the house loses at any final score, at least 0: minor units, half a one rounded up.

        The sums are those of all selections, market by market in the order of the grid, none below 0: what the open
        bets on it are paid if it wins, stakes included, and their stakes.
        """
        self._losses = self._doubled(payouts_m, stakes_m)
        return max(0, _halved_up(int(self._losses.max())))

    def grouped(self, groups: Groups) -> list[int]:
        """By the sums that `worst` was last asked for: the greatest loss in each group, in halves of a minor unit."""
        worst: list[int] = np.maximum.reduceat(self._losses[groups.order], groups.starts).tolist()
        return worst

    def losses(self, payouts_m: Sequence[int], stakes_m: Sequence[int]) -> list[int]:
        """What the house loses at each of CELLS; below 0, what it wins. Sums and rounding as in `worst`."""
        return [_halved_up(each) for each in self._doubled(payouts_m, stakes_m).tolist()]

    def _doubled(self, payouts_m: Sequence[int], stakes_m: Sequence[int]) -> NDArray[Any]:
        """Losses by cell in halves of a minor unit, exact."""
        assert len(payouts_m) == len(stakes_m) == self._selections
        taken_m = sum(stakes_m)
        sums_m = [*payouts_m, *(stakes_m[index] for index in self._refunded)]
        # No share is above two halves, so no sum on the way is beyond this.
        fits = 2 * (sum(payouts_m) + taken_m) < 2**63
        # 4 600 times MONEY_MAX and more: Python's integers, fifty times slower.
        kind = np.int64 if fits else np.object_
        paid: NDArray[Any] = self._shares.astype(kind, copy=False) @ np.array(sums_m, kind)
        return paid - 2 * taken_m


def _halved_up(doubled: int) -> int:
    """Half of it, rounded up: a liability is never understated."""
    return -(-doubled // 2)
