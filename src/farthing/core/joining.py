"""Joins the attempts of one call: an SDK tries a failure again, and that is one exchange.

Rules from outside (SDK 2.11.0, API facts section 4.6): a retry sends the same bytes and counts in
``x-stainless-retry-count``; other clients do not say. Hence (architecture, "Retry joining"): the
same body digest and client within 120 s of a retryable failure, or a retry count above 0. A count
of 0 is a new call, whatever came before.

Only failures that cost nothing are joined. An attempt that may have cost something keeps its own
row with its own interval: joined, its cost would hide behind the next attempt's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

__all__ = ["WINDOW_SECONDS", "Failure", "Joining", "retry_count"]

WINDOW_SECONDS: Final = 120
_WINDOW_NS: Final = WINDOW_SECONDS * 10**9
#: failures remembered; beyond that the oldest is forgotten and its retry is a new exchange
_CAPACITY: Final = 4_096


@dataclass(frozen=True, slots=True)
class Failure:
    """An exchange whose last attempt failed at no cost."""

    exchange_id: str
    attempts: int
    failed_ns: int


class Joining:
    """The failures that may be tried again; one for a process."""

    def __init__(self, capacity: int = _CAPACITY) -> None:
        self._capacity = capacity
        #: (body digest, key scope) → its failures, oldest first; keys in order of first failure
        self._waiting: dict[tuple[str, str], deque[Failure]] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def failed(self, body_digest: str, key_scope: str, failure: Failure) -> None:
        """Remember a failure that a client may try again."""
        self._waiting.setdefault((body_digest, key_scope), deque()).append(failure)
        self._size += 1
        while self._size > self._capacity:
            self._take(next(iter(self._waiting)))

    def resume(
        self, body_digest: str, key_scope: str, *, now_ns: int, count: int | None
    ) -> Failure | None:
        """The exchange that this attempt goes on with, which is then no longer waiting.

        ``count`` is what the client says of itself (``retry_count``).
        """
        key = (body_digest, key_scope)
        if count == 0 or key not in self._waiting:
            return None
        latest = self._waiting[key][-1]
        if count is None and now_ns - latest.failed_ns > _WINDOW_NS:
            return None
        return self._take(key, newest=True)

    def _take(self, key: tuple[str, str], *, newest: bool = False) -> Failure:
        failures = self._waiting[key]
        taken = failures.pop() if newest else failures.popleft()
        self._size -= 1
        if not failures:
            del self._waiting[key]
        return taken


def retry_count(headers: Mapping[str, str]) -> int | None:
    """How often the client says it has tried before; None where it does not say."""
    text = headers.get("x-stainless-retry-count", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else None
