"""A bet is placed: the ladder of rejections, the event, and what it changes (RULEBOOK 2 and 3, DESIGN 3).

This is the hot path: every check is a look at a number that is kept up to date elsewhere. Whatever its kind, a bet is
first made a Slip: which selections, at which prices and limits, and two linear functions of its stake, what it pays at
the most and what runs on each leg. So a bet, a bet that has waited, a trader's offer and the question for the greatest
stake all go the same way (core/risk/staking.py checks the stake of a slip).
"""

from __future__ import annotations

from core import ledger, protection, rates
from core.betting import bonuses, lines
from core.book import Bet, BetLeg, Book, Customer, PendingBet, Selection, System
from core.limits import Limits
from core.markets import each_way_terms, obstacle
from core.messages import events as ev
from core.messages.answers import Accepted, MaxStake, Pending, Rejected, UsedLeg
from core.messages.commands import Leg, PlaceBet, PricePolicy
from core.messages.queries import GetMaxStake
from core.messages.rejections import Rejection
from core.messages.results import EachWay, place_terms
from core.refusals import Refusal
from core.risk import liability, limiting, staking
from core.risk.staking import Slip
from core.units import PRICE_ONE, RATE_ONE, account_down, base_up, payout_down

_ANY, _NONE, _TOLERANCE = PricePolicy.ANY, PricePolicy.NONE, PricePolicy.TOLERANCE
BetEvent = ev.BetAccepted | ev.BetRejected | ev.BetPending
_LIMITED = range(Rejection.STAKE_TOO_LARGE, Rejection.BALANCE_TOO_LOW)
"""Refusals that a smaller stake, or a trader, can turn into a yes."""
_ADJUSTABLE = {*_LIMITED, Rejection.OWN_STAKE_LIMIT, Rejection.OWN_LOSS_LIMIT, Rejection.BALANCE_TOO_LOW}
"""Those and the others that a smaller stake can; of a free bet none can, its stake is the token's."""


def decide(
    book: Book, limits: Limits, command: PlaceBet, digest: int, now_ms: int, waited: PendingBet | None = None
) -> BetEvent:
    """Accept a bet of a known customer, reject it, or let it wait; the first check that fails is the answer.

    `waited`: it has waited and is decided for good, in full, for the stake that it has reserved; a trader who accepted
    it has waived the stake's maximum.
    """
    customer = book.customers[command.customer]
    slip = protection.obstacle(customer, limits, now_ms) or read(book, limits, customer, command, now_ms)
    if type(slip) is Refusal:
        return rejected(limits, command, digest, now_ms, slip, customer, waited)
    assert type(slip) is Slip
    stake_m = command.stake_m * slip.system.lines if command.unit_stake and slip.system else command.stake_m
    if waited is not None and waited.reserved_m:
        stake_m = waited.reserved_m
    waived = waited is not None and waited.verdict is not None
    refusal = _pace(limits, command, slip, stake_m, now_ms, waited) or staking.refusal(
        book, slip, stake_m, waived=waived
    )
    refusal = refusal or _cover(command, slip, stake_m, now_ms, waited)
    if refusal is not None and refusal.reason in _ADJUSTABLE and not command.free_bet:
        balance_m = _balance(customer, waited)
        accepted_m = staking.acceptable(book, limits, slip, min(stake_m, balance_m), now_ms)
        refusal = refusal._replace(stake_m=accepted_m)
        if refusal.reason in _LIMITED:
            if command.partial and accepted_m:
                stake_m, refusal = accepted_m, None
            elif command.refer and waited is None and stake_m <= balance_m:
                until_ms = now_ms + limits.referral_ms
                return _wait(limits, slip, command, digest, stake_m, now_ms, until_ms, ev.Stage.REFERRED, refusal)
    if refusal is not None:
        return rejected(limits, command, digest, now_ms, refusal, customer, waited)
    if waited is not None:
        return accepted(slip, command, digest, stake_m, now_ms, waited.reserved_m)
    if slip.delay_ms:
        return _wait(limits, slip, command, digest, stake_m, now_ms, now_ms + slip.delay_ms, ev.Stage.DELAYED)
    limiting.count(customer, limits, now_ms)
    return accepted(slip, command, digest, stake_m, now_ms, 0)


