"""Seeded draws from measured distributions, written down as quantiles.

A table of quantiles says what was measured and nothing else: no family of curves is fitted, and
what lies between two quantiles is interpolated on a logarithmic scale. What lies outside the first
and last was not measured closely enough to be generated.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from math import exp, log
from random import Random

__all__ = ["Mix", "Quantiles"]

_LEAST = 0.01


@dataclass(frozen=True, slots=True)
class Quantiles:
    """A distribution by some of its quantiles: ``(probability, value)``, both ascending."""

    points: tuple[tuple[float, float], ...]

    def draw(self, dice: Random) -> float:
        """One value."""
        first, last = self.points[0][0], self.points[-1][0]
        return self.at(dice.uniform(first, last))

    def draw_count(self, dice: Random) -> int:
        """One value as a whole number, at least 1."""
        return max(1, round(self.draw(dice)))

    def at(self, probability: float) -> float:
        """The value below which this share lies."""
        places = [place for place, _ in self.points]
        right = min(max(bisect_right(places, probability), 1), len(places) - 1)
        (low, from_value), (high, to_value) = self.points[right - 1], self.points[right]
        share = (probability - low) / (high - low)
        start, end = log(max(from_value, _LEAST)), log(max(to_value, _LEAST))
        return exp(start + share * (end - start))


@dataclass(frozen=True, slots=True)
class Mix:
    """Names with the shares in which they occur; shares need not add up to one."""

    shares: Mapping[str, float]

    def draw(self, dice: Random) -> str:
        """One name."""
        names, ends = list(self.shares), list(accumulate(self.shares.values()))
        return names[min(bisect_right(ends, dice.random() * ends[-1]), len(names) - 1)]
