"""Who follows `odds.<fixture>.<market>.book` as its docstring says holds the engine's books, whenever he came."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from adapters.engine.books import difference
from adapters.engine.notices import Outbox
from adapters.engine.publisher import Publisher
from adapters.metrics import Metrics
from config.settings import load
from core.engine import Engine
from core.exchange import clearing
from core.exchange.ladder import Side
from core.messages import commands as co
from core.messages.answers import BookImage, BookLevels
from core.messages.queries import GetBook
from tests.adapters.engine.following import Books, Message, Reader
from tests.core.exchange import trading
from tests.core.world import NOON, lost, won

CUSTOMERS = ("anna", "bob", "carl", "dora", "emil")
PRICES = (18_000, 18_500, 19_000, 19_500, 20_000, 20_200, 20_400, 21_000)


class Rig:
    """A world with an exchange market and the publisher on it."""

    def __init__(self, settings: dict[str, int] | None = None, **terms: Any) -> None:
        self.world = trading.floor(*CUSTOMERS, **terms)
        self.publisher = Publisher(
            self.world.engine, replace(load(environ={}).publisher, **(settings or {})), Metrics()
        )

    def collect(self, after_ms: int = 50) -> list[Message]:
        """What goes out on the books' subject."""
        self.world.wait(after_ms)
        outbox: Outbox = []
        self.publisher.collect(outbox, self.world.now)
        return sent(outbox)

    def ask(self) -> tuple[Message, list[Message]]:
        """The answer to `order.book`, and what everybody was sent with it."""
        outbox: Outbox = []
        answer = self.publisher.answer_book(GetBook("match", "winner"), outbox, self.world.now)
        return msgspec.json.decode(msgspec.json.encode(answer)), sent(outbox)

    def order(self, customer: str, side: str, price: int, stake_m: int, selection: str = "home") -> str:
        return trading.placed(self.world, customer, selection, side, price, stake_m).id


def sent(outbox: Outbox) -> list[Message]:
    books = [payload for subject, payload in outbox if subject == "odds.match.winner.book"]
    assert all(subject in {"odds.match.winner", "odds.match.winner.book"} for subject, _ in outbox)
    return [msgspec.json.decode(payload) for payload in books]


def engines(held: Engine, depth: int) -> Books:
    """The books as the engine has them."""
    market = held.book.fixtures["match"].markets["winner"]
    exchange = market.exchange
    assert exchange is not None
    found = {}
    for name in market.selections:
        book = exchange.books.get(name)
        backs, lays = ({}, {}) if book is None else (dict(book.levels(side, depth)) for side in Side)
        found[name] = (backs, lays, *clearing.near_and_far(exchange, name))
    return found


def test_first_an_image_then_the_levels_that_changed() -> None:
    r = Rig()
    r.order("anna", "back", 20_000, 500)
    (image,) = r.collect()
    empty: list[Any] = [[name, [], [], 0, 0] for name in ("draw", "away")]
    assert image == {
        "type": "book",
        "fixture": "match",
        "market": "winner",
        "version": (r.world.book.term << 32) + 1,
        "market_version": 1,
        "status": "open",
        "in_play": False,
        "books": [["home", [[20_000, 500]], [], 0, 0], *empty],
    }
    r.order("bob", "back", 20_000, 300)
    r.order("bob", "lay", 19_000, 200)
    (delta,) = r.collect()
    assert delta == {
        "type": "book_delta",
        "fixture": "match",
        "market": "winner",
        "base": image["version"],
        "version": image["version"] + 1,
        "market_version": 1,
        "status": "open",
        "in_play": False,
        "books": [["home", [[20_000, 800]], [[19_000, 200]], 0, 0]],
    }


def test_a_level_that_is_gone_has_no_stake() -> None:
    r = Rig()
    order = r.order("anna", "back", 20_000, 500)
    r.collect()
    r.world.command(co.CancelOrder, customer="anna", order=order)
    (delta,) = r.collect()
    assert delta["books"] == [["home", [[20_000, 0]], [], 0, 0]]


def test_a_level_below_the_depth_that_is_shown_comes_and_goes() -> None:
    r = Rig({"book_depth_max": 2})
    for price in (20_000, 21_000, 22_000):
        r.order("anna", "back", price, 500)
    (image,) = r.collect()
    assert image["books"][0][1] == [[20_000, 500], [21_000, 500]]
    r.order("bob", "lay", 20_000, 500)
    (delta,) = r.collect()
    assert delta["books"] == [["home", [[20_000, 0], [22_000, 500]], [], 0, 0]]
    r.order("bob", "back", 20_000, 100)
    (delta,) = r.collect()
    assert delta["books"] == [["home", [[22_000, 0], [20_000, 100]], [], 0, 0]]


def test_what_came_and_went_within_an_interval_is_not_told() -> None:
    r = Rig()
    r.collect()
    order = r.order("anna", "back", 20_000, 500)
    r.world.command(co.CancelOrder, customer="anna", order=order)
    assert r.collect() == []


