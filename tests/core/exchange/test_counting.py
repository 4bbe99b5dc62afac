"""What matches come to, counted in pieces: against the plain walk over all trades, and over crashes (RULEBOOK 6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from core import snapshot
from core.book import Between, Count, Exchange, Market, Position, Trade
from core.engine import Engine
from core.exchange import counting, positions
from core.exchange.ladder import Side
from core.messages import commands as co
from core.messages import events as ev
from core.messages.results import Result, multiplier
from core.units import FACTOR_ONE, PRICE_ONE, payout_down, payout_up
from tests.core.exchange.trading import CASH_M, MATCH, exchange, placed, position
from tests.core.world import NOON, World, dead_heat, lost, replayed, void, won

NAMES = ("home", "draw", "away", "fourth")
Plain = tuple[dict[str, int], int, int | None]
"""What each selection pays if it wins, what it costs otherwise, and what was won; None: not known yet."""


def plain(market: Market, trades: list[Trade]) -> Plain:
    """Trade by trade, as it would be written first."""
    wins_m = dict.fromkeys(NAMES, 0)
    staked_m, net_m = 0, 0
    open_still = False
    for trade in trades:
        price = positions.standing(market, trade)
        if price is None:
            continue
        _, win_m, more_m, _, _ = positions.matched(trade.selection, trade.side, price, trade.stake_m, trade.between)
        wins_m[trade.selection] += win_m
        staked_m += more_m
        if trade.across and not _one_wins(market):
            continue
        known = market.selections[trade.selection].result
        if known is None:
            open_still = True
            continue
        net_m += _net(known, trade, price)
    return wins_m, staked_m, None if open_still else net_m


def _net(known: Result, trade: Trade, price: int) -> int:
    numerator, denominator = multiplier(known, price)
    if trade.side == Side.BACK:
        return payout_down(trade.stake_m, numerator, denominator) - trade.stake_m
    parted = known.void_factor or known.dead_heat_sharing != known.dead_heat_places
    up = trade.between == Between.CLOSE or (trade.between == Between.ACROSS and parted)
    return trade.stake_m - (payout_up if up else payout_down)(trade.stake_m, numerator, denominator)


def _one_wins(market: Market) -> bool:
    known = [each.result for each in market.selections.values() if each.result is not None and not each.withdrawn_ms]
    if len({result.void_factor for result in known}) > 1:
        return False
    if all(result.void_factor == FACTOR_ONE for result in known):
        return True
    shares = [each for each in known if each.result]
    return sum(each.dead_heat_places * 420 // each.dead_heat_sharing for each in shares) == 420


TRADES = st.lists(
    st.builds(
        Trade,
        st.integers(0, 12),
        st.just("order"),
        st.sampled_from(NAMES),
        st.sampled_from([side.value for side in Side]),
        st.sampled_from([10_100, 13_300, 27_000, 33_500, 987_654]),
        st.integers(1, 5_000),
        st.sampled_from([between.value for between in Between]),
    ),
    max_size=40,
)
HEAT = [(won(name), lost(name), void(name)) for name in NAMES]
RESULTS = st.tuples(
    *[
        st.sampled_from([None, *HEAT[number], Result(name, 1, 5_000), dead_heat(name, 2), dead_heat(name, 3)])
        for number, name in enumerate(NAMES)
    ]
)
WINDOWS = st.lists(st.tuples(st.integers(1, 8), st.sampled_from([0, 6, 12])), max_size=2)
WITHDRAWN = st.lists(
    st.tuples(st.sampled_from(NAMES), st.integers(1, 12), st.sampled_from([0, 100, 2_500, 9_900])), max_size=2
)


@settings(max_examples=300)
@given(TRADES, RESULTS, WINDOWS, WITHDRAWN, st.integers(1, 3), st.lists(st.integers(1, 9), min_size=1), st.booleans())
def test_counted_in_pieces_it_is_the_plain_walk(
    trades: list[Trade],
    results: tuple[Result | None, ...],
    windows: list[tuple[int, int]],
    withdrawn: list[tuple[str, int, int]],
    winners: int,
    pieces: list[int],
    whole: bool,  # noqa: FBT001
) -> None:
    world = World()
    market = exchange(world, MATCH, NAMES, winners=winners)
    market.cancels = tuple(windows)
    for name, at_ms, reduction_bp in withdrawn:
        market.selections[name].withdrawn_ms, market.selections[name].reduction_bp = at_ms, reduction_bp
    for name, result in zip(NAMES, results, strict=True):
        market.selections[name].result = result
    across = positions.running(market) if whole else NAMES
    trades = [structs.replace(each, across=across) if each.between == Between.ACROSS else each for each in trades]
    world.customer("ann")
    held, count, known = Position(world.of("ann"), market, trades=trades), Count(), counting.counting_of(market)
    turn = 0
    while count.done < len(trades):
        assert counting.count_on(held, known, count, pieces[turn % len(pieces)]) <= pieces[turn % len(pieces)]
        turn += 1
    wins_m, staked_m, net_m = plain(market, trades)
    assert {name: count.wins_m.get(name, 0) for name in NAMES} == wins_m
    assert count.staked_m == staked_m
    assert (None if count.undecided else count.net_m) == net_m


# In slices. Ten trades a slice; bob has 57, ann and cid half as many.

SLICE = 10


def _maker() -> World:
    """Bob's trades are with ann and cid in turn, at several prices."""
    world = World(slice_trades_max=SLICE)
    for name in ("ann", "bob", "cid", "dot"):
        world.customer(name, CASH_M)
    exchange(world, cross=False)
    placed(world, "dot", "draw", "back", 50_000, 100)
    placed(world, "ann", "draw", "lay", 50_000, 100)
    for number in range(57):
        price = (30_000, 27_000, 33_500)[number % 3]
        placed(world, "bob", "home", "lay", price, 100 + number)
        placed(world, ("ann", "cid")[number % 2], "home", "back", price, 100 + number)
    return world


