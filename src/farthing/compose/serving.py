"""The gateway's adapters: built, handed to its doors, run and taken down.

Nothing is decided here. What lives how long is in the order of the ``with`` blocks: the ledger
longest, then the recording and the connection pool, then the server.
"""

from __future__ import annotations

import asyncio
import gc
import secrets
import socket
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from farthing import __version__
from farthing.compose.place import install_key, ledger_path
from farthing.config import Settings
from farthing.core.exchange_plan import Planner, plan_cache_auto, plan_nothing
from farthing.core.exchange_prepare import Setup
from farthing.driver import AsyncDriver, Ports
from farthing.driver.system import SystemClock, TimeOrderedIds
from farthing.errors import ConfigError
from farthing.gateway.app import Doors, create_app
from farthing.gateway.credentials import Credentials
from farthing.gateway.door import ExchangeDoor
from farthing.gateway.listening import Listener
from farthing.gateway.metrics import Metrics
from farthing.gateway.observing import ObservedLedger
from farthing.gateway.pages import OwnPages
from farthing.gateway.record_files import RecordFiles
from farthing.gateway.recording import Recorder
from farthing.gateway.routes import Routes
from farthing.gateway.server import Server, listen
from farthing.ledger import SqliteLedger
from farthing.pricing import Catalog, catalog
from farthing.traces.redact import Redactor
from farthing.transport import Upstream, UpstreamSettings, decoder_for

__all__ = ["RunningGateway", "running_gateway", "serve"]

_START_SECONDS: Final = 10.0
_KEY_BYTES: Final = 32
_RETENTION_PAUSE_SECONDS: Final = 6 * 3600
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_PLANNERS: Final[dict[str, Planner]] = {"off": plan_nothing, "auto": plan_cache_auto}

#: The ledger's writer shares the interpreter with the event loop. At the default of 5 ms each time
#: it runs, a call on the loop would wait that long for its turn.
_SWITCH_SECONDS: Final = 0.0005
#: A call leaves no cycles behind; looking for some after every 700 objects costs 3 % of all time.
_GC_THRESHOLD: Final = 50_000


@dataclass(frozen=True, slots=True)
class RunningGateway:
    """A gateway that is listening, in the process of whoever asks."""

    url: str
    ledger: SqliteLedger
    metrics: Metrics


