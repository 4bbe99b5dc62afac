"""What the house can lose: kept up to date with every bet, so that a limit is checked by looking at numbers.

All of it is in minor units of the book's currency. A market's liability is the most it pays out (as many of its
selections as win, the dearest) less the stakes taken on it, at least 0 (RULEBOOK 4, market vector); its place parts are
counted beside it. The markets of a fixture that hang on its final score are looked at together, over all scores
(core/risk/grid.py); its other markets, and the fixtures of the book, are taken to go wrong together: their sum.

A fixture's `liability_m` is raised with each bet by the most that the bet can add, without a look at the scores: it is
never too low. What may be too high stands in `Book.loose`, and `tighten` makes it exact: in the next tick, and before
any bet is refused for it. So a refusal is always exact, and most bets cost a few additions.

A bet counts at each of its legs with the stake that runs on it: of each line its stake times what the line's decided
legs have made of it; an undecided leg counts as 1, its expected value at the offered price. As legs win the running
stake grows on the others; no bet is refused in retrospect.
"""

from __future__ import annotations

from core.betting import lines
from core.book import UNLIMITED, Bet, BetLeg, Book, Customer, Fixture, Level, Market, Selection
from core.messages.events import BetStatus
from core.messages.results import Result, multiplier
from core.risk import grid
from core.risk.grid import Grid, Patterns
from core.units import FACTOR_ONE, PRICE_ONE, RATE_ONE, base_up, payout_down

Multiplier = tuple[int, int]
"""(numerator, denominator)."""
_VOID = Result("", 0, 10_000)
_WON = Result("", 1)
_LOST = Result("", 0)
_PENCE = 100
DEDUCTION_MAX_PC = 90
"""Several withdrawals add up to at most this (RULEBOOK 5)."""
_OPEN = BetStatus.OPEN.value


def leg_result(bet: Bet, leg: BetLeg) -> Result | None:
    """What became of a bet's leg; None: nothing yet. A cancel goes before a result (RULEBOOK 5)."""
    return _VOID if leg.voided else _result(leg.selection, bet.ts_ms)


def _result(selection: Selection, placed_ms: int) -> Result | None:
    market = selection.market
    if selection.withdrawn_ms or (market.cancels and market.cancels_at(placed_ms)):
        return _VOID
    if selection.result is None and market.parts:
        return _combined(market, placed_ms)
    return selection.result


def _combined(market: Market, placed_ms: int) -> Result | None:
    """A bet builder: lost with its first lost part, won with all; a part that is void, even half, makes it void."""
    results = [_result(part, placed_ms) for part in market.parts]
    if any(result is not None and not result.result and not result.void_factor for result in results):
        return _LOST
    if any(result is None for result in results):
        return None
    whole = all(not r.void_factor and r.dead_heat_places == r.dead_heat_sharing for r in results if r is not None)
    return _WON if whole else _VOID


def win_multiplier(bet: Bet, leg: BetLeg) -> Multiplier | None:
    """What the leg makes of a stake; None: not known yet."""
    result = leg_result(bet, leg)
    return None if result is None else paid(bet, leg, result)


def place_multiplier(bet: Bet, leg: BetLeg) -> Multiplier | None:
    """The same of its place part, at the terms of the bet."""
    result = leg_result(bet, leg)
    terms = leg.place
    if result is None or terms is None:
        return None
    if result.void_factor != FACTOR_ONE:
        result = _placed(leg.selection, result, terms.places)
    return paid(bet, leg, result, terms.numerator, terms.denominator)


def _placed(selection: Selection, result: Result, places: int) -> Result:
    """Won among the first `places`; who share the last of them are a dead heat (RULEBOOK 5)."""
    first = result.position
    if not first or first > places:
        return _LOST
    sharing = sum(
        each.result is not None and each.result.position == first for each in selection.market.selections.values()
    )
    return Result("", 1, 0, min(sharing, places - first + 1), sharing)


