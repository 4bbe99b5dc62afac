"""Cash-out: what is offered, to whom not, and what remains of the bet (RULEBOOK 5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from core.messages import commands as co
from core.messages import events as ev
from core.messages import feed as fe
from core.messages import queries as qu
from core.messages.answers import Accepted, Answer, CashOutQuote, Done, Rejected
from core.messages.commands import NamedPrice
from core.messages.events import BetStatus
from core.messages.results import EachWay, Result
from tests.core.world import NOON, World, half_lost, half_won, leg, lost, refused, void, won

OPEN, WON, LOST, VOID, CASHED_OUT = BetStatus
HOME = ("match/winner", "home", 25_000)
RED = ("final/winner", "red", 20_000)


def stage(**changed: int) -> World:
    """Ann has 1 000.00; a match whose home win was 2.5 and is 60 % likely now, and a final at evens without margin."""
    world = World(**{"cash_out_margin_bp": 0, **changed})
    world.customer("ann", 100_000)
    world.market("match/winner", home=25_000, away=15_000)
    world.market("final/winner", red=20_000, blue=20_000)
    return world


def sixty(world: World) -> None:
    """1.5 and 2.25: of 1 / 1.5 + 1 / 2.25 = 10 / 9, a ninth of it margin, the first is 60 %."""
    world.price("match/winner", "home", 15_000)
    world.price("match/winner", "away", 22_500)


def ask(world: World, bet: str, share_bp: int = 10_000, customer: str = "ann") -> Answer | None:
    return world.send(qu.GetCashOut(customer, bet, share_bp))


def offer(world: World, bet: str, share_bp: int = 10_000) -> CashOutQuote:
    answer = ask(world, bet, share_bp)
    assert isinstance(answer, CashOutQuote), answer
    return answer


def take(world: World, bet: str, offer_m: int, customer: str = "ann", **fields: Any) -> Answer | None:
    return world.command(co.CashOut, customer=customer, bet=bet, offer_m=offer_m, **fields)


def sell(world: World, bet: str, share_bp: int = 10_000) -> int:
    """Sells a share of the bet at what is offered; that."""
    offer_m = offer(world, bet, share_bp).offer_m
    answer = take(world, bet, offer_m)
    assert isinstance(answer, Done), answer
    return offer_m


# What is offered.


@pytest.mark.parametrize(
    ("rule", "margin_bp", "share_bp", "stake_m", "offer_m"),
    [
        ("250.00 at 60 %", 0, 10_000, 10_000, 15_000),
        ("less a margin of 3 %", 300, 10_000, 10_000, 14_550),
        ("half of it", 0, 5_000, 5_000, 7_500),
        ("a third of it, rounded down", 0, 3_333, 3_333, 4_999),
        ("all of it is margin", 10_000, 10_000, 10_000, None),
    ],
)
def test_the_offer_is_the_payout_times_the_chance(
    rule: str, margin_bp: int, share_bp: int, stake_m: int, offer_m: int | None
) -> None:
    world = stage(cash_out_margin_bp=margin_bp)
    bet = world.bet("ann", 10_000, HOME)
    assert bet.payout_m == 25_000
    sixty(world)
    if offer_m is None:
        assert refused(ask(world, bet.id, share_bp)) == "CASH_OUT_NOT_OFFERED", rule
    else:
        assert offer(world, bet.id, share_bp) == CashOutQuote(bet.id, share_bp, stake_m, offer_m, NOON + 5_000), rule
    world.check()


def test_a_market_without_margin_has_none_to_remove() -> None:
    """What is withdrawn or not priced takes no part, so the sum of the chances may be below one."""
    world = stage()
    bet = world.bet("ann", 10_000, HOME)
    world.price("match/winner", "home", 20_000)
    world.price("match/winner", "away", 25_000)
    # 250.00 x 1 / 2.
    assert offer(world, bet.id).offer_m == 12_500


def test_a_withdrawn_runner_takes_no_chance_from_the_others_and_rule_4_is_counted() -> None:
    world = stage()
    world.market("race/win", a=90_000, b=40_000, c=20_000)
    bet = world.bet("ann", 1_000, ("race/win", "a", 90_000))
    world.desk(co.WithdrawSelection, "race/win", selection="b", price=40_000, at_ms=NOON + 1)
    world.run()
    world.price("race/win", "a", 40_000)
    world.price("race/win", "c", 13_333)
    # 25p of the winnings: 70.00 if it wins; 1 / 4 and 1 / 1.3333 are all chances there are.
    assert offer(world, bet.id).offer_m == 1_749
    assert bet.payout_m == 9_000


def test_of_a_market_with_several_winners_each_has_a_larger_chance() -> None:
    world = stage()
    world.market("race/place", winners=2, a=20_000, b=15_000, c=15_000)
    bet = world.bet("ann", 1_000, ("race/place", "a", 20_000))
    # 1/2, 2/3 and 2/3 are 11/6 of two winners: below two, no margin.
    assert offer(world, bet.id).offer_m == 1_000
    world.price("race/place", "b", 12_500)
    world.price("race/place", "c", 12_500)
    # 1/2, 4/5 and 4/5 are 2.1: the chance of a is 1/2 x 2 / 2.1.
    assert offer(world, bet.id).offer_m == 952


@pytest.mark.parametrize(
    ("rule", "result", "offer_m"),
    [
        ("none yet: 2.5 x 2 at 60 % of 50 %", None, 1_500),
        ("won: 2 times 2.5 at 60 %", won("red"), 3_000),
        ("void", void("red"), 1_500),
        ("half won: 1.5 times", half_won("red"), 2_250),
    ],
)
def test_what_decided_legs_have_made_is_in_the_offer(rule: str, result: Result | None, offer_m: int) -> None:
    world = stage()
    bet = world.bet("ann", 1_000, HOME, RED)
    sixty(world)
    if result is not None:
        world.settle("final/winner", result)
    assert offer(world, bet.id).offer_m == offer_m, rule


def test_a_system_is_worth_what_its_lines_are() -> None:
    world = stage()
    world.market("cup/winner", a=40_000, b=40_000 // 3)
    bet = world.bet("ann", 700, HOME, RED, ("cup/winner", "a", 40_000), kind="patent")
    sixty(world)
    world.settle("final/winner", won("red"))
    # 2.5 at 60 % is 1.5, red has made 2, 4.0 at 25 % is just below 1: singles 1.5 + 2 + 1, doubles 3 + 1.5 + 2, and 3.
    assert offer(world, bet.id).offer_m == 1_399
    world.settle("cup/winner", lost("a"))
    # 1.5 + 2 and 3.
    assert offer(world, bet.id).offer_m == 650
    assert sell(world, bet.id) == 650
    world.check()


# How long it stands.


@pytest.mark.parametrize(("waited_ms", "taken"), [(0, True), (5_000, True), (5_001, False)])
def test_a_quote_stands_for_its_time(waited_ms: int, taken: bool) -> None:  # noqa: FBT001  (a case)
    world = stage()
    bet = world.bet("ann", 1_000, HOME)
    quoted = offer(world, bet.id)
    world.wait(waited_ms)
    answer = take(world, bet.id, quoted.offer_m)
    assert isinstance(answer, Done) if taken else refused(answer) == "CASH_OUT_CHANGED"
    world.check()


def test_a_quote_stands_though_the_price_moves() -> None:
    world = stage()
    bet = world.bet("ann", 10_000, HOME)
    sixty(world)
    quoted = offer(world, bet.id)
    world.price("match/winner", "home", 100_000)
    assert isinstance(take(world, bet.id, quoted.offer_m), Done)
    assert world.cash("ann") == 105_000
    world.check()


@pytest.mark.parametrize(("of", "path"), [("an open leg", "match/winner"), ("a decided leg", "final/winner")])
def test_a_quote_does_not_outlive_a_stop_of_betting_on_an_open_leg(of: str, path: str) -> None:
    """Else who has seen what it was for could sell at the value before that."""
    world = stage()
    bet = world.bet("ann", 10_000, HOME, RED)
    world.settle("final/winner", won("red"))
    quoted = offer(world, bet.id)
    world.desk(co.SuspendMarket, path)
    world.wait(1_000)
    world.desk(co.OpenMarket, path)
    answer = take(world, bet.id, quoted.offer_m)
    assert isinstance(answer, Done) if of == "a decided leg" else refused(answer) == "CASH_OUT_CHANGED"
    world.check()


@pytest.mark.parametrize(("price", "taken"), [(40_000, False), (160_000, True)])
def test_a_quote_does_not_stand_when_rule_4_takes_from_the_bet(price: int, taken: bool) -> None:  # noqa: FBT001
    """At 3/1 the withdrawn runner takes 25p, at 15/1 nothing."""
    world = stage()
    world.market("race/win", a=90_000, b=price, c=20_000)
    bet = world.bet("ann", 1_000, ("race/win", "a", 90_000))
    quoted = offer(world, bet.id)
    world.desk(co.WithdrawSelection, "race/win", selection="b", price=price, at_ms=NOON + 1)
    world.run()
    answer = take(world, bet.id, quoted.offer_m)
    assert isinstance(answer, Done) if taken else refused(answer) == "CASH_OUT_CHANGED"
    world.check()


def test_the_last_quote_stands_and_is_taken_once() -> None:
    world = stage()
    bet = world.bet("ann", 10_000, HOME)
    whole = offer(world, bet.id)
    half = offer(world, bet.id, 5_000)
    assert refused(take(world, bet.id, whole.offer_m)) == "CASH_OUT_CHANGED"
    assert isinstance(take(world, bet.id, half.offer_m), Done)
    assert refused(take(world, bet.id, half.offer_m)) == "CASH_OUT_CHANGED"
    world.check()


def test_without_a_quote_or_after_a_restart_there_is_nothing_to_take() -> None:
    world = stage()
    bet = world.bet("ann", 10_000, HOME)
    assert refused(take(world, bet.id, 15_000)) == "CASH_OUT_CHANGED"
    quoted = offer(world, bet.id)
    world.restart()
    assert refused(take(world, bet.id, quoted.offer_m)) == "CASH_OUT_CHANGED"
    world.check()


@pytest.mark.parametrize("settled_leg", ["final/winner", "match/winner"])
def test_a_quote_ends_with_the_next_result(settled_leg: str) -> None:
    """Else who knows the result could sell what it has made worthless."""
    world = stage()
    world.market("cup/winner", a=20_000, b=20_000)
    legs = (HOME, RED, ("cup/winner", "a", 20_000))
    bet = world.bet("ann", 1_000, *legs, folds=(1, 2))
    quoted = offer(world, bet.id)
    name = {"final/winner": "red", "match/winner": "home"}[settled_leg]
    world.results(settled_leg, lost(name))
    assert refused(take(world, bet.id, quoted.offer_m)) == "MARKET_CLOSED"
    world.run()
    assert bet.status == OPEN
    assert refused(take(world, bet.id, quoted.offer_m)) == "CASH_OUT_CHANGED"
    world.check()


def test_a_quote_does_not_come_back_with_a_correction() -> None:
    world = stage()
    bet = world.bet("ann", 1_000, HOME, RED)
    quoted = offer(world, bet.id)
    world.settle("final/winner", lost("red"))
    world.settle("final/winner", half_lost("red"))
    assert bet.status == OPEN
    assert refused(take(world, bet.id, quoted.offer_m)) == "CASH_OUT_CHANGED"
    world.check()


def test_a_bet_that_a_result_has_decided_is_not_sold_before_it_is_settled() -> None:
    world = stage(slice_max=1)
    first = world.bet("ann", 1_000, HOME)
    second = world.bet("ann", 1_000, HOME)
    quoted = offer(world, second.id)
    world.results("match/winner", lost("home"))
    world.tick()
    assert (first.status, second.status) == (LOST, OPEN)
    assert refused(take(world, second.id, quoted.offer_m)) == "MARKET_CLOSED"
    assert refused(ask(world, second.id)) == "MARKET_CLOSED"
    world.run()
    assert second.status == LOST
    world.check()


def test_quotes_that_have_run_out_are_forgotten_whoever_asks_again() -> None:
    world = stage()
    asking = [world.bet("ann", 1_000, HOME) for _ in range(2)]
    for bet in [world.bet("ann", 1_000, RED) for _ in range(20)]:
        world.wait(1_000)
        for again in (*asking, bet):
            offer(world, again.id)
    assert len(world.book.quotes) < 10


# What is not offered.


def _suspend(world: World) -> None:
    world.desk(co.SuspendMarket, "match/winner")


@pytest.mark.parametrize(
    ("rule", "happens", "answer", "at_leg"),
    [
        ("all is well", lambda _: None, "", -1),
        ("the market is suspended", _suspend, "MARKET_SUSPENDED", 1),
        ("the selection is not priced", lambda w: w.price("match/winner", "home", 0), "SELECTION_UNPRICED", 1),
        ("the producer is silent", lambda w: w.wait(20_001), "PRODUCER_DOWN", 0),
        ("a bet stop", lambda w: w.feed(fe.Suspend, fixture="derby"), "MARKET_SUSPENDED", 0),
        ("it is lost", lambda w: w.settle("match/winner", lost("home")), "BET_NOT_OPEN", -1),
        ("it is void", lambda w: w.done(co.VoidBet, bet="b", reason=""), "BET_NOT_OPEN", -1),
    ],
)
def test_what_stops_bets_stops_the_sale_of_one(
    rule: str, happens: Callable[[World], object], answer: str, at_leg: int
) -> None:
    world = stage(cash_out_quote_ms=60_000)
    world.fed_market("derby/winner", home=20_000, away=20_000)
    world.wait(1)
    world.bet("ann", 1_000, ("derby/winner", "home", 20_000), HOME, id="b")
    quoted = offer(world, "b")
    happens(world)
    for given in (take(world, "b", quoted.offer_m), ask(world, "b")):
        if answer:
            assert isinstance(given, Rejected), rule
            assert given.reason == answer, rule
        else:
            assert isinstance(given, Done | Rejected), rule
    if at_leg >= 0:
        again = ask(world, "b")
        assert isinstance(again, Rejected)
        assert again.leg == at_leg
    world.check()


def test_a_stale_price_sells_nothing() -> None:
    world = stage(price_age_max_ms=10_000)
    world.fed_market("derby/winner", home=20_000, away=20_000)
    bet = world.bet("ann", 1_000, ("derby/winner", "home", 20_000))
    world.wait(10_000)
    assert offer(world, bet.id).offer_m == 1_000
    world.wait(1)
    answer = ask(world, bet.id)
    assert isinstance(answer, Rejected)
    assert (answer.reason, answer.leg, answer.limit) == ("PRICE_STALE", 0, 10_000)


def test_a_settled_leg_may_be_of_a_closed_market() -> None:
    world = stage()
    bet = world.bet("ann", 1_000, HOME, RED)
    world.settle("match/winner", won("home"))
    assert offer(world, bet.id).offer_m == 2_500


def test_a_free_bet_is_not_bought_back() -> None:
    world = stage()
    world.done(co.GrantFreeBet, customer="ann", token="gift", stake_m=1_000, ends_ms=NOON + 10_000)
    world.bet("ann", 1_000, HOME, free_bet="gift", id="free")
    for answer in (ask(world, "free"), take(world, "free", 1_000)):
        assert isinstance(answer, Rejected)
        assert (answer.reason, answer.detail) == ("CASH_OUT_NOT_OFFERED", "a free bet")
    world.check()


EACH_WAY: list[tuple[str, EachWay, dict[str, int], dict[str, int], int]] = [
    ("no margin: 5.00 x 5 x 1/5 and 5.00 x 2 x 1/2", EachWay(2, 1, 4), {"a": 50_000, "b": 12_500}, {}, 1_000),
    (
        "5.00 x 5 x 1/2 and 5.00 x 2 at 1 / 1.25",
        EachWay(2, 1, 4),
        {"a": 50_000, "b": 12_500},
        {"a": 20_000, "b": 20_000},
        2_050,
    ),
    (
        "three places at 2.0 for one winner: a third of 5.00 x 2, rounded down",
        EachWay(1, 1, 2),
        {"a": 30_000, "b": 30_000, "c": 30_000},
        {},
        833,
    ),
]


@pytest.mark.parametrize(("rule", "terms", "prices", "later", "offer_m"), EACH_WAY, ids=[case[0] for case in EACH_WAY])
def test_the_place_part_is_worth_its_chance_at_the_live_place_prices(
    rule: str, terms: EachWay, prices: dict[str, int], later: dict[str, int], offer_m: int
) -> None:
    world = stage()
    world.race("derby/win", terms=terms, **prices)
    bet = world.bet("ann", 1_000, ("derby/win", "a", prices["a"]), each_way=True)
    for name, price in later.items():
        world.price("derby/win", name, price)
    assert offer(world, bet.id).offer_m == offer_m, rule
    assert sell(world, bet.id, 5_000) == offer_m // 2
    world.check()
    assert sell(world, bet.id) in {offer_m // 2, offer_m - offer_m // 2}
    assert bet.status == CASHED_OUT
    world.check()


def test_of_an_each_way_double_the_placed_leg_counts_as_what_it_has_paid() -> None:
    world = stage()
    for race in ("derby/win", "oaks/win"):
        world.race(race, terms=EachWay(2, 1, 4), a=50_000, b=12_500)
    bet = world.bet("ann", 1_000, ("derby/win", "a", 50_000), ("oaks/win", "a", 50_000), each_way=True)
    world.settle("derby/win", Result("b", 1, position=1), Result("a", 0, position=2))
    # The win part is lost; of the place part 5.00 x 2, and 2 at 1/2.
    assert offer(world, bet.id).offer_m == 1_000
    world.check()


def test_the_payout_maximum_is_of_the_whole_bet_however_it_is_paid() -> None:
    """Only a starting price can make a bet worth more than it was taken for."""
    world = stage(payout_max_m=50_000)
    legs = leg("final/winner", "red", 20_000, starting_price=True), leg("match/winner", "home", 25_000)
    for name in ("sold", "half", "kept"):
        assert isinstance(world.command(co.PlaceBet, id=name, customer="ann", stake_m=1_000, legs=legs), Accepted)
    world.desk(co.SetStartingPrices, "final/winner", prices=(NamedPrice("red", 10_000_000),))
    world.settle("final/winner", won("red"))
    assert sell(world, "sold") == 51_000
    assert sell(world, "half", 5_000) == 25_500
    world.settle("match/winner", won("home"))
    bets = world.book.bets
    assert (bets["kept"].paid_m, bets["half"].paid_m) == (51_000, 25_500)
    assert world.cash("ann") == 97_000 + 3 * 51_000
    world.check()


def test_at_the_starting_price_a_leg_counts_at_the_live_price_until_that_is_known() -> None:
    world = stage()
    world.market("derby/win", a=50_000, b=12_500)
    legs = (leg("derby/win", "a", 50_000, starting_price=True),)
    assert isinstance(world.command(co.PlaceBet, customer="ann", stake_m=1_000, legs=legs, id="sp"), Accepted)
    assert offer(world, "sp").offer_m == 1_000
    world.price("derby/win", "a", 20_000)
    world.price("derby/win", "b", 16_000)
    # 2 x 1 / 2, of 1 / 2 + 1 / 1.6 = 9 / 8.
    quoted = offer(world, "sp").offer_m
    assert quoted == 888
    assert isinstance(world.desk(co.SetStartingPrices, "derby/win", prices=(co.NamedPrice("a", 40_000),)), Done)
    world.run()
    assert refused(take(world, "sp", quoted)) == "CASH_OUT_CHANGED"
    assert sell(world, "sp") == 1_777
    world.check()


def test_a_bet_is_sold_by_its_owner() -> None:
    world = stage()
    world.customer("bob", 1_000)
    bet = world.bet("ann", 1_000, HOME)
    quoted = offer(world, bet.id)
    assert refused(ask(world, bet.id, customer="bob")) == "BET_UNKNOWN"
    assert refused(take(world, bet.id, quoted.offer_m, "bob")) == "BET_UNKNOWN"
    assert refused(ask(world, "nothing")) == "BET_UNKNOWN"
    world.check()


# What remains.


def test_a_bet_that_is_sold_whole_is_done_whatever_comes() -> None:
    world = stage()
    bet = world.bet("ann", 10_000, HOME)
    sixty(world)
    assert sell(world, bet.id) == 15_000
    assert (bet.status, bet.paid_m, bet.cashed_out_m) == (CASHED_OUT, 0, 15_000)
    assert (world.cash("ann"), world.of("ann").open_stakes_m, world.of("ann").liability_m) == (105_000, 0, 0)
    assert world.at("match/winner").liability_m == 0
    steps: tuple[Callable[[], None], ...] = (
        lambda: world.settle("match/winner", won("home")),
        lambda: world.roll_back("match/winner"),
        lambda: world.settle("match/winner", lost("home")),
        lambda: world.cancel("match/winner"),
        lambda: world.roll_back("match/winner", "cancel"),
    )
    for happens in steps:
        happens()
        assert (bet.status, world.cash("ann")) == (CASHED_OUT, 105_000)
        world.check()
    for command in (co.VoidBet, co.CancelBet):
        fields = {"customer": "ann"} if command is co.CancelBet else {"reason": "palpable error"}
        assert refused(world.command(command, bet=bet.id, **fields)) == "BET_NOT_OPEN"
    state = world.state(bet.id)
    assert (state.status, state.cashed_out_m, state.cashed_out_stake_m) == ("cashed_out", 15_000, 10_000)


@pytest.mark.parametrize(
    ("rule", "result", "status", "paid_m"),
    [
        ("won: three quarters of 250.00", won("home"), WON, 18_750),
        ("lost", lost("home"), LOST, 0),
        ("void: what was not sold", void("home"), VOID, 7_500),
        ("half won: 1.75 x 75.00", half_won("home"), WON, 13_125),
    ],
)
def test_what_was_not_sold_runs_on(rule: str, result: Result, status: BetStatus, paid_m: int) -> None:
    world = stage()
    bet = world.bet("ann", 10_000, HOME)
    sixty(world)
    assert sell(world, bet.id, 2_500) == 3_750
    assert (bet.running_stake_m, bet.status, world.of("ann").open_stakes_m) == (7_500, OPEN, 7_500)
    assert world.at("match/winner").liability_m == 18_750 - 7_500
    world.check()
    world.settle("match/winner", result)
    assert (bet.status, bet.paid_m) == (status, paid_m), rule
    assert world.cash("ann") == 90_000 + 3_750 + paid_m
    world.check()


def test_shares_add_up_to_the_whole() -> None:
    """A share is one of what still runs."""
    world = stage()
    bet = world.bet("ann", 10_000, HOME)
    sixty(world)
    sold = [sell(world, bet.id, share_bp) for share_bp in (5_000, 5_000, 3_000, 10_000)]
    assert sold == [7_500, 3_750, 1_125, 2_625]
    assert sum(sold) == 15_000
    assert (bet.status, bet.cashed_out_stake_m, bet.cashed_out_m) == (CASHED_OUT, 10_000, 15_000)
    assert world.cash("ann") == 105_000
    world.check()


def test_a_share_below_a_minor_unit_is_not_bought() -> None:
    world = stage()
    bet = world.bet("ann", 100, HOME)
    sixty(world)
    assert refused(ask(world, bet.id, 99)) == "CASH_OUT_NOT_OFFERED"
    assert offer(world, bet.id, 100).stake_m == 1


def test_a_correction_and_a_rollback_recompute_what_was_not_sold() -> None:
    world = stage()
    bet = world.bet("ann", 10_000, HOME, RED)
    world.settle("match/winner", won("home"))
    # 250.00 x 2 x 1/2, half of it.
    assert sell(world, bet.id, 5_000) == 12_500
    world.settle("final/winner", won("red"))
    assert (bet.paid_m, world.cash("ann")) == (25_000, 90_000 + 12_500 + 25_000)
    world.settle("final/winner", lost("red"))
    assert (bet.paid_m, world.cash("ann")) == (0, 90_000 + 12_500)
    world.roll_back("final/winner")
    assert (bet.status, world.of("ann").open_stakes_m) == (OPEN, 5_000)
    assert sell(world, bet.id) == 12_500
    assert (bet.status, world.cash("ann")) == (CASHED_OUT, 90_000 + 25_000)
    world.check()


def test_a_void_gives_back_what_was_not_sold() -> None:
    world = stage()
    bet = world.bet("ann", 10_000, HOME)
    sixty(world)
    sell(world, bet.id, 5_000)
    world.done(co.VoidBet, bet=bet.id, reason="palpable error")
    assert (bet.status, bet.paid_m, world.cash("ann")) == (VOID, 5_000, 90_000 + 7_500 + 5_000)
    world.check()


def test_a_customer_who_has_sold_a_share_cannot_cancel_the_rest() -> None:
    world = stage(cancel_window_ms=60_000)
    bet = world.bet("ann", 10_000, HOME)
    sell(world, bet.id, 5_000)
    assert refused(world.command(co.CancelBet, customer="ann", bet=bet.id)) == "CANCEL_NOT_ALLOWED"
    world.check()


def test_a_sale_is_answered_once() -> None:
    world = stage()
    bet = world.bet("ann", 10_000, HOME)
    quoted = offer(world, bet.id, 5_000)
    command = co.CashOut("s1", world.now + 1_000, "ann", bet.id, quoted.offer_m)
    first = world.send(command)
    assert isinstance(first, Done)
    cash_m = world.cash("ann")
    assert world.send(command) == first
    assert (world.cash("ann"), bet.running_stake_m) == (cash_m, 5_000)
    world.check()


def test_quotes_are_not_journalled_and_sales_are() -> None:
    world = stage()
    bet = world.bet("ann", 10_000, HOME)
    sixty(world)
    before = len(world.events)
    offer(world, bet.id)
    assert len(world.events) == before
    sell(world, bet.id, 5_000)
    (event,) = world.events[before:]
    assert isinstance(event, ev.BetCashedOut)
    assert (event.bet, event.stake_m, event.paid_m) == (bet.id, 5_000, 7_500)
    world.check()


def test_a_bet_that_was_sold_is_forgotten_with_its_markets() -> None:
    world = stage()
    bet = world.bet("ann", 10_000, HOME, RED)
    sell(world, bet.id)
    world.settle("match/winner", won("home"))
    world.wait(86_400_000)
    world.run()
    assert bet.id not in world.book.bets
    assert not world.at("final/winner").bets
    world.check()
