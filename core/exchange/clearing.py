"""What happens to a whole exchange market: it turns in play, is suspended, loses a runner, is settled (RULEBOOK 6).

Each of these changes the market at once, and sets going what it brings for orders and positions, done in slices:
first starting prices are made, then orders lapse, then positions are settled, or looked at again. Meanwhile the market
takes no orders.

What a position has won is a pure function of its trades and of what is known of the market (core/exchange/counting.py),
as a bet's payout is (core/results/settling.py): so a correction, a rollback or a withdrawal posts the difference, and
the order of arrival cannot matter.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from core import ledger, markets, protection
from core.book import DESK, Book, Exchange, Line, Made, Market, Order, Persistence, Position
from core.exchange import cancelling, counting, orders, positions, starting
from core.exchange.ladder import Side
from core.limits import Limits
from core.messages import commands as co
from core.messages import events as ev
from core.messages.rejections import Rejection
from core.refusals import Refusal

Why = ev.Why


def decide_turn(book: Book, _: Limits, command: co.TurnInPlay, digest: int, now_ms: int) -> ev.Event | Refusal:
    """The off, by the desk."""
    market = markets.find(book, command.fixture, command.market)
    if isinstance(market, Refusal):
        return market
    if market.exchange is None:
        return Refusal(Rejection.EXCHANGE_NOT_OFFERED)
    if market.closed_ms:
        return Refusal(Rejection.MARKET_CLOSED)
    if market.exchange.in_play:
        return Refusal(Rejection.NOTHING_TO_CHANGE)
    return cleared(market, Why.TURNED, DESK, now_ms, command.author, command.id, digest)


def cleared(
    market: Market, why: ev.Why, source: str, now_ms: int, author: str = "", command_id: str = "", digest: int = 0
) -> ev.ExchangeCleared:
    """An exchange market turns in play, or is suspended for something material."""
    return ev.ExchangeCleared(now_ms, command_id, digest, source, author, market.fixture.id, market.id, why.value)


def apply_cleared(book: Book, event: ev.ExchangeCleared) -> None:
    """Orders follow."""
    market = book.fixtures[event.fixture].markets[event.market]
    exchange = market.exchange
    assert exchange is not None
    if event.why == Why.TURNED:
        exchange.in_play = True
    begin(book, market, event.why)


def apply_defined(book: Book, event: ev.MarketDefined) -> None:
    """A market, new or changed; with other outcomes or another commission its positions come to something else."""
    known = book.fixtures[event.fixture].markets.get(event.market)
    was = None if known is None else _hinges(known)
    markets.apply_market(book, event)
    if known is not None and was is not None and was != _hinges(known):
        reconsider(book, known)


def _hinges(market: Market) -> tuple[int, int, int] | None:
    """What of a market's definition decides what its positions come to; None: it is no exchange."""
    exchange = market.exchange
    return None if exchange is None else (market.winners, exchange.outcomes, exchange.terms.commission_bp)


def apply_status(book: Book, event: ev.MarketStatusSet) -> None:
    """The desk's half of a market's status; its orders lapse, if it says so."""
    markets.apply_status(book, event)
    if event.lapse:
        begin(book, book.fixtures[event.fixture].markets[event.market], Why.SUSPENDED.value)


def begin(book: Book, market: Market, why: int) -> None:
    """Something material has happened: all resting orders are looked at, for the gravest reason so far."""
    exchange = market.exchange
    assert exchange is not None
    busy = exchange.clearing or exchange.closing
    exchange.version += 1
    exchange.why = max(why, exchange.why) if busy else why
    if exchange.why == Why.CLOSED:
        # A price that is made is the price of all its orders: backs may have taken it, their layers not yet.
        exchange.closing = [exchange.made.selection] if exchange.made is not None else []
    elif why == Why.TURNED:
        exchange.closing = [name for name in reversed(market.selections) if on_close(exchange, name)]
    exchange.clearing = [position for position in reversed(exchange.positions.values()) if position.resting]
    _queue(book, market, exchange)


