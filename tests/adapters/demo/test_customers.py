from __future__ import annotations

import asyncio
import itertools
from collections import Counter

import msgspec
import pytest
from msgspec.structs import replace

from adapters.demo.board import Board, Offer, Quote
from adapters.demo.customers import Customer, again, amiss, forged
from core.messages.answers import Accepted, OddsDelta, OddsImage, Rejected, SelectionOdds, UsedLeg
from core.messages.commands import Leg, PlaceBet, PricePolicy


def image(version: int, *prices: int, market: str = "1x2", status: str = "open") -> OddsImage:
    selections = tuple(SelectionOdds(str(place), f"Team {place}", price) for place, price in enumerate(prices))
    return OddsImage("f", market, version, "A v B", "Match result", "1x2", "football", 0, status, False, selections)


def delta(base: int, version: int, *prices: tuple[str, int], status: str = "open") -> OddsDelta:
    return OddsDelta("f", "1x2", base, version, status, True, prices)


class Reader:
    """A board, the images it asks for, and a clock that goes a second at every look."""

    def __init__(self, *answers: OddsImage | Rejected | None) -> None:
        self.asked: list[tuple[str, str]] = []
        self._answers = iter(answers)
        self.board = Board(self._ask, itertools.count(1.0).__next__)

    async def _ask(self, fixture: str, market: str) -> OddsImage | Rejected | None:
        self.asked.append((fixture, market))
        return next(self._answers)

    def take(self, *messages: OddsImage | OddsDelta) -> None:
        for message in messages:
            self.board.take(msgspec.json.encode(message))

    def prices(self) -> list[int]:
        return [quote.price for quote in self.board.offers["f", "1x2"].quotes.values()]


async def test_deltas_change_what_the_image_said() -> None:
    reader = Reader()
    reader.take(image(5, 21_000, 34_000), delta(5, 7, ("1", 35_000)), delta(7, 8, ("0", 20_000)))
    assert reader.prices() == [20_000, 35_000]
    assert reader.board.offers["f", "1x2"].quotes["1"].before == 34_000
    assert reader.board.open["f", "1x2"].in_play
    assert not reader.asked


async def test_a_delta_that_is_known_already_changes_nothing() -> None:
    reader = Reader()
    reader.take(image(8, 21_000, 34_000), delta(5, 8, ("1", 35_000)))
    assert reader.prices() == [21_000, 34_000]


async def test_after_a_gap_the_market_is_hidden_until_its_image_has_come() -> None:
    reader = Reader(image(12, 19_000, 40_000))
    reader.take(image(5, 21_000, 34_000), delta(9, 12, ("1", 40_000)))
    assert not reader.board.open
    await asyncio.gather(*reader.board._asking)
    assert reader.asked == [("f", "1x2")]
    assert reader.prices() == [19_000, 40_000]


@pytest.mark.parametrize("status", ["closed", "settled"])
async def test_a_market_that_is_over_is_no_longer_on_offer(status: str) -> None:
    reader = Reader()
    reader.take(image(1, 21_000, 34_000), delta(1, 2, status=status))
    assert not reader.board.offers
    assert ("f", "1x2") in reader.board.over


async def test_what_was_over_may_open_again() -> None:
    reader = Reader()
    reader.take(image(1, 21_000, status="closed"), image(2, 22_000))
    assert reader.prices() == [22_000]
    assert not reader.board.over


def board_of(fixtures: int) -> Board:
    board = Reader().board
    for number in range(fixtures):
        quotes = {"h": Quote("Home", 21_000, 22_000), "a": Quote("Away", 34_000)}
        offer = Offer(f"f{number}", "m", 1, f"Match {number}", "Result", "1x2", "football", 0, "open", False, quotes)
        board.offers[offer.fixture, offer.market] = board.open[offer.fixture, offer.market] = offer
    return board


def bets(number: int, run: str, count: int = 300) -> list[PlaceBet]:
    board, customer = board_of(8), Customer(number, 7, run, "EUR")
    return [bet for _ in range(count) if (bet := customer.bet(board)) is not None]


