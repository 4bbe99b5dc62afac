"""How much may be bet, and how fast: the limits tree, its ramp, customers' factors, the pace of bets (RULEBOOK 3)."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from core import snapshot
from core.book import UNLIMITED, Book, Caps, Customer, Fixture, Market, Selection
from core.limits import Limits
from core.messages import commands as co
from core.messages import events as ev
from core.messages import queries as qu
from core.messages.answers import MaxStake, Rejected
from core.messages.commands import Ramp
from core.messages.rejections import Rejection
from core.refusals import Refusal
from core.risk import limiting
from tests.core.world import NOON, LegText, World, leg, limits, refused, replayed

HOUR, DAY = 3_600_000, 86_400_000
Named = dict[str, str]
BOOK: Named = {}
SPORT = {"sport": "football"}
COMPETITION = {"sport": "football", "competition": "cup"}
FIXTURE = {"fixture": "match"}
MARKET_TYPE = {"sport": "football", "market_type": "winner"}
MARKET = {"fixture": "match", "market": "main"}
SELECTION = {"fixture": "match", "market": "main", "selection": "home"}
TREE = (BOOK, SPORT, COMPETITION, FIXTURE, MARKET_TYPE, MARKET, SELECTION)
"""All nodes above one selection, from the furthest to the nearest."""


class Tree:
    """A book with the limits 1 000 for stakes and 2 000 for payouts, and fixtures whose limits are looked up."""

    def __init__(self, **changed: int) -> None:
        self.limits: Limits = limits(**{"stake_max_m": 1_000, "payout_max_m": 2_000, **changed})
        self.book = Book()
        self.ann = self.book.customers["ann"] = Customer("ann", "EUR")
        self.market("match/main")

    def market(self, path: str, sport: str = "football", competition: str = "cup", kind: str = "winner") -> Market:
        """A market with the selections home and away, an hour before its start."""
        name, market_id = path.split("/")
        fixture = Fixture(name, "desk", name, sport, competition, NOON + HOUR)
        market = Market(fixture, market_id, "desk", kind, market_id, "", 1, 0)
        fixture = self.book.fixtures.setdefault(name, fixture)
        market.fixture, fixture.markets[market_id] = fixture, market
        market.selections = {each: Selection(each, each, market) for each in ("home", "away")}
        fixture.sport_level = limiting.level(self.book, ("sport", sport))
        fixture.competition_level = limiting.level(self.book, ("competition", sport, competition))
        market.type_level = limiting.level(self.book, ("market_type", sport, kind))
        for level in (fixture.sport_level, fixture.competition_level, market.type_level):
            level.members += 1
        return market

    def decide(self, named: Named, **fields: Any) -> ev.Event | Refusal:
        command = co.SetLimit("l1", NOON, author="trader", **{**named, **fields})
        return limiting.decide_limit(self.book, self.limits, command, 0, NOON)

    def set(self, named: Named, **fields: Any) -> None:
        event = self.decide(named, **fields)
        assert isinstance(event, ev.LimitSet), event
        limiting.apply_limit(self.book, event)

    def refused(self, named: Named, **fields: Any) -> Refusal:
        answer = self.decide(named, **fields)
        assert isinstance(answer, Refusal), answer
        return answer

    def factor(self, factor_bp: int, sport: str = "", phase: Any = "pre_match") -> ev.Event | Refusal:
        command = co.SetCustomerFactor(
            "f1", NOON, author="trader", customer="ann", factor_bp=factor_bp, sport=sport, phase=phase
        )
        event = limiting.decide_factor(self.book, self.limits, command, 0, NOON)
        if isinstance(event, ev.CustomerFactorSet):
            limiting.apply_factor(self.book, event)
        return event

    def caps(self, path: str = "match/main", selection: str = "home", now_ms: int | None = None) -> Caps:
        """The limits of a selection; with a time, those of ann's bet at that time."""
        name, market_id = path.split("/")
        market = self.book.fixtures[name].markets[market_id]
        caps = market.caps
        if caps is None or market.caps_version != self.book.caps_version:
            caps = limiting.renew(self.book, self.limits, market)
        setting = market.selections[selection].setting
        if setting is not None:
            caps = limiting.narrowed(caps, setting)
        return caps if now_ms is None else limiting.scaled(caps, self.ann, market, now_ms)


