"""What a customer has in an exchange market, and what its worst outcome costs him (RULEBOOK 4, "Exchange customers").

Per selection a line says what his unmatched orders lose there, and what his matches pay; over them stand two sums. A
change is one line's and the sums', and the exposure is a walk over his lines, as many as he has selections: nothing
grows with the number of orders or of selections in the market.

    exposure = max over outcomes of (unmatched[i] + max(0, -matched[i]))   (Monaco Protocol)

where more than one selection wins, the greatest ones are added up.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import nlargest
from typing import NamedTuple

from core.book import Between, Book, Carried, Line, Market, Order, Position, Selection, Trade
from core.exchange.ladder import Side
from core.risk import liability
from core.units import PRICE_ONE, payout_down, payout_up

BACK, LAY = Side.BACK, Side.LAY
ACROSS, CLOSE = Between.ACROSS.value, Between.CLOSE.value
REDUCTION_MIN_BP = 250
"""In win markets smaller reduction factors do not count."""
PRICE_LEAST = 10_100
"""No reduction takes a matched price below it."""
Change = tuple[str, int, int, int, int]
"""(selection, win, staked, back, lay): what is added to a line's `win_m`, to `staked_m`, to `back_m` and to `lay_m`."""


def matched(selection: str, side: int, price: int, stake_m: int, between: int = 0) -> Change:
    """What a match adds. What a layer wins his backer loses: the payout is rounded down for both.

    At the starting price, where no backer has a layer of his own, layers pay it rounded up.
    """
    if side == BACK:
        return selection, payout_down(stake_m, price, PRICE_ONE), -stake_m, 0, 0
    payout = payout_up if between == CLOSE else payout_down
    return selection, -payout(stake_m, price, PRICE_ONE), stake_m, 0, 0


def open_m(side: int, price: int, stake_m: int, *, on_close: bool = False) -> int:
    """What an unmatched order can lose: a back its stake, a lay stake x (price - 1), on close what it says."""
    if side == BACK or on_close:
        return stake_m
    return payout_down(stake_m, price, PRICE_ONE) - stake_m


def rests(selection: str, side: int, amount_m: int) -> Change:
    """What an unmatched order that can lose this adds; below 0: takes away."""
    return (selection, 0, 0, amount_m, 0) if side == BACK else (selection, 0, 0, 0, amount_m)


def filled(order: Order, rested_m: int, stake_m: int) -> Change:
    """What a match of a part of a resting order changes, of which so much rested: less of it is open, and the match."""
    price, name = order.price, order.selection.id
    payout_m = stake_m * price // PRICE_ONE
    if order.side is BACK:
        return name, payout_m, -stake_m, -stake_m, 0
    left_m = rested_m - stake_m
    less_m = rested_m * price // PRICE_ONE - left_m * price // PRICE_ONE - stake_m
    return name, -payout_m, stake_m, 0, -less_m


def together(changes: Sequence[Change]) -> Change:
    """Several changes of one line as one."""
    name, win_m, staked_m, back_m, lay_m = changes[0]
    for change in changes[1:]:
        win_m += change[1]
        staked_m += change[2]
        back_m += change[3]
        lay_m += change[4]
    return name, win_m, staked_m, back_m, lay_m


def exposure(position: Position, changes: Sequence[Change] = ()) -> int:
    """What the worst outcome costs, at least 0, once these changes have been made; minor units."""
    if len(changes) > 1:
        return exposure_with(after(position, changes), _UNCHANGED)
    return exposure_with(position, changes[0] if changes else _UNCHANGED)


def after(position: Position, changes: Sequence[Change]) -> Position:
    """What decides the exposure of a position, as it will be."""
    lines = {name: Line(line.back_m, line.lay_m, line.win_m) for name, line in position.lines.items()}
    changed = Position(position.customer, position.market, lines=lines)
    changed.back_m, changed.staked_m = position.back_m, position.staked_m
    for change in changes:
        make(changed, change)
    return changed


_UNCHANGED: Change = ("", 0, 0, 0, 0)


