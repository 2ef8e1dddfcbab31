"""What was saved rests with its exchange, in every ledger; sums are those of the rows."""

from __future__ import annotations

from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from farthing.core.holdout import TaskCost
from farthing.core.records import Accounting, LeverSaving, RowFilter
from farthing.ledger import MemoryLedger, SqliteLedger
from farthing.ledger.checking import check
from farthing.ledger.database import open_reader
from farthing.ledger.money import join
from farthing.ledger.reporting import Window
from farthing.ledger.saving_figures import open_saving_figures
from farthing.ledger.savings import SAVED_COUNTS, SAVED_MONEY, HourlySavings, SavingsKey
from farthing.pricing import Cost
from farthing.wire.usage import Usage
from tests.contract.exchanges import (
    ACCOUNTING,
    COST,
    NOON,
    attribution,
    failed,
    opened,
    settled,
    unsettled,
)
from tests.contract.places import Place, sqlite

LEVERS = ["cache.marks", "cache.ttl", "repair.tools_order"]
AMOUNTS = st.integers(-(10**19), 10**19)


def accounting(cost: int, saved: list[int], **given) -> Accounting:
    savings = tuple(
        LeverSaving(lever=lever, saved_pico=amount)
        for lever, amount in zip(LEVERS, saved, strict=False)
    )
    return Accounting(baseline_pico=cost + sum(saved), savings=savings, **given)


def sums_of(ledger) -> dict[SavingsKey, list[int]]:
    """What the rows add up to."""
    sums = HourlySavings()
    for row in ledger.rows(RowFilter()):
        sums.add(row)
    return dict(sums.items())


def stored_sums(path) -> dict[SavingsKey, list[int]]:
    """What the file's read model says, lines that count nothing left out."""
    lines = {}
    with closing(open_reader(path)) as reader:
        for row in reader.execute("SELECT * FROM hourly_savings"):
            money = [join(row[f"{name}_usd"], row[f"{name}_pico"]) for name in SAVED_MONEY]
            line = [*(row[name] for name in SAVED_COUNTS), *money]
            if any(line):
                lines[SavingsKey(row["hour"], row["task_type"], row["model"], row["lever"])] = line
    return lines


@pytest.mark.parametrize(
    "given",
    [
        ACCOUNTING,
        Accounting(baseline_pico=21),
        accounting(21, [3, -40, 0], is_held_out=True, miss_cause="tools", workload="w"),
        accounting(21, [10**19, -(10**19)], own_cost_pico=10**19),
        Accounting(baseline_pico=21, foreseen=Usage()),
    ],
)
def test_an_accounting_is_the_same_value_after_a_restart(place, given):
    place.ledger.open(opened())
    place.ledger.settle(settled(accounting=given))

    row = place.restart().row("x1")
    assert row.settlement.accounting == given


def test_a_later_attempt_takes_the_place_of_the_accounting_before(place):
    place.ledger.open(opened())
    place.ledger.settle(failed(accounting=accounting(0, [5])))
    place.ledger.open(opened(attempt=2))
    assert place.ledger.row("x1").settlement is None
    place.ledger.settle(settled(attempts=2))

    assert place.restart().row("x1").settlement.accounting == ACCOUNTING
    assert {key.lever for key in sums_of(place.ledger)} == {"", "cache.marks", "cache.ttl"}


@pytest.mark.parametrize(
    "ending",
    [
        settled(accounting=None),
        settled(cost=None, accounting=ACCOUNTING),
        unsettled(low=1, high=2, accounting=ACCOUNTING),
    ],
)
def test_what_is_unsettled_unpriced_or_not_compared_is_in_no_saving(place, ending):
    place.ledger.open(opened())
    place.ledger.settle(ending)

    assert sums_of(place.ledger) == {}


