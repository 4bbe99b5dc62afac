"""Customers over the public protocol, as a gateway's: every command has an id, and what is not answered is asked again.

They bet on what the feed offers (market.py) and trade in an exchange market (floor.py).

Replies go to an inbox of its own that is listened to until the end: an answer that comes late, twice, or from another
engine is kept like any other. So each command has all the answers that anybody ever got, and there must be at most one.
"""

from __future__ import annotations

import asyncio
import random
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from typing import Any

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import NoRespondersError, OutboundBufferLimitError
from nats.errors import TimeoutError as NatsTimeoutError

from config.settings import Role
from core.messages.answers import Accepted, Answer, Cancelled, Done, OrderReport, OrderReports, Rejected
from core.messages.commands import Command, Deposit, OpenCustomer, PlaceBet, PricePolicy, Withdraw
from feeds.session import now_ms
from tests.e2e.floor import Floor
from tests.e2e.harness import DEADLINE_S, Stack, until
from tests.e2e.market import Markets

ASK_S = 0.4
"""After that a gateway asks again."""
QUESTION_S = 5.0
"""After that a question is asked again: it, or its answer, was lost with whoever had it."""
_PAUSE_S = 0.05
"""Before it asks again where nobody is there, or somebody is busy."""
EXPIRES_MS = 300_000
FUNDS_M = 5_000_000
_decode_json = msgspec.json.Decoder(Answer | list[Answer]).decode
_decode_msgpack = msgspec.msgpack.Decoder(Answer | list[Answer]).decode


class Asked:
    """A command, and whatever it was ever answered."""

    def __init__(self, subject: str, command: Command) -> None:
        self.subject = subject
        self.command = command
        self.answers: list[Answer] = []
        """Different ones; more than one is a fault."""
        self.tries = 0

    @property
    def answer(self) -> Answer | None:
        return self.answers[0] if self.answers else None

    @property
    def decided(self) -> list[Answer]:
        """Without the word that an order waits for its delay: after it the id gets another, what has become of it."""
        return [each for each in self.answers if not (isinstance(each, OrderReport) and each.status == "waiting")]

    @property
    def accepted(self) -> bool:
        return isinstance(self.answer, Accepted | Done | OrderReport | OrderReports | Cancelled)


