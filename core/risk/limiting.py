"""How much may be bet, and how fast: the limits tree, its ramp, customers' factors, and the pace of bets (RULEBOOK 3).

What the tree says of a market is looked up once after each change of the tree and kept on the market. What belongs to
one selection, to the time of the bet or to its customer is counted in with each bet that it concerns; most have none.
"""

from __future__ import annotations

from itertools import pairwise

from msgspec.structs import replace

from core.book import UNLIMITED, Book, Caps, Customer, Fixture, Level, Market, Selection, Setting
from core.limits import Limits
from core.messages import commands as co
from core.messages import events as ev
from core.messages.commands import Ramp
from core.messages.rejections import Rejection
from core.refusals import Refusal

_WHOLE = 10_000
"""A share, or a factor, of one."""
_NAMES = ("sport", "competition", "fixture", "market_type", "market", "selection")
_NODES = frozenset(
    {
        (),
        ("sport",),
        ("sport", "competition"),
        ("fixture",),
        ("sport", "market_type"),
        ("fixture", "market"),
        ("fixture", "market", "selection"),
    }
)
"""Which names together are a node of the tree; none is the book."""
_Limited = co.SetLimit | ev.LimitSet
_Node = Book | Level | Fixture | Market | Selection


# What holds for a bet.


def renew(book: Book, limits: Limits, market: Market) -> Caps:
    """The limits of a market as the tree has them now; kept in `market.caps` until the tree changes.

    The nearest node that has one gives the stake, the payout and the ramp. Liability binds at every level on its own: a
    level that the tree says nothing of has the engine's limit where there is one (core/limits.py), else none.
    """
    fixture = market.fixture
    sport, competition, kind = map(_setting, (fixture.sport_level, fixture.competition_level, market.type_level))
    type_m, competition_m, sport_m = (_liability(each, UNLIMITED) for each in (kind, competition, sport))
    caps = Caps(
        stake_max_m=limits.stake_max_m,
        payout_max_m=limits.payout_max_m,
        selection_m=limits.liability_selection_max_m,
        market_m=_liability(market.setting, limits.liability_market_max_m),
        type_m=type_m,
        fixture_m=_liability(fixture.setting, limits.liability_fixture_max_m),
        competition_m=competition_m,
        sport_m=sport_m,
        levels=min(type_m, competition_m, sport_m) < UNLIMITED,
        customer_m=limits.liability_customer_max_m,
        book_m=_liability(book.setting, limits.liability_book_max_m),
        ramp=(),
    )
    for setting in (book.setting, sport, competition, fixture.setting, kind, market.setting):
        if setting is not None:
            caps = _nearer(caps, setting)
    market.caps, market.caps_version = caps, book.caps_version
    return caps


def narrowed(caps: Caps, setting: Setting) -> Caps:
    """The limits of a market's bets on one selection that has a setting of its own, the nearest there is."""
    return replace(_nearer(caps, setting), selection_m=_liability(setting, caps.selection_m))


def _nearer(caps: Caps, setting: Setting) -> Caps:
    return replace(
        caps,
        stake_max_m=setting.stake_max_m or caps.stake_max_m,
        payout_max_m=setting.payout_max_m or caps.payout_max_m,
        ramp=setting.ramp or caps.ramp,
    )


def _setting(level: Level | None) -> Setting | None:
    return None if level is None else level.setting


def _liability(setting: Setting | None, default_m: int) -> int:
    return default_m if setting is None else setting.liability_max_m or default_m


