"""How fast a tree spends, beside the usual of its workload."""

from __future__ import annotations

from farthing.core.loop_speeds import Speeds
from farthing.pricing.money import PicoUsd

MINUTE = 60 * 10**9
TREE = ("k", "r")


def speeds(*, patience: int = 5, cap_pico: int | None = None, capacity: int = 16) -> Speeds:
    made = Speeds(patience=patience, cap_pico=cap_pico, capacity=capacity)
    made.learn("triage", [PicoUsd(100)] * 20)
    return made


def test_usual_spending_is_not_mentioned():
    one = speeds()
    for minute in range(50):
        one.spent(TREE, "triage", minute * MINUTE, 100)
        assert one.finding(TREE, minute * MINUTE) is None


def test_a_runaway_is_told_in_the_minute_in_which_it_runs():
    one = speeds()
    one.spent(TREE, "triage", 0, 600)
    assert one.finding(TREE, 0) is None  # five usual minutes of excess are the limit
    one.spent(TREE, "triage", 1, 1)
    found = one.finding(TREE, 1)
    assert found is not None
    assert (found.kind, found.percent) == ("cost_velocity", 100)


def test_a_steady_overspending_adds_up_and_is_forgiven_by_pauses():
    one = speeds()
    told = []
    for minute in range(20):
        one.spent(TREE, "triage", minute * MINUTE, 150)
        told.append(one.finding(TREE, minute * MINUTE))
    assert told.index(next(filter(None, told))) == 10
    assert one.finding(TREE, (20 + 2) * MINUTE) is not None
    assert one.finding(TREE, (20 + 30) * MINUTE) is None


def test_a_workload_learns_from_trees_that_rest():
    one = Speeds(patience=5, cap_pico=None)
    for number in range(20):
        one.spent(("k", f"r{number}"), "new", 0, 100)
    one.spent(TREE, "new", 59 * MINUTE, 801)
    assert one.finding(TREE, 59 * MINUTE) is None  # nobody knows what is usual
    one.spent(("k", "other"), "new", 60 * MINUTE, 1)
    assert len(one) == 2
    assert one.finding(TREE, 60 * MINUTE) is not None


def test_a_long_pause_forgives_all():
    one = speeds()
    one.spent(TREE, "triage", 0, 100_000)
    assert one.finding(TREE, 0) is not None
    assert one.finding(TREE, 59 * MINUTE) is not None
    one = speeds()
    one.spent(TREE, "triage", 0, 100_000)
    assert one.finding(TREE, 61 * MINUTE) is None
    assert one.finding(TREE, 200 * MINUTE) is None


def test_a_cap_needs_no_past_and_ends_with_the_minute():
    one = Speeds(patience=5, cap_pico=1_000)
    one.spent(TREE, "new", 0, 1_000)
    assert one.finding(TREE, 0) is None
    one.spent(TREE, "new", 1, 1)
    found = one.finding(TREE, 1)
    assert found is not None
    assert found.kind == "cost_cap"
    assert one.finding(TREE, MINUTE) is None


def test_without_patience_nobody_looks_at_the_usual():
    one = speeds(patience=0)
    assert not one.is_on
    one.spent(TREE, "triage", 0, 10**9)
    one.spent(TREE, "triage", MINUTE, 10**9)
    assert one.finding(TREE, MINUTE) is None
    assert Speeds(patience=0, cap_pico=1).is_on


def test_a_clock_that_hands_out_an_older_minute_ends_nothing():
    one = speeds()
    one.spent(TREE, "triage", MINUTE, 100)
    one.spent(TREE, "triage", 0, 501)
    assert one.finding(TREE, 0) is not None


def test_memory_ends_at_the_capacity():
    one = speeds(capacity=2)
    for number in range(5):
        one.spent(("k", f"r{number}"), f"w{number}", 0, 1)
    assert len(one) == 2
    assert one.finding(("k", "r0"), 0) is None
    for number in range(300):
        one.learn(f"workload {number}", [PicoUsd(1)])