def paid(bet: Bet, leg: BetLeg, result: Result, numerator: int = 1, denominator: int = 1) -> Multiplier | None:
    """The multiplier at the leg's price, of whose winnings `numerator / denominator` is paid, less Rule 4.

    A bet at the starting price waits for it, unless the price does not matter; Rule 4 is none of its business, since
    the starting price knows who runs.
    """
    market = leg.selection.market
    price = leg.price
    deduction_pc = 0
    if leg.starting_price:
        price = leg.selection.starting_price
        if not price:
            return multiplier(result, PRICE_ONE) if not result.result or result.void_factor == FACTOR_ONE else None
    elif market.deductions:
        deduction_pc = sum(percent for at_ms, percent in market.deductions if bet.ts_ms < at_ms)
        deduction_pc = min(deduction_pc, DEDUCTION_MAX_PC)
    if numerator == denominator and not deduction_pc:
        return multiplier(result, price)
    scale = denominator * _PENCE
    winnings = (price - PRICE_ONE) * numerator * (_PENCE - deduction_pc)
    return multiplier(result, PRICE_ONE * scale + winnings, scale)


def add(book: Book, leg: BetLeg, sign: int) -> None:
    """Count what runs on a leg in (sign 1) or out (-1) of its market, fixture, levels and the book."""
    running_m = leg.running_m
    if not running_m and not leg.place_running_m:
        return
    payout_m = payout_down(running_m, leg.price, PRICE_ONE)
    if leg.place_running_m:
        _add_places(leg, sign)
    shift(book, leg.selection, sign * payout_m, sign * running_m)


def restored(leg: BetLeg) -> None:
    """Count what runs on a leg of a snapshot into the sums of its selection and market alone: `refit` does the rest."""
    running_m, selection = leg.running_m, leg.selection
    selection.payout_m += payout_down(running_m, leg.price, PRICE_ONE)
    selection.stakes_m += running_m
    selection.market.stakes_m += running_m
    if leg.place_running_m:
        _add_places(leg, 1)


def shift(book: Book, selection: Selection, payout_m: int, stake_m: int) -> None:
    """So much more, below 0 less, is paid if a selection wins, and so much more is staked on it."""
    market = selection.market
    selection.payout_m += payout_m
    selection.stakes_m += stake_m
    market.stakes_m += stake_m
    if payout_m > 0 <= stake_m and market.winners == 1 and not market.place_stakes_m:
        # The old worst case less the new stake, or the new one: no need to look at all selections.
        worst_m = max(0, market.liability_m - stake_m, selection.payout_m - market.stakes_m)
    else:
        worst_m = market.worst_case()
    change_m = worst_m - market.liability_m
    market.liability_m = worst_m
    if market.type_level is not None:
        market.type_level.liability_m += change_m
    fixture = market.fixture
    if market.patterns is None:
        fixture.plain_m += change_m
        _raise(book, fixture, change_m)
    else:
        # What a place in the grid costs is not known without a look at all scores; this is the most.
        if not market.gridded:
            fixture.grid = None
        book.loose[fixture.id] = fixture
        _raise(book, fixture, max(0, payout_m) - stake_m)


def _add_places(leg: BetLeg, sign: int) -> None:
    """One place part more or less runs, at so many places; the market's terms may have changed since it was taken."""
    assert leg.place is not None
    market = leg.selection.market
    leg.selection.place_payout_m += sign * place_payout(leg)
    market.place_stakes_m += sign * leg.place_running_m
    places, terms = market.places, leg.place.places
    places[terms] = places.get(terms, 0) + sign
    if not places[terms]:
        del places[terms]


def place_payout(leg: BetLeg) -> int:
    """What the place part is paid if it is placed and all else of its lines wins; rounded down."""
    terms = leg.place
    assert terms is not None
    winnings = (leg.price - PRICE_ONE) * terms.numerator
    below = PRICE_ONE * terms.denominator
    return payout_down(leg.place_running_m, below + winnings, below)


def _raise(book: Book, fixture: Fixture, change_m: int) -> None:
    fixture.liability_m += change_m
    book.liability_m += change_m
    if fixture.sport_level is not None:
        fixture.sport_level.liability_m += change_m
    if fixture.competition_level is not None:
        fixture.competition_level.liability_m += change_m


def tighten(book: Book, fixture: Fixture) -> None:
    """Make a fixture's liability exact: the worst score for its markets that hang on it, and the sum of the others."""
    exactly(book, fixture, fixture.plain_m + score_worst(fixture))


def exactly(book: Book, fixture: Fixture, exact_m: int) -> None:
    """A fixture's liability is known to be this."""
    book.loose.pop(fixture.id, None)
    _raise(book, fixture, exact_m - fixture.liability_m)


