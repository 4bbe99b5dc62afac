"""Free bets and bonuses (RULEBOOK 7)."""

from __future__ import annotations

import random
from typing import Any

import pytest

from core import snapshot
from core.engine import Engine
from core.messages import commands as co
from core.messages import events as ev
from core.messages import queries as qu
from core.messages.answers import Answer, Bonuses, BonusState, FreeBetState, Rejected
from core.messages.results import Result
from tests.core.world import NOON, World, half_lost, lost, refused, void, won

HOUR = 3_600_000
DAY = 24 * HOUR
HOME = ("match/winner", "home", 20_000)
AWAY = ("match/winner", "away", 18_000)
RED = ("final/winner", "red", 30_000)
BLUE = ("race/winner", "blue", 40_000)


@pytest.fixture
def world() -> World:
    """Ann has 10 000.00; three matches to bet on."""
    world = World()
    world.customer("ann", 1_000_000)
    world.market("match/winner", home=20_000, away=18_000)
    world.market("final/winner", red=30_000, black=15_000)
    world.market("race/winner", blue=40_000, green=13_000)
    return world


def _grant(world: World, name: str = "t1", stake_m: int = 1_000, **fields: Any) -> Answer | None:
    fields = {"id": f"grant-{world.now}-{name}", "customer": "ann", "ends_ms": NOON + DAY, **fields}
    return world.command(co.GrantFreeBet, token=name, stake_m=stake_m, **fields)


def _token(world: World, name: str = "t1", stake_m: int = 1_000, **fields: Any) -> None:
    assert not isinstance(_grant(world, name, stake_m, **fields), Rejected)


def _bonus(world: World, bonus: str = "m1", **fields: Any) -> None:
    """The published one, but for some fields; bets from now on count."""
    terms = {"deposit_m": 50_000, "bonus_m": 7_500, "times": 4, "ends_ms": NOON + 30 * DAY, **fields}
    world.done(co.GrantBonus, customer="ann", bonus=bonus, **terms)
    world.wait(1)


def _cancel(world: World, name: str, **fields: Any) -> Answer | None:
    return world.command(co.CancelBonus, customer="ann", bonus=name, reason="asked", **fields)


def _stated(world: World) -> Bonuses:
    answer = world.send(qu.GetBonuses("ann"))
    assert isinstance(answer, Bonuses)
    return answer


def _usable(world: World) -> list[str]:
    return [free_bet.token for free_bet in _stated(world).free_bets]


def _staked(world: World) -> int:
    (bonus,) = _stated(world).bonuses
    return bonus.staked_m


def _ended(world: World) -> list[tuple[str, str, int]]:
    return [(event.bonus, event.how, event.amount_m) for event in world.events if isinstance(event, ev.BonusEnded)]


def _house(world: World) -> int:
    return world.book.house.get(("house:bonus", "EUR"), 0)


# Free bets.


@pytest.mark.parametrize(
    ("rule", "result", "cash_m", "house_m"),
    [
        ("won: the winnings without the stake", won, 1_001_000, -1_000),
        ("lost: the house has staked it", lost, 1_000_000, -1_000),
        ("void: nothing has happened", void, 1_000_000, 0),
    ],
)
def test_a_free_bet_stakes_the_houses_money(world: World, rule: str, result: Any, cash_m: int, house_m: int) -> None:
    _token(world)
    bet = world.bet("ann", 1_000, HOME, free_bet="t1")
    assert (bet.stake_m, bet.payout_m, world.cash("ann"), _house(world)) == (1_000, 1_000, 1_000_000, -1_000)
    world.check()
    world.settle("match/winner", result("home"))
    assert (world.cash("ann"), _house(world)) == (cash_m, house_m), rule
    world.check()


