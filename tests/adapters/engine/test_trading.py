"""A customer is told of each of his orders that is new or has changed, once a turn, once it is stored."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from adapters.codec import JSON
from adapters.engine.notices import OF_ORDERS
from tests.adapters.engine.rigged import INBOX, NOW, Rig, Row, rig

DELAY_MS = 5_000
PLACE: Row = {"fixture": "f", "market": "m"}
MARKET: Row = {"market_type": "1x2", "name": "Result", "selections": [["home", "A"], ["away", "B"]]}
KINDS = {kind.__struct_config__.tag: kind for kind in OF_ORDERS}
FIRST = (1 << 32) + 1
"""The number of a customer's first notice in the first term."""


async def trading(delay_ms: int = 0, **terms: Any) -> Rig:
    """An exchange market, and bob beside anna with as much money."""
    r = await rig(gateway__slices_pause_ms=1)
    definition = PLACE | MARKET | {"delay_ms": delay_ms, "exchange": {"cross": False, **terms}}
    await done(r, "desk.market.define", **definition)
    await done(r, "account.open", customer="bob", currency="EUR")
    await done(r, "account.deposit", customer="bob", amount_m=100_000, provider="bank")
    return r


async def done(r: Rig, subject: str, **fields: Any) -> None:
    answer = await r.ask(subject, r.command(**({"author": "tom"} if subject.startswith("desk.") else {}) | fields))
    assert answer["type"] == "done", answer


def order(r: Rig, customer: str, side: str, price: int, stake_m: int, **fields: Any) -> Row:
    asked = {"customer": customer, "selection": "home", "side": side, "price": price, "stake_m": stake_m}
    return r.command(**PLACE | asked | fields)


async def place(r: Rig, customer: str, side: str, price: int, stake_m: int, **fields: Any) -> str:
    answer = await r.ask("order.place", order(r, customer, side, price, stake_m, **fields))
    assert answer["type"] == "order", answer
    return str(answer["id"])


async def pass_time(r: Rig, ms: int = 0) -> None:
    """Until nothing more follows by itself."""
    r.now_ms += ms
    for _ in range(5):
        await r.ask("account.get", {"customer": "anna"})
        await asyncio.sleep(0.002)


def told(r: Rig, customer: str) -> list[Row]:
    """What he was sent since it was last asked for, each as it is documented and numbered."""
    found = [payload for to, payload in r.sent if to == f"orders.{customer}"]
    r.sent[:] = [(to, payload) for to, payload in r.sent if to != f"orders.{customer}"]
    for payload in found:
        msgspec.json.decode(payload, type=KINDS[msgspec.json.decode(payload)["type"]])
    return [msgspec.json.decode(payload) for payload in found]


async def listed(r: Rig, customer: str) -> Any:
    return await r.ask("order.list", PLACE | {"customer": customer})


async def test_orders_and_their_matches_are_counted() -> None:
    r = await trading()
    await place(r, "anna", "back", 20_000, 1_000)
    instructions = [
        {"do": "place", "id": f"b-{side}", "selection": "home", "side": side, "price": 20_000, "stake_m": 500}
        for side in ("lay", "back")
    ]
    await r.ask("order.batch", r.command(**PLACE, customer="bob", instructions=instructions))
    assert r.metrics.orders == {"taken": 3, "matches": 1}


async def test_who_is_barred_is_told_which_orders_went_with_it() -> None:
    r = await trading()
    orders = [await place(r, "anna", "back", 20_000, 1_000), await place(r, "anna", "back", 21_000, 1_000)]
    told(r, "anna")
    await done(r, "desk.customer.status", customer="anna", suspended=True, reason="documents")
    found = [(notice["id"], notice["status"], notice["why"]) for notice in told(r, "anna")]
    assert found == [(order, "done", "barred") for order in orders]


