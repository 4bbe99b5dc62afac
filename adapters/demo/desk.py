"""The desk's process: rates and limits at the start, free bets and bonuses as customers come, and a trader.

The trader sees what waits on `desk-referrals` and answers as traders do: yes, less, at another price, no; and sometimes
he is not at his desk. As the desk role, over the public protocol; every command has its author.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from random import Random
from typing import Any, Final

import msgspec
from msgspec import Struct, field
from nats.aio.client import Client
from nats.aio.msg import Msg

from adapters import bus, logs, subjects
from adapters.demo import part
from adapters.demo.clerk import Clerk, reason
from adapters.demo.profiles import RATES, SCALE, profile
from adapters.demo.report import Line
from config import settings as configuration
from config.settings import Role, Settings
from core.messages import answers as an
from core.messages import commands as co
from core.messages.answers import Referral, ReferralEnded
from core.messages.queries import GetAccount
from core.units import PRICE_MIN

_AUTHOR: Final = "demo-trader"
_REPORT_S: Final = 0.25
_ONE: Final = 10_000
_COMMAND_MS: Final = 30_000
_DAY_MS: Final = 86_400_000
_FREE_BET_MS: Final = 3_600_000
_FAULTS_MAX: Final = 20
_SEEN_MAX: Final = 10_000
"""Referrals remembered, so that one that is told again is answered once."""
_HABITS: Final = {"accept": 34, "less": 26, "price": 16, "decline": 14, "silent": 10}
"""What the trader does, of a hundred bets."""
_OURS: Final = frozenset(
    {
        *("MALFORMED", "DUPLICATE_ID", "EXPIRED", "DEADLINE_TOO_FAR", "NO_ANSWER", "OFFER_NOT_VALID"),
        *("DEFINITION_NOT_VALID", "CUSTOMER_UNKNOWN", "CURRENCY_UNKNOWN", "BONUS_EXISTS"),
    }
)
"""Refusals that would be the demo's fault; others are the market's, or there is nothing to change, or nobody waits."""
_WORTHWHILE: Final = 0.05
"""The share of a stake below which he offers nothing."""
_heard = msgspec.json.Decoder(Referral | ReferralEnded).decode


class Job(Struct, frozen=True):
    """What the desk is to do."""

    customers: int
    seed: int
    run: str
    lead_ms: int
    """How long a fixture is offered before its start: limits rise meanwhile."""
    think_s: float
    """How long the trader looks at a bet, on average."""
    grants_s: float
    """Between two rounds of free bets."""


class Report(Struct):
    """What the desk has done since its start."""

    ready: bool = False
    """Rates and limits are set."""
    told: dict[str, int] = field(default_factory=dict)
    """The trader's answers that were taken, as the protocol has them: accept, offer, decline."""
    silent: int = 0
    """Bets that he let pass."""
    granted: int = 0
    """Free bets and bonuses."""
    faults: list[str] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)


