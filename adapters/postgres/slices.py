"""A slice of the journal as rows: what one transaction of the projector writes (tables.py does the writing).

Pure: events in, rows out. What can only be inserted becomes a row of a table; what changes rows that stand already (a
balance, a market's results) is folded here, so that each row is touched once a slice, however many events spoke of it.
"""

from __future__ import annotations

from collections import defaultdict
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from core import ledger
from core.book import DESK
from core.messages import events as ev

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.messages.results import Result

Row = tuple[Any, ...]
Key = tuple[str, ...]
"""Ids from the fixture inwards: (fixture, market) or (fixture, market, selection)."""

INSERTS: Final[dict[str, str]] = {
    "events": "event_no sequence ts_ms type body hash",
    "engine_starts": "event_no ts_ms term instance release",
    "customers": "customer currency opened_ms",
    "payments": "event_no ts_ms id kind customer currency amount_m provider",
    "reserves": "reserve_no hold_until_ms",
    "ledger_entries": "event_no line ts_ms customer source target amount_m currency",
    "bets": "bet_no id ts_ms customer currency stake_m payout_m",
    "bet_legs": "bet_no leg fixture market selection price requested version producer sequence in_play",
    "bet_rejections": ("event_no id ts_ms customer stake_m legs reason leg price passed_limit stake_accepted_m detail"),
    "command_rejections": "event_no id ts_ms command customer author reason passed_limit detail",
    "market_results": "event_no ts_ms fixture market source sequence results reason",
    "market_cancels": "event_no ts_ms fixture market source sequence from_ms to_ms reason",
    "desk_actions": "event_no ts_ms id author action target reason",
}
"""Table -> columns of the rows that a slice adds."""

TAGS: Final[dict[type, int]] = {kind: kind.__struct_config__.tag for kind in ev.Event.__args__}
_BALANCE: Final = {account: index for index, account in enumerate(ledger.CUSTOMER_ACCOUNTS)}
_json = msgspec.json.Encoder().encode


class Position(NamedTuple):
    """How far the journal stands in Postgres: the last batch, its last event, and the hash up to it."""

    sequence: int = 0
    event_no: int = 0
    hash: bytes = bytes(32)


class Slice:
    """The rows of consecutive events, from `before` (exclusive) to `after` (inclusive)."""

    def __init__(self, before: Position) -> None:
        self.before = before
        self.after = before
        self.ts_ms = 0
        self.inserts: dict[str, list[Row]] = {table: [] for table in INSERTS}
        # Money.
        self.balances: defaultdict[str, list[int]] = defaultdict(lambda: [0] * len(_BALANCE))
        self.house: defaultdict[tuple[str, str], int] = defaultdict(int)
        self.suspensions: dict[str, bool] = {}
        self.reserves_closed: list[Row] = []
        # Bets.
        self.settlements: list[Row] = []
        """event_no, bet id, ts_ms, was, was_paid_m, status, paid_m."""
        self.voided: list[Row] = []
        """event_no, bet id."""
        # Fixtures and markets: the last word on each.
        self.fixtures: dict[str, Row] = {}
        self.markets: dict[Key, Row] = {}
        self.renewed: dict[Key, int] = {}
        """Markets defined anew after the engine had forgotten them: number of the event."""
        self.selections: dict[Key, Row] = {}
        self.market_suspended: dict[Key, bool] = {}
        self.market_settled: dict[Key, bool] = {}
        self.archived: dict[Key, int] = {}
        self.prices: dict[Key, int] = {}
        self.results_cleared: dict[Key, int] = {}
        self.results: dict[Key, Result] = {}
        self.rollbacks: dict[str, list[Row]] = {"results": [], "cancel": []}

    def __len__(self) -> int:
        return self.after.event_no - self.before.event_no

    def add(self, sequence: int, event: ev.Event, body: bytes | msgspec.Raw) -> None:
        """Fold in the next event of the journal; `body` is its msgpack, as it stands there."""
        chain = sha256(self.after.hash)
        chain.update(body)
        digest = chain.digest()
        number = self.after.event_no + 1
        self.after = Position(sequence, number, digest)
        self.ts_ms = event.ts_ms
        kind = type(event)
        self.inserts["events"].append((number, sequence, event.ts_ms, TAGS[kind], body, digest))
        _HANDLERS[kind](self, number, event)

    def move(self, number: int, event: Any) -> None:
        """The money that the event moves: ledger rows, and the change of each balance."""
        entries, balances, house = self.inserts["ledger_entries"], self.balances, self.house
        customer, currency = event.customer, event.currency
        for line, (source, target, amount_m) in enumerate(ledger.transfers(event)):
            entries.append((number, line, event.ts_ms, customer, source, target, amount_m, currency))
            if source in _BALANCE:
                balances[customer][_BALANCE[source]] -= amount_m
            else:
                house[source, currency] -= amount_m
            if target in _BALANCE:
                balances[customer][_BALANCE[target]] += amount_m
            else:
                house[target, currency] += amount_m

    def act(self, number: int, event: Any, target: Key, reason: str = "") -> None:
        """What the desk did; nothing where it was not the desk."""
        if event.author:
            row = (number, event.ts_ms, event.id, event.author, type(event).__name__, " ".join(target), reason)
            self.inserts["desk_actions"].append(row)


