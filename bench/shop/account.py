"""One customer's account: his commands, each done once, and what must lie on it in the end, to the minor unit."""

from __future__ import annotations

import itertools
import time
from typing import Any

import gevent
from msgspec import Struct

from bench.shop.shop import Shop
from core.messages import answers as an
from core.messages import commands as co
from core.messages import queries as qu

COMMAND_MS = 60_000
"""The deadline of a command: by then it has been asked as often as it will be."""
TRIES, BUSY_S = 8, 0.25
COUNTS = 10
"""An account is counted again while it changes."""
STILL_STAKED = {"open", "delayed", "referred", "offered"}


class Account:
    """What its customer knows of it."""

    def __init__(self, shop: Shop) -> None:
        """Not opened yet."""
        self.id = f"locust-{shop.run}-{next(shop.numbers)}"
        self.bets: list[str] = []
        """Those that were accepted, or waited for it."""
        self._shop = shop
        self._paid_in_m = 0
        self._traded: set[tuple[str, str]] = set()
        """The exchange markets in which he had orders."""
        self._unanswered: dict[str, tuple[str, co.Command]] = {}
        self._numbers = itertools.count(1)
        self._counting = False
        shop.accounts.append(self)

    def head(self) -> tuple[str, int, str]:
        """How a customer's command begins."""
        return f"{self.id}-{next(self._numbers)}", time.time_ns() // 1_000_000 + COMMAND_MS, self.id

    def ask(self, subject: str, message: Struct) -> an.Answer | None:
        """Once; None: no answer."""
        return self._shop.ask(subject, message, seen=not self._counting)

    def do(self, subject: str, command: co.Command) -> an.Answer | None:
        """A command: while there is no answer, or BUSY, it is asked again under its id, which does it once."""
        self._unanswered[command.id] = subject, command
        for _ in range(TRIES):
            answer = self.ask(subject, command)
            if isinstance(answer, an.Rejected) and answer.reason == "BUSY":
                gevent.sleep(BUSY_S)
            elif answer is not None:
                del self._unanswered[command.id]
                self._note(command, answer)
                return answer
        return None

    def _note(self, command: co.Command, answer: an.Answer) -> None:
        """What the account will be counted from."""
        if isinstance(command, co.Deposit) and isinstance(answer, an.Done):
            self._paid_in_m += command.amount_m
        elif isinstance(command, co.PlaceBet) and isinstance(answer, an.Accepted | an.Pending):
            self.bets.append(command.id)
        elif isinstance(command, co.PlaceOrder) and isinstance(answer, an.OrderReport):
            self._traded.add((command.fixture, command.market))

    # Counting.

    def amiss(self) -> str:
        """What is wrong with it, when its customer has gone; empty: nothing."""
        self._counting, wrong = True, ""
        for subject, command in [*self._unanswered.values()]:
            self.do(subject, command)
        if self._traded:
            self.do("order.cancel-all", co.CancelOrders(*self.head()))
        for _ in range(COUNTS):
            try:
                due, held = self._due(), self._held()
            except TimeoutError as error:
                return str(error)
            if due == held:
                return ""
            wrong = f"cash and stakes are {held}, and should be {due}, in minor units"
            gevent.sleep(BUSY_S)  # a bet may have been settled between two questions
        return wrong

    def _held(self) -> tuple[int, int]:
        """Cash and stakes as the account has them; what is set aside for orders is still his cash."""
        account = self._know("account.get", qu.GetAccount(self.id), an.AccountState)
        return account.cash_m + account.exposure_m, account.open_stakes_m + account.reserved_m

    def _due(self) -> tuple[int, int]:
        """The same, from what he has paid in and what has become of each bet and order."""
        cash_m, stakes_m = self._paid_in_m, 0
        for name in self.bets:
            bet = self._know("bet.get", qu.GetBet(name), an.BetState | an.Rejected)
            if isinstance(bet, an.BetState):  # one that waited may have been refused since
                cash_m += bet.paid_m + bet.cashed_out_m - bet.stake_m
                stakes_m += bet.stake_m - bet.cashed_out_stake_m if bet.status in STILL_STAKED else 0
        for fixture, market in self._traded:
            orders = self._know("order.list", qu.GetOrders(self.id, fixture, market), an.Orders)
            cash_m += orders.net_m - orders.commission_m
        return cash_m, stakes_m

    def _know(self, subject: str, query: Struct, kind: Any) -> Any:
        """The answer to a query that has one. Raises TimeoutError."""
        for _ in range(TRIES):
            answer = self.ask(subject, query)
            if isinstance(answer, kind) and getattr(answer, "reason", "") != "BUSY":
                return answer
            gevent.sleep(BUSY_S)
        raise TimeoutError(f"{subject} is not answered: {query}")
