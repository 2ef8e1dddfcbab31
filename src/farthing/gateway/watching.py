"""Notices that a client has hung up, and then cancels the job that works for it.

Theory of operation. ASGI tells of a hang-up only to who waits for it, and a second job per call
costs a tenth of the call. So the watch begins late: an answer that comes within ``_PATIENCE``
seconds had nothing worth cancelling. All calls share one timer, which rings every so often as long
as there are young calls; whoever hears it for the second time is watched from then on.
"""

from __future__ import annotations

import asyncio
from typing import Final

from farthing.gateway.asgi import Receive

__all__ = ["ClientWatch", "ClientWatches"]

_PATIENCE: Final = 0.05


class ClientWatches:
    """The calls of one event loop that may have to be watched soon."""

    __slots__ = ("_heard_once", "_is_ringing", "_new")

    def __init__(self) -> None:
        self._new: list[ClientWatch] = []
        self._heard_once: list[ClientWatch] = []
        self._is_ringing = False

    def add(self, watch: ClientWatch) -> None:
        """To be watched if its call lasts."""
        self._new.append(watch)
        if not self._is_ringing:
            self._is_ringing = True
            asyncio.get_running_loop().call_later(_PATIENCE, self._ring)

    def _ring(self) -> None:
        for watch in self._heard_once:
            watch.begin()
        self._heard_once, self._new = self._new, []
        self._is_ringing = bool(self._heard_once)
        if self._is_ringing:
            asyncio.get_running_loop().call_later(_PATIENCE, self._ring)


class ClientWatch:
    """Watches one client from the end of its request to the end of its answer.

    Not earlier: whoever waits for the hang-up takes the pieces of the request, too.
    """

    __slots__ = ("_is_over", "_job", "_receive", "_watcher", "_watches", "is_gone")

    def __init__(self, receive: Receive, watches: ClientWatches) -> None:
        self.is_gone = False
        self._receive = receive
        self._watches = watches
        self._job = asyncio.current_task()
        self._watcher: asyncio.Task[None] | None = None
        self._is_over = False

    def start(self) -> None:
        """The request is complete: from here on a hang-up is a cancellation."""
        if not self._is_over:
            self._watches.add(self)

    def begin(self) -> None:
        """The call has lasted: look, if it is not over."""
        if self._watcher is None and not self._is_over:
            self._watcher = asyncio.get_running_loop().create_task(self._wait())

    def stop(self) -> None:
        """Look no longer: from here on a hang-up changes nothing."""
        self._is_over = True
        if self._watcher is not None:
            self._watcher.cancel()

    def forgive(self) -> bool:
        """Was it the client's leaving that cancelled the job? Then the job may end in peace."""
        if self.is_gone and self._job is not None:
            self._job.uncancel()
        return self.is_gone

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.is_gone = True
        if self._job is not None:
            self._job.cancel()
