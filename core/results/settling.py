"""Settlement: results, cancels and rollbacks of markets, and what they make of each bet (RULEBOOK 5).

A bet's status and payout are a pure function of the bet and of what is known of its markets (`outcome`). Whatever
changes there (results, a correction, a cancel, a rollback), the bets of the market are looked at again, in slices, and
where the function now says something else, a BetSettled posts the difference. So corrections need no code of their own
and the order of arrival cannot matter.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from core import ledger, markets, protection
from core.betting import bonuses, lines
from core.betting.lines import Tally
from core.book import UNLIMITED, Bet, Book, Market, System
from core.exchange import clearing
from core.limits import Limits
from core.messages import commands as co
from core.messages import events as ev
from core.messages.rejections import Rejection
from core.refusals import Refusal
from core.results import standing
from core.risk import liability
from core.risk.liability import Multiplier
from core.units import FACTOR_ONE, payout_down

TALLIES_MAX = 16
"""Large systems that are counted at the same time: one of 20 legs holds up to 1 MB."""
OPEN, WON, LOST, VOID, CASHED_OUT = (status.value for status in ev.BetStatus)


class Outcome(NamedTuple):
    """What a bet comes to: status, what it pays in minor units, stake included, and what the payout maximum cut off."""

    status: int
    paid_m: int
    capped_m: int = 0


def outcome(bet: Bet, counted_m: int | None = None) -> Outcome:
    """What a bet comes to by what is known now; `counted_m`: what its lines pay, where that was counted already.

    A lost leg loses its lines at once; a void leg counts 1 (a treble becomes a double). All legs void: the stake, but a
    free bet's stake is not the customer's. What the customer has sold takes no part.
    """
    stake_m = bet.running_stake_m
    if not stake_m:
        return Outcome(CASHED_OUT, 0)
    returned_m = 0 if bet.free_bet else stake_m
    if bet.voided:
        return Outcome(VOID, returned_m)
    found = _line(bet) if bet.system is None else _lines(bet, counted_m)
    if not isinstance(found, int):
        return Outcome(VOID, returned_m) if found is _ALL_VOID else _UNDECIDED
    if not found:
        return _NOTHING
    most_m = bet.paid_max_m
    if found <= most_m:
        return Outcome(WON, found)
    return Outcome(WON, most_m, min(found - most_m, UNLIMITED))  # starting prices have no end, the journal's numbers do


_UNDECIDED = Outcome(OPEN, 0)
_NOTHING = Outcome(LOST, 0)
_ALL_VOID = "void"
_OPEN_STILL = "open"


def _line(bet: Bet) -> int | str:
    """What one line over all legs pays; or that it is void, or open."""
    numerator, denominator, undecided, void = 1, 1, False, True
    for leg in bet.legs:
        result = liability.leg_result(bet, leg)
        multiplier = None if result is None else liability.paid(bet, leg, result)
        if multiplier is None:
            undecided = True
            continue
        if not multiplier[0]:
            return 0
        numerator, denominator = numerator * multiplier[0], denominator * multiplier[1]
        void = void and result is not None and result.void_factor == FACTOR_ONE
    if undecided:
        return _OPEN_STILL
    if void:
        return _ALL_VOID
    if bet.free_bet:
        numerator = max(0, numerator - denominator)
    return payout_down(bet.running_stake_m, numerator, denominator)


def _lines(bet: Bet, counted_m: int | None) -> int | str:
    """What the lines of a system pay together, each rounded down; or that all are void, or some open."""
    system = bet.system
    assert system is not None
    parts = _parts(bet)
    if _hopeless(system, parts):
        return 0
    if any(each is None for part in parts for each in part):
        return _OPEN_STILL
    if all(_void(bet)):
        return _ALL_VOID
    if counted_m is not None:
        return counted_m
    known = [[each for each in part if each is not None] for part in parts]
    stake_m, returned = bet.running_stake_m, not bet.free_bet
    return sum(lines.payout(system.shape, stake_m, system.lines, part, returned) for part in known)


def _parts(bet: Bet) -> list[list[Multiplier | None]]:
    """The multipliers of its legs: of the win part and, each-way, of the place part."""
    parts = [[liability.win_multiplier(bet, leg) for leg in bet.legs]]
    if bet.system is not None and bet.system.each_way:
        parts.append([liability.place_multiplier(bet, leg) for leg in bet.legs])
    return parts


def _hopeless(system: System, parts: list[list[Multiplier | None]]) -> bool:
    """Whether no line can win any more."""
    lost = [[each is not None and not each[0] for each in part] for part in parts]
    if not all(any(part) for part in lost):
        return False
    return all(not lines.total(system.shape, [(0, 1) if gone else (1, 1) for gone in part])[0] for part in lost)


def _void(bet: Bet) -> Iterator[bool]:
    for leg in bet.legs:
        result = liability.leg_result(bet, leg)
        yield result is not None and result.void_factor == FACTOR_ONE


def _tallies(bet: Bet, parts: list[list[Multiplier | None]]) -> list[Tally]:
    assert bet.system is not None
    shape, count = bet.system.shape, bet.system.lines
    known = [[each for each in part if each is not None] for part in parts]
    return [Tally(shape, bet.running_stake_m, count, part, not bet.free_bet) for part in known]


def review(bet: Bet, now_ms: int, counted_m: int | None = None) -> ev.BetSettled | ev.BetAdvanced | None:
    """What has to happen to a bet for it to agree with the results, if anything."""
    status, paid_m, capped_m = outcome(bet, counted_m)
    if (status, paid_m, capped_m) != (bet.status, bet.paid_m, bet.capped_m):
        customer = bet.customer
        return ev.BetSettled(
            now_ms,
            bet.id,
            customer.id,
            customer.currency,
            bet.running_stake_m,
            bet.status,
            bet.paid_m,
            status,
            paid_m,
            capped_m,
            bool(bet.free_bet),
        )
    if status == OPEN and liability.running_stakes(bet) != [(leg.running_m, leg.place_running_m) for leg in bet.legs]:
        return ev.BetAdvanced(now_ms, bet.id)
    return None


def apply_settled(book: Book, event: ev.BetSettled) -> None:
    """Status, money, and what the bet can still cost."""
    bet = book.bets[event.bet]
    opens = (event.status == OPEN) - (event.was == OPEN)
    bet.status, bet.paid_m, bet.capped_m = event.status, event.paid_m, event.capped_m
    _looked_at(book, bet.id)
    customer = bet.customer
    ledger.post(book, customer, event)
    liability.rerun(book, bet)
    if customer.protection is not None:
        protection.returned(customer, event, bet.ts_ms)
    if customer.free_bets is not None or customer.bonuses is not None:
        bonuses.settled(book, customer, event, bet)
    if opens:
        opened(book, bet, opens)


def _looked_at(book: Book, bet_id: str) -> None:
    """A bet agrees with what is known: a void has no more to be followed, and what was quoted for it before is past."""
    book.voided.pop(bet_id, None)
    book.tallies.pop(("", bet_id), None)
    book.quotes.pop(bet_id, None)


def opened(book: Book, bet: Bet, opens: int) -> None:
    """A bet is open again (1), or no more (-1)."""
    book.open_bets += opens
    liability.count(bet.customer, bet, opens)
    for market in bet.markets():
        market.open_bets += opens


def apply_advanced(book: Book, event: ev.BetAdvanced) -> None:
    """Only what runs on the other legs changes, and what the bet is worth."""
    _looked_at(book, event.bet)
    liability.rerun(book, book.bets[event.bet])


def decide_settle(book: Book, _: Limits, command: co.SettleMarket, digest: int, now_ms: int) -> ev.Event | Refusal:
    """Results by the desk."""
    market = markets.find(book, command.fixture, command.market)
    if isinstance(market, Refusal):
        return market
    origin, said = standing.by_desk(command, digest, now_ms), standing.now(market, now_ms)
    return standing.results_event(book, market, command.results, origin, command.reason, said)


def decide_cancel(book: Book, _: Limits, command: co.CancelMarket, digest: int, now_ms: int) -> ev.Event | Refusal:
    """A cancel by the desk."""
    market = markets.find(book, command.fixture, command.market)
    if isinstance(market, Refusal):
        return market
    origin, said = standing.by_desk(command, digest, now_ms), standing.now(market, now_ms)
    return standing.cancel_event(book, market, command.from_ms, command.to_ms, origin, command.reason, said)


def decide_rollback(book: Book, _: Limits, command: co.RollBackMarket, digest: int, now_ms: int) -> ev.Event | Refusal:
    """A rollback by the desk: one event, since nothing is newer than its word."""
    market = markets.find(book, command.fixture, command.market)
    if isinstance(market, Refusal):
        return market
    origin, said = standing.by_desk(command, digest, now_ms), standing.now(market, now_ms)
    (event,) = standing.rollback_events(book, market, command.what, origin, command.reason, said)
    return event


def apply_market_settled(book: Book, event: ev.MarketSettled) -> None:
    """The results; the bets follow, if these are not the same, confirmed."""
    market = book.fixtures[event.fixture].markets[event.market]
    standing.apply_settled(book, market, event)
    same = all(market.selections[result.selection].result == result for result in event.results)
    for result in event.results:
        market.selections[result.selection].result = result
    if not same or not market.settled:
        market.settled = True
        reconsider(book, market, event.ts_ms)


def apply_market_cancelled(book: Book, event: ev.MarketCancelled) -> None:
    """The window; the bets follow."""
    market = book.fixtures[event.fixture].markets[event.market]
    standing.apply_cancelled(book, market, event)
    reconsider(book, market, event.ts_ms)


def apply_market_rolled_back(book: Book, event: ev.MarketRolledBack) -> None:
    """As if the results, the cancels or the withdrawals had never been; the bets follow."""
    market = book.fixtures[event.fixture].markets[event.market]
    standing.apply_rolled_back(book, market, event)
    if event.what == "results":
        market.settled = False
        for selection in market.selections.values():
            selection.result = None
    reconsider(book, market, event.ts_ms)


def reconsider(book: Book, market: Market, ts_ms: int) -> None:
    """All bets of the market, and of the bet builders that it is part of, are due to be looked at again.

    While any is, the market takes no new ones.
    """
    market.deductions = deductions(market)
    _due(book, market, ts_ms)
    for combination in market.combinations:
        _due(book, combination, ts_ms)


def deductions(market: Market) -> tuple[tuple[int, int], ...]:
    """When its runners were withdrawn, and what that takes from bets before, in per cent (Rule 4)."""
    return tuple(
        (selection.withdrawn_ms, selection.deduction_pc)
        for selection in market.selections.values()
        if selection.deduction_pc
    )


def _due(book: Book, market: Market, ts_ms: int) -> None:
    key = market.fixture.id, market.id
    closed = (
        market.settled
        or any(not to_ms for _, to_ms in market.cancels)
        or (bool(market.parts) and all(part.market.closed_ms for part in market.parts))
    )
    market.closed_ms = ts_ms if closed else 0
    book.closed.pop(key, None)
    if closed:
        book.closed[key] = market
    clearing.reconsider(book, market)
    market.due = list(reversed(market.bets.values()))
    book.settling.pop(key, None)
    if market.due:
        book.settling[key] = market
    book.touch(market)


def advance(book: Book, limits: Limits, now_ms: int) -> Iterator[ev.Event]:
    """The next slice of due bets of the market that has waited longest; each event applied before the next.

    Bounded by bets, and by the lines of systems: one that has more than a slice of them is counted over several.
    """
    for market in islice(book.settling.values(), 1):
        done, lines_left = 0, limits.slice_lines_max
        for bet in reversed(market.due[-limits.slice_max :]):
            counted_m = None
            if bet.system is not None:
                if bet.system.lines > lines_left and done:
                    break
                lines_left -= bet.system.lines
                if lines_left < 0:
                    key = market.fixture.id, market.id
                    counted_m, finished = _counted(book, key, bet, limits.slice_lines_max)
                    if not finished:
                        break
            event = review(bet, now_ms, counted_m)
            if event is not None:
                yield event
            done += 1
            if lines_left <= 0:
                break
        yield ev.SettlementAdvanced(now_ms, market.fixture.id, market.id, done)


def _counted(book: Book, key: tuple[str, str], bet: Bet, lines_max: int) -> tuple[int | None, bool]:
    """What the lines of a large system pay, and whether they are counted by now; None: they need not be.

    Each market has a count of its own: with one for all, two systems of two markets would undo each other's for ever.
    So has each voided bet.
    """
    parts = _parts(bet)
    if bet.voided or any(each is None for part in parts for each in part):
        return None, True
    content = bet.id, bet.running_stake_m, parts
    known = book.tallies.get(key)
    if known is None or known[0] != content:
        if known is None and len(book.tallies) >= TALLIES_MAX:
            return None, False
        known = book.tallies[key] = content, _tallies(bet, parts)
    tallies = known[1]
    unfinished = next((tally for tally in tallies if tally.lines_left), None)
    if unfinished is not None:
        unfinished.advance(lines_max)
    if any(tally.lines_left for tally in tallies):
        return None, False
    return sum(tally.paid_m for tally in tallies), True


def apply_advance(book: Book, event: ev.SettlementAdvanced) -> None:
    """The slice is done; a market that has more waits behind the others."""
    key = event.fixture, event.market
    market = book.settling.pop(key)
    del market.due[len(market.due) - event.bets :]
    if event.bets:
        book.tallies.pop(key, None)
    if market.due:
        book.settling[key] = market
    else:
        book.touch(market)


def archive(book: Book, limits: Limits, now_ms: int) -> ev.MarketArchived | None:
    """The next market, or part of one, that is closed for so long that it may be forgotten.

    Not while anything is being settled, so that no bet vanishes from under a slice. A market with an open bet (a
    multiple whose other legs are still to come), or under an offer that has not ended, is kept, and looked at again
    after the others.
    """
    if book.settling or book.voided or book.scoring or book.clearing:
        return None
    for key, market in islice(book.closed.items(), 1):
        if now_ms - market.closed_ms < limits.archive_after_ms:
            return None
        if market.open_bets or market.stakes_m or market.combinations:
            book.closed[key] = book.closed.pop(key)
            return None
        exchange = market.exchange
        positions = 0 if exchange is None else len(exchange.positions)
        bets = min(len(market.bets), limits.slice_max)
        done = min(positions, limits.slice_max - bets)
        return ev.MarketArchived(now_ms, *key, bets, (bets, done) == (len(market.bets), positions), done)
    return None


def apply_archived(book: Book, event: ev.MarketArchived) -> None:
    """Forget the market's next bets and positions; with the last the market, with its last market the fixture."""
    fixture = book.fixtures[event.fixture]
    market = fixture.markets[event.market]
    for bet in list(islice(market.bets.values(), event.bets)):
        del book.bets[bet.id]
        bonuses.forget(book, bet)
        book.quotes.pop(bet.id, None)
        for held in bet.markets():
            del held.bets[bet.id]
    clearing.forget(book, market, event.positions)
    if event.last:
        del fixture.markets[event.market]
        del book.closed[event.fixture, event.market]
        book.touched.pop((event.fixture, event.market), None)
        book.traded.pop((event.fixture, event.market), None)
        fixture.grid = None
        markets.forgotten(book, market.type_level)
        for part in market.parts:
            part.market.combinations.remove(market)
        if not fixture.markets:
            liability.tighten(book, fixture)  # a replay has no ticks that do it: the book would keep what was too high
            del book.fixtures[event.fixture]
            markets.forgotten(book, fixture.sport_level, fixture.competition_level)


