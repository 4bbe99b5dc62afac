"""Orders in exchange markets: placed, replaced, waiting for the in-play delay (RULEBOOK 6).

An order is decided by looking only: whom it is matched with, at which prices, what lapses, and by how much everybody's
exposure changes stands in one event, and `apply` follows it. So a match is stored whole or not at all.

Makers and taker are applied together: what is matched is each one's trade, what is not rests.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from typing import Literal

from msgspec.structs import replace

from core import ledger, markets, protection
from core.book import Book, Customer, Exchange, Market, Order, Persistence, Position, Selection, Trade
from core.exchange import cancelling, matching, positions
from core.exchange.ladder import OffLadder
from core.exchange.matching import Asked
from core.exchange.positions import ACROSS, BACK, CLOSE, LAY
from core.limits import Limits
from core.messages import answers as an
from core.messages import commands as co
from core.messages import events as ev
from core.messages.rejections import Rejection
from core.refusals import Refusal
from core.units import PRICE_ONE

SIDES = {"back": BACK, "lay": LAY}
SIDE_NAMES = {BACK: "back", LAY: "lay"}
PERSISTENCES = {"lapse": 0, "persist": 1, "on_close": 2}
"""The numbers of Persistence; by a dict of plain integers, since a member's `value` costs as much as a comparison."""
WHY_NAMES = {why.value: why.name.lower() for why in ev.Why}
_ENDED_TIMES_MAX = 1_000
"""Times of orders that wait no more stay in the heap until then; past this and half of it, they go."""
_ON_CLOSE = Persistence.ON_CLOSE.value
NOT_REPLACED = Refusal(Rejection.ORDER_UNKNOWN, detail="where orders wait none is replaced: cancel it, place another")
Step = ev.OrderPlaced | ev.OrderPending | ev.OrdersCancelled | ev.OrderReduced | ev.OrderRefused


# An order is placed.


def decide_place(
    book: Book,
    limits: Limits,
    command: co.PlaceOrder,
    digest: int,
    now_ms: int,
    fills_max: int = matching.FILLS_MAX,
) -> ev.Event | Refusal:
    """An order of a known customer."""
    asked = read(book, limits, command, now_ms, None, fills_max)
    return asked if isinstance(asked, Refusal) else _decide(asked, digest, now_ms)


def decide_replace(
    book: Book,
    limits: Limits,
    command: co.ReplaceOrder,
    digest: int,
    now_ms: int,
    fills_max: int = matching.FILLS_MAX,
) -> ev.Event | Refusal:
    """An order takes another price: as if it were cancelled and came in anew, in one."""
    order = cancelling.own(book, command.customer, command.order)
    if order is None or order.waits is not None:
        return Refusal(Rejection.ORDER_UNKNOWN)
    asked = read(book, limits, replaced(order, command), now_ms, order, fills_max)
    return asked if isinstance(asked, Refusal) else _decide(asked, digest, now_ms)


def replaced(order: Order, command: co.ReplaceOrder) -> co.PlaceOrder:
    market = order.selection.market
    return co.PlaceOrder(
        command.id,
        command.expires_ms,
        command.customer,
        market.fixture.id,
        market.id,
        order.selection.id,
        "back" if order.side == BACK else "lay",
        order.stake_m,
        command.price,
        "on_close" if order.on_close else "limit",
        PERSISTENCE_NAMES[order.persistence],
    )


PERSISTENCE_NAMES: dict[int, Literal["lapse", "persist", "on_close"]] = {0: "lapse", 1: "persist", 2: "on_close"}


def market_obstacle(market: Market, limits: Limits, now_ms: int) -> Refusal | None:
    """Why no order is taken now: as for bets, but that nobody's price can grow old here, unless the house lays its
    own; and that orders or positions may be being looked at.
    """
    exchange = market.exchange
    assert exchange is not None
    refusal = markets.obstacle(market, limits, now_ms)
    if refusal is not None and (refusal.reason is not Rejection.PRICE_STALE or exchange.terms.house):
        return refusal
    if exchange.clearing or exchange.closing or exchange.due:
        return Refusal(Rejection.MARKET_SUSPENDED)
    return None


