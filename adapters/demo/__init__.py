"""`tictac demo`: the whole system on one machine, with real recordings, simulated fixtures and simulated customers.

Reading order: part (a process of the demo), board (a reader of `odds.>`), customers (what they do) and crowd (their
process), programme (what is played; a process too), figures and view (the screen), servers (the engine as a process and
all it needs), proof (what a bounded run ends with), stage (one run, put together), run (the command).

Nothing here looks into the engine: prices come from `odds.>`, answers from request/reply, the rest from `/metrics`.
"""
