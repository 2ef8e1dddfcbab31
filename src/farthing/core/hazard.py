"""How often less is read than should be, for reasons that no request shows; and expectations.

Theory of operation. A client changes something the transcript hides (a tool list, a status line),
or the provider drops an entry early: inside the lifetime about one call in a hundred reads less
than it should. The rate is learned per class of gap since the entry was last touched, as Beta
counts that fade. The point prediction stays what the rules say; the expectation is another value
of another type, for decisions that are about averages. Its twin beyond the lifetime is
``survival``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from farthing.core.prefix import PrefixView
from farthing.core.prompt_cache_forecast import Forecast
from farthing.core.prompt_cache_learning import CacheCorrection
from farthing.core.survival import Rate, SurvivalRates
from farthing.pricing import Rates

__all__ = ["FULL_RATIO", "BreakHazard", "BreakRate", "ExpectedCost", "ExpectedUsage", "expect"]

#: Read at least this share of what was foreseen: not a break.
FULL_RATIO = 0.95

#: Upper edges of the gap classes; what lies beyond the last is one class more.
_GAP_EDGES = (timedelta(minutes=1), timedelta(minutes=5), timedelta(hours=1))

#: Beta counts before any observation: 1 in 100, the rate of recorded coding-agent traffic.
_PRIOR = (0.5, 49.5)

#: The share of the prefix still read when a break strikes (its head), and how far back it averages.
_KEPT_PRIOR = 0.3
_MEMORY_OF_BREAKS = 50.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedUsage:
    """Token counts in expectation: floats, so never mistaken for a ``Usage`` that was billed."""

    uncached: float
    cache_write_5m: float
    cache_write_1h: float
    cache_read: float
    #: probability that the point prediction is wrong
    surprise: float

    @property
    def prompt(self) -> float:
        """All input tokens."""
        return self.uncached + self.cache_write_5m + self.cache_write_1h + self.cache_read


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedCost:
    """What a call costs on average, in 10⁻¹² USD; a float, so never added to a ``Cost``."""

    pico_usd: float

    @classmethod
    def of(cls, usage: ExpectedUsage, rates: Rates) -> Self:
        """At the effective rates of a request of this size (``pricing.effective_rates``)."""
        return cls(
            pico_usd=usage.uncached * rates.uncached
            + usage.cache_write_5m * rates.cache_write_5m
            + usage.cache_write_1h * rates.cache_write_1h
            + usage.cache_read * rates.cache_read
        )


@dataclass(slots=True)
class BreakRate(Rate):
    """A rate of breaks, and the mean share of the prefix that is still read when one strikes."""

    kept_ratio: float = _KEPT_PRIOR
    weight: float = 2.0

    def record_read(self, *, kept: float) -> None:
        """One more call: broken if it read less than nearly all."""
        is_break = kept < FULL_RATIO
        self.record(strike=is_break)
        if is_break:
            self.weight = min(self.weight + 1, _MEMORY_OF_BREAKS)
            self.kept_ratio += (kept - self.kept_ratio) / self.weight


class BreakHazard:
    """Learned rates of breaks inside the lifetime."""

    def __init__(self) -> None:
        self._rates = [BreakRate(*_PRIOR) for _ in range(len(_GAP_EDGES) + 1)]

    def rate(self, gap: timedelta) -> BreakRate:
        """For an entry that was touched this long ago."""
        return self._rates[sum(gap >= edge for edge in _GAP_EDGES)]

    def record(self, forecast: Forecast, correction: CacheCorrection, began_at: datetime) -> None:
        """Learn from the answer to a request that should have read something."""
        hit = forecast.hit
        if correction.kind == "several_passes" or hit is None or hit.is_presumed:
            return
        kept = correction.read_tokens / max(1, hit.tokens)
        self.rate(began_at - hit.touched_at).record_read(kept=kept)


def expect(
    view: PrefixView,
    forecast: Forecast,
    now: datetime,
    *,
    hazard: BreakHazard,
    survival: SurvivalRates,
) -> ExpectedUsage:
    """The point prediction, shifted by what usually goes otherwise."""
    hit, read = forecast.hit, forecast.usage.cache_read
    if hit is not None and hit.is_presumed:
        dead = 1 - survival.probability(view, forecast.expired[-1])
        return _shift(forecast, -dead * read, dead)
    if forecast.expired:
        lapsed = forecast.expired[0]
        alive = survival.probability(view, lapsed)
        return _shift(forecast, alive * max(0, lapsed.tokens - read), alive)
    if hit is not None:
        rate = hazard.rate(now - hit.touched_at)
        return _shift(forecast, -rate.mean * (1 - rate.kept_ratio) * read, rate.mean)
    return _shift(forecast, 0.0, 0.0)


def _shift(forecast: Forecast, more_read: float, surprise: float) -> ExpectedUsage:
    """Move tokens between reads and writes; the TTL that pays is read off the forecast."""
    usage, hit = forecast.usage, forecast.hit
    only_5m = usage.cache_write_5m and not usage.cache_write_1h
    is_1h = usage.cache_write_1h > 0 or (not only_5m and hit is not None and hit.ttl == "1h")
    more_read = min(more_read, float(usage.cache_write_1h if is_1h else usage.cache_write_5m))
    return ExpectedUsage(
        uncached=float(usage.uncached),
        cache_write_5m=usage.cache_write_5m - (0.0 if is_1h else more_read),
        cache_write_1h=usage.cache_write_1h - (more_read if is_1h else 0.0),
        cache_read=usage.cache_read + more_read,
        surprise=surprise,
    )
