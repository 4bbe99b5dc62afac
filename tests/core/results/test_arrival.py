"""Order of arrival has no influence: the same knowledge ends in the same money, however it came (RULEBOOK 5).

What is known of a fixture is the last word on each of its subjects: a market's results, its cancels, its withdrawals,
its starting prices. So a subject's messages have an order among themselves, and none with those of other subjects.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from random import Random
from typing import Any

import pytest

from core import snapshot
from core.grading.scores import FootballScore
from core.messages import commands as co
from core.messages import events as ev
from core.messages import feed as fe
from core.messages.answers import Done
from core.messages.commands import NamedPrice
from core.messages.events import BetStatus
from core.messages.results import EachWay, Result
from core.results import scoring
from tests.core.reference import Bet, Leg, Market, Reference, usual_terms
from tests.core.world import NOON, World, leg, lost, refused, void, won

Step = Callable[[World], Any]
RACE = {"a": 25_000, "b": 40_000, "c": 60_000, "d": 80_000, "e": 110_000, "f": 210_000}
RESULT, GOALS, BUILT, RUN = "match/result", "match/goals", "match/both", "match/run"
ONE, OVER, BOTH = (RESULT, "1", 21_000), (GOALS, "over", 18_500), (BUILT, "yes", 34_000)
DRAW = (RESULT, "x", 33_000)
RED, BLUE = ("final/winner", "red", 30_000), ("cup/winner", "blue", 17_000)
FIRST, SECOND, THIRD = ((RUN, name, RACE[name]) for name in "abc")
STRUCK = (0, 100, 200)
"""When bets were struck, after noon: before, in and after the window of the cancel."""


def bets() -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    """Legs and what else is said of a bet."""
    return [
        ((ONE,), {}),
        ((OVER,), {"free_bet": "token"}),
        ((BOTH,), {}),
        ((DRAW,), {}),
        ((FIRST,), {"each_way": True}),
        ((SECOND,), {"each_way": True, "starting_price": True}),
        ((THIRD,), {"starting_price": True}),
        ((ONE, RED), {}),
        ((OVER, RED, BLUE), {}),
        ((ONE, OVER, RED), {"folds": (1, 2)}),
        ((SECOND, FIRST, RED, BLUE), {"folds": (2, 3)}),
        ((BOTH, THIRD, RED), {"folds": (1,)}),
    ]


def stage() -> World:
    world = World(slice_max=2)
    world.customer("ann", 10**9)
    world.defined(RESULT, {"1": 21_000, "x": 33_000, "2": 36_000}, market_type="match_result")
    world.defined(GOALS, {"over": 18_500, "under": 20_500}, market_type="total_goals", specifiers={"line": "2.75"})
    world.defined(BUILT, {"yes": 34_000}, parts=(("result", "1"), ("goals", "over")))
    world.defined(RUN, RACE, each_way=EachWay(), starting_price=True)
    world.market("final/winner", red=30_000, white=14_000)
    world.market("cup/winner", blue=17_000, green=22_000)
    for struck in STRUCK:
        for number, (legs, fields) in enumerate(bets()):
            name, more = f"{number}-{struck}", dict(fields)
            starting = more.pop("starting_price", False)
            if "free_bet" in more:
                more["free_bet"] = f"token-{name}"
                world.done(
                    co.GrantFreeBet, customer="ann", token=f"token-{name}", stake_m=10_007, ends_ms=world.now + 10**9
                )
            asked = tuple(leg(*each, starting_price=starting) for each in legs)
            placed = world.command(co.PlaceBet, customer="ann", stake_m=10_007, legs=asked, id=name, **more)
            assert getattr(placed, "stake_m", 0) == 10_007, placed
        world.wait(100)
    return world


def told(path: str, *results: Result) -> Step:
    return lambda world: world.results(path, *results)


def desk(kind: type[co.DeskCommand], path: str, **fields: Any) -> Step:
    return lambda world: world.desk(kind, path, **fields)


def scored(home: int, away: int) -> Step:
    return lambda world: world.done(co.SettleFixture, fixture="match", score=FootballScore((home, away)))


def rolled_back(path: str, what: str) -> Step:
    return desk(co.RollBackMarket, path, what=what, reason="")


def withdrawn(selection: str, price: int, at_ms: int) -> Step:
    return desk(co.WithdrawSelection, RUN, selection=selection, price=price, at_ms=NOON + at_ms)


def started(**prices: int) -> Step:
    return desk(co.SetStartingPrices, RUN, prices=tuple(NamedPrice(*each) for each in prices.items()))


def cancelled(path: str, from_ms: int, to_ms: int) -> Step:
    return desk(co.CancelMarket, path, reason="", from_ms=from_ms, to_ms=to_ms)


PLACED = {"a": 2, "b": 2, "c": 1, "d": 0, "e": 4, "f": 5}
"""c won; a and b shared the second place, the last that is paid; d did not run."""
FINISH = tuple(Result(name, int(place == 1), 0, 1, 1, place) for name, place in PLACED.items())  # type: ignore[arg-type]
ANOTHER = tuple(Result(name, int(place == 1), 0, 1, 1, place) for place, name in enumerate(PLACED, start=1))  # type: ignore[arg-type]

SUBJECTS: dict[str, list[list[Step]]] = {
    # Three goals to none: the home team won; over 2.75 is half won.
    "score": [
        [scored(3, 0)],
        [scored(0, 2), scored(3, 0)],
        [told(RESULT, won("x")), told(GOALS, void("over"), won("under")), scored(3, 0)],
        [scored(3, 0), rolled_back(RESULT, "results"), scored(3, 0)],
        [scored(1, 1), told(RESULT, won("1")), told(GOALS, Result("over", 1, 5_000), Result("under", 0, 5_000))],
        [scored(3, 3), rolled_back(GOALS, "results"), rolled_back(RESULT, "results"), scored(3, 0)],
    ],
    "finish": [
        [told(RUN, *FINISH)],
        [told(RUN, *ANOTHER), told(RUN, *FINISH)],
        [told(RUN, *ANOTHER), rolled_back(RUN, "results"), told(RUN, *FINISH)],
    ],
    "cancels of the result": [
        [cancelled(RESULT, NOON + 100, NOON + 200)],
        [cancelled(RESULT, 0, 0), rolled_back(RESULT, "cancel"), cancelled(RESULT, NOON + 100, NOON + 200)],
        [cancelled(RESULT, NOON + 100, NOON + 150), cancelled(RESULT, NOON + 100, NOON + 200)],
    ],
    "cancels of the bet builder": [
        [],
        [cancelled(BUILT, 0, 0), rolled_back(BUILT, "cancel")],
    ],
    "withdrawals": [
        [withdrawn("d", 30_000, 150)],
        [withdrawn("d", 50_000, 50), withdrawn("d", 30_000, 150)],
        [withdrawn("a", 25_000, 250), rolled_back(RUN, "withdrawals"), withdrawn("d", 30_000, 150)],
    ],
    "starting prices": [
        [started(a=20_000, b=45_000, c=70_000)],
        [started(c=90_000, b=15_000), started(c=70_000, a=20_000), started(b=45_000)],
    ],
    "final": [
        [told("final/winner", won("red"))],
        [told("final/winner", lost("red"), won("white")), told("final/winner", won("red"))],
    ],
    "a palpable error": [
        [
            lambda world: world.done(co.VoidBet, bet="0-200", reason=""),
            lambda world: world.done(co.VoidBet, bet="9-0", leg=1, reason=""),
        ],
    ],
}


def expected() -> dict[str, tuple[str, int, int]]:
    """What the reference makes of the last words."""
    known = Reference()
    results = {
        "match/result": (won("1"), lost("x"), lost("2")),
        "match/goals": (Result("over", 1, 5_000), Result("under", 0, 5_000)),
        "match/run": FINISH,
        "match/both": (),
        "final/winner": (won("red"), lost("white")),
        "cup/winner": (),
    }
    for path, given in results.items():
        fixture, market = path.split("/")
        known.markets[fixture, market] = Market({result.selection: result for result in given})
    known.markets["match", "result"].cancels = [(NOON + 100, NOON + 200)]
    known.markets["match", "run"].withdrawn = {"d": (NOON + 150, 30_000)}
    known.markets["match", "run"].starting_prices = {"a": 20_000, "b": 45_000, "c": 70_000}
    known.markets["match", "both"].parts = ((("match", "result"), "1"), (("match", "goals"), "over"))
    outcomes = {}
    for struck in STRUCK:
        for number, (legs, fields) in enumerate(bets()):
            terms = usual_terms(len(RACE), handicap=False)
            asked = []
            for path, selection, price in legs:
                fixture, market = path.split("/")
                starting = fields.get("starting_price", False)
                asked.append(Leg((fixture, market), selection, price, starting_price=starting, place=terms))
            bet = Bet(asked, 10_007, NOON + struck, "", fields.get("folds", ()), fields.get("each_way", False))
            bet.free = "free_bet" in fields
            name = f"{number}-{struck}"
            bet.voided = name == "0-200"
            if name == "9-0":
                bet.legs[1].voided = True
            outcomes[name] = known.outcome(bet)
    return outcomes


EXPECTED = expected()


def money(world: World) -> dict[str, Any]:
    """All that money or liability is made of."""
    book = world.book
    return {
        **{bet.id: [(each.running_m, each.place_running_m) for each in bet.legs] for bet in book.bets.values()},
        "cash": world.cash("ann"),
        "open stakes": world.of("ann").open_stakes_m,
        "house": dict(sorted(book.house.items())),
        "liability": (book.liability_m, world.of("ann").liability_m),
        "markets": [(market.id, market.liability_m, market.settled, market.cancels[-1:]) for market in book.markets()],
    }


def arrive(steps: list[Step], ticks: Callable[[], int]) -> World:
    """A stage on which that is said, so many slices of work after each; nothing of it is refused."""
    world = stage()
    for step in steps:
        answer = step(world)
        assert answer is None or isinstance(answer, Done), answer
        for _ in range(ticks()):
            world.tick()
    world.run()
    found = {bet.id: (BetStatus(bet.status).name.lower(), bet.paid_m, bet.capped_m) for bet in world.book.bets.values()}
    assert found == EXPECTED
    return world


def plainly() -> World:
    return arrive([step for ways in SUBJECTS.values() for step in ways[0]], lambda: 0)


def test_the_stage_has_bets_of_every_end() -> None:
    world = plainly()
    world.check()
    ends = {status for status, _, _ in EXPECTED.values()}
    assert ends == {"open", "won", "lost", "void"}


SINGLE_WORDS = {
    "score": 0,
    "finish": 1,
    "cancels of the result": 0,
    "withdrawals": 0,
    "starting prices": 0,
}
"""Of each subject one way to its last word; the finish is corrected."""


@pytest.mark.parametrize("ticks", [0, 1], ids=["slices at the end", "a slice each"])
def test_every_permutation_of_a_fixtures_messages_ends_in_the_same_money(ticks: int) -> None:
    end = money(plainly())
    steps = [(subject, step) for subject, way in SINGLE_WORDS.items() for step in SUBJECTS[subject][way]]
    rest = [step for subject in SUBJECTS if subject not in SINGLE_WORDS for step in SUBJECTS[subject][0]]
    for order in permutations(range(len(steps))):
        # The finish and its correction have an order among themselves.
        if order.index(1) < order.index(2):
            world = arrive([*(steps[number][1] for number in order), *rest], lambda: ticks)
            assert money(world) == end, order


def interleaved(random: Random) -> list[Step]:
    """For each subject some way to its last word, and some order between them."""
    left = [list(random.choice(ways)) for ways in SUBJECTS.values()]
    steps = []
    while left := [words for words in left if words]:
        steps.append(random.choice(left).pop(0))
    return steps


@pytest.mark.parametrize("seed", range(8))
def test_detours_of_every_subject_in_any_order_end_in_the_same_money(seed: int) -> None:
    random, end = Random(seed), money(plainly())
    world = plainly()
    for number in range(40):
        world = arrive(interleaved(random), lambda: random.choice((0, 0, 1, 2, 100)))
        assert money(world) == end, f"seed {seed}, number {number}"
    world.check()


@pytest.mark.parametrize("ticks", [0, 1])
def test_what_the_desk_says_after_a_score_holds_wherever_the_grading_stands(ticks: int) -> None:
    world = stage()
    scored(1, 1)(world)
    for _ in range(ticks):
        world.tick()
    told(RESULT, won("2"))(world)
    rolled_back(GOALS, "results")(world)
    world.run()
    assert world.at(RESULT).selections["2"].result == won("2")
    assert not world.at(GOALS).settled
    world.check()


# A feed's words, provisional and confirmed, with their time stamps.

LIVE = ("result", "goals")


def fed_stage() -> World:
    """Two markets of one producer that a score decides, with bets on each side."""
    world = World(settle_provisional=True)
    world.customer("ann", 10**6)
    result, goals = ({"market_type": kind} for kind in ("match_result", "total_goals"))
    world.fed_market("match/result", message=result, **{"1": 30_000, "x": 30_000, "2": 30_000})
    world.image("match/goals", message={**goals, "specifiers": {"line": "2.5"}}, over=20_000, under=20_000)
    for market, name, price in (("result", "1", 30_000), ("result", "x", 30_000), ("goals", "under", 20_000)):
        world.bet("ann", 1_000, (f"match/{market}", name, price), id=name)
    world.wait(1_000)
    return world


def by_feed(kind: type[fe.FeedMessage], at_ms: int, /, **fields: Any) -> Step:
    return lambda world: world.feed(kind, ts_ms=NOON + at_ms, fixture="match", **fields)


def result(winner: str, at_ms: int, certainty: int = 2) -> Step:
    results = tuple(Result(name, int(name == winner)) for name in ("1", "x", "2"))  # type: ignore[arg-type]
    return by_feed(fe.Settlement, at_ms, markets=(fe.MarketResults("result", results),), certainty=certainty)


def score(home: int, away: int | None, at_ms: int, certainty: int = 2) -> Step:
    told = FootballScore(None, ((home, 0),)) if away is None else FootballScore((home, away))
    return by_feed(fe.FixtureScore, at_ms, score=told, certainty=certainty)


def back(what: str, at_ms: int) -> Step:
    return by_feed(fe.Rollback, at_ms, markets=("result",), what=what)


def window(from_ms: int, to_ms: int, at_ms: int) -> Step:
    return by_feed(fe.Cancel, at_ms, markets=("result",), from_ms=NOON + from_ms, to_ms=NOON + to_ms)


WORDS: dict[str, tuple[list[Step], str, list[tuple[int, int]]]] = {
    "no provisional result stands above a confirmed one": (
        [result("1", 10, 1), result("2", 20), result("x", 30, 1), result("1", 40, 1)],
        "2",
        [],
    ),
    "an older result does not undo a newer one": (
        [result("1", 10, 1), result("x", 20, 1), result("2", 30), result("1", 40)],
        "1",
        [],
    ),
    "what was said twice, and otherwise between": ([result("1", 10), result("2", 20), result("1", 30)], "1", []),
    "the same, provisional, then confirmed": ([result("1", 10, 1), result("1", 20), result("2", 30, 1)], "1", []),
    "a provisional result after the confirmed one was taken back": (
        [result("2", 10), back("results", 20), result("x", 30, 1), result("1", 40, 1)],
        "1",
        [],
    ),
    "all of it taken back": (
        [result("1", 10, 1), back("results", 20), result("2", 30), back("results", 40)],
        "",
        [],
    ),
    "scores and results": (
        [score(1, 0, 10, 1), score(0, 0, 20), result("2", 30, 1), back("results", 40), score(2, 0, 50, 1)],
        "1 under",
        [],
    ),
    "a score that decides less takes nothing back": ([score(0, 3, 10), score(0, None, 20)], "2 over", []),
    "a confirmed score and a newer provisional one": ([score(1, 1, 10), score(3, 1, 20, 1)], "x under", []),
    "cancels": (
        [window(0, 1, 10), back("cancel", 20), window(0, 2, 30), window(0, 1, 40)],
        "",
        [(0, 1), (0, 2)],
    ),
    "cancels and results": (
        [window(0, 1, 10), result("1", 20, 1), window(0, 1, 30), back("cancel", 25), result("x", 40)],
        "x",
        [(0, 1)],
    ),
}


@pytest.mark.parametrize("ticks", [0, 1, 100])
@pytest.mark.parametrize("rule", WORDS)
def test_a_feeds_words_stand_by_their_time_and_certainty_in_whatever_order_they_come(rule: str, ticks: int) -> None:
    steps, winners, cancels = WORDS[rule]
    moneys = []
    for order in permutations(steps):
        world = fed_stage()
        for step in order:
            step(world)
            for _ in range(ticks):
                world.tick()
        world.run()
        markets = [world.at(f"match/{name}") for name in LIVE]
        found = [each.id for market in markets for each in market.selections.values() if each.result == won(each.id)]
        assert " ".join(found) == winners
        assert [market.settled for market in markets] == [
            bool({"1", "x", "2"} & set(winners.split())),
            bool({"over", "under"} & set(winners.split())),
        ]
        known = sorted((from_ms - NOON, to_ms - NOON) for from_ms, to_ms in markets[0].cancels)
        assert known == cancels
        moneys.append({bet.id: (bet.status, bet.paid_m) for bet in world.book.bets.values()})
        if order[0] is steps[-1]:
            world.check()
    assert all(each == moneys[0] for each in moneys)


def out(selection: str, price: int, at_ms: int) -> Step:
    """A feed's word that a runner was withdrawn, after the bets were struck."""
    return by_feed(fe.Withdrawal, at_ms, market="result", selection=selection, price=price, at_ms=NOON + 500)


