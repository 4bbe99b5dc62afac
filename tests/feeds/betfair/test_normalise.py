"""What is said after which message."""

from __future__ import annotations

from typing import Any

import pytest

from core.messages.feed import (
    Cancel,
    FeedMessage,
    FeedStatus,
    FixtureChange,
    MarketImage,
    MarketPrices,
    OddsChange,
    Rollback,
    SelectionPrice,
    Settlement,
    StartingPrices,
    Suspend,
    Withdrawal,
)
from core.messages.results import Result
from core.messages.terms import ExchangeTerms
from feeds.betfair.normalise import Normaliser
from tests.feeds.betfair.lines import MARKET, Reader, definition, line, parse

ACTIVE, SUSPENDED, CLOSED = FeedStatus.ACTIVE, FeedStatus.SUSPENDED, FeedStatus.CLOSED
WIN, LOSE, VOID = (1, 0), (0, 0), (0, 10_000)


def prices(change: object) -> tuple[FeedStatus, dict[str, int]]:
    """Status and prices of an image or of a change of one market."""
    if isinstance(change, MarketImage):
        return change.status, {selection.id: selection.price for selection in change.selections}
    assert isinstance(change, OddsChange)
    (market,) = change.markets
    return market.status, {price.selection: price.price for price in market.prices}


def results(change: object) -> dict[str, tuple[int, int]]:
    assert isinstance(change, Settlement)
    (market,) = change.markets
    return {result.selection: (result.result, result.void_factor) for result in market.results}


def test_a_new_market_is_told_with_its_fixture() -> None:
    said = Reader()(line({"id": 11, "atb": [[2.0, 5]]}, pt=1000, marketDefinition=definition()))
    assert said[0] == FixtureChange("betfair", "", 0, 1000, "betfair:7", "A v B", "football", "", 1_767_268_800_000)
    image = said[1]
    assert isinstance(image, MarketImage)
    assert (image.fixture, image.market, image.group) == ("betfair:7", "betfair:1.5", "betfair:1.5")
    assert (image.market_type, image.name, image.winners, image.in_play) == ("MATCH_ODDS", "Match odds", 1, False)
    assert [(selection.id, selection.name, selection.price) for selection in image.selections] == [
        ("11", "Runner 11", 20_000),
        ("22", "Runner 22", 0),
    ]
    assert image.cut_off_ms == 0, "races start late: Betfair suspends at the off"
    assert len(said) == 2


def test_a_price_that_moves_is_told_with_all_of_its_market() -> None:
    assert Reader().opened()(line({"id": 11, "atb": [[2.1, 5]]}, pt=9)) == [
        OddsChange(
            "betfair",
            "",
            0,
            9,
            "betfair:7",
            (MarketPrices("betfair:1.5", ACTIVE, (SelectionPrice("11", 21_000), SelectionPrice("22", 30_000))),),
        )
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"atb": [[1.5, 5]]},  # a worse price
        {"atb": [[2.0, 7]]},  # another size
        {"atl": [[2.2, 7]]},
        {"ltp": 2.4},
        {"tv": 10},
        {"atb": []},
    ],
)
def test_what_changes_no_price_is_not_told(change: dict[str, Any]) -> None:
    assert Reader().opened()(line({"id": 11} | change)) == []


def test_the_same_definition_again_is_not_told() -> None:
    assert Reader().opened()(line(marketDefinition=definition(version=5))) == []


def test_a_suspension_names_one_market_and_prices_come_back_with_the_end_of_it() -> None:
    read = Reader().opened()
    assert read(line(pt=2, marketDefinition=definition("SUSPENDED"))) == [
        Suspend("betfair", "", 0, 2, "betfair:7", "betfair:1.5")
    ]
    assert read(line({"id": 11, "atb": [[2.5, 1]]})) == [], "prices of a suspended market are nobody's business"
    (again,) = read(line(marketDefinition=definition("OPEN")))
    assert prices(again) == (ACTIVE, {"11": 25_000, "22": 30_000})


