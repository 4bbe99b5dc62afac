"""Orders in exchange markets (RULEBOOK 6): who is matched with whom and at what, and what becomes of the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import msgspec
import pytest

from core.exchange.crossing import Crossing, Way
from core.messages import commands as co
from core.messages import events as ev
from core.messages.answers import Cancelled, Done, OrderReport, OrderState
from core.messages.queries import GetOrder, GetOrders
from core.messages.rejections import Rejection
from tests.core.exchange.trading import CASH_M, MATCH, exchange, floor, held, levels, order, placed, position
from tests.core.world import NOON, World, limits, lost, refused, won

DAY = 86_400_000
Asked = tuple[str, str, int, int]
"""(customer, side, price, stake)."""


def _home(world: World, *orders: Asked, **fields: Any) -> list[OrderReport]:
    """Orders on home, named o1, o2, ... in their order."""
    return [
        placed(world, customer, "home", side, price, stake_m, id=f"o{number}", **fields)
        for number, (customer, side, price, stake_m) in enumerate(orders, len(world.book.orders) + 1)
    ]


class Matching(NamedTuple):
    """What rests, who comes, the fills as (maker, price, stake), and what is left on each side."""

    rule: str
    resting: list[Asked]
    taker: Asked
    fills: list[tuple[str, int, int]]
    backs: list[tuple[int, int]]
    lays: list[tuple[int, int]]


MATCHING = [
    Matching("nobody is there: it rests", [], ("ann", "back", 30_000, 500), [], [(30_000, 500)], []),
    Matching("prices do not meet: both rest", [("bob", "lay", 29_000, 500)], ("ann", "back", 30_000, 500), [],
        [(30_000, 500)], [(29_000, 500)]),
    Matching("a back takes a higher price than it asked for", [("bob", "lay", 35_000, 500)],
        ("ann", "back", 30_000, 500), [("o1", 35_000, 500)], [], []),
    Matching("a lay takes a lower one", [("bob", "back", 25_000, 500)], ("ann", "lay", 30_000, 500),
        [("o1", 25_000, 500)], [], []),
    Matching("of the best price the oldest first", [("bob", "lay", 30_000, 300), ("cid", "lay", 30_000, 300)],
        ("ann", "back", 30_000, 400), [("o1", 30_000, 300), ("o2", 30_000, 100)], [], [(30_000, 200)]),
    Matching("the best price first", [("bob", "lay", 30_000, 300), ("cid", "lay", 31_000, 300)],
        ("ann", "back", 30_000, 400), [("o2", 31_000, 300), ("o1", 30_000, 100)], [], [(30_000, 200)]),
    Matching("for a lay the best is the lowest", [("bob", "back", 30_000, 300), ("cid", "back", 29_000, 300)],
        ("ann", "lay", 30_000, 400), [("o2", 29_000, 300), ("o1", 30_000, 100)], [(30_000, 200)], []),
    Matching("what is left rests at its own price", [("bob", "lay", 35_000, 300)], ("ann", "back", 30_000, 500),
        [("o1", 35_000, 300)], [(30_000, 200)], []),
    Matching("as far as its price goes", [("bob", "lay", 35_000, 300), ("cid", "lay", 29_000, 300)],
        ("ann", "back", 30_000, 500), [("o1", 35_000, 300)], [(30_000, 200)], [(29_000, 300)]),
]  # fmt: skip


@pytest.mark.parametrize("case", MATCHING, ids=lambda case: case.rule)
def test_an_order_is_matched_by_price_and_time_at_the_makers_price(case: Matching) -> None:
    world = floor("ann", "bob", "cid")
    _home(world, *case.resting)
    [report] = _home(world, case.taker)
    event = world.events[-1]
    assert isinstance(event, ev.OrderPlaced)
    assert [(fill.maker, fill.price, fill.stake_m) for fill in event.fills] == case.fills
    assert levels(world) == (tuple(case.backs), tuple(case.lays))
    matched_m = sum(stake_m for _, _, stake_m in case.fills)
    paid = sum(price * stake_m for _, price, stake_m in case.fills)
    status = "matched" if matched_m == case.taker[3] else "resting"
    assert report == OrderReport(report.id, NOON, status, matched_m, paid // matched_m if matched_m else 0)
    world.check()


# Places in the queue.


def _cancel(world: World, customer: str, order_id: str, **fields: Any) -> Any:
    return world.command(co.CancelOrder, customer=customer, order=order_id, **fields)


def _reduce(world: World, customer: str, order_id: str, by_m: int, **fields: Any) -> Any:
    return world.command(co.ReduceOrder, customer=customer, order=order_id, by_m=by_m, **fields)


def _replace(world: World, customer: str, order_id: str, price: int, **fields: Any) -> Any:
    return world.command(co.ReplaceOrder, customer=customer, order=order_id, price=price, **fields)


QUEUES: list[tuple[str, Callable[[World], Any], list[str]]] = [
    ("who came first is first", lambda _: None, ["o1", "o2"]),
    ("reduced, it keeps its place", lambda world: _reduce(world, "bob", "o1", 100), ["o1", "o2"]),
    ("replaced at its own price, it loses it", lambda world: _replace(world, "bob", "o1", 30_000, id="x"), ["o2", "x"]),
    ("replaced at a better price, first", lambda world: _replace(world, "cid", "o2", 31_000, id="x"), ["x", "o1"]),
    ("cancelled, it has none", lambda world: _cancel(world, "bob", "o1"), ["o2"]),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "change", "makers"), QUEUES, ids=[case[0] for case in QUEUES])
def test_what_an_order_keeps_of_its_place(rule: str, change: Callable[[World], Any], makers: list[str]) -> None:
    world = floor("ann", "bob", "cid")
    _home(world, ("bob", "lay", 30_000, 300), ("cid", "lay", 30_000, 300))
    change(world)
    placed(world, "ann", "home", "back", 30_000, 600)
    event = world.events[-1]
    assert isinstance(event, ev.OrderPlaced), rule
    assert [fill.maker for fill in event.fills] == makers
    world.check()


def test_a_replaced_order_is_matched_at_its_new_price_and_takes_the_rest_of_its_stake_along() -> None:
    world = floor("ann", "bob")
    _home(world, ("ann", "back", 30_000, 500), ("bob", "lay", 30_000, 200), ("bob", "lay", 25_000, 100))
    report = _replace(world, "ann", "o1", 25_000, id="new")
    assert report == OrderReport("new", NOON, "resting", 100, 25_000)
    assert (held(world, "o1").stake_m, held(world, "o1").matched_m, held(world, "new").stake_m) == (0, 200, 200)
    assert world.of("ann").exposure_m == 500
    world.check()


# Exposure comes back to the minor unit.

ENDS: list[tuple[str, Callable[[World], Any]]] = [
    ("cancelled", lambda world: _cancel(world, "ann", "o1")),
    ("reduced by all of it", lambda world: _reduce(world, "ann", "o1", 333)),
    ("reduced by more than there is", lambda world: _reduce(world, "ann", "o1", 1_000)),
    ("reduced twice", lambda world: [_reduce(world, "ann", "o1", 100), _reduce(world, "ann", "o1", 233)]),
    ("cancelled with all of his", lambda world: world.command(co.CancelOrders, customer="ann")),
    ("replaced and cancelled", lambda world: [
        _replace(world, "ann", "o1", 31_000, id="x"), _cancel(world, "ann", "x")]),
    ("lapsed at the off", lambda world: [world.desk(co.TurnInPlay, MATCH), world.run()]),
    ("lapsed when suspended", lambda world: [world.desk(co.SuspendMarket, MATCH, lapse=True), world.run()]),
    ("lapsed with a withdrawal", lambda world: [
        world.desk(co.WithdrawSelection, MATCH, selection="away", price=0, at_ms=NOON), world.run()]),
    ("lapsed by the results", lambda world: world.settle(MATCH, won("home"))),
    ("lapsed as the market is void", lambda world: world.cancel(MATCH)),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "end"), ENDS, ids=[case[0] for case in ENDS])
@pytest.mark.parametrize(("side", "risk_m"), [("back", 333), ("lay", 682)])
def test_what_was_set_aside_for_an_order_comes_back(
    rule: str, end: Callable[[World], Any], side: str, risk_m: int
) -> None:
    """3.33 at 3.05 pays 10.15 (rounded down): a lay can lose 6.82."""
    world = floor("ann")
    _home(world, ("ann", side, 30_500, 333))
    assert (world.cash("ann"), world.of("ann").exposure_m) == (CASH_M - risk_m, risk_m)
    end(world)
    assert (world.cash("ann"), world.of("ann").exposure_m, world.of("ann").resting) == (CASH_M, 0, 0), rule
    assert (levels(world), world.book.orders) == (((), ()), {})
    world.check()


@pytest.mark.parametrize("side", ["back", "lay"])
def test_the_rest_of_an_order_comes_back_and_its_match_stays(side: str) -> None:
    other = "lay" if side == "back" else "back"
    world = floor("ann", "bob")
    _home(world, ("ann", side, 30_500, 333), ("bob", other, 30_500, 111))
    _cancel(world, "ann", "o1")
    # 1.11 at 3.05 pays 3.38.
    assert world.of("ann").exposure_m == (111 if side == "back" else 227)
    assert (held(world, "o1").stake_m, held(world, "o1").matched_m) == (0, 111)
    world.check()


# Taking orders back.


def test_an_order_is_cancelled_by_its_customer_alone_and_once() -> None:
    world = floor("ann", "bob")
    _home(world, ("ann", "back", 30_000, 500))
    assert refused(_cancel(world, "bob", "o1")) == "ORDER_UNKNOWN"
    assert _cancel(world, "ann", "o1", id="x") == Cancelled("x", NOON, 1, 500)
    assert refused(_cancel(world, "ann", "o1")) == "ORDER_UNKNOWN"
    assert refused(_reduce(world, "ann", "o1", 1)) == "ORDER_UNKNOWN"
    assert refused(_replace(world, "ann", "o1", 31_000)) == "ORDER_UNKNOWN"
    world.check()


WHERE: list[tuple[str, dict[str, str], set[str]]] = [
    ("everywhere", {}, {"match/winner", "match/other", "final/winner"}),
    ("in a fixture", {"fixture": "match"}, {"match/winner", "match/other"}),
    ("in a market", {"fixture": "match", "market": "other"}, {"match/other"}),
]


@pytest.mark.parametrize(("rule", "where", "cancelled"), WHERE, ids=[case[0] for case in WHERE])
def test_all_orders_of_a_customer_are_cancelled_at_once(rule: str, where: dict[str, str], cancelled: set[str]) -> None:
    world = floor("ann", "bob")
    exchange(world, "match/other")
    exchange(world, "final/winner")
    paths = ["match/winner", "match/other", "final/winner"]
    for path in paths:
        for customer in ("ann", "bob"):
            placed(world, customer, "home", "back", 30_000, 100, path)
            placed(world, customer, "away", "back", 30_000, 100, path)
    answer = world.command(co.CancelOrders, id="x", customer="ann", **where)
    assert isinstance(answer, Cancelled), rule
    assert world.command(co.CancelOrders, id="x", customer="ann", **where) == answer
    left = {path for path in paths if levels(world, "home", path) == (((30_000, 200),), ())}
    assert left == set(paths) - cancelled
    assert (world.of("bob").resting, world.of("ann").resting) == (6, 2 * len(left))
    world.check()


def test_cancel_all_tells_how_many_it_was_in_all_markets() -> None:
    world = floor("ann")
    exchange(world, "final/winner")
    for path in (MATCH, "final/winner"):
        placed(world, "ann", "home", "back", 30_000, 100, path)
    assert world.command(co.CancelOrders, id="x", customer="ann") == Cancelled("x", NOON, 2, 200)
    world.check()


def test_where_nothing_rests_there_is_nothing_to_cancel() -> None:
    world = floor("ann")
    assert refused(world.command(co.CancelOrders, customer="ann")) == "ORDER_UNKNOWN"
    placed(world, "ann", "home", "back", 30_000, 100)
    assert refused(world.command(co.CancelOrders, customer="ann", market="winner")) == "DEFINITION_NOT_VALID"
    assert refused(world.command(co.CancelOrders, customer="ann", fixture="final")) == "ORDER_UNKNOWN"
    world.check()


# Fill or kill: (rule, lays that rest, price, stake, least to be matched, matched, average, why the rest lapses).
KILLS: list[tuple[str, list[tuple[int, int]], int, int, int, int, int, str]] = [
    ("all of it", [(30_000, 500)], 30_000, 500, 0, 500, 30_000, ""),
    ("or nothing", [(30_000, 499)], 30_000, 500, 0, 0, 0, "killed"),
    ("an empty book", [], 30_000, 500, 0, 0, 0, "killed"),
    ("the least is there: the rest is killed", [(30_000, 300)], 30_000, 500, 300, 300, 30_000, "killed"),
    ("the least is not there", [(30_000, 299)], 30_000, 500, 300, 0, 0, "killed"),
    # 3.20 x 1 and 2.90 x 2: the average is 3.00.
    ("its price limits the average", [(32_000, 100), (29_000, 200)], 30_000, 300, 0, 300, 30_000, ""),
    ("and no fill beyond it", [(32_000, 100), (29_000, 201)], 30_000, 301, 300, 300, 30_000, "killed"),
]


@pytest.mark.parametrize("case", KILLS, ids=[case[0] for case in KILLS])
def test_fill_or_kill_is_matched_at_once_or_not_at_all(
    case: tuple[str, list[tuple[int, int]], int, int, int, int, int, str],
) -> None:
    rule, lays, price, stake_m, least_m, matched_m, average, why = case
    world = floor("ann", "bob")
    _home(world, *(("bob", "lay", *each) for each in lays))
    fields: dict[str, Any] = {"fill_or_kill": True, "fill_min_m": least_m}
    report = placed(world, "ann", "home", "back", price, stake_m, id="x", **fields)
    status = "lapsed" if why else "matched"
    assert report == OrderReport("x", NOON, status, matched_m, average, stake_m - matched_m, why), rule
    assert levels(world)[0] == ()
    assert world.of("ann").exposure_m == matched_m
    assert placed(world, "ann", "home", "back", price, stake_m, id="x", **fields) == report
    world.check()


# Nobody is matched with himself.


@pytest.mark.parametrize(
    ("rule", "resting", "matched_m"),
    [
        ("his own is first: all of it lapses", [("ann", 500), ("bob", 500)], 0),
        ("what came before is matched", [("bob", 300), ("ann", 500)], 300),
        ("his own is not reached", [("bob", 800), ("ann", 500)], 800),
    ],
)
def test_the_rest_lapses_before_a_match_with_oneself(rule: str, resting: list[tuple[str, int]], matched_m: int) -> None:
    world = floor("ann", "bob")
    _home(world, *((customer, "lay", 30_000, stake_m) for customer, stake_m in resting))
    report = placed(world, "ann", "home", "back", 30_000, 800)
    assert (report.matched_m, report.lapsed_m, report.why) == (
        matched_m,
        800 - matched_m,
        "" if matched_m == 800 else "self_match",
    ), rule
    world.check()


# What is refused, and in which order.


class Fault(NamedTuple):
    """What makes one check of an order fail."""

    order: dict[str, Any] = {}  # noqa: RUF012  (never written)
    before: Callable[[World], object] = lambda _: None
    limits: dict[str, int] = {}  # noqa: RUF012


def _exclude(kind: str) -> Callable[[World], object]:
    return lambda world: world.done(co.ExcludeCustomer, customer="ann", kind=kind, until_ms=NOON + DAY)


def _own(kind: str) -> Callable[[World], object]:
    return lambda world: world.done(co.SetOwnLimit, customer="ann", kind=kind, period="day", limit_m=500)


def _poor(world: World) -> None:
    world.done(co.Withdraw, customer="ann", amount_m=CASH_M - 999, provider="bank")


FAULTS = {
    Rejection.MALFORMED: Fault({"id": "é"}),
    Rejection.DUPLICATE_ID: Fault(before=lambda world: placed(world, "ann", "home", "back", 50_000, 100, id="x")),
    Rejection.EXPIRED: Fault({"expires_ms": NOON - 1}),
    Rejection.CUSTOMER_UNKNOWN: Fault({"customer": "nobody"}),
    Rejection.CUSTOMER_NOT_VERIFIED: Fault(limits={"verified_only": True}),
    Rejection.CUSTOMER_SUSPENDED: Fault(
        before=lambda world: world.done(co.SetCustomerStatus, customer="ann", suspended=True, reason="")
    ),
    Rejection.SELF_EXCLUDED: Fault(before=_exclude("self_exclusion")),
    Rejection.TIMED_OUT: Fault(before=_exclude("time_out")),
    Rejection.CURRENCY_MISMATCH: Fault({"currency": "GBP"}),
    Rejection.FIXTURE_UNKNOWN: Fault({"fixture": "nowhere"}),
    Rejection.MARKET_UNKNOWN: Fault({"market": "nothing"}),
    Rejection.SELECTION_UNKNOWN: Fault({"selection": "nobody"}),
    Rejection.MARKET_CLOSED: Fault(before=lambda world: world.settle(MATCH, won("home"))),
    Rejection.MARKET_SUSPENDED: Fault(before=lambda world: world.desk(co.SuspendMarket, MATCH)),
    Rejection.CUT_OFF_PASSED: Fault(before=lambda world: world.wait(1_000)),
    Rejection.SELECTION_UNPRICED: Fault({"selection": "away"}),
    Rejection.STARTING_PRICE_NOT_OFFERED: Fault({"persistence": "on_close"}),
    Rejection.MARKET_VERSION_CHANGED: Fault({"version": 1}),
    Rejection.PRICE_NOT_ON_LADDER: Fault({"price": 30_100}),
    Rejection.STAKE_TOO_SMALL: Fault(limits={"order_stake_min_m": 2_000, "order_payout_min_m": 10_000}),
    Rejection.OWN_STAKE_LIMIT: Fault(before=_own("stake")),
    Rejection.OWN_LOSS_LIMIT: Fault(before=_own("loss")),
    Rejection.BALANCE_TOO_LOW: Fault(before=_poor),
}


def _answer_to(*faults: Fault) -> Any:
    world = floor("ann", cut_off_ms=NOON + 1_000)
    assert isinstance(world.desk(co.WithdrawSelection, MATCH, selection="away", price=0, at_ms=NOON), Done)
    world.run()
    for fault in sorted(faults, key=lambda fault: fault.before is FAULTS[Rejection.MARKET_CLOSED].before):
        fault.before(world)
    world.engine.limits = limits(**{name: value for fault in faults for name, value in fault.limits.items()})
    asked = co.PlaceOrder("x", world.now + 500, "ann", "match", "winner", "home", "back", 1_000, 30_000)
    for fault in reversed(faults):
        asked = msgspec.structs.replace(asked, **fault.order)
    return world.send(asked)


def test_without_a_fault_an_order_is_taken() -> None:
    assert isinstance(_answer_to(), OrderReport)


def test_an_orders_checks_stand_in_the_order_of_the_enum() -> None:
    assert list(FAULTS) == sorted(FAULTS)


@pytest.mark.parametrize("reason", FAULTS, ids=lambda reason: reason.name)
def test_an_order_with_one_fault_is_refused_for_it(reason: Rejection) -> None:
    assert refused(_answer_to(FAULTS[reason])) == reason.name


def test_of_two_faults_of_an_order_the_first_in_the_order_of_the_enum_is_the_answer() -> None:
    """RULEBOOK 3: the first that fails is the answer."""
    found = {
        (first, second): getattr(_answer_to(FAULTS[first], FAULTS[second]), "reason", "accepted")
        for first, second in combinations(FAULTS, 2)
    }
    assert {pair: reason for pair, reason in found.items() if reason != pair[0].name} == {}


# Prices and stakes.

LADDER = [
    ("between two rungs", "CLASSIC", 30_100, 30_000, 30_500),
    ("below the first", "CLASSIC", 10_050, 0, 10_100),
    ("none", "CLASSIC", 0, 0, 10_100),
    ("above the last", "CLASSIC", 10_000_001, 10_000_000, 0),
    ("a hundredth on the fine one", "FINEST", 30_150, 30_100, 30_200),
]


@pytest.mark.parametrize(("rule", "ladder", "price", "below", "above"), LADDER, ids=[case[0] for case in LADDER])
def test_a_price_off_its_ladder_is_refused_with_its_neighbours(
    rule: str, ladder: str, price: int, below: int, above: int
) -> None:
    world = floor("ann", ladder=ladder)
    answer: Any = order(world, "ann", "home", "back", price, 1_000)
    assert (answer.reason, answer.price, answer.limit) == ("PRICE_NOT_ON_LADDER", below, above), rule
    for neighbour in (below, above):
        if neighbour:
            placed(world, "ann", "home", "back", neighbour, 1_000)
    world.check()


STAKES = [
    ("the least stake", 100, 20_000, True),
    ("less", 99, 20_000, False),
    ("less, that would be paid enough", 10, 1_000_000, True),
    ("less, that would be paid one too little", 99, 101_000, False),
    ("a payout of exactly the least", 50, 200_000, True),
]


@pytest.mark.parametrize(("rule", "stake_m", "price", "taken"), STAKES, ids=[case[0] for case in STAKES])
def test_a_small_stake_is_taken_if_its_payout_is_large_enough(rule: str, stake_m: int, price: int, taken: bool) -> None:  # noqa: FBT001
    """1.00, or a payout of 10.00."""
    world = floor("ann", ladder="FINEST")
    answer: Any = order(world, "ann", "home", "back", price, stake_m)
    assert (answer.status if taken else answer.reason) == ("resting" if taken else "STAKE_TOO_SMALL"), rule
    world.check()


def test_what_does_not_go_together_is_refused() -> None:
    world = floor("ann", starting_price=True)
    for fields in (
        {"fill_or_kill": True, "kind": "on_close"},
        {"fill_min_m": 1},
        {"fill_or_kill": True, "fill_min_m": 1_001},
    ):
        assert refused(order(world, "ann", "home", "back", 30_000, 1_000, **fields)) == "DEFINITION_NOT_VALID", fields
    world.check()


# What a customer can cover.


def test_an_order_is_covered_by_cash_to_the_minor_unit() -> None:
    world = floor("ann")
    answer: Any = order(world, "ann", "home", "lay", 30_000, CASH_M // 2 + 1)
    assert (answer.reason, answer.limit) == ("BALANCE_TOO_LOW", CASH_M)
    placed(world, "ann", "home", "lay", 30_000, CASH_M // 2)
    assert world.cash("ann") == 0
    placed(world, "ann", "draw", "lay", 30_000, CASH_M // 2)
    assert refused(order(world, "ann", "home", "back", 40_000, 100)) == "BALANCE_TOO_LOW"
    world.check()


def test_an_account_in_another_currency_trades_nowhere() -> None:
    world = floor()
    world.done(co.SetRate, currency="GBP", rate=1_170_000)
    world.done(co.OpenCustomer, customer="gil", currency="GBP")
    world.done(co.Deposit, customer="gil", amount_m=10_000, provider="bank")
    answer: Any = order(world, "gil", "home", "back", 30_000, 1_000)
    assert (answer.reason, answer.detail) == ("CURRENCY_MISMATCH", "EUR")
    world.check()


@pytest.mark.parametrize("what", ["suspended", "time_out", "self_exclusion"])
def test_who_may_not_bet_has_no_orders_that_could_be_matched(what: str) -> None:
    world = floor("ann", "bob", delay_ms=5_000, starting_price=True)
    exchange(world, "other/winner", cross=False)
    world.desk(co.TurnInPlay, "match/winner")
    world.run()
    _home(world, ("ann", "back", 30_000, 500))
    placed(world, "ann", "home", "lay", 20_000, 500, "other/winner")
    placed(world, "bob", "home", "back", 35_000, 500, "other/winner")
    if what == "suspended":
        world.done(co.SetCustomerStatus, customer="ann", suspended=True, reason="")
    else:
        _exclude(what)(world)
    ended = [event for event in world.events if isinstance(event, ev.OrdersCancelled)]
    assert [(event.market, event.why, event.stake_m) for event in ended] == [("winner", ev.Why.BARRED, 500)] * 2
    assert (world.of("ann").resting, world.of("bob").resting, world.cash("ann")) == (0, 1, CASH_M)
    world.check()


@pytest.mark.parametrize(("verified_only", "resting"), [(True, 0), (False, 1)])
def test_where_only_the_verified_may_bet_who_is_not_any_more_has_no_orders(verified_only: bool, resting: int) -> None:  # noqa: FBT001
    world = floor("ann")
    world.done(co.VerifyCustomer, customer="ann", verified=True, reason="")
    world.engine.limits = limits(verified_only=verified_only)
    _home(world, ("ann", "back", 30_000, 500))
    world.done(co.VerifyCustomer, customer="ann", verified=False, reason="")
    assert world.of("ann").resting == resting
    world.check()


def test_a_customer_who_may_bet_again_keeps_his_orders() -> None:
    world = floor("ann")
    _home(world, ("ann", "back", 30_000, 500))
    world.done(co.SetCustomerStatus, customer="ann", suspended=False, reason="")
    assert world.of("ann").resting == 1
    world.check()


@pytest.mark.parametrize("kind", ["stake", "loss"])
def test_a_customers_own_limit_counts_what_his_orders_can_cost(kind: str) -> None:
    world = floor("ann")
    _own(kind)(world)
    placed(world, "ann", "home", "back", 30_000, 300)
    assert refused(order(world, "ann", "home", "back", 30_000, 201)) == f"OWN_{kind.upper()}_LIMIT"
    placed(world, "ann", "home", "back", 30_000, 200)
    placed(world, "ann", "home", "lay", 20_000, 500)
    world.check()


@pytest.mark.parametrize(
    ("bound", "detail"),
    [("orders_customer_max", "orders of the customer"), ("orders_max", "orders"), ("trades_max", "matches")],
)
def test_memory_has_its_bounds(bound: str, detail: str) -> None:
    world = floor("ann", "bob")
    _home(world, ("ann", "back", 30_000, 500), ("bob", "lay", 30_000, 100))
    world.engine.limits = limits(**{bound: 1})
    answer: Any = order(world, "ann", "home", "back", 30_000, 500)
    assert (answer.reason, answer.limit, answer.detail) == ("TOO_MANY", 1, detail)
    world.check()


@pytest.mark.parametrize(
    ("rule", "fields", "taken"),
    [
        ("it is for the close", {"kind": "on_close"}, False),
        ("it rests until the close", {"persistence": "on_close"}, False),
        ("it does not take the starting price", {}, True),
    ],
)
def test_one_event_holds_all_orders_on_a_selection_that_take_its_starting_price(
    rule: str,
    fields: dict[str, Any],
    taken: bool,  # noqa: FBT001
) -> None:
    world = floor("ann", "bob", starting_price=True)
    world.engine.limits = limits(orders_on_close_max=2)
    placed(world, "ann", "home", "back", 30_000, 500, persistence="on_close", id="rests")
    placed(world, "ann", "home", "back", 30_000, 500, kind="on_close")
    answer: Any = order(world, "bob", "home", "back", 35_000, 500, **fields)
    assert isinstance(answer, OrderReport) is taken, rule
    if not taken:
        assert (answer.reason, answer.limit, answer.detail) == ("TOO_MANY", 2, "orders on close")
        _replace(world, "ann", "rests", 31_000)
        placed(world, "bob", "home", "lay", 31_000, 500)
        placed(world, "bob", "home", "back", 35_000, 500, **fields)
    placed(world, "bob", "away", "back", 35_000, 500, **fields)
    world.check()


# The market version on which an order relies (RULEBOOK 6).

MATERIAL: list[tuple[str, Callable[[World], Any], bool]] = [
    ("nothing", lambda _: None, False),
    ("other orders", lambda world: placed(world, "bob", "home", "lay", 20_000, 100), False),
    ("a suspension that is not material", lambda world: world.desk(co.SuspendMarket, MATCH), False),
    ("a material one", lambda world: world.desk(co.SuspendMarket, MATCH, lapse=True), True),
    ("the off", lambda world: world.desk(co.TurnInPlay, MATCH), True),
    ("a withdrawal", lambda world: world.desk(
        co.WithdrawSelection, MATCH, selection="away", price=0, at_ms=NOON), True),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "happens", "material"), MATERIAL, ids=[case[0] for case in MATERIAL])
def test_an_order_relies_on_the_market_as_it_was(rule: str, happens: Callable[[World], Any], material: bool) -> None:  # noqa: FBT001
    world = floor("ann", "bob")
    happens(world)
    world.run()
    world.desk(co.OpenMarket, MATCH)
    answer: Any = order(world, "ann", "home", "back", 30_000, 1_000, version=1)
    assert isinstance(answer, OrderReport) is not material, (rule, answer)
    if material:
        assert (answer.reason, answer.limit) == ("MARKET_VERSION_CHANGED", 2)
        placed(world, "ann", "home", "back", 30_000, 1_000, version=2)
    world.check()


# In play orders wait (RULEBOOK 6).


def _in_play(**fields: Any) -> World:
    world = floor("ann", "bob", delay_ms=5_000, **fields)
    _home(world, ("bob", "lay", 30_000, 500), persistence="persist")
    world.desk(co.TurnInPlay, MATCH)
    world.run()
    return world


def _state(world: World, order_id: str) -> Any:
    return world.send(GetOrder(order_id))


def test_in_play_an_order_waits_and_is_decided_then() -> None:
    world = _in_play()
    report = placed(world, "ann", "home", "back", 30_000, 800, id="x")
    assert report == OrderReport("x", NOON, "waiting", until_ms=NOON + 5_000)
    assert (world.of("ann").exposure_m, world.of("ann").resting, _state(world, "x").status) == (800, 1, "waiting")
    assert levels(world) == ((), ((30_000, 500),))
    world.check()
    world.wait(4_999)
    assert world.run() == []
    world.wait(1)
    world.run()
    assert levels(world) == (((30_000, 300),), ())
    assert (held(world, "x").matched_m, world.of("ann").exposure_m, _state(world, "x").status) == (500, 800, "resting")
    world.check()


def test_before_the_off_nothing_waits() -> None:
    world = floor("ann", delay_ms=5_000)
    assert placed(world, "ann", "home", "back", 30_000, 800).status == "resting"


@pytest.mark.parametrize(
    ("rule", "side", "price", "exempt", "status"),
    [
        ("it would only add: it rests", "back", 35_000, True, "resting"),
        ("it would be matched: it waits", "back", 30_000, True, "waiting"),
        ("without the exemption both wait", "back", 35_000, False, "waiting"),
    ],
)
def test_an_order_that_only_adds_to_the_book_may_be_exempt(
    rule: str,
    side: str,
    price: int,
    exempt: bool,  # noqa: FBT001
    status: str,
) -> None:
    world = _in_play(passive_exempt=exempt)
    assert placed(world, "ann", "home", side, price, 800).status == status, rule
    world.check()


WAITED: list[tuple[str, Callable[[World], Any], str]] = [
    ("the market is suspended meanwhile", lambda world: world.desk(co.SuspendMarket, MATCH), "MARKET_SUSPENDED"),
    ("the market is suspended meanwhile, and open again", lambda world: (
        world.desk(co.SuspendMarket, MATCH), world.desk(co.OpenMarket, MATCH)), "MARKET_SUSPENDED"),
    ("something material happens, and the market is open again", lambda world: (
        world.desk(co.SuspendMarket, MATCH, lapse=True), world.run(), world.desk(co.OpenMarket, MATCH)), ""),
    ("another selection is withdrawn", lambda world: world.desk(
        co.WithdrawSelection, MATCH, selection="away", price=0, at_ms=NOON, reduction_bp=3_000), ""),
    ("it has results meanwhile", lambda world: world.settle(MATCH, won("home")), ""),
    ("its customer cancels it", lambda world: _cancel(world, "ann", "x"), ""),
    ("its customer cancels all", lambda world: world.command(co.CancelOrders, customer="ann"), ""),
    ("its customer is suspended", lambda world: world.done(
        co.SetCustomerStatus, customer="ann", suspended=True, reason=""), ""),
    ("its selection is withdrawn", lambda world: world.desk(
        co.WithdrawSelection, MATCH, selection="home", price=0, at_ms=NOON), ""),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "meanwhile", "reason"), WAITED, ids=[case[0] for case in WAITED])
def test_an_order_that_waited_may_come_to_nothing(rule: str, meanwhile: Callable[[World], Any], reason: str) -> None:
    world = _in_play()
    placed(world, "ann", "home", "back", 30_000, 800, id="x")
    meanwhile(world)
    world.run()
    world.check()
    world.wait(5_000)
    world.run()
    assert (world.cash("ann"), world.of("ann").exposure_m, world.of("ann").resting) == (CASH_M, 0, 0), rule
    assert "x" not in world.book.orders
    if reason:
        ended = [event for event in world.events if isinstance(event, ev.OrdersCancelled) and event.reason]
        assert [(event.orders, event.reason) for event in ended] == [(("x",), Rejection[reason].value)]
        assert refused(order(world, "ann", "home", "back", 30_000, 800, id="x")) == reason
    world.check()


def test_while_it_waits_an_order_is_cancelled_but_neither_reduced_nor_replaced() -> None:
    world = _in_play()
    placed(world, "ann", "home", "back", 30_000, 800, id="x")
    assert refused(_reduce(world, "ann", "x", 100)) == "ORDER_UNKNOWN"
    assert refused(_replace(world, "ann", "x", 31_000)) == "ORDER_UNKNOWN"
    assert _cancel(world, "ann", "x", id="y") == Cancelled("y", NOON, 1, 800)
    world.check()


# Once: a retry gets the same answer, before a restart and after it (DESIGN promise 4).


def _kill(world: World, **fields: Any) -> Any:
    return order(world, "ann", "home", "back", 40_000, 500, id="x", fill_or_kill=True, **fields)


def _take(world: World, stake_m: int = 500, **fields: Any) -> Any:
    return order(world, "ann", "home", "back", 30_000, stake_m, id="x", **fields)


def _gone(world: World) -> None:
    _cancel(world, "ann", "x")


def _quiet(_: World) -> None:
    pass


RETRIES: list[tuple[str, Callable[..., Any], Callable[[World], None]]] = [
    ("resting", lambda world, **fields: _take(world, 800, **fields), _quiet),
    ("matched", _take, _quiet),
    ("killed", _kill, _quiet),
    ("cancelled since", lambda world, **fields: _take(world, 800, **fields), _gone),
    ("never matched and cancelled since", lambda world, **fields: order(
        world, "ann", "home", "back", 40_000, 500, id="x", **fields), _gone),
    ("settled since", _take, lambda world: world.settle(MATCH, won("home"))),
    ("a cancel", lambda world, **fields: _cancel(world, "bob", "o1", id="x", **fields), _quiet),
    ("a reduction", lambda world, **fields: _reduce(world, "bob", "o1", 100, id="x", **fields), _quiet),
    ("a replacement", lambda world, **fields: _replace(world, "bob", "o1", 31_000, id="x", **fields), _quiet),
]  # fmt: skip


@pytest.mark.parametrize("restarted", [False, True], ids=["at once", "after a restart"])
@pytest.mark.parametrize(("rule", "ask", "since"), RETRIES, ids=[case[0] for case in RETRIES])
def test_an_order_that_is_sent_again_is_answered_the_same(
    rule: str,
    ask: Callable[..., Any],
    since: Callable[[World], None],
    restarted: bool,  # noqa: FBT001
) -> None:
    world = floor("ann", "bob")
    _home(world, ("bob", "lay", 30_000, 500))
    first = ask(world)
    since(world)
    if restarted:
        world.restart()
    count = len(world.events)
    assert ask(world) == first, rule
    assert ask(world, expires_ms=world.now + 600_000) == first
    assert len(world.events) == count
    world.check()


def test_an_order_that_has_waited_is_answered_the_same_while_it_is_held_and_after() -> None:
    world = _in_play()
    ask = {"id": "x"}
    placed(world, "ann", "home", "back", 30_000, 800, **ask)
    world.wait(5_000)
    world.run()
    first = placed(world, "ann", "home", "back", 30_000, 800, **ask)
    assert first == OrderReport("x", NOON + 5_000, "resting", 500, 30_000)
    assert first == held(world, "x").report
    world.restart()
    assert placed(world, "ann", "home", "back", 30_000, 800, **ask) == first
    world.check()


def test_an_order_under_an_id_whose_earlier_answer_is_past_is_placed_once() -> None:
    world = floor("ann")
    placed(world, "ann", "home", "back", 30_000, 500, id="x")
    _cancel(world, "ann", "x")
    world.wait(world.engine.limits.retention_ms + 1)
    report = placed(world, "ann", "home", "back", 31_000, 500, id="x")
    assert placed(world, "ann", "home", "back", 31_000, 500, id="x") == report
    assert refused(order(world, "ann", "home", "back", 32_000, 500, id="x")) == "DUPLICATE_ID"
    assert levels(world) == (((31_000, 500),), ())
    world.check()


def test_another_content_under_an_orders_id_is_refused() -> None:
    world = floor("ann", "bob")
    _home(world, ("ann", "back", 30_000, 500))
    assert refused(order(world, "ann", "home", "back", 30_000, 501, id="o1")) == "DUPLICATE_ID"
    assert refused(_cancel(world, "ann", "o1", id="o1")) == "DUPLICATE_ID"
    assert levels(world) == (((30_000, 500),), ())
    world.check()


def test_an_order_is_told_as_it_stands() -> None:
    world = floor("ann", "bob")
    _home(world, ("ann", "back", 30_000, 500), ("bob", "lay", 30_000, 200))
    head = ("o1", "ann", "match", "winner", "home", "back", NOON)
    assert _state(world, "o1") == OrderState(*head, "resting", 30_000, 500, 300, 200, 30_000)
    _cancel(world, "ann", "o1")
    assert _state(world, "o1") == OrderState(*head, "done", 30_000, 500, 0, 200, 30_000)
    assert _state(world, "o2").side == "lay"
    world.settle(MATCH, lost("home"), won("away"))
    assert (position(world, "ann").net_m, position(world, "bob").net_m) == (-200, 200)
    world.check()


@pytest.mark.parametrize(
    ("rule", "listed_max", "listed", "older"),
    [
        ("all of them", 5, ["o1", "o3", "o4", "o5", "o6"], 0),
        ("what rests, and the latest others", 4, ["o1", "o4", "o5", "o6"], 1),
        ("what rests goes first", 2, ["o1", "o6"], 3),
    ],
)
def test_a_list_of_orders_has_what_rests_and_as_many_others_as_one_answer_holds(
    rule: str, listed_max: int, listed: list[str], older: int
) -> None:
    world = floor("ann", "bob")
    _home(world, ("ann", "back", 50_000, 100), ("bob", "lay", 40_000, 500))
    _home(world, *[("ann", "back", 40_000, 100)] * 3, ("ann", "lay", 20_000, 100))
    world.engine.limits = limits(orders_listed_max=listed_max)
    answer: Any = world.send(GetOrders("ann", "match", "winner"))
    assert ([order.id for order in answer.orders], answer.older_orders) == (listed, older), rule


ENDED: list[tuple[str, Callable[[World], Any], str]] = [
    ("he took it back", lambda world: _cancel(world, "ann", "x"), "done"),
    ("it has another price", lambda world: _replace(world, "ann", "x", 40_000), "done"),
    ("it lapsed", lambda world: world.desk(co.SuspendMarket, MATCH, lapse=True), "done"),
    ("its market is settled", lambda world: world.settle(MATCH, won("home")), "done"),
    ("it rests", lambda _: None, "resting"),
]


@pytest.mark.parametrize(("rule", "happens", "status"), ENDED, ids=[case[0] for case in ENDED])
def test_an_order_of_which_nothing_is_left_is_not_told_to_rest(
    rule: str, happens: Callable[[World], Any], status: str
) -> None:
    world = floor("ann")
    report = placed(world, "ann", "home", "back", 30_000, 500, id="x")
    happens(world)
    world.run()
    assert _state(world, "x").status == status, rule
    assert placed(world, "ann", "home", "back", 30_000, 500, id="x") == report


def test_an_order_that_lapsed_while_it_waited_is_not_told_to_wait() -> None:
    world = _in_play()
    placed(world, "ann", "home", "back", 30_000, 800, id="x")
    world.desk(co.SuspendMarket, MATCH, lapse=True)
    world.run()
    assert _state(world, "x") == OrderReport("x", NOON, "done")


@pytest.mark.parametrize(
    ("rule", "fields", "matched_m", "why"),
    [
        ("what is left lapses", {}, 100_000, "many"),
        ("all of it or nothing", {"fill_or_kill": True}, 0, "killed"),
        ("so much at the least, and it is there", {"fill_or_kill": True, "fill_min_m": 100_000}, 100_000, "many"),
        ("it is not", {"fill_or_kill": True, "fill_min_m": 100_001}, 0, "killed"),
    ],
)
def test_an_order_is_matched_with_as_many_others_as_one_event_holds(
    rule: str, fields: dict[str, Any], matched_m: int, why: str
) -> None:
    world = World(orders_customer_max=2_000)
    for name in ("ann", "bob"):
        world.customer(name, 10**6)
    exchange(world, cross=False)
    for _ in range(1_001):
        placed(world, "ann", "home", "lay", 30_000, 100)
    report = placed(world, "bob", "home", "back", 30_000, 100_100, **fields)
    assert (report.matched_m, report.lapsed_m, report.why) == (matched_m, 100_100 - matched_m, why), rule


# Matches across selections (RULEBOOK 6); the price implied by 2.7 and 3.0 is 3.35.


def _implying(*ahead: Asked) -> World:
    """Backs of home at 2.7 and of draw at 3.0, 1 000.00 each, behind backs of draw of others."""
    world = floor("ann", "bob", "eve", cross=True)
    for number, (customer, side, price, stake_m) in enumerate(ahead):
        placed(world, customer, "draw", side, price, 100, id=f"ahead{number}")
        world.command(co.ReduceOrder, customer=customer, order=f"ahead{number}", by_m=100 - stake_m)
    placed(world, "ann", "home", "back", 27_000, 20_000, id="home")
    placed(world, "ann", "draw", "back", 30_000, 20_000, id="draw")
    return world


AHEAD: list[tuple[str, list[Asked], int]] = [
    ("nothing stands before them", [], 33_500),
    ("a minor unit at the same price", [("eve", "back", 30_000, 1)], 33_500),
    ("a minor unit at a better one", [("eve", "back", 29_600, 1)], 33_500),
    ("several", [("eve", "back", 29_600, 1), ("eve", "back", 29_800, 2), ("eve", "back", 30_000, 1)], 33_500),
]


@pytest.mark.parametrize(("rule", "ahead", "price"), AHEAD, ids=[case[0] for case in AHEAD])
def test_an_order_too_small_to_be_matched_across_does_not_stop_those_behind(
    rule: str, ahead: list[Asked], price: int
) -> None:
    world = _implying(*ahead)
    report = placed(world, "bob", "away", "back", 30_000, 5_000)
    assert (report.status, report.matched_m, report.price) == ("matched", 5_000, price), rule
    world.check()


def test_behind_very_many_small_orders_one_is_still_found_and_they_cost_less_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first of them at three prices each, the others at one."""
    looked: list[int] = []
    cross = Way.cross

    def counted(way: Way, stake_m: int, stakes_m: Sequence[int]) -> Crossing:
        looked.append(way.price)
        return cross(way, stake_m, stakes_m)

    monkeypatch.setattr(Way, "cross", counted)
    world = _implying(*[("eve", "back", 30_000, 1)] * 150)
    looked.clear()
    report = placed(world, "bob", "away", "back", 30_000, 5_000)
    assert (report.status, report.matched_m, report.price) == ("matched", 5_000, 33_500)
    assert 150 < len(looked) <= 3 * 41 + 110
    world.check()


