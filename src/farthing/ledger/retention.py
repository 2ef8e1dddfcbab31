"""Old rows go, what they added up to stays."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from farthing.ledger.columns import dump_instant
from farthing.ledger.database import open_writer
from farthing.ledger.faults import translated

__all__ = ["ROWS_FROM", "delete_rows"]

#: the fact that names the first hour whose rows are all there
ROWS_FROM: Final = "rows_from"
#: rows per transaction: the writer's thread gets its turn in between
_CHUNK: Final = 1_000

_NOTE: Final = (
    "INSERT INTO facts (name, text) VALUES (?, ?) ON CONFLICT (name)"
    " DO UPDATE SET text = max(text, excluded.text)"
)
#: what is held or an interval still waits for its ending
_DELETE: Final = (
    "DELETE FROM exchanges WHERE rowid IN (SELECT rowid FROM exchanges"
    " WHERE opened_at < ? AND state NOT IN ('held', 'unsettled') LIMIT ?)"
)
#: a batch is kept for as long as somebody may read its results, and longer than its rows
_BATCHES_KEPT: Final = timedelta(days=30)
_DELETE_BATCHES: Final = "DELETE FROM batches WHERE created_at < ? AND ending IS NOT NULL"


def delete_rows(path: Path, instant: datetime) -> int:
    """Delete ended rows opened before the hour of an instant; how many."""
    hour = dump_instant(instant.astimezone(UTC).replace(minute=0, second=0, microsecond=0))
    deleted = 0
    with closing(open_writer(path)) as connection, translated(path):
        connection.execute(_NOTE, (ROWS_FROM, hour))
        while count := connection.execute(_DELETE, (hour, _CHUNK)).rowcount:
            deleted += count
        connection.execute(_DELETE_BATCHES, (dump_instant(instant - _BATCHES_KEPT),))
    return deleted
