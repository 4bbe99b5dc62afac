"""RULEBOOK 5 against the reference model: random bets, random news in random order, equal to the minor unit."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from random import Random
from typing import Any, Literal

from hypothesis import given, settings
from hypothesis import strategies as st

from core.messages import commands as co
from core.messages import events as ev
from core.messages import queries as qu
from core.messages.answers import Accepted, CashOutQuote, Done
from core.messages.commands import NamedPrice, PricePolicy
from core.messages.results import EachWay, Result
from tests.core import reference
from tests.core.reference import Path, Reference
from tests.core.world import NOON, World, leg

RUNNERS = (tuple("abcdef"), tuple("abcdefgh"), tuple("abcdefghijkl"), tuple("abcde"))
"""Of the fixtures' races, in turn: two places, three of other terms, three of a handicap; win only once one is out."""
TERMS = (EachWay(), EachWay(3, 2, 7), EachWay(handicap=True), EachWay())
FIXTURES = tuple(f"f{number}" for number in range(8))
STRUCK_MS = 100
"""Between two bets."""
Move = tuple[Any, ...]


class Fixture:
    """Three markets to a fixture: a race, a line with halves, and a bet builder of both."""

    def __init__(self, number: int) -> None:
        self.name = FIXTURES[number]
        self.runners, self.terms = RUNNERS[number % 4], TERMS[number % 4]
        self.race, self.line, self.both = ((self.name, market) for market in ("race", "line", "both"))
        self.parts = ((self.race, "a"), (self.line, "over"))
        self.selections = {self.race: self.runners, self.line: ("over", "under"), self.both: ("yes",)}

    def usual(self, out: int) -> EachWay | None:
        if self.terms.places:
            return self.terms
        return reference.usual_terms(len(self.runners) - out, handicap=self.terms.handicap)


KNOWN = tuple(map(Fixture, range(len(FIXTURES))))


