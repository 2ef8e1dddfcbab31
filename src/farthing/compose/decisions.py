"""The journal in a running gateway, and in a program: what was decided is written beside the calls.

Theory of operation. What is decided about calls waits in memory (``core.journal_decided``). A job
takes it where the exchanges run and writes it elsewhere: a gateway once a second in a worker
thread, a program every five in a thread of its own, which opens the journal only when there is
something to write. What an operator does is an entry at once (``note``, from any thread).

A clean stop writes everything. A killed process loses what was not taken yet, and how often its
refusals of the last minute were repeated. A journal that cannot be written is logged:
the decision was taken, and the call that it was about must not suffer for its record.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from farthing.compose.place import install_key
from farthing.config import Settings
from farthing.core.breaker_values import Change
from farthing.core.exchange_call import Moment
from farthing.core.exchange_prepare import Setup
from farthing.core.journal_chain import (
    Fact,
    JournalEvent,
    JournalKind,
    journal_event,
    journal_key,
)
from farthing.core.journal_decided import Taken, switch_event
from farthing.core.policy import Policy
from farthing.driver.ports import Clock
from farthing.driver.system import SystemClock
from farthing.errors import FarthingError
from farthing.ledger.audit_log import AuditLog, SqliteAuditLog

__all__ = ["Decisions", "ProgramJournal", "open_decisions"]

_logger = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 1.0
_PROGRAM_SECONDS: Final = 5.0
#: how settings begin that say what is refused, beside the policy of levers and the budgets
_GUARD: Final = ("loops", "breaker", "budget_fault", "task_usd", "allow_")
#: what is longer is recorded by its digest
_MOST_TEXT: Final = 160


class Decisions:
    """What is decided in a gateway, on its way into the journal."""

    def __init__(self, log: AuditLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._setup: Setup | None = None
        self._told: Callable[[Change], None] | None = None

    def note(
        self,
        kind: JournalKind,
        *,
        actor: str,
        subject: str,
        facts: Mapping[str, Fact] | None = None,
    ) -> None:
        """Something was decided that is no call's: an entry at once."""
        event = journal_event(kind, self._clock.now(), actor=actor, subject=subject, facts=facts)
        _write(self._log, [event])

    def policy_in_force(self, policy: Policy, settings: Settings) -> None:
        """An entry if policy or guard are others than the last ones on record."""
        before = self._log.last("policy.changed")
        was = None if before is None else before.facts.get("digest")
        guarded = "" if before is None else before.facts.get("guard", "")
        guard = _guard(settings)
        if (was, guarded) != (policy.digest, guard):
            facts: dict[str, Fact] = {
                "digest": policy.digest,
                "before": was,
                "version": policy.version,
                **({"guard": guard} if guard or guarded else {}),
            }
            self.note("policy.changed", actor="operator", subject="policy", facts=facts)

    def follow(self, setup: Setup, told: Callable[[Change], None] | None = None) -> None:
        """Write what these exchanges decide; ``told`` hears of circuits."""
        setup.decided.is_kept = True
        self._setup, self._told = setup, told

    async def run(self) -> None:
        """Take and write, until cancelled; on the event loop of the exchanges."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            if self._setup is None:
                continue
            taken = _take(self._setup, self._clock)
            if taken.events or taken.lost:
                await asyncio.to_thread(self._keep, taken)

    def close(self) -> None:
        """Write all that was decided; no exchange runs any more."""
        if self._setup is not None:
            self._told = None
            self._keep(_take(self._setup, self._clock, is_end=True))

    def _keep(self, taken: Taken) -> None:
        _write(self._log, taken.events)
        _say(taken)
        if self._told is not None:
            for change in taken.changes:
                self._told(change)


def _guard(settings: Settings) -> str:
    """What differs from the defaults of what is refused; empty: nothing does."""
    plain, given = asdict(Settings()), asdict(settings)
    changed = {
        name: value
        for name, value in given.items()
        if name.startswith(_GUARD) and value != plain[name]
    }
    text = " ".join(f"{name}={value}" for name, value in sorted(changed.items()))
    return text if len(text) <= _MOST_TEXT else sha256(text.encode()).hexdigest()


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


class ProgramJournal:
    """Keeps the journal of a program's exchanges, from a thread; a forked child makes its own."""

    def __init__(
        self, ledger: Path, setup: Setup, lock: AbstractContextManager[Any] | None = None
    ) -> None:
        """``lock`` guards the setup."""
        setup.decided.is_kept = True
        self._ending = weakref.finalize(self, _Keeping(ledger, setup, lock).end)

    def close(self) -> None:
        """Write all that was decided."""
        self._ending()


class _Keeping:
    """The thread; it does not keep ``ProgramJournal`` alive."""

    def __init__(
        self, ledger: Path, setup: Setup, lock: AbstractContextManager[Any] | None
    ) -> None:
        self._ledger = ledger
        self._setup = setup
        self._lock = threading.Lock() if lock is None else lock
        self._pid = os.getpid()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="farthing-journal", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Write for the last time; in a forked child there is nothing of ours to write."""
        if self._pid == os.getpid():
            self._is_over.set()
            self._thread.join()
            self._keep(is_end=True)

    def _run(self) -> None:
        while not self._is_over.wait(_PROGRAM_SECONDS):
            self._keep()

    def _keep(self, *, is_end: bool = False) -> None:
        with self._lock:
            taken = _take(self._setup, SystemClock(), is_end=is_end)
        _say(taken)
        if not taken.events:
            return
        try:
            key = journal_key(install_key(self._ledger))
            with closing(SqliteAuditLog(self._ledger, key)) as log:
                _write(log, taken.events)
        except FarthingError as error:
            _lacks(error, f"{len(taken.events)} entries")


def _take(setup: Setup, clock: Clock, *, is_end: bool = False) -> Taken:
    """What was decided since the last time; where the exchanges run."""
    now = Moment(clock.now(), clock.monotonic_ns())
    decided, breakers = setup.decided, setup.breakers
    if breakers is not None:
        for change in breakers.close(now) if is_end else breakers.rested(now):
            decided.changed(change)
    if setup.engine is not None:
        for switch in setup.engine.accounts.governor.take_switches():
            decided.add(switch_event(switch, now.at))
    return decided.close() if is_end else decided.take(now.at)


def _write(log: AuditLog, events: list[JournalEvent]) -> None:
    for event in events:
        try:
            log.append(event)
        except FarthingError as error:
            _lacks(error, f"an entry {event.kind}")


def _lacks(error: FarthingError, what: str) -> None:
    _logger.warning(
        "the journal lacks %s: %s", what, error, extra={"action": "journal.not_written"}
    )


def _say(taken: Taken) -> None:
    if taken.lost:
        _logger.warning(
            "the journal lacks %d entries: more was decided at once than fits into memory",
            taken.lost,
            extra={"action": "journal.not_written"},
        )
    for change in taken.changes:
        is_call = change.key.kind == "call"
        _logger.log(
            logging.INFO if is_call or change.state == "closed" else logging.WARNING,
            "the circuit of %s %s is %s: %s, %d refused",
            change.key.kind,
            change.key.name,
            change.state,
            change.why,
            change.refused,
            extra={"action": f"breaker.{change.state}"},
        )
