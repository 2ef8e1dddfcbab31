"""Runs an exchange on an event loop: the twin of ``sync_driver``."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractContextManager
from typing import Any, assert_never

from farthing.core.exchange import converse
from farthing.core.exchange_call import Call
from farthing.core.exchange_effects import (
    Body,
    ClientHead,
    Conversation,
    Deliver,
    Head,
    Read,
    Relay,
    Send,
    Wait,
)
from farthing.core.exchange_prepare import Setup
from farthing.core.exchange_tap import Tap
from farthing.driver.one_by_one import OneByOne
from farthing.driver.ports import AsyncAnswer, AsyncSender
from farthing.driver.prompt import Ports, Reply, interrupt, perform
from farthing.errors import FarthingError

__all__ = ["AsyncDriver"]


class AsyncDriver:
    """Runs exchanges over awaited ones; the ledger stays synchronous."""

    def __init__(
        self, setup: Setup, ports: Ports, *, lock: AbstractContextManager[Any] | None = None
    ) -> None:
        self._setup = setup
        self._ports = ports
        #: guards the setup where several threads run exchanges; see ``one_by_one``
        self._lock = lock

    def run(self, call: Call, send: AsyncSender) -> AsyncGenerator[ClientHead | bytes, None]:
        """What goes to the client: a head, then its chunks if it has no body.

        Close the iterator (``contextlib.aclosing``) where the client may leave early. An
        ``UpstreamError`` means that the answer was cut behind its head: cut the client's too.
        """
        conversation = converse(call, self._setup)
        if self._lock is not None:
            conversation = OneByOne(conversation, self._lock)
        return _run(conversation, self._ports, send)


async def _run(
    conversation: Conversation, ports: Ports, send: AsyncSender
) -> AsyncGenerator[ClientHead | bytes, None]:
    answer = _Answering(ports)
    try:
        effect = next(conversation)
        while True:
            reply: Reply | Head | Body | bool = None
            try:
                match effect:
                    case Deliver(part):
                        yield part
                    case Wait() | Send() | Read():
                        reply = await _awaited(effect, answer, send, ports)
                    case Relay(tap):
                        async for chunk in answer.relay(tap):
                            yield chunk
                        reply = answer.is_over
                    case _:
                        reply = perform(effect, ports)
            except FarthingError as error:
                effect = conversation.throw(error)
            else:
                effect = conversation.send(reply)
    except StopIteration:
        return
    except BaseException:
        interrupt(conversation, ports)
        raise
    finally:
        answer.close()


async def _awaited(
    effect: Wait | Send | Read, answer: _Answering, send: AsyncSender, ports: Ports
) -> Head | Body | bool:
    match effect:
        case Wait(ticket, seconds):
            return await ports.bells.wait_async(ticket, seconds)
        case Send(body):
            return await answer.send(send, body)
        case Read(tap, limit):
            return await answer.read(tap, limit)
        case _:
            assert_never(effect)


class _Answering:
    """The answer of one attempt and how far it was read."""

    def __init__(self, ports: Ports) -> None:
        self._clock = ports.clock
        self._answer: AsyncAnswer | None = None
        #: what has not been read yet; set by ``send``
        self._chunks: AsyncIterator[bytes]
        self.is_over = False

    async def send(self, send: AsyncSender, body: bytes) -> Head:
        """Send, and wait for the head; a former answer is done with."""
        self.close()
        sent_ns = self._clock.monotonic_ns()
        answer = self._answer = await send(body)
        self._chunks = answer.chunks()
        return Head(answer.status, answer.headers, sent_ns, self._clock.monotonic_ns())

    async def read(self, tap: Tap, limit_bytes: int) -> Body:
        """The body, up to about a limit."""
        parts: list[bytes] = []
        async for chunk in self._chunks:
            self._show(chunk, tap)
            parts.append(chunk)
            if tap.response_bytes > limit_bytes:
                return Body(b"".join(parts), is_whole=False)
        tap.ended_ns = self._clock.monotonic_ns()
        return Body(b"".join(parts), is_whole=True)

    async def relay(self, tap: Tap) -> AsyncIterator[bytes]:
        """The chunks, each seen by the tap before it is passed on; pauses when the tap is full."""
        async for chunk in self._chunks:
            self._show(chunk, tap)
            yield chunk
            if tap.is_full:
                return
        tap.ended_ns = self._clock.monotonic_ns()
        self.is_over = True

    def close(self) -> None:
        """Give the connection back, or cut it."""
        if self._answer is not None:
            self._answer.close()

    def _show(self, chunk: bytes, tap: Tap) -> None:
        if tap.first_ns is None:
            tap.first_ns = self._clock.monotonic_ns()
        tap.feed(chunk)
