"""Simulated makers: accounts whose resting orders follow a depth that is known from elsewhere, e.g. a recording's.

So an exchange market has a book to be looked at and traded in. Makers are customers like others: they speak as a
gateway does (an ingestor may place no orders), open and fund their accounts themselves, and are matched, settled and
charged like everybody.

Round by round a maker asks what rests in its market (`order.book`), and sends what is missing and what is too much as
one batch (`order.batch`). So it need not hear of every match: what customers have taken is missing, and is put back;
what they have added is their part of the level. A market that turns in play or is suspended for something material
gives itself a new version: then all that rested has lapsed, and is placed anew. There is one maker a market, since one
customer's orders are never matched with each other.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from itertools import count
from typing import Final, Literal, NamedTuple, Protocol, Self

import msgspec
import structlog
from msgspec import Struct

from core.exchange.ladder import LADDERS, OffLadder
from core.limits import Limits
from core.messages import answers as an
from core.messages import commands as co
from core.messages import queries as qu
from core.units import PRICE_ONE

Side = Literal["back", "lay"]
SIDES: Final[tuple[Side, Side]] = ("back", "lay")
INSTRUCTIONS_MAX: Final = 200
"""Of one batch."""
_ROUND_S: Final = 0.25
"""Between two looks at a market: as often as an eye can follow."""
_ASK_S: Final = 2.0
_TRIES_MAX: Final = 3
_DEADLINE_MS: Final = 10_000
_FUND_M: Final = 1_000_000_000
"""Put in at the start, and again whenever it does not cover what is to be placed."""
_log = structlog.get_logger("feeds.makers")


class Levels(NamedTuple):
    """What is to rest on one selection: price -> stake in minor units. `backs` can be laid, `lays` backed."""

    backs: Mapping[int, int]
    lays: Mapping[int, int]


Depth = Mapping[str, Levels]
"""By selection. One that is not named stays as it is."""
Look = Callable[[], Depth | None]
"""Says what is to rest now; None: nothing more, the market is over."""


class Resting(NamedTuple):
    """An order of the maker's, as far as it knows: others may have taken a part of it, or all."""

    selection: str
    side: Side
    price: int
    stake_m: int


class Requests(Protocol):
    """The way to the engine, as a gateway."""

    async def request(self, subject: str, payload: bytes, timeout_s: float) -> bytes | None:
        """The answer; None: there was none in time, or nobody is there."""
        ...


class Terms(NamedTuple):
    """What an order must be to be taken."""

    ladder: str
    stake_min_m: int
    payout_min_m: int

    @classmethod
    def of(cls, ladder: str, limits: Limits) -> Terms:
        return cls(ladder, limits.order_stake_min_m, limits.order_payout_min_m)

    def takes(self, price: int, stake_m: int) -> bool:
        large = stake_m >= self.stake_min_m or stake_m * price >= self.payout_min_m * PRICE_ONE
        return large and not isinstance(LADDERS[self.ladder].rung(price), OffLadder)


def differences(
    book: Mapping[tuple[str, Side], Mapping[int, int]],
    wanted: Depth,
    own: Mapping[str, Resting],
    terms: Terms,
    new_id: Callable[[], str],
) -> list[co.Instruction]:
    """The instructions after which the book has the levels that are wanted, as far as the maker's own orders can do it.

    `book` is what rests now, by selection and side: price -> stake. What is taken away comes first, the newest order
    of a level before the older ones, so that no order meets one of the maker's own; then what is added, from the best
    price on. What would be too small for an order, or is not on the ladder, is left out.
    """
    levels: dict[tuple[str, Side], dict[int, list[str]]] = {}
    for order_id, order in own.items():
        levels.setdefault((order.selection, order.side), {}).setdefault(order.price, []).append(order_id)
    less: list[co.Instruction] = []
    more: list[tuple[int, co.Instruction]] = []
    for selection, (backs, lays) in wanted.items():
        for side, targets in zip(SIDES, (backs, lays), strict=True):
            there, mine = book.get((selection, side), {}), levels.get((selection, side), {})
            for price in {**mine, **targets}:
                missing_m = targets.get(price, 0) - there.get(price, 0)
                if missing_m < 0:
                    less += _taken_away(
                        [(each, own[each].stake_m) for each in reversed(mine.get(price, ()))], -missing_m
                    )
                elif terms.takes(price, missing_m):
                    distance = price if side == "back" else -price
                    more.append((distance, co.Place(new_id(), selection, side, missing_m, price)))
                elif not there.get(price):
                    less += [co.Cancel(each) for each in mine.get(price, ())]  # taken whole: forgotten on the answer
    more.sort(key=lambda entry: entry[0])
    return [*less, *(place for _, place in more)]


