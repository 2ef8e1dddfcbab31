"""The three callables of ASGI as types, and the small answers the gateway gives itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from farthing.errors import FarthingError
from farthing.wire.envelope import dump_refusal

__all__ = ["App", "Receive", "Scope", "Send", "answer", "answer_error", "header", "text_of"]

# ASGI messages are mappings with values of any type: this is the untyped edge of the gateway.
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_Headers = Sequence[tuple[bytes, bytes]]


def header(headers: _Headers, name: bytes) -> bytes | None:
    """The first value of a field; names are in lower case."""
    for field, value in headers:
        if field == name:
            return value
    return None


def text_of(value: bytes) -> str:
    """A field's value as text to look at: UTF-8, as clients write names, else Latin-1."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


async def answer(
    send: Send,
    status: int,
    body: bytes,
    *,
    headers: _Headers = (),
    content_type: bytes = b"application/json",
) -> None:
    """A whole answer in one piece."""
    fields = [
        (b"content-type", content_type),
        (b"content-length", b"%d" % len(body)),
        *headers,
    ]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def answer_error(
    send: Send, error: FarthingError, *, headers: _Headers = (), request_id: str | None = None
) -> None:
    """An error of ours in Anthropic's envelope."""
    refusal = dump_refusal(error, request_id=request_id)
    fields = [(name.encode(), value.encode("latin-1")) for name, value in refusal.headers.items()]
    others = [field for field in fields if field[0] != b"content-type"]
    await answer(send, refusal.status, refusal.body, headers=[*others, *headers])
