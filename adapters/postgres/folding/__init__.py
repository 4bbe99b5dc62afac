"""What each event adds to a slice (adapters/postgres/slices.py), a subject a file."""