def _pace(
    limits: Limits, command: PlaceBet, slip: Slip, stake_m: int, now_ms: int, waited: PendingBet | None
) -> Refusal | None:
    """The least stake, the customer's own limits (a free bet is not his money), and how fast he bets."""
    customer = slip.customer
    least_m = staking.least(limits, slip)
    if stake_m < least_m:
        return Refusal(Rejection.STAKE_TOO_SMALL, limit=least_m)
    if customer.protection is not None and not command.free_bet:
        refusal = protection.refusal(customer, stake_m, now_ms)
        if refusal:
            return refusal
    if waited is not None or customer.pace_ms <= now_ms:
        return None
    return limiting.too_fast(customer, limits, now_ms)


def _cover(command: PlaceBet, slip: Slip, stake_m: int, now_ms: int, waited: PendingBet | None) -> Refusal | None:
    """Who pays the stake: the customer, from cash or from what is reserved for this bet, or a free bet."""
    customer = slip.customer
    if command.free_bet:
        return bonuses.refusal(customer, command.free_bet, stake_m, slip, now_ms)
    balance_m = _balance(customer, waited)
    if stake_m > balance_m:
        return Refusal(Rejection.BALANCE_TOO_LOW, limit=balance_m)
    return None


def _balance(customer: Customer, waited: PendingBet | None) -> int:
    """What the customer has for this bet."""
    return customer.cash_m + (waited.reserved_m if waited is not None else 0)


def read(
    book: Book,
    limits: Limits,
    customer: Customer,
    command: PlaceBet | GetMaxStake,
    now_ms: int,
    prices: tuple[int, ...] = (),
) -> Slip | Refusal:
    """What a bet asks for, checked up to its prices: structure first, then each leg in turn.

    `prices`: a trader's, one for each leg, which go before the live ones.
    """
    system = _structure(book, limits, command, customer)
    if type(system) is Refusal:
        return system
    assert not isinstance(system, Refusal)
    rate = rates.rate_of(book, limits, customer.currency)
    if rate is None:
        return Refusal(Rejection.CURRENCY_MISMATCH, detail=limits.currency)
    caps_version = book.caps_version
    fixtures = book.fixtures
    chosen: list[Selection] = []
    legs = []
    caps = []
    numerator = denominator = 1
    delay_ms = 0
    for index, asked in enumerate(command.legs):
        fixture = fixtures.get(asked.fixture)
        if fixture is None:
            return Refusal(Rejection.FIXTURE_UNKNOWN, index)
        market = fixture.markets.get(asked.market)
        if market is None:
            return Refusal(Rejection.MARKET_UNKNOWN, index)
        selection = market.selections.get(asked.selection)
        if selection is None:
            return Refusal(Rejection.SELECTION_UNKNOWN, index)
        price = selection.price
        refusal = obstacle(market, limits, now_ms)
        if refusal:
            return refusal._replace(leg=index, price=price)
        if not price or selection.withdrawn_ms:
            return Refusal(Rejection.SELECTION_UNPRICED, index)
        place = None
        if command.each_way:
            place = each_way_terms(market)
            if place is None:
                return Refusal(Rejection.EACH_WAY_NOT_OFFERED, index, price)
        if asked.starting_price and not market.starting_price:
            return Refusal(Rejection.STARTING_PRICE_NOT_OFFERED, index, price)
        if prices:
            price = prices[index]
        elif price != asked.price and type(command) is PlaceBet and not _takes(command, asked, price):
            return Refusal(Rejection.PRICE_CHANGED, index, price)
        if asked.place is not None and asked.place != place_terms(place):
            return Refusal(Rejection.PLACE_TERMS_CHANGED, index, price, detail=_named(place))
        numerator *= price
        denominator *= PRICE_ONE
        if market.delay_ms > delay_ms and (market.in_play or market.by_hand):
            delay_ms = market.delay_ms
        bounds = market.caps
        if bounds is None or market.caps_version != caps_version:
            bounds = limiting.renew(book, limits, market)
        if selection.setting is not None:
            bounds = limiting.narrowed(bounds, selection.setting)
        if bounds.ramp or customer.factors is not None:
            bounds = limiting.scaled(bounds, customer, market, now_ms)
        caps.append(bounds)
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
                asked.banker,
                asked.starting_price,
                place,
            )
        )
    if system is not None:
        numerator, denominator = staking.most(system, legs)
    lowest = staking.lowest(caps)
    return Slip(customer, chosen, legs, caps, lowest, system, numerator, denominator, delay_ms, rate)


