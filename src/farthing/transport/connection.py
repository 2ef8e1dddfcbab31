"""One connection to Claude: a request out, the parts of its answer in, and the next.

Theory of operation. llhttp (``httptools``) reads what comes; this file says what it means: whose
answer it is, where its body ends, and whether the connection may serve another request. What has
been read belongs to the answer, so a connection that has gone back to its pool has nothing left to
say to whoever used it before. Reading is paused while more than ``_PILE_BYTES`` wait for their
reader: a slow client slows Claude down and nothing piles up here.

A small body leaves with its head in one piece. A large one, or one that is still arriving, is
written by a job of its own, piece by piece as the connection takes them; an answer that comes
before the end of its request is delivered all the same, and the connection is not used again.

Rules of this file: HTTP/1.1 and nothing else; no header is added but those that frame the body.
Every failure is ``UpstreamCut``: once a request has begun to leave, nobody can say how far it came.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import Any, Final, TypeVar

import httptools

from farthing.errors import UpstreamCut, UpstreamError, UpstreamTimeout
from farthing.transport.headers import response_headers

__all__ = ["Connection", "UpstreamAnswer"]

_PILE_BYTES: Final = 1 << 17
#: answer heads: the provider's rate-limit fields make a few KB
_MAX_HEAD_BYTES: Final = 1 << 17
#: up to here a body is worth copying behind its head
_JOINED_BYTES: Final = 1 << 16
#: from here on a body is written piece by piece, so that no single write holds up the event loop
_PIECEWISE_BYTES: Final = 1 << 20
_PIECE_BYTES: Final = 1 << 18
_LAST_CHUNK: Final = b"0\r\n\r\n"

_CUT: Final = "the connection to the Claude API ended before the answer was complete"
_NO_HTTP: Final = "the answer of the Claude API is not HTTP that can be read"
_SILENT: Final = "the Claude API did not answer in time"
_NOT_SENT: Final = "the request could not be sent to its end"

_Pieces = AsyncIterable[bytes]
_Heard = TypeVar("_Heard")


class UpstreamAnswer:
    """An answer whose head has come; read its chunks, then it gives its connection back."""

    __slots__ = (
        "_connection",
        "_fault",
        "_is_whole",
        "_pieces",
        "_size",
        "_waiter",
        "headers",
        "status",
    )

    def __init__(self, status: int, headers: list[tuple[bytes, bytes]], source: Connection) -> None:
        self.status = status
        #: what may go to the client: lower-case names, hop-by-hop fields left out
        self.headers = headers
        #: None: nothing more comes from there
        self._connection: Connection | None = source
        self._pieces: list[bytes] = []
        self._size = 0
        self._is_whole = False
        self._fault: UpstreamError | None = None
        self._waiter: asyncio.Future[None] | None = None

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives, in pieces cut anywhere, still compressed if it is."""
        return self

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        pieces = self._pieces
        while not pieces:
            if self._is_whole:
                raise StopAsyncIteration
            if self._fault is not None:
                raise self._fault
            await self._more()
        chunk = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._size = 0
        if self._connection is not None:
            self._connection.resume_reading()
        return chunk

    def close(self) -> None:
        """Give the connection back if the body was read to its end, else cut it."""
        if self._connection is not None:
            self._connection.abort()

    # -- what the connection says -----------------------------------------------------------------

    def add(self, piece: bytes) -> bool:
        """More of the body; True: enough for now."""
        self._pieces.append(piece)
        self._size += len(piece)
        self._wake()
        return self._size > _PILE_BYTES

    def end(self, fault: UpstreamError | None = None) -> None:
        """Nothing more comes; without a fault the body is whole."""
        self._is_whole, self._fault = fault is None, fault
        self._connection = None
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _more(self) -> None:
        assert self._connection is not None
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._connection.heard(self._waiter)
        except TimeoutError as error:
            self.close()
            raise UpstreamTimeout(_SILENT) from error
        finally:
            self._waiter = None