def test_going_in_play_is_told() -> None:
    (said,) = Reader().opened()(line(marketDefinition=definition("SUSPENDED", inPlay=True)))
    assert isinstance(said, OddsChange)
    assert (said.markets[0].status, said.markets[0].in_play) == (SUSPENDED, True)


@pytest.mark.parametrize(("bet_delay", "delay_ms"), [(0, 0), (1, 1_000), (5, 5_000), (12, 12_000), (60, 15_000)])
def test_a_bet_delay_is_told_in_milliseconds(bet_delay: int, delay_ms: int) -> None:
    read = Reader().opened()
    said = read(line(marketDefinition=definition(inPlay=True, betDelay=bet_delay)))
    assert [message.delay_ms for message in said if isinstance(message, MarketImage)] == [delay_ms] * bool(bet_delay)
    (_, image) = read.normaliser.image()
    assert isinstance(image, MarketImage)
    assert image.delay_ms == delay_ms


def with_starting_prices(status: str, *numbers: object, reconciled: bool = True) -> dict[str, Any]:
    found = definition(status, bspReconciled=reconciled)
    for runner, number in zip(found["runners"], numbers, strict=True):
        runner["bsp"] = number
    return found


def starting_prices(messages: list[FeedMessage]) -> list[dict[str, int]]:
    return [
        {price.selection: price.price for price in message.prices}
        for message in messages
        if isinstance(message, StartingPrices)
    ]


def test_starting_prices_are_told_once_they_are_reconciled() -> None:
    read = Reader().opened()
    early = with_starting_prices("SUSPENDED", 2.0961487625962754, 9.9089325297506, reconciled=False)
    assert starting_prices(read(line(marketDefinition=early))) == []
    at_the_off = with_starting_prices("OPEN", 2.0961487625962754, 9.9089325297506)
    assert starting_prices(read(line(marketDefinition=at_the_off))) == [{"11": 20_961, "22": 99_089}]
    assert starting_prices(read(line(pt=9, marketDefinition=at_the_off))) == []
    assert starting_prices(list(read.normaliser.image())) == [{"11": 20_961, "22": 99_089}]


def test_a_starting_price_that_is_put_right_is_told_and_one_that_is_named_no_more_stands() -> None:
    read = Reader().opened()
    read(line(marketDefinition=with_starting_prices("OPEN", 2.1, 9.9089325297506)))
    closed = line(marketDefinition=with_starting_prices("CLOSED", None, 9.9))
    assert starting_prices(read(closed)) == [{"11": 21_000, "22": 99_000}]


@pytest.mark.parametrize("number", ["NaN", "Infinity", None, 0.0, 1.0, 1e9])
def test_what_is_no_price_is_no_starting_price(number: object) -> None:
    read = Reader().opened()
    said = read(line(marketDefinition=with_starting_prices("OPEN", number, 3.25)))
    assert starting_prices(said) == [{"22": 32_500}]


@pytest.mark.parametrize("status", ["INACTIVE", "SUSPENDED", "", "open", "NEWS"])
def test_a_status_that_is_not_open_is_suspended(status: str) -> None:
    said = Reader()(line({"id": 11, "atb": [[2.0, 5]]}, marketDefinition=definition(status)))
    assert prices(said[1]) == (SUSPENDED, {"11": 0, "22": 0})


@pytest.mark.parametrize(
    "more", [{"bettingType": "LINE"}, {"bettingType": "RANGE"}, {"marketType": "EACH_WAY"}, {"bettingType": "NEW"}]
)
def test_a_market_whose_prices_mean_something_else_is_never_active(more: dict[str, Any]) -> None:
    said = Reader()(line({"id": 11, "atb": [[2.0, 5]]}, marketDefinition=definition(**more)))
    assert prices(said[1])[0] is SUSPENDED


def test_an_in_play_price_that_is_confirmed_is_told_again_after_a_while() -> None:
    read = Reader().opened(inPlay=True)
    assert read(line({"id": 11, "atb": [[1.5, 5]]}, pt=20_000)) == []
    (again,) = read(line({"id": 11, "atb": [[1.5, 6]]}, pt=20_001))
    assert prices(again) == (ACTIVE, {"11": 20_000, "22": 30_000})
    assert read(line({"id": 11, "atb": [[1.5, 5]]}, pt=20_002)) == []


