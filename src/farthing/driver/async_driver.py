"""Runs an exchange on an event loop: the twin of ``sync_driver``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from contextlib import AbstractContextManager
from typing import Any

from farthing.core.exchange import converse
from farthing.core.exchange_call import Call, Moment
from farthing.core.exchange_effects import (
    Body,
    ClientHead,
    Conversation,
    Deliver,
    Effect,
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
from farthing.driver.prompt import ACTS, Ports, interrupt
from farthing.errors import EngineBug, FarthingError

__all__ = ["AsyncDriver", "AsyncParts"]


class AsyncDriver:
    """Runs exchanges over awaited ones; the ledger stays synchronous."""

    def __init__(
        self, setup: Setup, ports: Ports, *, lock: AbstractContextManager[Any] | None = None
    ) -> None:
        self._setup = setup
        self._ports = ports
        #: guards the setup where several threads run exchanges; see ``one_by_one``
        self._lock = lock

    def run(self, call: Call, send: AsyncSender) -> AsyncParts:
        """What goes to the client: a head, then its chunks if it has no body.

        Close it (``contextlib.aclosing``) where the client may leave early. An ``UpstreamError``
        means that the answer was cut behind its head: cut the client's too.
        """
        conversation = converse(call, self._setup)
        if self._lock is not None:
            conversation = OneByOne(conversation, self._lock)
        return AsyncParts(conversation, self._ports, send)


class AsyncParts:
    """The parts of one exchange as they come.

    What an async generator would do, without what an event loop does for each of those.
    """

    __slots__ = ("_answer", "_conversation", "_is_busy", "_is_over", "_ports", "_relaying", "_send")

    def __init__(self, conversation: Conversation, ports: Ports, send: AsyncSender) -> None:
        self._conversation = conversation
        self._ports = ports
        self._send = send
        self._answer = _Answering(ports)
        #: the relay that is not over yet
        self._relaying: Relay | None = None
        self._is_busy = self._is_over = False

    def __aiter__(self) -> AsyncParts:
        return self

    async def __anext__(self) -> ClientHead | bytes:
        if self._is_over or self._is_busy:
            raise self._why_not()
        self._is_busy = True
        conversation = self._conversation
        try:
            effect = self._relaying or conversation.send(None)
            while not isinstance(effect, Deliver):
                try:
                    act = ACTS.get(type(effect))
                    if act is not None:
                        reply: Any = act(effect, self._ports)
                    elif isinstance(effect, Relay):
                        self._relaying = effect
                        if (chunk := await self._answer.relay(effect.tap)) is not None:
                            return chunk
                        reply = self._answer.is_over
                    else:
                        reply = await self._waited(effect)
                except FarthingError as error:
                    self._relaying = None
                    effect = conversation.throw(error)
                else:
                    self._relaying = None
                    effect = conversation.send(reply)
        except StopIteration:
            self._is_over = True
            self._answer.close()
            raise StopAsyncIteration from None
        except BaseException:
            self._stop()
            raise
        else:
            return effect.part
        finally:
            self._is_busy = False

    async def aclose(self) -> None:
        """No more of it is wanted: the exchange settles as far as it has come."""
        if self._is_busy:
            raise RuntimeError("another job reads the parts of this exchange just now")
        if not self._is_over:
            self._stop()

    def __del__(self) -> None:
        if not self._is_over:
            self._stop()

    def _why_not(self) -> Exception:
        if self._is_over:
            return StopAsyncIteration()
        return RuntimeError("the parts of an exchange are read by one job at a time")

    def _waited(self, effect: Effect[Any]) -> Awaitable[Head | Body | bool]:
        if isinstance(effect, Send):
            return self._answer.send(self._send, effect.body)
        if isinstance(effect, Read):
            return self._answer.read(effect.tap, effect.limit_bytes)
        if isinstance(effect, Wait):
            return self._ports.bells.wait_async(effect.ticket, effect.seconds)
        raise EngineBug(f"nobody performs {type(effect).__name__}")

    def _stop(self) -> None:
        """End the exchange wherever it stands; nothing waits."""
        self._is_over = True
        try:
            interrupt(self._conversation, self._ports)
        finally:
            self._answer.close()


class _Answering:
    """The answer of one attempt and how far it was read."""

    __slots__ = ("_answer", "_chunks", "_clock", "_has_relayed", "is_over")

    def __init__(self, ports: Ports) -> None:
        self._clock = ports.clock
        self._answer: AsyncAnswer | None = None
        #: what has not been read yet; set by ``send``
        self._chunks: AsyncIterator[bytes]
        self._has_relayed = False
        self.is_over = False

    async def send(self, send: AsyncSender, body: bytes) -> Head:
        """Send, and wait for the head; a former answer is done with."""
        if self._answer is not None:
            self._answer.close()
        sent_ns = self._clock.monotonic_ns()
        answer = self._answer = await send(body)
        self._chunks = answer.chunks()
        return Head(answer.status, answer.headers, sent_ns, self._clock.monotonic_ns())

    async def read(self, tap: Tap, limit_bytes: int) -> Body:
        """The body, up to about a limit."""
        parts: list[bytes] = []
        is_whole = True
        async for chunk in self._chunks:
            if tap.first_ns is None:
                tap.first_ns = self._clock.monotonic_ns()
            tap.feed(chunk)
            parts.append(chunk)
            if tap.response_bytes > limit_bytes:
                is_whole = False
                break
        at = Moment(self._clock.now(), self._clock.monotonic_ns())
        if is_whole:
            tap.ended_ns = at.ns
        return Body(b"".join(parts), is_whole, at)

    async def relay(self, tap: Tap) -> bytes | None:
        """The next chunk, seen by the tap; None at the end, or while the tap is full."""
        if self._has_relayed and tap.is_full:
            self._has_relayed = False
            return None
        try:
            chunk = await self._chunks.__anext__()
        except StopAsyncIteration:
            tap.ended_ns = self._clock.monotonic_ns()
            self.is_over = True
            return None
        if tap.first_ns is None:
            tap.first_ns = self._clock.monotonic_ns()
        tap.feed(chunk)
        self._has_relayed = True
        return chunk

    def close(self) -> None:
        """Give the connection back, or cut it."""
        if self._answer is not None:
            self._answer.close()
