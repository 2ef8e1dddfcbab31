"""Own traffic as a trace, if it was asked for: bodies, answers, usage, times; never a header.

Theory of operation. A call's body holds the whole history, so writing each call would cost the
square of a conversation. Instead conversations are kept open: a request that begins with the
messages of an open one continues it (block digests decide, which leave moving cache marks out), and
a conversation is written when it has been quiet for a while, when there are too many, or at the
end. When no call has come for that while, all are written and the file is complete. What is open
when the process is killed is lost: this is a recording, the ledger is the record.

Rules of this file: it runs on a thread of its own and reads bodies there, so a call never waits for
it; the queue to it is bounded in bytes, and what does not fit is left out and counted; what cannot
be read as a Messages call (a ``continue`` of a thread among them) is left out and counted. Whatever
a call does to its reader, the next one is recorded.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

import msgspec
from msgspec import Raw

from farthing.gateway.record_files import RecordFiles
from farthing.traces.format import ABSENT, Call, Conversation, Message
from farthing.traces.redact import Redactor
from farthing.wire.request import Request

__all__ = ["Recorded", "Recorder"]

_QUIET: Final = timedelta(minutes=10)
_MAX_OPEN: Final = 256
_MAX_OPEN_BYTES: Final = 128 * 1024 * 1024
_MAX_QUEUED_BYTES: Final = 64 * 1024 * 1024
_PARAMETERS_LEFT_OUT: Final = frozenset({"messages", "system", "tools", "model", "metadata"})

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One call that was answered."""

    exchange_id: str
    body: bytes
    #: the answer as a message object
    answer: bytes | dict[str, Any]
    started_at: datetime
    ended_at: datetime
    session_id: str | None
    agent_id: str | None
    task_type: str | None
    request_id: str | None
    is_streamed: bool


@dataclass(slots=True)
class _Open:
    """A conversation that may still go on."""

    first: Recorded
    request: Request
    digests: list[bytes]
    last_at: datetime
    answer: Message
    calls: list[Call] = field(default_factory=list)


class _Answer(msgspec.Struct, frozen=True):
    content: Raw
    usage: Raw = ABSENT
    id: str | None = None
    model: str | None = None
    stop_reason: str | None = None


_answer_decoder = msgspec.json.Decoder(_Answer)


