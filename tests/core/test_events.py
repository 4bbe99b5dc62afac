"""What is journalled is for ever (DESIGN 5): tags and the order of fields may not change; new fields go to the end."""

from __future__ import annotations

from typing import get_args

import msgspec
import pytest

from core.grading.scores import FootballScore, RaceScore, TennisScore
from core.messages import events as ev
from core.messages.commands import Leg, NamedPrice, NamedSelection, PlaceBet, PlaceOrder, PricePolicy, Ramp
from core.messages.events import AcceptedLeg, Batch, Event, RejectedLeg
from core.messages.rejections import Rejection
from core.messages.results import EachWay, PlaceTerms, Result
from core.messages.terms import ExchangeTerms
from core.units import RATE_ONE
from tests.core.world import World, lost, won

_ORDER = "ts_ms id digest customer currency fixture market"
_REST = "lapsed_m why exposure_m replaces waited"
_NODE = "sport competition fixture market_type market selection"
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
    # Since the second release.
    ev.BetPending: (
        25,
        "ts_ms id digest customer currency reserved_m until_ms stage command reason leg limit stake_accepted_m detail",
    ),
    ev.ReferralAnswered: (26, "ts_ms id digest author bet customer action stake_m prices until_ms reason"),
    ev.BetOffered: (27, "ts_ms author customer currency until_ms returned_m bet"),
    ev.OfferAnswered: (28, "ts_ms id digest customer bet taken"),
    ev.BetCashedOut: (29, "ts_ms id digest customer currency bet stake_m paid_m"),
    ev.FixtureScored: (40, "ts_ms id digest source author sequence fixture score reason"),
    ev.ScoringAdvanced: (41, "ts_ms fixture markets"),
    ev.SelectionWithdrawn: (
        42,
        "ts_ms id digest source author sequence fixture market selection price at_ms deduction_pc",
    ),
    ev.StartingPricesSet: (43, "ts_ms id digest source author sequence fixture market prices"),
    ev.LimitSet: (44, f"ts_ms id digest author {_NODE} stake_max_m payout_max_m liability_max_m ramp"),
    ev.CustomerFactorSet: (45, "ts_ms id digest author customer factor_bp sport in_play"),
    ev.RateSet: (46, "ts_ms id digest author currency rate"),
    ev.CustomerVerified: (47, "ts_ms id digest author customer verified reason"),
    ev.OwnLimitSet: (48, "ts_ms id digest customer kind period limit_m confirm_from_ms"),
    ev.OwnLimitConfirmed: (49, "ts_ms id digest customer kind period limit_m"),
    ev.CustomerExcluded: (50, "ts_ms id digest customer kind until_ms"),
    ev.FreeBetGranted: (51, "ts_ms id digest author customer token stake_m ends_ms price_min"),
    ev.BonusGranted: (52, "ts_ms id digest author customer currency bonus amount_m required_m ends_ms price_min"),
    ev.BonusEnded: (53, "ts_ms id digest author customer currency bonus how amount_m reason"),
    # Since the third release.
    ev.OrderPlaced: (
        60,
        f"{_ORDER} selection side price stake_m on_close persistence fills crosses {_REST}",
    ),
    ev.OrderPending: (61, f"{_ORDER} command until_ms exposure_m"),
    ev.OrdersCancelled: (62, f"{_ORDER} orders why stake_m exposure_m reason orders_before stake_before_m"),
    ev.OrderReduced: (63, f"{_ORDER} order by_m exposure_m"),
    ev.OrderRefused: (64, "ts_ms id reason limit detail price stake_accepted_m"),
    ev.OrderBatch: (65, f"{_ORDER} steps"),
    ev.ExchangeCleared: (66, "ts_ms id digest source author fixture market why"),
    ev.StartingPriceMatched: (67, "ts_ms fixture market selection price currency orders rest made_ms"),
    ev.PositionSettled: (
        68,
        "ts_ms fixture market customer currency was_net_m was_commission_m settled net_m commission_m exposure_m",
    ),
    ev.ExchangeAdvanced: (69, "ts_ms fixture market cleared settled counted forgets"),
    # Since the fourth release.
    ev.WordKept: (19, "ts_ms source sequence fixture market what told_ms results number"),
    # What events and the journal's messages are made of.
    ev.Fill: (None, "maker customer selection price stake_m exposure_m"),
    ev.Cross: (None, "price stake_m makers"),
    ev.Closed: (None, "order customer stake_m exposure_m side"),
    Batch: (None, "format first events"),
    AcceptedLeg: (None, "fixture market selection price requested version producer sequence in_play"),
    RejectedLeg: (None, "fixture market selection requested"),
    NamedSelection: (None, "id name"),
    Result: (None, "selection result void_factor dead_heat_places dead_heat_sharing"),
    EachWay: (None, "places numerator denominator handicap"),
    PlaceTerms: (None, "places numerator denominator"),
    NamedPrice: (None, "selection price"),
    Ramp: (None, "before_ms share_bp"),
}
# What stands in events with the names of its fields; none may be renamed, and one added later has a default.
NAMED: dict[type, tuple[str, str]] = {
    PlaceBet: (
        "id expires_ms customer stake_m legs",
        "policy tolerance_bp currency kind folds each_way unit_stake lines partial refer free_bet",
    ),
    Leg: ("fixture market selection price", "banker starting_price place"),
    FootballScore: ("", "final halves"),
    TennisScore: ("", "sets games best_of retired"),
    RaceScore: ("order", "behind not_finished withdrawn"),
    PlaceOrder: (
        "id expires_ms customer fixture market selection side stake_m",
        "price kind persistence fill_or_kill fill_min_m version currency",
    ),
    ExchangeTerms: ("", "ladder commission_bp cross passive_exempt starting_price house house_stake_m"),
}


