"""Fixed policies: one answer for the whole workload, the best of which is only known afterwards."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # also as a script

from farthing.core.prefix import Mark, Ttl
from farthing.lab.replay import Sending, Turn

__all__ = ["FIXED", "Fixed"]


@dataclass(slots=True, kw_only=True)
class Fixed:
    """The client's breakpoints with these lifetimes; where it has none, four good ones."""

    head: Ttl
    tail: Ttl
    _tails: dict[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """As it is printed."""
        return f"head {self.head}, tail {self.tail}"

    def begin(self) -> Fixed:
        """One that remembers no tails."""
        return Fixed(head=self.head, tail=self.tail)

    def observe(self, turn: Turn, usage: object) -> None:
        """Nothing is learned."""

    def plan(self, turn: Turn) -> Sending:
        """Marks of this turn."""
        places = [mark.index for mark in turn.recorded_marks] or self._four(turn)
        return Sending(marks=tuple(self._mark(turn, at) for at in sorted(set(places))))

    def _mark(self, turn: Turn, index: int) -> Mark:
        return Mark(index=index, ttl=self.head if index < turn.system_end else self.tail)

    def _four(self, turn: Turn) -> list[int]:
        """The ends of tools and system, the last turn's tail, this one's."""
        key = turn.recording.conversation.thread_id
        before, last = self._tails.get(key), turn.last_markable
        if last is None:
            return []
        self._tails[key] = last
        ends = [end - 1 for end in (turn.tools_end, turn.system_end) if end]
        return [*ends, *([before] if before is not None and before <= last else []), last]


FIXED: Final = (
    Fixed(head="5m", tail="5m"),
    Fixed(head="1h", tail="5m"),
    Fixed(head="1h", tail="1h"),
)
