"""The connections to one server: those under way, and those that wait for the next request.

Theory of operation. The one given back last is taken first, so that those not needed grow old and
are closed. Whether an idle one is still open is asked of the system when it is taken: on a loaded
machine the loop may be seconds behind, and a request written into a closed connection is one of
which nobody knows whether it cost anything.
"""

from __future__ import annotations

import asyncio
import ssl

from farthing.transport.connection import Connection
from farthing.transport.dialing import dial
from farthing.transport.settings import Origin, UpstreamSettings

__all__ = ["Pool"]


class Pool:
    """Belongs to the event loop that it is made in."""

    def __init__(
        self, origin: Origin, settings: UpstreamSettings, trust: ssl.SSLContext | None
    ) -> None:
        self._origin = origin
        self._settings = settings
        self._trust = trust
        self._loop = asyncio.get_running_loop()
        #: in the order in which they were given back
        self._idle: list[Connection] = []
        self._leased: set[Connection] = set()
        self._sweep: asyncio.TimerHandle | None = None
        most = settings.max_connections
        self._places = asyncio.Semaphore(most) if most else None

    async def lease(self) -> tuple[Connection, bool]:
        """A connection to send on, and has it served before; waits while all places are taken.

        ``UpstreamUnreachable`` where none can be had.
        """
        if self._places is not None:
            await self._places.acquire()
        connection = self._kept()
        is_kept = connection is not None
        if connection is None:
            try:
                connection = await self._dialled()
            except BaseException:
                self._give_place()
                raise
        self._leased.add(connection)
        return connection, is_kept

    async def close(self) -> None:
        """Cut every connection; an answer that is still being read is cut, too."""
        if self._sweep is not None:
            self._sweep.cancel()
        for connection in (*self._idle, *self._leased):
            connection.abort()
        self._idle.clear()
        await asyncio.sleep(0)  # the loop closes them in its next turn

    def _kept(self) -> Connection | None:
        """The youngest of the idle ones that is still open."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_alive and not self._is_old(connection):
                return connection
            connection.abort()
        return None

    async def _dialled(self) -> Connection:
        settings = self._settings
        return await dial(
            self._origin, self._made, trust=self._trust, seconds=settings.connect_seconds
        )

    def _made(self) -> Connection:
        return Connection(
            self._loop,
            silence_seconds=self._settings.silence_seconds,
            on_free=self._freed,
            on_lost=self._lost,
        )

    def _freed(self, connection: Connection) -> None:
        self._leased.discard(connection)
        self._idle.append(connection)
        self._give_place()
        if self._sweep is None:
            self._sweep = self._loop.call_later(self._settings.idle_seconds, self._swept)

    def _lost(self, connection: Connection) -> None:
        if connection in self._leased:
            self._leased.discard(connection)
            self._give_place()
        elif connection in self._idle:
            self._idle.remove(connection)

    def _give_place(self) -> None:
        if self._places is not None:
            self._places.release()

    def _is_old(self, connection: Connection) -> bool:
        return self._loop.time() - connection.free_since >= self._settings.idle_seconds

    def _swept(self) -> None:
        """Close what nobody has needed for long; look again when the next may be due."""
        young = [each for each in self._idle if not self._is_old(each)]
        for connection in self._idle[: len(self._idle) - len(young)]:
            connection.abort()
        self._idle, self._sweep = young, None
        if young:
            due = young[0].free_since + self._settings.idle_seconds
            self._sweep = self._loop.call_at(due, self._swept)