async def test_what_he_asked_for_himself_is_told_too_for_his_other_screens() -> None:
    r = await trading()
    first = await place(r, "anna", "back", 20_000, 1_000)
    second = await place(r, "anna", "back", 21_000, 1_000, persistence="persist")
    await r.ask("order.reduce", r.command(customer="anna", order=first, by_m=200))
    replacing = r.command(customer="anna", order=first, price=22_000)
    await r.ask("order.replace", replacing)
    third: Row = {"do": "place", "id": "b1", "selection": "home", "side": "back", "price": 23_000, "stake_m": 500}
    steps = [{"do": "cancel", "order": "x"}, {"do": "cancel", "order": second}, third]
    await r.ask("order.batch", r.command(**PLACE, customer="anna", instructions=steps))
    await r.ask("order.cancel-all", r.command(customer="anna"))
    found = [(each["id"], each["status"], each.get("resting_m", 0), each.get("why", "")) for each in told(r, "anna")]
    assert found == [
        (first, "resting", 1_000, ""),
        (second, "resting", 1_000, ""),
        (first, "resting", 800, ""),
        (first, "done", 0, "replaced"),
        (replacing["id"], "resting", 800, ""),
        (second, "done", 0, "customer"),
        ("b1", "resting", 500, ""),
        (replacing["id"], "done", 0, "customer"),
        ("b1", "done", 0, "customer"),
    ]
    assert told(r, "bob") == []


async def test_what_is_refused_is_told_in_the_answer_alone() -> None:
    r = await trading()
    assert (await r.ask("order.place", order(r, "anna", "back", 20_050, 1_000)))["type"] == "rejected"
    assert told(r, "anna") == []


async def test_maker_and_taker_are_told_what_was_matched() -> None:
    r = await trading()
    maker = await place(r, "anna", "back", 20_000, 1_000, persistence="persist")
    told(r, "anna")
    taker = await place(r, "bob", "lay", 20_400, 300, persistence="persist")
    both = {"type": "order_notice", "ts_ms": NOW, **PLACE, "selection": "home", "persistence": "persist"}
    matched = {"matched_m": 300, "price_matched": 20_000}
    assert told(r, "anna") == [
        {"sequence": FIRST + 1, "id": maker, "status": "resting", "resting_m": 700, "side": "back"}
        | both
        | matched
        | {"price": 20_000, "stake_m": 1_000}
    ]
    assert told(r, "bob") == [
        {"sequence": FIRST, "id": taker, "status": "done", "side": "lay", "price": 20_400, "stake_m": 300}
        | both
        | matched
    ]


async def test_fills_of_one_turn_are_one_notice_of_the_whole_state() -> None:
    r = await trading()
    maker = await place(r, "anna", "back", 20_000, 1_000)
    told(r, "anna")
    for stake_m in (300, 500, 200):
        r.gateway.request("order.place", INBOX, JSON.encode(order(r, "bob", "lay", 20_000, stake_m)))
    await r.turn()
    r.acknowledge()
    (notice,) = told(r, "anna")
    assert (notice["id"], notice["status"], notice["matched_m"]) == (maker, "done", 1_000)
    assert "resting_m" not in notice


async def test_nothing_is_told_before_it_is_stored() -> None:
    r = await trading()
    await place(r, "anna", "back", 20_000, 1_000)
    told(r, "anna")
    r.now_ms += 1_000
    r.gateway.request("order.place", INBOX, JSON.encode(order(r, "bob", "lay", 20_000, 1_000)))
    await r.turn()
    assert r.engine.book.trades == 2
    held = [to for _, outbox in r.journal.under_way for to, _ in outbox]
    assert {"orders.anna", "odds.f.m.book", INBOX} <= set(held)
    assert told(r, "anna") == []
    r.acknowledge()
    assert len(told(r, "anna")) == 1


async def test_a_batch_tells_its_makers() -> None:
    r = await trading()
    maker = await place(r, "anna", "back", 20_000, 1_000)
    told(r, "anna")
    lay: Row = {"do": "place", "selection": "home", "side": "lay", "price": 20_000, "stake_m": 400}
    await r.ask(
        "order.batch", r.command(**PLACE, customer="bob", instructions=[lay | {"id": "b1"}, lay | {"id": "b2"}])
    )
    (notice,) = told(r, "anna")
    assert (notice["id"], notice["matched_m"]) == (maker, 800)
    assert [(notice["id"], notice["matched_m"]) for notice in told(r, "bob")] == [("b1", 400), ("b2", 400)]


async def test_makers_on_other_selections_are_told() -> None:
    r = await trading(cross=True)
    maker = await place(r, "anna", "back", 20_000, 1_000, selection="away")
    told(r, "anna")
    await place(r, "bob", "back", 20_000, 1_000)
    (notice,) = told(r, "anna")
    assert (notice["id"], notice["matched_m"]) == (maker, 1_000)


