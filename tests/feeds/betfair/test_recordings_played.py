"""Real markets: against another library's books, and to their ends."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from core.engine import Engine
from core.limits import Limits
from core.messages.feed import FeedMessage, MarketImage, RecoveryBegin, RecoveryEnd, Settlement
from feeds.betfair.market import Market, price_of
from feeds.betfair.normalise import Normaliser
from feeds.betfair.recording import read
from feeds.betfair.stream import LineError

LINE_BYTES_MAX = 1 << 24
Fetch = Callable[[str], Path]


def messages(path: Path, normaliser: Normaliser) -> Iterator[FeedMessage]:
    """All that is said of a recording; a line that cannot be read fails the test."""

    def fail(error: LineError) -> None:
        raise AssertionError(error)

    for message in read(path, LINE_BYTES_MAX, fail):
        yield from normaliser.read(message)


def book_of(market: Market) -> dict[str, Any]:
    """A market in the words of betfairlightweight's books, as far as we hold it."""
    defined = market.definition
    assert defined is not None
    return {
        "marketId": market.id,
        "betDelay": defined.bet_delay,
        "version": defined.version,
        "complete": defined.complete,
        "runnersVoidable": defined.runners_voidable,
        "status": defined.status,
        "bspReconciled": defined.bsp_reconciled,
        "crossMatching": defined.cross_matching,
        "inplay": defined.in_play,
        "numberOfWinners": defined.number_of_winners,
        "numberOfRunners": len(defined.runners),
        "numberOfActiveRunners": defined.number_of_active_runners,
        "runners": {
            runner.id: {
                "status": runner.status,
                "adjustmentFactor": runner.adjustment_factor,
                "removed": runner.removal_date is not None,
                "actualSP": runner.bsp,
                "lastPriceTraded": market.runners[runner.id, runner.hc].ltp or None,
                "handicap": runner.hc,
            }
            for runner in defined.runners
        },
    }


def expected_of(book: dict[str, Any]) -> dict[str, Any]:
    runners = {
        runner["selectionId"]: {
            "status": runner["status"],
            "adjustmentFactor": runner["adjustmentFactor"],
            "removed": runner["removalDate"] is not None,
            "actualSP": runner["sp"]["actualSP"],
            "lastPriceTraded": runner["lastPriceTraded"],
            "handicap": runner["handicap"],
        }
        for runner in book["runners"]
    }
    return {name: value for name, value in book.items() if name in _HELD} | {"runners": runners}


_HELD = (
    *("marketId", "betDelay", "version", "complete", "runnersVoidable", "status", "bspReconciled", "crossMatching"),
    *("inplay", "numberOfWinners", "numberOfRunners", "numberOfActiveRunners"),
)


def test_every_book_is_as_betfairlightweight_builds_it(recording: Fetch) -> None:
    expected = json.loads(recording("BASIC-1.132153978-processed.json").read_bytes())
    normaliser = Normaliser(10)
    found = []
    for message in read(recording("BASIC-1.132153978"), LINE_BYTES_MAX):
        normaliser.read(message)
        found.append(book_of(normaliser.markets["1.132153978"]))
    assert len(found) == len(expected) == 480
    for number, (ours, theirs) in enumerate(zip(found, expected, strict=True), 1):
        assert ours == expected_of(theirs), f"line {number}"


def test_what_is_said_of_a_recording_without_books_are_its_last_traded_prices(recording: Fetch) -> None:
    """The last thing said of each price agrees with the oracle's last book in which the market was open."""
    books = json.loads(recording("BASIC-1.132153978-processed.json").read_bytes())
    normaliser, said = Normaliser(10), dict[str, int]()
    for message, book in zip(read(recording("BASIC-1.132153978"), LINE_BYTES_MAX), books, strict=True):
        for ours in normaliser.read(message):
            if isinstance(ours, MarketImage):
                said = {selection.id: selection.price for selection in ours.selections}
            for market in getattr(ours, "markets", ()):
                if not isinstance(ours, Settlement):
                    said = {price.selection: price.price for price in market.prices}
        if book["status"] == "OPEN":
            assert said == {
                str(runner["selectionId"]): price_of(runner["lastPriceTraded"] or 0.0) * (runner["status"] == "ACTIVE")
                for runner in book["runners"]
            }


