"""The part of `tictac audit` that holds the tables against the rebuilt engine, subject by subject."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from core.messages.results import Result

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adapters.postgres.connection import Connection
    from core.book import Bet, Book, Market

BETS_PIECE: Final = 2_000
"""Bets looked up by one query."""


class Differences(Protocol):
    """Where a difference is reported."""

    def add(self, line: str) -> None: ...


async def compare(connection: Connection, book: Book, report: Differences) -> None:
    """Everything that the engine knows; each difference named."""
    markets = {(market.fixture.id, market.id): market for market in book.markets()}
    await _customers(connection, book, report)
    await _reserves(connection, book, report)
    await _fixtures(connection, book, report)
    await _markets(connection, markets, report)
    await _bets(connection, book, report)


Rows = dict[tuple[str, ...], tuple[Any, ...]]


def differences(
    report: Differences, what: str, columns: str, expected: Rows, found: Rows, *, more_allowed: bool = False
) -> None:
    """Compare rows by their key; `more_allowed`: Postgres remembers what the engine has forgotten."""
    names = columns.split()
    for key, values in expected.items():
        there = found.get(key)
        if there is None:
            report.add(f"{what} {' '.join(key)}: missing in Postgres")
            continue
        for name, want, got in zip(names, values, there, strict=True):
            if want != got:
                report.add(f"{what} {' '.join(key)}: {name} is {_text(got)}, should be {_text(want)}")
    if not more_allowed:
        for key in found.keys() - expected.keys():
            report.add(f"{what} {' '.join(key)}: the engine does not know it")


def _text(value: Any) -> str:
    return "nothing" if value is None else str(value)


async def _keyed(connection: Connection, keys: int, query: str, *arguments: Any) -> Rows:
    rows = await connection.fetch(query, *arguments)
    return {tuple(row[:keys]): tuple(row[keys:]) for row in map(tuple, rows)}


async def _customers(connection: Connection, book: Book, report: Differences) -> None:
    columns = "currency suspended cash_m open_stakes_m reserved_m"
    found = await _keyed(connection, 1, f"SELECT customer, {', '.join(columns.split())} FROM customers")  # noqa: S608
    expected: Rows = {
        (c.id,): (c.currency, c.suspended, c.cash_m, c.open_stakes_m, c.reserved_m) for c in book.customers.values()
    }
    differences(report, "customer", columns, expected, found)
    house = await _keyed(connection, 2, "SELECT account, currency, balance_m FROM house_accounts WHERE balance_m <> 0")
    balances: Rows = {key: (balance_m,) for key, balance_m in book.house.items() if balance_m}
    differences(report, "house account", "balance_m", balances, house)


async def _reserves(connection: Connection, book: Book, report: Differences) -> None:
    query = """
        SELECT p.id, p.customer, p.amount_m, p.provider, r.hold_until_ms
        FROM reserves r JOIN payments p ON p.event_no = r.reserve_no WHERE r.status = 'held'
    """
    expected: Rows = {(r.id,): (r.customer.id, r.amount_m, r.provider, r.hold_until_ms) for r in book.reserves.values()}
    found = await _keyed(connection, 1, query)
    differences(report, "reserve", "customer amount_m provider hold_until_ms", expected, found)


async def _fixtures(connection: Connection, book: Book, report: Differences) -> None:
    query = "SELECT fixture, name, sport, competition, start_ms FROM fixtures"
    expected: Rows = {(fixture.id,): fixture.definition() for fixture in book.fixtures.values()}
    found = await _keyed(connection, 1, query)
    differences(report, "fixture", "name sport competition start_ms", expected, found, more_allowed=True)


async def _markets(connection: Connection, markets: Mapping[tuple[str, str], Market], report: Differences) -> None:
    columns = "source market_type name market_group winners cut_off_ms suspended settled cancels"
    query = """
        SELECT fixture, market, source, market_type, name, market_group, winners, cut_off_ms, suspended, settled,
               ARRAY(SELECT format('%s-%s', c.from_ms, c.to_ms) FROM market_cancels c
                     WHERE (c.fixture, c.market) = (m.fixture, m.market) AND c.rolled_back_no IS NULL
                     ORDER BY c.event_no)
        FROM markets m WHERE NOT archived
    """
    expected: Rows = {key: _market(market) for key, market in markets.items()}
    differences(report, "market", columns, expected, await _keyed(connection, 2, query))
    query = """
        SELECT s.fixture, s.market, s.selection, s.name, s.price,
               s.result, s.void_factor, s.dead_heat_places, s.dead_heat_sharing
        FROM selections s JOIN markets m USING (fixture, market) WHERE NOT m.archived
    """
    selections: Rows = {
        (*key, selection.id): (selection.name, selection.override, *_result(selection.result))
        for key, market in markets.items()
        for selection in market.selections.values()
    }
    columns = "name price result void_factor dead_heat_places dead_heat_sharing"
    found = await _keyed(connection, 3, query)
    differences(report, "selection", columns, selections, found, more_allowed=True)


def _market(market: Market) -> tuple[Any, ...]:
    cancels = [f"{from_ms}-{to_ms}" for from_ms, to_ms in market.cancels]
    *definition, _ = market.definition()
    return (market.source, *definition, market.desk_suspended, market.settled, cancels)


def _result(result: Result | None) -> tuple[int | None, ...]:
    if result is None:
        return None, None, None, None
    return result.result, result.void_factor, result.dead_heat_places, result.dead_heat_sharing


_BETS: Final = """
    SELECT b.id, b.ts_ms, b.customer, b.stake_m, b.payout_m, b.status, b.paid_m, b.voided,
           ARRAY(SELECT format('%s %s %s %s %s', l.fixture, l.market, l.selection, l.price, l.requested)
                 FROM bet_legs l WHERE l.bet_no = b.bet_no ORDER BY l.leg)
    FROM unnest($1::text[]) asked (id),
         LATERAL (SELECT * FROM bets x WHERE x.id = asked.id ORDER BY x.bet_no DESC LIMIT 1) b
"""


async def _bets(connection: Connection, book: Book, report: Differences) -> None:
    columns = "ts_ms customer stake_m payout_m status paid_m voided legs"
    bets = list(book.bets.values())
    for start in range(0, len(bets), BETS_PIECE):
        piece = bets[start : start + BETS_PIECE]
        found = await _keyed(connection, 1, _BETS, [bet.id for bet in piece])
        differences(report, "bet", columns, {(bet.id,): _bet(bet) for bet in piece}, found)
    async for row in connection.cursor("SELECT id, bet_no FROM bets WHERE status = 0"):
        if row["id"] not in book.bets:
            report.add(f"bet {row['id']}: open in Postgres ({row['bet_no']}), the engine does not know it")


def _bet(bet: Bet) -> tuple[Any, ...]:
    legs = [_leg(leg) for leg in bet.legs]
    return (bet.ts_ms, bet.customer.id, bet.stake_m, bet.payout_m, bet.status, bet.paid_m, bet.voided, legs)


def _leg(leg: Any) -> str:
    selection = leg.selection
    market = selection.market
    return f"{market.fixture.id} {market.id} {selection.id} {leg.price} {leg.requested}"
