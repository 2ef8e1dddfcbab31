"""What earlier calls teach a reservation: how long a known prompt is, what such calls come to.

``KnownPrompts``. A conversation sends its history again and again. When an answer says how many
tokens its prompt had, the next request that begins with the same blocks has that many, and what is
new in it at most one token per byte. That is a proof like the bound from bytes, only three or four
times closer. It is kept under a digest of the blocks, without their marks, and of the fields that
change how a prompt is rendered, because these change its length.

``LikelyCosts``. The 99th percentile of cost per worst case, for each model: what a call will most
likely not pass. It is no proof, and is used where no proof is needed.

Rules of this file: bounded memory; nothing of a prompt is kept but keyed-length digests.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

from farthing.core.estimate import BlockMemo
from farthing.wire.models import ModelTraits
from farthing.wire.request import Request

__all__ = ["KnownPrompts", "LikelyCosts", "PromptBound"]

_DIGEST_BYTES: Final = 16
_PROMPTS: Final = 8_192
#: what the frame of a block or a message may take that its own bytes do not show
_FRAME_TOKENS: Final = 64
#: what a request's frame may take beyond that of the one before
_SLACK_TOKENS: Final = 512
#: fields that say nothing to the model
_UNRENDERED: Final = frozenset(
    """
    cache_control diagnostics max_tokens messages metadata service_tier stop_sequences stream system
    temperature tools top_k top_p
    """.split()
)


@dataclass(frozen=True, slots=True)
class PromptBound:
    """One prompt: the digest to learn its length under, and its bound if its beginning is known."""

    digest: bytes
    #: None: nothing of it has been counted before
    tokens: int | None


class KnownPrompts:
    """Lengths of prompts that answers have told, by digest; the least recently used go first."""

    def __init__(self, *, limit: int = _PROMPTS) -> None:
        self._limit = limit
        self._tokens: OrderedDict[bytes, int] = OrderedDict()

    def bound(self, request: Request, traits: ModelTraits, memo: BlockMemo) -> PromptBound:
        """The bound of a prompt by the longest beginning of it that is known."""
        digests = list(_chain(request))
        counts = range(len(digests), 0, -1)
        known_blocks = next((n for n in counts if digests[n - 1] in self._tokens), 0)
        if not known_blocks:
            return PromptBound(digests[-1] if digests else b"", None)
        digest, known = digests[-1], digests[known_blocks - 1]
        self._tokens.move_to_end(known)
        new = request.blocks[known_blocks:]
        added = sum(memo.tally(block, traits).bound + _FRAME_TOKENS for block in new)
        return PromptBound(digest, self._tokens[known] + added + _SLACK_TOKENS)

    def learn(self, digest: bytes, tokens: int) -> None:
        """An answer said how long this prompt was."""
        self._tokens[digest] = tokens
        self._tokens.move_to_end(digest)
        if len(self._tokens) > self._limit:
            self._tokens.popitem(last=False)


def _seed(request: Request) -> bytes:
    """A digest of all that shapes a prompt beside its blocks."""
    digest = blake2b(digest_size=_DIGEST_BYTES)
    for name in sorted(request.names - _UNRENDERED):
        digest.update(b"%d:%b=" % (len(name), name.encode()))
        raw = request.field(name) or b"null"
        digest.update(b"%d:%b" % (len(raw), raw))
    return digest.digest()


def _chain(request: Request) -> Iterator[bytes]:
    """A digest after each block, each over all blocks so far."""
    digest = _seed(request)
    for block in request.blocks:
        place = f"{block.level}/{block.role}".encode()
        digest = blake2b(digest + block.digest + place, digest_size=_DIGEST_BYTES).digest()
        yield digest


_SAMPLES: Final = 256
#: fewer say nothing about a percentile
_ENOUGH: Final = 64
_PERCENTILE: Final = 0.99


@dataclass(slots=True)
class _Ratios:
    latest: deque[float] = field(default_factory=deque)
    ordered: list[float] = field(default_factory=list)


class LikelyCosts:
    """Cost per worst case of each model's latest calls."""

    def __init__(self) -> None:
        self._by_model: dict[str, _Ratios] = {}

    def likely(self, model: str, worst_pico: int) -> int:
        """What such a call most likely does not pass; the worst case while too little is known."""
        ratios = self._by_model.get(model)
        if ratios is None or len(ratios.ordered) < _ENOUGH:
            return worst_pico
        place = math.ceil(_PERCENTILE * len(ratios.ordered)) - 1
        return min(worst_pico, math.ceil(worst_pico * ratios.ordered[place]))

    def learn(self, model: str, *, cost_pico: int, worst_pico: int) -> None:
        """A call came to this."""
        if worst_pico <= 0:
            return
        ratios = self._by_model.setdefault(model, _Ratios())
        ratio = cost_pico / worst_pico
        ratios.latest.append(ratio)
        insort(ratios.ordered, ratio)
        if len(ratios.latest) > _SAMPLES:
            oldest = ratios.latest.popleft()
            del ratios.ordered[bisect_left(ratios.ordered, oldest)]
