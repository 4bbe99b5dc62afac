"""Producers: who is believed, and what of their messages is taken (DESIGN 6, RULEBOOK 8)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from core.messages import commands as co
from core.messages import events as ev
from core.messages import feed as fe
from core.messages.answers import Accepted
from core.messages.results import EachWay
from tests.core.world import NOON, World, lost, refused, won

HOME = ("derby/winner", "home", 21_500)
OVER = ("derby/totals", "over", 20_000)
OTHER = ("cup/winner", "red", 30_000)


@pytest.fixture
def world() -> World:
    """Two markets of producer `live` in two groups, one of producer `pre`."""
    world = World()
    world.customer("ann", 100_000)
    world.fed_market("derby/winner", message={"group": "main"}, home=21_500, away=17_000)
    world.image("derby/totals", message={"group": "goals"}, over=20_000, under=18_000)
    world.fed_market("cup/winner", "pre", red=30_000, blue=14_000)
    return world


def _taken(world: World, leg: tuple[str, str, int]) -> str:
    """Whether a bet is taken: "taken", or why not."""
    answer = world.place("ann", 100, leg)
    return "taken" if isinstance(answer, Accepted) else refused(answer)


def _all(world: World) -> list[str]:
    return [_taken(world, leg) for leg in (HOME, OVER, OTHER)]


T, DOWN, SUSPENDED = "taken", "PRODUCER_DOWN", "MARKET_SUSPENDED"


def _recover(world: World, *paths: str) -> None:
    world.feed(fe.RecoveryBegin)
    for path in paths:
        if path == "derby/winner":
            world.image(path, home=21_500)
        else:
            world.image(path, over=20_000)
    world.feed(fe.RecoveryEnd)


@pytest.mark.parametrize(
    ("rule", "happens", "taken"),
    [
        ("all is well", lambda _: None, [T, T, T]),
        ("a heartbeat", lambda w: w.feed(fe.Heartbeat), [T, T, T]),
        ("one message lost", lambda w: w.feed(fe.Heartbeat, sequence=7), [DOWN, DOWN, T]),
        (
            "a message twice",
            lambda w: (w.feed(fe.Heartbeat), w.feed(fe.Suspend, fixture="derby", sequence=6)),
            [T, T, T],
        ),
        ("recovery begins", lambda w: w.feed(fe.RecoveryBegin), [DOWN, DOWN, T]),
        (
            "recovery, not ended",
            lambda w: (w.feed(fe.RecoveryBegin), w.image("derby/winner", home=21_500)),
            [DOWN, DOWN, T],
        ),
        ("recovery of both", lambda w: _recover(w, "derby/winner", "derby/totals"), [T, T, T]),
        ("recovery that leaves one out", lambda w: _recover(w, "derby/winner"), [T, DOWN, T]),
        (
            "an end without a beginning",
            lambda w: (w.feed(fe.Heartbeat, sequence=99), w.feed(fe.RecoveryEnd)),
            [DOWN, DOWN, T],
        ),
        (
            "a message lost amid the recovery",
            lambda w: (
                w.feed(fe.RecoveryBegin),
                w.image("derby/winner", home=21_500),
                w.feed(fe.Heartbeat, sequence=99),
                w.image("derby/totals", over=20_000),
                w.feed(fe.RecoveryEnd),
            ),
            [DOWN, DOWN, T],
        ),
        (
            "a recovery that starts its sequence anew",
            lambda w: (
                w.feed(fe.RecoveryBegin, sequence=1),
                w.image("derby/winner", home=21_500),
                w.feed(fe.RecoveryEnd),
            ),
            [T, DOWN, T],
        ),
        ("bet stop", lambda w: w.feed(fe.Suspend, fixture="derby"), [SUSPENDED, SUSPENDED, T]),
        ("bet stop of a group", lambda w: w.feed(fe.Suspend, fixture="derby", group="goals"), [T, SUSPENDED, T]),
        ("bet stop of another's fixture", lambda w: w.feed(fe.Suspend, fixture="cup"), [T, T, T]),
        ("an older bet stop", lambda w: w.feed(fe.Suspend, fixture="derby", ts_ms=NOON - 1), [T, T, T]),
    ],
)
def test_only_a_producer_that_lost_nothing_is_believed(
    world: World, rule: str, happens: Callable[[World], object], taken: list[str]
) -> None:
    happens(world)
    assert _all(world) == taken, rule
    world.check()


@pytest.mark.parametrize(("silence_ms", "taken"), [(20_000, [T, T, T]), (20_001, [DOWN, DOWN, T])])
def test_a_producer_may_be_silent_for_so_long(world: World, silence_ms: int, taken: list[str]) -> None:
    world.wait(silence_ms - 10)
    world.feed(fe.Heartbeat, "pre")
    world.wait(10)
    assert _all(world) == taken
    # Speaking again is not enough after a silence: something may have been missed.
    world.feed(fe.Heartbeat)
    assert _all(world) == taken
    _recover(world, "derby/winner", "derby/totals")
    assert _all(world) == [T, T, T]


def test_silence_is_noticed_by_the_passing_of_time_alone(world: World) -> None:
    world.engine.take_touched()
    world.wait(20_001)
    world.tick()
    assert {market.fixture.id for market in world.engine.take_touched()} == {"derby", "cup"}
    world.tick()
    assert world.engine.take_touched() == []


def test_a_producer_that_is_not_believed_is_asked_to_recover_again_and_again(world: World) -> None:
    engine = world.engine
    assert engine.recoveries_due(world.now) == []
    world.feed(fe.Heartbeat, sequence=99)
    asked = [fe.RecoverRequest("acme", "live")]
    assert engine.recoveries_due(world.now) == asked
    assert engine.recoveries_due(world.now + 4_999) == []
    assert engine.recoveries_due(world.now + 5_000) == asked
    world.feed(fe.RecoveryBegin)
    assert engine.recoveries_due(world.now + 10_000) == []


def test_an_unknown_producer_is_asked_and_not_believed() -> None:
    world = World()
    world.customer("ann", 1_000)
    world.feed(
        fe.FixtureChange, fixture="derby", name="Derby", sport="football", competition="cup", start_ms=NOON, sequence=41
    )
    world.image("derby/winner", home=21_500)
    assert _taken(world, HOME) == DOWN
    assert world.engine.recoveries_due(world.now) == [fe.RecoverRequest("acme", "live")]


def test_after_a_restart_no_feeds_price_is_believed_until_it_recovers(world: World) -> None:
    """DESIGN 6: live prices are never trusted across a restart."""
    again = World()
    again.engine.book = again.engine.book.__class__()
    for event in world.events:
        again.engine.apply(event)
    again.events = [*world.events, again.engine.start("engine-2", "0.1.0", NOON)]
    again._ids = 1_000
    assert _all(again) == [SUSPENDED] * 3
    _recover(again, "derby/winner", "derby/totals")
    assert _all(again) == [T, T, SUSPENDED]
    again.check()


@pytest.mark.parametrize(
    ("rule", "message", "home"),
    [
        ("newer", {"ts_ms": NOON + 1}, 25_000),
        ("of the same time", {"ts_ms": NOON}, 25_000),
        ("older", {"ts_ms": NOON - 1}, 21_500),
    ],
)
def test_older_prices_never_overwrite_newer_ones(world: World, rule: str, message: dict[str, Any], home: int) -> None:
    world.odds("derby/winner", message=message, home=25_000)
    assert world.at("derby/winner").selections["home"].price == home, rule
    world.image("derby/winner", message={"ts_ms": message["ts_ms"] - 2, "name": "Old"}, home=30_000)
    assert world.at("derby/winner").selections["home"].price == home
    assert world.at("derby/winner").name == "winner"


def test_prices_are_partial_across_markets_and_complete_within_one(world: World) -> None:
    world.odds("derby/winner", home=22_000)
    market = world.at("derby/winner")
    assert {selection.id: selection.price for selection in market.selections.values()} == {"home": 22_000, "away": 0}
    assert world.at("derby/totals").selections["over"].price == 20_000
    assert _taken(world, ("derby/winner", "away", 17_000)) == "SELECTION_UNPRICED"
    assert _taken(world, OVER) == "taken"


def test_what_is_not_this_producers_is_passed_over_and_the_rest_taken(world: World) -> None:
    changes = (
        fe.MarketPrices("corners", fe.FeedStatus.ACTIVE, ()),
        fe.MarketPrices("winner", fe.FeedStatus.ACTIVE, (fe.SelectionPrice("home", 25_000),)),
    )
    assert refused(world.feed(fe.OddsChange, "pre", fixture="derby", markets=changes)) == "MARKET_UNKNOWN"
    assert world.at("derby/winner").selections["home"].price == 21_500
    assert refused(world.feed(fe.OddsChange, fixture="derby", markets=changes)) == "MARKET_UNKNOWN"
    assert world.at("derby/winner").selections["home"].price == 25_000
    assert refused(world.odds("derby/winner", "pre", home=26_000)) == "PRICE_NOT_OURS"
    assert refused(world.image("derby/winner", "pre", home=26_000)) == "PRICE_NOT_OURS"
    results = (fe.MarketResults("winner", (won("home"), won("away"))),)
    assert refused(world.feed(fe.Settlement, "pre", fixture="derby", markets=results)) == "PRICE_NOT_OURS"
    assert refused(world.feed(fe.Suspend, fixture="nowhere")) == "FIXTURE_UNKNOWN"
    assert refused(world.image("nowhere/winner", home=26_000)) == "FIXTURE_UNKNOWN"


def test_prices_and_heartbeats_are_not_journalled_but_definitions_are(world: World) -> None:
    before = len(world.events)
    world.odds("derby/winner", home=22_000, away=16_500)
    world.feed(fe.Heartbeat)
    world.image("derby/winner", message={"group": "main"}, home=22_500, away=16_000)
    world.image("derby/winner", message={"group": "main"}, home=22_500)
    assert world.events[before:] == []
    world.image("derby/winner", message={"group": "main"}, home=22_500, draw=30_000)
    world.image("derby/winner", message={"group": "main", "cut_off_ms": NOON + 1}, home=22_500)
    assert [type(event) for event in world.events[before:]] == [ev.MarketDefined, ev.MarketDefined]
    assert list(world.at("derby/winner").selections) == ["home", "away", "draw"]
    world.check()


def test_an_image_that_names_a_selection_twice_is_passed_over(world: World) -> None:
    """It would differ from what is known for ever, and be journalled each time."""
    twice = (fe.PricedSelection("home", "Home", 20_000), fe.PricedSelection("home", "Heim", 20_000))
    before = len(world.events)
    assert refused(world.image("derby/winner", message={"selections": twice})) == "MALFORMED"
    assert len(world.events) == before


def test_a_fixture_the_desk_has_corrected_is_no_longer_the_feeds(world: World) -> None:
    fields: dict[str, Any] = {"fixture": "derby", "sport": "football", "competition": "cup", "start_ms": NOON}
    world.feed(fe.FixtureChange, name="Derby", **fields)
    assert world.book.fixtures["derby"].name == "Derby"
    world.feed(fe.FixtureChange, name="Older", ts_ms=NOON - 1, **fields)
    world.feed(fe.FixtureChange, "pre", name="Another's", **fields)
    assert world.book.fixtures["derby"].name == "Derby"
    world.done(co.DefineFixture, name="Local derby", **fields)
    world.feed(fe.FixtureChange, name="Derby again", **fields)
    assert world.book.fixtures["derby"].name == "Local derby"
    assert _taken(world, HOME) == "taken"
    world.check()


def test_a_market_by_hand_is_not_a_feeds(world: World) -> None:
    world.market("derby/corners", over=20_000)
    assert refused(world.odds("derby/corners", over=30_000)) == "PRICE_NOT_OURS"
    world.feed(fe.Suspend, fixture="derby")
    assert _taken(world, ("derby/corners", "over", 20_000)) == "taken"


def test_there_are_no_more_producers_than_the_bound_allows() -> None:
    world = World(producers_max=1)
    world.feed(fe.Heartbeat, "first")
    answer = world.feed(fe.Heartbeat, "second")
    assert (refused(answer), getattr(answer, "detail", "")) == ("TOO_MANY", "producers")
    assert len(world.book.producers) == 1


@pytest.mark.parametrize("bound", ["fixtures_max", "markets_per_fixture_max", "selections_per_market_max"])
def test_a_feed_cannot_grow_the_book_beyond_its_bounds(bound: str) -> None:
    world = World(**{bound: 1})
    world.fed_market("derby/winner", home=20_000)
    fixture: dict[str, Any] = {"fixture": "cup", "name": "", "sport": "football", "competition": "", "start_ms": 0}
    answers = [
        world.feed(fe.FixtureChange, **fixture),
        world.image("derby/totals", over=20_000),
        world.image("derby/winner", home=20_000, away=20_000),
    ]
    assert [getattr(answer, "detail", "") for answer in answers].count(bound.split("_", maxsplit=1)[0]) == 1
    assert sum(answer is not None for answer in answers) == 1


@pytest.mark.parametrize(
    ("field", "value", "another"),
    [
        ("specifiers", {"total": "2.5"}, {"total": "3.5"}),
        ("each_way", EachWay(3, 1, 5), EachWay(4, 1, 5)),
        ("delay_ms", 5_000, 8_000),
        ("winners", 2, 3),
    ],
)
def test_the_terms_of_a_market_are_journalled_when_they_change_and_not_again(
    world: World, field: str, value: object, another: object
) -> None:
    for said in (value, another):
        before = len(world.events)
        for _ in range(2):
            assert world.image("derby/terms", message={field: said}, over=20_000, under=18_000) is None
        assert [type(event) for event in world.events[before:]] == [ev.MarketDefined]
        assert getattr(world.at("derby/terms"), field) == said
    world.check()


def test_an_outright_says_whose_it_is(world: World) -> None:
    fields: dict[str, Any] = {"fixture": "cup", "name": "cup", "sport": "football", "competition": "outrights"}
    before = len(world.events)
    for _ in range(2):
        world.feed(fe.FixtureChange, "pre", start_ms=NOON, outright_of="cup", **fields)
    assert [type(event) for event in world.events[before:]] == [ev.FixtureDefined]
    assert refused(world.place("ann", 100, HOME, OTHER)) == "LEGS_NOT_COMBINABLE"
    world.check()


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (fe.Withdrawal, {"selection": "home", "price": 21_500, "at_ms": NOON}),
        (fe.StartingPrices, {"prices": (co.NamedPrice("home", 21_500),)}),
    ],
)
def test_news_of_a_race_are_of_a_market_that_is_known_and_the_producers_own(
    world: World, kind: type[fe.FeedMessage], fields: dict[str, Any]
) -> None:
    for producer, fixture, market, reason in (
        ("live", "nowhere", "winner", "FIXTURE_UNKNOWN"),
        ("live", "derby", "corners", "MARKET_UNKNOWN"),
        ("pre", "derby", "winner", "PRICE_NOT_OURS"),
    ):
        assert refused(world.feed(kind, producer, fixture=fixture, market=market, **fields)) == reason
    assert world.feed(kind, fixture="derby", market="winner", **fields) is None
    world.run()
    world.check()


def test_one_market_that_is_passed_over_does_not_keep_the_others_from_their_results(world: World) -> None:
    bet = world.bet("ann", 1_000, OVER)
    markets = (
        fe.MarketResults("corners", (won("over"),)),
        fe.MarketResults("winner", (won("home"),)),
        fe.MarketResults("totals", (won("over"), lost("under"))),
    )
    assert refused(world.feed(fe.Settlement, fixture="derby", markets=markets)) == "MARKET_UNKNOWN"
    world.run()
    assert (bet.paid_m, world.at("derby/winner").settled) == (2_000, False)
    for what in ("results", "cancel", "withdrawals"):
        answer = world.feed(fe.Rollback, fixture="derby", markets=("corners", "winner", "totals"), what=what)
        assert refused(answer) == "MARKET_UNKNOWN"
    world.run()
    assert bet.paid_m == 0
    world.check()
