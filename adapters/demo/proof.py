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
from adapters.demo.report import Report
from adapters.demo.tables import STAGES, Tables, read, without_zeros
from adapters.demo.tally import Exchange, Tally
from adapters.demo.watch import Watch
from adapters.journal import snapshots
from adapters.postgres import audit
from config.settings import Role, Settings
from core import invariants, ledger, snapshot
from core.book import Bet, Book
from core.engine import Engine
from core.messages.events import BetStatus
from core.messages.rejections import Rejection
from core.risk.liability import leg_result

_FAULTS_SHOWN: Final = 5
_LEGS_MAX: Final = 40
"""Of a match across selections."""


class LiveState(Struct, frozen=True):
    """The engine's own word, from its HTTP page `/state`."""

    event_no: int
    state_hash: str


class Outcome(Struct):
    """Figures of this run's bets, and of the whole journal. The order of the fields is that of the JSON line.

    Sums are in minor units of the book's currency, other currencies at the rates of their bets; `paid_m` with what bets
    were sold for. `bets` is the sum of accepted, rejected and pending.
    """

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
    by_kind: dict[str, int]
    """Accepted bets by their kind (adapters/demo/kinds.py), the most first; they sum to `accepted`."""
    pending: int
    """Bets that wait at the end."""
    waited: dict[str, int]
    """How many have waited, by stage: "delayed" in play, "referred" to the trader, and of those "offered" by him."""
    cash_outs: int
    exchange: Exchange
    """Of all exchange markets, counted in the journal."""
    failures: list[str] = field(default_factory=list)

    def json(self) -> str:
        """One line, without the failures: they stand on standard error."""
        figures = msgspec.to_builtins(self)
        del figures["failures"]
        return msgspec.json.encode(figures).decode()

    def text(self) -> str:
        """For people."""
        return (
            f"{self.bets:,} bets, {self.accepted:,} accepted, {self.settled:,} settled\n"
            f"rejected: {_listed(self.rejected)}\n"
            f"accepted: {_listed(self.by_kind)}\n"
            f"waited: {_listed(self.waited)}; {self.pending:,} still wait; {self.cash_outs:,} cash-outs\n"
            f"exchange: {self.exchange.text()}\n"
            f"staked {self.staked_m:,}, paid {self.paid_m:,}, the ledger sums to {self.ledger_sum_m} (minor units)\n"
            f"{self.journal_events:,} events in the journal, {self.projected_events:,} in Postgres\n"
            f"state {self.state_hash}, rebuilt {self.rebuilt_state_hash}\n"
            f"{self.bets_per_s:,.0f} bets/s, answered in {self.p50_ms:.1f} ms (p50), {self.p99_ms:.1f} ms (p99)\n"
            f"recordings: {', '.join(self.recordings) or 'none'}"
        )


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name.replace('_', ' ').lower()}" for name, count in counts.items()) or "none"


async def prove(settings: Settings, run: str, live: LiveState, watch: Watch) -> Outcome:
    """Compare. The engine has stopped; NATS and Postgres still run."""
    seen = watch.crowd
    tables = await read(settings, run)
    outcome = Outcome(
        bets=seen.bets,
        accepted=seen.answers.get("accepted", 0),
        rejected={reason: count for reason, count in sorted(seen.answers.items()) if reason != "accepted"},
        settled=tables.counts["settled"],
        staked_m=tables.counts["staked_base_m"],
        paid_m=tables.counts["paid_base_m"],
        ledger_sum_m=tables.counts["ledger_sum_m"],
        journal_events=0,
        projected_events=tables.counts["events"],
        state_hash=live.state_hash,
        rebuilt_state_hash="",
        recordings=sorted(watch.feeds.ended),
        bets_per_s=round(seen.whole_bets_per_s, 1),
        p50_ms=round(seen.whole_p50_ms, 3),
        p99_ms=round(seen.whole_p99_ms, 3),
        by_kind=dict(sorted(tables.by_kind.items(), key=lambda item: (-item[1], item[0]))),
        pending=tables.counts["pending"],
        waited={stage: tables.counts[stage] for stage in STAGES},
        cash_outs=tables.counts["cash_outs"],
        exchange=Exchange(),
    )
    client = await bus.connect(settings, Role.AUDITOR, name="demo proof")
    try:
        book = await _rebuild(settings, client.jetstream(), outcome, live)
        await _audit(settings, client.jetstream(), outcome, run)
    finally:
        await bus.close(client)
    _compare(outcome, tables, watch)
    compare_exchange(outcome, book, watch.crowd, settings.limits.currency)
    return outcome


async def _rebuild(settings: Settings, js: JetStreamContext, outcome: Outcome, live: LiveState) -> Book:
    """The state as an engine that starts gets it: the last snapshot, and the journal behind it."""
    book, sequence = await snapshots.rebuild(js, settings)
    async for stored in journal.read(js, settings.journal.stream, sequence):
        snapshots.replay(book, stored)
    invariants.check(book)
    outcome.journal_events = book.event_no
    outcome.rebuilt_state_hash = snapshot.state_hash(book)
    _expect(outcome, "events of the live engine", live.event_no, book.event_no)
    _expect(outcome, "rebuilt state", outcome.rebuilt_state_hash, live.state_hash)
    _expect(outcome, "bets that wait in the rebuilt state", len(book.pending), outcome.pending)
    for currency, sum_m in ledger.sums(book).items():
        _expect(outcome, f"sum of all {currency} in the rebuilt state", sum_m, 0)
    overdue = sum(is_overdue(bet) for bet in book.bets.values())
    _expect(outcome, "open bets on closed markets in the rebuilt state", overdue, 0)
    return book


