"""What has ended a moment ago, for as long as the database may not have it.

Theory of operation. Two generations. What ends goes to the young one. When a commit has brought in
everything that was queued while the old one was young, the old one is dropped as a whole and the
young one takes its place. So a commit costs the calls that wait for the ledger's lock the same,
however many exchanges were in it; the price is that a row stays for a commit longer than it must.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

__all__ = ["Recent"]

_T = TypeVar("_T")


class Recent(Generic[_T]):
    """Values by key; the ledger's lock guards it."""

    def __init__(self) -> None:
        self._young: dict[str, _T] = {}
        self._old: dict[str, _T] = {}
        #: the count of changes at which everything in ``_old`` is committed
        self._goal = 0

    def put(self, key: str, value: _T) -> None:
        """Keep a value, whose change is queued next, until that is committed."""
        self._young[key] = value

    def find(self, key: str) -> _T | None:
        """The last value of a key; None where the database has it, or nobody."""
        found = self._young.get(key)
        return self._old.get(key) if found is None else found

    def drop(self, key: str) -> None:
        """It stands elsewhere now."""
        self._young.pop(key, None)
        self._old.pop(key, None)

    def values(self) -> Iterator[_T]:
        """All of them."""
        yield from self._young.values()
        yield from self._old.values()

    def turn(self, *, added: int, done: int) -> None:
        """After a commit: ``added`` changes were ever queued, ``done`` are in the database."""
        if done >= self._goal:
            self._old, self._young = self._young, {}
            self._goal = added
