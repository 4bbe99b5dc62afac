"""A horse race: strengths from a Dirichlet distribution, results by Plackett-Luce, a win market, each-way, and places.

Plackett-Luce: the winner is drawn by strength, then the second from those left, and so on. The chances of the places
follow from the same strengths exactly, so the two markets cannot contradict each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import exp

from config.settings import Simulator
from core.grading.markets import grade
from core.grading.scores import RaceScore
from core.messages import feed
from core.messages.commands import NamedPrice
from core.messages.results import EachWay, Result
from feeds.simulator.fixture import Fixture, Frame
from feeds.simulator.market import Finish, Market
from feeds.simulator.pricing import offer, starting_prices

COURSES = ("Ashdown", "Brookmere", "Chalk Hill", "Downlands", "Elmstead", "Fernley", "Garrick Park", "Holme Moor")
FIRST_NAMES = ("Amber", "Bold", "Copper", "Distant", "Early", "Flying", "Golden", "Hidden", "Iron", "Jolly")
LAST_NAMES = ("Anthem", "Baron", "Comet", "Dancer", "Echo", "Falcon", "Gambit", "Harbour", "Island", "Jester")
SHAPE = 1.5
"""Of the Dirichlet distribution: 1 gives wild favourites, 5 hardly any."""
HANDICAP_SHARE = 0.5
MOOD_KEPT, MOOD_STEP = 0.97, 0.04
SEEN = 4.0
"""How clearly the order shows in the running at the post, in natural logarithms of strength."""
TICKS_IN_RUNNING = 40


def places_for(runners: int) -> int:
    """How many places a market of so many runners pays."""
    return 2 if runners < 8 else 3 if runners < 12 else 4


def place_chances(win: Sequence[float], places: int) -> list[float]:
    """Chances of coming in among the first so many, from the chances of winning (sum 1; 0: does not run); exact."""
    placed = [0.0] * len(win)
    ahead = {0: 1.0}
    """Sets of runners as bits: the chance that just these are the first to come in."""
    for _ in range(places):
        further: dict[int, float] = {}
        for runners, chance in ahead.items():
            behind = [(1 << number, number) for number in range(len(win)) if not runners >> number & 1]
            share = chance / sum(win[number] for _, number in behind)
            for bit, number in behind:
                if win[number] > 0:
                    comes_next = share * win[number]
                    placed[number] += comes_next
                    further[runners | bit] = further.get(runners | bit, 0.0) + comes_next
        ahead = further
    return placed


class RaceFixture(Fixture):
    """One race, from the first show of prices to the weighed-in result."""

    sport = "horse_racing"

    def __init__(self, frame: Frame, settings: Simulator) -> None:
        super().__init__(frame, settings)
        random = self.random
        self.overround = settings.overround_race
        count = random.randint(6, 14)
        names = [f"{first} {last}" for first in FIRST_NAMES for last in LAST_NAMES]
        self.runners = {str(number): name for number, name in enumerate(random.sample(names, count), start=1)}
        self.non_runners: list[str] = []
        self._withdrawals: list[tuple[str, int, int]] = []
        """(runner, its price to win, when)"""
        self._starting_prices: dict[str, tuple[NamedPrice, ...]] = {}
        """By market, from the off."""
        self.order: list[list[str]] = []
        """The finish, known to the model from the off; runners in one group cannot be told apart."""
        self.places = places_for(count)
        self.over = False
        minute = frame.origin_ms // 60_000 % 1440
        self.competition = random.choice(COURSES)
        handicap = random.random() < HANDICAP_SHARE
        self.name = f"{minute // 60:02d}:{minute % 60:02d} {self.competition}{' Handicap' if handicap else ''}"
        gammas = [random.gammavariate(SHAPE, 1) + 0.01 for _ in self.runners]
        self._strengths = {runner: gamma / sum(gammas) for runner, gamma in zip(self.runners, gammas, strict=True)}
        self._mood = dict.fromkeys(self.runners, 0.0)
        self._length_s = random.uniform(60, 240)
        self._offers_in_running = random.random() < settings.in_running_chance
        selections = tuple((number, f"{number}. {name}") for number, name in self.runners.items())
        places = {"places": str(self.places)}
        each_way = EachWay(handicap=handicap)  # the usual terms
        self.markets = [
            Market("win", "win", "Win", "win", selections, each_way=each_way),
            Market("place", "place", f"{self.places} places", "place", selections, self.places, places),
        ]
        for market in self.markets:
            market.starting_price = True
        self._plan()

    def chances(self) -> Sequence[Sequence[float]]:
        weights = [self._weight(runner) for runner in self.runners]
        total = sum(weights)
        win = [weight / total for weight in weights]
        return win, place_chances(win, self.places)

    def decided(self) -> Mapping[str, tuple[Result, ...]]:
        return self._finished(self.order).results if self.over else {}

    def facts(self) -> Iterator[feed.AnyFeedMessage]:
        for market in self.markets:
            for runner, price, at_ms in self._withdrawals:
                yield feed.Withdrawal(*self._head, self.frame.id, market.id, runner, price, at_ms)
            if market.id in self._starting_prices:
                prices = self._starting_prices[market.id]
                yield feed.StartingPrices(*self._head, self.frame.id, market.id, prices)

    def _plan(self) -> None:
        lead_s = self.frame.lead_s
        self.at(0, self.announce)
        self.after_tick(self._tick)
        for _ in range(2):
            if self.random.random() < self.settings.non_runner_chance:
                self.at(self.random.uniform(0.2, 0.9) * lead_s, self._withdraw)
        self.at(lead_s, self._off)
        self.plan_mishaps(lead_s + self._length_s + 300)

    def _weight(self, runner: str) -> float:
        """A runner's strength as the market sees it now; in the running its position shows more and more."""
        if runner in self.non_runners:
            return 0.0
        return self._strengths[runner] * exp(self._mood[runner] + SEEN * self._progress() * self._position(runner))

    def _progress(self) -> float:
        """0 before the off, 1 at the post."""
        since_s = self.model_ms / 1000 - self.frame.lead_s
        return min(max(since_s / self._length_s, 0.0), 1.0)

    def _position(self, runner: str) -> float:
        """1 for who will be first, -1 for who will be last; 0 before the off."""
        if not self.order:
            return 0.0
        place = next(place for place, group in enumerate(self.order) if runner in group)
        return 1 - 2 * place / max(len(self.order) - 1, 1)

    def _running(self) -> Iterator[str]:
        return (runner for runner in self.runners if runner not in self.non_runners)

    def _tick(self) -> None:
        """Before the off."""
        if not self.order:
            self._move()
            self.after_tick(self._tick)

    def _tick_in_running(self) -> None:
        if not self.over:
            self._move()
            self.after_tick(self._tick_in_running, self._length_s / TICKS_IN_RUNNING)

    def _move(self) -> None:
        for runner in self.runners:
            self._mood[runner] = MOOD_KEPT * self._mood[runner] + self.random.gauss(0, MOOD_STEP)
        self.move_prices()

    def _withdraw(self) -> None:
        """A runner does not start: bet stop, then markets without it. Its bets are void, the others' under Rule 4.

        For which its price to win counts in all markets.
        """
        running = list(self._running())
        if len(running) <= self.places + 2:
            return
        runner = self.random.choice(running)
        prices = dict(zip(self.runners, offer(self.chances()[0], self.overround), strict=True))
        self.non_runners.append(runner)
        self._withdrawals.append((runner, prices[runner], self._ts_ms))
        self.suspend(20)
        for market in self.markets:
            self._out.append(feed.Withdrawal(*self._head, self.frame.id, market.id, *self._withdrawals[-1]))

    def _off(self) -> None:
        """The order is drawn; either the markets go on in the running or they wait for the result."""
        self._starting_prices = dict(self._at_the_off())
        draws = {runner: self.random.expovariate(self._strengths[runner]) for runner in self._running()}
        self.order = [[runner] for runner in sorted(draws, key=draws.__getitem__)]
        if self.random.random() < self.settings.dead_heat_chance:
            first = self.random.randrange(min(self.places + 1, len(self.order) - 1))
            self.order[first : first + 2] = [self.order[first] + self.order[first + 1]]
        self.in_play = self._offers_in_running
        self.suspend(2)
        for market, prices in self._starting_prices.items():
            self._out.append(feed.StartingPrices(*self._head, self.frame.id, market, prices))
        if self.in_play:
            self.after_tick(self._tick_in_running)
        else:
            self.pricing = False
        self.at(self._length_s, self._finish)

    def _at_the_off(self) -> Iterator[tuple[str, tuple[NamedPrice, ...]]]:
        for market, chances in zip(self.markets, self.chances(), strict=True):
            prices = zip(self.runners, starting_prices(chances, self.overround), strict=True)
            yield market.id, tuple(NamedPrice(runner, price) for runner, price in prices if price)

    def _finish(self) -> None:
        self.over, self.pricing = True, False
        self.close(market.id for market in self.markets)
        self.at(self.random.uniform(60, 240), self._weighed_in)

    def _weighed_in(self) -> None:
        """The result; a wrong one has the first two places exchanged (an enquiry)."""
        first, second, *others = self.order
        self.finish(self._finished(self.order), self._finished([second, first, *others]))

    def _finished(self, order: Sequence[Sequence[str]]) -> Finish:
        score, runners = RaceScore(tuple(map(tuple, order)), withdrawn=tuple(self.non_runners)), list(self.runners)
        results = {
            market.id: grade(market.market_type, market.specifiers, runners, score)
            for market in self.markets
            if not market.ended
        }
        return Finish(results, score)