REFUSED: list[tuple[str, dict[str, Any], int, tuple[tuple[str, str, int], ...], str, Rejected | None]] = [
    ("unknown", {}, 1_000, (HOME,), "t2", Rejected("b1", "FREE_BET_UNKNOWN")),
    ("ended", {"ends_ms": NOON + 1}, 1_000, (HOME,), "t1", Rejected("b1", "FREE_BET_UNKNOWN")),
    ("less", {}, 999, (HOME,), "t1", Rejected("b1", "FREE_BET_MISMATCH", stake_m=1_000)),
    ("more", {}, 1_001, (HOME,), "t1", Rejected("b1", "FREE_BET_MISMATCH", stake_m=1_000)),
    (
        "price too low",
        {"price_min": 20_001},
        1_000,
        (HOME,),
        "t1",
        Rejected("b1", "FREE_BET_MISMATCH", price=20_001, stake_m=1_000),
    ),
    (
        "price too low of all legs together",
        {"price_min": 60_001},
        1_000,
        (HOME, RED),
        "t1",
        Rejected("b1", "FREE_BET_MISMATCH", price=60_001, stake_m=1_000),
    ),
    ("price met", {"price_min": 20_000}, 1_000, (HOME,), "t1", None),
    ("price met by all legs together", {"price_min": 60_000}, 1_000, (HOME, RED), "t1", None),
]


@pytest.mark.parametrize(("rule", "token", "stake_m", "legs", "used", "answer"), REFUSED)
def test_what_a_token_does_not_stake(
    world: World,
    rule: str,
    token: dict[str, Any],
    stake_m: int,
    legs: tuple[tuple[str, str, int], ...],
    used: str,
    answer: Rejected | None,
) -> None:
    _token(world, **token)
    world.wait(1)
    given = world.place("ann", stake_m, *legs, id="b1", free_bet=used)
    assert (given if isinstance(given, Rejected) else None) == answer, rule
    world.check()


def test_above_a_limit_a_free_bet_is_told_no_other_stake() -> None:
    """Its stake is the token's."""
    world = World(stake_max_m=500)
    world.customer("ann", 100_000)
    world.market("match/winner", home=20_000)
    world.done(co.GrantFreeBet, customer="ann", token="t1", stake_m=1_000, ends_ms=world.now + 1_000)
    answer = world.place("ann", 1_000, ("match/winner", "home", 20_000), free_bet="t1", id="b1")
    assert answer == Rejected("b1", "STAKE_TOO_LARGE", limit=500)
    world.check()


@pytest.mark.parametrize(
    ("rule", "price_min", "taken"),
    [
        # Doubles of 2.0, 3.0 and 4.0 pay 6 + 8 + 12 for three lines: 8.6667.
        ("below the whole bet's", 86_666, True),
        ("above it, though a line pays more", 86_667, False),
    ],
)
def test_the_price_of_a_system_is_what_it_pays_for_its_whole_stake(
    world: World, rule: str, price_min: int, *, taken: bool
) -> None:
    _token(world, price_min=price_min)
    answer = world.place("ann", 1_000, HOME, RED, BLUE, folds=(2,), free_bet="t1")
    assert isinstance(answer, Rejected) != taken, rule
    world.check()


def test_a_token_is_its_customers_alone_and_stakes_one_bet(world: World) -> None:
    world.customer("bob", 10_000)
    _token(world)
    assert refused(world.place("bob", 1_000, HOME, free_bet="t1")) == "FREE_BET_UNKNOWN"
    world.bet("ann", 1_000, HOME, free_bet="t1")
    assert refused(world.place("ann", 1_000, HOME, free_bet="t1")) == "FREE_BET_UNKNOWN"
    world.settle("match/winner", lost("home"))
    assert refused(world.place("ann", 1_000, RED, free_bet="t1")) == "FREE_BET_UNKNOWN"
    world.check()


def test_of_two_bets_that_wait_with_one_token_the_first_is_taken(world: World) -> None:
    _token(world)
    named = tuple(co.NamedSelection(name, name.title()) for name in ("home", "away"))
    world.desk(co.DefineMarket, "match/winner", market_type="winner", name="winner", selections=named, delay_ms=5_000)
    for bet_id in ("b1", "b2"):
        world.place("ann", 1_000, HOME, id=bet_id, free_bet="t1")
    assert (list(world.book.pending), world.of("ann").reserved_m, _usable(world)) == (["b1", "b2"], 0, ["t1"])
    world.check()
    world.wait(5_000)
    world.run()
    assert (list(world.book.bets), _usable(world), _house(world)) == (["b1"], [], -1_000)
    assert world.send(qu.GetBet("b2")) == Rejected("b2", "FREE_BET_UNKNOWN")
    world.check()


