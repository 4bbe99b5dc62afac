"""An exchange market that is defined anew: what its positions can cost may change."""

from __future__ import annotations

from core.messages import commands as co
from core.messages.commands import NamedSelection
from core.messages.terms import ExchangeTerms
from tests.core.world import World


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
