"""The prefix tree: shared paths, branch points, forgetting."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.core.prefix_tree import PrefixTree
from tests.unit.core.cache_prompts import prompt


def test_a_first_request_is_unknown() -> None:
    path = PrefixTree().visit(prompt("ab"), 0.0)
    assert (path.blocks, path.stops, path.age_of(0)) == (0, (), None)


def test_a_growing_conversation_is_one_stop_however_long() -> None:
    tree = PrefixTree()
    paths = [tree.visit(prompt("x" * turn), float(turn)) for turn in range(1, 50)]
    path = paths[-1]
    assert path.blocks == 48
    assert [stop.index for stop in path.stops] == [47]
    assert len(tree) == 49


def test_a_path_that_leaves_makes_a_branch_point_with_a_departure() -> None:
    tree = PrefixTree()
    tree.visit(prompt(["head", "a", "b"]), 0.0)
    second = tree.visit(prompt(["head", "c"]), 10.0)
    third = tree.visit(prompt(["head", "d"]), 40.0)
    assert (second.blocks, third.blocks) == (1, 1)
    assert [stop.index for stop in third.stops] == [0]
    assert third.stops[0].departures == pytest.approx(1.0, rel=0.01)
    assert third.stops[0].age_seconds == 30.0


def test_departures_halve_in_an_hour() -> None:
    tree = PrefixTree()
    tree.visit(prompt(["head", "a"]), 0.0)
    tree.visit(prompt(["head", "b"]), 0.0)
    path = tree.visit(prompt(["head", "c"]), 3600.0)
    assert path.stops[0].departures == pytest.approx(0.5)


def test_a_shorter_request_on_a_known_path_splits_nothing() -> None:
    tree = PrefixTree()
    tree.visit(prompt("abcd"), 0.0)
    path = tree.visit(prompt("ab"), 5.0)
    again = tree.visit(prompt("abcd"), 6.0)
    assert path.blocks == 2
    assert [stop.index for stop in again.stops] == [3]
    assert again.age_of(1) == 1.0


def test_the_age_of_a_block_is_that_of_the_deepest_request_through_it() -> None:
    tree = PrefixTree()
    tree.visit(prompt(["head", "a"]), 0.0)
    tree.visit(prompt(["head", "b"]), 100.0)
    path = tree.visit(prompt(["head", "a"]), 150.0)
    assert (path.age_of(0), path.age_of(1), path.age_of(2)) == (50.0, 150.0, None)


def test_scopes_share_nothing() -> None:
    tree = PrefixTree()
    tree.visit(prompt("ab", scope="one"), 0.0)
    assert tree.visit(prompt("ab", scope="two"), 1.0).blocks == 0


def test_an_empty_request_is_on_no_path() -> None:
    assert PrefixTree().visit(prompt(""), 0.0).blocks == 0


def test_what_was_visited_least_recently_is_forgotten_first() -> None:
    tree = PrefixTree(blocks=8)
    for number, name in enumerate(("old", "mid", "new")):
        tree.visit(prompt([name, f"{name}-1", f"{name}-2"]), float(number))
    assert len(tree) <= 8
    assert tree.visit(prompt(["new", "new-1", "new-2"]), 9.0).blocks == 3
    assert tree.visit(prompt(["old", "old-1", "old-2"]), 9.0).blocks == 0


def test_branches_are_forgotten_before_their_trunk() -> None:
    tree = PrefixTree(blocks=12)
    for number in range(12):
        tree.visit(prompt(["trunk", f"leaf {number}", "end"]), float(number))
        assert len(tree) <= 12
    assert tree.visit(prompt(["trunk", "other"]), 99.0).blocks == 1


def test_a_trunk_goes_when_its_leaves_are_not_enough() -> None:
    tree = PrefixTree(blocks=12)
    trunk = [f"trunk {number}" for number in range(10)]
    for number in range(3):
        tree.visit(prompt([*trunk, f"leaf {number}"]), float(number))
    assert len(tree) == 0
    assert tree.visit(prompt(trunk), 9.0).blocks == 0


def test_a_scope_whose_paths_are_all_forgotten_is_forgotten() -> None:
    tree = PrefixTree(blocks=4)
    for number in range(20):
        tree.visit(prompt(["a", "b", "c"], scope=f"scope {number}"), float(number))
    assert len(tree) <= 4


@given(st.lists(st.lists(st.sampled_from("abc"), max_size=6), max_size=25))
def test_it_knows_exactly_the_longest_prefix_seen(requests: list[list[str]]) -> None:
    tree = PrefixTree()
    seen: set[tuple[str, ...]] = set()
    for number, blocks in enumerate(requests):
        path = tree.visit(prompt(blocks), float(number))
        lengths = (n for n in range(len(blocks), 0, -1) if tuple(blocks[:n]) in seen)
        assert path.blocks == next(lengths, 0)
        assert (path.stops[-1].index if path.stops else -1) == path.blocks - 1
        seen |= {tuple(blocks[:n]) for n in range(1, len(blocks) + 1)}
    assert len(tree) == len(seen)
