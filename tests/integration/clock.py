"""A clock that a test moves on, so that it need not wait for what takes minutes."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

__all__ = ["MovableClock"]


class MovableClock:
    """The time of this machine, and what a test has added to it."""

    def __init__(self) -> None:
        self._added_ns = 0

    def advance(self, seconds: float) -> None:
        """Move on."""
        self._added_ns += round(seconds * 1e9)

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(microseconds=self._added_ns // 1000)

    def monotonic_ns(self) -> int:
        return time.monotonic_ns() + self._added_ns
