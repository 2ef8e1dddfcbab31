"""Stateless safety on recorded conversations: no prefix flips that nobody planned."""

from __future__ import annotations

from itertools import islice

import pytest

from benchmarks.flips import run
from farthing.traces.importing import Import, import_paths


@pytest.mark.parametrize("name", ["tau2-bench", "claude-code-subagents"])
def test_restarts_policy_edits_and_upgrades_in_mid_conversation_flip_nothing(
    data_dir, tmp_path, name
):
    path = data_dir / "traces" / f"{name}.jsonl.gz"
    found = run(islice(import_paths([path], Import()), 12), tmp_path)

    assert found["unplanned_flips"] == 0
    # and there was something to flip: repairs were made, and without pins they would have
    assert found["repaired_calls"] > 30
    assert found["flips_without_pins"] > 10
    assert min(found[f"{event}_events"] for event in ("restart", "policy", "version")) > 0