def _known(world: World) -> Exchange:
    known = world.at(MATCH).exchange
    assert known is not None
    return known


def _ends(world: World) -> dict[str, tuple[int, int, int]]:
    customers = [world.of(name) for name in ("ann", "bob", "cid", "dot")]
    return {each.id: (each.cash_m, each.exposure_m, position(world, each.id).net_m) for each in customers}


def test_a_position_of_many_trades_is_settled_over_several_slices() -> None:
    world = _maker()
    held = {name: len(each.trades) for name, each in _known(world).positions.items()}
    world.results(MATCH, won("home"))
    counted = 0
    while events := world.tick():
        advanced = events[-1]
        assert isinstance(advanced, ev.ExchangeAdvanced)
        settled = [event.customer for event in events if isinstance(event, ev.PositionSettled)]
        assert sum(held.pop(name) for name in settled) - counted + advanced.counted <= SLICE
        counted = advanced.counted
        world.check()
    assert not held
    assert position(world, "bob").net_m == -sum(
        payout_down(100 + number, (30_000, 27_000, 33_500)[number % 3], PRICE_ONE) - 100 - number
        for number in range(57)
    )


def test_no_event_of_a_replay_counts_more_than_it_did_when_it_was_decided() -> None:
    world = _maker()
    before = len(world.events)
    world.settle(MATCH, won("home"))
    engine = Engine(world.engine.limits)
    for event in world.events[:before]:
        engine.apply(event)
    market = engine.book.fixtures["match"].markets["winner"]
    assert market.exchange is not None
    done = 0
    for event in world.events[before:]:
        engine.apply(event)
        counts = {} if market.exchange.counting is None else market.exchange.counting.counts
        now = sum(count.done for count in counts.values())
        assert now - done <= SLICE
        done = now
    assert snapshot.state_hash(engine.book) == snapshot.state_hash(world.book)


@pytest.mark.parametrize("slices", range(1, 12))
@pytest.mark.parametrize("by", ["the journal", "a snapshot"])
def test_a_crash_between_two_slices_loses_nothing(by: str, slices: int) -> None:
    whole = _maker()
    whole.settle(MATCH, won("home"))
    world = _maker()
    world.results(MATCH, won("home"))
    for _ in range(slices):
        world.tick()
    book = replayed(world.events) if by == "the journal" else snapshot.restore(snapshot.encode(world.book))
    assert snapshot.state_hash(book) == snapshot.state_hash(world.book)
    world.engine = Engine(world.engine.limits, book)
    world.events.append(world.engine.start("next", "0.1.0", world.now))
    world.run()
    world.check()
    assert _ends(world) == _ends(whole)
    assert snapshot.state_hash(replayed(world.events)) == snapshot.state_hash(world.book)


STEPS: list[tuple[str, Callable[[World], Any]]] = [
    ("other results", lambda world: world.results(MATCH, won("away"))),
    ("no results", lambda world: world.desk(co.RollBackMarket, MATCH, what="results", reason="")),
    ("a window", lambda world: world.desk(co.CancelMarket, MATCH, reason="", from_ms=NOON, to_ms=NOON + 1)),
    (
        "a withdrawal",
        lambda world: world.desk(
            co.WithdrawSelection, MATCH, selection="away", price=0, at_ms=world.now, reduction_bp=2_500
        ),
    ),
]


@pytest.mark.parametrize(("step", "happens"), STEPS, ids=[step for step, _ in STEPS])
@pytest.mark.parametrize("slices", [2, 5])
def test_what_becomes_known_between_two_slices_counts_for_all_trades(
    step: str, happens: Callable[[World], Any], slices: int
) -> None:
    ends = []
    for between in (slices, 100):
        world = _maker()
        world.wait(5)
        world.results(MATCH, won("home"))
        for _ in range(between):
            world.tick()
        happens(world)
        world.run()
        world.check()
        ends.append(_ends(world))
    assert ends[0] == ends[1], step
