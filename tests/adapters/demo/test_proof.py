from __future__ import annotations

import json

import msgspec
import pytest

from adapters.demo import proof
from adapters.demo.board import Board
from adapters.demo.proof import Outcome
from adapters.demo.report import Line, Report
from adapters.demo.tables import Tables
from adapters.demo.tally import Exchange
from adapters.demo.watch import Watch
from core.limits import Limits
from core.messages.answers import OddsImage, Rejected
from tests.adapters.demo.test_customers import image


def outcome() -> Outcome:
    return Outcome(
        bets=10,
        accepted=7,
        rejected={"PRICE_CHANGED": 3},
        settled=7,
        staked_m=700,
        paid_m=500,
        ledger_sum_m=0,
        journal_events=40,
        projected_events=40,
        state_hash="aa",
        rebuilt_state_hash="aa",
        recordings=["r"],
        bets_per_s=5.0,
        p50_ms=1.0,
        p99_ms=2.0,
        by_kind={"single": 6, "yankee": 1},
        pending=0,
        waited={"delayed": 3, "referred": 1, "offered": 0},
        cash_outs=2,
        exchange=Exchange(orders=9, matched=4, matched_stake_m=4_000, commission_m=30, customers=5),
    )


def tables(**counts: int) -> Tables:
    return Tables(
        counts={"accepted": 7, "rejected": 3, "overdue": 0, "open": 0} | counts,
        by_kind={"single": 6, "yankee": 1},
        staked_m={"EUR": 600, "SEK": 1_000},
        paid_m={"EUR": 450},
        sold_m={"EUR": 50},
        told={"accept": 1},
        unbalanced=[],
    )


def watched(report: Report | None = None) -> Watch:
    watching = watch()
    watching.crowd = report or seen()
    watching.desk.told = {"accept": 1}
    return watching


def seen() -> Report:
    return Report(
        answers={"accepted": 7, "PRICE_CHANGED": 3},
        by_kind={"single": 6, "yankee": 1},
        waited={"delayed": 3, "referred": 1},
        cash_outs=2,
        staked_m={"EUR": 600, "SEK": 1_000},
        paid_m={"EUR": 450, "SEK": 0},
        sold_m={"EUR": 50},
    )


def failures(found: Tables, watching: Watch, **wrong: object) -> list[str]:
    judged = outcome()
    for name, value in wrong.items():
        setattr(judged, name, value)
    proof._compare(judged, found, watching)
    return judged.failures


def test_four_sides_that_agree_are_no_failure() -> None:
    assert failures(tables(), watched()) == []


@pytest.mark.parametrize(
    ("counts", "wrong", "said"),
    [
        ({}, {"ledger_sum_m": 1}, "sum of the ledger: 1, expected 0"),
        ({}, {"projected_events": 39}, "events in Postgres: 39, expected 40"),
        ({"accepted": 6}, {}, "accepted bets in Postgres: 6, expected 7"),
        ({"rejected": 4}, {}, "bets refused in Postgres: 4, expected 3"),
        ({"overdue": 2}, {}, "open bets on closed markets in Postgres: 2, expected 0"),
        ({"open": 2}, {}, "open bets: 2, expected 0"),
        ({}, {"bets": 11}, "bets decided or waiting: 11, expected 10"),
        ({}, {"cash_outs": 1}, "cash-outs in Postgres: 1, expected 2"),
        (
            {},
            {"waited": {"delayed": 2, "referred": 1, "offered": 0}},
            "bets that have waited in Postgres: {'delayed': 2, 'referred': 1}, expected {'delayed': 3, 'referred': 1}",
        ),
    ],
)
def test_each_disagreement_is_named(counts: dict[str, int], wrong: dict[str, object], said: str) -> None:
    assert failures(tables(**counts), watched(), **wrong) == [said]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("by_kind", {"single": 7}, "their kinds in Postgres: {'single': 7}, expected {'single': 6, 'yankee': 1}"),
        ("staked_m", {"EUR": 600}, "their stakes in Postgres: {'EUR': 600}, expected {'EUR': 600, 'SEK': 1000}"),
        ("paid_m", {"EUR": 440}, "what they were paid in Postgres: {'EUR': 440}, expected {'EUR': 450}"),
        ("sold_m", {}, "what was sold in Postgres: {}, expected {'EUR': 50}"),
        ("told", {}, "the trader's answers in Postgres: {}, expected {'accept': 1}"),
        ("unbalanced", ["SEK"], "currencies whose balances do not sum to zero: ['SEK'], expected []"),
    ],
)
def test_a_sum_that_differs_is_named(name: str, value: object, said: str) -> None:
    found = tables()
    setattr(found, name, value)
    assert failures(found, watched()) == [said]


