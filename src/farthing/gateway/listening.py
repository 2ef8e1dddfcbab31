"""Hears an answer as it is read, and hands the whole call to the recorder when it is complete."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from farthing.driver.ports import AsyncAnswer, Clock, Decoder, Decoding
from farthing.gateway.asgi import text_of
from farthing.gateway.assembling import MessageAssembler
from farthing.gateway.call import Call
from farthing.gateway.recording import Recorded, Recorder

__all__ = ["Listener"]

#: a longer answer is not recorded; the API's own answers stay far below
_LONGEST_ANSWER_BYTES: Final = 64 * 1024 * 1024


class Listener:
    """``door.Recording``: makes answers that are heard."""

    def __init__(self, recorder: Recorder, clock: Clock, decoding: Decoding) -> None:
        self._recorder = recorder
        self._clock = clock
        self._decoding = decoding

    def listen(self, call: Call, body: bytes, answer: AsyncAnswer) -> AsyncAnswer:
        """The same answer; only what succeeded is recorded."""
        if answer.status != 200 or call.header(b"content-encoding") is not None:
            return answer
        fields = dict(answer.headers)
        encoding = fields.get(b"content-encoding", b"identity").decode("latin-1")
        decoder = None if encoding == "identity" else self._decoding(encoding)
        if encoding != "identity" and decoder is None:
            self.left_out()
            return answer
        return _Heard(answer, _Ear(self, call, body, decoder, fields))

    def left_out(self) -> None:
        """Count a call that is not in the recording."""
        self._recorder.left_out += 1

    def complete(self, call: Call, body: bytes, heard: _Ear) -> None:
        """Hand over one call."""
        text = {name: text_of(value) for name, value in reversed(list(call.headers))}
        self._recorder.add(
            Recorded(
                exchange_id=call.exchange_id,
                body=body,
                answer=heard.message,
                started_at=call.received.at,
                ended_at=self._clock.now(),
                session_id=text.get(b"x-claude-code-session-id") or text.get(b"x-farthing-task"),
                agent_id=text.get(b"x-claude-code-agent-id"),
                task_type=text.get(b"x-farthing-task-type"),
                request_id=heard.request_id,
                is_streamed=heard.is_streamed,
            )
        )


class _Ear:
    """What has been heard of one answer."""

    def __init__(
        self,
        listener: Listener,
        call: Call,
        body: bytes,
        decoder: Decoder | None,
        fields: dict[bytes, bytes],
    ) -> None:
        self._listener = listener
        self._call = call
        self._body = body
        self._decoder = decoder
        self._parts: list[bytes] = []
        self._size = 0
        self._assembler = MessageAssembler()
        self._is_deaf = False
        self.is_streamed = fields.get(b"content-type", b"").startswith(b"text/event-stream")
        self.request_id = fields.get(b"request-id", b"").decode("latin-1") or None

    @property
    def message(self) -> bytes | dict[str, Any]:
        """The answer as a message."""
        return self._assembler.message if self.is_streamed else b"".join(self._parts)

    def hear(self, chunk: bytes) -> None:
        """A chunk that is passed on."""
        if self._is_deaf:
            return
        try:
            self._is_deaf = not self._has_taken(chunk)
        except Exception:  # noqa: BLE001  protects the call: it is not to fail for its recording
            self._is_deaf = True
        if self._is_deaf:
            self._parts, self._assembler = [], MessageAssembler()
            self._listener.left_out()

    def finish(self) -> None:
        """All of it has been heard."""
        if not self._is_deaf and (self._assembler.is_complete or not self.is_streamed):
            self._listener.complete(self._call, self._body, self)

    def _has_taken(self, chunk: bytes) -> bool:
        plain = chunk if self._decoder is None else self._decoder.decode(chunk)
        self._size += len(plain)
        if self._size > _LONGEST_ANSWER_BYTES:
            return False
        if self.is_streamed:
            self._assembler.feed(plain)
        else:
            self._parts.append(plain)
        return True


class _Heard:
    """An answer whose chunks are heard."""

    def __init__(self, answer: AsyncAnswer, ear: _Ear) -> None:
        self._answer = answer
        self._ear = ear

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self._answer.status

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        """What may go to the client."""
        return self._answer.headers

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives."""
        async for chunk in self._answer.chunks():
            self._ear.hear(chunk)
            yield chunk
        self._ear.finish()

    def close(self) -> None:
        """Give the connection back, or cut it."""
        self._answer.close()
