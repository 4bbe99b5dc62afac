"""What is to be said after each of Betfair's messages, and the image of all of it for a recovery.

An event is a fixture, "betfair:<eventId>"; a market keeps its id with the prefix, and its group is that id again, so
that a Suspend can name exactly one. A selection's price is the best available to back; where the market never had a
book, the last traded price; none for removed runners and from a crossed book.

Only what differs from what was last said is said; but in play, prices that a change has confirmed are said again after
a while, for an in-play price that nobody confirms grows stale (limits.price_age_in_play_max_ms). Prices of a market
that is not active are not said. While Betfair says 503 (late data) no market is active; a conflated change is late but
true, and is priced. There are no cut-off times: races start late, and Betfair suspends at the off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Literal

from msgspec import Struct, field
from msgspec.structs import replace

from core.messages.commands import NamedPrice
from core.messages.feed import (
    Cancel,
    FeedMessage,
    FeedStatus,
    FixtureChange,
    MarketImage,
    MarketPrices,
    MarketResults,
    OddsChange,
    PricedSelection,
    Rollback,
    SelectionPrice,
    Settlement,
    StartingPrices,
    Suspend,
    Withdrawal,
)
from feeds.betfair import words
from feeds.betfair.market import Market, Offers, Runner, price_of, stake_of
from feeds.makers import Depth, Levels

if TYPE_CHECKING:
    from feeds.betfair.stream import MarketDefinition, Message
    from feeds.betfair.words import Head, Verdict

PROVIDER = "betfair"
_LATE = 503
_MILLIS_MAX = 10**14


class _Fixture(Struct, eq=False):
    """An event, as last said. It starts when the first of its markets does."""

    id: str
    definition: tuple[str, str, str, int] = ("", "", "", 0)
    """Name, sport, competition, start in Betfair's time."""
    starts: dict[str, int] = field(default_factory=dict)
    """By market."""


class _Told(Struct, eq=False):
    """A market, and what was last said of it."""

    id: str
    market: Market
    fixture: _Fixture | None = None
    head: Head | None = None
    defined: MarketDefinition | None = None
    """From which the head was made."""
    status: FeedStatus = FeedStatus.SUSPENDED
    in_play: bool = False
    prices: tuple[SelectionPrice, ...] = ()
    ts_ms: int = 0
    verdict: Verdict = None
    undone: Literal["", "results", "cancel"] = ""
    """What was rolled back last."""
    starting_prices: dict[str, int] = field(default_factory=dict)
    """By selection."""
    withdrawn: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Of an exchange market, by selection: reduction factor, and when, our time."""
    reinstated: bool = False
    """Withdrawals were taken back."""
    runners: tuple[tuple[str, Runner], ...] = ()
    """The books of the head's selections."""
    selections: dict[str, None] = field(default_factory=dict)
    """All that were ever told: a later definition may lack one, results must not."""


