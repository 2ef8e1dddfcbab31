"""Single rows and sums read by key: what the ledger asks its own database on the way of a call."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from farthing.core.batch_holds import BatchRows
from farthing.core.records import ExchangeRow, Outcome
from farthing.ledger.budgets_batches import read_batch_holds
from farthing.ledger.faults import translated
from farthing.ledger.money import join
from farthing.ledger.reading import SELECT_ROWS, row_from

__all__ = ["Lookup"]


class Lookup:
    """Reads through one connection; the ledger's lock sees to it that only one thread does."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    def row(self, exchange_id: str) -> ExchangeRow | None:
        """A committed row."""
        found = self._one(f"{SELECT_ROWS} WHERE exchange_id = ?", exchange_id)
        return None if found is None else row_from(found)

    def outcome(self, task_id: str) -> Outcome | None:
        """How a task ended, as far as committed."""
        found = self._one("SELECT outcome, score FROM outcomes WHERE task_id = ?", task_id)
        return None if found is None else Outcome(outcome=found["outcome"], score=found["score"])

    def spent(self, scope: str) -> int:
        """What the committed rows of a scope count for."""
        found = self._one("SELECT spent_usd, spent_pico FROM budgets WHERE scope = ?", scope)
        return 0 if found is None else join(found["spent_usd"], found["spent_pico"]) or 0

    def held(self) -> list[ExchangeRow]:
        """Every committed row that has no ending."""
        with translated(self._path):
            found = self._connection.execute(f"{SELECT_ROWS} WHERE state = 'held'").fetchall()
        return [row_from(row) for row in found]

    def batch_holds(self) -> list[tuple[BatchRows, list[str]]]:
        """What batches hold, with the rows of each that are booked."""
        with translated(self._path):
            return read_batch_holds(self._connection)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def _one(self, text: str, key: str) -> sqlite3.Row | None:
        with translated(self._path):
            found: sqlite3.Row | None = self._connection.execute(text, (key,)).fetchone()
        return found
