"""The tables against the rebuilt state (adapters/postgres/audit_state.py), a subject a file."""
