"""Learned tables outlive the process, and gateways that share a ledger add theirs up."""

from __future__ import annotations

from datetime import datetime

import pytest

from farthing.core.engine import Engine
from farthing.core.ttl_tables import TtlTables
from farthing.driver.jobs.learned_tables import (
    GOVERNOR,
    LIFETIMES,
    LearnedTables,
    load_governor,
    load_lifetimes,
)
from farthing.driver.pins import LearnedTable
from farthing.errors import LedgerError
from farthing.ledger.pins import MemoryPins
from tests.unit.core.engine_cases import NOW, Process, body, setup
from tests.unit.driver.talks import TickingClock


def learned(pins: MemoryPins, turns: int = 3) -> Process:
    one = Process(engine=Engine(setup()), pins=pins)
    for number in range(turns):
        one.turn(body(number + 1))
    return one


def gaps(found: TtlTables | None) -> float:
    assert found is not None
    return found.by_class["api"].gaps


def test_what_was_learned_is_there_after_a_restart():
    pins = MemoryPins()
    LearnedTables(learned(pins).engine, pins, TickingClock()).save()

    assert gaps(load_lifetimes(pins)) == 2
    governor = load_governor(pins, engine_version="1")
    assert governor is not None
    assert governor.verdict("cache.marks", "api").exchanges == 3


def test_saving_twice_counts_once_and_two_gateways_add_up():
    pins = MemoryPins()
    one, other = (LearnedTables(learned(pins).engine, pins, TickingClock()) for _ in range(2))

    for tables in (one, one, other, one):
        tables.save()

    assert gaps(load_lifetimes(pins)) == 4


class Busy(MemoryPins):
    """Another gateway saves in between, as often as said."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def save_table(self, name: str, body: bytes, *, based_on: int, now: datetime) -> bool:
        if self.times:
            self.times -= 1
            return False
        return super().save_table(name, body, based_on=based_on, now=now)


@pytest.mark.parametrize(("times", "is_saved"), [(2, True), (9, False)])
def test_a_table_that_others_save_is_tried_again_and_then_left(
    times: int, caplog: pytest.LogCaptureFixture, *, is_saved: bool
):
    pins = Busy(times)

    LearnedTables(learned(pins).engine, pins, TickingClock()).save()

    assert (load_lifetimes(pins) is not None) is is_saved
    assert ("was not saved" in caplog.text) is not is_saved


class Unreadable(MemoryPins):
    def table(self, name: str) -> LearnedTable | None:
        raise LedgerError(f"{name} is gone")


def test_tables_that_cannot_be_read_are_begun_anew(caplog: pytest.LogCaptureFixture):
    pins = MemoryPins()
    for name in (LIFETIMES, GOVERNOR):
        pins.save_table(name, b"?", based_on=0, now=NOW)

    assert load_lifetimes(pins) is None
    assert load_lifetimes(Unreadable()) is None
    assert load_governor(pins, engine_version="1") is None
    LearnedTables(learned(pins).engine, pins, TickingClock()).save()
    assert gaps(load_lifetimes(pins)) == 2
    assert caplog.text.count("is begun anew") == 3
