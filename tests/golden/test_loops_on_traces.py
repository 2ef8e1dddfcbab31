"""Loops told from work, on recorded conversations and on seeded insertions into them."""

from __future__ import annotations

import json

import pytest

from benchmarks.guard_loops import LABELS, bench, clopper_pearson


@pytest.fixture(scope="module")
def figures(data_dir):
    return bench(data_dir, each=12, seed=31)


def test_precision_and_recall_hold_on_a_seed_that_was_not_looked_at(figures):
    assert figures["loop_precision"] >= 0.95
    assert figures["loop_recall"] >= 0.85  # twelve of a class; the benchmark's sixty reach 0.90
    assert figures["loop_f1"] > figures["published_f1"] > figures["naive"]["same_call"]["f1"]


def test_nobody_at_work_is_stopped_and_real_loops_are(figures):
    assert figures["false_stops_real"] == 0
    assert figures["true_stops_real"] == 5
    assert figures["false_stops_interval_95"][1] < 0.005


def test_what_fires_in_real_conversations_was_reviewed(figures):
    assert all(row["label"] in {"fine", "futile"} for row in figures["real_fired"])


def test_the_guard_agrees_with_the_windows_labelled_blind(figures):
    assert sum(figures["blind"].values()) == 100
    assert figures["blind"]["only_label"] + figures["blind"]["only_guard"] == 0


def test_endless_cycles_are_stopped_within_their_bound(figures):
    for row in figures["runaways"]:
        assert row["paid_turns"] <= row["bound_turns"]
    assert {row["cost_usd"] for row in figures["runaways"] if row["turns"] == 100} == {"$1.3471"}


def test_the_labels_say_who_labelled_and_hold_no_text():
    labels = json.loads(LABELS.read_text(encoding="utf-8"))

    assert "language model" in labels["labelled_by"]
    assert len(labels["labels"]) == 100
    assert {key for row in labels["labels"] for key in row} == {"file", "id", "message", "label"}


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [(0, 100, 0.0, 0.0362), (1, 100, 0.0003, 0.0545), (50, 100, 0.3983, 0.6017), (9, 9, 0.6637, 1)],
)
def test_the_interval_is_that_of_the_tables(hits, count, low, high):
    assert clopper_pearson(hits, count) == pytest.approx((low, high), abs=1e-4)
