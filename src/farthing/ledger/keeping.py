"""What a ledger says of its budgets: each question answered under the ledger's own lock.

Rules of this file: nothing here is written; what is held lives in memory, and what is spent follows
from the rows.
"""

from __future__ import annotations

import threading
from datetime import datetime

from farthing.core.batch_holds import BatchRows
from farthing.core.budgets_account import Admitted, Denied, Reservation
from farthing.core.records import Held, Refused
from farthing.ledger.budgets import BudgetBook

__all__ = ["KeepsBudgets"]


class KeepsBudgets:
    """The part of a ledger that all of them have in common."""

    def __init__(self, lock: threading.Lock, book: BudgetBook) -> None:
        self._lock = lock
        self._book = book

    def hold(
        self, scope: str, amount_pico: int, cap_pico: int, *, reservation_id: str, now: datetime
    ) -> Held | Refused:
        """Hold an amount under a cap, atomically."""
        with self._lock:
            return self._book.hold(
                scope, amount_pico, cap_pico, reservation_id=reservation_id, now=now
            )

    def reserve(self, reservation: Reservation, *, now: datetime) -> Admitted | Denied:
        """Hold under several keys, all or none, atomically."""
        with self._lock:
            return self._book.reserve(reservation, now=now)

    def spent_and_held(self, key: str) -> tuple[int, int]:
        """What is spent and held under a key, in 10⁻¹² USD."""
        with self._lock:
            return self._book.spent_and_held(key)

    def release(self, reservation_id: str) -> None:
        """End a hold that led to nothing."""
        with self._lock:
            self._book.release(reservation_id)

    def batch_counted(self, batch_id: str, succeeded: int) -> None:
        """A batch has ended: what its rows hold is what so many of them can cost."""
        with self._lock:
            self._book.batch_counted(batch_id, succeeded)

    def batch_rows(self) -> list[BatchRows]:
        """What the rows of batches hold that are not over."""
        with self._lock:
            return self._book.batch_rows()
