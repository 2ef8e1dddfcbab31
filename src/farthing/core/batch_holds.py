"""What a Message Batch holds in budgets, from its creation until the result of each row is booked.

Theory of operation. When the provider has taken a batch, what was held for its creation passes to
its rows: ``BatchRows`` is on record then, compact and without any text. Each row ends its own part
when its result is booked (``BatchHold.book``), at once with what it cost being spent, so results
that are read twice, or read by somebody else, end it once. After a restart the rows that are not
booked hold again; nothing is kept of the steps between.

A batch that has ended says how many rows succeeded, and only these cost anything (API facts,
section 3). Then no more is held than so many of the dearest rows (``succeeded``); with none, as
after a cancellation in time, nothing.

A row that counts differently in two budgets (one holds several passes of it, one does not) has two
entries, each with the keys that it is about.

Rules of this file: no lock, no clock; a key never holds less than its rows that are not booked can
cost.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from datetime import datetime
from hashlib import blake2b
from heapq import nlargest
from typing import Final

import msgspec

__all__ = ["BatchHold", "BatchRows", "row_digest"]

_DIGEST_BYTES: Final = 8


def row_digest(custom_id: str) -> int:
    """What is kept of the name of a row."""
    digest = blake2b(custom_id.encode(errors="surrogatepass"), digest_size=_DIGEST_BYTES)
    return int.from_bytes(digest.digest(), "big")


class BatchRows(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of a batch that were held at its creation; sorted by digest."""

    batch_id: str
    created_at: datetime
    #: of an entry, the keys of the budgets that it is held in
    groups: tuple[tuple[str, ...], ...]
    #: by entry, native 64 bits: the digest of its ``custom_id``
    digests: bytes
    #: by entry, native 16 bits: its place in ``groups``
    group_of: bytes
    #: by entry, native 64 bits, in 10⁻¹² USD
    amounts: bytes

    def __repr__(self) -> str:
        return f"<BatchRows {self.batch_id} {len(self.digests) // 8} entries>"


class BatchHold:
    """What of a batch's rows is still held."""

    def __init__(self, rows: BatchRows) -> None:
        self.rows = rows
        self.groups = rows.groups
        self._digests = array("Q", rows.digests)
        self._group_of = array("H", rows.group_of)
        self._amounts = array("q", rows.amounts)
        #: by entry: is it not booked yet
        self._is_open = bytearray(b"\1") * len(self._digests)
        self._left = 0
        self._sums = dict[str, int]()
        #: by key: more than this the rest cannot cost; empty: nothing is known
        self._ceilings = dict[str, int]()
        by_group = [0] * len(self.groups)
        for place, amount in zip(self._group_of, self._amounts, strict=True):
            by_group[place] += amount
            self._left += 1
        for keys, total in zip(self.groups, by_group, strict=True):
            for key in keys:
                self._sums[key] = self._sums.get(key, 0) + total

    @property
    def is_over(self) -> bool:
        """Is every row booked?"""
        return not self._left

    def held(self) -> dict[str, int]:
        """What each key holds."""
        return {key: self._held(key) for key in self._sums}

    def keys_of(self, custom_id: str) -> tuple[str, ...]:
        """The keys that a row counts under; empty for an unknown one."""
        places = [self._group_of[entry] for entry in self._entries(custom_id)]
        return tuple(dict.fromkeys(key for place in places for key in self.groups[place]))

    def book(self, custom_id: str) -> dict[str, int]:
        """A row's result is booked: what its keys hold now; empty where nothing has changed."""
        changed = dict[str, int]()
        for entry in self._entries(custom_id):
            if not self._is_open[entry]:
                continue
            self._is_open[entry] = 0
            self._left -= 1
            for key in self.groups[self._group_of[entry]]:
                self._sums[key] -= self._amounts[entry]
                changed[key] = self._held(key)
        return changed

    def succeeded(self, count: int) -> dict[str, int]:
        """The batch has ended and only so many rows cost anything: what its keys hold now."""
        for key in self._sums:
            most = sum(nlargest(count, self._amounts_of(key)))
            self._ceilings[key] = min(most, self._ceilings.get(key, most))
        return self.held()

    def _held(self, key: str) -> int:
        left = self._sums[key]
        return min(left, self._ceilings.get(key, left))

    def _amounts_of(self, key: str) -> Iterator[int]:
        places = {place for place, keys in enumerate(self.groups) if key in keys}
        entries = zip(self._is_open, self._group_of, self._amounts, strict=True)
        return (amount for is_open, place, amount in entries if is_open and place in places)

    def _entries(self, custom_id: str) -> Sequence[int]:
        digest = row_digest(custom_id)
        first = bisect_left(self._digests, digest)
        last = first
        while last < len(self._digests) and self._digests[last] == digest:
            last += 1
        return range(first, last)