class Table:
    """An engine and the reference side by side: each message goes to both."""

    def __init__(self, seed: int, payout_max_m: int, currency: str) -> None:
        self.random = Random(seed)
        much = 10**14
        self.world = World(
            payout_max_m=payout_max_m,
            stake_max_m=much,
            slice_max=3,
            slice_lines_max=50,
            **{f"liability_{level}_max_m": much for level in ("selection", "market", "fixture", "customer", "book")},
        )
        self.reference = Reference()
        self.bets: dict[str, reference.Bet] = {}
        self.paid_m = 0
        """Cash-outs."""
        self.world.done(co.SetRate, currency="GBP", rate=1_170_000)
        self.world.done(co.OpenCustomer, customer="ann", currency=currency)
        self.world.done(co.Deposit, customer="ann", amount_m=10**9, provider="bank")
        self.payout_max_m = payout_max_m if currency == "EUR" else payout_max_m * 1_000_000 // 1_170_000

    def _define(self, fixture: Fixture) -> None:
        for path, more in (
            (fixture.race, {"each_way": fixture.terms, "starting_price": True}),
            (fixture.line, {"starting_price": True}),
            (fixture.both, {"parts": tuple((market, selection) for (_, market), selection in fixture.parts)}),
        ):
            prices = {name: self.price() for name in fixture.selections[path]}
            self.world.defined("/".join(path), prices, **more)
            self.reference.markets[path] = reference.Market(parts=fixture.parts if "parts" in more else ())

    def price(self) -> int:
        return self.random.choice((10_001, 11_000, 15_000, 18_333, 25_000, 40_000, 100_000, 333_333))

    # Moves; each leaves the two at the same knowledge.

    def bet(self, shape: Move) -> None:
        """A bet of the drawn shape; where the engine refuses it, there is none."""
        chosen, kind, folds, each_way, free, stake_m, unit = shape
        for (name, _), *_ in chosen:
            if name not in self.world.book.fixtures:
                self._define(KNOWN[FIXTURES.index(name)])
        self.world.wait(STRUCK_MS)
        fields: dict[str, Any] = {"kind": kind, "folds": folds, "each_way": each_way, "unit_stake": unit}
        if kind or folds or each_way:
            fields["lines"] = reference.number_of_lines(self._asked(chosen, kind, folds, each_way))
        else:
            fields["unit_stake"] = False
        whole_m = stake_m * fields["lines"] if fields["unit_stake"] else stake_m
        name = f"b{len(self.world.events)}"
        if free:
            ends_ms = self.world.now + 10**9
            self.world.done(co.GrantFreeBet, customer="ann", token=f"t-{name}", stake_m=whole_m, ends_ms=ends_ms)
            fields["free_bet"] = f"t-{name}"
        legs = tuple(self._leg(*each) for each in chosen)
        answer = self.world.command(
            co.PlaceBet, customer="ann", stake_m=stake_m, legs=legs, policy=PricePolicy.ANY, id=name, **fields
        )
        if not isinstance(answer, Accepted):
            return
        bet = self._asked(chosen, kind, folds, each_way)
        assert (answer.lines, answer.stake_m) == (reference.number_of_lines(bet), whole_m)
        for taken, used in zip(bet.legs, answer.legs, strict=True):
            taken.price = used.price
        bet.stake_m, bet.placed_ms, bet.free, bet.payout_max_m = whole_m, self.world.now, free, self.payout_max_m
        self.bets[name] = bet

    def _leg(self, where: Path, selection: str, banker: bool, starting_price: bool) -> co.Leg:  # noqa: FBT001
        path = "/".join(where)
        price = self.world.at(path).selections[selection].price
        return leg(path, selection, price, banker=banker, starting_price=starting_price)

    def _asked(self, chosen: Move, kind: str, folds: tuple[int, ...], each_way: bool) -> reference.Bet:  # noqa: FBT001
        legs = []
        for path, selection, banker, starting in chosen:
            fixture = KNOWN[FIXTURES.index(path[0])]
            place = fixture.usual(len(self.reference.markets[fixture.race].withdrawn)) if each_way else None
            legs.append(reference.Leg(path, selection, 0, banker, starting, place))
        return reference.Bet(legs, 0, 0, kind, folds, each_way)

    def do(self, move: Move) -> None:
        """Some news, or a sale; what the engine refuses (nothing new, an incomplete one) is no news."""
        what, number, seed = move
        known = [fixture for fixture in KNOWN if fixture.race in self.reference.markets]
        getattr(self, f"_{what}")(Random(seed), known[number % len(known)])

    def finish(self) -> None:
        """What is still to be known of every market, in any order."""
        unknown = [path for path, market in self.reference.markets.items() if path[1] != "both" and not market.results]
        for path in self.random.sample(unknown, len(unknown)):
            fixture = KNOWN[FIXTURES.index(path[0])]
            if self.random.random() < 0.7:
                self._start(self.random, fixture, path)
            if self.random.random() < 0.4:
                self._withdraw(self.random, fixture)
            if self.random.random() < 0.1:
                self._cancel(self.random, fixture)
            self._result(self.random, fixture, path)
            self._tick(self.random, fixture)

    def _told(self, kind: type[co.DeskCommand], path: Path, **fields: Any) -> bool:
        return isinstance(self.world.desk(kind, "/".join(path), **fields), Done)

    def _result(self, random: Random, fixture: Fixture, path: Path | None = None) -> None:
        path = path or random.choice((fixture.race, fixture.race, fixture.line, fixture.line, fixture.both))
        if path == fixture.race:
            results = _finish(random, fixture.runners)
        else:
            results = [
                Result(
                    name,
                    random.choice((0, 1, 1)),
                    random.choice(VOID_FACTORS),
                    *random.choice(((1, 1), (1, 1), (1, 2), (2, 3))),
                )
                for name in fixture.selections[path]
            ]
        if self._told(co.SettleMarket, path, results=tuple(results)):
            self.reference.markets[path].results = {result.selection: result for result in results}

    def _cancel(self, random: Random, fixture: Fixture) -> None:
        path = random.choice(list(fixture.selections))
        from_ms = NOON + STRUCK_MS * random.randint(0, 6)
        window = random.choice(((0, 0), (from_ms, 0), (0, from_ms), (from_ms, from_ms + 2 * STRUCK_MS)))
        if self._told(co.CancelMarket, path, reason="", from_ms=window[0], to_ms=window[1]):
            self.reference.markets[path].cancels.append(window)

    def _roll_back(self, random: Random, fixture: Fixture) -> None:
        path = random.choice(list(fixture.selections))
        what = random.choice(("results", "cancel", "withdrawals"))
        if not self._told(co.RollBackMarket, path, what=what, reason=""):
            return
        known = self.reference.markets[path]
        if what == "results":
            known.results = {}
        elif what == "cancel":
            known.cancels = []
        else:
            known.withdrawn = {}

    def _withdraw(self, random: Random, fixture: Fixture) -> None:
        runner = random.choice(fixture.runners[2:])
        at_ms, price = NOON + STRUCK_MS * random.randint(1, 8), random.choice((0, 11_000, 19_524, 30_000, 90_000))
        if self._told(co.WithdrawSelection, fixture.race, selection=runner, price=price, at_ms=at_ms):
            self.reference.markets[fixture.race].withdrawn[runner] = at_ms, price

    def _start(self, random: Random, fixture: Fixture, path: Path | None = None) -> None:
        path = path or random.choice((fixture.race, fixture.race, fixture.line))
        named = random.sample(fixture.selections[path], random.randint(1, len(fixture.selections[path])))
        prices = {name: random.choice((12_000, 20_000, 45_000, 1_000_000)) for name in named}
        if self._told(co.SetStartingPrices, path, prices=tuple(NamedPrice(*each) for each in prices.items())):
            self.reference.markets[path].starting_prices.update(prices)

    def _void(self, random: Random, _: Fixture) -> None:
        name, bet = random.choice([*self.bets.items(), ("none", reference.Bet([], 0, 0))])
        leg = random.choice((-1, *range(len(bet.legs))))
        if isinstance(self.world.command(co.VoidBet, bet=name, leg=leg, reason="palpable"), Done):
            if leg < 0:
                bet.voided = True
            else:
                bet.legs[leg].voided = True

    def _sell(self, random: Random, _: Fixture) -> None:
        if not self.bets:
            return
        self.world.run()
        name = random.choice(list(self.bets))
        bet, share_bp = self.bets[name], random.choice((10_000, 5_000, 3_333, 1))
        quote = self.world.send(qu.GetCashOut("ann", name, share_bp))
        if not isinstance(quote, CashOutQuote):
            return
        assert quote.stake_m == (bet.stake_m - bet.sold_m) * share_bp // 10_000
        expected_m = self.reference.cash_out(bet, self._live, quote.stake_m, MARGIN)
        # The engine's sum of chances is rounded, in its fourteenth digit.
        assert quote.offer_m in {expected_m, expected_m - 1}
        self.world.done(co.CashOut, customer="ann", bet=name, offer_m=quote.offer_m)
        bet.sold_m += quote.stake_m
        self.paid_m += quote.offer_m

    def _live(self, leg: reference.Leg) -> reference.Live:
        selections = self.world.at("/".join(leg.path)).selections
        out = self.reference.markets[leg.path].withdrawn
        prices = [each.price for each in selections.values() if each.price and each.id not in out]
        return selections[leg.selection].price, prices

    def _tick(self, _: Random, __: Fixture) -> None:
        self.world.tick()

    def compare(self) -> Counter[str]:
        """Every bet, and the cash; how the bets stand."""
        self.world.run()
        expected = {name: self.reference.outcome(bet) for name, bet in self.bets.items()}
        found = {
            bet.id: (ev.BetStatus(bet.status).name.lower(), bet.paid_m, bet.capped_m)
            for bet in self.world.book.bets.values()
        }
        assert found == expected
        cash_m = 10**9 + self.paid_m
        for name, (_, paid_m, _) in expected.items():
            cash_m += paid_m - (0 if self.bets[name].free else self.bets[name].stake_m)
        assert self.world.cash("ann") == cash_m
        return Counter(status for status, _, _ in expected.values())


