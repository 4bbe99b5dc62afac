"""Which message a subject carries, and how bytes become messages and answers bytes: JSON or msgpack, by the first byte.

The one table of the protocol: the gateway decodes by it and the AsyncAPI document is written from it. A message that
does not decode raises MalformedError, whose text names the field; nothing that anybody can send raises anything else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct

from core.messages import answers, commands, feed, queries
from core.messages.answers import Rejected
from core.messages.rejections import Rejection
from core.units import Id

Message = commands.Command | queries.GetBet | queries.GetAccount | queries.GetOdds
Decode = Callable[[bytes], Any]


class MalformedError(ValueError):
    """The bytes are not the message they should be; the text is for the sender and names the field."""


class Request(NamedTuple):
    """What a subject carries and what it is answered with, besides Rejected."""

    message: type[Struct]
    answer: type[Struct]
    many: bool = False
    """An array is taken as well: each is decided on its own, and answered in one array, in the same order."""

    @property
    def shape(self) -> Any:
        """The type to decode."""
        return self.message | list[self.message] if self.many else self.message  # type: ignore[name-defined]


REQUESTS: Final[dict[str, Request]] = {
    "bet.place": Request(commands.PlaceBet, answers.Accepted, many=True),
    "bet.cancel": Request(commands.CancelBet, answers.Done),
    "bet.get": Request(queries.GetBet, answers.BetState),
    "account.open": Request(commands.OpenCustomer, answers.Done),
    "account.deposit": Request(commands.Deposit, answers.Done),
    "account.withdraw": Request(commands.Withdraw, answers.Done),
    "account.reserve": Request(commands.Reserve, answers.Done),
    "account.post": Request(commands.PostReserve, answers.Done),
    "account.void": Request(commands.VoidReserve, answers.Done),
    "account.get": Request(queries.GetAccount, answers.AccountState),
    "desk.customer.status": Request(commands.SetCustomerStatus, answers.Done),
    "desk.fixture.define": Request(commands.DefineFixture, answers.Done),
    "desk.market.define": Request(commands.DefineMarket, answers.Done),
    "desk.market.open": Request(commands.OpenMarket, answers.Done),
    "desk.market.suspend": Request(commands.SuspendMarket, answers.Done),
    "desk.market.settle": Request(commands.SettleMarket, answers.Done),
    "desk.market.void": Request(commands.CancelMarket, answers.Done),
    "desk.market.rollback": Request(commands.RollBackMarket, answers.Done),
    "desk.price.set": Request(commands.SetPrice, answers.Done),
    "desk.bet.void": Request(commands.VoidBet, answers.Done),
    "odds.get": Request(queries.GetOdds, answers.OddsImage),
}
"""Subject -> what it carries."""


class _Named(Struct):
    """As much of a malformed message as is needed to answer it."""

    id: Id = ""


class Wire:
    """One encoding: its encoder and a decoder for every message, built once."""

    def __init__(self, name: str, encode: Callable[[Any], bytes], decoder: Callable[[Any], Decode]) -> None:
        self.name = name
        self.encode = encode
        self.requests = {subject: decoder(request.shape) for subject, request in REQUESTS.items()}
        self.feed = decoder(feed.AnyFeedMessage)
        self.pieces = decoder(list[msgspec.Raw])
        self._named = decoder(_Named)

    def named(self, payload: bytes) -> str:
        """The id of a message that could not be read otherwise; empty where that fails too."""
        try:
            named: _Named = self._named(payload)
        except UNREADABLE:
            return ""
        return named.id


JSON: Final = Wire("json", msgspec.json.Encoder().encode, lambda kind: msgspec.json.Decoder(kind).decode)
MSGPACK: Final = Wire("msgpack", msgspec.msgpack.Encoder().encode, lambda kind: msgspec.msgpack.Decoder(kind).decode)

UNREADABLE: Final = (ValueError, LookupError, RecursionError)
"""What decoding raises: ValueError is the base of msgspec's errors and of UnicodeDecodeError; LookupError means that
there is no such encoding or subject."""


def _wires() -> dict[int, Wire]:
    """First byte -> encoding. msgpack: fixmap, fixarray, map and array 16 and 32; JSON: `{`, `[`, white space."""
    msgpack = (*range(0x80, 0xA0), 0xDC, 0xDD, 0xDE, 0xDF)
    return dict.fromkeys(b"{[ \t\r\n", JSON) | dict.fromkeys(msgpack, MSGPACK)


WIRE_OF: Final = _wires()


def wire_of(payload: bytes) -> Wire:
    """The encoding of a message. Raises MalformedError for what is neither."""
    wire = WIRE_OF.get(payload[0]) if payload else None
    if wire is None:
        raise MalformedError("Expected a JSON or msgpack object" + ("" if payload else ", got an empty message"))
    return wire


def decode_feed(payload: bytes) -> feed.AnyFeedMessage:
    """A feed message. Raises MalformedError."""
    try:
        message: feed.AnyFeedMessage = wire_of(payload).feed(payload)
    except UNREADABLE as error:
        raise MalformedError(explain(error)) from error
    return message


def explain(error: BaseException) -> str:
    """A decoder's complaint, for the sender."""
    if isinstance(error, UnicodeDecodeError):
        return "A text is not valid UTF-8"
    if isinstance(error, RecursionError):
        return "Nested too deeply"
    return str(error)[:500]


def malformed(detail: str, message_id: str = "") -> Rejected:
    return Rejected(message_id, Rejection.MALFORMED.name, detail=detail)


def busy(message_id: str) -> Rejected:
    return Rejected(message_id, Rejection.BUSY.name)
