"""The gateway as a server: uvicorn on a listening socket, stopped by SIGTERM without cutting calls.

Stages of stopping, each with a log line: no new connections; ``/readyz`` says 503; idle connections
are closed; calls under way get ``drain_seconds``; what is left is cancelled and settled as cut; the
ledger is closed.
"""

from __future__ import annotations

import errno
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn

from farthing.errors import ConfigError
from farthing.gateway.asgi import App

__all__ = ["Server", "listen"]

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_BACKLOG: Final = 2048
#: Clients keep idle connections for a minute (SDK facts 4.6); a server that closes first loses
#: requests that were just on their way.
_KEEP_ALIVE_SECONDS: Final = 180


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
                app,
                http="httptools",
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

    def stop(self) -> None:
        """Begin to stop."""
        self.should_exit = True


def _advice(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "the port is in use (another gateway?); choose another with --port, or --port 0"
    if error.errno == errno.EACCES:
        return "this user may not; choose a port from 1024 on"
    return error.strerror or type(error).__name__