# The tree.


@pytest.mark.parametrize("nearest", range(len(TREE)))
@pytest.mark.parametrize("backwards", [False, True])
def test_the_nearest_setting_wins_for_stake_payout_and_ramp(nearest: int, *, backwards: bool) -> None:
    tree = Tree()
    nodes = list(enumerate(TREE[: nearest + 1], 1))
    for number, named in nodes[::-1] if backwards else nodes:
        tree.set(named, stake_max_m=10 * number, payout_max_m=100 * number, ramp=(Ramp(number, 5_000),))
    caps = tree.caps()
    assert (caps.stake_max_m, caps.payout_max_m) == (10 * (nearest + 1), 100 * (nearest + 1))
    assert caps.ramp == (Ramp(nearest + 1, 5_000),)


def test_where_the_tree_says_nothing_the_engines_limits_hold() -> None:
    assert Tree().caps() == Caps(
        stake_max_m=1_000,
        payout_max_m=2_000,
        selection_m=50_000_000,
        market_m=100_000_000,
        type_m=UNLIMITED,
        fixture_m=300_000_000,
        competition_m=UNLIMITED,
        sport_m=UNLIMITED,
        levels=False,
        customer_m=100_000_000,
        book_m=10_000_000_000,
        ramp=(),
    )


@pytest.mark.parametrize(
    ("near", "stake_m", "payout_m", "ramp"),
    [
        ({"stake_max_m": 30}, 30, 200, (Ramp(HOUR, 5_000),)),
        ({"payout_max_m": 300}, 20, 300, (Ramp(HOUR, 5_000),)),
        ({"ramp": (Ramp(DAY, 1_000),)}, 20, 200, (Ramp(DAY, 1_000),)),
        ({"liability_max_m": 1}, 20, 200, (Ramp(HOUR, 5_000),)),
    ],
)
def test_what_a_nearer_setting_leaves_open_comes_from_the_next(
    near: dict[str, Any], stake_m: int, payout_m: int, ramp: tuple[Ramp, ...]
) -> None:
    tree = Tree()
    tree.set(SPORT, stake_max_m=20, payout_max_m=200, ramp=(Ramp(HOUR, 5_000),))
    tree.set(MARKET, **near)
    caps = tree.caps()
    assert (caps.stake_max_m, caps.payout_max_m, caps.ramp) == (stake_m, payout_m, ramp)


def test_a_nearer_setting_may_also_be_the_greater_one() -> None:
    tree = Tree()
    tree.set(SPORT, stake_max_m=20)
    tree.set(FIXTURE, stake_max_m=5_000, liability_max_m=900_000_000)
    assert tree.caps().stake_max_m == 5_000
    assert tree.caps().fixture_m == 900_000_000


LEVELS = [
    (BOOK, "book_m"),
    (SPORT, "sport_m"),
    (COMPETITION, "competition_m"),
    (FIXTURE, "fixture_m"),
    (MARKET_TYPE, "type_m"),
    (MARKET, "market_m"),
    (SELECTION, "selection_m"),
]


@pytest.mark.parametrize(("named", "field"), LEVELS)
def test_a_liability_limit_binds_at_its_level_alone(named: Named, field: str) -> None:
    tree = Tree()
    before = tree.caps()
    tree.set(named, liability_max_m=7)
    changed: dict[str, Any] = {field: 7, "levels": field in {"sport_m", "competition_m", "type_m"}}
    assert tree.caps() == replace(before, **changed)


def test_the_liability_limits_of_all_levels_stand_side_by_side() -> None:
    tree = Tree()
    for number, (named, _) in enumerate(LEVELS, 1):
        tree.set(named, liability_max_m=number)
    caps = tree.caps()
    assert [getattr(caps, field) for _, field in LEVELS] == [1, 2, 3, 4, 5, 6, 7]
    assert tree.caps(selection="away").selection_m == 50_000_000