@given(
    endings=st.lists(
        st.tuples(
            st.integers(0, 2),
            st.integers(0, 10**19),
            st.lists(AMOUNTS, max_size=3),
            st.integers(0, 10**15),
            st.booleans(),
        ),
        max_size=12,
    )
)
def test_sums_are_those_of_the_rows_and_levers_add_up_whatever_was_tried_again(
    tmp_path_factory, endings
):
    place = Place(sqlite(tmp_path_factory.mktemp("ledger")))
    memory = MemoryLedger()
    attempts = dict.fromkeys(range(3), 0)
    for number, amount, saved, own, is_held_out in endings:
        attempts[number] += 1
        attempt = attempts[number]
        cost = Cost(output=amount)
        ending = settled(
            f"x{number}",
            cost=cost,
            attempts=attempt,
            accounting=accounting(amount, saved, own_cost_pico=own, is_held_out=is_held_out),
        )
        for ledger in (place.ledger, memory):
            ledger.open(opened(f"x{number}", minutes=40 * number, attempt=attempt))
            ledger.settle(ending)
    rows = list(place.ledger.rows(RowFilter()))
    path = place.ledger.path  # type: ignore[attr-defined]  # this place is SQLite
    place.ledger.close()

    assert rows == list(memory.rows(RowFilter()))
    lines = stored_sums(path)
    assert lines == {key: line for key, line in sums_of(memory).items() if any(line)}
    for key, line in lines.items():
        whole = dict(zip((*SAVED_COUNTS, *SAVED_MONEY), line, strict=True))
        if not key.lever:
            parts = [other[5] for k, other in lines.items() if k.lever and k[:3] == key[:3]]
            assert whole["saved"] == whole["baseline"] - whole["cost"] == sum(parts)
    assert {finding.level for finding in check(path) if finding.name == "savings"} == {"ok"}


def test_a_journal_read_back_brings_savings_once(tmp_path):
    path = tmp_path / "ledger.db"
    ledger = SqliteLedger(path, gather_seconds=0.001)
    ledger.open(opened())
    ledger.settle(settled())
    ledger.flush()
    journal = next(tmp_path.glob("*.intents-*"))
    lines = journal.read_bytes()
    ledger.close()
    before = stored_sums(path)
    journal.with_name(f"{path.name}.intents-00000001").write_bytes(lines)

    SqliteLedger(path).close()

    assert stored_sums(path) == before != {}


def test_old_rows_go_with_their_savings_and_the_sums_stay(tmp_path):
    path = tmp_path / "ledger.db"
    ledger = SqliteLedger(path, gather_seconds=0.001)
    for hour in (0, 2):
        ledger.open(opened(f"x{hour}", minutes=60 * hour))
        ledger.settle(settled(f"x{hour}"))
    ledger.delete_before(replace(opened(), opened_at=NOON.replace(hour=13)).opened_at)
    ledger.close()

    with closing(open_reader(path)) as reader:
        for table, count in (("accountings", 1), ("lever_savings", 2)):
            assert reader.execute(f"SELECT count(*) FROM {table}").fetchone()[0] == count
    assert len(stored_sums(path)) == 6
    assert {finding.level for finding in check(path) if finding.name == "savings"} == {"ok"}


def test_the_usage_foreseen_keeps_the_four_parts_of_the_prompt_only(tmp_path):
    foreseen = Usage(uncached=1, cache_write_5m=2, cache_write_1h=3, cache_read=4, output=5)
    ledger = SqliteLedger(tmp_path / "ledger.db", gather_seconds=0.001)
    ledger.open(opened())
    ledger.settle(settled(accounting=replace(ACCOUNTING, foreseen=foreseen)))
    (row,) = ledger.rows(RowFilter())
    ledger.close()

    assert row.settlement is not None
    assert row.settlement.accounting is not None
    assert row.settlement.accounting.foreseen == replace(foreseen, output=0)


def test_a_task_costs_its_calls_and_what_we_spent_for_it_once(tmp_path):
    path = tmp_path / "ledger.db"
    ledger = SqliteLedger(path, gather_seconds=0.001)
    cost = COST.total
    for name, made in {
        "beside": Accounting(baseline_pico=cost, own_cost_pico=5),
        "ping": Accounting(baseline_pico=cost, own_cost_pico=cost),
        "held out": Accounting(baseline_pico=cost, is_held_out=True),
        "part": Accounting(baseline_pico=cost),
        "other part": Accounting(baseline_pico=cost, is_held_out=True),
    }.items():
        root = {"beside": "a", "ping": "a", "held out": "b"}.get(name, "mixed")
        ledger.open(opened(name, attribution=attribution(root_task_id=root)))
        ledger.settle(settled(name, accounting=made))
    ledger.close()

    with open_saving_figures(path) as figures:
        found = figures.tasks(Window())
        late = figures.tasks(Window(since=NOON.replace(hour=13)))
        whole = figures.whole(Window())
    assert set(found.costs) == {
        TaskCost(task_type="review", cost_pico=2 * cost + 5, is_held_out=False),
        TaskCost(task_type="review", cost_pico=cost, is_held_out=True),
    }
    assert (found.mixed, late.costs, late.mixed) == (1, (), 0)
    assert (whole.net_pico, whole.held_out) == (-5 - cost, 2)
