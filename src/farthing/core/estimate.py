"""Estimates the prompt tokens of a request: the expected number, a 95 % quantile, a hard bound.

Theory of operation
-------------------
``Tally`` is what one or more blocks weigh by the offline weights, kept apart by kind of content so
that it can be corrected per kind; tallies add up and subtract. ``Correction`` (next door) turns a
tally into an ``Estimate`` and learns from what the provider counted.

In a conversation only the *growth* is estimated: the provider has counted the rest. A request's
tally minus the tally of the request before it is the growth, also where the provider drops earlier
thinking on its own, which makes the growth smaller than the new blocks (API facts, section 6.4).

Estimates are floats and not facts: they never become part of a ``Usage`` or a ``Cost``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

from farthing.core.estimate_blocks import Content, Features, read_features
from farthing.core.estimate_weights import WEIGHTS, Tokenizer, Weights
from farthing.wire import json
from farthing.wire.blocks import Block
from farthing.wire.models import ModelTraits
from farthing.wire.request import Request

__all__ = [
    "CONTENTS",
    "BlockMemo",
    "Estimate",
    "Tally",
    "tally_block",
    "tally_blocks",
    "tally_hidden",
    "tally_request",
]

#: the order of ``Tally.tokens``
CONTENTS: Final[tuple[Content, ...]] = ("text", "thinking", "tool_use", "tool_result", "other")

_THINKING: Final = CONTENTS.index("thinking")

#: frames of the request itself that no block accounts for, at most
_REQUEST_BOUND: Final = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Tokens foreseen: ``0 <= point <= q95 <= bound``."""

    point: float
    #: the provider counts no more in 95 of 100 cases
    q95: float
    #: never more: every token covers at least one byte
    bound: int


@dataclass(frozen=True, slots=True)
class Tally:
    """Uncorrected tokens by kind of content, in the order of ``CONTENTS``, and the bound."""

    tokens: tuple[float, ...] = (0.0,) * len(CONTENTS)
    bound: int = 0

    @property
    def total(self) -> float:
        """The uncorrected estimate."""
        return sum(self.tokens)

    def __add__(self, other: Self) -> Self:
        tokens = tuple(map(float.__add__, self.tokens, other.tokens))
        return type(self)(tokens, self.bound + other.bound)

    def __sub__(self, other: Self) -> Self:
        tokens = tuple(map(float.__sub__, self.tokens, other.tokens))
        return type(self)(tokens, self.bound - other.bound)


class BlockMemo:
    """Weighs blocks and remembers the tallies by the blocks' digests, in bounded memory.

    Two generations: when the young one holds half of ``capacity`` it becomes the old one. What is
    used again is carried over, so a conversation that goes on is never forgotten.
    """

    __slots__ = ("_half", "_old", "_weights", "_young")

    def __init__(
        self, capacity: int = 1 << 16, *, weights: Mapping[Tokenizer, Weights] = WEIGHTS
    ) -> None:
        self._half = max(1, capacity // 2)
        self._weights = weights
        self._young: dict[object, Tally] = {}
        self._old: dict[object, Tally] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def tally(self, block: Block, traits: ModelTraits) -> Tally:
        """``tally_block``, remembered."""
        # The digest leaves out the mark and the client's spelling, which the bound depends on.
        is_first = block.address == "system.0"
        key = (block.digest, len(block.raw), block.level, block.role, is_first, traits.id)
        found = self._young.get(key)
        if found is None:
            found = self._old.pop(key, None)
            if found is None:
                found = tally_block(block, traits, self._weights[traits.tokenizer])
            if len(self._young) >= self._half:
                self._young, self._old = {}, self._young
            self._young[key] = found
        return found


def tally_block(block: Block, traits: ModelTraits, weights: Weights) -> Tally:
    """What one block weighs."""
    features = read_features(block, traits)
    tokens = _weigh(features, weights)
    return Tally(
        tuple(tokens if content == features.content else 0.0 for content in CONTENTS),
        features.bound,
    )


def _weigh(features: Features, weights: Weights) -> float:
    """Expected tokens of a block, never above its bound."""
    frames = sum(weights.structures[name] * times for name, times in features.structures)
    text = weights.weigh(features.counts) + weights.opaque_byte * features.opaque_bytes
    return min(text + frames + features.fixed_tokens, float(features.bound))


def tally_blocks(blocks: Sequence[Block], traits: ModelTraits, memo: BlockMemo) -> Tally:
    """What blocks in render order weigh together, without thinking that the provider drops."""
    kept_from = 0 if traits.keeps_all_thinking else _last_question(blocks)
    sums = [0.0] * len(CONTENTS)
    bound = 0
    for position, block in enumerate(blocks):
        tally = memo.tally(block, traits)
        bound += tally.bound
        for index, tokens in enumerate(tally.tokens):
            if tokens and (index != _THINKING or position >= kept_from):
                sums[index] += tokens
    return Tally(tuple(sums), bound)


def tally_request(request: Request, traits: ModelTraits, memo: BlockMemo) -> Tally:
    """What a whole request weighs, with the hidden tokens that tools bring along."""
    return tally_blocks(request.blocks, traits, memo) + tally_hidden(request, traits)


def _last_question(blocks: Sequence[Block]) -> int:
    """Where the last user block stands that is no tool result: thinking before it is dropped."""
    for position in range(len(blocks) - 1, -1, -1):
        block = blocks[position]
        if block.role == "user" and block.kind != "tool_result":
            return position
    return 0


def tally_hidden(request: Request, traits: ModelTraits) -> Tally:
    """The provider's own prompt for tools: one size for auto and none, another for any and tool."""
    loose, forced = traits.tool_prompt_tokens
    choice = request.field("tool_choice") or b""
    kind = bytes(json.raw_members(choice).get("type", b"")) if choice.startswith(b"{") else b""
    tokens = (forced if kind in {b'"any"', b'"tool"'} else loose) if request.tools else 0
    return Tally((0.0, 0.0, 0.0, 0.0, float(tokens)), _REQUEST_BOUND + tokens)
