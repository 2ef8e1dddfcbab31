"""Jobs beside a gateway outlive what they did not expect."""

from __future__ import annotations

import asyncio
import logging

import pytest

from farthing.compose.jobs import keep_running


def test_a_job_that_fails_begins_again_and_the_log_says_so(caplog: pytest.LogCaptureFixture):
    begun = list[int]()

    async def job() -> None:
        begun.append(len(begun))
        if len(begun) < 3:
            raise OSError("gone")

    with caplog.at_level(logging.ERROR):
        asyncio.run(keep_running(job, pause_seconds=0))

    assert begun == [0, 1, 2]
    assert [record.__dict__["action"] for record in caplog.records] == ["job.failed"] * 2


def test_a_job_that_is_cancelled_does_not_begin_again():
    begun = list[int]()

    async def job() -> None:
        begun.append(1)
        await asyncio.Event().wait()

    async def cancel() -> None:
        running = asyncio.create_task(keep_running(job, pause_seconds=0))
        await asyncio.sleep(0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert running.cancelled()

    asyncio.run(cancel())
    assert begun == [1]