def test_a_removed_runner_has_no_price_and_is_void_at_the_end() -> None:
    read = Reader().opened()
    (removed,) = read(line(marketDefinition=definition(runners="11 ACTIVE,22 REMOVED")))
    assert prices(removed) == (ACTIVE, {"11": 20_000, "22": 0})
    closed, settled = read(line(marketDefinition=definition("CLOSED", "11 WINNER,22 REMOVED")))
    assert prices(closed) == (CLOSED, {})
    assert results(settled) == {"11": WIN, "22": VOID}


def test_a_runner_that_is_named_no_more_is_void_at_the_end() -> None:
    read = Reader().opened()
    (image,) = read(line(marketDefinition=definition(runners="11 ACTIVE")))
    assert prices(image) == (ACTIVE, {"11": 20_000})
    *_, settled = read(line(marketDefinition=definition("CLOSED", "11 LOSER,33 WINNER")))
    assert results(settled) == {"11": LOSE, "22": VOID, "33": WIN}


@pytest.mark.parametrize(
    ("winners", "runners", "expected"),
    [
        (1, "11 WINNER,22 LOSER", [Result("11", 1), Result("22", 0)]),
        (1, "11 WINNER,22 PLACED", [Result("11", 1), Result("22", 0)]),
        (2, "11 WINNER,22 PLACED,33 LOSER", [Result("11", 1), Result("22", 1), Result("33", 0)]),
        (1, "11 WINNER,22 WINNER", [Result("11", 1, 0, 1, 2), Result("22", 1, 0, 1, 2)]),
        (
            2,
            "11 WINNER,22 WINNER,33 WINNER,44 LOSER",
            [Result(key, 1, 0, 2, 3) for key in ("11", "22", "33")] + [Result("44", 0)],
        ),
        (3, "11 WINNER,22 LOSER", [Result("11", 1), Result("22", 0)]),
        (0, "11 WINNER,22 WINNER", [Result("11", 1), Result("22", 1)]),
        (1, "11 LOSER,22 REMOVED", [Result("11", 0), Result("22", 0, 10_000)]),
    ],
)
def test_results(winners: int, runners: str, expected: list[Result]) -> None:
    *_, settled = Reader().opened()(line(marketDefinition=definition("CLOSED", runners, numberOfWinners=winners)))
    assert isinstance(settled, Settlement)
    assert list(settled.markets[0].results) == expected


@pytest.mark.parametrize("runners", ["11 ACTIVE,22 WINNER", "11 HIDDEN,22 WINNER", "11 NEWS,22 LOSER"])
def test_a_closed_market_without_all_results_is_not_settled(runners: str) -> None:
    (closed,) = Reader().opened()(line(marketDefinition=definition("CLOSED", runners)))
    assert prices(closed) == (CLOSED, {})


def test_an_asian_handicap_is_priced_and_left_to_the_desk_to_settle() -> None:
    kind = {"bettingType": "ASIAN_HANDICAP_DOUBLE_LINE", "numberOfWinners": 0}
    runners = "11:-0.5 {0},22:0.5 {0},11:-0.75 {0},22:0.75 {0}"
    read = Reader()
    image = read(
        line(
            {"id": 11, "hc": -0.75, "atb": [[2.0, 5]]},
            marketDefinition=definition("OPEN", runners.format("ACTIVE"), **kind),
        )
    )[1]
    assert isinstance(image, MarketImage)
    assert image.winners == 2, "one on each line"
    assert prices(image) == (ACTIVE, {"11:-0.5": 0, "22:0.5": 0, "11:-0.75": 20_000, "22:0.75": 0})
    (closed,) = read(line(marketDefinition=definition("CLOSED", runners.format("WINNER"), **kind)))
    assert prices(closed) == (CLOSED, {})


