"""What customers want on the exchange, and what they note."""

from __future__ import annotations

import asyncio
from collections import Counter
from random import Random
from typing import Any

import pytest

from adapters.demo.board import Board
from adapters.demo.customers import Customer
from adapters.demo.report import Line
from adapters.demo.traders import Traders, Wish, wish
from core.exchange.ladder import CLASSIC, OffLadder
from core.messages import answers as an
from core.messages import commands as co
from core.messages.terms import ExchangeTerms

BOOK = an.BookLevels("a", ((22_000, 5_000), (22_200, 900)), ((21_600, 4_000), (21_400, 100)))


def image(*books: an.BookLevels, in_play: bool = False) -> an.BookImage:
    return an.BookImage("f", "m", 1, 7, "open", in_play, books)


def wishes(book: an.BookImage, *, starting_price: bool, count: int = 600) -> list[Wish]:
    found = (wish(Random(seed), book, CLASSIC, 700, starting_price=starting_price) for seed in range(count))
    return [each for each in found if each is not None]


def takes(each: Wish) -> bool:
    return each.price >= 0 and (each.price <= 21_600 if each.side == "back" else each.price >= 22_000)


@pytest.mark.parametrize("starting_price", [False, True])
def test_every_wish_is_an_order_that_the_market_takes(starting_price: bool) -> None:  # noqa: FBT001
    for each in wishes(image(BOOK), starting_price=starting_price):
        assert not isinstance(CLASSIC.rung(each.price), OffLadder) or (each.kind == "on_close" and not each.price)
        assert each.stake_m >= 200
        assert 0 <= each.fill_min_m <= (each.stake_m if each.fill_or_kill else 0)
        assert starting_price or "on_close" not in (each.kind, each.persistence)


def test_there_is_some_of_everything() -> None:
    found = wishes(image(BOOK), starting_price=True)
    kinds = Counter(
        "on close"
        if each.kind == "on_close"
        else "all or nothing"
        if each.fill_or_kill
        else "takes"
        if takes(each)
        else "rests"
        for each in found
    )
    assert min(kinds[kind] for kind in ("on close", "all or nothing", "takes", "rests")) > 30, kinds
    assert {each.side for each in found} == {"back", "lay"}
    assert {each.persistence for each in found} == {"lapse", "persist", "on_close"}


def test_in_play_nothing_is_for_the_close() -> None:
    for each in wishes(image(BOOK, in_play=True), starting_price=True):
        assert "on_close" not in (each.kind, each.persistence)


def test_of_an_empty_book_nothing_is_wanted_and_a_lay_of_a_long_shot_is_a_small_one() -> None:
    assert wishes(image(an.BookLevels("a", (), ())), starting_price=True) == []
    long_shot = image(an.BookLevels("a", ((10_000_000, 5_000),), ((9_900_000, 5_000),)))
    assert {each.stake_m for each in wishes(long_shot, starting_price=False) if each.side == "lay"} == {200}


class Echo:
    """An engine that answers everything with the same."""

    def __init__(self, answer: an.Answer) -> None:
        self.answer = answer
        self.asked: list[tuple[str, Any]] = []

    async def ask(self, subject: str, message: Any) -> an.Answer | None:
        self.asked.append((subject, message))
        if subject == "order.book":
            return image(BOOK)
        return self.answer


async def trade(answer: an.Answer) -> tuple[Traders, Echo, list[Line]]:
    """One customer, until he has asked for ten things."""
    engine = Echo(answer)
    lines: list[Line] = []
    board = Board(lambda *_: _none(), lambda: 0.0)
    board.put(
        board_offer(
            an.OddsImage(
                *("f", "m", 1, "A v B", "Match odds", "x", "football", 0, "open", False),
                (an.SelectionOdds("a", "A", 21_000),),
                exchange=ExchangeTerms(),
            )
        )
    )
    customer = Customer(1, 1, "r1", "EUR")
    traders = Traders([customer], board, engine.ask, lines.append, _deposit, "r1", 10_000.0)
    living = asyncio.create_task(traders.live(customer))
    while len(engine.asked) < 30 and not living.done():  # noqa: ASYNC110  (it does not say so)
        await asyncio.sleep(0.001)
    living.cancel()
    return traders, engine, lines


async def _none() -> None:
    return None


async def _deposit(_: Customer) -> None:
    return None


def board_offer(odds: an.OddsImage) -> Any:
    board = Board(lambda *_: _none(), lambda: 0.0)
    board._image(odds)
    return board.offers["f", "m"]


async def test_orders_that_rest_are_counted_and_some_taken_back() -> None:
    traders, engine, lines = await trade(an.OrderReport("x", 1, "resting"))
    seen = traders.report()
    placed = [message for subject, message in engine.asked if subject == "order.place"]
    assert seen.orders == seen.answers["resting"] >= len(placed) - 1 > 5
    assert len({order.id for order in placed}) == len(placed)
    assert (seen.takers, seen.matched_m, lines) == (0, 0, [])
    assert {subject for subject, _ in engine.asked} & {
        "order.cancel",
        "order.reduce",
        "order.replace",
        "order.cancel-all",
    }
    assert traders.faults == []


async def test_what_was_matched_is_counted_by_selection_and_told() -> None:
    traders, _, lines = await trade(an.OrderReport("x", 1, "matched", 100, 21_600))
    seen = traders.report()
    assert seen.matched_m == seen.takers * 100 > 0
    assert [(each.fixture, each.market, [*each.stakes_m]) for each in seen.traded] == [("f", "m", ["a"])]
    assert lines[0].kind == "traded"
    assert "A 2.16 (A v B)" in lines[0].what


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (an.OrderReport("x", 1, "matched", 100, 10_100), "he backed at a lower price"),
        (an.OrderReport("x", 1, "matched", 10**9, 21_600), "more than he wanted"),
        (an.OrderReport("x", 1, "no-such-status"), "a status that there is not"),
        (an.Rejected("x", "MALFORMED"), "our mistake"),
    ],
)
async def test_an_answer_that_cannot_be_is_a_fault(answer: an.Answer, fault: str) -> None:
    traders, _, _ = await trade(answer)
    assert traders.faults, fault


async def test_a_refusal_is_counted_and_no_fault_and_who_is_excluded_stops() -> None:
    traders, _, _ = await trade(an.Rejected("x", "MARKET_SUSPENDED"))
    assert traders.report().answers["MARKET_SUSPENDED"] > 5
    traders, engine, _ = await trade(an.Rejected("x", "SELF_EXCLUDED"))
    assert sum(isinstance(message, co.PlaceOrder) for _, message in engine.asked) == 1
    assert traders.faults == []
