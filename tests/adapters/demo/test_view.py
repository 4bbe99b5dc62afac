from __future__ import annotations

import re

import pytest
from msgspec.structs import replace
from rich.console import Console

from adapters.demo.figures import Figures, Price
from adapters.demo.view import line, render
from tests.adapters.demo_figures import exchange_night, figures


def drawn(shown: Figures, width: int, height: int) -> list[str]:
    console = Console(width=width, height=height, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(render(shown, width, height))
    return capture.get().splitlines()


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (160, 45), (240, 70)])
def test_the_view_fills_the_screen_and_never_more(width: int, height: int) -> None:
    for shown in (figures(), exchange_night()):
        lines = drawn(shown, width, height)
        assert len(lines) == height
        assert max(map(len, lines)) <= width


def test_a_screen_that_is_too_small_shows_a_part_of_the_smallest_size() -> None:
    lines = drawn(figures(), 40, 10)
    assert "412 bets/s" in lines[0]
    assert len(lines) <= 24


@pytest.mark.parametrize(("width", "height"), [(80, 24), (160, 45)])
def test_what_matters_is_on_the_screen_at_any_size(width: int, height: int) -> None:
    text = "\n".join(drawn(figures(), width, height))
    for wanted in (
        "up 1:15:21",
        "term 3",
        "412 bets/s",
        "460 answers/s",
        "p50 1.2",
        "p99 4.8",
        "p99.9 31.3",
        "118 open in 23 fixtures",
        "2.15▲",
        "3.75▼",
        "12,045",
        "accepted",
        "81.4%",
        "price chang",
        "29,000  97%",
        "120,000  12%",
        "240/s in 0.9 ms",
        "projector 120 behind",
        "betfair.replay up",
        "simulator.1 DOWN",
        "bet  demo-0014 12.50 EUR on Northwick Rovers 2.15",
        "31 delayed  2 referred  1 offered",
        "140 yes 130 offers 90 no 52 silent",
        "1,204 sold for 31,700 EUR",
        "85% singles, 13% multiples, 1% systems",
        "sold demo-0007 12.70 GBP for 10.00 GBP on double",
        "deal demo-0005 450.00 EUR on Zip 12.00",
    ):
        assert wanted in text, wanted


def test_a_wide_screen_shows_each_market_in_one_line() -> None:
    rows = [row for row in drawn(figures(), 160, 45) if "Newcastle" in row and "6f Hcap" in row]
    assert rows
    assert all(re.search(r"Fast Deal\s+3\.25.*Lucky Lodge\s+5\.80▲.*Zip\s+12\.00.*900", row) for row in rows)


def test_a_price_of_a_thousand_has_no_point_at_its_end() -> None:
    shown = figures()
    hot = replace(shown.hot[0], prices=[Price("Outsider", 10_000_000), Price("Favourite", 10_100)])
    text = "\n".join(drawn(replace(shown, hot=[hot]), 200, 60))
    assert re.search(r"Outsider +1000 ", text)
    assert re.search(r"Favourite +1\.01 ", text)


def test_a_tall_screen_shows_the_kinds_of_bets() -> None:
    text = "\n".join(drawn(figures(), 120, 40))
    for wanted in (
        "single",
        "80.0%",
        "e/w single",
        "5.3%",
        "lucky15",
        "1.3%",
        "desk demo-0005 offers less: 450.00 EUR",
    ):
        assert wanted in text, wanted


def test_every_reason_is_counted_even_where_not_all_fit() -> None:
    text = "\n".join(drawn(figures(), 80, 24))
    counts = [int(count.replace(",", "")) for count in re.findall(r"│ [a-z0-9 …]+\s([\d,]+)\s+[\d.]+\.\d% │", text)]
    assert sum(counts) == sum(figures().crowd.answers.values())


def test_a_fault_cannot_be_overlooked() -> None:
    shown = figures()
    shown.crowd.faults = ["r1-demo-0001-7: asked again, got another answer"]
    assert "1 FAULTS: r1-demo-0001-7" in "\n".join(drawn(shown, 80, 24))


def test_an_empty_system_is_drawn_too() -> None:
    lines = drawn(Figures(now_ms=0, up_s=0.0, currency="EUR"), 80, 24)
    assert any("waiting for the first prices" in row for row in lines)


def test_without_a_terminal_one_line_says_it() -> None:
    said = line(replace(figures(), lines=[]))
    assert "\n" not in said
    assert "bets 184,220 (412/s, 81% accepted)  p50 1.2 p99 4.8 ms" in said
    assert "pending 34  cash-outs 1,204" in said
    assert "projector 120 behind" in said
    assert "worst Northwick Rovers v Eastmere Athletic 29,000 of 30,000 EUR" in said


@pytest.mark.parametrize(("width", "height", "runners"), [(80, 24, 3), (120, 40, 6), (160, 45, 6)])
def test_the_exchange_shows_three_levels_a_side_with_the_best_prices_in_the_middle(
    width: int, height: int, runners: int
) -> None:
    rows = drawn(exchange_night(), width, height)
    text = "\n".join(rows)
    for wanted in (
        "exchange  matched 1,234 EUR  in play  Sandown 1st Apr, R7 1200m Hcap",
        "1,631 orders, 700 took 6,417, 710 rest, 88 back; makers 2,921",
        # and of the rest what tells whether all is well
        *("412 bets/s", "p99 4.8", "accepted", "81.4%", "projector 120 behind", "31 delayed", "bet  demo-0014"),
        *("Northwick", "120,000  12%"),
    ):
        assert wanted in text, wanted
    assert re.search(r"1. Duecou.*3\.05 12k\s+3\.10 9\.50\s+3\.15 120\s+│ 3\.20 7\.80\s", text)
    assert re.search(r"2. Koowee.*\s+4\.10 400\s+4\.20 50\s+│ 4\.30 999\s+4\.40 10k\s", text)
    assert re.search(r"3. Lankan.*\s+│ 1000 2\.00\s", text)
    assert sum("Also ran" in row for row in rows) == runners - 3


def test_an_exchange_without_orders_says_so() -> None:
    night = exchange_night()
    assert night.exchange is not None
    text = "\n".join(drawn(replace(night, exchange=replace(night.exchange, runners=[], status="suspended")), 80, 24))
    assert "nobody offers anything" in text
    assert "suspended  Sandown" in text
