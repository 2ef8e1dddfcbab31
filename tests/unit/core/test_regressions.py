from __future__ import annotations

from farthing.core.regressions import find_rises
from tests.unit.core.task_values import drawn, task


def shown(rises) -> list[str]:
    return [rise.task_type for rise in rises if rise.is_shown]


def test_the_type_that_became_dearer_is_named_and_no_other():
    earlier = [*drawn(1, 60), *drawn(2, 60, task_type="review")]
    later = [*drawn(3, 60), *drawn(4, 60, task_type="review", price=2.5)]

    rises = find_rises(earlier, later)

    assert shown(rises) == ["review"]
    assert [rise.task_type for rise in rises] == ["review", "triage"]
    review = rises[0]
    assert (review.compared.measure.name, review.compared.measure.per) == (
        "cost_usd",
        "passed task",
    )
    change = review.compared.change
    assert change is not None
    assert 1 < change.low < change.value < change.high


def test_what_became_cheaper_is_no_regression():
    assert shown(find_rises(drawn(1, 60), drawn(2, 60, price=0.3))) == []


def test_failing_more_often_makes_a_passed_task_dearer():
    assert shown(find_rises(drawn(1, 200, pass_rate=0.9), drawn(2, 200, pass_rate=0.4))) == [
        "triage"
    ]


def test_without_outcomes_the_cost_per_task_is_asked_about():
    [rise] = find_rises(drawn(1, 60, judged=0), drawn(2, 60, judged=0, price=3))

    assert (rise.compared.measure.per, rise.is_shown) == ("task", True)


def test_too_few_judged_tasks_leave_the_cost_per_task():
    one_judged = [task(outcome=None), task(outcome=None), task()]

    [rise] = find_rises(one_judged, one_judged)

    assert rise.compared.measure.per == "task"


def test_a_type_with_one_task_in_a_part_cannot_be_asked_about():
    assert find_rises([task()], [task(), task()]) == ()


def test_quiet_periods_of_five_types_raise_an_alarm_no_more_often_than_announced():
    """Any of five types counts; nominal 5 %, only rises are told: half of it is to be expected."""
    tries = 150
    alarms = 0
    for number in range(tries):
        earlier, later = (
            [
                one
                for kind in range(5)
                for one in drawn(1_000 * number + 10 * kind + part, 25, task_type=f"type-{kind}")
            ]
            for part in (0, 1)
        )
        alarms += bool(shown(find_rises(earlier, later)))

    assert alarms / tries <= 0.05
