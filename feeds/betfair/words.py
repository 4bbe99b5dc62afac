"""Betfair's words in ours (RULEBOOK 8): pure functions of a market definition.

* A selection is "<id>", or "<id>:<handicap>" where there is one.
* OPEN is active, CLOSED closed, everything else suspended.
* Markets in which a price means something else are never active: lines and ranges (the price is the line), each-way
  markets (two bets in one). Asian handicaps are priced, but their results are left to the desk: a quarter line's half
  win is not in the stream.
* A bet delay, in seconds, holds while the market is in play, as ours does; what is above our 15 s is 15 s.
* Starting prices hold once Betfair has reconciled them; they are averages, taken to their fourth place, the nearest.
  Where Betfair puts one right afterwards, the new one is told.
* Removed runners have no price and are void at the end. Betfair's reduction factors are the exchange's affair: they are
  told of exchange markets only, and a bookmaker's Rule 4 never is.
* Exchange terms follow the definition: ladder, base rate, cross matching, starting price. Handicaps have FINEST where
  nothing is said. What rests in a recording has waited its delay already, so an order that only rests is exempt.
* At CLOSED: WINNER won, LOSER lost, REMOVED void; PLACED won where several win. More winners than `numberOfWinners`
  is a dead heat. All removed: cancelled. While one runner is ACTIVE, or what we do not know, there is no result.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from math import isfinite
from typing import Literal

from msgspec import Struct

from core.messages.feed import FeedStatus
from core.messages.results import Result
from core.messages.terms import ExchangeTerms
from feeds.betfair.market import RunnerKey, key_of, price_of
from feeds.betfair.stream import MarketDefinition

SPORTS = {
    "1": "football",
    "2": "tennis",
    "3": "golf",
    "4": "cricket",
    "5": "rugby-union",
    "6": "boxing",
    "7": "horse-racing",
    "8": "motor-sport",
    "1477": "rugby-league",
    "3503": "darts",
    "4339": "greyhounds",
    "6422": "snooker",
    "6423": "american-football",
    "7511": "baseball",
    "7522": "basketball",
    "7524": "ice-hockey",
    "2378961": "politics",
}
"""By eventTypeId; others are "betfair-<eventTypeId>"."""
_ASIAN = {"ASIAN_HANDICAP_DOUBLE_LINE", "ASIAN_HANDICAP_SINGLE_LINE"}
_STATUSES = {"OPEN": FeedStatus.ACTIVE, "CLOSED": FeedStatus.CLOSED}
_FINAL = {"WINNER", "LOSER", "PLACED", "REMOVED"}
_WINNERS_MAX = 100
_DELAY_MAX_MS = 15_000
_NAME_MAX = 200
_COMMISSION_MAX_BP = 5_000
_FACTOR_ONE_BP = 10_000
_CONTROL = re.compile(r"[\x00-\x1f]+")
_VOID: Literal[10000] = 10_000

_LADDERS: Mapping[str, Literal["CLASSIC", "FINEST"]] = {"CLASSIC": "CLASSIC", "FINEST": "FINEST"}

Verdict = tuple[Result, ...] | Literal["cancel"] | None
"""What a market definition says of the results."""


class Head(Struct, frozen=True, gc=False):
    """What an image tells of a market beside status and prices."""

    market_type: str
    name: str
    winners: int
    delay_ms: int
    starting_price: bool
    selections: tuple[tuple[str, str, RunnerKey], ...]
    """(id, name, key), in Betfair's order."""
    exchange: ExchangeTerms | None


def text(value: str, otherwise: str = "") -> str:
    """A name as ours may be: no control characters, not too long."""
    return _CONTROL.sub(" ", value).strip()[:_NAME_MAX] or otherwise


def selection_id(key: RunnerKey) -> str:
    runner, handicap = key
    return f"{runner}:{handicap:g}" if handicap else str(runner)


def sport(definition: MarketDefinition) -> str:
    return SPORTS.get(definition.event_type_id, f"betfair-{definition.event_type_id}")


def status(definition: MarketDefinition) -> FeedStatus:
    found = _STATUSES.get(definition.status, FeedStatus.SUSPENDED)
    return FeedStatus.SUSPENDED if found is FeedStatus.ACTIVE and not _priced(definition) else found


