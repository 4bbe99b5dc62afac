"""What must hold of orders after any crash, held against what customers and readers were told, by plain arithmetic."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec.structs import replace

from core.messages import commands as co
from core.messages.answers import (
    AccountState,
    Answer,
    BookImage,
    Cancelled,
    OrderReport,
    OrderReports,
    Orders,
    OrderState,
    Rejected,
)
from core.messages.queries import GetAccount, GetBook, GetOrder, GetOrders
from core.messages.results import Result
from tests.core.exchange.watch import Record, net_m
from tests.e2e.floor import PLACE, SELECTIONS, TERMS, Floor
from tests.e2e.harness import Stack, until
from tests.e2e.load import Asked, Load

BOOK_DEPTH = 30
"""publisher.book_depth_max."""
Told = dict[str, tuple[OrderReport, Any, str]]
"""Order -> its report, what was asked for (a command or an instruction), its customer."""


class Asks:
    """What the answers alone say of all orders."""

    def __init__(self, every: Iterable[Asked]) -> None:
        self.taken: Told = {}
        self.refused: dict[str, Rejected] = {}
        self.less_m: Counter[str] = Counter()
        """By how much orders were reduced."""
        self.gone_m: dict[str, int] = {}
        """What rested of those that were cancelled one by one; of those that were replaced: -1."""
        self.cleared: dict[str, int] = {}
        """Customer -> when he last took back all he had there."""
        for asked in every:
            assert asked.answer is not None, asked.command
            self._hear(asked.command, asked.answers)

    def _hear(self, command: Any, answers: list[Answer]) -> None:
        answer = answers[0]
        if isinstance(command, co.BatchOrders):
            reports = answer.reports if isinstance(answer, OrderReports) else ()
            for instruction, report in zip(command.instructions, reports, strict=bool(reports)):
                self._step(instruction, report, command.customer)
            if isinstance(answer, Rejected):
                placing = [each for each in command.instructions if isinstance(each, co.Place | co.Replace)]
                self.refused |= {each.id: answer for each in placing}
        elif isinstance(command, co.CancelOrders):
            if isinstance(answer, Cancelled):
                self.cleared[command.customer] = max(answer.ts_ms, self.cleared.get(command.customer, 0))
        else:
            self._step(command, answer, command.customer)

    def _step(self, asked: Any, answer: Answer, customer: str) -> None:
        if isinstance(answer, Rejected):
            if isinstance(asked, co.PlaceOrder | co.ReplaceOrder | co.Place | co.Replace):
                self.refused[asked.id] = answer
        elif isinstance(asked, co.CancelOrder | co.Cancel):
            assert isinstance(answer, Cancelled)
            self.gone_m[asked.order] = answer.stake_m
        elif isinstance(asked, co.ReduceOrder | co.Reduce):
            assert isinstance(answer, Cancelled)
            if answer.orders:
                self.gone_m[asked.order] = answer.stake_m
            else:
                self.less_m[asked.order] += answer.stake_m
        else:
            assert isinstance(answer, OrderReport)
            self.taken[asked.id] = answer, asked, customer
            if isinstance(asked, co.ReplaceOrder | co.Replace):
                self.gone_m[asked.order] = -1


async def orders_are_as_answered(load: Load) -> None:
    """While the market is still open: answers, questions and readers agree, and cash and exposure add up."""
    floor = load.floor
    asks = Asks(floor.asked)
    lists = await _lists(load)
    states = {each.id: each for listed in lists.values() for each in listed.orders}
    assert len(states) == sum(len(listed.orders) for listed in lists.values())
    assert states.keys() <= asks.taken.keys(), "an order that nobody was told of"
    await _asked_one_by_one(load, asks, states)
    for customer in load.customers:
        await _has_heard_all(floor, customer, lists[customer].sequence)
        _told_as_it_is(floor, asks, customer, lists[customer])
    for order_id, state in states.items():
        _adds_up(floor, asks, order_id, state)
    await _books_are_held(load, states.values())


async def _has_heard_all(floor: Floor, customer: str, sequence: int) -> None:
    """His notices come another way than the answers: they may be a little later."""
    follower = floor.orders[customer]
    await follower.catch_up()
    await until(lambda: follower.sequence == sequence, f"{customer} has missed something and cannot know")


async def _lists(load: Load) -> dict[str, Orders]:
    """Each customer's orders, once the last delay is over."""
    lists: dict[str, Orders] = {}

    async def nothing_waits() -> bool:
        for customer in load.customers:
            lists[customer] = await load.question("order.list", GetOrders(customer, *PLACE), Orders)
        return not any(each.status == "waiting" for listed in lists.values() for each in listed.orders)

    await until(nothing_waits, "the end of all delays")
    return lists


