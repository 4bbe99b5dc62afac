"""Questions: answers that are true, and leave no trace."""

from __future__ import annotations

import pytest

from core import engine, snapshot
from core.messages import commands as co
from core.messages import queries as qu
from core.messages.answers import (
    AccountState,
    BetLegState,
    BetState,
    CashOutQuote,
    OddsImage,
    Rejected,
    SelectionOdds,
)
from core.messages.results import EachWay, Result
from tests.core.exchange.trading import exchange, placed
from tests.core.world import NOON, World, dead_heat, half_lost, half_won, leg, lost, refused, void, won

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


@pytest.mark.parametrize(
    ("result", "name"),
    [
        (won("home"), "won"),
        (lost("home"), "lost"),
        (void("home"), "void"),
        (half_won("home"), "part"),
        (half_lost("home"), "part"),
        (dead_heat("home", 2), "part"),
        (dead_heat("home", 2, places=2), "won"),
    ],
)
def test_a_leg_is_told_with_what_became_of_it(world: World, result: Result, name: str) -> None:
    world.bet("ann", 1_000, HOME, ("final/winner", "red", 30_000), id="b1")
    world.settle("match/winner", result)
    assert [leg.result for leg in world.state("b1").legs] == [name, "open"]


def test_a_leg_or_a_bet_that_was_taken_back_is_told_as_void(world: World) -> None:
    world.bet("ann", 1_000, HOME, ("final/winner", "red", 30_000), id="b1")
    world.done(co.VoidBet, bet="b1", reason="", leg=0)
    assert [leg.result for leg in world.state("b1").legs] == ["void", "open"]
    world.done(co.VoidBet, bet="b1", reason="")
    state = world.state("b1")
    assert [leg.result for leg in state.legs] == ["void", "void"]
    assert (state.status, state.paid_m) == ("void", 1_000)


def test_a_bet_is_told_with_its_kind_its_lines_and_who_staked_it(world: World) -> None:
    world.race("ascot/win", dobbin=50_000, star=30_000, grey=80_000, bay=80_000, roan=90_000)
    world.done(co.GrantFreeBet, customer="ann", token="free", stake_m=600, ends_ms=NOON + 1)
    legs = (HOME, ("final/winner", "red", 30_000), ("ascot/win", "dobbin", 50_000))
    world.bet("ann", 600, *legs, id="trixie", kind="trixie", free_bet="free")
    world.bet("ann", 1_000, legs[2], id="each-way", each_way=True)
    told = [
        (state.kind, state.lines, state.each_way, state.free_bet) for state in map(world.state, ("trixie", "each-way"))
    ]
    assert told == [("trixie", 4, False, True), ("", 2, True, False)]
    # Doubles at 6, 10 and 15, a treble at 30: 61 lines' stakes of 1.50, less the stake. 5.00 at 5, 5.00 at 2.
    assert [world.state(bet).payout_m for bet in ("trixie", "each-way")] == [8_550, 3_500]


def test_a_bet_is_told_with_what_was_sold_of_it(world: World) -> None:
    world.bet("ann", 1_000, ("final/winner", "red", 30_000), id="b1")
    quote = world.send(qu.GetCashOut("ann", "b1", 4_000))
    assert isinstance(quote, CashOutQuote)
    world.done(co.CashOut, customer="ann", bet="b1", offer_m=quote.offer_m)
    state = world.state("b1")
    assert (state.status, state.stake_m, state.cashed_out_stake_m, state.cashed_out_m) == (
        "open",
        1_000,
        400,
        quote.offer_m,
    )


def test_a_bet_is_told_with_what_the_payout_maximum_cut_off(world: World) -> None:
    """20.00 of winnings are allowed; at the starting price it wins 30.00."""
    world.done(co.SetLimit, sport="football", payout_max_m=2_000)
    red = (leg("final/winner", "red", 30_000, starting_price=True),)
    world.command(co.PlaceBet, id="b1", customer="ann", stake_m=1_000, legs=red)
    world.desk(co.SetStartingPrices, "final/winner", prices=(co.NamedPrice("red", 40_000),))
    world.settle("final/winner", won("red"))
    state = world.state("b1")
    assert (state.status, state.paid_m, state.capped_m) == ("won", 3_000, 1_000)


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
    head = ("match", "winner", "winner", "football", NOON, "open", False)
    image = OddsImage("match", "winner", version, *head, prices, starting_price=True)
    assert world.send(qu.GetOdds("match", "winner")) == image
    assert world.send(qu.GetOdds("match", "corners")) == Rejected("", "MARKET_UNKNOWN")
    assert world.send(qu.GetOdds("cup", "winner")) == Rejected("", "FIXTURE_UNKNOWN")


def test_a_market_is_told_with_its_terms(world: World) -> None:
    terms = EachWay(3, 1, 5)
    world.defined("ascot/win", {"dobbin": 50_000}, each_way=terms, delay_ms=5_000, specifiers={"race": "2"})
    image = world.send(qu.GetOdds("ascot", "win"))
    assert isinstance(image, OddsImage)
    assert (image.each_way, image.delay_ms, image.specifiers) == (terms, 5_000, {"race": "2"})


QUERIES = [
    qu.GetBet("b1"),
    qu.GetMaxStake("ann", (leg(*HOME),)),
    qu.GetCashOut("ann", "b1"),
    qu.GetOwnLimits("ann"),
    qu.GetBonuses("ann"),
    qu.GetAccount("ann"),
    qu.GetOdds("match", "winner"),
    qu.GetOrder("o1"),
    qu.GetOrders("ann", "cup", "winner"),
    qu.GetBook("cup", "winner"),
]


def test_every_question_is_in_the_table() -> None:
    assert [type(query) for query in QUERIES] == list(engine.QUERIES)


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: type(query).__name__)
def test_questions_leave_no_trace(world: World, query: object) -> None:
    world.bet("ann", 1_000, HOME, id="b1")
    exchange(world, "cup/winner", ("gold",))
    placed(world, "ann", "gold", "back", 30_000, 1_000, "cup/winner", id="o1")
    before = len(world.events), snapshot.state_hash(world.book)
    assert not isinstance(world.send(query), Rejected)
    assert (len(world.events), snapshot.state_hash(world.book)) == before


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        (qu.GetMaxStake("bob", (leg(*HOME),)), "CUSTOMER_UNKNOWN"),
        (qu.GetMaxStake("ann", (leg("cup/winner", "home", 20_000),)), "FIXTURE_UNKNOWN"),
        (qu.GetCashOut("ann", "b1"), "BET_UNKNOWN"),
        (qu.GetOwnLimits("bob"), "CUSTOMER_UNKNOWN"),
        (qu.GetBonuses("bob"), "CUSTOMER_UNKNOWN"),
        (qu.GetOrder("o1"), "ORDER_UNKNOWN"),
        (qu.GetOrders("bob", "match", "winner"), "CUSTOMER_UNKNOWN"),
        (qu.GetOrders("ann", "match", "corners"), "MARKET_UNKNOWN"),
        (qu.GetBook("cup", "winner"), "FIXTURE_UNKNOWN"),
        (qu.GetBook("match", "winner"), "EXCHANGE_NOT_OFFERED"),
    ],
    ids=repr,
)
def test_a_question_about_what_is_not_there_says_so(world: World, query: object, reason: str) -> None:
    assert refused(world.send(query)) == reason
