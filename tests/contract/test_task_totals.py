"""What a task cost, alone and with the tasks below it: every ledger says the same."""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from farthing.core.records import Outcome, RowFilter, Settlement
from farthing.ledger import MemoryLedger, SqliteLedger
from farthing.ledger.tasks import TaskSums, TaskTotals, task_totals
from farthing.wire.usage import Usage
from tests.contract.exchanges import (
    COST,
    NOON,
    USAGE,
    attribution,
    failed,
    opened,
    released,
    settled,
    unsettled,
)


def call(ledger, exchange_id, *, task="t", parent=None, root=None, minutes=0.0, ending=None, **who):
    """One exchange of a task."""
    whose = attribution(
        task_id=task, parent_task_id=parent, root_task_id=root or parent or task, **who
    )
    ledger.open(opened(exchange_id, minutes=minutes, attribution=whose))
    if ending is not None:
        ledger.settle(ending)


def by_id(ledger, where: RowFilter = RowFilter()) -> dict[str, TaskTotals]:  # noqa: B008 -- frozen
    return {task.task_id: task for task in task_totals(ledger, where)}


def test_a_task_has_the_sums_of_its_own_exchanges(ledger):
    call(ledger, "a", ending=settled("a"))
    call(ledger, "b", minutes=1, ending=failed("b"))
    call(ledger, "c", minutes=2, ending=unsettled("c", low=5, high=90))
    call(ledger, "d", minutes=3, ending=unsettled("d", low=1, high=None))
    call(ledger, "e", minutes=4, ending=settled("e", cost=None))
    call(ledger, "f", minutes=5, ending=released("f"))
    call(ledger, "g", minutes=6)

    (task,) = task_totals(ledger)

    assert task.own == task.tree
    assert task.own == TaskSums(
        exchanges=7,
        turns=2,
        held=1,
        settled=3,
        released=1,
        unsettled=2,
        unpriced=2,
        errors=1,
        attempts=6,
        uncached_tokens=20,
        cache_write_5m_tokens=40,
        cache_write_1h_tokens=60,
        cache_read_tokens=80,
        output_tokens=100,
        cost_pico=COST.total,
        baseline_pico=30,
        compared_pico=COST.total,
        low_pico=6,
        high_pico=90,
        turns_us=6_000_000,
        first_at=NOON,
        last_at=NOON + timedelta(minutes=6),
    )
    assert task.own.usage.prompt == 2 * USAGE.prompt


def test_attempts_of_one_call_are_one_exchange_of_its_task(ledger):
    call(ledger, "a", ending=failed("a"))
    whose = attribution(task_id="t", parent_task_id=None, root_task_id="t")
    ledger.open(opened("a", attempt=2, attribution=whose))
    ledger.settle(settled("a", attempts=2))

    (task,) = task_totals(ledger)

    assert (task.own.exchanges, task.own.turns, task.own.attempts) == (1, 1, 2)
    assert task.own.errors == 0
    assert task.own.cost_pico == COST.total


def test_a_tree_adds_up_the_tasks_below_and_own_adds_up_to_the_bill(ledger):
    call(ledger, "a", task="root", ending=settled("a"))
    call(ledger, "b", task="child", parent="root", minutes=1, ending=settled("b"))
    call(ledger, "c", task="leaf", parent="child", root="root", minutes=2, ending=settled("c"))

    tasks = by_id(ledger)

    assert [tasks[name].tree.exchanges for name in ("root", "child", "leaf")] == [3, 2, 1]
    assert [task.own.exchanges for task in tasks.values()] == [1, 1, 1]
    assert {task.root_task_id for task in tasks.values()} == {"root"}
    assert tasks["root"].tree.cost_pico == sum(task.own.cost_pico for task in tasks.values())
    assert (tasks["root"].tree.first_at, tasks["root"].began_at) == (NOON, NOON)


def test_a_task_without_calls_of_its_own_is_known_by_its_outcome(ledger):
    call(ledger, "a", task="leaf", parent="middle", root="top", ending=settled("a"))
    ledger.outcome(
        "middle", Outcome(outcome="failed", score=0.2, task_type="fix", parent_task_id="top")
    )
    ledger.outcome("top", Outcome(outcome="passed", task_type="project"))
    ledger.outcome("elsewhere", Outcome(outcome="passed", task_type="idle"))

    tasks = by_id(ledger)

    assert set(tasks) == {"leaf", "middle", "top"}
    middle, top = tasks["middle"], tasks["top"]
    assert (middle.task_type, middle.outcome, middle.score) == ("fix", "failed", 0.2)
    assert (middle.parent_task_id, middle.own, middle.tree.exchanges) == ("top", TaskSums(), 1)
    assert (top.task_type, top.outcome, top.parent_task_id) == ("project", "passed", None)
    assert top.tree.cost_pico == COST.total


