"""One call as the gateway sees it: the HTTP side of an exchange."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from farthing.core import exchange_call
from farthing.core.batch_scan import BatchScan
from farthing.core.exchange_call import Moment
from farthing.core.keys import VirtualKey
from farthing.gateway.asgi import Receive, Scope, Send, header, text_of
from farthing.gateway.routes import Route, Routes

__all__ = ["Call", "call_of"]

#: fields that say who calls; ``x-farthing-key`` is a client's own word for it
_CREDENTIALS: Final = ("x-api-key", "authorization", "x-farthing-key")
#: fields that are lists: several are one (RFC 9110, section 5.3; W3C Baggage, section 3.3.1)
_LISTS: Final = frozenset({b"baggage", b"anthropic-beta"})


class Call(msgspec.Struct, kw_only=True):
    """A request whose head has come, and what became of its answer."""

    method: str
    #: decoded, without empty and dotted segments; what goes upstream is ``target``
    path: str
    #: raw path and raw query, as the client wrote them
    target: tuple[bytes, bytes]
    #: as received, lower-case names
    headers: Sequence[tuple[bytes, bytes]]
    route: Route
    receive: Receive
    send: Send
    exchange_id: str
    received: Moment
    #: the address it came from
    peer: str | None = None
    #: the virtual key that the gate let it in with
    key: VirtualKey | None = None
    #: the rows of a batch that it creates, where a budget has to hold them
    rows: BatchScan | None = None
    #: the status the client was sent; 0: no answer has begun
    status: int = 0
    #: has the end of the answer been sent
    is_answered: bool = False

    def __repr__(self) -> str:
        return f"<Call {self.exchange_id} {self.method} {self.route.name}>"

    def header(self, name: bytes) -> bytes | None:
        """The first value of a field."""
        return header(self.headers, name)

    def for_exchange(self, body: bytes) -> exchange_call.Call:
        """The part that an exchange looks at."""
        headers = _texts(self.headers)
        if self.key is not None:
            for field in _CREDENTIALS:  # whose call it is has been decided
                headers.pop(field, None)
        return exchange_call.Call(
            exchange_id=self.exchange_id,
            method=self.method,
            path=self.path,
            headers=headers,
            received=self.received,
            body=body,
            key_name=None if self.key is None else self.key.name,
            levers=None if self.key is None else self.key.lever_ids,
            rows=self.rows,
        )


def _texts(headers: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    """Names and values as an exchange reads them: the first of a name counts, or all of a list."""
    try:
        texts = {name.decode(): value.decode() for name, value in reversed(headers)}
    except UnicodeDecodeError:
        texts = {name.decode("latin-1"): text_of(value) for name, value in reversed(headers)}
    if len(texts) < len(headers):
        for name in _LISTS:
            several = [text_of(value) for field, value in headers if field == name]
            if several:
                texts[name.decode()] = ", ".join(several)
    return texts


def _resolved(path: str) -> str:
    """The path as a server before Claude may take it: no other spelling is a way round a budget."""
    segments: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            segments = segments[:-1]
        elif segment not in ("", "."):
            segments.append(segment)
    end = "/" if segments and path.endswith("/") else ""
    return f"/{'/'.join(segments)}{end}"


def call_of(
    scope: Scope,
    receive: Receive,
    send: Send,
    *,
    routes: Routes,
    exchange_id: str,
    received: Moment,
) -> Call:
    """The call behind an ASGI scope."""
    method: str = scope["method"]
    path: str = scope["path"]
    if "//" in path or "/." in path:
        path = _resolved(path)
    client = scope.get("client")
    return Call(
        method=method,
        path=path,
        target=(scope["raw_path"], scope["query_string"]),
        headers=scope["headers"],
        route=routes.of(method, path),
        receive=receive,
        send=send,
        exchange_id=exchange_id,
        received=received,
        peer=client[0] if client else None,
    )
