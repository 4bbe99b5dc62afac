"""Health, readiness and metrics over HTTP. No secrets and no actions here; still, it listens on loopback by default.

`/health`: the process answers. `/ready`: it is the leader, has rebuilt its state and can store; else 503 with the
reason. `/metrics`: Prometheus' text format, made from the counters of the process when asked. `/state`: event number
and hash of the state, to compare it with a rebuilt one; computed when asked, which takes the loop 0.2 s for a million
bets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from heapq import nlargest
from typing import Protocol

from aiohttp import web
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from adapters.metrics import Latency, Metrics
from config.settings import Http
from core.book import Book
from core.messages.events import Stage
from core.snapshot import state_hash

_LIABILITIES = 30
"""Fixtures whose liability is a metric: the worst; all of them would be as many time series as fixtures."""
_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Process(Protocol):
    """What the endpoints ask of the engine process."""

    @property
    def book(self) -> Book:
        """The state."""

    @property
    def metrics(self) -> Metrics:
        """The counters."""

    def not_ready(self) -> str:
        """Why it is not ready; empty: it is."""

    def gauges(self) -> dict[str, tuple[str, float]]:
        """Name -> (description, value): whatever the process's parts have to say besides."""

    def counters(self) -> dict[str, tuple[str, float]]:
        """The same for what only grows."""

    def latencies(self) -> dict[str, tuple[str, Latency]]:
        """Name -> (description, histogram)."""


async def serve(settings: Http, process: Process) -> web.AppRunner:
    """Listen until the runner is cleaned up; port 0 takes a free one (`runner.addresses`)."""
    registry = CollectorRegistry()
    for collector in (GCCollector, PlatformCollector, ProcessCollector):
        collector(registry=registry)
    registry.register(_Collector(process))

    async def health(_: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def ready(_: web.Request) -> web.Response:
        reason = process.not_ready()
        return web.Response(status=503 if reason else 200, text=f"{reason or 'ready'}\n")

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": _CONTENT_TYPE})

    async def state(_: web.Request) -> web.Response:
        book = process.book
        return web.json_response({"term": book.term, "event_no": book.event_no, "state_hash": state_hash(book)})

    application = web.Application(client_max_size=1024)  # nobody has anything to send here
    application.router.add_get("/health", health)
    application.router.add_get("/ready", ready)
    application.router.add_get("/metrics", metrics)
    application.router.add_get("/state", state)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.host, settings.port).start()
    except OSError as error:
        await runner.cleanup()
        raise OSError(f"http.host {settings.host}, http.port {settings.port}: {error.strerror or error}") from error
    return runner


class _Collector(Collector):
    def __init__(self, process: Process) -> None:
        self._process = process

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        """All of it, at the moment of asking."""
        process = self._process
        yield from _counted(process.metrics)
        yield from _book(process.book)
        for name, (description, value) in process.gauges().items():
            yield GaugeMetricFamily(f"tictac_{name}", description, value)
        for name, (description, value) in process.counters().items():
            yield CounterMetricFamily(f"tictac_{name}", description, value)
        for name, (description, latency) in process.latencies().items():
            histogram = HistogramMetricFamily(f"tictac_{name}_seconds", description)
            histogram.add_metric([], buckets=latency.buckets(), sum_value=latency.sum_ms / 1000)
            yield histogram


def _counted(metrics: Metrics) -> Iterable[Metric]:
    for name, description, label, counts in (
        ("tictac_answers", "Answers given, refusals by their reason", "answer", metrics.answers),
        ("tictac_feed_messages", "Feed messages taken", "type", metrics.feed),
        ("tictac_feed_refused", "Feed messages passed over", "why", metrics.feed_refused),
        ("tictac_published", "Odds and notices published", "kind", metrics.odds),
        ("tictac_bets_accepted", "Bets accepted", "kind", metrics.bets),
        ("tictac_orders", "Orders of exchange markets taken, and their matches", "what", metrics.orders),
    ):
        family = CounterMetricFamily(name, description, labels=[label])
        for value, count in counts.items():
            family.add_metric([value], count)
        yield family
    yield CounterMetricFamily("tictac_unanswerable", "Requests without an inbox", metrics.unanswerable)
    yield CounterMetricFamily("tictac_cash_outs", "Bets, or shares of them, sold back", metrics.cash_outs)


def _book(book: Book) -> Iterable[Metric]:
    for name, description, value in (
        ("tictac_events", "Number of the last event", book.event_no),
        ("tictac_term", "How often an engine has taken the journal over", book.term),
        ("tictac_bets_open", "Open bets", book.open_bets),
        ("tictac_bets_held", "Bets in memory, open or not", len(book.bets)),
        ("tictac_orders_held", "Orders in memory, those matched among them", len(book.orders)),
        ("tictac_trades_held", "Sides of matches in memory", book.trades),
        (
            "tictac_exchange_clearing",
            "Exchange markets with slices to be done",
            len(book.clearing),
        ),
        ("tictac_customers", "Customers", len(book.customers)),
        ("tictac_fixtures", "Fixtures in memory", len(book.fixtures)),
        ("tictac_answers_kept", "Answers kept for retries", len(book.answers)),
        ("tictac_liability_m", "Worst case of the whole book, minor units", book.liability_m),
    ):
        yield GaugeMetricFamily(name, description, value)
    waiting = GaugeMetricFamily("tictac_bets_pending", "Bets that wait", labels=["stage"])
    stages = Counter(pending.stage for pending in book.pending.values())
    for stage in Stage:
        waiting.add_metric([stage.name.lower()], stages[stage.value])
    yield waiting
    producers = GaugeMetricFamily("tictac_producer_up", "1: alive and recovered", labels=["producer"])
    for producer in book.producers.values():
        producers.add_metric([producer.source], producer.up)
    yield producers
    worst = GaugeMetricFamily("tictac_fixture_liability_m", "The worst fixtures, minor units", labels=["fixture"])
    for fixture in nlargest(_LIABILITIES, book.fixtures.values(), key=lambda fixture: fixture.liability_m):
        worst.add_metric([fixture.id], fixture.liability_m)
    yield worst
