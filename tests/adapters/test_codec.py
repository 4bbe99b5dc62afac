"""What anybody can send is decoded or refused with a reason that names the field; nothing else happens."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters import codec
from adapters.codec import JSON, MSGPACK, REQUESTS, MalformedError, Wire
from core.engine import DECIDERS, QUERIES
from core.messages import commands, feed
from core.messages.commands import PlaceBet

LEG = {"fixture": "f", "market": "m", "selection": "s", "price": 21_500}
BET: dict[str, Any] = {"id": "b-1", "expires_ms": 1, "customer": "c", "stake_m": 100, "legs": [LEG]}
WIRES = pytest.mark.parametrize("wire", [JSON, MSGPACK], ids=lambda wire: wire.name)


def refusal(payload: bytes, subject: str = "bet.place") -> str:
    """What a sender is told."""
    with pytest.raises(codec.UNREADABLE) as caught:
        codec.wire_of(payload).requests[subject](payload)
    return codec.explain(caught.value)


def test_every_command_and_query_has_one_subject() -> None:
    asked = [request.message.__name__ for request in REQUESTS.values()]
    assert sorted(asked) == sorted(kind.__name__ for kind in (*DECIDERS, *QUERIES))


def test_the_engine_decides_on_every_command_there_is() -> None:
    kinds = [kind for kind in vars(commands).values() if isinstance(kind, type) and issubclass(kind, commands.Command)]
    assert set(kinds) - {commands.Command, commands.DeskCommand} == set(DECIDERS)


@pytest.mark.parametrize(("subject", "request_"), REQUESTS.items())
def test_a_subject_is_named_in_its_types_docstring(subject: str, request_: codec.Request) -> None:
    assert (request_.message.__doc__ or "").startswith(f"`{subject}`:")


@WIRES
def test_the_first_byte_tells_the_encoding(wire: Wire) -> None:
    payload = wire.encode(BET)
    assert codec.wire_of(payload) is wire
    bet = wire.requests["bet.place"](payload)
    assert isinstance(bet, PlaceBet)
    assert bet.legs[0].price == 21_500


@WIRES
def test_several_bets_come_as_an_array(wire: Wire) -> None:
    bets = wire.requests["bet.place"](wire.encode([BET, BET | {"id": "b-2"}]))
    assert [bet.id for bet in bets] == ["b-1", "b-2"]


def test_json_may_begin_with_white_space() -> None:
    assert codec.wire_of(b" \r\n\t{}") is JSON


@pytest.mark.parametrize("payload", [b"", b"hello", b"\x00", b'"text"', b"1", b"\xff\xff", b"null"])
def test_what_is_neither_json_nor_msgpack_is_refused(payload: bytes) -> None:
    with pytest.raises(MalformedError, match="JSON or msgpack"):
        codec.wire_of(payload)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"stake_m": "100"}, "Expected `int`, got `str` - at `$.stake_m`"),
        ({"stake_m": 0}, "Expected `int` >= 1 - at `$.stake_m`"),
        ({"stake_m": 1.5}, "Expected `int`, got `float` - at `$.stake_m`"),
        ({"stake_m": 2**63}, "Expected `int` <= 1000000000000000 - at `$.stake_m`"),
        ({"lines": 2**62 + 1}, "Expected `int` <= 4611686018427387904 - at `$.lines`"),
        ({"legs": []}, "Expected `array` of length >= 1 - at `$.legs`"),
        ({"legs": [LEG | {"price": 0}]}, "Expected `int` >= 10001 - at `$.legs[0].price`"),
        ({"legs": [LEG, LEG | {"market": 7}]}, "Expected `str`, got `int` - at `$.legs[1].market`"),
        ({"id": ""}, "Expected `str` of length >= 1 - at `$.id`"),
        ({"id": "x" * 65}, "Expected `str` of length <= 64 - at `$.id`"),
        ({"policy": "hope"}, "Invalid enum value 'hope' - at `$.policy`"),
        ({"polcy": "any"}, "Object contains unknown field `polcy`"),
    ],
)
@WIRES
def test_a_wrong_field_is_named(wire: Wire, change: dict[str, Any], told: str) -> None:
    assert refusal(wire.encode(BET | change)) == told


def unbounded(schema: Any, where: str = "") -> list[str]:
    """Where a schema takes whole numbers of any size."""
    if isinstance(schema, dict):
        here = [where] if schema.get("type") == "integer" and "maximum" not in schema else []
        return here + [found for name, each in schema.items() for found in unbounded(each, f"{where}.{name}")]
    return [found for each in schema for found in unbounded(each, where)] if isinstance(schema, list) else []


def test_no_number_is_taken_that_the_journal_cannot_store() -> None:
    """JSON's have no end, those of msgpack have 64 bits: it would be our bug, and the engine's end."""
    kinds = [request.message for request in REQUESTS.values()]
    assert unbounded(msgspec.json.schema_components([*kinds, feed.AnyFeedMessage])[1]) == []


@WIRES
def test_a_missing_field_is_named(wire: Wire) -> None:
    del (bet := dict(BET))["customer"]
    assert refusal(wire.encode(bet)) == "Object missing required field `customer`"


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        (JSON.encode(BET)[:-9], "truncated"),
        (JSON.encode(BET) + b"x", "trailing characters"),
        (b'{"stake_m":NaN}', "invalid character"),
        (b'{"stake_m":1e999}', "out of range - at `$.stake_m`"),
        (b'{"stake_m":' + b"9" * 5000 + b"}", "at `$.stake_m`"),
        (b'{"id":"\\ud800"}', "truncated"),
        (b'{"id":"\\ud800\\ud800"}', "surrogate"),
        (b'{"id":"\xff"}', "UTF-8"),
        (b"[" * 200_000, "Expected `object`, got `array`"),
        (b"\x91" * 200_000, "Expected `object`, got `array`"),
        (b'{"id":' * 50_000, "Expected `str`, got `object`"),
        (MSGPACK.encode(BET)[:-3], "truncated"),
        (b"\x81\xa2id\xa2\xff\xff", "UTF-8"),
        (b"\xdf\xff\xff\xff\xff", "truncated"),
        (b"\xdd\xff\xff\xff\xff\x01", "Expected `object`, got `int`"),
        (b"\x81\xa4legs\xdd\xff\xff\xff\xff", "truncated"),
    ],
)
def test_broken_bytes_are_explained(payload: bytes, told: str) -> None:
    assert told in refusal(payload)


@WIRES
def test_nesting_without_end_is_refused_where_anything_is_allowed(wire: Wire) -> None:
    deep = (b"[" if wire is JSON else b"\x91") * 200_000
    with pytest.raises(codec.UNREADABLE):
        wire.pieces(deep)
    assert wire.named(deep) == ""


def test_ten_thousand_legs_are_decoded_for_the_engine_to_refuse() -> None:
    bet = JSON.requests["bet.place"](JSON.encode(BET | {"legs": [LEG] * 10_000}))
    assert len(bet.legs) == 10_000


@pytest.mark.parametrize(
    ("payload", "name"),
    [
        (JSON.encode({"id": "b-1", "stake_m": "x"}), "b-1"),
        (MSGPACK.encode({"id": "b-1", "stake_m": "x"}), "b-1"),
        (JSON.encode({"id": 5}), ""),
        (JSON.encode({"id": "x" * 65}), ""),
        (JSON.encode({"id": "a b"}), ""),
        (JSON.encode(BET)[:-1], ""),
        (JSON.encode([BET]), ""),
    ],
)
def test_the_id_of_a_malformed_message_is_given_back_where_it_can_be_read(payload: bytes, name: str) -> None:
    assert codec.wire_of(payload).named(payload) == name


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9)
VALUES = SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(st.text(max_size=5), SCALARS, max_size=3)
ALMOST_BETS = st.fixed_dictionaries({name: st.just(value) | VALUES for name, value in BET.items()})


def outcome(decode: codec.Decode, payload: bytes) -> str:
    """What comes of it: "decoded", or the explanation, which is never empty."""
    try:
        decode(payload)
    except codec.UNREADABLE as error:
        return codec.explain(error)
    return "decoded"


@given(st.sampled_from(sorted(REQUESTS)), st.binary(max_size=300), st.sampled_from([b"", b"{", b"[", b"\x81", b"\x91"]))
def test_no_bytes_do_anything_but_decode_or_be_refused(subject: str, payload: bytes, first: bytes) -> None:
    assert outcome(lambda given: codec.wire_of(given).requests[subject](given), first + payload)


@given(st.sampled_from(sorted(REQUESTS)), ALMOST_BETS, st.sampled_from([JSON, MSGPACK]))
def test_no_almost_bet_does_anything_but_decode_or_be_refused(subject: str, bet: dict[str, Any], wire: Wire) -> None:
    try:
        payload = wire.encode(bet)
    except (UnicodeEncodeError, OverflowError):
        return  # no client could send it either
    assert outcome(wire.requests[subject], payload)
    assert wire.named(payload) in [bet["id"], ""]


@given(st.integers(0, len(JSON.encode(BET)) - 1), st.integers(0, 255))
def test_one_changed_byte_never_changes_what_else_is_read(at: int, byte: int) -> None:
    payload = bytearray(JSON.encode(BET))
    payload[at] = byte
    try:
        bet = codec.wire_of(bytes(payload)).requests["bet.place"](bytes(payload))
    except codec.UNREADABLE:
        return
    assert JSON.requests["bet.place"](JSON.encode(bet)) == bet


@given(st.binary(max_size=200))
def test_a_feed_message_is_decoded_or_malformed(payload: bytes) -> None:
    for first in (b"", b"{", b"\x81"):
        with pytest.raises(MalformedError):
            codec.decode_feed(first + payload)
