"""Every bound of the engine, in one place. The values stand in config/default.toml, each with its reason (STYLE 11)."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from core.units import MONEY_MAX, PRICE_MAX, PRICE_MIN, Currency

_Sum = Annotated[int, Meta(ge=1, le=MONEY_MAX)]
_Ms = Annotated[int, Meta(ge=1, le=10**11)]
_Number = Annotated[int, Meta(ge=1, le=10**9)]


class Limits(Struct, frozen=True, forbid_unknown_fields=True):
    """What the engine accepts at the most: money (`_m`) in minor units of `currency`, times (`_ms`) in milliseconds."""

    currency: Currency = "EUR"
    # Bets.
    stake_min_m: _Sum = 10
    stake_max_m: _Sum = 1_000_000
    payout_max_m: _Sum = 50_000_000
    price_max: Annotated[int, Meta(ge=PRICE_MIN, le=PRICE_MAX)] = PRICE_MAX
    legs_max: _Number = 20
    lines_max: _Number = 20_000
    cancel_window_ms: Annotated[int, Meta(ge=0, le=10**11)] = 0
    verified_only: bool = False
    settle_provisional: bool = False
    # Orders in exchange markets.
    order_stake_min_m: _Sum = 100
    order_payout_min_m: _Sum = 1_000
    orders_customer_max: _Number = 1_000
    orders_listed_max: _Number = 1_100
    orders_on_close_max: _Number = 2_000
    orders_max: _Number = 5_000_000
    trades_max: _Number = 10_000_000
    # Pace.
    velocity_bets_max: _Number = 100
    velocity_window_ms: _Ms = 10_000
    # Waiting.
    referral_ms: _Ms = 60_000
    offer_ms: _Ms = 30_000
    offer_max_ms: _Ms = 600_000
    pending_max: _Number = 100_000
    pending_customer_max: _Number = 20
    # Cash-out.
    cash_out_quote_ms: _Ms = 5_000
    cash_out_margin_bp: Annotated[int, Meta(ge=0, le=10_000)] = 300
    # Customers' own limits.
    own_limit_wait_ms: _Ms = 86_400_000
    bonuses_max: _Number = 100
    factors_max: _Number = 100
    # Liability: what the house loses in the worst case.
    liability_selection_max_m: _Sum = 50_000_000
    liability_market_max_m: _Sum = 100_000_000
    liability_fixture_max_m: _Sum = 300_000_000
    liability_customer_max_m: _Sum = 100_000_000
    liability_book_max_m: _Sum = 10_000_000_000
    # Prices.
    price_age_max_ms: _Ms = 21_600_000
    price_age_in_play_max_ms: _Ms = 60_000
    producer_silence_max_ms: _Ms = 20_000
    # Memory.
    retention_ms: _Ms = 600_000
    payment_retention_ms: _Ms = 604_800_000
    archive_after_ms: _Ms = 86_400_000
    answers_max: _Number = 5_000_000
    customers_max: _Number = 5_000_000
    fixtures_max: _Number = 100_000
    levels_max: _Number = 100_000
    markets_per_fixture_max: _Number = 2_000
    selections_per_market_max: _Number = 500
    bets_max: _Number = 10_000_000
    reserves_max: _Number = 1_000_000
    producers_max: _Number = 1_000
    # Work per turn.
    slice_max: _Number = 50
    slice_lines_max: _Number = 2_000
    slice_trades_max: _Number = 2_000

    def __post_init__(self) -> None:
        """Raises ValueError where bounds contradict each other."""
        if self.archive_after_ms < self.retention_ms:
            raise ValueError("archive_after_ms is below retention_ms: the id of a bet could be taken twice")
        if self.archive_after_ms < max(self.offer_max_ms, self.referral_ms):
            raise ValueError(
                "archive_after_ms is below referral_ms or offer_max_ms: a bet could wait for a market that is gone"
            )
