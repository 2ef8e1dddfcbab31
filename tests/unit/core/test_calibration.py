from __future__ import annotations

from datetime import date

import msgspec
import pytest

from farthing.core.calibration import DRIFT, LEAST_CALLS, Calibration, InputError, input_error
from farthing.pricing import catalog
from farthing.wire.usage import Iteration, Usage

CARD = catalog().require("claude-opus-5-5", on=date(2026, 11, 21))
BILLED = Usage(uncached=100, cache_write_5m=1_000, cache_read=9_000, output=500)


def test_a_forecast_that_came_true_has_no_error_whatever_was_answered():
    error = input_error(msgspec.structs.replace(BILLED, output=0), BILLED, CARD)

    assert error is not None
    assert error.foreseen_pico == error.actual_pico > 0


def test_an_error_is_in_dollars_of_input_as_the_answer_was_served():
    foreseen = Usage(uncached=100, cache_write_5m=10_000)
    error = input_error(foreseen, BILLED, CARD)
    batch = input_error(foreseen, msgspec.structs.replace(BILLED, service_tier="batch"), CARD)

    rates = CARD.rates_for(10_100)
    assert error is not None
    assert batch is not None
    difference = 9_000 * (rates.cache_write_5m - rates.cache_read)
    assert error.foreseen_pico - error.actual_pico == difference
    assert 2 * (batch.foreseen_pico - batch.actual_pico) == difference


def test_what_has_no_price_or_several_prompts_has_no_error():
    entry = Iteration(type="message", model=None, usage=BILLED)

    assert input_error(BILLED, msgspec.structs.replace(BILLED, speed="warp"), CARD) is None
    assert input_error(BILLED, msgspec.structs.replace(BILLED, iterations=(entry,)), CARD) is None


def test_signed_errors_cancel_and_absolute_ones_do_not():
    found = (
        Calibration()
        .plus(InputError(foreseen_pico=110, actual_pico=100, at_length_pico=104))
        .plus(InputError(foreseen_pico=90, actual_pico=100, at_length_pico=100))
    )

    assert (found.calls, found.error_ratio) == (2, 0)
    assert found.abs_error_ratio == pytest.approx(0.1)
    assert found.at_length_error_ratio == pytest.approx(0.02)
    assert found + Calibration() == found


def test_nothing_billed_has_no_ratio_and_does_not_drift():
    nothing = Calibration(calls=LEAST_CALLS)

    assert (nothing.error_ratio, nothing.abs_error_ratio) == (None, None)
    assert nothing.at_length_error_ratio is None
    assert not nothing.is_drifting


@pytest.mark.parametrize(
    ("calls", "at_length", "is_drifting"),
    [
        (LEAST_CALLS, 10_501, True),
        (LEAST_CALLS - 1, 10_501, False),
        (LEAST_CALLS, 10_500, False),
        (LEAST_CALLS, 9_499, True),
    ],
)
def test_drift_is_more_than_five_percent_at_the_measured_length_on_enough_calls(
    calls, at_length, is_drifting
):
    assert DRIFT == 0.05
    found = Calibration(calls=calls, at_length_pico=at_length, actual_pico=10_000)

    assert found.is_drifting is is_drifting


def test_a_length_that_was_estimated_wrongly_is_no_error_at_the_measured_length():
    half = Usage(uncached=50, cache_write_5m=500, cache_read=4_500)
    error = input_error(half, BILLED, CARD)
    nothing = input_error(Usage(), BILLED, CARD)

    assert error is not None
    assert nothing is not None
    assert 2 * error.foreseen_pico == error.actual_pico == error.at_length_pico
    assert nothing.at_length_pico == 0
