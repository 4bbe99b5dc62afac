"""Events of fixtures and markets, of the races among them and of their limits, as rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from core.book import DESK
from core.messages import events as ev

if TYPE_CHECKING:
    from collections.abc import Callable

    from adapters.postgres.slices import Key, Slice


_json = msgspec.json.Encoder().encode


def _fixture_defined(rows: Slice, number: int, event: ev.FixtureDefined) -> None:
    place = event.sport, event.competition, event.start_ms, event.outright_of
    rows.fixtures[event.fixture] = (event.source, event.name, *place)
    rows.act(number, event, (event.fixture,))


def _market_defined(rows: Slice, number: int, event: ev.MarketDefined) -> None:
    key = event.fixture, event.market
    if rows.archived.pop(key, 0):
        _renew(rows, number, key)
    rows.lives.append((number, *key, True))
    known = rows.markets.get(key)
    rows.markets[key] = (
        known[0] if known else number,
        event.source,
        event.market_type,
        event.name,
        event.group,
        event.winners,
        event.cut_off_ms,
        _json(event.specifiers).decode(),
        *(msgspec.structs.astuple(event.each_way) if event.each_way is not None else (None,) * 4),
        event.delay_ms,
        event.starting_price,
        None if event.exchange is None else _json(event.exchange).decode(),
        _json(event.parts).decode(),
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
    for said in (rows.prices, rows.results, rows.withdrawals, rows.starting_prices):
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
    said: dict[Key, Any] = {}
    if event.what == "results":
        rows.market_settled[key] = False
        rows.results_cleared[key] = number
        said = rows.results
    elif event.what == "withdrawals":
        rows.withdrawals_cleared[key] = number
        said = rows.withdrawals
    for of_selection in [each for each in said if each[:2] == key]:
        del said[of_selection]
    rows.act(number, event, key, event.reason)


def _market_archived(rows: Slice, number: int, event: ev.MarketArchived) -> None:
    if event.last:
        rows.inserts["market_archivings"].append((number, event.ts_ms, event.fixture, event.market))
        rows.archived[event.fixture, event.market] = number
        rows.lives.append((number, event.fixture, event.market, False))


def _selection_withdrawn(rows: Slice, number: int, event: ev.SelectionWithdrawn) -> None:
    key = event.fixture, event.market, event.selection
    rows.withdrawals[key] = event.at_ms, event.deduction_pc, event.reduction_bp
    row = (number, event.ts_ms, *key, event.source, event.sequence, event.price, event.at_ms, event.deduction_pc)
    rows.inserts["withdrawals"].append(row)
    rows.act(number, event, key, f"price {event.price}")


def _starting_prices_set(rows: Slice, number: int, event: ev.StartingPricesSet) -> None:
    key = event.fixture, event.market
    for each in event.prices:
        rows.starting_prices[*key, each.selection] = each.price
    row = (number, event.ts_ms, *key, event.source, event.sequence, _json(event.prices).decode())
    rows.inserts["starting_prices"].append(row)
    rows.act(number, event, key)


def _fixture_scored(rows: Slice, number: int, event: ev.FixtureScored) -> None:
    score = _json(event.score).decode()
    row = (number, event.ts_ms, event.fixture, event.source, event.sequence, score, event.reason)
    rows.inserts["fixture_scores"].append(row)
    rows.act(number, event, (event.fixture,), event.reason)


def _limit_set(rows: Slice, number: int, event: ev.LimitSet) -> None:
    names = "sport", "competition", "fixture", "market_type", "market", "selection"
    node = {name: getattr(event, name) for name in names}
    limits = event.stake_max_m, event.payout_max_m, event.liability_max_m, _json(event.ramp).decode()
    rows.inserts["limit_changes"].append((number, event.ts_ms, *node.values(), *limits))
    rows.act(number, event, node_words(node))


def node_words(node: dict[str, str]) -> tuple[str, ...]:
    """A node of the limits tree in words: "sport", "football", "competition", "cup"; or "book"."""
    return tuple(word for name, value in node.items() if value for word in (name, value)) or ("book",)


HANDLERS: Final[dict[type, Callable[[Slice, int, Any], None]]] = {
    ev.FixtureDefined: _fixture_defined,
    ev.MarketDefined: _market_defined,
    ev.MarketStatusSet: _market_status,
    ev.PriceSet: _price_set,
    ev.MarketSettled: _market_settled,
    ev.MarketCancelled: _market_cancelled,
    ev.MarketRolledBack: _market_rolled_back,
    ev.MarketArchived: _market_archived,
    ev.SelectionWithdrawn: _selection_withdrawn,
    ev.StartingPricesSet: _starting_prices_set,
    ev.FixtureScored: _fixture_scored,
    ev.LimitSet: _limit_set,
}
