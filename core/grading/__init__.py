"""From a score to results: who knows only the score (a desk, a feed) can settle with it.

Reading order:

    verdicts       what can become of a selection; what cannot be graded
    lines          handicaps and totals in quarters
    scores         what a caller has to know: goals, sets, the finish of a race
    football       each market of a match as one function
    tennis         the same, with retirements
    racing         win and places, dead heats, the usual each-way terms
    markets        the table of all market types, and `grade`

Everything is exact and pure. What the score does not decide is an error, never a guess.
"""
