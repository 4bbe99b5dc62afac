"""A whole exchange market: the off, suspensions, withdrawals, results and whatever takes them back (RULEBOOK 6)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from core import snapshot
from core.engine import Engine
from core.exchange import clearing, positions, starting
from core.exchange.ladder import Side
from core.grading.scores import FootballScore
from core.messages import commands as co
from core.messages import events as ev
from core.messages.answers import Done, Orders
from core.messages.queries import GetOrders
from core.messages.results import Result
from core.messages.terms import ExchangeTerms
from tests.core.exchange.trading import (
    CASH_M,
    MATCH,
    NAMES,
    batch,
    exchange,
    floor,
    held,
    levels,
    order,
    placed,
    position,
)
from tests.core.world import NOON, World, dead_heat, half_lost, half_won, limits, lost, refused, replayed, void, won

DAY = 86_400_000


def _match(world: World, price: int, stake_m: int, selection: str = "home") -> None:
    """Ann backs, bob lays."""
    placed(world, "bob", selection, "lay", price, stake_m)
    placed(world, "ann", selection, "back", price, stake_m)


def _nets(world: World) -> tuple[int, int]:
    """What the market has brought ann and bob, commission not counted."""
    return position(world, "ann").net_m, position(world, "bob").net_m


def _withdraw(world: World, selection: str, reduction_bp: int = 0) -> None:
    world.wait(1_000)
    fields = {"selection": selection, "price": 0, "at_ms": world.now, "reduction_bp": reduction_bp}
    assert isinstance(world.desk(co.WithdrawSelection, MATCH, **fields), Done)
    world.run()


# What rests.

PERSISTENCE: list[tuple[str, str, Callable[[World], Any], bool]] = [
    ("at the off it lapses", "lapse", lambda world: world.desk(co.TurnInPlay, MATCH), False),
    ("or persists", "persist", lambda world: world.desk(co.TurnInPlay, MATCH), True),
    ("a suspension alone changes nothing", "lapse", lambda world: world.desk(co.SuspendMarket, MATCH), True),
    ("a material one lapses all", "persist", lambda world: world.desk(co.SuspendMarket, MATCH, lapse=True), False),
    ("so does a withdrawal", "persist", lambda world: _withdraw(world, "away"), False),
    ("so do results", "persist", lambda world: world.settle(MATCH, won("home")), False),
    ("and a void market", "persist", lambda world: world.cancel(MATCH), False),
    ("not the cancel of a window", "persist", lambda world: world.cancel(MATCH, NOON, NOON + 1), True),
]


@pytest.mark.parametrize(
    ("rule", "persistence", "happens", "rests"), PERSISTENCE, ids=[case[0] for case in PERSISTENCE]
)
def test_what_becomes_of_what_rests(rule: str, persistence: str, happens: Callable[[World], Any], rests: bool) -> None:  # noqa: FBT001
    world = floor("ann", "bob")
    _match(world, 30_000, 500)
    placed(world, "ann", "home", "back", 40_000, 300, persistence=persistence)
    happens(world)
    world.run()
    assert levels(world)[0] == (((40_000, 300),) if rests else ()), rule
    assert world.of("ann").resting == rests
    world.check()


def test_a_large_market_lapses_and_is_settled_in_slices_and_takes_no_orders_meanwhile() -> None:
    names = [f"c{number}" for number in range(20)]
    world = World(slice_max=3)
    for name in names:
        world.customer(name, CASH_M)
    exchange(world, cross=False)
    for name in names:
        placed(world, name, "home", "back", 30_000, 100, persistence="lapse")
    placed(world, "c0", "home", "lay", 20_000, 100)
    world.desk(co.TurnInPlay, MATCH)
    assert refused(order(world, "c0", "home", "back", 30_000, 100)) == "MARKET_SUSPENDED"
    world.tick()
    assert 0 < world.of("c19").resting + sum(world.of(name).resting for name in names) < 22
    world.check()
    while world.tick():
        world.check()
    assert levels(world) == ((), ())
    placed(world, "c0", "home", "back", 30_000, 100)
    for name in names[1:]:
        placed(world, name, "home", "back", 40_000, 100)
    world.results(MATCH, won("home"))
    while world.tick():
        world.check()
    assert all(world.cash(name) == CASH_M for name in names)


def _void_and_back(world: World) -> None:
    world.settle(MATCH, void("home"), void("draw"), void("away"))
    world.roll_back(MATCH)


@pytest.mark.parametrize(
    "before",
    [
        lambda world: world.desk(co.SuspendMarket, MATCH, lapse=True),
        lambda world: _withdraw(world, "away"),
        _void_and_back,
    ],
)
def test_the_off_is_itself_whatever_orders_have_lapsed_for_before(before: Callable[[World], Any]) -> None:
    world = floor("ann", "bob", starting_price=True)
    before(world)
    world.run()
    world.desk(co.OpenMarket, MATCH)
    placed(world, "ann", "home", "back", 50_000, 1_000, persistence="persist", id="rests")
    placed(world, "ann", "home", "back", 0, 1_000, kind="on_close", id="closes")
    placed(world, "bob", "home", "lay", 0, 2_000, kind="on_close")
    world.desk(co.TurnInPlay, MATCH)
    world.run()
    assert (held(world, "rests").stake_m, held(world, "closes").matched_m) == (1_000, 1_000)
    world.check()


def test_a_market_turns_once_and_not_when_it_is_closed() -> None:
    world = floor("ann")
    world.market("match/bets", home=20_000)
    assert isinstance(world.desk(co.TurnInPlay, MATCH), Done)
    world.run()
    assert refused(world.desk(co.TurnInPlay, MATCH)) == "NOTHING_TO_CHANGE"
    world.settle(MATCH, won("home"))
    assert refused(world.desk(co.TurnInPlay, MATCH)) == "MARKET_CLOSED"
    assert refused(world.desk(co.TurnInPlay, "match/bets")) == "EXCHANGE_NOT_OFFERED"
    assert refused(world.desk(co.SuspendMarket, "match/bets", lapse=True)) == "EXCHANGE_NOT_OFFERED"
    assert refused(world.desk(co.TurnInPlay, "match/corners")) == "MARKET_UNKNOWN"
    world.check()


# Results: a back of 100.00 at 4.0 unless said otherwise; ann's net, bob's is the opposite.

RESULTS: list[tuple[str, int, int, list[Result], int]] = [
    ("won", 40_000, 10_000, [won("home")], 30_000),
    ("lost", 40_000, 10_000, [won("away")], -10_000),
    ("void", 40_000, 10_000, [void("home"), won("away")], 0),
    ("half won", 40_000, 10_000, [half_won("home")], 15_000),
    ("half lost", 40_000, 10_000, [half_lost("home"), won("away")], -5_000),
    ("dead heat of two at 1.8 pays 0.9", 18_000, 10_000, [dead_heat("home", 2), dead_heat("away", 2)], -1_000),
    (
        "published: a dead heat of three, 300 at 4.0, wins 100",
        40_000,
        30_000,
        [dead_heat("home", 3), dead_heat("draw", 3), dead_heat("away", 3)],
        10_000,
    ),
    ("rounded down for both", 13_300, 101, [won("home")], 33),
]


@pytest.mark.parametrize(("rule", "price", "stake_m", "results", "net_m"), RESULTS, ids=[case[0] for case in RESULTS])
def test_what_a_back_wins_its_layer_loses(
    rule: str, price: int, stake_m: int, results: list[Result], net_m: int
) -> None:
    world = floor("ann", "bob", ladder="FINEST")
    _match(world, price, stake_m)
    world.settle(MATCH, *results)
    assert _nets(world) == (net_m, -net_m), rule
    commission_m = max(net_m, 0) * 200 // 10_000
    assert world.cash("ann") == CASH_M + net_m - commission_m
    assert (world.of("ann").exposure_m, world.of("bob").exposure_m) == (0, 0)
    assert world.book.house.get(("house:exchange", "EUR"), 0) == 0
    world.check()


# betcode-org/flumine@5bda83a tests/test_simulatedorder.py (MIT): price, stake, how many win in a dead heat (0: it
# loses), what the backer wins. The layer wins the opposite.
FLUMINE = (
    (100_000, 200, 1, 1_800),
    (100_000, 200, 0, -200),
    (40_000, 1_000, 2, 1_000),
    (40_000, 1_000, 0, -1_000),
    (50_000, 2_000, 2, 3_000),
    (50_000, 2_000, 0, -2_000),
    (110_000, 5_000, 4, 8_750),
    (18_700, 200, 1, 174),
)


@pytest.mark.parametrize(("price", "stake_m", "winners", "net_m"), FLUMINE)
def test_published_profits_of_a_match(price: int, stake_m: int, winners: int, net_m: int) -> None:
    names = ("home", "b", "c", "d")
    world = floor("ann", "bob", names=names)
    _match(world, price, stake_m)
    world.settle(MATCH, *([dead_heat(name, winners) for name in names[:winners]] if winners else [won("b")]))
    assert _nets(world) == (net_m, -net_m)
    world.check()


@pytest.mark.parametrize(("total", "net_m"), [(120, 200), (121, -200)])
def test_published_profits_on_a_line(total: int, net_m: int) -> None:
    """The same source: a line of 120.5 at evens, 2.00; who backs "under" wins below it, by the score."""
    totals = "match/total"
    world = floor("ann", "bob")
    terms = {"market_type": "total_goals", "specifiers": {"line": "120.5"}, "ladder": "FINEST", "cross": False}
    exchange(world, totals, ("under", "over"), **terms)
    placed(world, "bob", "under", "lay", 20_000, 200, totals)
    placed(world, "ann", "under", "back", 20_000, 200, totals)
    world.done(co.SettleFixture, fixture="match", score=FootballScore((total - 50, 50)))
    world.run()
    assert (position(world, "ann", totals).net_m, position(world, "bob", totals).net_m) == (net_m, -net_m)
    world.check()


# What takes results back: after each step, what ann has won net; None: it is open.
Step = tuple[str, Callable[[World], Any], int | None]
STEPS: list[tuple[str, list[Step]]] = [
    (
        "a correction posts the difference",
        [
            ("won", lambda world: world.settle(MATCH, won("home")), 10_000),
            ("lost", lambda world: world.settle(MATCH, won("draw")), -5_000),
            ("won after all", lambda world: world.settle(MATCH, won("home")), 10_000),
        ],
    ),
    (
        "a rollback sets aside again what it can cost",
        [
            ("won", lambda world: world.settle(MATCH, won("home")), 10_000),
            ("open", lambda world: world.roll_back(MATCH), None),
            ("lost", lambda world: world.settle(MATCH, won("draw")), -5_000),
        ],
    ),
    (
        "a void market, and its rollback",
        [
            ("void", lambda world: world.cancel(MATCH), 0),
            ("open", lambda world: world.roll_back(MATCH, "cancel"), None),
            ("won", lambda world: world.settle(MATCH, won("home")), 10_000),
            ("void after all", lambda world: world.cancel(MATCH), 0),
            ("won again", lambda world: world.roll_back(MATCH, "cancel"), 10_000),
        ],
    ),
    (
        "a window of a cancel in which the match was",
        [
            ("void", lambda world: world.cancel(MATCH, NOON, NOON + 1), None),
            ("settled", lambda world: world.settle(MATCH, won("home")), 0),
            ("the window is taken back", lambda world: world.roll_back(MATCH, "cancel"), 10_000),
        ],
    ),
    (
        "a window in which it was not",
        [
            ("open", lambda world: world.cancel(MATCH, NOON - 9, NOON), None),
            ("won", lambda world: world.settle(MATCH, won("home")), 10_000),
        ],
    ),
    (
        "a withdrawal after the results, and its rollback",
        [
            ("won", lambda world: world.settle(MATCH, won("home")), 10_000),
            ("3.0 at 25 % is 2.25", lambda world: _withdraw(world, "away", 2_500), 6_250),
            ("as it was", lambda world: world.roll_back(MATCH, "withdrawals"), 10_000),
        ],
    ),
    (
        "the selection itself is withdrawn",
        [
            ("void", lambda world: _withdraw(world, "home"), None),
            ("settled", lambda world: world.settle(MATCH, void("home"), won("draw")), 0),
        ],
    ),
]


@pytest.mark.parametrize(("rule", "steps"), STEPS, ids=[case[0] for case in STEPS])
def test_a_position_agrees_with_what_is_known_of_its_market(rule: str, steps: list[Step]) -> None:
    """Ann has 50.00 at 3.0 of bob; commission 2 % of what she has won at the end."""
    world = floor("ann", "bob")
    _match(world, 30_000, 5_000)
    for name, step, net_m in steps:
        step(world)
        world.run()
        ann, bob = position(world, "ann"), position(world, "bob")
        assert (ann.settled, bob.settled) == (net_m is not None, net_m is not None), (rule, name)
        assert (ann.net_m, bob.net_m) == (net_m or 0, -(net_m or 0)), (rule, name)
        for customer in (ann, bob):
            commission_m = max(customer.net_m, 0) * 200 // 10_000
            assert customer.commission_m == commission_m
            total_m = customer.customer.cash_m + customer.customer.exposure_m
            assert total_m == CASH_M + customer.net_m - commission_m, (rule, name)
        world.check()


def test_the_order_in_which_results_and_withdrawals_arrive_does_not_matter() -> None:
    """RULEBOOK 5."""
    ends = []
    for steps in ((0, 1), (1, 0)):
        world = floor("ann", "bob")
        _match(world, 30_000, 5_000)
        _match(world, 40_000, 1_000, "draw")
        world.wait(1_000)
        at_ms = world.now
        for step in steps:
            if step:
                world.settle(MATCH, won("home"))
            else:
                fields = {"selection": "away", "price": 0, "at_ms": at_ms, "reduction_bp": 2_500}
                assert isinstance(world.desk(co.WithdrawSelection, MATCH, **fields), Done)
                world.run()
        world.check()
        ends.append((_nets(world), world.cash("ann"), world.cash("bob"), dict(world.book.house)))
    assert ends[0] == ends[1]


def test_a_withdrawal_voids_what_was_matched_on_it_and_gives_the_exposure_back() -> None:
    world = floor("ann", "bob")
    _match(world, 30_000, 5_000)
    _match(world, 40_000, 1_000, "away")
    assert (world.of("ann").exposure_m, world.of("bob").exposure_m) == (6_000, 9_000)
    _withdraw(world, "away", 2_500)
    # Of the match at 3.0, now 2.25, bob can lose 62.50.
    assert (world.of("ann").exposure_m, world.of("bob").exposure_m) == (5_000, 6_250)
    world.check()
    world.roll_back(MATCH, "withdrawals")
    assert (world.of("ann").exposure_m, world.of("bob").exposure_m) == (6_000, 9_000)
    world.check()


@pytest.mark.parametrize("order_first", [True, False])
def test_across_selections_the_house_stands_between_and_keeps_at_most_what_was_rounded(order_first: bool) -> None:  # noqa: FBT001
    """Published: 2.7 and 3.0 imply 3.375, on the ladder 3.35; 100 at 2.7 needs 90 at 3.0."""
    world = floor("ann", "bob", "cid", cross=True)
    placed(world, "ann", "home", "back", 27_000, 10_000)
    placed(world, "bob", "draw", "back", 30_000, 9_000)
    report = placed(world, "cid", "away", "back", 30_000 if order_first else 33_500, 8_000)
    assert (report.matched_m, report.price) == (8_000, 33_500)
    world.check()
    for name in ("home", "draw", "away"):
        world.settle(MATCH, won(name))
        assert world.book.house["house:exchange", "EUR"] >= 0, name
        world.check()


def test_a_match_across_selections_falls_with_any_of_them() -> None:
    world = floor("ann", "bob", "cid", cross=True)
    placed(world, "ann", "home", "back", 27_000, 10_000)
    placed(world, "bob", "draw", "back", 30_000, 9_000)
    placed(world, "cid", "away", "back", 30_000, 8_000)
    _withdraw(world, "draw", 1_000)
    assert [world.of(name).exposure_m for name in ("ann", "bob", "cid")] == [0, 0, 0]
    world.settle(MATCH, won("home"))
    assert [world.cash(name) for name in ("ann", "bob", "cid")] == [CASH_M] * 3
    world.check()


# Afterwards.


@pytest.mark.parametrize("slice_max", [1, 50])
def test_a_settled_market_is_forgotten_with_its_orders_and_positions(slice_max: int) -> None:
    world = floor("ann", "bob")
    world.engine.limits = World(slice_max=slice_max).engine.limits
    _match(world, 30_000, 5_000)
    _match(world, 40_000, 1_000, "draw")
    placed(world, "ann", "home", "back", 60_000, 300)
    world.settle(MATCH, won("home"))
    cash = world.cash("ann"), world.cash("bob")
    world.wait(DAY)
    while world.tick():
        world.check()
    assert (world.book.fixtures, world.book.orders, world.book.trades) == ({}, {}, 0)
    assert (world.of("ann").positions, world.of("bob").positions) == (None, None)
    assert (world.cash("ann"), world.cash("bob")) == cash
    assert isinstance(world.events[-1], ev.MarketArchived)
    world.check()


def test_a_correction_may_take_cash_below_zero() -> None:
    """DESIGN promise 5."""
    world = floor("ann", "bob")
    _match(world, 30_000, 5_000)
    world.settle(MATCH, won("home"))
    world.done(co.Withdraw, customer="ann", amount_m=world.cash("ann"), provider="bank")
    world.settle(MATCH, won("draw"))
    assert world.cash("ann") == -(10_000 - 200) - 5_000
    world.check()


def test_what_a_market_has_brought_counts_against_a_customers_own_limits() -> None:
    world = floor("ann", "bob")
    world.done(co.SetOwnLimit, customer="ann", kind="loss", period="day", limit_m=5_000)
    _match(world, 30_000, 4_000)
    world.settle(MATCH, won("draw"))
    exchange(world, "final/winner")
    assert refused(order(world, "ann", "home", "back", 30_000, 1_001, "final/winner")) == "OWN_LOSS_LIMIT"
    placed(world, "ann", "home", "back", 30_000, 1_000, "final/winner")
    world.check()


def test_a_market_that_gets_another_selection_looks_at_its_positions_again() -> None:
    """Backs of all outcomes cost what one can lose; with one more, all can."""
    world = floor("ann", names=("home", "away"))
    placed(world, "ann", "home", "back", 30_000, 1_000)
    placed(world, "ann", "away", "back", 30_000, 1_000)
    assert world.of("ann").exposure_m == 1_000
    exchange(world, MATCH, ("home", "away", "draw"), cross=False)
    world.run()
    assert world.of("ann").exposure_m == 2_000
    world.check()


def test_of_an_exchange_market_ladder_and_house_stay_as_they_are() -> None:
    world = floor("ann")
    named = tuple(co.NamedSelection(name, name) for name in ("home", "draw", "away"))
    fields: dict[str, Any] = {"market_type": "winner", "name": "", "selections": named}
    for terms in (None, ExchangeTerms(ladder="FINEST"), ExchangeTerms(house="ann")):
        assert refused(world.desk(co.DefineMarket, MATCH, exchange=terms, **fields)) == "DEFINITION_NOT_VALID", terms
    assert isinstance(world.desk(co.DefineMarket, MATCH, exchange=ExchangeTerms(commission_bp=0), **fields), Done)
    world.run()
    world.settle(MATCH, lost("home"), won("draw"))
    world.check()


def test_what_is_matched_after_a_withdrawal_keeps_its_price_though_it_was_told_for_later() -> None:
    """A provider's clock may be ahead of ours; what rested lapsed when it was told."""
    world = floor("ann", "bob")
    placed(world, "bob", "home", "lay", 30_000, 100)
    placed(world, "ann", "home", "back", 30_000, 100)
    world.wait(10)
    fields = {"selection": "away", "price": 0, "at_ms": world.now + 5_000, "reduction_bp": 2_500}
    world.desk(co.WithdrawSelection, MATCH, **fields)
    world.run()
    world.wait(10)
    placed(world, "bob", "home", "lay", 20_000, 100)
    placed(world, "ann", "home", "back", 20_000, 100)
    world.check()
    world.wait(10_000)
    assert refused(world.desk(co.WithdrawSelection, MATCH, **fields)) == "NOTHING_TO_CHANGE", "said again, it is past"
    world.settle(MATCH, won("home"))
    assert position(world, "ann").net_m == 100 * 125 // 100 + 100
    world.check()


