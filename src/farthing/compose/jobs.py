"""Jobs beside a gateway: one that fails by a mistake of ours begins again, and the log says so.

A job that watches budgets or keys, writes the journal or sends alerts must outlive what it did not
expect. One that ended in silence would leave a gateway that goes on by budgets and keys of
yesterday, and nobody told.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final

__all__ = ["Job", "keep_running"]

#: starts a job; it runs until it is cancelled, or has nothing more to do
Job = Callable[[], Coroutine[Any, Any, None]]

#: before a job begins again: long enough that a lasting fault does not fill the log
_PAUSE_SECONDS: Final = 5.0

_logger = logging.getLogger(__name__)


async def keep_running(job: Job, *, pause_seconds: float = _PAUSE_SECONDS) -> None:
    """Run a job to its end, from the beginning again after each failure, until cancelled."""
    while True:
        try:
            await job()
        except Exception:  # protects what the job keeps current: the next run may go well
            _logger.exception("a job failed and begins again", extra={"action": "job.failed"})
            await asyncio.sleep(pause_seconds)
        else:
            return