class Desk:
    """The trader, and whoever sets limits."""

    def __init__(self, job: Job, settings: Settings, client: Client) -> None:
        self.job = job
        self.seen = Report()
        self.habits = dict(_HABITS)
        self._settings = settings
        self._client = client
        self._ask = Clerk(client).ask
        self._random = Random(f"desk-{job.seed}-{job.run}")  # noqa: S311 - a game; a text seeds the same everywhere
        self._told: Counter[str] = Counter()
        self._looked: dict[str, None] = {}
        """Bets that were referred, the oldest forgotten."""
        self._thinking: set[asyncio.Task[None]] = set()
        self._lines: list[Line] = []
        self._commands = 0

    async def work(self, stop: asyncio.Event) -> None:
        """Set everything up, then answer and grant until `stop` is set."""
        await self._client.subscribe(subjects.REFERRALS, cb=self._referred)
        await self._client.flush()
        await self._set_up()
        self.seen.ready = True
        granting = asyncio.create_task(self._grant())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({granting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if granting.done():
            granting.result()
        for task in (granting, *self._thinking):
            task.cancel()

    def report(self) -> Report:
        """The figures as they are now."""
        seen = self.seen
        seen.told = dict(self._told)
        seen.lines, self._lines = self._lines, []
        return seen

    async def _do(self, subject: str, kind: type[Any], *fields: Any) -> str:
        """A command of the desk; why not, empty if it was done. What cannot be refused but by a mistake is a fault."""
        self._commands += 1
        head = f"{self.job.run}-desk-{self._commands}", _now_ms() + _COMMAND_MS, _AUTHOR
        answer = await self._ask(subject, kind(*head, *fields))
        why = reason(answer) if answer is not None else "NO_ANSWER"
        if why in _OURS and len(self.seen.faults) < _FAULTS_MAX:
            self.seen.faults.append(f"{subject} was refused: {why}")
        return why

    # What it sets.

    async def _set_up(self) -> None:
        """Rates, and limits of the tree; what stands from an earlier run stands."""
        for currency, rate in RATES.items():
            await self._do("desk.rate.set", co.SetRate, currency, rate)
        demo, lead_ms = self._settings.limits, self.job.lead_ms
        # Little is known of a fixture long before its start: half of each limit, then most of it, at last all.
        ramp = (co.Ramp(lead_ms // 10, 7_500), co.Ramp(lead_ms // 2, 5_000))
        book = ("",) * 6
        races = ("horse_racing", *book[1:])
        scores = ("football", "", "", "correct_score", "", "")
        for node, limits in (
            (book, (0, 0, 0, ramp)),
            (races, (demo.stake_max_m // 2, 0, demo.liability_book_max_m // 4)),
            (scores, (demo.stake_max_m // 5, demo.payout_max_m // 2, demo.liability_book_max_m // 10)),
        ):
            await self._do("desk.limit.set", co.SetLimit, *node, *limits)

    async def _grant(self) -> None:
        """Each customer's file when he has come in; then free bets, round after round."""
        for number in range(1, self.job.customers + 1):
            await self._file(number)
        turn = 0
        while True:
            turn += 1
            for number in range(1, self.job.customers + 1):
                if profile(number).free_bets and self._random.random() < 0.7:
                    await self._free_bet(number, turn)
            await asyncio.sleep(self.job.grants_s)

    async def _file(self, number: int) -> None:
        """His factors, once he has come in, and what is put on top of his deposit, once it is there."""
        known, customer = profile(number), _name(number)
        account = await self._ask("account.get", GetAccount(customer))
        while not isinstance(account, an.AccountState):
            await asyncio.sleep(_REPORT_S)  # he is still coming in
            account = await self._ask("account.get", GetAccount(customer))
        if known.factor_bp != _ONE:
            for phase in ("pre_match", "in_play"):
                fields = customer, known.factor_bp, "", phase
                await self._do("desk.customer.factor", co.SetCustomerFactor, *fields)
        if known.match and account.cash_m:
            bonus_m, ends_ms = account.cash_m // 10 + 1, _now_ms() + _DAY_MS
            match = customer, f"{self.job.run}-match", account.cash_m, bonus_m, 1, ends_ms, 12_000
            self.seen.granted += not await self._do("desk.bonus.match", co.GrantBonus, *match)

    async def _free_bet(self, number: int, turn: int) -> None:
        currency = profile(number).currency
        stake_m = self._random.choice((200, 500, 1_000, 2_000)) * SCALE.get(currency, 1)
        fields = _name(number), f"{self.job.run}-free-{turn}", stake_m, _now_ms() + _FREE_BET_MS, 15_000
        self.seen.granted += not await self._do("desk.bonus.free-bet", co.GrantFreeBet, *fields)

    # What it is asked.

    async def _referred(self, message: Msg) -> None:
        """A bet that waits for him; told again every few seconds until it waits no more."""
        heard = _heard(message.data)
        if isinstance(heard, ReferralEnded) or heard.id in self._looked:
            return
        self._looked[heard.id] = None
        if len(self._looked) > _SEEN_MAX:
            del self._looked[next(iter(self._looked))]
        task = asyncio.get_running_loop().create_task(self._judge(heard))
        self._thinking.add(task)
        task.add_done_callback(self._thinking.discard)

    async def _judge(self, referral: Referral) -> None:
        """Look at it for a while, and say something; where that cannot be done, say no."""
        random = self._random
        action = random.choices([*self.habits], [*self.habits.values()])[0]
        await asyncio.sleep(random.uniform(0.3, 1.7) * self.job.think_s)
        if action == "less" and 0 < referral.stake_accepted_m < referral.stake_m * _WORTHWHILE:
            action = "decline"
        if action == "silent":
            self.seen.silent += 1
            self._line(referral, "does not answer", referral.stake_m)
        elif await self._answer(referral, action) not in {"", "BET_NOT_PENDING"}:
            await self._answer(referral, "decline")

    async def _answer(self, referral: Referral, action: str) -> str:
        """One word of his; empty: it was taken, else why not."""
        stake_m, why = referral.stake_m, ""
        prices: tuple[int, ...] = ()
        if action == "less":
            stake_m = max(1, min(referral.stake_accepted_m or stake_m // 2, stake_m))
        elif action == "price":
            prices = tuple(max(PRICE_MIN, (leg.price or leg.requested) * 93 // 100) for leg in referral.legs)
        elif action == "decline":
            why = self._random.choice(("not at this price", "we have enough of it", "team news"))
        word = "offer" if action in {"less", "price"} else action
        fields = referral.id, word, stake_m if action == "less" else 0, prices, 0, why
        refused = await self._do("desk.bet.answer", co.AnswerReferral, *fields)
        if refused:
            return refused
        self._told[word] += 1
        said = {"accept": "takes it", "less": "offers less", "price": "offers another price", "decline": f"no: {why}"}
        self._line(referral, said[action], stake_m)
        return ""

    def _line(self, referral: Referral, said: str, stake_m: int) -> None:
        what = f"{len(referral.legs)} leg{'s' * (len(referral.legs) > 1)}, {referral.reason.replace('_', ' ').lower()}"
        self._lines.append(Line(_now_ms(), "trader", referral.customer, what, stake_m, 0, said, referral.currency))


def _name(number: int) -> str:
    return f"demo-{number:04d}"


async def main(job: Job, starter: part.Starter) -> None:
    """The process: work, report."""
    settings = configuration.load()
    logs.set_up(settings.log)
    client = await bus.connect(settings, Role.DESK, name="demo desk")
    desk = Desk(job, settings, client)
    working = asyncio.create_task(desk.work(starter.stop))
    while not working.done():
        await asyncio.wait({working}, timeout=_REPORT_S)
        starter.report(desk.report())
    await client.close()
    working.result()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


if __name__ == "__main__":
    part.run(Job, main)
