"""Fixtures and markets: their definitions, the desk's suspensions and prices, and when bets are taken."""

from __future__ import annotations

from heapq import heappop, heappush

from core import liability
from core.book import DESK, Book, Fixture, Market, Selection
from core.limits import Limits
from core.messages import commands as co
from core.messages import events as ev
from core.messages.feed import FeedStatus
from core.messages.rejections import Rejection
from core.refusals import Refusal
from core.units import PRICE_MIN


def obstacle(market: Market, limits: Limits, now_ms: int) -> Refusal | None:
    """Why no bet is taken on a market now, in the order of the ladder (RULEBOOK 3); None: bets are taken.

    A market priced by hand has no producer that could fall silent and no price that could grow old. Within the window
    of a cancel a market is closed: a bet would be void at once.
    """
    if (
        market.closed_ms
        or market.due
        or market.status is FeedStatus.CLOSED
        or (market.cancels and market.cancels_at(now_ms))
    ):
        return Refusal(Rejection.MARKET_CLOSED)
    by_hand = market.source == DESK
    if market.desk_suspended or (market.status is not FeedStatus.ACTIVE and not by_hand):
        return Refusal(Rejection.MARKET_SUSPENDED)
    if market.cut_off_ms and now_ms >= market.cut_off_ms:
        return Refusal(Rejection.CUT_OFF_PASSED, limit=market.cut_off_ms)
    if by_hand:
        return None
    producer = market.producer
    if (
        producer is None
        or not producer.up
        or producer.epoch != market.epoch
        or now_ms - producer.last_ms > limits.producer_silence_max_ms
    ):
        return Refusal(Rejection.PRODUCER_DOWN)
    age_max_ms = limits.price_age_in_play_max_ms if market.in_play else limits.price_age_max_ms
    if now_ms - market.price_ms > age_max_ms:
        return Refusal(Rejection.PRICE_STALE, limit=age_max_ms)
    return None


def offered_status(market: Market, limits: Limits, now_ms: int) -> str:
    """A market's status in the words of the odds stream."""
    if market.closed_ms:
        return "settled" if market.settled else "closed"
    found = obstacle(market, limits, now_ms)
    if found is None:
        return "open"
    return "closed" if found.reason in {Rejection.MARKET_CLOSED, Rejection.CUT_OFF_PASSED} else "suspended"


def find(book: Book, fixture_id: str, market_id: str) -> Market | Refusal:
    """A market by its ids."""
    fixture = book.fixtures.get(fixture_id)
    if fixture is None:
        return Refusal(Rejection.FIXTURE_UNKNOWN)
    return fixture.markets.get(market_id) or Refusal(Rejection.MARKET_UNKNOWN)


def fixture_bound(book: Book, limits: Limits, fixture_id: str) -> Refusal | None:
    """Whether there is room for a fixture."""
    if fixture_id not in book.fixtures and len(book.fixtures) >= limits.fixtures_max:
        return Refusal(Rejection.TOO_MANY, limit=limits.fixtures_max, detail="fixtures")
    return None


def market_bound(fixture: Fixture, limits: Limits, market_id: str, selections: set[str]) -> Refusal | None:
    """Whether there is room for a market with these selections, beside those it has."""
    market = fixture.markets.get(market_id)
    if market is None and len(fixture.markets) >= limits.markets_per_fixture_max:
        return Refusal(Rejection.TOO_MANY, limit=limits.markets_per_fixture_max, detail="markets")
    if market is not None:
        selections = selections | market.selections.keys()
    if len(selections) > limits.selections_per_market_max:
        return Refusal(Rejection.TOO_MANY, limit=limits.selections_per_market_max, detail="selections")
    return None


def decide_fixture(
    book: Book, limits: Limits, command: co.DefineFixture, digest: int, now_ms: int
) -> ev.Event | Refusal:
    """A fixture by hand; it is the desk's from then on, and feeds no longer change it."""
    full = fixture_bound(book, limits, command.fixture)
    return full or ev.FixtureDefined(
        now_ms,
        command.id,
        digest,
        DESK,
        command.author,
        command.fixture,
        command.name,
        command.sport,
        command.competition,
        command.start_ms,
    )


