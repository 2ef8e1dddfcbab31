"""An emulator on a loopback port: beside a test, or in the foreground for the command."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from farthing.errors import ConfigError
from farthing.lab.emulator.app import create_app
from farthing.lab.emulator.engine import Emulator
from farthing.lab.emulator.records import Line, Received
from farthing.lab.emulator.settings import Settings

__all__ = ["RunningEmulator", "emulator", "listen", "require_server", "serve_forever"]

_HOST = "127.0.0.1"
_START_SECONDS = 10.0


class RunningEmulator:
    """A test's handle on an emulator that is listening."""

    def __init__(self, engine: Emulator, url: str) -> None:
        self.engine = engine
        self.url = url
        self.api_key = "sk-emu-default"

    @property
    def environment(self) -> dict[str, str]:
        """The two variables that point a client here."""
        return {"ANTHROPIC_BASE_URL": self.url, "ANTHROPIC_API_KEY": self.api_key}

    @property
    def requests(self) -> Sequence[Received]:
        """What was received, oldest first."""
        return list(self.engine.books.received)

    @property
    def billed(self) -> Sequence[Line]:
        """What was billed, oldest first."""
        return list(self.engine.books.lines)

    def advance(self, seconds: float) -> float:
        """Move the virtual clock on."""
        return self.engine.clock.advance(seconds)

    def fault(self, text: str, *, times: int = 1, path: str = "") -> None:
        """Make the next requests go wrong: see ``farthing.lab.emulator.faults``."""
        self.engine.faults.add(text, times=times, path=path)

    def script(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Add scripted answers."""
        self.engine.load_script(lines)

    def rules(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Add rules."""
        self.engine.load_rules(lines)


@contextmanager
def emulator(settings: Settings | None = None, *, port: int = 0) -> Iterator[RunningEmulator]:
    """An emulator listening on a free loopback port for as long as the block lasts."""
    engine = Emulator(settings)
    listener = listen(port)
    server = _server(engine)
    job = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    job.start()
    try:
        _wait_until_started(server, job)
        yield RunningEmulator(engine, f"http://{_HOST}:{listener.getsockname()[1]}")
    finally:
        server.should_exit = True
        job.join(timeout=_START_SECONDS)
        listener.close()


def serve_forever(engine: Emulator, listener: socket.socket) -> None:
    """Serve until SIGINT or SIGTERM, which end it cleanly."""
    server = _server(engine)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        server.should_exit = True

    # uvicorn raises the signal that stopped it once more on its way out: that is no error here
    before = {name: signal.signal(name, stop) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        server.run(sockets=[listener])
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def listen(port: int) -> socket.socket:
    """A listening socket on loopback; port 0 takes a free one."""
    # asyncio switches Nagle's delay off only where the protocol is named: else 40 ms per answer
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((_HOST, port))
    except OSError as error:
        listener.close()
        raise ConfigError(f"cannot listen on {_HOST}:{port}: {error.strerror}") from error
    listener.listen(512)
    return listener


def require_server() -> Any:
    """The server library; ``ConfigError`` says what to install where it is missing."""
    try:
        import uvicorn  # noqa: PLC0415  an optional extra
    except ImportError as error:
        raise ConfigError("the emulator needs uvicorn: pip install 'farthing[lab]'") from error
    return uvicorn


def _server(engine: Emulator) -> Any:
    uvicorn = require_server()
    config = uvicorn.Config(
        create_app(engine),
        log_level="critical",
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=1,
        h11_max_incomplete_event_size=1024 * 1024,
    )
    return uvicorn.Server(config)


def _wait_until_started(server: Any, job: threading.Thread) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not server.started:
        if not job.is_alive() or time.monotonic() > deadline:
            raise ConfigError("the emulator did not start: is another server on that port?")
        time.sleep(0.005)
