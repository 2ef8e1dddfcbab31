"""A ledger that is watched: each settlement is counted, and logged in one line.

The line has no prompt, no key and no header: ids, sizes, money and codes.
"""

from __future__ import annotations

import logging
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
from farthing.gateway.metrics import Metrics
from farthing.pricing.money import dump_usd

__all__ = ["ObservedLedger"]

_logger = logging.getLogger(__name__)

_BUCKETS = ("uncached", "cache_write_5m", "cache_write_1h", "cache_read", "output")


class ObservedLedger:
    """``driver.ports.Ledger`` that passes everything on and looks at how exchanges end."""

    def __init__(self, ledger: Ledger, metrics: Metrics) -> None:
        self._ledger = ledger
        self._metrics = metrics

    def open(self, opened: Opened) -> None:
        """Record an intent."""
        self._ledger.open(opened)

    def settle(self, settlement: Settlement) -> None:
        """Record how an exchange ended."""
        self._ledger.settle(settlement)
        self._count(settlement)
        if _logger.isEnabledFor(logging.INFO):
            _logger.info("exchange %s", settlement.state, extra=_line(settlement))

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

    def _count(self, settlement: Settlement) -> None:
        metrics, usage = self._metrics, settlement.usage
        metrics.settled(
            settlement.state, overhead_us=settlement.overhead_us, total_us=settlement.total_us
        )
        metrics.noted(settlement.notes)
        if metrics.savings is not None:
            metrics.savings.settled(settlement)
        if usage is not None and settlement.error_type is None:
            cost = settlement.cost
            tokens = {name: getattr(usage, name) for name in _BUCKETS}
            metrics.billed(settlement.model_served, cost.total if cost else None, tokens)


def _line(settlement: Settlement) -> dict[str, object]:
    cost = settlement.cost
    return {
        "action": f"exchange.{settlement.state}",
        "exchange_id": settlement.exchange_id,
        "status": settlement.http_status,
        "model": settlement.model_served,
        "cost_usd": None if cost is None else dump_usd(cost.total),
        "attempts": settlement.attempts,
        "total_ms": settlement.total_us / 1000,
        "overhead_us": settlement.overhead_us,
        "notes": settlement.notes,
    }
