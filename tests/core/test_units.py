"""Prices and money as integers, and how people read them (RULEBOOK 1)."""

from __future__ import annotations

import pytest

from core import units


@pytest.mark.parametrize(
    ("numerator", "denominator", "price"),
    [(8, 13, 16_154), (1, 1, 20_000), (23, 20, 21_500), (1, 3, 13_333), (2, 3, 16_667), (100, 1, 1_010_000)],
)
def test_a_fraction_is_rounded_half_up_to_a_ten_thousandth(numerator: int, denominator: int, price: int) -> None:
    assert units.price_from_fraction(numerator, denominator) == price


@pytest.mark.parametrize(
    ("price", "decimal", "fractional", "american"),
    [
        (16_154, "1.6154", "8/13", "-162"),
        (21_500, "2.15", "23/20", "+115"),
        (18_333, "1.8333", "5/6", "-120"),
        (20_000, "2.00", "1/1", "+100"),
        (25_000, "2.50", "6/4", "+150"),
        (10_001, "1.0001", "1/10000", "-1000000"),
        (15_000, "1.50", "1/2", "-200"),
        (23_600, "2.36", "34/25", "+136"),
        (100_000_000, "10000.00", "9999/1", "+999900"),
    ],
)
def test_a_price_is_shown_as_decimal_fraction_and_american(
    price: int, decimal: str, fractional: str, american: str
) -> None:
    assert units.price_decimal(price) == decimal
    assert units.price_fractional(price) == fractional
    assert units.price_american(price) == american
    assert units.price_from_decimal(decimal) == price


@pytest.mark.parametrize(("text", "price"), [("2.15", 21_500), ("3", 30_000), ("1.0001", 10_001), ("2.", 20_000)])
def test_a_decimal_price_is_read_as_people_write_it(text: str, price: int) -> None:
    assert units.price_from_decimal(text) == price


@pytest.mark.parametrize(
    "text", ["", "1", "1.00001", "-2", "+2", "2,15", "NaN", "inf", "1e3", "10000.0001", " 2", "2.1 ", "²", "2.²"]
)
def test_what_is_no_decimal_price_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="price"):
        units.price_from_decimal(text)


@pytest.mark.parametrize(
    ("stake_m", "numerator", "denominator", "payout_m"),
    [
        (1_000, 21_500, 10_000, 2_150),
        (333, 21_500, 10_000, 715),
        (1, 19_999, 10_000, 1),
        (1_000, 0, 1, 0),
        (1_000, 16_154 * 16_154, 10_000**2, 2_609),
    ],
)
def test_a_payout_is_rounded_down(stake_m: int, numerator: int, denominator: int, payout_m: int) -> None:
    assert units.payout_down(stake_m, numerator, denominator) == payout_m


@pytest.mark.parametrize(
    ("payout_m", "price", "stake_m"),
    [(10_000, 23_600, 7_352), (10_000, 20_000, 10_000), (1, 10_001, 10_000), (999, 30_000, 499)],
)
def test_a_stake_within_a_maximum_payout_is_rounded_down(payout_m: int, price: int, stake_m: int) -> None:
    """RULEBOOK 3's published example is the first line: 100.00 net at 2.36 allows 73.52."""
    assert units.stake_down(payout_m, price, 10_000) == stake_m


@pytest.mark.parametrize(
    ("price", "stake_m"),
    [((23_600 * 23_600, 10_000**2), 2_188), ((3, 2), 20_000), ((10_001, 10_000), 100_000_000)],
)
def test_so_is_one_of_several_legs_or_lines(price: tuple[int, int], stake_m: int) -> None:
    assert units.stake_down(10_000, *price) == stake_m


@pytest.mark.parametrize(
    ("amount_m", "rate", "base_m"),
    [(1_000, 1_000_000, 1_000), (1_000, 1_170_000, 1_170), (1, 1_170_000, 2), (1_000, 6_500, 7), (0, 1_170_000, 0)],
)
def test_money_of_an_account_is_never_less_in_the_books_currency(amount_m: int, rate: int, base_m: int) -> None:
    assert units.base_up(amount_m, rate) == base_m


@pytest.mark.parametrize(
    ("base_m", "rate", "amount_m"),
    [(1_000, 1_000_000, 1_000), (1_000, 1_170_000, 854), (1, 1_170_000, 0), (1_000, 6_500, 153_846)],
)
def test_a_limit_of_the_book_is_never_passed_in_an_accounts_currency(base_m: int, rate: int, amount_m: int) -> None:
    assert units.account_down(base_m, rate) == amount_m
    assert units.base_up(amount_m, rate) <= base_m < units.base_up(amount_m + 1, rate)


@pytest.mark.parametrize(
    ("amount_m", "currency", "text"),
    [
        (1_000, "EUR", "10.00 EUR"),
        (-5, "EUR", "-0.05 EUR"),
        (123_450, "EUR", "1,234.50 EUR"),
        (1_000, "JPY", "1,000 JPY"),
        (1_234, "KWD", "1.234 KWD"),
        (0, "GBP", "0.00 GBP"),
    ],
)
def test_money_is_shown_with_its_currency(amount_m: int, currency: str, text: str) -> None:
    assert units.money_text(amount_m, currency) == text
