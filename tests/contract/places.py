"""Somewhere a ledger lives, for each implementation, and what tests ask ledgers there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from farthing.core.records import Refused, RowFilter
from farthing.driver.ports import Ledger
from farthing.ledger import MemoryLedger, SqliteLedger
from farthing.ledger.hands import Writing
from tests.contract.exchanges import NOON, SCOPE


class Place:
    """Somewhere a ledger lives: it can be left and come back to."""

    def __init__(self, start: Callable[[Ledger | None], Ledger]) -> None:
        self._start = start
        self.ledger = start(None)

    def restart(self) -> Ledger:
        """A new process on the same ledger."""
        self.ledger = self._start(self.ledger)
        return self.ledger


def memory(before: Ledger | None) -> Ledger:
    return MemoryLedger(() if before is None else before.rows(RowFilter()))


def sqlite(folder: Path, *, writing: Writing = "thread") -> Callable[[Ledger | None], Ledger]:
    def start(before: Ledger | None) -> Ledger:
        if before is not None:
            before.close()
        return SqliteLedger(folder / "ledger.db", gather_seconds=0.001, writing=writing)

    return start


def state(ledger: Ledger, exchange_id: str = "x1") -> str | None:
    row = ledger.row(exchange_id)
    return None if row is None else row.state


def hold(ledger: Ledger, amount: int, cap: int, *, reservation: str = "r-x1", scope: str = SCOPE):
    return ledger.hold(scope, amount, cap, reservation_id=reservation, now=NOON)


def room(ledger: Ledger, scope: str = SCOPE) -> tuple[int, int]:
    """What a scope has spent and held, as a refusal says it."""
    refused = hold(ledger, 1, -1, reservation="probe", scope=scope)
    assert isinstance(refused, Refused)
    return refused.spent_pico, refused.held_pico
