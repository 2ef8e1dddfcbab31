"""Both event loops: commands that are no servers run on asyncio's own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import uvloop

from tests.integration.transport.peers import SECONDS


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Callable[[], Awaitable[None]]], None]:
    """Runs a test's coroutine, with a limit that only a bug reaches."""
    factory = None if request.param == "asyncio" else uvloop.new_event_loop

    def running(test: Callable[[], Awaitable[None]]) -> None:
        async def limited() -> None:
            async with asyncio.timeout(SECONDS):
                await test()

        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(limited())

    return running
