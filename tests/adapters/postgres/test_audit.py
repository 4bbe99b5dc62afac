"""The audit finds what was planted: one difference of each kind, made with SQL behind the projector's back."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import asyncpg
import pytest

from adapters import postgres
from adapters.postgres import audit as auditing
from core import snapshot
from core.engine import Engine
from core.limits import Limits
from tests.adapters.projected import FakeJournal, busy_world, project, settings_of

if TYPE_CHECKING:
    from core.book import Book

PLANTED = {
    "a balance": (
        "UPDATE customers SET cash_m = cash_m + 1 WHERE customer = 'ann'",
        [
            r"customer ann: cash_m is \d+, should be \d+",
            r"ledger: EUR sums to 1",
            r"ledger: ann cash: entries sum to \d+, the balance is \d+",
        ],
    ),
    "a house account": (
        "UPDATE house_accounts SET balance_m = balance_m - 2 WHERE account = 'house:betting'",
        [
            r"house account house:betting EUR: balance_m is -?\d+, should be -?\d+",
            r"ledger: EUR sums to -2",
            r"ledger: house:betting EUR: entries sum to -?\d+, the balance is -?\d+",
        ],
    ),
    "a customer's status": (
        "UPDATE customers SET suspended = false WHERE customer = 'cid'",
        [r"customer cid: suspended is False, should be True"],
    ),
    "a bet's stake": (
        "UPDATE bets SET stake_m = 901 WHERE id = 'mixed'",
        [
            r"bet mixed: stake_m is 901, should be 900",
            r"bets: not in the journal: \d+ mixed .* 901 .*",
            r"bets: missing in Postgres: \d+ mixed .* 900 .*",
        ],
    ),
    "a bet's status": (
        "UPDATE bets SET status = 2, settled_ms = 5 WHERE id = 'mixed'",
        [
            r"bet mixed: status is 2, should be 0",
            r"bets: mixed \(\d+\) is 2, paid 0; its last settlement says 0, 0",
        ],
    ),
    "what an archived bet was paid": (
        "UPDATE bets SET paid_m = 7 WHERE id = 'single-0-ann'",
        [r"bets: single-0-ann \(\d+\) is 1, paid 7; its last settlement says 1, 2150"],
    ),
    "a leg's price": (
        "UPDATE bet_legs SET price = 49999 WHERE bet_no = (SELECT bet_no FROM bets WHERE id = 'feed')",
        [
            r"bet feed: legs is \['race win red 49999 50000'\], should be \['race win red 50000 50000'\]",
            r"bet_legs: not in the journal: .* 49999 .*",
            r"bet_legs: missing in Postgres: .* 50000 .*",
        ],
    ),
    "a bet that is gone": (
        "DELETE FROM bets WHERE id = 'feed'",
        [r"bet feed: missing in Postgres", r"bets: missing in Postgres: \d+ feed .*"],
    ),
    "a bet that never was": (
        "INSERT INTO bets VALUES (3, 'x', 1, 'zoe', 'EUR', 1, 1)",
        [
            r"bet x: open in Postgres \(3\), the engine does not know it",
            r"bets: not in the journal: 3 x .*",
            r"bets: x \(3\) is of an unknown customer",
        ],
    ),
    "a market's flag": (
        "UPDATE markets SET suspended = true WHERE fixture = 'match9'",
        [r"market match9 winner: suspended is True, should be False"],
    ),
    "a market too many": (
        "INSERT INTO markets VALUES ('race', 'place', 'desk', 't', 'n', '', 1, 0)",
        [r"market race place: the engine does not know it"],
    ),
    "a fixture's start": (
        "UPDATE fixtures SET start_ms = 5 WHERE fixture = 'race'",
        [r"fixture race: start_ms is 5, should be \d+"],
    ),
    "a desk's price": (
        "UPDATE selections SET price = 18100 WHERE (fixture, selection) = ('match9', 'home')",
        [r"selection match9 winner home: price is 18100, should be 18000"],
    ),
    "a result": (
        """UPDATE selections SET result = 1, void_factor = 0, dead_heat_places = 1, dead_heat_sharing = 1
           WHERE (fixture, selection) = ('match2', 'home')""",
        [
            r"selection match2 winner home: result is 1, should be nothing",
            r"selection match2 winner home: void_factor is 0, should be nothing",
            r"selection match2 winner home: dead_heat_places is 1, should be nothing",
            r"selection match2 winner home: dead_heat_sharing is 1, should be nothing",
        ],
    ),
    "a reserve": (
        "UPDATE reserves SET hold_until_ms = 1 WHERE status = 'held'",
        [
            r"reserve r3: hold_until_ms is 1, should be \d+",
            r"reserves: not in the journal: \d+ 1",
            r"reserves: missing in Postgres: \d+ \d+",
        ],
    ),
    "a ledger entry": (
        "DELETE FROM ledger_entries WHERE amount_m = 300 AND target LIKE 'clearing:%'",
        [
            r"ledger_entries: missing in Postgres: \d+ 0 \d+ bob reserved clearing:card 300 EUR",
            r"ledger: bob reserved: entries sum to \d+, the balance is \d+",
            r"ledger: clearing:card EUR: entries sum to 0, the balance is 300",
        ],
    ),
    "a settlement": (
        "DELETE FROM settlements WHERE bet_no = (SELECT bet_no FROM bets WHERE id = 'single-0-bob')",
        [
            r"settlements: missing in Postgres: \d+ single-0-bob .*",
            r"bets: single-0-bob \(\d+\) is 2, paid 0; its last settlement says 0, 0",
        ],
    ),
    "a refusal's reason": (
        "UPDATE bet_rejections SET reason = 310 WHERE id = 'moved'",
        [r"bet_rejections: not in the journal: .* 310 .*", r"bet_rejections: missing in Postgres: .* 260 .*"],
    ),
    "an author": (
        "UPDATE desk_actions SET author = 'nobody' WHERE action = 'BetVoided'",
        [
            r"desk_actions: not in the journal: .* nobody BetVoided .*",
            r"desk_actions: missing in Postgres: .* BetVoided .*",
        ],
    ),
    "an event's body": (
        "UPDATE events SET body = body || '\\x00' WHERE event_no = 20",
        [
            r"events: not in the journal: 20 .*",
            r"events: missing in Postgres: 20 .*",
            r"events: the hash of event 20 does not follow from the one before and its body",
        ],
    ),
    "an event that is gone": (
        "DELETE FROM events WHERE event_no = 20",
        [
            r"events: missing in Postgres: 20 .*",
            r"events: 20 to 20 are missing",
            r"events: the hash of event 21 does not follow from the one before and its body",
        ],
    ),
}


async def audited(url: str, journal: FakeJournal, book: Book | None = None, after: int = 0) -> auditing.Report:
    connection = await postgres.connect(settings_of(url).postgres)
    report = auditing.Report()
    await auditing.audit(connection, Engine(Limits(), book), journal.batches(after), report)
    await connection.close()
    return report


@pytest.fixture
async def journal(fresh_database: str) -> FakeJournal:
    """The busy world's, projected."""
    journal = FakeJournal()
    journal.fill(busy_world().events)
    await project(fresh_database, journal)
    return journal


