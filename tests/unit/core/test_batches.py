from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from farthing.core.batches import RESULTS_KEPT, BatchBook, begun_batch, ended_batch
from farthing.core.records import ExchangeRow
from farthing.ledger.memory import MemoryLedger
from tests.contract.exchanges import NOON, attribution, known, opened
from tests.unit.core.test_batch_holds import rows_of
from tests.unit.core.test_exchange import BATCH, JSONL, Failing, result
from tests.unit.driver.talks import FakeUpstream, Talk, setup

RESULTS = result("a") + result("b", "expired")


@pytest.fixture
def book() -> BatchBook:
    return BatchBook()


def test_what_waits_is_neither_booked_nor_lost_oldest_first(book):
    later = known("c", created_at=NOON + timedelta(hours=1))
    ended = [known("b", ending="booked"), known("d", ending="lost")]
    book.remember([later, known("a"), *ended], now=NOON)

    assert [batch.batch_id for batch in book.waiting] == ["a", "c"]
    assert book.find("b") is not None
    assert book.find("x") is None


@pytest.mark.parametrize(("more", "is_known"), [(0, False), (1, True)])
def test_what_is_too_old_to_be_read_is_forgotten(book, more, is_known):
    created = NOON - 2 * RESULTS_KEPT + timedelta(seconds=more)
    book.remember([known(created_at=created)], now=NOON)

    assert (book.find("msgbatch_1") is not None) is is_known


def test_a_batch_is_read_whole_once(book):
    book.remember([known()], now=NOON)
    book.read_whole("msgbatch_1")
    book.read_whole("nobody's")

    assert book.take_whole("nobody's") is None
    assert book.take_whole("msgbatch_1") == known()
    assert book.take_whole("msgbatch_1") is None


@pytest.mark.parametrize(("has_budget", "scope"), [(True, "task:t1"), (False, None)])
def test_a_batch_is_its_creations(has_budget, scope):
    creation = ExchangeRow(opened=opened("ex_1"))
    said = b'{"id":"msgbatch_1","type":"message_batch"}'
    begun = begun_batch(said, creation, has_budget=has_budget)

    assert begun is not None
    assert (begun.batch_id, begun.exchange_id, begun.scope) == ("msgbatch_1", "ex_1", scope)
    assert (begun.created_at, begun.attribution) == (
        creation.opened.opened_at,
        creation.opened.attribution,
    )


@pytest.mark.parametrize("said", [b"", b'{"id":"","type":"message_batch"}', b'{"id":"f"}'])
def test_what_is_no_batch_begins_none(said):
    assert begun_batch(said, ExchangeRow(opened=opened("ex_1")), has_budget=False) is None


def test_a_batch_whose_creation_is_not_on_record_is_nobodys():
    said = b'{"id":"msgbatch_1","type":"message_batch"}'
    assert begun_batch(said, None, has_budget=True) is None


# -- how results are booked -----------------------------------------------------------------------


def talk_of(*batches, ledger: MemoryLedger | None = None, **given) -> Talk:
    talk = Talk(setup=setup(**given), ledger=ledger or MemoryLedger())
    talk.setup.batches.remember(batches, now=NOON)
    return talk


def read(talk: Talk, lines: bytes = RESULTS, **given) -> None:
    talk.run(BATCH, FakeUpstream([lines], headers=JSONL, **given))


def test_items_have_the_task_and_the_budget_of_the_batch_whoever_reads_them():
    talk = talk_of(known(scope="task:t1"))

    read(talk)

    opened = talk.row("msgbatch_1:a").opened
    assert (opened.attribution, opened.scope) == (attribution(), "task:t1")


@pytest.mark.parametrize(("cap", "scope"), [(None, None), (10**12, "task:t7")])
def test_items_of_a_foreign_batch_have_the_task_of_the_reader(cap, scope):
    talk = talk_of(task_cap_pico=cap)
    asked = BATCH.__class__(
        exchange_id="ex_9",
        method="GET",
        path=BATCH.path,
        headers={"x-farthing-task": "t7"},
        received=BATCH.received,
    )

    talk.run(asked, FakeUpstream([RESULTS], headers=JSONL))

    opened = talk.row("msgbatch_1:a").opened
    assert (opened.attribution.task_id, opened.scope) == ("t7", scope)


def test_a_batch_whose_lines_are_all_booked_was_read_whole():
    talk = talk_of(known())

    read(talk)

    assert talk.setup.batches.take_whole("msgbatch_1") == known()


@pytest.mark.parametrize(
    ("lines", "status", "failing"),
    [
        (RESULTS, 206, {}),
        (RESULTS + b"no json", 200, {}),
        (RESULTS, 200, {"open": 1}),
        (json.dumps({}).encode(), 404, {}),
    ],
)
def test_a_batch_that_was_read_in_part_was_not_read_whole(lines, status, failing):
    talk = talk_of(known(), ledger=Failing(failing=failing))

    read(talk, lines, status=status)

    assert talk.setup.batches.take_whole("msgbatch_1") is None


def test_of_a_booked_batch_nothing_is_booked_again_even_if_its_rows_have_gone():
    talk = talk_of(known(ending="booked"))

    read(talk)

    assert list(talk.ledger.rows()) == []


ENDED = {
    "id": "msgbatch_1",
    "type": "message_batch",
    "processing_status": "ended",
    "request_counts": {"succeeded": 2, "processing": 0},
}


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ({}, ("msgbatch_1", 2)),
        ({"processing_status": "canceling"}, None),
        ({"type": "message"}, None),
        ({"request_counts": None}, None),
    ],
)
def test_an_answer_says_whether_a_batch_has_ended(said: Any, found: Any):
    assert ended_batch(json.dumps(ENDED | said).encode()) == found


def test_what_a_row_was_held_in_is_known_until_its_batch_is_over():
    rows = rows_of([("a", 0, 1)])
    book = BatchBook()
    book.hold(rows)

    assert book.keys_held("msgbatch_1", "a") == ("all", "opus")
    assert book.keys_held("msgbatch_1", "b") == book.keys_held("msgbatch_2", "a") == ()
    book.has_ended("msgbatch_1")
    assert book.keys_held("msgbatch_1", "a") == ()
