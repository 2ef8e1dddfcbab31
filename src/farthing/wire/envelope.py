"""The error envelope of the Claude API, read and written, and whether a client will try again.

Error bodies of the provider pass through farthing unmodified; this module only looks at them. What
it writes are farthing's own refusals, in the shape clients already understand (API facts, sections
4.4 and 4.6; provider's page on errors and SDK 2.11.0, 2026-11).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from farthing.errors import (
    BreakerOpen,
    BudgetExceeded,
    ConfigError,
    FarthingError,
    LoopDetectedError,
    RequestError,
)

__all__ = [
    "STATUS_OF_TYPE",
    "ErrorAnswer",
    "ErrorEnvelope",
    "dump_error",
    "dump_refusal",
    "is_retryable",
    "parse_error",
    "status_of",
    "type_of",
]

STATUS_OF_TYPE: Mapping[str, int] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
_TYPE_OF_STATUS: Mapping[int, str] = {status: type_ for type_, status in STATUS_OF_TYPE.items()}

#: what the official SDK tries again when no header decides (4.6), besides every status from 500 on
_RETRIED = frozenset({408, 409, 429})

#: sending the same request again now cannot end otherwise, so the client must not try
_DETERMINISTIC = (BreakerOpen, BudgetExceeded, LoopDetectedError, RequestError, ConfigError)


class _Error(msgspec.Struct, frozen=True):
    type: str
    message: str = ""
    details: msgspec.Raw = msgspec.Raw(b"")


class _Body(msgspec.Struct, frozen=True):
    error: _Error
    request_id: str | None = None


class _Details(msgspec.Struct, frozen=True):
    error_code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorEnvelope:
    """One error as the provider spells it."""

    type: str
    message: str
    request_id: str | None = None
    #: the JSON slice of ``error.details``, where there is one
    details: bytes | None = None

    @property
    def status(self) -> int:
        """The HTTP status that goes with the type; in a stream there is no other."""
        return status_of(self.type)

    @property
    def error_code(self) -> str | None:
        """``details.error_code``: finer than the type, new in 2026, often absent."""
        if self.details is None:
            return None
        try:
            return _details_decoder.decode(self.details).error_code
        except msgspec.MsgspecError:
            return None  # a shape we do not know must not hide the error itself


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorAnswer:
    """A refusal ready to be sent."""

    status: int
    headers: Mapping[str, str]
    body: bytes


_body_decoder = msgspec.json.Decoder(_Body)
_details_decoder = msgspec.json.Decoder(_Details)
_encode = msgspec.json.Encoder().encode


def status_of(type_: str) -> int:
    """The HTTP status of an error type; 500 for a type we do not know."""
    return STATUS_OF_TYPE.get(type_, 500)


def type_of(status: int) -> str:
    """The error type of an HTTP status; by its class where the table has no entry."""
    fallback = "invalid_request_error" if 400 <= status < 500 else "api_error"
    return _TYPE_OF_STATUS.get(status, fallback)


def parse_error(body: bytes) -> ErrorEnvelope | None:
    """The envelope in ``body``, or None where it is something else (a proxy's page, plain text)."""
    try:
        read = _body_decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    details = bytes(read.error.details)
    return ErrorEnvelope(
        type=read.error.type,
        message=read.error.message,
        request_id=read.request_id,
        details=None if details in (b"", b"null") else details,
    )


def dump_error(envelope: ErrorEnvelope) -> bytes:
    """The envelope as the provider writes it."""
    error: dict[str, object] = {"type": envelope.type, "message": envelope.message}
    if envelope.details is not None:
        error["details"] = msgspec.Raw(envelope.details)
    body: dict[str, object] = {"type": "error", "error": error}
    if envelope.request_id is not None:
        body["request_id"] = envelope.request_id
    return _encode(body)


def dump_refusal(error: FarthingError, *, request_id: str | None = None) -> ErrorAnswer:
    """What a client sees of an error of ours: status, headers and envelope.

    A budget refusal is a 402, not a 429: clients try a 429 again three times.
    """
    status = error.status_hint
    headers = {"content-type": "application/json"}
    if isinstance(error, _DETERMINISTIC):
        headers["x-should-retry"] = "false"
    envelope = ErrorEnvelope(
        type=type_of(status),
        message=str(error),
        request_id=request_id,
        details=_encode({"error_code": f"farthing.{error.code}"}),
    )
    return ErrorAnswer(status=status, headers=headers, body=dump_error(envelope))


def is_retryable(status: int, headers: Mapping[str, str]) -> bool:
    """Will the official SDK try this answer again? Header names in lower case."""
    verdict = headers.get("x-should-retry")
    if verdict in ("true", "false"):
        return verdict == "true"
    return status in _RETRIED or status >= 500
