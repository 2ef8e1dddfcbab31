"""An emulator of the test's own and clients of the SDK that talk to it."""

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
def client(emu: RunningEmulator) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=emu.url, api_key=emu.api_key, max_retries=0) as made:
        yield made
