"""How far two ratios of sums lie apart, and whether chance alone would do that.

Theory of operation
-------------------
What is compared is always a ratio of two sums over tasks: dollars over tasks, dollars over *passed*
tasks, passed tasks over judged ones. A unit of the sample is a task with its two numbers
``(top, bottom)``; for a mean the bottom is 1. Samples come in strata (task types), and a ratio is
taken with the same weights on both sides, so that a shift in the mix of types is no difference.

Two questions, two methods, both needed before anything is called a difference:

* *How large?* An interval of the quotient of the two ratios on the logarithmic scale: the delta
  method on the residuals ``top - ratio * bottom``, Welch's degrees of freedom, Student's quantile.
* *Could it be chance?* A permutation test: tasks are dealt to the two sides again, within their
  strata, a thousand times or more (``rounds_at``), and the quotient is computed anew. Costs of
  tasks are skewed and samples small; the test holds its level whatever their distribution, as long
  as tasks are exchangeable. It is asked only where the interval leaves 1 out, and only up to
  ``EXACT_UNITS`` tasks; beyond those the interval decides alone.

Rules of this file: floats are allowed, no booked money is kept here; the dealing is a generator of
its own with a fixed seed, so the same tasks always give the same answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, expm1, log, pi, sqrt, tan
from statistics import NormalDist
from typing import Final

__all__ = [
    "EXACT_UNITS",
    "Quotient",
    "Strata",
    "common_strata",
    "quantile",
    "quotient",
    "ratio",
    "rounds_at",
    "student_quantile",
    "weights_of",
]

#: stratum → its units, each ``(top, bottom)``
Strata = Mapping[str, Sequence[tuple[float, float]]]

EXACT_UNITS: Final = 2_000

_SEED: Final = 20_261_121
_MASK: Final = 2**64 - 1
_SAME: Final = 1e-12
_LEAST_UNITS: Final = 2
_LEAST_ROUNDS: Final = 999
#: deals that may be as far apart at the strictest level
_DEALS_BEYOND: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Quotient:
    """The ratio of B over the ratio of A, with its interval."""

    value: float
    low: float
    high: float
    #: does the interval leave 1 out, and does chance not explain it
    is_shown: bool


def quantile(values: Sequence[float], share: float) -> float | None:
    """The value below which this share lies, between neighbours in proportion; None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def common_strata(a: Strata, b: Strata) -> tuple[str, ...]:
    """The strata that have enough units on both sides to be compared."""
    return tuple(
        sorted(
            name for name in a.keys() & b.keys() if min(len(a[name]), len(b[name])) >= _LEAST_UNITS
        )
    )


def weights_of(a: Strata, b: Strata) -> dict[str, float]:
    """Each common stratum's share of the units of both sides."""
    names = common_strata(a, b)
    total = sum(len(a[name]) + len(b[name]) for name in names)
    return {name: (len(a[name]) + len(b[name])) / total for name in names}


def ratio(side: Strata, weights: Mapping[str, float]) -> float | None:
    """Weighted mean of the tops over that of the bottoms; None where the latter is zero."""
    top = bottom = 0.0
    for name, weight in weights.items():
        units = side[name]
        top += weight * sum(unit[0] for unit in units) / len(units)
        bottom += weight * sum(unit[1] for unit in units) / len(units)
    return top / bottom if bottom else None


def quotient(a: Strata, b: Strata, *, confidence: float) -> Quotient | None:
    """B over A with its interval; None where a side is empty, or a ratio is zero or has none."""
    weights = weights_of(a, b)
    before, after = ratio(a, weights), ratio(b, weights)
    if not before or not after:
        return None
    spread = [*_spread(a, weights, before), *_spread(b, weights, after)]
    variance = sum(part for part, _ in spread)
    reach = 0.0
    if variance:
        freedom = variance**2 / sum(part**2 / (size - 1) for part, size in spread)
        reach = student_quantile(1 - confidence, freedom) * sqrt(variance)
    value = after / before
    factor = expm1(min(reach, 700.0)) + 1
    low, high = value / factor, value * factor
    is_apart = low > 1 + _SAME or high < 1 - _SAME
    return Quotient(
        value=value,
        low=low,
        high=high,
        is_shown=is_apart and not _is_chance(a, b, weights, 1 - confidence),
    )


def rounds_at(level: float) -> int:
    """How often tasks are dealt again: the rarer the alarms are to be, the more."""
    return max(_LEAST_ROUNDS, ceil(_DEALS_BEYOND / level))


