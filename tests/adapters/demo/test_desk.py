from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from adapters.demo.desk import Desk, Job
from config.settings import load
from core.messages.answers import Answer, Done, Referral, ReferralEnded, ReferredLeg, Rejected

LEG = ReferredLeg("f", "m", "h", 21_500, 20_000, "open")
REFERRAL = Referral(
    *("b", 0, "demo-0005", "EUR", 200_000, (LEG,), "", (), False, "STAKE_TOO_LARGE", -1, 100_000, 100_000, "", 0)
)


class Message:
    """As NATS hands it over, or takes it."""

    def __init__(self, content: object) -> None:
        self.data = msgspec.json.encode(content)


class Wire:
    """The desk's end of NATS: it answers as it is told, in turn, and then always "done"."""

    def __init__(self, *answers: Answer) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self._answers = list(answers)

    async def request(self, subject: str, payload: bytes, timeout: float) -> Message:
        assert timeout > 0
        self.asked.append((subject, msgspec.json.decode(payload)))
        return Message(self._answers.pop(0) if self._answers else Done("", 0))


async def desk_and_wire(habit: str, *answers: Answer) -> tuple[Desk, Wire]:
    """A desk whose trader has heard of the bet, and done what his habit is."""
    wire = Wire(*answers)
    desk = Desk(Job(10, 1, "r1", 180_000, 0.0, 1.0), load(environ={}), wire)  # type: ignore[arg-type]
    desk.habits = {habit: 1}
    await hear(desk, REFERRAL)
    return desk, wire


async def hear(desk: Desk, heard: Referral | ReferralEnded) -> None:
    await desk._referred(Message(heard))  # type: ignore[arg-type]
    await asyncio.gather(*desk._thinking)


@pytest.mark.parametrize(
    ("habit", "said"),
    [
        ("accept", ("accept", 0, [])),
        ("less", ("offer", 100_000, [])),
        ("price", ("offer", 0, [18_600])),
        ("decline", ("decline", 0, [])),
    ],
)
async def test_a_trader_says_one_word(habit: str, said: tuple[str, int, list[int]]) -> None:
    desk, wire = await desk_and_wire(habit)
    ((subject, asked),) = wire.asked
    assert subject == "desk.bet.answer"
    assert (asked["action"], asked["stake_m"], asked["prices"]) == said
    assert (asked["bet"], asked["author"]) == ("b", "demo-trader")
    assert desk.report().told == {said[0]: 1}


async def test_what_is_told_again_is_answered_once() -> None:
    desk, wire = await desk_and_wire("accept")
    await hear(desk, REFERRAL)
    await hear(desk, ReferralEnded("b", 0, "accepted", 200_000))
    assert len(wire.asked) == 1


async def test_sometimes_he_does_not_answer() -> None:
    desk, wire = await desk_and_wire("silent")
    assert not wire.asked
    assert desk.report().silent == 1


async def test_what_he_cannot_offer_he_declines() -> None:
    desk, wire = await desk_and_wire("less", Rejected("", "LIABILITY_FIXTURE"))
    assert [asked["action"] for _, asked in wire.asked] == ["offer", "decline"]
    assert desk.report().told == {"decline": 1}
    assert not desk.seen.faults


async def test_to_whom_waits_no_more_he_says_nothing() -> None:
    desk, wire = await desk_and_wire("less", Rejected("", "BET_NOT_PENDING"))
    assert len(wire.asked) == 1
    assert desk.report().told == {}


async def test_an_answer_that_is_wrong_in_itself_is_a_fault() -> None:
    desk, _ = await desk_and_wire("accept", Rejected("", "OFFER_NOT_VALID"))
    assert desk.seen.faults == ["desk.bet.answer was refused: OFFER_NOT_VALID"]


async def test_rates_and_limits_are_set_before_customers_come() -> None:
    desk, wire = await desk_and_wire("silent")
    await desk._set_up()
    assert [subject for subject, _ in wire.asked] == ["desk.rate.set"] * 2 + ["desk.limit.set"] * 3
    book, races, scores = (asked for _, asked in wire.asked[2:])
    assert book["ramp"] == [[18_000, 7_500], [90_000, 5_000]]
    assert (races["sport"], scores["market_type"]) == ("horse_racing", "correct_score")
    assert not desk.seen.faults
