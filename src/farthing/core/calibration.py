"""Calibration: what the model of the prompt cache foresaw of a call, against what it cost.

Theory of operation. Every saving rests on a counterfactual, and that cannot be measured. What can
be measured is the same model on what *was* sent: before a call leaves it says how much of the
prompt will be read and written, afterwards the provider says what was. Both are priced as the
answer was served; the difference of dollars is the call's error. Two sums are kept per day and
model: the signed one, in which errors cancel, and the absolute one, in which they do not.

A forecast errs in two ways: in how long the prompt is, which is an estimate until an answer has
counted it, and in which part of it is read and written. A baseline inherits only the second, for
its length is the provider's count; so the same error is also told at the measured length, and a
drift is one of that.

The same figures of calls on which no lever acted are the shadow's own: for them, what was sent is
what the client sent, so the shadow's baseline is tested and not only the planner's forecast.

Rules of this file: only the prompt counts, output is no forecast of anybody; a call whose prompt
has no price is left out, never counted as right.

Interface: ``input_error`` (one call) → ``InputError``; ``Calibration`` adds up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from farthing.errors import UnpricedModelError
from farthing.pricing.billing import price
from farthing.pricing.cards import RateCard
from farthing.wire.usage import Usage

__all__ = ["DRIFT", "LEAST_CALLS", "Calibration", "InputError", "input_error"]

#: a signed error at the measured length beyond this share of the input dollars is no noise
DRIFT: Final = 0.05
#: with fewer calls nothing is said
LEAST_CALLS: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class InputError:
    """One call: the input foreseen and the input billed, in 10⁻¹² USD."""

    foreseen_pico: int
    actual_pico: int
    #: foreseen, had the prompt been known to be as long as it was
    at_length_pico: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Some calls, added up."""

    calls: int = 0
    foreseen_pico: int = 0
    actual_pico: int = 0
    #: the sizes of the single errors
    absolute_pico: int = 0
    #: foreseen at the measured lengths
    at_length_pico: int = 0

    def plus(self, error: InputError) -> Calibration:
        """With one call more."""
        return Calibration(
            calls=self.calls + 1,
            foreseen_pico=self.foreseen_pico + error.foreseen_pico,
            actual_pico=self.actual_pico + error.actual_pico,
            absolute_pico=self.absolute_pico + abs(error.foreseen_pico - error.actual_pico),
            at_length_pico=self.at_length_pico + error.at_length_pico,
        )

    def __add__(self, other: Calibration) -> Calibration:
        return Calibration(
            calls=self.calls + other.calls,
            foreseen_pico=self.foreseen_pico + other.foreseen_pico,
            actual_pico=self.actual_pico + other.actual_pico,
            absolute_pico=self.absolute_pico + other.absolute_pico,
            at_length_pico=self.at_length_pico + other.at_length_pico,
        )

    @property
    def error_ratio(self) -> float | None:
        """Foreseen minus billed over billed; None where nothing was billed."""
        if not self.actual_pico:
            return None
        return (self.foreseen_pico - self.actual_pico) / self.actual_pico

    @property
    def at_length_error_ratio(self) -> float | None:
        """The signed error at the measured lengths: of reads and writes alone."""
        if not self.actual_pico:
            return None
        return (self.at_length_pico - self.actual_pico) / self.actual_pico

    @property
    def abs_error_ratio(self) -> float | None:
        """The sizes of the single errors over what was billed."""
        return self.absolute_pico / self.actual_pico if self.actual_pico else None

    @property
    def is_drifting(self) -> bool:
        """Is the model off by more than ``DRIFT``, on enough calls to say so?"""
        error = self.at_length_error_ratio
        return error is not None and self.calls >= LEAST_CALLS and abs(error) > DRIFT


def input_error(foreseen: Usage, usage: Usage, card: RateCard) -> InputError | None:
    """The error of one call at the card of its answer; None: its prompt has no price."""
    if usage.iterations:  # several prompts in one answer: the forecast was of the first
        return None
    actual = msgspec.structs.replace(usage, output=0, output_thinking=0, web_search_requests=0)
    expected = msgspec.structs.replace(
        actual,
        uncached=foreseen.uncached,
        cache_write_5m=foreseen.cache_write_5m,
        cache_write_1h=foreseen.cache_write_1h,
        cache_read=foreseen.cache_read,
    )
    try:
        prices = [price(each, card).total for each in (expected, actual)]
    except UnpricedModelError:
        return None
    expected_pico, actual_pico = prices
    at_length = expected_pico * actual.prompt // expected.prompt if expected.prompt else 0
    return InputError(
        foreseen_pico=expected_pico, actual_pico=actual_pico, at_length_pico=at_length
    )
