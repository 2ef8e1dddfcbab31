"""When which batch is to be asked about: a machine that is told the time and what was answered.

Theory of operation. Most batches end within the hour and all within a day (API facts, section 3),
so a young batch is asked about often and an old one rarely: after a tenth of its age, at least
``first_seconds`` and at most a quarter of an hour. A question that fails waits twice as long each
time. Nobody is asked about a batch whose results are gone.

Rules of this file: no clock and no I/O. Waiting is measured by the monotonic clock, so a wall clock
that jumps neither floods the provider nor silences us; a batch's age is the wall's, because it
outlives processes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from farthing.core.batches import RESULTS_KEPT, KnownBatch
from farthing.core.exchange_call import Moment

__all__ = ["BatchPolling"]

_SECOND: Final = 10**9
_AGE_SHARE: Final = 0.1
_LONGEST_SECONDS: Final = 900.0
#: results that cannot be booked may be large: they are not read again every hour
_LONGEST_AFTER_FAILURES: Final = 6 * 3600.0


@dataclass(slots=True)
class _Watched:
    created_at: datetime
    due_ns: int
    failures: int = 0


class BatchPolling:
    """The batches that wait for their end, and when each is due."""

    def __init__(self, *, first_seconds: float) -> None:
        self._first_seconds = first_seconds
        self._watched: dict[str, _Watched] = {}

    def watch(self, batches: Iterable[KnownBatch], now: Moment) -> None:
        """Wait for these; those that are waited for already keep their turn."""
        for batch in batches:
            if batch.batch_id not in self._watched:
                due = now.ns + round(self._first_seconds * _SECOND)
                self._watched[batch.batch_id] = _Watched(batch.created_at, due)

    def forget(self, batch_id: str) -> None:
        """It is booked, or lost."""
        self._watched.pop(batch_id, None)

    def due(self, now: Moment) -> list[str]:
        """The batches to ask about now, the longest due first."""
        found = [(w.due_ns, name) for name, w in self._watched.items() if w.due_ns <= now.ns]
        return [name for _, name in sorted(found)]

    def seconds_until_due(self, now: Moment) -> float | None:
        """How long there is nothing to do; None: until a batch is created."""
        if not self._watched:
            return None
        first = min(watched.due_ns for watched in self._watched.values())
        return max(0.0, (first - now.ns) / _SECOND)

    def is_gone(self, batch_id: str, now: Moment) -> bool:
        """Are its results past reading?"""
        watched = self._watched.get(batch_id)
        return watched is not None and now.at - watched.created_at > RESULTS_KEPT

    def runs(self, batch_id: str, now: Moment) -> None:
        """It has not ended yet."""
        watched = self._watched.get(batch_id)
        if watched is not None:
            age = max(0.0, (now.at - watched.created_at).total_seconds())
            pause = min(max(self._first_seconds, age * _AGE_SHARE), _LONGEST_SECONDS)
            watched.failures = 0
            watched.due_ns = now.ns + round(pause * _SECOND)

    def failed(self, batch_id: str, now: Moment) -> None:
        """It could not be asked about, or its results not be booked."""
        watched = self._watched.get(batch_id)
        if watched is not None:
            watched.failures += 1
            # the exponent has an end: a float does not
            pause = self._first_seconds * 2.0 ** min(watched.failures, 30)
            watched.due_ns = now.ns + round(min(pause, _LONGEST_AFTER_FAILURES) * _SECOND)
