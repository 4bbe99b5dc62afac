"""One question a file, measured over the public protocol; the answers of record stand in LEDGER.md."""
