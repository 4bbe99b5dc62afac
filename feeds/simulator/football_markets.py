"""Football's markets, each as one function from the final score to results; chances are sums of it over a score grid.

Because prices and results come from the same function over the same grid, no two markets can contradict each other.
Lines are counted in quarters of a goal (-0.75 is -3), so that nothing is rounded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from itertools import islice
from math import exp
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.messages.results import Result

GOALS_MAX = 15
"""The rim of the score grid; a team that has so many scores no more."""
_SIDE = GOALS_MAX + 1
CORRECT_SCORE_MAX = 4
ANY_OTHER = "other"

Verdict = tuple[Literal[0, 1], Literal[0, 5000, 10000]]
"""(result, void factor) as in RULEBOOK 5."""
WON: Verdict = (1, 0)
HALF_WON: Verdict = (1, 5000)
VOID: Verdict = (0, 10_000)
HALF_LOST: Verdict = (0, 5000)
LOST: Verdict = (0, 0)
Floats = NDArray[np.float64]


class Kind(NamedTuple):
    """A market of football. `{home}` and `{away}` stand for the teams in names."""

    id: str
    market_type: str
    name: str
    group: str
    selections: tuple[tuple[str, str], ...]
    verdicts: Callable[[int, int], tuple[Verdict, ...]]
    """(home goals, away goals) at the end -> one verdict a selection."""
    winners: int = 1

    def results(self, home: int, away: int) -> tuple[Result, ...]:
        """As the feed tells them."""
        verdicts = self.verdicts(home, away)
        return tuple(
            Result(selection, *verdict) for (selection, _), verdict in zip(self.selections, verdicts, strict=True)
        )


def line_verdict(margin: int) -> Verdict:
    """Against a line, `margin` quarters of a goal ahead of it: half a stake on each neighbour of a quarter line."""
    if margin > 1:
        return WON
    if margin < -1:
        return LOST
    return (HALF_LOST, VOID, HALF_WON)[margin + 1]


def line_text(quarters: int) -> str:
    """-3 is "-0.75", 10 is "2.5", 8 is "2"."""
    whole, rest = divmod(abs(quarters), 4)
    return f"{'-' if quarters < 0 else ''}{whole}{('', '.25', '.5', '.75')[rest]}"


def _won(*conditions: bool) -> tuple[Verdict, ...]:
    return tuple(WON if condition else LOST for condition in conditions)


@cache
def match_result() -> Kind:
    return Kind(
        "1x2",
        "match_result",
        "Match result",
        "main",
        (("1", "{home}"), ("x", "Draw"), ("2", "{away}")),
        lambda home, away: _won(home > away, home == away, home < away),
    )


@cache
def double_chance() -> Kind:
    return Kind(
        "dc",
        "double_chance",
        "Double chance",
        "main",
        (("1x", "{home} or draw"), ("12", "{home} or {away}"), ("x2", "Draw or {away}")),
        lambda home, away: _won(home >= away, home != away, home <= away),
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
        lambda home, away: (VOID, VOID) if home == away else _won(home > away, home < away),
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
        lambda home, away: (line_verdict(4 * (home + away) - line), line_verdict(line - 4 * (home + away))),
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
        lambda home, away: (line_verdict(4 * (home - away) + line), line_verdict(4 * (away - home) - line)),
    )


@cache
def both_to_score() -> Kind:
    return Kind(
        "btts",
        "both_teams_to_score",
        "Both teams to score",
        "goals",
        (("yes", "Yes"), ("no", "No")),
        lambda home, away: _won(min(home, away) > 0, min(home, away) == 0),
    )


@cache
def correct_score() -> Kind:
    named = [(home, away) for home in range(CORRECT_SCORE_MAX + 1) for away in range(CORRECT_SCORE_MAX + 1)]
    selections = (*((f"{home}-{away}", f"{home}-{away}") for home, away in named), (ANY_OTHER, "Any other"))
    return Kind(
        "score",
        "correct_score",
        "Correct score",
        "score",
        selections,
        lambda home, away: _won(*((home, away) == score for score in named), (home, away) not in named),
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
    verdicts = [[kind.verdicts(home, away) for away in range(_SIDE)] for home in range(_SIDE)]
    both = np.array(verdicts, dtype=np.float64).transpose(3, 2, 0, 1)
    void = both[1] / 10_000
    return both[0] * (1 - void), void


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
