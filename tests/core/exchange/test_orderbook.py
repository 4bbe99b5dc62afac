"""The order book and its plain twin under the same rules (RULEBOOK 6), and as one under random orders."""

from __future__ import annotations

import random
from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.exchange.ladder import FINEST, Side
from core.exchange.orderbook import UNMATCHED, Fill, Lapse, Match, Order, OrderBook
from tests.core.exchange import tape
from tests.core.exchange.plain import PlainBook
from tests.core.exchange.tape import AnyBook, Placed, state

BACK, LAY = Side.BACK, Side.LAY
Row = tuple[int, int]
"""(price x 10 000, stake)."""


@pytest.fixture(params=[OrderBook, PlainBook])
def book(request: pytest.FixtureRequest) -> AnyBook:
    made: AnyBook = request.param()
    return made


def rested(book: AnyBook, side: Side, *rows: Row) -> None:
    """Orders of as many makers, named m0, m1 ... in order."""
    for number, (price, stake_m) in enumerate(rows):
        book.rest(f"m{number}", f"maker-{number}", side, price, stake_m)


def fills_of(match: Match) -> list[tuple[str, int, int]]:
    return [(fill.maker, fill.price, fill.stake_m) for fill in match.fills]


class TestMatching:
    def test_an_order_that_nobody_meets_rests_whole(self, book: AnyBook) -> None:
        assert book.place("a", "ann", BACK, 30_000, 500) is UNMATCHED
        assert book.place("b", "bob", LAY, 29_800, 300) is UNMATCHED
        assert (book.best(BACK), book.best(LAY)) == (30_000, 29_800)
        assert state(book) == [("a", "ann", BACK, 30_000, 500), ("b", "bob", LAY, 29_800, 300)]

    @pytest.mark.parametrize(
        ("side", "rows", "price", "stake_m", "fills", "left"),
        [
            # a back takes the highest lay first, at its price
            (BACK, ((20_000, 10), (20_400, 10), (20_200, 10)), 20_000, 15, [("m1", 20_400, 10), ("m2", 20_200, 5)], 15),
            # a lay takes the lowest back first, at its price
            (LAY, ((20_400, 10), (20_000, 10), (20_200, 10)), 20_400, 15, [("m1", 20_000, 10), ("m2", 20_200, 5)], 15),
            # at one price the oldest first
            (BACK, ((20_000, 10), (20_000, 10), (20_000, 10)), 20_000, 15, [("m0", 20_000, 10), ("m1", 20_000, 5)], 15),
            # not beyond its own price: what is left rests
            (BACK, ((20_000, 10), (20_200, 10)), 20_200, 15, [("m1", 20_200, 10)], 15),
            (LAY, ((20_000, 10), (20_200, 10)), 20_000, 15, [("m0", 20_000, 10)], 15),
            # to the last minor unit
            (BACK, ((20_000, 10),), 20_000, 10, [("m0", 20_000, 10)], 0),
            (BACK, ((20_000, 10),), 20_000, 1, [("m0", 20_000, 1)], 9),
        ],
    )
    def test_best_price_first_then_the_oldest_at_the_makers_price(
        self, book: AnyBook, side: Side, rows: tuple[Row, ...], price: int, stake_m: int, fills: list[object], left: int
    ) -> None:
        rested(book, BACK if side is LAY else LAY, *rows)
        match = book.place("t", "taker", side, price, stake_m)
        assert fills_of(match) == fills
        assert all(fill.taker == "t" for fill in match.fills)
        assert sum(stake for *_, stake in state(book)) == left
        book.check_invariants()

    def test_a_partial_fill_keeps_the_makers_place(self, book: AnyBook) -> None:
        rested(book, LAY, (20_000, 10), (20_000, 10))
        book.place("t", "taker", BACK, 20_000, 4)
        assert fills_of(book.place("u", "taker", BACK, 20_000, 8)) == [("m0", 20_000, 6), ("m1", 20_000, 2)]

    def test_levels_are_sums_best_first(self, book: AnyBook) -> None:
        rested(book, LAY, (20_000, 10), (20_200, 5), (20_000, 7))
        assert book.levels(LAY) == [(20_200, 5), (20_000, 17)]
        assert book.levels(LAY, 1) == [(20_200, 5)]
        assert book.levels(BACK) == []
        assert book.best(BACK) is None

    def test_looking_changes_nothing(self, book: AnyBook) -> None:
        rested(book, LAY, (20_000, 10), (20_200, 5))
        before = state(book)
        assert book.match("t", "taker", BACK, 20_000, 12) == book.match("t", "taker", BACK, 20_000, 12)
        assert book.fill_or_kill("t", "taker", BACK, 20_000, 12, 1).matched_m == 12
        assert state(book) == before

    @pytest.mark.parametrize("fills_max", [1, 2, 3, 4])
    def test_no_more_orders_are_looked_at_than_an_event_holds(self, book: AnyBook, fills_max: int) -> None:
        rested(book, LAY, (20_200, 10), (20_000, 10), (20_000, 10))
        most_m = min(30, 10 * fills_max)
        assert book.match("t", "taker", BACK, 20_000, 40, fills_max).matched_m == most_m
        killed = book.fill_or_kill("t", "taker", BACK, 20_000, 40, 10, fills_max)
        assert (killed.matched_m, killed.lapse) == (most_m, Lapse.KILLED)
        assert len(killed.fills) == min(3, fills_max)


