"""Settlement by score: who knows only how it ended tells the score, and the graders make the results (RULEBOOK 5).

A fixture can have hundreds of markets, so they are graded in slices, as bets are settled. A market that the score does
not decide, or that no grader knows, is left as it is. A corrected score is graded again: what differs is a corrected
result.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from core import settling
from core.book import DESK, Book, Fixture
from core.grading.markets import grade
from core.grading.scores import Score
from core.grading.verdicts import GradingError
from core.limits import Limits
from core.messages import commands as co
from core.messages import events as ev
from core.messages.rejections import Rejection
from core.refusals import Refusal
from core.settling import Origin

MARKETS_PER_SLICE = 50
"""Grading a market takes 5 to 50 us."""


def event(fixture: Fixture, score: Score, origin: Origin, reason: str) -> ev.FixtureScored | Refusal:
    """A score, if it is new while it is being graded."""
    if fixture.score == score and fixture.score_source == origin.source:
        return Refusal(Rejection.NOTHING_TO_CHANGE)
    return ev.FixtureScored(*origin, fixture.id, score, reason)


def decide_settle(book: Book, _: Limits, command: co.SettleFixture, digest: int, now_ms: int) -> ev.Event | Refusal:
    """A score by the desk: it decides whose-ever markets."""
    fixture = book.fixtures.get(command.fixture)
    if fixture is None:
        return Refusal(Rejection.FIXTURE_UNKNOWN)
    return event(fixture, command.score, settling.by_desk(command, digest, now_ms), command.reason)


def apply_scored(book: Book, scored: ev.FixtureScored) -> None:
    """The markets follow."""
    fixture = book.fixtures[scored.fixture]
    fixture.score, fixture.score_source, fixture.score_author = scored.score, scored.source, scored.author
    fixture.graded = 0
    book.scoring[fixture.id] = fixture


def advance(book: Book, now_ms: int) -> Iterator[ev.Event]:
    """The next slice of markets of the fixture that was scored first; each event applied before the next."""
    for fixture in islice(book.scoring.values(), 1):
        assert fixture.score is not None
        origin = Origin(now_ms, "", 0, fixture.score_source, fixture.score_author, 0)
        markets = list(islice(fixture.markets.values(), fixture.graded, fixture.graded + MARKETS_PER_SLICE))
        for market in markets:
            if market.parts or fixture.score_source not in (DESK, market.source):
                continue
            try:
                results = grade(market.market_type, market.specifiers, tuple(market.selections), fixture.score)
            except GradingError:
                continue
            settled = settling.results_event(market, results, origin, "")
            if not isinstance(settled, Refusal):
                yield settled
        yield ev.ScoringAdvanced(now_ms, fixture.id, len(markets))


def apply_advanced(book: Book, done: ev.ScoringAdvanced) -> None:
    """The slice is done; a fixture that has more markets waits behind the others."""
    fixture = book.scoring.pop(done.fixture)
    fixture.graded += done.markets
    if fixture.graded < len(fixture.markets):
        book.scoring[fixture.id] = fixture
