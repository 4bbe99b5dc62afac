"""The largest of everything fits into a message of NATS: events, answers, what is published.

A server takes `nats.payload_min_bytes`, and an engine whose event no journal takes would end, again at every retry. Ids
are as long and as dear to write as can be, sums the largest; how many of each there are is what the settings bound.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
import pytest

from config.settings import load
from core.exchange import batches, matching
from core.messages import answers as an
from core.messages import events as ev
from core.messages.commands import MARKET_SPECIFIERS_MAX, NamedSelection
from core.messages.results import EachWay, Result
from core.messages.terms import ExchangeTerms

SETTINGS: Final = load(environ={})
LIMITS: Final = SETTINGS.limits
ROOM: Final = SETTINGS.nats.payload_min_bytes - 1_024
"""Less what stands before an append's payload."""
ID: Final = '"' * 64
"""JSON writes it with twice as many bytes."""
NAME: Final = "\U0001f40e" * 200
TS_MS, PRICE, MONEY, SUM = 10**14, 100_000_000, 10**15, 2**62
HEAD: Final = TS_MS, ID, 2**63
PLACE: Final = ID, ID
OWNER: Final = ID, "EUR"
SELECTIONS: Final = LIMITS.selections_per_market_max
SPECIFIERS: Final = {f"{number:064}": ID for number in range(MARKET_SPECIFIERS_MAX)}
TERMS: Final = ExchangeTerms("FINEST", 5_000, starting_price=True, house=ID, house_stake_m=MONEY)
EACH_WAY: Final = EachWay(20, 100, 100, True)


def placed(fills: int) -> ev.OrderPlaced:
    fill = ev.Fill(ID, ID, ID, PRICE, MONEY, -MONEY)
    what: Any = 2, PRICE, MONEY, True, 2, (fill,) * fills, (), MONEY, 10, MONEY, ID, False
    return ev.OrderPlaced(*HEAD, *OWNER, *PLACE, ID, *what)


def batch() -> ev.OrderBatch:
    """With as many makers as are shared out, and the last match across selections beyond that."""
    steps = placed(batches.FILLS_MAX + SELECTIONS - 1), *(placed(0) for _ in range(199))
    return ev.OrderBatch(*HEAD, *OWNER, *PLACE, steps)


def defined() -> ev.MarketDefined:
    selections = (NamedSelection(ID, NAME),) * SELECTIONS
    more: Any = SPECIFIERS, EACH_WAY, 15_000, ((ID, ID),) * 20, True, TERMS
    return ev.MarketDefined(*HEAD, ID, ID, *PLACE, ID, NAME, ID, 100, TS_MS, selections, *more)


EVENTS: Final[dict[str, ev.Event]] = {
    "an order": placed(matching.FILLS_MAX + SELECTIONS - 1),
    "a batch": batch(),
    "all orders of a customer taken back": ev.OrdersCancelled(
        *HEAD, *OWNER, *PLACE, (ID,) * LIMITS.orders_customer_max, 10, SUM, SUM, 200, 2**32, SUM
    ),
    "a starting price": ev.StartingPriceMatched(
        TS_MS, *PLACE, ID, PRICE, "EUR", (ev.Closed(ID, ID, MONEY, MONEY, 2),) * LIMITS.orders_on_close_max
    ),
    "a market": defined(),
    "results": ev.MarketSettled(
        *HEAD, ID, ID, SUM, *PLACE, (Result(ID, 1, 5_000, 100, 100, 1_000),) * SELECTIONS, NAME
    ),
}


@pytest.mark.parametrize("name", EVENTS)
def test_the_largest_event_fits_into_a_message_of_the_journal(name: str) -> None:
    size = len(msgspec.msgpack.encode(ev.Batch(ev.BATCH_FORMAT, SUM, [EVENTS[name]])))
    assert size <= ROOM, f"{size:_} bytes"


DEPTH: Final = ((PRICE // 10, SUM),) * SETTINGS.publisher.book_depth_max
"""No ladder goes beyond 1 000."""
CHANGED: Final = DEPTH * 2
"""All levels are gone, and there are as many others."""
STATE: Final = an.OrderState(
    ID, ID, ID, ID, ID, "back", TS_MS, "on_close", PRICE, MONEY, MONEY, MONEY, PRICE, "on_close"
)
MESSAGES: Final = {
    "order.list": an.Orders(ID, (STATE,) * LIMITS.orders_listed_max, SUM, -SUM, SUM, SUM, SUM),
    "order.batch": an.OrderReports(
        ID, TS_MS, (an.Rejected(ID, "STARTING_PRICE_NOT_OFFERED", 200, PRICE, MONEY, MONEY, "x" * 200),) * 200
    ),
    "order.book": an.BookImage(
        *PLACE, SUM, SUM, "suspended", True, (an.BookLevels(ID, DEPTH, DEPTH, PRICE, PRICE),) * SELECTIONS
    ),
    "a delta of order books": an.BookDelta(
        *PLACE,
        SUM,
        SUM,
        SUM,
        "suspended",
        in_play=True,
        books=(an.BookLevels(ID, CHANGED, CHANGED, PRICE, PRICE),) * SETTINGS.publisher.books_per_turn_max,
    ),
    "odds.get": an.OddsImage(
        *PLACE,
        SUM,
        NAME,
        NAME,
        ID,
        ID,
        TS_MS,
        "suspended",
        True,
        (an.SelectionOdds(ID, NAME, PRICE),) * SELECTIONS,
        SPECIFIERS,
        EACH_WAY,
        15_000,
        True,
        TERMS,
    ),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_the_largest_answer_fits_into_a_message(name: str) -> None:
    sizes = [len(encode(MESSAGES[name])) for encode in (msgspec.json.encode, msgspec.msgpack.encode)]
    assert max(sizes) <= ROOM, f"{max(sizes):_} bytes"


def test_what_a_feed_or_a_gateway_may_send_makes_no_larger_event() -> None:
    """Whatever of a message an event repeats, beside what was known of the market before."""
    known = len(msgspec.msgpack.encode(defined()))
    assert known + SETTINGS.feed.message_bytes_max <= ROOM
    assert SETTINGS.gateway.message_bytes_max <= SETTINGS.feed.message_bytes_max
