"""A bet is taken: at which price, for how much, and what is kept (RULEBOOK 2 and 3). Refusals: test_rejections."""

from __future__ import annotations

import pytest

from core.messages import commands as co
from core.messages import events as ev
from core.messages.answers import Accepted, Rejected, UsedLeg
from core.messages.commands import PricePolicy
from core.messages.results import EachWay
from tests.core.world import ANY, NOON, World, leg, refused

HOME = ("match/winner", "home", 21_500)
RED = ("final/winner", "red", 16_154)
FED = ("derby/winner", "home", 30_000)


@pytest.fixture
def world() -> World:
    world = World()
    world.customer("ann", 100_000)
    world.market("match/winner", home=21_500, away=17_000)
    world.market("final/winner", red=16_154, blue=23_000)
    return world


NONE, BETTER, TOLERANCE = PricePolicy.NONE, PricePolicy.BETTER, PricePolicy.TOLERANCE


@pytest.mark.parametrize(
    ("policy", "tolerance_bp", "asked", "used"),
    [
        (NONE, 0, 21_500, 21_500),
        (NONE, 0, 21_499, None),
        (NONE, 0, 21_501, None),
        (BETTER, 0, 21_500, 21_500),
        (BETTER, 0, 20_000, 21_500),
        (BETTER, 0, 21_501, None),
        (ANY, 0, 20_000, 21_500),
        (ANY, 0, 99_000, 21_500),
        (TOLERANCE, 500, 20_000, 21_500),
        (TOLERANCE, 500, 22_631, 21_500),  # 5 % below 2.2631 is 2.149945
        (TOLERANCE, 500, 22_632, None),  # 5 % below 2.2632 is 2.15004
        (TOLERANCE, 0, 21_501, None),
        (TOLERANCE, 10_000, 99_000, 21_500),
    ],
)
def test_the_price_policy_says_which_live_price_is_taken(
    world: World, policy: PricePolicy, tolerance_bp: int, asked: int, used: int | None
) -> None:
    answer = world.place("ann", 1_000, ("match/winner", "home", asked), policy=policy, tolerance_bp=tolerance_bp)
    if used is None:
        assert isinstance(answer, Rejected)
        assert (answer.reason, answer.price) == ("PRICE_CHANGED", 21_500)
    else:
        assert isinstance(answer, Accepted)
        assert answer.legs == (UsedLeg("match", "winner", "home", used, asked),)
    world.check()


def test_better_is_taken_unless_something_else_is_said(world: World) -> None:
    assert isinstance(world.place("ann", 1_000, ("match/winner", "home", 21_000)), Accepted)
    assert refused(world.place("ann", 1_000, ("match/winner", "home", 22_000))) == "PRICE_CHANGED"


@pytest.mark.parametrize(
    ("stake_m", "legs", "payout_m"),
    [
        (1_000, (HOME,), 2_150),
        (333, (HOME,), 715),  # 715.95
        (1_000, (RED,), 1_615),  # 1615.4
        (1_000, (HOME, RED), 3_473),  # 3473.11: the product is not rounded before the end
        (999, (HOME, RED), 3_469),  # 3469.63689
    ],
)
def test_a_payout_is_the_exact_product_rounded_down(
    world: World, stake_m: int, legs: tuple[tuple[str, str, int], ...], payout_m: int
) -> None:
    bet = world.bet("ann", stake_m, *legs)
    assert bet.payout_m == payout_m
    assert (world.cash("ann"), world.of("ann").open_stakes_m) == (100_000 - stake_m, stake_m)
    assert world.of("ann").liability_m == payout_m - stake_m
    world.check()


def test_an_accepted_bet_is_journalled_with_what_it_was_decided_on(world: World) -> None:
    """DESIGN 6: price, market version, producer and feed sequence."""
    market = world.fed_market("derby/winner", message={"in_play": True}, home=30_000)
    world.bet("ann", 1_000, ("derby/winner", "home", 29_000), RED, id="b1")
    event = world.events[-1]
    assert isinstance(event, ev.BetAccepted)
    assert (event.ts_ms, event.id, event.customer, event.currency, event.stake_m) == (NOON, "b1", "ann", "EUR", 1_000)
    assert event.legs == (
        ev.AcceptedLeg("derby", "winner", "home", 30_000, 29_000, market.version, "acme.live", 3, in_play=True),
        ev.AcceptedLeg("final", "winner", "red", 16_154, 16_154, world.at("final/winner").version, "desk", 0, False),
    )


