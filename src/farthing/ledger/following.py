"""Exchanges as they end, and one by the beginning of its id: what a person asks while it runs.

Theory of operation. A follower asks the file again and again which rows have ended since. SQLite
says in a single number whether anything was committed at all (``data_version``); only then are the
rows of the last hours looked at, by the index on ``opened_at``, and of them those that ended after
what was told last. An exchange that runs for longer than ``_HORIZON`` is not seen to end.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from farthing.core.records import ExchangeRow
from farthing.ledger.columns import dump_instant
from farthing.ledger.database import open_reader
from farthing.ledger.faults import translated
from farthing.ledger.reading import SELECT_ROWS, row_from

__all__ = ["Follower", "latest_ids", "rows_beginning"]

_HORIZON: Final = timedelta(hours=6)
#: rows reach the file in batches, not quite in the order in which they ended
_OVERLAP: Final = timedelta(minutes=1)
_LAST: Final = "\U0010ffff"


class Follower:
    """Reads one file for as long as it is open; never holds a lock between two questions."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reader = open_reader(path)
        self._version = -1
        #: exchange id → the end that was told, of what ended within the overlap
        self._told: dict[str, str] = {}
        self._ended_from = ""

    def latest(self, count: int, since: datetime | None = None) -> list[ExchangeRow]:
        """The last exchanges that have ended, oldest first; what ends from now on is news."""
        self._version = self._read_version()
        opened_from = "" if since is None else dump_instant(since)
        found = self._ended(
            "opened_at >= ? ORDER BY ended_at DESC, exchange_id DESC LIMIT ?", opened_from, count
        )
        self._mark(self._recent())
        return [row_from(row) for row in reversed(found)]

    def news(self) -> list[ExchangeRow]:
        """What has ended since the last question, in the order it ended."""
        version = self._read_version()
        if version == self._version:
            return []
        self._version = version
        recent = self._recent()
        fresh = [row for row in recent if self._told.get(row["exchange_id"]) != row["ended_at"]]
        self._mark(recent)
        return [row_from(row) for row in fresh]

    def close(self) -> None:
        """Let go of the file."""
        self._reader.close()

    def _recent(self) -> list[sqlite3.Row]:
        with translated(self._path):
            (newest,) = self._reader.execute("SELECT max(opened_at) FROM exchanges").fetchone()
        if newest is None:
            return []
        since = dump_instant(datetime.fromisoformat(newest) - _HORIZON)
        return self._ended(
            "opened_at >= ? AND ended_at >= ? ORDER BY ended_at, exchange_id",
            since,
            self._ended_from,
        )

    def _ended(self, condition: str, *values: str | int) -> list[sqlite3.Row]:
        text = f"{SELECT_ROWS} WHERE ended_at IS NOT NULL AND {condition}"
        with translated(self._path):
            return self._reader.execute(text, values).fetchall()

    def _mark(self, recent: list[sqlite3.Row]) -> None:
        if recent:
            last = datetime.fromisoformat(recent[-1]["ended_at"])
            self._ended_from = dump_instant(last - _OVERLAP)
        self._told = {
            row["exchange_id"]: row["ended_at"]
            for row in recent
            if row["ended_at"] >= self._ended_from
        }

    def _read_version(self) -> int:
        with translated(self._path):
            (version,) = self._reader.execute("PRAGMA data_version").fetchone()
        return int(version)


def rows_beginning(path: Path, prefix: str, *, limit: int) -> list[ExchangeRow]:
    """The exchanges whose id begins so, in the order of their ids; the very id comes alone."""
    text = f"{SELECT_ROWS} WHERE exchange_id >= ? AND exchange_id < ? ORDER BY exchange_id LIMIT ?"
    with closing(open_reader(path)) as reader, translated(path):
        found = reader.execute(text, (prefix, prefix + _LAST, limit)).fetchall()
    if found and found[0]["exchange_id"] == prefix:
        found = found[:1]
    return [row_from(row) for row in found]


def latest_ids(path: Path, *, limit: int) -> list[str]:
    """The ids of the exchanges opened last, newest first."""
    text = "SELECT exchange_id FROM exchanges ORDER BY opened_at DESC LIMIT ?"
    with closing(open_reader(path)) as reader, translated(path):
        return [exchange_id for (exchange_id,) in reader.execute(text, (limit,))]
