"""Which event moves which money (DESIGN promise 5): the whole table, in minor units."""

from __future__ import annotations

from collections import Counter
from typing import Any, get_args

import pytest

from core import ledger, snapshot
from core.grading.scores import FootballScore
from core.messages import commands as co
from core.messages import events as ev
from core.messages import queries as qu
from core.messages.answers import CashOutQuote
from core.messages.commands import Leg, PlaceBet, PlaceOrder
from tests.core.world import NOON, World, lost, won

HEAD = (0, "c1", 0)
OPEN, WON, LOST, VOID, CASHED_OUT = 0, 1, 2, 3, 4
FREE = {"free_bet": "token"}


def _accepted(**fields: Any) -> ev.BetAccepted:
    return ev.BetAccepted(*HEAD, "ann", "EUR", 1_000, 2_150, (), **fields)


def _rejected(reserved_m: int) -> ev.BetRejected:
    return ev.BetRejected(*HEAD, "ann", 1_000, (), 540, -1, 0, 0, 0, "", "EUR", reserved_m)


def _pending(reserved_m: int) -> ev.BetPending:
    bet = PlaceBet("c1", 0, "ann", 1_000, (Leg("f", "m", "home", 21_500),))
    return ev.BetPending(*HEAD, "ann", "EUR", reserved_m, 9, 0, bet)


def _offered(returned_m: int) -> ev.BetOffered:
    return ev.BetOffered(0, "trader", "ann", "EUR", 9, returned_m, _accepted())


def _settled(was: int, was_paid_m: int, status: int, paid_m: int, *, free: bool = False) -> ev.BetSettled:
    return ev.BetSettled(0, "b1", "ann", "EUR", 1_000, was, was_paid_m, status, paid_m, 0, free)


def _placed(exposure_m: int, *fills: ev.Fill, crosses: tuple[ev.Cross, ...] = ()) -> ev.OrderPlaced:
    place = "ann", "EUR", "f", "m", "home"
    return ev.OrderPlaced(*HEAD, *place, 1, 20_000, 1_000, False, 0, fills, crosses, 0, 0, exposure_m)


def _fill(customer: str, exposure_m: int) -> ev.Fill:
    return ev.Fill("o1", customer, "home", 20_000, 500, exposure_m)


def _order_waits(exposure_m: int) -> ev.OrderPending:
    order = PlaceOrder("c1", 0, "ann", "f", "m", "home", "back", 1_000, 20_000)
    return ev.OrderPending(*HEAD, "ann", "EUR", "f", "m", order, 9, exposure_m)


def _orders_cancelled(exposure_m: int) -> ev.OrdersCancelled:
    return ev.OrdersCancelled(*HEAD, "ann", "EUR", "f", "m", ("o1",), 0, 1_000, exposure_m)


def _reduced(exposure_m: int) -> ev.OrderReduced:
    return ev.OrderReduced(*HEAD, "ann", "EUR", "f", "m", "o1", 400, exposure_m)


def _position(was: tuple[int, int], now: tuple[int, int], exposure_m: int) -> ev.PositionSettled:
    return ev.PositionSettled(0, "f", "m", "ann", "EUR", *was, True, *now, exposure_m)


def _bonus_ended(how: str, amount_m: int) -> ev.BonusEnded:
    return ev.BonusEnded(*HEAD, "trader", "ann", "EUR", "match", how, amount_m, "")


