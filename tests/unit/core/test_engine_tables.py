"""What a process learned since it last said so."""

from __future__ import annotations

from farthing.core.engine_tables import grown
from farthing.core.ttl_experts import TtlTable
from farthing.core.ttl_tables import TtlTables


def tables(cost: float, gaps: float) -> TtlTables:
    table = TtlTable(costs={"5m": cost}, gaps=gaps)
    return TtlTables(by_class={"main": table}, upgrades_held=gaps)


def test_growth_added_to_what_was_saved_is_the_whole():
    assert TtlTables.total([tables(2.0, 1.0), grown(tables(5.0, 4.0), tables(2.0, 1.0))]) == tables(
        5.0, 4.0
    )


def test_a_new_class_is_all_growth_and_a_faded_one_none():
    assert grown(tables(5.0, 4.0), TtlTables()) == tables(5.0, 4.0)
    assert grown(tables(1.0, 4.0), tables(2.0, 4.0)).by_class["main"].costs == {"5m": 0.0}
