"""What is journalled is for ever (DESIGN 5): tags and the order of fields may not change; new fields go to the end."""

from __future__ import annotations

from typing import get_args

import msgspec
import pytest

from core.messages import events as ev
from core.messages.commands import NamedSelection
from core.messages.events import AcceptedLeg, Batch, Event, RejectedLeg
from core.messages.rejections import Rejection
from core.messages.results import Result

# Written down once, from release 0.1.0; lines are added here, never edited.
FROZEN: dict[type, tuple[int | None, str]] = {
    ev.EngineStarted: (1, "ts_ms term instance release retention_ms payment_retention_ms"),
    ev.CustomerOpened: (2, "ts_ms id digest customer currency"),
    ev.Deposited: (3, "ts_ms id digest customer currency amount_m provider"),
    ev.Withdrawn: (4, "ts_ms id digest customer currency amount_m provider"),
    ev.Reserved: (5, "ts_ms id digest customer currency amount_m provider hold_until_ms"),
    ev.ReservePosted: (6, "ts_ms id digest customer currency reserve provider amount_m returned_m"),
    ev.ReserveVoided: (7, "ts_ms id digest customer currency reserve amount_m"),
    ev.CustomerStatusSet: (8, "ts_ms id digest author customer suspended reason"),
    ev.FixtureDefined: (10, "ts_ms id digest source author fixture name sport competition start_ms"),
    ev.MarketDefined: (
        11,
        "ts_ms id digest source author fixture market market_type name group winners cut_off_ms selections",
    ),
    ev.MarketStatusSet: (12, "ts_ms id digest author fixture market suspended"),
    ev.PriceSet: (13, "ts_ms id digest author fixture market selection price"),
    ev.MarketSettled: (14, "ts_ms id digest source author sequence fixture market results reason"),
    ev.MarketCancelled: (15, "ts_ms id digest source author sequence fixture market from_ms to_ms reason"),
    ev.MarketRolledBack: (16, "ts_ms id digest source author sequence fixture market what reason"),
    ev.SettlementAdvanced: (17, "ts_ms fixture market bets"),
    ev.MarketArchived: (18, "ts_ms fixture market bets last"),
    ev.BetAccepted: (20, "ts_ms id digest customer currency stake_m payout_m legs"),
    ev.BetRejected: (
        21,
        "ts_ms id digest customer stake_m legs reason leg price limit stake_accepted_m detail",
    ),
    ev.BetSettled: (22, "ts_ms bet customer currency stake_m was was_paid_m status paid_m"),
    ev.BetAdvanced: (23, "ts_ms bet"),
    ev.BetVoided: (24, "ts_ms id digest author bet customer reason"),
    ev.CommandRejected: (30, "ts_ms id digest command customer author reason limit detail"),
    # What events and the journal's messages are made of.
    Batch: (None, "format first events"),
    AcceptedLeg: (None, "fixture market selection price requested version producer sequence in_play"),
    RejectedLeg: (None, "fixture market selection requested"),
    NamedSelection: (None, "id name"),
    Result: (None, "selection result void_factor dead_heat_places dead_heat_sharing"),
}


def test_every_event_is_frozen() -> None:
    assert set(get_args(Event)) == {kind for kind, (tag, _) in FROZEN.items() if tag is not None}


@pytest.mark.parametrize("kind", FROZEN, ids=lambda kind: kind.__name__)
def test_a_journalled_type_keeps_its_tag_and_its_fields_in_their_order(kind: type[msgspec.Struct]) -> None:
    tag, names = FROZEN[kind]
    frozen = tuple(names.split())
    assert kind.__struct_config__.array_like
    assert kind.__struct_config__.tag == tag
    assert kind.__struct_fields__[: len(frozen)] == frozen


@pytest.mark.parametrize("kind", FROZEN, ids=lambda kind: kind.__name__)
def test_a_field_added_later_has_a_default(kind: type[msgspec.Struct]) -> None:
    _, names = FROZEN[kind]
    added = [field for field in msgspec.structs.fields(kind) if field.name not in names.split()]
    assert all(not field.required for field in added)


def test_a_journal_of_the_first_release_is_read() -> None:
    """The bytes of a bet as release 0.1.0 wrote them, arrays only: no name of a field is in them."""
    written = [
        1,
        7,
        [[20, 5, "b1", 9, "ann", "EUR", 1000, 2150, [["m", "w", "h", 21500, 21000, 3, "acme.live", 4, False]]]],
    ]
    batch = msgspec.msgpack.decode(msgspec.msgpack.encode(written), type=Batch)
    leg = AcceptedLeg("m", "w", "h", 21_500, 21_000, 3, "acme.live", 4, in_play=False)
    assert batch == Batch(1, 7, [ev.BetAccepted(5, "b1", 9, "ann", "EUR", 1_000, 2_150, (leg,))])


def test_statuses_of_bets_keep_their_numbers() -> None:
    assert {status.name: status.value for status in ev.BetStatus} == {"OPEN": 0, "WON": 1, "LOST": 2, "VOID": 3}


def test_reasons_keep_their_numbers() -> None:
    """Numbers stand in the journal, names on the wire."""
    assert {reason.name: reason.value for reason in Rejection} == {
        "MALFORMED": 10,
        "DUPLICATE_ID": 20,
        "EXPIRED": 30,
        "DEADLINE_TOO_FAR": 31,
        "BUSY": 40,
        "CUSTOMER_UNKNOWN": 50,
        "CUSTOMER_SUSPENDED": 52,
        "TOO_MANY_LEGS": 100,
        "LEGS_NOT_COMBINABLE": 110,
        "CURRENCY_MISMATCH": 120,
        "FIXTURE_UNKNOWN": 200,
        "MARKET_UNKNOWN": 201,
        "SELECTION_UNKNOWN": 202,
        "MARKET_CLOSED": 210,
        "MARKET_SUSPENDED": 211,
        "CUT_OFF_PASSED": 220,
        "PRODUCER_DOWN": 230,
        "PRICE_STALE": 240,
        "SELECTION_UNPRICED": 250,
        "PRICE_CHANGED": 260,
        "STAKE_TOO_SMALL": 300,
        "STAKE_TOO_LARGE": 310,
        "PAYOUT_TOO_LARGE": 320,
        "LIABILITY_SELECTION": 400,
        "LIABILITY_MARKET": 410,
        "LIABILITY_FIXTURE": 420,
        "LIABILITY_CUSTOMER": 430,
        "LIABILITY_BOOK": 440,
        "BALANCE_TOO_LOW": 500,
        "CUSTOMER_EXISTS": 600,
        "RESERVE_UNKNOWN": 610,
        "RESERVE_EXCEEDED": 611,
        "BET_UNKNOWN": 620,
        "BET_NOT_OPEN": 621,
        "CANCEL_NOT_ALLOWED": 622,
        "PRICE_NOT_OURS": 630,
        "RESULTS_INCOMPLETE": 640,
        "NOTHING_TO_CHANGE": 641,
        "TOO_MANY": 700,
    }
