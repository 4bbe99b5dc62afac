"""Who waits is told what has become of it, once it is stored: a customer of his bet, the desk of what waits for it."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from adapters.codec import JSON
from adapters.engine.notices import OF_BALANCES, OF_CUSTOMERS, OF_THE_DESK, Notices
from adapters.engine.status import Status
from adapters.metrics import Metrics
from adapters.subjects import BALANCES, REFERRALS
from core.messages.answers import Pending, Rejected
from tests.adapters.engine.rigged import INBOX, LEG, NOW, Rig, Row, rig

CUSTOMER = "bets.anna"
DELAY_MS = 5_000
REFERRED: Row = {"stake_m": 70_000, "refer": True}


async def delayed() -> Rig:
    """A bet on the market waits for 5 s."""
    r = await rig()
    market: Row = {"market_type": "1x2", "name": "Result", "selections": [["home", "A"], ["away", "B"]]}
    await done(r, "desk.market.define", fixture="f", market="m", delay_ms=DELAY_MS, **market)
    return r


async def referring() -> Rig:
    """Bets above 500.00 go to a trader, if they may; anna has 2 000.00."""
    r = await rig(limits__stake_max_m=50_000)
    await done(r, "account.deposit", customer="anna", amount_m=100_000, provider="bank")
    return r


async def done(r: Rig, subject: str, **fields: Any) -> None:
    answer = await r.ask(subject, r.command(**({"author": "tom"} if subject.startswith("desk.") else {}) | fields))
    assert answer["type"] == "done", answer


async def answer_referral(r: Rig, bet: str, action: str, **fields: Any) -> None:
    await done(r, "desk.bet.answer", bet=bet, action=action, **fields)


async def wait(r: Rig, ms: int) -> None:
    """Time passes with the next message, whatever it is."""
    r.now_ms += ms
    await r.ask("account.get", {"customer": "anna"})


async def settled(r: Rig) -> None:
    """Wait until all slices are done, a turn and a pause each: how many go into a turn is the clock's affair."""
    async with asyncio.timeout(10):
        while r.engine.book.settling:  # noqa: ASYNC110  (it does not say so)
            await asyncio.sleep(0.001)
    await r.turn()
    r.acknowledge()


def told(r: Rig, subject: str) -> list[Any]:
    """What was sent there since it was last asked for, in order; each as it is documented."""
    found = [payload for to, payload in r.sent if to == subject]
    r.sent[:] = [(to, payload) for to, payload in r.sent if to != subject]
    kinds = {kind.__struct_config__.tag: kind for kind in (*OF_CUSTOMERS, *OF_THE_DESK, *OF_BALANCES)}
    for payload in found:
        msgspec.json.decode(payload, type=kinds[msgspec.json.decode(payload)["type"]])
    return [msgspec.json.decode(payload) for payload in found]


async def test_a_bet_that_is_answered_at_once_is_not_told_as_well() -> None:
    r = await rig()
    await r.ask("bet.place", r.bet())
    await r.ask("bet.place", r.bet(stake_m=999_999_999))
    await r.ask("bet.place", [r.bet(), r.bet()])
    assert told(r, CUSTOMER) == []


async def test_a_bet_waits_for_its_delay_and_is_told_when_it_is_accepted() -> None:
    r = await delayed()
    bet = r.bet()
    pending = {"type": "pending", "id": bet["id"], "ts_ms": NOW, "stage": "delayed", "until_ms": NOW + DELAY_MS}
    assert await r.ask("bet.place", bet) == pending
    assert (await r.ask("bet.get", {"bet": bet["id"]}))["status"] == "delayed"
    assert await r.ask("bet.place", bet) == pending
    await wait(r, DELAY_MS - 1)
    assert told(r, CUSTOMER) == []
    await wait(r, 1)
    (notice,) = told(r, CUSTOMER)
    assert (notice["type"], notice["id"], notice["ts_ms"]) == ("accepted", bet["id"], NOW + DELAY_MS)
    assert await r.ask("bet.place", bet) == notice
    assert (await r.ask("bet.get", {"bet": bet["id"]}))["status"] == "open"
    assert told(r, REFERRALS) == []


async def test_nothing_is_told_before_it_is_stored() -> None:
    r = await delayed()
    await r.ask("bet.place", r.bet())
    r.now_ms += DELAY_MS
    r.gateway.request("account.get", INBOX, JSON.encode({"customer": "anna"}))
    await r.turn()
    assert len(r.engine.book.bets) == 1
    assert told(r, CUSTOMER) == []
    r.acknowledge()
    assert [notice["type"] for notice in told(r, CUSTOMER)] == ["accepted"]


