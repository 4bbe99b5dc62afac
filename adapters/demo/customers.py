"""Simulated customers: what they like, how they bet, and what they do wrong. Each is his own, and the same for a seed.

They are ordinary ones: they know what `odds.>` and their answers tell them. Some are quick, some bet at a price that is
gone, some want too much, some click twice; one bet in some hundred is a plain mistake of a front end. Whoever clicks
twice must be told the same twice, and nobody may get another bet than he asked for (adapters/demo/checks.py).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from random import Random
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from adapters.demo import kinds, slips
from adapters.demo.board import Board, Offer
from adapters.demo.profiles import SCALE, profile
from adapters.demo.slips import Slip, Style
from core.messages.answers import FreeBetState
from core.messages.commands import Leg, PlaceBet, PricePolicy

DEADLINE_MS: Final = 30_000
"""A bet that is not decided in this time is not wanted any more."""
_LINE_MIN_M: Final = 10
"""Stakes of one line are not lower, whatever the bet."""


class Traits(Struct, frozen=True):
    """One customer's habits; shares are of his bets."""

    stake_m: int
    """The middle of his stakes, minor units."""
    pause: float
    """His pause between bets, in those of an average customer."""
    style: Style
    late: float
    """Bets at the price before the last change, or on a market that has just been suspended."""
    greedy: float
    """Bets of fifty times his usual stake, or more."""
    bold: float
    """Bets of a good part of what he has; a trader is to look at them where they are above a limit."""
    partial: float
    """Bets of which he takes what he can get."""
    twice: float
    """Bets that he sends again."""
    in_play: float
    """How much he prefers what is in play."""
    seller: float
    """How often he looks what he would get for a bet that still runs."""
    policy: PricePolicy