MARGIN = Fraction(3, 100)
VOID_FACTORS: tuple[Literal[0, 5_000, 10_000], ...] = (0, 0, 0, 5_000, 10_000)


def _finish(random: Random, runners: tuple[str, ...]) -> list[Result]:
    """An order of arrival with some who come in together, some who are void, some unplaced."""
    # Those that most bets are on come in first more often.
    order = sorted(runners, key=lambda name: random.random() * (4 + runners.index(name)))
    places: dict[str, int] = {}
    for number, name in enumerate(order, start=1):
        level = number > 1 and random.random() < 0.3
        places[name] = places[order[number - 2]] if level else number
    first = [name for name in runners if places[name] == 1]
    results = []
    for name in runners:
        if random.random() < 0.1:
            results.append(Result(name, 0, 10_000))
        elif name in first:
            results.append(Result(name, 1, 0, 1, len(first), 1))
        else:
            results.append(Result(name, 0, 0, 1, 1, places[name] if random.random() < 0.9 else 0))
    return results


# What is drawn.


@st.composite
def bets(draw: st.DrawFn) -> Move:
    """Legs, kind, folds, each-way, free, stake, unit stake: mostly such as are taken."""
    size = draw(st.sampled_from((1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 6, 7, 8)))
    random = Random(draw(st.integers(0, 2**32)))
    chosen = random.sample(KNOWN, size)
    each_way = random.random() < 0.3
    system = size > 1 and random.random() < 0.6
    bankers = {fixture.name for fixture in chosen[1:] if system and random.random() < 0.15}
    legs = []
    for fixture in chosen:
        offers = [(path, name) for path, names in fixture.selections.items() for name in names[:4]]
        if each_way:
            offers = [offer for offer in offers if offer[0] == fixture.race]
        ways = 2 if system and random.random() < 0.2 else 1
        for path, name in random.sample(offers, ways):
            starting = path != fixture.both and random.random() < 0.15
            legs.append((path, name, fixture.name in bankers, starting))
    random.shuffle(legs)
    free_fixtures = size - len(bankers)
    kind, folds = "", tuple[int, ...]()
    if system:
        kind = random.choice([name for name, each in reference.NAMED.items() if int(each[-1]) == free_fixtures] + [""])
        if not kind:
            sizes = range(1, free_fixtures + 1)
            folds = tuple(random.sample(sizes, random.randint(1, len(sizes))))
    stake_m = random.choice((100, 777, 1_000, 1_001, 12_345, 99_999))
    return legs, kind, folds, each_way, random.random() < 0.2, stake_m, random.random() < 0.3


