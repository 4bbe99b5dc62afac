"""The engine's ear: requests and feed messages come in, are decided at once, and their answers wait for the journal.

Everything happens in turns of the event loop. Messages of one turn share one time; at its end time passes in the engine
(`tick`), the notices and the publisher add what has changed, and the journal may send what has come together. One
message is one synchronous path with no await in it, so nothing can come between decision, events and answer.

What is long, the settlement of a large market above all, must not delay the bets on others. It gets
`gateway.slices_ms` of a turn; then, for `gateway.slices_pause_ms` and until what it brought is on its way to the
journal, the loop belongs to the requests. So however slow the journal is, no batch has more of it than one turn's.

What is bounded: requests whose answers are not out (`gateway.pending_max`; past it BUSY, undecided), the bytes of a
message, a feed's too, and its bets, the events that wait for the journal (past `feed.pending_max` feed messages are
dropped, which their producer's gap in sequence shows to the engine), and questions that wait for Postgres.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import structlog
from msgspec.structs import replace

from adapters import codec, subjects
from adapters.codec import UNREADABLE, WIRE_OF, MalformedError, Wire
from adapters.engine.notices import Notices, Outbox
from adapters.engine.publisher import Publisher
from adapters.metrics import Metrics, seldom
from adapters.subjects import ENGINE_INBOX, INBOX
from config.settings import Settings
from core import invariants
from core.engine import Engine
from core.messages.answers import Answer, BetState, BookImage, OddsImage, Orders, OrderState, Rejected
from core.messages.commands import PlaceBet, PlaceOrder
from core.messages.events import Event
from core.messages.feed import RecoverRequest
from core.messages.queries import GetBet, GetBook, GetOdds, GetOrder, GetOrders
from core.messages.rejections import Rejection

log = structlog.get_logger(__name__)
_KNOWN = Rejection.NOTHING_TO_CHANGE.name
Older = Callable[[str], Awaitable[BetState | OrderState | Rejected | None]]
"""Finds a bet, or an order, that the engine has forgotten."""


class Journal(Protocol):
    """The port to the journal's writer (adapters/journal/writer.py)."""

    events: list[Event]
    outbox: Outbox

    @property
    def blocked(self) -> bool:
        """It cannot store for now; commands are answered BUSY."""

    @property
    def waiting(self) -> int:
        """Entries of outboxes that are not delivered yet."""

    def flush(self) -> None:
        """Send the open batch, if fewer than the most are under way."""


class _Turn(NamedTuple):
    """What to do when a turn's answers have gone out."""

    last: int
    """The number of its last entry, counted over all outboxes since the start."""
    answers: int
    started: float
    images: list[OddsImage | BookImage]


