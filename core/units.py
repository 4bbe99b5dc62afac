"""Prices and money as integers, and the few named functions that round or show them.

A price is decimal odds x 10 000 (2.15 is 21500), as Sportradar's MTS sends it; money is an integer in minor units of a
named ISO 4217 currency. No float touches either (DESIGN 4). Every function that rounds says its direction (RULEBOOK 1).
"""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated

from msgspec import Meta

PRICE_ONE = 10_000
"""The price at which a winning stake comes back and nothing more (decimal 1.0)."""
PRICE_MIN = 10_001
PRICE_MAX = 100_000_000
FACTOR_ONE = 10_000
"""A void factor of one: the whole leg is void."""
RATE_ONE = 1_000_000
"""The rate of the book's own currency: minor units of it for 1 000 000 minor units of another."""
MONEY_MAX = 10**15
"""The largest sum a single message may name, in minor units; sums of 9 000 such still fit a signed 64-bit integer."""
ORDER_STAKE_MAX = 9 * 10**11
"""The largest stake of an order, minor units: at the greatest price of a ladder, 1000, stake x price x 10 000, which
snapshots keep, still fits a signed 64-bit integer."""

Price = Annotated[int, Meta(ge=PRICE_MIN, le=PRICE_MAX, description="Decimal odds x 10 000, e.g. 21500 is 2.15.")]
OfferedPrice = Annotated[int, Meta(ge=0, le=PRICE_MAX, description="Decimal odds x 10 000; 0: no price.")]
Money = Annotated[int, Meta(ge=1, le=MONEY_MAX, description="Minor units of the account's currency, above zero.")]
OrderStake = Annotated[
    int, Meta(ge=1, le=ORDER_STAKE_MAX, description="Minor units of the book's currency, above zero.")
]
Millis = Annotated[int, Meta(ge=0, le=10**14, description="Milliseconds since 1970-01-01 UTC.")]
Count = Annotated[int, Meta(ge=0, le=2**62)]
# "$" alone would let a line break through at the end.
Id = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        pattern=r"^[!-~]+$(?!\n)",
        description="1 to 64 printable ASCII characters, no space.",
    ),
]
Key = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        description="1 to 64 printable ASCII characters.",
        extra_json_schema={"pattern": "^[ -~]+$"},
    ),
]
"""An id on the path of a bet. The pattern is documented but not checked by the decoder, where it costs 0.4 us an id:
one that is new is checked by the engine, one that must be known is found or not."""
OptionalId = Annotated[str, Meta(max_length=64, pattern=r"^[!-~]*$(?!\n)")]
Name = Annotated[
    str, Meta(max_length=200, pattern=r"^[^\x00-\x1f]*$(?!\n)", description="Free text, up to 200 characters.")
]
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}$(?!\n)", description="ISO 4217, e.g. EUR.")]
OptionalCurrency = Annotated[str, Meta(pattern=r"^([A-Z]{3})?$(?!\n)", description="ISO 4217, or empty.")]

# The traders' fractions (RULEBOOK 1: "fractional from the traders' table"): the prices that are always spoken this way.
_TRADERS_FRACTIONS = (
    "1/10 1/9 1/8 1/7 2/13 1/6 2/11 1/5 2/9 1/4 2/7 3/10 1/3 4/11 2/5 4/9 1/2 8/15 4/7 8/13 4/6 8/11 4/5 5/6 10/11 1/1 "
    "11/10 6/5 5/4 11/8 6/4 13/8 7/4 15/8 2/1 9/4 5/2 11/4 3/1 10/3 7/2 4/1 9/2 5/1 11/2 6/1 13/2 7/1 15/2 8/1 9/1 "
    "10/1 11/1 12/1 14/1 16/1 18/1 20/1 22/1 25/1 28/1 33/1 40/1 50/1 66/1 80/1 100/1"
)


def price_from_fraction(numerator: int, denominator: int) -> int:
    """Price of fractional odds, rounded half up to a ten-thousandth: 8/13 is 16154 (RULEBOOK 1)."""
    return PRICE_ONE + (2 * PRICE_ONE * numerator + denominator) // (2 * denominator)


