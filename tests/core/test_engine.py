"""Once, and in order: ids, deadlines, retention, time (DESIGN promises 1 and 4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, get_args

import msgspec
import pytest

from core import engine, feeding, snapshot
from core.grading.scores import FootballScore
from core.messages import commands as co
from core.messages import events as ev
from core.messages import feed as fe
from core.messages import queries as qu
from core.messages.answers import Accepted, Answer, Cancelled, CashOutQuote, Done, OrderReport, OrderReports, Rejected
from core.messages.commands import Leg, NamedSelection, PlaceBet, PricePolicy
from core.messages.results import PlaceTerms, Result
from tests.core.exchange.trading import exchange, placed
from tests.core.world import NOON, World, journalled, lost, refused, replayed, won

HOME = ("match/winner", "home", 20_000)
MINUTE = 60_000
RETENTION = 600_000
WEEK = 7 * 24 * 60 * MINUTE


@pytest.fixture
def world() -> World:
    world = World(cancel_window_ms=MINUTE, stake_max_m=1_000)
    world.customer("ann", 10_000)
    world.market("match/winner", home=20_000, away=18_000)
    world.bet("ann", 100, HOME, id="known")
    hold_until_ms = NOON + WEEK
    world.done(co.Reserve, id="held", customer="ann", amount_m=100, provider="bank", hold_until_ms=hold_until_ms)
    return world


_DESK = {"author": "trader"}
_ON = {**_DESK, "fixture": "match", "market": "winner"}
_TRADED = {"fixture": "match", "market": "exchange"}
_RESULTS = (won("home"), lost("away"))
_DAY = 24 * 60 * MINUTE
_LIMIT = {"customer": "ann", "kind": "stake", "period": "day"}


def _cancelled(world: World) -> None:
    world.cancel("match/winner")


def _referred(world: World) -> None:
    """A bet that waits for a trader."""
    world.waiting("ann", 2_000, HOME, id="waiting", refer=True)


def _offered(world: World) -> None:
    _referred(world)
    assert isinstance(world.judge("waiting", "offer", stake_m=1_500), Done)


def _raised(world: World) -> None:
    """A raised limit that can be confirmed."""
    world.done(co.SetOwnLimit, **_LIMIT, limit_m=100)
    world.done(co.SetOwnLimit, **_LIMIT, limit_m=200)
    world.wait(_DAY)


def _granted(world: World) -> None:
    world.done(co.GrantFreeBet, customer="ann", token="free", stake_m=100, ends_ms=NOON + WEEK)


def _quoted(world: World) -> None:
    assert isinstance(world.send(qu.GetCashOut("ann", "known")), CashOutQuote)


def _trading(world: World) -> None:
    """An exchange market with an order of ann's."""
    exchange(world, "match/exchange", ("home", "away"))
    placed(world, "ann", "home", "back", 30_000, 1_000, "match/exchange", id="rests")


class Content(NamedTuple):
    """A command that is carried out, another content for the same id, and what has to have happened before."""

    kind: type[co.Command]
    fields: dict[str, Any]
    other: dict[str, Any]
    before: Callable[[World], object] = lambda _: None


