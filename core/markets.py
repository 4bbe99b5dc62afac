"""Fixtures and markets: their definitions, the desk's suspensions and prices, and when bets are taken."""

from __future__ import annotations

from heapq import heapify, heappop, heappush

from core.book import DESK, Book, Exchange, Fixture, Level, Market, Selection
from core.exchange.ladder import LADDERS
from core.grading import racing
from core.limits import Limits
from core.messages import commands as co
from core.messages import events as ev
from core.messages.feed import FeedStatus
from core.messages.rejections import Rejection
from core.messages.results import EachWay
from core.messages.terms import ExchangeTerms
from core.refusals import Refusal
from core.risk import liability, limiting
from core.units import PRICE_MIN

_ACTIVE, _CLOSED = FeedStatus.ACTIVE, FeedStatus.CLOSED
"""Here once: each bet looks at them, and a look into an enumeration costs as much as ten at a name (0.1 us)."""
_CUT_OFFS_PAST_MAX = 1_000
"""Cut-offs that hold no more wait for their time, far off as it may be; past this and half, they go."""
_OF_PARTS = frozenset({Rejection.MARKET_CLOSED, Rejection.MARKET_SUSPENDED, Rejection.CUT_OFF_PASSED})
"""What stops a bet builder with one of its parts; that it is priced well is its own producer's affair."""


def obstacle(market: Market, limits: Limits, now_ms: int, *, alone: bool = False) -> Refusal | None:
    """Why no bet is taken on a market now, in the order of the ladder (RULEBOOK 3); None: bets are taken.

    A market priced by hand has no producer that could fall silent and no price that could grow old. Within the window
    of a cancel a market is closed: a bet would be void at once. `alone`: a bet builder without a look at its parts.
    """
    if market.parts and not alone:
        return _with_parts(market, limits, now_ms)
    if market.closed_ms or market.due or market.status is _CLOSED or (market.cancels and market.cancels_at(now_ms)):
        return Refusal(Rejection.MARKET_CLOSED)
    by_hand = market.source == DESK
    if market.desk_suspended or (market.status is not _ACTIVE and not by_hand):
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


def _with_parts(market: Market, limits: Limits, now_ms: int) -> Refusal | None:
    """The first obstacle of the ladder that a bet builder or one of its parts has."""
    own = obstacle(market, limits, now_ms, alone=True)
    found = [own] if own is not None else []
    for part in market.parts:
        refusal = obstacle(part.market, limits, now_ms)
        if refusal is not None and refusal.reason in _OF_PARTS:
            found.append(refusal)
        if part.withdrawn_ms:
            found.append(Refusal(Rejection.SELECTION_UNPRICED))
    return min(found, key=lambda refusal: refusal.reason, default=None)


def interrupted(market: Market, since_ms: int) -> Refusal | None:
    """What stopped betting on a market, or on a part of it, since then, though it may go on again; None: nothing."""
    for each in (market, *(part.market for part in market.parts)):
        if max(each.desk_suspended_ms, each.suspended_ms) >= since_ms:
            return Refusal(Rejection.MARKET_SUSPENDED)
        if each.producer is not None and not each.by_hand and each.producer.lost_ms >= since_ms:
            return Refusal(Rejection.PRODUCER_DOWN)
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
        command.outright_of,
    )


def apply_fixture(book: Book, event: ev.FixtureDefined) -> None:
    """A new fixture, or a known one with other data."""
    fixture = book.fixtures.get(event.fixture)
    if fixture is None:
        fixture = book.fixtures[event.fixture] = Fixture(
            event.fixture, event.source, event.name, event.sport, event.competition, event.start_ms
        )
    fixture.source, fixture.name, fixture.sport = event.source, event.name, event.sport
    fixture.competition, fixture.start_ms, fixture.outright_of = event.competition, event.start_ms, event.outright_of
    placed(book, fixture)


