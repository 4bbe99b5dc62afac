"""The state as bytes and back: what snapshots hold and what `state_hash` is taken of.

Only what follows from the journal is written, in the order of the journal; running sums (liabilities, counts) follow
from the bets and are made again on the way back. The rows are the format: new fields go to the end with a default, and
a change that an old reader would misread raises FORMAT.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from heapq import heapify
from itertools import islice
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from core import ledger, markets
from core.betting import bonuses, pending
from core.betting.lines import Shape
from core.book import (
    Answered,
    Bet,
    BetLeg,
    Bonus,
    Book,
    Customer,
    Exchange,
    Fixture,
    FreeBet,
    Hour,
    Made,
    Market,
    Order,
    OwnLimit,
    PendingBet,
    Position,
    Protection,
    Reserve,
    Scored,
    Selection,
    Setting,
    System,
    Told,
    Trade,
    Words,
)
from core.exchange import counting, orders, positions
from core.exchange.ladder import LADDERS, Side
from core.grading.scores import Score
from core.messages.answers import Answer, OrderReport
from core.messages.events import BetOffered, BetPending, BetStatus, OrderPending, ReferralAnswered
from core.messages.results import EachWay, Result
from core.messages.terms import ExchangeTerms
from core.results import settling
from core.risk import liability, limiting
from core.units import RATE_ONE

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
    rates: dict[str, int] = {}
    setting: Setting | None = None
    levels: list[tuple[tuple[str, ...], Setting]] = []
    """The levels that have a setting."""


class CustomerRow(Struct, frozen=True, gc=False, array_like=True):
    """A customer."""

    id: str
    currency: str
    suspended: bool
    cash_m: int
    open_stakes_m: int
    reserved_m: int
    bonus_m: int = 0
    verified: bool = False
    timed_out_until_ms: int = 0
    excluded_until_ms: int = 0
    factors: list[tuple[str, bool, int]] = []
    own_limits_since_ms: int = 0
    own_limits: list[OwnLimit] | None = None
    hours: list[Hour] = []
    free_bets: list[FreeBet] | None = None
    bonuses: list[Bonus] | None = None
    exposure_m: int = 0
    own_limits_before: tuple[str, ...] = ()


class SelectionRow(Struct, frozen=True, gc=False, array_like=True):
    """A selection."""

    id: str
    name: str
    result: Result | None
    override: int
    withdrawn_ms: int = 0
    deduction_pc: int = 0
    starting_price: int = 0
    setting: Setting | None = None
    reduction_bp: int = 0
    withdrawn_price: int = 0
    withdrawn_told: Told = (0, 0)
    withdrawn_known_ms: int = 0
    starting_told: Told = (0, 0)


class OrderRow(Struct, frozen=True, gc=False, array_like=True):
    """An order in an exchange market."""

    id: str
    ts_ms: int
    digest: int
    customer: str
    fixture: str
    market: str
    selection: str
    side: int
    price: int
    asked_m: int
    stake_m: int
    persistence: int
    on_close: bool
    report: OrderReport
    matched_m: int
    paid: int
    waits: OrderPending | None


class PositionRow(Struct, frozen=True, gc=False, array_like=True):
    """What a customer has in an exchange market; his orders stand by themselves."""

    fixture: str
    market: str
    customer: str
    exposure_m: int
    settled: bool
    net_m: int
    commission_m: int
    trades: list[Trade]


class ExchangeRow(Struct, frozen=True, gc=False, array_like=True):
    """What makes a market an exchange."""

    terms: ExchangeTerms
    version: int
    in_play: bool
    why: int
    closing: list[str]
    made: Made | None = None


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
    specifiers: dict[str, str] = {}
    each_way: EachWay | None = None
    delay_ms: int = 0
    parts: tuple[tuple[str, str], ...] = ()
    starting_price: bool = False
    setting: Setting | None = None
    exchange: ExchangeRow | None = None
    words: Words | None = None
    """None: nothing was said of it."""
    desk_suspended_ms: int = 0
    was_each_way: bool = False


class FixtureRow(Struct, frozen=True, gc=False, array_like=True):
    """A fixture with its markets."""

    id: str
    source: str
    name: str
    sport: str
    competition: str
    start_ms: int
    markets: list[MarketRow]
    outright_of: str = ""
    setting: Setting | None = None
    score: Score | None = None
    score_source: str = ""
    score_author: str = ""
    graded: int = 0
    """These two were of the one score by which it was being graded; now they are empty, and `scores` has them all."""
    scores: list[Scored] = []


class LegRow(Struct, frozen=True, gc=False, array_like=True):
    """A leg of a bet."""

    fixture: str
    market: str
    selection: str
    price: int
    requested: int
    running_m: int
    place_running_m: int = 0
    place: EachWay | None = None
    starting_price: bool = False
    voided: bool = False
    banker: bool = False


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
    kind: str = ""
    folds: tuple[int, ...] = ()
    lines: int = 1
    each_way: bool = False
    free_bet: str = ""
    rate: int = RATE_ONE
    payout_max_m: int = 0
    cashed_out_stake_m: int = 0
    cashed_out_m: int = 0
    capped_m: int = 0


class PendingRow(Struct, frozen=True, gc=False, array_like=True):
    """A bet that waits."""

    asked: BetPending
    reserved_m: int
    until_ms: int
    stage: int
    offer: BetOffered | None
    verdict: ReferralAnswered | None
    taken: bool | None


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
    scoring: list[str] = []
    """The fixtures being graded, in their order."""
    clearing: list[tuple[str, str, list[str], list[str]]] = []
    """The exchange markets being looked at, in their order, each with the customers whose orders are still to be, and
    those whose positions are."""


class Pendings(Struct, frozen=True, array_like=True, tag=7):
    """A chunk of bets that wait."""

    rows: list[PendingRow]


class Positions(Struct, frozen=True, array_like=True, tag=8):
    """A chunk of positions in exchange markets."""

    rows: list[PositionRow]


class Orders(Struct, frozen=True, array_like=True, tag=9):
    """A chunk of orders, in order of arrival: so they stand in their books."""

    rows: list[OrderRow]


Chunk = Header | Customers | Fixtures | Bets | Pendings | Positions | Orders | Answers | Reserves | End
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
    if end is None or end.rows != _rows(book, len(book.answers)):
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


def _rows(book: Book, answers: int) -> int:
    betting = len(book.fixtures) + len(book.bets) + len(book.pending) + len(book.orders)
    return betting + len(book.customers) + answers + len(book.reserves)


def _chunks(book: Book) -> Iterator[Chunk]:
    house = [(account, currency, balance_m) for (account, currency), balance_m in book.house.items()]
    yield Header(
        FORMAT,
        book.event_no,
        book.term,
        book.now_ms,
        book.retention_ms,
        book.payment_retention_ms,
        house,
        book.rates,
        book.setting,
        sorted((level.key, level.setting) for level in book.levels.values() if level.setting is not None),
    )
    for customers in _slices(map(_customer_row, book.customers.values())):
        yield Customers(customers)
    for fixtures in _slices(map(_fixture_row, book.fixtures.values())):
        yield Fixtures(fixtures)
    for bets in _slices(map(_bet_row, book.bets.values())):
        yield Bets(bets)
    for waiting in _slices(map(_pending_row, book.pending.values())):
        yield Pendings(waiting)
    traded = (market.exchange for market in book.markets() if market.exchange is not None)
    for held in _slices(_position_row(each) for exchange in traded for each in exchange.positions.values()):
        yield Positions(held)
    for resting in _slices(map(_order_row, book.orders.values())):
        yield Orders(resting)
    # How many there still are of those that are past is no part of the state (core/book.py, `remember`).
    kept = 0
    for answers in _slices(_answer_row(*item) for item in book.answers.items() if item[1].expires_ms > book.now_ms):
        kept += len(answers)
        yield Answers(answers)
    for reserves in _slices(map(_reserve_row, book.reserves.values())):
        yield Reserves(reserves)
    settling_now = [(*key, len(market.due)) for key, market in book.settling.items()]
    yield End(
        settling_now, _rows(book, kept), list(book.scoring), [_clearing(market) for market in book.clearing.values()]
    )


def _clearing(market: Market) -> tuple[str, str, list[str], list[str]]:
    exchange = market.exchange
    assert exchange is not None
    clearing, due = ([position.customer.id for position in queue] for queue in (exchange.clearing, exchange.due))
    return market.fixture.id, market.id, clearing, due


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
        customer.bonus_m,
        customer.verified,
        customer.timed_out_until_ms,
        customer.excluded_until_ms,
        [(*key, factor_bp) for key, factor_bp in customer.factors.items()] if customer.factors else [],
        *_own_limits(customer.protection),
        None if customer.free_bets is None else list(customer.free_bets.values()),
        None if customer.bonuses is None else list(customer.bonuses.values()),
        customer.exposure_m,
        () if customer.protection is None else customer.protection.before,
    )


def _own_limits(protection: Protection | None) -> tuple[int, list[OwnLimit] | None, list[Hour]]:
    if protection is None:
        return 0, None, []
    return protection.since_ms, list(protection.limits.values()), list(protection.hours)


def _fixture_row(fixture: Fixture) -> FixtureRow:
    rows = [_market_row(market) for market in fixture.markets.values()]
    return FixtureRow(
        fixture.id,
        fixture.source,
        fixture.name,
        fixture.sport,
        fixture.competition,
        fixture.start_ms,
        rows,
        fixture.outright_of,
        fixture.setting,
        fixture.score,
        fixture.score_source,
        "",
        0,
        fixture.scores,
    )


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
            SelectionRow(
                selection.id,
                selection.name,
                selection.result,
                selection.override,
                selection.withdrawn_ms,
                selection.deduction_pc,
                selection.starting_price,
                selection.setting,
                selection.reduction_bp,
                selection.withdrawn_price,
                selection.withdrawn_told,
                selection.withdrawn_known_ms,
                selection.starting_told,
            )
            for selection in market.selections.values()
        ],
        *market.terms()[:-1],
        market.setting,
        None if market.exchange is None else _exchange_row(market.exchange),
        None if market.words == _NO_WORDS else market.words,
        market.desk_suspended_ms,
        market.was_each_way,
    )


def _exchange_row(exchange: Exchange) -> ExchangeRow:
    return ExchangeRow(
        exchange.terms, exchange.version, exchange.in_play, exchange.why, exchange.closing, exchange.made
    )


def _position_row(position: Position) -> PositionRow:
    market = position.market
    return PositionRow(
        market.fixture.id,
        market.id,
        position.customer.id,
        position.exposure_m,
        position.settled,
        position.net_m,
        position.commission_m,
        position.trades,
    )


def _order_row(order: Order) -> OrderRow:
    market = order.selection.market
    return OrderRow(
        order.id,
        order.ts_ms,
        order.digest,
        order.customer,
        market.fixture.id,
        market.id,
        order.selection.id,
        order.side.value,
        order.price,
        order.asked_m,
        order.stake_m,
        order.persistence,
        order.on_close,
        order.report,
        order.matched_m,
        order.paid,
        order.waits,
    )


def _bet_row(bet: Bet) -> BetRow:
    system = bet.system
    bankers = system.shape.bankers if system is not None else _NO_BANKERS
    lines = ("", (), 1, False) if system is None else (system.kind, system.shape.folds, system.lines, system.each_way)
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
        [_leg_row(leg, banker) for leg, banker in zip(bet.legs, bankers, strict=False)],
        *lines,
        bet.free_bet,
        bet.rate,
        bet.payout_max_m,
        bet.cashed_out_stake_m,
        bet.cashed_out_m,
        bet.capped_m,
    )


_OPEN = BetStatus.OPEN.value
_NO_BANKERS = (False,) * 1000
_NO_WORDS = Words()


def _leg_row(leg: BetLeg, banker: bool) -> LegRow:  # noqa: FBT001
    selection = leg.selection
    market = selection.market
    return LegRow(
        market.fixture.id,
        market.id,
        selection.id,
        leg.price,
        leg.requested,
        leg.running_m,
        leg.place_running_m,
        leg.place,
        leg.starting_price,
        leg.voided,
        banker,
    )


def _pending_row(waiting: PendingBet) -> PendingRow:
    return PendingRow(
        waiting.asked,
        waiting.reserved_m,
        waiting.until_ms,
        waiting.stage,
        waiting.offer,
        waiting.verdict,
        waiting.taken,
    )


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
    book.rates, book.setting = chunk.rates, chunk.setting
    for key, setting in chunk.levels:
        limiting.level(book, key).setting = setting


def _read_customers(book: Book, chunk: Customers) -> None:
    for row in chunk.rows:
        money = row.cash_m, row.open_stakes_m, row.reserved_m, row.bonus_m
        until_ms = row.timed_out_until_ms, row.excluded_until_ms
        customer = Customer(row.id, row.currency, row.suspended, *money, 0, row.verified, *until_ms)
        book.customers[row.id] = customer
        customer.exposure_m = row.exposure_m
        if row.cash_m < 0:
            ledger.owe(book.owed, customer, 0)
        if row.factors:
            customer.factors = {(sport, in_play): factor_bp for sport, in_play, factor_bp in row.factors}
        if row.own_limits is not None:
            limits = {(limit.kind, limit.period): limit for limit in row.own_limits}
            customer.protection = Protection(row.own_limits_since_ms, limits, deque(row.hours), row.own_limits_before)
        if row.free_bets is not None:
            customer.free_bets = {token.token: token for token in row.free_bets}
        if row.bonuses is not None:
            customer.bonuses = {bonus.bonus: bonus for bonus in row.bonuses}
        if row.free_bets or row.bonuses:
            bonuses.restored(book, customer)


def _read_fixtures(book: Book, chunk: Fixtures) -> None:
    for row in chunk.rows:
        fixture = Fixture(row.id, row.source, row.name, row.sport, row.competition, row.start_ms, row.outright_of)
        fixture.setting = row.setting
        fixture.score, fixture.score_source, fixture.scores = row.score, row.score_source, row.scores
        if row.score is not None and not row.scores:
            fixture.scores = [Scored(row.score, row.score_source, row.score_author, graded=row.graded)]
        book.fixtures[row.id] = fixture
        for market_row in row.markets:
            fixture.markets[market_row.id] = _market(book, fixture, market_row)
        markets.placed(book, fixture)


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
        desk_suspended_ms=row.desk_suspended_ms,
    )
    if market.cut_off_ms:
        book.cut_offs.append((market.cut_off_ms, fixture.id, market.id))
    for known in row.selections:
        selection = Selection(known.id, known.name, market, known.result, known.override, price=known.override)
        selection.withdrawn_ms, selection.deduction_pc = known.withdrawn_ms, known.deduction_pc
        selection.starting_price, selection.setting = known.starting_price, known.setting
        selection.reduction_bp, selection.withdrawn_price = known.reduction_bp, known.withdrawn_price
        selection.withdrawn_told, selection.withdrawn_known_ms = known.withdrawn_told, known.withdrawn_known_ms
        selection.starting_told = known.starting_told
        market.selections[known.id] = selection
    market.specifiers, market.each_way, market.delay_ms = row.specifiers, row.each_way, row.delay_ms
    market.was_each_way = row.was_each_way or row.each_way is not None
    market.starting_price = row.starting_price
    market.setting = row.setting
    market.words = row.words or _NO_WORDS
    market.deductions = settling.deductions(market)
    market.parts = tuple(fixture.markets[part].selections[selection] for part, selection in row.parts)
    for part in market.parts:
        part.market.combinations.append(market)
    market.patterns = liability.patterns(market)
    if row.exchange is not None:
        market.exchange = _exchange(book, market, row.exchange)
    return market


def _exchange(book: Book, market: Market, row: ExchangeRow) -> Exchange:
    exchange = Exchange(row.terms, LADDERS[row.terms.ladder], book.make_book)
    exchange.version, exchange.in_play, exchange.why = row.version, row.in_play, row.why
    exchange.closing, exchange.made = row.closing, row.made
    exchange.outcomes = positions.outcomes(market)
    return exchange


def _read_positions(book: Book, chunk: Positions) -> None:
    for row in chunk.rows:
        market = book.fixtures[row.fixture].markets[row.market]
        assert market.exchange is not None
        position = orders.position_of(market.exchange, book.customers[row.customer], market)
        position.exposure_m, position.settled = row.exposure_m, row.settled
        position.net_m, position.commission_m, position.trades = row.net_m, row.commission_m, row.trades
        book.trades += len(row.trades)


def _read_orders(book: Book, chunk: Orders) -> None:
    for row in chunk.rows:
        market = book.fixtures[row.fixture].markets[row.market]
        order = Order(
            row.id,
            row.customer,
            Side(row.side),
            row.price,
            row.stake_m,
            row.ts_ms,
            row.digest,
            book.customers[row.customer],
            market.selections[row.selection],
            row.asked_m,
            row.persistence,
            row.on_close,
            row.report,
            row.matched_m,
            row.paid,
            row.waits,
        )
        orders.restored(book, order)


def _read_bets(book: Book, chunk: Bets) -> None:
    for row in chunk.rows:
        bet = _bet(book, row)
        book.bets[bet.id] = bet
        opens = bet.status == _OPEN
        if opens:
            book.open_bets += 1
            liability.count(bet.customer, bet, 1)
        voided = bet.voided
        for leg in bet.legs:
            market = leg.selection.market
            if bet.id not in market.bets:
                market.bets[bet.id] = bet
                market.open_bets += opens
            if leg.place is not None:
                market.places_taken = max(market.places_taken, leg.place.places)
            if leg.running_m or leg.place_running_m:
                liability.restored(leg)
            voided = voided or leg.voided
        if voided and settling.review(bet, book.now_ms) is not None:
            book.voided[bet.id] = bet


def _bet(book: Book, row: BetRow) -> Bet:
    fixtures = book.fixtures
    legs = [
        BetLeg(
            fixtures[known.fixture].markets[known.market].selections[known.selection],
            known.price,
            known.requested,
            known.running_m,
            known.place_running_m,
            known.place,
            known.starting_price,
            known.voided,
        )
        for known in row.legs
    ]
    bet = Bet(
        row.id,
        row.ts_ms,
        row.digest,
        book.customers[row.customer],
        row.stake_m,
        row.payout_m,
        tuple(legs),
        row.status,
        row.paid_m,
        row.voided,
        None,
        row.free_bet,
        row.rate,
        row.payout_max_m,
        row.cashed_out_stake_m,
        row.cashed_out_m,
        row.capped_m,
    )
    if row.folds:
        numbers: dict[str, int] = {}
        groups = tuple(numbers.setdefault(leg.fixture, len(numbers)) for leg in row.legs)
        shape = Shape(row.folds, groups, tuple(leg.banker for leg in row.legs))
        bet.system = System(row.kind, shape, row.lines, row.each_way)
    return bet


def _read_pendings(book: Book, chunk: Pendings) -> None:
    for row in chunk.rows:
        customer = book.customers[row.asked.customer]
        waiting = PendingBet(row.asked, customer, row.reserved_m, row.until_ms, row.stage)
        waiting.verdict, waiting.taken = row.verdict, row.taken
        pending.restored(book, waiting, row.offer)


def _read_answers(book: Book, chunk: Answers) -> None:
    for row in chunk.rows:
        kept = book.answers[row.id] = Answered(row.expires_ms, row.digest, row.answer, row.payment)
        book.expiring[row.payment].append((row.id, kept))


def _read_reserves(book: Book, chunk: Reserves) -> None:
    for row in chunk.rows:
        reserve = Reserve(row.id, book.customers[row.customer], row.amount_m, row.provider, row.hold_until_ms)
        book.reserves[row.id] = reserve
        book.holds.append((row.hold_until_ms, row.id))


def _finish(book: Book, end: End) -> None:
    """The queues, which hold what has been read by now."""
    heapify(book.holds)
    heapify(book.deciding)
    heapify(book.waiting)
    heapify(book.endings)
    book.scoring = {fixture_id: book.fixtures[fixture_id] for fixture_id in end.scoring}
    for fixture in book.fixtures.values():
        if fixture.id not in book.scoring:
            fixture.scores = []  # a snapshot of an earlier release has the last one, graded or not
    for fixture in book.fixtures.values():
        liability.refit(book, fixture)
    heapify(book.cut_offs)
    for fixture_id, market_id, due in end.settling:
        market = book.fixtures[fixture_id].markets[market_id]
        market.due = list(islice(reversed(market.bets.values()), due))
        book.settling[fixture_id, market_id] = market
    for fixture_id, market_id, cleared, considered in end.clearing:
        market = book.fixtures[fixture_id].markets[market_id]
        exchange = market.exchange
        assert exchange is not None
        exchange.clearing = [exchange.positions[customer_id] for customer_id in cleared]
        exchange.due = [exchange.positions[customer_id] for customer_id in considered]
        book.clearing[fixture_id, market_id] = market
    for market in book.markets():
        if market.exchange is not None:
            known = counting.counting_of(market)
            for position in market.exchange.positions.values():
                counting.recount(position, known)
            house = market.exchange.positions.get(market.exchange.terms.house)
            for order in house.orders.values() if house is not None else ():
                positions.carry(book, order)
    closed = [market for market in book.markets() if market.closed_ms]
    closed.sort(key=lambda market: market.closed_ms)
    book.closed = {(market.fixture.id, market.id): market for market in closed}


_READERS: dict[type, Callable[[Book, Any], None]] = {
    Header: _read_header,
    Customers: _read_customers,
    Fixtures: _read_fixtures,
    Bets: _read_bets,
    Pendings: _read_pendings,
    Positions: _read_positions,
    Orders: _read_orders,
    Answers: _read_answers,
    Reserves: _read_reserves,
}