def test_an_order_that_rests_is_found_behind_all_that_are_matched() -> None:
    """The market looks at what rests only: so its order among the others is kept apart."""
    world = floor("ann", "bob")
    oldest = placed(world, "bob", "home", "lay", 20_000, 100).id
    for _ in range(5):
        _match(world, 30_000, 100)
    newest = placed(world, "bob", "home", "lay", 20_000, 100).id
    bob = position(world, "bob")
    assert list(bob.resting) == [oldest, newest]
    for most, listed in ((1, [newest]), (2, [oldest, newest]), (4, [oldest, *list(bob.orders)[4:6], newest])):
        world.engine.limits = limits(orders_listed_max=most)
        answer = world.send(GetOrders("bob", "match", "winner"))
        assert isinstance(answer, Orders)
        assert [order.id for order in answer.orders] == listed
        assert answer.older_orders == 7 - most
    world.cancel(MATCH)
    assert not bob.resting
    world.check()


# A starting price of more orders than a slice takes: backs first, so the house stands between until the lays follow.


def _closing(slice_max: int) -> World:
    """Seven back 1.00 and seven lay for 2.00, at 3.0; two of them rest until then, one wants more than there is."""
    world = World(slice_max=slice_max)
    names = [f"c{number}" for number in range(14)]
    for name in names:
        world.customer(name, CASH_M)
    exchange(world, cross=False, starting_price=True)
    for number, name in enumerate(names):
        if number in (3, 10):
            price = 60_000 if number == 3 else 15_000
            stake_m = 100 if number == 3 else 400
            placed(world, name, "home", "back" if number < 7 else "lay", price, stake_m, persistence="on_close")
        else:
            side, stake_m = ("back", 100) if number < 7 else ("lay", 200)
            placed(world, name, "home", side, 0, stake_m, kind="on_close", id=f"o{number}")
    placed(world, "c0", "home", "back", 90_000, 500, kind="on_close", id="greedy")
    world.desk(co.TurnInPlay, MATCH)
    return world


