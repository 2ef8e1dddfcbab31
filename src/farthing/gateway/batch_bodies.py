"""The body of a batch's creation, looked at before it goes upstream: on disk, and row by row.

Theory of operation. A batch may have 256 MB, and what it can cost is only known at its end; so it
has to be here before it can go on. It waits in a temporary file without a name (in memory up to
``_IN_MEMORY``), and its rows are looked at while it comes (``core.batch_scan``,
``gateway.key_limits``), piece by piece and on a thread, so that other calls go on. Memory is then
one piece, the longest row and 26 bytes for each row, whatever the size of the body. The client
waits for its upload twice: to us, and from us.

This happens only where a budget is there to be asked, or a key is limited to some models.

Rules of this file: the bytes that go upstream are those that came; the file is gone when the call
is over, however it ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, MutableMapping
from tempfile import SpooledTemporaryFile
from typing import Any, Final

from farthing.gateway.asgi import Receive
from farthing.gateway.bodies import StreamedBody

__all__ = ["SpooledBody"]

_IN_MEMORY: Final = 1024 * 1024
#: so much is looked at, and sent, at a time
_PIECE: Final = 256 * 1024


class SpooledBody:
    """One body; close it when its call is over."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._pieces = StreamedBody(receive, limit, at_end=lambda: None)
        self._file = SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115  see ``close``
        self._is_read = False

    async def scan(self, look: Callable[[bytes], None]) -> None:
        """Take it in, ``look`` at each piece; ``BodyTooLarge`` or ``ClientGone`` as ever."""
        waiting: list[bytes] = []
        size = 0
        async for piece in self._pieces:
            waiting.append(piece)
            size += len(piece)
            if size >= _PIECE:
                await asyncio.to_thread(self._take, b"".join(waiting), look)
                waiting, size = [], 0
        await asyncio.to_thread(self._take, b"".join(waiting), look)
        await asyncio.to_thread(self._file.seek, 0)

    async def receive(self) -> MutableMapping[str, Any]:
        """``Receive`` that gives it once more; behind its end the client is listened to."""
        if self._is_read:
            return await self._receive()
        piece = await asyncio.to_thread(self._file.read, _PIECE)
        self._is_read = len(piece) < _PIECE
        return {"type": "http.request", "body": piece, "more_body": not self._is_read}

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _take(self, piece: bytes, look: Callable[[bytes], None]) -> None:
        self._file.write(piece)
        look(piece)
