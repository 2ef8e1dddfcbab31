"""The clients under test talk to ``claude_api_url``; the witness behind it is ``emu``.

Each test runs three times: alone, with the gateway in between as it comes (levers of ``safe`` on),
and with levers off. A test uses ``emu`` only to look at what arrived and to move the clock, so it
cannot tell the difference.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import anthropic
import pytest

from farthing.compose import running_gateway
from farthing.config import Settings
from farthing.lab.emulator import RunningEmulator, emulator


@pytest.fixture
def emu() -> Iterator[RunningEmulator]:
    with emulator() as running:
        yield running


@pytest.fixture(params=["direct", "gateway", "levers off"])
def claude_api_url(
    request: pytest.FixtureRequest, emu: RunningEmulator, tmp_path: Path
) -> Iterator[str]:
    if request.param == "direct":
        yield emu.url
        return
    settings = Settings(
        upstream=emu.url,
        port=0,
        ledger=str(tmp_path / "ledger.db"),
        cache="engine" if request.param == "gateway" else "off",
    )
    with running_gateway(settings) as gateway:
        yield gateway.url


@pytest.fixture
def client(claude_api_url: str) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=claude_api_url, api_key="sk-emu-acme") as made:
        yield made