def _holds(world: World) -> list[tuple[int, int, int, list[tuple[int, int]]]]:
    held = []
    for number in range(14):
        name = f"c{number}"
        own = (world.of(name).positions or {}).get(("match", "winner"))
        trades = [] if own is None else [(trade.price, trade.stake_m) for trade in own.trades]
        held.append((world.cash(name), world.of(name).exposure_m, world.of(name).resting, trades))
    return held


@pytest.mark.parametrize("slice_max", [1, 4, 15])
def test_a_starting_price_in_slices_is_the_one_of_all_at_once(slice_max: int) -> None:
    whole, world = _closing(50), _closing(slice_max)
    whole.run()
    made = []
    while events := world.tick():
        world.wait(1)
        made += [event for event in events if isinstance(event, ev.StartingPriceMatched)]
        world.check()
    assert [len(event.orders) for event in made[:-1]] == [slice_max] * (len(made) - 1)
    assert sum(len(event.orders) for event in made) == 15
    assert _holds(world) == _holds(whole)
    once = [event for event in whole.events if isinstance(event, ev.StartingPriceMatched)]
    assert [closed for event in made for closed in event.orders] == list(once[0].orders)
    assert {trade.ts_ms for number in range(14) for trade in position(world, f"c{number}").trades} == {NOON}