class Recorder:
    """Takes answered calls on any thread; writes conversations on its own."""

    def __init__(
        self, files: RecordFiles, *, redactor: Redactor | None, quiet: timedelta = _QUIET
    ) -> None:
        self._files = files
        self._redactor = redactor
        self._quiet = quiet
        self._queue: queue.SimpleQueue[Recorded | None] = queue.SimpleQueue()
        self._queued_bytes = 0
        #: guards ``_queued_bytes``: both threads count
        self._lock = threading.Lock()
        self._open: OrderedDict[tuple[str | None, str | None, bytes], _Open] = OrderedDict()
        self._open_bytes = 0
        #: calls that are not in the recording
        self.left_out = 0
        self._thread = threading.Thread(target=self._run, name="farthing-recorder", daemon=True)
        self._thread.start()

    def add(self, recorded: Recorded) -> None:
        """Hand over one call; never waits."""
        with self._lock:
            is_full = self._queued_bytes > _MAX_QUEUED_BYTES
            if not is_full:
                self._queued_bytes += len(recorded.body)
        if is_full:
            self.left_out += 1
        else:
            self._queue.put(recorded)

    def close(self) -> None:
        """Write what is open and end."""
        self._queue.put(None)
        self._thread.join()

    # -- on the recorder's thread

    def _run(self) -> None:
        is_over = False
        while not is_over:
            try:
                recorded = self._queue.get(timeout=self._quiet.total_seconds())
            except queue.Empty:
                self._write_all()
                continue
            if recorded is None:
                is_over = True
            else:
                self._guarded(partial(self._take, recorded), recorded.exchange_id)
                with self._lock:
                    self._queued_bytes -= len(recorded.body)
        self._write_all()

    def _guarded(self, step: Callable[[], None], exchange_id: str | None = None) -> None:
        try:
            step()
        except Exception as error:  # noqa: BLE001  one call's trouble is not the recording's
            self.left_out += 1
            _logger.warning(
                "a call was left out of the recording: %s",
                type(error).__name__,
                extra={"action": "recording.left_out", "exchange_id": exchange_id},
            )

    def _write_all(self) -> None:
        while self._open:
            self._guarded(self._write_oldest)
        self._guarded(self._files.close)

    def _take(self, recorded: Recorded) -> None:
        request = Request.parse(recorded.body)
        digests = _message_digests(request)
        answer = _parse_answer(recorded.answer)
        key = (recorded.session_id, recorded.agent_id, digests[0] if digests else b"")
        before = self._open.get(key)
        if before is not None and not _continues(before, digests):
            self._write(key)
            before = None
        current = before or _Open(recorded, request, digests, recorded.ended_at, answer[1])
        self._open_bytes += len(recorded.body) - (len(before.request.body) if before else 0)
        current.request, current.digests, current.answer = request, digests, answer[1]
        current.last_at = recorded.ended_at
        current.calls.append(_call(recorded, current.first, request, answer[0]))
        self._open[key] = current
        self._open.move_to_end(key)
        self._write_what_is_quiet(recorded.ended_at)

    def _write_what_is_quiet(self, now: datetime) -> None:
        while self._open:
            oldest = next(iter(self._open.values()))
            is_full = len(self._open) > _MAX_OPEN or self._open_bytes > _MAX_OPEN_BYTES
            if not is_full and now - oldest.last_at < self._quiet:
                return
            self._write_oldest()

    def _write_oldest(self) -> None:
        self._write(next(iter(self._open)))

    def _write(self, key: tuple[str | None, str | None, bytes]) -> None:
        done = self._open.pop(key)
        self._open_bytes -= len(done.request.body)
        conversation = _conversation(done)
        if self._redactor is not None:
            conversation = self._redactor.redact(conversation)
        self._files.write(conversation, len(done.request.body), done.last_at)


def _message_digests(request: Request) -> list[bytes]:
    return [
        message.role.encode() + b"".join(block.digest for block in message.blocks)
        for message in request.messages
    ]


def _continues(before: _Open, digests: list[bytes]) -> bool:
    """Does this request carry all messages of the one before, and more?"""
    known = before.digests
    return len(digests) > len(known) and digests[: len(known)] == known


def _parse_answer(answer: bytes | dict[str, Any]) -> tuple[_Answer, Message]:
    raw = answer if isinstance(answer, bytes) else msgspec.json.encode(answer)
    read = _answer_decoder.decode(raw)
    return read, Message(role="assistant", content=read.content)


def _call(recorded: Recorded, first: Recorded, request: Request, answer: _Answer) -> Call:
    return Call(
        prompt_messages=len(request.messages),
        model=answer.model or request.model,
        usage=answer.usage,
        at=(recorded.started_at - first.started_at).total_seconds(),
        done_at=(recorded.ended_at - first.started_at).total_seconds(),
        request_id=recorded.request_id,
        message_id=answer.id,
        stop_reason=answer.stop_reason,
        streamed=recorded.is_streamed,
    )


def _conversation(done: _Open) -> Conversation:
    request, first = done.request, done.first
    return Conversation(
        id=f"{first.exchange_id}#0",
        source="farthing",
        model=request.model,
        task_type=first.task_type,
        started_at=first.started_at.isoformat(),
        system=Raw(request.field("system") or b'""'),
        tools=Raw(request.field("tools") or b"[]"),
        parameters=_parameters(request),
        messages=[*_messages(request), done.answer],
        calls=done.calls,
        session_id=first.session_id,
        agent_id=first.agent_id,
    )


def _messages(request: Request) -> list[Message]:
    read = msgspec.json.decode(request.field("messages") or b"[]", type=list[Message])
    return list(read)


def _parameters(request: Request) -> Raw:
    members = {
        member.name: Raw(request.body[member.start : member.end])
        for member in request.fields
        if member.name not in _PARAMETERS_LEFT_OUT
    }
    return Raw(msgspec.json.encode(members))
