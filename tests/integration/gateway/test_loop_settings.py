"""The settings of loops: what they make, and what is said of those that are none."""

from __future__ import annotations

import pytest

from farthing.compose.loops import loop_rules, loop_watch, past_spending
from farthing.config import Settings
from farthing.core.loop_ladder import LoopLadder
from farthing.core.loop_limits import TreeLimits
from farthing.core.loop_terms import LoopRules
from farthing.errors import ConfigError
from farthing.ledger import MemoryLedger
from farthing.pricing import Cost
from tests.contract.exchanges import NOON, attribution, opened, released, settled


def test_the_defaults_are_those_of_the_core():
    assert loop_rules(Settings()) == LoopRules()


def test_off_means_that_nobody_looks():
    assert loop_watch(Settings(loops=False), key=b"k") is None


def test_steps_that_are_left_out_are_not_taken_and_zero_is_no_limit():
    rules = loop_rules(
        Settings(loops_ladder=("stop=150",), loops_depth=0, loops_tasks=0, loops_tasks_per_minute=0)
    )

    assert rules.ladder == LoopLadder(alert=None, note=None, escalate=None, stop=150)
    assert rules.trees == TreeLimits(depth=None, children=None, children_per_minute=None)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"loops_ladder": ("halt=200",)}, "'halt=200'"),
        ({"loops_ladder": ("stop",)}, "such as 'stop=200'"),
        ({"loops_ladder": ("stop=0",)}, "'stop=0'"),
        ({"loops_ladder": ("alert=100", "stop=99")}, "'stop=99'.*write 'stop=100' or more"),
        ({"loops_stops": ("cycles",)}, "kinds are exact_cycle"),
        ({"loops_repeats": 1}, "repeats=1: at least 2"),
    ],
)
def test_what_is_no_rule_is_an_error_that_names_it(changed, says):
    with pytest.raises(ConfigError, match=says):
        loop_rules(Settings(**changed))


def test_the_past_is_what_trees_spent_per_minute():
    ledger = MemoryLedger()
    for number, (task, pico) in enumerate((("a", 5), ("a", 7), ("b", 11))):
        name = f"ex_{number}"
        who = attribution(task_id=task, root_task_id=task, task_type="triage")
        ledger.open(opened(name, attribution=who))
        ledger.settle(settled(name, cost=Cost(output=pico)))
    ledger.open(opened("ex_9"))
    ledger.settle(released("ex_9"))

    assert past_spending(ledger, NOON) == {"triage": [12, 11]}