def reconsider(book: Book, market: Market) -> None:
    """Something is known of its results: all positions are due, after their orders have lapsed where it is closed."""
    exchange = market.exchange
    if exchange is None:
        return
    exchange.outcomes = positions.outcomes(market)
    counting.forget(exchange)
    exchange.due = list(reversed(exchange.positions.values()))
    if market.closed_ms:
        begin(book, market, Why.CLOSED.value)
    else:
        _queue(book, market, exchange)


def _queue(book: Book, market: Market, exchange: Exchange) -> None:
    key = market.fixture.id, market.id
    book.clearing.pop(key, None)
    if exchange.closing or exchange.clearing or exchange.due:
        book.clearing[key] = market
    book.traded[key] = market


def on_close(exchange: Exchange, selection: str) -> list[Order]:
    """The orders on a selection that take the starting price: those for the close, then those that rest until then.

    As many as one event holds (core/exchange/orders.py, `_room`), however deep the book is.
    """
    return [*exchange.on_close.get(selection, {}).values(), *exchange.until_close.get(selection, {}).values()]


def starting_price(market: Market, selection: str, most: int, now_ms: int) -> ev.StartingPriceMatched:
    """The orders on a selection that take the starting price, matched at it: so many, and what the others will get."""
    exchange = market.exchange
    assert exchange is not None
    made = exchange.made or _make_price(market, exchange, selection, now_ms)
    orders_of = on_close(exchange, selection)
    closers: dict[str, _Closer] = {}
    closed = []
    for order in orders_of[:most]:
        closer = closers.get(order.customer)
        if closer is None:
            closer = closers[order.customer] = _Closer(exchange.positions[order.customer], selection)
        stake_m = made.stakes_m[order.id]
        change_m = closer.close(order, made.price, stake_m)
        closed.append(ev.Closed(order.id, order.customer, stake_m, change_m, int(order.side)))
    currency = orders_of[0].owner.currency if orders_of else ""
    head = now_ms, market.fixture.id, market.id, selection, made.price, currency, tuple(closed)
    if exchange.made is not None:
        return ev.StartingPriceMatched(*head, made_ms=made.ts_ms)
    return ev.StartingPriceMatched(*head, rest=tuple(made.stakes_m.items())[most:])


def _make_price(market: Market, exchange: Exchange, selection: str, now_ms: int) -> Made:
    """The price, and what each order has matched at it: decided at once, for what one has the others have not."""
    waiting = on_close(exchange, selection)
    # Within the window of a cancel a match would be void at once, as a bet would be: all lapse.
    matched = [] if market.cancels_at(now_ms) else _waiting(exchange, selection)
    found = starting.reconcile(matched) if matched else starting.Reconciled(0, (0,) * len(waiting))
    stakes_m = {order.id: stake_m for order, stake_m in zip(waiting, found.stakes_m, strict=True)}
    return Made(selection, found.price, now_ms, stakes_m)


def _waiting(exchange: Exchange, selection: str) -> list[starting.Waiting]:
    """Those of `on_close`. One that rests until the close takes any price then (as at Betfair)."""
    closing, until = exchange.on_close.get(selection, {}), exchange.until_close.get(selection, {})
    waiting = [starting.Waiting(order.side, order.stake_m, order.price) for order in closing.values()]
    return waiting + [starting.Waiting(order.side, positions.at_risk(order)) for order in until.values()]


def near_and_far(exchange: Exchange, selection: str) -> tuple[int, int]:
    """The starting price if the off were now, with what rests in the book and without (core/exchange/starting.py).

    Summed up by side and limit before anything else: there may be 2 000 orders, and it is asked for often.
    """
    if not exchange.terms.starting_price or exchange.in_play:
        return 0, 0
    book = exchange.books.get(selection)
    until_close = exchange.until_close.get(selection, {}).values()
    far, near = [], []
    for side in Side:
        sums_m: dict[int, int] = {}
        for order in exchange.on_close.get(selection, {}).values():
            if order.side is side:
                sums_m[order.price] = sums_m.get(order.price, 0) + order.stake_m
        levels = book.levels(side) if book is not None else ()
        rests_m = {price: positions.open_m(side, price, stake_m) for price, stake_m in levels}
        for order in until_close:
            if order.side is side:  # it takes any price then, and not what it rests at
                risk_m = positions.at_risk(order)
                sums_m[0] = sums_m.get(0, 0) + risk_m
                rests_m[order.price] -= risk_m
        for limit, amount_m in sums_m.items():
            rests_m[limit] = rests_m.get(limit, 0) + amount_m
        far += [starting.Waiting(side, amount_m, limit) for limit, amount_m in sums_m.items()]
        near += [starting.Waiting(side, amount_m, limit) for limit, amount_m in rests_m.items()]
    return starting.meeting_price(near), starting.meeting_price(far)


