"""Customers and payments (RULEBOOK 7)."""

from __future__ import annotations

import pytest

from core.messages import commands as co
from core.messages import events as ev
from core.messages import queries as qu
from core.messages.answers import AccountState, Rejected
from tests.core.world import World, refused

HOUR = 3_600_000


@pytest.fixture
def world() -> World:
    world = World()
    world.customer("ann", 10_000)
    return world


def _reserve(world: World, name: str, amount_m: int, hold_ms: int = HOUR) -> None:
    hold_until_ms = world.now + hold_ms
    world.done(co.Reserve, id=name, customer="ann", amount_m=amount_m, provider="bank", hold_until_ms=hold_until_ms)


def _balances(world: World) -> tuple[int, int]:
    ann = world.of("ann")
    return ann.cash_m, ann.reserved_m


def test_an_account_is_opened_empty() -> None:
    world = World()
    world.customer("ann")
    answer = world.send(qu.GetAccount("ann"))
    assert answer == AccountState("ann", "EUR", False, 0, 0, 0, 0)
    world.check()


def test_an_account_is_in_the_books_currency_or_in_one_that_has_a_rate() -> None:
    world = World()
    answer = world.command(co.OpenCustomer, id="c9", customer="bob", currency="GBP")
    assert answer == Rejected("c9", "CURRENCY_UNKNOWN", detail="GBP")
    world.done(co.SetRate, currency="GBP", rate=1_170_000)
    world.done(co.OpenCustomer, customer="bob", currency="GBP")
    world.done(co.Deposit, customer="bob", amount_m=5_000, provider="bank")
    assert world.of("bob").currency == "GBP"
    assert world.book.house == {("clearing:bank", "GBP"): -5_000}
    world.check()


def test_only_cash_can_be_withdrawn(world: World) -> None:
    _reserve(world, "r1", 4_000)
    assert refused(world.command(co.Withdraw, customer="ann", amount_m=6_001, provider="bank")) == "BALANCE_TOO_LOW"
    world.done(co.Withdraw, customer="ann", amount_m=6_000, provider="bank")
    assert _balances(world) == (0, 4_000)
    assert refused(world.command(co.Withdraw, customer="ann", amount_m=1, provider="bank")) == "BALANCE_TOO_LOW"
    world.check()


@pytest.mark.parametrize(
    ("rule", "kind", "fields", "balances"),
    [
        ("posted whole", co.PostReserve, {"amount_m": 4_000}, (6_000, 0)),
        ("posted in part", co.PostReserve, {"amount_m": 1_500}, (8_500, 0)),
        ("voided", co.VoidReserve, {}, (10_000, 0)),
    ],
)
def test_a_reserve_ends_once(
    world: World, rule: str, kind: type[co.Command], fields: dict[str, int], balances: tuple[int, int]
) -> None:
    _reserve(world, "r1", 4_000)
    assert _balances(world) == (6_000, 4_000), rule
    world.done(kind, customer="ann", reserve="r1", **fields)
    assert _balances(world) == balances
    for again in (co.VoidReserve, co.PostReserve):
        more = {"amount_m": 1} if again is co.PostReserve else {}
        assert refused(world.command(again, customer="ann", reserve="r1", **more)) == "RESERVE_UNKNOWN"
    world.check()


def test_a_reserve_is_its_customers_alone(world: World) -> None:
    world.customer("bob")
    _reserve(world, "r1", 4_000)
    assert refused(world.command(co.VoidReserve, customer="bob", reserve="r1")) == "RESERVE_UNKNOWN"
    assert refused(world.command(co.PostReserve, customer="bob", reserve="r1", amount_m=1)) == "RESERVE_UNKNOWN"


def test_a_reserve_runs_out_at_its_time_limit(world: World) -> None:
    _reserve(world, "r2", 1_000, 2_000)
    _reserve(world, "r1", 4_000, 1_000)
    world.wait(999)
    assert world.run() == []
    world.wait(1)
    (event,) = world.run()
    assert isinstance(event, ev.ReserveVoided)
    assert (event.reserve, event.id, event.amount_m) == ("r1", "", 4_000)
    assert _balances(world) == (9_000, 1_000)
    world.wait(1_000)
    world.run()
    assert _balances(world) == (10_000, 0)
    world.check()


def test_reserves_run_out_a_bounded_number_at_a_time() -> None:
    world = World(slice_max=3)
    world.customer("ann", 10_000)
    for number in range(7):
        _reserve(world, f"r{number}", 100, 10)
    world.wait(10)
    assert [len(world.tick()) for _ in range(4)] == [3, 3, 1, 0]


def test_the_id_of_a_reserve_is_taken_for_as_long_as_it_is_held(world: World) -> None:
    _reserve(world, "r1", 4_000, 30 * 24 * HOUR)
    world.wait(8 * 24 * HOUR)
    again = {"id": "r1", "customer": "ann", "amount_m": 100, "provider": "bank", "hold_until_ms": world.now + HOUR}
    assert refused(world.command(co.Reserve, **again)) == "DUPLICATE_ID"
    assert _balances(world) == (6_000, 4_000)
    world.check()


def test_a_used_id_may_be_a_reserves_again_and_only_its_own_time_limit_counts(world: World) -> None:
    _reserve(world, "r1", 4_000, 10 * 24 * HOUR)
    world.done(co.VoidReserve, customer="ann", reserve="r1")
    world.wait(8 * 24 * HOUR)
    _reserve(world, "r1", 100, 10 * 24 * HOUR)
    world.wait(3 * 24 * HOUR)
    assert world.run() == []
    assert _balances(world) == (9_900, 100)
    world.check()


def test_time_limits_of_ended_reserves_take_no_memory_for_ever(world: World) -> None:
    for number in range(3_000):
        _reserve(world, f"r{number}", 100, 10**12)
        world.done(co.VoidReserve, customer="ann", reserve=f"r{number}")
    assert len(world.book.holds) <= 1_001


def test_a_suspended_customer_may_withdraw_but_not_bet(world: World) -> None:
    world.market("match/winner", home=21_500)
    world.done(co.SetCustomerStatus, customer="ann", suspended=True, reason="asked")
    assert refused(world.place("ann", 100, ("match/winner", "home", 21_500))) == "CUSTOMER_SUSPENDED"
    world.done(co.Withdraw, customer="ann", amount_m=10_000, provider="bank")
    world.done(co.SetCustomerStatus, customer="ann", suspended=False, reason="over")
    assert refused(world.place("ann", 100, ("match/winner", "home", 21_500))) == "BALANCE_TOO_LOW"
    world.check()


@pytest.mark.parametrize(
    "kind", [co.Deposit, co.Withdraw, co.Reserve, co.PostReserve, co.VoidReserve, co.SetCustomerStatus, co.CancelBet]
)
def test_nothing_is_done_or_kept_for_a_customer_who_is_unknown(kind: type[co.Command]) -> None:
    world = World()
    every = {
        "amount_m": 1,
        "provider": "bank",
        "hold_until_ms": 1,
        "reserve": "r1",
        "suspended": True,
        "reason": "",
        "bet": "b1",
    }
    fields = {name: value for name, value in every.items() if name in kind.__struct_fields__}
    assert refused(world.command(kind, customer="nobody", **fields)) == "CUSTOMER_UNKNOWN"
    assert len(world.events) == 1
    assert not world.book.answers
