"""What Postgres says of a run's bets, and of all money: one side of the proof."""

from __future__ import annotations

from collections import Counter
from typing import Final

from msgspec import Struct

from adapters import postgres
from adapters.demo import kinds
from config.settings import Settings


class Tables(Struct):
    """Postgres' side of it; sums by currency in minor units."""

    counts: dict[str, int]
    by_kind: dict[str, int]
    staked_m: dict[str, int]
    paid_m: dict[str, int]
    sold_m: dict[str, int]
    told: dict[str, int]
    """The trader's answers, by action."""
    unbalanced: list[str]
    """Currencies whose balances do not sum to zero."""


STAGES: Final = ("delayed", "referred", "offered")
_COUNTS: Final = """
WITH mine AS (SELECT * FROM bets WHERE id LIKE $1),
waited AS (SELECT * FROM pending_bets WHERE id LIKE $1),
decided AS (
    SELECT l.bet_no, b.folds IS NOT NULL AS system,
           bool_and(s.result IS NOT NULL OR s.withdrawn_ms > 0 OR c.market IS NOT NULL) AS all_legs,
           bool_or(s.result = 0 AND s.void_factor = 0 AND s.withdrawn_ms = 0 AND c.market IS NULL) AS lost
    FROM bets b JOIN bet_legs l USING (bet_no) JOIN selections s USING (fixture, market, selection)
    LEFT JOIN LATERAL (
        SELECT market FROM market_cancels c
        WHERE (c.fixture, c.market) = (l.fixture, l.market) AND c.rolled_back_no IS NULL
          AND c.from_ms <= b.ts_ms AND (c.to_ms = 0 OR b.ts_ms < c.to_ms) LIMIT 1
    ) c ON true
    WHERE b.status = 0 GROUP BY l.bet_no, b.folds
)
SELECT (SELECT count(*) FROM mine) AS accepted,
       (SELECT count(*) FROM mine WHERE status <> 0) AS settled,
       (SELECT count(*) FROM mine WHERE status = 0) AS open,
       (SELECT coalesce(sum(stake_m::numeric * rate / 1000000), 0) FROM mine) AS staked_base_m,
       (SELECT coalesce(sum((paid_m + cashed_out_m)::numeric * rate / 1000000), 0) FROM mine) AS paid_base_m,
       (SELECT count(*) FROM cash_outs JOIN mine USING (bet_no)) AS cash_outs,
       (SELECT count(*) FROM waited WHERE ended_no IS NULL) AS pending,
       (SELECT count(*) FROM waited WHERE reason IS NULL) AS delayed,
       (SELECT count(*) FROM waited WHERE reason IS NOT NULL) AS referred,
       (SELECT count(*) FROM waited WHERE offered_no IS NOT NULL) AS offered,
       (SELECT coalesce(sum(signed_m), 0) FROM ledger_postings) AS ledger_sum_m,
       (SELECT count(*) FROM events) AS events,
       (SELECT count(*) FROM bet_rejections JOIN rejections ON code = reason
        WHERE id LIKE $1 AND name <> 'DUPLICATE_ID') AS rejected,
       (SELECT count(*) FROM decided WHERE all_legs OR (lost AND NOT system)) AS overdue
"""
"""A refused bet is counted once: what a retry with another content gets (DUPLICATE_ID) is no bet."""
_BY_KIND: Final = """
SELECT kind, legs, each_way, builder, count(*) FROM (
    SELECT b.kind, b.each_way, count(*) AS legs, bool_or(m.market_type = $2) AS builder
    FROM bets b JOIN bet_legs l USING (bet_no) JOIN markets m USING (fixture, market)
    WHERE b.id LIKE $1 GROUP BY b.bet_no, b.kind, b.each_way
) each_bet GROUP BY kind, legs, each_way, builder
"""
_BY_CURRENCY: Final = """
SELECT currency, sum(stake_m) AS staked_m, sum(paid_m) AS paid_m, sum(cashed_out_m) AS sold_m
FROM bets WHERE id LIKE $1 GROUP BY currency
"""
_TOLD: Final = """
SELECT answer->>'action', count(*) FROM pending_bets WHERE id LIKE $1 AND answer IS NOT NULL GROUP BY 1
"""
_UNBALANCED: Final = "SELECT currency FROM accounts GROUP BY currency HAVING sum(balance_m) <> 0 ORDER BY currency"


async def read(settings: Settings, run: str) -> Tables:
    """Of the bets of this run, and of all money."""
    mine = f"{run}-demo-%"
    connection = await postgres.connect(settings.postgres)
    try:
        counts = await connection.fetchrow(_COUNTS, mine)
        by_kind = Counter[str]()
        for kind, legs, each_way, builder, count in await connection.fetch(_BY_KIND, mine, kinds.BUILDER):
            by_kind[kinds.name(kind, legs, each_way=each_way, builder=builder)] += count
        sums = await connection.fetch(_BY_CURRENCY, mine)
        told = await connection.fetch(_TOLD, mine)
        unbalanced = await connection.fetch(_UNBALANCED)
    finally:
        await connection.close()
    assert counts is not None

    def of(name: str) -> dict[str, int]:
        return without_zeros({row["currency"]: int(row[name]) for row in sums})

    return Tables(
        counts={name: int(value) for name, value in counts.items()},
        by_kind=dict(by_kind),
        staked_m=of("staked_m"),
        paid_m=of("paid_m"),
        sold_m=of("sold_m"),
        told={action: int(count) for action, count in told},
        unbalanced=[currency for (currency,) in unbalanced],
    )


def without_zeros(sums: dict[str, int]) -> dict[str, int]:
    """What is nothing need not be named: not everybody knows all names."""
    return {name: value for name, value in sums.items() if value}
