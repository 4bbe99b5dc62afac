"""Orders that the engine has forgotten: their market is over for long, or nothing of them was ever matched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from core.book import Persistence
from core.exchange.ladder import Side
from core.messages.answers import OrderState, Rejected
from core.messages.rejections import Rejection

if TYPE_CHECKING:
    import asyncpg

    from adapters.postgres.connection import Pool

# An id may have been used again after the engine forgot it: the latest order is meant.
_ORDER: Final = """
    SELECT id, customer, fixture, market, selection, side, ts_ms, price, stake_m, on_close, persistence, resting_m,
           matched_m, paid
    FROM order_states WHERE id = $1 ORDER BY order_no DESC, step DESC LIMIT 1
"""
# Refused when its delay was over, in a batch, or at once; of retries the first answer holds.
_REFUSED: Final = """
    SELECT event_no, reason, 0 AS passed_limit, '' AS detail FROM order_changes WHERE order_id = $1 AND reason <> 0
    UNION ALL SELECT event_no, reason, passed_limit, detail FROM order_refusals WHERE id = $1
    UNION ALL SELECT event_no, reason, passed_limit, detail FROM command_rejections WHERE id = $1 AND reason <> $2
    ORDER BY event_no LIMIT 1
"""


async def order(pool: Pool, order_id: str) -> OrderState | Rejected | None:
    """An order as it stood last, or the refusal of one; None where there was neither."""
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        found = await connection.fetchrow(_ORDER, order_id)
        if found is not None:
            return _state(found)
        refused = await connection.fetchrow(_REFUSED, order_id, Rejection.DUPLICATE_ID.value)
    if refused is None:
        return None
    reason = Rejection(refused["reason"]).name
    return Rejected(order_id, reason, limit=refused["passed_limit"], detail=refused["detail"])


def _state(row: asyncpg.Record) -> OrderState:
    """As the engine says it (core/queries.py)."""
    resting_m, matched_m = int(row["resting_m"]), int(row["matched_m"])
    status = "on_close" if row["on_close"] else "resting"
    return OrderState(
        row["id"],
        row["customer"],
        row["fixture"],
        row["market"],
        row["selection"],
        Side(row["side"]).name.lower(),
        row["ts_ms"],
        status if resting_m else "done",
        row["price"],
        row["stake_m"],
        resting_m,
        matched_m,
        int(row["paid"]) // matched_m if matched_m else 0,
        Persistence(row["persistence"]).name.lower(),
    )
