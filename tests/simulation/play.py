"""Plays a workload to the engine and to the plain model and compares them, step by step.

`python -m tests.simulation.play SEED` prints the hashes of what came out, so that processes can be compared.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import islice
from typing import Any

import msgspec

from core import invariants, markets, snapshot
from core.engine import Engine
from core.messages import events as ev
from core.messages.answers import Answer, Rejected
from core.messages.rejections import Rejection
from tests.simulation.model import Model
from tests.simulation.workload import LIMITS, Workload

_OF_MONEY = {reason.name for reason in Rejection if 300 <= reason < 600}


@dataclass
class Run:
    """What came out of a run."""

    engine: Engine
    events: list[ev.Event] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)


def play(seed: int, steps: int, compare_every: int = 25) -> Run:
    """So many steps of the seed's workload; AssertionError where engine and model disagree, naming seed and step."""
    model = Model(LIMITS)
    run = Run(Engine(LIMITS))
    run.events.append(run.engine.start("engine", "0", 1_700_000_000_000))
    for number, (message, now) in enumerate(islice(Workload(seed, model).steps(), steps)):
        where = f"seed {seed}, step {number}: {message}"
        if message == "tick":
            run.events.extend(run.engine.tick(now))
            model.tick(now)
        elif message == "restart":
            run.engine = Engine(LIMITS, snapshot.restore(snapshot.encode(run.engine.book)))
            run.events.append(run.engine.start("engine", "0", now))
            model.restart()
        else:
            answer, events = run.engine.execute(message, now)
            run.events.extend(events)
            _compare_answers(answer, model, message, now, where)
            run.reasons[answer.reason if isinstance(answer, Rejected) else type(answer).__name__] += 1
        if number % compare_every == 0:
            _compare_states(run.engine, model, now, where)
    _compare_states(run.engine, model, run.engine.book.now_ms, f"seed {seed}, at the end")
    return run


def _compare_answers(answer: Answer | None, model: Model, message: Any, now: int, where: str) -> None:
    expected = model.execute(message, now)
    if expected is None:
        return
    if isinstance(answer, Rejected) and answer.reason in _OF_MONEY and answer != expected:
        # The model knows whether a stake would be accepted, not which is the greatest; a retry gets the first answer.
        _check_offer(answer, model, message, where)
        content, _, until_ms = model.answers[message.id]
        model.answers[message.id] = content, answer, until_ms
        answer = msgspec.structs.replace(answer, stake_m=0)
    assert answer == expected, f"{where}\nengine {answer}\nmodel  {expected}"


def _check_offer(answer: Rejected, model: Model, message: Any, where: str) -> None:
    """The stake that would be accepted is, and none that is greater by more than the roundings of several legs."""
    most_m = min(message.stake_m, LIMITS.stake_max_m)
    assert LIMITS.stake_min_m <= answer.stake_m <= most_m, where
    assert model.offer(answer.stake_m), f"{where}: {answer} would be refused"
    assert answer.stake_m == most_m or not model.offer(answer.stake_m + 20), f"{where}: {answer} could be more"


def _compare_states(engine: Engine, model: Model, now: int, where: str) -> None:
    """Money, bets, liabilities and what is offered, to the minor unit."""
    book = engine.book
    invariants.check(book)
    money = {}
    for customer in book.customers.values():
        money[customer.id, "cash"] = customer.cash_m
        money[customer.id, "open"] = customer.open_stakes_m
        money[customer.id, "reserved"] = customer.reserved_m
    for (account, _), balance_m in book.house.items():
        money["house", account.removeprefix("house:").removeprefix("clearing:")] = balance_m
    assert _but_nothing(money) == _but_nothing(model.money), where
    bets = {bet.id: (ev.BetStatus(bet.status).name.lower(), bet.paid_m) for bet in book.bets.values()}
    assert bets == {bet.id: (bet.status, bet.paid_m) for bet in model.bets.values()}, where
    running = {bet.id: [leg.running_m for leg in bet.legs] for bet in book.bets.values()}
    assert running == {bet.id: bet.running for bet in model.bets.values()}, where
    liabilities = {(market.fixture.id, market.id): market.liability_m for market in book.markets()}
    assert liabilities == {key: model.liability(key) for key in model.markets}, where
    assert set(book.fixtures) == set(model.fixtures), where
    assert book.liability_m == model.book_liability(), where
    customers = {customer.id: customer.liability_m for customer in book.customers.values()}
    assert customers == {name: model.customer_liability(name) for name in model.customers}, where
    offered, expected = {}, {}
    for market in book.markets():
        key = market.fixture.id, market.id
        found = markets.obstacle(market, engine.limits, now)
        offered[key] = (
            (found.reason.name, found.limit) if found else None,
            {selection.id: selection.price for selection in market.selections.values()},
        )
        plain = model.markets[key]
        expected[key] = model.obstacle(key, now), {name: plain.price(name) for name in plain.selections}
    assert offered == expected, where


def _but_nothing(money: dict[tuple[str, str], int]) -> dict[tuple[str, str], int]:
    return {account: balance_m for account, balance_m in money.items() if balance_m}


def replayed(events: list[ev.Event], snapshot_at: int) -> str:
    """The hash of the state after a crash: a snapshot after so many events, and the rest as the journal gives it."""
    decode = msgspec.msgpack.Decoder(ev.Batch).decode
    engine = Engine(LIMITS)
    for first in range(0, len(events), 100):
        batch = ev.Batch(ev.BATCH_FORMAT, first + 1, events[first : first + 100])
        for event in decode(msgspec.msgpack.encode(batch)).events:
            if engine.book.event_no == snapshot_at:
                engine = Engine(LIMITS, snapshot.restore(snapshot.encode(engine.book)))
            engine.apply(event)
    invariants.check(engine.book)
    return snapshot.state_hash(engine.book)


def main() -> None:
    run = play(int(sys.argv[1]), int(sys.argv[2]))
    journal = blake2b(msgspec.msgpack.encode(run.events), digest_size=16).hexdigest()
    print(journal, snapshot.state_hash(run.engine.book), replayed(run.events, len(run.events) // 2))  # noqa: T201


if __name__ == "__main__":
    main()