def test_every_event_is_frozen() -> None:
    # OrderRefused has a tag, but stands in batches alone.
    assert {*get_args(Event), ev.OrderRefused} == {kind for kind, (tag, _) in FROZEN.items() if tag is not None}


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


@pytest.mark.parametrize("kind", NAMED, ids=lambda kind: kind.__name__)
def test_a_type_that_is_journalled_by_its_fields_names_keeps_them(kind: type[msgspec.Struct]) -> None:
    required, optional = (names.split() for names in NAMED[kind])
    assert not kind.__struct_config__.array_like
    assert [field.name for field in msgspec.structs.fields(kind) if field.required] == required
    assert {*required, *optional} <= set(kind.__struct_encode_fields__)


# A batch as release 0.1.0 wrote it: written with its code, and copied here.
FIRST_RELEASE = bytes.fromhex(
    "93010797"
    "9b0a01a2633109a46465736ba6747261646572a16da54d61746368a8666f6f7462616c6ca363757005"
    "9e0b01a000a961636d652e6c697665a0a16da177a677696e6e6572a657696e6e6572a16701079292a168a4486f6d6592a161a441776179"
    "991405a2623109a3616e6ea3455552cd03e8cd08669199a16da177a168cd53fccd520803a961636d652e6c69766504c2"
    "9d1505a2623209a3616e6ecd03e89194a16da177a168cd5208cd010400cd53fc0000a0"
    "9b0e06a000a961636d652e6c697665a005a16da1779295a1680100010195a16100000101a0"
    "9a1606a26231a3616e6ea3455552cd03e8000001cd0866"
    "981807a2633209a6747261646572a26231a3616e6ea870616c7061626c65"
)


def test_a_journal_of_the_first_release_is_read() -> None:
    """Every field that came later has its default, and the default says what was true then."""
    batch = msgspec.msgpack.decode(FIRST_RELEASE, type=Batch)
    selections = (NamedSelection("h", "Home"), NamedSelection("a", "Away"))
    leg = AcceptedLeg("m", "w", "h", 21_500, 21_000, 3, "acme.live", 4, in_play=False)
    results = (won("h"), lost("a"))
    assert batch == Batch(
        1,
        7,
        [
            ev.FixtureDefined(1, "c1", 9, "desk", "trader", "m", "Match", "football", "cup", 5),
            ev.MarketDefined(
                1, "", 0, "acme.live", "", "m", "w", "winner", "Winner", "g", 1, 7, selections, {}, None, 0, (), False
            ),
            ev.BetAccepted(5, "b1", 9, "ann", "EUR", 1_000, 2_150, (leg,), "", (), 1, False, "", RATE_ONE, 0, 0),
            ev.BetRejected(
                5, "b2", 9, "ann", 1_000, (RejectedLeg("m", "w", "h", 21_000),), 260, 0, 21_500, 0, 0, "", "", 0
            ),
            ev.MarketSettled(6, "", 0, "acme.live", "", 5, "m", "w", results, ""),
            ev.BetSettled(6, "b1", "ann", "EUR", 1_000, 0, 0, 1, 2_150, 0, False),
            ev.BetVoided(7, "c2", 9, "trader", "b1", "ann", "palpable", -1),
        ],
    )


