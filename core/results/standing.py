"""Which word on a market stands, by when it was said, not by when it came.

DESIGN 6: an older time stamp never overwrites a newer one; RULEBOOK 5: the order of arrival must not matter. So a word
on a market's results has a rank: first its certainty (UOF: 1 provisional, 2 confirmed, the supervisor's word, above
which no provisional one stands), then when its source said it, then its event's number, for words of one time. The
highest one stands; so does, of a selection's withdrawals and starting prices, the newest. A rollback takes back what
was said until then and nothing that is newer, whichever came first.

The desk's word is confirmed, and said when it comes: never before what is known already. Where a word changes nothing
now, but would if another were taken back, a WordKept keeps it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from core.book import DESK, Book, Market, Selection, Told
from core.messages import commands as co
from core.messages import events as ev
from core.messages.rejections import Rejection
from core.messages.results import Result
from core.refusals import Refusal

CANCELS_MAX = 100
"""Windows a market may have: each is looked at for each of its bets; real markets have one or two."""
CONFIRMED = 2
PROVISIONAL = 1
_RESULTS, _CANCEL, _WITHDRAWALS = "results", "cancel", "withdrawals"


class Origin(NamedTuple):
    """Who says it: the first fields of the three market events."""

    now_ms: int
    id: str
    digest: int
    source: str
    author: str
    sequence: int


class Said(NamedTuple):
    """When its source said it, and how sure it is."""

    told_ms: int
    certainty: int = CONFIRMED
    number: int = 0
    """Of the score that it follows from, as an event; 0: it speaks for itself."""

    def told(self, book: Book) -> Told:
        """Its place among the words of a market; one that speaks for itself becomes the next event."""
        return self.told_ms, self.number or book.event_no + 1


def by_desk(command: co.DeskCommand, digest: int, now_ms: int) -> Origin:
    """The desk says it."""
    return Origin(now_ms, command.id, digest, DESK, command.author, 0)


def now(market: Market, now_ms: int) -> Said:
    """When the desk says it: after all that is known, a score that is still being graded too."""
    words, selections = market.words, market.selections.values()
    known = words.kept, words.cancels_rolled_back, words.withdrawals_rolled_back, *_cancelled(market).values()
    of_runners = (told for each in selections for told in (withdrawn(each), started(each)))
    scores = (score.told_ms for score in market.fixture.scores)
    return Said(max(now_ms, last(market), *(told_ms for told_ms, _ in (*known, *of_runners)), *scores))


def withdrawn(selection: Selection) -> Told:
    """When the withdrawal that stands was last said; zeros: none does."""
    return max(selection.withdrawn_told, selection.withdrawn_again)


def started(selection: Selection) -> Told:
    """When the starting price that stands was last said."""
    return max(selection.starting_told, selection.starting_again)


def last(market: Market) -> int:
    """When the last word on its results was said."""
    words = market.words
    return max(words.results[1], words.rolled_back[0], market.retold[1])


def rank(market: Market) -> tuple[int, int, int]:
    """Of the results that stand: (certainty, when, number); those of a journal that knew no ranks are confirmed."""
    found = max(market.words.results, market.retold)
    return found if found[0] or not market.settled else (CONFIRMED, 0, 0)


def heard(book: Book, market: Market, said: Said) -> bool:
    """Whether results said then can still matter."""
    told = said.told(book)
    if told <= market.words.rolled_back:
        return False
    certainty, *stands = rank(market)
    return (said.certainty, *told) >= (certainty, *stands) or (said.certainty < certainty and told > tuple(stands))


def results_event(
    book: Book, market: Market, results: tuple[Result, ...], origin: Origin, reason: str, said: Said
) -> ev.MarketSettled | ev.WordKept | Refusal:
    """Results of a market, if they are complete and new.

    A feed that recovers says again what is confirmed: no event, but live knowledge of how new it is.
    """
    amiss = _incomplete(market, results)
    if amiss:
        return amiss
    if not heard(book, market, said):
        return Refusal(Rejection.NOTHING_TO_CHANGE, detail="older than what is known")
    told, stands = said.told(book), rank(market)
    place = market.fixture.id, market.id
    same = said.certainty == stands[0] and all(market.selections[each.selection].result == each for each in results)
    if (said.certainty, *told) < stands or (same and said.certainty == PROVISIONAL):
        if said.told_ms <= max(market.words.kept[0], stands[1] if same else 0):
            return Refusal(Rejection.NOTHING_TO_CHANGE)
        head = origin.now_ms, origin.source, origin.sequence, *place
        return ev.WordKept(*head, _RESULTS, said.told_ms, results, said.number)
    if same:
        market.retold = (said.certainty, *told)
        return Refusal(Rejection.NOTHING_TO_CHANGE)
    return ev.MarketSettled(*origin, *place, results, reason, *said)


def _incomplete(market: Market, results: tuple[Result, ...]) -> Refusal | None:
    given = {result.selection: result for result in results}
    amiss = given.keys() ^ market.selections.keys()
    if amiss or len(given) != len(results):
        return Refusal(Rejection.RESULTS_INCOMPLETE, detail=min(amiss, default="a selection is named twice"))
    if market.each_way is not None or market.places_taken:
        for result in results:
            if result.result and not result.position:
                return Refusal(Rejection.RESULTS_INCOMPLETE, detail=f"{result.selection} has no position")
    return None


def cancel_event(
    book: Book, market: Market, from_ms: int, to_ms: int, origin: Origin, reason: str, said: Said
) -> ev.MarketCancelled | Refusal:
    """A cancel of a market's bets, if it is new."""
    told, window = said.told(book), (from_ms, to_ms)
    if told <= market.words.cancels_rolled_back:
        return Refusal(Rejection.NOTHING_TO_CHANGE, detail="older than what is known")
    if window in market.cancels:
        market.recancelled = {**(market.recancelled or {}), window: max(told, _cancelled(market)[window])}
        return Refusal(Rejection.NOTHING_TO_CHANGE)
    if len(market.cancels) >= CANCELS_MAX:
        return Refusal(Rejection.TOO_MANY, limit=CANCELS_MAX, detail="cancels")
    return ev.MarketCancelled(*origin, market.fixture.id, market.id, from_ms, to_ms, reason, said.told_ms)


