"""Who is special among the customers, by his number: the same for every seed, so that he is found again.

The desk and the customers' process each look here: what the desk knows of a customer, and what he has decided for
himself.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

RATES: Final = {"GBP": 1_170_000, "SEK": 88_000}
"""What the desk says that other currencies are worth: minor units of the book's currency for 1 000 000 of theirs."""
SCALE: Final = {"SEK": 10}
"""Where people deal in larger numbers of minor units."""
_ONE: Final = 10_000


class Profile(Struct, frozen=True):
    """One customer, as the desk files him and as he has set himself up."""

    currency: str = ""
    """Empty: the book's."""
    factor_bp: int = _ONE
    """Of his limits, as the desk has set it: three times for a VIP, a tenth for who wins too often."""
    free_bets: bool = False
    """The desk grants him one from time to time."""
    match: bool = False
    """The desk matches a part of his deposit, once a run."""
    own_limit: bool = False
    """He limits what he stakes and deposits in a day."""
    time_out: bool = False
    """After some bets he takes a time-out."""
    self_exclusion: bool = False
    """After some bets he has had enough for good."""

    @property
    def is_vip(self) -> bool:
        return self.factor_bp > _ONE


def profile(number: int) -> Profile:
    """Of customer 1, 2, ...: with sixty of them there is each at least once."""
    return Profile(
        currency={4: "GBP", 8: "SEK"}.get(number % 12, ""),
        factor_bp={5: 3 * _ONE, 9: _ONE // 10}.get(number % 25, _ONE),
        free_bets=number % 6 == 1,
        match=number % 15 == 2,
        own_limit=number % 20 == 3,
        time_out=number % 100 == 11,
        self_exclusion=number == 17,
    )


def in_book(amounts: dict[str, int]) -> int:
    """Sums by currency as one of the book's, at the desk's rates; for the eye."""
    return sum(amount_m * RATES.get(currency, 1_000_000) // 1_000_000 for currency, amount_m in amounts.items())