class TestSelfMatch:
    def test_what_would_meet_the_same_customer_lapses(self, book: AnyBook) -> None:
        book.rest("theirs", "bob", LAY, 20_200, 10)
        book.rest("mine", "ann", LAY, 20_000, 10)
        book.rest("worse", "bob", LAY, 19_900, 10)
        match = book.place("t", "ann", BACK, 19_900, 25)
        assert match == Match((Fill("theirs", "t", 20_200, 10),), 10, Lapse.SELF_MATCH)
        assert [order.id for order in book.resting(LAY)] == ["mine", "worse"]
        assert len(book) == 2

    def test_who_is_filled_before_it_is_not_concerned(self, book: AnyBook) -> None:
        book.rest("theirs", "bob", LAY, 20_200, 10)
        book.rest("mine", "ann", LAY, 20_000, 10)
        assert book.place("t", "ann", BACK, 19_900, 10).lapse is None

    def test_the_own_side_is_no_match(self, book: AnyBook) -> None:
        book.rest("mine", "ann", BACK, 20_200, 10)
        assert book.place("t", "ann", BACK, 20_000, 10) is UNMATCHED

    def test_a_fill_or_kill_stops_before_it(self, book: AnyBook) -> None:
        book.rest("theirs", "bob", LAY, 20_200, 10)
        book.rest("mine", "ann", LAY, 20_200, 10)
        assert book.place_or_kill("t", "ann", BACK, 20_200, 15, 11) == Match(lapse=Lapse.SELF_MATCH)
        assert book.place_or_kill("t", "ann", BACK, 20_200, 15, 10).lapse is Lapse.SELF_MATCH
        assert [order.id for order in book.resting(LAY)] == ["mine"]


class TestFillOrKill:
    @pytest.mark.parametrize(
        ("side", "rows", "price", "stake_m", "fill_min_m", "fills"),
        [
            # a level that is worse is taken as far as better ones have made room: (10 x 13 + 5 x 10) / 15 = 12
            (BACK, ((130_000, 10), (100_000, 10)), 120_000, 20, 1, [("m0", 130_000, 10), ("m1", 100_000, 5)]),
            (BACK, ((130_000, 10), (100_000, 10)), 120_000, 20, 16, []),
            (LAY, ((20_000, 10), (40_000, 10)), 30_000, 20, 20, [("m0", 20_000, 10), ("m1", 40_000, 10)]),
            # rounded down to the minor unit: 10 / 3
            (LAY, ((20_000, 10), (60_000, 10)), 30_000, 20, 1, [("m0", 20_000, 10), ("m1", 60_000, 3)]),
            # nothing but worse
            (BACK, ((20_000, 10),), 20_200, 10, 1, []),
            # whole
            (BACK, ((20_200, 10),), 20_200, 10, 10, [("m0", 20_200, 10)]),
            (BACK, (), 20_200, 10, 1, []),
        ],
    )
    def test_the_limit_is_the_average_and_less_than_the_minimum_is_nothing(
        self,
        book: AnyBook,
        side: Side,
        rows: tuple[Row, ...],
        price: int,
        stake_m: int,
        fill_min_m: int,
        fills: list[object],
    ) -> None:
        rested(book, BACK if side is LAY else LAY, *rows)
        match = book.place_or_kill("t", "taker", side, price, stake_m, fill_min_m)
        assert fills_of(match) == fills
        assert match.lapse is (None if match.matched_m == stake_m else Lapse.KILLED)
        assert book.order("t") is None
        assert sum(stake for *_, stake in state(book)) == sum(stake for _, stake in rows) - match.matched_m