def content(bet: PlaceBet) -> PlaceBet:
    return replace(bet, expires_ms=0)


def test_the_same_seed_makes_the_same_bets() -> None:
    assert [content(bet) for bet in bets(3, "r1")] == [content(bet) for bet in bets(3, "r1")]


def test_another_run_makes_other_bets_of_the_same_customer() -> None:
    first, second = bets(3, "r1"), bets(3, "r2")
    assert {bet.id for bet in first}.isdisjoint(bet.id for bet in second)
    assert {bet.customer for bet in (*first, *second)} == {"demo-0003"}
    assert Customer(3, 7, "r1", "EUR").traits == Customer(3, 7, "r2", "EUR").traits


def test_a_crowd_bets_in_every_way() -> None:
    placed = [bet for number in range(1, 40) for bet in bets(number, "r1")]
    assert len({bet.id for bet in placed}) == len(placed)
    legs = Counter(len(bet.legs) for bet in placed)
    assert legs[1] > legs[2] > 0
    assert legs[3]
    assert {bet.policy for bet in placed} == set(PricePolicy)
    assert any(leg.price == 22_000 for bet in placed for leg in bet.legs), "nobody bets at an old price"
    stakes = sorted(bet.stake_m for bet in placed)
    assert stakes[0] == 1
    assert stakes[-1] > 100 * stakes[len(stakes) // 2]


def test_nobody_can_bet_on_an_empty_board() -> None:
    assert Customer(1, 7, "r1", "EUR").bet(board_of(0)) is None


def test_a_retry_has_the_same_content_and_a_forgery_has_not() -> None:
    bet = bets(1, "r1", 1)[0]
    assert content(again(bet)) == content(bet)
    assert forged(bet).id == bet.id
    assert content(forged(bet)) != content(bet)


LEG = Leg("f", "m", "h", 21_500)
BET = PlaceBet("b", 0, "c", 1_000, (LEG, Leg("g", "m", "h", 30_000)), PricePolicy.BETTER)


def accepted(*prices: int, payout_m: int, stake_m: int = 1_000) -> Accepted:
    legs = tuple(
        UsedLeg(leg.fixture, leg.market, leg.selection, price, leg.price)
        for leg, price in zip(BET.legs, prices, strict=False)
    )
    return Accepted("b", 0, stake_m, payout_m, legs)


@pytest.mark.parametrize(
    ("policy", "tolerance_bp", "answer", "wrong"),
    [
        (PricePolicy.BETTER, 0, accepted(21_500, 30_000, payout_m=6_450), ""),
        (PricePolicy.BETTER, 0, accepted(21_600, 30_000, payout_m=6_480), ""),
        (PricePolicy.BETTER, 0, accepted(21_400, 30_000, payout_m=6_420), "a price he had not agreed to"),
        (PricePolicy.NONE, 0, accepted(21_600, 30_000, payout_m=6_480), "a price he had not agreed to"),
        (PricePolicy.ANY, 0, accepted(11_000, 30_000, payout_m=3_300), ""),
        (PricePolicy.TOLERANCE, 100, accepted(21_300, 30_000, payout_m=6_390), ""),
        (PricePolicy.TOLERANCE, 90, accepted(21_300, 30_000, payout_m=6_390), "a price he had not agreed to"),
        (PricePolicy.BETTER, 0, accepted(21_500, 30_000, payout_m=6_449), "another payout than stake times prices"),
        (PricePolicy.BETTER, 0, accepted(21_500, 30_000, payout_m=6_450, stake_m=900), "another id or stake"),
        (PricePolicy.BETTER, 0, accepted(21_500, payout_m=2_150), "other legs"),
    ],
)
def test_a_customer_notices_what_is_wrong_with_his_bet(
    policy: PricePolicy, tolerance_bp: int, answer: Accepted, wrong: str
) -> None:
    assert amiss(replace(BET, policy=policy, tolerance_bp=tolerance_bp), answer) == wrong
