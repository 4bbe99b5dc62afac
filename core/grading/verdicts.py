"""What can become of a selection, what a market's rule is given, and what cannot be graded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Generic, Literal, NamedTuple, TypeVar

from msgspec import Meta, Struct


class Verdict(NamedTuple):
    """A Result without its selection: the fields are those of `core.messages.results.Result`, in its order."""

    result: Literal[0, 1]
    void_factor: Literal[0, 5000, 10000] = 0
    dead_heat_places: int = 1
    dead_heat_sharing: int = 1
    position: int = 0


WON = Verdict(1)
HALF_WON = Verdict(1, 5000)
VOID = Verdict(0, 10_000)
HALF_LOST = Verdict(0, 5000)
LOST = Verdict(0)

Verdicts = Mapping[str, Verdict]
"""By selection."""
Points = Annotated[int, Meta(ge=0, le=1000)]
Pair = tuple[Points, Points]
"""What side 1 (the home team, the player named first) has, and what side 2 has."""


class GradingError(ValueError):
    """A question that has no answer; the message names what is wrong with it."""


class UndecidedError(GradingError):
    """The score given does not decide this market: more of it is needed."""


ScoreT_co = TypeVar("ScoreT_co", bound=Struct, covariant=True)


class Case(NamedTuple, Generic[ScoreT_co]):
    """One market and the score it is graded from."""

    specifiers: Mapping[str, str]
    selections: Sequence[str]
    """All of the market, because "any other" means any that is not among them."""
    score: ScoreT_co


class MarketType(NamedTuple, Generic[ScoreT_co]):
    """How a kind of market is graded, and the specifiers that it must and may have."""

    rule: Callable[[Case[ScoreT_co]], Verdicts]
    must: tuple[str, ...] = ()
    may: tuple[str, ...] = ()


def verdict_if(condition: bool) -> Verdict:  # noqa: FBT001
    """For what is either won or lost."""
    return WON if condition else LOST


def side_ahead(pair: Pair) -> str:
    """The side that has more, "1" or "2"; "x" when level."""
    return "1" if pair[0] > pair[1] else "2" if pair[0] < pair[1] else "x"
