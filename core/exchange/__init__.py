"""Exchange markets as pure functions and books: customers' backs and lays, matched against each other (RULEBOOK 6).

Reading order; a file imports only files above it:

    ladder      which prices an order may have
    orderbook   one selection's orders, and who is matched with whom
    crossing    what the orders on all other selections imply for one
    starting    the price at which orders for the close meet

Nothing here knows of customers' money, markets' states or events: those are the engine's.
"""
