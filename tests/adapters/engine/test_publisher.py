"""Whoever follows `odds.>` as the publisher's docstring says holds what the engine offers, whenever he came."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from adapters import subjects
from adapters.engine.notices import Outbox
from adapters.engine.publisher import Publisher, difference
from adapters.metrics import Metrics
from config.settings import load
from core.engine import Engine
from core.limits import Limits
from core.messages import answers as an
from core.messages import commands as co
from core.messages.queries import GetOdds
from core.messages.results import EachWay, Result

NOW = 1_800_000_000_000
Odds = dict[str, Any]


class Rig:
    """An engine with markets that the desk prices, and its publisher."""

    def __init__(self, markets: int = 1, **settings: int) -> None:
        self.engine = Engine(Limits())
        self.engine.start("test", "0", NOW)
        self.publisher = Publisher(
            self.engine, replace(load(environ={}).publisher, **{"markets_per_turn_max": 100, **settings}), Metrics()
        )
        self.now_ms = NOW
        self.count = 0
        self.do(co.DefineFixture, fixture="f", name="A - B", sport="football", competition="Cup", start_ms=NOW + 10**7)
        for number in range(markets):
            selections = (co.NamedSelection("home", "A"), co.NamedSelection("away", "B"))
            market = f"m{number}"
            self.do(co.DefineMarket, fixture="f", market=market, market_type="t", name="R", selections=selections)
            self.do(co.OpenMarket, fixture="f", market=market)

    def do(self, command: type[co.DeskCommand], **fields: Any) -> None:
        self.count += 1
        answer, _ = self.engine.execute(command(f"c{self.count}", self.now_ms + 1, author="tom", **fields), self.now_ms)
        assert isinstance(answer, an.Done), answer

    def price(self, price: int, selection: str = "home", market: str = "m0") -> None:
        self.do(co.SetPrice, fixture="f", market=market, selection=selection, price=price)

    def collect(self, after_ms: int = 50) -> list[tuple[str, Odds]]:
        self.now_ms += after_ms
        outbox: Outbox = []
        self.publisher.collect(outbox, self.now_ms)
        return [(subject, msgspec.json.decode(payload)) for subject, payload in outbox]

    def ask(self, market: str = "m0") -> tuple[Odds, list[Odds]]:
        """The answer to `odds.get`, and what everybody was sent with it."""
        outbox: Outbox = []
        answer = self.publisher.answer(GetOdds("f", market), outbox, self.now_ms)
        return msgspec.to_builtins(answer), [msgspec.json.decode(payload) for _, payload in outbox]


def test_first_an_image_then_deltas() -> None:
    r = Rig()
    ((subject, image),) = r.collect()
    assert subject == "odds.f.m0"
    assert (image["type"], image["prices"]) == ("image", [["home", "A", 0], ["away", "B", 0]])
    r.price(21_500)
    ((_, delta),) = r.collect()
    assert delta == {
        "type": "delta",
        "fixture": "f",
        "market": "m0",
        "base": image["version"],
        "version": delta["version"],
        "status": "open",
        "in_play": False,
        "prices": [["home", 21_500]],
    }
    assert delta["version"] > image["version"]


def test_a_status_is_a_delta_too() -> None:
    r = Rig()
    r.collect()
    r.do(co.SuspendMarket, fixture="f", market="m0")
    ((_, delta),) = r.collect()
    assert (delta["type"], delta["status"], delta["prices"]) == ("delta", "suspended", [])


def test_a_new_structure_is_an_image() -> None:
    r = Rig()
    r.collect()
    more = tuple(co.NamedSelection(name, name) for name in ("home", "away", "draw"))
    r.do(co.DefineMarket, fixture="f", market="m0", market_type="t", name="R", selections=more)
    ((_, image),) = r.collect()
    assert (image["type"], len(image["prices"])) == ("image", 3)


@pytest.mark.parametrize(
    ("changed", "shown"),
    [
        ({"specifiers": {"total": "2.5"}}, {"total": "2.5"}),
        ({"each_way": EachWay(3, 1, 5)}, [3, 1, 5, False]),
        ({"delay_ms": 5_000}, 5_000),
        ({"name": "Winner"}, "Winner"),
    ],
)
def test_what_a_delta_does_not_say_is_an_image(changed: dict[str, Any], shown: object) -> None:
    r = Rig()
    r.collect()
    selections = (co.NamedSelection("home", "A"), co.NamedSelection("away", "B"))
    fields = {"market_type": "t", "name": "R", "selections": selections} | changed
    r.do(co.DefineMarket, fixture="f", market="m0", **fields)
    ((_, image),) = r.collect()
    (name,) = changed
    assert (image["type"], image["market_name" if name == "name" else name]) == ("image", shown)


def test_changes_within_the_interval_are_sent_once() -> None:
    r = Rig()
    r.collect()
    for price in (20_000, 21_000, 22_000):
        r.price(price)
        assert r.collect(after_ms=10) == []
    ((_, delta),) = r.collect(after_ms=20)
    assert delta["prices"] == [["home", 22_000]]


def test_one_turn_sends_no_more_than_it_may() -> None:
    r = Rig(markets=10, markets_per_turn_max=4)
    turns = [r.collect(after_ms=1 if turn else 50) for turn in range(4)]
    assert [len(sent) for sent in turns] == [4, 4, 2, 0]
    assert len({subject for sent in turns for subject, _ in sent}) == 10


def test_nothing_changed_nothing_sent() -> None:
    r = Rig()
    r.collect()
    assert r.collect() == []


def test_a_settled_market_is_shown_once_more_and_forgotten() -> None:
    r = Rig()
    r.collect()
    r.do(co.SettleMarket, fixture="f", market="m0", results=(Result("home", 1), Result("away", 0)))
    ((_, last),) = r.collect()
    assert last["status"] == "settled"
    assert r.publisher._shown == {}


def test_an_unknown_market_is_said_to_be() -> None:
    assert Rig().ask("nowhere")[0]["reason"] == "MARKET_UNKNOWN"


def test_after_a_start_every_market_is_shown_also_one_that_is_over() -> None:
    """The engine before may have died between the end of a market and the word of it."""
    r = Rig(markets=3)
    held = {subject: message["version"] for subject, message in r.collect()}
    r.do(co.SettleMarket, fixture="f", market="m1", results=(Result("home", 1), Result("away", 0)))
    r.engine.start("engine-2", "0", NOW)
    r.engine.take_touched()
    r.publisher = Publisher(r.engine, load(environ={}).publisher, Metrics())
    r.publisher.show_all(r.engine.book.markets())
    told = dict(r.collect())
    statuses = {subject: message["status"] for subject, message in told.items()}
    assert statuses == {"odds.f.m0": "open", "odds.f.m1": "settled", "odds.f.m2": "open"}
    assert all(message["version"] > held[subject] for subject, message in told.items())
    assert r.publisher._shown.keys() == {("f", "m0"), ("f", "m2")}


def test_the_same_is_no_difference() -> None:
    r = Rig()
    image = r.engine.image(next(r.engine.book.markets()), NOW)
    assert difference(image, image) is None


class Reader:
    """Does what the publisher's docstring tells readers to do."""

    def __init__(self) -> None:
        self.held: Odds | None = None

    def hear(self, message: Odds) -> bool:
        """Whether the message could be used."""
        if message["type"] == "image":
            self.held = message
            return True
        assert self.held is not None
        if message["version"] <= self.held["version"]:
            return True
        if message["base"] != self.held["version"]:
            return False
        prices = dict(message["prices"])
        rows = [[name, text, prices.get(name, price)] for name, text, price in self.held["prices"]]
        self.held |= {name: message[name] for name in ("version", "status", "in_play")} | {"prices": rows}
        return True