COMMANDS = [
    Content(
        PlaceBet,
        {"customer": "ann", "stake_m": 100, "legs": (Leg("match", "winner", "home", 20_000),)},
        {"stake_m": 101},
    ),
    Content(co.TakeOffer, {"customer": "ann", "bet": "waiting"}, {"bet": "other"}, _offered),
    Content(co.DeclineOffer, {"customer": "ann", "bet": "waiting"}, {"bet": "other"}, _offered),
    Content(co.CashOut, {"customer": "ann", "bet": "known", "offer_m": 91}, {"offer_m": 92}, _quoted),
    Content(co.CancelBet, {"customer": "ann", "bet": "known"}, {"bet": "other"}),
    Content(
        co.PlaceOrder,
        {"customer": "ann", **_TRADED, "selection": "home", "side": "back", "stake_m": 1_000, "price": 40_000},
        {"version": 1},
        _trading,
    ),
    Content(co.CancelOrder, {"customer": "ann", "order": "rests"}, {"order": "other"}, _trading),
    Content(co.ReduceOrder, {"customer": "ann", "order": "rests", "by_m": 400}, {"by_m": 401}, _trading),
    Content(co.ReplaceOrder, {"customer": "ann", "order": "rests", "price": 35_000}, {"price": 40_000}, _trading),
    Content(co.CancelOrders, {"customer": "ann"}, {"fixture": "match"}, _trading),
    Content(
        co.BatchOrders,
        {"customer": "ann", **_TRADED, "instructions": (co.Cancel("rests"), co.Cancel("nothing"))},
        {"atomic": True},
        _trading,
    ),
    Content(co.OpenCustomer, {"customer": "bob", "currency": "EUR"}, {"customer": "cid"}),
    Content(co.Deposit, {"customer": "ann", "amount_m": 100, "provider": "bank"}, {"amount_m": 101}),
    Content(co.Withdraw, {"customer": "ann", "amount_m": 100, "provider": "bank"}, {"provider": "card"}),
    Content(
        co.Reserve,
        {"customer": "ann", "amount_m": 100, "provider": "bank", "hold_until_ms": NOON + WEEK},
        {"hold_until_ms": NOON + WEEK + 1},
    ),
    Content(co.PostReserve, {"customer": "ann", "reserve": "held", "amount_m": 100}, {"amount_m": 99}),
    Content(co.VoidReserve, {"customer": "ann", "reserve": "held"}, {"reserve": "other"}),
    Content(co.SetOwnLimit, {**_LIMIT, "limit_m": 500}, {"period": "week"}),
    Content(co.ConfirmOwnLimit, _LIMIT, {"period": "week"}, _raised),
    Content(
        co.ExcludeCustomer,
        {"customer": "ann", "kind": "time_out", "until_ms": NOON + _DAY},
        {"kind": "self_exclusion"},
    ),
    Content(co.SetCustomerStatus, {**_DESK, "customer": "ann", "suspended": True, "reason": ""}, {"reason": "asked"}),
    Content(co.VerifyCustomer, {**_DESK, "customer": "ann", "verified": True, "reason": ""}, {"verified": False}),
    Content(co.SetCustomerFactor, {**_DESK, "customer": "ann", "factor_bp": 5_000}, {"phase": "in_play"}),
    Content(co.SetLimit, {**_DESK, "sport": "football", "stake_max_m": 700}, {"stake_max_m": 701}),
    Content(co.SetRate, {**_DESK, "currency": "GBP", "rate": 1_170_000}, {"rate": 1_170_001}),
    Content(
        co.GrantFreeBet,
        {**_DESK, "customer": "ann", "token": "free", "stake_m": 100, "ends_ms": NOON + WEEK},
        {"price_min": 15_000},
    ),
    Content(
        co.GrantBonus,
        {
            **_DESK,
            "customer": "ann",
            "bonus": "match",
            "deposit_m": 500,
            "bonus_m": 75,
            "times": 4,
            "ends_ms": NOON + WEEK,
        },
        {"times": 5},
    ),
    Content(co.CancelBonus, {**_DESK, "customer": "ann", "bonus": "free", "reason": ""}, {"reason": "asked"}, _granted),
    Content(co.AnswerReferral, {**_DESK, "bet": "waiting", "action": "decline"}, {"action": "accept"}, _referred),
    Content(
        co.DefineFixture,
        {**_DESK, "fixture": "cup", "name": "Cup", "sport": "football", "competition": "", "start_ms": 0},
        {"start_ms": 1},
    ),
    Content(
        co.DefineMarket,
        {**_ON, "market_type": "winner", "name": "", "selections": (NamedSelection("draw", "Draw"),)},
        {"selections": (NamedSelection("draw", "Unentschieden"),)},
    ),
    Content(co.OpenMarket, _ON, {"author": "another"}),
    Content(co.SuspendMarket, _ON, {"market": "corners"}),
    Content(co.TurnInPlay, {**_DESK, **_TRADED}, {"author": "another"}, _trading),
    Content(co.SetPrice, {**_ON, "selection": "home", "price": 25_000}, {"price": 25_001}),
    Content(co.SettleMarket, {**_ON, "results": _RESULTS}, {"results": (Result("home", 1, 5_000), lost("away"))}),
    Content(
        co.SettleFixture,
        {**_DESK, "fixture": "match", "score": FootballScore((2, 1))},
        {"score": FootballScore((2, 1), ((1, 1),))},
    ),
    Content(
        co.WithdrawSelection, {**_ON, "selection": "away", "price": 18_000, "at_ms": NOON + 1}, {"at_ms": NOON + 2}
    ),
    Content(co.SetStartingPrices, {**_ON, "prices": (co.NamedPrice("home", 21_000),)}, {"market": "corners"}),
    Content(co.CancelMarket, {**_ON, "reason": "palpable"}, {"to_ms": NOON}),
    Content(co.RollBackMarket, {**_ON, "what": "cancel", "reason": ""}, {"what": "results"}, _cancelled),
    Content(co.VoidBet, {**_DESK, "bet": "known", "reason": "palpable"}, {"leg": 0}),
]


