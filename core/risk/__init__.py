"""What the house can lose, and how much of it a bet may add (RULEBOOK 3 and 4).

Reading order:

    grid          what the markets of a fixture cost at each final score
    liability     what all open bets cost, kept up to date with each of them
    limiting      the limits tree, customers' factors, how fast one may bet
    prospect      what a stake would add to the liabilities
    staking       the stake of a bet against all of it

Nothing here takes or refuses a bet: core/betting/ asks.
"""
