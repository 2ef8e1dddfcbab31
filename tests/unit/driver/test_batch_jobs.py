"""The machine that says when to ask after a batch, and the register of what is known of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.core.batches import RESULTS_KEPT, BatchBook, KnownBatch
from farthing.core.exchange_call import Moment
from farthing.driver.jobs.batch_polling import BatchPolling
from farthing.driver.jobs.batch_register import BatchRegister
from farthing.errors import LedgerError
from farthing.ledger import MemoryLedger
from tests.contract.exchanges import NOON, known

SECOND = 10**9


def at(seconds: float, *, wall: float | None = None) -> Moment:
    moved = seconds if wall is None else wall
    return Moment(NOON + timedelta(seconds=moved), round(seconds * SECOND))


@pytest.fixture
def polling() -> BatchPolling:
    machine = BatchPolling(first_seconds=60)
    machine.watch([known()], at(0))
    return machine


@pytest.mark.parametrize(("seconds", "due"), [(59.9, []), (60, ["msgbatch_1"])])
def test_a_new_batch_is_asked_about_after_the_first_pause(polling, seconds, due):
    assert polling.due(at(seconds)) == due


def test_who_waits_already_keeps_its_turn(polling):
    polling.watch([known()], at(50))

    assert polling.seconds_until_due(at(50)) == 10
    assert polling.seconds_until_due(at(70)) == 0


def test_with_nothing_to_wait_for_it_waits_for_ever(polling):
    polling.forget("msgbatch_1")
    polling.forget("msgbatch_1")

    assert polling.seconds_until_due(at(0)) is None


@pytest.mark.parametrize(
    ("age", "pause"), [(60, 60), (600, 60), (3600, 360), (9000, 900), (80_000, 900)]
)
def test_the_older_a_batch_the_rarer_the_question(polling, age, pause):
    polling.runs("msgbatch_1", at(age))

    assert polling.seconds_until_due(at(age)) == pause


def test_failures_wait_twice_as_long_each_time_but_six_hours_at_most(polling):
    pauses = []
    for _ in range(40):
        polling.failed("msgbatch_1", at(0))
        pauses.append(polling.seconds_until_due(at(0)))

    assert pauses[:3] == [120, 240, 480]
    assert pauses[-1] == 6 * 3600


def test_an_answer_ends_the_row_of_failures(polling):
    polling.failed("msgbatch_1", at(0))
    polling.runs("msgbatch_1", at(0))
    polling.failed("msgbatch_1", at(0))

    assert polling.seconds_until_due(at(0)) == 120


def test_the_longest_due_comes_first():
    machine = BatchPolling(first_seconds=1)
    machine.watch([known("b")], at(0))
    machine.watch([known("a"), known("c")], at(1))

    assert machine.due(at(5)) == ["b", "a", "c"]


@pytest.mark.parametrize(("more", "is_gone"), [(0, False), (1, True)])
def test_results_are_gone_after_29_days(polling, more, is_gone):
    late = at(0, wall=RESULTS_KEPT.total_seconds() + more)

    assert polling.is_gone("msgbatch_1", late) is is_gone
    assert not polling.is_gone("nobody's", late)


@given(st.lists(st.floats(-1e6, 1e6), max_size=30))
def test_a_wall_clock_that_jumps_neither_floods_nor_silences(jumps: list[float]):
    machine = BatchPolling(first_seconds=60)
    machine.watch([known()], at(0))
    for jump in jumps:
        machine.runs("msgbatch_1", at(0, wall=jump))

        pause = machine.seconds_until_due(at(0))
        assert pause is not None
        assert 60 <= pause <= 900


def test_answers_about_nobodys_batch_change_nothing(polling):
    polling.runs("x", at(0))
    polling.failed("x", at(0))

    assert polling.due(at(100)) == ["msgbatch_1"]


# -- the register ---------------------------------------------------------------------------------


class FixedClock:
    def now(self) -> datetime:
        return NOON

    def monotonic_ns(self) -> int:
        return 0


class Full(MemoryLedger):
    def keep_batch(self, batch: KnownBatch) -> None:
        raise LedgerError("the disk is full")


@dataclass
class Registered:
    store: MemoryLedger = field(default_factory=MemoryLedger)
    book: BatchBook = field(default_factory=BatchBook)
    notes: list[str] = field(default_factory=list)

    def register(self) -> BatchRegister:
        note = lambda code, _: self.notes.append(code)  # noqa: E731
        return BatchRegister(self.book, self.store, FixedClock(), note=note)

    @property
    def kept(self) -> list[tuple[str, str | None]]:
        found = self.store.batches(created_from=NOON - timedelta(days=99))
        return [(batch.batch_id, batch.ending) for batch in found]


def test_a_batch_is_created_once_and_whoever_waits_is_told():
    there = Registered()
    register, told = there.register(), list[int]()
    register.created(known("a"))
    register.created_one = lambda: told.append(1)
    register.created(known("b"))
    register.created(known("b", exchange_id="ex_2"))

    assert there.kept == [("a", None), ("b", None)]
    assert told == [1]
    assert [batch.batch_id for batch in register.waiting] == ["a", "b"]


def test_results_that_passed_whole_book_a_batch():
    there = Registered()
    register = there.register()
    register.created(known())

    assert not register.results_passed("msgbatch_1")
    for _ in range(2):
        there.book.read_whole("msgbatch_1")
        assert register.results_passed("msgbatch_1")
    assert there.kept == [("msgbatch_1", "booked")]
    assert register.waiting == []


def test_what_is_lost_is_lost_unless_it_was_booked():
    there = Registered()
    register = there.register()
    register.created(known("a"))
    register.created(known("b", ending="booked"))
    for name in ("a", "b", "nobody's"):
        register.lost(name)

    assert there.kept == [("a", "lost"), ("b", "booked")]


def test_the_next_process_knows_what_the_last_one_knew():
    there = Registered()
    there.register().created(known())
    after = Registered(store=there.store)
    register = after.register()
    register.load()

    assert register.find("msgbatch_1") == known()


def test_a_ledger_that_cannot_write_is_counted_and_the_batch_is_known_here():
    there = Registered(store=Full())
    register = there.register()
    register.created(known())

    assert there.notes == ["ledger.batch_failed"]
    assert register.find("msgbatch_1") == known()


def test_nobody_need_listen_to_the_register():
    register = BatchRegister(BatchBook(), Full(), FixedClock())
    register.created(known())

    assert register.waiting == [known()]
