"""What the rulebook's events leave in the tables, in words that people would look for."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from core.messages import commands as co
from core.messages import events as ev
from core.messages.results import EachWay, Result
from tests.adapters.projected import FakeJournal, audited, busy_world, project
from tests.core.world import World

ROWS: dict[str, tuple[str, list[tuple[Any, ...]]]] = {
    "CustomerVerified": (
        "SELECT customer, verified FROM customers WHERE customer IN ('cid', 'dan', 'eve') ORDER BY 1",
        [("cid", False), ("dan", True), ("eve", False)],
    ),
    "CustomerExcluded": (
        "SELECT customer, kind, until_ms - ts_ms FROM exclusions ORDER BY event_no",
        [("eve", "time_out", 10), ("eve", "self_exclusion", 10**9)],
    ),
    "OwnLimitSet": (
        "SELECT customer, kind, period, limit_m, next_m, confirm_from_ms > 0 FROM own_limits ORDER BY kind",
        [("dan", "deposit", "week", 60_000, 0, False), ("dan", "stake", "day", 5_000, 8_000, True)],
    ),
    "OwnLimitConfirmed": (
        "SELECT kind, step, limit_m FROM own_limit_changes ORDER BY event_no",
        [
            ("deposit", "set", 50_000),
            ("deposit", "asked", 60_000),
            ("deposit", "confirmed", 60_000),
            ("loss", "set", 9_000),
            ("loss", "asked", 0),
            ("loss", "confirmed", 0),
            ("stake", "set", 5_000),
            ("stake", "asked", 8_000),
        ],
    ),
    "FreeBetGranted": (
        "SELECT bonus, amount_m, required_m, how FROM bonuses WHERE kind = 'free_bet' ORDER BY granted_no",
        [
            ("used", 200, 0, None),
            ("back", 200, 0, None),
            ("lapses", 200, 0, "expired"),
            ("cancelled", 200, 0, "cancelled"),
            ("waits", 200, 0, None),
        ],
    ),
    "BonusGranted": (
        "SELECT customer, bonus, required_m, staked_m::bigint FROM running_bonuses",
        [("ann", "runs", 5_175, 1_300)],
    ),
    "BonusEnded": (
        """SELECT b.bonus, b.how, l.source, l.target, l.amount_m FROM bonuses b
           JOIN ledger_entries l ON l.event_no = b.ended_no ORDER BY granted_no""",
        [
            ("paid", "paid", "bonus", "cash", 75),
            ("lapsed", "expired", "bonus", "house:bonus", 75),
            ("withheld", "cancelled", "bonus", "house:bonus", 75),
        ],
    ),
    "RateSet": ("SELECT currency, rate FROM rates", [("USD", 900_000)]),
    "CustomerFactorSet": (
        "SELECT customer, sport, in_play, factor_bp FROM customer_factors",
        [("bob", "", False, 20_000)],
    ),
    "LimitSet": (
        """SELECT sport, competition, fixture, market_type, market, selection, stake_max_m, liability_max_m
           FROM limit_settings WHERE ramp = '[]' ORDER BY 8, 3""",
        [
            ("", "", "high", "", "winner", "", 100, 0),
            ("", "", "open", "", "limited", "", 100, 0),
            ("", "", "", "", "", "", 0, 1_000_000),
            ("football", "", "", "", "", "", 0, 1_000_001),
            ("football", "cup", "", "", "", "", 0, 1_000_002),
            ("", "", "race", "", "win", "", 0, 1_000_005),
            ("", "", "race", "", "win", "red", 0, 1_000_006),
        ],
    ),
    "BetPending": (
        """SELECT id, stage, reserved_m, command ->> 'stake_m' FROM pending_bets WHERE ended_no IS NULL
           ORDER BY pending_no""",
        [("still-delayed", 0, 250, "250"), ("still-referred", 1, 500, "500"), ("still-offered", 2, 300, "500")],
    ),
    "ReferralAnswered": (
        "SELECT id, answer ->> 'action', answer ->> 'reason' FROM pending_bets WHERE answer IS NOT NULL ORDER BY 1",
        [
            ("accepted", "accept", "known to us"),
            ("declined", "decline", "too much"),
            ("offer-declined", "offer", ""),
            ("offer-expired", "offer", ""),
            ("offer-taken", "offer", ""),
            ("still-offered", "offer", "less"),
        ],
    ),
    "BetOffered": (
        """SELECT id, reserved_m, offer -> 'stake_m', offer #> '{legs, 0, 3}', taken FROM pending_bets
           WHERE offer IS NOT NULL ORDER BY 1""",
        [
            ("offer-declined", 150, "150", "19000", False),
            ("offer-expired", 150, "150", "19000", None),
            ("offer-taken", 150, "150", "19000", True),
            ("still-offered", 300, "300", "19500", None),
        ],
    ),
    "OfferAnswered": (
        """SELECT p.id, p.ended, coalesce(r.name, '') FROM pending_bets p
           LEFT JOIN bet_rejections x ON event_no = ended_no LEFT JOIN rejections r ON code = x.reason
           WHERE ended IS NOT NULL ORDER BY 1""",
        [
            ("accepted", "accepted", ""),
            ("declined", "rejected", "REFERRAL_DECLINED"),
            ("delayed-refused", "rejected", "PRICE_CHANGED"),
            ("delayed-taken", "accepted", ""),
            ("expired", "rejected", "REFERRAL_EXPIRED"),
            ("free-delayed", "accepted", ""),
            ("offer-declined", "rejected", "OFFER_DECLINED"),
            ("offer-expired", "rejected", "OFFER_EXPIRED"),
            ("offer-taken", "accepted", ""),
            ("withdrawn", "rejected", "OFFER_DECLINED"),
        ],
    ),
    "BetAccepted": (
        """SELECT id, kind, folds, lines, each_way, free_bet FROM bets
           WHERE folds IS NOT NULL OR free_bet <> '' ORDER BY bet_no""",
        [
            ("free", "", None, 1, False, "used"),
            ("free-void", "", None, 1, False, "back"),
            ("free-delayed", "", None, 1, False, "waits"),
            ("each-way", "", [2], 2, True, ""),
            ("yankee", "yankee", [2, 3, 4], 11, False, ""),
            ("banker", "system", [1, 2], 6, False, ""),
            ("running", "", [1], 2, True, ""),
        ],
    ),
    "the legs of BetAccepted": (
        """SELECT id, leg, banker, starting_price, places, place_numerator, place_denominator
           FROM bet_legs JOIN bets USING (bet_no) WHERE banker OR starting_price OR places > 0 ORDER BY bet_no, leg""",
        [
            ("each-way", 0, False, False, 3, 1, 5),
            ("each-way", 1, False, False, 3, 1, 5),
            ("at-the-off", 1, False, True, None, None, None),
            ("capped", 0, False, True, None, None, None),
            ("banker", 0, True, False, None, None, None),
            ("running", 0, False, False, 2, 1, 4),
        ],
    ),
    "BetSettled": (
        """SELECT b.id, b.paid_m, b.capped_m, s.capped_m FROM bets b JOIN settlements s USING (bet_no)
           WHERE b.capped_m > 0""",
        [("capped", 120_000, 40_000, 40_000)],
    ),
    "BetCashedOut": (
        """SELECT b.id, b.status, b.cashed_out_stake_m, count(*), sum(c.stake_m)::bigint, sum(c.paid_m) = b.cashed_out_m
           FROM bets b JOIN cash_outs c USING (bet_no) GROUP BY b.bet_no ORDER BY b.bet_no""",
        [("sold", 4, 1_000, 2, 1_000, True), ("half-sold", 1, 500, 1, 500, True)],
    ),
    "BetVoided": (
        """SELECT id, leg, l.voided FROM bet_legs l JOIN bets USING (bet_no) WHERE id IN ('leg-void', 'part-void')
           ORDER BY 1, 2""",
        [("leg-void", 0, False), ("leg-void", 1, True), ("part-void", 0, True), ("part-void", 1, False)],
    ),
    "FixtureDefined": ("SELECT fixture FROM fixtures WHERE outright_of = 'cup'", [("later",)]),
    "MarketDefined": (
        """SELECT market, specifiers::text, delay_ms, parts::text FROM markets
           WHERE fixture IN ('derby', 'slow') ORDER BY 1""",
        [
            ("builder", "{}", 0, '[["result", "1"], ["goals", "over"]]'),
            ("goals", '{"line": "2.5"}', 0, "[]"),
            ("result", "{}", 0, "[]"),
            ("winner", "{}", 5_000, "[]"),
        ],
    ),
    "each-way terms of MarketDefined": (
        """SELECT fixture, each_way_places, each_way_numerator, each_way_denominator, each_way_handicap FROM markets
           WHERE each_way_places IS NOT NULL ORDER BY 1""",
        [("ascot", 0, 1, 1, False), ("epsom", 0, 1, 1, False), ("york", 2, 1, 4, True)],
    ),
    "FixtureScored": (
        "SELECT fixture, source, score -> 'final', reason FROM fixture_scores ORDER BY event_no",
        [("derby", "desk", "[1, 0]", "full time"), ("derby", "desk", "[2, 1]", "full time")],
    ),
    "SelectionWithdrawn": (
        """SELECT fixture, selection, price, deduction_pc, rolled_back_no IS NOT NULL FROM withdrawals
           ORDER BY event_no""",
        [
            ("ascot", "r5", 20_000, 45, True),
            ("ascot", "r6", 30_000, 30, True),
            ("ascot", "r7", 40_000, 25, False),
            ("trade", "away", 0, 0, False),
            ("york", "r7", 90_000, 10, False),
        ],
    ),
    "a withdrawal rolled back": (
        "SELECT fixture, selection, deduction_pc FROM selections WHERE withdrawn_ms > 0 ORDER BY 1, 2",
        [("ascot", "r7", 25), ("trade", "away", 0), ("york", "r7", 10)],
    ),
    "StartingPricesSet": (
        "SELECT fixture, selection, starting_price FROM selections WHERE starting_price > 0 ORDER BY 1",
        [("epsom", "r0", 80_000), ("york", "r1", 52_500)],
    ),
    "positions of MarketSettled": (
        "SELECT fixture, selection, position FROM selections WHERE position > 0 ORDER BY 1, 3",
        [("ascot", "r0", 1), ("ascot", "r1", 2), ("epsom", "r0", 1), ("epsom", "r1", 2)],
    ),
}


@pytest.fixture
def journal() -> FakeJournal:
    journal = FakeJournal()
    journal.fill(busy_world().events)
    return journal


async def test_each_event_leaves_its_rows(fresh_database: str, journal: FakeJournal) -> None:
    await project(fresh_database, journal, slice_events_max=9)
    connection = await asyncpg.connect(fresh_database)
    found = {name: [tuple(row) for row in await connection.fetch(query)] for name, (query, _) in ROWS.items()}
    await connection.close()
    assert found == {name: expected for name, (_, expected) in ROWS.items()}


async def test_every_event_with_an_author_is_an_action_of_the_desk(fresh_database: str, journal: FakeJournal) -> None:
    """But a refused command, which has a table of its own."""
    await project(fresh_database, journal)
    events = enumerate((event for stored in journal.stored for event in stored.batch.events), 1)
    authors = [(number, event, getattr(event, "author", "")) for number, event in events]
    expected = [
        (number, type(event).__name__, author)
        for number, event, author in authors
        if author and not isinstance(event, ev.CommandRejected)
    ]
    connection = await asyncpg.connect(fresh_database)
    actions = await connection.fetch("SELECT event_no, action, author FROM desk_actions ORDER BY event_no")
    await connection.close()
    assert [tuple(row) for row in actions] == expected
    assert {"ReferralAnswered", "BetOffered", "LimitSet", "BonusEnded"} <= {action for _, action, _ in expected}


PARTED = (ev.ReferralAnswered, ev.OfferAnswered, ev.BetVoided, ev.FixtureScored, ev.SelectionWithdrawn)
"""Events that others follow from, or that leave something open."""


async def test_the_audit_agrees_wherever_the_journal_is_parted(fresh_database: str) -> None:
    events, journal = busy_world().events, FakeJournal()
    cuts = [number for number, event in enumerate(events, 1) if isinstance(event, PARTED)]
    assert len(cuts) > 10
    for first, last in zip([0, *cuts], [*cuts, len(events)], strict=True):
        journal.append(events[first:last])
        await project(fresh_database, journal)
        assert (await audited(fresh_database, journal)).lines == [], last


@pytest.mark.parametrize("slice_events_max", [1, 10, 1_000])
async def test_a_market_that_begins_anew_has_nothing_of_its_first_life(
    fresh_database: str, slice_events_max: int
) -> None:
    """Within one slice or over several; its fixture lives on while it has another market."""
    world = World(archive_after_ms=60_000, retention_ms=60_000, offer_max_ms=60_000)
    world.fixture("week")
    world.market("week/outright", home=20_000, away=20_000)
    for fixture in ("week", "day"):
        _life(world, fixture)
    world.wait(60_001)
    world.run()
    assert list(world.book.fixtures) == ["week"]
    for fixture in ("week", "day"):
        world.race(f"{fixture}/win", red=30_000, blue=30_000)
    world.check()
    journal = FakeJournal()
    journal.fill(world.events)
    await project(fresh_database, journal, slice_events_max=slice_events_max)
    assert (await audited(fresh_database, journal)).lines == []
    connection = await asyncpg.connect(fresh_database)
    limits = await connection.fetch("SELECT fixture, market, selection FROM limit_settings")
    await connection.close()
    assert [tuple(row) for row in limits] == [("week", "", "")]


def _life(world: World, fixture: str) -> None:
    """A race with all that can be said of one, to its end."""
    path = f"{fixture}/win"
    world.race(path, terms=EachWay(2, 1, 4), red=20_000, blue=20_000)
    for node in ({}, {"market": "win"}, {"market": "win", "selection": "red"}):
        world.done(co.SetLimit, fixture=fixture, stake_max_m=500, **node)
    world.desk(co.WithdrawSelection, path, selection="blue", price=20_000, at_ms=world.now)
    world.desk(co.SetStartingPrices, path, prices=(co.NamedPrice("red", 21_000),))
    world.settle(path, Result("red", 1, position=1))


async def test_the_id_of_a_bet_that_waited_may_wait_again(fresh_database: str) -> None:
    """Once its first answer is forgotten; both within one slice."""
    world = World(retention_ms=60_000)
    world.customer("ann", 10_000)
    path = "match/winner"
    world.defined(path, {"home": 20_000, "away": 20_000}, delay_ms=100)
    for price in (19_000, 20_000):
        world.price(path, "home", 20_000)
        world.waiting("ann", 300, (path, "home", 20_000), id="again")
        world.price(path, "home", price)
        world.wait(100)
        world.run()
        world.wait(60_000)
    world.check()
    journal = FakeJournal()
    journal.append(world.events)
    await project(fresh_database, journal)
    assert (await audited(fresh_database, journal)).lines == []
    connection = await asyncpg.connect(fresh_database)
    ends = await connection.fetch("SELECT id, ended FROM pending_bets ORDER BY pending_no")
    await connection.close()
    assert [tuple(row) for row in ends] == [("again", "rejected"), ("again", "accepted")]