def _taken_away(orders: list[tuple[str, int]], excess_m: int) -> list[co.Instruction]:
    """So much less of a level: whole orders, and a part of one."""
    found: list[co.Instruction] = []
    for order_id, stake_m in orders:
        if not excess_m:
            break
        less_m = min(stake_m, excess_m)
        found.append(co.Cancel(order_id) if less_m == stake_m else co.Reduce(order_id, less_m))
        excess_m -= less_m
    return found


class Counts(Struct):
    """What a maker has done."""

    placed: int = 0
    cancelled: int = 0
    matched_m: int = 0
    """At once, because a customer's order was in the way."""
    refused: int = 0


class Maker:
    """One market's maker."""

    def __init__(
        self,
        requests: Requests,
        name: str,
        place: tuple[str, str],
        look: Look,
        terms: Terms,
        currency: str,
        counts: Counts | None = None,
    ) -> None:
        """`place`: fixture and market."""
        self.counts = counts or Counts()
        self.name = name
        self._requests = requests
        self._place = place
        self._look = look
        self._terms = terms
        self._currency = currency
        self._own: dict[str, Resting] = {}
        self._waiting: dict[str, int] = {}
        """Orders that wait for the in-play delay, in no book yet: until when."""
        self._version = 0
        self._known = False
        """What is believed of its orders is so."""
        self._run = f"{time.time_ns() // 1000:x}"
        """Tells this life's ids from those of an earlier one."""
        self._numbers = 0

    async def follow(self, stop: asyncio.Event) -> None:
        """Until the market is over or `stop` is set; then nothing of it rests any more."""
        if not await self.come_in(stop):
            return
        while not stop.is_set() and (wanted := self._look()) is not None:
            await self._round(wanted)
            try:
                await asyncio.wait_for(stop.wait(), _ROUND_S)
            except TimeoutError:
                continue
        await self._withdraw()

    async def come_in(self, stop: asyncio.Event) -> bool:
        """An account with money in it; False: stopped before."""
        while not stop.is_set():
            opened = await self._ask("account.open", co.OpenCustomer(*self._head(), self.name, self._currency))
            if isinstance(opened, an.Done) or _reason(opened) == "CUSTOMER_EXISTS":
                await self._fund()
                return True
            await asyncio.sleep(_ROUND_S)
        return False

    async def _fund(self) -> None:
        await self._ask("account.deposit", co.Deposit(*self._head(), self.name, _FUND_M, "makers"))

    async def _withdraw(self) -> None:
        """Nothing of this maker rests in the market: neither what it knows of, nor what an earlier life has left."""
        self._own.clear()
        self._waiting.clear()
        answer = await self._ask("order.cancel-all", co.CancelOrders(*self._head(), self.name, *self._place))
        self._known = isinstance(answer, an.Cancelled) or _reason(answer) == "ORDER_UNKNOWN"

    async def _round(self, wanted: Depth) -> None:
        """Look, and bring the market nearer to what is wanted. What cannot be done now is tried in the next round."""
        if not self._known:
            await self._withdraw()
        image = await self._ask("order.book", qu.GetBook(*self._place))
        if not isinstance(image, an.BookImage) or not self._known or image.status in {"closed", "settled"}:
            return
        if image.market_version != self._version:
            self._version = image.market_version
            self._own.clear()
            self._waiting.clear()
        instructions = differences(self._resting(image), wanted, self._own, self._terms, self._new_id)
        if image.status != "open":
            instructions = [each for each in instructions if not isinstance(each, co.Place)]
        for first in range(0, len(instructions), INSTRUCTIONS_MAX):
            if not await self._send(tuple(instructions[first : first + INSTRUCTIONS_MAX])):
                return

    def _resting(self, image: an.BookImage) -> dict[tuple[str, Side], dict[int, int]]:
        """What rests, and what of the maker's own is about to."""
        found: dict[tuple[str, Side], dict[int, int]] = {}
        for levels in image.books:
            found[levels.selection, "back"] = dict(levels.backs)
            found[levels.selection, "lay"] = dict(levels.lays)
        now_ms = _now_ms()
        self._waiting = {each: until_ms for each, until_ms in self._waiting.items() if until_ms >= now_ms}
        for order_id in self._waiting:
            if (order := self._own.get(order_id)) is not None:
                level = found.setdefault((order.selection, order.side), {})
                level[order.price] = level.get(order.price, 0) + order.stake_m
        return found

    async def _send(self, instructions: tuple[co.Instruction, ...]) -> bool:
        """A batch; False: it was refused, or nobody knows, and then all is taken back and placed anew."""
        batch = co.BatchOrders(*self._head(), self.name, *self._place, instructions, version=self._version)
        answer = await self._ask("order.batch", batch)
        if answer is None:
            self._known = False
            return False
        if not isinstance(answer, an.OrderReports):
            self.counts.refused += 1
            return False
        poor = False
        for instruction, report in zip(instructions, answer.reports, strict=True):
            self._note(instruction, report)
            poor |= _reason(report) == "BALANCE_TOO_LOW"
        if poor:
            await self._fund()
        return True

    def _note(self, instruction: co.Instruction, report: an.OrderReport | an.Cancelled | an.Rejected) -> None:
        """What has become of an instruction."""
        counts, own = self.counts, self._own
        if isinstance(instruction, co.Place):
            if not isinstance(report, an.OrderReport):
                counts.refused += 1
                return
            counts.placed += 1
            counts.matched_m += report.matched_m
            rests_m = instruction.stake_m - report.matched_m - report.lapsed_m
            if rests_m:
                own[instruction.id] = Resting(instruction.selection, instruction.side, instruction.price, rests_m)
            if report.status == "waiting":
                self._waiting[instruction.id] = report.until_ms
        elif isinstance(report, an.Rejected) or not isinstance(instruction, co.Reduce):
            # Refused: it was matched in full, or has lapsed. Either way nothing of it rests.
            counts.cancelled += not isinstance(report, an.Rejected)
            own.pop(instruction.order, None)
            self._waiting.pop(instruction.order, None)
        else:
            order = own[instruction.order]
            own[instruction.order] = order._replace(stake_m=order.stake_m - instruction.by_m)

    async def _ask(self, subject: str, message: Struct) -> an.Answer | None:
        """An answer; the same is asked again under its id, which is safe. None: none, or the engine is too busy."""
        payload = msgspec.msgpack.encode(message)
        for _ in range(_TRIES_MAX):
            reply = await self._requests.request(subject, payload, _ASK_S)
            if reply is None:
                continue
            answer: an.Answer = _decode(reply)
            if _reason(answer) != "BUSY":
                return answer
            await asyncio.sleep(_ROUND_S)
        _log.warning("no answer", subject=subject, maker=self.name)
        return None

    def _head(self) -> tuple[str, int]:
        return self._new_id(), _now_ms() + _DEADLINE_MS

    def _new_id(self) -> str:
        self._numbers += 1
        return f"{self.name}-{self._run}-{self._numbers}"