def test_an_unused_token_runs_out_at_its_end(world: World) -> None:
    _token(world, ends_ms=NOON + 10)
    world.now = NOON + 9
    world.run()
    assert _usable(world) == ["t1"]
    world.now = NOON + 10
    assert _usable(world) == []
    world.run()
    assert _ended(world) == [("t1", "expired", 0)]
    assert (world.of("ann").free_bets, world.book.granted, world.book.endings) == (None, 0, [])
    world.check()


def test_a_token_does_not_run_out_under_its_bet(world: World) -> None:
    _token(world, ends_ms=NOON + 10)
    world.bet("ann", 1_000, HOME, free_bet="t1")
    world.wait(1_000)
    world.run()
    world.settle("match/winner", won("home"))
    assert (_ended(world), world.cash("ann")) == ([], 1_001_000)
    world.check()


@pytest.mark.parametrize(
    ("rule", "void_ms", "usable", "ended"),
    [
        ("before its end it can be used again", 9, ["t1"], []),
        ("after its end it has run out", 10, [], [("t1", "expired", 0)]),
    ],
)
def test_a_void_bet_gives_its_token_back(
    world: World, rule: str, void_ms: int, usable: list[str], ended: list[tuple[str, str, int]]
) -> None:
    _token(world, ends_ms=NOON + 10)
    world.bet("ann", 1_000, HOME, free_bet="t1")
    world.now = NOON + void_ms
    world.run()
    world.cancel("match/winner")
    assert (_usable(world), _ended(world), world.cash("ann"), _house(world)) == (usable, ended, 1_000_000, 0), rule
    world.check()
    world.now = NOON + 10
    world.run()
    assert _ended(world) == [("t1", "expired", 0)]
    world.check()


def test_a_token_that_was_given_back_stakes_another_bet_and_a_correction_leaves_it_there(world: World) -> None:
    _token(world)
    first = world.bet("ann", 1_000, HOME, free_bet="t1")
    world.cancel("match/winner")
    second = world.bet("ann", 1_000, RED, free_bet="t1")
    world.roll_back("match/winner", "cancel")
    # Both run, the house has staked both.
    assert (first.status, second.status, _house(world)) == (0, 0, -2_000)
    world.check()
    world.cancel("match/winner")
    assert (_usable(world), _house(world)) == ([], -1_000)
    world.cancel("final/winner")
    assert (_usable(world), _house(world)) == (["t1"], 0)
    world.check()


def test_a_bet_that_lost_its_token_to_another_does_not_take_it_when_that_is_void(world: World) -> None:
    _token(world)
    world.bet("ann", 1_000, HOME, free_bet="t1")
    world.cancel("match/winner")
    world.bet("ann", 1_000, RED, free_bet="t1")
    world.roll_back("match/winner", "cancel")
    world.cancel("final/winner")
    world.settle("match/winner", won("home"))
    assert (_usable(world), world.cash("ann"), _house(world)) == (["t1"], 1_001_000, -1_000)
    world.check()


def test_a_correction_takes_a_token_again_that_nobody_has_used(world: World) -> None:
    _token(world, ends_ms=NOON + 10)
    world.bet("ann", 1_000, HOME, free_bet="t1")
    world.cancel("match/winner")
    world.roll_back("match/winner", "cancel")
    assert _usable(world) == []
    world.check()
    world.wait(1_000)
    world.run()
    world.settle("match/winner", won("home"))
    assert (_ended(world), world.cash("ann")) == ([], 1_001_000)
    world.check()


