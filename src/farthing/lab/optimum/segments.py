"""Prompts as paths in a radix tree: which requests present which tokens.

Theory of operation. Only requests of one scope and model share entries. Their prompts form a tree,
and a maximal run of blocks with the same visitors is a *segment*: its tokens have the same history,
so they have one cheapest way. Visitors of a block are visitors of every block before it, so a run
ends where the number of visitors changes; two passes over all prompts find the segments, in time
linear in the blocks presented.

An entry shorter than the model's minimum is never written. Blocks before the first position that
is long enough are therefore one unit with that position: they are cached with it or not at all. A
prompt that is shorter than the minimum as a whole is paid in full whatever one does, and keeps
nothing warm. Both are exact, no relaxation.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache

from farthing.lab.replay.turns import Turn
from farthing.pricing import traits

__all__ = ["Segment", "is_cacheable", "segments"]


@dataclass(slots=True)
class Segment:
    """A run of blocks; ``visitors`` are places in the sequence of turns, in the order of time."""

    tokens: int
    visitors: list[int] = field(default_factory=list)


def is_cacheable(turn: Turn) -> bool:
    """Is the whole prompt long enough for an entry?"""
    return turn.prompt_tokens >= _minimum(turn.model)


def segments(turns: Sequence[Turn]) -> Iterator[Segment]:
    """The segments of all cacheable turns, which are in the order of time."""
    trees: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for place, turn in enumerate(turns):
        if is_cacheable(turn):
            trees[turn.recording.scope, turn.model].append(place)
    for places in trees.values():
        yield from _tree(turns, places)


def _tree(turns: Sequence[Turn], places: Sequence[int]) -> Iterator[Segment]:
    visits: Counter[bytes] = Counter()
    for place in places:
        turn = turns[place]
        visits.update(turn.digests[_first(turn) :])
    found: dict[bytes, Segment] = {}
    for place in places:
        for digest, tokens in _runs(turns[place], visits):
            segment = found.get(digest)
            if segment is None:
                segment = found[digest] = Segment(tokens)
            segment.visitors.append(place)
    yield from found.values()


def _runs(turn: Turn, visits: Counter[bytes]) -> Iterator[tuple[bytes, int]]:
    """The last digest and the length of each run of equally visited blocks."""
    first, last = _first(turn), len(turn.digests) - 1
    counts = [visits[digest] for digest in turn.digests[first:]]
    start = 0
    for at in range(first, last + 1):
        if at == last or counts[at - first] != counts[at - first + 1]:
            end = turn.positions[at]
            yield turn.digests[at], end - start
            start = end


def _first(turn: Turn) -> int:
    """The first block at which an entry can be."""
    return bisect_left(turn.positions, _minimum(turn.model))


@cache
def _minimum(model: str) -> int:
    known = traits(model)
    return known.min_cacheable_tokens if known else 0
