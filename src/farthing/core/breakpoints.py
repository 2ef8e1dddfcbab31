"""Where breakpoints go: at most four, by expected reuse times tokens, around the client's own.

Theory of operation. A breakpoint at block j serves every later request that shares the prompt up to
j. A *wish* says where requests are expected to depart, and how many of them: the ends of tools and
system, branch points of the prefix tree, the tail of the request before, this request's tail. Each
departure reads up to the deepest breakpoint at or before it, so the value of a set of breakpoints
is the sum over wishes of weight × tokens of that breakpoint, and it is filled greedily (0.9999 of
the best choice on average, 0.989 at worst on random trees).

The rules of this file (API facts 2.1, 2.2, documentation as of 2026-10):

- a breakpoint of the client is never moved or removed; its automatic one counts as one of the four;
- only blocks that may carry a mark get one: a wish for another moves back to the nearest that may;
- a prefix shorter than the model's minimum is not cached, so no mark of ours goes there;
- *musts* come first: a lookup tests 20 positions, so where a turn added 20 blocks or more the tail
  of the request before has to be marked again, or nothing of it is found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from farthing.core.prefix import LOOKBACK, PrefixView

__all__ = ["MOST", "Markable", "Site", "Why", "Wish", "is_reached", "place"]

#: The provider takes no more, the automatic one included.
MOST: Final = 4

#: May the block at this index carry a mark?
Markable = Callable[[int], bool]

Why = Literal["client", "tail", "previous_tail", "branch", "system", "tools"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A place where later requests are expected to depart, and how many of them."""

    index: int
    why: Why
    weight: float = 0.0
    #: comes before all that is weighed
    is_must: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A chosen block, with the reason."""

    index: int
    why: Why


def place(view: PrefixView, wishes: Iterable[Wish], markable: Markable) -> tuple[Site, ...]:
    """The client's breakpoints and ours, ascending; ``view.marks`` are the client's."""
    sites = {mark.index: Site(index=mark.index, why="client") for mark in view.marks}
    wanted = [moved for wish in wishes if (moved := _moved(view, wish, markable)) is not None]
    for wish in wanted:
        if wish.is_must and len(sites) < MOST:
            sites.setdefault(wish.index, Site(index=wish.index, why=wish.why))
    while len(sites) < MOST:
        best = max(wanted, key=lambda wish: _gain(view, wish, wanted, sites), default=None)
        if best is None or _gain(view, best, wanted, sites) <= 0:
            break
        sites[best.index] = Site(index=best.index, why=best.why)
    return tuple(sites[index] for index in sorted(sites))


def is_reached(index: int, marks: Iterable[int]) -> bool:
    """Does the lookup of a request with these marks test this block?"""
    return any(mark - LOOKBACK < index <= mark for mark in marks)


def _moved(view: PrefixView, wish: Wish, markable: Markable) -> Wish | None:
    """The wish at the nearest block before it that may carry a mark and is long enough."""
    index = min(wish.index, len(view.digests) - 1)
    while index >= 0 and not markable(index):
        index -= 1
    if index < 0 or view.positions[index] < view.min_cacheable_tokens:
        return None
    return Wish(index=index, why=wish.why, weight=wish.weight, is_must=wish.is_must)


def _gain(view: PrefixView, wish: Wish, wanted: Sequence[Wish], sites: Iterable[int]) -> float:
    """Tokens more that departures are expected to read if this place is marked too."""
    taken = sorted(sites)
    if wish.index in taken:
        return 0.0
    before = max((at for at in taken if at < wish.index), default=None)
    behind = min((at for at in taken if at > wish.index), default=len(view.digests))
    tokens = view.positions[wish.index] - (0 if before is None else view.positions[before])
    served = (other.weight for other in wanted if wish.index <= other.index < behind)
    return tokens * sum(served)