@pytest.mark.parametrize("by", ["the journal", "a snapshot"])
@pytest.mark.parametrize("slices", [1, 2, 3])
def test_a_crash_between_slices_of_a_starting_price_loses_nothing(slices: int, by: str) -> None:
    whole, world = _closing(50), _closing(4)
    whole.run()
    for _ in range(slices):
        world.tick()
    book = replayed(world.events) if by == "the journal" else snapshot.restore(snapshot.encode(world.book))
    assert snapshot.state_hash(book) == snapshot.state_hash(world.book)
    world.engine = Engine(world.engine.limits, book)
    world.events.append(world.engine.start("next", "0.1.0", world.now))
    world.check()
    world.run()
    world.check()
    assert _holds(world) == _holds(whole)
    assert snapshot.state_hash(replayed(world.events)) == snapshot.state_hash(world.book)


TAKEN_BACK: list[tuple[str, Callable[[World], Any]]] = [
    ("cancel", lambda world: world.command(co.CancelOrder, customer="c13", order="o13")),
    ("cancel all", lambda world: world.command(co.CancelOrders, customer="c13")),
    ("reduce", lambda world: world.command(co.ReduceOrder, customer="c13", order="o13", by_m=1)),
    ("replace", lambda world: world.command(co.ReplaceOrder, customer="c13", order="o13", price=20_000)),
    ("batch", lambda world: batch(world, "c13", co.Cancel("o13"), atomic=True)),
]