async def _asked_one_by_one(load: Load, asks: Asks, states: dict[str, OrderState]) -> None:
    waiting = asyncio.Semaphore(100)

    async def one(order_id: str) -> None:
        async with waiting:
            state = await load.question("order.get", GetOrder(order_id))
        if order_id in states:
            assert state == states[order_id]
        elif order_id in asks.refused:
            refusal = asks.refused[order_id]
            # What a whole batch was refused for is the batch's answer; its orders have never been.
            whole = refusal.id != order_id
            assert isinstance(state, Rejected), state
            assert state.reason == ("ORDER_UNKNOWN" if whole else refusal.reason), (state, refusal)
        else:
            report, _, _ = asks.taken[order_id]
            assert not isinstance(state, OrderState), state
            # Nothing of it was matched; of one that waited there is what became of it.
            left = replace(report, status="done") if report.status == "resting" else report
            assert state == left or report.status == "waiting", (state, report)

    async with asyncio.TaskGroup() as group:
        for order_id in (*asks.taken, *asks.refused):
            group.create_task(one(order_id))


def _adds_up(floor: Floor, asks: Asks, order_id: str, state: OrderState) -> None:
    """What was asked for rests, was matched, or is gone; by the answers, and by what has been told since."""
    report, asked, customer = asks.taken[order_id]
    assert state.customer == customer
    assert state.matched_m >= report.matched_m
    if isinstance(asked, co.PlaceOrder | co.Place):
        told = state.selection, state.side, state.price, state.stake_m, state.persistence
        assert told == (asked.selection, asked.side, asked.price, asked.stake_m, asked.persistence), (state, asked)
    else:
        assert state.price == asked.price
    if report.status != "waiting":
        assert state.ts_ms == report.ts_ms
    left_m = state.stake_m - state.matched_m - report.lapsed_m - asks.less_m[order_id]
    gone_m = asks.gone_m.get(order_id)
    if state.status != "done":
        assert gone_m is None, "taken back, and it rests"
        assert asks.cleared.get(customer, 0) <= state.ts_ms, "all were taken back, and it rests"
        assert state.resting_m == left_m, (state, report, asks.less_m[order_id])
    elif gone_m is not None and gone_m >= 0:
        assert left_m == gone_m, (state, report)
    elif gone_m is None and left_m and asks.cleared.get(customer, 0) < report.ts_ms:
        notice = floor.orders[customer].orders[order_id]
        assert notice["status"] == "done", (state, notice)


def _told_as_it_is(floor: Floor, asks: Asks, customer: str, listed: Orders) -> None:
    """Who follows his orders holds of each what the engine has; what he did himself he knows from its answer."""
    follower = floor.orders[customer]
    for state in listed.orders:
        report = asks.taken[state.id][0]
        of_report = {"matched_m": report.matched_m, "price_matched": report.price, "status": report.status}
        held = follower.orders.get(state.id, of_report)
        matched = held.get("matched_m", 0), held.get("price_matched", 0)
        assert matched == (state.matched_m, state.price_matched), (held, state)
    for order_id, held in follower.orders.items():
        ended_by_him = order_id in asks.gone_m or asks.cleared.get(customer, 0) >= held["ts_ms"]
        if order_id not in {state.id for state in listed.orders}:
            assert held["status"] == "done" or ended_by_him, held
            assert not held.get("matched_m"), held


