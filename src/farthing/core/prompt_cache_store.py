"""Which prefixes the provider is believed to hold: entries, and a bounded store of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from farthing.core.prefix import LIFETIMES, PrefixView, Ttl
from farthing.core.survival import Bond

__all__ = ["Entry", "EntryStore", "HiddenWrite", "Shelf", "ShelfKey", "written"]

ShelfKey = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class HiddenWrite:
    """What the provider wrote behind the last mark, for a server tool's results (5 m)."""

    tokens: int
    touched_at: datetime

    def is_alive(self, now: datetime) -> bool:
        """The provider's own writes live five minutes, whatever the request asked for."""
        return now - self.touched_at < LIFETIMES["5m"]


@dataclass(slots=True, kw_only=True)
class Entry:
    """One written prefix. Mutable: reads refresh it, answers correct it."""

    tokens: int
    ttl: Ttl
    #: the start of the last request that wrote or read it
    touched_at: datetime
    #: who touched it last
    lineage_id: str
    is_shared: bool = False
    #: the first byte of the response that wrote it; None while nobody has seen one
    usable_at: datetime | None = None
    hidden: HiddenWrite | None = None
    #: an answer told ``tokens``; until then they are an estimate
    is_measured: bool = False

    def is_expired(self, now: datetime) -> bool:
        """Alive iff age < TTL: documented lifetimes are minimums, we do not count on more."""
        return now - self.touched_at >= LIFETIMES[self.ttl]

    def is_readable(self, now: datetime) -> bool:
        """Written, announced by a first byte, and not expired."""
        return self.usable_at is not None and self.usable_at <= now and not self.is_expired(now)

    def touch(self, view: PrefixView, now: datetime) -> None:
        """A request of this lineage that started ``now`` read or wrote it."""
        self.touched_at = max(self.touched_at, now)
        self.is_shared = self.is_shared or self.lineage_id != view.lineage_id
        self.lineage_id = view.lineage_id

    def measure(self, tokens: int) -> None:
        """An answer told how long this prefix is."""
        self.tokens = tokens
        self.is_measured = True

    def join(self, before: Entry) -> None:
        """Written again while it lives: readable as early, and kept as long, as it was."""
        self.usable_at = before.usable_at
        self.ttl = max(self.ttl, before.ttl, key=LIFETIMES.__getitem__)
        self.is_shared = before.is_shared or before.lineage_id != self.lineage_id

    def bond(self, view: PrefixView) -> Bond:
        """Whose entry this is, seen from ``view``."""
        if self.lineage_id != view.lineage_id:
            return "foreign"
        return "shared" if self.is_shared else "own"

    def is_lost(self, now: datetime) -> bool:
        """Its writer never showed a first byte, and will not any more."""
        return self.usable_at is None and self.is_expired(now)

    def publish(self, at: datetime) -> None:
        """A response that wrote it began at ``at``; the earliest of overlapping ones counts."""
        self.usable_at = at if self.usable_at is None else min(self.usable_at, at)


def written(
    view: PrefixView, index: int, ttl: Ttl, now: datetime, *, tokens: int | None = None
) -> Entry:
    """An entry that a request starting ``now`` writes at block ``index``; not yet readable."""
    return Entry(
        tokens=view.positions[index] if tokens is None else tokens,
        ttl=ttl,
        touched_at=now,
        lineage_id=view.lineage_id,
    )


@dataclass(slots=True)
class Shelf:
    """The entries of one scope and model, by cumulative digest."""

    entries: dict[bytes, Entry]

    def refresh(self, view: PrefixView, through: int, now: datetime) -> None:
        """A read of block ``through`` keeps every live entry on its path warm (API facts 2.3)."""
        for digest in self.entries.keys() & view.digests[: through + 1]:
            entry = self.entries[digest]
            if entry.is_readable(now):
                entry.touch(view, now)


class EntryStore:
    """Shelves with a common cap: the dead go first, then the least recently touched.

    Expired entries are kept while there is room: they are how a miss gets its reason.
    """

    def __init__(self, *, capacity: int) -> None:
        self._capacity = capacity
        self._shelves: dict[ShelfKey, Shelf] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def shelf_count(self) -> int:
        """Pairs of scope and model that hold at least one entry."""
        return len(self._shelves)

    def shelf(self, view: PrefixView) -> Shelf:
        """The shelf of this view; an unknown one is empty and not yet kept."""
        return self._shelves.get((view.scope, view.model)) or Shelf({})

    def put(self, view: PrefixView, index: int, entry: Entry, *, now: datetime) -> None:
        """Keep ``entry`` at block ``index``; make room first if there is none."""
        shelf = self._shelves.setdefault((view.scope, view.model), Shelf({}))
        digest = view.digests[index]
        before = shelf.entries.get(digest)
        self._size += before is None
        if before is not None and before.is_measured:  # lengths do not expire
            entry.measure(before.tokens)
        if before is not None and not before.is_expired(now):
            entry.join(before)
        shelf.entries[digest] = entry
        if self._size > self._capacity:
            self._sweep(now)

    def drop(self, view: PrefixView, index: int) -> None:
        """Forget the entry at block ``index``, if there is one."""
        key = (view.scope, view.model)
        shelf = self._shelves.get(key, Shelf({}))
        if shelf.entries.pop(view.digests[index], None) is None:
            return
        self._size -= 1
        if not shelf.entries:
            del self._shelves[key]

    def _sweep(self, now: datetime) -> None:
        """Down to three quarters at once, so that the cost per write stays constant."""
        ranked = sorted(
            (not entry.is_expired(now), entry.touched_at, key, digest)
            for key, shelf in self._shelves.items()
            for digest, entry in shelf.entries.items()
        )
        doomed = len(ranked) - self._capacity * 3 // 4
        for _, _, key, digest in islice(ranked, doomed):
            del self._shelves[key].entries[digest]
        self._shelves = {key: shelf for key, shelf in self._shelves.items() if shelf.entries}
        self._size -= doomed
