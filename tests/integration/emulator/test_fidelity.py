"""The emulator against the provider's own accounting, and against the core's model of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.cache_fidelity import MAIN, SUBAGENTS, figures
from benchmarks.fidelity_emulator import EmulatorReplay, against_the_core
from benchmarks.recorded_calls import load_rows


@pytest.mark.long
def test_the_emulator_bills_recorded_calls_as_the_provider_did(data_dir: Path) -> None:
    rows = [row for name in (MAIN, SUBAGENTS) for row in load_rows(data_dir / name)]
    calls = [call for _, calls in rows for call in calls]
    scored = [each for each in EmulatorReplay().run(calls) if not each.call.row.is_subagent]
    found = figures(scored)
    assert found["hard_balanced_accuracy"] >= 0.84
    assert found["abs_dollar_error_unbroken"] <= 0.01
    assert found["easy_accuracy"] >= 0.99
    # two models that share nothing: they part only where the core learns and the emulator does not
    assert sum(against_the_core(scored, calls).values()) <= 0.005 * len(scored)
