"""For how long shared heads are written: each breakpoint in tools and system by its own gaps.

Theory of operation. A head is presented by every lineage that shares it, so its gaps are those of
all of them. What a lifetime would have cost on each gap is booked per token in the class of its
kind of client and its number among the heads; the lifetime is chosen when the head has to be
written anew, and holds until then. Where nothing asks for a head to be marked, one that nobody has
presented before is not written if the class says that such heads are not presented again: it is at
its second sighting.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from farthing.core.cache_values import CacheCase
from farthing.core.prefix import LIFETIMES, Ttl
from farthing.core.second_sightings import SecondSightings
from farthing.core.ttl_experts import Multipliers, Step
from farthing.core.ttl_tables import Advice

__all__ = ["HeadLifetimes"]

_Key = tuple[str, str, bytes]

_LIVES: Final[dict[Ttl | None, float]] = {
    None: 0.0,
    **{ttl: life.total_seconds() for ttl, life in LIFETIMES.items()},
}


class HeadLifetimes:
    """The lifetime of each head that is in use; the least recently used are forgotten."""

    def __init__(
        self, advice: Advice, sightings: SecondSightings, *, capacity: int = 4_096
    ) -> None:
        self._advice = advice
        self._sightings = sightings
        self._capacity = capacity
        self._chosen: OrderedDict[_Key, Ttl | None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._chosen)

    def choose(self, case: CacheCase, sites: Iterable[int], now: float) -> dict[int, Ttl | None]:
        """For each of these blocks before the messages how long it is written; None: not at all."""
        view = case.ask.view
        asked = {mark.index: mark.ttl for mark in view.marks}
        heads = [index for index in sites if index < view.system_end]
        chosen: dict[int, Ttl | None] = {}
        for number, index in enumerate(heads):
            name = f"{case.ask.kind}/head {number}"
            key = (view.scope, view.model, view.digests[index])
            age = case.path.age_of(index)
            if age is None or age >= _LIVES[self._chosen.get(key)]:
                self._advice.open_epoch((name,))
                is_skipped = index not in asked and _is_new(age)
                is_skipped = is_skipped and self._advice.is_one_shot(name, case.prices)
                ttl = None if is_skipped else self._advice.head((name,), asked.get(index))
                self._keep(key, ttl)
            self._book(key, name, age, case.prices, now)
            chosen[index] = self._chosen[key]
        return chosen

    def _book(
        self, key: _Key, name: str, age: float | None, prices: Multipliers, now: float
    ) -> None:
        step = Step(gap_seconds=age, shared=0.0 if age is None else 1.0, total=1.0)
        self._advice.record((name,), step, prices)
        if _is_new(age):
            self._sightings.first(key, name, now)
        else:
            self._sightings.again(key)

    def _keep(self, key: _Key, ttl: Ttl | None) -> None:
        self._chosen[key] = ttl
        self._chosen.move_to_end(key)
        if len(self._chosen) > self._capacity:
            self._chosen.popitem(last=False)


def _is_new(age: float | None) -> bool:
    """Was it not presented within the longest lifetime?"""
    return age is None or age >= _LIVES["1h"]
