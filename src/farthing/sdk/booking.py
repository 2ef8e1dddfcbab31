"""The ledger as the middleware uses it: it passes everything on and lets tasks know."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from farthing.core.budgets_account import Admitted, Denied, Reservation
from farthing.core.records import (
    Opened,
    Outcome,
    Settlement,
)
from farthing.driver.passing import PassingLedger
from farthing.driver.ports import Ledger
from farthing.errors import BudgetExceeded, LedgerError
from farthing.pricing.money import PICO_PER_USD
from farthing.sdk.task import Task, current_task, known_books

__all__ = ["TaskLedger"]


class TaskLedger(PassingLedger):
    """A ledger in front of another one that tells the entered task what its calls cost.

    No lock: each exchange has an entry of its own, and single steps on a dictionary are whole.
    """

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger)
        #: exchange id → the task that it was opened in, until it ends
        self._tasks: dict[str, Task] = {}
        #: exchange id → why its call was refused, until somebody asks
        self._refusals: dict[str, Denied] = {}
        self._is_left = False
        known_books.add(self)

    def open(self, opened: Opened) -> None:
        """Record an intent."""
        task = current_task()
        if task is not None and task.id == opened.attribution.task_id:
            self._tasks[opened.exchange_id] = task
            task.goes_to(self)
        self._ledger.open(opened)

    def settle(self, settlement: Settlement) -> None:
        """Record how an exchange ended."""
        task = self._tasks.pop(settlement.exchange_id, None)
        if task is not None and settlement.cost is not None:
            task.spend(settlement.cost.total)
        self._ledger.settle(settlement)

    def reserve(self, reservation: Reservation, *, now: datetime) -> Admitted | Denied:
        """Hold under several keys, all or none."""
        reply = self._ledger.reserve(reservation, now=now)
        if isinstance(reply, Denied):
            self._refusals[reservation.reservation_id.rpartition(".")[0]] = reply
        return reply

    def outcome(self, task_id: str, outcome: Outcome) -> None:
        """Record how a task ended."""
        if self._is_left:
            raise LedgerError("its middleware was closed: judge tasks before you close that")
        self._ledger.outcome(task_id, outcome)

    def leave(self) -> None:
        """The middleware was closed: outcomes come here no more."""
        self._is_left = True
        known_books.discard(self)

    def refusal(self, exchange_id: str, message: str) -> BudgetExceeded:
        """The error for a caller whose call was not sent, with the amounts if they are known."""
        refused = self._refusals.pop(exchange_id, None)
        if refused is None:
            return BudgetExceeded(message)
        claim, standing = refused.claim, refused.standing
        return BudgetExceeded(
            message,
            scope=claim.key,
            limit=_usd(standing.limit_pico),
            spent=_usd(standing.spent_pico),
            held=_usd(standing.held_pico),
            estimated=_usd(claim.worst_pico),
            resets_at=claim.resets_at,
        )


def _usd(amount_pico: int) -> Decimal:
    return Decimal(amount_pico) / PICO_PER_USD