_kinds = st.sampled_from(
    (
        "result",
        "result",
        "result",
        "result",
        "cancel",
        "roll_back",
        "withdraw",
        "start",
        "start",
        "void",
        "sell",
        "sell",
        "sell",
        "tick",
    )
)
moves = st.tuples(_kinds, st.integers(0, len(KNOWN) - 1), st.integers(0, 2**32))
EXAMPLES = 400
"""Some 9 s."""


@settings(max_examples=EXAMPLES)
@given(
    st.integers(0, 2**32),
    st.sampled_from((10**12, 100_000, 20_000)),
    st.sampled_from(("EUR", "EUR", "GBP")),
    st.lists(bets(), min_size=3, max_size=8),
    st.lists(st.one_of(moves, moves, moves, bets()), max_size=20),
    st.lists(moves, max_size=20),
)
def test_the_engine_settles_as_the_reference_does(
    seed: int, payout_max_m: int, currency: str, first: list[Move], later: list[Move], last: list[Move]
) -> None:
    """Bets, news and more bets; what is still unknown; corrections of it."""
    table = Table(seed, payout_max_m, currency)
    for each in (*first, *later):
        if isinstance(each[0], str):
            table.do(each)
        else:
            table.bet(each)
    table.compare()
    table.finish()
    table.compare()
    for each in last:
        table.do(each)
    table.compare()
    table.world.check()
