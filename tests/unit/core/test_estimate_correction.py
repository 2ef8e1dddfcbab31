from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.core.estimate import Tally
from farthing.core.estimate_correction import Correction
from farthing.core.estimate_weights import SIZE_STEPS, WEIGHTS

FRESH = Correction.initial(WEIGHTS["old"])
TEXT = Tally((1000.0, 0.0, 0.0, 0.0, 0.0), 4_000)
THINKING = Tally((0.0, 1000.0, 0.0, 0.0, 0.0), 4_000)

TALLIES = st.builds(
    Tally, st.tuples(*[st.floats(-1e4, 1e5, allow_subnormal=False)] * 5), st.integers(-10, 10**6)
)


def taught(correction: Correction, tally: Tally, observed: int, times: int) -> Correction:
    for _ in range(times):
        correction = correction.learned(tally, observed)
    return correction


def test_a_fresh_correction_leaves_the_point_alone():
    assert FRESH.estimate(TEXT).point == 1000


@given(TALLIES, st.integers(0, 10**6), st.lists(st.tuples(TALLIES, st.integers(-100, 10**6))))
def test_zero_point_quantile_and_bound_are_in_order(tally, known, history):
    correction = FRESH
    for past, observed in history:
        correction = correction.learned(past, observed)

    estimate = correction.estimate(tally, known)

    assert 0 <= estimate.point <= estimate.q95 <= estimate.bound


def test_a_known_prompt_is_taken_as_it_is():
    apart, anchored = FRESH.estimate(TEXT), FRESH.estimate(TEXT, 50_000)

    assert anchored.point == 50_000 + apart.point
    assert anchored.bound == 50_000 + apart.bound


def test_a_whole_prompt_is_less_certain_than_growth_of_the_same_size():
    large = Tally((20_000.0, 0.0, 0.0, 0.0, 0.0), 80_000)

    whole, growth = FRESH.estimate(large), FRESH.estimate(large, 1)

    assert whole.q95 == pytest.approx(20_000 * 1.12)
    assert growth.q95 - 1 < whole.q95


def test_estimates_move_to_what_is_counted():
    correction = taught(FRESH, TEXT, 1_300, 200)

    assert correction.estimate(TEXT).point == pytest.approx(1_300, rel=0.05)


def test_the_recent_counts_more():
    correction = taught(taught(FRESH, TEXT, 1_300, 500), TEXT, 800, 1_000)

    assert correction.estimate(TEXT).point < 1_000


def test_kinds_are_corrected_apart():
    correction = FRESH
    for _ in range(600):
        correction = correction.learned(THINKING, 1_500).learned(TEXT, 1_000)

    assert correction.estimate(THINKING).point > correction.estimate(TEXT).point * 1.2


def test_one_outlier_moves_little():
    correction = taught(FRESH, TEXT, 1_000, 50).learned(TEXT, 1_000_000)

    assert correction.estimate(TEXT).point < 1_050


@pytest.mark.parametrize(("tally", "observed"), [(TEXT, 0), (TEXT, -5), (Tally(), 100)])
def test_a_prompt_that_did_not_grow_teaches_nothing(tally, observed):
    assert FRESH.learned(tally, observed) is FRESH


def test_the_smallest_growth_teaches():
    assert FRESH.learned(TEXT, 1) is not FRESH


@pytest.mark.parametrize("observed", [10, 100_000])
def test_factors_stay_in_their_range(observed):
    correction = taught(FRESH, TEXT, observed, 5_000)

    assert 0.5 <= correction.factors[0] <= 2.5


def test_variances_never_exceed_the_prior():
    correction = taught(FRESH, TEXT, 1_000, 2_000)

    assert max(correction.variances) <= correction.prior_variance
    assert correction.variances[0] < correction.prior_variance


def test_a_miss_widens_the_margin_of_its_size_only():
    wider, narrower = FRESH.learned(TEXT, 100_000), FRESH.learned(TEXT, 1_000)

    assert wider.margins[2] > FRESH.margins[2] > narrower.margins[2]
    assert wider.margins[:2] + wider.margins[3:] == FRESH.margins[:2] + FRESH.margins[3:]


@pytest.mark.parametrize(("growth", "size"), [(249.0, 0), (250.0, 1), (4_999.0, 3), (5_000.0, 4)])
def test_margins_are_kept_per_size(growth, size):
    tally = Tally((growth, 0.0, 0.0, 0.0, 0.0), 10**6)

    changed = FRESH.learned(tally, 10**6)

    assert [a != b for a, b in zip(changed.margins, FRESH.margins, strict=True)].index(True) == size
    assert len(FRESH.margins) == len(SIZE_STEPS) + 1


def test_a_margin_never_vanishes():
    assert taught(FRESH, TEXT, 1_000, 2_000).margins[2] == pytest.approx(0.02)


def test_the_quantile_settles_where_one_in_twenty_misses():
    correction = replace(FRESH, margins=(0.5,) * 5)
    misses = 0
    for step in range(4_000):
        observed = 900 + step * 7 % 200  # uniform between 900 and 1,099
        misses += observed > correction.estimate(TEXT, 1).q95 - 1
        correction = correction.learned(TEXT, observed)

    assert 0.04 <= misses / 4_000 <= 0.06


def test_one_sided_errors_are_reported_as_drift():
    steady = FRESH
    for step in range(200):
        steady = steady.learned(TEXT, 950 if step % 2 else 1_050)
    sudden = taught(steady, TEXT, 1_600, 100)

    assert not steady.is_drifting
    assert sudden.is_drifting


def test_an_unmeasured_generation_starts_less_certain():
    new = Correction.initial(WEIGHTS["new"])

    assert new.prior_variance > FRESH.prior_variance
    assert min(new.margins) >= 0.35