def _restarted(world: World) -> World:
    """The same world after a crash: rebuilt from a snapshot, and begun anew."""
    world.engine = engine.Engine(world.engine.limits, snapshot.restore(snapshot.encode(world.book)))
    world.events.append(world.engine.start("engine-2", "0.1.0", world.now))
    return world


def _same(world: World) -> World:
    return world


def test_every_command_is_in_the_table() -> None:
    assert [content.kind for content in COMMANDS] == list(engine.DECIDERS)


@pytest.mark.parametrize("between", [_same, _restarted], ids=["at once", "after a restart"])
@pytest.mark.parametrize("content", COMMANDS, ids=lambda content: content.kind.__name__)
def test_an_id_that_was_answered_is_answered_the_same_again(
    world: World, content: Content, between: Callable[[World], World]
) -> None:
    """And with a new deadline too; the same id with another content is refused, and the first answer still stands."""
    kind, fields, other, before = content
    before(world)
    first = world.command(kind, id="x", **fields)
    assert isinstance(first, Done | Accepted | OrderReport | Cancelled | OrderReports)
    world.run()
    world = between(world)
    events, cash_m = len(world.events), world.cash("ann")
    assert world.command(kind, id="x", **fields) == first
    assert world.command(kind, id="x", expires_ms=world.now + RETENTION, **fields) == first
    assert len(world.events) == events
    assert refused(world.command(kind, id="x", **{**fields, **other})) == "DUPLICATE_ID"
    assert len(world.events) == events + 1
    assert world.command(kind, id="x", **fields) == first
    assert (len(world.events), world.cash("ann")) == (events + 1, cash_m)
    world.check()


def test_the_same_fields_in_another_command_are_another_content(world: World) -> None:
    world.done(co.Deposit, id="x", customer="ann", amount_m=100, provider="bank")
    assert refused(world.command(co.Withdraw, id="x", customer="ann", amount_m=100, provider="bank")) == "DUPLICATE_ID"


@pytest.mark.parametrize("between", [_same, _restarted], ids=["at once", "after a restart"])
def test_a_refused_id_is_refused_the_same_again_although_it_would_be_accepted_now(
    world: World, between: Callable[[World], World]
) -> None:
    first = world.place("ann", 100, ("match/winner", "home", 21_000), id="x")
    assert refused(first) == "PRICE_CHANGED"
    world.price("match/winner", "home", 21_000)
    world = between(world)
    events = len(world.events)
    assert world.place("ann", 100, ("match/winner", "home", 21_000), id="x") == first
    assert len(world.events) == events
    assert isinstance(world.place("ann", 100, ("match/winner", "home", 21_000), id="y"), Accepted)
    world.check()


def test_what_left_no_trace_is_decided_anew() -> None:
    world = World()
    assert refused(world.command(co.Deposit, id="x", customer="ann", amount_m=1, provider="bank")) == "CUSTOMER_UNKNOWN"
    world.customer("ann")
    world.done(co.Deposit, id="x", customer="ann", amount_m=1, provider="bank")


@pytest.mark.parametrize(
    ("rule", "kind", "fields", "kept_ms"),
    [
        ("a command", co.SetCustomerStatus, {**_DESK, "customer": "ann", "suspended": False, "reason": ""}, RETENTION),
        (
            "a refused bet",
            PlaceBet,
            {"customer": "ann", "stake_m": 1, "legs": (Leg("match", "winner", "home", 20_000),)},
            RETENTION,
        ),
        ("a payment", co.Deposit, {"customer": "ann", "amount_m": 100, "provider": "bank"}, WEEK),
    ],
)
def test_an_answer_is_kept_for_its_retention(
    world: World, rule: str, kind: type[co.Command], fields: dict[str, Any], kept_ms: int
) -> None:
    first = world.command(kind, id="x", **fields)
    world.wait(kept_ms - 1)
    events = len(world.events)
    assert world.command(kind, id="x", **fields) == first, rule
    assert len(world.events) == events
    world.wait(1)
    second = world.command(kind, id="x", **fields)
    assert len(world.events) == events + 1
    assert type(second) is type(first)
    world.check()


