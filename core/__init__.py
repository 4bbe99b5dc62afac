"""The engine, pure: no clock, no I/O, no asyncio, no randomness, no float in money or price.

Reading order; a file imports only files above it (a folder lists its own):

    units                   prices and money as integers
    messages/rejections     to messages/terms: words that commands and feeds share
    grading/                from a score to results
    messages/commands       to messages/answers: what goes in and out
    betting/lines           the lines of a bet
    risk/grid               what the house loses at each final score
    exchange/ladder         to exchange/starting: order books, and what they imply
    limits                  every bound of the engine
    refusals                a "no" on its way to the answer
    book                    all state
    ledger                  which event moves which money
    rates                   what other currencies are worth
    risk/liability          what the house can lose
    risk/limiting           the limits tree, customers' factors, how fast one may bet
    protection              customers' own limits and exclusions
    accounts                verbs: customers, payments
    markets                 verbs: fixtures, markets, the desk's status and prices
    risk/prospect           what a stake would add to the liabilities
    risk/staking            the stake of a bet against the limits
    betting/                verbs: free bets, bets placed, waiting, cashed out
    exchange/positions      to exchange/clearing, verbs: orders matched, cancelled, settled
    results/                verbs: results, withdrawals, scores; bets are paid
    feeding                 what the feeds say
    queries                 questions
    engine                  execute, tick, apply
    snapshot                the state as bytes, and its hash
    invariants              what must hold at any time
"""
