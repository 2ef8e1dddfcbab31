"""Which new prefixes come back: what tells a one-shot from the start of something.

Theory of operation. Whether a prefix is presented again within the hour is only known after that
time, so new ones wait until they return or the time is over. Counting them at once would take every
burst of new conversations for a burst of one-shots. Where too many are waiting, the oldest is
judged early, but not before five minutes have passed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

from farthing.core.prefix import LIFETIMES
from farthing.core.ttl_tables import Advice

__all__ = ["SecondSightings"]

_LIFE: Final = LIFETIMES["1h"].total_seconds()
_LEAST: Final = LIFETIMES["5m"].total_seconds()


class SecondSightings:
    """New prefixes of the last hour, at most ``capacity`` of them."""

    def __init__(self, advice: Advice, *, capacity: int = 4_096) -> None:
        self._advice = advice
        self._capacity = capacity
        self._waiting: OrderedDict[Hashable, tuple[str, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._waiting)

    def first(self, key: Hashable, name: str, now: float) -> None:
        """A prefix of this class is presented for the first time."""
        self._waiting[key] = (name, now)
        if len(self._waiting) > self._capacity:
            _, (oldest, at) = self._waiting.popitem(last=False)
            if now - at >= _LEAST:
                self._advice.record_new(oldest, returned=False)

    def again(self, key: Hashable) -> None:
        """It is presented again."""
        found = self._waiting.pop(key, None)
        if found is not None:
            self._advice.record_new(found[0], returned=True)

    def lapse(self, now: float) -> None:
        """Those that are too old will not be read any more."""
        while self._waiting:
            key, (name, at) = next(iter(self._waiting.items()))
            if now - at < _LIFE:
                return
            del self._waiting[key]
            self._advice.record_new(name, returned=False)