def score_worst(fixture: Fixture) -> int:
    """What the worst final score costs over all markets that hang on it, at least 0."""
    if fixture.grid is None:
        for market in fixture.markets.values():
            market.gridded = market.patterns is not None and market.stakes_m > 0
        fixture.grid = Grid(
            [market.patterns for market in fixture.markets.values() if market.gridded and market.patterns]
        )
    payouts_m, stakes_m = [], []
    for market in fixture.markets.values():
        if market.gridded:
            for selection in market.selections.values():
                payouts_m.append(selection.payout_m)
                stakes_m.append(selection.stakes_m)
    return fixture.grid.worst(payouts_m, stakes_m) if payouts_m else 0


def patterns(market: Market) -> Patterns | None:
    """A market's place in its fixture's grid; one with place parts has none, they do not follow from the score."""
    if market.was_each_way:
        return None
    return grid.patterns(market.market_type, market.specifiers, list(market.selections))


def refit(book: Book, fixture: Fixture) -> None:
    """Look at a fixture afresh: a market of it was defined, defined anew or archived, or all of it was restored."""
    fixture.grid = None
    for market in fixture.markets.values():
        worst_m = market.worst_case()
        if market.type_level is not None:
            market.type_level.liability_m += worst_m - market.liability_m
        market.liability_m = worst_m
    fixture.plain_m = sum(market.liability_m for market in fixture.markets.values() if market.patterns is None)
    tighten(book, fixture)


def moved(level: Level | None, liability_m: int, sign: int) -> None:
    """A fixture or market has come to a level, or left it."""
    if level is not None:
        level.liability_m += sign * liability_m
        level.members += sign


def running_stakes(bet: Bet) -> list[tuple[int, int]]:
    """What runs on each leg, (win part, place part), in minor units of the book's currency, rounded down.

    0 on decided legs and on those of a closed bet.
    """
    if bet.status != _OPEN or bet.voided:
        return [(0, 0)] * len(bet.legs)
    stake_m = base_up(bet.running_stake_m, bet.rate)
    system = bet.system
    wins = [win_multiplier(bet, leg) for leg in bet.legs]
    if system is None:
        numerator, denominator = 1, 1
        for decided in wins:
            if decided is not None:
                numerator, denominator = numerator * decided[0], denominator * decided[1]
        running_m = _runs(stake_m, numerator, denominator)
        return [(running_m if decided is None else 0, 0) for decided in wins]
    won = _spread(system.shape, stake_m, system.lines, wins)
    if not system.each_way:
        return [(running_m, 0) for running_m in won]
    places = [place_multiplier(bet, leg) for leg in bet.legs]
    return list(zip(won, _spread(system.shape, stake_m, system.lines, places), strict=True))


def _spread(shape: lines.Shape, stake_m: int, count: int, decided: list[Multiplier | None]) -> list[int]:
    """What runs on each leg of a system, of all lines that hold it."""
    if all(each is None for each in decided):
        return [payout_down(stake_m, held, count) for held in lines.holding(shape)]
    others = lines.others(shape, [each or (1, 1) for each in decided])
    return [
        _runs(stake_m, numerator, denominator * count) if each is None else 0
        for each, (numerator, denominator) in zip(decided, others, strict=True)
    ]


def _runs(stake_m: int, numerator: int, denominator: int) -> int:
    """What a stake has become, rounded down; of starting prices without end no more than a snapshot can hold."""
    return min(payout_down(stake_m, numerator, denominator), UNLIMITED)


def rerun(book: Book, bet: Bet) -> None:
    """Bring a bet's running stakes up to date with the results of its legs."""
    for leg, (running_m, place_running_m) in zip(bet.legs, running_stakes(bet), strict=True):
        if running_m != leg.running_m or place_running_m != leg.place_running_m:
            add(book, leg, -1)
            leg.running_m, leg.place_running_m = running_m, place_running_m
            if running_m or place_running_m:
                add(book, leg, 1)


def winnings(bet: Bet) -> int:
    """What an open bet can win beyond its stake; a free bet's payout is all winnings."""
    whole_m = bet.payout_m if bet.free_bet else bet.payout_m - bet.stake_m
    if bet.rate != RATE_ONE:
        whole_m = base_up(whole_m, bet.rate)
    if not bet.cashed_out_stake_m:
        return whole_m
    return -(-whole_m * bet.running_stake_m // bet.stake_m)


def count(customer: Customer, bet: Bet, sign: int) -> None:
    """Count an open bet in (sign 1) or out (-1) of its customer's liability."""
    customer.liability_m += sign * winnings(bet)
