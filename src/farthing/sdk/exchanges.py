"""The door itself: an attempt of the SDK becomes an exchange, and the SDK gets its own answer.

Theory of operation. The SDK runs its middleware once per attempt, inside its retry loop. Each
attempt is one run of the driver: the exchange decides, sends by ``call_next`` and reads a copy of
the answer; ``core.joining`` makes one exchange of the attempts of one call. What the exchange would
deliver to a client of a gateway is dropped here, but for two things: a refusal, which becomes an
error (``sdk.refusals``; the SDK does not try that again), and the chunks of a stream, which the
caller draws through the driver.

Rules of this file: whatever the SDK raised is raised as it came; a fault of ours costs the record
of a call, never the call; nothing is ever sent twice.
"""

from __future__ import annotations

import logging
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from farthing.core.exchange_call import Call, Moment
from farthing.core.exchange_effects import ClientHead
from farthing.driver import AsyncDriver, Driver
from farthing.driver.ports import Answer, AsyncAnswer, Clock, Ids
from farthing.sdk.answers import (
    AsyncMeteredStream,
    AsyncSourceAnswer,
    MeteredStream,
    ReadAnswer,
    SourceAnswer,
    http_response_of,
    is_unread,
)
from farthing.sdk.batches_seen import BatchesSeen
from farthing.sdk.booking import TaskLedger
from farthing.sdk.faults import translation_of
from farthing.sdk.refusals import REFUSALS, refusal_of
from farthing.sdk.requests import body_of, call_of, outgoing

if TYPE_CHECKING:
    from anthropic import APIRequest, AsyncCallNext, CallNext

__all__ = ["Exchanges"]

_logger = logging.getLogger(__name__)


