"""Which prefixes requests share: a radix tree of the cumulative digests this process has seen.

Theory of operation. Requests of one scope and model are paths; blocks that always came together are
one edge, so a conversation that only grows is one leaf, however many turns it has. A path that
leaves known content splits the edge there: the end of the upper half is a *branch point*. Each node
counts ``departures``: requests whose known part ended exactly at its end, in other words those that
an entry there would have served best. A count halves every hour, so it says what goes on now.

The second sighting of a prefix is the moment its branch point appears.

Rules of this file: digests are cumulative, so equality at one place is equality up to there, and an
edge is compared by bisection; memory is bounded in blocks, and what was visited least recently is
forgotten first, leaf by leaf.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from farthing.core.prefix import PrefixView
from farthing.core.prompt_cache_paths import common_blocks

__all__ = ["KnownPath", "PrefixTree", "Stop"]

#: A departure counts half after this long: an hour is the longest lifetime there is.
_HALF_LIFE_SECONDS: Final = 3600.0

#: What is kept of a full tree, so that the cost of forgetting is spread over many visits.
_KEPT_RATIO: Final = 0.75


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """A node on the path of a request, as it was before that request."""

    #: the last block of the node that is on the path
    index: int
    #: decayed count of requests that left known content here
    departures: float
    #: since the last request that came through
    age_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPath:
    """What was known of a request before it came."""

    #: leading blocks that some earlier request had too
    blocks: int
    stops: tuple[Stop, ...]

    def age_of(self, index: int) -> float | None:
        """Seconds since the last request that presented this block; None: never seen."""
        if index >= self.blocks:
            return None
        return next(stop.age_seconds for stop in self.stops if stop.index >= index)


@dataclass(slots=True, kw_only=True)
class _Node:
    #: index of the first block of the edge
    start: int
    digests: list[bytes]
    at: float
    departures: float = 0.0
    children: dict[bytes, _Node] = field(default_factory=dict)

    @property
    def end(self) -> int:
        return self.start + len(self.digests)

    def faded(self, now: float) -> float:
        return self.departures * math.exp2(-max(0.0, now - self.at) / _HALF_LIFE_SECONDS)


class PrefixTree:
    """The paths of recent requests, per scope and model; at most ``blocks`` blocks in all."""

    def __init__(self, *, blocks: int = 200_000) -> None:
        self._capacity = blocks
        self._roots: dict[tuple[str, str], _Node] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def visit(self, view: PrefixView, now: float) -> KnownPath:
        """Book this request; returns what was known of it before. ``now`` in seconds."""
        root = self._roots.setdefault((view.scope, view.model), _Node(start=0, digests=[], at=now))
        node, stops = root, []
        while True:
            shared = common_blocks(node.digests, view.digests[node.start : node.end])
            known = node.start + shared
            if shared:
                is_whole = known == node.end
                departures = node.faded(now) if is_whole else 0.0
                age = max(0.0, now - node.at)
                stops.append(Stop(index=known - 1, departures=departures, age_seconds=age))
            if known < node.end:
                self._leave_inside(node, shared, view.digests, now)
                break
            child = node.children.get(view.digests[known]) if known < len(view.digests) else None
            if child is None:
                self._leave_at_end(node, view.digests, now, is_root=node is root)
                break
            node.departures, node.at = node.faded(now), now
            node = child
        path = KnownPath(blocks=known, stops=tuple(stops))
        if self._size > self._capacity:
            self._forget()
        return path

    def _leave_inside(self, node: _Node, shared: int, digests: Sequence[bytes], now: float) -> None:
        """The path ends or departs within an edge; only a departure splits it."""
        if node.start + shared == len(digests):
            node.departures, node.at = node.faded(now), now
            return
        lower = _Node(
            start=node.start + shared,
            digests=node.digests[shared:],
            at=node.at,
            departures=node.departures,
            children=node.children,
        )
        node.children = {lower.digests[0]: lower}
        del node.digests[shared:]
        node.departures, node.at = 1.0, now
        self._add_leaf(node, digests, now)

    def _leave_at_end(
        self, node: _Node, digests: Sequence[bytes], now: float, *, is_root: bool
    ) -> None:
        node.departures, node.at = node.faded(now) + 1.0, now
        if node.end == len(digests):
            return
        if node.children or is_root:
            self._add_leaf(node, digests, now)
            return
        self._size += len(digests) - node.end  # a leaf grows in place
        node.digests += digests[node.end :]

    def _add_leaf(self, node: _Node, digests: Sequence[bytes], now: float) -> None:
        leaf = _Node(start=node.end, digests=list(digests[node.end :]), at=now)
        node.children[leaf.digests[0]] = leaf
        self._size += len(leaf.digests)

    def _forget(self) -> None:
        """Drop leaves, the least recently visited first, until there is room again."""
        target = int(self._capacity * _KEPT_RATIO)
        while self._size > target:
            leaves = sorted(self._leaves(), key=lambda found: found[2].at)
            for children, key, leaf in leaves:
                del children[key]
                self._size -= len(leaf.digests)
                if self._size <= target:
                    break
        self._roots = {key: root for key, root in self._roots.items() if root.children}

    def _leaves(self) -> Iterator[tuple[dict[bytes, _Node], bytes, _Node]]:
        waiting = list(self._roots.values())
        while waiting:
            node = waiting.pop()
            for key, child in node.children.items():
                if child.children:
                    waiting.append(child)
                else:
                    yield node.children, key, child
