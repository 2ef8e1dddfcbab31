"""What a request will read and write, and why it will not read more: plain values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from farthing.core.prefix import Level, Mark, PrefixView, Ttl
from farthing.core.survival import Expired
from farthing.wire.usage import Usage

__all__ = ["Forecast", "Hit", "Shortfall", "ShortfallCode", "bill"]

ShortfallCode = Literal[
    "complete",  # everything written on this path is read; the rest is new
    "no_marks",
    "too_short",
    "cold",  # nothing of this prompt was ever written
    "expired",
    "in_flight",  # being written by a request whose response has not begun
    "beyond_lookback",
    "prefix_changed",
    "model_changed",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortfall:
    """Why no more is read. ``block`` is the block that decides, where there is one."""

    code: ShortfallCode
    block: int | None = None
    level: Level | None = None
    #: tokens that would have been read otherwise, if known
    missed_tokens: int = 0
    #: for expired and in-flight entries: since the start of the last request that touched them
    age: timedelta | None = None
    ttl: Ttl | None = None
    #: for a changed model: the one that holds the entries
    other_model: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """The entry that will be read."""

    block: int
    tokens: int
    ttl: Ttl
    touched_at: datetime
    #: expired by our clock, but such entries were mostly still there when asked for
    is_presumed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """A point prediction of the input side of ``Usage``, with its reason."""

    usage: Usage
    hit: Hit | None
    shortfall: Shortfall
    #: the blocks at which an entry will be written
    writes: tuple[int, ...]
    #: tested entries past their lifetime, whose fate the answer will show
    expired: tuple[Expired, ...] = ()
    #: server tools are declared and something is marked: 5 m writes of unknown size may follow
    hidden_writes: bool = False


def bill(view: PrefixView, hit: Hit | None) -> tuple[Usage, tuple[int, ...]]:
    """Split the prompt at A, B and C (API facts 2.4), and name the blocks that get an entry.

    A is the hit, B the highest 1 h breakpoint behind it, C the last breakpoint: read A, write
    B - A for 1 h and C - B for 5 m, the rest is plain input.
    """
    read = min(hit.tokens, view.total_tokens) if hit else 0
    behind = hit.block if hit else -1
    written = [mark for mark in view.marks if mark.index > behind and view.is_cacheable(mark)]
    end_1h = _reach(view, [mark for mark in written if mark.ttl == "1h"], read)
    end_5m = _reach(view, written, end_1h)
    usage = Usage(
        uncached=view.total_tokens - end_5m,
        cache_write_5m=end_5m - end_1h,
        cache_write_1h=end_1h - read,
        cache_read=read,
    )
    return usage, tuple(mark.index for mark in written)


def _reach(view: PrefixView, marks: list[Mark], at_least: int) -> int:
    """Tokens through the last of these marks: never back, never beyond the prompt."""
    if not marks:
        return at_least
    return min(max(at_least, view.positions[marks[-1].index]), view.total_tokens)