def scaled(caps: Caps, customer: Customer, market: Market, now_ms: int) -> Caps:
    """What is left of the limits for this customer at this time, rounded down once.

    The ramp says how little is known of a fixture so long before its start. So its share applies to what concerns this
    fixture alone: stake and payout of a bet, liability of selection, market and fixture (Overtime: the caps of a game).
    The levels above are shared with fixtures about to start and keep their limits: a share of those would refuse every
    bet on a far fixture because of bets on today's.

    The factor says how far this customer is trusted. So it multiplies what is his alone: the stake and the payout of
    his bet (what the bet itself can cost) and the liability of all his bets. What the house stands to lose to everybody
    together stays as it is, whoever bets: else a factor of two would lift the book's own limit, and one of a half would
    refuse him for others' bets. (Genius Sports' bet factor: of a limit of 100, 0.5 leaves 50 and 2 makes 200, for the
    stake of a bet and the risk of a customer alike; a market's limit over all customers has none.)
    """
    share_bp = _share(caps.ramp, market.fixture.start_ms - now_ms)
    factor_bp = _factor(customer, market)
    if share_bp == factor_bp == _WHOLE:
        return caps
    both = share_bp * factor_bp
    return Caps(
        caps.stake_max_m * both // (_WHOLE * _WHOLE),
        caps.payout_max_m * both // (_WHOLE * _WHOLE),
        caps.selection_m * share_bp // _WHOLE,
        caps.market_m * share_bp // _WHOLE,
        caps.type_m,
        caps.fixture_m * share_bp // _WHOLE,
        caps.competition_m,
        caps.sport_m,
        caps.levels,
        caps.customer_m * factor_bp // _WHOLE,
        caps.book_m,
        (),
    )


def _share(ramp: tuple[Ramp, ...], ahead_ms: int) -> int:
    """The share of the furthest step that lies nearer to the start than now; the whole where none does."""
    share_bp = _WHOLE
    for step in ramp:
        if ahead_ms <= step.before_ms:
            break
        share_bp = step.share_bp
    return share_bp


def _factor(customer: Customer, market: Market) -> int:
    """The customer's factor for a market's phase: that of its sport, else the one of all sports, else one."""
    factors = customer.factors
    if factors is None:
        return _WHOLE
    factor_bp = factors.get((market.fixture.sport, market.in_play))
    return factors.get(("", market.in_play), _WHOLE) if factor_bp is None else factor_bp


# Pace.


def too_fast(customer: Customer, limits: Limits, now_ms: int) -> Refusal | None:
    """Whether his next bet comes too soon (GCRA, the generic cell rate algorithm of ITU-T I.371).

    He may place `velocity_bets_max` bets at once. Each uses up an equal part of `velocity_window_ms`, which comes back
    as time passes: after such a burst he may go on one by one, at the pace that he could keep for ever. So a long run
    has no more than the limit in each window, and the one after a burst less than twice as many.
    """
    next_ms = customer.pace_ms - (limits.velocity_bets_max - 1) * _pause(limits)
    return Refusal(Rejection.TOO_FAST, limit=next_ms) if now_ms < next_ms else None


def count(customer: Customer, limits: Limits, now_ms: int) -> None:
    """He has placed a bet."""
    customer.pace_ms = max(customer.pace_ms, now_ms) + _pause(limits)