class _Closer:
    """A customer whose orders on a selection take the starting price, one after the other: by how much each changes his
    exposure. His other selections are looked at once for all of them.
    """

    __slots__ = ("back_m", "exposure_m", "line", "others", "staked_m")

    def __init__(self, position: Position, selection: str) -> None:
        line = position.lines.get(selection) or Line()
        self.line = Line(line.back_m, line.lay_m, line.win_m)
        self.back_m, self.staked_m = position.back_m, position.staked_m
        self.others = positions.elsewhere(position, selection)
        self.exposure_m = self._exposure()

    def _exposure(self) -> int:
        return positions.exposure_there(self.others, self.line, self.back_m, self.staked_m)

    def close(self, order: Order, price: int, stake_m: int) -> int:
        """Nothing of the order rests any more; a stake has been matched."""
        _, win_m, staked_m, _, _ = positions.matched("", order.side, price, stake_m, positions.CLOSE)
        _, _, _, back_m, lay_m = positions.rests("", order.side, -positions.at_risk(order))
        line = self.line
        line.win_m += win_m
        line.back_m += back_m
        line.lay_m += lay_m
        self.staked_m += staked_m
        self.back_m += back_m
        was_m, self.exposure_m = self.exposure_m, self._exposure()
        return self.exposure_m - was_m


def apply_starting_price(book: Book, event: ev.StartingPriceMatched) -> None:
    """The orders' matches; what was not matched lapses. With the last of them the selection is done."""
    market = book.fixtures[event.fixture].markets[event.market]
    exchange = market.exchange
    assert exchange is not None
    if event.rest:
        exchange.made = Made(event.selection, event.price, event.ts_ms, dict(event.rest))
    made = exchange.made
    for closed in event.orders:
        orders.close(book, exchange, book.orders[closed.order], closed, event)
        if made is not None:
            made.stakes_m.pop(closed.order, None)
    if made is None or not made.stakes_m:
        exchange.made = None
        exchange.closing.remove(event.selection)
    book.traded[event.fixture, event.market] = market


def _lapses(order: Order, why: int) -> bool:
    """Whether an order lapses for this reason; those for the close live on until it comes, or the market is over.

    One that still waits for its delay lapses like one that rests: it was priced before something material happened.
    """
    if why == Why.CLOSED or order.selection.withdrawn_ms:
        return True
    if order.on_close:
        return why == Why.TURNED
    return why != Why.TURNED or order.persistence != Persistence.PERSIST


def advance(book: Book, limits: Limits, now_ms: int) -> Iterator[ev.Event]:
    """The next slice of the market that has waited longest; each event applied before the next."""
    for market in islice(book.clearing.values(), 1):
        exchange = market.exchange
        assert exchange is not None
        cleared_count = settled_count = counted = 0
        if exchange.closing:
            yield starting_price(market, exchange.closing[-1], limits.slice_max, now_ms)
        elif exchange.clearing:
            why = Why(exchange.why)
            for position in reversed(exchange.clearing[-limits.slice_max :]):
                gone = [order for order in position.resting.values() if _lapses(order, why)]
                cleared_count += 1
                if gone:
                    yield cancelling.cancelled(market, gone, why, now_ms)
                    break
        else:
            for event in _settled(exchange, limits, now_ms):
                settled_count += 1
                if event is not None:
                    yield event
            if settled_count < len(exchange.due):
                counted = counting.of(exchange.due[-1 - settled_count]).done
        yield ev.ExchangeAdvanced(
            now_ms, market.fixture.id, market.id, cleared_count, settled_count, counted, forgets=True
        )


