"""Roots that are remembered: whoever is below a task counts on what that task counts on."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from farthing.core.budgets import Budget
from farthing.core.budgets_board import BudgetBoard
from farthing.core.exchange_prepare import Setup, prepare
from farthing.core.loop_limits import TreeLimits
from farthing.core.loop_terms import LoopRules
from farthing.core.loop_watch import LoopWatch
from farthing.core.records import Attribution
from farthing.core.task_roots import TaskRoots
from farthing.ledger.memory import MemoryLedger
from tests.unit.core.engine_cases import attribution
from tests.unit.driver.talks import FakeUpstream, Talk, call, message, setup


def below(task: str, parent: str | None, *, root: str | None = None, key: str = "k") -> Attribution:
    said = root or parent or task
    return attribution(task_id=task, root_task_id=said, parent_task_id=parent, key_scope=key)


def told(roots: TaskRoots, task: str, parent: str, *, key: str = "k") -> str:
    """The root of a call that names its parent alone."""
    return roots.settled(below(task, parent, key=key), says_root=False).root_task_id


def said(roots: TaskRoots, task: str, parent: str | None, root: str) -> str:
    return roots.settled(below(task, parent, root=root), says_root=True).root_task_id


def test_every_generation_counts_on_the_first():
    roots = TaskRoots()
    family = ["root", "kid", "kid2", "kid3", "kid4"]

    assert {told(roots, b, a) for a, b in pairwise(family)} == {"root"}


def test_a_call_that_says_its_root_is_believed_and_remembered_for_who_is_below_it():
    roots = TaskRoots()

    assert said(roots, "kid", "unheard", "top") == "top"
    assert told(roots, "kid2", "kid") == "top"
    assert told(roots, "kid", "unheard") == "top"  # it need not say so again
    assert told(roots, "kid", "unheard") == "top"
    assert told(roots, "kid", "another") == "another"
    assert said(roots, "alone", None, "top") == "top"
    assert told(roots, "kid3", "alone") == "top"


def test_a_child_whose_parent_is_unknown_counts_on_it_until_that_is_heard_of():
    roots = TaskRoots()

    assert told(roots, "kid2", "kid") == "kid"
    assert told(roots, "kid", "root") == "root"
    assert told(roots, "kid2", "kid") == "root"


def test_the_names_of_another_key_mean_something_else():
    roots = TaskRoots()
    told(roots, "kid", "root")

    assert told(roots, "kid2", "kid", key="other") == "kid"


def test_names_in_a_circle_come_to_an_end():
    roots = TaskRoots()
    for _ in range(3):
        assert told(roots, "a", "b") in {"a", "b"}
        assert told(roots, "b", "a") in {"a", "b"}
    assert told(roots, "self", "self") == "self"


def test_memory_is_bounded_and_a_parent_that_is_asked_for_stays():
    roots = TaskRoots(capacity=3)
    told(roots, "kid", "root")
    for number in range(50):
        assert told(roots, f"leaf{number}", "kid") == "root"

    assert len(roots) == 3
    assert told(roots, "late", "leaf1") == "leaf1"


def test_what_an_earlier_process_knew_is_learned():
    roots = TaskRoots()
    roots.learn([("k", "kid", "old"), ("k", "kid", "root")])

    assert told(roots, "kid2", "kid") == "root"


# -- in an exchange -------------------------------------------------------------------------------


def root_of(parts: Setup, **headers: Any) -> str:
    return prepare(call(**headers), parts).attribution.root_task_id


@pytest.mark.parametrize("blank", ["", " ", "\x01"])
def test_a_root_that_says_nothing_is_no_root(blank: str):
    parts = setup()
    root_of(parts, x_farthing_task="kid", x_farthing_parent="root")
    kid2 = {"x_farthing_task": "kid2", "x_farthing_parent": "kid", "x_farthing_root": blank}

    assert root_of(parts, **kid2) == "root"


def test_what_is_below_an_agent_of_claude_code_counts_on_its_session():
    parts = setup()
    agent = {"x_claude_code_session_id": "s", "x_claude_code_agent_id": "a"}

    assert root_of(parts, **agent) == "s"
    assert root_of(parts, x_farthing_task="kid", x_farthing_parent="s/a") == "s"
    named = {"x_farthing_task": "kid2", "x_farthing_parent": "kid", "x_farthing_root": "mine"}
    assert root_of(parts, **named) == "mine"


def test_calls_without_a_parent_are_not_remembered():
    parts = setup()
    for headers in ({}, {"x_farthing_task": "t"}, {"x_claude_code_session_id": "s"}):
        root_of(parts, **headers)

    assert len(parts.roots) == 0


def test_a_budget_over_trees_counts_grandchildren_on_the_root():
    budget = Budget(name="tree", scope="tree", limit_pico=10**12)
    one = Talk(setup=setup(board=BudgetBoard(budgets=(budget,))))
    for number, (task, parent) in enumerate((("kid", "root"), ("kid2", "kid"), ("kid3", "kid2"))):
        headers: Any = {"x_farthing_task": task, "x_farthing_parent": parent}
        asked = call(exchange_id=f"ex_{number}", **headers)
        one.run(asked, FakeUpstream([message()]))

    assert isinstance(one.ledger, MemoryLedger)
    rows = list(one.ledger.rows())
    assert {row.opened.budget_keys for row in rows} == {("tree:root",)}
    costs = [row.settlement.cost.total for row in rows if row.settlement and row.settlement.cost]
    assert len(costs) == 3
    assert one.ledger.spent_and_held("tree:root") == (sum(costs), 0)


def test_the_limits_of_a_tree_see_the_depth_of_grandchildren():
    watch = LoopWatch(LoopRules(trees=TreeLimits(depth=2)), key=b"k" * 32)
    one = Talk(setup=setup(loops=watch))
    said = []
    for task, parent in (("kid", "root"), ("kid2", "kid"), ("kid3", "kid2")):
        headers: Any = {"x_farthing_task": task, "x_farthing_parent": parent}
        seen = one.run(call(exchange_id=task, **headers), FakeUpstream([message()]))
        said.append(seen.headers.get("x-farthing-loop", "").split(" step")[0])

    assert said == ["", "", "recursion_depth repeats=3"]
