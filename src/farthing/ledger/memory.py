"""The ledger that forgets: for tests, and for runs that want no file."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from datetime import datetime

from msgspec.structs import replace

from farthing.core.batches import KnownBatch
from farthing.core.records import (
    ExchangeRow,
    Opened,
    Outcome,
    RecoveryReport,
    RowFilter,
    Settlement,
)
from farthing.errors import EngineBug
from farthing.ledger.budgets import BudgetBook
from farthing.ledger.changes import Change, changed, charge
from farthing.ledger.keeping import KeepsBudgets
from farthing.ledger.recovering import lost, report

__all__ = ["MemoryLedger"]


class MemoryLedger(KeepsBudgets):
    """``driver.ports.Ledger`` in memory; ``rows`` are what another process left."""

    def __init__(self, rows: Iterable[ExchangeRow] = ()) -> None:
        # a ledger is shared by the threads of a sync client
        super().__init__(threading.Lock(), BudgetBook(lambda _: 0))
        self._rows: dict[str, ExchangeRow] = {}
        self._outcomes: dict[str, Outcome] = {}
        self._batches: dict[str, KnownBatch] = {}
        self._orphans: list[ExchangeRow] = []
        for row in rows:
            self._take_over(row)

    def open(self, opened: Opened) -> None:
        """Record an intent."""
        with self._lock:
            self._move(opened.exchange_id, Change(opened=opened))

    def settle(self, settlement: Settlement) -> None:
        """Record how an exchange ended, once, and end its hold."""
        with self._lock:
            if settlement.exchange_id not in self._rows:
                raise EngineBug(f"exchange {settlement.exchange_id!r} ends without an intent")
            self._move(settlement.exchange_id, Change(settlement=settlement))

    def outcome(self, task_id: str, outcome: Outcome) -> None:
        """Record how a task ended; the last word counts."""
        with self._lock:
            self._outcomes[task_id] = outcome.over(self._outcomes.get(task_id))

    def outcome_of(self, task_id: str) -> Outcome | None:
        """How a task ended; None: nobody said."""
        with self._lock:
            return self._outcomes.get(task_id)

    def keep_batch(self, batch: KnownBatch) -> None:
        """Record a batch, or how it ended."""
        with self._lock:
            self._batches[batch.batch_id] = batch
            self._book.batch_kept(batch)

    def batches(self, *, created_from: datetime) -> list[KnownBatch]:
        """The batches on record, oldest first."""
        with self._lock:
            found = [b for b in self._batches.values() if b.created_at >= created_from]
        return sorted(found, key=lambda batch: (batch.created_at, batch.batch_id))

    def row(self, exchange_id: str) -> ExchangeRow | None:
        """One exchange, or None."""
        with self._lock:
            row = self._rows.get(exchange_id)
            return None if row is None else self._judged(row)

    def rows(self, where: RowFilter = RowFilter()) -> Iterator[ExchangeRow]:  # noqa: B008 -- frozen
        """Exchanges in the order they were opened."""
        with self._lock:
            found = [self._judged(row) for row in self._rows.values() if _fits(row, where)]
        found.sort(key=lambda row: (row.opened.opened_at, row.opened.exchange_id))
        yield from found[: where.limit]

    def recover(self, now: datetime) -> RecoveryReport:
        """Close what the rows given at the start left open."""
        with self._lock:
            self._book.expire_batches(now)
            orphans, self._orphans = self._orphans, []
            endings = [lost(row, now) for row in orphans]
            for ending in endings:
                self._move(ending.exchange_id, Change(settlement=ending))
        return report(endings, read_back=0)

    def close(self) -> None:
        """Nothing to let go of."""

    def _take_over(self, row: ExchangeRow) -> None:
        opened = row.opened
        self._rows[opened.exchange_id] = row
        if row.outcome is not None:
            outcome = Outcome(outcome=row.outcome, score=row.score)
            self._outcomes[opened.attribution.task_id] = outcome
        self._book.spend(row, charge(row))
        if row.settlement is None:
            self._orphans.append(row)
            self._book.restore(opened)

    def _move(self, exchange_id: str, change: Change) -> None:
        before = self._rows.get(exchange_id)
        after = changed(before, change)
        if after is None or after is before:
            return
        self._rows[exchange_id] = after
        self._book.moved(before, after)

    def _judged(self, row: ExchangeRow) -> ExchangeRow:
        outcome = self._outcomes.get(row.opened.attribution.task_id)
        if outcome is None:
            return row
        return replace(row, outcome=outcome.outcome, score=outcome.score)


def _fits(row: ExchangeRow, where: RowFilter) -> bool:
    at = row.opened.opened_at
    return (
        (where.opened_from is None or at >= where.opened_from)
        and (where.opened_until is None or at < where.opened_until)
        and (where.task_id is None or row.opened.attribution.task_id == where.task_id)
        and (not where.states or row.state in where.states)
    )