def head(definition: MarketDefinition) -> Head:
    market_type = definition.market_type or "UNKNOWN"
    runners = sorted(definition.runners, key=lambda runner: runner.sort_priority)
    return Head(
        market_type,
        text(definition.name, market_type.replace("_", " ").capitalize()),
        winners(definition),
        min(definition.bet_delay * 1000, _DELAY_MAX_MS),
        definition.bsp_market,
        tuple(
            (selection_id(key), text(runner.name, selection_id(key)), key)
            for key, runner in {key_of(runner): runner for runner in runners}.items()
        ),
        terms(definition),
    )


def terms(definition: MarketDefinition) -> ExchangeTerms | None:
    """What makes it an exchange market of ours; None: its prices are no odds, or of a ladder that we do not have."""
    usual = "FINEST" if definition.betting_type in _ASIAN else "CLASSIC"
    said = definition.price_ladder_definition
    ladder = _LADDERS.get(usual if said is None else said.type)
    if ladder is None or not _priced(definition):
        return None
    return ExchangeTerms(
        ladder,
        min(basis_points(definition.market_base_rate), _COMMISSION_MAX_BP),
        cross=definition.cross_matching,
        passive_exempt=True,
        starting_price=definition.bsp_market,
    )


def basis_points(percent: float | str | None) -> int:
    """Hundredths of a per cent, the nearest; 0 where there is no number."""
    return round(percent * 100) if isinstance(percent, float) and isfinite(percent) else 0


def reductions(definition: MarketDefinition, told: Iterable[str]) -> dict[str, tuple[int, datetime | None]]:
    """Of the removed runners that were told: reduction factor in hundredths of a per cent; when, if that is said."""
    removed = {selection_id(key_of(each)): each for each in definition.runners if each.status == "REMOVED"}
    return {
        selection: (min(max(basis_points(each.adjustment_factor), 0), _FACTOR_ONE_BP), each.removal_date)
        for selection in told
        if (each := removed.get(selection)) is not None
    }


def headline(definition: MarketDefinition) -> tuple[object, ...]:
    """With the runners, all that a head is made of."""
    kind = definition.market_type, definition.name, definition.betting_type
    exchange = definition.market_base_rate, definition.price_ladder_definition, definition.cross_matching
    return *kind, definition.number_of_winners, definition.bet_delay, definition.bsp_market, *exchange


def starting_prices(definition: MarketDefinition, told: Iterable[str]) -> dict[str, int]:
    """By selection, of those that were told and have one."""
    if not definition.bsp_reconciled:
        return {}
    numbers = {selection_id(key_of(runner)): runner.bsp for runner in definition.runners}
    found = ((selection, numbers.get(selection)) for selection in told)
    return {key: price for key, number in found if isinstance(number, float) and (price := price_of(number))}


def winners(definition: MarketDefinition) -> int:
    """How many selections can win at most; of an Asian handicap, one of the two on each of its lines."""
    count = definition.number_of_winners
    if definition.betting_type in _ASIAN:
        count = (len(definition.runners) + 1) // 2
    return min(max(count, 1), _WINNERS_MAX)


def verdict(definition: MarketDefinition, told: Iterable[str]) -> Verdict:
    """The results of all selections that were ever told; those that Betfair names no more are void."""
    if definition.status != "CLOSED":
        return None
    runners = {selection_id(key_of(runner)): runner for runner in definition.runners}
    statuses = {runner.status for runner in runners.values()}
    if not statuses <= _FINAL:
        return None
    if statuses <= {"REMOVED"}:
        return "cancel"
    if not _priced(definition) or definition.betting_type in _ASIAN:
        return None
    won = {"WINNER", "PLACED"} if definition.number_of_winners > 1 else {"WINNER"}
    places, sharing = 1, 1
    expected, found = definition.number_of_winners, sum(runner.status in won for runner in runners.values())
    if 0 < expected < found <= _WINNERS_MAX:
        places, sharing = expected, found

    def result(selection: str) -> Result:
        runner = runners.get(selection)
        if runner is None or runner.status == "REMOVED":
            return Result(selection, 0, _VOID)
        return Result(selection, 1, 0, places, sharing) if runner.status in won else Result(selection, 0)

    return tuple(map(result, dict.fromkeys([*told, *runners])))


def _priced(definition: MarketDefinition) -> bool:
    """Whether a price of this market is decimal odds of one selection."""
    kind = definition.betting_type or "ODDS"
    return (kind == "ODDS" or kind in _ASIAN) and definition.market_type != "EACH_WAY"
