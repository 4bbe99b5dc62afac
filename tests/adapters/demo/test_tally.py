"""What is counted of the exchange in the journal."""

from __future__ import annotations

import pytest

from adapters.demo.tally import Exchange, Tally
from core.messages import commands as co
from core.messages import queries as qu
from core.messages.answers import Orders
from core.messages.terms import ExchangeTerms
from tests.core.world import World, lost, won


def counted(world: World) -> Exchange:
    tally = Tally("r1-demo-")
    tally.take(world.events)
    return tally.seen


@pytest.fixture
def world() -> World:
    world = World()
    world.defined("f/m", {"a": 20_000, "b": 20_000}, exchange=ExchangeTerms(commission_bp=500))
    for name in ("ann", "bob", "cid"):
        world.customer(name, 1_000_000)
    return world


def order(world: World, customer: str, side: str, selection: str, stake_m: int, price: int, **more: object) -> None:
    number = world.book.event_no
    fields = {"customer": customer, "fixture": "f", "market": "m", "selection": selection, "side": side}
    world.command(co.PlaceOrder, **{**fields, "id": f"r1-demo-{number}", "stake_m": stake_m, "price": price, **more})


def test_each_step_of_an_orders_life_is_counted_once(world: World) -> None:
    order(world, "ann", "lay", "a", 1_000, 20_000)
    order(world, "bob", "back", "a", 600, 20_000)
    assert counted(world) == Exchange(orders=2, matched=1, matched_stake_m=600, customers=2)
    order(world, "bob", "back", "a", 1_000, 20_000, fill_or_kill=True)
    assert counted(world).lapsed == 1
    order(world, "cid", "back", "a", 500, 30_000, id="maker-1")
    world.command(co.CancelOrder, customer="cid", order="maker-1")
    place = co.Place("maker-2", "a", "back", 500, 40_000), co.Cancel("maker-2")
    world.command(co.BatchOrders, customer="cid", fixture="f", market="m", instructions=place)
    seen = counted(world)
    assert (seen.orders, seen.customers, seen.cancelled) == (5, 3, 2)
    world.settle("f/m", won("a"), lost("b"))
    world.run()
    seen = counted(world)
    assert seen.commission_m == 30, "5 % of the 6.00 that bob has won"
    assert seen.lapsed == 2, "and what was left of ann's lay"
    left = world.send(qu.GetOrders("bob", "f", "m"))
    assert isinstance(left, Orders)
    assert (left.net_m, left.commission_m) == (600, 30)


def test_a_match_across_selections_is_one_match(world: World) -> None:
    order(world, "ann", "back", "a", 1_000, 20_000)
    order(world, "bob", "back", "b", 1_000, 20_000)
    seen = counted(world)
    assert (seen.matched, seen.crosses, seen.matched_stake_m) == (1, 1, 1_000)
