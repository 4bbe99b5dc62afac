"""The outside: NATS, the journal, Postgres, Redis, HTTP, the command line. core/ knows none of it."""
