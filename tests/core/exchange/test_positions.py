"""What a position can cost: the published numbers of RULEBOOK 4, and every case against outcomes written out."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.book import Customer, Exchange, Fixture, Line, Market, Order, Position, Selection
from core.exchange import clearing, positions
from core.exchange.ladder import CLASSIC
from core.exchange.orderbook import OrderBook
from core.exchange.positions import BACK, LAY, Change
from core.messages import commands as co
from core.messages.answers import Done, OrderReport
from core.messages.terms import ExchangeTerms
from tests.core.exchange.trading import CASH_M, MATCH, floor, placed, position
from tests.core.world import World, lost, won


def _position(names: str, winners: int = 1) -> Position:
    fixture = Fixture("match", "desk", "", "football", "", 0)
    market = Market(fixture, "winner", "desk", "winner", "", "", winners, 0)
    market.selections = {name: Selection(name, name, market) for name in names}
    market.exchange = Exchange(ExchangeTerms(), CLASSIC, OrderBook, outcomes=len(names))
    return Position(Customer("ann", "EUR"), market)


def _rests(name: str, side: int, price: int, stake_m: int) -> Change:
    return positions.rests(name, side, positions.open_m(side, price, stake_m))


def _matched(name: str, side: int, price: int, stake_m: int) -> Change:
    return positions.matched(name, side, price, stake_m)


EXPOSURES: list[tuple[str, str, int, list[Change], int]] = [
    ("nothing", "abc", 1, [], 0),
    # Published (RULEBOOK 4): a back of 10 at 3.0 is [20, -10, -10], lays that lose [10, 20, 30] each on its own.
    (
        "matched [20, -10, -10] with unmatched [10, 20, 30]",
        "abc",
        1,
        [_matched("a", BACK, 30_000, 10), *(positions.rests(name, LAY, 10 * n) for n, name in enumerate("abc", 1))],
        40,
    ),
    ("back 10 at 2.0 on each of three", "abc", 1, [_rests(name, BACK, 20_000, 10) for name in "abc"], 20),
    ("the same matched at 2.0", "abc", 1, [_matched(name, BACK, 20_000, 10) for name in "abc"], 10),
    ("the same matched at 3.0", "abc", 1, [_matched(name, BACK, 30_000, 10) for name in "abc"], 0),
    ("a back costs its stake on every other outcome", "abc", 1, [_rests("a", BACK, 50_000, 10)], 10),
    ("backs of all outcomes: one wins", "ab", 1, [_rests("a", BACK, 20_000, 10), _rests("b", BACK, 20_000, 25)], 25),
    ("backs of two of three: the third wins", "abc", 1, [_rests(name, BACK, 20_000, 10) for name in "ab"], 20),
    ("a lay costs stake x (price - 1) on its own", "abc", 1, [_rests("a", LAY, 50_000, 10)], 40),
    ("lays of two: one wins", "abc", 1, [_rests("a", LAY, 50_000, 10), _rests("b", LAY, 30_000, 10)], 40),
    ("wins cover no orders", "ab", 1, [_matched("a", BACK, 50_000, 10), _rests("b", BACK, 20_000, 25)], 25),
    ("but matches cover each other", "ab", 1, [_matched("a", BACK, 30_000, 10), _matched("a", LAY, 20_000, 15)], 0),
    ("a back is laid off at a loss", "ab", 1, [_matched("a", BACK, 20_000, 10), _matched("a", LAY, 40_000, 10)], 20),
    ("two win: lays of three, the two worst", "abcd", 2, [_rests(n, LAY, 30_000, 10 * (n > "a")) for n in "abc"], 40),
    ("two win: backs of two can both lose", "abcd", 2, [_rests(n, BACK, 30_000, 10) for n in "ab"], 20),
    ("two of three win: backs of all lose once", "abc", 2, [_rests(n, BACK, 30_000, 10) for n in "abc"], 10),
    ("two win: matched backs of two at 3.0", "abc", 2, [_matched(n, BACK, 30_000, 10) for n in "ab"], 0),
    ("as many win as there are", "ab", 2, [_rests("a", BACK, 20_000, 10), _rests("b", LAY, 20_000, 7)], 7),
    ("a payout is rounded down for the layer too", "ab", 1, [_matched("a", LAY, 13_300, 3)], 0),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "names", "winners", "changes", "exposure_m"), EXPOSURES, ids=[c[0] for c in EXPOSURES]
)
def test_the_exposure_is_what_the_worst_outcome_costs(
    rule: str, names: str, winners: int, changes: list[Change], exposure_m: int
) -> None:
    held = _position(names, winners)
    assert positions.exposure(held, changes) == exposure_m, rule
    for change in changes:
        positions.make(held, change)
    assert positions.exposure(held) == exposure_m, rule


def _worst(held: Position, changes: list[Change]) -> int:
    """Outcome by outcome."""
    names = list(held.market.selections)
    worst_m = 0
    for winning in combinations(names, min(held.market.winners, len(names))):
        unmatched_m = matched_m = 0
        for name, win_m, staked_m, back_m, lay_m in changes:
            unmatched_m += lay_m if name in winning else back_m
            matched_m += staked_m + (win_m if name in winning else 0)
        worst_m = max(worst_m, unmatched_m + max(0, -matched_m))
    return worst_m


_PRICES = st.sampled_from((10_100, 13_300, 20_000, 30_500, 110_000))
_CHANGE = st.builds(
    lambda make, *fields: make(*fields),
    st.sampled_from((_rests, _matched)),
    st.sampled_from("abcdef"),
    st.sampled_from((BACK, LAY)),
    _PRICES,
    st.integers(1, 1_000),
)


@given(
    st.lists(_CHANGE, max_size=12),
    st.lists(_CHANGE, max_size=3),
    st.sampled_from(("abcdef", "abcdefgh")),
    st.integers(1, 4),
)
def test_any_position_costs_what_its_worst_outcome_costs(
    made: list[Change], more: list[Change], names: str, winners: int
) -> None:
    held = _position(names, winners)
    for change in made:
        positions.make(held, change)
    assert positions.exposure(held) == _worst(held, made)
    assert positions.exposure(held, more) == _worst(held, [*made, *more])
    for change in more[:1]:
        assert positions.exposure(held, (change,)) == _worst(held, [*made, change])


@given(
    st.lists(_CHANGE, max_size=12),
    st.lists(_CHANGE, max_size=4),
    st.sampled_from(("a", "ab", "abcdef")),
    st.integers(1, 7),
)
def test_changes_on_one_selection_cost_the_same_without_a_look_at_the_others(
    made: list[Change], more: list[Change], names: str, winners: int
) -> None:
    """Also where fewer selections can still win than are to."""
    held = _position(names, winners)
    made, more = ([change for change in changes if change[0] in names] for changes in (made, more))
    for change in made:
        positions.make(held, change)
    others = positions.elsewhere(held, "a")
    for change in [("a", 0, 0, 0, 0), *(("a", *change[1:]) for change in more)]:
        positions.make(held, change)
        line = held.lines.get("a") or Line()
        assert positions.exposure_there(others, line, held.back_m, held.staked_m) == positions.exposure(held)


def test_a_line_that_has_become_empty_goes() -> None:
    held = _position("abc")
    for sign in (1, -1):
        positions.make(held, positions.rests("a", BACK, 10 * sign))
    assert (held.lines, held.back_m) == ({}, 0)


# In the engine: only the change of the maximum is set aside, and all of it comes back.


def _exposures(world: World, customer: str) -> tuple[int, int]:
    found = world.of(customer)
    return found.cash_m, found.exposure_m


def test_only_the_change_of_the_worst_outcome_is_set_aside() -> None:
    """RULEBOOK 4: back 10.00 at 2.0 on each of three costs 20.00, and 10.00 once all are matched."""
    world = floor("ann", "bob")
    steps = (("home", 1_000), ("draw", 2_000), ("away", 2_000))
    for name, exposure_m in steps:
        placed(world, "ann", name, "back", 20_000, 1_000)
        assert _exposures(world, "ann") == (CASH_M - exposure_m, exposure_m)
    for name, exposure_m in (("home", 2_000), ("draw", 2_000), ("away", 1_000)):
        placed(world, "bob", name, "lay", 20_000, 1_000)
        assert world.of("ann").exposure_m == exposure_m, name
    world.check()


def test_a_book_of_backs_that_cannot_lose_costs_nothing() -> None:
    world = floor("ann", "bob")
    for name in ("home", "draw", "away"):
        placed(world, "bob", name, "lay", 30_000, 1_000)
        placed(world, "ann", name, "back", 30_000, 1_000)
    assert _exposures(world, "ann") == (CASH_M, 0)
    assert _exposures(world, "bob") == (CASH_M, 0)
    world.check()


def test_markets_do_not_cover_each_other() -> None:
    world = floor("ann")
    world.defined("match/other", {"home": 0, "away": 0}, exchange=ExchangeTerms())
    for path in (MATCH, "match/other"):
        placed(world, "ann", "home", "back", 20_000, 1_000, path)
    assert world.of("ann").exposure_m == 2_000
    world.check()


def test_a_customer_that_holds_nothing_has_no_position() -> None:
    world = floor("ann")
    report = placed(world, "ann", "home", "back", 20_000, 1_000)
    assert len(position(world, "ann").resting) == world.of("ann").resting == 1
    world.command(co.CancelOrder, customer="ann", order=report.id)
    assert (world.of("ann").positions, _exposures(world, "ann")) == (None, (CASH_M, 0))
    world.check()


# What a matched price is worth after a withdrawal (RULEBOOK 6).

REDUCTIONS = [
    ("published: 8.0 at 25 % is 6.0", 80_000, 2_500, 1, 60_000),
    ("2.5 % is enough in a win market", 80_000, 250, 1, 78_000),
    ("2.49 % is not", 80_000, 249, 1, 80_000),
    ("it is where more than one wins", 80_000, 249, 2, 78_008),
    ("rounded down", 101_000, 333, 1, 97_636),
    ("to no less than 1.01", 10_200, 9_000, 1, 10_100),
    ("none", 80_000, 0, 1, 80_000),
]


@pytest.mark.parametrize(
    ("rule", "price", "reduction_bp", "winners", "stands"), REDUCTIONS, ids=[c[0] for c in REDUCTIONS]
)
def test_a_matched_price_falls_by_the_reduction_factor_of_a_runner_that_is_out(
    rule: str, price: int, reduction_bp: int, winners: int, stands: int
) -> None:
    world = floor("ann", "bob", ladder="FINEST", winners=winners)
    placed(world, "ann", "home", "back", price, 1_000)
    placed(world, "bob", "home", "lay", price, 1_000)
    world.wait(1_000)
    fields = {"selection": "away", "price": 0, "at_ms": world.now, "reduction_bp": reduction_bp}
    assert isinstance(world.desk(co.WithdrawSelection, MATCH, **fields), Done), rule
    world.run()
    [trade] = position(world, "ann").trades
    assert positions.standing(world.at(MATCH), trade) == stands
    world.check()
    world.settle(MATCH, won("home"))
    assert position(world, "ann").net_m == stands * 1_000 // 10_000 - 1_000
    assert position(world, "bob").net_m == -position(world, "ann").net_m
    world.check()


def test_factors_of_several_runners_multiply_and_matches_after_them_are_as_made() -> None:
    world = floor("ann", "bob", names=("home", "draw", "away", "other"))
    placed(world, "ann", "home", "back", 80_000, 1_000)
    placed(world, "bob", "home", "lay", 80_000, 1_000)
    world.wait(1_000)
    for name in ("draw", "away"):
        world.desk(co.WithdrawSelection, MATCH, selection=name, price=0, at_ms=world.now, reduction_bp=2_500)
    world.run()
    world.wait(1)
    placed(world, "ann", "home", "back", 80_000, 1_000)
    placed(world, "bob", "home", "lay", 80_000, 1_000)
    stands = [positions.standing(world.at(MATCH), trade) for trade in position(world, "ann").trades]
    assert stands == [45_000, 80_000]
    world.check()


# Commission on what a customer has won net in a market (RULEBOOK 6).


def test_commission_is_on_net_winnings_of_the_market() -> None:
    """Published: 7 % of 150 is 10.50; with a losing 50 in the same market, 7.00."""
    for losing_m, net_m, commission_m in ((0, 15_000, 1_050), (5_000, 10_000, 700)):
        world = floor("ann", "bob", commission_bp=700)
        placed(world, "bob", "home", "lay", 25_000, 10_000)
        placed(world, "ann", "home", "back", 25_000, 10_000)
        if losing_m:
            placed(world, "bob", "away", "lay", 40_000, losing_m)
            placed(world, "ann", "away", "back", 40_000, losing_m)
        world.settle(MATCH, won("home"))
        ann = position(world, "ann")
        assert (ann.net_m, ann.commission_m) == (net_m, commission_m)
        assert _exposures(world, "ann") == (CASH_M + net_m - commission_m, 0)
        assert _exposures(world, "bob") == (CASH_M - net_m, 0)
        assert world.book.house["house:commission", "EUR"] == commission_m
        assert world.book.house["house:exchange", "EUR"] == 0
        world.check()


def test_commission_is_rounded_down() -> None:
    market = floor(commission_bp=333).at(MATCH)
    assert [clearing.commission_down(net_m, market) for net_m in (-100, 0, 30, 31, 1_000)] == [0, 0, 0, 1, 33]


def test_what_each_order_was_matched_at_is_told_by_its_report() -> None:
    """Two fills at 3.0 and 2.98: the average, rounded down."""
    world = floor("ann", "bob")
    placed(world, "bob", "home", "lay", 30_000, 200)
    placed(world, "bob", "home", "lay", 29_800, 100)
    report = placed(world, "ann", "home", "back", 29_800, 300)
    assert report == OrderReport(report.id, world.now, "matched", 300, 29_933)
    order = world.book.orders[report.id]
    assert isinstance(order, Order)
    assert (order.matched_m, order.paid) == (300, 200 * 30_000 + 100 * 29_800)
    world.settle(MATCH, lost("home"), won("draw"))
    world.check()


def test_a_customer_whose_only_order_is_refused_after_its_delay_has_no_position() -> None:
    world = floor("ann", "bob", delay_ms=1_000)
    world.desk(co.TurnInPlay, MATCH)
    world.run()
    placed(world, "ann", "home", "back", 30_000, 500, fill_or_kill=True)
    assert world.of("ann").positions
    world.wait(2_000)
    world.run()
    assert (world.of("ann").positions, world.of("ann").exposure_m) == (None, 0)
    world.check()
