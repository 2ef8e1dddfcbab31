"""The gateway's adapters: built, handed to its doors, run and taken down.

Nothing is decided here. What lives how long is in the order of the ``with`` blocks: the ledger
longest, then the recording and the connection pool, then the server.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import socket
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Final

from farthing.compose.access import watch_keys
from farthing.compose.batch_polling import BatchPoller, why_not_polled
from farthing.compose.budgets import budget_pages, watch_budgets
from farthing.compose.jobs import Job, keep_running
from farthing.compose.keepalive import pinger_for
from farthing.compose.loops import watch_loops
from farthing.compose.parts import Parts, open_parts
from farthing.config import Settings
from farthing.core.exchange_call import Moment
from farthing.driver import AsyncDriver, Ports
from farthing.driver.jobs.batch_polling import BatchPolling
from farthing.driver.jobs.batch_register import BatchRegister
from farthing.driver.ports import Clock
from farthing.driver.system import SystemClock, TimeOrderedIds
from farthing.errors import ConfigError, FarthingError
from farthing.gateway.app import Doors, create_app
from farthing.gateway.batch_door import BatchDoor, BatchSetup
from farthing.gateway.call import Call
from farthing.gateway.circuit_pages import CircuitPages
from farthing.gateway.door import ExchangeDoor
from farthing.gateway.key_limits import ModelNotAllowed, refusal_event
from farthing.gateway.listening import Listener
from farthing.gateway.metrics import Metrics
from farthing.gateway.observing import ObservedLedger
from farthing.gateway.pages import ApiPages, OwnPages
from farthing.gateway.routes import Routes
from farthing.gateway.server import Server, listen
from farthing.ledger import SqliteLedger
from farthing.pricing import Catalog, catalog
from farthing.transport import Upstream, decoder_for

__all__ = ["RunningGateway", "running_gateway", "serve"]

_logger = logging.getLogger(__name__)

_START_SECONDS: Final = 10.0
_RETENTION_PAUSE_SECONDS: Final = 6 * 3600
#: a conversation that nobody went on with for so long is not gone on with
_PIN_DAYS: Final = 365

#: Threads (of the ledger, of what is saved now and then) share the interpreter with the event loop.
#: At the default of 5 ms each time one runs, a call on the loop would wait that long for its turn.
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
    with (
        listen(settings.host, settings.port) as listener,
        open_parts(settings, prices, writing="process") as parts,
    ):
        _tune_process()
        announce(_url(listener))
        _run(_serve(parts, listener, [], SystemClock()))


@contextmanager
def running_gateway(
    settings: Settings, *, prices: Catalog | None = None, clock: Clock | None = None
) -> Iterator[RunningGateway]:
    """A gateway on a thread of its own for as long as the block lasts: for tests and notebooks.

    ``clock`` is when calls happen; an emulator on a virtual clock is best given a gateway on it.
    """
    servers = list[Server]()
    with (
        listen(settings.host, settings.port) as listener,
        open_parts(settings, prices or catalog()) as parts,
    ):
        job = threading.Thread(
            target=lambda: asyncio.run(_serve(parts, listener, servers, clock or SystemClock())),
            daemon=True,
        )
        job.start()
        try:
            _wait_until_started(servers, job)
            yield RunningGateway(_url(listener), parts.ledger, parts.metrics)
        finally:
            for server in servers:
                server.stop()
            job.join(settings.drain_seconds + _START_SECONDS)


async def _serve(
    parts: Parts, listener: socket.socket, servers: list[Server], clock: Clock
) -> None:
    async with Upstream(parts.upstream) as upstream:
        made = _Made(parts, upstream, clock)
        servers.append(made.server)
        jobs = [asyncio.create_task(keep_running(job)) for job in made.jobs()]
        try:
            await made.server.serve_on(listener)
        finally:
            for job in jobs:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)


class _Made:
    """The doors of one gateway and the jobs beside them, wired to one another."""

    def __init__(self, parts: Parts, upstream: Upstream, clock: Clock) -> None:
        self._parts = parts
        self._upstream = upstream
        self._clock = clock
        self._ids = TimeOrderedIds()
        self._ledger = ObservedLedger(parts.records, parts.metrics)
        ports = Ports(
            ledger=self._ledger,
            clock=self._clock,
            decoding=decoder_for,
            note=self._note,
            pins=parts.pins,
        )
        self._driver = AsyncDriver(parts.exchange_setup, ports)
        book = parts.exchange_setup.batches
        self._register = BatchRegister(book, parts.ledger, self._clock, note=self._note)
        self._register.load()
        drain_seconds = math.ceil(parts.settings.drain_seconds)
        self.server = Server(create_app(self._doors()), drain_seconds=drain_seconds)

    def jobs(self) -> list[Job]:
        """What runs while the server does."""
        parts = self._parts
        found: list[Job] = [
            partial(_keep_retention, parts),
            partial(watch_keys, parts.access.keys),
            parts.decisions.run,
            partial(watch_budgets, parts.ledger.path, parts.exchange_setup.board),
        ]
        if parts.alerts is not None:
            found.append(parts.alerts.run)
        loops = parts.exchange_setup.loops
        if loops is not None:
            hear = None if parts.alerts is None else parts.alerts.loop
            found.append(partial(watch_loops, loops, parts.ledger, hear))
        return [*found, *self._asking_jobs()]

    def _asking_jobs(self) -> list[Job]:
        """Those that call Claude."""
        found = list[Job]()
        settings, credentials = self._parts.settings, self._parts.credentials.own
        if credentials and settings.batch_poll_seconds:
            poller = BatchPoller(
                polling=BatchPolling(first_seconds=settings.batch_poll_seconds),
                register=self._register,
                driver=self._driver,
                upstream=self._upstream,
                credentials=credentials,
                clock=self._clock,
                ids=self._ids,
            )
            found.append(poller.run)
        else:
            self._register.created_one = self._warn
        pinger = pinger_for(
            self._parts.exchange_setup,
            driver=self._driver,
            upstream=self._upstream,
            credentials=credentials,
            clock=self._clock,
            ids=self._ids,
        )
        if pinger is not None:
            found.append(pinger.run)
        return found

    def _doors(self) -> Doors:
        settings, metrics = self._parts.settings, self._parts.metrics
        return Doors(
            own_pages=OwnPages(
                gate=self._parts.access.gate,
                api=ApiPages(
                    keys=self._parts.access.pages,
                    budgets=budget_pages(self._parts.ledger.path, self._parts.exchange_setup.board),
                    circuits=CircuitPages(self._parts.exchange_setup.breakers, self._moment),
                ),
                ledger=self._ledger,
                metrics=metrics if settings.metrics else None,
                problem=lambda: _problem(self._parts.ledger, self.server),
                remark=self._remark,
            ),
            exchanges=self._exchanges(),
            routes=Routes(body_bytes=settings.body_limit, batch_bytes=settings.batch_limit),
            gate=self._parts.access.gate,
            metrics=metrics,
            clock=self._clock,
            ids=self._ids,
            refused=self._refused,
        )

    def _exchanges(self) -> BatchDoor:
        parts, recorder = self._parts, self._parts.recorder
        door = ExchangeDoor(
            driver=self._driver,
            upstream=self._upstream,
            credentials=parts.credentials,
            recording=None if recorder is None else Listener(recorder, self._clock, decoder_for),
        )
        setup = BatchSetup(
            register=self._register,
            ledger=self._ledger,
            decoding=decoder_for,
            rewritten_from=parts.upstream.url if parts.settings.rewrite_results_url else None,
            exchanges=parts.exchange_setup,
            note=self._note,
        )
        return BatchDoor(door, setup)

    def _moment(self) -> Moment:
        return Moment(self._clock.now(), self._clock.monotonic_ns())

    def _refused(self, call: Call, error: FarthingError) -> None:
        """A key that wants what it may not have is in the journal."""
        if call.key is not None and isinstance(error, ModelNotAllowed):
            event = refusal_event(call.key, error, call.received.at)
            self._parts.exchange_setup.decided.add(event)

    def _note(self, code: str, _exchange_id: str) -> None:
        self._parts.metrics.noted((code,))

    def _remark(self) -> str | None:
        return why_not_polled(
            self._register,
            has_key=bool(self._parts.credentials.own),
            poll_seconds=self._parts.settings.batch_poll_seconds,
        )

    def _warn(self) -> None:
        """A batch was created that nobody asks about: said once."""
        self._register.created_one = lambda: None
        _logger.warning("%s", self._remark(), extra={"action": "batch.not_polled"})


async def _keep_retention(parts: Parts) -> None:
    """Delete what is older than the operator wants to keep, now and every few hours."""
    days = parts.settings.retention_days
    while True:
        now = SystemClock().now()
        try:
            if days:
                await asyncio.to_thread(parts.ledger.delete_before, now - timedelta(days=days))
            if parts.pins is not None:
                unused_since = now - timedelta(days=days or _PIN_DAYS)
                await asyncio.to_thread(parts.pins.expire, unused_since)
        except FarthingError as error:
            _logger.warning(
                "old rows were not deleted: %s", error, extra={"action": "ledger.not_deleted"}
            )
        await asyncio.sleep(_RETENTION_PAUSE_SECONDS)


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
