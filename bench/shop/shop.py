"""What the customers of one process share, and how they are counted when the test stops.

Each answer becomes a row of locust's statistics. At the end every account is counted; a worker process counts its own.
"""

from __future__ import annotations

import itertools
import logging
import secrets
import time
from typing import TYPE_CHECKING, Any

import gevent
import msgspec
from gevent.event import Event
from gevent.pool import Pool
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner
from msgspec import Struct

from bench.shop.board import Board
from bench.shop.bus import Bus
from config.settings import load
from core.messages import answers as an
from core.messages import commands as co
from core.messages import queries as qu

if TYPE_CHECKING:
    from bench.shop.account import Account

OUR_FAULT = {"MALFORMED", "DUPLICATE_ID", "DEADLINE_TOO_FAR", "CUSTOMER_UNKNOWN", "CUSTOMER_EXISTS", "KIND_UNKNOWN"}
"""Refusals that no customer should get: this scenario, or the engine, is wrong."""
COUNTERS = 50
"""So many accounts are counted at a time."""
COUNT_S = 300.0
"""So long a master waits for its workers' counts."""
_decode = msgspec.json.Decoder(an.Answer).decode
_log = logging.getLogger(__name__)


class Shop:
    """Connection, board, accounts, and a word to locust of each answer."""

    def __init__(self, environment: Environment) -> None:
        """Connect. Raises OSError."""
        settings, runner = load(), environment.runner
        assert runner is not None
        self.currency = settings.limits.currency
        self.run, self.numbers = secrets.token_hex(4), itertools.count(1)
        """In ids, so that no run and no process has another's."""
        self.goal = Event()
        """Set when one is scored; then there is a new one to wait for."""
        self.accounts: list[Account] = []
        self.board = Board(self._image)
        self._bus = Bus(settings.nats, "odds.>", self.board.hear)
        self._environment = environment
        self._counting = False
        self._counted = Event()
        environment.events.test_start.add_listener(self._open)
        environment.events.test_stop.add_listener(self._count)
        runner.register_message("goal", self._score)
        if isinstance(runner, WorkerRunner):
            runner.register_message("count", lambda **_: runner.stop(), concurrent=True)

    @property
    def options(self) -> Any:
        """As they are now: locust's page can change them."""
        return self._environment.parsed_options

    def ask(self, subject: str, message: Struct, *, seen: bool = True) -> an.Answer | None:
        """Ask once; None: no answer, or none that can be read. `seen`: in the statistics."""
        payload, seconds = self._bus.ask(subject, msgspec.json.encode(message), self.options.deadline)
        answer, kind, fault = read(message, payload)
        if seen:
            self._report(f"{subject} {kind}", seconds, len(payload or b""), fault)
        return answer

    def _report(self, name: str, seconds: float, length: int, fault: Exception | None) -> None:
        self._environment.events.request.fire(
            request_type="NATS",
            name=name,
            response_time=seconds * 1000,
            response_length=length,
            exception=fault,
            context={},
        )

    def _image(self, fixture: str, market: str) -> an.OddsImage | None:
        answer = self.ask("odds.get", qu.GetOdds(fixture, market))
        return answer if isinstance(answer, an.OddsImage) else None

    def _score(self, **_: Any) -> None:
        """Whoever waits acts at once."""
        goal, self.goal = self.goal, Event()
        goal.set()

    def _open(self, **_: Any) -> None:
        """A test starts; whoever came to an earlier one has been counted."""
        self.accounts.clear()
        self._counting = False
        self._counted.clear()

    def _count(self, **_: Any) -> None:
        """A test has stopped: does the money add up? Counted once, though Ctrl-C makes locust say so twice."""
        if self._counting:
            self._counted.wait()
            return
        self._counting, wrong = True, 0
        for account, why in Pool(COUNTERS).imap_unordered(lambda each: (each, each.amiss()), self.accounts):
            self._report("account adds up", 0, 0, AssertionError(why) if why else None)
            if why:
                wrong += 1
                _log.error("the money of %s does not add up: %s", account.id, why)
        bets = sum(len(account.bets) for account in self.accounts)
        _log.info("%d accounts with %d bets are counted, %d do not add up", len(self.accounts), bets, wrong)
        environment = self._environment
        if wrong:
            environment.process_exit_code = 1
        if isinstance(environment.runner, WorkerRunner):
            environment.runner.send_message("counted", {"wrong": wrong})
        self._counted.set()


def read(message: Struct, payload: bytes | None) -> tuple[an.Answer | None, str, Exception | None]:
    """The answer, what kind of one it is, and what is wrong with it."""
    if payload is None:
        return None, "no answer", TimeoutError("no answer within the deadline")
    try:
        answer = _decode(payload)
    except msgspec.DecodeError as error:
        return None, "unreadable", error
    if isinstance(answer, an.OrderReport):
        kind = answer.status
    else:
        kind = answer.reason if isinstance(answer, an.Rejected) else str(answer.__struct_config__.tag)
    another = isinstance(message, co.Command) and getattr(answer, "id", "") != message.id
    return answer, kind, AssertionError(payload.decode()) if another or kind in OUR_FAULT else None


def await_workers(runner: MasterRunner) -> None:
    """A master gives its workers half a second to end; they need longer to count."""
    counted: set[str] = set()

    def take(environment: Environment, msg: Any, **_: Any) -> None:
        counted.add(msg.node_id)
        if msg.data["wrong"]:
            environment.process_exit_code = 1

    def wait(**_: Any) -> None:
        runner.send_message("count")
        deadline_s = time.monotonic() + COUNT_S
        while set(runner.clients) - counted and time.monotonic() < deadline_s:
            gevent.sleep(0.1)

    runner.register_message("counted", take)
    runner.environment.events.test_start.add_listener(lambda **_: counted.clear())
    runner.environment.events.test_stop.add_listener(wait)
