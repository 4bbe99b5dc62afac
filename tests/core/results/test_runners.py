"""Races: each-way, withdrawals with Rule 4, dead heats for a place, starting prices (RULEBOOK 5)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any

import msgspec
import pytest

from core import snapshot
from core.messages import commands as co
from core.messages import feed as fe
from core.messages import queries as qu
from core.messages.answers import Accepted, BetState, Rejected
from core.messages.commands import NamedPrice
from core.messages.events import BetStatus
from core.messages.results import EachWay, PlaceTerms, Result
from core.results.runners import deduction
from core.units import price_from_fraction
from tests.core.world import NOON, World, leg, refused

OPEN, WON, LOST, VOID, _ = BetStatus
PATH = "derby/win"
A_20 = (PATH, "a", 210_000)
"""At 20/1."""
A_8 = (PATH, "a", 90_000)
"""At 8/1."""
NAMES = "abcdefghijklmnopqrst"


def stage(price: int = 90_000, runners: int = 8, terms: EachWay | None = None, **changed: int) -> World:
    """Ann has 1 000.00; a race of so many, each-way at the usual terms unless others are given, `a` at this price."""
    world = World(**changed)
    world.customer("ann", 100_000)
    world.race(PATH, terms=terms, **{"a": price, **dict.fromkeys(NAMES[1:runners], 50_000)})
    return world


def oaks(world: World) -> None:
    """A second race of eight, all at 5.0."""
    world.fixture("oaks", sport="racing")
    world.defined("oaks/win", dict.fromkeys("abcdefgh", 50_000), each_way=EachWay())


def finish(world: World, *order: str, path: str = PATH, due: bool = False) -> None:
    """The race as it came in: "a", "bc", "d" is a dead heat of b and c for the second place; the rest are unplaced."""
    results = []
    position = 1
    for group in order:
        shared = (1, len(group)) if position == 1 else (1, 1)
        results += [Result(name, 1 if position == 1 else 0, 0, *shared, position) for name in group]
        position += len(group)
    world.results(path, *results)
    if not due:
        world.run()
        world.check()


def withdraw(world: World, selection: str, price: int, at_ms: int = NOON + 1_000) -> Any:
    answer = world.desk(co.WithdrawSelection, PATH, selection=selection, price=price, at_ms=at_ms)
    world.run()
    return answer


def off(world: World, **prices: int) -> Any:
    named = tuple(NamedPrice(name, price) for name, price in prices.items())
    answer = world.desk(co.SetStartingPrices, PATH, prices=named)
    world.run()
    return answer


# Each-way.


@pytest.mark.parametrize(
    ("rule", "order", "paid_m"),
    [
        ("won: 105.00 and 25.00", "a b c", 13_000),
        ("second", "b a c", 2_500),
        ("third", "b c a", 2_500),
        ("fourth of three places", "b c d a", 0),
        ("unplaced", "b c d", 0),
        ("a dead heat of two for the third place: half of 25.00", "b c ad", 1_250),
        ("of three for the second place: two places for three", "b acd", 1_666),
        ("of two for the win: half of 105.00, and a place each", "ab c", 5_250 + 2_500),
        ("of four for the win: a quarter, and three places for four", "abcd", 2_625 + 1_875),
    ],
)
def test_five_pounds_each_way_at_20_to_1_and_a_fifth(rule: str, order: str, paid_m: int) -> None:
    world = stage(210_000)
    bet = world.bet("ann", 500, A_20, each_way=True, unit_stake=True)
    assert (bet.stake_m, bet.payout_m) == (1_000, 13_000)
    finish(world, *order.split())
    assert (bet.status, bet.paid_m) == (WON if paid_m else LOST, paid_m), rule
    assert world.cash("ann") == 99_000 + paid_m


@pytest.mark.parametrize(("order", "net_m"), [("a b c", 2_160), ("b a c", 160), ("b c d", -400)])
def test_published_profits_each_way(order: str, net_m: int) -> None:
    """betcode-org/flumine@5bda83a tests/test_simulatedorder.py (MIT): 2.00 at 10.0, a fifth; the layer is the house."""
    world = stage(100_000)
    before_m = world.cash("ann")
    world.bet("ann", 200, (PATH, "a", 100_000), each_way=True, unit_stake=True)
    finish(world, *order.split())
    assert world.cash("ann") - before_m == net_m
    assert world.book.house["house:betting", "EUR"] == -net_m


def test_a_total_stake_is_shared_by_the_two_parts() -> None:
    world = stage(210_000)
    bet = world.bet("ann", 1_000, A_20, each_way=True, lines=2)
    finish(world, "a")
    assert bet.paid_m == 13_000


@pytest.mark.parametrize(
    ("runners", "handicap", "terms"),
    [
        (4, False, None),
        (4, True, None),
        (5, False, (2, 1, 4)),
        (7, False, (2, 1, 4)),
        (7, True, (2, 1, 4)),
        (8, False, (3, 1, 5)),
        (11, True, (3, 1, 5)),
        (12, True, (3, 1, 4)),
        (12, False, (3, 1, 5)),
        (15, True, (3, 1, 4)),
        (16, True, (4, 1, 4)),
        (16, False, (3, 1, 5)),
        (20, True, (4, 1, 4)),
    ],
)
def test_the_usual_terms_follow_from_the_runners(
    runners: int,
    handicap: bool,  # noqa: FBT001  (a case)
    terms: tuple[int, int, int] | None,
) -> None:
    world = stage(runners=runners, terms=EachWay(handicap=handicap))
    answer = world.place("ann", 1_000, A_8, each_way=True)
    if terms is None:
        assert isinstance(answer, Rejected)
        assert (answer.reason, answer.leg) == ("EACH_WAY_NOT_OFFERED", 0)
    else:
        assert isinstance(answer, Accepted)
        assert world.book.bets[answer.id].legs[0].place == EachWay(*terms, handicap)
    world.check()


@pytest.mark.parametrize(
    ("rule", "happens"),
    [
        ("withdrawn", lambda world: withdraw(world, "h", 200_000)),
        ("not priced", lambda world: world.price(PATH, "h", 0)),
    ],
)
def test_who_does_not_run_is_no_runner(rule: str, happens: Callable[[World], object]) -> None:
    world = stage(runners=8)
    happens(world)
    bet = world.bet("ann", 1_000, A_8, each_way=True)
    assert bet.legs[0].place == EachWay(2, 1, 4), rule
    world.check()


def test_a_market_may_have_terms_of_its_own() -> None:
    world = stage(runners=4, terms=EachWay(1, 1, 2))
    bet = world.bet("ann", 1_000, A_8, each_way=True)
    finish(world, "a", "b")
    # 5.00 at 9.0 and at 1 + 8 / 2.
    assert bet.paid_m == 4_500 + 2_500


def test_terms_are_those_of_the_moment_when_the_bet_was_taken() -> None:
    """With a runner less there are two places at a quarter; who had three at a fifth keeps them."""
    world = stage(runners=8)
    before = world.bet("ann", 1_000, A_8, each_way=True)
    withdraw(world, "h", 200_000, at_ms=NOON)
    after = world.bet("ann", 1_000, A_8, each_way=True)
    finish(world, "b", "c", "a")
    # 5.00 at 1 + 8 / 5.
    assert [(bet.status, bet.paid_m) for bet in (before, after)] == [(WON, 1_300), (LOST, 0)]
    again = stage(runners=8)
    withdraw(again, "h", 200_000)
    second = again.bet("ann", 1_000, A_8, each_way=True)
    finish(again, "b", "a", "c")
    # 5.00 at 1 + 8 / 4.
    assert second.paid_m == 1_500


def test_the_terms_of_a_place_part_are_told_and_a_bet_may_assert_those_it_was_shown() -> None:
    """Eight run: three places at 1/5; when one is withdrawn, seven do, and two places are paid at 1/4."""
    world = stage(runners=8)
    path, selection, price = A_8
    shown = leg(path, selection, price, place=PlaceTerms(3, 1, 5))
    fields = {"customer": "ann", "stake_m": 1_000, "each_way": True}
    taken = world.command(co.PlaceBet, legs=(shown,), id="b1", **fields)
    assert isinstance(taken, Accepted)
    assert taken.legs[0].place == world.state("b1").legs[0].place == PlaceTerms(3, 1, 5)
    last = list(world.at(path).selections)[-1]
    world.desk(co.WithdrawSelection, path, selection=last, price=0, at_ms=world.now)
    world.run()
    again = world.command(co.PlaceBet, legs=(shown,), **fields)
    assert isinstance(again, Rejected)
    assert (again.reason, again.leg, again.detail) == ("PLACE_TERMS_CHANGED", 0, "2 places at 1/4")
    asked = world.send(qu.GetMaxStake("ann", (shown,), each_way=True))
    assert isinstance(asked, Rejected)
    assert asked.reason == "PLACE_TERMS_CHANGED"
    unasserted = world.place("ann", 1_000, A_8, each_way=True)
    assert isinstance(unasserted, Accepted)
    assert unasserted.legs[0].place == PlaceTerms(2, 1, 4)
    win_only = world.place("ann", 1_000, A_8)
    assert isinstance(win_only, Accepted)
    assert msgspec.json.decode(msgspec.json.encode(win_only.legs[0])).keys() == {
        *("fixture", "market", "selection", "price", "requested")
    }
    assert world.state("b1").legs[0].place == PlaceTerms(3, 1, 5)
    world.check()


def test_a_market_without_a_place_part_takes_no_each_way_bet() -> None:
    world = stage()
    world.market("match/winner", home=20_000, away=20_000)
    answer = world.place("ann", 1_000, A_8, ("match/winner", "home", 20_000), each_way=True)
    assert isinstance(answer, Rejected)
    assert (answer.reason, answer.leg) == ("EACH_WAY_NOT_OFFERED", 1)


def test_results_of_an_each_way_market_need_the_winners_position() -> None:
    world = stage(runners=5)
    bet = world.bet("ann", 1_000, A_8, each_way=True)
    results = (Result("a", 1), *(Result(name, 0) for name in "bcde"))
    answer = world.desk(co.SettleMarket, PATH, results=results)
    assert isinstance(answer, Rejected)
    assert (answer.reason, answer.detail) == ("RESULTS_INCOMPLETE", "a has no position")
    assert bet.status == OPEN
    world.check()


def test_so_do_those_of_a_market_that_has_place_parts_though_it_is_offered_to_win_only_now() -> None:
    world = stage(runners=5)
    bet = world.bet("ann", 1_000, A_8, each_way=True)
    world.defined(PATH, dict.fromkeys("abcde", 90_000), each_way=None)
    world.engine.book = snapshot.restore(snapshot.encode(world.book))
    bet = world.book.bets[bet.id]
    results = (Result("a", 1), *(Result(name, 0) for name in "bcde"))
    assert refused(world.desk(co.SettleMarket, PATH, results=results)) == "RESULTS_INCOMPLETE"
    world.settle(PATH, Result("a", 1, position=1))
    # 5.00 at 9.0 and, two places at a quarter, at 3.0.
    assert bet.paid_m == 4_500 + 1_500
    world.check()


@pytest.mark.parametrize(
    ("rule", "first", "second", "paid_m"),
    [
        # 5.00 at 5 x 5 and at 1.8 x 1.8.
        ("both won", "a b c", "a b c", 12_500 + 1_620),
        ("one won, one placed: the place part alone", "a b c", "b a c", 1_620),
        ("both placed", "b a c", "b c a", 1_620),
        ("one unplaced", "a b c", "b c d", 0),
        ("a dead heat for the third place: 1.8 x 0.9", "a b c", "b c ad", 810),
    ],
)
def test_an_each_way_double_is_a_win_double_and_a_place_double(rule: str, first: str, second: str, paid_m: int) -> None:
    for order in permutations([(PATH, first), ("oaks/win", second)]):
        world = stage(50_000)
        oaks(world)
        bet = world.bet("ann", 1_000, (PATH, "a", 50_000), ("oaks/win", "a", 50_000), each_way=True)
        for path, came_in in order:
            finish(world, *came_in.split(), path=path)
        assert (bet.status, bet.paid_m) == (WON if paid_m else LOST, paid_m), rule


def test_a_withdrawn_runner_makes_an_each_way_double_two_singles() -> None:
    world = stage(50_000)
    oaks(world)
    bet = world.bet("ann", 1_000, (PATH, "a", 50_000), ("oaks/win", "a", 50_000), each_way=True)
    withdraw(world, "a", 50_000)
    finish(world, "a", path="oaks/win")
    # 5.00 at 5 and at 1.8.
    assert bet.paid_m == 2_500 + 900


# Rule 4.


@pytest.mark.parametrize(
    ("shortest", "longest", "pence"),
    [
        ("1/100", "1/9", 90),
        ("2/17", "2/11", 85),
        ("1/5", "1/4", 80),
        ("2/7", "3/10", 75),
        ("1/3", "2/5", 70),
        ("4/9", "8/15", 65),
        ("4/7", "8/13", 60),
        ("4/6", "4/5", 55),
        ("5/6", "20/21", 50),
        ("1/1", "6/5", 45),
        ("5/4", "6/4", 40),
        ("13/8", "7/4", 35),
        ("15/8", "9/4", 30),
        ("5/2", "3/1", 25),
        ("10/3", "4/1", 20),
        ("9/2", "11/2", 15),
        ("6/1", "9/1", 10),
        ("10/1", "14/1", 5),
        ("15/1", "1000/1", 0),
    ],
)
def test_rule_4_is_a_table(shortest: str, longest: str, pence: int) -> None:
    for text in (shortest, longest):
        assert deduction(price_from_fraction(*map(int, text.split("/")))) == pence, text
    just_above = deduction(price_from_fraction(*map(int, longest.split("/"))) + 1)
    assert just_above == (max(0, pence - 5) if pence != 90 else 85)


def test_who_was_not_priced_takes_nothing() -> None:
    assert deduction(0) == 0


@pytest.mark.parametrize(
    ("rule", "withdrawn", "order", "fields", "paid_m"),
    [
        ("10.00 at 8/1 with 25p", [("b", 40_000)], "a", {}, 7_000),
        ("nothing", [], "a", {}, 9_000),
        ("an outsider takes nothing", [("b", 160_000)], "a", {}, 9_000),
        ("unpriced, it takes nothing", [("b", 0)], "a", {}, 9_000),
        ("25p and 20p: 45p", [("b", 40_000), ("c", 50_000)], "a", {}, 5_400),
        ("60p and 50p: at most 90p", [("b", 16_154), ("c", 19_524)], "a", {}, 1_800),
        ("before the dead heat: half of 70.00", [("b", 40_000)], "ac", {}, 3_500),
        ("nothing of a stake that is lost", [("b", 40_000)], "c", {}, 0),
        # 5.00 at 1 + 8 x 0.75, and at 1 + 8 / 5 x 0.75.
        ("on the place part too", [("b", 40_000)], "a", {"each_way": True}, 3_500 + 1_100),
        ("placed", [("b", 40_000)], "c a", {"each_way": True}, 1_100),
    ],
)
@pytest.mark.parametrize("first", ["withdrawal", "result"])
def test_a_withdrawal_takes_its_pence_from_each_pound_of_winnings(
    first: str, rule: str, withdrawn: list[tuple[str, int]], order: str, fields: dict[str, Any], paid_m: int
) -> None:
    world = stage()
    bet = world.bet("ann", 1_000, A_8, **fields)
    if first == "result":
        finish(world, *order.split())
    for name, price in withdrawn:
        withdraw(world, name, price)
    if first == "withdrawal":
        finish(world, *order.split())
    assert (bet.status, bet.paid_m) == (WON if paid_m else LOST, paid_m), rule
    world.check()


def test_only_bets_struck_before_the_withdrawal_are_reduced() -> None:
    world = stage()
    before = world.bet("ann", 1_000, A_8)
    world.wait(1_000)
    at_the_time = world.bet("ann", 1_000, A_8)
    world.wait(1)
    withdraw(world, "b", 40_000, at_ms=NOON + 1_000)
    after = world.bet("ann", 1_000, A_8)
    finish(world, "a")
    assert [bet.paid_m for bet in (before, at_the_time, after)] == [7_000, 9_000, 9_000]


def test_a_bet_is_reduced_by_the_withdrawals_after_it_alone() -> None:
    world = stage()
    withdraw(world, "b", 40_000, at_ms=NOON)
    world.wait(1)
    bet = world.bet("ann", 1_000, A_8)
    withdraw(world, "c", 50_000)
    finish(world, "a")
    # 20p: 10.00 + 80.00 x 0.8.
    assert bet.paid_m == 7_400


def test_a_withdrawal_is_corrected_and_rolled_back() -> None:
    world = stage()
    bet = world.bet("ann", 1_000, A_8)
    other = world.bet("ann", 1_000, (PATH, "b", 50_000))
    withdraw(world, "b", 40_000)
    finish(world, "a")
    assert [(each.status, each.paid_m) for each in (bet, other)] == [(WON, 7_000), (VOID, 1_000)]
    withdraw(world, "b", 50_000)
    assert (bet.paid_m, world.cash("ann")) == (7_400, 98_000 + 7_400 + 1_000)
    world.roll_back(PATH, "withdrawals")
    assert [(each.status, each.paid_m) for each in (bet, other)] == [(WON, 9_000), (LOST, 0)]
    assert world.cash("ann") == 98_000 + 9_000
    world.check()


def test_a_withdrawal_is_told_once_and_in_full() -> None:
    world = stage()
    withdraw(world, "b", 40_000)
    for reason, selection, at_ms in (
        ("NOTHING_TO_CHANGE", "b", NOON + 1_000),
        ("SELECTION_UNKNOWN", "nobody", NOON + 1_000),
        ("DEFINITION_NOT_VALID", "c", 0),
    ):
        assert refused(withdraw(world, selection, 40_000, at_ms)) == reason
    assert refused(world.place("ann", 1_000, (PATH, "b", 50_000))) == "SELECTION_UNPRICED"
    world.roll_back(PATH, "withdrawals")
    again = world.desk(co.RollBackMarket, PATH, what="withdrawals", reason="")
    assert refused(again) == "NOTHING_TO_CHANGE"
    assert isinstance(world.place("ann", 1_000, (PATH, "b", 50_000)), Accepted)
    world.check()


@pytest.mark.parametrize("fields", [{}, {"each_way": True}, {"starting_price": True}])
def test_bets_on_a_withdrawn_runner_are_void_whenever_they_were_struck(fields: dict[str, Any]) -> None:
    world = stage()
    sp = bool(fields.pop("starting_price", False))
    asked = (leg(PATH, "b", 50_000, starting_price=sp),)
    answers = []
    for _ in range(2):
        answers.append(world.command(co.PlaceBet, customer="ann", stake_m=1_000, legs=asked, **fields))
        world.wait(2_000)
    withdraw(world, "b", 40_000)
    finish(world, "a", "b")
    for answer in answers:
        assert isinstance(answer, Accepted)
        bet = world.book.bets[answer.id]
        assert (bet.status, bet.paid_m) == (VOID, 1_000)
    assert world.cash("ann") == 100_000


def test_rule_4_is_counted_leg_by_leg() -> None:
    world = stage()
    world.market("match/winner", home=20_000, away=20_000)
    bet = world.bet("ann", 1_000, A_8, ("match/winner", "home", 20_000))
    withdraw(world, "b", 40_000)
    world.settle("match/winner", Result("home", 1))
    finish(world, "a")
    assert bet.paid_m == 14_000


def test_withdrawals_of_a_feed_are_taken_like_the_desks() -> None:
    world = World()
    world.customer("ann", 100_000)
    world.fed_market(PATH, message={"each_way": EachWay()}, a=90_000, b=40_000, c=50_000)
    bet = world.bet("ann", 1_000, A_8)
    fields: dict[str, Any] = {"fixture": "derby", "market": "win", "selection": "b", "price": 40_000}
    assert world.feed(fe.Withdrawal, at_ms=NOON + 1, **fields) is None
    assert refused(world.feed(fe.Withdrawal, at_ms=NOON + 1, **fields)) == "NOTHING_TO_CHANGE"
    assert refused(world.feed(fe.Withdrawal, "other", at_ms=NOON + 1, **fields)) == "PRICE_NOT_OURS"
    finish(world, "a")
    assert bet.paid_m == 7_000
    world.feed(fe.Rollback, fixture="derby", markets=("win",), what="withdrawals")
    world.run()
    assert bet.paid_m == 9_000
    world.check()


# Starting price.


def at_the_off(world: World, selection: str, shown: int, stake_m: int = 1_000, **fields: Any) -> str:
    """A bet at the starting price; its id."""
    legs = (leg(PATH, selection, shown, starting_price=True),)
    answer = world.command(co.PlaceBet, customer="ann", stake_m=stake_m, legs=legs, **fields)
    assert isinstance(answer, Accepted), answer
    return answer.id


@pytest.mark.parametrize(
    ("rule", "order", "fields", "paid_m"),
    [
        ("won", "a b", {}, 6_000),
        ("a dead heat", "ab", {}, 3_000),
        ("lost", "b a", {}, 0),
        # 5.00 at 6.0 and at 1 + 5 / 5.
        ("each-way", "a b", {"each_way": True}, 3_000 + 1_000),
        ("placed", "b a", {"each_way": True}, 1_000),
    ],
)
@pytest.mark.parametrize("first", ["prices", "result"])
def test_a_bet_at_the_starting_price_takes_the_price_at_the_off(
    first: str, rule: str, order: str, fields: dict[str, Any], paid_m: int
) -> None:
    world = stage()
    bet = world.book.bets[at_the_off(world, "a", 90_000, **fields)]
    if first == "prices":
        off(world, a=60_000)
        assert bet.status == OPEN
        finish(world, *order.split())
    else:
        finish(world, *order.split())
        # Who has lost needs no price.
        assert bet.status == (OPEN if paid_m else LOST)
        off(world, a=60_000)
    assert (bet.status, bet.paid_m) == (WON if paid_m else LOST, paid_m), rule
    world.check()


def test_the_price_that_was_shown_decides_nothing_of_a_bet_at_the_starting_price() -> None:
    world = stage()
    bet = world.book.bets[at_the_off(world, "a", 500_000, policy=co.PricePolicy.NONE)]
    off(world, a=60_000)
    finish(world, "a")
    assert bet.paid_m == 6_000


def test_a_void_bet_at_the_starting_price_needs_none() -> None:
    world = stage()
    bet = world.book.bets[at_the_off(world, "a", 90_000)]
    world.cancel(PATH)
    assert (bet.status, bet.paid_m) == (VOID, 1_000)
    world.check()


def test_starting_prices_are_corrected() -> None:
    world = stage()
    bet = world.book.bets[at_the_off(world, "a", 90_000)]
    off(world, a=60_000, b=40_000)
    finish(world, "a")
    assert refused(off(world, a=60_000)) == "NOTHING_TO_CHANGE"
    assert refused(off(world, a=70_000, nobody=20_000)) == "SELECTION_UNKNOWN"
    twice = NamedPrice("a", 60_000), NamedPrice("a", 70_000)
    assert refused(world.desk(co.SetStartingPrices, PATH, prices=twice)) == "DEFINITION_NOT_VALID"
    assert bet.paid_m == 6_000
    off(world, a=70_000)
    assert (bet.paid_m, world.cash("ann")) == (7_000, 99_000 + 7_000)
    world.check()


def test_the_starting_price_knows_who_runs() -> None:
    """Rule 4 is for prices that were taken before a withdrawal."""
    world = stage()
    fixed = world.bet("ann", 1_000, A_8)
    bet = world.book.bets[at_the_off(world, "a", 90_000)]
    withdraw(world, "b", 40_000)
    off(world, a=60_000)
    finish(world, "a")
    assert [each.paid_m for each in (fixed, bet)] == [7_000, 6_000]


def test_a_starting_price_above_the_payout_maximum_is_cut_off_and_the_record_says_so() -> None:
    """RULEBOOK 5: the maximum applies at settlement, per bet."""
    world = stage(payout_max_m=10_000)
    bet = world.book.bets[at_the_off(world, "a", 90_000)]
    off(world, a=200_000)
    finish(world, "a")
    assert (bet.paid_m, bet.capped_m) == (11_000, 9_000)
    state = world.state(bet.id)
    assert (state.paid_m, state.capped_m) == (11_000, 9_000)
    off(world, a=60_000)
    assert (bet.paid_m, bet.capped_m) == (6_000, 0)
    world.check()


def test_a_free_bet_at_the_starting_price_wins_no_more_than_the_maximum_either() -> None:
    world = stage(payout_max_m=10_000)
    world.done(co.GrantFreeBet, customer="ann", token="gift", stake_m=1_000, ends_ms=NOON + 10_000)
    bet = world.book.bets[at_the_off(world, "a", 90_000, free_bet="gift")]
    off(world, a=200_000)
    finish(world, "a")
    assert (bet.paid_m, bet.capped_m, world.cash("ann")) == (10_000, 9_000, 110_000)


def test_starting_prices_of_a_feed_are_taken_like_the_desks() -> None:
    world = World()
    world.customer("ann", 100_000)
    world.fed_market(PATH, a=90_000, b=40_000)
    bet = world.book.bets[at_the_off(world, "a", 90_000)]
    fields: dict[str, Any] = {"fixture": "derby", "market": "win", "prices": (NamedPrice("a", 60_000),)}
    assert world.feed(fe.StartingPrices, **fields) is None
    assert refused(world.feed(fe.StartingPrices, **fields)) == "NOTHING_TO_CHANGE"
    assert refused(world.feed(fe.StartingPrices, "other", **fields)) == "PRICE_NOT_OURS"
    world.settle(PATH, Result("a", 1))
    assert bet.paid_m == 6_000
    world.check()


# Order of arrival.

STEPS: dict[str, Callable[[World], object]] = {
    "the result": lambda world: finish(world, "a", "bc", due=True),
    "a withdrawal": lambda world: withdraw(world, "d", 40_000),
    "another": lambda world: withdraw(world, "e", 50_000, NOON + 50),
    "the starting prices": lambda world: off(world, a=60_000, b=30_000),
    "a cancel of late bets": lambda world: world.desk(co.CancelMarket, PATH, reason="", from_ms=NOON + 200),
}


@pytest.mark.parametrize("slice_max", [1, 500])
def test_order_of_arrival_does_not_matter_to_a_race(slice_max: int) -> None:
    for order in permutations(STEPS):
        world = stage(slice_max=slice_max)
        bets = [world.bet("ann", 1_000, A_8, each_way=True, id="early")]
        world.wait(100)
        bets.append(world.bet("ann", 1_000, A_8, id="later"))
        bets.append(world.book.bets[at_the_off(world, "a", 90_000, id="sp")])
        bets.append(world.bet("ann", 1_000, (PATH, "c", 50_000), each_way=True, id="placed"))
        bets.append(world.bet("ann", 1_000, (PATH, "d", 50_000), id="withdrawn"))
        world.wait(100)
        bets.append(world.bet("ann", 1_000, A_8, id="late"))
        for step in order:
            STEPS[step](world)
        world.run()
        world.check()
        # 25p and 20p of the early one: 5.00 at 1 + 8 x 0.55 and at 1 + 8 / 5 x 0.55; 25p of what came later; the place
        # of c: second of three, 5.00 at 1 + 4 / 5 x 0.75.
        assert {bet.id: bet.paid_m for bet in bets} == {
            "early": 2_700 + 940,
            "later": 7_000,
            "sp": 6_000,
            "placed": 800,
            "withdrawn": 1_000,
            "late": 1_000,
        }, order


def test_a_race_is_told_as_it_stands() -> None:
    world = stage()
    bet = world.bet("ann", 1_000, A_8, each_way=True)
    state = world.state(bet.id)
    assert isinstance(state, BetState)
    assert (state.each_way, state.lines, state.payout_m) == (True, 2, 4_500 + 1_300)
    withdraw(world, "a", 40_000)
    assert world.state(bet.id).legs[0].result == "void"


@pytest.mark.parametrize("fields", [{}, {"folds": (8,)}])
def test_starting_prices_without_end_are_numbers_that_can_be_stored(fields: dict[str, Any]) -> None:
    """Eight winners at 10 000.0 make 10 to the 35th: the payout is cut off, and what runs on a leg is bounded."""
    world = World(payout_max_m=50_000)
    world.customer("ann", 10_000)
    races = [f"r{number}/win" for number in range(8)]
    for path in races:
        world.market(path, a=11_000, b=50_000)
    legs = tuple(leg(path, "a", 11_000, starting_price=True) for path in races)
    answer = world.command(co.PlaceBet, customer="ann", stake_m=1_000, legs=legs, id="b1", **fields)
    assert isinstance(answer, Accepted)
    for path in races:
        world.desk(co.SetStartingPrices, path, prices=(NamedPrice("a", 100_000_000),))
        world.settle(path, Result("a", 1))
        world.check()
    bet = world.book.bets["b1"]
    assert (bet.paid_m, bet.capped_m) == (51_000, 2**62)
