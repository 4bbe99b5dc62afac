"""Lines of handicaps and totals as integers in quarters (-0.75 is -3), so that nothing is rounded."""

from __future__ import annotations

import re
from collections.abc import Mapping

from core.grading.verdicts import HALF_LOST, HALF_WON, LOST, VOID, WON, GradingError, Verdict

_LINE = re.compile(r"([+-]?)(0|[1-9][0-9]{0,2})(?:\.(0|00|25|5|50|75))?")
_QUARTERS = {None: 0, "0": 0, "00": 0, "25": 1, "5": 2, "50": 2, "75": 3}
_LADDER = (LOST, HALF_LOST, VOID, HALF_WON, WON)


def parse_line(text: str) -> int:
    """Quarters of a line as people write it: "-0.75" is -3, "+1" is 4, "2.50" is 10.

    Raises GradingError (a ValueError) naming what is not a multiple of a quarter within +-999.75.
    """
    found = _LINE.fullmatch(text)
    if found is None:
        raise GradingError(f"not a line in quarters: {text!r}")
    sign, whole, rest = found.groups()
    quarters = 4 * int(whole) + _QUARTERS[rest]
    return -quarters if sign == "-" else quarters


def line_text(quarters: int) -> str:
    """-3 is "-0.75", 10 is "2.5", 8 is "2"."""
    whole, rest = divmod(abs(quarters), 4)
    return f"{'-' if quarters < 0 else ''}{whole}{('', '.25', '.5', '.75')[rest]}"


def line_verdict(margin: int) -> Verdict:
    """Against a line, `margin` quarters ahead of it.

    A quarter line is half the stake on each neighbour (RULEBOOK 5): a quarter short of the line one half is lost and
    one void; +0.75, loses by one: half lost.
    """
    if margin > 1:
        return WON
    if margin < -1:
        return LOST
    return (HALF_LOST, VOID, HALF_WON)[margin + 1]


def neighbours(line: int) -> tuple[int, int]:
    """The two lines that a quarter line stands for; twice the same for any other."""
    return line - line % 2, line + line % 2


def half_each(lower: Verdict, upper: Verdict) -> Verdict:
    """What half the stake on each of two neighbours comes to; each of them won, void or lost."""
    return _LADDER[(_LADDER.index(lower) + _LADDER.index(upper)) // 2]


def handicap(lead: int, line: int) -> dict[str, Verdict]:
    """Side 1 has `lead` more points than side 2, and is given `line` quarters; side 2 has the opposite line."""
    ahead = 4 * lead + line
    return {"1": line_verdict(ahead), "2": line_verdict(-ahead)}


def total(points: int, line: int) -> dict[str, Verdict]:
    """Over and under `line` quarters."""
    over = 4 * points - line
    return {"over": line_verdict(over), "under": line_verdict(-over)}


def handicap_line(specifiers: Mapping[str, str]) -> int:
    """The line of side 1, in quarters."""
    return parse_line(specifiers["line"])


def total_line(specifiers: Mapping[str, str]) -> int:
    """The line of a total, in quarters; one below zero is a handicap gone astray."""
    line = parse_line(specifiers["line"])
    if line < 0:
        raise GradingError(f"a total has no line below zero: {specifiers['line']!r}")
    return line


def whole_line(specifiers: Mapping[str, str]) -> int:
    """A line that must be whole, in points."""
    points, rest = divmod(parse_line(specifiers["line"]), 4)
    if rest:
        raise GradingError(f"not a whole line: {specifiers['line']!r}")
    return points