@pytest.mark.parametrize(("what", "take_back"), TAKEN_BACK, ids=[what for what, _ in TAKEN_BACK])
def test_nobody_takes_back_what_a_starting_price_that_is_made_has_matched(
    what: str, take_back: Callable[[World], Any]
) -> None:
    world = _closing(4)
    world.tick()
    assert refused(take_back(world)) == "ORDER_UNKNOWN", what
    world.run()
    world.check()
    assert [trade.stake_m for trade in position(world, "c13").trades] == [100]


MEANWHILE: list[tuple[str, Callable[[World], Any]]] = [
    (
        "the customer is suspended",
        lambda world: world.command(co.SetCustomerStatus, customer="c13", suspended=True, reason=""),
    ),
    ("a suspension", lambda world: world.desk(co.SuspendMarket, MATCH, lapse=True)),
    ("results", lambda world: world.results(MATCH, won("home"))),
    ("a window", lambda world: world.desk(co.CancelMarket, MATCH, reason="", from_ms=NOON + 1, to_ms=NOON + 9)),
    ("all void", lambda world: world.desk(co.CancelMarket, MATCH, reason="", from_ms=0, to_ms=0)),
    (
        "a withdrawal",
        lambda world: world.desk(
            co.WithdrawSelection, MATCH, selection="away", price=0, at_ms=world.now, reduction_bp=2_500
        ),
    ),
]


