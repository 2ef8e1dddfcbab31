"""What the driver needs to keep lineage pins and learned tables: one protocol, two adapters.

Both kinds of row are decided by comparing: of two replicas that choose for one lineage, or save one
table, at the same time, exactly one wins, and both learn which.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from farthing.core.pins import LineagePin

__all__ = ["LearnedTable", "PinStore"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedTable:
    """One learned table as it rests; ``version`` counts how often it was saved."""

    name: str
    version: int
    saved_at: datetime
    body: bytes


class PinStore(Protocol):
    """Pins and learned tables; ``LedgerError`` where they cannot be read or written."""

    def pin(self, lineage_id: str, now: datetime) -> LineagePin | None:
        """The pin of a lineage, or None; a pin that is asked for does not expire."""

    def keep(self, pin: LineagePin, now: datetime) -> LineagePin:
        """Record a pin where there is none, or where the one on record is the epoch before.

        What is on record afterwards: ours, or that of whoever came first.
        """

    def expire(self, unused_since: datetime) -> int:
        """Forget pins that nobody asked for since; how many."""

    def table(self, name: str) -> LearnedTable | None:
        """A learned table, or None."""

    def save_table(self, name: str, body: bytes, *, based_on: int, now: datetime) -> bool:
        """Save a table made from version ``based_on`` (0: there was none).

        False: another replica saved one in between; load it, learn on, save again.
        """

    def close(self) -> None:
        """Let go of files."""
