"""A ledger that is listened to: each exchange that ends is told to an exporter, once."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterator
from datetime import datetime
from typing import Final, Protocol

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
from farthing.telemetry.attributes import is_call

__all__ = ["Listener", "TelemetryLedger"]

_logger = logging.getLogger(__name__)

#: ends that are remembered; the same end is said twice within one exchange, if ever
_REMEMBERED: Final = 4_096


class Listener(Protocol):
    """Who is told."""

    def ended(self, row: ExchangeRow) -> None:
        """One exchange has ended."""


class TelemetryLedger:
    """``driver.ports.Ledger`` that passes everything on and tells how exchanges end.

    An exchange whose first attempt failed is told per attempt, and its tokens once: only the
    attempt that was answered has any.
    """

    def __init__(self, ledger: Ledger, listener: Listener) -> None:
        self._ledger = ledger
        self._listener = listener
        self._told: OrderedDict[tuple[str, int, str], None] = OrderedDict()

    def open(self, opened: Opened) -> None:
        """Record an intent."""
        self._ledger.open(opened)

    def settle(self, settlement: Settlement) -> None:
        """Record how an exchange ended, and tell it."""
        self._ledger.settle(settlement)
        try:
            self._tell(settlement)
        except Exception:  # protects the call: what is told of it must never break it
            _logger.exception("telemetry failed", extra={"action": "telemetry.failed"})

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
        """Exchanges."""
        return self._ledger.rows(where)

    def recover(self, now: datetime) -> RecoveryReport:
        """Close what a dead process left open."""
        return self._ledger.recover(now)

    def close(self) -> None:
        """Write what is waiting."""
        self._ledger.close()

    def _tell(self, settlement: Settlement) -> None:
        key = (settlement.exchange_id, settlement.attempts, settlement.state)
        if key in self._told:
            return
        row = self._ledger.row(settlement.exchange_id)
        # Another end stands, so this one was on record already, or came too late.
        if row is None or row.settlement != settlement or not is_call(row):
            return
        self._told[key] = None
        if len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)
        self._listener.ended(row)