class Exchanges:
    """Takes attempts for both drivers, from any number of threads and event loops."""

    def __init__(
        self,
        *,
        driver: Driver,
        async_driver: AsyncDriver,
        ledger: TaskLedger,
        batches: BatchesSeen,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._driver = driver
        self._async_driver = async_driver
        self._ledger = ledger
        self._batches = batches
        self._clock = clock
        self._ids = ids
        self._minting = threading.Lock()  # two threads must not be given one id

    def handle(self, request: APIRequest, call_next: CallNext) -> Any:
        """One attempt of a sync client; returns its ``APIResponse``."""
        try:
            call = self._call_of(request)
        except Exception as error:  # noqa: BLE001  protects the caller from our faults
            _failed_open(error)
            return call_next(outgoing(request, None))
        attempt, at_close = _Attempt(request, call), partial(self._batches.closed, call)
        parts = self._driver.run(call, attempt.sender(call_next))
        try:
            head = next(parts)
            if attempt.source is not None and not _is_whole(head):
                attempt.source.relay()
                attempt.replace_stream(MeteredStream(attempt.source, parts, at_close=at_close))
                return attempt.outcome()
            for _ in parts:  # to its end: what is settled late is settled here
                pass
            self._look_back(call, attempt, head)
        except REFUSALS:
            raise
        except Exception as error:  # protects the caller from our faults, not from the SDK's
            if error is attempt.fault:
                raise
            _failed_open(error)
        if attempt.source is not None:
            attempt.replace_stream(MeteredStream(attempt.source, None, at_close=at_close))
        return attempt.outcome() if attempt.is_asked else call_next(outgoing(request, None))

    async def handle_async(self, request: APIRequest, call_next: AsyncCallNext) -> Any:
        """One attempt of an async client; returns its ``AsyncAPIResponse``."""
        try:
            call = self._call_of(request)
        except Exception as error:  # noqa: BLE001  protects the caller from our faults
            _failed_open(error)
            return await call_next(outgoing(request, None))
        attempt, at_close = _Attempt(request, call), partial(self._batches.closed, call)
        parts = self._async_driver.run(call, attempt.async_sender(call_next))
        try:
            head = await anext(parts)
            if attempt.async_source is not None and not _is_whole(head):
                attempt.async_source.relay()
                stream = AsyncMeteredStream(attempt.async_source, parts, at_close=at_close)
                attempt.replace_stream(stream)
                return attempt.outcome()
            async for _ in parts:  # to its end: what is settled late is settled here
                pass
            self._look_back(call, attempt, head)
        except REFUSALS:
            raise
        except Exception as error:  # protects the caller from our faults, not from the SDK's
            if error is attempt.fault:
                raise
            _failed_open(error)
        if attempt.async_source is not None:
            stream = AsyncMeteredStream(attempt.async_source, None, at_close=at_close)
            attempt.replace_stream(stream)
        return attempt.outcome() if attempt.is_asked else await call_next(outgoing(request, None))

    def _call_of(self, request: APIRequest) -> Call:
        with self._minting:
            exchange_id = self._ids.new_id("ex")
        received = Moment(self._clock.now(), self._clock.monotonic_ns())
        call = call_of(request, exchange_id=exchange_id, received=received)
        return self._batches.with_rows(call, lambda: body_of(request))

    def _look_back(self, call: Call, attempt: _Attempt, head: ClientHead | bytes) -> None:
        """The exchange is over, and the caller has not had its answer yet."""
        if attempt.is_asked or not isinstance(head, ClientHead):
            if attempt.fault is None and attempt.is_read:
                self._batches.passed(call, http_response_of(attempt.result))
            return
        raise refusal_of(head, self._ledger)


class _Attempt:
    """What became of one attempt, beside what the driver makes of it."""

    def __init__(self, request: APIRequest, call: Call) -> None:
        self._request = request
        self._body = call.body
        self.is_asked = False
        #: what the rest of the chain returned, and what it raised
        self.result: Any = None
        self.fault: Exception | None = None
        self.source: SourceAnswer | None = None
        self.async_source: AsyncSourceAnswer | None = None

    def sender(self, call_next: CallNext) -> Any:
        """``driver.ports.Sender`` of this attempt."""

        def send(body: bytes) -> Answer:
            self.is_asked, self.fault, self.source = True, None, None
            try:
                self.result = call_next(self._outgoing(body))
            except Exception as error:
                self.fault = error
                raise translation_of(error) from error
            response = http_response_of(self.result)
            if not is_unread(response):
                return ReadAnswer(response)
            self.source = SourceAnswer(response, is_event_stream=self._request.stream)
            return self.source

        return send

    def async_sender(self, call_next: AsyncCallNext) -> Any:
        """``driver.ports.AsyncSender`` of this attempt."""

        async def send(body: bytes) -> AsyncAnswer:
            self.is_asked, self.fault, self.async_source = True, None, None
            try:
                self.result = await call_next(self._outgoing(body))
            except Exception as error:
                self.fault = error
                raise translation_of(error) from error
            response = http_response_of(self.result)
            if not is_unread(response):
                return ReadAnswer(response)
            self.async_source = AsyncSourceAnswer(response, is_event_stream=self._request.stream)
            return self.async_source

        return send

    @property
    def is_read(self) -> bool:
        """Has the SDK read the body of the answer?"""
        return self.result is not None and self.source is None and self.async_source is None

    def outcome(self) -> Any:
        """What the SDK would have had without us."""
        if self.fault is not None:
            raise self.fault
        # The driver keeps us, and through its stream the result keeps the driver: a caller that
        # drops a stream unread would wait for the garbage collector.
        result, self.result = self.result, None
        return result

    def replace_stream(self, stream: MeteredStream | AsyncMeteredStream) -> None:
        """Let the caller's reading draw on this stream."""
        http_response_of(self.result).stream = stream

    def _outgoing(self, body: bytes) -> APIRequest:
        return outgoing(self._request, None if body is self._body else body)


def _is_whole(head: ClientHead | bytes) -> bool:
    return isinstance(head, ClientHead) and head.body is not None


def _failed_open(error: Exception) -> None:
    _logger.warning(
        "a call was not metered: %s", type(error).__name__, extra={"action": "sdk.failed_open"}
    )
