"""``optimum(turns, prices) -> Optimum``: the least the input of a workload could have cost.

    optimum(turns: Sequence[Turn], prices: Prices) -> Optimum
    Optimum.with_pings_pico, .without_pings_pico, .upgraded_pico, .floor_pico   # 10⁻¹² USD
    Optimum.by_conversation: Mapping[str, Share]    # the same four, shares add up to the whole

Theory of operation. The tokens of a segment have one cheapest way through the requests that present
them (``lifetimes``); its price times its length, summed over all segments, is the bound. It is a
*lower* bound because each segment is allowed a choice of its own and rules are left out:

- any number of breakpoints, anywhere: no four, no lookback of 20 positions, none that cannot be
  marked;
- 1 h breakpoints need not stand before those of 5 m;
- an entry is readable as soon as its request starts, not from its first byte;
- pings: two branches keep the trunk alive for the price of one.

A minimum length is held exactly (``segments``). A conversation's share is what its own requests pay
on the cheapest way of all: who writes what several share pays for it, so a policy can bill one
conversation less than its share, never all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Final

from farthing.lab.optimum.lifetimes import Rules, Toll, Visit, cheapest
from farthing.lab.optimum.segments import is_cacheable, segments
from farthing.lab.replay.bills import Prices
from farthing.lab.replay.turns import Turn
from farthing.wire.usage import Usage

__all__ = ["Optimum", "Share", "optimum"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """The least the input could have cost, in 10⁻¹² USD."""

    #: keep-alive pings are allowed; a token has the lifetime it was written for
    with_pings_pico: int = 0
    #: no pings; a token has the lifetime it was written for
    without_pings_pico: int = 0
    #: no pings, but a later 1 h breakpoint lends its lifetime to what was written for 5 m
    upgraded_pico: int = 0
    #: each token once in full, then read: no lifetimes at all
    floor_pico: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimum(Share):
    """The bound for a workload, and each conversation's share of it."""

    by_conversation: Mapping[str, Share]


_NAMES: Final = tuple(part.name for part in fields(Share))

_PINGS: Final = Rules(pings=True)
_PLAIN: Final = Rules()
_UPGRADES: Final = Rules(upgrades=True)


def optimum(turns: Sequence[Turn], prices: Prices) -> Optimum:
    """The bound for these turns; calls of models without a price count for nothing."""
    timed = sorted(turns, key=lambda turn: turn.began_at)
    priced = [(turn, tolls) for turn in timed if (tolls := _tolls(turn, prices)) is not None]
    ledger = _Ledger([turn for turn, _ in priced])
    for place, (turn, (toll, _)) in enumerate(priced):
        if not is_cacheable(turn):
            ledger.add(place, [toll.uncached * turn.prompt_tokens] * len(_NAMES))
    visits = [
        (Visit(at=at, toll=plain), Visit(at=at, toll=ahead))
        for turn, (plain, ahead) in priced
        for at in (_microseconds(turn),)
    ]
    for segment in segments([turn for turn, _ in priced]):
        own = [visits[place] for place in segment.visitors]
        for place, payments in zip(segment.visitors, _payments(own), strict=True):
            ledger.add(place, [segment.tokens * payment for payment in payments])
    return ledger.close()


def _payments(visits: Sequence[tuple[Visit, Visit]]) -> Sequence[tuple[int, ...]]:
    """Per visit what a token pays, in the order of ``Share``."""
    plain = [visit for visit, _ in visits]
    ahead = [visit for _, visit in visits]
    first = ahead[0].toll
    floor = [min(first.uncached, first.write_5m), *(visit.toll.read for visit in plain[1:])]
    ways = (cheapest(ahead, _PINGS), cheapest(plain, _PLAIN), cheapest(plain, _UPGRADES), floor)
    return list(zip(*ways, strict=True))


def _tolls(turn: Turn, prices: Prices) -> tuple[Toll, Toll] | None:
    """Prices of a token of this turn: for everybody, and for one who may also write ahead."""
    rates = prices.rates(turn, Usage(uncached=turn.prompt_tokens))
    low = prices.rates(turn, Usage())
    if rates is None or low is None:
        return None
    plain = Toll(
        uncached=rates.uncached,
        write_5m=rates.cache_write_5m,
        write_1h=rates.cache_write_1h,
        read=rates.cache_read,
        ping=min(rates.cache_read, low.cache_read),
    )
    ahead = replace(
        plain,
        write_5m=min(plain.write_5m, low.cache_write_5m + plain.read),
        write_1h=min(plain.write_1h, low.cache_write_1h + plain.read),
    )
    return plain, ahead


def _microseconds(turn: Turn) -> int:
    return round(turn.began_at.timestamp() * 1_000_000)


class _Ledger:
    """Payments by conversation."""

    def __init__(self, turns: Sequence[Turn]) -> None:
        self._keys = [turn.recording.conversation.id for turn in turns]
        self._sums = {key: [0] * len(_NAMES) for key in self._keys}

    def add(self, place: int, amounts: Sequence[int]) -> None:
        """What the turn at this place pays."""
        sums = self._sums[self._keys[place]]
        for at, amount in enumerate(amounts):
            sums[at] += amount

    def close(self) -> Optimum:
        """The whole and its shares."""
        shares = {
            key: Share(**dict(zip(_NAMES, sums, strict=True))) for key, sums in self._sums.items()
        }
        whole = {name: sum(getattr(share, name) for share in shares.values()) for name in _NAMES}
        return Optimum(**whole, by_conversation=shares)
