"""Health, readiness and metrics, as a load balancer and Prometheus read them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from adapters.engine import http
from adapters.metrics import Latency, Metrics
from config.settings import Http
from core.book import Book, Customer, Fixture, PendingBet, Producer
from core.messages.commands import PlaceBet
from core.messages.events import BetPending, Stage
from core.snapshot import state_hash
from tests.core.exchange.trading import MATCH, floor, placed
from tests.core.world import won


class Process:
    """As much of the engine process as the endpoints ask for."""

    def __init__(self) -> None:
        self.book = Book()
        self.metrics = Metrics()
        self.reason = ""

    def not_ready(self) -> str:
        return self.reason

    def gauges(self) -> dict[str, tuple[str, float]]:
        return {"journal_waiting": ("Answers that wait", 3)}

    def counters(self) -> dict[str, tuple[str, float]]:
        return {"journal_batches": ("Appends that are stored", 4)}

    def latencies(self) -> dict[str, tuple[str, Latency]]:
        return {"request": ("Requests", self.metrics.requests)}


@pytest.fixture
async def process() -> Process:
    return Process()


@pytest.fixture
async def get(process: Process) -> AsyncIterator[Get]:
    runner = await http.serve(Http(host="127.0.0.1", port=0), process)
    host, port = runner.addresses[0][:2]
    async with aiohttp.ClientSession(f"http://{host}:{port}") as session:
        yield Get(session)
    await runner.cleanup()


class Get:
    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def __call__(self, path: str) -> tuple[int, str]:
        async with self._session.get(path) as response:
            return response.status, await response.text()

    async def metrics(self) -> dict[str, float]:
        _, text = await self("/metrics")
        return {
            sample.name + "".join(f" {value}" for value in sample.labels.values()): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }


async def test_health_is_the_process_alone(get: Get, process: Process) -> None:
    process.reason = "the journal cannot store"
    assert await get("/health") == (200, "alive\n")


async def test_readiness_gives_its_reason(get: Get, process: Process) -> None:
    assert await get("/ready") == (200, "ready\n")
    process.reason = "the journal cannot store"
    assert await get("/ready") == (503, "the journal cannot store\n")


async def test_unknown_paths_are_not_found(get: Get) -> None:
    assert (await get("/"))[0] == 404


async def test_counters_are_exposed(get: Get, process: Process) -> None:
    process.metrics.answers.update({"Accepted": 5, "PRICE_CHANGED": 2})
    process.metrics.feed["Heartbeat"] = 7
    process.metrics.bets.update({"single": 4, "lucky15": 1})
    process.metrics.orders.update({"taken": 6, "matches": 2})
    process.metrics.cash_outs = 3
    process.metrics.feed_refused["malformed"] = 1
    process.metrics.requests.add(2.5, 4)
    process.metrics.requests.add(99_999, 1)
    found = await get.metrics()
    assert found["tictac_answers_total Accepted"] == 5
    assert found["tictac_answers_total PRICE_CHANGED"] == 2
    assert found["tictac_feed_messages_total Heartbeat"] == 7
    assert found["tictac_bets_accepted_total single"] == 4
    assert found["tictac_bets_accepted_total lucky15"] == 1
    assert found["tictac_orders_total taken"] == 6
    assert found["tictac_orders_total matches"] == 2
    assert found["tictac_cash_outs_total"] == 3
    assert found["tictac_feed_refused_total malformed"] == 1
    assert found["tictac_request_seconds_bucket 0.002"] == 0
    assert found["tictac_request_seconds_bucket 0.003"] == 4
    assert found["tictac_request_seconds_count"] == 5
    assert found["tictac_request_seconds_sum"] == pytest.approx(100.009)
    assert found["tictac_journal_waiting"] == 3
    assert found["tictac_journal_batches_total"] == 4
    assert found["process_open_fds"] > 0


async def test_the_book_is_exposed(get: Get, process: Process) -> None:
    book = process.book
    book.open_bets = 12
    bet = PlaceBet("b", 1, "c", 100, ())
    for name, stage in (("1", Stage.DELAYED), ("2", Stage.REFERRED), ("3", Stage.DELAYED)):
        asked = BetPending(0, name, 0, "c", "EUR", 100, 1, stage.value, bet)
        book.pending[name] = PendingBet(asked, Customer("c", "EUR"), 100, 1, stage.value)
    book.producers["p", "1"] = Producer("p", "1", "p.1", 1, 0, up=True)
    for number in range(40):
        book.fixtures[f"f{number}"] = Fixture(f"f{number}", "p.1", "A - B", "football", "Cup", 0, liability_m=number)
    found = await get.metrics()
    assert found["tictac_bets_open"] == 12
    waiting = {name: value for name, value in found.items() if name.startswith("tictac_bets_pending")}
    assert waiting == {
        "tictac_bets_pending delayed": 2,
        "tictac_bets_pending referred": 1,
        "tictac_bets_pending offered": 0,
    }
    assert found["tictac_producer_up p.1"] == 1
    worst = {name: value for name, value in found.items() if name.startswith("tictac_fixture_liability_m")}
    assert worst == {f"tictac_fixture_liability_m f{number}": number for number in range(10, 40)}


async def test_the_state_is_told_with_its_hash(get: Get, process: Process) -> None:
    process.book.term, process.book.event_no = 2, 7
    status, text = await get("/state")
    assert (status, json.loads(text)) == (200, {"term": 2, "event_no": 7, "state_hash": state_hash(process.book)})


async def test_a_port_that_is_taken_is_an_error_at_the_start(process: Process) -> None:
    runner = await http.serve(Http(host="127.0.0.1", port=0), process)
    port = runner.addresses[0][1]
    with pytest.raises(OSError, match=rf"http.host 127.0.0.1, http.port {port}: .*in use"):
        await http.serve(Http(host="127.0.0.1", port=port), process)
    await runner.cleanup()


async def test_what_exchange_markets_hold_is_exposed(get: Get, process: Process) -> None:
    world = floor("anna", "bob")
    placed(world, "anna", "home", "back", 20_000, 1_000)
    placed(world, "bob", "home", "lay", 20_000, 400)
    placed(world, "bob", "away", "lay", 30_000, 100)
    process.book = world.book
    found = await get.metrics()
    names = "tictac_orders_held", "tictac_trades_held", "tictac_exchange_clearing"
    assert [found[name] for name in names] == [3, 2, 0]
    world.results(MATCH, won("home"))
    assert (await get.metrics())["tictac_exchange_clearing"] == 1
