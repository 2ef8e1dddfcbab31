"""From what is known about a request to its marks: wishes, top-ups, the order of lifetimes.

Also the expectations that go with a choice: what it should save, whether padding would pay.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from farthing.core.breakpoints import Site, Wish, is_reached
from farthing.core.cache_values import CacheCase, ChosenMark
from farthing.core.prefix import Ttl

__all__ = [
    "asked_tail",
    "expected_saving",
    "padding_tokens",
    "tops_up",
    "unreached_entry",
    "wishes",
    "with_lifetimes",
]

#: Departures expected at the ends of tools and system before any was seen: heads are mostly shared.
_HEAD_WEIGHTS: Final = {"tools": 0.3, "system": 0.5}

#: A tail that is marked again although the lookup finds it anyway: for a rewind or a retry.
_SPARE_WEIGHT: Final = 0.02

#: A client that asks for an hour has insured itself against pauses. Where it is given five minutes
#: for the cold write, it is topped up at half the odds, so that hardly any of its pauses gets dear.
_ASKED_HOUR_WEIGHT: Final = 2.0


def asked_tail(case: CacheCase) -> Ttl | None:
    """The lifetime the client asked for behind the head, if it marked anything there."""
    view = case.ask.view
    return next((m.ttl for m in reversed(view.marks) if m.index >= view.system_end), None)


def wishes(case: CacheCase, base: Ttl | None) -> Iterator[Wish]:
    """Where later requests are expected to depart from this one."""
    view, path = case.ask.view, case.path
    tail = len(view.digests) - 1
    if base is not None:
        yield Wish(index=tail, why="tail", is_must=True)
        yield from _entries(case, tail)
    if view.tools_end:
        yield Wish(index=view.tools_end - 1, why="tools", weight=_HEAD_WEIGHTS["tools"])
    if view.system_end > view.tools_end:
        yield Wish(index=view.system_end - 1, why="system", weight=_HEAD_WEIGHTS["system"])
    for stop in path.stops:
        is_here = stop.index == path.blocks - 1
        if is_here and case.standing.gap_seconds is not None:
            continue  # where the lineage itself goes on
        yield Wish(index=stop.index, why="branch", weight=stop.departures + is_here)


def _entries(case: CacheCase, tail: int) -> Iterator[Wish]:
    """Entries of the lineage: a must where the lookup from the tail does not find them."""
    topped = case.standing.topped if case.standing.is_pause else None
    found = topped if topped is not None else max(case.entries, default=None)
    if found is not None:
        is_must = not is_reached(found, (tail,))
        yield Wish(index=found, why="previous_tail", weight=_SPARE_WEIGHT, is_must=is_must)


def unreached_entry(case: CacheCase, sites: Sequence[Site]) -> int | None:
    """The deepest entry of the lineage, if no breakpoint of this request finds it."""
    entry = max(case.entries, default=None)
    if entry is None or is_reached(entry, (site.index for site in sites)):
        return None
    return entry


def tops_up(case: CacheCase, sites: Sequence[Site]) -> bool:
    """Should what this request adds to a 5 m lineage be asked for an hour? For other lineages:
    should it, if they were?
    """
    standing = case.standing
    # what the last request had behind its deepest mark is written by this one
    kept = min(standing.warm_tokens_5m, standing.written_tokens)
    added = case.ask.view.total_tokens - kept
    if standing.gap_seconds is None or not sites or added <= 0:
        return False
    topped, covered = standing.topped, case.ask.view.total_tokens
    if topped is not None and is_reached(topped, (sites[-1].index,)):
        covered -= standing.topped_tokens
    weight = _ASKED_HOUR_WEIGHT if asked_tail(case) == "1h" else 1.0
    return case.prices.tops_up(
        added=added,
        covered=covered,
        pause=weight * case.pause * case.upgrade,
    )


def with_lifetimes(
    sites: Sequence[Site], heads: Mapping[int, Ttl | None], tail: Ttl | None
) -> tuple[ChosenMark, ...]:
    """Each site with its lifetime: whatever stands before a 1 h mark is 1 h too."""
    marks: list[ChosenMark] = []
    is_hour = False
    for site in reversed(sites):
        ttl = heads.get(site.index, tail or "5m")
        if ttl is None and not is_hour:
            continue  # a head not worth writing yet
        is_hour = is_hour or ttl == "1h"
        marks.append(ChosenMark(index=site.index, ttl="1h" if is_hour else "5m", why=site.why))
    return tuple(reversed(marks))


def expected_saving(case: CacheCase, marks: Sequence[ChosenMark]) -> float:
    """Against the client's marks, in 10⁻¹² USD: this request's writes and the next one's."""
    view = case.ask.view
    before = _outlook(case, [(mark.index, mark.ttl) for mark in view.marks])
    after = _outlook(case, [(mark.index, mark.ttl) for mark in marks])
    return (before - after) * case.ask.rates.uncached


def _outlook(case: CacheCase, marks: Sequence[tuple[int, Ttl]]) -> float:
    """Tokens at the base price: what is written now, and what the next request pays for it."""
    view, prices = case.ask.view, case.prices
    end = view.positions[marks[-1][0]] if marks else 0
    hour = max((view.positions[index] for index, ttl in marks if ttl == "1h"), default=0)
    warm = min(case.standing.warm_tokens, end)
    hour = max(hour, warm)
    now = (
        prices.read * warm
        + prices.write_1h * (hour - warm)
        + prices.write_5m * (max(end, hour) - hour)
        + (view.total_tokens - max(end, hour))
    )
    plain = view.total_tokens - end
    soon = prices.read * end + plain
    later = soon if marks and marks[-1][1] == "1h" else prices.write_5m * end + plain
    return now + (1 - case.pause) * soon + case.pause * later


def padding_tokens(case: CacheCase) -> int:
    """How much useful content would make the shared head long enough, if that pays; else 0.

    From n uses within the lifetime: n > (w - r) M / (L - r M), for L tokens and a minimum of M.
    """
    view, prices = case.ask.view, case.prices
    if not view.system_end:
        return 0
    head, least = view.positions[view.system_end - 1], view.min_cacheable_tokens
    margin = head - prices.read * least
    if head >= least or margin <= 0:
        return 0
    uses = 1 + sum(s.departures for s in case.path.stops if s.index >= view.system_end - 1)
    return least - head if uses > (prices.write_5m - prices.read) * least / margin else 0