def apply_fixture(book: Book, event: ev.FixtureDefined) -> None:
    """A new fixture, or a known one with other data."""
    fixture = book.fixtures.get(event.fixture)
    if fixture is None:
        book.fixtures[event.fixture] = Fixture(
            event.fixture, event.source, event.name, event.sport, event.competition, event.start_ms
        )
        return
    fixture.source, fixture.name, fixture.sport = event.source, event.name, event.sport
    fixture.competition, fixture.start_ms = event.competition, event.start_ms


def decide_market(book: Book, limits: Limits, command: co.DefineMarket, digest: int, now_ms: int) -> ev.Event | Refusal:
    """A market by hand."""
    fixture = book.fixtures.get(command.fixture)
    if fixture is None:
        return Refusal(Rejection.FIXTURE_UNKNOWN)
    market = fixture.markets.get(command.market)
    if market is not None and market.source != DESK:
        return Refusal(Rejection.PRICE_NOT_OURS, detail=market.source)
    full = market_bound(fixture, limits, command.market, {selection.id for selection in command.selections})
    return full or ev.MarketDefined(
        now_ms,
        command.id,
        digest,
        DESK,
        command.author,
        command.fixture,
        command.market,
        command.market_type,
        command.name,
        "",
        command.winners,
        command.cut_off_ms,
        command.selections,
    )


def apply_market(book: Book, event: ev.MarketDefined) -> None:
    """A new market, suspended, or a known one with other data and perhaps more selections."""
    fixture = book.fixtures[event.fixture]
    market = fixture.markets.get(event.market)
    if market is None:
        market = fixture.markets[event.market] = Market(
            fixture,
            event.market,
            event.source,
            event.market_type,
            event.name,
            event.group,
            event.winners,
            event.cut_off_ms,
            desk_suspended=event.source == DESK,
            version=book.term << 32,
        )
    market.market_type, market.name, market.group = event.market_type, event.name, event.group
    market.winners, market.cut_off_ms = event.winners, event.cut_off_ms
    if event.cut_off_ms:
        heappush(book.cut_offs, (event.cut_off_ms, fixture.id, market.id))
    for named in event.selections:
        selection = market.selections.get(named.id)
        if selection is None:
            market.selections[named.id] = Selection(named.id, named.name, market)
        else:
            selection.name = named.name
    liability.reassess(book, market)
    book.touch(market)


def cut_off(book: Book, now_ms: int) -> None:
    """Markets whose time has come are closed, by the clock alone: show it."""
    while book.cut_offs and book.cut_offs[0][0] <= now_ms:
        _, fixture_id, market_id = heappop(book.cut_offs)
        market = find(book, fixture_id, market_id)
        if isinstance(market, Market):
            book.touch(market)


def decide_status(
    book: Book, _: Limits, command: co.OpenMarket | co.SuspendMarket, digest: int, now_ms: int
) -> ev.Event | Refusal:
    """The desk's suspension, or its lifting."""
    market = find(book, command.fixture, command.market)
    if isinstance(market, Refusal):
        return market
    suspended = type(command) is co.SuspendMarket
    return ev.MarketStatusSet(now_ms, command.id, digest, command.author, market.fixture.id, market.id, suspended)


def apply_status(book: Book, event: ev.MarketStatusSet) -> None:
    """The desk's half of a market's status."""
    market = book.fixtures[event.fixture].markets[event.market]
    market.desk_suspended = event.suspended
    book.touch(market)


def decide_price(book: Book, limits: Limits, command: co.SetPrice, digest: int, now_ms: int) -> ev.Event | Refusal:
    """The desk's price."""
    market = find(book, command.fixture, command.market)
    if isinstance(market, Refusal):
        return market
    if command.selection not in market.selections:
        return Refusal(Rejection.SELECTION_UNKNOWN)
    if command.price and not PRICE_MIN <= command.price <= limits.price_max:
        return Refusal(Rejection.TOO_MANY, limit=limits.price_max, detail="price")
    return ev.PriceSet(
        now_ms,
        command.id,
        digest,
        command.author,
        market.fixture.id,
        market.id,
        command.selection,
        command.price,
    )


def apply_price(book: Book, event: ev.PriceSet) -> None:
    """The desk's price stands above the feed's until it is given back."""
    market = book.fixtures[event.fixture].markets[event.market]
    selection = market.selections[event.selection]
    selection.override = event.price
    selection.price = event.price or selection.feed_price
    book.touch(market)
