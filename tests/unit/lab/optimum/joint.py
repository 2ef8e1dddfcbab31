"""Every way to mark a small workload, billed jointly: what the bound is compared with.

Written for the tests and from the rules alone. Each request chooses up to four marks, 1 h before
5 m; the prompt cache then reads the deepest entry whose tokens are all alive, and writes what lies
between it and the last mark. A token lives as long as it was written for (``upgrades=False``), or
as long as the longest entry that covers it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations

from farthing.lab.optimum.lifetimes import Toll
from farthing.lab.replay.turns import Turn

__all__ = ["least_joint_bill"]

_LIFE = {"5m": 300.0, "1h": 3600.0}
_MARKS = 4

#: depth of a mark → its TTL
_Choice = tuple[tuple[int, str], ...]
#: (prefix, TTL, when it was last touched) of entries, and of tokens: what is remembered
_Entry = tuple[bytes, str, float]


@dataclass(frozen=True)
class _State:
    entries: frozenset[bytes]
    lives: frozenset[_Entry]


def least_joint_bill(
    turns: Sequence[Turn], toll: Toll, *, minimum: int, upgrades: bool = False
) -> int:
    """The cheapest of all joint choices, in 10⁻¹² USD."""

    @cache
    def least(place: int, state: _State) -> int:
        if place == len(turns):
            return 0
        return min(
            cost + least(place + 1, after)
            for choice in _choices(turns[place], minimum)
            for cost, after in [_bill(turns[place], toll, state, choice, upgrades=upgrades)]
        )

    return least(0, _State(frozenset(), frozenset()))


def _choices(turn: Turn, minimum: int) -> Iterator[_Choice]:
    places = [at for at, end in enumerate(turn.positions) if end >= minimum]
    for count in range(min(_MARKS, len(places)) + 1):
        for chosen in combinations(places, count):
            for hours in range(count + 1):
                yield tuple((at, "1h" if n < hours else "5m") for n, at in enumerate(chosen))


def _bill(
    turn: Turn, toll: Toll, state: _State, choice: _Choice, *, upgrades: bool
) -> tuple[int, _State]:
    now = turn.began_at.timestamp()
    alive = {key: (ttl, at) for key, ttl, at in state.lives if now - at < _LIFE[ttl]}
    hit = _hit(turn, choice, state, alive, upgrades=upgrades)
    total, start = 0, 0
    for at, (digest, end) in enumerate(zip(turn.digests, turn.positions, strict=True)):
        ttl = next((ttl for mark, ttl in choice if mark >= at), None)
        if at <= hit:
            total += (end - start) * toll.read
            if digest in alive:
                alive[digest] = (alive[digest][0], now)
        elif ttl is None:
            total += (end - start) * toll.uncached
        else:
            total += (end - start) * (toll.write_1h if ttl == "1h" else toll.write_5m)
            if not upgrades or any(mark == at for mark, _ in choice):
                alive[digest] = (dict(choice).get(at, ttl) if upgrades else ttl, now)
        start = end
    marked = {turn.digests[mark] for mark, _ in choice if mark > hit}
    lives = frozenset((key, ttl, at) for key, (ttl, at) in alive.items())
    return total, _State(state.entries | marked, lives)


def _hit(
    turn: Turn,
    choice: _Choice,
    state: _State,
    alive: dict[bytes, tuple[str, float]],
    *,
    upgrades: bool,
) -> int:
    """The deepest block whose prefix can be read; -1: none."""
    last = choice[-1][0] if choice else -1
    for at in range(last, -1, -1):
        digests = turn.digests[at : at + 1] if upgrades else turn.digests[: at + 1]
        if turn.digests[at] in state.entries and all(digest in alive for digest in digests):
            return at
    return -1