class Makers:
    """Everybody who makes a market: `maker-1` the first of them, and so on, each market a maker of its own.

    async with Makers(gateway, settings.limits) as makers:
        makers.follow(fixture, market, "CLASSIC", look)

    At the end nothing of theirs rests. What ended a maker is raised there.
    """

    def __init__(self, requests: Requests, limits: Limits) -> None:
        self.counts = Counts()
        """Of all of them."""
        self._requests = requests
        self._limits = limits
        self._stop = asyncio.Event()
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def follow(self, fixture: str, market: str, ladder: str, look: Look) -> None:
        """Make a market from now on. The number of a maker whose market is over is free for the next."""
        number = next(number for number in count(1) if number not in self._tasks or self._tasks[number].done())
        limits, name = self._limits, f"maker-{number}"
        terms = Terms.of(ladder, limits)
        maker = Maker(self._requests, name, (fixture, market), look, terms, limits.currency, self.counts)
        self._tasks[number] = asyncio.create_task(maker.follow(self._stop), name=name)

    async def open(self, name: str) -> None:
        """An account with money in it, as makers have one: for whom the house lays its own prices."""
        maker = Maker(self._requests, name, ("", ""), lambda: None, Terms("CLASSIC", 0, 0), self._limits.currency)
        await maker.come_in(self._stop)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        await asyncio.gather(*self._tasks.values())


_decode = msgspec.msgpack.Decoder(an.Answer).decode


def _reason(answer: an.Answer | None) -> str:
    return answer.reason if isinstance(answer, an.Rejected) else ""


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