async def _books_are_held(load: Load, states: Iterable[OrderState]) -> None:
    """The reader of the books holds what rests by the customers' own lists, and what he would be told if he asked."""
    levels: dict[tuple[str, str], Counter[int]] = {
        (selection, side): Counter() for selection in SELECTIONS for side in ("back", "lay")
    }
    for state in states:
        if state.status == "resting":
            levels[state.selection, state.side][state.price] += state.resting_m
    reader = load.floor.book.reader
    seen: list[Any] = []

    async def held() -> bool:
        image = await load.question("order.book", GetBook(*PLACE), BookImage)
        books = {each[0]: (dict(each[1]), dict(each[2]), *each[3:]) for each in msgspec.to_builtins(image)["books"]}
        seen[:] = image, reader.head, reader.books
        return (image.version, books) == (reader.head["version"], reader.books)

    await until(held, lambda: f"a reader who holds the books: {seen}")
    for (selection, side), by_price in levels.items():
        backs, lays, _, _ = reader.books[selection]
        best = sorted(by_price, reverse=side == "lay")[:BOOK_DEPTH]
        assert (backs if side == "back" else lays) == {price: by_price[price] for price in best}, (selection, side)


async def settled_as_answered(stack: Stack, load: Load, cash: Counter[str], results: tuple[Result, ...]) -> None:
    """What the fills come to, backer by layer, is what everybody is told and paid; `cash`: without the exchange."""
    floor, asks = load.floor, Asks(load.floor.asked)
    record = await _record(stack)
    _journalled_as_answered(asks, record)
    print(f"{len(asks.taken)} orders taken, {len(asks.refused)} refused; {_figures(floor, record)}")  # noqa: T201
    by_selection = {result.selection: result for result in results}
    plain: Counter[str] = Counter()
    for part in record.markets[PLACE].parts:
        plain[part.customer] += net_m(by_selection[part.selection], part, part.price)
    for customer in load.customers:
        await _came_to(load, customer, plain[customer], cash[customer])
        await _has_heard_of_all_ends(floor, asks, customer)
    reader = floor.book.reader
    await until(
        lambda: (
            reader.head["status"] in {"closed", "settled"}
            and not any(book[0] or book[1] for book in reader.books.values())
        ),
        lambda: f"empty books of a market that is over: {reader.head}",
    )


async def _came_to(load: Load, customer: str, net: int, cash_m: int) -> None:
    """Positions are settled in slices: in the end all that is said of his is this."""
    commission_m = max(0, net) * TERMS.commission_bp // 10_000
    follower = load.floor.orders[customer]
    expected = (net, commission_m), (cash_m + net - commission_m, 0), {"net_m": net, "commission_m": commission_m}
    seen: list[Any] = []

    async def as_expected() -> bool:
        listed = await load.question("order.list", GetOrders(customer, *PLACE), Orders)
        account = await load.question("account.get", GetAccount(customer), AccountState)
        found = (listed.net_m, listed.commission_m), (account.cash_m, account.exposure_m), follower.position
        seen[:] = found
        return found == expected and all(each.status == "done" for each in listed.orders)

    await until(as_expected, lambda: f"{customer} at {expected}; he is at {seen}")


async def _has_heard_of_all_ends(floor: Floor, asks: Asks, customer: str) -> None:
    """But of those that he has taken back himself: these he knows from the answers."""
    follower, cleared_ms = floor.orders[customer], asks.cleared.get(customer, 0)

    def open_yet() -> list[Any]:
        others = [held for order_id, held in follower.orders.items() if order_id not in asks.gone_m]
        return [held for held in others if held["status"] != "done" and held["ts_ms"] > cleared_ms]

    await until(lambda: not open_yet(), lambda: f"{customer} told of the end of {open_yet()}")


def _journalled_as_answered(asks: Asks, record: Record) -> None:
    """What was taken stands there, once, and nothing that was refused."""
    assert record.orders.keys() == asks.taken.keys()
    for order_id, (report, _, _) in asks.taken.items():
        placed = record.orders[order_id]
        assert placed.matched_m + placed.closed_m >= report.matched_m, order_id


async def _record(stack: Stack) -> Record:
    """What the journal says, read by itself."""
    record = Record()
    async for event in stack.events():
        record.take(event)
    return record


def _figures(floor: Floor, record: Record) -> str:
    parts = record.markets[PLACE].parts
    gaps = floor.book.gaps, sum(each.gaps for each in floor.orders.values())
    return f"{len(parts)} sides of matches, {record.crosses} across, {record.closes} at the close; gaps {gaps}"