def student_quantile(outside: float, freedom: float) -> float:
    """The bound that Student's t leaves with probability ``outside``, both tails together.

    G. W. Hill, algorithm 396, Communications of the ACM 13 (1970): six digits for 5 degrees of
    freedom and more, four below.
    """
    if freedom < 2:  # fewer degrees never make a narrower interval
        return 1 / tan(outside * pi / 2)
    a = 1 / (freedom - 0.5)
    b = 48 / a**2
    c = ((20_700 * a / b - 98) * a - 16) * a + 96.36
    d = ((94.5 / (b + c) - 3) / b + 1) * sqrt(a * pi / 2) * freedom
    y = (d * outside) ** (2 / freedom)
    if y > 0.05 + a:
        x = NormalDist().inv_cdf(outside / 2)
        y = x * x
        if freedom < 5:
            c += 0.3 * (freedom - 4.5) * (x + 0.6)
        c += (((0.05 * d * x - 5) * x - 7) * x - 2) * x + b
        y = (((((0.4 * y + 6.3) * y + 36) * y + 94.5) / c - y - 3) / b + 1) * x
        y = expm1(a * y * y)
    else:
        fraction = (freedom + 6) / (freedom * y) - 0.089 * d - 0.822
        y = (1 / (fraction * (freedom + 2) * 3) + 0.5 / (freedom + 4)) * y - 1
        y = y * (freedom + 1) / (freedom + 2) + 1 / ((d * outside) ** (2 / freedom))
    return sqrt(freedom * y)


def _spread(
    side: Strata, weights: Mapping[str, float], value: float
) -> Iterator[tuple[float, int]]:
    """Per stratum: its part of the variance of the logarithm of the ratio, and its size."""
    bottom = sum(
        weight * sum(unit[1] for unit in side[name]) / len(side[name])
        for name, weight in weights.items()
    )
    for name, weight in weights.items():
        units = side[name]
        size = len(units)
        left = [(top - value * below) / (value * bottom) for top, below in units]
        mean = sum(left) / size
        variance = sum((each - mean) ** 2 for each in left) / (size - 1)
        yield weight**2 * variance / size, size


def _is_chance(a: Strata, b: Strata, weights: Mapping[str, float], level: float) -> bool:
    """Do at least this share of all deals put the sides as far apart as they are?"""
    if sum(len(a[name]) + len(b[name]) for name in weights) > EXACT_UNITS:
        return False
    tolerated = level * (rounds_at(level) + 1) - 1  # what was seen is one deal, too
    as_far, dice = 0, _Dice(_SEED)
    decks = [_Deck(a[name], b[name], weight) for name, weight in weights.items()]
    seen = _distance(a, b, weights) - _SAME
    for _ in range(rounds_at(level)):
        sums = [deck.deal(dice) for deck in decks]
        top_a, bottom_a, top_b, bottom_b = map(sum, zip(*sums, strict=True))
        is_ratio = min(top_a * bottom_b, top_b * bottom_a) > 0
        as_far += not is_ratio or abs(log(top_b / bottom_b * bottom_a / top_a)) >= seen
        if as_far > tolerated:
            return True
    return False


def _distance(a: Strata, b: Strata, weights: Mapping[str, float]) -> float:
    before, after = ratio(a, weights), ratio(b, weights)
    assert before, "a quotient was asked for first"
    assert after, "a quotient was asked for first"
    return abs(log(after / before))


class _Dice:
    """Knuth's MMIX generator: one multiplication, the same numbers everywhere."""

    __slots__ = ("_state",)

    def __init__(self, seed: int) -> None:
        self._state = seed

    def below(self, end: int) -> int:
        """A number from 0 up to ``end``, of the state's upper half: the lower one has patterns."""
        self._state = (self._state * 6_364_136_223_846_793_005 + 1_442_695_040_888_963_407) & _MASK
        return ((self._state >> 32) * end) >> 32


class _Deck:
    """The units of both sides of one stratum, dealt again and again."""

    __slots__ = ("_counts", "_few", "_is_a_few", "_pool", "_total", "_weight")

    def __init__(
        self, a: Sequence[tuple[float, float]], b: Sequence[tuple[float, float]], weight: float
    ) -> None:
        self._pool = [*a, *b]
        self._counts = (len(a), len(b))
        self._is_a_few = len(a) <= len(b)
        self._few = min(self._counts)
        self._total = (sum(top for top, _ in self._pool), sum(bottom for _, bottom in self._pool))
        self._weight = weight

    def deal(self, dice: _Dice) -> tuple[float, float, float, float]:
        """Weighted means of top and bottom of a new side A and a new side B.

        Only the smaller side is dealt (Fisher-Yates); the other one is what is left.
        """
        pool, size, top, bottom = self._pool, len(self._pool), 0.0, 0.0
        for place in range(self._few):
            other = place + dice.below(size - place)
            unit = pool[other]
            pool[other] = pool[place]
            pool[place] = unit
            top += unit[0]
            bottom += unit[1]
        few = (top, bottom)
        rest = (self._total[0] - top, self._total[1] - bottom)
        (top_a, bottom_a), (top_b, bottom_b) = (few, rest) if self._is_a_few else (rest, few)
        to_a, to_b = (self._weight / count for count in self._counts)
        return top_a * to_a, bottom_a * to_a, top_b * to_b, bottom_b * to_b
