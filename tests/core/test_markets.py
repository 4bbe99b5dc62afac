"""Fixtures, markets and the desk: when bets are taken, and what is offered."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from core.messages import commands as co
from core.messages import feed as fe
from core.messages.answers import Accepted
from core.messages.commands import NamedSelection
from core.messages.results import EachWay, Result
from tests.core.world import NOON, World, refused, won

HOME = ("match/winner", "home", 21_500)
FED = ("derby/winner", "home", 21_500)


@pytest.fixture
def world() -> World:
    world = World()
    world.customer("ann", 100_000)
    world.market("match/winner", home=21_500, away=17_000)
    world.fed_market("derby/winner", home=21_500, away=17_000)
    return world


def _offered(world: World, path: str) -> str:
    return world.engine.image(world.at(path), world.now).status


def _define(world: World, path: str, *names: str, winners: int = 1) -> object:
    selections = tuple(NamedSelection(name, name.title()) for name in names)
    fields = {"market_type": "winner", "name": "Winner", "selections": selections, "winners": winners}
    return world.desk(co.DefineMarket, path, **fields)


def test_a_market_by_hand_starts_suspended_and_without_prices(world: World) -> None:
    _define(world, "match/corners", "over", "under")
    assert refused(world.place("ann", 100, ("match/corners", "over", 20_000))) == "MARKET_SUSPENDED"
    world.desk(co.OpenMarket, "match/corners")
    assert refused(world.place("ann", 100, ("match/corners", "over", 20_000))) == "SELECTION_UNPRICED"
    world.price("match/corners", "over", 20_000)
    assert isinstance(world.place("ann", 100, ("match/corners", "over", 20_000)), Accepted)
    world.check()


@pytest.mark.parametrize(
    ("rule", "happens", "leg", "reason", "offered"),
    [
        (
            "the desk suspends",
            lambda w: w.desk(co.SuspendMarket, "match/winner"),
            HOME,
            "MARKET_SUSPENDED",
            "suspended",
        ),
        (
            "the desk suspends a feed's",
            lambda w: w.desk(co.SuspendMarket, "derby/winner"),
            FED,
            "MARKET_SUSPENDED",
            "suspended",
        ),
        ("the feed suspends", lambda w: w.feed(fe.Suspend, fixture="derby"), FED, "MARKET_SUSPENDED", "suspended"),
        (
            "the feed closes",
            lambda w: w.odds("derby/winner", message={"status": fe.FeedStatus.CLOSED}, home=21_500),
            FED,
            "MARKET_CLOSED",
            "closed",
        ),
        ("results", lambda w: w.settle("match/winner", won("home")), HOME, "MARKET_CLOSED", "settled"),
        ("a cancel", lambda w: w.cancel("match/winner"), HOME, "MARKET_CLOSED", "closed"),
        ("the window of a cancel", lambda w: w.cancel("match/winner", 0, NOON + 1), HOME, "MARKET_CLOSED", "closed"),
        ("silence", lambda w: w.wait(20_001), FED, "PRODUCER_DOWN", "suspended"),
        ("a gap", lambda w: w.feed(fe.Heartbeat, sequence=99), FED, "PRODUCER_DOWN", "suspended"),
        ("a recovery", lambda w: w.feed(fe.RecoveryBegin), FED, "PRODUCER_DOWN", "suspended"),
    ],
)
def test_what_closes_a_market_is_said_and_shown(
    world: World, rule: str, happens: Callable[[World], object], leg: tuple[str, str, int], reason: str, offered: str
) -> None:
    assert _offered(world, leg[0]) == "open"
    world.engine.take_touched()
    happens(world)
    world.run()
    assert refused(world.place("ann", 100, leg)) == reason, rule
    assert _offered(world, leg[0]) == offered
    assert [market.id for market in world.engine.take_touched() if market.fixture.id == leg[0].split("/")[0]] == [
        "winner"
    ]


def test_a_market_opens_again_only_when_nobody_suspends_it(world: World) -> None:
    world.desk(co.SuspendMarket, "derby/winner")
    world.feed(fe.Suspend, fixture="derby")
    world.desk(co.OpenMarket, "derby/winner")
    assert refused(world.place("ann", 100, FED)) == "MARKET_SUSPENDED"
    world.desk(co.SuspendMarket, "derby/winner")
    world.odds("derby/winner", home=21_500, away=17_000)
    assert refused(world.place("ann", 100, FED)) == "MARKET_SUSPENDED"
    world.desk(co.OpenMarket, "derby/winner")
    assert isinstance(world.place("ann", 100, FED), Accepted)


def test_a_market_whose_bets_are_due_takes_none(world: World) -> None:
    world.bet("ann", 100, HOME)
    world.results("match/winner", won("home"))
    world.desk(co.RollBackMarket, "match/winner", what="results", reason="")
    assert refused(world.place("ann", 100, HOME)) == "MARKET_CLOSED"
    world.run()
    assert isinstance(world.place("ann", 100, HOME), Accepted)
    world.check()


def test_betting_ends_at_the_cut_off_and_no_earlier(world: World) -> None:
    world.market("race/winner", cut_off_ms=NOON + 1_000, dobbin=30_000)
    world.wait(999)
    assert isinstance(world.place("ann", 100, ("race/winner", "dobbin", 30_000)), Accepted)
    world.wait(1)
    assert refused(world.place("ann", 100, ("race/winner", "dobbin", 30_000))) == "CUT_OFF_PASSED"
    assert _offered(world, "race/winner") == "closed"


def test_cut_offs_that_were_changed_do_not_pile_up(world: World) -> None:
    for number in range(3_000):
        world.defined("race/winner", {"dobbin": 30_000}, cut_off_ms=NOON + 10**9 + number % 2)
    assert len(world.book.cut_offs) <= 1_010
    world.engine.take_touched()
    world.wait(10**9 + 1)
    world.tick()
    assert world.at("race/winner") in world.engine.take_touched()


def test_a_market_that_closes_by_the_clock_is_shown(world: World) -> None:
    world.market("race/winner", cut_off_ms=NOON + 1_000, dobbin=30_000)
    world.engine.take_touched()
    world.wait(999)
    world.tick()
    assert world.engine.take_touched() == []
    world.wait(1)
    world.tick()
    assert [market.id for market in world.engine.take_touched()] == ["winner"]
    world.tick()
    assert world.engine.take_touched() == []


@pytest.mark.parametrize(("in_play", "age_max_ms"), [(False, 15_000), (True, 5_000)])
def test_a_price_may_be_as_old_as_its_limit(in_play: bool, age_max_ms: int) -> None:  # noqa: FBT001  (a case)
    world = World(price_age_max_ms=15_000, price_age_in_play_max_ms=5_000)
    world.customer("ann", 1_000)
    world.fed_market("derby/winner", message={"in_play": in_play}, home=21_500)
    world.wait(age_max_ms)
    assert isinstance(world.place("ann", 100, FED), Accepted)
    world.wait(1)
    assert refused(world.place("ann", 100, FED)) == "PRICE_STALE"
    world.odds("derby/winner", message={"in_play": in_play}, home=21_500)
    assert isinstance(world.place("ann", 100, FED), Accepted)


def test_a_price_by_hand_does_not_grow_old(world: World) -> None:
    world.wait(10**10)
    assert isinstance(world.place("ann", 100, HOME), Accepted)


def test_the_desks_price_stands_above_the_feeds_until_it_is_given_back(world: World) -> None:
    world.price("derby/winner", "home", 25_000)
    assert refused(world.place("ann", 100, ("derby/winner", "home", 30_000))) == "PRICE_CHANGED"
    world.odds("derby/winner", home=22_000, away=16_500)
    assert world.at("derby/winner").selections["home"].price == 25_000
    world.price("derby/winner", "home", 0)
    assert world.at("derby/winner").selections["home"].price == 22_000
    world.check()


@pytest.mark.parametrize("price", [1, 5_000, 10_000, 100_000_000])
def test_the_desk_cannot_offer_a_price_out_of_bounds(price: int) -> None:
    world = World(price_max=1_000_000)
    world.market("match/winner", home=21_500)
    fields = {"fixture": "match", "market": "winner", "selection": "home"}
    assert refused(world.command(co.SetPrice, price=price, **fields)) == "TOO_MANY"
    assert world.at("match/winner").selections["home"].price == 21_500


@pytest.mark.parametrize("price", [1, 10_000, 1_000_001])
def test_a_feeds_price_out_of_bounds_is_none(price: int) -> None:
    """At 1.00 or below a stake could not win; it was a division by zero once."""
    world = World(price_max=1_000_000)
    world.customer("ann", 10)
    world.fed_market("derby/winner", home=price)
    assert refused(world.place("ann", 100, FED, policy=co.PricePolicy.ANY)) == "SELECTION_UNPRICED"


def test_selections_are_added_and_never_taken_away(world: World) -> None:
    _define(world, "match/winner", "draw", "home")
    assert list(world.at("match/winner").selections) == ["home", "away", "draw"]
    world.check()


def test_another_number_of_winners_changes_the_worst_case(world: World) -> None:
    world.market("race/places", a=30_000, b=30_000, c=30_000)
    for name in "abc":
        world.bet("ann", 1_000, ("race/places", name, 30_000))
    assert world.at("race/places").liability_m == 0
    _define(world, "race/places", "a", winners=2)
    assert world.at("race/places").liability_m == 3_000
    assert world.book.liability_m == 3_000
    world.check()


def test_each_change_of_the_offer_has_a_version_of_its_own(world: World) -> None:
    market = world.at("match/winner")
    before = market.version
    world.price("match/winner", "home", 22_000)
    world.price("match/winner", "home", 22_500)
    assert market.version == before + 2
    assert market.version >> 32 == world.book.term


def test_versions_go_on_rising_after_a_restart(world: World) -> None:
    before = world.at("match/winner").version
    world.events.append(world.engine.start("engine-2", "0.1.0", world.now))
    assert world.at("match/winner").version > before


@pytest.mark.parametrize(
    ("bound", "define", "detail"),
    [
        ({"fixtures_max": 2}, lambda w: w.market("cup/winner", home=20_000), "fixtures"),
        ({"markets_per_fixture_max": 1}, lambda w: _define(w, "match/totals", "over"), "markets"),
        ({"selections_per_market_max": 2}, lambda w: _define(w, "match/winner", "draw"), "selections"),
    ],
)
def test_there_are_no_more_than_the_bound_allows(
    bound: dict[str, int], define: Callable[[World], object], detail: str
) -> None:
    world = World(**bound)
    world.market("match/winner", home=21_500, away=17_000)
    world.market("final/winner", red=20_000)
    fixtures, count = len(world.book.fixtures), len(world.events)
    if detail == "fixtures":
        with pytest.raises(AssertionError, match=detail):
            define(world)
    else:
        assert getattr(define(world), "detail", "") == detail
    assert len(world.book.fixtures) == fixtures
    assert len(world.events) == count + 1
    assert [len(fixture.markets) for fixture in world.book.fixtures.values()] == [1, 1]


def test_a_market_may_be_offered_each_way_from_now_on(world: World) -> None:
    """And no more: who has a place part keeps it."""
    prices = dict.fromkeys("abcdefgh", 50_000)
    world.defined("race/win", prices)
    leg = ("race/win", "a", 50_000)
    assert refused(world.place("ann", 1_000, leg, each_way=True)) == "EACH_WAY_NOT_OFFERED"
    world.defined("race/win", prices, each_way=EachWay())
    bet = world.bet("ann", 1_000, leg, each_way=True)
    world.defined("race/win", prices)
    assert refused(world.place("ann", 1_000, leg, each_way=True)) == "EACH_WAY_NOT_OFFERED"
    assert bet.legs[0].place == EachWay(3, 1, 5)
    world.settle("race/win", Result("b", 1, position=1), Result("a", 0, position=2))
    assert bet.paid_m == 900
    world.check()


@pytest.mark.parametrize(
    ("rule", "sport", "competition", "together"),
    [
        ("its own competition", "football", "cup", False),
        ("of another sport", "tennis", "cup", True),
        ("another competition", "football", "league", True),
    ],
)
def test_an_outright_is_not_combinable_with_the_matches_of_its_competition(
    world: World, rule: str, sport: str, competition: str, *, together: bool
) -> None:
    world.fixture("season", sport=sport, competition="outrights", outright_of=competition)
    world.market("season/outright", red=50_000)
    answer = world.place("ann", 1_000, HOME, ("season/outright", "red", 50_000))
    assert isinstance(answer, Accepted) == together, rule
    assert together or refused(answer) == "LEGS_NOT_COMBINABLE"
    # A correction of the fixture counts from then on.
    world.fixture("season", sport=sport, competition="outrights")
    assert isinstance(world.place("ann", 1_000, HOME, ("season/outright", "red", 50_000)), Accepted)
    world.check()


def test_what_a_market_is_is_shown(world: World) -> None:
    world.defined(
        "match/terms",
        {"over": 20_000},
        specifiers={"total": "2.5"},
        each_way=EachWay(3, 1, 5),
        delay_ms=5_000,
    )
    image = world.engine.image(world.at("match/terms"), world.now)
    assert (image.specifiers, image.each_way, image.delay_ms) == ({"total": "2.5"}, EachWay(3, 1, 5), 5_000)
    world.check()
