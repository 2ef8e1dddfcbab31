"""Advice from learned tables: priors, guards, margins; tables as values."""

from __future__ import annotations

import pytest

from farthing.core.second_sightings import SecondSightings
from farthing.core.ttl_experts import Multipliers, Step
from farthing.core.ttl_tables import GUARD_GAPS, Advice, TtlTables
from farthing.errors import LedgerError
from tests.unit.core.cache_prompts import RATES

PRICES = Multipliers.of(RATES)
CLASSES = ("main/end_turn", "main")


def _fed(gap: float, count: int, *, advice: Advice | None = None) -> Advice:
    fed = advice or Advice()
    for _ in range(count):
        fed.record(CLASSES, Step(gap_seconds=gap, shared=100, total=100), PRICES)
    return fed


def test_with_nothing_seen_the_client_is_right() -> None:
    advice = Advice()
    assert advice.base(CLASSES, "1h") == "1h"
    assert advice.base(CLASSES, "5m") == "5m"
    assert advice.base(CLASSES, None) == "5m"
    assert advice.head(CLASSES, "1h") == "1h"


def test_pauses_teach_an_hour_and_long_absences_five_minutes() -> None:
    assert _fed(1_200, GUARD_GAPS).base(CLASSES, "5m") == "1h"
    assert _fed(7_200, GUARD_GAPS).base(CLASSES, "1h") == "5m"
    assert _fed(1_200, GUARD_GAPS).head(CLASSES, "5m") == "1h"


def test_a_few_gaps_are_mixed_with_the_guard_by_half() -> None:
    few, enough = Advice(), Advice()
    for advice, times in ((few, 1), (enough, 4)):
        for _ in range(times):
            _fed(1_200, 1, advice=advice)
            _fed(60, 4, advice=advice)
    one, other = few._scores(CLASSES)["1h"], enough._scores(CLASSES)["1h"]
    assert one == pytest.approx(0.5 * other + 0.5)


def test_a_narrow_class_is_followed_once_it_has_enough_gaps() -> None:
    advice = Advice()
    for _ in range(GUARD_GAPS):
        advice.record(("main",), Step(gap_seconds=7_200, shared=1, total=1), PRICES)
    for _ in range(GUARD_GAPS - 1):
        advice.record(("main/x",), Step(gap_seconds=1_200, shared=1, total=1), PRICES)
    assert advice.base(("main/x", "main"), "5m") == "5m"
    advice.record(("main/x",), Step(gap_seconds=1_200, shared=1, total=1), PRICES)
    assert advice.base(("main/x", "main"), "5m") == "1h"


def test_belief_in_top_ups_starts_at_one_half_and_follows_the_answers() -> None:
    advice = Advice()
    assert advice.upgrade_probability == 0.5
    advice.record_upgrade(held=True)
    assert advice.upgrade_probability == pytest.approx(2 / 3)
    for _ in range(8):
        advice.record_upgrade(held=False)
    assert advice.upgrade_probability == pytest.approx(2 / 11)


def test_the_seed_counts_and_stays_as_it_is() -> None:
    seed = _fed(1_200, GUARD_GAPS).own
    before = seed.dump()
    advice = Advice(seed)
    assert advice.base(CLASSES, "5m") == "1h"
    advice.open_epoch(CLASSES)
    assert seed.dump() == before
    assert set(advice.own.by_class) == set(CLASSES)


def test_pauses_start_at_one_in_forty_and_are_learned() -> None:
    assert Advice().pause_probability("main") == pytest.approx(1 / 40)
    assert _fed(1_200, 80).pause_probability("main") > 0.6


def test_ten_one_shots_in_a_row_are_needed_to_skip_a_write() -> None:
    advice = Advice()
    for _ in range(9):
        advice.record_new("main/first", returned=False)
    assert not advice.is_one_shot("main/first", PRICES)
    advice.record_new("main/first", returned=False)
    assert advice.is_one_shot("main/first", PRICES)


def test_rows_of_several_processes_add_up_and_survive_the_ledger() -> None:
    rows = [_fed(1_200, 3).own, _fed(60, 4).own]
    rows[0].upgrades_held, rows[1].upgrades_failed = 2, 1
    whole = TtlTables.parse(TtlTables.total(rows).dump())
    assert whole.by_class["main"].gaps == 7
    assert (whole.upgrades_held, whole.upgrades_failed) == (2, 1)


def test_a_broken_row_names_who_must_act() -> None:
    with pytest.raises(LedgerError, match="learned lifetimes cannot be read"):
        TtlTables.parse(b"{")


def test_classes_are_bounded() -> None:
    tables = TtlTables()
    for number in range(1_000):
        tables.table(f"kind {number}").gaps += 1
    assert len(tables.by_class) == 257
    assert tables.by_class["others"].gaps == 1_000 - 256


@pytest.mark.parametrize(("now", "opened"), [(300.9, 1), (301.0, 1.99)])
def test_new_prefixes_count_when_they_return_or_after_five_minutes(
    now: float, opened: float
) -> None:
    advice = Advice()
    sightings = SecondSightings(advice)
    sightings.first("a", "c", 0.0)
    sightings.first("b", "c", 1.0)
    sightings.again("a")
    sightings.again("a")
    sightings.lapse(now)
    assert advice.own.table("c").opened == opened
    assert len(sightings) == 1


@pytest.mark.parametrize(("now", "returned"), [(3_599.0, 1), (3_600.0, 0)])
def test_who_returns_within_the_hour_corrects_the_count(now: float, returned: float) -> None:
    advice = Advice()
    sightings = SecondSightings(advice)
    sightings.first("a", "c", 0.0)
    sightings.lapse(300.0)
    sightings.lapse(now)
    sightings.again("a")
    assert (advice.own.table("c").opened, advice.own.table("c").returned) == (1, returned)


def test_new_prefixes_that_wait_are_bounded() -> None:
    advice = Advice()
    sightings = SecondSightings(advice, capacity=2)
    for number in range(9):
        sightings.first(number, "c", float(number))
    assert len(sightings) == 2
    for number in range(9):
        sightings.first(number, "c", 400.0 * number)
        sightings.lapse(400.0 * number)
    assert len(sightings) == 3
    assert advice.own.table("c").opened > 5
