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

Decode = Callable[[bytes], Any]


class MalformedError(ValueError):
    """The bytes are not the message they should be; the text is for the sender and names the field."""


class Request(NamedTuple):
    """What a subject carries and what it is answered with, besides Rejected: one of these."""

    message: type[Struct]
    answers: tuple[type[Struct], ...] = (answers.Done,)
    many: bool = False
    """An array is taken as well: each is decided on its own, and answered in one array, in the same order."""

    @property
    def answered(self) -> tuple[type[Struct], ...]:
        """All of them."""
        return (*self.answers, Rejected)

    @property
    def shape(self) -> Any:
        """The type to decode."""
        return self.message | list[self.message] if self.many else self.message  # type: ignore[name-defined]


REQUESTS: Final[dict[str, Request]] = {
    "bet.place": Request(commands.PlaceBet, (answers.Accepted, answers.Pending), many=True),
    "bet.offer.take": Request(commands.TakeOffer),
    "bet.offer.decline": Request(commands.DeclineOffer),
    "bet.cash-out.quote": Request(queries.GetCashOut, (answers.CashOutQuote,)),
    "bet.cash-out.take": Request(commands.CashOut),
    "bet.cancel": Request(commands.CancelBet),
    "bet.get": Request(queries.GetBet, (answers.BetState,)),
    "bet.max-stake": Request(queries.GetMaxStake, (answers.MaxStake,)),
    "order.place": Request(commands.PlaceOrder, (answers.OrderReport,), many=True),
    "order.cancel": Request(commands.CancelOrder, (answers.Cancelled,)),
    "order.cancel-all": Request(commands.CancelOrders, (answers.Cancelled,)),
    "order.reduce": Request(commands.ReduceOrder, (answers.Cancelled,)),
    "order.replace": Request(commands.ReplaceOrder, (answers.OrderReport,)),
    "order.batch": Request(commands.BatchOrders, (answers.OrderReports,)),
    "order.get": Request(queries.GetOrder, (answers.OrderState, answers.OrderReport)),
    "order.list": Request(queries.GetOrders, (answers.Orders,)),
    "order.book": Request(queries.GetBook, (answers.BookImage,)),
    "account.open": Request(commands.OpenCustomer),
    "account.deposit": Request(commands.Deposit),
    "account.withdraw": Request(commands.Withdraw),
    "account.reserve": Request(commands.Reserve),
    "account.post": Request(commands.PostReserve),
    "account.void": Request(commands.VoidReserve),
    "account.limit.set": Request(commands.SetOwnLimit),
    "account.limit.confirm": Request(commands.ConfirmOwnLimit),
    "account.exclude": Request(commands.ExcludeCustomer),
    "account.get": Request(queries.GetAccount, (answers.AccountState,)),
    "account.limits": Request(queries.GetOwnLimits, (answers.OwnLimits,)),
    "account.bonuses": Request(queries.GetBonuses, (answers.Bonuses,)),
    "desk.customer.status": Request(commands.SetCustomerStatus),
    "desk.customer.verify": Request(commands.VerifyCustomer),
    "desk.customer.factor": Request(commands.SetCustomerFactor),
    "desk.limit.set": Request(commands.SetLimit),
    "desk.rate.set": Request(commands.SetRate),
    "desk.bonus.free-bet": Request(commands.GrantFreeBet),
    "desk.bonus.match": Request(commands.GrantBonus),
    "desk.bonus.cancel": Request(commands.CancelBonus),
    "desk.fixture.define": Request(commands.DefineFixture),
    "desk.fixture.settle": Request(commands.SettleFixture),
    "desk.market.define": Request(commands.DefineMarket),
    "desk.market.open": Request(commands.OpenMarket),
    "desk.market.suspend": Request(commands.SuspendMarket),
    "desk.market.in-play": Request(commands.TurnInPlay),
    "desk.market.settle": Request(commands.SettleMarket),
    "desk.market.starting-prices": Request(commands.SetStartingPrices),
    "desk.market.void": Request(commands.CancelMarket),
    "desk.market.rollback": Request(commands.RollBackMarket),
    "desk.selection.withdraw": Request(commands.WithdrawSelection),
    "desk.price.set": Request(commands.SetPrice),
    "desk.bet.answer": Request(commands.AnswerReferral),
    "desk.bet.void": Request(commands.VoidBet),
    "odds.get": Request(queries.GetOdds, (answers.OddsImage,)),
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
