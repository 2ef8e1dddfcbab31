"""The ASGI shell: bytes in, bytes out, at the instants the reply names. It decides nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from farthing.lab.emulator.admin import admin_reply
from farthing.lab.emulator.engine import Emulator
from farthing.lab.emulator.refusal import Refusal
from farthing.lab.emulator.reply import HttpRequest, Reply, json_reply

__all__ = ["App", "Receive", "Scope", "Send", "create_app"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def create_app(emulator: Emulator) -> App:
    """The ASGI application of one emulator."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        http_request = await _read(scope, receive, emulator.body_limit(scope["path"]))
        if http_request is None:
            refusal = Refusal(413, "Request exceeds the maximum size")
            await _write(json_reply(refusal.envelope("req_too_large"), status=413), emulator, send)
            return
        await _write(_answer(emulator, http_request), emulator, send)

    return app


def _answer(emulator: Emulator, http_request: HttpRequest) -> Reply:
    if http_request.path.startswith("/emulator"):
        return admin_reply(emulator, http_request)
    return emulator.handle(http_request)


async def _read(scope: Scope, receive: Receive, limit: int) -> HttpRequest | None:
    """The request, or none if its body is larger than allowed; then it is not kept."""
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    if int(headers.get("content-length", "0")) > limit:
        return None
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit:
            return None
        more = message.get("more_body", False)
    return HttpRequest(
        method=scope["method"],
        path=scope["path"],
        query=scope["query_string"].decode("latin-1"),
        headers=headers,
        body=b"".join(parts),
    )


async def _write(reply: Reply, emulator: Emulator, send: Send) -> None:
    begun = False
    for piece in reply.pieces:
        if piece.at > 0:
            await emulator.clock.sleep_until(reply.started_at + piece.at)
        if not begun:
            await _begin(reply, send)
            begun = True
        if piece.breaks:
            await asyncio.sleep(0)
            return  # an ASGI server closes the connection of an answer that was not completed
        await send({"type": "http.response.body", "body": piece.data, "more_body": True})
    if not begun:
        await _begin(reply, send)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _begin(reply: Reply, send: Send) -> None:
    headers = [
        (name.encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers.items()
    ]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
