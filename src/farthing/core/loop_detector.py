"""Sees an agent repeat itself exactly: the same cycle of calls, several times in a row.

Theory of operation
-------------------
For each cycle length ``l`` up to the limit one number is kept: how many of the latest signatures in
a row equal the one ``l`` steps before. ``(repeats - 1) × l`` of them are ``repeats`` copies of a
block of length ``l``, complete with this very call. The shortest such length is the cycle's
primitive one (a loop over one call is not reported as a loop over two). A step costs as many
comparisons as the limit, and so much is remembered, however long the agent runs.

What is a *call* is the caller's choice: the detector compares signatures for equality, nothing
else. A signature without the call's result also fires on honest polling.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass

__all__ = ["LoopDetector", "LoopMatch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopMatch:
    """A cycle and how many complete copies of it, in a row, end with the latest call."""

    cycle: tuple[Hashable, ...]
    repeats: int


class LoopDetector:
    """Watches one session; make one per session, or ``reset`` it.

    >>> detector = LoopDetector(repeats=3, max_cycle_len=3)
    >>> [detector.record(("read_file", "a.py")) for _ in range(3)]
    [None, None, LoopMatch(cycle=(('read_file', 'a.py'),), repeats=3)]

    It goes on answering while the loop goes on, and stops when something else is called::

    >>> detector.record(("read_file", "a.py")).repeats
    4
    >>> detector.record(("run_tests",)) is None
    True
    """

    __slots__ = ("_latest", "_max_cycle_len", "_repeats", "_runs")

    def __init__(self, *, repeats: int = 3, max_cycle_len: int = 3) -> None:
        if repeats < 2:
            raise ValueError(f"repeats={repeats!r}: a loop is at least 2 copies")
        if max_cycle_len < 1:
            raise ValueError(f"max_cycle_len={max_cycle_len!r}: a cycle is at least 1 call")
        self._repeats = repeats
        self._max_cycle_len = max_cycle_len
        self.reset()

    def reset(self) -> None:
        """Forget all calls, as at the start of a session."""
        #: newest first
        self._latest: deque[Hashable] = deque(maxlen=self._max_cycle_len)
        #: at index ``l - 1``: how many calls in a row equal the one ``l`` steps before
        self._runs = [0] * self._max_cycle_len

    def record(self, sig: Hashable) -> LoopMatch | None:
        """Note a call by its signature; a match if it completes the last copy that was missing."""
        hash(sig)  # a list or dict could change behind our back: refused like a dict's key
        for step, before in enumerate(self._latest):
            self._runs[step] = self._runs[step] + 1 if before == sig else 0
        self._latest.appendleft(sig)
        for length, run in enumerate(self._runs, start=1):
            if run >= (self._repeats - 1) * length:
                return LoopMatch(cycle=self._newest(length), repeats=run // length + 1)
        return None

    def _newest(self, length: int) -> tuple[Hashable, ...]:
        """The latest calls, oldest first."""
        return tuple(self._latest[step] for step in reversed(range(length)))
