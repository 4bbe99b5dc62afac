"""Tennis: match, sets and games, and what stands of them when a player retires.

A retirement voids what is not decided yet, and decided is what every natural end of the match would have brought: at
4-4 no set can end with fewer than ten games, so over 9.5 has won (the bookmakers' usual rule). Each market is therefore
a function of one ending, and is asked for all endings that were still possible; a match played to its end has one.
Only the winner of the match has rules of its own, by the specifier `retirement`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from core.grading.lines import half_each, handicap, handicap_line, neighbours, total, total_line
from core.grading.scores import TennisScore
from core.grading.verdicts import (
    VOID,
    Case,
    GradingError,
    MarketType,
    Pair,
    UndecidedError,
    Verdicts,
    side_ahead,
    verdict_if,
)

TennisCase = Case[TennisScore]
PLAYERS = ("1", "2")
_NO_BOUND = 100_000
"""More games than any line: a set without a tie-break may go on for ever."""
_SET_SCORE = re.compile(r"([0-3])-([0-3])")


class Ending(NamedTuple):
    """How a match ended, or might have ended at the extreme."""

    sets: Pair
    games: int
    lead: int
    """Games of player 1 less those of player 2."""


def _endings(score: TennisScore) -> Iterator[Ending]:
    """The one ending of a match that was played, else the extremes of all that were possible on retirement.

    Verdicts grow or fall with games and lead, so that the extremes are enough.
    """
    games, lead = sum(map(sum, score.sets)), sum(first - second for first, second in score.sets)
    if score.finished:
        yield Ending(score.sets_won(), games, lead)
    elif score.retired:
        yield from _played_on(score, score.sets_won(), score.games, games, (lead, lead))
    else:
        raise UndecidedError(f"the match is not over: {score.sets}")


def _played_on(score: TennisScore, sets: Pair, games: Pair, fewest: int, lead: tuple[int, int]) -> Iterator[Ending]:
    """Either player wins the set that stands at `games`, and so on; at least `fewest` games, a lead within bounds."""
    if max(sets) == score.sets_needed:
        yield Ending(sets, fewest, lead[0])
        yield Ending(sets, _NO_BOUND, lead[1])
        return
    deciding = sum(sets) == score.best_of - 1
    low, high = _leads(*games)
    more = _fewest_games(*games, deciding=deciding)
    yield from _played_on(score, (sets[0] + 1, sets[1]), (0, 0), fewest + more, (lead[0] + low, lead[1] + high))
    low, high = _leads(games[1], games[0])
    more = _fewest_games(games[1], games[0], deciding=deciding)
    yield from _played_on(score, (sets[0], sets[1] + 1), (0, 0), fewest + more, (lead[0] - high, lead[1] - low))


def _games_to_win(own: int, other: int) -> int:
    """With how many games a player with `own` wins the set soonest; at 6-6 by a tie-break, since there may be one."""
    if other <= 4:
        return 6
    if other == 5 or (other == 6 and own <= 6):
        return 7
    return other + 2


def _fewest_games(own: int, other: int, *, deciding: bool) -> int:
    """Of a set that the player with `own` wins; a deciding set that has not begun may be a match tie-break."""
    return 1 if deciding and own == other == 0 else _games_to_win(own, other) + other


def _leads(own: int, other: int) -> tuple[int, int]:
    """By how many games the player with `own` may win the set, least and most; with or without tie-break at 6-6."""
    return 1 if max(own, other) <= 6 else 2, max(_games_to_win(own, other) - other, 2)


def _decided(score: TennisScore, market: Callable[[Ending], Verdicts]) -> Verdicts:
    """What all endings agree on; the rest is void."""
    first, *others = map(market, _endings(score))
    return {
        each: verdict if all(other[each] == verdict for other in others) else VOID for each, verdict in first.items()
    }


def _by_line(score: TennisScore, line: int, market: Callable[[int, Ending], Verdicts]) -> Verdicts:
    """Of a quarter line one half may be decided and the other not (RULEBOOK 5: half the stake on each neighbour)."""
    lower, upper = (_decided(score, partial(market, half)) for half in neighbours(line))
    return {each: half_each(verdict, upper[each]) for each, verdict in lower.items()}


def match_winner(case: TennisCase) -> Verdicts:
    """1, 2. On retirement by `retirement`: `void` (the default); `one_set`, the player who advances has won if one
    set was finished, else void; `advance`, that player has won.
    """
    score, rule = case.score, case.specifiers.get("retirement", "void")
    if rule not in {"void", "one_set", "advance"}:
        raise GradingError(f"unknown rule for a retirement: {rule!r}")
    if score.retired and (rule == "advance" or (rule == "one_set" and score.sets)):
        return {player: verdict_if(player != score.retired) for player in PLAYERS}
    if score.retired:
        return dict.fromkeys(PLAYERS, VOID)
    (ending,) = _endings(score)
    return {player: verdict_if(player == side_ahead(ending.sets)) for player in PLAYERS}


def set_winner(case: TennisCase) -> Verdicts:
    """1, 2 of the set with the number `set`; void if it was not played to its end."""
    text, score = case.specifiers["set"], case.score
    if text not in {"1", "2", "3", "4", "5"} or int(text) > score.best_of:
        raise GradingError(f"no set of a match of {score.best_of}: {text!r}")
    if int(text) <= len(score.sets):
        ahead = side_ahead(score.sets[int(text) - 1])
        return {player: verdict_if(player == ahead) for player in PLAYERS}
    if score.finished or score.retired:
        return dict.fromkeys(PLAYERS, VOID)
    raise UndecidedError(f"set {text} is not over")


def set_betting(case: TennisCase) -> Verdicts:
    """2-0, 2-1 and so on: the correct score in sets, player 1 first."""
    wanted: dict[str, Pair] = {}
    for each in case.selections:
        found = _SET_SCORE.fullmatch(each)
        pair = (int(found[1]), int(found[2])) if found else (0, 0)
        if max(pair) != case.score.sets_needed or min(pair) == max(pair):
            raise GradingError(f"not a final score of best of {case.score.best_of}: {each!r}")
        wanted[each] = pair
    return _decided(case.score, lambda ending: {each: verdict_if(pair == ending.sets) for each, pair in wanted.items()})


def set_handicap(case: TennisCase) -> Verdicts:
    """1, 2; `line` in sets is player 1's."""
    return _by_line(
        case.score,
        handicap_line(case.specifiers),
        lambda line, ending: handicap(ending.sets[0] - ending.sets[1], line),
    )


def total_sets(case: TennisCase) -> Verdicts:
    """over, under `line` sets."""
    return _by_line(case.score, total_line(case.specifiers), lambda line, ending: total(sum(ending.sets), line))


def game_handicap(case: TennisCase) -> Verdicts:
    """1, 2; `line` in games of the whole match is player 1's."""
    return _by_line(case.score, handicap_line(case.specifiers), lambda line, ending: handicap(ending.lead, line))


def total_games(case: TennisCase) -> Verdicts:
    """over, under `line` games of the whole match."""
    return _by_line(case.score, total_line(case.specifiers), lambda line, ending: total(ending.games, line))


MARKET_TYPES = {
    "match_winner": MarketType(match_winner, may=("retirement",)),
    "set_winner": MarketType(set_winner, ("set",)),
    "set_betting": MarketType(set_betting),
    "set_handicap": MarketType(set_handicap, ("line",)),
    "total_sets": MarketType(total_sets, ("line",)),
    "game_handicap": MarketType(game_handicap, ("line",)),
    "total_games": MarketType(total_games, ("line",)),
}
