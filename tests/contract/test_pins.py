"""What every store of pins and learned tables does: one winner, and both replicas know it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from farthing.core.pins import LineagePin, RepairChoice
from farthing.driver.pins import PinStore
from farthing.ledger import SqliteLedger
from farthing.ledger.pins import MemoryPins, SqlitePins

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
PIN = LineagePin(
    lineage_id="L1",
    ttl_head="1h",
    ttl_tail="5m",
    repairs=(RepairChoice(lever="repair.tools_order"),),
    policy_digest="p1",
    engine_version="1",
    chosen_at=NOON,
)
OTHER = replace(PIN, ttl_tail="1h", policy_digest="p2")


@pytest.fixture(params=["memory", "sqlite"])
def replica(request, tmp_path) -> Iterator[Callable[[], PinStore]]:
    """Opens the same store once more: another process on one SQLite file, the same in memory."""
    memory = MemoryPins()
    opened: list[PinStore] = []

    def open_one() -> PinStore:
        store = memory if request.param == "memory" else SqlitePins(tmp_path / "ledger.db")
        opened.append(store)
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def pins(replica: Callable[[], PinStore]) -> PinStore:
    return replica()


def test_an_unknown_lineage_has_no_pin(pins):
    assert pins.pin("L1", NOON) is None


def test_a_pin_is_kept_and_found_by_every_replica(replica):
    assert replica().keep(PIN, NOON) == PIN
    assert replica().pin("L1", NOON) == PIN


def test_the_first_replica_to_choose_wins_and_the_second_is_told(replica):
    one, other = replica(), replica()
    assert one.keep(PIN, NOON) == PIN
    assert other.keep(OTHER, NOON) == PIN
    assert one.pin("L1", NOON) == PIN


def test_only_the_next_epoch_takes_the_place_of_a_pin(pins):
    pins.keep(PIN, NOON)
    assert pins.keep(replace(OTHER, epoch=2), NOON) == PIN
    assert pins.keep(replace(OTHER, epoch=1), NOON) == replace(OTHER, epoch=1)
    assert pins.keep(PIN, NOON) == replace(OTHER, epoch=1)


def test_of_two_epochs_chosen_at_once_one_wins(replica):
    one, other = replica(), replica()
    one.keep(PIN, NOON)
    winner = one.keep(replace(OTHER, epoch=1), NOON)
    assert other.keep(replace(PIN, epoch=1, pings=3), NOON) == winner


def test_threads_that_choose_together_agree(replica):
    store = replica()
    found: list[LineagePin] = []
    threads = [
        threading.Thread(target=lambda n=n: found.append(store.keep(replace(PIN, pings=n), NOON)))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len({pin.pings for pin in found}) == 1


def test_pins_that_nobody_asks_for_expire_and_the_others_stay(pins):
    pins.keep(PIN, NOON)
    pins.keep(replace(PIN, lineage_id="L2"), NOON)
    day = timedelta(days=1)
    assert pins.pin("L1", NOON + day) == PIN

    assert pins.expire(NOON) == 0
    assert pins.expire(NOON + day) == 1
    assert pins.pin("L2", NOON + day) is None
    assert pins.pin("L1", NOON + day) == PIN


def test_a_learned_table_is_saved_and_loaded(replica):
    assert replica().table("ttl") is None
    assert replica().save_table("ttl", b"\x00{}", based_on=0, now=NOON)

    found = replica().table("ttl")
    assert found is not None
    assert (found.name, found.version, found.saved_at, found.body) == ("ttl", 1, NOON, b"\x00{}")


def test_a_table_that_another_replica_saved_in_between_is_not_overwritten(replica):
    one, other = replica(), replica()
    assert one.save_table("ttl", b"1", based_on=0, now=NOON)
    assert not other.save_table("ttl", b"mine", based_on=0, now=NOON)
    assert other.save_table("ttl", b"2", based_on=1, now=NOON)
    assert not one.save_table("ttl", b"late", based_on=1, now=NOON)

    found = one.table("ttl")
    assert found is not None
    assert (found.version, found.body) == (2, b"2")


def test_pins_live_in_the_file_of_a_ledger_that_is_open(tmp_path):
    ledger = SqliteLedger(tmp_path / "ledger.db", gather_seconds=0.001)
    pins = SqlitePins(tmp_path / "ledger.db")
    pins.keep(PIN, NOON)
    pins.close()
    ledger.close()
    again = SqlitePins(tmp_path / "ledger.db")
    assert again.pin("L1", NOON) == PIN
    again.close()
