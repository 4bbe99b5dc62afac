"""What a caller has to know to settle by score: goals, sets and games, or the finish of a race.

The shapes are fit for a message: `{"sport": "football", "final": [2, 1]}`. A score that contradicts itself is refused
as it is read, by a ValueError that decoders name with the field.
"""

from __future__ import annotations

from itertools import chain
from typing import Annotated, Literal

from msgspec import Meta, Struct

from core.grading.verdicts import Pair, UndecidedError
from core.units import Id


class FootballScore(Struct, frozen=True, gc=False, forbid_unknown_fields=True, tag_field="sport", tag="football"):
    """Goals in regular time with its added time; not extra time, not penalties after the match.

    What is named is final: no `final` and one half is a match at half-time.
    """

    final: Pair | None = None
    """Of the whole match; may be left out where both halves are given."""
    halves: Annotated[tuple[Pair, ...], Meta(max_length=2)] = ()
    """Goals scored within each half, as far as played and known."""

    def __post_init__(self) -> None:
        if self.final is None or not self.halves:
            return
        home, away = (goals - sum(half[side] for half in self.halves) for side, goals in enumerate(self.final))
        if min(home, away) < 0 or (len(self.halves) == 2 and (home, away) != (0, 0)):
            raise ValueError(f"the halves {self.halves} contradict the final score {self.final}")

    def whole(self) -> Pair:
        """Goals of the match."""
        if self.final is not None:
            return self.final
        if len(self.halves) < 2:
            raise UndecidedError("the final score is not known")
        (home, away), (home_later, away_later) = self.halves
        return home + home_later, away + away_later

    def half(self, number: int) -> Pair:
        """Goals within the first or second half; the second may follow from the first and the final score."""
        if len(self.halves) >= number:
            return self.halves[number - 1]
        if number == 1 or not self.halves or self.final is None:
            raise UndecidedError(f"the score of half {number} is not known")
        (home, away), (home_first, away_first) = self.final, self.halves[0]
        return home - home_first, away - away_first


class TennisScore(Struct, frozen=True, gc=False, forbid_unknown_fields=True, tag_field="sport", tag="tennis"):
    """Games of each finished set, in order. A match tie-break that stands for the last set is a set of 1-0.

    Where a player retired, sets are taken to be to six games. A walkover (not a ball played) is no score: the desk
    cancels.
    """

    sets: tuple[Pair, ...] = ()
    games: Pair = (0, 0)
    """Of the set that is not finished."""
    best_of: Literal[3, 5] = 3
    retired: Literal["", "1", "2"] = ""
    """The player who gave up or was disqualified."""

    def __post_init__(self) -> None:
        if any(first == second for first, second in self.sets):
            raise ValueError(f"a finished set has a winner: {self.sets}")
        if max(_sets_won(self.sets[:-1])) >= self.sets_needed:
            raise ValueError(f"a set after the match was won: {self.sets}")
        if self.finished and (self.retired or any(self.games)):
            raise ValueError(f"the match was won already: {self.sets}")
        if max(self.games) >= 6 and abs(self.games[0] - self.games[1]) >= 2:
            raise ValueError(f"a set of {self.games} is finished")

    @property
    def sets_needed(self) -> int:
        """To win the match."""
        return self.best_of // 2 + 1

    @property
    def finished(self) -> bool:
        """Whether the match was played to its end."""
        return max(self.sets_won()) == self.sets_needed

    def sets_won(self) -> Pair:
        """By each player."""
        return _sets_won(self.sets)


def _sets_won(sets: tuple[Pair, ...]) -> Pair:
    first = sum(one > two for one, two in sets)
    return first, len(sets) - first


class RaceScore(Struct, frozen=True, gc=False, forbid_unknown_fields=True, tag_field="sport", tag="race"):
    """The finish of a race. All selections must be named somewhere: one that was forgotten must not lose by it."""

    order: tuple[Annotated[tuple[Id, ...], Meta(min_length=1, max_length=100)], ...]
    """As they came in; who could not be told apart (a dead heat) stand in one group."""
    behind: tuple[Id, ...] = ()
    """Came in behind all in `order`."""
    not_finished: tuple[Id, ...] = ()
    """Started, and have no place: fell, pulled up, disqualified."""
    withdrawn: tuple[Id, ...] = ()
    """Did not start (non-runners)."""

    def __post_init__(self) -> None:
        named = [*chain.from_iterable(self.order), *self.behind, *self.not_finished, *self.withdrawn]
        twice = [each for each in dict.fromkeys(named) if named.count(each) > 1]
        if twice:
            raise ValueError(f"named twice in the finish: {twice}")
        if not all(self.order):
            raise ValueError("an empty group in the order")


Score = FootballScore | TennisScore | RaceScore
