"""The journal in a running gateway: decisions are noted, equal refusals are counted.

Theory of operation. ``note`` may be called from any thread. A refusal goes through the folding of
``core.journal_folding``; everything else is an entry at once. What was counted is written when its
minute is over, by ``run``, and at the end. A journal that cannot be written is logged: the decision
was taken, and the call that it was about must not suffer for its record.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from farthing.compose.place import install_key
from farthing.core.journal_chain import (
    Fact,
    JournalEvent,
    JournalKind,
    journal_event,
    journal_key,
)
from farthing.core.journal_folding import Folding
from farthing.core.policy import Policy
from farthing.driver.ports import Clock
from farthing.driver.system import SystemClock
from farthing.errors import FarthingError
from farthing.ledger.audit_log import AuditLog, SqliteAuditLog

__all__ = ["Decisions", "open_decisions"]

_logger = logging.getLogger(__name__)

_FLUSH_SECONDS: Final = 20.0


class Decisions:
    """What is decided, on its way into the journal."""

    def __init__(self, log: AuditLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._folding = Folding()
        # Refusals come from any thread; counting and writing them belong together.
        self._lock = threading.Lock()

    def note(
        self,
        kind: JournalKind,
        *,
        actor: str,
        subject: str,
        facts: Mapping[str, Fact] | None = None,
    ) -> None:
        """Something was decided; ``call.refused`` is folded, everything else written at once."""
        event = journal_event(kind, self._clock.now(), actor=actor, subject=subject, facts=facts)
        with self._lock:
            self._write(self._folding.add(event) if kind == "call.refused" else [event])

    def policy_in_force(self, policy: Policy) -> None:
        """An entry if it is another policy than the last one on record."""
        before = self._log.last("policy.changed")
        was = None if before is None else before.facts.get("digest")
        if was != policy.digest:
            facts: dict[str, Fact] = {
                "digest": policy.digest,
                "before": was,
                "version": policy.version,
            }
            self.note("policy.changed", actor="operator", subject="policy", facts=facts)

    async def run(self) -> None:
        """Write what was counted, every now and then, until cancelled."""
        while True:
            await asyncio.sleep(_FLUSH_SECONDS)
            await asyncio.to_thread(self._flush)

    def close(self) -> None:
        """Write all that was counted."""
        with self._lock:
            self._write(self._folding.close())

    def _flush(self) -> None:
        with self._lock:
            self._write(self._folding.due(self._clock.now()))

    def _write(self, events: list[JournalEvent]) -> None:
        for event in events:
            try:
                self._log.append(event)
            except FarthingError as error:
                _logger.warning(
                    "the journal lacks an entry %s: %s",
                    event.kind,
                    error,
                    extra={"action": "journal.not_written"},
                )


@contextmanager
def open_decisions(ledger: Path) -> Iterator[Decisions]:
    """The journal of a ledger; what was counted is written at the end."""
    log = SqliteAuditLog(ledger, journal_key(install_key(ledger)))
    try:
        decisions = Decisions(log, SystemClock())
        try:
            yield decisions
        finally:
            decisions.close()
    finally:
        log.close()
