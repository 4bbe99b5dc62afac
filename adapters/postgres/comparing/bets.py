"""Bets, and those that wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from adapters.postgres.comparing.rows import Differences, Rows, as_json, differences, keyed
from adapters.postgres.folding.bets import answer_facts, offer_facts

if TYPE_CHECKING:
    from adapters.postgres.connection import Connection
    from core.book import Bet, BetLeg, Book

BETS_PIECE: Final = 2_000
"""Bets looked up by one query."""


async def compare(connection: Connection, book: Book, report: Differences) -> None:
    """Bets, then those that wait."""
    await _bets(connection, book, report)
    await _pending(connection, book, report)


_BETS: Final = """
    SELECT b.id, b.ts_ms, b.customer, b.stake_m, b.payout_m, b.status, b.paid_m, b.voided, b.kind, b.folds, b.lines,
           b.each_way, b.free_bet, b.rate, b.payout_max_m, b.cashed_out_stake_m, b.cashed_out_m, b.capped_m,
           ARRAY(SELECT concat_ws(' ', l.fixture, l.market, l.selection, l.price, l.requested,
                                  CASE WHEN l.banker AND b.folds IS NOT NULL THEN 'banker' END,
                                  CASE WHEN l.starting_price THEN 'at the off' END,
                                  l.places || ' places ' || l.place_numerator || '/' || l.place_denominator,
                                  CASE WHEN l.voided THEN 'void' END)
                 FROM bet_legs l WHERE l.bet_no = b.bet_no ORDER BY l.leg)
    FROM unnest($1::text[]) asked (id),
         LATERAL (SELECT * FROM bets x WHERE x.id = asked.id ORDER BY x.bet_no DESC LIMIT 1) b
"""


async def _bets(connection: Connection, book: Book, report: Differences) -> None:
    columns = (
        "ts_ms customer stake_m payout_m status paid_m voided kind folds lines each_way free_bet rate payout_max_m "
        "cashed_out_stake_m cashed_out_m capped_m legs"
    )
    bets = list(book.bets.values())
    for start in range(0, len(bets), BETS_PIECE):
        piece = bets[start : start + BETS_PIECE]
        found = await keyed(connection, 1, _BETS, [bet.id for bet in piece])
        differences(report, "bet", columns, {(bet.id,): _bet(bet) for bet in piece}, found)
    async for row in connection.cursor("SELECT id, bet_no FROM bets WHERE status = 0"):
        if row["id"] not in book.bets:
            report.add(f"bet {row['id']}: open in Postgres ({row['bet_no']}), the engine does not know it")


def _bet(bet: Bet) -> tuple[Any, ...]:
    system = bet.system
    bankers: tuple[bool, ...] = (False,) * len(bet.legs)
    lines: tuple[Any, ...] = "", None, 1, False
    if system is not None:
        bankers = system.shape.bankers
        lines = system.kind, list(system.shape.folds), system.lines, system.each_way
    return (
        bet.ts_ms,
        bet.customer.id,
        bet.stake_m,
        bet.payout_m,
        bet.status,
        bet.paid_m,
        bet.voided,
        *lines,
        bet.free_bet,
        bet.rate,
        bet.payout_max_m,
        bet.cashed_out_stake_m,
        bet.cashed_out_m,
        bet.capped_m,
        [_leg(leg, banker=banker) for leg, banker in zip(bet.legs, bankers, strict=True)],
    )


def _leg(leg: BetLeg, *, banker: bool) -> str:
    selection, terms = leg.selection, leg.place
    market = selection.market
    words = [market.fixture.id, market.id, selection.id, str(leg.price), str(leg.requested)]
    words += ["banker"] * banker + ["at the off"] * leg.starting_price
    if terms is not None:
        words.append(f"{terms.places} places {terms.numerator}/{terms.denominator}")
    return " ".join([*words, *["void"] * leg.voided])


async def _pending(connection: Connection, book: Book, report: Differences) -> None:
    """The engine keeps a trader's answer until it is carried out, Postgres for ever."""
    columns = "ts_ms customer stage until_ms reserved_m taken command answer offer"
    query = """
        SELECT id, ts_ms, customer, stage, until_ms, reserved_m, taken, command,
               CASE WHEN offered_no IS NULL THEN answer END, offer
        FROM pending_bets WHERE ended_no IS NULL
    """
    expected: Rows = {
        (waiting.id,): (
            waiting.asked.ts_ms,
            waiting.customer.id,
            waiting.stage,
            waiting.until_ms,
            waiting.reserved_m,
            waiting.taken,
            as_json(waiting.command),
            None if waiting.verdict is None else as_json(answer_facts(waiting.verdict)),
            None if waiting.offer is None else as_json(offer_facts(waiting.offer)),
        )
        for waiting in book.pending.values()
    }
    differences(report, "pending bet", columns, expected, await keyed(connection, 1, query, json=(6, 7, 8)))