def _named(place: EachWay | None) -> str:
    """Each-way terms in words."""
    return "win only" if place is None else f"{place.places} places at {place.numerator}/{place.denominator}"


def _structure(
    book: Book, limits: Limits, command: PlaceBet | GetMaxStake, customer: Customer
) -> System | Refusal | None:
    """What can be seen from the bet alone: counts, combinations, currency."""
    legs = command.legs
    system = None
    if len(legs) > 1:
        if len(legs) > limits.legs_max:
            return Refusal(Rejection.TOO_MANY_LEGS, limit=limits.legs_max)
        refusal = _combinable(book, command)
        if refusal:
            return refusal
    if command.kind or command.folds or command.each_way:
        found = system_of(limits, command)
        if isinstance(found, Refusal):
            return found
        system = found
    if type(command) is PlaceBet:
        count = system.lines if system is not None else 1
        if command.lines and command.lines != count:
            return Refusal(Rejection.LINES_MISMATCH, limit=count)
        if command.currency and command.currency != customer.currency:
            return Refusal(Rejection.CURRENCY_MISMATCH, detail=customer.currency)
    return system


def _combinable(book: Book, command: PlaceBet | GetMaxStake) -> Refusal | None:
    """RULEBOOK 2: two selections of a market, or two markets of a fixture, never stand in one line.

    So they are "ways" in a system, and no bet at all otherwise; nor may bankers and others be ways of one fixture,
    since a line would hold both. The outright of a competition does not go with its matches in any bet.
    """
    legs, fixtures = command.legs, book.fixtures
    if len({leg.fixture for leg in legs}) < len(legs):
        index = _ways_amiss(legs, system=bool(command.kind or command.folds))
        if index >= 0:
            return Refusal(Rejection.LEGS_NOT_COMBINABLE, index)
    for first, leg in enumerate(legs):
        outright = fixtures.get(leg.fixture)
        if outright is None or not outright.outright_of:
            continue
        whose = outright.sport, outright.outright_of
        for index, other in enumerate(legs):
            match = fixtures.get(other.fixture)
            # An outright may stand in its own competition.
            if match is not None and match is not outright and (match.sport, match.competition) == whose:
                return Refusal(Rejection.LEGS_NOT_COMBINABLE, max(first, index))
    return None


def _ways_amiss(legs: tuple[Leg, ...], *, system: bool) -> int:
    """The first leg that must not stand beside one before it of the same fixture; -1: none."""
    seen: dict[str, list[Leg]] = {}
    for index, leg in enumerate(legs):
        ways = seen.setdefault(leg.fixture, [])
        if ways and not system:
            return index
        if any(way.banker != leg.banker or (way.market, way.selection) == (leg.market, leg.selection) for way in ways):
            return index
        ways.append(leg)
    return -1


def system_of(limits: Limits, command: PlaceBet | GetMaxStake) -> System | Refusal:
    """The lines of a system or an each-way bet, counted by formula before anything is enumerated."""
    numbers: dict[str, int] = {}
    groups = tuple(numbers.setdefault(leg.fixture, len(numbers)) for leg in command.legs)
    bankers = tuple(leg.banker for leg in command.legs)
    free = len({group for group, banker in zip(groups, bankers, strict=True) if not banker})
    kind, folds = command.kind, tuple(sorted(command.folds))
    if kind:
        known = lines.KINDS.get(kind)
        if known is None or folds or known[0] != free:
            return Refusal(Rejection.KIND_UNKNOWN, detail=f"{kind} of {free} fixtures")
        folds = known[1]
    elif folds:
        kind = "system"
        if folds[-1] > free or len(set(folds)) < len(folds):
            return Refusal(Rejection.KIND_UNKNOWN, detail=f"folds {list(folds)} of {free} fixtures")
    else:
        folds = (free,)
    shape = lines.Shape(folds, groups, bankers)
    count = lines.count(shape) * (2 if command.each_way else 1)
    if not count:
        return Refusal(Rejection.KIND_UNKNOWN, detail="it has no lines")
    if count > limits.lines_max:
        return Refusal(Rejection.TOO_MANY_COMBINATIONS, limit=limits.lines_max)
    return System(kind, shape, count, command.each_way)


