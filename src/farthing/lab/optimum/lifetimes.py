"""The cheapest way to present one token again and again: dead, alive for 5 m, or alive for 1 h.

Theory of operation. After each request that presents it, a token of the prompt is in one of three
states: in no entry, in a 5 m entry, in a 1 h entry. Between two requests an entry lives on by
itself while the gap is below its lifetime, and longer with keep-alive pings, each at the price of
reading. At the next request the token is read, written, or paid in full. A shortest path through
these states is the least that can be paid for the token; integers throughout, so it is exact.

The rules of this file:

- a token has the lifetime it was written for (``upgrades=False``). With ``upgrades`` a read of a
  5 m entry may leave the token in a 1 h one at no extra price: that is what a 1 h breakpoint
  behind it does in both models of the prompt cache here, and nobody has shown that the provider
  does not;
- an entry is alive iff its age is below its lifetime (API facts 2.3, documentation of 2026-10);
- pings are 4.75 min apart, or 58 min for 1 h: whoever cannot afford to be late leaves that margin;
- whoever pings may also write ahead of a request, which is cheaper where a long prompt has another
  price per token; without bands of prices that never pays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from farthing.core.prefix import LIFETIMES, Ttl

__all__ = ["PING_EVERY", "Rules", "Toll", "Visit", "cheapest"]

#: How far apart keep-alive pings are.
PING_EVERY: Final[dict[Ttl, timedelta]] = {
    "5m": timedelta(minutes=4, seconds=45),
    "1h": timedelta(minutes=58),
}

_MICROSECOND: Final = timedelta(microseconds=1)
_LIFE_5M, _LIFE_1H = (LIFETIMES[ttl] // _MICROSECOND for ttl in ("5m", "1h"))
_PING_5M, _PING_1H = (PING_EVERY[ttl] // _MICROSECOND for ttl in ("5m", "1h"))

#: dearer than anything: an entry that cannot be alive
_NEVER: Final = 1 << 200

_Values = tuple[int, int, int]
_DEAD, _5M, _1H = range(3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Toll:
    """Prices of one token at one request, in 10⁻¹² USD."""

    uncached: int
    write_5m: int
    write_1h: int
    read: int
    #: of a keep-alive ping: a request of our own, possibly in a cheaper band
    ping: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A request that presents the token; ``at`` in microseconds."""

    at: int
    toll: Toll


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What is allowed."""

    pings: bool = False
    upgrades: bool = False


def cheapest(visits: Sequence[Visit], rules: Rules) -> list[int]:
    """What each visit pays for the token on the cheapest way through all of them.

    A ping is paid by the visit it keeps the entry alive for.
    """
    first = visits[0].toll
    values: _Values = (first.uncached, first.write_5m, first.write_1h)
    steps: list[tuple[_Values, _Values]] = []
    before = visits[0]
    for visit in visits[1:]:
        after, origins = _step(values, before, visit, rules)
        steps.append((values, origins))
        values, before = after, visit
    return _payments(values, steps)


def _step(
    values: _Values, before: Visit, visit: Visit, rules: Rules
) -> tuple[_Values, tuple[int, int, int]]:
    """The least paid so far for each state after this visit, and the state it came from."""
    toll, gap = visit.toll, visit.at - before.at
    ping = min(toll.ping, before.toll.ping) if rules.pings else None
    read_5m = values[_5M] + _upkeep(gap, _LIFE_5M, _PING_5M, ping) + toll.read
    read_1h = values[_1H] + _upkeep(gap, _LIFE_1H, _PING_1H, ping) + toll.read
    least = min(values)
    origin = values.index(least)
    dead, alive_5m, alive_1h = (
        least + toll.uncached,
        least + toll.write_5m,
        least + toll.write_1h,
    )
    from_5m = from_1h = origin
    if read_5m <= alive_5m:
        alive_5m, from_5m = read_5m, _5M
    if read_1h <= alive_1h:
        alive_1h, from_1h = read_1h, _1H
    if rules.upgrades and read_5m < alive_1h:
        alive_1h, from_1h = read_5m, _5M
    return (dead, alive_5m, alive_1h), (origin, from_5m, from_1h)


def _upkeep(gap: int, life: int, every: int, ping: int | None) -> int:
    """What it costs to keep an entry through a gap."""
    if gap < life:
        return 0
    if ping is None:
        return _NEVER
    return ping * ((gap - life) // every + 1)


def _payments(values: _Values, steps: Sequence[tuple[_Values, _Values]]) -> list[int]:
    """Walk back from the cheapest end: a visit paid the difference it made."""
    state = values.index(min(values))
    reached = values[state]
    paid = []
    for earlier, origins in reversed(steps):
        state = origins[state]
        paid.append(reached - earlier[state])
        reached = earlier[state]
    paid.append(reached)
    paid.reverse()
    return paid
