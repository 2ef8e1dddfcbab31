"""The figures that the estimator must reach on recorded provider usage it was not fitted on."""

from collections import Counter

import pytest

from benchmarks.estimator import (
    MAIN,
    VISIBLE,
    evaluate,
    figures,
    is_held_out,
    measure_visible,
    read_calls,
)
from farthing.core.estimate_weights import WEIGHTS


@pytest.fixture(scope="module")
def held_out(data_dir):
    calls = [c for c in read_calls(data_dir / MAIN, Counter()) if is_held_out(c.session)]
    return figures(evaluate(calls, WEIGHTS["old"]))


@pytest.mark.parametrize(
    ("figure", "least", "most"),
    [
        ("calls", 1_500, 2_500),
        ("median_error_offline", 0, 0.12),
        ("median_error_online", 0, 0.08),
        ("abs_bias", 0, 0.02),
        ("total_error", 0, 0.003),
        ("coverage_95", 0.94, 0.96),
    ],
)
def test_growth_of_calls_never_seen_is_estimated_well_enough(held_out, figure, least, most):
    assert least <= held_out[figure] <= most


@pytest.mark.parametrize("figure", ["bias", "bias_offline", "median_bias", "median_bias_offline"])
def test_a_figure_with_a_sign_has_a_twin_without(held_out, figure):
    assert held_out[f"abs_{figure}"] == abs(held_out[figure])


def test_no_whole_prompt_exceeds_its_bytes(data_dir):
    visible = measure_visible(data_dir / VISIBLE)

    assert visible["visible_calls"] > 900
    assert visible["byte_bound_violations"] == 0
    assert visible["visible_prompt_error"] < 0.05
    assert visible["abs_visible_prompt_bias"] == abs(visible["visible_prompt_bias"])