def test_an_accepted_system_is_journalled_with_its_lines_its_terms_and_its_limits() -> None:
    """What it was decided on stands in the event: a later change of terms, rates or limits is nothing to it."""
    world = World(payout_max_m=70_000)
    world.done(co.SetRate, currency="GBP", rate=1_170_000)
    world.done(co.OpenCustomer, customer="cid", currency="GBP")
    world.done(co.Deposit, customer="cid", amount_m=10_000, provider="bank")
    world.race("ascot/win", dobbin=50_000, star=30_000, grey=80_000, bay=80_000, roan=90_000)
    world.race("epsom/win", terms=EachWay(2, 1, 3), chalk=30_000)
    legs = (
        leg("ascot/win", "dobbin", 50_000, banker=True),
        leg("epsom/win", "chalk", 25_000, starting_price=True),
    )
    answer = world.command(co.PlaceBet, customer="cid", stake_m=1_000, legs=legs, folds=(1,), each_way=True, id="b1")
    event = world.events[-1]
    assert isinstance(event, ev.BetAccepted)
    assert (event.kind, event.folds, event.lines, event.each_way) == ("system", (1,), 2, True)
    assert (event.rate, event.payout_max_m, event.reserved_m, event.free_bet) == (1_170_000, 59_829, 0, "")
    first, second = event.legs
    assert (first.banker, first.starting_price, first.place) == (True, False, EachWay(2, 1, 4))
    assert (second.banker, second.starting_price, second.place) == (False, True, EachWay(2, 1, 3))
    assert (second.price, second.requested) == (30_000, 25_000)
    # 5.00 at 5 x 3 and 5.00 at 2 x 1 2/3, both places.
    assert isinstance(answer, Accepted)
    assert (answer.payout_m, answer.lines) == (9_166, 2)
    world.check()


@pytest.mark.parametrize("policy", [NONE, BETTER, ANY, TOLERANCE])
@pytest.mark.parametrize("asked", [20_000, 21_500, 30_000])
def test_at_the_starting_price_what_the_customer_was_shown_decides_nothing(
    world: World, policy: PricePolicy, asked: int
) -> None:
    legs = (leg("match/winner", "home", asked, starting_price=True),)
    answer = world.command(co.PlaceBet, customer="ann", stake_m=1_000, legs=legs, policy=policy)
    assert isinstance(answer, Accepted)
    assert answer.legs[0].price == 21_500


def test_a_free_bet_costs_its_customer_nothing_and_its_stake_is_not_paid_back(world: World) -> None:
    world.done(co.GrantFreeBet, customer="ann", token="free", stake_m=1_000, ends_ms=NOON + 1)
    bet = world.bet("ann", 1_000, HOME, free_bet="free")
    assert (bet.payout_m, world.cash("ann"), world.of("ann").open_stakes_m) == (1_150, 100_000, 1_000)
    assert world.of("ann").liability_m == 1_150
    world.check()


def test_cash_and_a_free_bet_never_stake_one_bet(world: World) -> None:
    """RULEBOOK 2: so a free bet is not reduced, and nothing is put to it."""
    world.done(co.SetLimit, sport="football", stake_max_m=900)
    world.done(co.GrantFreeBet, customer="ann", token="free", stake_m=1_000, ends_ms=NOON + 1)
    for fields in ({"partial": True}, {"refer": True}):
        answer = world.place("ann", 1_000, HOME, free_bet="free", **fields)
        assert refused(answer) == "STAKE_TOO_LARGE"
    assert refused(world.place("ann", 800, HOME, free_bet="free")) == "FREE_BET_MISMATCH"
    world.check()


def test_a_rejected_bet_leaves_no_trace_but_its_event(world: World) -> None:
    before = world.of("ann").cash_m, world.book.liability_m, len(world.book.bets), len(world.events)
    world.place("ann", 1_000, ("match/winner", "home", 22_000), id="b1")
    assert (world.of("ann").cash_m, world.book.liability_m, len(world.book.bets)) == before[:3]
    (event,) = world.events[before[3] :]
    assert isinstance(event, ev.BetRejected)
    assert (event.id, event.price, event.legs) == ("b1", 21_500, (ev.RejectedLeg("match", "winner", "home", 22_000),))
    world.check()


def test_the_journal_keeps_of_a_refused_bet_no_more_legs_than_a_bet_may_have() -> None:
    world = World(legs_max=3)
    world.customer("ann", 1_000)
    legs = tuple((f"f{number}/winner", "home", 20_000) for number in range(10_000))
    assert refused(world.place("ann", 100, *legs)) == "TOO_MANY_LEGS"
    event = world.events[-1]
    assert isinstance(event, ev.BetRejected)
    assert len(event.legs) == 3


def test_a_refusal_of_ids_that_are_not_plain_text_can_be_journalled(world: World) -> None:
    world.place("ann", 100, ("mé\n/winner", "home", 20_000))
    event = world.events[-1]
    assert isinstance(event, ev.BetRejected)
    assert event.legs[0].fixture == "'m\\xe9\\n'"
    world.check()


