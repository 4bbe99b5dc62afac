"""Races: runners that are withdrawn, with Rule 4, and the prices at the off (RULEBOOK 5)."""

from __future__ import annotations

from core import markets
from core.book import Book, Market
from core.exchange import clearing
from core.limits import Limits
from core.messages import commands as co
from core.messages import events as ev
from core.messages.rejections import Rejection
from core.refusals import Refusal
from core.results import settling, standing
from core.results.standing import Origin, Said
from core.units import price_from_fraction

RULE_4: tuple[tuple[str, int], ...] = (
    ("1/9", 90),
    ("2/11", 85),
    ("1/4", 80),
    ("3/10", 75),
    ("2/5", 70),
    ("8/15", 65),
    ("8/13", 60),
    ("4/5", 55),
    ("20/21", 50),
    ("6/5", 45),
    ("6/4", 40),
    ("7/4", 35),
    ("9/4", 30),
    ("3/1", 25),
    ("4/1", 20),
    ("11/2", 15),
    ("9/1", 10),
    ("14/1", 5),
)
"""The withdrawn runner's price up to which so many per cent of winnings are deducted; above: none."""
_STEPS = tuple((price_from_fraction(*map(int, text.split("/"))), percent) for text, percent in RULE_4)


def deduction(price: int) -> int:
    """What the withdrawal of a runner at this price takes from the others' winnings, in per cent; 0 has no price."""
    return next((percent for up_to, percent in _STEPS if price <= up_to), 0) if price else 0


def withdrawal_event(
    book: Book, market: Market, selection_id: str, price: int, at_ms: int, reduction_bp: int, origin: Origin, said: Said
) -> ev.SelectionWithdrawn | Refusal:
    """A runner is withdrawn, if it is one and that is new; said again at another price or time, a correction.

    In an exchange market a time that is still to come counts as now: its orders lapse now, and what is matched after
    that is priced without it.
    """
    selection = market.selections.get(selection_id)
    if selection is None:
        return Refusal(Rejection.SELECTION_UNKNOWN)
    if not at_ms:
        return Refusal(Rejection.DEFINITION_NOT_VALID, detail="at_ms: when it was withdrawn")
    told = said.told(book)
    if told <= max(market.words.withdrawals_rolled_back, standing.withdrawn(selection)):
        return Refusal(Rejection.NOTHING_TO_CHANGE, detail="older than what is known")
    if market.exchange is not None:
        at_ms = min(at_ms, selection.withdrawn_known_ms if selection.withdrawn_ms else origin.now_ms)
    percent = deduction(price)
    if (selection.withdrawn_ms, selection.deduction_pc, selection.reduction_bp) == (at_ms, percent, reduction_bp):
        selection.withdrawn_again = told
        return Refusal(Rejection.NOTHING_TO_CHANGE)
    place = market.fixture.id, market.id, selection_id
    return ev.SelectionWithdrawn(*origin, *place, price, at_ms, percent, reduction_bp, said.told_ms)


def starting_prices_event(
    book: Book, market: Market, prices: tuple[co.NamedPrice, ...], origin: Origin, said: Said
) -> ev.StartingPricesSet | Refusal:
    """The prices at the off, if they are of this market: those that are new."""
    selections, told = market.selections, said.told(book)
    if len({each.selection for each in prices}) < len(prices):
        return Refusal(Rejection.DEFINITION_NOT_VALID, detail="prices: a selection is named twice")
    for each in prices:
        if each.selection not in selections:
            return Refusal(Rejection.SELECTION_UNKNOWN, detail=each.selection)
    newer = [each for each in prices if told > standing.started(selections[each.selection])]
    changed = tuple(each for each in newer if selections[each.selection].starting_price != each.price)
    for each in newer:
        selections[each.selection].starting_again = told
    if not changed:
        return Refusal(Rejection.NOTHING_TO_CHANGE, detail="" if newer else "older than what is known")
    return ev.StartingPricesSet(*origin, market.fixture.id, market.id, changed, said.told_ms)


def decide_withdraw(
    book: Book, _: Limits, command: co.WithdrawSelection, digest: int, now_ms: int
) -> ev.Event | Refusal:
    """A withdrawal by the desk."""
    market = markets.find(book, command.fixture, command.market)
    if isinstance(market, Refusal):
        return market
    origin, said = standing.by_desk(command, digest, now_ms), standing.now(market, now_ms)
    what = command.selection, command.price, command.at_ms, command.reduction_bp
    return withdrawal_event(book, market, *what, origin, said)


def decide_starting_prices(
    book: Book, _: Limits, command: co.SetStartingPrices, digest: int, now_ms: int
) -> ev.Event | Refusal:
    """Starting prices by the desk."""
    market = markets.find(book, command.fixture, command.market)
    if isinstance(market, Refusal):
        return market
    origin, said = standing.by_desk(command, digest, now_ms), standing.now(market, now_ms)
    return starting_prices_event(book, market, command.prices, origin, said)


def apply_withdrawn(book: Book, event: ev.SelectionWithdrawn) -> None:
    """The runner is out; all bets of the market are looked at again."""
    market = book.fixtures[event.fixture].markets[event.market]
    selection = market.selections[event.selection]
    if not selection.withdrawn_ms:
        selection.withdrawn_known_ms = event.ts_ms
    selection.withdrawn_ms, selection.deduction_pc = event.at_ms, event.deduction_pc
    selection.reduction_bp, selection.withdrawn_price = event.reduction_bp, event.price
    selection.withdrawn_told, selection.withdrawn_again = (event.told_ms, book.event_no), (0, 0)
    if market.exchange is not None:
        clearing.begin(book, market, ev.Why.WITHDRAWN)
    settling.reconsider(book, market, event.ts_ms)


def apply_starting_prices(book: Book, event: ev.StartingPricesSet) -> None:
    """What bets at the starting price are paid at."""
    market = book.fixtures[event.fixture].markets[event.market]
    for each in event.prices:
        selection = market.selections[each.selection]
        selection.starting_price, selection.starting_told = each.price, (event.told_ms, book.event_no)
        selection.starting_again = (0, 0)
    settling.reconsider(book, market, event.ts_ms)