def apply_advanced(book: Book, event: ev.ExchangeAdvanced) -> None:
    """The slice is done; a market that has more waits behind the others."""
    market = book.fixtures[event.fixture].markets[event.market]
    exchange = market.exchange
    assert exchange is not None
    if event.settled:
        for position in exchange.due[-event.settled :]:
            counting.make(position)
            counting.drop(position)
            positions.carry_all(book, position)
            if event.forgets:
                cancelling.forget(exchange, position)
        del exchange.due[-event.settled :]
        if not exchange.due:
            counting.forget(exchange)
    if event.counted:  # as in the engine that said so: a replay has no longer events than it had
        counting.advance(exchange.due[-1], event.counted - counting.of(exchange.due[-1]).done)
    if event.cleared:
        for position in exchange.clearing[-event.cleared :] if event.forgets and not exchange.due else ():
            cancelling.forget(exchange, position)
        del exchange.clearing[-event.cleared :]
    _queue(book, market, exchange)
    if not (exchange.closing or exchange.clearing or exchange.due):
        book.touch(market)


def _settled(exchange: Exchange, limits: Limits, now_ms: int) -> Iterator[ev.PositionSettled | None]:
    """The next due positions: for each what has to happen to it, if anything.

    Bounded by positions and by their trades: one that has more than a slice of them is counted over several.
    """
    trades_left = limits.slice_trades_max
    for position in reversed(exchange.due[-limits.slice_max :]):
        trades_left -= counting.advance(position, trades_left)
        if counting.of(position).done < len(position.trades):
            return
        yield review(position, now_ms)


def review(position: Position, now_ms: int) -> ev.PositionSettled | None:
    """What has to happen to a position for it to agree with what is known, if anything; its trades are counted."""
    market, customer = position.market, position.customer
    count = counting.of(position)
    assert count.done == len(position.trades), customer.id
    settled = (
        bool(market.closed_ms and position.trades) and not count.undecided
    )  # who had nothing matched is told nothing
    net_m = count.net_m if settled else 0
    commission_m = commission_down(net_m, market)
    exposure_m = 0 if settled else positions.exposure(counting.stated(position, count))
    known = position.settled, position.net_m, position.commission_m, position.exposure_m
    if known == (settled, net_m, commission_m, exposure_m):
        return None
    return ev.PositionSettled(
        now_ms,
        market.fixture.id,
        market.id,
        customer.id,
        customer.currency,
        position.net_m,
        position.commission_m,
        settled,
        net_m,
        commission_m,
        exposure_m - position.exposure_m,
    )


def commission_down(net_m: int, market: Market) -> int:
    """The commission on what a customer has won net in a market, rounded down: 7 % of 150.00 is 10.50."""
    assert market.exchange is not None
    return max(0, net_m) * market.exchange.terms.commission_bp // 10_000


def apply_settled(book: Book, event: ev.PositionSettled) -> None:
    """Money, and what the position can still cost."""
    market = book.fixtures[event.fixture].markets[event.market]
    exchange = market.exchange
    assert exchange is not None
    position = exchange.positions[event.customer]
    customer = position.customer
    counting.make(position)
    position.settled, position.net_m, position.commission_m = event.settled, event.net_m, event.commission_m
    position.exposure_m += event.exposure_m
    ledger.post(book, customer, event)
    if customer.protection is not None:
        protection.traded(customer, event)


def forget(book: Book, market: Market, count: int) -> None:
    """The market's next positions are past, and all that is held for them."""
    exchange = market.exchange
    if exchange is None:
        return
    for position in list(islice(exchange.positions.values(), count)):
        for order_id in position.orders:
            del book.orders[order_id]
        book.trades -= len(position.trades)
        del exchange.positions[position.customer.id]
        held = position.customer.positions
        assert held is not None
        del held[market.fixture.id, market.id]
        if not held:
            position.customer.positions = None
