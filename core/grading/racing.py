"""Racing: to win and to be placed, with dead heats and withdrawals, and the usual each-way terms.

Each-way is a bet, not a market: its win part is settled by what the market's result says, its place part by the
position there and the places of its terms, which were fixed when it was taken (RULEBOOK 5). So whoever has a place in
the finish has a position, won or lost. Rule 4 changes prices, not results.
"""

from __future__ import annotations

from itertools import chain
from typing import NamedTuple

from core.grading.scores import RaceScore
from core.grading.verdicts import LOST, VOID, WON, Case, GradingError, MarketType, UndecidedError, Verdict, Verdicts

RaceCase = Case[RaceScore]


class EachWayTerms(NamedTuple):
    """The place part pays 1 + (price - 1) x numerator / denominator for the first so many places."""

    places: int
    numerator: int
    denominator: int


def each_way_terms(starters: int, *, is_handicap: bool) -> EachWayTerms | None:
    """The default terms by who comes under orders; None: win only (RULEBOOK 5's table)."""
    if starters < 1:
        raise ValueError(f"a race without starters: {starters}")
    if starters <= 4:
        return None
    if starters <= 7:
        return EachWayTerms(2, 1, 4)
    if is_handicap and starters >= 12:
        return EachWayTerms(4 if starters >= 16 else 3, 1, 4)
    return EachWayTerms(3, 1, 5)


def win(case: RaceCase) -> Verdicts:
    """By selection: first past the post, or sharing that in a dead heat; void if withdrawn."""
    return _first(case.score, 1)


def place(case: RaceCase) -> Verdicts:
    """By selection: among the first `places`, with whatever is left of them shared in a dead heat for the last."""
    text = case.specifiers["places"]
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 100 and text == str(int(text))):
        raise GradingError(f"not a number of places: {text!r}")
    return _first(case.score, int(text))


def _first(score: RaceScore, places: int) -> Verdicts:
    """Two in a dead heat for the last place hold one place, sharing two: half the stake at the full price.

    (RULEBOOK 6: "winners expected / winners"; 5: a dead heat of two pays price / 2.)
    """
    verdicts: dict[str, Verdict] = dict.fromkeys(score.withdrawn, VOID)
    left, position = places, 1
    for group in score.order:
        verdicts |= dict.fromkeys(group, _shared(left, len(group))._replace(position=position))
        left, position = left - min(left, len(group)), position + len(group)
    if left and score.behind:
        raise UndecidedError(f"who of {score.behind} took the {left} of {places} places left is not known")
    if left == places and score.not_finished:
        raise GradingError("nobody finished: a race without a winner is cancelled, not graded")
    return verdicts | dict.fromkeys(chain(score.behind, score.not_finished), LOST)


def _shared(left: int, sharing: int) -> Verdict:
    """`sharing` came in together when `left` places were left."""
    if left == 0:
        return LOST
    return WON if left >= sharing else Verdict(1, 0, left, sharing)


MARKET_TYPES = {"win": MarketType(win), "place": MarketType(place, ("places",))}
