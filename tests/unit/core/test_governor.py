"""The governor: verdicts per lever and workload, on evidence, serialisable."""

from __future__ import annotations

import math
import random

import pytest

from farthing.core.governor import ALPHA, Governor, Residual
from farthing.errors import LedgerError

LEVER, WORK = "cache.ttl", "key|chat|claude-opus-5-5"


def fed(saved, *, count: int = 300, lever: str = LEVER, seed: int = 1) -> Governor:
    governor, rng = Governor(engine_version="1"), random.Random(seed)
    for _ in range(count):
        governor.record(lever, WORK, Residual(saved_pico=saved(rng), bound_pico=1_000))
    return governor


def test_what_nobody_measured_is_undecided():
    found = Governor(engine_version="1").verdict(LEVER, WORK)
    assert (found.verdict, found.exchanges) == ("undecided", 0)
    assert (found.interval.low, found.interval.high) == (-1.0, 1.0)


def test_a_lever_that_saves_is_shown_to():
    found = fed(lambda rng: rng.randint(-100, 500)).verdict(LEVER, WORK)
    assert found.verdict == "on"
    assert found.gain >= 1 / ALPHA > found.loss
    assert found.exchanges == 300
    assert 0 < found.interval.low < found.mean < found.interval.high
    assert found.saved_pico > 0


def test_a_lever_that_costs_is_switched_off_and_stays_off():
    governor = fed(lambda rng: rng.randint(-500, 100))
    assert governor.verdict(LEVER, WORK).verdict == "off"
    gain = Residual(saved_pico=900, bound_pico=1_000)
    assert {governor.record(LEVER, WORK, gain) for _ in range(50)} == {"off"}


def test_a_harmless_lever_is_wrongly_switched_off_at_most_as_often_as_promised():
    wrong = sum(
        fed(lambda rng: rng.randint(-1_000, 1_000), count=80, seed=seed)
        .verdict(LEVER, WORK)
        .verdict
        == "off"
        for seed in range(200)
    )
    assert wrong <= ALPHA * 200 + 2 * math.sqrt(200 * ALPHA * (1 - ALPHA))


def test_a_verdict_that_changes_is_told_once():
    governor = fed(lambda rng: -500)
    (switch,) = governor.take_switches()
    assert (switch.before, switch.after) == ("undecided", "off")
    assert (switch.lever, switch.workload) == (LEVER, WORK)
    assert switch.saved_pico == -500 * switch.exchanges
    assert governor.take_switches() == []


def test_levers_and_workloads_are_judged_apart():
    governor = fed(lambda rng: -500)
    assert governor.verdict("cache.marks", WORK).verdict == "undecided"
    assert governor.verdict(LEVER, "another").verdict == "undecided"


def test_no_residual_exceeds_its_bound():
    with pytest.raises(ValueError, match="exceeds its own bound"):
        Governor(engine_version="1").record(LEVER, WORK, Residual(saved_pico=11, bound_pico=10))


def test_it_survives_a_restart_of_the_same_engine_and_starts_anew_with_another():
    governor = fed(lambda rng: -500)
    again = Governor.load(governor.dump(), engine_version="1")
    assert list(again.judgements()) == list(governor.judgements())
    assert not list(Governor.load(governor.dump(), engine_version="2").judgements())


def test_a_table_that_cannot_be_read_says_so():
    with pytest.raises(LedgerError, match="the governor's table"):
        Governor.load(b"{}", engine_version="1")


def test_the_longest_unused_case_goes_when_there_are_too_many():
    governor = Governor(engine_version="1", capacity=2)
    for workload in ("a", "b", "a", "c"):
        governor.record(LEVER, workload, Residual(saved_pico=1, bound_pico=2))
    assert len(governor) == 2
    assert [found.workload for found in governor.judgements()] == ["a", "c"]
    assert len(Governor.load(governor.dump(), engine_version="1", capacity=1)) == 1
