r"""Anytime-valid evidence about a mean: a betting e-process and a confidence sequence.

Theory of operation. Whoever looks at a running experiment after every call and stops when it looks
good is wrong far more often than a fixed-size test says. An *e-process* may be looked at always: it
is the wealth of somebody who bets against "the mean is not above zero", and by Ville's inequality
that wealth ever reaches 1/α with probability at most α, whenever one stops::

    W_t = Σ_λ w_λ · Π_{i≤t} (1 + λ x_i),   -1 ≤ x_i ≤ 1,   0 < λ < 1

Each factor is never negative, and has mean at most 1 whatever came before, if the conditional mean
of x is at most 0: no assumption of independence, of a shape, or of equal variances. Several stakes
λ are played at once with fixed weights, for none is best at all means.

The *confidence sequence* is the empirical-Bernstein one of Waudby-Smith and Ramdas (JRSS B 2024,
theorem 2, on [0, 1], mapped here from [-1, 1]): an interval that holds the running mean at all
times together with probability 1 - α.

Rules of this file: values only; an observation outside [-1, 1] is an error, not a guess: whoever
scales says by which bound. ``scaled`` cuts what exceeds the bound above and refuses below: cutting
gains makes a claim of gain weaker, cutting losses would make it false.

Interface: ``EProcess().bet(x).value``; ``ConfidenceSequence(alpha=…).add(x).interval``;
``scaled(amount, bound)``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final, Self

__all__ = ["ConfidenceSequence", "EProcess", "Interval", "scaled"]

#: small stakes for small means over thousands of calls, large ones for clear cases in a few dozen
_STAKES: Final = (0.01, 0.03, 0.1, 0.25, 0.5, 0.75)
_WEIGHT: Final = 1.0 / len(_STAKES)
#: beyond this a float could not hold the wealth, and nobody needs more digits
_LARGEST_LOG: Final = 700.0


def scaled(amount: float, bound: float) -> float:
    """An amount in units of the largest one there can be; ``ValueError`` if it is below -bound."""
    if bound <= 0:
        raise ValueError(f"a bound is above zero, not {bound!r}")
    if amount < -bound:
        raise ValueError(f"{amount!r} is a loss beyond the bound {bound!r}: choose a larger bound")
    return min(1.0, amount / bound)


def _checked(x: float) -> float:
    if not -1.0 <= x <= 1.0:  # also refuses NaN
        raise ValueError(f"an observation lies in [-1, 1], not {x!r}")
    return x


def _wealth(logs: tuple[float, ...]) -> float:
    return sum(_WEIGHT * math.exp(min(log, _LARGEST_LOG)) for log in logs)


@dataclass(frozen=True, slots=True, kw_only=True)
class EProcess:
    """Evidence against "the mean is at most 0"; 1 at the start, α-level proof at 1/α."""

    #: natural logarithm of the wealth of each stake
    logs: tuple[float, ...] = (0.0,) * len(_STAKES)
    count: int = 0
    #: the largest value so far: what was once proven stays proven
    peak: float = 1.0

    def bet(self, x: float) -> Self:
        """The process after one more observation."""
        value = _checked(x)
        logs = tuple(
            log + math.log1p(stake * value) for log, stake in zip(self.logs, _STAKES, strict=True)
        )
        return replace(self, logs=logs, count=self.count + 1, peak=max(self.peak, _wealth(logs)))

    @property
    def value(self) -> float:
        """The wealth now."""
        return _wealth(self.logs)

    def is_proof(self, alpha: float) -> bool:
        """Has the wealth ever reached 1/α?"""
        return self.peak >= 1.0 / alpha


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Where the mean lies, by a confidence sequence."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfidenceSequence:
    """An interval for the mean that holds at all times with probability 1 - ``alpha``."""

    alpha: float = 0.05
    count: int = 0
    #: sums over the observations so far, mapped to [0, 1]
    total: float = 0.0
    squares: float = 0.0
    #: sums of the theorem: stakes, stakes × observations, costs of variance
    stakes: float = 0.0
    staked: float = 0.0
    spread: float = 0.0

    def add(self, x: float) -> Self:
        """The sequence after one more observation."""
        unit = (_checked(x) + 1.0) / 2.0
        mean = (0.5 + self.total) / (self.count + 1)  # of what came before: predictable
        variance = (0.25 + self.squares) / (self.count + 1)
        number = self.count + 1
        wanted = 2.0 * math.log(2.0 / self.alpha) / (variance * number * math.log1p(number))
        stake = min(0.5, math.sqrt(wanted))
        total = self.total + unit
        own_mean = (0.5 + total) / (number + 1)
        return replace(
            self,
            count=number,
            total=total,
            squares=self.squares + (unit - own_mean) ** 2,
            stakes=self.stakes + stake,
            staked=self.staked + stake * unit,
            spread=self.spread + (unit - mean) ** 2 * (-math.log1p(-stake) - stake),
        )

    @property
    def mean(self) -> float:
        """The plain mean; 0 before the first observation."""
        return 2.0 * self.total / self.count - 1.0 if self.count else 0.0

    @property
    def interval(self) -> Interval:
        """Where the mean lies; everything is possible before the first observation."""
        if not self.count:
            return Interval(low=-1.0, high=1.0)
        centre = self.staked / self.stakes
        half = (math.log(2.0 / self.alpha) + self.spread) / self.stakes
        return Interval(
            low=max(-1.0, 2.0 * (centre - half) - 1.0), high=min(1.0, 2.0 * (centre + half) - 1.0)
        )