@pytest.mark.parametrize(("small", "status"), [(130, "matched"), (140, "resting")])
def test_on_very_many_selections_fewer_small_orders_are_stepped_over(small: int, status: str) -> None:
    """Each is as much work as there are selections: behind 200 of them, on 400, an order took half a second."""
    names = tuple(f"s{number}" for number in range(61))
    world = floor("ann", "bob", "eve", names=names, cross=True)
    for _ in range(small):
        order_id = placed(world, "eve", "s1", "back", 650_000, 100).id
        world.command(co.ReduceOrder, customer="eve", order=order_id, by_m=99)
    for name in names[1:]:
        placed(world, "ann", name, "back", 650_000 if name == "s1" else 700_000, 1_000)
    assert placed(world, "bob", "s0", "back", 60_000, 1_000).status == status
    world.check()


def test_his_own_order_is_not_stepped_over() -> None:
    world = _implying(("bob", "back", 30_000, 1))
    assert placed(world, "bob", "away", "back", 30_000, 5_000).status == "resting"
    world.check()


def test_where_whole_minor_units_allow_no_match_at_the_implied_price_it_is_a_price_worse() -> None:
    """4.9 and 2.8 imply 2.28, where no payouts of some 2.28 cover the stakes. At 2.30 they do: 2.30, 2.30 and 2.32."""
    world = floor("ann", "bob", cross=True)
    placed(world, "ann", "home", "lay", 49_000, 1_000)
    placed(world, "ann", "draw", "lay", 28_000, 1_000)
    report = placed(world, "bob", "away", "lay", 24_000, 100)
    assert (report.status, report.matched_m, report.price) == ("matched", 100, 23_000)
    placed(world, "bob", "away", "lay", 22_800, 100)
    assert levels(world, "away") == ((), ((22_800, 100),))
    world.check()


