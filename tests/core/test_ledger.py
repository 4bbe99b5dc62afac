"""Which event moves which money (DESIGN promise 5): the whole table, in minor units."""

from __future__ import annotations

from collections import Counter
from typing import get_args

import pytest

from core import ledger
from core.messages import events as ev
from tests.core.world import World, lost, won

HEAD = (0, "c1", 0)
OPEN, WON, LOST, VOID = 0, 1, 2, 3


def _settled(was: int, was_paid_m: int, status: int, paid_m: int) -> ev.BetSettled:
    return ev.BetSettled(0, "b1", "ann", "EUR", 1_000, was, was_paid_m, status, paid_m)


MOVES: list[tuple[str, ev.Event, list[tuple[str, str, int]]]] = [
    ("deposit", ev.Deposited(*HEAD, "ann", "EUR", 500, "bank"), [("clearing:bank", "cash", 500)]),
    ("withdrawal", ev.Withdrawn(*HEAD, "ann", "EUR", 500, "bank"), [("cash", "clearing:bank", 500)]),
    ("reserve", ev.Reserved(*HEAD, "ann", "EUR", 500, "bank", 9), [("cash", "reserved", 500)]),
    (
        "reserve posted in part",
        ev.ReservePosted(*HEAD, "ann", "EUR", "r1", "bank", 300, 200),
        [("reserved", "clearing:bank", 300), ("reserved", "cash", 200)],
    ),
    (
        "reserve posted whole",
        ev.ReservePosted(*HEAD, "ann", "EUR", "r1", "bank", 500, 0),
        [("reserved", "clearing:bank", 500)],
    ),
    ("reserve voided", ev.ReserveVoided(*HEAD, "ann", "EUR", "r1", 500), [("reserved", "cash", 500)]),
    ("bet accepted", ev.BetAccepted(*HEAD, "ann", "EUR", 1_000, 2_150, ()), [("cash", "open_stakes", 1_000)]),
    ("bet lost", _settled(OPEN, 0, LOST, 0), [("open_stakes", "house:betting", 1_000)]),
    (
        "bet won",
        _settled(OPEN, 0, WON, 2_150),
        [("open_stakes", "house:betting", 1_000), ("house:betting", "cash", 2_150)],
    ),
    (
        "bet void",
        _settled(OPEN, 0, VOID, 1_000),
        [("open_stakes", "house:betting", 1_000), ("house:betting", "cash", 1_000)],
    ),
    ("lost is won", _settled(LOST, 0, WON, 2_150), [("house:betting", "cash", 2_150)]),
    ("won is lost", _settled(WON, 2_150, LOST, 0), [("cash", "house:betting", 2_150)]),
    ("won is half won", _settled(WON, 2_150, WON, 1_575), [("cash", "house:betting", 575)]),
    ("void is won", _settled(VOID, 1_000, WON, 2_150), [("house:betting", "cash", 1_150)]),
    (
        "won is open again",
        _settled(WON, 2_150, OPEN, 0),
        [("house:betting", "open_stakes", 1_000), ("cash", "house:betting", 2_150)],
    ),
    ("lost is open again", _settled(LOST, 0, OPEN, 0), [("house:betting", "open_stakes", 1_000)]),
]
MONEYLESS: list[ev.Event] = [
    ev.EngineStarted(0, 1, "e", "0", 1, 1),
    ev.CustomerOpened(*HEAD, "ann", "EUR"),
    ev.CustomerStatusSet(*HEAD, "trader", "ann", suspended=True, reason=""),
    ev.FixtureDefined(*HEAD, "desk", "trader", "f", "f", "football", "cup", 0),
    ev.MarketDefined(*HEAD, "desk", "trader", "f", "m", "winner", "m", "", 1, 0, ()),
    ev.MarketStatusSet(*HEAD, "trader", "f", "m", suspended=True),
    ev.PriceSet(*HEAD, "trader", "f", "m", "home", 21_500),
    ev.MarketSettled(*HEAD, "desk", "trader", 0, "f", "m", (), ""),
    ev.MarketCancelled(*HEAD, "desk", "trader", 0, "f", "m", 0, 0, ""),
    ev.MarketRolledBack(*HEAD, "desk", "trader", 0, "f", "m", "results", ""),
    ev.SettlementAdvanced(0, "f", "m", 1),
    ev.MarketArchived(0, "f", "m", 1, last=True),
    ev.BetRejected(*HEAD, "ann", 1_000, (), 500, -1, 0, 0, 0, ""),
    ev.BetAdvanced(0, "b1"),
    ev.BetVoided(*HEAD, "trader", "b1", "ann", ""),
    ev.CommandRejected(*HEAD, "Deposit", "ann", "", 30, 0, ""),
]


@pytest.mark.parametrize(("rule", "event", "moves"), MOVES, ids=[rule for rule, _, _ in MOVES])
def test_an_event_moves_its_money(rule: str, event: ev.Event, moves: list[tuple[str, str, int]]) -> None:
    assert ledger.transfers(event) == moves, rule
    assert all(amount_m > 0 for _, _, amount_m in ledger.transfers(event))


@pytest.mark.parametrize("event", MONEYLESS, ids=lambda event: type(event).__name__)
def test_other_events_move_none(event: ev.Event) -> None:
    assert ledger.transfers(event) == []


def test_every_event_stands_in_one_of_the_tables() -> None:
    listed = {type(event) for _, event, _ in MOVES} | {type(event) for event in MONEYLESS}
    assert listed == set(get_args(ev.Event))
    assert not {type(event) for _, event, _ in MOVES} & {type(event) for event in MONEYLESS}


def test_balances_are_the_sum_of_what_was_moved() -> None:
    world = World()
    world.customer("ann", 10_000)
    world.market("match/winner", home=21_500, away=17_000)
    world.bet("ann", 1_000, ("match/winner", "home", 21_500))
    world.settle("match/winner", won("home"))
    world.settle("match/winner", won("away"))
    world.settle("match/winner", won("home"))
    balances: Counter[str] = Counter()
    for event in world.events:
        for source, target, amount_m in ledger.transfers(event):
            balances[source] -= amount_m
            balances[target] += amount_m
    assert balances == {"cash": 11_150, "open_stakes": 0, "house:betting": -1_150, "clearing:bank": -10_000}
    assert world.book.house == {("house:betting", "EUR"): -1_150, ("clearing:bank", "EUR"): -10_000}
    assert world.cash("ann") == 11_150
    assert ledger.sums(world.book) == {"EUR": 0}


def test_a_balance_goes_below_zero_by_a_correction_and_by_nothing_else() -> None:
    """DESIGN promise 5."""
    world = World()
    world.customer("ann", 1_000)
    world.market("match/winner", home=21_500, away=17_000)
    world.bet("ann", 1_000, ("match/winner", "home", 21_500))
    world.settle("match/winner", won("home"))
    assert world.cash("ann") == 2_150
    world.market("final/winner", red=20_000)
    world.bet("ann", 2_000, ("final/winner", "red", 20_000))
    assert world.cash("ann") == 150
    world.settle("match/winner", lost("home"))
    assert world.cash("ann") == -2_000
    world.check()