def read(
    book: Book,
    limits: Limits,
    command: co.PlaceOrder,
    now_ms: int,
    gone: Order | None = None,
    fills_max: int = matching.FILLS_MAX,
) -> Asked | Refusal:
    """What an order asks for, checked up to its stake, in the order of the Rejection enum."""
    customer = book.customers[command.customer]
    barred = protection.obstacle(customer, limits, now_ms)
    if barred is not None:
        return barred
    if customer.currency != limits.currency or (command.currency and command.currency != customer.currency):
        return Refusal(Rejection.CURRENCY_MISMATCH, detail=limits.currency)
    market = markets.find(book, command.fixture, command.market)
    if type(market) is Refusal:
        return market
    assert type(market) is Market
    selection = market.selections.get(command.selection)
    if selection is None:
        return Refusal(Rejection.SELECTION_UNKNOWN)
    exchange = market.exchange
    if exchange is None:
        return Refusal(Rejection.EXCHANGE_NOT_OFFERED)
    refusal = market_obstacle(market, limits, now_ms)
    if refusal is not None:
        return refusal
    if selection.withdrawn_ms:
        return Refusal(Rejection.SELECTION_UNPRICED)
    side = SIDES[command.side]
    on_close = command.kind == "on_close"
    if (on_close or command.persistence == "on_close") and (not exchange.terms.starting_price or exchange.in_play):
        return Refusal(Rejection.STARTING_PRICE_NOT_OFFERED)
    if command.version and command.version < exchange.version:
        return Refusal(Rejection.MARKET_VERSION_CHANGED, limit=exchange.version)
    price = command.price
    if price not in exchange.ladder.known and (price or not on_close):
        rung = exchange.ladder.rung(price)
        assert type(rung) is OffLadder
        return Refusal(Rejection.PRICE_NOT_ON_LADDER, price=rung.below, limit=rung.above)
    closes = on_close or command.persistence == "on_close"
    amiss = _stake(limits, command, on_close) or _room(book, limits, customer, exchange, selection, closes, gone)
    return amiss or Asked(command, customer, market, exchange, selection, side, gone, fills_max)


def _stake(limits: Limits, command: co.PlaceOrder, on_close: bool) -> Refusal | None:  # noqa: FBT001
    """The least stake; a smaller one is taken if it would be paid enough."""
    stake_m, price = command.stake_m, command.price
    if command.fill_or_kill and on_close:
        return Refusal(Rejection.DEFINITION_NOT_VALID, detail="fill_or_kill: not on close")
    if command.fill_min_m > (stake_m if command.fill_or_kill else 0):
        return Refusal(Rejection.DEFINITION_NOT_VALID, detail="fill_min_m: of a fill_or_kill, at most its stake")
    if stake_m < limits.order_stake_min_m and stake_m * price < limits.order_payout_min_m * PRICE_ONE:
        return Refusal(Rejection.STAKE_TOO_SMALL, limit=limits.order_stake_min_m)
    return None


def _room(
    book: Book,
    limits: Limits,
    customer: Customer,
    exchange: Exchange,
    selection: Selection,
    closes: bool,  # noqa: FBT001
    gone: Order | None,
) -> Refusal | None:
    """The bounds of memory; `closes`: it may take the starting price."""
    if gone is None and customer.resting >= limits.orders_customer_max:
        return Refusal(Rejection.TOO_MANY, limit=limits.orders_customer_max, detail="orders of the customer")
    if len(book.orders) >= limits.orders_max:
        return Refusal(Rejection.TOO_MANY, limit=limits.orders_max, detail="orders")
    if book.trades >= limits.trades_max:
        return Refusal(Rejection.TOO_MANY, limit=limits.trades_max, detail="matches")
    if closes and gone is None and closing(exchange, selection.id) >= limits.orders_on_close_max:
        return Refusal(Rejection.TOO_MANY, limit=limits.orders_on_close_max, detail="orders on close")
    return None


def closing(exchange: Exchange, selection: str) -> int:
    """How many orders on a selection would take the starting price now."""
    return len(exchange.on_close.get(selection, ())) + len(exchange.until_close.get(selection, ()))


