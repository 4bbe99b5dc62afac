"""Batches of orders: one by one, or all of them or none (RULEBOOK 6)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from core import snapshot
from core.messages import commands as co
from core.messages import events as ev
from core.messages.answers import Cancelled, OrderReport, OrderReports, Rejected
from tests.core.exchange.trading import CASH_M, MATCH, batch, exchange, floor, held, levels, placed
from tests.core.world import NOON, World, limits, refused


def _back(name: str, price: int = 30_000, stake_m: int = 100, selection: str = "home", **fields: Any) -> co.Place:
    return co.Place(name, selection, "back", stake_m, price, **fields)


def _lay(name: str, price: int = 30_000, stake_m: int = 100, selection: str = "home") -> co.Place:
    return co.Place(name, selection, "lay", stake_m, price)


@pytest.fixture
def world() -> World:
    """Bob lays 5.00 at 3.0; ann has 2.00 at 4.0, called "mine"."""
    world = floor("ann", "bob")
    placed(world, "bob", "home", "lay", 30_000, 500, id="his")
    placed(world, "ann", "home", "back", 40_000, 200, id="mine")
    return world


def _reports(answer: Any) -> list[Any]:
    assert isinstance(answer, OrderReports), answer
    return list(answer.reports)


def _words(answer: Any) -> list[str]:
    """What became of each instruction, in a word."""
    return [getattr(report, "reason", "") or getattr(report, "status", "cancelled") for report in _reports(answer)]


def test_each_instruction_has_its_report_in_their_order(world: World) -> None:
    answer = batch(
        world,
        "ann",
        _back("a", stake_m=200),
        co.Reduce("mine", 40),
        co.Replace("b", "mine", 35_000),
        co.Cancel("b"),
        id="x",
    )
    assert answer == OrderReports(
        "x",
        NOON,
        (
            OrderReport("a", NOON, "matched", 200, 30_000),
            Cancelled("mine", NOON, 0, 40),
            OrderReport("b", NOON, "resting"),
            Cancelled("b", NOON, 1, 160),
        ),
    )
    assert isinstance(world.events[-1], ev.OrderBatch)
    assert levels(world) == ((), ((30_000, 300),))
    world.check()


# One by one, and atomic: (rule, instructions, words one by one, what refuses the atomic batch, at which index).
BATCHES: list[tuple[str, list[co.Instruction], list[str], str, int]] = [
    ("all are good", [_back("a"), _lay("b", 20_000)], ["matched", "resting"], "", -1),
    ("a price off the ladder", [_back("a"), _back("b", 30_100)], ["matched", "PRICE_NOT_ON_LADDER"],
        "PRICE_NOT_ON_LADDER", 1),
    ("an unknown selection", [_back("a", selection="x"), _back("b")], ["SELECTION_UNKNOWN", "matched"],
        "SELECTION_UNKNOWN", 0),
    ("a stake too small", [_back("a"), _back("b", stake_m=99)], ["matched", "STAKE_TOO_SMALL"], "STAKE_TOO_SMALL", 1),
    ("another's order", [co.Cancel("his"), _back("a")], ["ORDER_UNKNOWN", "matched"], "ORDER_UNKNOWN", 0),
    ("an id that is taken", [_back("mine"), _back("a")], ["DUPLICATE_ID", "matched"], "DUPLICATE_ID", 0),
    ("an id that is not one", [_back("é"), _back("a")], ["MALFORMED", "matched"], "MALFORMED", 0),
    ("an order twice", [co.Cancel("mine"), co.Cancel("mine")], ["cancelled", "ORDER_UNKNOWN"], "ORDER_UNKNOWN", 1),
    ("together too much", [_back("a", 50_000, 60_000), _back("b", 50_000, 60_000)], ["resting", "BALANCE_TOO_LOW"],
        "BALANCE_TOO_LOW", 1),
    ("covered by a cancel before", [co.Cancel("mine"), _back("a", 50_000, CASH_M)], ["cancelled", "resting"], "", -1),
    ("not by one after", [_back("a", 50_000, CASH_M), co.Cancel("mine")], ["BALANCE_TOO_LOW", "cancelled"],
        "BALANCE_TOO_LOW", 0),
    ("covered by another selection", [_back("a", 50_000, 99_800), _back("b", 50_000, 99_800, "draw"),
        _lay("c", 20_000, 99_800, "away")], ["resting", "BALANCE_TOO_LOW", "BALANCE_TOO_LOW"], "BALANCE_TOO_LOW", 1),
    ("killed is not refused", [_back("a", 60_000, fill_or_kill=True), _back("b")], ["lapsed", "matched"], "", -1),
]  # fmt: skip


@pytest.mark.parametrize("case", BATCHES, ids=[case[0] for case in BATCHES])
def test_one_by_one_each_is_taken_or_refused_for_itself(
    world: World, case: tuple[str, list[co.Instruction], list[str], str, int]
) -> None:
    rule, instructions, words, _, _ = case
    assert _words(batch(world, "ann", *instructions)) == words, rule
    world.check()


@pytest.mark.parametrize("case", BATCHES, ids=[case[0] for case in BATCHES])
def test_an_atomic_batch_is_taken_whole_or_leaves_no_trace_but_its_refusal(
    world: World, case: tuple[str, list[co.Instruction], list[str], str, int]
) -> None:
    rule, instructions, words, reason, index = case
    before = snapshot.state_hash(world.book), len(world.events)
    twin = world.events[:]
    answer = batch(world, "ann", *instructions, atomic=True, id="x")
    if not reason:
        assert _words(answer) == words, rule
    else:
        assert isinstance(answer, Rejected), rule
        assert (answer.reason, answer.leg) == (reason, index)
        assert [type(event) for event in world.events[before[1] :]] == [ev.CommandRejected]
        assert twin == world.events[:-1]
        assert (world.of("ann").exposure_m, world.of("ann").resting) == (200, 1)
        assert levels(world) == (((40_000, 200),), ((30_000, 500),))
    world.check()


def test_an_atomic_batch_is_covered_as_if_none_of_it_were_matched(world: World) -> None:
    """Matched it would cost less: one by one it is taken."""
    world.done(co.Withdraw, customer="ann", amount_m=CASH_M - 200 - 300, provider="bank")
    instructions = (_back("a", stake_m=300), _back("b", stake_m=100, selection="draw"))
    assert refused(batch(world, "ann", *instructions, atomic=True)) == "BALANCE_TOO_LOW"
    placed(world, "bob", "draw", "lay", 30_000, 100)
    assert _words(batch(world, "ann", *instructions)) == ["matched", "BALANCE_TOO_LOW"]
    world.check()


def test_the_same_id_twice_refuses_the_batch(world: World) -> None:
    for instructions in ((_back("a"), _back("a")), (_back("a"), co.Replace("a", "mine", 41_000))):
        answer = batch(world, "ann", *instructions)
        assert isinstance(answer, Rejected)
        assert (answer.reason, answer.leg) == ("DUPLICATE_ID", 1)
    answer = batch(world, "ann", _back("x"), id="x")
    assert isinstance(answer, Rejected)
    assert (answer.reason, answer.leg) == ("DUPLICATE_ID", 0)
    world.check()


@pytest.mark.parametrize("atomic", [False, True])
def test_a_batch_is_matched_instruction_by_instruction(world: World, atomic: bool) -> None:  # noqa: FBT001
    """The second order meets what the first has left of bob's."""
    answer = batch(world, "ann", _back("a", stake_m=400), _back("b", stake_m=400), atomic=atomic)
    assert [(each.matched_m, each.status) for each in _reports(answer)] == [(400, "matched"), (100, "resting")]
    world.check()


