"""The engine, pure: no clock, no I/O, no asyncio, no randomness, no float in money or price.

Reading order; a file imports only files above it:

    units          prices and money as integers
    messages/      what goes in and out: rejections, results, commands, queries, feed, events, answers
    grading/       from a score to results
    limits         every bound of the engine
    refusals       a "no" on its way to the answer
    book           all state
    ledger         which event moves which money
    liability      what the house can lose
    accounts       verbs: customers, payments
    markets        verbs: fixtures, markets, the desk's status and prices
    placing        verb: a bet is placed
    settling       verbs: results, cancels, rollbacks, voids, forgetting
    feeding        what the feeds say
    queries        questions
    engine         execute, tick, apply
    snapshot       the state as bytes, and its hash
    invariants     what must hold at any time
"""
