"""A seeded life with the whole rulebook: what customers, traders and the desk do, beside a plain account of it.

tests/simulation/model.py decides for itself; this one watches: it knows what was said and answered, what the last word
on each subject is, and from that alone (tests/core/reference.py) what each bet comes to, what runs on its legs, what is
reserved, and what cash everybody has. `python -m tests.simulation.rulebook SEED STEPS` prints hashes, as play.py does.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction
from hashlib import blake2b
from math import ceil, floor, prod
from random import Random
from typing import Any, Literal

import msgspec

from core import invariants, snapshot
from core.engine import Engine
from core.grading.scores import FootballScore
from core.messages import commands as co
from core.messages import events as ev
from core.messages import queries as qu
from core.messages.answers import Answer, CashOutQuote, Done, MaxStake, Pending, Rejected
from core.messages.commands import NamedPrice, PricePolicy
from core.messages.results import EachWay, Result
from tests.core import reference
from tests.core.reference import Path, Reference
from tests.core.world import World
from tests.simulation.play import replayed

HOUR = 3_600_000
CUSTOMERS = {"ann": "EUR", "bob": "GBP", "cid": "EUR", "dora": "SEK"}
RATES = {"EUR": 1_000_000, "GBP": 1_170_000, "SEK": 87_000}
MARGIN = Fraction(3, 100)
ONE, ZERO = Fraction(1), Fraction(0)
SELECTIONS = {
    "result": ("1", "x", "2"),
    "both": ("yes", "no"),
    "line": ("over", "under"),
    "run": tuple("abcdef"),
    "built": ("yes",),
}
PARTS = (("result", "1"), ("line", "over"))
LIMITS: dict[str, int | str] = {
    "stake_max_m": 8_000,
    "payout_max_m": 50_000,
    "legs_max": 8,
    "lines_max": 20,
    "verified_only": True,
    "own_limit_wait_ms": 20_000,
    "cancel_window_ms": 20_000,
    "liability_selection_max_m": 60_000,
    "liability_market_max_m": 80_000,
    "liability_fixture_max_m": 160_000,
    "liability_customer_max_m": 2_000_000,
    "liability_book_max_m": 2_500_000,
    "pending_customer_max": 4,
    "velocity_bets_max": 6,
    "velocity_window_ms": 3_000,
    "archive_after_ms": 2 * HOUR,
    "payment_retention_ms": 5 * HOUR,
    "slice_max": 7,
    "slice_lines_max": 30,
}
"""Tight, so that each is reached, and slices so small that most work takes several."""


@dataclass
class Known:
    """An accepted bet."""

    customer: str
    bet: reference.Bet
    rate: Fraction
    sold_for_m: int = 0


@dataclass
class Waiting:
    """A bet that waits, as it was asked for; once it is offered, as it is offered."""

    customer: str
    command: co.PlaceBet
    stage: str
    until_ms: int
    stake_m: int
    prices: tuple[int, ...] = ()

    @property
    def reserved_m(self) -> int:
        return 0 if self.command.free_bet else self.stake_m


@dataclass
class Account:
    """What the known bets and those that wait do not tell of a customer's cash."""

    cash_m: int = 0
    reserves: dict[str, int] = field(default_factory=dict)


