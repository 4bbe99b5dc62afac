"""A small world to bet in: an engine, a clock in the test's hand, and short words for long messages.

Every event goes into `events`, as the journal would hold them; nothing here decides anything.
"""

from __future__ import annotations

from typing import Any

import msgspec

from core import invariants, ledger, snapshot
from core.book import Bet, Book, Customer, Market, PendingBet
from core.engine import E, Engine
from core.limits import Limits
from core.messages import commands as co
from core.messages import events as ev
from core.messages import feed as fe
from core.messages import queries as qu
from core.messages.answers import Accepted, Answer, BetState, Done, Pending, Rejected
from core.messages.commands import Leg, NamedSelection, PricePolicy
from core.messages.results import EachWay, Result
from core.results import settling

NOON = 1_700_000_000_000
"""When each world begins, ms."""
LegText = tuple[str, str, int]
"""("match/winner", "home", 21500): fixture and market, selection, price asked for."""


def limits(**changed: int | str) -> Limits:
    return msgspec.structs.replace(Limits(), **changed)


def won(selection: str) -> Result:
    return Result(selection, 1)


def lost(selection: str) -> Result:
    return Result(selection, 0)


def void(selection: str) -> Result:
    return Result(selection, 0, 10_000)


def half_won(selection: str) -> Result:
    return Result(selection, 1, 5_000)


def half_lost(selection: str) -> Result:
    return Result(selection, 0, 5_000)


def dead_heat(selection: str, sharing: int, places: int = 1) -> Result:
    return Result(selection, 1, 0, places, sharing)