def test_a_journal_of_the_first_release_makes_a_book() -> None:
    """A bet without a payout maximum, at the rate of one: 10.00 at 2.15, paid, voided, paid anew without a limit."""
    world = World()
    world.customer("ann", 10_000)
    for event in msgspec.msgpack.decode(FIRST_RELEASE, type=Batch).events:
        world.events.append(world.engine.apply(msgspec.structs.replace(event, ts_ms=world.now)))
    world.run()
    assert (world.book.bets["b1"].paid_m, world.cash("ann")) == (1_000, 10_000)
    world.check()


def test_statuses_of_bets_keep_their_numbers() -> None:
    assert {status.name: status.value for status in ev.BetStatus} == {
        "OPEN": 0,
        "WON": 1,
        "LOST": 2,
        "VOID": 3,
        "CASHED_OUT": 4,
    }


def test_stages_of_waiting_bets_keep_their_numbers() -> None:
    assert {stage.name: stage.value for stage in ev.Stage} == {"DELAYED": 0, "REFERRED": 1, "OFFERED": 2}


def test_price_policies_keep_their_words() -> None:
    """They stand in the journal, in the bets that wait."""
    assert [policy.value for policy in PricePolicy] == ["none", "better", "any", "tolerance"]


def test_reasons_keep_their_numbers() -> None:
    """Numbers stand in the journal, names on the wire."""
    assert {reason.name: reason.value for reason in Rejection} == {
        "MALFORMED": 10,
        "DUPLICATE_ID": 20,
        "EXPIRED": 30,
        "DEADLINE_TOO_FAR": 31,
        "BUSY": 40,
        "CUSTOMER_UNKNOWN": 50,
        "CUSTOMER_NOT_VERIFIED": 51,
        "CUSTOMER_SUSPENDED": 52,
        "SELF_EXCLUDED": 53,
        "TIMED_OUT": 54,
        "TOO_MANY_LEGS": 100,
        "LEGS_NOT_COMBINABLE": 110,
        "KIND_UNKNOWN": 111,
        "TOO_MANY_COMBINATIONS": 112,
        "LINES_MISMATCH": 114,
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
        "EACH_WAY_NOT_OFFERED": 255,
        "STARTING_PRICE_NOT_OFFERED": 256,
        "EXCHANGE_NOT_OFFERED": 257,
        "MARKET_VERSION_CHANGED": 258,
        "PRICE_NOT_ON_LADDER": 259,
        "PRICE_CHANGED": 260,
        "PLACE_TERMS_CHANGED": 261,
        "STAKE_TOO_SMALL": 300,
        "OWN_STAKE_LIMIT": 302,
        "OWN_LOSS_LIMIT": 304,
        "TOO_FAST": 306,
        "STAKE_TOO_LARGE": 310,
        "PAYOUT_TOO_LARGE": 320,
        "LIABILITY_SELECTION": 400,
        "LIABILITY_MARKET": 410,
        "LIABILITY_MARKET_TYPE": 415,
        "LIABILITY_FIXTURE": 420,
        "LIABILITY_COMPETITION": 424,
        "LIABILITY_SPORT": 426,
        "LIABILITY_CUSTOMER": 430,
        "LIABILITY_BOOK": 440,
        "BALANCE_TOO_LOW": 500,
        "FREE_BET_UNKNOWN": 510,
        "FREE_BET_MISMATCH": 512,
        "TOO_MANY_PENDING": 530,
        "REFERRAL_DECLINED": 540,
        "REFERRAL_EXPIRED": 542,
        "OFFER_DECLINED": 544,
        "OFFER_EXPIRED": 546,
        "CUSTOMER_EXISTS": 600,
        "CURRENCY_UNKNOWN": 602,
        "RESERVE_UNKNOWN": 610,
        "RESERVE_EXCEEDED": 611,
        "OWN_DEPOSIT_LIMIT": 612,
        "OWN_LIMIT_NOT_DUE": 614,
        "EXCLUSION_STANDS": 616,
        "BONUS_EXISTS": 617,
        "BONUS_UNKNOWN": 618,
        "ORDER_UNKNOWN": 619,
        "BET_UNKNOWN": 620,
        "BET_NOT_OPEN": 621,
        "CANCEL_NOT_ALLOWED": 622,
        "BET_NOT_PENDING": 623,
        "OFFER_NOT_VALID": 624,
        "CASH_OUT_NOT_OFFERED": 626,
        "CASH_OUT_CHANGED": 628,
        "PRICE_NOT_OURS": 630,
        "RESULTS_INCOMPLETE": 640,
        "NOTHING_TO_CHANGE": 641,
        "DEFINITION_NOT_VALID": 642,
        "TOO_MANY": 700,
    }
