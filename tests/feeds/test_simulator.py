"""Whole simulated fixtures: what they tell is complete, in order, coherent, and ends with the right results."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from msgspec.structs import replace

from core.messages import feed
from core.messages.feed import FeedStatus
from core.messages.results import Result, multiplier
from feeds.simulator.fixture import Fixture
from feeds.simulator.football import FootballFixture
from feeds.simulator.market import Market
from feeds.simulator.outright import OutrightFixture
from feeds.simulator.pricing import PRICE_HIGHEST, PRICE_LOWEST, step_at
from feeds.simulator.race import RaceFixture
from tests.feeds.simulated import EVENTFUL, FOR_EVER, NOON, SETTINGS, Told, frame

SOME = hypothesis_settings(max_examples=12)
SEEDS = st.integers(0, 10**6)


def returned(result: Result) -> Fraction:
    """What a stake of one at evens brings back."""
    return Fraction(*multiplier(result, 20_000))


def football_return(market: str, selection: str, home: int, away: int) -> Fraction:
    """The same from the score, in the words of the rulebook and not in the simulator's."""
    kind, _, text = market.partition("=")
    if kind in {"total", "ah"}:
        line = Fraction(text)
        ahead = home + away - line if kind == "total" else home - away + line
        if selection in {"under", "2"}:
            ahead = -ahead
        quarter = Fraction(1, 4) if ahead % Fraction(1, 2) else Fraction(0)
        halves = [Fraction(2 if half > 0 else 1 if half == 0 else 0) for half in (ahead - quarter, ahead + quarter)]
        return sum(halves, Fraction(0)) / 2
    if kind == "dnb" and home == away:
        return Fraction(1)
    winner = "1" if home > away else "2" if home < away else "x"
    named = f"{home}-{away}" if max(home, away) <= 4 else "other"
    both = "yes" if home and away else "no"
    wins = {"1x2": selection == winner, "dnb": selection == winner, "dc": winner in selection}
    wins |= {"btts": selection == both, "score": selection == named}
    return Fraction(2 * wins[kind])


@SOME
@given(SEEDS)
def test_a_match_ends_with_the_results_of_its_score(seed: int) -> None:
    match = FootballFixture(frame(seed), EVENTFUL)
    told = Told()
    told.hear(match.messages(FOR_EVER))
    assert told.status
    for key, results in told.results.items():
        for result in results:
            assert returned(result) == football_return(key[1], result.selection, *match.score), (
                key,
                result,
                match.score,
            )


@SOME
@given(SEEDS)
def test_a_race_pays_as_many_places_as_it_has(seed: int) -> None:
    race = RaceFixture(frame(seed), EVENTFUL)
    told = Told()
    told.hear(race.messages(FOR_EVER))
    winners = {"win": 1, "place": race.places}
    positions = {runner: sum(map(len, race.order[:at])) + 1 for at, group in enumerate(race.order) for runner in group}
    for (_, market), results in told.results.items():
        paid = sum(
            Fraction(each.dead_heat_places, each.dead_heat_sharing)
            for each in results
            if each.result and not each.void_factor
        )
        assert paid == winners[market]
        assert {each.selection for each in results} == set(race.runners)
        assert sorted(each.selection for each in results if each.void_factor) == sorted(race.non_runners)
        first = race.order[0]
        assert all(each.result == 1 for each in results if each.selection in first)
        assert {each.selection: each.position for each in results if each.position} == positions


@pytest.mark.parametrize("kind", [FootballFixture, RaceFixture, OutrightFixture])
@SOME
@given(seed=SEEDS)
def test_every_market_ends_settled_or_cancelled(kind: type[Fixture], seed: int) -> None:
    fixture = kind(frame(seed), EVENTFUL)
    told = Told()
    told.hear(fixture.messages(FOR_EVER))
    assert fixture.next_ms is None
    for key, status in told.status.items():
        assert status is FeedStatus.CLOSED, key
        assert told.ended(key), key


