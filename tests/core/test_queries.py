"""Questions: answers that are true, and leave no trace."""

from __future__ import annotations

import pytest

from core.messages import queries as qu
from core.messages.answers import AccountState, BetLegState, BetState, OddsImage, Rejected, SelectionOdds
from tests.core.world import NOON, World, won

HOME = ("match/winner", "home", 20_000)


@pytest.fixture
def world() -> World:
    world = World()
    world.customer("ann", 10_000)
    world.market("match/winner", home=20_000, away=18_000)
    world.market("final/winner", red=30_000)
    return world


def test_a_bet_is_told_as_it_stands(world: World) -> None:
    world.bet("ann", 1_000, ("match/winner", "home", 19_000), ("final/winner", "red", 30_000), id="b1")
    world.settle("match/winner", won("home"))
    legs = (
        BetLegState("match", "winner", "home", 20_000, 19_000, "won"),
        BetLegState("final", "winner", "red", 30_000, 30_000, "open"),
    )
    assert world.send(qu.GetBet("b1")) == BetState("b1", "ann", NOON, 1_000, 6_000, 0, "open", legs)


def test_a_refused_bet_is_told_by_its_refusal_and_an_unknown_one_is_unknown(world: World) -> None:
    refusal = world.place("ann", 5, HOME, id="b1")
    assert world.send(qu.GetBet("b1")) == refusal
    assert world.send(qu.GetBet("b2")) == Rejected("b2", "BET_UNKNOWN")


def test_an_account_is_told_with_its_open_stakes_and_liability(world: World) -> None:
    world.bet("ann", 1_000, HOME)
    assert world.send(qu.GetAccount("ann")) == AccountState("ann", "EUR", False, 9_000, 1_000, 0, 1_000)
    assert world.send(qu.GetAccount("bob")) == Rejected("", "CUSTOMER_UNKNOWN")


def test_a_market_is_told_as_it_is_offered(world: World) -> None:
    prices = (SelectionOdds("home", "Home", 20_000), SelectionOdds("away", "Away", 18_000))
    version = world.at("match/winner").version
    image = OddsImage("match", "winner", version, "match", "winner", "winner", "football", NOON, "open", False, prices)
    assert world.send(qu.GetOdds("match", "winner")) == image
    assert world.send(qu.GetOdds("match", "corners")) == Rejected("", "MARKET_UNKNOWN")
    assert world.send(qu.GetOdds("cup", "winner")) == Rejected("", "FIXTURE_UNKNOWN")


def test_questions_leave_no_trace(world: World) -> None:
    before = len(world.events), world.book.event_no
    for query in (qu.GetBet("b1"), qu.GetAccount("ann"), qu.GetOdds("match", "winner")):
        world.send(query)
    assert (len(world.events), world.book.event_no) == before