async def test_each_notice_is_numbered_one_more_than_the_customers_last() -> None:
    r = await trading()
    await place(r, "anna", "back", 20_000, 1_000)
    await place(r, "bob", "back", 20_400, 1_000)
    for _ in range(3):
        await place(r, "anna", "lay", 20_400, 100)
        await place(r, "bob", "lay", 20_000, 100)
    # his own orders, and of anna's first one what bob's matched of it
    assert [notice["sequence"] for notice in told(r, "anna")] == list(range(FIRST, FIRST + 4 + 3))
    assert [notice["sequence"] for notice in told(r, "bob")] == list(range(FIRST, FIRST + 4))


async def test_the_list_says_after_which_notice_it_was_made() -> None:
    r = await trading()
    maker = await place(r, "anna", "back", 20_000, 1_000)
    assert (await listed(r, "anna"))["sequence"] == FIRST
    await place(r, "bob", "lay", 20_000, 300)
    image = await listed(r, "anna")
    assert (image["sequence"], image["orders"][0]["matched_m"]) == (FIRST + 1, 300)
    await place(r, "bob", "lay", 20_000, 200)
    *_, notice = told(r, "anna")
    assert (notice["sequence"], notice["id"], notice["matched_m"]) == (FIRST + 2, maker, 500)


async def test_a_list_asked_for_in_the_turn_of_a_match_is_not_newer_than_its_notice() -> None:
    r = await trading()
    await place(r, "anna", "back", 20_000, 1_000)
    r.gateway.request("order.place", INBOX, JSON.encode(order(r, "bob", "lay", 20_000, 300)))
    assert (await listed_at_once(r))["sequence"] == FIRST
    *_, notice = told(r, "anna")
    assert notice["sequence"] == FIRST + 1


async def listed_at_once(r: Rig) -> Any:
    before = len(r.sent)
    r.gateway.request("order.list", INBOX, JSON.encode(PLACE | {"customer": "anna"}))
    await r.turn()
    r.acknowledge()
    answers = [msgspec.json.decode(payload) for to, payload in r.sent[before:] if to == INBOX]
    return answers[-1]


async def test_after_a_start_numbers_go_on_from_a_new_term() -> None:
    r = await trading()
    await place(r, "anna", "back", 20_000, 1_000)
    r.engine.start("engine-2", "0", r.now_ms)
    assert (await listed(r, "anna"))["sequence"] == 2 << 32


@pytest.mark.parametrize(
    ("subject", "fields", "why"),
    [
        ("desk.market.in-play", {}, "turned"),
        ("desk.market.suspend", {"lapse": True}, "suspended"),
        ("desk.market.settle", {"results": [["home", 1], ["away", 0]]}, "closed"),
        ("desk.market.void", {"reason": "error"}, "closed"),
        (
            "desk.selection.withdraw",
            {"selection": "home", "price": 20_000, "at_ms": NOW, "reduction_bp": 5_000},
            "withdrawn",
        ),
    ],
)
async def test_who_loses_his_place_is_told_why(subject: str, fields: Row, why: str) -> None:
    r = await trading()
    lapsing = await place(r, "anna", "back", 20_000, 1_000)
    told(r, "anna")
    await done(r, subject, **PLACE, **fields)
    await pass_time(r)
    notice = told(r, "anna")[0]
    rest = {"sequence": FIRST + 1, "ts_ms": NOW, "type": "order_notice", "status": "done", "why": why}
    assert notice == {"id": lapsing, **PLACE, **rest}


async def test_what_was_matched_before_the_rest_lapsed_is_in_the_notice() -> None:
    r = await trading()
    await place(r, "anna", "back", 20_000, 1_000)
    await place(r, "bob", "lay", 20_000, 300)
    await done(r, "desk.market.in-play", **PLACE)
    await pass_time(r)
    *_, notice = told(r, "anna")
    assert (notice["status"], notice["matched_m"], notice["why"]) == ("done", 300, "turned")


