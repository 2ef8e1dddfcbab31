"""An answer of the SDK's HTTP client as the driver reads it, and back as the SDK reads it.

Theory of operation. A plain call's body has been read when we see it: the driver is given a copy,
the response stays as it is. A streamed body has not: the driver reads it at the source, and the
response is given a stream that draws the same bytes, still compressed if they are, through the
driver, as the caller asks for them. So nothing is held back, and a caller that stops reading stops
the driver, which then books what was seen.

Rules of this file: what the caller gets are the source's bytes and the source's exceptions; the
source is closed by whoever closes the response, never by the driver.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final

import httpx2

from farthing.core.exchange_effects import ClientHead
from farthing.driver import AsyncParts
from farthing.errors import UpstreamError, UpstreamUnreachable
from farthing.sdk.faults import translation_of

__all__ = [
    "AsyncMeteredStream",
    "AsyncSourceAnswer",
    "MeteredStream",
    "ReadAnswer",
    "SourceAnswer",
    "http_response_of",
    "is_unread",
]

_RawHeaders = Sequence[tuple[bytes, bytes]]
_ENCODING: Final = b"content-encoding"
_EVENT_STREAM: Final = b"text/event-stream"

_logger = logging.getLogger(__name__)


def http_response_of(result: object) -> httpx2.Response:
    """The HTTP response behind what the chain returned."""
    response = getattr(result, "http_response", result)
    if not isinstance(response, httpx2.Response):
        # another middleware answered by itself
        raise UpstreamUnreachable("the call was answered inside this program")
    return response


def is_unread(response: httpx2.Response) -> bool:
    """Is the body still to come?"""
    return not response.is_stream_consumed and not response.is_closed


class ReadAnswer:
    """``driver.ports.Answer`` and ``AsyncAnswer`` of a body that the SDK has read."""

    def __init__(self, response: httpx2.Response) -> None:
        self.status = response.status_code
        #: the body is at hand decoded
        self.headers: _RawHeaders = [field for field in _fields(response) if field[0] != _ENCODING]
        self._body = response.content

    def chunks(self) -> Any:
        """The body, in one piece."""
        return _Once(self._body)

    def close(self) -> None:
        """The SDK sees to that."""


class _Once:
    """One chunk, for ``for`` and ``async for`` alike."""

    def __init__(self, chunk: bytes) -> None:
        self._left = [chunk] if chunk else []

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if not self._left:
            raise StopIteration
        return self._left.pop()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()


class _Source:
    """The head of an answer whose body is still to come, and what was read of it so far."""

    def __init__(self, response: httpx2.Response, *, is_event_stream: bool) -> None:
        self.status = response.status_code
        self.headers: _RawHeaders = _fields(response)
        if is_event_stream and self.status < 300:
            # Some clouds frame the events otherwise: relayed as they come, then said to be unread.
            kept = [field for field in self.headers if field[0] != b"content-type"]
            self.headers = [*kept, (b"content-type", _EVENT_STREAM)]
        #: chunks that went to the driver and not to the caller, and what ended them too soon
        self.held: list[bytes] = []
        self.fault: Exception | None = None
        self.is_relayed = False

    def _hold(self, chunk: bytes) -> None:
        if not self.is_relayed:
            self.held.append(chunk)

    def relay(self) -> None:
        """From here on the driver passes on what it reads."""
        self.is_relayed = True
        self.held.clear()

    def close(self) -> None:
        """``Answer.close``: the stream that the caller has sees to that."""


class SourceAnswer(_Source):
    """``driver.ports.Answer`` of a body that is still to come."""

    def __init__(self, response: httpx2.Response, *, is_event_stream: bool) -> None:
        super().__init__(response, is_event_stream=is_event_stream)
        assert isinstance(response.stream, httpx2.SyncByteStream)
        self.stream = response.stream
        self.source = iter(self.stream)

    def chunks(self) -> Iterator[bytes]:
        """The body as it arrives."""
        try:
            for chunk in self.source:
                self._hold(chunk)
                yield chunk
        except Exception as error:
            self.fault = error
            raise translation_of(error) from error


class AsyncSourceAnswer(_Source):
    """``driver.ports.AsyncAnswer`` of a body that is still to come."""

    def __init__(self, response: httpx2.Response, *, is_event_stream: bool) -> None:
        super().__init__(response, is_event_stream=is_event_stream)
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        self.stream = response.stream
        self.source = aiter(self.stream)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives."""
        try:
            async for chunk in self.source:
                self._hold(chunk)
                yield chunk
        except Exception as error:
            self.fault = error
            raise translation_of(error) from error


class MeteredStream(httpx2.SyncByteStream):
    """The body for the caller: what the driver read first, then what it passes on."""

    def __init__(
        self,
        answer: SourceAnswer,
        parts: Generator[ClientHead | bytes, None, None] | None,
        *,
        at_close: Callable[[], None],
    ) -> None:
        self._answer = answer
        self._parts = parts
        self._at_close = at_close

    @property
    def elapsed(self) -> timedelta | None:
        """How long it took: ``httpx2.Response.elapsed`` reads it here."""
        elapsed: timedelta | None = getattr(self._answer.stream, "elapsed", None)
        return elapsed

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._relayed()
        except UpstreamError as error:
            raise (error.__cause__ or error) from None
        except Exception as error:  # noqa: BLE001  protects the caller's stream from our faults
            _failed_open(error)
        yield from self._answer.held
        if self._answer.fault is not None:
            raise self._answer.fault
        yield from self._answer.source

    def close(self) -> None:
        """The caller has read enough."""
        if self._parts is not None:
            with suppress(ValueError):  # another thread reads just now: it will meet the end
                self._parts.close()
        self._answer.stream.close()
        self._at_close()

    def _relayed(self) -> Iterator[bytes]:
        for part in self._parts or ():
            if isinstance(part, bytes):
                yield part


class AsyncMeteredStream(httpx2.AsyncByteStream):
    """``MeteredStream``, awaited."""

    def __init__(
        self,
        answer: AsyncSourceAnswer,
        parts: AsyncParts | None,
        *,
        at_close: Callable[[], None],
    ) -> None:
        self._answer = answer
        self._parts = parts
        self._at_close = at_close

    @property
    def elapsed(self) -> timedelta | None:
        """How long it took: ``httpx2.Response.elapsed`` reads it here."""
        elapsed: timedelta | None = getattr(self._answer.stream, "elapsed", None)
        return elapsed

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            if self._parts is not None:
                async for part in self._parts:
                    if isinstance(part, bytes):
                        yield part
        except UpstreamError as error:
            raise (error.__cause__ or error) from None
        except Exception as error:  # noqa: BLE001  protects the caller's stream from our faults
            _failed_open(error)
        for chunk in self._answer.held:
            yield chunk
        if self._answer.fault is not None:
            raise self._answer.fault
        async for chunk in self._answer.source:
            yield chunk

    async def aclose(self) -> None:
        """The caller has read enough."""
        if self._parts is not None:
            with suppress(RuntimeError):  # another job reads just now: it will meet the end
                await self._parts.aclose()
        source = self._answer.source
        if isinstance(source, AsyncGenerator):
            with suppress(RuntimeError):
                await source.aclose()
        await self._answer.stream.aclose()
        self._at_close()


def _fields(response: httpx2.Response) -> list[tuple[bytes, bytes]]:
    return [(name.lower(), value) for name, value in response.headers.raw]


def _failed_open(error: Exception) -> None:
    _logger.warning(
        "an answer was not metered to its end: %s",
        type(error).__name__,
        extra={"action": "sdk.stream_failed_open"},
    )
