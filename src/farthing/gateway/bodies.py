"""Request bodies: held whole or passed on in pieces, never beyond the limit of their endpoint."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

from farthing.errors import RequestError, UpstreamError
from farthing.gateway.asgi import Receive, header

__all__ = [
    "BodyRefused",
    "BodyTooLarge",
    "ClientGone",
    "StreamedBody",
    "declared_length",
    "read_body",
]


_UNITS: Final = (("MB", 1024 * 1024), ("KB", 1024))


class BodyTooLarge(RequestError):
    """The body is larger than the Claude API takes at this endpoint."""

    code = "request.too_large"
    status_hint = 413


class BodyRefused(UpstreamError):
    """A body that was already on its way upstream has become larger than it may."""

    code = "request.too_large"
    status_hint = 413
    was_sent = False


class ClientGone(Exception):
    """The client hung up before it had sent its request."""


def declared_length(headers: Sequence[tuple[bytes, bytes]], limit: int) -> int | None:
    """What ``content-length`` says; ``BodyTooLarge`` if that is beyond the limit."""
    value = header(headers, b"content-length")
    if value is None or not value.isdigit():
        return None
    length = int(value)
    if length > limit:
        raise _too_large(limit)
    return length


async def read_body(receive: Receive, limit: int) -> bytes:
    """The whole body."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGone
    first: bytes = message.get("body", b"")
    if len(first) > limit:
        raise _too_large(limit)
    if not message.get("more_body", False):
        return first
    rest = [piece async for piece in _pieces(receive, limit - len(first), limit)]
    return b"".join((first, *rest))


class StreamedBody:
    """A body passed on as it arrives, and what went wrong with it.

    Whoever sends it wraps an exception of ours into one of its own, so ours is kept here.
    """

    def __init__(self, receive: Receive, limit: int, *, at_end: Callable[[], None]) -> None:
        self._pieces = _pieces(receive, limit, limit)
        self._at_end = at_end
        self.fault: BodyTooLarge | ClientGone | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._pieces:
                yield piece
        except (BodyTooLarge, ClientGone) as fault:
            self.fault = fault
            raise
        self._at_end()


async def _pieces(receive: Receive, left: int, limit: int) -> AsyncIterator[bytes]:
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        piece: bytes = message.get("body", b"")
        size += len(piece)
        if size > left:
            raise _too_large(limit)
        if piece:
            yield piece
        more = message.get("more_body", False)


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"the request exceeds the maximum size of {_shown(limit)} at this endpoint")


def _shown(size: int) -> str:
    for unit, count in _UNITS:
        if size % count == 0:
            return f"{size // count} {unit}"
    return f"{size} bytes"