async def test_an_order_that_waited_is_told_what_became_of_it() -> None:
    r = await trading(DELAY_MS)
    await done(r, "desk.market.in-play", **PLACE)
    await pass_time(r)
    waiting = await place(r, "anna", "back", 20_000, 1_000)
    killed = await place(r, "anna", "back", 30_000, 500, fill_or_kill=True)
    assert [(notice["id"], notice["status"]) for notice in told(r, "anna")] == [
        (waiting, "waiting"),
        (killed, "waiting"),
    ]
    await pass_time(r, DELAY_MS)
    first, second = told(r, "anna")
    assert (first["id"], first["status"], first["resting_m"]) == (waiting, "resting", 1_000)
    assert (second["id"], second["status"], second["why"]) == (killed, "done", "killed")


async def test_an_order_that_is_refused_after_its_delay_is_told_why() -> None:
    r = await trading(DELAY_MS)
    await done(r, "desk.market.in-play", **PLACE)
    await pass_time(r)
    waiting = await place(r, "anna", "back", 20_000, 1_000)
    told(r, "anna")
    await done(r, "desk.market.suspend", **PLACE)
    await pass_time(r, DELAY_MS)
    (notice,) = told(r, "anna")
    assert (notice["id"], notice["why"], notice["reason"]) == (waiting, "refused", "MARKET_SUSPENDED")


async def test_the_starting_price_is_told_to_all_who_waited_for_it() -> None:
    r = await trading(starting_price=True)
    await place(r, "anna", "back", 0, 1_000, kind="on_close")
    await place(r, "anna", "back", 900_000, 1_000, kind="on_close")
    await place(r, "bob", "lay", 0, 1_000, kind="on_close")
    told(r, "anna")
    told(r, "bob")
    await done(r, "desk.market.in-play", **PLACE)
    await pass_time(r)
    matched, unmatched = told(r, "anna")
    assert (matched["status"], matched["matched_m"], matched["price_matched"]) == ("done", 1_000, 20_000)
    assert (unmatched["status"], unmatched["why"]) == ("done", "unmatched")
    assert len(told(r, "bob")) == 1


async def test_a_settled_position_is_told_and_so_is_its_correction() -> None:
    r = await trading(commission_bp=500)
    await place(r, "anna", "back", 20_000, 1_000)
    await place(r, "bob", "lay", 20_000, 1_000)
    told(r, "anna")
    await done(r, "desk.market.settle", **PLACE, results=[["home", 1], ["away", 0]])
    await pass_time(r)
    (notice,) = told(r, "anna")
    assert notice == {
        "type": "position_notice",
        "sequence": FIRST + 2,
        "ts_ms": NOW,
        **PLACE,
        "settled": True,
        "net_m": 1_000,
        "commission_m": 50,
    }
    await done(r, "desk.market.settle", **PLACE, results=[["home", 0], ["away", 1]])
    await pass_time(r)
    assert [(notice["net_m"], notice["commission_m"]) for notice in told(r, "anna")] == [(-1_000, 0)]
    await done(r, "desk.market.rollback", **PLACE, what="results", reason="error")
    await pass_time(r)
    assert [notice["settled"] for notice in told(r, "anna")] == [False]


async def test_the_houses_own_lays_are_told_only_when_they_are_matched() -> None:
    r = await trading()
    house: Row = {"house": "bob", "house_stake_m": 2_000}
    await done(r, "desk.market.define", **PLACE | {"market": "h"} | MARKET, exchange={"cross": False, **house})
    await done(r, "desk.market.open", fixture="f", market="h")
    for price in (20_000, 21_000):
        await done(r, "desk.price.set", fixture="f", market="h", selection="home", price=price)
        await pass_time(r)
    assert told(r, "bob") == []
    await place(r, "anna", "back", 21_000, 500, market="h")
    (notice,) = told(r, "bob")
    assert (notice["matched_m"], notice["resting_m"]) == (500, 1_500)


async def test_each_order_of_an_array_is_decided_on_its_own() -> None:
    r = await trading()
    orders: list[Row] = [
        order(r, "anna", "back", 20_000, 1_000),
        order(r, "bob", "lay", 20_000, 300),
        order(r, "bob", "lay", 20_050, 300),
        {"id": "short"},
    ]
    answers = await r.ask("order.place", orders)
    assert [answer.get("status", answer.get("reason")) for answer in answers] == [
        "resting",
        "matched",
        "PRICE_NOT_ON_LADDER",
        "MALFORMED",
    ]
    (notice,) = told(r, "anna")
    assert notice["matched_m"] == 300
