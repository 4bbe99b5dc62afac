"""Settlement by score: which markets it decides, in slices, corrected, by the desk and by feeds (RULEBOOK 5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from core.grading.scores import FootballScore, RaceScore, Score, TennisScore
from core.messages import commands as co
from core.messages import events as ev
from core.messages import feed as fe
from core.messages.answers import Done
from core.messages.events import BetStatus
from core.messages.results import EachWay, Result
from tests.core.world import World, refused, won

OPEN, WON, LOST, VOID, _ = BetStatus
TWO_ONE = FootballScore((2, 1))
ONE_ONE = FootballScore((1, 1))

# Market, its specifiers, and what is backed there, all at 2.0.
FOOTBALL: tuple[tuple[str, str, dict[str, str], str], ...] = (
    ("result", "match_result", {}, "1 x 2"),
    ("chance", "double_chance", {}, "1x 12 x2"),
    ("no_bet", "draw_no_bet", {}, "1 2"),
    ("asian", "asian_handicap", {"line": "-0.75"}, "1 2"),
    ("totals", "total_goals", {"line": "2.25"}, "over under"),
    ("both", "both_teams_to_score", {}, "yes no"),
    ("score", "correct_score", {}, "2-1 1-1 other"),
    ("margin", "winning_margin", {}, "1:1 1:2+ x"),
)


def match(fixture: str = "match", **changed: int) -> World:
    """Ann has 1 000.00; a match with markets of many kinds."""
    world = World(**changed)
    world.customer("ann", 100_000)
    for market, market_type, specifiers, names in FOOTBALL:
        prices = dict.fromkeys(names.split(), 20_000)
        world.defined(f"{fixture}/{market}", prices, market_type=market_type, specifiers=specifiers)
    return world


def score(world: World, told: Score, fixture: str = "match", *, due: bool = False) -> None:
    """The desk tells a score."""
    world.done(co.SettleFixture, fixture=fixture, score=told)
    if not due:
        world.run()
        world.check()


def back_everything(world: World) -> None:
    """A bet of 10.00 on each selection; its id is "market/selection"."""
    for market, _, _, names in FOOTBALL:
        for name in names.split():
            world.bet("ann", 1_000, (f"match/{market}", name, 20_000), id=f"{market}/{name}")


def paid(world: World) -> dict[str, int]:
    """What was paid for the bets that got something."""
    return {bet.id: bet.paid_m for bet in world.book.bets.values() if bet.paid_m}


def scored(events: Sequence[ev.Event]) -> list[int]:
    return [event.markets for event in events if isinstance(event, ev.ScoringAdvanced)]


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (
            TWO_ONE,
            {
                "result/1": 2_000,
                "chance/1x": 2_000,
                "chance/12": 2_000,
                "no_bet/1": 2_000,
                "asian/1": 1_500,  # wins by one, gives three quarters: half won
                "asian/2": 500,  # half lost
                "totals/over": 2_000,
                "both/yes": 2_000,
                "score/2-1": 2_000,
                "margin/1:1": 2_000,
            },
        ),
        (
            ONE_ONE,
            {
                "result/x": 2_000,
                "chance/1x": 2_000,
                "chance/x2": 2_000,
                "no_bet/1": 1_000,
                "no_bet/2": 1_000,
                "asian/2": 2_000,
                "totals/over": 500,  # two goals against two and a quarter: half lost
                "totals/under": 1_500,
                "both/yes": 2_000,
                "score/1-1": 2_000,
                "margin/x": 2_000,
            },
        ),
    ],
)
def test_a_score_settles_every_market_that_hangs_on_it(told: FootballScore, expected: dict[str, int]) -> None:
    world = match()
    back_everything(world)
    score(world, told)
    assert paid(world) == expected
    assert OPEN not in {bet.status for bet in world.book.bets.values()}


def test_another_score_is_a_correction() -> None:
    world = match()
    back_everything(world)
    straight = match()
    back_everything(straight)
    score(world, TWO_ONE)
    score(world, ONE_ONE)
    score(straight, ONE_ONE)
    assert paid(world) == paid(straight)
    assert world.cash("ann") == straight.cash("ann")
    assert {bet.id: bet.status for bet in world.book.bets.values()} == {
        bet.id: bet.status for bet in straight.book.bets.values()
    }


def test_markets_that_the_score_does_not_decide_or_nobody_can_grade_are_left_open() -> None:
    world = match()
    world.defined("match/half", {"1": 20_000}, market_type="match_result", specifiers={"period": "1"})
    world.market("match/corners", over=20_000, under=20_000)
    world.defined("match/other", {"3": 20_000}, market_type="match_result")
    world.defined("match/set", {"1": 20_000, "2": 20_000}, market_type="match_winner")
    score(world, TWO_ONE)
    assert [market.id for market in world.book.markets() if not market.settled] == ["half", "corners", "other", "set"]
    score(world, FootballScore((2, 1), ((1, 0),)))
    assert [market.id for market in world.book.markets() if not market.settled] == ["corners", "other", "set"]


def test_a_score_that_decides_nothing_yet_settles_nothing() -> None:
    world = match()
    world.defined("match/half", {"1": 20_000, "x": 20_000}, market_type="match_result", specifiers={"period": "1"})
    score(world, FootballScore(None, ((1, 0),)))
    assert [market.id for market in world.book.markets() if market.settled] == ["half"]


def test_a_score_that_decides_less_takes_no_results_back() -> None:
    world = match()
    back_everything(world)
    score(world, TWO_ONE)
    score(world, FootballScore(None, ((1, 0),)))
    assert paid(world)["result/1"] == 2_000


def test_a_cancel_goes_before_a_score() -> None:
    world = match()
    back_everything(world)
    world.cancel("match/result")
    score(world, TWO_ONE)
    assert {world.book.bets[f"result/{side}"].status for side in "1x2"} == {VOID}


def test_a_tennis_match_is_settled_by_its_sets() -> None:
    world = World()
    world.customer("ann", 10_000)
    world.defined("final/winner", {"1": 20_000, "2": 20_000}, market_type="match_winner")
    world.defined("final/sets", {"2-0": 20_000, "2-1": 20_000, "1-2": 20_000, "0-2": 20_000}, market_type="set_betting")
    bets = [
        world.bet("ann", 1_000, ("final/winner", "1", 20_000)),
        world.bet("ann", 1_000, ("final/sets", "2-1", 20_000)),
    ]
    score(world, TennisScore(((6, 4), (3, 6), (7, 5))), "final")
    assert [bet.paid_m for bet in bets] == [2_000, 2_000]


# Races: the score has the positions that place parts are settled by.


def race(terms: EachWay | None = None) -> World:
    world = World()
    world.customer("ann", 10_000)
    prices = dict.fromkeys("abcdefgh", 50_000)
    world.fixture("derby", sport="racing")
    world.defined("derby/win", prices, market_type="win", each_way=terms or EachWay())
    for name in "abcd":
        world.bet("ann", 1_000, ("derby/win", name, 50_000), each_way=True, id=name)
    return world


def test_a_finish_settles_win_and_place_parts() -> None:
    world = race()
    score(world, RaceScore((("a",), ("b", "c"), ("d",)), not_finished=tuple("efg"), withdrawn=("h",)), "derby")
    # 5.00 at 5 and at 1.8; two share the second and third place of three.
    assert [world.book.bets[name].paid_m for name in "abcd"] == [3_400, 900, 900, 0]


def test_an_each_way_market_waits_until_the_places_are_known() -> None:
    """Who came in behind the winner may be placed."""
    world = race()
    score(world, RaceScore((("a",),), behind=tuple("bcdefgh")), "derby")
    assert not world.at("derby/win").settled
    score(world, RaceScore((("a",), ("c",), ("b",)), behind=tuple("defgh")), "derby")
    assert [world.book.bets[name].paid_m for name in "abcd"] == [3_400, 900, 900, 0]


def test_so_does_one_that_pays_more_places_than_usual() -> None:
    world = race(EachWay(4, 1, 5))
    score(world, RaceScore((("a",), ("c",), ("b",)), behind=tuple("defgh")), "derby")
    assert not world.at("derby/win").settled
    score(world, RaceScore((("a",), ("c",), ("b",), ("d",)), behind=tuple("efgh")), "derby")
    assert [world.book.bets[name].paid_m for name in "abcd"] == [3_400, 900, 900, 900]


@pytest.mark.parametrize("terms", [EachWay(3, 1, 5), None])
def test_and_one_that_paid_more_places_when_bets_were_taken(terms: EachWay | None) -> None:
    world = race(EachWay(4, 1, 5))
    world.defined("derby/win", dict.fromkeys("abcdefgh", 50_000), market_type="win", each_way=terms)
    score(world, RaceScore((("a",), ("c",), ("b",)), behind=tuple("defgh")), "derby")
    assert not world.at("derby/win").settled
    score(world, RaceScore((("a",), ("c",), ("b",), ("d",)), behind=tuple("efgh")), "derby")
    assert [world.book.bets[name].paid_m for name in "abcd"] == [3_400, 900, 900, 900]


# Told again.


def test_the_same_score_while_it_is_being_graded_is_nothing_new() -> None:
    world = match()
    back_everything(world)
    score(world, TWO_ONE, due=True)
    assert refused(world.command(co.SettleFixture, fixture="match", score=TWO_ONE)) == "NOTHING_TO_CHANGE"
    world.run()
    before = len(world.events)
    score(world, TWO_ONE)
    assert [type(event) for event in world.events[before:]] == [ev.FixtureScored, ev.ScoringAdvanced]


def test_a_market_that_was_rolled_back_gets_its_results_from_the_same_score() -> None:
    world = match()
    back_everything(world)
    score(world, TWO_ONE)
    world.roll_back("match/result")
    assert world.book.bets["result/1"].status == OPEN
    score(world, TWO_ONE)
    assert paid(world)["result/1"] == 2_000


def test_results_by_hand_and_by_score_correct_each_other() -> None:
    world = match()
    back_everything(world)
    score(world, TWO_ONE)
    world.settle("match/result", won("x"))
    assert "result/1" not in paid(world)
    score(world, TWO_ONE)
    assert paid(world)["result/1"] == 2_000
    assert "result/x" not in paid(world)


def test_an_unknown_fixture_has_no_score() -> None:
    world = match()
    assert refused(world.command(co.SettleFixture, fixture="nowhere", score=TWO_ONE)) == "FIXTURE_UNKNOWN"


# Slices.


def programme(markets: int, *, backed: bool = True, **changed: int) -> World:
    """A match with so many totals; over of each is backed, unless nothing is."""
    world = World(velocity_bets_max=1_000, **changed)
    world.customer("ann", 1_000_000)
    for number in range(markets):
        prices = {"over": 20_000, "under": 20_000}
        path = f"match/t{number:03}"
        world.defined(path, prices, market_type="total_goals", specifiers={"line": f"{number % 5}.5"})
        if backed:
            world.bet("ann", 100, (path, "over", 20_000), id=path)
    return world


def test_a_fixture_of_many_markets_is_graded_in_slices_and_others_bet_meanwhile() -> None:
    world = programme(120)
    world.market("final/winner", red=20_000)
    score(world, TWO_ONE, due=True)
    graded = []
    while events := world.tick():
        graded += scored(events)
        assert len(events) <= 51 + 2  # a slice of markets, and of one market's bets
        world.bet("ann", 100, ("final/winner", "red", 20_000))
    assert graded == [50, 50, 20]
    world.check()
    # Three goals are over 0.5, 1.5 and 2.5: three markets of five.
    assert sum(status == WON for status in (bet.status for bet in world.book.bets.values())) == 72


@pytest.mark.parametrize("say", [co.SettleMarket, co.RollBackMarket, co.SettleFixture])
def test_what_is_said_after_a_score_does_not_wait_for_its_grading(say: type[co.DeskCommand]) -> None:
    """It graded the rest of the fixture first, in one turn."""
    world = programme(120, backed=False)
    score(world, TWO_ONE, due=True)
    before = len(world.events)
    results = Result("over", 0), Result("under", 1)
    fields: dict[type[co.DeskCommand], dict[str, Any]] = {
        co.SettleMarket: {"market": "t110", "results": results},
        co.RollBackMarket: {"market": "t110", "what": "results", "reason": ""},
        co.SettleFixture: {"score": ONE_ONE},
    }
    world.done(say, fixture="match", **fields[say])
    assert len(world.events) == before + 1
    world.run()
    last = {
        co.SettleMarket: Result("over", 0),
        co.RollBackMarket: None,
        co.SettleFixture: Result("over", 1),
    }
    assert world.at("match/t110").selections["over"].result == last[say]
    world.check()


def test_a_market_that_is_defined_after_a_score_is_not_graded_by_it_however_soon() -> None:
    world = match()
    score(world, TWO_ONE, due=True)
    late = world.defined("match/late", {"1": 20_000, "x": 20_000, "2": 20_000}, market_type="match_result")
    world.run()
    assert world.at("match/result").settled
    assert not late.settled
    world.check()
    score(world, ONE_ONE)
    assert late.settled


def test_another_score_amid_the_slices_begins_again() -> None:
    world = programme(120)
    score(world, FootballScore((0, 0)), due=True)
    world.tick()
    world.check()
    score(world, FootballScore((5, 0)))
    assert {bet.status for bet in world.book.bets.values()} == {WON}


@pytest.mark.parametrize("ticks", range(6))
def test_a_crash_between_slices_ends_in_the_same_money(ticks: int) -> None:
    world = programme(120)
    straight = programme(120)
    for each in (world, straight):
        score(each, TWO_ONE, due=True)
    for _ in range(ticks):
        world.tick()
    world.check()
    world.restart()
    world.run()
    straight.run()
    world.check()
    assert world.cash("ann") == straight.cash("ann") == 1_000_000 - 12_000 + 72 * 200


@pytest.mark.parametrize("kept", range(1, 60, 7))
def test_a_slice_of_which_only_the_beginning_was_stored_is_graded_again(kept: int) -> None:
    world = programme(60)
    score(world, TWO_ONE, due=True)
    before = len(world.events)
    world.tick()
    del world.events[before + kept :]
    world.restart()
    world.run()
    world.check()
    assert world.cash("ann") == 1_000_000 - 6_000 + 36 * 200


def test_a_fixture_that_is_being_graded_is_not_forgotten() -> None:
    world = programme(120, backed=False)
    score(world, TWO_ONE)
    world.wait(86_400_000)
    score(world, ONE_ONE, due=True)
    for _ in range(2):
        assert not any(isinstance(event, ev.MarketArchived) for event in world.tick())
    assert world.book.scoring
    world.run()
    # Three goals are over 2.5, two are not: those markets have closed anew, the others are forgotten.
    assert len(world.book.fixtures["match"].markets) == 24
    world.check()
    world.wait(86_400_000)
    world.run()
    assert not world.book.fixtures
    world.check()


# Feeds.

TOTALS: dict[str, Any] = {"market_type": "total_goals", "specifiers": {"line": "2.5"}}
RESULT: dict[str, Any] = {"market_type": "match_result"}
UP = ("match/totals", "over", 20_000)
HOME = ("match/result", "1", 20_000)


def fed(**changed: int | bool) -> World:
    """Producer `live` has 60 totals, `pre` the result; the desk has corners."""
    world = World(**changed)
    world.customer("ann", 100_000)
    world.fed_market("match/totals", message=TOTALS, over=20_000, under=20_000)
    for number in range(60):
        world.image(f"match/t{number}", message=TOTALS, over=20_000, under=20_000)
    world.fed_market("match/result", "pre", message=RESULT, **{"1": 20_000, "x": 20_000, "2": 20_000})
    world.defined("match/both", {"yes": 20_000, "no": 20_000}, market_type="both_teams_to_score")
    return world


def told(world: World, producer: str = "live", score: Score = TWO_ONE, **fields: Any) -> Any:
    return world.feed(fe.FixtureScore, producer, fixture="match", score=score, **fields)


def test_a_feeds_score_settles_its_own_markets() -> None:
    world = fed()
    bets = [world.bet("ann", 1_000, UP), world.bet("ann", 1_000, HOME)]
    assert told(world) is None
    world.run()
    assert [bet.status for bet in bets] == [WON, OPEN]
    assert [market.id for market in world.book.markets() if not market.settled] == ["result", "both"]
    told(world, "pre")
    world.run()
    assert [bet.status for bet in bets] == [WON, WON]
    world.check()


def test_the_desks_score_settles_whose_ever() -> None:
    world = fed()
    score(world, TWO_ONE)
    assert all(market.settled for market in world.book.markets())


@pytest.mark.parametrize("later", ["pre", "live"])
def test_the_scores_of_two_producers_do_not_undo_each_other(later: str) -> None:
    """The second took the place of the first, whose other markets were never graded."""
    world = fed()
    told(world, "live" if later == "pre" else "pre")
    told(world, later)
    world.run()
    assert [market.id for market in world.book.markets() if not market.settled] == ["both"]
    world.check()


@pytest.mark.parametrize("ticks", [0, 1])
def test_nor_does_a_feeds_score_end_what_the_desks_has_begun(ticks: int) -> None:
    world = fed()
    score(world, TWO_ONE, due=True)
    for _ in range(ticks):
        world.tick()
    told(world, "pre", ONE_ONE)
    world.run()
    assert all(market.settled for market in world.book.markets())
    assert world.at("match/result").selections["x"].result == Result("x", 1)
    assert world.at("match/totals").selections["over"].result == Result("over", 1)
    world.check()


@pytest.mark.parametrize("ticks", [0, 1])
@pytest.mark.parametrize("market", ["totals", "t58"])
def test_what_a_feed_says_after_a_score_holds_wherever_the_grading_stands(market: str, ticks: int) -> None:
    world = fed()
    told(world)
    for _ in range(ticks):
        world.tick()
    world.feed(fe.Rollback, fixture="match", markets=(market,), what="results")
    world.run()
    assert [each.id for each in world.book.markets() if not each.settled] == [market, "result", "both"]
    told(world)
    results = (Result("over", 0), Result("under", 1))
    world.feed(fe.Settlement, fixture="match", markets=(fe.MarketResults(market, results),))
    world.run()
    assert world.at(f"match/{market}").selections["under"].result == Result("under", 1)
    world.check()


def test_a_feed_corrects_its_score() -> None:
    world = fed()
    bet = world.bet("ann", 1_000, UP)
    told(world)
    assert refused(told(world)) == "NOTHING_TO_CHANGE"
    told(world, score=ONE_ONE)
    world.run()
    assert bet.status == LOST
    assert refused(world.feed(fe.FixtureScore, fixture="nowhere", score=TWO_ONE)) == "FIXTURE_UNKNOWN"
    world.check()


@pytest.mark.parametrize(("settle_provisional", "status"), [(False, OPEN), (True, WON)])
def test_a_provisional_score_settles_only_where_the_operator_wants_it(
    settle_provisional: bool,  # noqa: FBT001  (a case)
    status: BetStatus,
) -> None:
    world = fed(settle_provisional=settle_provisional)
    bet = world.bet("ann", 1_000, UP)
    told(world, certainty=1)
    world.run()
    assert bet.status == status
    told(world, certainty=2)
    world.run()
    assert bet.status == WON
    world.check()


def test_a_score_is_answered_once() -> None:
    world = match()
    command = co.SettleFixture("s1", world.now + 1_000, "trader", "match", TWO_ONE)
    first = world.send(command)
    assert isinstance(first, Done)
    world.run()
    before = len(world.events)
    assert world.send(command) == first
    assert len(world.events) == before
    world.check()
