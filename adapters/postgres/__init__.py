"""PostgreSQL: what people query, made from the journal and held against it.

Reading order: connection (connecting, migrations, a bet that the engine has forgotten), slices (events become rows),
tables (rows are written), projector (follows the journal), audit_state and audit (tables against the rebuilt state).
"""

from adapters.postgres.connection import AWAY, SCHEMA, MigrationError, bet, connect, migrate, pool

__all__ = ["AWAY", "SCHEMA", "MigrationError", "bet", "connect", "migrate", "pool"]
