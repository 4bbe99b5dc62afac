"""The table of all market types that can be graded, and the one way in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from core.grading import football, racing, tennis
from core.grading.scores import FootballScore, RaceScore, Score, TennisScore
from core.grading.verdicts import Case, GradingError, MarketType
from core.messages.results import Result

MARKET_TYPES: Mapping[str, tuple[type[Score], MarketType[Any]]] = MappingProxyType(
    {
        **{name: (FootballScore, each) for name, each in football.MARKET_TYPES.items()},
        **{name: (TennisScore, each) for name, each in tennis.MARKET_TYPES.items()},
        **{name: (RaceScore, each) for name, each in racing.MARKET_TYPES.items()},
    }
)
"""By name: the score it is graded from, and how. Names are of one sport each, so that no score meets a wrong rule."""


def grade(
    market_type: str, specifiers: Mapping[str, str], selections: Sequence[str], score: Score
) -> tuple[Result, ...]:
    """The results of all `selections` of one market, in their order.

    `selections` are all of the market: "any other" means any that is not among them. What is unknown (market type,
    specifier, selection) or malformed (a line) raises GradingError, which names it; a score that does not decide the
    market yet, UndecidedError.
    """
    score_type, kind = _known(market_type)
    if not isinstance(score, score_type):
        raise GradingError(f"{market_type} is not graded from a {type(score).__name__}")
    _check_specifiers(market_type, kind, specifiers)
    if len(dict.fromkeys(selections)) != len(selections):
        raise GradingError(f"a selection of {market_type} is named twice: {list(selections)}")
    verdicts = kind.rule(Case(specifiers, selections, score))
    for each in selections:
        if each not in verdicts:
            raise GradingError(f"unknown selection of {market_type}: {each!r}")
    return tuple(Result(each, *verdicts[each]) for each in selections)


def _known(market_type: str) -> tuple[type[Score], MarketType[Any]]:
    found = MARKET_TYPES.get(market_type)
    if found is None:
        raise GradingError(f"unknown market type: {market_type!r}")
    return found


def _check_specifiers(market_type: str, kind: MarketType[Any], specifiers: Mapping[str, str]) -> None:
    """None that is needed is missing, and none is ignored."""
    for name in kind.must:
        if name not in specifiers:
            raise GradingError(f"{market_type} needs the specifier {name!r}")
    for name in specifiers:
        if name not in kind.must and name not in kind.may:
            raise GradingError(f"{market_type} has no specifier {name!r}")
