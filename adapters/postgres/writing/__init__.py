"""How a slice is written (adapters/postgres/tables.py), a subject a file."""
