"""The state as bytes and back: whole, or refused."""

from __future__ import annotations

from base64 import b85decode
from collections.abc import Callable
from typing import Any
from zlib import decompress

import msgspec
import pytest

from core import engine, invariants, snapshot
from core.book import Book
from core.grading.scores import FootballScore
from core.messages import commands as co
from core.messages import events as ev
from core.messages import queries as qu
from core.messages.answers import Accepted, CashOutQuote, Done, UsedLeg
from core.messages.results import EachWay, Result
from tests.core.exchange.trading import exchange, placed
from tests.core.world import NOON, World, leg, replayed, running_sums, won

HOME = ("match/winner", "home", 20_000)
RED = ("final/winner", "red", 30_000)
HOME_THEN = ("m/w", "h", 20_000)
"""In the first release's snapshot."""


DAY = 86_400_000


@pytest.fixture
def world() -> World:
    """One of everything: bets open, settled, due and waiting; answers, reserves, limits, tokens, scores, a feed."""
    world = World(slice_max=3, stake_max_m=1_000, payout_max_m=100_000)
    world.customer("ann", 100_000)
    world.customer("bob", 100_000)
    world.customer("cyn", 10_000)
    world.market("match/winner", home=20_000, away=18_000)
    world.market("final/winner", red=30_000, blue=14_000)
    world.market("race/places", winners=2, one=20_000, two=20_000, three=40_000)
    message = {"group": "main", "specifiers": {"total": "2.5"}, "cut_off_ms": NOON + DAY}
    world.fed_market("derby/winner", message=message, home=21_500)
    world.fixture("champion", outright_of="cup")
    _settings(world)
    _races(world)
    _rich_bets(world)
    for number in range(10):
        world.bet("ann", 100 + number, HOME)
        world.bet("bob", 100, HOME, RED)
    world.bet("bob", 100, ("race/places", "one", 20_000), id="voided")
    world.done(co.VoidBet, bet="voided", reason="")
    world.done(co.Reserve, id="r1", customer="bob", amount_m=500, provider="card", hold_until_ms=NOON + 10**6)
    world.place("ann", 1, HOME)
    world.cancel("match/winner", 1, 2)
    _waiting_bets(world)
    _orders(world)
    for number in range(60):
        world.market(f"long/m{number}", yes=20_000)
    world.done(co.SettleFixture, fixture="long", score=FootballScore((2, 1)))
    world.results("match/winner", won("home"))
    world.done(co.TurnInPlay, fixture="match", market="closing")
    world.tick()
    _parted(world, co.AnswerReferral, bet="judged", action="accept", author="trader")
    _parted(world, co.TakeOffer, bet="taken", customer="ann")
    world.desk(co.SuspendMarket, "race/places")
    world.done(co.TurnInPlay, fixture="match", market="busy")
    return world


def _settings(world: World) -> None:
    """What customers and the desk can set: each field of each row has something in it."""
    ramp = (co.Ramp(DAY, 5_000), co.Ramp(2 * DAY, 2_500))
    world.done(co.SetLimit, liability_max_m=10**9)
    world.done(co.SetLimit, sport="football", competition="cup", liability_max_m=10**8, ramp=ramp)
    world.done(co.SetLimit, fixture="match", payout_max_m=90_000)
    world.done(co.SetLimit, fixture="match", market="winner", selection="home", stake_max_m=900)
    world.done(co.SetCustomerFactor, customer="bob", factor_bp=9_000, sport="football")
    world.done(co.VerifyCustomer, customer="ann", verified=True, reason="")
    world.done(co.SetRate, currency="GBP", rate=1_170_001)
    world.done(co.OpenCustomer, customer="cid", currency="GBP")
    world.done(co.Deposit, customer="cid", amount_m=10_000, provider="bank")
    world.done(co.OpenCustomer, customer="dan", currency="EUR")
    world.done(co.SetCustomerStatus, customer="dan", suspended=True, reason="")
    for kind, until_ms in (("time_out", NOON + DAY), ("self_exclusion", NOON + 2 * DAY)):
        world.done(co.ExcludeCustomer, customer="dan", kind=kind, until_ms=until_ms)
    early = world.bet("bob", 100, HOME)
    for limit_m in (50_000, 60_000):
        world.done(co.SetOwnLimit, customer="bob", kind="loss", period="week", limit_m=limit_m)
    world.done(co.VoidBet, bet=early.id, reason="")
    for token in ("free", "spent"):
        world.done(co.GrantFreeBet, customer="ann", token=token, stake_m=400, ends_ms=NOON + DAY, price_min=15_000)
    match = {"deposit_m": 10_000, "bonus_m": 2_000, "times": 2, "ends_ms": NOON + DAY, "price_min": 12_000}
    world.done(co.GrantBonus, customer="bob", bonus="welcome", **match)


