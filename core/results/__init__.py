"""What is said of a market's end, which word stands, and what bets are then paid (RULEBOOK 5).

Reading order:

    standing      which word stands, whatever the order of arrival
    settling      results, cancels, rollbacks, voids; bets are paid, markets forgotten
    runners       withdrawals with Rule 4, starting prices
    scoring       settling by score

From a score to results it is core/grading/; an exchange market's positions are settled in core/exchange/clearing.py.
"""
