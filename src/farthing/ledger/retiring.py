"""When a segment of the journal may go: once the database has everything that is in it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from farthing.ledger.journal import Journal, segments

__all__ = ["Retiring", "delete_segments"]


class Retiring:
    """The journal in use, and the segments before it that wait for their last commit."""

    def __init__(self, journal: Journal, database: Path) -> None:
        self.journal = journal
        self._database = database
        self._old: list[Path] = []
        #: the count of changes at which everything in ``_old`` is committed
        self._goal = 0

    def rotate(self, added: int) -> None:
        """Begin a segment; all before it may go when ``added`` changes are in the database."""
        self._old = self.journal.rotate()
        self._goal = added

    def turn(self, *, added: int, done: int) -> None:
        """After each commit: drop what is applied, begin a segment if this one is full."""
        if self._old and done >= self._goal:
            delete_segments(self._old)
            self._old = []
        if self.journal.is_full and not self._old:
            self.rotate(added)

    def close(self, *, is_done: bool) -> None:
        """Close the journal; with everything in the database, nothing of it stays."""
        self.journal.close()
        if is_done:
            delete_segments(segments(self._database))


def delete_segments(paths: Iterable[Path]) -> None:
    """Delete segments, oldest first, so that a crash between two leaves the newer ones."""
    for path in paths:
        path.unlink(missing_ok=True)