def test_a_void_market_is_cancelled() -> None:
    *_, cancel = Reader().opened()(line(pt=3, marketDefinition=definition("CLOSED", "11 REMOVED,22 REMOVED")))
    assert cancel == Cancel("betfair", "", 0, 3, "betfair:7", ("betfair:1.5",))


def test_a_corrected_result_is_told_and_the_same_again_is_not() -> None:
    read = Reader().opened()
    read(line(marketDefinition=definition("CLOSED", "11 WINNER,22 LOSER")))
    assert read(line(marketDefinition=definition("CLOSED", "11 WINNER,22 LOSER"))) == []
    (corrected,) = read(line(marketDefinition=definition("CLOSED", "11 LOSER,22 WINNER")))
    assert results(corrected) == {"11": LOSE, "22": WIN}


def test_results_of_a_reopened_market_are_taken_back() -> None:
    read = Reader().opened()
    read(line(marketDefinition=definition("CLOSED", "11 WINNER,22 LOSER")))
    opened, back = read(line(pt=4, marketDefinition=definition()))
    assert prices(opened) == (ACTIVE, {"11": 20_000, "22": 30_000})
    assert back == Rollback("betfair", "", 0, 4, "betfair:7", ("betfair:1.5",), "results")


def test_a_cancel_that_turns_out_wrong_is_taken_back() -> None:
    read = Reader().opened()
    read(line(marketDefinition=definition("CLOSED", "11 REMOVED,22 REMOVED")))
    back, settled = read(line(pt=4, marketDefinition=definition("CLOSED", "11 WINNER,22 LOSER")))
    assert back == Rollback("betfair", "", 0, 4, "betfair:7", ("betfair:1.5",), "cancel")
    assert results(settled) == {"11": WIN, "22": LOSE}


def test_a_crossed_book_is_not_priced_from_and_counted() -> None:
    read = Reader().opened()
    (crossed,) = read(line({"id": 11, "atl": [[1.9, 1]]}))
    assert prices(crossed) == (ACTIVE, {"11": 0, "22": 30_000})
    assert read.normaliser.crossed == 1


def test_late_data_suspends_everything_until_it_is_timely_again() -> None:
    read = Reader().opened()
    (suspend,) = read(line({"id": 11, "atb": [[2.5, 5]]}, top={"status": 503}))
    assert isinstance(suspend, Suspend)
    (again,) = read(line({"id": 22, "tv": 1}))
    assert prices(again) == (ACTIVE, {"11": 25_000, "22": 30_000})


def test_a_message_in_parts_is_read_when_it_is_whole() -> None:
    read = Reader().opened()
    assert read(line({"id": 11, "atl": [[1.9, 1]]}, top={"segmentType": "SEG_START"})) == []
    assert read(line({"id": 22, "atb": [[3.5, 1]]}, top={"segmentType": "SEG"})) == []
    (said,) = read(line({"id": 11, "atl": [[1.9, 0]]}, top={"segmentType": "SEG_END"}))
    assert prices(said) == (ACTIVE, {"11": 20_000, "22": 35_000})
    assert read.normaliser.crossed == 0


def test_changes_before_any_definition_wait_for_it() -> None:
    read = Reader()
    assert read(line({"id": 11, "atb": [[2.0, 5]]})) == []
    assert prices(read(line(marketDefinition=definition()))[1]) == (ACTIVE, {"11": 20_000, "22": 0})


def test_an_image_without_definition_suspends() -> None:
    read = Reader().opened()
    assert isinstance(read(line({"id": 11, "atb": [[2.0, 5]]}, img=True))[0], Suspend)
    (again,) = read(line(marketDefinition=definition()))
    assert prices(again) == (ACTIVE, {"11": 20_000, "22": 0})


def test_the_image_says_all_that_stands() -> None:
    read = Reader().opened()
    read(line(marketDefinition=definition("CLOSED", "11 WINNER,22 LOSER")))
    read(line(pt=5, marketDefinition=definition()))
    read(line(pt=6, marketDefinition=definition("CLOSED", "11 LOSER,22 WINNER")))
    fixture, image, back, settled = read.normaliser.image()
    assert isinstance(fixture, FixtureChange)
    assert prices(image) == (CLOSED, {"11": 0, "22": 0})
    assert back == Rollback("betfair", "", 0, 6, "betfair:7", ("betfair:1.5",), "results")
    assert results(settled) == {"11": LOSE, "22": WIN}


