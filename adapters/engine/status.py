"""What the engine process says of itself over HTTP: whether it is ready, and the figures of its parts."""

from __future__ import annotations

from adapters.engine.images import Images
from adapters.engine.lane import Lane
from adapters.journal import Journal
from adapters.metrics import Latency, Metrics
from adapters.postgres.projector import Projector
from core.book import Book
from core.units import RATE_ONE, base_up

Figures = dict[str, tuple[str, float]]


class Status:
    """Filled in as the process starts; what is not there yet, or is off, has no figures."""

    def __init__(self, book: Book) -> None:
        """Nothing but an empty book."""
        self.book = book
        self.metrics = Metrics()
        self.waits_for = "starting"
        """Why it takes no requests; empty: it does."""
        self.journal: Journal | None = None
        self.lane: Lane | None = None
        self.projector: Projector | None = None
        self.images: Images | None = None

    def not_ready(self) -> str:
        """Why it is not ready; empty: it is."""
        if self.waits_for:
            return self.waits_for
        return "the journal cannot store" if self.journal is not None and self.journal.blocked else ""

    def gauges(self) -> Figures:
        """What goes up and down."""
        owed, rates = self.book.owed, self.book.rates
        owed_m = sum(base_up(sum_m, rates.get(currency, RATE_ONE)) for currency, sum_m in owed.sums_m.items())
        found: Figures = {
            "customers_below_zero": ("Customers whose cash a resettlement has taken below zero", owed.customers),
            "below_zero_m": ("By how much together, in minor units of the book's currency", owed_m),
        }
        if self.journal is not None:
            found["journal_waiting"] = ("Answers and notices that wait for the journal", self.journal.waiting)
            found["journal_in_flight"] = ("Appends under way", self.journal.in_flight)
            found["journal_blocked"] = ("1: nothing can be stored for now", self.journal.blocked)
        if self.projector is not None:
            found["projector_lag_events"] = ("Events that Postgres does not have yet", self.projector.lag_events)
            found["projector_lag_seconds"] = ("How far Postgres is behind", self.projector.lag_ms / 1000)
        if self.images is not None:
            found["redis_up"] = ("1: images are written", self.images.up)
        return found

    def counters(self) -> Figures:
        """What only grows."""
        found: Figures = {}
        if self.journal is not None:
            stored = self.journal.metrics
            found["journal_batches"] = ("Appends that are stored", stored.batches)
            found["journal_events"] = ("Events that are stored", stored.events)
            found["journal_bytes"] = ("Bytes that are stored", stored.bytes)
            found["journal_settled"] = ("How often the outcome of an append had to be read", stored.settled)
        if self.lane is not None:
            found["messages_lost"] = ("Messages that could not be sent", self.lane.lost)
        if self.images is not None:
            found["redis_images"] = ("Images written to Redis", self.images.written)
        return found

    def latencies(self) -> dict[str, tuple[str, Latency]]:
        """Histograms."""
        found = {"request": ("From a request's turn until its answer is written", self.metrics.requests)}
        if self.journal is not None:
            found["journal_append"] = ("From sending an append until it is stored", self.journal.metrics.latency)
        return found
