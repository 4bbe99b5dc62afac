"""Orders, matches and positions in exchange markets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adapters.postgres.comparing.rows import Differences, Rows, differences, keyed

if TYPE_CHECKING:
    from adapters.postgres.connection import Connection
    from core.book import Book, Order, Position


async def compare(connection: Connection, book: Book, report: Differences) -> None:
    """All that the engine holds; of what it has forgotten Postgres knows more."""
    await _orders(connection, book, report)
    await _waiting(connection, book, report)
    await _positions(connection, book, report)


async def _orders(connection: Connection, book: Book, report: Differences) -> None:
    columns = "customer fixture market selection side price stake_m on_close persistence resting_m matched_m paid"
    query = f"""
        SELECT DISTINCT ON (id) id, {", ".join(columns.split())} FROM order_states
        WHERE id = ANY($1) ORDER BY id, order_no DESC, step DESC
    """  # noqa: S608
    expected: Rows = {(order.id,): _order(order) for order in book.orders.values() if order.waits is None}
    found = await keyed(connection, 1, query, [name for (name,) in expected])
    differences(report, "order", columns, expected, found)


def _order(order: Order) -> tuple[Any, ...]:
    selection = order.selection
    market = selection.market
    place = order.customer, market.fixture.id, market.id, selection.id
    asked = int(order.side), order.price, order.asked_m, order.on_close, order.persistence
    return (*place, *asked, order.stake_m, order.matched_m, order.paid)


async def _waiting(connection: Connection, book: Book, report: Differences) -> None:
    query = """
        SELECT DISTINCT ON (w.id) w.id, w.customer, w.until_ms FROM order_waits w
        WHERE NOT EXISTS (SELECT FROM orders o WHERE o.id = w.id AND o.order_no >= w.event_no)
          AND NOT EXISTS (SELECT FROM order_changes c WHERE c.order_id = w.id AND c.event_no >= w.event_no)
        ORDER BY w.id, w.event_no DESC
    """
    expected: Rows = {
        (order.id,): (order.customer, order.waits.until_ms) for order in book.orders.values() if order.waits is not None
    }
    differences(report, "waiting order", "customer until_ms", expected, await keyed(connection, 1, query))


async def _positions(connection: Connection, book: Book, report: Differences) -> None:
    """Those of markets that the engine knows; what Postgres has from before a market was archived is history."""
    query = """
        WITH since AS (SELECT m.fixture, m.market,
                              (SELECT coalesce(max(a.event_no), 0) FROM market_archivings a
                               WHERE (a.fixture, a.market) = (m.fixture, m.market)) AS event_no
                       FROM markets m WHERE NOT m.archived AND m.exchange IS NOT NULL),
             traded AS (SELECT t.fixture, t.market, t.customer, count(*) AS trades, sum(t.stake_m) AS staked_m
                        FROM trades t JOIN since s USING (fixture, market) WHERE t.event_no > s.event_no
                        GROUP BY t.fixture, t.market, t.customer)
        SELECT t.fixture, t.market, t.customer, t.trades, t.staked_m, coalesce(p.settled, false),
               coalesce(p.net_m, 0), coalesce(p.commission_m, 0)
        FROM traded t LEFT JOIN LATERAL (
            SELECT settled, net_m, commission_m FROM position_settlements p
            WHERE (p.fixture, p.market, p.customer) = (t.fixture, t.market, t.customer)
            ORDER BY p.event_no DESC LIMIT 1) p ON true
    """
    expected: Rows = {
        (market.fixture.id, market.id, position.customer.id): _position(position)
        for market in book.markets()
        if market.exchange is not None
        for position in market.exchange.positions.values()
        if position.trades
    }
    found = await keyed(connection, 3, query)
    # Positions are forgotten in slices, before their market is.
    differences(report, "position", "trades staked_m settled net_m commission_m", expected, found, more_allowed=True)


def _position(position: Position) -> tuple[Any, ...]:
    staked_m = sum(trade.stake_m for trade in position.trades)
    return len(position.trades), staked_m, position.settled, position.net_m, position.commission_m
