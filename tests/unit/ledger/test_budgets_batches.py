"""The books under batches: whatever the order of things, what is held is what is open."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec.structs import replace

from farthing.core.batch_holds import BatchRows
from farthing.core.batches import RESULTS_KEPT
from farthing.core.budgets_account import Admitted, Claim, Denied, Reservation
from farthing.core.records import ExchangeRow
from farthing.ledger.budgets import BudgetBook
from tests.contract.exchanges import known, opened, settled
from tests.unit.core.test_batch_holds import GROUPS, rows_of

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
LIMIT = 200
KEYS = ("all", "opus", "haiku", "cheap")


def creation(batch: BatchRows, number: int) -> tuple[ExchangeRow, ExchangeRow]:
    """The creation of a batch, under way and ended."""
    intent = replace(
        opened(f"ex_{number}"),
        endpoint="other",
        scope=None,
        budget_keys=KEYS,
        reservation_id=f"ex_{number}.1",
        hold_pico=1,
    )
    ending = replace(settled(f"ex_{number}"), cost=None, batch=batch)
    return ExchangeRow(opened=intent), ExchangeRow(opened=intent, settlement=ending)


def item(exchange_id: str, keys: tuple[str, ...], **given: Any) -> ExchangeRow:
    intent = replace(
        opened(exchange_id),
        endpoint="batch_item",
        scope=None,
        budget_keys=keys,
        reservation_id=None,
        hold_pico=None,
    )
    return ExchangeRow(opened=intent, settlement=replace(settled(exchange_id), cost=None, **given))


def test_the_creations_hold_becomes_the_rows_and_is_never_both_or_neither() -> None:
    book = BudgetBook(lambda _: 0)
    rows = rows_of([("a", 0, 10), ("b", 1, 20)])
    claims = tuple(
        Claim(key=key, limit_pico=LIMIT, worst_pico=30, likely_pico=30) for key in ("all", "opus")
    )
    book.reserve(Reservation(reservation_id="ex_1.1", claims=claims), now=NOW)
    before, after = creation(rows, 1)
    book.moved(None, before)
    assert book.spent_and_held("all") == (0, 30)

    book.moved(before, after)
    assert [book.spent_and_held(key)[1] for key in KEYS] == [30, 10, 20, 0]
    book.moved(before, after)
    assert book.spent_and_held("all") == (0, 30)
    assert book.batch_rows() == [rows]


def test_an_item_that_was_lost_holds_on_until_it_is_settled() -> None:
    book = BudgetBook(lambda _: 0)
    book.restore_batches([(rows_of([("a", 0, 10)]), [])])
    name = "msgbatch_1:a"

    book.moved(None, item(name, GROUPS[0], state="unsettled"))
    assert book.spent_and_held("all") == (0, 10)
    book.moved(None, item(name, GROUPS[0]))
    book.moved(None, item("msgbatch_9:a", GROUPS[0]))
    assert book.spent_and_held("all") == (0, 0)
    assert book.batch_rows() == []


def test_a_batch_that_is_over_or_too_old_holds_nothing() -> None:
    book = BudgetBook(lambda _: 0)
    book.restore_batches([(rows_of([("a", 0, 10)]), []), (rows_of([("a", 0, 10)]), [])])
    book.batch_kept(known("msgbatch_1"))
    book.batch_counted("msgbatch_9", 0)
    assert book.spent_and_held("all") == (0, 10)
    book.batch_kept(known("msgbatch_1", ending="lost"))
    assert book.spent_and_held("all") == (0, 0)

    book.restore_batches([(rows_of([("a", 0, 10)]), []), (rows_of([("b", 0, 1)]), ["b"])])
    book.expire_batches(NOW + RESULTS_KEPT - timedelta(seconds=1))
    assert book.spent_and_held("all") == (0, 10)
    book.expire_batches(NOW + RESULTS_KEPT)
    assert book.spent_and_held("all") == (0, 0)


_ROWS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30)), min_size=1, max_size=4)


class Books(RuleBasedStateMachine):
    """Calls and batches come and go; the process dies and starts again."""

    def __init__(self) -> None:
        super().__init__()
        self.book = BudgetBook(lambda _: 0)
        self.number = 0
        #: by reservation
        self.calls: dict[str, tuple[str, int]] = {}
        #: by batch, its record and its rows that are not booked
        self.batches: dict[str, tuple[BatchRows, dict[str, tuple[int, int]]]] = {}

    def open_in(self, key: str) -> int:
        rows = [each for _, left in self.batches.values() for each in left.values()]
        return sum(amount for group, amount in rows if key in GROUPS[group])

    @rule(entries=_ROWS)
    def create(self, entries: list[tuple[int, int]]) -> None:
        self.number += 1
        batch_id = f"msgbatch_{self.number}"
        left = {f"r{n}": entry for n, entry in enumerate(entries)}
        rows = replace(rows_of([(name, *rest) for name, rest in left.items()]), batch_id=batch_id)
        asked = {
            key: sum(amount for group, amount in entries if key in GROUPS[group]) for key in KEYS
        }
        claims = tuple(
            Claim(key=key, limit_pico=LIMIT, worst_pico=asked[key], likely_pico=asked[key])
            for key in KEYS
        )
        before, after = creation(rows, self.number)
        reservation = Reservation(reservation_id=f"ex_{self.number}.1", claims=claims)
        reply = self.book.reserve(reservation, now=NOW)
        if isinstance(reply, Denied):
            standing, worst = reply.standing, reply.claim.worst_pico
            assert standing.spent_pico + standing.held_pico + worst > LIMIT
            return
        self.book.moved(None, before)
        self.book.moved(before, after)
        self.batches[batch_id] = rows, left

    @rule(key=st.sampled_from(KEYS), amount=st.integers(0, 60))
    def call(self, key: str, amount: int) -> None:
        self.number += 1
        name = f"ex_{self.number}.1"
        claim = Claim(key=key, limit_pico=LIMIT, worst_pico=amount, likely_pico=amount)
        reply = self.book.reserve(Reservation(reservation_id=name, claims=(claim,)), now=NOW)
        held = self.book.spent_and_held(key)[1]
        if isinstance(reply, Admitted):
            self.calls[name] = key, amount
            assert held <= LIMIT
        else:
            assert held + amount > LIMIT

    @rule(data=st.data())
    def end_call(self, data: st.DataObject) -> None:
        if self.calls:
            name = data.draw(st.sampled_from(sorted(self.calls)))
            self.book.release(name)
            del self.calls[name]

    @rule(data=st.data(), name=st.sampled_from(["r0", "r1", "r2", "r3", "r9"]))
    def book_item(self, data: st.DataObject, name: str) -> None:
        if self.batches:
            batch_id = data.draw(st.sampled_from(sorted(self.batches)))
            self.book.moved(None, item(f"{batch_id}:{name}", ()))
            self.batches[batch_id][1].pop(name, None)

    @rule(data=st.data())
    def end_batch(self, data: st.DataObject) -> None:
        if self.batches:
            batch_id = data.draw(st.sampled_from(sorted(self.batches)))
            self.book.batch_kept(known(batch_id, ending="booked"))
            del self.batches[batch_id]

    @rule()
    def die(self) -> None:
        self.book = BudgetBook(lambda _: 0)
        self.calls.clear()
        found = [
            (rows, [f"r{n}" for n in range(4) if f"r{n}" not in left])
            for rows, left in self.batches.values()
        ]
        self.book.restore_batches([*found, *found])

    @invariant()
    def what_is_held_is_what_is_open(self) -> None:
        for key in KEYS:
            calls = sum(amount for mine, amount in self.calls.values() if mine == key)
            assert self.book.spent_and_held(key) == (0, calls + self.open_in(key))


Books.TestCase.settings = settings(max_examples=60, stateful_step_count=25)
TestBooks = Books.TestCase
