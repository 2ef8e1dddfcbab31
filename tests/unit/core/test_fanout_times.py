"""The 99th percentile of the time to first byte, per model and size class."""

from __future__ import annotations

from farthing.core.fanout_times import FirstByteTimes

MS = 1_000_000
SECOND = 1_000 * MS


def test_the_prior_grows_with_the_prompt():
    times = FirstByteTimes()

    assert times.p99_ns("m", 0) == 2 * SECOND
    assert times.p99_ns("m", 30_000) == 9.5 * SECOND


def test_with_few_answers_a_slow_one_raises_it_and_quick_ones_do_not_lower_it():
    times = FirstByteTimes()
    for _ in range(98):
        times.record("m", 4_000, 500 * MS)
    assert times.p99_ns("m", 4_000) == 3 * SECOND

    times.record("m", 4_000, 20 * SECOND)

    assert times.p99_ns("m", 4_000) == 20 * SECOND


def test_from_a_hundred_answers_on_it_is_their_percentile():
    times = FirstByteTimes()
    for number in range(1, 101):
        times.record("m", 5_000, number * MS)

    assert times.p99_ns("m", 5_000) == 99 * MS


def test_classes_are_powers_of_two_of_one_model():
    times = FirstByteTimes()
    for _ in range(100):
        times.record("m", 4_096, 7 * MS)

    assert times.p99_ns("m", 8_191) == 7 * MS
    assert times.p99_ns("m", 8_192) > SECOND
    assert times.p99_ns("m", 4_095) > SECOND
    assert times.p99_ns("n", 4_096) > SECOND


def test_old_times_and_classes_are_forgotten():
    times = FirstByteTimes()
    for _ in range(100):
        times.record("m", 1, 9 * SECOND)
    for _ in range(200):
        times.record("m", 1, MS)
    assert times.p99_ns("m", 1) == MS

    for number in range(300):
        times.record(f"model {number}", 1, MS)

    assert len(times) == 256
    assert times.p99_ns("m", 1) == 2 * SECOND + 250_000