def test_what_still_waits_must_wait_everywhere() -> None:
    report = seen()
    report.pending = 1
    assert failures(tables(), watched(report)) == [
        "bets that wait in Postgres: 0, expected 1",
        "bets decided or waiting: 10, expected 11",
    ]
    watching = watched()
    watching.take_metrics(PAGE.format(events=100, lag=3))
    assert failures(tables(), watching) == ["bets that wait by the engine's metrics: 5, expected 0"]


def test_what_customers_and_desk_complain_of_is_a_failure() -> None:
    report = seen()
    report.faults = ["r1-demo-0001-7: another payout than stake times prices"]
    watching = watched(report)
    watching.desk.faults = ["desk.rate.set was refused: MALFORMED"]
    assert failures(tables(), watching) == [*report.faults, *watching.desk.faults]


def test_the_json_line_has_the_figures_and_not_the_failures() -> None:
    judged = outcome()
    judged.failures.append("something")
    figures = json.loads(judged.json())
    assert "failures" not in figures
    assert figures["rejected"] == {"PRICE_CHANGED": 3}
    assert figures["by_kind"] == {"single": 6, "yankee": 1}
    assert figures["pending"] == 0
    assert "something" not in judged.text()


PAGE = """\
# TYPE tictac_events gauge
tictac_events {events}
# TYPE tictac_answers counter
tictac_answers_total{{answer="Accepted"}} {events}
# TYPE tictac_projector_lag_events gauge
tictac_projector_lag_events {lag}
# TYPE tictac_producer_up gauge
tictac_producer_up{{producer="simulator.1"}} 1.0
# TYPE tictac_fixture_liability_m gauge
tictac_fixture_liability_m{{fixture="f"}} 900
tictac_fixture_liability_m{{fixture="g"}} 1200
# TYPE tictac_bets_pending gauge
tictac_bets_pending{{stage="delayed"}} 4
tictac_bets_pending{{stage="referred"}} 1
# TYPE tictac_term gauge
tictac_term 3
"""


async def no_image(_: str, __: str) -> OddsImage | Rejected | None:
    return None


def watch() -> Watch:
    return Watch(Limits(), Board(no_image, lambda: 0.0))


def test_the_view_is_fed_from_metrics_and_odds() -> None:
    watching = watch()
    watching.board.take(msgspec.json.encode(image(1, 21_000, 34_000, 30_000, 50_000)))
    watching.take_metrics(PAGE.format(events=100, lag=3))
    watching.take_metrics(PAGE.format(events=150, lag=3))
    seen = watching.figures()
    assert (seen.term, seen.event_no, seen.projector_lag, seen.postgres) == (3, 150, 3, "up")
    assert seen.events_per_s > 0 < seen.answers_per_s
    assert seen.waiting == {"delayed": 4, "referred": 1}
    assert not watching.quiet
    assert [(row.name, row.liability_m) for row in seen.worst] == [("g", 1200), ("A v B", 900)]
    assert [(price.name, price.price) for price in seen.hot[0].prices] == [
        ("Team 0", 21_000),
        ("Team 2", 30_000),
        ("Team 1", 34_000),
    ]
    assert [(producer.name, producer.up) for producer in seen.producers] == [("simulator.1", True)]


def test_a_projector_that_is_far_behind_shows() -> None:
    watching = watch()
    watching.take_metrics(PAGE.format(events=100_000, lag=60_000))
    assert watching.figures().postgres == "away"


def test_lines_that_come_all_the_time_are_shown_no_faster_than_they_are_read() -> None:
    watching = watch()
    for ts_ms in range(0, 4_000, 250):
        lines = [Line(ts_ms, kind, "demo-0001", "A 2.15", 100) for kind in ("accepted", "referred", "sold")]
        watching.take_crowd(Report(lines=lines))
    shown = watching.figures()
    assert [line.ts_ms for line in shown.lines] == [0, 1_000, 2_000, 3_000]
    assert [line.ts_ms for line in shown.slow if line.kind == "sold"] == [0, 3_000]
    assert len([line for line in shown.slow if line.kind == "referred"]) == 16
