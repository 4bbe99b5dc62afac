"""An exchange market that is defined anew: what its positions can cost may change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from core import snapshot
from core.messages import commands as co
from core.messages.answers import Cancelled
from core.messages.commands import NamedSelection
from core.messages.terms import ExchangeTerms
from tests.core.exchange.trading import MATCH, exchange, floor, placed
from tests.core.world import World, won


def test_another_outcome_makes_what_was_covered_by_all_others_cost_again() -> None:
    """Backs of 10.00 at 2.0 on both of two selections cost nothing at the worst; with a third one that wins, 20.00."""
    world = World()
    for name in ("ann", "bob"):
        world.customer(name, 10_000)
    names = ("home", "away")
    world.defined("match/winner", dict.fromkeys(names, 0), exchange=ExchangeTerms())
    for name in names:
        place = {"fixture": "match", "market": "winner", "selection": name, "price": 20_000, "stake_m": 1_000}
        world.command(co.PlaceOrder, customer="ann", side="back", **place)
        world.command(co.PlaceOrder, customer="bob", side="lay", **place)
    assert (world.of("ann").exposure_m, world.of("bob").exposure_m) == (0, 0)
    selections = tuple(NamedSelection(name, name) for name in (*names, "draw"))
    fields = {"market_type": "winner", "name": "winner", "selections": selections, "exchange": ExchangeTerms()}
    world.done(co.DefineMarket, fixture="match", market="winner", **fields)
    world.run()
    assert (world.of("ann").exposure_m, world.of("bob").exposure_m) == (2_000, 0)
    world.check()


def test_with_another_number_of_winners_what_the_house_has_laid_can_cost_something_else() -> None:
    """Nothing of it is matched yet: 500 at 2.0 on each of two, of which both may win now."""
    world = World()
    world.customer("house", 10**6)
    terms: dict[str, Any] = {"house": "house", "house_stake_m": 500}
    exchange(world, **terms)
    for name in ("home", "draw"):
        world.price(MATCH, name, 20_000)
    world.run()
    assert world.at(MATCH).liability_m == 500
    exchange(world, winners=2, **terms)
    assert world.at(MATCH).liability_m == 1_000
    world.check()


def test_what_the_house_has_laid_counts_until_its_market_is_settled_and_again_when_that_is_taken_back() -> None:
    """Three lays of 5.00 at 2.0 are taken, each by two customers; one of the selections is withdrawn at the end."""
    world = World()
    world.customer("house", 10**6)
    world.customer("ann", 10**6)
    market = exchange(world, house="house", house_stake_m=500, cross=False)
    for name in ("home", "draw"):
        world.price(MATCH, name, 20_000)
    for _ in range(3):
        world.wait(2_000)
        world.run()
        for stake_m in (200, 300):
            placed(world, "ann", "home", "back", 20_000, stake_m)
    counted = []
    steps: list[Callable[[], object]] = [
        lambda: world.desk(co.SuspendMarket, MATCH, lapse=True),
        lambda: world.settle(MATCH, won("home")),
        lambda: world.roll_back(MATCH),
        lambda: world.desk(co.WithdrawSelection, MATCH, selection="home", price=0, at_ms=world.now),
    ]
    for step in steps:
        step()
        world.run()
        world.check()
        counted.append((market.selections["home"].payout_m, market.stakes_m))
    assert counted == [(3_000, 1_500), (0, 0), (3_000, 1_500), (0, 0)]
    assert snapshot.state_hash(snapshot.restore(snapshot.encode(world.book))) == snapshot.state_hash(world.book)


def test_another_commission_is_that_of_whoever_has_won_already_too() -> None:
    """What a position comes to does not hang on which came first: nor may a later correction find some at the old."""
    world = World()
    for name in ("ann", "bob"):
        world.customer(name, 10_000)
    exchange(world, commission_bp=200)
    placed(world, "ann", "home", "back", 30_000, 1_000)
    placed(world, "bob", "home", "lay", 30_000, 1_000)
    world.settle(MATCH, won("home"))
    assert world.cash("ann") == 11_960
    exchange(world, commission_bp=500)
    world.run()
    assert world.cash("ann") == 11_900
    world.check()


def test_who_is_found_to_owe_when_he_takes_an_order_back_is_reported() -> None:
    """Backs of both of two cost what one can lose; with a third there is, before anybody has looked at his position."""
    world = floor("ann", names=("home", "away"))
    for selection, stake_m in (("home", 99_000), ("home", 1_000), ("away", 100_000)):
        placed(world, "ann", selection, "back", 30_000, stake_m, id=f"{selection}-{stake_m}")
    exchange(world, cross=False)
    assert isinstance(world.command(co.CancelOrder, customer="ann", order="home-1000"), Cancelled)
    assert world.cash("ann") == -99_000
    assert (world.book.owed.customers, world.book.owed.sums_m) == (1, {"EUR": 99_000})
    world.check()
