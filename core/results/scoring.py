"""Settlement by score: who knows only how it ended tells the score, and the graders make the results (RULEBOOK 5).

A fixture can have hundreds of markets, so they are graded in slices, as bets are settled. A market that the score does
not decide, or that no grader knows, is left as it is. A score told again is graded again, corrected or not: what
differs is a corrected result, and what was rolled back since has results again.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from core.book import DESK, Book, Fixture, Market, Scored
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
from core.results import standing
from core.results.standing import Origin, Said

MARKETS_PER_SLICE = 50
"""Grading a market takes 5 to 50 us."""
SCORES_MAX = 10
"""Scores by which a fixture is being graded at the same time; a feed tells one or two. Past it the lowest is let go."""


def event(fixture: Fixture, score: Score, origin: Origin, reason: str, said: Said) -> ev.FixtureScored | Refusal:
    """A score, unless it is being graded already, and nothing was said of the fixture's markets since."""
    for known in fixture.scores:
        same = (known.score, known.source, known.certainty) == (score, origin.source, said.certainty)
        if same and (origin.source == DESK or known.told_ms >= said.told_ms) and known.number >= _latest(fixture):
            return Refusal(Rejection.NOTHING_TO_CHANGE)
    return ev.FixtureScored(*origin, fixture.id, score, reason, said.told_ms, said.certainty)


def _latest(fixture: Fixture) -> int:
    """The number of the last word on a fixture's results."""
    said = (max(market.words.results[2], market.words.rolled_back[1]) for market in fixture.markets.values())
    return max(*said, *(score.number for score in fixture.scores))


def decide_settle(book: Book, _: Limits, command: co.SettleFixture, digest: int, now_ms: int) -> ev.Event | Refusal:
    """A score by the desk: it decides whose-ever markets."""
    fixture = book.fixtures.get(command.fixture)
    if fixture is None:
        return Refusal(Rejection.FIXTURE_UNKNOWN)
    known = max((standing.last(market) for market in fixture.markets.values()), default=0)
    said = Said(max(now_ms, known, *(score.told_ms for score in fixture.scores)))
    return event(fixture, command.score, standing.by_desk(command, digest, now_ms), command.reason, said)


def apply_scored(book: Book, scored: ev.FixtureScored) -> None:
    """The markets follow, by the highest score first: what it does not decide is left to the others."""
    fixture = book.fixtures[scored.fixture]
    fixture.score, fixture.score_source = scored.score, scored.source
    if not scored.told_ms:
        fixture.scores.clear()
    said = scored.told_ms, scored.certainty, book.event_no
    markets = len(fixture.markets)
    fixture.scores.append(Scored(scored.score, scored.source, scored.author, *said, markets=markets))
    fixture.scores.sort(key=lambda each: each.rank, reverse=True)
    del fixture.scores[SCORES_MAX:]
    book.scoring[fixture.id] = fixture


def advance(book: Book, now_ms: int) -> Iterator[ev.Event]:
    """The next slice of markets of the fixture that was scored first; each event applied before the next.

    What has been said of a market since then stands above the score, whenever its turn comes (standing.py).
    """
    for fixture in islice(book.scoring.values(), 1):
        score = fixture.scores[0]
        origin = Origin(now_ms, "", 0, score.source, score.author, 0)
        said = Said(score.told_ms, score.certainty, score.number)
        end = min(score.graded + MARKETS_PER_SLICE, _concerned(fixture, score))
        markets = list(islice(fixture.markets.values(), score.graded, end))
        for market in markets:
            if market.parts or score.source not in (DESK, market.source) or not standing.heard(book, market, said):
                continue
            results = _results(market, score.score)
            settled = standing.results_event(book, market, results, origin, "", said) if results else None
            if settled is not None and not isinstance(settled, Refusal):
                yield settled
        yield ev.ScoringAdvanced(now_ms, fixture.id, len(markets))


def _concerned(fixture: Fixture, score: Scored) -> int:
    """How many of its markets, the first ones, a score is to grade; none is forgotten meanwhile."""
    return len(fixture.markets) if score.markets < 0 else score.markets


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
    """The slice is done; a fixture that has more markets, or scores, waits behind the others."""
    fixture = book.scoring.pop(done.fixture)
    score = fixture.scores[0]
    score.graded += done.markets
    if score.graded >= _concerned(fixture, score):
        del fixture.scores[0]
    if fixture.scores:
        book.scoring[fixture.id] = fixture
