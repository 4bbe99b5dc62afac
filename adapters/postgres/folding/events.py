"""Every event of the journal into a slice; the table at the end says which file has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from adapters.postgres.folding import bets, customers, exchange, markets
from adapters.postgres.slices import TAGS
from core.messages import events as ev

if TYPE_CHECKING:
    from collections.abc import Callable

    import msgspec

    from adapters.postgres.slices import Slice


def fold(rows: Slice, sequence: int, event: ev.Event, body: bytes | msgspec.Raw) -> None:
    """Fold in the next event; `body` is its msgpack, `sequence` the message of the journal that it stands in."""
    _HANDLERS[type(event)](rows, rows.store(sequence, event, body), event)


def _engine_started(rows: Slice, number: int, event: ev.EngineStarted) -> None:
    rows.inserts["engine_starts"].append((number, event.ts_ms, event.term, event.instance, event.release))


def _rate_set(rows: Slice, number: int, event: ev.RateSet) -> None:
    rows.inserts["rate_changes"].append((number, event.ts_ms, event.currency, event.rate))
    rows.act(number, event, (event.currency,), f"rate {event.rate}")


def _command_rejected(rows: Slice, number: int, event: ev.CommandRejected) -> None:
    who = event.customer, event.author
    row = (number, event.id, event.ts_ms, event.command, *who, event.reason, event.limit, event.detail)
    rows.inserts["command_rejections"].append(row)


def _no_row(_rows: Slice, _number: int, _event: ev.Event) -> None:
    """Bookkeeping of the engine: it stands in `events` and nowhere else."""


_HANDLERS: Final[dict[type, Callable[[Slice, int, Any], None]]] = {
    **customers.HANDLERS,
    **markets.HANDLERS,
    **bets.HANDLERS,
    **exchange.HANDLERS,
    ev.EngineStarted: _engine_started,
    ev.RateSet: _rate_set,
    ev.WordKept: _no_row,
    ev.SettlementAdvanced: _no_row,
    ev.ScoringAdvanced: _no_row,
    ev.BetAdvanced: _no_row,
    ev.ExchangeAdvanced: _no_row,
    ev.CommandRejected: _command_rejected,
}
assert _HANDLERS.keys() == TAGS.keys(), "an event that the projector does not know"
