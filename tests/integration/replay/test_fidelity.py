"""The emulator against what the provider did, and against the core's model: bounds and reasons."""

from __future__ import annotations

import pytest

from benchmarks import cache_fidelity
from benchmarks.cache_fidelity import MAIN, SUBAGENTS, Replay
from benchmarks.fidelity_emulator import EmulatedCache, differences, main_calls
from benchmarks.recorded_calls import load_rows


@pytest.fixture(scope="module")
def compared(data_dir):
    rows = [row for name in (MAIN, SUBAGENTS) for row in load_rows(data_dir / name)]
    calls = [call for _, row_calls in rows for call in row_calls]
    return main_calls(Replay(EmulatedCache()).run(calls)), main_calls(Replay().run(calls))


def test_the_emulator_meets_the_bounds_of_the_core_on_recorded_traffic(compared):
    figures = cache_fidelity.figures(compared[0])

    assert figures["hard_balanced_accuracy"] >= 0.85
    assert figures["abs_dollar_error_unbroken"] <= 0.01


def test_the_two_models_differ_on_few_calls_and_only_for_what_answers_taught_the_core(compared):
    """The emulator has rules only; the core also learns survival, lengths and lost entries."""
    reasons = differences(*compared)

    assert sum(reasons.values()) <= 30
    assert set(reasons) <= {
        "the core presumes that an expired entry survived: it learns rates, this has rules",
        "the driver kept a head warm that the core holds for expired",
        "an answer showed the core that entries were gone; the emulator keeps them",
        "an answer showed the core an entry that no recorded call wrote",
    }