class Load:
    """A seeded crowd: closed loop, each waits for his answer before he bets again."""

    def __init__(
        self, gateway: Client, desk: Client, markets: Markets, seed: int, *, customers: int = 12, pause_s: float = 0.03
    ) -> None:
        self.asked: dict[str, Asked] = {}
        self.counts: Counter[str] = Counter()
        """Answers by kind or reason, retries, busy, answers that came more than once."""
        self.first_answers: list[float] = []
        """When, by the monotonic clock."""
        self.customers = [f"c{number}" for number in range(customers)]
        self.floor: Floor
        self._gateway = gateway
        self._desk = desk
        self._markets = markets
        self.seed = seed
        self._pause_s = pause_s
        self._number = 0
        self._under_way: dict[str, tuple[list[Asked], asyncio.Future[list[Asked]]]] = {}
        self._stopping = asyncio.Event()

    async def open(self) -> None:
        """Listen for answers; the customers come in with money."""
        for client in (self._gateway, self._desk):
            await client.subscribe(_inbox(client, self.seed, "*"), cb=self._reply)
        for customer in self.customers:
            await self.ask([self.new("account.open", OpenCustomer(*self.head("open"), customer, "EUR"))])
            await self.ask([self.new("account.deposit", Deposit(*self.head("pay"), customer, FUNDS_M, "bank"))])
        assert all(asked.accepted for asked in self.asked.values()), [each.answers for each in self.asked.values()]

    @asynccontextmanager
    async def running(self, bettors: int = 16, traders: int = 8) -> Any:
        """Customers bet and trade; whoever has no answer at the end goes without one."""
        self._stopping.clear()
        async with asyncio.TaskGroup() as group:
            for number, wish in enumerate([self._bets] * bettors + [self.floor.wish] * traders):
                group.create_task(self._act(wish, random.Random(f"{self.seed} {number} {self._number}")))
            try:
                yield
            finally:
                self._stopping.set()

    async def more(self, answers: int, deadline_s: float = DEADLINE_S) -> None:
        """Wait until so many more commands have an answer."""
        wanted = len(self.first_answers) + answers
        await until(lambda: len(self.first_answers) >= wanted, lambda: f"{answers} more answers; {self}", deadline_s)

    def longest_pause(self, since: float) -> float:
        """Seconds in which nobody got an answer, at the longest."""
        times = self.first_answers[max(0, bisect_left(self.first_answers, since) - 1) :]
        return max((after - before for before, after in pairwise(times)), default=0.0)

    def counted(self, since: float, until_s: float, parts: int) -> list[int]:
        """First answers in each of so many equal parts of a span."""
        ends = [since + (until_s - since) * part / parts for part in range(parts + 1)]
        return [after - before for before, after in pairwise(bisect_left(self.first_answers, end) for end in ends)]

    def bets(self) -> list[Asked]:
        return [asked for asked in self.asked.values() if asked.subject == "bet.place"]

    def __repr__(self) -> str:
        unanswered = sum(not asked.answers for asked in self.asked.values())
        return f"{len(self.asked)} commands, {unanswered} unanswered, {dict(self.counts)}"

    # Asking.

    async def ask(self, group: Sequence[Asked], *, wire: str = "json", patient: bool = True) -> None:
        """Until each has an answer to this very question, by asking again: same ids, same contents."""
        left, deadline = list(group), time.monotonic() + 3 * DEADLINE_S
        while left and (patient or not self._stopping.is_set()):
            assert time.monotonic() < deadline, f"no answer to {[each.command for each in left][:3]}; {self}"
            left = await self._try(left, wire)

    async def again(self, every: Sequence[Asked], chunk: int = 50) -> None:
        """Ask once more for commands of one subject: bets, and orders, many in a message."""
        size = chunk if every and every[0].subject in {"bet.place", "order.place"} else 1
        waiting = asyncio.Semaphore(8)

        async def one(group: Sequence[Asked]) -> None:
            async with waiting:
                await self.ask(group)

        await asyncio.gather(*(one(every[start : start + size]) for start in range(0, len(every), size)))

    async def question(self, subject: str, message: Any, kind: type[Any] = Answer) -> Any:  # type: ignore[assignment]
        """The answer to a query, or to a command that is not to be remembered; asked again where nobody has it yet."""
        found: list[Any] = []

        async def answered() -> bool:
            with suppress(NatsTimeoutError, NoRespondersError):
                reply = await self._gateway.request(subject, msgspec.json.encode(message), timeout=QUESTION_S)
                if b'"BUSY"' not in reply.data:
                    found.append(msgspec.json.decode(reply.data, type=kind))
            return bool(found)

        await until(answered, f"an answer to {message} on {subject}", 2 * DEADLINE_S)
        return found[0]

    async def _try(self, group: list[Asked], wire: str) -> list[Asked]:
        """Ask once; those that have to be asked again."""
        self._number += 1
        client = self._desk if group[0].subject.startswith("desk.") else self._gateway
        reply = _inbox(client, self.seed, self._number)
        undecided: asyncio.Future[list[Asked]] = asyncio.get_running_loop().create_future()
        self._under_way[reply] = group, undecided
        self.counts["retries"] += sum(bool(each.tries) for each in group)
        for each in group:
            each.tries += 1
        commands: Any = [each.command for each in group] if len(group) > 1 else group[0].command
        encode = msgspec.json.encode if wire == "json" else msgspec.msgpack.encode
        try:
            await client.publish(group[0].subject, encode(commands), reply)
            left = await asyncio.wait_for(undecided, ASK_S)
        except (TimeoutError, OutboundBufferLimitError):
            return group
        if left:
            await asyncio.sleep(_PAUSE_S)
        return left

    async def _reply(self, message: Msg) -> None:
        group, undecided = self._under_way[message.subject]
        left = group
        if message.data:
            decode = _decode_json if message.data[:1] in {b"{", b"["} else _decode_msgpack
            found = decode(message.data)
            answers = found if isinstance(found, list) else [found]
            assert len(answers) == len(group), (answers, group)
            left = [asked for asked, answer in zip(group, answers, strict=True) if not self._take(asked, answer)]
        else:
            assert message.headers, message
            assert message.headers.get("Status") == "503", message
            self.counts["nobody there"] += 1
        if not undecided.done():
            undecided.set_result(left)

    def _take(self, asked: Asked, answer: Answer) -> bool:
        """Keep an answer; whether it is one: BUSY says that nothing was decided."""
        if isinstance(answer, Rejected) and answer.reason == "BUSY":
            self.counts["busy"] += 1
            return False
        if not asked.answers:
            self.first_answers.append(time.monotonic())
            self.counts[answer.reason if isinstance(answer, Rejected) else type(answer).__name__] += 1
        else:
            self.counts["answered again"] += 1
        if answer not in asked.answers:
            asked.answers.append(answer)
        return True

    # Customers.

    async def _act(self, wish: Callable[[random.Random], list[Asked]], rng: random.Random) -> None:
        while not self._stopping.is_set() and (group := wish(rng)):
            await self.ask(group, wire=rng.choice(("json", "msgpack")), patient=False)
            await asyncio.sleep(rng.expovariate(1 / self._pause_s))

    def _bets(self, rng: random.Random) -> list[Asked]:
        """Mostly a bet, sometimes several in a message, sometimes a payment; nothing once all markets are settled."""
        return list(self._some(rng)) if self._markets.open else []

    def _some(self, rng: random.Random) -> Iterator[Asked]:
        customer, dice = rng.choice(self.customers), rng.random()
        if dice < 0.03:
            yield self.new("account.deposit", Deposit(*self.head("pay"), customer, rng.randint(1, 10_000), "bank"))
        elif dice < 0.05:
            yield self.new("account.withdraw", Withdraw(*self.head("out"), customer, rng.randint(1, 10_000), "bank"))
        else:
            for _ in range(rng.randint(2, 6) if dice < 0.15 else 1):
                yield self.new("bet.place", self._place(rng, customer))

    def _place(self, rng: random.Random, customer: str) -> PlaceBet:
        legs = self._markets.legs(rng, rng.choice((1, 1, 1, 1, 2, 3)))
        stake_m = 50_000_000 if rng.random() < 0.02 else rng.randint(5, 2_000)
        return PlaceBet(*self.head("bet"), customer, stake_m, legs, rng.choice(list(PricePolicy)), 50)

    def new(self, subject: str, command: Command) -> Asked:
        asked = self.asked[command.id] = Asked(subject, command)
        return asked

    def head(self, kind: str) -> tuple[str, int]:
        return f"{kind}-{self.seed}-{len(self.asked)}", now_ms() + EXPIRES_MS


def _inbox(client: Client, seed: int, number: int | str) -> str:
    return f"{client._inbox_prefix.decode()}.load{seed}.{number}"


async def new_load(stack: Stack, markets: Markets, seed: int, **options: Any) -> Load:
    """Ready to bet and to trade: customers with money, markets that take bets, and one that takes orders."""
    load = Load(await stack.connect(Role.GATEWAY), await stack.connect(Role.DESK), markets, seed, **options)
    load.floor = Floor(load, await stack.connect(Role.GATEWAY))
    await load.open()
    await load.floor.open()
    return load
