"""Trees of tasks: who is how deep, how many there are, how fast they come."""

from __future__ import annotations

from farthing.core.loop_limits import TreeFacts
from farthing.core.loop_trees import TaskTrees
from tests.unit.core.engine_cases import attribution

MINUTE = 60 * 10**9
ROOT = attribution(task_id="r", root_task_id="r")


def child(name: str, parent: str | None = None, *, root: str = "r", key: str = "k"):
    return attribution(task_id=name, root_task_id=root, parent_task_id=parent, key_scope=key)


def test_a_task_is_one_deeper_than_the_one_that_called_it():
    trees = TaskTrees()
    trees.count(ROOT, 0)
    for parent, name in (("r", "a"), ("a", "b"), ("b", "c")):
        assert (
            trees.asked(child(name, parent), 0).depth == len(name + parent) + "abc".index(name) - 1
        )
        trees.count(child(name, parent), 0)
    assert trees.asked(child("c", "b"), 0).depth == 3
    assert trees.asked(ROOT, 0).depth == 0


def test_a_task_whose_parent_nobody_has_seen_is_below_the_root():
    trees = TaskTrees()
    assert trees.asked(child("x", "unseen"), 0).depth == 1
    trees.count(child("x", "unseen"), 0)
    assert trees.asked(child("y", "also unseen"), 0).depth == 1
    assert trees.asked(child("z"), 0).depth == 1


def test_what_is_new_is_held_against_the_width_and_what_runs_is_not():
    trees = TaskTrees()
    trees.count(ROOT, 0)
    for number in range(3):
        trees.count(child(f"c{number}", "r"), 0)

    new = trees.asked(child("c3", "r"), 0)
    assert (new.children, new.children_last_minute) == (4, 4)
    assert trees.asked(child("c0", "r"), 0) == TreeFacts(depth=1, turns=2)
    assert trees.asked(ROOT, 0) == TreeFacts(depth=0, turns=2)


def test_only_what_began_within_a_minute_counts_for_the_rate():
    trees = TaskTrees()
    trees.count(child("a", "r"), 0)
    trees.count(child("b", "r"), 1)

    assert trees.asked(child("c", "r"), MINUTE).children_last_minute == 2
    assert trees.asked(child("c", "r"), MINUTE + 1).children_last_minute == 1
    assert trees.asked(child("c", "r"), MINUTE + 1).children == 3


def test_turns_are_those_that_were_seen_or_that_the_history_shows():
    trees = TaskTrees()
    assert trees.asked(ROOT, 0).turns == 1
    assert trees.asked(ROOT, 0, shown_turns=7).turns == 8
    trees.count(ROOT, 0)
    trees.count(ROOT, 0)
    assert trees.asked(ROOT, 0, shown_turns=1).turns == 3
    assert trees.asked(ROOT, 0, shown_turns=7).turns == 8


def test_two_keys_with_one_name_for_a_task_have_two_trees():
    trees = TaskTrees()
    trees.count(child("a", "r"), 0)

    assert trees.asked(child("b", "r", key="other"), 0).children == 1


def test_memory_ends_at_the_capacity():
    trees = TaskTrees(capacity=2)
    for number in range(5):
        trees.count(child("a", root=f"r{number}"), 0)
        trees.count(child(f"c{number}", root="busy"), 0)
    assert len(trees) == 2
    # a forgotten task is taken for a new one; those that are known are not
    assert trees.asked(child("c0", root="busy"), 0).children == 6
    assert trees.asked(child("c4", root="busy"), 0).children == 0
