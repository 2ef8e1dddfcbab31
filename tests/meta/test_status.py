"""docs/status.md claims nothing that it does not show."""

from __future__ import annotations

import re

import pytest

from tests.meta.source import ROOT

ROWS = 38
STATES = ("works", "partly", "not yet")

#: what a row may point at: a test, a benchmark or an example, with the test's name if it likes
SHOWN = re.compile(r"`((?:tests|benchmarks|examples)/[\w/.-]+)(?:::(\w+))?`")


def rows() -> list[tuple[str, str, str]]:
    """Number, state and evidence of each row."""
    text = (ROOT / "docs" / "status.md").read_text("utf-8")
    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in text.splitlines() if line[:1] == "|"]
    return [
        (number.strip(), state.strip(), shown.strip())
        for number, _, state, shown in cells
        if number.strip().isdigit()
    ]


def test_every_row_of_the_product_has_a_state():
    assert [(int(number), state in STATES) for number, state, _ in rows()] == [
        (number, True) for number in range(1, ROWS + 1)
    ]


@pytest.mark.parametrize(("number", "state", "shown"), rows())
def test_what_works_even_partly_is_shown_by_something_that_exists(number, state, shown):
    evidence = SHOWN.findall(shown)
    missing = [path for path, _ in evidence if not (ROOT / path).exists()]
    unnamed = [
        test
        for path, test in evidence
        if test and f"def {test}(" not in (ROOT / path).read_text("utf-8")
    ]

    assert (missing, unnamed) == ([], [])
    assert bool(evidence) or state == "not yet"