@pytest.mark.parametrize(
    ("rule", "named"),
    [
        ("another sport", {"sport": "tennis"}),
        ("another competition", {"sport": "football", "competition": "league"}),
        ("the competition of that name of another sport", {"sport": "tennis", "competition": "cup"}),
        ("another market type", {"sport": "football", "market_type": "total"}),
        ("the market type of that name of another sport", {"sport": "tennis", "market_type": "winner"}),
        ("another fixture", {"fixture": "derby"}),
        ("another market", {"fixture": "match", "market": "total"}),
        ("the market of that name of another fixture", {"fixture": "derby", "market": "main"}),
        ("another selection", {"fixture": "match", "market": "main", "selection": "away"}),
        ("a selection of another market", {"fixture": "match", "market": "total", "selection": "home"}),
    ],
)
def test_a_setting_holds_for_nothing_beside_its_node(rule: str, named: Named) -> None:
    tree = Tree()
    tree.market("derby/main", "tennis", "cup")
    tree.market("match/total", kind="total")
    before = tree.caps()
    tree.set(named, stake_max_m=1, payout_max_m=1, liability_max_m=1, ramp=(Ramp(0, 1),))
    assert tree.caps() == before, rule


def test_a_market_looks_its_limits_up_once_after_a_change() -> None:
    tree = Tree()
    first = tree.caps()
    market = tree.book.fixtures["match"].markets["main"]
    assert market.caps is first
    assert tree.caps() is first
    tree.set({"sport": "tennis"}, stake_max_m=1)
    assert tree.caps() is not first
    assert market.caps_version == tree.book.caps_version


# Its nodes.


@pytest.mark.parametrize("named", TREE)
def test_a_setting_is_taken_back_by_zeros(named: Named) -> None:
    tree = Tree()
    before = tree.caps()
    tree.set(named, stake_max_m=1, payout_max_m=1, liability_max_m=1, ramp=(Ramp(0, 1),))
    assert tree.caps() != before
    tree.set(named)
    assert tree.caps() == before


@pytest.mark.parametrize(
    "named",
    [
        {"competition": "cup"},
        {"market_type": "winner"},
        {"market": "main"},
        {"selection": "home"},
        {"fixture": "match", "selection": "home"},
        {"fixture": "match", "market_type": "winner"},
        {"fixture": "match", "sport": "football"},
        {"fixture": "match", "market": "main", "market_type": "winner"},
        {"sport": "football", "competition": "cup", "market_type": "winner"},
        {"sport": "football", "competition": "cup", "fixture": "match"},
        {"sport": "football", "market": "main"},
        {"competition": "cup", "market_type": "winner"},
    ],
)
def test_names_that_are_no_node_together_are_refused(named: Named) -> None:
    refusal = Tree().refused(named, stake_max_m=1)
    assert refusal == Refusal(Rejection.DEFINITION_NOT_VALID, detail=refusal.detail)
    assert all(name in refusal.detail for name in named)


@pytest.mark.parametrize(
    ("named", "reason"),
    [
        ({"fixture": "final"}, Rejection.FIXTURE_UNKNOWN),
        ({"fixture": "final", "market": "main"}, Rejection.FIXTURE_UNKNOWN),
        ({"fixture": "match", "market": "total"}, Rejection.MARKET_UNKNOWN),
        ({"fixture": "match", "market": "total", "selection": "home"}, Rejection.MARKET_UNKNOWN),
        ({"fixture": "match", "market": "main", "selection": "draw"}, Rejection.SELECTION_UNKNOWN),
    ],
)
def test_a_fixture_and_what_is_in_it_must_be_known(named: Named, reason: Rejection) -> None:
    assert Tree().refused(named, stake_max_m=1) == Refusal(reason)


@pytest.mark.parametrize("named", TREE)
def test_what_changes_nothing_is_refused(named: Named) -> None:
    tree = Tree()
    assert tree.refused(named) == Refusal(Rejection.NOTHING_TO_CHANGE)
    steps = (Ramp(HOUR, 5_000), Ramp(DAY, 1_000))
    tree.set(named, stake_max_m=1, ramp=steps)
    assert tree.refused(named, stake_max_m=1, ramp=steps[::-1]) == Refusal(Rejection.NOTHING_TO_CHANGE)
    tree.set(named, stake_max_m=2, ramp=steps)


