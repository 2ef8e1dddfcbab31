"""A ledger in front of another one: for who watches some of what is recorded and changes none.

A subclass overrides what it watches and calls the same method of ``_ledger``.

Rules of this file: it passes on and nothing else; the methods are those of ``driver.ports.Ledger``.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from farthing.core.budgets_account import Admitted, Denied, Reservation
from farthing.core.records import (
    ExchangeRow,
    Held,
    Opened,
    Outcome,
    RecoveryReport,
    Refused,
    RowFilter,
    Settlement,
)
from farthing.driver.ports import Ledger

__all__ = ["PassingLedger"]


class PassingLedger:
    """``driver.ports.Ledger`` that passes everything on."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def open(self, opened: Opened) -> None:
        """Record an intent."""
        self._ledger.open(opened)

    def settle(self, settlement: Settlement) -> None:
        """Record how an exchange ended."""
        self._ledger.settle(settlement)

    def hold(
        self, scope: str, amount_pico: int, cap_pico: int, *, reservation_id: str, now: datetime
    ) -> Held | Refused:
        """Hold an amount under a cap."""
        return self._ledger.hold(
            scope, amount_pico, cap_pico, reservation_id=reservation_id, now=now
        )

    def reserve(self, reservation: Reservation, *, now: datetime) -> Admitted | Denied:
        """Hold under several keys, all or none."""
        return self._ledger.reserve(reservation, now=now)

    def release(self, reservation_id: str) -> None:
        """End a hold."""
        self._ledger.release(reservation_id)

    def outcome(self, task_id: str, outcome: Outcome) -> None:
        """Record how a task ended."""
        self._ledger.outcome(task_id, outcome)

    def row(self, exchange_id: str) -> ExchangeRow | None:
        """One exchange."""
        return self._ledger.row(exchange_id)

    def rows(self, where: RowFilter = RowFilter()) -> Iterator[ExchangeRow]:  # noqa: B008  frozen
        """Exchanges in the order they were opened."""
        return self._ledger.rows(where)

    def recover(self, now: datetime) -> RecoveryReport:
        """Close what a dead process left open."""
        return self._ledger.recover(now)

    def close(self) -> None:
        """Write what is waiting and let go of files."""
        self._ledger.close()
