"""A leg's multiplier: `vf + (1 - vf) x result x price x dhf` (RULEBOOK 5)."""

from __future__ import annotations

from fractions import Fraction

import pytest

from core.messages.results import Result, multiplier
from tests.core.world import dead_heat, half_lost, half_won, lost, void, won


@pytest.mark.parametrize(
    ("rule", "result", "price", "expected"),
    [
        ("lost", lost("a"), 21_500, Fraction(0)),
        ("won", won("a"), 21_500, Fraction("2.15")),
        ("void", void("a"), 21_500, Fraction(1)),
        ("void, although it won", Result("a", 1, 10_000), 21_500, Fraction(1)),
        ("half won", half_won("a"), 21_500, Fraction("1.575")),
        ("half lost", half_lost("a"), 21_500, Fraction(1, 2)),
        ("dead heat of two", dead_heat("a", 2), 21_500, Fraction("1.075")),
        ("dead heat of two, below one", dead_heat("a", 2), 18_000, Fraction("0.9")),
        ("dead heat of three for two places", dead_heat("a", 3, 2), 30_000, Fraction(2)),
        ("half won in a dead heat of two", Result("a", 1, 5_000, 1, 2), 30_000, Fraction("1.25")),
        ("lost in a dead heat", Result("a", 0, 0, 1, 2), 30_000, Fraction(0)),
    ],
)
def test_a_multiplier_is_exact(rule: str, result: Result, price: int, expected: Fraction) -> None:
    assert Fraction(*multiplier(result, price)) == expected, rule


def test_a_dead_heat_never_pays_more_than_a_win() -> None:
    with pytest.raises(ValueError, match="3 places shared by 2"):
        Result("a", 1, 0, 3, 2)
