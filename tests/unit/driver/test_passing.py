"""A ledger in front of another one: nothing is lost on the way, and nothing is added to it."""

from __future__ import annotations

from datetime import timedelta

from farthing.core.budgets_account import Denied
from farthing.core.records import Held, Opened, Outcome, RowFilter
from farthing.driver.passing import PassingLedger
from farthing.driver.ports import Ledger
from farthing.ledger import MemoryLedger
from tests.contract.exchanges import NOON, opened, settled
from tests.contract.test_ledger_reservations import reservation


class Counting(PassingLedger):
    """Watches one method."""

    seen = 0

    def open(self, opened: Opened) -> None:
        self.seen += 1
        super().open(opened)


def methods(kind: type) -> set[str]:
    return {name for name in vars(kind) if not name.startswith("_")}


def test_it_has_the_methods_of_a_ledger():
    assert methods(PassingLedger) == methods(Ledger)


def test_what_is_watched_goes_on_to_the_inner_ledger():
    inner = MemoryLedger()
    middle = Counting(inner)
    outer = Counting(middle)

    outer.open(opened("x"))

    assert (outer.seen, middle.seen) == (1, 1)
    assert inner.row("x") is not None


def test_whatever_is_asked_of_it_the_inner_ledger_does():
    inner = MemoryLedger()
    outer = PassingLedger(inner)
    outer.open(opened("x"))
    outer.settle(settled("x"))
    outer.outcome("t1", Outcome(outcome="passed"))

    held = outer.hold("task:t1", 5, 9, reservation_id="r", now=NOON)
    outer.release("r")
    again = outer.hold("task:t1", 9, 9, reservation_id="q", now=NOON)
    denied = outer.reserve(reservation(limits=(9, 9)), now=NOON)

    assert isinstance(denied, Denied)
    assert isinstance(held, Held)
    assert isinstance(again, Held)
    assert outer.row("x") == inner.row("x")
    assert [row.outcome for row in outer.rows(RowFilter())] == ["passed"]
    assert outer.recover(NOON + timedelta(1)) == inner.recover(NOON + timedelta(1))
    outer.close()
