"""The stake that would be accepted: what a refusal names is taken at once, one minor unit more is not (RULEBOOK 3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from core.messages import commands as co
from core.messages import queries as qu
from core.messages.answers import Accepted, MaxStake, Rejected
from core.risk import prospect
from tests.core.world import LegText, World, leg

MUCH = 10**12
A, B, C = (("race/winner", name, price) for name, price in (("a", 20_000), ("b", 30_000), ("c", 50_000)))


def room(**changed: int | str) -> World:
    """A world in which nothing is refused but for what is said."""
    free: dict[str, int | str] = {
        f"liability_{level}_max_m": MUCH for level in ("selection", "market", "fixture", "customer", "book")
    }
    world = World(**{**free, "stake_max_m": MUCH, "payout_max_m": MUCH, **changed})
    world.customer("ann", MUCH)
    return world


def named(world: World, stake_m: int, *legs: LegText, customer: str = "ann", **fields: Any) -> tuple[str, int]:
    """The reason of a refusal, and its stake, which is taken at once as one minor unit more is not."""
    answer = world.place(customer, stake_m, *legs, **fields)
    assert isinstance(answer, Rejected), answer
    kept = {**fields, "unit_stake": False}
    assert isinstance(world.place(customer, answer.stake_m + 1, *legs, **kept), Rejected)
    if answer.stake_m:
        assert isinstance(world.place(customer, answer.stake_m, *legs, **kept), Accepted)
    world.check()
    return answer.reason, answer.stake_m


def test_the_published_stake_is_the_greatest_that_is_taken() -> None:
    """RULEBOOK 3: stake 100 at 2.36 with maximum payout 100 net -> 73.52. 73.53 would win 100.0008."""
    world = room(payout_max_m=10_000)
    world.market("match/winner", home=23_600)
    assert named(world, 10_000, ("match/winner", "home", 23_600)) == ("PAYOUT_TOO_LARGE", 7_352)


@pytest.mark.parametrize(
    ("level", "most_m", "price", "stake_m"),
    [
        ("selection", 10_000, 20_000, 10_000),
        ("market", 10_000, 30_000, 5_000),
        ("fixture", 10_000, 23_600, 7_353),  # 100.0008, of which the whole minor units count
        ("book", 10_000, 10_100, 1_000_099),
        ("customer", 10_000, 10_001, 100_009_999),  # 100.009999
    ],
)
def test_each_liability_limit_is_used_to_the_minor_unit(level: str, most_m: int, price: int, stake_m: int) -> None:
    world = room(**{f"liability_{level}_max_m": most_m})
    world.market("match/winner", home=price)
    assert named(world, 10**9, ("match/winner", "home", price)) == (f"LIABILITY_{level.upper()}", stake_m)


def test_a_stake_that_hedges_first_may_be_larger_by_what_it_hedges() -> None:
    world = room(liability_market_max_m=10_000)
    world.market("race/winner", a=20_000, b=30_000, c=50_000)
    world.bet("ann", 10_000, A)
    # b wins: 30.00 of each 10.00 less the stakes on b and a.
    assert named(world, 1_000_000, B) == ("LIABILITY_MARKET", 10_000)


def test_above_a_limit_a_stake_that_does_not_raise_the_liability_is_taken() -> None:
    """A void took the stakes on a away and left the market above its limit: what lowers it, or leaves it, may come."""
    world = room(liability_market_max_m=10_000)
    world.market("race/winner", a=20_000, b=30_000, c=50_000)
    hedge = world.bet("ann", 10_000, A)
    world.bet("ann", 5_000, C)
    world.done(co.VoidBet, bet=hedge.id, reason="palpable error")
    assert world.at("race/winner").liability_m == 20_000
    # c wins: 200.00; with 125.00 on b: c 75.00, b 250.00 - 50.00.
    assert named(world, 100_000, B) == ("LIABILITY_MARKET", 12_500)
    assert world.at("race/winner").liability_m == 20_000


def test_a_market_of_several_winners_above_its_limit() -> None:
    world = room(liability_market_max_m=1_000)
    world.market("race/places", winners=2, a=10_100, b=10_100, c=30_000, d=10_100)
    hedges = [world.bet("ann", 10_000, ("race/places", name, 10_100)) for name in "dab"]
    world.bet("ann", 3_000, ("race/places", "c", 30_000))
    for hedge in hedges[1:]:
        world.done(co.VoidBet, bet=hedge.id, reason="palpable error")
    assert world.at("race/places").liability_m == 6_100  # c and d: 90.00 + 101.00 - 130.00
    world.price("race/places", "b", 20_000)
    # b and d: 180.00 + 101.00 - 130.00 - 90.00
    assert named(world, 99_999, ("race/places", "b", 20_000)) == ("LIABILITY_MARKET", 9_000)
    assert world.at("race/places").liability_m == 6_100


DOUBLE = (("race/winner", "c", 50_000), ("match/winner", "home", 23_600))
SYSTEM = (*DOUBLE, ("final/winner", "red", 17_000), ("race/winner", "b", 30_000))


@pytest.mark.parametrize(
    ("level", "most_m", "legs", "fields"),
    [
        ("market", 12_345, DOUBLE, {}),
        ("customer", 12_345, DOUBLE, {}),
        ("market", 12_345, SYSTEM, {"folds": (2, 3)}),
        ("fixture", 12_345, SYSTEM, {"folds": (1,), "unit_stake": True}),
        ("selection", 777, SYSTEM, {"folds": (1, 2, 3)}),
        ("book", 9_999, SYSTEM, {"folds": (2,), "kind": ""}),
        ("customer", 9_999, SYSTEM, {"folds": (2,)}),
        ("book", 5_555, DOUBLE[1:], {"each_way": True}),
        ("market", 5_555, DOUBLE, {"each_way": True, "unit_stake": True}),
    ],
)
def test_the_same_of_multiples_systems_and_each_way(
    level: str, most_m: int, legs: tuple[LegText, ...], fields: dict[str, Any]
) -> None:
    world = room(**{f"liability_{level}_max_m": most_m})
    world.race("race/winner", a=20_000, b=30_000, c=50_000, d=60_000, e=70_000)
    world.race("match/winner", home=23_600, b=30_000, c=50_000, d=60_000, e=70_000)
    world.market("final/winner", red=17_000, blue=20_000)
    assert named(world, 99_999, *legs, **fields)[0] == f"LIABILITY_{level.upper()}"


@pytest.mark.parametrize("rate", [1_000, 123_457, 999_999, 1_170_000, 3_333_333, 10**9])
@pytest.mark.parametrize(
    ("limit", "most_m"),
    [
        ("stake_max_m", 54_321),
        ("payout_max_m", 54_321),
        ("liability_selection_max_m", 54_321),
        ("liability_market_max_m", 54_321),
        ("liability_customer_max_m", 54_321),
        ("liability_book_max_m", 1_234_567),
    ],
)
def test_in_another_currency_too_no_limit_is_passed(rate: int, limit: str, most_m: int) -> None:
    world = room(**{limit: most_m})
    world.done(co.SetRate, currency="XTS", rate=rate)
    world.done(co.OpenCustomer, customer="tess", currency="XTS")
    world.done(co.Deposit, customer="tess", amount_m=10**13, provider="bank")
    world.market("race/winner", a=15_001, b=30_000, c=50_000)
    for _ in range(3):
        named(world, 10**12, ("race/winner", "a", 15_001), customer="tess")
        assert world.of("tess").liability_m <= world.engine.limits.liability_customer_max_m
        assert world.book.liability_m <= world.engine.limits.liability_book_max_m


def test_the_greatest_stake_is_found_in_some_steps_whatever_the_prices(monkeypatch: pytest.MonkeyPatch) -> None:
    """A leg at 1.0001 binds beside others at 1000: what the bet wins as a whole says nothing about that leg."""
    world = room(liability_selection_max_m=1_000)
    prices = (10_001, 10_000_000, 9_999_999, 100_000)
    for number, price in enumerate(prices):
        world.market(f"m{number}/winner", home=price)
    world.done(co.SetLimit, fixture="m0", market="winner", liability_max_m=1)
    for number in range(1, 4):
        selection = {"fixture": f"m{number}", "market": "winner", "selection": "home"}
        world.done(co.SetLimit, liability_max_m=MUCH, **selection)
    tries = 0

    def counted(worth: Callable[[int], int], most_m: int, low_m: int, high_m: int) -> int:
        def tried(stake_m: int) -> int:
            nonlocal tries
            tries += 1
            return worth(stake_m)

        return greatest(tried, most_m, low_m, high_m)

    greatest = prospect.greatest
    monkeypatch.setattr(prospect, "greatest", counted)
    legs = tuple((f"m{number}/winner", "home", price) for number, price in enumerate(prices))
    assert named(world, 90_000, *legs) == ("LIABILITY_MARKET", 19_999)
    assert 0 < tries < 60


@pytest.mark.parametrize(
    ("limits", "stake_m", "reason"),
    [
        ({}, 50_000, "BALANCE_TOO_LOW"),
        ({"stake_max_m": 20_000}, 20_000, "STAKE_TOO_LARGE"),
        ({"payout_max_m": 10_000}, 7_352, "PAYOUT_TOO_LARGE"),
        ({"liability_book_max_m": 10_000}, 7_353, "LIABILITY_BOOK"),
        ({"stake_max_m": 9}, 0, "STAKE_TOO_LARGE"),
    ],
)
def test_the_question_for_the_greatest_stake_names_what_binds(
    limits: dict[str, int], stake_m: int, reason: str
) -> None:
    world = room(**limits)
    world.customer("bob", 50_000)
    world.market("match/winner", home=23_600)
    answer = world.send(qu.GetMaxStake("bob", (leg("match/winner", "home", 23_600),)))
    assert isinstance(answer, MaxStake)
    assert (answer.stake_m, answer.reason) == (stake_m, reason)
    refused = world.place("bob", stake_m + 1 if stake_m else 10, ("match/winner", "home", 23_600))
    assert isinstance(refused, Rejected)
    assert refused.reason == reason
    if stake_m:
        world.bet("bob", stake_m, ("match/winner", "home", 23_600))
    world.check()
