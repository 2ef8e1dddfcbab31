"""The one thread that has changes written: gathers them for a moment, commits them together.

Theory of operation. Whoever records a change has already put it in the journal and does not wait.
The writer wakes at the first change, lets ``gather_seconds`` pass so that others join, and applies
all of them in one transaction. If that fails (disk full, database locked), the changes stay at the
head of the queue in their order, ``fault`` says what is wrong, and the writer tries again, more and
more slowly. Where SQLite's work is done is for ``apply`` to know (``ledger.hands``).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

from farthing.errors import EngineBug, FarthingError, LedgerError

__all__ = ["GATHER_SECONDS", "Writer", "fault_of"]

_T = TypeVar("_T")

#: long enough that a quick exchange opens and ends within one transaction and is one INSERT;
#: short enough that a dashboard does not notice. Durability does not depend on it.
GATHER_SECONDS: Final = 0.1
#: changes per transaction: bounds the memory and time of one commit
_BATCH: Final = 2_000
_FIRST_RETRY_SECONDS: Final = 0.1
_LAST_RETRY_SECONDS: Final = 5.0

_logger = logging.getLogger(__name__)


class Writer(Generic[_T]):
    """A queue of changes and the thread that applies them, in order, each exactly once.

    ``lock`` is the ledger's: it orders journal and queue alike, and is held only to move changes.
    """

    def __init__(
        self,
        apply: Callable[[Sequence[_T]], None],
        *,
        lock: threading.Lock,
        gather_seconds: float = GATHER_SECONDS,
        committed: Callable[[], None] = lambda: None,
    ) -> None:
        self._apply = apply
        #: called under the lock after each commit
        self._committed = committed
        self._gather_seconds = gather_seconds
        # guarded by the lock
        self._changed = threading.Condition(lock)
        self._queue: list[_T] = []
        self._hurried = 0
        #: changes ever queued and ever committed; both only grow
        self.added = self.done = 0
        self._is_closing = False
        #: why the last transaction failed; None while all is well
        self.fault: FarthingError | None = None
        self._thread = threading.Thread(target=self._run, name="farthing-ledger", daemon=True)
        self._thread.start()

    def add(self, change: _T) -> None:
        """Queue one change; the caller holds the lock."""
        self._queue.append(change)
        self.added += 1
        if len(self._queue) == 1:
            self._changed.notify_all()

    @property
    def waiting(self) -> int:
        """Changes that are not in the database yet."""
        return self.added - self.done

    @property
    def is_alive(self) -> bool:
        """Whether the thread still runs: after ``close`` only if a commit hangs."""
        return self._thread.is_alive()

    def flush(self, timeout: float) -> None:
        """Return when all that was added is in the database; raise what prevents that."""
        deadline = time.monotonic() + timeout
        with self._changed:
            goal = self.added
            self._hurried += 1
            self._changed.notify_all()
            try:
                while self.done < goal:
                    left = deadline - time.monotonic()
                    if left <= 0 or not self._changed.wait(left):
                        raise self.fault or LedgerError(
                            f"the ledger could not write within {timeout!r} s; the rows are kept "
                            "in its journal: see whether the disk is overloaded"
                        )
            finally:
                self._hurried -= 1

    def close(self, timeout: float) -> FarthingError | None:
        """Write what can be written and end the thread; what stood in the way, if anything."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        self._thread.join(timeout)
        return self.fault if self.waiting else None

    def _run(self) -> None:
        pause = 0.0
        while True:
            batch = self._next_batch(pause)
            if not batch:
                return
            fault = self._try(batch)
            if fault is None:
                pause = 0.0
            elif self._is_closing:
                return
            else:
                pause = min(max(2 * pause, _FIRST_RETRY_SECONDS), _LAST_RETRY_SECONDS)

    def _next_batch(self, pause: float) -> list[_T]:
        """The head of the queue, once it is time; empty when closing and done."""
        with self._changed:
            while not self._queue and not self._is_closing:
                self._changed.wait()
            is_enough = len(self._queue) >= _BATCH and not pause
            due = time.monotonic() + (0.0 if is_enough else pause or self._gather_seconds)
            while not self._is_closing and not (self._hurried and not pause):
                left = due - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            return self._queue[:_BATCH]

    def _try(self, batch: list[_T]) -> FarthingError | None:
        fault: FarthingError | None = None
        try:
            self._apply(batch)
        except Exception as error:  # noqa: BLE001 -- the thread's main: it must survive our mistakes
            fault = fault_of(error)
        with self._changed:
            if (fault is None) != (self.fault is None):
                _log_turn(fault)
            self.fault = fault
            if fault is None:
                del self._queue[: len(batch)]
                self.done += len(batch)
                self._committed()
            self._changed.notify_all()
        return fault


def fault_of(error: Exception) -> FarthingError:
    """What keeps a batch from being applied: the error itself, or our mistake."""
    if isinstance(error, FarthingError):
        return error
    fault = EngineBug(f"a change cannot be applied: {type(error).__name__}; please report it")
    fault.__cause__ = error
    return fault


def _log_turn(fault: FarthingError | None) -> None:
    if fault is None:
        _logger.info("the ledger writes again", extra={"action": "ledger.recovered"})
    else:
        _logger.error("%s; rows are kept in the journal", fault, extra={"action": "ledger.fault"})
