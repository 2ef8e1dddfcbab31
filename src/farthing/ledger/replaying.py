"""Reading back what a dead process had in its journals but perhaps not in the database."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from farthing.ledger.careful import apply_carefully
from farthing.ledger.changes import Change, parse_change
from farthing.ledger.faults import translated
from farthing.ledger.journal import read_lines, segments
from farthing.ledger.retiring import delete_segments

__all__ = ["journaled", "read_back"]

_BATCH: Final = 2_000

_logger = logging.getLogger(__name__)


def read_back(connection: sqlite3.Connection, database: Path) -> int:
    """Apply every journal beside a database, then delete them; how many changes they held."""
    with translated(database):
        old = segments(database)
        changes, count = journaled(old), 0
        while batch := list(islice(changes, _BATCH)):
            apply_carefully(connection, batch, database)
            count += len(batch)
        delete_segments(old)
    return count


def journaled(paths: Iterable[Path]) -> Iterator[Change]:
    """The changes in some segments, oldest first; lines that say nothing are left out."""
    for path in paths:
        unread = 0
        for line in read_lines(path):
            change = parse_change(line)
            if change is None:
                unread += 1
            else:
                yield change
        if unread:
            _logger.warning(
                "%d lines of the journal %s cannot be read: cut short by a full disk, or damaged",
                unread,
                path.name,
                extra={"action": "ledger.journal_unread", "lines": unread},
            )
