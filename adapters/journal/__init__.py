"""The journal: everything that is true, as a JetStream stream of events.

Reading order: stream (what JetStream is asked), reader, writer (group commit and the fence), snapshots (the
state beside it, from which a restart begins).
"""

from adapters.journal.reader import JournalError, JournalShortenedError, Source, Stored, follow, last_sequence, read
from adapters.journal.stream import create, shorten
from adapters.journal.writer import Journal, JournalStoppedError, Stop, Stopped

__all__ = [
    "Journal",
    "JournalError",
    "JournalShortenedError",
    "JournalStoppedError",
    "Source",
    "Stop",
    "Stopped",
    "Stored",
    "create",
    "follow",
    "last_sequence",
    "read",
    "shorten",
]
