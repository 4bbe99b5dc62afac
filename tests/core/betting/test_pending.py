"""Bets that wait: for the in-play delay, for a trader, for the customer's word on an offer (RULEBOOK 3).

Every world here is held against its replay at every event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from core import ledger, snapshot
from core.engine import Engine
from core.messages import commands as co
from core.messages import events as ev
from core.messages import feed as fe
from core.messages import queries as qu
from core.messages.answers import Accepted, BetLegState, BetState, Done, MaxStake, Pending, Rejected, UsedLeg
from core.messages.commands import PricePolicy
from core.messages.rejections import Rejection
from core.messages.results import EachWay
from tests.core.world import ANY, NOON, WatchedWorld, World, journalled, leg, limits, lost, refused, won

HOME = ("match/winner", "home", 20_000)
RED = ("cup/winner", "red", 20_000)
LIVE = ("derby/winner", "home", 20_000)
NONE, BETTER, TOLERANCE = PricePolicy.NONE, PricePolicy.BETTER, PricePolicy.TOLERANCE


def stage(**changed: int | str) -> WatchedWorld:
    """A match, a cup whose bets wait 5 s, a derby in play whose bets wait 8 s; ann and bob have 1 000.00 each.

    Stakes up to 10.00 are taken without a trader.
    """
    world = WatchedWorld(**{"stake_max_m": 1_000, **changed})
    world.customer("ann", 100_000)
    world.customer("bob", 100_000)
    world.market("match/winner", home=20_000, away=18_000)
    world.defined("cup/winner", {"red": 20_000, "blue": 18_000}, delay_ms=5_000)
    world.fed_market("derby/winner", message={"in_play": True, "delay_ms": 8_000}, home=20_000, away=18_000)
    return world


@pytest.fixture
def world() -> Iterator[WatchedWorld]:
    world = stage()
    yield world
    world.check()


def money(world: World, name: str = "ann") -> tuple[int, int, int]:
    """Cash, stakes of bets that wait, stakes of open bets."""
    customer = world.of(name)
    return customer.cash_m, customer.reserved_m, customer.open_stakes_m


def ended(world: World, bet: str) -> tuple[str, int]:
    """Why a bet that has waited was refused, and the stake that would have been accepted."""
    answer = world.send(qu.GetBet(bet))
    assert isinstance(answer, Rejected), answer
    return answer.reason, answer.stake_m


# The delay.


def test_a_bet_in_play_waits_its_stake_reserved_and_is_accepted_at_the_end(world: World) -> None:
    world.wait(1)
    assert world.place("ann", 1_000, LIVE, id="b1") == Pending("b1", NOON + 1, "delayed", NOON + 8_001)
    assert money(world) == (99_000, 1_000, 0)
    world.wait(7_999)
    assert world.tick() == []
    world.wait(1)
    (event,) = world.tick()
    assert isinstance(event, ev.BetAccepted)
    assert (event.ts_ms, event.id, event.stake_m, event.reserved_m) == (NOON + 8_001, "b1", 1_000, 1_000)
    assert money(world) == (99_000, 0, 1_000)
    assert world.state("b1").status == "open"


def test_only_in_play_does_a_feeds_market_wait_and_the_desks_always() -> None:
    world = stage()
    world.fed_market("later/winner", "dead", message={"delay_ms": 8_000}, home=20_000)
    assert isinstance(world.place("ann", 100, ("later/winner", "home", 20_000)), Accepted)
    assert isinstance(world.place("ann", 100, RED), Pending)


def test_of_several_legs_the_longest_delay_holds(world: World) -> None:
    assert world.waiting("ann", 100, RED, LIVE, HOME).until_ms == NOON + 8_000
    assert world.waiting("ann", 100, HOME, RED).until_ms == NOON + 5_000


def test_a_bet_that_waits_is_told_as_it_was_asked_for(world: World) -> None:
    world.place("ann", 900, LIVE, RED, id="b1")
    legs = (
        BetLegState("derby", "winner", "home", 20_000, 20_000, "open"),
        BetLegState("cup", "winner", "red", 20_000, 20_000, "open"),
    )
    state = BetState("b1", "ann", NOON, 900, 0, 0, "delayed", legs, until_ms=NOON + 8_000)
    assert world.state("b1") == state


def test_a_system_that_waits_is_told_with_its_lines(world: World) -> None:
    world.place("ann", 25, HOME, LIVE, RED, id="b1", folds=(1, 2), unit_stake=True)
    state = world.state("b1")
    assert (state.kind, state.lines, state.stake_m) == ("system", 6, 150)


@pytest.mark.parametrize(
    ("policy", "tolerance_bp", "live", "used"),
    [
        (NONE, 0, 20_000, 20_000),
        (NONE, 0, 20_001, None),
        (NONE, 0, 19_999, None),
        (BETTER, 0, 21_000, 21_000),
        (BETTER, 0, 19_999, None),
        (ANY, 0, 15_000, 15_000),
        (TOLERANCE, 500, 19_000, 19_000),
        (TOLERANCE, 500, 18_999, None),
    ],
)
def test_at_the_end_the_policy_says_which_live_price_is_taken(
    world: World, policy: PricePolicy, tolerance_bp: int, live: int, used: int | None
) -> None:
    world.waiting("ann", 1_000, RED, id="b1", policy=policy, tolerance_bp=tolerance_bp)
    world.price("cup/winner", "red", live)
    world.wait(5_000)
    world.tick()
    if used is None:
        assert world.send(qu.GetBet("b1")) == Rejected("b1", "PRICE_CHANGED", leg=0, price=live)
        assert money(world) == (100_000, 0, 0)
    else:
        again = world.place("ann", 1_000, RED, id="b1", policy=policy, tolerance_bp=tolerance_bp)
        assert isinstance(again, Accepted)
        assert again.legs == (UsedLeg("cup", "winner", "red", used, 20_000),)


def test_a_price_that_came_back_in_time_is_taken(world: World) -> None:
    world.waiting("ann", 1_000, RED, id="b1")
    world.price("cup/winner", "red", 15_000)
    world.wait(4_000)
    world.price("cup/winner", "red", 20_000)
    world.wait(1_000)
    world.tick()
    assert world.state("b1").status == "open"


def _suspend_ann(world: World) -> None:
    world.done(co.SetCustomerStatus, customer="ann", suspended=True, reason="")


@pytest.mark.parametrize(
    ("happens", "reason"),
    [
        (lambda world: world.feed(fe.Suspend, fixture="derby"), "MARKET_SUSPENDED"),
        (lambda world: world.desk(co.SuspendMarket, "derby/winner"), "MARKET_SUSPENDED"),
        (lambda world: world.settle("derby/winner", won("home")), "MARKET_CLOSED"),
        (lambda world: world.cancel("derby/winner", NOON, NOON + 10_000), "MARKET_CLOSED"),
        (lambda world: world.feed(fe.Heartbeat, sequence=1_000), "PRODUCER_DOWN"),
        (lambda world: world.odds("derby/winner", away=20_000, message={"in_play": True}), "SELECTION_UNPRICED"),
        (_suspend_ann, "CUSTOMER_SUSPENDED"),
        (lambda world: world.done(co.SetLimit, sport="football", stake_max_m=999), "STAKE_TOO_LARGE"),
        (lambda world: world.done(co.SetLimit, fixture="derby", liability_max_m=999), "LIABILITY_FIXTURE"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_what_happens_meanwhile_refuses_it(world: World, happens: Callable[[World], Any], reason: str) -> None:
    world.wait(1)
    world.waiting("ann", 1_000, LIVE, id="b1")
    happens(world)
    assert money(world) == (99_000, 1_000, 0)
    world.wait(8_000)
    world.run()
    assert ended(world, "b1")[0] == reason
    assert money(world) == (100_000, 0, 0)


def _by_feed(world: World) -> None:
    world.feed(fe.Suspend, fixture="derby")
    world.wait(1)
    world.odds("derby/winner", home=20_000, away=18_000, message={"in_play": True})


def _by_odds(world: World) -> None:
    world.odds("derby/winner", home=20_000, message={"in_play": True, "status": fe.FeedStatus.SUSPENDED})
    world.odds("derby/winner", home=20_000, away=18_000, message={"in_play": True})


def _by_the_desk(world: World) -> None:
    world.desk(co.SuspendMarket, "derby/winner")
    world.desk(co.OpenMarket, "derby/winner")


def _recovered(world: World) -> None:
    world.feed(fe.RecoveryBegin)
    world.image("derby/winner", message={"in_play": True, "delay_ms": 8_000}, home=20_000, away=18_000)
    world.feed(fe.RecoveryEnd)


def _by_a_gap(world: World) -> None:
    world.feed(fe.Heartbeat, sequence=1_000)
    world.wait(1_000)
    _recovered(world)


def _by_a_restart(world: World) -> None:
    world.restart()
    _recovered(world)


@pytest.mark.parametrize("lost", [_by_a_gap, _by_a_restart])
def test_a_producer_that_was_lost_meanwhile_refuses_it_though_it_has_recovered(
    lost: Callable[[World], None],
) -> None:
    """Nobody knows whether it has suspended."""
    world = stage()
    world.wait(1)
    world.waiting("ann", 1_000, LIVE, id="b1")
    world.wait(4_000)
    lost(world)
    world.waiting("ann", 1_000, RED, id="b2")
    world.wait(5_000)
    world.tick()
    assert world.send(qu.GetBet("b1")) == Rejected("b1", "PRODUCER_DOWN", leg=0, price=20_000)
    assert world.state("b2").status == "open"


def test_a_snapshot_knows_of_a_suspension_by_the_desk_that_was_lifted(world: World) -> None:
    world.waiting("ann", 1_000, RED, id="b1")
    world.wait(1_000)
    world.desk(co.SuspendMarket, "cup/winner")
    world.desk(co.OpenMarket, "cup/winner")
    restored = Engine(world.engine.limits, snapshot.restore(snapshot.encode(world.book)))
    decided = [getattr(event, "reason", None) for event in restored.tick(NOON + 5_000)]
    assert decided == [Rejection.MARKET_SUSPENDED]


@pytest.mark.parametrize("suspended", [_by_feed, _by_odds, _by_the_desk])
def test_a_suspension_meanwhile_refuses_it_though_it_was_lifted_in_time(
    world: World, suspended: Callable[[World], None]
) -> None:
    """RULEBOOK 3. One before the bet is no matter."""
    suspended(world)
    world.wait(1)
    world.waiting("ann", 1_000, LIVE, id="b1")
    world.wait(4_000)
    world.waiting("ann", 1_000, RED, LIVE, id="b2")
    world.wait(4_000)
    world.tick()
    assert world.state("b1").status == "open"
    suspended(world)
    world.wait(4_000)
    world.tick()
    assert world.send(qu.GetBet("b2")) == Rejected("b2", "MARKET_SUSPENDED", leg=1, price=20_000)
    assert money(world) == (99_000, 0, 1_000)


def test_a_part_of_a_bet_builder_that_was_suspended_meanwhile_refuses_it(world: World) -> None:
    world.market("match/goals", over=18_500, under=20_500)
    parts = (("winner", "home"), ("goals", "over"))
    world.defined("match/both", {"yes": 34_000}, parts=parts, delay_ms=5_000)
    world.waiting("ann", 1_000, ("match/both", "yes", 34_000), id="b1")
    world.wait(1_000)
    world.desk(co.SuspendMarket, "match/goals")
    world.desk(co.OpenMarket, "match/goals")
    world.wait(4_000)
    world.tick()
    assert ended(world, "b1")[0] == "MARKET_SUSPENDED"


def test_after_a_restart_a_bet_on_a_feed_that_has_not_recovered_is_refused(world: WatchedWorld) -> None:
    """Prices are never trusted across a restart (DESIGN 6)."""
    world.waiting("ann", 1_000, LIVE, id="b1")
    world.waiting("ann", 1_000, RED, id="b2")
    rebuilt = _rebuilt(world)
    rebuilt.start("engine-2", "0.1.0", NOON)
    reasons = [getattr(event, "reason", None) for event in rebuilt.tick(NOON + 8_000)]
    assert reasons == [None, 211]
    assert rebuilt.book.bets.keys() == {"b2"}


@pytest.mark.parametrize(("limit", "reason"), [("market", "LIABILITY_MARKET"), ("customer", "LIABILITY_CUSTOMER")])
def test_limits_are_looked_at_again_at_the_end(limit: str, reason: str) -> None:
    """Two bets that wait reserve no liability: each would be accepted, not both."""
    world = stage(**{f"liability_{limit}_max_m": 1_500})
    world.waiting("ann", 1_000, RED, id="b1")
    world.wait(1)
    world.waiting("ann", 1_000, RED, id="b2")
    world.wait(5_000)
    world.tick()
    assert world.state("b1").status == "open"
    assert ended(world, "b2") == (reason, 500)
    assert money(world) == (99_000, 0, 1_000)
    world.check()


def test_the_balance_is_not_asked_for_twice() -> None:
    world = stage()
    world.customer("cid", 1_000)
    world.waiting("cid", 1_000, RED, id="b1")
    assert refused(world.place("cid", 10, HOME)) == "BALANCE_TOO_LOW"
    assert refused(world.command(co.Withdraw, customer="cid", amount_m=1, provider="bank")) == "BALANCE_TOO_LOW"
    world.wait(5_000)
    world.tick()
    assert money(world, "cid") == (0, 0, 1_000)
    world.check()


def test_a_retry_is_told_that_it_waits_and_then_what_came_of_it(world: World) -> None:
    deadline = {"expires_ms": NOON + 1_000}
    first = world.place("ann", 1_000, RED, id="b1", **deadline)
    events = len(world.events)
    assert world.place("ann", 1_000, RED, id="b1", **deadline) == first
    assert refused(world.place("ann", 999, RED, id="b1")) == "DUPLICATE_ID"
    assert len(world.events) == events + 1
    world.wait(5_000)
    world.tick()
    # Its deadline is past by now: it was decided on in time.
    again = world.place("ann", 1_000, RED, id="b1", **deadline)
    assert again == Accepted("b1", NOON + 5_000, 1_000, 2_000, (UsedLeg("cup", "winner", "red", 20_000, 20_000),))


def test_a_retry_of_a_bet_that_was_refused_at_the_end_is_refused_the_same_again(world: World) -> None:
    world.place("ann", 1_000, RED, id="b1")
    world.price("cup/winner", "red", 15_000)
    world.wait(5_000)
    world.tick()
    world.price("cup/winner", "red", 20_000)
    again = world.place("ann", 1_000, RED, id="b1")
    assert again == world.send(qu.GetBet("b1")) == Rejected("b1", "PRICE_CHANGED", leg=0, price=15_000)


def test_an_id_that_waits_is_taken_for_every_command(world: World) -> None:
    world.place("ann", 1_000, RED, id="b1")
    answer = world.command(co.Deposit, id="b1", customer="ann", amount_m=1, provider="bank")
    assert refused(answer) == "DUPLICATE_ID"
    world.wait(5_000)
    world.tick()
    assert world.state("b1").status == "open"


def test_a_free_bet_waits_without_a_reserve_and_a_token_stakes_one_bet(world: World) -> None:
    world.done(co.GrantFreeBet, customer="ann", token="free", stake_m=500, ends_ms=NOON + 100_000)
    world.waiting("ann", 500, RED, id="b1", free_bet="free")
    world.waiting("ann", 250, HOME, RED, id="b2", free_bet="free", folds=(1,), unit_stake=True)
    assert money(world) == (100_000, 0, 0)
    for bet in ("b1", "b2"):
        assert (world.state(bet).stake_m, world.state(bet).free_bet) == (500, True)
    world.wait(5_000)
    world.tick()
    assert world.state("b1").status == "open"
    assert ended(world, "b2")[0] == "FREE_BET_UNKNOWN"
    assert money(world) == (100_000, 0, 500)
    assert world.book.house["house:bonus", "EUR"] == -500


def test_a_free_bet_that_ends_meanwhile_stakes_nothing(world: World) -> None:
    world.done(co.GrantFreeBet, customer="ann", token="free", stake_m=500, ends_ms=NOON + 5_000)
    world.waiting("ann", 500, RED, id="b1", free_bet="free")
    world.wait(5_000)
    world.run()
    assert ended(world, "b1")[0] == "FREE_BET_UNKNOWN"


def test_only_so_many_bets_of_one_customer_wait() -> None:
    world = stage(pending_customer_max=2)
    for _ in range(2):
        world.waiting("ann", 100, RED)
    answer = world.place("ann", 100, RED, id="b3")
    assert answer == Rejected("b3", "TOO_MANY_PENDING", limit=2)
    assert world.send(qu.GetMaxStake("ann", (leg(*RED),))) == Rejected("", "TOO_MANY_PENDING", limit=2)
    assert isinstance(world.send(qu.GetMaxStake("ann", (leg(*HOME),))), MaxStake)
    assert isinstance(world.place("ann", 100, HOME), Accepted)
    assert isinstance(world.place("bob", 100, RED), Pending)
    world.wait(5_000)
    world.tick()
    world.waiting("ann", 100, RED)
    world.check()


def test_only_so_many_bets_wait_in_all() -> None:
    world = stage(pending_max=1)
    world.waiting("ann", 100, RED)
    answer = world.place("bob", 100, RED, id="b2")
    assert answer == Rejected("b2", "BUSY", limit=1, detail="bets that wait")
    world.wait(5_000)
    world.tick()
    assert isinstance(world.place("bob", 100, RED, id="b2"), Pending)


def test_how_fast_he_bets_is_asked_once(world: World) -> None:
    """A bet that waits has used up its pace when it was placed."""
    world.engine.limits = limits(velocity_bets_max=1)
    world.waiting("ann", 100, RED, id="b1")
    assert refused(world.place("ann", 100, HOME)) == "TOO_FAST"
    world.wait(5_000)
    world.tick()
    assert world.state("b1").status == "open"


# Order.


def test_what_falls_due_in_one_tick_is_decided_in_order_of_time_then_of_arrival() -> None:
    """Whatever the ids: the first has the liability that is left, the next ones have none."""
    world = stage(liability_book_max_m=1_000)
    world.waiting("ann", 1_000, LIVE, id="a, due last")
    world.wait(1_000)
    world.waiting("ann", 1_000, RED, id="z, due first")
    world.waiting("ann", 1_000, RED, id="b, at the same time")
    world.wait(10_000)
    decided = [(event.id, type(event)) for event in world.tick() if isinstance(event, ev.BetAccepted | ev.BetRejected)]
    assert decided == [
        ("z, due first", ev.BetAccepted),
        ("b, at the same time", ev.BetRejected),
        ("a, due last", ev.BetRejected),
    ]
    world.check()


def test_the_order_is_the_same_after_a_restart() -> None:
    world = stage(liability_book_max_m=1_000)
    for name in ("z", "y", "a"):
        world.waiting("ann", 1_000, RED, id=name)
    rebuilt = _rebuilt(world)
    decided = [getattr(event, "id", "") for event in rebuilt.tick(NOON + 5_000)]
    assert decided == ["z", "y", "a"]
    assert rebuilt.book.bets.keys() == {"z"}


def test_an_offer_has_its_turn_by_its_end_after_a_restart_too() -> None:
    """Not by the moment at which the trader answered."""
    world = stage(stake_max_m=1_500)
    world.waiting("ann", 2_000, HOME, id="offered", refer=True)
    world.judge("offered", "offer", stake_m=1_500, until_ms=NOON + 9_000)
    world.waiting("ann", 1_000, RED, id="delayed")
    rebuilt = _rebuilt(world)
    decided = [getattr(event, "id", "") for event in rebuilt.tick(NOON + 10_000)]
    assert decided == ["delayed", "offered"]


def test_times_of_bets_that_wait_no_more_do_not_pile_up() -> None:
    world = World(stake_max_m=1_000, referral_ms=600_000, velocity_bets_max=10_000)
    world.customer("ann", 100_000)
    world.market("match/winner", home=20_000)
    for number in range(2_500):
        world.waiting("ann", 2_000, HOME, id=f"b{number}", refer=True)
        assert isinstance(world.decline("ann", f"b{number}"), Done)
    assert len(world.book.deciding) <= 1_000
    assert money(world) == (100_000, 0, 0)
    world.check()


# Partial stakes.


def test_a_partial_stake_is_taken_at_once(world: World) -> None:
    """RULEBOOK 3: FILLMAXLIMIT."""
    answer = world.place("ann", 5_000, HOME, id="b1", partial=True)
    used = (UsedLeg("match", "winner", "home", 20_000, 20_000),)
    assert answer == Accepted("b1", NOON, 1_000, 2_000, used)
    assert money(world) == (99_000, 0, 1_000)
    assert world.place("ann", 5_000, HOME, id="b1", partial=True) == answer


def test_a_partial_stake_obeys_every_limit_and_the_balance() -> None:
    """The published one: 100 at 2.36 with a maximum payout of 100 net -> 73.52."""
    world = stage(stake_max_m=50_000, payout_max_m=10_000, liability_book_max_m=12_000)
    world.price("match/winner", "home", 23_600)
    first = world.bet("ann", 10_000, ("match/winner", "home", 23_600), partial=True)
    second = world.bet("bob", 10_000, ("match/winner", "home", 23_600), partial=True)
    assert (first.stake_m, second.stake_m) == (7_352, 1_472)  # they win 99.98 and 20.01, of 120.00
    world.customer("cid", 300)
    third = world.place("cid", 400, ("match/winner", "away", 18_000), partial=True)
    assert isinstance(third, Rejected)
    assert (third.reason, third.stake_m) == ("BALANCE_TOO_LOW", 300)
    world.check()


def test_no_partial_stake_is_taken_where_none_is_accepted(world: World) -> None:
    world.done(co.SetLimit, fixture="match", liability_max_m=5)
    assert world.place("ann", 1_000, HOME, id="b1", partial=True) == Rejected(
        "b1", "LIABILITY_FIXTURE", leg=0, price=20_000, limit=5
    )


def test_a_partial_stake_that_waits_is_never_more_than_it_has_reserved(world: World) -> None:
    """Also where the limits would take more by then."""
    world.waiting("ann", 5_000, RED, id="b1", partial=True)
    assert money(world) == (99_000, 1_000, 0)
    world.done(co.SetLimit, sport="football", stake_max_m=4_000)
    world.wait(5_000)
    world.tick()
    assert world.state("b1").stake_m == 1_000
    assert money(world) == (99_000, 0, 1_000)


def test_a_partial_stake_that_waits_is_reduced_again_where_it_has_to_be(world: World) -> None:
    world.waiting("ann", 5_000, RED, id="b1", partial=True)
    world.done(co.SetLimit, sport="football", stake_max_m=400)
    world.wait(5_000)
    world.tick()
    assert world.state("b1").stake_m == 400
    assert money(world) == (99_600, 0, 400)


# Referral to a trader.


@pytest.mark.parametrize(
    ("limit", "value", "why"),
    [
        ("stake_max_m", 1_000, (310, -1, 1_000, 1_000)),
        ("payout_max_m", 700, (320, -1, 700, 700)),
        ("liability_market_max_m", 600, (410, 0, 600, 600)),
        ("liability_book_max_m", 600, (440, -1, 600, 600)),
    ],
)
def test_a_bet_above_a_limit_goes_to_a_trader_with_the_reason(
    limit: str, value: int, why: tuple[int, int, int, int]
) -> None:
    world = stage(**{"stake_max_m": 100_000, limit: value})
    assert world.place("ann", 2_000, HOME, id="b1", refer=True) == Pending("b1", NOON, "referred", NOON + 60_000)
    event = world.events[-1]
    assert isinstance(event, ev.BetPending)
    assert (event.reason, event.leg, event.limit, event.stake_accepted_m) == why
    assert money(world) == (98_000, 2_000, 0)
    assert world.state("b1").status == "referred"
    world.check()


@pytest.mark.parametrize(
    ("stake_m", "legs", "fields", "reason"),
    [
        (2_000, (HOME,), {"refer": False}, "STAKE_TOO_LARGE"),
        (200_000, (HOME,), {}, "STAKE_TOO_LARGE"),  # more than she has
        (5, (HOME,), {}, "STAKE_TOO_SMALL"),
        (2_000, (("match/winner", "home", 21_000),), {}, "PRICE_CHANGED"),
        (2_000, (HOME,), {"free_bet": "free"}, "STAKE_TOO_LARGE"),
    ],
)
def test_other_refusals_are_no_traders_business(
    world: World, stake_m: int, legs: tuple[tuple[str, str, int], ...], fields: dict[str, Any], reason: str
) -> None:
    assert refused(world.place("ann", stake_m, *legs, **{"refer": True, **fields})) == reason
    assert not world.book.pending


def test_a_bet_within_the_limits_is_not_referred_and_a_partial_one_neither(world: World) -> None:
    assert isinstance(world.place("ann", 1_000, HOME, refer=True), Accepted)
    assert isinstance(world.place("ann", 5_000, HOME, refer=True, partial=True), Accepted)


def test_a_trader_who_accepts_waives_stake_and_payout(world: World) -> None:
    world.waiting("ann", 2_000, HOME, id="b1", refer=True)
    world.wait(10_000)
    assert world.judge("b1", "accept", id="j1") == Done("j1", NOON + 10_000)
    answered, accepted = world.events[-2:]
    assert isinstance(answered, ev.ReferralAnswered)
    assert isinstance(accepted, ev.BetAccepted)
    assert (answered.author, answered.action, accepted.stake_m, accepted.ts_ms) == (
        "trader",
        "accept",
        2_000,
        NOON + 10_000,
    )
    assert money(world) == (98_000, 0, 2_000)
    world.settle("match/winner", won("home"))
    assert world.cash("ann") == 102_000


def test_a_trader_cannot_pass_a_liability_limit() -> None:
    world = stage(stake_max_m=100_000, liability_market_max_m=1_500)
    world.waiting("ann", 2_000, HOME, id="b1", refer=True)
    offer = world.judge("b1", "offer", stake_m=1_600)
    assert isinstance(offer, Rejected)
    assert (offer.reason, offer.limit) == ("LIABILITY_MARKET", 1_500)
    assert world.state("b1").status == "referred"  # he may try again
    assert isinstance(world.judge("b1", "accept"), Done)
    assert ended(world, "b1") == ("LIABILITY_MARKET", 1_500)
    assert money(world) == (100_000, 0, 0)
    world.check()


@pytest.mark.parametrize(
    ("live", "policy", "status"),
    [
        (19_000, BETTER, "PRICE_CHANGED"),
        (19_000, ANY, "open"),
        (21_000, BETTER, "open"),
        (21_000, NONE, "PRICE_CHANGED"),
    ],
)
def test_what_a_trader_accepts_is_taken_at_the_live_price_under_the_bets_policy(
    world: World, live: int, policy: PricePolicy, status: str
) -> None:
    world.waiting("ann", 2_000, HOME, id="b1", refer=True, policy=policy)
    world.price("match/winner", "home", live)
    assert isinstance(world.judge("b1", "accept"), Done)
    if status == "open":
        assert world.book.bets["b1"].legs[0].price == live
    else:
        assert ended(world, "b1")[0] == status


def test_a_trader_declines_with_a_reason(world: World) -> None:
    world.waiting("ann", 2_000, HOME, id="b1", refer=True)
    assert isinstance(world.judge("b1", "decline", reason="arbitrage"), Done)
    assert world.send(qu.GetBet("b1")) == Rejected("b1", "REFERRAL_DECLINED", detail="arbitrage")
    assert money(world) == (100_000, 0, 0)


def test_a_bet_that_no_trader_answers_in_time_is_refused(world: World) -> None:
    world.waiting("ann", 2_000, HOME, id="b1", refer=True)
    world.wait(59_999)
    assert world.tick() == []
    world.wait(1)
    world.tick()
    assert ended(world, "b1")[0] == "REFERRAL_EXPIRED"
    assert refused(world.judge("b1", "accept")) == "BET_NOT_PENDING"
    assert money(world) == (100_000, 0, 0)


def test_a_customer_takes_a_bet_back_that_waits_for_a_trader(world: World) -> None:
    world.waiting("ann", 2_000, HOME, id="b1", refer=True)
    assert isinstance(world.decline("ann", "b1"), Done)
    assert ended(world, "b1")[0] == "OFFER_DECLINED"
    assert refused(world.judge("b1", "accept")) == "BET_NOT_PENDING"
    assert money(world) == (100_000, 0, 0)


def test_of_two_traders_the_first_is_heard(world: World) -> None:
    world.waiting("ann", 2_000, HOME, id="b1", refer=True)
    assert isinstance(world.judge("b1", "offer", author="first", stake_m=1_500), Done)
    for action in ("offer", "accept", "decline"):
        assert refused(world.judge("b1", action, author="second")) == "BET_NOT_PENDING"
    assert world.state("b1").stake_m == 1_500


def test_a_referred_bet_that_a_trader_accepts_in_play_does_not_wait_again(world: World) -> None:
    """He has looked at it for longer than the delay is."""
    world.waiting("ann", 2_000, LIVE, id="b1", refer=True)
    assert world.state("b1").status == "referred"
    assert isinstance(world.judge("b1", "accept"), Done)
    assert world.state("b1").status == "open"


# Offers.


def test_an_offer_of_a_smaller_stake_gives_the_rest_back_and_is_reserved_until_it_ends(world: World) -> None:
    world.waiting("ann", 2_000, HOME, id="b1", refer=True)
    world.wait(1_000)
    assert isinstance(world.judge("b1", "offer", stake_m=1_500), Done)
    assert money(world) == (98_500, 1_500, 0)
    legs = (BetLegState("match", "winner", "home", 20_000, 20_000, "open"),)
    offered = BetState("b1", "ann", NOON, 1_500, 3_000, 0, "offered", legs, until_ms=NOON + 31_000)
    assert world.state("b1") == offered
    assert (world.of("ann").liability_m, world.book.liability_m) == (1_500, 1_500)
    assert world.take("ann", "b1", id="t1") == Done("t1", NOON + 1_000)
    assert money(world) == (98_500, 0, 1_500)
    assert (world.of("ann").liability_m, world.book.liability_m) == (1_500, 1_500)
    again = world.place("ann", 2_000, HOME, id="b1", refer=True)
    used = (UsedLeg("match", "winner", "home", 20_000, 20_000),)
    assert again == Accepted("b1", NOON + 1_000, 1_500, 3_000, used)


def test_an_offered_price_holds_whatever_the_live_one_does(world: World) -> None:
    world.waiting("ann", 2_000, HOME, RED, id="b1", refer=True)
    assert isinstance(world.judge("b1", "offer", prices=(17_000, 19_000)), Done)
    assert world.state("b1").payout_m == 6_460
    world.price("match/winner", "home", 11_000)
    assert isinstance(world.take("ann", "b1"), Done)
    bet = world.book.bets["b1"]
    assert [(each.price, each.requested) for each in bet.legs] == [(17_000, 20_000), (19_000, 20_000)]
    assert (bet.stake_m, bet.payout_m) == (2_000, 6_460)
    world.settle("match/winner", won("home"))
    world.settle("cup/winner", won("red"))
    assert world.cash("ann") == 104_460


def test_an_offer_without_prices_is_at_the_live_ones_whatever_the_policy(world: World) -> None:
    world.waiting("ann", 2_000, HOME, id="b1", refer=True, policy=NONE)
    world.price("match/winner", "home", 19_000)
    assert refused(world.judge("b1", "offer")) == "PRICE_CHANGED"
    assert isinstance(world.judge("b1", "offer", prices=(19_000,)), Done)
    assert world.state("b1").legs[0].price == 19_000


@pytest.mark.parametrize("answer", ["declined", "expired"])
def test_an_offer_that_is_not_taken_gives_everything_back(world: World, answer: str) -> None:
    world.waiting("ann", 2_000, HOME, id="b1", refer=True)
    assert isinstance(world.judge("b1", "offer", stake_m=1_500, until_ms=NOON + 7_000), Done)
    world.wait(6_999)
    assert world.tick() == []
    if answer == "declined":
        assert isinstance(world.decline("ann", "b1"), Done)
    else:
        world.wait(1)
        world.tick()
    assert ended(world, "b1")[0] == f"OFFER_{answer.upper()}"
    assert money(world) == (100_000, 0, 0)
    assert (world.of("ann").liability_m, world.book.liability_m) == (0, 0)
    assert refused(world.take("ann", "b1")) == "BET_NOT_PENDING"


@pytest.mark.parametrize("level", ["selection", "market", "fixture", "customer", "book"])
def test_while_an_offer_stands_another_bet_is_refused_for_its_liability(level: str) -> None:
    world = stage(**{f"liability_{level}_max_m": 2_000})
    world.waiting("ann", 1_900, HOME, id="b1", refer=True)
    assert isinstance(world.judge("b1", "offer"), Done)
    other = "ann" if level == "customer" else "bob"
    answer = world.place(other, 200, HOME)
    assert isinstance(answer, Rejected)
    assert (answer.reason, answer.stake_m) == (f"LIABILITY_{level.upper()}", 100)
    world.wait(30_000)
    world.tick()
    assert isinstance(world.place(other, 200, HOME), Accepted)
    world.check()


@pytest.mark.parametrize(
    ("fields", "limit", "detail"),
    [
        ({"stake_m": 2_001}, 2_000, "the stake is above what was asked"),
        ({"prices": (20_000, 20_000)}, 1, "one price for each leg"),
        ({"until_ms": NOON}, NOON + 600_000, "until when it stands"),
        ({"until_ms": NOON + 600_001}, NOON + 600_000, "until when it stands"),
        ({"action": "accept", "stake_m": 1_000}, 0, "stake, prices and time are those of an offer"),
        ({"action": "accept", "prices": (20_000,)}, 0, "stake, prices and time are those of an offer"),
        ({"action": "decline", "until_ms": NOON + 1}, 0, "stake, prices and time are those of an offer"),
    ],
)
def test_an_offer_that_cannot_be_is_refused_and_the_bet_goes_on_waiting(
    world: World, fields: dict[str, Any], limit: int, detail: str
) -> None:
    world.waiting("ann", 2_000, HOME, id="b1", refer=True)
    answer = world.command(co.AnswerReferral, id="j1", bet="b1", **{"action": "offer", **fields})
    assert answer == Rejected("j1", "OFFER_NOT_VALID", limit=limit, detail=detail)
    assert world.state("b1").status == "referred"
    assert isinstance(world.judge("b1", "offer", stake_m=2_000, until_ms=NOON + 600_000), Done)


def test_an_offer_is_at_no_greater_price_than_there_is() -> None:
    world = stage(price_max=50_000)
    world.waiting("ann", 2_000, HOME, id="b1", refer=True)
    answer = world.judge("b1", "offer", prices=(50_001,), id="j1")
    assert answer == Rejected("j1", "OFFER_NOT_VALID", limit=50_000, detail="a price above the greatest there is")
    assert isinstance(world.judge("b1", "offer", prices=(50_000,)), Done)
    world.check()


def test_an_offer_is_of_the_least_stake_at_least(world: World) -> None:
    world.waiting("ann", 2_000, HOME, id="b1", refer=True)
    assert world.judge("b1", "offer", stake_m=9, id="j1") == Rejected("j1", "STAKE_TOO_SMALL", limit=10)
    assert isinstance(world.judge("b1", "offer", stake_m=10), Done)


def test_nobody_answers_for_another_or_before_he_is_asked(world: World) -> None:
    world.waiting("ann", 2_000, HOME, id="referred", refer=True)
    world.waiting("ann", 500, RED, id="delayed")
    assert refused(world.take("ann", "referred")) == "BET_NOT_PENDING"
    assert refused(world.decline("ann", "delayed")) == "BET_NOT_PENDING"
    assert refused(world.judge("delayed", "accept")) == "BET_NOT_PENDING"
    assert refused(world.judge("nothing", "accept")) == "BET_NOT_PENDING"
    assert refused(world.decline("bob", "referred")) == "BET_NOT_PENDING"
    assert isinstance(world.judge("referred", "offer"), Done)
    assert refused(world.take("bob", "referred")) == "BET_NOT_PENDING"
    assert isinstance(world.take("ann", "referred"), Done)
    assert refused(world.take("ann", "referred")) == "BET_NOT_PENDING"


def test_an_offer_is_taken_only_while_its_markets_are_open(world: World) -> None:
    world.waiting("ann", 2_000, HOME, RED, id="b1", refer=True)
    assert isinstance(world.judge("b1", "offer"), Done)
    world.desk(co.SuspendMarket, "cup/winner")
    answer = world.take("ann", "b1", id="t1")
    assert answer == Rejected("t1", "MARKET_SUSPENDED", leg=1, price=20_000)
    assert world.take("ann", "b1", id="t1") == answer
    assert world.state("b1").status == "offered"
    world.desk(co.OpenMarket, "cup/winner")
    assert isinstance(world.take("ann", "b1"), Done)
    assert world.state("b1").status == "open"


@pytest.mark.parametrize(
    ("runner", "at_ms", "reason"),
    [
        ("dobbin", NOON + 2, "SELECTION_UNPRICED"),
        ("star", NOON + 2, "PRICE_CHANGED"),
        ("star", NOON + 1, None),  # by when the offer was made
    ],
)
def test_an_offer_on_a_runner_ends_with_the_field_it_was_made_for(
    world: World, runner: str, at_ms: int, reason: str | None
) -> None:
    """Its price was made with him in the race, and Rule 4 is for bets struck before the withdrawal."""
    world.race("ascot/win", dobbin=50_000, star=20_000, grey=80_000)
    world.waiting("ann", 2_000, ("ascot/win", "dobbin", 50_000), id="b1", refer=True)
    world.wait(1)
    assert isinstance(world.judge("b1", "offer"), Done)
    world.wait(10)
    world.desk(co.WithdrawSelection, "ascot/win", selection=runner, price=20_000, at_ms=at_ms)
    answer = world.take("ann", "b1")
    assert (refused(answer) if isinstance(answer, Rejected) else None) == reason
    world.run()
    assert world.state("b1").status == ("offered" if reason else "open")


def test_an_offer_is_the_same_state_after_a_restart_whatever_became_of_its_legs(world: World) -> None:
    """What an offer has reserved stays until it ends; nothing runs on, as of a bet, when a leg is won."""
    terms = EachWay(2, 1, 4)
    world.race("ascot/win", terms=terms, dobbin=50_000, star=20_000, grey=80_000)
    world.race("epsom/win", terms=terms, bay=30_000, roan=20_000, black=80_000)
    legs = ("ascot/win", "dobbin", 50_000), ("epsom/win", "bay", 30_000), HOME
    world.waiting("ann", 2_000, *legs[:2], id="each-way", refer=True, each_way=True)
    world.waiting("bob", 2_000, legs[0], HOME, RED, id="system", refer=True, folds=(2,))
    world.waiting("bob", 2_000, HOME, RED, id="double", refer=True)
    for bet in ("each-way", "system", "double"):
        assert isinstance(world.judge(bet, "offer", stake_m=1_800), Done)
    world.check()
    world.settle("match/winner", won("home"))
    world.check()
    world.wait(30_000)
    world.run()
    assert world.book.liability_m == 0


def test_a_market_is_not_forgotten_from_under_an_offer() -> None:
    """Nor where more offers end than a tick has room for."""
    world = stage(slice_max=1, archive_after_ms=600_000)
    for bet in ("b1", "b2", "b3"):
        world.waiting("ann", 2_000, HOME, id=bet, refer=True)
        assert isinstance(world.judge(bet, "offer", until_ms=NOON + 600_000), Done)
    world.settle("match/winner", won("home"))
    world.wait(600_000)
    for _ in range(5):
        world.tick()
        world.check()
    assert "match" not in world.book.fixtures
    assert money(world) == (100_000, 0, 0)


def test_a_bet_in_another_currency_waits_and_is_offered_in_it(world: World) -> None:
    world.done(co.SetRate, currency="GBP", rate=1_170_001)
    world.done(co.OpenCustomer, customer="cid", currency="GBP")
    world.done(co.Deposit, customer="cid", amount_m=10_000, provider="bank")
    answer = world.place("cid", 1_000, HOME)
    assert isinstance(answer, Rejected)
    assert (answer.reason, answer.limit, answer.stake_m) == ("STAKE_TOO_LARGE", 854, 854)
    world.waiting("cid", 1_000, HOME, id="b1", refer=True)
    assert isinstance(world.judge("b1", "offer", stake_m=900), Done)
    assert world.of("cid").liability_m == 1_054  # 9.00 at 1.170001, rounded up
    world.check()
    assert isinstance(world.take("cid", "b1"), Done)
    assert (money(world, "cid"), ledger.sums(world.book)) == ((9_100, 0, 900), {"EUR": 0, "GBP": 0})


def test_a_settled_bet_that_was_offered_pays_what_was_offered(world: World) -> None:
    world.waiting("ann", 2_000, HOME, id="b1", refer=True)
    assert isinstance(world.judge("b1", "offer", stake_m=1_500, prices=(30_000,)), Done)
    assert isinstance(world.take("ann", "b1"), Done)
    world.settle("match/winner", lost("home"), won("away"))
    assert money(world) == (98_500, 0, 0)
    world.settle("match/winner", won("home"))
    assert money(world) == (103_000, 0, 0)


# A crash between an answer and what follows from it.


def _rebuilt(world: World, events: int | None = None) -> Engine:
    """An engine on what the journal held, up to that event."""
    engine = Engine(world.engine.limits)
    for event in journalled(world.events[:events]):
        engine.apply(event)
    return engine


def _accepted_in_vain(world: World) -> None:
    world.price("match/winner", "home", 15_000)
    world.judge("b1", "accept")


ANSWERS: list[tuple[str, Callable[[World], object]]] = [
    ("accepted", lambda world: world.judge("b1", "accept")),
    ("accepted in vain", _accepted_in_vain),
    ("declined", lambda world: world.judge("b1", "decline", reason="no")),
    ("offered", lambda world: world.judge("b1", "offer", stake_m=1_500, until_ms=NOON + 9_000)),
    ("taken", lambda world: (world.judge("b1", "offer", stake_m=1_500), world.take("ann", "b1"))),
    ("not taken", lambda world: (world.judge("b1", "offer", stake_m=1_500), world.decline("ann", "b1"))),
    ("taken back", lambda world: world.decline("ann", "b1")),
]


@pytest.mark.parametrize(("rule", "answers"), ANSWERS, ids=[rule for rule, _ in ANSWERS])
def test_what_follows_from_an_answer_follows_after_a_crash_too(
    world: World, rule: str, answers: Callable[[World], object]
) -> None:
    world.waiting("ann", 2_000, HOME, id="b1", refer=True)
    answers(world)
    last = world.events[-1]
    rebuilt = _rebuilt(world, -1)
    assert type(last) not in {ev.ReferralAnswered, ev.OfferAnswered}, rule
    assert list(rebuilt.tick(world.now)) == [last]
    assert list(rebuilt.tick(world.now)) == []


def test_while_an_answer_has_not_been_followed_nobody_else_is_heard(world: World) -> None:
    world.waiting("ann", 2_000, HOME, id="b1", refer=True)
    world.judge("b1", "offer", stake_m=1_500)
    twin = World()
    twin.engine = _rebuilt(world, -1)
    assert refused(twin.judge("b1", "accept", id="j2")) == "BET_NOT_PENDING"
    assert refused(twin.decline("ann", "b1", id="t2")) == "BET_NOT_PENDING"
    twin.tick()
    twin.done(co.TakeOffer, customer="ann", bet="b1", id="t3")
    world.take("ann", "b1")
    twin.engine = _rebuilt(world, -1)
    assert refused(twin.take("ann", "b1", id="t4")) == "BET_NOT_PENDING"
    assert refused(twin.decline("ann", "b1", id="t5")) == "BET_NOT_PENDING"


@pytest.mark.parametrize(
    "happens",
    [
        lambda world: world.results("match/winner", won("home")),
        lambda world: world.desk(co.CancelMarket, "match/winner", reason="", from_ms=NOON - 1, to_ms=NOON + 1),
    ],
    ids=["a result", "a cancel"],
)
def test_an_offer_that_was_taken_before_a_crash_is_no_bet_on_what_is_known_since(
    world: World, happens: Callable[[World], object]
) -> None:
    world.waiting("ann", 2_000, HOME, id="b1", refer=True)
    world.judge("b1", "offer")
    world.take("ann", "b1")
    twin = World()
    twin.events = world.events[:-1]
    twin._ids = 1_000
    twin.engine = _rebuilt(world, -1)
    happens(twin)
    twin.run()
    assert ended(twin, "b1")[0] == "OFFER_EXPIRED"
    assert money(twin) == (100_000, 0, 0)
    twin.check()


def test_the_events_of_an_answer_name_what_it_became(world: World) -> None:
    """The desk and the projector follow events alone."""
    world.waiting("ann", 2_000, HOME, id="b1", refer=True)
    world.judge("b1", "offer", stake_m=1_500)
    world.take("ann", "b1")
    kinds = [type(event).__name__ for event in world.events[-5:]]
    assert kinds == ["BetPending", "ReferralAnswered", "BetOffered", "OfferAnswered", "BetAccepted"]
    offered, accepted = world.events[-3], world.events[-1]
    assert isinstance(offered, ev.BetOffered)
    assert isinstance(accepted, ev.BetAccepted)
    assert (offered.bet.stake_m, offered.returned_m) == (1_500, 500)
    assert (accepted.stake_m, accepted.reserved_m) == (1_500, 1_500)
