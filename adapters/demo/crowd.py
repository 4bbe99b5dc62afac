"""The customers' process: a front end for all of them, as the gateway role, over the public protocol and nothing else.

In a process of its own, so that what it measures is the system's latency and not its own view's. Each customer waits
for his answer before he bets again: so there are never more requests under way than customers.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Final

import msgspec
from msgspec import Struct
from nats.aio.client import Client
from nats.aio.msg import Msg

from adapters import bus, logs
from adapters.demo import customers as who
from adapters.demo import part
from adapters.demo.board import Board
from adapters.demo.clerk import Clerk, percentiles, reason
from config import settings as configuration
from config.settings import Role, Settings
from core.messages import answers as an
from core.messages import commands as co
from core.messages.queries import GetAccount, GetOdds
from core.units import price_decimal

_EMPTY_S: Final = 0.05
_NAMES_MAX: Final = 100_000
_FAULTS_MAX: Final = 20


class Job(Struct, frozen=True):
    """What the crowd is to do."""

    customers: int
    seed: int
    run: str
    """Tells this run's ids from those of earlier ones."""
    bets: int
    """How many in all; 0: without end."""
    bets_per_s: float
    """All customers together, on average; 0: each bets again as soon as he has his answer."""
    report_ms: int


class Line(Struct, frozen=True):
    """Something worth a line on the screen."""

    ts_ms: int
    kind: str
    """accepted, rejected, or what became of a settled bet: won, lost, void."""
    customer: str
    what: str
    stake_m: int
    paid_m: int = 0
    why: str = ""


class Report(Struct):
    """What the crowd has seen since its start."""

    customers: int = 0
    returning: int = 0
    """Customers the engine knew already."""
    returning_m: int = 0
    """What they had, cash and open stakes together, before anything else was done, minor units."""
    bets: int = 0
    """Bets with an answer; retries are not counted again."""
    answers: dict[str, int] = msgspec.field(default_factory=dict)
    """`accepted`, or the reason: count."""
    retries: int = 0
    busy: int = 0
    timeouts: int = 0
    staked_m: int = 0
    settled: int = 0
    paid_m: int = 0
    bets_per_s: float = 0.0
    """Over the last window."""
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    p999_ms: float = 0.0
    whole_p50_ms: float = 0.0
    """Since the start."""
    whole_p99_ms: float = 0.0
    whole_bets_per_s: float = 0.0
    """From the first bet to the last."""
    markets: int = 0
    """Open ones, as the customers see them."""
    faults: list[str] = msgspec.field(default_factory=list)
    """What must not be: a retry that got another answer, a bet that is not what was asked for."""
    lines: list[Line] = msgspec.field(default_factory=list)


