"""The ledgers that a program's middleware books into: one for each file, whoever asks first.

Theory of operation. A SQLite ledger has one process. Inside a process every ``Farthing()`` on the
same file shares one ledger, which is closed when the last of them is, or at exit. Another process
on the same file (a gateway, a second worker of a web server) is no reason to refuse work: unless
the file was named in code, the next free one beside it is taken (``farthing.ledger.place``). As
many files come to be as there are processes at once.

A forked child starts with none: the parent's are the parent's.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from farthing.driver.system import SystemClock
from farthing.errors import LedgerError
from farthing.ledger import SqliteLedger
from farthing.ledger.lock import LedgerInUse
from farthing.ledger.place import MOST_LEDGERS, ledger_places

__all__ = ["open_shared", "release_shared"]

_logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Shared:
    ledger: SqliteLedger
    users: int


class _Registry:
    """The open ledgers of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: by the file that was asked for
        self._open: dict[Path, _Shared] = {}

    def open(self, path: Path, *, may_move: bool) -> SqliteLedger:
        """The ledger for a file."""
        with self._lock:
            shared = self._open.get(path)
            if shared is None:
                shared = self._open[path] = _Shared(_opened(path, may_move=may_move), users=0)
            shared.users += 1
            return shared.ledger

    def release(self, ledger: SqliteLedger) -> None:
        """One user less."""
        with self._lock:
            for path, shared in list(self._open.items()):
                if shared.ledger is ledger:
                    shared.users -= 1
                    if not shared.users:
                        del self._open[path]
                        ledger.close()

    def close_all(self) -> None:
        """The program ends."""
        with self._lock:
            for shared in self._open.values():
                try:
                    shared.ledger.close()
                except LedgerError as error:  # its rows are in the journal
                    _logger.warning("%s", error, extra={"action": "ledger.not_closed"})
            self._open.clear()

    def forget(self) -> None:
        """A child was forked: nothing of this is its own, not even the lock's state."""
        self._lock = threading.Lock()
        self._open = {}


_registry: Final = _Registry()
atexit.register(_registry.close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_registry.forget)


def open_shared(path: Path, *, may_move: bool) -> SqliteLedger:
    """The ledger of this process for a file; ``may_move``: or for one beside it."""
    return _registry.open(path.absolute(), may_move=may_move)


def release_shared(ledger: SqliteLedger) -> None:
    """It is needed here no more."""
    _registry.release(ledger)


def _opened(path: Path, *, may_move: bool) -> SqliteLedger:
    for place in ledger_places(path) if may_move else [path]:
        try:
            ledger = SqliteLedger(place)
        except LedgerInUse:
            if not may_move:
                raise
            continue
        ledger.recover(SystemClock().now())
        if place != path:
            _logger.info(
                "%s is in use by another process: booking into %s",
                path,
                place,
                extra={"action": "ledger.moved"},
            )
        return ledger
    raise LedgerError(
        f"{MOST_LEDGERS} processes have ledgers beside {str(path)!r}: let them use a gateway, "
        "or give them ledgers of their own with farthing.Farthing(ledger=…)"
    )