@pytest.mark.parametrize("atomic", [False, True])
def test_a_batch_has_up_to_200_instructions(world: World, atomic: bool) -> None:  # noqa: FBT001
    many = tuple(_back(f"o{number}", 50_000) for number in range(200))
    assert _words(batch(world, "ann", *many, atomic=atomic)) == ["resting"] * 200
    world.check()
    command = co.BatchOrders("x", NOON, "ann", "match", "winner", (*many, _back("more")))
    with pytest.raises(msgspec.ValidationError, match="length <= 200"):
        msgspec.msgpack.decode(msgspec.msgpack.encode(command), type=co.BatchOrders)


@pytest.mark.parametrize(
    ("rule", "path", "reason"),
    [
        ("no fixture", "final/winner", "FIXTURE_UNKNOWN"),
        ("no market", "match/corners", "MARKET_UNKNOWN"),
        ("no exchange", "match/bets", "EXCHANGE_NOT_OFFERED"),
    ],
)
def test_a_batch_is_for_one_exchange_market(world: World, rule: str, path: str, reason: str) -> None:
    world.market("match/bets", home=20_000)
    assert refused(batch(world, "ann", _back("a"), path=path)) == reason, rule
    world.check()


@pytest.mark.parametrize(
    "instruction", [co.Cancel("far"), co.Reduce("far", 1), co.Replace("a", "far", 31_000)], ids=repr
)
def test_an_order_in_another_market_is_not_reached(world: World, instruction: co.Instruction) -> None:
    exchange(world, "final/winner")
    placed(world, "ann", "home", "back", 30_000, 100, "final/winner", id="far")
    assert _words(batch(world, "ann", instruction)) == ["ORDER_UNKNOWN"]
    assert refused(batch(world, "ann", instruction, atomic=True)) == "ORDER_UNKNOWN"
    world.check()


@pytest.mark.parametrize("atomic", [False, True])
def test_a_batch_relies_on_the_market_version_for_all_that_places(world: World, atomic: bool) -> None:  # noqa: FBT001
    world.desk(co.SuspendMarket, MATCH, lapse=True)
    world.run()
    world.desk(co.OpenMarket, MATCH)
    placed(world, "ann", "home", "back", 40_000, 100, id="new")
    instructions = (co.Replace("b", "new", 41_000), _back("a"), co.Cancel("new"))
    answer = batch(world, "ann", *instructions, version=1, atomic=atomic)
    if atomic:
        assert refused(answer) == "MARKET_VERSION_CHANGED"
    else:
        assert _words(answer) == ["MARKET_VERSION_CHANGED", "MARKET_VERSION_CHANGED", "cancelled"]
    world.check()