@pytest.mark.parametrize(
    ("name", "lines", "winners"),
    [
        ("BASIC-1.132153978", 480, {"1.132153978": 1}),
        ("PRO-1.170258213", 22_367, {"1.170258213": 1}),
        ("SELF-1.181223994", 44_687, {"1.181223994": 1}),
        ("SELF-1.181223995", 21_922, {"1.181223995": 3}),
        ("1.197931750", 166, {"1.197931750": 1}),
        ("1.197931751", 166, {"1.197931751": 2}),
        ("1.200806927", 18_529, {"1.200806927": 1}),
        ("1.127236622.bz2", 16_096, {"1.127236622": 1}),
        ("1.185781277.bz2", 7_600, {"1.185781277": 1}),
        ("1.205822330.bz2", 5_654, {"1.205822330": 3}),
        ("27312315.bz2", 50_854, None),
    ],
)
def test_a_recording_runs_to_results_for_each_of_its_markets(
    recording: Fetch, name: str, lines: int, winners: dict[str, int] | None
) -> None:
    normaliser, seen = Normaliser(10), 0
    results: dict[str, int] = {}
    selections: dict[str, set[str]] = {}
    path = recording(name)
    for message in read(path, LINE_BYTES_MAX):
        seen += 1
        for ours in normaliser.read(message):
            if isinstance(ours, MarketImage):
                selections.setdefault(ours.market, set()).update(selection.id for selection in ours.selections)
            elif isinstance(ours, Settlement):
                (settled,) = ours.markets
                assert {result.selection for result in settled.results} == selections[settled.market]
                assert settled.market not in results, "one settlement is enough"
                results[settled.market] = sum(result.result for result in settled.results)
    assert seen == lines
    assert normaliser.settled == normaliser.count == len(results)
    if winners is None:
        assert sorted(results.values()) == [1, 1, 1, 1, 1, 3, 6]
    else:
        assert results == {f"betfair:{market}": count for market, count in winners.items()}
    assert normaliser.crossed == 0


@pytest.mark.parametrize("name", ["BASIC-1.132153978", "1.197931751", "1.205822330.bz2", "1.242971311.bz2"])
def test_the_engine_takes_a_recording_and_its_image_again(recording: Fetch, name: str) -> None:
    engine, normaliser, now_ms = Engine(Limits()), Normaliser(1000), 1_800_000_000_000
    engine.start("test", "0", now_ms)
    sequence = 0

    def take(message: FeedMessage) -> None:
        nonlocal sequence
        sequence += 1
        engine.execute(replace(message, producer="p", sequence=sequence), now_ms)

    take(RecoveryBegin("betfair", "p", 0, 0))
    take(RecoveryEnd("betfair", "p", 0, 0))
    for message in messages(recording(name), normaliser):
        take(message)
    events = engine.book.event_no
    take(RecoveryBegin("betfair", "p", 0, 0))
    for message in normaliser.image():
        take(message)
    take(RecoveryEnd("betfair", "p", 0, 0))
    assert engine.book.event_no == events, "what is said again is no news"
    markets = list(engine.book.markets())
    assert len(markets) == normaliser.count
    assert sum(market.settled for market in markets) == normaliser.settled
    assert {market.producer.up for market in markets if market.producer} == {True}


@pytest.mark.parametrize(
    ("name", "delay_ms", "starters"),
    [
        ("BASIC-1.132153978", 1_000, 12),
        ("1.197931750", 0, 6),
        ("PRO-1.170258213", 1_000, 14),
        ("SELF-1.181223995", 1_000, 10),
        ("1.200806927", 5_000, 0),
    ],
)
def test_the_engine_ends_with_betfairs_delay_and_starting_prices(
    recording: Fetch, name: str, delay_ms: int, starters: int
) -> None:
    engine, normaliser = Engine(Limits()), Normaliser(10)
    engine.start("test", "0", 1_800_000_000_000)
    for sequence, message in enumerate(messages(recording(name), normaliser), start=1):
        engine.execute(replace(message, producer="p", sequence=sequence), 1_800_000_000_000)
    (market,) = engine.book.markets()
    (definition,) = [each.definition for each in normaliser.markets.values()]
    assert definition is not None
    found = {each.id: each.starting_price for each in market.selections.values() if each.starting_price}
    expected = {str(each.id): price_of(each.bsp) for each in definition.runners if isinstance(each.bsp, float)}
    assert found == expected
    assert (market.delay_ms, len(found)) == (delay_ms, starters)


def test_many_markets_in_one_stream(recording: Fetch) -> None:
    normaliser = Normaliser(1000)
    said = list(messages(recording("1.242971311.bz2"), normaliser))
    assert sum(isinstance(message, MarketImage) for message in said) == normaliser.count == 200
    assert normaliser.crossed == 102, "books crossed at a message's end"
    assert normaliser.settled == 0, "this one is not to its end"
