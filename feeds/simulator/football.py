"""A football match: two teams, goals as a Poisson process minute by minute, every market priced from one score grid.

The market's opinion of the two scoring rates wanders a little around the true ones, and all prices follow it and the
clock. Goals and red cards suspend the fixture; what they decide is closed and settled in seconds, the rest at the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from math import exp

from config.settings import Simulator
from core.grading.scores import FootballScore
from core.messages.results import Result
from feeds.simulator import football_markets as kinds
from feeds.simulator.fixture import Fixture, Frame
from feeds.simulator.market import Finish, Market

COMPETITION = "Simulated League"
TEAMS = (
    "Albion Town",
    "Ashford Rovers",
    "Brackley City",
    "Calder United",
    "Dunmore Athletic",
    "Eastgate Wanderers",
    "Fenwick County",
    "Glenside Thistle",
    "Harrow Vale",
    "Inverlea",
    "Kingsmoor Rangers",
    "Lowther Albion",
    "Marlow Dynamo",
    "Northfield",
    "Oakhaven Villa",
    "Penrose Argyle",
    "Queensbury",
    "Redcliffe Hotspur",
    "Selwyn Orient",
    "Thornbury Forest",
)
HOME_GOALS, AWAY_GOALS = 1.5, 1.15
"""What equal teams score in a match."""
STRENGTH_SPREAD = 0.25
RATE_MIN, RATE_MAX = 0.25, 4.0
BREAK_S = 900
RED_CARD_CHANCE = 0.0012
"""Of each team, a minute."""
MOOD_KEPT, MOOD_STEP = 0.98, 0.012
"""The market's opinion: what stays of its error at each move, and what is added."""


def markets_for(rates: tuple[float, float]) -> list[kinds.Kind]:
    """The markets of a match: handicaps around the expected lead, goal lines around the expected sum."""
    lead, total = (round(-4 * (rates[0] - rates[1])), 4 * max(round(sum(rates)), 1))
    goal_lines = sorted({2, 6, 10, 14, 18, total - 1, total, total + 1})
    return [
        kinds.match_result(),
        kinds.double_chance(),
        kinds.draw_no_bet(),
        *map(kinds.total_goals, goal_lines),
        *(kinds.asian_handicap(lead + quarters) for quarters in range(-2, 3)),
        kinds.both_to_score(),
        kinds.correct_score(),
    ]


