"""What a bounded run ends with: the same story from four sides, which must agree.

The customers say what they were answered; the engine, its state; the journal, what happened; Postgres, what stands.
The state is rebuilt in this process, from NATS alone, once as a restart does it and once from the journal's beginning.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct, field
from nats.js import JetStreamContext

from adapters import bus, journal, postgres
from adapters.demo import crowd, programme
from adapters.journal import snapshots
from adapters.postgres import audit
from config.settings import Role, Settings
from core import invariants, snapshot
from core.book import Bet
from core.engine import Engine
from core.liability import leg_result
from core.messages.events import BetStatus
from core.messages.rejections import Rejection

_FAULTS_SHOWN: Final = 5


class LiveState(Struct, frozen=True):
    """The engine's own word, from its HTTP page `/state`."""

    event_no: int
    state_hash: str


class Outcome(Struct):
    """Figures of this run's bets, and of the whole journal. The order of the fields is that of the JSON line."""

    bets: int
    accepted: int
    rejected: dict[str, int]
    settled: int
    staked_m: int
    paid_m: int
    ledger_sum_m: int
    journal_events: int
    projected_events: int
    state_hash: str
    rebuilt_state_hash: str
    recordings: list[str]
    bets_per_s: float
    p50_ms: float
    p99_ms: float
    failures: list[str] = field(default_factory=list)

    def json(self) -> str:
        """One line, without the failures: they stand on standard error."""
        figures = msgspec.to_builtins(self)
        del figures["failures"]
        return msgspec.json.encode(figures).decode()

    def text(self) -> str:
        """For people."""
        rejected = ", ".join(f"{count:,} {reason.replace('_', ' ').lower()}" for reason, count in self.rejected.items())
        return (
            f"{self.bets:,} bets, {self.accepted:,} accepted, {self.settled:,} settled; rejected: {rejected}\n"
            f"staked {self.staked_m:,}, paid {self.paid_m:,}, the ledger sums to {self.ledger_sum_m} (minor units)\n"
            f"{self.journal_events:,} events in the journal, {self.projected_events:,} in Postgres\n"
            f"state {self.state_hash}, rebuilt {self.rebuilt_state_hash}\n"
            f"{self.bets_per_s:,.0f} bets/s, answered in {self.p50_ms:.1f} ms (p50), {self.p99_ms:.1f} ms (p99)\n"
            f"recordings: {', '.join(self.recordings) or 'none'}"
        )


async def prove(settings: Settings, run: str, live: LiveState, seen: crowd.Report, played: programme.Report) -> Outcome:
    """Compare. The engine has stopped; NATS and Postgres still run."""
    rejected = {reason: count for reason, count in sorted(seen.answers.items()) if reason != "accepted"}
    tables = await _tables(settings, run)
    outcome = Outcome(
        bets=seen.bets,
        accepted=seen.answers.get("accepted", 0),
        rejected=rejected,
        settled=tables["settled"],
        staked_m=tables["staked_m"],
        paid_m=tables["paid_m"],
        ledger_sum_m=tables["ledger_sum_m"],
        journal_events=0,
        projected_events=tables["events"],
        state_hash=live.state_hash,
        rebuilt_state_hash="",
        recordings=sorted(played.ended),
        bets_per_s=round(seen.whole_bets_per_s, 1),
        p50_ms=round(seen.whole_p50_ms, 3),
        p99_ms=round(seen.whole_p99_ms, 3),
    )
    client = await bus.connect(settings, Role.AUDITOR, name="demo proof")
    try:
        await _rebuild(settings, client.jetstream(), outcome, live)
        await _audit(settings, client.jetstream(), outcome)
    finally:
        await bus.close(client)
    _compare(outcome, tables, seen, played)
    return outcome


async def _rebuild(settings: Settings, js: JetStreamContext, outcome: Outcome, live: LiveState) -> None:
    """The state as an engine that starts gets it: the last snapshot, and the journal behind it."""
    book, sequence = await snapshots.rebuild(js, settings)
    async for stored in journal.read(js, settings.journal.stream, sequence):
        snapshots.replay(book, stored)
    invariants.check(book)
    outcome.journal_events = book.event_no
    outcome.rebuilt_state_hash = snapshot.state_hash(book)
    _expect(outcome, "events of the live engine", live.event_no, book.event_no)
    _expect(outcome, "rebuilt state", outcome.rebuilt_state_hash, live.state_hash)
    overdue = sum(is_overdue(bet) for bet in book.bets.values())
    _expect(outcome, "open bets on closed markets in the rebuilt state", overdue, 0)


