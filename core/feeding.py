"""What the feeds say: the producers' lives, live prices and statuses, and the few facts that are journalled.

A message of a producer is taken in the order of its sequence. Definitions and results become events; prices, statuses
and heartbeats change live state only (DESIGN 6: they are in FEED, and a bet's event names the price it was decided on).

Believed is a producer that began and ended a recovery and has since lost no message and never been silent for longer
than the limit. Whatever it does not name in a recovery stays closed: `epoch` counts recoveries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from core import markets
from core.book import Book, Market, Producer
from core.exchange import clearing
from core.limits import Limits
from core.messages import events as ev
from core.messages import feed as fe
from core.messages.commands import NamedSelection
from core.messages.rejections import Rejection
from core.refusals import Refusal
from core.results import runners, scoring, standing
from core.units import PRICE_MIN

_ACTIVE = fe.FeedStatus.ACTIVE
Taken = Iterator[ev.Event | Refusal]
"""Events, each to be applied before the next is asked for; a Refusal names what was passed over."""


def hear(book: Book, limits: Limits, message: fe.FeedMessage, now_ms: int) -> Producer | Refusal | None:
    """The producer of a message, its life brought up to date; None: an old message, to be passed over."""
    key = message.provider, message.producer
    producer = book.producers.get(key)
    if producer is None:
        if len(book.producers) >= limits.producers_max:
            return Refusal(Rejection.TOO_MANY, limit=limits.producers_max, detail="producers")
        source = f"{message.provider}.{message.producer}"
        producer = book.producers[key] = Producer(*key, source, message.sequence, now_ms, lost_ms=now_ms)
    elif type(message) is not fe.RecoveryBegin:
        if message.sequence <= producer.sequence:
            return None
        silent = now_ms - producer.last_ms > limits.producer_silence_max_ms
        if silent or message.sequence != producer.sequence + 1:
            lose(book, producer, now_ms)
    producer.sequence, producer.last_ms = message.sequence, now_ms
    return producer


def lose(book: Book, producer: Producer, now_ms: int) -> None:
    """The producer is not believed until its next complete recovery: what it prices is closed, and shown so."""
    if producer.up:
        producer.lost_ms = now_ms
        _touch_all(book, producer)
    producer.up = producer.recovering = False


def _touch_all(book: Book, producer: Producer) -> None:
    for market in book.markets():
        if market.source == producer.source:
            book.touch(market)


def recover_begin(book: Book, _: Limits, producer: Producer, message: fe.RecoveryBegin, now_ms: int) -> Taken:
    """All that the producer offers is closed until it is named again."""
    del message
    lose(book, producer, now_ms)
    producer.epoch += 1
    producer.recovering = True
    yield from ()


def recover_end(book: Book, _: Limits, producer: Producer, message: fe.RecoveryEnd, now_ms: int) -> Taken:
    """The image is complete, if nothing was lost on the way."""
    del message, now_ms
    if producer.recovering:
        producer.recovering, producer.up = False, True
        _touch_all(book, producer)
    yield from ()


def heartbeat(book: Book, _: Limits, producer: Producer, message: fe.Heartbeat, now_ms: int) -> Taken:
    """Being heard is all."""
    del book, producer, message, now_ms
    yield from ()


def fixture(book: Book, limits: Limits, producer: Producer, message: fe.FixtureChange, now_ms: int) -> Taken:
    """A fixture belongs to the first producer that names it, or to the desk once the desk has corrected it."""
    full = markets.fixture_bound(book, limits, message.fixture)
    if full:
        yield full
        return
    known = book.fixtures.get(message.fixture)
    definition = message.name, message.sport, message.competition, message.start_ms, message.outright_of
    if known is None or (
        known.source == producer.source and message.ts_ms >= known.provider_ts_ms and known.definition() != definition
    ):
        yield ev.FixtureDefined(now_ms, "", 0, producer.source, "", message.fixture, *definition)
    known = book.fixtures[message.fixture]
    if known.source == producer.source:
        known.provider_ts_ms = max(known.provider_ts_ms, message.ts_ms)


def _own(book: Book, producer: Producer, fixture_id: str, market_id: str) -> Market | Refusal:
    """A market, if it is this producer's."""
    market = markets.find(book, fixture_id, market_id)
    if isinstance(market, Market) and market.source != producer.source:
        return Refusal(Rejection.PRICE_NOT_OURS, detail=market.source)
    return market


