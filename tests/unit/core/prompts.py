"""Prompts as words: a block is a word, so that a test reads like the prompt it is about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from itertools import accumulate
from typing import Any

from farthing.core.prefix import Mark, PrefixView, Ttl
from farthing.core.prompt_cache import PromptCache
from farthing.core.prompt_cache_forecast import Forecast, Hit
from farthing.wire.usage import Usage

T0 = datetime(2026, 11, 20, 12, tzinfo=UTC)
BLOCK_TOKENS = 1_000


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def digests_of(words: Iterable[str]) -> tuple[bytes, ...]:
    def grow(before: bytes, word: str) -> bytes:
        return blake2b(before + word.encode(), digest_size=8).digest()

    return tuple(accumulate(words, grow, initial=b""))[1:]


def prompt(
    words: str | Sequence[str], *marks: int | tuple[int, Ttl], rest: int = 0, **changes: Any
) -> PrefixView:
    """A view: 1,000 tokens per word; marks are block indexes (5m) or pairs with a TTL."""
    names = words.split() if isinstance(words, str) else words
    placed = [
        Mark(index=mark) if isinstance(mark, int) else Mark(index=mark[0], ttl=mark[1])
        for mark in marks
    ]
    positions = tuple(BLOCK_TOKENS * (index + 1) for index in range(len(names)))
    given: dict[str, Any] = {
        "scope": "workspace",
        "model": "claude-opus-5-5",
        "digests": digests_of(names),
        "positions": positions,
        "total_tokens": (positions[-1] if positions else 0) + rest,
        "marks": tuple(placed),
    }
    return PrefixView(**{**given, **changes})


def numbered(count: int, *, start: int = 0) -> list[str]:
    return [f"b{index}" for index in range(start, start + count)]


def served(
    cache: PromptCache, view: PrefixView, seconds: float, *, first_byte: float = 1.0
) -> Forecast:
    """A request that begins, is answered as forecast, and reports that."""
    forecast = cache.begin(view, at(seconds))
    answer(cache, view, forecast, seconds, forecast.usage, first_byte=first_byte)
    return forecast


def answer(
    cache: PromptCache,
    view: PrefixView,
    forecast: Forecast,
    seconds: float,
    usage: Usage | None,
    *,
    first_byte: float = 1.0,
) -> Any:
    return cache.observe(
        view,
        forecast,
        began_at=at(seconds),
        first_byte_at=at(seconds + first_byte),
        usage=usage,
    )


def hit_of(forecast: Forecast) -> Hit:
    """The hit of a forecast that must have one."""
    assert forecast.hit is not None
    return forecast.hit


def split(usage: Usage) -> tuple[int, int, int, int]:
    """(read, written for 1 h, written for 5 m, plain)."""
    return usage.cache_read, usage.cache_write_1h, usage.cache_write_5m, usage.uncached