@pytest.mark.parametrize("how", ["expired", "cancelled"])
def test_a_correction_finds_no_token_where_it_has_ended(world: World, how: str) -> None:
    _token(world, ends_ms=NOON + 10)
    world.bet("ann", 1_000, HOME, free_bet="t1")
    world.cancel("match/winner")
    if how == "expired":
        world.wait(10)
        world.run()
    else:
        assert not isinstance(_cancel(world, "t1"), Rejected)
    assert _ended(world) == [("t1", how, 0)]
    world.roll_back("match/winner", "cancel")
    world.settle("match/winner", won("home"))
    assert (world.cash("ann"), _house(world)) == (1_001_000, -1_000)
    world.check()
    world.roll_back("match/winner")
    world.cancel("match/winner")
    assert (_usable(world), world.cash("ann"), _house(world)) == ([], 1_000_000, 0)
    world.check()


def test_a_correction_leaves_another_token_of_the_same_name_alone(world: World) -> None:
    _token(world, ends_ms=NOON + 10)
    world.bet("ann", 1_000, HOME, free_bet="t1")
    world.cancel("match/winner")
    world.wait(10)
    world.run()
    _token(world, ends_ms=NOON + DAY)
    world.roll_back("match/winner", "cancel")
    assert _usable(world) == ["t1"]
    world.check()


def test_a_used_token_is_known_for_as_long_as_its_bet(world: World) -> None:
    _token(world, ends_ms=NOON + 100 * DAY)
    world.bet("ann", 1_000, HOME, free_bet="t1")
    world.settle("match/winner", won("home"))
    assert refused(_grant(world, id="again")) == "BONUS_EXISTS"
    assert refused(_cancel(world, "t1")) == "BONUS_UNKNOWN"
    world.wait(DAY)
    world.run()
    assert not world.book.bets
    assert (world.of("ann").free_bets, world.book.granted) == (None, 0)
    world.check()
    _token(world, ends_ms=NOON + 100 * DAY)
    assert _usable(world) == ["t1"]
    world.check()


def test_the_token_of_a_void_bet_that_is_forgotten_stays(world: World) -> None:
    _token(world, ends_ms=NOON + 100 * DAY)
    world.bet("ann", 1_000, HOME, free_bet="t1")
    world.cancel("match/winner")
    world.wait(DAY)
    world.run()
    assert (len(world.book.bets), _usable(world)) == (0, ["t1"])
    world.bet("ann", 1_000, RED, free_bet="t1")
    world.check()


# Bonuses.


def test_the_published_bonus_is_paid_when_it_is_staked_four_times() -> None:
    """(500 + 75) x 4 = 2 300 to be staked."""
    world = World()
    world.customer("ann", 50_000)
    _bonus(world)
    ann = world.of("ann")
    assert (ann.cash_m, ann.bonus_m, _house(world)) == (50_000, 7_500, -7_500)
    assert _stated(world).bonuses == (BonusState("m1", 7_500, 230_000, 0, NOON + 30 * DAY, 0),)
    for number in range(23):
        path = f"match{number}/winner"
        world.market(path, home=20_000, away=20_000)
        world.bet("ann", 10_000, (path, "home", 20_000))
        assert (_staked(world), ann.bonus_m) == (10_000 * number, 7_500)
        world.check()
        world.settle(path, won("home") if number % 2 else lost("home"))
    assert _ended(world) == [("m1", "paid", 7_500)]
    # 11 won, 12 lost, and the bonus.
    assert (ann.cash_m, ann.bonus_m, _house(world)) == (47_500, 0, -7_500)
    assert _stated(world).bonuses == ()
    world.check()


@pytest.mark.parametrize(
    ("rule", "steps", "staked_m"),
    [
        ("open", [], 0),
        ("won", [won], 1_000),
        ("lost", [lost], 1_000),
        ("void", [void], 0),
        ("half of it comes back", [half_lost], 1_000),
        ("won was lost", [won, lost], 1_000),
        ("won was void", [won, void], 0),
        ("void was lost", [void, lost], 1_000),
        ("taken back", [lost, None], 0),
        ("taken back, and won", [lost, None, won], 1_000),
        ("void, taken back", [void, None], 0),
    ],
)
def test_a_bet_counts_its_stake_once_settled(world: World, rule: str, steps: list[Any], staked_m: int) -> None:
    _bonus(world)
    world.bet("ann", 1_000, HOME)
    for result in steps:
        if result is None:
            world.roll_back("match/winner")
        else:
            world.settle("match/winner", result("home"), *([void("away")] if result is void else []))
    assert _staked(world) == staked_m, rule
    world.check()