def serve(settings: Settings, *, prices: Catalog, announce: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT, then until the calls under way have ended.

    ``announce`` is told the URL once everything that can be wrong with the settings is known.
    """
    with listen(settings.host, settings.port) as listener, _parts(settings, prices) as parts:
        _tune_process()
        announce(_url(listener))
        _run(_serve(parts, listener, []))


@contextmanager
def running_gateway(
    settings: Settings, *, prices: Catalog | None = None
) -> Iterator[RunningGateway]:
    """A gateway on a thread of its own for as long as the block lasts: for tests and notebooks."""
    servers = list[Server]()
    with (
        listen(settings.host, settings.port) as listener,
        _parts(settings, prices or catalog()) as parts,
    ):
        job = threading.Thread(
            target=lambda: asyncio.run(_serve(parts, listener, servers)), daemon=True
        )
        job.start()
        try:
            _wait_until_started(servers, job)
            yield RunningGateway(_url(listener), parts.ledger, parts.metrics)
        finally:
            for server in servers:
                server.stop()
            job.join(settings.drain_seconds + _START_SECONDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """What exists before the event loop does, and all that settings can get wrong."""

    settings: Settings
    ledger: SqliteLedger
    metrics: Metrics
    exchange_setup: Setup
    credentials: Credentials
    upstream: UpstreamSettings
    recorder: Recorder | None


@contextmanager
def _parts(settings: Settings, prices: Catalog) -> Iterator[_Parts]:
    credentials = Credentials(_own_key(settings))
    upstream = _upstream_settings(settings)
    with _open_ledger(settings) as ledger:
        recorder = _recorder(settings)
        try:
            yield _Parts(
                settings=settings,
                ledger=ledger,
                metrics=Metrics(),
                exchange_setup=_exchange_setup(settings, prices),
                credentials=credentials,
                upstream=upstream,
                recorder=recorder,
            )
        finally:
            if recorder is not None:
                recorder.close()


async def _serve(parts: _Parts, listener: socket.socket, servers: list[Server]) -> None:
    async with Upstream(parts.upstream) as upstream:
        server = _server(parts, upstream)
        servers.append(server)
        retention = asyncio.create_task(_keep_retention(parts))
        try:
            await server.serve_on(listener)
        finally:
            retention.cancel()


def _server(parts: _Parts, upstream: Upstream) -> Server:
    settings, metrics, clock = parts.settings, parts.metrics, SystemClock()
    ledger = ObservedLedger(parts.ledger, metrics)
    recorder = parts.recorder
    ports = Ports(
        ledger=ledger,
        clock=clock,
        decoding=decoder_for,
        note=lambda code, _: metrics.noted((code,)),
    )
    door = ExchangeDoor(
        driver=AsyncDriver(parts.exchange_setup, ports),
        upstream=upstream,
        credentials=parts.credentials,
        recording=None if recorder is None else Listener(recorder, clock, decoder_for),
    )
    doors = Doors(
        own_pages=OwnPages(
            ledger=ledger,
            metrics=metrics if settings.metrics else None,
            problem=lambda: _problem(parts.ledger, server),
        ),
        exchanges=door,
        routes=Routes(body_bytes=settings.body_limit, batch_bytes=settings.batch_limit),
        metrics=metrics,
        clock=clock,
        ids=TimeOrderedIds(),
    )
    server = Server(create_app(doors), drain_seconds=int(settings.drain_seconds))
    return server


@contextmanager
def _open_ledger(settings: Settings) -> Iterator[SqliteLedger]:
    ledger = SqliteLedger(ledger_path(settings))
    try:
        ledger.recover(SystemClock().now())
        yield ledger
    finally:
        ledger.close()


async def _keep_retention(parts: _Parts) -> None:
    """Delete what is older than the operator wants to keep, now and every few hours."""
    days = parts.settings.retention_days
    while days:
        oldest = SystemClock().now() - timedelta(days=days)
        await asyncio.to_thread(parts.ledger.delete_before, oldest)
        await asyncio.sleep(_RETENTION_PAUSE_SECONDS)


def _upstream_settings(settings: Settings) -> UpstreamSettings:
    return UpstreamSettings(
        url=settings.upstream,
        connect_seconds=settings.connect_seconds,
        silence_seconds=settings.silence_seconds or None,
        trust_env=settings.trust_env,
    )


def _exchange_setup(settings: Settings, prices: Catalog) -> Setup:
    return Setup(
        engine_version=__version__,
        install_key=install_key(ledger_path(settings)),
        prices=prices,
        planner=_PLANNERS[settings.cache],
        task_cap_pico=settings.task_usd,
        budget_fault=settings.budget_fault,
        answer_limit_bytes=settings.answer_limit,
    )


def _recorder(settings: Settings) -> Recorder | None:
    if settings.record is None:
        return None
    mode = settings.record_redaction
    files = RecordFiles(
        Path(settings.record),
        redaction=mode,
        cap_bytes=settings.record_cap,
        writer=f"farthing {__version__}",
    )
    redactor = None if mode == "none" else Redactor(secrets.token_bytes(_KEY_BYTES), mode)
    return Recorder(files, redactor=redactor)


def _own_key(settings: Settings) -> str | None:
    """The gateway's own key; whoever reaches the port spends it."""
    key = settings.api_key
    if settings.api_key_file is not None:
        try:
            key = Path(settings.api_key_file).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or type(error).__name__
            raise ConfigError(f"cannot read the key in {settings.api_key_file!r}: {why}") from error
    if key is not None and settings.host not in _LOOPBACK:
        raise ConfigError(
            f"a key of the gateway's own and the address {settings.host!r} would let anybody on "
            "the network spend it; bind to 127.0.0.1, or let clients send their own keys"
        )
    return key


def _problem(ledger: SqliteLedger, server: Server) -> str | None:
    """Why no more calls should come here."""
    if server.should_exit:
        return "draining"
    return None if ledger.fault is None else f"the ledger: {ledger.fault}"


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _tune_process() -> None:
    sys.setswitchinterval(_SWITCH_SECONDS)
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD, *gc.get_threshold()[1:])


def _run(serving: Coroutine[Any, Any, None]) -> None:
    try:
        import uvloop  # noqa: PLC0415  not on every platform
    except ImportError:
        asyncio.run(serving)
    else:
        uvloop.run(serving)


def _wait_until_started(servers: list[Server], job: threading.Thread) -> None:
    pause = threading.Event()
    waited = 0.0
    while not (servers and servers[0].started):
        if not job.is_alive() or waited > _START_SECONDS:
            raise ConfigError("the gateway did not start")
        pause.wait(0.002)
        waited += 0.002