@pytest.mark.parametrize(("what", "happens"), MEANWHILE, ids=[what for what, _ in MEANWHILE])
@pytest.mark.parametrize("slices", [1, 2])
def test_what_happens_between_slices_comes_after_all_of_them(
    what: str, happens: Callable[[World], Any], slices: int
) -> None:
    ends = []
    for ticks in (slices, 50):
        world = _closing(4)
        for _ in range(ticks):
            world.tick()
        world.wait(5)
        happens(world)
        while world.tick():
            world.check()
        world.desk(co.SettleMarket, MATCH, results=tuple(Result(name, 1 if name == "home" else 0) for name in NAMES))
        world.run()
        world.check()
        assert not any(of.exposure_m or of.resting for of in world.book.customers.values()), what
        assert world.book.house.get(("house:exchange", "EUR"), 0) >= 0
        ends.append((_holds(world), dict(world.book.house)))
    assert ends[0] == ends[1], what


# Who had nothing matched.

LAPSING: list[tuple[str, Callable[[World], Any]]] = [
    ("the off", lambda world: world.desk(co.TurnInPlay, MATCH)),
    ("a material suspension", lambda world: world.desk(co.SuspendMarket, MATCH, lapse=True)),
    ("a withdrawal", lambda world: _withdraw(world, "away", 1_000)),
    ("results", lambda world: world.results(MATCH, won("home"))),
    ("a void market", lambda world: world.cancel(MATCH)),
]


