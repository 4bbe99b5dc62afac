"""What a customer's matches in an exchange market come to by what is known of it: his lines, and what he has won.

A pure function of his trades and of the market's results, cancels and withdrawals (docs/adr/0009); a market maker has
100 000 of them, so it is counted in pieces. A count lives no longer than what is known stays the same (`forget`), and
no snapshot holds one: whoever finds none, after a crash or in a replay, counts anew and comes to the same.

Trades that stand alike are looked at once: of one selection, side and price, between the same turns of what is known.
"""

from __future__ import annotations

from bisect import bisect_right
from fractions import Fraction

from core.book import Between, Count, Counting, Exchange, Line, Market, Position, Stands, Trade
from core.exchange import positions
from core.exchange.positions import BACK
from core.messages.results import multiplier
from core.units import FACTOR_ONE, PRICE_ONE

ACROSS, CLOSE = Between.ACROSS.value, Between.CLOSE.value
_TERMS_MAX = 10_000
"""Ways in which trades of a market may stand that are kept, 3 MB; past it they are worked out again."""


def forget(exchange: Exchange) -> None:
    """Something else is known of the market: whatever was counted is no more."""
    exchange.counting = None


def of(position: Position) -> Count:
    """The count of a position, as far as it has come."""
    counting = _counting(position.market)
    return counting.counts.setdefault(position.customer.id, Count())


def drop(position: Position) -> None:
    """A position has been dealt with."""
    _counting(position.market).counts.pop(position.customer.id, None)


def _counting(market: Market) -> Counting:
    exchange = market.exchange
    assert exchange is not None
    if exchange.counting is None:
        exchange.counting = counting_of(market)
    return exchange.counting


def counting_of(market: Market) -> Counting:
    """A new one, by what is known now."""
    turns = {turn for window in market.cancels for turn in window}
    turns |= {selection.withdrawn_ms for selection in market.selections.values()}
    return Counting(sorted(turns - {0}), _one_wins(market))


def advance(position: Position, most: int) -> int:
    """Count as many of its trades that are not counted yet, and say how many it were."""
    return count_on(position, _counting(position.market), of(position), most)


def make(position: Position) -> None:
    """Make its lines agree with its count, once; what is not counted yet is counted first, as in a replay."""
    count = of(position)
    if not count.made:
        advance(position, len(position.trades) - count.done)
        _restate(position, count)
        count.made = True


def recount(position: Position, counting: Counting) -> None:
    """Lines and sums from orders and trades alone, out of a snapshot."""
    position.lines, position.back_m, position.staked_m = {}, 0, 0
    for order in position.resting.values():
        positions.make(position, positions.rests(order.selection.id, order.side, positions.at_risk(order)))
    count = Count()
    count_on(position, counting, count, len(position.trades))
    _restate(position, count)


def stated(position: Position, count: Count) -> Position:
    """What decides the exposure of a position once it agrees with its count."""
    lines = {name: Line(line.back_m, line.lay_m, line.win_m) for name, line in position.lines.items()}
    counted = Position(position.customer, position.market, lines=lines, back_m=position.back_m)
    _restate(counted, count)
    return counted


def _restate(position: Position, count: Count) -> None:
    """What is matched is as it was counted; what is not stays."""
    lines, wins_m = position.lines, count.wins_m
    for name, line in list(lines.items()):
        line.win_m = wins_m.get(name, 0)
        if not (line.win_m or line.back_m or line.lay_m):
            del lines[name]
    for name, win_m in wins_m.items():
        if win_m and name not in lines:
            lines[name] = Line(win_m=win_m)
    position.staked_m = count.staked_m


def count_on(position: Position, counting: Counting, count: Count, most: int) -> int:
    """Count the next trades. Every trade of a market comes here, so the loop calls nothing for those that are alike."""
    trades = position.trades[count.done : count.done + most]
    known, turns, wins_m = counting.terms, counting.turns, count.wins_m
    staked_m, net_m = count.staked_m, count.net_m
    for trade in trades:
        name, ts_ms = trade.selection, trade.ts_ms
        turn = bisect_right(turns, ts_ms) if turns else 0
        key = name, trade.side, trade.price, trade.between, turn, trade.across
        terms = known.get(key)
        if terms is None:
            terms = known[key] = _terms(position.market, trade, one_wins=counting.one_wins)
        stake_m = trade.stake_m
        staked, pays, factor, netted, paid, numerator, denominator = terms
        if not staked:
            continue
        staked_m += staked * stake_m
        wins_m[name] = wins_m.get(name, 0) + pays * (factor * stake_m // PRICE_ONE)
        if denominator:
            net_m += netted * stake_m + paid * (numerator * stake_m // denominator)
        else:
            count.undecided = True
    count.staked_m, count.net_m = staked_m, net_m
    count.done += len(trades)
    if len(known) > _TERMS_MAX:
        known.clear()
    return len(trades)


_VOID: Stands = (0, 0, 0, 0, 0, 0, 1)


def _terms(market: Market, trade: Trade, *, one_wins: bool) -> Stands:
    """How a trade stands, and what it comes to.

    A payout is rounded down for the backer and so for his layer. Where the house stood between, its layers pay it
    rounded up: at the starting price, and across selections where the house gets a part of more than one payout.
    """
    price = positions.standing(market, trade)
    if price is None:
        return _VOID
    side = 1 if trade.side == BACK else -1
    closed = side < 0 and trade.between == CLOSE
    lines = (-side, *_rounded(side, price, up=closed))
    known = market.selections[trade.selection].result
    if trade.across and not one_wins:
        return (*lines, 0, 0, 0, 1)
    if known is None:
        return (*lines, 0, 0, 0, 0)
    numerator, denominator = multiplier(known, price)
    parted = known.void_factor or known.dead_heat_places != known.dead_heat_sharing
    up = closed or (side < 0 and trade.between == ACROSS and bool(parted))
    return (*lines, -side, *_rounded(side, numerator, up=up), denominator)


def _rounded(side: int, numerator: int, *, up: bool) -> tuple[int, int]:
    """Sign outside and numerator within a division that rounds down, so that the payout is rounded down, or up."""
    return (1, side * numerator) if up else (side, numerator)


def _one_wins(market: Market) -> bool:
    """Whether the results are those of one winner, or of a dead heat for it, or void alike: what a match across
    selections was priced for. By others the house, which stood between, could lose; such matches are void then.
    """
    known = [each.result for each in market.selections.values() if each.result is not None and not each.withdrawn_ms]
    if len({result.void_factor for result in known}) > 1:
        return False
    won = sum(Fraction(each.dead_heat_places, each.dead_heat_sharing) for each in known if each.result)
    return won == 1 or all(result.void_factor == FACTOR_ONE for result in known)
