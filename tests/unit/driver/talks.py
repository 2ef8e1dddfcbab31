"""Calls, answers and ports for tests of an exchange: values and small stand-ins, no mocks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping, Sequence
from contextlib import aclosing, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from farthing.core.exchange_call import Call, Moment
from farthing.core.exchange_effects import ClientHead
from farthing.core.exchange_prepare import Setup
from farthing.core.records import ExchangeRow
from farthing.driver import AsyncDriver, Driver, Ports
from farthing.driver.ports import Decoder, Ledger
from farthing.errors import UpstreamCut
from farthing.ledger.memory import MemoryLedger
from farthing.pricing import catalog

NOW: Final = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
MODEL: Final = "claude-opus-5-5"
JSON: Final = ((b"content-type", b"application/json"), (b"request-id", b"req_1"))
EVENTS: Final = ((b"content-type", b"text/event-stream; charset=utf-8"), (b"request-id", b"req_1"))
USAGE: Final = {"input_tokens": 100, "output_tokens": 20}


class TickingClock:
    """Each look at it takes one millisecond."""

    def __init__(self) -> None:
        self.ticks = 0

    def now(self) -> datetime:
        return NOW + timedelta(milliseconds=self.ticks)

    def monotonic_ns(self) -> int:
        self.ticks += 1
        return self.ticks * 1_000_000


def body(**fields: Any) -> bytes:
    """A small Messages request."""
    asked = {
        "model": MODEL,
        "max_tokens": 50,
        "messages": [{"role": "user", "content": "What is a farthing?"}],
    }
    return json.dumps(asked | fields).encode()


def call(
    sent: bytes | None = None,
    *,
    method: str = "POST",
    path: str = "/v1/messages",
    exchange_id: str = "ex_1",
    at_ns: int = 0,
    **headers: str,
) -> Call:
    """A call; header names are spelled with underscores."""
    return Call(
        exchange_id=exchange_id,
        method=method,
        path=path,
        headers={"x-api-key": "sk-1"} | {k.replace("_", "-"): v for k, v in headers.items()},
        received=Moment(NOW, at_ns),
        body=body() if sent is None else sent,
    )


def setup(**changes: Any) -> Setup:
    given: dict[str, Any] = {"engine_version": "1", "install_key": b"k" * 32, "prices": catalog()}
    return Setup(**given | changes)


def message(usage: Mapping[str, Any] = USAGE, **fields: Any) -> bytes:
    """A plain answer."""
    answer = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": [{"type": "text", "text": "A quarter of a penny."}],
        "stop_reason": "end_turn",
        "usage": dict(usage),
    }
    return json.dumps(answer | fields).encode()


def event(name: str, **fields: Any) -> bytes:
    return f"event: {name}\ndata: {json.dumps({'type': name} | fields)}\n\n".encode()


def stream(pieces: int = 3, *, stop: str | None = "end_turn") -> list[bytes]:
    """A streamed answer, one chunk for each event."""
    started = {"id": "msg_1", "model": MODEL, "usage": {"input_tokens": 100, "output_tokens": 1}}
    text = {"type": "text_delta", "text": "Hi"}
    return [
        event("message_start", message=started),
        *(event("content_block_delta", index=0, delta=text) for _ in range(pieces)),
        event("message_delta", delta={"stop_reason": stop}, usage={"output_tokens": 20}),
        event("message_stop"),
    ]


def error(type_: str) -> bytes:
    return json.dumps({"type": "error", "error": {"type": type_, "message": "no"}}).encode()


@dataclass
class FakeUpstream:
    """Answers every attempt alike; ``cut_after`` chunks the connection ends."""

    chunks: Sequence[bytes] = ()
    status: int = 200
    headers: Sequence[tuple[bytes, bytes]] = JSON
    fails: BaseException | None = None
    cut_after: int | None = None
    sent: list[bytes] = field(default_factory=list)
    closed: int = 0

    def send(self, sent: bytes) -> FakeAnswer:
        self.sent.append(sent)
        if self.fails is not None:
            raise self.fails
        return FakeAnswer(self)

    async def async_send(self, sent: bytes) -> FakeAsyncAnswer:
        await asyncio.sleep(0)
        self.send(sent)
        return FakeAsyncAnswer(self)


class FakeAnswer:
    def __init__(self, upstream: FakeUpstream) -> None:
        self.status = upstream.status
        self.headers = upstream.headers
        self._upstream = upstream

    def chunks(self) -> Iterator[bytes]:
        for number, chunk in enumerate(self._upstream.chunks):
            if number == self._upstream.cut_after:
                raise UpstreamCut
            yield chunk

    def close(self) -> None:
        self._upstream.closed += 1


class FakeAsyncAnswer:
    def __init__(self, upstream: FakeUpstream) -> None:
        self.status = upstream.status
        self.headers = upstream.headers
        self._upstream = upstream
        self._plain = FakeAnswer(upstream)

    async def chunks(self) -> AsyncIterator[bytes]:
        for chunk in self._plain.chunks():
            await asyncio.sleep(0)
            yield chunk

    def close(self) -> None:
        self._upstream.closed += 1


def no_decoder(encoding: str) -> Decoder | None:
    return None


@dataclass
class Talk:
    """One process: its ledger, its counters, what a client saw."""

    setup: Setup = field(default_factory=setup)
    ledger: Ledger = field(default_factory=MemoryLedger)
    notes: list[str] = field(default_factory=list)
    decoding: Callable[[str], Decoder | None] = no_decoder
    clock: TickingClock = field(default_factory=TickingClock)

    @property
    def ports(self) -> Ports:
        return Ports(
            ledger=self.ledger,
            clock=self.clock,
            decoding=self.decoding,
            note=lambda code, _: self.notes.append(code),
        )

    def parts(
        self, asked: Call, upstream: FakeUpstream
    ) -> Generator[ClientHead | bytes, None, None]:
        return Driver(self.setup, self.ports).run(asked, upstream.send)

    def run(self, asked: Call, upstream: FakeUpstream) -> Seen:
        """The whole of it, by the sync driver."""
        with closing(self.parts(asked, upstream)) as parts:
            return seen(list(parts))

    def run_async(self, asked: Call, upstream: FakeUpstream) -> Seen:
        """The whole of it, by the async driver."""

        async def collected() -> list[ClientHead | bytes]:
            driver = AsyncDriver(self.setup, self.ports)
            async with aclosing(driver.run(asked, upstream.async_send)) as parts:
                return [part async for part in parts]

        return seen(asyncio.run(collected()))

    def row(self, exchange_id: str = "ex_1") -> ExchangeRow:
        found = self.ledger.row(exchange_id)
        assert found is not None, f"{exchange_id} has no row"
        return found


@dataclass(frozen=True)
class Seen:
    """What the client saw."""

    status: int
    headers: dict[str, str]
    body: bytes


def seen(parts: Sequence[ClientHead | bytes]) -> Seen:
    head, *rest = parts
    assert isinstance(head, ClientHead)
    headers = {name.decode(): value.decode() for name, value in head.headers}
    chunks = [part for part in rest if isinstance(part, bytes)]
    assert len(chunks) == len(rest), "a second head"
    return Seen(head.status, headers, (head.body or b"") + b"".join(chunks))
