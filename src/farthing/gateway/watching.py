"""Notices that a client has hung up, and then cancels the job that works for it.

Theory of operation. ASGI tells of a hang-up only to who waits for it, and a second job per call
costs a tenth of the call. So the watch begins late: an answer that comes within ``_PATIENCE``
seconds had nothing worth cancelling.
"""

from __future__ import annotations

import asyncio
from typing import Final

from farthing.gateway.asgi import Receive

__all__ = ["ClientWatch"]

_PATIENCE: Final = 0.05


class ClientWatch:
    """Watches one client from the end of its request to the end of its answer.

    Not earlier: whoever waits for the hang-up takes the pieces of the request, too.
    """

    __slots__ = ("_is_over", "_job", "_receive", "_timer", "_watcher", "is_gone")

    def __init__(self, receive: Receive) -> None:
        self.is_gone = False
        self._receive = receive
        self._job = asyncio.current_task()
        self._watcher: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_over = False

    def start(self) -> None:
        """The request is complete: from here on a hang-up is a cancellation."""
        if self._timer is None and not self._is_over:
            self._timer = asyncio.get_running_loop().call_later(_PATIENCE, self._begin)

    def stop(self) -> None:
        """Look no longer: from here on a hang-up changes nothing."""
        self._is_over = True
        if self._timer is not None:
            self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()

    def forgive(self) -> bool:
        """Was it the client's leaving that cancelled the job? Then the job may end in peace."""
        if self.is_gone and self._job is not None:
            self._job.uncancel()
        return self.is_gone

    def _begin(self) -> None:
        self._watcher = asyncio.get_running_loop().create_task(self._wait())

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.is_gone = True
        if self._job is not None:
            self._job.cancel()
