"""Answers of the Messages API as far as money and bookkeeping need them: who, why, how much.

The content of an answer is never decoded here: msgspec steps over what the types below do not
name. A line of a batch's results wraps either such a message or an error envelope, and the type of
the error sits two levels deep, ``result.error.error.type`` (API facts, section 3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec

from farthing.errors import UpstreamError
from farthing.wire.envelope import ErrorEnvelope, parse_error
from farthing.wire.usage import ReportedUsage, Usage

__all__ = [
    "BatchOutcome",
    "BatchResult",
    "MessageUsage",
    "StopDetails",
    "batch_result",
    "dump_diagnostics",
    "usage_of_message",
]

BatchOutcome = Literal["succeeded", "errored", "canceled", "expired"]


class MessageUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Who answered, why it stopped, and what was counted."""

    usage: Usage
    #: as served: may differ from the model that was asked for
    model: str | None
    message_id: str | None
    stop_reason: str | None
    #: why the model refused, where it did: some refusals are free (API facts 1.3)
    refusal_category: str | None = None
    #: ``diagnostics`` as JSON, where the answer has them
    diagnostics: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchResult:
    """One line of a batch's results; only a succeeded one is billed."""

    custom_id: str
    outcome: BatchOutcome
    message: MessageUsage | None = None
    error: ErrorEnvelope | None = None


class StopDetails(msgspec.Struct, frozen=True):
    """What stands beside a stop reason (API facts 4.2)."""

    category: str | None = None


_ABSENT = msgspec.Raw(b"")


class _Message(msgspec.Struct, frozen=True):
    usage: ReportedUsage
    model: str | None = None
    id: str | None = None
    stop_reason: str | None = None
    stop_details: StopDetails | None = None
    #: unread: whatever stands there must not cost us the usage
    diagnostics: msgspec.Raw = _ABSENT

    def summary(self) -> MessageUsage:
        return MessageUsage(
            usage=self.usage.total(),
            model=self.model,
            message_id=self.id,
            stop_reason=self.stop_reason,
            refusal_category=self.stop_details.category if self.stop_details else None,
            diagnostics=None if self.diagnostics is _ABSENT else dump_diagnostics(self.diagnostics),
        )


class _Result(msgspec.Struct, frozen=True):
    type: BatchOutcome
    message: msgspec.Raw = msgspec.Raw(b"")
    error: msgspec.Raw = msgspec.Raw(b"")


class _Line(msgspec.Struct, frozen=True):
    custom_id: str
    result: _Result


_message_decoder = msgspec.json.Decoder(_Message)
_line_decoder = msgspec.json.Decoder(_Line)


def dump_diagnostics(raw: msgspec.Raw) -> bytes | None:
    """The field as bytes of its own; None where it is null or not there."""
    text = bytes(raw)
    return None if text in {b"", b"null"} else text


def usage_of_message(body: bytes) -> MessageUsage:
    """What a plain (not streamed) answer of status 200 says about itself."""
    try:
        return _message_decoder.decode(body).summary()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamError(f"the answer is not a message with usage: {error}") from None


def batch_result(line: bytes) -> BatchResult:
    """One line of a batch's results."""
    try:
        read = _line_decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamError(f"the line is not a batch result: {error}") from None
    outcome = read.result.type
    return BatchResult(
        custom_id=read.custom_id,
        outcome=outcome,
        message=usage_of_message(read.result.message) if outcome == "succeeded" else None,
        error=parse_error(bytes(read.result.error)) if outcome == "errored" else None,
    )