MOVES: list[tuple[str, ev.Event, list[tuple[str, str, int]]]] = [
    ("deposit", ev.Deposited(*HEAD, "ann", "EUR", 500, "bank"), [("clearing:bank", "cash", 500)]),
    ("withdrawal", ev.Withdrawn(*HEAD, "ann", "EUR", 500, "bank"), [("cash", "clearing:bank", 500)]),
    ("reserve", ev.Reserved(*HEAD, "ann", "EUR", 500, "bank", 9), [("cash", "reserved", 500)]),
    (
        "reserve posted in part",
        ev.ReservePosted(*HEAD, "ann", "EUR", "r1", "bank", 300, 200),
        [("reserved", "clearing:bank", 300), ("reserved", "cash", 200)],
    ),
    (
        "reserve posted whole",
        ev.ReservePosted(*HEAD, "ann", "EUR", "r1", "bank", 500, 0),
        [("reserved", "clearing:bank", 500)],
    ),
    ("reserve voided", ev.ReserveVoided(*HEAD, "ann", "EUR", "r1", 500), [("reserved", "cash", 500)]),
    ("bet accepted", _accepted(), [("cash", "open_stakes", 1_000)]),
    ("free bet accepted", _accepted(**FREE), [("house:bonus", "open_stakes", 1_000)]),
    ("bet waits", _pending(1_000), [("cash", "reserved", 1_000)]),
    ("free bet waits", _pending(0), []),
    ("bet that waited accepted", _accepted(reserved_m=1_000), [("reserved", "open_stakes", 1_000)]),
    (
        "bet that waited accepted for less",
        _accepted(reserved_m=1_200),
        [("reserved", "open_stakes", 1_000), ("reserved", "cash", 200)],
    ),
    ("bet that waited refused", _rejected(1_000), [("reserved", "cash", 1_000)]),
    ("bet refused at once", _rejected(0), []),
    ("bet offered", _offered(0), []),
    ("bet offered for less", _offered(200), [("reserved", "cash", 200)]),
    (
        "bet cashed out",
        ev.BetCashedOut(*HEAD, "ann", "EUR", "b1", 600, 750),
        [("open_stakes", "house:betting", 600), ("house:betting", "cash", 750)],
    ),
    ("bet lost", _settled(OPEN, 0, LOST, 0), [("open_stakes", "house:betting", 1_000)]),
    (
        "bet won",
        _settled(OPEN, 0, WON, 2_150),
        [("open_stakes", "house:betting", 1_000), ("house:betting", "cash", 2_150)],
    ),
    (
        "bet void",
        _settled(OPEN, 0, VOID, 1_000),
        [("open_stakes", "house:betting", 1_000), ("house:betting", "cash", 1_000)],
    ),
    ("lost is won", _settled(LOST, 0, WON, 2_150), [("house:betting", "cash", 2_150)]),
    ("won is lost", _settled(WON, 2_150, LOST, 0), [("cash", "house:betting", 2_150)]),
    ("won is half won", _settled(WON, 2_150, WON, 1_575), [("cash", "house:betting", 575)]),
    ("void is won", _settled(VOID, 1_000, WON, 2_150), [("house:betting", "cash", 1_150)]),
    (
        "won is open again",
        _settled(WON, 2_150, OPEN, 0),
        [("house:betting", "open_stakes", 1_000), ("cash", "house:betting", 2_150)],
    ),
    ("lost is open again", _settled(LOST, 0, OPEN, 0), [("house:betting", "open_stakes", 1_000)]),
    (
        "void is open again",
        _settled(VOID, 1_000, OPEN, 0),
        [("house:betting", "open_stakes", 1_000), ("cash", "house:betting", 1_000)],
    ),
    ("free bet lost", _settled(OPEN, 0, LOST, 0, free=True), [("open_stakes", "house:betting", 1_000)]),
    (
        "free bet won",
        _settled(OPEN, 0, WON, 1_150, free=True),
        [("open_stakes", "house:betting", 1_000), ("house:betting", "cash", 1_150)],
    ),
    ("free bet void", _settled(OPEN, 0, VOID, 0, free=True), [("open_stakes", "house:bonus", 1_000)]),
    (
        "void free bet is won",
        _settled(VOID, 0, WON, 1_150, free=True),
        [("house:bonus", "house:betting", 1_000), ("house:betting", "cash", 1_150)],
    ),
    (
        "won free bet is void",
        _settled(WON, 1_150, VOID, 0, free=True),
        [("house:betting", "house:bonus", 1_000), ("cash", "house:betting", 1_150)],
    ),
    ("void free bet is open again", _settled(VOID, 0, OPEN, 0, free=True), [("house:bonus", "open_stakes", 1_000)]),
    (
        "bonus granted",
        ev.BonusGranted(*HEAD, "trader", "ann", "EUR", "match", 7_500, 230_000, 9, 0),
        [("house:bonus", "bonus", 7_500)],
    ),
    ("bonus paid", _bonus_ended("paid", 7_500), [("bonus", "cash", 7_500)]),
    ("bonus expired", _bonus_ended("expired", 7_500), [("bonus", "house:bonus", 7_500)]),
    ("bonus cancelled", _bonus_ended("cancelled", 7_500), [("bonus", "house:bonus", 7_500)]),
    ("free bet expired", _bonus_ended("expired", 0), []),
    ("order covered by what he has", _placed(0), []),
    ("order rests", _placed(1_000), [("cash", "exposure", 1_000)]),
    ("order matched against what he has", _placed(-300), [("exposure", "cash", 300)]),
    ("order waits", _order_waits(1_000), [("cash", "exposure", 1_000)]),
    ("order cancelled", _orders_cancelled(-1_000), [("exposure", "cash", 1_000)]),
    ("order cancelled that cost nothing", _orders_cancelled(0), []),
    ("order reduced", _reduced(-400), [("exposure", "cash", 400)]),
    (
        "batch",
        ev.OrderBatch(
            *HEAD, "ann", "EUR", "f", "m", (_placed(1_000), ev.OrderRefused(0, "o2", 500, 0, "", 0, 0), _reduced(-400))
        ),
        [("cash", "exposure", 1_000), ("exposure", "cash", 400)],
    ),
    (
        "position won",
        _position((0, 0), (15_000, 1_050), -10_000),
        [("exposure", "cash", 10_000), ("house:exchange", "cash", 15_000), ("cash", "house:commission", 1_050)],
    ),
    (
        "position lost",
        _position((0, 0), (-10_000, 0), -10_000),
        [("exposure", "cash", 10_000), ("cash", "house:exchange", 10_000)],
    ),
    (
        "position corrected from won to lost",
        _position((15_000, 1_050), (-10_000, 0), 0),
        [("cash", "house:exchange", 25_000), ("house:commission", "cash", 1_050)],
    ),
    (
        "position open again",
        _position((-10_000, 0), (0, 0), 10_000),
        [("cash", "exposure", 10_000), ("house:exchange", "cash", 10_000)],
    ),
]
CLOSED = ev.Closed("o1", "bob", 500, 0, 1), ev.Closed("o2", "cid", 500, -500, 2)
# Of further customers: those with whose orders one was matched, each where his exposure changes.
OTHERS: list[tuple[str, ev.Event, list[tuple[str, list[tuple[str, str, int]]]]]] = [
    (
        "makers",
        _placed(0, _fill("bob", 250), _fill("cid", 0), _fill("bob", -50)),
        [("bob", [("cash", "exposure", 250)]), ("bob", [("exposure", "cash", 50)])],
    ),
    (
        "makers on other selections",
        _placed(0, _fill("bob", -1), crosses=(ev.Cross(30_000, 300, (_fill("cid", -2), _fill("dan", 3))),)),
        [
            ("bob", [("exposure", "cash", 1)]),
            ("cid", [("exposure", "cash", 2)]),
            ("dan", [("cash", "exposure", 3)]),
        ],
    ),
    (
        "makers of a batch",
        ev.OrderBatch(*HEAD, "ann", "EUR", "f", "m", (_placed(0, _fill("bob", 1)), _placed(0, _fill("cid", 2)))),
        [("bob", [("cash", "exposure", 1)]), ("cid", [("cash", "exposure", 2)])],
    ),
    (
        "orders at the starting price",
        ev.StartingPriceMatched(0, "f", "m", "home", 20_000, "EUR", CLOSED),
        [("cid", [("exposure", "cash", 500)])],
    ),
    ("none of a deposit", ev.Deposited(*HEAD, "ann", "EUR", 500, "bank"), []),
]
MONEYLESS: list[ev.Event] = [
    ev.EngineStarted(0, 1, "e", "0", 1, 1),
    ev.CustomerOpened(*HEAD, "ann", "EUR"),
    ev.CustomerStatusSet(*HEAD, "trader", "ann", suspended=True, reason=""),
    ev.FixtureDefined(*HEAD, "desk", "trader", "f", "f", "football", "cup", 0),
    ev.MarketDefined(*HEAD, "desk", "trader", "f", "m", "winner", "m", "", 1, 0, ()),
    ev.MarketStatusSet(*HEAD, "trader", "f", "m", suspended=True),
    ev.PriceSet(*HEAD, "trader", "f", "m", "home", 21_500),
    ev.MarketSettled(*HEAD, "desk", "trader", 0, "f", "m", (), ""),
    ev.MarketCancelled(*HEAD, "desk", "trader", 0, "f", "m", 0, 0, ""),
    ev.MarketRolledBack(*HEAD, "desk", "trader", 0, "f", "m", "results", ""),
    ev.WordKept(0, "acme.live", 0, "f", "m", "results", 0),
    ev.SettlementAdvanced(0, "f", "m", 1),
    ev.MarketArchived(0, "f", "m", 1, last=True),
    ev.BetAdvanced(0, "b1"),
    ev.BetVoided(*HEAD, "trader", "b1", "ann", ""),
    ev.ReferralAnswered(*HEAD, "trader", "b1", "ann", "accept", 0, (), 0, ""),
    ev.OfferAnswered(*HEAD, "ann", "b1", taken=True),
    ev.CommandRejected(*HEAD, "Deposit", "ann", "", 30, 0, ""),
    ev.FixtureScored(*HEAD, "desk", "trader", 0, "f", FootballScore((2, 1)), ""),
    ev.ScoringAdvanced(0, "f", 1),
    ev.SelectionWithdrawn(*HEAD, "desk", "trader", 0, "f", "m", "home", 21_500, 9, 45),
    ev.StartingPricesSet(*HEAD, "desk", "trader", 0, "f", "m", ()),
    ev.LimitSet(*HEAD, "trader", "football", "", "", "", "", "", 1, 0, 0, ()),
    ev.CustomerFactorSet(*HEAD, "trader", "ann", 5_000, "", in_play=False),
    ev.RateSet(*HEAD, "trader", "GBP", 1_170_000),
    ev.CustomerVerified(*HEAD, "trader", "ann", verified=True, reason=""),
    ev.OwnLimitSet(*HEAD, "ann", "stake", "day", 1_000, 0),
    ev.OwnLimitConfirmed(*HEAD, "ann", "stake", "day", 2_000),
    ev.CustomerExcluded(*HEAD, "ann", "time_out", 9),
    ev.FreeBetGranted(*HEAD, "trader", "ann", "token", 1_000, 9, 0),
    ev.ExchangeCleared(*HEAD, "desk", "trader", "f", "m", 3),
    ev.StartingPriceMatched(0, "f", "m", "home", 20_000, "EUR", ()),
    ev.ExchangeAdvanced(0, "f", "m", 1, 0),
]