_FRACTION_OF = {price_from_fraction(*map(int, text.split("/"))): text for text in _TRADERS_FRACTIONS.split()}


def payout_down(stake_m: int, numerator: int, denominator: int) -> int:
    """Payout of one line in minor units: the stake times the exact product of its legs' multipliers, rounded down.

    The only place where a bet's payout is rounded (RULEBOOK 1: down, per line).
    """
    return stake_m * numerator // denominator


def payout_up(stake_m: int, numerator: int, denominator: int) -> int:
    """The same rounded up: where the house stands between backers and layers, and would pay the difference."""
    return -(-stake_m * numerator // denominator)


def stake_down(winnings_m: int, numerator: int, denominator: int) -> int:
    """The greatest stake in minor units that wins at most `winnings_m` at this multiplier; rounded down.

    RULEBOOK 3's example: 100.00 net at 2.36 allows a stake of 73.52.
    """
    return winnings_m * denominator // (numerator - denominator)


def base_up(amount_m: int, rate: int) -> int:
    """Money of an account in minor units of the book's currency, rounded up: a risk is never understated."""
    return amount_m if rate == RATE_ONE else -(-amount_m * rate // RATE_ONE)


def account_down(base_m: int, rate: int) -> int:
    """Money of the book's currency in minor units of an account's, rounded down: a limit is never passed.

    At most 2**62, where a rate is so low that a limit is none.
    """
    return base_m if rate == RATE_ONE else min(base_m * RATE_ONE // rate, 2**62)


def account_up(base_m: int, rate: int) -> int:
    """The same rounded up, for a least sum: the least that is worth as much."""
    return base_m if rate == RATE_ONE else min(-(-base_m * RATE_ONE // rate), 2**62)


def price_decimal(price: int) -> str:
    """Decimal odds with two to four places: "2.15", "1.6154"."""
    whole, rest = divmod(price, PRICE_ONE)
    places = f"{rest:04d}".rstrip("0")
    return f"{whole}.{places:0<2}"


def price_fractional(price: int) -> str:
    """Fractional odds: the traders' name for the price where it has one, else the reduced fraction ("23/20")."""
    spoken = _FRACTION_OF.get(price)
    if spoken is not None:
        return spoken
    fraction = Fraction(price - PRICE_ONE, PRICE_ONE)
    return f"{fraction.numerator}/{fraction.denominator}"


def price_american(price: int) -> str:
    """American odds, rounded half up: "+115" for 2.15, "-120" for 1.8333."""
    winnings = price - PRICE_ONE
    if winnings >= PRICE_ONE:
        return f"+{(200 * winnings + PRICE_ONE) // (2 * PRICE_ONE)}"
    return f"-{(200 * PRICE_ONE + winnings) // (2 * winnings)}"


def price_from_decimal(text: str) -> int:
    """Price of decimal odds as people write them ("2.15").

    Raises ValueError for what is not a plain decimal number, has more than four places or lies outside the bounds.
    """
    whole, _, places = text.partition(".")
    if not (text.isascii() and whole.isdigit()) or len(places) > 4 or (places and not places.isdigit()):
        msg = f"not a decimal price: {text!r}"
        raise ValueError(msg)
    price = int(whole) * PRICE_ONE + int(f"{places:0<4}")
    if not PRICE_MIN <= price <= PRICE_MAX:
        msg = f"price out of bounds: {text!r}"
        raise ValueError(msg)
    return price


# ISO 4217 currencies whose minor unit is not a hundredth.
_MINOR_DIGITS = {"JPY": 0, "KRW": 0, "ISK": 0, "CLP": 0, "BHD": 3, "KWD": 3, "TND": 3, "OMR": 3, "JOD": 3}


def money_text(amount_m: int, currency: str) -> str:
    """Money as people read it: "10.00 EUR", "-0.05 EUR", "1,234.50 EUR"."""
    digits = _MINOR_DIGITS.get(currency, 2)
    whole, rest = divmod(abs(amount_m), 10**digits)
    sign = "-" if amount_m < 0 else ""
    places = f".{rest:0{digits}d}" if digits else ""
    return f"{sign}{whole:,}{places} {currency}"
