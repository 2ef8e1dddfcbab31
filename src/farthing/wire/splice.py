"""Byte splices: replace ranges of a body and leave every other byte where it was.

A splice says which range goes and what stands there instead; an insertion is an empty range.
Removing an item of a JSON sequence takes one of its commas along, inserting brings one; the
whitespace that a client put around items it keeps stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from farthing.errors import EditConflict

__all__ = ["Span", "Splice", "sequence_splices", "spliced"]

Span = tuple[int, int]


class Splice(NamedTuple):
    """Replace ``start`` to ``end`` by ``new``."""

    start: int
    end: int
    new: bytes


def spliced(body: bytes, splices: Sequence[Splice]) -> bytes:
    """The body with all splices made; two that want the same bytes are a conflict."""
    view = memoryview(body)
    parts: list[memoryview | bytes] = []
    position = 0
    for start, end, new in sorted(splices, key=lambda splice: splice[:2]):
        if start < position:
            raise EditConflict(f"two edits change the bytes around {start}; make one of them")
        parts += (view[position:start], new)
        position = end
    parts.append(view[position:])
    return b"".join(parts)


def sequence_splices(
    items: Sequence[Span],
    first: int,
    *,
    removed: AbstractSet[int],
    inserted: Mapping[int, Sequence[bytes]],
) -> Iterator[Splice]:
    """Remove items of an array or object and insert others before an index, commas and all.

    ``first`` is the position right behind the opening bracket. Inserting at ``len(items)`` appends.
    """
    kept: int | None = None
    gap = False
    pending: list[bytes] = []
    for index in range(len(items) + 1):
        pending += inserted.get(index, ())
        if index in removed:
            gap = True
            continue
        following = index if index < len(items) else None
        if gap or pending:
            yield _between(items, first, kept, following, pending, gap=gap)
        kept, gap, pending = following, False, []


def _between(
    items: Sequence[Span],
    first: int,
    kept: int | None,
    following: int | None,
    pending: Sequence[bytes],
    *,
    gap: bool,
) -> Splice:
    """The splice between the last item that stays and the next one that does."""
    left = first if kept is None else items[kept][1]
    new = b",".join(pending)
    if not gap and following is not None:
        return Splice(items[following][0], items[following][0], new + b",")
    if not gap:
        return Splice(left, left, new if kept is None else b"," + new)
    right = items[-1][1] if following is None else items[following][0]
    chain = ([b""] if kept is not None else []) + list(pending)
    chain += [b""] if following is not None else []
    return Splice(left, right, b",".join(chain))