def decide_market(book: Book, limits: Limits, command: co.DefineMarket, digest: int, now_ms: int) -> ev.Event | Refusal:
    """A market by hand."""
    fixture = book.fixtures.get(command.fixture)
    if fixture is None:
        return Refusal(Rejection.FIXTURE_UNKNOWN)
    market = fixture.markets.get(command.market)
    if market is not None and market.source != DESK:
        return Refusal(Rejection.PRICE_NOT_OURS, detail=market.source)
    full = market_bound(fixture, limits, command.market, {selection.id for selection in command.selections})
    terms = command.specifiers, command.each_way, command.delay_ms, command.parts, command.starting_price
    return (
        full
        or wrong_parts(fixture, command.market, len(command.selections), command.parts)
        or wrong_exchange(fixture, command.market, command.parts, command.exchange)
        or ev.MarketDefined(
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
            *terms,
            command.exchange,
        )
    )


def wrong_parts(
    fixture: Fixture, market_id: str, selections: int, parts: tuple[tuple[str, str], ...]
) -> Refusal | None:
    """What is wrong with a bet builder: it has one selection, and as parts those of other markets."""
    known = fixture.markets.get(market_id)
    if known is not None and tuple((part.market.id, part.id) for part in known.parts) != parts:
        return Refusal(Rejection.DEFINITION_NOT_VALID, detail="parts: they cannot be changed")
    if not parts:
        return None
    if selections != 1 or len({part[0] for part in parts}) < len(parts) or len(parts) < 2:
        return Refusal(
            Rejection.DEFINITION_NOT_VALID, detail="parts: one selection of two or more parts of a market each"
        )
    for part_market, part_selection in parts:
        market = fixture.markets.get(part_market)
        if market is None or market.parts or part_selection not in market.selections:
            return Refusal(Rejection.DEFINITION_NOT_VALID, detail=f"parts: {part_market} {part_selection}")
    return None


def wrong_exchange(
    fixture: Fixture, market_id: str, parts: tuple[tuple[str, str], ...], terms: ExchangeTerms | None
) -> Refusal | None:
    """What is wrong with exchange terms: orders that rest rely on their ladder, and a bet builder takes none."""
    known = fixture.markets.get(market_id)
    exchange = None if known is None else known.exchange
    if exchange is not None:
        was = exchange.terms
        if terms is None or (terms.ladder, terms.house) != (was.ladder, was.house):
            return Refusal(Rejection.DEFINITION_NOT_VALID, detail="exchange: ladder and house cannot be changed")
    if terms is not None and parts:
        return Refusal(Rejection.DEFINITION_NOT_VALID, detail="exchange: not of a bet builder")
    return None


def _traded(book: Book, market: Market, terms: ExchangeTerms | None) -> None:
    """A market is an exchange from now on, or has other terms."""
    if terms is None:
        return
    if market.exchange is None:
        market.exchange = Exchange(terms, LADDERS[terms.ladder], book.make_book)
    market.exchange.terms = terms
    market.exchange.outcomes = sum(1 for selection in market.selections.values() if not selection.withdrawn_ms)
    book.traded[market.fixture.id, market.id] = market


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
        market.parts = tuple(fixture.markets[part].selections[selection] for part, selection in event.parts)
        for part in market.parts:
            part.market.combinations.append(market)
    market.specifiers, market.each_way, market.delay_ms = event.specifiers, event.each_way, event.delay_ms
    market.was_each_way = market.was_each_way or event.each_way is not None
    market.starting_price = event.starting_price
    market.name, market.group = event.name, event.group
    market.winners, market.cut_off_ms = event.winners, event.cut_off_ms
    if event.cut_off_ms:
        _note_cut_off(book, market)
    for named in event.selections:
        selection = market.selections.get(named.id)
        if selection is None:
            market.selections[named.id] = Selection(named.id, named.name, market)
        else:
            selection.name = named.name
    _traded(book, market, event.exchange)
    typed(book, market, event.market_type)
    market.patterns = liability.patterns(market)
    if market.stakes_m or market.place_stakes_m or market.liability_m:
        liability.refit(book, fixture)
    elif market.gridded:
        fixture.grid = None  # its bets are gone, its place in the grid is still of its old selections
    book.touch(market)


