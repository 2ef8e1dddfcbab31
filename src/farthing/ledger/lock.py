"""One process per SQLite ledger: a file lock that the kernel drops with the process.

Budgets are held in the memory of the process that writes; two writers would grant the same dollar
twice. The lock is on a file of its own, so readers (``farthing ledger export``) never meet it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

from farthing.errors import LedgerError

__all__ = ["LedgerInUse", "ProcessLock", "owner"]

_MODE: Final = 0o600
_PRIVATE: Final = getattr(os, "O_CLOEXEC", 0)  # a child would keep the lock


class LedgerInUse(LedgerError):
    """Another process has this ledger open."""

    code = "ledger.in_use"


class ProcessLock:
    """Held from construction until ``close``, or until the process is gone, however it went."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | _PRIVATE, _MODE)
        if not _is_taken(self._file):
            owner = os.pread(self._file, 20, 0).decode("ascii", "replace").strip()
            os.close(self._file)
            raise LedgerInUse(
                f"the ledger is in use by process {owner or 'unknown'} (lock {str(path)!r}): "
                "stop that process, or give this one a ledger of its own; "
                "several gateways on one ledger need Postgres"
            )
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode("ascii"), 0)

    def close(self) -> None:
        """Let the next process in; harmless when repeated."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def owner(path: Path) -> int | None:
    """The process that has the ledger open just now, if any."""
    try:
        file = os.open(path, os.O_RDONLY | _PRIVATE)
    except FileNotFoundError:
        return None
    try:
        if _is_taken(file):  # and let go of again at once
            return None
        return int(os.pread(file, 20, 0) or b"0")
    finally:
        os.close(file)


def _is_taken(file: int) -> bool:
    if sys.platform == "win32":  # best effort there: SQLite's own locks still guard the rows
        return True
    import fcntl  # noqa: PLC0415 -- does not exist on Windows

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
