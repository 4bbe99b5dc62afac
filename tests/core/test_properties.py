"""Promises 5 and 7 as properties: whatever is sent, money is conserved and no limit is passed by an acceptance."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from random import Random
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from core import ledger
from core.messages import commands as co
from core.messages import events as ev
from core.messages.answers import Accepted, Answer, Done, Pending, Rejected
from core.messages.commands import PricePolicy
from core.messages.results import EachWay, Result
from tests.core import reference
from tests.core.risk.exposure import Counted, Level, Losses, Market, Setting, Tree
from tests.core.world import NOON, World

CUSTOMERS = ("ann", "bob")
PATHS = {"f1/winner": ("a", "b", "c"), "f1/places": ("a", "b", "c"), "f2/winner": ("a", "b")}
_paths = st.sampled_from(sorted(PATHS))
_customers = st.sampled_from(CUSTOMERS)
_money = st.integers(1, 5_000)
_prices = st.integers(10_001, 120_000)
_legs = st.lists(st.tuples(_paths, st.sampled_from("abc")), min_size=1, max_size=3)
_numbers = st.integers(0, 30)
_dead_heats = st.sampled_from(((1, 1), (1, 2), (1, 3), (2, 2), (2, 3)))
_results = st.tuples(st.sampled_from((0, 1)), st.sampled_from((0, 5_000, 10_000)), _dead_heats)
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("bet"), _customers, _money, _legs),
        st.tuples(st.just("bet"), _customers, _money, _legs),
        st.tuples(st.just("price"), _paths, st.sampled_from("ab"), _prices),
        st.tuples(st.just("deposit"), _customers, _money),
        st.tuples(st.just("withdraw"), _customers, _money),
        st.tuples(st.just("reserve"), _customers, _money),
        st.tuples(st.just("post"), _customers, _numbers, _money),
        st.tuples(st.just("settle"), _paths, st.lists(_results, min_size=3, max_size=3)),
        st.tuples(st.just("cancel"), _paths, st.integers(0, 50), st.integers(0, 50)),
        st.tuples(st.just("roll back"), _paths, st.sampled_from(("results", "cancel"))),
        st.tuples(st.just("void"), _numbers),
        st.tuples(st.just("tick"), st.integers(0, 20)),
    ),
    max_size=40,
)


def _world(**changed: int) -> World:
    world = World(slice_max=2, **changed)
    for name in CUSTOMERS:
        world.customer(name, 20_000)
    for path, names in PATHS.items():
        world.market(path, winners=2 if path.endswith("places") else 1, **dict.fromkeys(names, 30_000))
    return world


def _do(world: World, action: tuple[Any, ...]) -> object:
    """One action; whether it works is not the question."""
    name, *rest = action
    if name == "bet":
        customer, stake_m, legs = rest
        asked = [(path, selection, 30_000) for path, selection in legs]
        return world.place(customer, stake_m, *asked, policy=PricePolicy.ANY, id=f"b{len(world.book.bets)}")
    if name == "price":
        path, selection, price = rest
        fixture, market = path.split("/")
        return world.command(co.SetPrice, fixture=fixture, market=market, selection=selection, price=price)
    if name in {"deposit", "withdraw", "reserve"}:
        kinds: dict[str, type[co.Command]] = {"deposit": co.Deposit, "withdraw": co.Withdraw, "reserve": co.Reserve}
        kind = kinds[name]
        more = {"hold_until_ms": world.now + 10, "id": f"r{len(world.events)}"} if name == "reserve" else {}
        return world.command(kind, customer=rest[0], amount_m=rest[1], provider="bank", **more)
    if name == "post":
        reserves = [*world.book.reserves, "none"]
        reserve = reserves[rest[1] % len(reserves)]
        return world.command(co.PostReserve, customer=rest[0], reserve=reserve, amount_m=rest[2])
    if name == "settle":
        path, results = rest
        given = tuple(
            Result(name, result, void_factor, *dead_heat)
            for name, (result, void_factor, dead_heat) in zip(PATHS[path], results, strict=False)
        )
        return world.desk(co.SettleMarket, path, results=given)
    if name == "cancel":
        path, start, end = rest
        return world.desk(
            co.CancelMarket, path, reason="", from_ms=world.now - start, to_ms=end and world.now + end - 25
        )
    if name == "roll back":
        return world.desk(co.RollBackMarket, rest[0], what=rest[1], reason="")
    if name == "void":
        return world.command(co.VoidBet, bet=f"b{rest[0]}", reason="")
    world.wait(rest[0])
    return world.tick()


def _cash_of(world: World) -> dict[str, int]:
    return {name: world.cash(name) for name in CUSTOMERS}


@settings(max_examples=50)
@given(ACTIONS)
def test_money_is_conserved_and_a_balance_goes_below_zero_only_by_a_resettlement(
    actions: list[tuple[Any, ...]],
) -> None:
    world = _world()
    for action in actions:
        before, first = _cash_of(world), len(world.events)
        _do(world, action)
        assert ledger.sums(world.book) == {"EUR": 0}
        paid_back: Counter[str] = Counter()
        for event in world.events[first:]:
            if isinstance(event, ev.BetSettled) and event.paid_m < event.was_paid_m:
                paid_back[event.customer] += event.was_paid_m - event.paid_m
        for name, cash_m in _cash_of(world).items():
            assert cash_m >= min(0, before[name]) - paid_back[name], name
            assert world.of(name).open_stakes_m >= 0
            assert world.of(name).reserved_m >= 0
    world.run()
    world.check()


# Promise 7: no limit is passed, whatever the order of events.

HOUR = 3_600_000
MARKETS = (
    Market("f1", "result", "football", "cup", "match_result", ("1", "x", "2"), scored=True),
    Market("f1", "goals", "football", "cup", "total_goals", ("over", "under"), line="2.25", scored=True),
    Market("f1", "chance", "football", "cup", "double_chance", ("1x", "12", "x2"), winners=2, scored=True),
    Market("f1", "cards", "football", "cup", "cards", ("few", "some", "many")),
    Market("f2", "result", "football", "league", "match_result", ("1", "x", "2"), scored=True),
    Market("f2", "ahead", "football", "league", "asian_handicap", ("1", "2"), line="-0.75", scored=True),
    Market("f2", "late", "football", "league", "cards", ("yes", "no")),
    Market("r1", "run", "racing", "meeting", "winner", tuple("abcdef"), each_way=True),
    Market("r1", "places", "racing", "meeting", "places", tuple("abcd"), winners=2),
)
BY_PATH = {market.path: market for market in MARKETS}
STARTS = {"f1": NOON + HOUR, "f2": NOON + 48 * HOUR, "r1": NOON + 5 * HOUR}
BETTORS = {"ann": "EUR", "bob": "GBP", "cid": "EUR"}
OF_LEVEL = {
    "LIABILITY_SELECTION": "selection",
    "LIABILITY_MARKET": "market",
    "LIABILITY_MARKET_TYPE": "market_type",
    "LIABILITY_FIXTURE": "fixture",
    "LIABILITY_COMPETITION": "competition",
    "LIABILITY_SPORT": "sport",
    "LIABILITY_CUSTOMER": "customer",
    "LIABILITY_BOOK": "book",
    "STAKE_TOO_LARGE": "stake",
    "PAYOUT_TOO_LARGE": "payout",
}


class Room:
    """An engine, and beside it the limits and what can be lost, both kept the plain way."""

    def __init__(self, limits: dict[str, int], above: tuple[int, ...]) -> None:
        """`above`: liability limits of LEVELS; 0: none."""
        self.world = World(**limits, pending_customer_max=1_000, velocity_bets_max=10_000, slice_max=50)
        names = ("selection", "market", "fixture", "customer", "book")
        liability = {name: limits[f"liability_{name}_max_m"] for name in names}
        self.tree = Tree(limits["stake_max_m"], limits["payout_max_m"], liability, STARTS)
        self.rate = Fraction(1)
        self.counted: dict[str, Counted] = {}
        self.waived: set[str] = set()
        self.read = 0
        self.said: Counter[str] = Counter()
        self.before = Losses(MARKETS, ())
        self._furnish()
        for level, most_m in zip(LEVELS, above, strict=True):
            if most_m:
                self._set(level, Setting(liability_m=most_m))

    def _furnish(self) -> None:
        world = self.world
        world.done(co.SetRate, currency="GBP", rate=1_000_000)
        for name, currency in BETTORS.items():
            world.done(co.OpenCustomer, customer=name, currency=currency)
            world.done(co.Deposit, customer=name, amount_m=10**9, provider="bank")
        for market in MARKETS:
            if market.fixture not in world.book.fixtures:
                start = {"start_ms": STARTS[market.fixture]}
                world.fixture(market.fixture, sport=market.sport, competition=market.competition, **start)
            world.defined(
                "/".join(market.path),
                dict.fromkeys(market.selections, 30_000),
                market_type=market.market_type,
                winners=market.winners,
                specifiers={"line": market.line} if market.line else {},
                each_way=EachWay() if market.each_way else None,
                delay_ms=2_000 if market.name == "late" else 0,
            )

    # What the engine has done, held against the limits.

    def losses(self, *more: Counted) -> Losses:
        return Losses(MARKETS, (*self.counted.values(), *more))

    def follow(self) -> None:
        """New events: whatever was accepted or offered is within each limit, or has not raised what was above it."""
        for event in self.world.events[self.read :]:
            bet = event.bet if isinstance(event, ev.BetOffered) else event
            if isinstance(event, ev.ReferralAnswered) and event.action != "decline":
                self.waived.add(event.bet)
            elif isinstance(bet, ev.BetAccepted):
                # One by one: of two that were decided at once the first may raise what the second lowers.
                before = self.losses()
                self.counted[bet.id] = self.counts(bet)
                after = self.losses()
                for leg in bet.legs:
                    self._within(bet, leg, before, after)
            elif isinstance(event, ev.BetRejected):
                self.counted.pop(event.id, None)
            elif isinstance(event, ev.BetSettled) and event.status != ev.BetStatus.OPEN:
                self.counted.pop(event.bet, None)
        self.read = len(self.world.events)
        self.before = self.losses()

    def counts(self, event: ev.BetAccepted) -> Counted:
        legs = [
            reference.Leg((leg.fixture, leg.market), leg.selection, leg.price, leg.banker, place=leg.place)
            for leg in event.legs
        ]
        bet = reference.Bet(legs, event.stake_m, event.ts_ms, "", event.folds, event.each_way)
        return Counted(event.customer, bet, Fraction(event.rate, 1_000_000))

    def _within(self, event: ev.BetAccepted, leg: ev.AcceptedLeg, before: Losses, after: Losses) -> None:
        counted = self.counted[event.id]
        most = self.tree.most(event.customer, BY_PATH[leg.fixture, leg.market], leg.selection, self.world.now)
        stake_m, payout_m = most.pop(("stake",)), most.pop(("payout",))
        if event.id not in self.waived:
            assert counted.base_m <= stake_m
            assert counted.base_m * (counted.multiplier - 1) <= payout_m
        for level, most_m in most.items():
            assert after.at[level] <= max(most_m, before.at[level]), level

    def do(self, kind: str, random: Random) -> None:
        getattr(self, f"_{kind}")(random)
        self.follow()

    # Bets.

    def _bet(self, random: Random) -> None:
        slip = self._slip(random)
        stake_m = random.choice((10, 99, 777, 1_000, 2_500, 5_000, 9_999))
        extra: dict[str, Any] = {"partial": random.random() < 0.2, "refer": random.random() < 0.3}
        if random.random() < 0.1:
            token, ends_ms = f"t{self.read}", self.world.now + HOUR
            more = {"customer": slip["customer"], "token": token, "ends_ms": ends_ms}
            self.world.done(co.GrantFreeBet, stake_m=stake_m, **more)
            extra["free_bet"] = token
        answer = self._placed(slip, stake_m, **extra)
        if not isinstance(answer, Rejected) or answer.reason not in OF_LEVEL or "free_bet" in extra:
            return
        self._really(slip, stake_m, answer)
        # The stake that would be accepted is, and one minor unit more is not.
        refused = self._placed(slip, answer.stake_m + 1 if answer.stake_m else max(10, self._lines(slip)))
        assert isinstance(refused, Rejected)
        if refused.reason in OF_LEVEL and answer.stake_m:
            self._really(slip, answer.stake_m + 1, refused)
        if answer.stake_m:
            assert isinstance(self._placed(slip, answer.stake_m), Accepted | Pending)

    def _slip(self, random: Random) -> dict[str, Any]:
        markets = random.sample(MARKETS, random.choice((1, 1, 1, 2, 2, 3, 4)))
        each_way = random.random() < 0.25
        if each_way:
            markets = [BY_PATH["r1", "run"]]
        legs = tuple(self._leg(market, random) for market in markets)
        folds: tuple[int, ...] = ()
        fixtures = len({leg.fixture for leg in legs})
        if fixtures < len(legs) or random.random() < 0.3:
            folds = tuple(random.sample(range(1, fixtures + 1), random.randint(1, fixtures)))
        return {"customer": random.choice(list(BETTORS)), "legs": legs, "folds": folds, "each_way": each_way}

    def _leg(self, market: Market, random: Random) -> co.Leg:
        selection = random.choice(market.selections)
        return co.Leg(*market.path, selection, self.world.at("/".join(market.path)).selections[selection].price)

    @staticmethod
    def _lines(slip: dict[str, Any]) -> int:
        legs = [reference.Leg((leg.fixture, leg.market), leg.selection, leg.price) for leg in slip["legs"]]
        return reference.number_of_lines(reference.Bet(legs, 0, 0, "", slip["folds"], slip["each_way"]))

    def _placed(self, slip: dict[str, Any], stake_m: int, **extra: Any) -> Answer | None:
        answer = self.world.command(co.PlaceBet, stake_m=stake_m, policy=PricePolicy.ANY, **slip, **extra)
        self.said[answer.reason if isinstance(answer, Rejected) else type(answer).__name__] += 1
        return answer

    def _really(self, slip: dict[str, Any], stake_m: int, answer: Rejected) -> None:
        """The limit that is named would indeed have been passed."""
        legs = [
            reference.Leg((leg.fixture, leg.market), leg.selection, leg.price, place=EachWay(2, 1, 4))
            if slip["each_way"]
            else reference.Leg((leg.fixture, leg.market), leg.selection, leg.price)
            for leg in slip["legs"]
        ]
        customer = slip["customer"]
        rate = self.rate if BETTORS[customer] == "GBP" else Fraction(1)
        bet = reference.Bet(legs, stake_m, 0, "", slip["folds"], slip["each_way"])
        asked, name = Counted(customer, bet, rate), OF_LEVEL[answer.reason]
        limits = [
            self.tree.most(customer, BY_PATH[leg.path], leg.selection, self.world.now)
            for leg in (legs if answer.leg < 0 else legs[answer.leg : answer.leg + 1])
        ]
        if name == "stake":
            assert asked.base_m > min(each["stake",] for each in limits)
        elif name == "payout":
            assert asked.base_m * (asked.multiplier - 1) > min(each["payout",] for each in limits)
        else:
            before, after = self.before, self.losses(asked)
            level, most_m = min(
                ((level, most_m) for each in limits for level, most_m in each.items() if level[0] == name),
                key=lambda found: found[1],
            )
            assert after.at[level] > most_m
            assert name in {"selection", "customer"} or after.at[level] > before.at[level]

    def _void(self, random: Random) -> None:
        if self.world.book.bets:
            bet = random.choice(list(self.world.book.bets))
            self.world.command(co.VoidBet, bet=bet, reason="palpable")

    # A trader, and the customers' words on his offers.

    def _judge(self, random: Random) -> None:
        waiting = [bet for bet in self.world.book.pending.values() if bet.stage == ev.Stage.REFERRED]
        if not waiting:
            return
        bet = random.choice(waiting)
        action = random.choice(("accept", "offer", "offer", "offer", "decline"))
        offer: dict[str, Any] = {}
        if action == "offer":
            prices = tuple(random.choice((11_000, 20_000, 45_000)) for _ in bet.command.legs)
            offer = {"stake_m": random.choice((0, bet.reserved_m // 2)), "prices": random.choice(((), prices))}
        answer = self.world.judge(bet.id, action, **offer)
        self.said[f"{action}: {getattr(answer, 'reason', 'done')}"] += 1

    def _reply(self, random: Random) -> None:
        waiting = [bet for bet in self.world.book.pending.values() if bet.offered is not None]
        if waiting:
            bet = random.choice(waiting)
            random.choice((self.world.take, self.world.take, self.world.decline))(bet.customer.id, bet.id)

    # Desk and clock.

    def _price(self, random: Random) -> None:
        market = random.choice(MARKETS)
        price = random.choice((10_001, 10_500, 15_000, 23_600, 30_000, 77_777, 200_000))
        self.world.price("/".join(market.path), random.choice(market.selections), price)

    def _limit(self, random: Random) -> None:
        market = random.choice(MARKETS)
        level = random.choice((*market.levels(random.choice(market.selections)), *LEVELS))
        ramp = random.choice(((), (), ((2 * HOUR, 6_000), (24 * HOUR, 1_500))))
        setting = Setting(
            random.choice((0, 0, 3_000, 20_000)), random.choice((0, 0, 9_000)), random.choice((0, 2_000, 7_777)), ramp
        )
        self._set(level, setting)

    def _set(self, level: Level, setting: Setting) -> None:
        names = dict(zip(NODES[level[0]], level[1:], strict=True))
        fields = {
            "stake_max_m": setting.stake_m,
            "payout_max_m": setting.payout_m,
            "liability_max_m": setting.liability_m,
            "ramp": tuple(co.Ramp(*step) for step in setting.ramp),
        }
        if isinstance(self.world.command(co.SetLimit, **names, **fields), Done):
            self.tree.settings[level] = setting

    def _factor(self, random: Random) -> None:
        customer, sport = random.choice(list(BETTORS)), random.choice(("", "football"))
        factor_bp = random.choice((0, 2_500, 10_000, 30_000))
        answer = self.world.command(co.SetCustomerFactor, customer=customer, sport=sport, factor_bp=factor_bp)
        if isinstance(answer, Done):
            self.tree.factors.pop((customer, sport), None)
            if factor_bp != 10_000:
                self.tree.factors[customer, sport] = factor_bp

    def _rate(self, random: Random) -> None:
        rate = random.choice((333_333, 1_000_000, 1_170_001, 150_000_000))
        self.world.done(co.SetRate, currency="GBP", rate=rate)
        self.rate = Fraction(rate, 1_000_000)

    def _wait(self, random: Random) -> None:
        self.world.wait(random.choice((100, 2_000, 31_000, HOUR // 2, 20 * HOUR)))
        self.world.run()


LEVELS: tuple[Level, ...] = (
    ("sport", "football"),
    ("competition", "football", "cup"),
    ("market_type", "football", "match_result"),
    ("market_type", "football", "cards"),
)
NODES = {
    "book": (),
    "sport": ("sport",),
    "competition": ("sport", "competition"),
    "fixture": ("fixture",),
    "market_type": ("sport", "market_type"),
    "market": ("fixture", "market"),
    "selection": ("fixture", "market", "selection"),
}
_limits = st.fixed_dictionaries(
    {
        "stake_max_m": st.integers(500, 8_000),
        "payout_max_m": st.integers(1_000, 40_000),
        "liability_selection_max_m": st.integers(500, 15_000),
        "liability_market_max_m": st.integers(500, 15_000),
        "liability_fixture_max_m": st.integers(500, 20_000),
        "liability_customer_max_m": st.integers(500, 30_000),
        "liability_book_max_m": st.integers(500, 40_000),
    }
)
_above = st.tuples(*[st.one_of(st.just(0), st.integers(500, 20_000)) for _ in LEVELS])
_kinds = ("bet",) * 8 + (
    "void",
    "judge",
    "judge",
    "reply",
    "price",
    "price",
    "limit",
    "limit",
    "factor",
    "rate",
    "wait",
)
_moves = st.lists(st.tuples(st.sampled_from(_kinds), st.integers(0, 2**32)), min_size=10, max_size=30)


@settings(max_examples=150)
@given(_limits, _above, _moves)
@example(
    # Two bets that have waited are decided at once: the first raises what the second lowers.
    {
        "stake_max_m": 500,
        "payout_max_m": 1_000,
        "liability_selection_max_m": 500,
        "liability_market_max_m": 500,
        "liability_fixture_max_m": 500,
        "liability_customer_max_m": 1_990,
        "liability_book_max_m": 893,
    },
    (0, 0, 0, 0),
    [*[("bet", 0)] * 6, ("bet", 1_288), ("bet", 7_074_037), ("limit", 71_987_050), ("wait", 0)],
)
def test_limits_hold_at_every_level_and_refusals_are_exact(
    limits: dict[str, int], above: tuple[int, ...], moves: list[tuple[str, int]]
) -> None:
    room = Room(limits, above)
    for kind, seed in moves:
        room.do(kind, Random(seed))
        liabilities = {market.path: room.world.at("/".join(market.path)).liability_m for market in MARKETS}
        assert liabilities == {path: room.before.at["market", *path] for path in liabilities}
    room.world.tick()
    room.follow()
    assert room.world.book.liability_m == room.before.at["book",]
    room.world.check()
