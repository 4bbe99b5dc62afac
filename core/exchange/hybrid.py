"""The house's own price in an exchange market: laid into its order books, so that customers always find one.

Off by default (ExchangeTerms.house). The named account is a customer like others: its cash covers what it lays, and
it is matched, settled and charged by the same rules. What it lays counts in the market's liability as bets do
(core/exchange/positions.py, `carry`), what rests of it too, so that no limit is passed however much of it is taken.

Prices are live, so what is laid follows them in the tick after: each selection at its price, rounded down on the
ladder, for as much as a bet at that price would be accepted for. A market that takes no bets has none of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from core.betting import placing
from core.book import Book, Market, Order, Selection
from core.exchange import cancelling, orders
from core.exchange.ladder import Side
from core.limits import Limits
from core.markets import obstacle
from core.messages import commands as co
from core.messages import events as ev
from core.messages.queries import GetMaxStake
from core.refusals import Refusal
from core.risk import staking
from core.units import PRICE_ONE

_MARKETS_PER_TICK = 20
"""A look at a market of three selections takes 10 us, with new orders 100 us."""
_AGAIN_MS = 1_000
"""An order that is small because the limits are near is not laid anew at every tick."""


def lay(book: Book, limits: Limits, now_ms: int) -> Iterator[ev.Event]:
    """The house's orders brought up to date in the next markets; each event applied before the next is asked for."""
    for key in list(islice(book.quoting, _MARKETS_PER_TICK)):
        market = book.quoting.pop(key)
        exchange = market.exchange
        if exchange is None or exchange.terms.house not in book.customers:
            continue
        yield from _lay_market(book, limits, market, now_ms)
        house = exchange.positions.get(exchange.terms.house)
        if house is not None and house.resting:
            book.quoting[key] = market  # a price may grow old without a word


def _lay_market(book: Book, limits: Limits, market: Market, now_ms: int) -> Iterator[ev.Event]:
    exchange = market.exchange
    assert exchange is not None
    house = exchange.positions.get(exchange.terms.house)
    resting: dict[str, list[Order]] = {}
    for order in house.resting.values() if house is not None else ():
        if order.carried is not None:
            resting.setdefault(order.selection.id, []).append(order)
    busy = exchange.clearing or exchange.closing or exchange.due
    is_open = not busy and obstacle(market, limits, now_ms) is None
    for selection in market.selections.values():
        price = _price(selection) if is_open else 0
        laid = resting.get(selection.id, [])
        if len(laid) == 1 and laid[0].price == price and not _is_little(laid[0], now_ms):
            continue
        if laid:
            yield cancelling.cancelled(market, laid, ev.Why.HOUSE, now_ms)
        placed = _place(book, limits, selection, price, now_ms) if price else None
        if placed is not None:
            yield placed


def _is_little(order: Order, now_ms: int) -> bool:
    """Whether so little rests that more may be laid; not at once, for the limits may not allow any more."""
    exchange = order.selection.market.exchange
    assert exchange is not None
    return 2 * order.stake_m < exchange.terms.house_stake_m and now_ms - order.ts_ms >= _AGAIN_MS


def _price(selection: Selection) -> int:
    """The selection's own price on the ladder, rounded down; 0: it has none."""
    exchange = selection.market.exchange
    assert exchange is not None
    if not selection.price or selection.withdrawn_ms:
        return 0
    return exchange.ladder.against_taker(Side.BACK, selection.price) or 0


def _place(book: Book, limits: Limits, selection: Selection, price: int, now_ms: int) -> ev.OrderPlaced | None:
    """A lay of the house, as large as its terms, the limits and its cash allow; None: too small to be one."""
    market = selection.market
    exchange = market.exchange
    assert exchange is not None
    house = book.customers[exchange.terms.house]
    place = market.fixture.id, market.id, selection.id
    query = GetMaxStake(house.id, (co.Leg(*place, price),))
    slip = placing.read(book, limits, house, query, now_ms, (price,))
    if isinstance(slip, Refusal):
        return None
    covered_m = house.cash_m * PRICE_ONE // (price - PRICE_ONE)
    stake_m = staking.acceptable(book, limits, slip, min(exchange.terms.house_stake_m, covered_m), now_ms)
    if not stake_m:
        return None
    # The number of the event makes the id its own; nobody waits for an answer.
    command = co.PlaceOrder(f"{house.id}:{book.event_no + 1}", 0, house.id, *place, "lay", stake_m, price)
    event = orders.decide_place(book, limits, command, 0, now_ms)
    return event if isinstance(event, ev.OrderPlaced) else None