def _races(world: World) -> None:
    """One with a runner out; one that is run: a bet at the starting price wins more than it may, orders are settled."""
    world.race("ascot/win", terms=EachWay(2, 1, 4), dobbin=50_000, star=30_000, grey=80_000)
    world.fixture("epsom", sport="racing", competition="meeting")
    exchange(world, "epsom/win", ("bay", "roan"), each_way=EachWay(), commission_bp=500)
    for name in ("bay", "roan"):
        world.price("epsom/win", name, 30_000)
    placed(world, "ann", "bay", "back", 30_000, 1_000, "epsom/win")
    placed(world, "cyn", "bay", "lay", 30_000, 1_000, "epsom/win")
    world.done(co.SetLimit, fixture="epsom", market="win", payout_max_m=200)
    bay = (leg("epsom/win", "bay", 30_000, starting_price=True),)
    assert isinstance(world.command(co.PlaceBet, customer="bob", stake_m=100, legs=bay), Accepted)
    world.desk(co.SetStartingPrices, "epsom/win", prices=(co.NamedPrice("bay", 35_000),))
    world.settle("epsom/win", Result("bay", 1, position=1))
    assert world.cash("bob") == 100_000 - 100 + 300


def _rich_bets(world: World) -> None:
    """Bets of every kind; a sale; a leg that is void; a bet builder."""
    world.market("match/more", yes=20_000, no=18_000)
    world.defined("match/builder", {"both": 60_000}, parts=(("winner", "home"), ("more", "yes")))
    dobbin, star = ("ascot/win", "dobbin", 50_000), ("ascot/win", "star", 30_000)
    world.bet("ann", 600, dobbin, HOME, RED, id="system", folds=(2, 3), each_way=False)
    world.bet("ann", 400, dobbin, each_way=True)
    world.bet("ann", 400, star, free_bet="spent")
    world.bet("cid", 500, star, id="sold")
    world.bet("ann", 100, ("match/builder", "both", 60_000))
    legs = (leg(*dobbin, banker=True), leg(*HOME), leg(*RED))
    assert isinstance(world.command(co.PlaceBet, customer="bob", stake_m=90, legs=legs, folds=(1, 2)), Accepted)
    quote = world.send(qu.GetCashOut("cid", "sold", 4_000))
    assert isinstance(quote, CashOutQuote)
    world.done(co.CashOut, customer="cid", bet="sold", offer_m=quote.offer_m)
    world.done(co.VoidBet, bet="system", reason="", leg=2)
    world.desk(co.WithdrawSelection, "ascot/win", selection="grey", price=80_000, at_ms=NOON + 1, reduction_bp=300)
    world.run()


def _waiting_bets(world: World) -> None:
    """Of every stage one, and two that somebody has answered, what follows being still to come."""
    world.run()
    world.defined("cup/winner", {"gold": 20_000, "silver": 30_000}, delay_ms=5_000)
    gold = ("cup/winner", "gold", 20_000)
    world.waiting("ann", 100, gold, RED, id="delayed")
    for name in ("referred", "offered", "judged", "taken"):
        world.waiting("ann", 2_000, RED, id=name, refer=True)
    for name in ("offered", "taken"):
        assert isinstance(world.judge(name, "offer", stake_m=1_500, prices=(29_000,)), Done)