class Connection(asyncio.Protocol):
    """A protocol of asyncio, for one exchange of messages after another."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        silence_seconds: float | None,
        on_free: Callable[[Connection], None],
        on_lost: Callable[[Connection], None],
    ) -> None:
        self._loop = loop
        self._silence_seconds = silence_seconds
        self._on_free = on_free
        self._on_lost = on_lost
        self._parser: Any = httptools.HttpResponseParser(self)
        self._transport: Any = None  # asyncio's transports promise less than all of them do
        self._poll: Any = None
        #: the loop's time at which it was given back
        self.free_since = 0.0
        self._is_paused = self._is_lost = False
        #: writing waits for this; None: it may go on
        self._blocked: asyncio.Future[None] | None = None
        self._forget()

    def _forget(self) -> None:
        """Between two requests."""
        self._waiter: asyncio.Future[UpstreamAnswer] | None = None
        self._answer: UpstreamAnswer | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._head_bytes = 0
        self._is_bodiless = self._is_kept = self._is_whole = False
        self._writing: asyncio.Task[None] | None = None
        #: has a byte of an answer come?
        self.was_heard = False

    # -- for the pool -----------------------------------------------------------------------------

    @property
    def is_alive(self) -> bool:
        """Does the system still take it for open? Asked now: the loop may not have heard yet."""
        if self._is_lost or self._transport.is_closing():
            return False
        return self._poll is None or not self._poll.poll(0)

    def abort(self) -> None:
        """Cut it, whatever is under way."""
        if self._writing is not None:
            self._writing.cancel()
        if self._transport is not None:
            self._transport.abort()

    async def send(
        self, head: bytes, body: bytes | _Pieces, *, is_bodiless: bool, is_chunked: bool
    ) -> UpstreamAnswer:
        """Write a request and wait for the head of its answer."""
        self._is_bodiless = is_bodiless
        waiter = self._waiter = self._loop.create_future()
        if not isinstance(body, bytes):
            self._writing = self._loop.create_task(self._write(head, body, is_chunked=is_chunked))
        elif len(body) >= _PIECEWISE_BYTES:
            self._writing = self._loop.create_task(
                self._write(head, _cut_up(body), is_chunked=False)
            )
        elif len(body) > _JOINED_BYTES:
            self._transport.writelines((head, body))
        else:
            self._transport.write(head + body if body else head)
        try:
            return await self.heard(waiter)
        except TimeoutError as error:
            self.abort()
            raise UpstreamTimeout(_SILENT) from error
        except BaseException:
            self.abort()
            raise

    async def heard(self, waiter: asyncio.Future[_Heard]) -> _Heard:
        """What is waited for; ``TimeoutError`` after a silence that an operator calls too long."""
        if self._silence_seconds is None:
            return await waiter
        async with asyncio.timeout(self._silence_seconds):
            return await waiter

    def resume_reading(self) -> None:
        """The pile has been read."""
        if self._is_paused and not self._transport.is_closing():
            self._is_paused = False
            self._transport.resume_reading()

    # -- what asyncio says ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        self._transport = transport
        sock = transport.get_extra_info("socket")
        if hasattr(select, "poll") and sock is not None:
            self._poll = select.poll()
            self._poll.register(sock.fileno(), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        if self._waiter is None:  # nobody asked
            self.abort()
            return
        self.was_heard = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._is_kept = False
            if not self._is_whole:
                self._fail(UpstreamCut(_NO_HTTP), error)
        if self._is_whole:
            self._end()
        elif self._answer is None:
            self._head_bytes += len(data)
            if self._head_bytes > _MAX_HEAD_BYTES:
                self._fail(UpstreamCut(_NO_HTTP))

    def connection_lost(self, exc: Exception | None) -> None:
        """It is closed, by whomever."""
        self._is_lost = True
        self.resume_writing()
        if self._waiter is not None:
            if exc is None and self._answer is not None and _ends_with_connection(self._headers):
                self._is_whole = True
                self._end()
            else:
                self._fail(UpstreamCut(_CUT), exc)
        self._on_lost(self)

    def pause_writing(self) -> None:
        """The other side reads more slowly than we write."""
        self._blocked = self._loop.create_future()

    def resume_writing(self) -> None:
        """It has caught up, or nobody reads any more."""
        blocked, self._blocked = self._blocked, None
        if blocked is not None and not blocked.done():
            blocked.set_result(None)

    # -- what llhttp says -------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Another answer; behind a whole one nobody asked for it."""
        if self._is_whole:
            self._is_kept = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of the head; those behind a body are for this connection only."""
        if self._answer is None:
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The head has come; one of 1xx only announces another."""
        if self._is_whole:
            return
        status = self._parser.get_status_code()
        if status < 200:
            self._headers = []
            return
        self._is_kept = self._parser.should_keep_alive()
        answer = UpstreamAnswer(status, response_headers(self._headers), self)
        self._answer = answer
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(answer)
        if self._is_bodiless:  # the length it tells of is that of another answer
            self._is_kept, self._is_whole = False, True

    def on_body(self, piece: bytes) -> None:
        """More of the body."""
        if self._is_whole or self._answer is None:
            return
        if self._answer.add(piece) and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        """The end of an answer, or of the head that announced one."""
        if self._answer is not None:
            self._is_whole = True

    # -- the end of an exchange -------------------------------------------------------------------

    def _end(self) -> None:
        """The answer is whole."""
        answer, writing = self._answer, self._writing
        assert answer is not None
        is_kept = self._is_kept and not self._is_lost and (writing is None or writing.done())
        self._forget()
        answer.end()
        if is_kept:
            self.resume_reading()
            self.free_since = self._loop.time()
            self._on_free(self)
        else:
            if writing is not None:
                writing.cancel()
            self._transport.close()

    def _fail(self, fault: UpstreamError, cause: BaseException | None = None) -> None:
        """The answer will not come, or not to its end."""
        fault.__cause__ = cause
        waiter, answer = self._waiter, self._answer
        self.abort()
        self._forget()
        if answer is not None:
            answer.end(fault)
        elif waiter is not None and not waiter.done():
            waiter.set_exception(fault)

    async def _write(self, head: bytes, pieces: _Pieces, *, is_chunked: bool) -> None:
        """A request that does not leave in one go."""
        try:
            self._transport.write(head)
            async for piece in pieces:
                if is_chunked:
                    self._transport.writelines((b"%x\r\n" % len(piece), piece, b"\r\n"))
                else:
                    self._transport.write(piece)
                if self._blocked is not None:
                    await self._blocked
            if is_chunked:
                self._transport.write(_LAST_CHUNK)
        except Exception as error:  # noqa: BLE001 -- whoever brings the pieces may fail in any way
            self._fail(UpstreamCut(_NOT_SENT), error)


async def _cut_up(body: bytes) -> AsyncIterator[bytes]:
    view = memoryview(body)
    for start in range(0, len(body), _PIECE_BYTES):
        yield view[start : start + _PIECE_BYTES]  # type: ignore[misc]  # transports take views


def _ends_with_connection(headers: list[tuple[bytes, bytes]]) -> bool:
    """Has the body neither a length nor chunks?"""
    framed = (b"content-length", b"transfer-encoding")
    return not any(name.lower() in framed for name, _ in headers)
