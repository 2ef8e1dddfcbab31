"""The gateway as a server: uvicorn on a listening socket, stopped by SIGTERM without cutting calls.

Stages of stopping: no new connections; ``/readyz`` says 503 on those there are; idle ones are
closed; calls under way get ``drain_seconds``, or until a second signal; what is left is cancelled
and settled as cut; the ledger is closed. The log says when it begins, is hurried, and is over.

Answers to HTTP/1.0: such a client does not know chunks (RFC 9112, section 6.1), and the library
writes them all the same. So a body without a length goes to it unframed and ends with its
connection; one that was cut ends with a reset, which no client takes for an end.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import signal
import socket
import struct
import threading
from collections.abc import Awaitable, Iterator, MutableMapping
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

import uvicorn

from farthing.errors import ConfigError
from farthing.gateway.asgi import App, Receive, Scope, Send, header
from farthing.gateway.heads import BoundedHeads

__all__ = ["Server", "listen"]

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_BACKLOG: Final = 2048
#: Clients keep idle connections for a minute (SDK facts 4.6); a server that closes first loses
#: requests that were just on their way.
_KEEP_ALIVE_SECONDS: Final = 180
#: how soon a second signal is heard
_HEARD_SECONDS: Final = 0.05
#: a connection closed so is reset
_NO_LINGER: Final = struct.pack("ii", 1, 0)

_logger = logging.getLogger(__name__)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio switches Nagle's delay off only where the protocol is named: else 40 ms per answer
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ConfigError(f"cannot listen on {host}:{port}: {_advice(error)}") from error
    listener.listen(_BACKLOG)
    return listener


class Server(uvicorn.Server):
    """uvicorn with our settings, run by whoever owns the event loop."""

    def __init__(self, app: App, *, drain_seconds: int = 30) -> None:
        super().__init__(
            uvicorn.Config(
                _for_old_clients(app),
                interface="asgi3",
                http=BoundedHeads,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=False,
                proxy_headers=False,
                backlog=_BACKLOG,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=drain_seconds,
            )
        )
        self._drain_seconds = drain_seconds
        self._is_hurried = False

    async def serve_on(self, listener: socket.socket) -> None:
        """Serve until told to stop, then until the calls under way have ended."""
        await self.serve(sockets=[listener])

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The first signal begins the stop, a second one hurries it.

        uvicorn raises the signal once more on its way out, which would end the process before the
        ledger is closed.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002  a handler's
        """A signal came."""
        self._is_hurried = self.should_exit
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let the calls under way end."""
        calls = len(self.server_state.tasks)
        if calls:
            _logger.info(
                "stopping: %d calls under way have %d s; a second signal cuts them",
                calls,
                self._drain_seconds,
                extra={"action": "gateway.stopping", "calls": calls},
            )
        hurrying = asyncio.create_task(self._hurry())
        try:
            await super().shutdown(sockets)
        finally:
            hurrying.cancel()
        _logger.info("stopped", extra={"action": "gateway.stopped"})

    async def _hurry(self) -> None:
        while not self._is_hurried:  # noqa: ASYNC110  a signal's handler says it, at any point
            await asyncio.sleep(_HEARD_SECONDS)
        cut = [task for task in self.server_state.tasks if not task.done()]
        _logger.info(
            "hurried: %d calls are cut",
            len(cut),
            extra={"action": "gateway.hurried", "calls": len(cut)},
        )
        for task in cut:
            task.cancel()

    def stop(self) -> None:
        """Begin to stop."""
        self.should_exit = True


def _for_old_clients(app: App) -> App:
    def served(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        is_old = scope.get("http_version") == "1.0"
        return (unframed if is_old else app)(scope, receive, send)

    async def unframed(scope: Scope, receive: Receive, send: Send) -> None:
        answer = _Unframed(send)
        try:
            await app(scope, receive, answer.send)
        finally:
            answer.end()

    return served


class _Unframed:
    """An answer to an HTTP/1.0 client: without a length it goes on until the connection ends."""

    def __init__(self, send: Send) -> None:
        self._send = send
        # the library's own record of the answer: there is no other place to say how it is framed
        self._cycle: Any = getattr(send, "__self__", None)
        self._is_unframed = False
        self._is_whole = False

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Pass a message on, so that no chunk is made of it."""
        if message["type"] == "http.response.start":
            self._is_unframed = header(message["headers"], b"content-length") is None
            if self._is_unframed:
                self._cycle.chunked_encoding = False
        elif self._is_unframed:
            self._cycle.expected_content_length = len(message["body"])
            self._is_whole = not message["more_body"]
        await self._send(message)

    def end(self) -> None:
        """Reset the connection of an answer that was cut."""
        if self._is_unframed and not self._is_whole:
            _reset(self._cycle.transport)


def _reset(transport: asyncio.Transport) -> None:
    if transport.is_closing():
        return
    # by its number: what uvloop calls a socket has no options
    with socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno())) as twin:
        twin.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()


def _advice(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "the port is in use (another gateway?); choose another with --port, or --port 0"
    if error.errno == errno.EACCES:
        return "this user may not; choose a port from 1024 on"
    return error.strerror or type(error).__name__