def _decide(asked: Asked, digest: int, now_ms: int) -> ev.Event | Refusal:
    """The order as an event, once it is known what it is matched with and that its customer can cover it."""
    command, customer, market = asked.command, asked.customer, asked.market
    gone, own, side = asked.gone, asked.selection.id, asked.side
    waited = gone is not None and gone.waits is not None
    position = asked.exchange.positions.get(customer.id) or Position(customer, market)
    on_close = command.kind == "on_close"
    found = matching.UNMATCHED if on_close else matching.match(asked)
    takes = not asked.exchange.terms.passive_exempt or found.matched_m or found.why
    if takes and not waited and waits(asked):
        return _wait(asked, position, digest, now_ms)
    left_m = command.stake_m - found.matched_m
    lapsed_m = left_m if found.why is not None else 0
    rests_m = positions.open_m(side, command.price, left_m - lapsed_m, on_close=on_close)
    change = positions.rests(own, side, rests_m)
    if gone is not None or found.matched_m:
        changes = [change] if gone is None else [change, positions.rests(own, side, -positions.at_risk(gone))]
        changes += [positions.matched(own, side, price, stake_m) for _, price, stake_m in found.fills]
        changes += [positions.matched(own, side, price, stake_m) for price, stake_m, _ in found.crosses]
        change = positions.together(changes)
    change_m = positions.exposure_with(position, change) - position.exposure_m
    if change_m > 0:
        refusal = cover(customer, change_m, now_ms)
        if refusal is not None:
            return refusal
    fills, crosses = matching.with_exposures(asked, found) if found.matched_m else ((), ())
    return ev.OrderPlaced(
        now_ms,
        command.id,
        digest,
        customer.id,
        customer.currency,
        market.fixture.id,
        market.id,
        own,
        side,
        command.price,
        command.stake_m,
        on_close,
        PERSISTENCES[command.persistence],
        fills,
        crosses,
        lapsed_m,
        found.why or 0,
        change_m,
        "" if waited or gone is None else gone.id,
        waited,
    )


def cover(customer: Customer, change_m: int, now_ms: int) -> Refusal | None:
    """Whether cash, and the customer's own limits, take so much more exposure."""
    if change_m <= 0:
        return None
    if customer.protection is not None:
        refusal = protection.refusal(customer, customer.exposure_m + change_m, now_ms)
        if refusal is not None:
            return refusal
    if change_m > customer.cash_m:
        return Refusal(Rejection.BALANCE_TOO_LOW, limit=customer.cash_m)
    return None


def waits(asked: Asked) -> bool:
    """Whether orders wait for the market's delay now: in play, as bets do. The house's do not: they are its price."""
    exchange = asked.exchange
    return bool(asked.market.delay_ms) and exchange.in_play and asked.customer.id != exchange.terms.house


def _wait(asked: Asked, position: Position, digest: int, now_ms: int) -> ev.OrderPending | Refusal:
    """It is decided later; until then its customer is exposed as if it rested."""
    command, customer = asked.command, asked.customer
    if asked.gone is not None:
        return NOT_REPLACED
    risk_m = positions.open_m(asked.side, command.price, command.stake_m)
    change_m = positions.exposure(position, [positions.rests(asked.selection.id, asked.side, risk_m)])
    change_m -= position.exposure_m
    return cover(customer, change_m, now_ms) or ev.OrderPending(
        now_ms,
        command.id,
        digest,
        customer.id,
        customer.currency,
        asked.market.fixture.id,
        asked.market.id,
        command,
        now_ms + asked.market.delay_ms,
        change_m,
    )


