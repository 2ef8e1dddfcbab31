"""What every lifetime would have cost on a gap."""

from __future__ import annotations

import pytest

from farthing.core.ttl_experts import DECAY, EXPERTS, Multipliers, Step, TtlTable
from farthing.pricing import Rates
from tests.unit.core.cache_prompts import RATES

PRICES = Multipliers.of(RATES)


def _costs(step: Step) -> dict[str, float]:
    table = TtlTable()
    table.record(step, PRICES)
    return table.costs


def test_multipliers_are_the_models_own() -> None:
    assert (PRICES.read, PRICES.write_5m, PRICES.write_1h) == (0.1, 1.25, 2.0)
    free = Rates(uncached=0, cache_write_5m=0, cache_write_1h=0, cache_read=0, output=0)
    assert Multipliers.of(free).read == 1.0


@pytest.mark.parametrize(("read", "least"), [(0.1, 0.217), (0.05, 0.208), (0.025, 0.204)])
def test_a_write_pays_from_the_documented_probability_on(read: float, least: float) -> None:
    prices = Multipliers(read=read, write_5m=1.25, write_1h=2.0)
    assert prices.least_reuse == pytest.approx(least, abs=0.0005)


def test_where_writes_cost_nothing_extra_any_reuse_pays() -> None:
    assert Multipliers(read=1.0, write_5m=1.0, write_1h=1.0).least_reuse == 0.0


def test_a_first_request_is_written_by_all_but_one() -> None:
    costs = _costs(Step(gap_seconds=None, shared=0, total=100))
    assert costs == dict(zip(EXPERTS, (100, 125, 200, 125, 125, 125, 125, 125), strict=True))


@pytest.mark.parametrize(
    ("gap", "expected"),
    [
        (299, {"none": 110, "5m": 22.5, "1h": 30, "5m_1_ping": 22.5}),
        (300, {"5m": 137.5, "1h": 30, "5m_1_ping": 32.5, "5m_3_pings": 32.5}),
        (585, {"5m_1_ping": 147.5, "5m_2_pings": 42.5}),
        (3599, {"5m": 137.5, "1h": 30, "5m_3_pings": 167.5}),
        (3600, {"5m": 137.5, "1h": 220, "5m_1_ping": 147.5}),
    ],
)
def test_the_boundaries_of_lifetimes_and_pings(gap: float, expected: dict[str, float]) -> None:
    costs = _costs(Step(gap_seconds=gap, shared=100, total=110))
    assert {name: costs[name] for name in expected} == pytest.approx(expected)


def test_not_writing_still_reads_a_head_that_others_keep() -> None:
    costs = _costs(Step(gap_seconds=None, shared=80, total=100, head=80))
    assert costs["none"] == pytest.approx(28)


def test_a_top_up_costs_an_hour_for_what_is_new_and_saves_the_rewrite_if_it_holds() -> None:
    soon = _costs(Step(gap_seconds=60, shared=100, total=110, tops_up=True))
    late = _costs(Step(gap_seconds=600, shared=110, total=120, topped=110))
    assert soon["5m_then_1h"] == soon["5m_then_1h_failing"] == pytest.approx(30)
    assert late["5m_then_1h"] == pytest.approx(11 + 12.5)
    assert late["5m_then_1h_failing"] == pytest.approx(150)


def test_a_top_up_pays_if_a_pause_is_likely_enough() -> None:
    # 0.75 × 10 added against p × 1.15 × 100 covered: break-even at p = 6.5 %
    assert PRICES.tops_up(added=10, covered=100, pause=0.066)
    assert not PRICES.tops_up(added=10, covered=100, pause=0.065)


def test_costs_fade_by_epoch_and_pauses_by_gap() -> None:
    table = TtlTable()
    table.record(Step(gap_seconds=600, shared=100, total=100), PRICES)
    table.open_epoch()
    assert table.costs["none"] == 100 * DECAY
    table.record(Step(gap_seconds=1, shared=100, total=100), PRICES)
    assert (table.gaps, table.pauses, table.chances) == (2, 0.99, 1.99)


def test_tables_add_up() -> None:
    one, two = TtlTable(), TtlTable()
    for table in (one, two):
        table.record(Step(gap_seconds=600, shared=100, total=100), PRICES)
        table.record_new(returned=True)
    one.add(two)
    assert (one.gaps, one.pauses, one.chances, one.costs["none"]) == (2, 2, 2, 200)
    assert (one.returned, one.opened) == (2, 2)