def exposure_with(position: Position, change: Change) -> int:
    """The same with one change: no line is copied for that where one selection wins. Each order and fill comes here."""
    market, lines = position.market, position.lines
    exchange = market.exchange
    assert exchange is not None
    if market.winners != 1:
        return _exposure_of_many(position if change is _UNCHANGED else after(position, (change,)), exchange.outcomes)
    changed, more_win_m, more_staked_m, more_back_m, more_lay_m = change
    back_m = position.back_m + more_back_m
    staked_m = position.staked_m + more_staked_m
    worst_m = touched = 0
    if changed and changed not in lines:
        touched = 1
        worst_m = back_m - more_back_m + more_lay_m
        paid_m = staked_m + more_win_m
        if paid_m < 0:
            worst_m -= paid_m
    if touched + len(lines) < exchange.outcomes:
        cost_m = back_m if staked_m >= 0 else back_m - staked_m
        worst_m = cost_m if cost_m > worst_m else worst_m  # noqa: FURB136  (max() costs more than the rest of the line)
    for name, line in lines.items():
        cost_m = back_m - line.back_m + line.lay_m
        paid_m = staked_m + line.win_m
        if name == changed:
            cost_m += more_lay_m - more_back_m
            paid_m += more_win_m
        if paid_m < 0:
            cost_m -= paid_m
        if cost_m > worst_m:  # noqa: PLR1730  (see above)
            worst_m = cost_m
    return worst_m if worst_m > 0 else 0  # noqa: FURB136  (see above)


def _exposure_of_many(position: Position, outcomes: int) -> int:
    """The same where several selections win: the greatest sums over as many lines, untouched selections among them."""
    lines, winners, back_m = position.lines.values(), position.market.winners, position.back_m
    untouched = [0] * min(winners, max(0, outcomes - len(lines)))
    unmatched = [line.lay_m - line.back_m for line in lines]
    both = [line.lay_m - line.back_m - line.win_m for line in lines]
    worst_m = back_m + sum(nlargest(winners, unmatched + untouched))
    return max(0, worst_m, back_m - position.staked_m + sum(nlargest(winners, both + untouched)))


class Elsewhere(NamedTuple):
    """What the worst outcomes on all selections but one cost, but for the sums over all: of as many as win, and of one
    less, which is what is left if that selection wins too. None of as many: there are fewer selections.
    """

    unmatched_m: int
    unmatched_less_m: int
    both_m: int
    both_less_m: int


_FEWER = -(2**62)


def elsewhere(position: Position, selection: str) -> Elsewhere:
    """Worked out once for a number of changes on one selection, none of which then has to look at the others."""
    market = position.market
    assert market.exchange is not None
    winners = market.winners
    lines = [line for name, line in position.lines.items() if name != selection]
    untouched = [0] * min(winners, max(0, market.exchange.outcomes - len(lines) - 1))
    unmatched = [line.lay_m - line.back_m for line in lines] + untouched
    both = [line.lay_m - line.back_m - line.win_m for line in lines] + untouched
    if winners == 1:
        return Elsewhere(max(unmatched), 0, max(both), 0) if unmatched else Elsewhere(_FEWER, 0, _FEWER, 0)
    worst = nlargest(winners, unmatched)
    worst_both = nlargest(winners, both)
    less_m, both_less_m = sum(worst[: winners - 1]), sum(worst_both[: winners - 1])
    if len(worst) < winners:
        return Elsewhere(_FEWER, less_m, _FEWER, both_less_m)
    return Elsewhere(sum(worst), less_m, sum(worst_both), both_less_m)


def exposure_there(others: Elsewhere, line: Line, back_m: int, staked_m: int) -> int:
    """The same as `exposure`, of a position with this line on that selection, and these sums."""
    unmatched_m = line.lay_m - line.back_m
    both_m = unmatched_m - line.win_m
    worst_m = back_m + max(others.unmatched_m, others.unmatched_less_m + unmatched_m)
    return max(0, worst_m, back_m - staked_m + max(others.both_m, others.both_less_m + both_m))


