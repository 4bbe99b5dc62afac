"""Every way in which the engine says no, in the order in which it is checked (RULEBOOK 3).

The first check that fails is the answer. Numbers stand in the journal and are for ever; names stand on the wire. Gaps
are left where later kinds of bets bring checks of their own.
"""

from __future__ import annotations

from enum import IntEnum


class Rejection(IntEnum):
    """Why a command was refused. The comment says which further fields of the answer are filled."""

    # At the border, answered without a trace.
    MALFORMED = 10  # detail: the field and what was wrong with it
    # Any command.
    DUPLICATE_ID = 20  # this id was answered before, for another content
    EXPIRED = 30  # the command's deadline is past
    DEADLINE_TOO_FAR = 31  # limit: the latest deadline that would be accepted, ms
    BUSY = 40  # past a bound of the engine; nothing was decided: try again
    CUSTOMER_UNKNOWN = 50
    CUSTOMER_SUSPENDED = 52
    # Structure of a bet.
    TOO_MANY_LEGS = 100  # limit: the greatest number of legs
    LEGS_NOT_COMBINABLE = 110  # leg: the second of two legs of the same market or fixture
    CURRENCY_MISMATCH = 120  # detail: the account's currency
    # Each leg in turn; `leg` is its index, `price` the live price.
    FIXTURE_UNKNOWN = 200
    MARKET_UNKNOWN = 201
    SELECTION_UNKNOWN = 202
    MARKET_CLOSED = 210
    MARKET_SUSPENDED = 211
    CUT_OFF_PASSED = 220  # limit: when betting ended, ms
    PRODUCER_DOWN = 230  # silent, behind, or not recovered yet
    PRICE_STALE = 240  # limit: the greatest age of a price, ms
    SELECTION_UNPRICED = 250
    PRICE_CHANGED = 260  # price: what would be accepted
    # Money; `stake_m` is the stake that would be accepted.
    STAKE_TOO_SMALL = 300
    STAKE_TOO_LARGE = 310
    PAYOUT_TOO_LARGE = 320
    LIABILITY_SELECTION = 400
    LIABILITY_MARKET = 410
    LIABILITY_FIXTURE = 420
    LIABILITY_CUSTOMER = 430
    LIABILITY_BOOK = 440
    BALANCE_TOO_LOW = 500  # limit: the balance, minor units
    # Commands other than bets.
    CUSTOMER_EXISTS = 600
    RESERVE_UNKNOWN = 610
    RESERVE_EXCEEDED = 611  # limit: what is reserved, minor units
    BET_UNKNOWN = 620
    BET_NOT_OPEN = 621
    CANCEL_NOT_ALLOWED = 622  # limit: until when the bet could be cancelled, ms
    PRICE_NOT_OURS = 630  # a market cannot be moved from one producer to another
    RESULTS_INCOMPLETE = 640  # detail: the selection that has no result, or that the market does not have
    NOTHING_TO_CHANGE = 641  # the same results again, or nothing to roll back
    TOO_MANY = 700  # limit: how many the engine holds at the most; detail: of what