@pytest.mark.parametrize("kind", PLANTED)
async def test_a_planted_difference_is_named(fresh_database: str, journal: FakeJournal, kind: str) -> None:
    statement, expected = PLANTED[kind]
    connection = await asyncpg.connect(fresh_database)
    await connection.execute("ALTER TABLE events DISABLE TRIGGER events_append_only")
    await connection.execute(statement)
    await connection.close()
    report = await audited(fresh_database, journal)
    unexpected = [line for line in report.lines if not any(re.fullmatch(each, line) for each in expected)]
    unseen = [each for each in expected if not any(re.fullmatch(each, line) for line in report.lines)]
    assert (unexpected, unseen) == ([], [])
    assert report.count == len(report.lines) > 0


async def test_a_snapshot_and_the_tail_do_as_well(fresh_database: str, journal: FakeJournal) -> None:
    engine = Engine(Limits())
    half = len(journal.stored) // 2
    for stored in journal.stored[:half]:
        for event in stored.batch.events:
            engine.apply(event)
    restored = snapshot.restore(snapshot.encode(engine.book))
    assert (await audited(fresh_database, journal, restored, half)).lines == []


async def test_the_audit_looks_at_the_position_of_postgres(fresh_database: str, journal: FakeJournal) -> None:
    """What the journal says beyond it is not missing."""
    more = busy_world().events[:5]
    journal.append(more)
    report = await audited(fresh_database, journal)
    assert (report.lines, report.events) == ([], journal.events - len(more))


async def test_a_journal_that_is_too_short_is_named(fresh_database: str, journal: FakeJournal) -> None:
    del journal.stored[-1]
    report = await audited(fresh_database, journal)
    assert re.fullmatch(r"journal: ends at event \d+, Postgres stands at \d+", report.lines[0])


async def test_the_lines_are_bounded_and_the_count_is_whole() -> None:
    report = auditing.Report(lines_max=3)
    for number in range(10):
        report.add(str(number))
    assert (report.lines, report.count) == (["0", "1", "2"], 10)