def traits(random: Random, *, is_vip: bool = False) -> Traits:
    """Most play for small change, a few for real money; a few are restless."""
    stake_m = min(50_000, int(random.lognormvariate(6.6, 1.0)) // 50 * 50 + 50)
    bold = random.choice((0.0, 0.0, 0.0, 0.02, 0.04))
    return Traits(
        stake_m=max(stake_m, 10_000) if is_vip else stake_m,
        pause=random.lognormvariate(0, 0.6),
        style=random.choices([*slips.STYLES], [*slips.STYLES.values()])[0],
        late=random.choice((0.0, 0.02, 0.1)),
        greedy=random.choice((0.0, 0.0, 0.01, 0.05)),
        bold=0.1 if is_vip else bold,
        partial=random.choice((0.0, 0.0, 0.1, 0.5)),
        twice=random.choice((0.0, 0.02, 0.08)),
        in_play=random.random(),
        seller=random.choice((0.0, 0.0, 0.01, 0.03)),
        policy=random.choices(
            (PricePolicy.BETTER, PricePolicy.NONE, PricePolicy.ANY, PricePolicy.TOLERANCE), (60, 15, 10, 15)
        )[0],
    )


class Customer:
    """Makes up bets; sends nothing itself."""

    def __init__(self, number: int, seed: int, run: str, currency: str) -> None:
        """`run` tells this run's bets from those of earlier ones; the customer is the same in all of them."""
        self.id = f"demo-{number:04d}"
        self.profile = profile(number)
        self.currency = self.profile.currency or currency
        """What his account was opened in may be another one: earlier releases knew one only."""
        self.random = Random(f"{seed}-{run}-{number}")  # noqa: S311 - a game; a text seeds the same in every process
        self.traits = traits(Random(f"{seed}-{number}"), is_vip=self.profile.is_vip)  # noqa: S311 - see above
        self.cash_m = 0
        """What he thinks he has."""
        self.tokens: list[FreeBetState] = []
        """Free bets that he has not used."""
        self.bets = 0
        """He has placed so many."""
        self._run = run

    @property
    def stake_m(self) -> int:
        """The middle of his stakes, minor units of his currency."""
        return self.traits.stake_m * SCALE.get(self.currency, 1)

    def bet(self, board: Board) -> PlaceBet | None:
        """His next bet; None while there is nothing on the board at all."""
        slip = self._choose(board)
        if slip is None:
            return None
        habits, random = self.traits, self.random
        self.bets += 1
        # In play, where every bet waits a while, half of them take what they get.
        hurried = random.random() < 0.5 and any(offer.in_play for offer in slip.offers)
        policy = PricePolicy.ANY if hurried else habits.policy
        tolerance_bp = random.choice((50, 100, 200, 500)) if policy is PricePolicy.TOLERANCE else 0
        bet = PlaceBet(
            f"{self._run}-{self.id}-{self.bets}",
            _now_ms() + DEADLINE_MS,
            self.id,
            _LINE_MIN_M,
            self._legs(slip),
            policy,
            tolerance_bp,
            self.currency,
            slip.kind,
            slip.folds,
            slip.each_way,
        )
        bet = self._staked(bet)
        return _mistaken(bet, random) if random.random() < 0.003 else bet

    def _staked(self, bet: PlaceBet) -> PlaceBet:
        """With its stake, in whole or by the line, of cash or a free bet; and what is to happen if it is too much."""
        habits, random = self.traits, self.random
        if self.tokens and random.random() < 0.3:
            token = self.tokens.pop()
            return replace(bet, stake_m=token.stake_m, free_bet=token.token)
        count = kinds.count(bet)
        if random.random() < habits.bold:
            stake_m = int(self.cash_m * random.uniform(0.2, 0.7)) // 100 * 100
            return replace(bet, stake_m=max(stake_m, self.stake_m, count), refer=True)
        stake_m = self._stake_m(len(bet.legs))
        said = count if random.random() < 0.3 else 0
        partial = random.random() < habits.partial
        if count > 1 and random.random() < 0.5:
            unit_m = max(_LINE_MIN_M, stake_m // count // 5 * 5)
            return replace(bet, stake_m=unit_m, unit_stake=True, lines=said, partial=partial)
        return replace(bet, stake_m=max(stake_m, count * _LINE_MIN_M), lines=said, partial=partial)

    def _stake_m(self, legs: int) -> int:
        """Less on multiples; rounded as people do."""
        usual_m = self.stake_m * self.random.choice((0.5, 1, 1, 1, 2, 3))
        if self.random.random() < self.traits.greedy:
            return int(usual_m * self.random.choice((50, 200, 1000)))
        return max(50, int(usual_m / legs) // 50 * 50)

    def _choose(self, board: Board) -> Slip | None:
        """The markets of his next bet; sometimes one that he is too late for."""
        random = self.random
        if random.random() < self.traits.late / 2 or not board.open:
            shut = [offer for key, offer in board.offers.items() if key not in board.open]
            missed = random.choice((shut, [*board.over.values()])) or shut
            if missed or not board.open:
                return Slip([random.choice(missed)]) if missed else None
        chosen = slips.fill_in(self.traits.style, self.traits.in_play, board, random)
        return chosen or Slip([next(iter(board.open.values()))])

    def _legs(self, slip: Slip) -> tuple[Leg, ...]:
        legs = [self._leg(offer) for offer in slip.offers]
        if slip.ways:
            legs.append(self._leg(slip.offers[-1], legs[-1].selection))
        if slip.banker:
            legs[0] = replace(legs[0], banker=True)
        return tuple(legs)

    def _leg(self, offer: Offer, taken: str = "") -> Leg:
        """A selection at the price he saw. Long shots are rarer than favourites. `taken`: he has that one."""
        random = self.random
        priced = [name for name in offer.priced if name != taken]
        selection = (
            random.choices(priced, [1 / offer.quotes[name].price for name in priced])[0]
            if priced
            else random.choice([*offer.quotes])
        )
        quote = offer.quotes[selection]
        late = random.random() < self.traits.late and quote.before
        at_the_off = offer.starting_price and not offer.in_play and random.random() < self.traits.style.starting_price
        price = (quote.before if late else quote.price) or 20_000
        return Leg(offer.fixture, offer.market, selection, price, starting_price=at_the_off)


def _mistaken(bet: PlaceBet, random: Random) -> PlaceBet:
    """What front ends get wrong: each is refused with a reason of its own."""
    first = bet.legs[0]
    twin = Leg(first.fixture, first.market, first.selection, first.price)
    return random.choice(
        (
            replace(bet, legs=(*bet.legs, twin)),
            replace(bet, legs=(Leg(first.fixture, first.market, "none-such", first.price), *bet.legs[1:])),
            replace(bet, legs=(Leg("none-such", first.market, first.selection, first.price), *bet.legs[1:])),
            replace(bet, stake_m=1),
            replace(bet, expires_ms=_now_ms() - 1_000),
            replace(bet, expires_ms=_now_ms() + 10**9),
            replace(bet, currency="XTS"),
            replace(bet, legs=(first,) * 25),
            replace(bet, kind="", folds=(len(bet.legs) + 1,)),
            replace(bet, lines=kinds.count(bet) + 1),
            replace(bet, legs=(first,), kind="", folds=(), each_way=True),
            replace(bet, free_bet="none-such"),
        )
    )


def again(bet: PlaceBet) -> PlaceBet:
    """A retry: the same content, another deadline."""
    return replace(bet, expires_ms=max(bet.expires_ms, _now_ms() + DEADLINE_MS))


def forged(bet: PlaceBet) -> PlaceBet:
    """The same id with another content."""
    return replace(bet, stake_m=bet.stake_m + 100)


def crowd(customers: int, seed: int, run: str, currency: str) -> Sequence[Customer]:
    """All of them."""
    return [Customer(number, seed, run, currency) for number in range(1, customers + 1)]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