class Gateway:
    """Decodes, asks the engine, encodes; its `request` and `feed` are the handlers of a lane."""

    def __init__(
        self,
        engine: Engine,
        journal: Journal,
        publish: Callable[[Outbox], None],
        publisher: Publisher,
        settings: Settings,
        metrics: Metrics,
        *,
        fail: Callable[[BaseException], None],
        older: Mapping[str, Older] = {},
        show: Callable[[list[OddsImage | BookImage]], None] = lambda _: None,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """`publish` writes to the bus; `fail` is told of our own bugs; `show` gets the images that are stored.

        `older`: for the refusal of what is not known, who may know it yet.
        """
        self.engine = engine
        self.metrics = metrics
        self.stopped = False
        self._answered = metrics.answers
        self._journal = journal
        self._publish = publish
        self._publisher = publisher
        self._notices = Notices(engine, metrics)
        self._settings = settings
        self._fail = fail
        self._finders = older
        self._show = show
        self._clock_ms = clock_ms
        self._bytes_max = settings.gateway.message_bytes_max
        self._now_ms = 0
        """The time of the turn; 0: no turn has begun."""
        self._started = 0.0
        self._room = 0
        """How many more requests the turn may decide."""
        self._answers = 0
        self._decided = 0
        self._direct: Outbox = []
        """Refusals without a trace, which show nothing and wait for nothing."""
        self._turns: deque[_Turn] = deque()
        self._delivered = 0
        """Entries of outboxes that have gone out."""
        self._older: set[asyncio.Task[None]] = set()
        self._feed_subjects: dict[tuple[str, str], str] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._pause: asyncio.TimerHandle | None = None
        """Runs between two turns with slices."""
        self._sliced: list[Event] | None = None
        """The batch that the last slices joined: there are no more until it is sent."""
        self._special: dict[type, Callable[[Any, str, Wire], None]] = {
            list: self._many,
            GetBet: self._get_bet,
            GetOrder: self._get_order,
            GetOdds: self._get_odds,
            GetBook: self._get_book,
            GetOrders: self._get_orders,
        }

    def start(self) -> None:
        """Let time pass from now on, messages or not."""
        self._on_timer()

    def stop(self) -> None:
        """Decide nothing more; what the journal acknowledges is still delivered."""
        self.stopped = True
        for timer in (self._timer, self._pause):
            if timer is not None:
                timer.cancel()
        for task in self._older:
            task.cancel()

    def deliver(self, outbox: Outbox) -> None:
        """The journal's word that everything these answers rest on is stored."""
        self._publish(outbox)
        self._delivered += len(outbox)
        turns, now = self._turns, time.perf_counter()
        while turns and turns[0].last <= self._delivered:
            turn = turns.popleft()
            self.metrics.requests.add((now - turn.started) * 1000, turn.answers)
            if turn.images:
                self._show(turn.images)

    def request(self, subject: str, reply: str, payload: bytes) -> None:
        """A command or a query."""
        now_ms = self._now_ms or self._begin_turn()
        # Anybody may name any subject to be answered on, and we may write to the journal's: only to inboxes, and not to
        # our own, where an answer would be taken for the word of an engine that takes over (takeover.py).
        if not reply.startswith(INBOX) or reply.startswith(ENGINE_INBOX):
            self._unanswerable(subject, reply)
            return
        if len(payload) > self._bytes_max:
            self._malformed(subject, reply, payload)
            return
        try:
            # The path of every bet: two look-ups and the decoder. What is wrong with a message is found out afterwards.
            wire = WIRE_OF[payload[0]]
            message = wire.requests[subject](payload)
        except UNREADABLE:
            self._malformed(subject, reply, payload)
            return
        special = self._special.get(type(message))
        if special is not None:
            special(message, reply, wire)
            return
        if self._room <= 0:
            self._refuse(codec.busy(getattr(message, "id", "")), reply, wire)
            return
        answer, events = self.engine.execute(message, now_ms)
        # As _keep and _reply, without the calls: 0.4 us of 4.
        journal = self._journal
        if events:
            journal.events.extend(events)
            self._notices.of_command(events, journal.outbox)
        journal.outbox.append((reply, wire.encode(answer)))
        self._answers += 1
        self._room -= 1
        self._answered[answer.reason if type(answer) is Rejected else type(answer).__name__] += 1

    def feed(self, subject: str, _: str, payload: bytes) -> None:
        """A feed message; one that is not taken is counted, logged, and leaves a gap in its producer's sequence."""
        now_ms = self._now_ms or self._begin_turn()
        metrics = self.metrics
        if len(self._journal.events) >= self._settings.feed.pending_max:
            metrics.feed_refused["overload"] += 1
            return
        if len(payload) > self._settings.feed.message_bytes_max:
            self._feed_refused("malformed", subject, f"{len(payload)} bytes")
            return
        try:
            message = codec.decode_feed(payload)
        except MalformedError as error:
            self._feed_refused("malformed", subject, str(error))
            return
        if subject != self._feed_subject(message.provider, message.producer):
            # Permissions are by subject: who may publish for one producer must not speak for another.
            self._feed_refused("subject", subject, f"speaks for {message.provider}.{message.producer}"[:200])
            return
        if message.ts_ms > now_ms + self._settings.feed.ahead_max_ms:
            self._feed_refused("clock", subject, f"ts_ms is {message.ts_ms - now_ms} ms ahead")
            return
        metrics.feed[type(message).__name__] += 1
        passed_over, events = self.engine.execute(message, now_ms)
        if events:
            self._journal.events.extend(events)
            self._notices.tell(events, self._journal.outbox)
        # That something is known already is no refusal: a recovery says all of it again.
        if isinstance(passed_over, Rejected) and passed_over.reason != _KNOWN:
            self._feed_refused(passed_over.reason, subject, passed_over.detail)

    # One turn.

    def _begin_turn(self) -> int:
        self._now_ms = now_ms = self._clock_ms()
        self._started = time.perf_counter()
        journal = self._journal
        self._room = 0 if journal.blocked or self.stopped else self._settings.gateway.pending_max - journal.waiting
        asyncio.get_running_loop().call_soon(self._end_turn)
        return now_ms

    def _on_timer(self) -> None:
        if self.stopped:
            return
        self._timer = asyncio.get_running_loop().call_later(self._settings.gateway.tick_ms / 1000, self._on_timer)
        now_ms = self._now_ms or self._begin_turn()
        for request in self.engine.recoveries_due(now_ms):
            self._recover(request)

    def _end_turn(self) -> None:
        if self.stopped:
            return
        try:
            again = self._pass_time()
            self._close_turn()
        except BaseException as error:  # noqa: BLE001  # our bug, or the loop's end: the owner decides, nothing else goes out
            self._fail(error)
            return
        if again:
            self._begin_turn()

    def _pass_time(self) -> bool:
        """Let time pass in the engine; whether it has more to do at once."""
        journal, now_ms = self._journal, self._now_ms
        if journal.blocked or len(journal.events) >= self._settings.feed.pending_max:
            return False
        events = self.engine.tick(now_ms, slices=False)
        self._join(events)
        self._join(self._advance(now_ms))
        if self._room > 0:
            self._notices.repeat(journal.outbox, now_ms)
            self._publisher.collect(journal.outbox, now_ms)
        return bool(events)

    def _advance(self, now_ms: int) -> list[Event]:
        """Slices of what is long, for as long as a turn may last for it."""
        events: list[Event] = []
        if self._pause is not None:
            return events
        settings, batch = self._settings.gateway, self._journal.events
        if batch is not self._sliced:
            until = time.perf_counter() + settings.slices_ms / 1000
            while some := self.engine.advance(now_ms):
                events.extend(some)
                if time.perf_counter() >= until:
                    break
            if not events:
                return events
            self._sliced = batch
        self._pause = asyncio.get_running_loop().call_later(settings.slices_pause_ms / 1000, self._on_pause_over)
        return events

    def _join(self, events: Sequence[Event]) -> None:
        """Events of passing time, and who is to be told of them."""
        if events:
            self._journal.events.extend(events)
            self._notices.tell(events, self._journal.outbox)

    def _on_pause_over(self) -> None:
        self._pause = None
        if not (self._now_ms or self.stopped):
            self._begin_turn()

    def _close_turn(self) -> None:
        self._notices.trading.flush(self._journal.outbox)
        images = self._publisher.take_images()
        if self._answers or images:
            last = self._delivered + self._journal.waiting
            self._turns.append(_Turn(last, self._answers, self._started, images))
        self._check_invariants()
        self._now_ms = self._answers = 0
        self._journal.flush()
        if self._direct:
            direct, self._direct = self._direct, []
            self._publish(direct)

    def _check_invariants(self) -> None:
        every = self._settings.gateway.check_every
        self._decided += self._answers
        if every and self._decided >= every:
            self._decided = 0
            invariants.check(self.engine.book)

    # Within a message.

    def _why(self, subject: str, payload: bytes) -> str:
        """What is wrong with a request that cannot be read."""
        if len(payload) > self._bytes_max:
            return f"Expected at most {self._bytes_max} bytes, got {len(payload)}"
        if subject not in codec.REQUESTS:
            return f"There is no request {subject[:100]}"
        try:
            codec.wire_of(payload).requests[subject](payload)
        except UNREADABLE as error:
            return codec.explain(error)
        raise AssertionError(f"it can be read: {payload!r:.100}")

    def _keep(self, events: Sequence[Event]) -> None:
        if events:
            self._journal.events.extend(events)
            self._notices.of_command(events, self._journal.outbox)

    def _reply(self, answer: Answer | None, reply: str, wire: Wire) -> None:
        self._journal.outbox.append((reply, wire.encode(answer)))
        self._answers += 1
        self._room -= 1
        self._answered[answer.reason if type(answer) is Rejected else type(answer).__name__] += 1

    def _refuse(self, refusal: Rejected, reply: str, wire: Wire) -> None:
        self._answered[refusal.reason] += 1
        self._direct.append((reply, wire.encode(refusal)))

    def _malformed(self, subject: str, reply: str, payload: bytes) -> None:
        """Answered without a trace; in an array of bets the other bets are decided nevertheless."""
        wire = WIRE_OF.get(payload[0], codec.JSON) if payload else codec.JSON
        request = codec.REQUESTS.get(subject)
        if request is not None and request.many and len(payload) <= self._bytes_max:
            try:
                pieces = [bytes(piece) for piece in wire.pieces(payload)]
            except UNREADABLE:
                pieces = []
            if pieces:
                self._many([self._piece(wire, subject, piece) for piece in pieces], reply, wire)
                return
        self._refuse(codec.malformed(self._why(subject, payload), wire.named(payload[: self._bytes_max])), reply, wire)

    def _piece(self, wire: Wire, subject: str, payload: bytes) -> PlaceBet | PlaceOrder | Rejected:
        try:
            piece = wire.requests[subject](payload)
        except UNREADABLE as error:
            return codec.malformed(codec.explain(error), wire.named(payload))
        return piece if isinstance(piece, PlaceBet | PlaceOrder) else codec.malformed("Expected `object`, got `array`")

    def _many(self, messages: list[PlaceBet | PlaceOrder | Rejected], reply: str, wire: Wire) -> None:
        """Several bets, or orders, in one message: each decided on its own, one answer that holds all answers."""
        most = self._settings.gateway.bets_per_message_max
        if not 1 <= len(messages) <= most:
            self._refuse(codec.malformed(f"Expected 1 to {most} messages, got {len(messages)}"), reply, wire)
            return
        answers: list[Answer | None] = []
        for message in messages:
            answer: Answer | None
            if isinstance(message, Rejected):
                answer = message
            elif self._room > 0:
                answer, events = self.engine.execute(message, self._now_ms)
                self._keep(events)
                self._room -= 1
            else:
                answer = codec.busy(message.id)
            answers.append(answer)
            self._answered[answer.reason if type(answer) is Rejected else type(answer).__name__] += 1
        self._journal.outbox.append((reply, wire.encode(answers)))
        self._answers += len(answers)

    def _get_odds(self, query: GetOdds, reply: str, wire: Wire) -> None:
        if self._room <= 0:
            self._refuse(codec.busy(""), reply, wire)
            return
        self._reply(self._publisher.answer(query, self._journal.outbox, self._now_ms), reply, wire)

    def _get_book(self, query: GetBook, reply: str, wire: Wire) -> None:
        if self._room <= 0:
            self._refuse(codec.busy(""), reply, wire)
            return
        self._reply(self._publisher.answer_book(query, self._journal.outbox, self._now_ms), reply, wire)

    def _get_orders(self, query: GetOrders, reply: str, wire: Wire) -> None:
        """With the number of the last notice, so that he knows which ones are newer."""
        if self._room <= 0:
            self._refuse(codec.busy(""), reply, wire)
            return
        answer, _ = self.engine.execute(query, self._now_ms)
        if isinstance(answer, Orders):
            answer = replace(answer, sequence=self._notices.trading.sequence(query.customer))
        self._reply(answer, reply, wire)

    def _get_bet(self, query: GetBet, reply: str, wire: Wire) -> None:
        self._get_older(query, query.bet, reply, wire)

    def _get_order(self, query: GetOrder, reply: str, wire: Wire) -> None:
        self._get_older(query, query.order, reply, wire)

    def _get_older(self, query: GetBet | GetOrder, name: str, reply: str, wire: Wire) -> None:
        """What the engine has forgotten may be known to somebody else."""
        if self._room <= 0:
            self._refuse(codec.busy(name), reply, wire)
            return
        answer, _ = self.engine.execute(query, self._now_ms)
        find = self._finders.get(answer.reason) if type(answer) is Rejected else None
        if find is None or type(answer) is not Rejected:
            self._reply(answer, reply, wire)
        elif len(self._older) >= self._settings.gateway.older_pending_max:
            self._refuse(codec.busy(name), reply, wire)
        else:
            task = asyncio.get_running_loop().create_task(self._ask_older(find, answer, name, reply, wire))
            self._older.add(task)
            task.add_done_callback(self._older.discard)

    async def _ask_older(self, find: Older, unknown: Rejected, name: str, reply: str, wire: Wire) -> None:
        """What Postgres has was journalled long ago, so its answer need not wait."""
        try:
            answer: Answer = await find(name) or unknown
        except Exception as error:  # noqa: BLE001  # whatever the database's trouble is, betting goes on
            log.warning("not found in Postgres", id=name, error=repr(error))
            answer = codec.busy(name)
        if not self.stopped:
            self.metrics.answers[answer.reason if isinstance(answer, Rejected) else type(answer).__name__] += 1
            self._publish([(reply, wire.encode(answer))])

    def _feed_subject(self, provider: str, producer: str) -> str:
        """Kept, because it is needed for each message; bounded as the engine's producers are."""
        kept = self._feed_subjects
        subject = kept.get((provider, producer))
        if subject is None:
            if len(kept) >= self._settings.limits.producers_max:
                kept.clear()
            subject = kept[provider, producer] = subjects.feed(provider, producer)
        return subject

    def _recover(self, request: RecoverRequest) -> None:
        log.info("recovery asked for", provider=request.provider, producer=request.producer)
        subject = subjects.feed_control(request.provider, request.producer)
        self._direct.append((subject, codec.JSON.encode(request)))

    def _unanswerable(self, subject: str, reply: str) -> None:
        count = self.metrics.unanswerable = self.metrics.unanswerable + 1
        if seldom(count - 1, count):
            log.warning("request without an inbox for its answer", subject=subject[:100], reply=reply[:100])

    def _feed_refused(self, why: str, subject: str, detail: str) -> None:
        counts = self.metrics.feed_refused
        count = counts[why] = counts[why] + 1
        if seldom(count - 1, count):
            log.warning("feed message not taken", why=why, count=count, subject=subject[:100], detail=detail)
