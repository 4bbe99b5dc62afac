"""The engine, pure: no clock, no I/O, no asyncio, no randomness, no float in money or price.

Reading order; a file imports only files above it:

    units          prices and money as integers
    messages/      what goes in and out: rejections, results, commands, queries, feed, events, answers
    grading/       from a score to results (its scores are part of the messages)
    lines          the lines of a bet: how many, what they are worth, what they pay
    grid           what the house loses at each final score
    exchange/      order books, ladders, what orders on other selections imply, starting prices
    limits         every bound of the engine
    refusals       a "no" on its way to the answer
    book           all state
    ledger         which event moves which money
    liability      what the house can lose
    limiting       the limits tree, customers' factors, how fast one may bet
    protection     customers' own limits and exclusions
    rates          what other currencies are worth
    accounts       verbs: customers, payments
    markets        verbs: fixtures, markets, the desk's status and prices
    prospect       what a stake would add to the liabilities
    staking        the stake of a bet against the limits
    bonuses        free bets and deposit matches
    placing        verb: a bet is placed
    pending        verbs: bets that wait, for the clock, a trader or the customer
    positions      what a customer has in an exchange market, and what its worst outcome costs
    counting       what his matches come to by what is known of the market
    matching       whom an order is matched with
    cancelling     verbs: orders cancelled, reduced, taken from who may not bet any more
    orders         verbs: orders placed, replaced, waiting
    batches        verb: many orders at once
    hybrid         the house's own price, laid into an exchange market
    clearing       verbs: an exchange market turns in play, is suspended, settled
    standing       which word on a market stands, whatever the order of arrival
    settling       verbs: results, cancels, rollbacks, voids, forgetting
    runners        verbs: withdrawals with Rule 4, starting prices
    scoring        verb: settling by score
    cashing        verb: cash-out
    feeding        what the feeds say
    queries        questions
    engine         execute, tick, apply
    snapshot       the state as bytes, and its hash
    invariants     what must hold at any time
"""