def _cancelled(market: Market) -> dict[tuple[int, int], Told]:
    """When each window was said; those of a journal that did not tell, before all others."""
    told = market.words.cancels
    untold = ((0, 0),) * (len(market.cancels) - len(told))
    return {**dict(zip(market.cancels, (*untold, *told), strict=True)), **(market.recancelled or {})}


def rollback_events(
    book: Book, market: Market, what: str, origin: Origin, reason: str, said: Said
) -> Iterator[
    ev.MarketRolledBack | ev.MarketSettled | ev.MarketCancelled | ev.SelectionWithdrawn | ev.WordKept | Refusal
]:
    """A rollback, if there is something to take back or to bar, and what of a feed's words stands again after it."""
    told = said.told(book)
    again: Sequence[ev.MarketSettled | ev.MarketCancelled | ev.SelectionWithdrawn]
    if what == _RESULTS:
        barred, again = market.words.rolled_back, _settled_again(market, told, origin)
        found = market.settled and told >= rank(market)[1:]
    elif what == _CANCEL:
        barred, again = market.words.cancels_rolled_back, _cancelled_again(market, told, origin)
        found = len(again) < len(market.cancels)
    else:
        barred, again = market.words.withdrawals_rolled_back, _withdrawn_again(market, told, origin)
        found = len(again) < sum(bool(selection.withdrawn_ms) for selection in market.selections.values())
    place = market.fixture.id, market.id
    if found or (what == _RESULTS and origin.source == DESK and market.fixture.scores):
        yield ev.MarketRolledBack(*origin, *place, what, reason, said.told_ms)
        yield from again
    elif origin.source != DESK and told > barred and said.told_ms > barred[0]:
        yield ev.WordKept(origin.now_ms, origin.source, origin.sequence, *place, f"no {what}", said.told_ms)
    else:
        yield Refusal(Rejection.NOTHING_TO_CHANGE)


