"""``farthing.task``: the unit of work the caller cares about, named in code.

Theory of operation. Entering a task puts it on a stack that lives in a context variable, so asyncio
jobs inherit it by themselves, threads where their starter copied the context; a task may also be
entered again, in another thread or job, as often as one likes. The middleware reads the top of the
stack when a call begins. How a task ended goes to the ledgers that its calls (or those of tasks
below it) went to.

Rules of this file: leaving a task says nothing about how it ended, with an exception or without:
an exception may be the caller's own control flow, and what nobody judged is not counted as passed.
"""

from __future__ import annotations

import logging
import math
import secrets
import threading
import warnings
from contextvars import ContextVar
from decimal import Decimal
from typing import Final, Protocol, Self
from weakref import WeakSet

from farthing.core.records import Outcome, TaskOutcome
from farthing.errors import LedgerError
from farthing.pricing.money import PICO_PER_USD

__all__ = ["OutcomeBook", "Task", "current_task", "fitting_name", "known_books", "task"]

_LONGEST_NAME: Final = 200
_ID_BYTES: Final = 12

_logger = logging.getLogger(__name__)


class OutcomeBook(Protocol):
    """Where outcomes go: the part of a ledger that a task needs."""

    def outcome(self, task_id: str, outcome: Outcome) -> None:
        """Record how a task ended; the last word counts."""


#: every ledger that a middleware of this process books into
known_books: Final[WeakSet[OutcomeBook]] = WeakSet()

_entered: ContextVar[tuple[Task, ...]] = ContextVar("farthing_tasks", default=())


class Task:
    """A task, as ``farthing.task`` makes it: enter it with ``with`` or ``async with``."""

    def __init__(self, task_type: str, *, task_id: str | None, parent: Task | None) -> None:
        self._type = _checked(task_type, "task_type")
        self._id = (
            f"task_{secrets.token_hex(_ID_BYTES)}"
            if task_id is None
            else _checked(task_id, "task_id")
        )
        self._parent = parent
        self._lock = threading.Lock()  # guards what follows: its calls run in many threads
        self._spent_pico = 0
        self._books = list[OutcomeBook]()
        self._outcome: TaskOutcome | None = None

    def __repr__(self) -> str:
        return f"<Task {self._type!r} {self._id}>"

    @property
    def id(self) -> str:
        """What the ledger calls it."""
        return self._id

    @property
    def task_type(self) -> str:
        """What kind of work it is; reports group by it."""
        return self._type

    @property
    def parent_id(self) -> str | None:
        """The task it is a part of."""
        return None if self._parent is None else self._parent.id

    @property
    def root_id(self) -> str:
        """The task at the top."""
        return self._id if self._parent is None else self._parent.root_id

    @property
    def cost_usd(self) -> Decimal:
        """Dollars that its calls and those of the tasks below it have cost so far, exact.

        By the provider's own counts. What was sent and never answered to the end is not in it: its
        cost is an interval, in the ledger.
        """
        with self._lock:
            return Decimal(self._spent_pico) / PICO_PER_USD

    @property
    def outcome(self) -> TaskOutcome | None:
        """What was said last of how it ended."""
        return self._outcome

    def headers(self) -> dict[str, str]:
        """The headers by which a gateway knows this task: for calls without the middleware."""
        said = {
            "x-farthing-task": self._id,
            "x-farthing-task-type": self._type,
            "x-farthing-parent": self.parent_id,
            "x-farthing-root": None if self._parent is None else self.root_id,
        }
        return {name: value for name, value in said.items() if value is not None}

    def passed(self, *, score: float | None = None) -> None:
        """It did what it was for."""
        self._judge("passed", score)

    def failed(self, *, score: float | None = None) -> None:
        """It did not."""
        self._judge("failed", score)

    def abandoned(self, *, score: float | None = None) -> None:
        """Nobody waits for it any more."""
        self._judge("abandoned", score)

    def spend(self, amount_pico: int) -> None:
        """Count what a call cost, here and in the tasks above."""
        with self._lock:
            self._spent_pico += amount_pico
        if self._parent is not None:
            self._parent.spend(amount_pico)

    def goes_to(self, book: OutcomeBook) -> None:
        """A call of this task went to that ledger."""
        with self._lock:
            is_new = book not in self._books
            if is_new:
                self._books.append(book)
        if is_new and self._parent is not None:
            self._parent.goes_to(book)

    def __enter__(self) -> Self:
        _entered.set((*_entered.get(), self))
        return self

    def __exit__(self, *exc_info: object) -> None:
        stack = _entered.get()
        last = max((index for index, each in enumerate(stack) if each is self), default=None)
        if last is not None:
            _entered.set(stack[:last] + stack[last + 1 :])

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, *exc_info: object) -> None:
        self.__exit__(*exc_info)

    def _judge(self, outcome: TaskOutcome, score: float | None) -> None:
        if score is not None and not _is_finite(score):
            raise ValueError(f"score={score!r:.40}: give a number, such as a share between 0 and 1")
        self._outcome = outcome
        said = Outcome(
            outcome=outcome, score=score, task_type=self._type, parent_task_id=self.parent_id
        )
        with self._lock:
            books = self._books or list(known_books)
        if not books:
            warnings.warn(
                f"nobody records how {self!r} ended: make the client with "
                "middleware=[farthing.Farthing()], or tell your gateway (docs/library.md)",
                stacklevel=3,
            )
        for book in books:
            try:
                book.outcome(self._id, said)
            except LedgerError as error:  # the caller's work is done, whatever our disk does
                _logger.warning(
                    "an outcome may be lost: %s", error, extra={"action": "task.outcome_failed"}
                )


def task(task_type: str, *, task_id: str | None = None) -> Task:
    """Name the work that the calls inside belong to, and say how it ended.

    The calls of clients with ``middleware=[farthing.Farthing()]`` are booked on the innermost task
    that is entered; a task made inside another one is a part of it. ``task_id`` is for work that
    has a name already, such as a ticket's number.

    >>> with task("fix-bug", task_id="bug-1") as bug:
    ...     with task("write-test") as test:
    ...         test.parent_id, test.root_id, test.cost_usd
    ('bug-1', 'bug-1', Decimal('0'))
    """
    return Task(task_type, task_id=task_id, parent=current_task())


def current_task() -> Task | None:
    """The innermost task that is entered here."""
    stack = _entered.get()
    return stack[-1] if stack else None


def fitting_name(text: str) -> str:
    """The nearest name that a task can have."""
    plain = text.encode("ascii", "replace").decode()
    kept = "".join(letter for letter in plain if letter.isprintable())
    return kept.strip()[:_LONGEST_NAME].strip() or "unnamed"


def _is_finite(score: float) -> bool:
    try:
        return math.isfinite(score)
    except (TypeError, OverflowError):  # no number at all, or an integer that no float holds
        return False


def _checked(name: str, argument: str) -> str:
    """What a header and a ledger can hold alike."""
    wanted = f"give 1 to {_LONGEST_NAME} printable ASCII characters"
    if not isinstance(name, str):
        raise TypeError(f"{argument}={name!r}: {wanted}")
    is_plain = name.isascii() and name.isprintable() and name == name.strip()
    if not is_plain or not 0 < len(name) <= _LONGEST_NAME:
        raise ValueError(f"{argument}={name[:40]!r}: {wanted}")
    return name
