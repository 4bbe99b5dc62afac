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
    CUSTOMER_NOT_VERIFIED = 51
    CUSTOMER_SUSPENDED = 52
    SELF_EXCLUDED = 53  # limit: until when, ms
    TIMED_OUT = 54  # limit: until when, ms
    # Structure of a bet.
    TOO_MANY_LEGS = 100  # limit: the greatest number of legs
    LEGS_NOT_COMBINABLE = 110  # leg: the second of two legs that cannot stand in one line
    KIND_UNKNOWN = 111  # detail: a kind of bet there is not, or what its legs do not fit
    TOO_MANY_COMBINATIONS = 112  # limit: the greatest number of lines
    LINES_MISMATCH = 114  # limit: the number of lines it has
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
    EACH_WAY_NOT_OFFERED = 255  # the market has no place part, or too few run
    STARTING_PRICE_NOT_OFFERED = 256  # nobody will tell the market's starting prices
    EXCHANGE_NOT_OFFERED = 257  # the market takes bets, no orders
    MARKET_VERSION_CHANGED = 258  # limit: the market's version
    PRICE_NOT_ON_LADDER = 259  # price: the nearest below, limit: the nearest above; 0: there is none
    PRICE_CHANGED = 260  # price: what would be accepted
    PLACE_TERMS_CHANGED = 261  # detail: the live terms, "3 places at 1/5", or "win only"
    # Money; `stake_m` is the stake that would be accepted.
    STAKE_TOO_SMALL = 300
    OWN_STAKE_LIMIT = 302  # limit: what he may still stake within the period that binds
    OWN_LOSS_LIMIT = 304  # limit: what he may still lose within the period that binds
    TOO_FAST = 306  # limit: when the next bet would be taken, ms
    STAKE_TOO_LARGE = 310
    PAYOUT_TOO_LARGE = 320
    LIABILITY_SELECTION = 400
    LIABILITY_MARKET = 410
    LIABILITY_MARKET_TYPE = 415
    LIABILITY_FIXTURE = 420
    LIABILITY_COMPETITION = 424
    LIABILITY_SPORT = 426
    LIABILITY_CUSTOMER = 430
    LIABILITY_BOOK = 440
    BALANCE_TOO_LOW = 500  # limit: the balance, minor units
    FREE_BET_UNKNOWN = 510  # there is no such token, it is staked, or it has ended
    FREE_BET_MISMATCH = 512  # stake_m: the token's stake; price: the least price it takes
    # A bet that is to wait, or has waited.
    TOO_MANY_PENDING = 530  # limit: how many bets of one customer may wait
    REFERRAL_DECLINED = 540  # detail: the trader's reason
    REFERRAL_EXPIRED = 542  # no trader answered in time
    OFFER_DECLINED = 544
    OFFER_EXPIRED = 546
    # Commands other than bets.
    CUSTOMER_EXISTS = 600
    CURRENCY_UNKNOWN = 602  # detail: a currency without a rate
    RESERVE_UNKNOWN = 610
    RESERVE_EXCEEDED = 611  # limit: what is reserved, minor units
    OWN_DEPOSIT_LIMIT = 612  # limit: what he may still deposit within the period that binds
    OWN_LIMIT_NOT_DUE = 614  # limit: from when it can be confirmed, ms; 0: nothing is to be confirmed
    EXCLUSION_STANDS = 616  # limit: until when, ms; it can only be made longer
    BONUS_EXISTS = 617
    BONUS_UNKNOWN = 618
    ORDER_UNKNOWN = 619  # there is none of this id, it is another's, or nothing of it rests
    BET_UNKNOWN = 620
    BET_NOT_OPEN = 621
    CANCEL_NOT_ALLOWED = 622  # limit: until when the bet could be cancelled, ms
    BET_NOT_PENDING = 623  # nobody waits for that answer, or not any more
    OFFER_NOT_VALID = 624  # detail: what is wrong with the offer
    CASH_OUT_NOT_OFFERED = 626  # detail: why not for this bet
    CASH_OUT_CHANGED = 628  # the quote has run out, or there is none of this offer: ask again
    PRICE_NOT_OURS = 630  # a market cannot be moved from one producer to another
    RESULTS_INCOMPLETE = 640  # detail: the selection that has no result, or that the market does not have
    NOTHING_TO_CHANGE = 641  # the same results again, or nothing to roll back
    DEFINITION_NOT_VALID = 642  # detail: what is wrong with it
    TOO_MANY = 700  # limit: how many the engine holds at the most; detail: of what
