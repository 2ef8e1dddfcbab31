"""Runs an exchange where calls block: the twin of ``async_driver``."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager
from typing import Any

from farthing.core.exchange import converse
from farthing.core.exchange_call import Call, Moment
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
from farthing.driver.ports import Answer, Sender
from farthing.driver.prompt import Ports, Reply, interrupt, perform
from farthing.errors import FarthingError

__all__ = ["Driver"]


class Driver:
    """Runs exchanges over blocking ports."""

    def __init__(
        self, setup: Setup, ports: Ports, *, lock: AbstractContextManager[Any] | None = None
    ) -> None:
        self._setup = setup
        self._ports = ports
        #: guards the setup where several threads run exchanges; see ``one_by_one``
        self._lock = lock

    def run(self, call: Call, send: Sender) -> Generator[ClientHead | bytes, None, None]:
        """What goes to the client: a head, then its chunks if it has no body.

        Close the iterator (``contextlib.closing``) where the client may leave early. An
        ``UpstreamError`` means that the answer was cut behind its head: cut the client's too.
        """
        conversation = converse(call, self._setup)
        if self._lock is not None:
            conversation = OneByOne(conversation, self._lock)
        return _run(conversation, self._ports, send)


def _run(
    conversation: Conversation, ports: Ports, send: Sender
) -> Generator[ClientHead | bytes, None, None]:
    answer = _Answering(ports)
    try:
        effect = next(conversation)
        while True:
            reply: Reply | Head | Body | bool = None
            try:
                match effect:
                    case Deliver(part):
                        yield part
                    case Wait(ticket, seconds):
                        reply = ports.bells.wait(ticket, seconds)
                    case Send(body):
                        reply = answer.send(send, body)
                    case Read(tap, limit):
                        reply = answer.read(tap, limit)
                    case Relay(tap):
                        yield from answer.relay(tap)
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


class _Answering:
    """The answer of one attempt and how far it was read."""

    def __init__(self, ports: Ports) -> None:
        self._clock = ports.clock
        self._answer: Answer | None = None
        self._chunks: Iterator[bytes] = iter(())
        self.is_over = False

    def send(self, send: Sender, body: bytes) -> Head:
        """Send, and wait for the head; a former answer is done with."""
        self.close()
        sent_ns = self._clock.monotonic_ns()
        answer = self._answer = send(body)
        self._chunks = answer.chunks()
        return Head(answer.status, answer.headers, sent_ns, self._clock.monotonic_ns())

    def read(self, tap: Tap, limit_bytes: int) -> Body:
        """The body, up to about a limit."""
        parts: list[bytes] = []
        is_whole = True
        for chunk in self._chunks:
            self._show(chunk, tap)
            parts.append(chunk)
            if tap.response_bytes > limit_bytes:
                is_whole = False
                break
        at = Moment(self._clock.now(), self._clock.monotonic_ns())
        if is_whole:
            tap.ended_ns = at.ns
        return Body(b"".join(parts), is_whole, at)

    def relay(self, tap: Tap) -> Iterator[bytes]:
        """The chunks, each seen by the tap before it is passed on; pauses when the tap is full."""
        for chunk in self._chunks:
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