def test_a_parent_that_nobody_knows_anything_of_hangs_below_the_root(ledger):
    call(ledger, "a", task="leaf", parent="middle", root="top", ending=settled("a"))

    tasks = by_id(ledger)

    assert tasks["middle"].parent_task_id == "top"
    assert tasks["middle"].task_type is tasks["middle"].outcome is None
    assert tasks["top"].tree.exchanges == 1


def test_who_a_task_is_stays_known_when_its_outcome_is_said_again(place):
    call(place.ledger, "a", task="leaf", parent="top", ending=settled("a"))
    place.ledger.outcome("top", Outcome(outcome="failed", score=0.1, task_type="project"))
    place.ledger.outcome("top", Outcome(outcome="passed"))

    top = by_id(place.ledger)["top"]

    assert (top.outcome, top.score, top.task_type) == ("passed", None, "project")


def test_the_type_said_first_is_the_type(ledger):
    call(ledger, "a", minutes=2, task_type="late", ending=settled("a"))
    call(ledger, "b", minutes=1, task_type="early", ending=settled("b"))
    call(ledger, "c", minutes=0, task_type=None, ending=settled("c"))

    (task,) = task_totals(ledger)

    assert task.task_type == "early"


def test_tasks_named_in_a_circle_are_counted_once_each(ledger):
    call(ledger, "a", task="x", parent="y", ending=settled("a"))
    call(ledger, "b", task="y", parent="x", minutes=1, ending=settled("b"))
    call(ledger, "c", task="z", parent="z", minutes=2, ending=settled("c"))

    tasks = by_id(ledger)

    assert [tasks[name].tree.exchanges for name in "xyz"] == [2, 2, 1]


@pytest.mark.parametrize(
    ("where", "names"),
    [
        (RowFilter(), ["t1", "t2"]),
        (RowFilter(opened_from=NOON + timedelta(minutes=1)), ["t2"]),
        (RowFilter(opened_until=NOON + timedelta(minutes=1)), ["t1"]),
        (RowFilter(task_id="t2"), ["t2"]),
        (RowFilter(states=("held",)), ["t2"]),
        (RowFilter(limit=1), ["t1"]),
        (RowFilter(limit=0), []),
    ],
)
def test_exchanges_are_chosen_like_rows(ledger, where, names):
    call(ledger, "a", task="t1", ending=settled("a"))
    call(ledger, "b", task="t2", minutes=1)

    assert [task.task_id for task in task_totals(ledger, where)] == names


def test_the_file_of_a_ledger_says_the_same_as_the_ledger(tmp_path):
    ledger = SqliteLedger(tmp_path / "ledger.db")
    call(ledger, "a", ending=settled("a"))
    ledger.outcome("t", Outcome(outcome="passed", score=0.5))

    said = list(task_totals(ledger))
    assert list(task_totals(ledger.path)) == said
    ledger.close()
    assert list(task_totals(ledger.path)) == said
    assert (said[0].outcome, said[0].score) == ("passed", 0.5)


_ENDINGS = st.sampled_from(["settled", "failed", "released", "unsettled", "unpriced", "held"])


def _ending(kind: str, name: str, amount: int) -> Settlement | None:
    match kind:
        case "settled":
            cost = COST.__class__(output=amount)
            return settled(name, cost=cost, usage=Usage(output=amount % 10**9))
        case "failed":
            return failed(name)
        case "released":
            return released(name)
        case "unsettled":
            return unsettled(name, low=amount // 2, high=amount)
        case "unpriced":
            return settled(name, cost=None)
        case _:
            return None


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    calls=st.lists(
        st.tuples(
            st.sampled_from("abcde"),
            st.sampled_from([None, *"abcdef"]),
            _ENDINGS,
            st.integers(0, 20 * 10**18),
        ),
        max_size=12,
    ),
    judged=st.dictionaries(st.sampled_from("abcdef"), st.sampled_from(["passed", "failed"])),
)
def test_every_ledger_says_the_same_of_any_tasks(tmp_path_factory, calls, judged):
    file = SqliteLedger(tmp_path_factory.mktemp("l") / "ledger.db", gather_seconds=0.0)
    memory = MemoryLedger()
    for ledger in (file, memory):
        for number, (task, parent, kind, amount) in enumerate(calls):
            name = f"x{number}"
            ending = _ending(kind, name, amount)
            call(ledger, name, task=task, parent=parent, minutes=number % 5, ending=ending)
        for task, outcome in judged.items():
            ledger.outcome(task, Outcome(outcome=outcome, task_type=f"type-{task}"))

    said = list(task_totals(file))
    file.close()

    assert said == list(task_totals(memory))
    numbers = [row.name for row in fields(TaskSums) if not row.name.endswith("_at")]
    assert all(getattr(task.tree, n) >= getattr(task.own, n) for task in said for n in numbers)
    assert sum(task.own.exchanges for task in said) == len(calls)
    assert sum(task.own.cost_pico for task in said) == sum(
        row.settlement.cost.total
        for row in memory.rows()
        if row.settlement is not None and row.settlement.cost is not None
    )