@pytest.mark.parametrize(("what", "happens"), LAPSING, ids=[what for what, _ in LAPSING])
def test_who_had_nothing_matched_is_not_settled_and_has_no_position_any_more(
    what: str, happens: Callable[[World], Any]
) -> None:
    world = floor("ann", "bob", "cid")
    world.engine.limits = limits(slice_max=2)
    _match(world, 30_000, 500)
    for price in (15_000, 19_000):
        placed(world, "cid", "home", "lay", price, 333, persistence="lapse")
    assert world.of("cid").exposure_m == 166 + 299
    happens(world)
    while world.tick():
        world.check()
    exchange = world.at(MATCH).exchange
    assert exchange is not None
    assert list(exchange.positions) == ["bob", "ann"], what
    assert (world.of("cid").positions, world.of("cid").exposure_m, world.cash("cid")) == (None, 0, CASH_M)
    told = [event.customer for event in world.events if isinstance(event, ev.PositionSettled)]
    assert "cid" not in told, what
    world.settle(MATCH, won("draw"))
    world.roll_back(MATCH)
    world.check()
    assert snapshot.state_hash(replayed(world.events)) == snapshot.state_hash(world.book)


def test_a_journal_that_settled_who_had_nothing_is_read_as_it_was_written() -> None:
    """Events of before: each position was told, and none of them forgotten while they were counted."""
    world = floor("ann", "bob", "cid")
    _match(world, 30_000, 500)
    placed(world, "cid", "home", "lay", 15_000, 333)
    world.results(MATCH, won("home"))
    world.tick()
    before = ev.ExchangeAdvanced(world.now, "match", "winner", 3, 0)
    assert isinstance(world.events[-1], ev.ExchangeAdvanced)
    journal = [*world.events[:-1], before]
    for customer, was_m in (("bob", -1_000), ("ann", -500), ("cid", 0)):
        net_m = {"bob": -1_000, "ann": 1_000, "cid": 0}[customer]
        money = 0, 0, True, net_m, max(0, net_m) // 50, was_m
        journal.append(ev.PositionSettled(world.now, "match", "winner", customer, "EUR", *money))
    journal.append(ev.ExchangeAdvanced(world.now, "match", "winner", 0, 3))
    world.engine, world.events = Engine(world.engine.limits, replayed(journal)), journal
    assert position(world, "cid").settled
    world.check()
    world.roll_back(MATCH)
    world.check()
    assert world.of("cid").positions is None


