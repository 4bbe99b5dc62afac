"""Simulated customers: what they like, how they bet, and what they do wrong. Each is his own, and the same for a seed.

They are ordinary ones: they know what `odds.>` and their answers tell them. Some are quick, some bet at a price that is
gone, some want too much, some click twice; one bet in some hundred is a plain mistake of a front end. Whoever clicks
twice must be told the same twice, and nobody may get another bet than he asked for: `amiss` says what is wrong.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from fractions import Fraction
from random import Random
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from adapters.demo.board import Board, Offer
from core.messages.answers import Accepted
from core.messages.commands import Leg, PlaceBet, PricePolicy
from core.units import PRICE_ONE

DEADLINE_MS: Final = 30_000
"""A bet that is not decided in this time is not wanted any more."""
LEGS_MAX: Final = 6
_TRIES: Final = 20
"""Looks at the board for another fixture before a multiple stays as short as it is."""


class Traits(Struct, frozen=True):
    """One customer's habits; shares are of his bets."""

    stake_m: int
    """The middle of his stakes, minor units."""
    pause: float
    """His pause between bets, in those of an average customer."""
    multiples: float
    late: float
    """Bets at the price before the last change, or on a market that has just been suspended."""
    greedy: float
    """Bets of fifty times his usual stake, or more."""
    twice: float
    """Bets that he sends again."""
    in_play: float
    """How much he prefers what is in play."""
    policy: PricePolicy


def traits(random: Random) -> Traits:
    """Most play for small change, a few for real money; a few are restless."""
    return Traits(
        stake_m=min(50_000, int(random.lognormvariate(6.6, 1.0)) // 50 * 50 + 50),
        pause=random.lognormvariate(0, 0.6),
        multiples=random.choice((0.05, 0.1, 0.2, 0.6)),
        late=random.choice((0.0, 0.02, 0.1)),
        greedy=random.choice((0.0, 0.0, 0.01, 0.05)),
        twice=random.choice((0.0, 0.02, 0.08)),
        in_play=random.random(),
        policy=random.choices(
            (PricePolicy.BETTER, PricePolicy.NONE, PricePolicy.ANY, PricePolicy.TOLERANCE), (60, 15, 10, 15)
        )[0],
    )


class Customer:
    """Makes up bets; sends nothing itself."""

    def __init__(self, number: int, seed: int, run: str, currency: str) -> None:
        """`run` tells this run's bets from those of earlier ones; the customer is the same in all of them."""
        self.id = f"demo-{number:04d}"
        self.currency = currency
        self.random = Random(f"{seed}-{run}-{number}")  # noqa: S311 - a game; a text seeds the same in every process
        self.traits = traits(Random(f"{seed}-{number}"))  # noqa: S311 - see above
        self.cash_m = 0
        """What he thinks he has."""
        self._run = run
        self._bets = 0

    def bet(self, board: Board) -> PlaceBet | None:
        """His next bet; None while there is nothing on the board at all."""
        chosen = self._choose(board)
        if not chosen:
            return None
        habits, random = self.traits, self.random
        self._bets += 1
        legs = tuple(self._leg(offer) for offer in chosen)
        tolerance_bp = random.choice((50, 100, 200, 500)) if habits.policy is PricePolicy.TOLERANCE else 0
        bet = PlaceBet(
            f"{self._run}-{self.id}-{self._bets}",
            _now_ms() + DEADLINE_MS,
            self.id,
            self._stake_m(len(legs)),
            legs,
            habits.policy,
            tolerance_bp,
            self.currency,
        )
        return _mistaken(bet, random) if random.random() < 0.003 else bet

    def _stake_m(self, legs: int) -> int:
        """Less on multiples; rounded as people do."""
        usual_m = self.traits.stake_m * self.random.choice((0.5, 1, 1, 1, 2, 3))
        if self.random.random() < self.traits.greedy:
            return int(usual_m * self.random.choice((50, 200, 1000)))
        return max(50, int(usual_m / legs) // 50 * 50)

    def _choose(self, board: Board) -> list[Offer]:
        """The markets of his next bet: as a rule of as many fixtures."""
        random = self.random
        if random.random() < self.traits.late / 2 or not board.open:
            shut = [offer for key, offer in board.offers.items() if key not in board.open]
            missed = random.choice((shut, [*board.over.values()])) or shut
            if missed or not board.open:
                return [random.choice(missed)] if missed else []
        wanted = min(LEGS_MAX, 2 + int(random.expovariate(0.9))) if random.random() < self.traits.multiples else 1
        keys = list(board.open)
        chosen: dict[str, Offer] = {}
        for _ in range(_TRIES):
            offer = board.open[random.choice(keys)]
            liked = offer.in_play or random.random() > self.traits.in_play
            if offer.priced and liked and offer.fixture not in chosen:
                chosen[offer.fixture] = offer
            if len(chosen) == wanted:
                break
        return [*chosen.values()] or [board.open[keys[0]]]

    def _leg(self, offer: Offer) -> Leg:
        """A selection at the price he saw. Long shots are rarer than favourites."""
        random = self.random
        priced = offer.priced
        selection = (
            random.choices(priced, [1 / offer.quotes[name].price for name in priced])[0]
            if priced
            else random.choice([*offer.quotes])
        )
        quote = offer.quotes[selection]
        late = random.random() < self.traits.late and quote.before
        return Leg(offer.fixture, offer.market, selection, (quote.before if late else quote.price) or 20_000)


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
        )
    )


def again(bet: PlaceBet) -> PlaceBet:
    """A retry: the same content, another deadline."""
    return replace(bet, expires_ms=max(bet.expires_ms, _now_ms() + DEADLINE_MS))


def forged(bet: PlaceBet) -> PlaceBet:
    """The same id with another content."""
    return replace(bet, stake_m=bet.stake_m + 100)


def amiss(bet: PlaceBet, answer: Accepted) -> str:
    """What is wrong with an accepted bet, as its customer sees it (RULEBOOK 3, price policy); empty: nothing."""
    asked = [(leg.fixture, leg.market, leg.selection, leg.price) for leg in bet.legs]
    if [(leg.fixture, leg.market, leg.selection, leg.requested) for leg in answer.legs] != asked:
        return "other legs"
    if (answer.id, answer.stake_m) != (bet.id, bet.stake_m):
        return "another id or stake"
    payout = Fraction(bet.stake_m)
    for leg in answer.legs:
        payout *= Fraction(leg.price, PRICE_ONE)
        worse_bp = (leg.requested - leg.price) * 10_000 / leg.requested
        if (bet.policy is PricePolicy.NONE and leg.price != leg.requested) or (
            bet.policy is not PricePolicy.ANY and worse_bp > bet.tolerance_bp
        ):
            return "a price he had not agreed to"
    return "" if answer.payout_m == int(payout) else "another payout than stake times prices"


def crowd(customers: int, seed: int, run: str, currency: str) -> Sequence[Customer]:
    """All of them."""
    return [Customer(number, seed, run, currency) for number in range(1, customers + 1)]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