def decide_void(book: Book, _: Limits, command: co.VoidBet, digest: int, now_ms: int) -> ev.Event | Refusal:
    """The operator takes a bet back, or one of its legs."""
    bet = book.bets.get(command.bet)
    if bet is None:
        return Refusal(Rejection.BET_UNKNOWN)
    if bet.voided or bet.status == CASHED_OUT:
        return Refusal(Rejection.BET_NOT_OPEN)
    if command.leg >= 0 and (command.leg >= len(bet.legs) or bet.legs[command.leg].voided):
        return Refusal(Rejection.NOTHING_TO_CHANGE, limit=len(bet.legs))
    return ev.BetVoided(
        now_ms, command.id, digest, command.author, bet.id, bet.customer.id, command.reason, command.leg
    )


def decide_cancel_bet(
    book: Book, limits: Limits, command: co.CancelBet, digest: int, now_ms: int
) -> ev.Event | Refusal:
    """The customer takes a bet back: open, whole, within the window, and before any of its legs is decided."""
    bet = book.bets.get(command.bet)
    if bet is None or bet.customer.id != command.customer:
        return Refusal(Rejection.BET_UNKNOWN)
    if bet.status != OPEN:
        return Refusal(Rejection.BET_NOT_OPEN)
    until_ms = bet.ts_ms + limits.cancel_window_ms
    decided = any(liability.leg_result(bet, leg) for leg in bet.legs)
    if now_ms >= until_ms or decided or bet.cashed_out_stake_m:
        return Refusal(Rejection.CANCEL_NOT_ALLOWED, limit=until_ms)
    return ev.BetVoided(now_ms, command.id, digest, "", bet.id, bet.customer.id, "")


def review_voided(book: Book, limits: Limits, bet: Bet, now_ms: int) -> Iterator[ev.BetSettled | ev.BetAdvanced]:
    """A voided bet, or one with a voided leg, brought to agree with that; a large system when its lines are counted."""
    counted_m, key = None, ("", bet.id)
    if is_large(limits, bet):
        counted_m, finished = _counted(book, key, bet, limits.slice_lines_max)
        if not finished:
            return
    event = review(bet, now_ms, counted_m)
    book.tallies.pop(key, None)
    if event is None:
        book.voided.pop(bet.id, None)
    else:
        yield event


def is_large(limits: Limits, bet: Bet) -> bool:
    """Whether its lines are more than a slice."""
    return bet.system is not None and bet.system.lines > limits.slice_lines_max


def apply_voided(book: Book, event: ev.BetVoided) -> None:
    """The bet or its leg is void; what follows comes at the next tick if not at once: an append may part the two, and
    the lines of a large system are counted in slices.
    """
    bet = book.bets[event.bet]
    if event.leg < 0:
        bet.voided = True
    else:
        bet.legs[event.leg].voided = True
    if bet.system is not None or review(bet, event.ts_ms) is not None:
        book.voided[bet.id] = bet
