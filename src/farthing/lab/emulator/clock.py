"""The emulator's clocks: a virtual one that moves by call, and the machine's.

Two clocks, one interface: ``now`` in seconds since 1970 and ``sleep_until``. On the virtual clock
sleeping costs nothing: it moves the clock to the instant slept for, never back.
"""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from typing import Protocol

from farthing.errors import ConfigError

__all__ = ["Clock", "RealClock", "VirtualClock"]


class Clock(Protocol):
    """Where an emulator's time comes from."""

    def now(self) -> float:
        """Seconds since 1970."""
        ...

    def advance(self, seconds: float) -> float:
        """Move on and say what time it is then."""
        ...

    async def sleep_until(self, instant: float) -> None:
        """Return when it is ``instant``."""
        ...


class VirtualClock:
    """A clock that stands still until it is told to move."""

    def __init__(self, started_at: datetime) -> None:
        self._now = started_at.timestamp()

    def now(self) -> float:
        """Seconds since 1970."""
        return self._now

    def advance(self, seconds: float) -> float:
        """Move on and say what time it is then."""
        if seconds < 0:
            raise ConfigError(
                f"cannot advance the clock by {seconds!r} seconds: time only moves on"
            )
        self._now += seconds
        return self._now

    async def sleep_until(self, instant: float) -> None:
        """Return at once; it is at least ``instant`` then."""
        self._now = max(self._now, instant)


class RealClock:
    """The machine's clock."""

    def now(self) -> float:
        """Seconds since 1970."""
        return time.time()

    def advance(self, seconds: float) -> float:
        """Refused: only a virtual clock can be moved."""
        raise ConfigError(
            f"cannot advance the real clock by {seconds!r} seconds: start with --clock virtual"
        )

    async def sleep_until(self, instant: float) -> None:
        """Sleep on the event loop."""
        delay = instant - time.time()
        if delay > 0:
            await asyncio.sleep(delay)
