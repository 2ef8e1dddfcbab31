"""Numbered migrations: SQL files of this package, each applied and recorded in one transaction."""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from farthing.errors import LedgerError

__all__ = ["Migration", "applied_number", "migrate", "migrations", "refuse_newer", "statements"]

_NAME: Final = re.compile(r"(\d{4})_(\w+)\.sql", re.ASCII)
_RECORDS: Final = """\
CREATE TABLE IF NOT EXISTS migrations (
    number INTEGER NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    sha256 TEXT NOT NULL
) STRICT"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One step from a schema to the next; never edited once released."""

    number: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        """What the record keeps, so that an edited migration can be told."""
        return hashlib.sha256(self.sql.encode("utf-8")).hexdigest()


def migrations() -> tuple[Migration, ...]:
    """All that ship with this version, in order."""
    found = []
    for entry in (files("farthing.ledger") / "migrations").iterdir():
        name = _NAME.fullmatch(entry.name)
        if name:
            sql = entry.read_text("utf-8")
            found.append(Migration(number=int(name[1]), name=name[2], sql=sql))
    return tuple(sorted(found, key=lambda migration: migration.number))


def applied_number(connection: sqlite3.Connection) -> int:
    """The last migration in the database; 0 where there is none."""
    known = connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'migrations'").fetchone()
    if known is None:
        return 0
    (number,) = connection.execute("SELECT coalesce(max(number), 0) FROM migrations").fetchone()
    return int(number)


def migrate(
    connection: sqlite3.Connection, wanted: tuple[Migration, ...] | None = None
) -> list[int]:
    """Bring the database to this version; the numbers applied now.

    The connection must be in autocommit mode: transactions are begun and ended here.
    """
    steps = migrations() if wanted is None else wanted
    refuse_newer(connection, steps)
    connection.execute(_RECORDS)
    applied = applied_number(connection)
    todo = [step for step in steps if step.number > applied]
    return [step.number for step in todo if _apply(connection, step)]


def refuse_newer(connection: sqlite3.Connection, steps: tuple[Migration, ...]) -> None:
    """Raise where the database was written by a later farthing."""
    newest = max((step.number for step in steps), default=0)
    applied = applied_number(connection)
    if applied > newest:
        raise LedgerError(
            f"the ledger has schema {applied}, this farthing knows up to {newest}: it was written "
            "by a later version; upgrade farthing, or give this one another ledger"
        )


def statements(sql: str) -> Iterator[str]:
    """The statements of a file one by one: ``executescript`` would end our transaction."""
    piece = ""
    for line in sql.splitlines(keepends=True):
        if not piece and (not line.strip() or line.lstrip().startswith("--")):
            continue
        piece += line
        if sqlite3.complete_statement(piece):
            yield piece.strip()
            piece = ""
    assert not piece.strip(), f"a statement without its end: {piece[:80]!r}"


def _apply(connection: sqlite3.Connection, step: Migration) -> bool:
    """Take one step; False where another process has just taken it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        if applied_number(connection) >= step.number:  # asked again, now that nobody else writes
            connection.execute("ROLLBACK")
            return False
        for statement in statements(step.sql):
            connection.execute(statement)
        connection.execute(
            "INSERT INTO migrations VALUES (?, ?, ?)", (step.number, step.name, step.sha256)
        )
        connection.execute("COMMIT")
    except BaseException:  # whatever it was, no half of a step may stay
        connection.execute("ROLLBACK")
        raise
    return True
