from __future__ import annotations

import json

import msgspec
import pytest

from adapters.demo import crowd, programme, proof
from adapters.demo.board import Board
from adapters.demo.proof import Outcome
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
    )


TABLES = {"balances_m": 0, "accepted": 7, "rejected": 3, "overdue": 0, "open": 0}


def failures(tables: dict[str, int], report: crowd.Report, **wrong: int) -> list[str]:
    judged = outcome()
    for name, value in wrong.items():
        setattr(judged, name, value)
    proof._compare(judged, TABLES | tables, report, programme.Report())
    return judged.failures


def test_four_sides_that_agree_are_no_failure() -> None:
    assert failures({}, crowd.Report(staked_m=700)) == []


@pytest.mark.parametrize(
    ("tables", "wrong", "said"),
    [
        ({}, {"ledger_sum_m": 1}, "sum of the ledger: 1, expected 0"),
        ({"balances_m": -1}, {}, "sum of the balances: -1, expected 0"),
        ({}, {"projected_events": 39}, "events in Postgres: 39, expected 40"),
        ({"accepted": 6}, {}, "accepted bets in Postgres: 6, expected 7"),
        ({"rejected": 4}, {}, "bets refused in Postgres: 4, expected 3"),
        ({"overdue": 2}, {}, "open bets on closed markets in Postgres: 2, expected 0"),
        ({"open": 2}, {}, "open bets: 2, expected 0"),
        ({}, {"staked_m": 699}, "their stakes in Postgres: 699, expected 700"),
    ],
)
def test_each_disagreement_is_named(tables: dict[str, int], wrong: dict[str, int], said: str) -> None:
    assert failures(tables, crowd.Report(staked_m=700), **wrong) == [said]


def test_what_customers_complain_of_is_a_failure() -> None:
    report = crowd.Report(staked_m=700, faults=["r1-demo-0001-7: another payout than stake times prices"])
    assert failures({}, report) == report.faults


def test_the_json_line_has_the_figures_and_not_the_failures() -> None:
    judged = outcome()
    judged.failures.append("something")
    figures = json.loads(judged.json())
    assert "failures" not in figures
    assert figures["rejected"] == {"PRICE_CHANGED": 3}
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