class Crowd:
    """All customers, and what they have seen."""

    def __init__(self, job: Job, settings: Settings, client: Client) -> None:
        self.job = job
        self.seen = Report(customers=job.customers)
        self.board = Board(self._image, time.monotonic)
        self.lines: dict[str, Line] = {}
        """Since the last report, the newest of each kind: more nobody could read."""
        self._answers: Counter[str] = Counter()
        self._client = client
        self._clerk = Clerk(client)
        self._ask = self._clerk.ask
        self._customers = {
            customer.id: customer for customer in who.crowd(job.customers, job.seed, job.run, settings.limits.currency)
        }
        self._names: dict[str, tuple[str, int]] = {}
        """What open bets are on, and their stakes: for the lines about their settlement."""
        self._payments = 0
        self._issued = 0
        self._first_s = self._last_s = 0.0
        rate = sum(1 / customer.traits.pause for customer in self._customers.values())
        self._pause_s = rate / job.bets_per_s if job.bets_per_s else 0.0

    async def play(self, stop: asyncio.Event) -> None:
        """Listen, come in, and bet until there are no more bets to make or `stop` is set."""
        await self._client.subscribe("odds.>", cb=self._odds)
        await self._client.subscribe("bets.*", cb=self._notice)
        await self._client.flush()
        playing = asyncio.create_task(self._play())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({playing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if playing.done():
            playing.result()
            await stopping
        playing.cancel()

    async def _play(self) -> None:
        await asyncio.gather(*(self._come_in(customer) for customer in self._customers.values()))
        await asyncio.gather(*(self._live(customer) for customer in self._customers.values()))

    def report(self) -> Report:
        """The figures as they are now."""
        seen, latency = self.seen, self._clerk.latency
        recent = latency.recent()
        seen.busy, seen.timeouts = self._clerk.busy, self._clerk.timeouts
        seen.answers = dict(self._answers)
        seen.markets = len(self.board.open)
        seen.p50_ms, seen.p99_ms, seen.p999_ms = percentiles(recent[0], 50, 99, 99.9)
        seen.whole_p50_ms, seen.whole_p99_ms = percentiles(latency.whole, 50, 99)
        seen.bets_per_s = recent[0].get_total_count() / max(recent[1], 0.1)
        seen.whole_bets_per_s = seen.bets / max(self._last_s - self._first_s, 0.001)
        seen.lines = sorted(self.lines.values(), key=lambda line: line.ts_ms)
        self.lines.clear()
        return seen

    # One customer.

    async def _come_in(self, customer: who.Customer) -> None:
        """Open an account, or find the one that is there; put something in where there is little."""
        opened = await self._ask(
            "account.open", co.OpenCustomer(*self._head("open", customer), customer.id, customer.currency)
        )
        if reason(opened) == "CUSTOMER_EXISTS":
            account = await self._ask("account.get", GetAccount(customer.id))
            if isinstance(account, an.AccountState):
                customer.cash_m = account.cash_m
                self.seen.returning += 1
                self.seen.returning_m += account.cash_m + account.open_stakes_m + account.reserved_m
        if customer.cash_m < 10 * customer.traits.stake_m:
            await self._deposit(customer)

    async def _live(self, customer: who.Customer) -> None:
        """By his own clock: after a slow answer he bets again at once, so that the whole rate stays as it should."""
        pause_s = self._pause_s * customer.traits.pause
        due_s = time.monotonic()
        while True:
            if pause_s:
                due_s += customer.random.expovariate(1 / pause_s)
                await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            if self.job.bets and self._issued >= self.job.bets:
                return
            bet = customer.bet(self.board)
            if bet is None:
                await asyncio.sleep(_EMPTY_S)
                continue
            self._issued += 1
            answer = await self._place(customer, bet)
            if answer is not None:
                await self._after(customer, bet, answer)

    async def _place(self, customer: who.Customer, bet: co.PlaceBet) -> an.Answer | None:
        """The bet and its answer, both counted."""
        self._first_s = self._first_s or time.monotonic()
        answer = await self._ask("bet.place", bet, timed=True)
        self._last_s = time.monotonic()
        if answer is None:
            self._fault(f"{bet.id}: no answer within {who.DEADLINE_MS} ms")
            return None
        self.seen.bets += 1
        why = reason(answer)
        self._answers[why or "accepted"] += 1
        what = self._named(bet)
        if isinstance(answer, an.Accepted):
            self.seen.staked_m += answer.stake_m
            customer.cash_m -= answer.stake_m
            wrong = who.amiss(bet, answer)
            if wrong:
                self._fault(f"{bet.id}: {wrong}")
            self._names[bet.id] = what, bet.stake_m
            if len(self._names) > _NAMES_MAX:
                del self._names[next(iter(self._names))]
        if why != "BUSY":
            kind = "rejected" if why else "accepted"
            self.lines[kind] = Line(_now_ms(), kind, customer.id, what, bet.stake_m, why=why)
        return answer

    async def _after(self, customer: who.Customer, bet: co.PlaceBet, answer: an.Answer) -> None:
        """What he does about the answer."""
        why, random = reason(answer), customer.random
        if why not in {"BUSY", "MALFORMED", "CUSTOMER_UNKNOWN"} and random.random() < customer.traits.twice:
            self.seen.retries += 1
            same = await self._ask("bet.place", who.again(bet))
            if same is not None and reason(same) != "BUSY" and same != answer:
                self._fault(f"{bet.id}: asked again, got another answer: {same}")
            if random.random() < 0.05 and reason(await self._ask("bet.place", who.forged(bet))) != "DUPLICATE_ID":
                self._fault(f"{bet.id}: the same id with another stake was not refused")
        if isinstance(answer, an.Rejected) and why == "BALANCE_TOO_LOW":
            customer.cash_m = answer.limit
            if random.random() < 0.7:
                await self._deposit(customer)
        elif customer.cash_m > 200 * customer.traits.stake_m and random.random() < 0.05:
            await self._withdraw(customer)

    async def _deposit(self, customer: who.Customer) -> None:
        amount_m = 40 * customer.traits.stake_m
        paid = await self._ask(
            "account.deposit", co.Deposit(*self._head("in", customer), customer.id, amount_m, "bank")
        )
        if isinstance(paid, an.Done):
            customer.cash_m += amount_m

    async def _withdraw(self, customer: who.Customer) -> None:
        """In two phases; one payment in ten fails at the provider's, and the money goes back."""
        amount_m = customer.cash_m // 2
        head = self._head("out", customer)
        held = await self._ask(
            "account.reserve", co.Reserve(*head, customer.id, amount_m, "bank", _now_ms() + 3_600_000)
        )
        if not isinstance(held, an.Done):
            return
        if customer.random.random() < 0.1:
            await self._ask("account.void", co.VoidReserve(*self._head("back", customer), customer.id, head[0]))
            return
        await self._ask("account.post", co.PostReserve(*self._head("post", customer), customer.id, head[0], amount_m))
        customer.cash_m -= amount_m

    # The wire.

    async def _image(self, fixture: str, market: str) -> an.OddsImage | an.Rejected | None:
        answer = await self._ask("odds.get", GetOdds(fixture, market))
        return answer if isinstance(answer, an.OddsImage | an.Rejected) else None

    async def _odds(self, message: Msg) -> None:
        self.board.take(message.data)

    async def _notice(self, message: Msg) -> None:
        """A bet was settled, or settled otherwise than before."""
        notice = msgspec.json.decode(message.data, type=an.SettledNotice)
        customer = message.subject.partition(".")[2]
        what, stake_m = self._names.get(notice.id, ("", 0))
        if notice.status == "open":
            return
        self.seen.settled += 1
        self.seen.paid_m += notice.paid_m
        if customer in self._customers:
            self._customers[customer].cash_m += notice.paid_m
        if what and notice.status != "lost":
            self.lines[notice.status] = Line(notice.ts_ms, notice.status, customer, what, stake_m, notice.paid_m)

    def _head(self, kind: str, customer: who.Customer) -> tuple[str, int]:
        """Id and deadline of a command."""
        self._payments += 1
        return f"{self.job.run}-{customer.id}-{kind}-{self._payments}", _now_ms() + who.DEADLINE_MS

    def _named(self, bet: co.PlaceBet) -> str:
        """The bet as people say it: "Arsenal 2.15", "3 legs 17.20"."""
        first = bet.legs[0]
        key = first.fixture, first.market
        offer = self.board.offers.get(key) or self.board.over.get(key)
        quote = offer.quotes.get(first.selection) if offer else None
        name = quote.name if quote else first.selection
        if len(bet.legs) == 1:
            where = f" ({offer.fixture_name})" if offer else ""
            return f"{name} {price_decimal(first.price)}{where}"
        return f"{len(bet.legs)} legs: {name} {price_decimal(first.price)} ..."

    def _fault(self, text: str) -> None:
        if len(self.seen.faults) < _FAULTS_MAX:
            self.seen.faults.append(text)


async def main(job: Job, starter: part.Starter) -> None:
    """The process: connect, play, report."""
    settings = configuration.load()
    logs.set_up(settings.log)
    client = await bus.connect(settings, Role.GATEWAY, name="demo customers")
    crowd = Crowd(job, settings, client)
    playing = asyncio.create_task(crowd.play(starter.stop))
    while not playing.done():
        await asyncio.wait({playing}, timeout=job.report_ms / 1000)
        starter.report(crowd.report())
    await client.close()
    playing.result()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


if __name__ == "__main__":
    part.run(Job, main)
