"""Football's markets: each is one function from the goals to the verdicts of its selections.

They hold for the match in regular time, or with the specifier `period` ("1" or "2") for what is scored in that half.
Rules: RULEBOOK 5 for lines, else the trade's usual ones, each stated with its function.
"""

from __future__ import annotations

import re
from itertools import product

from core.grading.lines import handicap, handicap_line, total, total_line, whole_line
from core.grading.scores import FootballScore
from core.grading.verdicts import VOID, Case, GradingError, MarketType, Pair, Verdicts, side_ahead, verdict_if

FootballCase = Case[FootballScore]
SIDES = ("1", "x", "2")
_SCORE = re.compile(r"(0|[1-9][0-9]?)-(0|[1-9][0-9]?)")
_MARGIN = re.compile(r"([12]):([1-9][0-9]?)(\+?)")


def _goals(case: FootballCase) -> Pair:
    """Of the match, or of the half that the specifiers name."""
    period = case.specifiers.get("period")
    if period is None:
        return case.score.whole()
    if period not in {"1", "2"}:
        raise GradingError(f"unknown period: {period!r}")
    return case.score.half(int(period))


def match_result(case: FootballCase) -> Verdicts:
    """1, x, 2."""
    ahead = side_ahead(_goals(case))
    return {side: verdict_if(side == ahead) for side in SIDES}


def double_chance(case: FootballCase) -> Verdicts:
    """1x, 12, x2: two of the three results."""
    ahead = side_ahead(_goals(case))
    return {both: verdict_if(ahead in both) for both in ("1x", "12", "x2")}


def draw_no_bet(case: FootballCase) -> Verdicts:
    """1, 2; void in a draw."""
    ahead = side_ahead(_goals(case))
    return {side: VOID if ahead == "x" else verdict_if(side == ahead) for side in ("1", "2")}


def european_handicap(case: FootballCase) -> Verdicts:
    """1, x, 2 after the home team was given the whole goals of `line` ("-1" is what some write as 0:1)."""
    home, away = _goals(case)
    ahead = side_ahead((home + whole_line(case.specifiers), away))
    return {side: verdict_if(side == ahead) for side in SIDES}


def asian_handicap(case: FootballCase) -> Verdicts:
    """1, 2; `line` is the home team's, the away team has its opposite (RULEBOOK 5)."""
    home, away = _goals(case)
    return handicap(home - away, handicap_line(case.specifiers))


def total_goals(case: FootballCase) -> Verdicts:
    """over, under `line` (RULEBOOK 5)."""
    return total(sum(_goals(case)), total_line(case.specifiers))


def team_total_goals(case: FootballCase) -> Verdicts:
    """over, under `line` goals of the `team` "1" or "2"."""
    team = case.specifiers["team"]
    if team not in {"1", "2"}:
        raise GradingError(f"unknown team: {team!r}")
    return total(_goals(case)[int(team) - 1], total_line(case.specifiers))


def both_teams_to_score(case: FootballCase) -> Verdicts:
    """yes, no."""
    both = all(_goals(case))
    return {"yes": verdict_if(both), "no": verdict_if(not both)}


def odd_even(case: FootballCase) -> Verdicts:
    """odd, even number of goals; none is even."""
    odd = sum(_goals(case)) % 2 == 1
    return {"odd": verdict_if(odd), "even": verdict_if(not odd)}


def correct_score(case: FootballCase) -> Verdicts:
    """2-1 and so on, home goals first; `other` is any score that is not among the market's selections.

    Where a market divides these, `other_1`, `other_x`, `other_2` are any other home win, draw, away win.
    """
    goals = _goals(case)
    final = f"{goals[0]}-{goals[1]}"
    unlisted = final not in case.selections
    verdicts = {each: verdict_if(each == final) for each in case.selections if _SCORE.fullmatch(each)}
    ahead = side_ahead(goals)
    divided = {f"other_{side}": verdict_if(unlisted and side == ahead) for side in SIDES}
    return {**verdicts, "other": verdict_if(unlisted), **divided}


def half_time_full_time(case: FootballCase) -> Verdicts:
    """1/x: home ahead at half-time, draw at the end."""
    both = side_ahead(case.score.half(1)), side_ahead(case.score.whole())
    return {"/".join(pair): verdict_if(pair == both) for pair in product(SIDES, repeat=2)}


def winning_margin(case: FootballCase) -> Verdicts:
    """1:2, the home team by two; 2:4+, the away team by four or more; x, a draw.

    Where a market divides draws, `score_draw` and `no_goal` (0-0).
    """
    goals = _goals(case)
    drawn = goals[0] == goals[1]
    draws = {
        "x": verdict_if(drawn),
        "score_draw": verdict_if(drawn and goals[0] > 0),
        "no_goal": verdict_if(not any(goals)),
    }
    found = ((each, _MARGIN.fullmatch(each)) for each in case.selections)
    return draws | {each: verdict_if(_won_by(goals, *parts.groups())) for each, parts in found if parts}


def _won_by(goals: Pair, side: str, margin: str, or_more: str) -> bool:
    lead = goals[0] - goals[1] if side == "1" else goals[1] - goals[0]
    return lead >= int(margin) if or_more else lead == int(margin)


_PERIOD = ("period",)
MARKET_TYPES = {
    "match_result": MarketType(match_result, may=_PERIOD),
    "double_chance": MarketType(double_chance, may=_PERIOD),
    "draw_no_bet": MarketType(draw_no_bet, may=_PERIOD),
    "european_handicap": MarketType(european_handicap, ("line",), _PERIOD),
    "asian_handicap": MarketType(asian_handicap, ("line",), _PERIOD),
    "total_goals": MarketType(total_goals, ("line",), _PERIOD),
    "team_total_goals": MarketType(team_total_goals, ("line", "team"), _PERIOD),
    "both_teams_to_score": MarketType(both_teams_to_score, may=_PERIOD),
    "odd_even": MarketType(odd_even, may=_PERIOD),
    "correct_score": MarketType(correct_score, may=_PERIOD),
    "half_time_full_time": MarketType(half_time_full_time),
    "winning_margin": MarketType(winning_margin, may=_PERIOD),
}
