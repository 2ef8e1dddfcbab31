from __future__ import annotations

import random
from math import sqrt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farthing.core.intervals import (
    EXACT_UNITS,
    common_strata,
    quantile,
    quotient,
    ratio,
    rounds_at,
    student_quantile,
    weights_of,
)


def units(*tops: float, bottom: float = 1.0) -> list[tuple[float, float]]:
    return [(top, bottom) for top in tops]


def skewed(dice: random.Random, count: int, scale: float = 1.0) -> dict[str, list]:
    return {"": units(*(scale * dice.lognormvariate(0, 1) for _ in range(count)))}


@pytest.mark.parametrize(
    ("outside", "freedom", "expected"),
    [  # any table of Student's t
        (0.05, 1, 12.7062),
        (0.05, 1.5, 12.7062),
        (0.05, 2, 4.3027),
        (0.01, 3, 5.8409),
        (0.005, 4, 5.5976),
        (0.05, 5, 2.5706),
        (0.002, 10, 4.1437),
        (0.05, 1_000, 1.9623),
        (0.5, 30, 0.6828),
    ],
)
def test_the_quantiles_of_student_are_those_of_the_tables(outside, freedom, expected):
    assert student_quantile(outside, freedom) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([], 0.5, None), ([7], 0.95, 7), ([1, 2], 0.5, 1.5), ([4, 1, 3, 2, 5], 0.95, 4.8)],
)
def test_a_quantile_lies_between_its_neighbours(values, share, expected):
    assert quantile(values, share) == (expected if expected is None else pytest.approx(expected))


def test_a_ratio_is_the_quotient_of_sums_not_the_mean_of_quotients():
    side = {"": [(1.0, 1.0), (9.0, 1.0), (2.0, 0.0)]}

    assert ratio(side, {"": 1.0}) == 6.0


def test_a_ratio_over_nothing_is_none():
    assert ratio({"": units(1, 2, bottom=0)}, {"": 1.0}) is None


def test_a_stratum_needs_two_units_on_each_side():
    a = {"x": units(1, 2), "y": units(1, 2), "z": units(1)}
    b = {"x": units(1, 2), "y": units(1), "z": units(1, 2)}

    assert common_strata(a, b) == ("x",)


def test_the_same_mix_counts_on_both_sides_so_a_shift_in_the_mix_is_no_change():
    cheap, dear = units(1, 1, 1, 1), units(10, 10, 10, 10)
    a = {"cheap": cheap * 9, "dear": dear}
    b = {"cheap": cheap, "dear": dear * 9}

    found = quotient(a, b, confidence=0.95)

    assert weights_of(a, b) == {"cheap": 0.5, "dear": 0.5}
    assert found is not None
    assert (found.value, found.is_shown) == (1.0, False)


def test_the_interval_of_two_equal_samples_is_the_textbook_one():
    """Welch's t on the logarithm, by hand: s/mean = 1/√2 · 1/2, twice, four degrees of freedom."""
    side = {"": units(1.0, 2.0, 3.0)}

    found = quotient(side, side, confidence=0.95)

    assert found is not None
    half = student_quantile(0.05, 4) * sqrt(2 * (1 / 4) / 3)
    assert (found.low, found.high) == pytest.approx((2.718281828**-half, 2.718281828**half))


def test_samples_without_spread_have_an_interval_without_width():
    found = quotient({"": units(*[2] * 9)}, {"": units(*[3] * 9)}, confidence=0.95)

    assert found is not None
    assert (found.low, found.value, found.high, found.is_shown) == (1.5, 1.5, 1.5, True)


def test_two_tasks_a_side_can_never_show_a_difference():
    found = quotient({"": units(1, 1)}, {"": units(50, 50)}, confidence=0.95)

    assert found is not None
    assert not found.is_shown


@pytest.mark.parametrize("zero", ["a", "b"])
def test_there_is_no_quotient_with_a_side_of_zero(zero):
    sides = {"a": {"": units(1, 2)}, "b": {"": units(1, 2)}, zero: {"": units(0, 0)}}

    assert quotient(sides["a"], sides["b"], confidence=0.95) is None


def test_there_is_no_quotient_of_what_has_nothing_in_common():
    assert quotient({"x": units(1, 2)}, {"y": units(1, 2)}, confidence=0.95) is None


def test_a_hopeless_interval_is_wide_and_not_an_overflow():
    a, b = {"": units(1e-9, 1e9)}, {"": units(1e9, 1e-9)}

    found = quotient(a, b, confidence=1 - 1e-12)

    assert found is not None
    assert found.high > 1e300


def test_the_interval_holds_the_truth_as_often_as_it_says():
    dice = random.Random(1)
    tries, held = 200, 0
    for _ in range(tries):
        found = quotient(skewed(dice, 60), skewed(dice, 40, 1.2), confidence=0.9)
        assert found is not None
        held += found.low <= 1.2 <= found.high

    assert 0.86 <= held / tries <= 0.96


@pytest.mark.parametrize(("left", "right"), [(20, 20), (10, 60), (60, 10)])
def test_equals_are_called_different_no_more_often_than_announced(left, right):
    """Nominal 5 %; two standard errors above, at 300 tries, are 7.5 %. Without the test of chance
    the interval alone gives 8 to 15 %."""
    dice = random.Random(left)
    tries = 300
    alarms = 0
    for _ in range(tries):
        found = quotient(skewed(dice, left), skewed(dice, right), confidence=0.95)
        assert found is not None
        alarms += found.is_shown

    assert alarms / tries <= 0.075


def test_beyond_the_exact_limit_the_interval_decides_alone():
    many = EXACT_UNITS // 2 + 1
    a, b = {"": units(*([1, 2] * many))}, {"": units(*([1, 2.2] * many))}

    found = quotient(a, b, confidence=0.95)

    assert found is not None
    assert found.is_shown


def test_a_permutation_without_a_ratio_counts_as_far_apart():
    """One passed task a side: half of all deals give one side none."""
    side = [(1.0, 0.0)] * 5
    a, b = {"": [*side, (1.0, 1.0)]}, {"": [*side, (9.0, 1.0)]}

    found = quotient(a, b, confidence=0.05)

    assert found is not None
    assert not found.is_shown


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.floats(0.01, 100), min_size=2, max_size=12),
    st.lists(st.floats(0.01, 100), min_size=2, max_size=12),
)
def test_swapping_the_sides_inverts_the_answer(left, right):
    there = quotient({"": units(*left)}, {"": units(*right)}, confidence=0.9)
    back = quotient({"": units(*right)}, {"": units(*left)}, confidence=0.9)

    assert there is not None
    assert back is not None
    assert there.value == pytest.approx(1 / back.value)
    assert (there.low, there.high) == pytest.approx((1 / back.high, 1 / back.low))


@pytest.mark.parametrize(("level", "expected"), [(0.05, 999), (0.005, 999), (0.001, 4_000)])
def test_rarer_alarms_take_more_deals(level, expected):
    assert rounds_at(level) == expected
