from __future__ import annotations

import random
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.core.holdout import TaskCost, estimate, is_held_out

KEY = b"k" * 32

_Number = TypeVar("_Number", int, float)


def known(value: _Number | None) -> _Number:
    assert value is not None
    return value


def tasks(costs, *, held_out, task_type="review"):
    return [
        TaskCost(task_type=task_type, cost_pico=round(cost), is_held_out=held_out) for cost in costs
    ]


@given(root=st.text(), low=st.floats(0, 1), high=st.floats(0, 1))
def test_a_larger_share_holds_out_all_the_tasks_of_a_smaller_one(root, low, high):
    low, high = sorted((low, high))

    assert is_held_out(root, high, KEY) or not is_held_out(root, low, KEY)


@given(root=st.text(), key=st.binary(max_size=100))
def test_none_are_held_out_at_zero_and_all_at_one(root, key):
    assert not is_held_out(root, 0.0, key)
    assert is_held_out(root, 1.0, key)


def test_the_share_of_tasks_is_the_share_and_another_key_chooses_others():
    chosen = {f"t{n}" for n in range(10_000) if is_held_out(f"t{n}", 0.1, KEY)}
    other = {f"t{n}" for n in range(10_000) if is_held_out(f"t{n}", 0.1, b"other")}

    assert 900 < len(chosen) < 1100
    assert len(chosen & other) < 200


def test_a_clear_saving_is_shown_with_its_interval_around_it():
    held = tasks(range(95, 105), held_out=True)
    treated = tasks(range(45, 55), held_out=False)

    found = estimate([*held, *treated], share=0.5)

    assert (found.held_out, found.treated) == (10, 10)
    assert found.saved_ratio == pytest.approx(0.5, abs=0.01)
    assert known(found.low_ratio) < 0.5 < known(found.high_ratio)
    assert found.is_shown


def test_levers_that_make_tasks_dearer_save_less_than_nothing():
    found = estimate(
        [*tasks(range(45, 55), held_out=True), *tasks(range(95, 105), held_out=False)], share=0.5
    )

    assert known(found.saved_ratio) < -0.9
    assert known(found.low_ratio) < known(found.saved_ratio) < known(found.high_ratio) < 0


def test_only_tasks_of_the_same_type_are_compared():
    dear = tasks([1000, 1010, 990], held_out=True, task_type="research")
    cheap = tasks([10, 11, 9], held_out=False, task_type="review")

    found = estimate([*dear, *cheap], share=0.1)

    assert found.saved_ratio is None
    assert (found.held_out, found.treated) == (3, 3)


@pytest.mark.parametrize(
    ("given", "share"),
    [
        ([], 0.1),
        (tasks([5], held_out=False), 0.1),
        (tasks([0, 0], held_out=False), 0.1),
        (tasks([1, 2], held_out=False), 0.0),
        (tasks([1, 2], held_out=False), 1.0),
    ],
)
def test_the_number_of_tasks_is_not_known_without_a_spread_or_a_share(given, share):
    assert estimate(given, share=share).tasks_needed is None


def test_the_number_of_tasks_is_told_before_any_is_held_out():
    found = estimate(tasks([1, 2, 4, 8, 16], held_out=False), share=0.1)

    assert found.saved_ratio is None
    assert known(found.tasks_needed) > 10_000


def test_that_many_tasks_show_a_saving_of_five_percent_four_times_in_five():
    dice = random.Random(7)
    spread = [100 + 20 * dice.gauss(0, 1) for _ in range(2_000)]
    needed = known(estimate(tasks(spread, held_out=False), share=0.5).tasks_needed)
    assert 400 < needed < 600

    def is_seen(seed):
        dice = random.Random(seed)
        costs = [1e9 * (100 + 20 * dice.gauss(0, 1)) for _ in range(needed)]
        held = tasks(costs[: needed // 2], held_out=True)
        treated = tasks([0.95 * cost for cost in costs[needed // 2 :]], held_out=False)
        found = estimate([*held, *treated], share=0.5)
        return known(found.low_ratio) > 0

    assert 17 <= sum(map(is_seen, range(30))) <= 29


def test_tasks_that_all_cost_the_same_need_four():
    assert estimate(tasks([7, 7, 7], held_out=False), share=0.5).tasks_needed == 4