@pytest.mark.parametrize(("rule", "event", "moves"), MOVES, ids=[rule for rule, _, _ in MOVES])
def test_an_event_moves_its_money(rule: str, event: ev.Event, moves: list[tuple[str, str, int]]) -> None:
    assert ledger.transfers(event) == moves, rule
    assert all(amount_m > 0 for _, _, amount_m in ledger.transfers(event))


@pytest.mark.parametrize(("rule", "event", "moves"), OTHERS, ids=[rule for rule, _, _ in OTHERS])
def test_an_event_moves_the_money_of_further_customers(
    rule: str, event: ev.Event, moves: list[tuple[str, list[tuple[str, str, int]]]]
) -> None:
    assert ledger.others(event) == moves, rule


@pytest.mark.parametrize("event", MONEYLESS, ids=lambda event: type(event).__name__)
def test_other_events_move_none(event: ev.Event) -> None:
    assert ledger.transfers(event) == []


def test_every_event_stands_in_one_of_the_tables() -> None:
    listed = {type(event) for _, event, _ in MOVES} | {type(event) for event in MONEYLESS}
    assert listed == set(get_args(ev.Event))
    assert not {type(event) for _, event, _ in MOVES} & {type(event) for event in MONEYLESS}


def test_balances_are_the_sum_of_what_was_moved() -> None:
    """Of everything that moves money: payments, bets at once and after a wait, corrections, a sale, bonuses."""
    world = World(stake_max_m=1_000)
    world.customer("ann", 10_000)
    world.market("match/winner", home=21_500, away=17_000)
    home = ("match/winner", "home", 21_500)
    world.bet("ann", 1_000, home)
    world.done(co.GrantBonus, customer="ann", bonus="m", deposit_m=100, bonus_m=50, times=1, ends_ms=NOON + 9)
    world.done(co.GrantFreeBet, customer="ann", token="free", stake_m=500, ends_ms=NOON + 9)
    world.bet("ann", 500, home, free_bet="free")
    world.waiting("ann", 2_000, home, id="b3", refer=True)
    world.judge("b3", "offer", stake_m=1_500)
    world.take("ann", "b3")
    quote = world.send(qu.GetCashOut("ann", "b3", 5_000))
    assert isinstance(quote, CashOutQuote)
    world.done(co.CashOut, customer="ann", bet="b3", offer_m=quote.offer_m)
    world.settle("match/winner", won("home"))
    world.settle("match/winner", won("away"))
    world.settle("match/winner", won("home"))
    world.wait(10)
    world.run()
    balances: Counter[str] = Counter()
    for event in world.events:
        for source, target, amount_m in ledger.transfers(event):
            balances[source] -= amount_m
            balances[target] += amount_m
    house = {account: balances.pop(account) for account in list(balances) if ":" in account}
    assert world.book.house == {(account, "EUR"): balance_m for account, balance_m in house.items()}
    ann = world.of("ann")
    kept = {"cash": ann.cash_m, "open_stakes": ann.open_stakes_m, "reserved": ann.reserved_m, "bonus": ann.bonus_m}
    assert balances == kept
    # 11.50 of the first, 5.75 of the free bet, 7.50 x 1.15 of the half of the third that was not sold.
    assert ann.cash_m == 10_000 + 1_150 + 575 + 862 + quote.offer_m - 750
    assert ledger.sums(world.book) == {"EUR": 0}
    world.check()