@pytest.mark.parametrize("named", [SPORT, COMPETITION, MARKET_TYPE])
def test_a_limit_may_be_set_before_there_are_fixtures(named: Named) -> None:
    tree = Tree()
    ahead = {name: {"football": "tennis", "winner": "sets", "cup": "open"}[text] for name, text in named.items()}
    tree.set(ahead, stake_max_m=1)
    tree.market("final/main", "tennis", "open", "sets")
    assert tree.caps("final/main").stake_max_m == 1
    assert tree.caps().stake_max_m == 1_000


def test_a_level_is_forgotten_with_its_setting_and_its_last_member() -> None:
    tree = Tree()
    tree.set({"sport": "tennis"}, stake_max_m=1)
    assert ("sport", "tennis") in tree.book.levels
    tree.set({"sport": "tennis"})
    assert ("sport", "tennis") not in tree.book.levels
    tree.set(SPORT, stake_max_m=1)
    football = tree.book.levels["sport", "football"]
    football.members -= 1
    limiting.release(tree.book, football)
    assert tree.book.levels["sport", "football"] is football
    football.members += 1
    tree.set(SPORT)
    assert tree.book.levels["sport", "football"] is football
    football.members -= 1
    limiting.release(tree.book, football)
    assert ("sport", "football") not in tree.book.levels


def test_limits_of_sports_that_there_are_not_are_bounded() -> None:
    tree = Tree(levels_max=4)
    tree.set({"sport": "tennis"}, stake_max_m=1)
    full = tree.refused({"sport": "golf"}, stake_max_m=1)
    assert full == Refusal(Rejection.TOO_MANY, limit=4, detail="levels")
    tree.set({"sport": "tennis"}, stake_max_m=2)
    tree.set(SPORT, stake_max_m=2)
    tree.set(FIXTURE, stake_max_m=2)


# The ramp.


@pytest.mark.parametrize(
    ("ahead_ms", "stake_m"),
    [
        (2 * DAY, 100),
        (DAY + 1, 100),
        (DAY, 500),
        (HOUR + 1, 500),
        (HOUR, 1_000),
        (1, 1_000),
        (0, 1_000),
        (-HOUR, 1_000),
    ],
)
@pytest.mark.parametrize("steps", [(Ramp(HOUR, 5_000), Ramp(DAY, 1_000)), (Ramp(DAY, 1_000), Ramp(HOUR, 5_000))])
def test_long_before_the_start_a_share_of_the_limit_applies(
    ahead_ms: int, stake_m: int, steps: tuple[Ramp, ...]
) -> None:
    tree = Tree()
    tree.set(SPORT, ramp=steps)
    assert tree.caps(now_ms=NOON + HOUR - ahead_ms).stake_max_m == stake_m


def test_the_ramp_is_a_share_of_what_concerns_the_fixture_alone() -> None:
    tree = Tree()
    for named in (SPORT, COMPETITION, MARKET_TYPE):
        tree.set(named, liability_max_m=400)
    tree.set(BOOK, ramp=(Ramp(DAY, 2_500),))
    start = tree.caps(now_ms=NOON)
    early = tree.caps(now_ms=NOON - DAY)
    assert early == Caps(
        stake_max_m=250,
        payout_max_m=500,
        selection_m=12_500_000,
        market_m=25_000_000,
        type_m=400,
        fixture_m=75_000_000,
        competition_m=400,
        sport_m=400,
        levels=True,
        customer_m=100_000_000,
        book_m=10_000_000_000,
        ramp=(),
    )
    assert (start.stake_max_m, start.fixture_m) == (1_000, 300_000_000)


def test_a_share_of_nothing_takes_no_bets_before_its_time() -> None:
    tree = Tree()
    tree.set(SELECTION, ramp=(Ramp(DAY, 0),))
    assert tree.caps(now_ms=NOON - DAY).stake_max_m == 0
    assert tree.caps(now_ms=NOON).stake_max_m == 1_000
    assert tree.caps(selection="away", now_ms=NOON - DAY).stake_max_m == 1_000