def test_near_and_far_prices_are_where_the_orders_would_meet() -> None:
    """At the far price all that wait for the close, at the near one also what rests; a limit of a side as one order."""
    world = floor("ann", "bob", starting_price=True)
    rng = Random(7)
    found = set()
    for _ in range(120):
        customer, side = rng.choice((("ann", "back"), ("bob", "lay")))
        price = rng.choice((30_000, 35_000, 40_000)) + (20_000 if side == "back" else -10_000)
        if rng.random() < 0.6:
            price = rng.choice((0, price, price, 35_000))
            placed(world, customer, "home", side, price, rng.randint(100, 900), kind="on_close")
        else:
            persistence = rng.choice(("lapse", "on_close"))
            placed(world, customer, "home", side, price, rng.randint(100, 900), persistence=persistence)
        known = world.at(MATCH).exchange
        assert known is not None
        waiting: Counter[tuple[Side, int]] = Counter()
        for each in clearing.on_close(known, "home"):
            waiting[each.side, each.price if each.on_close else 0] += positions.at_risk(each)
        book, resting = known.books.get("home"), Counter(waiting)
        for of in Side:
            for price, stake_m in book.levels(of) if book is not None else ():
                resting[of, price] += positions.open_m(of, price, stake_m)
        for each in known.until_close.get("home", {}).values():
            resting[each.side, each.price] -= positions.at_risk(each)
        near, far = (
            starting.meeting_price([starting.Waiting(of, amount_m, limit) for (of, limit), amount_m in sums.items()])
            for sums in (resting, waiting)
        )
        prices = clearing.near_and_far(known, "home")
        assert prices == (near, far)
        found.add(prices)
    assert len(found) > 20