class FootballFixture(Fixture):
    """A match of two halves with added time, as a seed would have it."""

    sport = "football"
    competition = COMPETITION

    def __init__(self, frame: Frame, settings: Simulator) -> None:
        super().__init__(frame, settings)
        random = self.random
        self.overround = settings.overround
        self.home, self.away = random.sample(TEAMS, 2)
        self.name = f"{self.home} v {self.away}"
        self.score = (0, 0)
        self.over = False
        self._rates = self._strengths()
        self._mood = (0.0, 0.0)
        self._halves_s = ((45 + random.randint(1, 4)) * 60, (45 + random.randint(2, 7)) * 60)
        self.kinds = markets_for(self._rates)
        self._pricer = kinds.Pricer(self.kinds)
        self.markets = [*map(self._market, self.kinds), *map(self._builder, kinds.builders())]
        self.markets[0].exchange = frame.exchange
        length_s = sum(self._halves_s) + BREAK_S
        self.at(0, self.announce)
        self.after_tick(self._tick)
        self.at(frame.lead_s, self._kick_off)
        self.at(frame.lead_s + length_s, self._full_time)
        self.plan_mishaps(frame.lead_s + length_s + 600)

    def grid(self) -> kinds.Floats:
        """The market's opinion of the final score."""
        played = self._played_s() / sum(self._halves_s)
        home, away = (rate * exp(mood) * (1 - played) for rate, mood in zip(self._rates, self._mood, strict=True))
        return kinds.score_grid(self.score, (home, away))

    def chances(self) -> Sequence[Sequence[float]]:
        grid = self.grid()
        return [*self._pricer.chances(grid), *([kinds.joint_chance(each, grid)] for each in kinds.builders())]

    def decided(self) -> Mapping[str, tuple[Result, ...]]:
        return {
            kind.id: kind.results(*self.score)
            for kind, market in self._open()
            if self.over or kinds.is_decided(kind, *self.score)
        }

    def _open(self) -> Iterator[tuple[kinds.Kind, Market]]:
        pairs = zip(self.kinds, self.markets, strict=False)  # bet builders have no results of their own
        return ((kind, market) for kind, market in pairs if not market.ended)

    def _strengths(self) -> tuple[float, float]:
        """Goals a match of each team: its attack against the other's defence."""
        gauss = self.random.gauss
        rates = (
            goals * exp(gauss(0, STRENGTH_SPREAD) + gauss(0, STRENGTH_SPREAD)) for goals in (HOME_GOALS, AWAY_GOALS)
        )
        home, away = (min(max(rate, RATE_MIN), RATE_MAX) for rate in rates)
        return home, away

    def _market(self, kind: kinds.Kind) -> Market:
        selections = tuple((each, self._named_teams(name)) for each, name in kind.selections)
        head = kind.id, kind.market_type, kind.name, kind.group, selections, kind.winners
        return Market(*head, specifiers=kind.specifiers)

    def _builder(self, builder: kinds.Builder) -> Market:
        parts = tuple((kind.id, selection) for kind, selection in builder.parts)
        selections = (("yes", self._named_teams(builder.name)),)
        return Market(builder.id, "bet_builder", "Bet builder", "builder", selections, parts=parts)

    def _named_teams(self, name: str) -> str:
        return name.format(home=self.home, away=self.away)

    def _played_s(self) -> float:
        """Seconds of play so far; the break does not count."""
        since = self.model_ms / 1000 - self.frame.lead_s
        first, second = self._halves_s
        return min(max(since, 0), first) + min(max(since - first - BREAK_S, 0), second)

    def _tick(self) -> None:
        """A little time has passed: opinions and prices move; now and then one group of markets is suspended alone."""
        if self.over:
            return
        gauss = self.random.gauss
        home, away = (MOOD_KEPT * mood + gauss(0, MOOD_STEP) for mood in self._mood)
        self._mood = home, away
        self.move_prices()
        if self.random.random() < self.settings.group_suspension_chance:
            self.suspend(self.settings.tick_s, self.random.choice(self.markets).group)
        self.after_tick(self._tick)

    def _kick_off(self) -> None:
        self.in_play = True
        self.suspend(5)
        first, second = self._halves_s
        for start in (*range(0, first, 60), *range(first + BREAK_S, first + BREAK_S + second, 60)):
            self.at(start, self._minute)

    def _minute(self) -> None:
        """What happens in the minute that begins."""
        for team in (0, 1):
            wait_s = self.random.expovariate(self._rates[team] / sum(self._halves_s))
            if wait_s < 60:
                self.at(wait_s, partial(self._goal, team))
            if self.random.random() < RED_CARD_CHANCE:
                self.at(self.random.uniform(0, 60), partial(self._red_card, team))

    def _goal(self, team: int) -> None:
        """Bet stop, later new prices. Sometimes the referee takes the goal back: a longer stop, the same score."""
        overturned = self.random.random() < self.settings.overturned_goal_chance
        self.suspend(self.random.uniform(90, 150) if overturned else self.random.uniform(30, 60))
        if overturned or self.score[team] == kinds.GOALS_MAX:
            return
        self.score = self._with_goal(team)
        self.at(20, self._close_decided)

    def _close_decided(self) -> None:
        """What the goal decided takes no more bets; its results come when the referee has restarted the play."""
        if not self.over:
            self.settle_decided()

    def _with_goal(self, team: int) -> tuple[int, int]:
        home, away = self.score
        return (home + 1, away) if team == 0 else (home, away + 1)

    def _red_card(self, team: int) -> None:
        self.suspend(self.random.uniform(20, 40))
        factors = (0.7, 1.25) if team == 0 else (1.25, 0.7)
        home, away = (min(max(rate * by, RATE_MIN), RATE_MAX) for rate, by in zip(self._rates, factors, strict=True))
        self._rates = home, away

    def _full_time(self) -> None:
        self.over, self.pricing = True, False
        self.close(kind.id for kind, _ in self._open())
        self.at(self.random.uniform(60, 180), self._results)

    def _results(self) -> None:
        """All that is still open; a wrong report has one goal too many."""
        wrong_score = self._with_goal(self.random.randrange(2))
        wrong = {kind.id: kind.results(*wrong_score) for kind, _ in self._open()}
        right = Finish(self.decided(), FootballScore(self.score))
        self.finish(right, Finish(wrong, FootballScore(wrong_score)))
