"""Opening the database file: for the one writer, and for any number of readers."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

from farthing.core.records import ExchangeRow, RowFilter
from farthing.errors import LedgerError
from farthing.ledger.columns import Column, dump_instant
from farthing.ledger.faults import translated
from farthing.ledger.migrating import migrate, migrations, refuse_newer
from farthing.ledger.reading import SELECT_ROWS, row_from

__all__ = ["conditions", "open_reader", "open_writer", "select_rows"]

_MODE: Final = 0o600
_FOLDER_MODE: Final = 0o700
#: how long SQLite itself waits for a lock before it reports one
_BUSY_SECONDS: Final = 2.0


def open_writer(path: Path) -> sqlite3.Connection:
    """The connection that writes: the file made where there is none, its schema brought up."""
    with translated(path):
        path.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        _create(path)
        connection = sqlite3.connect(
            path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            migrate(connection)
        except BaseException:
            connection.close()
            raise
    return connection


def _create(path: Path) -> None:
    """Make the file, readable by its owner only, where there is none.

    A file that is there must not be opened here, not even to be closed again: with that a process
    loses the locks of all its connections to it (POSIX), and the next program that comes and goes
    takes itself for the last one and deletes the write-ahead log under those that write it.
    https://www.sqlite.org/howtocorrupt.html, section 2.2, read 2026-11-21
    """
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, _MODE))


def open_reader(path: Path) -> sqlite3.Connection:
    """A connection that cannot write; ``LedgerError`` if there is no ledger."""
    if not path.is_file():
        raise LedgerError(
            f"there is no ledger at {str(path)!r}: `farthing serve` makes one at its first start; "
            "name another place with --ledger"
        )
    with translated(path):
        connection = sqlite3.connect(
            f"file:{quote(str(path.absolute()))}?mode=ro",
            uri=True,
            timeout=_BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        connection.row_factory = sqlite3.Row
        try:
            refuse_newer(connection, migrations())
        except BaseException:
            connection.close()
            raise
    return connection


def select_rows(path: Path, where: RowFilter) -> Iterator[ExchangeRow]:
    """Rows that fit, in the order they were opened, read as they are asked for."""
    condition, values = conditions(where)
    text = f"{SELECT_ROWS}{condition} ORDER BY opened_at, exchange_id LIMIT ?"
    values = [*values, -1 if where.limit is None else where.limit]
    with closing(open_reader(path)) as reader, translated(path):
        for row in reader.execute(text, values):
            yield row_from(row)


def conditions(where: RowFilter) -> tuple[str, Sequence[Column]]:
    """The WHERE of a filter, all but its limit, and the values for it."""
    found: list[tuple[str, Sequence[Column]]] = []
    if where.opened_from is not None:
        found.append(("opened_at >= ?", [dump_instant(where.opened_from)]))
    if where.opened_until is not None:
        found.append(("opened_at < ?", [dump_instant(where.opened_until)]))
    if where.task_id is not None:
        found.append(("task_id = ?", [where.task_id]))
    if where.states:
        found.append((f"state IN ({', '.join('?' * len(where.states))})", where.states))
    text = " AND ".join(condition for condition, _ in found)
    return f" WHERE {text}" if text else "", [value for _, some in found for value in some]
