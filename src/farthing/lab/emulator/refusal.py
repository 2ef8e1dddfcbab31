"""The errors the Claude API answers with: status, type, documented wording, envelope.

These are answers of an emulated server, not faults of farthing, so they are not in the tree of
``farthing.errors``. Statuses and types: API facts, section 4.4 (read 2026-08).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["Refusal", "invalid", "not_found"]

_TYPES: Mapping[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}


class Refusal(Exception):
    """The emulated API answers with an error instead of a message."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status = status
        self.message = message
        self.details = details
        self.headers = dict(headers or {})
        if status == 400:  # a deterministic refusal: resending cannot help (section 4.4)
            self.headers.setdefault("x-should-retry", "false")
        super().__init__(message)

    @property
    def type(self) -> str:
        """The documented error type of the status."""
        return _TYPES.get(self.status, "api_error")

    def envelope(self, request_id: str) -> dict[str, Any]:
        """The JSON body of the answer."""
        error: dict[str, Any] = {"type": self.type, "message": self.message}
        if self.details is not None:
            error["details"] = dict(self.details)
        return {"type": "error", "error": error, "request_id": request_id}


def invalid(message: str, *, code: str | None = None, **details: Any) -> Refusal:
    """A 400: the caller's body is wrong and stays wrong."""
    facts = {"error_code": code, **details} if code else None
    return Refusal(400, message, details=facts)


def not_found(message: str, *, code: str | None = None) -> Refusal:
    """A 404."""
    return Refusal(404, message, details={"error_code": code} if code else None)
