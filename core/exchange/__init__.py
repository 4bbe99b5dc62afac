"""Exchange markets: customers' backs and lays, matched against each other (RULEBOOK 6).

Reading order; what is pure and knows of no customer's money, market's state or event comes first:

    ladder        which prices an order may have
    orderbook     one selection's orders, and who is matched with whom
    crossing      what the orders on all other selections imply for one
    starting      the price at which orders for the close meet

and then, with core/book.py between them, the verbs:

    positions     what a customer has in a market, and what its worst outcome costs
    counting      what his matches come to by what is known of the market
    matching      whom an order is matched with
    cancelling    orders cancelled, reduced, taken from who may not bet any more
    orders        orders placed, replaced, waiting
    batches       many orders at once
    hybrid        the house's own price, laid into the market
    clearing      the market turns in play, is suspended, settled
"""