class TestChanges:
    def test_cancelling_gives_back_what_was_left(self, book: AnyBook) -> None:
        rested(book, LAY, (20_000, 10), (20_000, 7), (20_200, 5))
        assert (book.cancel("m1"), book.cancel("m2"), book.cancel("m2"), book.cancel("nobody")) == (7, 5, 0, 0)
        assert book.levels(LAY) == [(20_000, 10)]
        assert (book.order("m1"), len(book)) == (None, 1)

    def test_reducing_keeps_the_place(self, book: AnyBook) -> None:
        rested(book, LAY, (20_000, 10), (20_000, 10))
        assert book.reduce("m0", 4) == 4
        assert fills_of(book.place("t", "taker", BACK, 20_000, 7)) == [("m0", 20_000, 6), ("m1", 20_000, 1)]

    @pytest.mark.parametrize(("by_m", "reduced", "left"), [(9, 9, 1), (10, 10, 0), (11, 10, 0)])
    def test_what_has_nothing_left_goes(self, book: AnyBook, by_m: int, reduced: int, left: int) -> None:
        rested(book, LAY, (20_000, 10))
        assert book.reduce("m0", by_m) == reduced
        assert sum(stake for *_, stake in state(book)) == left
        assert len(book) == (left > 0)
        assert book.reduce("nobody", 1) == 0

    def test_another_price_loses_the_place_and_so_does_the_same_one(self, book: AnyBook) -> None:
        rested(book, LAY, (20_000, 10), (20_000, 10), (20_200, 10))
        assert book.reprice("m2", 20_000) is UNMATCHED
        assert book.reprice("m0", 20_000) is UNMATCHED
        assert [order.id for order in book.resting(LAY)] == ["m1", "m2", "m0"]
        assert book.reprice("nobody", 20_000) is None

    def test_another_price_is_matched_at_once(self, book: AnyBook) -> None:
        rested(book, LAY, (20_000, 10))
        book.rest("a", "ann", BACK, 20_200, 25)
        match = book.reprice("a", 20_000)
        assert match is not None
        assert fills_of(match) == [("m0", 20_000, 10)]
        assert state(book) == [("a", "ann", BACK, 20_000, 15)]

    def test_all_orders_of_a_customer_are_found(self, book: AnyBook) -> None:
        for name, customer, side, price in (
            ("a", "ann", BACK, 20_200),
            ("b", "bob", BACK, 20_200),
            ("c", "ann", LAY, 20_000),
        ):
            book.rest(name, customer, side, price, 5)
        assert [book.cancel(name) for name in book.orders_of("ann")] == [5, 5]
        assert state(book) == [("b", "bob", BACK, 20_200, 5)]
        assert book.orders_of("ann") == []


class TestShared:
    """Orders that somebody else holds too."""

    def test_its_stake_is_kept_up_to_date(self, book: AnyBook) -> None:
        first, second = Order("a", "ann", LAY, 20_000, 10), Order("b", "bob", LAY, 20_000, 10)
        book.add(first)
        book.add(second)
        assert book.order("a") is first
        book.take([Fill("a", "t", 20_000, 4)])
        assert book.reduce("b", 3) == 3
        assert (first.stake_m, second.stake_m) == (6, 7)
        book.take([Fill("a", "u", 20_000, 6), Fill("b", "u", 20_000, 1)])
        assert (first.stake_m, second.stake_m) == (0, 6)
        assert list(book.resting(LAY)) == [second]
        assert book.cancel("b") == 6
        assert (second.stake_m, len(book)) == (0, 0)

    @pytest.mark.parametrize("stake_m", [0, -1])
    def test_what_has_no_stake_does_not_rest(self, book: AnyBook, stake_m: int) -> None:
        with pytest.raises(AssertionError):
            book.add(Order("a", "ann", LAY, 20_000, stake_m))

    def test_an_id_rests_once(self, book: AnyBook) -> None:
        book.add(Order("a", "ann", LAY, 20_000, 10))
        with pytest.raises(AssertionError):
            book.add(Order("a", "ann", LAY, 20_000, 10))