@pytest.mark.parametrize("state", ["open", "settled"])
def test_a_bets_id_is_known_for_as_long_as_the_bet_is_held(world: World, state: str) -> None:
    first = world.place("ann", 100, HOME, id="x")
    if state == "settled":
        world.settle("match/winner", won("home"))
    world.wait(24 * 60 * MINUTE - 1)
    world.tick()
    assert world.place("ann", 100, HOME, id="x") == first
    assert refused(world.place("ann", 101, HOME, id="x")) == "DUPLICATE_ID"
    world.check()


@pytest.mark.parametrize(
    ("ahead_ms", "reason"),
    [(-1, "EXPIRED"), (0, None), (RETENTION, None), (RETENTION + 1, "DEADLINE_TOO_FAR")],
)
def test_a_command_is_decided_until_its_deadline_which_is_not_too_far(
    world: World, ahead_ms: int, reason: str | None
) -> None:
    answer = world.command(co.Deposit, customer="ann", amount_m=1, provider="bank", expires_ms=world.now + ahead_ms)
    assert (refused(answer) if reason else None) == reason
    assert isinstance(answer, Rejected if reason else Done)


def test_a_retry_after_the_deadline_gets_the_answer_and_not_expired(world: World) -> None:
    deadline = {"expires_ms": world.now + 1_000}
    first = world.place("ann", 100, HOME, id="x", **deadline)
    world.wait(MINUTE)
    assert world.place("ann", 100, HOME, id="x", **deadline) == first


