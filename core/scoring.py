"""Settlement by score: who knows only how it ended tells the score, and the graders make the results (RULEBOOK 5).

A fixture can have hundreds of markets, so they are graded in slices, as bets are settled. A market that the score does
not decide, or that no grader knows, is left as it is. A score told again is graded again, corrected or not: what
differs is a corrected result, and what was rolled back since has results again.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from core import settling
from core.book import DESK, Book, Fixture, Market
from core.grading.markets import grade
from core.grading.scores import RaceScore, Score
from core.grading.verdicts import GradingError
from core.limits import Limits
from core.markets import places_most
from core.messages import commands as co
from core.messages import events as ev
from core.messages.rejections import Rejection
from core.messages.results import Result
from core.refusals import Refusal
from core.settling import Origin

MARKETS_PER_SLICE = 50
"""Grading a market takes 5 to 50 us."""


def event(book: Book, fixture: Fixture, score: Score, origin: Origin, reason: str) -> ev.FixtureScored | Refusal:
    """A score, unless it is being graded already."""
    if fixture.id in book.scoring and fixture.score == score and fixture.score_source == origin.source:
        return Refusal(Rejection.NOTHING_TO_CHANGE)
    return ev.FixtureScored(*origin, fixture.id, score, reason)


def decide_settle(book: Book, _: Limits, command: co.SettleFixture, digest: int, now_ms: int) -> ev.Event | Refusal:
    """A score by the desk: it decides whose-ever markets."""
    fixture = book.fixtures.get(command.fixture)
    if fixture is None:
        return Refusal(Rejection.FIXTURE_UNKNOWN)
    return event(book, fixture, command.score, settling.by_desk(command, digest, now_ms), command.reason)


def apply_scored(book: Book, scored: ev.FixtureScored) -> None:
    """The markets follow."""
    fixture = book.fixtures[scored.fixture]
    fixture.score, fixture.score_source, fixture.score_author = scored.score, scored.source, scored.author
    fixture.graded = 0
    book.scoring[fixture.id] = fixture


def advance(book: Book, now_ms: int) -> Iterator[ev.Event]:
    """The next slice of markets of the fixture that was scored first; each event applied before the next."""
    for fixture in islice(book.scoring.values(), 1):
        yield from _slice(fixture, now_ms)


def finish(book: Book, fixture_id: str, now_ms: int, source: str = "") -> Iterator[ev.Event]:
    """What a fixture's score has still to grade, unless `source` told it: before something else is said of its markets.

    Another producer's score would take its place, and a later slice would overwrite results that are newer.
    """
    while (fixture := book.scoring.get(fixture_id)) is not None and fixture.score_source != source:
        yield from _slice(fixture, now_ms)


def _slice(fixture: Fixture, now_ms: int) -> Iterator[ev.Event]:
    assert fixture.score is not None
    origin = Origin(now_ms, "", 0, fixture.score_source, fixture.score_author, 0)
    markets = list(islice(fixture.markets.values(), fixture.graded, fixture.graded + MARKETS_PER_SLICE))
    for market in markets:
        if market.parts or fixture.score_source not in (DESK, market.source):
            continue
        results = _results(market, fixture.score)
        settled = settling.results_event(market, results, origin, "") if results else None
        if isinstance(settled, ev.MarketSettled):
            yield settled
    yield ev.ScoringAdvanced(now_ms, fixture.id, len(markets))


def _results(market: Market, score: Score) -> tuple[Result, ...]:
    """What the score makes of a market; empty: it does not decide it, or nobody knows how.

    A race whose winner is known decides a market that is offered each-way, or has place parts of terms before, only
    once the places are known too.
    """
    try:
        selections = tuple(market.selections)
        places = market.places_taken
        if market.each_way is not None:
            places = max(places, places_most(market.each_way, len(selections)))
        if places and isinstance(score, RaceScore):
            grade("place", {"places": str(places)}, selections, score)
        return grade(market.market_type, market.specifiers, selections, score)
    except GradingError:
        return ()


def apply_advanced(book: Book, done: ev.ScoringAdvanced) -> None:
    """The slice is done; a fixture that has more markets waits behind the others."""
    fixture = book.scoring.pop(done.fixture)
    fixture.graded += done.markets
    if fixture.graded < len(fixture.markets):
        book.scoring[fixture.id] = fixture
