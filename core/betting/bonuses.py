"""Free bets and bonuses (RULEBOOK 7).

A free bet is a token that stakes one bet; its stake is the house's and is not paid back. It ends at its time unless it
stakes a bet then. If that bet is void the token is free again, until its end, and ends at once where that is past. A
used token is known for as long as its bet is, so that its id cannot be granted again and a correction finds it.

A bonus is a deposit match, kept on an account of its own until (deposit + bonus) x times has been staked, then paid to
cash. Every bet whose price, all lines together, is not below the bonus' least counts for every bonus that the customer
had before it: with what runs of its stake when it is settled. Void counts 0, nor do free bets and what was sold. A
correction takes the stake off again while the bonus is not paid; a paid one stays paid.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from itertools import islice
from typing import Final

from core import ledger
from core.book import Bet, Bonus, Book, Customer, FreeBet
from core.limits import Limits
from core.messages import answers as an
from core.messages import commands as co
from core.messages import events as ev
from core.messages.queries import GetBonuses
from core.messages.rejections import Rejection
from core.refusals import Refusal
from core.risk import staking
from core.risk.staking import Slip
from core.units import PRICE_ONE

_ENDED_MAX: Final = 1_000
"""Ends of what has ended already wait for their time, far off as it may be; past this and half, they go."""
_VOID: Final = ev.BetStatus.VOID.value
_COUNTING: Final = (ev.BetStatus.WON.value, ev.BetStatus.LOST.value)


def refusal(customer: Customer, token: str, stake_m: int, slip: Slip, now_ms: int) -> Refusal | None:
    """Why a token does not stake this bet; `slip` says what it pays, all legs together."""
    free_bet = customer.free_bets.get(token) if customer.free_bets is not None else None
    if free_bet is None or free_bet.bet or free_bet.ends_ms <= now_ms:
        return Refusal(Rejection.FREE_BET_UNKNOWN)
    if stake_m != free_bet.stake_m or slip.numerator * PRICE_ONE < slip.denominator * free_bet.price_min:
        return Refusal(Rejection.FREE_BET_MISMATCH, price=free_bet.price_min, stake_m=free_bet.stake_m)
    return None


def stake(customer: Customer, token: str, bet_id: str) -> None:
    """The token's bet was taken."""
    assert customer.free_bets is not None
    customer.free_bets[token].bet = bet_id


def settled(book: Book, customer: Customer, event: ev.BetSettled, bet: Bet) -> None:
    """A bet of a customer who has free bets or bonuses was settled, corrected, or is open again."""
    if bet.free_bet:
        _restake(book, customer, event, bet)
        return
    counts = (event.status in _COUNTING) - (event.was in _COUNTING)
    if not counts or customer.bonuses is None:
        return
    for bonus in customer.bonuses.values():
        if bonus.granted_ms < bet.ts_ms and event.ts_ms < bonus.ends_ms and _pays(bet, bonus.price_min):
            _wager(book, customer, bonus, counts * event.stake_m)


def _pays(bet: Bet, price_min: int) -> bool:
    """Whether the whole bet, all its lines together, has at least this price."""
    if not price_min:
        return True
    if bet.system is not None:
        numerator, denominator = staking.most(bet.system, bet.legs)
    else:
        numerator = denominator = 1
        for leg in bet.legs:
            numerator, denominator = numerator * leg.price, denominator * PRICE_ONE
    return numerator * PRICE_ONE >= denominator * price_min


def _wager(book: Book, customer: Customer, bonus: Bonus, stake_m: int) -> None:
    bonus.staked_m += stake_m
    if bonus.staked_m >= bonus.required_m:
        book.earned[customer.id, bonus.bonus] = bonus
    else:
        book.earned.pop((customer.id, bonus.bonus), None)


def _restake(book: Book, customer: Customer, event: ev.BetSettled, bet: Bet) -> None:
    """A void bet gives its token back; one that is void no more takes it again, if it is still there and not used.

    A token of the same name that was granted since is another.
    """
    free_bet = customer.free_bets.get(bet.free_bet) if customer.free_bets is not None else None
    if free_bet is None:
        return
    if event.status == _VOID:
        if free_bet.bet == bet.id:
            free_bet.bet = ""
            _ends(book, customer, free_bet.token, free_bet.ends_ms)
    elif event.was == _VOID and not free_bet.bet and free_bet.granted_ms <= bet.ts_ms:
        free_bet.bet = bet.id


