"""A moment of a match night, as the demo's view gets it."""

from __future__ import annotations

from msgspec.structs import replace

from adapters.demo import desk
from adapters.demo.figures import Exchange, Figures, Hot, Price, Producer, Runner, Worst
from adapters.demo.report import Exchange as Orders
from adapters.demo.report import Line, Report
from feeds.makers import Counts

AT_MS = 1_763_900_000_000


def crowd() -> Report:
    return Report(
        customers=300,
        bets=184_220,
        answers={
            "accepted": 150_012,
            "PRICE_CHANGED": 14_020,
            "MARKET_SUSPENDED": 9_000,
            "BALANCE_TOO_LOW": 4_110,
            "MARKET_CLOSED": 3_100,
            "STAKE_TOO_LARGE": 1_802,
            "LIABILITY_SELECTION": 1_500,
            "PAYOUT_TOO_LARGE": 300,
            "LEGS_NOT_COMBINABLE": 90,
            "SELECTION_UNPRICED": 80,
            "LIABILITY_MARKET": 77,
            "DUPLICATE_ID": 70,
            "EXPIRED": 59,
        },
        retries=4_031,
        by_kind={"single": 120_000, "double": 20_012, "each_way_single": 8_000, "lucky15": 1_900, "heinz": 100},
        pending=34,
        waited={"delayed": 60_000, "referred": 412, "offered": 130},
        cash_outs=1_204,
        sold_m={"EUR": 2_000_000, "GBP": 1_000_000},
        staked_m={"EUR": 123_456_700, "GBP": 1_000_000},
        settled=140_330,
        paid_m={"EUR": 118_000_250},
        bets_per_s=412.4,
        p50_ms=1.24,
        p99_ms=4.81,
        p999_ms=31.3,
        markets=118,
    )


def figures() -> Figures:
    football = Hot(
        "Northwick Rovers v Eastmere Athletic",
        "Match result",
        "open",
        in_play=True,
        prices=[Price("Northwick Rovers", 21_500, 1), Price("Draw", 34_000), Price("Eastmere Athletic", 37_500, -1)],
        liability_m=1_204_550,
    )
    race = Hot(
        "Newcastle 18th May 19:40",
        "6f Hcap",
        "open",
        in_play=False,
        prices=[Price("Fast Deal", 32_500), Price("Lucky Lodge", 58_000, 1), Price("Zip", 120_000)],
        liability_m=90_050,
    )
    cricket = Hot(
        "Sydney Sixers v Perth Scorchers",
        "Match odds",
        "suspended",
        in_play=True,
        prices=[Price("Perth Scorchers", 10_500), Price("Sydney Sixers", 170_000)],
        liability_m=0,
    )
    lines = [
        Line(
            AT_MS + 100 * number,
            kind,
            f"demo-{number:04d}",
            "Northwick Rovers 2.15 (Northwick v Eastmere)",
            1_250,
            2_687,
            why,
        )
        for number, (kind, why) in enumerate(
            [("accepted", ""), ("rejected", "PRICE_CHANGED"), ("won", ""), ("void", ""), ("accepted", "")] * 3
        )
    ]
    return Figures(
        now_ms=AT_MS,
        up_s=4521.0,
        currency="EUR",
        crowd=crowd(),
        term=3,
        event_no=1_203_441,
        events_per_s=890.0,
        answers_per_s=460.0,
        open_bets=8_120,
        fixtures=23,
        book_liability_m=12_000_000,
        book_limit_m=100_000_000,
        hot=[football, race, cricket] * 8,
        worst=[
            Worst("Northwick Rovers v Eastmere Athletic", 2_900_000, 3_000_000),
            Worst("Sydney Sixers v Perth Scorchers", 1_900_000, 3_000_000),
            Worst("Newcastle 18th May 19:40", 100_000, 3_000_000),
        ],
        appends_per_s=240.0,
        append_ms=0.9,
        journal_waiting=3,
        projector_lag=120,
        feed_per_s=310.0,
        producers=[Producer("betfair.replay", up=True), Producer("simulator.1", up=False)],
        playing="6 recordings, 8 simulated fixtures",
        postgres="up",
        redis="up",
        lines=lines,
        waiting={"delayed": 31, "referred": 2, "offered": 1},
        desk=desk.Report(ready=True, told={"accept": 140, "offer": 130, "decline": 90}, silent=52),
        slow=[
            Line(AT_MS, "referred", "demo-0005", "Zip 12.00 (Newcastle)", 90_000),
            Line(AT_MS + 900, "trader", "demo-0005", "1 leg, stake too large", 45_000, why="offers less"),
            Line(AT_MS + 1900, "sold", "demo-0007", "double: Zip 12.00 ...", 1_000, 1_270, currency="GBP"),
            Line(AT_MS + 2900, "taken", "demo-0005", "Zip 12.00 (Newcastle)", 45_000),
        ],
    )


def exchange_night() -> Figures:
    """The same, with a race on the exchange."""
    race = Exchange(
        "Sandown 1st Apr",
        "R7 1200m Hcap",
        "open",
        in_play=True,
        runners=[
            Runner("1. Duecourse", [(31_500, 12_050), (31_000, 950), (30_500, 1_234_500)], [(32_000, 780)], 123_400),
            Runner("2. Kooweerup", [(42_000, 5_000), (41_000, 40_000)], [(43_000, 99_900), (44_000, 1_000_000)], 0),
            Runner("3. Lankan Star", [], [(10_000_000, 200)], 0),
            *(Runner(f"{number}. Also ran", [(500_000, 2_000)], [], 0) for number in range(4, 15)),
        ],
        matched_m=123_400,
    )
    orders = Orders(
        orders=1_631, answers={"resting": 710, "matched": 649}, takers=700, matched_m=641_700, taken_back=88
    )
    return replace(
        figures(), crowd=replace(crowd(), exchange=orders), exchange=race, makers=Counts(placed=2_921, cancelled=2_000)
    )
