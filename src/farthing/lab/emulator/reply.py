"""What the emulator is asked and what it answers, as values: no socket, no waiting."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

__all__ = ["HttpRequest", "Piece", "Reply", "json_reply"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """One HTTP request; header names are lower case."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Bytes of a body and when they leave, in seconds after the request's start."""

    data: bytes
    at: float = 0.0
    breaks: bool = False  # the connection is cut here


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One HTTP answer."""

    status: int
    headers: Mapping[str, str]
    pieces: Iterable[Piece]
    started_at: float = 0.0

    def body(self) -> bytes:
        """The whole body, for callers that need no timing."""
        return b"".join(piece.data for piece in self.pieces)


def json_reply(
    value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None, at: float = 0.0
) -> Reply:
    """An answer in one piece."""
    data = msgspec.json.encode(value)
    sent = {"content-type": "application/json", "content-length": str(len(data)), **(headers or {})}
    return Reply(status=status, headers=sent, pieces=(Piece(data=data, at=at),))