def test_a_fixture_starts_with_its_first_market() -> None:
    read = Reader().opened()
    second = definition(marketTime="2026-01-01T11:30:00.000Z")
    fixture, _ = read(line(marketDefinition=second).replace(b'"1.5"', b'"1.6"'))
    assert isinstance(fixture, FixtureChange)
    assert fixture.start_ms == 1_767_267_000_000


def test_names_are_cleaned_and_invented_where_there_are_none() -> None:
    (fixture, image) = Reader()(
        line(
            marketDefinition={
                "eventId": "7",
                "eventTypeId": "99",
                "venue": "A\nB",
                "status": "OPEN",
                "runners": [{"id": 5}],
            }
        )
    )
    assert isinstance(fixture, FixtureChange)
    assert (fixture.name, fixture.sport, fixture.competition) == ("A B", "betfair-99", "A B")
    assert isinstance(image, MarketImage)
    assert (image.name, image.market_type, image.selections[0].name) == ("Unknown", "UNKNOWN", "5")


def test_the_oldest_closed_market_makes_room_and_nothing_else_does() -> None:
    read = Reader()
    for number, status in [(1, "OPEN"), (2, "CLOSED"), (3, "OPEN"), (4, "OPEN"), (5, "OPEN")]:
        read(line(marketDefinition=definition(status)).replace(b'"1.5"', b'"1.%d"' % number))
    assert list(read.normaliser.markets) == ["1.1", "1.3", "1.4"]
    assert read.normaliser.ignored == 1


def test_ids_take_the_prefix_and_starts_the_shift() -> None:
    normaliser = Normaliser(9, "betfair:second:", lambda ts_ms: ts_ms + 1000)
    (message,) = parse(line(marketDefinition=definition()))
    fixture, image = normaliser.read(message)
    assert isinstance(fixture, FixtureChange)
    assert isinstance(image, MarketImage)
    assert (fixture.fixture, image.market) == ("betfair:second:7", "betfair:second:1.5")
    assert fixture.start_ms == 1_767_268_801_000


def test_after_the_stop_nothing_is_on_offer() -> None:
    read = Reader().opened()
    (suspend,) = read.normaliser.stop()
    assert isinstance(suspend, Suspend)
    assert read.normaliser.stop() == []


@pytest.mark.parametrize(
    ("more", "terms"),
    [
        ({}, ExchangeTerms("CLASSIC", 0, cross=False, passive_exempt=True)),
        ({"marketBaseRate": 6.5}, ExchangeTerms("CLASSIC", 650, cross=False, passive_exempt=True)),
        ({"marketBaseRate": "NaN"}, ExchangeTerms("CLASSIC", 0, cross=False, passive_exempt=True)),
        ({"marketBaseRate": 90}, ExchangeTerms("CLASSIC", 5_000, cross=False, passive_exempt=True)),
        ({"crossMatching": True}, ExchangeTerms("CLASSIC", 0, cross=True, passive_exempt=True)),
        (
            {"bspMarket": True, "priceLadderDefinition": {"type": "CLASSIC"}},
            ExchangeTerms("CLASSIC", 0, cross=False, passive_exempt=True, starting_price=True),
        ),
        (
            {"priceLadderDefinition": {"type": "FINEST"}},
            ExchangeTerms("FINEST", 0, cross=False, passive_exempt=True),
        ),
        (
            {"bettingType": "ASIAN_HANDICAP_DOUBLE_LINE"},
            ExchangeTerms("FINEST", 0, cross=False, passive_exempt=True),
        ),
        ({"priceLadderDefinition": {"type": "LINE_RANGE"}}, None),
        ({"bettingType": "LINE"}, None),
        ({"marketType": "EACH_WAY"}, None),
    ],
)
def test_exchange_terms_follow_the_definition_where_they_are_wanted(
    more: dict[str, Any], terms: ExchangeTerms | None
) -> None:
    told = line({"id": 11, "atb": [[2.0, 5]]}, marketDefinition=definition(**more))
    for exchange, expected in ((True, terms), (False, None)):
        reader = Reader(exchange=exchange)
        image = reader(told)[1]
        assert isinstance(image, MarketImage)
        assert image.exchange == expected
        assert (MARKET in reader.normaliser.exchanges) == (expected is not None)


