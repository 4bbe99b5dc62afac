"""What currencies are worth in the book's own.

Accounts are in their customers' currencies, limits and liability in the book's. A bet keeps the rate at which it was
taken, so that a new rate changes nothing in retrospect.
"""

from __future__ import annotations

from core.book import Book
from core.limits import Limits
from core.messages import commands as co
from core.messages import events as ev
from core.messages.rejections import Rejection
from core.refusals import Refusal
from core.units import RATE_ONE


def rate_of(book: Book, limits: Limits, currency: str) -> int | None:
    """Minor units of the book's currency for 1 000 000 of this one; None: the desk has set none."""
    return RATE_ONE if currency == limits.currency else book.rates.get(currency)


def decide(_: Book, limits: Limits, command: co.SetRate, digest: int, now_ms: int) -> ev.Event | Refusal:
    """A currency's rate; the book's own is worth itself."""
    if command.currency == limits.currency:
        return Refusal(Rejection.DEFINITION_NOT_VALID, detail=f"{limits.currency} is the book's own currency")
    return ev.RateSet(now_ms, command.id, digest, command.author, command.currency, command.rate)


def apply(book: Book, event: ev.RateSet) -> None:
    """It holds for what is taken from now on."""
    book.rates[event.currency] = event.rate