@pytest.mark.parametrize(
    ("subject", "fields", "reason"),
    [
        ("desk.market.suspend", {}, "MARKET_SUSPENDED"),
        ("desk.price.set", {"selection": "home", "price": 19_000}, "PRICE_CHANGED"),
        ("desk.market.settle", {"results": [["home", 1], ["away", 0]]}, "MARKET_CLOSED"),
    ],
)
async def test_what_happens_meanwhile_refuses_a_delayed_bet(subject: str, fields: Row, reason: str) -> None:
    r = await delayed()
    bet = r.bet()
    await r.ask("bet.place", bet)
    await done(r, subject, fixture="f", market="m", **fields)
    await wait(r, DELAY_MS)
    (notice,) = told(r, CUSTOMER)
    assert (notice["type"], notice["id"], notice["reason"]) == ("rejected", bet["id"], reason)
    assert await r.ask("bet.place", bet) == notice
    assert await r.ask("bet.get", {"bet": bet["id"]}) == notice


async def test_a_free_bet_that_waits_is_told_too_though_nothing_of_the_customers_is_reserved() -> None:
    r = await delayed()
    await done(r, "desk.bonus.free-bet", customer="anna", token="welcome", stake_m=1_000, ends_ms=NOW + 10**6)
    await r.ask("bet.place", r.bet(free_bet="welcome"))
    await wait(r, DELAY_MS)
    (notice,) = told(r, CUSTOMER)
    assert (notice["type"], notice["stake_m"], notice["payout_m"]) == ("accepted", 1_000, 1_000)


async def test_the_desk_sees_what_waits_for_it() -> None:
    r = await referring()
    bet = r.bet(**REFERRED)
    assert (await r.ask("bet.place", bet))["stage"] == "referred"
    assert told(r, REFERRALS) == [
        {
            "type": "referral",
            "id": bet["id"],
            "ts_ms": NOW,
            "customer": "anna",
            "currency": "EUR",
            "stake_m": 70_000,
            "legs": [
                {
                    "fixture": "f",
                    "market": "m",
                    "selection": "home",
                    "requested": 20_000,
                    "price": 20_000,
                    "status": "open",
                    "banker": False,
                    "starting_price": False,
                }
            ],
            "kind": "",
            "folds": [],
            "each_way": False,
            "reason": "STAKE_TOO_LARGE",
            "leg": -1,
            "limit": 50_000,
            "stake_accepted_m": 50_000,
            "detail": "",
            "until_ms": NOW + 60_000,
        }
    ]
    assert told(r, CUSTOMER) == []


async def test_of_several_bets_in_a_message_the_desk_sees_those_that_wait_and_once() -> None:
    r = await referring()
    bets = [r.bet(), r.bet(**REFERRED), r.bet(stake_m=60_000)]
    for _ in range(2):
        answers = await r.ask("bet.place", bets)
        assert [answer["type"] for answer in answers] == ["accepted", "pending", "rejected"]
    assert [referral["id"] for referral in told(r, REFERRALS)] == [bets[1]["id"]]
    assert told(r, CUSTOMER) == []


async def test_what_still_waits_is_told_again_with_its_live_prices() -> None:
    r = await referring()
    await r.ask("bet.place", r.bet(**REFERRED))
    (first,) = told(r, REFERRALS)
    await done(r, "desk.price.set", fixture="f", market="m", selection="home", price=19_000)
    await wait(r, 4_999)
    assert told(r, REFERRALS) == []
    await wait(r, 1)
    (again,) = told(r, REFERRALS)
    assert (again["legs"][0]["requested"], again["legs"][0]["price"]) == (20_000, 19_000)
    assert again | {"legs": first["legs"]} == first
    await done(r, "desk.market.suspend", fixture="f", market="m")
    await wait(r, 5_000)
    assert [each["legs"][0]["status"] for each in told(r, REFERRALS)] == ["suspended"]


async def test_one_turn_tells_no_more_again_than_it_may() -> None:
    r = await rig(limits__stake_max_m=1_000, limits__pending_customer_max=100)
    for _ in range(45):
        await r.ask("bet.place", r.bet(stake_m=1_100, refer=True))
    assert len({referral["id"] for referral in told(r, REFERRALS)}) == 45
    r.now_ms += 5_000
    turns = []
    for _ in range(4):
        await wait(r, 1)
        turns.append([referral["id"] for referral in told(r, REFERRALS)])
    assert [len(turn) for turn in turns] == [20, 20, 5, 0]
    assert len({bet for turn in turns for bet in turn}) == 45


