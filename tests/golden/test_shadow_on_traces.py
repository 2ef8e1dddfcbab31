"""The shadow baseline on recorded traffic: right with levers off, and honest with an idle one."""

from __future__ import annotations

import pytest

from benchmarks.shadow import figures

#: 22,000 shadowed calls; the forecasts themselves are tested in test_cache_fidelity_on_traces
pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def found(data_dir) -> dict[str, float]:
    return figures(data_dir)


@pytest.mark.parametrize(
    ("figure", "most"),
    [
        ("abs_foreseen_error_unbroken", 0.01),
        ("abs_baseline_error_unbroken", 0.001),
        ("abs_baseline_error_all", 0.001),
        ("untouched_calls_that_differ", 0),
    ],
)
def test_the_recorded_bill_is_reproduced_this_well(found, figure, most):
    assert 0 <= found[figure] <= most


def test_it_is_much_traffic(found):
    assert found["calls_unbroken"] > 6_000
