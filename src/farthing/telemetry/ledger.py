"""A ledger that is listened to: each exchange that ends is told to an exporter, once."""

from __future__ import annotations

import logging
from collections import OrderedDict
from typing import Final, Protocol

from farthing.core.records import ExchangeRow, Settlement
from farthing.driver.passing import PassingLedger
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


class TelemetryLedger(PassingLedger):
    """A ledger in front of another one that tells how exchanges end.

    An exchange whose first attempt failed is told per attempt, and its tokens once: only the
    attempt that was answered has any.
    """

    def __init__(self, ledger: Ledger, listener: Listener) -> None:
        super().__init__(ledger)
        self._listener = listener
        self._told: OrderedDict[tuple[str, int, str], None] = OrderedDict()

    def settle(self, settlement: Settlement) -> None:
        """Record how an exchange ended, and tell it."""
        self._ledger.settle(settlement)
        try:
            self._tell(settlement)
        except Exception:  # protects the call: what is told of it must never break it
            _logger.exception("telemetry failed", extra={"action": "telemetry.failed"})

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
