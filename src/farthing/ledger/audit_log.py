"""The journal of decisions, in memory and in the ledger's file: append, read, verify.

Theory of operation. Appending is one immediate transaction: read the head, write the entry, advance
the head. Processes take turns by SQLite's lock, so a command that raises a budget and a gateway
that refuses a call write one chain. What is written survives a killed process; the last entries
before a power cut can be lost, together with the head that names them, so the chain stays sound.

Retention does not delete from here, and triggers refuse whoever tries. What the seals show, and
what they cannot: ``core.journal_chain``.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from farthing.core.journal_chain import (
    Entry,
    Head,
    JournalEvent,
    JournalKind,
    Verification,
    appended,
    dump_event,
    parse_event,
    seal_of,
    verify_chain,
)
from farthing.ledger.database import open_reader, open_writer
from farthing.ledger.faults import translated

__all__ = ["AuditLog", "MemoryAuditLog", "SqliteAuditLog", "read_events", "verify_file"]

_HEAD: Final = "SELECT count, digest, seal FROM audit_head"
#: as bytes: what somebody put there need not be text
_ENTRIES: Final = "SELECT number, CAST(event AS BLOB), digest FROM audit_log ORDER BY number"
_LAST: Final = (
    "SELECT CAST(event AS BLOB) FROM audit_log WHERE event ->> '$.kind' = ?"
    " ORDER BY number DESC LIMIT 1"
)
_INSERT: Final = "INSERT INTO audit_log (number, event, digest) VALUES (?, ?, ?)"
_ADVANCE: Final = (
    "INSERT INTO audit_head (only, count, digest, seal) VALUES (1, ?, ?, ?) ON CONFLICT (only)"
    " DO UPDATE SET count = excluded.count, digest = excluded.digest, seal = excluded.seal"
)
_IS_THERE: Final = "SELECT 1 FROM sqlite_schema WHERE name = 'audit_log'"


class AuditLog(Protocol):
    """Where decisions are recorded; ``LedgerError`` where they cannot be."""

    def append(self, event: JournalEvent) -> Head:
        """Record one; the head after it."""

    def events(self, since: datetime | None = None) -> Iterator[JournalEvent]:
        """What was recorded, in order; ``since``: what happened from then on."""

    def last(self, kind: JournalKind) -> JournalEvent | None:
        """The newest event of a kind."""

    def verify(self, noted: Head | None = None) -> Verification:
        """Is everything as it was written? ``noted``: a head from an earlier day."""

    def close(self) -> None:
        """Let go of files."""


class MemoryAuditLog:
    """A journal that lives as long as the process."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._lock = threading.Lock()  # a store is shared by threads
        self._entries: list[Entry] = []
        self._head: Head | None = None

    def append(self, event: JournalEvent) -> Head:
        """Record one; the head after it."""
        with self._lock:
            entry, self._head = appended(self._key, self._head, dump_event(event))
            self._entries.append(entry)
            return self._head

    def events(self, since: datetime | None = None) -> Iterator[JournalEvent]:
        """What was recorded, in order."""
        with self._lock:
            entries = tuple(self._entries)
        return _events(entries, since)

    def last(self, kind: JournalKind) -> JournalEvent | None:
        """The newest event of a kind."""
        found = (event for event in reversed(list(self.events())) if event.kind == kind)
        return next(found, None)

    def verify(self, noted: Head | None = None) -> Verification:
        """Is everything as it was written?"""
        with self._lock:
            head = self._head
            seal = None if head is None else seal_of(self._key, head)
            return verify_chain(self._key, self._entries, head=head, seal=seal, noted=noted)

    def close(self) -> None:
        """Nothing to let go of."""


class SqliteAuditLog:
    """The journal in the ledger's file, through a connection of its own."""

    def __init__(self, path: Path, key: bytes) -> None:
        self._path = path
        self._key = key
        self._connection = open_writer(path)
        # One connection is shared by threads; a transaction belongs to one of them.
        self._lock = threading.Lock()

    def append(self, event: JournalEvent) -> Head:
        """Record one; the head after it."""
        text = dump_event(event)
        with self._lock, translated(self._path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                head, _ = _head(self._connection)
                entry, after = appended(self._key, head, text)
                self._connection.execute(_INSERT, (entry.number, text.decode(), entry.digest))
                seal = seal_of(self._key, after)
                self._connection.execute(_ADVANCE, (after.count, after.digest, seal))
                self._connection.execute("COMMIT")
            except BaseException:  # whatever it was, no half of an entry may stay
                self._connection.execute("ROLLBACK")
                raise
            return after

    def events(self, since: datetime | None = None) -> Iterator[JournalEvent]:
        """What was recorded, in order."""
        return read_events(self._path, since)

    def last(self, kind: JournalKind) -> JournalEvent | None:
        """The newest event of a kind."""
        with self._lock, translated(self._path):
            row = self._connection.execute(_LAST, (kind,)).fetchone()
        return None if row is None else parse_event(row[0])

    def verify(self, noted: Head | None = None) -> Verification:
        """Is everything as it was written?"""
        return verify_file(self._path, self._key, noted=noted)

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._connection.close()


def read_events(path: Path, since: datetime | None = None) -> Iterator[JournalEvent]:
    """The journal of a ledger that somebody else may be writing."""
    with closing(open_reader(path)) as reader, translated(path):
        if _is_there(reader):
            yield from _events(_entries(reader), since)


def verify_file(path: Path, key: bytes, *, noted: Head | None = None) -> Verification:
    """Verify the journal of a ledger that somebody else may be writing."""
    with closing(open_reader(path)) as reader, translated(path):
        if not _is_there(reader):
            return verify_chain(key, (), head=None, seal=None, noted=noted)
        reader.execute("BEGIN")  # entries and head of one instant
        head, seal = _head(reader)
        return verify_chain(key, _entries(reader), head=head, seal=seal, noted=noted)


def _is_there(reader: sqlite3.Connection) -> bool:
    """A ledger of an earlier version has no journal; a reader does not bring it up."""
    return reader.execute(_IS_THERE).fetchone() is not None


def _head(connection: sqlite3.Connection) -> tuple[Head | None, bytes | None]:
    row = connection.execute(_HEAD).fetchone()
    return (None, None) if row is None else (Head(count=row[0], digest=row[1]), row[2])


def _entries(connection: sqlite3.Connection) -> Iterator[Entry]:
    for number, event, digest in connection.execute(_ENTRIES):
        yield Entry(number=number, event=event, digest=digest)


def _events(
    entries: Iterator[Entry] | tuple[Entry, ...], since: datetime | None
) -> Iterator[JournalEvent]:
    for entry in entries:
        event = parse_event(entry.event)
        if since is None or event.at >= since:
            yield event