def _engine_started(rows: Slice, number: int, event: ev.EngineStarted) -> None:
    rows.inserts["engine_starts"].append((number, event.ts_ms, event.term, event.instance, event.release))


def _customer_opened(rows: Slice, _: int, event: ev.CustomerOpened) -> None:
    rows.inserts["customers"].append((event.customer, event.currency, event.ts_ms))


def _customer_status(rows: Slice, number: int, event: ev.CustomerStatusSet) -> None:
    rows.suspensions[event.customer] = event.suspended
    rows.act(number, event, (event.customer,), event.reason)


_PAYMENTS: Final = {ev.Deposited: "deposit", ev.Withdrawn: "withdrawal", ev.Reserved: "reserve"}


def _payment(rows: Slice, number: int, event: ev.Deposited | ev.Withdrawn | ev.Reserved) -> None:
    kind, customer = _PAYMENTS[type(event)], event.customer
    row = (number, event.ts_ms, event.id, kind, customer, event.currency, event.amount_m, event.provider)
    rows.inserts["payments"].append(row)
    rows.move(number, event)


def _reserved(rows: Slice, number: int, event: ev.Reserved) -> None:
    _payment(rows, number, event)
    rows.inserts["reserves"].append((number, event.hold_until_ms))


def _reserve_posted(rows: Slice, number: int, event: ev.ReservePosted) -> None:
    rows.reserves_closed.append((number, event.reserve, "posted", event.amount_m))
    rows.move(number, event)


def _reserve_voided(rows: Slice, number: int, event: ev.ReserveVoided) -> None:
    rows.reserves_closed.append((number, event.reserve, "voided", 0))
    rows.move(number, event)


def _fixture_defined(rows: Slice, number: int, event: ev.FixtureDefined) -> None:
    rows.fixtures[event.fixture] = (event.source, event.name, event.sport, event.competition, event.start_ms)
    rows.act(number, event, (event.fixture,))


def _market_defined(rows: Slice, number: int, event: ev.MarketDefined) -> None:
    key = event.fixture, event.market
    if rows.archived.pop(key, 0):
        _renew(rows, number, key)
    known = rows.markets.get(key)
    rows.markets[key] = (
        known[0] if known else number,
        event.source,
        event.market_type,
        event.name,
        event.group,
        event.winners,
        event.cut_off_ms,
        event.source == DESK,
    )
    for place, named in enumerate(event.selections):
        rows.selections[*key, named.id] = (place, named.name)
    rows.act(number, event, key)


def _renew(rows: Slice, number: int, key: Key) -> None:
    """Archived and defined again within one slice: what was said of the market before is history."""
    rows.renewed[key] = number
    rows.markets.pop(key, None)
    rows.market_suspended.pop(key, None)
    rows.market_settled.pop(key, None)
    said: dict[Key, Any]
    for said in (rows.prices, rows.results):
        for of_selection in [each for each in said if each[:2] == key]:
            del said[of_selection]


def _market_status(rows: Slice, number: int, event: ev.MarketStatusSet) -> None:
    key = event.fixture, event.market
    rows.market_suspended[key] = event.suspended
    rows.act(number, event, key, "suspended" if event.suspended else "opened")


def _price_set(rows: Slice, number: int, event: ev.PriceSet) -> None:
    key = event.fixture, event.market, event.selection
    rows.prices[key] = event.price
    rows.act(number, event, key, f"price {event.price}")


