"""All that goes in and out of the engine.

Reading order:

    rejections     why a command is refused
    results        the result of a selection, and what it makes of a stake
    terms          what makes a market an exchange market
    commands       what is asked for, by customers, the desk, payments
    queries        what is asked about
    feed           what providers say
    events         what has happened: the journal
    answers        what is told
"""
