"""Prompts for the cache engine, as lists of names: digests are chained over them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import blake2b

from farthing.core.cache_values import CacheAsk, CachePin
from farthing.core.prefix import Mark, PrefixView
from farthing.pricing import Rates

__all__ = ["NOON", "RATES", "after", "ask_for", "prompt"]

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)

#: $5 per Mtok, reads at a tenth
RATES = Rates(
    uncached=5_000_000,
    cache_write_5m=6_250_000,
    cache_write_1h=10_000_000,
    cache_read=500_000,
    output=25_000_000,
)


def after(seconds: float) -> datetime:
    """So long after noon."""
    return NOON + timedelta(seconds=seconds)


def prompt(
    blocks: Sequence[str],
    *,
    marks: Sequence[Mark] = (),
    heads: tuple[int, int] = (0, 0),
    lineage: str = "task",
    tokens: int | Sequence[int] = 1_000,
    minimum: int = 0,
    scope: str = "workspace",
) -> PrefixView:
    """A prompt of these blocks; ``heads``: how many are tools, and tools or system."""
    sizes = [tokens] * len(blocks) if isinstance(tokens, int) else list(tokens)
    digests, positions, state, end = [], [], b"", 0
    for block, size in zip(blocks, sizes, strict=True):
        state = blake2b(state + block.encode(), digest_size=16).digest()
        end += size
        digests.append(state)
        positions.append(end)
    return PrefixView(
        scope=scope,
        model="claude-opus-4-6",
        digests=digests,
        positions=positions,
        total_tokens=end,
        marks=tuple(marks),
        min_cacheable_tokens=minimum,
        tools_end=heads[0],
        system_end=heads[1],
        lineage_id=lineage,
    )


def ask_for(
    view: PrefixView, *, unmarkable: Sequence[int] = (), pin: CachePin | None = None
) -> CacheAsk:
    """The question to the engine."""
    return CacheAsk(
        view=view,
        rates=RATES,
        markable=lambda index: index not in unmarkable,
        kind="main",
        pin=pin,
    )
