"""The articles' examples over the wire: SDK, gateway, emulator, ledger."""

from __future__ import annotations

import pytest

from benchmarks.claims import lines
from benchmarks.claims_cases import CASES
from benchmarks.claims_ways import open_wire

#: every kind of case, with few requests
SHORT = [case for case in CASES if len(case.shots) <= 12]


def test_what_the_ledger_says_is_what_formula_and_simulation_say(tmp_path):
    with open_wire(tmp_path) as wire:
        found = [(line, line.measured) for line in lines(SHORT, wire)]

    assert len(found) >= 25
    for line, measured in found:
        assert measured is not None
        assert measured.usage == line.simulated.usage == line.closed
        assert measured.first_token_seconds == pytest.approx(
            line.simulated.first_token_seconds, abs=1e-6
        )


@pytest.mark.long
def test_every_row_agrees_over_the_wire(tmp_path):
    with open_wire(tmp_path) as wire:
        assert [line.case.row for line in lines(CASES, wire) if not line.agrees] == []
