"""What a stake would add to the liabilities is what it adds when it is counted in: that plain way is kept here."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from core.betting import placing
from core.book import BetLeg, Book, Market
from core.messages import commands as co
from core.messages import queries as qu
from core.messages.answers import MaxStake, Rejected
from core.messages.rejections import Rejection
from core.messages.results import EachWay
from core.refusals import Refusal
from core.risk import liability, staking
from core.risk.staking import Slip
from core.units import base_up, payout_down
from tests.core.world import World, leg

SEEDS = range(12)
LEVELS = (
    Rejection.LIABILITY_MARKET,
    Rejection.LIABILITY_MARKET_TYPE,
    Rejection.LIABILITY_FIXTURE,
    Rejection.LIABILITY_COMPETITION,
    Rejection.LIABILITY_SPORT,
)
FOOTBALL: tuple[tuple[str, dict[str, str], str], ...] = (
    ("match_result", {}, "1 x 2"),
    ("asian_handicap", {"line": "-0.75"}, "1 2"),
    ("total_goals", {"line": "2.5"}, "over under"),
    ("draw_no_bet", {}, "1 2"),
    ("scorer", {}, "a b c d e"),
)


def sums(market: Market) -> tuple[int, ...]:
    fixture = market.fixture
    levels = market.type_level, fixture.competition_level, fixture.sport_level
    kind, competition, sport = (level.liability_m if level is not None else 0 for level in levels)
    return market.liability_m, kind, fixture.liability_m, competition, sport


def plainly(book: Book, slip: Slip, stake_m: int) -> tuple[str, int, int] | None:
    """The first liability limit that a stake passes (reason, leg, limit): legs counted in, looked at, counted out."""
    tighten(book)
    before, book_m = [sums(selection.market) for selection in slip.chosen], book.liability_m
    base_m = base_up(stake_m, slip.rate)
    runs = slip.running(base_m)
    legs = [
        BetLeg(selection, known.price, 0, running_m, running_m if known.place else 0, known.place)
        for selection, known, running_m in zip(slip.chosen, slip.legs, runs, strict=True)
    ]
    for each in legs:
        liability.add(book, each, 1)
    tighten(book)
    winnings_m = base_up(payout_down(stake_m, slip.numerator, slip.denominator) - stake_m, slip.rate)
    found = first(book, slip, before, book_m, winnings_m)
    for each in legs:
        liability.add(book, each, -1)
    tighten(book)
    assert [sums(selection.market) for selection in slip.chosen] == before
    return found


def tighten(book: Book) -> None:
    for fixture in list(book.loose.values()):
        liability.tighten(book, fixture)


def first(
    book: Book, slip: Slip, before: list[tuple[int, ...]], book_m: int, winnings_m: int
) -> tuple[str, int, int] | None:
    for index, (selection, caps, were) in enumerate(zip(slip.chosen, slip.caps, before, strict=True)):
        market = selection.market
        if selection.payout_m - market.stakes_m > caps.selection_m:
            return "LIABILITY_SELECTION", index, caps.selection_m
        limits = caps.market_m, caps.type_m, caps.fixture_m, caps.competition_m, caps.sport_m
        for reason, was_m, now_m, most_m in zip(LEVELS, were, sums(market), limits, strict=True):
            if now_m > was_m and now_m > most_m:
                return reason.name, index, most_m
    if slip.customer.liability_m + winnings_m > slip.lowest.customer_m:
        return "LIABILITY_CUSTOMER", -1, slip.lowest.customer_m
    if book.liability_m > book_m and book.liability_m > slip.lowest.book_m:
        return "LIABILITY_BOOK", -1, slip.lowest.book_m
    return None


def stage(random: Random) -> World:
    """Football whose markets hang on the score, races with place parts, a market of two winners; bets on all."""
    most = {f"liability_{level}_max_m": 10**13 for level in ("customer", "market", "fixture", "book", "selection")}
    world = World(velocity_bets_max=10**6, stake_max_m=10**12, payout_max_m=10**14, **most)
    world.customer("ann", 10**12)
    for number in range(4):
        for market_type, specifiers, names in FOOTBALL:
            prices = {name: random.randrange(11_000, 60_000) for name in names.split()}
            path = f"match{number}/{market_type}"
            world.defined(path, prices, market_type=market_type, specifiers=specifiers)
        runners = {f"r{index}": random.randrange(15_000, 200_000) for index in range(random.choice((6, 9, 12)))}
        world.race(f"race{number}/win", terms=random.choice((EachWay(), EachWay(5, 1, 4))), **runners)
    world.market("cup/finalists", winners=2, **{name: random.randrange(15_000, 60_000) for name in "abcdef"})
    for number in range(150):
        command = asked(world, random, co.PlaceBet, stake_m=random.randrange(100, 20_000))
        world.send(command)
        if number % 40 == 0:
            world.tick()
    return world


def asked(world: World, random: Random, kind: type[Any], **fields: Any) -> Any:
    """A bet, or a question, of any kind on any markets."""
    each_way = random.random() < 0.3
    markets = [market for market in world.book.markets() if not each_way or market.each_way is not None]
    chosen = random.sample(markets, random.choice((1, 1, 2, 3, 5, 8) if not each_way else (1, 2, 3)))
    legs = []
    for market in chosen:
        path, selections = f"{market.fixture.id}/{market.id}", list(market.selections.values())
        legs += [leg(path, each.id, each.price) for each in random.sample(selections, random.choice((1, 1, 1, 2)))]
    fixtures = len({each.fixture for each in legs})
    if fixtures < len(legs) or random.random() < 0.4:
        fields["folds"] = tuple(sorted(random.sample(range(1, fixtures + 1), random.randint(1, min(2, fixtures)))))
    if kind is co.PlaceBet:
        fields |= {"id": f"b{random.random()}", "expires_ms": world.now + 1_000}
    return kind(customer="ann", legs=tuple(legs), each_way=each_way, **fields)


def bounded(world: World, random: Random) -> None:
    """Limits of every level, near what there is: some are passed already, some far off."""

    def near(liability_m: int) -> int:
        return max(1, int(liability_m * random.choice((0.9, 1, 1.01, 1.2, 3))) + random.randrange(50_000))

    book = world.book
    for level in list(book.levels.values()):
        if random.random() < 0.3:
            names = dict(zip(("sport", level.key[0]), level.key[1:], strict=False))
            world.command(co.SetLimit, liability_max_m=near(level.liability_m), **names)
    for market in book.markets():
        if random.random() < 0.3:
            place = {"fixture": market.fixture.id, "market": market.id}
            world.command(co.SetLimit, liability_max_m=near(market.liability_m), **place)
        if random.random() < 0.1:
            selection = random.choice(list(market.selections))
            world.command(
                co.SetLimit, liability_max_m=random.randrange(1, 10**6), selection=selection, **place_of(market)
            )
    for fixture in book.fixtures.values():
        if random.random() < 0.5:
            world.command(co.SetLimit, fixture=fixture.id, liability_max_m=near(fixture.liability_m))


def place_of(market: Market) -> dict[str, str]:
    return {"fixture": market.fixture.id, "market": market.id}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_stake_is_refused_for_what_it_would_do_if_it_were_counted(seed: int) -> None:
    random = Random(seed)
    world = stage(random)
    of_book = seed % 3 == 0
    if of_book:
        world.done(co.SetLimit, liability_max_m=world.book.liability_m + 50_000)
    else:
        bounded(world, random)
    book, limits, ann = world.book, world.engine.limits, world.of("ann")
    met: set[str] = set()
    for number in range(120):
        if number % 10 == 0:
            world.send(asked(world, random, co.PlaceBet, stake_m=random.randrange(100, 5_000)))
        question = asked(world, random, qu.GetMaxStake)
        slip = placing.read(book, limits, ann, question, world.now)
        if isinstance(slip, Refusal):
            continue
        for digits in range(2, 12, 3):
            stake_m = random.randrange(10**digits)
            found = staking.refusal(book, slip, stake_m, waived=True)
            expected = plainly(book, slip, stake_m)
            assert (None if found is None else (found.reason.name, found.leg, found.limit)) == expected
            met.add("" if expected is None else expected[0])
        greatest_m = staking.accepted(book, slip, 10**9, 1)
        within = [plainly(book, slip, stake_m) is None for stake_m in (greatest_m, greatest_m + 1)]
        stake_only = staking.refusal(book, slip, greatest_m + 1)
        assert stake_only is not None or greatest_m == 10**9
        assert within[0] or not greatest_m
        if stake_only is not None and stake_only.reason.name.startswith("LIABILITY"):
            assert not within[1]
    assert met >= {"", *(("LIABILITY_BOOK",) if of_book else ("LIABILITY_MARKET", "LIABILITY_FIXTURE"))}
    world.check()


def test_a_refusal_and_its_stake_count_nothing_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty legs counted in and out for each stake that is tried were 8 ms of one turn."""
    random = Random(1)
    world = stage(random)
    world.tick()
    names = [f"match{number}/total_goals" for number in range(4)]
    world.done(co.SetLimit, liability_max_m=world.book.liability_m + 1)

    def never(*_: Any) -> None:
        raise AssertionError("counted in")

    monkeypatch.setattr(liability, "add", never)
    legs = tuple(leg(path, "over", world.at(path).selections["over"].price) for path in names)
    refused = world.command(co.PlaceBet, customer="ann", stake_m=100_000, legs=legs, folds=(2, 3))
    assert isinstance(refused, Rejected)
    assert refused.reason == "LIABILITY_BOOK"
    assert isinstance(world.send(qu.GetMaxStake("ann", legs, folds=(2, 3))), MaxStake)