@pytest.mark.parametrize("kind", [FootballFixture, RaceFixture, OutrightFixture])
@SOME
@given(seed=SEEDS, data=st.data())
def test_an_image_says_what_was_told_so_far(kind: type[Fixture], seed: int, data: st.DataObject) -> None:
    fixture = kind(frame(seed), EVENTFUL)
    listener, late = Told(), Told()
    listener.hear(fixture.messages(NOON + data.draw(st.integers(0, 200_000))))
    image = list(fixture.image())
    late.hear(image)
    assert late.status == listener.status
    active = [key for key, status in listener.status.items() if status is FeedStatus.ACTIVE]
    assert [late.prices[key] for key in active] == [listener.prices[key] for key in active]
    for key in listener.status:
        assert late.ended(key) == listener.ended(key)
        if not late.ended(key) or (0, 0) not in late.cancels.get(key, ()):
            assert late.results.get(key) == listener.results.get(key)
    # From here both go on alike.
    rest = list(fixture.messages(FOR_EVER))
    listener.hear(rest)
    late.hear(rest)
    assert late.status == listener.status
    assert all(late.ended(key) for key in late.status)
    assert all(message.ts_ms >= image[0].ts_ms for message in rest)


@pytest.mark.parametrize("kind", [FootballFixture, RaceFixture, OutrightFixture])
@SOME
@given(seed=SEEDS, data=st.data())
def test_a_fixture_abandoned_at_any_time_leaves_no_market_open(
    kind: type[Fixture], seed: int, data: st.DataObject
) -> None:
    fixture = kind(frame(seed), EVENTFUL)
    told = Told()
    told.hear(fixture.messages(NOON + data.draw(st.integers(0, 200_000))))
    told.hear(fixture.abandon())
    assert fixture.next_ms is None
    assert all(told.ended(key) for key in told.status)
    if isinstance(fixture, FootballFixture):
        for (_, market), results in told.results.items():
            assert all(returned(each) == football_return(market, each.selection, *fixture.score) for each in results)


@SOME
@given(SEEDS)
def test_a_goal_suspends_all_and_prices_come_back_later(seed: int) -> None:
    match = FootballFixture(frame(seed, speed=1.0), SETTINGS)
    told = Told()
    score, goal_ms = match.score, 0
    while (next_ms := match.next_ms) is not None:
        messages = list(match.messages(next_ms))
        told.hear(messages)
        if match.score != score and not match.over:
            assert any(isinstance(message, feed.Suspend) and not message.group for message in messages)
            assert not any(isinstance(message, feed.OddsChange) for message in messages)
            score, goal_ms = match.score, next_ms
        priced = [message for message in messages if isinstance(message, feed.OddsChange)]
        if goal_ms and any(change.status is FeedStatus.ACTIVE for message in priced for change in message.markets):
            assert next_ms - goal_ms >= 30_000
            goal_ms = 0


@pytest.mark.parametrize("kind", [FootballFixture, RaceFixture, OutrightFixture])
@SOME
@given(seed=SEEDS)
def test_every_book_that_is_told_sums_to_its_overround(kind: type[Fixture], seed: int) -> None:
    books = 0

    class Watched(kind):  # type: ignore[misc, valid-type]
        def _reprice(self, market: Market, chances: Sequence[float]) -> bool:
            nonlocal books
            changed: bool = super()._reprice(market, chances)
            pairs = [(chance, price) for chance, price in zip(chances, market.prices, strict=True) if price]
            assert bool(pairs) == (market.status is FeedStatus.ACTIVE)
            if pairs and market.parts:
                ((chance, price),) = pairs
                assert chance * price <= 10_000, "never above the fair price"
            elif pairs:
                books += 1
                target = (1 + self.overround) * sum(chance for chance, _ in pairs)
                asked = sum(10_000 / price for _, price in pairs)
                rounding = sum(10_000 / price - 10_000 / (price + step_at(price)) for _, price in pairs)
                assert target - 1e-6 <= asked <= target + rounding + 1e-6
                assert target <= (1 + self.overround) * market.winners + 1e-6
            return changed

    for _ in Watched(frame(seed), EVENTFUL).messages(FOR_EVER):
        pass
    assert books >= 2


@SOME
@given(SEEDS)
def test_a_non_runner_is_withdrawn_at_its_price_before_the_off_and_its_bets_are_void(seed: int) -> None:
    settings = replace(EVENTFUL, non_runner_chance=1.0, cancel_chance=0.0, abandon_chance=0.0)
    race = RaceFixture(frame(seed), settings)
    told, win, place = Told(), (race.frame.id, "win"), (race.frame.id, "place")
    offered: dict[str, int] = {}
    while not race.order:
        assert race.next_ms is not None
        for message in race.messages(race.next_ms):
            if isinstance(message, feed.Suspend):
                offered = told.prices[win] if told.status[win] is FeedStatus.ACTIVE else {}
            if isinstance(message, feed.Withdrawal):
                assert told.status[win] is told.status[place] is FeedStatus.SUSPENDED
                assert message.at_ms == message.ts_ms
                assert message.price == offered.get(message.selection, message.price)
            told.hear([message])
    assert sorted(told.withdrawals.get(win, {})) == sorted(race.non_runners)
    assert told.withdrawals.get(place) == told.withdrawals.get(win)
    for runner in race.non_runners:
        assert told.prices[race.frame.id, "win"][runner] == 0
        assert told.prices[race.frame.id, "place"][runner] == 0
    told.hear(race.messages(FOR_EVER))
    void = [each for each in told.results[race.frame.id, "win"] if each.void_factor == 10_000]
    assert sorted(each.selection for each in void) == sorted(race.non_runners)


