from __future__ import annotations

import pytest
from msgspec.structs import replace

from adapters.demo import kinds
from core.messages.commands import Leg, PlaceBet


def bet(*fixtures: str, kind: str = "", folds: tuple[int, ...] = (), each_way: bool = False) -> PlaceBet:
    """A bet with one leg for each name of a fixture; a "!" behind it makes a banker."""
    legs = tuple(
        Leg(name.rstrip("!"), "m", str(place), 20_000, banker=name.endswith("!")) for place, name in enumerate(fixtures)
    )
    return PlaceBet("b", 0, "c", 1_000, legs, kind=kind, folds=folds, each_way=each_way)


@pytest.mark.parametrize(
    ("asked", "lines"),
    [
        (bet("a"), 1),
        (bet("a", "b", "c"), 1),
        (bet("a", "b", "c", kind="trixie"), 4),
        (bet("a", "b", "c", kind="patent"), 7),
        (bet(*"abcd", kind="yankee"), 11),
        (bet(*"abcd", kind="lucky15"), 15),
        (bet(*"abcde", kind="canadian"), 26),
        (bet(*"abcde", kind="lucky31"), 31),
        (bet(*"abcdef", kind="heinz"), 57),
        (bet(*"abcdef", kind="lucky63"), 63),
        (bet(*"abcdef", kind="lucky63", each_way=True), 126),
        (bet(*"abcd", "a", folds=(3,)), 7),  # MTS 10.7
        (bet("a", "b", "a", folds=(2,)), 2),  # MTS 10.11
        (bet("a!", *"bcd", folds=(2,)), 3),
    ],
)
def test_lines_are_counted_by_hand(asked: PlaceBet, lines: int) -> None:
    assert kinds.count(asked) == lines


@pytest.mark.parametrize(
    ("kind", "legs", "each_way", "builder", "name", "family"),
    [
        ("", 1, False, False, "single", "singles"),
        ("", 1, False, True, "bet_builder", "singles"),
        ("", 1, True, False, "each_way_single", "singles"),
        ("", 2, False, True, "double", "multiples"),
        ("", 5, False, False, "fivefold", "multiples"),
        ("", 12, False, False, "12-fold", "multiples"),
        ("lucky15", 4, True, False, "each_way_lucky15", "systems"),
        ("system", 4, False, False, "system", "systems"),
    ],
)
def test_a_kind_has_the_name_that_people_give_it(
    *, kind: str, legs: int, each_way: bool, builder: bool, name: str, family: str
) -> None:
    assert kinds.name(kind, legs, each_way=each_way, builder=builder) == name
    assert kinds.family(name) == family


def test_each_way_pays_a_share_of_the_odds_for_a_place() -> None:
    """RULEBOOK 5: 5.00 each-way at 20/1, a fifth of the odds, won: 130.00."""
    assert kinds.payout_m(bet("a", each_way=True), [210_000], 1_000, (5,)) == 13_000


def test_a_free_bet_pays_what_it_wins() -> None:
    free = PlaceBet("b", 0, "c", 1_000, (Leg("a", "m", "h", 25_000),), free_bet="token")
    assert kinds.payout_m(free, [25_000], 1_000) == 1_500


def test_a_system_pays_the_sum_of_its_lines_rounded_once() -> None:
    """A Trixie of 1.00 at 2.0, 3.0 and 4.0: 0.25 a line, doubles 6, 8 and 12, treble 24."""
    assert kinds.payout_m(bet("a", "b", "c", kind="trixie"), [20_000, 30_000, 40_000], 100) == 1_250


def test_a_unit_stake_is_staked_on_every_line() -> None:
    yankee = bet(*"abcd", kind="yankee")
    assert kinds.stake_m(yankee) == 1_000
    assert kinds.stake_m(replace(yankee, unit_stake=True)) == 11_000
