"""A second engine, plain: written from the rulebook, slow and obvious, to disagree with the first where that is wrong.

It has nothing of core/ but the vocabulary (messages and limits). It keeps no sums but balances: what the house can lose
is added up from all open bets each time it is asked for, and prices and multipliers are Fractions throughout. Bounds of
memory (BUSY, TOO_MANY) are not its subject.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from math import floor
from typing import Any

import msgspec

from core.limits import Limits
from core.messages import commands as co
from core.messages import feed as fe
from core.messages.answers import Accepted, Answer, Done, Rejected, UsedLeg
from core.messages.results import Result

Key = tuple[str, str]


@dataclass
class Producer:
    sequence: int
    last_ms: int
    up: bool = False
    recovering: bool = False
    recoveries: int = 0


@dataclass
class Market:
    source: str
    winners: int
    cut_off_ms: int
    group: str
    selections: list[str] = field(default_factory=list)
    suspended_by_desk: bool = False
    overrides: dict[str, int] = field(default_factory=dict)
    results: dict[str, Result] = field(default_factory=dict)
    cancels: list[tuple[int, int]] = field(default_factory=list)
    closed_ms: int | None = None
    bets: list[str] = field(default_factory=list)
    # What the feed says, forgotten at a restart.
    status: fe.FeedStatus = fe.FeedStatus.SUSPENDED
    in_play: bool = False
    feed_prices: dict[str, int] = field(default_factory=dict)
    price_ms: int = 0
    ts_ms: int = 0
    recovery: int = 0

    def price(self, selection: str) -> int:
        return self.overrides.get(selection, 0) or self.feed_prices.get(selection, 0)


@dataclass
class Bet:
    id: str
    placed_ms: int
    content: Any
    answer: Accepted
    customer: str
    stake_m: int
    payout_m: int
    legs: list[tuple[Key, str, int]]
    voided: bool = False
    status: str = "open"
    paid_m: int = 0
    running: list[int] = field(default_factory=list)


class No(Exception):  # noqa: N818  (a refusal, not an error)
    """A refusal, thrown from wherever it is found; the ladder reads top to bottom that way."""

    def __init__(self, reason: str, **fields: Any) -> None:
        super().__init__(reason)
        self.reason, self.fields = reason, fields


class Model:
    """All that is known, as plainly as it can be kept."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.money: Counter[tuple[str, str]] = Counter()
        """(customer or "house", account) -> minor units."""
        self.customers: dict[str, bool] = {}
        """Name -> suspended."""
        self.reserves: dict[str, tuple[str, int, str, int]] = {}
        """Id -> customer, sum, provider, time limit."""
        self.fixtures: dict[str, str] = {}
        """Id -> source."""
        self.fixture_ts: dict[str, int] = {}
        self.markets: dict[Key, Market] = {}
        self.bets: dict[str, Bet] = {}
        self.answers: dict[str, tuple[Any, Answer, int]] = {}
        """Id -> content, answer, until when it is kept."""
        self.producers: dict[str, Producer] = {}
        self.due: list[tuple[Key, list[str]]] = []
        """Markets whose bets are to be looked at again, and which."""
        self.closed: list[Key] = []
        self.offer: Callable[[int], bool] = lambda _: False
        """Whether a stake of the bet that was refused last would have been accepted."""

    # Commands.

    def execute(self, message: Any, now: int) -> Answer | None:
        """What the engine should answer; for feed messages None: only what becomes of them is compared."""
        if isinstance(message, fe.FeedMessage):
            self.hear(message, now)
            return None
        content = type(message).__name__, msgspec.structs.astuple(message)[2:]
        known: tuple[Any, Answer]
        if message.id in self.bets:
            known = self.bets[message.id].content, self.bets[message.id].answer
        elif message.id in self.answers and self.answers[message.id][2] > now:
            known = (self.answers[message.id][0], self.answers[message.id][1])
        else:
            return self.decide(message, content, now)
        return known[1] if known[0] == content else Rejected(message.id, "DUPLICATE_ID")

    def decide(self, message: Any, content: Any, now: int) -> Answer:
        kept_ms = self.limits.retention_ms
        try:
            self.want(message.expires_ms >= now, "EXPIRED")
            self.want(message.expires_ms <= now + kept_ms, "DEADLINE_TOO_FAR", limit=now + kept_ms)
            if hasattr(message, "customer") and not isinstance(message, co.OpenCustomer):
                self.want(message.customer in self.customers, "CUSTOMER_UNKNOWN")
            if isinstance(message, co.PlaceBet):
                return self.place(message, content, now)
            getattr(self, "on_" + type(message).__name__)(message, now)
            answer: Answer = Done(message.id, now)
            if isinstance(message, co.Deposit | co.Withdraw | co.Reserve | co.PostReserve | co.VoidReserve):
                kept_ms = self.limits.payment_retention_ms
        except No as no:
            answer = Rejected(message.id, no.reason, **no.fields)
            of_nobody = getattr(message, "customer", None) not in {*self.customers, None}
            if of_nobody and not isinstance(message, co.OpenCustomer):
                return answer
        self.answers[message.id] = content, answer, now + kept_ms
        return answer

    @staticmethod
    def want(condition: object, reason: str, **fields: Any) -> None:
        if not condition:
            raise No(reason, **fields)

    def move(self, source: tuple[str, str], target: tuple[str, str], amount_m: int) -> None:
        self.money[source] -= amount_m
        self.money[target] += amount_m

    def on_OpenCustomer(self, message: co.OpenCustomer, _: int) -> None:  # noqa: N802  (named as the command)
        self.want(message.customer not in self.customers, "CUSTOMER_EXISTS")
        self.want(message.currency == self.limits.currency, "CURRENCY_MISMATCH", detail=self.limits.currency)
        self.customers[message.customer] = False

    def on_Deposit(self, message: co.Deposit, _: int) -> None:  # noqa: N802
        self.move(("house", message.provider), (message.customer, "cash"), message.amount_m)

    def on_Withdraw(self, message: co.Withdraw, _: int) -> None:  # noqa: N802
        cash_m = self.money[message.customer, "cash"]
        self.want(message.amount_m <= cash_m, "BALANCE_TOO_LOW", limit=cash_m)
        self.move((message.customer, "cash"), ("house", message.provider), message.amount_m)

    def on_Reserve(self, message: co.Reserve, _: int) -> None:  # noqa: N802
        cash_m = self.money[message.customer, "cash"]
        self.want(message.amount_m <= cash_m, "BALANCE_TOO_LOW", limit=cash_m)
        self.move((message.customer, "cash"), (message.customer, "reserved"), message.amount_m)
        self.reserves[message.id] = message.customer, message.amount_m, message.provider, message.hold_until_ms

    def on_PostReserve(self, message: co.PostReserve, _: int) -> None:  # noqa: N802
        customer, amount_m, provider, _until = self.reserves.get(message.reserve, ("", 0, "", 0))
        self.want(customer == message.customer, "RESERVE_UNKNOWN")
        self.want(message.amount_m <= amount_m, "RESERVE_EXCEEDED", limit=amount_m)
        self.move((customer, "reserved"), ("house", provider), message.amount_m)
        self.move((customer, "reserved"), (customer, "cash"), amount_m - message.amount_m)
        del self.reserves[message.reserve]

    def on_VoidReserve(self, message: co.VoidReserve, _: int) -> None:  # noqa: N802
        self.want(self.reserves.get(message.reserve, ("",))[0] == message.customer, "RESERVE_UNKNOWN")
        self.release(message.reserve)

    def release(self, reserve: str) -> None:
        customer, amount_m, _, _ = self.reserves.pop(reserve)
        self.move((customer, "reserved"), (customer, "cash"), amount_m)

    def on_SetCustomerStatus(self, message: co.SetCustomerStatus, _: int) -> None:  # noqa: N802
        self.customers[message.customer] = message.suspended

    def on_DefineFixture(self, message: co.DefineFixture, _: int) -> None:  # noqa: N802
        self.fixtures[message.fixture] = "desk"

    def on_DefineMarket(self, message: co.DefineMarket, _: int) -> None:  # noqa: N802
        self.want(message.fixture in self.fixtures, "FIXTURE_UNKNOWN")
        key = message.fixture, message.market
        source = self.markets[key].source if key in self.markets else "desk"
        self.want(source == "desk", "PRICE_NOT_OURS", detail=source)
        if key not in self.markets:
            self.markets[key] = Market("desk", message.winners, message.cut_off_ms, "", suspended_by_desk=True)
        self.define(key, message.winners, message.cut_off_ms, "", [named.id for named in message.selections])

    def define(self, key: Key, winners: int, cut_off_ms: int, group: str, selections: list[str]) -> None:
        market = self.markets[key]
        market.winners, market.cut_off_ms, market.group = winners, cut_off_ms, group
        market.selections += [name for name in selections if name not in market.selections]

    def market(self, message: Any) -> tuple[Key, Market]:
        self.want(message.fixture in self.fixtures, "FIXTURE_UNKNOWN")
        key = message.fixture, message.market
        self.want(key in self.markets, "MARKET_UNKNOWN")
        return key, self.markets[key]

    def on_OpenMarket(self, message: co.OpenMarket, _: int) -> None:  # noqa: N802
        self.market(message)[1].suspended_by_desk = False

    def on_SuspendMarket(self, message: co.SuspendMarket, _: int) -> None:  # noqa: N802
        self.market(message)[1].suspended_by_desk = True

    def on_SetPrice(self, message: co.SetPrice, _: int) -> None:  # noqa: N802
        _key, market = self.market(message)
        self.want(message.selection in market.selections, "SELECTION_UNKNOWN")
        market.overrides[message.selection] = message.price

    # A bet.

    def place(self, bet: co.PlaceBet, content: Any, now: int) -> Answer:
        """The ladder of RULEBOOK 3."""
        self.offer = lambda _: False
        self.want(not self.customers[bet.customer], "CUSTOMER_SUSPENDED")
        self.want(len(bet.legs) <= self.limits.legs_max, "TOO_MANY_LEGS", limit=self.limits.legs_max)
        for index, leg in enumerate(bet.legs):
            others = [other.fixture for other in bet.legs[:index]]
            self.want(leg.fixture not in others, "LEGS_NOT_COMBINABLE", leg=index)
        self.want(bet.currency in {"", self.limits.currency}, "CURRENCY_MISMATCH", detail=self.limits.currency)
        legs = [self.leg(bet, index, leg, now) for index, leg in enumerate(bet.legs)]
        self.offer = lambda stake_m: self.refusal(bet.customer, legs, stake_m) is None
        no = self.refusal(bet.customer, legs, bet.stake_m)
        if no:
            raise no
        used = tuple(
            UsedLeg(leg.fixture, leg.market, leg.selection, price, leg.price)
            for leg, (_, _, price) in zip(bet.legs, legs, strict=True)
        )
        payout_m = floor(bet.stake_m * self.product(legs))
        answer = Accepted(bet.id, now, bet.stake_m, payout_m, used)
        self.bets[bet.id] = Bet(bet.id, now, content, answer, bet.customer, bet.stake_m, payout_m, legs)
        self.bets[bet.id].running = [bet.stake_m] * len(legs)
        for key, _, _ in legs:
            self.markets[key].bets.append(bet.id)
        self.move((bet.customer, "cash"), (bet.customer, "open"), bet.stake_m)
        return answer

    @staticmethod
    def product(legs: list[tuple[Key, str, int]]) -> Fraction:
        total = Fraction(1)
        for _, _, price in legs:
            total *= Fraction(price, 10_000)
        return total

    def leg(self, bet: co.PlaceBet, index: int, leg: co.Leg, now: int) -> tuple[Key, str, int]:
        """The market, selection and price at which a leg is taken."""
        self.want(leg.fixture in self.fixtures, "FIXTURE_UNKNOWN", leg=index)
        key = leg.fixture, leg.market
        self.want(key in self.markets, "MARKET_UNKNOWN", leg=index)
        market = self.markets[key]
        self.want(leg.selection in market.selections, "SELECTION_UNKNOWN", leg=index)
        live = market.price(leg.selection)
        obstacle = self.obstacle(key, now)
        if obstacle:
            raise No(obstacle[0], leg=index, price=live, limit=obstacle[1])
        self.want(live, "SELECTION_UNPRICED", leg=index)
        worst = {
            co.PricePolicy.NONE: Fraction(leg.price),
            co.PricePolicy.BETTER: Fraction(leg.price),
            co.PricePolicy.ANY: Fraction(0),
            co.PricePolicy.TOLERANCE: leg.price * (1 - Fraction(bet.tolerance_bp, 10_000)),
        }[bet.policy]
        taken = live == leg.price if bet.policy is co.PricePolicy.NONE else live >= worst
        self.want(taken, "PRICE_CHANGED", leg=index, price=live)
        return key, leg.selection, live

    def obstacle(self, key: Key, now: int) -> tuple[str, int] | None:
        """Why no bet is taken on a market, and the limit that says so."""
        market = self.markets[key]
        due = any(key == waiting for waiting, _ in self.due)
        in_window = any(start <= now and (end == 0 or now < end) for start, end in market.cancels)
        if market.closed_ms is not None or due or in_window or market.status is fe.FeedStatus.CLOSED:
            return "MARKET_CLOSED", 0
        by_hand = market.source == "desk"
        if market.suspended_by_desk or (not by_hand and market.status is not fe.FeedStatus.ACTIVE):
            return "MARKET_SUSPENDED", 0
        if market.cut_off_ms and now >= market.cut_off_ms:
            return "CUT_OFF_PASSED", market.cut_off_ms
        if by_hand:
            return None
        producer = self.producers.get(market.source)
        if producer is None or not producer.up or market.recovery != producer.recoveries:
            return "PRODUCER_DOWN", 0
        if now - producer.last_ms > self.limits.producer_silence_max_ms:
            return "PRODUCER_DOWN", 0
        age_max_ms = self.limits.price_age_in_play_max_ms if market.in_play else self.limits.price_age_max_ms
        return ("PRICE_STALE", age_max_ms) if now - market.price_ms > age_max_ms else None

    def refusal(self, customer: str, legs: list[tuple[Key, str, int]], stake_m: int) -> No | None:
        """Which limit of money a stake passes first."""
        limits = self.limits
        winnings_m = floor(stake_m * self.product(legs)) - stake_m
        if stake_m < limits.stake_min_m:
            return No("STAKE_TOO_SMALL", limit=limits.stake_min_m)
        if stake_m > limits.stake_max_m:
            return No("STAKE_TOO_LARGE", limit=limits.stake_max_m)
        if winnings_m > limits.payout_max_m:
            return No("PAYOUT_TOO_LARGE", limit=limits.payout_max_m)
        stakes = [(key, selection, price, stake_m) for key, selection, price in legs]
        for index, leg in enumerate(stakes):
            no = self.leg_refusal(leg)
            if no:
                return No(no[0], leg=index, price=leg[2], limit=no[1])
        if self.customer_liability(customer) + winnings_m > limits.liability_customer_max_m:
            return No("LIABILITY_CUSTOMER", limit=limits.liability_customer_max_m)
        change_m = sum(self.liability(leg[0], leg) - self.liability(leg[0]) for leg in stakes)
        if change_m > 0 and self.book_liability() + change_m > limits.liability_book_max_m:
            return No("LIABILITY_BOOK", limit=limits.liability_book_max_m)
        cash_m = self.money[customer, "cash"]
        return No("BALANCE_TOO_LOW", limit=cash_m) if stake_m > cash_m else None

    def leg_refusal(self, leg: tuple[Key, str, int, int]) -> tuple[str, int] | None:
        limits, key = self.limits, leg[0]
        stakes_m, payouts = self.vector(key, leg)
        if payouts[leg[1]] - stakes_m > limits.liability_selection_max_m:
            return "LIABILITY_SELECTION", limits.liability_selection_max_m
        before_m, after_m = self.liability(key), self.liability(key, leg)
        if after_m <= before_m:
            return None
        if after_m > limits.liability_market_max_m:
            return "LIABILITY_MARKET", limits.liability_market_max_m
        if self.fixture_liability(key[0]) + after_m - before_m > limits.liability_fixture_max_m:
            return "LIABILITY_FIXTURE", limits.liability_fixture_max_m
        return None

    # What can be lost: added up from the bets, each time.

    def vector(self, key: Key, more: tuple[Key, str, int, int] | None = None) -> tuple[int, dict[str, int]]:
        """A market's stakes, and what each selection pays; with one more stake, if given."""
        stakes_m, payouts = 0, dict.fromkeys(self.markets[key].selections, 0)
        lines = [more] if more else []
        for bet_id in self.markets[key].bets:
            bet = self.bets[bet_id]
            lines += [(*leg, running_m) for leg, running_m in zip(bet.legs, bet.running, strict=True)]
        for where, selection, price, running_m in lines:
            if where == key:
                stakes_m += running_m
                payouts[selection] += running_m * price // 10_000
        return stakes_m, payouts

    def liability(self, key: Key, more: tuple[Key, str, int, int] | None = None) -> int:
        stakes_m, payouts = self.vector(key, more)
        return max(0, sum(sorted(payouts.values())[-self.markets[key].winners :]) - stakes_m)

    def fixture_liability(self, fixture: str) -> int:
        return sum(self.liability(key) for key in self.markets if key[0] == fixture)

    def book_liability(self) -> int:
        return sum(self.liability(key) for key in self.markets)

    def customer_liability(self, customer: str) -> int:
        mine = [bet for bet in self.bets.values() if bet.customer == customer and bet.status == "open"]
        return sum(bet.payout_m - bet.stake_m for bet in mine)

    # Settlement.

    def on_SettleMarket(self, message: co.SettleMarket, now: int) -> None:  # noqa: N802
        self.settle(self.market(message)[0], message.results, now)

    def settle(self, key: Key, results: tuple[Result, ...], now: int) -> None:
        market = self.markets[key]
        given = {result.selection: result for result in results}
        amiss = set(given) ^ set(market.selections)
        self.want(not amiss, "RESULTS_INCOMPLETE", detail=min(amiss, default=""))
        self.want(given != market.results, "NOTHING_TO_CHANGE")
        market.results = given
        self.look_again(key, now)

    def on_CancelMarket(self, message: co.CancelMarket, now: int) -> None:  # noqa: N802
        self.cancel(self.market(message)[0], (message.from_ms, message.to_ms), now)

    def cancel(self, key: Key, window: tuple[int, int], now: int) -> None:
        self.want(window not in self.markets[key].cancels, "NOTHING_TO_CHANGE")
        self.markets[key].cancels.append(window)
        self.look_again(key, now)

    def on_RollBackMarket(self, message: co.RollBackMarket, now: int) -> None:  # noqa: N802
        self.roll_back(self.market(message)[0], message.what, now)

    def roll_back(self, key: Key, what: str, now: int) -> None:
        market = self.markets[key]
        self.want(market.results if what == "results" else market.cancels, "NOTHING_TO_CHANGE")
        if what == "results":
            market.results = {}
        else:
            market.cancels = []
        self.look_again(key, now)

    def look_again(self, key: Key, now: int) -> None:
        market = self.markets[key]
        closed = bool(market.results) or any(end == 0 for _, end in market.cancels)
        market.closed_ms = now if closed else None
        self.closed = [other for other in self.closed if other != key] + [key] * closed
        self.due = [(other, bets) for other, bets in self.due if other != key]
        if market.bets:
            self.due.append((key, list(market.bets)))

    def on_VoidBet(self, message: co.VoidBet, _: int) -> None:  # noqa: N802
        self.want(message.bet in self.bets, "BET_UNKNOWN")
        self.want(not self.bets[message.bet].voided, "BET_NOT_OPEN")
        self.void(message.bet)

    def void(self, bet: str) -> None:
        self.bets[bet].voided = True
        self.review(self.bets[bet])

    def on_CancelBet(self, message: co.CancelBet, now: int) -> None:  # noqa: N802
        bet = self.bets.get(message.bet)
        if bet is None or bet.customer != message.customer:
            raise No("BET_UNKNOWN")
        self.want(bet.status == "open", "BET_NOT_OPEN")
        until_ms = bet.placed_ms + self.limits.cancel_window_ms
        decided = any(self.multiplier(bet, leg) is not None for leg in bet.legs)
        self.want(now < until_ms and not decided, "CANCEL_NOT_ALLOWED", limit=until_ms)
        self.void(bet.id)

    def multiplier(self, bet: Bet, leg: tuple[Key, str, int]) -> Fraction | None:
        """RULEBOOK 5: vf + (1 - vf) x result x price x dhf; within a cancel 1; None: not known yet."""
        key, selection, price = leg
        market = self.markets[key]
        if any(start <= bet.placed_ms and (end == 0 or bet.placed_ms < end) for start, end in market.cancels):
            return Fraction(1)
        result = market.results.get(selection)
        if result is None:
            return None
        void = Fraction(result.void_factor, 10_000)
        dead_heat = Fraction(result.dead_heat_places, result.dead_heat_sharing)
        return void + (1 - void) * result.result * Fraction(price, 10_000) * dead_heat

    def is_void(self, bet: Bet, leg: tuple[Key, str, int]) -> bool:
        market = self.markets[leg[0]]
        cancelled = any(start <= bet.placed_ms and (end == 0 or bet.placed_ms < end) for start, end in market.cancels)
        return cancelled or market.results[leg[1]].void_factor == 10_000

    def review(self, bet: Bet) -> None:
        """What is known now makes of a bet; the difference to what was paid moves."""
        factors = [self.multiplier(bet, leg) for leg in bet.legs]
        known = [factor for factor in factors if factor is not None]
        total = Fraction(bet.stake_m)
        for factor in known:
            total *= factor
        if bet.voided or (len(known) == len(factors) and all(self.is_void(bet, leg) for leg in bet.legs)):
            status, paid_m = "void", bet.stake_m
        elif 0 in known:
            status, paid_m = "lost", 0
        elif len(known) < len(factors):
            status, paid_m = "open", 0
        else:
            status, paid_m = "won", floor(total)
        opens = status == "open"
        bet.running = [floor(total) if opens and factor is None else 0 for factor in factors]
        if opens != (bet.status == "open"):
            stake_m = -bet.stake_m if opens else bet.stake_m
            self.move((bet.customer, "open"), ("house", "betting"), stake_m)
        self.move(("house", "betting"), (bet.customer, "cash"), paid_m - bet.paid_m)
        bet.status, bet.paid_m = status, paid_m

    # Time.

    def tick(self, now: int) -> None:
        """Reserves run out; a slice of what is due, or else of what may be forgotten; silent producers."""
        over = sorted((until, name) for name, (_, _, _, until) in self.reserves.items() if until <= now)
        for _, name in over[: self.limits.slice_max]:
            self.release(name)
        if self.due:
            key, bets = self.due.pop(0)
            for bet in bets[: self.limits.slice_max]:
                self.review(self.bets[bet])
            if bets[self.limits.slice_max :]:
                self.due.append((key, bets[self.limits.slice_max :]))
        else:
            self.forget(now)
        for producer in self.producers.values():
            if now - producer.last_ms > self.limits.producer_silence_max_ms:
                producer.up = False

    def forget(self, now: int) -> None:
        """A slice of the bets of the market that is closed longest, if that is long enough and no bet on it open."""
        if not self.closed:
            return
        key = self.closed[0]
        market = self.markets[key]
        assert market.closed_ms is not None
        if now - market.closed_ms < self.limits.archive_after_ms:
            return
        if any(self.bets[bet].status == "open" for bet in market.bets):
            self.closed.append(self.closed.pop(0))
            return
        for name in market.bets[: self.limits.slice_max]:
            for other, _, _ in self.bets.pop(name).legs:
                self.markets[other].bets.remove(name)
        if not market.bets:
            self.closed.remove(key)
            del self.markets[key]
            if not any(fixture == key[0] for fixture, _ in self.markets):
                del self.fixtures[key[0]]
                self.fixture_ts.pop(key[0], None)

    def restart(self) -> None:
        """All that feeds have said about prices is forgotten; closed markets wait in the order of their closing."""
        closed = [key for fixture in self.fixtures for key in self.markets if key[0] == fixture and key in self.closed]
        self.closed = sorted(closed, key=lambda key: self.markets[key].closed_ms or 0)
        self.producers, self.fixture_ts = {}, {}
        for market in self.markets.values():
            market.status, market.in_play, market.feed_prices = fe.FeedStatus.SUSPENDED, False, {}
            market.price_ms = market.ts_ms = market.recovery = 0

    # Feeds.

    def hear(self, message: fe.FeedMessage, now: int) -> None:
        source = f"{message.provider}.{message.producer}"
        producer = self.producers.get(source)
        if producer is None:
            producer = self.producers[source] = Producer(message.sequence, now)
        elif not isinstance(message, fe.RecoveryBegin):
            if message.sequence <= producer.sequence:
                return
            silent = now - producer.last_ms > self.limits.producer_silence_max_ms
            if silent or message.sequence > producer.sequence + 1:
                producer.up = producer.recovering = False
        producer.sequence, producer.last_ms = message.sequence, now
        handler = getattr(self, "hear_" + type(message).__name__, None)
        if handler:
            handler(source, producer, message, now)

    def hear_RecoveryBegin(self, _: str, producer: Producer, __: Any, ___: int) -> None:  # noqa: N802
        producer.up, producer.recovering = False, True
        producer.recoveries += 1

    def hear_RecoveryEnd(self, _: str, producer: Producer, __: Any, ___: int) -> None:  # noqa: N802
        if producer.recovering:
            producer.up, producer.recovering = True, False

    def hear_FixtureChange(self, source: str, _: Producer, message: fe.FixtureChange, __: int) -> None:  # noqa: N802
        self.fixtures.setdefault(message.fixture, source)

    def hear_MarketImage(self, source: str, producer: Producer, message: fe.MarketImage, now: int) -> None:  # noqa: N802
        key = message.fixture, message.market
        if message.fixture not in self.fixtures:
            return
        if key not in self.markets:
            self.markets[key] = Market(source, message.winners, message.cut_off_ms, message.group)
        market = self.markets[key]
        if market.source == source and message.ts_ms >= market.ts_ms:
            self.define(
                key, message.winners, message.cut_off_ms, message.group, [each.id for each in message.selections]
            )
            prices = {each.id: each.price for each in message.selections}
            self.take(market, producer, message, (message.status, message.in_play, prices), now)

    def hear_OddsChange(self, source: str, producer: Producer, message: fe.OddsChange, now: int) -> None:  # noqa: N802
        for change in message.markets:
            market = self.markets.get((message.fixture, change.market))
            if market and market.source == source and message.ts_ms >= market.ts_ms:
                prices = {each.selection: each.price for each in change.prices}
                self.take(market, producer, message, (change.status, change.in_play, prices), now)

    def take(
        self,
        market: Market,
        producer: Producer,
        message: fe.FeedMessage,
        offer: tuple[Any, bool, dict[str, int]],
        now: int,
    ) -> None:
        market.status, market.in_play, prices = offer
        market.feed_prices = {name: price for name, price in prices.items() if 10_000 < price <= self.limits.price_max}
        market.price_ms, market.ts_ms, market.recovery = now, message.ts_ms, producer.recoveries

    def hear_Suspend(self, source: str, _: Producer, message: fe.Suspend, __: int) -> None:  # noqa: N802
        for (fixture, _market), market in self.markets.items():
            meant = fixture == message.fixture and market.source == source and message.group in {"", market.group}
            if meant and market.status is fe.FeedStatus.ACTIVE and message.ts_ms >= market.ts_ms:
                market.status, market.ts_ms = fe.FeedStatus.SUSPENDED, message.ts_ms

    def of_feed(self, source: str, fixture: str, markets: Any, then: Callable[[Key, Any], None]) -> None:
        """For each market that is the producer's; what is refused of one does not keep the others."""
        for each in markets:
            key = fixture, getattr(each, "market", each)
            if key in self.markets and self.markets[key].source == source:
                try:
                    then(key, each)
                except No:
                    continue

    def hear_Settlement(self, source: str, _: Producer, message: fe.Settlement, now: int) -> None:  # noqa: N802
        self.of_feed(source, message.fixture, message.markets, lambda key, each: self.settle(key, each.results, now))

    def hear_Cancel(self, source: str, _: Producer, message: fe.Cancel, now: int) -> None:  # noqa: N802
        window = message.from_ms, message.to_ms
        self.of_feed(source, message.fixture, message.markets, lambda key, _: self.cancel(key, window, now))

    def hear_Rollback(self, source: str, _: Producer, message: fe.Rollback, now: int) -> None:  # noqa: N802
        self.of_feed(source, message.fixture, message.markets, lambda key, _: self.roll_back(key, message.what, now))
