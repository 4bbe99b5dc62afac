"""What customers do on the exchange: back and lay, at once or in the queue, all or nothing, at the starting price; and
take back what they no longer want.

The same customers as those who bet; those with accounts in the book's currency. Each looks at the book as it is
(`order.book`), wants something, asks, and remembers what rests. `wish` is the whole of their cleverness.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any, Final, Literal

from msgspec import Struct

from adapters.demo.board import Board, Key, Offer
from adapters.demo.clerk import reason
from adapters.demo.customers import DEADLINE_MS, Customer
from adapters.demo.report import Exchange, Line, Traded
from core.exchange.ladder import LADDERS, Ladder
from core.messages import answers as an
from core.messages import commands as co
from core.messages import queries as qu
from core.units import PRICE_ONE, price_decimal

Ask = Callable[..., Awaitable[an.Answer | None]]
Persistence = Literal["lapse", "persist", "on_close"]
_EMPTY_S: Final = 0.2
_BOOK_S: Final = 0.2
"""So old a book may be that a customer looks at."""
_RESTING_MAX: Final = 10
"""Orders of one customer that he keeps in mind."""
_RISK: Final = 20
"""A lay risks at most so many of his usual stakes."""
_STAKE_MIN_M: Final = 200
_FINAL: Final = {"SELF_EXCLUDED", "TIMED_OUT"}
_OURS: Final = {
    "MALFORMED",
    "DUPLICATE_ID",
    "EXPIRED",
    "DEADLINE_TOO_FAR",
    "DEFINITION_NOT_VALID",
    "EXCHANGE_NOT_OFFERED",
}
"""Refusals that would be the demo's fault."""
_TAKEN: Final = {"resting", "matched", "lapsed", "waiting"}


class Wish(Struct, frozen=True):
    """An order that somebody wants; fields as in PlaceOrder."""

    selection: str
    side: Literal["back", "lay"]
    stake_m: int
    price: int = 0
    kind: Literal["limit", "on_close"] = "limit"
    persistence: Persistence = "lapse"
    fill_or_kill: bool = False
    fill_min_m: int = 0