def off(at_ms: int, **prices: int) -> Step:
    """Starting prices, `s1` of selection 1."""
    named = tuple(NamedPrice(name[1:], price) for name, price in prices.items())
    return by_feed(fe.StartingPrices, at_ms, market="result", prices=named)


RUNNERS: dict[str, tuple[list[Step], dict[str, int], dict[str, int]]] = {
    "an older withdrawal does not undo a newer one": (
        [out("x", 30_000, 10), out("x", 50_000, 20), out("x", 140_000, 30), out("2", 30_000, 15)],
        {"x": 5, "2": 30},
        {},
    ),
    "one withdrawal taken back, another newer than that": (
        [out("x", 30_000, 10), back("withdrawals", 20), out("2", 50_000, 30)],
        {"2": 20},
        {},
    ),
    "withdrawn, taken back, withdrawn, taken back": (
        [out("x", 30_000, 10), back("withdrawals", 20), out("x", 50_000, 30), back("withdrawals", 40)],
        {},
        {},
    ),
    "said again after it was taken back": (
        [out("x", 30_000, 10), back("withdrawals", 20), out("x", 30_000, 30), out("2", 50_000, 15)],
        {"x": 30},
        {},
    ),
    "starting prices": (
        [off(10, s1=20_000, sx=90_000), off(20, sx=40_000), off(30, s1=25_000), off(25, s1=90_000, s2=70_000)],
        {},
        {"1": 25_000, "x": 40_000, "2": 70_000},
    ),
    "a starting price said twice, and another between": (
        [off(10, s1=20_000), off(20, s1=35_000), off(30, s1=20_000)],
        {},
        {"1": 20_000},
    ),
    "results, withdrawals and starting prices": (
        [off(10, s1=20_000), out("x", 30_000, 20), result("1", 15), back("withdrawals", 12), off(5, s1=50_000)],
        {"x": 30},
        {"1": 20_000},
    ),
}
"""Words; how much per cent each withdrawal takes; starting prices."""


