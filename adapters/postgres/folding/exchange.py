"""Events of exchange markets as rows: orders, matches, what positions came to. All of them are only added."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from core.book import Between
from core.messages import events as ev

if TYPE_CHECKING:
    from collections.abc import Callable

    from adapters.postgres.slices import Slice

_json = msgspec.json.Encoder().encode
_ACROSS, _CLOSE = Between.ACROSS.value, Between.CLOSE.value


def _placed(rows: Slice, number: int, event: ev.OrderPlaced, step: int = 0) -> None:
    what = event.side, event.price, event.stake_m, event.on_close, event.persistence, event.lapsed_m, event.why
    place = event.fixture, event.market
    head = number, step, event.id, event.ts_ms, event.customer, event.currency
    rows.inserts["orders"].append((*head, *place, event.selection, *what, event.replaces, event.waited))
    own = event.selection, event.id, event.customer, event.side
    for fill in event.fills:
        _trade(rows, number, event, (*own, fill.price, fill.stake_m, 0, True))
        _made(rows, number, event, fill, 3 - event.side, 0)
    for cross in event.crosses:
        _trade(rows, number, event, (*own, cross.price, cross.stake_m, _ACROSS, True))
        for fill in cross.makers:
            _made(rows, number, event, fill, event.side, _ACROSS)


def _made(rows: Slice, number: int, event: ev.OrderPlaced, fill: ev.Fill, side: int, between: int) -> None:
    maker = fill.selection, fill.maker, fill.customer, side
    _trade(rows, number, event, (*maker, fill.price, fill.stake_m, between, False))


def _trade(rows: Slice, number: int, event: ev.OrderPlaced | ev.StartingPriceMatched, row: tuple[Any, ...]) -> None:
    """A side of a match; its line is its place among those of the event. At a starting price it is as old as that."""
    made_ms = event.made_ms if isinstance(event, ev.StartingPriceMatched) else 0
    trades = rows.inserts["trades"]
    line = trades[-1][1] + 1 if trades and trades[-1][0] == number else 0
    trades.append((number, line, made_ms or event.ts_ms, event.fixture, event.market, *row))


def _pending(rows: Slice, number: int, event: ev.OrderPending, step: int = 0) -> None:
    place = event.fixture, event.market
    row = (number, step, event.id, event.ts_ms, event.customer, *place, event.until_ms, _json(event.command).decode())
    rows.inserts["order_waits"].append(row)


def _change(rows: Slice, number: int, ts_ms: int, *row: Any) -> None:
    changes = rows.inserts["order_changes"]
    line = changes[-1][1] + 1 if changes and changes[-1][0] == number else 0
    changes.append((number, line, ts_ms, *row))


def _cancelled(rows: Slice, number: int, event: ev.OrdersCancelled, _step: int = 0) -> None:
    for order in event.orders:
        _change(rows, number, event.ts_ms, order, "ended", 0, event.why, event.reason)


def _reduced(rows: Slice, number: int, event: ev.OrderReduced, _step: int = 0) -> None:
    _change(rows, number, event.ts_ms, event.order, "reduced", event.by_m, 0, 0)


def _refused(rows: Slice, number: int, event: ev.OrderRefused, step: int = 0) -> None:
    row = (number, step, event.ts_ms, event.id, event.reason, event.limit, event.detail)
    rows.inserts["order_refusals"].append(row)


_STEPS: Final[dict[type, Callable[..., None]]] = {
    ev.OrderPlaced: _placed,
    ev.OrderPending: _pending,
    ev.OrdersCancelled: _cancelled,
    ev.OrderReduced: _reduced,
    ev.OrderRefused: _refused,
}


def _alone(rows: Slice, number: int, event: Any) -> None:
    """A step that is an event of its own."""
    _STEPS[type(event)](rows, number, event)
    rows.move_others(number, event)


def _batch(rows: Slice, number: int, event: ev.OrderBatch) -> None:
    for step, each in enumerate(event.steps):
        _STEPS[type(each)](rows, number, each, step)
    rows.move_others(number, event)


def _cleared(rows: Slice, number: int, event: ev.ExchangeCleared) -> None:
    key = event.fixture, event.market
    rows.inserts["exchange_clearings"].append((number, event.ts_ms, *key, event.source, event.why))
    rows.act(number, event, key, ev.Why(event.why).name.lower())


def _starting_price(rows: Slice, number: int, event: ev.StartingPriceMatched) -> None:
    place = event.fixture, event.market, event.selection
    if not event.made_ms:
        rows.inserts["exchange_starting_prices"].append((number, event.ts_ms, *place, event.price))
    for closed in event.orders:
        if closed.stake_m:
            own = event.selection, closed.order, closed.customer, closed.side
            _trade(rows, number, event, (*own, event.price, closed.stake_m, _CLOSE, False))
        _change(rows, number, event.ts_ms, closed.order, "ended", 0, ev.Why.UNMATCHED.value, 0)
    rows.move_others(number, event)


def _position_settled(rows: Slice, number: int, event: ev.PositionSettled) -> None:
    position = event.fixture, event.market, event.customer
    came_to = event.settled, event.net_m, event.commission_m, event.exposure_m
    row = (number, event.ts_ms, *position, event.was_net_m, event.was_commission_m, *came_to)
    rows.inserts["position_settlements"].append(row)
    rows.move(number, event)


HANDLERS: Final[dict[type, Callable[[Slice, int, Any], None]]] = {
    ev.OrderPlaced: _alone,
    ev.OrderPending: _alone,
    ev.OrdersCancelled: _alone,
    ev.OrderReduced: _alone,
    ev.OrderBatch: _batch,
    ev.ExchangeCleared: _cleared,
    ev.StartingPriceMatched: _starting_price,
    ev.PositionSettled: _position_settled,
}
