from __future__ import annotations

import pytest

from farthing.core.joining import WINDOW_SECONDS, Failure, Joining, retry_count

WINDOW_NS = WINDOW_SECONDS * 10**9


def waiting(*failures: Failure, capacity: int = 10) -> Joining:
    joining = Joining(capacity)
    for failure in failures:
        joining.failed("body", "key", failure)
    return joining


def test_the_same_body_of_the_same_client_goes_on_with_the_failed_exchange():
    failure = Failure("x", 1, 0)

    assert waiting(failure).resume("body", "key", now_ns=1, count=None) == failure


@pytest.mark.parametrize(("body", "key"), [("other", "key"), ("body", "other")])
def test_another_body_or_client_does_not(body: str, key: str):
    assert waiting(Failure("x", 1, 0)).resume(body, key, now_ns=1, count=1) is None


@pytest.mark.parametrize(("age_ns", "joins"), [(WINDOW_NS, True), (WINDOW_NS + 1, False)])
def test_without_a_word_of_the_client_the_window_decides(age_ns: int, joins: bool):
    found = waiting(Failure("x", 1, 0)).resume("body", "key", now_ns=age_ns, count=None)

    assert (found is not None) is joins


def test_a_client_that_counts_its_retries_may_come_late():
    """``retry-after`` is honoured without a cap (API facts 4.6)."""
    assert waiting(Failure("x", 1, 0)).resume("body", "key", now_ns=9 * WINDOW_NS, count=1)


def test_a_client_that_counts_zero_makes_a_new_call():
    assert waiting(Failure("x", 1, 0)).resume("body", "key", now_ns=1, count=0) is None


def test_a_failure_is_gone_on_with_once():
    joining = waiting(Failure("x", 1, 0))

    assert joining.resume("body", "key", now_ns=1, count=None)
    assert joining.resume("body", "key", now_ns=1, count=None) is None
    assert len(joining) == 0


def test_of_two_equal_calls_each_goes_on_with_one():
    joining = waiting(Failure("x", 1, 0), Failure("y", 1, 1))

    found = [joining.resume("body", "key", now_ns=2, count=1) for _ in range(2)]

    assert {failure.exchange_id for failure in found if failure} == {"x", "y"}


@pytest.mark.parametrize(("failures", "kept"), [(3, 3), (4, 3)])
def test_the_oldest_is_forgotten_when_there_are_too_many(failures: int, kept: int):
    joining = Joining(3)
    for number in range(failures):
        joining.failed(f"body {number}", "key", Failure("x", 1, 0))

    assert len(joining) == kept
    assert (joining.resume("body 0", "key", now_ns=1, count=1) is None) is (failures > 3)


@pytest.mark.parametrize(
    ("text", "count"),
    [("0", 0), ("2", 2), ("", None), ("two", None), ("-1", None), ("1" * 9, None), ("²", None)],
)
def test_the_retry_count_is_read_or_nothing(text: str, count: int | None):
    assert retry_count({"x-stainless-retry-count": text}) == count
    assert retry_count({}) is None
