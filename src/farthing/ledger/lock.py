"""One process per SQLite ledger: a file lock that the kernel drops with the process.

Budgets are held in the memory of the process that writes; two writers would grant the same dollar
twice. The lock is on a file of its own, so readers (``farthing ledger export``) never meet it.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Final

from farthing.errors import LedgerError

__all__ = ["LedgerInUse", "ProcessLock", "owner"]

_MODE: Final = 0o600
#: how long the end of a dead process's last commit is waited for
_LAST_COMMIT_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 0.02
_PRIVATE: Final = getattr(os, "O_CLOEXEC", 0)  # a child would keep the lock


class LedgerInUse(LedgerError):
    """Another process has this ledger open."""

    code = "ledger.in_use"


class ProcessLock:
    """Held from construction until ``close``, or until the process is gone, however it went."""

    def __init__(self, path: Path, *, patience: float = _LAST_COMMIT_SECONDS) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | _PRIVATE, _MODE)
        if not _is_taken(self._file, patience):
            owner = _owner(self._file)
            os.close(self._file)
            raise LedgerInUse(
                f"the ledger is in use by process {owner or 'unknown'} (lock {str(path)!r}): "
                "stop that process, or give this one a ledger of its own; "
                "several gateways on one ledger need Postgres"
            )
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode("ascii"), 0)

    def fileno(self) -> int:
        """The open file: who inherits it holds the lock too."""
        return self._file

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
        return _owner(file)
    finally:
        os.close(file)


def _is_taken(file: int, patience: float = 0.0) -> bool:
    """Take the lock if it is free, or becomes so within ``patience`` seconds of a dead owner.

    A process that was killed may have left a child that finishes its last commit under the lock.
    """
    if sys.platform == "win32":  # best effort there: SQLite's own locks still guard the rows
        return True
    import fcntl  # noqa: PLC0415 -- does not exist on Windows

    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = _owner(file)
            if owner is None or _is_alive(owner) or time.monotonic() >= deadline:
                return False
            time.sleep(_LOOK_SECONDS)
        else:
            return True


def _owner(file: int) -> int | None:
    """Who wrote its number there last; None: nobody yet."""
    text = os.pread(file, 20, 0).strip()
    return int(text) if text.isdigit() else None


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
