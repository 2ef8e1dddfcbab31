"""``farthing.Farthing``: the engine inside a program, as middleware of the Claude SDK.

Theory of operation. The class is what the SDK asks for (``anthropic.Middleware``, since 2.0); all
work is done by ``sdk.exchanges``, which is built here over this installation's ledger, prices and
settings. Settings are those of the gateway, read from the same places; what the program says wins.
A forked child has an engine and a ledger file of its own from its first call on.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from farthing.compose.decisions import ProgramJournal, open_decisions
from farthing.compose.levers import load_policy
from farthing.compose.own_levers import OwnLevers
from farthing.compose.place import install_key, ledger_path
from farthing.compose.reading import read_settings
from farthing.compose.shared_ledgers import open_shared, release_shared
from farthing.compose.telemetry import open_telemetry
from farthing.config import Settings
from farthing.driver import AsyncDriver, Driver, Ports
from farthing.driver.jobs.batch_register import BatchRegister
from farthing.driver.system import SystemClock, TimeOrderedIds
from farthing.errors import ConfigError, FarthingError
from farthing.ledger import MemoryLedger, SqliteLedger
from farthing.pricing import catalog
from farthing.sdk.booking import TaskLedger
from farthing.sdk.session_budget import parse_budget
from farthing.transport.decoding import decoder_for

if TYPE_CHECKING:
    from farthing.sdk.exchanges import Exchanges

try:
    from anthropic import Middleware
except ImportError:  # no SDK, or one without middleware: constructing says what to do

    class Middleware:  # type: ignore[no-redef]  # stands in for the one above, which is not there
        """Nothing to extend."""


__all__ = ["Farthing"]

_DOORS: Final = "farthing.sdk.exchanges"
_BATCHES: Final = "farthing.sdk.batches_seen"

_Ledger = MemoryLedger | SqliteLedger
_KEY_BYTES: Final = 32

_logger = logging.getLogger(__name__)


class Farthing(Middleware):
    """Meter, record and bound every call of a Claude client, inside your program.

    Give it to ``anthropic.Anthropic`` or ``anthropic.AsyncAnthropic``, last in ``middleware=[…]``;
    one may serve any number of clients, threads and event loops. Each call becomes one row of the
    ledger, its retries included. Calls, answers, streams and errors are the SDK's own; a call that
    a budget does not hold raises ``BudgetExceededError`` and is not sent.

    ``ledger`` is a file or a ledger object; without it the one of the settings is used, or the next
    free one beside it where another process has that. ``cache`` and ``task_usd`` are the settings
    ``levers.cache`` (``"off"``: no levers, calls leave as they are) and ``budget.task_usd``, the
    most that one task may spend; ``budget_usd`` is another word for it.

    >>> import anthropic
    >>> from farthing.ledger import MemoryLedger
    >>> from farthing.lab.emulator import emulator
    >>> with emulator() as claude:
    ...     client = anthropic.Anthropic(
    ...         base_url=claude.url,
    ...         api_key=claude.api_key,
    ...         middleware=[Farthing(ledger=MemoryLedger())],
    ...     )
    ...     hello = {"role": "user", "content": "Hello"}
    ...     answer = client.messages.create(
    ...         model="claude-haiku-5-5", max_tokens=64, messages=[hello]
    ...     )
    ...     (row,) = client.middleware[0].ledger.rows()
    >>> row.state, row.settlement.usage.output == answer.usage.output_tokens
    ('settled', True)
    """

    def __init__(
        self,
        *,
        ledger: str | os.PathLike[str] | MemoryLedger | SqliteLedger | None = None,
        cache: Literal["engine", "auto", "off"] | None = None,
        task_usd: Decimal | float | str | None = None,
        budget_usd: Decimal | float | str | None = None,
    ) -> None:
        _check_sdk()
        if task_usd is not None and budget_usd is not None:
            raise ConfigError("budget_usd and task_usd are the same: give one of them")
        self._settings = _settings(cache, task_usd if budget_usd is None else budget_usd)
        self._given = ledger
        self._lock = threading.Lock()  # guards what follows
        self._pid = 0
        self._engine: _Engine | None = None
        self._started()

    @property
    def ledger(self) -> MemoryLedger | SqliteLedger:
        """Where this process books its calls."""
        return self._started().ledger

    def handle(self, request: Any, call_next: Callable[[Any], Any]) -> Any:
        """One attempt of a sync client; the SDK calls this."""
        engine = self._running()
        return call_next(request) if engine is None else engine.doors.handle(request, call_next)

    async def handle_async(self, request: Any, call_next: Callable[[Any], Awaitable[Any]]) -> Any:
        """One attempt of an async client; the SDK calls this."""
        engine = self._running()
        if engine is None:
            return await call_next(request)
        return await engine.doors.handle_async(request, call_next)

    def close(self) -> None:
        """Write what is waiting and let go of the ledger; a later call opens it again."""
        with self._lock:
            engine, self._engine = self._engine, None
        if engine is not None and self._pid == os.getpid():
            engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _running(self) -> _Engine | None:
        """The engine of this process; None where it cannot start, which costs records, no call."""
        engine = self._engine
        if engine is not None and self._pid == os.getpid():
            return engine
        try:
            return self._started()
        except FarthingError as error:
            _logger.warning(
                "calls are not metered: %s", error, extra={"action": "sdk.engine_not_started"}
            )
            return None

    def _started(self) -> _Engine:
        with self._lock:
            if self._engine is None or self._pid != os.getpid():
                self._engine = _Engine(self._settings, self._given)
                self._pid = os.getpid()
            return self._engine


class _Engine:
    """What runs the exchanges of one process."""

    def __init__(self, settings: Settings, given: str | os.PathLike[str] | _Ledger | None) -> None:
        with ExitStack() as opened:
            self.ledger, key = _ledger_of(settings, given, opened)
            book = TaskLedger(opened.enter_context(open_telemetry(settings, self.ledger)))
            opened.callback(book.leave)
            lock = threading.Lock()  # guards the setup
            levers = OwnLevers(settings, self.ledger, key=key, prices=catalog(), lock=lock)
            opened.callback(levers.close)
            if isinstance(self.ledger, SqliteLedger):
                with open_decisions(self.ledger.path) as decisions:
                    decisions.policy_in_force(load_policy(settings), settings)
                opened.callback(ProgramJournal(self.ledger.path, levers.setup, lock).close)
            self.doors = _doors(book, levers, lock)
            self._opened = opened.pop_all()

    def close(self) -> None:
        """Save what was learned, send what is to be told; let go of the ledger, if it is ours."""
        self._opened.close()


def _ledger_of(
    settings: Settings, given: str | os.PathLike[str] | _Ledger | None, opened: ExitStack
) -> tuple[_Ledger, bytes]:
    """The ledger, let go of with ``opened`` if it is ours; and the key of its digests."""
    if given is None or isinstance(given, str | os.PathLike):
        named = ledger_path(settings) if given is None else Path(given)
        ledger = open_shared(named, may_move=given is None)
        opened.callback(release_shared, ledger)
        return ledger, install_key(named)
    if isinstance(given, SqliteLedger):
        return given, install_key(given.path)
    return given, secrets.token_bytes(_KEY_BYTES)


def _doors(book: TaskLedger, levers: OwnLevers, lock: threading.Lock) -> Exchanges:
    clock, setup = SystemClock(), levers.setup
    ports = Ports(ledger=book, clock=clock, decoding=decoder_for, note=_note, pins=levers.pins)
    register = BatchRegister(setup.batches, levers.ledger, clock, note=_note)
    register.load()
    doors: Exchanges = import_module(_DOORS).Exchanges(
        driver=Driver(setup, ports, lock=lock),
        async_driver=AsyncDriver(setup, ports, lock=lock),
        ledger=book,
        batches=import_module(_BATCHES).BatchesSeen(register, book, lock=lock, setup=setup),
        clock=clock,
        ids=TimeOrderedIds(),
    )
    return doors


def _note(code: str, exchange_id: str) -> None:
    _logger.warning("%s in %s", code, exchange_id, extra={"action": code})


def _settings(
    cache: Literal["engine", "auto", "off"] | None, task_usd: Decimal | float | str | None
) -> Settings:
    settings = read_settings().settings
    if cache not in {None, "engine", "auto", "off"}:
        raise ConfigError(f"cache={cache!r}: give 'engine', 'auto' or 'off'")
    if cache is not None:
        settings = replace(settings, cache=cache)
    if task_usd is not None:
        settings = replace(settings, task_usd=parse_budget(task_usd, name="task_usd"))
    return settings


def _check_sdk() -> None:
    """The SDK that is installed, if any, is one whose middleware we know."""
    version = "none"
    with suppress(ImportError):
        version = import_module("anthropic").__version__
    if version == "none":
        raise ConfigError("farthing.Farthing needs the Claude SDK: pip install 'farthing[sdk]'")
    try:
        import_module(_DOORS)
    except ImportError as error:
        raise ConfigError(
            f"the Claude SDK {version} has no middleware that farthing knows: upgrade it with "
            "pip install -U 'anthropic>=2', or point its base_url at `farthing serve`, which "
            "works with every version"
        ) from error
