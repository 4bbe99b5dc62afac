"""PostgreSQL: what people query, made from the journal and held against it.

Reading order: connection (connecting, migrations, a bet that the engine has forgotten), orders (the same of an order),
slices and folding/ (events become rows), tables and writing/ (rows are written), projector (follows the journal),
audit, audit_state and comparing/ (tables against the rebuilt state).
"""

from adapters.postgres.connection import AWAY, SCHEMA, MigrationError, bet, connect, migrate, pool
from adapters.postgres.orders import order

__all__ = ["AWAY", "SCHEMA", "MigrationError", "bet", "connect", "migrate", "order", "pool"]
