"""Football's markets as the simulator offers them; chances are sums of what `core.grading` says, over a score grid.

Because prices and results come from the same rules over the same grid, no two markets can contradict each other.
Lines are counted in quarters of a goal (-0.75 is -3), so that nothing is rounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from itertools import islice
from math import exp
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.grading.lines import line_text
from core.grading.markets import grade
from core.grading.scores import FootballScore
from core.messages.results import Result

GOALS_MAX = 15
"""The rim of the score grid; a team that has so many scores no more."""
_SIDE = GOALS_MAX + 1
CORRECT_SCORE_MAX = 4
ANY_OTHER = "other"
Floats = NDArray[np.float64]


class Kind(NamedTuple):
    """A market of football. `{home}` and `{away}` stand for the teams in names."""

    id: str
    market_type: str
    name: str
    group: str
    selections: tuple[tuple[str, str], ...]
    winners: int = 1
    line: str = ""

    @property
    def specifiers(self) -> dict[str, str]:
        """What tells it from others of its type."""
        return {"line": self.line} if self.line else {}

    def results(self, home: int, away: int) -> tuple[Result, ...]:
        """When it ends with so many goals; as the feed tells them."""
        selections = [each for each, _ in self.selections]
        return grade(self.market_type, self.specifiers, selections, FootballScore((home, away)))


class Builder(NamedTuple):
    """A bet builder: one selection of each of several markets, all of which must win. None of them may be void."""

    parts: tuple[tuple[Kind, str], ...]

    @property
    def id(self) -> str:
        return "bb=" + "+".join(f"{kind.id}:{selection}" for kind, selection in self.parts)

    @property
    def name(self) -> str:
        return ", ".join(f"{kind.name}: {dict(kind.selections)[selection]}" for kind, selection in self.parts)


@cache
def match_result() -> Kind:
    return Kind(
        "1x2",
        "match_result",
        "Match result",
        "main",
        (("1", "{home}"), ("x", "Draw"), ("2", "{away}")),
    )


@cache
def double_chance() -> Kind:
    return Kind(
        "dc",
        "double_chance",
        "Double chance",
        "main",
        (("1x", "{home} or draw"), ("12", "{home} or {away}"), ("x2", "Draw or {away}")),
        winners=2,
    )


@cache
def draw_no_bet() -> Kind:
    return Kind(
        "dnb",
        "draw_no_bet",
        "Draw no bet",
        "main",
        (("1", "{home}"), ("2", "{away}")),
    )


@lru_cache(maxsize=64)
def total_goals(line: int) -> Kind:
    """Over and under a line in quarters of a goal."""
    text = line_text(line)
    return Kind(
        f"total={text}",
        "total_goals",
        f"Total goals {text}",
        "goals",
        (("over", f"Over {text}"), ("under", f"Under {text}")),
        line=text,
    )


@lru_cache(maxsize=128)
def asian_handicap(line: int) -> Kind:
    """The home team's line in quarters of a goal; the away team has its opposite."""
    home_text, away_text = (line_text(side) if side <= 0 else f"+{line_text(side)}" for side in (line, -line))
    return Kind(
        f"ah={home_text}",
        "asian_handicap",
        f"Asian handicap {home_text}",
        "handicap",
        (("1", f"{{home}} {home_text}"), ("2", f"{{away}} {away_text}")),
        line=home_text,
    )


@cache
def both_to_score() -> Kind:
    return Kind(
        "btts",
        "both_teams_to_score",
        "Both teams to score",
        "goals",
        (("yes", "Yes"), ("no", "No")),
    )


@cache
def correct_score() -> Kind:
    goals = range(CORRECT_SCORE_MAX + 1)
    named = [f"{home}-{away}" for home in goals for away in goals]
    return Kind(
        "score",
        "correct_score",
        "Correct score",
        "score",
        (*((each, each) for each in named), (ANY_OTHER, "Any other")),
    )


@cache
def builders() -> tuple[Builder, ...]:
    """Such as people like: the parts of some go together, those of others hardly do."""
    home, draw, away = ((match_result(), each) for each in ("1", "x", "2"))
    both, over = (both_to_score(), "yes"), (total_goals(10), "over")
    return (
        Builder((home, over)),
        Builder((away, over)),
        Builder((draw, both)),
        Builder(((double_chance(), "1x"), (total_goals(6), "over"), both)),
    )


def score_grid(score: tuple[int, int], rates: tuple[float, float]) -> Floats:
    """Chances of all final scores, [home, away], when the teams score so many more goals on average (Poisson)."""
    home, away = (_shifted(goals, rate) for goals, rate in zip(score, rates, strict=True))
    grid: Floats = home[:, None] * away
    return grid


def _shifted(goals: int, rate: float) -> Floats:
    """Poisson chances of a team's final goals, cut at the rim of the grid and brought back to sum 1."""
    chances = [0.0] * goals + [exp(-rate)]
    for more in range(1, _SIDE - goals):
        chances.append(chances[-1] * rate / more)
    total = sum(chances)
    return np.array([chance / total for chance in chances])


@lru_cache(maxsize=256)
def payoffs(kind: Kind) -> tuple[Floats, Floats]:
    """Over the whole grid, [selection, home, away]: the share of a stake that wins, and that comes back."""
    goals = range(_SIDE)
    told = [[[(each.result, each.void_factor) for each in kind.results(h, a)] for a in goals] for h in goals]
    both = np.array(told, dtype=np.float64).transpose(3, 2, 0, 1)
    void = both[1] / 10_000
    return both[0] * (1 - void), void


@lru_cache(maxsize=16)
def winning(builder: Builder) -> Floats:
    """Over the whole grid, [home, away]: 1 where every part wins."""
    cells: Floats = np.ones((_SIDE, _SIDE))
    for kind, selection in builder.parts:
        won, _ = payoffs(kind)
        cells = cells * won[[each for each, _ in kind.selections].index(selection)]
    return cells


def joint_chance(builder: Builder, grid: Floats) -> float:
    """The chance that all its parts win; not the product of theirs, since they hang on the same score."""
    return float((winning(builder) * grid).sum())


class Pricer:
    """The chances of several markets at once from one grid.

    Chances are such that fair prices follow from them. Fair means E[void share + winning share x price] = 1, hence
    1 / price = E[winning share] / (1 - E[void share]).
    """

    def __init__(self, several: Sequence[Kind]) -> None:
        self._sizes = [len(kind.selections) for kind in several]
        self._won, self._void = (
            np.concatenate([payoffs(kind)[part] for kind in several]).reshape(sum(self._sizes), -1) for part in (0, 1)
        )

    def chances(self, grid: Floats) -> list[list[float]]:
        """For each market the chances of its selections; sums of products, not a matrix product, whose order varies."""
        cells = grid.reshape(-1)
        at_stake = 1 - (self._void * cells).sum(axis=1)
        winning = (self._won * cells).sum(axis=1)
        flat = iter(np.divide(winning, at_stake, out=np.zeros_like(winning), where=at_stake > 1e-9).tolist())
        return [list(islice(flat, size)) for size in self._sizes]


def is_decided(kind: Kind, home: int, away: int) -> bool:
    """Whether every final score that can still come has the same results."""
    reachable = (part[:, home:, away:].reshape(len(kind.selections), -1) for part in payoffs(kind))
    return all(bool((part == part[:, :1]).all()) for part in reachable)
