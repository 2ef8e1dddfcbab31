"""Limits on how a task may grow: fine at the limit, found beyond it."""

from __future__ import annotations

import pytest

from farthing.core.loop_ladder import LoopLadder
from farthing.core.loop_limits import TreeFacts, TreeLimits, check_tree


@pytest.mark.parametrize(
    ("kind", "fact", "limit"),
    [
        ("recursion_depth", "depth", "depth"),
        ("fan_out", "children", "children"),
        ("fan_out_rate", "children_last_minute", "children_per_minute"),
        ("turns", "turns", "turns"),
    ],
)
def test_each_limit_is_fine_when_reached_and_found_when_passed(kind, fact, limit):
    limits = TreeLimits(**{limit: 10})

    assert check_tree(TreeFacts(**{fact: 10}), limits) == ()
    (finding,) = check_tree(TreeFacts(**{fact: 11}), limits)
    assert (finding.kind, finding.repeats, finding.percent) == (kind, 11, 110)
    assert LoopLadder(stop=100).action(finding) == "stop"


def test_none_is_no_limit_and_nothing_may_be_one():
    facts = TreeFacts(depth=99, children=9999, children_last_minute=999, turns=99)
    unlimited = TreeLimits(depth=None, children=None, children_per_minute=None, turns=None)

    assert check_tree(facts, unlimited) == ()
    assert check_tree(TreeFacts(children=1), TreeLimits(children=0))[0].percent == 100


def test_all_that_is_beyond_is_found():
    facts = TreeFacts(depth=9, children=201, children_last_minute=61)

    assert [found.kind for found in check_tree(facts, TreeLimits())] == [
        "recursion_depth", "fan_out", "fan_out_rate",
    ]  # fmt: skip
