"""The state as bytes and back: what snapshots hold and what `state_hash` is taken of.

Only what follows from the journal is written, in the order of the journal; running sums (liabilities, counts) follow
from the bets and are made again on the way back. The rows are the format: new fields go to the end with a default, and
a change that an old reader would misread raises FORMAT.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from heapq import heapify
from itertools import islice
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from core import liability
from core.book import Answered, Bet, BetLeg, Book, Customer, Fixture, Market, Reserve, Selection
from core.messages.answers import Answer
from core.messages.events import BetStatus
from core.messages.results import Result

FORMAT = 1
_ROWS_PER_CHUNK = 5_000


class Header(Struct, frozen=True, array_like=True, tag=0):
    """The first chunk."""

    format: int
    event_no: int
    term: int
    now_ms: int
    retention_ms: int
    payment_retention_ms: int
    house: list[tuple[str, str, int]]


class CustomerRow(Struct, frozen=True, gc=False, array_like=True):
    """A customer."""

    id: str
    currency: str
    suspended: bool
    cash_m: int
    open_stakes_m: int
    reserved_m: int


class SelectionRow(Struct, frozen=True, gc=False, array_like=True):
    """A selection."""

    id: str
    name: str
    result: Result | None
    override: int


class MarketRow(Struct, frozen=True, gc=False, array_like=True):
    """A market."""

    id: str
    source: str
    market_type: str
    name: str
    group: str
    winners: int
    cut_off_ms: int
    desk_suspended: bool
    settled: bool
    cancels: tuple[tuple[int, int], ...]
    closed_ms: int
    selections: list[SelectionRow]


class FixtureRow(Struct, frozen=True, gc=False, array_like=True):
    """A fixture with its markets."""

    id: str
    source: str
    name: str
    sport: str
    competition: str
    start_ms: int
    markets: list[MarketRow]


class LegRow(Struct, frozen=True, gc=False, array_like=True):
    """A leg of a bet."""

    fixture: str
    market: str
    selection: str
    price: int
    requested: int
    running_m: int


class BetRow(Struct, frozen=True, gc=False, array_like=True):
    """A bet."""

    id: str
    ts_ms: int
    digest: int
    customer: str
    stake_m: int
    payout_m: int
    status: int
    paid_m: int
    voided: bool
    legs: list[LegRow]


class AnswerRow(Struct, frozen=True, gc=False, array_like=True):
    """A kept answer."""

    id: str
    expires_ms: int
    digest: int
    payment: bool
    answer: Answer


class ReserveRow(Struct, frozen=True, gc=False, array_like=True):
    """A reserve."""

    id: str
    customer: str
    amount_m: int
    provider: str
    hold_until_ms: int


class Customers(Struct, frozen=True, array_like=True, tag=1):
    """A chunk of customers."""

    rows: list[CustomerRow]


class Fixtures(Struct, frozen=True, array_like=True, tag=2):
    """A chunk of fixtures."""

    rows: list[FixtureRow]


class Bets(Struct, frozen=True, array_like=True, tag=3):
    """A chunk of bets."""

    rows: list[BetRow]


class Answers(Struct, frozen=True, array_like=True, tag=4):
    """A chunk of kept answers."""

    rows: list[AnswerRow]


class Reserves(Struct, frozen=True, array_like=True, tag=5):
    """A chunk of reserves."""

    rows: list[ReserveRow]


class End(Struct, frozen=True, array_like=True, tag=6):
    """The last chunk."""

    settling: list[tuple[str, str, int]]
    """The markets being settled, in their order, each with the count of its latest bets that are due."""
    rows: int
    """How many there must be in all."""


Chunk = Header | Customers | Fixtures | Bets | Answers | Reserves | End
Row = TypeVar("Row")
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Chunk)


def encode(book: Book) -> Iterator[bytes]:
    """The book in chunks of bounded size; each can be written before the next is made."""
    return map(_encoder.encode, _chunks(book))


def state_hash(book: Book) -> str:
    """A checksum of everything that follows from the journal, 32 hexadecimal digits. Equal states have equal hashes."""
    total = blake2b(digest_size=16)
    for chunk in encode(book):
        total.update(chunk)
    return total.hexdigest()


def restore(chunks: Iterable[bytes]) -> Book:
    """The book that was encoded. Raises ValueError (or msgspec's, which is one) for what is no whole snapshot."""
    book = Book()
    kind: type | None = None
    end = None
    for data in chunks:
        chunk = _decoder.decode(data)
        if (kind is None) != isinstance(chunk, Header) or end is not None:
            msg = "a snapshot begins with its header and stops at its end"
            raise ValueError(msg)
        kind = type(chunk)
        if isinstance(chunk, End):
            end = chunk
        else:
            _read(book, chunk)
    if end is None or end.rows != _rows(book):
        msg = "the snapshot is not whole"
        raise ValueError(msg)
    _finish(book, end)
    return book


def _read(book: Book, chunk: Chunk) -> None:
    try:
        _READERS[type(chunk)](book, chunk)
    except KeyError as error:
        msg = f"the snapshot is not whole: it names {error}, which it does not hold"
        raise ValueError(msg) from error


def _rows(book: Book) -> int:
    return len(book.customers) + len(book.fixtures) + len(book.bets) + len(book.answers) + len(book.reserves)


def _chunks(book: Book) -> Iterator[Chunk]:
    house = [(account, currency, balance_m) for (account, currency), balance_m in book.house.items()]
    yield Header(FORMAT, book.event_no, book.term, book.now_ms, book.retention_ms, book.payment_retention_ms, house)
    for customers in _slices(map(_customer_row, book.customers.values())):
        yield Customers(customers)
    for fixtures in _slices(map(_fixture_row, book.fixtures.values())):
        yield Fixtures(fixtures)
    for bets in _slices(map(_bet_row, book.bets.values())):
        yield Bets(bets)
    for answers in _slices(_answer_row(*item) for item in book.answers.items()):
        yield Answers(answers)
    for reserves in _slices(map(_reserve_row, book.reserves.values())):
        yield Reserves(reserves)
    yield End([(*key, len(market.due)) for key, market in book.settling.items()], _rows(book))


def _slices(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while chunk := list(islice(rows, _ROWS_PER_CHUNK)):
        yield chunk


def _customer_row(customer: Customer) -> CustomerRow:
    return CustomerRow(
        customer.id,
        customer.currency,
        customer.suspended,
        customer.cash_m,
        customer.open_stakes_m,
        customer.reserved_m,
    )


def _fixture_row(fixture: Fixture) -> FixtureRow:
    rows = [_market_row(market) for market in fixture.markets.values()]
    return FixtureRow(fixture.id, fixture.source, *fixture.definition(), rows)


def _market_row(market: Market) -> MarketRow:
    return MarketRow(
        market.id,
        market.source,
        market.market_type,
        market.name,
        market.group,
        market.winners,
        market.cut_off_ms,
        market.desk_suspended,
        market.settled,
        market.cancels,
        market.closed_ms,
        [
            SelectionRow(selection.id, selection.name, selection.result, selection.override)
            for selection in market.selections.values()
        ],
    )


def _bet_row(bet: Bet) -> BetRow:
    return BetRow(
        bet.id,
        bet.ts_ms,
        bet.digest,
        bet.customer.id,
        bet.stake_m,
        bet.payout_m,
        bet.status,
        bet.paid_m,
        bet.voided,
        [_leg_row(leg) for leg in bet.legs],
    )


def _leg_row(leg: BetLeg) -> LegRow:
    selection = leg.selection
    market = selection.market
    return LegRow(market.fixture.id, market.id, selection.id, leg.price, leg.requested, leg.running_m)


def _answer_row(command_id: str, answered: Answered) -> AnswerRow:
    return AnswerRow(command_id, answered.expires_ms, answered.digest, answered.payment, answered.answer)


def _reserve_row(reserve: Reserve) -> ReserveRow:
    return ReserveRow(reserve.id, reserve.customer.id, reserve.amount_m, reserve.provider, reserve.hold_until_ms)


def _read_header(book: Book, chunk: Header) -> None:
    if chunk.format != FORMAT:
        msg = f"snapshot format {chunk.format}, this release reads {FORMAT}"
        raise ValueError(msg)
    book.event_no, book.term, book.now_ms = chunk.event_no, chunk.term, chunk.now_ms
    book.retention_ms, book.payment_retention_ms = chunk.retention_ms, chunk.payment_retention_ms
    book.house = {(account, currency): balance_m for account, currency, balance_m in chunk.house}


def _read_customers(book: Book, chunk: Customers) -> None:
    for row in chunk.rows:
        book.customers[row.id] = Customer(
            row.id, row.currency, row.suspended, row.cash_m, row.open_stakes_m, row.reserved_m
        )


def _read_fixtures(book: Book, chunk: Fixtures) -> None:
    for row in chunk.rows:
        fixture = Fixture(row.id, row.source, row.name, row.sport, row.competition, row.start_ms)
        book.fixtures[row.id] = fixture
        for market_row in row.markets:
            fixture.markets[market_row.id] = _market(book, fixture, market_row)


def _market(book: Book, fixture: Fixture, row: MarketRow) -> Market:
    market = Market(
        fixture,
        row.id,
        row.source,
        row.market_type,
        row.name,
        row.group,
        row.winners,
        row.cut_off_ms,
        desk_suspended=row.desk_suspended,
        settled=row.settled,
        cancels=row.cancels,
        closed_ms=row.closed_ms,
        version=book.term << 32,
    )
    if market.cut_off_ms:
        book.cut_offs.append((market.cut_off_ms, fixture.id, market.id))
    for known in row.selections:
        market.selections[known.id] = Selection(
            known.id, known.name, market, known.result, known.override, price=known.override
        )
    return market


def _read_bets(book: Book, chunk: Bets) -> None:
    fixtures, bets, customers = book.fixtures, book.bets, book.customers
    for row in chunk.rows:
        customer = customers[row.customer]
        legs = []
        for known in row.legs:
            selection = fixtures[known.fixture].markets[known.market].selections[known.selection]
            legs.append(BetLeg(selection, known.price, known.requested, known.running_m))
        bet = Bet(
            row.id, row.ts_ms, row.digest, customer, row.stake_m, row.payout_m, tuple(legs), row.status, row.paid_m
        )
        bet.voided = row.voided
        bets[bet.id] = bet
        if bet.voided and bet.status != BetStatus.VOID:
            book.voided[bet.id] = bet
        opens = bet.status == BetStatus.OPEN
        book.open_bets += opens
        if opens:
            liability.count(customer, bet, 1)
        for leg in legs:
            market = leg.selection.market
            market.bets[bet.id] = bet
            market.open_bets += opens
            liability.add(book, leg, 1)


def _read_answers(book: Book, chunk: Answers) -> None:
    for row in chunk.rows:
        book.answers[row.id] = Answered(row.expires_ms, row.digest, row.answer, row.payment)
        book.expiring[row.payment].append(row.id)


def _read_reserves(book: Book, chunk: Reserves) -> None:
    for row in chunk.rows:
        reserve = Reserve(row.id, book.customers[row.customer], row.amount_m, row.provider, row.hold_until_ms)
        book.reserves[row.id] = reserve
        book.holds.append((row.hold_until_ms, row.id))


def _finish(book: Book, end: End) -> None:
    """The queues, which hold what has been read by now."""
    heapify(book.holds)
    heapify(book.cut_offs)
    for fixture_id, market_id, due in end.settling:
        market = book.fixtures[fixture_id].markets[market_id]
        market.due = list(islice(reversed(market.bets.values()), due))
        book.settling[fixture_id, market_id] = market
    closed = [market for market in book.markets() if market.closed_ms]
    closed.sort(key=lambda market: market.closed_ms)
    book.closed = {(market.fixture.id, market.id): market for market in closed}


_READERS: dict[type, Callable[[Book, Any], None]] = {
    Header: _read_header,
    Customers: _read_customers,
    Fixtures: _read_fixtures,
    Bets: _read_bets,
    Answers: _read_answers,
    Reserves: _read_reserves,
}