EITHER: list[tuple[str, list[Asked], int, int, int, tuple[int, int, str]]] = [
    ("the implied price is enough", [], 33_500, 5_000, 0, (5_000, 33_500, "")),
    ("it is not", [], 34_000, 5_000, 0, (0, 0, "killed")),
    ("it is better than the direct one", [("eve", "lay", 32_000, 5_000)], 32_000, 5_000, 0, (5_000, 33_500, "")),
    ("the direct one goes first where it is better", [("eve", "lay", 35_000, 5_000)], 32_000, 5_000, 0,
        (5_000, 35_000, "")),
    ("on average they are enough", [("eve", "lay", 35_000, 1_000)], 34_000, 2_000, 0, (2_000, 34_250, "")),
    ("not for so much", [("eve", "lay", 35_000, 1_000)], 34_000, 4_000, 0, (0, 0, "killed")),
    ("as far as the average allows", [("eve", "lay", 35_000, 1_000)], 34_000, 4_000, 3_000, (3_000, 34_000, "killed")),
    ("before a match with himself", [("bob", "lay", 35_000, 1_000)], 33_500, 2_000, 0, (0, 0, "self_match")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "direct", "price", "stake_m", "least_m", "becomes"), EITHER, ids=[case[0] for case in EITHER]
)
def test_fill_or_kill_takes_the_better_of_direct_and_implied(
    rule: str, direct: list[Asked], price: int, stake_m: int, least_m: int, becomes: tuple[int, int, str]
) -> None:
    world = _implying()
    for customer, side, offered, offered_m in direct:
        placed(world, customer, "away", side, offered, offered_m)
    report = placed(world, "bob", "away", "back", price, stake_m, fill_or_kill=True, fill_min_m=least_m)
    assert (report.matched_m, report.price, report.why) == becomes, rule
    assert report.matched_m + report.lapsed_m == stake_m
    world.check()