async def _audit(settings: Settings, js: JetStreamContext, outcome: Outcome, run: str) -> None:
    """Postgres against a state that is rebuilt from the journal's first event on, which is counted on the way."""
    connection = await postgres.connect(settings.postgres)
    engine, report, tally = Engine(settings.limits), audit.Report(_FAULTS_SHOWN), Tally(f"{run}-demo-")
    try:
        await audit.audit(connection, engine, tally.over(journal.read(js, settings.journal.stream, 0)), report)
    finally:
        await connection.close()
    outcome.exchange = tally.seen
    outcome.failures.extend(report.lines)
    _expect(outcome, "differences found by the audit", report.count, 0)
    _expect(outcome, "state rebuilt from the first event on", snapshot.state_hash(engine.book), outcome.state_hash)


def _expect(outcome: Outcome, what: str, found: object, expected: object) -> None:
    if found != expected:
        outcome.failures.append(f"{what}: {found}, expected {expected}")


def _compare(outcome: Outcome, tables: Tables, watch: Watch) -> None:
    """Customers and the desk against Postgres, and what must be so at the end."""
    seen, counts = watch.crowd, tables.counts
    _expect(outcome, "sum of the ledger", outcome.ledger_sum_m, 0)
    _expect(outcome, "currencies whose balances do not sum to zero", tables.unbalanced, [])
    _expect(outcome, "events in Postgres", outcome.projected_events, outcome.journal_events)
    _expect(outcome, "accepted bets in Postgres", counts["accepted"], outcome.accepted)
    _expect(outcome, "their kinds in Postgres", tables.by_kind, seen.by_kind)
    _expect(outcome, "bets that wait in Postgres", outcome.pending, seen.pending)
    _expect(outcome, "bets that wait by the engine's metrics", sum(watch.waiting.values()), outcome.pending)
    _expect(outcome, "bets decided or waiting", outcome.bets, sum(seen.answers.values()) + seen.pending)
    _expect(outcome, "their stakes in Postgres", tables.staked_m, seen.staked_m)
    _expect(outcome, "what they were paid in Postgres", tables.paid_m, without_zeros(seen.paid_m))
    _expect(outcome, "what was sold in Postgres", tables.sold_m, seen.sold_m)
    _expect(outcome, "cash-outs in Postgres", outcome.cash_outs, seen.cash_outs)
    _expect(outcome, "the trader's answers in Postgres", tables.told, watch.desk.told)
    if not seen.timeouts:  # of a bet that was asked for twice, the first answer is not known
        _expect(outcome, "bets that have waited in Postgres", without_zeros(outcome.waited), seen.waited)
    journalled = sum(count for reason, count in outcome.rejected.items() if reason != Rejection.BUSY.name)
    _expect(outcome, "bets refused in Postgres", counts["rejected"], journalled)
    _expect(outcome, "open bets on closed markets in Postgres", counts["overdue"], 0)
    _expect(outcome, "open bets", counts["open"], 0)
    for problem in [*seen.faults[:_FAULTS_SHOWN], *watch.desk.faults[:_FAULTS_SHOWN], *watch.feeds.errors]:
        outcome.failures.append(problem)


def compare_exchange(outcome: Outcome, book: Book, crowd: Report, currency: str) -> None:
    """Customers against the journal, and the money: all of it settled, nothing set aside, nothing stuck in between."""
    found, seen = outcome.exchange, crowd.exchange
    if not crowd.timeouts:
        _expect(outcome, "orders of customers in the journal", found.customers, seen.orders + seen.replaced)
    exposed = {customer.id: customer.exposure_m for customer in book.customers.values() if customer.exposure_m}
    _expect(outcome, "exposures of customers when all is settled", exposed, {})
    resting = sum(customer.resting for customer in book.customers.values())
    _expect(outcome, "orders that rest when all is settled", resting, 0)
    commission_m = book.house.get((ledger.HOUSE_COMMISSION, currency), 0)
    _expect(outcome, "commission in the ledger", commission_m, found.commission_m)
    # A match across selections leaves the house less than one minor unit a leg, and never costs it any; at the starting
    # price, where many match with many, each order's payout is rounded for itself.
    left_m = book.house.get((ledger.HOUSE_EXCHANGE, currency), 0)
    if not -found.closed <= left_m <= _LEGS_MAX * found.crosses + found.closed:
        outcome.failures.append(f"house:exchange has {left_m}, with {found.crosses} matches across selections")


def is_overdue(bet: Bet) -> bool:
    """An open bet that nothing keeps open: every leg is decided, or one that stands in every line is lost.

    What a system needs is more than this can see; the audit compares it with Postgres.
    """
    results = [leg_result(bet, leg) for leg in bet.legs]
    decided = all(result is not None for result in results)
    lost = bet.system is None and any(
        result is not None and not result.result and not result.void_factor for result in results
    )
    return bet.status == BetStatus.OPEN and (decided or lost)
