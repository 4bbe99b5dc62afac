"""What does each kind of bet cost in the core: to place, to refuse at a limit, to quote, to settle?

    prepared commands (memory) -> Engine.execute / tick -> answers and events (counted, then dropped)

Seeded: football fixtures whose markets hang on the score (core/risk/grid.py), races with each-way terms. Bets of each
kind are placed, all accepted; then the fixtures' limit is set where they stand, and singles come up against it: each of
them is tried exactly, over all scores, and a refused one is told the stake that would be accepted. Then everything is
settled. In each pass the answers are counted, the ledger is summed and the invariants are checked before a speed is
printed. Times are of the processor. Not in the number: decoding and encoding of messages, journal, network.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

from bench import common
from bench.core import LIMITS as WIDE_LIMITS
from bench.core import NOW_MS, Feed, executed, open_customer, timed
from core import invariants, ledger
from core.engine import Engine
from core.grading.scores import FootballScore
from core.messages import commands as co
from core.messages import feed as fe
from core.messages import queries as qu
from core.messages.answers import Accepted, CashOutQuote, MaxStake
from core.messages.commands import Leg, PlaceBet
from core.messages.events import BetStatus
from core.messages.results import EachWay, Result

LIMITS = msgspec.structs.replace(WIDE_LIMITS, payout_max_m=10**15, liability_book_max_m=10**15)
RUNNERS = 12
SCORE_MARKETS: tuple[tuple[str, dict[str, str], tuple[str, ...]], ...] = (
    ("match_result", {}, ("1", "x", "2")),
    ("both_teams_to_score", {}, ("yes", "no")),
    ("odd_even", {}, ("odd", "even")),
    *(("total_goals", {"line": f"{goals}.5"}, ("over", "under")) for goals in range(6)),
)


class Kind(NamedTuple):
    """Bets of one kind: how many legs, and what makes them that kind."""

    legs: int
    fields: Mapping[str, Any] = MappingProxyType({})
    races: bool = False


KINDS: dict[str, Kind] = {
    "single": Kind(1),
    "fourfold": Kind(4),
    "trixie": Kind(3, {"kind": "trixie"}),
    "lucky15": Kind(4, {"kind": "lucky15"}),
    "goliath": Kind(8, {"kind": "goliath"}),
    "lines_15504": Kind(20, {"folds": (5,)}),
    "each_way_single": Kind(1, {"each_way": True}, races=True),
    "each_way_lucky15": Kind(4, {"kind": "lucky15", "each_way": True}, races=True),
}


class Size(NamedTuple):
    """How much of everything a pass has."""

    customers: int
    fixtures: int
    bets: int
    """Of each kind; of the largest a fiftieth."""


FULL = Size(customers=500, fixtures=60, bets=5_000)
SMALL = Size(customers=20, fixtures=24, bets=100)


def prepared(size: Size, rng: random.Random) -> tuple[Engine, Feed]:
    """An engine with customers who have money, football fixtures and races."""
    engine = Engine(LIMITS)
    engine.start("bench", "0", NOW_MS)
    for number in range(size.customers):
        open_customer(engine, f"customer-{number}")
    feed = Feed(engine)
    feed.send(fe.RecoveryBegin)
    start = {"competition": "cup", "start_ms": NOW_MS + 3_600_000}
    for number in range(size.fixtures):
        name = f"match-{number}"
        feed.send(fe.FixtureChange, fixture=name, name=name, sport="football", **start)
        for market_type, specifiers, selections in SCORE_MARKETS:
            market = "-".join((market_type, *specifiers.values()))
            image(feed, rng, name, market, market_type, selections, specifiers=specifiers)
        name = f"race-{number}"
        feed.send(fe.FixtureChange, fixture=name, name=name, sport="racing", **start)
        runners = [f"runner-{index}" for index in range(RUNNERS)]
        image(feed, rng, name, "win", "win", runners, each_way=EachWay())
    feed.send(fe.RecoveryEnd)
    return engine, feed


def image(
    feed: Feed, rng: random.Random, fixture: str, market: str, market_type: str, names: Sequence[str], **fields: Any
) -> None:
    """A market with prices as they come."""
    priced = tuple(fe.PricedSelection(name, name, rng.randrange(12_000, 60_000)) for name in names)
    head = {"market_type": market_type, "name": market, "status": fe.FeedStatus.ACTIVE}
    feed.send(fe.MarketImage, fixture=fixture, market=market, selections=priced, **head, **fields)


def bets(engine: Engine, size: Size, rng: random.Random, name: str, kind: Kind, count: int) -> Iterator[PlaceBet]:
    """Bets of one kind at the live price."""
    prefix = "race" if kind.races else "match"
    fixtures = [fixture for fixture in engine.book.fixtures.values() if fixture.id.startswith(prefix)]
    for number in range(count):
        legs = []
        for fixture in rng.sample(fixtures, kind.legs):
            market = rng.choice(list(fixture.markets.values()))
            selection = rng.choice(list(market.selections.values()))
            legs.append(Leg(fixture.id, market.id, selection.id, selection.price))
        customer = f"customer-{rng.randrange(size.customers)}"
        yield PlaceBet(f"{name}-{number:08}", NOW_MS + 60_000, customer, 20_000, tuple(legs), **kind.fields)


def one_pass(size: Size, seed: int) -> dict[str, float]:
    """Every cost once, on an engine of its own."""
    rng = random.Random(seed)
    engine, feed = prepared(size, rng)
    figures = {}
    for name, kind in KINDS.items():
        count = max(2, size.bets // 50) if kind.legs == 20 else size.bets
        figures[f"{name}_us"] = executed(engine, list(bets(engine, size, rng, name, kind, count)), Accepted)
    singles = list(bets(engine, size, rng, "asked", KINDS["single"], size.bets))
    figures["max_stake_us"] = executed(engine, [qu.GetMaxStake(bet.customer, bet.legs) for bet in singles], MaxStake)
    sold = [qu.GetCashOut(bet.customer.id, bet.id) for bet in engine.book.bets.values() if bet.id.startswith("single")]
    figures["cash_out_quote_us"] = executed(engine, sold, CashOutQuote)
    figures["at_fixture_limit_us"] = _refused(engine, singles)
    _check(engine)
    figures["settlement_us_per_bet_of_any_kind"] = _settled(engine, feed, rng)
    _check(engine)
    return figures


def _refused(engine: Engine, singles: Sequence[PlaceBet]) -> float:
    """Singles on matches that stand at their limit, where the bound is of no use: microseconds a bet."""
    engine.tick(NOW_MS)
    for fixture in list(engine.book.fixtures.values()):
        engine.tick(NOW_MS)
        command = co.SetLimit(
            f"limit-{fixture.id}", NOW_MS, "bench", fixture=fixture.id, liability_max_m=max(1, fixture.liability_m)
        )
        engine.execute(command, NOW_MS)
    refused: list[Any] = []

    def work() -> int:
        for bet in singles:
            answer, _ = engine.execute(bet, NOW_MS)
            if type(answer) is not Accepted:
                refused.append(answer)
        return len(singles)

    each_us = timed(work)
    assert refused
    assert {answer.reason for answer in refused} == {"LIABILITY_FIXTURE"}
    return each_us


def _settled(engine: Engine, feed: Feed, rng: random.Random) -> float:
    """Scores and finishes of all fixtures, and ticks until nothing is left; for each bet that is settled."""
    count = engine.book.open_bets
    for number in range(sum(name.startswith("match") for name in engine.book.fixtures)):
        feed.send(fe.FixtureScore, fixture=f"match-{number}", score=FootballScore((rng.randrange(4), rng.randrange(3))))
        order = rng.sample(range(RUNNERS), RUNNERS)
        results = tuple(
            Result(f"runner-{index}", 1 if place == 1 else 0, position=place) for place, index in enumerate(order, 1)
        )
        feed.send(fe.Settlement, fixture=f"race-{number}", markets=(fe.MarketResults("win", results),))
    each_us = timed(_until_nothing(engine, count))
    assert engine.book.open_bets == 0
    assert all(bet.status != BetStatus.OPEN for bet in engine.book.bets.values())
    return each_us


def _until_nothing(engine: Engine, count: int) -> Callable[[], int]:
    def work() -> int:
        while engine.tick(NOW_MS):
            pass
        return count

    return work


def _check(engine: Engine) -> None:
    invariants.check(engine.book)
    assert ledger.sums(engine.book) == {"EUR": 0}


def main() -> None:
    options = common.arguments(__doc__)
    size = SMALL if options.small else FULL
    passes = [one_pass(size, options.seed + number) for number in range(options.passes)]
    result: dict[str, object] = {"question": "kinds", "seed": options.seed, "header": common.header("msgspec", "numpy")}
    for name in passes[0]:
        result[name] = common.spread([figures[name] for figures in passes])
    common.finish(result, as_json=options.json)


if __name__ == "__main__":
    main()