class Normaliser:
    """Betfair's messages in, ours out; provider, producer and sequence are the session's to fill.

    `prefix` makes ids ours: a recording that is played a second time needs another, since its first run is settled.
    `to_local_ms` maps Betfair's time to ours, for the start of fixtures; a replay shifts them. With `exchange`, markets
    are told with exchange terms, and who is withdrawn with his reduction factor.
    """

    def __init__(
        self,
        markets_max: int,
        prefix: str = f"{PROVIDER}:",
        to_local_ms: Callable[[int], int] = lambda ts_ms: ts_ms,
        refresh_ms: int = 20_000,
        *,
        exchange: bool = False,
    ) -> None:
        self.ts_ms = 0
        """Betfair's time, of the last message."""
        self.crossed = 0
        """Times that a book was crossed at the end of a message."""
        self.ignored = 0
        """Changes of markets for which there was no room."""
        self.exchanges: dict[str, tuple[str, str, str]] = {}
        """Betfair's id -> fixture, market and ladder, of those told with exchange terms."""
        self._exchange = exchange
        self._markets_max = markets_max
        self._refresh_ms = refresh_ms
        self._prefix = prefix
        self._to_local_ms = to_local_ms
        self._late = False
        self._markets: dict[str, _Told] = {}
        self._fixtures: dict[str, _Fixture] = {}
        self._touched: dict[str, _Told] = {}

    @property
    def markets(self) -> dict[str, Market]:
        """The state behind what is said, by Betfair's id."""
        return {key: told.market for key, told in self._markets.items()}

    @property
    def start_ms(self) -> int | None:
        """When the first event starts, Betfair's time."""
        return min((fixture.definition[3] for fixture in self._fixtures.values()), default=None)

    @property
    def count(self) -> int:
        """Markets that were told."""
        return sum(told.head is not None for told in self._markets.values())

    @property
    def settled(self) -> int:
        """Those with results or a cancel."""
        return sum(told.verdict is not None for told in self._markets.values())

    def read(self, message: Message) -> list[FeedMessage]:
        """Apply a message; returns what there is to say, once it is whole."""
        if message.op != "mcm":
            return []
        self.ts_ms = max(self.ts_ms, message.pt)
        for change in message.mc or ():
            told = self._markets.get(change.id) or self._new(change.id)
            if told is None:
                self.ignored += 1
            else:
                told.market.apply(change)
                self._touched[change.id] = told
        if not message.whole:
            return []
        late = message.status == _LATE
        touched = self._touched if late == self._late else self._markets
        turned, self._late = late != self._late, late
        said = [ours for told in touched.values() for ours in self._say(told, turned=turned)]
        self._touched.clear()
        return said

    def stop(self) -> list[FeedMessage]:
        """The stream is over or broken off: nothing is offered from it any more."""
        self._late = True
        return [ours for told in self._markets.values() for ours in self._say(told, turned=True)]

    def image(self) -> Iterator[FeedMessage]:
        """All that was said and still stands."""
        for fixture in self._fixtures.values():
            yield self._fixture_change(fixture)
        for told in self._markets.values():
            if told.head is not None:
                yield self._image(told, told.head)
                yield from self._say_starting_prices(told, told.starting_prices)
                yield from self._say_withdrawals(told)
                yield from self._say_undone(told)
                yield from self._say_verdict(told)

    def depth(self, market_id: str, levels: int) -> Depth | None:
        """What is on offer in an exchange market, as orders would have it: the best few levels of each selection.

        A selection whose book is crossed, which cannot be, is left out: nothing is known of it. None: it is over.
        """
        told = self._markets.get(market_id)
        if told is None or told.status is FeedStatus.CLOSED:
            return None
        found = {}
        for selection, runner in told.runners:
            back, lay = runner.offers(levels) if runner.offered else ([], [])
            if not (back and lay and back[0][0] >= lay[0][0]):
                found[selection] = Levels(_levels(lay), _levels(back))
        return found

    def _new(self, market_id: str) -> _Told | None:
        """Room for one more market; the oldest closed one makes room, if need be."""
        if len(self._markets) >= self._markets_max:
            closed = next((key for key, told in self._markets.items() if told.status is FeedStatus.CLOSED), None)
            if closed is None:
                return None
            self._forget(closed)
        told = self._markets[market_id] = _Told(self._prefix + market_id, Market(market_id))
        return told

    def _forget(self, market_id: str) -> None:
        told = self._markets.pop(market_id)
        self._touched.pop(market_id, None)
        self.exchanges.pop(market_id, None)
        if told.fixture is not None:
            del told.fixture.starts[told.id]
            if not told.fixture.starts:
                del self._fixtures[told.fixture.id]

    def _say(self, told: _Told, *, turned: bool) -> Iterator[FeedMessage]:
        """What has changed of one market. `turned`: the stream has become late, or timely again."""
        market = told.market
        redefined, repriced = market.read()
        self.crossed += market.crossed
        due = told.in_play and self.ts_ms - told.ts_ms >= self._refresh_ms
        if not (redefined or turned or ((repriced or due) and told.status is FeedStatus.ACTIVE)):
            return
        definition = market.definition
        if definition is None:
            yield from self._say_offer(told, FeedStatus.SUSPENDED, in_play=told.in_play)
            return
        renamed = redefined and self._define(told, definition)
        if redefined and told.head is not None:
            yield from self._say_fixture(told, definition)
            if told.head.exchange is not None:
                self.exchanges[market.id] = _fixture_id(told), told.id, told.head.exchange.ladder
        status = words.status(definition)
        if self._late and status is FeedStatus.ACTIVE:
            status = FeedStatus.SUSPENDED
        yield from self._say_offer(told, status, in_play=definition.in_play, renamed=renamed, due=due)
        if redefined:
            found = told.starting_prices | words.starting_prices(definition, told.selections)
            if found != told.starting_prices:
                yield from self._say_starting_prices(told, found)
            if self._withdraw(told, definition):
                yield from self._say_withdrawals(told)
            yield from self._say_results(told, words.verdict(definition, told.selections))

    def _define(self, told: _Told, definition: MarketDefinition) -> bool:
        """Take in what images tell of a definition; True: it has changed. One without runners is none yet."""
        was, told.defined = told.defined, definition
        if was is not None and was.runners == definition.runners and words.headline(was) == words.headline(definition):
            return False
        head = words.head(definition)
        if not self._exchange:
            head = replace(head, exchange=None)
        if head == told.head or not head.selections:
            return False
        told.head = head
        runners = told.market.runners
        told.runners = tuple((key, runners[runner]) for key, _, runner in head.selections if runner in runners)
        told.selections.update((key, None) for key, _, _ in head.selections)
        return True

    def _say_fixture(self, told: _Told, definition: MarketDefinition) -> Iterator[FeedMessage]:
        fixture = told.fixture
        if fixture is None:
            key = self._prefix + definition.event_id
            fixture = told.fixture = self._fixtures.setdefault(key, _Fixture(key))
        if definition.market_time is not None:
            fixture.starts[told.id] = max(0, int(definition.market_time.timestamp() * 1000))
        start_ms = min(fixture.starts.setdefault(told.id, self.ts_ms), *fixture.starts.values())
        venue = words.text(definition.venue)
        name = words.text(definition.event_name, venue or f"Event {definition.event_id}")
        found = name, words.sport(definition), venue, start_ms
        if found != fixture.definition:
            fixture.definition = found
            yield self._fixture_change(fixture)

    def _say_offer(
        self, told: _Told, status: FeedStatus, *, in_play: bool, renamed: bool = False, due: bool = False
    ) -> Iterator[FeedMessage]:
        """Status and prices, in the shortest message that says what is new."""
        if told.head is None:
            return
        prices: tuple[SelectionPrice, ...] = ()
        if status is FeedStatus.ACTIVE:
            prices = tuple([SelectionPrice(selection, runner.price) for selection, runner in told.runners])
        was = told.status, told.in_play, told.prices
        told.status, told.in_play, told.prices = status, in_play, prices
        if renamed or due or was != (status, in_play, prices):
            told.ts_ms = self.ts_ms
        if renamed:
            yield self._image(told, told.head)
        elif was[:2] == (FeedStatus.ACTIVE, in_play) and status is FeedStatus.SUSPENDED:
            yield Suspend(PROVIDER, "", 0, self.ts_ms, _fixture_id(told), told.id)
        elif due or was != (status, in_play, prices):
            offer = MarketPrices(told.id, status, prices, in_play)
            yield OddsChange(PROVIDER, "", 0, self.ts_ms, _fixture_id(told), (offer,))

    def _say_starting_prices(self, told: _Told, prices: dict[str, int]) -> Iterator[FeedMessage]:
        told.starting_prices = prices
        if prices and told.head is not None:
            named = tuple(NamedPrice(selection, price) for selection, price in prices.items())
            yield StartingPrices(PROVIDER, "", 0, self.ts_ms, _fixture_id(told), told.id, named)

    def _withdraw(self, told: _Told, definition: MarketDefinition) -> bool:
        """Take in who is removed from an exchange market; True: that has changed."""
        if told.head is None or told.head.exchange is None:
            return False
        found = {}
        for selection, (factor_bp, removed) in words.reductions(definition, told.selections).items():
            at_ms = self.ts_ms if removed is None else int(removed.timestamp() * 1000)
            known = told.withdrawn.get(selection)
            # The first word on the time stands: told again with another one, it would be a correction.
            found[selection] = factor_bp, known[1] if known else min(max(1, self._to_local_ms(at_ms)), _MILLIS_MAX)
        if found == told.withdrawn:
            return False
        told.reinstated |= bool(told.withdrawn.keys() - found.keys())
        told.withdrawn = found
        return True

    def _say_withdrawals(self, told: _Told) -> Iterator[FeedMessage]:
        if told.reinstated:
            yield Rollback(PROVIDER, "", 0, self.ts_ms, _fixture_id(told), (told.id,), "withdrawals")
        for selection, (factor_bp, at_ms) in told.withdrawn.items():
            place = _fixture_id(told), told.id, selection
            yield Withdrawal(PROVIDER, "", 0, self.ts_ms, *place, 0, at_ms, factor_bp)

    def _say_results(self, told: _Told, verdict: Verdict) -> Iterator[FeedMessage]:
        """Results or a cancel. What was said and stands no more is taken back, but where results correct results."""
        was = told.verdict
        if told.head is None or verdict == was:
            return
        told.verdict = verdict
        if was == "cancel" or (was is not None and verdict is None):
            told.undone = "cancel" if was == "cancel" else "results"
            yield from self._say_undone(told)
        yield from self._say_verdict(told)

    def _say_verdict(self, told: _Told) -> Iterator[FeedMessage]:
        if told.verdict == "cancel":
            yield Cancel(PROVIDER, "", 0, self.ts_ms, _fixture_id(told), (told.id,))
        elif told.verdict is not None:
            results = MarketResults(told.id, told.verdict)
            yield Settlement(PROVIDER, "", 0, self.ts_ms, _fixture_id(told), (results,))

    def _say_undone(self, told: _Told) -> Iterator[FeedMessage]:
        if told.undone:
            yield Rollback(PROVIDER, "", 0, self.ts_ms, _fixture_id(told), (told.id,), told.undone)

    def _fixture_change(self, fixture: _Fixture) -> FixtureChange:
        name, sport, competition, start_ms = fixture.definition
        local_ms = min(max(0, self._to_local_ms(start_ms)), _MILLIS_MAX)
        return FixtureChange(PROVIDER, "", 0, self.ts_ms, fixture.id, name, sport, competition, local_ms)

    def _image(self, told: _Told, head: Head) -> MarketImage:
        prices = {price.selection: price.price for price in told.prices}
        selections = tuple(PricedSelection(key, name, prices.get(key, 0)) for key, name, _ in head.selections)
        fixture = _fixture_id(told)
        market_type, name, winners = head.market_type, head.name, head.winners
        return MarketImage(
            PROVIDER,
            "",
            0,
            self.ts_ms,
            fixture,
            told.id,
            market_type,
            name,
            told.status,
            selections,
            told.in_play,
            group=told.id,
            winners=winners,
            delay_ms=head.delay_ms,
            starting_price=head.starting_price,
            exchange=head.exchange,
        )


def _levels(offers: Offers) -> dict[int, int]:
    return {price: stake_m for number, size in offers if (price := price_of(number)) and (stake_m := stake_of(size))}


def _fixture_id(told: _Told) -> str:
    assert told.fixture is not None, "a market is not told before its fixture"
    return told.fixture.id
