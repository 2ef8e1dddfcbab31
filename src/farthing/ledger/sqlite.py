"""The embedded ledger: a journal that is written at once, a SQLite file that follows.

Theory of operation. What is held, and what has ended but is not committed, is in memory (the latter
as lines of the journal); the rest is in the database. Each change takes three steps under one lock:
memory, queue, journal. After that it survives a killed process; the writer's thread brings it into
the database, through a connection of its own or (``writing="process"``) through a child. So nothing
on the way of a call waits for SQLite. At the start the journals of a dead process are read back
first, by this process, and what is then still held is what it left open.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from farthing.core.batches import KnownBatch
from farthing.core.records import (
    ExchangeRow,
    Opened,
    Outcome,
    RecoveryReport,
    RowFilter,
    Settlement,
)
from farthing.errors import EngineBug, FarthingError, LedgerError
from farthing.ledger.batches import read_batches
from farthing.ledger.budgets import BudgetBook
from farthing.ledger.changes import Change, changed, dump_change, row_of, settled
from farthing.ledger.database import open_reader, open_writer, select_rows
from farthing.ledger.faults import ledger_fault, translated
from farthing.ledger.hand_process import ChildHand
from farthing.ledger.hands import Hand, OwnHand, Writing
from farthing.ledger.journal import SEGMENT_BYTES, Journal
from farthing.ledger.keeping import KeepsBudgets
from farthing.ledger.lock import ProcessLock
from farthing.ledger.lookup import Lookup
from farthing.ledger.recent import Recent
from farthing.ledger.recovering import lost, report
from farthing.ledger.replaying import read_back
from farthing.ledger.retention import delete_rows
from farthing.ledger.retiring import Retiring
from farthing.ledger.writer import GATHER_SECONDS, Writer

__all__ = ["SqliteLedger"]

_FLUSH_SECONDS: Final = 10.0


class SqliteLedger(KeepsBudgets):
    """``driver.ports.Ledger`` in one file; one process may have it open at a time."""

    def __init__(
        self,
        path: Path,
        *,
        gather_seconds: float = GATHER_SECONDS,
        segment_bytes: int = SEGMENT_BYTES,
        writing: Writing = "thread",
    ) -> None:
        self.path = path
        with ExitStack() as opening, translated(path):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._process_lock = ProcessLock(path.with_name(f"{path.name}.lock"))
            opening.callback(self._process_lock.close)
            self._hand, self._read_back = _open_hand(path, self._process_lock, writing)
            opening.callback(self._hand.close)
            self._lookup = Lookup(open_reader(path), path)
            self._retiring = Retiring(Journal(path, segment_bytes=segment_bytes), path)
            opening.pop_all()
        # Guards all of the following, and orders the journal as the queue.
        super().__init__(threading.Lock(), BudgetBook(self._lookup.spent))
        #: what is held, by exchange id; and what has ended but is not in the database yet
        self._held = {row.opened.exchange_id: row for row in self._lookup.held()}
        #: the lines of what ended, which are smaller than a row and seldom asked for
        self._ended = Recent[tuple[bytes, bytes]]()
        #: the lines of intents that this process made and holds
        self._intents: dict[str, bytes] = {}
        self._outcomes = Recent[Outcome]()
        #: intents that the journal did not take
        self._unwritten: set[str] = set()
        self._orphans = list(self._held.values())
        for row in self._orphans:
            self._book.restore(row.opened)
        self._book.restore_batches(self._lookup.batch_holds())
        self._writer: Writer[bytes] = Writer(
            self._hand.apply,
            lock=self._lock,
            gather_seconds=gather_seconds,
            committed=self._committed,
        )

    @property
    def fault(self) -> FarthingError | None:
        """Why the database is not being written just now; None while all is well."""
        return self._writer.fault

    @property
    def waiting(self) -> int:
        """Changes that are in the journal but not in the database yet."""
        return self._writer.waiting

    def open(self, opened: Opened) -> None:
        """Record an intent: it survives a killed process from when this returns.

        After a ``LedgerError`` it is in memory only, and the exchange may go on and be settled.
        """
        change = Change(opened=opened)
        line = dump_change(change)
        exchange_id = opened.exchange_id
        with self._lock:
            # Only a later attempt, or a batch's results read again, can have been here before.
            is_new = opened.attempt == 1 and opened.endpoint != "batch_item"
            before = self._held.get(exchange_id) if is_new else self._known_id(exchange_id)
            after = changed(before, change)
            if after is None or after is before:
                return
            self._held[exchange_id] = after
            self._intents[exchange_id] = line
            if not is_new:
                self._ended.drop(exchange_id)
            if before is not None or opened.reservation_id is not None:
                self._book.moved(before, after)
            try:
                self._record(line)
            except FarthingError:
                self._unwritten.add(exchange_id)
                raise

    def settle(self, settlement: Settlement) -> None:
        """Record how an exchange ended, once, and end its hold."""
        line = dump_change(Change(settlement=settlement))
        with self._lock:
            self._settle(settlement, line)

    def outcome(self, task_id: str, outcome: Outcome) -> None:
        """Record how a task ended; the last word counts."""
        line = dump_change(Change(task_id=task_id, outcome=outcome))
        with self._lock:
            self._outcomes.put(task_id, outcome)
            self._record(line)

    def keep_batch(self, batch: KnownBatch) -> None:
        """Record a batch, or how it ended; it survives a killed process from when this returns."""
        line = dump_change(Change(batch=batch))
        with self._lock:
            self._book.batch_kept(batch)
            self._record(line)

    def batches(self, *, created_from: datetime) -> list[KnownBatch]:
        """The batches on record; waits until all that was recorded is there."""
        self.flush()
        return read_batches(self.path, created_from=created_from)

    def row(self, exchange_id: str) -> ExchangeRow | None:
        """One exchange, or None; what was recorded a moment ago included."""
        with self._lock:
            row = self._known_id(exchange_id)
            if row is None:
                return None
            task_id = row.opened.attribution.task_id
            judged = self._outcomes.find(task_id) or self._lookup.outcome(task_id)
        return row if judged is None else replace(row, outcome=judged.outcome, score=judged.score)

    def rows(self, where: RowFilter = RowFilter()) -> Iterator[ExchangeRow]:  # noqa: B008 -- frozen
        """Exchanges in the order they were opened; waits until all that was recorded is there."""
        self.flush()
        yield from select_rows(self.path, where)

    def recover(self, now: datetime) -> RecoveryReport:
        """Close what a dead process left open."""
        with self._lock:
            self._book.expire_batches(now)
            orphans, self._orphans = self._orphans, []
            endings = [lost(row, now) for row in orphans]
            for ending in endings:
                self._settle(ending, dump_change(Change(settlement=ending)))
        return report(endings, read_back=self._read_back)

    def flush(self, timeout: float = _FLUSH_SECONDS) -> None:
        """Wait until the database has everything; ``LedgerError`` if it does not take it."""
        self._writer.flush(timeout)

    def delete_before(self, instant: datetime) -> int:
        """Delete rows opened before the hour of an instant; sums per hour stay. How many went."""
        with self._lock, translated(self.path):
            self._retiring.rotate(self._writer.added)
        self.flush()
        return delete_rows(self.path, instant)

    def close(self) -> None:
        """Write what is waiting and let go of the files; harmless when repeated."""
        fault = self._writer.close(_FLUSH_SECONDS)
        with self._lock:
            self._retiring.close(is_done=self._writer.waiting == 0)
            self._lookup.close()
            if not self._writer.is_alive:
                self._hand.close()
            self._process_lock.close()
        if fault is not None:
            raise LedgerError(f"{fault}; its rows are kept and written at the next start")

    def _settle(self, settlement: Settlement, line: bytes) -> None:
        exchange_id = settlement.exchange_id
        before = self._known_id(exchange_id)
        if before is None:
            raise EngineBug(f"exchange {exchange_id!r} ends without an intent")
        after = settled(before, settlement)
        if after is before:
            return
        self._held.pop(exchange_id, None)
        intent = self._intents.pop(exchange_id, None) or dump_change(Change(opened=before.opened))
        self._ended.put(exchange_id, (intent, line))
        self._book.moved(before, after)
        if exchange_id in self._unwritten:
            self._unwritten.discard(exchange_id)
            line = dump_change(Change(opened=before.opened, settlement=settlement))
        self._record(line)

    def _record(self, line: bytes) -> None:
        """Queue a change and write its line; ``LedgerError`` if the journal does not take it."""
        self._writer.add(line)
        try:
            self._retiring.journal.append(line)
        except OSError as error:
            raise ledger_fault(error, self.path) from error

    def _known_id(self, exchange_id: str) -> ExchangeRow | None:
        known = self._held.get(exchange_id)
        if known is None and (lines := self._ended.find(exchange_id)) is not None:
            known = row_of(lines)
        return known or self._lookup.row(exchange_id)

    def _committed(self) -> None:
        """Forget what the database has now; called by the writer, under the lock."""
        added, done = self._writer.added, self._writer.done
        self._ended.turn(added=added, done=done)
        self._outcomes.turn(added=added, done=done)
        ended = filter(None, map(row_of, self._ended.values()))
        self._book.forget_idle(chain(self._held.values(), ended))
        with suppress(OSError):  # no new segment just now: the old one goes on growing
            self._retiring.turn(added=added, done=done)


def _open_hand(path: Path, lock: ProcessLock, writing: Writing) -> tuple[Hand, int]:
    """Who writes from now on, and how many changes were read back before: by this process."""
    with ExitStack() as opening:
        # The child first: it needs a moment until it is ready.
        child = ChildHand(path, lock) if writing == "process" else None
        if child is not None:
            opening.callback(child.close)
        own = OwnHand(open_writer(path), path)
        opening.callback(own.close)
        count = read_back(own.connection, path)
        opening.pop_all()
    if child is None:
        return own, count
    own.close()
    return child, count
