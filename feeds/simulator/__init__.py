"""Whole fixtures out of a seed, told in the same feed messages as any provider's.

For machines without a network and for load: the engine cannot tell it from a provider. Nothing here knows NATS but
`play`; the rest are plain generators, the same for the same seed, run, start and speed.

Reading order: pricing (chances to prices), market, fixture (what every fixture does), football_markets and football,
race, outright, programme (many fixtures), play (over a session, and the command).

Floats are the model's own; what leaves are integers, made in `pricing.offer`.
"""