@pytest.mark.parametrize("seed", range(3))
def test_cancelled_orders_neither_pile_up_nor_stand_in_the_way(seed: int) -> None:
    """200 orders at one price, all but the oldest and the latest cancelled, again and again."""
    book, rng = OrderBook(), random.Random(seed)
    book.rest("oldest", "ann", LAY, 20_000, 10)
    for turn in range(5):
        names = [f"{turn}-{number}" for number in range(200)]
        for name in names:
            book.rest(name, "bob", LAY, 20_000, 10)
        rng.shuffle(names)
        for name in names:
            book.cancel(name)
            book.check_invariants()
    book.rest("latest", "cid", LAY, 20_000, 10)
    assert len(book._lays.levels[20_000].queue) < 40
    assert fills_of(book.place("t", "taker", BACK, 20_000, 15)) == [("oldest", 20_000, 10), ("latest", 20_000, 5)]
    assert state(book) == [("latest", "cid", LAY, 20_000, 5)]


class TestOurBugs:
    def test_an_id_rests_once(self) -> None:
        book = OrderBook()
        book.rest("a", "ann", BACK, 20_000, 5)
        with pytest.raises(AssertionError):
            book.rest("a", "ann", LAY, 19_900, 5)

    def test_nobody_gives_more_than_he_has(self) -> None:
        book = OrderBook()
        book.rest("a", "ann", BACK, 20_000, 5)
        with pytest.raises(AssertionError):
            book.take([Fill("a", "t", 20_000, 6)])

    @pytest.mark.parametrize(
        "break_it",
        [
            lambda book: book.rest("x", "xan", BACK, 19_900, 5),
            lambda book: book._lays.ranks.append(20_100),
            lambda book: setattr(book._lays.levels[20_000], "stake_m", 1),
            lambda book: book._orders.pop("l"),
            lambda book: setattr(book._orders["l"], "price", 20_100),
        ],
    )
    def test_the_invariants_see_a_broken_book(self, break_it: Callable[[OrderBook], object]) -> None:
        book = OrderBook()
        book.rest("b", "bob", BACK, 20_200, 5)
        book.rest("l", "lea", LAY, 20_000, 5)
        book.check_invariants()
        break_it(book)
        with pytest.raises(AssertionError):
            book.check_invariants()


@pytest.mark.parametrize("seed", range(12))
def test_both_books_decide_the_same_tape_and_it_alone_makes_the_same_book(seed: int) -> None:
    fast, plain, replayed, restored = OrderBook(), PlainBook(), OrderBook(), OrderBook()
    for number, (event, twin) in enumerate(tape.live(seed, 400, fast, plain)):
        assert event == twin, f"seed {seed}, operation {number}"
        tape.apply(replayed, event)
        tape.apply(restored, event)
        assert state(fast) == state(plain) == state(replayed) == state(restored), f"seed {seed}, operation {number}"
        fast.check_invariants()
        plain.check_invariants()
        if number % 50 == 0:
            restored = tape.restored(fast)
    assert len(fast) > 0


def _fill_sum(placed: Placed) -> int:
    return sum(fill.stake_m for fill in placed.fills)


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 120))
def test_no_stake_is_lost(seed: int, count: int) -> None:
    """What a maker has less is in a fill, what a taker has less in a fill or lapsed; nobody else is touched."""
    book = OrderBook()
    rng = random.Random(seed)
    for number in range(count):
        before = {order.id: order.stake_m for side in Side for order in book.resting(side)}
        event = tape.decided(book, number, rng)
        tape.apply(book, event)
        after = {order.id: order.stake_m for side in Side for order in book.resting(side)}
        book.check_invariants()
        changed = {name: before.get(name, 0) - after.get(name, 0) for name in before.keys() | after.keys()}
        for name in [name for name, gone in changed.items() if not gone]:
            del changed[name]
        if isinstance(event, Placed):
            own = changed.pop(event.order_id, 0)
            given = {fill.maker: fill.stake_m for fill in event.fills}
            assert len(given) == len(event.fills)
            assert changed == given
            assert own == before.get(event.order_id, 0) - event.rests_m
        else:
            assert changed == {event.order_id: getattr(event, "by_m", before[event.order_id])}


