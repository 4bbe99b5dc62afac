"""A bet is placed: the ladder of rejections, the event, and what it changes (RULEBOOK 3, DESIGN 3).

This is the hot path: every check is a look at a number that is kept up to date elsewhere.
"""

from __future__ import annotations

from core import ledger, liability
from core.book import Bet, BetLeg, Book, Customer, Market, Selection
from core.limits import Limits
from core.markets import obstacle
from core.messages import events as ev
from core.messages.answers import Accepted, UsedLeg
from core.messages.commands import Leg, PlaceBet, PricePolicy
from core.messages.rejections import Rejection
from core.refusals import Refusal
from core.units import PRICE_ONE, payout_down, stake_down


def decide(book: Book, limits: Limits, command: PlaceBet, digest: int, now_ms: int) -> ev.BetAccepted | ev.BetRejected:
    """Accept or reject a bet of a known customer; the first check that fails is the answer."""
    customer = book.customers[command.customer]
    refusal = _structure(limits, command, customer)
    if refusal:
        return rejected(limits, command, digest, now_ms, refusal)
    stake_m = command.stake_m
    chosen = []
    legs = []
    numerator = denominator = 1
    fixtures = book.fixtures
    for index, asked in enumerate(command.legs):
        fixture = fixtures.get(asked.fixture)
        if fixture is None:
            return rejected(limits, command, digest, now_ms, Refusal(Rejection.FIXTURE_UNKNOWN, index))
        market = fixture.markets.get(asked.market)
        if market is None:
            return rejected(limits, command, digest, now_ms, Refusal(Rejection.MARKET_UNKNOWN, index))
        selection = market.selections.get(asked.selection)
        if selection is None:
            return rejected(limits, command, digest, now_ms, Refusal(Rejection.SELECTION_UNKNOWN, index))
        price = selection.price
        refusal = obstacle(market, limits, now_ms)
        if refusal:
            return rejected(limits, command, digest, now_ms, refusal._replace(leg=index, price=price))
        if not price:
            return rejected(limits, command, digest, now_ms, Refusal(Rejection.SELECTION_UNPRICED, index))
        if price != asked.price and not _takes(command, asked.price, price):
            return rejected(limits, command, digest, now_ms, Refusal(Rejection.PRICE_CHANGED, index, price))
        numerator *= price
        denominator *= PRICE_ONE
        chosen.append(selection)
        legs.append(
            ev.AcceptedLeg(
                fixture.id,
                market.id,
                selection.id,
                price,
                asked.price,
                market.version,
                market.source,
                market.sequence,
                market.in_play,
            )
        )
    payout_m = payout_down(stake_m, numerator, denominator)
    refusal = _money(book, limits, customer, stake_m, payout_m, chosen)
    if refusal:
        stake_accepted_m = _stake_accepted(book, limits, customer, command, chosen, numerator, denominator)
        return rejected(limits, command, digest, now_ms, refusal._replace(stake_m=stake_accepted_m))
    return ev.BetAccepted(now_ms, command.id, digest, customer.id, customer.currency, stake_m, payout_m, tuple(legs))


def _structure(limits: Limits, command: PlaceBet, customer: Customer) -> Refusal | None:
    """The customer's status, and what can be seen from the bet alone."""
    if customer.suspended:
        return Refusal(Rejection.CUSTOMER_SUSPENDED)
    legs = command.legs
    if len(legs) > 1:
        if len(legs) > limits.legs_max:
            return Refusal(Rejection.TOO_MANY_LEGS, limit=limits.legs_max)
        seen: set[str] = set()
        for index, leg in enumerate(legs):
            # RULEBOOK 2: not combinable are two selections of one market and two markets of one fixture.
            if leg.fixture in seen:
                return Refusal(Rejection.LEGS_NOT_COMBINABLE, index)
            seen.add(leg.fixture)
    if command.currency and command.currency != customer.currency:
        return Refusal(Rejection.CURRENCY_MISMATCH, detail=customer.currency)
    return None


def _takes(command: PlaceBet, asked: int, price: int) -> bool:
    """Whether the bet's price policy takes a live price that differs from the one asked for (RULEBOOK 3)."""
    policy = command.policy
    if policy is PricePolicy.ANY:
        return True
    if policy is PricePolicy.NONE:
        return False
    if price > asked:
        return True
    return policy is PricePolicy.TOLERANCE and price * 10_000 >= asked * (10_000 - command.tolerance_bp)