@pytest.mark.parametrize(
    ("rule", "price_min", "stake_m", "legs", "fields", "counts"),
    [
        ("any", 0, 1_000, (HOME,), {}, True),
        ("met", 20_000, 1_000, (HOME,), {}, True),
        ("too low", 20_001, 1_000, (HOME,), {}, False),
        ("met by all legs together", 60_000, 1_000, (HOME, RED), {}, True),
        ("not met by them", 60_001, 1_000, (HOME, RED), {}, False),
        # Doubles of 2.0, 3.0 and 4.0 pay 6 + 8 + 12 for three lines: 8.6667.
        ("met by a system", 86_666, 1_000, (HOME, RED, BLUE), {"folds": (2,)}, True),
        ("not met by a system, though by a line", 86_667, 1_000, (HOME, RED, BLUE), {"folds": (2,)}, False),
        # 0.33 at 1.80 pays 0.59, which is 1.79 for 1; it is 1.80 all the same.
        ("met, though the payout is rounded down", 18_000, 33, (AWAY,), {}, True),
        # 0.10 at 1.80 pays 0.18, as it would at 1.89; it is 1.80 all the same.
        ("not met, though the payout is as high", 18_001, 10, (AWAY,), {}, False),
    ],
)
def test_a_bet_below_the_least_price_does_not_count(
    world: World,
    rule: str,
    price_min: int,
    stake_m: int,
    legs: tuple[tuple[str, str, int], ...],
    fields: dict[str, Any],
    *,
    counts: bool,
) -> None:
    _bonus(world, price_min=price_min)
    world.bet("ann", stake_m, *legs, **fields)
    for path, selection, _ in legs:
        world.settle(path, won(selection))
    assert _staked(world) == (stake_m if counts else 0), rule
    world.check()


def test_bets_from_before_the_bonus_and_free_bets_do_not_count(world: World) -> None:
    world.bet("ann", 1_000, HOME)
    _bonus(world)
    _token(world)
    world.bet("ann", 1_000, HOME, free_bet="t1")
    world.bet("ann", 500, HOME)
    world.settle("match/winner", won("home"))
    assert _staked(world) == 500
    world.roll_back("match/winner")
    assert _staked(world) == 0
    world.check()


def test_what_was_sold_does_not_count(world: World) -> None:
    _bonus(world)
    bet = world.bet("ann", 1_000, HOME)
    quote: Any = world.send(qu.GetCashOut("ann", bet.id, 4_000))
    world.done(co.CashOut, customer="ann", bet=bet.id, offer_m=quote.offer_m)
    world.settle("match/winner", lost("home"))
    assert _staked(world) == 600
    world.check()


def test_every_bet_counts_for_every_bonus(world: World) -> None:
    _bonus(world, "m1", deposit_m=400, bonus_m=100, times=1)
    _bonus(world, "m2", deposit_m=900, bonus_m=100, times=1)
    world.bet("ann", 500, HOME)
    world.settle("match/winner", lost("home"))
    assert _ended(world) == [("m1", "paid", 100)]
    assert _stated(world).bonuses == (BonusState("m2", 100, 1_000, 500, NOON + 30 * DAY, 0),)
    world.check()


def test_an_earned_bonus_is_paid_once_and_a_correction_comes_too_late(world: World) -> None:
    _bonus(world, deposit_m=900, bonus_m=100, times=1)
    world.bet("ann", 1_000, HOME)
    world.settle("match/winner", won("home"))
    world.roll_back("match/winner")
    assert (_ended(world), world.of("ann").bonus_m) == ([("m1", "paid", 100)], 0)
    world.settle("match/winner", won("home"))
    assert _ended(world) == [("m1", "paid", 100)]
    world.check()


