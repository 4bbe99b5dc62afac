"""Many fixtures, one after the other and side by side, as one producer tells them.

So many are on offer at any time; when one is over the next is announced, without end or up to a number. The same seed,
run, start, speed and settings give the same programme, so one that was interrupted is taken up again by making it anew
and passing over what is past: its image then holds the results that were missed. A day at speed 60 takes a minute.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from heapq import heappop, heappush
from random import Random

from msgspec import Struct

from config.settings import Simulator
from core.exchange.ladder import LADDERS
from core.messages.feed import AnyFeedMessage, FeedStatus
from core.messages.terms import ExchangeTerms
from feeds.makers import Depth
from feeds.simulator.depth import depth
from feeds.simulator.fixture import Fixture, Frame
from feeds.simulator.football import FootballFixture
from feeds.simulator.outright import OutrightFixture
from feeds.simulator.race import RaceFixture

HOUSE = "house"
"""The customer's account for which the house lays its own prices."""
_TERMS = {
    0: ExchangeTerms(commission_bp=200, passive_exempt=True),
    1: ExchangeTerms(commission_bp=500, passive_exempt=True, house=HOUSE, house_stake_m=50_000),
}
PROVIDER, PRODUCER = "simulator", "1"


class Plan(Struct, frozen=True):
    """What makes one programme. `run` tells it from an earlier one with the same seed; it is part of fixtures' ids."""

    seed: int
    run: str
    start_ms: int
    """The caller's time of the first announcement."""
    speed: float
    """Seconds of a fixture's time in one of the caller's: at 60 a match takes two minutes."""
    fixtures: int = 0
    """How many in all; 0: without end."""
    exchange: bool = False
    """Of every three fixtures, where they are matches, the first one's main market has exchange terms for makers, the
    second one's for the house's own prices."""


class Programme:
    """The fixtures of a plan. `messages` is to be called with a time that never falls."""

    def __init__(self, plan: Plan, settings: Simulator) -> None:
        self.plan = plan
        self.settings = settings
        self._live: dict[int, Fixture] = {}
        self._queue: list[tuple[int, int]] = []
        """(when it has more to tell, number) of each live fixture."""
        self._over: deque[tuple[int, Fixture]] = deque(maxlen=settings.kept_max)
        """(when its end was told or passed over, fixture): what the image still has."""
        self._started = 0
        self._passing_over = False
        self._told_ms = plan.start_ms
        for _ in range(settings.fixtures_at_once):
            self._start_next(plan.start_ms)

    @property
    def next_ms(self) -> int | None:
        """When there is more to tell, the caller's time; None: never."""
        return self._queue[0][0] if self._queue else None

    def messages(self, until_ms: int) -> Iterator[AnyFeedMessage]:
        """What happens until then (included), in order."""
        self._told_ms = until_ms
        while self._over and self._over[0][0] + self.settings.kept_ms < until_ms:
            self._over.popleft()
        while self._queue and self._queue[0][0] <= until_ms:
            due_ms, number = heappop(self._queue)
            fixture = self._live[number]
            yield from fixture.messages(due_ms)
            if fixture.next_ms is not None:
                heappush(self._queue, (fixture.next_ms, number))
                continue
            self._over.append((until_ms, self._live.pop(number)))
            self._start_next(due_ms)

    def pass_over(self, until_ms: int) -> None:
        """Let happen what is past without telling it. Its results are in the image, within `kept_max` fixtures."""
        self._passing_over = True
        for fixture in self._live.values():
            fixture.passing_over = True
        for _ in self.messages(until_ms):
            pass
        self._passing_over = False
        for fixture in self._live.values():
            fixture.listen_again()

    def image(self) -> Iterator[AnyFeedMessage]:
        """All fixtures on offer, and those just over, whose results the engine may have missed."""
        for fixture in [*(fixture for _, fixture in self._over), *self._live.values()]:
            yield from fixture.image()

    @property
    def exchanges(self) -> list[tuple[str, str]]:
        """Fixture and market of those whose makers are to be simulated."""
        return [
            (fixture.frame.id, market.id)
            for fixture in self._live.values()
            for market in fixture.markets
            if market.exchange is not None and not market.exchange.house
        ]

    def depth(self, fixture_id: str, market_id: str) -> Depth | None:
        """What makers offer in it now; None: it is over."""
        for fixture in self._live.values():
            for market in fixture.markets if fixture.frame.id == fixture_id else ():
                if market.id == market_id and market.exchange is not None and market.status is not FeedStatus.CLOSED:
                    names = (name for name, _ in market.selections)
                    prices = dict(zip(names, market.prices or [0] * len(market.selections), strict=True))
                    return depth(prices, LADDERS[market.exchange.ladder])
        return None

    def abandon(self) -> Iterator[AnyFeedMessage]:
        """The programme ends here: what is decided stands, every other open market is cancelled."""
        for fixture in self._live.values():
            yield from fixture.abandon()
            self._over.append((self._told_ms, fixture))
        self._live.clear()
        self._queue.clear()

    def _start_next(self, origin_ms: int) -> None:
        """The first ones are spread over the time to come, so that not all begin and end together."""
        number, plan, settings = self._started, self.plan, self.settings
        if plan.fixtures and number >= plan.fixtures:
            return
        self._started += 1
        spread_s = settings.spread_s * number / settings.fixtures_at_once if number < settings.fixtures_at_once else 0
        frame = Frame(
            id=f"sim:{plan.seed}-{plan.run}-{number}",
            seed=f"{plan.seed}-{plan.run}-{number}",
            origin_ms=origin_ms,
            lead_s=settings.lead_s + spread_s,
            speed=plan.speed,
            provider=PROVIDER,
            producer=PRODUCER,
            exchange=_TERMS.get(number % 3) if plan.exchange else None,
        )
        fixture = self._live[number] = self._kind(frame.seed)(frame, settings)
        fixture.passing_over = self._passing_over
        assert fixture.next_ms is not None
        heappush(self._queue, (fixture.next_ms, number))

    def _kind(self, seed: str) -> type[Fixture]:
        at, settings = Random(f"kind-{seed}").random(), self.settings  # noqa: S311 - a game, not a secret
        if at < settings.race_share:
            return RaceFixture
        return OutrightFixture if at >= 1 - settings.outright_share else FootballFixture