def make(position: Position, change: Change) -> None:
    """Make a change of one line and the sums; a line that has become empty goes."""
    name, win_m, staked_m, back_m, lay_m = change
    lines = position.lines
    line = lines.get(name)
    if line is None:
        line = lines[name] = Line()
    line.win_m += win_m
    line.back_m += back_m
    line.lay_m += lay_m
    if not (line.win_m or line.back_m or line.lay_m):
        del lines[name]
    position.staked_m += staked_m
    position.back_m += back_m


def of(market: Market, customer_id: str) -> Position | None:
    """A customer's position in an exchange market, if he has one."""
    assert market.exchange is not None
    return market.exchange.positions.get(customer_id)


def running(market: Market) -> tuple[str, ...]:
    """Those of its selections that can win."""
    return tuple([selection.id for selection in market.selections.values() if not selection.withdrawn_ms])


def outcomes(market: Market) -> int:
    """How many of its selections can win."""
    return len(running(market))


def standing(market: Market, trade: Trade) -> int | None:
    """The price at which a match stands now; None: it is void.

    A withdrawn selection's matches are void, the others' from before fall by its reduction factor, in a win market from
    2.5 % on (RULEBOOK 6), to no less than 1.01. A match across selections stands for as long as just these can win: the
    house stood between, and would be left with whatever another one brings; a runner that came and went since has no
    part in it.
    """
    if market.cancels and market.cancels_at(trade.ts_ms):
        return None
    if trade.across:
        return trade.price if trade.across == running(market) else None
    price = trade.price
    for selection in market.selections.values():
        if not selection.withdrawn_ms:
            continue
        if selection.id == trade.selection:
            return None
        least_bp = REDUCTION_MIN_BP if market.winners == 1 else 1
        if trade.ts_ms < selection.withdrawn_ms and selection.reduction_bp >= least_bp:
            price = max(PRICE_LEAST, price * (10_000 - selection.reduction_bp) // 10_000)
    return price


def carry(book: Book, order: Order) -> None:
    """Count a lay of the house's account in its market's liability: what is matched as a bet, what rests as its risk.

    So the limits hold whatever is matched, and bets and lays share the room under them.
    """
    exchange = order.selection.market.exchange
    assert exchange is not None
    if exchange.terms.house != order.customer or order.side != LAY:
        return
    position = exchange.positions[order.customer]
    if position.carried is None:
        position.carried = {}
    carried = position.carried.setdefault(order.selection.id, Carried())
    was_payout_m, was_stake_m = order.carried or (0, 0)
    payout_m = payout_down(order.matched_m, order.price, PRICE_ONE) + open_m(LAY, order.price, order.stake_m)
    order.carried = payout_m, order.matched_m
    carried.payout_m += payout_m - was_payout_m
    carried.stake_m += order.matched_m - was_stake_m
    _carry(book, position, order.selection, carried)


def carry_all(book: Book, position: Position) -> None:
    """The same of all its lays: it is settled, or open again, or a selection is withdrawn."""
    for name, carried in (position.carried or {}).items():
        _carry(book, position, position.market.selections[name], carried)


def _carry(book: Book, position: Position, selection: Selection, carried: Carried) -> None:
    payout_m, stake_m = carried.payout_m, carried.stake_m
    if position.settled or selection.withdrawn_ms:
        payout_m = stake_m = 0
    more_payout_m, more_stake_m = payout_m - carried.counted_payout_m, stake_m - carried.counted_stake_m
    if more_payout_m or more_stake_m:
        carried.counted_payout_m, carried.counted_stake_m = payout_m, stake_m
        liability.shift(book, selection, more_payout_m, more_stake_m)


def at_risk(order: Order) -> int:
    """What rests of an order can lose: `open_m`, without the calls."""
    stake_m = order.stake_m
    if order.side is BACK or order.on_close:
        return stake_m
    return stake_m * order.price // PRICE_ONE - stake_m
