"""One call as the gateway sees it: the HTTP side of an exchange."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from farthing.core import exchange_call
from farthing.core.exchange_call import Moment
from farthing.gateway.asgi import Receive, Scope, Send, header
from farthing.gateway.routes import Route, Routes

__all__ = ["Call", "call_of"]


@dataclass(slots=True, kw_only=True)
class Call:
    """A request whose head has come, and what became of its answer."""

    method: str
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
    #: the status the client was sent; 0: no answer has begun
    status: int = 0
    #: has the end of the answer been sent
    is_answered: bool = False

    def header(self, name: bytes) -> bytes | None:
        """The first value of a field."""
        return header(self.headers, name)

    def for_exchange(self, body: bytes) -> exchange_call.Call:
        """The part that an exchange looks at."""
        headers: dict[str, str] = {}
        for name, value in self.headers:
            headers.setdefault(name.decode("latin-1"), value.decode("latin-1"))
        return exchange_call.Call(
            exchange_id=self.exchange_id,
            method=self.method,
            path=self.path,
            headers=headers,
            received=self.received,
            body=body,
        )


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
    )
