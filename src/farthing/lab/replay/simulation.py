"""Turns through the core's model of the prompt cache: no bodies, no network, virtual time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

import msgspec

from farthing.core.prefix import Mark, PrefixView
from farthing.core.prompt_cache import PromptCache
from farthing.core.prompt_cache_forecast import Forecast, ShortfallCode
from farthing.lab.replay.sending import LearningPolicy, Policy, begun
from farthing.lab.replay.turns import Turn
from farthing.pricing import traits
from farthing.wire.usage import Usage

__all__ = ["CAUSES", "Cause", "Replayed", "simulate"]

#: Enough for any trace that fits into memory: an entry that is swept can no longer be read, and the
#: provider sweeps nothing that is alive.
_ENTRIES: Final = 1 << 22
_PATHS: Final = 1024

Cause = Literal[
    "first call",
    "expired",
    "in flight",
    "recorded break",
    "prefix changed",
    "model changed",
    "beyond lookback",
    "too short",
]
CAUSES: Final[dict[ShortfallCode, Cause]] = {
    "cold": "first call",
    "expired": "expired",
    "in_flight": "in flight",
    "prefix_changed": "prefix changed",
    "model_changed": "model changed",
    "beyond_lookback": "beyond lookback",
    "too_short": "too short",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """One turn as it would have been billed; ``cause`` is why no more of it was read."""

    turn: Turn
    usage: Usage
    cause: Cause | None = None
    #: tokens that would have been read otherwise
    missed_tokens: int = 0


def simulate(turns: Iterable[Turn], policy: Policy) -> Iterator[Replayed]:
    """Every turn in order; ``turns`` must be sorted by time."""
    cache = PromptCache(entries=_ENTRIES, paths=_PATHS)
    policy = begun(policy)
    for turn in turns:
        view = _view(turn, policy.plan(turn).all_marks(turn))
        forecast = cache.begin(view, turn.began_at)
        cache.observe(view, forecast, began_at=turn.began_at, first_byte_at=turn.first_byte_at)
        if isinstance(policy, LearningPolicy):
            policy.observe(turn, forecast.usage)
        yield _replayed(turn, forecast)


def _view(turn: Turn, marks: tuple[Mark, ...]) -> PrefixView:
    recording = turn.recording
    return PrefixView(
        scope=recording.scope,
        model=turn.model,
        digests=turn.digests,
        positions=turn.positions,
        total_tokens=turn.prompt_tokens,
        marks=marks,
        min_cacheable_tokens=_min_cacheable_tokens(turn.model),
        tools_end=turn.tools_end,
        system_end=turn.system_end,
        lineage_id=recording.conversation.thread_id,
    )


@cache
def _min_cacheable_tokens(model: str) -> int:
    known = traits(model)
    return known.min_cacheable_tokens if known else 0


def _replayed(turn: Turn, forecast: Forecast) -> Replayed:
    shortfall = forecast.shortfall
    cause = CAUSES.get(shortfall.code)
    missed = shortfall.missed_tokens
    if cause == "first call":
        missed = forecast.usage.prompt
    if turn.is_break and cause in {"prefix changed", "first call"}:
        cause = "recorded break"
    return Replayed(
        turn=turn,
        usage=msgspec.structs.replace(forecast.usage, output=turn.output_tokens),
        cause=cause,
        missed_tokens=missed if cause else 0,
    )