def _pause(limits: Limits) -> int:
    """What one bet uses up, ms; rounded up, so that a long run is never faster than the limit."""
    return -(-limits.velocity_window_ms // limits.velocity_bets_max)


# Verbs.


def decide_limit(book: Book, limits: Limits, command: co.SetLimit, digest: int, now_ms: int) -> ev.Event | Refusal:
    """A node of the limits tree; all zeros and no ramp take its setting away.

    A sport, a competition or a market type may be named before it has fixtures. The steps of a ramp may come in any
    order; the event has the nearest to the start first. The further one is, the smaller its share must be: else it
    would never apply, and was meant otherwise. One step `[0, 10000]` is no ramp, in place of one further up the tree.
    """
    named = tuple(name for name in _NAMES if getattr(command, name))
    if named not in _NODES:
        return Refusal(Rejection.DEFINITION_NOT_VALID, detail=f"not a node: {', '.join(named)}")
    node = _node(book, command)
    if isinstance(node, Refusal):
        return node
    ramp = tuple(sorted(command.ramp, key=lambda step: step.before_ms))
    for near, far in pairwise(ramp):
        if far.before_ms == near.before_ms or far.share_bp >= near.share_bp:
            return Refusal(Rejection.DEFINITION_NOT_VALID, detail=f"ramp: no smaller share before {far.before_ms} ms")
    event = ev.LimitSet(
        now_ms,
        command.id,
        digest,
        command.author,
        command.sport,
        command.competition,
        command.fixture,
        command.market_type,
        command.market,
        command.selection,
        command.stake_max_m,
        command.payout_max_m,
        command.liability_max_m,
        ramp,
    )
    if _set(event) == node.setting:
        return Refusal(Rejection.NOTHING_TO_CHANGE)
    if isinstance(node, Level) and node.key not in book.levels and len(book.levels) >= limits.levels_max:
        return Refusal(Rejection.TOO_MANY, limit=limits.levels_max, detail="levels")
    return event


def apply_limit(book: Book, event: ev.LimitSet) -> None:
    """The node's setting; what markets have kept of the tree no longer holds."""
    node = _node(book, event)
    assert not isinstance(node, Refusal), event
    if isinstance(node, Level):
        node = level(book, node.key)
    node.setting = _set(event)
    book.caps_version += 1
    if isinstance(node, Level):
        release(book, node)


def _set(event: ev.LimitSet) -> Setting | None:
    setting = Setting(event.stake_max_m, event.payout_max_m, event.liability_max_m, event.ramp)
    return None if setting == Setting(0, 0, 0, ()) else setting


def _node(book: Book, named: _Limited) -> _Node | Refusal:
    """The node that is named; a level that there is not yet is made, but not kept."""
    if not named.fixture:
        key = _key(named)
        return (book.levels.get(key) or Level(key)) if key else book
    fixture = book.fixtures.get(named.fixture)
    if fixture is None:
        return Refusal(Rejection.FIXTURE_UNKNOWN)
    if not named.market:
        return fixture
    market = fixture.markets.get(named.market)
    if market is None:
        return Refusal(Rejection.MARKET_UNKNOWN)
    if not named.selection:
        return market
    return market.selections.get(named.selection) or Refusal(Rejection.SELECTION_UNKNOWN)


def _key(named: _Limited) -> tuple[str, ...]:
    """The key of a level; empty: the book."""
    if named.market_type:
        return "market_type", named.sport, named.market_type
    if named.competition:
        return "competition", named.sport, named.competition
    return ("sport", named.sport) if named.sport else ()


def level(book: Book, key: tuple[str, ...]) -> Level:
    """The level of that key, a new one if need be; core.book.Level says what keys there are."""
    found = book.levels.get(key)
    if found is None:
        found = book.levels[key] = Level(key)
    return found


def release(book: Book, known: Level) -> None:
    """Forget a level that neither has members nor a setting."""
    if not known.members and known.setting is None:
        del book.levels[known.key]


def decide_factor(
    book: Book, limits: Limits, command: co.SetCustomerFactor, digest: int, now_ms: int
) -> ev.Event | Refusal:
    """A customer's factor, of one sport or of all; 10 000 takes it back, 0 lets him stake nothing."""
    factors = book.customers[command.customer].factors or {}
    in_play = command.phase == "in_play"
    key = command.sport, in_play
    if factors.get(key, _WHOLE) == command.factor_bp:
        return Refusal(Rejection.NOTHING_TO_CHANGE)
    if key not in factors and len(factors) >= limits.factors_max:
        return Refusal(Rejection.TOO_MANY, limit=limits.factors_max, detail="factors")
    return ev.CustomerFactorSet(
        now_ms, command.id, digest, command.author, command.customer, command.factor_bp, command.sport, in_play
    )


def apply_factor(book: Book, event: ev.CustomerFactorSet) -> None:
    """From his next bet on."""
    customer = book.customers[event.customer]
    factors = customer.factors or {}
    if event.factor_bp == _WHOLE:
        factors.pop((event.sport, event.in_play), None)
    else:
        factors[event.sport, event.in_play] = event.factor_bp
    customer.factors = factors or None
