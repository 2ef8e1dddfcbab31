"""A provider that keeps every token exactly for what it was written for, and no longer.

Theory of operation. Documentation says that a 1 h breakpoint behind a read is billed for the new
tokens only; both models of the prompt cache in this repository take its entry to be the whole
prefix, alive for the hour. If the service instead forgets the older part when *its* time is over,
topping up buys nothing. This is that service, for the bill of a policy in the less kind world. It
knows breakpoints, lookback, minimum length, lifetimes, and that a write is readable from the first
byte of its answer.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # also as a script

import msgspec

from farthing.core.prefix import LIFETIMES, LOOKBACK, PrefixView, Ttl
from farthing.core.prompt_cache_forecast import Hit, bill
from farthing.lab.replay import Policy, Replayed, Turn
from farthing.lab.replay.sending import LearningPolicy, begun
from farthing.pricing import traits

__all__ = ["simulate_strict"]

#: when an entry was touched is of no interest to its bill
_UNREAD = datetime(2000, 1, 1, tzinfo=UTC)

_Shelf = dict[bytes, tuple[Ttl, float]]
_Entries = dict[tuple[str, str, bytes], float]


def simulate_strict(turns: Iterable[Turn], policy: Policy) -> Iterator[Replayed]:
    """Every turn in order of time, as ``simulate`` does, in the strict world."""
    policy = begun(policy)
    tokens: dict[tuple[str, str], _Shelf] = {}
    entries: _Entries = {}
    for turn in turns:
        view = _view(turn, policy)
        shelf = tokens.setdefault((view.scope, view.model), {})
        now = turn.began_at.timestamp()
        hit = _find(view, shelf, entries, now)
        usage, writes = bill(view, hit)
        _keep(view, shelf, hit, writes, now)
        for index in writes:
            key = view.scope, view.model, view.digests[index]
            entries[key] = min(entries.get(key, float("inf")), turn.first_byte_at.timestamp())
        if isinstance(policy, LearningPolicy):
            policy.observe(turn, usage)
        yield Replayed(turn=turn, usage=msgspec.structs.replace(usage, output=turn.output_tokens))


def _view(turn: Turn, policy: Policy) -> PrefixView:
    known = traits(turn.model)
    return PrefixView(
        scope=turn.recording.scope,
        model=turn.model,
        digests=turn.digests,
        positions=turn.positions,
        total_tokens=turn.prompt_tokens,
        marks=policy.plan(turn).all_marks(turn),
        min_cacheable_tokens=known.min_cacheable_tokens if known else 0,
    )


def _find(view: PrefixView, shelf: _Shelf, entries: _Entries, now: float) -> Hit | None:
    alive = 0
    for digest in view.digests:
        ttl, touched_at = shelf.get(digest, ("5m", float("-inf")))
        if now - touched_at >= LIFETIMES[ttl].total_seconds():
            break
        alive += 1
    for mark in reversed(view.marks):
        for index in range(mark.index, max(-1, mark.index - LOOKBACK), -1):
            usable_at = entries.get((view.scope, view.model, view.digests[index]))
            if index < alive and usable_at is not None and usable_at <= now:
                return _hit(view, index)
    return None


def _hit(view: PrefixView, index: int) -> Hit:
    return Hit(block=index, tokens=view.positions[index], ttl="5m", touched_at=_UNREAD)


def _keep(
    view: PrefixView, shelf: _Shelf, hit: Hit | None, writes: tuple[int, ...], now: float
) -> None:
    """What was read is refreshed at its own lifetime; what was written has that of its mark."""
    read = -1 if hit is None else hit.block
    for digest in view.digests[: read + 1]:
        shelf[digest] = (shelf[digest][0], now)
    start = read + 1
    for mark in view.marks:
        if mark.index in writes:
            for digest in view.digests[start : mark.index + 1]:
                shelf[digest] = (mark.ttl, now)
            start = max(start, mark.index + 1)
