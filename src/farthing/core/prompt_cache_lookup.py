"""Where a request finds its prefix: the provider's lookback, and why it found no more.

Theory of operation. The provider starts at a breakpoint, tests the cumulative hash there and walks
back block by block, 20 positions in all; without a hit it goes on from the next earlier breakpoint
with a fresh window (API facts 2.2, documentation as of 2026-10). A lookup therefore costs at most
80 dictionary probes, however long the conversation is. Only a miss is explained by looking
further: at positions the provider does not test, and at the paths of recent requests.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from farthing.core.prefix import LOOKBACK, PrefixView
from farthing.core.prompt_cache_forecast import Hit, Shortfall
from farthing.core.prompt_cache_paths import RecentPaths
from farthing.core.prompt_cache_store import Entry, Shelf
from farthing.core.survival import Bond, Expired, SurvivalRates

__all__ = ["LookupResult", "anchored", "explain", "find", "tested_blocks"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupResult:
    """The outcome of a lookup."""

    hit: Hit | None = None
    #: the deepest tested entry that could not be read although it was written
    unreadable: tuple[int, Entry] | None = None
    #: the deepest expired entry of each bond
    expired: tuple[Expired, ...] = ()


def tested_blocks(view: PrefixView) -> Iterator[int]:
    """The positions the provider tests, in its order; windows of near marks overlap."""
    for mark in reversed(view.marks):
        yield from range(mark.index, max(-1, mark.index - LOOKBACK), -1)


def find(view: PrefixView, shelf: Shelf, survival: SurvivalRates, now: datetime) -> LookupResult:
    """The first live entry in the provider's order, or the first presumed alive."""
    unreadable: tuple[int, Entry] | None = None
    expired: dict[Bond, Expired] = {}
    hit: Hit | None = None
    for index in tested_blocks(view):
        entry = shelf.entries.get(view.digests[index])
        if entry is None or entry.is_lost(now):
            continue
        if entry.is_readable(now):
            hit = _hit(view, index, entry, now)
            break
        if entry.is_expired(now):
            lapsed = _expired(view, index, entry, now)
            expired.setdefault(lapsed.bond, lapsed)
            if survival.presumes(view, lapsed):
                hit = replace(_hit(view, index, entry, now), is_presumed=True)
                break
        unreadable = unreadable or (index, entry)
    return LookupResult(hit=hit, unreadable=unreadable, expired=tuple(expired.values()))


def _expired(view: PrefixView, index: int, entry: Entry, now: datetime) -> Expired:
    return Expired(
        block=index,
        bond=entry.bond(view),
        tokens=entry.tokens,
        ttl=entry.ttl,
        age=now - entry.touched_at,
    )


def _hit(view: PrefixView, index: int, entry: Entry, now: datetime) -> Hit:
    """The entry itself, or what the provider wrote behind it for a server tool."""
    hidden = entry.hidden
    if hidden and hidden.is_alive(now):
        window = min(mark.index for mark in view.marks if mark.index >= index)
        reached = [block for block in view.server_results if index < block <= window]
        if reached:
            return Hit(
                block=reached[-1], tokens=hidden.tokens, ttl="5m", touched_at=hidden.touched_at
            )
    return Hit(block=index, tokens=entry.tokens, ttl=entry.ttl, touched_at=entry.touched_at)


def explain(
    view: PrefixView, finding: LookupResult, shelf: Shelf, paths: RecentPaths, now: datetime
) -> Shortfall:
    """Why no more is read than was found; checks go from the certain to the likely."""
    if not view.marks:
        return Shortfall(code="no_marks")
    if not any(view.is_cacheable(mark) for mark in view.marks):
        return Shortfall(code="too_short", block=view.marks[-1].index)
    read = finding.hit.tokens if finding.hit else 0
    if finding.unreadable:
        return _unreadable(view, *finding.unreadable, read, now)
    behind = finding.hit.block if finding.hit else -1
    return (
        _beyond_lookback(view, shelf, behind, read, now)
        or paths.departure(view, finding.hit)
        or Shortfall(code="complete" if finding.hit else "cold")
    )


def _unreadable(view: PrefixView, index: int, entry: Entry, read: int, now: datetime) -> Shortfall:
    return Shortfall(
        code="expired" if entry.is_expired(now) else "in_flight",
        block=index,
        level=view.level(index),
        missed_tokens=max(0, entry.tokens - read),
        age=now - entry.touched_at,
        ttl=entry.ttl,
    )


def _beyond_lookback(
    view: PrefixView, shelf: Shelf, behind: int, read: int, now: datetime
) -> Shortfall | None:
    """Is there a live entry on this path that no window reaches?"""
    for index in range(view.marks[-1].index - LOOKBACK, behind, -1):
        entry = shelf.entries.get(view.digests[index])
        if entry is not None and entry.is_readable(now):
            missed = max(0, entry.tokens - read)
            level = view.level(index)
            return Shortfall(code="beyond_lookback", block=index, level=level, missed_tokens=missed)
    return None


def anchored(view: PrefixView, shelf: Shelf) -> PrefixView:
    """The view with positions moved to the deepest length that an answer has measured.

    Lengths do not expire: dead entries anchor as well as live ones.
    """
    for index in tested_blocks(view):
        entry = shelf.entries.get(view.digests[index])
        if entry is not None and entry.is_measured:
            is_there = view.positions[index] == entry.tokens
            return view if is_there else _moved(view, index, entry.tokens)
    return view


def _moved(view: PrefixView, index: int, tokens: int) -> PrefixView:
    """Stretch what lies before the anchor, shift what lies behind it."""
    guess = view.positions[index]
    before = [position * tokens // guess for position in view.positions[:index]] if guess else []
    before += [0] * (index - len(before))
    behind = [position - guess + tokens for position in view.positions[index:]]
    total = view.total_tokens - guess + tokens
    return replace(view, positions=(*before, *behind), total_tokens=total)