class World:
    """An engine at noon, with customers and markets as the test wishes."""

    def __init__(self, **changed: int | str) -> None:
        self.engine = Engine(limits(**changed))
        self.now = NOON
        self.events: list[ev.Event] = [self.engine.start("engine-1", "0.1.0", self.now)]
        self._ids = 0
        self._sequences: dict[str, int] = {}

    @property
    def book(self) -> Book:
        return self.engine.book

    # Anything.

    def send(self, message: Any) -> Answer | None:
        """The message's answer; its events are kept."""
        answer, events = self.engine.execute(message, self.now)
        self.events.extend(events)
        return answer

    def command(self, kind: type[co.Command], /, **fields: Any) -> Answer | None:
        """A command with an id of its own and a minute to live, unless said otherwise."""
        self._ids += 1
        head = {"id": f"c{self._ids}", "expires_ms": self.now + 60_000}
        if issubclass(kind, co.DeskCommand):
            head["author"] = "trader"
        return self.send(kind(**{**head, **fields}))

    def done(self, kind: type[co.Command], /, **fields: Any) -> None:
        """A command that has to work."""
        answer = self.command(kind, **fields)
        assert isinstance(answer, Done), answer

    def wait(self, ms: int) -> None:
        self.now += ms

    def tick(self) -> list[ev.Event]:
        events = list(self.engine.tick(self.now))
        self.events.extend(events)
        return events

    def run(self) -> list[ev.Event]:
        """Tick until nothing is left to do."""
        done: list[ev.Event] = []
        while (events := self.tick()) or self.book.voided:
            done.extend(events)
        return done

    # Customers.

    def customer(self, name: str, cash_m: int = 0) -> None:
        self.done(co.OpenCustomer, customer=name, currency=self.engine.limits.currency)
        if cash_m:
            self.done(co.Deposit, customer=name, amount_m=cash_m, provider="bank")

    def of(self, name: str) -> Customer:
        return self.book.customers[name]

    def cash(self, name: str) -> int:
        return self.book.customers[name].cash_m

    # Markets priced by hand.

    def market(self, path: str, /, *, winners: int = 1, cut_off_ms: int = 0, **prices: int) -> Market:
        """An open market of the desk, as `"match/winner", home=21500, away=17000`."""
        fixture, market = path.split("/")
        if fixture not in self.book.fixtures:
            self.done(
                co.DefineFixture, fixture=fixture, name=fixture, sport="football", competition="cup", start_ms=self.now
            )
        self.done(
            co.DefineMarket,
            fixture=fixture,
            market=market,
            market_type="winner",
            name=market,
            selections=tuple(NamedSelection(name, name.title()) for name in prices),
            winners=winners,
            cut_off_ms=cut_off_ms,
            starting_price=True,
        )
        for name, price in prices.items():
            self.price(path, name, price)
        self.done(co.OpenMarket, fixture=fixture, market=market)
        return self.at(path)

    def defined(self, path: str, prices: dict[str, int], /, **definition: Any) -> Market:
        """An open market of the desk with any fields of DefineMarket; defined again, what it was stays where it can.

        `world.defined("cup/winner", {"red": 20_000}, delay_ms=5_000)`: each bet on it waits.
        """
        fixture, market = path.split("/")
        if fixture not in self.book.fixtures:
            self.fixture(fixture)
        selections = tuple(NamedSelection(name, name.title()) for name in prices)
        fields = {"market_type": "winner", "name": market, "selections": selections, "starting_price": True}
        fields |= definition
        self.done(co.DefineMarket, fixture=fixture, market=market, **fields)
        for name, price in prices.items():
            self.price(path, name, price)
        self.done(co.OpenMarket, fixture=fixture, market=market)
        return self.at(path)

    def fixture(self, fixture: str, /, **definition: Any) -> None:
        """A fixture of the desk with any fields of DefineFixture."""
        fields = {"name": fixture, "sport": "football", "competition": "cup", "start_ms": self.now, **definition}
        self.done(co.DefineFixture, fixture=fixture, **fields)

    def race(self, path: str, /, *, terms: EachWay | None = None, **prices: int) -> Market:
        """A race of the desk, each-way at the usual terms (RULEBOOK 5) unless others are given."""
        fixture, _ = path.split("/")
        if fixture not in self.book.fixtures:
            self.fixture(fixture, sport="racing", competition="meeting")
        return self.defined(path, prices, each_way=terms or EachWay())

    def at(self, path: str) -> Market:
        fixture, market = path.split("/")
        return self.book.fixtures[fixture].markets[market]

    def price(self, path: str, selection: str, price: int) -> None:
        fixture, market = path.split("/")
        self.done(co.SetPrice, fixture=fixture, market=market, selection=selection, price=price)

    def desk(self, kind: type[co.DeskCommand], path: str, **fields: Any) -> Answer | None:
        fixture, market = path.split("/")
        return self.command(kind, fixture=fixture, market=market, **fields)

    def settle(self, path: str, *results: Result) -> None:
        """Results by the desk; selections that are not named have lost. The bets follow at once."""
        self.results(path, *results)
        self.run()

    def results(self, path: str, *results: Result) -> Answer | None:
        """As `settle`, but the bets are still due."""
        given = {result.selection: result for result in results}
        whole = tuple(given.get(name, lost(name)) for name in self.at(path).selections)
        answer = self.desk(co.SettleMarket, path, results=whole)
        assert isinstance(answer, Done), answer
        return answer

    def cancel(self, path: str, from_ms: int = 0, to_ms: int = 0) -> None:
        assert isinstance(self.desk(co.CancelMarket, path, reason="palpable", from_ms=from_ms, to_ms=to_ms), Done)
        self.run()

    def roll_back(self, path: str, what: str = "results") -> None:
        assert isinstance(self.desk(co.RollBackMarket, path, what=what, reason="wrong match"), Done)
        self.run()

    # Bets.

    def place(self, customer: str, stake_m: int, *legs: LegText, **fields: Any) -> Answer | None:
        """A bet's answer, its legs as `("match/winner", "home", 21500)`."""
        return self.command(
            co.PlaceBet, customer=customer, stake_m=stake_m, legs=tuple(leg(*each) for each in legs), **fields
        )

    def bet(self, customer: str, stake_m: int, *legs: LegText, **fields: Any) -> Bet:
        """A bet that has to be accepted."""
        answer = self.place(customer, stake_m, *legs, **fields)
        assert isinstance(answer, Accepted), answer
        return self.book.bets[answer.id]

    # Bets that wait.

    def waiting(self, customer: str, stake_m: int, *legs: LegText, **fields: Any) -> PendingBet:
        """A bet that has to wait."""
        answer = self.place(customer, stake_m, *legs, **fields)
        assert isinstance(answer, Pending), answer
        return self.book.pending[answer.id]

    def judge(self, bet: str, action: str, **fields: Any) -> Answer | None:
        """A trader's word on a referred bet: "accept", "offer", "decline"."""
        return self.command(co.AnswerReferral, bet=bet, action=action, **fields)

    def take(self, customer: str, bet: str, **fields: Any) -> Answer | None:
        """The customer takes a trader's offer."""
        return self.command(co.TakeOffer, customer=customer, bet=bet, **fields)

    def decline(self, customer: str, bet: str, **fields: Any) -> Answer | None:
        """The customer does not take it, or wants no word from the trader any more."""
        return self.command(co.DeclineOffer, customer=customer, bet=bet, **fields)

    def state(self, bet: str) -> BetState:
        """A bet as it is told."""
        answer = self.send(qu.GetBet(bet))
        assert isinstance(answer, BetState), answer
        return answer

    # Feeds.

    def feed(self, kind: type[fe.FeedMessage], producer: str = "live", **fields: Any) -> Answer | None:
        """The producer's next message, stamped now, unless said otherwise."""
        sequence = fields.get("sequence", self._sequences.get(producer, 0) + 1)
        self._sequences[producer] = sequence
        head = {"provider": "acme", "producer": producer, "sequence": sequence, "ts_ms": self.now}
        return self.send(kind(**{**head, **fields}))

    def image(
        self, path: str, producer: str = "live", /, *, message: dict[str, Any] | None = None, **prices: int
    ) -> Any:
        """A market image, as `"match/winner", home=21500, message={"in_play": True}`."""
        fixture, market = path.split("/")
        fields: dict[str, Any] = {
            "market_type": "winner",
            "name": market,
            "status": fe.FeedStatus.ACTIVE,
            "starting_price": True,
            "selections": tuple(fe.PricedSelection(name, name.title(), price) for name, price in prices.items()),
            **(message or {}),
        }
        return self.feed(fe.MarketImage, producer, fixture=fixture, market=market, **fields)

    def fed_market(
        self, path: str, producer: str = "live", /, *, message: dict[str, Any] | None = None, **prices: int
    ) -> Market:
        """A market of a producer that has just recovered, with this market alone."""
        fixture, _ = path.split("/")
        self.feed(fe.RecoveryBegin, producer)
        self.feed(
            fe.FixtureChange,
            producer,
            fixture=fixture,
            name=fixture,
            sport="football",
            competition="cup",
            start_ms=self.now,
        )
        self.image(path, producer, message=message, **prices)
        self.feed(fe.RecoveryEnd, producer)
        return self.at(path)

    def odds(
        self, path: str, producer: str = "live", /, *, message: dict[str, Any] | None = None, **prices: int
    ) -> Any:
        """New prices of one market."""
        fixture, market = path.split("/")
        offers = tuple(fe.SelectionPrice(name, price) for name, price in prices.items())
        fields = {"status": fe.FeedStatus.ACTIVE, "prices": offers, "in_play": False, **(message or {})}
        head = {name: fields.pop(name) for name in ("ts_ms", "sequence") if name in fields}
        return self.feed(
            fe.OddsChange, producer, fixture=fixture, markets=(fe.MarketPrices(market=market, **fields),), **head
        )

    # What must be true of any world.

    def check(self) -> None:
        """The invariants; a sum of zero; a snapshot and a replay that are the same state; settled bets that agree."""
        invariants.check(self.book)
        assert set(ledger.sums(self.book).values()) <= {0}
        assert snapshot.state_hash(snapshot.restore(snapshot.encode(self.book))) == snapshot.state_hash(self.book)
        assert snapshot.state_hash(replayed(self.events)) == snapshot.state_hash(self.book)
        for bet in self.book.bets.values():
            if not any(known.selection.market.due for known in bet.legs):
                assert settling.review(bet, self.now) is None, bet.id

    def restart(self) -> None:
        """The engine dies; the next one has what the journal says, and nothing that was live."""
        self.engine = Engine(self.engine.limits, replayed(self.events))
        self.events.append(self.engine.start("engine-2", "0.1.0", self.now))


