"""The file of budgets beside the ledger: read, watched, and changed by one process at a time.

Why a file and not a table: a ledger has one writer, the gateway that runs; budgets are set by
whoever operates it, also while it runs and also before it ever has. So ``farthing budget``, the
pages of the gateway and a text editor change one file, each whole (a new file takes the old one's
place), and every process that keeps budgets looks whether it has changed.

A file that cannot be read changes nothing: the budgets read last stay in force, and the fault is
said. Only at a start is it an error, because then there are none.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import tzinfo
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from farthing.core.budgets import Budget
from farthing.core.budgets_file import dump_budgets, parse_budgets
from farthing.errors import ConfigError, LedgerError

__all__ = ["BudgetFile", "budgets_path", "zone_of"]

_MODE: Final = 0o600

_Seen = tuple[int, int, int] | None


def budgets_path(ledger: Path) -> Path:
    """Where the budgets of a ledger lie."""
    return ledger.with_name(f"{ledger.name}.budgets.toml")


def zone_of(name: str) -> tzinfo:
    """A time zone by its name in the IANA database."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ConfigError(
            f"there is no time zone {name[:60]!r} here; write one such as 'Europe/Berlin', or "
            "install tzdata where the system has none"
        ) from None


def _checked(text: str) -> bytes:
    """The file that says this, if it can be read again: no change may lock out the next one."""
    try:
        raw = text.encode()
    except UnicodeEncodeError:
        raise ConfigError("that is no text in UTF-8; no budget was changed") from None
    parse_budgets(raw, name="no budget was changed", zone_of=zone_of)
    return raw


class BudgetFile:
    """The budgets of one ledger, as their file says."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: _Seen = None

    def read(self) -> tuple[Budget, ...]:
        """All budgets, the widest scope first; none where there is no file."""
        self._seen = self._look()
        try:
            raw = self.path.read_bytes()
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise ConfigError(f"cannot read {str(self.path)!r}: {error.strerror}") from error
        return parse_budgets(raw, name=str(self.path), zone_of=zone_of)

    def news(self) -> tuple[Budget, ...] | None:
        """All budgets if the file is not the one that was read last; a look costs microseconds."""
        return None if self._look() == self._seen else self.read()

    def change(
        self, change: Callable[[tuple[Budget, ...]], tuple[Budget, ...]]
    ) -> tuple[Budget, ...]:
        """Replace the file by what becomes of its budgets; nobody else changes it meanwhile."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._locked():
                self._replace(_checked(dump_budgets(change(self.read()))))
                return self.read()
        except OSError as error:
            raise LedgerError(
                f"cannot write {str(self.path)!r}: {error.strerror}; no budget was changed"
            ) from error

    def _replace(self, text: bytes) -> None:
        new = self.path.with_name(f"{self.path.name}.{os.getpid()}.new")
        try:
            file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _MODE)
            with os.fdopen(file, "wb") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            new.replace(self.path)
        except OSError:
            with suppress(OSError):
                new.unlink()
            raise

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = os.open(self.path.with_name(f"{self.path.name}.lock"), os.O_RDWR | os.O_CREAT, _MODE)
        try:
            if sys.platform != "win32":  # there, two changes at the same instant: the last one wins
                import fcntl  # noqa: PLC0415 -- does not exist on Windows

                fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _look(self) -> _Seen:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino
