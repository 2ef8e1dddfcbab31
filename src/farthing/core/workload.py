"""A growing conversation as numbers: what each turn would read, write and send under a policy.

The arithmetic that people do on the back of an envelope, done by the prompt-cache model instead, so
that TTL, minimum length and lookback have their say: a prefix, the same on every turn, and a
history that grows by as many tokens each turn. Turn 1 sends the prefix alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, get_args

import msgspec

from farthing.core.prefix import LOOKBACK, Mark, PrefixView, Ttl
from farthing.core.prompt_cache import PromptCache
from farthing.wire.usage import Usage

__all__ = ["CACHE_POLICIES", "CachePolicy", "Workload", "simulate"]

#: where breakpoints stand: nowhere, behind the prefix, or also behind the last turn
CachePolicy = Literal["none", "prefix_5m", "rolling_5m", "rolling_1h"]
CACHE_POLICIES: tuple[CachePolicy, ...] = get_args(CachePolicy)

_START = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One conversation: its shape and its rhythm."""

    prefix_tokens: int
    turns: int
    grow_tokens: int = 0
    output_tokens: int = 0
    #: from the start of one request to the start of the next
    gap: timedelta = timedelta(seconds=30)


def simulate(
    workload: Workload, policy: CachePolicy, *, model: str, min_cacheable_tokens: int
) -> Iterator[Usage]:
    """The usage of each turn in order."""
    cache = PromptCache(entries=4 * LOOKBACK)
    for turn in range(workload.turns):
        now = _START + turn * workload.gap
        view = _view(workload, policy, turn, model, min_cacheable_tokens)
        forecast = cache.begin(view, now)
        cache.observe(view, forecast, began_at=now, first_byte_at=now)
        yield msgspec.structs.replace(forecast.usage, output=workload.output_tokens)


def _view(
    workload: Workload, policy: CachePolicy, turn: int, model: str, minimum: int
) -> PrefixView:
    """The request of a turn; of the history only the blocks a lookup can reach are named."""
    reachable = range(max(1, turn - LOOKBACK), turn + 1) if workload.grow_tokens else range(0)
    ends = (0, *reachable)
    positions = [workload.prefix_tokens + end * workload.grow_tokens for end in ends]
    return PrefixView(
        scope="",
        model=model,
        digests=[end.to_bytes(8, "big") for end in ends],
        positions=positions,
        total_tokens=positions[-1],
        marks=_marks(policy, last=len(ends) - 1),
        min_cacheable_tokens=minimum,
        system_end=1,
    )


def _marks(policy: CachePolicy, *, last: int) -> tuple[Mark, ...]:
    if policy == "none":
        return ()
    ttl: Ttl = "1h" if policy == "rolling_1h" else "5m"
    places = {0} if policy == "prefix_5m" else {0, last}
    return tuple(Mark(index=index, ttl=ttl) for index in sorted(places))