def image(book: Book, limits: Limits, producer: Producer, message: fe.MarketImage, now_ms: int) -> Taken:
    """A market whole."""
    market = _own(book, producer, message.fixture, message.market)
    if isinstance(market, Refusal) and market.reason is not Rejection.MARKET_UNKNOWN:
        yield market
        return
    if isinstance(market, Market) and message.ts_ms < market.provider_ts_ms:
        return
    named = tuple(NamedSelection(selection.id, selection.name) for selection in message.selections)
    if len({selection.id for selection in named}) != len(named):
        yield Refusal(Rejection.MALFORMED, detail="selections: one is named twice")
        return
    head = message.market_type, message.name, message.group, message.winners, message.cut_off_ms
    exchange = message.exchange
    if exchange is None and isinstance(market, Market) and market.exchange is not None:
        exchange = market.exchange.terms
    terms = message.specifiers, message.each_way, message.delay_ms, message.parts, message.starting_price, exchange
    if isinstance(market, Refusal) or market.terms() != terms or _differs(market, head, named):
        known_fixture = book.fixtures[message.fixture]
        amiss = markets.market_bound(known_fixture, limits, message.market, {selection.id for selection in named})
        amiss = amiss or markets.wrong_parts(known_fixture, message.market, len(named), message.parts)
        amiss = amiss or markets.wrong_exchange(known_fixture, message.market, message.parts, exchange)
        if amiss:
            yield amiss
            return
        definition = message.fixture, message.market, *head, named, *terms
        yield ev.MarketDefined(now_ms, "", 0, producer.source, "", *definition)
        market = known_fixture.markets[message.market]
    offers = tuple(fe.SelectionPrice(selection.id, selection.price) for selection in message.selections)
    change = fe.MarketPrices(message.market, message.status, offers, message.in_play)
    yield from _take(book, limits, market, producer, message, change, now_ms)


def _differs(market: Market, head: tuple[str, str, str, int, int], named: tuple[NamedSelection, ...]) -> bool:
    """Whether an image says something new of a market; a selection that is missing in it is nothing new."""
    *known_head, known = market.definition()
    return tuple(known_head) != head or not set(named) <= set(known)


def odds(book: Book, limits: Limits, producer: Producer, message: fe.OddsChange, now_ms: int) -> Taken:
    """New prices, complete within each market."""
    for change in message.markets:
        market = _own(book, producer, message.fixture, change.market)
        if isinstance(market, Refusal):
            yield market
        else:
            yield from _take(book, limits, market, producer, message, change, now_ms)


def _take(
    book: Book,
    limits: Limits,
    market: Market,
    producer: Producer,
    message: fe.FeedMessage,
    change: fe.MarketPrices,
    now_ms: int,
) -> Taken:
    """Replace a market's live half; news older than what is known is passed over (DESIGN 6).

    An exchange market that turns in play does so for its orders too, and that is journalled.
    """
    if message.ts_ms < market.provider_ts_ms:
        return
    market.producer, market.epoch = producer, producer.epoch
    market.provider_ts_ms, market.sequence, market.price_ms = message.ts_ms, message.sequence, now_ms
    market.status, market.in_play = change.status, change.in_play
    if change.status is not _ACTIVE:
        market.suspended_ms = now_ms
    prices = {offer.selection: offer.price for offer in change.prices}
    price_max = limits.price_max
    for selection in market.selections.values():
        price = prices.get(selection.id, 0)
        selection.feed_price = price if PRICE_MIN <= price <= price_max else 0
        selection.price = selection.override or selection.feed_price
    book.touch(market)
    if change.in_play and market.exchange is not None and not market.exchange.in_play and not market.closed_ms:
        yield clearing.cleared(market, ev.Why.TURNED, producer.source, now_ms)


def suspend(book: Book, _: Limits, producer: Producer, message: fe.Suspend, now_ms: int) -> Taken:
    """Bet stop: only active markets change (RULEBOOK 8)."""
    known = book.fixtures.get(message.fixture)
    if known is None:
        yield Refusal(Rejection.FIXTURE_UNKNOWN)
        return
    for market in known.markets.values():
        if (
            market.source == producer.source
            and market.status is _ACTIVE
            and (not message.group or market.group == message.group)
            and message.ts_ms >= market.provider_ts_ms
        ):
            market.status, market.provider_ts_ms = fe.FeedStatus.SUSPENDED, message.ts_ms
            market.sequence, market.suspended_ms = message.sequence, now_ms
            book.touch(market)
            if message.lapse and market.exchange is not None:
                yield clearing.cleared(market, ev.Why.SUSPENDED, producer.source, now_ms)