def _takes(command: PlaceBet, asked: Leg, price: int) -> bool:
    """Whether the bet takes a live price that differs from the one asked for: its price policy (RULEBOOK 3)."""
    policy = command.policy
    if policy is _ANY or asked.starting_price:
        return True
    if policy is _NONE:
        return False
    if price > asked.price:
        return True
    return policy is _TOLERANCE and price * 10_000 >= asked.price * (10_000 - command.tolerance_bp)


def accepted(slip: Slip, command: PlaceBet, digest: int, stake_m: int, now_ms: int, reserved_m: int) -> ev.BetAccepted:
    """The bet as an event. What a trader has taken above the payout maximum is not cut off at settlement."""
    customer, system = slip.customer, slip.system
    payout_m = slip.payout(stake_m)
    winnings_m = payout_m - stake_m
    payout_max_m = account_down(slip.lowest.payout_max_m, slip.rate)
    return ev.BetAccepted(
        now_ms,
        command.id,
        digest,
        customer.id,
        customer.currency,
        stake_m,
        winnings_m if command.free_bet else payout_m,
        tuple(slip.legs),
        "" if system is None else system.kind,
        () if system is None else system.shape.folds,
        1 if system is None else system.lines,
        system is not None and system.each_way,
        command.free_bet,
        slip.rate,
        payout_max_m if payout_max_m > winnings_m else max(1, winnings_m),
        reserved_m,
    )


def _wait(
    limits: Limits,
    slip: Slip,
    command: PlaceBet,
    digest: int,
    stake_m: int,
    now_ms: int,
    until_ms: int,
    stage: ev.Stage,
    refusal: Refusal | None = None,
) -> BetEvent:
    """The bet is to be decided later; its stake is reserved until then."""
    customer = slip.customer
    full = _too_many(customer, limits)
    if full is not None:
        return rejected(limits, command, digest, now_ms, full, customer, None)
    limiting.count(customer, limits, now_ms)
    why = refusal or Refusal(Rejection.MALFORMED)
    return ev.BetPending(
        now_ms,
        command.id,
        digest,
        customer.id,
        customer.currency,
        0 if command.free_bet else stake_m,
        until_ms,
        stage.value,
        command,
        why.reason.value if refusal else 0,
        why.leg,
        why.limit,
        why.stake_m,
        why.detail,
    )


def _too_many(customer: Customer, limits: Limits) -> Refusal | None:
    """Whether as many of a customer's bets wait as may."""
    if customer.pending < limits.pending_customer_max:
        return None
    return Refusal(Rejection.TOO_MANY_PENDING, limit=limits.pending_customer_max)


def rejected(
    limits: Limits,
    command: PlaceBet,
    digest: int,
    now_ms: int,
    refusal: Refusal,
    customer: Customer,
    waited: PendingBet | None = None,
) -> ev.BetRejected:
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
        customer.currency,
        waited.reserved_m if waited is not None else 0,
    )


def _asked(leg: Leg) -> ev.RejectedLeg:
    return ev.RejectedLeg(_shown(leg.fixture), _shown(leg.market), _shown(leg.selection), leg.price)


def _shown(text: str) -> str:
    """An id that may be anything, fit for journal and tables."""
    return text if text.isascii() and text.isprintable() else ascii(text)