class _Witness(Engine):
    """An engine that writes down the hash of its state after each event."""

    def __init__(self, limits: Limits, book: Book | None = None) -> None:
        super().__init__(limits, book)
        self.hashes: list[str] = []

    def apply(self, event: E) -> E:
        super().apply(event)
        self.hashes.append(snapshot.state_hash(self.book))
        return event


class WatchedWorld(World):
    """A small world that is held against its replay at every event, not only at the last; slow."""

    def __init__(self, **changed: int | str) -> None:
        super().__init__(**changed)
        self.witness = self.engine = _Witness(self.engine.limits)
        self.events = [self.engine.start("engine-1", "0.1.0", self.now)]

    def check(self) -> None:
        super().check()
        again = _Witness(self.engine.limits)
        for event in journalled(self.events):
            again.apply(event)
            invariants.check(again.book)
        assert again.hashes == self.witness.hashes
        restored = snapshot.restore(snapshot.encode(self.book))
        assert running_sums(restored) == running_sums(again.book) == running_sums(self.book)


def running_sums(book: Book) -> dict[str, int]:
    """What no snapshot holds, because it follows from the bets, open, offered or waiting."""
    sums = {"open bets": book.open_bets, "liability": book.liability_m}
    for customer in book.customers.values():
        sums[f"liability of {customer.id}"], sums[f"waiting of {customer.id}"] = customer.liability_m, customer.pending
    for market in book.markets():
        name = f"{market.fixture.id}/{market.id}"
        sums[f"liability of {name}"], sums[f"stakes of {name}"] = market.liability_m, market.stakes_m
    return sums


def leg(path: str, selection: str, price: int, **fields: Any) -> Leg:
    fixture, market = path.split("/")
    return Leg(fixture, market, selection, price, **fields)


_journal = msgspec.msgpack.Decoder(ev.Batch)


def journalled(events: list[ev.Event]) -> list[ev.Event]:
    """The events as they come back from the journal."""
    return _journal.decode(msgspec.msgpack.encode(ev.Batch(ev.BATCH_FORMAT, 1, events))).events


def replayed(events: list[ev.Event]) -> Book:
    """The book that the journal alone makes."""
    engine = Engine(Limits())
    for event in journalled(events):
        engine.apply(event)
    return engine.book


def refused(answer: Answer | None) -> str:
    """The reason of a refusal."""
    assert isinstance(answer, Rejected), answer
    return answer.reason


ANY = PricePolicy.ANY
