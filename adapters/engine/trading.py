"""What a customer is told of his orders on `orders.<customer>`: every order that is new or has changed, whoever asked.

He placed, reduced, replaced or cancelled it, on whatever screen; others were matched with it, its delay is over, the
market let it lapse, the starting price was made, a position was settled. A notice says the whole state of an order or a
position, as of the end of its turn, so that the last one holds and several changes within a turn are one notice.
Nothing is kept for slow readers: the server cuts them off, and they resume.

Each customer's notices are numbered, in each term of the engine from `term << 32` on, so that a gap is seen. To resume,
or to begin: subscribe, ask `order.list`, drop notices up to its `sequence`, apply those after it. What lies between is
in the list; a notice after it may say again what the list has said. Of an order that the list does not have nothing is
left. What an engine was about to tell when it died, nobody tells any more, and where no notice follows no gap is seen:
so at the word of the next engine on `engine-started` (Started) everybody resumes.

Lays of the house come and go with its prices; of them only matches are told.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from msgspec import Struct

from adapters import subjects
from adapters.codec import JSON
from adapters.metrics import Metrics
from core import ledger, queries
from core.engine import Engine
from core.exchange.orders import WHY_NAMES
from core.messages import events as ev
from core.messages.answers import OrderNotice, PositionNotice
from core.refusals import REASON_NAMES

_REPLACED: Final = "replaced"


class _Change(NamedTuple):
    """The last thing that has happened to an order in this turn."""

    customer: str
    fixture: str
    market: str
    ts_ms: int
    why: str = ""
    reason: str = ""


class Trading:
    """Gathers what a turn's events have changed, and tells it at the turn's end."""

    def __init__(self, engine: Engine, metrics: Metrics) -> None:
        self._engine = engine
        self._published = metrics.odds
        self._counted = metrics.orders
        self._sequences: dict[str, int] = {}
        """By customer, of those told anything in this term."""
        self._orders: dict[str, _Change] = {}
        self._positions: dict[tuple[str, str, str], ev.PositionSettled] = {}
        """By fixture, market and customer."""
        self._hearers: dict[type, Callable[[Any], None]] = {
            ev.OrderPlaced: self._placed,
            ev.OrderPending: self._pending,
            ev.OrdersCancelled: self._cancelled,
            ev.OrderReduced: self._reduced,
            ev.OrderBatch: self._batch,
            ev.StartingPriceMatched: self._closed,
            ev.PositionSettled: self._settled,
        }

    def sequence(self, customer: str) -> int:
        """The number of the last notice to a customer."""
        return max(self._sequences.get(customer, 0), self._engine.book.term << 32)

    def hear(self, event: ev.Event | ev.OrderRefused) -> None:
        """Take an event, whoever has caused it."""
        hearer = self._hearers.get(type(event))
        if hearer is not None:
            hearer(event)

    def flush(self, outbox: list[tuple[str, bytes]]) -> None:
        """At the end of a turn: tell what has changed in it, each order and position once."""
        if self._orders:
            changes, self._orders = self._orders, {}
            for order_id, change in changes.items():
                self._tell_order(order_id, change, outbox)
        if self._positions:
            settled, self._positions = self._positions, {}
            for event in settled.values():
                self._tell_position(event, outbox)

    # What has changed.

    def _batch(self, event: ev.OrderBatch) -> None:
        for step in event.steps:
            self.hear(step)

    def _placed(self, event: ev.OrderPlaced) -> None:
        """Its makers, and the order itself; of the house's price that has moved nothing is told."""
        place = event.fixture, event.market, event.ts_ms
        self._counted["taken"] += 1
        self._counted["matches"] += len(event.fills) + len(event.crosses)
        makers = ledger.makers(event)
        for fill in makers:
            self._orders[fill.maker] = _Change(fill.customer, *place)
        if event.replaces:
            self._orders[event.replaces] = _Change(event.customer, *place, _REPLACED)
        if makers or event.customer != self._house(event):
            self._orders[event.id] = _Change(event.customer, *place, WHY_NAMES[event.why] if event.lapsed_m else "")

    def _house(self, event: ev.OrderPlaced) -> str:
        market = self._engine.book.fixtures[event.fixture].markets[event.market]
        return market.exchange.terms.house if market.exchange is not None else ""

    def _pending(self, event: ev.OrderPending) -> None:
        self._orders[event.id] = _Change(event.customer, event.fixture, event.market, event.ts_ms)

    def _reduced(self, event: ev.OrderReduced) -> None:
        self._orders[event.order] = _Change(event.customer, event.fixture, event.market, event.ts_ms)

    def _cancelled(self, event: ev.OrdersCancelled) -> None:
        if event.why == ev.Why.HOUSE:
            return
        reason = REASON_NAMES[event.reason] if event.reason else ""
        why = WHY_NAMES[event.why]
        for order_id in event.orders:
            place = event.customer, event.fixture, event.market
            self._orders[order_id] = _Change(*place, event.ts_ms, why, reason)

    def _closed(self, event: ev.StartingPriceMatched) -> None:
        unmatched = WHY_NAMES[ev.Why.UNMATCHED.value]
        for closed in event.orders:
            place = closed.customer, event.fixture, event.market
            self._orders[closed.order] = _Change(*place, event.ts_ms, "" if closed.stake_m else unmatched)

    def _settled(self, event: ev.PositionSettled) -> None:
        self._positions[event.fixture, event.market, event.customer] = event

    # Telling it.

    def _tell_order(self, order_id: str, change: _Change, outbox: list[tuple[str, bytes]]) -> None:
        order = self._engine.book.orders.get(order_id)
        if order is None and not change.why:
            return  # its market was forgotten in the same turn
        head = self._next_sequence(change.customer), order_id, change.ts_ms, change.fixture, change.market
        why, reason = change.why, change.reason
        if order is None:
            notice = OrderNotice(*head, "done", why=why, reason=reason)
        else:
            state = queries.order_state(order)
            left = state.status, state.resting_m, state.matched_m, state.price_matched
            asked = state.selection, state.side, state.price, state.stake_m, state.persistence
            notice = OrderNotice(*(*head, *left, why, reason, *asked))
        self._tell(change.customer, notice, outbox)

    def _tell_position(self, event: ev.PositionSettled, outbox: list[tuple[str, bytes]]) -> None:
        sequence, place = self._next_sequence(event.customer), (event.fixture, event.market)
        notice = PositionNotice(sequence, event.ts_ms, *place, event.settled, event.net_m, event.commission_m)
        self._tell(event.customer, notice, outbox)

    def _next_sequence(self, customer: str) -> int:
        sequence = self._sequences[customer] = self.sequence(customer) + 1
        return sequence

    def _tell(self, customer: str, notice: Struct, outbox: list[tuple[str, bytes]]) -> None:
        outbox.append((subjects.orders(customer), JSON.encode(notice)))
        self._published["order notice"] += 1