def test_a_correction_before_the_bonus_is_paid_keeps_it_back(world: World) -> None:
    _bonus(world, deposit_m=900, bonus_m=100, times=1)
    bet = world.bet("ann", 1_000, HOME)
    world.results("match/winner", won("home"))
    world.tick()
    assert (bet.paid_m, list(world.book.earned), _ended(world)) == (2_000, [("ann", "m1")], [])
    world.check()
    world.done(co.VoidBet, bet=bet.id, reason="palpable")
    assert not world.book.earned
    world.run()
    assert (_ended(world), _staked(world)) == ([], 0)
    world.check()


@pytest.mark.parametrize(
    ("rule", "settled_ms", "ended", "cash_m"),
    [
        ("staked in time", 9, [("m1", "paid", 100)], 1_001_100),
        ("too late", 10, [("m1", "expired", 100)], 1_001_000),
    ],
)
def test_what_is_settled_before_the_end_counts(
    world: World, rule: str, settled_ms: int, ended: list[tuple[str, str, int]], cash_m: int
) -> None:
    """Nothing ticks between: the settlement is decided before the bonus' end is."""
    _bonus(world, deposit_m=900, bonus_m=100, times=1, ends_ms=NOON + 10)
    world.bet("ann", 1_000, HOME)
    world.now = NOON + settled_ms
    world.results("match/winner", won("home"))
    world.tick()
    world.now = NOON + 20
    world.run()
    assert (_ended(world), world.cash("ann"), world.of("ann").bonus_m) == (ended, cash_m, 0), rule
    assert _house(world) == (-100 if ended[0][1] == "paid" else 0)
    world.check()


def test_what_is_settled_after_the_end_does_not_count_even_where_the_end_is_still_to_be_told() -> None:
    world = World(slice_max=1)
    world.customer("ann", 10_000)
    world.market("match/winner", home=20_000)
    for bonus in ("m1", "m2"):
        _bonus(world, bonus, deposit_m=900, bonus_m=100, times=1, ends_ms=NOON + 10)
    world.bet("ann", 1_000, HOME)
    world.now = NOON + 10
    world.results("match/winner", won("home"))
    world.tick()
    assert (_ended(world), world.cash("ann"), _staked(world)) == ([("m1", "expired", 100)], 11_000, 0)
    world.run()
    assert _ended(world) == [("m1", "expired", 100), ("m2", "expired", 100)]
    world.check()


def test_ends_come_in_order_of_time_and_a_bounded_number_at_a_time() -> None:
    world = World(slice_max=2)
    world.customer("ann")
    for number in (3, 1, 2, 5, 4):
        _token(world, f"t{number}", ends_ms=NOON + number)
    world.wait(10)
    assert [len(world.tick()) for _ in range(4)] == [2, 2, 1, 0]
    assert [bonus for bonus, _, _ in _ended(world)] == ["t1", "t2", "t3", "t4", "t5"]
    world.check()


# Granting and taking back.


def test_free_bets_and_bonuses_share_their_names(world: World) -> None:
    _token(world, "x")
    _bonus(world, "y")
    terms = {"customer": "ann", "deposit_m": 1, "bonus_m": 1, "times": 1, "ends_ms": NOON + DAY}
    for name in ("x", "y"):
        assert _grant(world, name, id=f"g{name}") == Rejected(f"g{name}", "BONUS_EXISTS")
        assert refused(world.command(co.GrantBonus, bonus=name, **terms)) == "BONUS_EXISTS"
    world.check()


def test_nothing_is_granted_that_has_ended(world: World) -> None:
    world.wait(1)
    terms = {"customer": "ann", "deposit_m": 1, "bonus_m": 1, "times": 1}
    for ends_ms in (NOON, NOON + 1):
        free_bet = _grant(world, id=f"g{ends_ms}", ends_ms=ends_ms)
        assert free_bet == Rejected(f"g{ends_ms}", "DEFINITION_NOT_VALID", detail="ends_ms is past")
        bonus = world.command(co.GrantBonus, id=f"h{ends_ms}", bonus="m1", ends_ms=ends_ms, **terms)
        assert bonus == Rejected(f"h{ends_ms}", "DEFINITION_NOT_VALID", detail="ends_ms is past")
    assert _stated(world) == Bonuses("ann", (), ())
    world.check()