def _orders(world: World) -> None:
    """Orders that rest, are matched, wait for their delay or for the close."""
    exchange(world, "match/busy", starting_price=True)
    placed(world, "ann", "home", "back", 30_000, 1_000, "match/busy", persistence="persist")
    placed(world, "bob", "home", "lay", 30_000, 400, "match/busy")
    placed(world, "bob", "home", "lay", 40_000, 400, "match/busy", kind="on_close")
    exchange(world, "match/closing", starting_price=True)
    for _ in range(5):
        placed(world, "ann", "home", "back", 0, 100, "match/closing", kind="on_close")
    exchange(world, "match/delayed", delay_ms=5_000)
    world.done(co.TurnInPlay, fixture="match", market="delayed")
    world.run()
    placed(world, "ann", "home", "back", 30_000, 1_000, "match/delayed")


def _parted(world: World, kind: type[co.Command], **fields: Any) -> None:
    """A command of which the journal has the first event alone, as a crash between two appends leaves it."""
    book = world.book
    command = kind(id=f"parted {fields['bet']}", expires_ms=world.now, **fields)
    event = engine.DECIDERS[kind](book, world.engine.limits, command, engine.digest(command), world.now)
    assert isinstance(event, ev.ReferralAnswered | ev.OfferAnswered)
    world.events.append(world.engine.apply(event))


def test_a_state_is_the_same_after_a_snapshot(world: World) -> None:
    assert world.at("match/winner").due
    chunks = list(snapshot.encode(world.book))
    restored, again = snapshot.restore(chunks), replayed(world.events)
    assert list(snapshot.encode(restored)) == chunks
    assert snapshot.state_hash(restored) == snapshot.state_hash(world.book) == snapshot.state_hash(again)
    assert running_sums(restored) == running_sums(world.book) == running_sums(again)
    world.check()


def test_the_world_of_these_tests_has_something_in_every_field(world: World) -> None:
    """A field that no snapshot of theirs holds would be lost without a test that fails."""
    chunks = [msgspec.msgpack.decode(chunk, type=snapshot.Chunk) for chunk in snapshot.encode(world.book)]
    named: dict[type, set[str]] = {}
    for chunk in chunks:
        _note_fields(chunk, named)
    rows = [kind for kind in vars(snapshot).values() if isinstance(kind, type) and issubclass(kind, msgspec.Struct)]
    rows = [kind for kind in rows if kind.__module__ == snapshot.__name__]
    missing = {kind.__name__: set(kind.__struct_fields__) - named.get(kind, set()) for kind in rows}
    missing["FixtureRow"] -= {"score_author", "graded"}  # what earlier releases wrote
    assert {kind: names for kind, names in missing.items() if names} == {}


def test_the_grading_of_a_score_goes_on_from_a_snapshot_that_had_one_score_a_fixture(world: World) -> None:
    decoder, encode = msgspec.msgpack.Decoder(snapshot.Chunk), msgspec.msgpack.encode
    chunks = [decoder.decode(chunk) for chunk in snapshot.encode(world.book)]
    for chunk in chunks:
        if isinstance(chunk, snapshot.Fixtures):
            for number, row in enumerate(chunk.rows):
                score = row.scores[0] if row.scores else None
                who = ("trader", score.graded) if score else ("", 0)
                old = msgspec.structs.replace(row, score_author=who[0], graded=who[1], scores=[])
                chunk.rows[number] = old
    book = snapshot.restore(map(encode, chunks))
    graded = {fixture.id: [score.graded for score in fixture.scores] for fixture in book.fixtures.values()}
    assert graded == {fixture.id: [50] if fixture.id == "long" else [] for fixture in world.book.fixtures.values()}


def _note_fields(value: object, named: dict[type, set[str]]) -> None:
    """Which fields of which structs hold anything."""
    if isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            held = getattr(value, name)
            if held or name == "format":
                named.setdefault(type(value), set()).add(name)
            _note_fields(held, named)
    elif isinstance(value, list | tuple):
        for each in value:
            _note_fields(each, named)


