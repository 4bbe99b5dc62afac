"""The audit finds what was planted: one difference of each kind, made with SQL behind the projector's back."""

from __future__ import annotations

import re

import asyncpg
import pytest

from adapters.postgres import audit as auditing
from core import snapshot
from core.engine import Engine
from core.limits import Limits
from tests.adapters.projected import FakeJournal, audited, busy_world, project

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
    "a bonus account": (
        "UPDATE customers SET bonus_m = bonus_m + 1 WHERE customer = 'ann'",
        [
            r"customer ann: bonus_m is 76, should be 75",
            r"ledger: EUR sums to 1",
            r"ledger: ann bonus: entries sum to 75, the balance is 76",
        ],
    ),
    "whether a customer is verified": (
        "UPDATE customers SET verified = true WHERE customer = 'eve'",
        [r"customer eve: verified is True, should be False"],
    ),
    "a time-out": (
        "UPDATE customers SET timed_out_until_ms = 1 WHERE customer = 'eve'",
        [r"customer eve: timed_out_until_ms is 1, should be \d+"],
    ),
    "a self-exclusion": (
        "UPDATE customers SET excluded_until_ms = 1 WHERE customer = 'eve'",
        [r"customer eve: excluded_until_ms is 1, should be \d+"],
    ),
    "the history of exclusions": (
        "UPDATE exclusions SET until_ms = 1 WHERE kind = 'time_out'",
        [r"exclusions: not in the journal: .* eve time_out 1", r"exclusions: missing in Postgres: .* eve time_out \d+"],
    ),
    "a customer's own limit": (
        "UPDATE own_limit_changes SET limit_m = 5001 WHERE (kind, step) = ('stake', 'set')",
        [
            r"own limit dan stake day: limit_m is 5001, should be 5000",
            r"own_limit_changes: not in the journal: .* dan stake day set 5001 0",
            r"own_limit_changes: missing in Postgres: .* dan stake day set 5000 0",
        ],
    ),
    "a raise that waits": (
        "DELETE FROM own_limit_changes WHERE (kind, step) = ('stake', 'asked')",
        [
            r"own limit dan stake day: next_m is 0, should be 8000",
            r"own limit dan stake day: confirm_from_ms is 0, should be \d+",
            r"own_limit_changes: missing in Postgres: .* dan stake day asked 8000 \d+",
        ],
    ),
    "an own limit that was taken away": (
        "DELETE FROM own_limit_changes WHERE (kind, step) = ('loss', 'confirmed')",
        [
            r"own limit dan loss month: the engine does not know it",
            r"own_limit_changes: missing in Postgres: .* dan loss month confirmed 0 0",
        ],
    ),
    "a customer's factor": (
        "UPDATE customer_factor_changes SET factor_bp = 1 WHERE factor_bp = 20000",
        [
            r"factor bob all sports pre-match: factor_bp is 1, should be 20000",
            r"customer_factor_changes: not in the journal: .* bob  False 1",
            r"customer_factor_changes: missing in Postgres: .* bob  False 20000",
        ],
    ),
    "a factor that was taken back": (
        "DELETE FROM customer_factor_changes WHERE factor_bp = 10000",
        [
            r"factor bob tennis in play: the engine does not know it",
            r"customer_factor_changes: missing in Postgres: .* bob tennis True 10000",
        ],
    ),
    "a rate": (
        "UPDATE rate_changes SET rate = 900001 WHERE rate = 900000",
        [
            r"rate USD: rate is 900001, should be 900000",
            r"rate_changes: not in the journal: .* USD 900001",
            r"rate_changes: missing in Postgres: .* USD 900000",
        ],
    ),
    "a limit": (
        "UPDATE limit_changes SET liability_max_m = 5 WHERE liability_max_m = 1000000",
        [
            r"limit book: liability_max_m is 5, should be 1000000",
            r"limit_changes: not in the journal: .* 0 0 5 .*",
            r"limit_changes: missing in Postgres: .* 0 0 1000000 .*",
        ],
    ),
    "a ramp": (
        "UPDATE limit_changes SET ramp = '[[60000, 1]]' WHERE ramp <> '[]'",
        [
            r"limit fixture race: ramp is \[\[60000, 1\]\], should be \[\[60000, 7500\], \[3600000, 5000\]\]",
            r"limit_changes: not in the journal: .*",
            r"limit_changes: missing in Postgres: .*",
        ],
    ),
    "a limit that is gone": (
        "DELETE FROM limit_changes WHERE selection = 'red'",
        [
            r"limit fixture race market win selection red: missing in Postgres",
            r"limit_changes: missing in Postgres: .* race  win red .*",
        ],
    ),
    "a limit that was forgotten": (
        "UPDATE limit_changes SET forgotten_no = NULL WHERE fixture = 'match9'",
        [
            r"limit fixture match9: the engine does not know it",
            r"limit fixture match9 market winner selection home: the engine does not know it",
        ],
    ),
    "what a bonus requires": (
        "UPDATE bonuses SET required_m = 5176 WHERE bonus = 'runs'",
        [
            r"bonus ann runs: required_m is 5176, should be 5175",
            r"bonuses: not in the journal: .* runs match 75 5176 .*",
            r"bonuses: missing in Postgres: .* runs match 75 5175 .*",
        ],
    ),
    "what was staked for a bonus": (
        "UPDATE settlements SET status = 0 WHERE bet_no = (SELECT bet_no FROM bets WHERE id = 'wagered')",
        [
            r"bonus ann runs: staked_m is 700, should be 1300",
            r"settlements: not in the journal: .* wagered .*",
            r"settlements: missing in Postgres: .* wagered .*",
            r"bets: wagered \(\d+\) is 2, paid 0; its last settlement says 0, 0",
        ],
    ),
    "the end of a bonus": (
        "UPDATE bonuses SET ended_no = NULL, how = NULL WHERE bonus = 'lapsed'",
        [r"bonus ann lapsed: the engine does not know it"],
    ),
    "the end of a free bet": (
        "UPDATE bonuses SET ended_no = NULL, how = NULL WHERE bonus = 'cancelled'",
        [r"free bet cid cancelled: the engine does not know it"],
    ),
    "a free bet that is used up": (
        "UPDATE bonuses SET ended_no = 5, how = 'expired' WHERE bonus = 'back'",
        [r"free bet cid back: missing in Postgres"],
    ),
    "a bet's lines": (
        "UPDATE bets SET kind = 'heinz', folds = '{1,2}', lines = 12 WHERE id = 'yankee'",
        [
            r"bet yankee: kind is heinz, should be yankee",
            r"bet yankee: folds is \[1, 2\], should be \[2, 3, 4\]",
            r"bet yankee: lines is 12, should be 11",
            r"bets: not in the journal: .* yankee .*",
            r"bets: missing in Postgres: .* yankee .*",
        ],
    ),
    "what staked a bet": (
        "UPDATE bets SET free_bet = '', rate = 7, payout_max_m = 8, each_way = true WHERE id = 'free-delayed'",
        [
            r"bet free-delayed: free_bet is , should be waits",
            r"bet free-delayed: rate is 7, should be 1000000",
            r"bet free-delayed: payout_max_m is 8, should be \d+",
            r"bet free-delayed: each_way is True, should be False",
            r"bets: not in the journal: .* free-delayed .*",
            r"bets: missing in Postgres: .* free-delayed .*",
        ],
    ),
    "what a bet was sold for": (
        "UPDATE bets SET cashed_out_m = 1 WHERE id = 'sold'",
        [
            r"bet sold: cashed_out_m is 1, should be \d+",
            r"bets: sold \(\d+\) is 4, 1000 of 1000 sold for 1; its cash-outs say 1000 for \d+",
        ],
    ),
    "a cash-out": (
        "DELETE FROM cash_outs WHERE bet_no = (SELECT bet_no FROM bets WHERE id = 'half-sold')",
        [
            r"cash_outs: missing in Postgres: \d+ half-sold \d+ c\d+ 500 \d+",
            r"bets: half-sold \(\d+\) is 1, 500 of 1000 sold for \d+; its cash-outs say 0 for 0",
        ],
    ),
    "a bet that was sold whole": (
        "UPDATE bets SET status = 0, settled_ms = NULL WHERE id = 'sold'",
        [
            r"bet sold: status is 0, should be 4",
            r"bets: sold \(\d+\) is 0, 1000 of 1000 sold for \d+; its cash-outs say 1000 for \d+",
        ],
    ),
    "what the payout maximum has cut off": (
        "UPDATE settlements SET capped_m = 1 WHERE capped_m > 0",
        [r"settlements: not in the journal: .* capped .* 1", r"settlements: missing in Postgres: .* capped .* 40000"],
    ),
    "a banker": (
        "UPDATE bet_legs SET banker = false WHERE banker",
        [
            r"bet banker: legs is .*",
            r"bet_legs: not in the journal: .* day0 winner home .*",
            r"bet_legs: missing in Postgres: .* day0 winner home .*",
        ],
    ),
    "a leg's place terms": (
        "UPDATE bet_legs SET places = 3 WHERE places = 2",
        [
            r"bet running: legs is \['york win r1 .* 3 places 1/4'\], should be \['york win r1 .* 2 places 1/4'\]",
            r"bet_legs: not in the journal: .* york win r1 .* 3 1 4",
            r"bet_legs: missing in Postgres: .* york win r1 .* 2 1 4",
        ],
    ),
    "a leg that was taken back": (
        "UPDATE bet_legs SET voided = false WHERE voided",
        [r"bet part-void: legs is \['york win r2 50000 50000', .*, should be \['york win r2 50000 50000 void', .*"],
    ),
    "how a bet waits": (
        "UPDATE pending_bets SET stage = 1, until_ms = 5, reserved_m = 6 WHERE id = 'still-delayed'",
        [
            r"pending bet still-delayed: stage is 1, should be 0",
            r"pending bet still-delayed: until_ms is 5, should be \d+",
            r"pending bet still-delayed: reserved_m is 6, should be 250",
        ],
    ),
    "what a waiting bet asks for": (
        "UPDATE pending_bets SET command = command || '{\"stake_m\": 1}' WHERE id = 'still-referred'",
        [
            r"pending bet still-referred: command is .*, should be .*",
            r"pending_bets: not in the journal: .* still-referred .*",
            r"pending_bets: missing in Postgres: .* still-referred .*",
        ],
    ),
    "an offer": (
        "UPDATE pending_bets SET offer = offer || '{\"stake_m\": 1}', taken = true WHERE id = 'still-offered'",
        [
            r"pending bet still-offered: offer is .*, should be .*",
            r"pending bet still-offered: taken is True, should be nothing",
        ],
    ),
    "a bet that waits no more": (
        "UPDATE pending_bets SET ended_no = NULL, ended = NULL WHERE id = 'declined'",
        [r"pending bet declined: the engine does not know it"],
    ),
    "how a waiting bet ended": (
        "UPDATE pending_bets SET ended = 'accepted' WHERE id = 'declined'",
        [r"pending_bets: declined \(\d+\) was accepted by event \d+, which says nothing of it"],
    ),
    "whose outright a fixture is": (
        "UPDATE fixtures SET outright_of = 'league' WHERE fixture = 'later'",
        [r"fixture later: outright_of is league, should be cup"],
    ),
    "a score": (
        """UPDATE fixture_scores SET score = '{"sport": "football", "final": [3, 1]}'
           WHERE event_no = (SELECT max(event_no) FROM fixture_scores)""",
        [
            r"score derby: score is .*\[3, 1\].*, should be .*\[2, 1\].*",
            r"fixture_scores: not in the journal: .*",
            r"fixture_scores: missing in Postgres: .*",
        ],
    ),
    "a market's terms": (
        """UPDATE markets SET specifiers = '{"line": "3.5"}', delay_ms = 7, parts = '[["a", "b"]]', each_way_places = 4,
                  each_way_numerator = 1, each_way_denominator = 5, each_way_handicap = false
           WHERE (fixture, market) = ('derby', 'goals')""",
        [
            r"market derby goals: specifiers is \{'line': '3.5'\}, should be \{'line': '2.5'\}",
            r"market derby goals: each_way is \[4, 1, 5, 0\], should be nothing",
            r"market derby goals: delay_ms is 7, should be 0",
            r"market derby goals: parts is \[\['a', 'b'\]\], should be \[\]",
        ],
    ),
    "a withdrawn runner": (
        "UPDATE selections SET withdrawn_ms = 0, deduction_pc = 0 WHERE fixture = 'york' AND withdrawn_ms > 0",
        [
            r"selection york win r7: withdrawn_ms is 0, should be \d+",
            r"selection york win r7: deduction_pc is 0, should be 10",
        ],
    ),
    "a withdrawal": (
        "DELETE FROM withdrawals WHERE fixture = 'york'",
        [r"withdrawals: missing in Postgres: .* york win r7 desk 0 90000 .*"],
    ),
    "a price at the off": (
        "UPDATE selections SET starting_price = 1 WHERE starting_price = 52500",
        [r"selection york win r1: starting_price is 1, should be 52500"],
    ),
    "the prices at the off": (
        "UPDATE starting_prices SET prices = '[]' WHERE fixture = 'york'",
        [r"starting_prices: not in the journal: .*", r"starting_prices: missing in Postgres: .*"],
    ),
    "where a runner came in": (
        "UPDATE selections SET position = 3 WHERE (fixture, market, selection) = ('day0', 'winner', 'home')",
        [r"selection day0 winner home: position is 3, should be 0"],
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
