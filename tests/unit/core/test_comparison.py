from __future__ import annotations

import pytest

from farthing.core.comparison import MEASURES, compare, side_of
from tests.unit.core.task_values import drawn, task


def verdicts(comparison) -> dict[tuple[str, str], str]:
    return {(c.measure.name, c.measure.per): c.verdict for c in comparison.compared}


def test_a_cheaper_call_that_triples_the_turns_is_a_regression_per_task():
    """Six tenths of the price, three times the turns: each call is cheaper, each task dearer."""
    found = verdicts(compare(drawn(1, 120), drawn(2, 120, turns=3.0, price=0.6)))

    assert found["turns", "task"] == "regression"
    assert found["cost_usd", "task"] == "regression"
    assert found["cost_usd", "passed task"] == "regression"
    assert found["pass_rate", "judged task"] == "no difference shown"


def test_a_cheaper_call_is_an_improvement():
    found = verdicts(compare(drawn(1, 60), drawn(2, 60, price=0.4)))

    assert found["cost_usd", "task"] == "improvement"
    assert found["tokens", "task"] == "no difference shown"


def test_failing_more_often_is_a_regression_though_each_task_costs_the_same():
    found = verdicts(compare(drawn(1, 80, pass_rate=0.9), drawn(2, 80, pass_rate=0.3)))

    assert found["pass_rate", "judged task"] == "regression"
    assert found["cost_usd", "passed task"] == "regression"
    assert found["cost_usd", "task"] == "no difference shown"


def test_comparisons_between_equals_raise_an_alarm_no_more_often_than_announced():
    """Any of nine measures counts. Nominal 5 %."""
    tries = 300
    alarms = sum(
        any(verdict != "no difference shown" for verdict in verdicts(equals).values())
        for equals in (compare(drawn(2 * n, 30), drawn(2 * n + 1, 30)) for n in range(tries))
    )

    assert alarms / tries <= 0.05


def test_the_same_tasks_give_the_same_answer_twice():
    a, b = drawn(1, 40), drawn(2, 40, turns=1.4)

    assert compare(a, b) == compare(a, b)


def test_tasks_are_compared_within_their_type_and_what_is_alone_is_left_out():
    a = [*drawn(1, 30), *drawn(2, 5, task_type="review"), *drawn(3, 2, task_type="old")]
    b = [*drawn(4, 5), *drawn(5, 30, task_type="review"), *drawn(6, 1, task_type="new")]

    found = compare(a, b)

    assert found.task_types == ("review", "triage")
    assert found.left_out == ("new", "old")


def test_types_can_be_disregarded_where_they_are_what_differs():
    found = compare(drawn(1, 30, task_type="v1"), drawn(2, 30, task_type="v2"), is_by_type=False)

    assert (found.task_types, found.left_out) == (("",), ())
    assert len(found.compared) == len(MEASURES)


def test_without_outcomes_there_is_nothing_per_passed_task():
    found = compare(drawn(1, 10, judged=0), drawn(2, 10, judged=0))

    assert {c.measure.per for c in found.compared} == {"task"}


def test_an_unjudged_task_is_in_neither_sum_of_the_cost_per_passed_task():
    judged = [task(0.02), task(0.04, outcome="failed"), task(0.06)]
    unjudged = [task(9.0, outcome=None)] * 3

    found = compare([*judged, *unjudged], judged)

    per_passed = next(c for c in found.compared if c.measure.per == "passed task")
    assert (per_passed.a, per_passed.b) == pytest.approx((0.06, 0.06))


def test_an_unpriced_task_is_left_out_of_the_costs_only():
    side = [task(0.02), task(0.04), task(None, tokens=7_000)]

    found = {c.measure.name: c.a for c in compare(side, side).compared if c.measure.per == "task"}

    assert (found["cost_usd"], found["tokens"]) == pytest.approx((0.03, 3_000))


def test_nothing_to_compare_is_no_measure_at_all():
    assert compare([], drawn(1, 9)).compared == ()


def test_a_side_is_counted_by_how_its_tasks_ended():
    tasks = [
        task(),
        task(outcome="failed", unsettled=2),
        task(outcome="abandoned"),
        task(None, outcome=None),
    ]

    side = side_of(tasks)

    assert (side.tasks, side.passed, side.failed, side.abandoned, side.unjudged) == (4, 1, 1, 1, 1)
    assert (side.unpriced, side.unsettled) == (1, 2)