def made(book: Book, event: ev.BetAccepted) -> Bet:
    """The bet of an event, with what runs on its legs; not counted anywhere yet."""
    fixtures = book.fixtures
    legs = []
    for leg in event.legs:
        selection = fixtures[leg.fixture].markets[leg.market].selections[leg.selection]
        legs.append(BetLeg(selection, leg.price, leg.requested, event.stake_m, 0, leg.place, leg.starting_price))
    bet = Bet(
        event.id,
        event.ts_ms,
        event.digest,
        book.customers[event.customer],
        event.stake_m,
        event.payout_m,
        tuple(legs),
        free_bet=event.free_bet,
        rate=event.rate,
        payout_max_m=event.payout_max_m,
    )
    if event.folds:
        shape = shape_of(event.legs, event.folds)
        bet.system = System(event.kind, shape, event.lines, event.each_way)
    if event.folds or event.rate != RATE_ONE:
        _run(bet)
    return bet


def _run(bet: Bet) -> None:
    """What runs on its legs, none of them being decided; an offer's stay so until it is a bet, whatever happens."""
    base_m = base_up(bet.stake_m, bet.rate)
    system = bet.system
    if system is None:
        running = [base_m] * len(bet.legs)
    else:
        running = [payout_down(base_m, held, system.lines) for held in lines.holding(system.shape)]
    for leg, running_m in zip(bet.legs, running, strict=True):
        leg.running_m = running_m
        leg.place_running_m = running_m if leg.place is not None else 0


def shape_of(legs: tuple[ev.AcceptedLeg, ...], folds: tuple[int, ...]) -> lines.Shape:
    """The shape of an accepted system."""
    numbers: dict[str, int] = {}
    groups = tuple(numbers.setdefault(leg.fixture, len(numbers)) for leg in legs)
    return lines.Shape(folds, groups, tuple(leg.banker for leg in legs))


def apply_accepted(book: Book, event: ev.BetAccepted) -> None:
    """The bet, the stake, and what it can cost."""
    bet = made(book, event)
    customer = bet.customer
    if book.pending:
        forget_pending(book, event.id)
    book.bets[bet.id] = bet
    book.open_bets += 1
    liability.count(customer, bet, 1)
    ledger.stake(book, customer, event)
    if customer.protection is not None:
        protection.staked(customer, event)
    if event.free_bet:
        bonuses.stake(customer, event.free_bet, bet.id)
    for added in bet.legs:
        market = added.selection.market
        if bet.id not in market.bets:
            market.bets[bet.id] = bet
            market.open_bets += 1
        if added.place is not None:
            market.places_taken = max(market.places_taken, added.place.places)
        liability.add(book, added, 1)


def forget_pending(book: Book, bet_id: str) -> None:
    """It waits no more; what an offer had reserved of the liability is free again."""
    pending = book.pending.pop(bet_id, None)
    if pending is None:
        return
    pending.customer.pending -= 1
    if pending.offered is not None:
        liability.count(pending.customer, pending.offered, -1)
        for leg in pending.offered.legs:
            liability.add(book, leg, -1)


def accepted_answer(bet: Bet) -> Accepted:
    """The answer to an accepted bet; the same whenever it is asked for."""
    legs = []
    for leg in bet.legs:
        selection = leg.selection
        market = selection.market
        place = place_terms(leg.place)
        legs.append(UsedLeg(market.fixture.id, market.id, selection.id, leg.price, leg.requested, place))
    count = bet.system.lines if bet.system is not None else 1
    return Accepted(bet.id, bet.ts_ms, bet.stake_m, bet.payout_m, tuple(legs), count)


def pending_answer(pending: PendingBet) -> Pending:
    """The answer to a bet that waits."""
    return Pending(pending.id, pending.asked.ts_ms, ev.Stage(pending.stage).name.lower(), pending.until_ms)


def max_stake(book: Book, limits: Limits, query: GetMaxStake, now_ms: int) -> MaxStake | Rejected:
    """The greatest stake that would be accepted now, at the live prices, and which limit binds (RULEBOOK 3)."""
    customer = book.customers.get(query.customer)
    if customer is None:
        return Refusal(Rejection.CUSTOMER_UNKNOWN).answer("")
    slip = protection.obstacle(customer, limits, now_ms) or read(book, limits, customer, query, now_ms)
    if type(slip) is Slip:
        waits = _too_many(customer, limits) if slip.delay_ms else None
        slip = limiting.too_fast(customer, limits, now_ms) or waits or slip
    if type(slip) is Refusal:
        return slip.answer("")
    assert type(slip) is Slip
    return staking.max_stake(book, limits, slip, now_ms)