def apply_placed(book: Book, event: ev.OrderPlaced) -> None:
    """Makers first, then the taker: what was matched, and what rests."""
    market = book.fixtures[event.fixture].markets[event.market]
    exchange = market.exchange
    assert exchange is not None
    customer = book.customers[event.customer]
    position = exchange.positions.get(customer.id) or position_of(exchange, customer, market)
    gone = event.id if event.waited else event.replaces
    if gone:
        cancelling.take_back(book, exchange, position, position.orders[gone], event.ts_ms, again=event.waited)
    side = BACK if event.side == BACK else LAY
    matched_m = paid = 0
    report_status = "resting"
    if event.fills or event.crosses:
        matched_m, paid = _apply_matches(book, exchange, position, event)
    left_m = event.stake_m - matched_m - event.lapsed_m
    if not left_m:
        report_status = "lapsed" if event.lapsed_m else "matched"
    report = an.OrderReport(
        event.id,
        event.ts_ms,
        report_status,
        matched_m,
        paid // matched_m if matched_m else 0,
        event.lapsed_m,
        WHY_NAMES[event.why] if event.lapsed_m else "",
    )
    if left_m or matched_m:
        selection = market.selections[event.selection]
        order = Order(
            event.id,
            customer.id,
            side,
            event.price,
            left_m,
            event.ts_ms,
            event.digest,
            customer,
            selection,
            event.stake_m,
            event.persistence,
            event.on_close,
            report,
            matched_m,
            paid,
        )
        book.orders[order.id] = position.orders[order.id] = order
        if left_m:
            _rest(exchange, position, order)
        if exchange.terms.house == customer.id:
            positions.carry(book, order)
    else:
        book.remember(event.id, event.digest, event.ts_ms, report)
    if event.exposure_m:
        position.exposure_m += event.exposure_m
        ledger.expose(book, customer, event.exposure_m)
    if not position.orders:
        cancelling.leave(exchange, position)
    exchange.changed[event.selection] = None
    book.traded[event.fixture, event.market] = market


def position_of(exchange: Exchange, customer: Customer, market: Market) -> Position:
    position = exchange.positions[customer.id] = Position(customer, market)
    if customer.positions is None:
        customer.positions = {}
    customer.positions[market.fixture.id, market.id] = position
    return position


def _rest(exchange: Exchange, position: Position, order: Order) -> None:
    """An order comes to rest: in its book, or among those that wait for the starting price."""
    name = order.selection.id
    if order.on_close:
        exchange.on_close.setdefault(name, {})[order.id] = order
    else:
        book = exchange.books.get(name)
        if book is None:
            book = exchange.books[name] = exchange.make_book()
        book.add(order)
        if order.persistence == _ON_CLOSE:
            exchange.until_close.setdefault(name, {})[order.id] = order
    position.resting[order.id] = order
    position.customer.resting += 1
    positions.make(position, positions.rests(name, order.side, positions.at_risk(order)))


def _apply_matches(book: Book, exchange: Exchange, position: Position, event: ev.OrderPlaced) -> tuple[int, int]:
    """The makers' and the taker's sides; what the taker has matched, and at what, stake x price added up."""
    matched_m = paid = 0
    own, side, ts_ms = event.selection, event.side, event.ts_ms
    for fill in event.fills:
        _fill(book, exchange, fill, ts_ms)
        _trade(book, position, Trade(ts_ms, event.id, own, side, fill.price, fill.stake_m))
        matched_m += fill.stake_m
        paid += fill.stake_m * fill.price
    across = positions.running(position.market) if event.crosses else ()
    for cross in event.crosses:
        for fill in cross.makers:
            _fill(book, exchange, fill, ts_ms, ACROSS, across)
        _trade(book, position, Trade(ts_ms, event.id, own, side, cross.price, cross.stake_m, ACROSS, across))
        matched_m += cross.stake_m
        paid += cross.stake_m * cross.price
    return matched_m, paid


def _fill(
    book: Book, exchange: Exchange, fill: ev.Fill, ts_ms: int, between: int = 0, across: tuple[str, ...] = ()
) -> None:
    """A maker's side."""
    order = book.orders[fill.maker]
    position = exchange.positions[fill.customer]
    name = fill.selection
    positions.make(position, positions.filled(order, order.stake_m, fill.stake_m))
    exchange.books[name].take((fill,))
    order.matched_m += fill.stake_m
    order.paid += fill.stake_m * fill.price
    position.trades.append(Trade(ts_ms, order.id, name, order.side, fill.price, fill.stake_m, between, across))
    book.trades += 1
    if fill.exposure_m:
        position.exposure_m += fill.exposure_m
        ledger.expose(book, position.customer, fill.exposure_m)
    if not order.stake_m:
        del position.resting[order.id]
        position.customer.resting -= 1
        if order.persistence == _ON_CLOSE:
            del exchange.until_close[name][order.id]
    if order.carried is not None:
        positions.carry(book, order)
        book.quoting[position.market.fixture.id, position.market.id] = position.market
    exchange.changed[name] = None


def _trade(book: Book, position: Position, trade: Trade) -> None:
    """The taker's side."""
    position.trades.append(trade)
    book.trades += 1
    positions.make(position, positions.matched(trade.selection, trade.side, trade.price, trade.stake_m))


