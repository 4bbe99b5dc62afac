from __future__ import annotations

import asyncio
import itertools
from collections import Counter

import msgspec
import pytest
from msgspec.structs import replace

from adapters.demo import kinds
from adapters.demo.board import BUILDERS, OTHERS, RACES, Board, Offer, Quote
from adapters.demo.checks import amiss
from adapters.demo.customers import Customer, again, forged
from core.messages.answers import Accepted, FreeBetState, OddsDelta, OddsImage, Rejected, SelectionOdds, UsedLeg
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
    """Every third fixture is a race, and every third has a bet builder too."""
    board = Reader().board
    for number in range(fixtures):
        quotes = {"h": Quote("Home", 21_000, 22_000), "a": Quote("Away", 34_000)}
        sport = "horse_racing" if number % 3 == 0 else "football"
        offer = Offer(f"f{number}", "m", 1, f"Match {number}", "Result", "1x2", sport, 0, "open", False, quotes)
        offer.each_way = offer.starting_price = number % 3 == 0
        board.put(offer)
        if number % 3 == 1:
            both = {"yes": Quote("Home and over", 40_000)}
            head = f"f{number}", "bb", 1, f"Match {number}", "Bet builder", kinds.BUILDER
            board.put(Offer(*head, "football", 0, "open", False, both))
    return board


def bets(number: int, run: str, count: int = 300) -> list[PlaceBet]:
    board, customer = board_of(18), Customer(number, 7, run, "EUR")
    customer.cash_m = 100_000
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
    placed = [bet for number in range(1, 121) for bet in bets(number, "r1")]
    assert len({bet.id for bet in placed}) == len(placed)
    counted = Counter(
        kinds.name(bet.kind or ("system" if bet.folds else ""), len(bet.legs), each_way=bet.each_way, builder=False)
        for bet in placed
    )
    assert counted.keys() > {"double", "treble", "fourfold", "fivefold", "each_way_double", "system", *kinds.NAMED}
    assert counted["single"] > len(placed) / 2 > counted["double"] > counted["treble"] > counted["lucky15"] > 0
    assert {bet.policy for bet in placed} == set(PricePolicy)
    legs = [leg for bet in placed for leg in bet.legs]
    assert any(leg.price == 22_000 for leg in legs), "nobody bets at an old price"
    assert any(leg.starting_price for leg in legs)
    assert any(leg.banker for leg in legs)
    assert any(leg.market == "bb" for leg in legs)
    for said in ("partial", "refer", "unit_stake", "lines"):
        assert 0 < sum(bool(getattr(bet, said)) for bet in placed) < len(placed) / 3, said
    assert any(len({leg.fixture for leg in bet.legs}) < len(bet.legs) for bet in placed if bet.folds), "nobody has ways"
    stakes = sorted(bet.stake_m for bet in placed)
    assert stakes[0] == 1
    assert stakes[-1] > 100 * stakes[len(stakes) // 2]
    assert {bet.currency for bet in placed} == {"EUR", "GBP", "SEK", "XTS"}


def test_a_free_bet_is_staked_as_it_was_granted() -> None:
    customer = Customer(1, 7, "r1", "EUR")
    customer.tokens = [FreeBetState("token", 700, 0, 0)]
    placed = [bet for _ in range(50) if (bet := customer.bet(board_of(9))) is not None and bet.free_bet == "token"]
    assert [(bet.stake_m, bet.unit_stake, bet.partial) for bet in placed] == [(700, False, False)]
    assert not customer.tokens


def test_open_markets_stand_on_one_shelf_each() -> None:
    board = board_of(6)
    assert {shelf: len(offers) for shelf, offers in board.shelves.items()} == {RACES: 2, BUILDERS: 2, OTHERS: 4}
    shut = board.open["f1", "bb"]
    shut.status = "suspended"
    board.put(shut)
    assert not board.shelves[BUILDERS].keys() & {("f1", "bb")}


def test_nobody_can_bet_on_an_empty_board() -> None:
    assert Customer(1, 7, "r1", "EUR").bet(board_of(0)) is None


def test_a_retry_has_the_same_content_and_a_forgery_has_not() -> None:
    bet = bets(1, "r1", 1)[0]
    assert content(again(bet)) == content(bet)
    assert forged(bet).id == bet.id
    assert content(forged(bet)) != content(bet)


LEG = Leg("f", "m", "h", 21_500)
BET = PlaceBet("b", 0, "c", 1_000, (LEG, Leg("g", "m", "h", 30_000)), PricePolicy.BETTER)


def accepted(*prices: int, payout_m: int, stake_m: int = 1_000, lines: int = 1) -> Accepted:
    legs = tuple(
        UsedLeg(leg.fixture, leg.market, leg.selection, price, leg.price)
        for leg, price in zip(BET.legs, prices, strict=False)
    )
    return Accepted("b", 0, stake_m, payout_m, legs, lines)


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


SYSTEM = replace(BET, folds=(1, 2))
EACH_WAY = replace(BET, each_way=True)


@pytest.mark.parametrize(
    ("bet", "answer", "wrong"),
    [
        (SYSTEM, accepted(21_500, 30_000, payout_m=3_866, lines=3), ""),
        (SYSTEM, accepted(21_500, 30_000, payout_m=3_866, lines=2), "another number of lines"),
        (SYSTEM, accepted(21_500, 30_000, payout_m=3_867, lines=3), "another payout than stake times prices"),
        (replace(SYSTEM, unit_stake=True), accepted(21_500, 30_000, payout_m=11_600, stake_m=3_000, lines=3), ""),
        (replace(BET, partial=True), accepted(21_500, 30_000, payout_m=3_225, stake_m=500), ""),
        (replace(BET, partial=True), accepted(21_500, 30_000, payout_m=7_095, stake_m=1_100), "another id or stake"),
        (replace(BET, free_bet="t"), accepted(21_500, 30_000, payout_m=5_450), ""),
        (
            replace(BET, free_bet="t"),
            accepted(21_500, 30_000, payout_m=6_450),
            "another payout than stake times prices",
        ),
        # 1 000 on two lines: 6.45 in full, and a quarter and a fifth of the odds: 1.2875 x 1.4.
        (EACH_WAY, accepted(21_500, 30_000, payout_m=4_126, lines=2), ""),
        (EACH_WAY, accepted(21_500, 30_000, payout_m=4_300, lines=2), "another payout than stake times prices"),
    ],
)
def test_a_customer_counts_a_system_again_by_hand(bet: PlaceBet, answer: Accepted, wrong: str) -> None:
    assert amiss(bet, answer) == wrong


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        (accepted(20_000, 28_000, payout_m=2_240, stake_m=400), ""),
        (accepted(21_500, 30_000, payout_m=2_580, stake_m=400), "a price he had not agreed to"),
        (accepted(20_000, 28_000, payout_m=5_600, stake_m=1_000), "another id or stake"),
    ],
)
def test_an_offer_that_was_taken_holds_as_it_was_made(answer: Accepted, wrong: str) -> None:
    assert amiss(BET, answer, (20_000, 28_000), 400) == wrong


def test_whoever_bets_at_the_starting_price_agrees_to_any() -> None:
    at_the_off = replace(BET, legs=tuple(replace(leg, starting_price=True) for leg in BET.legs))
    assert not amiss(at_the_off, accepted(15_000, 20_000, payout_m=3_000))
