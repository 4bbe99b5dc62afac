"""`tictac demo`: the whole system on one machine, with real recordings, simulated fixtures and simulated customers.

Reading order: part (a process of the demo), board (a reader of `odds.>`); kinds, slips and profiles (what people bet,
and who they are), customers (what they do), checks and records (what they note of their bets), clerk and crowd (their
process); desk (limits and a trader; a process too), programme (what is played; another one); report, figures, watch and
view (the screen); servers (the engine as a process and all it needs), tables and proof (what a bounded run ends with),
stage (one run, put together), run (the command).

Nothing here looks into the engine: prices come from `odds.>`, answers from request/reply, the rest from `/metrics`.
"""
