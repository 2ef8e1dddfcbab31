"""Token positions and digests of a conversation's requests, turn by turn.

Theory of operation. A recording says how large each prompt was, not how large each block: what a
turn adds is shared among its new blocks by estimated weight, and known blocks keep their size. Two
rules hold for everything built here, because the prompt cache is replayed on it by two independent
models that must agree to the token:

- the same cumulative digest always stands for the same position, in all conversations;
- every block has at least one token, so no two positions are equal.

Where a recorded total contradicts known sizes (the thinking that a model drops is not as large as
estimated), the total gives way, and the next growth makes up for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from farthing.lab.replay.pieces import Piece

__all__ = ["Layout", "Positions", "Prefix"]

#: cumulative digest → tokens up to there; grows with the distinct blocks of a replay
Positions = dict[bytes, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefix:
    """One request in cumulative digests and positions."""

    digests: Sequence[bytes]
    positions: Sequence[int]


class Layout:
    """The growing request of one conversation on one model."""

    def __init__(self, pieces: Sequence[Piece], seed: bytes, known: Positions) -> None:
        self._pieces = pieces
        self._seed = seed
        self._known = known
        self._sizes: dict[int, int] = {}
        self._tags: dict[int, int] = {}
        self._kept: Sequence[int] = range(0)
        self._digests: list[bytes] = []
        self._positions: list[int] = []

    @property
    def positions(self) -> Sequence[int]:
        """Of the last request."""
        return self._positions

    @property
    def altered(self) -> tuple[tuple[int, int], ...]:
        """The pieces that were changed so far, each with its count."""
        return tuple(self._tags.items())

    def extends(self, kept: Sequence[int]) -> bool:
        """Does a request of these pieces begin with the whole last one?"""
        return self._common(kept) == len(self._kept)

    def alter(self, place: int, *, resize: bool) -> None:
        """From now on the content at this place of the last request is another one.

        With ``resize`` its size and those behind it are no longer known.
        """
        piece = self._alterable(place)
        if piece is None:
            return
        self._tags[piece] = self._tags.get(piece, 0) + 1
        at = list(self._kept).index(piece)
        if resize:
            for behind in self._kept[at:]:
                self._sizes.pop(behind, None)
        del self._digests[at:], self._positions[at:]
        self._kept = self._kept[:at]

    def grow(self, kept: Sequence[int], total: int | None) -> Prefix:
        """The request of these pieces, ``total`` tokens long if that is recorded."""
        common = self._common(kept)
        del self._digests[common:], self._positions[common:]
        self._digests += self._chain(kept[common:])
        self._place(kept, common, total)
        self._kept = kept
        return Prefix(digests=self._digests[:], positions=self._positions[:])

    def _common(self, kept: Sequence[int]) -> int:
        before = self._kept
        if isinstance(before, range) and isinstance(kept, range):
            return min(len(before), len(kept))
        pairs = enumerate(zip(before, kept, strict=False))
        return next((at for at, (old, new) in pairs if old != new), min(len(before), len(kept)))

    def _chain(self, kept: Sequence[int]) -> Iterator[bytes]:
        state = self._digests[-1] if self._digests else self._seed
        for piece in kept:
            tag = b"%d" % self._tags[piece] if piece in self._tags else b""
            state = blake2b(state + self._pieces[piece].digest + tag, digest_size=16).digest()
            yield state

    def _place(self, kept: Sequence[int], common: int, total: int | None) -> None:
        end = self._positions[-1] if self._positions else 0
        fresh = list(range(common, len(kept)))
        while fresh and (known := self._known.get(self._digests[fresh[0]])) is not None:
            self._sizes[kept[fresh.pop(0)]] = known - end
            self._positions.append(known)
            end = known
        self._share([kept[at] for at in fresh], end, total)
        for at in fresh:
            end += self._sizes[kept[at]]
            self._positions.append(end)
            self._known[self._digests[at]] = end

    def _share(self, pieces: Sequence[int], end: int, total: int | None) -> None:
        """Give a size to those that have none: what the others leave of the total, by weight."""
        unsized = [piece for piece in pieces if piece not in self._sizes]
        weights = [self._pieces[piece].weight for piece in unsized]
        room = sum(weights)
        if total is not None:
            room = total - end - sum(self._sizes[p] for p in pieces if p in self._sizes)
        whole, given, passed = sum(weights), 0, 0.0
        for number, piece in enumerate(unsized, start=1):
            passed += weights[number - 1]
            reached = round(max(room, 0) * passed / whole)
            self._sizes[piece] = max(1, reached - given)
            given += self._sizes[piece]

    def _alterable(self, place: int) -> int | None:
        """A piece whose content can be changed and stay valid: at this place, else the nearest."""
        places = [*range(place, len(self._kept)), *range(place - 1, -1, -1)]
        kinds = ("text", "tool_result", "tool_use", "tool")
        fitting = (self._kept[at] for at in places if self._pieces[self._kept[at]].kind in kinds)
        return next(fitting, None)
