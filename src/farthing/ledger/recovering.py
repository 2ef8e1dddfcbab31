"""How an exchange ends whose process died: something may have been sent, so it is an interval."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from farthing.core.records import ExchangeRow, RecoveryReport, Settlement

__all__ = ["lost", "report"]

_NAMED: Final = 20


def lost(row: ExchangeRow, now: datetime) -> Settlement:
    """The ending of a held exchange nobody comes back for: at least nothing, at most its worst.

    What the stream had shown by then died with the process, so the lower end is zero. An intent is
    on record before anything is sent; that it was not sent can therefore not be known here.
    """
    return Settlement(
        exchange_id=row.opened.exchange_id,
        state="unsettled",
        ended_at=now,
        low_pico=0,
        high_pico=row.opened.high_pico,
        attempts=row.opened.attempt,
        notes=("ledger.recovered",),
    )


def report(endings: Sequence[Settlement], *, read_back: int) -> RecoveryReport:
    """What recovery says of itself."""
    return RecoveryReport(
        unsettled=len(endings),
        read_back=read_back,
        exchange_ids=tuple(ending.exchange_id for ending in endings[:_NAMED]),
    )