def test_a_customer_has_so_many_at_a_time() -> None:
    world = World(bonuses_max=2)
    world.customer("ann", 10_000)
    world.market("match/winner", home=20_000)
    _token(world, "t1")
    _bonus(world, "m1")
    full = Rejected("g1", "TOO_MANY", limit=2, detail="free bets and bonuses")
    assert _grant(world, "t2", id="g1") == full
    assert (
        refused(
            world.command(
                co.GrantBonus, customer="ann", bonus="m2", deposit_m=1, bonus_m=1, times=1, ends_ms=NOON + DAY
            )
        )
        == "TOO_MANY"
    )
    # A used one is held for as long as its bet.
    world.bet("ann", 1_000, HOME, free_bet="t1")
    assert refused(_grant(world, "t2", id="g2")) == "TOO_MANY"
    assert not isinstance(_cancel(world, "m1"), Rejected)
    _token(world, "t2")
    world.check()


def test_what_is_taken_back_is_gone(world: World) -> None:
    _token(world)
    _bonus(world)
    assert not isinstance(_cancel(world, "t1"), Rejected)
    assert not isinstance(_cancel(world, "m1"), Rejected)
    assert _ended(world) == [("t1", "cancelled", 0), ("m1", "cancelled", 7_500)]
    ann = world.of("ann")
    assert (ann.cash_m, ann.bonus_m, _house(world)) == (1_000_000, 0, 0)
    assert (ann.free_bets, ann.bonuses, world.book.granted) == (None, None, 0)
    assert refused(world.place("ann", 1_000, HOME, free_bet="t1")) == "FREE_BET_UNKNOWN"
    for name in ("t1", "m1", "never"):
        assert _cancel(world, name, id=f"k{name}") == Rejected(f"k{name}", "BONUS_UNKNOWN")
    world.wait(100 * DAY)
    world.run()
    assert len(_ended(world)) == 2
    world.check()


@pytest.mark.parametrize("kind", ["free bet", "bonus"])
def test_a_name_may_be_granted_again_and_only_its_own_end_counts(world: World, kind: str) -> None:
    for ends_ms in (NOON + 10, NOON + 20):
        if kind == "bonus":
            _bonus(world, "x1", ends_ms=ends_ms)
        else:
            _token(world, "x1", ends_ms=ends_ms, id=f"g{ends_ms}")
        if ends_ms == NOON + 10:
            assert not isinstance(_cancel(world, "x1"), Rejected)
    world.now = NOON + 19
    world.run()
    assert [how for _, how, _ in _ended(world)] == ["cancelled"]
    world.now = NOON + 20
    world.run()
    assert [how for _, how, _ in _ended(world)] == ["cancelled", "expired"]
    world.check()


def test_ends_of_what_has_ended_take_no_memory_for_ever(world: World) -> None:
    dice = random.Random(1)
    for number in range(50):
        _token(world, f"kept{number}", ends_ms=NOON + dice.randrange(1, 1_000))
    for number in range(2_500):
        _token(world, f"t{number}", ends_ms=NOON + dice.randrange(1, 1_000))
        assert not isinstance(_cancel(world, f"t{number}"), Rejected)
    assert len(world.book.endings) <= 1_101
    ends = []
    for ms in range(1, 1_001):
        world.now = NOON + ms
        ends += [event.ts_ms - NOON for event in world.run() if isinstance(event, ev.BonusEnded)]
    dice = random.Random(1)
    assert ends == sorted(dice.randrange(1, 1_000) for _ in range(50))
    assert world.book.endings == []


