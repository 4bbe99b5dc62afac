"""How does a running tictac stand the customers of a betting shop? A scenario for the stock `locust` command.

    customers (greenlets) ──bet.>, order.>, account.>, odds.get──> nats-server ──> your engine
    of one process, over <───────────replies, odds.>──────────────
    one connection in the gateway's role

    locust -f bench/shop/locustfile.py --headless -u 200 -r 20 -t 5m
    locust -f bench/shop/locustfile.py,bench/shop/matchnight.py -u 2000 -t 15m --processes 2

Where NATS is, and the gateway's password, come from tictac's settings (TICTAC_NATS_URLS, TICTAC_NATS_GATEWAY_PASSWORD).
Each run opens accounts of its own and pays in; what is on offer the customers find by themselves, on `odds.>`.

Each request is a row of locust's statistics: its subject and what it was answered, `bet.place accepted`, `bet.place
PRICE_CHANGED`. Refusals are answers. Failures are: no answer within --deadline, an answer that cannot be right, and an
account that does not add up: when the test stops, every customer's cash and stakes are counted again from what he paid
in and from each of his bets and orders, to the minor unit. What had no answer is asked again before that, under its id.
With a failure locust ends with status 1. (An engine without Postgres forgets bets 10 minutes after they were settled;
what it has forgotten cannot be counted.)

In the times: NATS, and this process' own turn (locust warns when its processor is the bottleneck: --processes). Users
wait for their answers, so a slow engine is asked less; how fast it is at planned times, bench/durable.py says.
"""

from __future__ import annotations

import random
from argparse import ArgumentParser
from bisect import bisect
from typing import Any, ClassVar

from locust import User, events, task
from locust.env import Environment
from locust.runners import MasterRunner

from bench.shop.account import Account
from bench.shop.board import Offer
from bench.shop.shop import Shop, await_workers
from config.settings import SettingsError
from core.exchange.ladder import LADDERS
from core.messages import answers as an
from core.messages import commands as co
from core.messages import queries as qu
from core.units import PRICE_ONE

DEPOSIT_M = 20_000
STAKES_M = (100, 200, 500, 500, 1_000, 2_000)
UNIT_M = 50
"""Of a line of a system."""
SYSTEMS = (("patent", 3), ("trixie", 3), ("yankee", 4), ("lucky15", 4))


