"""Why a prompt was not read from the prompt cache, and what that cost.

Theory of operation. After a call, all it read and wrote is cached for the TTL that was asked for,
counted from the start of the request (API facts, section 2.3). The next call of the thread should
read at least that. What it did not read although its prompt still holds it is *missed*; the reason
follows from the model, the history and the time between the two request starts. A missed token cost
the price of a fresh one instead of a read one.

Rule of this file: an entry lives while its age is below the TTL; at 300 s it is gone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from farthing.traces.audit.counted import CountedCall

__all__ = ["TTL_SECONDS", "Cause", "Expected", "Miss", "find_misses"]

TTL_SECONDS: Final = {"5m": 300.0, "1h": 3600.0}

#: counts of one prompt differ a little from call to call (attribution line, reminders)
_TOLERATED_TOKENS: Final = 256
_TOLERATED_RATIO: Final = 0.01
_PROVIDER: Final = "claude"
#: the largest minimum of any model (API facts, section 1.1): from here on every one caches
_CACHEABLE_EVERYWHERE: Final = 4096
#: a prompt this much smaller than the one before it was rewritten
_SHRUNK_RATIO: Final = 0.98


class Cause(StrEnum):
    """The reasons, dearest to fix last."""

    FIRST_CALL = "first call"
    EXPIRED_5M = "expired after 5-60 min"
    EXPIRED_1H = "expired after more than 1 h"
    PREFIX_CHANGED = "prefix changed inside the TTL"
    MODEL_CHANGED = "model changed"
    REWRITTEN = "history rewritten (compaction, rewind)"
    NOT_ASKED = "caching not asked for"
    NO_TIMES = "times not recorded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a thread's last call left in the prompt cache."""

    model: str
    at: float | None
    prompt: int
    cached: int
    ttl: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Miss:
    """One call that paid for tokens it could have read."""

    call: CountedCall
    cause: Cause
    tokens: int
    #: seconds since the thread's call before; None: first, or not recorded
    gap: float | None
    #: the TTL that was in force
    ttl: str
    #: 10⁻¹² USD above reading the same tokens; None: unpriced
    estimated_pico: float | None


def find_misses(
    calls: Sequence[CountedCall],
    before: Expected | None,
    *,
    rewritten: bool,
    prefix_tokens: float,
    ttl: str | None,
) -> tuple[list[Miss], Expected | None]:
    """The misses of one stretch, and what it leaves behind.

    ``before`` is what the thread's earlier stretch left; ``rewritten``: the history was changed
    between the two; ``prefix_tokens``: system prompt and tools, which a first call could share.
    """
    misses: list[Miss] = []
    expected = before
    for index, call in enumerate(calls):
        if call.usage is None:
            continue
        if call.billed:
            first = index == 0 and rewritten
            misses.extend(_miss(call, expected, rewritten=first, prefix_tokens=prefix_tokens))
        expected = _left_behind(call, expected, ttl)
    return misses, expected


def _miss(
    call: CountedCall, expected: Expected | None, *, rewritten: bool, prefix_tokens: float
) -> Iterator[Miss]:
    usage = call.usage
    assert usage is not None
    if call.rates is None and _PROVIDER not in call.model.lower():
        return  # another provider's cache has other rules; what they cost is not known here
    known = int(prefix_tokens) if expected is None else expected.cached or expected.prompt
    tokens = min(known, usage.prompt) - usage.cache_read
    if tokens <= max(_TOLERATED_TOKENS, known * _TOLERATED_RATIO):
        return
    gap = None
    if expected is not None and call.at is not None and expected.at is not None:
        gap = call.at - expected.at
    cause = _cause(call, expected, gap, rewritten=rewritten)
    if cause is Cause.NOT_ASKED and not _could_be_cached(tokens, expected, gap):
        return
    extra = call.fresh_pico - call.rates.cache_read if call.rates else None
    yield Miss(
        call=call,
        cause=cause,
        tokens=tokens,
        gap=gap,
        ttl=expected.ttl if expected else "5m",
        estimated_pico=None if extra is None else tokens * extra,
    )


def _cause(
    call: CountedCall, expected: Expected | None, gap: float | None, *, rewritten: bool
) -> Cause:
    usage = call.usage
    assert usage is not None
    if not (usage.cache_read or usage.cache_write_5m or usage.cache_write_1h):
        return Cause.NOT_ASKED
    if expected is None:
        return Cause.FIRST_CALL
    if not expected.cached:
        return Cause.NOT_ASKED
    if call.model != expected.model:
        return Cause.MODEL_CHANGED
    if rewritten or usage.prompt < expected.prompt * _SHRUNK_RATIO:
        return Cause.REWRITTEN
    if gap is None:
        return Cause.NO_TIMES
    if gap >= TTL_SECONDS["1h"]:
        return Cause.EXPIRED_1H
    return Cause.EXPIRED_5M if gap >= TTL_SECONDS[expected.ttl] else Cause.PREFIX_CHANGED


def _could_be_cached(tokens: int, expected: Expected | None, gap: float | None) -> bool:
    """Would the call before have left this for us, had it asked."""
    if expected is None or tokens < _CACHEABLE_EVERYWHERE:
        return False
    return gap is None or gap < TTL_SECONDS["5m"]


def _left_behind(call: CountedCall, expected: Expected | None, ttl: str | None) -> Expected:
    usage = call.usage
    assert usage is not None
    asked = "1h" if usage.cache_write_1h > usage.cache_write_5m else "5m"
    if not usage.cache_write_1h and not usage.cache_write_5m:
        asked = expected.ttl if expected else ttl or "5m"
    return Expected(
        model=call.model,
        at=call.at,
        prompt=usage.prompt,
        cached=usage.prompt - usage.uncached,
        ttl=asked,
    )
