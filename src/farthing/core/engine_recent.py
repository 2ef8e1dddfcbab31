"""The last request of each conversation: its next turn is read in proportion to what is new.

Theory of operation. ``Request.parse`` and ``fingerprint`` go on where a former request ends, if
they are given it. Which one that is has to be known before anything is parsed, so it is looked up
by what can be had for nothing: the session that the client names in its headers, and the first
bytes behind ``"messages":[``, which stay while a conversation grows. Several conversations may
begin alike; of up to four under one key the one is taken whose body shares most.

Rules of this file: a wrong guess costs time and nothing else, because parsing compares the bytes;
memory is bounded in requests and in bytes, the least recently used goes first.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from farthing.core.prefix_view import Weighed
from farthing.wire.fingerprint import Fingerprint
from farthing.wire.models import ModelTraits
from farthing.wire.request import Request, common_prefix

__all__ = ["Recent", "RecentKey", "Recents"]

RecentKey = tuple[str, ...]

_MESSAGES: Final = re.compile(rb'"messages"\s*:\s*\[')
_HEAD_BYTES: Final = 512
_SESSION: Final = (
    "x-claude-code-session-id",
    "x-claude-code-agent-id",
    "x-farthing-task",
    "traceparent",
)
_MOST_ALIKE: Final = 4

#: A request holds its body, and its blocks their own slices of it and of their members; besides
#: digest, kind and place in the views. ``benchmarks/planning.py`` measures the sum.
_PER_BODY_BYTE: Final = 3
_PER_BLOCK: Final = 1_000

#: more of the former request than this is shared: the new one goes on from it
_CONTINUES: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recent:
    """One request as it came, and what was computed of it."""

    request: Request
    #: the same with notes of ours, of which all else was computed; None: it had none
    noted: Request | None = None
    lineage_id: str
    traits: ModelTraits
    #: as the client sent it, and as it left
    fingerprint: Fingerprint
    left: Fingerprint
    weighed: Weighed

    @property
    def size_bytes(self) -> int:
        """About what it keeps alive."""
        bodies = len(self.request.body) + (len(self.noted.body) if self.noted else 0)
        return _PER_BODY_BYTE * bodies + _PER_BLOCK * len(self.fingerprint.blocks)


class Recents:
    """At most ``capacity`` requests of at most ``most_bytes`` together."""

    def __init__(self, *, capacity: int = 2_048, most_bytes: int = 128 * 1024 * 1024) -> None:
        self._capacity = capacity
        self._most_bytes = most_bytes
        self._by_key: OrderedDict[RecentKey, list[Recent]] = OrderedDict()
        self._count = 0
        self.size_bytes = 0

    def __len__(self) -> int:
        return self._count

    def find(self, body: bytes, headers: Mapping[str, str]) -> tuple[RecentKey, Recent | None]:
        """Where this request belongs, and the one it probably goes on from."""
        key = _key(body, headers)
        known = self._by_key.get(key)
        if not known:
            return key, None
        if len(known) == 1:
            return key, known[0]
        return key, max(known, key=lambda each: common_prefix(each.request.body, body))

    def put(self, key: RecentKey, recent: Recent, after: Recent | None) -> None:
        """Remember a request in place of the one that it goes on from."""
        known = self._by_key.setdefault(key, [])
        if after is not None and after in known and _goes_on(after, recent):
            self._forget(known, after)
        known.append(recent)
        self._count += 1
        self.size_bytes += recent.size_bytes
        if len(known) > _MOST_ALIKE:
            self._forget(known, known[0])
        self._by_key.move_to_end(key)
        while self._count > self._capacity or self.size_bytes > self._most_bytes:
            oldest = next(iter(self._by_key))
            self._forget(self._by_key[oldest], self._by_key[oldest][0])
            if not self._by_key[oldest]:
                del self._by_key[oldest]

    def _forget(self, known: list[Recent], one: Recent) -> None:
        known[:] = [each for each in known if each is not one]
        self._count -= 1
        self.size_bytes -= one.size_bytes


def _goes_on(after: Recent, recent: Recent) -> bool:
    before = after.fingerprint.blocks
    shared = common_prefix(before, recent.fingerprint.blocks)
    return shared > _CONTINUES * len(before)


def _key(body: bytes, headers: Mapping[str, str]) -> RecentKey:
    found = _MESSAGES.search(body)
    start = found.end() if found else 0
    head = body[start : start + _HEAD_BYTES] if found else b""
    return (head.hex(), *(headers.get(name, "") for name in _SESSION))
