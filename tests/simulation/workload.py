"""A seeded life of a small book: what customers, desk and feeds send, with losses, repeats, detours and jumps of time.

It looks at the plain model to know what is going on (prices, bets, who is silent), never at the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any, Literal

import msgspec

from core.limits import Limits
from core.messages import commands as co
from core.messages import feed as fe
from core.messages.commands import Leg, NamedSelection, PlaceBet, PricePolicy
from core.messages.results import Result
from tests.simulation.model import Key, Model

HOUR = 3_600_000
LIMITS = Limits(
    stake_max_m=50_000,
    payout_max_m=150_000,
    legs_max=4,
    cancel_window_ms=5_000,
    liability_selection_max_m=130_000,
    liability_market_max_m=160_000,
    liability_fixture_max_m=200_000,
    liability_customer_max_m=350_000,
    liability_book_max_m=450_000,
    price_age_max_ms=60_000,
    price_age_in_play_max_ms=8_000,
    archive_after_ms=2 * HOUR,
    payment_retention_ms=5 * HOUR,
    slice_max=7,
)
"""Tight, so that each is reached, and slices so small that most settlements take several."""
Step = tuple[Any | Literal["tick", "restart"], int]
SELECTIONS = {"winner": ("home", "draw", "away"), "totals": ("over", "under"), "places": ("a", "b", "c", "d")}


class Workload:
    """Steps without end, the same for the same seed."""

    def __init__(self, seed: int, model: Model) -> None:
        self.random = Random(seed)
        self.model = model
        self.now = 1_700_000_000_000
        self.count = 0
        self.fixtures = 0
        self.sequences = {"live": 0, "pre": 0}
        self.sent: list[Any] = []
        """Commands, some of which are sent again."""
        self.actions: list[tuple[int, Callable[[], Iterator[Any]]]] = [
            (220, self.bet),
            (12, self.again),
            (20, self.payment),
            (6, self.take_back),
            (12, self.desk),
            (110, self.prices),
            (15, self.hearts),
            (5, self.suspension),
            (9, self.ending),
            (4, self.loss),
            (6, self.fixture),
        ]

    def steps(self) -> Iterator[Step]:
        for name in ("ann", "bob", "cid", "dora", "eve"):
            yield self.command(co.OpenCustomer, customer=name, currency="EUR"), self.now
            yield self.command(co.Deposit, customer=name, amount_m=200_000, provider="bank"), self.now
        weights = [weight for weight, _ in self.actions]
        while True:
            for source, name in (("acme.live", "live"), ("acme.pre", "pre")):
                producer = self.model.producers.get(source)
                if (producer is None or not producer.up) and self.random.random() < 0.2:
                    yield from ((message, self.now) for message in self.recovery(name))
            if len(self.model.fixtures) < 4:
                yield from ((message, self.now) for message in self.fixture())
            (_, action), *_ = self.random.choices(self.actions, weights)
            yield from ((message, self.now) for message in action())
            yield from self.time()

    def time(self) -> Iterator[Step]:
        """Mostly moments; sometimes a silence, a retention or an archive goes by; seldom an engine dies."""
        self.now += self.random.choice((0, 0, 1, 20, 300, 1_500))
        chance = self.random.random()
        if chance < 0.004:
            self.now += self.random.choice((21_000, 70_000, 700_000, 3 * HOUR))
        if chance > 0.998:
            yield "restart", self.now
        if self.random.random() < 0.4:
            yield "tick", self.now

    # Customers.

    def command(self, kind: type[co.Command], **fields: Any) -> Any:
        self.count += 1
        head: dict[str, Any] = {"id": f"c{self.count}", "expires_ms": self.now + 30_000}
        if issubclass(kind, co.DeskCommand):
            head["author"] = "trader"
        command = kind(**{**head, **fields})
        self.sent.append(command)
        return command

    def customer(self) -> str:
        return "nobody" if self.random.random() < 0.01 else self.random.choice(("ann", "bob", "cid", "dora", "eve"))

    def key(self) -> Key:
        return self.random.choice(list(self.model.markets) or [("gone", "gone")])

    def leg(self, others: list[Leg]) -> Leg:
        """Mostly a live selection at its price; sometimes an old price, a better one, or nothing that is known."""
        taken = {other.fixture for other in others}
        markets = self.model.markets
        fit = [key for key in markets if key[0] not in taken and not self.model.obstacle(key, self.now)]
        fixture, market = self.random.choice(fit) if fit and self.random.random() < 0.9 else self.key()
        known = markets.get((fixture, market))
        priced = [name for name in known.selections if known.price(name)] if known else []
        chance = self.random.random()
        selection = self.random.choice(known.selections if known and (chance < 0.05 or not priced) else priced or ["a"])
        price = (known.price(selection) if known else 0) or 20_000
        chance = self.random.random()
        if chance < 0.1:
            price += self.random.choice((-500, -100, 100, 500, 2_000))
        elif chance < 0.11:
            fixture, market, selection = self.random.choice(
                (("gone", market, selection), (fixture, "gone", selection), (fixture, market, "gone"))
            )
        return Leg(fixture, market, selection, max(10_001, price))

    def bet(self) -> Iterator[Any]:
        legs: list[Leg] = []
        for _ in range(
            self.random.choice((1, 1, 1, 1, 1, 1, 2, 2, 2, 3, 3, 4, 1 if self.random.random() < 0.8 else 5))
        ):
            legs.append(self.leg(legs))
        yield self.command(
            PlaceBet,
            customer=self.customer(),
            stake_m=self.random.choice((10, 11, 500, 777, 1_000, 1_001, 2_345, 5_001, 10_000, 30_000, 60_000))
            if self.random.random() < 0.98
            else 5,
            legs=tuple(legs),
            policy=self.random.choice(list(PricePolicy)),
            tolerance_bp=self.random.choice((0, 100, 500)),
            currency=self.random.choice(("",) * 90 + ("EUR",) * 9 + ("GBP",)),
            expires_ms=self.now + self.random.choice((30_000,) * 160 + (-1, 0, 600_000, 600_001)),
        )

    def again(self) -> Iterator[Any]:
        """A retry, with its deadline or a new one; sometimes with another content."""
        command = self.random.choice(self.sent[-300:])
        if self.random.random() < 0.7:
            command = msgspec.structs.replace(command, expires_ms=self.now + 30_000)
        if self.random.random() < 0.3 and isinstance(command, PlaceBet):
            command = msgspec.structs.replace(command, stake_m=command.stake_m + 1)
        yield command

    def payment(self) -> Iterator[Any]:
        customer, provider = self.customer(), self.random.choice(("bank", "card"))
        amount_m = self.random.choice((100, 5_000, 40_000, 300_000))
        reserve = self.random.choice(list(self.model.reserves) or ["none"])
        owner = self.model.reserves.get(reserve, (customer,))[0]
        until_ms = self.now + self.random.choice((0, 2_000, 60_000, HOUR))
        yield self.random.choice(
            (
                lambda: self.command(co.Deposit, customer=customer, amount_m=amount_m, provider=provider),
                lambda: self.command(co.Withdraw, customer=customer, amount_m=amount_m, provider=provider),
                lambda: self.command(
                    co.Reserve, customer=customer, amount_m=amount_m, provider=provider, hold_until_ms=until_ms
                ),
                lambda: self.command(co.PostReserve, customer=owner, reserve=reserve, amount_m=amount_m),
                lambda: self.command(co.VoidReserve, customer=owner, reserve=reserve),
                lambda: self.command(co.OpenCustomer, customer=customer, currency="EUR"),
            )
        )()

    def take_back(self) -> Iterator[Any]:
        name = self.random.choice([*list(self.model.bets)[-20:], "none"])
        bet = self.model.bets.get(name)
        if self.random.random() < 0.7:
            yield self.command(co.CancelBet, customer=bet.customer if bet else "ann", bet=name)
        else:
            yield self.command(co.VoidBet, bet=name, reason="palpable error")

    # The desk.

    def desk(self) -> Iterator[Any]:
        fixture, market = self.key()
        known = self.model.markets.get((fixture, market))
        on = {"fixture": fixture, "market": market}
        selection = self.random.choice(known.selections) if known else "home"
        price = self.random.choice((0, 15_000, 25_000, 60_000))
        customer = next((name for name, suspended in self.model.customers.items() if suspended), self.customer())
        suspended = not self.model.customers.get(customer)
        yield self.random.choice(
            (
                lambda: self.command(co.OpenMarket, **on),
                lambda: self.command(co.OpenMarket, **on),
                lambda: self.command(co.SuspendMarket, **on),
                lambda: self.command(co.SetPrice, selection=selection, price=price, **on),
                lambda: self.command(co.SetCustomerStatus, customer=customer, suspended=suspended, reason="by chance"),
                lambda: self.command(
                    co.DefineMarket,
                    market_type="places",
                    name="Places",
                    winners=self.random.choice((1, 2, 3)),
                    selections=tuple(NamedSelection(name, name) for name in SELECTIONS["places"]),
                    **on,
                ),
            )
        )()

    # Feeds.

    def feed(self, producer: str, kind: type[fe.FeedMessage], **fields: Any) -> Any:
        self.sequences[producer] += 1
        head = {"provider": "acme", "producer": producer, "sequence": self.sequences[producer], "ts_ms": self.now}
        return kind(**{**head, **fields})

    def fixture(self) -> Iterator[Any]:
        """A new fixture of a feed, with a market by hand beside the feed's; at most a dozen at a time."""
        if len(self.model.fixtures) >= 12:
            return
        self.fixtures += 1
        name, producer = f"f{self.fixtures}", self.random.choice(("live", "pre"))
        yield self.announce(producer, name)
        yield self.image(producer, (name, "winner"))
        yield self.image(producer, (name, "totals"))
        selections = tuple(NamedSelection(each, each) for each in SELECTIONS["places"])
        on = {"fixture": name, "market": "places"}
        yield self.command(co.DefineMarket, market_type="places", name="Places", winners=2, selections=selections, **on)
        for each in SELECTIONS["places"][: self.random.choice((3, 4))]:
            yield self.command(co.SetPrice, selection=each, price=self.random.randrange(12_000, 60_000), **on)
        yield self.command(co.OpenMarket, **on)

    def announce(self, producer: str, fixture: str) -> Any:
        fields = {"name": fixture, "sport": "football", "competition": "cup", "start_ms": self.now + HOUR}
        return self.feed(producer, fe.FixtureChange, fixture=fixture, **fields)

    def offers(self, key: Key) -> tuple[tuple[str, int], ...]:
        names = SELECTIONS.get(key[1], ("home",))
        return tuple((name, self.random.choice((0, *[self.random.randrange(11_000, 80_000)] * 9))) for name in names)

    def status(self) -> dict[str, Any]:
        status = self.random.choice([fe.FeedStatus.ACTIVE] * 12 + [fe.FeedStatus.SUSPENDED, fe.FeedStatus.CLOSED])
        return {"status": status, "in_play": self.random.random() < 0.3}

    def image(self, producer: str, key: Key) -> Any:
        known = self.model.markets.get(key)
        selections = tuple(fe.PricedSelection(name, name, price) for name, price in self.offers(key))
        return self.feed(
            producer,
            fe.MarketImage,
            fixture=key[0],
            market=key[1],
            market_type=key[1],
            name=key[1],
            selections=selections,
            group=key[1],
            cut_off_ms=known.cut_off_ms if known else self.random.choice((0, 0, self.now + 600_000)),
            **self.status(),
        )

    def of(self, producer: str) -> list[Key]:
        return [key for key, market in self.model.markets.items() if market.source == f"acme.{producer}"]

    def prices(self) -> Iterator[Any]:
        producer = self.random.choice(("live", "pre"))
        keys = self.of(producer)
        if not keys:
            return
        fixture, _ = self.random.choice(keys)
        changes = tuple(
            fe.MarketPrices(
                key[1], prices=tuple(fe.SelectionPrice(*offer) for offer in self.offers(key)), **self.status()
            )
            for key in keys
            if key[0] == fixture
        )
        ts_ms = self.now - self.random.choice((0, 0, 0, 0, 2_000))
        yield self.feed(producer, fe.OddsChange, fixture=fixture, markets=changes, ts_ms=ts_ms)

    def hearts(self) -> Iterator[Any]:
        yield self.feed("live", fe.Heartbeat)
        yield self.feed("pre", fe.Heartbeat)

    def suspension(self) -> Iterator[Any]:
        producer = self.random.choice(("live", "pre"))
        yield self.feed(producer, fe.Suspend, fixture=self.key()[0], group=self.random.choice(("", "winner")))

    def loss(self) -> Iterator[Any]:
        """A message that nobody hears, or that is heard twice."""
        producer = self.random.choice(("live", "pre"))
        message = self.feed(producer, fe.Heartbeat)
        if self.random.random() < 0.5:
            yield message
            yield message

    def recovery(self, producer: str) -> Iterator[Any]:
        """All of a producer's markets but a few, sometimes without an end."""
        yield self.feed(producer, fe.RecoveryBegin)
        for key in self.of(producer):
            if self.random.random() < 0.9:
                yield self.image(producer, key)
        if self.random.random() < 0.9:
            yield self.feed(producer, fe.RecoveryEnd)

    # Endings: results, cancels, rollbacks, in any order, by feed or desk.

    def results(self, key: Key) -> tuple[Result, ...]:
        selections = self.model.markets[key].selections
        winner = self.random.choice(selections)
        dead_heat = self.random.choice((1, 1, 1, 2, 3))
        void_factor: Literal[0, 5_000, 10_000] = self.random.choice((0, 0, 0, 0, 5_000, 10_000))
        return tuple(
            Result(name, 1 if name == winner else 0, void_factor, 1, dead_heat if name == winner else 1)
            for name in selections
        )

    def ending(self) -> Iterator[Any]:
        key = self.key()
        known = self.model.markets.get(key)
        if known is None:
            return
        by_desk = known.source == "desk" or self.random.random() < 0.2
        what = self.random.choice(("results", "results", "results", "results", "cancel", "back", "incomplete"))
        window = self.random.choice(
            ((0, 0), (0, self.now), (self.now - 10_000, self.now + 2_000), (self.now - 5_000, 0))
        )
        of = self.random.choice(("results", "cancel"))
        results = self.results(key)
        if what == "incomplete" and self.random.random() < 0.3:
            results = results[1:]
        if by_desk:
            on = {"fixture": key[0], "market": key[1], "reason": "known"}
            if what == "cancel":
                yield self.command(co.CancelMarket, from_ms=window[0], to_ms=window[1], **on)
            elif what == "back":
                yield self.command(co.RollBackMarket, what=of, **on)
            else:
                yield self.command(co.SettleMarket, results=results, **on)
            return
        producer = known.source.removeprefix("acme.")
        if what == "cancel":
            yield self.feed(producer, fe.Cancel, fixture=key[0], markets=(key[1],), from_ms=window[0], to_ms=window[1])
        elif what == "back":
            yield self.feed(producer, fe.Rollback, fixture=key[0], markets=(key[1],), what=of)
        else:
            markets = (fe.MarketResults(key[1], results),)
            yield self.feed(producer, fe.Settlement, fixture=key[0], markets=markets)