def _in_play() -> World:
    world = floor("ann", "bob", delay_ms=5_000)
    placed(world, "ann", "home", "back", 40_000, 100, id="mine", persistence="persist")
    placed(world, "bob", "home", "lay", 30_000, 500, id="his", persistence="persist")
    world.desk(co.TurnInPlay, MATCH)
    world.run()
    return world


def test_in_play_the_orders_of_a_batch_wait() -> None:
    world = _in_play()
    assert _words(batch(world, "ann", _back("a"), co.Reduce("mine", 40), atomic=True)) == ["waiting", "cancelled"]
    world.check()
    world.wait(5_000)
    world.run()
    assert held(world, "a").matched_m == 100
    world.check()


@pytest.mark.parametrize(
    "instructions",
    [
        (_back("a"), co.Replace("b", "mine", 41_000)),
        (_back("a"), co.Replace("b", "mine", 30_000)),
    ],
    ids=["to rest", "to be matched"],
)
def test_in_play_an_atomic_batch_that_replaces_is_refused_whole(instructions: tuple[co.Instruction, ...]) -> None:
    """Where orders wait none is replaced."""
    world = _in_play()
    assert _words(batch(world, "ann", *instructions)) == ["waiting", "ORDER_UNKNOWN"]
    world = _in_play()
    assert refused(batch(world, "ann", *instructions, atomic=True)) == "ORDER_UNKNOWN"
    assert world.of("ann").resting == 1
    world.check()


@pytest.mark.parametrize("bound", ["orders_customer_max", "orders_max"])
def test_an_atomic_batch_keeps_within_the_bounds_of_memory_or_is_refused_whole(world: World, bound: str) -> None:
    world.engine.limits = limits(**{bound: 3})
    many = [_back(f"o{number}", 50_000) for number in range(4)]
    assert refused(batch(world, "ann", *many, atomic=True)) == "TOO_MANY"
    assert world.of("ann").resting == 1
    assert "TOO_MANY" in _words(batch(world, "ann", *many))
    world.check()


@pytest.mark.parametrize("fields", [{"kind": "on_close"}, {"persistence": "on_close"}])
def test_an_atomic_batch_counts_its_own_orders_that_take_the_starting_price(fields: dict[str, Any]) -> None:
    world = floor("ann", starting_price=True)
    world.engine.limits = limits(orders_on_close_max=2)
    many = [_back(f"o{number}", **fields) for number in range(3)]
    assert refused(batch(world, "ann", *many, atomic=True)) == "TOO_MANY"
    assert _words(batch(world, "ann", *many)) == ["resting", "resting", "TOO_MANY"]
    world.check()


@pytest.mark.parametrize("restarted", [False, True], ids=["at once", "after a restart"])
@pytest.mark.parametrize("atomic", [False, True])
def test_a_batch_that_is_sent_again_is_answered_the_same(world: World, atomic: bool, restarted: bool) -> None:  # noqa: FBT001
    instructions = (_back("a", stake_m=600), co.Cancel("mine"))
    first = batch(world, "ann", *instructions, id="x", atomic=atomic)
    assert _words(first) == ["resting", "cancelled"]
    world.command(co.CancelOrders, customer="ann")
    if restarted:
        world.restart()
    count = len(world.events)
    assert batch(world, "ann", *instructions, id="x", atomic=atomic) == first
    assert len(world.events) == count
    assert refused(batch(world, "ann", *instructions, _back("b"), id="x", atomic=atomic)) == "DUPLICATE_ID"
    world.check()


def test_a_refused_batch_is_refused_the_same_again(world: World) -> None:
    first = batch(world, "ann", _back("a", 30_100), atomic=True, id="x")
    assert batch(world, "ann", _back("a", 30_100), atomic=True, id="x") == first
    world.check()


def test_one_event_holds_a_batch_even_where_each_order_is_matched_across_many_selections() -> None:
    """The longest ids there are; a message of NATS takes 1 MiB, and a journal's event has to fit."""
    names = tuple(f"s{number:063}" for number in range(100))
    maker, taker = "m" * 64, "t" * 64
    world = World()
    for name in (maker, taker):
        world.customer(name, 10**9)
    exchange(world, names=names)
    for number, name in enumerate(names[1:]):
        placed(world, maker, name, "back", 10_000_000, 100_000, id=f"o{number:063}")
    answer = batch(world, taker, *(_back(f"t{number:063}", 11_000, 10_000, names[0]) for number in range(200)))
    reports = _reports(answer)
    assert [report.matched_m for report in reports] == [10_000] * 31 + [0] * 169
    assert {(report.status, report.lapsed_m, report.why) for report in reports[31:]} == {("lapsed", 10_000, "many")}
    assert len(msgspec.msgpack.encode(world.events[-1])) < 1_000_000
    world.check()