class Customer(User):
    """One of them. The weights are of a hundred things that people do."""

    shop: ClassVar[Shop]

    def wait_time(self) -> float:
        """Wait here, where a goal ends it (locust has marked him as waiting already), and not a moment more."""
        self.shop.goal.wait(random.expovariate(1 / self.shop.options.pause))
        return 0.0

    def on_start(self) -> None:
        """Open an account and pay in."""
        self.account = Account(self.shop)
        self.account.do("account.open", co.OpenCustomer(*self._head(), self.shop.currency))
        self._deposit()

    @task(36)
    def look_at_odds(self) -> None:
        """Of any market."""
        if offer := _any(self.shop.board.bets):
            self.account.ask("odds.get", qu.GetOdds(offer.fixture, offer.market))

    @task(20)
    def single(self) -> None:
        """At the live price, like all bets."""
        self._bet(1)

    @task(9)
    def multiple(self) -> None:
        """All legs must win."""
        self._bet(random.choice((2, 2, 3, 3, 4, 5)))

    @task(3)
    def system(self) -> None:
        """A named one."""
        kind, legs = random.choice(SYSTEMS)
        self._bet(legs, kind)

    @task(4)
    def as_much_as_possible(self) -> None:
        """Ask for the greatest stake, and bet as much of it as he would."""
        if legs := self._legs(1):
            most = self.account.ask("bet.max-stake", qu.GetMaxStake(self.account.id, legs))
            if isinstance(most, an.MaxStake) and most.stake_m:
                self._place("bet.place", co.PlaceBet(*self._head(), min(most.stake_m, DEPOSIT_M // 4), legs))

    @task(6)
    def cash_out(self) -> None:
        """Sell one of the last bets, or half of it, if it still runs."""
        if not self.account.bets:
            return
        bet, share_bp = random.choice(self.account.bets[-5:]), random.choice((10_000, 5_000))
        state = self.account.ask("bet.get", qu.GetBet(bet))
        if isinstance(state, an.BetState) and state.status == "open":
            quote = self.account.ask("bet.cash-out.quote", qu.GetCashOut(self.account.id, bet, share_bp))
            if isinstance(quote, an.CashOutQuote):
                self.account.do("bet.cash-out.take", co.CashOut(*self._head(), bet, quote.offer_m))

    @task(12)
    def look_at_bets(self) -> None:
        """The balance and the last bets."""
        self.account.ask("account.get", qu.GetAccount(self.account.id))
        for bet in self.account.bets[-3:]:
            self.account.ask("bet.get", qu.GetBet(bet))

    @task(10)
    def trade(self) -> None:
        """On an exchange market: take what is there, or wait in the queue; now and then think better of it."""
        offer = _any(self.shop.board.orders)
        book = offer and self.account.ask("order.book", qu.GetBook(offer.fixture, offer.market))
        if offer is None or not isinstance(book, an.BookImage):
            return
        levels, prices = random.choice(book.books), LADDERS[offer.ladder].prices
        there = [side[0][0] for side in (levels.backs, levels.lays) if side]
        price = random.choice(there or [prices[bisect(prices, len(book.books) * PRICE_ONE) - 1]])
        side, stake_m = random.choice(("back", "lay")), random.choice(STAKES_M)
        stake_m = max(STAKES_M[0], stake_m * PRICE_ONE // price)  # of a long shot less, whoever lays it
        place = offer.fixture, offer.market, levels.selection
        order = co.PlaceOrder(*self._head(), *place, side, stake_m, price)  # type: ignore[arg-type]  # side is one of two
        report = self._place("order.place", order)
        if isinstance(report, an.OrderReport) and report.status == "resting" and random.random() < 0.3:
            self.account.do("order.cancel", co.CancelOrder(*self._head(), order.id))

    def _bet(self, legs: int, kind: str = "") -> None:
        """So many legs; where fewer are on offer, a shorter multiple."""
        chosen = self._legs(legs)
        if len(chosen) == legs or (chosen and not kind):
            stake_m = UNIT_M if kind else random.choice(STAKES_M)
            bet = co.PlaceBet(*self._head(), stake_m, chosen, kind=kind, unit_stake=bool(kind))
            self._place("bet.place", bet)

    def _legs(self, wanted: int) -> tuple[co.Leg, ...]:
        """Of different fixtures; favourites more often."""
        legs: dict[str, co.Leg] = {}
        offers = [*self.shop.board.bets.values()]
        for offer in random.sample(offers, min(len(offers), 4 * wanted)):
            priced = [selection for selection, price in offer.prices.items() if price]
            if priced and len(legs) < wanted:
                selection = random.choices(priced, [1 / offer.prices[each] for each in priced])[0]
                legs[offer.fixture] = co.Leg(offer.fixture, offer.market, selection, offer.prices[selection])
        return tuple(legs.values())

    def _place(self, subject: str, command: co.PlaceBet | co.PlaceOrder) -> an.Answer | None:
        """A bet or an order; who has too little for it pays in."""
        answer = self.account.do(subject, command)
        if isinstance(answer, an.Rejected) and answer.reason == "BALANCE_TOO_LOW":
            self._deposit()
        return answer

    def _deposit(self) -> None:
        self.account.do("account.deposit", co.Deposit(*self._head(), DEPOSIT_M, "locust"))

    def _head(self) -> tuple[str, int, str]:
        return self.account.head()


def _any(offers: dict[tuple[str, str], Offer]) -> Offer | None:
    return random.choice([*offers.values()]) if offers else None


def _options(parser: ArgumentParser, **_: Any) -> None:
    """Beside locust's own."""
    parser.add_argument(
        "--pause", type=float, default=5.0, help="seconds between two things one customer does, on average"
    )
    parser.add_argument("--deadline", type=float, default=5.0, help="seconds after which a request has had no answer")


def _begin(environment: Environment, **_: Any) -> None:
    """In each process; those of a master are in its workers."""
    runner = environment.runner
    assert runner is not None
    # Ended by a signal, locust would choose its exit status first and stop the test, and count, afterwards.
    environment.events.quitting.add_listener(lambda **_: runner.stop())
    if isinstance(runner, MasterRunner):
        await_workers(runner)
        return
    try:
        Customer.shop = Shop(environment)
    except (OSError, SettingsError) as error:
        raise SystemExit(f"no connection to NATS as a gateway: {error}") from error


events.init_command_line_parser.add_listener(_options)
events.init.add_listener(_begin)