class Life:
    """One book, one seed."""

    def __init__(self, seed: int) -> None:
        self.where = f"seed {seed}"
        self.random = Random(seed)
        self.world = World(**LIMITS)
        self.known = Reference()
        self.prices: dict[Path, dict[str, int]] = {}
        self.bets: dict[str, Known] = {}
        self.waiting: dict[str, Waiting] = {}
        self.accounts = {name: Account() for name in CUSTOMERS}
        self.rates = {currency: Fraction(rate, 1_000_000) for currency, rate in RATES.items()}
        self.own_limits: list[dict[str, Any]] = []
        self.tokens: dict[str, tuple[str, int]] = {}
        self.said: Counter[str] = Counter()
        self.fixtures = 0
        self.read = 0
        self.moves = [(weight, getattr(self, f"_{name}")) for name, weight in WEIGHTS.items()]
        self._open()

    def _open(self) -> None:
        for currency, rate in RATES.items():
            if currency != "EUR":
                self.tell(co.SetRate, currency=currency, rate=rate)
        for name, currency in CUSTOMERS.items():
            self.tell(co.OpenCustomer, customer=name, currency=currency)
            self.tell(co.VerifyCustomer, customer=name, verified=True, reason="passport")
            self._deposit(name, 3_000_000)

    def play(self, steps: int, compare_every: int = 40) -> None:
        """So many moves; AssertionError where the engine disagrees, naming seed and step."""
        weights = [weight for weight, _ in self.moves]
        for number in range(steps):
            self.where = f"{self.where.split(',')[0]}, step {number}"
            if sum(self._open_still(path[0]) for path in self.prices if path[1] == "run") < 4:
                self._fixture()
            (_, move), *_ = self.random.choices(self.moves, weights)
            move()
            self.follow()
            self.world.wait(self.random.choice((0, 1, 50, 400, 900)))
            if self.random.random() < 0.5:
                self.world.tick()
                self.follow()
            if number % compare_every == 0:
                self.compare()
        self.compare()

    def tell(self, kind: type[co.Command], /, **fields: Any) -> Answer | None:
        answer = self.world.command(kind, **fields)
        self.said[answer.reason if isinstance(answer, Rejected) else f"{kind.__name__}: {type(answer).__name__}"] += 1
        return answer

    def told(self, kind: type[co.Command], /, **fields: Any) -> bool:
        return isinstance(self.tell(kind, **fields), Done)

    # What came of it.

    def follow(self) -> None:
        """New events: bets that were taken, at once or after a while, and what else moves cash."""
        for event in self.world.events[self.read :]:
            if isinstance(event, ev.BetAccepted):
                self._accepted(event)
            elif isinstance(event, ev.BetRejected) and event.id in self.waiting:
                self._ended(self.waiting.pop(event.id), event)
            elif isinstance(event, ev.BonusEnded) and event.how == "paid":
                self.accounts[event.customer].cash_m += event.amount_m
            elif isinstance(event, ev.MarketArchived):
                # Now: what is said later of its other markets does not concern a bet that is forgotten.
                for name in [name for name in self.bets if name not in self.world.book.bets]:
                    self._gone(self.bets.pop(name))
            elif isinstance(event, ev.ReserveVoided):
                self.accounts[event.customer].reserves.pop(event.reserve)
        self.read = len(self.world.events)

    def _accepted(self, event: ev.BetAccepted) -> None:
        """At the price that was offered to him, or else at the live one; for the stake that was asked for, or less."""
        legs = []
        waited = self.waiting.pop(event.id, None)
        prices = waited.prices if waited is not None else ()
        for index, leg in enumerate(event.legs):
            path = leg.fixture, leg.market
            assert leg.price == (prices[index] if prices else self.prices[path][leg.selection]), self.where
            place = reference.usual_terms(self._runners(path), handicap=False) if event.each_way else None
            if waited is None:
                assert leg.place == place, self.where
            legs.append(reference.Leg(path, leg.selection, leg.price, leg.banker, leg.starting_price, leg.place))
        if waited is not None:
            less = waited.command.partial and waited.stage != "offered" and event.stake_m < waited.stake_m
            assert less or event.stake_m == waited.stake_m, self.where
            assert event.reserved_m == waited.reserved_m, self.where
        kind = event.kind if event.kind in reference.NAMED else ""
        folds = () if kind else event.folds
        bet = reference.Bet(legs, event.stake_m, event.ts_ms, kind, folds, event.each_way, bool(event.free_bet))
        bet.payout_max_m = event.payout_max_m
        assert event.lines == reference.number_of_lines(bet), self.where
        rate = Fraction(event.rate, 1_000_000)
        assert rate == self.rates[CUSTOMERS[event.customer]] or waited is not None, self.where
        self.bets[event.id] = Known(event.customer, bet, rate)

    def _ended(self, waited: Waiting, event: ev.BetRejected) -> None:
        """Why a bet that waited was refused fits what it waited for; its stake is free again."""
        assert event.reserved_m == waited.reserved_m, self.where
        reason = self.world.book.answers[event.id].answer
        assert isinstance(reason, Rejected)
        self.said[reason.reason] += 1
        if reason.reason.endswith("_EXPIRED"):
            assert reason.reason.removesuffix("_EXPIRED").lower() in {"referral", "offer"}
        if reason.reason == "REFERRAL_EXPIRED":
            assert (waited.stage, event.ts_ms >= waited.until_ms) == ("referred", True), self.where

    def _runners(self, path: Path) -> int:
        out = self.known.markets[path].withdrawn
        return sum(price > 0 and name not in out for name, price in self.prices[path].items())

    # The comparison.

    def compare(self) -> None:
        """Bets, what runs on them, what waits, cash and reserves, to the minor unit; nothing being left to do."""
        while self.world.tick():
            self.follow()
        book = self.world.book
        invariants.check(book)
        assert set(book.bets) == set(self.bets), self.where
        for name, known in self.bets.items():
            bet = book.bets[name]
            found = ev.BetStatus(bet.status).name.lower(), bet.paid_m, bet.capped_m
            assert found == self.known.outcome(known.bet), f"{self.where}: {name}"
            assert (bet.cashed_out_stake_m, bet.cashed_out_m) == (known.bet.sold_m, known.sold_for_m), self.where
            running = [(leg.running_m, leg.place_running_m) for leg in bet.legs]
            assert running == self.running(known), f"{self.where}: {name}"
        waiting = {pending.id: (pending.stage, pending.reserved_m) for pending in book.pending.values()}
        stages = {stage.name.lower(): stage.value for stage in ev.Stage}
        assert waiting == {name: (stages[each.stage], each.reserved_m) for name, each in self.waiting.items()}
        for name, customer in book.customers.items():
            waits_m = sum(each.reserved_m for each in self.waiting.values() if each.customer == name)
            held_m = sum(self.accounts[name].reserves.values())
            assert (customer.cash_m, customer.reserved_m) == (self.cash(name), waits_m + held_m), self.where

    def cash(self, name: str) -> int:
        account = self.accounts[name]
        cash_m = account.cash_m - sum(account.reserves.values())
        cash_m -= sum(each.reserved_m for each in self.waiting.values() if each.customer == name)
        return cash_m + sum(self._balance(known) for known in self.bets.values() if known.customer == name)

    def _balance(self, known: Known) -> int:
        """What a bet has brought him so far."""
        paid_m = self.known.outcome(known.bet)[1]
        return paid_m + known.sold_for_m - (0 if known.bet.free else known.bet.stake_m)

    def _gone(self, known: Known) -> None:
        """A bet was forgotten; it was decided."""
        assert self.known.outcome(known.bet)[0] != "open", self.where
        self.accounts[known.customer].cash_m += self._balance(known)

    def running(self, known: Known) -> list[tuple[int, int]]:
        """RULEBOOK 4: of each open line its stake times what its decided legs made of it, at each leg still open."""
        bet = known.bet
        if self.known.outcome(bet)[0] != "open":
            return [(0, 0)] * len(bet.legs)
        unit = Fraction(ceil((bet.stake_m - bet.sold_m) * known.rate), reference.number_of_lines(bet))
        parts = []
        for place in (False, True)[: 1 + bet.each_way]:
            made = {id(leg): self.known.multiplier(bet, leg, place=place) for leg in bet.legs}
            sums = []
            for leg in bet.legs:
                lines = [line for line in reference.lines(bet) if any(each is leg for each in line)]
                others = [[made[id(each)] for each in line if each is not leg] for line in lines]
                total = sum(
                    (prod((each if each is not None else ONE for each in line), start=ONE) for line in others), ZERO
                )
                sums.append(floor(unit * total) if made[id(leg)] is None else 0)
            parts.append(sums)
        return list(zip(parts[0], parts[1] if bet.each_way else [0] * len(bet.legs), strict=True))

    # Customers.

    def _slip(self) -> dict[str, Any]:
        random = self.random
        # Mostly such as are still open; those that are being decided, or were, are refused.
        fixtures = [path[0] for path in self.prices if path[1] == "run" and self._open_still(path[0])]
        if not fixtures or random.random() < 0.05:
            fixtures = [f"f{self.fixtures}"]
        chosen = random.sample(fixtures, min(len(fixtures), random.choice((1, 1, 1, 1, 2, 2, 3, 4))))
        each_way = random.random() < 0.2
        system = len(chosen) > 1 and random.random() < 0.5
        legs = []
        for fixture in chosen:
            markets = ["run"] if each_way else [market for market in SELECTIONS if (fixture, market) in self.prices]
            banker = system and fixture != chosen[0] and random.random() < 0.1
            for market in random.sample(markets, min(len(markets), 2 if system and random.random() < 0.2 else 1)):
                selection = random.choice(SELECTIONS[market][:4])
                price = self.prices.get((fixture, market), {}).get(selection, 0) or 20_000
                starting = market == "run" and random.random() < 0.4
                legs.append(co.Leg(fixture, market, selection, price, banker=banker, starting_price=starting))
        free = len({leg.fixture for leg in legs if not leg.banker})
        kinds = [kind for kind, folds in reference.NAMED.items() if int(folds[-1]) == free] if system else []
        kind = random.choice([*kinds, ""])
        folds = tuple(random.sample(range(1, free + 1), random.randint(1, free))) if system and not kind else ()
        return {"legs": tuple(legs), "kind": kind, "folds": folds, "each_way": each_way}

    def _open_still(self, fixture: str) -> bool:
        """Whether nothing was said yet of most of its markets."""
        markets = self.known.markets[fixture, "run"], self.known.markets[fixture, "result"]
        return fixture in self.world.book.fixtures and not any(each.results or each.cancels for each in markets)

    def _bet(self) -> None:
        random, slip = self.random, self._slip()
        customer = random.choice(list(CUSTOMERS))
        fields: dict[str, Any] = {
            **slip,
            "customer": customer,
            "stake_m": random.choice((100, 500, 1_001, 2_345, 9_000, 30_000)),
            "policy": PricePolicy.ANY,
            "partial": random.random() < 0.3,
            "refer": random.random() < 0.5,
            "unit_stake": random.random() < 0.1,
        }
        mine = [token for token, (owner, _) in self.tokens.items() if owner == customer]
        if mine and random.random() < 0.3:
            fields["free_bet"] = random.choice(mine)
            fields["stake_m"], fields["unit_stake"] = self.tokens[fields["free_bet"]][1], False
        if random.random() < 0.1:
            asked = self.world.send(qu.GetMaxStake(customer, *slip.values()))
            if isinstance(asked, MaxStake) and asked.stake_m:
                fields["stake_m"], fields["unit_stake"] = asked.stake_m, False
        answer = self.tell(co.PlaceBet, **fields)
        if isinstance(answer, Pending):
            self._waits(answer, customer)
        if (
            isinstance(answer, Rejected)
            and answer.stake_m
            and not fields.get("free_bet")
            and answer.reason != "TOO_FAST"
        ):
            again = {**fields, "stake_m": answer.stake_m + 1, "unit_stake": False, "partial": False, "refer": False}
            assert isinstance(self.tell(co.PlaceBet, **again), Rejected), self.where

    def _waits(self, answer: Pending, customer: str) -> None:
        """It waits, and its stake with it: all that was asked for, or what is taken of it in part."""
        command = self.world.book.pending[answer.id].command
        legs = [reference.Leg((leg.fixture, leg.market), leg.selection, 0, leg.banker) for leg in command.legs]
        count = reference.number_of_lines(reference.Bet(legs, 0, 0, command.kind, command.folds, command.each_way))
        stake_m = command.stake_m * (count if command.unit_stake and (command.folds or count > 1) else 1)
        if answer.stage == "delayed" and command.partial and not command.free_bet:
            less_m = self.world.book.pending[answer.id].reserved_m
            assert less_m <= stake_m, self.where
            stake_m = less_m
        self.waiting[answer.id] = Waiting(customer, command, answer.stage, answer.until_ms, stake_m)

    def _judge(self) -> None:
        referred = [name for name, each in self.waiting.items() if each.stage == "referred"]
        if not referred:
            return
        name = self.random.choice(referred)
        waited = self.waiting[name]
        action = self.random.choice(("accept", "offer", "offer", "offer", "decline"))
        offer: dict[str, Any] = {}
        if action == "offer":
            prices = tuple(self.random.choice((11_000, 20_000, 45_000)) for _ in waited.command.legs)
            stake_m = self.random.choice((0, max(1, waited.stake_m // 2)))
            offer = {"stake_m": stake_m, "prices": self.random.choice(((), prices))}
        if isinstance(self.tell(co.AnswerReferral, bet=name, action=action, **offer), Done) and action == "offer":
            pending = self.world.book.pending.get(name)
            if pending is not None:
                live = tuple(self.prices[leg.fixture, leg.market][leg.selection] for leg in waited.command.legs)
                waited.stage, waited.until_ms = "offered", pending.until_ms
                waited.stake_m, waited.prices = offer["stake_m"] or waited.stake_m, offer["prices"] or live

    def _reply(self) -> None:
        if self.waiting:
            name = self.random.choice(list(self.waiting))
            kind = self.random.choice((co.TakeOffer, co.TakeOffer, co.DeclineOffer))
            self.tell(kind, customer=self.waiting[name].customer, bet=name)

    def _sell(self) -> None:
        while self.world.book.scoring:
            # What a score makes of its markets is known here at once, there as they are graded.
            self.world.tick()
            self.follow()
        if not self.bets:
            return
        name = self.random.choice(list(self.bets))
        known, share_bp = self.bets[name], self.random.choice((10_000, 5_000, 3_333))
        quote = self.world.send(qu.GetCashOut(known.customer, name, share_bp))
        if not isinstance(quote, CashOutQuote):
            self.said[getattr(quote, "reason", "")] += 1
            return
        bet = known.bet
        assert quote.stake_m == (bet.stake_m - bet.sold_m) * share_bp // 10_000, self.where
        expected_m = self.known.cash_out(bet, self._live, quote.stake_m, MARGIN)
        assert quote.offer_m in {expected_m, expected_m - 1}, self.where
        self.world.wait(self.random.choice((0, 0, 0, 6_000)))
        if self.told(co.CashOut, customer=known.customer, bet=name, offer_m=quote.offer_m):
            bet.sold_m += quote.stake_m
            known.sold_for_m += quote.offer_m

    def _live(self, leg: reference.Leg) -> reference.Live:
        prices, out = self.prices[leg.path], self.known.markets[leg.path].withdrawn
        return prices[leg.selection], [price for name, price in prices.items() if price and name not in out]

    def _take_back(self) -> None:
        if self.bets:
            name = self.random.choice(list(self.bets)[-20:])
            known = self.bets[name]
            leg = self.random.choice((-1, *range(len(known.bet.legs))))
            if self.random.random() < 0.3:
                known.bet.voided |= self.told(co.CancelBet, customer=known.customer, bet=name)
            elif self.told(co.VoidBet, bet=name, leg=leg, reason="palpable error"):
                if leg < 0:
                    known.bet.voided = True
                else:
                    known.bet.legs[leg].voided = True

    def _deposit(self, name: str, amount_m: int) -> None:
        if self.told(co.Deposit, customer=name, amount_m=amount_m, provider="bank"):
            self.accounts[name].cash_m += amount_m

    def _payment(self) -> None:
        random, name = self.random, self.random.choice(list(CUSTOMERS))
        amount_m, account = random.choice((500, 20_000, 400_000)), self.accounts[name]
        what = random.choice(("in", "in", "out", "reserve", "post"))
        if what == "in":
            self._deposit(name, amount_m)
        elif what == "out":
            if self.told(co.Withdraw, customer=name, amount_m=amount_m, provider="bank"):
                account.cash_m -= amount_m
        elif what == "reserve":
            hold = {"hold_until_ms": self.world.now + 60_000}
            answer = self.tell(co.Reserve, customer=name, amount_m=amount_m, provider="bank", **hold)
            if isinstance(answer, Done):
                account.reserves[answer.id] = amount_m
        elif account.reserves:
            reserve = random.choice(list(account.reserves))
            if self.told(co.PostReserve, customer=name, reserve=reserve, amount_m=100):
                account.cash_m -= 100
                del account.reserves[reserve]

    def _protect(self) -> None:
        random, name = self.random, self.random.choice(list(CUSTOMERS))
        own = {"kind": random.choice(("deposit", "loss", "stake")), "period": random.choice(("day", "week", "month"))}
        # Whoever is suspended is let in again before long.
        customers = self.world.book.customers.values()
        out = next((each.id for each in customers if each.suspended or not each.verified), None)
        if out is not None and random.random() < 0.8:
            self.tell(co.SetCustomerStatus, customer=out, suspended=False, reason="")
            self.tell(co.VerifyCustomer, customer=out, verified=True, reason="")
            return
        what = random.choice(("set", "set", "set", "confirm", "confirm", "exclude", "suspend", "verify"))
        if what == "set":
            limit_m = random.choice((0, 60_000, 300_000, 2_000_000))
            if self.told(co.SetOwnLimit, customer=name, limit_m=limit_m, **own):
                self.own_limits.append({"customer": name, **own})
        elif what == "confirm":
            if self.own_limits:
                self.tell(co.ConfirmOwnLimit, **random.choice(self.own_limits))
        elif what == "exclude":
            kind = random.choice(("time_out", "time_out", "self_exclusion"))
            self.tell(co.ExcludeCustomer, customer=name, kind=kind, until_ms=self.world.now + 15_000)
        elif what == "suspend":
            suspended = not self.world.of(name).suspended and random.random() < 0.2
            self.tell(co.SetCustomerStatus, customer=name, suspended=suspended, reason="")
        else:
            self.tell(co.VerifyCustomer, customer=name, verified=random.random() < 0.5, reason="")

    def _grant(self) -> None:
        random, name = self.random, self.random.choice(list(CUSTOMERS))
        own = f"g{random.randrange(60)}"
        ends = {"ends_ms": self.world.now + random.choice((0, 30_000, HOUR)), "price_min": random.choice((0, 25_000))}
        what = random.choice(("free", "free", "free", "match", "match", "cancel"))
        if what == "free":
            stake_m = random.choice((500, 2_000))
            if self.told(co.GrantFreeBet, customer=name, token=own, stake_m=stake_m, **ends):
                self.tokens[own] = name, stake_m
        elif what == "match":
            match = {"deposit_m": 5_000, "bonus_m": 700, "times": 2}
            self.tell(co.GrantBonus, customer=name, bonus=f"m{own}", **match, **ends)
        else:
            self.tell(co.CancelBonus, customer=name, bonus=random.choice((own, f"m{own}")), reason="")

    def _odd(self) -> None:
        """What nobody should ask for, and too much at once."""
        name, slip = self.random.choice(list(CUSTOMERS)), self._slip()
        leg = msgspec.structs.replace(slip["legs"][0], banker=False, starting_price=False)
        single: dict[str, Any] = {"customer": name, "stake_m": 100, "legs": (leg,), "policy": PricePolicy.ANY}
        started = (msgspec.structs.replace(leg, market="result", selection="x", starting_price=True),)
        until_ms = self.world.now + 100
        referred = next((bet for bet, each in self.waiting.items() if each.stage == "referred"), "none")
        what = self.random.randrange(8)
        if what == 0:
            self.tell(co.PlaceBet, **single, kind=self.random.choice(("trixie", "flag")))
        elif what == 1:
            self.tell(co.PlaceBet, **single, lines=2)
        elif what == 2:
            self.tell(co.PlaceBet, **{**single, "legs": started})
        elif what == 7:
            self.tell(
                co.PlaceBet,
                **{**single, "legs": (msgspec.structs.replace(leg, market="both", selection="no"),)},
                each_way=True,
            )
        elif what == 3:
            self.tell(co.OpenCustomer, customer="eve", currency="XTS")
        elif what == 4:
            self.tell(co.AnswerReferral, bet=referred, action="accept", stake_m=5)
        elif what == 5:
            self.tell(co.ExcludeCustomer, customer=name, kind="time_out", until_ms=until_ms)
            self.tell(co.ExcludeCustomer, customer=name, kind="time_out", until_ms=until_ms - 1)
        else:
            for _ in range(8):
                answer = self.tell(co.PlaceBet, **single)
                if isinstance(answer, Pending):
                    self._waits(answer, name)

    # The desk.

    def _fixture(self) -> None:
        self.fixtures += 1
        fixture, start_ms = f"f{self.fixtures}", self.world.now + self.random.choice((0, HOUR, 30 * HOUR))
        sport, competition = ("football", "cup") if self.fixtures % 3 else ("mixed", "fair")
        self.world.fixture(fixture, sport=sport, competition=competition, start_ms=start_ms)
        types = {
            "result": "match_result",
            "both": "both_teams_to_score",
            "line": "line",
            "run": "winner",
            "built": "built",
        }
        for market, selections in SELECTIONS.items():
            more: dict[str, Any] = {"starting_price": market == "run"}
            if market == "run":
                more["each_way"] = EachWay()
            elif market == "built":
                more["parts"] = PARTS
            prices = {name: self.random.choice((11_000, 16_000, 25_000, 31_000, 80_000)) for name in selections}
            delay_ms = 1_500 if market == "line" and self.fixtures % 2 else 0
            self.world.defined(f"{fixture}/{market}", prices, market_type=types[market], delay_ms=delay_ms, **more)
            self.prices[fixture, market] = prices
            parts = tuple(((fixture, part), selection) for part, selection in PARTS) if market == "built" else ()
            self.known.markets[fixture, market] = reference.Market(parts=parts)

    def _path(self) -> Path:
        live = [path for path in self.prices if path[0] in self.world.book.fixtures]
        return self.random.choice(live)

    def _desk(self) -> None:
        random, path = self.random, self._path()
        on = {"fixture": path[0], "market": path[1]}
        selection = random.choice(SELECTIONS[path[1]])
        what = random.choice(("price", "price", "price", "price", "limit", "factor", "rate", "status"))
        if what == "price":
            price = random.choice((0, 11_000, 17_000, 25_000, 34_000, 90_000))
            if self.told(co.SetPrice, selection=selection, price=price, **on):
                self.prices[path][selection] = price
        elif what == "limit":
            football = {"sport": "football"}
            node = random.choice(
                (
                    {},
                    football,
                    {**football, "competition": "cup"},
                    {**football, "market_type": "match_result"},
                    {"fixture": path[0]},
                    on,
                    {**on, "selection": selection},
                )
            )
            tight = "fixture" in node or "market_type" in node
            liability_m = random.choice((0, 40_000 if tight else 150_000))
            limits = {"stake_max_m": random.choice((0, 3_000)), "liability_max_m": liability_m}
            ramp = random.choice(((), (co.Ramp(2 * HOUR, 5_000),)))
            self.tell(co.SetLimit, **node, **limits, ramp=ramp)
        elif what == "factor":
            customer, factor_bp = random.choice(list(CUSTOMERS)), random.choice((5_000, 10_000, 20_000))
            self.tell(co.SetCustomerFactor, customer=customer, factor_bp=factor_bp, sport=random.choice(("", "mixed")))
        elif what == "rate":
            currency = random.choice(("GBP", "SEK"))
            rate = RATES[currency] + random.randrange(-5_000, 5_000)
            self.tell(co.SetRate, currency=currency, rate=rate)
            self.rates[currency] = Fraction(rate, 1_000_000)
        else:
            self.tell(random.choice((co.SuspendMarket, co.OpenMarket, co.OpenMarket)), **on)

    def _news(self) -> None:
        path = self._path()
        what = self.random.choice(
            ("results", "results", "score", "score", "cancel", "back", "withdraw", "start", "start")
        )
        if what in {"withdraw", "start"}:
            path = path[0], "run"
        on, known = {"fixture": path[0], "market": path[1]}, self.known.markets[path]
        if what == "score":
            self._score(path[0])
        elif what == "results":
            results = self._results(path)
            if self.told(co.SettleMarket, results=results, **on):
                known.results = {result.selection: result for result in results}
        elif what == "cancel":
            now = self.world.now
            from_ms, to_ms = self.random.choice(((0, 0), (now - 20_000, now - 5_000), (now - 5_000, now + 500)))
            if self.told(co.CancelMarket, reason="", from_ms=from_ms, to_ms=to_ms, **on):
                known.cancels.append((from_ms, to_ms))
        elif what == "back":
            of: Literal["results", "cancel", "withdrawals"] = self.random.choice(("results", "cancel", "withdrawals"))
            if self.told(co.RollBackMarket, what=of, reason="", **on):
                cleared = {"results": "results", "cancel": "cancels", "withdrawals": "withdrawn"}[of]
                getattr(known, cleared).clear()
        elif what == "withdraw":
            name, price = self.random.choice("cdef"), self.random.choice((0, 20_000, 60_000))
            at_ms = self.world.now - self.random.choice((0, 10_000))
            if self.told(co.WithdrawSelection, selection=name, price=price, at_ms=at_ms, **on):
                known.withdrawn[name] = at_ms, price
        else:
            prices = {name: self.random.choice((15_000, 30_000, 400_000)) for name in SELECTIONS["run"]}
            if self.told(co.SetStartingPrices, prices=tuple(NamedPrice(*each) for each in prices.items()), **on):
                known.starting_prices.update(prices)

    def _results(self, path: Path) -> tuple[Result, ...]:
        random, names = self.random, SELECTIONS[path[1]]
        if path[1] == "run":
            places = {name: random.randint(1, 6) for name in names}
            first = [name for name in names if places[name] == min(places.values())]
            return tuple(
                Result(name, 1, 0, 1, len(first), 1) if name in first else Result(name, 0, 0, 1, 1, places[name])
                for name in names
            )
        if path[1] == "line":
            factors: tuple[Literal[0, 5_000, 10_000], ...] = (0, 0, 5_000, 10_000)
            return tuple(Result(name, random.choice((0, 1)), random.choice(factors)) for name in names)
        winner = random.choice(names)
        return tuple(Result(name, 1 if name == winner else 0) for name in names)

    def _score(self, fixture: str) -> None:
        """What it makes of a market is known once it is graded, and graded before anything newer is said."""
        home, away = self.random.randint(0, 2), self.random.randint(0, 2)
        if not self.told(co.SettleFixture, fixture=fixture, score=FootballScore((home, away))):
            return
        ends = {
            "result": "1" if home > away else "2" if away > home else "x",
            "both": "yes" if home and away else "no",
        }
        for market, winner in ends.items():
            if self.world.book.fixtures[fixture].markets.get(market) is not None:
                results = {name: Result(name, 1 if name == winner else 0) for name in SELECTIONS[market]}
                self.known.markets[fixture, market].results = results

    # Time, and the end of an engine.

    def _jump(self) -> None:
        self.world.wait(self.random.choice((2_000, 10_000, 31_000, 61_000, HOUR, 3 * HOUR, 25 * HOUR)))

    def _crash(self) -> None:
        book = self.world.book
        restored = snapshot.restore(snapshot.encode(book))
        assert snapshot.state_hash(restored) == snapshot.state_hash(book), self.where
        self.world.engine = Engine(self.world.engine.limits, restored)
        self.world.events.append(self.world.engine.start("engine", "0", self.world.now))


WEIGHTS = {
    "bet": 60,
    "judge": 12,
    "reply": 10,
    "sell": 12,
    "take_back": 4,
    "payment": 6,
    "protect": 4,
    "grant": 8,
    "odd": 4,
    "desk": 14,
    "news": 12,
    "fixture": 2,
    "jump": 3,
    "crash": 1,
}


def main() -> None:
    life = Life(int(sys.argv[1]))
    life.play(int(sys.argv[2]))
    events = life.world.events
    journal = blake2b(msgspec.msgpack.encode(events), digest_size=16).hexdigest()
    print(journal, snapshot.state_hash(life.world.book), replayed(events, len(events) // 2))  # noqa: T201


if __name__ == "__main__":
    main()
