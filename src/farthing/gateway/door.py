"""The door itself: a call in HTTP becomes an exchange, and what the exchange delivers becomes HTTP.

Theory of operation. Messages and count_tokens are held whole, because farthing looks into them;
every other body passes through in pieces, whatever its size. The driver says what goes to the
client, part by part: a head, then chunks. A part is asked for only when the last one has been
taken, which is all the backpressure there is.

Rules of this file: it decides nothing about money or bytes; when it is cancelled it closes the
driver's iterator, and that settles.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Sequence
from typing import Final, Protocol

import msgspec

from farthing.core import exchange_call
from farthing.core.exchange_effects import ClientHead
from farthing.driver import AsyncParts
from farthing.driver.ports import AsyncAnswer, AsyncSender
from farthing.errors import UpstreamError
from farthing.gateway.bodies import (
    BodyRefused,
    BodyTooLarge,
    StreamedBody,
    declared_length,
    read_body,
)
from farthing.gateway.call import Call
from farthing.gateway.credentials import Credentials
from farthing.gateway.key_limits import check_models
from farthing.gateway.watching import ClientWatch

__all__ = ["Cut", "ExchangeDoor", "NoStatus", "Recording", "Running", "Sending"]

_RawHeaders = Sequence[tuple[bytes, bytes]]

#: the statuses of final answers (RFC 9110, section 15)
_FINAL: Final = range(200, 600)


class Sending(Protocol):
    """Sends one request upstream and waits for the head of its answer."""

    async def send(
        self,
        method: str,
        target: tuple[bytes, bytes],
        headers: _RawHeaders,
        body: bytes | AsyncIterable[bytes] | None = None,
    ) -> AsyncAnswer:
        """Raises the leaves of ``UpstreamError``."""


class Running(Protocol):
    """Runs one exchange; see ``farthing.driver``."""

    def run(self, call: exchange_call.Call, send: AsyncSender) -> AsyncParts:
        """What goes to the client, part by part; ``UpstreamError`` behind the head: cut it."""


class Recording(Protocol):
    """Listens to calls whose bodies are to be kept."""

    def listen(self, call: Call, body: bytes, answer: AsyncAnswer) -> AsyncAnswer:
        """The same answer, heard as it is read."""


class Cut(Exception):
    """The answer had begun and cannot be finished: the client's connection must be cut."""


class NoStatus(UpstreamError):
    """What came from upstream is no answer that HTTP could pass on."""

    code = "upstream.no_status"
    status_hint = 502


class ExchangeDoor:
    """Takes calls for a driver."""

    def __init__(
        self,
        *,
        driver: Running,
        upstream: Sending,
        credentials: Credentials,
        recording: Recording | None = None,
    ) -> None:
        self._driver = driver
        self._upstream = upstream
        self._credentials = credentials
        self._recording = recording

    async def __call__(self, call: Call, watch: ClientWatch) -> None:
        """Answer one call."""
        limit = call.route.max_body_bytes
        length = declared_length(call.headers, limit)
        headers = self._credentials.outgoing(call.headers, has_virtual_key=call.key is not None)
        body = await read_body(call.receive, limit) if call.route.is_held else b""
        attempt = self._attempt(call, watch, headers, body, length)
        parts = self._driver.run(call.for_exchange(body), attempt)
        send = call.send
        try:
            async for part in parts:
                if isinstance(part, bytes):
                    await send({"type": "http.response.body", "body": part, "more_body": True})
                else:
                    await _begin(part, call, watch)
            if not call.is_answered:
                watch.stop()
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except UpstreamError as error:
            if not call.status:
                raise
            raise Cut from error
        finally:
            await parts.aclose()

    def _attempt(
        self,
        call: Call,
        watch: ClientWatch,
        headers: list[tuple[bytes, bytes]],
        body: bytes,
        length: int | None,
    ) -> _Attempt:
        streamed = None
        if call.route.is_held:
            if call.key is not None:
                check_models(call.key, body)
            watch.start()
        elif length or (length is None and call.header(b"transfer-encoding") is not None):
            limit = call.route.max_body_bytes
            streamed = StreamedBody(call.receive, limit, at_end=watch.start)
            headers += _framing(call)
        else:
            watch.start()
        return _Attempt(
            call=call,
            upstream=self._upstream,
            recording=self._recording,
            headers=headers,
            body=body,
            streamed=streamed,
        )


class _Attempt(msgspec.Struct, kw_only=True):
    """``AsyncSender`` of one call: all of its HTTP request but the bytes of a held body."""

    call: Call
    upstream: Sending
    recording: Recording | None
    headers: _RawHeaders
    body: bytes
    streamed: StreamedBody | None

    def __repr__(self) -> str:
        return f"<_Attempt {self.call!r}>"

    def __call__(self, body: bytes) -> Awaitable[AsyncAnswer]:
        """Send it and wait for the head."""
        call = self.call
        if self.streamed is None and self.recording is None:
            return self.upstream.send(call.method, call.target, self.headers, body)
        return self._send(body)

    async def _send(self, body: bytes) -> AsyncAnswer:
        call = self.call
        try:
            answer = await self.upstream.send(
                call.method, call.target, self.headers, self.streamed or body
            )
        except UpstreamError as error:
            if self.streamed and isinstance(self.streamed.fault, BodyTooLarge):
                raise BodyRefused(str(self.streamed.fault)) from error
            raise
        if self.recording is not None and call.route.kind == "messages":
            return self.recording.listen(call, self.body, answer)
        return answer


async def _begin(head: ClientHead, call: Call, watch: ClientWatch) -> None:
    """The head of an answer, and its body if that is known already."""
    send = call.send
    if head.status not in _FINAL:
        raise NoStatus(f"the Claude API, or a proxy before it, answered with status {head.status}")
    call.status = head.status
    await send({"type": "http.response.start", "status": head.status, "headers": head.headers})
    if head.body is not None:
        watch.stop()
        await send({"type": "http.response.body", "body": head.body, "more_body": False})
        call.is_answered = True


def _framing(call: Call) -> list[tuple[bytes, bytes]]:
    """The length as the client gave it; without one the body is chunked, as it came."""
    length = call.header(b"content-length")
    return [] if length is None else [(b"content-length", length)]
