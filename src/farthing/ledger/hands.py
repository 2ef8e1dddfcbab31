"""Who brings changes into the database: a connection of this process, or a child's.

Theory of operation. The writer (``ledger.writer``) decides when a batch is due, and hands it over.
``OwnHand`` applies it here: nothing to start, right for a program whose calls are few. Beside an
event loop under load it is expensive, because SQLite's work and the calls share one interpreter;
there ``ChildHand`` (``ledger.hand_process``) has the same work done by a process of its own.
Either way one batch is under way at a time, and is applied as a whole or not at all.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol

from farthing.ledger.scribe import Scribe

__all__ = ["Hand", "OwnHand", "Writing"]

#: where SQLite's work is done
Writing = Literal["thread", "process"]


class Hand(Protocol):
    """Applies batches of journal lines, one at a time; called by the writer's thread."""

    def apply(self, lines: Sequence[bytes]) -> None:
        """Return once a batch is in the database; ``FarthingError``: it can be given again."""

    def close(self) -> None:
        """Let go of the database; harmless when repeated."""


class OwnHand:
    """Writes through a connection of this process."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.connection = connection
        self._scribe = Scribe(connection, path)

    def apply(self, lines: Sequence[bytes]) -> None:
        """Apply a batch in one transaction."""
        self._scribe.apply(lines)

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()
