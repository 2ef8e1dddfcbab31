"""Sums over the last while, in a ring of buckets: memory does not grow with what is counted.

Rules of this file: amounts are integers; a clock that goes back adds to the newest bucket.
"""

from __future__ import annotations

from datetime import datetime

__all__ = ["Rolling"]


class Rolling:
    """``fields`` sums in ``buckets`` buckets of ``seconds`` each."""

    def __init__(self, *, seconds: int, buckets: int, fields: int) -> None:
        self._seconds = seconds
        self._buckets = buckets
        self._fields = fields
        #: [index, sums…], oldest first
        self._ring: list[list[int]] = []

    def add(self, at: datetime, *amounts: int) -> None:
        """Add to the bucket of an instant."""
        index = self._index(at)
        if not self._ring or self._ring[-1][0] < index:
            self._ring = [one for one in self._ring if one[0] > index - self._buckets]
            self._ring.append([index, *(0 for _ in range(self._fields))])
        bucket = self._ring[-1]
        for place, amount in enumerate(amounts, 1):
            bucket[place] += amount

    def sums(self, at: datetime, first: int = 0, last: int | None = None) -> list[int]:
        """The sums of the buckets that are ``first`` to ``last`` buckets old."""
        now, oldest = self._index(at), self._buckets - 1 if last is None else last
        found = [one for one in self._ring if first <= max(0, now - one[0]) <= oldest]
        return [sum(one[place] for one in found) for place in range(1, self._fields + 1)]

    def _index(self, at: datetime) -> int:
        return int(at.timestamp()) // self._seconds