def wish(random: Random, image: an.BookImage, ladder: Ladder, stake_m: int, *, starting_price: bool) -> Wish | None:
    """What somebody with that usual stake wants of a book; None: nothing, it is empty.

    Favourites are wanted more. Half of it takes what is there, a third waits in the queue or a step before it, the rest
    is all-or-nothing across two levels, or for the close where there is one.
    """
    books = [each for each in image.books if each.backs or each.lays]
    if not books:
        return None
    book = random.choices(books, [1 / (each.backs or each.lays)[0][0] for each in books])[0]
    side: Literal["back", "lay"] = "back" if random.random() < 0.55 else "lay"
    theirs, ours = (book.lays, book.backs) if side == "back" else (book.backs, book.lays)
    at_the_off = starting_price and not image.in_play
    stake_m = max(_STAKE_MIN_M, stake_m * random.choice((1, 1, 2, 4)) // 100 * 100)
    mood = random.random()
    if mood < 0.1 and at_the_off:
        return Wish(book.selection, side, stake_m, kind="on_close")
    if mood < 0.2 and theirs:
        large_m = 5 * stake_m
        price = theirs[min(1, len(theirs) - 1)][0]
        whole = _affordable(side, large_m, price, stake_m)
        return Wish(book.selection, side, whole, price, fill_or_kill=True, fill_min_m=random.choice((0, whole // 2)))
    persistence: Persistence = random.choice(("lapse", "persist", "on_close") if at_the_off else ("lapse", "persist"))
    if mood < 0.65 and theirs:
        price = theirs[0][0]
    elif ours:
        price = _stepped(ladder, ours[0][0], theirs, random.choice((0, 0, 1, -1, -2)) * (-1 if side == "back" else 1))
    else:
        return None
    return Wish(book.selection, side, _affordable(side, stake_m, price, stake_m), price, persistence=persistence)


def _stepped(ladder: Ladder, price: int, theirs: Sequence[an.Level], steps: int) -> int:
    """A price so many rungs from the best one of his side; at most up to what others offer, which he would take."""
    rung = ladder.rung(price)
    assert isinstance(rung, int), price
    found = ladder.prices[min(max(0, rung + steps), len(ladder.prices) - 1)]
    return price if theirs and found == theirs[0][0] else found


def _affordable(side: str, stake_m: int, price: int, usual_m: int) -> int:
    """A lay of a long shot is a small one."""
    if side == "back":
        return stake_m
    return max(_STAKE_MIN_M, min(stake_m, _RISK * usual_m * PRICE_ONE // (price - PRICE_ONE)) // 100 * 100)


class Traders:
    """Customers on the exchange, and what they have seen of it."""

    def __init__(
        self,
        customers: Sequence[Customer],
        board: Board,
        ask: Ask,
        tell: Callable[[Line], None],
        deposit: Callable[[Customer], Awaitable[None]],
        run: str,
        orders_per_s: float,
    ) -> None:
        self.faults: list[str] = []
        self.customers = customers
        self._board = board
        self._ask = ask
        self._tell = tell
        self._deposit = deposit
        self._run = run
        self._pause_s = len(customers) / orders_per_s
        self._answers: Counter[str] = Counter()
        self._seen = Exchange()
        self._traded: dict[Key, Counter[str]] = {}
        self._books: dict[Key, tuple[float, an.BookImage]] = {}
        self._resting: dict[str, deque[co.PlaceOrder]] = {
            customer.id: deque(maxlen=_RESTING_MAX) for customer in customers
        }
        self._numbers = 0

    def report(self) -> Exchange:
        """The figures as they are now, with those markets that are still on offer."""
        seen = self._seen
        seen.answers = dict(self._answers)
        self._traded = {key: traded for key, traded in self._traded.items() if key in self._board.offers}
        self._books = {key: book for key, book in self._books.items() if key in self._board.offers}
        seen.traded = [Traded(*key, dict(by_selection)) for key, by_selection in self._traded.items()]
        return seen

    async def live(self, customer: Customer) -> None:
        """One customer, order after order."""
        random = Random(f"trader-{self._run}-{customer.id}")  # noqa: S311 - a game; a text seeds the same everywhere
        while True:
            await asyncio.sleep(random.expovariate(1 / self._pause_s))
            offers = [offer for offer in self._board.open.values() if offer.ladder]
            offer = random.choice(offers) if offers else None
            image = await self._book(offer) if offer is not None else None
            if offer is None or image is None or image.status != "open":
                await asyncio.sleep(_EMPTY_S)
                continue
            if await self._order(customer, random, offer, image) in _FINAL:
                return
            if random.random() < 0.3 and self._resting[customer.id]:
                await self._change(customer, random, self._resting[customer.id].popleft())

    async def _book(self, offer: Offer) -> an.BookImage | None:
        """The market's book, as fresh as an eye has it."""
        key, now_s = (offer.fixture, offer.market), time.monotonic()
        held = self._books.get(key)
        if held is None or now_s - held[0] > _BOOK_S:
            answer = await self._ask("order.book", qu.GetBook(*key))
            if not isinstance(answer, an.BookImage):
                return None
            held = self._books[key] = now_s, answer
        return held[1]

    async def _order(self, customer: Customer, random: Random, offer: Offer, image: an.BookImage) -> str:
        """What he wants, if anything, and the answer; returns why he may not have it."""
        wanted = wish(
            random, image, LADDERS[offer.ladder], customer.stake_m, starting_price=offer.ladder_starting_price
        )
        if wanted is None:
            return ""
        order = co.PlaceOrder(
            *self._head(customer),
            customer.id,
            offer.fixture,
            offer.market,
            wanted.selection,
            wanted.side,
            wanted.stake_m,
            wanted.price,
            wanted.kind,
            wanted.persistence,
            wanted.fill_or_kill,
            wanted.fill_min_m,
            image.market_version if random.random() < 0.3 else 0,
        )
        answer = await self._ask("order.place", order)
        if isinstance(answer, an.OrderReport):
            self._note(order, offer, answer)
            if answer.status == "waiting":
                await self._decided(order, offer, answer.until_ms)
            return ""
        why = reason(answer) if answer is not None else "NO_ANSWER"
        self._answers[why] += 1
        if why in _OURS or not why:
            self._fault(f"order {order.id}: {answer}")
        if why == "BALANCE_TOO_LOW" and random.random() < 0.5:
            await self._deposit(customer)
        return why

    def _note(self, order: co.PlaceOrder, offer: Offer, report: an.OrderReport) -> None:
        self._seen.orders += 1
        self._answers[report.status] += 1
        if report.status not in _TAKEN or report.matched_m + report.lapsed_m > order.stake_m:
            self._fault(f"order {order.id}: {report}")
        if report.matched_m:
            self._matched(order, offer, report.matched_m, report.price)
        if report.matched_m + report.lapsed_m < order.stake_m:
            self._resting[order.customer].append(order)

    def _matched(self, order: co.PlaceOrder, offer: Offer, stake_m: int, price: int) -> None:
        self._seen.takers += 1
        self._seen.matched_m += stake_m
        self._traded.setdefault((order.fixture, order.market), Counter())[order.selection] += stake_m
        # The average is rounded down: good for who lays, and a ten-thousandth short for who backs.
        agreed = price + 1 >= order.price if order.side == "back" else price <= order.price
        if not agreed:
            self._fault(f"order {order.id}: matched at {price}, which it had not agreed to")
        what = f"{order.side} {offer.quotes[order.selection].name} {price_decimal(price)} ({offer.fixture_name})"
        self._tell(Line(_now_ms(), "traded", order.customer, what, stake_m))

    async def _decided(self, order: co.PlaceOrder, offer: Offer, until_ms: int) -> None:
        """In play orders wait: what has become of one when its delay is over."""
        await asyncio.sleep(max(0, until_ms - _now_ms()) / 1000 + _EMPTY_S)
        state = await self._ask("order.get", qu.GetOrder(order.id))
        if isinstance(state, an.OrderState) and state.matched_m:
            self._matched(order, offer, state.matched_m, state.price_matched)

    async def _change(self, customer: Customer, random: Random, order: co.PlaceOrder) -> None:
        """He thinks better of an order that may rest: takes it back, or less of it, or wants another price for it."""
        mood, head = random.random(), self._head(customer)
        command: Any
        if mood < 0.6:
            subject, command = "order.cancel", co.CancelOrder(*head, customer.id, order.id)
        elif mood < 0.75:
            subject, command = "order.reduce", co.ReduceOrder(*head, customer.id, order.id, order.stake_m // 2)
        elif mood < 0.9 and order.price:
            price = order.price  # where it stood; at the end of the queue now
            subject, command = "order.replace", co.ReplaceOrder(*head, customer.id, order.id, price)
        else:
            place = order.fixture, order.market
            subject, command = "order.cancel-all", co.CancelOrders(*head, customer.id, *place)
        answer = await self._ask(subject, command)
        if isinstance(answer, an.Cancelled):
            self._seen.taken_back += 1
        elif isinstance(answer, an.OrderReport):
            self._seen.replaced += 1
            self._seen.takers += answer.matched_m > 0
            self._seen.matched_m += answer.matched_m
        elif reason(answer) in _OURS:
            self._fault(f"{subject}: {answer}")

    def _fault(self, text: str) -> None:
        if len(self.faults) < 20:
            self.faults.append(text)

    def _head(self, customer: Customer) -> tuple[str, int]:
        self._numbers += 1
        return f"{self._run}-{customer.id}-x{self._numbers}", _now_ms() + DEADLINE_MS


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
