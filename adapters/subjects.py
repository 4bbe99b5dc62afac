"""The names of NATS subjects that have ids in them."""

from __future__ import annotations

import re
from functools import lru_cache

REQUEST_SUBJECTS = ("bet.>", "order.>", "account.>", "desk.>", "odds.get")
FEED_SUBJECTS = "feed.>"
REFERRALS = "desk-referrals"
"""Bets that wait for a trader; not below `desk.`, which is what the desk sends."""
STARTED = "engine-started"
"""An engine has begun; not below `orders.` or `bets.`, where it would look like a customer's."""
BALANCES = "desk-balances"
"""Customers whose balance a resettlement has taken below zero."""
INBOX = "_INBOX"
"""How every subject begins to which answers go (config/nats/tictac.conf gives each role an inbox of its own)."""
ENGINE_INBOX = "_INBOX_engine."
"""The one inbox that is nobody's who asks: engines speak to each other there, and are answered by JetStream."""

_OUTSIDE = re.compile(r"[^A-Za-z0-9_:=|+-]")


@lru_cache(maxsize=100_000)
def token(name: str) -> str:
    """An id as one token of a subject: what would split or match there is replaced by `_`."""
    return _OUTSIDE.sub("_", name) or "_"


def odds(fixture: str, market: str) -> str:
    return f"odds.{token(fixture)}.{token(market)}"


def book(fixture: str, market: str) -> str:
    """An exchange market's order books."""
    return f"{odds(fixture, market)}.book"


def orders(customer: str) -> str:
    """What becomes of a customer's orders."""
    return f"orders.{token(customer)}"


def notices(customer: str) -> str:
    return f"bets.{token(customer)}"


def feed(provider: str, producer: str) -> str:
    return f"feed.{token(provider)}.{token(producer)}"


def feed_control(provider: str, producer: str) -> str:
    return f"feed-control.{token(provider)}.{token(producer)}"
