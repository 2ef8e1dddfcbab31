"""Who may come in, put together from the settings and the keys in the ledger's file."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from farthing.compose.place import install_key, ledger_path
from farthing.config import Settings
from farthing.core.journal_chain import JournalEvent, journal_key
from farthing.driver.keys import KeyDesk, LiveKeys
from farthing.driver.system import SystemClock
from farthing.errors import ConfigError, LedgerError
from farthing.gateway.access import Gate, GateSettings, is_loopback
from farthing.gateway.credentials import NO_PROVIDER_KEY
from farthing.gateway.key_pages import KeyPages
from farthing.ledger.audit_log import SqliteAuditLog
from farthing.ledger.keys import SqliteKeys

__all__ = ["Access", "key_desk", "open_access", "watch_keys"]

#: a revocation by another process is in force after this, at the latest
_LOOK_SECONDS: Final = 0.25

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """The gate, and what keeps it current."""

    gate: Gate
    keys: LiveKeys
    pages: KeyPages


@contextmanager
def key_desk(path: Path) -> Iterator[tuple[KeyDesk, SqliteKeys]]:
    """The desk over a ledger's file, which another process may have open."""

    def record(event: JournalEvent) -> None:
        with closing(SqliteAuditLog(path, journal_key(install_key(path)))) as journal:
            journal.append(event)

    with closing(SqliteKeys(path)) as store:
        yield KeyDesk(store, record=record, clock=SystemClock()), store


@contextmanager
def open_access(settings: Settings, *, has_own_key: bool) -> Iterator[Access]:
    """The gate of a gateway; ``ConfigError`` where its settings would leave a key to anybody."""
    clock = SystemClock()
    with key_desk(ledger_path(settings)) as (desk, store):
        keys = LiveKeys(store)
        gate = Gate(
            keys,
            clock,
            GateSettings(
                is_local=is_loopback(settings.host),
                has_own_key=has_own_key,
                require_key=settings.require_key,
                hosts=frozenset(name.lower() for name in settings.hosts),
            ),
        )
        _check(settings, gate, has_own_key=has_own_key)
        yield Access(gate=gate, keys=keys, pages=KeyPages(desk, keys, clock.now))


async def watch_keys(keys: LiveKeys) -> None:
    """Take over what other processes change, until cancelled."""
    is_told = False
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        try:
            keys.refresh()
            is_told = False
        except LedgerError as error:
            if not is_told:
                _logger.warning("keys stay as they were: %s", error, extra={"action": "keys.stale"})
            is_told = True


def _check(settings: Settings, gate: Gate, *, has_own_key: bool) -> None:
    if gate.is_in_force and not has_own_key:
        raise ConfigError(NO_PROVIDER_KEY)
    if has_own_key and not gate.is_in_force and not is_loopback(settings.host):
        raise ConfigError(
            f"a key of the gateway's own and the address {settings.host!r} would let anybody on "
            "the network spend it; make virtual keys with `farthing keys create`, bind to "
            "127.0.0.1, or let clients send their own keys"
        )
