"""What does a stake cost in the core that comes up against a limit: the refusal that names another, the greatest stake?

    prepared messages (memory) -> Engine.execute -> refusals and answers (checked, then dropped)

Football fixtures with markets that hang on the score and one that does not, bets on all of them, and for each kind of
bet a limit just where its legs stand: at a market, at a fixture, at one fixture's scores, of the customer, of the book.
Both go against no pace but their own, so their price is the price of an abuse (DESIGN promise 8). Every tenth message
comes after a bet on one of the fixtures, whose scores have to be looked at anew; that bet's own time is not counted.
In each pass every answer's reason is checked. Times are of the processor, for one message: the greatest and the median.
Not in the number: decoding and encoding of messages, journal, network.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Mapping
from statistics import median
from time import process_time
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

from bench import common
from bench.core import LIMITS as WIDE_LIMITS
from bench.core import NOW_MS, Feed, open_customer
from core import invariants
from core.engine import Engine
from core.messages import feed as fe
from core.messages import queries as qu
from core.messages.answers import Accepted, MaxStake, Rejected
from core.messages.commands import Leg, PlaceBet

LIMITS = msgspec.structs.replace(WIDE_LIMITS, stake_max_m=10**12, payout_max_m=10**15, liability_book_max_m=10**15)
FIXTURES = 20
PLAIN: tuple[str, dict[str, str], tuple[str, ...]] = ("scorer", {}, tuple(f"player-{number}" for number in range(20)))
SCORED: tuple[tuple[str, dict[str, str], tuple[str, ...]], ...] = (
    ("match_result", {}, ("1", "x", "2")),
    ("both_teams_to_score", {}, ("yes", "no")),
    *(("total_goals", {"line": f"{goals}.5"}, ("over", "under")) for goals in range(6)),
)


class Kind(NamedTuple):
    """Bets of one kind: how many legs, and what makes them that kind."""

    legs: int
    fields: Mapping[str, Any] = MappingProxyType({})


KINDS: dict[str, Kind] = {
    "single": Kind(1),
    "treble": Kind(3),
    "fold_20": Kind(20),
    "system_20": Kind(20, {"folds": (5,)}),
}
LEVELS = {
    "market": "LIABILITY_MARKET",
    "fixture": "LIABILITY_FIXTURE",
    "grid": "LIABILITY_FIXTURE",
    "customer": "LIABILITY_CUSTOMER",
    "book": "LIABILITY_BOOK",
}


class Size(NamedTuple):
    """How much of everything a pass has."""

    bets: int
    """On the fixtures, before they are measured."""
    asked: int
    """Messages of each kind and level."""


FULL = Size(bets=2_000, asked=60)
SMALL = Size(bets=200, asked=4)


def prepared(size: Size, rng: random.Random, level: str) -> Engine:
    """Fixtures with bets on all their markets, and little room for more at that level."""
    engine = Engine(LIMITS)
    engine.start("bench", "0", NOW_MS)
    open_customer(engine, "ann")
    open_customer(engine, "bob")
    feed = Feed(engine)
    feed.send(fe.RecoveryBegin)
    for number in range(FIXTURES):
        name = f"match-{number}"
        start = {"competition": "cup", "start_ms": NOW_MS + 3_600_000}
        feed.send(fe.FixtureChange, fixture=name, name=name, sport="football", **start)
        for market_type, specifiers, names in (PLAIN, *SCORED):
            priced = tuple(fe.PricedSelection(each, each, rng.randrange(15_000, 20_000)) for each in names)
            head = {"market_type": market_type, "name": market_type, "status": fe.FeedStatus.ACTIVE}
            market = "-".join((market_type, *specifiers.values()))
            feed.send(fe.MarketImage, fixture=name, market=market, selections=priced, specifiers=specifiers, **head)
    feed.send(fe.RecoveryEnd)
    for number in range(size.bets):
        _accepted(engine, rng, f"bet-{number}")
    while engine.tick(NOW_MS) or engine.book.loose:
        pass
    _limit(engine, level)
    return engine


def _accepted(engine: Engine, rng: random.Random, name: str) -> None:
    fixture = engine.book.fixtures[f"match-{rng.randrange(FIXTURES)}"]
    market = rng.choice(list(fixture.markets.values()))
    selection = rng.choice(list(market.selections.values()))
    leg = Leg(fixture.id, market.id, selection.id, selection.price)
    answer, _ = engine.execute(PlaceBet(name, NOW_MS + 60_000, "bob", 10, (leg,)), NOW_MS)
    assert isinstance(answer, Accepted), answer


def _limit(engine: Engine, level: str) -> None:
    book = engine.book
    worst_m = {
        "market": max(market.liability_m for market in book.markets()),
        "fixture": max(fixture.liability_m for fixture in book.fixtures.values()),
        "book": book.liability_m,
    }
    room_m = 100_000
    engine.limits = msgspec.structs.replace(
        engine.limits,
        liability_market_max_m=worst_m["market"] + room_m if level == "market" else 10**14,
        liability_fixture_max_m=worst_m["fixture"] + room_m if level in ("fixture", "grid") else 10**14,
        liability_customer_max_m=room_m if level == "customer" else 10**14,
        liability_book_max_m=worst_m["book"] + room_m if level == "book" else 10**15,
    )
    book.caps_version += 1


def asked(engine: Engine, kind: Kind, level: str) -> tuple[Leg, ...]:
    """Legs on the market that hangs on no score, or on those that do."""
    market = "total_goals-2.5" if level in ("grid", "book") else "scorer"
    legs = []
    for number in range(kind.legs):
        fixture = engine.book.fixtures[f"match-{number}"]
        selection = next(iter(fixture.markets[market].selections.values()))
        legs.append(Leg(fixture.id, market, selection.id, selection.price))
    return tuple(legs)


def _timed(engine: Engine, message: Any) -> tuple[float, Any]:
    begun = process_time()
    answer, _ = engine.execute(message, NOW_MS)
    return (process_time() - begun) * 1e6, answer


def one_pass(size: Size, seed: int) -> dict[str, float]:
    """Microseconds, of each kind at each level: a refused bet and the greatest stake, median and greatest."""
    found: dict[str, float] = {}
    for level, reason in LEVELS.items():
        rng = random.Random(seed)
        engine = prepared(size, rng, level)
        for name, kind in KINDS.items():
            legs = asked(engine, kind, level)
            gc.collect()
            gc.disable()
            times = [_asked(engine, f"{level}-{name}-{number}", kind, legs, reason) for number in range(size.asked)]
            gc.enable()
            for what, each in zip(("refused", "greatest stake"), zip(*times, strict=True), strict=True):
                found[f"{name}, {level}: {what}"] = median(each)
                found[f"{name}, {level}: {what}, at the most"] = max(each)
        invariants.check(engine.book)
    return found


def _asked(engine: Engine, name: str, kind: Kind, legs: tuple[Leg, ...], reason: str) -> tuple[float, float]:
    """A bet that is refused, and the question for the greatest stake, which is the one that the refusal named."""
    if name.endswith("3"):
        _bet_more(engine, f"more-{name}", legs[0])
    bet = PlaceBet(name, NOW_MS + 60_000, "ann", 10**7, legs, **kind.fields)
    refused_us, refused = _timed(engine, bet)
    assert isinstance(refused, Rejected), refused
    assert refused.reason == reason, refused
    greatest_us, greatest = _timed(engine, qu.GetMaxStake("ann", legs, **kind.fields))
    assert isinstance(greatest, MaxStake), greatest
    assert greatest.stake_m == refused.stake_m, (refused, greatest)
    return refused_us, greatest_us


def _bet_more(engine: Engine, name: str, leg: Leg) -> None:
    """A small bet by somebody else, so that the fixture's scores are looked at anew."""
    selection = engine.book.fixtures[leg.fixture].markets["both_teams_to_score"].selections["no"]
    bet = PlaceBet(name, NOW_MS + 60_000, "bob", 10, (Leg(leg.fixture, "both_teams_to_score", "no", selection.price),))
    engine.execute(bet, NOW_MS)


def main() -> None:
    options = common.arguments(__doc__)
    size = SMALL if options.small else FULL
    passes = [one_pass(size, options.seed + number) for number in range(options.passes)]
    result: dict[str, object] = {"question": "refusals", "seed": options.seed}
    result["header"] = common.header("msgspec", "numpy")
    for name in passes[0]:
        result[name] = common.spread([figures[name] for figures in passes])
    common.finish(result, as_json=options.json)


if __name__ == "__main__":
    main()
