"""Anytime-valid evidence: false alarms at most α however often one looks, and enough power."""

from __future__ import annotations

import math
import random

import pytest

from farthing.core.evidence import ConfidenceSequence, EProcess, scaled

ALPHA = 0.05
RUNS = 200
LENGTH = 150


def fair(rng: random.Random) -> float:
    return rng.choice((-1.0, 1.0))


def skewed(rng: random.Random) -> float:
    """Mean zero: rarely a large loss, mostly a small gain."""
    return -1.0 if rng.random() < 0.1 else 1 / 9


def small(rng: random.Random) -> float:
    return rng.uniform(-0.05, 0.05)


def losing(rng: random.Random) -> float:
    return rng.uniform(-1.0, 0.8)


def run(draw, seed: int, shift: float = 0.0, length: int = LENGTH) -> EProcess:
    rng, process = random.Random(seed), EProcess()
    for _ in range(length):
        process = process.bet(max(-1.0, min(1.0, draw(rng) + shift)))
    return process


@pytest.mark.parametrize("draw", [fair, skewed, small, losing])
def test_without_an_effect_it_cries_wolf_at_most_as_often_as_promised(draw):
    """Ville: the chance that it *ever* reaches 1/α is at most α, so peeking is free."""
    alarms = sum(run(draw, seed).is_proof(ALPHA) for seed in range(RUNS))
    assert alarms <= ALPHA * RUNS + 2 * math.sqrt(RUNS * ALPHA * (1 - ALPHA))


def test_the_outcome_that_depends_on_the_past_does_not_fool_it():
    """A martingale with growing stakes: no independence, mean zero given the past."""
    alarms = 0
    for seed in range(RUNS):
        rng, process, size = random.Random(seed), EProcess(), 0.1
        for _ in range(LENGTH):
            x = rng.choice((-size, size))
            size = min(1.0, size * 2) if x < 0 else 0.1
            process = process.bet(x)
        alarms += process.is_proof(ALPHA)
    assert alarms <= ALPHA * RUNS + 2 * math.sqrt(RUNS * ALPHA * (1 - ALPHA))


@pytest.mark.parametrize(("draw", "shift"), [(fair, 0.7), (small, 0.03), (skewed, 0.25)])
def test_a_real_effect_is_found(draw, shift):
    found = sum(run(draw, seed, shift, 250).is_proof(ALPHA) for seed in range(20))
    assert found == 20


def test_it_starts_at_one_and_wins_and_loses_with_the_sign():
    assert EProcess().value == pytest.approx(1.0)
    assert EProcess().bet(0.5).value > 1 > EProcess().bet(-0.5).value
    assert EProcess().bet(0.0) == EProcess(count=1)


def test_what_was_proven_stays_proven():
    process = run(fair, 1, 1.0, 60)
    for _ in range(60):
        process = process.bet(-1.0)
    assert process.is_proof(ALPHA)
    assert process.value < 1


def test_endless_gains_do_not_overflow():
    process = EProcess(logs=(5_000.0,) * 6)
    assert math.isfinite(process.bet(1.0).value)


@pytest.mark.parametrize("x", [1.01, -1.01, math.nan])
def test_an_observation_outside_the_bound_is_refused(x):
    with pytest.raises(ValueError, match=r"lies in \[-1, 1\]"):
        EProcess().bet(x)
    with pytest.raises(ValueError, match=r"lies in \[-1, 1\]"):
        ConfidenceSequence().add(x)


@pytest.mark.parametrize("draw", [fair, skewed, small])
def test_the_interval_holds_the_mean_at_all_times(draw):
    misses = 0
    for seed in range(RUNS):
        rng, sequence, is_outside = random.Random(seed), ConfidenceSequence(alpha=ALPHA), False
        for _ in range(LENGTH):
            sequence = sequence.add(draw(rng))
            interval = sequence.interval
            is_outside |= not interval.low <= 1e-9 <= interval.high + 2e-9
        misses += is_outside
    assert misses <= ALPHA * RUNS + 2 * math.sqrt(RUNS * ALPHA * (1 - ALPHA))


def test_the_interval_narrows_and_is_narrower_for_a_quiet_sequence():
    def width(draw, length):
        rng, sequence = random.Random(3), ConfidenceSequence()
        for _ in range(length):
            sequence = sequence.add(draw(rng))
        return sequence.interval.high - sequence.interval.low

    assert width(fair, 1_000) < width(fair, 100) < 2
    assert width(small, 1_000) < width(fair, 1_000) / 3


def test_before_the_first_observation_everything_is_possible():
    empty = ConfidenceSequence()
    assert (empty.mean, empty.interval.low, empty.interval.high) == (0.0, -1.0, 1.0)


def test_the_mean_is_the_plain_one():
    assert ConfidenceSequence().add(0.5).add(-0.1).mean == pytest.approx(0.2)


def test_gains_are_cut_and_losses_beyond_the_bound_refused():
    assert scaled(30, 10) == 1.0
    assert scaled(-10, 10) == -1.0
    assert scaled(5, 10) == 0.5
    with pytest.raises(ValueError, match="a larger bound"):
        scaled(-11, 10)
    with pytest.raises(ValueError, match="above zero"):
        scaled(0, 0)