@pytest.mark.parametrize("seed", range(20))
def test_readers_who_come_late_hold_the_same_as_those_who_came_early(seed: int) -> None:
    chance, r = random.Random(seed), Rig()
    readers: list[Reader] = []
    for _ in range(200):
        sent: list[Odds] = []
        match chance.randrange(5):
            case 0 | 1:
                r.price(chance.choice((0, 15_000, 20_000, 25_000)), chance.choice(("home", "away")))
            case 2 | 3:
                sent = [message for _, message in r.collect(after_ms=chance.choice((10, 50)))]
            case 4:
                image, sent = r.ask()
                readers.append(Reader())
                assert readers[-1].hear(image)
        assert all(reader.hear(message) for message in sent for reader in readers), f"seed {seed}"
    for _, message in r.collect():
        assert all(reader.hear(message) for reader in readers), f"seed {seed}"
    offered = msgspec.to_builtins(r.engine.image(next(r.engine.book.markets()), r.now_ms))
    expected = [list(row) for row in offered["prices"]]
    for reader in readers:
        assert reader.held is not None
        assert [list(row) for row in reader.held["prices"]] == expected, f"seed {seed}"
        assert reader.held["version"] == offered["version"], f"seed {seed}"


@pytest.mark.parametrize(
    ("name", "token"),
    [("betfair:1.17", "betfair:1_17"), ("a b", "a_b"), ("*", "_"), (">", "_"), ("x\r\nPUB y", "x__PUB_y"), ("é", "_")],
)
def test_an_id_is_one_token_of_a_subject(name: str, token: str) -> None:
    assert subjects.odds(name, "m") == f"odds.{token}.m"
    assert subjects.notices(name) == f"bets.{token}"
