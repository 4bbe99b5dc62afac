"""Changes into books, and books into prices."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from feeds.betfair.market import RUNNERS_MAX, Market, price_of
from tests.feeds.betfair.lines import MARKET, definition, line, parse

CLASSIC = ((100, 200, 1), (200, 300, 2), (300, 400, 5), (400, 600, 10), (600, 1000, 20), (1000, 2000, 50))
CLASSIC_ABOVE = ((2000, 3000, 100), (3000, 5000, 200), (5000, 10_000, 500), (10_000, 100_001, 1000))


def market_of(*lines: bytes) -> Market:
    market = Market(MARKET)
    for message in parse(b"".join(lines)):
        for change in message.mc or ():
            market.apply(change)
        market.read()
    return market


def price(*changes: dict[str, Any], status: str = "ACTIVE") -> int:
    """The price of a runner after the changes, each a message of its own."""
    defined = line(marketDefinition=definition(runners=f"11 {status}"))
    market = market_of(defined, *(line({"id": 11} | change) for change in changes))
    return market.runners[11, 0.0].price


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([{"atb": [[2.0, 5]]}], 20_000),
        ([{"atb": [[2.0, 5], [2.02, 1], [1.9, 7]]}], 20_200),
        ([{"atb": [[2.0, 5], [2.02, 1]]}, {"atb": [[2.02, 0]]}], 20_000),
        ([{"atb": [[2.0, 5]]}, {"atb": [[2.0, 0]]}], 0),
        ([{"atb": [[2.0, 5]]}, {"atb": [[3.0, 0]]}], 20_000),  # an unknown price is deleted: nothing
        ([{"atb": [[2.0, 5]]}, {"atb": [[2.0, 9]]}], 20_000),
        ([{"atb": [[2.0, 5]], "ltp": 9.0}], 20_000),
        ([{"ltp": 9.0}], 90_000),  # no book at all
        ([{"ltp": 9.0}, {"atb": []}], 0),  # a book, and nobody in it
        ([{"ltp": 9.0}, {"atl": [[9.2, 4]]}], 0),
        ([{"ltp": "NaN"}], 0),
        ([{"ltp": 9.0}, {"ltp": "Infinity"}], 0),
        ([{"ltp": 9.0}, {"tv": 100}], 90_000),
        ([{"atb": [[2.0, 5]], "atl": [[2.02, 5]]}], 20_000),
        ([{"atb": [[2.0, 5]], "atl": [[2.0, 5]]}], 0),  # crossed
        ([{"atb": [[2.0, 5]], "atl": [[1.9, 5]]}, {"atl": [[1.9, 0]]}], 20_000),  # and no longer
        ([{"atb": [[2.2, 5]]}, {"atl": [[2.1, 5]], "atb": [[2.2, 0], [2.08, 1]]}], 20_800),  # crossed only inside
        ([{"batb": [[0, 2.0, 5], [1, 1.9, 5]]}], 20_000),
        ([{"batb": [[0, 2.0, 5], [1, 1.9, 5]]}, {"batb": [[0, 0, 0]]}], 19_000),
        ([{"batb": [[0, 2.0, 5]]}, {"batb": [[0, 1.8, 5]]}], 18_000),
        ([{"batb": [[0, 2.0, 5]], "atb": [[2.04, 5]]}], 20_400),  # all prices before the best few
        ([{"bdatb": [[0, 2.06, 5]], "atb": [[2.04, 5]]}], 20_600),  # displayed before all
        ([{"bdatb": [[0, 2.06, 5]], "bdatl": [[0, 2.02, 5]]}], 0),
        ([{"atb": [[1.0, 5]]}], 0),
        ([{"atb": [[1.01, 5]]}], 10_100),
        ([{"atb": [[1000, 5]]}], 10_000_000),
        ([{"atb": [[-3.0, 5]]}], 0),
        ([{"atb": [[2.0, -5]]}], 0),
    ],
)
def test_a_price_is_the_best_that_can_be_had(changes: list[dict[str, Any]], expected: int) -> None:
    assert price(*changes) == expected


@pytest.mark.parametrize("status", ["REMOVED", "HIDDEN", "WINNER", "LOSER", "NEWS", ""])
def test_only_an_active_runner_has_a_price(status: str) -> None:
    assert price({"atb": [[2.0, 5]]}, status=status) == 0


def test_a_book_of_one_runner_means_that_others_prices_come_by_books_too() -> None:
    market = market_of(
        line({"id": 22, "ltp": 5.0}, marketDefinition=definition()),
        line({"id": 11, "atb": [[2.0, 5]]}),
    )
    assert [runner.price for runner in market.runners.values()] == [20_000, 0]


def test_an_image_replaces() -> None:
    market = market_of(
        line({"id": 11, "atb": [[2.0, 5]], "ltp": 2.0}, {"id": 22, "atb": [[3.0, 5]]}, marketDefinition=definition()),
        line({"id": 11, "atb": [[1.8, 5]]}, img=True, marketDefinition=definition()),
    )
    assert [runner.price for runner in market.runners.values()] == [18_000, 0]
    assert market.runners[11, 0.0].ltp == 0


def test_an_image_without_a_definition_leaves_none() -> None:
    market = market_of(line(marketDefinition=definition()), line({"id": 11, "atb": [[1.8, 5]]}, img=True))
    assert market.definition is None
    assert market.runners[11, 0.0].price == 0


def test_a_definition_replaces_whole() -> None:
    market = market_of(
        line({"id": 11, "atb": [[2.0, 5]]}, {"id": 22, "atb": [[3.0, 5]]}, marketDefinition=definition()),
        line(marketDefinition={"eventId": "7", "status": "OPEN", "runners": [{"id": 22, "status": "ACTIVE"}]}),
    )
    assert market.definition
    assert market.definition.event_name == ""
    assert {key: runner.price for key, runner in market.runners.items()} == {(11, 0.0): 0, (22, 0.0): 30_000}


def test_the_key_of_a_book_is_runner_and_handicap() -> None:
    market = market_of(
        line(
            {"id": 11, "hc": -0.5, "atb": [[2.0, 5]]},
            {"id": 11, "hc": 0.5, "atb": [[3.0, 5]]},
            {"id": 11, "hc": -0.0, "atb": [[4.0, 5]]},
            marketDefinition=definition(runners="11:-0.5 ACTIVE,11:0.5 ACTIVE,11 ACTIVE"),
        )
    )
    assert {key: runner.price for key, runner in market.runners.items()} == {
        (11, -0.5): 20_000,
        (11, 0.5): 30_000,
        (11, 0.0): 40_000,
    }


def test_a_market_gone_mad_does_not_fill_memory() -> None:
    market = market_of(line(*({"id": number, "atb": [[2.0, 5]]} for number in range(RUNNERS_MAX + 50))))
    assert len(market.runners) == RUNNERS_MAX


def test_a_conflated_change_is_marked_and_priced() -> None:
    market = market_of(line({"id": 11, "atb": [[2.0, 5]]}, marketDefinition=definition(), con=True))
    assert market.conflated
    assert market.runners[11, 0.0].price == 20_000


def test_every_price_of_the_ladder_is_exact() -> None:
    hundredths = [number for first, last, step in CLASSIC + CLASSIC_ABOVE for number in range(first, last, step)]
    assert len(hundredths) == 351, "1.00, which is no price, and Betfair's 350"
    for number in hundredths[1:]:
        text = str(Decimal(number) / 100)
        assert price_of(float(text)) == Decimal(text) * 10_000


def test_four_places_are_exact_up_to_the_highest_price() -> None:
    for price_m in [*range(10_001, 12_000), *range(10_000_000, 10_000_500), *range(99_999_000, 100_000_001)]:
        assert price_of(float(Decimal(price_m) / 10_000)) == price_m


@pytest.mark.parametrize("number", [0.0, 1.0, 0.99, -2.0, 10_000.0001, 1e300, float("inf"), float("nan")])
def test_what_is_no_price_is_none(number: float) -> None:
    assert price_of(number) == 0