def test_a_token_that_is_given_back_again_and_again_takes_no_memory_for_ever(world: World) -> None:
    _token(world)
    world.bet("ann", 1_000, HOME, free_bet="t1")
    for _ in range(1_200):
        world.cancel("match/winner")
        world.roll_back("match/winner", "cancel")
    assert len(world.book.endings) <= 1_002
    world.check()


def test_all_of_it_is_told_when_asked(world: World) -> None:
    assert _stated(world) == Bonuses("ann", (), ())
    _token(world, "used")
    _token(world, "kept", 2_000, price_min=15_000)
    _bonus(world, price_min=18_000)
    world.bet("ann", 1_000, HOME, free_bet="used")
    assert _stated(world) == Bonuses(
        "ann",
        (FreeBetState("kept", 2_000, NOON + DAY, 15_000),),
        (BonusState("m1", 7_500, 230_000, 0, NOON + 30 * DAY, 18_000),),
    )
    assert world.send(qu.GetBonuses("nobody")) == Rejected("", "CUSTOMER_UNKNOWN")


def test_a_restored_book_pays_and_ends_the_same(world: World) -> None:
    _bonus(world, "m1", deposit_m=900, bonus_m=100, times=1)
    _bonus(world, "m2", ends_ms=NOON + 50)
    _token(world, "t1", ends_ms=NOON + 40)
    _token(world, "t2", ends_ms=NOON + 30)
    world.bet("ann", 1_000, HOME, free_bet="t2")
    world.bet("ann", 1_000, AWAY)
    world.results("match/winner", won("away"))
    world.tick()
    book = snapshot.restore(snapshot.encode(world.book))
    assert (book.granted, list(book.earned)) == (world.book.granted, list(world.book.earned)) == (4, [("ann", "m1")])
    twin = Engine(world.engine.limits, book)
    world.wait(100)
    events = world.run()
    assert [event for event in _all(twin, world.now) if isinstance(event, ev.BonusEnded)] == [
        event for event in events if isinstance(event, ev.BonusEnded)
    ]
    assert _ended(world) == [("m1", "paid", 100), ("t1", "expired", 0), ("m2", "expired", 7_500)]
    assert snapshot.state_hash(twin.book) == snapshot.state_hash(world.book)


def _all(engine: Engine, now_ms: int) -> list[ev.Event]:
    done: list[ev.Event] = []
    while events := engine.tick(now_ms):
        done.extend(events)
    return done


@pytest.mark.parametrize("seed", range(15))
def test_whatever_happens_the_money_and_the_wagering_add_up(seed: int) -> None:
    """Free bets, bonuses, results, corrections and rollbacks at random; the bonus' progress against a plain sum."""
    dice = random.Random(seed)
    world = World()
    world.customer("ann", 10**7)
    _bonus(world, deposit_m=10**9, bonus_m=1, times=10, ends_ms=NOON + 1_000 * DAY)
    bets = []
    for match in range(8):
        world.market(f"match{match}/winner", home=20_000, away=18_000)
    for number in range(40):
        path = f"match{dice.randrange(8)}/winner"
        _token(world, f"t{number}", 1_000, ends_ms=world.now + dice.randrange(1, 50))
        free = {"free_bet": f"t{dice.randrange(number + 1)}"} if dice.random() < 0.5 else {}
        answer = world.place("ann", 1_000, (path, "home", 20_000), **free)
        if not isinstance(answer, Rejected):
            bets.append(world.book.bets[answer.id])  # type: ignore[union-attr]
        act = dice.randrange(6)
        if act < 3:
            result: Result = (won, lost, void)[act]("home")
            away = void("away") if act == 2 else lost("away")
            world.desk(co.SettleMarket, path, results=(result, away))
        elif act < 5:
            world.desk(co.RollBackMarket, path, what=("results", "cancel")[act - 3], reason="wrong")
        else:
            world.desk(co.CancelMarket, path, reason="palpable")
        world.run()
        world.wait(dice.randrange(20))
        expected_m = sum(bet.stake_m for bet in bets if bet.status in {1, 2} and not bet.free_bet)
        assert _staked(world) == expected_m, (seed, number)
        if number % 10 == 9:
            world.check()