def _market_settled(rows: Slice, number: int, event: ev.MarketSettled) -> None:
    key = event.fixture, event.market
    for result in event.results:
        rows.results[*key, result.selection] = result
    rows.market_settled[key] = True
    results = _json(event.results).decode()
    row = (number, event.ts_ms, *key, event.source, event.sequence, results, event.reason)
    rows.inserts["market_results"].append(row)
    rows.act(number, event, key, event.reason)


def _market_cancelled(rows: Slice, number: int, event: ev.MarketCancelled) -> None:
    key = event.fixture, event.market
    row = (number, event.ts_ms, *key, event.source, event.sequence, event.from_ms, event.to_ms, event.reason)
    rows.inserts["market_cancels"].append(row)
    rows.act(number, event, key, event.reason)


def _market_rolled_back(rows: Slice, number: int, event: ev.MarketRolledBack) -> None:
    key = event.fixture, event.market
    rows.rollbacks[event.what].append((number, *key))
    if event.what == "results":
        rows.market_settled[key] = False
        rows.results_cleared[key] = number
        for of_selection in [each for each in rows.results if each[:2] == key]:
            del rows.results[of_selection]
    rows.act(number, event, key, event.reason)


def _market_archived(rows: Slice, number: int, event: ev.MarketArchived) -> None:
    if event.last:
        rows.archived[event.fixture, event.market] = number


def _bet_accepted(rows: Slice, number: int, event: ev.BetAccepted) -> None:
    ts_ms, customer = event.ts_ms, event.customer
    bet = (number, event.id, ts_ms, customer, event.currency, event.stake_m, event.payout_m)
    rows.inserts["bets"].append(bet)
    legs = rows.inserts["bet_legs"]
    for index, leg in enumerate(event.legs):
        legs.append((number, index, *msgspec.structs.astuple(leg)))
    rows.move(number, event)


def _bet_rejected(rows: Slice, number: int, event: ev.BetRejected) -> None:
    rows.inserts["bet_rejections"].append(
        (
            number,
            event.id,
            event.ts_ms,
            event.customer,
            event.stake_m,
            _json(event.legs).decode(),
            event.reason,
            event.leg,
            event.price,
            event.limit,
            event.stake_accepted_m,
            event.detail,
        )
    )


def _bet_settled(rows: Slice, number: int, event: ev.BetSettled) -> None:
    change = (event.was, event.was_paid_m, event.status, event.paid_m)
    rows.settlements.append((number, event.bet, event.ts_ms, *change))
    rows.move(number, event)


def _bet_voided(rows: Slice, number: int, event: ev.BetVoided) -> None:
    rows.voided.append((number, event.bet))
    rows.act(number, event, (event.bet,), event.reason)


def _command_rejected(rows: Slice, number: int, event: ev.CommandRejected) -> None:
    who = event.customer, event.author
    row = (number, event.id, event.ts_ms, event.command, *who, event.reason, event.limit, event.detail)
    rows.inserts["command_rejections"].append(row)


def _no_row(_rows: Slice, _number: int, _event: ev.Event) -> None:
    """Bookkeeping of the engine: it stands in `events` and nowhere else."""


_HANDLERS: Final[dict[type, Callable[[Slice, int, Any], None]]] = {
    ev.EngineStarted: _engine_started,
    ev.CustomerOpened: _customer_opened,
    ev.Deposited: _payment,
    ev.Withdrawn: _payment,
    ev.Reserved: _reserved,
    ev.ReservePosted: _reserve_posted,
    ev.ReserveVoided: _reserve_voided,
    ev.CustomerStatusSet: _customer_status,
    ev.FixtureDefined: _fixture_defined,
    ev.MarketDefined: _market_defined,
    ev.MarketStatusSet: _market_status,
    ev.PriceSet: _price_set,
    ev.MarketSettled: _market_settled,
    ev.MarketCancelled: _market_cancelled,
    ev.MarketRolledBack: _market_rolled_back,
    ev.SettlementAdvanced: _no_row,
    ev.MarketArchived: _market_archived,
    ev.BetAccepted: _bet_accepted,
    ev.BetRejected: _bet_rejected,
    ev.BetSettled: _bet_settled,
    ev.BetAdvanced: _no_row,
    ev.BetVoided: _bet_voided,
    ev.CommandRejected: _command_rejected,
}
assert _HANDLERS.keys() == TAGS.keys(), "an event that the projector does not know"
