"""What SQLite and the file system report, as a ``LedgerError`` that says who must act."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from farthing.errors import EngineBug, FarthingError, LedgerError

__all__ = ["ledger_fault", "translated"]

_BUSY: Final = (
    "another program holds the database: close what has it open, such as a shell in a transaction"
)
_FULL: Final = "the disk is full: free space on it, or move the ledger"
_READ_ONLY: Final = (
    "it cannot be written: give this user write permission on the file and its folder, "
    "or mount the disk for writing"
)
_DAMAGED: Final = (
    "the file is damaged or no ledger: keep a copy, restore a backup, run `farthing ledger check`"
)
_EARLIER: Final = (
    "it is of an earlier farthing, or no ledger: start `farthing serve` once, which brings it up"
)
_DISK: Final = "the disk reports an error: check the disk and the system's log"

#: SQLite's primary result codes → what the operator should do
_ADVICE: Final = {
    sqlite3.SQLITE_BUSY: _BUSY,
    sqlite3.SQLITE_LOCKED: _BUSY,
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_PERM: _READ_ONLY,
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened: check that the folder exists and is accessible",
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_IOERR: _DISK,
    sqlite3.SQLITE_NOMEM: "memory is exhausted: give the process more",
}
_ERRNO_ADVICE: Final = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: "the user's disk quota is used up: free space, or raise it",
    errno.EROFS: _READ_ONLY,
    errno.EACCES: _READ_ONLY,
    errno.EPERM: _READ_ONLY,
    errno.ENOENT: "the folder does not exist: create it, or name another place",
    errno.EIO: _DISK,
}
#: wrong SQL, wrong types, broken constraints: no operator can mend that
_OURS: Final = (sqlite3.ProgrammingError, sqlite3.IntegrityError, sqlite3.NotSupportedError)
_PRIMARY: Final = 0xFF  # the low byte of SQLite's extended result codes


def ledger_fault(error: sqlite3.Error | OSError, path: Path) -> FarthingError:
    """The error of ours that this foreign one means."""
    if isinstance(error, _OURS):
        return EngineBug(f"the ledger's SQL is wrong ({error}); please report it")
    if isinstance(error, OSError):
        advice = _ERRNO_ADVICE.get(error.errno or 0, _DISK)
        why = error.strerror or type(error).__name__
    else:
        advice = _ADVICE.get(getattr(error, "sqlite_errorcode", 0) & _PRIMARY, _DAMAGED)
        why = str(error)
        if why.startswith("no such"):  # a reader changes nothing, so it cannot bring it up
            advice = _EARLIER
    return LedgerError(f"ledger {str(path)!r}: {why}; {advice}")


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raise what SQLite or the file system raises as our error, with the original as its cause."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise ledger_fault(error, path) from error