def test_the_largest_stake_at_the_greatest_price_is_kept_as_exactly_as_any_other() -> None:
    world = World()
    for name in ("ann", "bob"):
        world.customer(name, 10**15)
    exchange(world, cross=False)
    placed(world, "ann", "home", "lay", 10_000_000, 10**12 // 2 - 1)
    placed(world, "bob", "home", "back", 10_000_000, 10**12 // 2 - 1, id="x")
    assert held(world, "x").paid == 4_999_999_999_990_000_000
    world.check()


@pytest.mark.parametrize("kind", [co.PlaceOrder, co.Place])
@pytest.mark.parametrize(("stake_m", "taken"), [(900_000_000_000, True), (900_000_000_001, False)])
def test_a_larger_one_is_malformed(kind: type[Any], stake_m: int, taken: bool) -> None:  # noqa: FBT001
    asked = {"id": "x", "selection": "home", "side": "back", "price": 30_000, "stake_m": stake_m}
    if kind is co.Place:
        asked |= {"do": "place"}
    else:
        asked |= {"expires_ms": NOON, "customer": "ann", "fixture": "match", "market": "winner"}
    if taken:
        assert msgspec.convert(asked, kind).stake_m == stake_m
    else:
        with pytest.raises(msgspec.ValidationError, match="stake_m"):
            msgspec.convert(asked, kind)


def test_what_several_fills_of_a_maker_change_for_him_is_said_once() -> None:
    """Else whoever takes 1 000 orders of one who has 500 selections has his exposure found 1 000 times over all."""
    world = floor("ann", "bob", names=("home", "away"))
    placed(world, "ann", "away", "lay", 20_000, 1_000)
    placed(world, "bob", "away", "back", 20_000, 1_000)
    for stake_m in (100, 300):
        placed(world, "bob", "home", "back", 30_000, stake_m)
    assert world.of("bob").exposure_m == 1_000
    placed(world, "ann", "home", "lay", 30_000, 400)
    event = world.events[-1]
    assert isinstance(event, ev.OrderPlaced)
    assert [(fill.stake_m, fill.exposure_m) for fill in event.fills] == [(100, -800), (300, 0)]
    assert world.of("bob").exposure_m == 200
    world.check()
