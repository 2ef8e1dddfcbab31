"""The durable record of exchanges: in memory for tests, in one SQLite file by default."""

from __future__ import annotations

from farthing.ledger.memory import MemoryLedger
from farthing.ledger.sqlite import SqliteLedger

__all__ = ["MemoryLedger", "SqliteLedger"]
