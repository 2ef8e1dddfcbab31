"""Which new prefixes come back: what tells a one-shot from the start of something.

Theory of operation. Whether a prefix is presented again is only known after a while. New ones wait
for five minutes and then count as one-shots; one that returns within the hour after all corrects
its count. Counting at once would take every burst of new conversations for a burst of one-shots,
counting after an hour would write an hour's worth of them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

from farthing.core.prefix import LIFETIMES
from farthing.core.ttl_tables import Advice

__all__ = ["SecondSightings"]

_SOON: Final = LIFETIMES["5m"].total_seconds()
_LATE: Final = LIFETIMES["1h"].total_seconds()

_Waiting = OrderedDict[Hashable, tuple[str, float]]


class SecondSightings:
    """New prefixes of the last hour, at most ``capacity`` of them young and as many older."""

    def __init__(self, advice: Advice, *, capacity: int = 4_096) -> None:
        self._advice = advice
        self._capacity = capacity
        self._young: _Waiting = OrderedDict()
        self._judged: _Waiting = OrderedDict()

    def __len__(self) -> int:
        return len(self._young) + len(self._judged)

    def first(self, key: Hashable, name: str, now: float) -> None:
        """A prefix of this class is presented for the first time."""
        self._judged.pop(key, None)
        self._young[key] = (name, now)
        if len(self._young) > self._capacity:  # too many to follow: as if it had never come
            self._young.popitem(last=False)

    def again(self, key: Hashable) -> None:
        """It is presented again."""
        if key in self._young:
            self._advice.record_new(self._young.pop(key)[0], returned=True)
        elif key in self._judged:
            self._advice.record_late(self._judged.pop(key)[0])

    def lapse(self, now: float) -> None:
        """Judge those that have not come back for five minutes, forget them after an hour."""
        for key, (name, at) in _older(self._young, now - _SOON):
            del self._young[key]
            self._judged[key] = (name, at)
            self._advice.record_new(name, returned=False)
        for key, _ in _older(self._judged, now - _LATE):
            del self._judged[key]
        while len(self._judged) > self._capacity:
            self._judged.popitem(last=False)


def _older(waiting: _Waiting, than: float) -> list[tuple[Hashable, tuple[str, float]]]:
    """Those at the front that came at this time or before."""
    found = []
    for key, entry in waiting.items():
        if entry[1] > than:
            break
        found.append((key, entry))
    return found