def test_memory_follows_the_load() -> None:
    """Answers past their retention are forgotten as new ones come; a bound once reached does not stay reached."""
    world = World(answers_max=50)
    world.customer("ann")

    def ask() -> Answer | None:
        fields = {"customer": "ann", "suspended": False, "reason": ""}
        return world.command(co.SetCustomerStatus, **fields)

    answers = [ask() for _ in range(60)]
    assert [refused(answer) for answer in answers if isinstance(answer, Rejected)] == ["BUSY"] * 11
    world.wait(RETENTION)
    assert isinstance(ask(), Done)
    assert len(world.book.answers) <= 50
    for _ in range(200):
        world.wait(RETENTION // 40)
        assert isinstance(ask(), Done)
    assert len(world.book.answers) <= 41
    world.check()


def test_an_id_may_be_used_again_once_it_is_forgotten_even_for_a_payment(world: World) -> None:
    world.done(co.SetCustomerStatus, id="x", customer="ann", suspended=False, reason="")
    world.wait(RETENTION)
    world.done(co.Deposit, id="x", customer="ann", amount_m=1, provider="bank")
    _restarted(world)
    for _ in range(20):
        world.wait(RETENTION)
        world.done(co.SetCustomerStatus, customer="ann", suspended=False, reason="")
        world.check()
    assert list(world.book.expiring[True])[-1][0] == "x"


class _Compared(str):
    """An id that counts with how many others it is compared."""

    __slots__ = ()
    times = 0
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        _Compared.times += 1
        return str.__eq__(self, other)


def test_an_id_that_is_used_again_once_past_costs_what_others_cost() -> None:
    """Nobody holds the engine up by going through his old ids backwards."""
    world = World()
    world.customer("ann")
    fields = {"customer": "ann", "suspended": False, "reason": ""}
    for number in range(1_000):
        world.done(co.SetCustomerStatus, id=_Compared(number), **fields)
    world.wait(RETENTION)
    _Compared.times = 0
    for number in reversed(range(1_000)):
        world.done(co.SetCustomerStatus, id=_Compared(number), **fields)
    assert _Compared.times < 20_000


def test_ids_that_are_used_again_backwards_take_no_more_memory() -> None:
    world = World(answers_max=100)
    world.customer("ann")
    fields = {"customer": "ann", "suspended": False, "reason": ""}
    for _ in range(5):
        for number in reversed(range(90)):
            assert isinstance(world.command(co.SetCustomerStatus, id=f"x{number}", **fields), Done)
            assert world.book.answers_held <= 100
        world.check()
        world.wait(RETENTION)


def test_time_does_not_run_backwards(world: World) -> None:
    world.wait(-5_000)
    answer = world.place("ann", 100, HOME)
    assert isinstance(answer, Accepted)
    assert answer.ts_ms == NOON
    world.run()
    assert [event.ts_ms for event in world.events] == sorted(event.ts_ms for event in world.events)
    world.check()


def test_an_engine_that_takes_over_begins_a_term(world: World) -> None:
    before = world.book.term
    _restarted(world)
    event = world.events[-1]
    assert event == ev.EngineStarted(NOON, before + 1, "engine-2", "0.1.0", RETENTION, WEEK)
    assert world.book.term == before + 1
    world.check()


def test_events_are_numbered_without_a_gap(world: World) -> None:
    assert world.book.event_no == len(world.events)
    assert replayed(world.events).event_no == len(world.events)


def test_time_passes_without_what_is_long_which_waits_for_its_own_turn(world: World) -> None:
    world.results("match/winner", won("home"))
    assert world.engine.tick(world.now, slices=False) == []
    assert world.book.bets["known"].status == ev.BetStatus.OPEN
    assert [type(event) for event in world.engine.advance(world.now)] == [ev.BetSettled, ev.SettlementAdvanced]
    assert world.book.bets["known"].status == ev.BetStatus.WON
    assert world.engine.advance(world.now) == []


def test_events_come_back_from_the_journal_as_they_went_in(world: World) -> None:
    world.settle("match/winner", won("home"))
    assert journalled(world.events) == world.events


def test_every_feed_message_and_every_event_has_its_handler() -> None:
    assert set(engine.APPLIERS) == set(get_args(ev.Event))
    assert set(feeding.TAKERS) == set(get_args(fe.AnyFeedMessage))
    commands = {kind for kind in vars(co).values() if isinstance(kind, type) and issubclass(kind, co.Command)}
    assert set(engine.DECIDERS) == commands - {co.Command, co.DeskCommand}


BET = PlaceBet("x", 1, "ann", 100, (Leg("match", "winner", "home", 20_000),))


def test_a_digest_is_the_same_in_every_process_encoding_and_release() -> None:
    """Digests are journalled: this one was written down at the first release."""
    again = msgspec.json.decode(msgspec.json.encode(BET), type=PlaceBet)
    assert engine.digest(BET) == engine.digest(msgspec.structs.replace(again, id="y", expires_ms=2)) == 1_189_118_677


@pytest.mark.parametrize(
    "changed",
    [
        {"customer": "bob"},
        {"stake_m": 101},
        {"legs": (Leg("match", "winner", "away", 20_000),)},
        {"legs": (Leg("match", "winner", "home", 20_000, banker=True),)},
        {"legs": (Leg("match", "winner", "home", 20_000, starting_price=True),)},
        {"legs": (Leg("match", "winner", "home", 20_000, place=PlaceTerms(3, 1, 5)),)},
        {"policy": PricePolicy.ANY},
        {"tolerance_bp": 1},
        {"currency": "EUR"},
        {"kind": "trixie"},
        {"folds": (1,)},
        {"each_way": True},
        {"unit_stake": True},
        {"lines": 1},
        {"partial": True},
        {"refer": True},
        {"free_bet": "free"},
    ],
    ids=repr,
)
def test_a_digest_tells_contents_apart(changed: dict[str, Any]) -> None:
    assert engine.digest(msgspec.structs.replace(BET, **changed)) != engine.digest(BET)


def test_a_digest_is_of_every_field_of_a_bet() -> None:
    """A field that is added has to be in the table above."""
    assert len(msgspec.structs.fields(PlaceBet)) == 16
    assert len(msgspec.structs.fields(Leg)) == 7


def test_a_bet_may_not_be_forgotten_before_its_id(world: World) -> None:
    """DESIGN promise 4: a duplicate can never slip through."""
    with pytest.raises(ValueError, match="archive_after_ms"):
        msgspec.structs.replace(world.engine.limits, archive_after_ms=RETENTION - 1)
