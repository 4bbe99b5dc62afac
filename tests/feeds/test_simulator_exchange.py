"""Exchange markets among the simulated fixtures: their terms, and what makers offer in them."""

from __future__ import annotations

from fractions import Fraction

import pytest

from config.settings import load
from core.exchange.ladder import CLASSIC, FINEST, Ladder, OffLadder
from core.messages import feed
from feeds.simulator.depth import LEVELS, depth
from feeds.simulator.programme import HOUSE, Plan, Programme

SETTINGS = load(environ={}).simulator
PRICES = [
    {"1": 21_000, "x": 33_000, "2": 31_000},
    {"1": 10_200, "x": 150_000, "2": 340_000},
    {"1": 10_010, "x": 0, "2": 9_000_000},
    {"a": 15_000, "b": 24_000},
    {"a": 0, "b": 0},
]


@pytest.mark.parametrize("ladder", [CLASSIC, FINEST])
@pytest.mark.parametrize("prices", PRICES)
def test_depth_is_on_the_ladder_uncrossed_and_best_first(prices: dict[str, int], ladder: Ladder) -> None:
    for selection, (backs, lays) in depth(prices, ladder).items():
        if not prices[selection]:
            assert (backs, lays) == ({}, {})
            continue
        assert len(backs) <= LEVELS >= len(lays)
        assert not any(isinstance(ladder.rung(price), OffLadder) for price in (*backs, *lays))
        assert [*backs] == sorted(backs)
        assert [*lays] == sorted(lays, reverse=True)
        assert min(backs, default=10**9) > max(lays, default=0)
        assert all(stake_m >= 200 and not stake_m % 100 for stake_m in (*backs.values(), *lays.values()))


@pytest.mark.parametrize("prices", [PRICES[0], PRICES[3]])
def test_the_backs_of_all_selections_imply_no_lay_nor_the_lays_a_back(prices: dict[str, int]) -> None:
    offered = depth(prices, CLASSIC).values()
    assert sum(Fraction(10_000, min(levels.backs)) for levels in offered) < 1
    assert sum(Fraction(10_000, max(levels.lays)) for levels in offered) > 1


def programme(*, exchange: bool) -> tuple[Programme, list[feed.MarketImage]]:
    """On its way, and the images it has told."""
    plan = Plan(1, "t", 1_000_000, 60.0, 0, exchange=exchange)
    told = Programme(plan, SETTINGS)
    messages = [*told.messages(1_000_000 + 30_000), *told.image()]
    return told, [each for each in messages if isinstance(each, feed.MarketImage)]


def test_main_markets_of_matches_have_exchange_terms_where_they_are_wanted() -> None:
    told, images = programme(exchange=True)
    terms = {(image.fixture, image.market): image.exchange for image in images if image.exchange is not None}
    assert {each.house for each in terms.values()} == {"", HOUSE}
    assert {market for _, market in terms} == {"1x2"}
    assert set(told.exchanges) == {key for key, each in terms.items() if not each.house}
    assert programme(exchange=False)[0].exchanges == []
    assert not any(image.exchange for image in programme(exchange=False)[1])


def test_makers_follow_a_market_until_it_is_over() -> None:
    told, _ = programme(exchange=True)
    place = told.exchanges[0]
    there = told.depth(*place)
    assert there is not None
    assert any(levels.backs and levels.lays for levels in there.values())
    assert told.depth(place[0], "none-such") is None
    while told.depth(*place) is not None:
        next_ms = told.next_ms
        assert next_ms is not None
        for _ in told.messages(next_ms):
            pass
    assert place[0].startswith("sim:1-t-")


def test_what_stops_a_whole_match_lets_orders_lapse_and_what_stops_a_part_does_not() -> None:
    plan = Plan(1, "t", 1_000_000, 60.0, 12, exchange=True)
    told = Programme(plan, SETTINGS)
    stops = {(bool(each.group), each.lapse) for each in told.messages(10**9) if isinstance(each, feed.Suspend)}
    assert stops == {(False, True), (True, False)}