async def trader_accepts(r: Rig, bet: str) -> None:
    await answer_referral(r, bet, "accept")


async def trader_declines(r: Rig, bet: str) -> None:
    await answer_referral(r, bet, "decline", reason="not today")


async def trader_accepts_what_is_suspended(r: Rig, bet: str) -> None:
    await done(r, "desk.market.suspend", fixture="f", market="m")
    await answer_referral(r, bet, "accept")


async def customer_takes_it_back(r: Rig, bet: str) -> None:
    await done(r, "bet.offer.decline", customer="anna", bet=bet)


async def nobody_answers(r: Rig, _: str) -> None:
    await wait(r, 60_000)


@pytest.mark.parametrize(
    ("what", "outcome", "reason"),
    [
        (trader_accepts, "accepted", ""),
        (trader_declines, "rejected", "REFERRAL_DECLINED"),
        (trader_accepts_what_is_suspended, "rejected", "MARKET_SUSPENDED"),
        (customer_takes_it_back, "rejected", "OFFER_DECLINED"),
        (nobody_answers, "rejected", "REFERRAL_EXPIRED"),
    ],
)
async def test_how_a_referral_ends_is_told_to_both(what: Any, outcome: str, reason: str) -> None:
    r = await referring()
    bet = r.bet(**REFERRED)
    await r.ask("bet.place", bet)
    told(r, REFERRALS)
    await what(r, bet["id"])
    (notice,) = told(r, CUSTOMER)
    assert (notice["type"], notice["id"], notice.get("reason", "")) == (outcome, bet["id"], reason)
    assert await r.ask("bet.place", bet) == notice
    (ended,) = told(r, REFERRALS)
    assert ended == {
        "type": "referral_ended",
        "id": bet["id"],
        "ts_ms": r.now_ms,
        "outcome": outcome,
        "stake_m": 70_000 if outcome == "accepted" else 0,
        "reason": reason,
    }
    await wait(r, 60_000)
    assert told(r, REFERRALS) == []


@pytest.mark.parametrize(
    ("subject", "outcome", "reason"),
    [("bet.offer.take", "accepted", ""), ("bet.offer.decline", "rejected", "OFFER_DECLINED")],
)
async def test_an_offer_goes_to_the_customer_and_its_end_to_the_desk(subject: str, outcome: str, reason: str) -> None:
    r = await referring()
    bet = r.bet(**REFERRED)
    await r.ask("bet.place", bet)
    told(r, REFERRALS)
    await answer_referral(r, bet["id"], "offer", stake_m=60_000, prices=[18_500], until_ms=NOW + 20_000)
    assert told(r, CUSTOMER) == [
        {
            "type": "offer",
            "id": bet["id"],
            "ts_ms": NOW,
            "stake_m": 60_000,
            "payout_m": 111_000,
            "prices": [18_500],
            "until_ms": NOW + 20_000,
        }
    ]
    assert [(each["outcome"], each["stake_m"]) for each in told(r, REFERRALS)] == [("offered", 60_000)]
    await wait(r, 10_000)
    assert told(r, REFERRALS) == []
    assert (await r.ask("bet.place", bet))["stage"] == "offered"
    await done(r, subject, customer="anna", bet=bet["id"])
    (notice,) = told(r, CUSTOMER)
    assert (notice["type"], notice.get("reason", "")) == (outcome, reason)
    assert await r.ask("bet.place", bet) == notice
    assert [(each["outcome"], each["reason"]) for each in told(r, REFERRALS)] == [(outcome, reason)]
    assert not r.gateway._notices._waiting
    assert not r.gateway._notices._offered


async def test_an_offer_that_nobody_takes_ends_for_both() -> None:
    r = await referring()
    bet = r.bet(**REFERRED)
    await r.ask("bet.place", bet)
    await answer_referral(r, bet["id"], "offer", until_ms=NOW + 20_000)
    await wait(r, 20_000)
    assert [(each["type"], each.get("reason")) for each in told(r, CUSTOMER)] == [
        ("offer", None),
        ("rejected", "OFFER_EXPIRED"),
    ]
    assert [each.get("reason") for each in told(r, REFERRALS)] == ["STAKE_TOO_LARGE", "", "OFFER_EXPIRED"]