def test_a_whole_share_takes_a_node_out_of_the_ramp_above_it() -> None:
    tree = Tree()
    tree.set(BOOK, ramp=(Ramp(HOUR, 1_000),))
    tree.set(FIXTURE, ramp=(Ramp(0, 10_000),))
    tree.market("derby/main")
    assert tree.caps(now_ms=NOON - DAY).stake_max_m == 1_000
    assert tree.caps("derby/main", now_ms=NOON - DAY).stake_max_m == 100


@pytest.mark.parametrize(
    ("rule", "steps"),
    [
        ("two shares at one time", (Ramp(HOUR, 5_000), Ramp(HOUR, 4_000))),
        ("the same share twice", (Ramp(HOUR, 5_000), Ramp(DAY, 5_000))),
        ("more the further away", (Ramp(HOUR, 5_000), Ramp(DAY, 6_000))),
        ("more the further away, in the middle", (Ramp(DAY, 6_000), Ramp(2 * DAY, 1_000), Ramp(HOUR, 5_000))),
    ],
)
def test_a_step_of_the_ramp_that_would_never_apply_is_refused(rule: str, steps: tuple[Ramp, ...]) -> None:
    assert Tree().refused(SPORT, ramp=steps).reason is Rejection.DEFINITION_NOT_VALID, rule


# Factors.


@pytest.mark.parametrize(
    ("factor_bp", "stake_m"), [(5_000, 50), (20_000, 200), (10_000, 100), (0, 0), (9_999, 99), (1_000_000, 10_000)]
)
def test_a_factor_multiplies_the_stake_rounded_down(factor_bp: int, stake_m: int) -> None:
    tree = Tree(stake_max_m=100)
    tree.factor(factor_bp)
    assert tree.caps(now_ms=NOON).stake_max_m == stake_m


def test_a_factor_multiplies_what_is_the_customers_alone() -> None:
    tree = Tree()
    before = tree.caps()
    tree.factor(20_000)
    after = tree.caps(now_ms=NOON)
    assert after == replace(before, stake_max_m=2_000, payout_max_m=4_000, customer_m=200_000_000)


@pytest.mark.parametrize(
    ("rule", "sport", "in_play", "stake_m"),
    [
        ("his sport's goes before the general one", "football", False, 500),
        ("the general one for other sports", "tennis", False, 100),
        ("pre-match and in play apart", "football", True, 3_000),
        ("none in play for other sports", "tennis", True, 1_000),
    ],
)
def test_factors_are_by_sport_and_phase(rule: str, sport: str, *, in_play: bool, stake_m: int) -> None:
    tree = Tree()
    tree.factor(1_000)
    tree.factor(5_000, "football")
    tree.factor(30_000, "football", "in_play")
    market = tree.market("final/main", sport)
    market.in_play = in_play
    assert tree.caps("final/main", now_ms=NOON).stake_max_m == stake_m, rule


def test_a_sports_factor_of_nothing_is_no_absent_one() -> None:
    tree = Tree()
    tree.factor(20_000)
    tree.factor(0, "football")
    assert tree.caps(now_ms=NOON).stake_max_m == 0


def test_a_factor_is_taken_back_by_the_whole() -> None:
    tree = Tree()
    tree.factor(5_000, "football")
    tree.factor(2_000, "football", "in_play")
    tree.factor(10_000, "football")
    assert tree.ann.factors == {("football", True): 2_000}
    tree.factor(10_000, "football", "in_play")
    assert tree.ann.factors is None


def test_a_factor_that_changes_nothing_is_refused() -> None:
    tree = Tree()
    assert tree.factor(10_000) == Refusal(Rejection.NOTHING_TO_CHANGE)
    tree.factor(5_000)
    assert tree.factor(5_000) == Refusal(Rejection.NOTHING_TO_CHANGE)
    assert isinstance(tree.factor(5_000, phase="in_play"), ev.CustomerFactorSet)


