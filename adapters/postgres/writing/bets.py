"""Bets, those that wait among them, and what becomes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from adapters.postgres.writing.statements import change, copy

if TYPE_CHECKING:
    from adapters.postgres.connection import Connection
    from adapters.postgres.slices import Slice

# An id may have been used for a bet before, which is long settled: the latest before the event is meant, here as below.
# History and present in one statement, since finding the bet is what costs. Of several changes the last one stands.
_SETTLEMENTS: Final = """
    WITH found AS (
        SELECT u.*, (SELECT b.bet_no FROM bets b WHERE b.id = u.id AND b.bet_no < u.event_no
                     ORDER BY b.bet_no DESC LIMIT 1) AS bet_no
        FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::smallint[], $5::bigint[], $6::smallint[], $7::bigint[],
                    $8::bigint[]) u (event_no, id, ts_ms, was, was_paid_m, status, paid_m, capped_m)
    ), history AS (
        INSERT INTO settlements (event_no, bet_no, ts_ms, was, was_paid_m, status, paid_m, capped_m)
        SELECT event_no, bet_no, ts_ms, was, was_paid_m, status, paid_m, capped_m FROM found
    )
    UPDATE bets b SET status = last.status, paid_m = last.paid_m, capped_m = last.capped_m,
           settled_ms = CASE WHEN last.status <> 0 THEN last.ts_ms END
    FROM (SELECT DISTINCT ON (bet_no) bet_no, status, paid_m, capped_m, ts_ms
          FROM found ORDER BY bet_no, event_no DESC) last
    WHERE b.bet_no = last.bet_no
"""
# After the settlements of the slice: a bet that is sold whole is settled no more.
_CASH_OUTS: Final = """
    WITH found AS (
        SELECT u.*, (SELECT b.bet_no FROM bets b WHERE b.id = u.bet AND b.bet_no < u.event_no
                     ORDER BY b.bet_no DESC LIMIT 1) AS bet_no
        FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[])
                 u (event_no, bet, ts_ms, id, stake_m, paid_m)
    ), history AS (
        INSERT INTO cash_outs (event_no, bet_no, ts_ms, id, stake_m, paid_m)
        SELECT event_no, bet_no, ts_ms, id, stake_m, paid_m FROM found
    )
    UPDATE bets b SET cashed_out_stake_m = b.cashed_out_stake_m + sold.stake_m,
           cashed_out_m = b.cashed_out_m + sold.paid_m,
           status = CASE WHEN b.cashed_out_stake_m + sold.stake_m = b.stake_m THEN 4 ELSE b.status END,
           settled_ms = CASE WHEN b.cashed_out_stake_m + sold.stake_m = b.stake_m THEN sold.ts_ms ELSE b.settled_ms END
    FROM (SELECT bet_no, sum(stake_m)::bigint AS stake_m, sum(paid_m)::bigint AS paid_m, max(ts_ms) AS ts_ms
          FROM found GROUP BY bet_no) sold
    WHERE b.bet_no = sold.bet_no
"""
_VOIDED: Final = """
    UPDATE bets b SET voided = true FROM unnest($1::bigint[], $2::text[]) u (event_no, id)
    WHERE b.bet_no = (SELECT max(x.bet_no) FROM bets x WHERE x.id = u.id AND x.bet_no < u.event_no)
"""
_LEGS_VOIDED: Final = """
    UPDATE bet_legs l SET voided = true FROM unnest($1::bigint[], $2::text[], $3::smallint[]) u (event_no, id, leg)
    WHERE l.bet_no = (SELECT max(x.bet_no) FROM bets x WHERE x.id = u.id AND x.bet_no < u.event_no) AND l.leg = u.leg
"""
_PENDING: Final = """
    UPDATE pending_bets p SET {changes} FROM unnest({arrays}) u (event_no, id, {columns})
    WHERE p.pending_no = (SELECT max(x.pending_no) FROM pending_bets x
                          WHERE x.id = u.id AND x.pending_no < u.event_no)
"""
_ANSWERED: Final = _PENDING.format(
    changes="answered_no = u.event_no, answer = u.answer",
    arrays="$1::bigint[], $2::text[], $3::jsonb[]",
    columns="answer",
)
_OFFERED: Final = _PENDING.format(
    changes="stage = 2, until_ms = u.until_ms, reserved_m = p.reserved_m - u.returned_m, "
    "offered_no = u.event_no, offer = u.offer",
    arrays="$1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::jsonb[]",
    columns="until_ms, returned_m, offer",
)
_TAKEN: Final = _PENDING.format(
    changes="taken = u.taken", arrays="$1::bigint[], $2::text[], $3::boolean[]", columns="taken"
)
# Most that are decided have never waited, and the id of one may have been used for one that has: the first end stands.
_DECIDED: Final = """
    UPDATE pending_bets p SET ended_no = first.event_no, ended = first.ended
    FROM (SELECT DISTINCT ON (w.pending_no) w.pending_no, u.event_no, u.ended
          FROM unnest($1::bigint[], $2::text[], $3::text[]) u (event_no, id, ended),
               LATERAL (SELECT x.pending_no, x.ended_no FROM pending_bets x
                        WHERE x.id = u.id AND x.pending_no < u.event_no ORDER BY x.pending_no DESC LIMIT 1) w
          WHERE w.ended_no IS NULL ORDER BY w.pending_no, u.event_no) first
    WHERE p.pending_no = first.pending_no
"""


async def write(connection: Connection, rows: Slice) -> None:
    """All that the slice says of bets. A settled or sold one that is not there breaks NOT NULL in the history."""
    for table in ("pending_bets", "bets", "bet_legs", "bet_rejections"):
        await copy(connection, table, rows)
    await change(connection, _ANSWERED, rows.answered, all_found=True)
    await change(connection, _OFFERED, rows.offered, all_found=True)
    await change(connection, _TAKEN, rows.taken, all_found=True)
    await change(connection, _DECIDED, rows.decided)
    await change(connection, _SETTLEMENTS, rows.settlements)
    await change(connection, _CASH_OUTS, rows.cash_outs)
    await change(connection, _VOIDED, rows.voided)
    await change(connection, _LEGS_VOIDED, rows.legs_voided, all_found=True)