@pytest.mark.parametrize("rule", RUNNERS)
def test_a_feeds_words_on_runners_stand_by_their_time_in_whatever_order_they_come(rule: str) -> None:
    steps, deductions, prices = RUNNERS[rule]
    moneys = []
    for order in permutations(steps):
        world = fed_stage()
        starting = leg("match/result", "1", 30_000, starting_price=True)
        world.command(co.PlaceBet, customer="ann", stake_m=1_000, legs=(starting,), id="starting")
        assert "starting" in world.book.bets
        for step in order:
            step(world)
        world.run()
        selections = world.at("match/result").selections.values()
        assert {each.id: each.deduction_pc for each in selections if each.withdrawn_ms} == deductions, order
        assert {each.id: each.starting_price for each in selections if each.starting_price} == prices, order
        restored = snapshot.restore(snapshot.encode(world.book))
        assert snapshot.state_hash(restored) == snapshot.state_hash(world.book)
        world.check()
        moneys.append({bet.id: (bet.status, bet.paid_m) for bet in world.book.bets.values()})
    assert all(each == moneys[0] for each in moneys)


def test_what_was_withdrawn_before_a_rollback_that_came_first_stays_in_after_a_restart() -> None:
    world = fed_stage()
    back("withdrawals", 20)(world)
    out("2", 50_000, 30)(world)
    world.engine.book = snapshot.restore(snapshot.encode(world.book))
    out("x", 30_000, 10)(world)
    out("2", 30_000, 25)(world)
    assert {each.id: each.deduction_pc for each in world.at("match/result").selections.values()} == {
        "1": 0,
        "x": 0,
        "2": 20,
    }