def _origin(producer: Producer, message: fe.FeedMessage, now_ms: int) -> standing.Origin:
    return standing.Origin(now_ms, "", 0, producer.source, "", message.sequence)


def settlement(book: Book, limits: Limits, producer: Producer, message: fe.Settlement, now_ms: int) -> Taken:
    """Results; provisional ones settle only where the operator wants it, the confirmed ones follow (RULEBOOK 5)."""
    if message.certainty < standing.CONFIRMED and not limits.settle_provisional:
        return
    origin, said = _origin(producer, message, now_ms), standing.Said(message.ts_ms, message.certainty)
    for change in message.markets:
        market = _own(book, producer, message.fixture, change.market)
        if isinstance(market, Refusal):
            yield market
            continue
        yield standing.results_event(book, market, change.results, origin, "", said)


def score(book: Book, limits: Limits, producer: Producer, message: fe.FixtureScore, now_ms: int) -> Taken:
    """A score, by which the producer's markets are settled."""
    if message.certainty < standing.CONFIRMED and not limits.settle_provisional:
        return
    fixture = book.fixtures.get(message.fixture)
    if fixture is None:
        yield Refusal(Rejection.FIXTURE_UNKNOWN)
        return
    said = standing.Said(message.ts_ms, message.certainty)
    yield scoring.event(fixture, message.score, _origin(producer, message, now_ms), "", said)


def withdrawal(book: Book, _: Limits, producer: Producer, message: fe.Withdrawal, now_ms: int) -> Taken:
    """A runner that does not start."""
    market = _own(book, producer, message.fixture, message.market)
    if isinstance(market, Refusal):
        yield market
        return
    origin, said = _origin(producer, message, now_ms), standing.Said(message.ts_ms)
    what = message.selection, message.price, message.at_ms, message.reduction_bp
    yield runners.withdrawal_event(book, market, *what, origin, said)


def starting_prices(book: Book, _: Limits, producer: Producer, message: fe.StartingPrices, now_ms: int) -> Taken:
    """The prices at the off."""
    market = _own(book, producer, message.fixture, message.market)
    if isinstance(market, Refusal):
        yield market
        return
    origin, said = _origin(producer, message, now_ms), standing.Said(message.ts_ms)
    yield runners.starting_prices_event(book, market, message.prices, origin, said)


def cancel(book: Book, _: Limits, producer: Producer, message: fe.Cancel, now_ms: int) -> Taken:
    """Bets void, all or in a window."""
    origin, said = _origin(producer, message, now_ms), standing.Said(message.ts_ms)
    for market_id in message.markets:
        market = _own(book, producer, message.fixture, market_id)
        if isinstance(market, Refusal):
            yield market
        else:
            yield standing.cancel_event(book, market, message.from_ms, message.to_ms, origin, "", said)


def rollback(book: Book, _: Limits, producer: Producer, message: fe.Rollback, now_ms: int) -> Taken:
    """Results, cancels or withdrawals taken back."""
    origin, said = _origin(producer, message, now_ms), standing.Said(message.ts_ms)
    for market_id in message.markets:
        market = _own(book, producer, message.fixture, market_id)
        if isinstance(market, Refusal):
            yield market
        else:
            yield from standing.rollback_events(book, market, message.what, origin, "", said)


TAKERS: dict[type, Callable[[Book, Limits, Producer, Any, int], Taken]] = {
    fe.FixtureChange: fixture,
    fe.MarketImage: image,
    fe.OddsChange: odds,
    fe.Suspend: suspend,
    fe.Settlement: settlement,
    fe.FixtureScore: score,
    fe.Withdrawal: withdrawal,
    fe.StartingPrices: starting_prices,
    fe.Cancel: cancel,
    fe.Rollback: rollback,
    fe.Heartbeat: heartbeat,
    fe.RecoveryBegin: recover_begin,
    fe.RecoveryEnd: recover_end,
}


def recoveries_due(book: Book, now_ms: int, pause_ms: int) -> list[fe.RecoverRequest]:
    """Producers that are not believed and not recovering, to be asked; each again after a pause."""
    due = []
    for producer in book.producers.values():
        if not producer.up and not producer.recovering and now_ms - producer.asked_ms >= pause_ms:
            producer.asked_ms = now_ms
            due.append(fe.RecoverRequest(producer.provider, producer.producer))
    return due


def lose_silent(book: Book, limits: Limits, now_ms: int) -> None:
    """Producers that have been silent for too long are believed no more."""
    for producer in book.producers.values():
        if producer.up and now_ms - producer.last_ms > limits.producer_silence_max_ms:
            lose(book, producer, now_ms)