@SOME
@given(SEEDS)
def test_a_race_tells_its_starting_prices_at_the_off(seed: int) -> None:
    race = RaceFixture(frame(seed), replace(EVENTFUL, abandon_chance=0.0, cancel_chance=0.0))
    told = Told()
    while not race.order:
        assert race.next_ms is not None
        assert not told.starting_prices
        told.hear(race.messages(race.next_ms))
    for market in ("win", "place"):
        known = told.starting_prices[race.frame.id, market]
        assert sorted(known) == sorted(set(race.runners) - set(race.non_runners)), "whoever starts has one"
        assert all(PRICE_LOWEST <= price <= PRICE_HIGHEST for price in known.values())
    asked = sum(10_000 / price for price in told.starting_prices[race.frame.id, "win"].values())
    assert 1.05 < asked <= 1.2


def test_a_race_to_win_is_offered_each_way_at_the_usual_terms() -> None:
    kinds = set()
    for seed in range(20):
        told = Told()
        told.hear(RaceFixture(frame(seed), SETTINGS).image())
        assert told.images[f"sim:{seed}-t-0", "place"].each_way is None
        terms = told.images[f"sim:{seed}-t-0", "win"].each_way
        assert terms is not None
        assert not terms.places, "0: the usual ones, by the number of runners"
        kinds.add(terms.handicap)
    assert kinds == {False, True}


def test_each_fixture_has_a_bet_delay_of_its_own() -> None:
    def told(seed: int, delay_max_ms: int) -> set[int]:
        fixture = FootballFixture(frame(seed), replace(SETTINGS, delay_max_ms=delay_max_ms))
        return {message.delay_ms for message in fixture.image() if isinstance(message, feed.MarketImage)}

    found = [told(seed, 3_000) for seed in range(20)]
    assert all(len(each) == 1 for each in found), "one for all markets, from the announcement on"
    delays = set().union(*found)
    assert len(delays) > 10
    assert 500 <= min(delays) <= max(delays) <= 3_000
    assert told(1, 0) == {0}


@SOME
@given(SEEDS)
def test_one_team_wins_the_league_of_the_matches(seed: int) -> None:
    settings = replace(EVENTFUL, cancel_chance=0.0, abandon_chance=0.0)
    outright, match, told = OutrightFixture(frame(seed), settings), FootballFixture(frame(seed), settings), Told()
    told.hear(outright.messages(FOR_EVER))
    (results,) = told.results.values()
    assert sum(each.result for each in results) == 1
    assert outright.sport == match.sport
    assert outright.outright_of == match.competition != outright.competition, (
        "else it could not be combined with itself"
    )


@SOME
@given(SEEDS)
def test_a_fixtures_score_settles_what_its_settlement_would_have(seed: int) -> None:
    """Told by the score or market by market, corrected or not: the same results, by a listener's own grading."""
    heard = {}
    for chance in (0.0, 1.0):
        for kind in (FootballFixture, RaceFixture):
            settings = replace(EVENTFUL, by_score_chance=chance, abandon_chance=0.0, cancel_chance=0.0)
            told, fixture = Told(), kind(frame(seed), settings)
            messages = list(fixture.messages(FOR_EVER))
            told.hear(messages)
            assert bool(told.scores) == bool(chance)
            last = next(each for each in reversed(messages) if isinstance(each, feed.FixtureScore | feed.Settlement))
            assert isinstance(last, feed.FixtureScore) == bool(chance)
            heard[chance, kind] = told.results
    for kind in (FootballFixture, RaceFixture):
        assert heard[0.0, kind] == heard[1.0, kind]