def test_an_old_message_of_a_feed_does_not_undo_what_the_desk_has_said() -> None:
    world = fed_stage()
    result("1", 10)(world)
    told("match/result", won("x"))(world)
    assert refused(result("2", 20)(world)) == "NOTHING_TO_CHANGE"
    assert back("results", 30)(world) is None
    assert result("2", 2_000, 1)(world) is None
    assert world.at("match/result").selections["x"].result == won("x")
    result("2", 3_000)(world)
    assert world.at("match/result").selections["2"].result == won("2")
    told("match/result", won("x"))(world)
    assert world.at("match/result").selections["x"].result == won("x")
    world.run()
    world.check()


def test_a_provisional_result_is_confirmed_without_a_second_look_at_its_bets() -> None:
    world = fed_stage()
    result("1", 10, 1)(world)
    world.run()
    before = len(world.events)
    result("1", 20)(world)
    assert world.run() == []
    assert [type(event) for event in world.events[before:]] == [ev.MarketSettled]
    world.check()


def test_scores_that_come_faster_than_they_are_graded_are_held_up_to_a_bound() -> None:
    world = fed_stage()
    for number in range(3 * scoring.SCORES_MAX):
        score(number % 5, number % 7, number)(world)
    assert len(world.book.fixtures["match"].scores) == scoring.SCORES_MAX
    world.run()
    assert world.at("match/result").selections["1"].result == won("1")  # 4-1, the last
    world.check()