def removed(percent: float = 12.5, **more: Any) -> dict[str, Any]:
    defined = definition(runners="11 ACTIVE,22 REMOVED", **more)
    defined["runners"][1] |= {"adjustmentFactor": percent, "removalDate": "2026-01-01T11:00:00.000Z"}
    return defined


def withdrawals(messages: list[FeedMessage]) -> list[tuple[str, int, int, int]]:
    return [
        (message.selection, message.price, message.at_ms, message.reduction_bp)
        for message in messages
        if isinstance(message, Withdrawal)
    ]


def test_a_removed_runner_of_an_exchange_market_is_withdrawn_with_its_reduction_factor() -> None:
    reader = Reader(exchange=True).opened()
    eleven_ms = 1_767_265_200_000
    assert withdrawals(reader(line(pt=5, marketDefinition=removed()))) == [("22", 0, eleven_ms, 1_250)]
    assert withdrawals(reader(line(pt=6, marketDefinition=removed(bspMarket=True)))) == [], "told once"
    assert withdrawals([*reader.normaliser.image()]) == [("22", 0, eleven_ms, 1_250)]
    back = reader(line(pt=7, marketDefinition=definition()))
    assert [message.what for message in back if isinstance(message, Rollback)] == ["withdrawals"]
    assert withdrawals(back) == []
    assert withdrawals(Reader().opened()(line(pt=5, marketDefinition=removed()))) == [], "a bookmaker has Rule 4"


@pytest.mark.parametrize(
    ("changes", "backs", "lays"),
    [
        # What is available to back is what others lay.
        ([{"atb": [[2.0, 5], [1.9, 0.5]], "atl": [[2.2, 7]]}], {22_000: 700}, {20_000: 500, 19_000: 50}),
        ([{"atb": [[2.0, 5]]}, {"atb": [[2.0, 0], [1.99, 3.333]]}], {}, {19_900: 333}),
        ([{"batb": [[0, 2.0, 5], [1, 1.9, 4]]}], {}, {20_000: 500, 19_000: 400}),
        ([{"atb": [[2.0, 5]], "bdatb": [[0, 2.1, 9]]}], {}, {20_000: 500}),  # the real, before what crossing implies
        ([{"bdatl": [[0, 2.1, 9]]}], {21_000: 900}, {}),
    ],
)
def test_the_depth_of_a_market_is_what_others_orders_would_be(
    changes: list[dict[str, Any]], backs: dict[int, int], lays: dict[int, int]
) -> None:
    reader = Reader(exchange=True)
    reader(line(marketDefinition=definition()), *(line({"id": 11, **change}) for change in changes))
    assert reader.normaliser.depth(MARKET, 3) == {"11": (backs, lays), "22": ({}, {})}


def test_a_crossed_book_is_not_passed_on_and_a_closed_market_has_no_depth() -> None:
    reader = Reader(exchange=True)
    reader(line({"id": 11, "atb": [[2.0, 5]], "atl": [[2.0, 5]]}, marketDefinition=definition()))
    assert reader.normaliser.depth(MARKET, 3) == {"22": ({}, {})}
    reader(line(marketDefinition=definition(runners="11 REMOVED,22 ACTIVE")))
    assert reader.normaliser.depth(MARKET, 3) == {"11": ({}, {}), "22": ({}, {})}
    reader(line(marketDefinition=definition("CLOSED", "11 REMOVED,22 WINNER")))
    assert reader.normaliser.depth(MARKET, 3) is None
    assert reader.normaliser.depth("1.99", 3) is None
