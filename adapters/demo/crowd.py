"""The customers' process: a front end for all of them, as the gateway role, over the public protocol and nothing else.

In a process of its own, so that what it measures is the system's latency and not its own view's. Each customer waits
for his answer before he bets again: so there are never more requests under way than customers. (A bet that waits is
answered: its customer goes on, and hears of it later.)
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Coroutine
from typing import Final, Literal

import msgspec
from msgspec import Struct
from nats.aio.client import Client
from nats.aio.msg import Msg

from adapters import bus, logs
from adapters.demo import customers as who
from adapters.demo import kinds, part
from adapters.demo.board import Board, Offer
from adapters.demo.clerk import Clerk, percentiles, reason
from adapters.demo.records import Notice, Placed, Records
from adapters.demo.report import Line, Report
from adapters.demo.traders import Traders
from config import settings as configuration
from config.settings import Role, Settings
from core.messages import answers as an
from core.messages import commands as co
from core.messages import queries as qu
from core.units import price_decimal

_EMPTY_S: Final = 0.05
_QUIET_S: Final = 30.0
"""For so long whoever may not bet does not try again."""
_FINAL: Final = {"SELF_EXCLUDED", "TIMED_OUT", "OWN_STAKE_LIMIT", "OWN_LOSS_LIMIT"}
_UNKNOWN: Final = {"BUSY", "MALFORMED", "CUSTOMER_UNKNOWN"}
"""Answers that leave no trace: asked again, the same bet is a new one."""
_BETS_BEFORE_EXCLUSION: Final = 12
_LOOKS_FOR_BONUSES: Final = 0.1
_TIME_OUT_MS: Final = 60_000
_SELF_EXCLUSION_MS: Final = 180 * 86_400_000
_notice = msgspec.json.Decoder(Notice).decode


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
    orders_per_s: float = 10.0
    """On the exchange, all of them together."""


class Crowd:
    """All customers, and what they have seen."""

    def __init__(self, job: Job, settings: Settings, client: Client) -> None:
        self.job = job
        self.seen = Report(customers=job.customers)
        self.board = Board(self._image, time.monotonic)
        self.lines: dict[str, Line] = {}
        """Since the last report, the newest of each kind: more nobody could read."""
        self._client = client
        self._clerk = Clerk(client)
        self._ask = self._clerk.ask
        self._records = Records(self.seen, self._tell)
        currency = settings.limits.currency
        self._customers = {each.id: each for each in who.crowd(job.customers, job.seed, job.run, currency)}
        traders = [each for each in self._customers.values() if each.currency == currency]
        rate = job.orders_per_s
        self._traders = Traders(traders, self.board, self._ask, self._tell, self._deposit, job.run, rate)
        self._open: dict[str, list[str]] = {each: [] for each in self._customers}
        """The last bets of each that ran when he looked."""
        self._thinking: set[asyncio.Task[None]] = set()
        self._returning: Counter[str] = Counter()
        self._commands = 0
        self._issued = 0
        self._first_s = self._last_s = 0.0
        rate = sum(1 / customer.traits.pause for customer in self._customers.values())
        self._pause_s = rate / job.bets_per_s if job.bets_per_s else 0.0
        self._think_s = 0.3 if job.bets else 2.0
        """How long people look at an offer, on average."""

    async def play(self, stop: asyncio.Event) -> None:
        """Listen, come in, and bet until there are no more bets to make or `stop` is set."""
        await self._client.subscribe("odds.>", cb=self._odds)
        await self._client.subscribe("bets.*", cb=self._heard)
        await self._client.flush()
        playing = asyncio.create_task(self._play())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({playing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if playing.done():
            playing.result()
            await stopping
        for task in (playing, *self._thinking):
            task.cancel()

    async def _play(self) -> None:
        await asyncio.gather(*(self._come_in(customer) for customer in self._customers.values()))
        self.seen.here = True
        trading = (self._traders.live(customer) for customer in self._traders.customers)
        await asyncio.gather(*trading, *(self._live(customer) for customer in self._customers.values()))

    def report(self) -> Report:
        """The figures as they are now."""
        seen, latency = self.seen, self._clerk.latency
        recent = latency.recent()
        self._records.report()
        seen.returning_m = dict(self._returning)
        seen.busy, seen.timeouts = self._clerk.busy, self._clerk.timeouts
        seen.markets = len(self.board.open)
        seen.p50_ms, seen.p99_ms, seen.p999_ms = percentiles(recent[0], 50, 99, 99.9)
        seen.whole_p50_ms, seen.whole_p99_ms = percentiles(latency.whole, 50, 99)
        seen.bets_per_s = recent[0].get_total_count() / max(recent[1], 0.1)
        seen.whole_bets_per_s = seen.bets / max(self._last_s - self._first_s, 0.001)
        seen.exchange = self._traders.report()
        seen.faults += [fault for fault in self._traders.faults if fault not in seen.faults]
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
            account = await self._ask("account.get", qu.GetAccount(customer.id))
            if isinstance(account, an.AccountState):
                customer.cash_m, customer.currency = account.cash_m, account.currency
                self.seen.returning += 1
                self._returning[account.currency] += (
                    account.cash_m + account.open_stakes_m + account.reserved_m + account.exposure_m
                )
        if customer.cash_m < 10 * customer.stake_m:
            await self._deposit(customer)
        if customer.profile.own_limit:
            await self._limit_himself(customer)

    async def _limit_himself(self, customer: who.Customer) -> None:
        """What he set before stands: the same again changes nothing."""
        kinds_set: tuple[tuple[Literal["stake", "deposit"], int], ...] = (("stake", 150), ("deposit", 400))
        for kind, times in kinds_set:
            head = self._head("limit", customer)
            limit = co.SetOwnLimit(*head, customer.id, kind, "day", times * customer.stake_m)
            await self._ask("account.limit.set", limit)

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
            if answer is None:
                continue
            await self._after(customer, bet, answer)
            if reason(answer) in _FINAL:
                await asyncio.sleep(_QUIET_S)
                due_s = time.monotonic()

    async def _place(self, customer: who.Customer, bet: co.PlaceBet) -> an.Answer | None:
        """The bet and its answer."""
        offers = [self._offer(leg) for leg in bet.legs]
        builder = any(offer is not None and offer.market_type == kinds.BUILDER for offer in offers)
        placed = self._records.ask(customer, bet, self._named(bet), builder=builder)
        self._first_s = self._first_s or time.monotonic()
        answer = await self._ask("bet.place", bet, timed=True)
        self._last_s = time.monotonic()
        if answer is None:
            self._records.fault(f"{bet.id}: no answer within {who.DEADLINE_MS} ms")
            return None
        self._records.answer(placed, answer)
        return answer

    async def _after(self, customer: who.Customer, bet: co.PlaceBet, answer: an.Answer) -> None:
        """What he does about the answer, and besides."""
        why, random = reason(answer), customer.random
        if why not in _UNKNOWN and random.random() < customer.traits.twice:
            await self._twice(customer, bet, answer)
        if isinstance(answer, an.Rejected) and why == "BALANCE_TOO_LOW":
            customer.cash_m = answer.limit
            if random.random() < 0.7:
                await self._deposit(customer)
        elif customer.cash_m > 200 * customer.stake_m and random.random() < 0.05:
            await self._withdraw(customer)
        if isinstance(answer, an.Accepted):
            self._open[customer.id] = [*self._open[customer.id], bet.id][-10:]
        if random.random() < customer.traits.seller and self._open[customer.id]:
            self._spawn(self._sell(customer))
        if customer.profile.free_bets and not customer.tokens and random.random() < _LOOKS_FOR_BONUSES:
            bonuses = await self._ask("account.bonuses", qu.GetBonuses(customer.id))
            customer.tokens = [*bonuses.free_bets] if isinstance(bonuses, an.Bonuses) else []
        if customer.bets == _BETS_BEFORE_EXCLUSION:
            await self._exclude_himself(customer)

    async def _twice(self, customer: who.Customer, bet: co.PlaceBet, answer: an.Answer) -> None:
        """The same again gets the same answer, or what has become of it; another content is refused."""
        self.seen.retries += 1
        same = await self._ask("bet.place", who.again(bet))
        waited = isinstance(answer, an.Pending) and reason(same) != "DUPLICATE_ID"
        if same is not None and reason(same) != "BUSY" and same != answer and not waited:
            self._records.fault(f"{bet.id}: asked again, got another answer: {same}")
        if customer.random.random() < 0.05 and reason(await self._ask("bet.place", who.forged(bet))) != "DUPLICATE_ID":
            self._records.fault(f"{bet.id}: the same id with another stake was not refused")

    async def _sell(self, customer: who.Customer) -> None:
        """Ask what a bet brings now; take it, unless it is too little. Who thinks for too long finds it changed."""
        random = customer.random
        bet_id = random.choice(self._open[customer.id])
        placed = self._records.of(bet_id)
        if placed is None or placed.state != "open":
            self._open[customer.id].remove(bet_id)
            return
        share_bp = random.choice((10_000, 10_000, 5_000, 2_500))
        quote = await self._ask("bet.cash-out.quote", qu.GetCashOut(customer.id, bet_id, share_bp))
        if not isinstance(quote, an.CashOutQuote):
            return
        self.seen.quotes += 1
        await asyncio.sleep(random.expovariate(1 / self._think_s))
        if random.random() < 0.5 or quote.offer_m > quote.stake_m:
            head = self._head("sell", customer)
            await self._ask("bet.cash-out.take", co.CashOut(*head, customer.id, bet_id, quote.offer_m))

    async def _consider(self, placed: Placed) -> None:
        """A trader's offer: taken, declined, or left to run out."""
        customer, bet = placed.customer, placed.bet
        random = customer.random
        await asyncio.sleep(random.expovariate(1 / self._think_s))
        mood = random.random()
        if mood < 0.6:
            head = self._head("take", customer)
            taken = await self._ask("bet.offer.take", co.TakeOffer(*head, customer.id, bet.id))
            self.seen.offers_taken += isinstance(taken, an.Done)
        elif mood < 0.85:
            head = self._head("decline", customer)
            declined = await self._ask("bet.offer.decline", co.DeclineOffer(*head, customer.id, bet.id))
            self.seen.offers_declined += isinstance(declined, an.Done)

    async def _exclude_himself(self, customer: who.Customer) -> None:
        head = self._head("exclude", customer)
        if customer.profile.time_out:
            out = co.ExcludeCustomer(*head, customer.id, "time_out", _now_ms() + _TIME_OUT_MS)
            await self._ask("account.exclude", out)
        if customer.profile.self_exclusion:
            gone = co.ExcludeCustomer(*head, customer.id, "self_exclusion", _now_ms() + _SELF_EXCLUSION_MS)
            await self._ask("account.exclude", gone)

    async def _deposit(self, customer: who.Customer) -> None:
        amount_m = 40 * customer.stake_m
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
        answer = await self._ask("odds.get", qu.GetOdds(fixture, market))
        return answer if isinstance(answer, an.OddsImage | an.Rejected) else None

    async def _odds(self, message: Msg) -> None:
        self.board.take(message.data)

    async def _heard(self, message: Msg) -> None:
        """What has become of a bet."""
        notice = _notice(message.data)
        placed = self._records.notice(notice)
        if placed is not None and isinstance(notice, an.OfferNotice):
            self._spawn(self._consider(placed))
        elif placed is not None and isinstance(notice, an.Accepted):
            self._open[placed.customer.id] = [*self._open[placed.customer.id], notice.id][-10:]

    def _spawn(self, thinking: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(thinking)
        self._thinking.add(task)
        task.add_done_callback(self._thinking.discard)

    def _head(self, kind: str, customer: who.Customer) -> tuple[str, int]:
        """Id and deadline of a command."""
        self._commands += 1
        return f"{self.job.run}-{customer.id}-{kind}-{self._commands}", _now_ms() + who.DEADLINE_MS

    def _tell(self, line: Line) -> None:
        self.lines[line.kind] = line

    def _offer(self, leg: co.Leg) -> Offer | None:
        """What it is on, as far as that is known here."""
        key = leg.fixture, leg.market
        return self.board.offers.get(key) or self.board.over.get(key)

    def _named(self, bet: co.PlaceBet) -> str:
        """The bet as people say it: "Arsenal 2.15 (Arsenal v Leeds)", "each-way yankee: Fast Deal 3.25 ..."."""
        first = bet.legs[0]
        offer = self._offer(first)
        quote = offer.quotes.get(first.selection) if offer else None
        name = quote.name if quote else first.selection
        price = "SP" if first.starting_price else price_decimal(first.price)
        system = bet.kind or ("system" if bet.folds else "")
        how = kinds.name(system, len(bet.legs), each_way=bet.each_way, builder=False).replace("_", " ")
        free = "free " if bet.free_bet else ""
        if len(bet.legs) == 1 and not system:
            where = f" ({offer.fixture_name})" if offer else ""
            return f"{free}{'each way ' if bet.each_way else ''}{name} {price}{where}"
        lines = f" of {kinds.count(bet)}" if system else ""
        return f"{free}{how}{lines}: {name} {price}{' ...' if len(bet.legs) > 1 else ''}"


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
