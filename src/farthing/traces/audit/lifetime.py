"""What each piece of a conversation cost over its life in context.

Theory of operation. The provider counts prompts, not their parts. So its counts are divided: what a
prompt grew by since the call before it belongs to the pieces that entered in between, in proportion
to their estimated sizes; what the first prompt has beyond its visible pieces is the hidden prefix.
Then pieces lie one after the other in the prompt, and each call says how far it was read from the
prompt cache: pieces before that point paid the read price, pieces behind it the price of fresh
tokens. Adding a price to a range of pieces is two additions to a difference array, so a thread of
n pieces and k calls takes n + k steps, not n × k.

In the end both columns are scaled so that they sum to what was really counted and billed.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from farthing.traces.audit.counted import CountedCall
from farthing.traces.audit.pieces import PREFIX, Piece

__all__ = ["Life", "divide_tokens", "lives"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """One piece and what carrying it took."""

    piece: Piece
    #: billed calls that carried it
    calls: int
    token_turns: float
    #: 10⁻¹² USD
    estimated_pico: float


def lives(pieces: Sequence[Piece], calls: Sequence[CountedCall]) -> list[Life]:
    """Each piece with its share of the billed calls; sizes are divided first."""
    divide_tokens(pieces, calls)
    size = len(pieces) + 1
    ends = list(accumulate(piece.tokens for piece in pieces))
    entered = [piece.entered for piece in pieces]
    carried, pico = [0] * size, [0.0] * size
    for index, call in enumerate(calls):
        if call.billed and call.usage:
            visible = bisect_right(entered, index)
            read = min(bisect_right(ends, call.usage.cache_read * 1.001), visible)
            carried[0] += 1
            carried[visible] -= 1
            _add_prices(pico, call, read, visible)
    return _scaled(pieces, list(accumulate(carried)), list(accumulate(pico)), calls)


def divide_tokens(pieces: Sequence[Piece], calls: Sequence[CountedCall]) -> None:
    """Give every piece its part of what the provider counted."""
    entered = [piece.entered for piece in pieces]
    before = 0
    for index, call in enumerate(calls):
        new = pieces[bisect_left(entered, index) : bisect_right(entered, index)]
        if call.usage is None:
            _fill(new, 0)
            continue
        grown = call.prompt - before
        _fill(new, grown, prefix=index == 0)
        before = call.prompt


def _fill(new: Sequence[Piece], grown: int, *, prefix: bool = False) -> None:
    estimate = sum(piece.estimated_tokens for piece in new)
    if prefix and new and new[0].kind == PREFIX and grown > estimate:
        # more than can be seen: it is in the part that is not shown
        new[0].estimated_tokens += grown - estimate
        estimate = grown
    # a prompt that shrank says nothing about what was new in it: the estimate stands
    factor = grown / estimate if grown > 0 and estimate > 0 else 1.0
    for piece in new:
        piece.tokens = piece.estimated_tokens * factor


def _add_prices(pico: list[float], call: CountedCall, read: int, visible: int) -> None:
    if call.rates is None:
        return
    fresh = call.fresh_pico
    pico[0] += call.rates.cache_read
    pico[read] += fresh - call.rates.cache_read
    pico[visible] -= fresh


def _scaled(
    pieces: Sequence[Piece],
    carried: list[int],
    pico: list[float],
    calls: Sequence[CountedCall],
) -> list[Life]:
    turns = [piece.tokens * times for piece, times in zip(pieces, carried, strict=False)]
    spent = [piece.tokens * rate for piece, rate in zip(pieces, pico, strict=False)]
    turn_factor = _factor(sum(call.prompt for call in calls if call.billed), sum(turns))
    cost_factor = _factor(sum(map(_prompt_pico, calls)), sum(spent))
    return [
        Life(
            piece=piece,
            calls=times,
            token_turns=taken * turn_factor,
            estimated_pico=max(0.0, cost * cost_factor),
        )
        for piece, times, taken, cost in zip(pieces, carried, turns, spent, strict=False)
    ]


def _prompt_pico(call: CountedCall) -> int:
    if call.cost is None or not call.billed:
        return 0
    cost = call.cost
    return cost.uncached + cost.cache_write_5m + cost.cache_write_1h + cost.cache_read


def _factor(counted: float, divided: float) -> float:
    return counted / divided if divided > 0 else 0.0
