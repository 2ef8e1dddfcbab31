"""Who is recognised, and how those who guess are slowed down."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from farthing.core.access import FailureLimit, KeyRing
from farthing.core.keys import KeySecret, digest_of, key_text
from tests.unit.core.test_keys import KEY, NOON, SECRET

TEXT = key_text(KEY.key_id, SECRET)
OLD = "B" * 43
ROTATED = replace(
    KEY,
    secrets=(
        *KEY.secrets,
        KeySecret(
            salt=b"o" * 16,
            digest=digest_of(OLD.encode(), b"o" * 16),
            until=NOON + timedelta(hours=1),
        ),
    ),
)
SECOND = 10**9


def test_a_key_is_found_by_its_text():
    assert KeyRing([KEY]).find(TEXT, NOON) == KEY


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "missing"),
        ("", "unknown"),
        ("sk-ant-api03-x", "unknown"),
        (key_text("ba9876543210", SECRET), "unknown"),
        (key_text(KEY.key_id, "C" * 43), "unknown"),
        (key_text(KEY.key_id, "-" * 43), "unknown"),
    ],
)
def test_another_text_opens_nothing(text, why):
    assert KeyRing([KEY]).find(text, NOON) == why


def test_only_the_right_secret_learns_that_a_key_is_over():
    expired = KeyRing([replace(KEY, expires_at=NOON)])
    revoked = KeyRing([replace(KEY, revoked_at=NOON)])

    assert expired.find(TEXT, NOON) == "expired"
    assert revoked.find(TEXT, NOON) == "revoked"
    assert revoked.find(key_text(KEY.key_id, OLD), NOON) == "unknown"


@pytest.mark.parametrize(("hours", "is_accepted"), [(0, True), (0.99, True), (1, False)])
def test_a_secret_that_was_rotated_away_works_until_its_end(hours, is_accepted):
    ring = KeyRing([ROTATED])
    later = NOON + timedelta(hours=hours)

    assert ring.find(TEXT, later) == ROTATED
    assert (ring.find(key_text(KEY.key_id, OLD), later) == ROTATED) is is_accepted


@given(st.text(max_size=80) | st.from_regex(r"sk-farthing-[0-9a-f]{12}-[A-Za-z0-9_-]{43}"))
def test_no_text_that_was_not_issued_opens_anything(text):
    assert KeyRing([KEY, ROTATED]).find(text, NOON) == "unknown"


def test_a_ring_is_empty_until_a_key_was_made_and_never_again():
    assert KeyRing().is_empty
    assert not KeyRing([replace(KEY, revoked_at=NOON)]).is_empty
    assert "ci" not in repr(KeyRing([KEY]))


def fail(limit: FailureLimit, times: int, source: str = "a", now_ns: int = 0) -> None:
    for _ in range(times):
        limit.failed(source, now_ns)


@pytest.mark.parametrize(("times", "is_blocked"), [(0, False), (4, False), (5, True), (50, True)])
def test_a_source_is_blocked_after_so_many_failures(times, is_blocked):
    limit = FailureLimit(burst=5, pause_seconds=3)
    fail(limit, times)

    assert limit.is_blocked("a", 0) is is_blocked
    assert not limit.is_blocked("b", 0)


def test_a_blocked_source_may_try_again_after_a_pause_however_often_it_failed():
    limit = FailureLimit(burst=5, pause_seconds=3)
    fail(limit, 500)

    assert limit.is_blocked("a", 0)
    assert limit.is_blocked("a", 3 * SECOND - 1)
    assert not limit.is_blocked("a", 3 * SECOND)
    fail(limit, 1, now_ns=3 * SECOND)
    assert limit.is_blocked("a", 6 * SECOND - 1)
    assert not limit.is_blocked("a", 6 * SECOND)


def test_a_key_is_known_at_a_source_for_an_hour():
    limit = FailureLimit()
    limit.accepted("a", "k1", 0)

    assert limit.is_known("a", "k1", 3599 * SECOND)
    assert not limit.is_known("a", "k1", 3600 * SECOND)
    assert not limit.is_known("a", "k2", 0)
    assert not limit.is_known("b", "k1", 0)


def test_memory_is_bounded_and_the_quietest_source_is_forgotten_first():
    limit = FailureLimit(burst=1, sources=10)
    for number in range(100):
        limit.failed(str(number), 0)
        limit.accepted(str(number), "k", 0)

    assert limit.remembered == 20
    assert limit.is_blocked("99", 0)
    assert not limit.is_blocked("89", 0)
    assert limit.is_known("99", "k", 0)
    assert not limit.is_known("89", "k", 0)