def _money(
    book: Book, limits: Limits, customer: Customer, stake_m: int, payout_m: int, chosen: list[Selection]
) -> Refusal | None:
    """Stake, payout, liability from the selection up to the book, balance: the first that does not fit.

    A bet that lowers a liability is never refused for it.
    """
    if stake_m < limits.stake_min_m:
        return Refusal(Rejection.STAKE_TOO_SMALL, limit=limits.stake_min_m)
    if stake_m > limits.stake_max_m:
        return Refusal(Rejection.STAKE_TOO_LARGE, limit=limits.stake_max_m)
    winnings_m = payout_m - stake_m
    if winnings_m > limits.payout_max_m:
        return Refusal(Rejection.PAYOUT_TOO_LARGE, limit=limits.payout_max_m)
    book_change_m = 0
    for index, selection in enumerate(chosen):
        market = selection.market
        selection_m, worst_m = _after(market, selection, stake_m)
        if selection_m > limits.liability_selection_max_m:
            return Refusal(Rejection.LIABILITY_SELECTION, index, selection.price, limits.liability_selection_max_m)
        change_m = worst_m - market.liability_m
        if change_m > 0:
            if worst_m > limits.liability_market_max_m:
                return Refusal(Rejection.LIABILITY_MARKET, index, selection.price, limits.liability_market_max_m)
            if market.fixture.liability_m + change_m > limits.liability_fixture_max_m:
                return Refusal(Rejection.LIABILITY_FIXTURE, index, selection.price, limits.liability_fixture_max_m)
        book_change_m += change_m
    if customer.liability_m + winnings_m > limits.liability_customer_max_m:
        return Refusal(Rejection.LIABILITY_CUSTOMER, limit=limits.liability_customer_max_m)
    if book_change_m > 0 and book.liability_m + book_change_m > limits.liability_book_max_m:
        return Refusal(Rejection.LIABILITY_BOOK, limit=limits.liability_book_max_m)
    if stake_m > customer.cash_m:
        return Refusal(Rejection.BALANCE_TOO_LOW, limit=customer.cash_m)
    return None


def _after(market: Market, selection: Selection, stake_m: int) -> tuple[int, int]:
    """What the house would lose with one more stake on a selection: if it wins, and in the market's worst case."""
    stakes_m = market.stakes_m + stake_m
    payout_m = selection.payout_m + payout_down(stake_m, selection.price, PRICE_ONE)
    if market.winners == 1:
        # The old worst case less the new stake, or the new one: no need to look at all selections.
        return payout_m - stakes_m, max(market.liability_m - stake_m, payout_m - stakes_m, 0)
    before_m, selection.payout_m = selection.payout_m, payout_m
    worst_m = max(0, market.top_payout() - stakes_m)
    selection.payout_m = before_m
    return payout_m - stakes_m, worst_m


def _stake_accepted(
    book: Book,
    limits: Limits,
    customer: Customer,
    command: PlaceBet,
    chosen: list[Selection],
    numerator: int,
    denominator: int,
) -> int:
    """The greatest stake up to the asked one that passes every check now; 0 if none does (RULEBOOK 3)."""

    def fits(stake_m: int) -> bool:
        payout_m = payout_down(stake_m, numerator, denominator)
        return _money(book, limits, customer, stake_m, payout_m, chosen) is None

    odds = payout_down(PRICE_ONE, numerator, denominator)
    most = min(command.stake_m, limits.stake_max_m, customer.cash_m, stake_down(limits.payout_max_m, odds))
    if most < limits.stake_min_m or not fits(limits.stake_min_m):
        return 0
    if fits(most):
        return most
    least = limits.stake_min_m
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (middle, most) if fits(middle) else (least, middle)
    return least


def rejected(limits: Limits, command: PlaceBet, digest: int, now_ms: int, refusal: Refusal) -> ev.BetRejected:
    """The refusal as an event: the desk and the regulator want to see what was asked, up to the legs a bet may have."""
    return ev.BetRejected(
        now_ms,
        command.id,
        digest,
        command.customer,
        command.stake_m,
        tuple(_asked(leg) for leg in command.legs[: limits.legs_max]),
        refusal.reason.value,
        *refusal[1:],
    )


def _asked(leg: Leg) -> ev.RejectedLeg:
    return ev.RejectedLeg(_shown(leg.fixture), _shown(leg.market), _shown(leg.selection), leg.price)


def _shown(text: str) -> str:
    """An id that may be anything, fit for journal and tables."""
    return text if text.isascii() and text.isprintable() else ascii(text)


def apply_accepted(book: Book, event: ev.BetAccepted) -> None:
    """The bet, the stake, and what it can cost."""
    customer = book.customers[event.customer]
    fixtures = book.fixtures
    legs = []
    for leg in event.legs:
        market = fixtures[leg.fixture].markets[leg.market]
        legs.append(BetLeg(market.selections[leg.selection], leg.price, leg.requested, event.stake_m))
    bet = Bet(event.id, event.ts_ms, event.digest, customer, event.stake_m, event.payout_m, tuple(legs))
    book.bets[bet.id] = bet
    book.open_bets += 1
    customer.liability_m += bet.payout_m - bet.stake_m
    ledger.post(book, customer, event)
    for added in legs:
        market = added.selection.market
        market.bets[bet.id] = bet
        market.open_bets += 1
        liability.add(book, added, 1)


def accepted_answer(bet: Bet) -> Accepted:
    """The answer to an accepted bet; the same whenever it is asked for."""
    legs = []
    for leg in bet.legs:
        selection = leg.selection
        market = selection.market
        legs.append(UsedLeg(market.fixture.id, market.id, selection.id, leg.price, leg.requested))
    return Accepted(bet.id, bet.ts_ms, bet.stake_m, bet.payout_m, tuple(legs))
