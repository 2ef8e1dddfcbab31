"""What every ledger keeps of batches."""

from __future__ import annotations

from datetime import timedelta

import pytest

from farthing.core.batches import KnownBatch
from farthing.driver.jobs.batch_register import BatchStore
from farthing.ledger import MemoryLedger, SqliteLedger
from farthing.ledger.journal import segments
from tests.contract.exchanges import NOON, known

HOUR = timedelta(hours=1)


@pytest.fixture(params=["memory", "sqlite"])
def store(request, tmp_path):
    made = MemoryLedger() if request.param == "memory" else SqliteLedger(tmp_path / "ledger.db")
    yield made
    made.close()


def kept(store: BatchStore) -> list[KnownBatch]:
    return store.batches(created_from=NOON - HOUR)


def test_batches_come_back_as_they_were_kept_oldest_first(store):
    batches = [known("b"), known("a", created_at=NOON + HOUR, scope="task:t1")]
    for batch in reversed(batches):
        store.keep_batch(batch)

    assert kept(store) == batches


def test_batches_of_long_ago_are_left_out(store):
    store.keep_batch(known(created_at=NOON - 2 * HOUR))

    assert kept(store) == []


@pytest.mark.parametrize("ending", ["booked", "lost"])
def test_a_batch_ends_once(store, ending):
    ended = known(ending=ending, ended_at=NOON + HOUR)
    store.keep_batch(known())
    store.keep_batch(ended)

    assert kept(store) == [ended]


def test_a_killed_process_loses_no_batch_and_a_booked_one_stays_booked(tmp_path):
    path = tmp_path / "ledger.db"
    ended = known(ending="booked", ended_at=NOON)
    ledger = SqliteLedger(path)
    ledger.keep_batch(known("open"))
    ledger.keep_batch(known())
    ledger.keep_batch(ended)
    journal = segments(path)[0].read_bytes()
    ledger.close()
    # what was committed is read back a second time, its first line last
    first = journal.splitlines(keepends=True)
    path.with_name(f"{path.name}.intents-00000001").write_bytes(b"".join([*first, first[1]]))

    ledger = SqliteLedger(path)

    assert {batch.batch_id: batch for batch in kept(ledger)} == {
        "open": known("open"),
        "msgbatch_1": ended,
    }
    ledger.close()


@pytest.mark.parametrize(("days", "is_kept"), [(31, False), (29, True)])
def test_retention_keeps_a_batch_for_as_long_as_its_results_can_be_read(tmp_path, days, is_kept):
    ledger = SqliteLedger(tmp_path / "ledger.db")
    ledger.keep_batch(known(ending="booked", ended_at=NOON))
    ledger.keep_batch(known("waits"))

    ledger.delete_before(NOON + timedelta(days=days))

    assert [batch.batch_id for batch in kept(ledger)] == ["msgbatch_1"] * is_kept + ["waits"]
    ledger.close()
