"""The machine's own clocks, and ids that sort by when they were made."""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime

__all__ = ["SystemClock", "TimeOrderedIds"]


class SystemClock:
    """Both times of this machine."""

    #: the clock for durations
    monotonic_ns = staticmethod(time.monotonic_ns)

    def now(self) -> datetime:
        """The wall clock, in UTC."""
        return datetime.now(UTC)


class TimeOrderedIds:
    """``ex_<nanoseconds><process>``: later ones sort behind, also where the wall clock jumps back.

    The last part is random, once for a process: two gateways never mint the same id.
    """

    def __init__(self) -> None:
        self._last_ns = 0
        self._process = secrets.token_hex(4)

    def new_id(self, prefix: str) -> str:
        """A new id."""
        self._last_ns = max(self._last_ns + 1, time.time_ns())
        return f"{prefix}_{self._last_ns:016x}{self._process}"
