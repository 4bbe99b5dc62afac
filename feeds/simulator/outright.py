"""Who wins the matches' league: one market over all its teams, which nobody may combine with the league's matches.

They do not bear on it: how many there are, and when they are played, is the programme's affair.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp

from config.settings import Simulator
from core.messages.results import Result
from feeds.simulator.fixture import Fixture, Frame
from feeds.simulator.football import COMPETITION, TEAMS
from feeds.simulator.market import Finish, Market

SEASON_S = 6000
"""From the start to the end, the fixture's time: a match's, so that a programme that ends is not held up."""
SHAPE = 0.7
"""Of the Dirichlet distribution of strengths: a few favourites and many without much hope."""
MOOD_KEPT, MOOD_STEP = 0.98, 0.05


class OutrightFixture(Fixture):
    """One season, from its first prices to its winner."""

    sport = "football"
    competition = f"{COMPETITION} winner"
    name = f"Winner of the {COMPETITION}"
    outright_of = COMPETITION

    def __init__(self, frame: Frame, settings: Simulator) -> None:
        super().__init__(frame, settings)
        self.overround = settings.overround_race
        gammas = [self.random.gammavariate(SHAPE, 1) + 0.02 for _ in TEAMS]
        self._weights = [gamma / sum(gammas) for gamma in gammas]
        self._mood = [0.0] * len(TEAMS)
        self._winner: int | None = None
        selections = tuple((str(number), team) for number, team in enumerate(TEAMS, start=1))
        self.markets = [Market("winner", "outright", "Winner", "main", selections)]
        self.at(0, self.announce)
        self.after_tick(self._tick)
        self.at(frame.lead_s + SEASON_S, self._end_of_season)
        self.plan_mishaps(frame.lead_s + SEASON_S + 600)

    def chances(self) -> Sequence[Sequence[float]]:
        weights = [weight * exp(mood) for weight, mood in zip(self._weights, self._mood, strict=True)]
        return [[weight / sum(weights) for weight in weights]]

    def decided(self) -> Mapping[str, tuple[Result, ...]]:
        return self._won_by(self._winner) if self._winner is not None else {}

    def _tick(self) -> None:
        if self._winner is None:
            self._mood = [MOOD_KEPT * mood + self.random.gauss(0, MOOD_STEP) for mood in self._mood]
            self.move_prices()
            self.after_tick(self._tick)

    def _end_of_season(self) -> None:
        """A wrong report names somebody else."""
        self.pricing = False
        self._winner, other = self._drawn(2)
        self.finish(Finish(self.decided()), Finish(self._won_by(other)))

    def _drawn(self, count: int) -> list[int]:
        draws = [self.random.expovariate(weight) for weight in self._weights]
        return sorted(range(len(draws)), key=draws.__getitem__)[:count]

    def _won_by(self, winner: int) -> Mapping[str, tuple[Result, ...]]:
        selections = self.markets[0].selections
        results = tuple(Result(team, 1 if number == winner else 0) for number, (team, _) in enumerate(selections))
        return {market.id: results for market in self.markets if not market.ended}