# An order waits for the in-play delay.


def apply_pending(book: Book, event: ev.OrderPending) -> None:
    """The order, in no book yet."""
    market = book.fixtures[event.fixture].markets[event.market]
    exchange = market.exchange
    assert exchange is not None
    customer, command = book.customers[event.customer], event.command
    position = exchange.positions.get(customer.id) or position_of(exchange, customer, market)
    selection = market.selections[command.selection]
    order = Order(
        event.id,
        customer.id,
        SIDES[command.side],
        command.price,
        command.stake_m,
        event.ts_ms,
        event.digest,
        customer,
        selection,
        command.stake_m,
        PERSISTENCES[command.persistence],
        on_close=False,
        report=an.OrderReport(event.id, event.ts_ms, "waiting", until_ms=event.until_ms),
        waits=event,
    )
    book.orders[order.id] = position.orders[order.id] = order
    position.resting[order.id] = order
    customer.resting += 1
    positions.make(position, positions.rests(selection.id, order.side, positions.at_risk(order)))
    position.exposure_m += event.exposure_m
    ledger.expose(book, customer, event.exposure_m)
    note(book, order)


def note(book: Book, order: Order) -> None:
    """Note when a waiting order is to be decided."""
    assert order.waits is not None
    book.waited += 1
    heappush(book.waiting, (order.waits.until_ms, book.waited, order.id))
    if len(book.waiting) > 2 * len(book.orders) + _ENDED_TIMES_MAX:
        book.waiting = [turn for turn in book.waiting if _still_waits(book, turn[-1])]
        heapify(book.waiting)


def _still_waits(book: Book, order_id: str) -> bool:
    order = book.orders.get(order_id)
    return order is not None and order.waits is not None


def due(book: Book, limits: Limits, now_ms: int) -> Iterator[ev.Event]:
    """What becomes of the orders whose delay is over, in order of time; each event applied before the next.

    Decided in full again: the market may have moved. A suspension meanwhile refuses it, lifted or not (RULEBOOK 3).
    """
    while book.waiting and book.waiting[0][0] <= now_ms:
        order = book.orders.get(heappop(book.waiting)[-1])
        if order is None or order.waits is None:
            continue
        command = order.waits.command
        asked = read(book, limits, command, now_ms, order)
        if not isinstance(asked, Refusal):
            asked = markets.interrupted(order.selection.market, order.ts_ms) or asked
        event = asked if isinstance(asked, Refusal) else _decide(asked, order.digest, now_ms)
        if isinstance(event, Refusal):
            reason = event.reason.value
            event = replace(
                cancelling.cancelled(order.selection.market, [order], ev.Why.REFUSED, now_ms), reason=reason
            )
        yield event


def report(book: Book, order_id: str) -> an.OrderReport:
    """What became of an order when it came in."""
    order = book.orders.get(order_id)
    if order is not None:
        return order.report
    answer = book.answers[order_id].answer
    assert isinstance(answer, an.OrderReport)
    return answer


def restored(book: Book, order: Order) -> None:
    """An order out of a snapshot, in order of arrival; its position's sums are made again after all of them."""
    market = order.selection.market
    exchange = market.exchange
    assert exchange is not None
    position = exchange.positions[order.customer]
    book.orders[order.id] = position.orders[order.id] = order
    if order.waits is not None:
        position.resting[order.id] = order
        order.owner.resting += 1
        note(book, order)
    elif order.stake_m:
        _rest(exchange, position, order)


def close(book: Book, exchange: Exchange, order: Order, closed: ev.Closed, event: ev.StartingPriceMatched) -> None:
    """An order takes the starting price, as far as it was matched, and rests no more."""
    position = exchange.positions[closed.customer]
    stake_m, price = closed.stake_m, event.price
    order.matched_m += stake_m
    order.paid += stake_m * price
    cancelling.take_back(book, exchange, position, order, event.ts_ms)
    if stake_m:
        trade = Trade(event.made_ms or event.ts_ms, order.id, event.selection, closed.side, price, stake_m, CLOSE)
        position.trades.append(trade)
        book.trades += 1
        positions.make(position, positions.matched(event.selection, order.side, price, stake_m, CLOSE))
    position.exposure_m += closed.exposure_m
    ledger.expose(book, position.customer, closed.exposure_m)