@pytest.mark.parametrize("seed", range(4))
def test_every_ladder_has_the_same_rules(seed: int) -> None:
    """Prices far apart, on FINEST: levels come and go at both ends."""
    fast, plain = OrderBook(), PlainBook()
    books: tuple[AnyBook, ...] = (fast, plain)
    generators = random.Random(seed), random.Random(seed)
    prices = FINEST.prices[:: len(FINEST.prices) // 40]
    for number in range(300):
        event, twin = (tape.decided(each, number, rng, prices) for each, rng in zip(books, generators, strict=True))
        assert event == twin, f"seed {seed}, operation {number}"
        tape.apply(fast, event)
        tape.apply(plain, twin)
        fast.check_invariants()
    assert state(fast) == state(plain)


# betcode-org/flumine@5bda83a tests/test_simulatedorder.py (MIT): side, limit, stake, the other side's levels, fills.
FLUMINE_TAKEN: tuple[tuple[Side, str, int, list[tuple[str, int]], list[tuple[str, int]]], ...] = (
    (BACK, "12", 200, [("15", 12_000)], [("15", 200)]),
    (BACK, "12", 200, [("15", 100), ("12", 100)], [("15", 100), ("12", 100)]),
    (BACK, "12", 200, [("15", 100), ("12", 50)], [("15", 100), ("12", 50)]),
    (BACK, "12", 200, [("15", 100), ("11", 50)], [("15", 100)]),
    (LAY, "3", 2_000, [("2.02", 12_000)], [("2.02", 2_000)]),
    (LAY, "3", 2_000, [("2.02", 100), ("3", 2_000)], [("2.02", 100), ("3", 1_900)]),
    (LAY, "3", 2_000, [("2.02", 100), ("2.9", 50)], [("2.02", 100), ("2.9", 50)]),
    (LAY, "3", 2_000, [("3", 100), ("11", 50)], [("3", 100)]),
)
THREE = [("13", 100), ("12", 100), ("11", 100)]
# the same with the minimum fill
FLUMINE_KILLED: tuple[tuple[str, int, int, list[tuple[str, int]], list[tuple[str, int]]], ...] = (
    ("12", 300, 300, THREE, THREE),
    ("12", 500, 500, THREE, []),
    ("12", 500, 300, THREE, THREE),
    ("12", 200, 100, [("12", 100)], [("12", 100)]),
    ("12", 200, 101, [("12", 100)], []),
)


def _price(text: str) -> int:
    return int(Fraction(text) * 10_000)


def _rows(levels: list[tuple[str, int]]) -> list[Row]:
    return [(_price(price), stake_m) for price, stake_m in levels]


@pytest.mark.parametrize(("side", "limit", "stake_m", "levels", "fills"), FLUMINE_TAKEN)
def test_published_matches(
    book: AnyBook, side: Side, limit: str, stake_m: int, levels: list[tuple[str, int]], fills: list[tuple[str, int]]
) -> None:
    rested(book, LAY if side is BACK else BACK, *_rows(levels))
    match = book.place("t", "taker", side, _price(limit), stake_m)
    assert [(fill.price, fill.stake_m) for fill in match.fills] == _rows(fills)


@pytest.mark.parametrize(("limit", "stake_m", "fill_min_m", "levels", "fills"), FLUMINE_KILLED)
def test_published_fill_or_kills(
    book: AnyBook,
    limit: str,
    stake_m: int,
    fill_min_m: int,
    levels: list[tuple[str, int]],
    fills: list[tuple[str, int]],
) -> None:
    rested(book, LAY, *_rows(levels))
    match = book.place_or_kill("t", "taker", BACK, _price(limit), stake_m, fill_min_m)
    assert [(fill.price, fill.stake_m) for fill in match.fills] == _rows(fills)
