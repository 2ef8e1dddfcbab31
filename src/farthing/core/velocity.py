"""Is money spent faster than this workload ever does? A CUSUM with a hard cap, its state a value.

Theory of operation
-------------------
Spend is looked at in equal spans of time (a minute). ``usual`` is the workload's own 95th
percentile per span, from its past. The one-sided CUSUM adds what a span is above it and never falls
below nothing::

    excess = max(0, excess + spent - usual)

A single dear span is forgiven by cheaper ones after it; a steady overspend adds up. Beyond
``patience`` usual spans of excess the velocity is an alarm. The hard cap needs no past: a span that
costs more than it is one at once. With no past there is no ``usual``, and only the cap counts.

All amounts are whole 10⁻¹² USD. ``next_span`` is the caller's to call, once for each span, those in
which nothing was spent included; time itself is not known here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from farthing.pricing.money import PicoUsd

__all__ = ["Velocity", "VelocityLimits", "VelocityVerdict", "next_span", "usual_spend"]

VelocityVerdict = Literal["fine", "fast", "capped"]

#: fewer spans than this tell nothing about the 95th percentile
_LEAST_SPANS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class VelocityLimits:
    """When spending is too fast."""

    #: what a span of this workload costs at most in 95 of 100 cases; None: not known yet
    usual: PicoUsd | None = None
    #: so many usual spans of excess are an alarm
    patience: int = 5
    #: a span that costs more is one at once; None: no cap
    hard_cap: PicoUsd | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Velocity:
    """The state between two spans, and the verdict on the last one."""

    excess: PicoUsd = PicoUsd(0)  # noqa: RUF009  a NewType of int
    verdict: VelocityVerdict = "fine"


def next_span(state: Velocity, spent: PicoUsd, limits: VelocityLimits) -> Velocity:
    """The state after a span in which this much was spent."""
    excess = 0
    verdict: VelocityVerdict = "fine"
    if limits.usual is not None:
        excess = max(0, state.excess + spent - limits.usual)
        if excess > limits.patience * limits.usual:
            verdict = "fast"
    if limits.hard_cap is not None and spent > limits.hard_cap:
        verdict = "capped"
    return Velocity(excess=PicoUsd(excess), verdict=verdict)


def usual_spend(spans: Sequence[PicoUsd]) -> PicoUsd | None:
    """The 95th percentile of spans in which something was spent; None where they are too few."""
    spent = sorted(span for span in spans if span > 0)
    if len(spent) < _LEAST_SPANS:
        return None
    return spent[(95 * len(spent) + 99) // 100 - 1]
