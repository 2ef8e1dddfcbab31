"""A ledger that is watched: each settlement is counted, and logged in one line.

The line has no prompt, no key and no header: ids, sizes, money and codes.
"""

from __future__ import annotations

import logging

from farthing.core.records import Settlement
from farthing.driver.passing import PassingLedger
from farthing.driver.ports import Ledger
from farthing.gateway.metrics import Metrics
from farthing.pricing.money import dump_usd

__all__ = ["ObservedLedger"]

_logger = logging.getLogger(__name__)


class ObservedLedger(PassingLedger):
    """A ledger in front of another one that looks at how exchanges end."""

    def __init__(self, ledger: Ledger, metrics: Metrics) -> None:
        super().__init__(ledger)
        self._metrics = metrics

    def settle(self, settlement: Settlement) -> None:
        """Record how an exchange ended."""
        self._ledger.settle(settlement)
        self._count(settlement)
        if _logger.isEnabledFor(logging.INFO):
            _logger.info("exchange %s", settlement.state, extra=_line(settlement))

    def _count(self, settlement: Settlement) -> None:
        metrics, usage = self._metrics, settlement.usage
        metrics.settled(
            settlement.state, overhead_us=settlement.overhead_us, total_us=settlement.total_us
        )
        if settlement.notes:
            metrics.noted(settlement.notes)
        if metrics.savings is not None and settlement.accounting is not None:
            metrics.savings.settled(settlement)
        cost = None if settlement.cost is None else settlement.cost.total
        # what was cut has no price yet, which is not the same as none; what failed has no usage
        is_final = settlement.state == "settled" and (settlement.error_type is None or bool(cost))
        if usage is not None and is_final:
            metrics.billed(settlement.model_served, cost, usage)


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
