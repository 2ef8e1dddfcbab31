from __future__ import annotations

import math
from weakref import WeakSet

import pytest

import farthing
from farthing.core.records import Outcome
from farthing.sdk.task import Task, current_task, fitting_name


class Book:
    """A ledger's part that keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[tuple[str, Outcome]] = []

    def outcome(self, task_id: str, outcome: Outcome) -> None:
        self.said.append((task_id, outcome))


def test_the_innermost_task_is_the_current_one():
    assert current_task() is None
    with farthing.task("outer") as outer:
        with farthing.task("inner") as inner:
            assert current_task() is inner
        assert current_task() is outer
    assert current_task() is None


def test_ids_are_made_and_differ():
    with farthing.task("a") as first, farthing.task("a") as second:
        pass

    assert first.id.startswith("task_")
    assert first.id != second.id
    assert (second.parent_id, second.root_id) == (first.id, first.id)
    assert (first.parent_id, first.root_id, first.task_type) == (None, first.id, "a")


def test_a_task_may_be_entered_again_and_left_in_any_order():
    with farthing.task("a") as outer:
        with outer:
            assert current_task() is outer
        assert current_task() is outer
    outer.__exit__()
    assert current_task() is None


def test_an_exception_leaves_the_task_and_its_outcome_open():
    with pytest.raises(KeyError), farthing.task("a") as left:
        raise KeyError

    assert (current_task(), left.outcome) == (None, None)


def test_the_headers_say_who_it_is():
    with (
        farthing.task("a", task_id="1") as top,
        farthing.task("b", task_id="2"),
        farthing.task("c", task_id="3") as leaf,
    ):
        pass

    assert top.headers() == {"x-farthing-task": "1", "x-farthing-task-type": "a"}
    assert leaf.headers() == {
        "x-farthing-task": "3",
        "x-farthing-task-type": "c",
        "x-farthing-parent": "2",
        "x-farthing-root": "1",
    }


@pytest.mark.parametrize("name", ["", " a", "a\n", "ü", "a" * 201])
def test_a_name_that_no_header_can_hold_is_refused(name):
    with pytest.raises(ValueError, match="printable ASCII"):
        farthing.task(name)
    with pytest.raises(ValueError, match="task_id"):
        farthing.task("a", task_id=name)


@pytest.mark.parametrize("name", [7, b"a"])
def test_a_name_that_is_no_text_is_refused_in_the_same_words(name):
    with pytest.raises(TypeError, match=r"task_type=.*printable ASCII"):
        farthing.task(name)
    with pytest.raises(TypeError, match=r"task_id=.*printable ASCII"):
        farthing.task("a", task_id=name)


def test_the_longest_name_is_200_characters():
    assert farthing.task("a" * 200).task_type == "a" * 200


@pytest.mark.parametrize(
    ("text", "name"),
    [("classify", "classify"), (" a\nb ", "ab"), ("Prüfung", "Pr?fung"), ("", "unnamed")],
)
def test_any_text_has_a_name_near_it(text, name):
    assert fitting_name(text) == name
    assert Task(fitting_name(text * 300), task_id=None, parent=None).task_type


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf, 10**400, "0.9"])
def test_a_score_is_a_number(score):
    with pytest.raises(ValueError, match="score"):
        farthing.task("a").passed(score=score)


def test_an_outcome_goes_to_the_ledgers_of_its_calls_and_of_those_below():
    mine, elsewhere = Book(), Book()
    with farthing.task("top", task_id="1") as top, farthing.task("leaf", task_id="2") as leaf:
        leaf.goes_to(mine)
        leaf.goes_to(mine)

    leaf.failed(score=0.5)
    top.abandoned()

    assert mine.said == [
        ("2", Outcome(outcome="failed", score=0.5, task_type="leaf", parent_task_id="1")),
        ("1", Outcome(outcome="abandoned", task_type="top")),
    ]
    assert elsewhere.said == []


def test_spending_counts_in_every_task_above():
    with farthing.task("top") as top, farthing.task("leaf") as leaf:
        leaf.spend(3)
        top.spend(1)

    assert [task.cost_usd * 10**12 for task in (leaf, top)] == [3, 4]


def test_an_outcome_that_nobody_records_is_a_warning(monkeypatch):
    monkeypatch.setattr("farthing.sdk.task.known_books", WeakSet())  # of this process's other tests
    with pytest.warns(UserWarning, match="nobody records how <Task 'lonely'"):
        farthing.task("lonely").passed()
