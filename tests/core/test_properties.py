"""Promises 5 and 7 as properties: whatever is sent, money is conserved and no limit is passed by an acceptance."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from core import ledger
from core.messages import commands as co
from core.messages import events as ev
from core.messages.answers import Accepted
from core.messages.commands import PricePolicy
from core.messages.results import Result
from tests.core.world import World

CUSTOMERS = ("ann", "bob")
PATHS = {"f1/winner": ("a", "b", "c"), "f1/places": ("a", "b", "c"), "f2/winner": ("a", "b")}
_paths = st.sampled_from(sorted(PATHS))
_customers = st.sampled_from(CUSTOMERS)
_money = st.integers(1, 5_000)
_prices = st.integers(10_001, 120_000)
_legs = st.lists(st.tuples(_paths, st.sampled_from("abc")), min_size=1, max_size=3)
_numbers = st.integers(0, 30)
_dead_heats = st.sampled_from(((1, 1), (1, 2), (1, 3), (2, 2), (2, 3)))
_results = st.tuples(st.sampled_from((0, 1)), st.sampled_from((0, 5_000, 10_000)), _dead_heats)
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("bet"), _customers, _money, _legs),
        st.tuples(st.just("bet"), _customers, _money, _legs),
        st.tuples(st.just("price"), _paths, st.sampled_from("ab"), _prices),
        st.tuples(st.just("deposit"), _customers, _money),
        st.tuples(st.just("withdraw"), _customers, _money),
        st.tuples(st.just("reserve"), _customers, _money),
        st.tuples(st.just("post"), _customers, _numbers, _money),
        st.tuples(st.just("settle"), _paths, st.lists(_results, min_size=3, max_size=3)),
        st.tuples(st.just("cancel"), _paths, st.integers(0, 50), st.integers(0, 50)),
        st.tuples(st.just("roll back"), _paths, st.sampled_from(("results", "cancel"))),
        st.tuples(st.just("void"), _numbers),
        st.tuples(st.just("tick"), st.integers(0, 20)),
    ),
    max_size=40,
)


def _world(**changed: int) -> World:
    world = World(slice_max=2, **changed)
    for name in CUSTOMERS:
        world.customer(name, 20_000)
    for path, names in PATHS.items():
        world.market(path, winners=2 if path.endswith("places") else 1, **dict.fromkeys(names, 30_000))
    return world


def _do(world: World, action: tuple[Any, ...]) -> object:
    """One action; whether it works is not the question."""
    name, *rest = action
    if name == "bet":
        customer, stake_m, legs = rest
        asked = [(path, selection, 30_000) for path, selection in legs]
        return world.place(customer, stake_m, *asked, policy=PricePolicy.ANY, id=f"b{len(world.book.bets)}")
    if name == "price":
        path, selection, price = rest
        fixture, market = path.split("/")
        return world.command(co.SetPrice, fixture=fixture, market=market, selection=selection, price=price)
    if name in {"deposit", "withdraw", "reserve"}:
        kinds: dict[str, type[co.Command]] = {"deposit": co.Deposit, "withdraw": co.Withdraw, "reserve": co.Reserve}
        kind = kinds[name]
        more = {"hold_until_ms": world.now + 10, "id": f"r{len(world.events)}"} if name == "reserve" else {}
        return world.command(kind, customer=rest[0], amount_m=rest[1], provider="bank", **more)
    if name == "post":
        reserves = [*world.book.reserves, "none"]
        reserve = reserves[rest[1] % len(reserves)]
        return world.command(co.PostReserve, customer=rest[0], reserve=reserve, amount_m=rest[2])
    if name == "settle":
        path, results = rest
        given = tuple(
            Result(name, result, void_factor, *dead_heat)
            for name, (result, void_factor, dead_heat) in zip(PATHS[path], results, strict=False)
        )
        return world.desk(co.SettleMarket, path, results=given)
    if name == "cancel":
        path, start, end = rest
        return world.desk(
            co.CancelMarket, path, reason="", from_ms=world.now - start, to_ms=end and world.now + end - 25
        )
    if name == "roll back":
        return world.desk(co.RollBackMarket, rest[0], what=rest[1], reason="")
    if name == "void":
        return world.command(co.VoidBet, bet=f"b{rest[0]}", reason="")
    world.wait(rest[0])
    return world.tick()


def _cash_of(world: World) -> dict[str, int]:
    return {name: world.cash(name) for name in CUSTOMERS}


@settings(max_examples=50, deadline=None, print_blob=True)
@given(ACTIONS)
def test_money_is_conserved_and_a_balance_goes_below_zero_only_by_a_resettlement(
    actions: list[tuple[Any, ...]],
) -> None:
    world = _world()
    for action in actions:
        before, first = _cash_of(world), len(world.events)
        _do(world, action)
        assert ledger.sums(world.book) == {"EUR": 0}
        paid_back: Counter[str] = Counter()
        for event in world.events[first:]:
            if isinstance(event, ev.BetSettled) and event.paid_m < event.was_paid_m:
                paid_back[event.customer] += event.was_paid_m - event.paid_m
        for name, cash_m in _cash_of(world).items():
            assert cash_m >= min(0, before[name]) - paid_back[name], name
            assert world.of(name).open_stakes_m >= 0
            assert world.of(name).reserved_m >= 0
    world.run()
    world.check()


def _losses(world: World) -> tuple[dict[tuple[str, str], int], dict[str, int], dict[str, int]]:
    """What each selection, market and customer can cost, counted afresh from the open singles, payouts rounded down."""
    selections: Counter[tuple[str, str]] = Counter()
    stakes: Counter[str] = Counter()
    customers: Counter[str] = Counter()
    for event in world.events:
        if isinstance(event, ev.BetAccepted) and world.book.bets[event.id].status == ev.BetStatus.OPEN:
            (leg,) = event.legs
            path, payout_m = f"{leg.fixture}/{leg.market}", event.stake_m * leg.price // 10_000
            selections[path, leg.selection] += payout_m
            stakes[path] += event.stake_m
            customers[event.customer] += payout_m - event.stake_m
    loss = {(path, name): selections[path, name] - stakes[path] for path, names in PATHS.items() for name in names}
    markets = {}
    for path, names in PATHS.items():
        payouts = sorted((selections[path, name] for name in names), reverse=True)
        markets[path] = max(0, sum(payouts[: 2 if path.endswith("places") else 1]) - stakes[path])
    return loss, markets, dict(customers)


_limits = st.fixed_dictionaries(
    {
        "stake_max_m": st.integers(500, 5_000),
        "payout_max_m": st.integers(1_000, 20_000),
        "liability_selection_max_m": st.integers(500, 9_000),
        "liability_market_max_m": st.integers(500, 9_000),
        "liability_fixture_max_m": st.integers(500, 15_000),
        "liability_customer_max_m": st.integers(500, 15_000),
        "liability_book_max_m": st.integers(500, 20_000),
    }
)
_singles = st.lists(
    st.one_of(
        st.tuples(
            st.just("bet"),
            _customers,
            st.integers(10, 5_000),
            st.lists(st.tuples(_paths, st.sampled_from("abc")), min_size=1, max_size=1),
        ),
        st.tuples(st.just("price"), _paths, st.sampled_from("ab"), _prices),
        st.tuples(st.just("void"), _numbers),
    ),
    max_size=60,
)


@settings(max_examples=80, deadline=None, print_blob=True)
@given(_limits, _singles)
def test_no_limit_is_passed_by_the_acceptance_of_singles_in_whatever_order(
    limits: dict[str, int], actions: list[tuple[Any, ...]]
) -> None:
    """A bet only ever raises its own selection, and its market, fixture, customer and the book only within limits."""
    world = _world(**limits)
    for action in actions:
        before = _losses(world)
        answer = _do(world, action)
        if not isinstance(answer, Accepted):
            continue
        (used,) = answer.legs
        path = f"{used.fixture}/{used.market}"
        selections, markets, customers = _losses(world)
        book = world.book
        assert answer.stake_m <= limits["stake_max_m"]
        assert answer.payout_m - answer.stake_m <= limits["payout_max_m"]
        assert selections[path, used.selection] <= limits["liability_selection_max_m"]
        assert customers[action[1]] <= limits["liability_customer_max_m"]
        fixtures = [
            sum(loss for name, loss in each.items() if name.startswith(used.fixture)) for each in (before[1], markets)
        ]
        books = [sum(each.values()) for each in (before[1], markets)]
        # What a void has raised above a limit (it takes stakes away) may stay there, but no bet raises it further.
        assert markets[path] <= max(limits["liability_market_max_m"], before[1][path])
        assert fixtures[1] <= max(limits["liability_fixture_max_m"], fixtures[0])
        assert books[1] <= max(limits["liability_book_max_m"], books[0])
        assert (book.liability_m, book.fixtures[used.fixture].liability_m) == (books[1], fixtures[1])
    world.check()
