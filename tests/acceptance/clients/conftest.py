"""What the clients talk to: the emulator, directly and then with the gateway in between.

A tap lies before whatever they talk to. So three witnesses can be compared: what the client wrote,
what the emulator received and billed, and what the gateway has on record.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from farthing.lab.emulator import RunningEmulator
from tests.acceptance.clients import environments
from tests.acceptance.clients.route import WAYS, Route, open_route


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """The folder with the clients from npm."""
    return environments.node_modules()


@pytest.fixture(params=WAYS)
def route(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Route]:
    """The way from a client to the emulator, with its witnesses."""
    with open_route(request.param, tmp_path_factory.mktemp("gateway")) as opened:
        yield opened


@pytest.fixture
def emu(route: Route) -> RunningEmulator:
    return route.emu


@pytest.fixture
def claude_api_url(route: Route) -> str:
    """What the clients talk to."""
    return route.url