@SOME
@given(SEEDS)
def test_what_is_told_as_provisional_is_confirmed(seed: int) -> None:
    settings = replace(EVENTFUL, provisional_chance=1.0, abandon_chance=0.0, cancel_chance=0.0)
    for kind in (FootballFixture, RaceFixture, OutrightFixture):
        messages = list(kind(frame(seed), settings).messages(FOR_EVER))
        told = [each for each in messages if isinstance(each, feed.FixtureScore | feed.Settlement)]
        provisional = [each for each in told if each.certainty == 1]
        assert len(provisional) == 1
        assert isinstance(told[-1], type(provisional[0]))
        assert told[-1].certainty == 2
        assert not any(isinstance(each, feed.Rollback) for each in messages), "nothing was settled that could be undone"


@SOME
@given(SEEDS)
def test_a_bet_builder_follows_its_parts(seed: int) -> None:
    """Never offered without all of them, never shorter than one of them, and closed with the first."""
    offers_of_builders(seed)


def test_most_matches_offer_their_bet_builders() -> None:
    """All but those that are called off, or have a part that is as good as decided from the start: 7 of 300."""
    assert sum(offers_of_builders(seed) > 0 for seed in range(20)) >= 18


def offers_of_builders(seed: int) -> int:
    """How many times one was priced, each looked at beside its parts."""
    match = FootballFixture(frame(seed), EVENTFUL)
    told, offered = Told(), 0
    for message in match.messages(FOR_EVER):
        told.hear([message])
        if isinstance(message, feed.MarketImage | feed.FixtureChange):
            continue
        for (fixture, market), image in told.images.items():
            if not image.parts or told.status[fixture, market] is not FeedStatus.ACTIVE:
                continue
            parts = [(fixture, part) for part, _ in image.parts]
            (price,) = told.prices[fixture, market].values()
            if isinstance(message, feed.OddsChange) and len(message.markets) == len(match.markets):
                offered += 1
                assert all(told.status[part] is FeedStatus.ACTIVE for part in parts)
            assert all(told.status[part] is not FeedStatus.CLOSED for part in parts)
            assert price >= max(told.prices[fixture, part][selection] for part, selection in image.parts)
    return offered


def test_a_bet_builder_with_a_part_that_is_not_offered_is_not_offered() -> None:
    match, told = FootballFixture(frame(1), SETTINGS), Told()
    told.hear(match.messages(NOON))
    match.score = (0, 9)
    match.at(0, match.move_prices)
    told.hear(match.messages(NOON + 1))
    home = {part for part, image in told.images.items() if ("1x2", "1") in image.parts or ("dc", "1x") in image.parts}
    assert len(home) == 2
    for builder in home:
        assert (told.status[builder], told.prices[builder]) == (FeedStatus.SUSPENDED, {"yes": 0})


def test_a_bet_stop_of_one_group_stops_the_bet_builders_too() -> None:
    """And of theirs, nothing else."""
    for group, stopped in (("goals", {"goals", "builder"}), ("builder", {"builder"}), ("handicap", {"handicap"})):
        match = FootballFixture(frame(1), SETTINGS)
        told = Told()
        told.hear(match.messages(NOON))
        match.suspend(20, group)
        match.at(0, lambda: None)
        told.hear(match.messages(NOON + 1))
        suspended = {told.group[key] for key, status in told.status.items() if status is FeedStatus.SUSPENDED}
        assert suspended == stopped


@pytest.mark.parametrize(("chance", "offered"), [(0.0, False), (1.0, True)])
def test_a_race_is_offered_in_the_running_only_where_configured(chance: float, offered: bool) -> None:  # noqa: FBT001
    settings = replace(SETTINGS, in_running_chance=chance, cancel_chance=0.0, abandon_chance=0.0)
    race = RaceFixture(frame(5), settings)
    in_running = [
        change
        for message in race.messages(FOR_EVER)
        if isinstance(message, feed.OddsChange)
        for change in message.markets
        if change.in_play and change.status is FeedStatus.ACTIVE
    ]
    assert bool(in_running) == offered


def test_live_prices_are_told_again_before_they_go_stale() -> None:
    match = FootballFixture(frame(11, speed=1.0), replace(SETTINGS, abandon_chance=0.0, cancel_chance=0.0))
    heard: dict[str, int] = {}
    active: set[str] = set()
    for message in match.messages(FOR_EVER):
        if isinstance(message, feed.Suspend):
            active.clear()
        if isinstance(message, feed.OddsChange):
            for change in message.markets:
                if change.market in active:
                    assert message.ts_ms - heard[change.market] <= 45_000
                heard[change.market] = message.ts_ms
                (active.add if change.status is FeedStatus.ACTIVE else active.discard)(change.market)
    assert len(heard) == len(match.markets)
