"""Betfair's Exchange Stream, live or recorded, told as normalised feed messages. Their words end here.

Reading order: stream (their messages, cut out of bytes), market (what they add up to), words (theirs in ours),
normalise (what we say of it), recording (files), replay (a file as a producer, and the command).
"""
