"""What is known of batches, in memory and on record: the one place where a batch begins and ends.

Rules of this file: a ledger that cannot write costs the record, never the client's call; then the
batch is known until the process ends, and a counter says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Final, Protocol

from farthing.core.batch_holds import BatchRows
from farthing.core.batches import RESULTS_KEPT, BatchBook, BatchEnding, KnownBatch
from farthing.driver.ports import Clock
from farthing.errors import LedgerError

__all__ = ["BatchRegister", "BatchStore"]

_NOT_KEPT: Final = "ledger.batch_failed"


class BatchStore(Protocol):
    """The part of a ledger that keeps batches."""

    def keep_batch(self, batch: KnownBatch) -> None:
        """Record a batch, or how it ended; ``LedgerError`` where it cannot."""

    def batch_counted(self, batch_id: str, succeeded: int) -> None:
        """A batch has ended: what its rows hold is what so many of them can cost."""

    def batch_rows(self) -> list[BatchRows]:
        """What the rows of batches hold that are not over."""

    def batches(self, *, created_from: datetime) -> list[KnownBatch]:
        """The batches on record, oldest first."""


class BatchRegister:
    """Keeps ``BatchBook`` and store alike."""

    def __init__(
        self,
        book: BatchBook,
        store: BatchStore,
        clock: Clock,
        *,
        note: Callable[[str, str], None] = lambda code, exchange_id: None,  # noqa: ARG005  a Note
    ) -> None:
        self._book = book
        self._store = store
        self._clock = clock
        self._note = note
        #: called when a batch was created
        self.created_one: Callable[[], None] = lambda: None

    def load(self) -> None:
        """Know what earlier processes knew."""
        now = self._clock.now()
        self._book.remember(self._store.batches(created_from=now - 2 * RESULTS_KEPT), now=now)
        for rows in self._store.batch_rows():
            self._book.hold(rows)

    @property
    def waiting(self) -> list[KnownBatch]:
        """Those that are neither booked nor lost, oldest first."""
        return self._book.waiting

    def find(self, batch_id: str) -> KnownBatch | None:
        """One batch, if it was created through here."""
        return self._book.find(batch_id)

    def created(self, batch: KnownBatch) -> None:
        """A batch was created; said twice it is one."""
        if self._book.find(batch.batch_id) is None:
            self._keep(batch)
            self.created_one()

    def results_passed(self, batch_id: str) -> bool:
        """Its results were read: is it booked now?"""
        batch = self._book.take_whole(batch_id)
        if batch is None:
            return False
        if batch.ending != "booked":
            self._end(batch, "booked")
        return True

    def has_ended(self, batch_id: str, succeeded: int) -> None:
        """The provider says that it has ended, and how many of its rows cost anything."""
        self._store.batch_counted(batch_id, succeeded)

    def lost(self, batch_id: str) -> None:
        """Its results can no longer be read."""
        batch = self._book.find(batch_id)
        if batch is not None and batch.ending is None:
            self._end(batch, "lost")

    def _end(self, batch: KnownBatch, ending: BatchEnding) -> None:
        self._book.has_ended(batch.batch_id)
        self._keep(replace(batch, ending=ending, ended_at=self._clock.now()))

    def _keep(self, batch: KnownBatch) -> None:
        self._book.remember([batch], now=self._clock.now())
        try:
            self._store.keep_batch(batch)
        except LedgerError:
            self._note(_NOT_KEPT, batch.exchange_id)