async def test_after_a_restart_the_desk_is_told_what_still_waits_for_it() -> None:
    r = await referring()
    bets = [r.bet(**REFERRED | {"stake_m": 50_001}) for _ in range(2)]
    for bet in bets:
        await r.ask("bet.place", bet)
    waits, offered = (bet["id"] for bet in bets)
    await answer_referral(r, offered, "offer")
    r.gateway._notices = Notices(r.engine, Metrics())  # as a new process has it
    told(r, REFERRALS)
    await wait(r, 1)
    (again,) = told(r, REFERRALS)
    assert (again["id"], again["reason"], again["stake_m"]) == (waits, "STAKE_TOO_LARGE", 50_001)
    await done(r, "bet.offer.take", customer="anna", bet=offered)
    await answer_referral(r, waits, "decline")
    assert [(each["id"], each["outcome"]) for each in told(r, REFERRALS)] == [
        (offered, "accepted"),
        (waits, "rejected"),
    ]


async def test_what_a_customer_sells_is_told() -> None:
    r = await rig()
    bet = (await r.ask("bet.place", r.bet()))["id"]
    for share_bp, status, stake_m, paid_m in ((4_000, "open", 400, 367), (10_000, "cashed_out", 600, 551)):
        quote = await r.ask("bet.cash-out.quote", {"customer": "anna", "bet": bet, "share_bp": share_bp})
        await done(r, "bet.cash-out.take", customer="anna", bet=bet, offer_m=quote["offer_m"])
        assert told(r, CUSTOMER) == [
            {"type": "cashed_out", "id": bet, "ts_ms": NOW, "status": status, "stake_m": stake_m, "paid_m": paid_m}
        ]
    assert r.metrics.cash_outs == 2


async def test_the_desk_is_told_whom_a_resettlement_takes_below_zero() -> None:
    r = await rig()
    status = Status(r.engine.book)
    bet = await r.ask("bet.place", r.bet(stake_m=50_000))
    home: Row = {"fixture": "f", "market": "m", "results": [["home", 1], ["away", 0]]}
    await done(r, "desk.market.settle", **home)
    await settled(r)
    cash_m = (await r.ask("account.get", {"customer": "anna"}))["cash_m"]
    await done(r, "account.withdraw", customer="anna", amount_m=cash_m - 10_000, provider="bank")
    assert told(r, BALANCES) == []
    assert status.gauges()["customers_below_zero"][1] == 0
    await done(r, "desk.market.settle", **{**home, "results": [["home", 0], ["away", 1]]})
    await settled(r)
    below_m = 10_000 - bet["payout_m"]
    assert told(r, BALANCES) == [
        {
            "type": "balance_below_zero",
            "ts_ms": r.now_ms,
            "customer": "anna",
            "currency": "EUR",
            "cash_m": below_m,
            "taken_m": bet["payout_m"],
            "bet": bet["id"],
            "fixture": "",
            "market": "",
        }
    ]
    assert [figure for _, figure in list(status.gauges().values())[:2]] == [1, -below_m]
    await done(r, "account.deposit", customer="anna", amount_m=-below_m, provider="bank")
    assert [figure for _, figure in list(status.gauges().values())[:2]] == [0, 0]


async def test_bets_are_counted_by_kind_when_they_are_accepted() -> None:
    r = await delayed()
    names: Row = {"name": "C - D", "sport": "football", "competition": "Cup", "start_ms": NOW + 10**7}
    market: Row = {"market_type": "1x2", "name": "Result", "selections": [["home", "A"], ["away", "B"]]}
    legs = []
    for fixture in ("g", "h", "i"):
        where: Row = {"fixture": fixture, "market": "m"}
        await done(r, "desk.fixture.define", fixture=fixture, **names)
        await done(r, "desk.market.define", **where, **market)
        await done(r, "desk.price.set", **where, selection="home", price=20_000)
        await done(r, "desk.market.open", **where)
        legs.append(LEG | where)
    await r.ask("bet.place", r.bet())  # waits
    await r.ask("bet.place", [r.bet(legs=legs[:1]), r.bet(legs=legs[:1]), r.bet(legs=legs[:2])])
    await r.ask("bet.place", trixie := r.bet(legs=legs, kind="trixie"))
    await r.ask("bet.place", trixie)
    await r.ask("bet.place", r.bet(legs=legs, folds=[2]))
    assert r.metrics.bets == {"single": 2, "multiple": 1, "trixie": 1, "system": 1}
    await wait(r, DELAY_MS)
    assert r.metrics.bets["single"] == 3


def test_what_is_told_can_be_told_apart() -> None:
    tags = [kind.__struct_config__.tag for kind in (*OF_CUSTOMERS, *OF_THE_DESK, *OF_BALANCES)]
    assert len(set(tags)) == len(tags)
    assert {Pending, Rejected} - set(OF_CUSTOMERS) == {Pending}
