"""Bytes in any pieces; lines that cannot be read; and nothing but the parser's own error, whatever comes."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from core.messages.feed import FeedMessage
from feeds.betfair.normalise import Normaliser
from feeds.betfair.stream import LineError, Message, Parser

LINES = (Path(__file__).parent / "lines.jsonl").read_bytes().splitlines(keepends=True)


def parse(pieces: list[bytes], line_bytes_max: int = 1 << 20) -> list[Message]:
    parser = Parser(line_bytes_max)
    return [message for piece in pieces for message in parser.feed(piece)] + list(parser.end())


WHOLE = parse([b"".join(LINES)])


def test_every_line_is_one_message() -> None:
    assert len(WHOLE) == len(LINES)
    assert [message.op for message in WHOLE] == ["connection", "mcm", "mcm", "mcm", "mcm", "status"]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100, 1000])
def test_bytes_may_come_in_pieces_of_any_size(size: int) -> None:
    data = b"".join(LINES)
    assert parse([data[at : at + size] for at in range(0, len(data), size)]) == WHOLE


def test_a_last_line_needs_no_end() -> None:
    assert parse([b"".join(LINES).rstrip()]) == WHOLE


def test_lines_may_end_as_on_the_wire_and_empty_ones_are_nothing() -> None:
    data = b"\r\n\n" + b"".join(LINES).replace(b"\n", b"\r\n") + b"  \r\n"
    assert parse([data]) == WHOLE


def test_a_tail_that_was_cut_off_is_named_after_everything_before_it() -> None:
    parser = Parser(1 << 20)
    assert len(list(parser.feed(b"".join(LINES) + LINES[1][:50]))) == len(LINES)
    with pytest.raises(LineError, match=r"line 7: cut off in the middle, 50 bytes of it are there"):
        list(parser.end())


def test_an_unreadable_line_is_named_by_number_and_field() -> None:
    with pytest.raises(LineError, match=r"line 2: Expected `int`, got `str` - at `\$\.pt`"):
        parse([LINES[0], b'{"op":"mcm","pt":"x"}\n'])


def test_an_unreadable_line_can_be_passed_over() -> None:
    bad: list[LineError] = []
    parser = Parser(1 << 20, bad.append)
    found = list(parser.feed(LINES[0] + b"{,}\n" + LINES[1]))
    assert (found, [error.number for error in bad], parser.lines) == (WHOLE[:2], [2], 3)


def test_a_line_without_end_is_bounded() -> None:
    parser = Parser(1000, lambda _: None)
    assert list(parser.feed(b"x" * 400)) == list(parser.feed(b"x" * 400)) == []
    with pytest.raises(LineError, match="line 1: longer than 1000 bytes"):
        list(parser.feed(b"x" * 400))


@pytest.mark.parametrize(
    "change",
    [
        '{"id":"1.5","rc":[{"id":1,"atb":[[2.0]]}]}',
        '{"id":"1.5","rc":[{"id":1,"atb":[["NaN",1]]}]}',
        '{"id":"1.5","rc":[{"id":1,"atb":[[NaN,1]]}]}',
        '{"id":"1.5","rc":[{"id":1,"atb":[[1e999,1]]}]}',
        '{"id":"1.5","rc":[{"id":1,"ltp":"much"}]}',
        '{"id":"1.5","rc":[{"id":-1}]}',
        '{"id":"1.5","rc":[{"id":123456789012345678901234567890}]}',
        '{"id":"1.5","rc":[{}]}',
        '{"id":"../../etc"}',
        '{"id":7}',
        '{"id":"1.5","marketDefinition":{"eventId":"a b"}}',
        '{"id":"1.5","marketDefinition":{}}',
        '{"id":"1.5","marketDefinition":{"eventId":"1","marketTime":"soon"}}',
        '{"id":"1.5","con":' + "[" * 100_000,
    ],
)
def test_a_change_that_makes_no_sense_is_an_unreadable_line(change: str) -> None:
    with pytest.raises(LineError, match="line 1: "):
        parse([b'{"op":"mcm","pt":1,"mc":[' + change.encode() + b"]}\n"])


def test_words_for_numbers_mean_none() -> None:
    (message,) = parse([b'{"op":"mcm","mc":[{"id":"1.5","rc":[{"id":1,"ltp":"NaN","spn":"Infinity"}]}]}'])
    assert message.mc
    assert message.mc[0].rc
    assert message.mc[0].rc[0].ltp == "NaN"


@given(st.data())
def test_garbage_raises_nothing_but_line_errors(data: st.DataObject) -> None:
    """Lines with some bytes put in, taken out and exchanged; those that still are readable must be taken in as well."""
    lines = [bytearray(text) for text in LINES]
    for _ in range(data.draw(st.integers(0, 6))):
        text = data.draw(st.sampled_from(lines))
        at = data.draw(st.integers(0, len(text)))
        until = data.draw(st.integers(at, min(len(text), at + 4)))
        text[at:until] = data.draw(st.binary(max_size=4) | st.sampled_from([b"0", b"-", b"null", b"[]", b"1e9", b'""']))
    parser, normaliser = Parser(1 << 20, lambda _: None), Normaliser(markets_max=2)
    for message in [*parser.feed(b"".join(lines) + b"\n")]:
        for ours in normaliser.read(message):
            _check_schema(ours)
    for ours in normaliser.image():
        _check_schema(ours)


def _check_schema(ours: FeedMessage) -> None:
    """What we say obeys our own schema, names and bounds too."""
    told = replace(ours, producer="p")
    assert msgspec.convert(msgspec.to_builtins(told), type(told)) == told


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda deep: st.lists(deep) | st.dictionaries(st.text(), deep),
    )
)
def test_any_json_is_a_message_or_a_line_error(value: object) -> None:
    parser = Parser(1 << 20, lambda _: None)
    assert all(isinstance(message, Message) for message in parser.feed(json.dumps(value).encode() + b"\n"))