@pytest.mark.parametrize(
    ("limit", "value", "legs", "stake_m"),
    [
        ("stake_max_m", 777, (HOME,), 777),
        ("payout_max_m", 1_000, (HOME,), 869),  # 10.00 / 1.15 rounded down, as published
        ("payout_max_m", 1_000, (HOME, RED), 404),  # 4.04 wins 9.99; 4.05 wins 10.01
        ("liability_market_max_m", 1_000, (HOME, RED), 870),
        ("liability_customer_max_m", 1_000, (HOME, RED), 404),
        ("liability_book_max_m", 1_000, (HOME, RED), 567),  # 6.52 at home and 3.48 on red
        ("stake_min_m", 6_000, (HOME,), 0),
    ],
)
def test_a_stake_above_a_limit_is_answered_with_the_greatest_that_is_accepted(
    limit: str, value: int, legs: tuple[tuple[str, str, int], ...], stake_m: int
) -> None:
    """RULEBOOK 3: refused with the stake that would be accepted; it reserves nothing. Two more are refused again."""
    world = World(**{limit: value})
    world.customer("ann", 100_000)
    world.market("match/winner", home=21_500, away=17_000)
    world.market("final/winner", red=16_154, blue=23_000)
    answer = world.place("ann", 5_000, *legs)
    assert isinstance(answer, Rejected)
    assert answer.stake_m == stake_m
    if stake_m:
        assert refused(world.place("ann", stake_m + 2, *legs)) == answer.reason
        assert isinstance(world.place("ann", stake_m, *legs), Accepted)
    world.check()


@pytest.mark.parametrize(
    ("limit", "value"),
    [
        ("stake_min_m", 1_000),
        ("stake_max_m", 1_000),
        ("payout_max_m", 1_150),
        ("liability_selection_max_m", 1_150),
        ("liability_market_max_m", 1_150),
        ("liability_fixture_max_m", 1_150),
        ("liability_customer_max_m", 1_150),
        ("liability_book_max_m", 1_150),
        ("legs_max", 1),
    ],
)
def test_what_is_exactly_at_a_limit_is_accepted(limit: str, value: int) -> None:
    """10.00 at 2.15 wins 11.50."""
    world = World(**{limit: value})
    world.customer("ann", 1_000)
    world.market("match/winner", home=21_500, away=17_000)
    assert isinstance(world.place("ann", 1_000, HOME), Accepted)
    world.check()


def test_a_stake_that_would_be_accepted_obeys_every_limit_not_only_the_one_named() -> None:
    world = World(stake_max_m=2_000, liability_market_max_m=1_000)
    world.customer("ann", 500)
    world.market("match/winner", home=21_500)
    answer = world.place("ann", 5_000, HOME)
    assert isinstance(answer, Rejected)
    assert (answer.reason, answer.limit, answer.stake_m) == ("STAKE_TOO_LARGE", 2_000, 500)


def test_no_stake_is_offered_where_none_would_be_accepted() -> None:
    world = World(liability_market_max_m=5)
    world.customer("ann", 500)
    world.market("match/winner", home=21_500)
    answer = world.place("ann", 100, HOME)
    assert isinstance(answer, Rejected)
    assert (answer.reason, answer.stake_m) == ("LIABILITY_MARKET", 0)


def test_a_bet_on_the_other_side_is_taken_although_the_market_is_at_its_limit() -> None:
    """Balancing the book lowers the worst case; it is never refused for it."""
    world = World(liability_market_max_m=1_150)
    world.customer("ann", 100_000)
    world.market("match/winner", home=21_500, away=17_000)
    world.bet("ann", 1_000, HOME)
    assert refused(world.place("ann", 100, HOME)) == "LIABILITY_MARKET"
    world.bet("ann", 1_000, ("match/winner", "away", 17_000))
    assert world.at("match/winner").liability_m == 150
    world.bet("ann", 800, HOME)
    world.check()


def test_a_balance_can_be_staked_to_the_last_minor_unit() -> None:
    world = World()
    world.customer("ann", 1_000)
    world.market("match/winner", home=21_500)
    world.bet("ann", 1_000, HOME)
    assert world.cash("ann") == 0
    assert refused(world.place("ann", 10, HOME)) == "BALANCE_TOO_LOW"


def test_the_longest_multiple_at_the_highest_prices_is_refused_and_not_an_overflow() -> None:
    world = World(legs_max=20)
    world.customer("ann", 10**15)
    legs = []
    for number in range(20):
        world.market(f"f{number}/winner", home=100_000_000)
        legs.append((f"f{number}/winner", "home", 100_000_000))
    answer = world.place("ann", 1_000_000, *legs)
    assert isinstance(answer, Rejected)
    assert (answer.reason, answer.stake_m) == ("PAYOUT_TOO_LARGE", 0)
    world.check()


def test_the_bets_of_one_customer_cannot_be_cancelled_by_another() -> None:
    world = World(cancel_window_ms=1_000)
    world.customer("ann", 1_000)
    world.customer("bob", 1_000)
    world.market("match/winner", home=21_500)
    world.bet("ann", 1_000, HOME, id="b1")
    assert refused(world.command(co.CancelBet, customer="bob", bet="b1")) == "BET_UNKNOWN"
