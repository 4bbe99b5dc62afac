"""All that goes in and out of the engine: commands and feed messages in, answers out, events into the journal.

Reading order: rejections, results, commands, feed, events, answers.
"""