def test_the_factors_of_a_customer_are_bounded() -> None:
    tree = Tree(factors_max=2)
    tree.factor(5_000, "football")
    tree.factor(5_000, "tennis")
    assert tree.factor(5_000, "golf") == Refusal(Rejection.TOO_MANY, limit=2, detail="factors")
    assert isinstance(tree.factor(6_000, "tennis"), ev.CustomerFactorSet)
    assert isinstance(tree.factor(10_000, "tennis"), ev.CustomerFactorSet)
    assert isinstance(tree.factor(5_000, "golf"), ev.CustomerFactorSet)


def test_ramp_and_factor_together_are_rounded_once() -> None:
    tree = Tree(stake_max_m=3)
    tree.set(BOOK, ramp=(Ramp(0, 5_000),))
    tree.factor(20_000)
    assert tree.caps(now_ms=NOON).stake_max_m == 3


def test_a_customer_without_factors_before_a_start_without_ramp_has_the_markets_limits() -> None:
    tree = Tree()
    assert tree.caps(now_ms=NOON) is tree.caps()


# Pace.


@pytest.mark.parametrize(
    ("rule", "bets_max", "window_ms", "placed", "answers"),
    [
        ("a burst", 3, 9_000, (0, 0, 0), (None, None, None)),
        ("one more than the burst", 3, 9_000, (0, 0, 0, 0), (None, None, None, 3_000)),
        ("a moment too early", 3, 9_000, (0, 0, 0, 2_999), (None, None, None, 3_000)),
        ("in time", 3, 9_000, (0, 0, 0, 3_000), (None, None, None, None)),
        ("then one by one", 3, 9_000, (0, 0, 0, 3_000, 5_999, 6_000), (None, None, None, None, 6_000, None)),
        ("a pause brings the burst back", 3, 9_000, (0, 0, 0, 9_000, 9_000, 9_000, 9_000), (None,) * 6 + (12_000,)),
        ("a long one not more", 3, 9_000, (0, 99_000, 99_000, 99_000, 99_000), (None,) * 4 + (102_000,)),
        ("a steady pace for ever", 3, 9_000, tuple(range(0, 90_000, 3_000)), (None,) * 30),
        ("one at a time", 1, 1_000, (0, 999, 1_000), (None, 1_000, None)),
        ("what is no whole number is rounded up", 3, 1_000, (0, 0, 0, 333, 334), (None, None, None, 334, None)),
        ("more than one a millisecond", 5, 2, (0,) * 6, (None,) * 5 + (1,)),
    ],
)
def test_a_customer_bets_no_faster_than_a_person(
    rule: str, bets_max: int, window_ms: int, placed: tuple[int, ...], answers: tuple[int | None, ...]
) -> None:
    bounds = limits(velocity_bets_max=bets_max, velocity_window_ms=window_ms)
    customer = Customer("ann", "EUR")
    seen: list[int | None] = []
    for at_ms in placed:
        refusal = limiting.too_fast(customer, bounds, NOON + at_ms)
        if refusal is None:
            limiting.count(customer, bounds, NOON + at_ms)
            seen.append(None)
        else:
            assert refusal.reason is Rejection.TOO_FAST
            seen.append(refusal.limit - NOON)
    assert tuple(seen) == answers, rule


# Bets.

HOME = ("match/main", "home", 20_000)


@pytest.fixture
def world() -> World:
    """Ann and bob, before a match that starts in an hour."""
    return _world()


def _world(**changed: int) -> World:
    world = World(**changed)
    for name in ("ann", "bob"):
        world.customer(name, 1_000_000)
    start = {"sport": "football", "competition": "cup", "start_ms": NOON + HOUR}
    for fixture in ("match", "derby"):
        world.done(co.DefineFixture, fixture=fixture, name=fixture, **start)
        world.market(f"{fixture}/main", home=20_000, away=20_000)
    return world


def _refused(world: World, customer: str, stake_m: int, *legs: LegText, **fields: Any) -> tuple[str, int, int]:
    """The reason, the limit, and the stake that would be accepted."""
    answer = world.place(customer, stake_m, *legs, **fields)
    assert isinstance(answer, Rejected), answer
    return answer.reason, answer.limit, answer.stake_m


