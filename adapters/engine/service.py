"""`tictac engine`: one engine process, put together from its parts, from the rebuilt state to the last answer.

The start, in this order, because each step stands on the one before: HTTP (alive, not ready), NATS, streams, the
state from snapshot and journal, the running engine asked to leave, EngineStarted through the fence, and only then the
first request. The end is the same backwards. When the journal or the code fails, everything stops at once and says
nothing more: what was answered is stored, and a restart knows it.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import signal
import socket
import sys
import time
from collections.abc import Coroutine, Mapping
from contextlib import AsyncExitStack, suppress
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import asyncpg
import structlog
import uvloop
from nats.aio.client import Client
from nats.js import JetStreamContext, api
from nats.js.errors import NotFoundError

from adapters import bus, journal, logs, postgres, subjects
from adapters.bus import BusError
from adapters.codec import JSON
from adapters.engine import http, takeover
from adapters.engine.gateway import Gateway, Older
from adapters.engine.images import Images
from adapters.engine.lane import Lane
from adapters.engine.notices import Outbox
from adapters.engine.publisher import Publisher
from adapters.engine.status import Status
from adapters.journal import Journal, JournalError, JournalStoppedError, Stop, Stopped, snapshots
from adapters.postgres.projector import Projector
from config.settings import Role, Settings
from core.engine import Engine
from core.messages.answers import Started

log = structlog.get_logger(__name__)
ENDED: Final = 0
FAILED: Final = 1
FENCED: Final = 3
"""Another engine has taken over: a supervisor that starts this one again would only throw the other one out."""
_STOP_S: Final = 5.0
"""A clean stop, all of it; the demo and service managers count on it."""
_LOOK_S: Final = 1.0
"""How often it is seen whether NATS is there and a snapshot due."""


class Service:
    """One engine process. `start`, then wait for `ended`, then `stop`."""

    def __init__(
        self, settings: Settings, *, config: Path | None = None, environ: Mapping[str, str] | None = None
    ) -> None:
        """`config` and `environ` are handed on to the snapshot job, which reads its settings itself."""
        self.settings = settings
        self.engine = Engine(settings.limits)
        self.status = Status(self.engine.book)
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        """The exit status, once the process should end."""
        self.http_address = ""
        self._job = [sys.executable, "-m", "adapters.cli", *(["--config", str(config)] if config else []), "snapshot"]
        self._environ = environ
        self._parts = AsyncExitStack()
        self._tasks: set[asyncio.Task[None]] = set()
        self._client: Client
        self._lane: Lane
        self._journal: Journal
        self._gateway: Gateway
        self._leads = False
        self._snapshot_event = 0

    async def start(self) -> None:
        """Until requests are answered. Raises BusError, JournalError, or OSError for the HTTP port."""
        try:
            await self._start()
        except BaseException:
            await self._close()
            raise

    async def _start(self) -> None:
        settings, began = self.settings, time.perf_counter()
        runner = await http.serve(settings.http, self.status)
        self._parts.push_async_callback(runner.cleanup)
        self.http_address = "{}:{}".format(*runner.addresses[0][:2])
        log.info("listening", http=self.http_address)
        self._client = await self._connect("tictac-engine")
        stream = self._client.jetstream()
        await journal.create(stream, settings.journal)
        await _create_feed(stream, settings)
        self.status.waits_for = "rebuilding"
        await self._lead(await self._rebuild(stream))
        _spare_the_collector()
        await self._listen()
        self._say_started()
        self.status.waits_for = ""
        took_s = round(time.perf_counter() - began, 3)
        log.info("ready", term=self.engine.book.term, event_no=self.engine.book.event_no, seconds=took_s)

    async def stop(self) -> None:
        """Answer what has been asked, keep the state, go; within 5 s. After a failure: go at once."""
        self.status.waits_for = self.status.waits_for or "stopping"
        try:
            async with asyncio.timeout(_STOP_S):
                if self._leads and (not self.ended.done() or self.ended.result() == ENDED):
                    await self._finish()
                await self._close()
        except TimeoutError:
            log.error("stopped without a good-bye: it took too long", seconds=_STOP_S)  # noqa: TRY400  # says it all
        log.info("stopped", event_no=self.engine.book.event_no)

    # The steps of the start.

    async def _connect(self, name: str) -> Client:
        client = await bus.connect(self.settings, Role.ENGINE, name=name)
        self._parts.push_async_callback(partial(bus.close, client))
        least = self.settings.nats.payload_min_bytes
        if client.max_payload < least:
            raise BusError(f"the server takes messages of {client.max_payload} bytes; max_payload has to be {least}")
        return client

    async def _rebuild(self, stream: JetStreamContext) -> int:
        """The state as of the journal's end, whose sequence is returned; nobody else writes to it any more."""
        settings = self.settings
        book, sequence = await snapshots.rebuild(stream, settings)
        self.engine = engine = Engine(settings.limits, book)
        self.status.book = book
        self._snapshot_event = book.event_no
        await takeover.ask(self._client, settings.journal)
        async for stored in journal.read(stream, settings.journal.stream, sequence):
            for event in stored.batch.events:
                engine.apply(event)
            sequence = stored.sequence
        return sequence

    async def _lead(self, sequence: int) -> None:
        """Begin the term, through the fence. Raises JournalStoppedError when another engine was quicker."""
        status = self.status
        lane = self._lane = status.lane = Lane(self._client, self._fail, self.settings.nats.pending_bytes_max)
        client = await self._connect("tictac-engine-journal")
        writer = self._journal = status.journal = await Journal.open(
            client, self.settings, self._deliver, sequence=sequence, event_no=self.engine.book.event_no
        )
        writer.stopped.add_done_callback(self._on_journal_stopped)
        self._gateway = await self._make_gateway(writer, lane)
        self._leads = True
        instance = f"{socket.gethostname()}:{os.getpid()}"
        writer.events.append(self.engine.start(instance, version("tictac"), time.time_ns() // 1_000_000))
        await writer.settled()

    async def _make_gateway(self, writer: Journal, lane: Lane) -> Gateway:
        settings = self.settings
        publisher = Publisher(self.engine, settings.publisher, self.status.metrics)
        publisher.show_all(self.engine.book.markets())
        images = self.status.images = Images(settings.redis) if settings.redis.url else None
        if images is not None:
            self._parts.push_async_callback(images.close)
        return Gateway(
            self.engine,
            writer,
            lane.publish,
            publisher,
            settings,
            self.status.metrics,
            fail=self._fail,
            older=await self._older(),
            show=images.offer if images else lambda _: None,
        )

    async def _older(self) -> dict[str, Older]:
        """Who knows what the engine has forgotten, by its refusal."""
        if not self.settings.postgres.url:
            return {}
        pool = postgres.pool(self.settings.postgres)
        self._parts.callback(pool.terminate)
        await pool  # connects when it is first asked: a Postgres that is away keeps no engine from starting
        return {"BET_UNKNOWN": partial(postgres.bet, pool), "ORDER_UNKNOWN": partial(postgres.order, pool)}

    async def _listen(self) -> None:
        """Take requests and feeds; and let run what runs beside them."""
        gateway, lane = self._gateway, self._lane
        for subject in subjects.REQUEST_SUBJECTS:
            await lane.subscribe(subject, gateway.request)
        await lane.subscribe(subjects.FEED_SUBJECTS, gateway.feed)
        await lane.subscribe(takeover.subject(self.settings.journal), self._on_takeover)
        await lane.flush()
        gateway.start()
        if self.status.images is not None:
            self._run(self.status.images.run(), "images")
        if self.settings.projector.embedded and self.settings.postgres.url:
            client = await self._connect("tictac-engine-projector")
            source = journal.Source(client.jetstream(), self.settings.journal.stream)
            projector = self.status.projector = Projector(self.settings, source)
            self._run(projector.run(), "projector")
        self._run(self._watch(), "watch")

    def _say_started(self) -> None:
        """What the engine before was about to tell may be lost: whoever follows it asks anew, and is answered."""
        started = Started(self.engine.book.term, time.time_ns() // 1_000_000)
        self._journal.outbox.append((subjects.STARTED, JSON.encode(started)))
        self._journal.flush()

    # The steps of the end.

    async def _finish(self) -> None:
        """No new requests; the last answers; a snapshot, so that the next start is quick."""
        await self._lane.unsubscribe()
        if await self._answer_the_last():
            self._journal.close()
            stream = self._client.jetstream()
            await snapshots.save(stream, self.settings, self.engine.book, self._journal.sequence)

    async def _answer_the_last(self) -> bool:
        """What is decided is stored and answered; whether that has been possible."""
        self._gateway.stop()
        try:
            await self._journal.settled()
        except JournalStoppedError as error:
            log.warning("the last events are not stored, and not answered", detail=str(error))
            return False
        await self._lane.flush()
        return True

    async def _close(self) -> None:
        """Whatever was opened, the latest first."""
        if self._leads:
            self._gateway.stop()
        if self.status.journal is not None:
            self.status.journal.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._parts.aclose()

    # What happens meanwhile.

    def _deliver(self, outbox: Outbox) -> None:
        self._gateway.deliver(outbox)

    def _run(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """A task that should not end by itself: when it fails, so does the service."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)

        def done(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                self._fail(error)

        task.add_done_callback(done)

    def _fail(self, error: BaseException) -> None:
        """A bug of ours: nothing of what is not stored yet may leave."""
        log.critical("failed", error=repr(error), exc_info=error)
        self._end(FAILED, "failed")

    def _on_journal_stopped(self, stopped: asyncio.Future[Stopped]) -> None:
        why, detail = stopped.result()
        if why is Stop.FENCED:
            log.critical("another engine has taken over: this one ends and says nothing more", detail=detail)
            self._end(FENCED, "another engine has taken over")
        elif why is Stop.FAILED:
            self._end(FAILED, "the journal has stopped")

    def _on_takeover(self, _: str, reply: str, __: bytes) -> None:
        """Another engine has rebuilt the state and asks for the journal."""
        self._lane.stop()
        self._run(self._hand_over(reply), "hand over")

    async def _hand_over(self, reply: str) -> None:
        """Answer what is decided, write nothing more, then say so: what was on its way would shut the other out."""
        log.critical("another engine asks to take over: this one ends")
        with suppress(TimeoutError):
            async with asyncio.timeout(takeover.ANSWER_WITHIN_S / 2):
                await self._answer_the_last()
        self._journal.close()
        if reply.startswith(subjects.INBOX):
            self._lane.publish([(reply, b"")])
            await self._lane.flush()
        self._end(FENCED, "another engine takes over")

    def _end(self, status: int, why: str) -> None:
        """Say nothing more, at once; the rest is for `stop`."""
        self.status.waits_for = why
        if self.status.lane is not None:
            self.status.lane.stop()
        if self.status.journal is not None:
            self.status.journal.close()
        if self._leads:
            self._gateway.stop()
        if not self.ended.done():
            self.ended.set_result(status)

    async def _watch(self) -> None:
        """Is NATS still there, is a snapshot due?

        A process of its own makes each snapshot, from the last one and the journal: the engine does not wait for it.
        """
        while True:
            await asyncio.sleep(_LOOK_S)
            if self._client.is_closed:
                raise BusError("NATS was away for longer than nats.reconnect_attempts_max allows")
            event_no = self.engine.book.event_no
            if event_no - self._snapshot_event < self.settings.snapshot.every_events:
                continue
            self._snapshot_event = event_no
            process = await asyncio.create_subprocess_exec(*self._job, env=self._environ)
            try:
                status = await process.wait()
            finally:
                with suppress(ProcessLookupError):
                    process.terminate()
            (log.error if status else log.info)("snapshot job", status=status, event_no=event_no)


async def _create_feed(stream: JetStreamContext, settings: Settings) -> None:
    """The server itself keeps what comes in on `feed.>`, for audit and replay; nobody waits for it."""
    feed = settings.feed
    config = api.StreamConfig(
        name=feed.stream,
        subjects=[subjects.FEED_SUBJECTS],
        storage=api.StorageType.FILE,
        max_age=feed.age_max_ms / 1000,
        max_bytes=feed.bytes_max,
        num_replicas=feed.replicas,
        discard=api.DiscardPolicy.OLD,
        no_ack=True,
    )
    try:
        await stream.update_stream(config)
    except NotFoundError:
        await stream.add_stream(config)


def _spare_the_collector() -> None:
    """The rebuilt state lives as long as the process and has no cycles: the collector need not walk it again and again.

    What comes later is freed by its reference counts; cycles (exceptions with their frames, tasks) are few.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `tictac engine`."""
    parser = commands.add_parser("engine", help="take requests and feeds, decide, journal, answer")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace, settings: Settings) -> int:
    logs.set_up(settings.log)
    return uvloop.run(_serve(settings, arguments.config))


async def _serve(settings: Settings, config: Path | None) -> int:
    """Until a signal, the fence or a failure; the exit status."""
    service = Service(settings, config=config)
    loop = asyncio.get_running_loop()
    starting = asyncio.ensure_future(service.start())

    def end() -> None:
        starting.cancel()
        if not service.ended.done():
            service.ended.set_result(ENDED)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)
    try:
        await starting
    except asyncio.CancelledError:
        return ENDED
    except JournalStoppedError:
        return service.ended.result() if service.ended.done() else FAILED
    except (BusError, JournalError, OSError, asyncpg.PostgresError) as error:
        log.critical("cannot start", error=str(error) or repr(error))
        return FAILED
    status = await service.ended
    await service.stop()
    return status
