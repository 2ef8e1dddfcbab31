"""One command says whether the guard holds; its figures are those that a reader judges it by."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from benchmarks.guard import HEADLINES, QUICK, Size, measure


@pytest.fixture(scope="module")
def figures(data_dir):
    return measure(data_dir, Size(runs=3, calls=1_000, each=6), seed=8)


def test_no_budget_is_passed_and_nothing_that_fits_is_refused(figures):
    assert figures["overshoot"] == 0
    assert figures["phantom_refusals"] == 0
    assert figures["utilisation"] >= 0.98
    assert figures["budgets"]["refused"] > 100
    assert figures["budgets"]["negative_holds"] == figures["budgets"]["unbalanced"] == 0


def test_loops_are_told_from_work_and_nobody_at_work_is_stopped(figures):
    assert figures["loop_precision"] >= 0.95
    assert figures["loop_recall"] >= 0.85  # few insertions; the whole benchmark reaches 0.90
    assert figures["false_stops_real"] == 0
    assert 0 < figures["false_stops_interval_95"][1] < 0.005


def test_the_cost_of_looking_is_the_mean_with_the_median_beside_it(figures):
    loops = figures["loops"]

    assert figures["detect_us"] == loops["detect_us"]
    # where the mean stands between them is the machine's business
    assert 0 < figures["detect_us_median"] < figures["detect_us_p95"]
    assert figures["detect_us_median"] < figures["detect_us"]
    assert loops["turns_timed"] > 20_000


@pytest.mark.long
def test_the_last_line_is_one_object_with_every_headline(repo_root, data_dir):
    done = subprocess.run(
        [sys.executable, "benchmarks/guard.py", "--data", str(data_dir), "--quick", "--json"],
        cwd=repo_root,
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])

    assert list(found)[: len(HEADLINES)] == list(HEADLINES)
    assert found["budgets"]["runs"] == QUICK.runs + 1