@pytest.mark.parametrize(
    ("named", "reason"),
    [
        (SELECTION, "LIABILITY_SELECTION"),
        (MARKET, "LIABILITY_MARKET"),
        (MARKET_TYPE, "LIABILITY_MARKET_TYPE"),
        (FIXTURE, "LIABILITY_FIXTURE"),
        (COMPETITION, "LIABILITY_COMPETITION"),
        (SPORT, "LIABILITY_SPORT"),
        (BOOK, "LIABILITY_BOOK"),
    ],
)
def test_no_bet_passes_the_liability_of_a_level(world: World, named: Named, reason: str) -> None:
    world.done(co.SetLimit, **named, liability_max_m=1_000)
    assert _refused(world, "ann", 1_001, HOME) == (reason, 1_000, 1_000)
    world.bet("ann", 600, HOME)
    assert _refused(world, "bob", 401, HOME) == (reason, 1_000, 400)
    world.bet("bob", 400, HOME)
    world.done(co.SetLimit, **named)
    world.bet("bob", 1_000, HOME)
    world.check()


@pytest.mark.parametrize("named", [MARKET_TYPE, COMPETITION, SPORT, BOOK])
def test_the_liability_of_a_level_is_of_all_its_fixtures(world: World, named: Named) -> None:
    world.done(co.SetLimit, **named, liability_max_m=1_000)
    world.bet("ann", 600, HOME)
    assert _refused(world, "ann", 401, ("derby/main", "away", 20_000))[1:] == (1_000, 400)
    world.check()


@pytest.mark.parametrize("named", TREE)
def test_a_bet_is_refused_above_the_stake_and_the_payout_of_the_nearest_node(world: World, named: Named) -> None:
    world.done(co.SetLimit, **named, stake_max_m=500)
    assert _refused(world, "ann", 501, HOME) == ("STAKE_TOO_LARGE", 500, 500)
    world.done(co.SetLimit, **named, payout_max_m=400)
    assert _refused(world, "ann", 401, HOME) == ("PAYOUT_TOO_LARGE", 400, 400)
    world.bet("ann", 400, HOME)
    world.check()


def test_a_double_obeys_the_limits_of_both_legs(world: World) -> None:
    world.done(co.SetLimit, fixture="derby", stake_max_m=300)
    derby = ("derby/main", "home", 20_000)
    for legs in ((HOME, derby), (derby, HOME)):
        assert _refused(world, "ann", 301, *legs) == ("STAKE_TOO_LARGE", 300, 300)
    world.check()


