"""The feeds' process: recordings and simulated fixtures, side by side, as the ingestor role.

Without end each recording is played again when it is over, under new ids; in a bounded programme each is played once,
at the speed at which it takes the given time. What goes wrong with one recording is reported and ends that one only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from adapters import logs
from adapters.demo import part
from config import settings as configuration
from config.settings import Role, Settings, Simulator
from feeds.betfair.normalise import PROVIDER as BETFAIR
from feeds.betfair.normalise import Normaliser
from feeds.betfair.recording import RecordingError, read
from feeds.betfair.replay import replay
from feeds.bus import NatsBus
from feeds.makers import Counts, Makers
from feeds.session import Session, now_ms
from feeds.simulator import programme as simulator
from feeds.simulator.play import play

EXCHANGE: Final = ("PRO-1.170258213", "1.200806927")
"""Recordings that are played as exchange markets: a race of 17, and a match of two sides with hours in play."""
_REPORT_S: Final = 0.25
_PAUSE_S: Final = 5.0
"""Between a recording's end and its next beginning: so its results can be read on the screen."""


class Job(Struct, frozen=True):
    """What is to be played."""

    seed: int
    run: str
    """Goes into all ids, so that nothing that is settled comes again."""
    recordings: list[str]
    lead_s: int
    """A recording begins so long before its first start, the recording's time."""
    speed: float
    """Times the original pace."""
    seconds: int
    """A bounded programme takes about so long; 0: without end, at `speed`."""


class Report(Struct):
    """How it goes."""

    recordings: int = 0
    """That play now."""
    ended: list[str] = field(default_factory=list)
    """Those that were played to their end, by file name."""
    settled: int = 0
    """Their markets that have results, or were cancelled."""
    dropped: int = 0
    """Messages lost because NATS was away."""
    makers: Counts = field(default_factory=Counts)
    """Who follow recorded and simulated depth in exchange markets."""
    done: bool = False
    errors: list[str] = field(default_factory=list)


def pace(job: Job, settings: Simulator) -> float:
    """How much of a simulated fixture's time passes in one of ours."""
    length_s = settings.lead_s + settings.spread_s + _MATCH_S
    return length_s / job.seconds if job.seconds else job.speed


class Feeds:
    """Two producers over one connection."""

    def __init__(self, job: Job, settings: Settings, stop: asyncio.Event) -> None:
        self.job = job
        self.seen = Report()
        self._settings = settings
        self._stop = stop
        self._sessions: list[Session] = []
        self._makers: Makers | None = None

    async def play(self) -> None:
        """All of it, until its end or `stop`. The producers stay alive until `stop`: what is open stays believed."""
        settings = self._settings
        bus, ingest = await NatsBus.connect(settings.nats, "demo feeds"), settings.ingest
        gateway = await NatsBus.connect(settings.nats, "demo makers", Role.GATEWAY)
        try:
            async with (
                Session(bus, BETFAIR, "replay", ingest) as recorded,
                Session(bus, simulator.PROVIDER, simulator.PRODUCER, ingest) as simulated,
                Makers(gateway, settings.limits) as self._makers,
            ):
                self._sessions = [recorded, simulated]
                await self._makers.open(simulator.HOUSE)
                playing: list[Awaitable[None]] = [
                    self._recording(recorded, number, Path(path)) for number, path in enumerate(self.job.recordings)
                ]
                await asyncio.gather(self._simulate(simulated), *playing)
                self.seen.done = True
                await self._stop.wait()
        finally:
            await gateway.close()
            await bus.close()

    def report(self) -> Report:
        self.seen.dropped = sum(session.dropped for session in self._sessions)
        if self._makers is not None:
            self.seen.makers = self._makers.counts
        return self.seen

    async def _recording(self, session: Session, number: int, path: Path) -> None:
        speed = self._speed(path)
        turn = 0
        while not self._stop.is_set():
            turn += 1
            prefix = f"{BETFAIR}:{self.job.run}-{number}-{turn}:"
            self.seen.recordings += 1
            try:
                stats = await replay(
                    session,
                    path,
                    speed=speed,
                    stop=self._stop,
                    prefix=prefix,
                    lead_ms=self.job.lead_s * 1000,
                    makers=self._makers if path.name in EXCHANGE else None,
                )
            except RecordingError as error:
                self.seen.errors.append(str(error))
                return
            finally:
                self.seen.recordings -= 1
            self.seen.settled += stats.settled
            if not stats.stopped and path.name not in self.seen.ended:
                self.seen.ended.append(path.name)
            if self.job.seconds:
                return
            await self._pause()

    async def _simulate(self, session: Session) -> None:
        """Bounded: one set of fixtures, the last of which starts when the first ones are over.

        Without end: as if it had begun a while ago, so that some matches are in play already.
        """
        job, settings = self.job, self._settings.simulator
        speed, fixtures, start_ms = pace(job, settings), 0, now_ms()
        if job.seconds:
            fixtures = settings.fixtures_at_once
            delay_max_ms = min(settings.delay_max_ms, _DELAY_MAX_MS)
            settings = replace(settings, tick_s=max(settings.tick_s, int(speed * _TICK_S)), delay_max_ms=delay_max_ms)
        else:
            start_ms -= int((settings.lead_s + settings.spread_s / 2) * 1000 / speed)
        plan = simulator.Plan(job.seed, job.run, start_ms, speed, fixtures, exchange=True)
        await play(session, simulator.Programme(plan, settings), self._stop, makers=self._makers)

    def _speed(self, path: Path) -> float:
        """At which a recording takes the programme's time; what cannot be read has no say in it."""
        if not self.job.seconds:
            return self.job.speed
        normaliser = Normaliser(self._settings.ingest.markets_max, "", lambda ts_ms: ts_ms)
        first_ms = last_ms = 0
        try:
            for message in read(path, self._settings.ingest.line_bytes_max, lambda _: None):
                if not first_ms:
                    normaliser.read(message)
                    first_ms = max(message.pt, (normaliser.start_ms or 0) - self.job.lead_s * 1000)
                last_ms = message.pt
        except RecordingError as error:
            self.seen.errors.append(str(error))
        return max(1.0, (last_ms - first_ms) / 1000 / self.job.seconds)

    async def _pause(self) -> None:
        try:
            await asyncio.wait_for(self._stop.wait(), _PAUSE_S)
        except TimeoutError:
            return


_TICK_S: Final = 0.25
"""Simulated prices move no more often, the wall clock's time: who has just seen one wants to bet on it."""
_DELAY_MAX_MS: Final = 100
"""Of a bet in play, in a bounded programme: there a second is half an hour of a match, and prices would be gone."""
_MATCH_S: Final = 2 * 3600
"""A match with its breaks, added time, and the wait for the results."""


async def main(job: Job, starter: part.Starter) -> None:
    """The process: play, report."""
    settings = configuration.load()
    logs.set_up(settings.log)
    feeds = Feeds(job, settings, starter.stop)
    playing = asyncio.create_task(feeds.play())
    while not playing.done():
        await asyncio.wait({playing}, timeout=_REPORT_S)
        starter.report(feeds.report())
    playing.result()


if __name__ == "__main__":
    part.run(Job, main)
