"""Corrects estimates from what the provider counted: per kind of content, the recent more.

Theory of operation
-------------------
One ``Correction`` per model. Growth is observed as one number, the sum over kinds of
``factor × tally``; the factors are tracked by a Kalman filter with independent variances: a kind
takes a share of the error in proportion to its share of the growth and to how uncertain its factor
still is. Forgetting makes variances grow again, up to the prior, so that recent calls weigh more.

Errors are skewed: now and then a client sends content that a trace or a transcript does not show
(reminders, attachments), so the mean error lies about 4 % above the median. Two things are learned
apart. ``factors`` follow the *typical* call: one observation counts with an error of at most
``_CLIP``. ``level`` follows the *sum*, because the sum is what costs money: tokens counted over
tokens estimated, a single call counting at most ``_OUTLIER`` times its estimate. Where all content
is visible (a gateway) the level stays at 1.

The 95 % quantile is ``point × (1 + margin)`` with a margin per size of the estimate, tracked by
stochastic approximation: a miss widens it, a hit narrows it by 1/19 of that, so it settles where
5 % miss, whatever the shape of the errors.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from math import exp
from typing import Final, Self

from farthing.core.estimate import CONTENTS, Estimate, Tally
from farthing.core.estimate_weights import SIZE_STEPS, Weights

__all__ = ["Correction"]

_NOTHING: Final = Tally()

_CLIP: Final = 0.05
_OUTLIER: Final = 3.0
#: the level starts as if so many tokens had been estimated exactly
_LEVEL_PRIOR: Final = 20_000.0
#: half of the weight of a call is gone after 500 more
_LEVEL_MEMORY: Final = 0.5 ** (1 / 500)
#: variance inflation per observation: about 200 calls of memory
_FORGETTING: Final = 0.995
#: smaller growth is as uncertain as this
_LEAST_GROWTH: Final = 50.0
_FACTOR_RANGE: Final = (0.5, 2.5)

_MISS_RATE: Final = 0.05
_MARGIN_STEP: Final = 0.1
_LEAST_MARGIN: Final = 0.02
#: without a count to start from errors do not average out: the same tools and system prompt are in
#: every call of a client (tau2 traces: 10 % too low for one of three prompts)
_UNANCHORED_MARGIN: Final = 0.12

#: recent mean of the clipped error beyond which the tokenizer has probably changed
_DRIFT_LIMIT: Final = 0.035
_DRIFT_MEMORY: Final = 0.98


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """What has been learned about one model; a value, replaced by ``learned``."""

    factors: tuple[float, ...]
    variances: tuple[float, ...]
    prior_variance: float
    margins: tuple[float, ...]
    #: recency-weighted sums over past calls: what was counted, outliers cut, and what was tallied
    counted: float = 0.0
    tallied: Tally = _NOTHING
    #: recency-weighted mean of the clipped relative error
    drift: float = 0.0

    @classmethod
    def initial(cls, weights: Weights) -> Self:
        """Nothing learned yet: the offline weights of a generation as they are."""
        return cls(
            factors=(1.0,) * len(CONTENTS),
            variances=(weights.factor_variance,) * len(CONTENTS),
            prior_variance=weights.factor_variance,
            margins=weights.margins,
        )

    @property
    def level(self) -> float:
        """How much more is counted than the factors explain."""
        return (_LEVEL_PRIOR + self.counted) / (_LEVEL_PRIOR + self._typical(self.tallied))

    @property
    def is_drifting(self) -> bool:
        """Are recent errors one-sided, as after a change of tokenizer?"""
        return abs(self.drift) > _DRIFT_LIMIT

    def estimate(self, tally: Tally, known: int = 0) -> Estimate:
        """Tokens of ``known`` (a prompt counted by the provider, if any) plus a tally."""
        bound = max(0, known + tally.bound)
        growth = self._typical(tally) * self.level
        point = min(max(0.0, known + growth), bound)
        margin = self.margins[_size(growth)]
        if not known:
            margin = max(margin, _UNANCHORED_MARGIN)
        q95 = min(max(point, known + growth + abs(growth) * margin), bound)
        return Estimate(point=point, q95=q95, bound=bound)

    def learned(self, tally: Tally, observed: int) -> Self:
        """The correction after the provider counted ``observed`` tokens for this tally.

        A history that shrank (rewound, compacted) teaches nothing about new content.
        """
        typical = self._typical(tally)
        if typical <= 0 or observed <= 0:
            return self
        scale = max(typical, _LEAST_GROWTH)
        error = min(max((observed - typical) / scale, -_CLIP), _CLIP)
        factors, variances = self._filtered([tokens / scale for tokens in tally.tokens], error)
        counted = min(float(observed), scale * _OUTLIER)
        return type(self)(
            factors=factors,
            variances=variances,
            prior_variance=self.prior_variance,
            margins=self._adapted_margins(typical * self.level, observed),
            counted=self.counted * _LEVEL_MEMORY + counted,
            tallied=self._faded() + tally,
            drift=self.drift * _DRIFT_MEMORY + error * (1 - _DRIFT_MEMORY),
        )

    def _faded(self) -> Tally:
        """The past, weighing a little less."""
        return Tally(tuple(tokens * _LEVEL_MEMORY for tokens in self.tallied.tokens))

    def _typical(self, tally: Tally) -> float:
        """The estimate for a call without surprises."""
        return sum(map(float.__mul__, self.factors, tally.tokens))

    def _filtered(
        self, shares: list[float], error: float
    ) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """One step of the filter; the noise has variance 1 in units of the prior's precision."""
        spread = 1.0 + sum(
            variance * share * share for variance, share in zip(self.variances, shares, strict=True)
        )
        gains = [v * share / spread for v, share in zip(self.variances, shares, strict=True)]
        least, most = _FACTOR_RANGE
        factors = tuple(
            min(max(factor + gain * error, least), most)
            for factor, gain in zip(self.factors, gains, strict=True)
        )
        variances = tuple(
            min(variance * (1 - gain * share) / _FORGETTING, self.prior_variance)
            for variance, gain, share in zip(self.variances, gains, shares, strict=True)
        )
        return factors, variances

    def _adapted_margins(self, point: float, observed: int) -> tuple[float, ...]:
        size = _size(point)
        is_miss = observed > point * (1 + self.margins[size])
        step = exp(_MARGIN_STEP * (is_miss - _MISS_RATE))
        changed = max(_LEAST_MARGIN, self.margins[size] * step)
        return (*self.margins[:size], changed, *self.margins[size + 1 :])


def _size(growth: float) -> int:
    return bisect_right(SIZE_STEPS, growth)