def test_the_ramp_ends_at_its_time(world: World) -> None:
    world.done(co.SetLimit, **SPORT, stake_max_m=1_000, ramp=(Ramp(HOUR // 2, 5_000),))
    assert _refused(world, "ann", 501, HOME) == ("STAKE_TOO_LARGE", 500, 500)
    world.wait(HOUR // 2)
    assert _refused(world, "ann", 1_001, HOME) == ("STAKE_TOO_LARGE", 1_000, 1_000)
    world.check()


def test_a_customers_factor_halves_his_stake_and_nobody_elses(world: World) -> None:
    world.done(co.SetLimit, **FIXTURE, stake_max_m=1_000)
    world.done(co.SetCustomerFactor, customer="ann", factor_bp=5_000)
    assert _refused(world, "ann", 501, HOME) == ("STAKE_TOO_LARGE", 500, 500)
    world.bet("ann", 500, HOME)
    world.bet("bob", 1_000, HOME)
    world.done(co.SetCustomerFactor, customer="ann", factor_bp=10_000)
    world.bet("ann", 1_000, HOME)
    world.check()


def test_a_customers_factor_halves_what_his_bet_may_win(world: World) -> None:
    world.done(co.SetLimit, **FIXTURE, payout_max_m=1_000)
    world.done(co.SetCustomerFactor, customer="ann", factor_bp=5_000, sport="football")
    assert _refused(world, "ann", 501, HOME) == ("PAYOUT_TOO_LARGE", 500, 500)
    world.check()


def test_a_customers_factor_halves_what_all_his_bets_may_win() -> None:
    world = _world(liability_customer_max_m=2_000)
    world.done(co.SetCustomerFactor, customer="ann", factor_bp=5_000)
    world.bet("ann", 600, HOME)
    assert _refused(world, "ann", 401, ("derby/main", "home", 20_000)) == ("LIABILITY_CUSTOMER", 1_000, 400)
    world.bet("bob", 2_000, HOME)
    world.check()


def test_the_lowest_factor_of_a_doubles_legs_binds_in_any_order() -> None:
    world = _world(liability_customer_max_m=2_000)
    final = {"sport": "tennis", "competition": "open", "start_ms": NOON + HOUR}
    world.done(co.DefineFixture, fixture="final", name="final", **final)
    world.market("final/main", home=20_000, away=20_000)
    world.done(co.SetCustomerFactor, customer="ann", factor_bp=5_000, sport="tennis")
    tennis = ("final/main", "home", 20_000)
    for legs in ((HOME, tennis), (tennis, HOME)):
        assert _refused(world, "ann", 334, *legs) == ("LIABILITY_CUSTOMER", 1_000, 333)
    world.check()


def test_with_a_factor_of_nothing_no_bet_is_taken(world: World) -> None:
    world.done(co.SetCustomerFactor, customer="ann", factor_bp=0)
    assert _refused(world, "ann", 10, HOME) == ("STAKE_TOO_LARGE", 0, 0)
    world.check()


def test_a_bet_that_comes_too_fast_is_told_when_it_would_be_taken() -> None:
    world = _world(velocity_bets_max=2, velocity_window_ms=2_000)
    for _ in range(2):
        world.bet("ann", 100, HOME)
    reason, limit, _ = _refused(world, "ann", 100, HOME)
    assert (reason, limit) == ("TOO_FAST", NOON + 1_000)
    # No stake would be accepted now.
    question = qu.GetMaxStake("ann", (leg(*HOME),))
    assert world.send(question) == Rejected("", "TOO_FAST", limit=NOON + 1_000)
    world.bet("bob", 100, HOME)
    world.wait(1_000)
    assert isinstance(world.send(question), MaxStake)
    world.bet("ann", 100, HOME)
    world.check()


def test_a_refused_bet_uses_up_no_pace() -> None:
    world = _world(velocity_bets_max=1, velocity_window_ms=1_000, stake_max_m=100)
    for _ in range(3):
        assert _refused(world, "ann", 101, HOME)[0] == "STAKE_TOO_LARGE"
    world.bet("ann", 100, HOME)
    world.check()


def test_limits_and_factors_are_the_same_after_a_restart(world: World) -> None:
    for number, named in enumerate(TREE, 1):
        world.done(co.SetLimit, **named, stake_max_m=number, liability_max_m=10 * number, ramp=(Ramp(number, 5_000),))
    world.done(co.SetCustomerFactor, customer="ann", factor_bp=5_000, sport="football", phase="in_play")
    world.done(co.SetCustomerFactor, customer="ann", factor_bp=2_000)
    bounds = world.engine.limits
    before = limiting.renew(world.book, bounds, world.at("match/main"))
    for book in (replayed(world.events), snapshot.restore(snapshot.encode(world.book))):
        market = book.fixtures["match"].markets["main"]
        assert limiting.renew(book, bounds, market) == before
        assert market.selections["home"].setting == world.at("match/main").selections["home"].setting
        assert book.customers["ann"].factors == {("football", True): 5_000, ("", False): 2_000}
    world.check()


def test_a_limit_for_an_unknown_customer_or_fixture_changes_nothing(world: World) -> None:
    version = world.book.caps_version
    assert refused(world.command(co.SetLimit, fixture="final", stake_max_m=1)) == "FIXTURE_UNKNOWN"
    assert refused(world.command(co.SetCustomerFactor, customer="eve", factor_bp=1)) == "CUSTOMER_UNKNOWN"
    assert world.book.caps_version == version
    world.check()
