"""Journal lines become changes of the database, a batch at a time, wherever that is done.

Theory of operation. The queue holds what the journal got, as bytes: an exchange that waits for its
commit is a kilobyte, and not a hundred objects that keep a busy process's memory from being used
again. So a batch is read here, just before it is applied. An ending comes without its intent, which
is in an earlier line; where that was read a moment ago it is put back, and the database need not
be asked for it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from farthing.core.records import Opened
from farthing.ledger.careful import apply_carefully, set_aside
from farthing.ledger.changes import Change, parse_change

__all__ = ["Scribe"]

#: intents whose endings have not come; beyond this many the oldest are read from the database
_INTENTS: Final = 10_000


class Scribe:
    """Applies one batch after the other through one connection."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.connection = connection
        self._path = path
        self._intents = _Intents()

    def apply(self, lines: Sequence[bytes]) -> None:
        """Bring a batch into the database, in one transaction."""
        read = [(line, parse_change(line)) for line in lines]
        changes = [change for _, change in read if change is not None]
        apply_carefully(self.connection, list(self._intents.joined(changes)), self._path)
        for line, change in read:
            if change is None:
                set_aside(line, "it cannot be read", self._path, exchange_id=None)


class _Intents:
    """Intents that have not ended, by exchange id."""

    def __init__(self) -> None:
        self._opened: dict[str, Opened] = {}

    def joined(self, changes: Iterable[Change]) -> Iterator[Change]:
        """The changes, each ending with its intent where that is at hand."""
        for change in changes:
            opened, ending = change.opened, change.settlement
            if ending is not None and opened is None:
                opened = self._opened.pop(ending.exchange_id, None)
                yield change if opened is None else Change(opened=opened, settlement=ending)
                continue
            if opened is not None and ending is None:
                self._opened[opened.exchange_id] = opened
            yield change
        while len(self._opened) > _INTENTS:
            del self._opened[next(iter(self._opened))]