def _note_cut_off(book: Book, market: Market) -> None:
    """Note when it closes; times that hold no more, and stand twice, go once they are as many as those that hold."""
    heappush(book.cut_offs, (market.cut_off_ms, market.fixture.id, market.id))
    if len(book.cut_offs) > book.cut_offs_max:
        book.cut_offs = [each for each in dict.fromkeys(book.cut_offs) if _closes(book, *each)]
        heapify(book.cut_offs)
        book.cut_offs_max = 2 * len(book.cut_offs) + _CUT_OFFS_PAST_MAX


def _closes(book: Book, cut_off_ms: int, fixture_id: str, market_id: str) -> bool:
    market = find(book, fixture_id, market_id)
    return isinstance(market, Market) and market.cut_off_ms == cut_off_ms


def typed(book: Book, market: Market, market_type: str) -> None:
    """A market is of this type from now on: its liability counts at another level."""
    market.market_type = market_type
    level = limiting.level(book, ("market_type", market.fixture.sport, market_type))
    _move(book, market.type_level, level, market.liability_m)
    market.type_level = level
    market.caps_version = -1


def placed(book: Book, fixture: Fixture) -> None:
    """A fixture is of its sport and competition from now on; so are its markets' types."""
    sport = limiting.level(book, ("sport", fixture.sport))
    competition = limiting.level(book, ("competition", fixture.sport, fixture.competition))
    _move(book, fixture.sport_level, sport, fixture.liability_m)
    _move(book, fixture.competition_level, competition, fixture.liability_m)
    fixture.sport_level, fixture.competition_level = sport, competition
    for market in fixture.markets.values():
        typed(book, market, market.market_type)


def forgotten(book: Book, *levels: Level | None) -> None:
    """A fixture or market without any liability has left these levels."""
    for level in levels:
        _move(book, level, None, 0)


def _move(book: Book, source: Level | None, target: Level | None, liability_m: int) -> None:
    if source is target:
        return
    if target is not None:
        target.liability_m += liability_m
        target.members += 1
    if source is not None:
        source.liability_m -= liability_m
        source.members -= 1
        limiting.release(book, source)


def each_way_terms(market: Market) -> EachWay | None:
    """The terms of a place part taken now, places by number; None: there is none.

    The usual ones follow from the number of runners, those that are priced and not withdrawn (RULEBOOK 5).
    """
    terms = market.each_way
    if terms is None:
        return None
    if terms.places:
        return terms
    runners = sum(1 for each in market.selections.values() if each.price and not each.withdrawn_ms)
    usual = racing.each_way_terms(runners, is_handicap=terms.handicap) if runners else None
    return None if usual is None else EachWay(*usual, terms.handicap)


def places_most(terms: EachWay, selections: int) -> int:
    """The most places that place parts were taken at: the usual ones are no more than if all had run."""
    usual = racing.each_way_terms(selections, is_handicap=terms.handicap)
    return max(1, terms.places, usual.places if usual is not None else 0)


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
    lapse = isinstance(command, co.SuspendMarket) and command.lapse
    if lapse and market.exchange is None:
        return Refusal(Rejection.EXCHANGE_NOT_OFFERED)
    place = market.fixture.id, market.id
    return ev.MarketStatusSet(now_ms, command.id, digest, command.author, *place, suspended, lapse)


def apply_status(book: Book, event: ev.MarketStatusSet) -> None:
    """The desk's half of a market's status."""
    market = book.fixtures[event.fixture].markets[event.market]
    market.desk_suspended = event.suspended
    if event.suspended:
        market.desk_suspended_ms = event.ts_ms
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