async def _audit(settings: Settings, js: JetStreamContext, outcome: Outcome) -> None:
    """Postgres against a state that is rebuilt from the journal's first event on."""
    connection = await postgres.connect(settings.postgres)
    engine, report = Engine(settings.limits), audit.Report(_FAULTS_SHOWN)
    try:
        await audit.audit(connection, engine, journal.read(js, settings.journal.stream, 0), report)
    finally:
        await connection.close()
    outcome.failures.extend(report.lines)
    _expect(outcome, "differences found by the audit", report.count, 0)
    _expect(outcome, "state rebuilt from the first event on", snapshot.state_hash(engine.book), outcome.state_hash)


def _expect(outcome: Outcome, what: str, found: object, expected: object) -> None:
    if found != expected:
        outcome.failures.append(f"{what}: {found}, expected {expected}")


def _compare(outcome: Outcome, tables: dict[str, int], seen: crowd.Report, played: programme.Report) -> None:
    """Customers against Postgres, and what the issue asks for."""
    _expect(outcome, "sum of the ledger", outcome.ledger_sum_m, 0)
    _expect(outcome, "sum of the balances", tables["balances_m"], 0)
    _expect(outcome, "events in Postgres", outcome.projected_events, outcome.journal_events)
    _expect(outcome, "accepted bets in Postgres", tables["accepted"], outcome.accepted)
    _expect(outcome, "their stakes in Postgres", outcome.staked_m, seen.staked_m)
    journalled = sum(count for reason, count in outcome.rejected.items() if reason != Rejection.BUSY.name)
    _expect(outcome, "bets refused in Postgres", tables["rejected"], journalled)
    _expect(outcome, "open bets on closed markets in Postgres", tables["overdue"], 0)
    _expect(outcome, "open bets", tables["open"], 0)
    for problem in [*seen.faults[:_FAULTS_SHOWN], *played.errors]:
        outcome.failures.append(problem)


def is_overdue(bet: Bet) -> bool:
    """An open bet that nothing keeps open: every leg is decided, or one of them is lost."""
    results = [leg_result(bet, leg) for leg in bet.legs]
    decided = all(result is not None for result in results)
    lost = any(result is not None and not result.result and not result.void_factor for result in results)
    return bet.status == BetStatus.OPEN and (decided or lost)


_TABLES: Final = """
WITH mine AS (SELECT * FROM bets WHERE id LIKE $1),
decided AS (
    SELECT l.bet_no, bool_and(s.result IS NOT NULL OR c.market IS NOT NULL) AS all_legs,
           bool_or(s.result = 0 AND s.void_factor = 0 AND c.market IS NULL) AS lost
    FROM bets b JOIN bet_legs l USING (bet_no) JOIN selections s USING (fixture, market, selection)
    LEFT JOIN LATERAL (
        SELECT market FROM market_cancels c
        WHERE (c.fixture, c.market) = (l.fixture, l.market) AND c.rolled_back_no IS NULL
          AND c.from_ms <= b.ts_ms AND (c.to_ms = 0 OR b.ts_ms < c.to_ms) LIMIT 1
    ) c ON true
    WHERE b.status = 0 GROUP BY l.bet_no
)
SELECT (SELECT count(*) FROM mine) AS accepted,
       (SELECT count(*) FROM mine WHERE status <> 0) AS settled,
       (SELECT count(*) FROM mine WHERE status = 0) AS open,
       (SELECT coalesce(sum(stake_m), 0) FROM mine) AS staked_m,
       (SELECT coalesce(sum(paid_m), 0) FROM mine) AS paid_m,
       (SELECT coalesce(sum(signed_m), 0) FROM ledger_postings) AS ledger_sum_m,
       (SELECT coalesce(sum(balance_m), 0) FROM accounts) AS balances_m,
       (SELECT count(*) FROM events) AS events,
       (SELECT count(*) FROM bet_rejections JOIN rejections ON code = reason
        WHERE id LIKE $1 AND name <> 'DUPLICATE_ID') AS rejected,
       (SELECT count(*) FROM decided WHERE all_legs OR lost) AS overdue
"""
"""A refused bet is counted once: what a retry with another content gets (DUPLICATE_ID) is no bet."""


async def _tables(settings: Settings, run: str) -> dict[str, int]:
    """Postgres' side of it."""
    connection = await postgres.connect(settings.postgres)
    try:
        row = await connection.fetchrow(_TABLES, f"{run}-demo-%")
    finally:
        await connection.close()
    assert row is not None
    return {name: int(value) for name, value in row.items()}
