"""Keeps what the engine learns: loaded at the start, saved now and then and at the end.

Theory of operation. A table is saved on the version it was made from. Where another gateway saved
in between, lifetimes are added to what that one left (``engine_tables``); the governor's evidence
cannot be added, so the later one stands. What cannot be read is begun anew, with a warning: learned
tables make calls cheaper, not right.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from farthing.core.engine import Engine
from farthing.core.engine_tables import grown
from farthing.core.governor import Governor
from farthing.core.ttl_tables import TtlTables
from farthing.driver.pins import PinStore
from farthing.driver.ports import Clock
from farthing.errors import LedgerError

__all__ = ["GOVERNOR", "LIFETIMES", "LearnedTables", "load_governor", "load_lifetimes"]

LIFETIMES: Final = "cache.lifetimes"
GOVERNOR: Final = "governor"

#: another gateway may save between our reading and our saving, not for ever
_ATTEMPTS: Final = 3

_logger = logging.getLogger(__name__)
_Table = TypeVar("_Table")


def load_lifetimes(store: PinStore) -> TtlTables | None:
    """What all gateways of this ledger learned about return times."""
    return _load(store, LIFETIMES, TtlTables.parse)


def load_governor(store: PinStore, *, engine_version: str) -> Governor | None:
    """The verdicts of this version so far."""
    return _load(store, GOVERNOR, lambda raw: Governor.load(raw, engine_version=engine_version))


def _load(store: PinStore, name: str, parse: Callable[[bytes], _Table]) -> _Table | None:
    try:
        found = store.table(name)
        return None if found is None else parse(found.body)
    except LedgerError as error:
        _logger.warning(
            "the table %s is begun anew: %s", name, error, extra={"action": "levers.table_lost"}
        )
        return None


@dataclass(slots=True)
class _Growth:
    """What of our own lifetimes is in the ledger already."""

    saved: TtlTables


class LearnedTables:
    """Saves the tables of one engine."""

    def __init__(
        self,
        engine: Engine,
        store: PinStore,
        clock: Clock,
        *,
        lock: AbstractContextManager[Any] | None = None,
    ) -> None:
        self._engine = engine
        self._store = store
        self._clock = clock
        #: guards the engine where several threads run exchanges
        self._lock: AbstractContextManager[Any] = nullcontext() if lock is None else lock
        self._growth = _Growth(TtlTables())

    def save(self) -> None:
        """Save what was learned since the last time; a ledger that cannot costs no call."""
        with self._lock:
            own = TtlTables.parse(self._engine.cache.learned().dump())
            governor = self._engine.accounts.governor.dump()
        added = grown(own, self._growth.saved)
        try:
            self._replace(LIFETIMES, lambda theirs: _sum(theirs, added))
            self._growth.saved = own
            self._replace(GOVERNOR, lambda _: governor)
        except LedgerError as error:
            _logger.warning(
                "what was learned was not saved: %s",
                error,
                extra={"action": "levers.tables_not_saved"},
            )

    def _replace(self, name: str, body: Callable[[bytes | None], bytes]) -> None:
        for _ in range(_ATTEMPTS):
            found = self._store.table(name)
            made = body(None if found is None else found.body)
            based_on = 0 if found is None else found.version
            now = self._clock.now()
            if self._store.save_table(name, made, based_on=based_on, now=now):
                return
        raise LedgerError(f"{name} is saved by others all the time")


def _sum(theirs: bytes | None, added: TtlTables) -> bytes:
    try:
        before = [] if theirs is None else [TtlTables.parse(theirs)]
    except LedgerError:
        before = []
    return TtlTables.total([*before, added]).dump()