def forget(book: Book, bet: Bet) -> None:
    """A bet is forgotten, and with it the token that it has used."""
    free_bets = bet.customer.free_bets
    if free_bets is not None and bet.free_bet in free_bets and free_bets[bet.free_bet].bet == bet.id:
        _drop(book, bet.customer, bet.free_bet)


def decide_free_bet(
    book: Book, limits: Limits, command: co.GrantFreeBet, digest: int, now_ms: int
) -> ev.Event | Refusal:
    """A token for one bet."""
    customer = book.customers[command.customer]
    return _obstacle(customer, limits, command.token, command.ends_ms, now_ms) or ev.FreeBetGranted(
        now_ms,
        command.id,
        digest,
        command.author,
        customer.id,
        command.token,
        command.stake_m,
        command.ends_ms,
        command.price_min,
    )


def decide_bonus(book: Book, limits: Limits, command: co.GrantBonus, digest: int, now_ms: int) -> ev.Event | Refusal:
    """A deposit match: (500 + 75) x 4 = 2 300 are to be staked for 75."""
    customer = book.customers[command.customer]
    return _obstacle(customer, limits, command.bonus, command.ends_ms, now_ms) or ev.BonusGranted(
        now_ms,
        command.id,
        digest,
        command.author,
        customer.id,
        customer.currency,
        command.bonus,
        command.bonus_m,
        (command.deposit_m + command.bonus_m) * command.times,
        command.ends_ms,
        command.price_min,
    )


def _obstacle(customer: Customer, limits: Limits, name: str, ends_ms: int, now_ms: int) -> Refusal | None:
    """Why nothing of that name can be granted; free bets and bonuses share the names."""
    free_bets, bonuses = customer.free_bets or {}, customer.bonuses or {}
    if name in free_bets or name in bonuses:
        return Refusal(Rejection.BONUS_EXISTS)
    if ends_ms <= now_ms:
        return Refusal(Rejection.DEFINITION_NOT_VALID, detail="ends_ms is past")
    if len(free_bets) + len(bonuses) >= limits.bonuses_max:
        return Refusal(Rejection.TOO_MANY, limit=limits.bonuses_max, detail="free bets and bonuses")
    return None


def apply_free_bet(book: Book, event: ev.FreeBetGranted) -> None:
    """The token, until its end."""
    customer = book.customers[event.customer]
    if customer.free_bets is None:
        customer.free_bets = {}
    customer.free_bets[event.token] = FreeBet(
        event.token, event.stake_m, event.ends_ms, event.price_min, granted_ms=event.ts_ms
    )
    book.granted += 1
    _ends(book, customer, event.token, event.ends_ms)


def apply_bonus(book: Book, event: ev.BonusGranted) -> None:
    """The bonus, on its account, until its end."""
    customer = book.customers[event.customer]
    if customer.bonuses is None:
        customer.bonuses = {}
    customer.bonuses[event.bonus] = Bonus(
        event.bonus, event.amount_m, event.required_m, event.ends_ms, event.price_min, event.ts_ms
    )
    book.granted += 1
    _ends(book, customer, event.bonus, event.ends_ms)
    ledger.post(book, customer, event)


def _ends(book: Book, customer: Customer, name: str, ends_ms: int) -> None:
    """Note when it ends; a token that was given back may be noted twice."""
    heappush(book.endings, (ends_ms, customer.id, name))
    if len(book.endings) > 2 * book.granted + _ENDED_MAX:
        book.endings = [ending for ending in dict.fromkeys(book.endings) if _running(book, *ending) is not None]
        heapify(book.endings)


