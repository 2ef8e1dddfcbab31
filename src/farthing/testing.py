"""Pytest fixtures for projects that call Claude: a stand-in for the API, no key, no bill.

In ``conftest.py``: ``pytest_plugins = ["farthing.testing"]``; needs ``farthing[lab]`` and pytest.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from farthing.lab.emulator import RunningEmulator, emulator

__all__ = ["claude_emulator", "claude_environment"]


@pytest.fixture
def claude_emulator() -> Iterator[RunningEmulator]:
    """A Claude API of the test's own, on a loopback port and a virtual clock."""
    with emulator() as running:
        yield running


@pytest.fixture
def claude_environment(
    claude_emulator: RunningEmulator, monkeypatch: pytest.MonkeyPatch
) -> RunningEmulator:
    """The same, with ``ANTHROPIC_BASE_URL`` and ``ANTHROPIC_API_KEY`` pointing at it."""
    for name, value in claude_emulator.environment.items():
        monkeypatch.setenv(name, value)
    return claude_emulator
