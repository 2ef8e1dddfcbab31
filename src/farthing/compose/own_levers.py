"""The levers of one process: its engine's pins, and who saves what is learned.

A program may end without closing anything, so what was learned is also saved when the interpreter
ends. The thread that saves belongs to this process: a forked child makes an engine of its own.
"""

from __future__ import annotations

import os
import threading
import weakref
from contextlib import AbstractContextManager, ExitStack
from typing import Any, Final

from farthing.compose.engine import exchange_setup
from farthing.config import Settings
from farthing.driver.jobs.learned_tables import LearnedTables
from farthing.driver.pins import PinStore
from farthing.driver.system import SystemClock
from farthing.ledger import MemoryLedger, SqliteLedger
from farthing.ledger.budgets_file import BudgetFile, budgets_path
from farthing.ledger.pins import MemoryPins, SqlitePins
from farthing.ledger.task_roots import select_roots
from farthing.pricing import Catalog

__all__ = ["OwnLevers"]

_PAUSE_SECONDS: Final = 60.0


class OwnLevers:
    """What the exchanges of this process share; without levers nothing but their setup."""

    def __init__(
        self,
        settings: Settings,
        ledger: MemoryLedger | SqliteLedger,
        *,
        key: bytes,
        prices: Catalog,
        lock: AbstractContextManager[Any] | None = None,
    ) -> None:
        """``lock`` guards the setup where several threads run exchanges."""
        self.ledger = ledger
        self._ending = None
        with ExitStack() as opening:
            self.pins = _pins(settings, ledger)
            if self.pins is not None:
                opening.callback(self.pins.close)
            self.setup = exchange_setup(settings, install_key=key, prices=prices, pins=self.pins)
            if isinstance(ledger, SqliteLedger):
                self.setup.board.budgets = BudgetFile(budgets_path(ledger.path)).read()
                self.setup.roots.learn(select_roots(ledger.path))
            if self.pins is not None and self.setup.engine is not None:
                tables = LearnedTables(self.setup.engine, self.pins, SystemClock(), lock=lock)
                self._ending = weakref.finalize(self, _Saving(tables, self.pins).end)
            opening.pop_all()

    def close(self) -> None:
        """Save, and let go of files."""
        if self._ending is not None:
            self._ending()


class _Saving:
    """The thread; it does not keep ``OwnLevers`` alive."""

    def __init__(self, tables: LearnedTables, pins: PinStore) -> None:
        self._tables = tables
        self._pins = pins
        self._pid = os.getpid()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="farthing-learned", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Save for the last time; in a forked child there is nothing of ours to save."""
        if self._pid == os.getpid():
            self._is_over.set()
            self._thread.join()
            self._tables.save()
            self._pins.close()

    def _run(self) -> None:
        while not self._is_over.wait(_PAUSE_SECONDS):
            self._tables.save()


def _pins(settings: Settings, ledger: MemoryLedger | SqliteLedger) -> PinStore | None:
    if settings.cache == "off":
        return None
    return SqlitePins(ledger.path) if isinstance(ledger, SqliteLedger) else MemoryPins()