def test_a_balance_goes_below_zero_by_a_correction_and_by_nothing_else() -> None:
    """DESIGN promise 5."""
    world = World()
    world.customer("ann", 1_000)
    world.market("match/winner", home=21_500, away=17_000)
    world.bet("ann", 1_000, ("match/winner", "home", 21_500))
    world.settle("match/winner", won("home"))
    assert world.cash("ann") == 2_150
    world.market("final/winner", red=20_000)
    world.bet("ann", 2_000, ("final/winner", "red", 20_000))
    assert world.cash("ann") == 150
    world.settle("match/winner", lost("home"))
    assert world.cash("ann") == -2_000
    world.check()


def test_who_is_below_zero_is_known_without_a_look_at_all() -> None:
    world = World()
    for name in ("ann", "bob"):
        world.customer(name, 1_000)
    world.market("match/winner", home=21_500, away=17_000)
    world.market("final/winner", red=20_000)
    for name in ("ann", "bob"):
        world.bet(name, 1_000, ("match/winner", "home", 21_500))
    world.settle("match/winner", won("home"))
    for name, stake_m in (("ann", 2_000), ("bob", 2_150)):
        world.bet(name, stake_m, ("final/winner", "red", 20_000))
    assert world.book.owed.customers == 0
    world.settle("match/winner", lost("home"))
    owed = world.book.owed
    assert (owed.customers, owed.sums_m) == (2, {"EUR": 4_150})
    restored = snapshot.restore(snapshot.encode(world.book)).owed
    assert (restored.customers, restored.sums_m) == (owed.customers, owed.sums_m)
    world.check()
    world.done(co.Deposit, customer="ann", amount_m=2_000, provider="bank")
    world.done(co.Deposit, customer="bob", amount_m=150, provider="bank")
    assert (owed.customers, owed.sums_m) == (1, {"EUR": 2_000})
    world.settle("final/winner", won("red"))
    assert (owed.customers, owed.sums_m) == (0, {"EUR": 0})
    world.check()