def test_a_flood_in_one_market_is_conflated() -> None:
    """2 000 orders within a second are at most 20 deltas, none of them longer than the levels there are."""
    r = Rig()
    r.collect()
    chance, told = random.Random(5), []
    for _ in range(2_000):
        customer, side = chance.choice(CUSTOMERS), chance.choice(("back", "lay"))
        trading.order(r.world, customer, "home", side, chance.choice(PRICES), 100)
        told += r.collect(after_ms=chance.randrange(2))
    assert 5 < len(told) <= 20
    assert all(len(levels) <= len(PRICES) for delta in told for _, *sides, _, _ in delta["books"] for levels in sides)


def test_a_turn_compares_no_more_books_than_it_may_and_the_rest_follows() -> None:
    r = Rig({"books_per_turn_max": 2})
    r.collect()
    for name in trading.NAMES:
        trading.placed(r.world, "anna", name, "back", 20_000, 500)
    assert [[book[0] for book in delta["books"]] for delta in r.collect()] == [["home", "draw"]]
    assert [[book[0] for book in delta["books"]] for delta in r.collect(after_ms=1)] == [["away"]]
    assert r.collect(after_ms=1) == []


def test_a_status_is_a_delta_without_levels() -> None:
    r = Rig()
    r.collect()
    r.world.desk(co.SuspendMarket, trading.MATCH)
    (delta,) = r.collect()
    assert (delta["status"], delta["books"]) == ("suspended", [])


def test_a_material_change_is_told_with_the_market_version_that_orders_rely_on() -> None:
    r = Rig()
    (image,) = r.collect()
    r.world.desk(co.SuspendMarket, trading.MATCH, lapse=True)
    r.world.run()
    (delta,) = r.collect()
    assert delta["market_version"] == image["market_version"] + 1


def test_more_selections_are_a_new_image() -> None:
    r = Rig()
    r.collect()
    trading.exchange(r.world, names=(*trading.NAMES, "other"), cross=False)
    assert [(each["type"], len(each["books"])) for each in r.collect()] == [("book", 4)]


def test_a_market_that_is_over_is_told_until_it_is_empty_and_then_no_more() -> None:
    r = Rig()
    r.order("anna", "back", 20_000, 500)
    r.collect()
    r.world.results(trading.MATCH, won("home"), lost("draw"), lost("away"))
    r.world.run()
    (last,) = r.collect()
    assert (last["status"], last["books"]) == ("settled", [["home", [[20_000, 0]], [], 0, 0]])
    r.world.book.traded[("match", "winner")] = r.world.at(trading.MATCH)
    assert r.collect() == []
    image, told = r.ask()
    assert (image["status"], image["version"], told) == ("settled", last["version"], [])
    r.world.roll_back(trading.MATCH)
    r.world.run()
    (again,) = r.collect()
    assert (again["type"], again["status"]) == ("book", "open")
    assert again["version"] > last["version"]


def test_near_and_far_prices_follow_their_books() -> None:
    r = Rig({"near_far_interval_ms": 1_000}, starting_price=True)
    r.collect()
    r.collect()
    for customer, side in (("anna", "back"), ("bob", "lay")):
        answer = trading.order(r.world, customer, "home", side, 0, 1_000, kind="on_close")
        assert answer is not None
    assert r.collect() == []
    (delta,) = r.collect(after_ms=1_000)
    assert delta["books"] == [["home", [], [], 20_000, 20_000]]
    r.world.desk(co.TurnInPlay, trading.MATCH)
    r.world.run()
    (delta,) = r.collect()
    assert (delta["in_play"], delta["books"]) == (True, [["home", [], [], 0, 0]])


def test_an_unknown_market_and_one_that_is_no_exchange_are_said_to_be() -> None:
    r = Rig()
    r.world.market("match/other", a=20_000, b=20_000)
    for market, reason in (("nowhere", "MARKET_UNKNOWN"), ("other", "EXCHANGE_NOT_OFFERED")):
        answer = r.publisher.answer_book(GetBook("match", market), [], NOON)
        assert getattr(answer, "reason", "") == reason


def test_after_a_start_versions_go_on_from_a_new_term() -> None:
    r = Rig()
    r.order("anna", "back", 20_000, 500)
    (image,) = r.collect()
    r.world.engine.start("engine-2", "0", r.world.now)
    r.publisher = Publisher(r.world.engine, load(environ={}).publisher, Metrics())
    r.publisher.show_all(r.world.book.markets())
    (again,) = r.collect()
    assert again["version"] == ((image["version"] >> 32) + 1 << 32) + 1
    assert again["books"] == image["books"]


def test_after_a_start_a_market_that_is_over_is_shown_once_more() -> None:
    """The engine before may have died between the end of a market and the word of it."""
    r = Rig()
    r.order("anna", "back", 20_000, 500)
    (image,) = r.collect()
    r.world.results(trading.MATCH, won("home"), lost("draw"), lost("away"))
    r.world.run()
    r.world.engine.start("engine-2", "0", r.world.now)
    r.publisher = Publisher(r.world.engine, load(environ={}).publisher, Metrics())
    r.publisher.show_all(r.world.book.markets())
    (last,) = r.collect()
    assert (last["status"], last["books"][0]) == ("settled", ["home", [], [], 0, 0])
    assert last["version"] > image["version"]
    r.world.book.traded["match", "winner"] = r.world.at(trading.MATCH)
    assert r.collect() == []
    assert r.ask() == (last, [])


