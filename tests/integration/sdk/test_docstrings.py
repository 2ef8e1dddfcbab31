"""The examples in the docstrings of what needs Claude, run against the emulator."""

from __future__ import annotations

import doctest
from types import ModuleType

import pytest

import farthing.batch.rows
import farthing.compose.middleware
import farthing.sdk.session


@pytest.mark.parametrize(
    "module",
    [farthing.sdk.session, farthing.batch.rows, farthing.compose.middleware],
    ids=lambda module: module.__name__,
)
def test_the_examples_of_a_module_run(module: ModuleType) -> None:
    failed, attempted = doctest.testmod(module)

    assert failed == 0
    assert attempted