def restored(book: Book, customer: Customer) -> None:
    """Note what a customer of a snapshot has; `book.endings` is to be made a heap afterwards."""
    for free_bet in (customer.free_bets or {}).values():
        book.endings.append((free_bet.ends_ms, customer.id, free_bet.token))
        book.granted += 1
    for bonus in (customer.bonuses or {}).values():
        book.endings.append((bonus.ends_ms, customer.id, bonus.bonus))
        book.granted += 1
        if bonus.staked_m >= bonus.required_m:
            book.earned[customer.id, bonus.bonus] = bonus


def _running(book: Book, ends_ms: int, customer_id: str, name: str) -> int | None:
    """What lies on the bonus account for what ends then, 0 of a free bet; None: nothing ends then.

    A token does not end under its bet.
    """
    customer = book.customers[customer_id]
    bonus = customer.bonuses.get(name) if customer.bonuses is not None else None
    if bonus is not None:
        return bonus.amount_m if bonus.ends_ms == ends_ms else None
    free_bet = customer.free_bets.get(name) if customer.free_bets is not None else None
    return 0 if free_bet is not None and not free_bet.bet and free_bet.ends_ms == ends_ms else None


def due(book: Book, now_ms: int) -> ev.BonusEnded | None:
    """The next bonus to be paid, or the next bonus or free bet to run out, if there is one."""
    for (customer_id, name), bonus in islice(book.earned.items(), 1):
        return _ended(book, customer_id, name, now_ms, "paid", bonus.amount_m)
    while book.endings and book.endings[0][0] <= now_ms:
        ending = book.endings[0]
        amount_m = _running(book, *ending)
        if amount_m is not None:
            return _ended(book, *ending[1:], now_ms, "expired", amount_m)
        heappop(book.endings)
    return None


def _ended(book: Book, customer_id: str, name: str, now_ms: int, how: str, amount_m: int) -> ev.BonusEnded:
    currency = book.customers[customer_id].currency
    return ev.BonusEnded(now_ms, "", 0, "", customer_id, currency, name, how, amount_m, "")


def decide_cancel(book: Book, _: Limits, command: co.CancelBonus, digest: int, now_ms: int) -> ev.Event | Refusal:
    """Take back a token that stakes no bet, or a bonus that is not paid."""
    customer = book.customers[command.customer]
    bonus = (customer.bonuses or {}).get(command.bonus)
    free_bet = (customer.free_bets or {}).get(command.bonus)
    if bonus is None and (free_bet is None or free_bet.bet):
        return Refusal(Rejection.BONUS_UNKNOWN)
    return ev.BonusEnded(
        now_ms,
        command.id,
        digest,
        command.author,
        customer.id,
        customer.currency,
        command.bonus,
        "cancelled",
        bonus.amount_m if bonus is not None else 0,
        command.reason,
    )


def apply_ended(book: Book, event: ev.BonusEnded) -> None:
    """It is no more; the money went where the ledger says."""
    customer = book.customers[event.customer]
    book.earned.pop((event.customer, event.bonus), None)
    _drop(book, customer, event.bonus)
    ledger.post(book, customer, event)


def _drop(book: Book, customer: Customer, name: str) -> None:
    """Forget a token or a bonus."""
    if customer.bonuses is not None and name in customer.bonuses:
        del customer.bonuses[name]
        customer.bonuses = customer.bonuses or None
    else:
        assert customer.free_bets is not None
        del customer.free_bets[name]
        customer.free_bets = customer.free_bets or None
    book.granted -= 1


def bonuses_of(book: Book, _: Limits, query: GetBonuses, now_ms: int) -> an.Bonuses | an.Rejected:
    """The tokens that a customer can use, and his bonuses under way."""
    customer = book.customers.get(query.customer)
    if customer is None:
        return Refusal(Rejection.CUSTOMER_UNKNOWN).answer("")
    free_bets = tuple(
        an.FreeBetState(token.token, token.stake_m, token.ends_ms, token.price_min)
        for token in (customer.free_bets or {}).values()
        if not token.bet and token.ends_ms > now_ms
    )
    bonuses = tuple(
        an.BonusState(bonus.bonus, bonus.amount_m, bonus.required_m, bonus.staked_m, bonus.ends_ms, bonus.price_min)
        for bonus in (customer.bonuses or {}).values()
    )
    return an.Bonuses(customer.id, free_bets, bonuses)