def _settled_again(market: Market, told: Told, origin: Origin) -> list[ev.MarketSettled]:
    """The provisional results that a confirmed one stood above, if they are newer than the rollback."""
    kept, results = market.words.kept, market.words.kept_results
    if kept <= told or _incomplete(market, results):
        return []
    place = market.fixture.id, market.id
    again = origin._replace(id="", digest=0)
    return [ev.MarketSettled(*again, *place, results, "", kept[0], PROVISIONAL, kept[1])]


def _cancelled_again(market: Market, told: Told, origin: Origin) -> list[ev.MarketCancelled]:
    """The cancels that are newer than the rollback."""
    place = market.fixture.id, market.id
    again = origin._replace(id="", digest=0)
    return [
        ev.MarketCancelled(*again, *place, *window, "", when[0])
        for window, when in _cancelled(market).items()
        if when > told
    ]


def _withdrawn_again(market: Market, told: Told, origin: Origin) -> list[ev.SelectionWithdrawn]:
    """The withdrawals that are newer than the rollback."""
    place = market.fixture.id, market.id
    again = origin._replace(id="", digest=0)
    return [
        ev.SelectionWithdrawn(
            *again,
            *place,
            each.id,
            each.withdrawn_price,
            each.withdrawn_ms,
            each.deduction_pc,
            each.reduction_bp,
            withdrawn(each)[0],
        )
        for each in market.selections.values()
        if each.withdrawn_ms and withdrawn(each) > told
    ]


def apply_settled(book: Book, market: Market, event: ev.MarketSettled) -> None:
    """These results stand; provisional ones that are newer are kept, where these are confirmed."""
    told = event.told_ms, event.number or book.event_no
    words = market.words
    kept, kept_results = words.kept, words.kept_results
    certainty, *stood = words.results
    if certainty == PROVISIONAL:
        results = (selection.result for selection in market.selections.values())
        kept, kept_results = (stood[0], stood[1]), tuple(result for result in results if result is not None)
    if event.certainty < CONFIRMED or kept <= told:
        kept, kept_results = (0, 0), ()
    market.words = replace(words, results=(event.certainty, *told), kept=kept, kept_results=kept_results)
    market.retold = (0, 0, 0)


def apply_cancelled(book: Book, market: Market, event: ev.MarketCancelled) -> None:
    """The window, and when it was said."""
    untold = ((0, 0),) * (len(market.cancels) - len(market.words.cancels))
    market.cancels = (*market.cancels, (event.from_ms, event.to_ms))
    told = event.told_ms, book.event_no
    market.words = replace(market.words, cancels=(*untold, *market.words.cancels, told))


def apply_rolled_back(book: Book, market: Market, event: ev.MarketRolledBack) -> None:
    """As if the results, the cancels or the withdrawals had never been, and nothing older may come."""
    told = event.told_ms, book.event_no
    if event.what == _RESULTS:
        market.retold = (0, 0, 0)
        market.words = replace(market.words, results=(0, 0, 0), kept=(0, 0), kept_results=(), rolled_back=told)
    elif event.what == _CANCEL:
        market.cancels, market.recancelled = (), None
        market.words = replace(market.words, cancels=(), cancels_rolled_back=told)
    else:
        for selection in market.selections.values():
            selection.withdrawn_ms = selection.deduction_pc = selection.reduction_bp = selection.withdrawn_price = 0
            selection.withdrawn_told = selection.withdrawn_again = (0, 0)
        market.words = replace(market.words, withdrawals_rolled_back=told)


def apply_kept(book: Book, event: ev.WordKept) -> None:
    """For when it matters."""
    market = book.fixtures[event.fixture].markets[event.market]
    told = event.told_ms, event.number or book.event_no
    if event.what == f"no {_RESULTS}":
        market.words = replace(market.words, rolled_back=told)
    elif event.what == f"no {_CANCEL}":
        market.words = replace(market.words, cancels_rolled_back=told)
    elif event.what == f"no {_WITHDRAWALS}":
        market.words = replace(market.words, withdrawals_rolled_back=told)
    elif market.words.results[0] == PROVISIONAL:
        market.words = replace(market.words, results=(PROVISIONAL, *told))
    else:
        market.words = replace(market.words, kept=told, kept_results=event.results)
