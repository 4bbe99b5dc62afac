"""The state as bytes and back: whole, or refused."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from core import snapshot
from core.book import Book
from core.messages import commands as co
from tests.core.world import NOON, World, replayed, won

HOME = ("match/winner", "home", 20_000)
RED = ("final/winner", "red", 30_000)


@pytest.fixture
def world() -> World:
    """One of everything: bets open, settled, void and due; answers, reserves, windows, overrides, a feed."""
    world = World(slice_max=3)
    world.customer("ann", 100_000)
    world.customer("bob", 100_000)
    world.market("match/winner", home=20_000, away=18_000)
    world.market("final/winner", red=30_000, blue=14_000)
    world.market("race/places", winners=2, one=20_000, two=20_000, three=40_000)
    world.fed_market("derby/winner", home=21_500)
    for number in range(10):
        world.bet("ann", 100 + number, HOME)
        world.bet("bob", 100, HOME, RED)
    world.bet("bob", 100, ("race/places", "one", 20_000), id="voided")
    world.done(co.VoidBet, bet="voided", reason="")
    world.done(co.Reserve, id="r1", customer="bob", amount_m=500, provider="card", hold_until_ms=NOON + 10**6)
    world.place("ann", 1, HOME)
    world.cancel("match/winner", 1, 2)
    world.results("match/winner", won("home"))
    world.tick()
    world.desk(co.SuspendMarket, "final/winner")
    return world


def test_a_state_is_the_same_after_a_snapshot(world: World) -> None:
    assert world.at("match/winner").due
    chunks = list(snapshot.encode(world.book))
    restored = snapshot.restore(chunks)
    assert list(snapshot.encode(restored)) == chunks
    assert (
        snapshot.state_hash(restored) == snapshot.state_hash(world.book) == snapshot.state_hash(replayed(world.events))
    )


def test_a_restored_engine_goes_on_as_the_first_would_have(world: World) -> None:
    twin = World(slice_max=3)
    twin.engine.book, twin.now, twin.events = snapshot.restore(snapshot.encode(world.book)), world.now, [*world.events]
    twin._ids = world._ids
    for each in (world, twin):
        each.run()
        each.settle("final/winner", won("red"))
        each.wait(10**6)
        each.run()
        each.wait(10**8)
        each.run()
        each.check()
    assert twin.events == world.events
    assert snapshot.state_hash(twin.book) == snapshot.state_hash(world.book)


def _changes() -> list[tuple[str, Callable[[World], object]]]:
    return [
        ("a balance", lambda world: world.done(co.Deposit, customer="ann", amount_m=1, provider="bank")),
        ("a status", lambda world: world.done(co.SetCustomerStatus, customer="ann", suspended=True, reason="")),
        ("a price by hand", lambda world: world.price("final/winner", "red", 31_000)),
        ("a refusal", lambda world: world.place("ann", 1, HOME)),
        ("a slice", lambda world: world.tick()),
        ("a definition", lambda world: world.market("cup/winner", a=20_000)),
    ]


@pytest.mark.parametrize(("rule", "change"), _changes(), ids=[rule for rule, _ in _changes()])
def test_a_hash_tells_states_apart(world: World, rule: str, change: Callable[[World], object]) -> None:
    before = snapshot.state_hash(world.book)
    change(world)
    assert snapshot.state_hash(world.book) != before, rule


def test_live_prices_are_not_part_of_the_state(world: World) -> None:
    before = snapshot.state_hash(world.book)
    world.odds("derby/winner", home=30_000)
    world.engine.take_touched()
    assert snapshot.state_hash(world.book) == before


def test_an_empty_book_is_a_state_too() -> None:
    assert snapshot.state_hash(snapshot.restore(snapshot.encode(Book()))) == snapshot.state_hash(Book())


def test_a_snapshot_that_is_not_whole_is_refused(world: World) -> None:
    chunks = list(snapshot.encode(world.book))
    for length in range(len(chunks)):
        with pytest.raises(ValueError, match="snapshot"):
            snapshot.restore(chunks[:length])
    for index in range(len(chunks)):
        with pytest.raises(ValueError, match="snapshot"):
            snapshot.restore(chunks[:index] + chunks[index + 1 :])
        for cut in (0, 1, len(chunks[index]) // 2, len(chunks[index]) - 1):
            with pytest.raises(ValueError, match=r".+"):
                snapshot.restore([*chunks[:index], chunks[index][:cut], *chunks[index + 1 :]])
    for amiss in (chunks[1:], [*chunks, chunks[-1]], [chunks[0], *chunks], [b"no msgpack", *chunks], [b""], []):
        with pytest.raises(ValueError, match=r".+"):
            snapshot.restore(amiss)


def test_a_snapshot_of_another_format_is_refused(world: World) -> None:
    first, *others = snapshot.encode(world.book)
    header = msgspec.msgpack.decode(first, type=snapshot.Header)
    newer = msgspec.msgpack.encode(msgspec.structs.replace(header, format=snapshot.FORMAT + 1))
    with pytest.raises(ValueError, match=f"format {snapshot.FORMAT + 1}, this release reads {snapshot.FORMAT}"):
        snapshot.restore([newer, *others])


def test_chunks_are_of_bounded_size() -> None:
    world = World()
    for number in range(12_000):
        world.command(co.OpenCustomer, customer=f"customer-{number}", currency="EUR")
    chunks = list(snapshot.encode(world.book))
    assert len(chunks) > 5
    assert max(map(len, chunks)) < 1_000_000
    assert len(snapshot.restore(chunks).customers) == 12_000
