"""Bets with the house: placed, waiting, cashed out (RULEBOOK 2, 3 and 5).

Reading order:

    lines         the lines of a bet: how many, what they are worth, what they pay
    bonuses       free bets and deposit matches
    placing       a bet is placed
    pending       bets that wait, for the clock, a trader or the customer
    cashing       cash-out

What becomes of them once results are known is in core/results/.
"""
