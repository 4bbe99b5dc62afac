"""The house stands between in matches across selections: whatever becomes of them, it loses nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from core.messages import commands as co
from core.messages.commands import NamedSelection
from core.messages.results import Result
from core.messages.terms import ExchangeTerms
from tests.core.exchange.trading import MATCH, NAMES, exchange, placed
from tests.core.world import World, dead_heat, lost, void, won


def _withdrawn(at_ms: int) -> Callable[[World], None]:
    """Told at once, of now or of before the match."""

    def told(world: World) -> None:
        fields = {"selection": "away", "price": 0, "at_ms": world.now + at_ms, "reduction_bp": 1_000}
        world.desk(co.WithdrawSelection, MATCH, **fields)
        world.run()

    return told


def _added(world: World) -> None:
    selections = tuple(NamedSelection(name, name) for name in (*NAMES, "other"))
    fields = {"market_type": "winner", "name": "winner", "selections": selections, "exchange": ExchangeTerms()}
    world.done(co.DefineMarket, fixture="match", market="winner", **fields)
    world.run()


def _came_and_went(world: World) -> None:
    _added(world)
    world.wait(1)
    fields = {"selection": "other", "price": 0, "at_ms": world.now, "reduction_bp": 2_500}
    world.desk(co.WithdrawSelection, MATCH, **fields)
    world.run()


def _nothing(_: World) -> None:
    """As it was matched."""


CASES: list[tuple[str, Callable[[World], None], tuple[Result, ...]]] = [
    ("one wins", _nothing, (won("home"),)),
    ("a dead heat", _nothing, (dead_heat("home", 2), dead_heat("draw", 2))),
    ("nobody wins", _nothing, (lost("home"),)),
    ("two win", _nothing, (won("home"), won("draw"))),
    ("one is void", _nothing, (won("home"), void("away"))),
    ("all are void", _nothing, (void("home"), void("draw"), void("away"))),
    ("withdrawn in the same millisecond", _withdrawn(0), (won("home"),)),
    ("withdrawn before", _withdrawn(-10), (won("home"),)),
    ("withdrawn after", _withdrawn(10), (won("home"),)),
    ("another selection wins", _added, (won("other"),)),
    ("another selection came and went", _came_and_went, (won("home"),)),
]


@pytest.mark.parametrize("side", ["back", "lay"])
@pytest.mark.parametrize(("rule", "before", "results"), CASES, ids=[case[0] for case in CASES])
def test_the_house_never_loses_by_standing_between(
    rule: str, before: Callable[[World], None], results: tuple[Result, ...], side: str
) -> None:
    world = World()
    customers = ("ann", "bob", "cid")
    for name in customers:
        world.customer(name, 100_000)
    exchange(world)
    for name, selection in zip(customers, NAMES, strict=True):
        placed(world, name, selection, side, 30_000, 1_000)
    assert all(world.book.fixtures["match"].markets["winner"].exchange.positions[name].trades for name in customers)  # type: ignore[union-attr]
    before(world)
    world.settle(MATCH, *results)
    house_m = world.book.house.get(("house:exchange", "EUR"), 0)
    assert house_m >= 0, rule
    together_m = sum(world.cash(name) for name in customers)
    kept_m = house_m + world.book.house.get(("house:commission", "EUR"), 0)
    assert together_m + kept_m == 300_000
    assert all(world.of(name).exposure_m == 0 for name in customers)
    world.check()


def test_a_withdrawal_that_is_taken_back_does_not_let_it_lose_either() -> None:
    """Matched across two while the third was out, which then wins."""
    world = World()
    for name in ("ann", "bob"):
        world.customer(name, 100_000)
    exchange(world)
    _withdrawn(0)(world)
    for name, selection in (("ann", "home"), ("bob", "draw")):
        placed(world, name, selection, "lay", 20_000, 1_000)
    assert world.of("ann").exposure_m == 1_000
    world.roll_back(MATCH, "withdrawals")
    world.settle(MATCH, won("away"))
    assert world.book.house.get(("house:exchange", "EUR"), 0) >= 0
    assert (world.cash("ann"), world.cash("bob")) == (100_000, 100_000)
    world.check()