def test_a_restored_engine_goes_on_as_the_first_would_have(world: World) -> None:
    twin = World()
    twin.engine.limits = world.engine.limits
    twin.engine.book, twin.now, twin.events = snapshot.restore(snapshot.encode(world.book)), world.now, [*world.events]
    twin._ids = world._ids
    for each in (world, twin):
        each.events.append(each.engine.start("engine-2", "0.1.0", each.now))
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
    gold = ("cup/winner", "gold", 20_000)
    free = {"customer": "ann", "token": "more", "stake_m": 100, "ends_ms": NOON + DAY}
    away = {"selection": "blue", "price": 14_000, "at_ms": NOON + 1}
    return [
        ("a balance", lambda world: world.done(co.Deposit, customer="ann", amount_m=1, provider="bank")),
        ("a status", lambda world: world.done(co.SetCustomerStatus, customer="ann", suspended=True, reason="")),
        ("a price by hand", lambda world: world.price("final/winner", "red", 31_000)),
        ("a refusal", lambda world: world.place("ann", 1, HOME)),
        ("a slice", lambda world: world.tick()),
        ("a definition", lambda world: world.market("cup/winner", a=20_000)),
        ("a bet that waits", lambda world: world.waiting("ann", 100, gold)),
        ("an offer", lambda world: world.judge("referred", "offer")),
        ("an offer that is declined", lambda world: world.decline("ann", "offered")),
        ("a limit", lambda world: world.done(co.SetLimit, sport="golf", stake_max_m=1)),
        ("a factor", lambda world: world.done(co.SetCustomerFactor, customer="ann", factor_bp=1)),
        ("a rate", lambda world: world.done(co.SetRate, currency="GBP", rate=1)),
        ("a free bet", lambda world: world.done(co.GrantFreeBet, **free)),
        ("a bonus taken back", lambda world: world.done(co.CancelBonus, customer="bob", bonus="welcome", reason="")),
        ("a withdrawal", lambda world: world.desk(co.WithdrawSelection, "final/winner", **away)),
        ("a leg that is void", lambda world: world.done(co.VoidBet, bet="system", leg=0, reason="")),
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


# The chunks of a snapshot as release 0.1.0 wrote it, packed: ann has won b1; of the double b2 one leg is won.
FIRST_RELEASE = b85decode(
    "c-otO#B~M(qax#Z1_s9N^Y8i(oMYfrKX6Wkr-fnC<h98;sfk6IdFfV3iFw(JT|<K|-grNGZAN}+ajI2PYDo!D3M~3Z;)vKJ#);DwC+6jW1P+"
    "~5l|9S+;w<BrBg-Z+O`5(icS%ZWarVO86>0hTB}s`nIg67^3m|qr&0v@~XJI*5!Lstqyu8$+h2;wv84ewu09P<+%EF9=9#a=)FfuSQp7m3hv"
    "M_O><J5(T3?Qys!1RS_5cAVWG5^p6hKW-a7A*`qaJJOoNZ};rNwXFu8NxN43lwlX0rC*YBkUI#f%wqGX$x}~mM_czIsu3nfa;A9>Zj~Ft_V{"
    "vUckU`XcDUGX$#YUydt1wAjE#*D6_;Qmibc`B}2^k{P7LY47q>dhnts_R2HNzNy*PkU6h#ulwVp>9G_bZw`uC4B1420@${+N(X|vAVrWT$+V"
    "WfYz&Qt#Wh>FOq@dUWObAmKCmUKoc;B}-ocs4r?&~2`Js<^GG+7eTWQnQC$bf(*BLgg&3<+s6#G=WFkR~hvVPs55lQ9-eCWJJZV9{hsNRufR"
    "O=g5NnPJgnPDqnE7EOdwgb|h$VMHiJ7@?<#BQld%CxVhWI6pCdS(2Pslme0cvdZBI%Vf3*q5xGtKAQ"
)


def test_a_snapshot_of_the_first_release_is_read() -> None:
    chunks = msgspec.msgpack.decode(decompress(FIRST_RELEASE), type=list[bytes])
    world = World()
    world.engine.book, world.now, world._ids = snapshot.restore(chunks), NOON + 600_000, 1_000
    invariants.check(world.book)
    assert (world.book.event_no, world.cash("ann"), world.book.liability_m) == (33, 9_501, 4_000)
    assert world.place("ann", 1_000, HOME_THEN, id="b1", expires_ms=world.now) == Accepted(
        "b1", NOON, 1_000, 2_000, (UsedLeg("m", "w", "h", 20_000, 20_000),)
    )
    world.settle("f/w", won("r"))
    assert world.book.bets["b2"].paid_m == 6_000
    invariants.check(world.book)


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
