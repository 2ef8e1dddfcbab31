"""The clients under test talk to ``claude_api_url``; the witness behind it is ``emu``.

A suite that puts something in between (a gateway) overrides ``claude_api_url`` and reruns the same
tests: they use ``emu`` only to look at what arrived and to move the clock.
"""

from __future__ import annotations

from collections.abc import Iterator

import anthropic
import pytest

from farthing.lab.emulator import RunningEmulator, emulator


@pytest.fixture
def emu() -> Iterator[RunningEmulator]:
    with emulator() as running:
        yield running


@pytest.fixture
def claude_api_url(emu: RunningEmulator) -> str:
    return emu.url


@pytest.fixture
def client(claude_api_url: str) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=claude_api_url, api_key="sk-emu-acme") as made:
        yield made