def test_of_a_market_that_is_over_no_near_and_far_prices_are_left() -> None:
    r = Rig({"near_far_interval_ms": 1_000}, starting_price=True)
    for customer, side in (("anna", "back"), ("bob", "lay")):
        trading.placed(r.world, customer, "home", side, 0, 500, kind="on_close")
    reader = Reader()
    assert all(reader.hear(message) for _ in range(2) for message in r.collect())
    assert reader.books["home"][2:] == (20_000, 20_000)
    r.world.settle(trading.MATCH, won("home"))
    assert all(reader.hear(message) for message in (*r.collect(), *r.collect(1_000)))
    assert (reader.head["status"], reader.books["home"]) == ("settled", ({}, {}, 0, 0))
    r.world.book.traded["match", "winner"] = r.world.at(trading.MATCH)
    assert r.collect() == []


def test_who_asks_gets_an_image_behind_deltas_none_of_which_holds_more_books_than_one_of_a_turn() -> None:
    """A delta of all books of a large market would be larger than a message."""
    names = tuple(f"s{number}" for number in range(7))
    r = Rig({"books_per_turn_max": 3}, names=names)
    reader = Reader()
    for message in r.collect():
        assert reader.hear(message)
    for name in names:
        r.order("anna", "back", 20_000, 500, name)
    image, told = r.ask()
    assert [len(each["books"]) for each in told] == [3, 3, 1]
    assert all(reader.hear(message) for message in told)
    assert (image["version"], image["books"][6]) == (reader.head["version"], ["s6", [[20_000, 500]], [], 0, 0])


def test_the_same_is_no_difference() -> None:
    levels = BookLevels("home", ((20_000, 1), (21_000, 2)), ((19_000, 3),), 20_000)
    assert difference(levels, levels) == BookLevels("home", (), (), 20_000)


@pytest.mark.parametrize("seed", range(8))
def test_readers_hold_the_engines_books_whenever_they_came(seed: int) -> None:
    chance, depth = random.Random(seed), random.Random(seed).choice((2, 5, 30))
    print(f"seed {seed}")  # noqa: T201  # shown when the test fails
    r = Rig(
        {"book_depth_max": depth, "books_per_turn_max": chance.choice((1, 2, 100))}, starting_price=True, cross=True
    )
    readers: list[Reader] = []
    orders: list[tuple[str, str]] = []
    for step in range(1_500):
        told: list[Message] = []
        customer = chance.choice(CUSTOMERS)
        match chance.randrange(12):
            case 0 | 1:
                told = r.collect(after_ms=chance.choice((1, 20, 50)))
            case 2 if len(readers) < 20:
                image, told = r.ask()
                readers.append(Reader())
                assert readers[-1].hear(image)
            case 3 | 4 if orders:
                who, order = orders.pop(chance.randrange(len(orders)))
                r.world.command(co.CancelOrder, customer=who, order=order)
            case 5 if step % 50 == 0:
                r.world.desk(chance.choice((co.SuspendMarket, co.OpenMarket)), trading.MATCH)
            case _:
                side, name = chance.choice(("back", "lay")), chance.choice(trading.NAMES)
                terms = {"kind": chance.choice(("limit", "limit", "on_close"))}
                stake_m = chance.randrange(100, 2_000)
                answer = trading.order(r.world, customer, name, side, chance.choice(PRICES), stake_m, **terms)
                orders.append((customer, getattr(answer, "id", "")))
        assert all(reader.hear(message) for message in told for reader in readers)
    for _ in range(40):
        told = r.collect(after_ms=500)
        assert all(reader.hear(message) for message in told for reader in readers)
    expected = engines(r.world.engine, depth)
    assert any(backs and lays for backs, lays, _, _ in expected.values())
    assert all(reader.books == expected for reader in readers)
    r.world.desk(co.OpenMarket, trading.MATCH)
    r.world.desk(co.TurnInPlay, trading.MATCH)
    r.world.run()
    for _ in range(6):
        assert all(reader.hear(message) for message in r.collect() for reader in readers)
    assert all(reader.books == engines(r.world.engine, depth) and reader.head["in_play"] for reader in readers)


def test_a_reader_who_missed_a_delta_sees_it_and_an_image_helps() -> None:
    r = Rig()
    reader = Reader()
    (image,) = r.collect()
    assert reader.hear(image)
    r.order("anna", "back", 20_000, 500)
    r.collect()  # lost
    r.order("anna", "back", 21_000, 500)
    assert not any(reader.hear(delta) for delta in r.collect())
    image, _ = r.ask()
    assert reader.hear(image)
    r.order("anna", "back", 22_000, 500)
    assert all(reader.hear(delta) for delta in r.collect())
    assert reader.books == engines(r.world.engine, 30)


def test_an_answer_is_of_the_documented_type() -> None:
    image, _ = Rig().ask()
    assert msgspec.convert(image, BookImage).market == "winner"
