"""One refusal is an entry; the same one a million times is an entry per minute.

Theory of operation. The first event of its kind, actor and subject is let through at once. What
equals it within ``seconds`` is counted, and said in one event with ``times`` when the time is over.
Of too many different ones at once, those beyond ``capacity`` count as ``others`` of their kind. So
nothing is left out, and the journal grows with time: not with a client that repeats itself, nor
with one that invents a new name for each call.

Rules of this file: time comes in; what was counted and not yet said is returned by ``close``.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec.structs import replace

from farthing.core.journal_chain import JournalEvent

__all__ = ["Folding"]

_Same = tuple[str, str, str]


@dataclass(slots=True)
class _Counted:
    last: JournalEvent
    since: datetime
    times: int = 0


class Folding:
    """Events in, fewer events out."""

    def __init__(self, *, seconds: float = 60.0, capacity: int = 64) -> None:
        self._pause = timedelta(seconds=seconds)
        self._capacity = capacity
        #: in the order in which their time began
        self._counted: OrderedDict[_Same, _Counted] = OrderedDict()

    def add(self, event: JournalEvent) -> list[JournalEvent]:
        """One event; what is to be written now."""
        same = (event.kind, event.actor, event.subject)
        if same not in self._counted and len(self._counted) >= self._capacity:
            said = self.due(event.at)
            if len(self._counted) >= self._capacity:
                event = replace(event, actor="several", subject="others")
            return said + self._add(event)
        return self._add(event)

    def due(self, now: datetime) -> list[JournalEvent]:
        """What was counted and whose time is over."""
        said = list[JournalEvent]()
        while self._counted:
            same, one = next(iter(self._counted.items()))
            if now - one.since < self._pause:
                break
            del self._counted[same]
            said += _said(one)
        return said

    def close(self) -> list[JournalEvent]:
        """All that was counted."""
        rest, self._counted = self._counted, OrderedDict()
        return [event for one in rest.values() for event in _said(one)]

    def _add(self, event: JournalEvent) -> list[JournalEvent]:
        same = (event.kind, event.actor, event.subject)
        found = self._counted.get(same)
        if found is not None and event.at - found.since < self._pause:
            found.last = event
            found.times += 1
            return []
        said = [] if found is None else _said(found)
        self._counted[same] = _Counted(event, event.at)
        self._counted.move_to_end(same)
        return [*said, event]


def _said(one: _Counted) -> list[JournalEvent]:
    if not one.times:
        return []
    return [replace(one.last, facts={**one.last.facts, "times": one.times})]
